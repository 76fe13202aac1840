"""Backends: which there are, choosing one, and refusing to mix them.

Where no second backend is installed, `Other` plays its part: an array type that NumPy does not know
how to combine with its own.
"""

import importlib.util
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import backend as backends


class Other:
    """A stand-in for the array of another library: holds values, refuses NumPy's."""

    __array_ufunc__ = None

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape, self.ndim = self.values.shape, self.values.ndim
        self.dtype, self.size = self.values.dtype, self.values.size

    def __add__(self, other):
        if not isinstance(other, Other | float):
            raise TypeError(f"unsupported type {type(other).__name__}")
        return Other(self.values + getattr(other, "values", other))

    def __getitem__(self, index):
        return Other(self.values[index])


class OtherBackend(backends.Backend):
    def __init__(self):
        super().__init__("other", np, None)
        self.array_type = Other
        self.module = SimpleNamespace(
            ndarray=Other,
            full=lambda shape, value, dtype=None: Other(np.full(shape, value, dtype)),
            ones_like=lambda x: Other(np.ones_like(x.values)),
        )

    def asarray(self, host):
        return Other(host)

    def to_host(self, array):
        return array.values

    def seed(self, seed):
        self._generator = np.random.default_rng(seed)


@pytest.fixture
def other():
    backends.register_backend(OtherBackend())
    yield
    del backends._loaded["other"], backends._by_type[Other]


no_cupy = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is not None, reason="cupy is installed here"
)


def test_backends_says_what_is_usable_and_why_not():
    found = mg.backends()
    assert found["numpy"].usable
    assert np.__version__ in found["numpy"].detail
    assert set(found) >= {"numpy", "cupy"}
    assert found["cupy"].detail


@no_cupy
def test_cupy_without_cupy():
    assert not mg.backends()["cupy"].usable
    for call in (
        lambda: mg.set_backend("cupy"),
        lambda: mg.use_backend("cupy").__enter__(),
        lambda: mg.tensor([1.0], backend="cupy"),
        lambda: mg.tensor([1.0]).to("cupy"),
    ):
        with pytest.raises(mg.BackendError, match=r"cupy cannot be imported .*pip install"):
            call()
    assert mg.zeros(1).backend == "numpy"


@no_cupy
def test_auto_says_what_it_took(capsys):
    assert mg.set_backend("auto") == "numpy"
    said = capsys.readouterr().err
    assert said.startswith("minigrad: backend 'auto' took 'numpy': cupy cannot be imported")
    assert said.count("\n") == 1


def test_unknown_names():
    for call in (mg.set_backend, lambda name: mg.use_backend(name).__enter__(),
                 backends.get_backend):  # fmt: skip
        with pytest.raises(ValueError, match=r"wanted one of 'auto', 'cupy', 'numpy'.* got 'abac"):
            call("abacus")


def test_use_backend_nests_and_is_per_thread(other):
    seen = []
    with mg.use_backend("other") as name:
        assert name == "other"
        assert mg.zeros(2).backend == "other"
        with mg.use_backend("numpy"):
            assert mg.zeros(2).backend == "numpy"
        assert mg.zeros(2).backend == "other"
        thread = threading.Thread(target=lambda: seen.append(mg.zeros(2).backend))
        thread.start()
        thread.join()
    assert seen == ["numpy"]
    assert mg.zeros(2).backend == "numpy"


def test_set_backend(other):
    assert mg.set_backend("other") == "other"
    try:
        assert mg.tensor([1.0, 2.0]).backend == "other"
        assert mg.tensor(np.ones(2)).backend == "numpy", "an array stays where it is"
    finally:
        mg.set_backend("numpy")


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_environment_variable():
    code = "import minigrad as mg; print(mg.zeros(1).backend)"
    assert run(code, MINIGRAD_BACKEND="numpy").stdout == "numpy\n"
    wrong = run(code, MINIGRAD_BACKEND="abacus")
    assert wrong.returncode == 1
    assert "MINIGRAD_BACKEND" in wrong.stderr.splitlines()[-1]
    assert "abacus" in wrong.stderr.splitlines()[-1]


def test_importing_minigrad_imports_no_cupy():
    code = "import sys, minigrad; minigrad.zeros(1) + 1.0; print('cupy' in sys.modules)"
    assert run(code, MINIGRAD_BACKEND="numpy").stdout == "False\n"


def test_moving_is_differentiable(other):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    there = x.to("other")
    assert there.backend == "other"
    assert there.requires_grad
    assert there.to("other") is there
    back = there.to("numpy")
    assert isinstance(back.array, np.ndarray)
    (g,) = mg.grad(back.sum(), x)
    np.testing.assert_array_equal(g.array, [1.0, 1.0])
    np.testing.assert_array_equal(there.numpy(), [1.0, 2.0])


def test_mixing_backends_says_how_to_move(other):
    x = mg.tensor([1.0, 2.0])
    there = x.to("other")
    assert (there + there).backend == "other"
    for call in (lambda: x + there, lambda: there + x):
        with pytest.raises(TypeError, match=r"^add: cannot mix numpy and other arrays; .*\.to\('"):
            call()
    with pytest.raises(TypeError, match=r"^index: a numpy array .* other tensor; .*to\('other'\)"):
        there[mg.tensor([0, 1])]
    with pytest.raises(TypeError, match=r"^index: a other array|^index: an other array"):
        x[mg.tensor([0, 1]).to("other")]
    with pytest.raises(TypeError, match=r"np\.asarray: this tensor lives on 'other'"):
        np.asarray(there)


def test_random_state_can_be_stored():
    mg.manual_seed(3)
    mg.rand(5)
    state = backends.random_state()
    first = mg.rand(4).array
    mg.rand(9)
    backends.set_random_state(state)
    np.testing.assert_array_equal(mg.rand(4).array, first)
