"""Frames and painters: size and place are what they say and can be learnt, the inverse undoes it, colours stay."""

import numpy as np
import pytest

import minigan as mg
from minigan.backend import Generator
from minigan.gan.networks.frames import GAIN, RATE, START, Frame, Painter
from minigan.gan.networks.translators import init_
from minigan.testing.gradcheck import gradcheck


def framed(k=(1.0, 1.0), d=(0.0, 0.0), size=24, background=1.0):
    """A frame in float64 that draws k times as large and d pixels further, (rows, columns)."""
    frame = Frame(size, background).double()
    frame.scale.assign(np.log(k) / RATE)
    frame.shift.assign(np.array(d) / RATE)
    return frame


def blob(background=1.0, size=24, at=(13, 10)):
    """A dark round blob on a page (1, 1, size, size)."""
    y, x = np.mgrid[:size, :size]
    return (background - background * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 8))[None, None]


def ink(image, background=1.0):
    """(how much, its middle row, its middle column)."""
    drawn = (image - background)[0, 0]
    total = drawn.sum()
    places = np.arange(len(drawn))
    return total, (drawn.sum(1) * places).sum() / total, (drawn.sum(0) * places).sum() / total


def test_weights_are_the_formula():
    k, d, m = (0.6, 1.5), (1.2, -0.7), 5.5
    frame = framed(k, d, 12)
    for axis in (0, 1):
        for inverse in (False, True):
            found = frame.weights(axis, inverse).detach().numpy()
            size = k[axis] ** (-1 if inverse else 1)
            for i in range(12):
                u = (i - m) / size + m + (d[axis] if inverse else -d[axis] / size)
                r = max(1, 1 / size)
                for j in range(12):
                    assert found[i, j] == pytest.approx(max(0, 1 - abs(u - j) / r) / r, abs=1e-9)


@pytest.mark.parametrize("background", [1.0, -1.0])
def test_an_image_is_k_times_as_large_and_d_pixels_further(background):
    """By its ink and its middle; an empty page stays empty, to the bit."""
    before, row, column = ink(blob(background), background)
    k, d = (0.7, 0.8), (2.0, -1.5)
    frame = framed(k, d, background=background)
    after, y, x = ink(frame(mg.tensor(blob(background))).detach().numpy(), background)
    assert after == pytest.approx(before * k[0] * k[1], rel=1e-3)
    assert (y, x) == pytest.approx(((row - 11.5) * k[0] + 11.5 + d[0], (column - 11.5) * k[1] + 11.5 + d[1]), abs=0.02)
    page = np.full((2, 3, 24, 24), background)
    assert np.array_equal(frame(mg.tensor(page)).detach().numpy(), page)


def test_the_inverse_undoes_it():
    """Size and place exactly, the picture but for the blur; at k = 1 and d = 0 nothing changes, to the bit."""
    frame = framed((0.7, 1.2), (2.0, -1.5))
    there = frame(mg.tensor(blob()))
    for back in (frame(there, inverse=True), frame(frame(mg.tensor(blob()), inverse=True))):
        assert ink(back.detach().numpy()) == pytest.approx(ink(blob()), rel=5e-3)
        apart = [np.abs(image.detach().numpy() - blob()).max() for image in (back, there)]
        assert apart[0] < 0.2 and apart[1] > 0.5
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 24, 24))
    for inverse in (False, True):
        assert np.array_equal(framed()(mg.tensor(images), inverse).detach().numpy(), images - 1 + 1)


@pytest.mark.parametrize("inverse", [False, True])
def test_size_and_place_can_be_learnt(inverse):
    """The gradient in k, d and the image; and where a frame starts, it has one."""
    frame = framed((0.83, 1.17), (0.31, -0.43), 6)
    x = mg.tensor(np.random.default_rng(1).uniform(-1, 1, (2, 1, 6, 6)), requires_grad=True)

    def drawn(x, scale, shift):
        frame.scale, frame.shift = mg.nn.Parameter(scale), mg.nn.Parameter(shift)
        frame._parameters.update(scale=scale, shift=shift)
        return frame(x, inverse)

    assert gradcheck(drawn, (x, frame.scale, frame.shift))
    start = Frame(24)
    ink_above = (start(mg.tensor(blob().astype("f")), inverse)[:, :, :6] ** 2).sum()
    slopes = mg.grad(ink_above, [start.scale, start.shift])
    assert np.exp(RATE * start.scale.detach().numpy()) == pytest.approx(START) and all(
        g.detach().numpy().all() for g in slopes
    )


def test_painters_start_at_the_image_s_colours_in_the_frame():
    """With a last layer of zeros tanh(2 x') is left; two painters share one frame, whose weights are learnt once."""
    frame = Frame(16)
    to_a, to_b = (init_(Painter(3, 16, 2, 1, frame, inverse), Generator(0, 1)) for inverse in (True, False))
    x = mg.tensor(np.random.default_rng(2).uniform(-1, 1, (2, 3, 16, 16)).astype("f"))
    for painter in (to_a, to_b):
        painter.last.weight.assign(painter.last.weight.detach().numpy() * 0)
        expected = np.tanh(GAIN * frame(x, painter.inverse).detach().numpy())
        assert painter(x).detach().numpy() == pytest.approx(expected, abs=1e-6)
        assert painter.draw(x).detach().numpy() == pytest.approx(np.tanh(GAIN * x.detach().numpy()), abs=1e-6)
    assert Painter(3, 16, 2, 1)(x).shape == x.shape
    both = mg.nn.ModuleList([to_a, to_b])
    names = [name for name, _ in both.named_parameters()]
    assert sum("scale" in name for name in names) == 1
    assert len(names) == len(list(to_a.parameters())) + len(list(to_b.parameters())) - 2


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"Painter: images must be \(N, 3, 16, 16\), got \(1, 1, 16, 16\)"):
        Painter(3, 16, 2, 1, Frame(16))(mg.zeros(1, 1, 16, 16))
