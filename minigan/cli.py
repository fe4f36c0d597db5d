"""The `minigan` command. Each sub-command reads its options, calls the library, and prints; nothing is computed here.

Exit status: 0 done, 1 something failed while running (one line says what), 2 wrong usage, 130 / 143 stopped by Ctrl-C /
SIGTERM.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import partial, wraps
from pathlib import Path

import click

from . import __version__, cli_data, cli_docs, cli_interpolate, cli_translate, cli_traverse
from .gan.options import Options


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """One line and an exit status for the library's errors: 2 for a wrong value, 1 for what failed while running."""
    from .backend import DeviceError
    from .checkpoint import CheckpointError
    from .cudasim import KernelError
    from .gan.train import TrainingError

    try:
        yield
    except (CheckpointError, TrainingError, DeviceError, KernelError, OSError, MemoryError) as error:
        raise click.ClickException(str(error) or type(error).__name__) from error
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from error


def _command(group: click.Group, name: str) -> Callable:
    """A sub-command whose figures, if it returns any, are the last line of JSON under --json; `passed: false` exits
    with 1."""

    def register(function: Callable) -> click.Command:
        @click.option("--json", "as_json", is_flag=True, help="Print the figures as one last line of JSON.")
        @wraps(function)
        def run(as_json: bool, **options):
            with _one_line_errors():
                figures = function(**options)
            if as_json:
                click.echo(json.dumps(figures))
            if isinstance(figures, dict) and figures.get("passed") is False:
                sys.exit(1)

        return group.command(name)(run)

    return register


DEVICES = "Where to compute: cpu, cuda, cudasim or cudasim:check."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minigan")
def main() -> None:
    """Train, look at and check GANs built from scratch."""


def _system_options(function: Callable) -> Callable:
    """An option of the command for every field of `gan.options.Options`."""
    kinds = {"int": int, "float": float, "str": str}
    for f in reversed(fields(Options)):
        if "help" not in f.metadata:
            continue
        name = f.name.replace("_", "-")
        flag = {"capture": "--capture/--eager"}.get(
            f.name, f"--{name}/--no-{name}" if f.type == "bool" else f"--{name}"
        )
        settings = {} if f.type == "bool" else {"type": kinds[f.type]}
        function = click.option(flag, default=None, help=f.metadata["help"], **settings)(function)
    return function


@_command(main, "train")
@click.argument("system", required=False)
@_system_options
@click.option("--out", type=click.Path(path_type=Path), help="Run folder; by default the next number in runs/.")
@click.option(
    "--resume", metavar="latest|DIR|FILE", help="Go on with a run from its newest whole checkpoint, or from FILE."
)
@click.option("-n", "--dry-run", is_flag=True, help="Show the options and the parameter counts, and stop.")
@click.option("--fast-dev-run", is_flag=True, help="Two steps on small batches: does everything work?")
def train(system, out, resume, dry_run, fast_dev_run, **given) -> dict:
    """Train a GAN: SYSTEM is wgan-gp (the default) or another of `minigan systems`."""
    from .gan.run import Run, Stopped
    from .gan.systems import options_for, trainer_for

    changes = {k: v for k, v in given.items() if v is not None}
    if resume:
        named = [system] * (system is not None) + sorted(changes.keys() - {"steps"}) + ["out"] * (out is not None)
        if named:
            raise ValueError(
                f"--resume takes all options but --steps from the run itself; leave out: {', '.join(named)}"
            )
        run = Run.resume(resume, steps=changes.get("steps"))
    else:
        if fast_dev_run:
            changes = {"steps": 2, "batch_size": 8} | changes
        options = options_for(system or "wgan-gp", **changes)
        if dry_run:
            from . import data

            trainer = trainer_for(options, data.load(options.data, size=options.size))
            counts = {name: sum(p.data.size for p in m.parameters()) for name, m in trainer.networks().items()}
            figures = {"options": asdict(options), "parameters": counts}
            click.echo(json.dumps(figures, indent=1))
            return figures
        run = Run.create(options, out)
    try:
        return run.train()
    except Stopped as stopped:
        sys.exit(stopped.code)


@_command(main, "systems")
def systems() -> list:
    """List the systems that `minigan train` knows, with their default data sets and the options they take."""
    from .gan.systems import SYSTEMS

    for row in SYSTEMS.values():
        click.echo(f"{row.name:<10} {row.what} ({row.paper}); data {row.options.data}")
    return [
        {"name": row.name, "what": row.what, "paper": row.paper, "data": row.options.data, "takes": sorted(row.takes)}
        for row in SYSTEMS.values()
    ]


@_command(main, "list")
@click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Folder of run folders."
)
def list_(runs) -> list:
    """List the runs in a folder."""
    from .gan.run import list_runs

    rows = list_runs(runs)
    if not rows:
        click.echo(f"no runs in {runs}/")
    for r in rows:
        if "problem" in r:
            click.echo(f"{r['run']:<32} {r['problem']}")
            continue
        scored = "" if r["confident"] is None else f"  {r['confident']:.1%} confident"
        click.echo(f"{r['run']:<32} {r['system']:<8} {r['data']:<8} step {r['steps_done']} of {r['steps']}{scored}")
    return rows


@_command(main, "sample")
@click.argument("run")
@click.option("-n", "--count", default=64, show_default=True, type=click.IntRange(1), help="How many images.")
@click.option(
    "-o", "--out", default="sheet.png", show_default=True, type=click.Path(path_type=Path), help="PNG to write."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the latents.")
@click.option("--scale", default=2, show_default=True, type=click.IntRange(1), help="Pixels per pixel.")
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
def sample(run, count, out, seed, scale, device) -> dict:
    """Draw images from a trained generator. RUN is a run folder, a checkpoint file, or latest."""
    from . import backend, viz
    from .gan.run import SAMPLE_STREAM, load_trainer

    trainer, found = load_trainer(run, device=backend.device(device), with_data=False)
    viz.save_grid(out, trainer.draw(count, backend.Generator(seed, SAMPLE_STREAM)), scale=scale)
    click.echo(f"{count} images from step {found.step} of {found.path.parent} in {out}")
    return {"out": str(out), "count": count, "step": found.step}


@_command(main, "eval")
@click.argument("run")
@click.option("-n", "--count", type=click.IntRange(2), help="How many samples to judge: 5000, of a toy run 2500.")
@click.option("--seed", default=0, show_default=True, help="Seed of the latents.")
@click.option("--device", default="cpu", show_default=True, help=f"{DEVICES} Samples are judged on the CPU.")
def evaluate(run, count, seed, device) -> dict:
    """Score a trained generator's samples: images with the shipped classifier, points by their modes. RUN is a run
    folder (of train or toy), a checkpoint file, or latest."""
    from . import backend

    where = backend.device(device)
    if (Path(run) / "figures.json").is_file():
        from .gan import toyrun

        figures = toyrun.evaluate(run, count or 2500, seed)
        click.echo(toyrun.line(figures))
        return figures
    from .gan.run import SAMPLE_STREAM, append_metric, load_trainer

    trainer, found = load_trainer(run, device=where)
    seen = trainer.observe(count or 5000, backend.Generator(seed, SAMPLE_STREAM), details=True)
    append_metric(found.path.parent, found.step, seen)
    click.echo(f"step {found.step} of {found.path.parent}:")
    for line in seen.lines:
        click.echo(line)
    return {"step": found.step, **seen.figures}


@_command(main, "classifier")
@click.argument("data_name", metavar="DATA")
@click.option("--epochs", default=20, show_default=True, type=click.IntRange(1), help="Passes over the training split.")
@click.option("--seed", default=0, show_default=True, help="Seed of the weights, the order and the dropout.")
@click.option("--attributes", "by_attributes", is_flag=True, help="Of attributes; for a set without classes always.")
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to; by default one in the user's cache.")
def train_classifier(data_name, epochs, seed, by_attributes, device, out) -> dict:
    """Train the classifier that judges samples of DATA."""
    from . import backend, data
    from .gan import attributes, classifier

    dataset = data.load(data_name)
    by_attributes |= dataset.labels is None and dataset.attributes is not None
    kind = attributes if by_attributes else classifier
    with backend.device(device):
        model = kind.train(
            dataset, epochs, seed, lambda epoch, value: click.echo(f"epoch {epoch}/{epochs}  loss {value:.4f}")
        )
    folder = classifier.kept(data_name)
    if by_attributes:
        folder = folder.with_name(f"{folder.name}-attributes")
    path = kind.save(model, dataset, out or folder, epochs)
    right = kind.accuracy(model, dataset)
    for name, share in (right if by_attributes else {"class": right}).items():
        click.echo(f"{name}: {share:.2%} of the {len(dataset.held_out)} held-out images right")
    click.echo(f"written to {path}")
    return {"held_out_accuracy": right, "out": str(path)}


@_command(main, "toy")
@click.argument("name")
@click.option("--loss", "system", default="wgan-gp", show_default=True, help="wgan-gp, wgan, gan, or a loss's name.")
@click.option("--trick", help="plain, gp, spectral-norm, packing, unrolled or minibatch; what the loss implies.")
@click.option("--published", is_flag=True, help="Networks and settings of PacGAN's published protocol.")
@click.option("--steps", type=int, help="Generator steps.")
@click.option("--batch-size", type=int, help="Points per step.")
@click.option("--seed", type=int, help="The same seed gives the same run, bit for bit.")
@click.option("--device", help=DEVICES)
@click.option("--n-critic", type=int, help="Critic steps per generator step.")
@click.option("--gp-weight", type=float, help="Weight lambda of the gradient penalty.")
@click.option("--pack", type=int, help="Samples judged together by trick packing.")
@click.option("--unroll", type=int, help="Critic steps that trick unrolled looks through.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write; by default the next number in toy/.")
def toy(name, system, trick, published, out, **given) -> dict:
    """Train a GAN on points in the plane. NAME is ring, grid, moons, roll, spiral, or a .npz or .csv file of points."""
    from .gan import toyrun
    from .gan.toy import PUBLISHED, options_for

    changes = (PUBLISHED if published else {}) | {k: v for k, v in given.items() if v is not None}
    figures = toyrun.run(options_for(name, system, trick, **changes), out)
    click.echo(f"{toyrun.line(figures)}; {figures['seconds']:.0f} s; pictures in {figures['out']}")
    return figures


@_command(main, "scoreboard")
@click.option("--quick", "size", flag_value="quick", help="Some five minutes on two cores.")
@click.option("--standard", "size", flag_value="standard", default=True, help="Within an hour (the default).")
@click.option("--full", "size", flag_value="full", help="Every loss, the published protocol, overnight.")
@click.option("--steps", type=click.IntRange(1), help="Generator steps a cell.")
@click.option("--seeds", type=click.IntRange(1), help="Seeds a pair.")
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Cells at a time, a process each.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the cells; scoreboard-SETTING by default.")
def scoreboard(size, steps, seeds, device, jobs, out) -> dict:
    """Losses x tricks on the ring, the best pairs on the grid. Call it again to go on with an interrupted one."""
    from . import backend
    from .gan import scoreboard as board

    device = backend.device(device)
    out = out or Path(f"scoreboard-{size}")
    figures = board.run(size, out, device, lambda line: click.echo(line, err=True), jobs, steps=steps, seeds=seeds)
    click.echo(board.text(figures))
    click.echo(f"written: {', '.join(str(out / f'scoreboard.{kind}') for kind in ('json', 'txt', 'md'))}")
    return figures


@_command(main, "results")
@click.argument("names", nargs=-1)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Runs of each system.")
@click.option("--steps", type=click.IntRange(1), help="Generator steps of every run; by default each system's own.")
@click.option("--root", default="results", show_default=True, type=click.Path(path_type=Path), help="Of the runs.")
@click.option(
    "--out", default="RESULTS.md", show_default=True, type=click.Path(path_type=Path), help="Page; pictures beside it."
)
def results(names, seeds, steps, root, out) -> list:
    """Train every system (or only the rows NAMES) at its defaults and write the results page. Call it again to go on
    with an interrupted one."""
    from .gan import results as page

    made = page.build(page.rows(names), seeds, root, out, click.echo, steps)
    click.echo(f"{len(made)} rows in {out}")
    return made


cli_data.register(main, _command)
cli_docs.register(main, _command)
cli_interpolate.register(main, _command)
cli_traverse.register(main, _command)
cli_translate.register(main, _command)


@_command(main, "examples")
def examples() -> list:
    """List the examples: one page of code each, run by  python -m minigan.examples.NAME."""
    import ast

    from minigan import examples as package

    rows = []
    for folder in package.__path__:
        for path in sorted(Path(folder).glob("[0-9]*.py")):
            first = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
            click.echo(f"{path.stem:<28} {first}")
            rows.append({"name": path.stem, "about": first})
    return rows


@_command(main, "gradcheck")
@click.argument("ops", nargs=-1)
@click.option("--model", help="Certify a whole system's step instead (wgan-gp, dcgan).")
@click.option("--seed", default=0, show_default=True, help="Seed of the cases.")
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
def gradcheck(ops, model, seed, device) -> dict:
    """Check every op's derivatives (or only OPS) to third order, and against PyTorch where it is installed."""
    from . import backend, certificate

    with backend.device(device):
        if model:
            result = certificate.certify_model(model, seed=seed, show=click.echo)
        else:
            result = certificate.certify(ops or None, seed=seed, show=click.echo)
    click.echo(result.text())
    return result.as_dict()


@_command(main, "cudasim")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kernel", help="Which kernel; by default the only one.")
@click.option("--grid", default="1", show_default=True, help="Blocks: 4 or 4,2.")
@click.option("--block", default="32", show_default=True, help="Threads of a block: 256 or 16,16.")
@click.option(
    "--arg", "args", multiple=True, help="name=zeros:1024, ones:, arange:, random:8,3; load:x.npy; null; n=7."
)
@click.option("--shared", default=0, show_default=True, help="Bytes of dynamic shared memory.")
@click.option("-D", "defines", multiple=True, help="A macro, as in -D real=float.")
@click.option(
    "--check", is_flag=True, help="Check every load and store: bounds, races, barriers, undefined arithmetic."
)
@click.option("--order", default="forward", show_default=True, help="Of threads and blocks: forward, reverse, random.")
@click.option("--seed", default=0, show_default=True, help="Of the random order.")
def cudasim(file, kernel, grid, block, args, shared, defines, check, order, seed) -> dict:
    """Run a CUDA C kernel on the CPU. FILE is a .cu file; needs g++, no GPU."""
    from .cudasim import Module, spec

    module = Module(file, [f"-D{d}" for d in defines], check, order, seed)
    if kernel is None and len(module.kernels) > 1:
        raise ValueError(f"cudasim: {file.name} has several kernels; --kernel {', '.join(module.kernels)}")
    function = module.get_function(kernel or next(iter(module.kernels)))
    values, wrong = spec.run(function, grid, block, args, shared)
    for line in [*spec.summary(values, function), *wrong]:
        click.echo(line)
    click.echo(f"{function.name}: {len(wrong)} found wrong" if wrong else f"{function.name}: nothing found wrong")
    return {"kernel": function.name, "check": check, "findings": wrong, "passed": not wrong}


@_command(main, "bench")
@click.argument("workloads", nargs=-1)
@click.option("--peers", help="Comma-separated; by default all that are installed (see --list).")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1), help="Bursts kept of each contestant.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Threads of every contestant.")
@click.option("--ops", is_flag=True, help="Single ops; whole steps too only where WORKLOADS are named.")
@click.option("--costs", is_flag=True, help="Batch and image sizes, import, first step, memory; likewise.")
@click.option("--quick", is_flag=True, help="One short burst each: does everything work?")
@click.option("--accept-load", is_flag=True, help="Keep bursts that other processes disturbed.")
@click.option("--list", "only_list", is_flag=True, help="List workloads and peers, and stop.")
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="cuda: time its kernels against their roofline and PyTorch's; cudasim: see that each runs.",
)
@click.option(
    "--out", default="bench", show_default=True, type=click.Path(path_type=Path), help="Folder of the results."
)
def bench(workloads, peers, rounds, threads, ops, costs, quick, accept_load, only_list, device, out) -> dict:
    """Time training steps against the frameworks that are installed. A WORKLOAD is one of --list."""
    from .bench import report, run
    from .bench.workloads import WORKLOADS, workload

    if only_list:
        missing = run.absent()
        for work in WORKLOADS.values():
            click.echo(f"{work.name:<20} {work.what}, batch {work.batch}")
        for name in run.CONTESTANTS:
            click.echo(f"{name:<20} {missing.get(name, 'installed')}")
        return {"workloads": list(WORKLOADS), "contestants": list(run.CONTESTANTS), "missing": missing}
    if device != "cpu":
        if workloads or peers or ops or costs:
            raise ValueError(
                f"bench --device {device} times single kernels: leave out WORKLOADS, --peers, --ops, --costs"
            )
        return _bench_device(device, quick, out)
    names = run.contestants(peers)
    steps = [workload(name).name for name in workloads or (() if ops or costs else WORKLOADS)]
    length = {"rounds": 1, "seconds": 0.1} if quick else {"rounds": rounds}
    settings = run.Settings(threads=threads, accept_load=accept_load, **length)
    out.mkdir(parents=True, exist_ok=True)
    figures = run.run(names, steps, settings, _status, partial(report.save, out), ops, costs)
    _status("")
    click.echo(report.text(figures))
    click.echo(f"written: {out / 'bench.json'}, {out / 'bench.png'}")
    return figures


def _bench_device(name: str, quick: bool, out: Path) -> dict:
    from . import backend
    from .bench import device
    from .checkpoint import atomic_write

    where = backend.device(name)
    figures = device.run(where, _status, quick or where.startswith("cudasim"))
    _status("")
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(out / "bench-device.json", json.dumps(figures, indent=1))
    click.echo(device.text(figures))
    click.echo(f"written: {out / 'bench-device.json'}")
    return figures


def _status(line: str) -> None:
    """Show what is being done, on the terminal's present line; an empty one clears it."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)
