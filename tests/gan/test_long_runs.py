"""Long runs: disks that fill up, folders that go away, clocks that jump; and what runs say meanwhile."""

import errno
import io
import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tqdm import tqdm

from minigan import _files, checkpoint, viz
from minigan._files import claimed
from minigan._terminal import progress_bar
from minigan.cli import main
from minigan.gan import disk, writing
from minigan.gan import run as runs
from minigan.gan import status as heart
from minigan.gan.records import read_stats, run_folder
from minigan.gan.run import Run
from minigan.gan.status import Heartbeat, read_status
from minigan.gan.systems.table import options_for
from minigan.gan.train import Trainer
from minigan.watch import screen, snapshot


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A row every two steps, a checkpoint every three, no time to wait; nothing is judged or drawn at the end."""
    for module, name, value in (
        *((runs, "TICK", 2), (runs, "SNAP", 3), (runs, "WAIT", 0.0), (runs, "PREVIEWS", 1)),
        *((writing, "RETRY", 0.0), (heart, "BEAT", 0.0)),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(Run, "_close", lambda self: self.writer.require(runs.WAIT))
    monkeypatch.setattr(viz, "grid_png", sheet)


def sheet(images, scale) -> bytes:
    """In place of a PNG file, which takes longer than all else."""
    return images[:1].tobytes()


def tiny(steps: int = 12, **changes):
    return options_for("wgan-gp", steps=steps, batch_size=2, base=1, n_critic=1, latent=2, capture=False, **changes)


def content(folder) -> dict:
    """What a run left, but for its clock, its log and who trained it."""
    files = {p.name: p.read_bytes() for p in Path(folder).iterdir() if p.suffix in (".png", ".safetensors")}
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_stats(folder)]
    norms = (Path(folder) / "norms.jsonl").read_text()
    return files | {"stats": rows, "norms": norms}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "TICK", 2)
        patch.setattr(runs, "SNAP", 3)
        patch.setattr(runs, "PREVIEWS", 1)
        patch.setattr(viz, "grid_png", sheet)
        patch.setattr(Run, "_close", lambda self: None)
        Run.create(tiny(), folder).train()
    return content(folder)


@pytest.fixture
def at_step(monkeypatch):
    """at_step({n: act}): before step n, `act()`."""
    original = Trainer.step

    def set_up(acts: dict) -> None:
        def step(self):
            acts.get(self.steps_done + 1, lambda: None)()
            return original(self)

        monkeypatch.setattr(Trainer, "step", step)

    return set_up


class Disk:
    """A disk that refuses, while `number` is one of errno's, what goes through `_files`."""

    def __init__(self, monkeypatch) -> None:
        self.number = 0
        for module in (writing, checkpoint, heart):
            for name in ("append_line", "atomic_write"):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, self.watched(getattr(_files, name)))

    def watched(self, original):
        def write(path, data):
            if self.number:
                raise _files._failure(path, OSError(self.number, os.strerror(self.number)))
            original(path, data)

        return write

    def refuse(self, number: int):
        return lambda: setattr(self, "number", number)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ESTALE, errno.EROFS])
def test_a_disk_that_refuses_for_a_while_is_survived(tmp_path, monkeypatch, capsys, at_step, whole, number):
    """From step 3 to 8 nothing is written: no row, sheet and checkpoint of step 12 is another than without."""
    disk, seen = Disk(monkeypatch), []
    folder = tmp_path / "run"
    at_step({
        3: disk.refuse(number),
        8: lambda: seen.append(sorted(p.name for p in folder.iterdir())),
        9: disk.refuse(0),
    })  # fmt: skip
    run = Run.create(tiny(), folder)
    run.train()
    assert not [n for n in seen[0] if "checkpoint" in n or ".tmp" in n], "nothing of step 3 or 6, nothing half-written"
    state = {k: v for k, v in content(folder).items() if "checkpoint" not in k or k.endswith("12.safetensors")}
    assert state.keys() >= {"checkpoint-000012.safetensors", "fakes000003.png", "fakes000006.png"}
    assert state == {k: whole[k] for k in state}
    lines = capsys.readouterr().out.splitlines()
    assert sum("Training goes on" in line for line in lines) == sum("takes all again" in line for line in lines) == 1
    assert [p.name for p in folder.glob("checkpoint-*.json")].count("checkpoint-000009.json") == 1
    assert (folder / "log.txt").read_text().splitlines()[-1] == lines[-1], "the lines are all there, in their order"


@pytest.mark.parametrize("instead", [False, True], ids=["absent", "an empty folder in its place"])
def test_a_folder_that_goes_away_and_comes_back(tmp_path, at_step, whole, instead):
    """As a network folder does; where it was, an empty one may stand, and gets nothing."""
    folder, away = tmp_path / "run", tmp_path / "away"

    def go():
        folder.rename(away)
        if instead:
            folder.mkdir()

    def come():
        if instead:
            folder.rmdir()
        away.rename(folder)

    at_step({5: go, 10: come})
    Run.create(tiny(), folder).train()
    state = content(folder)
    assert state["stats"] == whole["stats"] and state["norms"] == whole["norms"]
    assert state["checkpoint-000012.safetensors"] == whole["checkpoint-000012.safetensors"]
    assert {"fakes000006.png", "fakes000009.png"} <= state.keys()


@pytest.mark.parametrize(("number", "steps"), [(errno.EACCES, 4), (errno.EFBIG, 4), (errno.ENOSPC, 12)])
def test_what_will_not_pass_ends_a_run(tmp_path, monkeypatch, at_step, number, steps):
    """At once where a person has to act; at the end, and after a wait, where the disk stays full. The checkpoint of
    step 3 stands, and from it the run goes on."""
    disk, folder = Disk(monkeypatch), tmp_path / "run"
    at_step({4: disk.refuse(number)})
    run = Run.create(tiny(), folder)
    with pytest.raises(OSError, match=f"{os.strerror(number)}; .*go on with: minigan train --resume {folder}"):
        run.train()
    assert run.trainer.steps_done == steps
    assert checkpoint.latest(folder).step == 3
    disk.number = 0
    at_step({})
    resumed = Run.resume(str(folder))
    assert resumed.train() is None and resumed.trainer.steps_done == 12


def test_nothing_is_waited_for_before_the_first_step(tmp_path, monkeypatch):
    """Who starts a run is told at once that the disk is full."""
    disk = Disk(monkeypatch)
    run = Run.create(tiny(), tmp_path / "run")
    disk.number = errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        run.train()
    assert run.trainer.steps_done == 0


def test_a_signal_while_the_disk_is_full_says_what_is_lost(tmp_path, monkeypatch, at_step):
    """The checkpoint that a stop should leave cannot be written: an error, not a line that it was."""
    disk, folder = Disk(monkeypatch), tmp_path / "run"
    at_step({5: disk.refuse(errno.ENOSPC), 6: lambda: os.kill(os.getpid(), 2)})
    with pytest.raises(OSError, match=r"No space left.*go on with"):
        Run.create(tiny(), folder).train()
    assert checkpoint.latest(folder).step == 3


def test_what_is_owed_is_bounded(tmp_path, monkeypatch):
    """Of pictures the oldest go; lines all stay."""
    monkeypatch.setattr(writing, "OWED", 1000)
    told = []
    disk = Disk(monkeypatch)
    (tmp_path / "training_options.json").write_text("{}")
    writer = writing.Writer(tmp_path, told.append)
    writer.patient, disk.number = True, errno.ENOSPC
    for k in range(20):
        writer.write(f"{k}.png", bytes(100))
        writer.write("stats.jsonl", f"{k}" * 20)
    disk.number = 0
    writer.settle()
    assert len((tmp_path / "stats.jsonl").read_text().splitlines()) == 20
    names = {p.name for p in tmp_path.glob("*.png")}
    assert 0 < len(names) < 10 and f"{19}.png" in names and f"; {20 - len(names)} pictures" in told[-1]


def test_the_log_is_turned_over(tmp_path, monkeypatch):
    """Two files of bounded size, and the newest lines in log.txt."""
    monkeypatch.setattr(writing, "LOG_BYTES", 300)
    (tmp_path / "training_options.json").write_text("{}")
    writer = writing.Writer(tmp_path, print)
    for k in range(100):
        writer.write("log.txt", f"line {k}")
    both = [(tmp_path / name).read_text() for name in ("log-before.txt", "log.txt")]
    assert all(len(text) < 330 for text in both)
    lines = "".join(both).splitlines()
    assert lines == [f"line {k}" for k in range(100 - len(lines), 100)]


@pytest.mark.parametrize(("keep", "steps"), [(1, [12]), (2, [9, 12]), (0, [3, 6, 9, 12])])
def test_the_newest_checkpoints_stay(tmp_path, keep, steps):
    folder = tmp_path / "run"
    Run.create(tiny(keep=keep), folder).train()
    assert [checkpoint.step_of(p) for p in checkpoint.paths(folder)][::-1] == steps
    Run.resume(str(folder), steps=18, keep=2).train()
    assert [checkpoint.step_of(p) for p in checkpoint.paths(folder)] == [18, 15]
    assert json.loads((folder / "training_options.json").read_text())["keep"] == 2


@pytest.mark.parametrize(("system", "changes"), [("wgan-gp", {"base": 8}), ("wgan", {"base": 1, "keep": 1})])
def test_a_run_writes_no_more_than_it_says(tmp_path, monkeypatch, capsys, system, changes):
    """The largest size of the folder at any of its saves, its animation and curves counted, beside the line."""
    sizes, original = [], checkpoint.save

    def save(folder, *rest):
        path = original(folder, *rest)
        sizes.append(sum(p.stat().st_size for p in folder.iterdir()))
        return path

    monkeypatch.undo()
    monkeypatch.setattr(runs, "SNAP", 3)
    monkeypatch.setattr(checkpoint, "save", save)
    monkeypatch.setattr(Trainer, "observe", lambda *_, **__: (_ for _ in ()).throw(ValueError("not judged here")))
    folder = tmp_path / "run"
    Run.create(options_for(system, steps=12, batch_size=2, n_critic=1, **changes), folder).train()
    sizes.append(sum(p.stat().st_size for p in folder.iterdir()))
    words = capsys.readouterr().out.split("the folder will hold ")[1].split(" at most")[0].split()
    told = float(words[0]) * {"kB": 1e3, "MB": 1e6}[words[1]]
    assert 0.03 * told < max(sizes) <= told


def test_too_little_room_is_told_at_the_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(disk, "free", lambda folder: 1_000_000)
    Run.create(tiny(3), tmp_path / "run").train()
    assert "That is more than the 1.0 MB free there" in capsys.readouterr().out


# Clocks


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch, at_step):
    """Back by a day, then on by a year: the seconds of a run go on as before."""
    now = time.time
    at_step({
        4: lambda: monkeypatch.setattr(time, "time", lambda: now() - 86400),
        8: lambda: monkeypatch.setattr(time, "time", lambda: now() + 3e7),
    })  # fmt: skip
    folder = tmp_path / "run"
    Run.create(tiny(), folder).train()
    seconds = [row["seconds"] for row in read_stats(folder)]
    assert seconds == sorted(seconds) and seconds[0] >= 0 and seconds[-1] < 60
    status = read_status(folder)
    assert 0 <= status.seconds < 60 and 0 <= status.silent() < 60 and 0 < status.seconds_per_step < 60
    assert "silent" not in screen(snapshot(folder), 100, 40, "none")


def test_the_bar_has_its_own_clock(monkeypatch):
    bar = progress_bar(total=10, file=io.StringIO())
    monkeypatch.setattr(time, "time", lambda: 0.0)
    bar.update(5)
    assert 0 <= bar.format_dict["elapsed"] < 60 and tqdm(total=1, disable=True).n == 0
    bar.close()


def test_the_latest_run_is_the_one_started_last(tmp_path):
    """Whatever the times of its files say: the clock may have gone back since."""
    for k, name in enumerate("abc"):
        Run.create(tiny(3), tmp_path / name).train()
        for path in (tmp_path / name).iterdir():
            os.utime(path, (1e9 - 1e6 * k,) * 2)
    assert run_folder("latest", tmp_path).name == checkpoint.resolve("latest", tmp_path).path.parent.name == "c"
    Run.resume(str(tmp_path / "a"), steps=6).train()
    for path in (tmp_path / "a").iterdir():
        os.utime(path, (0, 0))
    assert run_folder("latest", tmp_path).name == checkpoint.resolve("latest", tmp_path).path.parent.name == "a"
    assert [checkpoint.turn_of(tmp_path / name) for name in "abc"] == [4, 2, 3]


# Heartbeats


def test_a_run_says_how_it_stands(tmp_path, at_step):
    folder, seen = tmp_path / "run", []
    at_step({n: lambda: seen.append(read_status(folder)) for n in (1, 5)})
    Run.create(tiny(6), folder).train()
    first, later = seen
    assert (first.phase, first.step, first.steps, first.checkpoint) == ("starting", 0, 6, 0)
    assert (later.phase, later.step, later.checkpoint, later.trouble) == ("training", 4, 3, "")
    assert later.here and not later.gone and later.pid == os.getpid() and later.silent() < 60
    last = read_status(folder)
    assert last.phase == "done" and last.step == last.checkpoint == 6


def test_trouble_and_ends_are_said(tmp_path, monkeypatch, at_step):
    """Seen by `minigan watch`, too."""
    folder, texts = tmp_path / "run", []
    at_step({5: lambda: (folder / "norms.jsonl").unlink() or (folder / "norms.jsonl").mkdir()})
    with pytest.raises(OSError, match="is a folder"):
        Run.create(tiny(), folder).train()
    status = read_status(folder)
    assert status.phase == "failed" and "norms.jsonl is a folder" in status.trouble
    texts = CliRunner().invoke(main, ["watch", str(folder), "--once", "--pictures", "none"]).output
    words = " ".join(texts.split())
    assert f"go on with: minigan train --resume {folder}" in words and "; failed trouble: cannot write" in words
    (folder / "norms.jsonl").rmdir()
    at_step({4: lambda: os.kill(os.getpid(), 15)})
    with pytest.raises(runs.Stopped):
        Run.resume(str(folder)).train()
    assert read_status(folder).phase == "stopped"
    assert "; stopped\ntrouble: stopped by SIGTERM\ngo on with" in screen(snapshot(folder), 200, 40, "none")
    for path in folder.glob("checkpoint-*"):
        path.unlink()  # as of a run that failed before its first: there is nothing to go on from
    text = screen(snapshot(folder), 200, 40, "none")
    assert "trouble: stopped by SIGTERM" in text and "go on with" not in text


def beat(folder: Path, **changes) -> None:
    Heartbeat(folder).beat("training", "", 4, 12, 1.0, 3)
    row = json.loads((folder / "status.json").read_text()) | changes
    (folder / "status.json").write_text(json.dumps(row))


@pytest.fixture
def stopped(tmp_path):
    """The folder of a run at step 4."""
    folder = tmp_path / "run"
    Run.create(tiny(4), folder).train()
    options = json.loads((folder / "training_options.json").read_text()) | {"steps": 12}
    (folder / "training_options.json").write_text(json.dumps(options))
    return folder


def test_silence_is_not_the_wall_clocks(stopped, monkeypatch):
    """On the same machine by the clock that nobody sets; from another one, of which only the first look needs the wall
    clock, by the time between two looks."""
    beat(stopped, when=0.0)
    assert "silent" not in screen(snapshot(stopped), 200, 40, "none")
    beat(stopped, clock=time.monotonic() - 100)
    assert "silent for 1 min 40 s: stopped?" in screen(snapshot(stopped), 200, 40, "none")
    beat(stopped, host="elsewhere", when=time.time() - 100)
    first = snapshot(stopped)
    assert "silent for 1 min 40 s" in screen(first, 200, 40, "none")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 100 <= snapshot(stopped, first).silent < 160
    beat(stopped, host="elsewhere", when=5.0)
    assert snapshot(stopped, first).silent == 0


def test_a_process_that_is_gone_is_known(stopped):
    child = os.fork()
    if child == 0:
        os._exit(0)
    beat(stopped, pid=child)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert read_status(stopped).gone, "it has ended, and nobody has asked for its status"
    os.waitpid(child, 0)
    text = screen(snapshot(stopped), 200, 40, "none")
    assert f"its process {child} is gone\ngo on with: minigan train --resume {stopped}" in text
    beat(stopped, pid=child, host="elsewhere")
    assert not read_status(stopped).gone


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", "{}", '{"turn": 3}', '{"turn": -1}', '{"turn": true}', '{"turn": 1e99}', "[" * 9999]
)
def test_a_damaged_status_is_none(stopped, text):
    (stopped / "status.json").write_text(text)
    assert read_status(stopped) is None and checkpoint.turn_of(stopped) in (0, 3)
    assert "step 4 of 12" in screen(snapshot(stopped), 200, 40, "none")


def test_a_run_that_another_process_trains_is_left_alone(tmp_path):
    """Neither gone on with nor trained on; when the other has ended, it is, and its folder is free again."""
    run = Run.create(options_for("gan", steps=2, base=1, batch_size=4), tmp_path / "run")
    run.train()
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    words = ["train", "--resume", str(run.folder), "--steps", "3"]
    with claimed(run.folder) as alone:
        assert alone
        with claimed(run.folder) as second:
            assert not second
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2 and f"process {os.getpid()} trains this run now" in " ".join(result.output.split())
        with pytest.raises(ValueError, match="wait for its end, or stop it first"):
            run.train()
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before
    assert CliRunner().invoke(main, words).exit_code == 0
    with claimed(run.folder) as alone:
        assert alone
