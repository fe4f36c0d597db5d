"""Every page that minigan writes, read by axe-core in light and dark: names for controls, contrast, landmarks, keys."""

import pytest
from browser import RULES, axe
from click.testing import CliRunner

from minigan.cli import main

STEP = """
import minigan as mg
def loss():
    return (mg.ones(2, 2).requires_grad_().tanh() ** 2).sum()
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder with the pages, by name."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "step.py").write_text(STEP)
    run = str(folder / "run")
    small = ["--base", "2", "--batch-size", "4", "--steps", "2", "--no-report"]
    for words in (
        ["train", "dcgan", *small, "--out", run],
        ["lab", "-o", str(folder / "lab.html")],
        ["graph", f"{folder / 'step.py'}:loss", "-o", str(folder / "graph.html")],
        ["report", run, "-o", str(folder / "report.html")],
        ["export", "page", run, "-o", str(folder / "generator.html")],
    ):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["lab", "graph", "report", "generator"])
def test_axe_finds_nothing(name, dark, pages, browser):
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    browser.size(1440, 900, dark)
    browser.open((pages / f"{name}.html").as_uri())
    browser.js(f"{axe()};0")
    assert browser.call(RULES) == []


def test_axe_finds_what_is_wrong(tmp_path, browser):
    """A button without a name, grey text on grey."""
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    page = tmp_path / "wrong.html"
    page.write_text(
        '<!doctype html><html lang="en"><title>x</title><main><h1>x</h1><button></button>'
        '<p style="color: #999; background: #aaa">grey</p></main></html>'
    )
    browser.open(page.as_uri())
    browser.js(f"{axe()};0")
    assert [line.split(":")[0] for line in browser.call(RULES)] == ["button-name", "color-contrast"]
