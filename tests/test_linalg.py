"""Products of arrays against NumPy's, with gradients against central differences."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, broadcastable_shapes, shapes
from tests.oracles import central_difference, gradients, inner, moved, random_directions


def agrees(ours, numpys, *args):
    """Values as NumPy's, on Tensors and arrays, and first and second derivatives."""
    expected = np.asarray(numpys(*args))
    y = ours(*[mg.tensor(x) for x in args])
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y.array, expected, rtol=1e-12, atol=1e-12, strict=True)
    np.testing.assert_allclose(ours(*args), expected, rtol=1e-12, atol=1e-12)
    v = np.asarray(np.random.default_rng(0).standard_normal(expected.shape))
    u, w = random_directions(args, 1), random_directions(args, 2)

    def total(*args, create_graph=False):
        found, leaves = gradients(ours, args, v, create_graph)
        return sum(mg.sum(g * d) for g, d in zip(found, w, strict=True)), leaves, found

    second, leaves, first = total(*args, create_graph=True)
    slope = sum(inner(g.array, d) for g, d in zip(first, u, strict=True))
    numeric = central_difference(lambda h: inner(numpys(*moved(args, u, h)), v), 1e-2)
    np.testing.assert_allclose(slope, numeric, rtol=1e-8, atol=1e-8)
    if len(args) > 1:
        found = mg.grad(second, leaves, allow_unused=True)
        pairs = zip(found, u, strict=True)
        curvature = sum(inner(g.array, d) for g, d in pairs if g is not None)
        numeric = central_difference(lambda h: total(*moved(args, u, h))[0].item(), 1e-2)
        np.testing.assert_allclose(curvature, numeric, rtol=1e-8, atol=1e-8)


side = st.integers(1, 3)


@given(st.data())
def test_matmul(data):
    of_a, of_b = data.draw(broadcastable_shapes(max_dims=2, max_side=3))
    n, k, m = data.draw(st.tuples(side, st.integers(0, 3), side))
    a = data.draw(st.sampled_from([(k,), (*of_a, n, k)]).flatmap(arrays))
    b = data.draw(st.sampled_from([(k,), (*of_b, k, m)]).flatmap(arrays))
    agrees(mg.matmul, np.matmul, a, b)
    for left, right in ((mg.tensor(a), b), (a, mg.tensor(b))):
        y = left @ right
        assert isinstance(y, mg.Tensor)
        np.testing.assert_allclose(y.array, a @ b, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(np.matmul(left, right).array, a @ b, rtol=1e-12, atol=1e-12)


def test_lists_are_operands():
    x = mg.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    for y in (x @ [3.0, 4.0], [3.0, 4.0] @ x, mg.dot([3.0, 4.0], x), mg.einsum("i,i", x, [3, 4])):
        np.testing.assert_array_equal(mg.grad(y, x)[0].array, [3.0, 4.0])


@given(st.data())
def test_dot(data):
    k = data.draw(side)
    a = data.draw(st.sampled_from([(), (k,), (2, k), (2, 1, k)]).flatmap(arrays))
    b = data.draw(st.sampled_from([(), (k,), (k, 2), (3, k, 2)]).flatmap(arrays))
    agrees(mg.dot, np.dot, a, b)
    np.testing.assert_allclose(mg.tensor(a).dot(b).array, np.dot(a, b), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.dot(a, mg.tensor(b)).array, np.dot(a, b), rtol=1e-12, atol=1e-12)


def test_dot_with_a_number_keeps_float32():
    x = mg.tensor([1.0, 2.0])
    assert x.dot(2.0).dtype == np.float32
    np.testing.assert_array_equal(np.dot(2.0, x).array, [2.0, 4.0])


@given(arrays(), arrays())
def test_outer(a, b):
    agrees(mg.outer, np.outer, a, b)


@given(st.data())
def test_tensordot(data):
    a = data.draw(arrays(shapes(max_side=3)))
    count = data.draw(st.integers(0, a.ndim))
    rest = data.draw(shapes(max_dims=2, max_side=3))
    b = data.draw(arrays((*a.shape[a.ndim - count :], *rest)))
    agrees(lambda a, b: mg.tensordot(a, b, count), lambda a, b: np.tensordot(a, b, count), a, b)
    of_a = data.draw(st.permutations(range(a.ndim)))[:count]
    of_b = data.draw(st.permutations(range(count)))
    b = data.draw(arrays(tuple(np.array(a.shape)[of_a][np.argsort(of_b)]) + rest))
    axes = (of_a, [i - b.ndim if data.draw(st.booleans()) else i for i in of_b])
    agrees(lambda a, b: mg.tensordot(a, b, axes), lambda a, b: np.tensordot(a, b, axes), a, b)
    np.testing.assert_allclose(
        np.tensordot(mg.tensor(a), b, axes=axes).array, np.tensordot(a, b, axes), atol=1e-12
    )


EQUATIONS = [
    "ij,jk->ik", "ij,jk", "i,i", "i,i->i", "i,j", "ij->ji", "ji", "ij->", "ij->j", "ii", "ii->i",
    "iij->ij", "iij", "iji->j", "iii->i", "ij,ij->ij", "bij,bjk->bik", "i...->...", "...i->...",
    "...ij,...jk->...ik", "...ij,jk", "i...j,j...->i...", "...,...", "...", "...->...",
    "ij,jk,kl->il", "ij,jk,kl", "i,ij,j->", "ab,ab,ab->a", "bij, bjk -> bik", "i,i,i->i",
    "Ab,bC->AC", "...i,...i->...", "ij,kj->ik", ",ij->ij", "ij,->i", "iij,jk->ik", "i,jj->i",
]  # fmt: skip


@pytest.mark.parametrize("equation", EQUATIONS)
@given(data=st.data())
def test_einsum(equation, data):
    terms = equation.replace(" ", "").split("->")[0].split(",")
    length = {letter: data.draw(side) for letter in "abcijklAC"}
    whole = data.draw(shapes(max_dims=2, max_side=3))
    args = []
    for term in terms:
        kept = data.draw(st.integers(0, len(whole)))
        tail = tuple(data.draw(st.sampled_from([1, n])) for n in whole[len(whole) - kept :])
        head, dots, foot = term.partition("...")
        shape = [length[c] for c in head] + list(tail if dots else ()) + [length[c] for c in foot]
        args.append(data.draw(arrays(tuple(shape))))
    agrees(lambda *xs: mg.einsum(equation, *xs), lambda *xs: np.einsum(equation, *xs), *args)
    through = np.einsum(equation, *[mg.tensor(x) for x in args])
    np.testing.assert_allclose(through.array, np.einsum(equation, *args), atol=1e-12)


@given(st.from_regex(r"[ij.]{0,4}(,[ij.]{0,3})?(->[ijk.]{0,4})?", fullmatch=True), st.data())
def test_einsum_refuses_what_numpy_refuses(equation, data):
    """… and nothing else, apart from lengths of 1 that NumPy stretches although they are summed."""
    args = [data.draw(arrays()) for _ in equation.split("->")[0].split(",")]
    try:
        expected = np.einsum(equation, *args)
    except ValueError:
        with pytest.raises(ValueError, match=r"^einsum: "):
            mg.einsum(equation, *map(mg.tensor, args))
        return
    if 1 in np.concatenate([x.shape for x in args]):
        with contextlib.suppress(ValueError):
            np.testing.assert_allclose(mg.einsum(equation, *args), expected, atol=1e-12)
    else:
        np.testing.assert_allclose(mg.einsum(equation, *args), expected, atol=1e-12)


@pytest.mark.parametrize("f", [mg.matmul, mg.dot, mg.outer])
@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f4", "f8"), ("i8", "f4"), ("i4", "i8")])
def test_dtypes(f, dtypes):
    a, b = (np.ones((2, 2), dtype=d) for d in dtypes)
    assert f(mg.tensor(a), mg.tensor(b)).dtype == getattr(np, f.__name__)(a, b).dtype


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a, v: a @ a, ValueError, r"matmul: a has 3 columns but b has 2 rows \(shapes \(2,"),
        (lambda a, v: v @ a, ValueError, "matmul: a has 3 columns but b has 2 rows"),
        (lambda a, v: a @ 2.0, ValueError, "matmul: wants at least 1 dimension, got shapes"),
        (lambda a, v: np.ones((2, 2)) @ v, ValueError, "matmul: a has 2 columns but b has 3 rows"),
        (lambda a, v: mg.dot(a, a), ValueError, "dot: lengths of the summed axes differ"),
        (lambda a, v: mg.tensordot(a, a, 1), ValueError, "tensordot: lengths of the summed"),
        (lambda a, v: mg.tensordot(v, a, 2), ValueError, "tensordot: cannot sum over 2 axes of sh"),
        (lambda a, v: mg.tensordot(v, v, -1), ValueError, "tensordot: cannot sum over -1 axes"),
        (lambda a, v: mg.tensordot(a, a, ([0, 1], [0])), ValueError, "tensordot: lengths of the"),
        (lambda a, v: mg.tensordot(a, a, (2, 0)), ValueError, "tensordot: axis 2 is out of bounds"),
        (lambda a, v: mg.einsum(a, [0, 1]), TypeError, "einsum: subscripts wants a string, got"),
        (lambda a, v: mg.einsum("ij,j", a), ValueError, "einsum: 2 subscripts for 1 operands"),
        (lambda a, v: mg.einsum("ijk->", a), ValueError, "einsum: 'ijk' does not fit operand 0"),
        (lambda a, v: mg.einsum("ij,jk", a, a), ValueError, "einsum: 'j' of 'ij,jk' has lengths"),
        (lambda a, v: mg.einsum("ii", a), ValueError, "einsum: 'i' has lengths 2 and 3 in one"),
        (lambda a, v: mg.einsum("ij->ijj", a), ValueError, "einsum: the result 'ijj' repeats or"),
        (lambda a, v: mg.einsum("ij->k", a), ValueError, "einsum: the result 'k' repeats or inv"),
        (lambda a, v: mg.einsum("...j->j", a), ValueError, r"einsum: the result .* leaves out the"),
        (lambda a, v: mg.einsum("i$->i", a), ValueError, r"einsum: subscripts .*got 'i\$'"),
        (lambda a, v: np.einsum("ij->i", a, optimize=True), TypeError, r".*'optimize'"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call(mg.ones((2, 3)), mg.ones(3))
