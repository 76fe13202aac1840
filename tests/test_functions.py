"""Every public function built on the primitives, called as `tests.functions` says; every method.

A public function without an entry there fails `test_complete`.
"""

import inspect
import operator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import core
from minigrad.cases import CASES, Call, Draw
from minigrad.core import Primitive
from minigrad.gradcheck import check_rules, directional_error
from minigrad.testing import drawn
from tests.backends import BACKENDS, assert_same, on
from tests.functions import FUNCTIONS, Fixed, floats_of, of_floats, replaced
from tests.oracles import assert_derivatives_are_of_one_function
from tests.strategies import CALLS, FUNCTION_CALLS, indices

NAMES = sorted(FUNCTIONS)
seeds = st.integers(0, 2**32 - 1)

# Public names that compute no derivative of an argument.
CREATION = {
    "arange", "as_tensor", "bernoulli", "empty", "eye", "full", "full_like", "linspace", "ones",
    "ones_like", "rand", "randint", "randn", "randperm", "tensor", "zeros", "zeros_like",
}  # fmt: skip
WITHOUT_GRADIENT = {
    "argmax", "argmin", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "isfinite", "isnan", "F.one_hot",
}  # fmt: skip
MACHINERY = {
    "Tensor", "BackendError", "GradcheckError", "backends", "manual_seed", "set_backend",
    "set_default_dtype", "use_backend", "checkpoint", "hessian", "hvp", "jacobian", "jvp", "vjp",
    "grad", "primitive", "detect_anomaly", "gradcheck", "gradgradcheck", "enable_grad",
    "is_grad_enabled", "no_grad", "load", "save",
}  # fmt: skip


def test_complete():
    public = {name: f for name, f in vars(mg).items() if callable(f) and name[0] != "_"}
    public |= {f"F.{name}": getattr(F, name) for name in F.__all__}
    primitives = {name for name, f in public.items() if isinstance(f, Primitive)}
    assert primitives - WITHOUT_GRADIENT <= set(CASES)
    others = set(public) - primitives - CREATION - WITHOUT_GRADIENT - MACHINERY
    assert others == set(FUNCTIONS)


def test_functional_says_all_its_names():
    functions = {name for name, f in vars(F).items() if inspect.isfunction(f) and name[0] != "_"}
    assert set(F.__all__) == functions


def a_call(data, name):
    """A drawn call of a function as a function of its floats, and the floats."""
    entry = FUNCTIONS[name]
    call = data.draw(FUNCTION_CALLS[name])
    return of_floats(entry.function, call), floats_of(call)


def takes_several(name):
    """Whether there can be more than one array of floats in a call, as far as some calls tell."""
    draw = Draw(np.random.default_rng(0))
    return any(len(floats_of(FUNCTIONS[name].case(draw))) > 1 for _ in range(20))


SEVERAL = [name for name in NAMES if takes_several(name)]


def pulled_back(f, floats, seed):
    """The values of f, and the gradients of ⟨v, f⟩ for a random v that the seed tells."""
    rng = np.random.default_rng(seed)
    leaves = [x if isinstance(x, mg.Tensor) else mg.Tensor(x, requires_grad=True) for x in floats]
    ys = f(*leaves)
    dtype = leaves[0].dtype
    v = [rng.standard_normal(y.shape).astype(dtype) for y in ys]
    v = [on(leaves[0].backend, np.asarray(one)) for one in v]
    return ys, mg.grad(ys, leaves, v)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), seed=seeds)
def test_derivatives(name, data, seed):
    """To second order; in shape and dtype; alike on arrays and on Tensors; linear.

    Nothing writes into an argument.
    """
    f, floats = a_call(data, name)
    before = [x.copy() for x in floats]
    assert directional_error(f, floats, 1, seed) <= 1e-6
    assert directional_error(f, floats, 2, seed) <= 1e-4
    check_rules(f, floats, "float64")
    check_rules(f, floats, "float32")
    for x, kept in zip(floats, before, strict=True):
        np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), seed=seeds)
def test_duality_and_symmetry(name, data, seed):
    f, floats = a_call(data, name)
    assert_derivatives_are_of_one_function(
        lambda *xs: mg.concatenate([y.reshape(-1) for y in f(*xs)]), floats, seed
    )


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), seed=seeds)
def test_float32_stays_float32(name, data, seed):
    """Also what the rules return, before the engine casts it; and the numbers are the same."""
    f, floats = a_call(data, name)
    narrow = [x.astype("float32") for x in floats]
    raw = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "on_rule", lambda node, i, d: raw.append(d.dtype))
        found = pulled_back(f, narrow, seed)
    assert set(raw) <= {np.dtype("float32")}
    wide = pulled_back(f, [x.astype("float64") for x in narrow], seed)
    for some, exact in zip(found, wide, strict=True):
        for a, b in zip(some, exact, strict=True):
            assert a.dtype == np.float32
            scale = 1.0 + np.abs(b.array).max(initial=0.0)
            np.testing.assert_allclose(a.array, b.array, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("backend", BACKENDS[1:])
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), seed=seeds)
def test_same_on_every_backend(name, backend, data, seed):
    f, floats = a_call(data, name)
    random = name in ("F.dropout", "F.dropout2d") and backend == "cupy"
    found = pulled_back(f, [on(backend, x) for x in floats], seed)
    expected = pulled_back(f, floats, seed)
    for some, others in zip(found, expected, strict=True):
        for a, b in zip(some, others, strict=True):
            assert a.backend == backend
            if random:  # its generator is another
                assert a.shape == b.shape
            else:
                assert_same(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SEVERAL)
@given(data=st.data(), seed=seeds)
def test_one_tensor_for_two_arguments(name, data, seed):
    """f(x, x): the gradients of both arguments arrive at the one leaf."""
    f, floats = a_call(data, name)
    i, j = _alike(floats)
    if j is None:
        return
    with np.errstate(all="ignore"):  # x may lie outside of what the other argument wants
        apart = [x.copy() for x in floats]
        apart[j] = floats[i].copy()
        _, gradients = pulled_back(f, apart, seed)
        leaves = [mg.Tensor(x, requires_grad=True) for x in apart]
        leaves[j] = leaves[i]
        _, together = pulled_back(f, leaves, seed)
    np.testing.assert_allclose(
        together[i].array, gradients[i].array + gradients[j].array, rtol=1e-10, atol=1e-10
    )


def _alike(floats):
    """Positions of two arrays of one shape, or None twice."""
    seen: dict[tuple, int] = {}
    for j, x in enumerate(floats):
        if x.shape in seen:
            return seen[x.shape], j
        seen[x.shape] = j
    return None, None


@pytest.mark.parametrize("name", [name for name in SEVERAL if not name.startswith("F.")])
@given(data=st.data(), seed=seeds)
def test_mixed_dtypes_promote(name, data, seed):
    """float32 beside float64 computes in float64; each gradient has its argument's dtype."""
    f, floats = a_call(data, name)
    mixed = [x.astype("float32") if i % 2 else x for i, x in enumerate(floats)]
    ys, gradients = pulled_back(f, mixed, seed)
    wide = [x.astype("float64") for x in mixed]
    exact, expected = pulled_back(f, wide, seed)
    for y, z in zip(ys, exact, strict=True):
        assert_same(y, z)
    for g, h, x in zip(gradients, expected, mixed, strict=True):
        assert g.dtype == x.dtype
        np.testing.assert_allclose(g.array, h.array.astype(x.dtype), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in SEVERAL if name.startswith("F.")])
@given(data=st.data())
def test_mixed_dtypes_in_a_layer_raise(name, data):
    f, floats = a_call(data, name)
    if len(floats) < (4 if name == "F.batch_norm" else 2):  # running statistics may differ
        return
    mixed = [mg.Tensor(x.astype("float32") if i else x) for i, x in enumerate(floats)]
    with pytest.raises(TypeError, match="one dtype"):
        f(*mixed)


# ---------------------------------------------------------------------------------------------
# The same as NumPy, as PyTorch, as methods and as operators
# ---------------------------------------------------------------------------------------------


def public_call(data, name):
    """A function of `minigrad`, primitive or not, and a drawn call of it."""
    entry = FUNCTIONS.get(name)
    call = data.draw(FUNCTION_CALLS[name] if entry else CALLS[name])
    return (entry.function if entry else getattr(mg, name)), call


def on_tensors(call):
    """The arguments and parameters of a call, floats as leaves and masks and indices as Tensors."""

    def leaf(x):
        return mg.Tensor(x, x.dtype.kind == "f") if isinstance(x, np.ndarray) else x

    return replaced(call.args, leaf), replaced(call.params, leaf)


def listed(ys):
    return ys if isinstance(ys, list) else [ys]


ARRAY_FUNCTIONS = sorted(
    name
    for name in {*FUNCTIONS, *CASES}
    if callable(getattr(mg, name, None)) and (hasattr(np, name) or name == "norm")
)


@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
@given(data=st.data())
def test_computes_what_numpy_does(name, data):
    """Under NumPy's argument names; and NumPy's function of a Tensor is the one here."""
    function, call = public_call(data, name)
    namesake = np.linalg.norm if name == "norm" else getattr(np, name)
    expected = listed(namesake(*call.args, **call.params))
    args, params = on_tensors(call)
    found = listed(function(*args, **params))
    dispatched = listed(namesake(*args, **params))
    for y, d, z in zip(found, dispatched, expected, strict=True):
        z = np.asarray(z)
        assert isinstance(d, mg.Tensor)
        assert y.shape == d.shape == z.shape
        assert y.dtype == z.dtype
        assert y.requires_grad == d.requires_grad == (z.dtype.kind == "f")
        np.testing.assert_allclose(y.array, z, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(d.array, y.array)


# The names under which PyTorch keeps what is no longer, or never was, in torch.nn.functional.
ELSEWHERE_IN_TORCH = {
    "F.sigmoid", "F.tanh", "F.rnn_tanh_cell", "F.rnn_relu_cell", "F.lstm_cell", "F.gru_cell",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("F.")])
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's advice
@settings(max_examples=settings().max_examples // 2)
@given(data=st.data(), seed=seeds)
def test_computes_what_pytorch_does(name, data, seed):
    """Values and gradients, under PyTorch's argument names and in its order."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    home = torch if name in ELSEWHERE_IN_TORCH else torch.nn.functional
    call = data.draw(FUNCTION_CALLS[name])
    if "dropout" in name:  # what is random there is random here, in another way
        call = Call(call.args, {**call.params, "training": False})
    if name == "F.batch_norm":  # running statistics have no gradient there
        x, *running, weight, bias = call.args
        running = [Fixed(r) if isinstance(r, np.ndarray) else r for r in running]
        call = Call((x, *running, weight, bias), call.params)
    if "unpool" in name:  # of two values for one place PyTorch takes either, we the mean
        assume(all(len(set(row)) == len(row) for row in _planes(call.args[1], int(name[-2]))))

    def tensor(x):
        if isinstance(x, Fixed):
            return torch.tensor(np.array(x.values, order="C"))
        if not isinstance(x, np.ndarray):
            return x
        return torch.tensor(np.array(x, order="C"), requires_grad=x.dtype.kind == "f")

    args, params = replaced(call.args, tensor), replaced(call.params, tensor)
    leaves = []
    replaced((args, params), lambda x: leaves.append(x) if _is_leaf(x) else None)
    rng = np.random.default_rng(seed)
    try:
        results = getattr(home, name.removeprefix("F."))(*args, **params)
        ys = results if isinstance(results, (tuple, list)) else [results]
        ys = [y for y in ys if y.is_floating_point()]
        v = [torch.tensor(np.asarray(rng.standard_normal(y.shape))) for y in ys]
        expected = torch.autograd.grad(ys, leaves, v, allow_unused=True)
    except (RuntimeError, ValueError, TypeError, IndexError):
        assume(False)  # PyTorch takes fewer calls: not all empty batches, no cell without a batch
    found, gradients = pulled_back(of_floats(FUNCTIONS[name].function, call), floats_of(call), seed)
    for a, b in zip([*found, *gradients], [*ys, *expected], strict=True):
        b = np.zeros(a.shape) if b is None else b.detach().numpy()
        assert a.shape == b.shape
        np.testing.assert_allclose(a.array, b, rtol=1e-9, atol=1e-9)


def _planes(indices, dims):
    """The indices of each channel of each sample, as rows."""
    size = np.prod(indices.shape[-dims:], dtype=int)
    return indices.reshape(-1, size) if size else []


def _is_leaf(x):
    return getattr(x, "requires_grad", False)


METHODS = sorted(
    name
    for name, f in vars(mg.Tensor).items()
    if inspect.isfunction(f) and name in ARRAY_FUNCTIONS
)
OTHER_METHODS = {
    "argmax", "argmin", "item", "numpy", "detach",  # without a gradient
    "astype", "to",  # the primitives astype and transfer, by a name or a dtype
    "backward", "requires_grad_", "retain_grad", "register_hook",
}  # fmt: skip
OPERATORS = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "floor_divide": operator.floordiv, "remainder": operator.mod,
    "power": operator.pow, "matmul": operator.matmul,
}  # fmt: skip


def test_complete_methods():
    methods = {name for name, f in vars(mg.Tensor).items() if inspect.isfunction(f)}
    assert {name for name in methods if name[0] != "_"} == {*METHODS, *OTHER_METHODS}
    reflected = {name for name in methods if f"__r{name[2:]}" in methods}
    arithmetic = {f"__{f.__name__}__" for f in OPERATORS.values()}
    assert reflected == arithmetic | {"__and__", "__or__", "__xor__"}


def assert_one_function(f, g, *args):
    """f and g agree in values and gradients, to the last bit."""
    leaves = [x for x in args if isinstance(x, mg.Tensor) and x.requires_grad]
    y, z = f(*args), g(*args)
    assert y.dtype == z.dtype
    np.testing.assert_array_equal(y.array, z.array)
    ones = np.ones(y.shape)
    pairs = zip(mg.grad(y, leaves, ones), mg.grad(z, leaves, ones), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a.array, b.array)


@pytest.mark.parametrize("name", METHODS)
@given(data=st.data())
def test_a_method_is_the_function(name, data):
    function, call = public_call(data, name)
    args, params = on_tensors(call)

    def method(x, *rest):
        if name not in ("reshape", "transpose"):
            return getattr(x, name)(*rest, **params)
        (wanted,) = params.values()
        one_by_one = data.draw(st.booleans()) and isinstance(wanted, tuple)
        return getattr(x, name)(*wanted) if one_by_one else getattr(x, name)(wanted)

    assert_one_function(lambda *xs: function(*xs, **params), method, *args)


@pytest.mark.parametrize("name", OPERATORS)
@given(data=st.data())
def test_an_operator_is_the_function(name, data):
    """Between Tensors, and with an array or a number on either side."""
    function, call = public_call(data, name)
    a, b = on_tensors(call)[0]
    kind = data.draw(st.sampled_from(["both", "left", "right", "number left", "number right"]))
    if kind == "left" or (kind == "number right" and name != "matmul"):
        b = call.args[1] if kind == "left" else 2.0
    elif isinstance(b, mg.Tensor) and kind in ("right", "number left"):
        a = call.args[0] if kind == "right" or name == "matmul" else 2.0
    assert_one_function(function, OPERATORS[name], a, b)


@given(data=st.data())
def test_other_operators_are_functions(data):
    _, call = public_call(data, "abs")
    ((x,), _) = on_tensors(call)
    assert_one_function(mg.negative, operator.neg, x)
    assert_one_function(mg.abs, operator.abs, x)
    assert_one_function(mg.transpose, lambda x: x.T, x)
    assert +x is x


@given(data=st.data(), seed=seeds)
def test_indexing_takes_arrays_tensors_and_lists(data, seed):
    """Values as NumPy's; the gradient of an element counts how often the index names it."""
    x = data.draw(drawn(lambda draw: draw.array(draw.any_shape())))
    index = data.draw(indices(x.shape))

    def other(part):
        if not isinstance(part, np.ndarray):
            return part
        makes = [np.asarray, mg.Tensor] + ([np.ndarray.tolist] if part.size else [])
        return data.draw(st.sampled_from(makes))(part)

    spelled = tuple(other(part) for part in index)
    leaf = mg.Tensor(x, requires_grad=True)
    y = leaf[spelled[0] if len(spelled) == 1 else spelled]
    np.testing.assert_array_equal(y.array, x[index])
    v = np.random.default_rng(seed).standard_normal(y.shape)
    (g,) = mg.grad(y, leaf, v)
    expected = np.zeros(x.shape)
    np.add.at(expected, index, v)
    np.testing.assert_allclose(g.array, expected, rtol=0, atol=1e-12)
