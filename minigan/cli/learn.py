"""`minigan learn`: exercises that grade themselves, in a folder of the learner's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import FOLDER, echo

if TYPE_CHECKING:
    from ..learn.exercise import Exercise
    from ..learn.folder import Folder

HOME = Path("minigan-learn")


class _Words(click.Group):
    """A group in which no word, or one that is no command's, goes on: `minigan learn tanh` is `minigan learn go
    tanh`."""

    def parse_args(self, ctx: click.Context, args: list[str]):
        words = list(args)
        if words[:1] == ["--dir"] and len(words) > 2 and words[2] in self.commands:
            words = [words[2], *words[:2], *words[3:]]
        elif not words or (words[0] not in self.commands and words[0] not in ("-h", "--help")):
            words = ["go", *words]
        return super().parse_args(ctx, words)


_dir = click.option("--dir", "folder", type=FOLDER, help="Your folder, instead of ./minigan-learn.")
_name = click.argument("name", required=False)


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    group = _Words(
        "learn",
        help="Exercises that grade themselves. Alone, it starts or goes on; with a NAME, it goes on there.",
        short_help="Learn by exercises that grade themselves.",
    )
    main.add_command(group)
    command(group, "go", "Grade the exercise at hand, or begin one.")(go)
    command(group, "watch", "Grade on each save of your file.")(watch)
    command(group, "hint", "Show the next hint.")(hint)
    command(group, "answer", "Show the answer; ask twice.")(answer)
    command(group, "skip", "Leave an exercise out, and go on to the next.")(skip)
    command(group, "reset", "Begin an exercise anew; your file is kept beside it.")(reset)
    command(group, "list", "List all exercises and their states.")(learn_list)
    command(group, "progress", "How far you are, track by track.")(progress)


@_name
@_dir
def go(name, folder) -> dict:
    """Begin the exercise at hand, or NAME; or grade it, once its file has been changed."""
    own = _folder(folder)
    row = _at_hand(own, name)
    if row is None:
        return _done()
    new = own.begin(row)
    if new or own.untouched(row):
        _tell(own, row)
        return {"name": row.name, "file": str(own.file(row)), "findings": []}
    return _grade(own, row)


@_name
@_dir
def watch(name, folder) -> dict:
    """Grade the exercise at hand, or NAME, on each save of its file, and go on to the next. Ctrl-C ends it."""
    own = _folder(folder)
    row = _at_hand(own, name)
    while row is not None:
        own.begin(row)
        path, seen = own.file(row), None
        if own.untouched(row):
            _tell(own, row)
            seen = _stamp(path)
        echo(f"watching {path}; Ctrl-C ends it")
        while True:
            stamp = _stamp(path)
            time.sleep(0.1)
            if stamp not in (None, seen) and stamp == _stamp(path):  # an editor may be in the middle of its save
                seen = stamp
                if _grade(own, row, say_next=False)["passed"]:
                    break
            time.sleep(0.1)
        row = _at_hand(own, None)
    return _done()


@_name
@_dir
def hint(name, folder) -> dict:
    """Show the next hint for the exercise at hand, or for NAME; all of them, once each was shown."""
    own = _folder(folder)
    row = _required(own, name)
    state = own.row(row.name)
    if state.hints < len(row.hints):
        echo(f"{row.name}, hint {state.hints + 1} of {len(row.hints)}: {row.hints[state.hints]}")
        state.hints += 1
        own.put(row.name, state)
    else:
        for number, text in enumerate(row.hints, 1):
            echo(f"{row.name}, hint {number} of {len(row.hints)}: {text}")
        echo(f"that was all; `minigan learn answer {row.name}`, asked twice, shows the lines")
    return {"name": row.name, "hints": state.hints}


@_name
@_dir
def answer(name, folder) -> dict:
    """Show the answer of the exercise at hand, or of NAME, when it is asked for the second time."""
    own = _folder(folder)
    row = _required(own, name)
    state = own.row(row.name)
    state.answer += 1
    own.put(row.name, state)
    shown = state.answer > 1 or state.state == "passed"
    click.echo(row.answer if shown else f"{row.name}: ask once more, and the answer is shown; a hint may be enough")
    return {"name": row.name, "answer": row.answer if shown else None}


@_name
@_dir
def skip(name, folder) -> dict:
    """Leave the exercise at hand out, or NAME; `minigan learn NAME` comes back to it."""
    own = _folder(folder)
    row = _required(own, name)
    state = own.row(row.name)
    if state.state != "passed":
        state.state = "skipped"
        own.put(row.name, state)
    echo(f"{row.name}: {state.state}; `minigan learn {row.name}` comes back to it")
    following = _at_hand(own, None)
    if following is not None:
        echo(f"next: {following.name}, by `minigan learn`")
    return {"name": row.name, "state": state.state, "next": following.name if following else None}


@_name
@_dir
def reset(name, folder) -> dict:
    """Begin the exercise at hand, or NAME, anew; your file is kept beside the new one."""
    own = _folder(folder)
    row = _required(own, name)
    copy = own.reset(row)
    echo(f"{row.name}: {own.file(row)} is the skeleton again" + (f"; your file is {copy}" if copy else ""))
    return {"name": row.name, "file": str(own.file(row)), "copy": str(copy) if copy else None}


@_dir
def learn_list(folder) -> list:
    """List all exercises: name, track, state, title."""
    from ..learn import table

    rows = _folder(folder).rows()
    figures = []
    for track, about in table.TRACKS.items():
        echo(f"{track}: {about}")
        for row in table.track(track).values():
            state = rows[row.name].state if row.name in rows else "new"
            echo(f"  {state:<8}{row.name:<22}{row.title}")
            figures.append({"name": row.name, "track": track, "state": state, "title": row.title})
    return figures


@_dir
def progress(folder) -> dict:
    """How many exercises of each track are passed."""
    from ..learn import table

    own, counts = _folder(folder), {}
    rows = own.rows()
    for track, about in table.TRACKS.items():
        names = list(table.track(track))
        passed = sum(name in rows and rows[name].state == "passed" for name in names)
        counts[track] = {"passed": passed, "of": len(names)}
        echo(f"{'#' * passed}{'.' * (len(names) - passed)}  {passed} of {len(names)}  {about}")
    total = {key: sum(c[key] for c in counts.values()) for key in ("passed", "of")}
    echo(f"{total['passed']} of {total['of']} exercises passed")
    return {**total, "tracks": counts}


def _folder(path: Path | None) -> Folder:
    """The folder asked for; else the present one, where it holds states of exercises, else ./minigan-learn."""
    from ..learn import table
    from ..learn.folder import Folder

    if path is not None:
        return Folder(path)
    here = Folder(Path())
    try:
        return here if here.rows().keys() & table.exercises().keys() else Folder(HOME)
    except ValueError:  # a file of that name that is no text is somebody else's
        return Folder(HOME)


def _at_hand(own: Folder, name: str | None) -> Exercise | None:
    from ..learn import table

    if name is not None:
        return table.exercise(name)
    name = own.at_hand(list(table.exercises()))
    return table.exercise(name) if name else None


def _required(own: Folder, name: str | None) -> Exercise:
    row = _at_hand(own, name)
    if row is None:
        raise ValueError("learn: no exercise is at hand, all are passed or skipped; name one of `minigan learn list`")
    return row


def _tell(own: Folder, row: Exercise) -> None:
    """The question, and what to do next."""
    from ..learn import table

    echo(f"{row.name} ({table.TRACKS[row.track]})")
    click.echo(f"\n{row.text.strip()}\n")
    echo(f"your file: {own.file(row)}")
    task = "write the lines between its marks" if row.marks else "find and repair the mistake in it"
    echo(f"{task}, then `minigan learn`; `minigan learn hint` helps")


def _grade(own: Folder, row: Exercise, say_next: bool = True) -> dict:
    """Grade the file and say so."""
    from ..learn.process import grade_file

    grade = grade_file(row, own.file(row))
    if grade.printed:
        click.echo("".join(c if c.isprintable() or c in "\n\t" else "?" for c in grade.printed))
    figures = {"name": row.name, "file": str(own.file(row)), "findings": list(grade.findings), "passed": grade.passed}
    if not grade.passed:
        echo(f"{row.name}: not yet ({grade.seconds:.1f} s)")
        for finding in grade.findings:
            echo(f"  - {finding}")
        echo("`minigan learn hint` helps")
        return figures
    state = own.row(row.name)
    state.state = "passed"
    own.put(row.name, state)
    echo(f"{row.name}: passed ({grade.seconds:.1f} s)")
    following = _at_hand(own, None)
    if following is not None and say_next:
        echo(f"next: {following.name} ({following.title}), by `minigan learn`")
    return {**figures, "next": following.name if following else None}


def _done() -> dict:
    echo("no exercise is left: all are passed or skipped (`minigan learn list`)")
    return {"name": None, "findings": []}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
