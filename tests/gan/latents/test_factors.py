"""How many factors one latent moves: of a generator that is its latents, of codes, and of measured digits."""

from dataclasses import replace

import numpy as np
import pytest
from latent_worlds import Signs, world
from PIL import Image
from worlds import FACES, WORLD, trainer

import minigan as mg
from minigan.gan.latents import Reader, factors_of
from minigan.gan.latents.factors import codes, draw, measured, seen_by
from minigan.gan.metrics.classifier import prepared


def test_a_latent_of_its_own_moves_one_factor_and_a_rotated_one_more():
    t, signs = world()
    result = factors_of(t, 30, reader=signs)
    assert result.kinds["latents"].factors == 1 < result.kinds["rotated"].factors
    assert result.names == ["hat", "smile", "beard"] and result.codes == []
    np.testing.assert_allclose(result.kinds["latents"].changes, np.eye(3))


def test_uniform_latents_go_from_end_to_end():
    """Of latents in [0, 1], each image pixel z - 1/2: its sign turns, and no other's."""
    t, signs = world("lsgan", 3, lambda z: _rows(z - 0.5), latents="uniform")
    np.testing.assert_allclose(factors_of(t, 20, reader=signs).kinds["latents"].changes, np.eye(3))


def _rows(z):
    from latent_worlds import drawn

    return drawn(z)


def test_codes_move_alone():
    """InfoGAN: the category goes to the next, each continuous code from -1 to 1; conditional: the class to the next."""
    t = trainer("infogan", categories=3, continuous=2)
    x = t.inputs(4, mg.backend.Generator(0, 1)).numpy()
    ways = codes(t, x)
    assert list(ways) == ["category", "code 1", "code 2"]
    low, high = ways["category"]
    assert (high[:, 2:5].argmax(1) == (low[:, 2:5].argmax(1) + 1) % 3).all() and (high[:, 5:] == x[:, 5:]).all()
    for k in (0, 1):
        low, high = ways[f"code {k + 1}"]
        others = [c for c in range(x.shape[1]) if c != 5 + k]
        assert (low[:, 5 + k] == -1).all() and (high[:, 5 + k] == 1).all() and (low[:, others] == x[:, others]).all()
    for t in (trainer("cgan"), trainer("lapgan", condition="class")):
        x = t.inputs(4, mg.backend.Generator(0, 1)).numpy()
        low, high = codes(t, x)["class"]
        assert (high[:, 2:].argmax(1) == (low[:, 2:].argmax(1) + 1) % 3).all() and (high[:, :2] == x[:, :2]).all()
    assert codes(trainer("dcgan"), x) == codes(trainer("lapgan"), x) == {}


def test_codes_are_counted_beside_latents():
    """A category whose next value turns one sign: one factor, on every image."""
    t, _ = world("infogan", 2, lambda z: _rows(mg.cat([z[:, :2], 2 * z[:, 2:3] - 1], 1)), categories=2, continuous=0)
    kinds = factors_of(t, 20, reader=Signs(FACES)).kinds
    np.testing.assert_allclose(kinds["codes"].changes, [[0, 0, 1]])
    assert kinds["codes"].factors == 1


def test_measures():
    """Ink, width, height and slant of a bar by hand: upright, lying, and leaning by a pixel a row."""
    images = -np.ones((3, 1, 9, 9))
    images[0, 0, 2:7, 4] = images[1, 0, 4, 2:7] = 1
    images[2, 0, np.arange(2, 7), np.arange(2, 7)] = 1
    ink, width, height, slant = measured(images, -1.0).T
    np.testing.assert_allclose(ink, 5 / 81, rtol=1e-4)
    np.testing.assert_allclose(width, [0, np.sqrt(2), np.sqrt(2)], atol=1e-3)
    np.testing.assert_allclose(height, [np.sqrt(2), 0, np.sqrt(2)], atol=1e-3)
    np.testing.assert_allclose(slant[[0, 2]], [0, 1], atol=1e-3)


def test_a_class_alone_is_measured_beside():
    """Classes and four measures, in five steps that training images fill alike."""

    class Dark(Reader):
        def read(self, images, factors):
            return {name: np.zeros(len(images), int) for name in factors}

    names, values = seen_by(Dark(WORLD), 8)
    assert names == ["class", "ink", "width", "height", "slant"]
    images = np.random.default_rng(0).uniform(-1, 1, (50, 1, 8, 8)).astype(np.float32)
    seen = values(images)
    assert seen.shape == (50, 5) and seen.min() >= 0 and seen.max() <= 4


def test_the_steps_are_filled_alike_where_images_are_in_the_order_of_their_classes():
    images = np.zeros((3000, 8, 8, 1), np.uint8)
    images[:, :4, :4, 0] = np.linspace(1, 255, 3000).round()[:, None, None]
    world = replace(WORLD, images=images, labels=np.repeat([0, 1], 1500), train=np.arange(3000))

    class Dark(Reader):
        def read(self, images, factors):
            return {name: np.zeros(len(images), int) for name in factors}

    _, values = seen_by(Dark(world), 8)
    shares = np.bincount(values(prepared(world, world.train, 8))[:, 1], minlength=5) / 3000
    np.testing.assert_allclose(shares, 0.2, atol=0.02)


def test_the_picture_of_several_runs(tmp_path):
    t, signs = world()
    result = factors_of(t, 10, reader=signs)
    draw(tmp_path / "a.png", {"dcgan, faces: one": result, "dcgan, faces: two": result})
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 500 and len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_the_legend_covers_no_bar(tmp_path, monkeypatch):
    """A run with codes last, whose bars are as high as any: the legend stands beside the axes."""
    from matplotlib.figure import Figure

    t, _ = world("infogan", 2, lambda z: _rows(mg.cat([z[:, :2], 2 * z[:, 2:3] - 1], 1)), categories=2, continuous=0)
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    result = factors_of(t, 10, reader=Signs(FACES))
    result = replace(result, kinds=dict.fromkeys(result.kinds, result.kinds["latents"]), codes=["one", "two"])
    draw(tmp_path / "a.png", {f"infogan, faces: {name}": result for name in ("one", "two", "three")})
    axis = figures[0].axes[0]
    legend = axis.get_legend().get_window_extent()
    assert len(axis.patches) == 9 and not any(legend.overlaps(bar.get_window_extent()) for bar in axis.patches)


def test_what_moves_nothing_is_named():
    t, signs = world(formula=lambda z: _rows(0 * z))
    with pytest.raises(ValueError, match="no latent moves any attribute"):
        factors_of(t, 10, reader=signs)
