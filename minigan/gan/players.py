"""Who moves in a step of training, and along what: one network, or both at once.

A step is a schedule of moves (`Trainer.half_steps`). Each computes gradients first, which can be looked at, and then
moves the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import optim
from ..autograd import Tensor
from ..nn import Parameter


@dataclass(frozen=True)
class Player:
    """One of the two networks as it trains.

    gradients(): puts the gradient of what the player minimises into the .grad of its parameters, and returns figures,
    tensors of no axes, "objective" first. bound: on every weight, after each step; 0 for none.
    """

    optimiser: optim.Optimizer
    gradients: Callable[[], dict[str, Tensor]]
    bound: float = 0.0

    @property
    def players(self) -> tuple[Player, ...]:
        """This one."""
        return (self,)

    @property
    def params(self) -> list[Parameter]:
        """The weights that move."""
        return list(self.optimiser.param_groups[0]["params"])

    def move(self) -> None:
        """Change the weights by their gradients, and keep them within the bound, where there is one."""
        self.optimiser.step()
        if self.bound:
            optim.clip_weights_(self.params, self.bound)


@dataclass(frozen=True)
class Both:
    """Two players who step together.

    gradients(): puts both players' gradients, taken at the same weights, into the .grad of their parameters, and
    returns figures as a player's does.
    """

    players: tuple[Player, ...]
    gradients: Callable[[], dict[str, Tensor]]

    @property
    def params(self) -> list[Parameter]:
        """The weights of both."""
        return [p for player in self.players for p in player.params]

    def move(self) -> None:
        """Change the weights of both."""
        for player in self.players:
            player.move()


@dataclass(frozen=True)
class HalfStep:
    """One move, of one player or of both. name: in an error. feed: what fills the batch before it."""

    name: str
    player: Player | Both
    feed: Callable[[], None]
