"""The README and the pages are true: their Python runs, their links and paths lead somewhere, and `minigan docs` shows
every page. Their commands are in test_page_commands.py."""

import json
import re
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from page_texts import FENCE, FILES, FOLDER, PAGES, PROJECT, ROOT, TEXTS, prose, spans

import minigan
from minigan import cudasim
from minigan.cli import main


@pytest.mark.parametrize("name", [name for name in ("README", *PAGES) if "```python" in TEXTS[name]])
def test_python_blocks_run(name, tmp_path, monkeypatch, capsys):
    """The Python of a page runs from top to bottom, as a reader would type it."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for language, code in FENCE.findall(TEXTS[name]):
        if language == "python":
            exec(compile(code, FILES[name].name, "exec"), names)
    printed = capsys.readouterr().out
    if name in ("README", "verified"):  # no reference, then orders 1 to 3, each error far below a wrong derivative's
        (errors,) = re.findall(r"^\[None, (.*)\]$", printed, re.MULTILINE)
        assert len(errors.split(", ")) == 3 and all(float(error) < 1e-6 for error in errors.split(", "))
    if name == "README":
        assert names["h"].tolist() == [6.0, 12.0]
        assert all(
            np.isfinite(p.grad.numpy()).all() and p.grad.numpy().any() for p in list(names["critic"].parameters())[::2]
        )
    if name == "design":
        assert len(printed.split()) == 3 and np.isfinite([float(word) for word in printed.split()]).all()
    if name == "cudasim" and cudasim.available():
        assert float(printed) == 2000


def test_the_readme_checks_an_op_at_every_order():
    """A check of order 3 alone compares the third derivative with the second: `check` goes through all of them."""
    assert re.search(r"\bcheck\(.*upto=3\)", TEXTS["README"]) and "check_order" not in TEXTS["README"]


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_pictures_resolve(name):
    """Every link that is no address, every picture, in the repository as it stands."""
    text = prose(TEXTS[name])
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    local = [t.split("#")[0] for t in targets if not t.startswith(("http:", "https:", "#"))]
    assert [t for t in local if not (FILES[name].parent / t).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_paths_exist(name):
    """Every path and every file of Python in backticks is in the repository."""
    paths = [
        p for span in spans(TEXTS[name]) for p in span.split() if re.match(r"(minigan|kernels|examples|tests)/", p)
    ]
    assert [p for p in paths if not list(ROOT.glob(p.rstrip("/,")))] == []
    files = {p.name for folder in ("minigan", "kernels", "examples", "tests") for p in (ROOT / folder).rglob("*.py")}
    assert [s for s in spans(TEXTS[name]) if re.fullmatch(r"\w+\.py", s) and s not in files] == []


def test_the_readme_is_short():
    assert len(TEXTS["README"].splitlines()) <= 150


def test_the_spine_has_at_most_eight_rows():
    (table,) = re.findall(r"<!-- spine -->\n(.*?)<!-- /spine -->", TEXTS["README"], re.DOTALL)
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert 0 < len(rows) <= 8


@pytest.mark.parametrize("marker", ["install-and-train", "install-and-test"])
def test_ci_takes_its_commands_from_the_readme(marker):
    """One command stands after each marker, and .ci/run reads it from there."""
    (block,) = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)\n```", TEXTS["README"], re.DOTALL)
    assert "\n" not in block
    assert f"command_of {marker}" in (ROOT / ".ci" / "run").read_text()


MODULE = sys.modules[main.commands["docs"].callback.__module__]


def call(*words: str, **settings):
    return CliRunner().invoke(main, ["docs", *words], catch_exceptions=False, **settings)


def test_every_page_is_listed_with_its_question():
    """In the terminal, in the index and in the site's navigation; and it begins with the question that it answers."""
    rows = json.loads(call("--json").output.splitlines()[-1])
    assert sorted(row["name"] for row in rows) == PAGES and rows[0]["name"] == "index"
    assert [row["name"] for row in rows if not row["question"].endswith("?")] == []
    navigation = (FOLDER / "mkdocs.yml").read_text()
    assert [name for name in PAGES if not re.search(rf"[ :]{name}\.md$", navigation, re.MULTILINE)] == []
    assert [name for name in PAGES if name != "index" and f"]({name}.md)" not in TEXTS["index"]] == []


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_the_terminal(name, width):
    """Every word is there, no line of text is wider than the terminal, and where the output is no terminal there are no
    escape codes and no pager."""
    output = call(name, env={"COLUMNS": str(width)}).output
    assert "\x1b" not in output
    text = re.sub(r"\]\([^)]*\)|<!--.*?-->", " ", TEXTS[name])
    missing = set(re.findall(r"\w+", text)) - set(re.findall(r"\w+", output))
    assert missing <= {"python", "sh", "cuda", "text"}, missing
    code = {f"    {line}".rstrip() for _, block in FENCE.findall(TEXTS[name]) for line in block.splitlines()}
    wide = [line for line in output.splitlines() if len(line) > min(width, 100) and line not in code]
    assert width < 80 or wide == []


def test_a_table_keeps_its_columns():
    """Cells of a column begin at one place, also where they are wrapped; no cell loses a word."""
    page = "| a | b |\n|---|---|\n| one two three four | x |\n| five | y \\| z |\n"
    assert list(MODULE.layout(page, 14)) == [
        "a        b",
        "-------  -----",
        "one two  x",
        "three",
        "four",
        "",
        "five     y | z",
    ]


@pytest.mark.parametrize("name", FILES)
def test_no_sentence_stands_twice_on_a_page(name):
    """As it does where two authors' versions of a paragraph were joined."""
    sentences = re.split(r"(?<=[.!?]) ", " ".join(prose(TEXTS[name]).split()))
    assert {s for s in sentences if len(s) > 40 and sentences.count(s) > 1} == set()


def test_a_term_of_the_glossary_is_a_paragraph():
    assert not re.search(r"[^\n]\n\*\*[A-Z]", TEXTS["glossary"])


def test_an_unknown_page_is_answered_with_the_nearest():
    result = call("sytems")
    assert result.exit_code == 2
    assert "unknown page 'sytems'; did you mean 'systems'?" in result.output
    assert result.output.count("Error") == 1


@pytest.mark.parametrize("lines", [10, 1000])
def test_a_terminal_gets_bold_headings_and_a_pager_where_the_page_is_longer(lines, monkeypatch, capsys):
    calls = []
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", str(lines))
    monkeypatch.setattr(click, "echo_via_pager", calls.append)
    monkeypatch.setattr(MODULE.sys.stdout, "isatty", lambda: True, raising=False)
    MODULE.docs("systems")
    output = calls[0] if lines == 10 else capsys.readouterr().out
    assert output.startswith("\x1b[1mSystems\x1b[0m\n=======\n")
    assert len(calls) == (lines == 10)


def test_there_is_one_version_number():
    """In minigan/__init__.py, where the build reads it; the changelog begins with it."""
    assert "version" in PROJECT["project"]["dynamic"] and "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "minigan.__version__"}
    assert re.search(r"^## (\S+)", TEXTS["changelog"], re.MULTILINE)[1] == minigan.__version__
    assert minigan.__version__ in CliRunner().invoke(main, ["--version"]).output


def test_the_wheel_carries_the_pages():
    """The pages, their pictures and the site's configuration are data of the package."""
    setuptools = PROJECT["tool"]["setuptools"]
    assert "minigan.docs" in setuptools["packages"]
    patterns = setuptools["package-data"]["minigan.docs"]
    files = [
        p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")
    ]
    assert [f for f in files if not any(Path(f).match(p) for p in patterns)] == []
