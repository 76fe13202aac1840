"""`Tensor`: what it says of itself, NumPy's protocol, and what it refuses."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from tests.test_elementwise import same


def leaf(*values):
    return mg.tensor(np.array(values), requires_grad=True)


def test_attributes():
    x = mg.tensor(np.zeros((2, 3), dtype=np.float32), requires_grad=True)
    assert (x.shape, x.ndim, x.size, x.dtype, x.backend) == ((2, 3), 2, 6, np.float32, "numpy")
    assert x.is_leaf
    assert x.requires_grad
    assert x.grad is None
    assert not (x * 2.0).is_leaf
    assert len(x) == 2
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)


def test_tensor_shares_memory_and_copies():
    a = np.arange(3.0)
    shared, copied = mg.Tensor(a), mg.tensor(a)
    a[0] = 9.0
    assert shared.array is a
    assert copied.array[0] == 0.0
    assert mg.Tensor(shared).array is a
    assert shared.detach().array is a
    assert shared.numpy() is a
    assert mg.Tensor(np.float32(2.0)).shape == ()


def test_conversions():
    x = mg.tensor(2.5)
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert isinstance(mg.tensor(3).item(), int)
    assert mg.tensor([[4]]).item() == 4
    assert not mg.tensor(0.0)


def test_repr():
    assert repr(mg.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(leaf(1.0)) == "tensor([1.], dtype=float64, requires_grad=True)"
    assert repr(leaf(1.0) * 2.0) == "tensor([2.], dtype=float64, from multiply)"
    assert repr(mg.tensor([1, 2])) == "tensor([1, 2])"


def test_detach_and_requires_grad():
    x = leaf(1.0)
    y = (x * 2.0).detach()
    assert y.is_leaf
    assert not y.requires_grad
    assert y.requires_grad_() is y
    assert y.requires_grad
    y.requires_grad = False
    assert not (y * 2.0).requires_grad


def test_to_and_astype():
    x = leaf(1.0, 2.0)
    assert x.to("numpy") is x
    assert x.to("float64") is x
    assert x.astype(np.float64) is x
    y = x.to("float32")
    assert y.dtype == np.float32
    (g,) = mg.grad(y.sum(), x)
    assert g.dtype == np.float64
    assert not x.astype("int64").requires_grad
    with pytest.raises(TypeError, match="to: dtype wants a NumPy dtype or its name, got 'nowhere'"):
        x.to("nowhere")
    with pytest.raises(TypeError, match=r"astype: dtype wants floats, .*, got complex128"):
        x.astype(complex)


def test_equality_is_elementwise_and_hash_by_identity():
    x, y = leaf(1.0), leaf(1.0)
    assert (x == y).array.all()
    assert len({x, y, x}) == 2


def test_rebinding_operators():
    x = leaf(1.0, 2.0)
    t = x
    t += 1.0
    t *= 2.0
    t -= 1.0
    t /= 2.0
    t **= 2.0
    assert t is not x
    np.testing.assert_array_equal(x.array, [1.0, 2.0])
    (g,) = mg.grad(t.sum(), x)
    np.testing.assert_array_equal(g.array, [3.0, 5.0])


def test_copies():
    x = leaf(1.0, 2.0)
    x.grad = mg.tensor([3.0, 4.0])
    twin = copy.deepcopy(x)
    assert twin.requires_grad
    assert not np.shares_memory(twin.array, x.array)
    assert not np.shares_memory(twin.grad.array, x.grad.array)
    np.testing.assert_array_equal(twin.grad.array, [3.0, 4.0])
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]
    with pytest.raises(RuntimeError, match=r"deepcopy: only leaves .*\.detach\(\)"):
        copy.deepcopy(x * 2.0)
    with pytest.raises(RuntimeError, match=r"pickle: only leaves .*\.detach\(\)"):
        pickle.dumps(x * 2.0)


def test_a_stored_tensor_works_in_another_process():
    """Births are counted anew in each process; a stored one would look younger than its results."""
    for _ in range(100):
        x = leaf(2.0)
    code = (
        "import pickle, sys; import minigrad as mg\n"
        "x = pickle.load(sys.stdin.buffer)\n"
        "(x * x).sum().backward(); print(x.grad.item())"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(x), capture_output=True)
    assert done.stdout.decode().strip() == "4.0", done.stderr.decode()


# ---------------------------------------------------------------------------------------------
# NumPy's protocol
# ---------------------------------------------------------------------------------------------


def test_numpy_functions_stay_differentiable():
    a, x = np.array([[1.0, 2.0], [3.0, 4.0]]), leaf(0.5, 0.25)
    results = {
        "exp": (np.exp(x), np.exp(x.array)),
        "array * t": (a * x, a * x.array),
        "t * array": (x * a, a * x.array),
        "array @ t": (a @ x, a @ x.array),
        "t @ array": (x @ a, x.array @ a),
        "array - t": (a - x, a - x.array),
        "array ** t": (a**x, a**x.array),
        "scalar / t": (np.float64(2.0) / x, 2.0 / x.array),
        "concatenate": (np.concatenate([x, a[0]]), np.concatenate([x.array, a[0]])),
        "sum": (np.sum(x, axis=0, keepdims=True), np.sum(x.array, axis=0, keepdims=True)),
        "norm": (np.linalg.norm(x), np.linalg.norm(x.array)),
        "where": (np.where(a > 2.0, x, 0.0), np.where(a > 2.0, x.array, 0.0)),
        "einsum": (np.einsum("ij,j->i", a, x), a @ x.array),
        "mean": (np.mean(x), np.mean(x.array)),
        "stack": (np.stack([x, a[0]]), np.stack([x.array, a[0]])),
        "take": (np.take(x, [1, 1]), x.array[[1, 1]]),
    }
    for name, (y, expected) in results.items():
        assert isinstance(y, mg.Tensor), name
        assert y.requires_grad, name
        np.testing.assert_allclose(y.array, expected, err_msg=name)
        assert mg.grad(y.sum(), x)[0].shape == (2,), name


def test_numpy_creation_like_a_tensor():
    x = mg.tensor([[1.0, 2.0]])
    same(np.zeros_like(x), np.zeros((1, 2), np.float32))
    same(np.ones_like(x), np.ones((1, 2), np.float32))
    same(np.full_like(x, 7), np.full((1, 2), 7, np.float32))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda x: np.linalg.det(x), r"np\.linalg\.det"),
        (lambda x: np.sort(x), r"np\.sort"),
        (lambda x: np.floor(x), r"np\.floor"),
        (lambda x: np.put(x, [0], [1.0]), r"np\.put"),
        (lambda x: np.add.reduce(x), r"np\.add\.reduce"),
        (lambda x: np.add.at(x, [0], 1.0), r"np\.add\.at"),
        (lambda x: np.allclose(x, x), r"np\.(allclose|isclose)"),
        (lambda x: np.copyto(np.zeros((2, 2)), x), r"np\.copyto"),
        (lambda x: np.fft.fft(x), r"np\.fft\.fft"),
        (lambda x: np.add(x, x, where=True), r"np\.add: argument 'where'"),
        (lambda x: np.exp(x, dtype="f4"), r"np\.exp: argument 'dtype'"),
        (lambda x: np.sum(x, dtype="f4"), "sum: unexpected keyword argument 'dtype'"),
        (lambda x: np.sum(x, where=True), "sum: unexpected keyword argument 'where'"),
    ],
)
def test_unsupported_numpy_functions_are_named(call, named):
    with pytest.raises(TypeError, match=f"^{named}"):
        call(leaf(1.0, 2.0))


def test_out_and_in_place_operators_are_refused():
    x, a = leaf(1.0, 2.0), np.zeros(2)
    for call in (
        lambda: np.exp(x, out=a),
        lambda: np.add(a, a, out=x),
        lambda: a.__iadd__(x),
        lambda: a.__imul__(x),
    ):
        with pytest.raises(TypeError, match=r"^np\.\w+: out= \(or an in-place operator\)"):
            call()
    with pytest.raises(TypeError, match="out"):
        np.sum(x, out=a)
    np.testing.assert_array_equal(a, 0.0)


def test_setitem_names_the_alternatives():
    for x in (leaf(1.0, 2.0), mg.tensor([1.0, 2.0])):
        with pytest.raises(TypeError, match=r"t\[i\] = v .*where, concatenate, stack or pad"):
            x[0] = 1.0


def test_asarray():
    x = mg.tensor([1.0, 2.0])
    assert np.asarray(x) is x.array
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.array)
    for convert in (np.asarray, np.array, lambda t: np.array([t, t]), lambda t: mg.tensor([t])):
        with pytest.raises(TypeError, match=r"requires a gradient.*\.detach\(\) or \.numpy\(\)"):
            convert(leaf(1.0, 2.0))
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float64, copy=False)


def test_there_is_no_data_attribute():
    with pytest.raises(AttributeError):
        leaf(1.0).data
    with pytest.raises(AttributeError):
        leaf(1.0).anything = 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mg.Tensor([1.0]), TypeError, "Tensor: array wants a NumPy or CuPy array, got li"),
        (lambda: mg.Tensor(np.array(["a"])), TypeError, "Tensor: array wants floats, ints or"),
        (lambda: mg.Tensor(np.array([1j])), TypeError, "Tensor: array wants .* got complex128"),
        (lambda: mg.Tensor(np.array([1]), requires_grad=True), TypeError, "requires_grad: wants a"),
        (lambda: mg.tensor([1.0, 2.0]).item(), ValueError, r"item: wants .* got shape \(2,\)"),
        (lambda: bool(mg.tensor([1.0, 2.0])), ValueError, r"bool: the truth .* shape \(2,\)"),
        (lambda: float(mg.tensor([1.0, 2.0])), ValueError, "item: wants a tensor with one element"),
        (lambda: len(mg.tensor(1.0)), TypeError, "len: a tensor without axes has no length"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_methods_are_the_functions():
    x = np.random.default_rng(0).standard_normal((3, 3))
    t = mg.tensor(x)
    for name, args in {
        "sum": (0,), "mean": (1,), "var": (0, True, 1), "std": (0, True, 1), "prod": (0,),
        "max": (1,), "min": (1,), "argmax": (1,), "argmin": (1,), "cumsum": (1,),
        "clip": (-0.5, 0.5), "reshape": (9, 1), "ravel": (), "transpose": (1, 0),
        "swapaxes": (0, 1), "squeeze": (), "repeat": (2, 0), "take": ([0, 2], 1),
        "diagonal": (1,), "trace": (1,),
    }.items():  # fmt: skip
        function, method = getattr(mg, name), getattr(t, name)
        y = function(t, args) if name in ("reshape", "transpose") else function(t, *args)
        np.testing.assert_array_equal(method(*args).array, y.array, err_msg=name)
