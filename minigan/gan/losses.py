"""GAN losses: what the critic minimises and what the generator minimises, on the critic's raw outputs.

Where D is a probability, D(x) = sigmoid(output), so every formula is computed from logits and stays finite for any of
them. Both players minimise; each row names its sign convention.

    ln D = -softplus(-t),    ln(1 - D) = -softplus(t)    for a logit t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..autograd import Tensor
from ..functional import softplus
from ..ops_reduce import mean


@dataclass(frozen=True)
class Loss:
    """One row of the table. d_loss(real, fake) and g_loss(fake) take critic outputs (N, ...) and return a scalar to
    minimise."""

    name: str
    d_loss: Callable[[Tensor, Tensor], Tensor]
    g_loss: Callable[[Tensor], Tensor]
    formula: str
    convention: str
    paper: str


def _logistic_d(real: Tensor, fake: Tensor) -> Tensor:
    return mean(softplus(-real)) + mean(softplus(fake))


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            "minimax",
            _logistic_d,
            lambda fake: -mean(softplus(fake)),
            "D: -ln D(x) - ln(1 - D(Gz));  G: ln(1 - D(Gz))",
            "D's loss is 2 ln 2 at chance; G's falls below -ln 2 as it fools D",
            "Goodfellow et al. 2014, eq. 1",
        ),
        Loss(
            "non-saturating",
            _logistic_d,
            lambda fake: mean(softplus(-fake)),
            "D: -ln D(x) - ln(1 - D(Gz));  G: -ln D(Gz)",
            "D's loss is 2 ln 2 and G's ln 2 at chance; both are positive, lower is better for its player",
            "Goodfellow et al. 2014, section 3",
        ),
        Loss(
            "wasserstein",
            lambda real, fake: mean(fake) - mean(real),
            lambda fake: -mean(fake),
            "D: E f(Gz) - E f(x);  G: -E f(Gz)",
            "minus D's loss estimates the Wasserstein distance, lower is closer; G's loss alone means nothing",
            "Arjovsky et al. 2017, algorithm 1",
        ),
    )
}


def loss(name: str) -> Loss:
    """The row called `name`. Raises ValueError, naming the known ones, if there is none."""
    if name not in LOSSES:
        raise ValueError(f"unknown loss {name!r}; known losses: {', '.join(LOSSES)}")
    return LOSSES[name]
