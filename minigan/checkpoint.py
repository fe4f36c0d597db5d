"""Checkpoints: whole or not at all, and never loaded damaged.

A checkpoint of generator step 123 is a pair of files in the run folder:

    checkpoint-000123.safetensors   every array, under PyTorch-style names
    checkpoint-000123.json          line 1:  {"sha256": "<SHA-256 of all the bytes after line 1>",
                                    then:    "format", "step", "arrays" (size and SHA-256 of the
                                             other file) and "state" (everything else)

So each byte of both files is covered, by a digest or by exact comparison of line 1, and `load`
checks all of it before it parses anything: safetensors alone has no checksum. Nothing is unpickled.

The JSON file is the commit record. The arrays are first written whole beside their place
(`.checkpoint-000123.safetensors.pending`), then the JSON is renamed into place, which commits, then
the arrays. A crash before the commit leaves the old checkpoint, one after it the new: `load` takes
the pending file where that is the one the JSON speaks of.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._files import atomic_write, parse_json, sync_folder

FORMAT = 1
STATUS = "status.json"
"""What a run does now: gan/status.py."""
_NAME = re.compile(r"checkpoint-(\d{6,})\.json")


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or foreign; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read and verified. `path` is its JSON file, `path.parent` the run folder."""

    path: Path
    step: int
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]


def save(folder: str | os.PathLike, step: int, arrays: Mapping[str, np.ndarray], state: dict[str, Any]) -> Path:
    """Write the checkpoint of `step` into `folder`; returns the path of its JSON file.

    arrays   name -> array of any shape (0-d and empty included), of bool, integer or float dtype
    state    a dict that JSON gives back unchanged: string keys, no tuples, finite numbers

    Raises CheckpointError where something cannot be stored, OSError where the disk refuses; in both
    cases nothing half-written is left and earlier checkpoints are as they were. Only one process at
    a time may save into a folder; any number may load from it meanwhile.
    """
    import safetensors.numpy

    if type(step) is not int or step < 0 or type(state) is not dict:
        raise CheckpointError(
            f"a checkpoint has a step, 0 or above, and a dict of state; got {step!r} and {state!r:.60}"
        )
    path = Path(folder) / f"checkpoint-{step:06d}.json"
    tensors = safetensors.numpy.save({name: _storable(name, a) for name, a in arrays.items()})
    record = {
        "format": FORMAT,
        "step": step,
        "arrays": {"bytes": len(tensors), "sha256": hashlib.sha256(tensors).hexdigest()},
        "state": state,
    }
    try:
        text = json.dumps(record, indent=1, allow_nan=False)
        faithful = json.loads(text)["state"] == state
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the state is not plain JSON: {error}") from error
    if not faithful:
        raise CheckpointError(f"{path}: JSON would change the state; use string keys, and lists instead of tuples")
    body = text.removeprefix("{").lstrip("\n").encode()
    try:
        atomic_write(_pending(path), tensors)
        atomic_write(path, _first_line(body) + body)
    except BaseException:
        with contextlib.suppress(OSError):
            settle(path.parent)
        raise
    settle(path.parent)
    return path


def load(path: str | os.PathLike) -> Checkpoint:
    """Read one checkpoint, given either file of the pair, and verify every byte of both.

    CheckpointError says which file is missing, damaged or no checkpoint at all, and why.
    """
    import safetensors.numpy

    path = Path(path)
    if path.suffix not in (".json", ".safetensors"):
        raise CheckpointError(
            f"{path} is not a minigan checkpoint: expected checkpoint-NNNNNN.json or .safetensors "
            "(other formats, pickles above all, are never opened)"
        )
    path = path.with_suffix(".json")
    record = _record(path)
    if _NAME.fullmatch(path.name) and step_of(path) != record["step"]:
        raise CheckpointError(f"{path} is of step {record['step']}; give it the name of its step, or another word")
    data = _arrays(path, record["arrays"])
    try:
        arrays = safetensors.numpy.load(data)
    except Exception as error:  # a digest that fits does not make it a file of arrays
        raise CheckpointError(
            f"{path.with_suffix('.safetensors')} holds no arrays that can be read: {error}"
        ) from error
    return Checkpoint(path, record["step"], arrays, record["state"])


def latest(folder: str | os.PathLike) -> Checkpoint:
    """The newest whole checkpoint of a run folder.

    A damaged one is named in a warning and the one before it is tried; CheckpointError if none is
    whole. Leftovers of a crash (arrays without their JSON file, temporary files) are passed over.
    """
    folder = Path(folder)
    candidates = paths(folder)
    for path in candidates:
        try:
            return load(path)
        except CheckpointError as error:
            warnings.warn(f"{error}; trying the checkpoint before it", stacklevel=2)
    if candidates and paths(folder) != candidates:  # whoever trains it has written another meanwhile
        return latest(folder)
    if candidates:
        raise CheckpointError(f"{folder}: none of its {len(candidates)} checkpoints is whole")
    raise CheckpointError(f"{folder}: no checkpoint-NNNNNN.json in it; is this a run folder?")


def resolve(spec: str | os.PathLike, runs_root: str | os.PathLike = "runs") -> Checkpoint:
    """The checkpoint that `--resume SPEC` means: `latest`, a run folder, or a checkpoint file.

    `latest` is the run folder in `runs_root`, of those with a checkpoint, that was started or gone on with last; of
    those that do not say (`turn_of`), the one whose newest checkpoint was written last. A folder stands for its newest
    whole checkpoint, a file for itself only.
    """
    if str(spec) == "latest":
        runs = [checkpoints[0] for run in Path(runs_root).glob("*/") if (checkpoints := paths(run))]
        if not runs:
            raise CheckpointError(f"no run with a checkpoint in {runs_root}; name its folder")
        return latest(max(runs, key=lambda path: (turn_of(path.parent), path.stat().st_mtime_ns, path)).parent)
    path = Path(spec)
    if not path.exists():
        raise CheckpointError(f"{path}: no such run folder or checkpoint file")
    return latest(path) if path.is_dir() else load(path)


def turn_of(folder: Path) -> int:
    """The number of a run among those beside it, in the order in which they were started or gone on with, by its
    status.json: the wall clock, and so the times of files, may jump. 0 where it does not say."""
    try:
        turn = parse_json((folder / STATUS).read_text(encoding="utf-8"))["turn"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return turn if type(turn) is int and 0 < turn < 1 << 53 else 0


def step_of(path: Path) -> int:
    """The step in a checkpoint's file name."""
    return int(path.stem.rpartition("-")[2])


def paths(folder: str | os.PathLike) -> list[Path]:
    """The JSON files of a folder's checkpoints, newest step first."""
    files = [path for path in Path(folder).glob("*.json") if _NAME.fullmatch(path.name)]
    return sorted(files, key=step_of, reverse=True)


def _first_line(body: bytes) -> bytes:
    return b'{"sha256": "%s",\n' % hashlib.sha256(body).hexdigest().encode()


def _pending(path: Path) -> Path:
    return path.with_name(f".{path.stem}.safetensors.pending")


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    """An array whose memory safetensors may take as it lies: C order, dense, a plain dtype."""
    if not isinstance(name, str) or name == "__metadata__":
        raise CheckpointError(f"{name!r} cannot name an array; use another string")
    array = np.asarray(array, order="C")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise CheckpointError(
            f"array {name!r} has dtype {array.dtype}; a checkpoint holds bool, integer and float arrays"
        )
    return array


def _record(path: Path) -> dict[str, Any]:
    """The content of a checkpoint's JSON file, verified."""
    raw = _read(path)
    first, newline, body = raw.partition(b"\n")
    if first + newline != _first_line(body):
        raise CheckpointError(
            f"{path} is not a whole minigan checkpoint: its first line is not the SHA-256 of the "
            f"rest ({_likeness(raw)})"
        )
    try:
        record = parse_json(raw)
        version = record["format"]
        if type(version) is int and version == FORMAT:
            _require(record, step=int, arrays=dict, state=dict)
            _require(record["arrays"], bytes=int, sha256=str)
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is no record of a checkpoint: {error}") from error
    if type(version) is not int or version != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {version!r}, this minigan reads {FORMAT}; use the version that wrote it"
        )
    return record


def _require(record: Mapping[str, Any], **kinds: type) -> None:
    """Raises ValueError or KeyError unless the record has these keys with values of these types, counts from 0 on."""
    for name, kind in kinds.items():
        value = record[name]
        if type(value) is not kind or (kind is int and value < 0):
            raise ValueError(f"its {name!r} is {str(value)[:60]!r}, not {'a count' if kind is int else kind.__name__}")


def _arrays(path: Path, expected: Mapping[str, Any]) -> bytes:
    """The bytes of the arrays file that the JSON file at `path` speaks of, verified.

    The pending file is asked first: it fits where a crash, or a writer at this moment, stands
    between the two renames of `save`.
    """
    with contextlib.suppress(OSError):
        data = _pending(path).read_bytes()
        if hashlib.sha256(data).hexdigest() == expected["sha256"]:
            return data
    path = path.with_suffix(".safetensors")
    data = _read(path)
    if len(data) != expected["bytes"]:
        raise CheckpointError(f"{path} is damaged: it has {len(data)} bytes, {expected['bytes']} were written")
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one in its JSON file")
    return data


def settle(folder: Path) -> None:
    """Finish or undo the writing and removing of checkpoints, one's own or one that a crash cut off.

    A pending file whose JSON file speaks of it is committed and moves into place; any other, every temporary file, and
    arrays of an earlier step whose JSON file is gone, are removed. Only the process that saves into the folder may.
    """
    for pending in folder.glob(".checkpoint-*.pending"):
        path = folder / pending.name[1:].replace(".safetensors.pending", ".json")
        try:
            expected = _record(path)["arrays"]["sha256"]
        except CheckpointError:
            expected = None
        if hashlib.sha256(pending.read_bytes()).hexdigest() == expected:
            os.replace(pending, path.with_suffix(".safetensors"))
        else:
            pending.unlink()
    for temporary in folder.glob(".*checkpoint-*.tmp"):
        temporary.unlink()
    newest = max(map(step_of, paths(folder)), default=0)
    for arrays in folder.glob("checkpoint-*.safetensors"):
        record = arrays.with_suffix(".json")
        if _NAME.fullmatch(record.name) and step_of(record) < newest and not record.exists():
            arrays.unlink()
    sync_folder(folder)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} does not exist (a checkpoint is the pair {path.stem}.json, .safetensors)"
        ) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def _likeness(raw: bytes) -> str:
    if not raw:
        return "the file is empty"
    if raw.startswith(b"PK"):
        return "it looks like a zip or PyTorch file, which is never unpickled"
    if raw.startswith(b"\x80"):
        return "it looks like a pickle, which is never opened"
    return "it is damaged, cut short, or another program's"
