"""Whole training steps on a device: the CPU's weights, one wait a step, captured or not."""

from dataclasses import replace

import numpy as np
import pytest

import minigan as mg
from minigan import data
from minigan.backend import module_of
from minigan.data import Dataset
from minigan.gan.metrics import attributes, classifier
from minigan.gan.systems import options_for, trainer_for
from minigan.gan.train import Trainer, TrainingError, generate

INFO = data.Info("noise", "random images", "none", 16, (16, 16, 1), 0, 0)
SETTINGS = {"batch_size": 4, "base": 4, "size": 16, "latent": 8}


def trainer(system, device, capture):
    images = np.random.default_rng(0).integers(0, 255, (16, 16, 16, 1)).astype(np.uint8)
    settings = SETTINGS | ({"n_critic": 2} if system == "wgan-gp" else {})
    options = options_for(system, device=device, capture=capture, **settings)
    return Trainer(options, Dataset(INFO, images, None, None, np.arange(16), np.arange(0)))


TOLERANCE = {np.float32: 2e-5, np.float64: 1e-10}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: d.__name__)
@pytest.mark.parametrize("capture", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("system", ["wgan-gp", "dcgan"])
def test_weights_after_two_steps_are_the_cpus(system, capture, dtype, device):
    """Weights, running statistics and Adam's averages, relative to the largest number of each (at least 1)."""
    ours, theirs = (trainer(system, name, capture) for name in ("cpu", device))
    if dtype == np.float64:
        ours, theirs = ours.double(), theirs.double()
    for _ in range(2):
        figures = ours.step(), theirs.step()
        for name in figures[0]:
            assert figures[1][name] == pytest.approx(figures[0][name], rel=5 * TOLERANCE[dtype], abs=1e-6)
    a, b = ours.state()[0], theirs.state()[0]
    assert a.keys() == b.keys()
    numbers = 0
    for name in a:
        assert isinstance(b[name], np.ndarray) and np.isfinite(b[name]).all() and a[name].dtype == b[name].dtype
        assert a[name].dtype in (dtype, np.int64), name
        limit = TOLERANCE[dtype] * max(1, np.abs(a[name]).max(initial=0))
        assert np.abs(a[name] - b[name]).max(initial=0) <= limit, name
        numbers += a[name].size
    assert numbers > 1000


@pytest.mark.parametrize(
    ("system", "changes"),
    [
        ("gan", {}),
        ("wgan", {"n_critic": 1}),
        ("hinge", {}),
        ("ebgan", {}),
        ("wgan-gp", {"network": "resnet", "n_critic": 1}),
    ],
)  # fmt: skip
def test_other_plain_systems_are_the_cpus(system, changes, device):
    """Dropout, clipped RMSProp, power iterations, an autoencoder, residual blocks: figures and weights of a step in
    float64, to 1e-9 of the largest number. Both start from the CPU's numbers: vectors of unit length were rounded to
    float32, in either device's own way."""
    images = np.random.default_rng(0).integers(0, 255, (16, 16, 16, 1)).astype(np.uint8)
    dataset = Dataset(INFO, images, None, None, np.arange(16), np.arange(0))
    settings = SETTINGS | {"base": 2, "capture": False} | changes
    ours, theirs = (
        trainer_for(options_for(system, device=name, **settings), dataset).double() for name in ("cpu", device)
    )
    theirs.restore(*ours.state())
    first, second = ours.step(), theirs.step()
    assert second == pytest.approx(first, rel=1e-8, abs=1e-9)
    a, b = ours.state()[0], theirs.state()[0]
    for name in a:
        assert np.abs(a[name] - b[name]).max(initial=0) <= 1e-9 * max(1, np.abs(a[name]).max(initial=0)), name


@pytest.mark.parametrize("capture", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("system", ["wgan-gp", "dcgan"])
def test_one_wait_a_step(system, capture, device):
    """All critic half-steps, the generator's and the average: the host waits once, for the figures."""
    xp = module_of(device)
    if not hasattr(xp, "syncs"):
        pytest.skip("only the stand-in counts waits")
    gan = trainer(system, device, capture)
    gan.step()
    before = xp.syncs
    gan.step()
    assert xp.syncs - before == 1


@pytest.mark.parametrize("capture", [False, True], ids=["eager", "captured"])
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_not_finite_stops_the_step_as_on_the_cpu(capture, device):
    """The generator's loss is infinite in the second step. The one look comes after all optimisers have acted: all goes
    back, the critic's half-steps are taken again, and the error and what has moved are the CPU's."""
    messages, states = [], []
    for name in ("cpu", device):
        gan = trainer("wgan-gp", name, capture)
        gan.step()
        original = gan.generator_loss
        with mg.device(name):
            too_much = mg.full((), 3e38)

        def broken(original=original, too_much=too_much):
            objective, figures = original()
            return (objective + 1e3) * too_much, figures

        gan.players["generator"] = gan._player(gan.optim_g, broken, "g_weight_gradient")
        with pytest.raises(TrainingError, match="step 2, generator step: mul made an infinity") as caught:
            gan.step()
        messages.append(str(caught.value))
        arrays, rest = gan.state()
        states.append((arrays, {k: rest[k] for k in ("steps_done", "counters", "optimisers", "average_updates")}))
    assert messages[0] == messages[1]
    (ours, our_rest), (theirs, their_rest) = states
    assert our_rest == their_rest
    for key in ours:
        assert np.abs(ours[key] - theirs[key]).max(initial=0) <= 2e-5 * max(1, np.abs(ours[key]).max(initial=0)), key


def test_a_run_goes_on_where_it_was_saved(device):
    first, second = trainer("wgan-gp", device, True), trainer("wgan-gp", device, True)
    first.step()
    second.restore(*first.state())
    assert first.step() == second.step()
    for name, array in first.state()[0].items():
        assert array.tobytes() == second.state()[0][name].tobytes(), name


def test_a_captured_step_on_the_device(device):
    with mg.device(device):
        x = mg.randn(4, 3, generator=mg.Generator(1))
        w = mg.nn.Parameter(mg.randn(3, 2, generator=mg.Generator(2)))
    step = mg.capture(lambda: mg.tanh(x @ w).sum())
    for _ in range(2):
        x.assign(x.detach() * 2)
        assert step().device == device
        assert step().item() == mg.tanh(x @ w).sum().item()


def test_samples_leave_the_device(device):
    images = trainer("dcgan", device, True).preview(3)
    assert isinstance(images, np.ndarray) and images.shape == (3, 1, 16, 16) and np.isfinite(images).all()
    latents = mg.randn(3, 8, generator=mg.Generator(0))
    assert isinstance(generate(trainer("dcgan", device, True).average.module, latents), np.ndarray)


def test_layers_made_on_a_device_lie_there_with_the_cpus_numbers(device):
    def made(where):
        mg.manual_seed(3)
        with mg.device(where):
            layers = mg.nn.Conv2d(1, 4, 3), mg.nn.BatchNorm2d(4), mg.nn.LayerNorm(4), mg.nn.Embedding(3, 4)
            return mg.nn.Sequential(*layers, mg.nn.spectral_norm(mg.nn.Linear(4, 2)))

    ours, theirs = made("cpu"), made(device)
    assert {t.device for t in (*theirs.parameters(), *theirs.buffers())} == {device}
    for name, array in ours.state_dict().items():
        np.testing.assert_allclose(theirs.state_dict()[name], array, rtol=2e-5, err_msg=name)


@pytest.mark.parametrize(("name", "kind"), [("digits", classifier), ("avatars", attributes)])
def test_a_classifier_trained_on_the_device_is_the_cpus(name, kind, device):
    dataset = data.load(name)
    dataset = replace(dataset, train=dataset.train[:64])
    states = []
    for where in ("cpu", device):
        with mg.device(where):
            model = kind.train(dataset, 1, seed=0)
        assert {p.device for p in model.parameters()} == {"cpu"}
        states.append(model.state_dict())
    gaps = np.concatenate([np.abs(states[1][key] - array).ravel() for key, array in states[0].items()])
    assert gaps.max() < 2e-3 and (gaps > 2e-5).mean() < 1e-4, "Adam divides by the gradient: of rounding, a step is one"
