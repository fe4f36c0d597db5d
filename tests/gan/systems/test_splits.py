"""Every system, judged by a half of the held-out images, reads that half and no other."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from minigan.backend import Generator
from minigan.data import Dataset, load
from minigan.gan.systems import SYSTEMS, options_for, trainer_for

COUNT = 12


@lru_cache
def few(name: str) -> Dataset:
    """A data set with a few of its images."""
    dataset = load(name)
    rows = {part: getattr(dataset, part)[:: len(getattr(dataset, part)) // 64] for part in ("train", "held_out")}
    return replace(dataset, **rows)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, {}) for name in SYSTEMS if name not in ("cyclegan", "ae", "vae")),  # its pairs: test_cyclegan
        *((name, {"data": "avatars", "base": 4}) for name in ("dcgan", "ae", "vae", "ali", "infogan", "vqgan")),
    ],
)
def test_the_half_is_what_is_read(name, changes):
    """Where the set itself has held-out images that lie nowhere; of a set of classes, and of one of attributes alone,
    for every system that trains on it."""
    judged_by_the_half(name, changes)


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_the_half_is_what_codes_are_judged_by(name):
    """Apart from the other systems, since mutants are run against it."""
    judged_by_the_half(name, {})


def judged_by_the_half(name: str, changes: dict) -> None:
    options = options_for(name, **changes)
    whole = few(options.data)

    class Sealed(Dataset):
        def half(self, part):
            return whole.half(part)

    trainer = trainer_for(options, whole)
    nowhere = np.full(len(whole.held_out), len(whole.images) + 10**6)
    trainer.dataset = Sealed(**vars(whole) | {"held_out": nowhere})
    observation = trainer.observe_on("test", COUNT, Generator(0, 7))
    assert observation.lines and observation.figures["split"] == "test"
