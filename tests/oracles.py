"""Slow and obvious counterparts: numerical derivatives that know nothing of the rules."""

import numpy as np

import minigrad as mg


def inner(a, b):
    """⟨a, b⟩ = Σ a · b, as a Python float."""
    return float(np.sum(np.asarray(a, dtype=np.float64) * b))


def leaf(x, dtype=None):
    """A leaf over a float array, in its memory layout; anything else as it is."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    return mg.Tensor(x if dtype is None else x.astype(dtype), requires_grad=True)


def differentiable(args):
    """Positions of the arguments that are arrays of floats."""
    return [i for i, x in enumerate(args) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]


def moved(args, directions, step):
    """The arguments, the float arrays among them moved a step along their directions."""
    pairs = zip(args, directions, strict=True)
    return [x if d is None else np.asarray(x + step * d) for x, d in pairs]


def random_directions(args, seed):
    """A random direction for each float array, None for the rest."""
    rng = np.random.default_rng(seed)
    at = differentiable(args)
    return [
        np.asarray(rng.standard_normal(x.shape)) if i in at else None for i, x in enumerate(args)
    ]


def gradients(f, args, v, create_graph=False, dtype=None):
    """∂⟨v, f(args)⟩ for each float array, as Tensors (None without a rule), and the leaves."""
    leaves = [leaf(x, dtype) for x in args]
    wanted = [leaves[i] for i in differentiable(args)]
    y = f(*leaves)
    found = mg.grad(y, wanted, v, create_graph=create_graph, allow_unused=True)
    return found, wanted


def central_difference(phi, step):
    """(φ(h) − φ(−h)) / 2h, of fourth order: Richardson's step from h and 2h."""
    coarse = (phi(2 * step) - phi(-2 * step)) / (4 * step)
    fine = (phi(step) - phi(-step)) / (2 * step)
    return (4 * fine - coarse) / 3
