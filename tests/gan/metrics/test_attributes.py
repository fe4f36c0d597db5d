"""The classifier of attributes: one short training names the avatars' attributes, and what is saved is what is read."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from minigan import data
from minigan.cli import main
from minigan.gan.metrics import attributes, classifier


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
