"""Images that move over a page and bounce: clips made on the fly, each a pure function of (seed, step).

An image of side s moves over a page of side S = 2 s by a whole number of pixels a frame, at most REACH along each axis.
As long as its next place is on the page it goes straight on. Where it would leave the page it bounces: along the axis
that it left by it turns back, and otherwise its new velocity is drawn anew from all that keep it on the page. So the
next frame is certain from the last two, but for the bounces, where it is one of a known set (`velocities_after`).
Images of one page pass through each other: their distances from the background add up.

Batch t is drawn from the counter-based random numbers (seed, MOVING_STREAM, t), on any machine the same.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minigan import kernels

MOVING_STREAM = 0x6D6F7665  # "move"
REACH = 3
VELOCITIES = np.indices((2 * REACH + 1,) * 2).reshape(2, -1).T - REACH
"""All velocities (49, 2) in pixels a frame, down and across; the one in the middle is standing still."""
STILL = len(VELOCITIES) // 2


@dataclass(frozen=True)
class Clip:
    """A batch of clips: frames (B, T, C, S, S) in [-1, 1]; which image each of D moving ones is (B, D); their places
    (B, T, D, 2), top and left, and the numbers of the velocities (B, T, D) by which they came there."""

    frames: np.ndarray
    index: np.ndarray
    places: np.ndarray
    velocities: np.ndarray


def velocities_after(place: np.ndarray, velocity: np.ndarray, room: int) -> np.ndarray:
    """Which of the 49 velocities (..., 49) can follow `velocity` (...), a number of VELOCITIES, at `place` (..., 2).

    room: the largest place along an axis. One, the same again, unless it leads off the page.
    """
    ahead = place + VELOCITIES[velocity]
    off = (ahead < 0) | (ahead > room)
    arrivals = place[..., None, :] + VELOCITIES
    inside = ((arrivals >= 0) & (arrivals <= room)).all(-1)
    turned = (~off[..., None, :] | (np.sign(VELOCITIES) == -np.sign(VELOCITIES[velocity])[..., None, :])).all(-1)
    same = np.arange(len(VELOCITIES)) == velocity[..., None]
    return np.where(off.any(-1)[..., None], inside & turned, same)


def clip(
    images: np.ndarray, count: int, frames: int, seed: int, step: int, objects: int = 1, background: float = -1.0
) -> Clip:
    """`count` clips of images (N, C, s, s) in [-1, 1], drawn by (seed, step). Raises ValueError for images too small to
    move about."""
    n, _, side, _ = images.shape
    room = side
    if room <= REACH:
        raise ValueError(
            f"moving: images of {side} pixels on a page of {2 * side} have no room to move {REACH} a frame"
        )
    draws = kernels.random.uniform(count * objects * (4 + frames), seed, MOVING_STREAM, step, np.float64)
    draws = draws.reshape(4 + frames, count, objects)
    index = (draws[0] * n).astype(np.int64)
    place = (draws[1:3] * (room + 1)).astype(np.int64).transpose(1, 2, 0)
    velocity = (draws[3] * (len(VELOCITIES) - 1)).astype(np.int64)
    velocity += velocity >= STILL
    places, velocities = [place], [velocity]
    for draw in draws[4 : 3 + frames]:
        possible = velocities_after(place, velocity, room)
        wanted = (draw * possible.sum(-1)).astype(np.int64)
        velocity = (possible.cumsum(-1) > wanted[..., None]).argmax(-1)
        place = place + VELOCITIES[velocity]
        places.append(place)
        velocities.append(velocity)
    where = np.stack(places, 1)
    return Clip(drawn(images, index, where, background), index, where, np.stack(velocities, 1))


def drawn(images: np.ndarray, index: np.ndarray, places: np.ndarray, background: float = -1.0) -> np.ndarray:
    """Pages (B, T, C, S, S) with the images of index (B, D) at places (B, T, D, 2)."""
    side = images.shape[2]
    b, t, d, _ = places.shape
    pages = np.zeros((b, t, images.shape[1], 2 * side, 2 * side), np.float32)
    for i in range(b):
        for k in range(d):
            ink = images[index[i, k]] - background
            for j in range(t):
                y, x = places[i, j, k]
                pages[i, j, :, y : y + side, x : x + side] += ink
    return np.clip(pages + background, -1, 1).astype(np.float32)


class MovingLoader:
    """Batches of clips without end, as `Loader` gives batches of images: `batch(t)` for any t, or `next(loader)`."""

    def __init__(
        self,
        images: np.ndarray,
        batch_size: int,
        seed: int,
        frames: int = 3,
        objects: int = 1,
        background: float = -1.0,
    ) -> None:
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.frames, self.objects, self.background, self.step = frames, objects, background, 0
        self.batch(0)

    def batch(self, step: int) -> Clip:
        """Batch `step` (0, 1, ...), whatever was asked before."""
        return clip(self.images, self.batch_size, self.frames, self.seed, step, self.objects, self.background)

    def __iter__(self) -> MovingLoader:
        return self

    def __next__(self) -> Clip:
        batch = self.batch(self.step)
        self.step += 1
        return batch

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands, and what its clips depend on."""
        names = ("step", "seed", "batch_size", "frames", "objects")
        return {name: getattr(self, name) for name in names} | {"count": len(self.images)}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state` stood; ValueError where this loader's clips would be others."""
        mine = self.state_dict()
        for key in mine.keys() - {"step"}:
            if state[key] != mine[key]:
                raise ValueError(f"MovingLoader: the saved loader had {key} {state[key]}, this one has {mine[key]}")
        self.step = operator.index(state["step"])
