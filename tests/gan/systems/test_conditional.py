"""Conditional, auxiliary-classifier and InfoGAN: what the heads compute, what the systems are asked, what they show."""

import math

import numpy as np
import pytest
from PIL import Image

import minigan as mg
from minigan import data
from minigan.backend import Generator
from minigan.gan.latents import traverse
from minigan.gan.networks import heads
from minigan.gan.run import Run
from minigan.gan.systems import options_for, trainer_for
from minigan.gan.systems.conditional import squared
from minigan.gan.systems.infogan import matching, purity

SMALL = {"batch_size": 8, "base": 4, "latent": 8, "steps": 1}
ALSO = {"infogan": {"settle": 0}}
BUILT = {
    "concat": lambda: heads.ConcatCritic(2, 5, 16, 4),
    "projection": lambda: heads.ProjectionCritic(2, 5, 16, 4),
}


def one_hot(labels, classes: int = 5) -> mg.Tensor:
    return mg.tensor(np.eye(classes, dtype=np.float32)[labels])


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def trainer(system: str, dataset, **changes):
    return trainer_for(options_for(system, **(SMALL | ALSO.get(system, {}) | changes)), dataset)


@pytest.mark.parametrize("how", BUILT)
def test_a_conditional_critic_judges_the_pair(how):
    """Another label gives another number; samples do not see each other; a label of the wrong width is refused."""
    critic, x = BUILT[how](), mg.randn(6, 2, 16, 16)
    scores = critic(x, one_hot([0, 1, 2, 3, 4, 0])).detach().numpy()
    assert scores.shape == (6,)
    other = critic(x, one_hot([1, 1, 2, 3, 4, 0])).detach().numpy()
    assert abs(other[0] - scores[0]) > 1e-6 and other[1:] == pytest.approx(scores[1:], abs=1e-6)
    with pytest.raises(ValueError, match=r"labels must be one-hot \(6, 5\), got \(6, 4\)"):
        critic(x, mg.zeros(6, 4))


def test_projection_is_the_paper_s_formula():
    """f(x, y) = psi(phi) + y^T V h with h the sum of phi over places, computed here in NumPy."""
    critic, x = BUILT["projection"](), mg.randn(3, 2, 16, 16)
    labels = np.array([4, 0, 2])
    phi = critic.body(x).detach().numpy().astype(np.float64)
    score = np.einsum("ncij,cij->n", phi, critic.score.weight.detach().numpy()[0]) + critic.score.bias.item()
    rows = critic.project.weight.detach().numpy()[labels]
    expected = score + (rows * phi.sum((2, 3))).sum(1)
    assert critic(x, one_hot(labels)).detach().numpy() == pytest.approx(expected, abs=1e-5)


def test_concatenation_is_planes_of_the_label():
    """What DCGAN's critic says of the image with planes of ones and zeros behind it."""
    critic, x = BUILT["concat"](), mg.randn(2, 2, 16, 16)
    planes = np.zeros((2, 5, 16, 16), np.float32)
    planes[0, 3] = planes[1, 1] = 1
    expected = critic.critic(mg.tensor(np.concatenate([x.numpy(), planes], 1))).detach().numpy()
    assert critic(x, one_hot([3, 1])).detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_heads_share_the_body():
    """The gradient of either answer reaches the body, and only its own head."""
    for critic, own in (
        (heads.AuxiliaryCritic(1, 5, 16, 4), "classify"),
        (heads.CodeCritic(1, 5, 2, 16, 4, norm=True), "codes"),
    ):
        score, *others = critic(mg.randn(4, 1, 16, 16))
        assert score.shape == (4,) and [o.shape for o in others] == [(4, 5), (4, 2)][: len(others)]
        names, params = zip(*critic.named_parameters(), strict=True)
        for answer, head in ((score, "score"), (others[0], own)):
            found = mg.grad(answer.sum(), params)
            reached = {n.split(".")[0] for n, g in zip(names, found, strict=True) if g is not None}
            assert head in reached and "body" in reached
            assert not reached & ({"score", own} - {head})


@pytest.mark.parametrize("system", ["cgan", "acgan"])
def test_inputs_ask_for_each_class_in_turn(system, digits):
    """One-hot labels behind the latents, and the labels of fakes in a step are those of the batch."""
    t = trainer(system, digits)
    x = t.inputs(23, Generator(0, 1)).numpy()
    assert x.shape == (23, 18) and (x[:, 8:].argmax(1) == np.arange(23) % 10).all() and (x[:, 8:].sum(1) == 1).all()
    assert abs(x[:, :8]).max() > 0.5
    t.feed()
    images, labels = t.loader.batch(0)
    assert (t.batch["labels"].numpy().argmax(1) == labels).all() and (t.batch["real"].numpy() == images).all()


@pytest.mark.parametrize("system", ["cgan", "acgan"])
def test_a_set_without_classes_is_refused(system):
    with pytest.raises(ValueError, match=f"{system}: data set 'avatars' has no classes to tell apart"):
        trainer(system, data.load("avatars"))


def test_an_unknown_condition(digits):
    with pytest.raises(ValueError, match="unknown condition 'project'; did you mean 'projection'"):
        trainer("cgan", digits, condition="project")


@pytest.mark.parametrize("condition", ["concat", "projection"])
def test_the_gradient_penalty_sees_the_label(condition, digits):
    """A conditional WGAN-GP trains; its penalty is taken of f(., y)."""
    settings = {"loss": "wasserstein", "gp_weight": 10.0, "critic_norm": False, "n_critic": 2}
    figures = trainer("cgan", digits, condition=condition, **settings).step()
    assert figures["gradient_norm"] > 0 and math.isfinite(figures["penalty"])


@pytest.mark.parametrize("system", ["cgan", "acgan", "infogan"])
def test_spectral_norm_and_hinge(system, digits):
    """Every layer of the critic has slope at most 1 (to the power iteration), and the step is finite."""
    t = trainer(system, digits, spectral=True, loss="hinge", critic_norm=False)
    for _ in range(2):
        figures = t.step()
    assert all(math.isfinite(v) for v in figures.values())
    layers = [m for m in t.critic.modules() if isinstance(m, (mg.nn.Conv2d, mg.nn.Linear))]
    assert len(layers) >= 4
    for layer in layers:
        w = layer.weight.detach().numpy().reshape(layer.weight.shape[0], -1)
        assert np.linalg.norm(w, 2) < 2


def test_auxiliary_losses_are_the_paper_s(digits):
    """Both players add the cross-entropy of the class, on reals and fakes for D, on fakes for G."""
    t = trainer("acgan", digits, capture=False, class_weight=3.0)
    t.feed()
    objective, figures = t.critic_loss()
    named = figures["class_real"].item() + figures["class_fake"].item()
    assert objective.item() == pytest.approx(figures["d_loss"].item() + 3 * named, rel=1e-5)
    objective, figures = t.generator_loss()
    assert objective.item() == pytest.approx(figures["g_loss"].item() + 3 * figures["class_g"].item(), rel=1e-5)
    assert figures["class_g"].item() == pytest.approx(math.log(10), rel=0.05)  # nothing is known at the start


def test_codes_of_infogan(digits):
    """Categories in turn in `inputs`, drawn evenly in a step; continuous codes fill [-1, 1]."""
    t = trainer("infogan", digits, batch_size=500, categories=4, continuous=3)
    x = t.inputs(600, Generator(0, 1)).numpy()
    assert x.shape == (600, 15) and (x[:, 8:12].argmax(1) == np.arange(600) % 4).all()
    assert x[:, 12:].min() < -0.95 and x[:, 12:].max() > 0.95 and abs(x[:, 12:]).max() <= 1
    with mg.no_grad():
        images, category, continuous = t.coded("latent_d")
    shares = category.numpy().mean(0)
    assert images.shape == (500, 1, 32, 32) and continuous.shape == (500, 3)
    assert (abs(shares - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 500)).all() and (category.numpy().sum(1) == 1).all()


def test_the_bound_starts_at_zero_and_falls_short_of_the_entropy(digits):
    """Q knows nothing at first: E log Q + H = 0 to the spread of the weights' start."""
    figures = trainer("infogan", digits).step()
    assert abs(figures["bound"]) < 0.1 and figures["code_error"] == pytest.approx(1 / 3, abs=0.15)


def test_no_continuous_code(digits):
    """A categorical code alone trains and is observed."""
    t = trainer("infogan", digits, continuous=0)
    t.step()
    seen = t.observe(50, Generator(0, 1))
    assert "correlation" not in seen.figures and 0 < seen.figures["purity"] <= 1


@pytest.mark.parametrize(
    ("count", "classes", "expected"), [(64, 10, 100), (64, 2, 64), (64, 5, 100), (64, 26, 64), (4, 10, 4), (9, 3, 9)]
)
def test_previews_line_up(count, classes, expected):
    """A square whose side is a multiple of the classes, unless that is far too many images."""
    assert squared(count, classes) == expected


def test_purity_and_matching():
    """Two categories of one class are pure but cannot both be matched."""
    table = np.array([[8, 2, 0], [9, 1, 0], [0, 1, 9]])
    assert purity(table) == pytest.approx(26 / 30)
    assert matching(table) == pytest.approx((8 + 1 + 9) / 30) or matching(table) == pytest.approx((9 + 2 + 9) / 30)
    assert matching(table) == pytest.approx(20 / 30)


@pytest.mark.parametrize(
    ("system", "grids"),
    [
        ("cgan", [(3, 10)]),
        ("acgan", [(3, 10)]),
        ("infogan", [(3, 10), (10, 5), (10, 5)]),
        ("dcgan", [(3, 5)]),
        ("wgan-gp", [(3, 5)]),
    ],
)
def test_walks(system, grids, digits):
    """The shapes of each system's grids; the same seed gives the same images, another others."""
    t = trainer(system, digits)
    found = traverse(t, rows=3, columns=5)
    assert [g.shape for g in found.values()] == [(*shape, 1, 32, 32) for shape in grids]
    assert all((traverse(t, 3, 5)[title] == images).all() for title, images in found.items())
    assert all((traverse(t, 3, 5, seed=1)[title] != images).any() for title, images in found.items())
    with pytest.raises(ValueError, match="at least 1 row and 2 columns, got 0 and 5"):
        traverse(t, 0, 5)


def test_a_translator_has_no_latents():
    small = options_for("cyclegan", batch_size=2, base=2, blocks=0)
    with pytest.raises(ValueError, match="cyclegan translates images and has no latents"):
        traverse(trainer_for(small, data.load("emoji")))
    small = options_for("stargan", batch_size=2, base=2, blocks=0)
    with pytest.raises(ValueError, match="stargan translates images and has no latents; see: minigan translate RUN"):
        traverse(trainer_for(small, data.load("avatars")))
    with pytest.raises(ValueError, match="vqgan has no latents to go between"):
        traverse(trainer_for(options_for("vqgan", base=2), data.load("digits")))


def test_a_walk_changes_what_it_says(digits):
    """Rows of a class walk share z, columns the class; a continuous walk moves one code and nothing else."""
    from minigan.gan.latents import walks

    (grid,) = walks(trainer("cgan", digits), 3, 5, Generator(0, 1))
    x = grid.inputs.reshape(3, 10, 18)
    assert (x[:, :, :8] == x[:, :1, :8]).all() and (x[:, :, 8:] == np.eye(10)).all()
    _, _, second = walks(trainer("infogan", digits), 3, 5, Generator(0, 1))
    x = second.inputs.reshape(10, 5, 20)
    assert (x[..., :8] == x[0, 0, :8]).all() and (x[..., 8:18] == np.eye(10)[:, None]).all()
    assert (x[..., 18] == 0).all() and (x[..., 19] == np.linspace(-1, 1, 5, dtype=np.float32)).all()
    (turn,) = walks(trainer("dcgan", digits), 3, 5, Generator(0, 1))
    x = turn.inputs.reshape(3, 5, 8)
    assert np.linalg.norm(x, axis=2) == pytest.approx(np.linalg.norm(x[0, 2]), rel=1e-5)
    assert x[:, 2] == pytest.approx(x[:1, 2].repeat(3, 0), abs=1e-6) and x[:, 0] == pytest.approx(-x[:, 4], abs=1e-5)


@pytest.mark.parametrize("system", ["cgan", "acgan", "infogan"])
def test_a_run_shows_its_observable(system, tmp_path, monkeypatch):
    """One step, then the figure that the system is about, in the figures, in the log and by `traverse`."""
    from click.testing import CliRunner

    from minigan.cli import main
    from minigan.gan import run as runs

    monkeypatch.setattr(runs, "METRIC_SAMPLES", 200)
    figures = Run.create(options_for(system, **SMALL, **ALSO.get(system, {})), tmp_path / "run").train()
    log = (tmp_path / "run" / "log.txt").read_text()
    if system == "infogan":
        assert figures["purity"] >= figures["matched"] > 0 and figures["bound"] < math.log(10)
        assert np.array(figures["table"]).sum(1).tolist() == [20] * 10 and "purity" in log
    else:
        assert 0 <= figures["agreement"]["value"] <= 1 and len(figures["agreement_by_class"]) == 10
        assert "samples agree with their label" in log
    out = tmp_path / "walk.png"
    done = CliRunner().invoke(main, ["traverse", str(tmp_path / "run"), "-o", str(out), "--rows", "2"])
    assert done.exit_code == 0, done.output
    with Image.open(out) as image:
        assert image.size[0] >= 10 * 66 and "step 1 of" in done.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "changes"), [("cgan", {}), ("cgan", {"condition": "projection"}), ("acgan", {})], ids=str
)
def test_digits_agree_with_their_label(system, changes, digits, record_property):
    """At the defaults at least 95 % of samples are taken for the digit that was asked for, by a judge that is right on
    98.8 % of held-out digits."""
    t = trainer_for(options_for(system, **changes), digits)
    for _ in range(t.options.steps):
        t.step()
    figures = t.observe(5000, Generator(0, 7)).figures
    record_property("agreement", figures["agreement"])
    assert figures["agreement"]["value"] >= 0.95, figures["agreement_by_class"]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["cgan", "acgan"])
def test_garments_agree_with_their_label(system, tmp_path, monkeypatch, record_property):
    """On Fashion-MNIST at least 80 %, by a judge that is trained here on the same training images."""
    from minigan.data.sources import NotFound
    from minigan.gan.metrics import classifier

    try:
        garments = data.load("fashion_mnist", fetch=False)
    except NotFound as error:
        pytest.skip(f"fashion_mnist is not on this machine: {error}")
    monkeypatch.setattr(classifier, "kept", lambda name: tmp_path / name)
    classifier.save(classifier.train(garments), garments, classifier.kept("fashion_mnist"), 20)
    t = trainer_for(options_for(system, data="fashion_mnist"), garments)
    for _ in range(t.options.steps):
        t.step()
    figures = t.observe(5000, Generator(0, 7)).figures
    record_property("agreement", figures["agreement"])
    assert figures["held_out_accuracy"] > 0.85
    assert figures["agreement"]["value"] >= 0.80, figures["agreement_by_class"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_infogan_finds_the_digits(seed, digits, record_property):
    """At the defaults, for each seed: purity at least 90 %, one to one as well, the bound within 0.1 of log 10, and Q
    reads the continuous codes."""
    t = trainer_for(options_for("infogan", seed=seed), digits)
    for _ in range(t.options.steps):
        t.step()
    figures = t.observe(5000, Generator(seed, 7)).figures
    for name in ("purity", "matched", "bound", "correlation"):
        record_property(name, figures[name])
    assert figures["purity"] >= 0.90 and figures["matched"] >= 0.90, figures["table"]
    assert figures["bound"] > math.log(10) - 0.1 and min(figures["correlation"]) > 0.8
