"""python -m minigrad info | check."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import minigrad
from minigrad import core
from minigrad.__main__ import THOROUGH, main
from minigrad.cases import CASES, Call
from minigrad.certificate import FIRST_ORDER, SECOND_ORDER, differentiable, distinct_calls


def run(capsys, *arguments):
    """Exit code, standard output and standard error of a command."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def plant():
    """Registers a primitive as the package's own for one test."""
    planted = []

    def register(forward, rule, case=None):
        made = core.Primitive(forward)
        made.vjps(rule)
        core.registry[made.name] = made
        planted.append(made.name)
        if case is not None:
            CASES[made.name] = case
        return made

    yield register
    for name in planted:
        del core.registry[name]
        CASES.pop(name, None)


def case(draw):
    return Call((draw.array((3,), 0.5, 1.5),))


def cubed(x):
    return x * x * x


# -- check ----------------------------------------------------------------------------------------


def rows(out):
    """The rows of the table, as lists of words; neither its head nor the lines below it."""
    return [line.split() for line in out.splitlines()[1:] if ":" not in line.split()[0]]


def test_every_differentiable_primitive_is_right(capsys):
    code, out, err = run(capsys, "check")
    assert (code, err) == (0, "")
    head = out.splitlines()[0]
    assert head.split() == ["primitive", "backend", "cases", "first", "order", "second", "order"]
    usable = [name for name, status in minigrad.backends().items() if status.usable]
    assert [row[:2] for row in rows(out)] == [
        [name, backend] for name in sorted(differentiable()) for backend in usable
    ]
    for name, _, cases, first, second, verdict in rows(out):
        assert int(cases) >= 10, name
        assert 0.0 <= float(first) <= FIRST_ORDER, name
        assert 0.0 <= float(second) <= SECOND_ORDER, name
        assert verdict == "ok"


def test_the_last_lines_sum_up_each_backend(capsys):
    _, out, _ = run(capsys, "check", "exp", "tanh")
    by_hand = {row[0]: row for row in rows(out) if row[1] == "numpy"}
    line = next(line for line in out.splitlines() if line.startswith("numpy: "))
    cases = sum(int(row[2]) for row in by_hand.values())
    assert f"2 primitives, {cases} distinct cases" in line
    for column, order in ((3, "first"), (4, "second")):
        worst = max(by_hand.values(), key=lambda row: float(row[column]))
        assert f"{worst[column]} ({worst[0]}) {order} order" in line
    for name, status in minigrad.backends().items():
        if not status.usable:
            assert f"{name}: not checked: {status.detail}" in out


def test_cases_are_for_primitives_that_exist():
    assert set(CASES) <= set(differentiable())


@pytest.mark.parametrize("name", CASES)
def test_cases_are_reproducible_distinct_and_have_something_to_differentiate(name):
    first, again = (distinct_calls(name, 10, seed=5) for _ in range(2))
    assert len(first) >= 3
    assert len({repr(call) for call in first}) == len(first)
    assert repr(first) == repr(again) != repr(distinct_calls(name, 10, seed=6))
    for call in first:
        assert any(isinstance(x, np.ndarray) and x.dtype == np.float64 for x in call.args)


def test_thorough_draws_more(capsys):
    _, quick, _ = run(capsys, "check", "exp")
    code, thorough, _ = run(capsys, "check", "exp", "--thorough")
    assert code == 0
    assert int(rows(thorough)[0][2]) > 200 > 25 >= int(rows(quick)[0][2])


def test_another_seed_draws_other_cases(capsys):
    _, first, _ = run(capsys, "check", "tanh", "matrix_product")
    _, other, _ = run(capsys, "check", "tanh", "matrix_product", "--seed", "1")
    assert rows(first) != rows(other)
    assert rows(first) == rows(run(capsys, "check", "tanh", "matrix_product", "--seed", "0")[1])


def test_json_says_what_the_table_says(capsys):
    _, out, _ = run(capsys, "check", "exp", "matrix_product")
    code, text, _ = run(capsys, "check", "exp", "matrix_product", "--json")
    found = json.loads(text)
    assert code == 0
    assert found["passed"] is True
    assert found["allowed"] == {"first": FIRST_ORDER, "second": SECOND_ORDER}
    assert set(found["backends"]) == set(minigrad.backends())
    assert [
        [row["primitive"], row["backend"], str(row["cases"]), f"{row['first']:.1e}",
         f"{row['second']:.1e}", "ok"] for row in found["rows"]
    ] == rows(out)  # fmt: skip


def test_json_of_a_failure(capsys, plant):
    plant(cubed, lambda g, y, x: g * float("nan"), case)
    code, text, _ = run(capsys, "check", "cubed", "--json")
    found = json.loads(text)
    assert (code, found["passed"], found["rows"][0]["first"]) == (1, False, None)
    assert found["rows"][0]["passed"] is False


def test_a_thorough_check_has_20000_cases():
    names = differentiable()
    assert sum(len(distinct_calls(name, THOROUGH, seed=0)) for name in names) >= 20_000
    assert (FIRST_ORDER, SECOND_ORDER) == (1e-6, 1e-4)


def test_chosen_primitives_alone_are_checked(capsys):
    code, out, _ = run(capsys, "check", "exp", "add")
    assert code == 0
    assert [row[0] for row in rows(out) if row[1] == "numpy"] == ["exp", "add"]


@pytest.mark.parametrize(
    ("rule", "orders"),
    [
        (lambda g, y, x: g * 3.0 * x * x, (False, False)),
        # Wrong, but its own derivative is computed consistently.
        (lambda g, y, x: g * 2.9 * x * x, (True, False)),
        # Right, but cut off from the graph.
        (lambda g, y, x: g * 3.0 * getattr(x * x, "array", x * x), (False, True)),
    ],
)
def test_a_wrong_rule_fails_at_its_order(capsys, plant, rule, orders):
    plant(cubed, rule, case)
    code, out, _ = run(capsys, "check", "cubed")
    _, _, _, first, second, verdict = rows(out)[0]
    assert (float(first) > FIRST_ORDER, float(second) > SECOND_ORDER) == orders
    assert (code, verdict) == ((1, "FAIL") if any(orders) else (0, "ok"))
    if any(orders):
        assert out.splitlines()[-1].startswith("failed: cubed on numpy")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        # A Tensor's rule that differs from the arrays', by less than a numerical derivative sees.
        (
            lambda g, y, x: g * 3.0 * x * x * (1.0 + 1e-8 * isinstance(g, minigrad.Tensor)),
            "differs between arrays and Tensors",
        ),
        (lambda g, y, x: abs(g) * 3.0 * x * x, ""),
        (lambda g, y, x: (g * 3.0 * x * x)[:0], "GradcheckError|ValueError"),
    ],
)
def test_a_rule_wrong_in_another_way_fails(capsys, plant, rule, words):
    plant(cubed, rule, case)
    code, out, _ = run(capsys, "check", "cubed")
    assert code == 1
    assert re.search(f"^cubed +numpy +.*({words}).*FAIL$", out, re.MULTILINE)


def test_a_rule_that_raises_is_a_failure(capsys, plant):
    plant(cubed, lambda g, y, x: g @ x @ x, case)
    code, out, _ = run(capsys, "check", "cubed")
    assert code == 1
    assert re.search(r"^cubed +numpy +ValueError: .*FAIL$", out, re.MULTILINE)


def test_a_gradient_of_nan_is_a_failure(capsys, plant):
    plant(cubed, lambda g, y, x: g * float("nan"), case)
    code, out, _ = run(capsys, "check", "cubed")
    assert code == 1
    assert "FAIL" in out


def test_a_primitive_without_a_case_fails_by_name(capsys, plant):
    plant(cubed, lambda g, y, x: g * 3.0 * x * x)
    code, out, _ = run(capsys, "check")
    assert code == 1
    assert re.search(r"^cubed +numpy +no case .*FAIL$", out, re.MULTILINE)
    assert out.splitlines()[-1].startswith("failed: cubed on numpy")


# -- info -----------------------------------------------------------------------------------------


def test_info_names_versions_backends_and_blas(capsys, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    code, out, err = run(capsys, "info")
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=1) for line in out.splitlines()]
    table = dict(rows[:4])
    assert table["minigrad"] == minigrad.__version__
    assert table["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert table["numpy"] == np.__version__
    assert "scipy" in table
    for name, status in minigrad.backends().items():
        assert f"{name}, {'usable' if status.usable else 'not usable'}: {status.detail}" in out
    assert "blas" in [label for label, _ in rows]
    assert "OPENBLAS_CORETYPE=Haswell" in out


def test_info_shows_threads_and_kernels_with_threadpoolctl(capsys):
    pytest.importorskip("threadpoolctl", reason="threads are read with threadpoolctl")
    _, out, _ = run(capsys, "info")
    assert re.search(r"^blas .*\d+ threads, kernels for \w+", out, re.MULTILINE)


def test_info_without_threadpoolctl_says_what_would_show_more(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert re.search(r"^blas .*pip install threadpoolctl", out, re.MULTILINE)
    assert "CORETYPE" not in out


# -- Arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("inof",), "inof"),
        (("check", "sigmod"), "'sigmod'; close: sigmoid"),
        (("check", "exp", "qqqqqq"), "unknown primitive 'qqqqqq'"),
        (("check", "argmax"), "argmax has no gradient"),
        (("check", "--fast"), "--fast"),
        (("check", "--seed", "-1"), "wants a non-negative integer"),
        (("info", "more"), "more"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(capsys, arguments, words):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("python -m minigrad")
    assert words in err


@pytest.mark.parametrize("arguments", [("--help",), ("info", "--help"), ("check", "--help")])
def test_help_is_everywhere(capsys, arguments):
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert out.startswith("usage: python -m minigrad")


def test_the_module_runs_from_the_shell():
    done = subprocess.run(
        [sys.executable, "-m", "minigrad", "check", "tanhh"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert done.returncode == 2
    assert "close: tanh" in done.stderr


@pytest.mark.parametrize("command", ["minigrad check abs add", "models list"])
def test_nobody_has_to_read_to_the_end(command):
    """As in ``… | head -1``, after which the pipe is closed."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    ) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1)
