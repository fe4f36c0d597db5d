"""The robustness grid (grid.py) as it is run, its page, a success table, and its picture, the samples of every cell."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..._files import atomic_write, make_folder
from ...backend import device as check_device
from ...viz import BLUE, INK, ORANGE
from . import cells, grid
from .grid import CLASSES, SAMPLES, SHARE


def run(
    size: str,
    out: str | os.PathLike,
    jobs: int = 1,
    seeds: Sequence[int] | None = None,
    show: Callable[[str], None] = lambda _: None,
    device: str = "cpu",
    steps: int | None = None,
) -> dict:
    """Every cell of a setting, resumed from `out`; the table as JSON-able figures. The page and the picture are made of
    the cells that are done even where the run is stopped. Raises ValueError for an unknown setting or device."""
    if size not in grid.SETTINGS:
        raise ValueError(f"grid: unknown setting {size!r}; known: {', '.join(grid.SETTINGS)}")
    check_device(device)
    out = Path(out)
    make_folder(out)
    chosen = list(seeds or range(grid.SEED, grid.SEED + grid.SETTINGS[size].seeds))
    wanted = [
        grid.options(size, row, column, seed, device, steps)
        for seed in chosen
        for column in reversed(grid.COLUMNS)  # the longest cells first, so that the processes end together
        for row in reversed(grid.ROWS)
    ]
    try:
        with cells.side_by_side(out, jobs, show, grid.cell, grid.name_of, _brief) as trained:
            trained(wanted)
    finally:
        figures = grid.table(size, out, chosen, device, steps)
        atomic_write(out / "grid.json", json.dumps(figures, indent=1))
        atomic_write(out / "grid.md", markdown(figures))
        save_matrix(out / "grid.png", figures, out)
    return figures


def _brief(figures: dict) -> str:
    if figures["diverged"]:
        return f"diverged at step {figures['steps'] + 1}"
    return f"{figures['present']} classes, {figures['confident']:.0%} confident, {figures['realistic']:.0%} realistic"


def _entry(figures: Mapping, row: str, column: str) -> Mapping:
    return next(e for e in figures["entries"] if (e["row"], e["column"]) == (row, column))


def _text(run: Mapping) -> str:
    """One run's figures for a person: yes, or what it missed."""
    if run.get("diverged"):
        return f"**no**: diverged at step {run['steps'] + 1}"
    verdict = f"**no** ({', '.join(run['missed'])})" if run["missed"] else "yes"
    return f"{verdict}: {run['present']} of {run['classes']}, {run['confident']:.0%}, {run['realistic']:.0%}"


def text(figures: Mapping) -> str:
    """The table for a person at a terminal."""
    lines = []
    for row in grid.ROWS:
        for column in grid.COLUMNS:
            runs = _entry(figures, row, column)["runs"]
            shown = "; ".join(_text(run).replace("*", "") for run in runs) or "not done"
            lines.append(f"{row:<14} {column.replace(chr(10), ' '):<34} {shown}")
    return "\n".join([*lines, *_words(figures)])


def _words(figures: Mapping) -> list[str]:
    real = figures["real"]
    passed = ", ".join(figures["criterion_passed_by"])
    return [
        f"Real images: {real['present']} of {real['classes']} classes, {real['confident']:.0%} confident,"
        f" {real['realistic']:.0%} realistic.",
        f"Null models that meet the criterion: {passed or 'none'} (copies of training images aside, moved or not).",
        f"The claim that only WGAN-GP trains in every column is {figures['claim']['verdict']}.",
    ]


def markdown(figures: Mapping, picture: str = "grid.png") -> str:
    """The page. picture: the path of the matrix beside it."""
    steps = sorted({e["steps"] for e in figures["entries"]})
    titles = [column.replace("\n", " ") for column in grid.COLUMNS]
    lines = [
        "# The robustness grid",
        "",
        "*Which loss trains on which networks?*",
        "",
        f"    minigan grid --{figures['setting']} --seeds {','.join(map(str, figures['seeds']))}",
        "",
        f"![samples of every cell]({picture})",
        "",
        f"A cell succeeds where at least {CLASSES:.0%} of the classes are present in {SAMPLES:,} samples, and the"
        f" judge's confident share and the realistic share are each at least {SHARE:.0%} of those of real images. A"
        " cell shows: verdict, what it missed, classes, confident, realistic. Steps are generator steps,"
        f" {', '.join(f'{n:,}' for n in steps)} by row and column.",
        "",
        "| | " + " | ".join(titles) + " |",
        "|" + "---|" * (len(titles) + 1),
    ]
    for row in grid.ROWS:
        texts = ["<br>".join(map(_text, _entry(figures, row, column)["runs"])) or "-" for column in grid.COLUMNS]
        lines.append(f"| {row} | " + " | ".join(texts) + " |")
    lines += ["", *_words(figures), "", "| null model | verdict |", "|---|---|"]
    lines += [f"| {name} | {_text(row)} |" for name, row in figures["null_models"].items()]
    return "\n".join(lines) + "\n"


def save_matrix(path: str | os.PathLike, figures: Mapping, folder: Path) -> None:
    """A PNG of the first seed's samples of every cell, framed by whether it succeeds. folder: of the cells' sheets."""
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(1.55 * len(grid.COLUMNS) + 1, 1.75 * len(grid.ROWS) + 0.9), layout="constrained")
    figure.suptitle(_title(figures), x=0.01, ha="left", color=INK, fontsize=11)
    axes = figure.subplots(len(grid.ROWS), len(grid.COLUMNS))
    for line, row in zip(axes, grid.ROWS, strict=True):
        for axis, column in zip(line, grid.COLUMNS, strict=True):
            runs = _entry(figures, row, column)["runs"]
            good = bool(runs) and not runs[0]["missed"]
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set(color=BLUE if good else ORANGE, linewidth=3)
            if runs and (sheet := folder / f"{runs[0]['name']}.png").exists():
                with Image.open(sheet) as image:
                    axis.imshow(image.convert("RGB"), interpolation="nearest")
            words = "succeeds" if good else ", ".join(runs[0]["missed"]) + "\nmissed" if runs else "not done"
            axis.set_xlabel("diverged" if runs and runs[0].get("diverged") else words, fontsize=7, color=INK)
            if row == next(iter(grid.ROWS)):
                axis.set_title(column, fontsize=8, color=INK)
            if column == next(iter(grid.COLUMNS)):
                axis.set_ylabel(row, fontsize=9, color=INK)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    atomic_write(path, file.getvalue())


def _title(figures: Mapping) -> str:
    counts = ", ".join(f"{row} {len(done)}" for row, done in figures["claim"]["successes"].items())
    return f"Columns of {len(grid.COLUMNS)} in which each loss trains ({figures['setting']} setting): {counts}"
