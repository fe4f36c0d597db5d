"""The gradient penalty against its definition and PyTorch, networks, metrics."""

import shlex

import numpy as np
import pytest
import scipy.stats

import minigan as mg
from minigan import data, kernels, nn
from minigan.gan.losses import loss
from minigan.gan.metrics import classifier
from minigan.gan.metrics import report as metrics
from minigan.gan.networks import DCGANCritic, DCGANGenerator, dcgan_init_
from minigan.gan.penalties import gradient_penalty, interpolate

RNG = np.random.default_rng(2)


def test_gradient_penalty_of_a_linear_critic():
    """For f(x) = <a, x> the slope is a everywhere: penalty (||a|| - 1)^2, its gradient 2 (||a|| - 1) a / ||a||."""
    a = mg.tensor(RNG.standard_normal((1, 3, 2, 2)), requires_grad=True)
    real, fake = (mg.tensor(RNG.standard_normal((5, 3, 2, 2))) for _ in range(2))
    eps = mg.tensor(RNG.random((5, 1, 1, 1)))
    penalty, norm = gradient_penalty(lambda x: (x * a).sum((1, 2, 3)), real, fake, eps)
    length = np.linalg.norm(a.data)
    assert norm.item() == pytest.approx(length)
    assert penalty.item() == pytest.approx((length - 1) ** 2)
    np.testing.assert_allclose(mg.grad(penalty, a)[0].data, 2 * (length - 1) * a.data / length, rtol=1e-10)


def test_gradient_penalty_equals_torch(torch):
    """The penalty of a convolutional critic and its gradient in every weight, against torch's double backward, in
    float64."""
    ours = DCGANCritic(2, 16, 3).double()
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 4, 2, 1),
        torch.nn.LeakyReLU(0.2),
        torch.nn.Conv2d(3, 6, 4, 2, 1),
        torch.nn.LeakyReLU(0.2),
        torch.nn.Conv2d(6, 1, 4),
    ).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.main.state_dict().items()})
    real, fake, eps = RNG.standard_normal((4, 2, 16, 16)), RNG.standard_normal((4, 2, 16, 16)), RNG.random((4, 1, 1, 1))
    penalty, _ = gradient_penalty(ours, mg.tensor(real), mg.tensor(fake), mg.tensor(eps))
    x = torch.tensor(eps * real + (1 - eps) * fake, requires_grad=True)
    (slope,) = torch.autograd.grad(theirs(x).sum(), x, create_graph=True)
    expected = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-12)
    params = list(ours.parameters())
    wanted = torch.autograd.grad(expected, list(theirs.parameters()), allow_unused=True)
    for g, e in zip(mg.grad(penalty, params), wanted, strict=True):
        # The last bias does not enter the slope: None here means zero.
        np.testing.assert_allclose(0 if g is None else g.data, 0 if e is None else e.numpy(), rtol=1e-9, atol=1e-12)


def test_penalty_needs_one_eps_per_sample():
    """One eps for the whole batch, or shapes that differ, are refused."""
    x = mg.zeros(4, 1, 2, 2)
    with pytest.raises(ValueError, match=r"eps must have shape \(4, 1, 1, 1\)"):
        interpolate(x, x, mg.zeros(1))
    with pytest.raises(ValueError, match="must have one shape"):
        interpolate(x, mg.zeros(4, 1, 2, 3), mg.zeros(4, 1, 1, 1))


def test_slope_zero_has_a_finite_gradient():
    """A critic that ignores its input: norm 0, penalty 1, and a gradient of zero, not NaN."""
    w = nn.Parameter(np.zeros((1, 3)))
    x = mg.tensor(RNG.standard_normal((4, 3)))
    penalty, _ = gradient_penalty(lambda x: (x * w).sum(1), x, x, mg.zeros(4, 1, dtype="float64"))
    assert penalty.item() == 1.0
    assert (mg.grad(penalty, w)[0].data == 0).all()


def test_frozen_critic_runs_no_weight_gradient(monkeypatch):
    """The generator's step calls conv_weight for the generator's layers alone, and moves no weight of the critic."""
    g, d = DCGANGenerator(8, 1, 16, 4), DCGANCritic(1, 16, 4)
    shapes = []
    real_kernel = kernels.conv.conv_weight
    monkeypatch.setattr(
        kernels.conv, "conv_weight", lambda x, g, geo, **k: shapes.append(geo.w_shape) or real_kernel(x, g, geo, **k)
    )
    objective = loss("wasserstein").generator(d(g(mg.randn(4, 8))))
    mg.grad(objective, list(g.parameters()))
    assert sorted(shapes) == sorted(p.shape for p in g.parameters() if p.ndim == 4)


def test_networks_keep_their_shapes():
    """Sizes from 8 to 64, one and three channels; DCGAN's initial values."""
    for size in (8, 16, 64):
        g, d = DCGANGenerator(10, 3, size, 4), DCGANCritic(3, size, 4)
        with mg.no_grad():
            image = g(mg.randn(2, 10))
            assert image.shape == (2, 3, size, size)
            assert d(image).shape == (2,)
    dcgan_init_(g, mg.Generator(0))
    weights = np.concatenate([p.data.ravel() for n, p in g.named_parameters() if p.ndim == 4])
    assert weights.std() == pytest.approx(0.02, rel=0.05)
    with pytest.raises(ValueError, match=r"z must be \(N, 10\)"):
        g(mg.randn(2, 11))


def test_classifier_score_bounds():
    """1 for samples of one class or of no opinion; the number of classes for confident samples of all."""
    assert metrics.classifier_score(np.full((8, 5), 0.2)) == pytest.approx(1)
    assert metrics.classifier_score(np.eye(5)[[2] * 8]) == pytest.approx(1)
    assert metrics.classifier_score(np.eye(5)) == pytest.approx(5)


def test_classifier_score_is_torchmetrics_inception_score(torch):
    """torchmetrics' InceptionScore.compute with one split, on the same logits, to 1e-6; also where classes are all but
    impossible."""
    for scale in (0.1, 1.0, 30.0):
        logits = torch.tensor(scale * RNG.standard_normal((200, 10)))
        prob, log_prob = logits.softmax(1), logits.log_softmax(1)
        mean_prob = prob.mean(0, keepdim=True)
        expected = (prob * (log_prob - mean_prob.log())).sum(1).mean().exp()
        assert metrics.classifier_score(prob.numpy()) == pytest.approx(expected.item(), rel=1e-6)


def test_classifier_score_is_the_first_inception_score():
    """The formula of Salimans et al.'s own code with scipy's relative entropy."""
    p = RNG.dirichlet(np.full(7, 0.3), 90)
    expected = np.exp(np.mean([scipy.stats.entropy(row, p.mean(0)) for row in p]))
    assert metrics.classifier_score(p) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_gaussians():
    """Zero for a set against itself; |shift|^2 for a shifted one; the closed form for scaled ones, dead features
    included."""
    a = RNG.standard_normal((500, 6))
    a[:, 5] = 0
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert metrics.frechet_distance(a, a + 2.0) == pytest.approx(24, rel=1e-8)
    assert metrics.frechet_distance(a, 3 * a) == pytest.approx(
        4 * np.square(a.mean(0)).sum() + 4 * np.trace(np.cov(a, rowvar=False)), rel=1e-8
    )
    with pytest.raises(ValueError, match="at least 2 rows"):
        metrics.frechet_distance(a[:1], a)


def test_shipped_classifier_and_its_judgement():
    """The shipped classifier gets at least 98 % of the held-out digits; real digits score high, noise and one class do
    not."""
    dataset = data.load("digits")
    model, made = classifier.load("digits")
    assert classifier.accuracy(model, dataset) == pytest.approx(made["held_out_accuracy"], abs=1e-3)
    assert made["held_out_accuracy"] >= 0.98
    real = metrics.evaluate(classifier.prepared(dataset, dataset.held_out), model, dataset)
    assert real.present == 10 and real.confident > 0.9 and real.score > 9 and real.frechet == real.real_frechet
    ones = metrics.evaluate(
        classifier.prepared(dataset, dataset.train[dataset.labels[dataset.train] == 1]), model, dataset
    )
    assert ones.largest_class > 0.95 and ones.score < 1.5
    noise = metrics.evaluate(RNG.standard_normal((200, 1, 32, 32)).clip(-1, 1).astype("f"), model, dataset)
    assert noise.frechet > 10 * real.frechet
    large = classifier.prepared(dataset, dataset.held_out, 64)
    np.testing.assert_allclose(classifier.shrunk(large), classifier.prepared(dataset, dataset.held_out), atol=1e-6)
    assert metrics.evaluate(large, model, dataset).frechet == pytest.approx(real.frechet, rel=1e-3)
    with pytest.raises(ValueError, match="a multiple or a whole part of it, got 24x24"):
        metrics.evaluate(large[:, :, :24, :24], model, dataset)
    with pytest.raises(ValueError, match="no classifier is shipped for data set 'avatars'"):
        classifier.load("avatars")


def test_the_command_that_is_named_can_be_pasted(tmp_path, monkeypatch):
    """A folder's name may have blanks and signs that a shell reads."""
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path))
    name = "folder:/a b & <c>,size=16"
    with pytest.raises(ValueError, match="train one with: minigan classifier") as caught:
        classifier.load(name)
    assert shlex.split(str(caught.value).partition("train one with: ")[2]) == ["minigan", "classifier", name]
