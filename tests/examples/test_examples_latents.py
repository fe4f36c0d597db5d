"""The examples of latents (84 to 88) run in a quick setting, and whole they show what they say."""

import importlib.util
import re
from pathlib import Path

import pytest
from example import example
from PIL import Image

FOLDER = Path(importlib.util.find_spec("minigan.examples").origin).parent
QUICK = {
    "84_arithmetic": (["--draws", "60"], r"60 draws: \d+ with a hat, \d+ plain"),
    "85_ascent": (["--count", "4", "--ascent", "2"], r"draws .*\nascent .*\nbest of 2 .*\|z\|/sqrt d"),
    "86_search": (
        ["--chains", "2", "--length", "30", "--learning", "2"],
        r"R leaves .*\nchains: .*\nascent: hat=yes in",
    ),
    "87_edit": (["--count", "2", "--ascent", "2"], r"as it was .*\nthe paint over it +error inside 0.0000, .*\n"),
    "88_entanglement": (["--count", "2"], r"its own latents: [\d.]+ of 7 factors(.|\n)*rotated: [\d.]+ of 7"),
}
N = r"([-+]?[\d.]+)"


def test_none_is_forgotten():
    assert list(QUICK) == sorted(path.stem for path in FOLDER.glob("8[4-8]_*.py"))


@pytest.mark.parametrize("name", QUICK)
def test_runs_and_draws(name, tmp_path):
    """After three steps of training: the observable's words, and a picture where there is something to draw."""
    options, shows = QUICK[name]
    output = example(name, "--steps", "3", *options, cwd=tmp_path)
    assert re.search(shows, output), output
    assert not re.search(r"\b(nan|inf)\b", output), output
    for picture in tmp_path.glob("*.png"):
        with Image.open(picture) as image:
            assert image.size[0] > 50
    assert name == "84_arithmetic" or list(tmp_path.glob("*.png"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whole_they_beat_their_null_models(tmp_path):
    """Arithmetic against a random vector, ascent against random search, a chain's coverage against ascent's, an edit
    against the best of as many draws; and a rotation of the latents is as entangled as they are."""
    shares = re.findall(rf"a hat in {N}%", example("84_arithmetic", cwd=tmp_path))
    assert float(shares[0]) > 20 + float(shares[1])
    draws, ours, null = (float(s) for s in re.findall(rf"reached +{N}%", example("85_ascent", cwd=tmp_path)))
    assert ours > 30 + null >= draws
    chains, climb = (float(s) for s in re.findall(rf"covers {N}%", example("86_search", cwd=tmp_path)))
    assert chains > 3 * climb
    before, _, ours, null = (float(s) for s in re.findall(rf"error inside {N}", example("87_edit", cwd=tmp_path)))
    assert ours < null / 2 < before / 4
    own, rotated = (float(s) for s in re.findall(rf": {N} of 7", example("88_entanglement", cwd=tmp_path)))
    assert abs(own - rotated) < 1.5
