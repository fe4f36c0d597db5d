"""Time to quality: both clocks run while their own contestant trains and stand still otherwise; one recipe for both."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from minigan.bench import quality
from minigan.bench.run import WorkerError
from minigan.cli import main
from minigan.gan.metrics import report as metrics

MACHINE = {"processor": "Chip", "instructions": "AVX2", "cores": 2, "threads": 2, "versions": {}, "load": []}
TURNS: list[str] = []


class Fake:
    """A contestant whose share of good images rises by `gain` a step, each of which takes `pace` seconds."""

    def __init__(self, name, pace, gain, start=0.0):
        self.name, self.pace, self.gain, self.start, self.steps = name, pace, gain, start, 0

    def train(self, steps):
        TURNS.append(self.name)
        self.steps += steps
        return steps * self.pace

    def draw(self, latents):
        return np.full((len(latents), 1, 1, 1), min(1.0, self.steps * self.gain), np.float32)


class FakeJudge:
    real = 0.96

    def confident(self, images):
        assert len(images) == quality.SAMPLES
        return float(images.mean())

    def report(self, images):
        assert len(images) == quality.FINAL
        return {"split": "test", "confident": float(images.mean()), "real_confident": 0.97}


def raced(**more):
    TURNS.clear()
    pair = {"minigan": Fake("minigan", 0.1, 0.0101, 2.0), "torch": Fake("torch", 0.3, 0.0101, 5.0)}
    return quality.race(pair, FakeJudge(), 11, **{"steps": 100, "look": 10, **more})


def test_seconds_to_a_level():
    """After 60 steps of 0.1 s and a start of 2: 8 seconds; the other one takes 23."""
    figures = raced()
    assert figures["minigan"]["reached"] == pytest.approx({0.6: 8.0, 0.7: 9.0, 0.8: 10.0, 0.9: 11.0})
    assert figures["torch"]["reached"][0.6] == pytest.approx(23)
    assert figures["torch"]["seconds"] == pytest.approx(35) and figures["minigan"]["end"]["split"] == "test"


def test_they_take_turns():
    raced()
    assert TURNS[:4] == ["minigan", "torch", "torch", "minigan"] and TURNS.count("torch") == 10


def test_the_last_turn_may_be_shorter():
    assert [look["steps"] for look in raced(steps=25)["torch"]["looks"]] == [10, 20, 25]


def test_a_level_that_is_not_reached():
    """None; and of a share that falls again, the first look counts."""
    looks = [{"seconds": s, "confident": c} for s, c in ((1, 0.5), (2, 0.7), (3, 0.65), (4, 0.8))]
    assert [quality.reached(looks, level) for level in (0.6, 0.7, 0.8, 0.9)] == [2, 2, 4, None]


def test_the_end_is_judged_by_the_test_half(monkeypatch):
    judge = object.__new__(quality.DigitsJudge)
    judge.model, judge.dataset = "model", SimpleNamespace(half=lambda part: part)
    seen = []
    monkeypatch.setattr(
        metrics, "evaluate", lambda *asked: seen.append(asked) or SimpleNamespace(as_dict=lambda: {"confident": 0.5})
    )
    assert judge.report("images") == {"split": "test", "confident": 0.5} and seen == [("images", "model", "test")]


def table(*shares):
    """Of one seed for each share, which is where both contestants end."""
    seeds = {}
    for seed, share in enumerate(shares):
        pair = {"minigan": Fake("minigan", 0.1, share / 100), "torch": Fake("torch", 0.3, share / 100)}
        seeds[seed] = quality.race(pair, FakeJudge(), seed, 100, 10)
    return quality.text({"machine": MACHINE, "steps": 100, "seeds": seeds})


def test_the_table_shows_medians():
    """A level that fewer than half of the seeds reach has none; ratios are PyTorch's time over ours."""
    text = table(0.86, 0.86, 0.66)
    lines = [line.split() for line in text.splitlines()[4:7]]
    assert lines[0] == ["minigan", "7.0", "9.0", "10.0", "-", "10.0", "86.0%", "(real", "97.0%)"]
    assert lines[2] == ["torch", "/", "own", "3.00", "3.00", "3.00", "-", "3.00"]
    assert table(0.66, 0.66, 0.86).splitlines()[4].split()[1:5] == ["10.0", "-", "-", "-"]


def test_one_recipe(tmp_path, torch):
    """PyTorch's networks start where minigan's do: the same images, scores, rates and order of real images."""
    from minigan.bench import recipe_minigan, recipe_torch

    ours = recipe_minigan.Recipe(11, tmp_path)
    other = recipe_torch.Recipe(11, tmp_path)
    latents = np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)
    np.testing.assert_allclose(other.samples(latents), ours.samples(latents), atol=1e-5)
    images = next(ours.trainer.loader)[0]
    np.testing.assert_array_equal(next(other.batches)[0], images)
    scores = ours.trainer.critic(recipe_minigan.Tensor(images)).detach().numpy()
    np.testing.assert_allclose(other.critic(torch.from_numpy(images)).detach().numpy().ravel(), scores, atol=1e-6)
    options, group = ours.trainer.options, other.optim_d.param_groups[0]
    assert (options.lr, options.beta1, options.beta2) == (group["lr"], *group["betas"])
    assert (options.batch_size, options.n_critic, options.gp_weight, options.average, options.steps) == (
        recipe_torch.BATCH,
        recipe_torch.CRITIC_STEPS,
        recipe_torch.GP_WEIGHT,
        recipe_torch.DECAY,
        quality.STEPS,
    )
    before = [p.detach().clone() for p in (*other.generator.parameters(), *other.critic.parameters())]
    other.step()
    after = [*other.generator.parameters(), *other.critic.parameters()]
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert all(moved[:-1]) and other.updates == 1  # the last bias of a critic is in no difference of scores


def test_a_contestant_that_fails_says_why(tmp_path, monkeypatch):
    monkeypatch.setitem(quality.RECIPES, "minigan", "no_such_recipe")
    with pytest.raises(WorkerError, match="no_such_recipe"):
        quality.Racer("minigan", 11, 1, tmp_path)


def test_the_command(tmp_path, monkeypatch):
    """Seeds from 11 on, a file, a table; contestants and judge are stand-ins."""

    class Stand(Fake):
        def __init__(self, name, seed, threads, folder):
            super().__init__(name, 0.1, 0.2)

        def close(self):
            pass

    monkeypatch.setattr(quality, "Racer", Stand)
    monkeypatch.setattr(quality, "DigitsJudge", FakeJudge)
    monkeypatch.setattr(quality.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(quality, "machine", lambda names, threads: MACHINE)
    result = CliRunner().invoke(main, ["bench", "quality", "--quick", "--seeds", "2", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out" / "bench-quality.json").read_text())
    assert list(figures["seeds"]) == ["11", "12"] and "seeds 11, 12; 4 generator steps each" in result.output
    monkeypatch.setattr(quality.importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["bench", "quality", "--quick", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and "torch is not installed" in result.output
