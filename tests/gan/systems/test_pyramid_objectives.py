"""What every level of lapgan minimises, by hand, with critics that are formulas; its inputs, stages and pictures."""

import shutil

import numpy as np
import pytest
from worlds import WORLD, Formula, close, gradient_of, stream, trainer

import minigan as mg
from minigan.backend import Generator
from minigan.functional import softplus
from minigan.gan.networks.pyramid import down, up
from minigan.gan.systems import options_for
from minigan.gan.train import STREAMS


def small(**changes):
    return trainer("lapgan", WORLD, size=16, **changes)


def formulas(t):
    """A critic that tells image, l and class apart."""

    def number(image, *beside):
        low, y = (next((t for t in beside if t is not None and t.ndim == ndim), None) for ndim in (4, 2))
        value = image[:, 0, 1, 2] * 2 + mg.square(image).mean((1, 2, 3))
        value = value if low is None else value + image[:, 0, 3, 3] * low[:, 0, 4, 5] - low[:, 0, 0, 0]
        return value if y is None else value + image[:, 0, 0, 1] * y[:, 1]

    t.critic = Formula(number)
    return number


def by_hand(t, name, y):
    """(reals, fakes, lows) of the batch: the fakes sharpen the enlarged coarse image of a real one."""
    x, random = t.batch["real"], stream(t, STREAMS[name])
    noise = mg.randn(3, 2 + 256, generator=random, dtype=mg.float64)
    coarse, plane = down(x), noise[:, 2:].reshape(3, 1, 16, 16)
    z = noise[:, :2] if y is None else mg.cat([noise[:, :2], y], 1)
    low = up(coarse)
    h = t.generator.level_16(low, plane) if y is None else t.generator.level_16(low, plane, y)
    return [coarse, x], [t.generator.level_8(z), low + h], [None, low]


@pytest.mark.parametrize("condition", ["none", "class"])
def test_every_level_plays_its_own_game(condition):
    """The sum over levels; D is shown l beside l + h, the real image and the sample sharpen the same l."""
    t = small(condition=condition)
    number = formulas(t)
    t.feed()
    y = t.batch["labels"] if condition == "class" else None
    reals, fakes, lows = by_hand(t, "latent_d", y)
    expected = sum(
        mg.mean(softplus(-number(real, low, y))) + mg.mean(softplus(number(fake, low, y)))
        for real, fake, low in zip(reals, fakes, lows, strict=True)
    )
    objective, figures = t.critic_loss()
    close(objective, expected)
    close(figures["d_loss_8"] + figures["d_loss_16"], expected)
    assert gradient_of(objective, t.generator) is None
    reals, fakes, lows = by_hand(t, "latent_g", y)
    expected = [mg.mean(softplus(-number(fake, low, y))) for fake, low in zip(fakes, lows, strict=True)]
    objective, figures = t.generator_loss()
    close(objective, expected[0] + expected[1])
    close(figures["g_loss_16"], expected[1])
    for level in ("level_8", "level_16"):
        assert gradient_of(objective, getattr(t.generator, level)).abs().max().item() > 0


def test_labels_are_those_of_the_images():
    t = small(condition="class")
    t.feed()
    shades = t.batch["real"].numpy().mean((1, 2, 3))
    classes = np.digitize(shades, [-0.4, 0.25])
    assert np.array_equal(t.batch["labels"].numpy(), np.eye(3)[classes])
    inputs = t.inputs(4, Generator(1, 2)).numpy()
    assert inputs.shape == (4, 2 + 256 + 3) and np.array_equal(inputs[:, -3:], np.eye(3)[[0, 1, 2, 0]])


def test_a_preview_has_each_sample_s_levels_side_by_side():
    """Columns 8, 16, 8, 16, ...; a coarser image is drawn in blocks; the last level is what `draw` gives."""
    t = small()
    images = t.preview(16)
    assert images.shape == (16, 1, 16, 16)
    pairs = images.reshape(8, 2, 1, 16, 16)
    eight = pairs[:, 0, :, ::2, ::2]
    assert np.array_equal(pairs[:, 0], eight.repeat(2, 2).repeat(2, 3))
    inputs = t.inputs(8, Generator(5, 5))
    np.testing.assert_allclose(pairs[:, 1], t.sample(inputs), rtol=1e-12)
    assert not np.array_equal(pairs[:, 1], pairs[:, 0])


@pytest.mark.skipif(not shutil.which("g++"), reason="the simulator compiles kernels with g++")
def test_a_preview_is_drawn_on_the_run_s_device():
    images = {name: small(device=name).preview(16) for name in ("cpu", "cudasim")}
    np.testing.assert_allclose(images["cudasim"], images["cpu"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"condition": "klass"}, "unknown condition 'klass'; did you mean 'class'"),
        ({"gp_weight": 1.0}, "lapgan has no option 'gp_weight'"),
        ({"network": "mlp"}, "lapgan has no option 'network'"),
    ],
)
def test_wrong_options_are_named(changes, told):
    with pytest.raises(ValueError, match=told):
        options_for("lapgan", **changes)


def test_a_set_without_classes_cannot_be_asked_for_one():
    from worlds import FACES

    with pytest.raises(ValueError, match="lapgan: data set 'faces' has no classes to tell apart"):
        trainer("lapgan", FACES, size=16, condition="class")
