"""All exercises: the tracks in order, each a file of tracks/ with a list EXERCISES."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from .exercise import Exercise

TRACKS = {
    "gradients": "gradients by hand: single numbers and ops",
    "layers": "gradients by hand: the layers of a GAN",
    "second": "gradients of gradients",
    "penalties": "penalties on a critic's slope",
    "losses": "losses",
    "divergences": "distances between distributions",
    "training": "the training loop",
    "steps": "optimisers and games",
    "loops": "kernels in Numba: indices, sums, races",
    "nests": "kernels in Numba: the loop nests of a convolution",
    "threads": "kernels in CUDA C: which thread owns what",
    "shared": "kernels in CUDA C: shared memory and barriers",
    "points": "find the bug: a WGAN-GP of points",
    "images": "find the bug: a GAN of small images",
    "shapes": "predict the shape, then run",
    "reading": "predict the number, then run",
}
"""Name -> what it is about. A track's name is its folder in the learner's folder."""


def track(name: str) -> dict[str, Exercise]:
    """The exercises of a track, in order, by name."""
    return {e.name: e for e in import_module(f"minigan.learn.tracks.{name}").EXERCISES}


def exercises() -> dict[str, Exercise]:
    """All exercises, in order, by name."""
    return {name: e for t in TRACKS for name, e in track(t).items()}


def exercise(name: str) -> Exercise:
    """The exercise of a name. ValueError, with the nearest one, where there is none."""
    rows = exercises()
    if name not in rows:
        near = get_close_matches(name, rows, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"learn: there is no exercise {name!r}; {hint}`minigan learn list` names them")
    return rows[name]
