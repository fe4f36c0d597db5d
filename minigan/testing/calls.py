"""Calls to try an op, a function or a Module on, where its author names none.

The shapes are those that ops have: one array of one to four axes; two that are added (equal, or broadcast together) or
multiplied (as matrices, as image and kernel); a layer's input, weight and bias; indices into a table. A call counts
where the subject accepts it and answers finite numbers.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .opcase import Values

Shapes = tuple[Any, ...]
"""Of one call: for each input a shape, or `ints(...)`, or a plain number."""


class ints(tuple):
    """The shape of an input of integers 0, 1, 2."""


WIDE = "wide"
"""Values whose size is spread from 0.01 to 30."""
RANGES: dict[str, Values] = {
    "[-2, 2]": Values(-2.0, 2.0),
    "[0.5, 2.5]": Values(0.5, 2.5),
    "[0.05, 0.95]": Values(0.05, 0.95),
    "[1.1, 3]": Values(1.1, 3.0),
}
EDGE = 8
"""Sides of images that a Module is tried on: 1, 2, ... EDGE, then these."""
SIDES = (*range(1, EDGE + 1), 12, 16, 28, 32, 64)

ONE: list[Shapes] = [((3, 4),), ((5,),), ((2, 3, 4),), ((2, 3, 4, 6),), ((),), ((1, 4),), ((4, 1),), ((6, 11),)]
SQUARE: list[Shapes] = [((3, 3),), ((2, 3, 3),)]
MIXED: dict[int, list[Shapes]] = {
    2: [
        ((3, 4), (4,)),
        ((3, 4), (3, 1)),
        ((1, 4), (3, 4)),
        ((3, 4), ()),
        ((), (3, 4)),
        ((3, 1), (1, 4)),
        ((2, 3, 4), (3, 4)),
    ],
    3: [((3, 4), (4,), (4,))],
}
EQUAL = {(shape,) * count for shape in ((5,), (2, 3, 4)) for count in (2, 3, 4)}
LAYER: list[Shapes] = [((3, 4), (4,)), ((2, 3, 4), (4,)), ((2, 3, 4, 5), (3,)), ((3, 4), ())]
"""Of an input and a layer's parameter: (x, bias), (x, scale)."""
BROADCAST = {shapes for group in MIXED.values() for shapes in group}
"""Broadcast together: for what takes inputs of one shape to an output of that shape."""
OTHER: dict[int, list[Shapes]] = {
    2: [
        ((3, 4), (4, 2)),
        ((3, 4), (2, 4)),
        ((4, 3), (3,)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 3, 4, 5), (3,)),
        ((2, 3, 5, 6), (4, 3, 3, 3)),
        ((2, 3, 4, 5), (3, 2, 3, 3)),
        ((2, 3, 7), (4, 3, 3)),
        ((3, 4), (3,)),
        ((4,), (3,)),
        ((3, 3), (3, 2)),
    ],
    3: [
        ((3, 4), (4, 2), (2,)),
        ((3, 4), (2, 4), (2,)),
        ((4, 3), (3,), (3,)),
        ((2, 3, 4, 5), (3,), (3,)),
        ((2, 3, 5, 6), (4, 3, 3, 3), (4,)),
        ((3, 4), (5, 4), (5, 2)),
        ((3, 4), (4, 5), (5, 2)),
    ],
}
WITH_INTS: dict[int, list[Shapes]] = {
    1: [(ints((5,)),)],
    2: [
        ((7, 3), ints((5,))),
        ((4, 3), ints((4,))),
        ((4, 3), ints((4, 2))),
        (ints((5,)), (7, 3)),
        (ints((4,)), (4, 3)),
        ((5,), ints((4,))),
        ((3, 4), 1),
        ((2, 3, 4), 1),
        ((3, 4), 0.3),
    ],
    3: [
        ((7, 3), ints((5,)), (5, 3)),
        ((4, 3), ints((4,)), (3,)),
        ((4, 3), 1, ints((4, 2))),
        ((3, 4), 0, 1),
        ((3, 4), 0.3, 0.7),
        ((3, 4), (3, 4), 1),
        ((3, 4), (3, 4), 0.3),
    ],
}
NUMBERS = {"dim": 1, "axis": 1, "dims": 1, "axes": 1, "k": 2, "n": 2, "kernel": 2, "kernel_size": 2, "stride": 1}
FRACTIONS = ("eps", "alpha", "slope", "negative_slope", "p", "lam", "temperature", "momentum", "tau", "beta_", "margin")
LAYERS = ("b", "bias", "beta", "gamma", "shift", "scale", "w", "weight", "g")
INPUTS = ("x", "input", "inputs", "h", "features", "images")
INDICES = ("index", "indices", "idx", "ids", "labels", "label", "tokens", "classes", "target_class")


def arity(function: Callable) -> tuple[int, list[str]] | None:
    """How many inputs without a default a function has, and their names; None where it takes any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.default is p.empty and p.kind in plain]
    return len(names), names


def draw(shapes: Shapes, values: Values | str, seed: int) -> list[Any]:
    """The inputs of a call: float64 arrays, int64 arrays for `ints`, numbers as they are, arrays as they are."""
    rng = np.random.default_rng((seed, len(shapes)))
    inputs: list[Any] = []
    for shape in shapes:
        if isinstance(shape, ints):
            inputs.append(rng.integers(0, 3, tuple(shape)))
        elif not isinstance(shape, tuple):
            inputs.append(shape)
        elif isinstance(values, str):
            inputs.append(10 ** rng.uniform(-2.0, 1.5, shape) * rng.choice([-1.0, 1.0], shape))
        else:
            inputs.append(values.draw((shape,), rng)[0])
    return inputs


def for_function(function: Callable) -> Iterator[list[Shapes]]:
    """Groups of calls: the first group of which some are accepted is the one to take."""
    known = arity(function)
    counts = (1, 2, 3) if known is None else (known[0],)
    names = [] if known is None else known[1]
    for count in counts:
        settled = {i: NUMBERS.get(n, 0.3) for i, n in enumerate(names) if n in NUMBERS or n in FRACTIONS}
        open_count = count - len(settled)
        indices = any(n in INDICES for n in names)
        groups = [WITH_INTS.get(open_count, [])] if indices else []
        if len(names) == 2 and names[0] in INPUTS and names[1] in LAYERS:
            groups.append(LAYER)
        groups += [*_groups(open_count), WITH_INTS.get(open_count, [])]
        for group in groups:
            if group:
                yield [_with(shapes, settled) for shapes in group]


def _groups(count: int) -> Iterator[list[Shapes]]:
    if count == 1:
        yield ONE
        yield SQUARE
    else:
        yield [((3, 4),) * count, ((5,),) * count, ((2, 3, 4),) * count, *MIXED.get(count, [])]
        yield OTHER.get(count) or [((4, 3), *[(3,)] * (count - 1)), ((2, 3, 4, 5), *[(3,)] * (count - 1))]
        yield [((3, 3),) * count]


def _with(shapes: Shapes, settled: dict[int, Any]) -> Shapes:
    """The shapes with numbers put in at the positions of `settled`."""
    rest, count = iter(shapes), len(shapes) + len(settled)
    return tuple(settled[i] if i in settled else next(rest) for i in range(count))


def for_module(module: Any) -> Iterator[Shapes]:
    """Calls of a Module, smallest first: a batch of 3, as wide as its layers say."""
    known = arity(module.forward)
    count = 1 if known is None else max(1, known[0])
    widths = list(dict.fromkeys(w for layer in module.modules() for w in _widths(layer)))
    tables = any(type(layer).__name__ == "Embedding" for layer in module.modules())
    one: list[Any] = [(3, w) for w in widths or (4,)]
    one += [(3, w, s, s) for w in widths or (4,) for s in SIDES]
    one += [(3, 5, w) for w in widths or (4,)]
    one += [(w,) for w in widths]
    if tables:
        one = [ints((3,)), ints((3, 2)), *one]
    if count == 1:
        yield from ((shape,) for shape in one)
    else:
        yield from itertools.islice(itertools.product(*[one] * count), 3000)


def _widths(layer: Any) -> Sequence[int]:
    values = [getattr(layer, name, None) for name in ("in_features", "in_channels", "num_features", "num_channels")]
    own = [int(side) for p in layer.parameters(recurse=False) for side in (*p.shape[1:2], *p.shape[:1])]
    return [v for v in values if isinstance(v, int)] or own
