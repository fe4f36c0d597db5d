"""Pictures of a GAN of points: samples over the critic's landscape with its gradient field, curves, animation frames.

The landscape is D(x); its gradient is the direction in which a generated point at x is pushed. Where both players have
found the data, reals and samples lie together on ridges and the field is short.
"""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Sequence

import numpy as np

from ..._files import atomic_write
from ...viz import BLUE, INK, LOSSES, ORANGE, Panel, plot_curves, with_target
from ..penalties import PENALTIES
from .trainer import ToyTrainer

FINE, COARSE, FRAME = 120, 22, 320
GREYS = 12
"""Levels of an animation's landscape: bands of one grey are contours, and take a tenth of a smooth picture's bytes."""


def window(real: np.ndarray, margin: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """(lower left, upper right) corners of a square around points (N, 2) with a margin, a share of their extent."""
    low, high = real.min(0), real.max(0)
    middle, half = (low + high) / 2, max((high - low).max(), 1e-12) * (0.5 + margin)
    return middle - half, middle + half


def lattice(corners: tuple[np.ndarray, np.ndarray], side: int) -> np.ndarray:
    """Points (side^2, 2) of a square lattice between two corners, row by row from the bottom."""
    x, y = (np.linspace(corners[0][k], corners[1][k], side) for k in (0, 1))
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def save_picture(path: str | os.PathLike, trainer: ToyTrainer, samples: np.ndarray, title: str = "") -> None:
    """A PNG of two panels: samples beside reals; the critic's landscape, its gradient field and the samples on it."""
    from matplotlib.figure import Figure

    real = trainer.points.sample(len(samples), 11)
    corners = window(real)
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    figure.suptitle(textwrap.fill(title, 130), x=0.01, ha="left", color=INK, fontsize=9.5, parse_math=False)
    left, right = figure.subplots(1, 2)
    left.scatter(*real.T, s=7, color=ORANGE, alpha=0.5, linewidths=0, label="reals")
    left.scatter(*samples.T, s=4, color=BLUE, alpha=0.5, linewidths=0, label="samples")
    left.legend(loc="upper right", framealpha=0.9, markerscale=3)
    left.set_title(f"{len(samples):,} samples on as many reals", loc="left", fontsize=10, color=INK)
    if trainer.trick.pointless:
        right.text(0.5, 0.5, f"{trainer.trick.pointless}:\nno value at a point", ha="center", va="center",
                   transform=right.transAxes, color=INK)  # fmt: skip
    else:
        value, _ = trainer.landscape(lattice(corners, FINE))
        places = lattice(corners, COARSE)
        _, slope = trainer.landscape(places)
        value = value.reshape(FINE, FINE)
        axes = [np.linspace(corners[0][k], corners[1][k], FINE) for k in (0, 1)]
        if np.ptp(value) > 0:
            bands = right.contourf(*axes, value, 24, cmap="Greys_r")
            figure.colorbar(bands, ax=right, shrink=0.8, label="D(x)")
        right.scatter(*samples[:800].T, s=4, color=BLUE, alpha=0.8, linewidths=0)
        length = np.linalg.norm(slope, axis=1, keepdims=True)
        arrows = slope / np.maximum(length.max(), 1e-30)
        right.quiver(*places.T, *arrows.T, color=ORANGE, scale=24, width=0.0028)
    right.set_title("critic's landscape; arrows: where it pushes a sample", loc="left", fontsize=10, color=INK)
    for axis in (left, right):
        axis.set_xlim(corners[0][0], corners[1][0])
        axis.set_ylim(corners[0][1], corners[1][1])
        axis.set_aspect("equal")
        axis.set_xlabel("x", color=INK)
        axis.set_ylabel("y", color=INK)
        axis.tick_params(colors=INK, length=3)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80)
    atomic_write(path, file.getvalue())


SCORES = (
    Panel(
        "High-quality share: samples within 3 sigma of a mode; modes found",
        "share",
        (("high_quality", "high quality", BLUE), ("mode_share", "modes found", ORANGE)),
        (0.9889, "ceiling of perfect samples"),
    ),
    Panel(
        "Mean critic output on reals and on fakes",
        "E D",
        (("d_real", "on reals", BLUE), ("d_fake", "on fakes", ORANGE)),
    ),
    LOSSES,
    Panel(
        "Norm of the critic's input gradient",
        "mean norm",
        (("gradient_norm", "where the penalty looks", BLUE),),
    ),
)


def save_curves(
    path: str | os.PathLike, history: Sequence[dict], title: str, formulas: dict[str, str], penalty: str
) -> None:
    """A PNG of what `ToyTrainer.train` reported, and of the scores along the way. penalty: the run's row of
    PENALTIES."""
    row = PENALTIES.get(penalty)
    panels = SCORES if row is None else with_target(SCORES, "gradient_norm", row.place, row.target)
    plot_curves(path, history, formulas, title, panels)


def frame(trainer: ToyTrainer, samples: np.ndarray, real: np.ndarray, caption: str) -> np.ndarray:
    """One uint8 picture (342, 320, 3) for the animation: the landscape in bands of grey, reals orange, samples blue."""
    from PIL import Image, ImageDraw, ImageFont

    corners = window(real)
    picture = Image.new("RGB", (FRAME, FRAME), "#c8c8cc")
    if not trainer.trick.pointless:
        value, _ = trainer.landscape(lattice(corners, 60))
        value = (value - value.min()) / max(float(np.ptp(value)), 1e-30)
        smooth = Image.fromarray((255 * np.flipud(value.reshape(60, 60))).astype(np.uint8))
        bands = np.asarray(smooth.resize((FRAME, FRAME), Image.Resampling.BICUBIC)) // (256 // GREYS + 1)
        picture = Image.fromarray((90 + 150 // (GREYS - 1) * bands).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for points, colour in ((real, ORANGE), (samples, BLUE)):
        places = (points - corners[0]) / (corners[1] - corners[0]) * FRAME
        for x, y in places[np.isfinite(places).all(1)]:
            if 0 <= x < FRAME and 0 <= y < FRAME:
                draw.ellipse((x - 1.5, FRAME - y - 1.5, x + 1.5, FRAME - y + 1.5), fill=colour)
    whole = Image.new("RGB", (FRAME, FRAME + 22), "white")
    whole.paste(picture, (0, 0))
    ImageDraw.Draw(whole).text((6, FRAME + 11), caption, INK, ImageFont.load_default(14), "lm")
    return np.asarray(whole)
