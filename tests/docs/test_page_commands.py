"""Every command on the README and on the pages runs, in a cheap form.

A command is a line of a block of shell, or `minigan ...`, `pytest ...` and the like in the text. KINDS says how each
kind is run; a command of no kind fails its test, so a page cannot name one that nobody tried.
"""

import argparse
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import pytest
from click.testing import CliRunner
from page_texts import FENCE, PROJECT, ROOT, TEXTS, spans
from PIL import Image

from minigan import cudasim, data
from minigan.cli import main
from minigan.gan.systems import SYSTEMS

HEADS = ("minigan", "pytest", "python", "python3", "pip", "mkdocs", "ruff", "source", ".ci/run")
WORDS = {"SYSTEM": "wgan-gp", "DATA": "digits", "PAGE": "index", "DIR": "out", "S": "0", "OP": "tanh"}
"""What a word in capitals stands for; RUN, PATH and files are those of the fixture `world`."""
NAMES = {"data": "digits", "docs": "index", "toy": "ring", "results": "dcgan", "train": "dcgan", "gradcheck": "dcgan"}
"""What NAME stands for, by the command."""
STAND_INS = {"horse2zebra": "emoji"}
"""A set of the package in place of one that would be downloaded; digits for all others."""


def split(line: str) -> list[list[str]]:
    """The commands of a line of shell, parted by &&, as words; those of the virtual environment by their names."""
    parts = [[]]
    for word in shlex.split(line, comments=True):
        if word == "&&":
            parts.append([])
        else:
            parts[-1].append(word.removeprefix(".venv/bin/") if not parts[-1] else word)
    return [words for words in parts if words]


def commands() -> dict[str, tuple[list[str], str]]:
    """Command -> (its words, the first page that has it), for every command of every page."""
    table = {}
    for name, text in TEXTS.items():
        lines = [line for language, code in FENCE.findall(text) if language == "sh" for line in code.splitlines()]
        lines += [span for span in spans(text) if span.split()[0].removeprefix(".venv/bin/") in HEADS]
        for line in lines:
            for words in split(line):
                if len(words) > 1 or words[0] == ".ci/run":  # `pip` alone is a word
                    table.setdefault(shlex.join(words), (words, name))
    return table


STEP = """
import minigan as mg
x = mg.ones(2, 2).requires_grad_()
def step():
    return (x.tanh() * x).sum()
"""


NET = """
from minigan import nn
Critic = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.Flatten(), nn.Linear(784, 1))
"""


class World:
    """A folder with what the commands name: runs of two steps, a face, a folder of images, points, a kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, {}
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / "face.png")
        Image.open(folder / "face.png").save(folder / "mine.png")
        (folder / "step.py").write_text(STEP)
        for label in ("a", "b"):
            (folder / "images" / label).mkdir(parents=True)
            for k in range(50):
                pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "images" / label / f"{k}.png")
        np.savetxt(folder / "points.csv", rng.normal(size=(500, 2)), delimiter=",")
        (kernel,) = [code for language, code in FENCE.findall(TEXTS["cudasim"]) if language == "cuda"]
        (folder / "twice.cu").write_text(kernel)
        (folder / "full").mkdir()
        (folder / "full" / "letter.txt").write_text("not a run")

    def call(self, *words: str) -> str:
        """What `minigan WORDS` prints; it must succeed."""
        result = CliRunner().invoke(main, list(words), catch_exceptions=False)
        assert result.exit_code == 0, f"minigan {shlex.join(words)}: {result.output}"
        return result.output

    def run_of(self, system: str) -> str:
        """A run of the system, two steps long, trained when it is first asked for."""
        if system not in self.runs:
            self.runs[system] = str(self.folder / f"run-{system}")
            small = {"base": 2, "batch_size": 4} if system != "text2image" else {}
            flags = [f"--{k.replace('_', '-')}={v}" for k, v in small.items() if k in SYSTEMS[system].takes]
            self.call("train", system, "--fast-dev-run", *flags, "--out", self.runs[system])
        return self.runs[system]

    def fill(self, words: list[str]) -> list[str]:
        """The words with what those in capitals stand for."""
        words = [NAMES.get(words[0], word) if word == "NAME" else WORDS.get(word, word) for word in words]
        return [word.replace("folder:PATH", f"folder:{self.folder / 'images'}") for word in words]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("minigan.gan.run.METRIC_SAMPLES", 20)
        yield World(folder)


def parsed(words: list[str]) -> click.Context:
    """The context of `minigan WORDS`, every option and argument read: the command, sub-commands too, is not run."""
    command, context, rest = main, click.Context(main, info_name="minigan"), words
    while isinstance(command, click.Group):
        _, command, rest = command.resolve_command(context, rest)
        context = command.make_context(command.name, rest, parent=context)
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
    return context


def dry_training(words, world):
    """The system, its options and the data set are read and the networks built; nothing is trained, but for two steps
    of --fast-dev-run and one more of --resume."""
    words = [
        "cpu" if word == "cuda" else word for word in words
    ]  # tests/gan/test_elsewhere.py asks for what is not here
    if "--help" in words:
        assert "Optimisation:" in world.call(*words)
        return
    if "--data" in words:
        at = words.index("--data") + 1
        if words[at] not in data.EMBEDDED and not words[at].startswith("folder:"):
            data.info(words[at])
            words[at] = STAND_INS.get(words[at], "digits")
    if "--resume" in words:
        words[words.index("--resume") + 1] = str(shutil.copytree(world.run_of("wgan-gp"), world.folder / "resumed"))
        if "--steps" in words:
            words[words.index("--steps") + 1] = "3"
        assert "step 3" in world.call(*words)
        shutil.rmtree(world.folder / "resumed")
    elif "--fast-dev-run" in words:
        world.run_of("wgan-gp" if len(words) == 2 else words[1])
    else:
        with patch("minigan.gan._dry_run._seconds", return_value=0.1):  # its steps are tests/cli/test_cli.py's
            assert "parameters" in world.call(*words, *([] if "-n" in words else ["-n"]))


def on_a_run(words, world):
    """Run on a run of two steps: of the system that the command needs, wgan-gp where it needs none."""
    system = "wgan-gp"
    if words[0] == "translate":
        system = "stargan" if "--set" in words else "cyclegan"
    else:
        systems = {"traverse": "cgan", "draw": "text2image", "upscale": "srgan", "film": "nextframe"}
        system = "stylegan" if "--truncation" in words else systems.get(words[0], system)
    few = ["-n", "20"] if words[0] == "eval" else []  # the last one holds
    world.call(words[0], world.run_of(system), *words[2:], *few)


def on_two_runs(words, world):
    """Runs side by side: any two."""
    world.call(words[0], world.run_of("wgan-gp"), world.run_of("cgan"), *words[3:])


def looked_into(words, world):
    """The target must be a system or an example; a small program is looked into instead."""
    place = words[1].partition(":")[0]
    assert place in SYSTEMS or importlib.util.find_spec(f"minigan.examples.{place}")
    world.call(words[0], f"{world.folder / 'step.py'}:step", *words[2:])


def exported(words, world):
    """On a run of two steps, where the package that it needs is installed."""
    if words[1] == "onnx":
        pytest.importorskip("onnx")
    world.call(*words[:2], world.run_of("wgan-gp"), *words[3:])


def toy_points(words, world):
    """Points in the plane: everything is read and built, and then the folder is refused, since it holds something else;
    `minigan toy ring` trains two steps."""
    if words == ["toy", "ring"]:
        assert "of 8 modes" in world.call(*words, "--steps", "2", "--out", "toy-run")
        return
    result = CliRunner().invoke(main, [*words, "--out", str(world.folder / "full")], catch_exceptions=False)
    assert result.exit_code == 2 and "full" in result.output, result.output


def data_set(words, world):
    """A set of the package, or a folder, is read; another must be in the table of sets."""
    name = words[-1]
    if name == "list" or name in data.EMBEDDED or name.startswith("folder:"):
        world.call(*words)
    else:
        parsed(words)
        data.info(name)


def options_only(words, world):
    """Too long for a test: options and arguments are read, and names must be known."""
    params = parsed(words).params
    if words[0] == "classifier":
        data.info(params["data_name"])
    if words[0] == "results":
        from minigan.gan import results

        results.rows(params["names"])
    if words[0] == "gradcheck" and params["model"]:
        from minigan.gan.systems import system

        system(params["model"])
    if words[0] == "bench":
        choices = json.loads(world.call("bench", "--list", "--json").splitlines()[-1])
        assert set(params["workloads"]) <= set(choices["workloads"])
        assert set((params["peers"] or "torch").split(",")) <= set(choices["contestants"])


def certificate(words, world):
    """All ops are too many for a test: only their options are read. Ops that the page names are checked."""
    if len(words) == 1 or "--model" in words:
        options_only(words, world)
    else:
        assert "pass" in world.call(*words)


def diagnosis(words, world):
    """A step of an example is looked at, or a run; without a target, the page speaks of the command."""
    if len(words) > 1:
        target = world.run_of("wgan-gp") if words[1] == "RUN" else words[1]
        assert "nothing found wrong" in world.call(words[0], target, *words[2:])


def summarised(words, world):
    """Of a system, or of the network that the page calls net.py:Critic."""
    (world.folder / "net.py").write_text(NET)
    assert "parameters" in world.call(*words)


def simulation(words, world):
    """Run where g++ is."""
    if not cudasim.available():
        pytest.skip("needs g++")
    if words[1].endswith(".cu"):
        assert "nothing found wrong" in world.call(*words)


def as_it_is(words, world):
    """Run as it is."""
    world.call(*words)


def module(words, world):
    """`python -m NAME`: the module exists, and takes these options if it takes any. The examples are run by their own
    tests. `python FILE`: the file exists."""
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file()
        return
    spec = importlib.util.find_spec(words[1])
    assert spec is not None, f"there is no module {words[1]}"
    if words[1] == "venv" or ".examples." in words[1]:
        return
    if "argparse" not in Path(spec.origin).read_text():
        assert not words[2:], f"{words[1]} takes no options"
        return

    class Read(Exception):
        pass

    parse = argparse.ArgumentParser.parse_args

    def read(self, *args):
        parse(self, *args)
        raise Read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", read)
        patch.setattr(sys, "argv", [words[1], *words[2:]])
        with pytest.raises(Read):
            importlib.import_module(words[1]).main()
    assert [w for w in words if re.match(r"(tests|kernels)/[\w/.]+$", w) and not (ROOT / w).exists()] == []


def selection(words, world):
    """`pytest`, of which this is one: the files exist, the marker is one, a word of -k is in the name of a test."""
    names = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for flag, value in zip(words, [*words[1:], ""], strict=True):
        if flag == "-k":
            assert re.search(rf"def test_\w*{value}", names), f"no test is called {value}"
        if flag == "-m":
            assert any(row.startswith(f"{value}:") for row in PROJECT["tool"]["pytest"]["ini_options"]["markers"])
        if flag == "--device":
            assert value in ("cudasim", "cudasim:check", "cuda")
        if flag.startswith("-"):
            assert flag in ("-k", "-m", "-n", "--device")
        elif flag.startswith("tests"):
            assert (ROOT / flag).is_file(), f"there is no {flag}"


def extra_of_pip(words, world):
    """`pip install`: the extra is one of pyproject.toml."""
    assert words[0] == "install" and (words[1] == "-e" or len(words) == 2)
    what, extra = re.fullmatch(r"(\.|minigan)(?:\[(\w+)\])?", words[-1]).groups()
    assert what in (".", "minigan") and (extra is None or extra in PROJECT["project"]["optional-dependencies"])


def exercise(words, world):
    """`minigan learn`: in a folder of its own; the exercise that `reset` names is begun first. `watch` does not end."""
    folder = ["--dir", str(world.folder / "learn")]
    if "watch" in words:
        world.call("learn", "watch", "--help")
        return
    if "reset" in words:
        world.call("learn", words[-1], *folder)
    world.call(*words, *folder)


def site(words, world):
    """`mkdocs`: its configuration is there. The site is built by hand, with the docs extra."""
    assert words[0] in ("build", "serve") and (ROOT / words[words.index("-f") + 1]).is_file()


def line_of_ci(words, world):
    """A line that stands in .ci/run, and is run there."""
    assert shlex.join(words) in (ROOT / ".ci" / "run").read_text()


def documentation(words, world):
    """Run as it is; the book to print needs the package that lays it out."""
    if "--html" in words:
        pytest.importorskip("markdown")
    world.call(*words)


def literal(words, world):
    """Of the shell or of Python: nothing of minigan's to try."""


def only_parsed(words: list[str], world) -> None:
    """The words and options are the command's; what it does on a run is tried in tests/gan/latents."""
    parsed(list(words))


KINDS: dict[str, Callable] = {
    "minigan train": dry_training,
    "minigan sample": on_a_run,
    "minigan eval": on_a_run,
    "minigan traverse": on_a_run,
    "minigan interpolate": on_a_run,
    "minigan strip": on_a_run,
    "minigan watch": on_a_run,
    "minigan compare": on_two_runs,
    "minigan arithmetic": only_parsed,
    "minigan ascend": only_parsed,
    "minigan search": only_parsed,
    "minigan edit": only_parsed,
    "minigan entanglement": only_parsed,
    "minigan report": on_a_run,
    "minigan export": exported,
    "minigan graph": looked_into,
    "minigan trace": looked_into,
    "minigan summary": summarised,
    "minigan translate": on_a_run,
    "minigan draw": on_a_run,
    "minigan upscale": on_a_run,
    "minigan film": on_a_run,
    "minigan toy": toy_points,
    "minigan data": data_set,
    "minigan classifier": options_only,
    "minigan scoreboard": options_only,
    "minigan grid": options_only,
    "minigan modes": options_only,
    "minigan bands": options_only,
    "minigan results": options_only,
    "minigan bench": options_only,
    "minigan scale": only_parsed,
    "minigan nightly": options_only,
    "minigan torture": options_only,
    "minigan gradcheck": certificate,
    "minigan doctor": diagnosis,
    "minigan cudasim": simulation,
    "minigan lab": as_it_is,
    "minigan learn": exercise,
    "minigan docs": documentation,
    "minigan list": as_it_is,
    "minigan systems": as_it_is,
    "minigan examples": as_it_is,
    "minigan ops": as_it_is,
    "minigan --version": as_it_is,
    "python": module,
    "python3": module,
    "pytest": selection,
    "pip": extra_of_pip,
    "mkdocs": site,
    "ruff": line_of_ci,
    "source .venv/bin/activate": literal,
    ".ci/run": literal,  # runs these tests
}
"""The first words of a command -> how it is tried."""


def kind_of(words: list[str]) -> tuple[int, Callable]:
    """(how many words are the command's name, how it is tried)."""
    for count in (2, 1):
        if " ".join(words[:count]) in KINDS:
            return count, KINDS[" ".join(words[:count])]
    raise KeyError(f"{shlex.join(words)}: of no kind that tests/docs/test_page_commands.py knows; add it to KINDS")


@pytest.mark.parametrize(
    "command",  # a network of 128 x 128 alone takes 20 seconds; smaller ones go through the same code
    [pytest.param(words, marks=pytest.mark.slow) if "--size 128" in words else words for words in commands()],
)
def test_commands_run(command, world):
    """Every command of every page, in a cheap form."""
    words, page = commands()[command]
    try:
        _, run = kind_of(words)
    except KeyError as error:
        pytest.fail(f"{page}: {error}")
    if words[0] == "minigan" and len(words) == 2 and words[1] in main.commands and words[1] in NEED_AN_ARGUMENT:
        return  # the command's name alone, in the text
    run(world.fill(words[1:]), world)


NEED_AN_ARGUMENT = {
    name for name, c in main.commands.items() if any(p.required for p in c.params if isinstance(p, click.Argument))
} | {"data", "export"}


def test_a_command_of_no_kind_is_noticed():
    with pytest.raises(KeyError, match="add it to KINDS"):
        kind_of(["minigan", "paint", "latest"])


def test_a_wrong_option_is_noticed(world):
    """The cheap forms do read what stands on the page."""
    for words in (["train", "--stepz", "5"], ["train", "dcgan", "--loss", "hinje"], ["train", "--gp-weigth", "0"]):
        with pytest.raises((click.UsageError, AssertionError)):
            dry_training(words, world)
    for words in (["bench", "--op"], ["scoreboard", "--slow"], ["results", "dcgann"], ["bench", "wgan-pg"]):
        with pytest.raises((click.UsageError, ValueError, AssertionError)):
            options_only(words, world)
    with pytest.raises(AssertionError, match="rign"):
        toy_points(["toy", "rign"], world)


def test_options_in_the_text_exist():
    """`--option` in the text is an option of a command, of pytest's, or of a module."""
    known = {o for c in walk(main) for p in c.params for o in [*p.opts, *p.secondary_opts]}
    known |= {"--device", "-n", "-m", "-k", "--help", "-ftz"}
    text = (ROOT / "minigan" / "cudasim" / "mutate.py").read_text() + (ROOT / "minigan/cudasim/gate.py").read_text()
    known |= set(re.findall(r'add_argument\("(--[\w-]+)"', text))
    options = {
        (page, span.split()[0].split("=")[0]) for page, t in TEXTS.items() for span in spans(t) if span[0] == "-"
    }
    assert {(page, option) for page, option in options if option not in known} == set()


def walk(command: click.Command):
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from walk(inner)


def test_every_command_is_on_the_page_of_commands():
    for name in main.commands:
        assert f"minigan {name}" in TEXTS["commands"], f"minigan {name} is not on minigan/docs/commands.md"
