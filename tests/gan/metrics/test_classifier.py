"""What the classifiers see of a data set, whatever the size of its images."""

from dataclasses import replace

import numpy as np
import pytest

from minigan import checkpoint, data
from minigan.gan.metrics import attributes, classifier, judging
from tests.support.worlds import FACES, WORLD


def enlarged(dataset: data.Dataset, factor: int) -> data.Dataset:
    """The set with a block of pixels in place of each."""
    images = dataset.images.repeat(factor, 1).repeat(factor, 2)
    return replace(dataset, images=images, info=replace(dataset.info, shape=images.shape[1:]))


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarged_images_are_seen_as_they_were(factor):
    """Blocks are averaged, so that a set of 64 pixels is judged beside samples of 64 (`shrunk`)."""
    small = data.load("digits")
    large, rows = enlarged(small, factor), small.held_out[:5]
    before = small.images.shape[1] * factor
    seen = classifier.prepared(large, rows)
    assert seen.shape == (5, 1, 32, 32) and classifier.judged_side(large) >= before
    if before % 32 == 0:
        np.testing.assert_allclose(seen, classifier.prepared(small, rows), atol=1e-6)
    whole = classifier.prepared(large, rows, classifier.judged_side(large))
    np.testing.assert_allclose(seen, classifier.shrunk(whole), atol=1e-6)


@pytest.mark.parametrize(("dataset", "judges"), [(WORLD, classifier), (FACES, attributes)], ids=["classes", "faces"])
def test_a_judge_of_large_images_is_trained_and_told_how_right_it_is(dataset, judges):
    large = enlarged(dataset, 64 // dataset.images.shape[1])
    model = judges.train(large, epochs=1)
    shares = judges.accuracy(model, large)
    assert all(0 <= share <= 1 for share in (shares.values() if judges is attributes else [shares]))


@pytest.mark.parametrize(("dataset", "judges"), [(WORLD, classifier), (FACES, attributes)], ids=["classes", "faces"])
def test_a_judge_that_is_trained_again_counts(dataset, judges, tmp_path):
    """Also with fewer epochs."""
    groups = attributes.groups(dataset) if judges is attributes else None
    for epochs in (4, 1):
        if groups is None:
            model = classifier.Classifier(dataset.images.shape[-1], len(dataset.class_names))
        else:
            model = attributes.AttributeClassifier(
                dataset.images.shape[-1], list(groups.values())[-1].stop, len(groups)
            )
        judges.save(model.eval(), dataset, tmp_path, epochs)
        assert checkpoint.latest(tmp_path).state["command"].endswith(f"--epochs {epochs}")


def test_a_judge_of_a_folder_is_as_right_as_it_is_on_the_images_now(monkeypatch):
    """Where two classes were exchanged since it was trained, what it was then is not what it is."""
    told = []
    monkeypatch.setattr(judging, "judge_of", lambda data, info: judging.Judge(None, 1.0))
    monkeypatch.setattr(classifier, "accuracy", lambda model, dataset: 0.25)
    monkeypatch.setattr(judging, "observe_classes", lambda images, judge, *_: told.append(judge.accuracy))
    for name in ("folder:/somewhere", "digits"):
        judging.observe_samples(np.zeros((2, 1, 8, 8)), name, WORLD, 0)
    assert told == [0.25, 1.0]
