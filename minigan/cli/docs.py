"""`minigan docs`: the pages of minigan/docs, listed, or one of them laid out for the terminal; the book to print."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import click

from minigan._files import make_folder

FOLDER = Path(str(files("minigan"))) / "docs"
WIDEST, NARROWEST = 100, 40


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    page = click.argument("page", required=False)
    html = click.option("--html", type=click.Path(dir_okay=False), help="Write the whole book to this file, to print.")
    folder = click.option("--notebooks", type=click.Path(file_okay=False), help="Write chapters as .ipynb into here.")
    command(main, "docs", "Read the documentation: list the pages, or read one.")(page(html(folder(docs))))


def docs(page, html=None, notebooks=None) -> list | dict:
    """Read the documentation. Without PAGE: the list of pages, each with the question that it answers.

    `minigan docs book` lists the chapters of the book, `minigan docs book/4` shows one.
    """
    if html is not None and notebooks is not None:
        raise ValueError("docs: give --html or --notebooks, one at a time")
    if html is not None:
        return _printed(Path(html))
    if notebooks is not None:
        return _notebooks(Path(notebooks), page)
    rows = pages()
    if page is None:
        questions = {name: question(path.read_text(encoding="utf-8")) for name, path in rows.items()}
        wide = max(map(len, rows)) + 2
        for name, text in questions.items():
            first, *rest = textwrap.wrap(text, _width() - wide)
            click.echo("\n".join([f"{name:<{wide}}{first}", *(" " * wide + line for line in rest)]))
        click.echo("read one by: minigan docs NAME")
        return [{"name": name, "question": text} for name, text in questions.items()]
    name = page.removesuffix(".md").lower()
    if name.startswith("book/"):
        rows, name = _chapters(), _chapter(name)
    if name not in rows:
        from minigan.gan.losses import nearest

        raise nearest("page", page, rows)
    from minigan.docs.book import with_sources

    text = "\n".join(layout(with_sources(rows[name].read_text(encoding="utf-8")), _width()))
    if sys.stdout.isatty() and text.count("\n") + 2 > shutil.get_terminal_size((WIDEST, 24)).lines:
        click.echo_via_pager(text)
    else:
        click.echo(text)
    return {"name": name, "path": str(rows[name])}


def pages() -> dict[str, Path]:
    """The pages by name: first index, then as it links them, then any others in alphabetical order."""
    paths = {path.stem: path for path in sorted(FOLDER.glob("*.md"))}
    linked = re.findall(r"\]\(([\w-]+)\.md\)", paths["index"].read_text(encoding="utf-8"))
    return {name: paths[name] for name in dict.fromkeys(["index", *linked, *paths]) if name in paths}


def _chapters() -> dict[str, Path]:
    from minigan.docs.book import chapters

    return {f"book/{path.stem}": path for path in chapters().values()}


def _chapter(name: str) -> str:
    """A chapter by its number or its whole name."""
    return next((key for key in _chapters() if name in (key, key[: len("book/00")], f"book/{int(key[5:7])}")), name)


def _notebooks(folder: Path, page: str | None) -> dict:
    """Write all chapters, or the one that PAGE names."""
    from minigan.docs.notebooks import notebook

    rows = _chapters()
    if page not in (None, "book"):
        name = _chapter(page.removesuffix(".md").lower())
        if name not in rows:
            from minigan.gan.losses import nearest

            raise nearest("chapter", page, rows)
        rows = {name: rows[name]}
    make_folder(folder)
    paths = [folder / f"{path.stem}.ipynb" for path in rows.values()]
    for path, source in zip(paths, rows.values(), strict=True):
        path.write_text(notebook(source), encoding="utf-8")
    count = f"{len(paths)} notebook{'s' * (len(paths) > 1)}"
    click.echo(f'{count} in {folder}; to run: pip install "minigan[notebook]", then jupyter lab')
    return {"paths": [str(path) for path in paths]}


def _printed(path: Path) -> dict:
    from minigan.docs.book import printable

    try:
        path.write_text(printable(), encoding="utf-8")
    except (ImportError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"the book: {path}; print it from a browser")
    return {"path": str(path)}


def question(text: str) -> str:
    """What a page answers: its first sentence after the title if that is a question, else the title."""
    blocks = [block.strip() for block in text.split("\n\n") if block.strip()]
    title = blocks[0].lstrip("# ")
    if len(blocks) < 2:
        return title
    first = " ".join(blocks[1].strip("*_").split())
    sentence = re.match(r"[^?]*\?", first)
    return _plain(sentence[0]) if sentence else title


def _width() -> int:
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def layout(text: str, width: int) -> Iterator[str]:
    """The lines of a page of Markdown: paragraphs wrapped to the width, tables in columns, code as it stands."""
    for kind, block in _blocks(text.splitlines()):
        if kind == "code":
            yield from (f"    {line}".rstrip() for line in block)
        elif kind == "table":
            yield from _table(block, width)
        elif kind == "heading":
            title = _plain(block[0].lstrip("# "))
            yield click.style(title, bold=True)
            yield ("=" if block[0].startswith("# ") else "-") * len(title)
        elif kind == "blank":
            yield ""
        else:
            lead = re.match(r" *(?:[-*]|\d+\.) |", block[0])[0]
            yield from _wrapped(_plain(" ".join(line.strip() for line in block)[len(lead.lstrip()) :]), width, lead)


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(kind, lines): code, table, heading, blank, text; comments are left out."""
    at = 0
    while at < len(lines):
        line, start = lines[at], at
        at += 1
        if line.startswith("```"):
            while at < len(lines) and not lines[at].startswith("```"):
                at += 1
            yield "code", lines[start + 1 : at]
            at += 1
        elif line.startswith("|"):
            while at < len(lines) and lines[at].startswith("|"):
                at += 1
            yield "table", lines[start:at]
        elif line.startswith("#"):
            yield "heading", [line]
        elif not line.strip():
            yield "blank", [line]
        elif not line.startswith("<!--"):
            while at < len(lines) and lines[at].strip() and not re.match(r" *(?:[-*]|\d+\.) |[|#]|```|<!--", lines[at]):
                at += 1
            yield "text", lines[start:at]


def _plain(text: str) -> str:
    """Text without Markdown's marks: a link to a page names the command that reads it, a picture its file."""
    text = re.sub(r"!\[([^]]*)\]\((?:\.\./)*([^)]*)\)", r"[picture: \1, \2]", text)
    text = re.sub(r"\[([^]]*)\]\((?:\.\./)?((?:book/)?[\w-]+)\.md(?:#[\w-]*)?\)", _page_link, text)
    text = re.sub(r"\[([^]]*)\]\((?:\.\./)*([^)]*)\)", r"\1 (\2)", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"\1", text)
    return re.sub(r"(?<![\w*`])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])", r"\1", text)


def _page_link(link: re.Match) -> str:
    chapter = re.fullmatch(r"(?:book/)?(\d\d)-[\w-]+", link[2])
    command = f"`minigan docs book/{int(chapter[1])}`" if chapter else f"`minigan docs {link[2]}`"
    return command if link[1] == link[2] else f"{link[1]} ({command})"


def _wrapped(text: str, width: int, lead: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(lines: list[str], width: int) -> Iterator[str]:
    """The rows in columns; where they are wider than the width, the widest columns are wrapped."""
    rows = [[_plain(cell.strip()).replace("\\|", "|") for cell in _cells(line)] for line in lines]
    rows = [row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    count = max(map(len, rows))
    rows = [row + [""] * (count - len(row)) for row in rows]
    wide = [max(len(row[c]) for row in rows) for c in range(count)]
    least = [max([len(word) for row in rows for word in row[c].split()], default=0) for c in range(count)]
    while sum(wide) + 2 * (count - 1) > width:
        loose = [c for c in range(count) if wide[c] > least[c]]
        if not loose:
            break
        wide[max(loose, key=lambda c: wide[c])] -= 1
    cells_of = [[_wrapped(cell, max(1, w)) or [""] for cell, w in zip(row, wide, strict=True)] for row in rows]
    gaps = any(len(cell) > 1 for cells in cells_of[1:] for cell in cells)  # a blank line shows where a row ends
    for number, cells in enumerate(cells_of):
        if gaps and number > 1:
            yield ""
        for k in range(max(map(len, cells))):
            line = (f"{cell[k] if k < len(cell) else '':<{w}}" for cell, w in zip(cells, wide, strict=True))
            yield "  ".join(line).rstrip()
        if number == 0:
            yield "  ".join("-" * w for w in wide)


def _cells(line: str) -> list[str]:
    """The cells of a row of a table; a bar behind a backslash belongs to its cell."""
    return re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
