"""The examples of DVBPR, vqgan, stacked digits and the robustness grid (96 to 99) run in a quick setting, and what they
show is so."""

import re

import pytest
from example import example
from PIL import Image

N = r"([-+]?\d[\d.]*)"
SHOWS = {
    "96_dvbpr": r"G: 192 -> 48x4x4 -> 48x4x4 -> 48x8x8 -> 48x8x8 -> 24x16x16 -> 12x32x32 -> 1x32x32\nD: 12x16x16 ->"
    r"(.|\n)*pixels differ by [\d.]+ between letters of one class",
    "97_vqgan": r"(squared error [\d.]+ +gradient energy [\d.]+% of the digits' +codebook perplexity(.|\n)*){3}",
    "98_stacked_digits": r"of 1000 in 1000 samples; as many real classes 62\d modes(.|\n)*: noise (.|\n)*PacDCGAN4",
    "99_robustness_grid": r"null model: noise +10 of 10 .*no: confident, realistic(.|\n)*WGAN-GP, tanh .*no: ",
}
OPTIONS = {"96_dvbpr": ["--steps", "20"], "98_stacked_digits": ["--steps", "2", "--count", "1000"]}


@pytest.mark.parametrize("name", SHOWS)
def test_runs_and_draws(name, tmp_path):
    """A few steps: a sheet that is not blank, and the observable's words."""
    output = example(name, *OPTIONS.get(name, ["--steps", "3"]), "--device", "cpu", cwd=tmp_path)
    assert re.search(SHOWS[name], output), output
    assert not re.search(r"\b(nan|inf)\b", output), output
    (picture,) = tmp_path.glob("*.png")
    with Image.open(picture) as image:
        assert image.size[0] > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_critic_makes_what_comes_back_sharp(tmp_path):
    """Example 97: a critic nearly doubles the gradient energy, for a quarter to a third more squared error. Seeds 0 to
    3: 1.80 to 1.99 times the energy, 1.18 to 1.32 times the error."""
    output = example("97_vqgan", cwd=tmp_path)
    rows = re.findall(rf"squared error {N} +gradient energy {N}%", output)
    (error, sharp), *others = [[float(x) for x in row] for row in rows]
    assert len(others) == 2 and all(s > 1.7 * sharp and e < 1.4 * error for e, s in others), output
