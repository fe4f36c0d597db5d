"""The grader of predictions: a wrong one is told where it is wrong, and not what is right: that is for the learner to
run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Number
from typing import Any

import numpy as np


def predicted(name: str, truth: Callable[[Any], Any], thought: str, tolerance: float = 0.0) -> Callable:
    """The grader of names.NAME beside truth(names), what the program itself says: a number, a word, or lists of
    these. tolerance: relative, of numbers."""

    def grader(names: Any) -> Iterator[str]:
        answers, right = dict(_leaves(getattr(names, name))), dict(_leaves(truth(names)))
        if answers.keys() != right.keys():
            yield f"{name}: you give {len(answers)} answers where the program gives {len(right)}, or in another form"
            return
        for place, value in answers.items():
            if not _same(value, right[place], tolerance):
                at = f"[{', '.join(map(str, place))}]" if place else ""
                yield f"{name}{at}: you say {value}, and the program does not; {thought}"
                return

    return grader


def program(name: str, code: str, answer: str) -> str:
    """A program with the learner's prediction at its end."""
    return f"{code.strip()}\n\n# learn: {name} begin\n{answer}\n# learn: {name} end\n"


def _leaves(value: Any, place: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """(place, number or word) of lists in lists, of arrays too."""
    if isinstance(value, list | tuple | np.ndarray):
        for i, part in enumerate(value):
            yield from _leaves(part, (*place, i))
    else:
        yield place, value


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, Number) and isinstance(b, Number) and not isinstance(b, bool):
        return abs(a - b) <= tolerance * abs(b) + 1e-12
    return type(a) is type(b) and a == b
