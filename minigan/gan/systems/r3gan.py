"""`r3gan`: the recipe of today (Huang et al. 2024, "The GAN is dead; long live the GAN! A modern baseline GAN").

    D minimises   E softplus(f(Gz) - f(x)) + gamma/2 E ||grad f(x)||^2 + gamma/2 E ||grad f(Gz)||^2       eq. 2 to 4
    G minimises   E softplus(f(x) - f(Gz))                                      one real image and one sample a pair

A loss that compares a sample with a real image has no minimum where one mode is dropped, and the two penalties make its
game converge near the optimum; so the tricks go, batch norm among them. What is left is residual networks
(gan/networks/r3gan.py), Adam without a first moment, and rates that fall along half a cosine: the learning rate and
gamma, each to a tenth by default (the authors' appendix D lowers both, and gamma by ten).

One forward pass of the critic on reals and samples together serves the loss and both penalties (gan/systems/plain.py):
the slope is taken from the very outputs that the loss reads. Differentiated again, a critic of leaky rectifiers costs
one pass of each kind more, so a critic step with both penalties is twice one without, and a whole step is less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...autograd import Tensor
from ...creation import zeros
from ..options import OPTIMISATION, option
from .plain import TrickOptions, TrickTrainer
from .system import CLASSES, Result, System


@dataclass(frozen=True)
class R3Options(TrickOptions):
    """A plain system's options, and how far the rates fall."""

    final_rate: float = option(0.1, "What is left of both learning rates after the last step.", OPTIMISATION, 0, 1)
    final_weight: float = option(0.1, "What is left of gp_weight after the last step.", OPTIMISATION, 0, 1)

    def idle(self) -> dict[str, str]:
        return super().idle() | ({} if self.gp_weight else {"final_weight": "gp_weight is 0"})


def along_cosine(final: float, done: int, steps: int) -> float:
    """1 at the first of `steps`, `final` after the last, between them half a cosine."""
    return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, done / max(steps, 1)))) / 2


class R3Trainer(TrickTrainer):
    """A plain GAN whose learning rates and penalty fall."""

    def build(self):
        self.gamma = zeros(())
        return super().build()

    @property
    def follows_total(self) -> bool:
        options = self.options
        return super().follows_total or options.final_rate != 1 or (options.gp_weight > 0 and options.final_weight != 1)

    def anneal(self) -> None:
        super().anneal()
        options, done = self.options, self.steps_done
        weight = options.gp_weight * along_cosine(options.final_weight, done, options.steps)
        self.gamma.assign(np.full((), weight, self.dtype))
        rate = options.lr * along_cosine(options.final_rate, done, options.steps)
        self.optim_g.param_groups[0]["lr"] = rate
        self.optim_d.param_groups[0]["lr"] = rate * options.rate_ratio

    def weight(self) -> Tensor:
        """Gamma, as it stands."""
        return self.gamma


R3GAN = System(
    R3Options(
        "r3gan",
        loss="relativistic",
        network="r3gan",
        penalty="r1+r2",
        gp_weight=10.0,
        n_critic=1,
        batch_size=32,
        base=16,
        latent=64,
        lr=7e-4,
        beta1=0.0,
        beta2=0.99,
        average=0.999,
        steps=16000,
    ),
    "the recipe of today: pairs of a real image and a sample, slopes pulled to zero at both, no batch norm",
    "Huang et al. 2024",
    R3Trainer,
    results=(Result(CLASSES),),
)
