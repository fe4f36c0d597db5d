"""What stands on the screen of `minigan watch`. The run's folder is all that it reads: training is not disturbed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._files import parse_json
from .._terminal import printable
from ..gan._state import count_of
from ..gan.records import OPTIONS, TICK, read_looks, read_stats
from ..gan.stopping import is_time
from ..viz import grid_cells, image_grid, run_frames
from .chart import chart
from .pixels import picture

CURVES = (
    ("critic_estimate", "critic's estimate of the distance"),
    ("d_loss", "D's loss"),
    ("g_loss", "G's loss"),
    ("gradient_norm", "slope of the critic"),
    ("d_real", "D on reals"),
    ("d_fake", "D on fakes"),
    ("g_weight_gradient", "gradient of G's weights"),
)
SHOWN, LINES, CELL, PICTURE = 4, 5, 24, 14
"""Curves on a screen, the lines of each; the characters that an image should have in width; the lines left for them."""


@dataclass(frozen=True)
class Snapshot:
    """What a run's folder holds now. rows: of stats.jsonl. silent: seconds since the folder was last written to. frame:
    caption and path of the newest sample grid, or None. stopped: whether the stop rule has ended the run."""

    folder: Path
    options: Mapping[str, object]
    rows: list[dict]
    silent: float
    frame: tuple[str, Path] | None
    stopped: bool

    @property
    def steps(self) -> int:
        return count_of(self.options, "steps")

    @property
    def step(self) -> int:
        return self.rows[-1]["step"] if self.rows else 0

    @property
    def ended(self) -> bool:
        return self.stopped or self.step >= self.steps


def snapshot(folder: Path) -> Snapshot:
    """What a run folder holds now. Raises ValueError for damaged options, OSError where there are none."""
    try:
        options = parse_json((folder / OPTIONS).read_text(encoding="utf-8"))
        count_of(options, "steps")
        patience = count_of({"stop_when": 0} | options, "stop_when")
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{folder / OPTIONS} is damaged: {error}") from error
    written = [path.stat().st_mtime for name in ("stats.jsonl", "log.txt") if (path := folder / name).exists()]
    frames = list(run_frames(folder).items())
    silent = max(0.0, time.time() - max(written, default=time.time()))
    stopped = is_time([row["frechet"] for row in read_looks(folder)], patience)
    return Snapshot(folder, options, read_stats(folder), silent, frames[-1] if frames else None, stopped)


def screen(run: Snapshot, width: int, height: int, way: str) -> str:
    """The text of a screen of width x height characters: how far the run is, its curves, its newest samples in the
    `way` of pixels.WAYS. Longer than the height only where a picture is."""
    lines = [_title(run)[:width], _progress(run)[:width]]
    curves = [(key, name) for key, name in CURVES if any(key in row for row in run.rows)]
    pictures = run.frame is not None and way != "none"
    room = max(1, (height - len(lines) - 1 - (PICTURE if pictures else 0)) // (LINES + 1))
    for key, name in curves[: min(SHOWN, room)]:
        steps, values = zip(*((row["step"], row[key]) for row in run.rows if key in row), strict=True)
        lines += [f"{name}: {values[-1]:.4g}"[:width], *chart(steps, values, max(16, width - 1), LINES)]
    if pictures:
        caption, path = run.frame
        with suppress(OSError, ValueError):  # it may be replaced while it is read
            lines += [f"samples, {caption}", picture(_samples(run, path, way, width - 1), way, width - 1)]
    return "\n".join(lines) + "\n"


def _title(run: Snapshot) -> str:
    return printable(f"{run.options.get('system')} on {run.options.get('data')}, {run.folder}")


def _progress(run: Snapshot) -> str:
    if not run.rows:
        return f"no row of figures yet; {run.steps} steps to go"
    seconds = run.rows[-1].get("seconds", 0.0)
    rate = _rate(run.rows)
    text = f"step {run.step} of {run.steps}, {_clock(seconds)}, {1000 * rate:.1f} ms a step"
    if run.ended:
        return text + (", ended by its stop rule" if run.step < run.steps else ", done")
    text += f", about {_clock(rate * (run.steps - run.step))} left"
    quiet = max(10.0, 4 * TICK * rate)
    return text + (f"; silent for {_clock(run.silent)}: stopped?" if run.silent > quiet else "")


def _rate(rows: list[dict], back: int = 10) -> float:
    """Seconds a step over the last rows."""
    first, last = rows[-min(len(rows), back + 1)], rows[-1]
    if first is last:
        return last.get("seconds", 0.0) / max(last["step"], 1)
    return max(0.0, last.get("seconds", 0.0) - first.get("seconds", 0.0)) / max(last["step"] - first["step"], 1)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _samples(run: Snapshot, path: Path, way: str, width: int) -> np.ndarray:
    """The grid of samples as uint8 (H, W, 1 or 3). Where characters are the pixels, only its first images, a row of
    as many as have CELL of them each."""
    from PIL import Image

    if way in ("blocks", "characters"):
        with suppress(ValueError, LookupError):  # a sheet of another kind is shown whole
            columns = max(1, width // CELL)
            cells = grid_cells(path, count_of(run.options, "size"))[:columns]
            return image_grid(cells, columns, padding=1)
    with Image.open(path, formats=("PNG",)) as file:
        array = np.asarray(file.convert("L" if file.mode in ("L", "1") else "RGB"))
    return array.reshape(*array.shape[:2], -1)
