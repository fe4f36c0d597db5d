"""The networks of the robustness grid: what each column changes, and that it changes nothing else."""

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.gan.networks.deep import BLOCKS, Bottleneck, DeepCritic, DeepGenerator
from minigan.gan.networks.table import PAIRS
from minigan.gan.networks.variants import FourLayerGenerator, Gate, VariantCritic, VariantGenerator

COLUMNS = ("constant", "mlp-generator", "bare", "gated", "tanh", "resnet101")


def kinds(network) -> set[type]:
    return {type(m) for m in network.modules()}


@pytest.mark.parametrize("scale", [-2, 1, 2])
def test_a_scaled_block_takes_means_or_repeats_pixels(scale):
    """Of the block that adds nothing, with the identity for a shortcut."""
    block = Bottleneck(2, 2, scale).double()
    for p in block.expand.parameters():
        p.assign(p * 0)
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4))
    means = x.reshape(1, 2, 2, 2, 2, 2).mean((3, 5))
    expected = {-2: means, 1: x, 2: x.repeat(2, 2).repeat(2, 3)}[scale]
    np.testing.assert_allclose(block(mg.tensor(x)).detach().numpy(), expected)


@pytest.mark.parametrize("name", COLUMNS)
def test_images_and_numbers_have_their_shapes(name):
    row = PAIRS[name]
    generator, critic = row.generator(5, 3, 16, 2), row.critic(3, 16, 2, False)
    images = generator(mg.randn(2, 5))
    assert images.shape == (2, 3, 16, 16) and (abs(images.detach().numpy()) <= 1).all()
    assert critic(images).shape == (2,)
    with pytest.raises(ValueError, match=r"z must be \(N, 5\), got \(2, 4\)"):
        generator(mg.randn(2, 4))


def test_what_each_column_has_and_lacks():
    """Norm, filters and activations, column by column."""
    make = {name: (PAIRS[name].generator(5, 1, 32, 4), PAIRS[name].critic(1, 32, 4, True)) for name in COLUMNS}
    for name in ("constant", "bare", "mlp-generator"):
        assert nn.BatchNorm2d not in kinds(make[name][0]) and nn.ReLU in kinds(make[name][0])
        assert nn.BatchNorm2d in kinds(make[name][1])  # the critic's is an option
    assert nn.BatchNorm2d not in kinds(PAIRS["bare"].critic(1, 32, 4, False))
    filters = [m.weight.shape[1] for m in make["constant"][0].modules() if isinstance(m, nn.ConvTranspose2d)]
    assert filters == [8, 8, 8, 1]
    linear = [m.weight.shape[0] for m in make["mlp-generator"][0].modules() if isinstance(m, nn.Linear)]
    assert linear == [64, 64, 64, 1024]  # 512 units of base 32
    for network in make["gated"]:
        assert Gate in kinds(network) and not kinds(network) & {nn.ReLU, nn.LeakyReLU}
    for network in make["tanh"]:
        assert nn.Tanh in kinds(network) and not kinds(network) & {nn.ReLU, nn.LeakyReLU, Gate}


def test_a_gate_is_sigmoid_times_tanh():
    x = np.random.default_rng(0).standard_normal((2, 6, 3, 3))
    expected = np.tanh(x[:, 3:]) / (1 + np.exp(-x[:, :3]))
    np.testing.assert_allclose(Gate()(mg.tensor(x)).numpy(), expected, rtol=1e-12)


def test_the_plain_variant_is_dcgan():
    """With no change the layers are DCGAN's, one for one."""
    for ours, dcgan in (
        (VariantGenerator(5, 1, 16, 2), PAIRS["dcgan"].generator(5, 1, 16, 2)),
        (VariantCritic(1, 16, 2, True), PAIRS["dcgan"].critic(1, 16, 2, True)),
    ):
        assert [p.shape for p in ours.parameters()] == [p.shape for p in dcgan.parameters()]
        assert [type(m) for m in ours.main] == [type(m) for m in dcgan.main]
    assert FourLayerGenerator(5, 1, 16, 32).main[0].weight.shape == (512, 5)


def test_101_layers():
    """33 blocks of three convolutions, a first and a last layer; 3 blocks of each size but 8."""
    for network, scale in ((DeepGenerator(5, 1, 32, 1), 2), (DeepCritic(1, 32, 1), -2)):
        blocks = [m for m in network.modules() if isinstance(m, Bottleneck)]
        assert len(blocks) == BLOCKS and 3 * len(blocks) + 2 == 101
        assert sum(b.scale == scale for b in blocks) == 3
        order = [k for k, b in enumerate(blocks) if b.scale == scale]
        assert order == ([2, 26, 29] if scale == 2 else [2, 5, 29])


def test_a_block_is_shortcut_plus_three_tenths():
    block = Bottleneck(4, 4, norm=False)
    x = mg.randn(2, 4, 5, 5)
    block.expand.weight.assign(np.zeros(block.expand.weight.shape))
    block.expand.bias.assign(np.ones(4))
    np.testing.assert_allclose(block(x).detach().numpy(), x.numpy() + 0.3, rtol=1e-6)
