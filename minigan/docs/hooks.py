"""What mkdocs is told beside mkdocs.yml: where the pages are, which files of the repository belong to the site, and the
pages of the reference, which are made from the docstrings.

A page links a file outside this folder as the repository does, ../../examples/RESULTS.md. In the site, the same file
lies at examples/RESULTS.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from griffe import Extension, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUTSIDE = ("examples/*.md", "kernels/README.md", "examples/pictures/*.png")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The pages lie beside this file."""
    config.docs_dir = str(HERE)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files of OUTSIDE, and a page for every reference/MODULE.md that the navigation names."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    text = (HERE / "mkdocs.yml").read_text(encoding="utf-8")
    for module in re.findall(r"- reference/([\w.]+)\.md", text):
        content = f"---\ntitle: {module}\n---\n\n::: {module}\n"
        files.append(File.generated(config, f"reference/{module}.md", content=content))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    """Links to files outside this folder lead to where the site has them; above a quotation stands its file."""
    markdown = re.sub(r"^<!-- source: (\S+) .*-->$", r"From `\1`:\n", markdown, flags=re.MULTILINE)
    return re.sub(r"\]\(((?:\.\./)?)\.\./\.\./(?=[\w/.-]+\))", r"](\1", markdown)


class Docstrings(Extension):
    """Docstrings are written for a terminal: in their prose <u, y> is an inner product and index[i][j] an element, not
    a tag of HTML or a link."""

    def on_object(self, *, obj: Object, **_) -> None:
        """Escapes Markdown's signs in the prose of the object's docstring; code is left as it is."""
        if obj.docstring is not None:
            lines = obj.docstring.value.splitlines()
            obj.docstring.value = "\n".join(line if line.startswith("    ") else _escaped(line) for line in lines)


def _escaped(line: str) -> str:
    parts = line.split("`")
    return "`".join(
        part if k % 2 else re.sub(r"[<\[*]", lambda sign: f"&#{ord(sign[0])};", part) for k, part in enumerate(parts)
    )
