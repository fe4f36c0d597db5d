"""Programs cut from the project's own files: some functions and classes of a file, and the imports that they need."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_MARK = re.compile(r"^[ \t]*(?:#|//) learn: (?P<name>\S+) (?:begin|end)\n", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """path: of the file, below minigan/. names: the functions and classes to take, in the order of the file; all of it
    where there are none. between: the first and the last of the learner's lines, where the file itself has no marks."""

    path: str
    names: tuple[str, ...] = ()
    between: tuple[str, str] | None = None

    def text(self, exercise: str) -> str:
        """The program, with the marks of the exercise and of no other."""
        whole = (PACKAGE / self.path).read_text(encoding="utf-8")
        text = _MARK.sub(lambda m: m[0] if m["name"] == exercise else "", whole)
        if self.names:
            text = _part(text, self.path, self.names)
        return _marked(text, exercise, *self.between) if self.between else text


def source(path: str, *names: str, between: tuple[str, str] | None = None) -> Source:
    """Where a solution stands in the project; see Source."""
    return Source(path, names, between)


def _part(text: str, path: str, names: tuple[str, ...]) -> str:
    lines, body = text.splitlines(keepends=True), ast.parse(text).body
    tops = {name: node for node in body for name in _bound(node)}
    parts = [tops[name] for name in names]
    starts = [min([n.lineno, *(d.lineno for d in getattr(n, "decorator_list", []))]) - 1 for n in parts]
    skipped = {
        i for part in parts for n in ast.walk(part) if _of_captures(n) for i in range(n.lineno - 1, n.end_lineno + 1)
    }
    ranges = [range(s, _end(n, lines)) for s, n in zip(starts, parts, strict=True)]
    code = "\n\n".join("".join(lines[i] for i in r if i not in skipped) for r in ranges)
    used = {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)} - set(names)
    package = ["minigan", *Path(path).parts[:-1]]
    header = []
    for name in sorted(used & tops.keys()):
        node = tops[name]
        if isinstance(node, ast.Import):
            header.append(ast.unparse(ast.Import([a for a in node.names if (a.asname or a.name) == name])))
        elif isinstance(node, ast.ImportFrom):
            alias = next(a for a in node.names if (a.asname or a.name) == name)
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            module = "numba" if name == "njit" else module  # the project's own keeps what it compiles, here for nothing
            header.append(f"from {module} import {ast.unparse(alias)}")
        else:
            header.append(f"from {'.'.join([*package, Path(path).stem])} import {name}")
    future = "from __future__ import annotations\n\n" if "from __future__ import annotations" in text else ""
    return f"{future}{_joined(header)}\n\n{code}"


def _end(node: ast.stmt, lines: list[str]) -> int:
    """The number of its last line, with the mark that may stand behind it."""
    end = node.end_lineno or 0
    return end + bool(lines[end:] and _MARK.match(lines[end]))


def _of_captures(node: ast.AST) -> bool:
    """Whether it is an op's `prepare`, its forward again for captured steps, which no exercise needs."""
    return isinstance(node, ast.FunctionDef) and node.name == "prepare"


def _joined(header: list[str]) -> str:
    """The imports, those from one module in one line."""
    table: dict[str, list[str]] = {}
    for line in header:
        head, _, name = line.partition(" import ")
        table.setdefault(head, []).extend([name] if name else [])
    rows = [f"{head} import {', '.join(names)}" if names else head for head, names in table.items()]
    own = sorted(row for row in rows if "minigan" in row)
    others = sorted((row for row in rows if "minigan" not in row), key=lambda row: (row.startswith("from"), row))
    return "\n\n".join("\n".join(part) for part in (others, own) if part) + "\n"


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a file binds."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return []


def _marked(text: str, exercise: str, first: str, last: str) -> str:
    """The text with marks around the lines from the one that begins with `first` to the next that does with `last`."""
    lines, word = text.splitlines(keepends=True), "//" if "__global__" in text else "#"
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(first))
    end = next(i for i, line in enumerate(lines) if i >= start and line.strip().startswith(last)) + 1
    margin = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    marks = [f"{margin}{word} learn: {exercise} {edge}\n" for edge in ("begin", "end")]
    return "".join([*lines[:start], marks[0], *lines[start:end], marks[1], *lines[end:]])
