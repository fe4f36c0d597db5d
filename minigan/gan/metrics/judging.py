"""What a trained system shows: its samples before judges that were trained on real images only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from ...data import Dataset, Info
from . import attributes, classifier, null_models, report


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
    model, record = classifier.load(data)
    if list(info.class_names) != record["classes"]:
        raise ValueError(f"the classifier knows {record['classes']}, {data!r} has {list(info.class_names)} now")
    return Judge(model, record["held_out_accuracy"])


def observe_classes(
    images: np.ndarray, judge: Judge, dataset: Dataset, seed: int, details: bool = False
) -> Observation:
    """How the judge of classes finds images (N, C, size, size) in [-1, 1]; with all distances if `details`. seed: of
    the intervals."""
    scores = report.evaluate(images, judge.model, dataset)
    observation = Observation(
        {"held_out_accuracy": judge.accuracy, **scores.as_dict()},
        [f"{scores.line()}; the judge is right on {judge.accuracy:.1%} of the held-out images"],
    )
    if details:
        shares = zip(dataset.class_names, scores.histogram, strict=True)
        observation.lines.append("shares: " + "  ".join(f"{name} {share:.1%}" for name, share in shares))
    if details and len(images) >= 10:
        distances = report.examine(images, judge.model, dataset, seed)
        observation.lines.extend(distances.lines())
        observation.figures["details"] = distances.as_dict()
        figures, lines = beside_null_models(images, judge, dataset, seed)
        observation.figures["null_models"] = figures
        observation.lines.extend(lines)
    return observation


def beside_null_models(images: np.ndarray, judge: Judge, dataset: Dataset, seed: int) -> tuple[dict, list[str]]:
    """(figures, lines): how images stand beside held-out ones and beside what has learnt nothing. A null model that is
    as good in every figure is named."""
    train = classifier.prepared(dataset, dataset.train)
    count = min(len(images), len(dataset.held_out), len(train))
    sets = {"samples": images[:count], "held-out images": classifier.prepared(dataset, dataset.held_out[:count])}
    for row in null_models.SAMPLES:
        sets[row.name] = row.draw(train, count, np.random.default_rng(seed)).astype(np.float32)
    standings = report.standings(sets, judge.model, dataset)
    ours = standings["samples"]
    winners = [row.name for row in null_models.SAMPLES if standings[row.name].reaches(ours)]
    lines = [
        f"beside what has learnt nothing, {count} of each:",
        f"{'':<16} confident  classes   Frechet  coverage  copies",
        *(f"{name:<16} {standing.line()}" for name, standing in standings.items()),
    ]
    if winners:
        lines.append(f"as good in every figure, so that these samples show nothing: {', '.join(winners)}")
    if ours.confident > standings["held-out images"].confident:
        lines.append("more confident than real images: too typical; look at the coverage")
    return {"winners": winners, **{name: asdict(standing) for name, standing in standings.items()}}, lines


def observe_attributes(images: np.ndarray, dataset: Dataset, seed: int) -> Observation:
    """All distances of images (N, C, size, size) from a data set without classes, on the features of its classifier of
    attributes. Raises ValueError where there is none."""
    model, record = attributes.load_for(dataset)
    groups = attributes.groups(dataset).values()
    distances = report.examine(images, model, dataset, seed, groups)
    accuracy = float(np.mean(list(record["held_out_accuracy"].values())))
    figures = {"held_out_accuracy": accuracy, "precision": distances.precision, "recall": distances.recall}
    line = f"{distances.line()}; the judge is right on {accuracy:.1%} of the held-out images' attributes"
    return Observation(figures | {"details": distances.as_dict()}, [line, *distances.lines()])
