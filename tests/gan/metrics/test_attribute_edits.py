"""Realism beside a target: of what its figures are, by hand, and when a null model wins."""

from dataclasses import replace

import numpy as np
import pytest

from minigan import data
from minigan.gan.metrics import attribute_edits, attributes, classifier
from minigan.gan.metrics.attribute_edits import OURS, REAL, Standing


def standing(**changes) -> Standing:
    figures = {"images": 9, "turned": 0.9, "others": {}, "least_kept": 0.9}
    return Standing(**figures | {"precision": 0.9, "density": 1.0, "frechet": 1.0, "colours": 9.0} | changes)


def test_colours_are_those_of_an_image():
    """Levels are of 8 bits; two images with two colours each have two, whatever they share."""
    images = np.full((2, 3, 4, 4), -1.0, np.float32)
    images[0, 1, 0], images[1, 2, 1] = 1.0, 1.0
    assert attribute_edits.colours(images) == 2
    images[0, 0, 3, 3] += 0.4 / 127.5
    assert attribute_edits.colours(images) == 2
    images[0, 0, 3, 3] += 0.4 / 127.5
    assert attribute_edits.colours(images) == 2.5


@pytest.mark.parametrize("figure", ["turned", "least_kept", "precision"])
def test_a_null_model_wins_only_by_all_figures(figure):
    ours, nearly = standing(), standing(**{figure: 0.8})
    assert ours.reaches(ours) and ours.reaches(nearly) and not nearly.reaches(ours)
    assert not standing(**{figure: None}).reaches(ours) and nearly.reaches(standing(**{figure: None}))
    rows = {OURS: nearly, REAL: standing(), "the image as it is": ours, "noise pasted": standing(turned=0.1)}
    assert attribute_edits.winners(rows) == ["the image as it is"]


def test_a_line_has_a_dash_where_there_is_no_figure():
    line = standing(precision=None, density=None, frechet=None).line("translations")
    assert line.count("  -") == 3 and len(line) == len(standing().line("translations")) == len(attribute_edits.HEADING)


def test_precision_is_among_real_images_of_the_value(monkeypatch):
    """With the images' mean as the feature: faces with a hat are light here and others dark, so light images are
    precise where a hat is asked for and nowhere else, and their distance is nothing."""
    avatars = data.load("avatars")
    hats = avatars.attributes[:, list(avatars.info.attributes).index("hat")]
    random = np.random.default_rng(0)
    pixels = np.zeros_like(avatars.images) + (60 + 120 * hats + random.integers(0, 40, 9000))[:, None, None, None]
    world = replace(avatars, images=pixels.astype(np.uint8), train=avatars.train[:80], held_out=avatars.held_out[:200])
    monkeypatch.setattr(classifier, "judge", lambda model, images: [(images.mean((2, 3))[:, :1].repeat(2, 1), None)])
    monkeypatch.setattr(attributes, "judge", lambda model, images, dataset: np.ones((len(images), 7), int))
    yardstick = attribute_edits.Yardstick(None, world, ["hat", "smile"], 16)
    train = world.train
    light = classifier.prepared(world, train[hats[train] == 1], 16)
    yes, no = (yardstick.standing(light, "hat", value, np.ones((len(light), 7), int)) for value in (1, 0))
    assert yes.precision == 1 and no.precision == 0 and yes.frechet < 0.01 < no.frechet
    assert 0.5 < yes.density < 1.5 and no.density == 0
    assert yes.turned == 1 and no.turned == 0 and set(yes.others.values()) == {1.0} and "hat" not in yes.others
