"""The table of a run in its page: one HTML file with nothing outside of it."""

from __future__ import annotations

import html
import json
from importlib import resources

from ..export import program

LIMIT = 8 * 2**20
"""Bytes of a page."""


def page(table: dict) -> str:
    """The page. The generator, with which the page computes what lies between the points of its grid, is left out where
    the page would be larger than LIMIT with it. Raises ValueError where it would be without, too: the networks are too
    large for it."""
    whole = _filled(table)
    if _size(whole) > LIMIT and table.get("generator"):
        whole = _filled({**table, "generator": None})
    if _size(whole) > LIMIT:
        raise ValueError(
            f"report: the page would have {_size(whole) / 2**20:.1f} MiB, more than {LIMIT // 2**20}: the networks of"
            " this run are too large to be walked through"
        )
    return whole


def _size(text: str) -> int:
    return len(text.encode())


def _filled(table: dict) -> str:
    web = resources.files(__package__) / "web"
    parts = {name: (web / name).read_text(encoding="utf-8") for name in ("report.html", "report.css", "report.js")}
    text = json.dumps(table, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    title = html.escape(f"{table['system']}, step {table['step']}: {table['run']}")
    return (
        parts["report.html"]
        .replace("{{title}}", title)
        .replace("{{style}}", parts["report.css"])
        .replace("{{script}}", f"{program.script()}\n{parts['report.js']}")
        .replace("{{table}}", text)
    )
