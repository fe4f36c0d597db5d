"""A generator as one HTML file that runs it in a browser: `minigan export page`.

The page holds the generator as a program (program.py), the interpreter of web/forward.js, the random numbers of the
lab, and what there is to move (controls.py). It needs no network and no other file.
"""

from __future__ import annotations

import html
import json

from ..gan.systems.table import system
from ..gan.train import Trainer
from ..lab.page import script as lab_script
from . import controls, program
from .parts import Part

LIMIT = 15 * 2**20
"""Bytes of a page."""


def page(trainer: Trainer, name: str, part: Part, title: str) -> str:
    """The page. Raises ValueError for a network with an op that has no node, and where the page would be larger than
    LIMIT."""
    table = {
        "about": system(trainer.options.system).what,
        "part": name,
        "arguments": controls.controls(trainer, part),
        "program": program.program(part.network, part.inputs, part.names),
    }
    whole = filled(
        "page.html", "page.css", table, [lab_script("philox"), program.script(), program.text("page.js")], title
    )
    size = len(whole.encode())
    if size > LIMIT:
        raise ValueError(
            f"export page: the page would have {size / 2**20:.1f} MiB, more than {LIMIT // 2**20}: the network is too"
            " large for it; minigan export onnx writes it for onnxruntime"
        )
    return whole


def filled(name: str, style: str, table: dict, scripts: list[str], title: str) -> str:
    """A page of web/ with its parts in their places; nothing in the table can end the script that it stands in."""
    text = json.dumps(table, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    places = {"title": html.escape(title), "style": program.text(style), "script": "\n".join(scripts), "table": text}
    whole = program.text(name)
    for place, content in places.items():
        whole = whole.replace(f"{{{{{place}}}}}", content)
    return whole
