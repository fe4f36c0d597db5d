"""A run in the terminal: `minigan watch RUN`, beside the process that trains it.

chart.py     curves in braille dots, eight to a character
pixels.py    pictures in a terminal: kitty's and sixel's graphics, blocks of colour, or characters
screen.py    what stands on the screen: how far the run is, its curves, its newest samples
"""

from .pixels import WAYS, graphics
from .screen import Snapshot, screen, snapshot

__all__ = ["WAYS", "Snapshot", "graphics", "screen", "snapshot"]
