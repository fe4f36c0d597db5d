"""vqgan: nearest entries, straight through, the two terms of the codebook, the adaptive weight, the late start."""

import numpy as np
import pytest
from worlds import WORLD, close, gradient_of, trainer

import minigan as mg
from minigan import nn
from minigan.gan.networks.quantiser import QuantisedCodec, quantiser_init_
from minigan.gan.systems import options_for

SMALL = {"size": 8, "width": 2, "entries": 5, "critic_start": 2}


def made(**changes):
    settings = SMALL | changes
    if settings.get("adversarial") == "none":
        del settings["critic_start"]
    t = trainer("vqgan", WORLD, **settings)
    t.anneal()
    t.feed()
    return t


def parts(t) -> dict[str, np.ndarray]:
    """Codes, entries and what comes back of the batch, by NumPy and the network's layers."""
    network, x = t.generator, t.batch["real"]
    z = network.encode(x).detach().numpy()
    book = network.codebook.detach().numpy()
    rows = z.reshape(-1, 2)
    nearest = ((rows[:, None] - book) ** 2).sum(2).argmin(1)
    e = book[nearest].reshape(z.shape)
    return {"x": x.numpy(), "z": z, "e": e, "nearest": nearest, "back": network.decode(mg.tensor(e)).detach().numpy()}


def test_each_place_is_replaced_by_its_nearest_entry():
    t = made()
    p, network = parts(t), t.generator
    np.testing.assert_array_equal(network.chosen(mg.tensor(p["z"])).numpy().argmax(1), p["nearest"])
    np.testing.assert_allclose(network(mg.tensor(p["z"])).detach().numpy(), p["back"], rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match=r"codes must be \(N, 32\), got \(3, 5\)"):
        network(mg.zeros(3, 5))


def test_codes_keep_their_places():
    """A code is 16 places of `width` numbers, one place after another; decode reads what encode wrote."""
    network = quantiser_init_(QuantisedCodec(1, 8, 2, 5, 3), mg.backend.Generator(0, 1)).eval()
    network.encoder, network.decoder = nn.Identity(), nn.Identity()
    maps = mg.randn(2, 3, 4, 4)
    codes = network.encode(maps)
    np.testing.assert_array_equal(codes.numpy()[:, 3:6], maps.numpy()[:, :, 0, 1])
    np.testing.assert_array_equal(network.decode(codes).numpy(), maps.numpy())


@pytest.mark.parametrize("commitment", [0.25, 2.0])
def test_the_objective_before_the_critic_starts(commitment):
    """Squared error, codebook and commitment, equal in value but for beta."""
    t = made(commitment=commitment)
    p = parts(t)
    objective, figures = t.generator_loss()
    distance = np.square(p["z"] - p["e"]).mean()
    expected = np.square(p["back"] - p["x"]).mean() + (1 + commitment) * distance
    close(objective, mg.tensor(np.array(expected)))
    close(figures["codebook"], mg.tensor(np.array(distance)))


def test_the_gradient_passes_straight_through():
    """The encoder has the gradient that it would have if each code were moved to its entry by a constant; the codebook
    that of its own term alone, and the commitment none of the codebook's."""
    t = made(adversarial="none")
    network, p = t.generator, parts(t)
    objective, _ = t.generator_loss()
    ours = gradient_of(objective, network.encoder)
    z = network.encode(t.batch["real"])
    moved = network.decode(z + mg.tensor(p["e"] - p["z"]))
    by_hand = mg.square(moved - t.batch["real"]).mean() + 0.25 * mg.square(z - mg.tensor(p["e"])).mean()
    close(ours, gradient_of(by_hand, network.encoder))
    assert np.abs(gradient_of(mg.square(moved - t.batch["real"]).mean(), network.encoder).numpy()).max() > 1e-6
    (book,) = mg.grad(objective, network.codebook)
    expected = np.zeros(network.codebook.shape)
    difference = 2 * (p["e"] - p["z"]).reshape(-1, 2) / p["z"].size
    np.add.at(expected, p["nearest"], difference)
    np.testing.assert_allclose(book.numpy(), expected, rtol=1e-9, atol=1e-14)
    assert np.abs(expected).max() > 1e-6


def test_a_step_moves_the_entries_in_use_towards_their_codes():
    t = made(adversarial="none")
    t.feed = lambda: None
    p, before = parts(t), t.generator.codebook.detach().numpy().copy()
    t.step()
    moved = np.abs(t.generator.codebook.detach().numpy() - before).max(1) > 0
    assert set(np.flatnonzero(moved)) == set(p["nearest"])


@pytest.mark.parametrize("adversarial", ["adaptive", "fixed"])
def test_the_adversarial_term_and_its_weight(adversarial):
    """w lambda (-mean D(x')), lambda the ratio of the two gradients' lengths at the last layer, of the error over the
    adversarial one; 1 where it is fixed; no gradient passes lambda."""
    t = made(adversarial=adversarial, weight=0.5, critic_start=0)
    network, x = t.generator, t.batch["real"]
    objective, figures = t.generator_loss()
    p = parts(t)
    back = network.decode(network.encode(x) + mg.tensor(p["e"] - p["z"]))
    error, loss = mg.square(back - x).mean(), -t.critic(back).mean()
    lengths = [np.linalg.norm(mg.grad(part, network.decoder[-2].weight)[0].numpy()) for part in (error, loss)]
    factor = lengths[0] / (lengths[1] + 1e-6) if adversarial == "adaptive" else 1.0
    assert figures["balance"].item() == pytest.approx(factor, rel=1e-9)
    rest = objective.item() - 0.5 * factor * loss.item()
    assert rest == pytest.approx(error.item() + 1.25 * np.square(p["z"] - p["e"]).mean(), rel=1e-9)
    whole = gradient_of(objective, network.decoder)
    close(whole, gradient_of(error + 0.5 * factor * loss, network.decoder))


def test_adaptive_gradients_are_of_one_length():
    """At weight 1 both losses pull the last layer alike, however large the critic's outputs are."""
    t = made(weight=1.0, critic_start=0)
    for scale in (1e2, 1e3):
        t.critic.main[-1].weight.assign(t.critic.main[-1].weight.detach() * scale)
        _, figures = t.generator_loss()
        adversarial = figures["balance"] * figures["g_loss"]
        lengths = [
            np.linalg.norm(mg.grad(part, t.generator.last)[0].numpy()) for part in (figures["error"], adversarial)
        ]
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-3)


def test_a_critic_without_slopes_is_weighed_by_a_bound():
    """lambda at most 10,000, where the adversarial gradient is next to nothing."""
    t = made(critic_start=0)
    back = t.passed_on(t.batch["real"])[0]
    error, adversarial = mg.square(back - t.batch["real"]).mean(), -t.critic(back).mean()
    assert t.balance(1e6 * error, 1e-9 * adversarial).item() == 1e4


def test_the_critic_starts_late():
    """Before `critic_start` steps it stands still and has no say; afterwards both players move."""
    t = made()
    before = [p.detach().numpy().copy() for p in t.critic.parameters()]
    for step in range(3):
        names = [half.name for half in t.half_steps()]
        assert names == ["generator step"] if step < 2 else names[0].startswith("critic step")
        figures = t.step()
        moved = any((p.detach().numpy() != b).any() for p, b in zip(t.critic.parameters(), before, strict=True))
        assert moved == (step == 2) == ("d_loss" in figures)
        assert t.started.numpy()[0] == (step == 2)
    alone = made(adversarial="none")
    assert [half.name for half in alone.half_steps()] == ["generator step"]
    for changes in ({}, {"adversarial": "none"}):
        first, second = made(**changes, n_generator=2).half_steps()
        assert first.name == "generator step 1 of 2" and first.player is second.player and first.feed != second.feed
    with pytest.raises(ValueError, match="option 'n_critic' means nothing here: adversarial is none"):
        options_for("vqgan", adversarial="none", n_critic=2)


def test_without_a_say_the_critic_changes_nothing():
    """Before its start the gradient is that of the plain autoencoder."""
    with_critic, plain = made(), made(adversarial="none")
    close(*(gradient_of(t.generator_loss()[0], t.generator) for t in (with_critic, plain)))


def test_the_critic_s_objective_is_the_hinge_on_patches():
    t = made()
    p = parts(t)
    objective, _ = t.critic_loss()
    real, fake = (t.critic(mg.tensor(p[name])).detach().numpy() for name in ("x", "back"))
    assert objective.item() == pytest.approx(np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean())
    assert gradient_of(objective, t.generator) is None


def test_perplexity_is_the_number_of_entries_used_alike():
    t = made()
    images = t.batch["real"].numpy()
    average = t.average.module
    codes = t.encode(images)
    chosen = average.chosen(mg.tensor(codes)).numpy()
    shares = chosen.mean(0)
    value, used = t.perplexity(images)
    assert used == (shares > 0).sum()
    assert value == pytest.approx(np.exp(-sum(s * np.log(s) for s in shares if s)))


def test_constants_are_held_where_a_table_asks_for_it():
    """The certificate's: what stops a gradient is its first value, so the loss is a function with that gradient."""
    t = made()
    t.constants = {}
    first = t.generator_loss()[0].item()
    t.generator.codebook.assign(t.generator.codebook.detach() + 0.1)
    held = t.generator_loss()[0].item()
    t.constants = None
    free = t.generator_loss()[0].item()
    assert len({first, held, free}) == 3
