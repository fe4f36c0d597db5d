"""The pictures of the pages: both networks, a gradient penalty's graph, and two trainings side by side.

python -m minigan.docs.figures                         draws networks.svg and penalty-graph.svg
python -m minigan.docs.figures NORMAL NO_PENALTY       draws training.png and trouble.png, from two run folders
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..gan.run import read_stats
from ..viz import BLUE, FAINT, INK, ORANGE

PICTURES = Path(__file__).parent / "pictures"
GREEN = "#117a5d"
PALE = {BLUE: "#e3eefa", GREEN: "#dcf1ea", ORANGE: "#fdebdc", FAINT: "#f1f1f4"}
GENERATOR = (("noise z", 100, 1), ("", 128, 4), ("", 64, 8), ("", 32, 16), ("fake image", 1, 32))
CRITIC = (("real or fake image", 1, 32), ("", 32, 16), ("", 64, 8), ("", 128, 4), ("score", 1, 1))
"""(name, channels, height and width) of each array on the way through the networks of `minigan train`."""


def blank(width: float, height: float):
    """(figure, axis) measured in inches, without ticks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(0, height))
    axis.axis("off")
    return figure, axis


def box(axis, x: float, y: float, text: str, colour: str = FAINT, width: float = 1.2, height: float = 0.62) -> None:
    """A box around `text`, its centre at (x, y)."""
    from matplotlib.patches import FancyBboxPatch

    corner, shape = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.08"
    axis.add_patch(FancyBboxPatch(corner, width, height, shape, facecolor=PALE[colour], edgecolor=colour, zorder=2))
    axis.text(x, y, text, ha="center", va="center", color=INK, fontsize=10, linespacing=1.35, zorder=3)


def arrow(
    axis, start: tuple[float, float], end: tuple[float, float], text: str = "", colour: str = INK, **line
) -> None:
    """An arrow with `text` above its middle."""
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.3} | line, zorder=1)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    axis.text(x, y + 0.07, text, ha="center", va="bottom", color=colour, fontsize=9, linespacing=1.2)


def networks():
    """Each array as a plate: as tall as the image is, as wide as it has channels."""
    figure, axis = blank(9.6, 5.6)
    rows = (
        (
            "Generator: noise to an image, 369,601 weights",
            GENERATOR,
            4.0,
            BLUE,
            ["ConvTranspose2d\nBatchNorm, ReLU"] * 3 + ["ConvTranspose2d\nTanh"],
        ),
        (
            "Critic: an image to one number, 166,625 weights",
            CRITIC,
            1.25,
            ORANGE,
            ["Conv2d\nLeakyReLU"] * 3 + ["Conv2d"],
        ),
    )
    for title, stages, y, colour, layers in rows:
        axis.text(0.15, y + 1.22, title, color=INK, fontsize=12, weight="bold", va="center")
        middles = np.linspace(0.95, 8.75, len(stages))
        edges = []
        for x, (name, channels, size) in zip(middles, stages, strict=True):
            width, height = 0.12 + channels / 128 * 0.55, 0.16 + size / 32 * 0.95
            low = (x - width / 2, y + 0.2 - height / 2)
            axis.add_patch(_plate(low, width, height, colour))
            shape = f"{channels} numbers" if size == 1 and channels > 1 else f"{channels} × {size} × {size}"
            shape = "1 number" if channels == size == 1 else shape
            axis.text(x, y - 0.5, f"{name}\n{shape}" if name else shape, **_label, va="top")
            edges.append((low[0], low[0] + width))
        for (_, start), (end, _), text in zip(edges, edges[1:], layers, strict=False):
            arrow(axis, (start + 0.06, y + 0.2), (end - 0.06, y + 0.2), text, colour=INK)
    note = "height of a plate: height of the images; width: number of channels"
    axis.text(9.45, 0.1, note, color=FAINT, fontsize=9, ha="right", va="bottom")
    return figure


_label = {"ha": "center", "color": INK, "fontsize": 10, "linespacing": 1.35}


def _plate(low: tuple[float, float], width: float, height: float, colour: str):
    from matplotlib.patches import Rectangle

    return Rectangle(low, width, height, facecolor=PALE[colour], edgecolor=colour, linewidth=1.4)


def penalty_graph():
    """Three passes through one network, with the numbers of penalty-by-hand.md."""
    figure, axis = blank(9.6, 6.3)
    p, norm, s, u, h, f = 0.75, 2.2, 3.7, 5.5, 7.3, 8.85
    forward, inner, outer = 5.35, 3.1, 1.55
    for y, colour, text in (
        (forward + 0.62, BLUE, "1. forward: the critic's score"),
        (inner + 0.62, GREEN, "2. inner gradient: the slope, and its penalty"),
        (outer + 0.62, ORANGE, "3. outer gradient: from the penalty back through pass 2"),
    ):
        axis.text(0.15, y, text, color=colour, fontsize=11, weight="bold", va="center")
    for x, text in ((s, "x\n(1, −1)"), (u, "a\n(2, −2)"), (h, "h\n(2, −0.4)"), (f, "f\n2")):
        box(axis, x, forward, text, BLUE, 0.7 if x == f else 1.05)
    for x, text in (
        (f, "1"),
        (h, "∂f/∂h\n(2, 5)"),
        (u, "u\n(2, 1)"),
        (s, "s = ∂f/∂x\n(3, 4)"),
        (norm, "|s|\n5"),
        (p, "P\n16"),
    ):
        box(axis, x, inner, text, GREEN, 0.7 if x in (f, norm, p) else 1.05)
    for x, text in ((p, "1"), (norm, "8"), (s, "c\n(4.8, 6.4)"), (u, "e\n(16, 8)"), (h, "∂P/∂v\n(16, 1.6)")):
        box(axis, x, outer, text, ORANGE, 0.7 if x in (norm, p) else 1.05)
    wide, slim = 0.53, 0.36
    for start, end, text in ((s, u, "W x + b"), (u, h, "leaky"), (h, f, "v · h")):
        arrow(axis, (start + wide, forward), (end - (slim if end == f else wide), forward), text, BLUE)
    for start, end, text in (
        (f, h, "times v"),
        (h, u, "times d"),
        (u, s, "Wᵀ u"),
        (s, norm, "length"),
        (norm, p, "(|s| − 1)²"),
    ):
        reach = [slim if x in (f, norm, p) else wide for x in (start, end)]
        arrow(axis, (start - reach[0], inner), (end + reach[1], inner), text, GREEN)
    for start, end, text in ((p, norm, "2 (|s| − 1)"), (norm, s, "times\ns / |s|"), (s, u, "W c"), (u, h, "times d")):
        reach = [slim if x in (norm, p) else wide for x in (start, end)]
        arrow(axis, (start + reach[0], outer), (end - reach[1], outer), text, ORANGE)
    dashed = {"linestyle": (0, (3, 2)), "linewidth": 1.1}
    middle = (forward + inner) / 2 + 0.1
    for x, text in (((s + u) / 2, "W"), ((h + f) / 2, "v"), ((u + h) / 2, "d = (1, 0.2)")):
        box(axis, x, middle, text, FAINT, 1.1 if "d" in text else 0.5, 0.4)
        arrow(axis, (x, middle - 0.2), (x, inner + 0.28), colour=FAINT, **dashed)
        if "d" not in text:
            arrow(axis, (x, middle + 0.2), (x, forward - 0.05), colour=FAINT, **dashed)
    box(axis, (s + u) / 2 - 0.75, middle, "b", FAINT, 0.5, 0.4)
    arrow(axis, ((s + u) / 2 - 0.6, middle + 0.2), ((s + u) / 2 - 0.12, forward - 0.05), colour=FAINT, **dashed)
    arrow(axis, (u + 0.3, forward - 0.31), ((u + h) / 2 - 0.25, middle + 0.2), colour=FAINT, **dashed)
    axis.text(u + 0.15, middle + 0.3, "signs", color=FAINT, fontsize=9, ha="left", va="bottom")
    box(axis, (s + u) / 2, 0.42, "∂P/∂W = u cᵀ\n(9.6, 12.8; 4.8, 6.4)", ORANGE, 2.1, 0.66)
    arrow(axis, ((s + u) / 2, outer - 0.03), ((s + u) / 2, 0.75), colour=ORANGE)
    return figure


def sheet(path: Path, count: int = 5) -> np.ndarray:
    """The first count x count images of a sample grid, as a picture."""
    from PIL import Image

    side = 2 + count * 66  # a border of 2, then 64 pixels and a border each
    return np.asarray(Image.open(path).convert("L"))[:side, :side]


def training(normal: Path):
    """What a normal run shows: four sheets above, two curves below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 6.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    names = ("fakes_init.png", "fakes000250.png", "fakes000500.png", "reals.png")
    titles = ("start: grey", "250 steps: strokes", "500 steps: many digits", "real digits")
    _sheets(top.subplots(1, 4), [normal / name for name in names], titles)
    rows = read_stats(normal)
    left, right = bottom.subplots(1, 2)
    for axis, key, title in (
        (left, "critic_estimate", "The estimated distance falls, fast, then slowly"),
        (right, "gradient_norm", "The critic's slope settles a little above 1"),
    ):
        _curve(axis, rows, key, BLUE, title)
    left.set_ylim(bottom=0)
    left.set_ylabel("critic_estimate")
    right.set_ylabel("gradient_norm")
    right.axhline(1, color=FAINT, linestyle=(0, (5, 4)), linewidth=1)
    right.text(490, 1.0, "where the penalty is 0", color=INK, fontsize=9, ha="right", va="bottom", in_layout=False)
    return figure


def trouble(normal: Path, without: Path):
    """The same run without its penalty: two sheets, and the estimate of both on one logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.3), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    titles = ("no penalty, 250 steps", "no penalty, 500 steps")
    _sheets(left.subplots(1, 2), [without / "fakes000250.png", without / "fakes000500.png"], titles)
    axis = right.subplots()
    title = "Without the penalty the estimate has no bound"
    for folder, colour, label, y in (
        (without, ORANGE, "--gp-weight 0", 3e5),
        (normal, BLUE, "--gp-weight 10, the default", 20),
    ):
        _curve(axis, read_stats(folder), "critic_estimate", colour, title)
        axis.text(495, y, label, color=colour, fontsize=9.5, ha="right", va="center", in_layout=False)
    axis.set_yscale("log")
    axis.set_ylabel("critic_estimate, logarithmic")
    return figure


def _sheets(axes, paths: list[Path], titles: tuple[str, ...]) -> None:
    for axis, path, title in zip(axes, paths, titles, strict=True):
        axis.imshow(sheet(path), cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=10, color=INK)
        axis.axis("off")


def _curve(axis, rows: list[dict], key: str, colour: str, title: str) -> None:
    steps = [row["step"] for row in rows if row[key] > 0]
    axis.plot(steps, [row[key] for row in rows if row[key] > 0], color=colour, linewidth=2)
    axis.set_title(title, fontsize=10.5, color=INK, loc="left")
    axis.set_xlabel("generator step", color=INK)
    axis.grid(color="#e6e6ea", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)


def save(figure, path: Path) -> None:
    """Write the picture, the same bytes every time, and say so. A PNG gets a palette: it is drawn in few colours."""
    import matplotlib
    from PIL import Image

    if path.suffix == ".svg":
        with matplotlib.rc_context({"svg.hashsalt": "minigan"}):
            figure.savefig(path, metadata={"Date": None})
    else:
        figure.savefig(path, dpi=110)
        Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)
    print(f"picture: {path}")


def main(arguments: list[str] | None = None) -> None:
    """Draw the graphs, or with two run folders the pictures of the trainings."""
    parser = argparse.ArgumentParser(prog="python -m minigan.docs.figures", description=main.__doc__)
    parser.add_argument("runs", type=Path, nargs="*", help="The folder of a normal run, and of one without penalty.")
    runs = parser.parse_args(arguments).runs
    PICTURES.mkdir(exist_ok=True)
    if not runs:
        save(networks(), PICTURES / "networks.svg")
        save(penalty_graph(), PICTURES / "penalty-graph.svg")
        return
    if len(runs) != 2:
        parser.error("give two run folders, the normal one and the one without penalty, or none")
    save(training(runs[0]), PICTURES / "training.png")
    save(trouble(*runs), PICTURES / "trouble.png")


if __name__ == "__main__":
    main()
