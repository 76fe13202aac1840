"""Dealing out a set of samples in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.backend import current_backend
from minigrad.data.dataset import Dataset, generator_from
from minigrad.tensor import Tensor


class DataLoader:
    """The batches of a data set, on the current backend; each ``for`` over it is one epoch.

    Shuffling has a generator of its own, so that what else is random in a program does not change
    the order of the samples, and the other way round.

    Args:
        dataset: a `Dataset` with at least one sample.
        batch_size: samples a batch.
        shuffle: take the samples in a fresh random order every epoch.
        drop_last: leave out the last batch of an epoch where it is smaller than the others.
        seed: of the order; where None, drawn from the generator that `manual_seed` seeds.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)):
            raise TypeError(f"DataLoader: batch_size wants an int, got {batch_size!r}")
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size wants at least 1, got {batch_size}")
        if len(dataset) == 0:
            raise ValueError("DataLoader: dataset wants at least one sample, got none")
        if drop_last and batch_size > len(dataset):
            raise ValueError(
                f"DataLoader: drop_last leaves no batch of batch_size {batch_size} from "
                f"{len(dataset)} samples"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self._generator = generator_from("DataLoader", seed)

    def __len__(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        n = len(self.dataset)
        order = self._generator.permutation(n) if self.shuffle else np.arange(n)
        return self._batches(order)

    def _batches(self, order: np.ndarray) -> Iterator[Any]:
        for i in range(len(self)):
            indices = order[i * self.batch_size : (i + 1) * self.batch_size]
            yield _to_current_backend(self.dataset.gather(indices))

    def state_dict(self) -> dict[str, Any]:
        """Where the generator stands, in plain integers and strings (JSON holds them).

        Taken between two epochs and given to the loader of another process, it makes the following
        epochs the same.
        """
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""
        try:
            self._generator.bit_generator.state = state
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"load_state_dict: state is none that a DataLoader wrote ({error})"
            ) from error


def _to_current_backend(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(current_backend())
    return tuple(part.to(current_backend()) for part in batch)
