"""Elementwise functions, broadcasting as NumPy does.

A rule never mentions broadcasting or dtypes: the engine sums a gradient back to the shape of its
argument, and casts it to the argument's dtype. Constants in rules are Python floats, which leave
float32 alone; a NumPy float64 scalar would promote it (NEP 50).
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.backend import special, xp
from minigrad.core import primitive

LN2 = math.log(2.0)
LN10 = math.log(10.0)

# ---------------------------------------------------------------------------------------------
# Arithmetic
# ---------------------------------------------------------------------------------------------


@primitive
def add(a, b):
    """a + b."""
    return a + b


add.vjps(lambda g, y, a, b: g,
         lambda g, y, a, b: g)


@primitive
def subtract(a, b):
    """a − b."""
    return a - b


subtract.vjps(lambda g, y, a, b: g,
              lambda g, y, a, b: -g)


@primitive
def multiply(a, b):
    """a · b."""
    return a * b


multiply.vjps(lambda g, y, a, b: g * b,
              lambda g, y, a, b: g * a)


@primitive
def divide(a, b):
    """a / b."""
    return a / b


divide.vjps(lambda g, y, a, b: g / b,
            lambda g, y, a, b: -g * y / b)


@primitive
def floor_divide(a, b):
    """⌊a / b⌋: piecewise constant, gradient 0."""
    return a // b


floor_divide.vjps(lambda g, y, a, b: g * 0.0,
                  lambda g, y, a, b: g * 0.0)


@primitive
def remainder(a, b):
    """a − ⌊a / b⌋ · b, with the sign of b."""
    return a % b


remainder.vjps(lambda g, y, a, b: g,
               lambda g, y, a, b: -g * (a // b))


@primitive
def power(a, b):
    """a ** b."""
    return a ** b


def _power_base(g, y, a, b):
    # b · a^(b−1); where a = b = 0 the slope is 0, and 0 · 0^(−1) would be NaN.
    if isinstance(b, (int, float)):
        return g * 0.0 if b == 0 else g * (b * a ** (b - 1))
    return g * b * a ** where((a == 0.0) & (b == 0.0), 1.0, b - 1.0)


def _power_exponent(g, y, a, b):
    # a^b · log a, which tends to 0 with a for b > 0.
    return g * y * log(where(a == 0.0, 1.0, a))


power.vjps(_power_base, _power_exponent)


@primitive
def negative(x):
    """−x."""
    return -x


negative.vjps(lambda g, y, x: -g)


@primitive
def sign(x):
    """−1, 0 or 1: piecewise constant, gradient 0."""
    return xp(x).sign(x)


sign.vjps(lambda g, y, x: g * 0.0)


@primitive
def abs(x):
    """|x|; the gradient at 0 is 0."""
    return xp(x).abs(x)


abs.vjps(lambda g, y, x: g * sign(x))


@primitive
def square(x):
    """x²."""
    return x * x


square.vjps(lambda g, y, x: g * (2.0 * x))


@primitive
def sqrt(x):
    """√x; the gradient at 0 is infinite."""
    return xp(x).sqrt(x)


sqrt.vjps(lambda g, y, x: g * 0.5 / y)


@primitive
def reciprocal(x):
    """1 / x."""
    return xp(x).reciprocal(x)


reciprocal.vjps(lambda g, y, x: -g * y * y)


@primitive
def hypot(a, b):
    """√(a² + b²), where the squares do not overflow; the gradient at 0 is 0."""
    return xp(a, b).hypot(a, b)


def _over_length(x, length):
    return x / where(length == 0.0, math.inf, length)  # at the origin 0, to every order


hypot.vjps(lambda g, y, a, b: g * _over_length(a, y),
           lambda g, y, a, b: g * _over_length(b, y))

# ---------------------------------------------------------------------------------------------
# Exponentials and logarithms
# ---------------------------------------------------------------------------------------------


@primitive
def exp(x):
    """eˣ."""
    return xp(x).exp(x)


exp.vjps(lambda g, y, x: g * y)


@primitive
def exp2(x):
    """2ˣ."""
    return xp(x).exp2(x)


exp2.vjps(lambda g, y, x: g * (y * LN2))


@primitive
def expm1(x):
    """eˣ − 1, accurate near 0."""
    return xp(x).expm1(x)


expm1.vjps(lambda g, y, x: g * (y + 1.0))


@primitive
def log(x):
    """Natural logarithm."""
    return xp(x).log(x)


log.vjps(lambda g, y, x: g / x)


@primitive
def log2(x):
    """Logarithm to base 2."""
    return xp(x).log2(x)


log2.vjps(lambda g, y, x: g / (x * LN2))


@primitive
def log10(x):
    """Logarithm to base 10."""
    return xp(x).log10(x)


log10.vjps(lambda g, y, x: g / (x * LN10))


@primitive
def log1p(x):
    """log(1 + x), accurate near 0."""
    return xp(x).log1p(x)


log1p.vjps(lambda g, y, x: g / (x + 1.0))


@primitive
def logaddexp(a, b):
    """log(eᵃ + eᵇ) without overflow."""
    return xp(a, b).logaddexp(a, b)


def _logaddexp_share(a, b):
    # eᵃ / (eᵃ + eᵇ). Equal infinities share evenly; their difference would be NaN.
    both = (a == b) & (abs(a) == math.inf)
    return sigmoid(where(both, 0.0, a) - where(both, 0.0, b))


logaddexp.vjps(lambda g, y, a, b: g * _logaddexp_share(a, b),
               lambda g, y, a, b: g * _logaddexp_share(b, a))


@primitive
def sigmoid(x):
    """1 / (1 + e⁻ˣ), the logistic function."""
    module = xp(x)
    with np.errstate(over="ignore"):  # 1 / ∞ = 0 is right
        return module.reciprocal(module.exp(x * -1.0) + 1.0)


sigmoid.vjps(lambda g, y, x: g * (y * (1.0 - y)))


@primitive
def erf(x):
    """2/√π ∫₀ˣ e^(−t²) dt, the error function."""
    return special(x).erf(x)


def _gaussian(x):
    # e^(−x²), which is 0 in every dtype beyond 30; the square of a large x would overflow.
    x = clip(x, -30.0, 30.0)
    return exp(-x * x)


erf.vjps(lambda g, y, x: g * (_gaussian(x) * (2.0 / math.sqrt(math.pi))))


@primitive
def normal_cdf(x):
    """(1 + erf(x / √2)) / 2, the distribution function of the standard normal; accurate in its
    lower tail, where the sum cancels."""
    return special(x).ndtr(x)


normal_cdf.vjps(lambda g, y, x: g * (_gaussian(x * math.sqrt(0.5)) / math.sqrt(2.0 * math.pi)))

# ---------------------------------------------------------------------------------------------
# Trigonometric and hyperbolic functions
# ---------------------------------------------------------------------------------------------


@primitive
def sin(x):
    """Sine; x in radians."""
    return xp(x).sin(x)


@primitive
def cos(x):
    """Cosine; x in radians."""
    return xp(x).cos(x)


sin.vjps(lambda g, y, x: g * cos(x))
cos.vjps(lambda g, y, x: -g * sin(x))


@primitive
def tan(x):
    """Tangent; x in radians."""
    return xp(x).tan(x)


tan.vjps(lambda g, y, x: g * (1.0 + y * y))


@primitive
def arcsin(x):
    """Inverse sine, in [−π/2, π/2]."""
    return xp(x).arcsin(x)


arcsin.vjps(lambda g, y, x: g / sqrt((1.0 - x) * (1.0 + x)))


@primitive
def arccos(x):
    """Inverse cosine, in [0, π]."""
    return xp(x).arccos(x)


arccos.vjps(lambda g, y, x: -g / sqrt((1.0 - x) * (1.0 + x)))


@primitive
def arctan(x):
    """Inverse tangent, in (−π/2, π/2)."""
    return xp(x).arctan(x)


arctan.vjps(lambda g, y, x: g / hypot(x, 1.0) / hypot(x, 1.0))


@primitive
def arctan2(a, b):
    """The angle of the point (b, a), in [−π, π]; the gradient at the origin is 0."""
    return xp(a, b).arctan2(a, b)


def _over_square(x, a, b):
    length = hypot(a, b)  # whose square may overflow
    return _over_length(_over_length(x, length), length)


arctan2.vjps(lambda g, y, a, b: g * _over_square(b, a, b),
             lambda g, y, a, b: -g * _over_square(a, a, b))


@primitive
def sinh(x):
    """Hyperbolic sine."""
    return xp(x).sinh(x)


@primitive
def cosh(x):
    """Hyperbolic cosine."""
    return xp(x).cosh(x)


sinh.vjps(lambda g, y, x: g * cosh(x))
cosh.vjps(lambda g, y, x: g * sinh(x))


@primitive
def tanh(x):
    """Hyperbolic tangent."""
    return xp(x).tanh(x)


tanh.vjps(lambda g, y, x: g - g * y * y)


@primitive
def arcsinh(x):
    """Inverse hyperbolic sine."""
    return xp(x).arcsinh(x)


arcsinh.vjps(lambda g, y, x: g / hypot(x, 1.0))


@primitive
def arccosh(x):
    """Inverse hyperbolic cosine, for x ≥ 1."""
    return xp(x).arccosh(x)


arccosh.vjps(lambda g, y, x: g / (sqrt(x - 1.0) * sqrt(x + 1.0)))


@primitive
def arctanh(x):
    """Inverse hyperbolic tangent, for |x| < 1."""
    return xp(x).arctanh(x)


arctanh.vjps(lambda g, y, x: g / ((1.0 - x) * (1.0 + x)))

# ---------------------------------------------------------------------------------------------
# Choices
# ---------------------------------------------------------------------------------------------


@primitive
def where(condition, a, b):
    """a where `condition` holds, else b."""
    module = xp(condition, a, b)
    return module.where(module.asarray(condition), a, b)  # a bare bool is not enough for CuPy


where.vjps(None,
           lambda g, y, condition, a, b: where(condition, g, 0.0),
           lambda g, y, condition, a, b: where(condition, 0.0, g))


@primitive
def maximum(a, b):
    """The larger of a and b; where they tie each gets half of the gradient."""
    return xp(a, b).maximum(a, b)


maximum.vjps(lambda g, y, a, b: _winners(g, a, b, a > b),
             lambda g, y, a, b: _winners(g, a, b, b > a))


@primitive
def minimum(a, b):
    """The smaller of a and b; where they tie each gets half of the gradient."""
    return xp(a, b).minimum(a, b)


minimum.vjps(lambda g, y, a, b: _winners(g, a, b, a < b),
             lambda g, y, a, b: _winners(g, a, b, b < a))


def _winners(g, a, b, won):
    return where(won, g, where(a == b, g * 0.5, 0.0))


@primitive
def clip(x, min=None, max=None):
    """x held within [min, max], either of which may be None; at a bound the gradient is x's."""
    if min is None and max is None:  # which CuPy, and NumPy before 2.1, refuse
        return xp(x).array(x)
    return xp(x, min, max).clip(x, min, max)


def _clip_x(g, y, x, low=None, high=None):
    below = False if low is None else x < low
    above = False if high is None else x > high
    return where(below | above, 0.0, g)


def _clip_low(g, y, x, low, high=None):
    return where(x < low if high is None else (x < low) & (low <= high), g, 0.0)


def _clip_high(g, y, x, low, high):
    return where((x if low is None else maximum(x, low)) > high, g, 0.0)


clip.vjps(_clip_x, _clip_low, _clip_high)

# ---------------------------------------------------------------------------------------------
# Comparisons: tensors of bool, where differentiation ends
# ---------------------------------------------------------------------------------------------


@primitive
def equal(a, b):
    """a = b."""
    return a == b


@primitive
def not_equal(a, b):
    """a ≠ b."""
    return a != b


@primitive
def less(a, b):
    """a < b."""
    return a < b


@primitive
def less_equal(a, b):
    """a ≤ b."""
    return a <= b


@primitive
def greater(a, b):
    """a > b."""
    return a > b


@primitive
def greater_equal(a, b):
    """a ≥ b."""
    return a >= b


@primitive
def bitwise_and(a, b):
    """a and b, for bools and integers."""
    return a & b


@primitive
def bitwise_or(a, b):
    """a or b, for bools and integers."""
    return a | b


@primitive
def bitwise_xor(a, b):
    """Either a or b, for bools and integers."""
    return a ^ b


@primitive
def invert(x):
    """not x, for bools and integers."""
    return ~x


@primitive
def isnan(x):
    """Whether x is not a number."""
    return xp(x).isnan(x)


@primitive
def isfinite(x):
    """Whether x is neither infinite nor NaN."""
    return xp(x).isfinite(x)
