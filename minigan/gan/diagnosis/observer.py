"""What an observer does alike in minigan and in PyTorch: it knows which network a parameter is of, and writes down what
each optimiser does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .book import Book, names_in_sight, place
from .trace import Call, Inner, Move, Trace, share_at_the_bound


class Observer:
    """The base of `Watch` and `TorchWatch`. trace: what it saw. A subclass says how numbers are read, and what its
    networks are."""

    def __init__(self, engine: str, function: Callable | None, moves: int | None) -> None:
        self.book = Book(engine, function, moves)
        self.depth, self.inside = 0, False
        self.inner: list[tuple[Inner, Any]] = []
        self.parameters: dict[int, str] = {}
        self.pending: list[tuple[Move, list[tuple[Any, float]]]] = []
        self.look_around()

    @property
    def trace(self) -> Trace:
        """What was seen."""
        return self.book.trace

    def discover(self, value: Any) -> None:
        """Note a network that stands in no other."""
        raise NotImplementedError

    def weights(self, p: Any) -> np.ndarray:
        """A copy of a parameter's numbers."""
        raise NotImplementedError

    def slope(self, p: Any) -> np.ndarray | None:
        """The numbers of its gradient, if it has one."""
        raise NotImplementedError

    def memory(self, p: Any) -> Any:
        """What stands for the memory of its gradient."""
        raise NotImplementedError

    def look_around(self) -> None:
        """Discover what the user's code can name."""
        for _, value in names_in_sight(self.book.function):
            self.discover(value)

    def remember_parameters(self) -> None:
        """Parameters may be made anew; of two networks that share some, the one that was called owns them."""
        called = {c.network for c in self.trace.of(Call)}
        for name in sorted(self.trace.networks, key=called.__contains__):
            for p in self.trace.networks[name].module.parameters():
                self.parameters[id(p)] = name

    def before_move(self, optimiser: Any) -> tuple[Move, dict[str, list], dict[str, list]]:
        """(the row of an optimiser's step, network -> its parameters, network -> their numbers) before it is made."""
        self.look_around()
        self.settle()
        self.remember_parameters()
        owners: dict[str, list] = {}
        for p in (p for group in optimiser.param_groups for p in group["params"]):
            owners.setdefault(self.parameters.get(id(p), ""), []).append(p)
        kind, rate = type(optimiser).__name__, float(optimiser.param_groups[0]["lr"])
        orphans = sum(p.numel() for p in owners.pop("", []))
        move = Move(self.book.began(), place(), self.book.name_of(optimiser, kind), kind, rate, {}, orphans)
        before = {}
        for network, own in owners.items():
            everything = list(self.trace.networks[network].module.parameters())
            move.shares[network] = sum(p.numel() for p in own) / max(1, sum(p.numel() for p in everything))
            slopes = [g for p in own if (g := self.slope(p)) is not None]
            move.missing[network] = 1 - len(slopes) / len(own)
            move.frozen[network] = sum(not p.requires_grad for p in own) / len(own)
            move.norms[network] = float(np.sqrt(sum(float((g**2).sum()) for g in slopes)))
            passes = (self.passes_of(p) for p in own if self.slope(p) is not None)
            move.passes[network] = frozenset().union(*passes)
            before[network] = [self.weights(p) for p in own]
            move.weights[network] = share_at_the_bound(before[network])
        return move, owners, before

    def after_move(self, move: Move, owners: dict[str, list], before: dict[str, list], params: Sequence) -> None:
        """Note how far the weights went, and the lengths of the gradients of `params`."""
        for network, own in owners.items():
            change = sum(float(((self.weights(p) - b) ** 2).sum()) for p, b in zip(own, before[network], strict=True))
            size = sum(float((b**2).sum()) for b in before[network])
            move.moved[network] = float(np.sqrt(change / max(size, 1e-30)))
        self.book.add(move)
        lengths = [(p, float(np.linalg.norm(g))) for p in params if (g := self.slope(p)) is not None]
        self.pending = [*self.pending[-4:], (move, lengths)]
        self.book.enough()

    def passes_of(self, p: Any) -> frozenset[int]:
        """The passes whose gradients lie in a parameter's .grad."""
        assigned = frozenset(t[1] for t in self.book.tags(self.memory(p)) if isinstance(t, tuple) and t[0] == "pass")
        return assigned or self.book.uses.get(id(p), frozenset())

    def settle(self) -> None:
        """Look whether gradients were made smaller after their step."""
        for move, lengths in self.pending:
            slopes = [(self.slope(p), norm) for p, norm in lengths]
            ratios = [float(np.linalg.norm(g)) / norm for g, norm in slopes if g is not None and norm > 0]
            if ratios and len(ratios) == len(lengths) and 0 < max(ratios) < 0.999:
                move.clipped_later = f"{max(ratios):.3g}"
        self.pending = []
