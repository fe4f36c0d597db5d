"""What the examples' pictures share: a row of axes, plain and of one style, and where they are written."""

from __future__ import annotations

import numpy as np


def panels(count: int, width: float = 4.6, height: float = 4.2):
    """(figure, axes): `count` panels side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis in axes:
        axis.grid(color="#e6e6ea", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def arrows(axis, v, reach: float, count: int = 17) -> None:
    """The direction of descent -v on a grid over [-reach, reach]^2, arrows of one length, faint where it is slow."""
    grid = np.linspace(-reach, reach, count)
    x, y = np.meshgrid(grid, grid)
    u = np.array([-v((a, b)) for a, b in zip(x.ravel(), y.ravel(), strict=True)]).T
    length = np.maximum(np.hypot(*u), 1e-12)
    axis.quiver(x, y, *(u / length).reshape(2, *x.shape), length.reshape(x.shape), cmap="Blues", alpha=0.7, pivot="mid")


def save(figure, out: str) -> None:
    """Write the picture and say so."""
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")
