"""Where the latents of a trained generator live: which of its inputs move, and by which law they were drawn.

    inputs (N, width) = z (N, d), which moves, and behind it the codes, classes or captions of the system, which stay

The prior of z is the law that the generator was trained under (option `latents` of the plain systems):

    normal      ln p(|z|) = (d - 1) ln |z| - |z|^2 / 2 + constant, the law of the length of a normal z: highest at
                |z| = sqrt(d - 1), where nearly all of them are. The density of z itself is highest at 0, where none is.
    uniform     each number in [0, 1]
    spherical   |z| = sqrt(d)

The last two are flat where they are not 0, so a step is followed by the way back to the nearest point of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...autograd import Tensor
from ...backend import Generator, host
from ...ops.elementary import log, square
from ...ops.index import cat
from ...ops.reduce import sum
from ..systems.table import system
from ..train import Trainer


@dataclass(frozen=True)
class Space:
    """generator: inputs (N, width) to images (N, C, S, S), with gradients. latent: how many of the inputs move."""

    generator: Callable[[Tensor], Tensor]
    latent: int
    law: str = "normal"

    def images(self, z: Tensor, inputs: np.ndarray) -> Tensor:
        """Images (N, C, S, S) of latents z (N, d), the codes behind them those of inputs (N, width)."""
        codes = inputs[:, self.latent :].astype(z.data.dtype)
        return self.generator(cat([z, Tensor(codes)], 1) if codes.shape[1] else z)

    def log_density(self, z: Tensor) -> Tensor:
        """The logarithm of the prior (N,) at z (N, d), up to a constant."""
        lengths = sum(square(z), 1)
        if self.law != "normal":
            return 0 * lengths
        return (self.latent - 1) / 2 * log(lengths + 1e-12) - lengths / 2

    def project(self, z: np.ndarray) -> np.ndarray:
        """The nearest latents (N, d) that the prior can draw."""
        if self.law == "uniform":
            return z.clip(0, 1)
        if self.law == "spherical":
            return z * np.sqrt(self.latent) / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        return z


def space_of(trainer: Trainer) -> Space:
    """The latents of a trained system, behind its averaged generator in evaluation mode. Raises ValueError for a system
    that has none."""
    options = trainer.options
    if "latent" not in system(options.system).takes or hasattr(trainer, "translate_as"):
        raise ValueError(f"{options.system} has no latents to search: it makes images of images; take a run of another")
    return Space(trainer.average.module.eval(), options.latent, law_of(trainer))


def law_of(trainer: Trainer) -> str:
    """The law by which a system draws its latents."""
    return getattr(trainer.options, "latents", "normal")


def draws(trainer: Trainer, count: int, random: Generator) -> np.ndarray:
    """`count` inputs (count, width) as the system draws them."""
    return host(trainer.inputs(count, random).data).copy()
