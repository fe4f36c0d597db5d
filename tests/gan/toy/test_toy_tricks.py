"""Every trick of the toy trainer does what its line says, by hand on networks of a few weights; the published settings;
what the figures stand beside; verdicts; the protocol's lines."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from click.testing import CliRunner

import minigan as mg
from minigan.backend import Generator
from minigan.cli import main
from minigan.cli import toy as cli
from minigan.gan import tricks
from minigan.gan.toy import TRICKS, ToyTrainer, cells, compare, nulls, options_for, protocol, published
from minigan.gan.toy import data as toydata
from minigan.gan.toy.trainer import STREAMS
from minigan.gan.tricks import VirtualReference

TINY = {"steps": 4, "batch_size": 4, "width": 3, "depth": 2, "seed": 3}


def trainer(trick, loss="non-saturating", data="ring", **changes):
    t = ToyTrainer(options_for(data, loss, trick, **TINY | changes))
    t.real.assign(t.pool[: t.options.batch_size])
    return t


def close(a, b, rtol=1e-5):
    a, b = (x.detach().numpy() if isinstance(x, mg.Tensor) else np.asarray(x) for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


def gradients_of(t):
    return [p.grad.numpy().copy() for n in (t.critic, t.generator) for p in n.parameters()]


def by_hand(t, row=None):
    """(D's loss, G's loss, both players' weights) on the batch and the latents that a joint step draws."""
    row = row or t.loss
    fake = t.generator(mg.randn(4, 2, generator=Generator(3, STREAMS["latent_g"])))
    d_real, d_fake = t.critic(t.real), t.critic(fake)
    players = [list(t.critic.parameters()), list(t.generator.parameters())]
    return row.discriminator(d_real, d_fake), row.generator(d_fake), players


def flat(slopes):
    return [g.numpy() for some in slopes for g in some]


def test_the_table_and_the_help_name_the_same_tricks():
    assert tuple(TRICKS) == cli.TRICKS
    assert all(name in tricks.TRICKS for row in TRICKS.values() for name in row.names)
    shown = CliRunner().invoke(main, ["toy", "--help"]).output
    assert all(name in "".join(shown.split()) for name in TRICKS)


def test_latents():
    z = {
        name: trainer(name, batch_size=4000).latent(Generator(0, 1)).numpy()
        for name in ("plain", "uniform", "spherical")
    }
    assert abs(z["plain"].std() - 1) < 0.05 and z["plain"].min() < -2
    assert 0 <= z["uniform"].min() < 0.01 and 0.99 < z["uniform"].max() < 1
    close(np.linalg.norm(z["spherical"], axis=1), np.full(4000, 2**0.5))
    assert trainer("uniform").sample(50).shape == (50, 2)


def test_labels_are_the_nearest_modes_and_both_players_see_them():
    t = trainer("labels")
    points, told = t.pool[:, :2] * t.spread + t.centre, t.pool[:, 2:].argmax(1)
    assert np.linalg.norm(points - t.points.modes[told], axis=1).max() < 0.1 and (t.pool[:, 2:].sum(1) == 1).all()
    z = t.latent(Generator(0, 1), 4000)
    assert (z.numpy()[:, 2:].sum(1) == 1).all() and np.ptp(z.numpy()[:, 2:].mean(0)) < 0.05
    close(t.fakes(z)[:, 2:], z.numpy()[:, 2:])
    assert next(t.critic.parameters()).shape[1] == 10
    with pytest.raises(ValueError, match="moons has none"):
        trainer("labels", data="moons")
    with pytest.raises(ValueError, match="judges a point with its mode"):
        t.landscape(np.zeros((2, 2)))


def test_noise_fades_and_both_steps_see_it():
    t = trainer("instance-noise", noise=0.4, steps=4, falling=False)
    x = mg.zeros(4000, 2)
    levels = []
    for _ in range(4):
        t.step()
        levels.append(t.sigma.item())
    close(levels, [0.4, 0.3, 0.2, 0.1])
    t.sigma.assign(np.full(1, 0.5, np.float32))
    assert abs(t.seen(x).numpy().std() - 0.5) < 0.02
    assert trainer("plain").seen(x) is x
    shown = []
    t.seen = lambda x: shown.append(x.shape) or x
    t.critic_step(), t.generator_step()
    assert shown == [(4, 2)] * 3


def test_features_are_matched_and_the_nearest_real_is_sought():
    for name, covariance in (("feature-matching", False), ("feature-covariance", True)):
        t = trainer(name)
        fake = mg.randn(4, 2, generator=Generator(0, 1))
        f = [mg.nn.Sequential(*list(t.critic)[:-1])(x).detach().numpy().astype(float) for x in (t.real, fake)]
        value = np.square(f[0].mean(0) - f[1].mean(0)).sum()
        if covariance:
            value += np.square(np.cov(f[0].T, bias=True) - np.cov(f[1].T, bias=True)).sum()
        close(t._matched(fake), value, 1e-4)
    t = trainer("nearest")
    fake = mg.tensor([[9.0, 9.0], [-9.0, 0.0]])
    gaps = np.square(fake.numpy()[:, None] - t.pool[None, :1000]).sum(2)
    close(t._matched(fake), gaps.min(1).mean())


def test_rates_and_penalties():
    for name, factors in (("plain", (1, 1)), ("two-rates", (4, 1)), ("low-rates", (0.25, 0.25))):
        t = trainer(name, lr_d=0.01, lr_g=0.02, falling=False)
        t.step()
        close([o.param_groups[0]["lr"] for o in (t.optim_d, t.optim_g)], [0.01 * factors[0], 0.02 * factors[1]])
    for name in ("one-sided", "zero-centred", "r1", "r2", "gp"):
        t = trainer(name, gp_weight=3.0)
        fake = t.real * 0.5 + 1.0
        outputs = t.judged(t.real), t.judged(fake)
        objective, figures = t._critic_objective(t.real, fake, *outputs)
        eps = mg.rand(4, 1, generator=Generator(3, STREAMS["eps"]))
        value, norm = tricks_penalty(TRICKS[name].penalty)(t.judged, t.real, fake, eps)
        close(objective, t.loss.discriminator(*outputs).item() + 3 * value.item())
        close(figures["gradient_norm"], norm)


def tricks_penalty(name):
    from minigan.gan.penalties import penalty

    return penalty(name)


def test_labels_that_are_not_0_and_1():
    t, r, f = trainer("soft-labels"), mg.tensor([[0.5], [-1.0]]), mg.tensor([[0.3], [2.0]])
    random = Generator(3, STREAMS["trick"])
    real, fake = 1 - 0.3 * mg.rand(2, 1, generator=random), 0.3 * mg.rand(2, 1, generator=random)
    p, q = (1 / (1 + np.exp(-x.numpy())) for x in (r, f))
    entropy = [-(y * np.log(d) + (1 - y) * np.log(1 - d)).mean() for y, d in ((real.numpy(), p), (fake.numpy(), q))]
    close(t.loss.discriminator(r, f), sum(entropy))
    close(trainer("smoothing").loss.discriminator(r, f), tricks.smoothed(trainer("plain").loss).discriminator(r, f))
    with pytest.raises(ValueError, match=r"width must be in \[0, 0.5\)"):
        tricks.soft(trainer("plain").loss, width=0.5)


def test_both_players_step_from_the_same_weights():
    t, twin = (trainer("simultaneous", width=16) for _ in "ab")
    d, g, players = by_hand(twin)
    expected = [mg.grad(d, players[0]), mg.grad(g, players[1])]
    t.joint_step()
    for a, b in zip(gradients_of(t), flat(expected), strict=True):
        close(a, b)
    with pytest.raises(ValueError, match="take n_critic 1, not 2"):
        trainer("simultaneous", n_critic=2)


def test_consensus_adds_the_field_s_norm_to_both():
    t, twin = trainer("consensus", consensus=2.0, width=16), trainer("consensus", width=16)
    d, g, players = by_hand(twin)
    field = [*mg.grad(d, players[0], create_graph=True), *mg.grad(g, players[1], create_graph=True)]
    far = sum(((v * v).sum() for v in field), mg.zeros(())) / 2
    expected = [mg.grad(value + 2 * far, some) for value, some in zip((d, g), players, strict=True)]
    t.joint_step()
    for a, b in zip(gradients_of(t), flat(expected), strict=True):
        close(a, b, 1e-4)


def test_lookahead_takes_the_gradients_at_the_predicted_point():
    t, twin = trainer("lookahead", ahead=0.5, width=16), trainer("lookahead", width=16)
    d, g, players = by_hand(twin)
    slopes = [mg.grad(d, players[0]), mg.grad(g, players[1])]
    with mg.no_grad():
        for some, grads in zip(players, slopes, strict=True):
            for p, v in zip(some, grads, strict=True):
                p.assign(p - 0.5 * v)
    t.ahead.assign(np.float32(0.5))  # as `step` does
    d, g, players = by_hand(twin)
    expected = flat([mg.grad(d, players[0]), mg.grad(g, players[1])])
    t.joint_step()
    for a, b in zip(gradients_of(t), expected, strict=True):
        close(a, b, 1e-4)
    assert any(abs(a - b).max() > 1e-3 for a, b in zip(flat(slopes), expected, strict=True))


def test_what_a_critic_can_have():
    """Virtual batch norm: an output does not depend on its batch-mates. Batch norm's and the pairwise distance's do."""
    x = mg.randn(4, 2, generator=Generator(0, 1))
    other = mg.cat([x[:1], 3 * x[1:]])
    for name, depends in (("plain", False), ("virtual-batch-norm", False), ("batch-norm", True), ("pairwise", True)):
        critic = trainer(name).critic
        far = abs(critic(x)[0].item() - critic(other)[0].item())
        assert (far > 1e-4) == depends, name
    assert isinstance(trainer("virtual-batch-norm").critic, VirtualReference)
    leaky = trainer("leaky")
    assert [repr(network).count("negative_slope=0.2") for network in (leaky.generator, leaky.critic)] == [2, 2]


def test_the_published_settings():
    """A batch is 100 inputs of D of m points each, in their own units; the networks' sizes; both step at once."""
    t = ToyTrainer(protocol.options("grid", "PacGAN4", 11))
    assert t.options.batch_size == 400 and t.packed(t.real).shape == (100, 8) and t.options.together
    assert (t.centre == 0).all() and (t.spread == 1).all() and abs(t.pool).max() > 4
    shapes = [tuple(p.shape) for p in t.generator.parameters() if p.ndim == 2]
    assert shapes == [(400, 2), (400, 400), (400, 400), (400, 400), (2, 400)]
    assert [tuple(p.shape) for p in t.critic.parameters() if p.ndim == 2] == [
        (1000, 8),
        (1000, 200),
        (1000, 200),
        (1, 200),
    ]
    assert abs(next(t.critic.parameters()).detach().numpy().std() - 0.02) < 1e-3
    assert published(3)["batch_size"] == 300 and published()["batch_size"] == 100
    assert protocol.order((11,))[:4] == [(*cell, 11) for cell in protocol.FIRST] and len(protocol.order()) == 30
    assert protocol.name_of(protocol.options("ring", "PacGAN2", 12)) == "ring-PacGAN2-12"


def test_a_protocol_cell_goes_on_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "SAVE_EVERY", 1)
    monkeypatch.setattr(toydata, "W1_SAMPLES", 50)
    options = options_for("ring", "gan", "packing", **TINY, turns="simultaneous")
    save, calls = protocol.checkpoint.save, []

    def stop(*args):
        path = save(*args)
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return path

    monkeypatch.setattr(protocol.checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        protocol.train(options, tmp_path / "a")
    resumed, whole = (protocol.train(options, tmp_path / name) for name in "ab")
    assert len(calls) == 4 + 4 and resumed.pop("ms_per_step") >= 0 and whole.pop("ms_per_step") >= 0
    assert resumed == whole
    arrays = [protocol.checkpoint.latest(tmp_path / name).arrays for name in "ab"]
    assert all(np.array_equal(arrays[0][k], arrays[1][k]) for k in arrays[1])


def test_the_protocol_s_lines_and_table(tmp_path, monkeypatch):
    """Damaged lines are passed over; a row has the mean of its finished seeds and says what is open; published figures
    and null models stand beside."""

    monkeypatch.setattr(toydata, "W1_SAMPLES", 50)

    def line(seed, modes, spoil=False, reverse_kl=0.1):
        figures = {"modes": modes, "held": modes, "high_quality": 0.9, "coverage": 0.8, "reverse_kl": reverse_kl,
                   "w1": 0.2, "diverged": None, "ms_per_step": 20.0}  # fmt: skip
        options = asdict(protocol.options("ring", "GAN", seed))
        return json.dumps({"options": options, "figures": figures, "sha256": cells.digest(figures) + "x" * spoil})

    (tmp_path / "cells.jsonl").write_text("\n".join([line(11, 6), line(12, 8), line(13, 1, spoil=True), "{", ""]))
    assert len(protocol.cells.lines(tmp_path / "cells.jsonl")) == 2
    figures = protocol.table(tmp_path)
    row = figures["rows"][0]
    assert (row["method"], row["done"], row["modes"][0]) == ("GAN", 2, 7.0) and list(row["open"]) == ["ring-GAN-13"]
    page = protocol.markdown(figures)
    assert "2 of 30 cells are done" in page and "| ring | GAN | 2 of 3 | 7.0+-" in page
    assert "| ring | GAN, published | 10 | 6.3+-0.5 |" in page and "| grid | uniform | 1 | 25.0 |" in page
    assert protocol.cell(protocol.options("ring", "GAN", 12), tmp_path)["modes"] == 8
    (tmp_path / "cells.jsonl").write_text("\n".join([line(11, 6), line(12, 8), line(13, 0, reverse_kl=None)]))
    row = protocol.table(tmp_path)["rows"][0]  # infinite in one seed, so there is no mean
    assert row["done"] == 3 and row["reverse_kl"] is None and row["w1"] == (0.2, 0.0)


def test_a_formless_blob_holds_nothing(monkeypatch):
    """N(0, 0.3^2) and its like: found modes are luck, held ones need quality. What real data get is the ceiling."""
    monkeypatch.setattr(toydata, "W1_SAMPLES", 200)
    blob = 0.3 * np.random.default_rng(0).standard_normal((2500, 2))
    for name in ("ring", "grid"):
        points = toydata.load(name)
        table = nulls.null_scores(points)
        figures = toydata.scores(blob, points)
        assert figures["held"] <= 1 and figures["coverage"] < 0.05
        assert nulls.winners(figures, table)
        assert (
            table["blob"]["held"] == table["uniform"]["held"] == 0 and table["uniform"]["modes"] > len(points.modes) / 2
        )
        assert table["one mode"]["high_quality"] > 0.97 and table["one mode"]["coverage"] < 0.25
        real = table[nulls.REALS]
        assert real["held"] == len(points.modes) and real["coverage"] > 0.94
        assert not nulls.winners(real, table, nulls.sampling_margins(real))


def test_coverage_and_held_by_hand():
    """Of 8 modes, shares 1/2, 1/8, 1/16, 1/32 good, the rest nowhere: min(share, 1/8) sums to 11/32; three are held."""
    modes = toydata.load("ring").modes
    x = np.concatenate([np.repeat(modes[:4], [16, 4, 2, 1], axis=0), np.full((9, 2), 50.0)])
    figures = toydata.mode_scores(x, modes, 0.01)
    assert figures["coverage"] == pytest.approx(11 / 32) and figures["held"] == 3 and figures["modes"] == 4


def test_null_models_that_win_are_named():
    table = {"real data": {"coverage": 0.97, "w1": 0.05}, "blob": {"coverage": 0.01, "w1": 0.40}}
    assert not nulls.winners({"coverage": 0.5, "w1": 0.3}, table)
    assert nulls.winners({"coverage": 0.5, "w1": 0.3}, table, {"w1": 0.1}) == ["blob in W1"]
    assert nulls.winners({"coverage": 0.01, "w1": 0.3}, table) == ["blob in coverage"]
    assert nulls.winners({"coverage": 0.5}, table) == ["blob in W1"]  # not finite: no distance
    figures = {"coverage": 0.5, "w1": 0.5, "samples": 2500, "modes": 8, "held": 4, "high_quality": 0.6}
    page = nulls.page(figures, table)
    assert "warning: a null model is no worse: blob in W1" in page and "modes ^" in page and "W1 v" in page
    assert "of 2,500 samples" in page and "infinite" in page


def test_verdicts():
    """Welch's interval of the difference in coverage leaves out zero, or says nothing."""

    def runs(*coverage):
        return [dict.fromkeys(nulls.FIGURES, value) | {"diverged": None} for value in coverage]

    rows = compare.compared({"plain": runs(0.5, 0.51, 0.52), "a": runs(0.6, 0.61, 0.62), "b": runs(0.4, 0.41, 0.42),
                             "c": runs(0.3, 0.5, 0.8)})  # fmt: skip
    words = ["helps", "hurts", "no difference seen"]
    assert [row["verdict"]["coverage"] for row in rows[1:]] == words
    assert [row["verdict"]["w1"] for row in rows[1:]] == ["hurts", "helps", words[2]]  # less is better there
    low, high = rows[1]["differences"]["coverage"]
    assert (low + high) / 2 == pytest.approx(0.1) and (high - low) / 2 == pytest.approx(
        2.776 * (2e-4 / 3) ** 0.5, rel=1e-2
    )
    assert compare.verdict((-0.2, -0.1), -1) == "helps" and compare.verdict(None, 1) == "no difference seen"
    record = {
        "data": "ring",
        "loss": "gan",
        "seeds": [11, 12, 13],
        "budget": compare.BUDGET,
        "seconds": 1.0,
        "rows": rows,
        "refused": {"unrolled": "why"},
        "null_models": {"blob": {"modes": 8, "coverage": 0.004}},
    }
    page = compare.text(record)
    assert "helps (+0.0" in page and "refused: why" in page and "null model" in page
    record["rows"] = [row | {"trick": name} for row, name in zip(rows, ("plain", "gp", "r1", "r2"), strict=True)]
    assert compare.markdown(record).count("\n| ") == 2 + 4 + 2 + 3


def test_a_comparison_runs_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(toydata, "W1_SAMPLES", 50)
    tiny = {"steps": 2, "batch_size": 4, "width": 3, "depth": 1}
    monkeypatch.setattr(compare, "BUDGET", tiny)
    record = compare.run(tmp_path, ["r1", "unrolled"], (11, 12), loss="wasserstein")
    assert [row["trick"] for row in record["rows"]] == ["plain", "r1"] and "clip" in record["refused"]["unrolled"]
    files = sorted(tmp_path.glob("ring-*.json"))
    assert len(files) == 4 and (tmp_path / "tricks.md").read_text().startswith("# Tricks against the plain run")
    monkeypatch.setattr(cells, "ToyTrainer", None)
    assert compare.run(tmp_path, ["r1"], (11, 12), loss="wasserstein")["rows"] == record["rows"]
