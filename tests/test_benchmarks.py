"""The benchmarks compute what they say, in turns, and write down what they measured."""

import json
import mmap
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import growth, harness, imports, memory, report
from benchmarks.__main__ import main
from benchmarks.engines import floor
from benchmarks.engines import minigrad as ours
from benchmarks.workloads import FACTORIES, WORKLOADS, WeightedSum, Workload

SMALL = {
    "mlp": {"batch": 4, "width": 8},
    "lenet": {"batch": 2, "size": 16},
    "cnn": {"batch": 2, "size": 8, "width": 4},
    "dcgan": {"batch": 4, "size": 8, "width": 4},
    "vae": {"batch": 4, "width": 8},
    "rbm": {"batch": 4, "width": 8},
    "lstm": {"batch": 3, "width": 4},
    "alexnet": {"batch": 1, "size": 63, "width": 2},
    "tiny": {},
    "chain": {"rounds": 5},
    "conv64": {"batch": 2, "size": 6, "width": 1 / 16},
    "conv7": {"batch": 2, "size": 12, "width": 1 / 16},
    "conv1": {"batch": 2, "size": 6, "width": 1 / 16},
    "conv5": {"batch": 2, "size": 7, "width": 1 / 8},
    "conv_stride": {"batch": 2, "size": 6, "width": 1 / 16},
    "conv_wide": {"batch": 2, "size": 6, "width": 1 / 8},
    "conv_transpose": {"batch": 2, "size": 3, "width": 4},
    "conv3d": {"batch": 2, "size": 5, "width": 1 / 4},
    "max_pool": {"batch": 2, "size": 6, "width": 4},
    "batch_norm": {"batch": 2, "size": 6, "width": 4},
    "softmax_ce": {"batch": 4, "width": 5},
    "layer_norm": {"batch": 4, "width": 8},
}
every_workload = pytest.mark.parametrize("name", WORKLOADS)


def small(name):
    return FACTORIES[name](**SMALL[name])


def losses(engine, workload):
    return harness.first_losses(engine.STEPS[workload.name](workload, workload.arrays()))


# -- Workloads ------------------------------------------------------------------------------------


@every_workload
def test_a_step_has_a_finite_loss_and_the_next_one_differs(name):
    found = losses(ours, small(name))
    assert np.isfinite(found).all()
    learns = small(name).settings.get("lr") is not None
    assert (len(set(found)) == len(found)) == learns


@every_workload
def test_pytorch_finds_the_same_losses(name):
    pytest.importorskip("torch")
    from benchmarks.engines import torch

    workload = small(name)
    expected = losses(torch, workload)
    assert np.allclose(losses(ours, workload), expected, rtol=harness.TOLERANCE, atol=0.0)


@every_workload
def test_arrays_are_the_same_every_time_and_single_precision(name):
    first, again = (small(name).arrays() for _ in range(2))
    assert {array.dtype for array in first.values()} <= {np.dtype("f4"), np.dtype("i8")}
    for key, array in first.items():
        assert np.array_equal(array, again[key])


@every_workload
def test_a_step_leaves_the_arrays_alone(name):
    workload = small(name)
    arrays = workload.arrays()
    harness.first_losses(ours.STEPS[name](workload, arrays))
    for key, array in workload.arrays().items():
        assert np.array_equal(array, arrays[key])


def test_products_by_hand():
    # 3 rows through 784 → 4 → 2 → 10: forward, weight gradient, and input gradient but the first.
    assert FACTORIES["mlp"](batch=3, width=4).products == (
        (3, 784, 4, 1), (4, 3, 784, 1),
        (3, 4, 2, 1), (2, 3, 4, 1), (3, 2, 4, 1),
        (3, 2, 10, 1), (10, 3, 2, 1), (3, 10, 2, 1),
    )  # fmt: skip
    # 3 → 4 channels, 7×7 windows with stride 2 on 12×12, padding 3: 6×6 of them, in 2 images.
    assert small("conv7").products == ((4, 147, 72, 1), (4, 72, 147, 1))
    assert small("conv3d").products == ((4, 54, 250, 1), (4, 250, 54, 1), (54, 4, 250, 1))


@pytest.mark.parametrize("name", [n for n, w in WORKLOADS.items() if w.products and n != "lstm"])
def test_the_products_are_those_that_pytorch_counts(name):
    counter = pytest.importorskip("torch.utils.flop_counter")
    from benchmarks.engines import torch

    workload = small(name)
    step = torch.STEPS[name](workload, workload.arrays())
    with counter.FlopCounterMode(display=False) as counted:
        step()
    work = sum(2 * m * k * n * count for m, k, n, count in workload.products)
    assert counted.get_total_flops() == work


def test_the_products_of_an_lstm():
    # 28 steps of 28, 3 sequences, 4 hidden units; a product with the first state, zero, is none.
    forward = 28 * 3 * 28 * 16 + 27 * 3 * 4 * 16
    backward = 28 * 3 * 28 * 16 + 2 * 27 * 3 * 4 * 16
    dense = 3 * (3 * 4 * 10)
    work = sum(m * k * n * count for m, k, n, count in small("lstm").products)
    assert work == forward + backward + dense


def test_the_floor_multiplies_every_product_of_the_workload(monkeypatch):
    shapes = []
    monkeypatch.setattr(
        np, "matmul", lambda a, b, out: shapes.append((a.shape, b.shape, out.shape))
    )
    floor.build(Workload("w", "", dict, ((2, 3, 4, 2), (5, 1, 6, 1))), {})()
    assert shapes == [((2, 3), (3, 4), (2, 4))] * 2 + [((5, 1), (1, 6), (5, 6))]
    assert "chain" not in floor.STEPS


def test_a_weighted_sum():
    assert float(WeightedSum(np.array([1.0, 2.0]), np.array([3.0, -1.0]))) == 1.0


# -- Harness --------------------------------------------------------------------------------------


@pytest.fixture
def quickly(monkeypatch):
    for name in ("PAUSE", "SETTLE", "TURN", "LISTEN"):
        monkeypatch.setattr(harness, name, 0.0)


class Pretended:
    """An engine with one workload, whose losses are given; None fails."""

    version = "1"
    workloads = ("mlp",)
    thread_pools = ()

    def __init__(self, *losses):
        self.losses = losses

    def build(self, workload):
        if not self.losses:
            raise harness.EngineError("no such layer")
        return list(self.losses)

    def turn(self):
        return 1.0


def test_every_round_begins_with_another_engine(quickly, monkeypatch):
    order = []
    monkeypatch.setattr(harness, "LEAST_ROUNDS", 4)
    turns = {name: lambda name=name: order.append(name) or 1.0 for name in "abc"}
    times = harness.take_turns(turns, 0.0)
    assert "".join(order) == "abcbcacababc"
    assert times == {name: [1.0] * 4 for name in "abc"}


def test_turns_go_on_for_the_time_given(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(now))
    turns = dict.fromkeys("ab", lambda: 1.0)
    # The clock is read at the start and once a round from LEAST_ROUNDS on.
    assert len(harness.take_turns(turns, 5.0)["a"]) == harness.LEAST_ROUNDS + 9


def test_a_turn_is_the_median_of_its_steps(quickly, monkeypatch):
    # Two readings around a step that settles, one before and one after each step that counts.
    monkeypatch.setattr(harness, "SETTLE", 5.0)
    monkeypatch.setattr(harness, "TURN", 6.0)
    now = iter([0.0, 0.0, 10.0, 10.0, 11.0, 14.0, 16.0])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(now))
    steps = []
    assert harness.turn(lambda: steps.append(None)) == 2.0
    assert len(steps) == 4


def test_an_engine_that_computes_something_else_has_no_time(quickly):
    engines = {
        "minigrad": Pretended(1.0, 2.0, 3.0),
        "torch": Pretended(1.0, 2.0, 3.0001),
        "jax": Pretended(1.0, 2.0, 3.1),
    }
    timings = harness.measure(FACTORIES["mlp"](4, 8), engines, 0.0).timings
    assert timings["minigrad"].problem is timings["torch"].problem is None
    assert len(timings["minigrad"].times) == harness.LEAST_ROUNDS
    assert timings["jax"].times == []
    assert timings["jax"].problem.startswith("computes something else")


def test_a_step_that_fails_is_a_note_and_the_others_go_on(quickly):
    engines = {"torch": Pretended(), "minigrad": Pretended(1.0, 2.0, 3.0)}
    result = harness.measure(FACTORIES["mlp"](4, 8), engines, 0.0)
    assert result.timings["torch"].problem == "failed: no such layer"
    assert result.timings["minigrad"].times
    assert report.problems([result])[-1] == "mlp: torch failed: no such layer"


def test_a_workload_that_an_engine_lacks_is_left_out(quickly):
    engines = {"minigrad": Pretended(1.0, 2.0, 3.0), "torch": Pretended(1.0)}
    engines["torch"].workloads = ()
    result = harness.measure(FACTORIES["mlp"](4, 8), engines, 0.0)
    assert set(result.timings) == {"minigrad"}


def test_the_floor_is_timed_and_has_no_losses_to_compare(quickly):
    engines = {"minigrad": Pretended(1.0, 2.0, 3.0), "floor": Pretended(0.0, 0.0, 0.0)}
    timings = harness.measure(FACTORIES["mlp"](4, 8), engines, 0.0).timings
    assert timings["floor"].times == timings["minigrad"].times == [1.0] * harness.LEAST_ROUNDS


def test_an_absent_peer_is_a_note(monkeypatch):
    def refuse(name, threads):
        raise harness.EngineError(f"no {name}")

    monkeypatch.setattr(harness, "Remote", refuse)
    assert harness.load(["dezero"], 2) == ({}, {"dezero": "absent: no dezero"})


def test_an_engine_in_a_process_of_its_own():
    remote = harness.Remote("minigrad", 1)
    assert remote.version == ours.version()
    assert set(remote.workloads) == set(ours.STEPS)
    assert remote.build(WORKLOADS["tiny"]) == losses(ours, WORKLOADS["tiny"])
    assert 0.0 < remote.turn() < 1.0
    with pytest.raises(harness.EngineError, match="KeyError: 'nothing'"):
        remote.build(Workload("nothing", "", dict, ()))
    remote.close()
    with pytest.raises(harness.EngineError, match="ModuleNotFoundError"):
        harness.Remote("nothing", 1)


def test_ratios_are_taken_round_by_round():
    timings = {"minigrad": harness.Timing(times=[2.0, 4.0, 12.0]),
               "torch": harness.Timing(times=[1.0, 4.0, 4.0])}  # fmt: skip
    result = harness.Result(WORKLOADS["mlp"], timings)
    assert result.ratio("minigrad", "torch") == (1.5, 2.0, 2.5)
    assert result.ratio("minigrad", "floor") is None
    assert result.fastest(["minigrad", "torch", "jax"]) in ("minigrad", "torch")


# -- Commands -------------------------------------------------------------------------------------


@pytest.fixture
def run(quickly, monkeypatch, capsys):
    """Runs the command with small workloads; returns exit code, output and errors."""
    monkeypatch.setattr(harness.threadpoolctl, "threadpool_limits", lambda threads: None)
    monkeypatch.setattr(harness, "Remote", harness.Local)
    for name in WORKLOADS:
        monkeypatch.setitem(WORKLOADS, name, small(name))

    def command(*arguments):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def test_table_json_and_picture(run, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    data, picture = tmp_path / "b.json", tmp_path / "b.png"
    code, out, _ = run("--only", "tiny,mlp", "--against", "torch", "--seconds", "0",
                       "--json", str(data), "--picture", str(picture))  # fmt: skip
    assert code == 0
    rows = [line.split()[0] for line in out.splitlines() if line.startswith(("mlp", "tiny"))]
    assert rows == ["mlp", "tiny"]
    assert "warning: OPENBLAS_CORETYPE=Haswell" in out
    found = json.loads(data.read_text())
    assert {"date", "cpu", "threads", "python", "numpy", "engines", "thread_pools"} <= set(found)
    assert list(found["workloads"]) == ["mlp", "tiny"]
    mlp = found["workloads"]["mlp"]
    assert set(mlp["engines"]) - {"torch"} == {"minigrad", "floor"}
    assert mlp["products"] == [list(product) for product in small("mlp").products]
    times = mlp["engines"]["minigrad"]["times"]
    assert len(times) == harness.LEAST_ROUNDS
    assert mlp["engines"]["minigrad"]["median"] == np.median(times)
    assert len(mlp["engines"]["minigrad"]["losses"]) == harness.FIRST_STEPS
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_list_names_every_workload(run):
    code, out, _ = run("--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(WORKLOADS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "mlp,nothing"), "there is no workload 'nothing'"),
        (("--only", ""), "names no workload"),
        (("--against", "tinygrad"), "there is no engine 'tinygrad'"),
        (("--threads", "0"), "wants a positive integer"),
        (("--seconds", "-1"), "wants a non-negative number"),
        (("--json", "nowhere/b.json"), "there is no folder nowhere"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


# -- Growth, memory, imports ----------------------------------------------------------------------


def test_the_exponent_of_a_power():
    sizes = [1.0, 2.0, 4.0, 8.0]
    assert growth.exponent(sizes, [3.0 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert growth.positions("cnn", "size", 6) == 36
    assert growth.positions("conv3d", "size", 6) == 216
    assert growth.positions("cnn", "batch", 6) == 6


def test_every_workload_with_products_grows_in_four_sizes():
    assert set(growth.SIZES) == {name for name, w in WORKLOADS.items() if w.products}
    for name, axes in growth.SIZES.items():
        assert "batch" in axes
        for axis, sizes in axes.items():
            assert len(sizes) == 4
            assert sorted(set(sizes)) == list(sizes)
            assert FACTORIES[name](**{axis: sizes[0]}).products


def test_growth_measures_each_size(quickly):
    sizes = growth.SIZES["tiny"]["batch"]
    times = growth.measure(harness.Local("minigrad", 1), "tiny", "batch", 0.0)
    assert len(times) == len(sizes)
    assert min(times) > 0.0


def test_memory_that_is_kept_is_seen(monkeypatch):
    kept = []

    def build(workload, arrays):
        def step():
            kept.append(mmap.mmap(-1, 200_000))  # which no freed memory serves
            kept[-1].write(bytes(200_000))

        return step

    leaking = SimpleNamespace(steps={"tiny": build})
    monkeypatch.setattr(harness, "Local", lambda name, threads: leaking)
    assert memory.growth("minigrad", "tiny", {}, 50, 1) == pytest.approx(200_000, rel=0.1)
    assert memory.peak("minigrad", "tiny", 1) >= 0.0


def test_an_import_that_fails_is_a_note(monkeypatch):
    monkeypatch.setitem(imports.STATEMENTS, "torch", "import no_such_module")
    monkeypatch.setattr(imports, "BASE", "import json")
    times, notes = imports.measure(["torch"], 1)
    assert list(times) == ["import json"]
    assert notes == {"torch": "absent: ModuleNotFoundError: No module named 'no_such_module'"}
