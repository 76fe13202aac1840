"""Slow and obvious counterparts: numerical derivatives that know nothing of the rules."""

import numpy as np

import minigrad as mg
from minigrad.backend import is_array
from tests.backends import host


def is_float(x):
    """Whether x is an array of floats, of any backend."""
    return is_array(x) and x.dtype.kind == "f"


def inner(a, b):
    """⟨a, b⟩ = Σ a · b, as a number; complex where a or b is."""
    return np.sum(np.asarray(a) * b).item()


def leaf(x, dtype=None):
    """A leaf over a float array, in its memory layout; anything else as it is."""
    if not is_float(x):
        return x
    return mg.Tensor(x if dtype is None else x.astype(dtype), requires_grad=True)


def differentiable(args):
    """Positions of the arguments that are arrays of floats."""
    return [i for i, x in enumerate(args) if is_float(x)]


def moved(args, directions, step):
    """The arguments, the float arrays among them moved a step along their directions."""
    pairs = zip(args, directions, strict=True)
    return [x if d is None else np.asarray(x + step * d) for x, d in pairs]


def random_directions(args, seed):
    """For each float array a direction with entries away from 0, None for the rest."""
    rng = np.random.default_rng(seed)
    at = differentiable(args)
    return [away_from_0(rng, x.shape) if i in at else None for i, x in enumerate(args)]


def away_from_0(rng, shape):
    """Random numbers of either sign and magnitude ½ to 3⁄2: no entry of a gradient can hide."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def gradients(f, args, v, create_graph=False, dtype=None):
    """∂⟨v, f(args)⟩ for each float array, as Tensors (None without a rule), and the leaves."""
    leaves = [leaf(x, dtype) for x in args]
    wanted = [leaves[i] for i in differentiable(args)]
    y = f(*leaves)
    found = mg.grad(y, wanted, v, create_graph=create_graph, allow_unused=True)
    return found, wanted


def terms(found, directions):
    """The terms of Σ ⟨g, u⟩ over gradients (None counts as 0) and their directions, in one row."""
    rows = [
        np.reshape(host(g) * u, -1) for g, u in zip(found, directions, strict=True) if g is not None
    ]
    return np.concatenate([*rows, np.zeros(1)])


def assert_agrees(by_rules, numerical, relative):
    """The sum of the terms `by_rules` is the number found otherwise, up to an error relative to
    the magnitude of the terms: those that cancel do not count as an error."""
    scale = max(np.abs(by_rules).sum(), abs(numerical), 1e-3)
    assert abs(by_rules.sum() - numerical) <= relative * scale


def central_difference(phi, step):
    """(φ(h) − φ(−h)) / 2h, of fourth order: Richardson's step from h and 2h."""
    coarse = (phi(2 * step) - phi(-2 * step)) / (4 * step)
    fine = (phi(step) - phi(-step)) / (2 * step)
    return (4 * fine - coarse) / 3


def complex_step(phi):
    """Im φ(ih) / h for a φ that is analytic and real on real arguments: no difference is taken, so
    nothing cancels, and h can be so small that the result is exact to rounding.

    Source: Squire & Trapp, "Using complex variables to estimate derivatives of real functions"
    (1998).
    """
    step = 1e-30
    return phi(1j * step).imag / step


def assert_derivatives_are_of_one_function(f, xs, seed):
    """⟨v, J u⟩ = ⟨Jᵀ v, u⟩ and, with H the Hessian of x ↦ Σ v · sin f(x), ⟨w, H u⟩ = ⟨u, H w⟩: to
    rounding, whatever f computes.

    The sine bends what is linear. Floats `xs` of the host; f takes Tensors and returns one.
    """
    rng = np.random.default_rng(seed)
    u, w = ([away_from_0(rng, x.shape) for x in xs] for _ in range(2))
    y, tangent = mg.jvp(f, tuple(xs), tuple(u))
    out, pullback = mg.vjp(f, *xs)
    v = away_from_0(rng, y.shape)
    np.testing.assert_array_equal(y.numpy(), out.numpy())
    assert tangent.shape == y.shape
    assert_agrees(terms(pullback(v), u), inner(tangent.numpy(), v), 1e-11)

    leaves = [leaf(x) for x in xs]
    slopes = mg.grad((mg.sin(f(*leaves)) * v).sum(), leaves, create_graph=True)

    def hessian_times(directions):
        along = sum((g * d).sum() for g, d in zip(slopes, directions, strict=True))
        return mg.grad(along, leaves, retain_graph=True, allow_unused=True)

    there, back = terms(hessian_times(u), w), terms(hessian_times(w), u)
    assert_agrees(there, back.sum(), 1e-9)
