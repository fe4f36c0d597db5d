"""Several runs side by side: what differs in their options and figures, and their curves in one picture."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._files import atomic_write, parse_json
from ..gan.records import OPTIONS, is_number, metrics_of, read_stats
from ..viz import INK, PANELS, picture_format, run_frames, running_mean

COLOURS = ("#2a6fbb", "#d9721e", "#2b8a5b", "#9a3fa0", "#7a6a1f", "#c0304a", "#3a8fa3", "#6b6b74")
"""One a run, told apart by colour-blind people in this order; from the ninth on they come again, dashed."""
LINES = ("solid", (0, (5, 2)), (0, (1, 1)))
ALWAYS = {"system", "data", "steps", "seed"}
"""Options that are shown whether they differ or not."""


def table(folders: Sequence[Path]) -> list[tuple[str, ...]]:
    """Rows (name, a value a run): the runs, the options in which they differ, how far they are, the figures of their
    ends. A dash stands where a run has no such thing. Raises OSError, ValueError for damaged options."""
    options = [_options(folder) for folder in folders]
    stats = [read_stats(folder) for folder in folders]
    figures = [metrics_of(folder) for folder in folders]
    rows: list[tuple[str, ...]] = [("run", *_labels(folders))]
    for name in _names(options):
        values = [_text(o.get(name)) for o in options]
        if name in ALWAYS or len(set(values)) > 1:
            rows.append((name, *values))
    rows.append(("steps done", *(_text(s[-1]["step"] if s else 0) for s in stats)))
    rows.append(("seconds", *(_text(s[-1].get("seconds") if s else None) for s in stats)))
    rows += [(name, *(_text(f.get(name)) for f in figures)) for name in _names(figures)]
    return rows


def draw(path: str | os.PathLike, folders: Sequence[Path]) -> None:
    """Write a picture, in the format of its ending: a panel a figure with a curve a run, and below each run's newest
    samples. Raises ValueError where no run has a figure."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from PIL import Image

    labels = [label.replace("$", r"\$") for label in _labels(folders)]  # a name is no formula
    stats = {folder: read_stats(folder) for folder in folders}
    curves = [
        (panel, key, label)
        for panel in PANELS
        for key, label, _ in panel.curves
        if any(key in row for rows in stats.values() for row in rows)
    ]
    if not curves:
        raise ValueError(f"compare: no run has a figure yet, nothing to draw in {path}")
    frames = {folder: (list(run_frames(folder).items()) or [None])[-1] for folder in folders}
    columns = min(len(folders), 4)
    below = -(-len(folders) // columns)
    figure = Figure(figsize=(max(9, 3 * columns), 2.2 * len(curves) + 3.2 * below), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(2.2 * len(curves), 3.2 * below))
    axes = top.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for axis, (panel, key, label) in zip(axes, curves, strict=True):
        for k, folder in enumerate(folders):
            _curve(axis, stats[folder], key, k)
        also = ", with all terms" if key.endswith("_objective") else ""
        axis.set_title(f"{panel.title} ({label}{also})", loc="left", fontsize=10, color=INK)
        axis.set_ylabel(panel.ylabel, color=INK)
        axis.grid(color="#e6e6ea", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
    marks = [Line2D([], [], **_style(k)) for k in range(len(folders))]
    top.legend(marks, labels, loc="outside upper left", ncols=4, fontsize=9, frameon=False)
    axes[-1].set_xlabel("generator step", color=INK)
    cells = bottom.subplots(below, columns, squeeze=False).flat
    for axis in cells:
        axis.axis("off")
    for axis, label, frame in zip(bottom.axes, labels, frames.values(), strict=False):
        caption = frame[0] if frame else "no samples yet"
        if frame is not None:
            try:
                with Image.open(frame[1]) as picture:
                    axis.imshow(np.asarray(picture.convert("RGB")), interpolation="nearest")
            except (OSError, ValueError):
                caption = f"{frame[1].name} is damaged"
        axis.set_title(f"{label}\n{caption}", fontsize=9, color=INK)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    if picture_format(path) != "PNG":
        whole, file = Image.open(file).convert("RGB"), io.BytesIO()
        whole.save(file, picture_format(path))
    atomic_write(path, file.getvalue())


def _labels(folders: Sequence[Path]) -> list[str]:
    """What the runs are called: by their folders' names, or by the paths where two have one name."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _style(k: int) -> dict[str, Any]:
    """How the curve of the k-th run is drawn."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": LINES[k // len(COLOURS) % len(LINES)]}


def _curve(axis, rows: list[dict], key: str, k: int) -> None:
    """One run's curve: as measured, faintly, and its running mean."""
    step = np.array([row["step"] for row in rows], float)
    value = np.array([row.get(key, np.nan) for row in rows], float)
    value[~np.isfinite(value)] = np.nan
    if not np.isfinite(value).any():
        return
    axis.plot(step, value, **_style(k), alpha=0.2, linewidth=0.8)
    mark = "o" if np.isfinite(value).sum() == 1 else ""  # a line of one point is not seen
    axis.plot(step, running_mean(value, max(1, len(value) // 40)), marker=mark, **_style(k), linewidth=1.7)


def _options(folder: Path) -> dict[str, Any]:
    options = parse_json((folder / OPTIONS).read_text(encoding="utf-8"))
    if not isinstance(options, dict):
        raise ValueError(f"{folder / OPTIONS} is damaged: it holds no options")
    return options


def _names(records: Sequence[dict]) -> list[str]:
    """All names, in the order in which they first come."""
    return list(dict.fromkeys(name for record in records for name in record))


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) and is_number(value) else str(value)
