"""The examples of the plain systems (70 to 75) run in a quick setting, and what they show is so."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from example import example
from PIL import Image

FOLDER = Path(importlib.util.find_spec("minigan.examples").origin).parent
N = r"([-+]?\d[\d.]*)"
# What each prints in its quick setting.
SHOWS = {
    "70_gan_mlp": "classes present",
    "71_lsgan": r"puts out -5.0: least squares -6.000, minimax -0.007",
    "72_hinge_spectral": "largest singular value of each layer of f: ",
    "73_ebgan": r"energy of real images .* the higher of the two in [\d.]+% of pairs",
    "74_residual_wgan_gp": r"W estimate .* mean slope",
    "75_colour_dcgan": r"precision [\d.]+ and recall [\d.]+ of 1000 samples",
}


def test_none_is_forgotten():
    assert list(SHOWS) == sorted(path.stem for path in FOLDER.glob("7*.py"))


@pytest.mark.parametrize("name", SHOWS)
def test_runs_and_draws(name, tmp_path):
    """A few steps: a sheet that is not blank, and the observable's words. Batch norm's running statistics take some
    twenty steps to let anything but grey through."""
    steps = 20 if name in ("71_lsgan", "72_hinge_spectral") else 3
    output = example(name, "--steps", str(steps), "--device", "cpu", cwd=tmp_path)
    assert f"step {steps:4d}" in output and re.search(SHOWS[name], output), output
    (picture,) = tmp_path.glob("*.png")
    with Image.open(picture) as image:
        assert image.size[0] > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ebgan_s_energy_tells_samples_from_held_out_digits(tmp_path):
    """Example 73: a sample's energy is above a held-out digit's in at least 60 % of pairs (the share rises and falls as
    the players gain on each other); every class is there."""
    output = example("73_ebgan", cwd=tmp_path)
    share = float(re.search(rf"the higher of the two in {N}% of pairs", output)[1])
    assert share > 60 and "10 of 10 classes present" in output, output


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_residual_critic_reaches_the_slope_of_its_penalty(tmp_path):
    """Example 74: the slope s, over the last four lines, ends within 0.15 of where the penalty holds it, 1 + W / 20
    with W = estimate / s; and the estimate falls to below half of its first value."""
    output = example("74_residual_wgan_gp", cwd=tmp_path)
    estimate, slope = np.array(
        [[float(x) for x in pair] for pair in re.findall(rf"W estimate +{N} +mean slope {N}", output)]
    ).T
    above = slope - 1 - estimate / slope / 20
    assert abs(above[-4:].mean()) < 0.15 and estimate[-1] < estimate[0] / 2, output


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_avatars_look_real_and_are_covered(tmp_path):
    """Example 75: precision and recall of DCGAN on the avatars, at least 0.7 each."""
    output = example("75_colour_dcgan", cwd=tmp_path)
    precision, recall = (float(re.search(rf"{what} {N}", output)[1]) for what in ("precision", "recall"))
    assert min(precision, recall) >= 0.7, output


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_spectral_critic_stays_at_one(tmp_path):
    """Example 72: after training the largest singular value of each layer is 1, or less than a quarter above it where
    the power iteration lags (never below: it cannot overestimate sigma); no class is lost."""
    output = example("72_hinge_spectral", cwd=tmp_path)
    values = [float(v) for v in output.split("each layer of f: ")[1].splitlines()[0].split()]
    assert len(values) == 4 and all(0.999 < v < 1.25 for v in values) and "10 of 10 classes present" in output, output
