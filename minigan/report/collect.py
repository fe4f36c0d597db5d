"""Everything that the page of a run shows, as one table of numbers and pictures (PNG, in base64)."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import viz
from ..autograd import Tensor, no_grad
from ..backend import Generator, host
from ..checkpoint import Checkpoint
from ..data import evenly_spaced
from ..export import controls, program
from ..export.parts import Part, parts
from ..gan import bands
from ..gan.latents import law_of
from ..gan.metrics import classifier
from ..gan.metrics.distances import squared_distances
from ..gan.records import read_norms, read_stats
from ..gan.systems.table import system
from ..gan.train import PREVIEW_STREAM, Trainer
from . import walk

FRAMES, FRAME_BYTES, POINTS, SAMPLES, SIDE = 24, 2_500_000, 400, 6, 9
"""Pictures of the training and their bytes together, points of a curve, samples to walk with, a side of the sweep."""


def collect(trainer: Trainer, checkpoint: Checkpoint, own: Sequence[np.ndarray] = ()) -> dict:
    """The table, ready for JSON. own: the user's images (C, S, S) in [-1, 1], for the critic and the judge."""
    folder, table = checkpoint.path.parent, parts(trainer)
    row = system(trainer.options.system)
    stats = read_stats(folder)
    samples = _samples(trainer, table)
    reals = _reals(trainer, len(samples["images"]))
    shown = {"sample": samples["images"], "real": reals, "yours": np.stack(own) if len(own) else reals[:0]}
    images = np.concatenate(list(shown.values()))
    kinds = [f"{kind} {k + 1}" for kind, group in shown.items() for k in range(len(group))]
    return {
        "system": row.name,
        "what": row.what,
        "paper": row.paper,
        "run": folder.name,
        "step": checkpoint.step,
        "options": {k: v for k, v in asdict(trainer.options).items() if v != ""},
        "formulas": trainer.formulas(),
        "frames": _frames(folder),
        "stats": stats[:: max(1, -(-len(stats) // POINTS))],
        "bands": _bands(trainer),
        "verdict": bands.verdict(trainer.options, stats),
        "norms": read_norms(folder),
        "images": [{"kind": kind, "picture": png(_picture(x), 4)} for kind, x in zip(kinds, images, strict=True)],
        "networks": _networks(table, samples["inputs"], images, kinds),
        "gradients": _gradients(trainer, table, reals),
        "judge": _judge(trainer, images),
        "neighbours": _neighbours(trainer, images),
        "sweep": (sweep := _sweep(trainer, samples)),
        "generator": None
        if sweep is None
        else program.program(samples["part"].network, samples["inputs"], ["latents"]),
    }


def _bands(trainer: Trainer) -> dict[str, list]:
    """Curve -> rows of (step, low, high), between which a normal run's lies."""
    normal, _ = bands.of(trainer.options)
    return {key: list(zip(band.steps, band.low, band.high, strict=True)) for key, band in normal.items()}


def png(picture: np.ndarray, scale: int = 1) -> str:
    """An array of uint8 (H, W) or (H, W, C) as a PNG in base64, each pixel `scale` wide."""
    array = picture.repeat(scale, 0).repeat(scale, 1)
    file = io.BytesIO()
    viz.to_picture(array).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _picture(image: np.ndarray) -> np.ndarray:
    """An image (C, S, S) in [-1, 1] as (S, S) or (S, S, 3) of uint8."""
    return viz.image_grid(image[None], columns=1, padding=0)


def _frames(folder: Path) -> list[dict]:
    """The run's sheets of samples, as many as fit, evenly over the training."""
    frames = list(viz.run_frames(folder).items())
    count = min(FRAMES, len(frames))
    while count > 1:
        places = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
        chosen = [(frames[k][0], frames[k][1].read_bytes()) for k in places]
        if sum(len(file) for _, file in chosen) <= FRAME_BYTES:
            break
        count -= 2
    else:
        chosen = [(caption, path.read_bytes()) for caption, path in frames[-1:]]
    return [{"caption": caption, "picture": base64.b64encode(file).decode()} for caption, file in chosen]


def _samples(trainer: Trainer, table: dict[str, Part]) -> dict:
    """{"part": the first network that makes images, "inputs": what it takes, "images": what it makes of them}."""
    shape = (trainer.info.shape[-1], trainer.options.size, trainer.options.size)
    for name, part in table.items():
        inputs = [x[:SAMPLES] for x in part.inputs]
        if part.names == ("latents",):
            inputs = [host(trainer.inputs(SAMPLES, Generator(trainer.options.seed, PREVIEW_STREAM)).data)]
        with no_grad():
            images = part.network(*map(Tensor, inputs))
        if name.split(".")[0] == "generator" and isinstance(images, Tensor) and images.shape[1:] == shape:
            return {"part": part, "inputs": inputs, "images": np.clip(host(images.data), -1, 1)}
    raise ValueError(f"report: {trainer.options.system} has no network that makes images of one argument's shape")


def _reals(trainer: Trainer, count: int) -> np.ndarray:
    """Held-out images (count, C, S, S)."""
    rows = evenly_spaced(trainer.dataset.held_out, count)
    return classifier.prepared(trainer.dataset, rows, trainer.options.size)


def _networks(table: dict[str, Part], inputs: list[np.ndarray], images: np.ndarray, kinds: list[str]) -> list[dict]:
    """Each network's layers, on the samples; a critic's on all images where it takes nothing else."""
    rows = []
    for name, part in table.items():
        if name == "classifier":
            continue
        kind, arguments, labels = (
            name.split(".")[0],
            list(part.inputs),
            [f"row {k + 1}" for k in range(len(part.inputs[0]))],
        )
        if kind == "generator" and [x.shape[1:] for x in inputs] == [x.shape[1:] for x in arguments]:
            arguments, labels = inputs, [f"sample {k + 1}" for k in range(len(inputs[0]))]
        elif kind == "critic" and len(arguments) == 1 and arguments[0].shape[1:] == images.shape[1:]:
            arguments, labels = [images], kinds
        layers = walk.activations(part.network, arguments)
        rows.append(
            {
                "name": name,
                "takes": list(part.names),
                "labels": labels,
                "walks": [
                    [
                        {
                            "name": layer.name,
                            "what": layer.what,
                            "shape": list(layer.shape),
                            "low": layer.low,
                            "high": layer.high,
                            "picture": png(layer.picture),
                            "width": layer.picture.shape[1],
                        }
                        for layer in row
                    ]
                    for row in layers
                ],
                "weights": [
                    {
                        "name": weight.name,
                        "shape": list(weight.shape),
                        "norm": weight.norm,
                        "singular": [float(f"{s:.5g}") for s in weight.singular[:128]],
                        "picture": None if weight.picture is None else png(weight.picture),
                        "width": 0 if weight.picture is None else weight.picture.shape[1],
                    }
                    for weight in walk.weights(part.network)
                ],
                "statistics": walk.statistics(part.network),
            }
        )
    return rows


def _gradients(trainer: Trainer, table: dict[str, Part], reals: np.ndarray) -> dict:
    """What the critic sends to the generator, and its slope halfway between fakes and reals."""
    result: dict = {"to_generator": [], "between": []}
    pair = walk.gradients_of_images(trainer)
    if pair is None:
        return result
    images, slopes = (x[:SAMPLES] for x in pair)
    for image, slope in zip(images, slopes, strict=True):
        result["to_generator"].append(
            {
                "image": png(_picture(np.clip(image, -1, 1)), 4),
                "slope": png(walk.signed(slope.sum(0)), 4),
                "length": float(np.sqrt(np.square(slope).sum())),
            }
        )
    name = next((n for n in table if n.split(".")[0] == "critic"), None)
    if name is not None and table[name].inputs[0].shape[1:] == images.shape[1:]:
        part, count = table[name], min(len(images), len(reals), len(table[name].inputs[0]))
        others = [x[:count] for x in part.inputs[1:]]
        points, slope, lengths = walk.slopes_between(part.network, others, images[:count], reals[:count])
        for point, g, length in zip(points, slope, lengths, strict=True):
            result["between"].append(
                {
                    "image": png(_picture(np.clip(point, -1, 1)), 4),
                    "slope": png(walk.signed(g.sum(0)), 4),
                    "length": float(length),
                }
            )
    return result


def _judge(trainer: Trainer, images: np.ndarray) -> dict | None:
    """The judge's probabilities of each image, where the data set has classes and a judge."""
    try:
        model, record = classifier.load(trainer.options.data)
        seen = classifier.shrunk(images).astype(np.float32)
        probabilities = np.concatenate([p for _, p in classifier.judge(model, seen)])
    except ValueError:
        return None
    return {
        "classes": record["classes"],
        "right": record["held_out_accuracy"],
        "probabilities": [[round(float(p), 4) for p in row] for row in probabilities],
    }


def _neighbours(trainer: Trainer, images: np.ndarray) -> list[dict]:
    """Each image's nearest training image, and how far it is: the root of the mean squared difference of pixels."""
    train = classifier.prepared(trainer.dataset, trainer.trained_on.train, trainer.options.size)
    flat = train.reshape(len(train), -1)
    distances = squared_distances(images.reshape(len(images), -1).astype(np.float64), flat.astype(np.float64))
    return [
        {"picture": png(_picture(train[k]), 4), "distance": float(np.sqrt(max(0.0, row[k]) / flat.shape[1]))}
        for row, k in zip(distances, distances.argmin(1), strict=True)
    ]


def _sweep(trainer: Trainer, samples: dict) -> dict | None:
    """A grid of samples over the two latents that move the images most, from -2 to 2 or over the whole of uniform ones;
    the others as in sample 1."""
    inputs = samples["inputs"]
    if len(inputs) != 1 or inputs[0].ndim != 2 or "latent" not in system(trainer.options.system).takes:
        return None
    start, count = inputs[0][:1], min(trainer.options.latent, inputs[0].shape[1])
    if count < 2:
        return None
    a, b = controls.strongest(samples["part"].network, start, count, 2, law_of(trainer))
    values = np.linspace(*(-2, 2) if law_of(trainer) != "uniform" else (0, 1), SIDE)
    points = np.repeat(start, SIDE * SIDE, 0)
    points[:, a], points[:, b] = np.tile(values, SIDE), np.repeat(values, SIDE)
    sheet = viz.image_grid(trainer.sample(Tensor(points)), columns=SIDE, padding=0)
    return {
        "latents": [a, b],
        "values": values.tolist(),
        "side": SIDE,
        "picture": png(sheet, 2),
        "start": start[0].tolist(),
    }
