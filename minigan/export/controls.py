"""What a generator takes, as things to move on a page: latents by seed and by sliders, a class, a caption, a row."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import Generator, host
from ..data import captions
from ..gan.latents import law_of
from ..gan.systems.conditional import ConditionalTrainer
from ..gan.systems.infogan import InfoTrainer
from ..gan.systems.lapgan import PyramidTrainer
from ..gan.systems.text2image import SHOWN, TextTrainer
from ..gan.train import PREVIEW_STREAM, Trainer
from ..nn.module import Module
from .parts import Part, parts

SLIDERS, EXAMPLES = 6, 8
"""Latents with a slider, and rows of inputs that are offered."""


def generator_of(trainer: Trainer, name: str | None = None) -> tuple[str, Part]:
    """The part called `name`, or the first of a generator's whose output is images, from latents rather than images.
    Raises ValueError, with the names that there are, for one that makes no images."""
    table = {path: part for path, part in parts(trainer, EXAMPLES).items() if _makes_images(part)}
    if name is None:
        of_generator = [path for path in table if path.split(".")[0] == "generator"]
        chosen = sorted(of_generator, key=lambda path: table[path].inputs[0].ndim)
        name = chosen[0] if chosen else None
    if name not in table:
        what = f"its part {name!r} makes" if name else "its networks make"
        raise ValueError(f"export page: {what} no images; those that do: {', '.join(table) or 'none'}")
    return name, table[name]


def _makes_images(part: Part) -> bool:
    with no_grad():
        images = part.network(*map(Tensor, part.inputs))
    return isinstance(images, Tensor) and images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[-1] > 4


def controls(trainer: Trainer, part: Part) -> list[dict[str, Any]]:
    """For each argument {"name", "dims", "fields"}; the fields, one behind the other, are the argument's numbers.

    A field is {"kind": "latents", "count", "law", "stream", "sliders"}, drawn anew for each seed; {"kind": "number",
    "name", "low", "high"}, with a slider of its own; or {"kind": "choice", "name", "labels", "rows"}.
    """
    rows: list[dict[str, Any]] = []
    for name, x in zip(part.names, part.inputs, strict=True):
        if name == "latents" and x.shape[1:] == _drawn(trainer).shape[1:]:
            fields = _latents(trainer, part, x)
        else:
            labels = [f"{k + 1}" for k in range(len(x))]
            fields = [{"kind": "choice", "name": name, "labels": labels, "rows": x.reshape(len(x), -1).tolist()}]
        rows.append({"name": name, "dims": list(x.shape[1:]), "fields": fields})
    return rows


def _drawn(trainer: Trainer) -> np.ndarray:
    return host(trainer.inputs(1, Generator(trainer.options.seed, PREVIEW_STREAM)).data)


def strongest(network: Module, start: np.ndarray, latent: int, count: int, law: str = "normal") -> list[int]:
    """The `count` of the first `latent` numbers of a row (1, width) that move a network's images most, between -1.5 and
    1.5, uniform ones between 0 and 1, with all others as in `start`; the strongest first."""
    probes = np.repeat(start, 2 * latent, 0)
    low, high = (0, 1) if law == "uniform" else (-1.5, 1.5)
    probes[np.arange(latent), np.arange(latent)] = low
    probes[latent + np.arange(latent), np.arange(latent)] = high
    with no_grad():
        images = host(network(Tensor(probes)).data)
    moved = np.abs(images[:latent] - images[latent:]).reshape(latent, -1).mean(1)
    return [int(k) for k in np.argsort(-moved, kind="stable")[:count]]


def _latents(trainer: Trainer, part: Part, x: np.ndarray) -> list[dict[str, Any]]:
    behind = codes(trainer)
    count = x.shape[1] - sum(len(f["rows"][0]) if f["kind"] == "choice" else 1 for f in behind)
    probed = min(count, getattr(trainer.options, "latent", count))
    first = {
        "kind": "latents",
        "count": count,
        "law": law_of(trainer),
        "stream": PREVIEW_STREAM,
        "sliders": strongest(part.network, part.inputs[0][:1], probed, SLIDERS, law_of(trainer)),
    }
    return [first, *behind]


@singledispatch
def codes(trainer: Trainer) -> list[dict[str, Any]]:
    """The fields behind the latents: none by default."""
    return []


@codes.register(ConditionalTrainer)
@codes.register(PyramidTrainer)
def _(trainer) -> list[dict[str, Any]]:
    names = list(trainer.info.class_names)
    return [_one_of("class", names)] if trainer.classes else []


@codes.register
def _(trainer: InfoTrainer) -> list[dict[str, Any]]:
    options = trainer.options
    numbers = [{"kind": "number", "name": f"code {k + 1}", "low": -1, "high": 1} for k in range(options.continuous)]
    return [_one_of("category", [str(k) for k in range(options.categories)]), *numbers]


@codes.register
def _(trainer: TextTrainer) -> list[dict[str, Any]]:
    return [{"kind": "choice", "name": "caption", "labels": list(SHOWN), "rows": captions.numbered(SHOWN).tolist()}]


def _one_of(name: str, labels: list[str]) -> dict[str, Any]:
    return {"kind": "choice", "name": name, "labels": labels, "rows": np.eye(len(labels)).tolist()}
