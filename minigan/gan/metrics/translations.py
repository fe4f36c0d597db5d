"""Translations of held-out images before their true pairs, beside what has learnt nothing (null_models.py).

With x an image, y its true pair, t(x) a translation of it, and |.|_1 the mean over pixels:
    share below the identity map's    1 - sum |t(x) - y|_1 / sum |x - y|_1    over the test pairs
    beyond a null model               by how much that share is higher than the null model's own
A null model with something to choose, how large or how thick, chooses on the validation pairs; the constant image and
the neighbours are of training images. Intervals are at 95 %, of 1,000 bootstrap samples of the test pairs, the same
for all. A null model has won if the translator is not beyond it by more than the interval.

Nearness to one true pair is not all: a blurred image is near to many. So each set is also held to the domain's own
images: by its colours, its ink, its spectrum, and, where there is one, by the judge of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from . import null_models
from .classifier import Classifier, judge, shrunk
from .distances import Interval, frechet_distance, precision_recall, spectral_distance

ROUNDS, LEVELS, FEW = 1000, 8, 4
OURS, REAL = "translated", "true pairs"


@dataclass(frozen=True)
class Way:
    """One direction. images, true (N, C, S, S): the test pairs; trial, trial_true: the validation pairs; target: the
    training images of the domain to translate to. All in [-1, 1]; background: the grey level of an empty page."""

    images: np.ndarray
    true: np.ndarray
    trial: np.ndarray
    trial_true: np.ndarray
    target: np.ndarray
    background: float

    def nulls(self) -> dict[str, np.ndarray]:
        """Name -> the test images as what has learnt nothing translates them; `true` is not looked at."""
        share, _ = null_models.best_shrunk(self.trial, self.trial_true, self.background)
        thickness, _ = null_models.best_thickened(self.trial, self.trial_true, self.background)
        return {
            "identity": self.images,
            "blank page": np.full_like(self.images, self.background),
            "constant": null_models.constant(self.target, len(self.images)),
            "shrunk": null_models.shrunk(self.images, share, self.background),
            "thickened": null_models.thickened(self.images, *thickness, self.background),
            "nearest": null_models.nearest_of(self.images, self.target),
        }


@dataclass(frozen=True)
class Nearness:
    """How near a set of images comes to the true pairs. l1: the mean; below: the share below the identity map's;
    beyond: by how much the translator's share is higher than this one's, None of itself."""

    l1: float
    below: Interval
    beyond: Interval | None = None

    @property
    def wins(self) -> bool:
        """Whether a null model is as good as the translator, or within the interval."""
        return self.beyond is not None and self.beyond.low <= 0

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        return {k: v._asdict() if isinstance(v, Interval) else v for k, v in vars(self).items()}


def nearness(sets: Mapping[str, np.ndarray], way: Way, seed: int) -> dict[str, Nearness]:
    """Of each set of images, of which OURS is the translator's."""
    count = len(way.true)
    draws = np.random.default_rng(seed).integers(0, count, (ROUNDS, count))
    errors = {name: _l1(images, way.true) for name, images in sets.items()}
    identity = _l1(way.images, way.true)
    shares = {name: 1 - error.sum() / identity.sum() for name, error in errors.items()}
    samples = {name: 1 - error[draws].sum(1) / identity[draws].sum(1) for name, error in errors.items()}
    return {
        name: Nearness(
            float(error.mean()),
            _interval(shares[name], samples[name]),
            None if name == OURS else _interval(shares[OURS] - shares[name], samples[OURS] - samples[name]),
        )
        for name, error in errors.items()
    }


@dataclass(frozen=True)
class Look:
    """What a set of images looks like, beside the domain's training images. colours: of an image, at 8 levels a
    channel; ink: the share of black on white, or white on black, that covers as much; spectral: decibels between the
    spectra. precision, frechet: on the judge's features; right: the share that the judge says is of the class it should
    be; None without a judge, and for fewer than 4 images."""

    colours: float
    ink: float
    spectral: float
    precision: float | None = None
    frechet: float | None = None
    right: float | None = None


def look(images: np.ndarray, way: Way, model: Classifier | None = None, labels: np.ndarray | None = None) -> Look:
    """Of images (N, C, S, S). model: the judge of classes; labels (N,): the class that each image should be of."""
    levels = ((images.clip(-1, 1) + 1) / 2 * (LEVELS - 1)).round().astype(np.int64)
    codes = np.einsum("ncp,c->np", levels.reshape(*levels.shape[:2], -1), LEVELS ** np.arange(levels.shape[1]))
    colours = float(np.mean([len(np.unique(code)) for code in codes]))
    ink, spectral = float(np.abs(images - way.background).mean() / 2), spectral_distance(images, way.target)
    if model is None or len(images) < FEW:
        return Look(colours, ink, spectral)
    (features, guesses), (real, _) = (_judged(model, x) for x in (images, way.target))
    return Look(
        colours,
        ink,
        spectral,
        precision_recall(features, real)[0],
        frechet_distance(features, real),
        float((guesses == labels).mean()),
    )


def table(near: Mapping[str, Nearness], looks: Mapping[str, Look]) -> list[str]:
    """Lines for a person: a row for each set, the real images last."""
    judged = looks[OURS].right is not None
    head = f"{'':<12} {'L1':>7} {'below identity':>22}  colours    ink  spectrum dB"
    lines = [head + ("  precision  Frechet  class right" if judged else "")]
    for name, seen in looks.items():
        score, line = near.get(name), f"{name:<12} {'0.0000':>7} {'':>22}"
        if score is not None:
            text = f"{score.below.value:.1%} [{score.below.low:.1%}, {score.below.high:.1%}]"
            line = f"{name:<12} {score.l1:>7.4f} {text:>22}"
        line += f"  {seen.colours:>7.1f} {seen.ink:>6.1%}  {seen.spectral:>11.1f}"
        if judged:
            line += f"  {seen.precision:>9.2f}  {seen.frechet:>7.1f}  {seen.right:>11.1%}"
        lines.append(line)
    return lines


def standing(
    ours: np.ndarray,
    way: Way,
    seed: int,
    details: bool = False,
    model: Classifier | None = None,
    labels: np.ndarray | None = None,
) -> tuple[dict, list[str]]:
    """(figures ready for JSON, lines) of the translator's images (N, C, S, S) of one way beside all null models; with
    the looks of those, too, if `details`."""
    nulls = way.nulls()
    near = nearness({OURS: ours, **nulls}, way, seed)
    sets = {OURS: ours, **(nulls if details else {}), REAL: way.true}
    looks = {name: look(images, way, model, labels) for name, images in sets.items()}
    winners = [name for name, score in near.items() if score.wins]
    figures = {
        "pair_l1": near[OURS].l1,
        "identity_l1": near["identity"].l1,
        "below_identity": near[OURS].below.value,
        "beyond": {name: 100 * score.beyond.value for name, score in near.items() if score.beyond is not None},
        "winners": winners,
        "as_good": ", ".join(winners) or "none",
        "nearness": {name: score.as_dict() for name, score in near.items()},
        "looks": {name: asdict(seen) for name, seen in looks.items()},
    }
    return figures, [summary(figures), *(table(near, looks) if details else [])]


def summary(figures: dict) -> str:
    """One line of the figures of `standing`; a null model that wins is named."""
    share, beyond = figures["nearness"][OURS]["below"], figures["beyond"]
    text = ", ".join(f"{name} {points:+.1f}" for name, points in beyond.items() if name != "identity")
    line = (
        f"L1 to the true pairs {figures['pair_l1']:.4f}, {share['value']:.1%} [{share['low']:.1%}, {share['high']:.1%}]"
        f" below the identity map's {figures['identity_l1']:.4f}; points beyond null models: {text}"
    )
    return line + (f"; as good, having learnt nothing: {figures['as_good']}" if figures["winners"] else "")


def _l1(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mean over the pixels of each image (N,)."""
    return np.abs(x.astype(np.float64) - y).mean((1, 2, 3))


def _interval(value: float, samples: np.ndarray) -> Interval:
    low, high = np.quantile(samples, (0.025, 0.975))
    return Interval(float(value), float(low), float(high))


def _judged(model: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(features, most likely classes)."""
    features, probabilities = zip(*judge(model, shrunk(images)), strict=True)
    return np.concatenate(features), np.concatenate(probabilities).argmax(1)
