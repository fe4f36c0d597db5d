"""The book's chapters as notebooks: valid, whole, and what their cells print is what the chapter says."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from page_texts import CHAPTERS, TEXTS

import minigan
from minigan import cudasim
from minigan.cli import main
from minigan.docs import book, notebooks

QUICK = ("book/07-gradients-of-gradients",)


def chapter(name: str) -> Path:
    return book.chapters()[int(name[5:7])]


def cells(name: str, kind: str) -> list[dict]:
    return [c for c in json.loads(notebooks.notebook(chapter(name)))["cells"] if c["cell_type"] == kind]


def printed(cell: dict) -> str:
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_says_what_the_chapter_says(name):
    """Every line of code and of output is in it once, in order; nothing points to a file that is not beside it."""
    code, words = cells(name, "code"), "\n".join("".join(c["source"]) for c in cells(name, "markdown"))
    blocks = [m for m in book.FENCE.finditer(TEXTS[name]) if m[2] == "python" and not m[1]]
    assert ["".join(c["source"]) + "\n" for c in code] == [m[3] for m in blocks]
    assert [printed(c) for c in code] == [
        (m[4] or "").strip().removeprefix("```text\n").removesuffix("```") for m in blocks
    ]
    assert "<!-- source" not in words and not re.search(r"\]\([^)]*\.md", words)
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", words)
    attached = {f"attachment:{file}" for c in cells(name, "markdown") for file in c.get("attachments", {})}
    assert set(pictures) == attached and len(pictures) == len(re.findall(r"!\[", TEXTS[name]))
    for link in re.findall(r"(?<!!)\[[^]]*\]\(([^)]+\.ipynb)\)", words):
        assert f"book/{link.removesuffix('.ipynb')}" in CHAPTERS


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CHAPTERS])
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    """In a Jupyter kernel of its own, and prints the same."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat, nbclient, ipykernel: pip install minigan[test]")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: pip install minigan[test]")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install minigan[test]")
    if "cudasim" in TEXTS[name] and not cudasim.available():
        pytest.skip("needs g++")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(minigan.__file__).parents[1]), *sys.path]))
    whole = nbformat.reads(notebooks.notebook(chapter(name)), as_version=4)
    nbformat.validate(whole)
    expected = [printed(c) for c in whole.cells if c.cell_type == "code"]
    nbclient.NotebookClient(whole, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [printed(c) for c in whole.cells if c.cell_type == "code"] == expected


def test_notebooks_by_command(tmp_path):
    call = CliRunner().invoke
    result = call(main, ["docs", "book", "--notebooks", str(tmp_path / "all"), "--json"])
    assert result.exit_code == 0, result.output
    assert [Path(p).stem for p in json.loads(result.output.splitlines()[-1])["paths"]] == [n[5:] for n in CHAPTERS]
    assert call(main, ["docs", "book/3", "--notebooks", str(tmp_path / "one")]).exit_code == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["03-linear-layer.ipynb"]
    result = call(main, ["docs", "book/99", "--notebooks", str(tmp_path / "none")])
    assert result.exit_code == 2 and "book/99" in result.output and not (tmp_path / "none").exists()
    result = call(main, ["docs", "--notebooks", str(tmp_path), "--html", str(tmp_path / "b.html")])
    assert result.exit_code == 2 and "one at a time" in result.output
