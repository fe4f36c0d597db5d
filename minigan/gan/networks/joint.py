"""A critic that looks at the whole batch before its last layer (Salimans et al. 2016, section 3.2).

    D: x (N, C, S, S) -> features (N, F) -> [features, how near each is to its batch-mates] (N, F + k) -> 1

The last layer on both together is the critic's own on the features, plus a linear one on the k further numbers.
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ..tricks import MinibatchDiscrimination, PairwiseDistance

KERNELS, DIM = 16, 8


class JointCritic(nn.Module):
    """`critic`, one of networks/table.py, with a layer over the batch. pairwise: the mean distance to the others in
    place of learnt projections, whose weights are drawn from `random`."""

    def __init__(self, critic: nn.Module, pairwise: bool, random: Generator) -> None:
        super().__init__()
        self.critic, self.own = critic, critic.last.weight.data.size
        self.joint: nn.Module = (
            PairwiseDistance() if pairwise else MinibatchDiscrimination(self.own, KERNELS, DIM, generator=random)
        )
        self.nearness = nn.Linear(1 if pairwise else KERNELS, 1)

    def features(self, x: Tensor) -> Tensor:
        """The critic's features of images x (N, C, H, W), with those of the batch behind them: (N, F + k)."""
        return self.joint(self.critic.features(x))

    def forward(self, x: Tensor) -> Tensor:
        """One number per image of x (N, C, H, W)."""
        features = self.features(x)
        return self.critic.score(features[:, : self.own]) + self.nearness(features[:, self.own :])[:, 0]
