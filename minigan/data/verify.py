"""Whether what a reader made of files is a data set: the files may be anybody's, and their arrays of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .sets import Info


def whole_numbers(array: np.ndarray) -> np.ndarray:
    """Labels, places, yes and no as int64. Raises ValueError for other numbers, below 0 or beyond int64."""
    array = np.asarray(array)
    if array.dtype.kind not in "iub":
        raise ValueError(f"an array of {array.dtype} where whole numbers are expected")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < 2**62:
        raise ValueError(f"numbers from {array.min()} to {array.max()} where places in a list are expected")
    return array.astype(np.int64)


def verify(row: Info, raw: Any) -> None:
    """Raises ValueError, with all that is wrong, unless the arrays (sources.Raw) belong together and to the row."""
    problems = list(_problems(replace(row, **(raw.changes or {})), raw))
    if problems:
        raise ValueError(f"{raw.where} holds no data set {row.name!r}: {'; '.join(problems)}")


def _problems(row: Info, raw: Any) -> Iterator[str]:
    images = raw.images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        yield f"its images are {images.dtype} {images.shape}, not uint8 (N, H, W, 1 or 3)"
        return
    count = len(images)
    if count < 2:
        yield "it has a single image; one is trained on and one held out"
    values = list(row.attributes.values())
    shapes = {
        "labels": (raw.labels, (count,), [len(row.class_names)]),
        "attributes": (raw.attributes, (count, len(values)), [len(names) for names in values]),
        "held_out": (raw.held_out, (count,), [2]),
    }
    for name, (array, shape, ends) in shapes.items():
        if array is None:
            continue
        if array.shape != shape:
            yield f"its {name} are {array.shape}, not {shape}"
        elif array.size and not ((array >= 0).all() and (array < ends).all()):
            yield f"its {name} are from {array.min()} to {array.max()}, and there are {', '.join(map(str, ends))}"
    if raw.held_out is not None and raw.held_out.shape == (count,) and not 0 < raw.held_out.sum() < count:
        yield "all of its images are held out, or none"
    pairs = raw.pairs
    if pairs is not None and pairs.size and not 0 <= pairs.min() <= pairs.max() < count:
        yield f"its pairs are of images {pairs.min()} to {pairs.max()}, and there are {count}"
