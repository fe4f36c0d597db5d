"""Machine room, commands: `minigan ops`, the table of every op with its formula, its derivatives and its kernels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from difflib import get_close_matches
from textwrap import wrap

import click

WIDTH = 100
"""Columns of the table."""


def register(main: click.Group, command: Callable) -> None:
    """Add `ops` to the command; `command` makes a sub-command as minigan/cli/main.py does."""
    names = click.argument("names", nargs=-1, metavar="[OP]...")
    command(main, "ops", "Show every op: formula, derivatives, place and kernels.")(names(ops))


def ops(names) -> list:
    """Show every op, or those named: its formula, its derivative by each input, where it stands, its kernels."""
    from .. import optim  # noqa: F401  (two files outside the package's face define ops of their own)
    from ..gan import penalties  # noqa: F401
    from ..ops import table

    rows = table.rows()
    chosen = [row for name in names for row in _named(name, rows)] if names else rows
    for row in chosen:
        click.echo(block(row) + "\n")
    if not names:
        click.echo(
            "L is the loss, g the cotangent of the result, such as dL/dy; <.> is the mean over the M values that\n"
            f"a norm puts together. {len(rows)} ops; one of them: minigan ops conv2d"
        )
    return [asdict(row) for row in chosen]


def block(row) -> str:
    """One op in lines of at most WIDTH columns: its head, its formula, its derivatives, its kernels."""
    place = f"{row.file}:{row.line}"
    head = f"{row.name}  {row.cls}" if row.cls.lower() != row.name else row.name
    lines = [f"{head:<{WIDTH - len(place) - 1}} {place}", *_indented(row.formula, 4)]
    for name, formula in row.derivatives.items():
        lines += _indented(f"dL/d{name} = {formula}", 4)
    for paragraph in row.words.split("\n\n"):
        lines += _indented(paragraph, 4, 4)
    return "\n".join(lines + _indented(f"kernels: {_kernels(row)}", 4))


def _kernels(row) -> str:
    """In words: which orders have kernels of their own, and what the further ones come from."""
    last = len(row.kernels) - 1
    parts = []
    for order, names in enumerate(row.kernels):
        onward = " and on" if order == last and row.rest == "the same" else ""
        parts.append(f"order {order}{onward}: {', '.join(names)}")
    if not parts:
        return "none of its own" + ("; its derivatives are composed of other ops" if row.rest else "")
    further = {"reference": "then the reference, to any order", "composite": "then other ops, to any order"}
    return "; ".join([*parts, *([further[row.rest]] if row.rest in further else [])])


def _indented(text: str, first: int, further: int = 10) -> list[str]:
    return wrap(text, WIDTH, initial_indent=" " * first, subsequent_indent=" " * further)


def _named(name: str, rows: list) -> list:
    """The rows of one op. Raises ValueError, which names the nearest one, or says where a composite stands."""
    from .. import functional, methods

    chosen = [row for row in rows if name in (row.name, row.cls)]
    if chosen:
        return chosen
    function = inspect.unwrap(methods.PUBLIC.get(name) or getattr(functional, name, None))
    if inspect.isfunction(function):
        line = inspect.getsourcelines(function)[1]
        place = f"{function.__module__.replace('.', '/')}.py:{line}"
        raise ValueError(f"{name} is composed of other ops and has no class of its own; read {place}")
    nearest = get_close_matches(name, [n for row in rows for n in (row.name, row.cls)], 1, 0)
    raise ValueError(f"unknown op {name!r}; the nearest is {nearest[0]!r}, and `minigan ops` lists all")
