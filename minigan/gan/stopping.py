"""When to stop on few images: the distance of samples to held-out images falls, and later, as the generator comes to
copy what it was trained on, it rises again. The distance to the training images would fall on.

    stop when the smallest distance so far is `patience` looks old            (early stopping: Prechelt 1998)

The distances are to the validation half of the held-out images, so that figures on the test half stay unseen. Beside
each stands the share of samples that lie nearer to a training image than to a held-out one (metrics/memorisation.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def is_time(distances: Sequence[float], patience: int) -> bool:
    """Whether to stop after these distances, one a look. patience: looks without a smaller one; 0 for no rule."""
    if not patience or not distances:
        return False
    return len(distances) - 1 - int(np.argmin(distances)) >= patience
