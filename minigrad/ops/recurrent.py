"""Recurrences over a whole sequence, each one primitive.

One step of a network is little work on small arrays. Recorded step by step it would cost a hundred
nodes; here the forward pass writes into the arrays of the result, and the gradient of the weights,
a sum over time, is a single product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, xp
from minigrad.core import module_of, primitive
from minigrad.ops.elementwise import sigmoid, tanh
from minigrad.ops.linalg import matmul
from minigrad.ops.shape import join, reshape, split, squeeze, stack, swapaxes


def unstack(x: Any) -> list:
    """x[0], x[1], …

    Halved again and again, since the gradient of a slice is as large as what it was cut from:
    cutting T slices from x itself would cost T² in the backward pass, and this costs T·log T.
    """
    if x.shape[0] == 1:
        return [squeeze(x, 0)]
    middle = x.shape[0] // 2
    return unstack(x[:middle]) + unstack(x[middle:])


def _sigmoid_in_place(a: Array) -> None:
    module = xp(a)
    a *= -1.0
    module.exp(a, out=a)
    a += 1.0
    module.reciprocal(a, out=a)


@primitive
def lstm(x, w, h, c, *, keep=None):
    """The states of a long short-term memory: y[t] = (h_t, c_t), from x[t] and (h, c) before it.

    With the gates a = x[t] + h_{t−1} wᵀ in the order i, f, g, o (`F.lstm_cell`)::

        c_t = σ(a_f) · c_{t−1} + σ(a_i) · tanh(a_g)
        h_t = σ(a_o) · tanh(c_t)

    Shapes: x (time, …, 4·hidden), w (4·hidden, hidden), h and c (…, hidden),
    y (time, 2, …, hidden).
    """
    module = xp(x)
    dtype = module.result_type(x, w, h, c)
    y = module.empty((x.shape[0], 2, *h.shape), dtype=dtype)
    gates = module.empty(x.shape, dtype=dtype)
    if keep is not None:
        keep["gates"] = gates
    with np.errstate(over="ignore"):  # σ of a large negative number is 1 / ∞ = 0
        for a, now, (h_now, c_now) in zip(gates, x, y, strict=True):
            module.matmul(h, w.T, out=a)
            a += now
            i, f, g, o = split(a, 4, axis=-1)
            squashed = module.tanh(g)
            _sigmoid_in_place(a)  # of all, g too, since one contiguous pass is the fastest
            g[...] = squashed
            module.multiply(f, c, out=c_now)
            c_now += i * g
            module.tanh(c_now, out=h_now)
            h_now *= o
            h, c = h_now, c_now
    return y


def _lstm_vjp(wanted, g, y, x, w, h, c, *, keep):
    # From the last step to the first, dh and dc being the cotangents of the state after a step. The
    # slopes of the gates are σ' = σ (1 − σ) and tanh' = (1 + tanh) (1 − tanh).
    n = w.shape[1]
    is_tanh = module_of(x).arange(4 * n) // n == 2
    times = [unstack(part) for part in (g[:, 0], g[:, 1], y[:, 0], y[:, 1])]
    before = [[h, *times[2]], [c, *times[3]]]
    gates = keep["gates"] if keep else _gates(x, w, before[0])
    dh = dc = 0.0
    slopes = []
    for t in reversed(range(x.shape[0])):
        a = gates[t]
        i, f, g_, o = split(a, 4, axis=-1)
        s = tanh(times[3][t])
        dh = times[0][t] + dh
        dc = times[1][t] + dc + dh * o * (1.0 - s * s)
        d = join([dc * g_, dc * before[1][t], dc * i, dh * s], axis=-1)
        d = d * ((1.0 - a) * (a + is_tanh))
        slopes.append(d)
        dh, dc = matmul(d, w), dc * f
    d = stack(slopes[::-1])
    if not wanted[1]:
        return [d, None, dh, dc]
    rows = reshape(d, shape=(-1, 4 * n))
    hidden = reshape(stack(before[0][:-1]), shape=(-1, n))
    return [d, matmul(swapaxes(rows, 0, 1), hidden), dh, dc]


def _gates(x, w, before):
    """The gates of all times, worked out from the states before them."""
    found = []
    for now, h in zip(unstack(x), before, strict=False):
        i, f, g, o = split(now + matmul(h, swapaxes(w, 0, 1)), 4, axis=-1)
        found.append(join([sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)], axis=-1))
    return found


lstm.vjp_all(_lstm_vjp)
