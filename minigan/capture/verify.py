"""Machine room, capture: MINIGAN_CAPTURE=verify, a plan compared with the step that it stands for while it is used.

Every tenth replay (every n-th by `verify:n`) the step's Python runs again, from the same state, as a recording: its ops
compute their numbers, its changes in place and its draws are taken back. Line by line the new record must say what the
plan's says: the same op with the same settings, on the same values. And what the plan then returns must be what the ops
computed, as far as no change in place comes before it. The first op that differs is named.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ..backend import host
from .program import Effect, Instruction, Value
from .refusal import CaptureError

EVERY = 10
TOLERANCE = {"f4": 1e-3, "f8": 1e-8}
"""Relative to the largest number of an array: a plan adds up in another order, and convolves by other formulas."""


def interval() -> int:
    """Replays from one comparison to the next, by MINIGAN_CAPTURE; 0 for none. ValueError for another word."""
    setting = os.environ.get("MINIGAN_CAPTURE", "")
    word, _, number = setting.partition(":")
    if not setting or setting == "1":
        return 0
    if word != "verify" or not (number or str(EVERY)).isdecimal() or number == "0":
        raise ValueError(f"MINIGAN_CAPTURE: expected verify or verify:n, got {setting!r}")
    return int(number or EVERY)


Line = Instruction | Effect


def compare_records(before, now) -> None:
    """CaptureError naming the first line at which two recordings of one step differ."""
    if text := difference(before, now):
        raise _stale(text)


def difference(before, now) -> str:
    """The first line at which two recordings of one step differ, in words; "" where they say the same."""
    leaves = {id(array): id(array) for _, array in before.leaves.values()}
    labels = leaves | before.places, leaves | now.places
    before, now = before.program, now.program
    numbers: tuple[dict, dict] = {}, {}
    for place, (old, new) in enumerate(zip(before, now, strict=False), 1):
        if _words(old, numbers[0], labels[0]) != _words(new, numbers[1], labels[1]):
            return (f"op {place} is {_name(new)} now and was {_name(old)} when it was recorded, or has other settings,"
                    " shapes or inputs")  # fmt: skip
    if len(before) != len(now):
        first = (before if len(before) > len(now) else now)[min(len(before), len(now))]
        return f"it has {len(now)} ops now and had {len(before)}; the first that is not in both is {_name(first)}"
    return ""


def compare_results(exits: Sequence[tuple[Value, np.ndarray]], arrays: Sequence[np.ndarray], record: Sequence[Line]):
    """CaptureError where the arrays of a plan differ from those that the ops of a new record computed."""
    changed: set[Value] = set()
    producer: dict[Value, Instruction] = {}
    for line in record:
        if isinstance(line, Effect):
            changed.update(value.root for value in line.targets)
        else:
            producer.update(dict.fromkeys(line.outputs, line))
            if any(value.root in changed for value in line.reads):
                changed.update(value.root for value in line.outputs)
    for (value, expected), array in zip(exits, arrays, strict=True):
        if value.root in changed:
            continue
        a, b = host(expected), host(array)
        tolerance = TOLERANCE.get(a.dtype.str[1:], 0) * np.abs(a).max(initial=0)
        if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=tolerance, equal_nan=True):
            raise _stale(f"the result of {_name(producer.get(value))} of shape {a.shape} differs from the eager one")


def _words(line: Line, numbers: dict, labels: dict[int, object]) -> tuple:
    """What a line says: op, settings, and its values by the order in which the record first mentions them."""
    values = (*line.reads, *line.outputs)
    places = tuple(numbers.setdefault(value, len(numbers)) for value in values)
    layouts = tuple((value.shape, value.dtype.str, _leaf(value, labels)) for value in values)
    if isinstance(line, Effect):
        return _kernel(line.kernel), places, layouts
    return type(line.op), _settings(vars(line.op)), places, layouts


def _kernel(kernel) -> str:
    function = getattr(kernel, "func", kernel)
    return getattr(function, "__qualname__", type(function).__name__)


def _settings(value) -> object:
    """Settings as what can be compared: numbers and strings by what they print, arrays by their bytes."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if isinstance(value, dict):
        return tuple((key, _settings(entry)) for key, entry in value.items())
    if isinstance(value, (tuple, list)):
        return tuple(map(_settings, value))
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text


def _leaf(value: Value, labels: dict[int, object]) -> object:
    """A tensor of the caller's by its label, a constant, which is a new array at each recording, by its numbers."""
    if value.array is None:
        return None
    return labels[id(value.array)] if id(value.array) in labels else host(value.array).tobytes()


def _name(line: Line | None) -> str:
    if isinstance(line, Effect):
        return f"a change in place ({_kernel(line.kernel)})"
    return "a tensor of the caller's" if line is None else line.op.name


def _stale(difference: str) -> CaptureError:
    return CaptureError(
        f"capture: verify: a replay is not what the step does: {difference}; what it reads there is not noticed by"
        " capture (a plan is compared with what its function names), so pass it in a tensor, or report this"
    )
