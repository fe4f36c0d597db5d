"""One system: its options at their defaults, its trainer, its paper, and what of it the results page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..options import CommonOptions
from ..train import Trainer

STANDING = (
    "Frechet ↓ {details[frechet][value]:.1f} [{details[frechet][low]:.1f}, {details[frechet][high]:.1f}] (real"
    " {details[real][frechet][value]:.1f}, {best_null_model[frechet][name]} {best_null_model[frechet][value]:.1f});"
    " coverage ↑ {details[coverage][value]:.2f} [{details[coverage][low]:.2f}, {details[coverage][high]:.2f}] (real"
    " {details[real][coverage][value]:.2f}, {best_null_model[coverage][name]} {best_null_model[coverage][value]:.2f}),"
    " of {details[samples]} images each"
)
"""The figures by which null models are told from real images, beside the best of them."""

CLASSES = (
    "confident ↑ {confident:.1%} (real {real_confident:.1%}), {present} of {classes} classes; " + STANDING + "; judge"
    " right on {held_out_accuracy:.1%}"
)
NEIGHBOURS = (
    "precision ↑ {precision:.3f} (real {details[real][precision][value]:.3f}), recall ↑ {recall:.3f} (real"
    " {details[real][recall][value]:.3f}); " + STANDING + "; judge right on {held_out_accuracy:.1%} of attributes"
)
ASKED = (
    "like real ones of their class ↑ {asked[realistic][value]:.1%} (real {asked[held_out][realistic]:.1%}, another"
    " class {asked[another_class][realistic]:.1%}), of which they cover ↑ {asked[covered][value]:.1%} (real"
    " {asked[held_out][covered]:.1%}, class mean {asked[class_mean][covered]:.1%})"
)
AGREEMENT = (
    "{agreement[value]:.1%} agree with their label (↑, {chance:.1%} by chance); "
    + ASKED
    + "; "
    + STANDING
    + "; judge right on"
    " {held_out_accuracy:.1%}"
)


@dataclass(frozen=True)
class Result:
    """A row of the results page. shows: a format of the figures of `Trainer.observe`. changes: options other than the
    system's defaults."""

    shows: str
    changes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """One row of the table.

    options: the defaults, tuned for the data set they name; their class says which options there are. presets: data set
    -> what is other than the defaults where it was tuned for that set too. results: its rows of the results page.
    """

    options: CommonOptions
    what: str
    paper: str
    trainer: type[Trainer] = Trainer
    presets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    results: tuple[Result, ...] = (Result(CLASSES),)

    @property
    def name(self) -> str:
        return self.options.system

    @property
    def takes(self) -> frozenset[str]:
        """The options that it reads, all others being refused."""
        return frozenset(self.options.names())
