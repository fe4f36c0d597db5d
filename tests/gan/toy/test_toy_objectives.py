"""What the GANs of points minimise and how they step, by hand, on networks of a few weights."""

import json
from math import cos, pi

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.backend import Generator
from minigan.gan.penalties import gradient_penalty
from minigan.gan.toy import ToyTrainer, cells, options_for, scoreboard
from minigan.gan.toy.data import Points
from minigan.gan.toy.networks import published_generator
from minigan.gan.toy.trainer import STREAMS

TINY = {"steps": 4, "batch_size": 4, "width": 3, "depth": 2, "seed": 3}
SET = Points("four", lambda count, rng: rng.standard_normal((count, 2)) * [2.0, 0.5] + [10.0, -3.0])


def trainer(system="gan", trick=None, **changes):
    return ToyTrainer(options_for("ring", system, trick, **TINY | changes), SET)


def latents(t, name):
    return mg.randn(4, 2, generator=Generator(3, STREAMS[name]))


def fed(t):
    """A trainer whose real batch is filled."""
    t.real.assign(t.pool[:4])
    return t


def close(a, b):
    a, b = (x.detach().numpy() if isinstance(x, mg.Tensor) else np.asarray(x) for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_critic_moves_along_its_objective_and_the_generator_stays():
    """wgan-gp: D's loss, plus the weight times the penalty at points of the stream's eps; Adam's first step."""
    t, twin = (fed(trainer("wgan-gp", gp_weight=3.0, lr_d=0.01)) for _ in "ab")
    fake = twin.generator(latents(t, "latent_d")).detach()
    eps = mg.rand(4, 1, generator=Generator(3, STREAMS["eps"]))
    penalty, _ = gradient_penalty(twin.critic, twin.real, fake, eps)
    objective = twin.critic(fake).mean() - twin.critic(twin.real).mean() + 3 * penalty
    twin.optim_d.zero_grad()
    objective.backward()
    twin.optim_d.step()
    t.critic_step()
    for p, q in zip(t.critic.parameters(), twin.critic.parameters(), strict=True):
        close(p, q)
    for p, q in zip(t.generator.parameters(), twin.generator.parameters(), strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy()) and p.grad is None


def test_the_generator_looks_one_critic_step_ahead():
    """One unrolled step by hand: D' = D - eta grad L_D(D), with L_D still depending on G; G's gradient passes
    through."""
    t, twin = (fed(trainer("gan", "unrolled", unroll=1, unroll_lr=5.0, width=16)) for _ in "ab")
    fake, weights = twin.generator(latents(t, "latent_g")), dict(twin.critic.named_parameters())

    def judged(parameters, x):
        return nn.functional_call(twin.critic, parameters, x)

    loss = twin.loss.discriminator(judged(weights, twin.real), judged(weights, fake))
    slopes = mg.grad(loss, list(weights.values()), create_graph=True)
    ahead = {name: p - 5 * g for (name, p), g in zip(weights.items(), slopes, strict=True)}
    objective = twin.loss.generator(judged(ahead, fake))
    expected = mg.grad(objective, list(twin.generator.parameters()))
    figures = t.generator_step()
    close(figures["g_loss"], objective)
    assert abs(objective.item() - twin.loss.generator(judged(weights, fake)).item()) > 1e-4
    blind = twin.loss.generator(judged({name: p.detach() for name, p in ahead.items()}, fake))
    blind = mg.grad(blind, list(twin.generator.parameters()))
    for p, g, other in zip(t.generator.parameters(), expected, blind, strict=True):
        close(p.grad, g)
        assert abs(g.numpy() - other.numpy()).max() > 1e-3 * abs(g.numpy()).max()


def test_the_average_follows_and_samples_are_its_in_the_data_s_units():
    t = trainer("gan", average=0.5, lr_g=0.05)
    expected = [p.detach().numpy().copy() for p in t.generator.parameters()]
    for k in (1, 2):
        t.step()
        factor = min(0.5, (1 + k) / (10 + k))
        weights = [p.detach().numpy() for p in t.generator.parameters()]
        expected = [factor * a + (1 - factor) * w for a, w in zip(expected, weights, strict=True)]
    for a, b in zip(t.average.module.parameters(), expected, strict=True):
        close(a, b)
    z = mg.randn(5, 2, generator=Generator(0, 6))
    with mg.no_grad():
        close(t.sample(5), t.average.module(z).numpy() * t.spread + t.centre)
        close(t.sample(5, average=False), t.generator(z).numpy() * t.spread + t.centre)
    assert abs(t.centre - [10, -3]).max() < 0.05 and abs(t.spread - [2, 0.5]).max() < 0.05


def test_rates_fall_along_half_a_cosine():
    t, rates = trainer("gan", lr_d=0.02, lr_g=0.01), []
    for _ in range(4):
        t.step()
        rates.append((t.optim_d.param_groups[0]["lr"], t.optim_g.param_groups[0]["lr"]))
    left = [(1 + cos(pi * k / 4)) / 2 for k in range(4)]
    close(rates, [(0.02 * x, 0.01 * x) for x in left])
    constant = trainer("gan", falling=False, lr_d=0.02)
    for _ in range(3):
        constant.step()
    assert constant.optim_d.param_groups[0]["lr"] == 0.02


def test_a_step_is_n_critic_batches_of_rows_that_the_seed_draws():
    t = trainer("gan", n_critic=3)
    rows, calls = np.random.default_rng((3, 2)), []
    t._critic_step = lambda: calls.append(t.real.numpy().copy()) or {}
    t._generator_step = lambda: calls.append("generator") or {}
    t.step()
    assert calls.pop() == "generator" and len(calls) == 3
    for batch in calls:
        assert np.array_equal(batch, t.pool[rows.integers(len(t.pool), size=4)])


def test_clipping_is_the_critic_s_and_the_options_s():
    t = fed(trainer("wgan", clip=0.02, lr_d=0.5))
    t.critic_step()
    assert max(abs(p.detach().numpy()).max() for p in t.critic.parameters()) == pytest.approx(0.02)
    t = fed(trainer("gan", lr_d=0.5))
    t.critic_step()
    assert max(abs(p.detach().numpy()).max() for p in t.critic.parameters()) > 0.3


def test_packs_are_of_points_of_one_side():
    """D judges rows of m points, all real or all generated; the loss is a mean over packs."""
    t = fed(trainer("gan", "packing", pack=2))
    fake = t.generator(latents(t, "latent_d")).detach()
    d_real, d_fake = (t.critic(x.reshape(2, 4)) for x in (t.real, fake))
    close(t.critic_step()["d_loss"], t.loss.discriminator(d_real, d_fake))


@pytest.mark.parametrize("system", ["gan", "ebgan"])
def test_the_landscape_is_higher_on_reals(system):
    """Energies are lower on reals, so their landscape is turned over."""
    t = trainer(system)
    x = np.array([[9.0, -3.0], [11.0, -2.5]])
    with mg.no_grad():
        outputs = t.loss.head(t.critic(mg.tensor((x - t.centre) / t.spread, dtype=mg.float32))).numpy()[:, 0]
    close(t.landscape(x)[0], outputs if system == "gan" else -outputs)


# The scoreboard.


def test_a_cell_is_read_only_where_its_options_are_the_same(tmp_path):
    """A file of the right name with other options in it is not believed."""
    options = options_for("ring", "gan", **TINY | {"steps": 1})
    cells.cell(options, tmp_path)
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    record["figures"]["modes"] = 77
    record["sha256"] = cells.digest(record["figures"])
    path.write_text(json.dumps(record))
    assert cells.cell(options, tmp_path)["modes"] == 77
    record["options"]["lr_d"] = 9.0
    path.write_text(json.dumps(record))
    assert cells.cell(options, tmp_path)["modes"] != 77


def test_rows_hold_every_seed_s_own_figures():
    seeds = []

    def figures(runs):
        seeds.extend(options.seed for options in runs)
        return [{"modes": o.seed, "high_quality": 0.5, "diverged": None, "seconds": 1.0} for o in runs]

    setting = scoreboard.Setting(("gan",), 3, 10, 1, {})
    (row,) = scoreboard._rows("ring", [("minimax", "plain")], setting, figures)
    assert seeds == [0, 1, 2] and row["values"]["modes"] == [0, 1, 2] and row["modes"][0] == 1


@pytest.mark.parametrize("loss", ["relativistic", "relativistic-average"])
@pytest.mark.parametrize("step", ["critic_step", "generator_step", "joint_step"])
def test_noise_lies_on_all_that_the_critic_sees(loss, step, monkeypatch):
    """On reals and on samples, in G's step, too, where a relativistic loss asks about reals."""
    t = fed(trainer(loss, "instance-noise", noise=50.0))
    t.sigma.assign(np.full(1, 50.0, np.float32))
    seen, judged = [], t.judged
    monkeypatch.setattr(t, "judged", lambda x: seen.append(x.detach().numpy()) or judged(x))
    getattr(t, step)()
    assert len(seen) >= 2
    for x in seen:
        assert np.abs(x[:, None] - t.pool[None, :4]).max(2).min() > 0.01, "clean reals"
        assert x.std() > 10


def test_batch_norm_of_the_published_generator_has_a_long_memory():
    """A running mean moves by a twentieth of the batch's."""
    g = published_generator(Generator(0, 1), width=4)
    norms = [layer for layer in g if isinstance(layer, nn.BatchNorm1d)]
    g(mg.randn(50, 2, generator=Generator(1, 1)))
    batch = g[0](mg.randn(50, 2, generator=Generator(1, 1))).detach().numpy()
    assert len(norms) == 4
    np.testing.assert_allclose(norms[0].running_mean.numpy(), 0.05 * batch.mean(0), rtol=1e-4)
