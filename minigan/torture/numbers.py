"""Numbers that are none: a NaN or an infinity that one op makes, at a random place in a step of a random system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from .. import data
from .._modes import anomaly, watching
from ..autograd import Op
from ..gan.players import HalfStep
from ..gan.systems.table import SYSTEMS, options_for, trainer_for
from ..gan.train import Trainer, TrainingError
from .lines import Case, line, one_line, require


class Poison:
    """Ops are counted from the beginning of each player's gradients; number `at` of `player` makes `value` somewhere
    in its result. op: its name, once it ran."""

    def __init__(self, player: str = "", at: int = -1, value: float = 0.0, place: float = 0.0) -> None:
        self.player, self.at, self.value, self.place = player, at, value, place
        self.now, self.count, self.op = "", 0, ""
        self.floats: dict[str, list[int]] = {}

    def into(self, trainer: Trainer) -> None:
        """Watch a trainer's players."""
        steps = trainer.half_steps

        def watched() -> list[HalfStep]:
            return [
                replace(h, player=replace(h.player, gradients=self._begun(h.name.split()[0], h.player.gradients)))
                for h in steps()
            ]

        trainer.half_steps = watched

    def _begun(self, name: str, gradients):
        def watched():
            self.now, self.count = name, 0
            try:
                return gradients()
            finally:
                self.now = ""

        return watched

    @contextmanager
    def among_ops(self) -> Iterator[None]:
        """Within it every op runs through here. The engine looks, too: else it takes a shorter way, past Op.run."""
        with watching(anomaly, False), mock.patch.object(Op, "run", self._run(Op.run)):
            yield

    def _run(self, original):
        """In place of Op.run."""

        def run(op, inputs, arrays):
            if not self.now:
                return original(op, inputs, arrays)
            number, self.count = self.count, self.count + 1
            if (self.now, number) == (self.player, self.at):
                return self._poisoned(original, op, inputs, arrays)
            outputs = original(op, inputs, arrays)
            first = outputs[0] if type(outputs) is tuple else outputs
            if not op.alias and first.dtype.kind == "f" and first.size:
                self.floats.setdefault(self.now, []).append(number)
            return outputs

        return run

    def _poisoned(self, original, op: Op, inputs, arrays):
        """The op, its kernel in place of which another result comes."""
        self.op, kernel = op.name, op.forward

        def forward(*arrays):
            outputs = kernel(*arrays)
            first = np.array(outputs[0] if type(outputs) is tuple else outputs)
            first.flat[int(self.place * first.size)] = self.value
            return (first, *outputs[1:]) if type(outputs) is tuple else first

        op.forward = forward
        try:
            return original(op, inputs, arrays)
        finally:
            del op.forward


NAMED = re.compile(r"^step 2, (?:critic|generator) step.*?: (\S+)")


@line("not-a-number", 100, "a NaN or an infinity that an op makes stops the step, names it, and no weight moves")
def not_a_number(folder: Path) -> Iterator[Case]:
    """In the second step. Where it reaches neither a loss nor a gradient, the step must be as if it were not there."""
    trainers: dict[str, tuple] = {}

    def trainer(name: str) -> Trainer:
        wanted = {"steps": 4, "batch_size": 4, "base": 1, "n_critic": 1, "latent": 4, "capture": False}
        options = options_for(name, **{k: v for k, v in wanted.items() if k in SYSTEMS[name].takes})
        key = f"{options.data} {options.size}"
        if key not in trainers:
            dataset = data.load(options.data, size=options.size)
            trainers[key] = replace(dataset, train=dataset.train[:: max(1, len(dataset.train) // 60)])
        return trainer_for(options, trainers[key])

    def case(k, rng) -> str:
        name = str(rng.choice(list(SYSTEMS)))
        one, count = trainer(name), Poison()
        one.step()
        arrays, rest = one.state()
        before = {key: array.copy() for key, array in arrays.items()}
        count.into(one)
        with count.among_ops():
            one.step()
        require(count.floats, f"{name}: no op of its players was seen")
        player = str(rng.choice(sorted(count.floats)))
        at = int(rng.choice(sorted(set(count.floats[player]))))
        value = float(rng.choice([np.nan, np.inf, -np.inf]))
        poison = Poison(player, at, value, rng.uniform(0, 1))
        other = trainer(name)
        other.restore(before, rest)
        poison.into(other)
        weights = {key: array.copy() for key, array in other.state()[0].items()}
        try:
            with poison.among_ops():
                other.step()
        except Exception as error:
            text = one_line(error, (TrainingError,))
            match = NAMED.match(text)
            where = f"{name}, {player}, op {at}, {poison.op} made {value}"
            require(match, f"{where}, and the message is: {text[:200]}")
            require(match[1].rstrip(":,") == poison.op, f"{where}, and the message names {match[1]}: {text[:200]}")
            now = other.state()[0]
            mover = "generator" if player == "generator" else "critic"
            names = [f"{mover}.{key}" for key, _ in other.trained()[mover].named_parameters()]
            still = all(np.array_equal(now[key], weights[key]) for key in names)
            require(still, f"{where}: weights of the {mover} moved")
            return "named"
        state = other.state()[0]
        bad = [key for key, array in state.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
        require(not bad, f"{name}, {player}, op {at}, {poison.op} made {value}: it is in {', '.join(bad[:3])}, unsaid")
        return "without effect"

    yield case
