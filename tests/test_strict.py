"""The backend "strict" refuses what CuPy refuses, and does otherwise what NumPy does."""

import copy
import operator
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.backend import get_backend
from tests import strict
from tests.strict.device import METHODS, StrictArray
from tests.strict.rules import SIGNATURES, signature

backend = get_backend("strict")
xp = backend.module


def device(values, dtype="float64"):
    return xp.asarray(np.array(values, dtype=dtype))


X = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]

# ---------------------------------------------------------------------------------------------
# Host and device
# ---------------------------------------------------------------------------------------------


def test_arithmetic_is_numpys():
    x, y = device(X), np.array(X)
    for found, expected in [
        (2.0 * x - x / 3 + x ** 2 % 4, 2.0 * y - y / 3 + y ** 2 % 4),
        (-x @ x.T, -y @ y.T),
        (abs(x[:, ::-1]) // 2, abs(y[:, ::-1]) // 2),
        (xp.where(x > 2.0, x, 0.0), np.where(y > 2.0, y, 0.0)),
        (x.var(axis=1, keepdims=True, ddof=1), y.var(axis=1, keepdims=True, ddof=1)),
        (xp.concatenate([x, x], 1), np.concatenate([y, y], 1)),
        (np.float64(2.0) * x, 2.0 * y),
    ]:
        assert type(found) is StrictArray
        assert_array_equal(found.get(), expected)


@pytest.mark.parametrize(
    "convert",
    [np.asarray, np.array, np.exp, np.sum, lambda x: np.concatenate([x, x]), np.ones_like,
     lambda x: np.ones(3) * x, lambda x: np.where(True, x, x)],
)  # fmt: skip
def test_numpy_gets_no_hold_of_the_values(convert):
    with pytest.raises(TypeError):
        convert(device(X))


def test_arrays_of_the_host_do_not_mix():
    x, y = device(X), np.array(X)
    for mixed in (
        lambda: x + y,
        lambda: y + x,
        lambda: x < y,
        lambda: operator.iadd(x, y),
        lambda: xp.maximum(x, y),
        lambda: xp.concatenate([x, y]),
        lambda: xp.where(x > 0.0, x, y),
        lambda: xp.sum(y),
        lambda: x.dot(y.T),
        lambda: x[np.array([0, 1])],
        lambda: x[y > 0.0],
        lambda: xp.add.at(x, np.array([0]), 1.0),
    ):
        with pytest.raises(TypeError):
            mixed()
    with pytest.raises(ValueError, match="cannot be used for fill"):
        x[0] = y[0]


def test_what_is_on_the_device_shares_no_memory_with_the_host():
    host = np.array([1.0, 2.0])
    x = xp.asarray(host)
    host[0] = 9.0
    assert_array_equal(x.get(), [1.0, 2.0])
    x.get()[0] = 7.0
    assert_array_equal(x.get(), [1.0, 2.0])


def test_views_share_memory():
    x = device(X)
    for view in (x[0], x[0, 0], x[:, 1:], x.T, x.reshape(-1), x[None], x.swapaxes(0, 1)):
        before = view.get()
        view += 1.0
        assert_array_equal(view.get(), before + 1.0)
    assert x.get()[0, 0] == 1.0 + 6.0  # every view but x[:, 1:] has it


def test_results_without_axes_are_arrays():
    x = device(X)
    for result in (x.sum(), x[0, 0], x.max(), xp.sum(x), x[0] @ x[0], x.argmax()):
        assert type(result) is StrictArray
        assert result.shape == ()


# ---------------------------------------------------------------------------------------------
# Names and arguments that CuPy lacks
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["errstate", "insert", "block", "vecdot", "matvec", "geomspace", "spacing", "nditer"]
)
def test_functions_that_cupy_lacks(name):
    assert hasattr(np, name) or name in ("vecdot", "matvec")  # younger than NumPy 2.0
    with pytest.raises(AttributeError, match=f"module 'cupy' has no attribute '{name}'"):
        getattr(xp, name)


@pytest.mark.parametrize("name", ["multi_dot", "matrix_norm", "svdvals"])
def test_linear_algebra_that_cupy_lacks(name):
    with pytest.raises(AttributeError):
        getattr(xp.linalg, name)


@pytest.mark.parametrize(
    "name",
    ["ctypes", "__index__", "__contains__", "__imatmul__", "__array_interface__", "setflags",
     "resize", "getfield", "to_device", "__array_namespace__"],
)  # fmt: skip
def test_attributes_that_cupy_lacks(name):
    assert not hasattr(device(X), name)
    assert name not in METHODS


def test_nothing_that_cupy_lacks_is_public():
    assert {name for name in dir(StrictArray) if not name.startswith("_")} <= set(METHODS)


def test_an_array_is_no_index_of_python():
    with pytest.raises(TypeError):
        range(device(3, "int64"))
    with pytest.raises(TypeError):
        [1, 2][device(1, "int64")]


def test_arguments_that_cupy_lacks():
    x = device(X)
    mask = x > 2.0
    for call in (
        lambda: xp.sum(x, where=mask),
        lambda: xp.max(x, initial=0.0),
        lambda: x.mean(where=mask),
        lambda: xp.exp(x, where=mask),
        lambda: xp.zeros(3, device="cpu"),
        lambda: xp.zeros(3, like=x),
        lambda: xp.asarray(x, device="cpu"),
        lambda: xp.einsum("ij->ji", x, out=x),
        lambda: xp.tensordot(x, x, axes=2, out=x),
        lambda: xp.lib.stride_tricks.as_strided(x, (2,), (8,), writeable=False),
        lambda: xp.take(x, mask, mode="clip"),
        lambda: x.item(0),
    ):
        with pytest.raises(TypeError):
            call()


def test_functions_want_an_array_where_they_ask_it_for_methods():
    for call in (lambda: xp.where(True, 1.0, 2.0), lambda: xp.clip(1.0, 0.0, 2.0)):
        with pytest.raises(TypeError, match="wants an array of the device"):
            call()


def test_where_results_may_go():
    x = device([[1.0, 2.0], [3.0, 4.0]])
    wide = xp.zeros((2, 4))
    assert xp.exp(x, out=wide[:, ::2]).shape == (2, 2)
    with pytest.raises(TypeError, match="must be of ArrayType"):
        xp.exp(x, out=(x,))
    with pytest.raises(TypeError, match="must be of ArrayType"):
        xp.exp(x, out=np.zeros((2, 2)))
    for product in (xp.matmul, xp.dot):
        with pytest.raises(ValueError, match="C-contiguous"):
            product(x, x, out=wide[:, ::2])
        with pytest.raises(ValueError, match="dtype float32"):
            product(x, x, out=xp.zeros((2, 2), dtype="float32"))
        out = xp.empty((2, 2))
        assert product(x, x, out=out) is out
        assert_array_equal(out.get(), [[7.0, 10.0], [15.0, 22.0]])


def test_at_is_where_cupy_has_it():
    x = xp.zeros(3)
    xp.add.at(x, device([0, 0, 2], "int64"), 1.0)
    assert_array_equal(x.get(), [2.0, 0.0, 1.0])
    with pytest.raises(NotImplementedError):
        xp.multiply.at(x, device([0], "int64"), 2.0)
    with pytest.raises(TypeError, match=r"subtract\.at does not support float64"):
        xp.subtract.at(x, device([0], "int64"), 2.0)
    with pytest.raises(TypeError, match=r"add\.at does not support int16"):
        xp.add.at(xp.zeros(3, dtype="int16"), device([0], "int64"), 1)


def test_the_generator_has_what_cupys_has():
    drawn = xp.random.default_rng(0).random((2, 3), dtype="float32")
    assert type(drawn) is StrictArray
    expected = np.random.default_rng(0).random((2, 3), dtype="float32")
    assert_array_equal(drawn.get(), expected)
    for name in ("normal", "permutation", "choice", "shuffle", "bit_generator", "spawn"):
        with pytest.raises(AttributeError):
            getattr(xp.random.default_rng(0), name)


def test_signatures_are_read_as_they_were_written():
    read = signature("a, b=, /, c=, *, d, e=")
    assert list(read.bind(1, 2, 3, d=4).arguments) == ["a", "b", "c", "d"]
    for args, options in (((1,), {}), ((1, 2, 3, 4), {"d": 1}), ((1,), {"b": 2, "d": 1})):
        with pytest.raises(TypeError):
            read.bind(*args, **options)
    assert signature("*xs, out=, **rest").bind(1, 2, out=3, x=4).arguments["rest"] == {"x": 4}


def test_the_frozen_signatures_are_cupys():
    pytest.importorskip("cupy", reason="compares with CuPy's own names")
    script = Path(strict.__file__).with_name("freeze.py")
    run = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert SIGNATURES["version"].startswith("14.")


# ---------------------------------------------------------------------------------------------
# What CuPy leaves to chance
# ---------------------------------------------------------------------------------------------


def test_indices_out_of_range_wrap():
    x = device(X)
    assert_array_equal(x[device([2, -3], "int64")].get(), np.array(X)[[0, 1]])
    assert_array_equal(x[:, device([4], "int64")].get(), np.array(X)[:, [1]])
    assert_array_equal(x[..., None, device([3], "int64")].get(), np.array(X)[..., None, [0]])
    x[device([5], "int64"), 0] = 9.0
    assert_array_equal(x.get()[1], [9.0, 5.0, 6.0])
    with pytest.raises(IndexError):
        x[2]  # a number is checked


def test_uninitialised_memory_is_poisoned():
    assert np.isnan(xp.empty((2, 3)).get()).all()
    assert np.isnan(xp.empty_like(device(X)).get()).all()
    assert (xp.empty(3, dtype="int32").get() == np.iinfo("int32").max).all()
    assert_array_equal(xp.empty(4, dtype=bool).get(), [True, False, True, False])


def test_writing_an_element_twice_is_refused():
    x = xp.zeros(3)
    twice = device([1, 1], "int64")
    with pytest.raises(strict.UndefinedResultError):
        x[twice] = device([1.0, 2.0])
    with pytest.raises(strict.UndefinedResultError):
        x[device([0, 3], "int64")] = device([1.0, 2.0])  # they wrap to the same place
    x[twice] = 5.0  # the same value both times
    assert_array_equal(x.get(), [0.0, 5.0, 0.0])


def test_float32_stays_float32_unless_asked():
    x = device(X, "float32")
    for promote in (
        lambda: x * np.sqrt(2.0),
        lambda: x / device([1, 2, 3], "int64"),
        lambda: xp.maximum(x, np.float64(0.0)),
        lambda: xp.concatenate([x, device([[1], [2]], "int64")], 1),
    ):
        with pytest.raises(strict.PromotionError, match="float32 became float64 unasked"):
            promote()
    for asked in (x.astype("float64"), x.sum(dtype="float64"), x * device(X), x.sum(0, "float64"),
                  xp.zeros_like(x, dtype="float64")):  # fmt: skip
        assert asked.dtype == np.float64
    for kept in (x * 2.0, x * True, x.mean(), x ** 2, xp.where(x > 1.0, x, 0.0)):
        assert kept.dtype == np.float32


def test_no_warning_as_on_a_gpu():
    x = device([0.0, -1.0])
    assert np.isneginf((xp.log(x)).get()[0])
    assert np.isnan((x / x).get()[0])


# ---------------------------------------------------------------------------------------------
# Waiting for the device
# ---------------------------------------------------------------------------------------------

WAITS = {
    "get": lambda x: x.get(),
    "asnumpy": lambda x: xp.asnumpy(x),
    "item": lambda x: x[0].item(),
    "tolist": lambda x: x.tolist(),
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "bool": lambda x: bool(x[0] > 0.0),
    "repr": repr,
    "str": str,
    "mask": lambda x: x[x > 0.0],
    "mask written": lambda x: x.__setitem__(x > 0.0, 1.0),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: xp.where(x),
    "unique": lambda x: xp.unique(x),
    "in": lambda x: 1.0 in x,
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("what", WAITS)
def test_waiting_is_counted_and_forbidden(what):
    x = device([1.0, 0.0])
    with strict.count_syncs() as seen:
        WAITS[what](x)
    assert len(seen) == 1
    with strict.forbid_sync(), pytest.raises(strict.SynchronizationError):
        WAITS[what](device([1.0, 0.0]))
    WAITS[what](device([1.0, 0.0]))  # allowed again


def test_computing_does_not_wait():
    x = device(X)
    with strict.forbid_sync(), strict.count_syncs() as seen:
        y = xp.exp(x @ x.T).sum()
        y += x[0, 1]
        x[device([0], "int64")] = 0.0
        copy.deepcopy(x)
        len(x), x.shape, x.dtype, x.flags.c_contiguous
    assert seen == []


def test_copies_to_the_device_are_counted():
    with strict.count_copies() as seen, strict.forbid_sync():
        x = xp.asarray(np.ones(3))
        x[[0, 1]]
        x * 2.0
        xp.asarray(x)
    assert seen == ["asarray", "index"]


def test_pickle_and_deepcopy():
    x = device(X)
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert_array_equal(y.get(), x.get())
        y[0] = 0.0
    assert_array_equal(x.get(), X)


# ---------------------------------------------------------------------------------------------
# Tensors on it
# ---------------------------------------------------------------------------------------------


def test_tensors():
    with mg.use_backend("strict"):
        x = mg.tensor([1.0, 2.0], requires_grad=True)
        (x * x).sum().backward()
    assert x.backend == "strict"
    assert repr(x.grad) == "tensor([2., 4.], backend='strict')"
    assert mg.backends()["strict"].usable


def test_a_numpy_scalar_beside_a_tensor_of_the_device():
    """It decides neither the backend nor, where it is as wide as the tensor, the dtype."""
    x = mg.tensor([-1.0, 2.0], backend="strict")
    np.testing.assert_array_equal(mg.maximum(np.float32(0.0), x).numpy(), [0.0, 2.0])
    np.testing.assert_array_equal(mg.where(np.True_, x, 0.0).numpy(), [-1.0, 2.0])
    np.testing.assert_array_equal(mg.where(False, x, 0.0).numpy(), [0.0, 0.0])


def test_clip_without_bounds_goes_backward():
    x = mg.tensor([-1.0, 2.0], requires_grad=True, backend="strict")
    (g,) = mg.grad(mg.clip(x).sum(), x)
    np.testing.assert_array_equal(g.numpy(), [1.0, 1.0])


WRONG_INDICES = {
    "cross_entropy: target has the index 3, but there are 3 classes":
        lambda i: F.cross_entropy(mg.zeros((2, 3)), i),
    "nll_loss: target has the index 3, but there are 3 classes":
        lambda i: F.nll_loss(mg.zeros((2, 3)), i),
    "embedding: input has the index 3, but there are 3 embeddings":
        lambda i: F.embedding(i, mg.zeros((3, 2))),
    "one_hot: tensor has the index 3, but there are 3 classes":
        lambda i: F.one_hot(i, 3),
    "max_unpool1d: indices has the index 3, but there are 3 places":
        lambda i: F.max_unpool1d(mg.zeros((1, 2)), i.reshape(1, 2), 2, 1),
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG_INDICES)
@pytest.mark.parametrize(
    "look",
    [lambda y: y.numpy(), lambda y: y.sum().item(), lambda y: bool(y.sum() == 0.0),
     lambda y: repr(y), lambda y: y.to("numpy"), lambda y: mg.ones(1).numpy()],
    ids=["numpy", "item", "bool", "repr", "to", "another"],
)  # fmt: skip
def test_a_wrong_index_is_raised_by_the_next_value_read(message, look):
    """Without waiting for the device, and once."""
    with mg.use_backend("strict"):
        wrong = mg.tensor([0, 3])
        with strict.forbid_sync():
            y = WRONG_INDICES[message](wrong)
            WRONG_INDICES[message](mg.tensor([0, 1]))  # which is right, and excuses nothing
        with pytest.raises(IndexError, match=message):
            look(y)
        assert mg.zeros(1).item() == 0.0


def test_negative_labels_are_wrong_on_the_device_too():
    with mg.use_backend("strict"):
        loss = F.cross_entropy(mg.zeros((2, 3)), mg.tensor([-1, 1]))
        with pytest.raises(IndexError, match="target has the index -1"):
            loss.item()
        assert F.cross_entropy(mg.zeros((2, 3)), mg.tensor([-100, 1])).item() > 0.0


def test_forbidding_reaches_into_a_training_step():
    """A step that reads its loss is found out."""
    with mg.use_backend("strict"):
        layer = nn.Linear(2, 1)
        with strict.forbid_sync():
            loss = layer(mg.ones((3, 2))).sum()
            loss.backward()
            with pytest.raises(strict.SynchronizationError, match="get waits for the device"):
                loss.item()
