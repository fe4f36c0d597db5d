"""`minigan graph`, `trace`: what one step of a system, an example or a function of one's own is made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

from .options import SEED, Destination

TARGET = "TARGET is a system (wgan-gp, wgan-gp:generator), an example (03_wgan_gp) or file.py:function."
DRAWINGS = (".svg", ".html", ".dot")


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "graph", "Draw the graph of a loss and of its gradients.")(graph)
    command(main, "trace", "Show one training step, op by op.")(trace)


class Drawing(Destination):
    """A file to draw a graph into, whose ending says how."""

    def check(self, path: Path) -> None:
        if path.suffix not in DRAWINGS:
            raise ValueError(f"{path}: a graph can be written as {', '.join(DRAWINGS)}")
        super().check(path)


@click.argument("target")
@click.option(
    "-o", "--out", default="graph.svg", show_default=True, type=Drawing(), help=".svg, .html (folds) or .dot."
)
@click.option(
    "--order", default=2, show_default=True, type=click.IntRange(0, 4), help="Derivatives of what a function returns."
)
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of a system's weights and data.")
def graph(target, out, order, seed) -> dict:
    """Draw the graph of a loss, of its gradient, and of the gradient of that.

    TARGET is a system (wgan-gp, wgan-gp:generator), an example (03_wgan_gp) or file.py:function. A column for each
    order of derivative, a row for each layer.
    """
    from .._files import atomic_write
    from ..profiler import draw
    from ..profiler.graph import graph as boxes_of
    from ..profiler.target import target as find

    tape = find(target, order, seed).tape(whole=False)
    boxes = boxes_of(tape)
    kind = {".svg": draw.svg, ".html": draw.page}.get(out.suffix)
    atomic_write(out, kind(boxes, target) if kind else draw.dot(tape, boxes, target))
    figures = {
        "ops": len(tape.rows),
        "boxes": len(boxes.boxes),
        "orders": {str(k): sum(row.order == k for row in tape.rows) for k in boxes.orders},
        "out": str(out),
    }
    orders = ", ".join(f"{count} of order {order}" for order, count in figures["orders"].items())
    click.echo(f"{target}: {len(tape.rows)} ops ({orders}) in {len(boxes.boxes)} boxes: {out}")
    return figures


@click.argument("target")
@click.option("--captured", is_flag=True, help="The captured step instead: its instructions, and where values lie.")
@click.option("--details", is_flag=True, help="Below each op: its equation, its kernels and why, the line of code.")
@click.option("--perfetto", type=Destination(), help="Write a trace for ui.perfetto.dev or chrome://tracing.")
@click.option(
    "--order", default=2, show_default=True, type=click.IntRange(0, 4), help="Derivatives of what a function returns."
)
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of a system's weights and data.")
def trace(target, captured, details, perfetto, order, seed) -> dict:
    """Show one training step, op by op: name, shapes, range of values, time, share of the roofline.

    TARGET is a system (wgan-gp, wgan-gp:generator), an example (03_wgan_gp) or file.py:function.
    """
    from .._files import atomic_write
    from ..profiler import table
    from ..profiler.cost import roofline
    from ..profiler.target import target as find

    step = find(target, order, seed)
    if captured:
        if details or perfetto:
            raise ValueError("trace --captured: leave out --details and --perfetto, which are of the eager step")
        plan = step.plan()
        rows = table.instructions(plan)
        click.echo(table.plan_text(rows, plan))
        return {"instructions": rows, "arena_bytes": int(plan.arena.nbytes)}
    if step.is_repeatable:
        step.tape()  # compiles
    rows, roof = step.tape().rows, roofline()
    click.echo(table.text(rows, roof, details))
    if perfetto is not None:
        atomic_write(perfetto, json.dumps(table.chrome(rows)))
        click.echo(f"written: {perfetto}")
    return {
        "rows": [row.as_dict() for row in rows],
        "peak_flops": roof.peak,
        "bandwidth": roof.bandwidth,
        "seconds": sum(row.seconds for row in rows),
    }
