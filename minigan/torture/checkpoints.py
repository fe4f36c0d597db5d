"""Damaged checkpoints: none is loaded without a word, and the one before it is taken."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

from .. import checkpoint
from ..checkpoint import CheckpointError
from ..gan.run import Run
from .damage import damaged
from .lines import Case, line, one_line, require
from .world import short_runs, tiny

CLAIM = "a damaged checkpoint is refused in one line, and the one before it is taken"


def _saved(folder: Path) -> tuple[Path, checkpoint.Checkpoint]:
    """(the newest of two checkpoints of a run, the one before it)."""
    with short_runs():
        run = Run.create(tiny(), folder / "run")
        for _ in range(2):
            run.rows.append(run.trainer.step())
            run._write_checkpoint()
    newest, before = checkpoint.paths(run.folder)
    return newest, checkpoint.load(before)


def _refused(newest: Path, before: checkpoint.Checkpoint) -> None:
    """Raises Fault unless the newest is refused, and the one before taken, whole."""
    try:
        checkpoint.load(newest)
    except Exception as error:
        one_line(error, (CheckpointError,))
    else:
        require(False, "loaded without a word")
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        taken = checkpoint.latest(newest.parent)
    require(
        (taken.step == before.step and messages) or not newest.exists(),
        "the one before it was not taken, with a warning",
    )
    same = all(taken.arrays[name].tobytes() == array.tobytes() for name, array in before.arrays.items())
    require(same and taken.state == before.state, "another content than the checkpoint's before it")


def _one_file(suffix: str):
    def setting(folder: Path) -> Iterator[Case]:
        newest, before = _saved(folder)
        target = newest.with_suffix(suffix)
        whole = target.read_bytes()

        def case(k, rng) -> str:
            what, content = damaged(whole, rng)
            target.write_bytes(content)
            try:
                _refused(newest, before)
            finally:
                target.write_bytes(whole)
            return what

        yield case

    return setting


line("corrupted-json", 1000, CLAIM)(_one_file(".json"))
line("corrupted-arrays", 1000, CLAIM)(_one_file(".safetensors"))


@line("corrupted-pairs", 1000, CLAIM)
def corrupted_pairs(folder: Path) -> Iterator[Case]:
    """Files of different checkpoints together, files that are gone, both damaged, a pending file of a crash."""
    newest, before = _saved(folder)
    pair = [newest, newest.with_suffix(".safetensors")]
    others = [before.path, before.path.with_suffix(".safetensors")]
    whole = [path.read_bytes() for path in pair]
    pending = newest.with_name(f".{newest.stem}.safetensors.pending")

    def case(k, rng) -> str:
        what = ("of two", "gone", "both damaged", "a folder", "a link to nowhere")[k % 5]
        one = int(rng.integers(2))
        if what == "of two":
            shutil.copy(others[one], pair[one])
        elif what == "both damaged":
            for path, content in zip(pair, whole, strict=True):
                path.write_bytes(damaged(content, rng)[1])
        else:
            pair[one].unlink()
            if what == "a folder":
                pair[one].mkdir()
            elif what == "a link to nowhere":
                pair[one].symlink_to("nowhere")
        if rng.integers(2):
            pending.write_bytes(damaged(whole[1], rng)[1])
        try:
            _refused(newest, before)
        finally:
            pending.unlink(missing_ok=True)
            for path, content in zip(pair, whole, strict=True):
                if path.is_dir():
                    os.rmdir(path)
                path.unlink(missing_ok=True)
                path.write_bytes(content)
        return what

    yield case
