"""What cyclegan and stargan minimise, by hand, on translators and critics that are formulas, each unlike the others."""

import numpy as np
import pytest
from worlds import FACES, WORLD, Formula, gradient_of, penalty_by_hand, trainer

import minigan as mg
from minigan.gan.systems.cyclegan import Both
from minigan.gan.systems.stargan import PAPER


def l1(x, y):
    return np.abs(x - y).mean()


def cyclegan(**changes):
    """A trainer whose networks are formulas: to_a(x) = x / 2 + 0.1, to_b(x) = 0.3 - x, and two critics; without their
    frames they draw x / 4 and x + 0.2; after one feed."""
    t = trainer("cyclegan", WORLD, size=16, batch_size=2, **changes)
    t.generator = Both(Formula(lambda x: x / 2 + 0.1), Formula(lambda x: 0.3 - x))
    t.generator.a.draw, t.generator.b.draw = (lambda x: x / 4), (lambda x: x + 0.2)
    t.critic = Both(Formula(lambda x: 2 * x[:, :, 0]), Formula(lambda x: 1 - 3 * x[:, :, 1]))
    t.feed()
    return t, t.batch["real_a"].numpy(), t.batch["real_b"].numpy()


def test_cyclegan_s_translators():
    t, a, b = cyclegan(cycle_weight=3.0, identity_weight=0.5)
    fake_a, fake_b = b / 2 + 0.1, 0.3 - a
    fooled = ((2 * fake_a[:, :, 0] - 1) ** 2).mean() / 2 + ((-3 * fake_b[:, :, 1]) ** 2).mean() / 2
    cycle = l1(fake_b / 2 + 0.1, a) + l1(0.3 - fake_a, b)
    same = l1(a / 4, a) + l1(b + 0.2, b)
    objective, figures = t.generator_loss()
    assert objective.item() == pytest.approx(fooled + 3 * cycle + 1.5 * same)
    assert [figures[k].item() for k in ("g_loss", "cycle", "identity")] == pytest.approx([fooled, cycle / 2, same / 2])


def test_cyclegan_s_critics():
    """Each on its own domain's reals and on translations into it."""
    t, a, b = cyclegan(pool=0)
    fake_a, fake_b = b / 2 + 0.1, 0.3 - a
    d_a = ((2 * a[:, :, 0] - 1) ** 2).mean() / 2 + ((2 * fake_a[:, :, 0]) ** 2).mean() / 2
    d_b = ((-3 * b[:, :, 1]) ** 2).mean() / 2 + ((1 - 3 * fake_b[:, :, 1]) ** 2).mean() / 2
    objective, figures = t.critic_loss()
    assert objective.item() == pytest.approx(d_a + d_b)
    assert [figures[k].item() for k in ("d_loss_a", "d_loss_b")] == pytest.approx([d_a, d_b])


def test_cyclegan_translates_towards_the_domain_that_is_named():
    t, _, _ = cyclegan(source="dark", target="light")
    t.average.module = t.generator
    images = np.full((1, 1, 8, 8), 0.2)
    for Network in (t.average.module.a, t.average.module.b):
        Network.register_parameter("weight", mg.nn.Parameter(np.zeros(1)))
    assert t.translate(images, "dark") == pytest.approx(0.2) and t.translate(images, "light") == pytest.approx(0.1)
    assert t.translate(images - 2, "light") == pytest.approx(1)  # cut off


def test_the_domains_are_shuffled_apart():
    """Row k of one domain does not meet row k of the other: no pair is learnt from."""
    t = trainer("cyclegan", WORLD, size=16, batch_size=2)
    met = set()
    for _ in range(40):
        t.feed()
        for x, y in zip(t.batch["real_a"].numpy(), t.batch["real_b"].numpy(), strict=True):
            met.add((round(float(x.sum()), 6), round(float(y.sum()), 6)))
    assert len(met) == len({x for x, _ in met}) * len({y for _, y in met})


def test_half_of_what_comes_is_traded_once_the_pool_is_full():
    t, shares = trainer("cyclegan", WORLD, size=16, pool=4, batch_size=2), []
    for _ in range(100):
        t.feed()
        shares.append(t.batch["traded_a"].numpy().mean())
    assert max(shares[:2]) == 0 and abs(np.mean(shares[2:]) - 0.5) < 0.15


def faces(**changes):
    """stargan on formulas: G(x, c, z) = x / 2 + 0.1 c_1 - 0.2 c_2 + z / 8, a critic of squares; wanted are the
    attributes that are not there, and those who have them are the images in another order."""
    t = trainer("stargan", FACES, attributes="hat,smile", **({"latent": 1} | changes))

    def translate(x, c):
        shift = 0.1 * c[:, 0] - 0.2 * c[:, 1]
        if t.options.latent:
            shift = shift + c[:, 2] / 8
        return x / 2 + shift.reshape(-1, 1, 1, 1)

    def judge(x):
        rows = mg.square(x).mean((1, 3))
        return mg.square(x).sum((1, 2, 3)) / 9, mg.stack([3 * rows[:, 0], 1 - 2 * rows[:, 1]], 1)

    t.generator, t.critic = Formula(translate), Formula(judge)
    t.feed()
    t.batch["target"].assign(1 - t.batch["source"].numpy())
    t.batch["partner"].assign(np.roll(t.batch["real"].numpy(), 1, 0))
    names = ("real", "partner", "source", "target")
    return t, translate, judge, *(t.batch[name] for name in names)


def told(judge, x, c):
    """f(x | c) = f(x) + (2 c - 1) . v(x)."""
    f, v = judge(x)
    return f.numpy() + ((2 * c.numpy() - 1) * v.numpy()).sum(1)


def drawn(t, name, times=1):
    """The noise that stream `name` begins with, beside each of `times` draws."""
    random = mg.Generator(5, t.streams[name])
    return [mg.randn(3, 1, generator=random, dtype=mg.float64) for _ in range(times)]


def cross_entropy(logits, values):
    """Summed over attributes, averaged over images."""
    logits, values = logits.detach().numpy(), values.numpy()
    return (np.logaddexp(0, logits) - values * logits).sum(1).mean()


WEIGHTS = {"mismatch_weight": 0.25, "change_weight": 5.0, "gp_weight": 0.01}
EQUATIONS = {"class_weight": 2.0, "cycle_weight": 3.0, "change_weight": 5.0, "gp_weight": 0.01}


def test_stargan_s_critic():
    """A translation beside a real image of the same attributes, and an image that lacks them beside the same."""
    t, translate, judge, x, partner, has, wanted = faces(**WEIGHTS)
    fake = translate(x, mg.cat([wanted - has, *drawn(t, "latent_d")], 1))
    real = told(judge, partner, wanted)
    expected = np.logaddexp(0, told(judge, fake, wanted) - real).mean()
    expected += 0.25 * np.logaddexp(0, told(judge, x, wanted) - real).mean()

    def critic(y):
        f, v = judge(y)
        return f + ((2 * wanted - 1) * v).sum(1)

    expected += 0.01 * penalty_by_hand("r1", critic, partner, fake, None).item()
    assert t.critic_loss()[0].item() == pytest.approx(expected)


def test_stargan_s_critic_moves_no_translator():
    t = trainer("stargan", FACES, attributes="hat,smile")
    t.feed()
    objective = t.critic_loss()[0]
    assert gradient_of(objective, t.generator) is None and gradient_of(objective, t.critic) is not None


def test_stargan_s_translator():
    """It is to look more real than a real image of what is wanted."""
    t, translate, judge, x, partner, has, wanted = faces(**WEIGHTS)
    fake = translate(x, mg.cat([wanted - has, *drawn(t, "latent_g")], 1))
    expected = np.logaddexp(0, told(judge, partner, wanted) - told(judge, fake, wanted)).mean()
    expected += 5 * l1(fake.numpy(), x.numpy())
    assert t.generator_loss()[0].item() == pytest.approx(expected)


def test_stargan_s_critic_by_the_paper():
    """Told nothing; reals are named by what they show."""
    t, translate, judge, x, partner, has, wanted = faces(**PAPER | EQUATIONS)
    t.batch["target"].assign(np.roll(has.numpy(), 1, 0))  # what the partners have
    fake = translate(x, wanted)
    (f_real, p_real), (f_fake, _) = judge(x), judge(fake)
    eps = mg.rand(3, 1, 1, 1, generator=mg.Generator(5, t.streams["eps"]), dtype=mg.float64)
    penalty = penalty_by_hand("two-sided", lambda y: judge(y)[0], partner, fake, eps).item()
    expected = f_fake.mean().item() - f_real.mean().item() + 0.01 * penalty + 2 * cross_entropy(p_real, has)
    assert t.critic_loss()[0].item() == pytest.approx(expected)


def test_stargan_s_translator_by_the_paper():
    """Asked for what is wanted; the way back, for what was there."""
    t, translate, judge, x, _, has, wanted = faces(**PAPER | EQUATIONS)
    fake = translate(x, wanted)
    score, logits = judge(fake)
    expected = -score.mean().item() + 2 * cross_entropy(logits, wanted)
    expected += 3 * l1(translate(fake, has).numpy(), x.numpy()) + 5 * l1(fake.numpy(), x.numpy())
    assert t.generator_loss()[0].item() == pytest.approx(expected)


def test_stargan_s_way_back_has_noise_of_its_own():
    t, translate, _, x, _, has, wanted = faces(**WEIGHTS, cycle_weight=3.0)
    there, back = drawn(t, "latent_g", 2)
    round_trip = translate(translate(x, mg.cat([wanted - has, there], 1)), mg.cat([has - wanted, back], 1))
    assert t.generator_loss()[1]["reconstruction"].item() == pytest.approx(l1(round_trip.numpy(), x.numpy()))


def test_stargan_wants_what_others_of_the_batch_have():
    t, turned = trainer("stargan", FACES, attributes="hat,smile"), 0
    for _ in range(10):
        t.feed()
        has, wanted = (t.batch[name].numpy() for name in ("source", "target"))
        assert sorted(map(tuple, has)) == sorted(map(tuple, wanted))
        of = {image.tobytes(): values for image, values in zip(t.batch["real"].numpy(), has, strict=True)}
        for image, values in zip(t.batch["partner"].numpy(), wanted, strict=True):
            assert np.array_equal(of[image.tobytes()], values)
        turned += (has != wanted).any()
    assert turned > 3
