"""The plain systems (gan, wgan, lsgan, hinge, ebgan and the networks they may be made of): what each promises holds in
training, captured and not; options that mean nothing are refused; judges of sets without classes."""

import json
from dataclasses import asdict, fields

import numpy as np
import pytest
import scipy.special
import scipy.stats

import minigan as mg
from minigan import data, nn
from minigan.backend import Generator
from minigan.checkpoint import CheckpointError
from minigan.gan.losses import LOSSES
from minigan.gan.metrics import attributes, classifier
from minigan.gan.metrics import report as metrics
from minigan.gan.options import GROUPS, OPTIMIZERS
from minigan.gan.run import Run
from minigan.gan.systems import SYSTEMS, options_for, options_from, trainer_for
from minigan.gan.systems.ebgan import pulling_away, separation
from minigan.gan.train import METRIC_STREAM, PREVIEW_STREAM, SAMPLE_STREAM, STREAMS, TRAVERSE_STREAM
from minigan.testing import certificate

RNG = np.random.default_rng(4)
SMALL = {"batch_size": 8, "base": 2, "latent": 6, "steps": 2, "capture": False}
PLAIN = ("gan", "wgan", "lsgan", "hinge", "ebgan")


def small(system: str, **changes):
    options = options_for(system, **(SMALL | changes))
    return trainer_for(options, data.load(options.data, size=options.size))


def weights(trainer) -> dict[str, bytes]:
    return {name: np.asarray(array).tobytes() for name, array in trainer.state()[0].items()}


@pytest.mark.parametrize("name", PLAIN)
def test_a_replayed_step_is_the_step(name):
    """The figures of a captured step are those of a step run op by op, dropout and power iterations included, to what
    the order of summation changes in float32; each draws as many random numbers."""
    captured, eager = small(name, capture=True), small(name)
    assert captured.step() == pytest.approx(eager.step(), rel=1e-4, abs=1e-5)
    assert captured.state()[1]["counters"] == eager.state()[1]["counters"]


@pytest.mark.parametrize(
    ("system", "changes"),
    [
        ("wgan-gp", {"network": "resnet", "data": "emoji", "size": 32}),
        ("wgan-gp", {"network": "resnet", "data": "avatars", "size": 64}),
        ("hinge", {"network": "resnet", "data": "glyphs", "size": 32}),
        ("dcgan", {"network": "resnet", "data": "avatars", "size": 16}),
        ("dcgan", {"data": "emoji", "size": 64}),
        ("wgan-gp", {"network": "mlp", "data": "avatars", "size": 16, "critic_norm": False}),
        ("gan", {"data": "digits", "size": 28}),
        ("ebgan", {"network": "resnet", "data": "avatars", "size": 16}),
    ],
)
def test_networks_go_with_systems_sets_and_sizes(system, changes):
    """A step of each is finite and moves both players; samples have the set's channels and the asked size."""
    trainer = small(system, **changes)
    before = weights(trainer)
    figures = trainer.step()
    assert all(np.isfinite(v) for v in figures.values())
    after = weights(trainer)
    for player in ("generator", "critic"):
        moved = [n for n in after if n.startswith(player) and "running" not in n and after[n] != before[n]]
        assert moved, f"{player} stood still"
    images = trainer.preview(3)
    assert images.shape == (3, trainer.info.shape[-1], changes["size"], changes["size"]) and np.isfinite(images).all()


@pytest.mark.parametrize("name", PLAIN)
def test_certificate(name):
    """Every parameter's gradient in both players' losses, in float64: `minigan gradcheck --model`."""
    made = certificate.certify_model(name)
    assert made.passed, made.text()
    assert {row.name.split()[0] for row in made.rows} == {"critic", "generator"}


def test_wgan_keeps_every_weight_within_its_bound():
    """After a step no weight of the critic is beyond c, many lie at it, the generator's are free; c may be chosen."""
    for c in (0.01, 0.05):
        trainer = small("wgan", clip=c, lr=0.01)
        trainer.step()
        critic = np.concatenate([p.data.ravel() for p in trainer.critic.parameters()])
        assert np.abs(critic).max() <= np.float32(c) and (np.abs(critic) == np.float32(c)).mean() > 0.1
        assert max(np.abs(p.data).max() for p in trainer.generator.parameters()) > c


def test_wgan_takes_torch_s_rmsprop_steps(torch):
    """Weights after one critic step equal torch.optim.RMSprop's on the same gradients, then clamped to +-c."""
    trainer = small("wgan")
    before = [p.data.copy() for p in trainer.critic.parameters()]
    trainer.feed()
    trainer.players["critic"].gradients()
    theirs = [torch.nn.Parameter(torch.tensor(b)) for b in before]
    for t, p in zip(theirs, trainer.critic.parameters(), strict=True):
        t.grad = None if p.grad is None else torch.tensor(np.ascontiguousarray(p.grad.data))
    torch.optim.RMSprop(theirs, trainer.options.lr).step()
    trainer.players["critic"].move()
    for t, p in zip(theirs, trainer.critic.parameters(), strict=True):
        np.testing.assert_allclose(p.data, t.detach().clamp(-0.01, 0.01).numpy(), rtol=1e-6, atol=1e-8)


def test_hinge_critic_has_singular_values_of_one():
    """Spectral norm on every layer: once the power iterations have settled the largest singular value is 1."""
    trainer = small("hinge")
    for _ in range(60):
        trainer.critic(trainer.batch["real"])
    layers = [m for m in trainer.critic.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 4
    for m in layers:
        largest = np.linalg.norm(m.weight.data.reshape(m.out_channels, -1), 2)
        assert largest == pytest.approx(1, abs=0.02)


def test_spectral_norm_survives_a_checkpoint():
    """The vectors of the power iteration are part of the state."""
    assert {"critic.main.0.weight_u", "critic.main.0.weight_v", "critic.main.0.weight_orig"} <= set(
        small("hinge").state()[0]
    )


def test_gan_s_critic_drops_units_in_training_only():
    """With dropout the same batch gives other losses at each draw; in evaluation none are drawn."""
    trainer = small("gan", dropout=0.5)
    x = mg.tensor(RNG.uniform(-1, 1, (8, 1, 32, 32)).astype(np.float32))
    assert not np.array_equal(trainer.critic(x).data, trainer.critic(x).data)
    drawn = trainer.random["dropout"].step
    trainer.critic.eval()
    assert np.array_equal(trainer.critic(x).data, trainer.critic(x).data) and trainer.random["dropout"].step == drawn
    assert "dropout" not in small("gan", dropout=0.0).random


def test_ebgan_minimises_energies():
    """Both objectives, recomputed from the energies of the same images: E + max(0, m - E'), E' + w PT."""
    trainer = small("ebgan", margin=1.7, pull=0.3)
    trainer.feed()
    steps = {name: random.state_dict() for name, random in trainer.random.items()}
    d, g = trainer.critic_loss()[0].item(), trainer.generator_loss()[0].item()
    for name, state in steps.items():
        trainer.random[name].load_state_dict(state)
    critic, size = trainer.critic, trainer.options.batch_size
    fake = trainer.generator(trainer.inputs(size, trainer.random["latent_d"]))
    real, energy = critic(trainer.batch["real"]).data, critic(fake).data
    assert d == pytest.approx(real.mean() + np.maximum(0, 1.7 - energy).mean(), rel=1e-5)
    fake = trainer.generator(trainer.inputs(size, trainer.random["latent_g"]))
    energy, code = critic.judge(fake)
    assert g == pytest.approx(energy.data.mean() + 0.3 * pulling_away(code).item(), rel=1e-5)


def test_separation_is_the_area_under_the_curve():
    """auc equals Mann and Whitney's U over the number of pairs, ties halved; 1/2 for one set against itself."""
    real, fake = RNG.normal(0, 1, 90).round(1), RNG.normal(0.7, 1, 70).round(1)
    found = separation(real, fake)
    u = scipy.stats.mannwhitneyu(fake, real).statistic
    assert found.auc == pytest.approx(u / (90 * 70), rel=1e-12)
    assert found.gap == pytest.approx(fake.mean() - real.mean())
    assert separation(real, real).auc == 0.5 and separation([0.0], [1.0]).auc == 1 and separation([1.0], [0.0]).auc == 0
    with pytest.raises(ValueError, match="finite energies"):
        separation(real, [np.nan])
    with pytest.raises(ValueError, match="finite energies"):
        separation([], fake)


def test_ebgan_observes_its_energies():
    """Energies of held-out images and samples are reported beside what the judge says."""
    trainer = small("ebgan")
    seen = trainer.observe(20, Generator(0, 7))
    assert {"auc", "gap", "real", "fake", "train"} == set(seen.figures["energy"])
    assert "held-out images against samples" in seen.lines[0] and "classes present" in seen.lines[1]
    images = trainer.draw(20, Generator(0, 7))
    assert seen.figures["energy"]["fake"] == pytest.approx(trainer.energies(images).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("system", "changes", "told"),
    [
        ("dcgan", {"penalty": "r1"}, "option 'penalty' means nothing here: gp_weight is 0"),
        ("wgan", {"beta1": 0.5}, "option 'beta1' means nothing here: it is Adam's"),
        ("ebgan", {"gp_weight": 1.0}, "ebgan has no option 'gp_weight'"),
        ("ebgan", {"loss": "hinge"}, "ebgan has no option 'loss'"),
        ("wgan-gp", {"margin": 1.0}, "wgan-gp has no option 'margin'"),
        ("wgan-gp", {"clip": 0.01}, "two-sided does not go with clip"),
        ("hinge", {"clip": 0.01}, "clip does not go with spectral"),
        ("dcgan", {"network": "resnets"}, "did you mean 'resnet'"),
        ("dcgan", {"optimizer": "adma"}, "did you mean 'adam'"),
        ("dcgan", {"dropout": 0.5}, "network 'dcgan' has no dropout"),
        ("gan", {"dropout": 1.0}, "dropout must be below 1"),
        ("gan", {"dropout": float("nan")}, "dropout must be at least 0"),
        ("ebgan", {"margin": 0.0}, "margin must be positive"),
        ("ebgan", {"code": 0}, "code must be at least 1"),
        ("wgan", {"clip": -1.0}, "clip must be at least 0"),
        ("gan", {"critic_norm": True}, "no batch norm"),
        ("gan", {"batch_size": 10**6}, "batch size 1000000"),
        ("ebgan", {"size": 24}, "resize: images 28x28 are larger than size 24"),
        ("ebgan", {"size": 40}, "power of two"),
        ("wgan-gp", {"network": "resnet", "size": 96}, "ResidualGenerator: the image size must be a power of two"),
        ("ebgan", {"batch_size": 1}, "at least 2"),
    ],
)  # fmt: skip
def test_wrong_options_are_named_and_leave_no_folder(system, changes, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        Run.create(options_for(system, **changes), root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_every_system_names_its_own_options():
    """Each option has its help and its group; what a system does not offer is a constant of its record."""
    for row in SYSTEMS.values():
        assert row.options == options_for(row.name) and row.what and row.paper
        assert set(asdict(row.options)) == row.takes | {"system"}
        assert {"data", "steps", "seed"} <= row.takes
        assert ("n_critic" in row.takes) == bool(
            row.options.loss
        )  # one player alone has no critic and no loss of the table
        for option in fields(row.options):
            assert option.name == "system" or (option.metadata["help"] and option.metadata["group"] in GROUPS)
        assert row.options.loss in (*LOSSES, "") and row.options.optimizer in OPTIMIZERS


def test_a_system_s_options_are_its_own():
    assert "loss" not in SYSTEMS["cyclegan"].takes and "network" not in SYSTEMS["cgan"].takes
    assert "gp_weight" not in SYSTEMS["infogan"].takes and "pool" not in SYSTEMS["dcgan"].takes
    assert {"margin", "pull", "code", "network"} <= SYSTEMS["ebgan"].takes


def test_a_record_of_all_systems_options_is_read():
    """Versions before kept every system's options in each run: what the run's system does not read is left out, what no
    system knows is refused."""
    record = {"system": "cyclegan", "steps": 7, "pool": 3, "network": "mlp", "margin": 9.0}
    assert options_from(record) == options_for("cyclegan", steps=7, pool=3)
    with pytest.raises(ValueError, match="unknown option 'stepps'; did you mean 'steps'"):
        options_from(record | {"stepps": 1})
    for row in SYSTEMS.values():
        assert options_from(json.loads(json.dumps(asdict(row.options)))) == row.options


def test_a_plain_run_has_no_stream_of_tricks_it_does_not_use():
    """So a run from before there were tricks goes on."""
    assert set(small("dcgan").random) == set(STREAMS)
    assert set(small("dcgan", noise=0.1).random) == {*STREAMS, "trick"} == set(small("dcgan", labels="soft").random)


def test_no_two_random_streams_of_a_run_share_a_number():
    """Training, previews, samples, scores and walks: each use draws from a stream of its own."""
    looking = [PREVIEW_STREAM, SAMPLE_STREAM, METRIC_STREAM, TRAVERSE_STREAM]
    for row in SYSTEMS.values():
        changes = {"base": 2, "batch_size": 2}
        if "dropout" in row.takes:
            changes |= {"network": "mlp", "dropout": 0.1, "critic_norm": False}
        if "labels" in row.takes:
            changes |= {"noise": 0.1}
        trainer = trainer_for(options_for(row.name, **changes), data.info(row.options.data, row.options.size))
        numbers = [stream.stream for stream in trainer.random.values()] + looking
        assert len(set(numbers)) == len(numbers), f"{row.name}: {sorted(numbers)}"


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """A cache with an untrained classifier of the avatars' attributes."""
    monkeypatch.setattr(classifier, "cache_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(attributes, "ASSETS", tmp_path / "assets")
    dataset = data.load("avatars")
    columns = list(attributes.groups(dataset).values())
    model = attributes.AttributeClassifier(3, columns[-1].stop, len(columns))
    return dataset, model, attributes.save(model.eval(), dataset, attributes.folder_for("avatars"), 0)


def test_a_set_without_classes_is_judged_by_its_attributes(judged):
    """Precision and recall on the features of the classifier of attributes, as metrics.examine gives them."""
    dataset, model, path = judged
    trainer = small("dcgan", data="avatars", size=16)
    seen = trainer.observe(30, Generator(0, 7))
    found = metrics.examine(trainer.draw(30, Generator(0, 7)), model, dataset, 0, attributes.groups(dataset).values())
    assert (seen.figures["precision"], seen.figures["recall"]) == (
        found.samples.precision.value,
        found.samples.recall.value,
    )
    assert "precision" in seen.lines[0] and "held-out images' attributes" in seen.lines[0]
    path.with_suffix(".safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError):
        trainer.observe(30, Generator(0, 7))


def test_without_a_judge_the_way_to_one_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "cache_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(attributes, "ASSETS", tmp_path / "assets")
    with pytest.raises(ValueError, match="train one with: minigan classifier avatars --attributes"):
        small("dcgan", data="avatars", size=16).observe(30, Generator(0, 7))


def test_confidence_of_attributes_is_the_least_sure_one_s(judged, monkeypatch):
    """A sample is confident where every group of logits has a probability above 0.9, each group being normalised."""
    dataset, model, _ = judged
    images = RNG.uniform(-1, 1, (12, 3, 32, 32)).astype(np.float32)
    logits = np.where(RNG.random((1000, 29)) < 0.3, 9.0, 0.0)
    monkeypatch.setattr(
        metrics,
        "judge",
        lambda _, x: [(RNG.random((len(x), 64)), np.exp(logits[: len(x)]) / np.exp(logits[: len(x)]).sum(1)[:, None])],
    )
    found = metrics.examine(images, model, dataset, 0, attributes.groups(dataset).values())
    sure = [
        all(scipy.special.softmax(row[part]).max() > 0.9 for part in attributes.groups(dataset).values())
        for row in logits[:12]
    ]
    assert found.samples.confident.value == pytest.approx(np.mean(sure))


@pytest.mark.parametrize("size", [8, 16])
def test_small_samples_are_judged_enlarged(size):
    """Images of 16 or 8 pixels are judged as the data set's own small images are: each pixel a block."""
    images = RNG.uniform(-1, 1, (2, 3, size, size)).astype(np.float32)
    large = classifier.shrunk(images)
    assert large.shape == (2, 3, 32, 32) and np.array_equal(large[:, :, :: 32 // size, :: 32 // size], images)
    assert np.array_equal(classifier.shrunk(large.repeat(2, 2).repeat(2, 3)), large)
    with pytest.raises(ValueError, match=r"a multiple or a whole part of it, got 24x24"):
        classifier.shrunk(np.zeros((1, 3, 24, 24), np.float32))


def test_a_data_set_that_was_tuned_for_has_its_own_defaults():
    """What is given counts more than what was tuned for the set, and that more than the system's defaults."""
    tuned = options_for("dcgan", data="avatars")
    assert (tuned.size, tuned.base, tuned.beta1) == (16, 64, options_for("dcgan").beta1)
    assert options_for("dcgan", data="avatars", size=32).size == 32 and options_for("dcgan", data="emoji").size == 32
    for row in SYSTEMS.values():
        for name, changes in row.presets.items():
            assert row.takes.issuperset(changes) and options_for(row.name, data=name, **changes).data == name


@pytest.mark.parametrize("system", SYSTEMS)
def test_synchronised_norms_of_one_part_mean_nothing(system):
    with pytest.raises(ValueError, match="option 'sync_norm' means nothing here: parts is 1"):
        options_for(system, sync_norm=True)


def test_codes_of_zeros_pull_nowhere():
    """The mean over pairs of different codes; a code of zeros is at no angle to itself either."""
    assert pulling_away(mg.zeros(4, 3)).item() == 0
    codes = mg.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    assert pulling_away(codes).item() == pytest.approx(2 / 12)
