"""A generator whose images are its latents, and a judge that reads their signs: what a search comes to is known."""

import numpy as np
from worlds import FACES, Formula, trainer

from minigan.gan.latents import Reader
from minigan.ops.act import logsigmoid
from minigan.ops.index import cat

SIDE = 8


def drawn(z):
    """Images (N, 1, 8, 8) whose first pixels are the numbers of z (N, d), the rest 0."""
    rest = np.zeros((z.shape[0], SIDE * SIDE - z.shape[1]), z.data.dtype)
    return cat([z, type(z)(rest)], 1).reshape(-1, 1, SIDE, SIDE)


class Signs(Reader):
    """hat: is the first pixel above 0; smile: the second; beard: the third. No features, so no precision."""

    features = None

    def read(self, images, factors):
        """The signs."""
        names = list(self.factors)
        return {name: (images[:, 0, 0, names.index(name)] > 0).astype(int) for name in factors}

    def log_probability(self, images, conditions):
        """ln sigmoid of 4 times the pixel, or of minus that."""
        total = 0
        for c in conditions:
            pixel = images[:, 0, 0, list(self.factors).index(c.factor)]
            total = total + logsigmoid(pixel * (4 if c.value else -4))
        return total


def world(system: str = "dcgan", latent: int = 3, formula=drawn, **changes):
    """(a trainer whose generator is the formula, the judge of signs)."""
    t = trainer(system, FACES, latent=latent, **changes)
    t.average.module = Formula(formula)
    return t, Signs(FACES)
