"""Derivatives of functions: vjp, jvp, Jacobians and Hessians; and checkpointing, which trades time
for memory.

A function here takes Tensors and returns one Tensor. Arguments may be Tensors, arrays or numbers;
they are not changed, and their `grad` is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from minigrad.backend import host_generator, seeded
from minigrad.core import Node, Primitive, broadcast_to, grad, make_node, next_birth
from minigrad.creation import as_tensor, zeros_like
from minigrad.ops.shape import reshape, stack
from minigrad.recording import enable_grad, is_grad_enabled
from minigrad.tensor import Tensor


def _argument(name: str, x: Any) -> Tensor:
    """x as a tensor of its own that wants a gradient, still connected to where it came from."""
    x = as_tensor(x)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: wants floating arguments to differentiate by, got {x.dtype}")
    if x.tracked:
        return broadcast_to(x, shape=x.shape)  # the identity, but another node than x
    return Tensor(x.array, requires_grad=True)


def _output(name: str, y: Any) -> Tensor:
    if not isinstance(y, Tensor):
        raise TypeError(f"{name}: the function wants to return one Tensor, got {type(y).__name__}")
    return y


def _gradients(y: Tensor, xs: list[Tensor], v: Any, create_graph: bool) -> list[Tensor]:
    """Gradients of ⟨y, v⟩, zeros for what y does not depend on; the graph of y stays."""
    if not y.tracked:
        return [zeros_like(x) for x in xs]
    found = grad(y, xs, v, create_graph=create_graph, retain_graph=True, allow_unused=True)
    return [zeros_like(x) if g is None else g for x, g in zip(xs, found, strict=True)]


def vjp(f: Callable, *x: Any) -> tuple[Tensor, Callable]:
    """The value of f at x, and its vector-Jacobian product.

    Returns:
        (out, pullback): ``pullback(v)``, v of out's shape, is the tuple of vᵀ · ∂f/∂x, one for each
        argument. It can be called any number of times. Both are recorded unless under `no_grad`, so
        that they can be differentiated by x, by v and by whatever else f uses.
    """
    recording = is_grad_enabled()
    with enable_grad():
        xs = [_argument("vjp", one) for one in x]
        y = _output("vjp", f(*xs))

    def pullback(v: Any) -> tuple[Tensor, ...]:
        v = as_tensor(v, y.dtype)
        if v.shape != y.shape:
            raise ValueError(f"vjp: the pullback wants v of shape {y.shape}, got {v.shape}")
        return tuple(_gradients(y, xs, v, create_graph=recording))

    return (y if recording else y.detach()), pullback


def jvp(f: Callable, x: Any, v: Any) -> tuple[Tensor, Tensor]:
    """The value of f at x, and the directional derivative ∂f/∂x · v.

    Reverse mode suffices: the pullback u ↦ uᵀJ is linear in u, and its own pullback is v ↦ Jv.

    Args:
        x: one argument, or a tuple of them.
        v: directions of the same shapes.
    """
    xs = x if isinstance(x, tuple) else (x,)
    vs = v if isinstance(v, tuple) else (v,)
    if len(xs) != len(vs):
        raise ValueError(f"jvp: v wants one direction an argument, {len(xs)}, got {len(vs)}")
    recording = is_grad_enabled()
    with enable_grad():
        arguments = [_argument("jvp", one) for one in xs]
        directions = [as_tensor(one, a.dtype) for one, a in zip(vs, arguments, strict=True)]
        for a, d in zip(arguments, directions, strict=True):
            if a.shape != d.shape:
                raise ValueError(f"jvp: v wants the shape of x, {a.shape}, got {d.shape}")
        y = _output("jvp", f(*arguments))
        u = zeros_like(y, requires_grad=True)
        pulled = _gradients(y, arguments, u, create_graph=True)
        total = zeros_like(y).sum()
        for p, d in zip(pulled, directions, strict=True):
            total = total + (p * d).sum()
        (tangent,) = _gradients(total, [u], None, create_graph=recording)
    return (y, tangent) if recording else (y.detach(), tangent)


def jacobian(f: Callable, x: Any) -> Tensor:
    """All partial derivatives of f at x: shape f(x).shape + x.shape, one pullback a row."""
    y, pullback = vjp(f, x)
    rows = []
    for i in range(y.size):
        unit = zeros_like(y.detach().reshape(-1))
        unit.array[i] = 1.0
        rows.append(pullback(unit.reshape(y.shape))[0])
    if not rows:
        return zeros_like(as_tensor(x)).reshape(-1)[:0].reshape(*y.shape, *as_tensor(x).shape)
    return reshape(stack(rows), shape=(*y.shape, *as_tensor(x).shape))


def _slope(f: Callable) -> Callable:
    """The gradient of a scalar function, as a function that can be differentiated again."""

    def gradient(x: Tensor) -> Tensor:
        y = _output("hessian", f(x))
        if y.size != 1:
            raise ValueError(f"hessian: the function wants to return a scalar, got shape {y.shape}")
        return _gradients(y, [x], None, create_graph=True)[0]

    return gradient


def hessian(f: Callable, x: Any) -> Tensor:
    """All second derivatives of a scalar function at x: shape x.shape + x.shape."""
    return jacobian(_slope(f), x)


def hvp(f: Callable, x: Any, v: Any) -> Tensor:
    """The Hessian of a scalar function at x times v, without building the Hessian.

    Source: Pearlmutter, "Fast exact multiplication by the Hessian" (1994).
    """
    _, pullback = vjp(_slope(f), x)
    return pullback(v)[0]


def _made_before(y: Node, birth: int) -> Iterable[Node]:
    """The nodes older than `birth` that y was computed from and that want a gradient, the nearest
    ones: what a function used without taking it as an argument."""
    seen: set[int] = set()
    stack_ = [y]
    while stack_:
        node = stack_.pop()
        if id(node) in seen or not node.tracked:
            continue
        seen.add(id(node))
        if node.birth < birth:
            yield node
        else:
            stack_.extend(arg for arg in node.args or () if isinstance(arg, Node))


def checkpoint(f: Callable, *x: Any) -> Tensor:
    """f(*x), keeping none of its intermediate results: the backward pass computes them again.

    Memory falls from all of f's intermediate results to its arguments, for one more forward pass.
    Random numbers drawn in f (dropout) are the same both times. Parameters and other Tensors that
    f uses without taking them as arguments receive their gradients too. f is expected to return
    one Tensor and to change nothing; running statistics that it updates would be updated twice.

    Source: Chen et al., "Training deep nets with sublinear memory cost" (2016).
    """
    if not is_grad_enabled():
        return _output("checkpoint", f(*x))
    seed = int(host_generator().integers(2**63))
    given = [as_tensor(one) for one in x]
    tracked = [t.tracked for t in given]

    def run(values: Iterable[Tensor]) -> Tensor:
        with seeded(seed):
            return _output("checkpoint", f(*values))

    def recompute(*arrays: Any) -> Any:
        return run(Tensor(a) for a in arrays[: len(tracked)]).array

    def pull(wanted: list, g: Any, y: Any, *args: Any) -> list:
        nested = isinstance(g, Node)
        inputs = args[: len(tracked)]
        with enable_grad():
            if nested:
                values = [_argument("checkpoint", t) if t.tracked else t for t in inputs]
            else:
                values = [Tensor(a, wants) for a, wants in zip(inputs, tracked, strict=True)]
                g = make_node(Tensor, g)
            again = run(values)
            targets = [t for t, wants in zip([*values, *others], wanted, strict=True) if wants]
            found = iter(grad(again, targets, g, create_graph=nested, allow_unused=True))
        gradients = [next(found) if wants else None for wants in wanted]
        return gradients if nested else [d if d is None else d.array for d in gradients]

    # Run once with recording on, to learn what else f uses; then let that graph go.
    first = [Tensor(t.array, t.tracked) for t in given]
    start = next_birth()
    y = run(first)
    if not y.tracked:
        return y
    others = [node for node in _made_before(y, start) if all(node is not t for t in first)]
    rerun = Primitive(recompute)
    rerun.vjp_all(pull)
    return make_node(Tensor, y.array, True, rerun, (*given, *others), {})
