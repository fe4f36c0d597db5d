"""The table of a run in its page: one HTML file with nothing outside of it."""

from __future__ import annotations

import html
import json
from importlib import resources

LIMIT = 8 * 2**20
"""Bytes of a page."""


def page(table: dict) -> str:
    """The page. Raises ValueError where it would be larger than LIMIT: the networks are too large for it."""
    web = resources.files(__package__) / "web"
    parts = {name: (web / name).read_text(encoding="utf-8") for name in ("report.html", "report.css", "report.js")}
    text = json.dumps(table, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    title = html.escape(f"{table['system']}, step {table['step']}: {table['run']}")
    whole = (
        parts["report.html"]
        .replace("{{title}}", title)
        .replace("{{style}}", parts["report.css"])
        .replace("{{script}}", parts["report.js"])
        .replace("{{table}}", text)
    )
    size = len(whole.encode())
    if size > LIMIT:
        raise ValueError(
            f"report: the page would have {size / 2**20:.1f} MiB, more than {LIMIT // 2**20}: the networks of this run"
            " are too large to be walked through"
        )
    return whole
