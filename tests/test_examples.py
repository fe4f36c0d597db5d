"""The examples run as their first lines say, and what they show is so."""

import runpy
import subprocess
import sys

import pytest
from PIL import Image

from minigan import cudasim


def example(name: str, *args: str, cwd) -> str:
    """What `python -m minigan.examples.NAME` prints."""
    command = [sys.executable, "-m", f"minigan.examples.{name}", *args]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gradients(tmp_path):
    """The derivatives of x^3 at 1, 2, 3."""
    out = example("01_gradients", cwd=tmp_path)
    assert "[3.0, 12.0, 27.0]" in out and "[6.0, 12.0, 18.0]" in out and "[6.0, 6.0, 6.0]" in out


def test_your_own_op(tmp_path):
    """The right op passes at three orders; the wrong one is found out."""
    out = example("02_your_own_op", cwd=tmp_path)
    assert out.count("worst error") == 3 and "WrongSwish is found out" in out


@pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
def test_race(tmp_path):
    """The race is caught in every order of threads, unchecked runs go by luck, the fixed sum passes."""
    out = example("30_cudasim_race", cwd=tmp_path)
    assert "Verdict: the race is caught in every order, and gone when fixed." in out
    assert out.count("with it, ") == 6 and out.count("checked: nothing found") == 3 and "WRONG" in out


@pytest.mark.parametrize(("name", "picture"), [("03_wgan_gp", "wgan_gp.png"), ("04_dcgan", "dcgan.png")])
def test_gans(name, picture, tmp_path):
    """A few steps run and draw a sheet."""
    out = example(name, "--steps", "2", cwd=tmp_path)
    assert "step    2" in out
    with Image.open(tmp_path / picture) as image:
        assert image.size[0] > 200


def test_the_penalty_of_the_example_is_the_library_s():
    """The gradient penalty written out in the example equals minigan.gan.penalties on the same numbers."""
    import minigan as mg
    from minigan.gan.penalties import gradient_penalty

    module = runpy.run_module("minigan.examples.03_wgan_gp")
    mg.manual_seed(0)
    f, real, fake = module["critic"](), mg.randn(64, 1, 32, 32), mg.randn(64, 1, 32, 32)
    mg.manual_seed(1)
    ours = module["gradient_penalty"](f, real, fake)
    mg.manual_seed(1)
    theirs, _ = gradient_penalty(lambda x: f(x)[:, 0], real, fake, mg.rand(64, 1, 1, 1))
    assert abs(ours.item() - theirs.item()) < 1e-5
