"""Lines and tables of judgements whose figures all differ, so that one in another's column is seen."""

import numpy as np
import pytest

from minigan.gan.metrics import attribute_edits, standing, translations
from minigan.gan.metrics.distances import Interval
from minigan.gan.metrics.entanglement import of_ends
from minigan.gan.metrics.realism import ClassRealism
from minigan.gan.metrics.realism import Standing as ClassStanding
from minigan.gan.metrics.reconstructions import KernelTest


def details(samples=500, **values):
    names = [row.key for row in standing.FIGURES if row.key not in ("present", "score")]
    values = dict.fromkeys(names, 0.0) | values
    return standing.Details(samples, 64, **{k: Interval(v, v, v) for k, v in values.items()})


def test_the_line_of_a_set_without_classes_has_each_figure_beside_its_own_real_one():
    ours, real = details(precision=0.1, recall=0.2, frechet=30.0), details(precision=0.4, recall=0.5, frechet=6.0)
    assert standing.Examination(ours, real, {}, {}).line() == (
        "precision 0.100 and recall 0.200 of 500 samples (real 0.400, 0.500); Frechet distance of them 30.0 (real 6.0)"
    )


def test_a_kernel_test_says_its_own_p_first():
    text = str(KernelTest(0.01, 0.5, 0.002, 9))
    assert "0.01000, p = 0.500 by permutation of 9 each" in text and "p = 0.002)" in text


def test_a_line_of_realism_names_each_null_model_s_own_share():
    half, sets = Interval(0.5, 0.4, 0.6), [ClassStanding(0.1 * k, 0.1 * k + 0.05) for k in (1, 2, 3, 4)]
    line = ClassRealism(9, half, half._replace(value=0.55), *sets).line()
    assert "50.0% [40.0%, 60.0%] of 9 samples (↑, held-out images 10.0%, nearest training images 20.0%, another" in line
    assert "class 40.0%)" in line
    assert "cover 55.0% [40.0%, 60.0%] (↑, held-out images 15.0%, the class's mean 35.0%)" in line


def edits(images=9, **changes):
    shares = {"turned": 0.9, "others": {"smile": 0.9}, "least_kept": 0.9, "precision": 0.9, "density": 0.5}
    return attribute_edits.Standing(**{"images": images, "frechet": 1.0, "colours": 9.0} | shares | changes)


def test_a_line_of_translations_is_in_the_order_of_its_heading():
    line = edits(turned=0.1, least_kept=0.2, precision=0.3, density=0.4, frechet=5.0, colours=6.0).line("ours")
    assert line.split() == ["ours", "10.0%", "20.0%", "0.300", "0.400", "5.0", "6.0"]
    assert attribute_edits.HEADING.split() == ["turned", "kept", "precision", "density", "Frechet", "colours"]


def test_a_summary_of_an_attribute_is_of_both_values_by_their_images():
    """A third of the images was asked for "yes"."""
    yes = edits(10, turned=0.3, others={"smile": 0.6}, precision=0.9, density=0.3, frechet=3.0, colours=6.0)
    no = edits(20, turned=0.9, others={"smile": 0.9}, precision=0.6, density=0.6, frechet=6.0, colours=3.0)
    real = {"yes": edits(10, precision=0.6), "no": edits(20, precision=0.9)}
    sets = {"no": no, "yes": yes}
    row = attribute_edits.summary(
        {value: {attribute_edits.OURS: ours, attribute_edits.REAL: real[value]} for value, ours in sets.items()}
    )
    assert (row["added"], row["removed"], row["least_precision"]) == (0.3, 0.9, 0.6)
    got = {key: row[key] for key in ("present", "precision", "density", "frechet", "colours")}
    assert got == pytest.approx({"present": 0.7, "precision": 0.7, "density": 0.5, "frechet": 5.0, "colours": 4.0})
    assert row["kept"] == pytest.approx({"smile": 0.8}) and row["real"]["precision"] == pytest.approx(0.8)


def test_a_table_of_translations_is_in_the_order_of_its_heading():
    look = translations.Look(5.0, 0.1, 2.0, 0.3, 40.0, 0.6)
    near = translations.Nearness(0.25, Interval(0.5, 0.4, 0.6))
    head, row = translations.table({translations.OURS: near}, {translations.OURS: look})
    assert " ".join(head.split()) == "L1 below identity colours ink spectrum dB precision Frechet class right"
    assert " ".join(row.split()) == "translated 0.2500 50.0% [40.0%, 60.0%] 5.0 10.0% 2.0 0.30 40.0 60.0%"


def test_the_interval_of_factors_is_of_95_of_100():
    """One latent moves one attribute always and another in half of 400 images: c = (1, q), and (1 + q)^2 / (1 + q^2)
    has slope 0.96 at q = 1/2, which deviates by 1/40; so the interval is 2 x 1.96 x 0.024 wide."""
    first, last = np.zeros((400, 2), int), np.stack([np.ones(400, int), np.arange(400) % 2], 1)
    low, high = of_ends([(first, last)], 400).interval
    assert high - low == np.clip(high - low, 0.075, 0.115)
