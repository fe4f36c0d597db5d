"""The README is true: its tour runs, its commands and files exist, and CI runs its test command."""

import re
from pathlib import Path

import numpy as np
import pytest

from minigan import cudasim
from minigan.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_tour_runs(capsys):
    """The Python blocks, executed in order as they stand: the first prints an error far below a wrong derivative's, the
    second the losses of three captured steps, the third a sum of 1,000 twos (it needs g++)."""
    names = {}
    printed = []
    for tour in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        if "cudasim" in tour and not cudasim.available():
            continue
        exec(compile(tour, "README.md", "exec"), names)
        printed.append([float(line) for line in capsys.readouterr().out.split()])
    assert names["h"].tolist() == [6.0, 12.0]
    (error,), losses, *simulated = printed
    assert simulated in ([], [[2000.0]])
    assert error < 1e-6
    assert len(losses) == 3 and all(np.isfinite(losses))


def test_commands_exist():
    """Every `minigan COMMAND` in the README is one."""
    named = set(re.findall(r"`minigan ([a-z]+)", README))
    assert named <= set(main.commands) and {"train", "gradcheck", "data"} <= named


def test_files_exist():
    """Every path in backticks, and every picture, is in the checkout."""
    paths = re.findall(r"`((?:minigan|kernels|examples|tests)/[\w./]*)`", README) + re.findall(
        r"\]\(([\w./]+)\)", README
    )
    assert len(paths) > 8
    assert [p for p in paths if not (ROOT / p).exists()] == []


@pytest.mark.parametrize("marker", ["install-and-train", "install-and-test"])
def test_ci_takes_its_commands_from_the_readme(marker):
    """One command stands after each marker, and .ci/run reads it from there."""
    (block,) = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert "\n" not in block
    assert f"command_of {marker}" in (ROOT / ".ci" / "run").read_text()
