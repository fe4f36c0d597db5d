"""What the plain trainer minimises and how it steps, by hand: on images of 8 x 8 pixels, in float64, from the networks'
own outputs and the random streams' own numbers. Each test is a moment's work; test_system_mutants.py breaks the trainer
and sees them fail."""

import numpy as np
import pytest
from worlds import WORLD, close, gradient_of, penalty_by_hand, stream, trainer

import minigan as mg
from minigan.backend import Generator
from minigan.gan import train
from minigan.gan.losses import LOSSES
from minigan.gan.metrics import classifier
from minigan.gan.metrics.judging import Judge, Observation
from minigan.gan.steps import by_way_of_samples
from minigan.gan.systems import conditional, infogan
from minigan.gan.systems.plain import some_of
from minigan.gan.train import STREAMS, Trainer, generate

LATENTS = (3, 2)


def latents(random):
    return mg.randn(*LATENTS, generator=random, dtype=mg.float64)


@pytest.mark.parametrize(
    "changes",
    [
        {"system": "wgan-gp", "gp_weight": 7.0},
        {"system": "dcgan", "loss": "ebgan", "critic_norm": False},
        {"system": "dcgan", "gp_weight": 2.0, "penalty": "r1", "critic_norm": False},
    ],
    ids=["wasserstein", "energies", "r1"],
)
def test_the_critic_s_objective(changes):
    """L_D(D(x), D(Gz)) + lambda penalty, fresh latents and eps each time; nothing of it reaches G."""
    t = trainer(**changes)
    row, options = t.loss, t.options
    random_z, random_eps = stream(t, STREAMS["latent_d"]), stream(t, STREAMS["eps"])
    for _ in range(2):
        t.feed()
        real = t.batch["real"]
        with mg.no_grad():
            fake = t.generator(latents(random_z))
        expected = row.discriminator(row.head(t.critic(real)), row.head(t.critic(fake)))
        if options.gp_weight:
            eps = mg.rand(3, 1, 1, 1, generator=random_eps, dtype=mg.float64)
            expected = expected + options.gp_weight * penalty_by_hand(options.penalty, t.critic, real, fake, eps)
        objective, figures = t.critic_loss()
        close(objective, expected)
        close(figures["d_loss"], row.discriminator(row.head(t.critic(real)), row.head(t.critic(fake))))
        assert gradient_of(objective, t.generator) is None


@pytest.mark.parametrize("loss", ["non-saturating", "ebgan", "relativistic", "relativistic-average"])
def test_the_generator_s_objective(loss):
    """L_G(D(Gz), D(x)) on latents of its own; it reaches G, and the reals' part gives no gradient."""
    t = trainer("dcgan", loss=loss)
    t.feed()
    random_z, row = stream(t, STREAMS["latent_g"]), LOSSES[loss]
    for _ in range(2):
        fake = t.generator(latents(random_z))
        expected = row.generator(row.head(t.critic(fake)), row.head(t.critic(t.batch["real"])))
        objective, figures = t.generator_loss()
        close(objective, expected)
        assert figures["g_loss"] is objective
        close(gradient_of(objective, t.generator), gradient_of(expected, t.generator))


def test_each_half_step_moves_its_player_along_its_objective():
    """The gradient in .grad is that of the whole objective, penalty included; the other player stays, to the bit."""
    t, twin = (trainer("wgan-gp", gp_weight=7.0, n_critic=2, lr=0.01) for _ in "ab")
    for number, half_step in enumerate(t.half_steps()):
        name = "critic" if number < 2 else "generator"
        own, other = (t.critic, t.generator) if name == "critic" else (t.generator, t.critic)
        before, still = ([p.detach().numpy().copy() for p in m.parameters()] for m in (own, other))
        half_step.feed()
        if name == "critic":
            assert np.array_equal(t.batch["real"].numpy(), t.loader.batch(number)[0])
            twin.feed()
        half_step.player.gradients()
        objective, _ = twin.critic_loss() if name == "critic" else twin.generator_loss()
        expected = mg.grad(objective, list((twin.critic if name == "critic" else twin.generator).parameters()))
        for p, g in zip(own.parameters(), expected, strict=True):
            close(p.grad, g)
        half_step.player.move()
        twin.critic.load_state_dict(t.critic.state_dict())
        twin.generator.load_state_dict(t.generator.state_dict())
        assert all(np.array_equal(p.detach().numpy(), b) for p, b in zip(other.parameters(), still, strict=True))
        assert not all(np.array_equal(p.detach().numpy(), b) for p, b in zip(own.parameters(), before, strict=True))
    assert number == 2 and t.loader.step == 2


@pytest.mark.parametrize(
    ("capture", "system"), [(False, "wgan-gp"), (True, "wgan-gp"), (False, "dcgan"), (True, "dcgan")]
)
def test_d_stays_to_the_bit_while_g_steps(capture, system):
    """Across every generator half-step of Trainer.step, recorded or replayed, each weight of D is the same to the bit,
    and has no gradient but its own step's; G's weights change, and average, too, only at the end."""
    t = trainer(system, n_critic=1, n_generator=2, lr=0.01, capture=capture)
    generator, moves = t.players["generator"], []

    def bits(network):
        return [p.detach().numpy().tobytes() for p in network.parameters()]

    def slopes(network):
        return [p.grad.numpy().tobytes() for p in network.parameters()]

    def gradients():
        before = bits(t.critic), slopes(t.critic), bits(t.generator)
        figures = generator.gradients()
        moves.append(before)
        return figures

    def move():
        generator.move()
        d, d_slopes, g = moves[-1]
        assert bits(t.critic) == d and slopes(t.critic) == d_slopes
        assert bits(t.generator) != g

    class Watched:
        pass

    watched = Watched()
    watched.gradients, watched.move = gradients, move
    t.players["generator"] = watched
    for _ in range(3):
        t.step()
    assert len(moves) == 6 and moves[0][2] != moves[1][2] and moves[1][0] != moves[2][0]


def test_k_g_generator_steps_follow_the_critic_s():
    """n_generator half-steps, each on latents of its own and on no new reals; one, under its old name, by default."""
    t = trainer("wgan-gp", n_critic=2, n_generator=3)
    names = [half_step.name for half_step in t.half_steps()]
    assert names == ["critic step 1 of 2", "critic step 2 of 2", *(f"generator step {k} of 3" for k in (1, 2, 3))]
    t.step()
    assert t.loader.step == 2 and t.random["latent_d"].step == 2 and t.random["latent_g"].step == 3
    assert [h.name for h in trainer("wgan-gp", n_critic=1).half_steps()] == ["critic step 1 of 1", "generator step"]
    with pytest.raises(ValueError, match="n_generator must be at least 1, got 0"):
        trainer("wgan-gp", n_generator=0)


@pytest.mark.parametrize(("loss", "zero_sum"), [("minimax", True), ("wasserstein", True), ("non-saturating", False)])
def test_two_routes_lead_to_g_s_gradient(loss, zero_sum):
    """Freeze D and differentiate L_G; or push minus dL_D/dx through G: equal to rounding where L_G = -L_D on samples,
    and half of it where L_D has its halves."""
    t = trainer("dcgan", loss=loss, critic_norm=False)
    t.feed()
    row, real = t.loss, t.batch["real"]
    params = list(t.generator.parameters())
    fake = t.generator(latents(stream(t, STREAMS["latent_g"])))
    frozen = mg.grad(row.generator(t.critic(fake)), params)
    pushed = by_way_of_samples(lambda x: -row.discriminator(t.critic(real), t.critic(x)), fake, params)
    halved = by_way_of_samples(lambda x: -row.discriminator(t.critic(real), t.critic(x)) / 2, fake, params)
    for one, other, half in zip(frozen, pushed, halved, strict=True):
        assert np.allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-14) == zero_sum
        assert np.allclose(2 * half.numpy(), other.numpy(), rtol=1e-12, atol=1e-18)


def test_optimisers_are_the_options():
    t = trainer("dcgan", lr=0.02, beta1=0.3, beta2=0.7)
    for optimiser in (t.optim_d, t.optim_g):
        assert optimiser.param_groups[0]["lr"] == 0.02 and tuple(optimiser.param_groups[0]["betas"]) == (0.3, 0.7)
    t = trainer("wgan", clip=0.01, lr=0.5)
    assert type(t.optim_d) is mg.optim.RMSprop
    t.step()
    assert max(abs(p.detach().numpy()).max() for p in t.critic.parameters()) == pytest.approx(0.01)
    assert max(abs(p.detach().numpy()).max() for p in t.generator.parameters()) > 0.01


def test_the_average_follows_the_generator_and_samples_are_its():
    """After each step average += (1 - f) (G - average), f = min(decay, (1 + t) / (10 + t)); samples come from it, in
    evaluation mode, so that one does not depend on another."""
    t = trainer("dcgan", average=0.25, lr=0.05)
    expected = [p.detach().numpy().copy() for p in t.generator.parameters()]
    for k in range(1, 4):
        t.step()
        factor = min(0.25, (1 + k) / (10 + k))
        expected = [
            factor * a + (1 - factor) * p.detach().numpy()
            for a, p in zip(expected, t.generator.parameters(), strict=True)
        ]
        for a, b in zip(t.average.module.parameters(), expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-6, atol=1e-9)
    z = latents(stream(t, 99))
    samples = t.sample(z)
    assert np.array_equal(samples, generate(t.average.module, z)) and not np.allclose(samples, generate(t.generator, z))
    np.testing.assert_allclose(t.sample(z[:1]), samples[:1], rtol=1e-9)
    assert t.average.module.training and len(np.unique(samples.mean((1, 2, 3)))) == 3


def test_begin_comes_once_and_anneal_before_every_step():
    calls = []

    class Probe(Trainer):
        def begin(self):
            calls.append("begin")

        def anneal(self):
            calls.append(self.steps_done)

    t = Probe(trainer("dcgan").options, WORLD)
    for _ in range(3):
        t.step()
    assert calls == ["begin", 0, 1, 2]


def test_the_preview_is_of_the_same_latents_whenever_it_is_taken():
    t = trainer("dcgan")
    first = t.preview(4)
    t.steps_done += 1
    t.random["latent_g"].step += 1
    assert np.array_equal(first, t.preview(4))


@pytest.mark.parametrize(("split", "count"), [("validation", 3), ("test", 3), ("all", 6)])
def test_observing_on_a_part_leaves_training_as_it_was(split, count):
    """The real images of the judgement are those of the part, the training images all; afterwards the set is whole."""
    seen = []

    class Probe(Trainer):
        def observe(self, count, random, details=False):
            seen.append((self.yardstick.held_out, self.yardstick.train, self.dataset, count, random, details))
            if count == 0:
                raise ValueError("no judge")
            return Observation({"x": 1}, [])

    t, random = Probe(trainer("dcgan").options, WORLD), object()
    assert t.observe_on(split, 9, random).figures == {"x": 1, "split": split}
    rows = WORLD.held_out if split == "all" else WORLD.half(split).held_out
    assert np.array_equal(seen[0][0], rows) and len(rows) == count and seen[0][3:] == (9, random, True)
    assert np.array_equal(seen[0][1], WORLD.train) and seen[0][2] is WORLD
    with pytest.raises(ValueError, match="no judge"):
        t.observe_on(split, 0, random)
    assert t.yardstick is WORLD


def test_a_run_with_a_share_of_the_images_is_judged_by_those(monkeypatch):
    """What it copies is what it saw: the same rows as it trains on."""
    rows = []
    monkeypatch.setattr(train, "observe_samples", lambda *arguments: rows.append(arguments[5]) or Observation({}, []))
    for share in (1.0, 0.5):
        t = trainer("dcgan", share=share)
        t.observe(2, Generator(0, 7))
        assert np.array_equal(rows[-1], some_of(WORLD, share).train) and np.array_equal(rows[-1], t.trained_on.train)
    assert len(rows[1]) < len(rows[0]) == len(WORLD.train)


@pytest.mark.parametrize(
    ("system", "module"), [("dcgan", train), ("cgan", conditional), ("infogan", infogan), ("ebgan", train)]
)
def test_every_system_is_judged_by_the_half(system, module, monkeypatch):
    sets, energies = [], []
    monkeypatch.setattr(
        module, "observe_samples", lambda images, data, dataset, *_: sets.append(dataset) or Observation({}, [])
    )
    if module is not train:
        monkeypatch.setattr(module, "judge_of", lambda *_: Judge(None, 1.0))
    monkeypatch.setattr(classifier, "classes", lambda model, images: np.zeros(len(images), np.int64))
    t = trainer(system)
    if system == "ebgan":
        monkeypatch.setattr(t, "energies", lambda images: energies.append(len(images)) or np.zeros(len(images)))
    t.observe_on("test", 6, Generator(0, 7))
    assert [list(d.held_out) for d in sets] == [list(WORLD.half("test").held_out)]
    assert energies == ([3, 6, 6] if system == "ebgan" else [])
