"""A run goes on with the images it was trained on, and no others, even where there are as many."""

import numpy as np
import pytest
from PIL import Image

from minigan import checkpoint, data
from minigan.checkpoint import CheckpointError
from minigan.gan.run import Run, load_trainer
from minigan.gan.systems import options_for


def paint(folder, count=24, seed=0):
    random = np.random.default_rng(seed)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for k in range(count // 2):
            Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / label / f"{k:02}.png")


def one_pixel(folder):
    picture = np.array(Image.open(folder / "a" / "03.png"))
    picture[5, 5, 0] ^= 1
    Image.fromarray(picture).save(folder / "a" / "03.png")


def swapped(folder):
    """Two images of two classes, in each other's place."""
    one, other = folder / "a" / "01.png", folder / "b" / "01.png"
    before = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(before)


def renamed(folder):
    """Another order of the same images."""
    (folder / "a" / "00.png").rename(folder / "a" / "99.png")


def other(folder):
    paint(folder, seed=1)


def small(folder, steps):
    return options_for("wgan-gp", data=f"folder:{folder}", steps=steps, batch_size=4, base=1, n_critic=1, latent=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(images, run) after one step."""
    folder = tmp_path_factory.mktemp("resume")
    paint(folder / "images")
    run = Run.create(small(folder / "images", 1), folder / "run")
    run.trainer.step()
    run._save()
    return folder / "images", folder / "run"


@pytest.mark.parametrize("change", [one_pixel, swapped, renamed, other])
def test_other_images_of_the_same_count_are_refused(trained, change):
    images, run = trained
    change(images)
    with pytest.raises(CheckpointError, match="was trained on other images"):
        Run.resume(str(run), steps=2)
    with pytest.raises(CheckpointError, match="was trained on other images"):
        load_trainer(str(run))
    load_trainer(str(run), with_data=False)  # samples need none
    paint(images)
    (images / "a" / "99.png").unlink(missing_ok=True)
    assert Run.resume(str(run), steps=2).trainer.steps_done == 1


def test_checkpoints_without_a_digest_go_on(trained, tmp_path):
    """As those of earlier versions are."""
    saved = checkpoint.latest(trained[1])
    state = {name: value for name, value in saved.state.items() if name != "data_digest"}
    checkpoint.save(tmp_path, saved.step, saved.arrays, state)
    assert Run.resume(str(tmp_path), steps=2).trainer.steps_done == 1


def test_a_digest_is_that_of_everything():
    """The same set has the same digest; one number of any of its arrays changes it."""
    dataset = data.load("avatars")
    digests, arrays = {dataset.digest()}, 0
    assert data.load("avatars").digest() in digests
    for name in ("images", "labels", "attributes", "train", "held_out", "pairs"):
        array = getattr(dataset, name)
        if array is not None:
            changed = array.copy()
            changed.flat[0] ^= 1
            digests.add(type(dataset)(**{**vars(dataset), name: changed}).digest())
            arrays += 1
    assert len(digests) == 1 + arrays
