"""A small classifier of a data set's classes, trained by minigan itself: the judge of generated images.

    image (N, C, 32, 32) -> 16 x 16 x 16 -> 32 x 8 x 8 -> 64 x 4 x 4 -> 64 features -> one logit a class

It sees only the data set's training split, the same one that GANs see; its accuracy is measured on the held-out images.
The one for `digits` is shipped; `minigan classifier NAME` trains one for any set with classes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import TypeVar

import numpy as np

from ... import checkpoint, nn, optim
from ..._files import make_folder
from ...autograd import Tensor, no_grad, tensor
from ...backend import Generator
from ...data import ASSETS, DATASETS, Dataset, Loader, absolute, resize, slug, to_unit
from ...data.folder import PREFIX
from ...data.sources import cache_folder
from ...functional import cross_entropy, dropout, leaky_relu
from ...nn import init
from ...ops.index import cat

Module = TypeVar("Module", bound=nn.Module)
SIZE, STACKED = 32, "stacked"
STREAM = 101


class Classifier(nn.Module):
    """Logits (N, classes) for images (N, C, 32, 32) in [-1, 1]; `features` gives the layer before the last."""

    def __init__(self, channels: int, classes: int, seed: int = 0) -> None:
        super().__init__()
        self.random = Generator(seed, STREAM)
        self.conv = nn.Sequential(
            nn.Conv2d(channels, 16, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(32, 64, 4, 2, 1),
            nn.LeakyReLU(0.1),
        )
        self.hidden, self.last = nn.Linear(64 * 16, 64), nn.Linear(64, classes)
        for layer in (*self.conv, self.hidden, self.last):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                init.kaiming_normal_(layer.weight, 0.1, generator=self.random)
                init.zeros_(layer.bias)

    def features(self, x: Tensor) -> Tensor:
        """(N, 64): what the Frechet distance compares."""
        x = dropout(self.conv(x).flatten(1), 0.3, self.training, self.random)
        return leaky_relu(self.hidden(x), 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        return self.last(dropout(self.features(x), 0.3, self.training, self.random))


class ChannelClassifier(nn.Module):
    """A classifier of grey images for stacks (N, C, 32, 32) of C of them: each channel is judged by itself.

    The classes are those of the channels together, K^C of them in the order of their digits; the probability of one is
    the product of its channels', so its logit is their sum.
    """

    def __init__(self, each: Classifier, channels: int = 3) -> None:
        super().__init__()
        self.each, self.channels = each, channels

    def features(self, x: Tensor) -> Tensor:
        """(N, C F): those of the channels side by side."""
        if x.shape[1] != self.channels:
            raise ValueError(f"ChannelClassifier: images have {x.shape[1]} channels, expected {self.channels}")
        return cat([self.each.features(x[:, c : c + 1]) for c in range(self.channels)], 1)

    def last(self, features: Tensor) -> Tensor:
        """Logits (N, K^C) of features."""
        width = features.shape[1] // self.channels
        parts = [self.each.last(features[:, c * width : (c + 1) * width]) for c in range(self.channels)]
        total = parts[0]
        for part in parts[1:]:
            total = (total.unsqueeze(2) + part.unsqueeze(1)).flatten(1)
        return total

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K^C)."""
        return self.last(self.features(x))


def train(
    dataset: Dataset, epochs: int = 20, seed: int = 0, tick: Callable[[int, float], None] = lambda *_: None
) -> Classifier:
    """Train a classifier on the training split by Adam with a rate falling from 2e-3 to 0; tick(epoch, loss) after each
    epoch.

    It is trained on the default device, and left on the CPU. Raises ValueError for a data set without labels.
    """
    if dataset.labels is None:
        raise ValueError(f"classifier: data set {dataset.name!r} has no class labels")
    model = Classifier(dataset.images.shape[-1], len(dataset.class_names), seed)
    loader = Loader(dataset, min(64, len(dataset.train)), seed, size=judged_side(dataset))
    optimiser = optim.Adam(model.parameters(), 2e-3)
    total = epochs * loader.steps_per_epoch
    for step in range(total):
        x, labels = next(loader)
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / total)
        loss = cross_entropy(model(tensor(shrunk(x))), tensor(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % loader.steps_per_epoch == 0:
            tick((step + 1) // loader.steps_per_epoch, loss.item())
    return model.to("cpu").eval()


def accuracy(model: Classifier, dataset: Dataset) -> float:
    """The share of held-out images whose largest logit is their class."""
    guesses = classes(model, prepared(dataset, dataset.held_out))
    return float((guesses == dataset.labels[dataset.held_out]).mean())


def judged_side(dataset: Dataset, size: int = SIZE) -> int:
    """The least multiple of `size` that holds the data set's images."""
    return -(-max(dataset.images.shape[1:3]) // size) * size


def prepared(dataset: Dataset, index: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Some images of a data set as a classifier or critic sees them: (N, C, size, size) in [-1, 1], larger ones by the
    mean of blocks."""
    side = judged_side(dataset, size)
    return _block_means(to_unit(resize(dataset.images[index], side, dataset.info.background)), size)


def _block_means(images: np.ndarray, size: int) -> np.ndarray:
    """Images (N, C, S, S), S a multiple of `size`, as (N, C, size, size)."""
    n, channels, side, _ = images.shape
    if side == size:
        return images
    return images.reshape(n, channels, size, side // size, size, side // size).mean((3, 5))


def shrunk(images: np.ndarray) -> np.ndarray:
    """Images (N, C, S, S) as (N, C, 32, 32): larger ones by the mean of blocks, which undoes the enlarging of the data
    set's own images, smaller ones by repeating pixels, as it enlarges them.

    Raises ValueError unless S is a multiple of 32, or 32 of S.
    """
    if images.ndim != 4 or not images.size:
        raise ValueError(f"the classifier judges images (N, C, S, S), got shape {images.shape}")
    height, width = images.shape[2:]
    if height == width and height < SIZE and SIZE % height == 0:
        return images.repeat(SIZE // height, 2).repeat(SIZE // height, 3)
    if height != width or height % SIZE:
        raise ValueError(
            f"the classifier judges square images of {SIZE} pixels, a multiple or a whole part of it, got"
            f" {height}x{width}"
        )
    return _block_means(images, SIZE)


def judge(model: Classifier, images: np.ndarray, batch: int = 250) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(features, class probabilities) of images (N, C, 32, 32), a batch at a time."""
    with no_grad():
        for i in range(0, len(images), batch):
            features = model.features(Tensor(images[i : i + batch]))
            yield features.data, model.last(features).softmax(1).data


def features(model: Classifier, images: np.ndarray) -> np.ndarray:
    """The judge's features (N, F) of images (N, C, S, S) in [-1, 1], S a multiple of 32 or 32 of it."""
    return np.concatenate([part for part, _ in judge(model, shrunk(images))])


def classes(model: Classifier, images: np.ndarray) -> np.ndarray:
    """The most likely class (N,) of images (N, C, S, S) in [-1, 1], S a multiple of 32."""
    return np.concatenate([p.argmax(1) for _, p in judge(model, shrunk(images))])


def save(model: Classifier, dataset: Dataset, folder: Path, epochs: int) -> Path:
    """Write the classifier as a checkpoint, with its accuracy and how it was made."""
    state = {
        "data": absolute(dataset.name),
        "classes": list(dataset.class_names),
        "channels": dataset.images.shape[-1],
        "held_out_accuracy": accuracy(model, dataset),
        "command": f"minigan classifier {quote(dataset.name)} --epochs {epochs}",
    }
    make_folder(folder)
    return checkpoint.save(folder, turn(folder, epochs), model.state_dict(), state)


def turn(folder: Path, epochs: int) -> int:
    """The number under which a classifier is saved: its epochs, or one more than those of all that were saved before,
    since the highest counts."""
    return max([epochs, *(1 + checkpoint.step_of(path) for path in checkpoint.paths(folder))])


def kept(data: str) -> Path:
    """Where `minigan classifier` leaves the classifier of a data set for later runs: a folder of the user's cache. Two
    folders of images have two, whatever they are called."""
    name, whole = slug(data), absolute(data)
    if whole.startswith(PREFIX):
        name += "-" + hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
    return cache_folder().parent / "classifiers" / name


def load(data: str, folder: Path | None = None) -> tuple[Classifier, dict]:
    """(classifier, what was saved about it) for a data set: the one in `folder`, else the shipped one, else the one
    that `minigan classifier` trained here.

    That of `stacked` is the digits' on each channel; a stack is right where all its channels are, which are drawn
    independently. Raises ValueError if there is none for this data set, CheckpointError if the file is damaged.
    """
    if data == STACKED:
        each, record = load("digits", folder)
        names, accuracy = DATASETS[STACKED].class_names, record["held_out_accuracy"] ** 3
        return ChannelClassifier(each).eval(), record | {
            "data": data,
            "classes": list(names),
            "channels": 3,
            "held_out_accuracy": accuracy,
        }
    if folder is None:
        shipped = ASSETS / f"classifier-{slug(data)}"
        folder = shipped if shipped.is_dir() else kept(data)
    if not folder.is_dir():
        raise ValueError(
            f"no classifier is shipped for data set {data!r}; train one with: minigan classifier {quote(data)}"
        )
    record = checkpoint.latest(folder)
    if record.state.get("data") != absolute(data):
        raise ValueError(f"{folder} holds a classifier for {record.state.get('data')!r}, not for {data!r}")
    return restored(record, lambda state: Classifier(state["channels"], len(state["classes"])))


def restored(record: checkpoint.Checkpoint, network: Callable[[dict], Module]) -> tuple[Module, dict]:
    """(the classifier of a checkpoint, what was saved about it); network(state): one of the same shapes. Raises
    CheckpointError where the checkpoint, whole as it is, is of something else."""
    try:
        state = record.state
        shares = state["held_out_accuracy"]
        shares = list(shares.values()) if isinstance(shares, dict) else [shares]
        if state["channels"] not in (1, 3) or not all(type(s) is float and 0 <= s <= 1 for s in shares):
            raise ValueError(f"channels {state['channels']!r}, held_out_accuracy {shares!r}")
        model = network(state)
        model.load_state_dict(record.arrays)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise checkpoint.CheckpointError(f"{record.path} is of no classifier: {error}") from error
    return model.eval(), state
