"""`minigan summary`: the layers of networks, what comes out of each, and how many numbers each trains."""

from __future__ import annotations

from collections.abc import Callable

import click


class Shape(click.ParamType):
    """Sizes of an array, as in 64,1,28,28."""

    name = "shape"

    def convert(self, value, param, ctx):
        """The sizes as integers."""
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(int(size) for size in value.replace("x", ",").split(","))
        except ValueError:
            sizes = ()
        if not sizes or min(sizes) < 1:
            self.fail(f"{value!r} is no shape; write sizes as in 64,1,28,28", param, ctx)
        return sizes


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "summary", "List a network's layers, shapes and parameters.")(summary)


@click.argument("target")
@click.option(
    "--input", "inputs", multiple=True, type=Shape(), help="Sizes of an input, the batch first; one for each."
)
def summary(target, inputs) -> dict:
    """List the layers of networks, the shape that comes out of each, and how many numbers each trains.

    TARGET is a system (wgan-gp), a run folder, latest, or file.py:Name, a Module of your own or a function that makes
    one; --input says what goes in.
    """
    from .. import _user_code

    own = _user_code.is_name(target)
    if inputs and not own:
        raise ValueError("summary --input: a system and a run say themselves what goes in; leave it out")
    tables = _of_own(target, inputs) if own else _of_trainer(target)
    for name, rows in tables.items():
        click.echo(f"{name}\n{rows}\n")
    return {
        name: {"layers": [vars(row) for row in rows], "parameters": rows.parameters} for name, rows in tables.items()
    }


def _of_trainer(target: str) -> dict:
    from .. import data
    from ..gan.run import load_trainer
    from ..gan.systems.table import SYSTEMS, options_for, trainer_for
    from ..nn.summary import summary

    if target in SYSTEMS:
        options = options_for(target)
        trainer = trainer_for(options, data.load(options.data, size=options.size))
    else:
        trainer, _ = load_trainer(target)
    trainer.feed()
    return {name: summary(network, trainer.generator_loss) for name, network in trainer.trained().items()}


def _of_own(target: str, inputs: tuple) -> dict:
    from .. import _user_code, nn, zeros
    from ..nn.summary import summary

    _, name, value = _user_code.load(target)
    network = value if isinstance(value, nn.Module) else _made(target, value)
    if not inputs:
        raise ValueError(f"summary {target}: say what goes in, as in --input 64,1,28,28")
    return {name: summary(network, lambda: network(*(zeros(*sizes) for sizes in inputs)))}


def _made(target: str, value):
    from .. import nn

    try:
        network = value()
    except TypeError as error:
        raise ValueError(f"summary {target}: it is neither a Module nor makes one without arguments: {error}") from None
    if not isinstance(network, nn.Module):
        raise ValueError(f"summary {target}: it makes a {type(network).__name__}, and no Module")
    return network
