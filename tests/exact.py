"""Exact arithmetic: formulas in decimals of 400 digits, and their derivatives by differences.

Nothing here knows of floating point or of the rules under test. A number of 400 digits leaves room
for a difference quotient with a step of 10⁻⁶⁰ that is right to a hundred digits and more, so that a
formula is all that has to be written down.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from functools import cache, wraps

DIGITS = 400
STEP = Decimal("1e-60")

Formula = Callable[[Sequence[Decimal]], Sequence[Decimal]]


def precise():
    """A context in which decimals have `DIGITS` digits."""
    return localcontext(prec=DIGITS)


def exactly(f):
    """Let a function compute with `DIGITS` digits."""

    @wraps(f)
    def computed(*args):
        with precise():
            return f(*args)

    return computed


@exactly
def derivatives(f: Formula, x: Sequence[float], v: Sequence[float], u: Sequence[float]):
    """f(x); the gradient of φ = ⟨v, f⟩; and the gradient of ⟨u, ∇φ⟩, the Hessian of φ times u.

    Entries of f that v leaves out may be infinite.
    """
    at, weights, along = ([Decimal(float(a)) for a in values] for values in (x, v, u))

    def phi(point):
        return sum(a * b for a, b in zip(weights, f(point), strict=True) if a)

    def moved(point, direction, step):
        return [a + step * b for a, b in zip(point, direction, strict=True)]

    def slope(g, direction):
        return lambda p: (g(moved(p, direction, STEP)) - g(moved(p, direction, -STEP))) / (2 * STEP)

    units = [[Decimal(i == j) for j in range(len(at))] for i in range(len(at))]
    first = [slope(phi, unit)(at) for unit in units]
    second = [slope(slope(phi, along), unit)(at) for unit in units]
    return tuple([float(a) for a in found] for found in (f(at), first, second))


# ---------------------------------------------------------------------------------------------
# Functions of one number
# ---------------------------------------------------------------------------------------------


def exp(x: Decimal) -> Decimal:
    """eˣ; 0 far below everything that a float can hold."""
    return x.exp() if x > -100_000 else Decimal(0)


def sigmoid(x):
    e = exp(-abs(x))
    return (1 if x >= 0 else e) / (1 + e)


def softplus(x):
    return max(x, Decimal(0)) + (1 + exp(-abs(x))).ln()


def tanh(x):
    return 2 * sigmoid(2 * x) - 1


def arcsinh(x):
    y = (abs(x) + (x * x + 1).sqrt()).ln()
    return y if x >= 0 else -y


def arctan(x):
    """The series, after halving the angle until x is below 0.01."""
    doublings = 0
    while abs(x) > Decimal("0.01"):
        x = x / (1 + (1 + x * x).sqrt())
        doublings += 1
    total = Decimal(0)
    power, n = x, 1
    while abs(power) > abs(x) * Decimal(10) ** -DIGITS:
        total += power / n
        power *= -x * x
        n += 2
    return total * 2**doublings


@cache
@exactly
def pi():
    return 4 * arctan(Decimal(1))


def erf(x):
    """2/√π e^(−x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n + 1)!!, whose terms all have one sign; ±1 beyond 38."""
    if abs(x) > 38:
        return Decimal(1).copy_sign(x)
    total = Decimal(0)
    term, n = x, 0
    while abs(term) > abs(total) * Decimal(10) ** -DIGITS:
        total += term
        n += 1
        term *= 2 * x * x / (2 * n + 1)
    return 2 / pi().sqrt() * exp(-x * x) * total


def normal_cdf(x):
    return (1 + erf(x / Decimal(2).sqrt())) / 2


# ---------------------------------------------------------------------------------------------
# Functions of several numbers
# ---------------------------------------------------------------------------------------------


def logsumexp(x):
    top = max(x)
    return top + sum(exp(a - top) for a in x).ln()


def softmax(x):
    total = logsumexp(x)
    return [exp(a - total) for a in x]


def log_softmax(x):
    total = logsumexp(x)
    return [a - total for a in x]


def norm(x, p=2):
    return sum(abs(a) ** p for a in x) ** (1 / Decimal(p))


def mean(x):
    return sum(x) / len(x)


def variance(x, ddof=0):
    middle = mean(x)
    return sum((a - middle) ** 2 for a in x) / (len(x) - ddof)


def standardized(x, eps):
    middle = mean(x)
    scale = (variance(x) + Decimal(eps)).sqrt()
    return [(a - middle) / scale for a in x]


def angle(a, b):
    """The angle of the point (b, a), off the cut a = 0, b < 0."""
    return 2 * arctan(((a * a + b * b).sqrt() - b) / a) if a else Decimal(0)
