"""The picture of `minigan scale`: seconds of a step of one batch, and images a second when the batch grows with the
ranks; the model's curves from 1 to 4,096 ranks, measured times beside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import atomic_write
from ..viz import BLUE, FAINT, INK, ORANGE, picture_format
from . import model
from .model import NETWORKS, Machine, Work
from .tables import quickest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EACH = 16
"""Images a rank in the second panel."""
COUNTS = tuple(1 << k for k in range(13))
COLOURS = dict(zip(NETWORKS, (ORANGE, BLUE, "#117a5d"), strict=True))


def save(path: Path, machine: Machine, work: Work, rows: Sequence[dict], system: str, batch: int = 64) -> None:
    """Write the picture. rows: measured times with the model's "error" (`tables.fitted`). ValueError for a path whose
    ending is of no picture."""
    from matplotlib.figure import Figure

    kind = picture_format(path)
    figure = Figure(figsize=(11.5, 4.9), layout="constrained")
    figure.suptitle(f"{system} on more ranks: what a model of this machine foretells", x=0.01, ha="left", weight="bold")
    left, right = figure.subplots(1, 2)
    best = sorted({quickest(machine.on(network), work, batch)[0] for network in NETWORKS})
    words = " to ".join(f"{n:,}" for n in dict.fromkeys((best[0], best[-1])))
    left.set_title(f"A batch of {batch:,} is quickest on {words} ranks", loc="left", fontsize=10.5)
    shares = []
    for network, colour in COLOURS.items():
        there = machine.on(network)
        times = [model.seconds(there, work, n, batch) for n in COUNTS]
        whole = sum(n <= batch for n in COUNTS)  # from here on a rank has less than an image
        left.plot(COUNTS[:whole], times[:whole], color=colour, label=network)
        left.plot(COUNTS[whole - 1 :], times[whole - 1 :], color=colour, linestyle=":")
        rates = [EACH * n / model.seconds(there, work, n, EACH * n) for n in COUNTS]
        right.plot(COUNTS, rates, color=colour, label=network)
        shares.append(rates[-1] / rates[0] / COUNTS[-1])
    left.plot([], [], color=FAINT, linestyle=":", label="less than an image a rank")
    right.plot(
        COUNTS, [n * rates[0] for n in COUNTS], color=FAINT, linestyle="--", label="ideal: one rank times their number"
    )
    share = f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %"
    words = f"{EACH} images a rank: {COUNTS[-1]:,} ranks reach {share} of the ideal"
    right.set_title(words, loc="left", fontsize=10.5)
    steps = [row for row in rows if row["what"] == "step"]
    where = f"{machine.cores} cores here"
    _dots(left, where, [(r, r["seconds"], r["seconds"] * (1 + r["error"])) for r in steps if r["batch"] == batch])
    images = [r for r in steps if r["batch"] == EACH * r["ranks"]]
    _dots(right, where, [(r, r["batch"] / r["seconds"], r["batch"] / r["seconds"] / (1 + r["error"])) for r in images])
    left.set_ylabel("seconds a step")
    right.set_ylabel("images a second")
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(COUNTS[::2], [f"{n:,}" for n in COUNTS[::2]])
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}" if y >= 1 else f"{y:g}")
        axis.set_xlabel("ranks, one part of the batch each")
        axis.grid(color="#e6e6ea", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK)
        axis.legend(framealpha=0.85, edgecolor="none", fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=110)
    atomic_write(path, file.getvalue())


def _dots(axis: Axes, where: str, points: Sequence[tuple[dict, float, float]]) -> None:
    """(row, measured, by the model): a dot in a ring, where both agree."""
    if not points:
        return
    ranks = [row["ranks"] for row, _, _ in points]
    parts = points[0][0]["parts"]
    axis.plot(
        ranks, [m for _, m, _ in points], "o", color=INK, markersize=5, label=f"measured on {where}, in {parts} parts"
    )
    rings = {"markersize": 11, "markerfacecolor": "none", "color": INK}
    axis.plot(ranks, [f for _, _, f in points], "o", **rings, label="the model of these")
