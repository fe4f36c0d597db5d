"""Tricks of the plain systems: what the latents are, what D sees and is told, and its own rate."""

import numpy as np
import pytest

from minigan import data
from minigan.backend import Generator
from minigan.gan.losses import loss
from minigan.gan.systems import options_for
from minigan.gan.systems.table import trainer_for
from minigan.gan.tricks import smoothed

DIGITS = data.load("digits").info


def trainer(**changes):
    return trainer_for(options_for("dcgan", base=1, batch_size=2, **changes), DIGITS)


def test_each_option_changes_what_it_says():
    z = trainer(latents="uniform").inputs(500, Generator(0, 1)).numpy()
    assert z.min() >= 0 and z.max() < 1 and abs(z.mean() - 0.5) < 0.01
    sphere = trainer(latents="spherical").inputs(5, Generator(0, 1)).numpy()
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 10.0, rtol=1e-5)
    t = trainer(rate_ratio=4.0)
    assert t.optim_d.param_groups[0]["lr"] == pytest.approx(4 * t.optim_g.param_groups[0]["lr"])
    t = trainer(noise=0.4, steps=4)
    t.steps_done = 3
    t.anneal()
    images = t.batch["real"]
    assert t.sigma.item() == pytest.approx(0.1) and abs(t.seen(images).numpy().std() - 0.1) < 0.01
    assert trainer().seen(images) is images
    outputs = t.critic(images), t.critic(images)
    expected = smoothed(loss("non-saturating")).discriminator(*outputs).item()
    assert trainer(labels="smooth").loss.discriminator(*outputs).item() == pytest.approx(expected)


def test_what_makes_no_sense_is_refused():
    for changes in ({"latents": "unifrm"}, {"rate_ratio": 0.0}, {"noise": -1.0}):
        with pytest.raises(ValueError, match=r"uniform|above 0|at least 0"):
            trainer(**changes)
    with pytest.raises(ValueError, match="no label to change"):
        options_for("wgan-gp", labels="soft")
