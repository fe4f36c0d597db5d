"""`minigan nightly`: the long tests, part by part, and a page of what they said."""

from __future__ import annotations

from collections.abc import Callable

import click

from .options import FOLDER, SOME, echo


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "nightly", "Run the long tests of a checkout, part by part; write a page.")(nightly)


@click.argument("names", nargs=-1, metavar="[PART]...")
@click.option("--list", "only_list", is_flag=True, help="List the parts, and stop.")
@click.option("--again", is_flag=True, help="Run parts anew that were done before.")
@click.option("-n", "--processes", default=2, show_default=True, type=SOME, help="Processes that share a part's tests.")
@click.option("--minutes", default=60, show_default=True, type=SOME, help="Limit of a part.")
@click.option("--out", default="nightly", show_default=True, type=FOLDER, help="Folder of the page and of the state.")
def nightly(names, only_list, again, processes, minutes, out) -> dict | list:
    """Run the tests that are marked slow (or only the parts PART) and write a page of what passed, failed and was
    skipped. Call it again to go on with an interrupted night."""
    from ..bench.run import machine
    from ..testing import nightly as suite

    if only_list:
        table = suite.selection(names, suite.parts(suite.CHECKOUT))
        for name, tests in table.items():
            echo(f"{name:<20} {len(tests):>5} tests")
        return [{"part": name, "tests": len(tests)} for name, tests in table.items()]
    records = suite.night(names, out, processes, 60 * minutes, again, echo, machine([], processes), suite.CHECKOUT)
    echo(f"page in {out / 'page.md'}")
    return {
        "passed": all(record.good for record in records.values()),
        "parts": {name: suite.asdict(record) for name, record in records.items()},
    }
