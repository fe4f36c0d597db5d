"""What mkdocs is told beside mkdocs.yml: where the pages are, which files of the repository belong to the site, and the
pages of the reference, which are made from the docstrings.

A page links a file outside this folder as the repository does, ../../examples/RESULTS.md. In the site, the same file
lies at examples/RESULTS.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUTSIDE = ("examples/RESULTS.md", "examples/scoreboard.md", "kernels/README.md", "examples/pictures/*.png")


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
    """Links to files outside this folder lead to where the site has them."""
    return re.sub(r"\]\(\.\./\.\./(?=[\w/.-]+\))", "](", markdown)
