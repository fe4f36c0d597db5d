"""The results page: every system trained at its defaults, one row each, written to RESULTS.md beside small pictures.

    results/dcgan-11/ results/dcgan-12/ ...   a run folder for each system and seed; what is there already goes on
    RESULTS.md    picture, command, minutes, observable of each seed, paper
    pictures/dcgan.png                        samples of the first seed, at most PICTURE_BYTES

A row's observable is what `Run.evaluate` shows of the finished run by the test half of the held-out images, in the
words of the system's `Result`. It is red where a null model is as good.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import checkpoint, viz
from .._files import atomic_write
from .losses import nearest
from .run import Run
from .systems.table import SYSTEMS, options_for, system
from .tables.cells import side_by_side

PICTURE_BYTES = 40_000
SEEDS = (11, 12, 13)
"""Settings are chosen on seeds 0 to 2; these are for figures."""


@dataclass(frozen=True)
class Row:
    """One line of the page. shows: a format of the run's figures. changes: options other than the system's defaults."""

    system: str
    shows: str
    changes: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "-".join([self.system, *(v for v in self.changes.values() if isinstance(v, str))])

    @property
    def command(self) -> str:
        """What a user types to get this row."""
        flags = [f"--{key.replace('_', '-')} {value}" for key, value in self.changes.items()]
        return " ".join(["minigan train", self.system, *flags])


ROWS: dict[str, Row] = {
    row.name: row
    for name, own in SYSTEMS.items()
    for row in (Row(name, result.shows, dict(result.changes)) for result in own.results)
}
"""Name -> row: what each system says of its results (gan/systems/system.py)."""


def rows(names: Iterable[str] = ()) -> list[Row]:
    """The rows called `names`, all if none. Raises ValueError, with the nearest name, for an unknown one."""
    for name in names:
        if name not in ROWS:
            raise nearest("row of the results", name, ROWS)
    return [ROWS[name] for name in names] or list(ROWS.values())


@dataclass(frozen=True)
class Training:
    """One run of a row. pictured: whether the page shows samples of it."""

    row: Row
    seed: int
    steps: int | None
    pictured: bool


def cell(training: Training, root: Path) -> dict:
    """{"figures", "picture"}: what a row's run shows, and the bytes of its picture, or None."""
    run, figures = trained(training.row, training.seed, root, training.steps)
    return {"figures": figures, "picture": small_picture(run) if training.pictured else None}


def trained(row: Row, seed: int, root: Path, steps: int | None = None) -> tuple[Run, dict]:
    """The row's run of one seed in `root`, trained to its end if it is not yet, and its figures by the test half."""
    folder = root / f"{row.name}-{seed}"
    changes = row.changes | ({} if steps is None else {"steps": steps})
    options = options_for(row.system, seed=seed, **changes)
    run = Run.resume(str(folder), steps=options.steps) if checkpoint.paths(folder) else Run.create(options, folder)
    figures = run.train()
    return run, figures | run.evaluate("test").figures


def build(
    selection: Iterable[Row],
    seeds: Sequence[int],
    root: Path,
    page: Path,
    say: Callable[[str], object] = print,
    steps: int | None = None,
    jobs: int = 1,
) -> list[dict]:
    """Train the rows, and write the page and its pictures after each; returns the figures.

    steps: of every run, in place of the systems' own. jobs: runs at a time, which share a row's seeds. Raises what
    training does.
    """
    records: list[dict] = []
    with side_by_side(root, jobs, lambda line: None, cell) as run:
        for row in selection:
            say(f"{row.command}: seeds {', '.join(map(str, seeds))}")
            runs = run([Training(row, seed, steps, seed == seeds[0]) for seed in seeds])
            picture = page.parent / "pictures" / f"{row.name}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(picture, runs[0]["picture"])
            figures = [r["figures"] for r in runs]
            records.append(
                {
                    "name": row.name,
                    "command": row.command + ("" if steps is None else f" --steps {steps}"),
                    "minutes": round(min(f["seconds"] for f in figures) / 60, 1),
                    "shown": [verdict(f) + row.shows.format(**f) for f in figures],
                    "figures": figures,
                    "paper": system(row.system).paper,
                }
            )
            atomic_write(page, markdown(records, seeds, steps))
    return records


def winners(figures: dict) -> list[str] | None:
    """The null models that are as good, under every key "winners" of the figures, each once; None where there is no
    such key, so that nothing was compared."""
    names, compared = dict[str, None](), False
    for key, value in figures.items():
        lists = [value] if key == "winners" else []
        if isinstance(value, dict):
            lists = list(value.values()) if key == "winners" else [winners(value)]
        lists = [part for part in lists if part is not None]
        compared |= bool(lists) or (key == "winners" and value is not None)
        names |= dict.fromkeys(name for part in lists for name in part)
    return list(names) if compared else None


def verdict(figures: dict) -> str:
    """What a line begins with: the null models that are as good, and the figures in which samples are too typical.
    Nothing for figures that were not compared."""
    names, typical = winners(figures), ", ".join(figures.get("too_typical", ()))
    if names is None:
        return ""
    words = f"**RED: no better than {', '.join(names)}**" if names else "beats every null model"
    return words + (f", too typical ({typical})" if typical else "") + ": "


def small_picture(run: Run, count: int = 64) -> bytes:
    """A sheet of samples as a PNG of at most PICTURE_BYTES: fewer images where they do not fit."""
    while True:
        file = io.BytesIO()
        sheet = viz.to_picture(viz.image_grid(run.preview(count)))
        (sheet if sheet.mode == "L" else sheet.quantize(256)).save(file, "PNG", optimize=True)
        if file.tell() <= PICTURE_BYTES or count == 1:
            return file.getvalue()
        count = max(1, count * 3 // 4)


def markdown(records: list[dict], seeds: Sequence[int], steps: int | None = None) -> str:
    """The page. steps: of every run, where they are not the systems' own."""
    numbers, names = ",".join(map(str, seeds)), " ".join(row["name"] for row in records)
    lines = [
        "# Results",
        "",
        "Systems at their defaults, as this command trains and judges them, a line of figures a seed:",
        "",
        f"    minigan results {names} --seeds {numbers}" + ("" if steps is None else f" --steps {steps}"),
        "",
        "Settings are chosen on seeds 0 to 2 by the validation half of the held-out images; settings that are older"
        " than this rule were chosen by all of them. The figures here are of the seeds above and of the test half."
        " Judges are classifiers that saw real images only. An arrow says which way is better, an interval is at 95 %;"
        " beside a figure stand that of real images and that of the best null model, which has learnt nothing. A line"
        " is RED where a null model is as good. Minutes are by the clock, of the quickest seed.",
        "",
        "| samples | system | minutes | what an independent judge says | paper |",
        "|---|---|---|---|---|",
    ]
    for row in records:
        figures = "<br>".join(row["shown"])
        lines.append(
            f"| ![{row['name']}](pictures/{row['name']}.png) | `{row['command']}` | {row['minutes']} | {figures} |"
            f" {row['paper']} |"
        )
    return "\n".join(lines) + "\n"
