"""What was observed while a training step ran: calls of networks, backward passes, moves of optimisers.

The observers (watch.py for minigan, watch_torch.py for PyTorch) fill a `Trace`; the rules read it, and nothing else.
All arrays are NumPy's.

    Call    a network was called by the user's code (not by another network)
    Pass    a backward pass: from a loss to parameters
    Inner   a gradient by an input of a network, as penalties take it
    Move    an optimiser stepped
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Place(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else ""


NOWHERE = Place("", 0, "")


@dataclass
class Network:
    """A module that stands for itself, in no other. norms: names of its batch-norm layers; random: of its dropouts.
    spectral: whether some weight is divided by its largest singular value. before: its weights at its first call."""

    name: str
    module: Any
    norms: list[str] = field(default_factory=list)
    random: list[str] = field(default_factory=list)
    spectral: bool = False
    own_code: bool = False
    before: list[np.ndarray] = field(default_factory=list)


@dataclass
class Call:
    """inputs: the floating arguments. output: the first floating result. rows: of each input row, whether a generator
    made it (None: cannot be told). origins: the networks that the inputs came from. ends: the last op. moved: buffers
    that the call changed. coupled: whether one sample's output depends on another sample. weights: (the largest weight,
    how many weights have that size)."""

    number: int
    network: str
    part: str
    place: Place
    training: bool
    recorded: bool
    inputs: list[np.ndarray]
    output: np.ndarray
    rows: np.ndarray
    origins: frozenset[str]
    ends: str = ""
    moved: tuple[str, ...] = ()
    coupled: bool = False
    weights: tuple[float, int] = (0.0, 0)
    points: bool = False


@dataclass
class Pass:
    """slopes: call number -> dL/d(output of that call). ops: call number -> the ops between that output and the loss.
    reached: network -> norm of the gradient of its parameters. tags: the inner gradients whose values are in the
    loss."""

    number: int
    place: Place
    value: float
    reached: dict[str, float] = field(default_factory=dict)
    slopes: dict[int, np.ndarray] = field(default_factory=dict)
    ops: dict[int, frozenset[str]] = field(default_factory=dict)
    tags: frozenset[int] = frozenset()
    users: set[str] = field(default_factory=set)


@dataclass
class Inner:
    """A gradient `slope` (N, ...) of a network's output by `points`. cotangent: dL/d slope, in the pass that reached
    it; roots: the sizes of the square roots and norms on the way."""

    number: int
    place: Place
    network: str
    call: int
    create_graph: bool
    points: np.ndarray
    slope: np.ndarray
    origins: frozenset[str]
    cotangent: np.ndarray | None = None
    roots: tuple[int, ...] = ()
    in_pass: int | None = None


@dataclass
class Move:
    """A step of an optimiser. moved: network -> |change of its weights| / |weights|. passes: network -> the numbers of
    the passes whose gradients it used. missing: network -> share of its parameters that had no gradient. shares:
    network -> share of the network's numbers that the optimiser steps."""

    number: int
    place: Place
    optimiser: str
    kind: str
    rate: float
    shares: dict[str, float]
    orphans: int
    moved: dict[str, float] = field(default_factory=dict)
    passes: dict[str, frozenset[int]] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)
    frozen: dict[str, float] = field(default_factory=dict)
    weights: dict[str, tuple[float, int]] = field(default_factory=dict)
    clipped_later: str = ""


@dataclass
class Trace:
    """One look at a training step. events: calls, passes, inner gradients and moves in their order."""

    engine: str
    networks: dict[str, Network] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    averages: dict[str, tuple[int, bool]] = field(default_factory=dict)
    dead: dict[tuple[str, int], tuple[int, int, Place]] = field(default_factory=dict)
    not_finite: tuple[str, Place] | None = None
    growth: list[int] = field(default_factory=list)
    keepers: list[str] = field(default_factory=list)
    error: tuple[str, Place] | None = None
    rounds: int = 0
    start: dict[str, float] = field(default_factory=dict)

    def of(self, kind: type) -> list[Any]:
        """The events of a kind."""
        return [e for e in self.events if isinstance(e, kind)]

    def call(self, number: int) -> Call:
        """The call with a number."""
        table = self.__dict__.setdefault("_calls", {})
        if number not in table:
            table.update({c.number: c for c in self.of(Call)})
        return table[number]

    @property
    def feeds(self) -> dict[str, set[str]]:
        """Network -> the other networks that its outputs go into."""
        table: dict[str, set[str]] = {name: set() for name in self.networks}
        for call in self.of(Call):
            for origin in call.origins:
                if origin != call.network and origin in table:
                    table[origin].add(call.network)
        return table

    @property
    def roles(self) -> dict[str, str]:
        """Network -> "generator" (its outputs go into others), "critic" (it only judges), or "" where neither."""
        feeds = self.feeds
        fed = {b for into in feeds.values() for b in into}
        roles = {name: "generator" if feeds[name] else "critic" if name in fed else "" for name in self.networks}
        for name, role in roles.items():
            if not role:
                roles[name] = _role_by_name(name)
        return roles

    def named(self, role: str) -> list[str]:
        """The networks of a role that were called or moved."""
        return [name for name, r in self.roles.items() if r == role]


def _role_by_name(name: str) -> str:
    word = name.rpartition(".")[2].lower().replace("_", "")
    if re.match(r"(net|model|module)?(g|gen|generator|decoder|g[a-z]?|generators?)(net|model)?\d*$", word):
        return "generator"
    if re.match(r"(net|model|module)?(d|f|c|disc|dis|discriminator|critic|d[a-z]?|judge)(net|model)?\d*$", word):
        return "critic"
    return ""


def share_at_the_bound(arrays: list[np.ndarray]) -> tuple[float, int]:
    """(the largest |weight|, how many have that size to 1e-6 of it), biases and scales aside."""
    arrays = [a for a in arrays if a.ndim > 1] or arrays
    largest = max((float(np.abs(a).max()) for a in arrays if a.size), default=0.0)
    if not largest or not np.isfinite(largest):
        return largest, 0
    return largest, sum(int((np.abs(a) >= largest * (1 - 1e-6)).sum()) for a in arrays)
