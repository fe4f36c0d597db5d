"""What the systems that translate images share: the falling rate, and the averaged translator at work."""

from __future__ import annotations

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ..train import Trainer


class TranslationTrainer(Trainer):
    """The base of the systems that make images of images: the learning rate falls to zero over the second half of the
    steps, and they are judged on the test half of the held-out images where nobody says otherwise. usage: the command
    that puts a trained one to work."""

    split = "test"
    usage = "minigan translate RUN IMAGE..."

    @property
    def follows_total(self) -> bool:
        return True

    def anneal(self) -> None:
        left = 1 - self.steps_done / max(self.options.steps, 1)
        for player in self.players.values():
            player.optimiser.param_groups[0]["lr"] = self.options.lr * max(min(1, 2 * left), 0)

    def draw(self, count: int, random: Generator) -> np.ndarray:
        """A translator has no samples without images: raises ValueError, which says what to do instead."""
        raise ValueError(f"{self.options.system} makes images of images: use {self.usage}")


def translated(network: nn.Module, images: np.ndarray, *conditions: np.ndarray, batch: int = 100) -> np.ndarray:
    """What a translator makes of images (N, C, S, S) and one condition each (N, K), cut off at -1 and 1."""
    home = next(network.parameters()).device
    with no_grad():
        parts = [
            host(network(*(Tensor(x[i : i + batch]).to(home) for x in (images, *conditions))).data)
            for i in range(0, len(images), batch)
        ]
    return np.concatenate(parts).clip(-1, 1)
