"""The command line, as a user types it: help, figures as JSON, errors in one line with the right exit status, a run
from end to end."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.gan.systems import SYSTEMS

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


DRAWING = {
    "sample": ["sample", "latest", "-n", "4"],
    "interpolate": ["interpolate", "latest", "--rows", "2", "--columns", "3"],
    "traverse": ["traverse", "latest", "--rows", "2", "--columns", "3"],
    "strip": ["strip", "latest", "--columns", "3"],
    "data show": ["data", "show", "digits"],
}


@pytest.mark.parametrize("command", DRAWING)
@pytest.mark.parametrize(("ending", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("JPEG", "JPEG"), ("webp", "WEBP")])
def test_pictures_are_what_their_ending_says(command, ending, kind, there):
    """The file that -o names is written in the format of its ending."""
    result = run(*DRAWING[command], "-o", f"picture.{ending}")
    assert result.exit_code == 0, result.output
    assert Image.open(f"picture.{ending}").format == kind


@pytest.mark.parametrize("command", [*DRAWING, "translate", "data get"])
@pytest.mark.parametrize("name", ["s.xyz", "s", "s.pdf", ".png", "s.npz"])
def test_other_endings_are_refused_before_anything_is_done(command, name, tmp_path, monkeypatch):
    """By name, with those that are written; the run that is asked for does not even exist."""
    monkeypatch.chdir(tmp_path)
    others = {"translate": ["translate", "no-run", "no-image"], "data get": ["data", "get", "no-such-set"]}
    arguments = others.get(command) or ["no-run" if word == "latest" else word for word in DRAWING[command]]
    result = run(*arguments, "-o", name)
    assert result.exit_code == 2
    assert "pictures are written as .png, .jpg, .jpeg, .webp" in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [(), ("data",)], ids=["minigan", "minigan data"])
def test_summaries_fit(path, monkeypatch):
    """In --help, at the 80 columns of a plain terminal, every command has its summary whole on one line."""
    monkeypatch.setenv("COLUMNS", "80")
    group = main
    for name in path:
        group = group.commands[name]
    lines = run(*path, "--help").output.split("Commands:\n")[1].splitlines()
    expected = {name: command.short_help for name, command in group.commands.items()}
    assert all(summary and summary.endswith(".") for summary in expected.values())
    assert {line.split()[0]: line.split(maxsplit=1)[1] for line in lines} == expected
    assert all(len(line) <= 80 for line in lines)


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
    lines = result.stdout.splitlines()  # two values of one figure stand with the number of samples of each
    assert (
        "of 50 samples confident" in lines[1] and "Frechet distance " in lines[1] and "(50 samples; real " in lines[1]
    )
    assert lines[0].endswith("by the test half of the held-out images:")
    (head,) = (line for line in lines if line.startswith("50 samples, 50 held-out images; "))
    assert lines.index(head) < lines.index(next(line for line in lines if line.startswith("Frechet distance ↓")))
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["samples"] == 50 and figures["held_out_accuracy"] >= 0.98
    assert "classes present" in result.stdout and "precision ↑" in result.stdout
    assert lines[-2] == "50 images are too few for a verdict: take 100 or more" and figures["winners"] is None
    details = figures["details"]
    assert details["samples"] == 50 and details["real"]["coverage"]["value"] > 0.5 > details["coverage"]["value"]
    assert details["real"]["recall"]["value"] > 0.5 > details["recall"]["value"]
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
    assert "generator: " in result.output and "BatchNorm2d(64" in result.output
    assert figures["networks"]["critic"][0]["shape"] == [64, 32, 16, 16]
    for name, layers in figures["networks"].items():
        assert sum(layer["parameters"] for layer in layers) == figures["parameters"][name]
    assert "cycle_weight" not in result.output and "cycle_weight" not in figures["options"]
    assert figures["seconds_per_step"] > 0 and figures["peak_memory_mib"] > 50
    result = run("train", "dcgan", "--data", "avatars", "--fast-dev-run", "--base", "4", "--out", "here")
    assert result.exit_code == 0 and "reached step 2" in result.output
    assert "precision" in result.output and "the judge is right on" in result.output


@pytest.mark.parametrize("name", SYSTEMS)
def test_help_of_a_system(name):
    """Its options and no others, in their groups, with its defaults and the choices; the name may stand anywhere."""
    row = SYSTEMS[name]
    output = run("train", "--out", "wgan", name, "--help").output
    flags = set(re.findall(r"^  --([a-z0-9-]+)", output, re.M))
    own = {option.replace("_", "-") for option in row.takes}
    assert flags == own | {"json", "out", "resume", "fast-dev-run", "report", "log", "ranks", "fast-sum"}
    groups = {f.metadata["group"] for f in fields(row.options) if "help" in f.metadata}
    assert all(f"\n{group}:\n" in output for group in groups)
    letters = "".join(output.split())
    assert "butforoptionsthatarenamedbesideit" in letters  # --fast-dev-run --steps 7 trains 7 steps
    for f in fields(row.options):
        value = getattr(row.options, f.name)
        if "help" in f.metadata:
            default = f"[default: {str(value).lower() if f.type == 'bool' else value}]" if value != "" else ""
            for part in (f.metadata["help"], ", ".join(f.metadata["choices"]), default):
                assert "".join(part.split()) in letters


def test_help_of_no_system():
    result = run("train", "dcgn", "--help")
    assert result.exit_code == 2 and "did you mean 'dcgan'" in result.output
    assert run("train", "--help").output == run("train", "wgan-gp", "--help").output


SIZES = [("avatars", 16), *(pytest.param(data, 64, marks=pytest.mark.slow) for data in ("digits", "avatars"))]


@pytest.mark.parametrize(("data", "size"), SIZES)
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
    from minigan.gan.metrics import classifier

    result = run("classifier", "digits", "--epochs", "1", "--out", str(tmp_path / "c"), "--json")
    assert json.loads(result.stdout.splitlines()[-1])["held_out_accuracy"] > 0.85
    assert classifier.load("digits", tmp_path / "c")[1]["command"] == "minigan classifier digits --epochs 1"


def test_a_failed_certificate_exits_with_1_and_still_prints_its_figures(monkeypatch):
    """A wrong derivative: the row says where, the JSON says passed: false, the exit status is 1; a right one exits with
    0."""
    from minigan.ops.act import TanhGrad

    assert run("gradcheck", "tanh", "--json").exit_code == 0
    monkeypatch.setattr(TanhGrad, "forward", lambda self, y, g: g * (1 - y))
    result = run("gradcheck", "tanh", "--json")
    figures = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 1 and not figures["passed"] and "order-1 derivative" in figures["rows"][0]["failure"]


USAGE = [
    (["train", "wgna-gp"], "did you mean 'wgan-gp'"),
    (["train", "--steps", "many"], "not a valid integer"),
    (["train", "--data", "digit"], "did you mean 'digits'"),
    (["train", "--size", "48"], "power of two"),
    (["train", "--out", "taken"], "already holds something"),
    (["data", "show", "nothing"], "known sets"),
    (["gradcheck", "no_such_op"], "no_such_op"),
    (["gradcheck", "--model", "nothing"], "nothing"),
    (["classifier", "digits", "--attributes", "--out", "c"], "no attributes"),
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


COMPUTES = {
    "train": ["train", "--steps", "1", *SMALL],
    "sample": ["sample", "latest"],
    "eval": ["eval", "latest"],
    "toy": ["toy", "ring", "--steps", "1"],
    "scoreboard": ["scoreboard", "--quick"],
    "gradcheck": ["gradcheck", "tanh"],
    "bench": ["bench"],
}


@pytest.mark.parametrize("command", COMPUTES)
def test_a_device_that_cannot_be_used_is_one_line_everywhere(command, tmp_path, monkeypatch):
    """An unknown name is wrong usage and lists the known ones; cuda without a GPU says what the driver or CuPy said."""
    from minigan import backend

    monkeypatch.chdir(tmp_path)
    result = run(*COMPUTES[command], "--device", "tpu")
    assert result.exit_code == 2 and "unknown device 'tpu'; known devices: 'cpu', 'cuda'" in result.output

    def refuse():
        raise backend.DeviceError("device 'cuda' cannot be used: the driver says 'no CUDA-capable device'; use 'cpu'")

    monkeypatch.setattr(backend, "_cupy", refuse)
    monkeypatch.delitem(backend._modules, "cuda", raising=False)
    result = run(*COMPUTES[command], "--device", "cuda")
    assert result.exit_code == 1 and "Error: device 'cuda' cannot be used: the driver says" in result.output
    assert "Traceback" not in result.output and not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("g++") is None, reason="the simulator compiles kernels with g++: not installed")
def test_commands_on_the_simulated_device(there, tmp_path):
    """The sheet that a GPU's kernels draw is the CPU's but for the rounding of a grey value; gradcheck passes there."""
    sheets = []
    for device in ("cpu", "cudasim"):
        out = tmp_path / f"{device}.png"
        result = run("sample", "latest", "-n", "4", "-o", str(out), "--device", device)
        assert result.exit_code == 0, result.output
        sheets.append(np.asarray(Image.open(out)).astype(int))
    assert np.abs(sheets[0] - sheets[1]).max() <= 1 and sheets[0].std() > 1
    scores = [
        json.loads(run("eval", "latest", "-n", "8", "--device", d, "--json").stdout.splitlines()[-1])
        for d in ("cpu", "cudasim")
    ]
    assert scores[0]["histogram"] == scores[1]["histogram"]
    assert scores[1]["confident"] == pytest.approx(scores[0]["confident"])
    result = run("gradcheck", "tanh", "layer_norm", "--device", "cudasim", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout.splitlines()[-1])["passed"], result.output


@pytest.mark.skipif(shutil.which("g++") is None, reason="the simulator compiles kernels with g++: not installed")
def test_toy_on_the_simulated_device(tmp_path):
    """Points, too, are trained where --device says: the same scores as on the CPU, to rounding."""
    figures = []
    for device in ("cpu", "cudasim"):
        out = tmp_path / device
        result = run(
            "toy", "ring", "--steps", "2", "--batch-size", "16", "--device", device, "--out", str(out), "--json"
        )
        assert result.exit_code == 0, result.output
        figures.append(json.loads(result.stdout.splitlines()[-1]))
        assert json.loads((out / "figures.json").read_text())["options"]["device"] == device
    assert figures[0]["modes"] == figures[1]["modes"]
    assert figures[1]["high_quality"] == pytest.approx(figures[0]["high_quality"], abs=2e-3)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the simulator compiles kernels with g++: not installed")
def test_bench_of_a_device(tmp_path):
    """On the simulator every row and the usual steps run, and no roofline is claimed. WORKLOADS are taken alone, --ops
    is the rows alone; what is measured on the CPU is not taken along."""
    from minigan.bench.device import Limits, works

    result = run("bench", "--device", "cudasim", "--out", str(tmp_path), "--json")
    assert result.exit_code == 0 and "say nothing about a GPU" in result.output, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert set(figures["rows"]) == {work.name for work in works()} and len(figures["rows"]) > 15
    assert list(figures["steps"]) == ["wgan-gp", "dcgan-32", "toy-4x128"]
    assert all(row["us"] > 0 and row["least_us"] is None for row in figures["rows"].values())
    assert json.loads((tmp_path / "bench-device.json").read_text()) == figures
    for words, rows, steps in ((["toy-3x512"], 0, ["toy-3x512"]), (["--ops"], len(works()), [])):
        result = run("bench", *words, "--device", "cudasim", "--out", str(tmp_path), "--json")
        figures = json.loads(result.stdout.splitlines()[-1])
        assert (len(figures["rows"]), list(figures["steps"])) == (rows, steps), words
        assert "say nothing about a GPU" in result.output
    for words in (["--costs"], ["rules"], ["--peers", "torch"]):
        result = run("bench", *words, "--device", "cudasim", "--out", str(tmp_path))
        assert result.exit_code == 2 and "leave out" in result.output
    result = run("bench", "wgan", "--device", "cudasim", "--out", str(tmp_path))
    assert result.exit_code == 2 and "unknown workload 'wgan'" in result.output
    h100 = Limits("H100", 3.35e12, 67e12)
    least = {work.name: h100.least_us(work) for work in works()}
    assert least["leaky_relu"] == pytest.approx(8 * 2048 * 4096 / 3.35e6)
    assert least["matrix product, cuBLAS"] == pytest.approx(2 * 2048**3 / 67e6)


def test_every_option_of_every_system_takes_a_value_of_its_own_type():
    """One name may be a weight in one system and a word in another; without a value it is the system's own, or none."""
    command = main.commands["train"]
    for name, row in SYSTEMS.items():
        options = [f for f in fields(row.options) if "help" in f.metadata and f.type != "bool"]
        words = [w for f in options for w in (f"--{f.name.replace('_', '-')}", str(getattr(row.options, f.name)))]
        values = command.make_context("train", [name, *words]).params
        assert {f.name: values[f.name] for f in options} == {f.name: getattr(row.options, f.name) for f in options}, (
            name
        )
    assert command.make_context("train", ["lapgan", "--condition"]).params["condition"] == "class"
    with pytest.raises(click.BadParameter, match="needs a value for cgan"):
        command.make_context("train", ["cgan", "--condition"])
    with pytest.raises(click.BadParameter, match="'fixed' is not a valid float"):
        command.make_context("train", ["srgan", "--adversarial", "fixed"])
