"""What can be looked into, by name: a system of `minigan train`, an example, a function of one's own.

wgan-gp, wgan-gp:generator     one half-step of a player at the system's defaults; the critic's where none is named
03_wgan_gp                     an example, up to its first optimiser step
file.py:function               a function without arguments; of a tensor that it returns the gradient is taken, too
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np

from .. import _user_code
from ..autograd import Tensor, _walk, grad
from ..capture import Captured, CaptureError, capture
from ..capture.plan import Plan
from ..data import load
from ..gan.systems.table import SYSTEMS, options_for, trainer_for
from ..ops.elementary import square
from ..ops.reduce import sum
from .tape import Row, Tape

PLAYERS = ("critic", "generator")
LIMIT = 20_000


@dataclass(frozen=True)
class Target:
    """name: as it was asked for. step: runs it once. captured: what of it can be replayed, or None. objective: only the
    loss and its gradient, where that is less than the step. until_update: whether a tape ends with the first optimiser
    step."""

    name: str
    step: Callable[[], object]
    captured: Captured | None = None
    objective: Callable[[], object] | None = None
    until_update: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether it is a step, which may be run again, and no program."""
        return not self.until_update

    def plan(self) -> Plan:
        """The plan of the captured step. Raises ValueError where nothing is captured or can be, and what
        recording raises."""
        captured = self.captured
        if captured is None and self.is_repeatable and self.objective is None:
            captured = capture(self.step)
        if captured is None:
            raise ValueError(f"{self.name}: there is no captured step; a system or a function has one")
        try:
            captured()
        except CaptureError as error:
            raise ValueError(f"{self.name}: {error}") from error
        plan = captured.plans[-1]
        if not isinstance(plan.arena, np.ndarray):
            raise ValueError(f"{self.name}: its plan lies on a device; one of the CPU can be listed")
        return plan

    def tape(self, whole: bool = True, limit: int = LIMIT) -> Tape:
        """The step, or only its objective, run eagerly on a tape. Raises ValueError where nothing of it is an op."""
        tape = Tape(limit, _end_at_update if self.until_update else None)
        with tape, suppress(_Ended):
            (self.step if whole or self.objective is None else self.objective)()
        if not tape.rows:
            raise ValueError(f"{self.name}: no op of minigan ran")
        return tape


class _Ended(BaseException):
    """The first optimiser step is done; no `except Exception` of the program's own stops it."""


def _end_at_update(row: Row) -> None:
    if row.in_place and any(name.startswith("optim") for name in row.kernels):
        raise _Ended


def target(name: str, order: int = 2, seed: int = 0) -> Target:
    """What `name` says. order: of the derivatives that are taken of a tensor which a function returns. Raises
    ValueError, with the nearest name or the function's file, for what there is none of."""
    place, _, part = name.partition(":")
    if place in SYSTEMS:
        return _system(name, place, part, seed)
    if _user_code.is_name(name):
        return _function(name, order)
    if place.endswith(".py"):
        raise ValueError(f"{name}: say which function of the file, as in {place}:step")
    return _example(name)


def _system(name: str, system: str, player: str, seed: int) -> Target:
    options = options_for(system, seed=seed)
    trainer = trainer_for(options, load(options.data, size=options.size))
    player = player or next(p for p in PLAYERS if p in trainer.players)
    if player not in trainer.players:
        raise ValueError(f"{name}: the players are {' and '.join(p for p in PLAYERS if p in trainer.players)}")
    for half_step in trainer.half_steps():
        half_step.feed()
    mover = trainer.players[player]
    params = mover.optimiser.param_groups[0]["params"]

    def step() -> None:
        mover.gradients()
        mover.move()

    def objective() -> None:
        loss, _ = trainer.critic_loss() if player == "critic" else trainer.generator_loss()
        grad(loss, params)

    step()  # so that kernels are compiled, and the optimiser has its moments
    return Target(name, step, mover.gradients if isinstance(mover.gradients, Captured) else None, objective)


def _example(name: str) -> Target:
    import click

    examples = importlib.import_module("minigan.examples")
    files = {path.stem: path for folder in examples.__path__ for path in sorted(Path(folder).glob("[0-9]*.py"))}
    stems = [stem for stem in files if stem == name or stem.split("_")[0] == name]
    if not stems:
        near = get_close_matches(name, [*SYSTEMS, *files], 1)
        raise ValueError(
            f"there is no system or example {name!r}{f'; did you mean {near[0]!r}?' if near else ''} (systems are those"
            " of minigan train, examples those of minigan examples; a function of yours is file.py:function)"
        )
    main = getattr(importlib.import_module(f"minigan.examples.{stems[0]}"), "main", None)
    if not callable(main):
        raise ValueError(f"{name}: the example has no main()")
    if isinstance(main, click.Command):
        return Target(name, partial(main.callback, **main.make_context(name, []).params), until_update=True)
    return Target(name, main, until_update=True)


def _function(name: str, order: int) -> Target:
    _, _, function = _user_code.load(name)
    if not callable(function):
        raise ValueError(f"{name}: a function is needed")
    try:
        inspect.signature(function).bind()
    except TypeError:
        raise ValueError(f"{name}: a function that can be called without arguments is needed") from None

    def step() -> tuple:
        value = function()
        return value, differentiate(value, order) if isinstance(value, Tensor) else ()

    return Target(name, step, function if isinstance(function, Captured) else None)


def differentiate(value: Tensor, order: int) -> list[Tensor]:
    """The gradient of `value`'s sum in every leaf, then that of half its squared length, up to `order` times. Returns
    the last ones."""
    loss, slopes = value if value.size == 1 else sum(value), []
    for k in range(1, order + 1):
        leaves = _leaves(loss)
        if not leaves:
            break
        slopes = [g for g in grad(loss, leaves, create_graph=k < order, allow_unused=True) if g is not None]
        lengths = [sum(square(g)) / 2 for g in slopes if k < order]
        if not any(length.requires_grad for length in lengths):
            break
        loss = reduce(add, lengths)
    return slopes


def _leaves(loss: Tensor) -> Sequence[Tensor]:
    inputs = (x for node in _walk([loss], ()) for x in node.inputs)
    return list({id(x): x for x in inputs if x.node is None and x.requires_grad}.values())
