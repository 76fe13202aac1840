"""Sets of samples: by position, or many positions at once."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.backend import get_backend, host_generator
from minigrad.creation import as_tensor
from minigrad.ops.shape import stack
from minigrad.tensor import Tensor


class Dataset:
    """Samples by position. A set of your own defines ``__len__`` and ``__getitem__``.

    A sample is a tuple (an image and its label, say) or a single value, of Tensors, arrays or
    numbers whose shapes agree between samples.
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: wants a __len__")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: wants a __getitem__")

    def gather(self, indices: np.ndarray) -> Any:
        """The samples at `indices` as one batch: stacked along a new first axis, part by part.

        Asks for the samples one by one; a set that can do better overrides this.
        """
        samples = [self[int(i)] for i in indices]
        if isinstance(samples[0], tuple):
            return tuple(_stacked(part) for part in zip(*samples, strict=True))
        return _stacked(samples)


def _stacked(values: Sequence[Any]) -> Tensor:
    return stack([as_tensor(value) for value in values])


class TensorDataset(Dataset):
    """Samples that lie side by side in tensors: sample i is the tuple of ``tensor[i]``.

    Args:
        tensors: Tensors or arrays of one length, at least one of them; arrays share memory.
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise TypeError("TensorDataset: wants at least one tensor, got none")
        self.tensors: tuple[Tensor, ...] = tuple(as_tensor(tensor) for tensor in tensors)
        for i, tensor in enumerate(self.tensors):
            if tensor.ndim == 0:
                raise ValueError(f"TensorDataset: tensors[{i}] wants an axis of samples, got none")
        lengths = [len(tensor) for tensor in self.tensors]
        if len(set(lengths)) > 1:
            raise ValueError(f"TensorDataset: tensors want one length, got {lengths}")

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The sample at an int; several at a slice or an array of ints, each part one tensor."""
        return tuple(tensor[index] for tensor in self.tensors)

    def gather(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The samples at `indices` as one batch: one indexing operation a tensor."""
        return tuple(
            tensor[get_backend(tensor.backend).asarray(indices)] for tensor in self.tensors
        )


class Subset(Dataset):
    """The samples of another set at `indices`, in that order."""

    def __init__(self, dataset: Dataset, indices: Any) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64)
        n = len(dataset)
        if self.indices.ndim != 1 or ((self.indices < -n) | (self.indices >= n)).any():
            raise IndexError(f"Subset: indices want one axis of positions among {n} samples")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def gather(self, indices: np.ndarray) -> Any:
        """The samples at `indices` of this subset, gathered by the set that holds them."""
        return self.dataset.gather(self.indices[indices])


def generator_from(name: str, seed: int | None) -> np.random.Generator:
    """A host generator of one's own: from `seed`, or seeded by the one that `manual_seed` seeds."""
    if seed is None:
        seed = int(host_generator().integers(2**63))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"{name}: seed wants a non-negative integer or None, got {seed!r}")
    return np.random.default_rng(int(seed))


def random_split(
    dataset: Dataset, lengths: Sequence[int | float], seed: int | None = None
) -> list[Subset]:
    """Cut a set at random into parts that share no sample and leave none out.

    Args:
        lengths: of the parts: counts that sum to ``len(dataset)``, or fractions that sum to 1
            (rounded down; what is left over goes to the first parts, one sample each).
        seed: of the shuffling; where None, drawn from the generator that `manual_seed` seeds.
    """
    n = len(dataset)
    counts = _counts(lengths, n)
    order = generator_from("random_split", seed).permutation(n)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]


def _counts(lengths: Sequence[int | float], n: int) -> list[int]:
    given: list[Any] = list(lengths)
    if any(isinstance(length, (float, np.floating)) for length in given):
        if not math.isclose(math.fsum(given), 1.0, abs_tol=1e-9) or min(given) < 0:
            raise ValueError(f"random_split: lengths want fractions that sum to 1, got {given}")
        counts = [math.floor(n * fraction + 1e-9) for fraction in given]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [operator.index(length) for length in given]
        if sum(counts) != n or min(counts, default=0) < 0:
            raise ValueError(f"random_split: lengths want counts that sum to {n}, got {given}")
    if 0 in counts:
        raise ValueError(f"random_split: lengths want at least one sample a part, got {counts}")
    return counts
