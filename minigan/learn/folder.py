"""The learner's folder: a file an exercise, in a folder a track, and beside them `progress.txt`, a line an exercise.

A line is a name and its state: `tanh passed`, `softplus skipped`, `conv open`, or `cube new`, of which a hint was asked
before it was begun. Behind it stand, where there are any,
the hints that were shown and whether the answer was asked for: `conv open hints=2 answer=1`. The last open line is the
exercise at hand. A file is written when its exercise begins and never again, but by `reset`, which keeps a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .._files import atomic_write
from .exercise import Exercise

OPEN, PASSED, SKIPPED, NEW = "open", "passed", "skipped", "new"


@dataclass
class Row:
    """What is known of an exercise. hints: how many were shown. answer: how often the answer was asked for."""

    state: str = NEW
    hints: int = 0
    answer: int = 0


class Folder:
    """path: the folder, which is made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def record(self) -> Path:
        """The file of states."""
        return self.path / "progress.txt"

    def rows(self) -> dict[str, Row]:
        """Name -> its row, in the order of the file. ValueError for a file that is no text; lines of no known form,
        and names of no exercise, are left alone."""
        table: dict[str, Row] = {}
        for line in self._lines():
            match = _LINE.fullmatch(line.strip())
            if match:
                name, state, rest = match[1], match[2] or PASSED, dict(re.findall(r"(\w+)=(\d+)", match[3]))
                table.pop(name, None)
                table[name] = Row(state, int(rest.get("hints", 0)), int(rest.get("answer", 0)))
        return table

    def _lines(self) -> list[str]:
        try:
            return self.record.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError:
            raise ValueError(f"{self.record} is no text; move it away, and the states begin anew") from None

    def put(self, name: str, row: Row) -> None:
        """Write the row of an exercise, as the last line."""
        extra = "".join(f" {key}={value}" for key, value in (("hints", row.hints), ("answer", row.answer)) if value)
        others = [line for line in self._lines() if not _of(line, name)]
        self.path.mkdir(parents=True, exist_ok=True)
        atomic_write(self.record, "\n".join([*others, f"{name} {row.state}{extra}"]) + "\n")

    def row(self, name: str) -> Row:
        """The row of an exercise; a new one where there is none."""
        return self.rows().get(name, Row())

    def at_hand(self, names: list[str]) -> str | None:
        """The exercise at hand: the one last opened, else the first that is neither passed nor skipped; None where
        there is none left."""
        rows = self.rows()
        opened = [name for name, row in rows.items() if row.state == OPEN and name in names]
        rest = (name for name in names if rows.get(name, Row()).state == NEW)
        return opened[-1] if opened else next(rest, None)

    def file(self, exercise: Exercise) -> Path:
        """Where the exercise's file is."""
        return self.path / exercise.track / exercise.file_name

    def begin(self, exercise: Exercise) -> bool:
        """Write the exercise's file, if it is not there, and take it at hand. Whether it is new."""
        path = self.file(exercise)
        new = not path.exists()
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, exercise.file(exercise.skeleton))
        row = self.row(exercise.name)
        if row.state != PASSED:
            row.state = OPEN
        self.put(exercise.name, row)
        return new

    def untouched(self, exercise: Exercise) -> bool:
        """Whether the file is as it was written."""
        return self.file(exercise).read_bytes() == exercise.file(exercise.skeleton).encode()

    def reset(self, exercise: Exercise) -> Path | None:
        """Write the skeleton anew. The file as it was is kept under a free name beside it, which is returned."""
        path, copy = self.file(exercise), None
        if path.exists() and not self.untouched(exercise):
            number = 1
            while (copy := path.with_name(f"{path.stem}.{number}{path.suffix}.bak")).exists():
                number += 1
            path.rename(copy)
        elif path.exists():
            path.unlink()
        self.put(exercise.name, Row())
        self.begin(exercise)
        return copy


_LINE = re.compile(r"([a-z][a-z0-9-]*)(?:\s+(new|open|passed|skipped))?((?:\s+\w+=\d+)*)")


def _of(line: str, name: str) -> bool:
    match = _LINE.fullmatch(line.strip())
    return bool(match) and match[1] == name
