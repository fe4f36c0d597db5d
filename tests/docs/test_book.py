"""The book is true: quotations are the source's, blocks print what stands below them, every picture has its command,
and the book can be read in a terminal and printed."""

import inspect
import json
import re
import sys
from importlib import import_module
from itertools import pairwise

import pytest
from click.testing import CliRunner
from page_texts import CHAPTERS, FOLDER, PROJECT, TEXTS

from minigan import cudasim
from minigan.cli import main
from minigan.docs import book
from minigan.ops.act import LeakyRelu
from minigan.ops.basic import sum_to

CONTENTS = TEXTS["book"]


def call(*words: str):
    return CliRunner().invoke(main, ["docs", *words], catch_exceptions=False, env={"COLUMNS": "100"})


def unmarked(definition) -> str:
    """The source as Python has it, without the marks of exercises."""
    lines = inspect.getsource(definition).splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith("# learn: "))


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_is_up_to_date(name, tmp_path, monkeypatch):
    """Its quotations and its outputs; `python -m minigan.docs.book` mends a chapter that is not."""
    if "cudasim" in TEXTS[name] and not cudasim.available():
        pytest.skip("needs g++")
    monkeypatch.chdir(tmp_path)
    assert book.refreshed(TEXTS[name], name) == TEXTS[name]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_its_parts(name):
    """A title with its number, the question, code, what goes wrong, exercises with answers, lines that can be read."""
    text = TEXTS[name]
    assert text.startswith(f"# {int(name[5:7])}. ") and re.match(r"\*[^*]+\?\*$", text.split("\n\n")[1], re.DOTALL)
    assert "<!-- source: " in text and "```python\n" in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert "What goes wrong" in headings and headings[-1] == "Exercises"
    questions, answers = text.split("## Exercises")[1].split("**Answers.**")
    numbers = re.findall(r"^(\d)\. ", questions, re.MULTILINE)
    assert 2 <= len(numbers) <= 3 and all(re.search(rf"(^|\s){n}\. ", answers) for n in numbers)
    unquoted = book.QUOTATION.sub("", text)
    assert [line for line in unquoted.splitlines() if len(line) > 125 and "](" not in line] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_picture_stands_above_its_command(name):
    blocks = TEXTS[name].split("\n\n")
    for block, below in pairwise(blocks):
        assert not block.startswith("![") or re.search(r"`(python -m|minigan) [^`]+`", below), block


def test_the_contents_name_every_chapter_in_order():
    """On the page `book` and in the site's navigation, by the titles of the chapters."""
    links = re.findall(r"^- \[(.*)\]\((book/[\w-]+)\.md\)$", CONTENTS, re.MULTILINE)
    assert [name for _, name in links] == list(CHAPTERS)
    assert [title for title, _ in links] == [TEXTS[name].split("\n")[0].lstrip("# ") for _, name in links]
    navigation = re.findall(r"- (book/[\w-]+)\.md$", (FOLDER / "mkdocs.yml").read_text(), re.MULTILINE)
    assert navigation == list(CHAPTERS)


@pytest.mark.parametrize("word", ["book/1", "book/01", "book/01-one-number"])
def test_a_chapter_is_shown_by_its_number(word):
    result = call(word)
    assert result.output.startswith("1. A scalar that remembers\n===") and "](" not in result.output
    assert "source:" not in result.output and "From `examples/00_scalar_engine.py`:\n" in result.output
    assert json.loads(call(word, "--json").output.splitlines()[-1])["name"] == "book/01-one-number"


def test_links_between_chapters_name_the_command():
    assert "A scalar that remembers (`minigan docs book/1`)" in call("book").output
    assert "(`minigan docs book/" in call("book/1").output


def test_an_unknown_chapter_is_one_clear_error():
    for word in ("book/99", "book/", "book/x"):
        result = call(word)
        assert result.exit_code == 2 and "unknown page" in result.output and result.output.count("Error") == 1


def test_quotations_are_the_source_s():
    """Functions and classes as inspect has them; a method below its class's first line; C to its closing brace."""
    assert book.quotation("minigan/ops/basic.py", ["sum_to"]) == unmarked(sum_to)
    assert book.quotation("minigan/ops/act.py", ["LeakyRelu"]) == unmarked(LeakyRelu)
    assert "learn:" not in book.quotation("minigan/ops/basic.py", ["SumTo"])
    method = book.quotation("minigan/ops/act.py", ["LeakyRelu.vjp"])
    assert method == "class LeakyRelu(Op):\n    ...\n\n" + unmarked(LeakyRelu.vjp)
    kernel = book.quotation("kernels/conv.cu", ["forward_rows_kernel"])
    assert kernel.startswith('extern "C" __global__ void\nforward_rows_kernel(') and kernel.endswith("\n}\n")
    example = import_module("minigan.examples.00_scalar_engine")
    assert book.quotation("examples/00_scalar_engine.py", ["grad"]) == unmarked(example.grad)
    for path in ("minigan/ops/act.py", "kernels/conv.cu"):
        with pytest.raises(LookupError, match=f"{path} defines no Nothing"):
            book.quotation(path, ["Nothing"])


def test_what_is_stale_is_mended():
    """An old quotation and an old output; a chapter that is right stays as it is."""
    text = "<!-- source: minigan/ops/basic.py sum_to -->\n```python\nold\n```\n\n"
    text += "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n"
    new = book.refreshed(text)
    assert inspect.getsource(sum_to) in new and "\nold\n" not in new and "```text\n2\n```" in new
    assert book.refreshed(new) == new
    silent = "```python\nx = 1\n```\n\n```text\nold\n```\n"
    assert "text" not in book.refreshed(silent)


def test_the_book_on_one_page(tmp_path):
    """Every chapter, the pictures inside, every link between chapters leads to one, and nothing of another file."""
    pytest.importorskip("markdown")
    path = tmp_path / "book.html"
    assert call("--html", str(path)).exit_code == 0
    page = path.read_text(encoding="utf-8")
    assert re.findall(r'<section id="(.*?)">', page) == ["book", *(name[5:] for name in CHAPTERS), "glossary"]
    targets = re.findall(r'(?:src|href)="(.*?)"', page)
    outside = [t for t in targets if not t.startswith(("data:image/", "#"))]
    assert outside == [] and not set(re.findall(r'href="#(.*?)"', page)) - set(re.findall(r'id="(.*?)"', page))
    assert "<p>From <code>minigan/ops/norm.py</code>:</p>" in page
    prose = re.sub(r"<pre>.*?</pre>|<code>.*?</code>|<!--.*?-->", "", page, flags=re.DOTALL)
    assert not re.search(r"[*`]", prose.split("</head>")[1]), "a mark of Markdown that does not do what it was to do"


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "markdown", None)
    result = call("--html", str(tmp_path / "book.html"))
    assert result.exit_code == 1 and 'pip install "minigan[docs]"' in result.output
    assert any(row.startswith("markdown") for row in PROJECT["project"]["optional-dependencies"]["docs"])


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path):
    pytest.importorskip("markdown")
    result = call("--html", str(tmp_path / "nowhere" / "book.html"))
    assert result.exit_code == 1 and "nowhere" in result.output and result.output.count("Error") == 1
