"""The commands of latents on runs of several systems: figures as JSON, a picture, and errors of one line."""

import json
import shutil

import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.gan.run import Run
from minigan.gan.systems import options_for


def run_of(system, **changes):
    small = {"steps": 0, "batch_size": 4, "base": 2, "latent": 4, **changes}
    run = Run.create(options_for(system, **small))
    run._snapshot()
    return run


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with a user's function and some paint."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def bright(x): return x.mean((1, 2, 3))\n")
    image = Image.new("RGBA", (32, 32))
    image.putpixel((3, 4), (255, 255, 255, 255))
    image.save("paint.png")
    return tmp_path


def test_each_command_draws_and_tells(here):
    """On a run of cgan: the codes of classes stay, the picture lies where it is asked for, the figures are JSON."""
    run_of("cgan")
    for words, key in (
        (["ascend", "latest", "--toward", "mine.py:bright", "--steps", 2, "-n", 3], "ascent"),
        (["search", "latest", "--toward", "class=7", "--steps", 10, "--every", 4, "-n", 2], "chains"),
        (["edit", "latest", "--mask", "paint.png", "--steps", 2, "-n", 2], "edit"),
    ):
        result = invoke(*words, "-o", f"{key}.png", "--json")
        assert result.exit_code == 0, result.output
        figures = json.loads(result.stdout.splitlines()[-1])
        assert figures["step"] == 0 and next(iter(figures["rows"])) == key and figures["out"] == f"{key}.png"
        with Image.open(f"{key}.png") as image:
            assert image.width > 60


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ascend", "latest", "--toward", "class=eleven"], "unknown value of class 'eleven'"),
        (["ascend", "latest"], "Missing option '--toward'"),
        (["arithmetic", "latest", "- 7 + 7"], "take away as much as they add"),
        (["arithmetic", "latest", "7 - 7 + 4", "--groups", "images"], "cgan has no encoder"),
        (["edit", "latest", "--mask", "none.png"], "there is no file none.png"),
        (["edit", "latest", "none.png", "--mask", "paint.png"], "there is no file none.png"),
        (["search", "latest", "--toward", "class=7", "--judge", "nowhere"], "--judge nowhere: no such folder"),
        (["entanglement", "latest", "latest"], "is named twice"),
        (["ascend", "latest", "--toward", "class=7", "--prior", "nan"], "'--prior': nan is no number"),
        (["search", "latest", "--toward", "class=7", "--sigma", "nan"], "'--sigma': nan is no number"),
        (["arithmetic", "latest", "7 - 7 + 4", "--strength", "nan"], "'--strength': nan is no number"),
    ],
)
def test_what_does_not_fit_is_one_line(here, monkeypatch, words, told):
    import minigan.gan.latents.factors as module

    monkeypatch.setattr(module, "factors_of", lambda *_: type("F", (), {"lines": list, "as_dict": dict})())
    run_of("cgan")
    result = invoke(*words)
    assert result.exit_code == 2 and told in result.output, result.output
    assert "Traceback" not in result.output


def test_runs_of_one_name_are_told_apart(here, monkeypatch):
    """Two steps of a run, and a run of that name elsewhere: three rows, none of which is named twice."""
    import minigan.gan.latents.factors as module

    result = type("F", (), {"lines": lambda self: [], "as_dict": lambda self: {}})()
    monkeypatch.setattr(module, "factors_of", lambda *_: result)
    monkeypatch.setattr(module, "draw", lambda *_: None)
    run = run_of("cgan")
    folder = run.folder
    first = next(folder.glob("checkpoint-*.json"))
    shutil.copytree(folder, here / "elsewhere" / folder.name)
    run.trainer.steps_done = 1
    run._snapshot()
    done = invoke("entanglement", folder, first, here / "elsewhere" / folder.name, "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout.splitlines()[-1])["runs"]) == 3


def test_a_run_without_latents_is_refused(here):
    run = Run.create(options_for("cyclegan", steps=0, base=2))
    run._snapshot()
    result = invoke("ascend", "latest", "--toward", "mine.py:bright")
    assert result.exit_code == 2 and "cyclegan has no latents to search" in result.output
