"""The figures of `minigan scale`: the fit and its errors, batches at which more ranks stop paying, checkpoints.

measured.json beside this file holds the times of the page in the docs; `minigan scale --measure` takes others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from .._files import parse_json
from . import faults, model, simulate, sums
from .model import NETWORKS, Machine, Work

MEASURED = Path(__file__).with_name("measured.json")
SEEN = (16, 32, 128)
"""Batches whose times the constants are fitted to; the others are a test."""
RANKS = (8, 64, 512, 4096)
HOUR = 3600.0
LONGEST = 10
"""A stretch without a failure, in mean times between failures: one in e^10 is that long."""


def fitted(measured: dict) -> tuple[Machine, Work, list[dict]]:
    """(the machine fitted to the times of SEEN batches and of sums, the work of a step, the rows of all times with
    "error", and "seen": whether the fit had it)."""
    work, rows = Work(**measured["work"]), measured["rows"]
    seen = [row["what"] == "sum" or row["batch"] in SEEN for row in rows]
    machine = model.fit([row for row, had in zip(rows, seen, strict=True) if had], work, measured["cores"])
    errors = model.errors(machine, rows, work)
    return machine, work, [r | {"error": e, "seen": s} for r, e, s in zip(rows, errors, seen, strict=True)]


def fit_lines(machine: Machine, rows: Sequence[dict]) -> list[str]:
    """The constants, and each step's time beside the model's."""
    lines = [
        f"a part {1e3 * machine.part:.1f} ms, an image {1e3 * machine.image:.2f} ms, a message"
        f" {1e6 * machine.latency:.1f} us, {1e-9 / machine.byte if machine.byte else float('inf'):.1f} GB/s,"
        f" {1e-6 / machine.addition:.0f} million additions a second, a turn {1e3 * machine.turn:.1f} ms",
        "",
        f"{'ranks':>6}{'batch':>7}{'measured':>11}{'model':>9}{'error':>8}",
    ]
    for row in rows:
        if row["what"] == "step":
            says = row["seconds"] * (1 + row["error"])
            lines.append(
                f"{row['ranks']:>6}{row['batch']:>7}{1e3 * row['seconds']:>8.0f} ms{1e3 * says:>6.0f} ms"
                f"{row['error']:>+8.1%}{'' if row['seen'] else '  not fitted'}"
            )
    return lines


def ranks_table(machine: Machine, work: Work, networks: Sequence[str] = tuple(NETWORKS)) -> list[dict]:
    """A row for each network, way to add, and number of ranks: the seconds of a step that are not images ("waiting"),
    the batch from which so many ranks beat half as many ("pays"), and that at which half of their time is useful
    ("half")."""
    return [
        {
            "network": network,
            "way": way,
            "ranks": ranks,
            "waiting": model.waiting(there, work, ranks, way),
            "pays": model.worth_doubling(there, work, ranks, way),
            "half": model.half_efficient(there, work, ranks, way),
        }
        for network in networks
        for there in [machine.on(network)]
        for way in sums.WAYS
        for ranks in RANKS
    ]


def ranks_lines(rows: Sequence[dict]) -> list[str]:
    """The table as text: from which batch on ranks pay, and in brackets for half efficiency."""
    head = f"{'network':<16}{'sum':<8}" + "".join(f"{f'{n:,} ranks':>24}" for n in RANKS)
    lines = [head]
    for start in range(0, len(rows), len(RANKS)):
        some = rows[start : start + len(RANKS)]
        cells = [f"{round(r['pays']):,} ({round(r['half']):,})" for r in some]
        lines.append(f"{some[0]['network']:<16}{some[0]['way']:<8}" + "".join(f"{c:>24}" for c in cells))
    return lines


def quickest(machine: Machine, work: Work, batch: int, way: str = "slices") -> tuple[int, float]:
    """(the power of two at which a batch takes least time, of an image a rank at least; how many times one's speed)."""
    counts = [1 << k for k in range(13) if 1 << k <= batch]
    ranks = min(counts, key=lambda n: model.seconds(machine, work, n, batch, way=way))
    one, many = (model.seconds(machine, work, n, batch, way=way) for n in (1, ranks))
    return ranks, one / many


def checkpoints(
    ranks: Sequence[int] = RANKS,
    years: float = 2.0,
    cost: float = 60.0,
    restart: float = 300.0,
    failures: int = 600,
) -> list[dict]:
    """A row a number of ranks: the mean seconds between failures, where a machine fails once in so many years; the
    intervals of Young, Daly and the exact best; the simulator's own best of a grid, in a run of about so many failures;
    and the share that failures and checkpoints add at Daly's interval, by the formula and in the simulator."""
    rows = []
    for count in ranks:
        between = years * 365.25 * 24 * HOUR / count
        daly = faults.daly(cost, between)
        if restart + cost + daly > LONGEST * between:
            raise ValueError(
                f"of {count} machines one fails every {between:.3g} s: a restart of {restart:g} s, or a checkpoint of"
                f" {cost:g} s, is hardly ever finished; take machines that fail less often (--years)"
            )
        work, times = failures * between, {}
        for k in range(-4, 5):  # each stretch between two checkpoints is one step
            t = daly * 2 ** (k / 2)
            outcome = simulate.run(round(work / t), lambda t=t: t, t, cost, restart, between)
            times[t] = outcome.seconds / (round(work / t) * t)
        rows.append(
            {
                "ranks": count,
                "between": between,
                "young": faults.young(cost, between),
                "daly": daly,
                "best": faults.best(cost, between),
                "simulated": min(times, key=times.__getitem__),
                "added": faults.expected(1.0, daly, cost, restart, between) - 1,
                "added_simulated": times[daly] - 1,
            }
        )
    return rows


def checkpoint_lines(rows: Sequence[dict]) -> list[str]:
    """The table as text, in minutes."""
    names = f"{'Young':>11}{'Daly':>11}{'best':>11}{'simulated':>11}{'adds':>9}{'simulated':>11}"
    lines = [f"{'ranks':>6}{'a failure every':>17}{names}"]
    for row in rows:
        minutes = [f"{row[name] / 60:.1f} min" for name in ("young", "daly", "best", "simulated")]
        lines.append(
            f"{row['ranks']:>6}{row['between'] / HOUR:>15.1f} h"
            + "".join(f"{word:>11}" for word in minutes)
            + f"{row['added']:>9.1%}{row['added_simulated']:>11.1%}"
        )
    return lines


def stragglers(
    machine: Machine, work: Work, ranks: Sequence[int], batch: int, spread: float = 0.1, steps: int = 5
) -> list[dict]:
    """A row a number of ranks, `batch` images each: a step by the model, with ranks whose speeds vary, and with one
    that is half as fast."""
    rows = []
    for count in ranks:
        whole = {"machine": machine, "work": work, "ranks": count, "batch": batch * count}
        plain, varied = simulate.Steps(**whole), simulate.Steps(**whole, spread=spread)
        rows.append(
            {
                "ranks": count,
                "model": model.seconds(machine, work, count, batch * count),
                "simulated": plain(),
                "varied": sum(varied() for _ in range(steps)) / steps,
                "one_slow": simulate.Steps(**whole, slow={count // 2: 2.0})(),
            }
        )
    return rows


def straggler_lines(rows: Sequence[dict], spread: float = 0.1) -> list[str]:
    """The table as text."""
    lines = [f"{'ranks':>6}{'model':>11}{'simulated':>12}{f'spread {spread:.0%}':>13}{'one half as fast':>19}"]
    for row in rows:
        lines.append(
            f"{row['ranks']:>6}{row['model']:>9.3f} s{row['simulated']:>10.3f} s{row['varied']:>11.3f} s"
            f"{row['one_slow']:>17.3f} s"
        )
    return lines


def load(path: Path = MEASURED) -> dict:
    """Times that `measure.take` gave. Raises ValueError for another file."""
    try:
        measured = parse_json(path.read_bytes())
        if type(measured["system"]) is not str or type(measured["load"]) not in (int, float):
            raise ValueError("its system is no name, or its load no number")
        if not all(0 < row["seconds"] < math.inf and row["ranks"] >= 1 for row in measured["rows"]):
            raise ValueError("a time or a number of ranks is not positive")
        machine = fitted(measured)[0]
        if not (machine.image and machine.addition):
            raise ValueError("too few of them: it takes steps and sums of several sizes")
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{path} holds no times of minigan scale --measure ({error})") from error
    return measured
