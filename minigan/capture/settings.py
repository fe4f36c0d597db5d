"""Machine room, capture: optimisers in a recorded step, and what a step may not do to them.

A replay runs an optimiser's step on the moments that it has, by the settings that stand in its groups then: a rate
that changes outside needs no new record. What else the step's Python would do to an optimiser, no replay does: make
one, load its moments, change a setting.
"""

from __future__ import annotations

from collections.abc import Callable

from ..optim.optimizer import Optimizer
from .refusal import CaptureError, refusal

RENEWALS = {Optimizer.__init__.__code__, Optimizer.load_state_dict.__code__}
RENEWED = (
    "an optimiser is made, or its state loaded, inside the step, and its moments would go on from replay to replay; do"
    " that outside, or write the updates as ops"
)


def is_optimiser(value: object) -> bool:
    """Whether a value is an optimiser that steps as minigan's own do: by numbers that a replay reads itself."""
    kind = type(value)
    return getattr(kind, "replayed_step", None) is not None and kind.replayed_step is kind.step


class Settings:
    """The groups of optimisers that the step's code reaches, as they were before it ran."""

    def __init__(self) -> None:
        self._groups: dict[int, tuple[dict, dict]] = {}

    def __contains__(self, container: object) -> bool:
        return id(container) in self._groups

    def note(self, optimiser: Optimizer) -> None:
        """Its groups; only the first time counts."""
        for group in optimiser.param_groups:
            self._groups.setdefault(id(group), (group, dict(group)))

    def check(self, refuse: Callable[[CaptureError], None]) -> None:
        """Put back and refuse what the step has changed."""
        for group, before in self._groups.values():
            now = {name: group.get(name) for name in before if name != "params"}
            changed = {n: v for n, v in now.items() if v is not before[n] and v != before[n]}
            if changed:
                group.update({name: before[name] for name in changed})
                text = ", ".join(f"{name} {value}" for name, value in changed.items())
                refuse(refusal(f"an optimiser's settings are changed inside the step, to {text}, and no replay would;"
                               " change them, or call the schedule's step(), outside"))  # fmt: skip
