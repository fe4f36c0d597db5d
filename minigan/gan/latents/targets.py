"""What is asked of an image, in words: `hat=yes`, `class=7`, or a function of a user's own, `file.py:name`.

A condition is a score with a gradient, ln p(value | x) by the judge of the data set's classes or attributes; of an
attribute also ln p(readable | x) by that judge's guard, or noise would be the best hat (gan/metrics/attributes.py).
Several conditions are their sum. Whether an image meets them is read by the same judges.

A user's function takes images (N, C, S, S) in [-1, 1], a tensor, and gives a score an image (N,), higher for better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ... import _user_code
from ...autograd import Tensor, no_grad
from ...data import Dataset
from ...ops.act import logsigmoid
from ...ops.reduce import log_softmax
from ...ops.resample import avg_pool2d, interpolate
from ..losses import nearest
from ..metrics import attributes, classifier
from ..metrics.judging import judge_of
from ..train import Trainer

CLASS = "class"
UNREADABLE = attributes.UNREADABLE


@dataclass(frozen=True)
class Condition:
    """A value of a factor: factor "hat", place 1 among its values ("no", "yes"). text: as it was written."""

    text: str
    factor: str
    value: int


class Reader:
    """The judges of a data set, asked by name. factors: name -> values; "class" is one, where there are classes.

    dataset: held-out images stand for real ones. data: the name that the judges are found under. folder: of another
    judge of the data set, by `minigan classifier`.
    """

    def __init__(self, dataset: Dataset, data: str | None = None, folder: Path | None = None) -> None:
        self.dataset, self.data, self.folder = dataset, data or dataset.name, folder
        classes = {CLASS: tuple(dataset.class_names)} if dataset.labels is not None and dataset.class_names else {}
        self.factors: dict[str, tuple[str, ...]] = classes | {
            name: tuple(values) for name, values in dataset.info.attributes.items()
        }

    @cached_property
    def classes(self) -> classifier.Classifier:
        """The judge of classes. Raises ValueError, with the command that trains it, where there is none."""
        if self.folder is not None:
            return classifier.load(self.data, self.folder)[0]
        return judge_of(self.data, self.dataset.info).model

    @cached_property
    def attributes(self) -> attributes.AttributeClassifier:
        """The judge of attributes; raises ValueError likewise."""
        if self.folder is not None:
            return attributes.load(self.folder, self.dataset)[0]
        return attributes.load_for(self.dataset)[0]

    def condition(self, text: str) -> Condition:
        """`factor=value`. Raises ValueError, with what there is, for another factor or value."""
        factor, equals, value = (part.strip() for part in text.partition("="))
        if not self.factors:
            raise ValueError(
                f"{text}: data set {self.data!r} has no classes or attributes to ask for; give a function of your own,"
                " as file.py:name"
            )
        if factor not in self.factors:
            raise nearest(f"attribute of {self.data!r}", factor, self.factors)
        if not equals or value not in self.factors[factor]:
            raise nearest(f"value of {factor}", value, self.factors[factor])
        return Condition(f"{factor}={value}", factor, self.factors[factor].index(value))

    def log_probability(self, images: Tensor, conditions: Sequence[Condition]) -> Tensor:
        """ln p (N,) that images (N, C, S, S) meet all conditions, each by itself."""
        seen, total = fitted(images), 0
        names = [c.factor for c in conditions]
        logits = self.attributes(seen) if set(names) - {CLASS} else None
        readable = self.attributes.guard(seen) if logits is not None else None
        for c in conditions:
            if c.factor == CLASS:
                total = total + log_softmax(self.classes(seen), 1)[:, c.value]
            else:
                part = attributes.groups(self.dataset)[c.factor]
                column = list(self.dataset.info.attributes).index(c.factor)
                total = total + log_softmax(logits[:, part], 1)[:, c.value] + logsigmoid(readable[:, column])
        return total

    def read(self, images: np.ndarray, factors: Iterable[str]) -> dict[str, np.ndarray]:
        """Factor -> the place of the value (N,) that its judge reads in images (N, C, S, S), or UNREADABLE."""
        factors, labels = list(factors), {}
        if set(factors) - {CLASS}:
            columns = attributes.judge(self.attributes, classifier.shrunk(images), self.dataset)
            labels = dict(zip(self.dataset.info.attributes, columns.T, strict=True))
        if CLASS in factors:
            labels[CLASS] = classifier.classes(self.classes, images)
        return {name: labels[name] for name in factors}

    def truth(self, rows: np.ndarray, factors: Iterable[str]) -> dict[str, np.ndarray]:
        """The same of the data set's own images, as it says."""
        return {
            name: self.dataset.labels[rows]
            if name == CLASS
            else self.dataset.attributes[rows, list(self.dataset.info.attributes).index(name)]
            for name in factors
        }

    @property
    def features(self) -> classifier.Classifier | None:
        """The judge whose features tell real images: of attributes where they are all there is, else of classes; None
        for a data set without either."""
        if not self.factors:
            return None
        return self.classes if CLASS in self.factors else self.attributes


@dataclass(frozen=True)
class Target:
    """What is asked for. score: images (N, C, S, S), a tensor, to (N,). conditions: what its judges are asked; none for
    a user's function alone."""

    text: str
    score: Callable[[Tensor], Tensor]
    conditions: tuple[Condition, ...]
    reader: Reader

    def read_by(self, reader: Reader | None) -> Target:
        """The same, the score as it is, read by other judges; by its own, where that is None."""
        return self if reader is None else replace(self, reader=reader)

    def values(self, images: np.ndarray, batch: int = 250) -> np.ndarray:
        """The scores (N,) of images (N, C, S, S)."""
        with no_grad():
            return np.concatenate(
                [self.score(Tensor(images[i : i + batch])).data for i in range(0, len(images), batch)]
            ).astype(np.float64)

    def met(self, labels: dict[str, np.ndarray]) -> np.ndarray:
        """Which of N images with these values meet all conditions (N,)."""
        return np.all([labels[c.factor] == c.value for c in self.conditions], 0)

    def reached(self, images: np.ndarray) -> np.ndarray | None:
        """Which of images (N, C, S, S) meet all conditions, by the judges; None where there are none."""
        if not self.conditions:
            return None
        return self.met(self.reader.read(images, {c.factor for c in self.conditions}))

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Those of the data set's images that meet all conditions, of indices (M,)."""
        return rows[self.met(self.reader.truth(rows, {c.factor for c in self.conditions}))] if self.conditions else rows


def target(texts: Sequence[str], trainer: Trainer, reader: Reader | None = None) -> Target:
    """What `texts` ask of the images of a trained system: their scores' sum. reader: the judges, by default those of
    the trainer's data set. Raises ValueError for what the data set does not know, a value asked for twice, and a
    function that fails or gives no score an image."""
    options = trainer.options
    reader = reader or Reader(trainer.dataset, options.data)
    if not texts:
        raise ValueError("say what to ask for: hat=yes, class=7, or a function of your own as file.py:name")
    functions = {text: own(text, trainer) for text in texts if _user_code.is_name(text)}
    conditions = tuple(reader.condition(text) for text in texts if text not in functions)
    for k, c in enumerate(conditions):
        if c.factor in [other.factor for other in conditions[:k]]:
            raise ValueError(f"{', '.join(texts)}: {c.factor} is asked for twice")

    def score(images: Tensor) -> Tensor:
        total = reader.log_probability(images, conditions) if conditions else 0
        for function in functions.values():
            total = total + function(images)
        return total

    if conditions:  # the judges are at hand, and take images of this size
        reader.read(np.zeros((1, trainer.info.shape[-1], options.size, options.size), np.float32),
                    {c.factor for c in conditions})  # fmt: skip
    return Target(", ".join(texts), score, conditions, reader)


def own(text: str, trainer: Trainer) -> Callable[[Tensor], Tensor]:
    """A user's function by name, tried on two blank images. Raises ValueError where it is no function of images that
    gives a finite score each, or loses their gradient."""
    _, _, function = _user_code.load(text)
    shape = (2, trainer.info.shape[-1], trainer.options.size, trainer.options.size)

    def score(images: Tensor) -> Tensor:
        try:
            return function(images)
        except Exception as error:
            raise ValueError(f"{text} fails on images {images.shape}: {type(error).__name__}: {error}") from error

    images = Tensor(np.zeros(shape, np.float32))
    images.requires_grad = True
    scores = score(images)
    if not isinstance(scores, Tensor) or scores.shape != (2,):
        got = f"a tensor {scores.shape}" if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"{text} must give one number an image: for images {shape} a tensor (2,), got {got}")
    if not scores.requires_grad:
        raise ValueError(
            f"{text} loses the gradient of its images; compute the score from them by tensor operations alone, without"
            " detach, .data, no_grad or NumPy"
        )
    return score


def fitted(images: Tensor) -> Tensor:
    """Images (N, C, S, S) as the judges take them, (N, C, 32, 32), as `classifier.shrunk` does, with a gradient. Raises
    ValueError unless S is a multiple of 32, or 32 of S."""
    side = images.shape[-1]
    if side > classifier.SIZE and side % classifier.SIZE == 0:
        return avg_pool2d(images, side // classifier.SIZE)
    if side < classifier.SIZE and classifier.SIZE % side == 0:
        return interpolate(images, size=(classifier.SIZE, classifier.SIZE))
    if side != classifier.SIZE:
        raise ValueError(f"the judges take square images of 32 pixels, a multiple or a whole part of it, got {side}")
    return images
