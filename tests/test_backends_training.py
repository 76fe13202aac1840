"""Training on every backend: the same numbers as NumPy's, and no step waits for the device."""

import inspect
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import DataLoader, TensorDataset
from minigrad.optim import lr_scheduler
from models.architecture import FOLDER, architectures
from models.data import Examples
from models.run import Run
from models.training import Progress, fit, restore
from tests import strict
from tests.backends import BACKENDS, assert_same, on
from tests.layers import CASES as LAYERS
from tests.test_optim import CASES as OPTIMIZERS

on_all = pytest.mark.parametrize("backend", BACKENDS)
on_devices = pytest.mark.parametrize("backend", [b for b in BACKENDS if b != "numpy"])


def without_waiting(backend):
    """A block in which nothing may wait for the device, as far as the backend can tell."""
    return strict.forbid_sync() if backend == "strict" else nullcontext()


# ---------------------------------------------------------------------------------------------
# Optimizers and gradients
# ---------------------------------------------------------------------------------------------

SHAPES = [(3, 2), (), (4,), (2, 1, 3)]


def numbers(backend, dtype, seed):
    """A Tensor of each shape, the same numbers on every backend."""
    rng = np.random.default_rng(seed)
    return [
        mg.Tensor(on(backend, np.asarray(rng.standard_normal(shape), dtype))) for shape in SHAPES
    ]


def trained(backend, dtype, name, options):
    """Parameters after several steps with gradients that depend on them, and the optimizer."""
    params = [nn.Parameter(p) for p in numbers(backend, dtype, 0)]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.02}]
    optimizer = getattr(optim, name)(groups, **options)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.9)
    noises = [numbers(backend, dtype, 1 + step) for step in range(5)]
    with without_waiting(backend):
        for step, noise in enumerate(noises):
            optimizer.zero_grad()
            loss = sum((p * p * 0.5 + p * n).sum() for p, n in zip(params, noise, strict=True))
            loss.backward()
            if step == 3:
                params[0].grad = None  # a parameter may sit a step out
            optimizer.step()
            schedule.step()
    return params, optimizer


def test_every_optimizer_has_a_case():
    found = {
        name
        for name, value in vars(optim).items()
        if inspect.isclass(value) and issubclass(value, optim.Optimizer)
    }
    assert found - {"Optimizer"} == {name for name, _ in OPTIMIZERS}


@on_devices
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizers(name, options, dtype, backend):
    expected, there = trained("numpy", dtype, name, options)
    found, here = trained(backend, dtype, name, options)
    for a, b in zip(found, expected, strict=True):
        assert a.backend == backend
        assert_same(a, b)
    state, kept = here.state_dict()["state"], there.state_dict()["state"]
    assert state.keys() == kept.keys()
    for i in kept:
        for key, value in kept[i].items():
            assert_same(state[i][key], value)
    here.load_state_dict(there.state_dict())  # which was made on the host
    for a, b in zip(found, expected, strict=True):
        a.grad, b.grad = mg.ones_like(a), mg.ones_like(b)
    here.step()
    there.step()
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


@on_devices
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, np.inf])
def test_clipping(norm_type, backend):
    def clipped(backend):
        params = [nn.Parameter(p) for p in numbers(backend, "float32", 0)]
        for p, g in zip(params, numbers(backend, "float32", 1), strict=True):
            p.grad = g
        with without_waiting(backend):
            total = optim.clip_grad_norm_(params, 0.7, norm_type)
            optim.clip_grad_value_(params, 0.2)
        return [total, *(p.grad for p in params)]

    for a, b in zip(clipped(backend), clipped("numpy"), strict=True):
        assert a.backend == backend
        assert_same(a, b)


@pytest.mark.parametrize("name", sorted(LAYERS))
@given(data=st.data(), training=st.booleans())
def test_layers_do_not_wait(name, data, training):
    """Forward and backward, training or not (test_layer_gradients compares the numbers)."""
    case = data.draw(LAYERS[name])
    module = case.module.to("strict").train(training)
    inputs = [mg.Tensor(x, requires_grad=True) for x in on("strict", case.inputs)]
    fixed = [mg.Tensor(x) for x in on("strict", case.fixed)]
    with mg.use_backend("strict"), strict.forbid_sync():
        outputs = case.call(module, *inputs, *fixed)
        while isinstance(outputs, tuple):
            outputs = outputs[0]
        if outputs.requires_grad:
            outputs.sum().backward()


@on_all
def test_batch_norm_momentum_none_counts_without_waiting(backend):
    with mg.use_backend(backend):
        layer = nn.BatchNorm1d(2, momentum=None)
        with without_waiting(backend):
            for value in (1.0, 4.0):
                layer(mg.arange(6, dtype="float32").reshape(3, 2) + value)
    np.testing.assert_allclose(layer.running_mean.numpy(), [4.5, 5.5], rtol=1e-6)
    assert layer.num_batches_tracked.item() == 2


# ---------------------------------------------------------------------------------------------
# Networks, data and files
# ---------------------------------------------------------------------------------------------


@on_devices
def test_one_seed_gives_one_network(backend, tmp_path):
    def network():
        mg.manual_seed(5)
        return nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4), nn.PReLU(4)
        )

    here = network()
    with mg.use_backend(backend):
        there = network()
        for name, value in here.state_dict().items():
            assert there.state_dict()[name].backend == backend
            assert_same(there.state_dict()[name], value)
        nn.init.orthogonal_(there[3].weight)
        mg.save(tmp_path / "weights.safetensors", there.state_dict())
        loaded = mg.load(tmp_path / "weights.safetensors")
        assert {value.backend for value in loaded.values()} == {backend}
    here.load_state_dict(loaded)
    assert {value.backend for value in here.state_dict().values()} == {"numpy"}
    for name, value in there.state_dict().items():
        assert_same(here.state_dict()[name], value)
    assert {p.backend for p in there.to("numpy").parameters()} == {"numpy"}


@on_all
def test_loaders_move_whole_batches(backend):
    """One copy to the device a batch and a tensor, and none where the data live there."""
    x, labels = np.arange(20.0, dtype="float32").reshape(10, 2), np.arange(10)
    for home, copies in (("numpy", 2 * 3 * (backend == "strict")), (backend, None)):
        with mg.use_backend(home):
            data = TensorDataset(mg.tensor(x, backend=home), mg.tensor(labels, backend=home))
        with mg.use_backend(backend), strict.count_copies() as seen, without_waiting(backend):
            batches = list(DataLoader(data, 4, shuffle=True, seed=0))
        if copies is not None:
            assert len(seen) == copies
        order = np.random.default_rng(0).permutation(10)
        for i, (xs, ys) in enumerate(batches):
            chosen = order[4 * i : 4 * i + 4]
            assert xs.backend == ys.backend == backend
            assert_same(xs, x[chosen])
            assert_same(ys, labels[chosen])


# ---------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------

LARGE = ("mnist", "fashion_mnist", "cifar10")  # which come by download
FASTER: dict[tuple[str, str], dict] = {  # smaller settings of a model for a data set, if it is slow
    ("rbm", "digits"): {"temperatures": 20},
    ("dbn", "digits"): {"pretrain": 1},
    ("vae", "digits"): {"samples": 5},
    ("hopfield", "patterns"): {"units": 40, "patterns": 5},
    ("boltzmann", "encoder"): {"machines": 3, "cycles": 2},
    # The first step of Adam is lr times a sign, even that of a gradient of rounding errors.
    **{(name, "digits"): {"lr": 4e-6} for name in ("gan", "cgan", "lsgan")},
    ("segmentation", "digits"): {"examples": 100, "width": 2},
    ("autoencoder", "digits"): {"hidden": 20, "labels": 20, "trials": 1},
}
MODELS = [  # a model, its data set, and a word that brings settings of its own, or ""
    (name, dataset, word)
    for name, architecture in architectures().items()
    for dataset in architecture.settings
    if dataset not in (*LARGE, FOLDER)
    for word in ("", *architecture.presets.get(dataset, {}))
]
# What learns by a rule of its own has no batches; the first two decide example by example on the
# host what to change, the tests of the others see to it that these do not wait for the device.
WITHOUT_STEP = {"mcculloch_pitts", "perceptron", "hopfield", "boltzmann"}
DRAWING = {"autoencoder", "rbm", "dbn", "vae"}  # whose rule is to draw at random


def training_of(name, dataset, word, backend, epochs=2):
    """A model before its first step, with some of the data, as the command would build it."""
    architecture = architectures()[name]
    asked = {setting: word for setting, words in architecture.choices.items() if word in words}
    faster = FASTER.get((name, dataset), {})
    given_ = {**architecture.defaults(dataset, **asked), **asked, **faster, "epochs": epochs}
    settings = SimpleNamespace(**given_, seed=3)
    data_set = architecture.data(dataset, settings)
    data = data_set.load(backend)
    few = [TensorDataset(*(t[:64] for t in part.tensors)) for part in (data.train, data.test)]
    mg.manual_seed(0)
    network = architecture.build(data_set, settings)
    mg.manual_seed(1)  # the host drew the weights; from here on each backend draws its own
    return architecture.training(network, Examples(*few, data.classes), settings)


def test_every_model_trains_on_something_small():
    assert {name for name, _, _ in MODELS} == set(architectures())


@on_devices
@pytest.mark.parametrize(
    ("name", "dataset", "word"), [m for m in MODELS if m[0] not in WITHOUT_STEP]
)
def test_one_step_of_every_model(name, dataset, word, backend):
    """The code of the model as it is; without random numbers on CuPy, which draws others."""
    if backend == "cupy" and name in DRAWING:
        pytest.skip("cannot do without random numbers")
    measured = {}
    for where in ("numpy", backend):
        with mg.use_backend(where):
            training = training_of(name, dataset, word, where)
            batch = next(iter(training.loader))
            training.network.train()
            if backend == "cupy":
                training.network.eval()
                training.settings.shift = 0
            with without_waiting(where):
                means = training.step(*batch)
            measured[where] = {**means, **training.network.state_dict()}
    for key, expected in measured["numpy"].items():
        assert measured[backend][key].backend == backend
        assert_same(measured[backend][key], expected, atol=1e-5)


@on_all
@pytest.mark.parametrize(("name", "dataset", "word"), MODELS)
def test_models_train_and_go_on(name, dataset, word, backend, tmp_path):
    """`fit` from start to end, with checkpoints, and again from the last of them."""
    with mg.use_backend(backend):
        training = training_of(name, dataset, word, backend)
        training.pictures = lambda *_: None
        run = Run.create(tmp_path / "run", {"model": name})
        history = []
        hopeless = training.finished is not None  # as XOR for a perceptron
        fit(training, run, history, quiet=True)
        assert len(history) in ((0,) if hopeless else (1, training.settings.epochs))
        assert all(np.isfinite(value) for epoch in history for value in epoch.values())
        again = training_of(name, dataset, word, backend)
        assert restore(again, run) == history
        for key, value in again.network.state_dict().items():
            assert value.backend == backend
            assert_same(value, training.network.state_dict()[key])


def test_an_epoch_waits_once_a_measurement():
    """Not once a step."""
    with mg.use_backend("strict"):
        training = training_of("mlp", "digits", "", "strict")
        progress = Progress("", 64, "images", quiet=True)
        assert len(training.loader) == 2
        with strict.count_syncs() as seen:
            training.epoch(progress)
    assert seen == ["int", "int", "get"]  # the least and the greatest label, and the mean loss


def test_gpu_only_runs_nothing_else_and_fails_without_one():
    if mg.backends()["cupy"].usable:
        pytest.skip("there is a GPU")
    code = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--gpu-only"]
    tests = [Path(__file__).with_name("test_backends_operations.py"), "-k", "zeros"]
    run = subprocess.run([*code, *tests], capture_output=True, text=True)
    assert run.returncode == 1
    assert "2 errors" in run.stdout
    assert "skipped" not in run.stdout
    assert mg.backends()["cupy"].detail[:30] in run.stdout
