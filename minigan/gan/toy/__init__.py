"""GANs of points in the plane: `minigan toy` and `minigan scoreboard`."""

from .trainer import (
    ALIASES,
    NAMES,
    POOL,
    PUBLISHED,
    SAMPLE_STREAM,
    STREAMS,
    TRICKS,
    ToyOptions,
    ToyTrainer,
    options_for,
)

__all__ = [
    "ALIASES",
    "NAMES",
    "POOL",
    "PUBLISHED",
    "SAMPLE_STREAM",
    "STREAMS",
    "TRICKS",
    "ToyOptions",
    "ToyTrainer",
    "options_for",
]
