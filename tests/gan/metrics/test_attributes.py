"""The classifier of attributes: one short training names the avatars' attributes, and what is saved is what is read;
what the guard refuses has no value; noise on a face is no hat."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from minigan import data, tensor
from minigan.cli import main
from minigan.gan.metrics import attributes, classifier
from tests.support.worlds import FACES, Formula


def test_avatars_attributes_are_learnt_and_kept(tmp_path, monkeypatch):
    """Each attribute beats its most frequent value after one epoch; groups partition the logits."""
    monkeypatch.setattr(classifier, "cache_folder", lambda: tmp_path / "data")
    result = CliRunner().invoke(main, ["classifier", "avatars", "--epochs", "1", "--json"])
    assert result.exit_code == 0, result.output
    right = json.loads(result.stdout.splitlines()[-1])["held_out_accuracy"]
    dataset = data.load("avatars")
    held = dataset.attributes[dataset.held_out]
    usual = [np.bincount(column).max() / len(column) for column in held.T]
    assert list(right) == list(dataset.info.attributes)
    assert all(share >= often for share, often in zip(right.values(), usual, strict=True))
    assert right["glasses"] > 0.95 and "glasses: " in result.output
    model, made = attributes.load(tmp_path / "classifiers" / "avatars-attributes", dataset)
    assert made["held_out_accuracy"] == right == attributes.accuracy(model, dataset)
    parts = list(attributes.groups(dataset).values())
    assert [n for p in parts for n in range(p.start, p.stop)] == list(range(5 * 2 + 8 + 11))
    with pytest.raises(ValueError, match="no classifier is shipped for data set 'avatars'"):
        classifier.load("avatars")
    with pytest.raises(ValueError, match="'digits' has no attributes"):
        attributes.groups(data.load("digits"))
    with pytest.raises(ValueError, match="no classifier for the attributes category of 'emoji'"):
        attributes.load(tmp_path / "classifiers" / "avatars-attributes", data.load("emoji"))


def test_what_the_guard_refuses_has_no_value():
    """Of images whose first four pixels are the logits of "hat: yes" and the guard's of hat, smile and beard."""
    pixels = np.zeros((4, 1, 32, 32), np.float32)
    pixels[:, 0, 0, :4] = [[1, 1, 1, 1], [-1, 1, 1, 1], [1, -1, 1, -1], [-1, -1, 1, 1]]
    values = Formula(lambda x: tensor(np.eye(6, dtype=np.float32)[1]) * x[:, 0, 0, :1])
    values.guard = Formula(lambda x: x[:, 0, 0, 1:4])
    expected = [[1, 0, 0], [0, 0, 0], [attributes.UNREADABLE, 0, attributes.UNREADABLE], [attributes.UNREADABLE, 0, 0]]
    assert np.array_equal(attributes.judge(values, pixels, FACES, batch=3), expected)
    assert attributes.UNREADABLE not in np.unique(FACES.attributes)


NOISES = {
    "uniform": lambda random, x: random.uniform(-1, 1, x.shape),
    "laplace": lambda random, x: x + random.laplace(0, 0.5, x.shape),
    "beta": lambda random, x: 2 * random.beta(0.5, 0.5, x.shape) - 1,
    "palette": lambda random, x: random.permuted(x.reshape(*x.shape[:2], -1), axis=0)[
        :, :, random.permutation(x.shape[-1] ** 2)
    ].reshape(x.shape),
}
"""Of these kinds only the first is among those that the guard has seen."""


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("name", "rows"), [("hat", slice(0, 4)), ("glasses", slice(5, 8)), ("smile", slice(9, 12))])
def test_noise_on_a_face_is_not_an_attribute(noise, name, rows):
    """Pasted on rows of held-out faces that lack it: at most 5 % of 300 are said to have it."""
    dataset = data.load("avatars")
    model, _ = attributes.load_for(dataset)
    column = list(dataset.info.attributes).index(name)
    lacking = [i for i in dataset.held_out if not dataset.attributes[i, column]][:300]
    images = classifier.prepared(dataset, np.array(lacking), 16)
    images[:, :, rows] = NOISES[noise](np.random.default_rng(0), images)[:, :, rows].clip(-1, 1)
    labels = attributes.judge(model, classifier.shrunk(images), dataset)
    assert (labels[:, column] == 1).mean() <= 0.05
