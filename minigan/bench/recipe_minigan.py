"""The default run of `minigan train`, a step at a time, and where it started."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import Tensor
from ..data import load
from ..gan.systems.table import options_for, trainer_for

START = "start.npz"


class Recipe:
    """seed: of the run. folder: where the first weights are written, for the others to start from."""

    def __init__(self, seed: int, folder: Path) -> None:
        options = options_for("wgan-gp", seed=seed)
        self.trainer = trainer_for(options, load(options.data))
        networks = self.trainer.trained()
        arrays = {f"{name}.{key}": a for name, module in networks.items() for key, a in module.state_dict().items()}
        np.savez(folder / START, **{key: np.asarray(array) for key, array in arrays.items()})

    def step(self) -> None:
        """Five critic steps and one generator step."""
        self.trainer.step()

    def samples(self, latents: np.ndarray) -> np.ndarray:
        """Images (N, 1, 32, 32) for latents (N, 100), by the averaged generator."""
        return self.trainer.sample(Tensor(latents))
