"""`minigan torture`: faults by the hundred, line by line, and a page of what became of them."""

from __future__ import annotations

from collections.abc import Callable

import click

from .options import FOLDER, echo


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "torture", "Try faults by the hundred: damage, kills, full disks, lies.")(torture)


@click.argument("names", nargs=-1, metavar="[LINE]...")
@click.option("--list", "only_list", is_flag=True, help="List the lines, and stop.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**63), help="Of all choices.")
@click.option(
    "--scale", default=1.0, show_default=True, type=click.FloatRange(0, 100), help="Times the cases of a line."
)
@click.option("--case", type=click.IntRange(0, 10**9), help="Only this case of the one LINE; nothing is written.")
@click.option("--again", is_flag=True, help="Run lines anew that were done before.")
@click.option("--out", default="torture", show_default=True, type=FOLDER, help="Folder of the page and of the state.")
def torture(names, only_list, seed, scale, case, again, out) -> dict | list:
    """Break checkpoints, kill runs, fill disks, jam servers, fuzz ops, and see that what must hold holds. Call it again
    to go on with an interrupted one. At full scale it takes about an hour on one core."""
    from ..bench.run import machine
    from ..torture import suite
    from ..torture.lines import run

    if only_list:
        table = suite.selection(names)
        for line in table:
            echo(f"{line.name:<18} {line.count:>7,} cases: {line.claim}")
        return [{"line": line.name, "cases": line.count, "claim": line.claim} for line in table]
    if case is not None:
        if len(names) != 1:
            raise ValueError("--case is a number of one line; name that line")
        outcome = run(suite.selection(names)[0], seed, 1, case)
        echo(f"{names[0]} --seed {seed} --case {case}: {outcome.faults[0][1] if outcome.faults else outcome.words()}")
        return {"passed": outcome.passed}
    outcomes = suite.torture(names, out, seed, scale, again, echo, machine([], 1))
    for outcome in outcomes.values():
        for number, words in outcome.faults:
            echo(f"{outcome.line} --seed {seed} --case {number}: {words}")
    echo(f"page in {out / 'page.md'}")
    return {
        "passed": all(outcome.passed for outcome in outcomes.values()),
        "lines": {name: suite.asdict(outcome) for name, outcome in outcomes.items()},
    }
