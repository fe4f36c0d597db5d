"""What the examples share: the device of their tensors; pictures, a row of plain axes, and where they are written."""

from __future__ import annotations

import click
import numpy as np

from minigan.backend import device


def device_option(command):
    """The option --device: tensors are made there from the start of the command to its end."""

    def use(context: click.Context, _, name: str) -> str:
        try:
            return context.with_resource(device(name))
        except (ValueError, RuntimeError) as error:
            raise click.BadParameter(str(error)) from error

    return click.option("--device", default="cpu", show_default=True, callback=use, help="Where to compute.")(command)


def panels(count: int, width: float = 4.6, height: float = 4.2, rows: int = 1):
    """(figure, axes): `count` panels side by side, or in so many rows."""
    from matplotlib.figure import Figure

    columns = -(-count // rows)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()[:count]
    for axis in axes:
        axis.grid(color="#e6e6ea", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def arrows(axis, v, reach: float, count: int = 17) -> None:
    """The direction of descent -v on a grid over [-reach, reach]^2, arrows of one length."""
    grid = np.linspace(-reach, reach, count)
    x, y = np.meshgrid(grid, grid)
    u = np.array([-v((a, b)) for a, b in zip(x.ravel(), y.ravel(), strict=True)]).T
    u = u / np.maximum(np.hypot(*u), 1e-12)
    axis.quiver(x, y, *u.reshape(2, *x.shape), color="#9fb8d6", pivot="mid", scale=1.3 * count, width=0.006)


def save(figure, out: str) -> None:
    """Write the picture and say so."""
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")
