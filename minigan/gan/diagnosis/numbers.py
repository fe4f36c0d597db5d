"""Rules about numbers and modes: data ranges, collapse, dead units, explosions, memory, averages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .finding import NOTE, Finding
from .slopes import SQUASHING
from .trace import NOWHERE, Call, Move, Pass, Trace

DEAD, FEW = 0.8, 8
"""Share of a layer's units that are dead, and the fewest units of a layer that is looked at."""
GRADIENT, CHANGE = 1e5, 0.5
"""A gradient's norm, and a step relative to the weights, that are explosions."""


def finite(trace: Trace) -> Iterator[Finding]:
    """Losses, gradients, weights."""
    bad = [p for p in trace.of(Pass) if not np.isfinite(p.value) or not np.isfinite(list(p.reached.values())).all()]
    moved = [m for m in trace.of(Move) if not np.isfinite(list(m.moved.values())).all()]
    if bad or moved:
        if trace.not_finite:
            op, place = trace.not_finite
            yield Finding("not-finite", f"{op} makes the first number that is not finite", place)
        else:
            event = (bad or moved)[0]
            yield Finding("not-finite", "a loss or a gradient is not finite", event.place)
        return
    roles = trace.roles
    for network in trace.networks:
        moves = [m for m in trace.of(Move) if network in m.shares and roles.get(network)]
        if not moves:
            continue
        change = max(m.moved[network] for m in moves)
        norm = float(np.median([m.norms[network] for m in moves]))
        if change > CHANGE:
            evidence = f"a step of {moves[0].optimiser} changes {network} by {change:.0%} of its size"
            yield Finding("exploding", evidence, moves[0].place)
        elif norm > GRADIENT:
            yield Finding("exploding", f"the gradient of {network} has a norm of {norm:.2g}", moves[0].place)


RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "relu": (0.0, np.inf)}


def ranges(trace: Trace) -> Iterator[Finding]:
    """The reals' range beside that of the generator's last layer."""
    for generator in trace.named("generator"):
        calls = [c for c in trace.of(Call) if c.network == generator and not c.part]
        ends = {c.ends for c in calls if c.recorded}
        if len(ends) != 1 or not (ends & RANGES.keys()):
            continue
        (end,) = ends
        size = calls[-1].output[0].size  # its last layer may be followed by a reshape
        judged = [
            c
            for c in trace.of(Call)
            if trace.roles.get(c.network) == "critic" and not c.part and not c.rows.any() and c.inputs
        ]
        judged = [c for c in judged if c.inputs[0][0].size == size]
        reals = [c.inputs[0] for c in judged]
        if not reals:
            continue
        low, high = RANGES[end]
        x = np.concatenate([r.reshape(len(r), -1) for r in reals])
        least, most = float(x.min()), float(x.max())
        beyond = float(((x < low - 0.05) | (x > high + 0.05)).mean())
        unused = end == "tanh" and least >= -1e-3 and most > 0.3 and most <= 1.05
        if beyond > 0.01 or unused:
            evidence = (
                f"reals lie in [{least:.3g}, {most:.3g}], {generator} ends in {end}, which gives [{low:g}, {high:g}]"
            )
            yield Finding("data-range", evidence, judged[0].place)


def modes(trace: Trace) -> Iterator[Finding]:
    """Networks that train in evaluation mode."""
    steps = trace.of(Move)
    for name, network in trace.networks.items():
        if not (network.norms or network.random):
            continue
        for call in trace.of(Call):
            if call.network != name or call.training or not call.recorded:
                continue
            trained = any(
                call.number in p.slopes and any(p.number in m.passes.get(name, ()) for m in steps)
                for p in trace.of(Pass)
            )
            used = [m for m in steps if name in m.shares and m.number > call.number]
            if trained or (used and trace.roles.get(name) == "generator"):
                layers = ", ".join([*network.norms, *network.random][:3])
                yield Finding("eval-mode", f"{name} trains in evaluation mode, and has {layers}", call.place)
                break


def diversity(trace: Trace) -> Iterator[Finding]:
    """Do the samples of a batch differ, and do latents differ from step to step?"""
    for name in trace.named("generator"):
        calls = [c for c in trace.of(Call) if c.network == name and not c.part and c.recorded and len(c.output) > 3]
        if not calls:
            continue
        if all(_distinct(c.output) == 1 for c in calls):
            inputs = [_distinct(c.inputs[0]) for c in calls if c.inputs]
            if inputs and max(inputs) == 1:
                evidence = (
                    f"all {len(calls[0].output)} latents of a batch are the same, and so are the samples of {name}"
                )
                yield Finding("collapsed", evidence, calls[0].place)
            else:
                evidence = f"all {len(calls[0].output)} samples of {name} are the same, though their latents differ"
                yield Finding("latents-ignored", evidence, calls[0].place)
        elif all(c.inputs and _distinct(c.output) <= 0.6 * _distinct(c.inputs[0]) for c in calls):
            evidence = (
                f"{_distinct(calls[0].inputs[0])} latents give {_distinct(calls[0].output)} different samples of {name}"
            )
            yield Finding("latents-ignored", evidence, calls[0].place)
        first = [c.inputs[0] for c in calls if c.inputs and not c.origins]
        batches = {a.tobytes() for a in first}
        if len(first) >= 3 and len(batches) == 1 and trace.rounds >= 3:
            evidence = f"{name} got the same latents at all {len(first)} calls"
            yield Finding("fixed-latents", evidence, calls[0].place)
    for name in trace.named("critic"):
        reals = [c for c in trace.of(Call) if c.network == name and not c.part and c.inputs and not c.rows.any()]
        if len(reals) >= 4 and len({c.inputs[0].tobytes() for c in reals}) == 1 and trace.rounds >= 3:
            evidence = f"{name} saw the same batch of reals at all {len(reals)} calls"
            yield Finding("same-batch", evidence, reals[0].place, NOTE)


def _distinct(x: np.ndarray) -> int:
    """How many different rows."""
    rows = x.reshape(len(x), -1)
    scale = float(np.abs(rows).max()) or 1.0
    return len({np.round(row / scale, 5).tobytes() for row in rows.astype(np.float64) + 0.0})


def units(trace: Trace) -> Iterator[Finding]:
    """Rectifiers that are 0 for every sample of every batch."""
    for (name, number), (dead, count, place) in trace.dead.items():
        if count >= FEW and dead >= DEAD * count:
            evidence = (
                f"{dead} of {count} units of {name}'s rectifier {number + 1} are 0 for every sample of every batch"
            )
            yield Finding("dead-units", evidence, place)


def saturation(trace: Trace) -> Iterator[Finding]:
    """A critic whose probabilities are 0 and 1."""
    for name in trace.named("critic"):
        chances: dict[bool, list[np.ndarray]] = {True: [], False: []}
        place = NOWHERE
        for event in trace.of(Pass):
            for number in event.slopes:
                call = trace.call(number)
                if call.network != name or call.part or call.points:
                    continue
                squashed = call.ends == "sigmoid"
                if not squashed and not event.ops[number] & SQUASHING:
                    continue
                y = call.output if squashed else 1 / (1 + np.exp(-np.clip(call.output, -50, 50)))
                if len(call.rows) == len(y):
                    place = event.place
                    for fake in (True, False):
                        chances[fake].append(y[call.rows == fake].ravel())
        fakes, reals = (np.concatenate(chances[k]) if chances[k] else np.zeros(0) for k in (True, False))
        if fakes.size and reals.size:
            f, r = float(np.median(fakes)), float(np.median(reals))
            if max(f, r) > 0.99 and min(f, r) < 0.01:
                evidence = f"{name} says {r:.4f} to the median real and {f:.2g} to the median fake: it is saturated"
                yield Finding("critic-saturated", evidence, place)


def memory(trace: Trace) -> Iterator[Finding]:
    """Graphs that are kept from step to step."""
    steps = np.diff(trace.growth)
    if len(steps) >= 2 and (steps > 0).all():
        keepers = f"; {', '.join(trace.keepers)} hold{'s' * (len(trace.keepers) == 1)} tensors with their graph" * bool(
            trace.keepers
        )
        evidence = f"each step leaves {int(np.median(steps))} more recorded operations in memory{keepers}"
        place = next((m.place for m in reversed(trace.of(Move))), NOWHERE)
        yield Finding("loss-kept-alive", evidence, place)


def averages(trace: Trace) -> Iterator[Finding]:
    """Averages of weights that nobody moves."""
    for name, (updates, moved) in trace.averages.items():
        if not moved and any(m.moved.get(g) for m in trace.of(Move) for g in trace.named("generator")):
            evidence = f"{name} was not moved in {trace.rounds} steps ({updates} updates in all)"
            yield Finding("average-unused", evidence)


RULES = (finite, ranges, modes, diversity, units, saturation, memory, averages)
