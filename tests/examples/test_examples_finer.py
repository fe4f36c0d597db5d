"""The examples of finer images and of next frames (93 to 95) run in a quick setting, and what they show is so."""

import re

import pytest
from example import example
from PIL import Image

N = r"([-+]?\d[\d.]*)"
SHOWS = {
    "93_lapgan": rf"themselves to \de[-+]\d\d\n(.|\n)*level 32: gradient energy {N} enlarged, {N} sharpened, real 0\.",
    "94_super_resolution": rf"lanczos +PSNR 15\.88 dB(.|\n)*GAN +PSNR {N} dB(.|\n)*squared error +PSNR {N} dB",
    "95_next_frame": rf"straight on, linear +0\.00 pixels and 0\.0000 from(.|\n)*at a bounce, GAN +{N} pixels",
}


@pytest.mark.parametrize("name", SHOWS)
def test_runs_and_draws(name, tmp_path):
    """A few steps: a sheet that is not blank, and the observable's words."""
    output = example(name, "--steps", "2", "--device", "cpu", cwd=tmp_path)
    assert re.search(r"step +2 ", output) and re.search(SHOWS[name], output), output
    assert not re.search(r"\b(nan|inf)\b", output), output
    (picture,) = tmp_path.glob("*.png")
    with Image.open(picture) as image:
        assert image.size[0] > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_squared_error_wins_decibels_and_the_gan_sharpness(tmp_path):
    """Example 94: both beat Lanczos by 2 dB; the twin has the better PSNR, the GAN the gradient energy and the
    spectrum."""
    output = example("94_super_resolution", cwd=tmp_path)
    rows = {
        name: [
            float(x)
            for x in re.search(rf"^{name} +PSNR +{N} dB.*energy +{N}%.*spectrum +{N} dB", output, re.M).groups()
        ]
        for name in ("lanczos", "GAN", "squared error")
    }
    assert rows["squared error"][0] > rows["GAN"][0] > rows["lanczos"][0] + 2
    assert rows["GAN"][1] > rows["squared error"][1] + 10 and rows["GAN"][2] < rows["squared error"][2]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_at_a_bounce_the_squared_error_is_the_mean_and_the_gan_is_sharp(tmp_path):
    """Example 95: less than half of the gradient energy, and nearer to the mean of all futures than the GAN, which is
    nearer to one of them."""
    output = example("95_next_frame", cwd=tmp_path)
    rows = {
        name: [
            float(x)
            for x in re.search(
                rf"at a bounce, {name} +{N} pixels and {N} from the nearest.*energy +{N}% +{N} from the mean", output
            ).groups()
        ]
        for name in ("copy", "GAN", "squared error")
    }
    gan, twin = rows["GAN"], rows["squared error"]
    assert twin[2] < 50 < gan[2] and twin[3] < gan[3]
    assert gan[0] < rows["copy"][0] and gan[1] < rows["copy"][1]
