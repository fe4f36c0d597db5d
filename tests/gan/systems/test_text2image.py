"""Text to image: what both players minimise, which images and captions they meet, what is observed and drawn."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from worlds import CAPTIONED, FACES, FACTS, close, penalty_by_hand, stream, trainer

import minigan as mg
from minigan import data
from minigan.backend import Generator
from minigan.cli import main
from minigan.data import captions
from minigan.functional import softplus
from minigan.gan import latents
from minigan.gan.metrics import attributes, claims, classifier
from minigan.gan.networks.captioned import CaptionEncoder
from minigan.gan.penalties import PENALTIES
from minigan.gan.run import Run
from minigan.gan.systems import options_for, trainer_for
from minigan.gan.systems.text2image import SHOWN, wrong_partners

RNG = np.random.default_rng(0)


def world(**changes):
    return trainer("text2image", CAPTIONED, size=16, code=4, **changes)


def words(*texts: str) -> mg.Tensor:
    return mg.Tensor(captions.numbered(texts).astype(np.float64))


def encoder(kind: str) -> CaptionEncoder:
    mg.manual_seed(3)
    return CaptionEncoder(len(captions.WORDS), 4, kind).double()


def codes(kind: str, *texts: str) -> np.ndarray:
    return encoder(kind)(words(*texts)).detach().numpy()


def test_a_recurrent_encoder_reads_in_order_and_a_bag_does_not():
    """Within a phrase; phrases may come in any order, and each adds what it adds alone."""
    a, b, c = codes("gru", "red hat, blue glasses", "blue hat, red glasses", "blue glasses, red hat")
    assert np.abs(a - b).max() > 1e-3
    np.testing.assert_allclose(a, c, rtol=1e-12)
    np.testing.assert_allclose(a, codes("gru", "red hat", "blue glasses").sum(0), rtol=1e-12)
    d, e = codes("bag", "red hat, blue glasses", "blue hat, red glasses")
    np.testing.assert_allclose(d, e, rtol=1e-12)
    first, second = codes("gru", "long red hair", "short red hair")
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("kind", ["gru", "bag"])
def test_words_behind_the_last_are_not_read(kind):
    network = encoder(kind)
    long = words("smiling, red hat")
    short = long[:, :6]
    np.testing.assert_allclose(network(long).detach().numpy(), network(short).detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("kind", ["gru", "bag"])
def test_every_word_changes_the_code(kind):
    numbers = np.zeros((len(captions.WORDS), captions.PHRASE))
    numbers[:, 0] = np.arange(len(captions.WORDS)) + 1
    rows = encoder(kind)(mg.Tensor(numbers)).detach().numpy()
    distance = np.abs(rows[:, None] - rows).max(2) + np.eye(len(rows))
    assert distance.min() > 1e-4


def test_images_of_held_out_combinations_are_not_trained_on():
    t = world(batch_size=2)
    shown = {bytes(image) for step in range(9) for image in t.loader.batch(step)[0]}
    images = {bytes(x) for x in classifier.prepared(CAPTIONED, np.arange(6), 16)}
    assert shown == images
    for step in range(9):
        texts = t.described(t.loader.batch(step)[1], t.random["caption"])
        assert not any(combo.items() <= captions.read(text).items() for text in texts for combo in captions.HELD_OUT)


def test_a_caption_is_of_its_own_image_and_wrong_of_the_other():
    t = world(batch_size=6)
    for step in range(5):
        facts, before = t.loader.batch(step)[1], t.random["caption"].state_dict()
        t.feed()
        again = Generator()
        again.load_state_dict(before)
        texts = t.described(facts, again)
        np.testing.assert_array_equal(t.batch["words"].numpy(), captions.numbered(texts))
        images = dict(zip(map(bytes, t.batch["real"].numpy()), facts, strict=True))
        for text, real, wrong in zip(texts, t.batch["real"].numpy(), t.batch["wrong"].numpy(), strict=True):
            claims_ = captions.read(text)
            assert captions.true(claims_, images[bytes(real)][None]).all()
            assert not captions.true(claims_, images[bytes(wrong)][None]).all()


def test_the_wrong_image_is_another_even_where_none_is_wrong():
    facts = captions.facts(CAPTIONED.images[:3], CAPTIONED.attributes[:3], CAPTIONED.info)
    for order in ([0, 1, 2], [2, 0, 1], [1, 0, 2]):
        partners = wrong_partners(["short hair", "smiling", "no beard"], facts, np.array(order))
        assert partners[0] in (1, 2) and partners[1] in (1, 2) and partners[2] != 2
    assert wrong_partners(["no beard"] * 3, facts, np.array([0, 1, 2])).tolist() == [1, 2, 0]


def test_every_penalty_reads_the_caption():
    for name in PENALTIES:
        t = world(penalty=name)
        t.feed()
        assert t.critic_loss()[1]["penalty"].item() > 0


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_critic_s_objective(weight):
    """Three kinds of pairs: generated, real with its caption, real with a wrong one; and the penalty at the real."""
    t = world(mismatch_weight=weight, gp_weight=2.0)
    t.feed()
    real, wrong, asked = (t.batch[name] for name in ("real", "wrong", "words"))
    z = mg.randn(3, 2, generator=stream(t, 2), dtype=mg.float64)
    fake = t.generator(mg.cat([z, asked], 1)).detach()

    def f(x):
        scores, features = t.critic.body(x)
        return scores + (features * t.critic.encoder(asked)).sum(1)

    by_hand = softplus(f(fake) - f(real)).mean()
    mismatch = softplus(f(wrong) - f(real)).mean()
    objective, figures = t.critic_loss()
    close(objective, by_hand + weight * mismatch + 2 * penalty_by_hand("r1", f, real, fake, None))
    close(figures["d_loss"], by_hand)
    assert ("mismatch" in figures) == bool(weight)
    close(t.critic(real, asked), f(real))


def test_the_generator_s_objective():
    t = world()
    t.feed()
    z = mg.randn(3, 2, generator=stream(t, 3), dtype=mg.float64)
    fake = t.generator(mg.cat([z, t.batch["words"]], 1))
    score = [t.critic(x, t.batch["words"]) for x in (fake, t.batch["real"])]
    objective, _ = t.generator_loss()
    close(objective, softplus(score[1] - score[0]).mean())
    gradients = mg.grad(objective, list(t.generator.parameters()))
    assert all(np.abs(g.numpy()).max() > 0 for g in gradients), "also of the encoder"


def test_rates_fall_in_the_second_half():
    t, rates = world(steps=4, lr=0.1), []
    for done in range(5):
        t.steps_done = done
        t.anneal()
        rates.append([o.param_groups[0]["lr"] for o in (t.optim_g, t.optim_d)])
    np.testing.assert_allclose(rates, [[0.1] * 2, [0.1] * 2, [0.1] * 2, [0.05] * 2, [0] * 2])


def test_the_generator_reads_its_caption():
    t = world()
    z = RNG.standard_normal((1, 2)).repeat(2, 0)
    inputs = mg.Tensor(np.concatenate([z, captions.numbered(["red hat", "blue hat"])], 1))
    a, b = t.generator(inputs).detach().numpy()
    assert np.abs(a - b).max() > 1e-6


def test_pixels_are_mixed_of_the_colours_of_their_image():
    """Of two colours: all pixels lie on the line between them."""
    for image in world(colours=2).draw_captions(["hat"] * 4, Generator(1)):
        pixels = image.reshape(3, -1).T
        sizes = np.linalg.svd(pixels - pixels.mean(0), compute_uv=False)
        assert sizes[0] > 1e-6 and sizes[1] < 1e-9 * max(sizes[0], 1)


def test_a_recorded_step_is_a_plain_step():
    """To what another order of sums leaves of float32."""
    captured, eager = (
        trainer_for(options_for("text2image", batch_size=4, base=2, code=8, steps=4, capture=c), CAPTIONED)
        for c in (True, False)
    )
    assert captured.step() == pytest.approx(eager.step(), rel=1e-4, abs=1e-5)
    assert captured.state()[1]["counters"] == eager.state()[1]["counters"]


def heart(monkeypatch):
    """A trainer whose judge knows the images of the data set by heart, and can read no other."""
    known = dict(zip(map(bytes, classifier.prepared(CAPTIONED, np.arange(18))), CAPTIONED.attributes, strict=True))
    unknown = np.full(len(CAPTIONED.info.attributes), attributes.UNREADABLE)
    monkeypatch.setattr(attributes, "load_for", lambda dataset: (None, {"held_out_accuracy": {"hat": 1.0}}))
    monkeypatch.setattr(
        attributes, "judge", lambda model, images, dataset: np.stack([known.get(bytes(x), unknown) for x in images])
    )
    monkeypatch.setattr(classifier, "judge", lambda model, images: [(images[:, 0, ::8, ::8].reshape(-1, 16), None)])
    t = world()
    t.split = "all"
    return t


def by_heart(texts, random=None):
    """For each caption an image of the set that it is true of."""
    facts = captions.facts(CAPTIONED.images, CAPTIONED.attributes, CAPTIONED.info)
    rows = [np.flatnonzero(captions.true(captions.read(text), facts).all(1))[-1] for text in texts]
    return classifier.prepared(CAPTIONED, np.array(rows), 16)


def test_a_perfect_painter_meets_every_claim_and_beats_every_null_model(monkeypatch):
    t = heart(monkeypatch)
    monkeypatch.setattr(t, "draw_captions", by_heart)
    figures = t.observe(60, Generator(0)).figures
    assert (figures["claims"], figures["captions"], figures["unseen_together"], figures["precision"]) == (1, 1, 1, 1)
    assert figures["winners"] == [] and figures["least_fact"] == 1
    most = figures["unseen"]["training image of most"]
    assert most["together"] == 0 and most["claims"] > 0.4, "no training image shows what is held out"
    assert figures["seen"]["training image of most"]["claims"] == 1
    assert figures["seen"]["sample of another caption"]["claims"] < 1
    assert figures["seen"]["any training image"]["captions"] < 0.6
    assert json.dumps(figures)


def test_a_painter_that_does_not_read_is_no_better_than_a_null_model(monkeypatch):
    t = heart(monkeypatch)
    image = classifier.prepared(CAPTIONED, np.array([5]), 16)
    monkeypatch.setattr(t, "draw_captions", lambda texts, random: image.repeat(len(texts), 0))
    figures = t.observe(60, Generator(0)).figures
    assert figures["claims"] < 0.8 and figures["unseen_together"] == 0
    assert "training image of most" in figures["winners"]


def test_what_the_guard_refuses_meets_no_claim(monkeypatch):
    t = heart(monkeypatch)
    monkeypatch.setattr(t, "draw_captions", lambda texts, random: np.zeros((len(texts), 3, 16, 16)))
    figures = t.observe(30, Generator(0)).figures
    assert figures["claims"] == 0 and figures["unseen_claims"] == 0


def test_captions_are_judged_on_the_half_that_is_asked_for(monkeypatch):
    t = heart(monkeypatch)
    rows = {}
    for part in ("validation", "test"):
        t.split = part
        yardstick = claims.Yardstick(None, t.yardstick, 16)
        asked = [yardstick.asked(20, RNG.random((20, captions.DRAWS)), unseen) for unseen in (False, True)]
        rows[part] = {int(row) for a in asked for row in a.rows}
        assert rows[part] <= set(CAPTIONED.half(part).held_out.tolist())
        assert (asked[0].which == captions.UNKNOWN).all() and (asked[1].which >= 0).all()
    assert rows["test"].isdisjoint(rows["validation"])


def test_a_data_set_without_captions_is_refused():
    for dataset in (FACES, data.info("digits")):
        with pytest.raises(ValueError, match="has no captions, which are written of colour images"):
            trainer("text2image", dataset)


def test_captions_and_latents_make_a_grid():
    """A row a caption; the same latents in every row, and in the preview."""
    t = world()
    (grid,) = latents.walks(t, 3, 4, Generator(0))
    rows = grid.inputs.reshape(3, 4, -1)
    assert (rows[0, :, :2] == rows[1, :, :2]).all() and (rows[:, 0, 2:] == captions.numbered(SHOWN[:3])).all()
    assert len({bytes(z) for z in rows[0, :, :2]}) == 4
    assert t.preview(9).shape == (9, 3, 16, 16) and np.array_equal(t.preview(9), t.preview(9))


def test_what_grids_ask_for_can_be_read():
    for text in SHOWN:
        captions.read(text)
    assert len(FACTS) == 9


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "text"
    small = Run.create(options_for("text2image", steps=0, batch_size=4, base=2, code=8), folder)
    small._snapshot()
    return folder


def drawn(run, *words_: str):
    return CliRunner().invoke(main, ["draw", str(run), *words_])


def test_draw_makes_a_row_of_each_caption(run, tmp_path):
    out = tmp_path / "a.png"
    result = drawn(run, "bald, blue glasses", "red hat", "-n", "3", "-o", str(out), "--scale", "1", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output.splitlines()[-1])
    assert figures["claims"][0] == {"length": "bald", "glasses": "yes", "glasses_colour": "blue"}
    from PIL import Image

    _, height = Image.open(out).size
    assert height > 2 * (16 + 10), "two rows, each below its caption"
    again = tmp_path / "b.png"
    drawn(run, "bald, blue glasses", "red hat", "-n", "3", "-o", str(again), "--scale", "1")
    assert out.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("purpel hat", "unknown word 'purpel'; the nearest known word is 'purple'"),
        ("bald, long hair", "contradicts itself: 'bald' and 'long hair'"),
        ("", "says nothing of a face"),
    ],
)
def test_draw_answers_in_one_line(run, text, said):
    result = drawn(run, text)
    assert result.exit_code == 2 and said in result.output.splitlines()[-1]


def test_draw_takes_runs_that_read_captions(tmp_path):
    other = Run.create(options_for("dcgan", steps=0, base=1, batch_size=2), tmp_path / "dcgan")
    other._snapshot()
    result = drawn(tmp_path / "dcgan", "red hat")
    assert (
        result.exit_code == 2
        and "a run of dcgan, which reads no captions; draw takes runs of text2image" in result.output
    )


def test_two_samples_are_too_few_to_judge():
    with pytest.raises(ValueError, match="2 samples are too few to judge: take 10 or more"):
        world().observe(2, Generator(0, 6))
