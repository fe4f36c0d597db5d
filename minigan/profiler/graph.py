"""A tape as boxes: one for each part of the network and order of derivative, and what flows between them.

A part is a layer, or for ops outside of any the file that they stand in (losses, penalties). A network through which
nothing is differentiated is one part. Boxes stand in a grid, a column for each order and a row for each part, so that
the gradient of a layer stands beside the layer, and the gradient of that beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import PurePath

from .table import shape
from .tape import Row, Tape


@dataclass
class Box:
    """The ops of one order in one part. weights: the part's parameters, in the box of order 0. left_out: names of the
    inputs that no gradient was wanted of."""

    part: str
    order: int
    rows: list[Row] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def flops(self) -> int:
        return sum(row.flops for row in self.rows)

    @property
    def nbytes(self) -> int:
        return sum(row.nbytes for row in self.rows)

    def lines(self) -> list[str]:
        """What it does, an op a line, equal ones together."""
        counts: dict[tuple[str, str], int] = {}
        for row in self.rows:
            key = row.op, shape(row.results[0]) if row.results else ""
            counts[key] = counts.get(key, 0) + 1
        return [f"{op} {size}" + (f" ×{n}" if n > 1 else "") for (op, size), n in counts.items()]


@dataclass(frozen=True)
class Edge:
    """What one box computes and another reads. shapes: of the values, the largest first. shared: whether a third box
    reads one of them, too."""

    source: int
    target: int
    shapes: tuple[tuple[int, ...], ...]
    shared: bool


@dataclass
class Graph:
    """parts: the rows of the grid, from the data down to the loss. boxes, edges: by number."""

    parts: list[str]
    orders: list[int]
    boxes: list[Box]
    edges: list[Edge]


def graph(tape: Tape) -> Graph:
    """The boxes of a tape."""
    parts = _parts(tape.rows)
    boxes: dict[tuple[str, int], Box] = {}
    home: dict[int, Box] = {}
    for row, part in zip(tape.rows, parts, strict=True):
        box = boxes.setdefault((part, row.order), Box(part, row.order))
        box.rows.append(row)
        for value in row.outputs:
            home.setdefault(value, box)
        if row.of is not None:
            names = [_input_name(tape, tape.rows[row.of], i) for i in row.left_out]
            box.left_out += [name for name in names if name not in box.left_out]
    for row, part in zip(tape.rows, parts, strict=True):
        for value in row.inputs:
            if value in tape.names and not row.in_place and row.order == 0:
                weights, name = boxes[part, row.order].weights, tape.names[value].rsplit(".", 1)[-1]
                size = shape(row.shapes[row.inputs.index(value)])
                if (text := f"{name} {size}") not in weights:
                    weights.append(text)
    numbers = {id(box): number for number, box in enumerate(boxes.values())}
    orders = sorted({row.order for row in tape.rows})
    return Graph(
        list(dict.fromkeys(parts)), orders, list(boxes.values()), _edges(tape.rows, parts, boxes, home, numbers)
    )


def _parts(rows: Sequence[Row]) -> list[str]:
    """Each row's part."""
    differentiated = {rows[row.of].layer.split(".")[0] for row in rows if row.of is not None}
    parts: list[str] = []
    for row in rows:
        if row.layer:
            root = row.layer.split(".")[0]
            parts.append(row.layer if root in differentiated else root)
        elif row.of is not None:
            parts.append(parts[row.of])
        elif row.in_place:
            parts.append(row.kernels[0].split(".")[0] if row.kernels else row.op)
        else:
            parts.append(PurePath(row.source.rsplit(":", 1)[0]).name or "the step")
    return parts


def _edges(rows: Sequence[Row], parts: Sequence[str], boxes: dict, home: dict[int, Box], numbers: dict) -> list[Edge]:
    readers: dict[int, set[int]] = {}
    flows: dict[tuple[int, int], dict[int, tuple[int, ...]]] = {}
    for row, part in zip(rows, parts, strict=True):
        target = numbers[id(boxes[part, row.order])]
        for value, size in zip(row.inputs, row.shapes, strict=True):
            if value in home and (source := numbers[id(home[value])]) != target:
                readers.setdefault(value, set()).add(target)
                flows.setdefault((source, target), {})[value] = size
    edges = []
    for (source, target), values in flows.items():
        sizes = sorted(dict.fromkeys(values.values()), key=lambda s: -prod(s))
        edges.append(Edge(source, target, tuple(sizes), any(len(readers[v]) > 1 for v in values)))
    return edges


def _input_name(tape: Tape, row: Row, index: int) -> str:
    name = tape.names.get(row.inputs[index], "")
    return name.rsplit(".", 1)[-1] or f"input {index} of {row.op}"
