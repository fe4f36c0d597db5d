"""The command line, as a user types it: help, figures as JSON, errors in one line with the right exit status, a run
from end to end."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main

SMALL = ["--batch-size", "8", "--base", "4", "--latent", "8"]


def run(*args: str):
    """The command in this process: exit status, and stdout and stderr together."""
    return CliRunner().invoke(main, list(args))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder in which `minigan train --steps 2` ran."""
    folder = tmp_path_factory.mktemp("trained")
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = run("train", "--steps", "2", *SMALL, "--json")
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    (folder / "out.json").write_text(result.stdout.splitlines()[-1])
    return folder


@pytest.fixture
def there(trained, monkeypatch) -> Path:
    """The same, as the current folder."""
    monkeypatch.chdir(trained)
    return trained


def test_train_prints_what_it_reached(there):
    """The last line of JSON holds the figures that the line for people shows."""
    figures = json.loads((there / "out.json").read_text())
    assert figures["steps"] == 2 and figures["run"] == "runs/00000-wgan-gp-digits"
    assert len(figures["histogram"]) == 10 and abs(sum(figures["histogram"]) - 1) < 1e-4


def test_list_sample_eval(there, tmp_path):
    """The commands that look at a run: by latest, by folder, by file; the same seed draws the same sheet."""
    rows = json.loads(run("list", "--json").stdout.splitlines()[-1])
    assert rows[0]["run"] == "00000-wgan-gp-digits" and rows[0]["steps_done"] == 2
    sheets = []
    for which in ("latest", "runs/00000-wgan-gp-digits", "runs/00000-wgan-gp-digits/checkpoint-000002.json"):
        result = run("sample", which, "-n", "6", "-o", str(tmp_path / "s.png"))
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / "s.png") as image:
            sheets.append(np.asarray(image).copy())
    assert (sheets[0] == sheets[1]).all() and (sheets[0] == sheets[2]).all()
    result = run("eval", "latest", "-n", "50", "--json")
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["samples"] == 50 and figures["held_out_accuracy"] >= 0.98
    assert "classes present" in result.stdout and "precision, recall" in result.stdout
    details = figures["details"]
    assert details["samples"] == 50 and details["real"]["coverage"] > 0.5 > details["coverage"]
    assert details["real"]["recall"] > 0.5 > details["recall"]
    assert details["frechet"]["low"] > details["real"]["frechet"]["high"] and details["kernel"]["low"] > 0


def test_resume_takes_only_steps(there):
    """Other options come from the run; giving them is a usage error that names them."""
    result = run("train", "--resume", "latest", "--lr", "1e-3", "--out", "x")
    assert result.exit_code == 2 and "leave out: lr, out" in result.output
    result = run("train", "--resume", "latest", "--steps", "3")
    assert result.exit_code == 0 and "steps 2 to 3" in result.output


def test_dry_run_and_fast_dev_run(tmp_path, monkeypatch):
    """-n shows resolved options and parameter counts and writes nothing; --fast-dev-run trains two steps."""
    monkeypatch.chdir(tmp_path)
    result = run("train", "dcgan", "-n", "--lr", "0.001", "--json")
    figures = json.loads(result.stdout.splitlines()[-1])
    assert (
        figures["options"]["lr"] == 0.001 and figures["options"]["critic_norm"] and figures["parameters"]["critic"] > 0
    )
    assert not list(tmp_path.iterdir())
    result = run("train", "dcgan", "--data", "avatars", "--fast-dev-run", "--base", "4", "--out", "here")
    assert result.exit_code == 0 and "reached step 2" in result.output
    assert "no classifier is shipped for data set 'avatars'" in result.output


@pytest.mark.parametrize(("data", "size"), [("digits", 64), ("avatars", 16), ("avatars", 64)])
def test_other_sizes(data, size, tmp_path):
    """Images other than 32x32 train, are drawn at their size, and are scored where there is a classifier."""
    out = tmp_path / "run"
    result = run("train", "--data", data, "--size", str(size), "--steps", "1", *SMALL, "--out", str(out))
    assert result.exit_code == 0 and "reached step 1" in result.output, result.output
    for name in ("reals.png", "fakes000001.png"):
        with Image.open(out / name) as image:
            assert image.size == (8 * (2 * size + 2) + 2,) * 2


def test_data_commands(tmp_path):
    """The list says which split the digits are; the sheet is a picture."""
    assert "test split" in run("data", "list").output
    for name in ("digits", "avatars"):
        assert run("data", "show", name, "-o", str(tmp_path / "sheet.png")).exit_code == 0
        with Image.open(tmp_path / "sheet.png") as image:
            assert min(image.size) > 300


def test_classifier_command(tmp_path):
    """One epoch already gets most digits, and what it writes can be read."""
    from minigan.gan import classifier

    result = run("classifier", "digits", "--epochs", "1", "--out", str(tmp_path / "c"), "--json")
    assert json.loads(result.stdout.splitlines()[-1])["held_out_accuracy"] > 0.85
    assert classifier.load("digits", tmp_path / "c")[1]["command"] == "minigan classifier digits --epochs 1"


def test_a_failed_certificate_exits_with_1_and_still_prints_its_figures(monkeypatch):
    """A wrong derivative: the row says where, the JSON says passed: false, the exit status is 1; a right one exits with
    0."""
    from minigan.ops_act import TanhGrad

    assert run("gradcheck", "tanh", "--json").exit_code == 0
    monkeypatch.setattr(TanhGrad, "forward", lambda self, y, g: g * (1 - y))
    result = run("gradcheck", "tanh", "--json")
    figures = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 1 and not figures["passed"] and "order-1 derivative" in figures["rows"][0]["failure"]


USAGE = [
    (["train", "wgna-gp"], "known systems: wgan-gp, dcgan"),
    (["train", "--steps", "many"], "not a valid integer"),
    (["train", "--data", "digit"], "did you mean 'digits'"),
    (["train", "--size", "48"], "power of two"),
    (["train", "--out", "taken"], "already holds something"),
    (["data", "show", "nothing"], "known sets"),
    (["gradcheck", "no_such_op"], "no_such_op"),
    (["gradcheck", "--model", "nothing"], "nothing"),
    (["classifier", "avatars", "--out", "c"], "no class labels"),
    (["frobnicate"], "No such command"),
]


@pytest.mark.parametrize(("args", "match"), USAGE, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_wrong_usage_exits_with_2(args, match, tmp_path, monkeypatch):
    """One clear error, exit status 2, no traceback, nothing written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    result = run(*args)
    assert result.exit_code == 2 and match in result.output and "Traceback" not in result.output
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "taken"]


FAILURES = [
    (["sample", "nowhere"], "no such run folder"),
    (["eval", "taken"], "no checkpoint"),
    (["sample", "taken/pickle.pt"], "never"),
    (["train", "--resume", "latest"], "no run with a checkpoint"),
    (["data", "show", "digits", "-o", "missing/sheet.png"], "cannot write"),
    (["train", "--device", "cuda", "--fast-dev-run"], "cuda"),
]


@pytest.mark.parametrize(("args", "match"), FAILURES, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_failures_exit_with_1(args, match, tmp_path, monkeypatch):
    """What is missing, foreign or cannot be written: one line that names it, exit status 1, no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "pickle.pt").write_bytes(b"PK\x03\x04 something")
    result = run(*args)
    assert result.exit_code == 1 and match in result.output and "Traceback" not in result.output, result.output


def test_the_installed_command_and_the_module_are_the_same():
    """`minigan` and `python -m minigan` exist and agree; importing minigan is quick and brings no heavy library."""
    command = shutil.which("minigan", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    helps = [
        subprocess.run([*c, "--help"], capture_output=True, text=True).stdout
        for c in ([command], [sys.executable, "-m", "minigan"])
    ]
    assert "gradcheck" in helps[0]
    assert re.sub(r"Usage: .*", "", helps[0]) == re.sub(r"Usage: .*", "", helps[1])
    heavy = "numba scipy matplotlib PIL click tqdm safetensors torch hypothesis"
    code = f"import sys, minigan; print([m for m in {heavy.split()!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
