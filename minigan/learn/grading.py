"""Grade a text in this process: read it, run it, let the exercise's grader look at what it defines.

What comes back is what is wrong, a line each, the first three; nothing where all is right. Whatever the text does, the
line says so: it does not parse, it raises, it ends the program.
"""

from __future__ import annotations

import sys
import traceback
import types
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from .._terminal import printable
from ..backend import manual_seed
from .exercise import GAP, Exercise

MOST = 3
"""Findings that are shown at once."""

LONGEST = 600
"""Characters of one."""


class Names(types.ModuleType):
    """What the learner's file defines; a name that it lacks is said to be so."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Missing(name)


class Missing(Exception):
    """A name that the file no longer defines."""


def grade(exercise: Exercise, text: str, file: str = "") -> list[str]:
    """What is wrong with the text, at most three lines. `file` is its name in messages."""
    file = file or exercise.file_name
    form = _form(exercise, text, file)
    if form:
        return [form]
    if exercise.is_cuda:
        return _shown(exercise.grader(text), file)
    return _shown(_run(exercise, text, file), file)


def grade_guarded(exercise: Exercise, text: str, file: str = "") -> list[str]:
    """As `grade`; and a text that changes what minigan or NumPy are is told so, whatever its grade is then worth."""
    before = _own_functions()
    findings = grade(exercise, text, file)
    after = _own_functions()
    moved = sorted(name for name, value in before.items() if after.get(name) is not value)
    if not moved:
        return findings
    return [f"{file or exercise.file_name} changes {moved[0]}, which is not part of the exercise: leave it as it is"]


def _form(exercise: Exercise, text: str, file: str) -> str:
    """What is wrong with the text before anything is run."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith(("...", "//")) and line.strip().endswith(GAP):
            return f"{file}, line {number}: the lines between the marks are still to be written"
    absent = [mark for mark in exercise.marks or () if text.count(mark) < exercise.solution.count(mark)]
    if absent:
        return (
            f"{file}: the mark '{absent[0]}' is gone; put it back around your lines, or take the skeleton again by"
            f" `minigan learn reset {exercise.name}`, which keeps a copy of this file"
        )
    if exercise.is_cuda:
        return ""
    try:
        compile(text, file, "exec")
    except (SyntaxError, ValueError) as error:
        place = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        return f"{file}{place}: this is not Python yet: {getattr(error, 'msg', None) or error}"
    return ""


def _run(exercise: Exercise, text: str, file: str) -> Iterator[str]:
    manual_seed(0)  # what is random in an exercise is so for all that it is graded on
    names = Names("exercise")
    names.__file__ = file
    sys.modules["exercise"] = names  # where pickle and dataclasses look
    with np.errstate(all="ignore"):
        exec(compile(text, file, "exec"), names.__dict__)
        yield from exercise.grader(names)


def _shown(findings: Iterator[str], file: str) -> list[str]:
    lines: list[str] = []
    try:
        for finding in islice(findings, MOST):
            lines.append(finding)
    except Missing as error:
        lines.append(f"{file} defines no `{error}`: the grader looks for it by this name")
    except SystemExit:
        lines.append(f"{file} ends the program (sys.exit): take that out, the grader is not done yet")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        lines.append(_told(error, file))
    return [printable(line.replace("kernel.cu:", f"{file}:"))[:LONGEST] for line in lines]


def _told(error: BaseException, file: str) -> str:
    """The error in a line, with the last line of the learner's file on the way to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    place = f"{file}, line {lines[-1]}" if lines else file
    thought = "; does a function lack its return?" if "NoneType" in str(error) else ""
    return f"{place}: {type(error).__name__}{': ' * bool(str(error))}{error}{thought}"


def _own_functions() -> dict[str, Any]:
    """Every function, class and constant of minigan and NumPy, and the methods of minigan's classes, by name."""
    table: dict[str, Any] = {}
    for place, module in list(sys.modules.items()):
        if place.split(".")[0] not in ("minigan", "numpy", "math") or module is None:
            continue
        for name, value in list(vars(module).items()):
            if callable(value) or (name.isupper() and isinstance(value, float | int | str | tuple)):
                table[f"{place}.{name}"] = value
                code = getattr(value, "__code__", None)
                if code is not None:
                    table[f"{place}.{name}'s code"] = code
            if isinstance(value, type) and value.__module__ == place and place.startswith("minigan"):
                rows = {f"{place}.{name}.{k}": v for k, v in list(vars(value).items()) if callable(v)}
                table.update(rows)
    return table
