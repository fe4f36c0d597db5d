"""What the tests of the pages share: the texts of the README and of the pages, and what stands in backticks in them."""

import re
import tomllib
from pathlib import Path

import minigan

ROOT = Path(minigan.__file__).parents[1]
FOLDER = ROOT / "minigan" / "docs"
FILES = {path.stem: path for path in [ROOT / "README.md", *sorted(FOLDER.glob("*.md"))]}
CHAPTERS = {f"book/{path.stem}": path for path in sorted((FOLDER / "book").glob("*.md"))}
FILES |= CHAPTERS
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
PAGES = sorted(FILES.keys() - CHAPTERS.keys() - {"README"})
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """What stands in backticks in the text, on one line each."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]
