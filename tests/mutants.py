"""Plant wrong lines in the package, one at a time, and show that the tests find every one.

    python -m tests.mutants                      plant all, two at a time
    python -m tests.mutants --only pool.py       those whose line in the table holds a word
    python -m tests.mutants --list               say what would be planted

A *mutant* is the package with one plausible mistake: a lost sign, factor or term, a transposition
or sum forgotten, a wrong axis, constant or gate, a second derivative that misses a path. Each one
is planted in a copy of the checkout, never in the checkout itself, and the tests run there until
one fails: it *kills* the mutant. First come the tests nearest to the file, then all others. PyTorch
is hidden from them, so what kills is the suite that everybody can run. A mutant that survives is a
missing test.

Source: DeMillo, Lipton & Sayward, "Hints on test data selection: help for the practicing
programmer" (1978).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMIT = 900  # seconds for one run of pytest, far beyond what the whole suite takes

# A run that ends in one of these has not judged a rule: the mutant is no program.
BROKEN = {"ImportError", "ModuleNotFoundError", "SyntaxError", "NameError", "CollectError"}


@dataclass(frozen=True)
class Mutant:
    """One mistake: in `path`, the only occurrence of `old` becomes `new`.

    `name` is the function or class it is in; tests with that word in their names run first.
    """

    path: str
    kind: str
    name: str
    old: str
    new: str

    @property
    def change(self) -> str:
        """What changes, in one line, without the words that stay the same at both ends."""
        old, new = self.old.split(), self.new.split()
        while old and new and old[0] == new[0]:
            old, new = old[1:], new[1:]
        while old and new and old[-1] == new[-1]:
            old, new = old[:-1], new[:-1]
        return f"{' '.join(old)} → {' '.join(new)}"

    def __str__(self) -> str:
        return f"{self.path.removeprefix('minigrad/')}  {self.kind}  {self.name}: {self.change}"


# The test files nearest to a file or folder, quick ones first; the longest path that fits counts.
NEAREST = {
    "minigrad/backend.py": ["losses", "activation"],
    "minigrad/core.py": ["core", "linalg", "normalization", "primitives"],
    "minigrad/ops/activation.py": ["activation", "edges", "primitives"],
    "minigrad/ops/conv.py": ["conv", "primitives"],
    "minigrad/ops/elementwise.py": ["elementwise", "edges", "primitives"],
    "minigrad/ops/indexing.py": ["indexing", "primitives"],
    "minigrad/ops/linalg.py": ["linalg", "primitives"],
    "minigrad/ops/loss.py": ["losses", "edges", "primitives"],
    "minigrad/ops/normalize.py": ["normalization", "edges", "primitives"],
    "minigrad/ops/pool.py": ["pool", "primitives"],
    "minigrad/ops/recurrent.py": ["recurrent", "primitives"],
    "minigrad/ops/reduce.py": ["reduce", "edges", "primitives"],
    "minigrad/ops/shape.py": ["shape", "primitives"],
    "minigrad/nn/activation.py": ["activation", "layers", "torch_cases"],
    "minigrad/nn/containers.py": ["module"],
    "minigrad/nn/conv.py": ["torch_cases", "init", "layers"],
    "minigrad/nn/init.py": ["init"],
    "minigrad/nn/linear.py": ["layers", "init"],
    "minigrad/nn/losses.py": ["losses"],
    "minigrad/nn/module.py": ["module"],
    "minigrad/nn/normalization.py": ["normalization", "layers", "torch_cases"],
    "minigrad/nn/pooling.py": ["torch_cases", "layers", "pool"],
    "minigrad/nn/recurrent.py": ["recurrent", "torch_cases", "init"],
    "minigrad/nn/summary.py": ["module"],
    "minigrad/nn/functional/activation.py": ["activation", "edges"],
    "minigrad/nn/functional/checks.py": ["conv", "activation"],
    "minigrad/nn/functional/conv.py": ["conv"],
    "minigrad/nn/functional/linear.py": ["activation"],
    "minigrad/nn/functional/loss.py": ["losses", "edges"],
    "minigrad/nn/functional/normalization.py": ["normalization"],
    "minigrad/nn/functional/pooling.py": ["pool"],
    "minigrad/nn/functional/recurrent.py": ["recurrent", "torch_cases"],
    "minigrad/nn/functional/sparse.py": ["activation", "layers"],
    "minigrad/optim": ["optim"],
    "models/alexnet.py": ["models_alexnet"],
    "models/cnn.py": ["models_cnn"],
    "models/rbm.py": ["models_rbm"],
    "models/contest.py": ["models_contest"],
    "models/moving_digits.py": ["models_cnn"],
    "models/waveforms.py": ["models_cnn"],
    "models/rnn.py": ["models_rnn", "models_lstm"],
    "models/lstm.py": ["models_lstm"],
    "models/sequences.py": ["models_sequences", "models_rnn"],
    "models/hopfield.py": ["models_hopfield"],
    "models/boltzmann.py": ["models_boltzmann"],
    "models/dbn.py": ["models_dbn"],
    "models/training.py": ["models_training", "models_commands", "models_dbn"],
    "models/vae.py": ["models_vae"],
    "models/autoencoder.py": ["models_autoencoder"],
    "models/reconstruction.py": ["models_autoencoder"],
    "models/judge.py": ["judge"],
    "models/rivals.py": ["models_rivals"],
    "models/gan.py": ["models_gan"],
    "models/lsgan.py": ["models_lsgan"],
    "models/gaussians.py": ["models_gan"],
    "models/cgan.py": ["models_cgan"],
    "models/deconvnet.py": ["models_deconvnet"],
    "models/segmentation.py": ["models_segmentation"],
    "models/adversarial.py": ["models_adversarial"],
}


def nearest(path: str) -> list[str]:
    """The test files that most likely kill a mutant of the file at `path`."""
    fits = [start for start in NEAREST if path.startswith(start)]
    return [f"tests/test_{name}.py" for name in NEAREST[max(fits, key=len)]]


# ---------------------------------------------------------------------------------------------
# The mistakes: (kind, function, old text, new text) for each file
# ---------------------------------------------------------------------------------------------

PLANTED = {
    "minigrad/backend.py": [
        ("off by one", "outside", "high >= count:", "high > count:"),
        ("missing check", "outside", "if low < 0 or high", "if high"),
        ("off by one", "blocks", "range(part.start, part.stop, step)",
         "range(part.start, max(part.stop - 1, 1), step)"),
        ("missing check", "over_blocks", "backend.blocks(part, nbytes) or [part]",
         "backend.blocks(part, nbytes)"),
    ],
    "minigrad/core.py": [
        ("missing unbroadcast", "sum_to", "if d.shape != arg.array.shape:",
         "if d.ndim != arg.array.ndim:"),
        ("missing check", "sum_to", " and x.ndim == 2 and x.shape[1:] == shape:",
         " and x.ndim == 2:"),
        ("wrong axis", "sum_to", "if n == 1 and x.shape[lead + i] != 1]",
         "if n == 1 and x.shape[i] != 1]"),
        ("wrong axis", "sum_to", "repeated = [lead + i for i, n", "repeated = [i for i, n"),
        ("missing cast", "astype", "if d.dtype != arg.array.dtype:",
         "if d.dtype.kind != arg.array.dtype.kind:"),
        ("missing term", "accumulate", "pending[birth] = pending[birth] + g", "pending[birth] = g"),
        ("shared memory", "accumulate", "            pending[birth] = g\n            heappush",
         "            pending[birth] = g\n            summed.add(birth)\n            heappush"),
        ("wrong order", "backward_pass", "heappop(waiting)", "waiting.pop()"),
        ("wrong order", "_between",
         'sorted(seen.values(), key=operator.attrgetter("birth"))', "list(seen.values())"),
        ("wrong second order", "_apply_rules", 'params = {**params, "keep": None}',
         "params = {**params}"),
        ("lost dependence", "_apply_rules", "[g, node if create_graph else node.array]",
         "[g, node.array]"),
        ("lost dependence", "_apply_rules", "            if not create_graph:\n"
         "                arg = arg.array\n", "            arg = arg.array\n"),
    ],
    "minigrad/ops/elementwise.py": [
        ("sign", "subtract", "lambda g, y, a, b: -g)", "lambda g, y, a, b: g)"),
        ("swapped arguments", "multiply", "multiply.vjps(lambda g, y, a, b: g * b,",
         "multiply.vjps(lambda g, y, a, b: g * a,"),
        ("sign", "divide", "-g * y / b)", "g * y / b)"),
        ("missing factor", "divide", "-g * y / b)", "-g * a / b)"),
        ("sign", "remainder", "-g * (a // b)", "g * (a // b)"),
        ("missing factor", "power", "g * (b * a ** (b - 1))", "g * a ** (b - 1)"),
        ("wrong constant", "power", "(b == 0.0), 1.0, b - 1.0)", "(b == 0.0), 1.0, b)"),
        ("dropped mask", "power", "a ** where((a == 0.0) & (b == 0.0), 1.0, b - 1.0)",
         "a ** (b - 1.0)"),
        ("dropped mask", "power", "g * 0.0 if b == 0 else g * (b", "g * (b"),
        ("dropped mask", "power", "log(where(a == 0.0, 1.0, a))", "log(a)"),
        ("missing factor", "power", "return g * y * log(", "return g * log("),
        ("sign", "negative", "negative.vjps(lambda g, y, x: -g)",
         "negative.vjps(lambda g, y, x: g)"),
        ("swapped arguments", "abs", "g * sign(x)", "g * sign(y)"),
        ("factor", "square", "g * (2.0 * x)", "g * x"),
        ("swapped arguments", "sqrt", "g * 0.5 / y", "g * 0.5 / x"),
        ("sign", "reciprocal", "-g * y * y", "g * y * y"),
        ("lost dependence", "exp", "exp.vjps(lambda g, y, x: g * y)",
         'exp.vjps(lambda g, y, x: g * getattr(y, "array", y))'),
        ("factor", "exp2", "g * (y * LN2)", "g * y"),
        ("missing term", "expm1", "g * (y + 1.0)", "g * y"),
        ("swapped arguments", "log2", "g / (x * LN2)", "g * LN2 / x"),
        ("wrong constant", "log10", "g / (x * LN10)", "g / (x * LN2)"),
        ("missing term", "log1p", "g / (x + 1.0)", "g / x"),
        ("swapped arguments", "logaddexp", "_logaddexp_share(b, a)", "_logaddexp_share(a, b)"),
        ("dropped mask", "logaddexp", "sigmoid(where(both, 0.0, a) - where(both, 0.0, b))",
         "sigmoid(a - b)"),
        ("sign", "sigmoid", "(y * (1.0 - y))", "(y * (1.0 + y))"),
        ("wrong second order", "sigmoid", "(y * (1.0 - y))",
         '(y * (1.0 - getattr(y, "array", y)))'),
        ("wrong constant", "erf", "2.0 / math.sqrt(math.pi)", "math.sqrt(2.0 / math.pi)"),
        ("factor", "erf", "exp(-x * x)", "exp(-0.5 * x * x)"),
        ("overflow", "erf", "    x = clip(x, -30.0, 30.0)\n", ""),
        ("wrong constant", "normal_cdf", "_gaussian(x * math.sqrt(0.5))", "_gaussian(x * 0.5)"),
        ("missing factor", "normal_cdf", " / math.sqrt(2.0 * math.pi)", ""),
        ("swapped arguments", "hypot", "g * _over_length(b, y)", "g * _over_length(a, y)"),
        ("dropped mask", "hypot", "x / where(length == 0.0, math.inf, length)", "x / length"),
        ("sign", "cos", "-g * sin(x)", "g * sin(x)"),
        ("sign", "tan", "g * (1.0 + y * y)", "g * (1.0 - y * y)"),
        ("wrong constant", "arcsin", "arcsin.vjps(lambda g, y, x: g / sqrt((1.0 - x) * (1.0 + x)))",
         "arcsin.vjps(lambda g, y, x: g / sqrt(1.0 + x * x))"),
        ("sign", "arccos", "-g / sqrt(", "g / sqrt("),
        ("wrong function", "arctan", "g / hypot(x, 1.0) / hypot(x, 1.0)",
         "g / hypot(x, 1.0)"),
        ("swapped arguments", "arctan2", "g * _over_square(b, a, b)", "g * _over_square(a, a, b)"),
        ("sign", "arctan2", "-g * _over_square(a, a, b)", "g * _over_square(a, a, b)"),
        ("overflow", "arctan2", "_over_length(_over_length(x, length), length)",
         "x / (a * a + b * b)"),
        ("sign", "cosh", "g * sinh(x)", "-g * sinh(x)"),
        ("wrong second order", "tanh", "tanh.vjps(lambda g, y, x: g - g * y * y)",
         'tanh.vjps(lambda g, y, x: g - g * y * getattr(y, "array", y))'),
        ("sign", "arcsinh", "arcsinh.vjps(lambda g, y, x: g / hypot(x, 1.0))",
         "arcsinh.vjps(lambda g, y, x: g / sqrt(x * x - 1.0))"),
        ("missing term", "arccosh", "(sqrt(x - 1.0) * sqrt(x + 1.0))", "sqrt(x * x)"),
        ("factor", "arctanh", "g / ((1.0 - x) * (1.0 + x))", "g / (1.0 - x)"),
        ("swapped arguments", "where", "where(condition, 0.0, g))", "where(condition, g, 0.0))"),
        ("factor", "maximum", "where(a == b, g * 0.5, 0.0)", "where(a == b, g, 0.0)"),
        ("swapped arguments", "minimum", "_winners(g, a, b, a < b)", "_winners(g, a, b, b < a)"),
        ("missing term", "clip", "where(below | above, 0.0, g)", "where(below, 0.0, g)"),
        ("wrong at a kink", "clip", "above = False if high is None else x > high",
         "above = False if high is None else x >= high"),
        ("dropped mask", "clip", "x < low if high is None else (x < low) & (low <= high)",
         "x < low"),
        ("dropped mask", "clip", "(x if low is None else maximum(x, low)) > high", "x > high"),
    ],
    "minigrad/ops/activation.py": [
        ("missing transpose", "affine", "lambda g, y, x, w, b: g.T @ x",
         "lambda g, y, x, w, b: x.T @ g"),
        ("missing transpose", "affine", "affine.vjps(lambda g, y, x, w, b: g @ w,",
         "affine.vjps(lambda g, y, x, w, b: g @ w.T,"),
        ("missing term", "affine", "        y += b\n", "        pass\n"),
        ("wrong at a kink", "relu", "g * (y > 0.0)", "g * (x >= 0.0)"),
        ("missing term", "leaky_relu", "(1.0 - negative_slope) + negative_slope)",
         "(1.0 - negative_slope))"),
        ("wrong factor", "leaky_relu", "positive * (1.0 - negative_slope)", "positive * 1.0"),
        ("swapped arguments", "leaky_relu", "astype(x > 0.0, dtype=", "astype(y > 0.0, dtype="),
        ("wrong branch", "leaky_relu", "negative_slope <= 1.0", "negative_slope >= 0.0"),
        ("wrong constant", "elu", "(y + alpha)", "(y + 1.0)"),
        ("missing term", "softsign", "return x / (abs(x) + 1.0)", "return x / (x + 1.0)"),
        ("missing factor", "softsign", "g * square(reciprocal(abs(x) + 1.0))",
         "g * reciprocal(abs(x) + 1.0)"),
        ("wrong at a kink", "elu", "    passed = g * (x > 0.0)\n    return passed + (g - passed) * "
         "(y", "    passed = g * (x >= 0.0)\n    return passed + (g - passed) * (y"),
        ("wrong at a kink", "hardtanh", "(x < max_val)", "(x <= max_val)"),
        ("missing term", "hardtanh", "((x > min_val) & (x < max_val))", "(x > min_val)"),
        ("sign", "softplus", "g * sigmoid(x)", "g * sigmoid(-x)"),
        ("sign", "softplus", "module.exp(-module.abs(x))", "module.exp(module.abs(x))"),
    ],
    "minigrad/ops/conv.py": [
        ("off by one", "output_length", "- dilation * (kernel - 1) - 1) // stride",
         "- dilation * kernel - 1) // stride"),
        ("ignored argument", "mix", "            y[part] += b[:, None]", "            pass"),
        ("missing term", "conv_weight", "w += (of_x[images]", "w = (of_x[images]"),
        ("off by one", "output_length", "// stride + 1", "// stride"),
        ("wrong geometry", "tap_windows", "k * d for k, d in zip(tap, dilation",
         "k for k, d in zip(tap, dilation"),
        ("wrong geometry", "inside", "slice(before, before + n)", "slice(0, n)"),
        ("wrong geometry", "room_for", "n + sum(pair) for n, pair in zip(size, padding, strict=True"
         ")]\n    return", "n + 2 * pair[0] for n, pair in zip(size, padding, strict=True)]\n"
         "    return"),
        ("missing term", "fold", "x[window] += columns[", "x[window] = columns["),
        ("wrong geometry", "_windows", "taps = map(operator.mul, places, dilation)",
         "taps = map(operator.mul, places, stride)"),
        ("wrong geometry", "_windows", "steps = map(operator.mul, places, stride)",
         "steps = iter(places)"),
        ("wrong geometry", "_overlap", "landing = max(before, 0)", "landing = 0"),
        ("wrong geometry", "_overlap", "stop = max(start, n - max(-after, 0))", "stop = n"),
        ("wrong geometry", "_overlap", "start = min(max(-before, 0), n)", "start = 0"),
        ("wrong geometry", "_columns", "set(stride) == {1} and not", "not"),
        ("lost bound", "_rows", "range(most, 23, -1)", "range(most, 0, -1)"),
        ("wrong axis", "_correlate", "module.matmul(columns, w).swapaxes(0, 1).reshape(rows.shape)",
         "module.matmul(columns, w).reshape(rows.shape)"),
        ("missing term", "_correlate", "            rows += b\n", "            pass\n"),
        ("missing transpose", "conv", "*kernel), (1, 2), (-1, -2))", "*kernel), (1, 2), (-2, -1))"),
        ("missing transpose", "conv_transpose", "*kernel), (1, 2), (-2, -1))",
         "*kernel), (1, 2), (-1, -2))"),
        ("missing term", "conv_transpose", "x[...] = 0.0 if b is None else b", "x[...] = 0.0"),
        ("missing transpose", "_scatter", "f // groups, -1).swapaxes(1, 2)\n    rows",
         "-1, f // groups)\n    rows"),
        ("missing term", "_scatter", "            x[images] += b", "            pass"),
        ("wrong geometry", "_phase", "if k * dilation % stride == phase]",
         "if k % stride == phase]"),
        ("wrong geometry", "_phase", "apart = every * dilation // stride",
         "apart = every // stride"),
        ("wrong geometry", "_phase", "(taps[-1] * dilation - phase) // stride - q",
         "(taps[-1] * dilation + phase) // stride - q"),
        ("missing term", "conv_weight", "w += (columns @ block", "w = 0.0 * w + (columns @ block"),
        ("missing term", "conv_weight", "functools.reduce(operator.add, sums)", "sums[0]"),
        ("missing transpose", "conv_weight", "module.moveaxis(w, (-1, -2), (1, 2))",
         "module.moveaxis(w, (-2, -1), (1, 2))"),
        ("wrong axis", "_to_b", "reshape(moveaxis(v, 1, -1), shape", "reshape(v, shape"),
        ("wrong second order", "conv_weight", "conv(x, v, **geometry))",
         "conv(x, v, **geometry) * 2.0)"),
        ("wrong second order", "conv_transpose", "_to_w(v, g, w, geometry),",
         "-_to_w(v, g, w, geometry),"),
        ("wrong second order", "conv_weight", "_to_x(g, v, x, geometry),",
         '_to_x(g, v, x, {**geometry, "dilation": geometry["stride"]}),'),
        ("lost dependence", "conv", "_to_w(x, v, w, geometry),",
         '_to_w(getattr(x, "array", x), v, w, geometry),'),
        ("wrong geometry", "unfold", "return fold(g, size=x.shape[2:], stride=stride, dilation="
         "dilation,", "return fold(g, size=x.shape[2:], stride=dilation, dilation=dilation,"),
    ],
    "minigrad/ops/indexing.py": [
        ("missing term", "put", "xp(v).add.at(y, index, v)", "y[index] = v"),
        ("missing term", "put", "(len(arrays) == 1 and arrays[0].dtype == bool)",
         "len(arrays) == 1"),
        ("wrong axis", "take", "take(ravel(x), indices, 0)", "take(x, indices, 0)"),
        ("wrong axis", "take_along_axis", "shape[i] = n\n", "shape[i - 1] = n\n"),
        ("wrong default", "take_along_axis", "axis: int | None = -1)", "axis: int | None = 0)"),
    ],
    "minigrad/ops/linalg.py": [
        ("missing transpose", "matrix_product", "g @ _mt(b)", "g @ b"),
        ("missing transpose", "matrix_product", "_mt(a) @ g", "a @ g"),
        ("wrong axis", "matrix_product", "x.swapaxes(-1, -2)", "x.T"),
        ("wrong second order", "matrix_product", "lambda g, y, a, b: _mt(a) @ g",
         'lambda g, y, a, b: _mt(getattr(a, "array", a)) @ g'),
        ("wrong axis", "tensordot", "axes=(*keep_a, *of_a)", "axes=(*of_a, *keep_a)"),
        ("wrong axis", "tensordot", "axes=(*of_b, *keep_b)", "axes=(*keep_b, *of_b)"),
        ("wrong axis", "tensordot", "tuple(range(a.ndim - count, a.ndim)), tuple(range(count))",
         "tuple(range(count)), tuple(range(count))"),
        ("wrong axis", "dot", "-2 if b.ndim > 1 else 0)", "-1 if b.ndim > 1 else 0)"),
        ("swapped arguments", "contract", "contract(g, *others, subscripts=swapped)",
         "contract(g, *others[::-1], subscripts=swapped)"),
        ("wrong axis", "einsum", 'term[j + 1 :] + letter', 'term[j + 1 :]\n            '
         'term = letter + term'),
        ("wrong axis", "einsum", "[: x.ndim - named])[::-1]", "[: x.ndim - named])"),
        ("wrong axis", "einsum", "once = sorted(c for c in set(joined) - set(broadcast) if joined."
         "count(c) == 1)", "once = [c for c in joined if c not in broadcast and joined.count(c) == "
         "1]"),
    ],
    "minigrad/ops/loss.py": [
        ("lost dependence", "softmax_cross_entropy", "(softmax(x) - one_hot)",
         "(softmax(x.array) - one_hot)"),
        ("sign", "softmax_cross_entropy", "(softmax(x) - one_hot)", "(one_hot - softmax(x))"),
        ("missing factor", "softmax_cross_entropy", "labels] -= g", "labels] -= 1.0"),
        ("missing normaliser", "softmax_cross_entropy", '(g / keep.pop("total"))[:, None]',
         "g[:, None]"),
        ("overflow", "softmax_cross_entropy", "module.abs(highest) > reach", "highest < -reach"),
        ("underflow", "softmax_cross_entropy", "module.abs(highest) > reach", "highest > reach"),
        ("lost shift", "softmax_cross_entropy", "total * module.exp(shift - highest)", "total"),
        ("overwritten", "softmax_cross_entropy", 'keep.pop("exp")', 'keep["exp"]'),
        ("sign", "sigmoid_cross_entropy", "g * (sigmoid(x) - t)", "g * (t - sigmoid(x))"),
        ("sign", "sigmoid_cross_entropy", "-g * x)", "g * x)"),
        ("missing term", "sigmoid_cross_entropy", "    y += log1p_exp(x)\n", ""),
    ],
    "minigrad/ops/normalize.py": [
        ("missing term", "softmax", "y * (g - sum(g * y, axis=axis, keepdims=True))", "y * g"),
        ("wrong axis", "softmax", "sum(g * y, axis=axis, keepdims=True)",
         "sum(g * y, axis=-1, keepdims=True)"),
        ("lost dependence", "softmax", "axis: y * (g - sum(",
         'axis: getattr(y, "array", y) * (g - sum('),
        ("overflow", "softmax", "exp(x - x.max(axis=axis, keepdims=True))", "exp(x)"),
        ("missing factor", "log_softmax", "g - exp(y) * sum(g", "g - sum(g"),
        ("wrong second order", "log_softmax", "exp(y) * sum(g", 'exp(getattr(y, "array", y)) * '
         "sum(g"),
        ("lost digits", "moments", "mean * mean <= 4.0 * variance", "mean * mean >= 0.0"),
        ("lost digits", "kept", "inner = inner[1:] or inner", "inner = list(inner)"),
        ("overflow", "moments", " & (variance < math.inf)", ""),
        ("missing term", "moments", "mean = s + shift", "mean = s"),
        ("missing term", "moments", "square - shift * shift", "square"),
        ("biased variance", "moments", "x, sums) / _count(x, axes) for",
         "x, sums) / (_count(x, axes) - 1) for"),
        ("missing term", "standardize", "            z += _of_block(level, block)\n",
         "            pass\n"),
        ("missing term", "standardize", "b is None else b - middle * factor", "b is None else b"),
        ("missing term", "standardize", "        of_w = of_w - middle * of_b\n", "        pass\n"),
        ("missing term", "standardize", "        level -= middle * slope\n", "        pass\n"),
        ("missing factor", "standardize", "x, w, b)), scale * w, b", "x, w, b)), scale, b"),
        ("missing term", "standardize", "axis=axis, keepdims=True) - z * along)",
         "axis=axis, keepdims=True))"),
        ("missing term", "standardize", "(g - mean(g, axis=axis, keepdims=True) - z", "(g - z"),
        ("wrong eps", "standardize", "1.0 / module.sqrt(variance + eps)\n    s =",
         "1.0 / (module.sqrt(variance) + eps)\n    s ="),
        ("wrong second order", "standardize", "(var(x, axis=axis, keepdims=True) + eps)",
         '(var(getattr(x, "array", x), axis=axis, keepdims=True) + eps)'),
        ("wrong second order", "standardize", "    z = standardize(x, axis=axis, eps=eps)",
         '    z = standardize(getattr(x, "array", x), axis=axis, eps=eps)'),
        ("missing factor", "standardize", "_standardized_to_x(g * w, z, x, axis",
         "_standardized_to_x(g, z, x, axis"),
        ("wrong eps", "standardize", "var(x, axis=axis, keepdims=True) + eps)",
         "var(x, axis=axis, keepdims=True))"),
        ("missing term", "standardize", "        part -= _of_block(level, i)\n", ""),
        ("missing factor", "standardize", "of_w * scale / _count", "of_w / _count"),
        ("missing factor", "standardize", "    of_w = of_w * scale\n", ""),
        ("wrong block", "standardize", "if statistic.shape[0] == 1 else statistic[block]",
         "if True else statistic[block]"),
        ("wrong block", "moments", "rest = tuple(i for i in kept if i in axes)", "rest = (0,)"),
        ("lost digits", "standardize_rows", "        middle += (d @ share)[:, None]\n", ""),
        ("wrong eps", "standardize_rows", "1.0 / module.sqrt(variance + eps)\n        d *=",
         "1.0 / (module.sqrt(variance) + eps)\n        d *="),
        ("missing term", "standardize_rows", "        y[i] += b\n", ""),
        ("overwritten", "standardize_rows", 'keep.pop("z"), keep.pop("scale")',
         'keep["z"], keep["scale"]'),
        ("missing term", "standardize_rows", "        z[i] += (g[i] @ share)[:, None]\n", ""),
        ("missing factor", "standardize_rows", "z[i] *= (part @ share)", "z[i] *= (g[i] @ share)"),
        ("wrong block", "standardize_rows", "module.stack(parts).sum(axis=0)", "parts[0]"),
        ("missing factor", "standardize_rows", "_standardized_to_x(g * w, z, x, axes",
         "_standardized_to_x(g, z, x, axes"),
        ("wrong axis", "standardize_rows", "axes = tuple(range(-w.ndim, 0))", "axes = (-1,)"),
    ],
    "minigrad/ops/pool.py": [
        ("wrong geometry", "max_pool", "slice(i * d, end, s)", "slice(i, end, s)"),
        ("missing term", "max_pool", "for window in others[1:]:", "for window in others[2:]:"),
        ("wrong constant", "max_pool", "x = padded(x, padding, _lowest(x.dtype))\n    return",
         "x = padded(x, padding)\n    return"),
        ("wrong constant", "winning_taps",
         "x = padded(x, padding, _lowest(x.dtype))\n    windows", "x = padded(x, padding)\n"
         "    windows"),
        ("wrong at a tie", "winning_taps", "x[block][window] < limit", "x[block][window] <= limit"),
        ("missing term", "winning_taps", "lost &= ", "lost = "),
        ("dropped mask", "winning_taps", "module.fmin(limit, math.inf)", "limit"),
        ("overflow", "winning_taps", '"uint8" if len(windows) <= 256 else "int32"', '"uint8"'),
        ("wrong geometry", "put_taps", "tiled = tuple(kernel) == tuple(stride) and", "tiled ="),
        ("missing zeros", "put_taps", " and wide == covered\n", "\n"),
        ("missing term", "sum_unpool", "            x[window] += g\n",
         "            x[window] = g\n"),
        ("missing term", "put_taps", "x[block][window] += values * passed",
         "x[block][window] = values * passed"),
        ("wrong second order", "put_taps", "pick_taps(v, taps, **geometry),",
         "max_pool(v, **geometry),"),
        ("wrong second order", "sum_unpool", "return sum_pool(v, **geometry)",
         "return sum_pool(v, **geometry) * 0.5"),
        ("wrong geometry", "sum_pool", "xp(x).add, padded(x, padding), kernel",
         "xp(x).add, padded(x, [pair[::-1] for pair in padding]), kernel"),
        ("wrong axis", "tap_places", "for axis in reversed(range(len(size))):",
         "for axis in range(len(size)):"),
        ("wrong geometry", "tap_places", "offset * dilation[axis]", "offset"),
        ("wrong geometry", "tap_places", "start - padding[axis][0] + offset", "start + offset"),
        ("off by one", "tap_places", "size[axis + 1 :]", "size[axis:]"),
        ("off by one", "adaptive_windows", "-(-(i + 1) * n // out)", "(i + 1) * n // out"),
        ("wrong normaliser", "adaptive_matrix", "1.0 / (stop - start)", "out / n"),
        ("wrong geometry", "nearest_matrix", "(np.arange(out) * scale)",
         "((np.arange(out) + 0.5) * scale)"),
        ("off by one", "linear_matrix", "(n - 1) / (out - 1) if out > 1 else 0.0",
         "n / out"),
        ("wrong geometry", "linear_matrix", "(i + 0.5) * scale - 0.5", "i * scale"),
        ("swapped arguments", "linear_matrix", "(i, low), 1.0 - share)", "(i, low), share)"),
    ],
    "minigrad/ops/recurrent.py": [
        ("wrong gate order", "lstm", "        i, f, g, o = gates[t]\n",
         "        f, i, g, o = gates[t]\n"),
        ("missing factor", "lstm", "    w[3 * hidden :] *= 0.5\n", ""),
        ("overwritten", "lstm", "    w = w.copy()\n", ""),
        ("missing term", "lstm", "            gate += 0.5\n", ""),
        ("missing term", "lstm", "        c += i * g\n", "        c[...] = i * g\n"),
        ("missing factor", "lstm", "        h *= o\n", ""),
        ("lost state", "lstm", "rows[t, -hidden:], out=c)", "rows[0, -hidden:], out=c)"),
        ("missing term", "lstm", "        dc += g[t, 1]\n", ""),
        ("missing term", "lstm", "        dh += g[t, 0]\n", "        dh[...] = g[t, 0]\n"),
        ("missing factor", "lstm", "        s *= h\n", ""),
        ("wrong gate order", "lstm", "of_i, of_f, of_g, of_o = d.reshape",
         "of_f, of_i, of_g, of_o = d.reshape"),
        ("missing factor", "lstm", "        dc *= f\n", ""),
        ("missing slope", "lstm", "        of_g -= s\n", ""),
        ("missing slope", "lstm", "((of_i, i), (of_f, f), (of_o, o))", "((of_i, i), (of_f, f))"),
        ("wrong block", "lstm", "dx[t] = d_rows[:features]", "dx[t] = d_rows[-features:]"),
        ("missing term", "lstm", "dw += _side", "dw[...] = _side"),
        ("wrong block", "lstm", "block[: len(steps)]", "block[-len(steps) :]"),
        ("lost dependence", "lstm", "matmul(w, join([now, h]))",
         'matmul(w, join([now, getattr(h, "array", h)]))'),
        ("wrong gate order", "lstm", "i, f, g, o = split(", "i, f, o, g = split("),
        ("wrong gate order", "lstm", "i, f, g, o = split(", "f, i, g, o = split("),
        ("wrong function", "lstm", "sigmoid(i) * tanh(g)", "sigmoid(i) * sigmoid(g)"),
        ("missing term", "lstm", "sigmoid(o) * tanh(c), c", "sigmoid(o) * c, c"),
        ("lost dependence", "lstm", "sigmoid(f) * c +", 'sigmoid(f) * getattr(c, "array", c) +'),
        ("wrong second order", "lstm", "g, create_graph=True)", "g, retain_graph=True)"),
        ("repeated hook", "lstm", "broadcast_to(given, shape=given.shape) for", "given for"),
    ],
    "minigrad/ops/reduce.py": [
        ("wrong axis", "sum", "broadcast_to(_restore(g, x, axis), shape=x.shape)",
         "broadcast_to(g, shape=x.shape)"),
        ("missing factor", "mean", "_restore(g / _count(x, axis), x, axis)",
         "_restore(g, x, axis)"),
        ("wrong normaliser", "mean", "keepdims=keepdims) / _count(x, axes)",
         "keepdims=keepdims) / _count(x, None)"),
        ("biased variance", "var", "return n - ddof if n > ddof else 0", "return n"),
        ("biased variance", "var", "(2.0 / freedom if", "(2.0 / _count(x, axis) if"),
        ("factor", "var", "(2.0 / freedom if", "(1.0 / freedom if"),
        ("missing term", "var", 'd = _centred("var", x, axis)\n    return _restore',
         "d = x\n    return _restore"),
        ("lost digits", "var", "distance = x - x[first]", "distance = x"),
        ("biased variance", "std", "(1.0 / freedom if", "(1.0 / _count(x, axis) if"),
        ("dropped mask", "std", "spread = _restore(where(y == 0.0, math.inf, y), x, axis)",
         "spread = _restore(y, x, axis)"),
        ("wrong second order", "std", "spread = _restore(where(y == 0.0, math.inf, y), x, axis)",
         'spread = _restore(getattr(y, "array", y), x, axis)'),
        ("wrong at a tie", "max", "/ where(count == 0.0, math.nan, count)", "/ 1.0"),
        ("swapped arguments", "prod", "[pairs * b, pairs * a,", "[pairs * a, pairs * b,"),
        ("wrong second order", "prod", "halves.append((a, b))",
         'halves.append((getattr(a, "array", a), b))'),
        ("missing term", "logsumexp", "keepdims=True)) + top", "keepdims=True))"),
        ("dropped mask", "logsumexp", "module.where(module.isfinite(top), top, 0.0)", "top"),
        ("dropped mask", "logsumexp", "where(y == -math.inf, 0.0, y)", "y"),
        ("lost digits", "logsumexp", "(e / where(total == 0.0, 1.0, total))", "e"),
        ("missing transpose", "cumsum", "flip(cumsum(flip(g, axis=axis), axis=axis), axis=axis)",
         "cumsum(g, axis=axis)"),
        ("missing transpose", "cumsum", "reshape(flip(cumsum(flip(g))), shape=x.shape)",
         "reshape(cumsum(g), shape=x.shape)"),
        ("missing factor", "euclidean_norm", "g, x, axis) * (x / length)", "g, x, axis) * sign(x)"),
        ("dropped mask", "euclidean_norm",
         "length = _restore(where(y == 0.0, math.inf, y), x, axis)",
         "length = _restore(y, x, axis)"),
        ("overflow", "euclidean_norm", "ratio = x / scale\n", "ratio, scale = x, 1.0\n"),
        ("overflow", "norm", "ratio = size / scale\n", "ratio, scale = size, 1.0\n"),
        ("dropped mask", "norm", "where(zero, 0.0 if p > 0 else math.inf, where(zero, 1.0, ratio) "
         "** p)", "ratio ** p"),
        ("wrong axis", "norm", "axes if ord in (1, -1) else axes[::-1]",
         "axes[::-1] if ord in (1, -1) else axes"),
        ("wrong function", "norm", "(max if ord > 0 else min)(totals", "max(totals"),
    ],
    "minigrad/ops/shape.py": [
        ("missing transpose", "transpose", "axes=sorted(range(x.ndim), key=order.__getitem__)",
         "axes=order"),
        ("wrong axis", "flip", "flip(g, axis=axis)", "flip(g)"),
        ("sign", "roll", "tuple(-s for s in shift) if", "tuple(s for s in shift) if"),
        ("sign", "roll", "else -shift", "else shift"),
        ("wrong geometry", "pad_constant", "g[_inside(x.shape, pad_width)]",
         "g[tuple(slice(0, n) for n in x.shape)]"),
        ("wrong axis", "concatenate", "    axis %= g.ndim\n", ""),
        ("off by one", "stack", '"stack", axis, xs[0].ndim + 1)',
         '"stack", axis, xs[0].ndim)'),
        ("wrong axis", "moveaxis", "in sorted(zip(targets, sources, strict=True)):",
         "in zip(targets, sources, strict=True):"),
        ("off by one", "pad", "2 * (n - 1)", "2 * n"),
        ("wrong axis", "tile", "(1,) * (len(shape) - len(counts)) + counts",
         "counts + (1,) * (len(shape) - len(counts))"),
        ("wrong axis", "repeat", "return repeat(ravel(x), repeats, 0)",
         "return repeat(x, repeats, 0)"),
        ("sign", "tril", "[:, None] + k", "[:, None] - k"),
        ("off by one", "triu", '"triu", k - 1)', '"triu", k)'),
        ("off by one", "diagonal", "step = columns + 1", "step = rows + 1"),
        ("wrong axis", "diagonal", "-offset * columns", "-offset * rows"),
    ],
    "minigrad/nn/functional/activation.py": [
        ("wrong function", "gelu", "elementwise.normal_cdf", "elementwise.erf"),
        ("wrong constant", "gelu", "0.044715 * (x * x", "0.0044715 * (x * x"),
        ("overflow", "gelu", "elementwise.clip(input, -25.0, 25.0)", "input"),
        ("wrong constant", "gelu", "math.sqrt(2.0 / math.pi)", "math.sqrt(2.0) / math.pi"),
        ("wrong constant", "selu", "SELU_ALPHA = 1.67326", "SELU_ALPHA = 1.67236"),
        ("missing factor", "selu", "alpha=SELU_ALPHA) * SELU_SCALE", "alpha=SELU_ALPHA)"),
        ("missing factor", "softplus", "softplus(scaled) / float(beta)", "softplus(scaled)"),
        ("swapped arguments", "softplus", "where(scaled > threshold", "where(input > threshold"),
        ("sign", "logsigmoid", "-activation.softplus(-input)", "activation.softplus(-input)"),
        ("wrong axis", "prelu", "(-1,) + (1,) * (input.ndim - 2)",
         "(1,) * (input.ndim - 2) + (-1,)"),
        ("wrong at a kink", "prelu", "where(input > 0.0, input, weight", "where(input >= 0.0, "
         "input, weight"),
        ("wrong default", "leaky_relu", "input: Tensor, negative_slope: float = 0.01",
         "input: Tensor, negative_slope: float = 0.1"),
        ("wrong at a kink", "threshold", "input <= float(threshold)", "input < float(threshold)"),
        ("wrong mode", "dropout", "if not training:", "if training:"),
        ("factor", "dropout", "mask *= 1.0 / (1.0 - float(p))", "mask *= 1.0 - float(p)"),
        ("wrong branch", "dropout", "(drawn >= p)", "(drawn <= p)"),
        ("wrong axis", "dropout2d", "(*input.shape[:2], 1, 1)", "(input.shape[0], 1, 1, 1)"),
    ],
    "minigrad/nn/functional/checks.py": [
        ("off by one", "batched", "return x.ndim == n_axes + 2",
         "return x.ndim == n_axes + 1"),
        ("missing check", "same_dtype", "len(set(given.values())) > 1",
         "len(set(given.values())) > 2"),
    ],
    "minigrad/nn/functional/conv.py": [
        ("off by one", "same", "(total // 2, total - total // 2)",
         "(total - total // 2, total // 2)"),
        ("wrong geometry", "same", "totals = [d * (k - 1)", "totals = [(k - 1)"),
        ("wrong axis", "bias", "shape.expand_dims(bias, tuple(range(1, n_axes + 1)))",
         "shape.expand_dims(bias, tuple(range(n_axes)))"),
        ("lost dependence", "conv", "input, weight, bias, stride=", "input, weight, None, stride="),
        ("off by one", "conv_transpose", "- 2 * p + d * (k - 1) + e + 1 for",
         "- p + d * (k - 1) + e + 1 for"),
        ("ignored argument", "conv_transpose", "zeros.append(0 if e < s else max(e - p, 0))",
         "zeros.append(0)"),
        ("ignored argument", "conv", "bias, stride=stride, padding=pairs,",
         "bias, stride=(1,) * n_axes, padding=pairs,"),
        ("wrong axis", "unfold", "columns.reshape(n, c * math.prod(kernel), ",
         "columns.swapaxes(1, 2).reshape(n, c * math.prod(kernel), "),
        ("wrong axis", "pad", "strict=True))[::-1]", "strict=True))"),
        ("ignored argument", "pad", "constant_values=value or 0.0)", "constant_values=0.0)"),
    ],
    "minigrad/nn/functional/linear.py": [
        ("missing term", "linear", "y = affine(rows, weight, bias)",
         "y = affine(rows, weight, None)"),
        ("lost dependence", "linear", "return affine(input, weight, bias)",
         "return affine(input, weight.detach(), bias)"),
    ],
    "minigrad/nn/functional/loss.py": [
        ("wrong normaliser", "mean", "        return mean(losses)\n    return sum",
         "        return sum(losses) / len(losses)\n    return sum"),
        ("factor", "huber", "m * (d - m * 0.5)", "m * (d - m)"),
        ("missing normaliser", "smooth_l1", "float(beta)) / float(beta)", "float(beta))"),
        ("factor", "gaussian_nll", "0.5 * math.log(2.0 * math.pi)", "math.log(2.0 * math.pi)"),
        ("factor", "gaussian_nll", "0.5 * (log(var) +", "(0.5 * log(var) +"),
        ("lost dependence", "gaussian_nll", "    with no_grad():\n        lift", "    if True:\n"
         "        lift"),
        ("missing normaliser", "gaussian_nll", "square(input - target) / var)",
         "square(input - target))"),
        ("dropped mask", "binary_cross_entropy",
         "where(zero, -100.0, clip(log(where(zero, 1.0, x)), -100.0))",
         "clip(log(where(zero, 1.0, x)), -100.0)"),
        ("swapped arguments", "binary_cross_entropy", "target * true + (1.0 - target) * false",
         "target * false + (1.0 - target) * true"),
        ("sign", "with_logits", "softplus(-input) + (1.0 - target) * softplus(input)",
         "softplus(input) + (1.0 - target) * softplus(-input)"),
        ("ignored argument", "with_logits", "losses = pos_weight * target *", "losses = target *"),
        ("swapped arguments", "hinge_embedding", "where(target != 1.0, unlike, 0.0) + where("
         "target != -1.0, input, 0.0)", "where(target != -1.0, unlike, 0.0) + where(target != 1.0,"
         " input, 0.0)"),
        ("sign", "margin_ranking", "- target * (input1 - input2)", "- target * (input2 - input1)"),
        ("wrong axis", "cross_entropy", "moveaxis(x, 1, -1) if x.ndim > 2 else x", "x"),
        ("dropped mask", "ignored", "        losses = where(ignored, 0.0, losses)\n", ""),
        ("wrong normaliser", "ignored", "share = where(ignored, 0.0, share).astype(losses.dtype)",
         "pass"),
        ("wrong normaliser", "cross_entropy",
         "    total = sum(share)\n    return sum(losses) / where(total == 0.0, math.nan, total)",
         "    return mean(losses)"),
        ("factor", "smoothing", "losses * (1.0 - smoothing) + uniform", "losses + uniform"),
        ("wrong normaliser", "smoothing", "smoothing / rows.shape[1]", "smoothing"),
        ("wrong reduction", "smoothing", "uniform = -mean(", "uniform = -sum("),
        ("ignored argument", "smoothing", "uniform = -mean(_weighed(log_softmax(rows, 1), weight),",
         "uniform = -mean(log_softmax(rows, 1),"),
        ("sign", "nll", "losses = -rows[", "losses = rows["),
        ("missing factor", "nll", "        losses = losses * share\n    return _reduced_by_weight("
         "losses, share, ignored, reduction, _without_classes(input))\n\n\ndef _weighed",
         "        pass\n    return _reduced_by_weight(losses, share, ignored, reduction, "
         "_without_classes(input))\n\n\ndef _weighed"),
        ("missing factor", "kl_div", "weight = exp(target)", "weight = target"),
        ("dropped mask", "kl_div", "input - where(weight == 0.0, 0.0, target)", "input - target"),
        ("dropped mask", "cross_entropy", "where(masked, 0.0, x) * weight", "x * weight"),
        ("dropped mask", "kl_div", "log(where(target == 0.0, 1.0, target))", "log(target)"),
        ("wrong normaliser", "kl_div", "sum(losses) / input.shape[0]", "mean(losses)"),
    ],
    "minigrad/nn/functional/normalization.py": [
        ("biased variance", "batch_norm", "variance * (count / (count - 1))", "variance"),
        ("swapped arguments", "batch_norm",
         "(1.0 - momentum) * running.array + momentum * statistic",
         "momentum * running.array + (1.0 - momentum) * statistic"),
        ("wrong axis", "batch_norm", "axes = (0, *range(2, input.ndim))", "axes = (0,)"),
        ("wrong mode", "batch_norm", "    if not training:\n        if running_mean is None",
         "    if running_mean is not None:\n        if running_mean is None"),
        ("wrong eps", "batch_norm", "(running_var + eps) ** -0.5", "running_var ** -0.5 + eps"),
        ("missing factor", "batch_norm", "shift = -running_mean * scale", "shift = -running_mean"),
        ("wrong axis", "layer_norm", "axis=tuple(range(-len(shape), 0)), eps=eps)",
         "axis=(-1,), eps=eps)"),
        ("wrong axis", "group_norm", "num_groups, math.prod(input.shape[1:]) // num_groups)",
         "input.shape[1] // num_groups, -1)"),
        ("wrong axis", "instance_norm", "bias, tuple(range(2, input.ndim)), eps)",
         "bias, tuple(range(1, input.ndim)), eps)"),
        ("wrong axis", "group_norm", "shape = (1, c, *[1] * (x.ndim - 2))",
         "shape = (*[1] * (x.ndim - 1), c)"),
        ("missing term", "affine", "return x if bias is None else x + bias", "return x"),
        ("missing normaliser", "local_response_norm", "(alpha / size) * sums", "alpha * sums"),
        ("off by one", "local_response_norm", "((size // 2, (size - 1) // 2), (0, 0))",
         "(((size - 1) // 2, size // 2), (0, 0))"),
        ("wrong eps", "normalize", "elementwise.maximum(size, eps)", "(size + eps)"),
    ],
    "minigrad/nn/functional/pooling.py": [
        ("off by one", "ceil_mode", "and out * s < n + p:", "and out * s < n + 2 * p:"),
        ("wrong geometry", "ceil_mode", "pairs.append((p, p + max(0,", "pairs.append((p, max(0,"),
        ("wrong default", "stride", "stride = kernel if stride is None else lengths(name, "
         '"stride", stride, n_axes)\n    dilation', "stride = (1,) * n_axes if stride is None else "
         'lengths(name, "stride", stride, n_axes)\n    dilation'),
        ("wrong normaliser", "avg_pool", "np.minimum(start + k, n + p) - start", "start * 0 + k"),
        ("wrong normaliser", "avg_pool", "np.minimum(start + k, n) - np.maximum(start, 0)",
         "np.minimum(start + k, n) - start"),
        ("wrong normaliser", "max_unpool",
         "values / module.maximum(counts, 1.0)[index].astype(input.dtype)", "values * 1.0"),
        ("wrong geometry", "max_unpool", "size = tuple((n - 1) * s - 2 * p + k for",
         "size = tuple((n - 1) * s - p + k for"),
        ("wrong axis", "adaptive_max", "rows[:, None, :, None] * w", "rows[:, None, :, None] * h"),
        ("off by one", "adaptive_max", "np.arange(a, a + longest), b - 1)",
         "np.arange(a, a + longest), n - 1)"),
        ("wrong geometry", "interpolate", "scales = tuple(1.0 / f for f in factors)",
         "scales = tuple(n / out for n, out in zip(old, new, strict=True))"),
        ("off by one", "interpolate", "math.floor(n * f)", "math.ceil(n * f)"),
        ("ignored argument", "interpolate", "linear_matrix(*s, bool(align_corners))",
         "linear_matrix(*s, False)"),
        ("swapped arguments", "pixel_shuffle", "transpose(0, 1, 4, 2, 5, 3)",
         "transpose(0, 1, 4, 3, 5, 2)"),
    ],
    "minigrad/nn/functional/recurrent.py": [
        ("lost dependence", "lstm", "from_state, state[1], axis",
         "from_state, state[1].detach(), axis"),
        ("wrong gate order", "gru", "r_state, z_state, n_state = split(",
         "z_state, r_state, n_state = split("),
        ("swapped arguments", "gru", "(n + sigmoid(z_input + z_state) * (state[0] - n),)",
         "(state[0] + sigmoid(z_input + z_state) * (n - state[0]),)"),
        ("wrong order", "gru", "tanh(n_input + sigmoid(r_input + r_state) * n_state)",
         "tanh((n_input + n_state) * sigmoid(r_input + r_state))"),
        ("missing term", "cell", "linear(state[0], w_hh, b_hh), state)",
         "linear(state[0], w_hh), state)"),
        ("wrong function", "relu", "(relu(from_input + from_state),)",
         "(tanh(from_input + from_state),)"),
    ],
    "minigrad/nn/functional/sparse.py": [
        ("dropped mask", "embedding", "y.detach(), y)", "y, y)"),
        ("wrong constant", "embedding", "padding_idx % n,", "padding_idx,"),
        ("off by one", "one_hot", "int(indices.max()) + 1", "int(indices.max())"),
        ("wrong axis", "cosine", "dim, len(shape))", "dim, len(shape)) - 1"),
        ("wrong eps", "cosine", "x / clip(euclidean_norm(x, axis=axis, keepdims=True), float(eps))",
         "x / (euclidean_norm(x, axis=axis, keepdims=True) + float(eps))"),
    ],
    "minigrad/nn/activation.py": [
        ("ignored argument", "LeakyReLU", "F.leaky_relu(x, self.negative_slope)",
         "F.leaky_relu(x)"),
        ("ignored argument", "ELU", "F.elu(x, self.alpha)", "F.elu(x)"),
        ("ignored argument", "GELU", "F.gelu(x, self.approximate)", "F.gelu(x)"),
        ("ignored argument", "Softplus", "F.softplus(x, self.beta, self.threshold)",
         "F.softplus(x, self.beta)"),
        ("swapped arguments", "Hardtanh", "F.hardtanh(x, self.min_val, self.max_val)",
         "F.hardtanh(x, -self.max_val, self.max_val)"),
        ("swapped arguments", "Threshold", "F.threshold(x, self.threshold, self.value)",
         "F.threshold(x, self.value, self.threshold)"),
        ("ignored argument", "PReLU", "full(num_parameters, float(init))",
         "full(num_parameters, 0.25)"),
        ("wrong default", "PReLU", "init: float = 0.25", "init: float = 0.01"),
        ("ignored argument", "Softmax", "F.softmax(x, self.dim)", "F.softmax(x, -1)"),
        ("ignored argument", "LogSoftmax", "F.log_softmax(x, self.dim)", "F.log_softmax(x, 1)"),
    ],
    "minigrad/nn/containers.py": [
        ("dropped hook", "Sequential", "x = module(x)", "x = module.forward(x)"),
        ("wrong order", "Sequential", "        for module in self:\n            x =",
         "        for module in reversed(list(self)):\n            x ="),
    ],
    "minigrad/nn/conv.py": [
        ("ignored argument", "Conv", "self.padding, self.dilation, self.groups\n",
         "self.padding, 1, self.groups\n"),
        ("ignored argument", "Conv", "x, self.weight, self.bias, self.stride, self.padding, self",
         "x, self.weight, None, self.stride, self.padding, self"),
        ("ignored argument", "ConvTranspose", "self.padding, extra, self.groups, self.dilation",
         "self.padding, extra, self.groups"),
        ("ignored argument", "ConvTranspose", "extra = self.output_padding\n", "extra = 0\n"),
        ("off by one", "ConvTranspose", "- 2 * p + d * (k - 1) + 1 for",
         "- 2 * p + d * (k - 1) for"),
        ("wrong geometry", "Conv", "(out_channels, in_channels // groups, *self.kernel_size)",
         "(out_channels, in_channels // groups, *self.kernel_size[::-1])"),
    ],
    "minigrad/nn/init.py": [
        ("swapped arguments", "fans", "tensor.shape[1] * receptive, tensor.shape[0] * receptive",
         "tensor.shape[0] * receptive, tensor.shape[1] * receptive"),
        ("missing factor", "fans", "tensor.shape[1] * receptive,", "tensor.shape[1],"),
        ("wrong constant", "calculate_gain", "1.0 + slope**2", "1.0 + slope"),
        ("wrong constant", "calculate_gain", '"selu": 0.75', '"selu": 1.0'),
        ("wrong constant", "calculate_gain", "5.0 / 3.0", "4.0 / 3.0"),
        ("wrong constant", "xavier", "math.sqrt(2.0 / sum(fans", "math.sqrt(1.0 / sum(fans"),
        ("missing factor", "kaiming", 'math.sqrt(3.0) * _kaiming_std("kaiming',
         '_kaiming_std("kaiming'),
        ("ignored argument", "kaiming", '[mode == "fan_out"]', "[0]"),
        ("missing factor", "orthogonal", "q = q * np.sign(np.diagonal(r))", "pass"),
        ("missing factor", "orthogonal", "gain * q.reshape", "q.reshape"),
    ],
    "minigrad/nn/linear.py": [
        ("wrong constant", "initialize", "a=math.sqrt(5.0)", "a=0.0"),
        ("wrong constant", "initialize", "bound = 1.0 / math.sqrt(init.fans(",
         "bound = 1.0 / (init.fans("),
        ("dropped mask", "Embedding", "self.weight.array[self.padding_idx] = 0.0", "pass"),
        ("ignored argument", "Embedding", "F.embedding(x, self.weight, self.padding_idx)",
         "F.embedding(x, self.weight)"),
        ("wrong mode", "Dropout", "F.dropout(x, self.p, self.training)", "F.dropout(x, self.p)"),
        ("wrong axis", "Dropout2d", "F.dropout2d(x,", "F.dropout(x,"),
        ("off by one", "Flatten", "math.prod(x.shape[start : end + 1])",
         "math.prod(x.shape[start:end])"),
        ("wrong default", "Flatten", "start_dim: int = 1", "start_dim: int = 0"),
    ],
    "minigrad/nn/losses.py": [
        ("ignored argument", "MSELoss", "F.mse_loss(input, target, reduction=self.reduction)",
         "F.mse_loss(input, target)"),
        ("ignored argument", "HuberLoss", ", delta=self.delta)", ")"),
        ("ignored argument", "GaussianNLLLoss", "var, self.full, self.eps,", "var, self.full,"),
        ("swapped arguments", "MarginRankingLoss", "F.margin_ranking_loss(input1, input2,",
         "F.margin_ranking_loss(input2, input1,"),
        ("ignored argument", "CrossEntropyLoss", "            ignore_index=self.ignore_index,\n",
         ""),
        ("ignored argument", "BCEWithLogitsLoss", ", pos_weight=self.pos_weight\n", "\n"),
    ],
    "minigrad/nn/module.py": [
        ("wrong mode", "eval", "return self.train(False)", "self.training = False\n        "
         "return self"),
        ("wrong mode", "train", "self.modules():\n            module.training = mode",
         "self.children():\n            module.training = mode"),
        ("missing term", "zero_grad", "            parameter.grad = None\n",
         "            parameter.grad = parameter.grad\n"),
        ("shared memory", "load_state_dict",
         "own[name].overwrite(move(array, backend_of(own[name].array)))",
         "own[name].array = move(array, backend_of(own[name].array))"),
        ("missing check", "parameters", "                if id(tensor) not in seen:",
         "                if True:"),
    ],
    "minigrad/nn/normalization.py": [
        ("wrong mode", "BatchNorm", "training=self.training or self.running_mean is None,",
         "training=True,"),
        ("ignored argument", "BatchNorm", "            eps=self.eps,\n        )\n\n    def extra",
         "        )\n\n    def extra"),
        ("ignored argument", "BatchNorm", "            momentum=momentum,\n", ""),
        ("off by one", "BatchNorm", "momentum = 1.0 / batches",
         "momentum = 1.0 / (batches + 1)"),
        ("wrong mode", "BatchNorm", "if self.training and self.num_batches_tracked is not None",
         "if self.num_batches_tracked is not None"),
        ("ignored argument", "LayerNorm", "self.weight, self.bias, self.eps)\n\n    def extra_repr("
         "self) -> str:\n        return (\n            f\"{self.normalized",
         "self.weight, self.bias)\n\n    def extra_repr(self) -> str:\n        return (\n"
         "            f\"{self.normalized"),
        ("ignored argument", "GroupNorm", "self.num_groups, self.weight, self.bias, self.eps)",
         "self.num_groups, self.weight, self.bias)"),
        ("ignored argument", "InstanceNorm", "weight=self.weight, bias=self.bias, eps=self.eps)",
         "weight=self.weight, bias=self.bias)"),
        ("swapped arguments", "LocalResponseNorm", "self.alpha, self.beta, self.k)",
         "self.beta, self.alpha, self.k)"),
    ],
    "minigrad/nn/pooling.py": [
        ("ignored argument", "MaxPool",
         "            ceil_mode=self.ceil_mode,\n            return_indices",
         "            return_indices"),
        ("wrong default", "MaxPool", "self.stride = kernel_size if stride is None else stride\n"
         "        self.padding = padding\n        self.dilation", "self.stride = 1 if stride is "
         "None else stride\n        self.padding = padding\n        self.dilation"),
        ("ignored argument", "AvgPool", "            count_include_pad=self.count_include_pad,\n",
         ""),
        ("ignored argument", "MaxUnpool", "self.stride, self.padding, output_size",
         "self.stride, 0, output_size"),
        ("ignored argument", "Upsample", "self.mode, self.align_corners)", "self.mode)"),
    ],
    "minigrad/nn/recurrent.py": [
        ("wrong order", "bidirectional", "outputs[::-1] if backwards else outputs)", "outputs)"),
        ("wrong order", "bidirectional", "reversed(from_input) if backwards else from_input",
         "from_input"),
        ("wrong order", "LSTM", "lstm(columns[::-1] if backwards else columns,", "lstm(columns,"),
        ("wrong order", "LSTM", "outputs[::-1] if backwards else outputs, last", "outputs, last"),
        ("missing term", "LSTM", "expand_dims(bias_ih + bias_hh, 1)", "expand_dims(bias_ih, 1)"),
        ("swapped arguments", "LSTM",
         "(swapaxes(states[-1, 0], 0, 1), swapaxes(states[-1, 1], 0, 1))",
         "(swapaxes(states[-1, 1], 0, 1), swapaxes(states[-1, 0], 0, 1))"),
        ("wrong axis", "LSTM", "outputs[:, 0], tuple(part[0]", "outputs[0], tuple(part[0]"),
        ("swapped arguments", "LSTM", "(state[0], state[1]), *self", "(state[1], state[0]), *self"),
        ("swapped arguments", "bidirectional", "join(ways, axis=-1)", "join(ways[::-1], axis=-1)"),
        ("wrong mode", "dropout", "F.dropout(x, self.dropout, self.training)",
         "F.dropout(x, self.dropout)"),
        ("wrong mode", "dropout", "if layer > 0 and self.dropout:", "if self.dropout:"),
        ("wrong constant", "init", "bound = 1.0 / math.sqrt(self.hidden_size)",
         "bound = 1.0 / math.sqrt(input_size)"),
        ("lost dependence", "backward", "step(now, F.linear(state[0], weight_hh, bias_hh), state)",
         "step(now, F.linear(state[0].detach(), weight_hh, bias_hh), state)"),
        ("wrong order", "last", "tuple(stack(part) for part in zip(*last, strict=True))",
         "tuple(stack(part[::-1]) for part in zip(*last, strict=True))"),
        ("swapped arguments", "RNNCell", 'rnn_tanh_cell if self.nonlinearity == "tanh"',
         'rnn_tanh_cell if self.nonlinearity == "relu"'),
    ],
    "minigrad/nn/summary.py": [
        ("swapped arguments", "summary", "return x.size * (module.weight.size // module.in",
         "return y.size * (module.weight.size // module.in"),
        ("wrong mode", "summary", "        module.eval()\n", ""),
    ],
    "minigrad/optim/clip.py": [
        ("missing term", "clip_grad_norm", "clip(float(max_norm) / (total + 1e-6), None, 1.0)",
         "float(max_norm) / (total + 1e-6)"),
        ("sign", "clip_grad_value", "-float(clip_value), float(clip_value))",
         "0.0, float(clip_value))"),
    ],
    "minigrad/optim/lr_scheduler.py": [
        ("off by one", "StepLR", "self.last_epoch % self.step_size == 0",
         "(self.last_epoch + 1) % self.step_size == 0"),
        ("factor", "CosineAnnealing", "(1.0 - math.cos(math.pi / self.T_max)) / 2.0",
         "1.0 - math.cos(math.pi / self.T_max)"),
    ],
    "minigrad/optim/optimizers.py": [
        ("swapped arguments", "SGD", "b += (1.0 - dampening) * g", "b += dampening * g"),
        ("wrong order", "SGD", "g + momentum * b if nesterov", "b + momentum * g if nesterov"),
        ("sign", "weight_decay", "g + weight_decay * x", "g - weight_decay * x"),
        ("missing term", "Adam", "root = math.sqrt(1.0 - beta2**t)", "root = 1.0"),
        ("wrong eps", "Adam", "(sqrt(v) + eps * root)", "(sqrt(v) + eps)"),
        ("missing factor", "AdamW", "x *= 1.0 - lr * weight_decay", "x *= 1.0 - weight_decay"),
        ("missing term", "RMSprop", "maximum(v - mean * mean, 0.0)", "maximum(v, 0.0)"),
        ("swapped arguments", "RMSprop", "v *= alpha\n            v += (1.0 - alpha) *",
         "v *= 1.0 - alpha\n            v += alpha *"),
        ("off by one", "Adagrad", "(1.0 + (t - 1) * lr_decay)", "(1.0 + t * lr_decay)"),
    ],
    "models/rbm.py": [
        ("sign", "free_energy", "- F.softplus(self.sums(v)).sum(1)\n",
         "+ F.softplus(self.sums(v)).sum(1)\n"),
        ("missing term", "contrast", "visible - nu @ weight, hidden - weight @ mu",
         "visible, hidden - weight @ mu"),
        ("wrong mean", "reconstruction",
         "r = self.visible(mg.bernoulli(p))\n            p = self.hidden(r)\n        return",
         "r = self.visible(p)\n            p = self.hidden(r)\n        return"),
        ("missing factor", "gain", "mg.sigmoid(a * beta) * mg.expm1",
         "mg.sigmoid(a) * mg.expm1"),
        ("off by one", "forward", "v = self.step(v, after)", "v = self.step(v, 0.0)"),
        ("wrong state", "RBMTraining", "self.chain = network.gibbs(self.chain, settings.k)",
         "self.chain = network.gibbs(v, settings.k)"),
        ("sign", "RBMTraining", "p.mean(0) - settings.target", "settings.target - p.mean(0)"),
    ],
    "models/cnn.py": [
        ("off by one", "on_torus", "(kernel // 2, (kernel - 1) // 2) * axes",
         "(kernel // 2, kernel // 2) * axes"),
        ("off by one", "ConvolutionalNetwork", "            if found:\n",
         "            if not found:\n"),
        ("wrong axis", "FrameByFrame", "x.swapaxes(1, 2).reshape(n * t", "x.reshape(n * t"),
        ("wrong axis", "FrameByFrame", "reshape(n, t, -1).mean(1)", "reshape(t, n, -1).mean(0)"),
        ("wrong function", "SlidingLeNet5", "F.adaptive_max_pool2d(", "F.adaptive_avg_pool2d("),
        ("sign", "moved", "(right, -right, down, -down)", "(-right, right, down, -down)"),
        ("missing term", "shift_curve", "(-pixels, 0), (0, pixels), (0, -pixels)}",
         "(-pixels, 0)}"),
    ],
    "models/contest.py": [
        ("lost dependence", "ContestTraining", "        for loss in losses.values():\n"
         "            loss.backward()", "        next(iter(losses.values())).backward()"),
        ("missing check", "of_equal_size",
         "min(narrow, wide, key=lambda network: abs(size_of(network) - size))", "wide"),
    ],
    "models/moving_digits.py": [
        ("swapped arguments", "clip", "(pixel - place[..., :1])", "(pixel - place[..., 1:])"),
        ("wrong constant", "clips", "start = rng.integers(0, SIZE,",
         "start = rng.integers(0, SIZE - 8,"),
        ("wrong axis", "clips", "rng.integers(1, 3, (count, 1))", "rng.integers(1, 3, (count, 2))"),
    ],
    "models/waveforms.py": [
        ("wrong constant", "WAVES", "0.75 * f * t**2", "1.5 * f * t**2"),
        ("missing term", "wave", "    s = s - s.mean(1, keepdims=True)\n", ""),
        ("missing factor", "series", "a[rows] * wave(", "wave("),
    ],
    "models/rnn.py": [
        ("lost dependence", "RecurrentNetwork", "self.layer(x, state)", "self.layer(x, None)"),
        ("off by one", "RecurrentNetwork", "at_every_step else h[-1]", "at_every_step else h[0]"),
        ("missing term", "SequenceTraining",
         "self.state = tuple(part.detach() for part in state)", "self.state = state"),
        ("missing term", "SequenceTraining", "self.settings.clip)", "1e9)"),
        ("missing check", "SequenceTraining",
         '        if state["state"] is not None:', '        if state["state"] is None:'),
        ("off by one", "moved_on", "part[:, :-1]], axis=1)", "part[:, 1:]], axis=1)"),
        ("wrong power", "gradient_norms", 'astype("float64") ** 2.0)', 'astype("float64") ** 4.0)'),
    ],
    "models/lstm.py": [
        ("wrong gate", "remembering", "// hidden == 1)", "// hidden == 0)"),
        ("wrong function", "remembering", "* math.log(memory)", "* math.log(memory + 1.0)"),
    ],
    "models/sequences.py": [
        ("wrong axis", "Rows", "x.transpose((2, 0, 1, 3))", "x.transpose((3, 0, 1, 2))"),
        ("off by one", "adding", "rng.integers(1, length, size=n)",
         "rng.integers(0, length, size=n)"),
        ("wrong constant", "EmbeddedReber", "{symbol: \"last\"}", "{\"T\": \"last\"}"),
        ("off by one", "Reber", "(y != IGNORED).sum(axis=1) - 2", "(y != IGNORED).sum(axis=1) - 1"),
        ("wrong function", "Reber", "z, np.inf).min(axis=2)", "z, -np.inf).max(axis=2)"),
        ("wrong axis", "streams", "reshape(n, time).T for", "reshape(time, n) for"),
        ("missing factor", "bigram_probabilities", "d * follow[v] * q[w]", "d * q[w]"),
        ("sign", "drawn", "(1.0 / temperature) - mg.log(e)", "(1.0 / temperature) + mg.log(e)"),
        ("lost dependence", "generated", "symbols.reshape(1, -1), state)",
         "symbols.reshape(1, -1))"),
    ],
    "models/alexnet.py": [
        ("wrong constant", "response_norm", "alpha=n * 1e-4", "alpha=1e-4"),
        ("wrong geometry", "AlexNet", "nn.Conv2d(f3, f4, 3, padding=1, groups=2)",
         "nn.Conv2d(f3, f4, 3, padding=1)"),
        ("wrong constant", "initialize", "(0, 1, 0, 1, 1, 1, 1, 0)", "(0, 1, 0, 1, 1, 0, 0, 0)"),
        ("missing factor", "initialize", "math.sqrt(there / here)", "math.sqrt(here / there)"),
        ("off by one", "random_patches", "self.size - self.patch + 1,",
         "max(self.size - self.patch, 1),"),
        ("wrong mean", "FromPatches", "mg.logsumexp(log_p, 0) - math.log(len(patches))",
         "log_p.mean(0)"),
        ("missing factor", "subtract_mean_of", "self.mean.overwrite(255.0 * scaled",
         "self.mean.overwrite(scaled"),
        ("wrong constant", "AlexNetTraining", "(0.5, 0.75, 0.875)", "(0.5, 0.75, 0.9)"),
    ],
    "models/hopfield.py": [
        ("wrong axis", "hebbian", "x.T @ x / x.shape[1]", "x.T @ x / x.shape[0]"),
        ("missing term", "storkey", "        w *= 1.0 + 2.0 / n\n", ""),
        ("missing term", "pseudo_inverse", "    w = module.where(abs(w) < 1e-6, 0.0, w)",
         "    pass"),
        ("missing factor", "energy", "return -0.5 * ((s", "return -1.0 * ((s"),
        ("lost dependence", "sweep", "among[k + 1 :, k : k + 1] * change", "0.0 * change"),
        ("missing check", "sweep", "asked[k] * h[k] < -least[k]", "asked[k] * h[k] < 0.0"),
        ("wrong function", "asynchronous", "(last.array != before).any(axis=1)",
         "(last.array != before).all(axis=1)"),
        ("missing check", "step", "mg.where(mg.abs(h) > least, mg.sign(h), s)",
         "mg.where(h > 0.0, 1.0, -1.0)"),
        ("missing factor", "wrong_after_a_step", "math.sqrt(2.0 * load)", "math.sqrt(load)"),
        ("wrong function", "expected_overlap", "_LARGEST, 30.0)", "1e-9, _LARGEST)"),
        ("sign", "lower", "rows.reshape(-1) >= height // 2", "rows.reshape(-1) < height // 2"),
    ],
    "models/dbn.py": [
        ("missing factor", "gibbs", "v[:, f:] * known", "v[:, f:]"),
        ("missing term", "label_sums", ".sum(1) + self.visible_bias[f + y]", ".sum(1)"),
        ("wrong state", "epoch", "self.done + 1 - pretraining)", "self.done + 1)"),
        ("missing factor", "step", "self.settings.pcd_lr * left", "self.settings.pcd_lr"),
        ("lost dependence", "exchange", "            other.overwrite(held)\n", ""),
        ("wrong axis", "drawn", "mean[:, f:].cumsum(-1)", "mean[:, f:]"),
    ],
    "models/autoencoder.py": [
        ("missing term", "unfold", "b + 0.5 * w.sum(1)", "b"),
        ("wrong target", "loss", "self.encode(self.corrupted(x))", "self.encode(x)"),
        ("missing factor", "loss", "* (2.0 / (chosen - 1.0))", "* (1.0 / (chosen - 1.0))"),
        ("shared state", "classifier", "*copy.deepcopy(source.encoder)", "*source.encoder"),
    ],
    "models/reconstruction.py": [
        ("missing term", "jpeg", "end - start, back", "end, back"),
        ("off by one", "neighbours", "nearest[:, 1]", "nearest[:, 0]"),
    ],
    "models/vae.py": [
        ("sign", "divergence", "+ mg.exp(log_variance) - log_variance - 1.0",
         "+ mg.exp(log_variance) + log_variance - 1.0"),
        ("missing term", "log_weights", "(noise * noise - z * z + log_variance)",
         "(noise * noise - z * z)"),
        ("wrong power", "drawn", "return mean + mg.exp(0.5 * log_variance)",
         "return mean + mg.exp(log_variance)"),
        ("missing term", "bounds", "(mg.logsumexp(groups, 2) - math.log(k))",
         "mg.logsumexp(groups, 2)"),
        ("wrong place", "loss", "(self.beta * kl.sum(1) - likelihood)",
         "self.beta * (kl.sum(1) - likelihood)"),
    ],
    "models/deconvnet.py": [
        ("wrong mode", "bicubic", "grid_mode=True", "grid_mode=False"),
        ("missing term", "project", "y = F.relu(F.max_unpool2d(y, switches, 2))",
         "y = F.max_unpool2d(y, switches, 2)"),
        ("wrong index", "_window", "padded[2 * row :", "padded[2 * row + 1 :"),
        ("wrong axis", "unevenness", "inner[..., i::2, j::2]", "inner[..., i::2, i::2]"),
    ],
    "models/segmentation.py": [
        ("missing factor", "lay", "(1.0 - ink) * scenes[place] + ink", "scenes[place] + ink"),
        ("wrong state", "scenes_of", "scenes(test, TESTS", "scenes(train, TESTS"),
        ("missing term", "FCN.forward", "y = up(y) + own", "y = up(y)"),
        ("sign", "guess", "scores - mg.log(self.weight)", "scores + mg.log(self.weight)"),
        ("missing term", "intersection_over_union", "counts.sum(1) - both", "counts.sum(1)"),
    ],
    "models/judge.py": [
        ("wrong factor", "Judge.measure", "shares >= 0.1 / CLASSES", "shares >= 1.0 / CLASSES"),
        ("wrong factor", "frechet", "- 2.0 * overlap", "- overlap"),
        ("wrong rule", "frechet", "root @ second @ root", "first @ second @ first"),
    ],
    "models/rivals.py": [
        ("missing mode", "step", "with frozen(self.network.discriminator):",
         "with mg.enable_grad():"),
        ("missing cut", "step", "self.outputs(generated.detach(), labels)",
         "self.outputs(generated, labels)"),
        ("lost state", "state_dict", '"steps": self.steps,', '"steps": 0,'),
        ("wrong state", "drawn", "(learning if self.average is None else self.average)",
         "learning"),
    ],
    "models/gan.py": [
        ("sign", "generator_loss", "return -F.softplus(fake)", "return F.softplus(fake)"),
        ("wrong factor", "jensen_shannon", "m = 0.5 * (p + q)\n", "m = p + q\n"),
        ("lost state", "state_dict", '{"curves": self.curves.array}',
         '{"curves": self.curves.array[:0]}'),
    ],
    "models/lsgan.py": [
        ("swapped arguments", "optimal_discriminator", "labels.b * p + labels.a * q",
         "labels.a * p + labels.b * q"),
        ("missing term", "best_loss", "((p + q) * difference**2)", "(q * difference**2)"),
        ("wrong state", "SideBySide", "copy.deepcopy(self.lsgan)", "copy.copy(self.lsgan)"),
    ],
    "models/gaussians.py": [
        ("missing mask", "measure", "distances.argmin(1)[good]", "distances.argmin(1)"),
        ("lost dependence", "PointTraining",
         'settings.lr if settings.schedule == "constant" else 0.0', "settings.lr"),
    ],
    "models/cgan.py": [
        ("lost dependence", "outputs", "self.network.discriminator(x, labels)",
         "self.network.discriminator(x, 0 * labels)"),
        ("wrong axis", "draw_rows", "mg.tile(z, (classes, 1))", "mg.repeat(z, classes, 0)"),
    ],
    "models/adversarial.py": [
        ("missing mask", "log_odds_against", "mg.where(its_own, -math.inf, outputs)", "outputs"),
        ("wrong axis", "steepest", "mg.maximum(lengths(gradient), _LEAST)", "mg.norm(gradient)"),
        ("lost dependence", "_climbed", "(network, moved, labels)", "(network, x, labels)"),
        ("wrong mode", "under_attack", "    network.eval()\n    try", "    try"),
    ],
    "models/training.py": [
        ("wrong count", "_checked", "int(sound[name]) + 1", "int(sound[name])"),
        ("wrong mode", "frozen", "            parameter.requires_grad = True",
         "            parameter.requires_grad = False"),
        ("wrong constant", "follow", "min(1.0, REACH / t)", "1.0 / t"),
    ],
    "models/boltzmann.py": [
        ("missing factor", "energy", "-0.5 * pairs", "-1.0 * pairs"),
        ("missing term", "run", "@ state + b[:, unit]", "@ state"),
        ("missing factor", "run", "temperature * mg.log(u", "mg.log(u"),
        ("missing factor", "settled", "[t * self.temperature for t in", "[t for t in"),
        ("wrong axis", "together", "1.0 / every.shape[1]", "1.0 / every.shape[2]"),
        ("wrong state", "step", "self.chains = free[-1]", "self.chains = clamped"),
        ("sign", "step", "on - together(free)", "together(free) - on"),
        ("missing factor", "step", "self.settings.lr * left *", "self.settings.lr *"),
        ("wrong state", "completed", "network.run(last, free", "network.run(states, free"),
        ("wrong axis", "exact_statistics", "mg.logsumexp(logs, 2, keepdims=True))  # p(h | v)",
         "mg.logsumexp(logs, 1, keepdims=True))"),
        ("wrong function", "completed", "mg.logsumexp(logs, 3)", "logs.max(3)"),
        ("missing check", "change", "by * self.connections", "by"),
        ("missing check", "epoch", "mg.where(self.since == 0, cycle, self.since)", "cycle"),
        ("swapped arguments", "seen", "vectors > 0.5, self.settings.drop, self.settings.add",
         "vectors > 0.5, self.settings.add, self.settings.drop"),
        ("lost dependence", "run", "            if seen is not None:", "            if False:"),
        ("missing factor", "cycle", "mg.sign(clamped - free)", "(clamped - free)"),
    ],
}  # fmt: skip

MUTANTS = [Mutant(path, *parts) for path, mistakes in PLANTED.items() for parts in mistakes]


# ---------------------------------------------------------------------------------------------
# Inside pytest: ``-p tests.mutants`` in the copy
# ---------------------------------------------------------------------------------------------


class WithoutTorch:
    """An import finder for which there is no PyTorch."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("PyTorch is hidden from the mutants", name=name)


def pytest_configure(config):
    """Hide PyTorch, and let hypothesis stop at the first counterexample instead of shrinking it."""
    from hypothesis import Phase, settings

    sys.meta_path.insert(0, WithoutTorch())
    quick = settings(
        settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate],
        report_multiple_bugs=False,
    )  # fmt: skip
    settings.register_profile("mutants", quick)
    settings.load_profile("mutants")


def pytest_collection_modifyitems(items):
    """The tests whose names hold the name of what was changed come first."""
    word = os.environ["MUTANT"].lower()
    items.sort(key=lambda item: word not in item.nodeid.lower())


def pytest_exception_interact(call, report):
    """Leave behind which test failed, and with which exception."""
    found = {"test": report.nodeid, "error": type(call.excinfo.value).__name__}
    Path(os.environ["MUTANT_VERDICT"]).write_text(json.dumps(found))


# ---------------------------------------------------------------------------------------------
# Outside: copies, runs, the table
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: "killed", "survived", "broken" or "too slow", and by which test."""

    outcome: str
    test: str
    seconds: float


def copy_checkout(source: Path, target: Path) -> None:
    """Everything the tests read; no hidden folders, environments or runs."""
    ignored = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info")
    shutil.copytree(source, target, ignore=ignored)


def run_tests(folder: Path, word: str, arguments: list[str]) -> tuple[str, str]:
    """Run pytest in a copy until a test fails: an outcome, and that test."""
    verdict = folder / "verdict.json"
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(folder),
        "MUTANT": word,
        "MUTANT_VERDICT": str(verdict),
    }
    command = [
        sys.executable, "-m", "pytest", "-x", "-q", "-p", "tests.mutants", "-p", "no:cacheprovider",
        "-m", "not slow", "--ignore=tests/test_mutants.py", *arguments,
    ]  # fmt: skip
    try:
        code = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=LIMIT, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return "too slow", ""
    if code == 0:
        return "survived", ""
    if not verdict.exists():
        return "broken", f"pytest ends with code {code}"
    found = json.loads(verdict.read_text())
    if found["error"] in BROKEN:
        return "broken", f"{found['error']} in {found['test']}"
    return "killed", found["test"].removeprefix("tests/")


def judge(mutant: Mutant, base: Path) -> Verdict:
    """Plant a mutant in a copy of `base` and run the nearest tests there, then all others."""
    start = time.perf_counter()
    near = nearest(mutant.path)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "mutant"
        copy_checkout(base, folder)
        file = folder / mutant.path
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise ValueError(f"{mutant}: the old text stands {text.count(mutant.old)} times there")
        file.write_text(text.replace(mutant.old, mutant.new))
        outcome, test = run_tests(folder, mutant.name, near)
        if outcome == "survived":
            outcome, test = run_tests(
                folder, mutant.name, ["tests", *(f"--ignore={name}" for name in near)]
            )
    return Verdict(outcome, test, time.perf_counter() - start)


def summary(title: str, keys: list[str], verdicts: list[Verdict]) -> list[str]:
    """Mutants and killed ones for each key, in a table."""
    planted = Counter(keys)
    killed = Counter(k for k, v in zip(keys, verdicts, strict=True) if v.outcome == "killed")
    width = max(map(len, [title, *planted]))
    lines = [f"{title:{width}}  mutants  killed"]
    return ["", *lines, *(f"{k:{width}}  {planted[k]:7}  {killed[k]:6}" for k in sorted(planted))]


def plant(chosen: list[Mutant], jobs: int) -> dict[Mutant, Verdict]:
    """Judge each mutant, `jobs` at a time, and print what became of it."""
    found = {}
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(jobs) as pool:
        base = Path(temporary) / "base"
        copy_checkout(ROOT, base)
        outcome, test = run_tests(base, "", ["tests"])
        if outcome != "survived":
            sys.exit(f"the tests fail before anything is planted: {outcome}, {test}")
        running = {pool.submit(judge, mutant, base): mutant for mutant in chosen}
        for done in as_completed(running):
            mutant, verdict = running[done], done.result()
            found[mutant] = verdict
            by = f"  | {verdict.test}" if verdict.test else ""
            print(f"{verdict.outcome:8} {verdict.seconds:5.1f} s  {mutant}{by}", flush=True)
    return found


def main() -> int:
    """Plant the mutants that the command line asks for; 0 where every one was killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", metavar="WORD", help="mutants whose line holds it")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    parser.add_argument("--list", action="store_true", help="list the mutants and plant none")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in str(mutant)]
    if not chosen:
        parser.error(f"no mutant's line holds {options.only!r}")
    if options.list:
        print(*chosen, f"{len(chosen)} mutants", sep="\n")
        return 0
    found = plant(chosen, options.jobs)
    verdicts = list(found.values())
    print(*summary("file", [mutant.path for mutant in found], verdicts), sep="\n")
    print(*summary("kind", [mutant.kind for mutant in found], verdicts), sep="\n")
    left = [f"{v.outcome}: {mutant}" for mutant, v in found.items() if v.outcome != "killed"]
    print("", *left, f"{len(found)} mutants, {len(found) - len(left)} killed", sep="\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
