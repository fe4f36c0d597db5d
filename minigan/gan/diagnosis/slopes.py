"""Rules about the slope of the critic: penalties, Lipschitz bounds, sigmoids, second derivatives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .finding import FAULT, NOTE, Finding
from .trace import Call, Inner, Move, Pass, Trace

BENT = {"relu", "leaky_relu", "clip", "maximum", "minimum", "where", "softplus", "sigmoid", "log", "tanh", "exp", "pow",
        "binary_cross_entropy", "abs", "sqrt", "softmax", "log_softmax", "elu"}  # fmt: skip
"""Ops that a linear loss does not have."""
SQUASHING = {"softplus", "sigmoid"}


def penalties(trace: Trace) -> Iterator[Finding]:
    """The gradient penalty, its points, norm, form and sign; each fault once."""
    reports: set[str] = set()
    for inner in trace.of(Inner):
        if trace.roles.get(inner.network) not in ("critic", ""):
            continue
        for finding in _of_one(trace, inner):
            if finding.name not in reports:
                reports.add(finding.name)
                yield finding


def _of_one(trace: Trace, inner: Inner) -> Iterator[Finding]:
    call = trace.call(inner.call)
    if not inner.create_graph:
        users = [p for p in trace.of(Pass) if inner.number in p.tags]
        if users:
            size = float(np.mean(_norms(inner.slope)))
            evidence = f"the slope (mean norm {size:.3g}) enters the loss as a constant, which no weight feels"
            yield Finding("penalty-without-graph", evidence, inner.place)
        return
    if inner.cotangent is None:
        return
    if call.ends == "sigmoid":
        low, high = float(call.output.min()), float(call.output.max())
        evidence = f"the slope is taken of {inner.network}'s output after a sigmoid (between {low:.3g} and {high:.3g})"
        yield Finding("penalty-on-sigmoid", evidence, inner.place)
    network = trace.networks[inner.network]
    if call.coupled:  # R1 beside StyleGAN's deviation over a minibatch is customary (Karras et al. 2020)
        norms = f" ({', '.join(network.norms)})" if network.norms else ""
        evidence = f"{inner.network}'s output for one sample depends on the others of its batch{norms}"
        customary = not network.norms and _pulls_to_zero(inner)
        yield Finding("penalty-with-batch-norm", evidence, inner.place, NOTE if customary else FAULT)
    if call.moved:
        evidence = f"the penalty's pass moves {', '.join(call.moved[:3])} of {inner.network}"
        yield Finding("penalty-moves-statistics", evidence, inner.place)
    yield from _form(inner)
    yield from _points(trace, inner)


def _norms(slope: np.ndarray) -> np.ndarray:
    return np.sqrt((slope.reshape(len(slope), -1).astype(float) ** 2).sum(1))


def target_of(inner: Inner) -> float | None:
    """The norm that the penalty asks for: of dL/ds = (a + b / |s|) s it is -b / a. None where it cannot be told."""
    fit = _fit(inner)
    if fit is None:
        return None
    a, b, error = fit
    return -b / a if error < 1e-2 and abs(a) > 1e-12 else None


def _radial(inner: Inner) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the norms |s_i|, c_i of dL/ds_i = c_i s_i + rest, |rest| / |dL/ds_i|)."""
    s = inner.slope.reshape(len(inner.slope), -1).astype(float)
    g = inner.cotangent.reshape(len(s), -1).astype(float)
    squares = np.maximum((s * s).sum(1), 1e-30)
    c = (s * g).sum(1) / squares
    rest = np.sqrt(((g - c[:, None] * s) ** 2).sum(1)) / np.maximum(np.sqrt((g * g).sum(1)), 1e-30)
    return np.sqrt(squares), c, np.where(np.abs(g).max(1) > 0, rest, 0.0)


def _pulls_to_zero(inner: Inner) -> bool:
    """Whether dL/ds is the same multiple of s for every sample: a sum of squares, whose target is 0."""
    _, c, rest = _radial(inner)
    return bool(np.ptp(c) <= 1e-3 * np.abs(c).max() and np.median(rest) < 1e-2)


def _fit(inner: Inner) -> tuple[float, float, float] | None:
    """a, b and the relative error of c_i = a + b / |s_i|."""
    n, c, _ = _radial(inner)
    use = np.abs(c) > 0
    n, c = n[use], c[use]
    if len(n) < 5 or np.ptp(1 / n) < 1e-3 * np.abs(1 / n).max():
        return None
    table = np.stack([np.ones_like(n), 1 / n], 1)
    (a, b), *_ = np.linalg.lstsq(table, c, rcond=None)
    error = float(np.abs(table @ (a, b) - c).max() / np.abs(c).max())
    return float(a), float(b), error


def _form(inner: Inner) -> Iterator[Finding]:
    """dL/ds is along s for every sample, and (a + b/|s|) s with a > 0."""
    if inner.slope.ndim < 2 or not np.isfinite(inner.cotangent).all():
        return
    n, c, rest = _radial(inner)
    count = len(n)
    single = [size for size in inner.roots if size != count]
    if np.median(rest) > 1e-2 and inner.slope[0].size > 1:
        evidence = (
            f"the penalty is no function of each sample's norm over {inner.slope.shape[1:]}: the penalty's gradient"
            f" stands {np.median(rest):.0%} across the slope"
        )
        yield Finding("penalty-over-wrong-axes", evidence, inner.place)
        return
    if single and count not in inner.roots and count > 1:
        evidence = f"the norm has {single[0]} element{'s' * (single[0] != 1)} for a batch of {count} samples"
        yield Finding("penalty-over-wrong-axes", evidence, inner.place)
        return
    fit = _fit(inner)
    if fit is None:
        return
    a, b, error = fit
    table = np.stack([np.ones_like(n), n**2], 1)
    (low, high), *_ = np.linalg.lstsq(table, c, rcond=None)
    squared = float(np.abs(table @ (low, high) - c).max() / np.abs(c).max())
    if error < 1e-2 and error <= squared:
        if abs(a) * n.mean() < 1e-3 * abs(b):
            evidence = f"the penalty grows with |norm|, not with its square (norms {n.min():.3g} to {n.max():.3g})"
            yield Finding("penalty-form", evidence, inner.place)
        elif a < 0:
            evidence = f"the loss falls as the penalty grows: its weight in the loss is {a * count / 2:.3g}"
            yield Finding("penalty-sign", evidence, inner.place)
    elif squared < 1e-2 and low < 0 and high * np.ptp(n**2) > 1e-3 * np.abs(c).max():
        evidence = (
            f"the penalty asks of the squared norm what belongs to the norm (norms {n.min():.3g} to {n.max():.3g})"
        )
        yield Finding("penalty-form", evidence, inner.place)


def _points(trace: Trace, inner: Inner) -> Iterator[Finding]:
    """The points lie between reals and fakes, one eps a sample, or at either for a target of 0."""
    p = inner.points.reshape(len(inner.points), -1).astype(float)
    reals, fakes = _batches(trace, inner)
    if not reals or len(p) < 4:
        return
    target = target_of(inner)
    at_reals = min(float(np.abs(p - r).max()) for r in reals) < 1e-5
    at_fakes = bool(fakes) and min(float(np.abs(p - f).max()) for f in fakes) < 1e-5
    if at_reals or at_fakes:
        if target is not None and target > 0.3:
            evidence = f"the slope is asked to be {target:.2g} at the {'reals' if at_reals else 'fakes'} themselves"
            yield Finding("penalty-at-wrong-points", evidence, inner.place)
        return
    best = None
    for r in reals:
        for f in fakes:
            d = r - f
            e = ((p - f) * d).sum(1) / np.maximum((d * d).sum(1), 1e-30)
            off = np.sqrt(((p - f - e[:, None] * d) ** 2).sum(1) / np.maximum((d * d).sum(1), 1e-30))
            if best is None or np.median(off) < np.median(best[1]):
                best = e, off, (p - f) / np.where(np.abs(d) < 1e-9, np.nan, d)
    if best is None:
        return
    e, off, each = best
    if np.median(off) < 1e-3:
        if e.min() < -0.02 or e.max() > 1.02:
            evidence = f"eps runs from {e.min():.2f} to {e.max():.2f}: points beyond the reals and the fakes"
            yield Finding("penalty-at-wrong-points", evidence, inner.place)
        elif np.ptp(e) < 1e-4 and 0.001 < e.mean() < 0.999:
            yield Finding("penalty-one-eps", f"eps is {e.mean():.3f} for all {len(e)} samples", inner.place)
        return
    inside = np.nanmean((each > -0.01) & (each < 1.01))
    if inside > 0.98 and p.shape[1] > 1:
        evidence = (
            f"each number of a sample has an eps of its own: the points are off the line by {np.median(off):.0%} of it"
        )
        yield Finding("penalty-at-wrong-points", evidence, inner.place)
        return
    gap = min(float(np.median(np.abs(p - b))) for b in (*reals, *fakes))
    apart = min(float(np.median(np.abs(r - f))) for r in reals for f in fakes)
    if gap > 0.6 * apart and not inner.origins:
        evidence = f"the points lie {gap:.2g} from reals and fakes, which lie {apart:.2g} apart (medians)"
        yield Finding("penalty-at-wrong-points", evidence, inner.place)


def _batches(trace: Trace, inner: Inner) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Reals and fakes of the same critic step, flat."""
    moves = [m.number for m in trace.of(Move) if inner.network in m.shares]
    before = max((n for n in moves if n < inner.number), default=-1)
    after = min((n for n in moves if n > inner.number), default=10**9)
    shape, reals, fakes = inner.points.shape, [], []
    for c in trace.of(Call):
        if not before < c.number < after:
            continue
        if trace.roles.get(c.network) == "generator" and c.output.shape == shape:
            fakes.append(c.output)
        for x in c.inputs[:1] if c.network == inner.network else []:
            if x.shape == shape and (c.number != inner.call or not c.origins):
                (fakes if c.rows.any() else reals).append(x)
    flat = lambda arrays: [a.reshape(len(a), -1).astype(float) for a in arrays]  # noqa: E731
    return flat(reals), flat(fakes)


def outputs(trace: Trace) -> Iterator[Finding]:
    """What stands at the end of a critic, and what its loss makes of it."""
    roles = trace.roles
    for network in trace.named("critic"):
        linear, sigmoid, doubled, place = [], [], [], None
        for event in trace.of(Pass):
            for number, slope in event.slopes.items():
                call = trace.call(number)
                if call.network != network or call.part or (call.points and call.rows.all()):
                    continue
                if not (event.reached.get(network) or any(roles.get(n) == "generator" for n in event.reached)):
                    continue
                sigmoid.append(call.ends == "sigmoid")
                place = event.place
                if network in event.reached:
                    flat = np.abs(slope.ravel())
                    even = np.ptp(flat) <= 1e-5 * flat.max(initial=0.0) and flat.max(initial=0.0) > 0
                    linear.append(bool(even) and not event.ops[number] & BENT)
                doubled.append(call.ends == "sigmoid" and bool(event.ops[number] & SQUASHING))
        if not sigmoid or place is None:
            continue
        if any(doubled):
            evidence = (
                f"{network} ends in a sigmoid, and its loss puts another one on it: outputs stay within [0.5, 0.73]"
            )
            yield Finding("two-sigmoids", evidence, place)
        if linear and all(linear):
            if all(sigmoid):
                evidence = f"the loss is the mean of {network}'s outputs, which a sigmoid holds within (0, 1)"
                yield Finding("wasserstein-sigmoid", evidence, place)
            if not _is_bounded(trace, network):
                evidence = f"the loss is linear in {network}'s outputs, and nothing bounds its slope"
                yield Finding("wasserstein-unbounded", evidence, place)


def _is_bounded(trace: Trace, network: str) -> bool:
    """A penalty, spectral norm, or weights that lie at a bound."""
    if trace.networks[network].spectral or any(i.network == network for i in trace.of(Inner)):
        return True
    moves = [m for m in trace.of(Move) if network in m.shares]
    calls = [c for c in trace.of(Call) if c.network == network and (not moves or c.number > moves[0].number)]
    bounds = [c.weights for c in calls] + [m.weights[network] for m in moves]
    return any(count >= 3 for _, count in bounds)


def clipping(trace: Trace) -> Iterator[Finding]:
    """Weights are clipped after the step, gradients before it."""
    for move in trace.of(Move):
        if move.clipped_later:
            evidence = f"after the step of {move.optimiser} its gradients are scaled by up to {move.clipped_later}"
            yield Finding("clipped-after-step", evidence, move.place)
            break
    for network in trace.named("critic"):
        moves = [m for m in trace.of(Move) if network in m.shares]
        beyond = 0
        for i, move in enumerate(moves):
            later = moves[i + 1].number if i + 1 < len(moves) else 10**9
            calls = [c for c in trace.of(Call) if c.network == network and move.number < c.number < later]
            bound, count = move.weights[network]
            if count >= 3 and calls and any(c.weights[0] > bound * (1 + 1e-4) for c in calls):
                beyond += 1
                largest = max(c.weights[0] for c in calls)
        if beyond and beyond >= len(moves) // 2:
            evidence = f"{count} weights lie at {bound:.3g} before the step, and after it they reach {largest:.3g}"
            yield Finding("clipped-before-step", evidence, moves[-1].place)


RULES = (penalties, outputs, clipping)
