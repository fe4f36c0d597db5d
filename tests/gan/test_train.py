"""Training: bit-for-bit resumption and repetition, stopping, non-finite numbers, the files of a run, checkpoints into
PyTorch."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigan as mg
from minigan import checkpoint, data, kernels, viz
from minigan.gan import run as runs
from minigan.gan.records import read_looks, read_norms
from minigan.gan.run import Run, list_runs, load_generator, read_stats
from minigan.gan.systems import SYSTEMS, options_for, trainer_for
from minigan.gan.train import Trainer, TrainingError

SMALL = {"batch_size": 8, "base": 4, "latent": 8, "size": 32}


def small(system="wgan-gp", **changes):
    return options_for(system, **(SMALL | {"steps": 4} | changes))


def state_of(trainer: Trainer) -> dict[str, bytes]:
    arrays, rest = trainer.state()
    return {**{k: v.tobytes() for k, v in arrays.items()}, "rest": json.dumps(rest, sort_keys=True).encode()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_resume_is_bit_for_bit(system, tmp_path):
    """Six steps at once equal three, a checkpoint, a fresh process' worth of objects, and three more: weights, moments,
    data order, random numbers. With some 300 images and batches of 150 the cut falls inside the second epoch."""
    batch = 150 if system == "wgan-gp" else 4
    wanted = {"steps": 6, "batch_size": batch, "base": 1, "n_critic": 1, "latent": 8}
    options = options_for(system, **{k: v for k, v in wanted.items() if k in SYSTEMS[system].takes})
    dataset, half = data.load(options.data), options.steps // 2
    dataset = replace(dataset, train=dataset.train[:: len(dataset.train) // 300])
    whole = trainer_for(options, dataset)
    for _ in range(options.steps):
        whole.step()
    first = trainer_for(options, dataset)
    for _ in range(half):
        first.step()
    arrays, rest = first.state()
    found = checkpoint.load(checkpoint.save(tmp_path, half, arrays, rest))
    second = trainer_for(options, dataset)
    second.restore(found.arrays, found.state)
    for _ in range(half):
        second.step()
    assert state_of(whole) == state_of(second)
    assert state_of(whole) != state_of(first)


def test_threads_and_repetition_change_nothing():
    """The same seed on 1, 2 and 4 threads, and again on 2, gives the same bits; another seed does not."""
    results = []
    dataset = data.load("digits")
    before = kernels.load.get_num_threads()
    try:
        for threads, seed in ((1, 0), (2, 0), (4, 0), (2, 0), (2, 1)):
            kernels.load.set_num_threads(threads)
            trainer = Trainer(small(seed=seed, batch_size=32, base=16), dataset)
            for _ in range(2):
                trainer.step()
            results.append(state_of(trainer))
    finally:
        kernels.load.set_num_threads(before)
    assert results[0] == results[1] == results[2] == results[3]
    assert results[4] != results[0]


@pytest.mark.parametrize("broken", ["critic", "generator"])
def test_non_finite_numbers_are_named_before_anything_moves(broken):
    """A NaN that appears in a weight is named with its step and op, and no weight moves."""
    trainer = Trainer(small(), data.load("digits"))
    trainer.step()
    network = trainer.networks()[broken]
    weight = next(p for p in network.parameters() if p.ndim == 4)
    weight.data.flat[0] = np.nan
    before = {
        k: v for k, v in state_of(trainer).items() if "running" not in k and "num_batches" not in k and k != "rest"
    }
    op = "conv2d" if broken == "critic" else "conv_transpose2d"
    with pytest.raises(TrainingError, match=rf"step 2, critic step 1 of 5: {op} made NaN"):
        trainer.step()
    assert before == {k: v for k, v in state_of(trainer).items() if k in before}


def test_the_schedule_is_the_algorithm_s():
    """n_critic critic steps on a batch each, then one generator step on none."""
    trainer = Trainer(small(n_critic=3), data.load("digits"))
    names = [half_step.name for half_step in trainer.half_steps()]
    assert names == ["critic step 1 of 3", "critic step 2 of 3", "critic step 3 of 3", "generator step"]
    assert [h.player for h in trainer.half_steps()] == [trainer.players["critic"]] * 3 + [trainer.players["generator"]]
    for _ in range(2):
        trainer.step()
    assert trainer.loader.step == 6 and trainer.random["latent_d"].step == 6 and trainer.random["latent_g"].step == 2


def test_a_failed_half_step_draws_nothing():
    """Data and random numbers stand where they stood before it, so the same error comes again."""
    trainer = Trainer(small(), data.load("digits"))
    trainer.step()
    next(p for p in trainer.critic.parameters() if p.ndim == 4).data.flat[0] = np.nan
    counters = trainer.state()[1]["counters"]
    for _ in range(2):
        with pytest.raises(TrainingError, match="step 2, critic step 1 of 5"):
            trainer.step()
        assert trainer.state()[1]["counters"] == counters


def test_overflow_in_a_gradient_is_named():
    """Finite losses with an infinite gradient are caught as well: the op of the backward pass is named."""
    trainer = Trainer(small("dcgan"), data.load("digits"))

    def compute():
        p = trainer.optim_d.param_groups[0]["params"][0]
        return mg.sqrt((p * 0.0).sum()), {}

    trainer.critic_loss = compute
    with pytest.raises(TrainingError, match=r"div made an infinity .* in the gradient of sqrt"):
        trainer.step()


def test_run_folder(tmp_path, monkeypatch, capsys):
    """Names, numbering, contents: options, log, stats, grids of the right size, checkpoints (the newest three),
    animation, curves, metric."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "SNAP", 2)
    monkeypatch.setattr(runs, "TICK", 2)
    monkeypatch.setattr(runs, "METRIC_SAMPLES", 100)
    figures = Run.create(small(steps=9)).train()
    folder = Path("runs/00000-wgan-gp-digits")
    assert Path(figures["run"]) == folder and figures["samples"] == 100
    assert json.loads((folder / "training_options.json").read_text())["batch_size"] == 8
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [
            "training_options.json",
            "status.json",
            "log.txt",
            "stats.jsonl",
            "norms.jsonl",
            "reals.png",
            "fakes_init.png",
            "training.gif",
            "curves.png",
        ]
        + ["metric-classifier.jsonl"]
        + [f"fakes{n:06d}.png" for n in (2, 4, 6, 8, 9)]
        + [f"checkpoint-{n:06d}.{e}" for n in (6, 8, 9) for e in ("json", "safetensors")]
    )
    assert [row["step"] for row in read_stats(folder)] == [2, 4, 6, 8, 9]
    assert {"d_loss", "g_loss", "critic_estimate", "gradient_norm", "penalty", "g_weight_gradient"} < read_stats(
        folder
    )[0].keys()
    for row in read_stats(folder):  # what D minimises has the penalty in it
        assert row["d_objective"] == pytest.approx(row["d_loss"] + 10 * row["penalty"], abs=1e-5) != row["d_loss"]
        assert "g_objective" not in row
    with Image.open(folder / "fakes000009.png") as image:
        assert image.size == (8 * 66 + 2, 8 * 66 + 2)
    with Image.open(folder / "training.gif") as gif:
        assert gif.n_frames == 6
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("reached step 9 in") and "classes present" in last
    assert Run.create(small("dcgan", steps=1)).folder == Path("runs/00001-dcgan-digits")
    rows = list_runs("runs")
    assert [(r["run"], r["steps_done"]) for r in rows] == [("00000-wgan-gp-digits", 9), ("00001-dcgan-digits", 0)]


def test_resume_goes_on_in_the_same_folder(tmp_path, capsys):
    """Steps is the total; logs are appended; a second resume with nothing to do only closes; a damaged checkpoint is
    passed over."""
    out = tmp_path / "run"
    Run.create(small(steps=2), out).train()
    Run.resume(str(out), steps=4).train()
    assert [row["step"] for row in read_stats(out)] == [2, 4]
    assert [(r["steps_done"], r["steps"]) for r in list_runs(tmp_path)] == [(4, 4)]
    newest = out / "checkpoint-000004.safetensors"
    raw = bytearray(newest.read_bytes())
    raw[-5] ^= 1
    newest.write_bytes(raw)
    with pytest.warns(UserWarning, match=r"checkpoint-000004.*damaged"):
        run = Run.resume(str(out))
    assert run.trainer.steps_done == 2
    whole = Trainer(small(steps=4), data.load("digits"))
    for _ in range(2):
        whole.step()
        run.trainer.step()
    for _ in range(2):
        whole.step()
    assert state_of(whole)["generator.main.0.weight"] == state_of(run.trainer)["generator.main.0.weight"]


def test_going_back_sets_later_checkpoints_aside(tmp_path, monkeypatch):
    """From an older FILE the run goes on as if it had never gone further: same bits, later checkpoints kept aside,
    newest rows counted."""
    monkeypatch.setattr(runs, "SNAP", 1)
    monkeypatch.setattr(runs, "TICK", 1)
    out = tmp_path / "run"
    Run.create(small(steps=3), out).train()
    with (out / "metric-classifier.jsonl").open("a") as file:
        file.write('{"step": 1, "by": "eval", "results": {"confident": 0.25}}\n')
    third = checkpoint.load(out / "checkpoint-000003.json").arrays
    Run.resume(str(out / "checkpoint-000001.json"), steps=2).train()
    assert [p.name for p in checkpoint.paths(out)] == ["checkpoint-000002.json", "checkpoint-000001.json"]
    assert [p.name for p in checkpoint.paths(out / "superseded")] == [
        "checkpoint-000003.json",
        "checkpoint-000002.json",
    ]
    assert [row["step"] for row in read_stats(out)] == [1, 2]
    assert list(viz.run_frames(out)) == ["start", "step 1", "step 2"]  # no picture of what was left
    assert [row["step"] for row in read_norms(out)] == [1, 2]
    figures = [json.loads(line)["step"] for line in (out / "metric-classifier.jsonl").read_text().splitlines()]
    assert figures == [1, 2]
    Run.resume(str(out), steps=3).train()
    again = checkpoint.latest(out).arrays
    assert all(third[k].tobytes() == again[k].tobytes() for k in third)
    with pytest.raises(ValueError, match="beyond --steps 2"):
        Run.resume(str(out), steps=2)
    Run.resume(str(out / "checkpoint-000002.json"))  # what was set aside first stays
    assert [p.name for p in checkpoint.paths(out / "superseded-2")] == ["checkpoint-000003.json"]
    assert sorted(viz.run_frames(out / "superseded-2")) == ["step 3"]


def test_the_last_look_of_a_short_run_is_none_of_a_longer_one(tmp_path, monkeypatch):
    """With --stop-when, a run that was to be shorter goes on as the one that was long from the start."""
    monkeypatch.setattr(runs, "SNAP", 3)
    row = SYSTEMS["dcgan"]
    monkeypatch.setattr(row.trainer, "look", lambda self: {"frechet": LOOKS[self.steps_done], "memorised": 0.5})
    options = small("dcgan", base=2, steps=20, stop_when=2)
    for name, lengths in (("long", [20]), ("short", [7, 20])):
        for steps in lengths:
            out = tmp_path / name
            run = Run.resume(str(out), steps=steps) if out.exists() else Run.create(replace(options, steps=steps), out)
            run.train()
    assert [row["step"] for row in read_looks(tmp_path / "short")] == [3, 6, 9, 12, 15]
    assert read_looks(tmp_path / "long") == read_looks(tmp_path / "short")
    assert state_of(run.trainer)["rest"] and run.trainer.steps_done == 15
    Run.resume(str(tmp_path / "long"), steps=30).train()
    assert "the stop rule has ended this run" in (tmp_path / "long" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("system", "changes", "says"),
    [
        ("r3gan", {"final_rate": 1.0}, True),
        ("r3gan", {"final_weight": 1.0}, True),
        ("r3gan", {"final_rate": 1.0, "final_weight": 1.0}, False),
        ("dcgan", {"noise": 0.1}, True),
        ("dcgan", {}, False),
    ],
)
def test_another_total_is_another_schedule(system, changes, says, tmp_path, monkeypatch):
    """Where rates, weights or noise fall until the last step, a run that is made longer says that they rise again."""
    monkeypatch.setattr(runs, "SNAP", 1)
    out = tmp_path / "my run"
    Run.create(small(system, steps=1, **changes), out).train()
    run = Run.resume(str(out), steps=2)
    assert ("the schedule is that of 2 steps from here on" in (out / "log.txt").read_text()) == says
    if says:
        steps = run.trainer.options.steps
        rates = []
        for total in (1, steps):
            run.trainer.options = replace(run.trainer.options, steps=total)
            run.trainer.anneal()
            weights = [
                getattr(run.trainer, name).numpy().copy() for name in ("sigma", "gamma") if hasattr(run.trainer, name)
            ]
            rates.append([run.trainer.optim_g.param_groups[0]["lr"], *(w.tolist() for w in weights)])
        assert rates[0] != rates[1]


def test_a_command_to_go_on_with_can_be_pasted(tmp_path, capsys):
    out = tmp_path / "my run"
    run = Run.create(small(steps=3), out)
    run._steps = lambda: signal.SIGINT
    with pytest.raises(runs.Stopped):
        run.train()
    assert f"--resume '{out}'" in capsys.readouterr().out


LOOKS = {3: 10.0, 6: 11.0, 7: 12.0, 9: 9.0, 12: 10.0, 15: 10.0}
"""Step -> held-out distance: the smallest is two looks old at step 15."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_with_a_checkpoint(number, code, tmp_path):
    """The first signal finishes the step, saves, and exits with 128 + its number; what it saved is exact."""
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "minigan",
        "train",
        "--steps",
        "100000",
        "--out",
        str(out),
        "--batch-size",
        "8",
        "--base",
        "4",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if line.startswith("step"):
            break
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == code, rest
    assert "go on with: minigan train --resume" in rest
    found = checkpoint.latest(out)
    whole = Trainer(runs.options_of(found), data.load("digits"))
    for _ in range(found.step):
        whole.step()
    assert all(v.tobytes() == found.arrays[k].tobytes() for k, v in whole.state()[0].items())


def test_second_signal_leaves_at_once(tmp_path):
    """While the first waits for a long step, the second ends the process by the signal itself."""
    script = (
        "import time, sys\nfrom minigan.gan.run import Run\n"
        "from minigan.gan.systems import options_for\nfrom minigan.gan.train import Trainer\n"
        "Trainer.step = lambda self: (print('step', flush=True), time.sleep(60))\n"
        f"Run.create(options_for('wgan-gp', batch_size=8, base=4), {str(tmp_path / 'run')!r}).train()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("step"):
            break
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT


def test_checkpoint_loads_into_torch_and_back(tmp_path, torch):
    """The file's generator, read by safetensors' torch API, is a torch.nn.Sequential's state dict; torch's own goes
    back in."""
    from safetensors.torch import load_file

    out = tmp_path / "run"
    Run.create(small(steps=1), out).train()
    raw = load_file(out / "checkpoint-000001.safetensors")
    weights = {k.removeprefix("average.main."): v for k, v in raw.items() if k.startswith("average.main.")}
    model = torch.nn.Sequential(
        torch.nn.ConvTranspose2d(8, 16, 4, 1, 0, bias=False),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(4, 1, 4, 2, 1),
        torch.nn.Tanh(),
    ).eval()
    model.load_state_dict(weights)
    generator, _, _ = load_generator(str(out))
    z = np.random.default_rng(0).standard_normal((4, 8)).astype("f")
    with torch.no_grad():
        expected = model(torch.tensor(z)[:, :, None, None]).numpy()
    np.testing.assert_allclose(generator(mg.tensor(z)).data, expected, rtol=1e-4, atol=1e-5)
    generator.main.load_state_dict({k: v.numpy() for k, v in model.state_dict().items()})


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    """When a write is refused for want of room it is owed: the checkpoint before is whole until there is room again."""
    out = tmp_path / "run"
    run = Run.create(small(steps=1), out)
    run.train()
    run.trainer.step()
    real_fsync = os.fsync

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    run._save()
    monkeypatch.setattr(os, "fsync", real_fsync)
    assert checkpoint.latest(out).step == 1
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
    run.writer.require(1)
    assert checkpoint.latest(out).step == 2


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"lr": float("nan")}, "lr must be positive"),
        ({"data": "digit"}, "did you mean 'digits'"),
        ({"device": "cuda"}, "cuda"),
        ({"loss": "hing"}, "unknown loss"),
        ({"critic_norm": True}, "no gradient per sample"),
        ({"batch_size": 10**6}, "batch size"),
        ({"size": 48}, "power of two"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_options_leave_no_folder(changes, match, tmp_path):
    """One clear error, and nothing half-made."""
    with pytest.raises((ValueError, RuntimeError), match=match):
        Run.create(options_for("wgan-gp", **changes), root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
