"""The training curves of a run, a panel above the other."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, INK, FAINT = "#2a6fbb", "#d9721e", "#26262c", "#8a8a92"


@dataclass(frozen=True)
class Panel:
    """One panel of the training curves; drawn when `stats` has any of its keys.

    curves   (key in stats, label, colour) for each line
    target   a level worth a dashed line, and its name
    """

    title: str
    ylabel: str
    curves: tuple[tuple[str, str, str], ...]
    target: tuple[float, str] | None = None


LOSSES = Panel(
    "Losses: each network minimises its own",
    "loss",
    (("d_loss", "D", BLUE), ("g_loss", "G", ORANGE), ("d_objective", "D", BLUE), ("g_objective", "G", ORANGE)),
)
"""d_loss and g_loss are what the networks play against each other; where one minimises more than that, a penalty for
example, its objective is that sum."""


PANELS = (
    Panel(
        "Critic's estimate of the Wasserstein distance: towards 0 as fakes approach reals",
        "E[D(real)] − E[D(fake)]",
        (("critic_estimate", "estimate", BLUE),),
    ),
    Panel(
        "Mean D as the loss has it: it aims at 1 on reals and 0 on fakes, both are ½ when it cannot tell",
        "mean D",
        (("d_real", "on reals", BLUE), ("d_fake", "on fakes", ORANGE)),
        (0.5, "cannot tell"),
    ),
    Panel(
        "Norm of the critic's input gradient",
        "mean ‖∇D‖",
        (("gradient_norm", "where the penalty looks", BLUE),),
    ),
    Panel(
        "Norm of the gradient of each network's weights: a vanishing one trains nothing",
        "‖∂loss/∂weights‖",
        (("d_weight_gradient", "D", BLUE), ("g_weight_gradient", "G", ORANGE)),
    ),
    LOSSES,
)


def with_target(panels: Sequence[Panel], key: str, place: str, level: float) -> tuple[Panel, ...]:
    """The panels, that of the curve `key` with the place where it is measured and the level that it is pulled to."""
    changed = []
    for panel in panels:
        if any(name == key for name, _, _ in panel.curves):
            curves = tuple((name, place if name == key else label, colour) for name, label, colour in panel.curves)
            panel = replace(panel, curves=curves, target=(level, f"target {level:g}"))
        changed.append(panel)
    return tuple(changed)


def plot_curves(
    path: str | os.PathLike,
    stats: Sequence[Mapping[str, float]],
    formulas: Mapping[str, str] | None = None,
    title: str = "",
    panels: Sequence[Panel] = PANELS,
    bands: Mapping[str, tuple[Sequence, Sequence, Sequence]] | None = None,
) -> None:
    """Draw the curves of a run as a PNG, one panel above the other.

    stats      the rows of stats.jsonl: "step" and any of the keys that `panels` names
    formulas   "d_loss" and "g_loss" -> what each network minimises, sign and all; in the legend
    title      stands above all
    bands      key -> (steps, low, high): where the curve of a normal run lies, shaded behind it

    Each curve is drawn faintly as measured and boldly as a running mean. Values that are missing
    or not finite leave a gap.
    """
    from matplotlib.figure import Figure

    visible = [p for p in panels if any(key in row for row in stats for key, _, _ in p.curves)]
    if not visible:
        raise ValueError(f"plot_curves: stats has none of the curves, nothing to draw in {path}")
    figure = Figure(figsize=(9, 0.6 + 2.6 * len(visible)), layout="constrained")
    figure.suptitle(textwrap.fill(title, 70), x=0.01, ha="left", weight="bold", color=INK, parse_math=False)
    axes = figure.subplots(len(visible), sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, visible, strict=True):
        _draw_panel(axis, panel, stats, formulas or {}, bands or {})
    first, last = stats[0]["step"], stats[-1]["step"]
    margin = 0.01 * (last - first) or 1.0
    axes[-1].set_xlim(first - margin, last + margin)  # the bands may go on
    axes[-1].set_xlabel("generator step (pale: as measured; bold: running mean)", color=INK)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    atomic_write(path, file.getvalue())


def _draw_panel(
    axis: Axes,
    panel: Panel,
    stats: Sequence[Mapping[str, float]],
    formulas: Mapping[str, str],
    bands: Mapping[str, tuple[Sequence, Sequence, Sequence]],
) -> None:
    step = np.array([row["step"] for row in stats], float)
    band: str | None = "normal runs"  # named once
    for key, label, colour in panel.curves:
        value = np.array([row.get(key, np.nan) for row in stats], float)
        value[~np.isfinite(value)] = np.nan
        if np.isnan(value).all():
            continue
        name, _, kind = key.partition("_")
        if kind == "objective":
            label = f"{label} minimises in all"
        elif kind == "loss" and any(f"{name}_objective" in row or ("penalty" in row and name == "d") for row in stats):
            label = f"{label}, without its further terms: {formulas.get(key, '')}".rstrip(": ")
        elif key in formulas:
            label = f"{label} minimises {formulas[key]}"
        mean = running_mean(value, len(value) // 40)
        dashes = (0, (1, 1)) if kind == "objective" else "solid"
        if key in bands:
            axis.fill_between(*_as_far(bands[key], step[-1]), color=colour, alpha=0.13, linewidth=0, label=band)
            band = None
        axis.plot(step, value, color=colour, alpha=0.25, linewidth=0.8)
        mark = "o" if np.isfinite(value).sum() == 1 else ""  # a line of one point is not seen
        axis.plot(step, mean, marker=mark, color=colour, linewidth=1.8, linestyle=dashes, label=label)
    if panel.target is not None:
        level, name = panel.target
        axis.axhline(level, color=FAINT, linewidth=1, linestyle=(0, (5, 4)), label=name)
    axis.set_title(panel.title, loc="left", fontsize=10.5, color=INK)
    axis.set_ylabel(panel.ylabel, color=INK)
    axis.grid(color="#e6e6ea", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FAINT)
    axis.tick_params(colors=INK, length=3)
    axis.margins(x=0.01)
    axis.legend(framealpha=0.85, edgecolor="none", fontsize=9, loc="best")


def _as_far(band: tuple[Sequence, Sequence, Sequence], last: float) -> tuple[np.ndarray, ...]:
    """A band up to the run's last step, or to its own second one, so that what comes later stretches no axis."""
    steps, low, high = map(np.asarray, band)
    shown = steps <= max(last, steps[:2].max())
    return steps[shown], low[shown], high[shown]


def running_mean(value: np.ndarray, reach: int) -> np.ndarray:
    """Mean of the finite values at most `reach` places away; NaN where the value is missing.

    The first places reach less far, so that the steep start of a run is not flattened.
    """
    there = np.isfinite(value)
    total = np.concatenate([[0.0], np.cumsum(np.where(there, value, 0.0))])
    count = np.concatenate([[0], np.cumsum(there)])
    place = np.arange(len(value))
    reach = np.minimum(reach, place)
    low, high = place - reach, np.minimum(place + reach + 1, len(value))
    samples = np.maximum(count[high] - count[low], 1)
    return np.where(there, (total[high] - total[low]) / samples, np.nan)
