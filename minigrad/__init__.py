"""minigrad: a small reverse-mode autodiff engine on NumPy and CuPy, written to be read.

Arrays speak NumPy, networks speak PyTorch::

    import minigrad as mg

    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * mg.sin(x)).sum()
    y.backward()
    x.grad
"""

from minigrad import tuning as _tuning  # isort: skip, before NumPy is loaded
from minigrad.backend import (
    BackendError,
    backends,
    manual_seed,
    set_backend,
    set_default_dtype,
    use_backend,
)
from minigrad.calculus import checkpoint, hessian, hvp, jacobian, jvp, vjp
from minigrad.core import grad, primitive
from minigrad.creation import (
    arange,
    as_tensor,
    bernoulli,
    empty,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from minigrad.debug import detect_anomaly
from minigrad.gradcheck import GradcheckError, gradcheck, gradgradcheck
from minigrad.ops.elementwise import (
    abs,
    add,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    clip,
    cos,
    cosh,
    divide,
    equal,
    erf,
    exp,
    exp2,
    expm1,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    reciprocal,
    remainder,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    where,
)
from minigrad.ops.indexing import take, take_along_axis
from minigrad.ops.linalg import dot, einsum, matmul, outer, tensordot
from minigrad.ops.reduce import (
    argmax,
    argmin,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from minigrad.ops.shape import (
    broadcast_to,
    diagonal,
    expand_dims,
    flip,
    moveaxis,
    pad,
    ravel,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    trace,
    transpose,
    tril,
    triu,
)
from minigrad.ops.shape import join as concatenate
from minigrad.recording import enable_grad, is_grad_enabled, no_grad
from minigrad.serialize import load, save
from minigrad.tensor import Tensor

__version__ = "0.1.0"
