"""StarGAN: attributes by name, bit for bit after a restart, what it observes beside null models; the shipped judge."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import minigan as mg
from minigan import data
from minigan.backend import Generator
from minigan.cli import main
from minigan.gan.metrics import attributes, classifier
from minigan.gan.systems import options_for
from minigan.gan.systems.stargan import StarGAN


def small(**changes) -> StarGAN:
    options = options_for("stargan", **({"steps": 4, "batch_size": 4, "base": 2, "blocks": 1, "n_critic": 1} | changes))
    return StarGAN(options, data.load(options.data))


def state_of(trainer: StarGAN) -> dict:
    arrays, rest = trainer.state()
    return {k: np.ascontiguousarray(v).tobytes() for k, v in arrays.items()} | {"rest": repr(rest)}


@pytest.mark.parametrize("capture", [True, False])
def test_resumed_equals_uninterrupted(capture):
    whole, first = small(capture=capture), small(capture=capture)
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    second = small(capture=capture)
    second.restore(*first.state())
    for _ in range(2):
        second.step()
    assert state_of(second) == state_of(whole)


def test_every_network_number_follows_from_the_seed():
    """Also what the conditions do, drawn like all else from the run's own stream."""
    first, again, other = (small(seed=seed).state()[0] for seed in (0, 0, 1))
    for name, array in first.items():
        assert np.array_equal(array, again[name]), name
    shift = next(name for name in first if name.startswith("generator.") and name.endswith("shift.weight"))
    assert not np.array_equal(first[shift], other[shift])


def test_a_translation_has_few_colours():
    t = small()
    t.average.module.shares.bias.assign(np.array([-9] + [0] * 8, np.float32))  # all is painted
    images, values = t._held_out(t.dataset.held_out[:2])
    for image in t.translate(images, 1 - values, values):  # by the network alone each pixel has a shade of its own
        assert len(np.unique(image.reshape(3, -1), axis=1).T) < 10


def looked_up(dataset):
    """A judge that knows the data set's images by heart, and can read no other: what `attributes.judge` is replaced by.
    Its features are 8 pixels of each image."""
    rows = np.concatenate([dataset.train, dataset.held_out])
    known = dict(zip(map(bytes, classifier.prepared(dataset, rows)), dataset.attributes[rows], strict=True))
    unknown = np.full(len(dataset.info.attributes), attributes.UNREADABLE)
    return lambda model, images, dataset: np.stack([known.get(bytes(image), unknown) for image in images])


def heart(monkeypatch) -> StarGAN:
    """A trainer on avatars of which few are left, judged by heart."""
    trainer = small()
    trainer.dataset = replace(trainer.dataset, train=trainer.dataset.train[:60])
    monkeypatch.setattr(attributes, "load_for", lambda dataset: (None, {"held_out_accuracy": {"hat": 1.0}}))
    monkeypatch.setattr(attributes, "judge", looked_up(trainer.dataset))
    monkeypatch.setattr(classifier, "judge", lambda model, images: [(images[:, 0, ::8, ::8].reshape(-1, 16), None)])
    return trainer


def shut(trainer):
    """The trainer, its averaged translator leaving every pixel as it is."""
    trainer.average.module.shares.bias.assign(np.array([1e4] + [0] * 8, np.float32))
    return trainer


def test_the_identity_turns_nothing_over_and_keeps_everything(monkeypatch):
    trainer = shut(heart(monkeypatch))
    seen = trainer.observe(30, Generator(0, 7), details=True)
    held = data.evenly_spaced(trainer.dataset.half("test").held_out, 30)
    for name, row in seen.figures["attributes"].items():
        assert row["present"] == 0 and set(row["kept"].values()) == {1.0} and name not in row["kept"]
        column = list(trainer.info.attributes).index(name)
        assert row["sets"]["yes"]["translations"]["images"] == (trainer.dataset.attributes[held, column] == 0).sum()
        assert "the image as it is" in row["winners"]["yes"] and "the image as it is" in row["winners"]["no"]
        for standings in row["sets"].values():
            assert standings["translations"] == standings["the image as it is"]
        sizes = [standings["translations"]["images"] for standings in row["sets"].values()]
        colours = [standings["translations"]["colours"] for standings in row["sets"].values()]
        assert sum(sizes) == 30 and row["colours"] == pytest.approx(np.average(colours, weights=sizes))
    assert seen.figures["reconstruction_l1"] == 0 and seen.figures["least_present"] == 0
    assert seen.figures["images"] == 30 and seen.figures["least_kept"] == 1
    assert sum("noise pasted" in line for line in seen.lines) == 8


def test_a_translator_that_finds_the_asked_image_turns_over_and_is_real(monkeypatch):
    """It answers with a held-out image of the asked attributes: all is as asked, and no null model is as good."""
    trainer = heart(monkeypatch)
    pool = trainer.dataset.half("test").held_out
    have = trainer.dataset.attributes[pool][:, list(trainer.columns().values())]

    def oracle(images, values, before):
        rows = [pool[np.flatnonzero((have == wanted).all(1))[0]] for wanted in values]
        return classifier.prepared(trainer.dataset, np.array(rows), 16)

    monkeypatch.setattr(trainer, "translate", oracle)
    figures = trainer.observe(40, Generator(0, 7)).figures
    assert figures["least_present"] == 1 and figures["least_kept"] == 1 and figures["least_precision"] == 1
    assert figures["kept"]["skin"] < 0.5
    for row in figures["attributes"].values():
        assert row["winners"] == {"no": [], "yes": []} and row["added"] == row["removed"] == 1
        for standings in row["sets"].values():
            assert standings["noise pasted"]["turned"] == 0
            assert standings["noise pasted"]["colours"] > 2 * standings["real images"]["colours"]
            assert standings["nearest real image"]["turned"] == 1 > standings["nearest real image"]["least_kept"]
            assert standings["real images"]["least_kept"] == 1


@pytest.mark.parametrize(("chosen", "least"), [("hat,smile", 0.8), ("hat", None)])
def test_the_least_share_kept_is_of_the_set_attributes_and_the_worst_change(chosen, least, monkeypatch):
    """A judge that is wrong about a fifth of the smiles, and about all skins: smiles count where they are among the
    attributes that are set, a skin never, and no attribute counts for its own change."""
    trainer = shut(small(attributes=chosen))
    trainer.dataset = replace(trainer.dataset, train=trainer.dataset.train[:50])
    held, names = data.evenly_spaced(trainer.dataset.half("test").held_out, 30), list(trainer.info.attributes)
    by_heart, fifth = looked_up(trainer.dataset), classifier.prepared(trainer.dataset, held)[::5]

    def judge(model, images, dataset):
        labels = by_heart(model, images, dataset).copy()
        labels[[bytes(x) in set(map(bytes, fifth)) for x in images], names.index("smile")] ^= 1
        labels[:, names.index("skin")] += 1
        return labels

    monkeypatch.setattr(attributes, "load_for", lambda dataset: (None, {"held_out_accuracy": {"hat": 1.0}}))
    monkeypatch.setattr(attributes, "judge", judge)
    monkeypatch.setattr(classifier, "judge", lambda model, images: [(images[:, 0, ::8, ::8].reshape(-1, 16), None)])
    figures = trainer.observe(30, Generator(0, 7)).figures
    assert figures["least_kept"] == pytest.approx(least) if least else figures["least_kept"] is None
    assert figures["kept"]["smile"] == pytest.approx(0.8) and figures["kept"]["skin"] == 0
    assert ("hat" in figures["kept"]) == (chosen != "hat")


def test_the_shipped_judge_is_as_good_as_it_says():
    """Its accuracy on the held-out images is recomputed; the attributes that are set by default are above 99 %."""
    dataset = data.load("avatars")
    model, made = attributes.load_for(dataset)
    right = attributes.accuracy(model, dataset)
    assert right == pytest.approx(made["held_out_accuracy"])
    assert all(right[name] > 0.99 for name in options_for("stargan").attributes.split(","))


def test_attributes_are_set_by_name_and_the_others_as_the_critic_sees_them(monkeypatch):
    trainer, seen = small(attributes="hat,glasses"), {}
    monkeypatch.setattr(
        trainer, "translate", lambda images, values, before: seen.update(values=values, before=before) or images
    )
    x = np.zeros((3, 3, 16, 16), np.float32)
    _, what = trainer.translate_as(x, None, {"glasses": "yes"})
    logits = trainer.critic(mg.tensor(x))[1].data
    assert (seen["values"][:, 1] == 1).all() and np.array_equal(seen["values"][:, 0], logits[:, 0] > 0)
    assert np.array_equal(seen["before"], logits > 0)
    assert what == "with glasses yes"


def test_previews_fill_the_grid():
    assert small().preview(64).shape == (64, 3, 16, 16)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"attributes": "wings"}, "'wings' is not, or not once, among .*: glasses, beard, hat, long_hair, smile"),
        ({"attributes": "skin"}, "'skin' is not"),
        ({"attributes": "hat,hat"}, "'hat' is not, or not once"),
        ({"data": "emoji", "size": 32}, "'emoji' has no yes/no attributes"),
    ],
)
def test_wrong_attributes_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        small(**changes)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_attributes_are_turned_over_look_real_and_the_others_are_kept(tmp_path, monkeypatch):
    """The default run, judged on the 500 faces of the test half, reaches what the results page says it should: nine in
    ten turned over, 95 % of the other attributes and 90 % of skins kept, precision 0.7, and no null model as good."""
    monkeypatch.chdir(tmp_path)
    trained = CliRunner().invoke(main, ["train", "stargan", "--seed", "12", "--json"])
    assert trained.exit_code == 0, trained.output
    folder = json.loads(trained.stdout.splitlines()[-1])["run"]
    figures = json.loads(CliRunner().invoke(main, ["eval", folder, "--json"]).stdout.splitlines()[-1])
    rows = figures["attributes"].values()
    assert figures["images"] == 500 and figures["kept"]["skin"] >= 0.9, figures
    assert figures["least_present"] >= 0.9 and figures["least_kept"] >= 0.95 and figures["least_precision"] >= 0.7
    assert all(row["colours"] < 13 for row in rows)
    assert not any(names for row in rows for names in row["winners"].values())
