"""The table of losses: values and slopes at the lectures' numbers, finite at any logit, f-GAN's bounds tight at their
optimum, and every row trains the image networks from one switch."""

import math

import numpy as np
import pytest
from scipy.special import lambertw

import minigan as mg
from minigan import data
from minigan.gan.losses import CONJUGATES, EXP_LIMIT, LOSSES, alternative, ebgan, loss
from minigan.gan.systems import options_for
from minigan.gan.train import Trainer

CHANCE = mg.zeros(4, dtype="float64")


def outputs(*values: float) -> mg.Tensor:
    return mg.tensor(values, dtype="float64", requires_grad=True)


@pytest.mark.parametrize(
    ("name", "value", "slope"), [("minimax", -0.0100503, -0.01), ("non-saturating", 4.60517, -0.99)]
)
def test_generators_at_the_lectures_numbers(name, value, slope):
    """At D(Gz) = 0.01."""
    t = outputs(math.log(0.01 / 0.99))
    made = loss(name).generator(t)
    assert made.item() == pytest.approx(value, abs=1e-6)
    assert mg.grad(made, t)[0].item() == pytest.approx(slope, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "d", "g"),
    [
        ("minimax", 2 * math.log(2), -math.log(2)),
        ("non-saturating", 2 * math.log(2), math.log(2)),
        ("least-squares", 0.5, 0.5),
        ("hinge", 2.0, 0.0),
        ("margin", 2.0, 0.0),
        ("ebgan", 1.0, 0.0),
        ("wasserstein", 0.0, 0.0),
        ("relativistic", math.log(2), math.log(2)),
        ("relativistic-average", 2 * math.log(2), 2 * math.log(2)),
    ],
)
def test_values_at_output_zero(name, d, g):
    assert loss(name).discriminator(CHANCE, CHANCE).item() == pytest.approx(d, abs=1e-15)
    assert loss(name).generator(CHANCE, CHANCE).item() == pytest.approx(g, abs=1e-15)


def slopes(name: str, real: float, fake: float) -> tuple[float, float, float]:
    """dL_D/d real, dL_D/d fake, dL_G/d fake."""
    r, f = outputs(real), outputs(fake)
    (dr, df) = mg.grad(loss(name).discriminator(r, f), [r, f])
    return dr.item(), df.item(), mg.grad(loss(name).generator(f, r), f)[0].item()


@pytest.mark.parametrize(
    ("name", "real", "fake", "expected"),
    [
        ("minimax", 2.0, -3.0, (-0.119202922, 0.047425873, -0.047425873)),
        ("non-saturating", 2.0, -3.0, (-0.119202922, 0.047425873, -0.952574127)),
        ("least-squares", 0.25, -2.0, (-0.75, -2.0, -3.0)),
        ("hinge", 0.5, -0.5, (-1, 1, -1)),
        ("hinge", 1.5, -1.5, (0, 0, -1)),
        ("margin", -0.5, 0.5, (1, -1, 1)),
        ("margin", -1.5, 1.5, (0, 0, 1)),
        ("ebgan", 0.3, 0.4, (1, -1, 1)),
        ("ebgan", 0.3, 1.4, (1, 0, 1)),
        ("wasserstein", 7.0, -7.0, (-1, 1, -1)),
        ("relativistic", 2.0, 1.0, (-0.268941421, 0.268941421, -0.731058579)),
        ("relativistic-average", 2.0, 1.0, (-0.537882843, 0.537882843, -1.462117157)),
    ],
)
def test_slopes(name, real, fake, expected):
    assert slopes(name, real, fake) == pytest.approx(expected, abs=1e-8)


def test_relativistic_outputs_are_pairs():
    """Broadcast, four reals and four samples would be sixteen pairs."""
    row, column, line = loss("relativistic"), mg.tensor(np.arange(4.0)[:, None]), mg.tensor(np.arange(4.0))
    for one, other in ((column, line), (line, column), (line, line[:1])):
        for judged in (lambda a=one, b=other: row.discriminator(a, b), lambda a=one, b=other: row.generator(a, b)):
            with pytest.raises(ValueError, match=r"one real and one sample a pair, got outputs"):
                judged()
    assert row.discriminator(line, line).item() == pytest.approx(np.log(2))


def test_relativistic_losses_compare_pairs_and_means():
    """Pairs: the order of the samples matters. Means: each output against the other side's mean, by hand in NumPy. Both
    players' losses change places with the reals; no constant added to every output changes anything."""

    def softplus(t):
        return np.log1p(np.exp(t))

    r, f = np.array([0.3, -1.2, 2.0]), np.array([1.1, 0.4, -0.7])
    by_hand = {
        "relativistic": softplus(f - r).mean(),
        "relativistic-average": softplus(f.mean() - r).mean() + softplus(f - r.mean()).mean(),
    }
    for name, value in by_hand.items():
        row, real, fake = loss(name), mg.tensor(r), mg.tensor(f)
        assert row.relativistic
        assert row.discriminator(real, fake).item() == pytest.approx(value, rel=1e-12)
        assert row.generator(fake, real).item() == pytest.approx(row.discriminator(fake, real).item(), rel=1e-12)
        assert row.generator(fake + 5, real + 5).item() == pytest.approx(row.generator(fake, real).item(), rel=1e-12)
        assert row.generator(fake, real).item() != pytest.approx(row.discriminator(real, fake).item())
        with pytest.raises(ValueError, match=f"{name}.*reads the reals' outputs"):
            row.generator(fake)
    assert loss("relativistic").discriminator(mg.tensor(r), mg.tensor(f[::-1].copy())).item() != pytest.approx(
        by_hand["relativistic"]
    )


def test_figures_say_what_outputs_mean():
    """Probabilities where the row has them, the estimate of a distance for a bounded critic, else nothing."""
    real, fake = mg.tensor([1.0, 3.0]), mg.tensor([0.0, -1.0])
    sigmoid = 1 / (1 + np.exp(-np.array([1.0, 3.0])))
    figures = loss("minimax").figures(real, fake)
    assert figures["d_real"].item() == pytest.approx(sigmoid.mean(), rel=1e-6)
    assert figures["d_fake"].item() == pytest.approx((0.5 + 1 / (1 + np.e)) / 2, rel=1e-6)
    assert {k: v.item() for k, v in loss("wasserstein").figures(real, fake).items()} == {"critic_estimate": 2.5}
    assert loss("hinge").figures(real, fake) == {} == loss("relativistic").figures(real, fake)


def test_the_gradient_of_least_squares_lives_where_the_sigmoid_s_is_dead():
    """Far from the boundary on the fake side: the saturating generator's slope is e^-20, least squares' is 21."""
    assert abs(slopes("minimax", 0, -20)[2]) < 1e-8
    assert abs(slopes("least-squares", 0, -20)[2]) == pytest.approx(21)


def test_least_squares_best_output_is_the_share_of_reals():
    """The derivative of p (D-1)^2/2 + q D^2/2 vanishes at D = p / (p + q)."""
    p, q = 0.3, 0.9
    d_real, d_fake, _ = slopes("least-squares", p / (p + q), p / (p + q))
    assert p * d_real + q * d_fake == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_finite_and_descend(name, dtype):
    """At outputs of +-100 values, slopes and slopes of slopes are finite; D separates the two sides in the direction
    `sign` says, and G moves towards the reals' side."""
    row = loss(name)
    real, fake = (mg.tensor([-100.0, 0.0, 100.0], dtype=dtype, requires_grad=True) for _ in range(2))
    value = row.discriminator(row.head(real), row.head(fake))
    g_real, g_fake = mg.grad(value, [real, fake], create_graph=True)
    g_value = row.generator(row.head(fake), row.head(real))
    (g_gen,) = mg.grad(g_value, fake, create_graph=True)
    curvature = [
        g for g in mg.grad(g_real.sum() + g_fake.sum() + g_gen.sum(), [real, fake], allow_unused=True) if g is not None
    ]
    for a in (value, g_value, g_real, g_fake, g_gen, *curvature):
        assert np.isfinite(a.data).all()
    if name not in ("least-squares", "f-pearson"):  # a parabola pulls back what overshoots
        assert (row.sign * g_real.data <= 0).all() and (row.sign * g_fake.data >= 0).all()
        assert (row.sign * g_gen.data <= 0).all() and (g_gen.data != 0).any()
    d, g = row.formula.split(";  ")  # what the curves of a run are labelled with
    assert d.startswith("D: ") and g.startswith("G: ") and row.convention and row.paper


@pytest.mark.parametrize("ours, theirs", [("minimax", "non-saturating")])
def test_logits_against_probabilities(ours, theirs):
    """From logits equals from probabilities, where probabilities can be formed."""
    t = np.linspace(-5, 5, 11)
    s = 1 / (1 + np.exp(-t))
    for name in (ours, theirs):
        assert loss(name).discriminator(mg.tensor(t), mg.tensor(t)).item() == pytest.approx(
            -(np.log(s) + np.log(1 - s)).mean(), rel=1e-13
        )
    assert loss(ours).generator(mg.tensor(t)).item() == pytest.approx(np.log(1 - s).mean(), rel=1e-13)
    assert loss(theirs).generator(mg.tensor(t)).item() == pytest.approx(-np.log(s).mean(), rel=1e-13)


# f(u), f'(u) and the v at which g(v) = f'(u), each by hand.
F = {
    "kl": (lambda u: u * np.log(u), lambda u: 1 + np.log(u), lambda u: 1 + np.log(u)),
    "reverse-kl": (lambda u: -np.log(u), lambda u: -1 / u, np.log),
    "js": (lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2), lambda u: np.log(2 * u / (u + 1)), np.log),
    "jeffreys": (lambda u: (u - 1) * np.log(u), lambda u: np.log(u) + 1 - 1 / u, np.log),
    "pearson": (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), lambda u: 2 * (u - 1)),
    "hellinger": (lambda u: (np.sqrt(u) - 1) ** 2, lambda u: 1 - 1 / np.sqrt(u), lambda u: np.log(u) / 2),
}
RATIO = np.geomspace(0.01, 50, 40)


@pytest.mark.parametrize("name", F)
def test_conjugates_at_the_optimum(name):
    """At T = f'(u), f*(T) = u T - f(u), and the bound touches: that is what makes it tight."""
    f, slope, best = F[name]
    row, v = CONJUGATES[name], mg.tensor(best(RATIO))
    np.testing.assert_allclose(row.activation(v).data, slope(RATIO), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(row.conjugate(v).data, RATIO * slope(RATIO) - f(RATIO), rtol=1e-11, atol=1e-12)
    assert slope(1.0) == pytest.approx(row.threshold)


@pytest.mark.parametrize("name", F)
def test_the_critic_s_loss_is_least_at_the_optimum(name):
    """For two finite distributions minus the critic's loss is D_f there, and any other critic bounds it from below."""
    f, _, best = F[name]
    rng = np.random.default_rng(3)
    p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    row = CONJUGATES[name]

    def bound(v):
        return (p * row.activation(mg.tensor(v)).data - q * row.conjugate(mg.tensor(v)).data).sum()

    v = best(p / q)
    assert bound(v) == pytest.approx((q * f(p / q)).sum(), rel=1e-12)
    for _ in range(50):
        assert bound(v + 0.3 * rng.standard_normal(6)) < bound(v)


def test_total_variation_bound():
    """Its optimum lies at v = +-infinity; at +-20 the bound is TV to 1e-12."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    row, v = CONJUGATES["total-variation"], mg.tensor(np.sign(p - q) * 20)
    assert (p * row.activation(v).data - q * row.conjugate(v).data).sum() == pytest.approx(0.4, abs=1e-12)


def test_jeffreys_equals_the_lambert_form():
    """Nowozin et al.'s f*(t) = W(e^(1-t)) + 1 / W(e^(1-t)) + t - 2, at the T that v gives."""
    v = np.linspace(-3, 3, 25)
    t = CONJUGATES["jeffreys"].activation(mg.tensor(v)).data
    w = lambertw(np.exp(1 - t)).real
    np.testing.assert_allclose(CONJUGATES["jeffreys"].conjugate(mg.tensor(v)).data, w + 1 / w + t - 2, rtol=1e-10)


def test_exp_is_exact_up_to_its_limit():
    v = np.linspace(-50, EXP_LIMIT, 30)
    np.testing.assert_allclose(-CONJUGATES["reverse-kl"].activation(mg.tensor(-v)).data, np.exp(v), rtol=1e-14)


def test_the_alternative_generator():
    """For JS it is -E ln(2 sigmoid): non-saturating up to ln 2. Other families have none."""
    t = outputs(-4.0)
    made = alternative(loss("f-js")).generator(t)
    assert made.item() == pytest.approx(loss("non-saturating").generator(t).item() - math.log(2))
    with pytest.raises(ValueError, match="not of the f-GAN family"):
        alternative(loss("hinge"))


def test_ebgan_margin():
    row = loss("ebgan", margin=3.0)
    assert row.discriminator(outputs(0.5), outputs(1.0)).item() == pytest.approx(0.5 + 2.0)
    with pytest.raises(ValueError, match="margin must be positive"):
        ebgan(0.0)
    with pytest.raises(ValueError, match="'hinge' has no margin"):
        loss("hinge", margin=1.0)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("wassersetin", "wasserstein"), ("least-square", "least-squares"), ("f-pearsen", "f-pearson")],
)
def test_unknown_loss_names_the_nearest_and_the_known_ones(wrong, right):
    with pytest.raises(ValueError, match=f"unknown loss '{wrong}'; did you mean '{right}'\\? known: minimax, "):
        loss(wrong)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_the_image_networks(name):
    """One switch; both networks move and stay finite."""
    small = {"steps": 2, "batch_size": 8, "n_critic": 1, "base": 4, "latent": 8}
    trainer = Trainer(options_for("dcgan", loss=name, **small), data.load("digits"))
    before = [p.data.copy() for net in (trainer.generator, trainer.critic) for p in net.parameters()]
    for _ in range(2):
        assert np.isfinite(list(trainer.step().values())).all()
    after = [p.data for net in (trainer.generator, trainer.critic) for p in net.parameters()]
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    half = len(list(trainer.generator.parameters()))
    assert any(moved[:half]) and any(moved[half:])
