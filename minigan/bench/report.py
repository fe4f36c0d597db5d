"""What came out: a table of ratios for the terminal, and a bar chart."""

from __future__ import annotations

import io
import json
from pathlib import Path

from .._files import atomic_write
from .run import OWN

COLOURS = {
    "minigan-eager": "#999999",
    "torch": "#b8492f",
    "torch-channels-last": "#e0862f",
    "torch-compile": "#efbe7d",
    "tensorflow": "#5a9e6f",
    "jax": "#3b6fb6",
}


def text(report: dict) -> str:
    """All that `run.run` measured, and the cost as work grows where it is there."""
    parts = [head(report["machine"])]
    if report["settings"].get("processor_time"):
        parts.append("Processor time: what a step uses of the cores, all threads together.")
    parts += [table(report[part], part == "ops") for part in ("steps", "ops", "scaling") if report[part]]
    parts += [cost_table(report["costs"])] if report["costs"] else []
    if report.get("growth"):
        from . import growth

        parts.append(growth.text(report["growth"]))
    return "\n\n".join(parts)


def head(machine: dict) -> str:
    """The machine, its load while the times were taken, and the packages' versions, in two lines."""
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    loads = [load for load in machine["load"] if load is not None]
    busy = f"; load {min(loads):.1f} to {max(loads):.1f}" if loads else ""
    chip = f"{machine['processor']}, {machine['instructions']}, {machine['cores']} cores"
    return f"{chip}, {_threads(machine)}{busy}\n{versions}"


def _threads(machine: dict) -> str:
    return "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"


def save(folder: Path, report: dict) -> None:
    """Write bench.json, bench.png with the ratios of whole steps (or else of single ops), and bench-growth.png with the
    cost as work grows, where it was measured."""
    atomic_write(folder / "bench.json", json.dumps(report, indent=1))
    rows = report["steps"] or report["ops"] or report["scaling"]
    machine = report["machine"]
    title = f"{machine['processor']}, {machine['instructions']}, {_threads(machine)}"
    chart(folder / "bench.png", rows, title)
    if report.get("growth"):
        from . import growth

        growth.chart(folder / "bench-growth.png", report["growth"], title)


def table(rows: dict[str, dict], ops: bool = False) -> str:
    """Times of every contestant, and in brackets how many times as long as minigan it takes: above 1, minigan is
    faster.

    rows: {workload: {contestant: figures}} as `run.measure` makes them. Milliseconds a step, or microseconds an op. The
    last column is the ratio of eager PyTorch, and the smallest of a peer; a star marks times taken beside other work.
    """
    names = list(next(iter(rows.values()), {}))
    lines = [["us an op" if ops else "ms a step", *names, "torch / fastest peer"]]
    notes = {}
    for what, figures in rows.items():
        cells = [_cell(name, figures, 1e3 if ops else 1) for name in names]
        lines.append([what, *cells, ratios(figures)])
        for name, entry in figures.items():
            if "unsupported" in entry:
                notes.setdefault(f"{name}: {entry['unsupported']}", []).append(what)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    if any("*" in cell for line in lines for cell in line):
        text.append("* other processes were running as well")
    spread = widest_spread(rows)
    if spread:
        text.append(f"quartiles: at most {100 * spread[0]:.0f} % of the median apart ({spread[1]})")
    for note, where in notes.items():
        text.append(f"- {'; '.join(where[:3])}{f' and {len(where) - 3} more' if len(where) > 3 else ''}: {note}")
    return "\n".join(text)


def _cell(name: str, figures: dict, scale: float) -> str:
    entry = figures[name]
    if "unsupported" in entry:
        return "-"
    ratio = ratio_of(figures, name)
    cell = f"{entry['ms'] * scale:.4g}" + "*" * entry["loaded"]
    return cell if name == "minigan" or ratio is None else f"{cell} ({ratio:.2f})"


def ratio_of(figures: dict, name: str) -> float | None:
    """How many times as long as minigan a contestant takes; None where either has no time."""
    if "ms" not in figures[name] or "ms" not in figures["minigan"]:
        return None
    return figures[name]["ms"] / figures["minigan"]["ms"]


def fastest_peer(figures: dict) -> tuple[float, str] | None:
    """(ratio, name) of the peer that comes closest to minigan, or is furthest ahead."""
    ratios = [(r, name) for name in figures if name not in OWN and (r := ratio_of(figures, name)) is not None]
    return min(ratios, default=None)


def ratios(figures: dict) -> str:
    """Eager PyTorch's ratio, and that of the peer that comes closest or is furthest ahead: 2.16 / 1.75 tensorflow."""
    eager, best = ratio_of(figures, "torch") if "torch" in figures else None, fastest_peer(figures)
    return f"{f'{eager:.2f}' if eager else '-'} / {f'{best[0]:.2f} {best[1]}' if best else '-'}"


def widest_spread(rows: dict[str, dict]) -> tuple[float, str] | None:
    """The largest distance of two quartiles, as a share of the median, and whose it is."""
    entries = ((name, what, f) for what, figures in rows.items() for name, f in figures.items() if "ms" in f)
    return max((((f["high"] - f["low"]) / f["ms"], f"{name}, {what}") for name, what, f in entries), default=None)


def cost_table(rows: dict[str, dict]) -> str:
    """Import, first step with the caches of compiled code empty and filled, peak memory, in all and beyond the
    imports."""
    lines = [f"{'':<20} {'import s':>9} {'first step s: cold':>19} {'warm':>7} {'peak MiB':>9} {'minus imports':>14}"]
    for name, row in rows.items():
        if "unsupported" in row:
            lines.append(f"{name:<20} {row['unsupported']}")
            continue
        beyond = row["peak_mib"] - row["imports_mib"]
        lines.append(
            f"{name:<20} {row['import_s']:>9.2f} {row['cold_s']:>19.2f} {row['warm_s']:>7.2f}"
            f" {row['peak_mib']:>9.0f} {beyond:>14.0f}"
        )
    return "\n".join(lines)


def chart(path: Path, rows: dict[str, dict], title: str) -> None:
    """A bar for every ratio, on a logarithmic axis, with a line at 1; written as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    names = [name for name in next(iter(rows.values())) if name != "minigan"]
    height = 0.8 / max(len(names), 1)
    figure = Figure(figsize=(9, 1.2 + 0.22 * len(rows) * (len(names) + 1)), layout="constrained")
    axis = figure.subplots()
    for k, name in enumerate(names):
        ratios = [(i, r) for i, figures in enumerate(rows.values()) if (r := ratio_of(figures, name)) is not None]
        places = [i + (k - (len(names) - 1) / 2) * height for i, _ in ratios]
        bars = axis.barh(places, [r - 1 for _, r in ratios], height, left=1, color=COLOURS[name], label=name)
        axis.bar_label(bars, [f"{r:.2f}" for _, r in ratios], padding=2, fontsize=7)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))
    axis.axvline(1, color="black", linewidth=1)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_xlabel("time / minigan's time: above 1, minigan is faster")
    axis.set_ylabel("training step")
    axis.set_title(title, loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    if names:
        figure.legend(loc="outside lower center", ncols=max(len(names), 1), fontsize=8, frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    atomic_write(path, file.getvalue())
