"""Numerical checks of gradients.

`gradcheck` compares every entry of the Jacobian that the rules give with a central difference,

    ∂f_i/∂x_j ≈ (f_i(x + ε e_j) − f_i(x − ε e_j)) / 2ε,

whose error is O(ε²) from the Taylor series plus O(10⁻¹⁶/ε) from rounding: about 10⁻¹⁰ relative in
float64 at ε = 10⁻⁶, and nothing worth having in float32. `gradgradcheck` checks the gradient itself
in the same way, which makes the second order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.backend import backend_of
from minigrad.core import grad
from minigrad.creation import as_tensor
from minigrad.recording import enable_grad
from minigrad.tensor import Tensor


class GradcheckError(AssertionError):
    """A derivative differs from its numerical estimate; the message shows the worst entry."""


def _prepare(name: str, inputs: Any) -> list[Tensor]:
    """The inputs as leaves of their own: the check neither changes nor needs the caller's."""
    given = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    prepared = []
    for i, x in enumerate(given):
        x = as_tensor(x)
        if x.tracked and x.dtype != np.float64:
            raise TypeError(f"{name}: inputs[{i}] wants float64 to be checked, got {x.dtype}")
        prepared.append(Tensor(x.array.copy(), x.tracked))
    if not any(x.tracked for x in prepared):
        raise ValueError(f"{name}: at least one input wants requires_grad=True")
    return prepared


def _outputs(name: str, f: Callable, inputs: Sequence[Tensor]) -> list[Tensor]:
    found = f(*inputs)
    outputs = list(found) if isinstance(found, (tuple, list)) else [found]
    for y in outputs:
        if not isinstance(y, Tensor):
            raise TypeError(f"{name}: f wants to return Tensors, got {type(y).__name__}")
    return [y for y in outputs if y.dtype.kind == "f"]


def _numerical(
    name: str, f: Callable, inputs: list[Tensor], at: int, eps: float
) -> list[np.ndarray]:
    """Central differences of every output by inputs[at]: arrays (output size, input size)."""
    x = inputs[at]
    flat = x.numpy().reshape(-1)
    columns: list[list[np.ndarray]] = []
    for j in range(flat.size):
        sides = []
        for step in (eps, -eps):
            moved = flat.copy()
            moved[j] += step
            array = backend_of(x.array).asarray(moved.reshape(x.shape))
            replaced = [*inputs[:at], Tensor(array, True), *inputs[at + 1 :]]
            sides.append([y.numpy().reshape(-1).copy() for y in _outputs(name, f, replaced)])
        columns.append([(up - down) / (2.0 * eps) for up, down in zip(*sides, strict=True)])
    return [np.stack(rows, axis=-1) for rows in zip(*columns, strict=True)]


def _analytical(y: Tensor, x: Tensor) -> np.ndarray:
    """The Jacobian by the rules, a row an output entry: (output size, input size)."""
    rows = []
    for i in range(y.size):
        unit = np.zeros(y.size)
        unit[i] = 1.0
        v = Tensor(backend_of(y.array).asarray(unit.reshape(y.shape).astype(y.dtype)))
        found = grad(y, x, v, retain_graph=True, allow_unused=True)[0] if y.tracked else None
        rows.append(np.zeros(x.size) if found is None else found.numpy().reshape(-1))
        if found is not None and (found.shape, found.dtype) != (x.shape, x.dtype):
            raise GradcheckError(
                f"gradient has shape {found.shape} and dtype {found.dtype}, its input "
                f"{x.shape} and {x.dtype}"
            )
    return np.array(rows).reshape(y.size, x.size)


def gradcheck(
    f: Callable, inputs: Any, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3
) -> bool:
    """Compare the gradients of f with central differences, entry by entry.

    An entry passes where |rule − difference| ≤ atol + rtol · |difference|.

    Args:
        f: takes the inputs as Tensors and returns a Tensor or several; deterministic.
        inputs: a Tensor or a sequence; those with requires_grad=True are checked, and must be
            float64. Keep them away from kinks.
        eps: the step of the difference.

    Returns:
        True.

    Raises:
        GradcheckError: names the input and the output, and shows the worst entry's index with both
            values.
    """
    return _check("gradcheck", f, inputs, eps, atol, rtol)


def _check(name: str, f: Callable, inputs: Any, eps: float, atol: float, rtol: float) -> bool:
    prepared = _prepare(name, inputs)
    with enable_grad():
        outputs = _outputs(name, f, prepared)
        if not outputs:
            raise ValueError(f"{name}: f returned no floating output")
        for at, x in enumerate(prepared):
            if not x.tracked or x.size == 0:
                continue
            estimates = _numerical(name, f, prepared, at, eps)
            for o, (y, numerical) in enumerate(zip(outputs, estimates, strict=True)):
                _compare(name, _analytical(y, x), numerical, at, o, y, x, atol, rtol)
    return True


def _compare(
    name: str,
    analytical: np.ndarray,
    numerical: np.ndarray,
    at: int,
    o: int,
    y: Tensor,
    x: Tensor,
    atol: float,
    rtol: float,
) -> None:
    with np.errstate(invalid="ignore"):
        excess = np.abs(analytical - numerical) - (atol + rtol * np.abs(numerical))
    excess = np.where(np.isnan(excess) & ~(analytical == numerical), np.inf, excess)
    if excess.size == 0 or not (excess > 0).any():
        return
    row, column = np.unravel_index(excess.argmax(), excess.shape)
    found, wanted = analytical[row, column], numerical[row, column]
    relative = abs(found - wanted) / max(abs(found), abs(wanted), 1e-300)
    entry_of_y, entry_of_x = _index(row, y.shape), _index(column, x.shape)
    raise GradcheckError(
        f"{name}: the gradient of output {o}{entry_of_y} by inputs[{at}]{entry_of_x} is "
        f"{found:.10g} by the rules but {wanted:.10g} numerically (relative error {relative:.2g}; "
        f"{int((excess > 0).sum())} of {excess.size} entries differ; inputs[{at}]{entry_of_x} "
        f"= {float(x.numpy().reshape(-1)[column]):.10g}, shape {x.shape})"
    )


def _index(flat: Any, shape: tuple[int, ...]) -> str:
    """The place of a flattened array's entry as Python writes an index; nothing without axes."""
    return str([int(i) for i in np.unravel_index(flat, shape)]) if shape else ""


def _gradient(name: str, f: Callable, count: int, wanted: list[int]) -> Callable:
    """The gradient of f by its inputs `wanted`, as a function of f's `count` inputs and of the
    cotangents of its outputs; recorded, zeros where there is no dependence."""

    def gradient(*arguments: Tensor) -> list[Tensor]:
        xs, vs = arguments[:count], arguments[count:]
        pairs = [(y, v) for y, v in zip(_outputs(name, f, xs), vs, strict=True) if y.tracked]
        targets = [xs[i] for i in wanted]
        found = grad(
            [y for y, _ in pairs],
            targets,
            [v for _, v in pairs],
            create_graph=True,
            allow_unused=True,
        )
        return [x * 0.0 if g is None else g for x, g in zip(targets, found, strict=True)]

    return gradient


def gradgradcheck(
    f: Callable,
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    seed: int = 0,
) -> bool:
    """Check second derivatives: `gradcheck` of the gradient of f.

    Args:
        grad_outputs: the cotangents of f's outputs; drawn from a standard normal where None. They
            are checked too: the gradient is linear in them.
        seed: of that drawing.

    Returns and raises as `gradcheck`.
    """
    prepared = _prepare("gradgradcheck", inputs)
    wanted = [i for i, x in enumerate(prepared) if x.tracked]
    with enable_grad():
        outputs = _outputs("gradgradcheck", f, prepared)
    if grad_outputs is None:
        rng = np.random.default_rng(seed)
        drawn = [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs]
        arrays = [backend_of(y.array).asarray(v) for y, v in zip(outputs, drawn, strict=True)]
    else:
        given = grad_outputs if isinstance(grad_outputs, (tuple, list)) else [grad_outputs]
        arrays = [as_tensor(v).array for v in given]
    cotangents = [Tensor(v, requires_grad=True) for v in arrays]

    gradient = _gradient("gradgradcheck", f, len(prepared), wanted)
    return _check("gradgradcheck", gradient, [*prepared, *cotangents], eps, atol, rtol)


def check_rules(f: Callable, inputs: Sequence[Any], dtype: Any = "float64") -> None:
    """Check of the rules behind f whatever needs no numbers to compare with.

    They give the same on arrays as on Tensors, up to rounding; a gradient has the shape and dtype
    of its argument, and is linear in the cotangent.

    Args:
        inputs: floating arrays or Tensors, which are cast to `dtype`; others stay as they are.

    Raises:
        GradcheckError: says what does not hold.
    """
    leaves = []
    for x in map(as_tensor, inputs):
        floats = x.dtype.kind == "f"
        leaves.append(Tensor(x.array.astype(dtype) if floats else x.array, floats))
    at = [i for i, x in enumerate(leaves) if x.tracked]
    with enable_grad():
        outputs = [y for y in _outputs("check_rules", f, leaves) if y.tracked]
    if not outputs:
        return
    rng = np.random.default_rng(0)

    def cotangents() -> list[Tensor]:
        drawn = [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs]
        return [
            Tensor(backend_of(y.array).asarray(np.asarray(v)))
            for y, v in zip(outputs, drawn, strict=True)
        ]

    def gradients(vs: list[Tensor], create_graph: bool = False) -> tuple:
        targets = [leaves[i] for i in at]
        return grad(outputs, targets, vs, create_graph, retain_graph=True, allow_unused=True)

    vs, ws = cotangents(), cotangents()
    on_arrays, on_tensors = gradients(vs), gradients(vs, create_graph=True)
    more, both = gradients(ws), gradients([v + w * 2.0 for v, w in zip(vs, ws, strict=True)])
    rounding = 1e-10 if np.dtype(dtype) == np.float64 else 1e-3
    for i, a, b, c, d in zip(at, on_arrays, on_tensors, more, both, strict=True):
        x = leaves[i]
        if (a is None) != (b is None):
            raise GradcheckError(f"the gradient of inputs[{i}] exists on arrays or Tensors only")
        if a is None:
            continue
        for found in (a, b):
            if (found.shape, found.dtype) != (x.shape, x.dtype):
                raise GradcheckError(
                    f"the gradient of inputs[{i}] has shape {found.shape} and dtype {found.dtype}, "
                    f"the input {x.shape} and {x.dtype}"
                )
        scale = rounding * np.abs([a.numpy(), c.numpy()]).max(initial=1.0)
        if not np.allclose(a.numpy(), b.numpy(), rounding, scale):
            raise GradcheckError(f"the rule for inputs[{i}] differs between arrays and Tensors")
        if not np.allclose(d.numpy(), a.numpy() + 2.0 * c.numpy(), rounding, 3.0 * scale):
            raise GradcheckError(f"the rule for inputs[{i}] is not linear in the cotangent")


def directional_error(f: Callable, inputs: Sequence[Any], order: int = 1, seed: int = 0) -> float:
    """The relative error of a derivative of f along one random direction.

    Cheap where there are many entries: it costs four evaluations of f whatever their number.

    With random u (for the inputs) and v (for the output), entries bounded away from 0 so that no
    error hides, ⟨v, J u⟩ by the rules is compared with the derivative of t ↦ ⟨v, f(x + t u)⟩ at 0
    by central differences of two steps, extrapolated to O(h⁴) (Richardson).

    Args:
        inputs: float64 arrays or Tensors, which are checked; others (ints, bools) stay fixed.
        order: 1 checks f; 2 checks the gradient of ⟨v, f⟩ with respect to inputs and v.

    Returns:
        |rule − difference| over the sum of the terms' magnitudes, so that terms which cancel do not
        count as an error.
    """
    rng = np.random.default_rng(seed)
    xs = [as_tensor(x).detach() for x in inputs]
    moving = [i for i, x in enumerate(xs) if x.dtype == np.float64]

    def direction(x: Tensor) -> Tensor:
        drawn = rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1.0, 1.0], x.shape)
        return Tensor(backend_of(x.array).asarray(np.asarray(drawn)))

    def along(function: Callable, values: list[Tensor], at: list[int]) -> tuple[list, list]:
        """A function's inputs, those `at` as leaves that want gradients, and its outputs."""
        leaves = [Tensor(x.array, i in at) for i, x in enumerate(values)]
        with enable_grad():
            return leaves, _outputs("directional_error", function, leaves)

    def error(function: Callable, values: list[Tensor], at: list[int]) -> float:
        leaves, ys = along(function, values, at)
        vs = [direction(y) for y in ys]
        us = {i: direction(values[i]) for i in at}
        reached = [(y, v) for y, v in zip(ys, vs, strict=True) if y.tracked]
        outputs, cotangents = [y for y, _ in reached], [v for _, v in reached]
        found = grad(outputs, [leaves[i] for i in at], cotangents, allow_unused=True)
        terms = [
            (g.numpy() * us[i].numpy()).reshape(-1)
            for i, g in zip(at, found, strict=True)
            if g is not None
        ]
        by_rule = np.concatenate(terms) if terms else np.zeros(1)

        def value(t: float) -> float:
            moved = [
                Tensor(x.array + t * us[i].array) if i in us else x for i, x in enumerate(values)
            ]
            _, outs = along(function, moved, at)
            return sum(float((y.numpy() * v.numpy()).sum()) for y, v in zip(outs, vs, strict=True))

        h = 2e-4
        coarse = (value(h) - value(-h)) / (2 * h)
        fine = (value(h / 2) - value(-h / 2)) / h
        estimate = (4.0 * fine - coarse) / 3.0
        scale = max(float(np.abs(by_rule).sum()), abs(estimate), 1e-3)
        return abs(float(by_rule.sum()) - estimate) / scale

    if order == 1:
        return error(f, xs, moving)
    _, ys = along(f, xs, moving)
    extended = [*xs, *(direction(y) for y in ys)]

    gradient = _gradient("directional_error", f, len(xs), moving)
    return error(gradient, extended, [*moving, *range(len(xs), len(extended))])
