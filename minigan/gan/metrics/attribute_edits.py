"""Did a translation do what was asked, and does it look like a real image of what was asked?

For an attribute and the value that is asked for, a set of images counts by
    turned      the share in which the judge reads the new value
    kept        the least share, among other attributes, in which it reads what was there
    precision, density    of the images' features among those of held-out real images *with that value*
                (Kynkaanniemi et al. 2019; Naeem et al. 2020)
    frechet     their distance from the same real images (Heusel et al. 2017)
    colours     the mean number of colours an image, at 8 bits: pixel art has few, noise has many

beside the same figures of real images and of null models that have learnt nothing: the image as it is (keeps all, turns
nothing), noise pasted where the attribute sits, and the nearest training image that has the value (turns all, looks
real, and keeps little: it is another face).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ...data import Dataset, evenly_spaced
from . import attributes, classifier, spoilt
from .distances import density_coverage, frechet_distance, precision_recall
from .null_models import nearest_of, pasted_noise

NEIGHBOURS = 3
OURS, REAL = "translations", "real images"
DISTANCES = ("precision", "density", "frechet", "colours")
HEADING = f"{'':<20}  turned    kept  precision  density   Frechet  colours"


@dataclass(frozen=True)
class Standing:
    """The figures of one set of images. others: the share in which each other attribute is kept; least_kept: the least
    of those that a system sets. A distance is None where images or real ones are too few for it."""

    images: int
    turned: float
    others: dict[str, float]
    least_kept: float | None
    precision: float | None
    density: float | None
    frechet: float | None
    colours: float

    def line(self, name: str) -> str:
        """One line of a table under HEADING."""
        columns = (
            (self.turned, "8.1%"),
            (self.least_kept, "8.1%"),
            (self.precision, "11.3f"),
            (self.density, "9.3f"),
            (self.frechet, "10.1f"),
            (self.colours, "9.1f"),
        )
        return f"{name:<20}" + "".join(_right(*column) for column in columns)

    def reaches(self, other: Standing) -> bool:
        """Whether it is at least as good in all of turned, kept and precision: then the other shows nothing."""
        pairs = ((self.turned, other.turned), (self.least_kept, other.least_kept), (self.precision, other.precision))
        return all(b is None or (a is not None and a >= b) for a, b in pairs)


def _right(value: float | None, form: str) -> str:
    """A value in a column of its format's width, or a dash there."""
    return f"{'-':>{form.split('.')[0]}}" if value is None else f"{value:{form}}"


def colours(images: np.ndarray) -> float:
    """The mean number of different colours of images (N, C, S, S) in [-1, 1], each channel rounded to 8 bits."""
    levels = np.rint((images.clip(-1, 1) + 1) * 127.5).astype(np.int64)
    codes = np.tensordot(256 ** np.arange(levels.shape[1]), levels, (0, 1)).reshape(len(levels), -1)
    return float(np.mean([len(np.unique(row)) for row in codes]))


class Yardstick:
    """The judge of a data set's attributes at work on images (N, C, S, S) in [-1, 1] of one size S.

    mine: the attributes that a system sets, over which `least_kept` runs. Real images are the data set's held-out ones,
    whose half the caller chooses; null models draw from its training images.
    """

    def __init__(self, model: attributes.AttributeClassifier, dataset: Dataset, mine: list[str], size: int) -> None:
        self.model, self.dataset, self.mine, self.size = model, dataset, mine, size
        self.names = list(dataset.info.attributes)
        self.values = dataset.attributes[dataset.held_out]
        self.features = self._features(classifier.prepared(dataset, dataset.held_out, size))
        train = classifier.prepared(dataset, dataset.train, size)
        places = spoilt.places(train, dataset.attributes[dataset.train]).any(2)  # (A, rows)
        self.rows = [slice(int(rows.argmax()), size - int(rows[::-1].argmax())) for rows in places]

    def _features(self, images: np.ndarray) -> np.ndarray:
        return classifier.features(self.model, images)

    def standing(self, images: np.ndarray, name: str, value: int, truth: np.ndarray) -> Standing:
        """Of images that should have the value, where before they had the attributes `truth` (N, A)."""
        column = self.names.index(name)
        labels = attributes.judge(self.model, classifier.shrunk(images), self.dataset)
        others = {
            other: float((labels[:, j] == truth[:, j]).mean()) for j, other in enumerate(self.names) if j != column
        }
        real, precision, density, frechet = self.features[self.values[:, column] == value], None, None, None
        if min(len(real), len(images)) > NEIGHBOURS:
            features = self._features(images)
            precision, _ = precision_recall(features, real, NEIGHBOURS)
            density, _ = density_coverage(features, real, NEIGHBOURS)
            frechet = frechet_distance(features, real)
        return Standing(
            images=len(images),
            turned=float((labels[:, column] == value).mean()),
            others=others,
            least_kept=min((others[other] for other in self.mine if other != name), default=None),
            precision=precision,
            density=density,
            frechet=frechet,
            colours=colours(images),
        )

    def beside(
        self, images: np.ndarray, translations: np.ndarray, name: str, value: int, truth: np.ndarray, seed: int
    ) -> dict[str, Standing]:
        """The standing of translations of images (N, C, S, S), of as many real ones, and of the null models."""
        column, train = self.names.index(name), self.dataset.train
        rows = train[self.dataset.attributes[train][:, column] == value]
        real = classifier.prepared(self.dataset, rows, self.size)
        sets = {
            OURS: (translations, truth),
            REAL: (evenly_spaced(real, len(images)), evenly_spaced(self.dataset.attributes[rows], len(images))),
            "the image as it is": (images, truth),
            "noise pasted": (pasted_noise(images, self.rows[column], np.random.default_rng(seed)), truth),
            "nearest real image": (nearest_of(images, real), truth),
        }
        return {key: self.standing(x, name, value, before) for key, (x, before) in sets.items()}


def winners(standings: dict[str, Standing]) -> list[str]:
    """The null models that are as good as the translations in all of turned, kept and precision."""
    ours = standings[OURS]
    return [name for name, row in standings.items() if name not in (OURS, REAL) and row.reaches(ours)]


def summary(sets: dict[str, dict[str, Standing]]) -> dict:
    """Of one attribute, from value ("no", "yes") -> `Yardstick.beside`: shares and distances averaged over both values
    by the number of images, the least precision of the two, the real images' figures beside them, and all of it."""
    ours, real = ([standings[name] for standings in sets.values()] for name in (OURS, REAL))
    precisions = [row.precision for row in ours]
    return {
        "present": _mean(ours, "turned"),
        "added": sets["yes"][OURS].turned if "yes" in sets else None,
        "removed": sets["no"][OURS].turned if "no" in sets else None,
        "kept": {name: float(np.average([row.others[name] for row in ours], weights=[row.images for row in ours]))
                 for name in ours[0].others},
        **{name: _mean(ours, name) for name in DISTANCES},
        "least_precision": None if None in precisions else min(precisions),
        "real": {name: _mean(real, name) for name in DISTANCES},
        "winners": {value: winners(standings) for value, standings in sets.items()},
        "sets": {value: {name: asdict(row) for name, row in standings.items()} for value, standings in sets.items()},
    }  # fmt: skip


def _mean(rows: list[Standing], name: str) -> float | None:
    """The mean of a figure over sets by their number of images; None where one has none."""
    values = [getattr(row, name) for row in rows]
    return None if None in values else float(np.average(values, weights=[row.images for row in rows]))
