"""`minigan toy` and `minigan scoreboard`: GANs on points in the plane."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .._files import make_folder
from .options import DEVICES, FOLDER, SOME, STEPS, Seeds
from .spread import spread

TRICKS = (
    *("plain", "gp", "spectral-norm", "packing", "unrolled", "minibatch", "pairwise", "feature-matching"),
    *("feature-covariance", "smoothing", "soft-labels", "noisy-labels", "instance-noise", "batch-norm"),
    *("virtual-batch-norm", "leaky", "spherical", "uniform", "two-rates", "low-rates", "simultaneous", "lookahead"),
    *("consensus", "one-sided", "zero-centred", "r1", "r2", "labels", "nearest"),
)
"""The names of minigan.gan.toy.TRICKS, which `--help` shows without loading it."""


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "toy", "Train a GAN on points in the plane.")(toy)
    command(main, "scoreboard", "Losses x tricks on the ring, the best pairs on the grid.")(scoreboard)


@click.argument("name")
@click.option("--loss", "system", default="wgan-gp", show_default=True, help="wgan-gp, wgan, gan, or a loss's name.")
@click.option("--trick", help=f"What the loss implies by default, or one of: {', '.join(TRICKS)}.")
@click.option("--published", is_flag=True, help="Networks and settings of PacGAN's published protocol.")
@click.option("--steps", type=int, help="Generator steps.")
@click.option("--batch-size", type=int, help="Points per step.")
@click.option("--seed", type=int, help="The same seed gives the same run, bit for bit.")
@click.option("--device", help=DEVICES)
@click.option("--n-critic", type=int, help="Critic steps per generator step.")
@click.option("--gp-weight", type=float, help="Weight lambda of the gradient penalty.")
@click.option("--pack", type=int, help="Samples judged together by trick packing.")
@click.option("--unroll", type=int, help="Critic steps that trick unrolled looks through.")
@click.option("--seeds", type=Seeds(), help="Several runs, N,N,...: their scores and means, without pictures.")
@spread(2)
@click.option("--out", type=FOLDER, help="Folder to write; by default the next number in toy/, or toy/NAME of --seeds.")
def toy(name, system, trick, published, seeds, jobs, out, **options) -> dict:
    """Train a GAN on points in the plane. NAME is ring, grid, moons, roll, spiral, or a .npz or .csv file of points.
    With --seeds call it again to go on with an interrupted one."""
    from ..gan.toy import nulls
    from ..gan.toy import run as toyrun
    from ..gan.toy.options import options_for, require_read
    from ..gan.toy.options import published as settings

    pack = (options["pack"] or 2) if trick == "packing" else 1
    own = {k: v for k, v in options.items() if v is not None}
    changes = (settings(pack) if published else {}) | own
    require_read(options_for(name, system, trick, **changes), own)
    if not seeds and click.get_current_context().get_parameter_source("jobs") is ParameterSource.COMMANDLINE:
        raise ValueError("--jobs is of the runs of --seeds; give those, or leave it out")
    if seeds:
        if options["seed"] is not None:
            raise ValueError("--seed is of one run and --seeds of several; leave one out")
        cells = [options_for(name, system, trick, **changes | {"seed": seed}) for seed in seeds]
        return _several(cells, jobs, out or Path("toy") / Path(name).stem)
    figures = toyrun.run(options_for(name, system, trick, **changes), out)
    click.echo(nulls.page(figures, figures["null_models"]))
    click.echo(f"{toyrun.line(figures)}; {figures['seconds']:.0f} s; pictures in {figures['out']}")
    return figures


def _several(options: list, jobs: int, out: Path) -> dict:
    """The figures of several runs of points, and their means with 95 % intervals."""
    from ..gan.toy import cells

    make_folder(out)
    with cells.side_by_side(out, jobs, lambda line: click.echo(line, err=True), cells.cell) as run:
        rows = run(options)
    names = [name for name in ("modes", "high_quality", "w1") if all(name in row for row in rows)]
    means = {name: cells.interval([row[name] for row in rows]) for name in names}
    for name, (mean, half) in means.items():
        click.echo(f"{name}: {mean:.4g}" + ("" if half is None else f" +- {half:.2g}"))
    click.echo(f"written: {out}")
    return {"out": str(out), "runs": rows, "means": means}


@click.option("--quick", "size", flag_value="quick", help="Some five minutes on two cores.")
@click.option("--standard", "size", flag_value="standard", default=True, help="Within an hour (the default).")
@click.option("--full", "size", flag_value="full", help="Every loss, the published settings, overnight.")
@click.option("--tricks", "size", flag_value="tricks", help="Every trick beside the plain run: a verdict each.")
@click.option("--images", "size", flag_value="images", help="The same on images of digits.")
@click.option("--systems", "size", flag_value="systems", help="Unconditional systems of images at equal time.")
@click.option("--protocol", "size", flag_value="protocol", help="The published experiment, 50,000 updates a cell.")
@click.option("--steps", type=STEPS, help="Generator steps a cell.")
@click.option("--minutes", type=click.FloatRange(0, 10_000, min_open=True), help="With --systems: of each cell.  [2]")
@click.option("--data", help="With --systems: data sets, parted by commas.  [digits,avatars,emoji]")
@click.option("--seeds", type=SOME, help="Seeds a pair.")
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
@spread(2)
@click.option("--out", type=FOLDER, help="Folder of the cells; scoreboard-SETTING by default.")
def scoreboard(size, steps, minutes, data, seeds, device, jobs, out) -> dict:
    """Losses x tricks on the ring, the best pairs on the grid; or every trick beside the plain run, of points or of
    images; or the systems of images beside each other; or the published experiment. Call it again to go on with an
    interrupted one."""
    from .. import backend
    from ..gan.toy import scoreboard as board

    device = backend.device(device)
    out = out or Path(f"scoreboard-{size}")

    def show(line: str) -> None:
        click.echo(line, err=True)

    if size == "systems":
        return _systems(out, steps, minutes, data, seeds, device, jobs, show)
    if minutes or data:
        raise ValueError("scoreboard: --minutes and --data go with --systems")
    if size in ("tricks", "images", "protocol"):
        from ..gan import compare as images
        from ..gan.toy import compare, protocol

        which: Any = {"tricks": compare, "images": images, "protocol": protocol}[size]
        changes = {"device": device} | ({} if steps is None else {"steps": steps})
        some = range(which.SEEDS[0], which.SEEDS[0] + (seeds or len(which.SEEDS)))
        figures = which.run(out, seeds=some, jobs=jobs, show=show, **changes)
        click.echo(which.text(figures))
        click.echo(f"written: {out / size}.md")
        return figures
    figures = board.run(size, out, device, show, jobs, steps=steps, seeds=seeds)
    click.echo(board.text(figures))
    click.echo(f"written: {', '.join(str(out / f'scoreboard.{kind}') for kind in ('json', 'txt', 'md'))}")
    return figures


def _systems(out, steps, minutes, names, seeds, device, jobs, show) -> dict:
    from ..gan.tables import equal_time

    if steps or device != "cpu":
        raise ValueError("scoreboard --systems gives each system the same time of the CPU: leave out --steps, --device")
    count = seeds or len(equal_time.SEEDS)
    figures = equal_time.run(
        out,
        names.split(",") if names else equal_time.DATA,
        range(equal_time.SEEDS[0], equal_time.SEEDS[0] + count),
        jobs,
        show,
        minutes or equal_time.MINUTES,
    )
    click.echo(equal_time.text(figures))
    click.echo(f"written: {out / 'systems.md'}, {out / 'systems.png'}")
    return figures
