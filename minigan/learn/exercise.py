"""An exercise: a text, a program with lines to be written or a mistake to be found, hints, a grader, and mutants.

The whole program is the `solution`. Between two marks stand the lines that the learner is to write:

    # learn: NAME begin
    # learn: NAME end

The `skeleton` is the solution without those lines, and with the `fault`, where the exercise is to find one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from textwrap import indent
from typing import Any

from .sources import Source

GAP = "your lines here"
"""What a skeleton says in the place of the lines that it lacks."""

Change = tuple[str, str]
Grader = Callable[[Any], Iterator[str]]
"""A function of the learner's names to what is wrong, a line each; nothing where all is right."""


@dataclass(frozen=True)
class Exercise:
    """One row of a track.

    name: its word in the command, and the file's name. track: where it belongs. text: the question, first line first.
    source: the whole program, or where in the project it stands. hints: from a nudge to nearly all. grader: see Grader;
    for a kernel in CUDA C it takes the text. mutants: (what is wrong, old text, new text) of the solution, which the
    grader rejects. fault: changes that turn the solution into the program with the mistake to be found.
    """

    name: str
    track: str
    text: str
    source: str | Source
    hints: tuple[str, ...]
    grader: Grader
    mutants: tuple[tuple[str, str, str], ...]
    fault: tuple[Change, ...] = ()

    @cached_property
    def solution(self) -> str:
        """The whole program, with its marks."""
        text = self.source if isinstance(self.source, str) else self.source.text(self.name)
        return text.strip("\n") + "\n"

    @property
    def is_cuda(self) -> bool:
        """Whether it is a kernel in CUDA C."""
        return "__global__" in self.solution

    @property
    def file_name(self) -> str:
        """The name of the learner's file."""
        return self.name.replace("-", "_") + (".cu" if self.is_cuda else ".py")

    @property
    def title(self) -> str:
        """The first line of the text."""
        return self.text.strip().splitlines()[0]

    @property
    def marks(self) -> tuple[str, str] | None:
        """The two marks, or None where the whole program is to be looked at."""
        begin, end = (f"{'//' if self.is_cuda else '#'} learn: {self.name} {edge}" for edge in ("begin", "end"))
        return (begin, end) if begin in self.solution else None

    @property
    def answer(self) -> str:
        """What the skeleton lacks: the lines between the marks, or the lines that the fault changes."""
        if not self.marks:
            return "\n".join(f"- {old}\n+ {new}" for new, old in self.fault)
        return "\n".join(lines for _, lines in _between(self.marks).findall(self.solution))

    @property
    def skeleton(self) -> str:
        """The program as the learner gets it."""
        text = changed(self.solution, self.fault, self.name)
        if not self.marks:
            return text
        gap = f"// {GAP}" if self.is_cuda else f"...  # {GAP}"
        return _between(self.marks).sub(lambda m: m[0].replace(m["lines"], m["indent"] + gap + "\n"), text)

    def file(self, program: str) -> str:
        """The learner's file: the text, as a comment, above a program."""
        if self.is_cuda:
            return indent(self.text.strip(), "// ", lambda line: True).replace("// \n", "//\n") + "\n\n" + program
        return f'r"""{self.text.strip()}\n"""\n\n{program}'

    def mutant(self, row: int) -> str:
        """The solution with one of the mistakes in it."""
        title, old, new = self.mutants[row]
        return changed(self.solution, [(old, new)], f"{self.name}, mutant {title!r}")


def changed(text: str, changes: Any, what: str) -> str:
    """The text with every `old -> new` done; ValueError where an old text is not there."""
    for old, new in changes:
        if old not in text:
            raise ValueError(f"{what}: {old!r} is not in the program")
        text = text.replace(old, new)
    return text


def _between(marks: tuple[str, str]) -> re.Pattern:
    begin, end = map(re.escape, marks)
    return re.compile(rf"^(?P<indent>[ \t]*){begin}\n(?P<lines>.*?)^[ \t]*{end}$", re.MULTILINE | re.DOTALL)
