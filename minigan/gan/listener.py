"""What is told of a run while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Listener(Protocol):
    """What is told of a run while it trains, beside its folder."""

    def row(self, row: dict[str, float]) -> None:
        """A row of stats.jsonl."""

    def samples(self, step: int, path: Path) -> None:
        """A picture of samples."""

    def figures(self, step: int, figures: dict) -> None:
        """What the judge says at the end."""

    def close(self) -> None:
        """The run ends or stops."""
