"""A chapter of the book as a notebook: the same text, its blocks of Python as cells with what they print.

What a chapter quotes from the project stays text: it is shown, not run. Pictures are inside, links between chapters
lead to their notebooks, and a link to another page names the command that reads it. Format: nbformat 4.5.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from .book import FENCE, PACKAGE, with_sources

PICTURE = re.compile(r"!\[([^]]*)\]\(([^)]+)\)")
KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".gif": "image/gif"}


def notebook(path: Path) -> str:
    """The JSON of the notebook of a chapter's file."""
    text = path.read_text(encoding="utf-8")
    cells: list[dict] = []
    at = 0
    for block in FENCE.finditer(text):
        mark, language, code, output = block.groups()
        if mark or language != "python":
            continue
        cells += _words(text[at : block.start()], path)
        cells.append(_code(code, output))
        at = block.end()
    cells += _words(text[at:], path)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _words(text: str, path: Path) -> list[dict]:
    """A cell of text, or none where there is nothing but space."""
    text = with_sources(text).strip()
    if not text:
        return []
    pictures: dict[str, dict[str, str]] = {}

    def inside(picture: re.Match) -> str:
        file = path.parent / picture[2]
        file = file if file.exists() else PACKAGE / picture[2].lstrip("./")  # in a package that is installed
        pictures[file.name] = {KINDS[file.suffix]: base64.b64encode(file.read_bytes()).decode()}
        return f"![{picture[1]}](attachment:{file.name})"

    text = PICTURE.sub(inside, text)
    text = re.sub(r"\]\((\d\d-[\w-]+)\.md(#[\w-]*)?\)", r"](\1.ipynb)", text)
    text = re.sub(r"\[([^]]*)\]\(\.\./([\w-]+)\.md(?:#[\w-]*)?\)", r"\1 (`minigan docs \2`)", text)
    text = re.sub(r"\[([^]]*)\]\((?:\.\./)+([\w/.-]+)\)", r"\1 (`\2`)", text)
    cell = {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}
    return [cell | ({"attachments": pictures} if pictures else {})]


def _code(code: str, output: str | None) -> dict:
    lines = (output or "").strip().removeprefix("```text\n").removesuffix("```").splitlines(keepends=True)
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [{"output_type": "stream", "name": "stdout", "text": lines}] if lines else [],
        "source": code.rstrip("\n").splitlines(keepends=True),
    }
