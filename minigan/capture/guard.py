"""Machine room, capture: whether everything that a record depends on is as it was, asked before every replay.

A `Reach` says what the recorded code read, and where. `Guard` lays that out as two equally long lists, what stands at
these places now and what stood there, and compares them by identity in one pass of compiled iterators: a step of twelve
layers costs some microseconds. Only where something is not the same object is it looked at: an equal number or string
of the same type counts as the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate, chain, pairwise
from operator import attrgetter, call, is_, itemgetter
from types import MappingProxyType

from ..autograd import Tensor
from .reach import MISSING, SCALARS, Reach, content

END = object()
"""Stands between two containers, so that no entry of one is taken for the next one's."""

cell_contents = attrgetter("cell_contents")


class Guard:
    """Whether what a record read is as it was. `changed` names the place at which `holds` last said no."""

    def __init__(self, reach: Reach) -> None:
        self.changed, self.values = "", ("", "")
        self._fetches: list[Callable[[], tuple]] = []
        self._containers: list = []
        self._sizes: list = []
        self._absent: list[tuple[object, list[str], str]] = []
        fetched, counts, entries = [], [], []
        self._labels: list[str] = []
        for owner, values, path in reach.named.values():
            present = {name: value for name, value in values.items() if value is not MISSING}
            if absent := [name for name, value in values.items() if value is MISSING]:  # a dict's
                self._sizes.append(owner)
                self._absent.append((owner, absent, path))
                # The step itself may have brought one: then the next call finds it, and what it reads is another.
                counts.append(-1 if any(name in owner for name in absent) else len(owner))
            if not present:
                continue
            names = list(present) if len(present) > 1 else [*present, *present]  # a getter of one gives no tuple
            getter = itemgetter(*names) if isinstance(owner, (dict, MappingProxyType)) else attrgetter(*names)
            self._fetches.append(partial(getter, owner))
            fetched += [present[name] for name in names]
            self._labels += [path.format(name) for name in names]
        for container, keys, values, path in reach.contents.values():
            if isinstance(container, (tuple, frozenset)):
                continue  # its identity is its owner's entry
            if isinstance(container, dict) and not values:
                self._sizes.append(container)
                self._absent.append((container, [], path))
                counts.append(0)
                continue
            if isinstance(container, dict):
                self._containers += [container, container.values(), (END,)]
                entries += [*keys, *values, END]
            else:
                self._containers += [container, (END,)]
                entries += [*values, END]
            self._labels += [path] * (len(entries) + len(fetched) - len(self._labels))
        cells = [entry for entry in reach.cells.values() if entry[1] is not MISSING]
        self._cells = [cell for cell, _, _ in cells]
        self._empty = [(cell, path) for cell, value, path in reach.cells.values() if value is MISSING]
        self._arrays = list(reach.arrays.values())
        self._labels += [path for *_, path in cells]
        self._labels += [path.format(" or ".join(names)) for _, names, path in self._absent] + ["a container"]
        self._fetched, self._entries = len(fetched), len(entries)
        self._split([*fetched, *entries, *(value for _, value, _ in cells), *counts, END])

    def _split(self, expected: list) -> None:
        """Take a list of what stands where `_live` looks."""
        self._expected = expected
        ends = accumulate((self._fetched, self._entries, len(self._cells), len(self._sizes)), initial=0)
        self._parts = [expected[start:end] for start, end in pairwise(ends)]

    def _identical(self) -> bool:
        """The fast answer, part by part: whether the same objects stand everywhere."""
        fetched, entries, values, counts = self._parts
        return (
            [*map(len, self._sizes)] == counts
            and all(map(is_, chain.from_iterable(map(call, self._fetches)), fetched))
            and all(map(is_, chain.from_iterable(self._containers), entries))
            and all(map(is_, map(cell_contents, self._cells), values))
        )

    def _live(self) -> Iterator:
        return chain(
            chain.from_iterable(map(call, self._fetches)),
            chain.from_iterable(self._containers),
            map(cell_contents, self._cells),
            map(len, self._sizes),
            (END,),
        )

    def holds(self) -> bool:
        """Whether nothing has changed."""
        try:
            if not self._identical() and not self._equal():
                return False
        except (KeyError, AttributeError, ValueError, RuntimeError) as error:  # an entry is gone, or a cell is empty
            self.changed, self.values = f"{type(error).__name__} {error}", ("", "")
            return False
        for cell, path in self._empty:
            try:
                self.values, self.changed = ("unassigned", _short(cell.cell_contents)), path
            except ValueError:
                continue
            return False
        for array, before, path in self._arrays:
            if not same(content(array), before):
                self.changed, self.values = path, ("some numbers", "others")
                return False
        return True

    def _equal(self) -> bool:
        """The same, entry by entry: numbers and strings by value. What is equal is known by its identity afterwards."""
        live, first = list(self._live()), len(self._expected) - 1 - len(self._sizes)
        for i, (now, before) in enumerate(zip(live, self._expected, strict=False)):
            if now is before:
                continue
            if first <= i < len(self._expected) - 1:
                owner, names, _ = self._absent[i - first]
                alike = bool(names) and not any(name in owner for name in names)
                before, now = MISSING, next((owner[name] for name in names if name in owner), MISSING)
            else:
                alike = same(now, before)
            if not alike:
                self.changed, self.values = self._labels[i], (_short(before), _short(now))
                return False
        self._split(live)
        return True


def same(now: object, before: object) -> bool:
    """Whether two values are the same object, or equal numbers or strings of one type, or tuples of such."""
    if now is before:
        return True
    if type(now) is not type(before):
        return False
    if isinstance(now, tuple):
        return len(now) == len(before) and all(map(same, now, before))
    if isinstance(now, (float, complex)):
        return repr(now) == repr(before)  # tells -0.0 from 0.0, and knows NaN
    return isinstance(now, SCALARS) and bool(now == before)


def _short(value: object) -> str:
    text = f"a tensor of shape {value.shape}" if isinstance(value, Tensor) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
