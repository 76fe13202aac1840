"""The engine: nodes, primitives with their rules, and the backward pass.

A *primitive* is a function on arrays together with one rule per array argument, its
vector-Jacobian product (VJP): given the cotangent g = ∂L/∂y of the output y, the rule returns
∂L/∂x of that argument. A *node* is an array that remembers which primitive made it from what.
The backward pass walks the nodes from the youngest to the oldest and applies the rules.

The same rule serves every order of derivative. It is written with operators and primitives only,
so given arrays it just computes, and given nodes (``create_graph=True``) it records itself.

References: Baydin et al., "Automatic differentiation in machine learning: a survey" (2018), 3.2;
the polymorphic rules follow an idea of HIPS autograd (Maclaurin, 2016).
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from minigrad.backend import Array, backend_of, is_array, xp
from minigrad.recording import recording

next_birth = count().__next__


class Node:
    """An array, and the primitive and arguments it came from.

    Edges point backwards only, from a result to its arguments: there are no reference cycles, and
    a graph is freed the moment its last node goes. `birth` grows with every node and every
    in-place write, so a result is always younger than what it was computed from.
    """

    __slots__ = (
        "array",
        "tracked",
        "grad",
        "primitive",
        "args",
        "params",
        "birth",
        "hooks",
        "retains_grad",
        "origin",
        "__weakref__",
    )

    kind: type[Node]  # the class of results computed from this one (a Parameter's is Tensor)

    array: Array
    tracked: bool  # whether a gradient is wanted; `requires_grad` is its checked public face
    grad: Any
    primitive: Primitive | None
    args: tuple | None
    params: dict[str, Any] | None
    birth: int
    hooks: dict[int, Callable] | None
    retains_grad: bool
    origin: str | None  # the line of the user's program that made it, under detect_anomaly

    def __init__(
        self,
        array: Array,
        tracked: bool = False,
        primitive: Primitive | None = None,
        args: tuple | None = (),
        params: dict[str, Any] | None = None,
    ) -> None:
        self.array = array
        self.tracked = tracked
        self.grad = None
        self.primitive = primitive
        self.args = args
        self.params = params
        self.birth = next_birth()
        self.hooks = None
        self.retains_grad = False
        self.origin = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype:
        """NumPy dtype of the elements."""
        return self.array.dtype

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this node; settable on leaves with a floating dtype."""
        return self.tracked

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError(
                f"requires_grad: can only be set on leaves, not on a result of {self.primitive!r}; "
                ".detach() makes a leaf"
            )
        if wanted and self.array.dtype.kind != "f":
            raise TypeError(f"requires_grad: wants a floating dtype, got {self.array.dtype}")
        self.tracked = bool(wanted)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded primitive made this node."""
        return self.primitive is None

    def overwrite(self, values: Array) -> None:
        """Write `values` into this node's array in place.

        For leaves that live across steps: parameters, running statistics. A graph recorded before
        notices, because its argument is now younger than its result, and refuses to go backward.
        """
        self.array[...] = values
        self.birth = next_birth()

    def overwritten(self) -> None:
        """Say that the array was written in place by other means (an optimizer's ``out=``)."""
        self.birth = next_birth()


def make_node(
    kind: type[Node],
    array: Array,
    tracked: bool = False,
    primitive: Primitive | None = None,
    args: tuple | None = (),
    params: dict[str, Any] | None = None,
) -> Any:
    """A node of class `kind` from the arguments of `Node`, without the checks of `kind` itself."""
    node = object.__new__(kind)
    Node.__init__(node, array, tracked, primitive, args, params)
    return node


# ---------------------------------------------------------------------------------------------
# Primitives
# ---------------------------------------------------------------------------------------------

registry: dict[str, Primitive] = {}

# Called with every recorded node, and with (node, argument index, gradient) after every rule,
# while anomaly detection is on; None costs nothing. See debug.py.
on_record: Callable[[Node], None] | None = None
on_rule: Callable[[Node, int, Any], None] | None = None


class Primitive:
    """A differentiable function: a forward on arrays, and one VJP per array argument.

    Array arguments are positional, static parameters (``axis``, ``stride``) keyword-only in the
    forward. A forward with a keyword ``keep`` is given a dictionary while it records, and may leave
    arrays in it that the rule will want again; the rule gets the dictionary on the first-order pass
    and None when it must record itself, for what was worked out on arrays has no derivative.
    """

    def __init__(self, forward: Callable) -> None:
        functools.update_wrapper(self, forward)
        self.forward = forward
        self.name = forward.__name__
        parameters = inspect.signature(forward).parameters.values()
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.arity = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        self.arguments = {p.name: p.default for p in parameters if p.kind is not p.VAR_POSITIONAL}
        self.keeps = self.arguments.pop("keep", inspect.Parameter) is None
        self.statics = dict(list(self.arguments.items())[self.arity :])
        self.required = {n for n, v in self.statics.items() if v is inspect.Parameter.empty}
        self.rules: tuple[Callable | None, ...] = ()
        self.joint: Callable | None = None

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def vjps(self, *rules: Callable | None) -> None:
        """Set the rules, one per array argument: ``rule(g, y, *args, **params)`` → ∂L/∂argument.

        None marks an argument that has no gradient (indices, masks).
        """
        if self.variadic or len(rules) != self.arity:
            raise TypeError(f"{self.name}.vjps: wants {self.arity} rules, got {len(rules)}")
        self.rules = rules

    def vjp_all(self, rule: Callable) -> None:
        """Set one rule for all arguments: ``rule(wanted, g, y, *args, **params)`` → a gradient per
        argument, or None for each whose entry in the sequence `wanted` is false."""
        self.joint = rule

    def __call__(self, *args: Any, **params: Any) -> Any:
        if params or self.statics or len(args) != self.arity:
            args, params = self._bind(args, params)
        arrays = []
        kind = None
        tracked = False
        for arg in args:
            if isinstance(arg, Node):
                kind = arg.kind
                tracked = tracked or arg.tracked
                arg = arg.array
            elif isinstance(arg, (list, tuple)):
                return self(*[_array_if_list(arg) for arg in args], **params)
            arrays.append(arg)
        if kind is None:
            return self.forward(*arrays, **params)
        tracked = tracked and recording.get()
        if tracked and self.keeps:
            params["keep"] = {}
        try:
            array = self.forward(*arrays, **params)
        except (TypeError, ValueError, IndexError) as error:
            self._explain(error, arrays)
            raise
        if isinstance(array, np.generic):  # NumPy's reductions return scalars
            array = np.asarray(array)
        if not tracked or array.dtype.kind != "f":  # comparisons and casts end differentiation
            if array.dtype.kind not in "fiub":
                raise TypeError(
                    f"{self.name}: the result would have dtype {array.dtype}; "
                    "Tensors hold floats, ints or bools"
                )
            return make_node(kind, array)
        node = make_node(kind, array, True, self, args, params)
        if on_record is not None:
            on_record(node)
        return node

    def _bind(self, args: tuple, params: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Sort arguments given by position or name into arrays and static parameters."""
        if len(args) == self.arity and self.required <= params.keys() <= self.statics.keys():
            return args, {**self.statics, **params}
        if self.variadic:
            bound = dict(self.arguments)
        else:
            names = list(self.arguments)
            if len(args) > len(names):
                raise TypeError(
                    f"{self.name}: takes at most {len(names)} arguments, got {len(args)}"
                )
            given = dict(zip(names, args, strict=False))
            for name in params:
                if name in given:
                    raise TypeError(f"{self.name}: got two values for argument {name!r}")
            bound = {**self.arguments, **given}
        for name in params:
            if name not in bound:
                raise TypeError(f"{self.name}: unexpected keyword argument {name!r}")
        bound.update(params)
        for name, value in bound.items():
            if value is inspect.Parameter.empty:
                raise TypeError(f"{self.name}: missing argument {name!r}")
        if not self.variadic:
            args = tuple(bound.pop(name) for name in list(self.arguments)[: self.arity])
        return args, bound

    def _explain(self, error: Exception, arrays: Sequence[Any]) -> None:
        """Raise an error of a forward again with the name of this primitive, which it lacks, or
        with the mix of backends behind it."""
        names = sorted({backend_of(a).name for a in arrays if is_array(a)})
        if len(names) > 1:
            raise TypeError(
                f"{self.name}: cannot mix {' and '.join(names)} arrays; move one of them with "
                f".to({names[0]!r})"
            ) from error
        message = str(error)
        if not message.startswith(self.name):
            kinds = (TypeError, ValueError, IndexError)
            kind = next(kind for kind in kinds if isinstance(error, kind))
            raise kind(f"{self.name}: {message}") from error


def module_of(x: Any) -> Any:
    """The array module (numpy or cupy) of a node or an array."""
    return xp(x.array if isinstance(x, Node) else x)


def _array_if_scalar(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic) else value


def _array_if_list(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, (list, tuple)) else value


def primitive(forward: Callable) -> Primitive:
    """Make a forward on arrays differentiable; its rules follow with ``.vjps(...)``.

    This is also how an operation is defined outside the package::

        @mg.primitive
        def cube(x):
            return x * x * x

        cube.vjps(lambda g, y, x: g * 3.0 * x * x)
    """
    made = Primitive(forward)
    if (forward.__module__ or "").startswith("minigrad."):
        registry[made.name] = made  # so that the test suite finds every one of them
    return made


# ---------------------------------------------------------------------------------------------
# The backward pass
# ---------------------------------------------------------------------------------------------


def _between(roots: Iterable[Node], targets: set[int]) -> set[int]:
    """The nodes on a path from a root to a target, both included, by their ids."""
    seen: dict[int, Node] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        if node.args is not None:
            stack += [arg for arg in node.args if isinstance(arg, Node) and arg.tracked]
        elif id(node) not in targets:
            raise _already_freed(node)
    found = targets & seen.keys()  # at once: a leaf overwritten since is younger than its users
    for node in sorted(seen.values(), key=operator.attrgetter("birth")):
        if any(id(arg) in found for arg in node.args or ()):
            found.add(id(node))
    return found


def _already_freed(node: Node) -> RuntimeError:
    made_by: Any = node.primitive
    return RuntimeError(
        f"backward: the graph behind this result of {made_by.name} was already freed by an "
        "earlier backward(); pass retain_graph=True to the earlier call"
    )


def backward_pass(
    roots: Sequence[Node],
    cotangents: Sequence[Any],
    targets: Sequence[Node] | None,
    create_graph: bool,
    retain_graph: bool,
) -> list[tuple[Node, Any]]:
    """Gradients of Σ ⟨root, cotangent⟩ by the targets (None: all leaves and retained nodes).

    Runs on arrays, or with `create_graph` on nodes. Returns pairs (node, gradient) and writes
    nothing but hooks' effects: who called decides what becomes of the gradients.

    Why an order at all: with b = a + a and c = b + b, the cotangent of b is complete only after
    both of c's contributions have arrived. A node must wait for all its users. Every user is
    younger than what it uses, so the youngest of the nodes that wait is complete: what wait is a
    heap, and no recursion limits the depth of the graph.
    """
    ids = None if targets is None else {id(node) for node in targets}
    between = None if ids is None else _between(roots, ids)
    waiting: list[tuple[int, Node]] = []  # a heap of (−birth, node)
    pending: dict[int, Any] = {}  # their cotangents so far, by birth
    summed: set[int] = set()  # entries of `pending` that are sums made here, held by nobody else

    def accumulate(node: Node, g: Any) -> None:
        birth = node.birth
        if birth not in pending:
            pending[birth] = g
            heappush(waiting, (-birth, node))
        elif birth in summed:
            pending[birth] += g
        else:
            pending[birth] = pending[birth] + g
            if not create_graph:
                summed.add(birth)

    for root, g in zip(roots, cotangents, strict=True):
        if between is None or id(root) in between:
            accumulate(root, g)
    found = []
    while waiting:
        key, node = heappop(waiting)
        g = pending.pop(-key)
        if node.hooks:
            g = _run_hooks(node, g, create_graph)
        is_leaf = node.primitive is None
        if (is_leaf or node.retains_grad) if ids is None else id(node) in ids:
            found.append((node, g))
        if is_leaf:
            continue
        if node.args is None:
            raise _already_freed(node)
        if between is not None and not any(id(arg) in between for arg in node.args):
            continue  # a target with nothing wanted behind it: its own graph stays whole
        for arg, d in _apply_rules(node, g, between, create_graph):
            accumulate(arg, d)
        if not retain_graph:
            node.args = node.params = None
    return found


def _apply_rules(
    node: Node, g: Any, between: set[int] | None, create_graph: bool
) -> list[tuple[Node, Any]]:
    """The gradients that a node passes on: pairs (argument, gradient in its shape and dtype)."""
    made_by: Any = node.primitive
    nodes: Any = node.args
    params: Any = node.params
    given = [g, node if create_graph else node.array]  # for the rules: g, y and the arguments
    wanted = []
    for arg in nodes:
        wants = False
        if isinstance(arg, Node):
            if arg.birth > node.birth:
                raise _overwritten(made_by, arg)
            wants = arg.tracked if between is None else id(arg) in between
            if not create_graph:
                arg = arg.array
        given.append(arg)
        wanted.append(wants)
    if create_graph and made_by.keeps:
        params = {**params, "keep": None}
    if made_by.joint is not None:
        gradients = made_by.joint(wanted, *given, **params)
    elif not made_by.rules:
        raise NotImplementedError(f"{made_by.name}: has no rule yet; give it one with .vjps(...)")
    passed = []
    for i, wants in enumerate(wanted):
        if not wants:
            continue
        if made_by.joint is not None:
            d = gradients[i]
        else:
            rule = made_by.rules[i]
            d = rule and rule(*given, **params)
        if d is None:
            continue
        if not hasattr(d, "shape"):
            raise TypeError(
                f"{made_by.name}: the rule of argument {i} wants to return an array, got "
                f"{type(d).__name__}"
            )
        if on_rule is not None:
            on_rule(node, i, d)
        # The only place where broadcasting is undone and mixed precision put right.
        arg = nodes[i]
        if d.shape != arg.array.shape:
            d = sum_to(d, shape=arg.array.shape)
        if d.dtype != arg.array.dtype:
            d = astype(d, dtype=arg.array.dtype)
        passed.append((arg, d))
    return passed


def _overwritten(made_by: Primitive, arg: Node) -> RuntimeError:
    return RuntimeError(
        f"backward: an argument of {made_by.name} (shape {arg.shape}) was overwritten in "
        "place, by an optimizer step or a load, since its use; run the forward pass again"
    )


def _run_hooks(node: Node, g: Any, create_graph: bool) -> Any:
    for hook in list((node.hooks or {}).values()):
        replaced = hook(g if create_graph else make_node(node.kind, _array_if_scalar(g)))
        if replaced is None:
            continue
        g = as_cotangent("register_hook", node, replaced)
        if create_graph:
            g = g if isinstance(g, Node) else make_node(node.kind, g)
        elif isinstance(g, Node):
            g = g.array
    return g


def default_cotangent(where: str, y: Node) -> Array:
    """dL/dL = 1 for a scalar; anything else needs a gradient from the caller."""
    if y.array.size != 1:
        raise RuntimeError(
            f"{where}: a gradient is wanted for an output of shape {y.shape}; only for a scalar "
            "is it 1 by itself"
        )
    return xp(y.array).ones_like(y.array)


def as_cotangent(where: str, y: Node, gradient: Any) -> Any:
    """A gradient given by the caller, checked against the output it belongs to."""
    if gradient is None:
        return default_cotangent(where, y)
    array = gradient.array if isinstance(gradient, Node) else gradient
    here, there = backend_of(y.array).name, backend_of(array).name
    if is_array(array) and here != there:
        raise TypeError(
            f"{where}: gradient lives on {there!r}, the output on {here!r}; move it with "
            f".to({here!r})"
        )
    if not isinstance(gradient, Node):
        gradient = xp(y.array).array(gradient)  # a copy, lest the caller's array become a `grad`
    if gradient.shape != y.shape:
        raise ValueError(
            f"{where}: gradient has shape {gradient.shape}, the output has shape {y.shape}"
        )
    return gradient if gradient.dtype == y.dtype else astype(gradient, dtype=y.dtype)


def pull_back(
    where: str,
    roots: Sequence[Node],
    gradients: Sequence[Any],
    targets: Sequence[Node] | None,
    create_graph: bool,
    retain_graph: bool,
) -> list[tuple[Node, Any]]:
    """`backward_pass` from and to nodes: cotangents checked, gradients wrapped as nodes."""
    cotangents = []
    for root, gradient in zip(roots, gradients, strict=True):
        if not root.tracked:
            raise RuntimeError(f"{where}: the output does not require a gradient")
        g = as_cotangent(where, root, gradient)
        if create_graph:
            cotangents.append(g if isinstance(g, Node) else make_node(root.kind, g))
        else:
            cotangents.append(g.array if isinstance(g, Node) else g)
    token = recording.set(create_graph)
    try:
        found = backward_pass(roots, cotangents, targets, create_graph, retain_graph)
    finally:
        recording.reset(token)
    if create_graph:
        return found
    return [(node, make_node(node.kind, _array_if_scalar(g))) for node, g in found]


def _nodes(argument: str, values: Any) -> list[Node]:
    """One node or an iterable of nodes as a list."""
    several = isinstance(values, Iterable) and not isinstance(values, Node) and not is_array(values)
    nodes = list(values) if several else [values]
    for node in nodes:
        if not isinstance(node, Node):
            raise TypeError(f"grad: {argument} wants Tensors, got {type(node).__name__}")
    return nodes


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> tuple:
    """Gradients of the outputs with respect to the inputs, and of nothing else.

    Computes Σ ⟨grad_output, ∂output/∂input⟩ for each input and touches no ``.grad``.

    Args:
        outputs: a Tensor or several.
        inputs: a Tensor or several (``network.parameters()``); leaves or intermediate results.
        grad_outputs: the cotangents, shaped as the outputs; 1 for scalars where None.
        create_graph: record the backward pass, so that the result can be differentiated again.
        retain_graph: keep the graph for another pass; as `create_graph` where None.
        allow_unused: return None for an input the outputs do not depend on, instead of raising.

    Returns:
        A tuple with one gradient per input.

    Raises:
        RuntimeError: an output or input requires no gradient, an output is not a scalar and has no
            grad_output, an input is unused, or the graph was freed.
    """
    roots, targets = _nodes("outputs", outputs), _nodes("inputs", inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(roots)
    elif isinstance(grad_outputs, Node) or is_array(grad_outputs):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(roots):
        raise ValueError(f"grad: got {len(grad_outputs)} grad_outputs for {len(roots)} outputs")
    for i, node in enumerate(targets):
        if not node.tracked:
            raise RuntimeError(f"grad: inputs[{i}] does not require a gradient")
    retain = create_graph if retain_graph is None else retain_graph
    found = pull_back("grad", roots, grad_outputs, targets, create_graph, retain)
    by_id = {id(node): g for node, g in found}
    for i, node in enumerate(targets):
        if id(node) not in by_id and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on inputs[{i}]; allow_unused=True returns None"
            )
    return tuple(by_id.get(id(node)) for node in targets)


# ---------------------------------------------------------------------------------------------
# The linear maps that the engine itself needs
# ---------------------------------------------------------------------------------------------


@primitive
def sum_to(x, *, shape):
    """Σ x over the axes along which `shape` was broadcast to x's; transposes `broadcast_to`."""
    lead = x.ndim - len(shape)
    if lead == 1 and x.ndim == 2 and x.shape[1:] == shape:  # a bias: the BLAS sums columns fastest
        return xp(x).ones(x.shape[0], dtype=x.dtype) @ x
    repeated = [lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1]
    y = x.sum(axis=(*range(lead), *repeated), keepdims=True)
    return y.reshape(shape)


@primitive
def broadcast_to(x, *, shape):
    """x repeated along new and size-one axes to `shape`, as NumPy broadcasts (a read-only view)."""
    return xp(x).broadcast_to(x, shape)


@primitive
def astype(x, *, dtype):
    """x cast to `dtype`."""
    return x.astype(dtype)


sum_to.vjps(lambda g, y, x, *, shape: broadcast_to(g, shape=x.shape))
broadcast_to.vjps(lambda g, y, x, *, shape: sum_to(g, shape=x.shape))
astype.vjps(lambda g, y, x, *, dtype: astype(g, dtype=x.dtype))
