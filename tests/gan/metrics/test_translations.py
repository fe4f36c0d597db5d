"""Translations beside null models: on pairs whose distances are known, each null model from where it may look."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from minigan.gan.metrics import null_models, translations
from minigan.gan.metrics.translations import OURS, REAL, Way, look, nearness, standing


def random_images(seed, count=12, side=8, channels=1):
    return np.random.default_rng(seed).uniform(-1, 1, (count, channels, side, side)).astype(np.float32)


def grey(*levels, side=4):
    """Images of one grey level each."""
    return np.array(levels, np.float32).reshape(-1, 1, 1, 1) * np.ones((1, 1, side, side), np.float32)


def way(**changes):
    """Everything different from everything else."""
    names = ("images", "true", "trial", "trial_true", "target")
    return Way(**{name: random_images(k) for k, name in enumerate(names)} | {"background": 1.0} | changes)


def test_shares_are_of_the_identity_map_s_error():
    """Pairs 1 and 2 apart; half the way is 50 % below, all of it 100 %, too far by as much 0 %."""
    w = way(images=grey(-1, -1), true=grey(0, 1))
    sets = {"half": grey(-0.5, 0), "all": w.true, "beyond": grey(1, 3), "first": grey(0, -1)}
    near = nearness({OURS: grey(-0.5, 0), **sets}, w, 0)
    assert {name: near[name].below.value for name in sets} == pytest.approx(
        {"half": 0.5, "all": 1, "beyond": 0, "first": 1 / 3}
    )
    assert {name: near[name].beyond.value for name in sets} == pytest.approx(
        {"half": 0, "all": -0.5, "beyond": 0.5, "first": 1 / 6}
    )
    assert near[OURS].l1 == pytest.approx(0.75) and near[OURS].beyond is None
    assert near["half"].below[1:] == pytest.approx((0.5, 0.5))  # of either pair
    assert near["first"].below[1:] == pytest.approx((0, 1))  # of the second alone, of the first alone


def test_an_interval_is_that_of_the_mean_over_pairs():
    """Errors of known spread, an identity map that is 1 away from each: 1.96 standard errors to either side."""
    errors = np.random.default_rng(3).uniform(0.2, 0.8, 400)
    near = nearness({OURS: grey(*errors)}, way(images=grey(*np.ones(400)), true=grey(*np.zeros(400))), 1)
    share, half = 1 - errors.mean(), 1.96 * errors.std() / 20
    assert near[OURS].below == pytest.approx((share, share - half, share + half), abs=3e-3)


def test_the_same_pairs_are_drawn_for_all():
    """Pairs differ much, and a null model is 0.1 worse on each: the interval of the difference has no width."""
    true = grey(*np.linspace(0, 0.9, 10))
    w = way(images=true + 0.5, true=true)
    ours = true + grey(*np.linspace(0.1, 0.4, 10))
    near = nearness({OURS: ours, "worse": ours + 0.05, "noisy": random_images(9, 10, 4)}, w, 0)
    assert near["worse"].beyond == pytest.approx((0.1, 0.1, 0.1), abs=1e-5)
    assert near["noisy"].beyond.high - near["noisy"].beyond.low > 0.1
    assert not near["worse"].wins and not near[OURS].wins


def test_what_is_within_the_interval_has_won():
    """Better than the null model on average, by pairs of which some are worse."""
    w = way(images=grey(*np.ones(10)), true=grey(*np.zeros(10)))
    null = grey(*np.full(10, 0.5))
    near = nearness({OURS: null + 0.3 * grey(*[-1] * 6, *[1] * 4), "null": null, "worse": null + 0.3}, w, 0)
    assert near["null"].beyond.value == pytest.approx(0.06) and near["null"].wins and not near["worse"].wins


def test_null_models_look_where_they_may():
    """The constant is the median of the target's training images; size and thickness are those of the validation pairs;
    nothing depends on the test pairs' truth."""
    w = way()
    w = replace(w, trial_true=null_models.shrunk(w.trial, 0.5), true=null_models.shrunk(w.images, 0.9))
    nulls = w.nulls()
    assert all(np.array_equal(nulls[k], v) for k, v in replace(w, true=random_images(7)).nulls().items())
    assert np.array_equal(nulls["identity"], w.images) and (nulls["blank page"] == 1).all()
    assert nulls["constant"][3] == pytest.approx(np.median(w.target, 0))
    assert nulls["shrunk"] == pytest.approx(null_models.shrunk(w.images, 0.5))
    assert {x.tobytes() for x in nulls["nearest"]} <= {x.tobytes() for x in w.target}
    w = replace(w, trial_true=null_models.thickened(w.trial, 1, 0, -0.5, -1.0), background=-1.0)
    assert w.nulls()["thickened"] == pytest.approx(null_models.thickened(w.images, 1, 0, -0.5, -1.0))


def test_thicker_and_thinner():
    """A line of one pixel becomes three, or nothing, in its page's colours; half the way is half as grey."""
    for page, line in ((1.0, -1.0), (-1.0, 1.0)):
        image = np.full((1, 1, 5, 7), page)
        image[..., 3] = line
        thick = null_models.thickened(image, 1, 0, 1, page)
        assert (thick[..., 2:5] == line).all() and (thick[..., [0, 1, 5, 6]] == page).all()
        assert (null_models.thickened(image, 0, 1, 1, page) == image).all()  # it is endless, up and down
        assert (null_models.thickened(image, 1, 0, -1, page) == page).all()
        assert (null_models.thickened(image, 1, 1, 0.5, page)[..., [2, 4]] == 0).all()
        assert null_models.best_thickened(image, thick, page)[0] == (1, 0, 1)


def test_looks():
    """One colour, or two; black on a third of a white page; no distance from itself."""
    page = grey(1, 1)
    striped = page.copy()
    striped[:, :, :, :1] = -1
    w = way(images=page, true=striped, target=striped)
    assert (look(page, w).colours, look(page, w).ink) == (1, 0)
    assert (look(striped, w).colours, look(striped, w).ink, look(striped, w).spectral) == (2, 0.25, 0)
    assert look(page, w).spectral > 10 and look(page, w).right is None
    colourful = np.concatenate([striped, page, page], 1)
    colourful[0, 2, 0] = -1
    assert look(colourful, replace(w, target=colourful)).colours == (4 + 2) / 2


class Eyes:
    """A judge whose features are the four corner pixels, and whose class is whether the first is light."""

    def features(self, x):
        return x[:, 0, ::31, ::31].flatten(1)

    def last(self, features):
        import minigan as mg

        return mg.stack([-20 * features[:, 0], 20 * features[:, 0]], 1)


def test_the_judge_s_figures():
    images = random_images(5, 40, 32)
    w = way(images=images, true=images, target=images)
    seen = look(images, w, Eyes(), (images[:, 0, 0, 0] > 0).astype(int))
    assert (seen.right, seen.precision) == (1, 1) and seen.frechet < 1e-4
    far = look(images + 5, w, Eyes(), np.zeros(40, int))
    assert look(images[:3], w, Eyes(), np.zeros(3, int)).right is None
    assert (far.right, far.precision) == (0, 0) and far.frechet == pytest.approx(100, rel=1e-3)


def test_precision_is_not_recall():
    """One of the domain's own images over and over is precise, and covers little."""
    images = random_images(5, 40, 32)
    w = way(images=images, true=images, target=images)
    assert look(np.repeat(images[:1], 40, 0), w, Eyes(), np.zeros(40, int)).precision == 1


def test_the_table_has_a_row_for_each():
    w = way(**{name: random_images(k, 40, 32) for k, name in enumerate(("images", "true", "target"))})
    figures, lines = standing(w.true, w, 0, True, Eyes(), np.zeros(40, int))
    names = [OURS, *w.nulls(), REAL]
    assert [line[:12].strip() for line in lines[1:]] == ["", *names] and list(figures["looks"]) == names
    assert figures["below_identity"] == 1 and figures["winners"] == [] and figures["as_good"] == "none"
    assert figures["looks"][REAL] == asdict(look(w.true, w, Eyes(), np.zeros(40, int)))
    assert figures["beyond"]["identity"] == pytest.approx(100) and "precision" in lines[1]
    plain, lines = standing(w.true, w, 0)
    assert list(plain["looks"]) == [OURS, REAL] and len(lines) == 1 and plain["nearness"] == figures["nearness"]


def test_a_summary_names_the_winners():
    w = way()
    figures, lines = standing(w.images, w, 0)
    assert "identity" in figures["winners"] and lines[0].endswith(", ".join(figures["winners"]))
    assert "as good" not in translations.summary(standing(w.true, w, 0)[0])
