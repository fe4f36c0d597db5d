"""`r3gan` and the parts it brought: R1 and R2 from the outputs that the loss reads, lazy penalties, falling rates,
augmentation that gradients pass through, a share of the images. By hand, on images of 8 x 8 pixels in float64."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from worlds import FACES, WORLD, Formula, close, gradient_of, stream, trainer

import minigan as mg
from minigan import data, nn
from minigan.backend import Generator
from minigan.gan import augment, run
from minigan.gan.metrics.classifier import prepared
from minigan.gan.networks.r3gan import R3Critic, R3Generator, r3gan_init_
from minigan.gan.penalties import PENALTIES, penalty
from minigan.gan.stopping import is_time
from minigan.gan.systems import options_for, plain, trainer_for
from minigan.gan.systems.plain import TrickTrainer, some_of
from minigan.gan.systems.r3gan import along_cosine

ALL = "colour,translation,cutout"


def latents(t, random):
    return mg.randn(3, t.options.latent, generator=random, dtype=mg.float64)


def squared_slope(f, x: mg.Tensor) -> mg.Tensor:
    """||grad f||^2 of each image, one image at a time, f being asked for that image alone."""
    squares = []
    for i in range(len(x)):
        point = x[i : i + 1].detach().requires_grad_()
        (slope,) = mg.grad(f(point).sum(), point, create_graph=True)
        squares.append((slope * slope).sum())
    return mg.stack(squares)


@pytest.mark.parametrize("name", ["r1+r2", "r1", "r2"])
def test_the_critic_s_objective(name):
    """E softplus(f(Gz_i) - f(x_i)) over pairs, + gamma (E ||grad f(x)||^2 / 2 + E ||grad f(Gz)||^2 / 2), with its
    gradient in every weight; nothing of it reaches G."""
    t = trainer("r3gan", penalty=name, gp_weight=7.0)
    r3gan_init_(t.critic, Generator(1, 1)), t.anneal(), t.feed()
    real = t.batch["real"]
    with mg.no_grad():
        fake = t.generator(latents(t, stream(t, 2)))
    pairs = [mg.softplus(t.critic(fake)[i] - t.critic(real)[i]) for i in range(3)]
    expected = sum(pairs) / 3
    if "r1" in name:
        expected = expected + 7 * squared_slope(t.critic, real).sum() / 6
    if "r2" in name:
        expected = expected + 7 * squared_slope(t.critic, fake).sum() / 6
    objective, figures = t.critic_loss()
    close(objective, expected)
    close(figures["d_loss"], sum(pairs) / 3)
    ours, theirs = (mg.grad(loss, list(t.critic.parameters())) for loss in (objective, expected))
    for a, b in zip(ours, theirs, strict=True):
        close(a, b)
    assert gradient_of(objective, t.generator) is None


def test_the_generator_s_objective():
    """E softplus(f(x_i) - f(Gz_i)): each sample against the real image of its own place, on latents of its own."""
    t = trainer("r3gan")
    t.feed()
    fake = t.generator(latents(t, stream(t, 3)))
    d_real, d_fake = t.critic(t.batch["real"]), t.critic(fake)
    expected = sum(mg.softplus(d_real[i].detach() - d_fake[i]) for i in range(3)) / 3
    objective, _ = t.generator_loss()
    close(objective, expected)
    close(gradient_of(objective, t.generator), gradient_of(expected, t.generator))


@pytest.mark.parametrize("name", ["r1", "r2", "r1+r2", "zero-centred"])
def test_the_curvature_at_slope_zero(name):
    """f(x) = a sum x has ||grad f||^2 = 4 a^2: its curvature in a is 8 at a = 0 as anywhere, halved for R1 and R2. A
    square of a root whose derivatives end at zero would say 0."""
    a = mg.tensor(0.0, dtype="float64", requires_grad=True)
    x = mg.ones(3, 2, 2).double()
    value, norm = penalty(name)(lambda x: a * x.sum((1, 2)), x, x, mg.ones(3, 1, 1).double())
    (first,) = mg.grad(value, a, create_graph=True)
    assert value.item() == norm.item() == first.item() == 0
    assert mg.grad(first, a)[0].item() == pytest.approx(4 if name in ("r1", "r2") else 8)


def test_one_forward_serves_the_loss_and_both_penalties():
    t = trainer("r3gan")
    t.feed(), t.anneal()
    calls = []
    t.critic.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    t.critic_loss()
    assert calls == [6]


@pytest.mark.parametrize("system", ["r3gan", "wgan-gp"])
def test_a_lazy_penalty(system):
    """Of five critic steps the first and the fourth have the penalty, at three times its weight; the others have none.
    A restart goes on in turn."""
    lazy, eager = trainer(system, penalty_every=3), trainer(system)
    found = []
    for step in range(5):
        lazy.feed(), eager.feed(), lazy.anneal(), eager.anneal()
        (a, figures), (_, whole) = lazy.critic_loss(), eager.critic_loss()
        found.append("penalty" in figures)
        weight = 3.0 if found[-1] else 0.0
        lam = eager.weight()
        if step == 0:  # later the streams of the two differ: one draws no eps
            close(a, whole["d_loss"] + weight * lam * whole["penalty"])
        if not found[-1]:
            assert a is figures["d_loss"]
    assert found == [True, False, False, True, False]
    again = trainer(system, penalty_every=3)
    again.restore(*lazy.state())
    again.feed()
    assert not again.penalised
    with pytest.raises(ValueError, match="option 'penalty_every' means nothing here: gp_weight is 0"):
        options_for("dcgan", penalty_every=2)


def test_rates_and_weight_fall_along_half_a_cosine():
    t = trainer("r3gan", steps=4, lr=0.1, gp_weight=8.0, final_rate=0.1, final_weight=0.25, rate_ratio=2.0)
    seen = []
    for done in range(5):
        t.steps_done = done
        t.anneal()
        seen.append((t.optim_g.param_groups[0]["lr"], t.optim_d.param_groups[0]["lr"], t.weight().item()))
    middle = [0.1 + 0.9 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(5)]
    np.testing.assert_allclose([s[0] for s in seen], [0.1 * m for m in middle], rtol=1e-6)
    np.testing.assert_allclose([s[1] for s in seen], [0.2 * m for m in middle], rtol=1e-6)
    assert [seen[0][2], seen[2][2], seen[4][2]] == pytest.approx([8.0, 5.0, 2.0])
    assert along_cosine(0.1, 9, 4) == pytest.approx(0.1)


@pytest.mark.parametrize("changes", [{"penalty": "zero-centred"}, {"trick": "simultaneous"}, {"trick": "unrolled=1"}])
def test_the_weight_falls_wherever_the_slope_is_taken(changes):
    """Between images, where players step together, and in the steps that G looks through."""
    t = trainer("r3gan", gp_weight=8.0, final_weight=0.25, **changes)
    t.steps_done = t.options.steps
    t.feed(), t.anneal()
    objective, figures = t.critic_loss()
    close(objective, figures["d_loss"] + 2 * figures["penalty"])
    value = mg.ones(()).double()
    _, more = t.with_penalty(value, {}, t.critic, t.batch["real"], t.batch["real"])
    close(t.penalty_added(value, more["penalty"]), value + 2 * more["penalty"])
    with pytest.raises(ValueError, match="option 'final_weight' means nothing here: gp_weight is 0"):
        options_for("r3gan", gp_weight=0.0, final_weight=0.5)


def test_networks_start_as_their_shortcuts_and_judge_alone():
    """Blocks change nothing at the start; an image's score is its own, whatever else is in the batch."""
    random = Generator(0, 1)
    d, g = r3gan_init_(R3Critic(3, 16, 4), random).double(), r3gan_init_(R3Generator(5, 3, 16, 4), random).double()
    x = mg.randn(4, 3, 16, 16, generator=random, dtype=mg.float64)
    assert g(mg.ones(2, 5).double()).shape == (2, 3, 16, 16) and d(x).shape == (4,)
    close(d(x)[1:2], d(x[1:2]))
    block = d.blocks[0]
    assert (block(mg.ones(1, 4, 8, 8).double()).detach().numpy() == 1).all()
    with pytest.raises(ValueError, match="R3Critic: has no batch norm"):
        R3Critic(1, 16, 4, norm=True)
    with pytest.raises(ValueError, match=r"R3Generator: z must be \(N, 5\), got \(2, 4\)"):
        g(mg.ones(2, 4).double())
    assert not any(isinstance(m, nn.BatchNorm2d) for net in (d, g) for m in net.modules())


# Augmentation.


def numbers_of(random: Generator, count: int, row) -> mg.Tensor:
    return mg.rand(count, row.count, generator=random, dtype=mg.float64)


def by_hand(image: np.ndarray, name: str, u: np.ndarray) -> np.ndarray:
    """One image (C, H, W), one augmentation, pixel by pixel."""
    if name == "colour":
        image = image + u[0] - 0.5
        if len(image) > 1:
            image = (image - image.mean(0)) * 2 * u[1] + image.mean(0)
        return (image - image.mean()) * (u[2] + 0.5) + image.mean()
    out, (h, w) = np.zeros_like(image), image.shape[1:]
    for y in range(h):
        for x in range(w):
            if name == "cutout":
                outside = abs((y + 0.5) / h - u[0]) >= 0.25 or abs((x + 0.5) / w - u[1]) >= 0.25
                out[:, y, x] = image[:, y, x] * outside
                continue
            at_y, at_x = y + (u[1] - 0.5) * h / 4, x + (u[0] - 0.5) * w / 4
            for i in range(h):
                for j in range(w):
                    near = max(0, 1 - abs(at_y - i)) * max(0, 1 - abs(at_x - j))
                    out[:, y, x] += near * image[:, i, j]
    return out


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_each_augmentation_by_hand(name, channels, rng):
    """Every image by its own numbers."""
    row = augment.AUGMENTATIONS[name]
    images, numbers = rng.standard_normal((3, channels, 8, 6)), rng.random((3, row.count))
    ours = row.apply(mg.tensor(images), mg.tensor(numbers)).numpy()
    expected = np.stack([by_hand(x, name, u) for x, u in zip(images, numbers, strict=True)])
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


def test_every_image_has_draws_of_its_own():
    same = mg.ones(4, 1, 8, 8).double() * 0.5
    images = augment.augmented(same, augment.augmentations(ALL), Generator(0, 11)).numpy().reshape(4, -1)
    assert len({image.tobytes() for image in images}) == 4


@pytest.mark.parametrize("system", ["r3gan", "dcgan"])
def test_d_sees_reals_and_samples_augmented(system):
    """Both, by fresh numbers, and so does G's loss; the order of the draws is that of the calls."""
    t, plain = trainer(system, augment=ALL), trainer(system)
    t.critic = plain.critic = Formula(lambda x: x.reshape(len(x), -1).sum(1) + (x * x).reshape(len(x), -1).sum(1))
    rows, random = augment.augmentations(ALL), stream(t, 11)
    t.feed(), t.anneal()
    real = t.batch["real"]
    with mg.no_grad():
        fake = t.generator(latents(t, stream(t, 2)))
    if system == "r3gan":
        both = augment.augmented(mg.cat([real, fake]), rows, random)
        shown = both[:3], both[3:]
    else:
        shown = tuple(augment.augmented(x, rows, random) for x in (real, fake))
    _, figures = t.critic_loss()
    close(figures["d_loss"], t.loss.discriminator(*map(t.critic, shown)))
    samples = t.generator(latents(t, stream(t, 3)))
    d_fake = t.critic(augment.augmented(samples, rows, random))
    reals = [t.critic(augment.augmented(real, rows, random))] if t.loss.relativistic else []
    expected = t.loss.generator(d_fake, *reals)
    objective, _ = t.generator_loss()
    close(objective, expected)
    close(gradient_of(objective, t.generator), gradient_of(expected, t.generator))


def test_r1_and_r2_pass_through_the_augmentation():
    """The slope is that of f(T x) at x, by the chain rule: of a linear f, the transposed map of T, image by image."""
    t = trainer("r3gan", augment=ALL, gp_weight=1.0)
    w = mg.tensor(np.random.default_rng(3).standard_normal((1, 8, 8)))
    t.critic = Formula(lambda x: (x * w).sum((1, 2, 3)))
    t.feed(), t.anneal()
    with mg.no_grad():
        fake = t.generator(latents(t, stream(t, 2)))
    points, rows, random = mg.cat([t.batch["real"], fake]).numpy(), augment.augmentations(ALL), stream(t, 11)
    draws = [numbers_of(random, 6, row).numpy() for row in rows]

    def shown(image, i):
        for row, u in zip(rows, draws, strict=True):
            image = by_hand(image, row.name, u[i])
        return (image * w.numpy()).sum()

    leaf = mg.tensor(points).requires_grad_()
    (slope,) = mg.grad(t.critic(augment.augmented(leaf, rows, stream(t, 11))).sum(), leaf)
    for i in (1, 4):  # a real image and a sample
        zero = shown(np.zeros((1, 8, 8)), i)  # T is affine in the image
        for k in (9, 27, 36, 54):
            unit = np.eye(64)[k].reshape(1, 8, 8)
            assert slope.numpy()[i].ravel()[k] == pytest.approx(shown(unit, i) - zero, rel=1e-9, abs=1e-12)
    _, figures = t.critic_loss()
    assert figures["penalty"].item() == pytest.approx((slope.numpy() ** 2).sum() / 6, rel=1e-9)


def test_a_share_of_the_images():
    """Half of the six training images, a class as often as another; held-out ones are all there."""
    part = some_of(WORLD, 0.5)
    assert len(part.train) == 3 and sorted(WORLD.labels[part.train]) == [0, 1, 2]
    assert set(part.train) <= set(WORLD.train) and np.array_equal(part.held_out, WORLD.held_out)
    t = trainer("dcgan", share=0.5)
    assert len(t.loader.images) == 3 and t.dataset is WORLD
    with pytest.raises(ValueError, match="share must be above 0"):
        options_for("dcgan", share=0.0)


def test_augmentation_errors():
    with pytest.raises(ValueError, match="unknown augmentation 'color'; did you mean 'colour'"):
        options_for("dcgan", augment="color")
    with pytest.raises(ValueError, match="names an augmentation twice"):
        options_for("r3gan", augment="cutout,cutout")


def test_rows_say_which_outputs_they_share():
    assert {name: row.shared for name, row in PENALTIES.items() if row.shared} == {
        "r1": ("real",), "r2": ("fake",), "r1+r2": ("real", "fake"),
    }  # fmt: skip


def test_the_stop_rule(tmp_path, monkeypatch):
    """Three looks after the smallest distance, a run ends; a resumed one counts on, and without a rule none ends."""
    assert [is_time([3, 2, 2.5, 2.1][:n], 2) for n in range(5)] == [False, False, False, False, True]
    assert not is_time([1, 2, 3, 4, 5], 0) and not is_time([5, 4, 3], 1)
    distances = iter([3.0, 2.0, 2.5, 2.4, 1.0])
    monkeypatch.setattr(run, "SNAP", 1)
    monkeypatch.setattr(run.Run, "_save_fakes", lambda self, name: None)
    monkeypatch.setattr(run.Run, "_close", lambda self: {})
    monkeypatch.setattr(TrickTrainer, "look", lambda self: {"frechet": next(distances), "memorised": 0.5})
    small = {"base": 1, "batch_size": 2, "latent": 2, "capture": False, "size": 32}
    first = run.Run.create(options_for("r3gan", steps=2, stop_when=2, **small), tmp_path / "run")
    first.train()
    with open(tmp_path / "run" / "held_out.jsonl", "a") as file:
        file.write('{"step": 2, "frech')  # the machine went down
    again = run.Run.resume(str(tmp_path / "run"), steps=9)
    assert again.looks == [3.0, 2.0] and not again.done
    again.train()
    assert again.trainer.steps_done == 4 and again.done
    assert run.Run.resume(str(tmp_path / "run"), steps=9).done


@pytest.mark.parametrize("world", [WORLD, FACES], ids=["classes", "attributes"])
def test_a_stop_rule_of_too_few_images_is_refused_at_once(world):
    few = replace(world, held_out=world.held_out[:2])
    with pytest.raises(ValueError, match="stop_when: needs at least 2 images in the validation half"):
        trainer("dcgan", few, stop_when=1)


@pytest.mark.parametrize("world", [WORLD, FACES], ids=["classes", "attributes"])
def test_a_stop_rule_without_a_judge_is_refused_at_once(world):
    """Not at the first look, which is 250 steps away."""
    with pytest.raises(ValueError, match=r"stop_when: (the classifier knows|no classifier of the attributes)"):
        trainer("dcgan", world, stop_when=1)


def test_a_look_tells_copies(monkeypatch):
    """Samples that are the training images lie nearer to those, all of them."""
    t = trainer("dcgan", share=0.5)
    copies = t.loader.batch(0)[0]
    monkeypatch.setattr(plain, "reader_of", lambda data, dataset: SimpleNamespace(model=None))
    monkeypatch.setattr(plain, "features", lambda model, images: images.reshape(len(images), -1)[:, :2])
    monkeypatch.setattr(type(t), "draw", lambda self, count, random: copies)
    assert t.look(3)["memorised"] == 1.0


@pytest.mark.parametrize("name", ["digits", "avatars"])
def test_a_look_is_at_the_held_out_images(name, monkeypatch):
    """The distance is to the validation half: 0 for samples that are those, and another where they are others; by the
    judge of classes or of attributes."""
    options = options_for("dcgan", data=name, base=2, batch_size=4, stop_when=1, size=32)
    t = trainer_for(options, data.load(name, size=32))
    half = t.dataset.half("validation")
    rows = half.held_out[:200]
    t.dataset = replace(t.dataset, held_out=np.sort(np.concatenate([rows, t.dataset.half("test").held_out[:200]])))
    held_out = t.dataset.half("validation").held_out
    monkeypatch.setattr(type(t), "draw", lambda self, count, random: prepared(t.dataset, held_out, 32))
    assert t.look()["frechet"] == pytest.approx(0, abs=1e-3)
    images = t.dataset.images.copy()
    images[held_out] = 255 - images[held_out]
    real = prepared(t.dataset, held_out, 32)
    monkeypatch.setattr(type(t), "draw", lambda self, count, random: real)
    t.dataset = replace(t.dataset, images=images)
    assert t.look()["frechet"] > 10
