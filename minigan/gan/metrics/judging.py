"""What a trained system shows: its samples before judges that were trained on real images only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...data import Dataset, Info
from ...data.folder import PREFIX
from . import attributes, classifier, modes, null_models, report


@dataclass(frozen=True)
class Observation:
    """figures: ready for JSON. lines: for a person, the most telling first."""

    figures: dict
    lines: list[str]


class Judge(NamedTuple):
    """A classifier of a data set's images and the share of the held-out ones that it names rightly."""

    model: classifier.Classifier
    accuracy: float


def judge_of(data: str, info: Info) -> Judge:
    """The judge of the data set that option `data` names. Raises ValueError where there is none, or one of other
    classes."""
    if not info.class_names:
        raise ValueError(
            f"data set {data!r} has no classes, so there is no judge of them: sort a folder's images into sub-folders,"
            " one a class"
        )
    model, record = classifier.load(data)
    if list(info.class_names) != record["classes"]:
        raise ValueError(f"the classifier knows {record['classes']}, {data!r} has {list(info.class_names)} now")
    return Judge(model, record["held_out_accuracy"])


class Reader(NamedTuple):
    """A judge by what it names, an image's class or all of its attributes. labels: the true values (M, A) of the data
    set's images. read: images (N, C, S, S) -> the values (N, A) that it sees."""

    model: classifier.Classifier
    labels: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]


def _attributes_alone(dataset: Dataset) -> bool:
    return dataset.labels is None and dataset.attributes is not None


def reader_of(data: str, dataset: Dataset) -> Reader:
    """The judge of classes of the data set that option `data` names, or, where it has none, of attributes. Raises
    ValueError where there is neither."""
    if _attributes_alone(dataset):
        model = attributes.load_for(dataset)[0]
        return Reader(
            model, dataset.attributes, lambda images: attributes.judge(model, classifier.shrunk(images), dataset)
        )
    judge = judge_of(data, dataset.info)
    return Reader(judge.model, dataset.labels[:, None], lambda images: classifier.classes(judge.model, images)[:, None])


def observe_samples(
    images: np.ndarray, data: str, dataset: Dataset, seed: int, details: bool = False, seen: np.ndarray | None = None
) -> Observation:
    """How the judge of classes of the data set that option `data` names finds images (N, C, size, size), or the one of
    attributes where it has no classes. seen: as in `report.examine`. Raises ValueError where there is neither."""
    if _attributes_alone(dataset):
        return observe_attributes(images, dataset, seed, details, seen)
    judge = judge_of(data, dataset.info)
    if data.startswith(PREFIX):  # a folder's images may have changed since its judge was trained
        judge = judge._replace(accuracy=classifier.accuracy(judge.model, dataset))
    return observe_classes(images, judge, dataset, seed, details, seen)


def observe_classes(
    images: np.ndarray,
    judge: Judge,
    dataset: Dataset,
    seed: int,
    details: bool = False,
    seen: np.ndarray | None = None,
) -> Observation:
    """How the judge of classes finds images (N, C, size, size) in [-1, 1]; with all distances, beside null models, if
    `details`. seed: of the intervals and the null models."""
    train = report.training_features(judge.model, dataset)
    scores = report.evaluate(images, judge.model, dataset, train)
    observation = Observation(
        {"held_out_accuracy": judge.accuracy, **scores.as_dict()},
        [f"{scores.line()}; the judge is right on {judge.accuracy:.1%} of the held-out images"],
    )
    if len(dataset.class_names) > modes.MANY:
        figures, lines = modes.observe_modes(images, judge.model, dataset, seed, details)
        observation.figures.update(figures)
        observation.lines[:0] = lines
    elif details:
        shares = zip(dataset.class_names, scores.histogram, strict=True)
        observation.lines.append("shares: " + "  ".join(f"{name} {share:.1%}" for name, share in shares))
    if details and min(len(images), len(dataset.held_out)) < 10:
        observation.lines.append(
            f"{len(images)} samples and {len(dataset.held_out)} held-out images are too few for distances and null"
            " models, which need 10 of each"
        )
    elif details:
        standing = report.examine(images, judge.model, dataset, seed, None, null_models.SAMPLES, train, seen)
        observation.lines.extend(standing.lines())
        observation.figures.update(standing.as_dict())
    return observation


def observe_attributes(
    images: np.ndarray, dataset: Dataset, seed: int, details: bool = False, seen: np.ndarray | None = None
) -> Observation:
    """All distances of images (N, C, size, size) from a data set without classes, on the features of its classifier of
    attributes; beside null models if `details`. Raises ValueError where there is no classifier."""
    if min(len(images), len(dataset.held_out)) < 10:
        raise ValueError(
            f"{len(images)} samples and {len(dataset.held_out)} held-out images are too few to judge: take 10 or more"
        )
    model, record = attributes.load_for(dataset)
    groups = attributes.groups(dataset).values()
    nulls = null_models.SAMPLES if details else ()
    standing = report.examine(images, model, dataset, seed, groups, nulls, seen=seen)
    accuracy = float(np.mean(list(record["held_out_accuracy"].values())))
    ours = standing.samples
    figures = {"held_out_accuracy": accuracy, "precision": ours.precision.value, "recall": ours.recall.value}
    line = f"{standing.line()}; the judge is right on {accuracy:.1%} of the held-out images' attributes"
    return Observation(figures | standing.as_dict(), [line, *standing.lines()])
