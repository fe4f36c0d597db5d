"""Generators, critics and translators; table.py has the pairs that `minigan train --network` names."""

from .dcgan import DCGANCritic, DCGANGenerator, dcgan_init_, glorot_init_, levels_of

__all__ = ["DCGANCritic", "DCGANGenerator", "dcgan_init_", "glorot_init_", "levels_of"]
