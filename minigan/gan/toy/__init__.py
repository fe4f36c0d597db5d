"""GANs of points in the plane: `minigan toy` and `minigan scoreboard`."""

from .options import ALIASES, PUBLISHED, ToyOptions, options_for, published
from .trainer import POOL, SAMPLE_STREAM, STREAMS, ToyTrainer
from .tricks import TRICKS, Trick

__all__ = [
    "ALIASES",
    "POOL",
    "PUBLISHED",
    "SAMPLE_STREAM",
    "STREAMS",
    "TRICKS",
    "ToyOptions",
    "ToyTrainer",
    "Trick",
    "options_for",
    "published",
]
