"""For every primitive, and every public function built on them, a strategy that draws calls of it.

`CALLS` maps the name of a primitive to a strategy of `minigrad.cases.Call`; how the arguments are
drawn stands in `minigrad/cases.py`, where ``python -m minigrad check`` finds it too.
`FUNCTION_CALLS` does the same for public functions, from `tests/functions.py`.
"""

import operator

from minigrad import testing
from minigrad.cases import CASES, Draw, index_of
from tests.functions import FUNCTIONS

CALLS = {name: testing.calls(name) for name in CASES}
FUNCTION_CALLS = {name: testing.drawn(entry.case) for name, entry in FUNCTIONS.items()}

any_shape = testing.drawn(Draw.any_shape)


def axes_of(ndim, several=True):
    """An axis argument: None, an int, or a tuple of ints, () included; negative ones too."""
    return testing.drawn(Draw.axis, ndim, several)


def indices(shape):
    """Anything NumPy takes as an index of an array of this shape, as a tuple of its parts."""
    return testing.drawn(index_of, shape)


# ---------------------------------------------------------------------------------------------
# Primitives without rules: what differentiation ends at
# ---------------------------------------------------------------------------------------------

COMPARISONS = {
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip
RULELESS = {
    *COMPARISONS, "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "isnan", "isfinite",
    "argmax", "argmin", "winning_taps",
}  # fmt: skip
