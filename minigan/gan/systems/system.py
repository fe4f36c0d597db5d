"""One system: its options at their defaults, its trainer, its paper, and what of it the results page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..options import CommonOptions
from ..train import Trainer

CLASSES = (
    "{confident:.1%} confident (real {real_confident:.1%}), {present} of {classes} classes, Frechet {frechet:.1f}"
    " (real {real_frechet:.1f}); judge right on {held_out_accuracy:.1%}"
)
NEIGHBOURS = (
    "precision {precision:.3f} (real {details[real][precision]:.3f}), recall {recall:.3f} (real"
    " {details[real][recall]:.3f}); judge right on {held_out_accuracy:.1%} of attributes"
)
AGREEMENT = (
    "{agreement[value]:.1%} agree with their label; judge right on {held_out_accuracy:.1%}; Frechet {frechet:.1f}"
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
