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


def foretold(folder: Path, trainer: Trainer, shape: tuple[int, int, int], images: int, snaps: int, rows: int) -> str:
    """The line that says how much a run's folder will hold at most, and what is free there where that is less.

    shape: of an image (H, W, C). images: on a sheet of samples. snaps: sheets, and checkpoints if all stay. rows: of
    stats.jsonl.
    """
    keep, side = trainer.run_options.keep, max(trainer.options.size, *shape[:2])
    stay, each = min(keep or snaps, snaps), checkpoint_bytes(trainer)  # one more while the next is written
    across = math.ceil(math.sqrt(images)) * (2 * side + 2) + 2  # of viz.save_grid, enlarged twice
    animation = min(FRAMES, snaps + 2) * (across // math.ceil(across / WIDTH) + 22) ** 2 * 6 // 5
    sheets = (snaps + 2) * (images * side * side * shape[2] * 3 // 2 + 10_000)
    most = (stay + 1) * each + sheets + animation + rows * ROW + min(rows * LINE, 2 * LOG_BYTES) + PAGE
    line = f"the folder will hold {size(most)} at most: {stay} checkpoint{'s' * (stay > 1)} of {size(each)},"
    line += f" {snaps + 2} sheets of samples, curves, an animation"
    room = free(folder)
    if room is None or room >= most:
        return line
    return f"{line}. That is more than the {size(room)} free there: free some, or take fewer --steps or --keep 1"


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
