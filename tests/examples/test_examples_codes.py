"""The examples of systems with codes and of captions (80 to 89) run in a quick setting, and what they show is so."""

import importlib.util
import re
from pathlib import Path

import pytest
from example import example
from PIL import Image

FOLDER = Path(importlib.util.find_spec("minigan.examples").origin).parent
N = r"([-+]?\d[\d.]*)"
SHOWS = {
    "80_autoencoder": r"come back as their class: [\d.]+%(.|\n)*realistic: random [\d.]+%, GAN [\d.]+%, held_out",
    "81_vae": r"held-out digits: ELBO -[\d.]+ nats = -[\d.]+ - [\d.]+(.|\n)*blur of random codes: gradient energy",
    "82_equal_error": r"squared error: a 2.2500, b 2.2500\nln N.* in nats: a 279.38, b 279.38\n",
    "83_ali": r"1000 held-out images come back(.|\n)*codes against the prior: squared MMD(.|\n)*hole filled: ",
    "89_text_to_image": r"codes are [\d.e-]+ apart(.|\n)*held out of training(.|\n)*image of most .* 0.0% ",
}


def test_none_is_forgotten():
    assert list(SHOWS) == sorted(path.stem for path in FOLDER.glob("8[0-39]_*.py"))


@pytest.mark.parametrize("name", SHOWS)
def test_runs_and_draws(name, tmp_path):
    """A few steps: a sheet that is not blank, and the observable's words."""
    options = [] if name == "82_equal_error" else ["--steps", "3", "--device", "cpu"]
    options += ["--gan-steps", "3"] if name == "80_autoencoder" else []
    output = example(name, *options, cwd=tmp_path)
    assert ("step    3" in output) == bool(options) and re.search(SHOWS[name], output), output
    if name == "82_equal_error":  # equal error, and the lone pixel is the less likely one in nearly all digits
        assert float(re.search(rf"likelier to its neighbours in {N}%", output)[1]) > 90
    (picture,) = tmp_path.glob("*.png")
    with Image.open(picture) as image:
        assert image.size[0] > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_random_codes_look_real_of_a_vae_and_not_of_an_autoencoder(tmp_path):
    """Examples 80 and 81: an autoencoder's random codes look no more real than twice as often as noise does, a VAE's at
    least half as often again as the autoencoder's; both return images as their class."""
    shares = []
    for name, what in (("80_autoencoder", "random"), ("81_vae", "random codes")):
        more = ["--gan-steps", "3"] if name == "80_autoencoder" else []
        output = example(name, *more, cwd=tmp_path)
        shares += [float(x) for x in re.search(rf"realistic: {what} {N}%.*noise {N}%", output).groups()]
        assert float(re.search(rf"come back as their class: {N}%", output)[1]) > 85
    autoencoder, noise, vae, _ = shares
    assert autoencoder < 2 * noise and vae > 1.5 * autoencoder, shares


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ali_returns_digits_and_fills_holes(tmp_path):
    """Example 83: at least 85 % come back as their class, nearer than the nearest training image; a filled hole is
    nearer to what was lost than the mean image. The hole of the nearest training image is better still."""
    output = example("83_ali", cwd=tmp_path)
    share, error = re.search(rf"as their class in {N}%.*squared error {N}\n", output).groups()
    near = re.search(rf"nearest training image [\d.]+%, {N};", output)[1]
    assert float(share) > 85 and float(error.rstrip(".")) < float(near)
    filled, _, mean, _ = (float(x) for x in re.findall(rf"squared error in it {N},", output))
    assert filled < mean
