"""Classifiers, toy runs and scoreboard cells that were saved earlier: verified before they are used."""

import copy
import json

import pytest

from minigan import checkpoint, data
from minigan.checkpoint import CheckpointError
from minigan.gan.metrics import classifier
from minigan.gan.toy import cells, options_for
from minigan.gan.toy import run as toyrun


@pytest.fixture(scope="module")
def shipped():
    return checkpoint.latest(data.ASSETS / "classifier-digits")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("channels", v) for v in (None, "1", 0, -1, 10**30, 1.5, [], {})),
        *(("classes", v) for v in (None, 5, [], ["a"], {"a": 1}, "digits")),
        *(("held_out_accuracy", v) for v in (None, "0.9", float("nan"), 10, [], {"a": None})),
        *(("data", v) for v in (None, 5, [], "mnist")),
    ],
)
def test_a_forged_classifier_is_refused(tmp_path, shipped, key, value):
    """Of right digests and wrong content: changed, or left out."""
    for state in ({**shipped.state, key: value}, {k: v for k, v in shipped.state.items() if k != key}):
        path = checkpoint.save(tmp_path, 1, shipped.arrays, {})
        body = json.dumps(json.loads(path.read_text()) | {"state": state}, indent=1)
        record = json.loads(body)
        del record["sha256"]
        text = json.dumps(record).removeprefix("{").encode()
        path.write_bytes(checkpoint._first_line(text) + text)
        with pytest.raises(ValueError) as error:
            classifier.load("digits", tmp_path)
        assert str(tmp_path) in str(error.value)


def test_shipped_classifiers_are_taken():
    assert classifier.load("digits")[1]["held_out_accuracy"] > 0.9


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A toy run of two steps, without its pictures."""
    folder = tmp_path_factory.mktemp("toy") / "run"
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((toyrun.toyviz, "frame"), (toyrun.toyviz, "save_picture"), (toyrun.toyviz, "save_curves")):
            patch.setattr(module, name, lambda *_: None)
        patch.setattr(toyrun.viz, "save_gif", lambda *_: None)
        toyrun.run(options_for("ring", "wgan-gp", steps=2, batch_size=4, width=4, depth=1), folder, quiet=True)
    return folder


def test_the_weights_of_a_toy_run_are_verified(toy):
    figures = toyrun.evaluate(toy, 20)
    path = toy / "generator.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-4] + bytes(4), whole[:-1], b"", whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="holds no toy run that can be judged"):
            toyrun.evaluate(toy, 20)
    path.write_bytes(whole)
    assert toyrun.evaluate(toy, 20) == figures


FORGED = [None, [], "x", -1, 10**400, float("nan"), {}]


def test_the_record_of_a_toy_run_may_be_anything(toy):
    path = toy / "figures.json"
    whole = path.read_text()
    record = json.loads(whole)
    cases = ["", "[]", "5", "null", "[" * 99999, "{"]
    for key in ("data", "steps", "latent", "width", "loss", "seed", "lr_d"):
        for value in FORGED:
            forged = copy.deepcopy(record)
            forged["options"][key] = value
            cases.append(json.dumps(forged))
    cases += [json.dumps(record | {"options": value}) for value in FORGED]
    for text in cases:
        path.write_text(text)
        with pytest.raises(CheckpointError, match="holds no toy run that can be judged"):
            toyrun.evaluate(toy, 20)
    path.write_text(whole)


def test_a_damaged_cell_is_run_again(tmp_path, monkeypatch):
    options = options_for("ring", "hinge", steps=2, batch_size=4, width=4, depth=1)
    figures = cells.cell(options, tmp_path)
    (path,) = tmp_path.glob("*.json")
    whole = path.read_text()
    assert cells.cell(options, tmp_path) == figures
    calls = []
    monkeypatch.setattr(cells, "ToyTrainer", lambda _: calls.append(1) or (_ for _ in ()).throw(KeyboardInterrupt))
    number = f'"modes": {figures["modes"]}'
    for text in (
        whole.replace(number, '"modes": 7'),
        whole[:-9],
        "",
        "[]",
        "[" * 99999,
        whole.replace("sha256", "sha"),
    ):
        assert text != whole
        path.write_text(text)
        with pytest.raises(KeyboardInterrupt):
            cells.cell(options, tmp_path)
    assert len(calls) == 6
