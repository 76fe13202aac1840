"""The checkers find planted mistakes, and say where they are."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.gradcheck import directional_error

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def planted(rule):
    """x³ with the given rule."""

    @mg.primitive
    def cube(x):
        return x * x * x

    cube.vjps(rule)
    return cube


RIGHT = planted(lambda g, y, x: g * 3.0 * x * x)
WRONG = {
    "factor": planted(lambda g, y, x: g * 2.0 * x * x),
    "sign": planted(lambda g, y, x: -g * 3.0 * x * x),
    "one entry": planted(lambda g, y, x: g * 3.0 * x * x * (x != 2.0)),
    "forgets g": planted(lambda g, y, x: 3.0 * x * x),
}


def leaf(x=X):
    return mg.tensor(x, requires_grad=True)


def test_right_rules_pass():
    assert mg.gradcheck(RIGHT, leaf())
    assert mg.gradgradcheck(RIGHT, leaf())
    assert mg.gradcheck(lambda a, b: (a * b, a @ b.T), [leaf(), leaf(X + 1.0)])
    assert mg.gradcheck(lambda a, b: a * b, [leaf(), mg.tensor(X)])  # a constant is not checked


@pytest.mark.parametrize("name", ["factor", "sign", "one entry"])
def test_wrong_rules_are_caught(name):
    with pytest.raises(mg.GradcheckError, match="gradcheck: the gradient of output 0"):
        mg.gradcheck(WRONG[name], leaf())
    assert directional_error(WRONG[name], [X]) > 1e-2
    spec = testing.arrays((3, 2)).map(lambda x: np.where(x > 1.5, 2.0, x))
    with pytest.raises(mg.GradcheckError):
        testing.check_op(WRONG[name], spec)


def test_a_rule_that_forgets_the_cotangent_is_caught():
    with pytest.raises(mg.GradcheckError):
        mg.gradcheck(lambda x: mg.sin(WRONG["forgets g"](x)), leaf())


def test_the_message_shows_the_worst_entry():
    with pytest.raises(mg.GradcheckError) as caught:
        mg.gradcheck(WRONG["one entry"], leaf())
    message = str(caught.value)
    assert "output 0[0, 2] by inputs[0][0, 2]" in message
    assert "is 0 by the rules but 12" in message
    assert "1 of 36 entries differ" in message


def test_a_rule_right_to_first_order_only():
    """The value of the gradient is right, its dependence on x is cut."""
    cut = planted(lambda g, y, x: g * (3.0 * x * x if not isinstance(x, mg.Tensor) else
                                       (3.0 * x * x).detach()))
    assert mg.gradcheck(cut, leaf())
    with pytest.raises(mg.GradcheckError, match="gradgradcheck"):
        mg.gradgradcheck(cut, leaf())
    assert directional_error(cut, [X], order=1) < 1e-8
    assert directional_error(cut, [X], order=2) > 1e-2
    with pytest.raises(mg.GradcheckError, match="second derivative"):
        testing.check_op(cut, testing.arrays((3,)))


def test_a_rule_with_the_wrong_shape_or_dtype_is_put_right_by_the_engine_only_where_it_can_be():
    wrong = planted(lambda g, y, x: (g * 3.0 * x * x)[:1])
    with pytest.raises((mg.GradcheckError, ValueError)):
        mg.gradcheck(wrong, leaf())


def test_inputs_are_not_touched():
    x = leaf()
    mg.gradcheck(RIGHT, x)
    mg.gradgradcheck(RIGHT, x)
    assert x.grad is None
    np.testing.assert_array_equal(x.numpy(), X)


def test_it_works_inside_no_grad():
    with mg.no_grad():
        assert mg.gradcheck(RIGHT, leaf())
        with pytest.raises(mg.GradcheckError):
            mg.gradcheck(WRONG["factor"], leaf())


def test_an_output_that_depends_on_nothing():
    assert mg.gradcheck(lambda x: mg.zeros(2, "float64"), leaf())


def test_nan_does_not_pass():
    nan = planted(lambda g, y, x: g * float("nan"))
    with pytest.raises(mg.GradcheckError, match="is nan by the rules"):
        mg.gradcheck(nan, leaf())


def test_a_rule_that_ignores_its_constants_differs_between_arrays_and_tensors():
    two_faced = planted(
        lambda g, y, x: g * 3.0 * x * x if isinstance(g, mg.Tensor) else g * 3.0 * x * x + 1e-7
    )
    with pytest.raises(mg.GradcheckError, match="differs between arrays and Tensors"):
        testing.assert_gradients_agree(two_faced, X)


def test_gradgradcheck_takes_cotangents():
    assert mg.gradgradcheck(RIGHT, leaf(), grad_outputs=np.ones_like(X))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: mg.gradcheck(RIGHT, mg.tensor(X)), ValueError, "one input wants requires_grad"),
        (lambda: mg.gradcheck(RIGHT, leaf(X.astype("float32"))), TypeError,
         r"gradcheck: inputs\[0\] wants float64 to be checked, got float32"),
        (lambda: mg.gradcheck(lambda x: 1.0, leaf()), TypeError, "f wants to return Tensors"),
        (lambda: mg.gradcheck(lambda x: x > 0.0, leaf()), ValueError, "no floating output"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_check_op_draws_every_layout_and_shape():
    shapes, layouts = set(), set()

    def spy(x):
        shapes.add(x.ndim)
        layouts.add((x.array.flags.c_contiguous, x.array.flags.writeable))
        return x * x

    testing.check_op(spy, testing.arrays(), examples=60)
    assert shapes == {0, 1, 2, 3}
    assert {(True, True), (False, True), (True, False)} <= layouts


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_drawn_geometries_fit(dims):
    from hypothesis import find

    g = find(testing.conv_geometries(dims), lambda g: max(g.stride) > max(g.kernel))
    assert len(g.size) == dims
    spans = [d * (k - 1) + 1 for k, d in zip(g.kernel, g.dilation, strict=True)]
    assert all(n + 2 * p >= s for n, p, s in zip(g.size, g.padding, spans, strict=True))
