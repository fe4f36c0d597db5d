"""The book of minigan/docs/book: its chapters, the code that they quote and run, and one printable page of it all.

A chapter quotes the project's code under a mark, `<!-- source: minigan/ops/act.py Tanh.__doc__ Tanh.vjp -->`, and never
by hand. Its other blocks of Python run from top to bottom in one namespace; a block of text right below one is what it
prints.

python -m minigan.docs.book        brings quotations and outputs up to date, and names the chapters that it changed
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import re
from importlib.resources import files
from pathlib import Path

PACKAGE = Path(str(files("minigan")))
FOLDER = PACKAGE / "docs" / "book"
QUOTATION = re.compile(r"^<!-- source: (\S+) (.+?) -->\n```(\w+)\n.*?^```$", re.DOTALL | re.MULTILINE)
LEARN = re.compile(r"^ *(?:#|//) learn: .*\n", re.MULTILINE)
"""The marks in the sources from which the exercises of `minigan learn` are cut."""
FENCE = re.compile(
    r"(<!-- source: [^\n]*\n)?^```(\w*)\n(.*?)^```$(\n\n```text\n(?:.*?\n)??```$)?", re.DOTALL | re.MULTILINE
)
STYLE = """
body { font: 11pt/1.5 Georgia, serif; max-width: 52em; margin: 2em auto; padding: 0 1em; color: #1b1b22; }
h1 { page-break-before: always; } h1, h2 { font-family: sans-serif; line-height: 1.2; }
pre { font-size: 7.5pt; line-height: 1.35; background: #f5f5f7; padding: .7em 1em; overflow-x: auto;
white-space: pre-wrap; page-break-inside: avoid; } img { max-width: 100%; } table { border-collapse: collapse; }
td, th { border: 1px solid #c8c8d0; padding: .2em .6em; text-align: left; }
pre:has(.language-text) { border-left: 3px solid #117a5d; } @media print { body { margin: 0; } }
"""


def chapters() -> dict[int, Path]:
    """The files of the chapters by number."""
    return {int(path.name[:2]): path for path in sorted(FOLDER.glob("[0-9][0-9]-*.md"))}


def refreshed(text: str, name: str = "chapter") -> str:
    """The text of a chapter with every quotation and every output as it should be."""
    return _with_outputs(QUOTATION.sub(_quoted, text), name)


def quotation(path: str, names: list[str]) -> str:
    """The definitions called `names` in the file `path`: functions, classes, constants, CUDA functions.

    Class.method stands below the first line of its class, Class.__doc__ is the class's docstring. Raises LookupError
    if there is no such name. The marks of exercises are left out.
    """
    root = PACKAGE if (PACKAGE / path).exists() else PACKAGE.parent
    source = (root / path).read_text(encoding="utf-8")
    find = _python if path.endswith(".py") else _c
    parts, open_class, after_doc = [], None, False
    for name in names:
        owner, _, member = name.rpartition(".")
        if owner and owner != open_class:
            parts.append(("\n\n" if parts else "") + find(source, owner, path).split(":\n")[0] + ":\n")
        elif parts:
            parts.append("\n\n" if not owner else "\n    ...\n\n" if after_doc else "\n")
        parts.append(find(source, name, path) + "\n")
        if owner and member != "__doc__" and owner != open_class:
            parts.insert(-1, "    ...\n\n")
        open_class, after_doc = owner, member == "__doc__"
    return LEARN.sub("", "".join(parts))


def _quoted(mark: re.Match) -> str:
    path, names, language = mark.groups()
    return f"<!-- source: {path} {names} -->\n```{language}\n{quotation(path, names.split())}```"


def _python(source: str, name: str, path: str) -> str:
    """The lines of a definition, indented as they are."""
    node: ast.AST = ast.parse(source)
    for word in name.split("."):
        if word == "__doc__":
            node = node.body[0]
            break
        node = next((child for child in node.body if word in _names(child)), None)
        if node is None:
            raise LookupError(f"{path} defines no {name}")
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def _names(node: ast.AST) -> list[str]:
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [getattr(node, "name", ""), *(getattr(target, "id", "") for target in targets)]


def _c(source: str, name: str, path: str) -> str:
    """A function of C or CUDA with the comment above it: up to the brace in the first column."""
    match = re.search(rf"^(?:\S[^\n]*\n)*?[^\n]*\b{name}\(.*?^}}", source, re.DOTALL | re.MULTILINE)
    if match is None:
        raise LookupError(f"{path} defines no {name}")
    return match[0]


def _with_outputs(text: str, name: str) -> str:
    """The text with what each block of Python prints in the block of text below it; a quotation is not run."""
    names = {"__name__": name}

    def run(block: re.Match) -> str:
        mark, language, code, output = block.groups()
        if mark or language != "python":
            return block[0]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            above = "\n" * text.count("\n", 0, block.start(3))  # so that an error names the line of the chapter
            exec(compile(above + code, f"{name}.md", "exec"), names)
        source = block[0].removesuffix(output or "")
        return f"{source}\n\n```text\n{printed.getvalue()}```" if printed.getvalue() else source

    return FENCE.sub(run, text)


def with_sources(text: str) -> str:
    """The text with a line above each quotation that says which file it is from, in place of the mark."""
    return re.sub(r"^<!-- source: (\S+) .*-->$", r"From `\1`:\n", text, flags=re.MULTILINE)


def printable() -> str:
    """The whole book as one page of HTML that needs no other file: pictures inside, links between chapters kept.

    Raises ImportError, saying what to install, without the package `markdown`.
    """
    try:
        import markdown
    except ImportError:
        raise ImportError('docs --html needs the package markdown: pip install "minigan[docs]"') from None
    pages = {"book": PACKAGE / "docs" / "book.md"}
    pages |= {path.stem: path for path in chapters().values()}
    pages["glossary"] = PACKAGE / "docs" / "glossary.md"
    bodies = []
    for name, path in pages.items():
        text = re.sub(
            r"\]\((?:[\w./-]*/)?([\w-]+)\.md(?:#[\w-]*)?\)", r"](#\1)", with_sources(path.read_text(encoding="utf-8"))
        )
        text = re.sub(
            r"\[([^]]*)\]\(#([\w-]+)\)", lambda m: m[0] if m[2] in pages else f"{m[1]} (`minigan docs {m[2]}`)", text
        )
        body = markdown.markdown(text, extensions=["fenced_code", "tables"])
        body = re.sub(r'src="([^"]+)"', lambda m, path=path: f'src="{_data_url(path.parent, m[1])}"', body)
        bodies.append(f'<section id="{name}">\n{body}\n</section>')
    head = f'<meta charset="utf-8"><title>The book of minigan</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(bodies) + "\n</body></html>\n"


def _data_url(folder: Path, target: str) -> str:
    """A picture as a data URL. In a package that is installed, examples/ lies inside it."""
    path = folder / target
    path = path if path.exists() else PACKAGE / target.lstrip("./")
    kind = {".svg": "svg+xml"}.get(path.suffix, path.suffix[1:])
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def main() -> None:
    """Bring every chapter up to date."""
    for path in chapters().values():
        text = path.read_text(encoding="utf-8")
        new = refreshed(text, path.stem)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"changed: {path.name}")


if __name__ == "__main__":
    main()
