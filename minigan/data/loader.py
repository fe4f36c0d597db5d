"""Batches of any indexed data, by the names of torch.utils.data: DataLoader, TensorDataset, Subset, random_split.

For a data set of images by name, `Loader` (dataset.py) is the one that resumes at any step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, tensor
from ..backend import Generator, float64, int64
from ..creation import randperm
from ..ops.index import stack
from .dataset import Dataset


class TensorDataset:
    """Rows of tensors of one length: number i is (t[i], ...)."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or len({len(t) for t in tensors}) != 1:
            raise ValueError(f"TensorDataset: expected tensors of one length, got {[len(t) for t in tensors]}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset:
    """The samples of a data set that `indices` names, in this order."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, list(indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Subsets of these lengths, or of these shares of the whole, in random order and without overlap."""
    count = len(dataset)
    shares = abs(sum(lengths) - 1) < 1e-9 and any(isinstance(n, float) for n in lengths)
    if shares:
        sizes = [math.floor(count * share) for share in lengths]
        for i in range(count - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(n) for n in lengths]
    if sum(sizes) != count or min(lengths, default=0) < 0 or not (shares or sizes == list(lengths)):
        raise ValueError(
            f"random_split: lengths {list(lengths)} are not whole numbers that add up to the {count} samples"
        )
    order = randperm(count, generator=generator).tolist()
    ends = np.cumsum(sizes).tolist()
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples put together: tensors and arrays stacked, ints to int64, floats to float64, text in a list; tuples, lists
    and dicts entry by entry. Raises TypeError for anything else."""
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return tensor(np.stack(batch))
    if isinstance(first, bool):
        return tensor(np.array(batch))
    if isinstance(first, (int, float)):
        return tensor(np.array(batch, int64 if all(isinstance(x, int) for x in batch) else float64))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in batch}) != 1:
            raise ValueError(f"default_collate: samples of unlike lengths {sorted({len(s) for s in batch})}")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        f"default_collate: cannot put samples of {type(first).__name__} together; return tensors, arrays or numbers, or"
        " pass collate_fn"
    )


class DataLoader:
    """Batches of dataset[i] for i in 0..len(dataset) - 1; each `for` over it is one epoch.

    shuffle: in an order drawn from `generator` (the default one if None), a new one each epoch. sampler: the indices of
    an epoch, instead. drop_last: leave out a last batch that is smaller. collate_fn: what makes a batch of a list of
    samples. batch_size=None: samples as they are. Samples are read in this process, so num_workers, what is said of
    workers, and pin_memory change nothing.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        persistent_workers: bool = False,
        prefetch_factor: int | None = None,
        worker_init_fn: Callable | None = None,
    ) -> None:
        if isinstance(dataset, Dataset):
            raise TypeError("DataLoader: a data set of images has its own: data.Loader(dataset, batch_size, seed)")
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(f"DataLoader: a {type(dataset).__name__} has no length, or no dataset[i]")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"DataLoader: the batch size must be at least 1, got {batch_size}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler says the order; leave out shuffle")
        self.dataset, self.batch_size, self.shuffle, self.sampler = dataset, batch_size, shuffle, sampler
        self.collate_fn, self.drop_last, self.generator = collate_fn or default_collate, drop_last, generator

    def __len__(self) -> int:
        """Batches in an epoch."""
        count = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return count
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        count = len(self.dataset)
        indices = range(count) if self.sampler is None else self.sampler
        if self.shuffle:
            indices = randperm(count, generator=self.generator).tolist()
        if self.batch_size is None:
            yield from (self.dataset[i] for i in indices)
            return
        batch: list[Any] = []
        for i in indices:
            batch.append(self.dataset[i])
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)
