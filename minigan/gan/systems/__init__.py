"""Every GAN that `minigan train` knows, a file a family; table.py names them all."""

from .system import System
from .table import SYSTEMS, options_for, options_from, system, trainer_for

__all__ = ["SYSTEMS", "System", "options_for", "options_from", "system", "trainer_for"]
