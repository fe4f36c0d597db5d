"""`minigan export`: a network of a run for other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import DATA, Destination, echo, free

_run = click.argument("run")
_part = click.option("--part", help="Which network: generator (its averaged weights), critic, classifier, ...")
_place = click.option("--data", "place", help=DATA)


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    group = click.Group(
        "export",
        help="A network of a run for other tools. RUN is a run folder, a checkpoint file, or latest.",
        short_help="Write a network as ONNX, as weights for PyTorch, as a page.",
    )
    main.add_command(group)
    command(group, "onnx", "Write a network as an ONNX graph.")(onnx)
    command(group, "weights", "Write a network's weights for PyTorch.")(weights)
    command(group, "page", "Write a web page that runs a generator.")(page)


@_run
@click.option("-o", "--out", type=Destination(), help=".onnx to write. By default a new one in the run's folder.")
@_part
@_place
def onnx(run, out, part, place) -> dict:
    """Write a network of RUN as an ONNX graph, the number of rows free, and compare it with onnxruntime, where that is
    installed."""
    from ..export import onnx as graphs

    _installed("onnx")
    trainer, folder, name, chosen = _chosen(run, part, place)
    model = graphs.exported(chosen.network, chosen.inputs, chosen.names, f"{trainer.options.system} {name}")
    out = out or free(folder, f"{name}.onnx")
    _write(out, model.SerializeToString())
    echo(f"{name} of {run}: {len(model.graph.node)} nodes, {', '.join(chosen.names)} in, in {out}")
    figures = {"out": str(out), "part": name, "nodes": len(model.graph.node), "inputs": list(chosen.names)}
    try:
        figures["difference"] = graphs.difference(model, chosen.network, chosen.inputs)
        figures["rounding"] = graphs.rounding(chosen.network, chosen.inputs)
        echo(
            f"onnxruntime differs by at most {figures['difference']:.1e} of the largest output; float32 itself rounds"
            f" by {figures['rounding']:.1e}"
        )
    except ImportError:
        echo("not compared: onnxruntime is not installed")
    return figures


@_run
@click.option(
    "-o",
    "--out",
    type=Destination(),
    help=".safetensors to write. By default a new PART.safetensors in the run's folder.",
)
@_part
@_place
def weights(run, out, part, place) -> dict:
    """Write a network's weights of RUN as .safetensors, and print the PyTorch that loads them."""
    from ..export import torch as lines

    _, folder, name, chosen = _chosen(run, part, place)
    result = lines.rebuilt(chosen.network, chosen.inputs, chosen.names)
    out = out or free(folder, f"{name}.safetensors")
    result.save(out)
    click.echo(result.code)
    click.echo("from safetensors.torch import load_file\n")
    click.echo(f"network = Network()\nnetwork.load_state_dict(load_file({str(out)!r}))\nnetwork.eval()")
    return {"out": str(out), "part": name, "weights": {k: list(v.shape) for k, v in result.weights.items()}}


@_run
@click.option("-o", "--out", type=Destination(), help=".html to write. By default a new PART.html in the run's folder.")
@click.option("--part", help="Which network: one that makes images. By default the generator, from latents.")
@_place
def page(run, out, part, place) -> dict:
    """Write one HTML file that runs a generator of RUN in a browser, with sliders for the latents that move the image
    most. It needs no network and no server."""
    from ..export.controls import generator_of
    from ..export.page import page as written
    from ..gan.run import load_trainer

    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{out}: the page is written as .html, not as {out.suffix or 'a file without suffix'}")
    trainer, checkpoint = load_trainer(run, place=place)
    name, chosen = generator_of(trainer, part)
    folder = checkpoint.path.parent
    title = f"{trainer.options.system}, step {checkpoint.step}: {folder.name}"
    data = written(trainer, name, chosen, title).encode()
    out = out or free(folder, f"{name}.html")
    _write(out, data)
    echo(f"{name} of {run}: {out}, {len(data) / 2**20:.1f} MiB; open it in a browser")
    return {"out": str(out), "part": name, "bytes": len(data)}


def _chosen(run: str, part: str | None, place: str | None) -> tuple:
    from ..export.parts import part as find
    from ..gan.run import load_trainer

    trainer, checkpoint = load_trainer(run, place=place)
    name, chosen = find(trainer, part)
    return trainer, checkpoint.path.parent, name, chosen


def _write(path: Path, data: bytes) -> None:
    from .._files import atomic_write

    atomic_write(path, data)


def _installed(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise click.ClickException(f'export {package}: the package {package} is needed: pip install "minigan[onnx]"')
