"""Bytes that are damaged: flipped, cut, lengthened, overwritten, moved about; always into other bytes."""

from __future__ import annotations

import numpy as np


def damaged(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """(what was done, other bytes)."""
    while True:
        what = str(rng.choice(list(WAYS)))
        other = WAYS[what](bytearray(data), rng)
        if bytes(other) != data:
            return what, bytes(other)


def _place(data: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    """The ends of a block within."""
    a, b = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    return a, min(b, a + 4096)


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(0, 8 * max(1, len(data)), int(rng.integers(1, 9))).tolist():
        if data:
            data[place // 8] ^= 1 << place % 8
    return data


def _zero(data: bytearray, rng: np.random.Generator) -> bytearray:
    a, b = _place(data, rng)
    data[a:b] = bytes(b - a)
    return data


def _noise(data: bytearray, rng: np.random.Generator) -> bytearray:
    a, b = _place(data, rng)
    data[a:b] = rng.bytes(b - a)
    return data


def _double(data: bytearray, rng: np.random.Generator) -> bytearray:
    a, b = _place(data, rng)
    return data[:b] + data[a:b] + data[b:]


def _swap(data: bytearray, rng: np.random.Generator) -> bytearray:
    a, b = _place(data, rng)
    middle = (a + b) // 2
    return data[:a] + data[middle:b] + data[a:middle] + data[b:]


WAYS = {
    "bits flipped": _flip,
    "cut": lambda data, rng: data[: int(rng.integers(0, max(1, len(data))))],
    "beginning lost": lambda data, rng: data[int(rng.integers(1, len(data) + 1)) :] if data else data,
    "lengthened": lambda data, rng: data + rng.bytes(int(rng.integers(1, 100))),
    "zeros": _zero,
    "noise": _noise,
    "a block twice": _double,
    "a block lost": lambda data, rng: data[: (ends := _place(data, rng))[0]] + data[ends[1] :],
    "blocks swapped": _swap,
    "other text": lambda data, rng: data.replace(*(bytes([c]) for c in rng.integers(32, 127, 2).tolist())),
}
