"""What ae, vae and ali minimise, by hand, the closed forms behind the bound, and what they observe, by judges and
networks whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from worlds import Formula, close, gradient_of, stream, trainer

import minigan as mg
from minigan.backend import Generator
from minigan.functional import softplus
from minigan.gan.metrics import reconstructions
from minigan.gan.metrics.judging import Observation
from minigan.gan.networks.encoders import Codec, codec, reparametrised
from minigan.gan.systems import ae, options_for, vae
from minigan.gan.train import STREAMS

RNG = np.random.default_rng(7)
NOISE = 8


def double(*shape):
    return mg.tensor(RNG.standard_normal(shape))


def values(t):
    return t.detach().numpy()


# The networks.


@pytest.mark.parametrize("network", ["mlp", "dcgan"])
def test_a_codec_is_the_generator_of_its_name_and_an_encoder(network):
    """The generator's own weights, its tanh last; a stochastic encoder has twice as many outputs."""
    from minigan.gan.networks.table import pair

    both = codec(network, 3, 1, 8, 2, Generator(5, 1), stochastic=True)
    row = pair(network)
    plain = row.init_(row.generator(3, 1, 8, 2), Generator(5, 1))
    z, x = double(4, 3).to(mg.float32), double(4, 1, 8, 8).to(mg.float32)
    np.testing.assert_allclose(values(both(z)), values(plain(z)), rtol=1e-6, atol=1e-7)
    assert [p.shape for p in both.decoder.parameters()] == [p.shape for p in plain.parameters()]
    means, log_sigma = both.posterior(x)
    assert means.shape == log_sigma.shape == (4, 3)
    outputs = both.encoder(x)
    assert np.array_equal(values(outputs[:, :3]), values(means))
    assert np.array_equal(values(outputs[:, 3:]), values(log_sigma))
    if network == "mlp":
        layers = [type(layer).__name__ for layer in both.encoder.main if isinstance(layer, mg.nn.Linear)]
        assert layers == ["Linear"] * 3


def test_a_reparametrised_code_is_mean_plus_sigma_noise():
    """Of the stream's own numbers; gradients reach the mean (1) and ln sigma (sigma eps)."""
    means, log_sigma = (double(5, 2).requires_grad_() for _ in "ab")
    noise = mg.randn(5, 2, generator=Generator(3, 4), dtype=mg.float64)
    z = reparametrised(means, log_sigma, Generator(3, 4))
    close(z, means + mg.exp(log_sigma) * noise)
    by_mean, by_log_sigma = mg.grad(z.sum(), [means, log_sigma])
    assert np.array_equal(by_mean.numpy(), np.ones((5, 2)))
    close(by_log_sigma, mg.exp(log_sigma) * noise)


# The bound.


def test_the_divergence_is_its_integral():
    """KL(N(m, s^2) || N(0, 1)) by Gauss's quadrature of p ln(p / q), summed over a code's numbers."""
    means, log_sigma = np.array([[0.0, 1.3, -0.4], [2.0, 0.0, 0.1]]), np.array([[0.0, -1.0, 0.5], [0.3, -2.0, 0.0]])
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    z = means[..., None] + np.exp(log_sigma)[..., None] * nodes
    ratio = scipy.stats.norm.logpdf(z, means[..., None], np.exp(log_sigma)[..., None]) - scipy.stats.norm.logpdf(z)
    expected = (ratio @ weights / weights.sum()).sum(1)
    np.testing.assert_allclose(vae.kl_to_prior(mg.tensor(means), mg.tensor(log_sigma)).numpy(), expected, rtol=1e-10)
    assert vae.kl_to_prior(mg.zeros(1, 4), mg.zeros(1, 4)).item() == 0


def test_the_likelihoods_are_those_of_scipy():
    a, x = double(4, 1, 3, 3), mg.tensor(RNG.uniform(-1, 1, (4, 1, 3, 3)))
    black = mg.tensor(np.where(RNG.random((4, 1, 3, 3)) < 0.5, -1.0, 1.0))
    share = 1 / (1 + np.exp(-2 * a.numpy()))
    expected = scipy.stats.bernoulli.logpmf((1 + black.numpy()) / 2, share).sum((1, 2, 3))
    np.testing.assert_allclose(vae.bernoulli(a, black).numpy(), expected, rtol=1e-12)
    expected = scipy.stats.norm.logpdf(x.numpy(), np.tanh(a.numpy()), 0.4).sum((1, 2, 3))
    np.testing.assert_allclose(vae.gaussian(mg.tanh(a), x, 0.4).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("exact", [True, False])
def test_the_bound_of_a_linear_gaussian_model_is_below_its_exact_likelihood(exact):
    """x = W z + b + s eps has ln p(x) = ln N(x; b, W W^T + s^2) and, with orthogonal columns, a posterior that q can
    be: there the bound is the likelihood, and elsewhere below it by KL(q || posterior).

    ln p(x|z) is quadratic in z, so 2 F draws eps = +-sqrt(F) e_i give its expectation exactly."""
    size, width, s = 3, 2, 0.7
    q, _ = np.linalg.qr(RNG.standard_normal((size * size, width)))
    w, b = q * np.array([1.5, 0.6]), RNG.standard_normal(size * size)
    x = RNG.standard_normal(size * size)
    precision = 1 + (w * w).sum(0) / s**2
    mean, sigma = (w.T @ (x - b)) / s**2 / precision, precision**-0.5
    posterior = mean, sigma
    if not exact:
        mean, sigma = mean + np.array([0.4, -1.0]), sigma * np.array([2.0, 0.5])
    noise = np.sqrt(width) * np.concatenate([np.eye(width), -np.eye(width)])
    images = ((mean + sigma * noise) @ w.T + b).reshape(-1, 1, size, size)
    fits = vae.gaussian(mg.tensor(images), mg.tensor(x.reshape(1, 1, size, size)), s).numpy().mean()
    divergence = vae.kl_to_prior(mg.tensor(mean[None]), mg.tensor(np.log(sigma)[None])).item()
    likelihood = scipy.stats.multivariate_normal.logpdf(x, b, w @ w.T + s**2 * np.eye(size * size))
    (m, r) = posterior
    gap = (np.log(r / sigma) + (sigma**2 + (mean - m) ** 2) / (2 * r**2) - 0.5).sum()
    assert fits - divergence == pytest.approx(likelihood - gap, rel=1e-12)
    assert gap == pytest.approx(0, abs=1e-12) if exact else gap > 0.5


def settled(t, channels=1):
    """The trainer with networks that are formulas of their inputs: codes are mean pixels of the image's halves."""

    def encoder(x):
        halves = mg.stack([x[:, :, :4].mean((1, 2, 3)), x[:, :, 4:].mean((1, 2, 3))], 1)
        return mg.cat([halves, halves - 1], 1) if t.stochastic else halves

    def decoder(z):
        return (z @ mg.tensor(np.linspace(-1, 1, 128).reshape(2, 64))).reshape(len(z), 1, 8, 8)

    t.generator.encoder, t.generator.decoder = Formula(encoder), Formula(decoder)
    return encoder, decoder


def test_ae_minimises_the_squared_error():
    t = trainer("ae")
    encoder, decoder = settled(t)
    t.feed()
    x = t.batch["real"]
    objective, figures = t.generator_loss()
    close(objective, mg.mean(mg.square(mg.tanh(decoder(encoder(x))) - x)))
    assert figures["g_loss"] is objective


@pytest.mark.parametrize(("likelihood", "sigma", "beta"), [("bernoulli", 0.3, 1.0), ("gaussian", 0.6, 0.25)])
def test_vae_minimises_the_bound(likelihood, sigma, beta):
    """-(ln p(x|z) - beta KL) over the number of pixels, z drawn anew from the noise's own stream."""
    t = trainer("vae", likelihood=likelihood, beta=beta, **({"sigma": sigma} if likelihood == "gaussian" else {}))
    encoder, decoder = settled(t)
    random = stream(t, NOISE)
    for _ in range(2):
        t.feed()
        x = t.batch["real"]
        outputs = encoder(x)
        means, log_sigma = outputs[:, :2], outputs[:, 2:]
        a = decoder(means + mg.exp(log_sigma) * mg.randn(3, 2, generator=random, dtype=mg.float64))
        fits = mg.sum((1 + x) * a - softplus(2 * a), (1, 2, 3))
        if likelihood == "gaussian":
            fits = mg.tensor(scipy.stats.norm.logpdf(x.numpy(), np.tanh(a.numpy()), sigma).sum((1, 2, 3)))
        divergence = mg.sum(mg.square(means) + mg.exp(2 * log_sigma) - 2 * log_sigma - 1, 1) / 2
        objective, figures = t.generator_loss()
        close(objective, (beta * divergence.mean() - fits.mean()) / 64)
        close(figures["log_likelihood"], fits.mean())
        close(figures["divergence"], divergence.mean())


def test_one_player_alone_is_fed_and_moved_once():
    """No critic: one half-step a step, on one batch; its weights, encoder's and decoder's, all move; no option and no
    checkpoint speaks of a critic."""
    t = trainer("vae", lr=0.01)
    assert t.critic is None and list(t.networks()) == ["generator", "average"]
    (half_step,) = t.half_steps()
    assert half_step.player is t.players["generator"]
    before = [p.detach().numpy().copy() for p in t.generator.parameters()]
    t.step()
    assert t.loader.step == 1 and t.random["noise"].step == 1
    assert not any(np.array_equal(p.detach().numpy(), b) for p, b in zip(t.generator.parameters(), before, strict=True))
    assert not any(name.startswith(("critic", "optim_d")) for name in t.state()[0])
    assert "n_critic" not in options_for("vae").names()


# ALI.


def paired(t):
    """ALI's trainer with formulas for networks; the critic's number is some function of image and code."""
    encoder, decoder = settled(t)
    t.critic = Formula(lambda x, z: x[:, 0, 1, 2] * z[:, 0] + mg.square(z[:, 1]) - x.mean((1, 2, 3)))
    return encoder, decoder


def drawn(outputs, random):
    means, log_sigma = outputs[:, :2], outputs[:, 2:]
    return means + mg.exp(log_sigma) * mg.randn(3, 2, generator=random, dtype=mg.float64)


def test_ali_s_critic_judges_pairs():
    """-ln D(x, E(x)) - ln (1 - D(G(z), z)), the code a draw; nothing of it reaches encoder or generator."""
    t = trainer("ali")
    encoder, decoder = paired(t)
    random, latents = stream(t, NOISE), stream(t, STREAMS["latent_d"])
    for _ in range(2):
        t.feed()
        x = t.batch["real"]
        z = mg.randn(3, 2, generator=latents, dtype=mg.float64)
        real, fake = t.critic(x, drawn(encoder(x), random)), t.critic(mg.tanh(decoder(z)), z)
        close(t.critic_loss()[0], mg.mean(softplus(-real)) + mg.mean(softplus(fake)))
    t = trainer("ali")
    t.feed()
    assert gradient_of(t.critic_loss()[0], t.generator) is None


@pytest.mark.parametrize(("cycle", "code"), [(0.0, 0.0), (3.0, 0.0), (0.0, 0.7)])
def test_ali_s_encoder_and_generator_play_together(cycle, code):
    """-ln D(G(z), z) - ln (1 - D(x, E(x))), and what comes back: images through codes, codes through images."""
    t = trainer("ali", cycle_weight=cycle, code_weight=code)
    encoder, decoder = paired(t)
    random, latents = stream(t, NOISE + 1), stream(t, STREAMS["latent_g"])
    t.feed()
    x = t.batch["real"]
    own = drawn(encoder(x), random)
    z = mg.randn(3, 2, generator=latents, dtype=mg.float64)
    fake = mg.tanh(decoder(z))
    adversarial = mg.mean(softplus(-t.critic(fake, z))) + mg.mean(softplus(t.critic(x, own)))
    expected = adversarial + cycle * mg.mean(mg.square(mg.tanh(decoder(own)) - x))
    expected = expected + code * mg.mean(mg.square(encoder(fake)[:, :2] - z))
    objective, figures = t.generator_loss()
    close(objective, expected)
    close(figures["g_loss"], adversarial)
    assert ("cycle" in figures, "code" in figures) == (cycle > 0, code > 0)


def test_both_of_ali_s_networks_learn_from_the_critic():
    t = trainer("ali", cycle_weight=0.0, code_weight=0.0)
    t.feed()
    objective, _ = t.generator_loss()
    for network in (t.generator.encoder, t.generator.decoder):
        assert gradient_of(objective, network).abs().max().item() > 0


def test_a_pair_s_critic_reads_both():
    """The pair's number changes with the image and with the code, the others with one of them; a code of another width
    is refused."""
    t = trainer("ali")
    t.critic.eval()  # spectral norm stands still
    x, z = double(3, 1, 8, 8), double(3, 2)
    numbers = values(t.critic(x, z))
    changes = [~np.isclose(values(pair), numbers) for pair in (t.critic(x + 1, z), t.critic(x, z + 1))]
    assert np.array_equal(changes[0], np.tile([True, True, False], (3, 1)))
    assert np.array_equal(changes[1], np.tile([True, False, True], (3, 1)))
    assert trainer("ali", unary=False).critic(x, z).shape == (3, 1)
    np.testing.assert_allclose(values(t.critic(x[:1], z[:1])), numbers[:1], rtol=1e-9)
    with pytest.raises(ValueError, match=r"PairCritic: codes must be \(3, 2\), got \(3, 4\)"):
        t.critic(x, double(3, 4))


# What they show.


def shade(_, images):
    """A judge of the small world: dark, grey or light, by the mean pixel."""
    return np.digitize(images.mean((1, 2, 3)), [-0.4, 0.25])


def test_an_image_s_code_is_the_averaged_encoder_s_mean():
    t = trainer("vae", lr=0.05)
    for _ in range(2):
        t.step()
    x = RNG.uniform(-1, 1, (5, 1, 8, 8))
    means, log_sigma = t.average.module.posterior(mg.tensor(x))
    np.testing.assert_allclose(t.encode(x, batch=2), means.numpy(), rtol=1e-12)
    noise = Generator(1, 2)
    codes = t.encode(x, Generator(1, 2), batch=5)
    close(mg.tensor(codes), reparametrised(means, log_sigma, noise))
    np.testing.assert_allclose(t.reconstruct(x), t.sample(means), rtol=1e-12)
    assert t.average.module.training


def test_what_a_system_with_codes_observes(monkeypatch):
    """Held-out images through their codes beside null models of the training images; random codes and fitted ones;
    codes against the prior."""
    t = trainer("vae")
    called = {}

    def compare(back, images, train, labels, read):
        called["compare"] = (back, images, len(train), labels)
        return reconstructions.Reconstructions(
            "class", 6, reconstructions.share_interval(3, 6), 0.1, 0.9, 0.2, 0.8, 0.3, 0.4
        )

    def realistic(sets, model, dataset):
        called["realistic"] = sets
        return dict.fromkeys((*sets, "held_out", "noise", "mean_image"), 0.25)

    judge = SimpleNamespace(model="judge", labels=t.dataset.labels[:, None], read=None)
    monkeypatch.setattr(ae, "reader_of", lambda *_: judge)
    monkeypatch.setattr(ae, "observe_samples", lambda images, *_: Observation({"seen": images}, ["seen"]))
    monkeypatch.setattr(ae, "compare", compare)
    monkeypatch.setattr(ae, "realistic", realistic)

    def spy(module, name):
        original = getattr(module, name)

        def watched(*given):
            called.setdefault(name, []).append(given)
            return original(*given)

        monkeypatch.setattr(module, name, watched)

    for module, name in (
        (ae, "prior_test"),
        (ae, "fitted_codes"),
        (ae, "gradient_energy"),
        (vae, "spectral_distance"),
        (t, "nats"),
        (t, "encode"),
        (t, "blind"),
    ):
        spy(module, name)
    observation = t.observe(8, Generator(1, 2))
    back, images, train, labels = called["compare"]
    held_out = ae.prepared(t.dataset, t.dataset.held_out, 8)
    assert np.array_equal(images, held_out) and train == 6
    np.testing.assert_allclose(back, t.reconstruct(held_out), rtol=1e-12)
    assert np.array_equal(labels[0], judge.labels[6:]) and np.array_equal(labels[1], judge.labels[:6])
    sets = called["realistic"]
    assert np.array_equal(sets["random"], t.draw(8, Generator(1, 2)))
    assert sets["fitted"].shape == (8, 1, 8, 8) and not np.allclose(sets["fitted"], sets["random"])
    figures = observation.figures
    assert figures["elbo"] == pytest.approx(figures["log_likelihood"] - figures["divergence"])
    assert figures["prior"]["samples"] == 6 and figures["sharpness"] > 0
    assert any("ELBO" in line for line in observation.lines)
    trained = ae.prepared(t.dataset, t.dataset.train, 8)
    assert not np.array_equal(trained, held_out)
    ((codes, _),), ((of_train, count, _),) = called["prior_test"], called["fitted_codes"]
    drawn_of = [images for images, *random in called["encode"] if random]
    assert len(drawn_of) == 1 and np.array_equal(drawn_of[0], held_out)
    means = t.encode(held_out)
    assert not np.allclose(codes, means) and np.square(codes - means).mean() < 25, "draws about the means"
    np.testing.assert_allclose(of_train, t.encode(trained), rtol=1e-12)
    ours, real = (given[0] for given in called["gradient_energy"])
    assert count == 8 and np.array_equal(ours, sets["random"]) and np.array_equal(real, held_out)
    ((drawn, beside),), ((judged, _),), ((seen, mean_image),) = (
        called[name] for name in ("spectral_distance", "nats", "blind")
    )
    assert all(np.array_equal(x, held_out) for x in (beside, judged, seen)) and len(drawn) == 6
    np.testing.assert_allclose(mean_image[0], trained.mean(0), rtol=1e-6)


def test_nats_are_the_bound_on_all_images():
    """In parts as at once, by the averaged networks."""
    t = trainer("vae")
    t.generator.load_state_dict({name: 2 * value for name, value in t.generator.state_dict().items()})
    x = RNG.uniform(-1, 1, (5, 1, 8, 8))
    fits, divergence = t.bound(t.average.module, mg.tensor(x), Generator(2, 3))
    assert t.nats(x, Generator(2, 3)) == pytest.approx((fits.mean().item(), divergence.mean().item()), rel=1e-12)
    assert t.nats(x, Generator(2, 3), batch=2)[1] == pytest.approx(divergence.mean().item(), rel=1e-12)
    blind = trainer("vae").blind(x, np.full((1, 1, 8, 8), 0.5))
    share = 0.75
    expected = (np.log(share) * (1 + x) / 2 + np.log(1 - share) * (1 - x) / 2).sum((1, 2, 3)).mean()
    assert blind == pytest.approx(expected)


def test_fitted_codes_have_the_mean_and_covariance_of_the_codes():
    codes = RNG.standard_normal((4000, 3)) @ np.array([[2.0, 0.5, 0], [0, 1, 0.3], [0, 0, 0.1]]) + [1, -2, 3]
    fitted = ae.fitted_codes(codes, 40_000, Generator(1, 2))
    np.testing.assert_allclose(fitted.mean(0), codes.mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(fitted.T), np.cov(codes.T), atol=0.12)


def test_reconstructions_stand_beside_null_models():
    """Twelve images in three shades: perfect ones, the nearest training image, the mean of the class, the mean."""
    t = trainer("ae")
    data = t.dataset
    images, train = (ae.prepared(data, rows, 8).astype(np.float64) for rows in (data.held_out, data.train))
    labels = data.labels[data.held_out, None], data.labels[data.train, None]

    def read(x):
        return shade(None, x)[:, None]

    seen = reconstructions.compare(images, images, train, labels, read)
    assert seen.agreement.value == 1 and seen.error == 0 and seen.samples == 6
    blank = reconstructions.compare(np.zeros_like(images), images, train, labels, read)
    assert blank.agreement.value == pytest.approx(1 / 3) and blank.error == pytest.approx(np.square(images).mean())
    distances = np.square(images[:, None] - train).mean((2, 3, 4))
    assert seen.nearest_error == pytest.approx(distances.min(1).mean())
    means = np.stack([train[labels[1][:, 0] == k].mean(0) for k in range(3)])[labels[0][:, 0]]
    assert seen.class_mean_error == pytest.approx(np.square(means - images).mean())
    assert seen.mean_error == pytest.approx(np.square(train.mean(0) - images).mean())
    assert seen.class_mean_agreement == 1 and seen.nearest_agreement == 1
    with pytest.raises(ValueError, match=r"compare: images \(6, 1, 8, 8\) with 6 labels came back as \(5, 1, 8, 8\)"):
        reconstructions.compare(images[1:], images, train, labels, read)


def test_attributes_of_reconstructions_are_counted_one_by_one():
    """Two values of two images, one of four read wrongly; the mean is of training images with the most in common."""
    images = np.array([0.0, 1.0])[:, None, None, None] * np.ones((1, 1, 4, 4))
    train = np.array([0.1, 0.3, 0.8])[:, None, None, None] * np.ones((1, 1, 4, 4))
    labels = np.array([[0, 0], [1, 1]]), np.array([[0, 0], [0, 1], [1, 0]])
    seen = reconstructions.compare(images, images, train, labels, lambda x: np.array([[0, 0], [1, 0]]))
    assert seen.named == "attributes" and seen.agreement.value == 0.75 and seen.samples == 2
    # The second image has nothing in the training set: two images have one of its values, 0.3 and 0.8.
    assert seen.class_mean_error == pytest.approx((0.1**2 + 0.45**2) / 2)
    assert "come back as their attributes in 75.0%" in seen.lines()[0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("ae", {"network": "resnet"}), "unknown network with an encoder 'resnet'"),
        (("vae", {"likelihood": "gausian"}), "did you mean 'gaussian'"),
        (("vae", {"sigma": 0.2}), "option 'sigma' means nothing here: the likelihood is bernoulli"),
        (("vae", {"likelihood": "gaussian", "sigma": 0.0}), "sigma must be positive, got 0.0"),
        (("vae", {"beta": -1.0}), "beta must be at least 0"),
        (("vae", {"n_critic": 2}), "vae has no option 'n_critic'; it takes: "),
        (("ali", {"network": "mlpp"}), "did you mean 'mlp'"),
    ],
)
def test_wrong_options_are_named(options, told):
    with pytest.raises(ValueError, match=told):
        options_for(options[0], **options[1])


def test_a_network_without_an_encoder_is_refused():
    with pytest.raises(ValueError, match="resnet"):
        codec("resnet", 2, 1, 8, 1, Generator(0, 1))
    assert issubclass(Codec, mg.nn.Module)
