"""A name says what a thing is, not what became of it: no variable or argument is called by a bare participle."""

import ast
from pathlib import Path

import pytest

import minigan

ROOT = Path(minigan.__file__).resolve().parent.parent
PARTICIPLES = {"made", "found", "given", "kept", "held", "told"}


def participles(source: str) -> list[tuple[int, str]]:
    """(line, name) of each variable that is assigned, and each argument, whose name is one of PARTICIPLES."""
    names = [
        (node.lineno, node.arg if isinstance(node, ast.arg) else node.id)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    ]
    return [(line, name) for line, name in names if name in PARTICIPLES]


@pytest.mark.parametrize("folder", ["minigan", "kernels", "examples"])
def test_names_are_nouns(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert len(files) > 10
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {name}" for path in files for line, name in participles(path.read_text())
    ]
    assert not lines, "name the thing (outputs, record, rows, scores ...): " + "; ".join(lines)


@pytest.mark.parametrize("source", ["made = 1", "def f(given): ...", "for found in x: ...", "[held for held in x]"])
def test_each_way_of_naming_is_seen(source):
    assert len(participles(source)) == 1
