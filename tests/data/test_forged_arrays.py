"""Data sets' npz files with arrays that are not theirs: a ValueError that names the file, or a data set that is sound.

Each array of each file is left out, or replaced by every one of a list of odd ones.
"""

import numpy as np
import pytest

from minigan import data

N = 20
RNG = np.random.default_rng(0)


def pixels(count: int, size: int = 32, *channels: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, size, size, *channels), np.uint8)


FILES = {
    "emoji": (
        "emoji32.npz",
        {
            "twemoji": pixels(N, 32, 3),
            "openmoji": pixels(N, 32, 3),
            "category": np.arange(N) % 3,
            "categories": np.array(["a", "b", "c"]),
            "tone": np.zeros(N, np.int64),
            "base": np.array([f"e{i}" for i in range(N)]),
        },
    ),
    "glyphs": (
        "glyphs32.npz",
        {
            "x": pixels(4 * N),
            "char": np.arange(4 * N) % 4,
            "chars": np.array(["A", "B", "C", "D"]),
            "font": np.arange(4 * N) // 4,
            "font_family": np.array([f"f{i // 2}" for i in range(N)]),
            "font_style": np.arange(N) % 5,
            "font_bold": np.arange(N) % 2,
            "font_italic": np.zeros(N, np.int64),
        },
    ),
    "flowers": ("flowers32.npz", {"x": pixels(N, 32, 3), "y": np.arange(N) % 5, "classes": np.array(list("abcde"))}),
}


def odd(array: np.ndarray):
    yield "0-d", np.array(3)
    yield "text", np.full(array.shape, "x")
    yield "float", array.astype(np.float64) * np.nan if array.dtype.kind in "iu" else np.zeros(array.shape)
    yield "short", array[:-1]
    yield "long", np.concatenate([array, array])
    yield "empty", array[:0]
    yield "column", array[:, None]
    yield "flat", array.ravel()[:7]
    yield "bool", np.ones(array.shape, bool)
    if array.dtype.kind in "iu":
        yield "negative", array.astype(np.int64) - 9
        yield "huge", array.astype(np.int64) + 10**12
        yield "unsigned", np.full(array.shape, 2**64 - 1, np.uint64)


CASES = [(name, key) for name, (_, arrays) in FILES.items() for key in arrays]


def sound(dataset: data.Dataset) -> bool:
    n, info = len(dataset.images), dataset.info
    whole = dataset.images.dtype == np.uint8 and dataset.images.shape[1:] == info.shape and info.shape[2] in (1, 3)
    whole &= sorted([*dataset.train, *dataset.held_out]) == list(range(n)) and len(dataset.train) > 0
    if dataset.labels is not None:
        whole &= len(dataset.labels) == n and 0 <= dataset.labels.min() <= dataset.labels.max() < len(info.class_names)
    if dataset.attributes is not None:
        ends = [len(values) for values in info.attributes.values()]
        whole &= dataset.attributes.shape == (n, len(ends)) and bool((dataset.attributes < ends).all())
        whole &= bool((dataset.attributes >= 0).all())
    if dataset.pairs is not None and len(dataset.pairs):
        whole &= 0 <= dataset.pairs.min() <= dataset.pairs.max() < n
    return bool(whole)


@pytest.mark.parametrize(("name", "key"), CASES)
def test_odd_arrays_are_refused(name, key, tmp_path):
    file, arrays = FILES[name]
    np.savez(tmp_path / file, **arrays)
    assert sound(data.load(name, tmp_path, size=32 if name == "flowers" else None))
    wrong = []
    for what, array in [("absent", None), *odd(arrays[key])]:
        np.savez(tmp_path / file, **{k: v for k, v in (arrays | {key: array}).items() if v is not None})
        try:
            if not sound(data.load(name, tmp_path, size=32 if name == "flowers" else None)):
                wrong.append(f"{what}: taken")
        except ValueError as error:
            if str(tmp_path) not in str(error):
                wrong.append(f"{what}: {error}")
        except Exception as error:
            wrong.append(f"{what}: {error!r}")
    assert not wrong
