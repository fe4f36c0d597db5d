"""The pages for a newcomer are true: every block prints what stands below it, every number by hand is the engine's,
every command and file exists, and the pictures say what the pages say."""

import ast
import contextlib
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigan as mg
from minigan import functional as F
from minigan.docs import figures

DOCS = Path(figures.__file__).parent
ROOT = DOCS.parent.parent
PAGES = ("first-hour.md", "penalty-by-hand.md", "glossary.md")
HAND = (DOCS / "penalty-by-hand.md").read_text()
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES[:2])
def test_blocks_print_what_the_page_says(page):
    """Every Python block, in order, in one namespace; the text block right below it is its output, and one that prints
    has such a block."""
    text = (DOCS / page).read_text()
    names, count = {"__name__": "page"}, 0
    blocks = list(FENCE.finditer(text))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block[1] != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block[2], page, "exec"), names)
        below = after is not None and after[1] == "text" and not text[block.end() : after.start()].strip()
        assert printed.getvalue() == (after[2] if below else "")
        count += 1
    assert count >= 4


# The numbers by hand.


def by_hand() -> list[str]:
    """The lines of the calculation: those of the blocks in no language."""
    return [line for language, block in FENCE.findall(HAND) if not language for line in block.splitlines()]


def numbers(start: str, lines: int = 1, of: str = r"\(([^()]*)\)") -> np.ndarray:
    """The numbers of the last bracket (or of the last match of `of`) in the lines from the one that begins with
    `start`."""
    rows = by_hand()
    (place,) = [i for i, row in enumerate(rows) if row.startswith(start)]
    found = re.findall(of, " ".join(rows[place : place + lines]))
    return np.array([float(n) for n in re.split(r"[,\s]+", found[-1])])


def matrix(rows: tuple[str, str]) -> np.ndarray:
    """A 2x2 matrix from the last square bracket of two lines."""
    return np.array([[float(n) for n in re.findall(r"\[([^\[\]]*)\]", row)[-1].split()] for row in rows])


LAST = r"= +(-?[\d.]+)(?= |$)"


def test_numbers_by_hand_are_the_engine_s():
    """All values, slopes, cotangents and derivatives on the page, by mg.grad and the penalty's by differences too."""
    rows = by_hand()
    (w,) = [i for i, row in enumerate(rows) if row.startswith("a = W x + b ")]
    W, x, v = matrix((rows[w].split("b = (")[0], rows[w + 1])), numbers("a = W x + b "), numbers("f = v · h ")
    b = np.array(ast.literal_eval(re.search(r"b = (\([^()]*\))", rows[w])[1]), float)
    tensors = [mg.tensor(n, dtype=mg.float64, requires_grad=True) for n in (x, W, b, v)]
    tx, tw, tb, tv = tensors
    a = tw @ tx + tb
    h = F.leaky_relu(a, 0.2)
    f = tv @ h
    dh, du, s = mg.grad(f, [h, a, tx], create_graph=True)
    length = s.norm()
    penalty = (length - 1) ** 2
    pulls = mg.grad(penalty, [length, s, du, tw, tv, tb, tx])
    (place,) = [i for i, row in enumerate(rows) if row.startswith("dP/dW")]
    on_page = {
        "a": (numbers("a   ="), a),
        "h": (numbers("h   ="), h),
        "f": (numbers("f   =", of=LAST), f),
        "df/dh": (numbers("through f = v · h"), dh),
        "u": (numbers("through h = leaky(a)"), du),
        "s": (numbers("through a = W x + b", 2), s),
        "|s|": (numbers("|s|", of=LAST), length),
        "P": (numbers("P   =", of=LAST), penalty),
        "dP/d|s|": (numbers("through P", of=LAST), pulls[0]),
        "c": (numbers("through |s|", 2), pulls[1]),
        "e": (numbers("dP/du", 2), pulls[2]),
        "dP/dW": (matrix(rows[place : place + 2]), pulls[3]),
        "dP/dv": (numbers("dP/dv"), pulls[4]),
    }
    for name, (page, engine) in on_page.items():
        np.testing.assert_allclose(page, engine.detach().numpy().reshape(page.shape), rtol=1e-12, err_msg=name)
    assert pulls[5:] == (None, None) and "dP/db : no way" in HAND and "dP/dx : no way" in HAND

    def value(W, v):
        d = np.where(W @ x + b > 0, 1.0, 0.2)
        return (np.linalg.norm(W.T @ (d * v)) - 1) ** 2

    for name, array, f in (("dP/dW", W, lambda n: value(n, v)), ("dP/dv", v, lambda n: value(W, n))):
        steps = [1e-6 * np.eye(array.size)[i].reshape(array.shape) for i in range(array.size)]
        slopes = np.array([(f(array + e) - f(array - e)) / 2e-6 for e in steps]).reshape(array.shape)
        np.testing.assert_allclose(on_page[name][0], slopes, rtol=1e-7, err_msg=name)


def test_every_sum_on_paper_is_right():
    """Wherever a line says 'arithmetic = arithmetic', both sides are equal."""
    checked = 0
    for line in by_hand():
        values = []
        for side in re.split(r"\s=\s", line):
            side = side.strip().removeprefix("= ").replace("·", "*").replace("²", "**2").replace("√", "sqrt")
            if re.fullmatch(r"[-+*/()\d., ]+|sqrt[-+*/()\d., ]+", side):
                values.append(np.array(eval(side, {"sqrt": math.sqrt}), float))
        checked += len(values) > 1
        for value in values[1:]:
            np.testing.assert_allclose(value, values[0], rtol=1e-12, err_msg=line)
    assert checked >= 10


def test_the_graph_shows_the_page_s_numbers():
    """Each bracket in the picture of the penalty stands on the page, and no number of it is missing there."""
    (axis,) = figures.penalty_graph().axes
    texts = " ".join(t.get_text().replace("−", "-") for t in axis.texts)
    brackets = re.findall(r"\(-?[\d.]+, -?[\d.]+\)", texts)
    assert len(brackets) >= 10
    assert [b for b in brackets if b not in HAND] == []
    assert "(9.6, 12.8; 4.8, 6.4)" in texts and "[[9.6, 12.8], [4.8, 6.4]]" in HAND


# Pictures, commands, files.


def test_networks_are_drawn_as_they_are():
    """The shapes of networks.svg are those of `minigan train`'s networks, layer by layer, the counts of weights too."""
    from minigan.gan.networks import DCGANCritic, DCGANGenerator

    (axis,) = figures.networks().axes
    texts = " ".join(t.get_text() for t in axis.texts)
    x = mg.randn(1, 100)
    for network, stages in ((DCGANGenerator(base=32), figures.GENERATOR), (DCGANCritic(base=32), figures.CRITIC)):
        shapes, y = [], x.reshape(1, 100, 1, 1) if network.__class__ is DCGANGenerator else x
        shapes.append(y.shape[1:])
        for layer in network.main:
            y = layer(y)
            shapes.append(y.shape[1:])
        x = y  # the critic sees the generator's image
        assert list(dict.fromkeys(shapes)) == [(channels, size, size) for _, channels, size in stages]
        assert f"{sum(p.data.size for p in network.parameters()):,} weights" in texts


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_exist(page):
    """Every link of the page that is a file, and every picture, which is wide enough to be read."""
    for link in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text()):
        path = DOCS / link
        assert path.is_file(), link
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.size[0] > 800
        if path.suffix == ".svg":
            assert "<svg" in path.read_text()[:1000]


def test_figures_are_drawn_by_their_command(tmp_path, monkeypatch, capsys):
    """`python -m minigan.docs.figures` draws both graphs; with one folder it says what it wants."""
    monkeypatch.setattr(figures, "PICTURES", tmp_path)
    figures.main([])
    assert {p.name for p in tmp_path.iterdir()} == {"networks.svg", "penalty-graph.svg"}
    with pytest.raises(SystemExit):
        figures.main(["normal"])
    assert "two run folders" in capsys.readouterr().err


def test_pictures_of_runs_are_drawn(tmp_path, monkeypatch):
    """training.png and trouble.png from two run folders."""
    for name in ("normal", "no-penalty"):
        (tmp_path / name).mkdir()
        for sheet in ("fakes_init", "fakes000250", "fakes000500", "reals"):
            Image.fromarray(np.full((530, 530), 90, np.uint8)).save(tmp_path / name / f"{sheet}.png")
        rows = [f'{{"step": {n}, "critic_estimate": {300 - n}, "gradient_norm": 1.1}}' for n in (25, 250, 500)]
        (tmp_path / name / "stats.jsonl").write_text("\n".join(rows))
    monkeypatch.setattr(figures, "PICTURES", tmp_path / "pictures")
    figures.main([str(tmp_path / "normal"), str(tmp_path / "no-penalty")])
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {"training.png", "trouble.png"}


def commands() -> list[str]:
    """Every `minigan ...` of the pages, in blocks and in sentences."""
    text = "".join((DOCS / page).read_text() for page in PAGES)
    blocks = [line for kind, block in FENCE.findall(text) if kind == "sh" for line in block.splitlines()]
    return sorted({*blocks, *re.findall(r"`(minigan [^`]+)`", FENCE.sub("", text))})


@pytest.mark.parametrize("command", commands())
def test_commands_exist(command, tmp_path):
    """A new training is planned as it stands, with -n; of any other command the name and the options are known."""
    _, name, *words = command.split()
    run = [sys.executable, "-m", "minigan", name]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    new = name == "train" and "--resume" not in words
    arguments = [*words, "-n"] if new else ["--help"]
    done = subprocess.run([*run, *arguments], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    if not new:
        known = re.findall(r"(?<![\w-])--?\w[\w-]*", done.stdout)
        assert [w for w in words if w.startswith("-") and w not in known] == []


def test_the_numbers_of_the_runs_agree_on_the_page():
    """What a sentence of first-hour.md says of a run stands in the lines of the run."""
    text = (DOCS / "first-hour.md").read_text()
    (first, *_, last) = re.findall(r"step +\d+/500 .*d_loss (\S+)  critic_estimate (\S+)", text)
    assert all(float(d) == -float(estimate) for d, estimate in (first, last))
    shares = re.findall(r"([\d.]+)% of 5000 samples", text)
    assert len(shares) == 3 and f"{shares[0]} % of the samples convince it" in text


GLOSSARY = re.findall(r"^\*\*(.+?)\*\*(.*?)(?=^\*\*|^## |\Z)", (DOCS / "glossary.md").read_text(), re.M | re.DOTALL)


def test_the_glossary_is_in_order():
    """Each part by the alphabet; each term once; one to four sentences."""
    parts = (DOCS / "glossary.md").read_text().split("\n## ")[1:]
    assert len(parts) == 4 and len(GLOSSARY) > 80
    for part in parts:
        terms = [re.sub(r"[^a-z ]", "", t.lower()) for t in re.findall(r"^\*\*(.+?)\*\*", part, re.M)]
        assert terms == sorted(terms)
    assert len({term for term, _ in GLOSSARY}) == len(GLOSSARY)
    for term, text in GLOSSARY:
        assert 1 <= len(re.findall(r"[.:?](?=\s)", text)) <= 5, term


@pytest.mark.parametrize(("term", "text"), GLOSSARY, ids=[term for term, _ in GLOSSARY])
def test_the_glossary_s_files_exist(term, text):
    """Every file that a term names."""
    for path in re.findall(r"`((?:minigan|kernels)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path


def test_what_the_scalar_engine_lacks_is_where_it_says():
    """Each row of the list at the end of example 00 names a file, and names that stand in it."""
    source = (ROOT / "examples" / "00_scalar_engine.py").read_text()
    rows = re.findall(r"^# {3}\S.*? {2,}([\w./]+\.py) {2,}(.+)$", source, re.M)
    assert len(rows) == len(re.findall(r"^# {3}", source, re.M)) >= 10
    for path, names in rows:
        text = (ROOT / path).read_text()
        assert [n for n in names.split(", ") if not re.search(rf"\b{n}\b", text)] == [], path


@pytest.mark.parametrize("page", ["first-hour.md", "penalty-by-hand.md"])
def test_paths_on_the_pages_exist(page):
    """Every path in backticks."""
    paths = re.findall(r"`((?:minigan|kernels|examples)/[\w./]*)`", (DOCS / page).read_text())
    assert [p for p in paths if not (ROOT / p).exists()] == []
