"""At the edges: folders that move, odd names in them, runs of folders that share a name, sheets, bars, pipes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tqdm import tqdm

import minigan
from minigan import data
from minigan.cli import main
from minigan.gan.metrics import classifier
from minigan.gan.run import BAR, Run, load_trainer
from minigan.gan.systems.table import options_for
from minigan.kernels import load as kernels_load

TINY = ["--steps", "1", "--batch-size", "8", "--base", "2"]
ESCAPE = "bad\x1b[31mname\nx\u202e"


def run(*args: str):
    return CliRunner().invoke(main, [str(a) for a in args])


def error(*args: str) -> str:
    """What a command says on wrong usage, on one line."""
    result = run(*args)
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split("Error: ")[1].split())


def fill(folder: Path, count: int = 20, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    for k, image in enumerate(np.random.default_rng(seed).integers(0, 256, (count, 9, 9, 3), np.uint8)):
        Image.fromarray(image).save(folder / f"{k:02}.png")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `a/shapes`, of which some files are broken, `b/shapes`, and a run on the first by its relative
    name."""
    root, before = tmp_path_factory.mktemp("edges"), Path.cwd()
    os.chdir(root)
    fill(root / "a" / "shapes")
    fill(root / "b" / "shapes", seed=1)
    for k in range(14):
        (root / "a" / "shapes" / f"{ESCAPE}{k}.png").write_bytes(b"nothing")
    result = run("train", "dcgan", "--data", "folder:a/shapes,size=16", *TINY, "--out", "run")
    assert result.exit_code == 0, result.output
    yield root
    os.chdir(before)


def test_a_folder_is_stored_absolute_with_its_size(place):
    options = json.loads((place / "run" / "training_options.json").read_text())
    assert options["data"] == f"folder:{place}/a/shapes,size=16" and options["size"] == 16


@pytest.mark.parametrize(
    "name", ["folder:x", "folder:x,size=64,grey", "folder:~/x", "folder:../x,fit=pad", "folder:/x,y,flip"]
)
def test_an_absolute_name_means_the_same(name):
    whole = data.absolute(name)
    before, after = (data.folder.parse(n) for n in (name, whole))
    assert after.path.is_absolute() and after.path == Path(os.path.abspath(before.path))
    assert data.absolute(whole) == whole and [*vars(after).values()][1:] == [*vars(before).values()][1:]
    assert data.absolute("digits") == "digits"


def test_a_run_whose_folder_moved(place):
    """resume, eval and sample: the error names --data, and --data says where it lies; other images are refused."""
    (place / "a").rename(place / "moved")
    try:
        assert "say by --data where it lies" in error("train", "--resume", "run", "--steps", "2")
        assert "say by --data where it lies" in error("eval", "run")
        assert run("sample", "run", "-n", "2", "-o", "s.png").exit_code == 0
        other = run("train", "--resume", "run", "--steps", "2", "--data", "b/shapes")
        assert other.exit_code == 1 and "trained on other images" in other.output
        other = run("eval", "run", "--data", "b/shapes")
        assert other.exit_code == 1 and "trained on other images" in other.output
        assert "name only the folder" in error("sample", "run", "--data", "folder:moved/shapes,size=32")
        trainer, _ = load_trainer("run", place="folder:moved/shapes")
        assert len(trainer.dataset.images) == 20
        resumed = run("train", "--resume", "run", "--steps", "2", "--data", "moved/shapes")
        assert resumed.exit_code == 0 and "reached step 2" in resumed.output
        options = json.loads((place / "run" / "training_options.json").read_text())
        assert options["data"] == f"folder:{place}/moved/shapes,size=16"
    finally:
        (place / "moved").rename(place / "a")
    with pytest.raises(ValueError, match="the run was trained on digits; data can only say"):
        data.moved("digits", "a/shapes")


def test_sheets_go_into_the_run_s_folder_and_replace_nothing(place):
    for args in (["sample", "run", "-n", "2"], ["interpolate", "run", "--rows", "1"], ["traverse", "run"]):
        first, second = (json.loads(run(*args, "--json", "--data", "a/shapes").output.splitlines()[-1]) for _ in "ab")
        name = Path(first["out"])
        assert name.parent == Path("run") and second["out"] == f"run/{name.stem}-2.png"
        assert name.exists() and Path(second["out"]).exists()
    sheets = [json.loads(run("data", "show", "digits", "--json").output.splitlines()[-1])["out"] for _ in "ab"]
    assert sheets == ["digits.png", "digits-2.png"]


def test_folders_of_one_name_have_judges_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path))
    names = ["folder:a/shapes", "folder:b/shapes", "folder:a/shapes,size=64"]
    folders = [classifier.kept(name) for name in names]
    assert len(set(folders)) == 3 and all(f.name.startswith("folder-shapes-") for f in folders)
    assert classifier.kept(data.absolute(names[0])) == folders[0] and classifier.kept("digits").name == "digits"


def test_names_are_escaped_and_all_notes_listed(place):
    """No control character of a file's name reaches the terminal or the log; ten notes are shown, all on request."""
    few, all_notes = run("data", "get", "folder:a/shapes"), run("data", "get", "folder:a/shapes", "--notes")
    assert "... and 4 more, all by --notes" in few.output and few.output.count("skipped") == 10
    assert all_notes.output.count("skipped") == 14
    log = (place / "run" / "log.txt").read_text()
    assert log.count("skipped") >= 14 and "... and 4 more, all in run/log.txt" in log
    for text in (few.output, all_notes.output, log):
        assert "bad\\x1b[31mname\\nx\\u202e" in text and not {"\x1b", "\u202e"} & set(text)


def test_a_data_set_prints_as_one_line(place):
    text = repr(data.load("folder:a/shapes,size=16"))
    assert text == "<Dataset folder:a/shapes,size=16: 20 images 16x16x3, 18 to train on, 2 held out>"


def test_contradictions_are_answered(place):
    assert "take --batch-size 18 or less" in error("train", "dcgan", "--data", "folder:b/shapes", "--steps", "1")
    twice = ["--data", "folder:b/shapes,size=16", "--size", "32"]
    assert "says size=16, and size is 32; give it once" in error("train", "dcgan", *twice)
    assert "says size=16, and --size is 32" in error("data", "get", "folder:b/shapes,size=16", "--size", "32")
    assert "take one of at most 1" in error("train", "--lr", "1e10")
    with pytest.raises(ValueError, match="lr 2: a step would move every weight"):
        options_for("dcgan", lr=2.0)


def test_no_steps_are_answered(place):
    result = run("train", "dcgan", "--data", "folder:b/shapes", *TINY, "--steps", "0", "--out", "none")
    assert result.exit_code == 0 and "no step is left to train" in result.output


def test_a_narrow_terminal_shows_both_losses():
    """60 columns are cut at their end, behind the losses."""
    for done in (25, 200_000):
        values = {"d_loss": "-1.23e+03", "g_loss": "-4.56e+03", "critic_estimate": "12.3", "gradient_norm": "1.02"}
        postfix = ", ".join(f"{k}={v}" for k, v in values.items())
        line = tqdm.format_meter(done, 200_000, 9.0, ncols=60, bar_format=BAR, postfix=postfix)
        assert len(line) <= 60 and "d_loss=-1.23e+03" in line and "g_loss=-4.56e+03" in line


def script(code: str, **kwargs) -> subprocess.CompletedProcess:
    root = Path(minigan.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "NUMBA_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, **kwargs)


def test_a_broken_pipe_is_quiet(tmp_path):
    """Whoever reads the lines goes away after the first: no error, no traceback."""
    code = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1)\nfrom minigan.cli import main; main({!r})"
    for args in (["data", "list"], ["list", "--runs", str(tmp_path)]):
        assert script(code.format(args)).stderr == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_no_bar_is_written_into_a_file(tmp_path, monkeypatch, terminal):
    """The bar of a toy run is there where stderr is a terminal, and nowhere else."""

    class Asked(Exception):
        pass

    def bar(**settings):
        raise Asked(settings)

    errors = io.StringIO()
    errors.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr("tqdm.tqdm", bar)
    from minigan.gan.toy import options_for as toy_options
    from minigan.gan.toy import run as toyrun

    with pytest.raises(Asked) as asked:
        toyrun.run(toy_options("ring", "wgan-gp", steps=2, batch_size=8), tmp_path / "toy")
    assert asked.value.args[0]["disable"] is not terminal


def test_the_wait_for_the_compiler_is_told_once_where_there_is_no_terminal(monkeypatch):
    errors, progress = io.StringIO(), kernels_load._Progress()
    monkeypatch.setattr(sys, "stderr", errors)
    for text in ("minigan: 1 of 9", "minigan: 2 of 9", ""):
        progress.show(text)
    assert errors.getvalue() == "minigan: compiling kernels (first use only), up to a few minutes\n"


def test_a_class_of_a_moved_folder_is_sampled(place):
    """A system of classes reads them from the images, which its name alone does not tell."""
    for name in ("one", "two"):
        fill(place / "classes" / name, 12)
    options = options_for("cgan", data="folder:classes,size=16", steps=0, base=2, batch_size=4)
    Run.create(options, place / "classed").train()
    (place / "classes").rename(place / "classes2")
    assert "say by --data where it lies" in error("sample", "classed", "-n", "2")
    assert run("sample", "classed", "-n", "2", "--data", "classes2").exit_code == 0
