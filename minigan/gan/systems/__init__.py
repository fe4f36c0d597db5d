"""Every GAN that `minigan train` knows, a file a family; table.py names them all."""

from .table import IDLE, SYSTEMS, System, options_for, system, trainer_for

__all__ = ["IDLE", "SYSTEMS", "System", "options_for", "system", "trainer_for"]
