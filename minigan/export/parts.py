"""The networks of a run that can be exported, and what each of them takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import nn
from ..autograd import array_of
from ..backend import Generator, host
from ..data import Dataset
from ..gan.metrics import attributes, classifier
from ..gan.networks.encoders import Codec
from ..gan.systems.lapgan import PyramidTrainer
from ..gan.systems.stylegan import StyleTrainer
from ..gan.train import PREVIEW_STREAM, Trainer

COUNT = 3
"""Rows of the inputs of a part: enough to find the batch axis."""


@dataclass(frozen=True)
class Part:
    """network: in evaluation mode. inputs: an array of rows for each argument. names: of the arguments."""

    network: nn.Module
    inputs: tuple[np.ndarray, ...]
    names: tuple[str, ...]


def parts(trainer: Trainer, count: int = COUNT) -> dict[str, Part]:
    """Name -> part, with inputs of `count` rows, or as many as a batch has: the generator (the average of its weights,
    as samples are drawn), the critic, networks inside these that are called by themselves (`generator.a`), and the
    classifier that judges, where there is one."""
    calls: dict[str, tuple[np.ndarray, ...]] = {}
    with ExitStack() as stack:
        for name, network in trainer.networks().items():
            if name != "average":
                for path, module in _outer(name, network.eval()):
                    stack.callback(module.register_forward_pre_hook(_noting(calls, path)).remove)
        _run(trainer)

    @cache
    def drawn() -> np.ndarray:  # a translator draws nothing
        return host(trainer.inputs(count, Generator(trainer.options.seed, PREVIEW_STREAM)).data)

    if isinstance(trainer, PyramidTrainer) or isinstance(trainer.generator, Codec):
        calls = {"generator": (drawn(),), **calls}  # its parts are trained apart, and drawn with as one
    table = {}
    for path, arguments in calls.items():
        root, *rest = path.split(".")
        network = trainer.average.module if root == "generator" else trainer.networks()[root]
        network = network.get_submodule(".".join(rest)) if rest else network
        names = _names(path, arguments)
        takes_drawn = names == ("latents",) and drawn().shape[1:] == arguments[0].shape[1:]
        if takes_drawn or (path == "generator" and isinstance(trainer, StyleTrainer)):
            arguments = (drawn(),)  # as samples have them, not as a batch of training does
        table[path] = Part(network.eval(), tuple(x[:count] for x in arguments), names)
    if (judge := _judge(trainer)) is not None:
        shape = (count, trainer.info.shape[-1], classifier.SIZE, classifier.SIZE)
        images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        table["classifier"] = Part(judge, (images,), ("images",))
    return table


def part(trainer: Trainer, name: str | None) -> tuple[str, Part]:
    """The part called `name`, by default the generator or the first of its networks. Raises ValueError, with the names
    that there are."""
    table = parts(trainer)
    if name is None:
        name = next((path for path in table if path.split(".")[0] == "generator"), next(iter(table)))
    if name not in table:
        raise ValueError(f"export: {trainer.options.system} has no part {name!r}; it has {', '.join(table)}")
    return name, table[name]


def _outer(name: str, network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The network, or where it is only a holder of others, those."""
    yield name, network
    for child, module in network.named_children():
        yield f"{name}.{child}", module


def _noting(calls: dict[str, tuple[np.ndarray, ...]], path: str):
    def note(module: nn.Module, arguments: tuple) -> None:
        inside = path.rpartition(".")[0]
        if inside not in calls:  # a child that its parent calls is a layer, no part
            calls.setdefault(path, tuple(np.array(array_of(x)) for x in arguments))

    return note


def _run(trainer: Trainer) -> None:
    """Each player's loss once, so that every network is called, on what the batch holds; random numbers go on from
    where they are."""
    if trainer.loader is not None:
        trainer.feed()
    trainer.generator_loss()
    if trainer.critic is not None:
        trainer.critic_loss()


def _names(path: str, arguments: Sequence[np.ndarray]) -> tuple[str, ...]:
    """What the arguments are called: images, latents (a generator's first, where it takes no images) or condition."""
    kinds = ["images" if x.ndim == 4 and x.shape[-1] > 1 else "condition" for x in arguments]
    if path.startswith("generator") and kinds[0] != "images":
        kinds[0] = "latents"
    return tuple(kind if kinds.count(kind) == 1 else f"{kind}_{k}" for k, kind in enumerate(kinds))


def _judge(trainer: Trainer) -> nn.Module | None:
    """The judge of the run's data set, where there is one and the set is at hand."""
    has_attributes = trainer.info.attributes and not trainer.info.class_names
    if has_attributes and not isinstance(trainer.dataset, Dataset):
        return None
    try:
        model = attributes.load_for(trainer.dataset) if has_attributes else classifier.load(trainer.options.data)
    except ValueError:
        return None
    return model[0].eval()
