"""A table of what a network is made of: layers, output shapes, parameters, multiply-adds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minigrad.backend import current_backend, default_dtype
from minigrad.core import module_of
from minigrad.nn.conv import _Conv, _ConvTranspose
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.recurrent import _Cell, _Recurrent
from minigrad.ops.shape import integers
from minigrad.recording import no_grad
from minigrad.tensor import Tensor


@dataclass(frozen=True)
class SummaryRow:
    """One call of one layer."""

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """What `summary` returns; ``print`` shows the table.

    Attributes:
        title: class of the network, and the shape of its input.
        rows: a `SummaryRow` for each call of a layer, in the order of the calls.
        parameters: number of parameters of the whole network, shared ones counted once.
        trainable: number of those that require a gradient.
        multiply_adds: of one forward pass.
    """

    title: str
    rows: tuple[SummaryRow, ...]
    parameters: int
    trainable: int

    @property
    def multiply_adds(self) -> int:
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        table = [("name", "layer", "output shape", "parameters", "multiply-adds")]
        for row in self.rows:
            shape = " × ".join(map(str, row.output_shape))
            counts = (f"{row.parameters:,}", f"{row.multiply_adds:,}")
            table.append((row.name, row.layer, shape, *counts))
        table.append(("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(line[i]) for line in table) for i in range(5)]
        lines = []
        for line in table:
            words = [word.ljust(width) for word, width in zip(line[:3], widths[:3], strict=True)]
            numbers = [word.rjust(width) for word, width in zip(line[3:], widths[3:], strict=True)]
            lines.append("  ".join(words + numbers))
        rule = "─" * len(lines[0])
        frozen = self.parameters - self.trainable
        note = [f"{frozen:,} of the parameters are frozen"] if frozen else []
        return "\n".join([self.title, lines[0], rule, *lines[1:-1], rule, lines[-1], *note])


def _first(value: Any) -> Any:
    """The first Tensor of an output: recurrent layers and pools with indices return several."""
    return _first(value[0]) if isinstance(value, (tuple, list)) else value


def _multiply_adds(module: Module, x: Tensor, y: Tensor) -> int:
    """Multiply-adds of the matrix products behind one call; 0 for layers that have none."""
    if isinstance(module, Linear):
        return y.size * module.in_features
    if isinstance(module, _Conv):  # each output reads its window in the channels of its group
        return y.size * (module.weight.size // module.out_channels)
    if isinstance(module, _ConvTranspose):  # each input is spread over its window
        return x.size * (module.weight.size // module.in_channels)
    if isinstance(module, (_Recurrent, _Cell)):
        weights = sum(p.size for name, p in module.named_parameters() if name.startswith("weight"))
        return math.prod(x.shape[:-1]) * weights
    return 0


def summary(module: Module, input_shape: Any, dtype: Any = None) -> Summary:
    """Run a network once on zeros and list its layers.

    The run happens in evaluation mode and records nothing; the modes are put back afterwards. A
    layer is a module that has parameters of its own or no modules inside. Products that a `forward`
    computes itself, outside of layers, are not counted.

    Args:
        module: the network.
        input_shape: the shape of its input, batch axis included.
        dtype: of the input; that of the first parameter where None, so say "int64" for a network
            that begins with an `Embedding`.
    """
    first = next(module.parameters(), None)
    array_module = current_backend().module if first is None else module_of(first)
    if dtype is None:
        dtype = default_dtype() if first is None else first.dtype
    x = Tensor(array_module.zeros(integers("summary", "input_shape", input_shape), dtype=dtype))
    rows: list[SummaryRow] = []
    counted: set[int] = set()
    handles = []
    modes = [(part, part.training) for part in module.modules()]

    def listen(name: str) -> Any:
        def record(layer: Module, args: tuple, output: Any) -> None:
            own = [p for p in layer.parameters(recurse=False) if id(p) not in counted]
            counted.update(map(id, own))
            y = _first(output)
            rows.append(
                SummaryRow(
                    name,
                    type(layer).__name__,
                    y.shape,
                    sum(p.size for p in own),
                    _multiply_adds(layer, _first(args), y),
                )
            )

        return record

    try:
        module.eval()
        for name, part in module.named_modules():
            if next(part.parameters(recurse=False), None) is not None or not part._own_modules():
                handles.append(part.register_forward_hook(listen(name or "(itself)")))
        with no_grad():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
        for part, mode in modes:
            part.training = mode
    parameters = list(module.parameters())
    return Summary(
        f"{type(module).__name__} on an input of shape {x.shape}",
        tuple(rows),
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.requires_grad),
    )
