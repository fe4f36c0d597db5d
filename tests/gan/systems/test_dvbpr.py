"""DVBPR: every layer's shape as tabled, the label in every layer of the critic but the last, least squares."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import WORLD, close, stream, trainer

import minigan as mg
from minigan import nn
from minigan.gan.networks.dvbpr import DVBPRCritic, DVBPRGenerator
from minigan.gan.systems import options_for

SMALL = {"size": 16}
LARGER = replace(WORLD, info=replace(WORLD.info, shape=(16, 16, 1)), images=WORLD.images.repeat(2, 1).repeat(2, 2))
"""The world at the least size of these networks."""


def shapes(network, *inputs) -> list[tuple[int, ...]]:
    """What every layer with weights gives, in the order of the calls; norms left out."""
    seen = []
    for m in network.modules():
        if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            m.register_forward_hook(lambda module, args, out: seen.append(out.shape[1:]))
    with mg.no_grad():
        network(*inputs)
    return seen


def test_layers_are_as_tabled():
    """At size 128, in units of a base of 64 that is 1 here: 8 to 128 in G, 128 to 8 in D."""
    assert shapes(DVBPRGenerator(100 + 6, 3, 128, 1), mg.randn(2, 106)) == [
        (4 * 64,),
        (4, 16, 16),
        (4, 16, 16),
        (4, 32, 32),
        (4, 32, 32),
        (2, 64, 64),
        (1, 128, 128),
        (3, 128, 128),
    ]
    critic = DVBPRCritic(3, 6, 128, 1)
    images, labels = mg.randn(2, 3, 128, 128), mg.tensor(np.eye(6, dtype=np.float32)[:2])
    assert shapes(critic, images, labels) == [(1, 64, 64), (2, 32, 32), (4, 16, 16), (8, 8, 8), (16,), (1,)]
    with pytest.raises(ValueError, match="at least 16, got 8"):
        DVBPRGenerator(3, 3, 8, 1)


def test_base_64_is_the_paper_s():
    """256, 256, 256, 256, 128, 64, 3 channels in G; 64, 128, 256, 512, 1024, 1 in D; all filters 5 x 5."""
    generator = DVBPRGenerator(7, 3, 16, 64)
    layers = [m for m in generator.main if isinstance(m, nn.ConvTranspose2d)]
    assert generator.project.weight.shape == (256, 7)
    assert [m.weight.shape[1] for m in layers] == [256, 256, 256, 256, 128, 64, 3]
    assert [m.stride for m in layers] == [(2, 2), (1, 1), (2, 2), (1, 1), (2, 2), (2, 2), (1, 1)]
    critic = DVBPRCritic(3, 6, 16, 64)
    assert [m.weight.shape[0] for m in critic.convolutions] == [64, 128, 256, 512]
    assert (critic.hidden.weight.shape, critic.last.weight.shape) == ((1024, 512 + 6), (1, 1024))
    assert {m.weight.shape[2:] for m in [*layers, *critic.convolutions]} == {(5, 5)}


def test_norms_stand_where_they_are_tabled():
    generator, critic = DVBPRGenerator(7, 3, 16, 2), DVBPRCritic(3, 6, 16, 2)
    kinds = [type(m).__name__ for m in generator.main]
    assert kinds == ["BatchNorm2d", "ReLU", *["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 6, "ConvTranspose2d", "Tanh"]
    assert [type(m) for m in critic.norms] == [nn.Identity, *[nn.BatchNorm2d] * 3]


@pytest.mark.parametrize("layer", range(5))
def test_the_label_joins_every_layer_but_the_last(layer):
    """With the label's weights of all other layers 0, another label gives another number, by this layer alone."""
    critic = DVBPRCritic(2, 3, 16, 2).double()
    layers = [*critic.convolutions, critic.hidden]
    joined = [m.weight.shape[1] - width for m, width in zip(layers, (2, 2, 4, 8, 16), strict=True)]
    assert joined == [3] * 5
    for k, m in enumerate(layers):
        if k != layer:
            weight = m.weight.detach().numpy().copy()
            weight[:, -3:] = 0
            m.weight.assign(weight)
    critic.eval()
    x = mg.tensor(np.random.default_rng(0).uniform(-1, 1, (2, 2, 16, 16)))
    values = [critic(x, mg.tensor(np.eye(3)[[k, 0]])).detach().numpy() for k in (1, 2)]
    assert abs(values[0][0] - values[1][0]) > 1e-9 and values[0][1] == values[1][1]
    assert critic.last.weight.shape[1] == 32


def test_the_objectives_are_least_squares_of_pairs():
    """D: 1/2 (D(x, y) - 1)^2 + 1/2 D(G(z, y), y)^2;  G: 1/2 (D(G(z, y), y) - 1)^2."""
    t = trainer("dvbpr", LARGER, data="digits", **SMALL)
    t.feed()
    real, labels = t.batch["real"], t.batch["labels"]
    random = [stream(t, number) for number in (2, 3)]
    z = [mg.randn(3, 2, generator=r, dtype=t.dtype) for r in random]
    d_loss, _ = t.critic_loss()
    fakes = [t.generator(mg.cat([part, labels], 1)) for part in z]
    close(
        d_loss, 0.5 * mg.square(t.critic(real, labels) - 1).mean() + 0.5 * mg.square(t.critic(fakes[0], labels)).mean()
    )
    g_loss, _ = t.generator_loss()
    close(g_loss, 0.5 * mg.square(t.critic(fakes[1], labels) - 1).mean())


def test_the_defaults_are_small_and_the_paper_s_a_choice():
    options = options_for("dvbpr", size=128, base=64, latent=100)
    assert (options.loss, options.critic_norm, options.gp_weight) == ("least-squares", True, 0.0)
    assert {"condition", "gp_weight", "critic_norm", "network"}.isdisjoint(options.names())
