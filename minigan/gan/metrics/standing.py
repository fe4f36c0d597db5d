"""How samples stand: a table of figures, each with its direction and interval, beside held-out images and null models.

    a figure is better than another where their intervals do not overlap
    a null model is beaten where the samples are better in each of the figures that tell it from real images
    samples are too typical where they are better than real images

`report.examine` fills the table.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from .distances import Interval
from .null_models import LEARNT, SAMPLES, NullModel


class Figure(NamedTuple):
    """A figure of the table. better: "↑" where a higher one is, "↓" a lower one, "→ 1" one near 1. form: of a number.
    head: of its column."""

    key: str
    name: str
    better: str
    form: str = "{:.3f}"
    head: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} {self.better}"

    def text(self, value: float) -> str:
        """A number as it is shown."""
        return self.form.format(value)

    def beats(self, ours: Interval, theirs: Interval) -> bool:
        """Whether `ours` is better, and the intervals lie apart."""
        return ours.low > theirs.high if self.better == "↑" else ours.high < theirs.low


FIGURES = (
    Figure("confident", "confident", "↑", "{:.1%}"),
    Figure("present", "classes present", "↑", "{:.0f}", "classes"),
    Figure("score", "classifier score", "↑", "{:.2f}"),
    Figure("frechet", "Frechet distance", "↓", "{:.2f}"),
    Figure("kernel", "kernel distance (unbiased, can be < 0)", "↓", "{:.3g}"),
    Figure("precision", "precision", "↑"),
    Figure("recall", "recall", "↑"),
    Figure("density", "density", "↑"),
    Figure("coverage", "coverage", "↑"),
    Figure("nearest_ratio", "nearest training image, to held-out's", "→ 1"),
    Figure("copies", "nearer than 99 % of held-out are", "↓", "{:.1%}"),
    Figure("disguised", "training images moved or blended", "↓", "{:.1%}"),
    Figure("spectral", "spectrum, decibels apart", "↓", "{:.2f}", "spectrum"),
)
"""What `examine` measures, in the order in which it is shown."""

COPYING = ("copies", "disguised")
"""Shares of copies, of which real images have those of chance: none is fewer than that."""

FEW = 100
"""Fewer images than this are too few for an interval; so are, for a covariance, no more than there are features."""


@dataclass(frozen=True)
class Details:
    """The figures of one set of images, each with its 95 % interval; None where a judge of attributes has none.

    samples: how many images they rest on. features: of the judge. frechet and kernel: to the training images.
    precision, recall, density, coverage: against as many training images. nearest_ratio, copies: see
    `distances.Nearest`. disguised: see `disguises`. spectral: to the spectrum of as many training images.
    """

    samples: int
    features: int
    confident: Interval
    frechet: Interval
    kernel: Interval
    precision: Interval
    recall: Interval
    density: Interval
    coverage: Interval
    nearest_ratio: Interval
    copies: Interval
    disguised: Interval
    spectral: Interval
    present: Interval | None = None
    score: Interval | None = None

    def figures(self) -> dict[Figure, Interval]:
        """Those that it has."""
        return {row: value for row in FIGURES if (value := getattr(self, row.key)) is not None}

    def too_few(self, key: str) -> bool:
        """Whether a figure rests on too few images to have an interval."""
        return self.samples < FEW or (key == "frechet" and self.samples <= self.features)

    def as_dict(self) -> dict:
        """The figures, ready for JSON: {value, low, high} each."""
        values = {row.key: value._asdict() for row, value in self.figures().items()}
        return {"samples": self.samples, "too_few": [k for k in values if self.too_few(k)], **values}


@dataclass(frozen=True)
class Inside:
    """How far samples of one class reach: recall and coverage against training images of the class, and the same of
    held-out images; `images` of each. The class of a sample is the judge's, that of a real image its label."""

    images: int
    recall: float
    coverage: float
    real_recall: float
    real_coverage: float


@dataclass(frozen=True)
class Examination:
    """Samples, held-out images and null models, each with the same figures of as many images; `inside` each class
    where there are classes and enough images."""

    samples: Details
    real: Details
    null_models: dict[str, Details]
    inside: dict[str, Inside]

    @property
    def too_typical(self) -> list[Figure]:
        """The figures that are better than those of real images, their intervals apart."""
        return [
            row
            for row, ours in self.samples.figures().items()
            if row.better != "→ 1"
            and row.key not in COPYING
            and not self.samples.too_few(row.key)
            and row.beats(ours, getattr(self.real, row.key))
        ]

    @property
    def copied(self) -> list[Figure]:
        """The figures by which more samples than by chance are copies of training images."""
        return [
            row
            for row in FIGURES
            if row.key in COPYING and getattr(self.samples, row.key).low > getattr(self.real, row.key).high
        ]

    def unbeaten(self, row: NullModel) -> list[Figure]:
        """Of the figures that tell a null model from real images, those in which it is as good as the samples, or
        better, or within their interval."""
        theirs = self.null_models[row.name]
        decisive = [figure for figure in FIGURES if figure.key in row.criteria]
        lost = [f for f in decisive if not f.beats(getattr(self.samples, f.key), getattr(theirs, f.key))]
        return lost + [f for f in decisive if f.key == "disguised" and f in self.copied and f not in lost]

    @property
    def winners(self) -> list[str] | None:
        """The null models that the samples do not beat; copies in disguise are beaten by samples that are no more of
        them than by chance. None where there are too few images for a verdict."""
        if self.samples.too_few("coverage"):
            return None
        return [row.name for row in SAMPLES if row.name in self.null_models and self.unbeaten(row)]

    def best(self, key: str) -> tuple[str, float]:
        """(the null model that is best in a figure among those that the figure tells from real images, its value)."""
        (figure,) = (row for row in FIGURES if row.key == key)
        values = {row.name: getattr(self.null_models[row.name], key).value for row in SAMPLES if key in row.criteria}
        name = (max if figure.better == "↑" else min)(values, key=values.__getitem__)
        return name, values[name]

    def line(self) -> str:
        """One line for a person, where there are no classes to speak of."""
        ours, real = self.samples, self.real
        return (
            f"precision {ours.precision.value:.3f} and recall {ours.recall.value:.3f} of {ours.samples} samples (real"
            f" {real.precision.value:.3f}, {real.recall.value:.3f}); Frechet distance of them {ours.frechet.value:.1f}"
            f" (real {real.frechet.value:.1f})"
        )

    def lines(self) -> list[str]:
        """The figures with intervals beside real ones; beside null models, if there are any; what to think of them."""
        ours, typical = self.samples, self.too_typical
        rows = [f"{ours.samples} samples, {ours.samples} held-out images; [95 % interval]; ↑ the higher the better:"]
        for row, value in ours.figures().items():
            ends = f"[{row.text(value.low)}, {row.text(value.high)}]" if row.key != "present" else ""
            shown = f"{row.text(value.value)}  {'too few images' if ours.too_few(row.key) else ends}"
            mark = "  better than real ones: too typical" if row in typical else ""
            mark = "  more than by chance" if row in self.copied else mark
            rows.append(f"{row.title:<41} {shown:<28} real {row.text(getattr(self.real, row.key).value)}{mark}")
        return rows + self._inside_lines() + (self._null_lines() if self.null_models else [])

    def _inside_lines(self) -> list[str]:
        if not self.inside:
            return []
        images = [row.images for row in self.inside.values()]
        few = ", too few to tell one class from another" if min(images) < FEW else ""
        rows = [f"inside the classes, {min(images)} to {max(images)} images of each{few}:"]
        for what in ("recall", "coverage"):
            values = {name: getattr(row, what) for name, row in self.inside.items()}
            real = np.mean([getattr(row, f"real_{what}") for row in self.inside.values()])
            least = min(values, key=values.__getitem__)
            mean = np.mean(list(values.values()))
            rows.append(f"{what + ' ↑':<41} {mean:.3f}, least {values[least]:.3f} of {least}   real {real:.3f}")
        return rows

    def _null_lines(self) -> list[str]:
        shown = [row for row in self.samples.figures() if row.key != "nearest_ratio"]
        sets = {"samples": self.samples, "held-out images": self.real, **self.null_models}
        unbeaten = {row.name: self.unbeaten(row) for row in SAMPLES if row.name in self.null_models}
        rows = ["beside what has learnt nothing, as many of each; * not beaten by the samples where they have to:"]
        rows.append(f"{'':<16}" + "".join(f"{(f.head or f.key) + f.better:>11}" for f in shown))
        for name, details in sets.items():
            cells = [f.text(getattr(details, f.key).value) + "*" * (f in unbeaten.get(name, ())) for f in shown]
            rows.append(f"{name:<16}" + "".join(f"{cell:>11}" for cell in cells))
        if self.winners is None:
            return [*rows, f"{self.samples.samples} images are too few for a verdict: take {FEW} or more"]
        names = [f"{name} ({', '.join(f.name for f in unbeaten[name])})" for name in self.winners]
        verdict = f"red: no better than {'; '.join(names)}" if names else "better than every null model"
        return [*rows, verdict]

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        beaten = (
            {}
            if not self.null_models
            else {
                "winners": self.winners,
                "best_null_model": {k: dict(zip(("name", "value"), self.best(k), strict=True)) for k in LEARNT},
                "null_models": {name: details.as_dict() for name, details in self.null_models.items()},
            }
        )
        return {
            "details": self.samples.as_dict() | {"real": self.real.as_dict()},
            "too_typical": [row.key for row in self.too_typical],
            "copied": [row.key for row in self.copied],
            "inside": {name: asdict(row) for name, row in self.inside.items()},
            **beaten,
        }
