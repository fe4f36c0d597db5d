"""Cost as work grows: time, memory and share of the roof of one training step, by batch, image size and threads.

time      milliseconds a step, in a process of its own, as all steps of `minigan bench` are timed
memory    what that process holds at most, less what its imports hold
share     seconds that the roof allows for what the step computes and moves, over the seconds that it takes
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from .._files import atomic_write
from . import predict, roof
from .run import Settings, measure
from .workloads import workload

STEP = "wgan-gp"
BATCHES = tuple(1 << bits for bits in range(9))
SIZES = (16, 32, 64, 128)


def points(settings: Settings) -> Iterator[tuple[str, int, str, int]]:
    """(axis, its value, workload, threads). By processor time there is no axis of threads: theirs does not pass."""
    threads = settings.threads
    for batch in BATCHES:
        yield "batch", batch, f"{STEP}:{batch}", threads
    for size in SIZES:
        yield "pixels", size, f"{STEP}:{size}x{size}", threads
    for count in range(1, 0 if settings.processor_time else max(os.cpu_count() or 1, threads) + 1):
        yield "threads", count, STEP, count


def growth(settings: Settings, show: Callable[[str], None]) -> dict[str, dict[int, dict]]:
    """{axis: {value: {"ms", "low", "high", "mib", "share"}}}; axes: batch, pixels (of a side), threads."""
    rows: dict[str, dict[int, dict]] = {}
    roofs = {n: roof.measure(n) for n in {n for *_, n in points(settings)}}
    model = predict.Model(roofs, 0.0, {})
    for axis, value, name, threads in points(settings):
        figures = measure(name, ["minigan"], replace(settings, threads=threads), show)["minigan"]
        if "ms" in figures:
            _, plan = predict.prepared(workload(name))
            works = [work for _, _, work in predict.works_of(plan.calls)]
            rows.setdefault(axis, {})[value] = {
                **{key: figures[key] for key in ("ms", "low", "high", "loaded")},
                "mib": figures["peak_mib"] - figures["imports_mib"],
                "share": 1e3 * model.least(works, threads) / figures["ms"],
            }
    return rows


def text(rows: dict[str, dict[int, dict]]) -> str:
    """The table, for a person."""
    lines = [f"{STEP}, minigan captured", f"{'':<8}{'':>8}{'ms':>10}{'us an image':>13}{'MiB':>8}{'of the roof':>13}"]
    whole = workload(STEP).batch
    for axis, row in rows.items():
        for value, entry in row.items():
            each = 1e3 * entry["ms"] / (value if axis == "batch" else whole)
            cells = f"{entry['ms']:>10.4g}{each:>13.4g}{entry['mib']:>8.0f}{100 * entry['share']:>11.0f} %"
            lines.append(f"{axis:<8}{value:>8}{cells}")
    return "\n".join(lines)


LABELS = {"batch": "images a batch", "pixels": "pixels of a side", "threads": "threads"}


def claim(rows: dict[str, dict[int, dict]]) -> str:
    """What the times say of the batch, in a line."""
    row = rows["batch"]
    most = max(row)
    enough = min(n for n in row if row[n]["ms"] / n <= 1.25 * row[most]["ms"] / most)
    return f"{STEP}: from {enough} images on, one costs at most a quarter more than at {most}"


def chart(path: Path, rows: dict[str, dict[int, dict]], machine: str) -> None:
    """A column an axis; time, memory and share of the roof below each other. Dashed: time in proportion to the images
    of the largest batch, or to the pixels, and in inverse proportion to threads."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullLocator

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    figure = Figure(figsize=(1 + 3.6 * len(rows), 7.4), layout="constrained")
    grid = figure.subplots(3, len(rows), sharex="col", sharey="row", squeeze=False)
    places = (("ms", "time, ms a step", 1), ("mib", "memory, MiB", 1), ("share", "share of the roof, %", 100))
    for column, (axis, row) in enumerate(rows.items()):
        values = list(row)
        for axes, (key, label, scale) in zip(grid[:, column], places, strict=True):
            heights = [scale * entry[key] for entry in row.values()]
            if key == "ms":
                even = _in_proportion(axis, values, heights)
                axes.plot(values, even, "--", color="#999999", linewidth=1, label="in proportion")
                axes.legend(fontsize=8, frameon=False)
            axes.plot(values, heights, "o-", color="#3b6fb6", markersize=4)
            axes.set_xscale("log", base=2)
            axes.set_xticks(values)
            axes.tick_params(axis="x", labelsize=8)
            axes.xaxis.set_major_formatter(plain)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.3)
            if key == "share":
                axes.set_ylim(0, 105)
                axes.set_xlabel(LABELS[axis])
            else:
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(plain)
            if column == 0:
                axes.set_ylabel(label)
    figure.suptitle(f"{claim(rows)}\n{machine}", fontsize=9, x=0.01, ha="left")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    atomic_write(path, file.getvalue())


def _in_proportion(axis: str, values: list[int], heights: list[float]) -> list[float]:
    power = {"batch": 1, "pixels": 2, "threads": -1}[axis]
    fixed = 0 if axis == "threads" else -1
    return [heights[fixed] * (value / values[fixed]) ** power for value in values]
