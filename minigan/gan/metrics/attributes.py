"""A classifier of all of a data set's attributes at once: the judge of translated images (StarGAN's, for one).

    image (N, C, 32, 32) -> the features of gan/metrics/classifier.py -> one group of logits for each attribute
    guard: the same image -> features of its own -> one logit for each attribute: is it readable?

The classifier's loss is the sum of the groups' cross-entropies, and it sees real images only. Alone it takes coloured
noise for a hat: whatever it sees must have some value. The guard learns which attributes of an image are spoilt, by
binary cross-entropy on real images and on as many spoilt ones (gan/metrics/spoilt.py). Both see the training split
only; the accuracy of each attribute is measured on the held-out images, where one that the guard refuses is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shlex import quote

import numpy as np

from ... import checkpoint, optim
from ..._files import make_folder
from ...autograd import Tensor, no_grad, tensor
from ...data import ASSETS, Dataset, Loader, slug
from ...functional import binary_cross_entropy_with_logits, cross_entropy
from . import spoilt
from .classifier import SIZE, STREAM, Classifier, judged_side, kept, prepared, restored, shrunk, turn

UNREADABLE = -1
"""What `judge` says of an attribute whose place is like no real image's: no value equals it."""


def groups(dataset: Dataset) -> dict[str, slice]:
    """Attribute -> its columns among the logits. Raises ValueError for a data set without attributes."""
    if dataset.attributes is None or not dataset.info.attributes:
        raise ValueError(f"attributes: data set {dataset.name!r} has no attributes")
    slices, start = {}, 0
    for name, values in dataset.info.attributes.items():
        slices[name] = slice(start, start + len(values))
        start += len(values)
    return slices


class AttributeClassifier(Classifier):
    """A classifier of attributes, and the guard that says which of them can be read: `guard(x)` gives logits (N, A)."""

    def __init__(self, channels: int, values: int, attributes: int, seed: int = 0) -> None:
        super().__init__(channels, values, seed)
        self.guard = Classifier(channels, attributes, seed + 1)


def train(
    dataset: Dataset, epochs: int = 20, seed: int = 0, tick: Callable[[int, float], None] = lambda *_: None
) -> AttributeClassifier:
    """Train on the training split by Adam with a rate falling from 2e-3 to 0; tick(epoch, loss) after each epoch.

    It is trained on the default device, and left on the CPU. Raises ValueError for a data set without attributes.
    """
    columns, random = list(groups(dataset).values()), np.random.default_rng((seed, STREAM))
    model = AttributeClassifier(dataset.images.shape[-1], columns[-1].stop, len(columns), seed)
    # Small images are mostly spoilt as they are, and enlarged then: edges within a pixel would give the others away.
    side = min(dataset.images.shape[1], SIZE)
    steps = {whole: 1 if whole or SIZE % side else SIZE // side for whole in (False, True)}
    weights = {
        step: spoilt.places(prepared(dataset, dataset.train)[:, :, ::step, ::step], dataset.attributes[dataset.train])
        for step in steps.values()
    }
    count = min(64, len(dataset.train))
    unlabelled = replace(dataset, labels=None)  # so that attributes are the loader's targets
    loader = Loader(unlabelled, count, seed, size=judged_side(dataset))
    optimiser = optim.Adam(model.parameters(), 2e-3)
    total = epochs * loader.steps_per_epoch
    for step in range(total):
        x, values = next(loader)
        x = shrunk(x)
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / total)
        logits = model(tensor(x))
        loss = cross_entropy(logits[:, columns[0]], tensor(values[:, 0]))
        for k, part in enumerate(columns[1:], 1):
            loss = loss + cross_entropy(logits[:, part], tensor(values[:, k]))
        k = steps[step % 4 == 3]
        bad, readable = spoilt.spoil(x[:, :, ::k, ::k], values, weights[k], random)
        targets = np.concatenate([np.ones_like(readable), readable])
        loss = loss + binary_cross_entropy_with_logits(
            model.guard(tensor(np.concatenate([x, shrunk(bad)]))), tensor(targets)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % loader.steps_per_epoch == 0:
            tick((step + 1) // loader.steps_per_epoch, loss.item())
    return model.to("cpu").eval()


def judge(model: AttributeClassifier, images: np.ndarray, dataset: Dataset, batch: int = 250) -> np.ndarray:
    """The most likely value of each attribute (N, A) of images (N, C, 32, 32) in [-1, 1]; UNREADABLE where the guard
    refuses it."""
    labels = []
    with no_grad():
        for i in range(0, len(images), batch):
            x = Tensor(images[i : i + batch])
            logits, readable = model(x).data, model.guard(x).data > 0
            values = np.stack([logits[:, part].argmax(1) for part in groups(dataset).values()], 1)
            labels.append(np.where(readable, values, UNREADABLE))
    return np.concatenate(labels)


def accuracy(model: AttributeClassifier, dataset: Dataset) -> dict[str, float]:
    """Attribute -> the share of held-out images whose value the classifier names."""
    right = judge(model, prepared(dataset, dataset.held_out), dataset) == dataset.attributes[dataset.held_out]
    return {name: float(share) for name, share in zip(groups(dataset), right.mean(0), strict=True)}


def save(model: AttributeClassifier, dataset: Dataset, folder: Path, epochs: int) -> Path:
    """Write the classifier as a checkpoint, with the accuracy of each attribute and how it was made."""
    state = {
        "data": dataset.name,
        "attributes": {k: list(v) for k, v in dataset.info.attributes.items()},
        "channels": dataset.images.shape[-1],
        "held_out_accuracy": accuracy(model, dataset),
        "command": f"minigan classifier {quote(dataset.name)} --attributes --epochs {epochs}",
    }
    make_folder(folder)
    return checkpoint.save(folder, turn(folder, epochs), model.state_dict(), state)


def load(folder: Path, dataset: Dataset) -> tuple[AttributeClassifier, dict]:
    """(classifier, what was saved about it). Raises ValueError where it is for other attributes, or of
    an older minigan, CheckpointError."""
    record = checkpoint.latest(folder)
    present = {k: list(v) for k, v in dataset.info.attributes.items()}
    if record.state.get("attributes") != present:
        raise ValueError(f"{folder} holds no classifier for the attributes {', '.join(present)} of {dataset.name!r}")
    if not any(name.startswith("guard.") for name in record.arrays):
        raise ValueError(
            f"{folder} holds a classifier without a guard, which takes noise for attributes; train it again with:"
            f" minigan classifier {quote(dataset.name)} --attributes"
        )
    parts = groups(dataset)
    values = list(parts.values())[-1].stop
    return restored(record, lambda state: AttributeClassifier(state["channels"], values, len(parts)))


def folder_for(data: str) -> Path:
    """Where the classifier of a data set's attributes is: the shipped one's folder, else one in the user's cache."""
    shipped = ASSETS / f"classifier-{slug(data)}-attributes"
    return shipped if shipped.is_dir() else kept(data).with_name(f"{kept(data).name}-attributes")


def load_for(dataset: Dataset) -> tuple[AttributeClassifier, dict]:
    """`load` from where it is by default. Raises ValueError, with the command that trains it, where there is none."""
    folder = folder_for(dataset.name)
    if not folder.is_dir():
        raise ValueError(
            f"no classifier of the attributes of {dataset.name!r} is at hand; train one with: minigan classifier"
            f" {quote(dataset.name)} --attributes"
        )
    return load(folder, dataset)
