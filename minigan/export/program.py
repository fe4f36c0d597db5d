"""A graph as a program for web/forward.js, which runs it in a browser: JSON, with the numbers in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn
from .graph import Graph

WEB = Path(__file__).parent / "web"


def program(network: nn.Module, inputs: Sequence[np.ndarray], names: Sequence[str]) -> dict:
    """The network as {"nodes", "constants", "floats", "inputs", "outputs"}, ready for JSON; what it takes is what
    `Graph` takes. Raises ValueError for what has no node."""
    graph = Graph(network, inputs, names)
    constants: dict[str, dict] = {}
    floats: list[np.ndarray] = []
    at = 0
    for name, array in graph.constants.items():
        row: dict[str, Any] = {"dims": list(array.shape), "type": str(array.dtype)}
        if array.dtype.kind == "f":
            row["at"] = at
            floats.append(array.astype("<f4").ravel())
            at += array.size
        else:
            row["data"] = array.ravel().tolist()
        constants[name] = row
    blob = np.concatenate(floats).tobytes() if floats else b""
    return {
        "nodes": [
            {"kind": n.kind, "inputs": list(n.inputs), "output": n.output, "settings": _plain(n.settings)}
            for n in graph.nodes
        ],
        "constants": constants,
        "floats": base64.b64encode(blob).decode(),
        "inputs": [{"name": slot.name, "dims": list(slot.sizes[1:])} for slot in graph.inputs],
        "outputs": [slot.name for slot in graph.outputs],
    }


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with the types of JSON."""
    return {
        name: str(value)
        if isinstance(value, np.dtype)
        else list(map(int, value))
        if isinstance(value, (tuple, list))
        else value
        for name, value in settings.items()
    }


def script() -> str:
    """The interpreter."""
    return text("forward.js")


def text(name: str) -> str:
    """A file of web/; the first script of a page says "use strict" for all."""
    return (WEB / name).read_text(encoding="utf-8").removeprefix('"use strict";\n')
