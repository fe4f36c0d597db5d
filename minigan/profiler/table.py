"""A tape as a table for the terminal and as a Chrome trace, and a captured plan as its list of instructions."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import median

import numpy as np

from ..capture.fusion import Fused
from ..capture.plan import Plan
from ..capture.program import Effect, Instruction, Value
from .cost import Roofline, named
from .tape import Row

COLUMNS = f"{'no':>5} {'order':>5} {'ms':>8} {'roof':>5}  {'op':<18} {'from':<34} {'to':<18} {'range':<22} layer"


def shape(sizes: Sequence[int]) -> str:
    """(64, 1, 4, 4) as 64x1x4x4; a single number as 1."""
    return "x".join(map(str, sizes)) or "1"


def several(shapes: Sequence[Sequence[int]], width: int) -> str:
    """Shapes, with three dots in place of those that `width` characters do not hold."""
    words = [shape(s) for s in shapes]
    text = " ".join(words)
    while len(text) > width and len(words) > 1:
        words.pop()
        text = " ".join([*words, "..."])
    return text


def share(row: Row, roof: Roofline | None) -> str:
    """A row's share of the roofline, as 37 %; empty where there is nothing to compute."""
    if roof is None or not (row.flops or row.nbytes) or row.seconds <= 0:
        return ""
    return f"{100 * roof.share(row.flops, row.nbytes, row.seconds):.0f}%"


def span(row: Row) -> str:
    """The range of a row's values."""
    if math.isnan(row.low):
        return "not all finite" if not row.finite else ""
    return f"{row.low:.3g} to {row.high:.3g}" + ("" if row.finite else ", not all finite")


def line(row: Row, roof: Roofline | None = None) -> str:
    """A row of the table."""
    name = f"{row.op}{' (in place)' if row.in_place else ''}"
    return (
        f"{row.number:>5} {row.order:>5} {1000 * row.seconds:>8.3f} {share(row, roof):>5}  {name:<18}"
        f" {several(row.shapes, 34):<34} {several(row.results, 18):<18} {span(row):<22} {row.layer}"
    ).rstrip()


def detail(row: Row) -> str:
    """What a row computes, by which kernels, why, and for which line of code."""
    parts = [row.equation, ", ".join(row.kernels) + (f": {row.why}" if row.why else ""), row.source]
    if row.of is not None:
        without = f"; not wanted: input {', '.join(map(str, row.left_out))}" if row.left_out else ""
        parts.append(f"the rule of {row.of}{without}")
    return "\n".join(f"{'':>20}  {part}" for part in parts if part)


def text(rows: Sequence[Row], roof: Roofline | None, details: bool = False) -> str:
    """The table, and below it the time of each order and of the ops that took longest."""
    lines = [COLUMNS]
    for row in rows:
        lines.append(line(row, roof))
        if details:
            lines.append(detail(row))
    total = sum(row.seconds for row in rows)
    lines += ["", f"{len(rows)} ops, {1000 * total:.2f} ms in their kernels:"]
    for order in sorted({row.order for row in rows}):
        own = [row for row in rows if row.order == order]
        lines.append(
            f"  order {order}: {len(own):>5} ops {1000 * sum(r.seconds for r in own):>9.2f} ms"
            f" {sum(r.flops for r in own) / 1e9:>8.3f} GFLOP  {ORDERS.get(order, f'a gradient of order {order}')}"
        )
    times: dict[str, float] = {}
    for row in rows:
        times[row.op] = times.get(row.op, 0.0) + row.seconds
    longest = sorted(times.items(), key=lambda entry: -entry[1])[:6]
    lines.append("  most time: " + ", ".join(f"{name} {100 * seconds / total:.0f}%" for name, seconds in longest))
    if roof is not None:
        lines.append(
            f"  roof: {roof.peak / 1e9:.0f} GFLOP/s by NumPy's sgemm, {roof.bandwidth / 1e9:.1f} GB/s by its copy; a"
            " product by Winograd may pass it, having fewer multiplications"
        )
    return "\n".join(lines)


ORDERS = {0: "the forward pass", 1: "the gradient, and what is computed of it", 2: "the gradient of that"}


def chrome(rows: Sequence[Row]) -> dict:
    """The rows as a trace in Chrome's format, which chrome://tracing and ui.perfetto.dev open: a track for each order,
    times in microseconds."""
    first = min((row.start for row in rows), default=0.0)
    names = [
        {"ph": "M", "pid": 1, "tid": order, "name": "thread_name", "args": {"name": f"order {order}: {what}"}}
        for order in sorted({row.order for row in rows})
        for what in [ORDERS.get(order, f"a gradient of order {order}")]
    ]
    events = [
        {
            "ph": "X",
            "pid": 1,
            "tid": row.order,
            "name": row.op,
            "cat": "change in place" if row.in_place else "op",
            "ts": round(1e6 * (row.start - first), 3),
            "dur": round(1e6 * row.seconds, 3),
            "args": {k: v for k, v in row.as_dict().items() if v not in (None, "", [], ())},
        }
        for row in rows
    ]
    return {"traceEvents": names + events, "displayTimeUnit": "ms"}


def instructions(plan: Plan, rounds: int = 5) -> list[dict]:
    """A captured plan, an instruction a line: what runs, where its values lie in the arena, and the median seconds of
    `rounds` replays, loop by loop. The plan must be of the CPU; replaying it changes what a step changes."""
    seconds: list[list[float]] = [[] for _ in plan.program]
    for _ in range(rounds):
        spent = [0.0] * len(plan.program)
        for number, (function, arguments) in zip(plan.lines, plan.calls, strict=True):
            start = time.perf_counter()
            function(*arguments)
            spent[number] += time.perf_counter() - start
        for times, once in zip(seconds, spent, strict=True):
            times.append(once)
    loops = np.bincount(plan.lines, minlength=len(plan.program)) if plan.lines else np.zeros(0, int)
    rows = []
    for number, entry in enumerate(plan.program):
        outputs = entry.targets if isinstance(entry, Effect) else entry.outputs
        rows.append(
            {
                "number": number,
                "op": instruction(entry),
                "reads": [_place(plan, value) for value in entry.reads],
                "writes": [_place(plan, value) for value in outputs],
                "loops": int(loops[number]),
                "seconds": median(seconds[number]) if rounds else None,
            }
        )
    return rows


def instruction(entry: Instruction | Effect) -> str:
    """What an instruction does: an op, with what is fused to it, or a change in place."""
    if isinstance(entry, Effect):
        return f"{named(entry.kernel)[0][0]} (in place)"
    extras = [*entry.op.extras, *entry.op.settings] if isinstance(entry.op, Fused) else []
    words = [word for word in extras if word != "add"] + (["what is there"] if entry.into is not None else [])
    return f"{entry.op.name}{' with ' + ', '.join(words) if words else ''}"


def plan_text(rows: Sequence[dict], plan: Plan) -> str:
    """The list of instructions, for a person."""
    lines = [f"{'no':>5} {'ms':>8} {'loops':>5}  {'op':<34} {'writes':<34} reads"]
    for row in rows:
        places = [" ".join(f"{shape(p['shape'])}@{p['at']}" for p in row[key][:3]) for key in ("writes", "reads")]
        lines.append(
            f"{row['number']:>5} {1000 * row['seconds']:>8.3f} {row['loops']:>5}  {row['op']:<34} {places[0]:<34}"
            f" {places[1]}{' ...' if len(row['reads']) > 3 else ''}"
        )
    total = sum(row["seconds"] for row in rows)
    lines += [
        "",
        f"{len(rows)} instructions, {sum(row['loops'] for row in rows)} loops, {1000 * total:.2f} ms;"
        f" arena {plan.arena.nbytes / 2**20:.1f} MiB; a place is a shape and its offset in the arena in bytes, or where"
        " else it lies",
    ]
    return "\n".join(lines)


def _place(plan: Plan, value: Value) -> dict:
    array = plan.arrays.get(value, value.array)
    start = plan.arena.ctypes.data
    inside = array is not None and start <= array.ctypes.data < start + plan.arena.nbytes
    return {"shape": list(value.shape), "at": array.ctypes.data - start if inside else "own memory"}
