"""The engine: graphs, the backward pass, hooks, recording, primitives of one's own."""

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import tests.strict  # noqa: F401, registers the backend
from minigrad.core import registry
from minigrad.recording import is_grad_enabled


def leaf(*values, dtype="float64"):
    return mg.tensor(np.array(values, dtype=dtype), requires_grad=True)


@pytest.fixture
def no_collector():
    """Only reference counting frees memory inside the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# ---------------------------------------------------------------------------------------------
# Accumulation
# ---------------------------------------------------------------------------------------------


def test_diamond_waits_for_all_users():
    a = leaf(3.0)
    b = a + a
    c = b + b * b  # the cotangent of b comes by three ways
    c.sum().backward()
    np.testing.assert_array_equal(a.grad.array, [2.0 * (1.0 + 2.0 * 6.0)])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_any_graph_of_sums_counts_its_paths(edges):
    """Each new node adds two earlier ones: the gradient is the number of paths to the leaf."""
    x = leaf(1.0)
    nodes, paths = [x], [1]
    for i, j in edges:
        i, j = i % len(nodes), j % len(nodes)
        nodes.append(nodes[i] + nodes[j])
        paths.append(paths[i] + paths[j])
    nodes[-1].backward(np.ones(1))
    assert x.grad.item() == paths[-1]


def test_backward_accumulates_in_leaves_only():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * w
    for times in (1, 2, 3):
        (x * w).sum().backward()
        np.testing.assert_array_equal(x.grad.array, times * w.array)
    h.sum().backward()
    assert h.grad is None


def test_constants_get_no_gradient():
    x, c = leaf(1.0), mg.tensor([2.0])
    (x * c).sum().backward()
    assert c.grad is None
    assert not (c * c).requires_grad


def test_retain_grad():
    x = leaf(1.0, 2.0)
    h = x * x
    h.retain_grad()
    (h * 3.0).sum().backward(retain_graph=True)
    np.testing.assert_array_equal(h.grad.array, [3.0, 3.0])
    (h * 3.0).sum().backward()
    np.testing.assert_array_equal(h.grad.array, [6.0, 6.0])
    np.testing.assert_array_equal(x.grad.array, [12.0, 24.0])


def test_accumulation_never_writes_into_a_shared_array():
    """add hands one cotangent to both arguments; adding to one must not change the other."""
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = np.array([1.0, 10.0])
    y = a + b
    z = y + a + a + a
    z.backward(seed, retain_graph=True)
    np.testing.assert_array_equal(a.grad.array, 4.0 * seed)
    np.testing.assert_array_equal(b.grad.array, seed)
    kept = b.grad.array.copy()
    z.backward(seed)
    np.testing.assert_array_equal(a.grad.array, 8.0 * seed)
    np.testing.assert_array_equal(b.grad.array, 2.0 * kept)
    np.testing.assert_array_equal(seed, [1.0, 10.0])


def test_second_pass_leaves_earlier_gradients_alone():
    a, b = leaf(1.0), leaf(1.0)
    (a + b).backward(np.ones(1))
    first_a, first_b = a.grad, b.grad
    (a + a + b).backward(np.ones(1))
    assert (first_a.item(), first_b.item()) == (1.0, 1.0)
    assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)


def test_the_callers_gradient_is_copied():
    x = leaf(1.0, 2.0)
    v = np.ones(2)
    (x + 0.0).backward(v)
    v[:] = 7.0
    np.testing.assert_array_equal(x.grad.array, [1.0, 1.0])


def test_both_arguments_the_same_tensor():
    x = leaf(3.0)
    (x * x).backward(np.ones(1))
    assert x.grad.item() == 6.0


def test_gradients_have_the_dtype_of_their_argument():
    x, w = leaf(1.0, 2.0, dtype="float32"), leaf(3.0, 4.0)
    y = x * w
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad.dtype == np.float32
    assert w.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad.array, [3.0, 4.0])


# ---------------------------------------------------------------------------------------------
# What is evaluated, and what is freed
# ---------------------------------------------------------------------------------------------


@mg.primitive
def product(a, b):
    return a * b


def test_rules_run_only_on_paths_that_want_a_gradient():
    @mg.primitive
    def half_known(a, b):
        return a * b

    def refuse(g, y, a, b):
        raise AssertionError("nobody asked for this gradient")

    half_known.vjps(lambda g, y, a, b: g * b, refuse)
    x, constant = leaf(2.0), mg.tensor([5.0])
    y = half_known(x, constant)
    y.backward(np.ones(1))
    assert x.grad.item() == 5.0
    # b is tracked, but `grad` asks for a alone, directly and behind another operation
    a, b = leaf(2.0), leaf(3.0)
    assert mg.grad(half_known(a, b), a, np.ones(1))[0].item() == 3.0
    assert mg.grad(half_known(a * 2.0, b * 2.0), a, np.ones(1))[0].item() == 12.0
    with pytest.raises(AssertionError, match="nobody asked"):
        mg.grad(half_known(a, b), b, np.ones(1))


def test_a_chain_of_100000_operations():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward(np.ones(1))
    assert x.grad.item() == 1.0
    z = x
    for _ in range(100_000):
        z = z * 1.0
    assert z.item() == 1.0
    del z  # freed without a backward pass, and without recursion either


def test_arrays_die_with_the_loss(no_collector):
    x = leaf(1.0, 2.0)
    h = mg.exp(x)
    loss = (h * h).sum()
    array = weakref.ref(h.array)
    del h
    assert array() is not None
    del loss
    assert array() is None


def test_backward_drops_the_graph_while_the_loss_lives(no_collector):
    x = leaf(1.0, 2.0)
    alive = []
    h = mg.exp(x)
    deep = weakref.ref(h.array)
    k = h * h
    shallow = weakref.ref(k.array)
    x.register_hook(lambda g: alive.append((deep() is not None, shallow() is not None)))
    loss = (k * 1.0).sum()
    del h, k
    loss.backward()
    assert alive == [(False, False)], "when the leaf is reached the results behind it are gone"
    assert deep() is shallow() is None
    np.testing.assert_allclose(x.grad.array, 2.0 * np.exp(2.0 * x.array))


def test_recorded_gradients_are_freed_by_counting_alone(no_collector):
    x = leaf(1.0, 2.0)
    y = mg.exp(x * x).sum()
    (g,) = mg.grad(y, x, create_graph=True)
    array = weakref.ref(g.array)
    del y, g
    assert array() is None


def test_a_second_backward_on_a_freed_graph_is_refused():
    x = leaf(2.0)
    h = x * x
    y = h * 3.0
    y.backward(np.ones(1))
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward.*retain_graph=True"):
        y.backward(np.ones(1))
    with pytest.raises(RuntimeError, match="already freed"):
        (h + 1.0).backward(np.ones(1))
    with pytest.raises(RuntimeError, match="already freed"):
        mg.grad(y, x, np.ones(1))
    assert x.grad.item() == 12.0


def test_retain_graph():
    x = leaf(2.0)
    y = x * x * x
    for times in (1, 2):
        y.backward(np.ones(1), retain_graph=True)
        assert x.grad.item() == 12.0 * times
    y.backward(np.ones(1))
    assert x.grad.item() == 36.0


def test_overwritten_arguments_are_refused():
    w, x = leaf(2.0), leaf(3.0)
    y = w * x
    w.overwrite(np.array([5.0]))
    for run in (
        lambda: y.backward(np.ones(1)),
        lambda: mg.grad(y, w, np.ones(1), allow_unused=True),
        lambda: mg.grad(y, x, np.ones(1)),
    ):
        with pytest.raises(RuntimeError, match=r"multiply .* was overwritten in place"):
            run()
    assert w.array.item() == 5.0
    (w * x).backward(np.ones(1))  # recorded afterwards
    assert x.grad.item() == 5.0


def test_overwriting_elsewhere_does_not_matter():
    w, x = leaf(2.0), leaf(3.0)
    y = x * x + w * w
    w.overwritten()
    assert mg.grad(y, x, np.ones(1))[0].item() == 6.0


# ---------------------------------------------------------------------------------------------
# grad
# ---------------------------------------------------------------------------------------------


def test_grad_writes_nothing_and_can_be_repeated():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    first = mg.grad(y, x, retain_graph=True)[0]
    second = mg.grad(y, x)[0]
    np.testing.assert_array_equal(first.array, second.array)
    assert x.grad is None
    assert not first.requires_grad


def test_grad_of_intermediate_results():
    x = leaf(1.0, 2.0)
    h = x * x
    y = (h * h).sum()
    of_h, of_x = mg.grad(y, [h, x])
    np.testing.assert_array_equal(of_h.array, 2.0 * h.array)
    np.testing.assert_array_equal(of_x.array, 4.0 * x.array**3)


def test_grad_of_several_outputs():
    x = leaf(1.0, 2.0)
    outputs = [(x * x).sum(), x * 3.0]
    (g,) = mg.grad(outputs, x, [None, np.array([1.0, 10.0])])
    np.testing.assert_array_equal(g.array, [5.0, 34.0])
    y = x.sum()
    np.testing.assert_array_equal(mg.grad([y, y], [x, x])[1].array, [2.0, 2.0])


def test_grad_of_an_intermediate_result_leaves_its_graph_whole():
    x = leaf(2.0)
    h = x * x
    (g,) = mg.grad((h * 3.0).sum(), h)
    assert g.item() == 3.0
    h.sum().backward()  # what made h was not part of the pass
    assert x.grad.item() == 4.0


def test_a_graph_freed_in_the_middle_of_a_pass_is_not_passed_over():
    x = leaf(2.0)
    h = x * x
    y, other = h * 1.0, h.sum()
    y.register_hook(lambda g: other.backward())
    with pytest.raises(RuntimeError, match="result of multiply was already freed"):
        y.sum().backward()


def test_grad_takes_any_iterable():
    a, b = leaf(2.0), leaf(3.0)
    found = mg.grad((a * b).sum(), (x for x in (a, b)))
    assert [g.item() for g in found] == [3.0, 2.0]


def test_grad_of_an_input_that_is_the_output():
    x = leaf(1.0)
    assert mg.grad(x, x)[0].item() == 1.0


def test_unused_inputs():
    x, u = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match=r"grad: .* not depend on inputs\[1\].*allow_unused"):
        mg.grad(x * 2.0, [x, u], np.ones(1))
    g, none = mg.grad(x * 2.0, [x, u], np.ones(1), allow_unused=True)
    assert g.item() == 2.0
    assert none is None


def test_third_order():
    x = leaf(0.3, 0.7)
    y = mg.sin(x).sum()
    (d1,) = mg.grad(y, x, create_graph=True)
    (d2,) = mg.grad(d1.sum(), x, create_graph=True)
    (d3,) = mg.grad(d2.sum(), x, create_graph=True)
    np.testing.assert_allclose(d1.array, np.cos(x.array))
    np.testing.assert_allclose(d2.array, -np.sin(x.array))
    np.testing.assert_allclose(d3.array, -np.cos(x.array))
    assert d3.requires_grad


def test_backward_with_create_graph():
    x = leaf(2.0)
    (x**3).backward(np.ones(1), create_graph=True)
    g, x.grad = x.grad, None
    g.backward(np.ones(1))
    assert g.item() == 12.0
    assert x.grad.item() == 12.0


def test_create_graph_goes_through_the_cotangent():
    x, v = leaf(2.0), leaf(3.0)
    (g,) = mg.grad(x * x, x, v, create_graph=True)
    assert mg.grad(g, v)[0].item() == 4.0


# ---------------------------------------------------------------------------------------------
# Hooks
# ---------------------------------------------------------------------------------------------


def test_a_hook_runs_once_with_the_whole_gradient():
    x = leaf(1.0)
    seen = []
    h = x * 2.0
    h.register_hook(lambda g: seen.append(g.item()))
    (h + h * 3.0 + h).backward(np.ones(1))
    assert seen == [5.0]
    assert x.grad.item() == 10.0


def test_a_hook_replaces_the_gradient():
    x, w = leaf(1.0), leaf(3.0)
    h = x * w
    h.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: mg.clip(g, -4.0, 4.0))
    h.backward(np.ones(1))
    assert (x.grad.item(), w.grad.item()) == (4.0, 10.0)


def test_hooks_run_in_order_and_can_be_removed():
    x = leaf(1.0)
    first = x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: g * 2.0)
    assert mg.grad(x * 1.0, x, np.ones(1))[0].item() == 4.0
    first.remove()
    first.remove()
    assert mg.grad(x * 1.0, x, np.ones(1))[0].item() == 2.0


def test_what_a_hook_returns_is_checked():
    x = leaf(1.0, 2.0, dtype="float32")
    handle = x.register_hook(lambda g: np.ones(3))
    with pytest.raises(ValueError, match=r"register_hook: gradient has shape \(3,\)"):
        x.sum().backward()
    handle.remove()
    x.register_hook(lambda g: np.array([5.0, 6.0]))  # float64, on a bare array
    x.sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.array, [5.0, 6.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_records_where_the_pass_does(create_graph):
    x = leaf(1.0)
    seen = []
    x.register_hook(lambda g: seen.append((is_grad_enabled(), g.is_leaf)))
    mg.grad(x * x, x, np.ones(1), create_graph=create_graph)
    assert seen == [(create_graph, not create_graph)]


def test_a_hook_may_be_differentiated():
    x = leaf(3.0)
    x.register_hook(lambda g: g * g)
    (g,) = mg.grad(x * x, x, np.ones(1), create_graph=True)  # (2x)²
    assert g.item() == 36.0
    x.hooks.clear()
    assert mg.grad(g, x, np.ones(1))[0].item() == 24.0


# ---------------------------------------------------------------------------------------------
# Recording
# ---------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest():
    x = leaf(1.0)
    with mg.no_grad():
        assert not is_grad_enabled()
        assert not (x * 2.0).requires_grad
        with mg.enable_grad():
            assert (x * 2.0).requires_grad
            with mg.no_grad():
                assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert (x * 2.0).requires_grad


def test_no_grad_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), mg.no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_one_context_object_entered_twice():
    off = mg.no_grad()
    with off:
        with off:
            assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_decorators():
    @mg.no_grad()
    def quiet(x):
        return loud(x), x * 2.0

    @mg.enable_grad()
    def loud(x):
        return x * 2.0

    a, b = quiet(leaf(1.0))
    assert a.requires_grad
    assert not b.requires_grad
    assert is_grad_enabled()

    def numbers():
        yield 1

    with pytest.raises(TypeError, match="no_grad: cannot decorate the generator numbers"):
        mg.no_grad()(numbers)


def test_recording_is_per_thread():
    seen = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
        assert not is_grad_enabled()
    assert seen == [True]


def test_results_without_gradient_are_leaves():
    x = leaf(1.0)
    with mg.no_grad():
        y = x * 2.0
    assert y.is_leaf
    assert y.args == ()
    assert (mg.tensor([1.0]) * 2.0).is_leaf


def test_comparisons_end_differentiation():
    x = leaf(1.0, -1.0)
    mask = x > 0.0
    assert mask.dtype == np.bool_
    assert not mask.requires_grad
    (x * mask).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [1.0, 0.0])


# ---------------------------------------------------------------------------------------------
# Primitives of one's own
# ---------------------------------------------------------------------------------------------


def test_a_primitive_of_ones_own():
    @mg.primitive
    def cube(x):
        """x³."""
        return x * x * x

    cube.vjps(lambda g, y, x: g * 3.0 * x * x)
    assert cube.__doc__ == "x³."
    assert repr(cube) == "<primitive cube>"
    assert "cube" not in registry
    x = leaf(2.0)
    (d1,) = mg.grad(cube(x), x, create_graph=True)
    (d2,) = mg.grad(d1, x, create_graph=True)
    (d3,) = mg.grad(d2, x)
    assert (d1.item(), d2.item(), d3.item()) == (12.0, 12.0, 6.0)
    assert isinstance(cube(np.array([2.0])), np.ndarray)


def test_vjp_all_sees_what_is_wanted():
    asked = []

    @mg.primitive
    def weighted(*xs, scale=1.0):
        return scale * xs[0] * xs[1]

    def rule(wanted, g, y, a, b, *, scale):
        asked.append(tuple(wanted))
        return [g * scale * b if wanted[0] else None, g * scale * a if wanted[1] else None]

    weighted.vjp_all(rule)
    a, b = leaf(2.0), leaf(3.0)
    weighted(a, b, scale=10.0).backward(np.ones(1))
    assert (a.grad.item(), b.grad.item()) == (30.0, 20.0)
    weighted(a, mg.tensor([1.0])).backward(np.ones(1))
    assert asked == [(True, True), (True, False)]


def test_keep_hands_arrays_to_the_first_order_rule_only():
    handed = []

    @mg.primitive
    def exponential(x, *, keep=None):
        y = np.exp(x)
        if keep is not None:
            keep["y"] = y
        return y

    def rule(g, y, x, *, keep):
        handed.append(keep is not None)
        return g * (keep["y"] if keep else y)

    exponential.vjps(rule)
    x = leaf(1.0)
    exponential(x).backward(np.ones(1))
    (g,) = mg.grad(exponential(x), x, np.ones(1), create_graph=True)
    assert handed == [True, False]
    np.testing.assert_allclose(mg.grad(g, x, np.ones(1))[0].array, np.exp(1.0))
    assert "keep" not in str(exponential(mg.tensor([1.0])).params)


def test_arguments_by_position_and_by_name():
    @mg.primitive
    def scaled(x, y=None, *, factor=2.0, offset=0.0):
        return x * factor + offset + (0.0 if y is None else y)

    scaled.vjps(lambda g, out, x, y, *, factor, offset: g * factor,
                lambda g, out, x, y, *, factor, offset: g)  # fmt: skip
    x, y = leaf(1.0), leaf(5.0)
    assert scaled(x).item() == 2.0
    assert scaled(x, y, 3.0, 1.0).item() == 9.0
    assert scaled(y=y, x=x, offset=1.0).item() == 8.0
    assert scaled(x, offset=1.0, factor=4.0).item() == 5.0
    out = scaled(x, y, factor=3.0)
    assert mg.grad(out, [x, y], np.ones(1))[0].item() == 3.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mg.exp(leaf(1.0), base=2), "exp: unexpected keyword argument 'base'"),
        (lambda: mg.sum(leaf(1.0), axes=0), "sum: unexpected keyword argument 'axes'"),
        (lambda: mg.sum(leaf(1.0), 0, axis=0), "sum: got two values for argument 'axis'"),
        (lambda: mg.add(leaf(1.0)), "add: missing argument 'b'"),
        (lambda: mg.add(1.0, 2.0, 3.0), "add: takes at most 2 arguments, got 3"),
        (lambda: mg.reshape(leaf(1.0)), "reshape: missing argument 'shape'"),
        (lambda: product.vjps(None), "product.vjps: wants 2 rules, got 1"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        call()


def test_a_missing_rule_is_named():
    @mg.primitive
    def unfinished(x):
        return x * 2.0

    y = unfinished(leaf(1.0))
    assert y.item() == 2.0
    with pytest.raises(NotImplementedError, match="unfinished: has no rule yet"):
        y.backward(np.ones(1))


def test_a_rule_that_returns_a_number_is_named():
    @mg.primitive
    def constant(x):
        return x * 0.0 + 1.0

    constant.vjps(lambda g, y, x: 0.0)
    with pytest.raises(TypeError, match="constant: the rule of argument 0 wants to return an arr"):
        constant(leaf(1.0)).backward(np.ones(1))


def test_errors_of_a_forward_name_the_primitive():
    with pytest.raises(ValueError, match=r"^add: operands could not be broadcast"):
        leaf(1.0, 2.0) + leaf(1.0, 2.0, 3.0)
    with pytest.raises(IndexError, match=r"^getitem: index 5 is out of bounds"):
        leaf(1.0)[5]


@pytest.mark.parametrize("other", [1j, np.array([None]), np.array([1j])])
def test_results_that_hold_no_gradient_are_refused(other):
    with pytest.raises(TypeError, match=r"^multiply: "):
        leaf(1.0) * other


# ---------------------------------------------------------------------------------------------
# What backward and grad refuse
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: (x * 2.0).backward(), RuntimeError, r"backward: .* output of shape \(2,\)"),
        (lambda x: mg.grad(x * 2.0, x), RuntimeError, r"grad: .* output of shape \(2,\)"),
        (lambda x: x.sum().backward(np.ones(2)), ValueError,
         r"backward: gradient has shape \(2,\), the output has shape \(\)"),
        (lambda x: (x * 2.0).backward(1.0), ValueError,
         r"backward: gradient has shape \(\), the output has shape \(2,\)"),
        (lambda x: x.sum().backward([1.0]), ValueError, r"backward: gradient has shape \(1,\)"),
        (lambda x: mg.tensor([1.0]).backward(), RuntimeError,
         "backward: the output does not require a gradient"),
        (lambda x: mg.grad(mg.tensor(1.0), x), RuntimeError, "grad: the output does not require"),
        (lambda x: mg.grad(x.sum(), mg.tensor([1.0])), RuntimeError,
         r"grad: inputs\[0\] does not require a gradient"),
        (lambda x: mg.grad(x.sum(), np.ones(2)), TypeError, "grad: inputs wants Tensors, got nd"),
        (lambda x: mg.grad(1.0, x), TypeError, "grad: outputs wants Tensors, got float"),
        (lambda x: mg.grad([1.0], x), TypeError, "grad: outputs wants Tensors, got float"),
        (lambda x: mg.grad([x.sum(), x.sum()], x, [None]), ValueError,
         "grad: got 1 grad_outputs for 2 outputs"),
        (lambda x: mg.tensor([1], requires_grad=True), TypeError,
         "requires_grad: wants a floating dtype, got int64"),
        (lambda x: mg.tensor([True]).requires_grad_(), TypeError, "requires_grad: .* got bool"),
        (lambda x: (x * 2.0).requires_grad_(False), RuntimeError,
         r"requires_grad: can only be set on leaves.*multiply.*\.detach\(\)"),
        (lambda x: mg.tensor([1.0]).retain_grad(), RuntimeError, "retain_grad: "),
        (lambda x: mg.tensor([1.0]).register_hook(print), RuntimeError, "register_hook: "),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call(leaf(1.0, 2.0))


def test_gradient_may_be_a_list_or_a_tensor():
    x = leaf(1.0, 2.0)
    (x * 2.0).backward([1.0, 2.0])
    (x * 2.0).backward(mg.tensor([1.0, 2.0]))
    np.testing.assert_array_equal(x.grad.array, [4.0, 8.0])


def test_a_gradient_from_another_backend_is_refused():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match="backward: gradient lives on 'strict', the output on 'nu"):
        (x * 2.0).backward(mg.tensor(np.ones(2, "float32")).to("strict"))
    with pytest.raises(TypeError, match="grad: gradient lives on 'numpy', the output on 'strict'"):
        mg.grad(x.to("strict") * 2.0, x, np.ones(2))
