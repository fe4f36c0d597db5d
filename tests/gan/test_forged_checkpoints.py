"""Checkpoints whose digests are right and whose content is not a run's: one CheckpointError each, nothing restored.

The forger changes one value of the record, or one array, in every way of a list, and signs the result anew.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minigan import checkpoint
from minigan.checkpoint import Checkpoint, CheckpointError
from minigan.gan.restart import clock
from minigan.gan.run import Run, load_trainer
from minigan.gan.systems.table import options_for

DEEP = "[" * 100_000 + "]" * 100_000
NEST = [[[[[[]]]]]]
VALUES = [None, True, "5", "", -1, 1.5, float("nan"), float("inf"), 10**30, 10**400, [], [1], NEST, {}, {"a": 1}]
"""What can stand in place of any value; json has NaN, and whole numbers without end."""

FREE = {"tick", "data_digest"}
"""What earlier versions did not save."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of a run of two steps."""
    folder = tmp_path_factory.mktemp("forged") / "run"
    run = Run.create(options_for("wgan-gp", steps=3, batch_size=4, base=2, n_critic=1, latent=2), folder)
    for _ in range(2):
        run.rows.append(run.trainer.step())
    run._save()
    return checkpoint.load(folder / "checkpoint-000002.json")


def sign(path, record: object, arrays: bytes | None = None) -> None:
    """Write both files with the digests that fit."""
    if arrays is not None:
        path.with_suffix(".safetensors").write_bytes(arrays)
    text = record if isinstance(record, str) else json.dumps(record, indent=1)
    body = text.removeprefix("{").lstrip("\n").encode()
    path.write_bytes(checkpoint._first_line(body) + body)


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The path to every value inside; of dicts with numbers for names, the first."""
    if isinstance(value, dict):
        for key in list(value)[:1] if all(k.isdigit() for k in value) else value:
            yield (*path, key)
            yield from places(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield (*path, 0)
        yield from places(value[0], (*path, 0))


def forge(record: dict, path: tuple, change) -> dict:
    record = copy.deepcopy(record)
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    change(inner, path[-1])
    return record


def forgeries(record: dict) -> Iterator[tuple[str, dict]]:
    """(what was done, the record) for each value: taken away, or another in its place."""
    for path in places(record):
        name = ".".join(map(str, path))
        old = record
        for key in path:
            old = old[key]
        figure = "tick" in path[:-1] and path[-1] != "step"  # a lazy penalty is not in every row
        if path[-1] not in (*FREE, 0) and "options" not in path[:-1] and not figure:  # options have defaults
            yield f"no {name}", forge(record, path, lambda inner, key: inner.pop(key))
        for value in VALUES:
            number = type(value) in (int, float) and (0 if "tick" not in path else -1) <= value < 1e300
            if number and (isinstance(old, float) or path[-1] in ("size", "steps_done")):
                continue  # another number, and as good
            if path[-1] == "sync_norm" and value is True:
                continue  # with one part it is the same
            if (value == old and type(value) is type(old)) or (value == [] and path[-1] == "tick"):
                continue
            yield f"{name} = {value!r:.20}", forge(record, path, lambda inner, key, v=value: inner.__setitem__(key, v))


def refused(path) -> bool:
    """Whether going on with the run ends in one line, and drawing samples, which reads less, in one or in none."""
    lines = []
    for attempt in (lambda: load_trainer(str(path), with_data=False), lambda: Run.resume(str(path))):
        try:
            attempt()
            lines.append("")
        except (CheckpointError, ValueError, OSError) as error:
            lines.append(str(error))
    return bool(lines[1]) and max(map(len, lines)) < 1000 and "\n" not in "".join(lines)


def check(saved, cases) -> None:
    record = json.loads(saved.path.read_text())
    del record["sha256"]
    whole = saved.path.with_suffix(".safetensors").read_bytes()
    wrong = []
    for name, forgery, arrays in cases(record, whole):
        sign(saved.path, forgery, arrays)
        try:
            if not refused(saved.path):
                wrong.append(f"{name}: taken")
        except Exception as error:
            wrong.append(f"{name}: {error!r:.120}")
    sign(saved.path, record, whole)
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


def odd_records(record, whole):
    for name, text in {
        "deep": DEEP,
        "deep state": json.dumps(record)[:-1] + f', "more": {DEEP}}}',
        "list": "[1, 2]",
        "number": "5",
        "no JSON": "hello",
        "empty": "",
        "huge": '"format": 1' + "0" * 5000 + "}",
        "surrogate": json.dumps(record | {"state": {"options": "\ud800"}}),
    }.items():
        yield name, text, whole


def odd_arrays(record, whole):
    import hashlib

    from safetensors.numpy import load, save

    arrays = load(whole)
    some = [next(n for n in arrays if n.startswith(start)) for start in ("critic.", "optim_g.0.")]

    def signed(data: bytes):
        return record | {"arrays": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}, data

    for name in some:
        a = arrays[name]
        for what, other in {
            "gone": None,
            "float64": np.asarray(a, np.float64),
            "int": np.asarray(a, np.int32),
            "bool": np.asarray(a > 0),
            "longer": np.concatenate([np.atleast_1d(a)] * 2),
            "0-d": np.full((), 1, np.float32),
            "column": a.reshape(-1, 1),
            "empty": np.zeros(0, np.float32),
        }.items():
            yield f"{name} {what}", *signed(save({k: v for k, v in (arrays | {name: other}).items() if v is not None}))
    yield "none", *signed(save({}))
    yield "extra moments", *signed(save(arrays | {"optim_g.99.exp_avg": np.zeros(3, np.float32)}))
    yield "odd moments", *signed(save(arrays | {"optim_g.x.exp_avg": np.zeros(3, np.float32)}))
    for what, data in {
        "empty": b"",
        "text": b"hello",
        "zeros": bytes(100),
        "cut": whole[:-8],
        "header": whole[:50],
    }.items():
        yield what, *signed(data)
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}'
    yield "lying header", *signed(len(header).to_bytes(8, "little") + header + bytes(4))


def test_odd_records_and_arrays(saved):
    check(saved, odd_records)
    check(saved, odd_arrays)


def test_some_forged_values(saved):
    """Some of the slow test's, so that most places and every value come by."""
    check(saved, lambda record, whole: ((n, f, whole) for n, f in list(forgeries(record))[::67]))


@pytest.mark.parametrize("rows", [[{}], [{"d_loss": 1.0}, {}], [{"d_loss": 1.0}, {"a": 1.0}]])
def test_rows_of_figures_have_a_name_in_common(rows):
    """One of a lazy penalty may be missing in some; a row of nothing, or of other figures, is no row of the run."""
    right = [{"d_loss": 1.0}, {"d_loss": 2.0, "penalty": 3.0}]
    assert clock(Checkpoint(Path("saved"), 2, {}, {"seconds": 1.0, "tick": right})) == (1.0, right)
    with pytest.raises(CheckpointError, match="tick"):
        clock(Checkpoint(Path("saved"), 2, {}, {"seconds": 1.0, "tick": rows}))


@pytest.mark.slow
def test_every_forged_value(saved):
    check(saved, lambda record, whole: ((n, f, whole) for n, f in forgeries(record)))
