"""The grader of loops in Numba: the same function run by Python, on arrays that look at every index.

Numba checks no bounds: x[-1] is the last element, x[n] is whatever lies there. And it checks no races: two iterations
of a `prange` may run at once, so that one must not write what another reads or writes. Watched arrays say both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from . import checks

_READS = ("sum", "prod", "mean", "max", "min", "argmax", "argmin", "dot", "copy")
"""Methods of arrays that read all elements."""


class Watched(NDArrayOperatorsMixin):
    """An array for code that Python runs: an index out of range is an error, a negative one too; who touched which
    element is kept. Rows, arithmetic, NumPy's functions and sums read and write all elements of what they are given."""

    def __init__(self, array: np.ndarray, name: str, race: Race, elements: np.ndarray | None = None) -> None:
        self.array, self.name, self.race = array, name, race
        if elements is None:
            race.shapes[name] = array.shape
            elements = np.arange(array.size).reshape(array.shape)
        self.elements = elements
        self.shape, self.ndim, self.size, self.dtype = array.shape, array.ndim, array.size, array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        self._look(index, "read")
        part = self.array[index]
        if isinstance(part, np.ndarray) and part.ndim:
            return Watched(part, self.name, self.race, self.elements[index])
        self.race.touch(self.name, self.elements[index], False)
        return part

    def __setitem__(self, index: Any, value: Any) -> None:
        self._look(index, "written")
        for element in np.atleast_1d(self.elements[index]).ravel():
            self.race.touch(self.name, element, True)
        self.array[index] = value.array if isinstance(value, Watched) else value

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        for element in self.elements.ravel():
            self.race.touch(self.name, element, False)
        return np.array(self.array, dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple = (), **options: Any) -> Any:
        arrays = [np.asarray(x) if isinstance(x, Watched) else x for x in inputs]
        value = getattr(ufunc, method)(*arrays, **options)
        if not out:
            return value
        out[0][...] = value
        return out[0]

    def __getattr__(self, name: str) -> Any:
        if name in _READS:
            return getattr(np.asarray(self), name)
        raise AttributeError(f"an array has no .{name} here; take its elements and rows by index")

    def fill(self, value: Any) -> None:
        """Write the value into every element."""
        self[...] = value

    def _look(self, index: Any, verb: str) -> None:
        for axis, i in enumerate(index if isinstance(index, tuple) else (index,)):
            if isinstance(i, int | np.integer) and not 0 <= i < self.shape[axis]:
                raise Outside(
                    f"{self.name}{_subscript(index)} is {verb}, but axis {axis} of {self.name} has {self.shape[axis]}"
                )


def _subscript(index: Any) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    return f"[{', '.join(':' if isinstance(i, slice) else str(i) for i in parts)}]"


class Outside(Exception):
    """An index that is out of range."""


class Race:
    """Which iteration of a prange first touched which element. `finding`: the first two that may meet, or nothing.
    parallel: whether a prange ran."""

    def __init__(self) -> None:
        self.iteration: int | None = None
        self.parallel = False
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.writers: dict[tuple[str, int], int | None] = {}
        self.readers: dict[tuple[str, int], int | None] = {}
        self.finding = ""

    def touch(self, name: str, element: Any, writes: bool) -> None:
        key, me = (name, int(element)), self.iteration
        if me is None:
            return
        for table in (self.writers, self.readers) if writes else (self.writers,):
            if not self.finding and table.get(key, me) != me:
                verb = "writes" if writes else "reads"
                place = [int(i) for i in np.unravel_index(key[1], self.shapes[name])]
                self.finding = (
                    f"a race: iteration {me} of prange {verb} {name}{place}, which iteration {table[key]}"
                    f" {'writes' if table is self.writers else 'reads'}, and the two may run at once"
                )
        (self.writers if writes else self.readers).setdefault(key, me)

    def prange(self, *bounds: int) -> Iterator[int]:
        """In the place of Numba's, which runs one inside of another as a range."""
        if self.iteration is not None:
            yield from range(*bounds)
            return
        self.parallel = True
        self.writers.clear(), self.readers.clear()
        for i in range(*bounds):
            self.iteration = i
            yield i
        self.iteration = None


def loops(
    names: Any,
    function: str,
    inputs: dict[str, Any],
    results: dict[str, Any],
    thought: str = "",
    tolerance: float = 1e-9,
) -> Iterator[str]:
    """Call names.function with the inputs by position: by Python, watched; then as Numba compiles it. `results` are
    the expected arrays, by the inputs' names; "" is what the function returns. Outputs begin as NaN."""
    race = Race()
    watched = {k: Watched(v.copy(), k, race) if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    getattr(names, function)
    try:
        with _by_python(names, race):
            answer = getattr(names, function)(*watched.values())
    except Outside as error:
        yield f"{function}: {error}{checks.and_(thought)}"
        return
    if race.finding:
        yield f"{function}: {race.finding}"
        return
    wrong = list(
        _results(
            function,
            answer,
            {k: w.array for k, w in watched.items() if isinstance(w, Watched)},
            results,
            thought,
            tolerance,
        )
    )
    yield from wrong
    if not wrong and _asks_for_threads(getattr(names, function)) and not race.parallel:
        yield f"{function}: no loop of it is a prange, so that one thread does all"
    elif not wrong and compiles:
        plain = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
        answer = _compiled(getattr(names, function), plain)
        if isinstance(answer, str):
            yield answer
        else:
            yield from _results(f"{function}, compiled by Numba,", answer[0], plain, results, thought, tolerance)


compiles = True
"""Whether what is right by Python is also compiled; tests of many mutants need not."""


def _asks_for_threads(function: Any) -> bool:
    """Whether it is under @njit(parallel=True)."""
    return bool(getattr(function, "targetoptions", {}).get("parallel"))


def _results(what: str, answer: Any, arrays: dict, results: dict, thought: str, tolerance: float) -> Iterator[str]:
    for name, expected in results.items():
        yield from checks.equal(
            f"{what}: {name or 'its answer'}", arrays[name] if name else answer, expected, thought, tolerance
        )


def _compiled(function: Callable, inputs: dict[str, Any]) -> Any:
    from numba.core.errors import NumbaError

    try:
        return (function(*inputs.values()),)
    except NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return f"Numba does not compile it: {' '.join(lines[:3])}"


@contextmanager
def _by_python(names: Any, race: Race) -> Iterator[None]:
    """Numba's functions in the file stand for themselves, uncompiled, and prange is the watched one."""
    saved = dict(vars(names))
    try:
        for name, value in saved.items():
            with suppress(AttributeError):
                setattr(names, name, value.py_func)
            if name == "prange":
                names.prange = race.prange
        yield
    finally:
        vars(names).update(saved)
