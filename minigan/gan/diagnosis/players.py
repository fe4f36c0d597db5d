"""Rules about the two players: who trains, on whose gradients, and in which direction."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ...backend import host
from .finding import NOTE, Finding
from .trace import NOWHERE, Call, Move, Pass, Trace

STILL = 1e-12
"""Relative change of weights below which they stand still."""


def moves_of(trace: Trace, network: str) -> list[Move]:
    """The moves of optimisers that hold parameters of a network."""
    return [m for m in trace.of(Move) if network in m.shares]


def training(trace: Trace) -> Iterator[Finding]:
    """Players that stand still, and why."""
    for role, name in (("generator", "generator-never-trains"), ("critic", "critic-never-trains")):
        for network in trace.named(role):
            moves = moves_of(trace, network)
            late = moves[len(moves) // 2 :]  # what stands still from the second step on trains no more
            if not _is_used(trace, network) or any(m.moved.get(network, 0.0) > STILL for m in late):
                continue
            if not moves and (_is_frozen(trace, network) or _is_moved_by_hand(trace, network)):
                continue
            moves = late or moves
            other = [p for p in trace.of(Pass) if p.reached.get(network, 0.0) > 0]
            place = moves[-1].place if moves else other[-1].place if other else _last_call(trace, network)
            yield Finding(
                name, f"{network} does not change in {_count(trace)}: {_why(trace, network, moves, other)}", place
            )
            if role == "generator" and moves and not other:
                yield from _cut(trace, network)


def _is_used(trace: Trace, network: str) -> bool:
    calls = [c for c in trace.of(Call) if c.network == network]
    return bool(calls) and (bool(trace.networks[network].module is not None))


def _is_frozen(trace: Trace, network: str) -> bool:
    """Whether it is no player: one whose features are compared, say, with weights that nobody means to train."""
    return not any(p.requires_grad for p in trace.networks[network].module.parameters())


def _is_moved_by_hand(trace: Trace, network: str) -> bool:
    """Whether its weights have changed, though no optimiser has stepped them."""
    before = trace.networks[network].before
    now = [host(p.data) for p in trace.networks[network].module.parameters()] if before else []
    return any(a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(before, now, strict=True))


def _why(trace: Trace, network: str, moves: list[Move], passes: list[Pass]) -> str:
    held_by_nobody = not moves
    if held_by_nobody:
        orphaned = [m for m in trace.of(Move) if m.orphans]
        if orphaned:
            return f"{orphaned[0].optimiser} holds {orphaned[0].orphans} numbers that are in no network that was called"
        return "no optimiser that steps holds its parameters"
    if all(m.rate == 0 for m in moves):
        return f"the learning rate of {moves[0].optimiser} is 0"
    if all(m.frozen.get(network, 0.0) == 1 for m in moves):
        return f"when {moves[0].optimiser} steps, its parameters are frozen (requires_grad is False)"
    if all(m.missing.get(network, 0.0) == 1 for m in moves):
        if passes:
            return f"when {moves[0].optimiser} steps, the gradients have been cleared again"
        return f"when {moves[0].optimiser} steps, none of its parameters has a gradient"
    return f"its gradients are 0 at each of {len(moves)} steps of {moves[0].optimiser}"


def _cut(trace: Trace, network: str) -> Iterator[Finding]:
    """Where G's loss loses G."""
    critics = trace.named("critic")
    calls = [c for c in trace.of(Call) if c.network == network]
    fed = [c for c in trace.of(Call) if c.network in critics and network in c.origins and not c.points]
    place = fed[-1].place if fed else calls[-1].place
    plain = not any(c.recorded for c in calls)
    how = (
        f"{network} was called without recording (no_grad)"
        if plain
        else "between its output and the loss the graph is cut"
    )
    yield Finding("no-gradient-to-generator", f"no backward pass reaches {network}: {how}", place)


def _count(trace: Trace) -> str:
    return f"{trace.rounds} step{'s' * (trace.rounds != 1)}"


def _last_call(trace: Trace, network: str):
    calls = [c for c in trace.of(Call) if c.network == network]
    return calls[-1].place if calls else NOWHERE


def parameters(trace: Trace) -> Iterator[Finding]:
    """Optimisers that hold another network's parameters, or nobody's."""
    roles, reports = trace.roles, set()
    for move in trace.of(Move):
        if move.optimiser in reports:
            continue
        kinds = {roles.get(n) for n, share in move.shares.items() if share > 0.9 and move.moved.get(n, 0.0) > STILL}
        if {"generator", "critic"} <= kinds:
            reports.add(move.optimiser)
            names = " and ".join(move.shares)
            yield Finding("wrong-parameters", f"{move.optimiser} moves {names} in one step, both players", move.place)
        elif move.orphans and not move.shares:
            reports.add(move.optimiser)
            evidence = f"{move.optimiser} holds {move.orphans} numbers that belong to no network that was called"
            yield Finding("wrong-parameters", evidence, move.place)
    generators = trace.named("generator")
    for critic in trace.named("critic"):
        holders = {m.optimiser: m for m in moves_of(trace, critic)}
        idle = [g for g in generators if not moves_of(trace, g)]
        if len(holders) > 1 and idle and not reports:
            move = list(holders.values())[-1]
            evidence = f"{' and '.join(holders)} both hold {critic}, and none holds {', '.join(idle)}"
            yield Finding("wrong-parameters", evidence, move.place)


def gradients(trace: Trace) -> Iterator[Finding]:
    """Whose gradients a step uses: none twice, none of the other player."""
    roles = trace.roles
    users: dict[int, list[tuple[Move, str]]] = {}
    for move in trace.of(Move):
        for network, numbers in move.passes.items():
            for n in numbers:
                users.setdefault(n, []).append((move, network))
    reports = set()
    for number, steps in users.items():
        for (first, network), (later, other) in pairwise(steps):
            if network == other and first.optimiser == later.optimiser and network not in reports:
                reports.add(network)
                count = max(len(m.passes.get(network, ())) for m in moves_of(trace, network))
                evidence = (
                    f"a step of {later.optimiser} uses the gradients of up to {count} backward passes, among them those"
                    f" of a step before: {network}'s gradients are never cleared between"
                )
                yield Finding("gradients-pile-up", evidence, later.place)
        own = {roles.get(n) for _, n in steps}
        if {"generator", "critic"} <= own and "both" not in reports:
            reports.add("both")
            event = next(p for p in trace.of(Pass) if p.number == number)
            names = " and of ".join(dict.fromkeys(n for _, n in steps))
            evidence = f"the gradients of one backward pass are used by steps of {names}"
            yield Finding("other-players-gradients", evidence, event.place)
    yield from _wasted(trace, users)


def _wasted(trace: Trace, users: dict[int, list[tuple[Move, str]]]) -> Iterator[Finding]:
    """Passes through a network whose gradients nobody uses."""
    roles, reports = trace.roles, set()
    for event in trace.of(Pass):
        used = {n for _, n in users.get(event.number, ())}
        for network in set(event.reached) - used:
            role = roles.get(network)
            if (
                not used
                or role not in ("generator", "critic")
                or role in {roles.get(n) for n in used}
                or network in reports
            ):
                continue
            reports.add(network)
            name = "critic-not-frozen" if role == "critic" else "fake-not-detached"
            evidence = (
                f"the pass for {', '.join(sorted(used))} computes {network}'s weight gradients, too, which no step uses"
            )
            yield Finding(name, evidence, event.place, NOTE)


def directions(trace: Trace) -> Iterator[Finding]:
    """At one and the same output, the slopes of D's loss for reals and fakes must differ, and that of G's loss on its
    fakes must lie on the reals' side.

    At one output, since a least-squares loss turns its sign at its label: the slopes are compared at the mean output,
    along the line that fits them.
    """
    roles, sides, places = trace.roles, {}, {}
    for move in trace.of(Move):
        players = {roles.get(n) for n in move.shares} & {"critic", "generator"}
        if len(players) != 1:
            continue
        (player,) = players
        used = frozenset().union(*move.passes.values()) if move.passes else frozenset()
        for event in (p for p in trace.of(Pass) if p.number in used):
            for number, slope in event.slopes.items():
                call = trace.call(number)
                if roles.get(call.network) != "critic" or call.part or (call.points and call.rows.all()):
                    continue
                places[call.network, player] = event.place
                for side, mask in (("fake", call.rows), ("real", ~call.rows)):
                    if len(mask) == len(slope) and mask.any():
                        points = sides.setdefault(call.network, {}).setdefault(f"{player} {side}", ([], []))
                        points[0].append(call.output[mask].ravel().astype(float))
                        points[1].append(slope[mask].ravel().astype(float) * slope[mask].size)
    for network, table in sides.items():
        lines = {k: (np.concatenate(x), np.concatenate(s)) for k, (x, s) in table.items()}
        if not {"critic real", "critic fake"} <= lines.keys():
            continue
        at = float(np.mean([np.mean(x) for x, _ in lines.values()]))
        real, fake = (_slope_at(*lines[k], at) for k in ("critic real", "critic fake"))
        size = max(float(np.abs(lines[k][1]).mean()) for k in ("critic real", "critic fake"))
        if not np.isfinite(size) or max(abs(float(np.mean(lines[k][1]))) for k in lines) < 0.02 * max(1.0, size):
            continue
        if abs(fake - real) < 0.02 * size:
            evidence = (
                f"at the output {at:.3g} of {network} the slope of its loss is {real:.3g} for reals and for fakes alike"
            )
            yield Finding("one-label", evidence, places[network, "critic"])
        elif "generator fake" in lines:
            g = _slope_at(*lines["generator fake"], at)
            if (g - fake) / (real - fake) < 0.02:
                evidence = (
                    f"at the output {at:.3g} of {network} on a fake, the slope of D's loss is {fake:.3g} (on a real"
                    f" {real:.3g}) and that of G's loss {g:.3g}: both players push it {'up' if g < 0 else 'down'}"
                )
                yield Finding("same-direction", evidence, places[network, "generator"])


def _slope_at(outputs: np.ndarray, slopes: np.ndarray, at: float) -> float:
    """The slope at an output, along the line that fits them, or their mean where none does: among the outputs about, as
    the loss may be curved, and beyond them exactly, as least squares are."""
    spread = outputs - outputs.mean()
    if (spread**2).sum() < 1e-12 * max(1.0, (outputs**2).sum()):
        return float(slopes.mean())
    steepness = float((spread * slopes).sum() / (spread**2).sum())
    line = slopes.mean() + steepness * spread
    left = float(((slopes - line) ** 2).sum())
    allowed = 0.2 if outputs.min() <= at <= outputs.max() else 1e-6
    if steepness <= 0 or left > allowed * float(((slopes - slopes.mean()) ** 2).sum()):
        return float(slopes.mean())
    return float(slopes.mean() + steepness * (at - outputs.mean()))


def rates(trace: Trace) -> Iterator[Finding]:
    """Learning rates of the players, of one kind of optimiser."""
    roles = trace.roles
    latest: dict[str, Move] = {}
    for move in trace.of(Move):
        for network in move.shares:
            if roles.get(network):
                latest[roles[network]] = move
    if len(latest) == 2:
        g, d = latest["generator"], latest["critic"]
        if g.kind == d.kind and min(g.rate, d.rate) > 0 and max(g.rate, d.rate) / min(g.rate, d.rate) > 10.5:
            ratio = max(g.rate, d.rate) / min(g.rate, d.rate)
            evidence = f"G's {g.kind} has a rate of {g.rate:g}, D's of {d.rate:g}: a factor of {ratio:.0f}"
            yield Finding("rates-out-of-proportion", evidence, g.place)


RULES = (training, parameters, gradients, directions, rates)
