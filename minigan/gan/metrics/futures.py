"""How good the prediction of a next frame is where several are possible: beside each clip stand all its futures.

A clip of data/moving.py has one future, or after a bounce a known set. With f the futures of a clip and p a prediction:

    error       min over f of mean (p - f)^2        to the nearest future, not to the one that was drawn
    pixels      min over f of the distance of the centres of mass of p and f
    sharpness   gradient energy of p over that of the future nearest by error: a blur has less
    identity    share of images that a judge names rightly where that future has them
    to mean     mean (p - mean of f)^2: what the squared error alone is least at

Null models: the last frame again; linear motion, the last frame moved on as far as its centre of mass just moved; and a
smear, the last frame averaged over all the places that it could have come to.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from ...data.moving import REACH, VELOCITIES, Clip, drawn, velocities_after
from .realism import gradient_energy

MOST = 600
"""Futures of a clip that are looked at: those of two bounces at once are at most 21 x 21."""


def futures(images: np.ndarray, clip: Clip, row: int, past: int, background: float) -> tuple[np.ndarray, np.ndarray]:
    """(all possible next frames (F, C, S, S) of a clip's first `past` frames, the places (F, D, 2) of its images)."""
    places, velocity = clip.places[row, past - 1], clip.velocities[row, past - 1]
    possible = velocities_after(places, velocity, images.shape[2])
    each = [place + VELOCITIES[mask] for place, mask in zip(places, possible, strict=True)]
    combined = np.array(list(product(*each)))[:MOST]
    index = np.broadcast_to(clip.index[row], (1, len(clip.index[row])))
    return drawn(images, index, combined[None], background)[0], combined


def bounces(clip: Clip, past: int, room: int) -> np.ndarray:
    """Whether the frame after the first `past` is uncertain (B,)."""
    possible = velocities_after(clip.places[:, past - 1], clip.velocities[:, past - 1], room)
    return (possible.sum(-1) > 1).any(-1)


def centre_of_mass(images: np.ndarray, background: float) -> np.ndarray:
    """(N, 2), down and across in pixels, of how far images (N, C, S, S) are from the background; the page's middle
    where nothing is."""
    ink = np.abs(np.asarray(images, np.float64) - background).mean(1)
    side, total = ink.shape[-1], ink.sum((1, 2))
    at = np.arange(side)
    sums = np.stack([(ink.sum(2) * at).sum(1), (ink.sum(1) * at).sum(1)], 1)
    return np.where(total[:, None] > 1e-9, sums / np.maximum(total, 1e-9)[:, None], (side - 1) / 2)


def copied(past: np.ndarray, background: float) -> np.ndarray:
    """The last of past frames (N, P, C, S, S) again."""
    return past[:, -1]


def linear(past: np.ndarray, background: float) -> np.ndarray:
    """The last of past frames (N, P >= 2, C, S, S), moved on by whole pixels as far as its centre of mass just
    moved."""
    before, last = past[:, -2], past[:, -1]
    steps = np.rint(centre_of_mass(last, background) - centre_of_mass(before, background)).astype(int)
    moved = np.full_like(last, background)
    side = last.shape[-1]
    for page, frame, (y, x) in zip(moved, last, steps, strict=True):
        to_y, to_x = slice(max(y, 0), side + min(y, 0)), slice(max(x, 0), side + min(x, 0))
        of_y, of_x = slice(max(-y, 0), side - max(y, 0)), slice(max(-x, 0), side - max(x, 0))
        page[:, to_y, to_x] = frame[:, of_y, of_x]
    return moved


def smeared(past: np.ndarray, background: float) -> np.ndarray:
    """The mean of the last of past frames (N, P, C, S, S), moved by each of the 49 velocities."""
    last, side = past[:, -1] - background, past.shape[-1]
    wide = np.pad(last, ((0, 0), (0, 0), (REACH, REACH), (REACH, REACH)))
    pages = [wide[:, :, REACH - y : REACH - y + side, REACH - x : REACH - x + side] for y, x in VELOCITIES]
    return np.mean(pages, 0) + background


NULL_MODELS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "copy": copied,
    "linear": linear,
    "smear": smeared,
}


def figures(
    predicted: np.ndarray, images: np.ndarray, clip: Clip, past: int, background: float, named: Callable | None = None
) -> dict[str, float]:
    """The figures of predictions (B, C, S, S) of the frame after a clip's first `past`.

    named(crops (K, C, s, s), index (K,)): the share of crops that a judge names as the images of index are labelled.
    """
    if len(predicted) != len(clip.frames):
        raise ValueError(f"figures: {len(predicted)} predictions of {len(clip.frames)} clips")
    predicted = np.asarray(predicted, np.float64).clip(-1, 1)
    nearest, errors, pixels, to_mean, crops, index = [], [], [], [], [], []
    side = images.shape[2]
    for row, p in enumerate(predicted):
        frames, places = futures(images, clip, row, past, background)
        distances = np.square(frames - p).mean((1, 2, 3))
        best = distances.argmin()
        nearest.append(frames[best])
        errors.append(distances[best])
        away = centre_of_mass(frames, background) - centre_of_mass(p[None], background)
        pixels.append(np.linalg.norm(away, axis=1).min())
        to_mean.append(np.square(frames.mean(0) - p).mean())
        for k, (y, x) in enumerate(places[best]):
            crops.append(p[:, y : y + side, x : x + side])
            index.append(clip.index[row, k])
    right = np.stack(nearest)
    return {
        "clips": len(predicted),
        "error": float(np.mean(errors)),
        "pixels": float(np.mean(pixels)),
        "sharpness": gradient_energy(predicted) / max(gradient_energy(right), 1e-12),
        "to_mean": float(np.mean(to_mean)),
    } | ({} if named is None else {"identity": named(np.stack(crops).astype(np.float32), np.array(index))})
