"""A run's figures as TensorBoard event files, in its folder `tensorboard`: `minigan train --log tensorboard`.

Needs the package tensorboardX: pip install "minigan[tensorboard]".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

FOLDER = "tensorboard"


class EventFiles:
    """A listener of `minigan.gan.run.Run`. Where a run goes on from `step`, what older files say of later steps is
    withdrawn. Raises ImportError without the package tensorboardX."""

    def __init__(self, folder: Path, step: int = 0) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(folder / FOLDER), purge_step=step + 1 if step else None)

    def row(self, row: Mapping[str, float]) -> None:
        """A row of stats.jsonl: each figure a curve over the generator step."""
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(f"training/{name}", value, int(row["step"]))

    def samples(self, step: int, path: Path) -> None:
        """A picture of samples, (H, W) or (H, W, 3)."""
        from PIL import Image

        with Image.open(path) as picture:
            self.writer.add_image("samples", np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def figures(self, step: int, figures: Mapping[str, object]) -> None:
        """What a judge says of the end: the numbers among the figures."""
        for name, value in figures.items():
            if isinstance(value, int | float):
                self.writer.add_scalar(f"judged/{name}", value, step)

    def close(self) -> None:
        """Write what is held back."""
        self.writer.close()
