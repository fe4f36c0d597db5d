"""What stands on the screen of `minigan watch`. The run's folder is all that it reads: training is not disturbed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from textwrap import wrap

import numpy as np

from .. import checkpoint
from .._files import parse_json
from .._terminal import printable
from ..gan._state import count_of
from ..gan.records import OPTIONS, TICK, lasting, read_looks, read_stats
from ..gan.status import BEAT, Status, read_status
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
    caption and path of the newest sample grid, or None. stopped: whether the stop rule has ended the run. status: what
    the run says of itself, or None. beat, at: what tells one writing from the next, and when this was read, by a clock
    that nobody sets."""

    folder: Path
    options: Mapping[str, object]
    rows: list[dict]
    silent: float
    frame: tuple[str, Path] | None
    stopped: bool
    status: Status | None = None
    beat: object = None
    at: float = 0.0

    @property
    def steps(self) -> int:
        return count_of(self.options, "steps")

    @property
    def step(self) -> int:
        rows = self.rows[-1]["step"] if self.rows else 0
        return max(rows, self.status.step) if self.status else rows

    @property
    def ended(self) -> bool:
        if self.status is not None:
            return self.status.ended or self.status.gone
        return self.stopped or self.step >= self.steps


def snapshot(folder: Path, before: Snapshot | None = None) -> Snapshot:
    """What a run folder holds now; `before` is the look before this one, if there was one: how long the run is silent
    is then told without the wall clock. Raises ValueError for damaged options, OSError where there are none."""
    try:
        options = parse_json((folder / OPTIONS).read_text(encoding="utf-8"))
        count_of(options, "steps")
        patience = count_of({"stop_when": 0} | options, "stop_when")
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{folder / OPTIONS} is damaged: {error}") from error
    written = [path.stat().st_mtime for name in ("stats.jsonl", "log.txt") if (path := folder / name).exists()]
    frames = list(run_frames(folder).items())
    status, at = read_status(folder), time.monotonic()
    beat = status or max(written, default=0.0)
    if status is not None and status.here:
        silent = status.silent()
    elif before is not None:
        silent = before.silent + at - before.at if beat == before.beat else 0.0
    else:
        silent = status.silent() if status else max(0.0, time.time() - max(written, default=time.time()))
    stopped = is_time([row["frechet"] for row in read_looks(folder)], patience)
    frame = frames[-1] if frames else None
    return Snapshot(folder, options, read_stats(folder), silent, frame, stopped, status, beat, at)


def screen(run: Snapshot, width: int, height: int, way: str) -> str:
    """The text of a screen of width x height characters: how far the run is, its curves, its newest samples in the
    `way` of pixels.WAYS. Longer than the height only where a picture is."""
    lines = [_title(run)[:width], _progress(run)[:width], *_trouble(run, width)]
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
    status = run.status
    if not run.rows:
        return f"no row of figures yet; {run.steps} steps to go" + (_state(run, 0.0) if status else "")
    rate = _rate(run.rows)
    seconds = max(run.rows[-1].get("seconds", 0.0), status.seconds if status else 0.0)
    text = f"step {run.step} of {run.steps}, {lasting(seconds)}, {1000 * rate:.1f} ms a step"
    if run.stopped:
        return text + (", ended by its stop rule" if run.step < run.steps else ", done")
    if run.step < run.steps and not run.ended:
        text += f", about {lasting(rate * (run.steps - run.step))} left"
    return text + _state(run, rate)


def _state(run: Snapshot, rate: float) -> str:
    """What is to be said of a run beside its figures: its end, its phase, its silence."""
    status = run.status
    if status is not None and status.gone:
        return f"; its process {status.pid} is gone"
    if status is not None and status.phase in ("stopped", "failed"):
        return f"; {status.phase}"
    if run.ended:
        return ", done"
    text = f", {status.phase}" if status and status.phase != "training" else ""
    quiet = max(10.0, 2 * BEAT, 4 * TICK * rate)
    return text + (f"; silent for {lasting(run.silent)}: stopped?" if run.silent > quiet else "")


def _trouble(run: Snapshot, width: int) -> list[str]:
    """Lines of what is wrong, and of the way on."""
    status, lines = run.status, []
    if status is not None and status.trouble:
        lines += wrap(printable(f"trouble: {status.trouble}"), width, break_on_hyphens=False)
    over = status is not None and (status.gone or status.phase in ("stopped", "failed"))
    if over and checkpoint.paths(run.folder):
        command = f"minigan train --resume {quote(str(run.folder))}"
        lines += wrap(printable(f"go on with: {command}"), width, break_on_hyphens=False)
    return lines


def _rate(rows: list[dict], back: int = 10) -> float:
    """Seconds a step over the last rows."""
    first, last = rows[-min(len(rows), back + 1)], rows[-1]
    if first is last:
        return last.get("seconds", 0.0) / max(last["step"], 1)
    return max(0.0, last.get("seconds", 0.0) - first.get("seconds", 0.0)) / max(last["step"] - first["step"], 1)


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
