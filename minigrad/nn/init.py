"""Initial values of weights, written in place; signatures and distributions are PyTorch's.

The numbers are drawn on the host in double precision and then moved and cast, so that one seed
gives one initial network on every backend and in every dtype.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.backend import backend_of, host_generator
from minigrad.tensor import Tensor


def _write(name: str, tensor: Tensor, values: np.ndarray) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: tensor wants a Tensor, got {type(tensor).__name__}")
    if tensor.dtype.kind != "f":
        raise TypeError(f"{name}: tensor wants a floating dtype, got {tensor.dtype}")
    tensor.overwrite(backend_of(tensor.array).asarray(values.astype(tensor.dtype)))
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b)."""
    return _write("uniform_", tensor, host_generator().uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with draws from the normal distribution with this mean and standard deviation."""
    return _write("normal_", tensor, host_generator().normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return _write("constant_", tensor, np.full(tensor.shape, val))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, *kernel): how many inputs an output has, and back."""
    if tensor.ndim < 2:
        raise ValueError(f"{name}: tensor wants at least 2 dimensions, got shape {tensor.shape}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the standard deviation of weights that makes up for what follows them.

    Args:
        nonlinearity: "linear", "sigmoid" or a convolution such as "conv2d" (1), "tanh" (5/3),
            "relu" (√2), "leaky_relu" (√(2 / (1 + slope²))) or "selu" (3/4).
        param: the negative slope of "leaky_relu", 0.01 where None.
    """
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise ValueError(f"calculate_gain: param wants a number, got {param!r}")
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}
    gains |= {f"conv{n}d": 1.0 for n in (1, 2, 3)} | {f"conv_transpose{n}d": 1.0 for n in (1, 2, 3)}
    gains["leaky_relu"] = math.sqrt(2.0 / (1.0 + slope**2))
    if nonlinearity not in gains:
        known = ", ".join(sorted(gains))
        raise ValueError(f"calculate_gain: nonlinearity wants one of {known}, got {nonlinearity!r}")
    return gains[nonlinearity]


def _xavier_std(name: str, tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2.0 / sum(fans(name, tensor)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform on ±gain · √(6 / (fan_in + fan_out)).

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010).
    """
    bound = math.sqrt(3.0) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with standard deviation gain · √(2 / (fan_in + fan_out)); see `xavier_uniform_`."""
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode wants fan_in or fan_out, got {mode!r}")
    fan = fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform on ±gain · √(3 / fan).

    Args:
        a: the negative slope of the leaky ReLU that follows; 0 for a ReLU.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: what follows, see `calculate_gain`.

    Source: He et al., "Delving deep into rectifiers" (2015).
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal with standard deviation gain / √fan; arguments as for `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1) -> Tensor:
    """gain times a random matrix with orthonormal rows or columns, whichever are fewer.

    A tensor of more dimensions counts as a matrix (out, in · kernel). The matrix is Q of a normal
    matrix = QR with the signs of R's diagonal, which makes it uniform over the orthogonal ones.

    Source: Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks" (2014).
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"orthogonal_: tensor wants at least 2 dimensions, got shape {tensor.shape}"
        )
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    q, r = np.linalg.qr(host_generator().normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diagonal(r))
    q = q if rows >= columns else q.T
    return _write("orthogonal_", tensor, gain * q.reshape(tensor.shape))
