"""Recurrences over a whole sequence, each one primitive.

One step of a network is little work on small arrays. Recorded step by step it would cost a hundred
nodes; here both passes write into arrays that are there already.
"""

from __future__ import annotations

from typing import Any

from minigrad.backend import Array, xp
from minigrad.core import broadcast_to, grad, primitive
from minigrad.ops.elementwise import sigmoid, tanh
from minigrad.ops.linalg import matmul
from minigrad.ops.shape import join, split, squeeze, stack

COLUMNS = 512  # of a product for the gradient of the weights: steps · n


def unstack(x: Any) -> list:
    """x[0], x[1], …

    Halved again and again, since the gradient of a slice is as large as what it was cut from:
    cutting T slices from x itself would cost T² in the backward pass, and this costs T·log T.
    """
    if x.shape[0] == 1:
        return [squeeze(x, 0)]
    middle = x.shape[0] // 2
    return unstack(x[:middle]) + unstack(x[middle:])


@primitive
def lstm(x, w, h, c, *, keep=None):
    """The states of a long short-term memory: y[t] = (h_t, c_t), from x[t] and (h, c) before it.

    With the gates a = w [x[t]; h_{t−1}], one below the other in the order i, f, g, o::

        c_t = σ(a_f) · c_{t−1} + σ(a_i) · tanh(a_g)
        h_t = σ(a_o) · tanh(c_t)

    Shapes: x (time, features, n), w (4·hidden, features + hidden), h and c (hidden, n),
    y (time, 2, hidden, n). The sequences of a batch are columns: each gate of a step is then one
    piece of memory.
    """
    module = xp(x)
    (time, features, n), hidden = x.shape, len(h)
    dtype = module.result_type(x, w, h, c)
    rows = module.empty((time + 1, features + 2 * hidden, n), dtype=dtype)  # x[t], h_{t−1}, c_{t−1}
    rows[:-1, :features] = x
    rows[0, features:-hidden] = h
    rows[0, -hidden:] = c
    y = rows[1:, features:].reshape(time, 2, hidden, n)  # a view: step t writes what t + 1 reads
    gates = module.empty((time, 4, hidden, n), dtype=dtype)
    if keep is not None:
        keep["rows"], keep["gates"] = rows, gates
    # σ(a) = (1 + tanh(a / 2)) / 2 takes one function for all gates, which cannot overflow.
    w = w.copy()
    w[: 2 * hidden] *= 0.5
    w[3 * hidden :] *= 0.5
    for t in range(time):
        module.matmul(w, rows[t, :-hidden], out=gates[t].reshape(4 * hidden, n))
        module.tanh(gates[t], out=gates[t])
        i, f, g, o = gates[t]
        for gate in (i, f, o):
            gate *= 0.5
            gate += 0.5
        h, c = y[t]
        module.multiply(f, rows[t, -hidden:], out=c)
        c += i * g
        module.tanh(c, out=h)
        h *= o
    return y


def _side_by_side(matrices: Array) -> Array:
    """[A B …], one matrix from a stack of them."""
    return matrices.swapaxes(0, 1).reshape(matrices.shape[1], -1)


def _lstm_vjp(wanted, g, y, x, w, h, c, *, keep):
    if keep is None:
        return _lstm_vjp_by_steps(wanted, g, x, w, h, c)
    # From the last step to the first. dh and dc are the cotangents of the state after a step, d
    # those of its gates: first without their slopes σ' = σ (1 − σ) and tanh' = 1 − tanh².
    module = xp(x)
    (time, features, n), hidden = x.shape, len(h)
    rows, gates = keep["rows"], keep["gates"]
    dx = module.empty(x.shape, dtype=y.dtype) if wanted[0] else None
    dw = module.zeros(w.shape, dtype=y.dtype) if wanted[1] else None
    back = module.ascontiguousarray((w if wanted[0] else w[:, features:]).T)
    d_rows = module.zeros((len(back), n), dtype=y.dtype)  # of x[t] where wanted, and of h
    dh, dc = d_rows[-hidden:], module.zeros(c.shape, dtype=y.dtype)
    # To add a product of few columns to dw is dearer than the product: one for several steps.
    several = min(time, max(1, COLUMNS // max(1, n)))
    block = module.empty((several, 4 * hidden, n), dtype=y.dtype)
    for t in reversed(range(time)):
        d = block[t % several]
        of_i, of_f, of_g, of_o = d.reshape(4, hidden, n)
        i, f, g_, o = gates[t]
        h, c = y[t]
        dh += g[t, 0]
        dc += g[t, 1]
        s = module.tanh(c)
        module.multiply(dh, h, out=of_o)  # (dh · tanh c) · o
        s *= h
        module.subtract(o, s, out=s)  # ∂h/∂c = o (1 − tanh² c) = o − h tanh c
        s *= dh
        dc += s
        module.multiply(dc, i, out=of_g)
        module.multiply(of_g, g_, out=of_i)  # (dc · g) · i
        dc *= f
        module.multiply(dc, rows[t, -hidden:], out=of_f)  # (dc · c before) · f
        module.multiply(of_i, g_, out=s)
        of_g -= s
        for of_gate, gate in ((of_i, i), (of_f, f), (of_o, o)):
            module.multiply(of_gate, gate, out=s)
            of_gate -= s
        module.matmul(back, d, out=d_rows)
        if dx is not None:
            dx[t] = d_rows[:features]
        if dw is not None and t % several == 0:
            steps = rows[t : min(t + several, time), :-hidden]
            dw += _side_by_side(block[: len(steps)]) @ _side_by_side(steps).T
    return [dx, dw, dh, dc]


def lstm_equations(a: Any, c: Any, axis: int) -> tuple[Any, Any]:
    """(h, c) after a step of `lstm`, from the gates along an axis of a and the c before it."""
    i, f, g, o = split(a, 4, axis=axis)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _lstm_vjp_by_steps(wanted, g, x, w, h, c):
    """The rule on Tensors: that of the same equations in operations that record themselves."""
    arguments = [broadcast_to(given, shape=given.shape) for given in (x, w, h, c)]
    x, w, h, c = arguments
    states = []
    for now in unstack(x):
        h, c = lstm_equations(matmul(w, join([now, h])), c, axis=0)
        states.append(stack([h, c]))
    targets = [given for given, wants in zip(arguments, wanted, strict=True) if wants]
    found = iter(grad(stack(states), targets, g, create_graph=True))
    return [next(found) if wants else None for wants in wanted]


lstm.vjp_all(_lstm_vjp)
