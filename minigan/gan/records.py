"""What run folders tell: the rows of stats.jsonl, the list of runs. Any of their files may be cut or damaged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import _html, checkpoint
from .._files import parse_json
from ..autograd import array_of
from ..backend import host
from ..nn.module import Module
from ..viz import run_frames
from ._state import count_of

OPTIONS = "training_options.json"
LOOKS = "held_out.jsonl"
TICK = 25
"""Steps from one row of stats.jsonl to the next."""
MOST_BYTES = 2 << 20
"""Of a picture in a notebook."""


def read_stats(folder: Path) -> list[dict]:
    """The rows of stats.jsonl, one a step; where a run went back to an earlier checkpoint the later row counts. Cut
    lines, and others that are no rows, are left out."""
    return stats_of(folder / "stats.jsonl")[0]


def norms_of(networks: Mapping[str, Module]) -> dict[str, dict[str, float]]:
    """Network -> weight -> its length: a row of norms.jsonl, without its step."""
    return {
        name: {key: float(f"{np.linalg.norm(host(array_of(p))):.5g}") for key, p in network.named_parameters()}
        for name, network in networks.items()
        if name != "average"
    }


def read_norms(folder: Path) -> list[dict]:
    """The rows of norms.jsonl by step, {"step": ..., network: {weight: length}}; of two of one step the later counts.
    Lines that are no rows are left out."""
    rows = {}
    for line in _lines(folder / "norms.jsonl"):
        try:
            row = parse_json(line)
            rows[count_of(row, "step")] = row
        except (ValueError, KeyError, TypeError):
            continue
    return [rows[step] for step in sorted(rows)]


def read_looks(folder: Path) -> list[dict]:
    """The rows of held_out.jsonl, the looks of a stop rule, in order; lines that are no rows are left out."""
    rows = []
    for line in _lines(folder / LOOKS):
        with suppress(ValueError, LookupError, TypeError):
            row = parse_json(line)
            if count_of(row, "step") and is_number(row["frechet"]):
                rows.append(row)
    return rows


def stats_of(path: Path) -> tuple[list[dict], list[int]]:
    """(rows, numbers of the lines that are none)."""
    rows, strange = {}, []
    for number, line in enumerate(_lines(path), 1):
        try:
            row = parse_json(line)
            step = count_of(row, "step")
            if not all(map(is_number, row.values())):
                raise ValueError(f"{row} holds more than numbers")
        except (ValueError, TypeError, LookupError):
            strange.append(number)
            continue
        while rows and next(reversed(rows)) >= step:
            rows.popitem()
        rows[step] = row
    return list(rows.values()), strange


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def run_folder(spec: str | os.PathLike, root: str | os.PathLike = "runs") -> Path:
    """The run folder that `spec` means: itself, or `latest`, the one in `root` that was started or gone on with last,
    or, of those that do not say, written to last. It may have no checkpoint yet. Raises ValueError where there is
    none."""
    if str(spec) != "latest":
        folder = Path(spec)
        if not (folder / OPTIONS).is_file():
            raise ValueError(f"{folder} is no run folder: it holds no {OPTIONS}")
        return folder
    folders = [path.parent for path in Path(root).glob(f"*/{OPTIONS}")]
    if not folders:
        raise ValueError(f"no run in {root}; name its folder")
    return max(folders, key=lambda f: (checkpoint.turn_of(f), max(path.stat().st_mtime for path in f.iterdir())))


@dataclass(frozen=True)
class RunFolder:
    """A run as its folder shows it, for notebooks: `RunFolder("latest")`.

    folder: a run's folder, or latest, as `run_folder` finds it in runs/. Raises ValueError where there is none.
    """

    folder: str | os.PathLike = "latest"

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", run_folder(self.folder))

    def _repr_html_(self) -> str:
        """Its options and newest figures as a table, and its newest samples."""
        folder = Path(self.folder)
        try:
            facts = {name: value for name, value in _summary(folder).items() if value is not None}
        except (OSError, ValueError, TypeError, LookupError) as error:
            facts = {"problem": f"{OPTIONS} is damaged: {error}"}
        stats = read_stats(folder)
        figures = {name: value for name, value in (stats[-1] if stats else {}).items() if is_number(value)}
        rows = [*facts.items(), *((n, f"{v:.4g}") for n, v in (figures | metrics_of(folder)).items() if n != "step")]
        html = _html.table((), rows, folder.name)
        frames = list(run_frames(folder).items())
        if not frames or frames[-1][1].stat().st_size > MOST_BYTES:
            return html
        caption, path = frames[-1]
        return html + _html.picture(path.read_bytes(), f"samples at {caption}")


def list_runs(root: str | os.PathLike = "runs") -> list[dict]:
    """What is known of each run folder in `root`: name, system, data, steps done of total, newest figures; or "problem"
    where its files are damaged."""
    rows = []
    for folder in sorted(p for p in Path(root).glob("*") if (p / OPTIONS).is_file()):
        try:
            rows.append({"run": folder.name, **_summary(folder)})
        except (OSError, ValueError, TypeError, LookupError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            rows.append({"run": folder.name, "problem": f"{OPTIONS} is damaged: {reason}"})
    return rows


def _summary(folder: Path) -> dict:
    """A run's system, data, steps and figures. Raises OSError, ValueError, TypeError, KeyError for damaged options."""
    options = parse_json((folder / OPTIONS).read_text(encoding="utf-8"))
    row = {"system": options["system"], "data": options["data"], "steps": count_of(options, "steps")}
    if not isinstance(row["system"], str) or not isinstance(row["data"], str):
        raise ValueError("system and data are no names")
    steps = [checkpoint.step_of(p) for p in checkpoint.paths(folder)]
    return row | {"steps_done": max(steps, default=0), "confident": metrics_of(folder).get("confident")}


def metrics_of(folder: Path) -> dict[str, float]:
    """The numbers among the figures in metric-classifier.jsonl of the latest step, those of the run's end before those
    of a later `minigan eval`; none where the run was not judged."""
    figures, best = {}, (-1, False)
    for line in _lines(folder / "metric-classifier.jsonl"):
        with suppress(ValueError, TypeError, LookupError, AttributeError):  # a line that was cut, or is none of ours
            row = parse_json(line)
            place = count_of(row, "step"), row.get("by") != "eval"
            if place >= best:
                figures = {name: value for name, value in row["results"].items() if is_number(value)}
                best = place
    return figures


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    return type(value) in (int, float) and abs(value) < 1e300


def lasting(seconds: float) -> str:
    """A time in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
