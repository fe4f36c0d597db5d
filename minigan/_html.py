"""HTML for notebooks (`_repr_html_`): tables of text, each cell escaped, long ones cut."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice

import numpy as np

ROWS, EDGE, WIDE = 200, 6, 300
"""Rows of a table, numbers of an axis, characters of a cell at most."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """A table with a line above it. Cells are text, escaped; past ROWS rows one says how many are left out."""
    every = list(rows)
    lines = [_row("th", head)] if head else []
    lines += [_row("td", row) for row in islice(every, ROWS)]
    if len(every) > ROWS:
        lines.append(_row("td", [f"and {len(every) - ROWS:,} more"]))
    above = f"<div>{escape(note)}</div>" if note else ""
    return f'{above}<table style="text-align: left">{"".join(lines)}</table>'


def numbers(array: np.ndarray, note: str) -> str:
    """An array of up to two axes as a table, the middle of long axes left out; of more axes, the last two at the first
    place of the others."""
    if not array.size:
        return f"<div>{escape(note)}: no elements</div>"
    lead = array.ndim - 2
    if lead > 0:
        note += f"; below, [{', '.join(['0'] * lead)}]"
        array = array[(0,) * lead]
    array = np.atleast_2d(array)
    down, across = (_edges(n) for n in array.shape)
    rows = [["…" if r is None or c is None else _number(array[r, c]) for c in across] for r in down]
    return table((), rows, note)


def picture(png: bytes, caption: str) -> str:
    """A PNG with a line above it."""
    data = base64.b64encode(png).decode()
    return f'<div>{escape(caption)}</div><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'


def _edges(count: int) -> list[int | None]:
    """Places along an axis; None where some are left out."""
    if count <= 2 * EDGE:
        return list(range(count))
    return [*range(EDGE), None, *range(count - EDGE, count)]


def _number(value: np.generic) -> str:
    return f"{value:.4g}" if isinstance(value, np.floating) else str(value)


def _row(tag: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_cut(cell)}</{tag}>' for cell in cells)}</tr>"


def _cut(cell: object) -> str:
    text = str(cell)
    return escape(text if len(text) <= WIDE else text[: WIDE - 1] + "…")
