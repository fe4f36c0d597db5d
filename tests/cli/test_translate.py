"""minigan translate: images of any format through a trained network, each bad one named, and what is refused."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main, translate

SMALL = ["--steps", "2", "--batch-size", "4", "--base", "2", "--blocks", "1"]


def run(*args: str):
    return CliRunner().invoke(main, list(args))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the runs cyc, star and plain, and images: good, grey of 16 bits, animated, broken, tiny."""
    folder = tmp_path_factory.mktemp("translate")
    here = os.getcwd()
    os.chdir(folder)
    try:
        for system, name in (("cyclegan", "cyc"), ("stargan", "star")):
            result = run("train", system, *SMALL, "--out", name)
            assert result.exit_code == 0, result.output
        result = run("train", "wgan-gp", "--steps", "0", "--base", "2", "--batch-size", "4", "--out", "plain")
        assert result.exit_code == 0, result.output
    finally:
        os.chdir(here)
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8))
    picture.save(folder / "good.png")
    picture.save(folder / "good.webp")
    Image.fromarray(rng.integers(0, 65536, (20, 20)).astype(np.uint16)).save(folder / "deep.png")
    picture.save(folder / "moving.gif", save_all=True, append_images=[picture.rotate(90)])
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff not much of a picture")
    Image.new("RGB", (1, 1)).save(folder / "tiny.png")
    return folder


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


@pytest.mark.parametrize(
    "wish", [["cyc"], ["cyc", "--to", "openmoji"], ["star", "--set", "hat=yes", "--set", "smile=no"]]
)
def test_translations_are_written_and_bad_images_named(wish, there):
    """Two rows, the images above what became of them; what cannot be used or is changed is said, a line each."""
    name, *options = wish
    images = ["good.png", "broken.jpg", "deep.png", "tiny.png", "moving.gif", "good.webp", "absent.png", "cyc"]
    result = run("translate", name, *images, *options, "-o", "out.png", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["translated"] == ["good.png", "deep.png", "moving.gif", "good.webp"]
    assert set(figures["skipped"]) == {"broken.jpg", "tiny.png", "absent.png", "cyc"}
    for line in (
        "tiny.png: skipped, 1x1 is smaller than 4x4",
        "absent.png: skipped, no such file",
        "cyc: skipped, a folder",
        "deep.png: 16 bits a pixel, scaled to 8",
        "moving.gif: animated, the first of 2 frames is used",
    ):
        assert line in result.output
    assert "broken.jpg: skipped, " in result.output
    size = 4 * (16 if name == "star" else 32)
    with Image.open(there / "out.png") as sheet:
        assert sheet.size == (4 * (size + 2) + 2, 2 * (size + 2) + 2)


@pytest.mark.parametrize(
    ("data", "words", "fit"),
    [
        (None, [], "pad"),
        ("folder:/pictures", [], "crop"),
        ("folder:/pictures,size=32,fit=stretch", [], "stretch"),
        ("folder:/pictures,fit=stretch", ["--fit", "pad"], "pad"),
    ],
)
def test_squares_are_made_as_the_run_s_folder_made_them(data, words, fit, there, monkeypatch):
    fits, trainer, read = [], translate._trainer, translate._read

    def of(*arguments):
        found = trainer(*arguments)
        if data is not None:
            found[0].options = replace(found[0].options, data=data)
        return found

    monkeypatch.setattr(translate, "_trainer", of)
    monkeypatch.setattr(translate, "_read", lambda *a: fits.append(a[2]) or read(*a))
    result = run("translate", "cyc", "good.png", *words, "-o", f"{fit}.png")
    assert fits == [fit] and result.output.startswith("1 image ")


def test_only_the_translation(there):
    result = run("translate", "cyc", "good.png", "--only", "--scale", "1", "-o", "one.png")
    assert result.exit_code == 0, result.output
    with Image.open(there / "one.png") as sheet:
        assert sheet.size == (36, 36)


@pytest.mark.parametrize(
    ("args", "match", "code"),
    [
        (["cyc", "good.png", "--to", "apple"], "translates to twemoji or openmoji, not to 'apple'", 2),
        (["cyc", "good.png", "--set", "hat=yes"], "a run of cyclegan has no attributes to set; use --to twemoji or", 2),
        (["star", "good.png"], "takes --set ATTRIBUTE=yes or no, not --to; it knows glasses, hat", 2),
        (["star", "good.png", "--set", "hat=blue"], "--set hat=blue: set one of glasses, hat", 2),
        (["star", "good.png", "--set", "hat"], "--set hat: write each attribute once", 2),
        (["plain", "good.png"], "a run of wgan-gp, which makes images of noise", 2),
        (["cyc", "tiny.png"], "none of the images can be used", 1),
        (["nowhere", "good.png"], "nowhere", 1),
    ],
)
def test_wrong_use_is_one_line(args, match, code, there):
    result = run("translate", *args)
    assert result.exit_code == code and match in result.output and "Traceback" not in result.output


def test_sample_says_that_a_translator_needs_images(there):
    result = run("sample", "cyc")
    assert result.exit_code == 2 and "use minigan translate" in result.output.replace("\n", " ")
