"""GANs of points: every trick trains and is what it says, a run is a function of its seed, the command, bad input, the
scoreboard's cells."""

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.gan.toy import TRICKS, ToyTrainer, cells, options_for, scoreboard
from minigan.gan.toy import data as toydata
from minigan.gan.toy import trainer as toy
from minigan.gan.train import TrainingError

TINY = {"steps": 3, "batch_size": 16, "width": 8, "depth": 2, "unroll": 2}


def run(*args: str):
    return CliRunner().invoke(main, list(args))


def trained(*args, **changes) -> ToyTrainer:
    trainer = ToyTrainer(options_for(*args, **{**TINY, **changes}))
    list(trainer.train(1))
    return trainer


@pytest.mark.parametrize("trick", TRICKS)
def test_every_trick_trains(trick):
    """Weights of both players move and stay finite, samples have the data's units, scores exist."""
    options = options_for("grid", "non-saturating", trick, **TINY)
    fresh, after = ToyTrainer(options), trained("grid", "non-saturating", trick)
    for before, network in ((fresh.generator, after.generator), (fresh.critic, after.critic)):
        pairs = list(zip(before.parameters(), network.parameters(), strict=True))
        assert any((a.data != b.data).any() for a, b in pairs) and all(np.isfinite(b.data).all() for _, b in pairs)
    assert after.sample(10).shape == (10, 2)
    assert {"modes", "high_quality", "reverse_kl", "w1"} <= after.figures().keys()


@pytest.mark.parametrize("trick", scoreboard.TRICKS)
def test_the_device_holds_the_arrays(trick, device):
    """Networks and batches lie on the device, gradients of a step equal the CPU's, samples and landscape come back.
    (Small rates, since Adam's first step is the gradient's sign, even where that is only rounding.)"""
    loss = "wasserstein" if trick == "gp" else "non-saturating"
    rates = {"lr_d": 1e-6, "lr_g": 1e-6}
    ours, theirs = (trained("ring", loss, trick, steps=1, device=name, **rates) for name in ("cpu", device))
    for a, b in ((ours.generator, theirs.generator), (ours.critic, theirs.critic)):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert q.device == device
            np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=1e-4, atol=2e-5)
    assert theirs.real.device == device
    np.testing.assert_allclose(theirs.sample(20), ours.sample(20), atol=1e-4)
    if trick != "minibatch":
        x = np.random.default_rng(0).standard_normal((5, 2))
        np.testing.assert_allclose(theirs.landscape(x)[1], ours.landscape(x)[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", ["wasserstein", "ebgan", "f-pearson", "margin"])
def test_any_loss_trains(loss):
    trainer = trained("moons", loss, "gp" if loss == "wasserstein" else None)
    assert np.isfinite(trainer.sample(5)).all()


@pytest.mark.parametrize("trick", scoreboard.TRICKS)
def test_a_seed_is_a_run(trick):
    """Equal seeds give equal critics and samples to the bit, whatever was drawn before; other seeds give others."""
    loss = "wasserstein" if trick == "gp" else "hinge"
    runs = [trained("ring", loss, trick, seed=s) for s in (0, 0, 1)]
    a, b, c = (r.sample(50) for r in runs)
    assert (a == b).all() and (a != c).any()
    assert all((p.data == q.data).all() for p, q in zip(*(r.critic.parameters() for r in runs[:2]), strict=True))


def test_critics_inputs():
    """A packing critic takes m points at once; the unrolled generator's gradient is not the plain one."""
    packed = trained("ring", "gan", "packing", pack=4)
    assert next(packed.critic.parameters()).shape == (8, 8)
    with pytest.raises(ValueError, match="judges a whole batch"):
        trained("ring", "gan", "minibatch").landscape(np.zeros((2, 2)))
    plain, ahead = trained("ring", "gan"), trained("ring", "gan", "unrolled")
    pairs = zip(plain.generator.parameters(), ahead.generator.parameters(), strict=True)
    assert any((a.data != b.data).any() for a, b in pairs)


def test_the_landscape_s_gradient_is_its_slope():
    """D's gradient by autograd against central differences, in the data's units; tolerance: float32 over a step of 1e-2
    on a piecewise linear critic."""
    trainer, step = trained("grid", "wgan-gp", steps=20), 1e-2
    x = np.array([[0.3, -1.2], [2.1, 3.3], [-4.0, 0.7]])
    _, slope = trainer.landscape(x)
    for axis in (0, 1):
        e = step * np.eye(2)[axis]
        difference = (trainer.landscape(x + e)[0] - trainer.landscape(x - e)[0]) / (2 * step)
        assert slope[:, axis] == pytest.approx(difference, abs=5e-3)


def test_scatter_in_odd_units(tmp_path):
    """Points far from the origin, of very different scales, come back in their own units."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", rng.standard_normal((500, 2)) * [1e-3, 1e4] + [1e3, -1e6])
    samples = trained(str(tmp_path / "x.npz"), "wgan-gp").sample(200)
    assert (abs(samples.mean(0) - [1e3, -1e6]) < [0.01, 1e5]).all()


def test_training_finds_the_ring():
    """300 steps of the default recipe, a fiftieth of its budget: W1 falls below half of what untrained samples have."""
    options = options_for("ring", "wgan-gp", steps=300, batch_size=128, width=64, depth=3)
    trainer = ToyTrainer(options)
    before = trainer.figures()["w1"]
    list(trainer.train(100))
    assert trainer.figures()["w1"] < before / 2


@pytest.mark.filterwarnings("error")
def test_diverging_rates_are_an_error():
    """One error, and none of NumPy's warnings beside it."""
    with pytest.raises(TrainingError, match="no longer finite"):
        trained("ring", "wgan-gp", lr_d=1e18, lr_g=1e18, steps=40)


def test_command(tmp_path):
    """The run's figures are the last line; pictures and animation are there; a second run may overwrite the first."""
    out = tmp_path / "t"
    for _ in range(2):
        result = run("toy", "ring", "--steps", "4", "--batch-size", "16", "--seed", "3", "--out", str(out), "--json")
        assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert 0 <= figures["high_quality"] <= 1 and figures["modes"] <= 8 and figures["seed"] == 3
    assert "step" not in result.stderr + result.stdout.splitlines()[-2]  # no terminal, so no bar
    for name in ("samples.png", "curves.png", "training.gif"):
        with Image.open(out / name) as image:
            assert min(image.size) > 200
    with Image.open(out / "training.gif") as image:
        assert image.n_frames == 4
    assert (out / "training.gif").stat().st_size < 4 * 25_000
    judged = json.loads(run("eval", str(out), "--json").stdout.splitlines()[-1])
    assert judged == {k: v for k, v in figures.items() if k in judged} and judged["samples"] == toydata.SAMPLES
    assert {"modes", "high_quality", "reverse_kl", "w1"} <= judged.keys()
    (out / "generator.safetensors").unlink()
    refused = run("eval", str(out))
    assert refused.exit_code == 1 and "holds no toy run that can be judged" in refused.output


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["rign"], "did you mean 'ring'"),
        (["ring", "--trick", "pakcing"], "did you mean 'packing'"),
        (["nowhere.csv"], "nowhere.csv"),
        (["text.csv"], "line 2"),
        (["ring", "--loss", "wgan-pg"], "wgan-gp"),
        (["ring", "--loss", "hinge", "--trick", "unroled"], "unrolled"),
        (["ring", "--loss", "wgan-gp", "--trick", "packing"], "for packing take --loss wasserstein"),
        (["ring", "--loss", "wasserstein", "--trick", "unrolled"], "clip does not go with unrolled"),
        (["ring", "--loss", "gan", "--trick", "packing", "--pack", "3"], "batch that they divide"),
        (["ring", "--steps", "0"], "steps must be at least 1"),
        (["ring", "--gp-weight", "nan"], "gp_weight"),
        (["ring", "--out", "taken"], "already holds something"),
    ],
    ids=" ".join,
)
def test_bad_input(args, match, tmp_path, monkeypatch):
    """One clear error, no traceback, nothing written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    (tmp_path / "text.csv").write_text("1,2\n3,four\n")
    result = run("toy", *args)
    assert result.exit_code in (1, 2) and match in result.output and "Traceback" not in result.output, result.output
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "taken", "text.csv"]


def test_an_earlier_run_is_not_lost(tmp_path, monkeypatch):
    """Another run does not take its folder; the same one writes the same again."""
    monkeypatch.setattr(toydata, "W1_SAMPLES", 50)
    words = ["toy", "ring", "--steps", "1", "--batch-size", "8", "--out", str(tmp_path / "run")]
    assert run(*words).exit_code == 0
    before = (tmp_path / "run" / "generator.safetensors").read_bytes()
    refused = run(*words[:1], "moons", *words[2:])
    assert refused.exit_code == 2 and "already holds a toy run of other options" in refused.output
    assert (tmp_path / "run" / "generator.safetensors").read_bytes() == before
    assert run(*words).exit_code == 0 and (tmp_path / "run" / "generator.safetensors").read_bytes() == before


def test_the_scoreboard_resumes(tmp_path, monkeypatch):
    """Cells that are there are not run again; a damaged one and a missing one are; the table is the same."""
    monkeypatch.setattr(toydata, "W1_SAMPLES", 100)  # of 1,000: cells cost little else here
    changes = {"losses": ("minimax", "wasserstein"), "steps": 2, "seeds": 2, "best": 1, "width": 8, "batch_size": 8}
    first = scoreboard.run("quick", tmp_path, **changes)
    files = sorted(p for p in tmp_path.glob("*.json") if p.name != "scoreboard.json")
    assert len(files) == (6 + 5) * 2 + 2  # Wasserstein with unrolled is refused
    ran = []
    monkeypatch.setattr(cells, "ToyTrainer", lambda options: ran.append(options) or ToyTrainer(options))
    files[0].unlink()
    files[1].write_text(files[1].read_text()[:40])
    second = scoreboard.run("quick", tmp_path, **changes)
    assert len(ran) == 2
    for a, b in zip(first["rows"], second["rows"], strict=True):
        assert (
            a["modes"] == b["modes"] if a["refused"] is None else "clip" in a["refused"] and "unrolled" in b["refused"]
        )
    assert json.loads((tmp_path / "scoreboard.json").read_text())["published"][0][2] == 6.3
    assert not [p for p in os.listdir(tmp_path) if p.endswith(".tmp")]
    assert "published" in scoreboard.text(second)
    page = (tmp_path / "scoreboard.md").read_text()
    assert page == scoreboard.markdown(second) and page.count("\n| ring |") == 12 + 4 + 2 + len(second["orderings"])


def test_the_scoreboard_command(tmp_path, monkeypatch):
    """Cells are run, not refused; only the setting's size is changed here. An unknown device is an error."""
    monkeypatch.setattr(toydata, "W1_SAMPLES", 100)
    tiny = scoreboard.Setting(("wasserstein",), 2, 2, 1, {"width": 8, "batch_size": 8})
    monkeypatch.setitem(scoreboard.SETTINGS, "quick", tiny)
    result = run("scoreboard", "--quick", "--jobs", "1", "--seeds", "1", "--out", str(tmp_path / "s"), "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert [r["trick"] for r in figures["rows"] if r["refused"]] == ["unrolled"] and figures["seeds"] == 1
    assert all("modes" in r for r in figures["rows"] if not r["refused"])
    refused = run("scoreboard", "--quick", "--device", "gpu", "--out", str(tmp_path / "t"))
    assert refused.exit_code == 2 and "unknown device 'gpu'" in refused.output and not (tmp_path / "t").exists()


def test_cells_side_by_side(tmp_path, monkeypatch):
    """Two processes of one thread give the figures that one gives."""
    monkeypatch.setattr(toydata, "W1_SAMPLES", 1000)  # as in the processes, which conftest.py does not reach
    monkeypatch.setattr(scoreboard, "TRICKS", ("plain", "packing"))
    changes = {"losses": ("non-saturating",), "steps": 2, "seeds": 1, "best": 1, "width": 8, "batch_size": 8}
    one, two = (scoreboard.run("quick", tmp_path / str(jobs), jobs=jobs, **changes) for jobs in (1, 2))
    timeless = [[{k: v for k, v in r.items() if k != "seconds"} for r in f["rows"]] for f in (one, two)]
    assert timeless[0] == timeless[1]
    assert {(r["data"], r["trick"]) for r in one["rows"]} >= {("grid", "plain"), ("grid", "packing")}


def test_a_diverged_cell_is_a_result(tmp_path):
    options = options_for("ring", "minimax", **{**TINY, "lr_d": 1e30, "lr_g": 1e30, "steps": 30})
    figures = cells.cell(options, tmp_path)
    assert "no longer finite" in figures["diverged"] and figures["modes"] == 0 and figures["reverse_kl"] is None


def test_intervals():
    """Student's: 1, 2, 3 has mean 2 and half width 4.303 / sqrt 3; one value has none."""
    assert cells.interval([1, 2, 3]) == (2.0, pytest.approx(4.3027 / 3**0.5, abs=1e-3))
    assert cells.interval([4]) == (4.0, None)


def test_orderings_are_judged_by_the_interval_of_the_difference():
    """Welch's: (6, 7, 8) and (8, 8, 9) differ by 1.33 +- 2.05; equal seeds need no interval."""

    def row(trick, modes):
        values = {"modes": modes, "reverse_kl": [], "w1": [], "high_quality": []}
        return {"data": "ring", "loss": "minimax", "trick": trick, "refused": None, "values": values}

    def judged(plain, packing):
        return scoreboard.orderings([row("plain", plain), row("packing", packing)])[0]

    assert judged([6, 7, 8], [8, 8, 9])["verdict"] == "not separated"
    low, high = judged([6, 7, 8], [8, 8, 9])["difference"]
    assert (low + high) / 2 == pytest.approx(4 / 3, abs=1e-4) and (high - low) / 2 == pytest.approx(2.05, abs=0.02)
    assert judged([5, 6, 6], [8, 8, 9])["verdict"] == "reproduced"
    assert judged([8, 8, 8], [5, 6, 6])["verdict"] == "reversed"
    assert judged([7, 7, 7], [8, 8, 8])["verdict"] == "reproduced"
    assert judged([8, 8, 8], [8, 8, 8])["verdict"] == "not separated"
    assert not scoreboard.orderings([row("plain", [7]), row("packing", [8])])
    plain, packing = row("plain", [6, 7, 8, 8]), row("packing", [8, 8, 9, 9])
    plain["values"]["reverse_kl"], packing["values"]["reverse_kl"] = [0.30, 0.31], [0.50, 0.52, 0.55, 0.50]
    assert len(scoreboard.orderings([plain, packing])) == 1  # two of plain's runs have none: it is infinite


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("name", "modes", "least"), [("ring", 8, 0.95), ("grid", 25, 0.80)])
def test_the_default_budget_reaches_its_goal(name, modes, least, seed):
    """The default run of `minigan toy`: every mode, and the share of high quality that is aimed at."""
    trainer = ToyTrainer(toy.ToyOptions(data=name, seed=seed))
    list(trainer.train(1000))
    figures = toydata.scores(trainer.sample(toydata.SAMPLES), trainer.points)
    assert figures["modes"] == modes and figures["high_quality"] >= least


@pytest.mark.parametrize(
    ("words", "idle"),
    [
        (["--pack", "3"], "pack"),
        (["--unroll", "3"], "unroll"),
        (["--loss", "gan", "--gp-weight", "3"], "gp_weight"),
        (["--loss", "minimax", "--trick", "leaky", "--gp-weight", "7"], "gp_weight"),
        (["--published", "--loss", "gan", "--pack", "3"], "pack"),
    ],
)
def test_an_option_that_the_trick_does_not_read_is_refused(words, idle, tmp_path):
    result = CliRunner().invoke(main, ["toy", "ring", "--steps", "1", *words, "--out", str(tmp_path / "toy")])
    assert result.exit_code == 2 and f"option '{idle}' means nothing with trick" in result.output
    assert not (tmp_path / "toy").exists()


def test_a_mean_is_of_all_runs_or_there_is_none():
    """Reverse KL is infinite where no sample is good; the other seeds' mean would be no mean of the row."""
    figures = [{"modes": 8, "reverse_kl": kl, "diverged": None, "seconds": 1.0} for kl in (0.1, None, 0.3)]
    rows = scoreboard._rows("ring", [("minimax", "plain")], scoreboard.Setting((), 3, 1, 1, {}), lambda runs: figures)
    assert rows[0]["reverse_kl"] is None and rows[0]["modes"] == (8.0, 0.0)


@pytest.mark.parametrize("name", ["moons", "file"])
def test_several_runs_of_points_without_modes(name, tmp_path, monkeypatch):
    """W1 is their figure; a file by any path, and trained anew where its points have changed."""
    monkeypatch.setattr(toydata, "W1_SAMPLES", 50)
    points = np.random.default_rng(0).normal(size=(60, 2))
    path = tmp_path / "mine.csv"
    np.savetxt(path, points, delimiter=",")
    words = [str(path) if name == "file" else name, "--seeds", "1,2", "--steps", "2", "--batch-size", "8"]
    words = ["toy", *words, "--jobs", "1", "--out", str(tmp_path / "out"), "--json"]
    first, again = (json.loads(run(*words).stdout.splitlines()[-1]) for _ in range(2))
    assert list(first["means"]) == ["w1"] and len(first["runs"]) == 2 and first == again
    if name == "file":
        np.savetxt(path, 3 * points, delimiter=",")
        assert json.loads(run(*words).stdout.splitlines()[-1])["runs"] != first["runs"]
