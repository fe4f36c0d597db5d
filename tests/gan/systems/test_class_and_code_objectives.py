"""What cgan, acgan, infogan and ebgan minimise, by hand, and what they observe, by judges whose answers are known."""

from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from worlds import WORLD, close, gradient_of, penalty_by_hand, stream, trainer

import minigan as mg
from minigan.functional import cross_entropy
from minigan.gan.metrics.distances import Interval
from minigan.gan.metrics.judging import Judge, Observation
from minigan.gan.metrics.realism import ClassRealism, Standing
from minigan.gan.results import winners
from minigan.gan.systems import alike, conditional, ebgan, infogan
from minigan.gan.train import STREAMS

D_STREAM, G_STREAM = STREAMS["latent_d"], STREAMS["latent_g"]


def conditioned(t, random, extra):
    z = mg.randn(3, 2, generator=random, dtype=mg.float64)
    return t.generator(mg.cat([z, *extra], 1))


# Classes.


def test_labels_are_those_of_the_images():
    t = trainer("cgan")
    t.feed()
    images, labels = t.loader.batch(0)
    assert np.array_equal(t.batch["real"].numpy(), images) and len(set(labels)) > 1
    assert np.array_equal(t.batch["labels"].numpy(), np.eye(3)[labels])
    assert t.labels(7).tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("condition", ["concat", "projection"])
def test_slopes_at_reals_and_samples_are_those_of_their_own_labels(condition):
    t = trainer("cgan", condition=condition, gp_weight=3.0, critic_norm=False, penalty="r1+r2")
    t.feed()
    real, labels = t.batch["real"], t.batch["labels"]
    fake = conditioned(t, stream(t, D_STREAM), [labels]).detach()
    for p in t.critic.parameters():
        p.assign(20 * p.detach())
    expected = sum(penalty_by_hand("r1", lambda x: t.critic(x, labels), x, x, None) for x in (real, fake))
    close(t.critic_loss()[1]["penalty"], expected)


@pytest.mark.parametrize("condition", ["concat", "projection"])
def test_both_players_of_cgan_see_the_label(condition):
    """D(x, y), D(G(z, y), y) with the batch's labels, the penalty's D included; G's latents are its own stream's."""
    t = trainer("cgan", condition=condition, gp_weight=3.0, critic_norm=False)
    t.feed()
    real, labels, row = t.batch["real"], t.batch["labels"], t.loss
    fake = conditioned(t, stream(t, D_STREAM), [labels]).detach()
    eps = mg.rand(3, 1, 1, 1, generator=stream(t, STREAMS["eps"]), dtype=mg.float64)
    expected = row.discriminator(t.critic(real, labels), t.critic(fake, labels))
    expected = expected + 3 * penalty_by_hand("two-sided", lambda x: t.critic(x, labels), real, fake, eps)
    objective, _ = t.critic_loss()
    close(objective, expected)
    assert gradient_of(objective, t.generator) is None
    objective, _ = t.generator_loss()
    close(objective, row.generator(t.critic(conditioned(t, stream(t, G_STREAM), [labels]), labels)))


def test_acgan_names_the_class_of_reals_and_samples():
    """D: L_S + w (CE(reals) + CE(samples)); G: L_S + w CE(samples): the same term helps both."""
    t = trainer("acgan", class_weight=3.0)
    t.feed()
    real, labels, row = t.batch["real"], t.batch["labels"], t.loss
    fake = conditioned(t, stream(t, D_STREAM), [labels]).detach()
    (d_real, c_real), (d_fake, c_fake) = t.critic(real), t.critic(fake)
    expected = row.discriminator(d_real, d_fake) + 3 * (cross_entropy(c_real, labels) + cross_entropy(c_fake, labels))
    close(t.critic_loss()[0], expected)
    score, logits = t.critic(conditioned(t, stream(t, G_STREAM), [labels]))
    close(t.generator_loss()[0], row.generator(score) + 3 * cross_entropy(logits, labels))


def shades(images):
    """A judge that reads the class off a picture of one shade: -1, 0 or 1."""
    return np.rint(images.mean((1, 2, 3)) + 1).astype(int)


def observed(t, count, module=conditional, **replaced):
    """What a trainer observes before the judge of shades, its other figures left out."""
    judge, nothing = Judge(None, 1.0), Observation({}, [])
    with (
        patch.multiple(module, judge_of=lambda *_: judge, observe_samples=lambda *_: nothing),
        patch.object(module.classifier, "classes", lambda model, images: shades(images)),
        patch.multiple(t, **replaced),
    ):
        return t.observe(count, stream(t, 7))


def pictures(classes):
    return (np.asarray(classes) - 1.0)[:, None, None, None] * np.ones((1, 1, 8, 8), np.float32)


def test_agreement_is_of_the_asked_class_with_the_judge_s():
    """Nine pictures, of which class 0 is drawn right thrice, class 1 once, class 2 never."""
    drawn = [0, 1, 0, 0, 2, 1, 0, 0, 1]
    figures = observed(trainer("cgan"), 9, draw=lambda *_: pictures(drawn)).figures
    assert figures["agreement"]["value"] == pytest.approx(4 / 9)
    assert figures["agreement_by_class"] == {"dark": 1.0, "grey": pytest.approx(1 / 3), "light": 0.0}

    assert "asked" not in figures  # too few of a class


@pytest.mark.parametrize(
    ("system", "module", "labels"),
    [("cgan", conditional, [0, 1, 2] * 3), ("acgan", conditional, [0, 1, 2] * 3), ("infogan", infogan, [2, 0, 0] * 3)],
)
def test_realism_is_of_the_class_that_was_asked_for(system, module, labels):
    """Of the label, and of what a category's samples mostly are; beside held-out images of the half."""
    calls, drawn = [], [2, 0, 0, 2, 0, 1, 2, 0, 0]
    others = [Standing(0.8, 0.9), Standing(1.0, 0.9), Standing(1.0, 0.45), Standing(0.1, 0.1)]
    seen = ClassRealism(9, *[Interval(0.5, 0.4, 0.6)] * 2, *others)
    t = trainer(system, **(CATEGORY if system == "infogan" else {}))
    t.split = "test"
    replaced = {"draw": lambda *_: pictures(drawn)}
    if system == "infogan":
        replaced = {
            "draw_coded": lambda *_: (np.zeros((9, 5)), pictures(drawn)),
            "read": lambda images: (np.log(np.full((9, 3), 1 / 3)), np.zeros((9, 0))),
        }
    with patch.object(module, "realistic_class", lambda *arguments: calls.append(arguments) or seen):
        observation = observed(t, 9, module, **replaced)
    images, asked, model, dataset = calls[0]
    assert np.array_equal(asked, labels) and np.array_equal(images, pictures(drawn)) and model is None
    assert np.array_equal(dataset.held_out, WORLD.half("test").held_out)
    assert observation.figures["asked"]["winners"] == ["class mean"] and winners(observation.figures) == ["class mean"]
    assert observation.lines[1] == seen.line()


# Codes.


def coded(t, random):
    """(samples, their categories, their continuous codes) as infogan draws them: the category, z, then the codes."""
    category = np.eye(3)[mg.randint(0, 3, (3,), random).numpy()]
    z = mg.randn(3, 2, generator=random, dtype=mg.float64)
    continuous = 2 * mg.rand(3, 2, generator=random, dtype=mg.float64) - 1
    category = mg.tensor(category)
    return t.generator(mg.cat([z, category, continuous], 1)), category, continuous


CODES = {"categories": 3, "continuous": 2, "category_weight": 2.0, "continuous_weight": 3.0}
CATEGORY = {"categories": 3, "continuous": 0, "category_weight": 2.0}


@pytest.mark.parametrize(
    ("ramp", "step", "share", "share_q"), [(0, 0, 1, 1), (4, 5, 0.5, 0), (4, 7, 1, 0), (4, 9, 1, 0.5), (4, 12, 1, 1)]
)
def test_infogan_s_codes(ramp, step, share, share_q):
    """Both players minimise share_q or share times w CE(Q(Gz), c), and share times w MSE of the continuous codes; the
    figure is the bound log K - CE."""
    t = trainer("infogan", real_weight=0.0, ramp=ramp, **CODES)
    t.steps_done = step
    t.anneal()
    t.feed()
    row = t.loss
    for random, loss, weight in (
        (stream(t, D_STREAM), t.critic_loss, share_q),
        (stream(t, G_STREAM), t.generator_loss, share),
    ):
        fake, category, continuous = coded(t, random)
        score, logits, means = t.critic(fake)
        entropy = cross_entropy(logits, category)
        codes = weight * 2 * entropy + share * 3 * mg.mean(mg.square(means - continuous))
        if loss == t.critic_loss:
            expected = row.discriminator(t.critic(t.batch["real"])[0], score) + codes
            bound = np.log(3) - entropy.item()
        else:
            expected = row.generator(score) + codes
        objective, figures = loss()
        close(objective, expected)
        if "bound" in figures:
            assert figures["bound"].item() == pytest.approx(bound)
    assert gradient_of(t.critic_loss()[0], t.generator) is None


def test_infogan_s_pairs_are_held_together():
    """D's objective falls by w (I(categories) + I(finer clusters)) of the pairs of reals."""
    t = trainer("infogan", real_weight=1.5, ramp=0, settle=0, **CODES)
    t.feed()
    plain = trainer("infogan", real_weight=0.0, ramp=0, **CODES)
    fake, category, continuous = coded(t, stream(t, D_STREAM))
    score, logits, means = t.critic(fake)
    codes = 2 * cross_entropy(logits, category) + 3 * mg.mean(mg.square(means - continuous))
    heads = zip(t.critic.clusters(t.batch["first"]), t.critic.clusters(t.batch["second"]), strict=True)
    information = sum(alike.mutual_information(mg.softmax(a, 1), mg.softmax(b, 1)) for a, b in heads)
    expected = t.loss.discriminator(t.critic(t.batch["real"])[0], score) + codes - 1.5 * information
    close(t.critic_loss()[0], expected)
    assert "real_information" not in plain.batch


def test_infogan_observes_what_was_asked_for():
    """Six samples of three categories before a judge and a Q with known answers: the bound is taken at the category
    that was asked for, purity counts each category's best class."""
    t = trainer("infogan", real_weight=0.0, ramp=0, **CATEGORY)
    log_q = np.log(np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]] * 2))
    drawn = [2, 0, 0, 2, 0, 0]  # category 0 -> class 2 twice, 1 and 2 -> class 0 twice each
    seen = observed(
        t,
        6,
        infogan,
        draw_coded=lambda *_: (np.zeros((6, 5)), pictures(drawn)),
        read=lambda images: (log_q, np.zeros((6, 0))),
    )
    figures = seen.figures
    assert seen.lines[0].startswith("purity 100.0% [61.0%, 100.0%] over 6 samples")  # Wilson's 95 %
    assert figures["bound"] == pytest.approx(np.log(3) + np.log([0.8, 0.2, 0.8]).mean())
    assert figures["table"] == [[0, 0, 2], [2, 0, 0], [2, 0, 0]]
    assert figures["purity"] == 1 and figures["matched"] == pytest.approx(4 / 6)
    # Four 0 and two 2 in three pairs: both 2 in one pair (1/5), so that all are pure, or two pairs are mixed.
    assert figures["chance"]["purity"] == pytest.approx(1 / 5 + 4 / 5 * 4 / 6, abs=0.06)


@pytest.mark.parametrize(("count", "categories"), [(30, 10), (500, 10), (2000, 40)])
def test_classes_that_have_nothing_to_do_with_the_categories_are_at_chance(count, categories):
    """The largest class of a category is larger than its share by luck: purity of new draws lies about the figure."""
    random = np.random.default_rng(0)
    pairs = [(random.permutation(count) % categories, random.integers(0, 10, count)) for _ in range(40)]
    draws = []
    for category, classes in pairs:
        table = np.zeros((categories, 10), int)
        np.add.at(table, (category, classes), 1)
        draws.append((infogan.purity(table), infogan.matching(table)))
    chance = infogan.by_chance(*pairs[0], (categories, 10), 3)
    for k, name in enumerate(("purity", "matched")):
        values = np.array(draws)[:, k]
        assert chance[name] == pytest.approx(values.mean(), abs=3 * values.std() / np.sqrt(40) + 0.02)
    assert infogan.by_chance(*pairs[0], (categories, 10), 3) == chance
    assert infogan.by_chance(np.arange(count) % 2, np.zeros(count, int), (2, 2), 0)["purity"] == 1, "one class"


def test_a_category_without_samples_has_no_class():
    t = trainer("infogan", real_weight=0.0, ramp=0, **CATEGORY)
    seen = observed(
        t,
        2,
        infogan,
        draw_coded=lambda *_: (np.zeros((2, 5)), pictures([2, 0])),
        read=lambda images: (np.log(np.full((2, 3), 1 / 3)), np.zeros((2, 0))),
    )
    (line,) = (line for line in seen.lines if line.startswith("category -> class"))
    assert line.count("->") == 3 and "2 ->" not in line.partition(":")[2]


# Energies.


def test_ebgan_s_margin_and_pull():
    """D: E(x) + max(0, m - E(Gz)); G: E(Gz) + w PT of the samples' codes."""
    t = trainer("ebgan", margin=0.3, pull=2.0, network="dcgan")
    t.feed()
    real, critic = t.batch["real"], t.critic

    def energy(x):
        return mg.square(critic.decoder(critic.encoder(x)) - x).mean((1, 2, 3))

    fake = conditioned(t, stream(t, D_STREAM), []).detach()
    close(t.critic_loss()[0], energy(real).mean() + mg.relu(0.3 - energy(fake)).mean())
    fake = conditioned(t, stream(t, G_STREAM), [])
    codes = critic.encoder(fake).detach().numpy()
    cosines = (u := codes / np.linalg.norm(codes, axis=1)[:, None]) @ u.T
    pull = np.mean(np.square(cosines[~np.eye(3, dtype=bool)]))
    assert t.generator_loss()[0].item() == pytest.approx(energy(fake).mean().item() + 2 * pull, rel=1e-9)


def test_ebgan_observes_held_out_images():
    """Energies are told by brightness; held-out images are said to be darker than samples, training images brighter."""
    t = trainer("ebgan", network="dcgan")
    images = np.repeat([0.9, 0.1], 5)
    dataset = SimpleNamespace(images=images, train=np.arange(5), held_out=np.arange(5, 10))
    with (
        patch.object(ebgan, "prepared", lambda d, index, size: d.images[index]),
        patch.multiple(t, dataset=dataset, draw=lambda *_: np.full(5, 0.5), energies=lambda x: x),
        patch.object(ebgan.Trainer, "observe", side_effect=ValueError("no judge")),
    ):
        figures = t.observe(5, stream(t, 7)).figures
    assert figures["energy"]["auc"] == 1 and figures["energy"]["real"] == pytest.approx(0.1)
    assert figures["energy"]["train"] == pytest.approx(0.9)
    assert ebgan.separation([1, 2], [2, 3]).auc == pytest.approx(3.5 / 4)
