"""The tricks that `train` knows by name, by hand: what D judges, what G minimises, how the two step; on images of 8 x 8
or 16 x 16 pixels in float64, from the networks' own outputs and the random streams' own numbers."""

import numpy as np
import pytest
from worlds import INFO, WORLD, close, gradient_of, penalty_by_hand, stream, trainer

import minigan as mg
from minigan import nn
from minigan.gan._dry_run import dry_run, text
from minigan.gan.networks.table import PAIRS
from minigan.gan.systems import options_for, trainer_for
from minigan.gan.systems.switches import SWITCHES, UNROLL_RATE
from minigan.gan.systems.switches import switches as switches_of
from minigan.gan.train import STREAMS
from minigan.gan.tricks import ImpossiblePair, VirtualBatchNorm

N = 4


def tricked(trick, system="dcgan", **changes):
    """A trainer with a batch of four and no norm in D, fed."""
    t = trainer(system, **{"critic_norm": False, "batch_size": N, "trick": trick} | changes)
    t.feed()
    return t


def fakes(t, name):
    """What G makes of the latents that a stream gives next, the trainer's own stream left where it is."""
    z = mg.randn(t.options.batch_size, 2, generator=stream(t, STREAMS[name]), dtype=mg.float64)
    return t.generator(z)


def weights(network):
    return [p.detach().numpy().copy() for p in network.parameters()]


def test_packs_are_of_neighbours_in_the_batch_and_of_one_side():
    """D judges images 0 and 1 as one of two channels, 2 and 3 as another, all real or all generated; the penalty's
    points are packs, too, one eps each."""
    t = tricked("packing=2", "wgan-gp", gp_weight=3.0)
    with mg.no_grad():
        fake = fakes(t, "latent_d")
    real, fake = (x.reshape(2, 2, 8, 8) for x in (t.batch["real"], fake))
    assert next(t.critic.parameters()).shape[1] == 2 and t.critic(real).shape == (2,)
    eps = mg.rand(2, 1, 1, 1, generator=stream(t, STREAMS["eps"]), dtype=mg.float64)
    expected = t.loss.discriminator(t.critic(real), t.critic(fake))
    expected = expected + 3 * penalty_by_hand("two-sided", t.critic, real, fake, eps)
    close(t.critic_loss()[0], expected)
    for loss in ("wasserstein", "relativistic"):
        t = tricked("packing=2", loss=loss)
        real, fake = (x.reshape(2, 2, 8, 8) for x in (t.batch["real"], fakes(t, "latent_g")))
        close(t.generator_loss()[0], t.loss.generator(t.critic(fake), t.critic(real)))


@pytest.mark.parametrize("moves", ["", ",simultaneous"])
def test_slopes_at_the_images_themselves_are_of_packs_too(moves):
    """R1 and R2 of r3gan: 1/2 E ||grad f||^2 over packs, where the loss's own outputs serve and where they do not."""
    t = trainer("r3gan", batch_size=N, trick=f"packing=2{moves}", lr=0.05)
    t.feed(), t.anneal()
    for half_step in t.half_steps():
        half_step.player.gradients(), half_step.player.move()
    with mg.no_grad():
        fake = fakes(t, "latent_d")
    packs = [x.reshape(2, 2, 8, 8) for x in (t.batch["real"], fake)]
    expected = sum(penalty_by_hand("r1", t.critic, x, x, None) for x in packs)
    close(t.critic_objective(fake)[1]["penalty"], expected)
    assert expected.item() > 1e-3


@pytest.mark.parametrize("network", PAIRS)
@pytest.mark.parametrize("trick", ["minibatch", "pairwise"])
def test_the_last_layer_takes_features_and_nearness_to_batch_mates(network, trick):
    t = tricked(trick, network=network)
    x = t.batch["real"]
    joint, inner = t.critic, t.critic.critic
    f = inner.features(x).detach().numpy()
    close(inner(x), inner.score(mg.tensor(f)))
    if trick == "pairwise":
        gaps = np.sqrt(np.square(f[:, None] - f[None]).sum(2))
        extra = gaps.sum(1, keepdims=True) / (N - 1)
    else:
        m = (f @ joint.joint.weight.detach().numpy()).reshape(N, 16, 8)
        extra = np.exp(-np.abs(m[:, None] - m[None]).sum(3)).sum(1) - 1
    weight, bias = joint.nearness.weight.detach().numpy(), joint.nearness.bias.detach().numpy()
    close(joint(x), inner(x) + mg.tensor((extra @ weight.T + bias)[:, 0]))
    close(joint.features(x), mg.tensor(np.concatenate([f, extra], 1)))
    assert abs(extra).max() > 0


def test_virtual_batch_norm_goes_by_the_first_batch_and_the_image_itself():
    t = tricked("virtual-batch-norm", size=16)
    (norm,) = (m for m in t.critic.modules() if isinstance(m, VirtualBatchNorm))
    first = t.loader.batch(0)[0]
    close(t.critic.reference, mg.tensor(first.astype(np.float64)))
    inner = list(t.critic.network.main)
    assert inner[3] is norm and not any(isinstance(m, nn.BatchNorm2d) for m in t.critic.modules())

    def before(images):  # the layers below the norm
        return inner[2](inner[1](inner[0](images))).detach().numpy()

    x = mg.tensor(np.random.default_rng(3).uniform(-1, 1, (2, 1, 16, 16)))
    reference, outputs = before(t.critic.reference), []
    for h in before(x):
        whole = np.concatenate([reference, h[None]])
        scale = 1 / np.sqrt(whole.var((0, 2, 3)) + norm.eps) * norm.weight.detach().numpy()
        outputs.append((h - whole.mean((0, 2, 3))[:, None, None]) * scale[:, None, None])
    close(t.critic(x), inner[5](inner[4](mg.tensor(np.stack(outputs)))).reshape(2))
    close(t.critic(x)[:1], t.critic(x[:1]))
    packed = tricked("virtual-batch-norm,packing=2", size=16)
    assert packed.critic.reference.shape == (2, 2, 16, 16)
    info = trainer_for(packed.options, INFO)  # what only samples has no images
    assert not info.critic.reference.numpy().any() and info.critic.reference.shape == (2, 2, 16, 16)


def test_the_scale_that_d_sees_and_the_slopes_of_g():
    t = tricked("unscaled")
    shown = []
    t.critic.register_forward_pre_hook(lambda module, arguments: shown.append(arguments[0].numpy()))
    t.critic_loss()
    np.testing.assert_allclose(shown[0], 127.5 * (t.batch["real"].numpy() + 1))
    assert shown[1].min() >= 0 and shown[1].max() > 2
    plain, leaky = tricked(""), tricked("leaky")
    kinds = [[type(m) for m in t.generator.modules()] for t in (plain, leaky)]
    assert kinds[1] == [nn.LeakyReLU if kind is nn.ReLU else kind for kind in kinds[0]] != kinds[0]
    assert all("0.2" in repr(m) for m in leaky.generator.modules() if isinstance(m, nn.LeakyReLU))
    assert all(np.array_equal(a, b) for a, b in zip(weights(plain.generator), weights(leaky.generator), strict=True))


@pytest.mark.parametrize("network", ["dcgan", "resnet", "mlp", "resnet101"])
def test_no_rectifier_of_g_is_left_out(network, monkeypatch):
    """With the identity in their place, and in tanh's, G is affine: in evaluation G(z) + G(-z) = 2 G(0)."""
    for kind in (nn.LeakyReLU, nn.Tanh):
        monkeypatch.setattr(kind, "forward", lambda self, x: x)
    generator = tricked("leaky", network=network).generator.eval()
    z = mg.randn(2, 2, dtype=mg.float64)
    plus, minus, middle = (generator(x) for x in (z, -z, 0 * z))
    close(plus + minus, 2 * middle)
    assert abs((plus - middle).detach().numpy()).max() > 1e-6


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("trick", ["feature-matching", "feature-covariance"])
def test_g_matches_what_d_s_last_layer_takes(trick, noise):
    """Of reals and of samples as D sees them; no gradient goes through the reals."""
    t = tricked(trick, noise=noise)
    t.anneal()
    twin = stream(t, 9)
    sides = [t.batch["real"], fakes(t, "latent_g")]
    if noise:
        sides = [x + 0.5 * mg.randn(*x.shape, generator=twin, dtype=mg.float64) for x in sides]
    real, fake = (t.critic.features(x) for x in sides)
    expected = mg.square(real.detach().mean(0) - fake.mean(0)).sum()
    if trick == "feature-covariance":
        a, b = (f - f.mean(0, keepdim=True) for f in (real.detach(), fake))
        expected = expected + mg.square(a.transpose(0, 1) @ a / N - b.transpose(0, 1) @ b / N).sum()
    objective, figures = t.generator_loss()
    close(objective, expected)
    close(gradient_of(objective, t.generator), gradient_of(expected, t.generator))
    assert figures["g_loss"] is objective
    assert ("Cov" in t.formulas()["g_loss"]) == (trick == "feature-covariance")
    assert t.formulas()["d_loss"] == tricked("").formulas()["d_loss"]


@pytest.mark.parametrize("changes", [{}, {"gp_weight": 2.0, "penalty": "r1"}], ids=["plain", "penalised"])
def test_g_looks_through_k_steps_of_d_s_own_objective(changes):
    """psi' = psi - rate dL_D/dpsi twice, the penalty included; G's gradient passes through both steps."""
    t = tricked("unrolled=2", **changes)
    t.critic.load_state_dict({name: 20 * value for name, value in t.critic.state_dict().items()})
    real, fake, ahead = t.batch["real"], fakes(t, "latent_g"), dict(t.critic.named_parameters())

    def judged(parameters, x):
        return nn.functional_call(t.critic, parameters, x)

    def after(parameters, through):
        for _ in range(2):
            loss = t.loss.discriminator(judged(parameters, real), judged(parameters, fake))
            if changes:
                loss = loss + 2 * penalty_by_hand("r1", lambda x, p=parameters: judged(p, x), real, fake, None)
            slopes = mg.grad(loss, list(parameters.values()), create_graph=True)
            slopes = slopes if through else [g.detach() for g in slopes]
            parameters = {n: p - UNROLL_RATE * g for (n, p), g in zip(parameters.items(), slopes, strict=True)}
        return t.loss.generator(judged(parameters, fake))

    objective, expected = t.generator_loss()[0], after(ahead, True)
    close(objective, expected)
    gradient, blind = gradient_of(expected, t.generator), gradient_of(after(ahead, False), t.generator)
    close(gradient_of(objective, t.generator), gradient)
    assert abs(gradient.numpy() - blind.numpy()).max() > 1e-6 * abs(gradient.numpy()).max()
    assert objective.item() != t.loss.generator(judged(ahead, fake)).item()
    frozen = tricked("unrolled=2", **changes)
    frozen.critic.load_state_dict(t.critic.state_dict())
    frozen.critic.requires_grad_(False)
    close(gradient_of(frozen.generator_loss()[0], frozen.generator), gradient)


def losses_by_hand(t):
    """(D's loss, G's loss) at the present weights, on the batch and the latents that a joint step draws next."""
    fake = fakes(t, "latent_g")
    d_real, d_fake = t.critic(t.batch["real"]), t.critic(fake)
    return [t.loss.discriminator(d_real, d_fake), t.loss.generator(d_fake)]


def test_players_who_step_together_take_one_batch_and_old_weights():
    """Both gradients are of the weights before the step, on the same latents; then both move."""
    t = tricked("simultaneous", lr=0.01)
    (half_step,) = t.half_steps()
    assert half_step.name == "joint step" and half_step.feed == t.feed
    d, g = losses_by_hand(t)
    expected = [gradient_of(d, t.critic), gradient_of(g, t.generator)]
    before = [weights(network) for network in (t.critic, t.generator)]
    figures = half_step.player.gradients()
    for network, slopes, name in zip((t.critic, t.generator), expected, "dg", strict=True):
        close(mg.cat([p.grad.reshape(-1) for p in network.parameters()]), slopes)
        close(figures[f"{name}_weight_gradient"], mg.sqrt(mg.square(slopes).sum()))
    close(figures["objective"], d + g)
    close(figures["d_loss"], d)
    close(figures["g_loss"], g)
    half_step.player.move()
    for network, old in zip((t.critic, t.generator), before, strict=True):
        assert all(not np.array_equal(a, b) for a, b in zip(weights(network), old, strict=True))
    assert t.random["latent_d"].step == 0 and t.random["latent_g"].step == 1


def test_lookahead_takes_the_gradients_one_plain_step_ahead_and_leaves_the_weights():
    t, twin = tricked("lookahead=0.5"), tricked("simultaneous")
    players = [[*network.parameters()] for network in (twin.critic, twin.generator)]
    slopes = [mg.grad(loss, params) for loss, params in zip(losses_by_hand(twin), players, strict=True)]
    with mg.no_grad():
        for params, some in zip(players, slopes, strict=True):
            for p, g in zip(params, some, strict=True):
                p.assign(p - 0.5 * g)
    expected = [mg.grad(loss, params) for loss, params in zip(losses_by_hand(twin), players, strict=True)]
    before = [weights(network) for network in (t.critic, t.generator)]
    t.half_steps()[0].player.gradients()
    for network, old, some in zip((t.critic, t.generator), before, expected, strict=True):
        for p, value, g in zip(network.parameters(), old, some, strict=True):
            assert np.array_equal(p.detach().numpy(), value)
            close(p.grad, g)


def test_consensus_adds_half_the_squared_field_to_both_through_both_networks():
    t = tricked("consensus=0.7")
    d, g = losses_by_hand(t)
    d_params, g_params = (list(network.parameters()) for network in (t.critic, t.generator))
    slopes = [*mg.grad(d, d_params, create_graph=True), *mg.grad(g, g_params, create_graph=True)]
    half = sum(mg.square(slope).sum() for slope in slopes) / 2
    expected = [mg.grad(loss + 0.7 * half, params) for loss, params in ((d, d_params), (g, g_params))]
    figures = t.half_steps()[0].player.gradients()
    close(figures["field"], half)
    for params, some in zip((d_params, g_params), expected, strict=True):
        for p, slope in zip(params, some, strict=True):
            close(p.grad, slope)


@pytest.mark.parametrize("trick", ["optimistic", "optimistic,simultaneous"])
def test_optimistic_gradients_remember_the_last_ones(trick):
    """2 g_t - g_{t-1} for each player, by its own past; the first is g_t. What it remembers is in the state."""
    t, twin = (tricked(name, lr=1e-9) for name in (trick, trick.partition(",")[2]))
    past = {}
    for _ in range(3):
        for h, w in zip(t.half_steps(), twin.half_steps(), strict=True):
            for one in (h, w):
                one.feed()
                one.player.gradients()
            for name in ("critic", "generator"):
                a, b = ([p.grad for p in getattr(x, name).parameters()] for x in (t, twin))
                if a[0] is None or (len(t.half_steps()) == 2 and h.name.split()[0] != name):
                    continue
                old = past.get(name)
                for i, (p, q) in enumerate(zip(a, b, strict=True)):
                    expected = q.numpy() if old is None else 2 * q.numpy() - old[i]
                    np.testing.assert_allclose(p.numpy(), expected, rtol=1e-4, atol=1e-7)
                past[name] = [q.numpy().copy() for q in b]
            h.player.move(), w.player.move()
    arrays, _ = t.state()
    names = [name for name in arrays if name.startswith("memory.")]
    assert len(names) == 2 + len(list(t.critic.parameters())) + len(list(t.generator.parameters()))
    for i, value in enumerate(past["generator"]):
        np.testing.assert_allclose(arrays[f"memory.generator.{i}"], value, rtol=1e-4, atol=1e-7)


TOGETHER = [
    {"trick": "packing=2,minibatch,virtual-batch-norm,optimistic,leaky,unrolled=1", "labels": "soft", "noise": 0.2},
    {"trick": "lookahead,feature-covariance,unscaled", "loss": "relativistic", "noise": 0.2},
    {"trick": "pairwise,simultaneous,feature-matching"},
    {"trick": "consensus"},
]


def test_every_trick_is_in_a_restart():
    assert {name for changes in TOGETHER for name in switches_of(changes["trick"])} == SWITCHES.keys()


@pytest.mark.parametrize("changes", TOGETHER, ids=lambda changes: changes["trick"])
def test_a_resumed_run_is_the_same_to_the_bit_and_a_replayed_one_to_rounding(changes):
    """Three steps; two, then a restart; op by op. Adam divides by a gradient's size, so that rounding of a gradient
    near zero shows in a weight, up to the rate."""
    settings = {"size": 16, "base": 1, "batch_size": N, "latent": 2, "critic_norm": False, "lr": 1e-4, "steps": 4}
    runs = []
    for capture in (True, True, False):
        t = trainer_for(options_for("dcgan", **settings, **changes, capture=capture), WORLD)
        for _ in range(2):
            t.step()
        if len(runs) == 1:
            saved, rest = t.state()
            t = trainer_for(t.options, WORLD)
            t.restore(saved, rest)
        figures = t.step()
        assert np.isfinite(list(figures.values())).all()
        runs.append(t.state()[0])
    whole, resumed, eager = runs
    assert whole.keys() == resumed.keys() and all(np.array_equal(whole[k], resumed[k]) for k in whole)
    for name, array in whole.items():
        np.testing.assert_allclose(array, eager[name], rtol=1e-3, atol=4e-4, err_msg=name)


def test_what_cannot_be_is_refused_with_the_reason():
    for changes, error, words in (
        ({"trick": "packin"}, ValueError, "unknown trick 'packin'; did you mean 'packing'"),
        ({"trick": "leaky=3"}, ValueError, "trick leaky takes no number, got leaky=3"),
        ({"trick": "packing=1"}, ValueError, "packing takes a whole number from 2 on, as in packing=2"),
        ({"trick": "unrolled=2.5"}, ValueError, "unrolled takes a whole number from 1 on"),
        ({"trick": "consensus=-1"}, ValueError, "consensus takes a number above 0"),
        ({"trick": "lookahead=nan"}, ValueError, "lookahead takes a number above 0"),
        ({"trick": "consensus="}, ValueError, "consensus takes a number above 0"),
        ({"trick": "leaky,leaky"}, ValueError, "leaky is named twice"),
        ({"trick": "packing=3"}, ValueError, "needs a batch that it divides, got batch_size 64; take 66"),
        ({"trick": "minibatch", "batch_size": 1}, ValueError, "there are none"),
        ({"trick": "simultaneous", "n_critic": 2}, ValueError, "take n_critic 1 and n_generator 1, got 2 and 1"),
        ({"trick": "lookahead", "n_generator": 2}, ValueError, "take n_critic 1 and n_generator 1, got 1 and 2"),
        ({"trick": "minibatch,pairwise"}, ImpossiblePair, "each is a layer over the batch; choose one"),
        ({"trick": "unrolled,feature-matching"}, ImpossiblePair, "each is an objective of G"),
        ({"trick": "consensus,lookahead"}, ImpossiblePair, "each is a way to step"),
        ({"trick": "lookahead,optimistic"}, ImpossiblePair, "correct the same rotation"),
        ({"trick": "lookahead,unrolled"}, ImpossiblePair, "both look at the opponent's next step"),
        ({"trick": "virtual-batch-norm", "critic_norm": True}, ImpossiblePair, "choose one"),
        ({"trick": "minibatch", "gp_weight": 1.0}, ImpossiblePair, "no slope per sample"),
        ({"trick": "unrolled", "loss": "wasserstein", "clip": 0.1}, ImpossiblePair, "not clipped"),
    ):
        with pytest.raises(error, match=words):
            options_for("dcgan", **{"critic_norm": False} | changes)
    for system, changes in (("gan", {"size": 32}), ("dcgan", {"size": 8}), ("r3gan", {"size": 16})):
        with pytest.raises(ValueError, match="stands where batch norm would"):
            tricked("virtual-batch-norm", system, **changes)
    for network in ("r3gan", "gated", "tanh"):
        with pytest.raises(ValueError, match=f"leaky stands where a ReLU would, and a generator of network {network}"):
            tricked("leaky", network=network)
    with pytest.raises(ValueError, match="got batch_size 8 in 4 parts; take 16"):
        options_for("dcgan", critic_norm=False, trick="packing=4", batch_size=8, parts=4)
    assert switches_of(" packing=4, leaky ,") == {"packing": 4.0, "leaky": None} and not switches_of("")


def test_noise_falls_to_nothing_at_the_last_step():
    t, ones, spreads = tricked("", noise=0.4, steps=4), mg.ones(N, 1, 8, 8).double(), []
    for done in range(5):
        t.steps_done = done
        t.anneal()
        spreads.append((t.seen(ones) - ones).numpy().std())
    np.testing.assert_allclose(spreads, [0.4, 0.3, 0.2, 0.1, 0], rtol=0.15)


def test_a_plain_run_is_what_it_was():
    """No trick: no stream, no memory and no layer of a trick's."""
    t = trainer("dcgan")
    assert "trick" not in t.random and not t.memory and t.half_steps()[0].name == "critic step 1 of 1"
    x = t.batch["real"]
    assert t.seen(x) is x and type(t.critic).__name__ == "DCGANCritic"


def test_a_dry_run_tells_the_tricks():
    options = options_for(
        "dcgan", base=1, batch_size=4, critic_norm=False, trick="packing=2,minibatch,simultaneous,feature-matching"
    )
    lines = text(options, dry_run(options))
    assert "packing=2,minibatch,simultaneous,feature-matching" in lines and "MinibatchDiscrimination" in lines


@pytest.mark.parametrize("penalty", ["two-sided", "r2", "r1+r2"])
@pytest.mark.parametrize("trick", ["unrolled=2", "consensus=0.5"])
def test_g_s_gradient_passes_through_the_points_of_a_penalty(trick, penalty):
    """G who looks through D's gradient moves the points at which D is penalised, too: beside finite differences, by a
    critic whose slope varies smoothly, as that of leaky-ReLU does not."""
    t = tricked(trick, "wgan-gp", network="tanh", gp_weight=10.0, penalty=penalty, n_critic=1)
    for network, factor in ((t.critic, 4.0), (t.generator, 2.0)):
        network.load_state_dict({name: factor * value for name, value in network.state_dict().items()})
    counters, bias = t.counters(), list(t.generator.parameters())[-1]

    def objective():
        t.set_counters(counters)
        if trick.startswith("unrolled"):
            return t.generator_loss()[0]
        figures = t.joint_gradients()
        return figures["g_loss"] + 0.5 * figures["field"]

    value = objective()
    slope = mg.grad(value, bias)[0] if trick.startswith("unrolled") else bias.grad
    step, values = np.float64(1e-6), []
    for sign in (1, -1):
        with mg.no_grad():
            bias.assign(bias + sign * step)
        values.append(objective().item())
        with mg.no_grad():
            bias.assign(bias - sign * step)
    assert slope.data.reshape(-1)[0] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)
