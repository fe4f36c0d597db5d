"""The path through the code that the README names: at most 8 steps and 1,500 lines, with the line counts it states."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.search(r"<!-- spine -->\n(.*?)<!-- /spine -->", (ROOT / "README.md").read_text(), re.DOTALL)[1]


def parts() -> list[tuple[str, str]]:
    """(file, its lines as the table states them) in the table's order; two files of one step each have their own."""
    pairs = []
    for row in TABLE.strip().splitlines()[2:]:
        name, _, lines = (cell.strip() for cell in row.strip("|").split("|"))
        files, counts = re.findall(r"`([\w/.]+)`", name), lines.split(", ")
        assert len(files) == len(counts), row
        pairs += zip(files, counts, strict=True)
    return pairs


def test_the_path_is_short():
    total = sum(int(lines.split("-")[-1]) for _, lines in parts())
    assert len(TABLE.strip().splitlines()) - 2 <= 8
    assert total <= 1500, f"the path has {total} lines: something on it grew a second subject"


@pytest.mark.parametrize(("path", "lines"), parts())
def test_the_line_counts_are_true(path, lines):
    """A whole file has as many lines as it says; a part ends where the next subject of the file begins."""
    text = (ROOT / path).read_text().splitlines()
    if "-" not in lines:
        assert len(text) == int(lines), f"README's path says {lines} lines of {path}, it has {len(text)}"
        return
    last = int(lines.split("-")[1])
    following = [line for line in text[last:] if line.strip()]
    assert text[last - 1].strip() and not text[last].strip(), f"{path}: line {last} is not the last of its part"
    assert following and not following[0].startswith((" ", "}")), f"{path}: line {last} is inside something"


def test_the_parts_hold_what_they_promise():
    names = {
        "minigan/ops/conv.py": ["class Conv(", "class ConvInput(", "class ConvWeight("],
        "minigan/ops/act.py": ["class LeakyRelu(", "class LeakyReluGrad(", "class Tanh(", "class TanhGrad("],
        "kernels/conv_loops.py": ["def forward_rows", "def input_rows", "def weight_rows"],
        "kernels/conv.cu": ["forward_rows_kernel(", "input_rows_kernel(", "weight_rows_kernel("],
    }
    ends = {path: int(lines.split("-")[-1]) for path, lines in parts()}
    for path, promised in names.items():
        text = "\n".join((ROOT / path).read_text().splitlines()[: ends[path]])
        assert not [name for name in promised if name not in text], path
