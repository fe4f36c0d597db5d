"""`minigan gradcheck`, `doctor`, `cudasim`, `bench`, `examples`: check derivatives, training, kernels; time; read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from .._files import make_folder
from .options import DEVICES, FOLDER, SEED, SOME

ALONE = {
    "rules": "what each rule of the CPU kernels brings, beside the roof of this machine",
    "quality": "seconds until the digits of the default run are good, beside the same recipe in PyTorch",
}
"""Words of `minigan bench` that are measured by themselves."""


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "gradcheck", "Check every op's derivatives, to third order.")(gradcheck)
    command(main, "doctor", "Find what is wrong with a training step, or a run.")(doctor)
    command(main, "cudasim", "Run a CUDA C kernel on the CPU.")(cudasim)
    command(main, "bench", "Time training steps against the frameworks that are installed.")(bench)
    command(main, "examples", "List the examples: one page of code each.")(examples)


@click.argument("ops", nargs=-1)
@click.option("--model", help="Certify both players' losses of a system instead; see minigan train --help.")
@click.option("--order", type=click.IntRange(1, 4), help="Highest order for code of your own; 3 if not said.")
@click.option("--shape", "shapes", multiple=True, help="Of each input of code of your own: --shape 3,4 --shape 4.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the cases.")
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
def gradcheck(ops, model, order, shapes, seed, device) -> dict:
    """Check every op's derivatives (or only OPS) to third order, and against PyTorch where it is installed.

    FILE.py:NAME, or MODULE:NAME, among OPS is an op, a function of Tensors or a Module of your own.
    """
    from .. import _user_code, backend
    from ..testing import certificate

    own = [name for name in ops if _user_code.is_name(name)]
    if own:
        if model or len(own) < len(ops):
            raise ValueError("gradcheck: check code of your own by itself, without names of ops or --model")
        return _own_code(own, order or 3, shapes, seed, device)
    if order or shapes:
        raise ValueError("gradcheck: --order and --shape are for code of your own, file.py:Name")
    with backend.device(device):
        if model:
            result = certificate.certify_model(model, seed=seed, show=click.echo)
        else:
            result = certificate.certify(ops or None, seed=seed, show=click.echo)
    click.echo(result.text())
    return result.as_dict()


def _own_code(names, order: int, shapes, seed: int, device: str) -> dict:
    from ..testing.examine import examine

    try:
        sizes = [tuple(int(n) for n in text.replace(" ", "").split(",") if n) for text in shapes]
    except ValueError:
        raise ValueError(f"--shape: a shape is numbers and commas, as in 3,4; got {' '.join(shapes)}") from None
    reports = []
    for name in names:
        reports.append(examine(name, shapes=sizes or None, upto=order, seed=seed, device=device))
        click.echo(reports[-1].text())
    return {"passed": all(r.passed for r in reports), "examinations": [r.as_dict() for r in reports]}


@click.argument("target")
@click.option("--rounds", default=4, show_default=True, type=SOME, help="Steps to observe.")
def doctor(target, rounds) -> dict:
    """Say what is wrong with a GAN's training, with the numbers, the line and the cure.

    TARGET is FILE.py:FUNCTION or MODULE:FUNCTION, which makes one training step (in minigan or PyTorch), FILE.py, or
    the folder of a run.
    """
    from ..gan.diagnosis.doctor import diagnose

    report = diagnose(target, rounds=rounds)
    click.echo(report.text())
    return report.as_dict()


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
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of the random order.")
def cudasim(file, kernel, grid, block, args, shared, defines, check, order, seed) -> dict:
    """Run a CUDA C kernel on the CPU. FILE is a .cu file; needs g++, no GPU."""
    from ..cudasim import Module, spec

    module = Module(file, [f"-D{d}" for d in defines], check, order, seed)
    if kernel is None and len(module.kernels) > 1:
        raise ValueError(f"cudasim: {file.name} has several kernels; --kernel {', '.join(module.kernels)}")
    function = module.get_function(kernel or next(iter(module.kernels)))
    values, wrong = spec.run(function, grid, block, args, shared)
    for line in [*spec.summary(values, function), *wrong]:
        click.echo(line)
    if wrong:
        verdict = f"{len(wrong)} found wrong"
    elif module.check:
        verdict = f"nothing found wrong, in {order} order of threads"
    else:
        verdict = f"run in {order} order of threads; its loads and stores were not checked (--check does it)"
    click.echo(f"{function.name}: {verdict}")
    return {"kernel": function.name, "check": module.check, "findings": wrong, "passed": not wrong}


@click.argument("workloads", nargs=-1)
@click.option("--peers", help="Comma-separated; by default all that are installed (see --list).")
@click.option("--rounds", default=7, show_default=True, type=SOME, help="Bursts kept of each contestant.")
@click.option("--threads", default=2, show_default=True, type=SOME, help="Threads of every contestant.")
@click.option("--ops", is_flag=True, help="Single ops; whole steps too only where WORKLOADS are named.")
@click.option("--costs", is_flag=True, help="Batch and image sizes, import, first step, memory; likewise.")
@click.option(
    "--system", "systems", multiple=True, help="Kernel by kernel: a step of a system of minigan train, at its defaults."
)
@click.option(
    "--predict",
    "foretell",
    is_flag=True,
    help="Foretell minigan's steps from the roof of this machine; more on paper.",
)
@click.option("--seeds", default=1, show_default=True, type=SOME, help="Of quality: how many, from 11 on.")
@click.option("--quick", is_flag=True, help="One short burst each: does everything work?")
@click.option("--accept-load", is_flag=True, help="Keep bursts that other processes disturbed.")
@click.option(
    "--processor-time", is_flag=True, help="Count what a step uses of the cores: with --threads 1, on a busy machine."
)
@click.option("--list", "only_list", is_flag=True, help="List workloads and peers, and stop.")
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="cuda: time its kernels (--ops: no more) and steps, beside PyTorch's; cudasim: see that they run.",
)
@click.option("--out", default="bench", show_default=True, type=FOLDER, help="Folder of the results.")
def bench(
    workloads,
    peers,
    rounds,
    threads,
    ops,
    costs,
    systems,
    foretell,
    seeds,
    quick,
    accept_load,
    processor_time,
    only_list,
    device,
    out,
) -> dict:
    """Time training steps against the frameworks that are installed. A WORKLOAD is one of --list.

    The WORKLOAD rules is what each rule of the kernels brings; quality, the time until the default run's digits are
    good, beside PyTorch.
    """
    from .. import backend
    from ..bench import report, run
    from ..bench.workloads import WORKLOADS, workload

    if only_list:
        absent = run.absent()
        for work in WORKLOADS.values():
            click.echo(f"{work.name:<20} {work.what}, batch {work.batch}")
        for name in run.CONTESTANTS:
            click.echo(f"{name:<20} {absent.get(name, 'installed')}")
        for name, what in ALONE.items():
            click.echo(f"{name:<20} {what}")
        return {"workloads": [*WORKLOADS, *ALONE], "contestants": list(run.CONTESTANTS), "missing": absent}
    where = backend.device(device)
    if not where.is_host:
        if peers or costs or systems or foretell or set(workloads) & set(ALONE):
            raise ValueError(
                f"bench --device {device} times kernels and whole steps: leave out --peers, --costs, --system,"
                f" --predict, {', '.join(ALONE)}"
            )
        return _bench_device(where, workloads, ops, rounds, quick, out)
    if systems:
        if workloads or peers or ops or costs or foretell:
            raise ValueError(
                "bench --system times steps of minigan alone: leave out WORKLOADS, --peers, --ops, --costs, --predict"
            )
        return _bench_systems(systems, 1 if quick else rounds, threads)
    if foretell:
        if peers or ops or costs:
            raise ValueError("bench --predict foretells steps of minigan alone: leave out --peers, --ops, --costs")
        steps = [workload(name).name for name in workloads or WORKLOADS]
        return _bench_predict(steps, threads, 1 if quick else rounds, out)
    alone = set(workloads) & set(ALONE)
    if alone:
        if len(workloads) > 1 or peers or ops or costs:
            raise ValueError(f"bench {alone.pop()} is measured by itself: leave out the rest")
        measure = _bench_rules if alone == {"rules"} else partial(_bench_quality, seeds, quick)
        return measure(threads, out)
    names = run.contestants(peers)
    steps = [workload(name).name for name in workloads or (() if ops or costs else WORKLOADS)]
    length = {"rounds": 1, "seconds": 0.1} if quick else {"rounds": rounds}
    settings = run.Settings(threads=threads, accept_load=accept_load, processor_time=processor_time, **length)
    make_folder(out)
    figures = run.run(names, steps, settings, _status, partial(report.save, out), ops, costs)
    if costs:
        from ..bench.growth import growth

        figures["growth"] = growth(settings, _status)
        report.save(out, figures)
    _status("")
    click.echo(report.text(figures))
    written = ["bench.json", "bench.png", *(["bench-growth.png"] if costs else [])]
    click.echo("written: " + ", ".join(str(out / name) for name in written))
    return figures


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


def _shown(figures: dict, text: str, name: str, out: Path) -> dict:
    """Write the figures to OUT/NAME and show them as `text`."""
    from .._files import atomic_write

    _status("")
    make_folder(out)
    atomic_write(out / name, json.dumps(figures, indent=1))
    click.echo(text)
    click.echo(f"written: {out / name}")
    return figures


@contextmanager
def _threads_as_before() -> Iterator[None]:
    """What is measured may set the number of threads."""
    from .. import get_num_threads, set_num_threads

    before = get_num_threads()
    try:
        yield
    finally:
        set_num_threads(before)


def _bench_device(where, workloads, kernels: bool, rounds: int, quick: bool, out: Path) -> dict:
    """The kernels and the usual steps; only the steps of the workloads where some are named, the kernels only (or, too)
    where they are asked for."""
    from ..bench import device, device_steps
    from ..bench.workloads import workload

    steps = [workload(name).name for name in workloads or (() if kernels else device_steps.DEFAULT)]
    figures = device.run(where, _status, quick or where.simulated, rounds, kernels or not workloads, steps)
    return _shown(figures, device.text(figures), "bench-device.json", out)


def _bench_rules(threads: int, out: Path) -> dict:
    from ..bench import rules

    with _threads_as_before():
        figures = rules.measure(threads, _status)
    return _shown(figures, rules.text(figures), "bench-rules.json", out)


def _bench_quality(seeds: int, quick: bool, threads: int, out: Path) -> dict:
    from .._files import atomic_write
    from ..bench import quality

    def keep(figures: dict) -> None:
        atomic_write(out / "bench-quality.json", json.dumps(figures, indent=1))

    make_folder(out)
    figures = quality.quality(seeds, threads, quick, _status, keep)
    return _shown(figures, quality.text(figures), "bench-quality.json", out)


def _bench_predict(steps, threads: int, rounds: int, out: Path) -> dict:
    from ..bench import predict, processor

    with _threads_as_before():
        figures = predict.predict(steps, threads, rounds, _status)
    figures["machine"] = {"processor": processor.name(), "instructions": processor.instructions()}
    figures["machine"] |= {"cores": os.cpu_count(), "load": processor.load()}
    return _shown(figures, predict.text(figures), "bench-predict.json", out)


def _bench_systems(names, rounds: int, threads: int) -> dict:
    from .. import set_num_threads
    from ..bench import breakdown
    from ..gan.systems.table import system

    for name in names:
        system(name)
    figures = {}
    with _threads_as_before():
        set_num_threads(min(threads, os.cpu_count() or 1))
        for name in names:
            figures[name] = breakdown.breakdown(name, rounds, _status)
            _status("")
            click.echo(breakdown.text(figures[name]))
    return figures


def _status(line: str) -> None:
    """Show what is being done, on the terminal's present line; an empty one clears it."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)
