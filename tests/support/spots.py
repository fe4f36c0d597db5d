"""Clips of a spot of four pixels that moves over an empty page, for tests of frames and of their figures."""

import numpy as np

from minigan.data.moving import VELOCITIES, Clip
from minigan.gan.metrics import futures

BACK = -1.0
"""What the page is painted with."""
SPOT = np.full((1, 1, 8, 8), BACK, np.float32)
SPOT[0, 0, 3:5, 3:5] = 1


def clips(place, velocity, count=1):
    """Clips of two frames of the spot, which came to `place` by `velocity`, and a third that nobody looks at."""
    n = int(np.flatnonzero((velocity == VELOCITIES).all(1))[0])
    places = np.array([[np.subtract(place, velocity)], [place], [place]])[None].repeat(count, 0)
    frames = futures.drawn(SPOT, np.zeros((count, 1), int), places, BACK)
    return Clip(frames, np.zeros((count, 1), int), places, np.full((count, 3, 1), n))


def together(*parts):
    """Clips of one image each as one clip of all of them, whose frames are the first one's."""
    index = np.concatenate([k + c.index for k, c in enumerate(parts)], 1)
    places, velocities = (np.concatenate([getattr(c, name) for c in parts], 2) for name in ("places", "velocities"))
    return Clip(parts[0].frames, index, places, velocities)
