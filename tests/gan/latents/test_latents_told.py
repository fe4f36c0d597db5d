"""Whose images, codes and judges a search, a sum and a line go by, where each would give another number."""

import numpy as np
from latent_worlds import Signs, world
from worlds import FACES

from minigan.backend import Generator
from minigan.gan.latents import Scale, arithmetic, ascent, search, target
from minigan.gan.latents.edit import EditRow
from minigan.gan.latents.factors import Factors, draw
from minigan.gan.metrics import classifier
from minigan.gan.metrics.distances import Interval
from minigan.gan.metrics.entanglement import Entanglement


def test_random_search_looks_at_as_many_images_as_ascent(monkeypatch):
    """Half of the evaluations are draws to begin from, and an ascent looks once a step."""
    looks = {"search": [], "ascend": []}
    monkeypatch.setattr(ascent, "ascend", lambda space, x, score, steps, *rest: looks["ascend"].append(steps) or x)
    monkeypatch.setattr(ascent, "random_search", lambda space, x, score, new, tries: looks["search"].append(tries) or x)
    t, signs = world()
    ascent.study(t, target(["hat=yes"], t, signs), count=4, steps=41)
    start, null = looks["search"]
    assert null == start + sum(looks["ascend"]) == 41


def test_means_are_of_training_images_and_results_begin_at_others(monkeypatch):
    t, signs = world()
    t.encode = lambda images: images[:, 0, 0, :3]
    asked, of_images = [], arithmetic.of_images
    monkeypatch.setattr(arithmetic, "MEMBERS", 1)
    monkeypatch.setattr(arithmetic, "of_images", lambda *args: asked.append(args[-1].tolist()) or of_images(*args))
    arithmetic.study(t, "- hat=no + hat", own=signs)
    assert asked == [FACES.train.tolist(), FACES.held_out.tolist()]


def test_results_are_read_by_the_other_judge():
    class Never(Signs):
        def read(self, images, factors):
            return {name: np.zeros(len(images), int) for name in factors}

    t, signs = world()
    rows = arithmetic.study(t, "smile - hat=no + hat", count=50, own=signs, other=Never(FACES)).rows
    assert rows["arithmetic"].reached.value == 0 and rows["arithmetic"].score.value > rows["where it began"].score.value


def test_the_prior_of_a_search_is_of_the_training_images_codes():
    t, _ = world()
    t.encode = lambda images, random=None: images[:, 0, 0, :3]
    codes = search.codes_of(t, Generator(0, 1))(60)
    known = {bytes(x) for x in t.encode(classifier.prepared(FACES, FACES.train, 8))}
    assert {bytes(x) for x in codes} == known


def test_the_denoiser_is_learnt_in_the_latents_own_units(monkeypatch):
    """Codes ten times as wide get ten times the noise."""
    seen = []
    monkeypatch.setattr(search, "denoiser", lambda fresh, sigma, random: seen.append(sigma) or (lambda z: z / 1.09))
    t, signs = world()
    widths = np.array([1.0, 10.0, 0.1])
    monkeypatch.setattr(search, "codes_of", lambda trainer, random: lambda n: random.normal((n, 3)) * widths)
    search.study(t, target(["hat=yes"], t, signs), chains=2, steps=20, every=5, sigma=0.3)
    np.testing.assert_allclose(seen[0], 0.3 * widths, rtol=0.2)


def test_real_images_of_a_scale_are_training_images():
    """Its balls are of held-out ones, which lie in their own."""
    t, signs = world()
    real = Scale(target(["hat=yes"], t, signs), 8).real(9)
    np.testing.assert_array_equal(real, classifier.prepared(FACES, np.array([1, 3, 5]), 8))


def known_factors():
    changes = np.array([[0.5, 1.0, 0.0], [0.1, 0.2, 0.0]])
    e = Entanglement(1.5, (1.2, 1.9), np.array([1.8, 1.8]), changes)
    return Factors({"latents": e}, [], ["hat", "smile", "beard"])


def test_a_line_of_factors_says_how_many_a_latent_moves_and_which():
    """A latent moves 1.5 attributes, another 0.3: 0.9 in the mean, and the smile most often."""
    (line,) = known_factors().lines()
    assert line.split()[1:4] == ["1.50", "[1.20,", "1.90]"] and "moves 0.90, most often smile" in line


def test_a_bar_s_interval_is_its_own(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    draw(tmp_path / "a.png", {"dcgan, faces": known_factors()})
    (line,) = [c for c in figures[0].axes[0].collections if hasattr(c, "get_segments")]
    np.testing.assert_allclose(line.get_segments()[0][:, 1], [1.2, 1.9])


def test_a_line_of_an_edit_has_half_the_interval():
    row = EditRow(5, Interval(1.0, 0.5, 1.5), Interval(2.0, 1.0, 3.0), None)
    assert row.line("edit").split() == ["edit", "1.0000", "+-", "0.5000", "2.0000", "+-", "1.0000", "-"]
