"""The style-based networks by closed forms: which style goes where, what noise and demodulation do, what is crossed."""

from itertools import pairwise

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.backend import Generator
from minigan.functional import interpolate
from minigan.gan.networks.style import (
    StyleGenerator,
    StyleLayer,
    Truncated,
    crossed,
    doubled,
    minibatch_deviation,
    style_init_,
    widths_of,
)

RNG = np.random.default_rng(11)
LATENT, LAYERS = 3, 5


def values(t):
    return t.detach().numpy()


def double(*shape):
    return mg.tensor(RNG.standard_normal(shape))


def network(size: int = 16, strengths: bool = True) -> StyleGenerator:
    """One of 2 * log2(size / 4) + 1 layers in float64, its noise drawn from a stream of its own."""
    g = StyleGenerator(LATENT, 2, size, 2, 2, Generator(5, 8))
    style_init_(g, Generator(5, 1))
    if strengths:
        for layer in g.layers:
            layer.strength.assign(np.full(1, 0.3))
    return g.double()


def outputs_of(g: StyleGenerator, w: mg.Tensor) -> list[np.ndarray]:
    """What each layer gives, and the image."""
    found, handles = [], []
    for layer in g.layers:
        handles.append(layer.register_forward_hook(lambda module, inputs, y: found.append(values(y))))
    image = values(g.synthesis(w))
    for handle in handles:
        handle.remove()
    return [*found, image]


def test_a_layer_reads_its_own_style():
    """Another style in layer l changes what layers from l on give, and nothing before."""
    g, w = network().eval(), double(2, LAYERS, LATENT)
    before = outputs_of(g, w)
    for number in range(LAYERS):
        changed = values(w).copy()
        changed[:, number] += 1
        same = [np.array_equal(a, b) for a, b in zip(before, outputs_of(g, mg.tensor(changed)), strict=True)]
        assert same == [True] * number + [False] * (LAYERS + 1 - number)


def test_the_image_of_a_resolution_has_the_style_of_its_last_layer():
    """With everything but the last ToImage silent, the image is its convolution of the last layer's output, by that
    layer's style."""
    g, w = network().eval(), double(2, LAYERS, LATENT)
    for part in g.to_image[:-1]:
        part.weight.assign(np.zeros(part.weight.shape))
    *_, last, image = outputs_of(g, w)
    part = g.to_image[-1]
    style = values(w)[:, -1] @ values(part.style.weight).T + values(part.style.bias)
    right = np.einsum("ncyx,oc,nc->noyx", last, values(part.weight)[:, :, 0, 0], style)
    np.testing.assert_allclose(image, np.tanh(right), rtol=1e-10, atol=1e-12)


def test_each_layer_has_a_noise_strength_of_its_own():
    """Noise of layer l alone: two passes of training agree before it and differ from it on; without any they agree."""
    g, w = network(strengths=False), double(2, LAYERS, LATENT)
    assert all(np.array_equal(a, b) for a, b in zip(outputs_of(g, w), outputs_of(g, w), strict=True))
    for number, layer in enumerate(g.layers):
        layer.strength.assign(np.ones(1))
        same = [np.array_equal(a, b) for a, b in zip(outputs_of(g, w), outputs_of(g, w), strict=True)]
        assert same == [True] * number + [False] * (LAYERS + 1 - number)
        layer.strength.assign(np.zeros(1))


def test_noise_is_drawn_in_training_and_kept_in_evaluation():
    """In evaluation an image is a function of its latent, whatever stands beside it; training draws one number a pixel
    and sample, the same for all channels, from the network's stream."""
    g, z = network(), double(3, LATENT)
    np.testing.assert_allclose(values(g.eval()(z))[1:], values(g(z[1:])), rtol=1e-12)
    layer = g.layers[0].train()
    layer.random.step = 0
    x, w = double(3, 4, 4, 4), double(3, LATENT)
    noise = values(mg.randn(3, 1, 4, 4, generator=Generator(5, 8), dtype=mg.float64))
    noisy = values(layer(x, w))
    layer.strength.assign(np.zeros(1))
    quiet = values(layer(x, w))
    before = [np.where(y > 0, y, y / 0.2) for y in (noisy, quiet)]
    np.testing.assert_allclose(before[0] - before[1], 0.3 * np.broadcast_to(noise, noisy.shape), atol=1e-10)


def test_demodulation_takes_the_size_of_styles_and_weights_out():
    """A style, or a layer's weights, ten times as large leave what comes out as it was."""
    layer = StyleLayer(4, 3, LATENT, 4, False)
    style_init_(layer, Generator(5, 1)).double().eval()
    x, w = double(2, 4, 4, 4), double(2, LATENT)
    right = values(layer(x, w))
    for p, factor in ((layer.weight, 10), (layer.style.weight, 10), (layer.style.bias, 10)):
        p.assign(values(p) * factor)
    np.testing.assert_allclose(values(layer(x, w)), right, rtol=1e-6)


def test_truncation_goes_to_the_centre():
    """psi 1: the generator's own image; 0: the centre's for every latent; 0.5: of the styles halfway."""
    g, z, centre = network().eval(), double(3, LATENT), double(LATENT)
    w = g.styles(z)
    np.testing.assert_allclose(values(Truncated(g, centre, 1.0)(z)), values(g(z)), rtol=1e-9)
    middle = mg.tensor(np.broadcast_to(values(centre), w.shape).copy())
    np.testing.assert_allclose(values(Truncated(g, centre, 0.0)(z)), values(g.synthesis(middle)), rtol=1e-9)
    half = values(g.synthesis((w + middle) / 2))
    np.testing.assert_allclose(values(Truncated(g, centre, 0.5)(z)), half, rtol=1e-9)


def test_where_styles_cross():
    """With share 0.5 of 5 layers: at 0 after the first, at 0.49 before the last, from 0.5 on nowhere; each of the four
    places as often."""
    first, second = np.zeros((4, 2)), np.ones((4, 2))
    at = np.array([0.0, 0.2, 0.49, 0.5])
    kept = values(crossed(*map(mg.tensor, (first, second, at)), 5, 0.5))
    assert kept.shape == (4, 5, 2)
    np.testing.assert_array_equal(kept[:, :, 0], [[0, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [0] * 5])
    n = 4000
    at = mg.tensor((np.arange(n) + 0.5) / n)
    counts = values(crossed(mg.zeros(n, 1), mg.ones(n, 1), at, 5, 0.5))[:, :, 0].sum(1)
    np.testing.assert_array_equal(np.bincount(counts.astype(int)), [2000, 500, 500, 500, 500])


def test_a_latent_for_each_layer():
    """(N, layers, latent) with the same latent in all of them is (N, latent); the mapping sees a latent's direction
    only."""
    g, z = network().eval(), double(2, LATENT)
    np.testing.assert_allclose(values(g(mg.stack([z] * LAYERS, 1))), values(g(z)), rtol=1e-9)
    np.testing.assert_allclose(values(g.mapping(7 * z)), values(g.mapping(z)), rtol=1e-6)
    with pytest.raises(ValueError, match=r"z must be \(N, 3\), or \(N, 5, 3\) with one for each layer, got \(2, 4\)"):
        g(double(2, 4))
    with pytest.raises(ValueError, match="StyleGenerator: the image size must be a power of two"):
        network(size=20)


def test_widths():
    assert widths_of(32, 32, "G") == [128, 64, 32, 16]
    assert widths_of(64, 32, "G") == [128, 128, 64, 32, 16]
    assert widths_of(8, 1, "G") == [1, 1]


def test_doubled_is_nearest_neighbour():
    x = double(2, 3, 4, 5).requires_grad_()
    np.testing.assert_array_equal(values(doubled(x)), values(interpolate(x, scale_factor=2)))
    seed = double(2, 3, 8, 10)
    (one,), (other,) = mg.grad(doubled(x), x, seed), mg.grad(interpolate(x, scale_factor=2), x, seed)
    np.testing.assert_allclose(values(one), values(other), rtol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_the_deviation_of_a_batch(spread):
    """Half of the samples a constant above the rest: half the gap is the deviation, in a channel of its own."""
    x = np.zeros((6, 2, 2, 3))
    x[::2] = 2 * spread
    y = values(minibatch_deviation(mg.tensor(x)))
    np.testing.assert_array_equal(y[:, :2], x)
    np.testing.assert_allclose(y[:, 2], np.sqrt(spread**2 + 1e-8), rtol=1e-9)


def test_the_start():
    """Styles begin at 1, noise at nothing; a layer loses what its rectifier takes, and no more."""
    g = StyleGenerator(16, 3, 16, 16, 3, Generator(5, 8))
    style_init_(g, Generator(5, 1))
    assert all((values(m.style.bias) == 1).all() for m in (*g.layers, *g.to_image))
    assert all(values(layer.strength) == 0 for layer in g.layers)
    assert isinstance(g.mapping.layers[0], nn.Linear) and len(g.mapping.layers) == 3
    *layers, image = outputs_of(g.eval(), g.styles(mg.randn(16, 16, generator=Generator(0, 0))))
    kept = [b.std() / a.std() for a, b in pairwise(layers)]  # of a leaky rectifier: 0.6 to 0.75
    assert all(0.5 < ratio < 0.85 for ratio in kept) and 0.2 < image.std() < 0.9
