"""Every number that an example prints is right by theory, and every picture that it draws names its axes."""

import importlib.util
import re
from pathlib import Path

import pytest
from example import example
from laws import LAWS
from matplotlib.figure import Figure
from pictures import named_axes, unnamed_axes
from PIL import Image
from printed import between, check, near

from minigan import cudasim

FOLDER = Path(importlib.util.find_spec("minigan.examples").origin).parent
ELSEWHERE = {
    "03_wgan_gp": "trains on images",
    "04_dcgan": "trains on images",
    "27_tricks_measured": "test_examples.py",
    "40_ring": "test_examples.py",
    "41_tricks_against_collapse": "test_examples.py",
    "50_cudasim_race": "below",
}
"""Examples below 60 whose figures are not in the table."""


@pytest.mark.parametrize(
    ("name", "law"),
    [pytest.param(n, law, marks=pytest.mark.slow if law.slow else (), id=" ".join([n, *law.args])) for n, law in LAWS],
)
def test_every_figure_is_theory_s(name, law, tmp_path):
    """The whole output, line by line; and a picture, all of whose axes have names, where the example draws one."""
    device = ["--device", "cpu"] if "device_option" in (FOLDER / f"{name}.py").read_text() else []
    with named_axes() as figures:
        output = example(name, *law.args, *device, cwd=tmp_path)
    check(output, law.rows, law.law)
    pictures = list(tmp_path.glob("*.png"))
    assert len(figures) == len(pictures) == (name > "10")
    for picture in pictures:  # and it is not blank
        with Image.open(picture) as image:
            assert image.size[0] > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 5


@pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
def test_the_race_is_said_where_it_is(tmp_path):
    """Example 50: the messages name a line of the kernel's text where s is read and written, and threads of one block
    whose distance is a power of two below 32, where the barrier is missing."""
    output = example("50_cudasim_race", cwd=tmp_path)
    races = re.findall(r"kernel\.cu:(\d+): .* threads (\d+) and (\d+) of block (\d+) .*kernel\.cu:(\d+)\)", output)
    assert races and all(line == earlier == "8" for line, _, _, _, earlier in races)
    assert all(int(block) < 4 and 0 < abs(int(a) - int(b)) < 32 for _, a, b, block, _ in races)
    rest = [line for line in output.splitlines() if "kernel.cu" not in line]
    order = ("forward", "reverse", "random")
    assert [line for line in rest if line.endswith("checked:")] == [
        f"without the barrier, {o} order, checked:" for o in order
    ]
    assert rest[6:12] == [f"with it, {o} order: the sums are right" for o in order] + [
        f"with it, {o} order, checked: nothing found" for o in order
    ]
    assert rest[12:] == ["Verdict: the race is caught in every order, and gone when fixed."]


def test_no_example_is_left_out():
    """Every example below 60 is in the table, once at least in the routine run, or has a test elsewhere."""
    names = {path.stem for path in FOLDER.glob("[0-5]*.py")}
    routine = {name for name, law in LAWS if not law.slow}
    assert names == routine | ELSEWHERE.keys() and not routine & ELSEWHERE.keys()


# The harness itself.

ROWS = [("a at 1: {} +- {}", 1.23, "spread"), ("b {}", between(0, 1))]


def test_the_harness_takes_what_is_right():
    check("a at 1:  1.23 +- 0.5\nb  1e-3\npicture: x.png\n", ROWS, lambda f: f["spread"].item() < 1)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("a at 1: 1.24 +- 0.5\nb 0.1", "1.24 is not 1.23"),
        ("a at 2: 1.23 +- 0.5\nb 0.1", "expected 'a at 1"),
        ("a at 1: 1.23 +- 0.5\nb 0.1 0.2", "expected 'b {}'"),
        ("a at 1: 1.23 +- 0.5\nb 0.1\nc 3", "no assertion covers line 3"),
        ("a at 1: 1.23 +- 0.5", "1 lines are printed, 2 expected"),
        ("a at 1: 1.23 +- 0.5\nb 2", "between 0 and 1"),
        ("a at 1: 1.23 +- nan\nb 0.1", "spread is nan"),
        ("a at 1: inf +- 0.5\nb 0.1", "inf is not 1.23"),
    ],
)
def test_the_harness_notices(output, message):
    """A wrong number, another text, a further number or line, a line too few, one that is not finite."""
    with pytest.raises(AssertionError, match=message):
        check(output, ROWS, lambda f: f["spread"])


def test_a_named_figure_must_be_read():
    with pytest.raises(AssertionError, match="no assertion covers spread"):
        check("a at 1: 1.23 +- 0.5\nb 0.1", ROWS)
    with pytest.raises(AssertionError, match="2 numbers, 1 expectations"):
        check("x 1 2", [("x {} {}", near(1, 0))])


def test_an_axis_without_a_name_is_noticed():
    figure = Figure()
    left, right, image = figure.subplots(1, 3)
    left.plot([0, 1])
    left.set_xlabel("step")
    right.plot([0, 1])
    right.set_xlabel("step")
    right.set_ylabel("loss")
    image.imshow([[0, 1]])
    image.axis("off")
    figure.canvas.draw()
    assert unnamed_axes(figure) == ["y of panel 0 ('')"]
