"""Runs that were stopped, killed or damaged: what goes on equals what was never stopped, and one run hides no other."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from minigan import checkpoint
from minigan.cli import main
from minigan.gan import run as runs
from minigan.gan import writing
from minigan.gan.run import Run, Stopped, list_runs, read_stats
from minigan.gan.systems.table import options_for
from minigan.gan.train import Trainer


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A row every four steps, a checkpoint every three; nothing is judged or drawn, which other tests look at."""
    monkeypatch.setattr(runs, "TICK", 4)
    monkeypatch.setattr(runs, "SNAP", 3)
    monkeypatch.setattr(Run, "_save_fakes", lambda *_: None)
    monkeypatch.setattr(Run, "_close", lambda self: {"run": str(self.folder), "steps": self.trainer.steps_done})


def tiny(steps: int):
    return options_for("wgan-gp", steps=steps, batch_size=2, base=1, n_critic=1, latent=2, capture=False)


@pytest.fixture
def stop_after(monkeypatch):
    """stop_after(n, number): the signal comes during step n."""
    original = Trainer.step

    def set_up(n: int, number: int = signal.SIGINT) -> None:
        def step(self):
            if self.steps_done + 1 == n:
                os.kill(os.getpid(), number)
            return original(self)

        monkeypatch.setattr(Trainer, "step", step)

    return set_up


def figures(folder) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_stats(folder)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "TICK", 4)
        patch.setattr(Run, "_save_fakes", lambda *_: None)
        patch.setattr(Run, "_close", lambda self: None)
        Run.create(tiny(10), folder).train()
    return figures(folder)


@pytest.mark.parametrize("stops", [(4,), (2, 5)])
def test_the_rows_of_a_stopped_run_are_those_of_a_whole_one(tmp_path, stop_after, whole, stops):
    """A tick's row is the mean over all of its steps, whichever of them a signal came in."""
    folder = tmp_path / "run"
    for k, n in enumerate(stops):
        stop_after(n)
        with pytest.raises(Stopped):
            (Run.resume(str(folder)) if k else Run.create(tiny(10), folder)).train()
    stop_after(0)
    Run.resume(str(folder)).train()
    assert figures(folder) == whole
    assert [row["step"] for row in whole] == [4, 8, 10]


def test_a_signal_in_the_last_step_stops_too(tmp_path, stop_after):
    """Whoever asks for an end does not wait until the run is judged."""
    stop_after(10)
    with pytest.raises(Stopped):
        Run.create(tiny(10), tmp_path / "run").train()
    assert checkpoint.latest(tmp_path / "run").step == 10


def test_a_killed_run_writes_no_row_twice(tmp_path, monkeypatch, stop_after, whole):
    """Killed after step 8, with the checkpoint of step 6: the rows after it come again, and stand there once."""
    folder = tmp_path / "run"

    class Kill(BaseException):
        pass

    original = Trainer.step

    def step(self):
        if self.steps_done == 8:
            raise Kill
        return original(self)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(Kill):
        Run.create(tiny(10), folder).train()
    with open(folder / "stats.jsonl", "a") as file:
        file.write('{"step": 9, "d_lo')
    monkeypatch.setattr(Trainer, "step", original)
    Run.resume(str(folder)).train()
    assert figures(folder) == whole
    assert [json.loads(line)["step"] for line in (folder / "stats.jsonl").read_text().splitlines()] == [4, 8, 10]


def test_a_longer_run_has_the_row_of_the_whole_tick(tmp_path, whole):
    folder = tmp_path / "run"
    Run.create(tiny(6), folder).train()
    Run.resume(str(folder), steps=10).train()
    assert [row for row in figures(folder) if row["step"] != 6] == whole


def test_a_full_disk_names_the_file_and_how_to_go_on(tmp_path, monkeypatch, whole):
    """A limit on the size of files stands for a full disk: the second row of stats.jsonl does not fit."""
    folder = tmp_path / "run"
    original = writing.append_line

    def full(path, line):
        if path.name == "stats.jsonl" and '"step": 8' in line:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 9, hard))
            try:
                original(path, line)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        original(path, line)

    monkeypatch.setattr(writing, "append_line", full)
    words = rf"cannot write {folder}/stats.jsonl: .*; free some space, .*go on with: minigan train --resume {folder}"
    with pytest.raises(OSError, match=words):
        Run.create(tiny(10), folder).train()
    monkeypatch.setattr(writing, "append_line", original)
    Run.resume(str(folder)).train()
    assert figures(folder) == whole


STRANGE = ["[1]", "5", "null", '"x"', "{}", '{"step": "4"}', '{"step": -4, "d_loss": 1}', '{"step": 1, "d_loss": "x"}']
STRANGE += ['{"step": 1, "d_loss": [1]}', '{"step": true}', '{"step": 1e400, "d_loss": 1}', "[" * 9999, "\x00", "{\xff"]
STRANGE += ['{"step": 2, "d_loss": 1' + "0" * 400 + "}", '{"step": 2, "d_loss": null}']


def test_strange_rows_are_told_at_the_start_and_harm_nothing(tmp_path, monkeypatch, capsys, whole):
    folder = tmp_path / "run"
    Run.create(tiny(6), folder).train()
    lines = (folder / "stats.jsonl").read_bytes().splitlines()
    text = b"\n".join([line.encode("latin-1") for line in STRANGE] + lines) + b"\n"
    (folder / "stats.jsonl").write_bytes(text)
    assert len(read_stats(folder)) == len(lines)
    monkeypatch.undo()
    monkeypatch.setattr(Trainer, "observe", lambda *_, **__: (_ for _ in ()).throw(ValueError("not judged here")))
    run = Run.resume(str(folder), steps=7)
    assert "lines 1, 2, 3" in capsys.readouterr().out
    run.train()
    assert (folder / "curves.png").exists()
    assert (folder / "stats-damaged.jsonl").read_bytes() == text


def test_a_kill_between_the_two_renames_leaves_no_pending_file(tmp_path, monkeypatch):
    """Also where it was the last save, and no later one tidies up: going on with the run does."""
    folder = tmp_path / "run"
    Run.create(tiny(3), folder).train()
    path = folder / "checkpoint-000003.json"
    os.replace(path.with_suffix(".safetensors"), checkpoint._pending(path))
    (folder / "checkpoint-000001.safetensors").write_bytes(b"its JSON file was removed, then the process was killed")
    (folder / "checkpoint-best.safetensors").write_bytes(b"a user's own")
    (folder / f".fakes000003.png.{2**22 + 1}.tmp").write_bytes(b"of a process that is no more")
    Run.resume(str(folder)).train()
    names = {p.name for p in folder.iterdir() if "checkpoint" in p.name or p.name.startswith(".")}
    assert names == {"checkpoint-000003.json", "checkpoint-000003.safetensors", "checkpoint-best.safetensors"}


DAMAGE = {
    "training_options.json": (
        *("", "{", "[]", "5", "null", '{"system": 1}', '{"system": [], "data": {}, "steps": "x"}', "\xff", "[" * 9999),
        *('{"system": "dcgan", "data": "digits", "steps": null}', '{"system": "a", "data": "b", "steps": -1}'),
    ),
    "metric-classifier.jsonl": (
        *("", "{", "[]", "5", '{"results": 5}', '{"results": {"confident": "x"}}', "\xff", "[" * 9999),
        *('{"results": {"confident": null}}', '{"results": {"confident": [1]}}', '{"step": 1}\n{"res'),
    ),
}


def test_a_damaged_run_hides_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = '{"system": "dcgan", "data": "digits", "steps": 9}'
    metric = '{"step": 9, "results": {"confident": 0.5}}\n'
    cases = [(name, text) for name, texts in DAMAGE.items() for text in texts]
    for k, (name, text) in enumerate([*cases, ("metric-classifier.jsonl", metric + "{")]):
        folder = tmp_path / "runs" / f"{k:02}"
        folder.mkdir(parents=True)
        (folder / "training_options.json").write_text(options)
        (folder / name).write_bytes(text.encode("latin-1"))
    (folder.with_name("link")).symlink_to("nowhere")
    (tmp_path / "runs" / "odd" / "training_options.json").mkdir(parents=True)
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()  # Python itself may have something to say of brackets 9,999 deep, in stderr
    assert len(list_runs()) == len(lines) == len(cases) + 1
    assert "50.0% confident" in lines[-1]
    assert sum("is damaged" in line for line in lines) == len(DAMAGE["training_options.json"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_results_stopped_by_a_signal(tmp_path, monkeypatch, stop_after, number, code):
    """As `train` does: a checkpoint, one line, the signal's status; called again, it goes on."""
    monkeypatch.chdir(tmp_path)
    stop_after(2, number)
    words = ["results", "gan", "--seeds", "1", "--steps", "3"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    assert "stopped at step 2" in result.output and "Traceback" not in result.output
    assert checkpoint.latest(tmp_path / "results" / "gan-1").step == 2


DOUBLE = """
import os, signal, sys
from minigan.gan._stopper import Stopper
first, second = map(int, sys.argv[1:])
with Stopper() as stopper:
    signal.pthread_sigmask(signal.SIG_BLOCK, {first, second})
    os.kill(os.getpid(), first)
    os.kill(os.getpid(), second)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {first, second})
    print("looked at", stopper.number, flush=True)
    os.kill(os.getpid(), second)
"""


@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)], ids=str
)
def test_two_signals_at_once_lose_none(first, second):
    """Both are there before Python looks: the second acts, at the latest when it comes again, and no traceback but that
    of Ctrl-C is printed."""
    command = [sys.executable, "-c", DOUBLE, str(int(first)), str(int(second))]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.returncode in (-first, -second), process.stderr
    assert "race condition" not in process.stderr
