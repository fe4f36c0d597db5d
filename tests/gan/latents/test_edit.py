"""Paint from a PNG, and the samples that follow it."""

import sys

import numpy as np
import pytest
from latent_worlds import SIDE, drawn, world
from PIL import Image

import minigan as mg
from minigan.autograd import Tensor
from minigan.backend import Generator
from minigan.gan.latents import Paint, random_search, read_paint
from minigan.gan.latents.edit import inverted, study


def png(path, mode="RGBA", size=(4, 4), pixels=()):
    image = Image.new(mode, size)
    for place, colour in pixels:
        image.putpixel(place, colour)
    image.save(path)
    return path


def test_paint_is_read_with_its_weight(tmp_path):
    """Colours in [-1, 1] where there is alpha, 0 elsewhere; half an alpha is half a weight; larger ones by block means,
    of which transparent pixels have no colour; grey runs get the lightness."""
    path = png(tmp_path / "a.png", pixels=[((1, 2), (255, 0, 0, 255)), ((3, 0), (0, 255, 0, 51))])
    paint = read_paint(path, 4, 3)
    assert paint.colours[:, 2, 1].tolist() == [1, -1, -1] and paint.weight[0, 2, 1] == 1
    assert paint.weight[0, 0, 3] == pytest.approx(0.2) and paint.weight.sum() == pytest.approx(1.2)
    assert np.abs(paint.colours).sum() == 6
    double = png(tmp_path / "b.png", size=(8, 8), pixels=[((2, 4), (255, 255, 255, 255)), ((3, 5), (0, 0, 0, 255))])
    paint = read_paint(double, 4, 1)
    assert paint.weight[0, 2, 1] == 0.5 and paint.weight.sum() == 0.5 and abs(paint.colours[0, 2, 1]) < 1e-6


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": (5, 5)}, r"is 5x5, the run's images are 4x4; paint on 4x4 pixels, or a whole multiple"),
        ({"size": (4, 8)}, "is 4x8"),
        ({"mode": "RGB"}, "no transparency"),
        ({}, "nothing is painted"),
    ],
)
def test_paint_that_does_not_fit_is_named(tmp_path, settings, told):
    with pytest.raises(ValueError, match=told):
        read_paint(png(tmp_path / "a.png", **settings), 4, 3)


def test_what_is_no_png_is_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match="is no PNG that can be read"):
        read_paint(tmp_path / "a.png", 4, 3)
    with pytest.raises(ValueError, match="there is no file"):
        read_paint(tmp_path / "b.png", 4, 3)


def block(value=1.0, places=((0, 0),)):
    """Paint on some pixels of grey images."""
    weight = np.zeros((1, SIDE, SIDE), np.float32)
    for y, x in places:
        weight[0, y, x] = 1
    return Paint(value * weight, weight)


def test_errors_and_score():
    """Means over painted and other pixels by hand; the score is minus their weighted sum, with a gradient."""
    paint, x = block(0.5, [(0, 0), (0, 1)]), np.zeros((2, 1, SIDE, SIDE))
    x[0, 0, 0, 0], x[1, 0, 5, 5] = 0.5, 1
    np.testing.assert_allclose(paint.inside(x), [0.125, 0.25])
    np.testing.assert_allclose(paint.outside(x, 0 * x), [0, 1 / 62])
    np.testing.assert_allclose(paint.pasted(x)[1, 0, 0, :3], [0.5, 0.5, 0])
    score = paint.score(0 * x, 10.0, 3.0)(Tensor(x))
    np.testing.assert_allclose(score.data, [-1.25, -2.5 - 30 / 62], rtol=1e-6)


def test_an_edit_is_followed_as_far_as_the_rest_allows():
    """Images are (z0, z0, z2, 0 ...): paint 1 on the first pixel, keep k for the second. With k = 1 the squares are
    s ((z0 - 1)^2 + (z0 - a)^2 / 63), so z0 ends at (1 + a / 63) / (1 + 1 / 63), a where it began; z2 stays."""

    def twice(z):
        return drawn(mg.cat([z[:, :1], z[:, :1], z[:, 1:]], 1))

    t, signs = world(latent=2, formula=twice)
    result = study(t, block(1.0), count=6, steps=120, weight=0.0, reader=signs)
    start = t.inputs(6, Generator(0, 6)).numpy()
    a = start[:, 0]
    np.testing.assert_allclose(result.images[:, 0, 0, 0], (1 + a / 63) / (1 + 1 / 63), atol=0.02)
    np.testing.assert_allclose(result.images[:, 0, 0, 2], start[:, 1], atol=0.1)
    rows = result.rows
    assert rows["pasted"].inside.value == 0 == rows["as it was"].outside.value and rows["edit"].precision is None
    assert rows["edit"].inside.value < 0.01 < rows["as it was"].inside.value
    assert rows["edit"].outside.value < rows["random search"].outside.value


def test_the_better_end_counts(monkeypatch):
    """Where nothing climbs, the ends are where it began and the best draw, and the edit is the latter."""
    monkeypatch.setattr(sys.modules[study.__module__], "ascend", lambda space, x, *rest: x)
    t, signs = world()
    draws, search = [], random_search
    monkeypatch.setattr(
        sys.modules[study.__module__], "random_search", lambda *args: draws.append(search(*args)) or draws[-1]
    )
    result = study(t, block(1.0), count=6, steps=50, weight=0.0, reader=signs)
    assert result.rows["edit"].inside.value < result.rows["as it was"].inside.value
    np.testing.assert_array_equal(result.images, t.sample(mg.tensor(draws[0])))


def test_random_search_is_given_as_many_images_as_the_edit_looks_at(monkeypatch):
    """Draws to begin from, and two ascents: an ascent looks once a step."""
    module, looks = sys.modules[study.__module__], {"search": [], "ascend": []}
    monkeypatch.setattr(module, "ascend", lambda space, x, score, steps, *rest: looks["ascend"].append(steps) or x)
    monkeypatch.setattr(
        module, "random_search", lambda space, x, score, draw, steps: looks["search"].append(steps) or x
    )
    t, signs = world()
    study(t, block(1.0), count=6, steps=50, weight=0.0, reader=signs)
    start, null = looks["search"]
    assert null == start + sum(looks["ascend"]) == 150


def test_photos_are_found_among_the_samples():
    """A photo that the generator can draw is found, from the nearest draw or from its code; and only it is drawn."""
    t, signs = world()
    photo = np.zeros((1, 1, SIDE, SIDE))
    photo[0, 0, 0, :3] = 0.7, -0.4, 0.2
    for encode in (None, lambda images: np.zeros((len(images), 3))):
        if encode:
            t.encode = encode
        z = inverted(t, photo, 120, 0.05, 100.0, Generator(0, 6))
        np.testing.assert_allclose(z[0], [0.7, -0.4, 0.2], atol=0.03)
    result = study(t, block(1.0), photo, steps=20, reader=signs)
    assert result.rows["edit"].images == 1 and "through its latents" in result.rows
