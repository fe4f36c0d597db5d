"""The lines of the torture one after another, a state that can be gone on with, and a page: `minigan torture`.

    state    FOLDER/state.json: the outcome of each line, written when it ends
    page     FOLDER/page.md: written anew after each line

A line that has an outcome with the same seed and as many cases is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from .._files import atomic_write, parse_json
from ..gan.losses import nearest
from .lines import LINES, NOT_HERE, Line, Outcome, run

FILES = ("checkpoints", "stops", "disks", "machines", "fuzz", "files", "web", "numbers")


def lines() -> dict[str, Line]:
    """All lines by name."""
    for name in FILES:
        import_module(f"{__package__}.{name}")
    return LINES


def selection(names: Iterable[str]) -> list[Line]:
    """The lines called `names`, all if none. Raises ValueError, with the nearest name, for an unknown one."""
    table, names = lines(), list(names)
    for name in names:
        if name not in table:
            raise nearest("line", name, table)
    return [table[name] for name in names or table]


def count_of(line: Line, scale: float) -> int:
    """Cases of a line at a scale, at least one."""
    return max(1, round(line.count * scale))


def torture(
    names: Iterable[str],
    folder: Path,
    seed: int = 0,
    scale: float = 1.0,
    again: bool = False,
    say: Callable[[str], object] = print,
    machine: Mapping[str, object] | None = None,
) -> dict[str, Outcome]:
    """Run the lines that have no such outcome in `folder` yet, or all that are named if `again`, and write the state
    and the page after each. Returns the outcomes of the chosen lines. machine: facts for the page. Raises ValueError.
    """
    chosen, known = selection(names), read(folder / "state.json")
    folder.mkdir(parents=True, exist_ok=True)
    for line in chosen:
        count, before = count_of(line, scale), known.get(line.name)
        if before and (before.seed, before.cases) == (seed, count) and not again:
            say(f"{line.name:<18} {before.words()}  (done before; --again runs it anew)")
            continue
        known[line.name] = run(line, seed, count)
        state = {name: asdict(outcome) for name, outcome in known.items()}
        atomic_write(folder / "state.json", json.dumps(state, indent=1) + "\n")
        atomic_write(folder / "page.md", page(known, machine or {}))
        say(f"{line.name:<18} {known[line.name].words()}  {known[line.name].seconds:.0f} s")
    return {line.name: known[line.name] for line in chosen}


def read(path: Path) -> dict[str, Outcome]:
    """The outcomes of a state file, none where there is no file. ValueError where it is damaged."""
    if not path.exists():
        return {}
    try:
        return {name: Outcome(**row) for name, row in parse_json(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no state of a torture, remove it to begin anew: {error}") from error


def page(outcomes: Mapping[str, Outcome], machine: Mapping[str, object]) -> str:
    """The page, in Markdown; lines that have not run stand on it, too."""
    table = lines()
    known = [outcomes[name] for name in table if name in outcomes]
    minutes = sum(o.seconds for o in known) / 60
    broken, waiting = sum(o.broken for o in known), [name for name in table if name not in outcomes]
    text = [
        "# Faults by the hundred",
        "",
        "*What must a run, a file, a kernel and a download survive, and do they?* `minigan torture` draws faults from a"
        " seed, line by line, and writes this page. A case that broke its line's claim is run again alone by the line's"
        " name, `--seed` and `--case`.",
        "",
        f"**{sum(o.cases for o in known):,} cases, {broken:,} of them broken**, in {minutes:.0f} minutes"
        + (f"; not run: {', '.join(waiting)}" if waiting else "")
        + ".",
        "",
        *(f"- {key}: {_words(value)}" for key, value in machine.items()),
        "",
        "| line | what must hold | cases | broken | seed | seconds | what happened |",
        "|---|---|---|---|---|---|---|",
    ]
    for o in known:
        reached = {what: n for what, n in o.tally.items() if not what.startswith(NOT_HERE)}
        happened = ", ".join(f"{n:,} {what}" for what, n in reached.items())
        claim, full = table[o.line].claim, table[o.line].count
        cases = f"{o.cases:,}" if o.cases == full else f"{o.cases:,} of {full:,}"
        text.append(f"| {o.line} | {claim} | {cases} | {o.broken:,} | {o.seed} | {o.seconds:.0f} | {happened} |")
    faults = [f"- `{o.line} --seed {o.seed} --case {k}`: {words}" for o in known for k, words in o.faults]
    missing = [
        f"- {o.line}: {n:,} of {o.cases:,} cases, for want of {what.removeprefix(NOT_HERE)}"
        for o in known
        for what, n in o.tally.items()
        if what.startswith(NOT_HERE)
    ]
    text += ["", "## What broke", "", *(faults or ["Nothing."]), "", "## What was not reached", ""]
    return "\n".join([*text, *(missing or ["Nothing that a line asks for."]), "", *LIMITS]) + "\n"


LIMITS = (
    "Not asked by any line: a power cut, which no program can play; a folder that never answers, as a hard mount of NFS"
    " does; a disk that fills up under the event files of `--log tensorboard`, whose package writes in a thread of its"
    " own; ranks on several machines; a GPU that fails.",
)


def _words(value: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
