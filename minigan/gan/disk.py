"""How much a run will write into its folder, before it does: a bound for each kind of file, and what is free there."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

from .train import Trainer
from .writing import LOG_BYTES

ROW, LINE, FRAMES, WIDTH, PAGE = 700, 500, 60, 400, 3 << 20
"""Bytes of a row of stats.jsonl, of a line of the log; frames of the animation, and their width at most; bytes of the
curves and the page at a run's end."""


def checkpoint_bytes(trainer: Trainer) -> int:
    """The size of a checkpoint, at most; before the first step with two moments of each weight."""
    arrays, state = trainer.state()
    weights = [p.data for network in trainer.trained().values() for p in network.parameters()]
    size = sum(a.nbytes + 200 for a in arrays.values()) + 2 * len(json.dumps(state)) + 20_000
    return size + sum(2 * w.nbytes + 500 for w in weights) * (not trainer.steps_done)


def forecast(trainer: Trainer, images: tuple[int, ...], pictures: int, rows: int, checkpoints: int) -> tuple[int, str]:
    """(bytes that a run's folder will hold at most, the same in words).

    images: shape (N, H, W, C) of a sheet of samples. pictures: sheets in all. rows: of stats.jsonl. checkpoints: that
    stay; one more while the next is written.
    """
    each = checkpoint_bytes(trainer)
    sheet = math.prod(images) * 3 // 2 + 10_000
    across = math.ceil(math.sqrt(images[0])) * (2 * images[2] + 2) + 2  # of viz.save_grid, enlarged twice
    animation = min(FRAMES, pictures) * (across // math.ceil(across / WIDTH) + 22) ** 2 * 6 // 5
    total = (checkpoints + 1) * each + pictures * sheet + animation + rows * ROW + min(rows * LINE, 2 * LOG_BYTES)
    words = f"{checkpoints} checkpoint{'s' * (checkpoints > 1)} of {size(each)}, {pictures} sheets of samples"
    return total + PAGE, words


def free(folder: Path) -> int | None:
    """Bytes that this user may still write there; None where the system does not say."""
    try:
        return shutil.disk_usage(os.fspath(folder)).free
    except OSError:
        return None


def size(count: float) -> str:
    """A number of bytes in words, in powers of 1,000."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if count >= 9.95 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
