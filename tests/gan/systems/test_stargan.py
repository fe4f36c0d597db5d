"""StarGAN: its losses by hand, attributes by name, bit for bit after a restart, what it observes; the shipped judge."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import minigan as mg
from minigan import data
from minigan.backend import Generator
from minigan.cli import main
from minigan.gan.metrics import attributes
from minigan.gan.systems import options_for, stargan
from minigan.gan.systems.stargan import StarGAN


def small(**changes) -> StarGAN:
    options = options_for("stargan", **({"steps": 4, "batch_size": 4, "base": 2, "blocks": 1, "n_critic": 1} | changes))
    return StarGAN(options, data.load(options.data))


def state_of(trainer: StarGAN) -> dict:
    arrays, rest = trainer.state()
    return {k: np.ascontiguousarray(v).tobytes() for k, v in arrays.items()} | {"rest": repr(rest)}


def cross_entropy(logits: np.ndarray, values: np.ndarray) -> float:
    """Summed over attributes, averaged over images."""
    return float((np.logaddexp(0, logits) - values * logits).sum(1).mean())


def test_the_losses_are_their_formulas():
    """Both objectives from the networks' own outputs, term by term; the penalty from its own figure."""
    trainer = small(capture=False, class_weight=2.0, source_weight=0.5, cycle_weight=3.0, change_weight=5.0)
    last = trainer.generator.last.weight
    last.assign((np.random.default_rng(0).standard_normal(last.shape) * 0.1).astype(np.float32))
    trainer.feed()
    x, has, wanted = (trainer.batch[name] for name in ("real", "source", "target"))
    with mg.no_grad():
        fake = trainer.generator(x, wanted)
        back = trainer.generator(fake, has)
        (f_real, p_real), (f_fake, p_fake) = trainer.critic(x), trainer.critic(fake)
    found, figures = trainer.critic_loss()
    expected = f_fake.data.mean() - f_real.data.mean() + 10 * figures["penalty"].item()
    expected += 2 * (cross_entropy(p_real.data, has.data) + 0.5 * cross_entropy(p_fake.data, has.data))
    assert found.item() == pytest.approx(expected, rel=1e-4)
    found, _ = trainer.generator_loss()
    expected = -f_fake.data.mean() + 2 * cross_entropy(p_fake.data, wanted.data) + 3 * abs(back.data - x.data).mean()
    expected += 5 * abs(fake.data - x.data).mean()
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_what_is_wanted_is_what_others_of_the_batch_have():
    trainer = small()
    trainer.feed()
    has, wanted = trainer.batch["source"].data, trainer.batch["target"].data
    assert sorted(map(tuple, has)) == sorted(map(tuple, wanted)) and set(np.unique(has)) <= {0, 1}
    images, values = trainer.loader.batch(0)
    assert np.array_equal(has, values[:, list(trainer.columns().values())])
    assert np.array_equal(trainer.batch["real"].data, images)


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


def test_under_a_shut_mask_nothing_is_turned_over_and_everything_kept(monkeypatch):
    """A translator whose mask is shut is the identity: to a perfect judge every attribute is as it was."""
    trainer = small()
    for network in (trainer.generator, trainer.average.module):
        network.last.bias.assign(np.array([0, 0, 0, -1e4], np.float32))
    held = trainer.dataset.held_out[:30]
    monkeypatch.setattr(attributes, "load_for", lambda dataset: (None, {"held_out_accuracy": {"hat": 1.0}}))
    monkeypatch.setattr(attributes, "judge", lambda model, images, dataset: dataset.attributes[held])
    seen = trainer.observe(30, Generator(0, 7))
    for name, row in seen.figures["attributes"].items():
        assert row["present"] == 0 and set(row["kept"].values()) == {1.0} and name not in row["kept"]
    assert seen.figures["reconstruction_l1"] == 0 and seen.figures["least_present"] == 0


@pytest.mark.parametrize(("chosen", "least"), [("hat,smile", 0.8), ("hat", None)])
def test_the_least_share_kept_is_of_the_set_attributes_and_the_worst_change(chosen, least, monkeypatch):
    """A judge that is wrong about a fifth of smiles whenever it looks, and about all skins: smiles count where they are
    among the attributes that are set, a skin never, and no attribute counts for its own change."""
    trainer = small(attributes=chosen)
    held = trainer.dataset.held_out[:30]
    names, found = list(trainer.info.attributes), trainer.dataset.attributes[held].copy()
    found[:6, names.index("smile")] ^= 1
    found[:, names.index("skin")] += 1
    monkeypatch.setattr(attributes, "load_for", lambda dataset: (None, {"held_out_accuracy": {"hat": 1.0}}))
    monkeypatch.setattr(attributes, "judge", lambda model, images, dataset: found)
    figures = trainer.observe(30, Generator(0, 7)).figures
    assert figures["least_kept"] == least and figures["kept"]["smile"] == 0.8 and figures["kept"]["skin"] == 0
    assert ("hat" in figures["kept"]) == (chosen != "hat")


def test_the_shipped_judge_is_as_good_as_it_says():
    """Its accuracy on the held-out images is recomputed; the attributes that are set by default are above 99 %."""
    dataset = data.load("avatars")
    model, made = attributes.load_for(dataset)
    right = attributes.accuracy(model, dataset)
    assert right == pytest.approx(made["held_out_accuracy"])
    assert all(right[name] > 0.99 for name in options_for("stargan").attributes.split(","))


def test_the_judge_sees_small_images_doubled_and_large_ones_averaged():
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32)
    doubled = stargan._at_judge(x)
    assert doubled.shape == (2, 3, 32, 32) and np.array_equal(doubled[:, :, ::2, 1::2], x)
    assert np.allclose(stargan._at_judge(doubled.repeat(2, 2).repeat(2, 3)), doubled)


def test_attributes_are_set_by_name_and_the_others_as_the_critic_sees_them(monkeypatch):
    trainer, seen = small(attributes="hat,glasses"), {}
    monkeypatch.setattr(trainer, "translate", lambda images, values: seen.update(values=values) or images)
    x = np.zeros((3, 3, 16, 16), np.float32)
    _, what = trainer.translate_as(x, None, {"glasses": "yes"})
    logits = trainer.critic(mg.tensor(x))[1].data
    assert (seen["values"][:, 1] == 1).all() and np.array_equal(seen["values"][:, 0], logits[:, 0] > 0)
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
def test_attributes_are_turned_over_and_the_others_kept(tmp_path, monkeypatch):
    """The default run, judged by the shipped classifier on 1,000 held-out faces: every attribute present in at least
    90 % where it is asked for, the other ones kept in at least 90 %."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["train", "stargan", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["images"] == 1000
    assert figures["least_present"] >= 0.9 and figures["least_kept"] >= 0.9, figures
    assert figures["kept"]["skin"] >= 0.8 and figures["reconstruction_l1"] < 0.1
