"""How samples stand beside real images and null models: verdicts on known figures, and figures of known features."""

from dataclasses import replace

import numpy as np
import pytest

from minigan.data import evenly_spaced
from minigan.gan.metrics import distances, null_models, report
from minigan.gan.metrics.distances import Interval
from minigan.gan.metrics.standing import FIGURES, Details, Examination, Inside

GOOD = {"confident": 0.9, "present": 10, "score": 9.0, "frechet": 2.0, "kernel": 0.1, "precision": 0.9, "recall": 0.9}
GOOD |= {"density": 0.9, "coverage": 0.9, "nearest_ratio": 1.0, "copies": 0.01, "disguised": 0.01, "spectral": 0.1}
NOTHING = GOOD | {"frechet": 300.0, "coverage": 0.1}
BY_KEY = {row.key: row for row in FIGURES}


def details(figures=GOOD, samples=500, width=0.005, **changes):
    """Figures with intervals of `width` to each side."""
    intervals = {k: Interval(v, v - width, v + width) for k, v in (figures | changes).items()}
    return Details(samples, 64, **intervals)


def standing(ours=None, real=None, inside=(), **null_changes):
    """An examination whose samples beat every null model; null_changes: of the one that is named."""
    nulls = {row.name: details(NOTHING) for row in null_models.SAMPLES} | {"copies": details(copies=1.0, disguised=1.0)}
    nulls |= {"moved copies": details(disguised=0.9), "blends": details(disguised=0.4)}
    nulls |= {name.replace("_", " "): details(NOTHING | change) for name, change in null_changes.items()}
    return Examination(ours or details(), real or details(GOOD, coverage=0.95, frechet=1.0), nulls, dict(inside))


@pytest.mark.parametrize(("key", "better", "worse"), [("coverage", 0.92, 0.88), ("frechet", 1.98, 2.02)])
def test_better_is_higher_or_lower_and_apart(key, better, worse):
    row, middle = BY_KEY[key], {"coverage": 0.9, "frechet": 2.0}[key]
    at = lambda value, half=0.009: Interval(value, value - half, value + half)  # noqa: E731
    assert row.beats(at(better), at(middle)) and not row.beats(at(worse), at(middle))
    assert not row.beats(at(better, 0.015), at(middle)) and not row.beats(at(better), at(middle, 0.015))
    assert not row.beats(at(middle), at(middle))


@pytest.mark.parametrize(
    ("change", "winners"),
    [
        ({}, []),
        ({"noise": {"coverage": 0.896}}, ["noise"]),  # within the interval
        ({"noise": {"frechet": 1.5}}, ["noise"]),
        ({"noise": {"coverage": 0.85}}, []),
        ({"noise": {"confident": 1.0, "precision": 1.0, "density": 2.0, "copies": 0.0}}, []),  # these tell nothing
        ({"one_image": {"coverage": 0.9}, "mixed": {"frechet": 2.0}}, ["one image", "mixed"]),
        ({"copies": {"copies": 0.012, "disguised": 1.0, "coverage": 0.2}}, ["copies"]),
        ({"copies": {"copies": 1.0, "disguised": 0.012}}, ["copies"]),
        ({"copies": {"copies": 1.0, "disguised": 1.0, "coverage": 1.0, "frechet": 0.0}}, []),
        ({"moved_copies": {"disguised": 0.9, "coverage": 1.0, "frechet": 0.0}}, []),
        ({"moved_copies": {"disguised": 0.015}, "blends": {"disguised": 0.012}}, ["moved copies", "blends"]),
    ],
)
def test_a_null_model_that_wins_or_ties_in_what_tells_it_makes_the_samples_red(change, winners):
    table = standing(**change)
    assert table.winners == winners
    figures, last = table.as_dict(), table.lines()[-1]
    assert figures["winners"] == winners
    assert last.startswith("red: no better than") == bool(winners) and all(name in last for name in winners)


def test_the_best_null_model_is_that_of_the_figure_s_direction():
    table = standing(noise={"frechet": 250.0}, mixed={"coverage": 0.4}, copies={"frechet": 0.5, "coverage": 1.0})
    assert table.as_dict()["best_null_model"] == {
        "frechet": {"name": "noise", "value": 250.0},
        "coverage": {"name": "mixed", "value": 0.4},
    }


@pytest.mark.parametrize(
    ("key", "value", "typical"),
    [
        ("confident", 0.97, True),
        ("confident", 0.903, False),  # within the interval
        ("confident", 0.8, False),
        ("density", 1.3, True),
        ("frechet", 0.5, True),
        ("frechet", 1.5, False),
        ("nearest_ratio", 1.5, False),
    ],
)
def test_what_is_better_than_real_images_is_too_typical(key, value, typical):
    table = standing(details(**{key: value}))
    assert [row.key for row in table.too_typical] == [key] * typical == table.as_dict()["too_typical"]
    (line,) = (line for line in table.lines() if line.startswith(BY_KEY[key].title))
    assert ("too typical" in line) == typical


def test_copies_beyond_chance_are_said():
    assert standing(details(copies=0.03)).copied and not standing(details(copies=0.015)).copied
    assert [row.key for row in standing(details(disguised=0.03)).copied] == ["disguised"]
    for key in ("copies", "disguised"):
        (line,) = (line for line in standing(details(**{key: 0.03})).lines() if "more than by chance" in line)
        assert line.startswith(BY_KEY[key].title)


@pytest.mark.parametrize(("share", "red"), [(0.015, False), (0.03, True), (0.98, True)])
def test_copies_in_disguise_are_no_better_than_copies(share, red):
    """A share of them beyond chance is enough, though null models are nothing but copies."""
    table = standing(details(disguised=share))
    assert table.winners == ["copies", "moved copies", "blends"][: 3 * red]
    assert table.as_dict()["copied"] == ["disguised"] * red
    assert table.lines()[-1].startswith("red: no better than copies (training images moved") == red


def test_no_copies_at_all_are_not_too_typical():
    few = details(copies=0.0, disguised=0.0, width=0.001)
    assert not standing(few, details(GOOD, width=0.001, coverage=0.95, frechet=1.0)).too_typical


def test_what_is_within_the_real_figure_s_own_interval_is_not_too_typical():
    table = standing(details(recall=0.93), details(recall=0.92))
    assert not table.too_typical
    assert [row.key for row in standing(details(recall=0.935), details(recall=0.92)).too_typical] == ["recall"]
    assert not standing(details(samples=99, recall=0.99), details(samples=99)).too_typical, "too few to say"


def test_every_line_says_the_direction_the_interval_and_what_real_images_get():
    table = standing()
    for row in FIGURES:
        (line,) = (line for line in table.lines() if line.startswith(row.title))
        assert row.better in line and f"real {row.text(getattr(table.real, row.key).value)}" in line
        assert ("[" in line) == (row.key != "present")
    assert "500 samples" in table.lines()[0]
    (head,) = (line for line in table.lines() if line.startswith(" " * 16) and "coverage↑" in line)
    cells = {line.split("  ")[0]: line.split() for line in table.lines() if len(line) == len(head)}
    assert {"samples", "held-out images", *table.null_models} <= cells.keys()


@pytest.mark.parametrize(("samples", "few"), [(99, True), (100, False)])
def test_few_images_have_no_intervals_and_no_verdict(samples, few):
    """Fewer than 100; for a covariance no more than there are features."""
    table = standing(details(samples=samples))
    lines = table.lines()
    assert any("too few images" in line for line in lines) == few == any("too few for a verdict" in li for li in lines)
    assert table.samples.too_few("recall") == few
    assert (table.winners is None) == few == (table.as_dict()["winners"] is None)
    assert any(line.startswith(("red", "better than every")) for line in lines) != few
    assert replace(details(samples=150), features=150).too_few("frechet")
    assert not replace(details(samples=150), features=149).too_few("frechet")
    assert not replace(details(samples=150), features=150).too_few("recall")
    assert ("recall" in table.as_dict()["details"]["too_few"]) == few


def test_the_inside_of_classes_is_on_the_page():
    inside = {"a": Inside(120, 0.5, 0.6, 0.9, 1.0), "b": Inside(140, 0.7, 0.4, 0.9, 0.8)}
    text = "\n".join(standing(inside=inside).lines())
    assert "120 to 140 images of each:" in text and "0.600, least 0.500 of a   real 0.900" in text
    assert "0.500, least 0.400 of b   real 0.900" in text
    few = standing(inside={"a": replace(inside["a"], images=99)})
    assert "too few to tell one class from another" in "\n".join(few.lines())


class Named:
    class_names = ("a", "b", "c")


def test_recall_inside_a_class_is_of_its_own_images():
    """Samples of class a are real ones, of b one point in the middle of the class; of c there are none. Over all
    classes together the recall of b would hide behind a's."""
    random = np.random.default_rng(0)
    train = np.concatenate([random.normal(0, 1, (40, 3)), random.normal(20, 1, (40, 3))])
    held_out = np.concatenate([random.normal(0, 1, (30, 3)), random.normal(20, 1, (30, 3))])
    samples = np.concatenate([random.normal(0, 1, (25, 3)), 20 + 1e-3 * random.normal(size=(35, 3))])
    probabilities = np.eye(3)[np.repeat([0, 1], [25, 35])]
    labels = np.repeat([0, 1], [30, 30]), np.repeat([0, 1], [40, 40])
    table = report.inside_classes((samples, probabilities), (held_out, labels[0]), (train, labels[1]), Named())
    assert list(table) == ["a", "b"] and (table["a"].images, table["b"].images) == (25, 30)
    assert table["a"].recall == distances.precision_recall(samples[:25], evenly_spaced(train[:40], 25))[1] > 0.6
    assert table["b"].recall == 0 and table["b"].coverage < 0.5 < table["b"].real_coverage
    assert table["b"].real_recall == distances.precision_recall(held_out[30:], evenly_spaced(train[40:], 30))[1] > 0.6
    assert table["a"].coverage == distances.density_coverage(samples[:25], evenly_spaced(train[:40], 25))[1]


def measured(random: np.random.Generator) -> tuple[Details, int]:
    """The figures of random features of any size, scale and law, some of them constant; and how many samples."""
    count, width, more = random.integers(10, 40), random.integers(1, 12), random.integers(0, 30)
    scale, shift = 10.0 ** random.integers(-4, 5), random.normal() * random.integers(0, 3)
    train = scale * random.standard_normal((count + more, width))
    features = scale * (random.standard_normal((count, width)) * random.integers(0, 2, width) + shift)
    if random.random() < 0.3:
        features = train[:count]
    probabilities = random.dirichlet(np.ones(4) * 10.0 ** random.integers(-3, 2), count)
    power = random.random((count, 5)) * 10.0 ** random.integers(-3, 4)
    usual = scale * random.standard_normal((count, width))
    view = report._View(features, probabilities, power, random.random(count) < 0.1)
    target = report._Target(train, train, train[:count], power.mean(0) + 1, usual)
    return report._measured(view, target, 0, None), count


@pytest.mark.parametrize("seed", range(12))
def test_every_interval_holds_its_figure(seed):
    """What cannot be negative has no end below 0, and shares none above 1."""
    table, count = measured(np.random.default_rng(seed))
    for row, value in table.figures().items():
        assert np.isfinite(value).all(), row.key
        assert value.low <= value.value <= value.high, row.key
        assert row.key == "kernel" or value.low >= 0, row.key
        if row.key in ("confident", "precision", "recall", "coverage", "copies", "disguised"):
            assert value.high <= 1 and value.value * count == pytest.approx(round(value.value * count))


def test_a_bootstrap_interval_is_the_mean_s():
    """Of 100 means of 50 numbers, the interval holds the truth in about 95 %, and is as wide as the normal law's."""
    hits, widths = 0, []
    for seed in range(100):
        x = np.random.default_rng(seed).normal(5, 1, 50)
        found = distances.bootstrap(lambda rows, x=x: x[rows].mean(), 50, x.mean(), 100, seed)
        hits += found.low <= 5 <= found.high
        widths.append(found.high - found.low)
        law = distances.mean_interval(x)
        assert law.high - law.low == pytest.approx(2 * 1.96 * x.std(ddof=1) / np.sqrt(50))
    assert hits >= 88 and np.mean(widths) == pytest.approx(2 * 1.96 / np.sqrt(50), rel=0.1)
    with pytest.raises(ValueError, match="at least 20 bootstrap rounds, got 3"):
        distances.bootstrap(lambda rows: 0.0, 5, 0.0, rounds=3)


def test_the_kernel_interval_is_of_both_sets_randomness():
    """Subsets of nearly all rows vary little, and say so of the whole set: of 40 pairs of one law 0 is inside in 95 %,
    by subsets of half of the rows."""
    hits = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        a, b = random.standard_normal((80, 3)), random.standard_normal((600, 3))
        found = distances.kernel_distance(a, b, subsets=30, subset_size=40, seed=seed)
        hits += found.low <= 0 <= found.high
    assert hits >= 36
