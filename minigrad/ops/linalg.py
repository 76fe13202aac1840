"""Products of vectors, matrices and arrays, down to einsum; all of them multilinear."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from minigrad.backend import xp
from minigrad.core import primitive
from minigrad.ops.elementwise import multiply
from minigrad.ops.reduce import sum
from minigrad.ops.shape import (
    as_array,
    diagonal,
    integers,
    normalize_axes,
    ravel,
    reshape,
    squeeze,
    transpose,
)


def _mt(x: Any) -> Any:
    """x with its last two axes exchanged, a view."""
    return x.swapaxes(-1, -2)


@primitive
def matrix_product(a, b):
    """a @ b for arrays of two or more dimensions, the leading ones broadcasting."""
    return xp(a, b).matmul(a, b)


matrix_product.vjps(lambda g, y, a, b: g @ _mt(b),
                    lambda g, y, a, b: _mt(a) @ g)


def matmul(a: Any, b: Any) -> Any:
    """The matrix product a @ b over the last axis of a and the last but one of b.

    As ``np.matmul``: a vector on either side is a row or a column that the result drops; leading
    axes broadcast. A stack of matrices times one matrix is computed as one product.
    """
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: wants at least 1 dimension, got shapes {a.shape} and {b.shape}")
    rows = b.shape[-2 if b.ndim > 1 else 0]
    if a.shape[-1] != rows:
        raise ValueError(
            f"matmul: a has {a.shape[-1]} columns but b has {rows} rows "
            f"(shapes {a.shape} and {b.shape})"
        )
    if b.ndim == 1:
        return squeeze(matmul(a, reshape(b, shape=(-1, 1))), -1)
    if a.ndim == 1:
        return squeeze(matmul(reshape(a, shape=(1, -1)), b), -2)
    if a.ndim > 2 and b.ndim == 2:
        tall = reshape(a, shape=(math.prod(a.shape[:-1]), a.shape[-1]))
        return reshape(matrix_product(tall, b), shape=(*a.shape[:-1], b.shape[-1]))
    return matrix_product(a, b)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Σ over pairs of axes of a and b, as ``np.tensordot``.

    Args:
        axes: an int n (the last n axes of a against the first n of b), or a pair of axes or of
            sequences of axes, of a and of b.
    """
    return _sum_of_products("tensordot", as_array(a), as_array(b), axes)


def _sum_of_products(name: str, a: Any, b: Any, axes: Any) -> Any:
    if not isinstance(axes, (tuple, list)):
        (count,) = integers(name, "axes", axes)
        if not 0 <= count <= min(a.ndim, b.ndim):
            raise ValueError(
                f"{name}: cannot sum over {count} axes of shapes {a.shape} and {b.shape}"
            )
        axes = (tuple(range(a.ndim - count, a.ndim)), tuple(range(count)))
    of_a = normalize_axes(name, axes[0], a.ndim)
    of_b = normalize_axes(name, axes[1], b.ndim)
    if [a.shape[i] for i in of_a] != [b.shape[i] for i in of_b]:
        raise ValueError(
            f"{name}: lengths of the summed axes differ (shapes {a.shape} and {b.shape}, "
            f"axes {of_a} and {of_b})"
        )
    keep_a = [i for i in range(a.ndim) if i not in of_a]
    keep_b = [i for i in range(b.ndim) if i not in of_b]
    inner = math.prod(a.shape[i] for i in of_a)
    shape = [a.shape[i] for i in keep_a] + [b.shape[i] for i in keep_b]
    left = reshape(
        transpose(a, axes=(*keep_a, *of_a)), shape=(math.prod(a.shape[i] for i in keep_a), inner)
    )
    right = reshape(
        transpose(b, axes=(*of_b, *keep_b)), shape=(inner, math.prod(b.shape[i] for i in keep_b))
    )
    return reshape(matrix_product(left, right), shape=tuple(shape))


def dot(a: Any, b: Any) -> Any:
    """``np.dot``: inner product of vectors, matrix product, or Σ over a's last axis and b's last
    but one; a product where either is a scalar."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    a, b = as_array(a), as_array(b)
    return _sum_of_products("dot", a, b, (a.ndim - 1, -2 if b.ndim > 1 else 0))


def outer(a: Any, b: Any) -> Any:
    """The table of products a_i · b_j of two arrays, flattened."""
    return reshape(as_array(a), shape=(-1, 1)) * ravel(as_array(b))


@primitive
def contract(*xs, subscripts):
    """An explicit einsum in which every letter of an operand stands once in it, and also in the
    result or in another operand."""
    return xp(*xs).einsum(subscripts, *xs, optimize=len(xs) > 1)


def _contract_vjp(wanted, g, y, *xs, subscripts):
    """For Σ a·b·c the gradient of a is Σ g·b·c: the result's letters change places with a's."""
    inputs, output = subscripts.split("->")
    terms = inputs.split(",")
    gradients = []
    for i, wants in enumerate(wanted):
        others = [j for j in range(len(xs)) if j != i]
        swapped = ",".join([output, *(terms[j] for j in others)]) + "->" + terms[i]
        others = [xs[j] for j in others]
        gradients.append(contract(g, *others, subscripts=swapped) if wants else None)
    return gradients


contract.vjp_all(_contract_vjp)


def einsum(subscripts: str, *operands: Any) -> Any:
    """Sums of products by index notation, as ``np.einsum`` with a string of subscripts.

    For example ``einsum("bij,bjk->bik", a, b)`` multiplies two stacks of matrices. Letters that
    repeat within an operand take its diagonal, an ellipsis stands for axes that broadcast.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: subscripts wants a string, got {type(subscripts).__name__}")
    operands = tuple(as_array(x) for x in operands)
    terms, output = _parse(subscripts.replace(" ", ""), operands)
    xs = []
    for i, x in enumerate(operands):
        elsewhere = set(output).union(*(terms[:i] + terms[i + 1 :]))
        x, terms[i] = _reduce_alone(x, terms[i], elsewhere)
        xs.append(x)
    _check_lengths(subscripts, terms, xs, output)
    return contract(*xs, subscripts=",".join(terms) + "->" + output)


def _parse(subscripts: str, operands: tuple) -> tuple[list[str], str]:
    """The letters of each operand and of the result, ellipses spelled out."""
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    for term in [*terms, output]:
        if not re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", term):
            raise ValueError(f"einsum: subscripts wants letters and one ellipsis, got {term!r}")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {len(terms)} subscripts for {len(operands)} operands")
    used = set(subscripts)
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in used]
    broadcast = ""
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        named = len(term.replace("...", ""))
        if named > x.ndim or ("..." not in term and named < x.ndim):
            raise ValueError(f"einsum: {term!r} does not fit operand {i} of shape {x.shape}")
        letters = "".join(spare[: x.ndim - named])[::-1]  # aligned from the right: they broadcast
        broadcast = max(broadcast, letters, key=len)
        terms[i] = term.replace("...", letters)
    if arrow:
        if broadcast and "..." not in output:
            raise ValueError(f"einsum: the result of {subscripts!r} leaves out the ellipsis")
        output = output.replace("...", broadcast)
    else:
        joined = "".join(terms)
        once = sorted(c for c in set(joined) - set(broadcast) if joined.count(c) == 1)
        output = broadcast + "".join(once)
    if len(set(output)) != len(output) or not set(output) <= set("".join(terms)):
        raise ValueError(f"einsum: the result {output!r} repeats or invents a letter")
    return terms, output


def _reduce_alone(x: Any, term: str, elsewhere: set[str]) -> tuple[Any, str]:
    """Take diagonals of repeated letters, and sum those that stand nowhere else."""
    for letter in sorted(set(term)):
        while term.count(letter) > 1:
            i = term.index(letter)
            j = term.index(letter, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ValueError(
                    f"einsum: {letter!r} has lengths {x.shape[i]} and {x.shape[j]} in one operand"
                )
            x = diagonal(x, 0, i, j)
            term = term[:i] + term[i + 1 : j] + term[j + 1 :] + letter
    alone = tuple(i for i, letter in enumerate(term) if letter not in elsewhere)
    if alone:
        x = sum(x, axis=alone)
        term = "".join(letter for i, letter in enumerate(term) if i not in alone)
    return x, term


def _check_lengths(subscripts: str, terms: list[str], xs: list, output: str) -> None:
    """A letter has one length; in the result alone, 1 may broadcast."""
    lengths: dict[str, int] = {}
    for term, x in zip(terms, xs, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            known = lengths.setdefault(letter, n)
            if known != n and not (letter in output and 1 in (known, n)):
                raise ValueError(
                    f"einsum: {letter!r} of {subscripts!r} has lengths {known} and {n}"
                )
            lengths[letter] = n if known == 1 else known
