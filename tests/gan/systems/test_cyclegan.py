"""CycleGAN: its losses by hand, the pool of earlier translations, bit for bit after a restart, what it observes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import worlds
from click.testing import CliRunner

import minigan as mg
from minigan import data
from minigan.backend import Generator
from minigan.cli import main
from minigan.gan.metrics import null_models
from minigan.gan.metrics.judging import Judge, judge_of
from minigan.gan.networks.frames import Painter
from minigan.gan.systems import cyclegan, options_for
from minigan.gan.systems.cyclegan import CycleGAN


def small(dataset: data.Dataset | None = None, **changes) -> CycleGAN:
    options = options_for("cyclegan", **({"steps": 6, "batch_size": 3, "base": 2, "blocks": 1} | changes))
    return CycleGAN(options, data.load(options.data) if dataset is None else dataset)


def state_of(trainer: CycleGAN) -> dict:
    arrays, rest = trainer.state()
    return {k: np.ascontiguousarray(v).tobytes() for k, v in arrays.items()} | {"rest": repr(rest)}


def test_the_losses_are_their_formulas():
    """Both objectives from the networks' own outputs, term by term."""
    trainer = small(capture=False, identity_weight=0.3)
    rng = np.random.default_rng(0)
    for network in (trainer.generator.a.last, trainer.generator.b.last):
        network.weight.assign((rng.standard_normal(network.weight.shape) * 0.1).astype(np.float32))
    trainer.feed()
    a, b = trainer.batch["real_a"], trainer.batch["real_b"]
    to_a, to_b, d_a, d_b = trainer.generator.a, trainer.generator.b, trainer.critic.a, trainer.critic.b
    with mg.no_grad():
        fake_a, fake_b = to_a(b), to_b(a)
        square = [float((d(x).data - t).__pow__(2).mean()) for d, x, t in ((d_a, fake_a, 1), (d_b, fake_b, 1))]
        apart = [
            float(abs(x.data - y.data).mean())
            for x, y in ((to_a(fake_b), a), (to_b(fake_a), b), (to_a.draw(a), a), (to_b.draw(b), b))
        ]
        critics = [
            float(((d(x).data - t) ** 2).mean())
            for d, x, t in ((d_a, a, 1), (d_a, fake_a, 0), (d_b, b, 1), (d_b, fake_b, 0))
        ]
    found, figures = trainer.generator_loss()
    assert found.item() == pytest.approx(sum(square) / 2 + _weight(trainer, apart), rel=1e-4)
    assert figures["cycle"].item() == pytest.approx((apart[0] + apart[1]) / 2, rel=1e-4)
    assert trainer.critic_loss()[0].item() == pytest.approx(sum(critics) / 2, rel=1e-4)


def _weight(trainer: CycleGAN, apart: list[float]) -> float:
    weight, identity = trainer.options.cycle_weight, trainer.options.identity_weight
    return weight * (apart[0] + apart[1]) + weight * identity * (apart[2] + apart[3])


def test_the_pool_fills_and_then_trades():
    """While it fills, each translation is judged itself and kept; then some are judged themselves and left out, and the
    others exchanged for what the pool held, so that every image is judged at most once."""
    trainer = small(pool=6)
    seen = 0
    for _ in range(12):
        trainer.feed()
        seen += 3
        fake = mg.tensor(np.arange(seen - 3, seen, dtype=np.float32).reshape(3, 1, 1, 1) * np.ones((3, 3, 32, 32), "f"))
        before = trainer.memory["pool_b"].data[:, 0, 0, 0].copy()
        shown = trainer.pooled("b", fake).data[:, 0, 0, 0]
        after = trainer.memory["pool_b"].data[:, 0, 0, 0]
        new = fake.data[:, 0, 0, 0]
        if seen <= 6:
            assert (shown == new).all() and (after[:seen] == np.arange(seen)).all()
            continue
        traded = shown != new
        assert sorted([*shown, *after]) == sorted([*new, *before])  # none lost, none twice
        assert set(shown[traded]) <= set(before) and set(new[traded]) <= set(after)
    assert after.max() >= 6 and traded is not None


@pytest.mark.parametrize("pool", [1, 2, 4, 5, 7])
def test_critics_are_shown_nothing_but_translations(pool):
    """Also where the batch, of three, does not divide the pool or is larger than it."""
    trainer, seen = small(pool=pool), 0
    for _ in range(30):
        trainer.feed()
        fake = mg.tensor(np.arange(seen + 1, seen + 4, dtype="f").reshape(3, 1, 1, 1) * np.ones((3, 3, 32, 32), "f"))
        seen += 3
        shown = trainer.pooled("a", fake).data[:, 0, 0, 0]
        assert (shown > 0).all() and len(set(shown)) == 3
        kept = np.unique(trainer.memory["pool_a"].data[:, 0, 0, 0])
        assert np.count_nonzero(kept) == min(pool, seen)
    assert min(kept[kept > 0]) > 3 or pool > 4


def test_without_a_pool_every_translation_is_judged_itself():
    trainer = small(pool=0)
    for _ in range(3):
        trainer.feed()
        fake = mg.rand(3, 3, 32, 32)
        assert np.array_equal(trainer.pooled("a", fake).data, fake.data)
        assert not trainer.memory["pool_a"].data.any()


@pytest.mark.parametrize("capture", [True, False])
def test_resumed_equals_uninterrupted(capture):
    """The pool, the mirrors and both orders go on where they were: the same bits after 2 + 2 steps as after 4."""
    settings = {"pool": 6, "steps": 4, "capture": capture}
    whole, first = small(**settings), small(**settings)
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    second = small(**settings)
    second.restore(*first.state())
    for _ in range(2):
        second.step()
    assert state_of(second) == state_of(whole)
    assert np.count_nonzero(whole.memory["pool_a"].data.any((1, 2, 3))) == 6


def test_captured_equals_eager():
    """The pool is changed in place inside the recorded step."""
    states = []
    for capture in (True, False):
        trainer = small(pool=6, capture=capture)
        for _ in range(4):
            trainer.step()
        states.append(trainer.state()[0])
    for name, array in states[0].items():
        assert np.allclose(array, states[1][name], atol=1e-5), name


def test_the_rate_falls_to_zero_over_the_second_half():
    trainer, rates = small(steps=4), []
    for _ in range(4):
        trainer.step()
        rates.append(trainer.optim_g.param_groups[0]["lr"] / trainer.options.lr)
    assert rates == [1, 1, 1, 0.5]


def test_it_observes_the_identity_map_as_such(monkeypatch):
    """With translators that leave images as they are: no L1 to go there and back, and the identity map's own L1 to the
    pairs; all null models beside it, and it is one of the winners."""
    trainer = small()
    monkeypatch.setattr(Painter, "forward", lambda self, x: x)
    seen = trainer.observe(50, Generator(0, 7))
    assert seen.figures["images"] == 50 and len(seen.lines) == 2
    for there in ("twemoji_to_openmoji", "openmoji_to_twemoji"):
        found = seen.figures[there]
        assert found["cycle_l1"] == found["moved_l1"] == 0
        assert found["pair_l1"] == pytest.approx(found["identity_l1"]) and found["identity_l1"] > 0.2
        assert found["below_identity"] == pytest.approx(0, abs=1e-6)
        assert found["beyond"]["identity"] == 0 and "identity" in found["winners"]


def vendors() -> data.Dataset:
    """Two vendors of a 16 x 16 page: grey noise, and the same pictures at 60 % with noise of their own; 18 of each,
    of which 12 are held out as pairs."""
    rng = np.random.default_rng(0)
    large = rng.uniform(-1, 0.5, (18, 1, 4, 4)).repeat(4, 2).repeat(4, 3)
    small = null_models.shrunk(large, 0.6)
    small += rng.uniform(-0.3, 0.3, small.shape) * (small < 1)
    images = data.to_uint8(np.concatenate([large, small]).clip(-1, 1))
    info = replace(
        worlds.INFO, count=24, shape=(16, 16, 1), held_out=12, background=255, class_names=("large", "small")
    )
    pairs = np.stack([np.arange(6, 18), np.arange(24, 36)], 1)
    train = np.setdiff1d(np.arange(36), pairs)
    return data.Dataset(info, images, np.arange(36) // 18, None, train, np.sort(pairs.ravel()), pairs)


def test_null_models_of_each_way(monkeypatch):
    """By hand: the constant of the domain that is translated to, the size that fits the validation pairs, a white page;
    all scored on the test pairs."""
    dataset = vendors()
    t = worlds.trainer("cyclegan", dataset, size=16)
    monkeypatch.setattr(Painter, "forward", lambda self, x: x * 0)
    figures, images = t.observe(5000, Generator(0, 7)).figures, data.to_unit(dataset.images)
    sizes = []
    for a, b in ((0, 1), (1, 0)):
        x, y = (images[dataset.half("test").pairs[:, k]] for k in (a, b))
        size, _ = null_models.best_shrunk(*(images[dataset.half("validation").pairs[:, k]] for k in (a, b)))
        nulls = {
            "constant": np.median(images[dataset.rows(label=dataset.class_names[b])], 0),
            "shrunk": null_models.shrunk(x, size),
            "blank page": 1,
        }
        found = figures[f"{dataset.class_names[a]}_to_{dataset.class_names[b]}"]
        identity = np.abs(x - y).mean()
        assert found["identity_l1"] == pytest.approx(identity) and found["moved_l1"] == pytest.approx(np.abs(x).mean())
        assert found["below_identity"] == pytest.approx(1 - np.abs(y).mean() / identity, abs=1e-5)
        for name, null in nulls.items():
            below = 1 - np.abs(null - y).mean() / identity
            assert found["nearness"][name]["below"]["value"] == pytest.approx(below, abs=1e-5), name
            assert found["beyond"][name] == pytest.approx(100 * (found["below_identity"] - below), abs=1e-3)
        sizes.append(size)
    assert sizes[0] == pytest.approx(0.6) and sizes[1] > 0.8


class Letters:
    """A judge that sees the class of one number in everything."""

    def __init__(self, number):
        self.number = number

    def features(self, x):
        return x[:, 0, ::31, ::31].flatten(1)

    def last(self, features):
        logits = np.zeros((len(features), 26), np.float32)
        logits[:, self.number] = 9
        return mg.tensor(logits)


def test_the_judge_looks_for_the_class_that_it_should_be(monkeypatch):
    """Of letters made bold each its own, of one vendor's emoji the other's; without a judge a line says how to get
    one."""
    monkeypatch.setattr(cyclegan, "judge_of", lambda name, info: Judge(Letters(2), 1.0))
    t = small(data="glyphs", blocks=0, source="style=display,bold=no", target="style=display,bold=yes")
    ((_, found), _) = ((k, v) for k, v in t.observe(13, Generator(0, 7), True).figures.items() if "_to_" in k)
    looks, letters = found["looks"], t.dataset.labels[t.pairs("test")[:13, 0]]
    assert looks["true pairs"]["right"] == looks["translated"]["right"] == (letters == 2).mean() > 0
    monkeypatch.setattr(cyclegan, "judge_of", lambda name, info: Judge(Letters(1), 1.0))
    t = small(vendors(), size=16)
    figures = t.observe(10, Generator(0, 7), True).figures
    ways = ("large_to_small", "small_to_large")
    assert [figures[way]["looks"]["translated"]["right"] for way in ways] == [1, 0]
    monkeypatch.setattr(cyclegan, "judge_of", lambda name, info: judge_of("nothing", info))
    assert "minigan classifier world" in t.observe(10, Generator(0, 7), True).lines[-1]


def test_domains_by_attributes():
    """Regular to bold: each domain has the images of its values, pairs are those that lie in both."""
    trainer = small(data="glyphs")
    dataset = trainer.dataset
    assert trainer.domains() == ("bold=no", "bold=yes") and not trainer.options.mirror
    assert trainer.subject == "bold=no and bold=yes of glyphs"  # what the run says at its start
    bold = dataset.attributes[:, list(dataset.info.attributes).index("bold")]
    for loader, value in ((trainer.loader.a, 0), (trainer.loader.b, 1)):
        assert np.array_equal(loader.images, dataset.images[dataset.train[bold[dataset.train] == value]])
    pairs = trainer.pairs("test")
    assert np.array_equal(pairs, dataset.half("test").pairs) and (bold[pairs] == [0, 1]).all()
    back = small(data="glyphs", source="bold=yes", target="bold=no")
    assert np.array_equal(back.pairs("test"), pairs[:, ::-1])
    for source, target in (("italic=yes", "italic=no"), ("bold=no", "italic=no"), ("A", "B")):
        assert small(data="glyphs", source=source, target=target).pairs("test") is None
    sans = small(data="glyphs", source="style=sans,bold=no", target="style=sans,bold=yes")
    assert np.array_equal(sans.rows("style=sans,bold=no"), dataset.rows(style="sans", bold="no"))
    style = dataset.attributes[:, 0]
    assert np.array_equal(sans.pairs("test"), pairs[(style[pairs] == 0).all(1)]) and 0 < len(sans.pairs("test")) < 169


def test_letters_are_not_mirrored():
    """A third of the emoji at least are, and no glyph."""
    seen = {}
    for name in ("emoji", "glyphs"):
        trainer = small(data=name, batch_size=20)
        trainer.feed()
        images = trainer.loader.a.batch(0)[0]
        seen[name] = (trainer.batch["real_a"].numpy() != images).any((1, 2, 3)).mean()
    assert seen["glyphs"] == 0 and 0.2 < seen["emoji"] < 0.8


def test_a_frame_is_shared_and_saved_once():
    """Both translators draw in one frame, the other way out of it, in training as in the average."""
    trainer = small(steps=2)
    for both in (trainer.generator, trainer.average.module):
        assert both.a.frame is both.b.frame and (both.a.inverse, both.b.inverse) == (True, False)
    before = trainer.generator.b.frame.scale.data.copy()
    trainer.step()
    assert (trainer.generator.a.frame.scale.data != before).all()
    assert small(data="glyphs").generator.a.frame is None


def test_no_training_image_is_in_a_true_pair_and_domains_are_apart():
    """What is learnt from is disjoint from what is scored; each domain has one vendor's images only."""
    trainer = small()
    dataset = trainer.dataset
    assert not set(dataset.pairs.ravel()) & set(dataset.train)
    for loader, name in ((trainer.loader.a, "twemoji"), (trainer.loader.b, "openmoji")):
        assert np.array_equal(loader.images, dataset.images[dataset.rows(label=name)])


def test_previews_fill_the_grid():
    assert small().preview(64).shape == (64, 3, 32, 32)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"source": "apple"}, "'emoji' has no class 'apple'; it has: twemoji, openmoji"),
        ({"source": "twemoji", "target": "twemoji"}, "source and target are both 'twemoji'"),
        ({"data": "avatars"}, "'avatars' has no two classes to .* name two groups of images by their attributes"),
        ({"data": "avatars", "source": "hat=no"}, "'avatars' has no two classes"),
        (
            {"data": "avatars", "source": "hat=no", "target": "hat=maybe"},
            "no images of hat=maybe; it has: .*hat=no",
        ),
        ({"data": "avatars", "source": "hat=no", "target": "hats"}, "'avatars' has no class 'hats'"),
        ({"data": "avatars", "source": "hat=no", "target": "hat=yes,smile"}, "no images of smile="),
        ({"data": "avatars", "source": "hat=no", "target": "hat=no"}, "source and target are both 'hat=no'"),
        ({"size": 16}, "size 16 is smaller than the images of 'emoji', 32"),
    ],
)
def test_wrong_domains_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        small(**changes)


def test_the_other_direction():
    trainer = small(source="openmoji")
    assert trainer.domains() == ("openmoji", "twemoji")
    with pytest.raises(ValueError, match="translates to openmoji or twemoji, not to 'x'"):
        trainer.translate(np.zeros((1, 3, 32, 32), np.float32), "x")


def test_any_two_classes_of_a_labelled_set():
    """Letters A to B of the glyphs: one grey channel, no pairs between classes, the cycle alone is observed, on the
    test half."""
    trainer = small(data="glyphs", source="A", target="B")
    trainer.step()
    seen = trainer.observe(20, Generator(0, 7))
    assert "pair_l1" not in seen.figures["A_to_B"] and "cycle L1" in seen.lines[0]


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("data", "ways", "null", "least"),
    [
        ("emoji", ("twemoji_to_openmoji", "openmoji_to_twemoji"), "nearest", (8, 0)),
        ("glyphs", ("bold=no_to_bold=yes", "bold=yes_to_bold=no"), "thickened", (2, 0)),
    ],
)
def test_translations_come_nearer_to_the_true_pairs(tmp_path, monkeypatch, data, ways, null, least):
    """1,000 steps, seed 0, of 3,000 and 2,000: beyond a null model both ways, and there and back within 0.2."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["train", "cyclegan", "--data", data, "--steps", "1000", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    for way, points in zip(ways, least, strict=True):
        assert figures[way]["beyond"][null] >= points and figures[way]["cycle_l1"] < 0.2, figures[way]
