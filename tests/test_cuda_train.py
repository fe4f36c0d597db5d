"""Whole training steps on a device: the CPU's weights, one wait a half-step, captured or not."""

import numpy as np
import pytest

import minigan as mg
from minigan import data
from minigan.backend import module_of
from minigan.data import Dataset
from minigan.gan.train import Trainer, generate, options_for

INFO = data.Info("noise", "random images", "none", 16, (16, 16, 1), 0, 0)
SETTINGS = {"batch_size": 4, "base": 4, "size": 16, "latent": 8}


def trainer(system, device, capture):
    images = np.random.default_rng(0).integers(0, 255, (16, 16, 16, 1)).astype(np.uint8)
    settings = SETTINGS | ({"n_critic": 2} if system == "wgan-gp" else {})
    options = options_for(system, device=device, capture=capture, **settings)
    return Trainer(options, Dataset(INFO, images, None, None, np.arange(16), np.arange(0)))


@pytest.mark.parametrize("capture", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("system", ["wgan-gp", "dcgan"])
def test_weights_after_two_steps_are_the_cpus(system, capture, device):
    ours, theirs = (trainer(system, name, capture) for name in ("cpu", device))
    for _ in range(2):
        figures = ours.step(), theirs.step()
        for name in figures[0]:
            assert figures[1][name] == pytest.approx(figures[0][name], rel=1e-4, abs=1e-6)
    a, b = ours.state()[0], theirs.state()[0]
    assert a.keys() == b.keys()
    moved = 0
    for name in a:
        assert isinstance(b[name], np.ndarray) and np.isfinite(b[name]).all()
        assert np.abs(a[name] - b[name]).max(initial=0) <= 2e-5 * max(1, np.abs(a[name]).max(initial=0)), name
        moved += a[name].size
    assert moved > 1000


def test_one_wait_a_half_step(device):
    xp = module_of(device)
    if not hasattr(xp, "syncs"):
        pytest.skip("only the stand-in counts waits")
    made = trainer("wgan-gp", device, True)
    made.step()
    before = xp.syncs
    made.step()
    assert xp.syncs - before == made.options.n_critic + 1


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
