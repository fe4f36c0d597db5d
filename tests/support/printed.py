"""What a program prints, held to theory number by number.

A row is a line's text with {} in the place of each number, and what each number must be:

    ("at D = 0.01: loss {}, slope {}", -0.01005, near(-0.01, 1e-4))

The text must stand there to the letter, numbers in it included; blanks count as one. A number may be expected as a
number (right to its last printed digit), as a rule (`near`, `between`), or under a name: a string, by which the
example's law finds it among the figures of that name, an array in the order of printing. A line that no row fits, a
number that is not finite where that is not expected, and a name that the law does not read are failures.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

NUMBER = r"([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|inf|nan)%?)"


@dataclass(frozen=True)
class Rule:
    """What a printed number must satisfy, in words, too."""

    holds: Callable[[float], bool]
    words: str


def near(expected: float, tolerance: float) -> Rule:
    """Within `tolerance` of `expected`."""
    return Rule(lambda x: abs(x - expected) <= tolerance, f"{expected:g} within {tolerance:g}")


def between(low: float, high: float) -> Rule:
    """From `low` to `high`."""
    return Rule(lambda x: low <= x <= high, f"between {low:g} and {high:g}")


Row = tuple
"""(text, expectation, ...)"""


def last_digit(text: str) -> float:
    """The worth of one unit of a number's last printed digit: 0.01 of "3.14", 10 of "1.2e+02"."""
    digits, _, exponent = text.rstrip("%").partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


@dataclass
class Figures(Mapping):
    """The named numbers of an output, by name; remembers which were read."""

    values: dict[str, list[float]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> np.ndarray:
        self.read.add(name)
        return np.array(self.values[name])

    def __iter__(self):
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


def check(output: str, rows: Sequence[Row], law: Callable[[Figures], None] | None = None) -> None:
    """Raises AssertionError where a printed line is not its row's, a number not what is expected, or the law broken."""
    lines = [" ".join(line.split()) for line in output.splitlines() if not line.startswith("picture: ")]
    figures = Figures()
    for number, line in enumerate(lines):
        assert number < len(rows), f"no assertion covers line {number + 1}: {line!r}"
        text, *expected = rows[number]
        parts = " ".join(text.split()).split("{}")
        match = re.fullmatch(rf"\s*{NUMBER}\s*".join(r"\s*".join(map(re.escape, part.split())) for part in parts), line)
        assert match, f"line {number + 1} is {line!r}, expected {text!r}"
        assert len(expected) == len(parts) - 1, f"{text!r} has {len(parts) - 1} numbers, {len(expected)} expectations"
        for shown, what in zip(match.groups(), expected, strict=True):
            value = float(shown.rstrip("%"))
            if isinstance(what, str):
                assert np.isfinite(value), f"{line!r}: {what} is {shown}"
                figures.values.setdefault(what, []).append(value)
            elif isinstance(what, Rule):
                assert what.holds(value), f"{line!r}: {shown} is not {what.words}"
            else:
                close = value == what or abs(value - what) <= 0.5000001 * last_digit(shown)
                assert close, f"{line!r}: {shown} is not {what:.10g}"
    assert len(lines) == len(rows), (
        f"{len(lines)} lines are printed, {len(rows)} expected; next: {rows[len(lines)][0]!r}"
    )
    if law:
        law(figures)
    unread = figures.values.keys() - figures.read
    assert not unread, f"no assertion covers {', '.join(sorted(unread))}"
