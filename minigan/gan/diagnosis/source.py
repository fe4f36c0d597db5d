"""What the text of the user's file says: an average of weights that is moved and never read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .book import is_users
from .finding import Finding
from .trace import Place, Trace


def unused_averages(module: Any, trace: Trace) -> Iterator[Finding]:
    """Averages whose name stands in the file only where it is made and moved."""
    file = getattr(module, "__file__", None)
    if not file or not is_users(file) or not trace.averages:
        return
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    uses: dict[str, list[ast.AST]] = {}
    plain: set[str] = set()
    tree = ast.parse(text)
    moved = {id(n.func.value) for n in ast.walk(tree) if _is_update(n)}
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if not name:
            continue
        uses.setdefault(name, []).append(node)
        if isinstance(node.ctx, ast.Load) and id(node) not in moved:
            plain.add(name)
    for full in trace.averages:
        name = full.rpartition(".")[2]
        if name in uses and name not in plain:
            line = uses[name][0].lineno
            place = Place(file, line, text.splitlines()[line - 1].strip())
            yield Finding("average-unused", f"{full} is moved, but nothing in the file samples from it", place)


def _is_update(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update"
