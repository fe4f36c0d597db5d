"""Do images show what their captions claim, and do they look real?

A caption claims values of facts (data/captions.py). An image's facts are read by the guarded judge of attributes and,
for colours, off its pixels; a fact that the guard refuses meets no claim. Of a set of images, one a caption:

    claims      the share of all claims that the images meet
    captions    the share of captions of which the image meets every claim
    together    the share of images that meet the whole combination that was left out of training (unseen ones)
    precision   of the judge's features among those of all held-out real images (Kynkaanniemi et al. 2019)

Captions are written of held-out images, so real images are those themselves. Beside them stand null models: a training
image drawn without reading the caption, the generator's own image for another caption, the training image that meets
the most claims, and the mean of all that meet as many. The last two know the caption by heart; what they cannot do is
show what no training image shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ...data import Dataset, captions
from ...data.dataset import to_uint8
from . import attributes, classifier
from .distances import precision_recall

NEIGHBOURS, SEEN, UNSEEN = 3, 1000, 500
"""Neighbours of the precision; how many captions of seen combinations there are at most, and of unseen ones."""
OURS, REAL = "samples", "real images"
HEADING = f"{'':<26}  claims  captions  together  precision"


@dataclass(frozen=True)
class Standing:
    """The figures of one set of images. facts: fact -> the share of its claims that are met. together: None for
    captions of seen combinations. precision: None for the real images that it is measured by."""

    images: int
    claims: float
    captions: float
    together: float | None
    precision: float | None
    facts: dict[str, float]

    def line(self, name: str) -> str:
        """One line of a table under HEADING."""
        texts = [
            "-" if value is None else form.format(value)
            for value, form in (
                (self.claims, "{:.1%}"),
                (self.captions, "{:.1%}"),
                (self.together, "{:.1%}"),
                (self.precision, "{:.3f}"),
            )
        ]
        return f"{name:<26}" + "".join(f"{text:>{width}}" for text, width in zip(texts, (8, 10, 10, 11), strict=True))


@dataclass(frozen=True)
class Asked:
    """Captions, each of one held-out image: its row in the data set, and the number of its combination in HELD_OUT, or
    UNKNOWN."""

    texts: list[str]
    rows: np.ndarray
    which: np.ndarray


class Yardstick:
    """The judge at work on images (N, C, S, S) in [-1, 1], S = `size`, of a data set whose half the caller chooses."""

    def __init__(self, model: attributes.AttributeClassifier, dataset: Dataset, size: int) -> None:
        self.model, self.dataset, self.size = model, dataset, size
        self.facts = captions.facts(dataset.images, dataset.attributes, dataset.info)
        self.which = captions.unseen(self.facts)
        self.train = dataset.train[self.which[dataset.train] == captions.UNKNOWN]

    def asked(self, count: int, draws: np.ndarray, unseen: bool) -> Asked:
        """Captions of the held-out images of seen combinations, or of unseen ones, in turn; draws (count, DRAWS)."""
        held_out = self.dataset.held_out
        rows = np.resize(held_out[(self.which[held_out] != captions.UNKNOWN) == unseen], count)
        which = self.which[rows]
        texts = [
            captions.write(self.facts[row], draw, captions.HELD_OUT[k] if unseen else None)
            for row, draw, k in zip(rows, draws, which, strict=True)
        ]
        return Asked(texts, rows, which)

    def read(self, images: np.ndarray) -> np.ndarray:
        """The facts (N, F) that the judge sees in images."""
        labels = attributes.judge(self.model, classifier.shrunk(images), self.dataset)
        return captions.facts(to_uint8(images.clip(-1, 1)), labels, self.dataset.info)

    def standing(self, images: np.ndarray, asked: Asked, features: np.ndarray | None) -> Standing:
        """Of images for captions; features: of the real images that precision is measured by."""
        claimed, shown = captions.claimed(asked.texts), self.read(images)
        said = claimed != captions.UNKNOWN
        met = said & (claimed == shown)
        whole = (met == said).all(1)
        together = None
        if (asked.which != captions.UNKNOWN).any():
            both = [captions.true(captions.HELD_OUT[k], shown[[i]]).all() for i, k in enumerate(asked.which)]
            together = float(np.mean(both))
        precision = None
        if features is not None:
            precision, _ = precision_recall(self._features(images), features, NEIGHBOURS)
        shares = {
            name: float(met[:, k].sum() / said[:, k].sum()) for k, name in enumerate(captions.NAMES) if said[:, k].any()
        }
        return Standing(len(images), float(met.sum() / said.sum()), float(whole.mean()), together, precision, shares)

    def beside(self, draw: Callable[[list[str]], np.ndarray], asked: Asked, seed: int) -> dict[str, Standing]:
        """The standing of `draw(captions)`, of real images, and of null models."""
        random, claimed = np.random.default_rng(seed), captions.claimed(asked.texts)
        images, turned = draw(asked.texts), np.roll(np.arange(len(asked.texts)), len(asked.texts) // 2)
        best, means = self._by_caption(claimed, random)
        sets = {
            OURS: images,
            REAL: self._prepared(asked.rows),
            "any training image": self._prepared(random.choice(self.train, len(images))),
            "sample of another caption": images[turned],
            "training image of most": self._prepared(best),
            "mean of those": means,
        }
        real = self._features(self._prepared(self.dataset.held_out))
        return {name: self.standing(x, asked, None if name == REAL else real) for name, x in sets.items()}

    def _by_caption(self, claimed: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(a training image that meets the most claims, for each caption (N,), the mean of all that meet as many)."""
        shown, images = self.facts[self.train], self._prepared(self.train)
        rows, means = [], []
        for row in claimed:
            met = ((row != captions.UNKNOWN) & (row == shown)).sum(1)
            most = np.flatnonzero(met == met.max())
            rows.append(self.train[random.choice(most)])
            means.append(images[most].mean(0))
        return np.array(rows), np.stack(means)

    def _prepared(self, rows: np.ndarray) -> np.ndarray:
        return classifier.prepared(self.dataset, rows, self.size)

    def _features(self, images: np.ndarray) -> np.ndarray:
        return classifier.features(self.model, images)


def winners(seen: dict[str, Standing], unseen: dict[str, Standing]) -> list[str]:
    """The null models that are as good as the samples in claims and precision of seen combinations, and in showing
    unseen ones."""

    def figures(name: str) -> Sequence[float]:
        return seen[name].claims, seen[name].precision or 0.0, unseen[name].together or 0.0

    ours = figures(OURS)
    nulls = [name for name in seen if name not in (OURS, REAL)]
    return [name for name in nulls if all(a >= b for a, b in zip(figures(name), ours, strict=True))]


def summary(seen: dict[str, Standing], unseen: dict[str, Standing]) -> dict:
    """The figures, ready for JSON: the samples' at the top, all sets' below them."""
    ours, new = seen[OURS], unseen[OURS]
    return {
        "claims": ours.claims,
        "captions": ours.captions,
        "precision": ours.precision,
        "least_fact": min(ours.facts.values()),
        "unseen_claims": new.claims,
        "unseen_together": new.together,
        "unseen_precision": new.precision,
        "seen": {name: asdict(row) for name, row in seen.items()},
        "unseen": {name: asdict(row) for name, row in unseen.items()},
        "winners": winners(seen, unseen),
    }
