"""A checkpoint is whole or it is refused: round trips, every flipped bit, every crash point."""

import errno
import io
import json
import os
import pickle
import resource
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import checkpoint
from minigan._files import atomic_write
from minigan.checkpoint import CheckpointError, latest, load, resolve, save
from minigan.torture.stops import at_call

DTYPES = ["?", "u1", "i4", "i8", "f2", "f4", "f8", ">f4"]


def content(step: int) -> tuple[dict, dict]:
    rng = np.random.default_rng(step)
    arrays = {"net.0.weight": rng.standard_normal((3, 2)), "net.0.bias": np.float32([step])}
    return arrays, {"seed": step, "note": "é", "lr": 1e-4}


def save_step(folder: Path, step: int, version: int = 0) -> Path:
    return save(folder, step, *content(step + version))


def holds(point: checkpoint.Checkpoint, version: int) -> bool:
    arrays, state = content(version)
    same = all(np.array_equal(point.arrays[name], arrays[name]) for name in arrays)
    return same and point.arrays.keys() == arrays.keys() and point.state == state


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


PAIR = {"checkpoint-000001.json", "checkpoint-000001.safetensors"}


# Round trips


@st.composite
def any_array(draw) -> np.ndarray:
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    raw = rng.integers(0, 2 if dtype.kind == "b" else 256, (*shape, dtype.itemsize), np.uint8)
    array = raw.view(dtype)[..., 0].transpose(draw(st.permutations(range(len(shape)))))
    return array[..., ::-1] if array.ndim and draw(st.booleans()) else array


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
leaves |= st.floats(allow_nan=False, allow_infinity=False)
any_json = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
array_names = st.text(max_size=8).filter(lambda name: name != "__metadata__")


@settings(deadline=None)
@given(
    st.dictionaries(array_names, any_array(), max_size=4),
    st.dictionaries(st.text(max_size=5), any_json, max_size=4),
    st.integers(0, 10**8),
)
def test_round_trip(tmp_path_factory, arrays, state, step):
    # Bit for bit (NaN payloads too), whatever the layout: safetensors itself stores the memory of
    # a transposed array in the wrong order without a word.
    path = save(tmp_path_factory.mktemp("run"), step, arrays, state)
    for point in (load(path), load(path.with_suffix(".safetensors")), latest(path.parent)):
        assert (point.path, point.step, point.state) == (path, step, state)
        assert point.arrays.keys() == arrays.keys()
        for name, array in arrays.items():
            got = point.arrays[name]
            assert got.shape == array.shape and got.dtype == array.dtype.newbyteorder("=")
            assert got.tobytes() == array.astype(got.dtype).tobytes()
            assert got.flags.writeable
    assert names(path.parent) == {path.name, path.with_suffix(".safetensors").name}


def test_the_files_are_plain_json_and_plain_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = save_step(tmp_path, 7)
    assert path.name == "checkpoint-000007.json"
    assert json.loads(path.read_text())["state"] == content(7)[1]
    plain = safetensors.load_file(path.with_suffix(".safetensors"))
    assert np.array_equal(plain["net.0.weight"], content(7)[0]["net.0.weight"])


def test_same_content_same_bytes(tmp_path):
    (tmp_path / "b").mkdir()
    first, second = save_step(tmp_path, 7), save_step(tmp_path / "b", 7)
    for suffix in (".json", ".safetensors"):
        assert first.with_suffix(suffix).read_bytes() == second.with_suffix(suffix).read_bytes()


@pytest.mark.parametrize(
    "arrays, state, message",
    [
        ({"a": np.array(["x"])}, {}, "'a' has dtype <U1"),
        ({"a": np.array([None])}, {}, "'a' has dtype object"),
        ({"a": np.zeros(2, complex)}, {}, "'a' has dtype complex128"),
        ({"__metadata__": np.zeros(2)}, {}, "'__metadata__' cannot name"),
        ({3: np.zeros(2)}, {}, "3 cannot name"),
        ({}, {"lr": float("nan")}, "not plain JSON"),
        ({}, {"x": np.float32(1)}, "not plain JSON"),
        ({}, {"betas": (0, 0.9)}, "lists instead of tuples"),
        ({}, {"groups": {0: 1}}, "string keys"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_writing(tmp_path, arrays, state, message):
    with pytest.raises(CheckpointError, match=message):
        save(tmp_path, 1, arrays, state)
    assert names(tmp_path) == set()


# Damage


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_every_flipped_bit_is_found(tmp_path, suffix):
    path = save_step(tmp_path, 1)
    target = path.with_suffix(suffix)
    whole = target.read_bytes()
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        target.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=target.name):
            load(path)
    target.write_bytes(whole)
    assert holds(load(path), 1)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_every_truncation_and_any_addition_is_found(tmp_path, suffix):
    path = save_step(tmp_path, 1)
    target = path.with_suffix(suffix)
    whole = target.read_bytes()
    for damaged in [whole[:k] for k in range(len(whole))] + [whole + b"\n", b" " + whole]:
        target.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=target.name):
            load(path)


def test_halves_of_two_checkpoints_do_not_match(tmp_path):
    first, second = save_step(tmp_path, 1), save_step(tmp_path, 2)
    shutil.copy(second.with_suffix(".safetensors"), first.with_suffix(".safetensors"))
    with pytest.raises(CheckpointError, match=r"000001\.safetensors is damaged: its SHA-256"):
        load(first)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return file.getvalue()


FOREIGN = {
    "empty": (b"", "empty"),
    "pickle": (pickle.dumps(Bomb()), "pickle, which is never opened"),
    "torch": (zipped(pickle.dumps(Bomb())), "zip or PyTorch file, which is never unpickled"),
    "json": (b'{"step": 3}\n', "another program's"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "another program's"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused_and_never_unpickled(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    raw, message = FOREIGN[kind]
    path = save_step(tmp_path, 1)
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=rf"000001\.json is not .*{message}"):
        load(path)
    save_step(tmp_path, 1)
    path.with_suffix(".safetensors").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"000001\.safetensors is damaged"):
        load(path)
    (tmp_path / "model.pt").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"model\.pt is not a minigan checkpoint"):
        resolve(tmp_path / "model.pt")
    assert not (tmp_path / "unpickled").exists()


def test_missing_halves_and_other_formats(tmp_path):
    path = save_step(tmp_path, 1)
    text = path.read_text()
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"000001\.safetensors does not exist"):
        load(path)
    body = text.partition("\n")[2].replace('"format": 1', '"format": 2').encode()
    path.write_bytes(checkpoint._first_line(body) + body)
    with pytest.raises(CheckpointError, match="format 2, this minigan reads 1"):
        load(path)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"000001\.json does not exist"):
        load(path)


# Which one is loaded


def test_latest_is_the_highest_step(tmp_path):
    for step in (3, 1_000_000, 999_999):
        save_step(tmp_path, step)
    (tmp_path / "checkpoint-999999999.json.bak").write_text("no checkpoint")
    (tmp_path / "checkpoint-000500.safetensors").write_bytes(b"arrays that were never committed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert latest(tmp_path).step == 1_000_000


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_damaged_one_is_named_and_the_one_before_it_used(tmp_path, suffix):
    for step in (1, 2, 3):
        save_step(tmp_path, step)
    damaged = tmp_path / f"checkpoint-000003{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=rf"checkpoint-000003\{suffix}") as caught:
        assert holds(latest(tmp_path), 2)
    assert len(caught) == 1
    for step in (1, 2):
        (tmp_path / f"checkpoint-00000{step}.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match="none of its 3"):
        latest(tmp_path)


def test_one_that_went_while_it_was_looked_for(tmp_path, monkeypatch):
    """Who trains with --keep 1 writes a newer one and removes the one that a reader is about to open."""
    old, load = save_step(tmp_path, 1), checkpoint.load

    def late(path):
        if path == old and old.exists():
            save_step(tmp_path, 2)
            old.unlink()
        return load(path)

    monkeypatch.setattr(checkpoint, "load", late)
    with pytest.warns(UserWarning, match="checkpoint-000001"):
        assert latest(tmp_path).step == 2


def test_the_name_is_of_the_step(tmp_path):
    """A copy under another step's name is refused; under a word of one's own it is read."""
    path = save_step(tmp_path, 6)
    for name in ("checkpoint-000099", "best"):
        for suffix in (".json", ".safetensors"):
            shutil.copy(path.with_suffix(suffix), tmp_path / (name + suffix))
    assert load(tmp_path / "best.json").step == 6
    with pytest.raises(CheckpointError, match=r"000099\.json is of step 6"):
        load(tmp_path / "checkpoint-000099.json")
    with pytest.warns(UserWarning, match="is of step 6"):
        assert latest(tmp_path).path == path


@pytest.mark.parametrize(("step", "state"), [(-1, {}), (True, {}), (1.5, {}), (1, [])])
def test_what_is_no_step_and_no_state_is_refused(step, state, tmp_path):
    with pytest.raises(CheckpointError, match="a step, 0 or above, and a dict"):
        save(tmp_path, step, {}, state)
    assert names(tmp_path) == set()


def test_resolve(tmp_path):
    runs = tmp_path / "runs"
    for number, run in enumerate(["00000-b", "00001-a", "mine"]):
        (runs / run).mkdir(parents=True)
        path = save_step(runs / run, number + 1)
        os.utime(path, (0, [20, 30, 10][number]))
    (runs / "00002-just-started").mkdir()
    assert resolve("latest", runs).path.parent.name == "00001-a"
    assert holds(resolve(runs / "mine"), 3)
    save_step(runs / "mine", 9)
    assert holds(resolve(str(runs / "mine" / "checkpoint-000003.safetensors")), 3)
    assert resolve("latest", runs).step == 9


@pytest.mark.parametrize(
    "spec, message",
    [
        ("latest", "no run with a checkpoint in .*; name its folder"),
        ("nowhere", "nowhere: no such run folder or checkpoint file"),
        (".", "no checkpoint-NNNNNN.json in it"),
    ],
)
def test_resolve_says_what_is_missing(tmp_path, monkeypatch, spec, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        resolve(spec, tmp_path / "runs")


# Crashes and full disks


def crash_while(act, number: int) -> bool:
    """Do `act` in a child process that dies, without any clean-up, at the numbered call."""
    child = os.fork()
    if child == 0:
        with at_call(number, lambda: os._exit(3)):
            act()
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("step", [1, 2], ids=["same step again", "next step"])
def test_a_crash_at_any_point_leaves_the_old_or_the_new(tmp_path, step):
    versions = set()
    for number in range(1, 100):
        run = tmp_path / str(number)
        run.mkdir()
        save_step(run, 1)
        crashed = crash_while(lambda run=run: save_step(run, step, version=5), number)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            newest = latest(run)
        versions.add(version := "new" if newest.state["seed"] == step + 5 else "old")
        assert holds(newest, step + 5 if version == "new" else 1)
        save_step(run, 3)
        assert holds(latest(run), 3)
        expected = {f"checkpoint-{n:06d}" for n in (1, newest.step, 3)}
        assert names(run) == {name + end for name in expected for end in (".json", ".safetensors")}
        assert holds(load(run / f"checkpoint-{newest.step:06d}.json"), newest.state["seed"])
        if not crashed:
            break
    assert number > 6 and versions == {"old", "new"}


def test_a_failing_disk_at_any_point(tmp_path):
    def fail():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    failures = 0
    for number in range(1, 100):
        run = tmp_path / str(number)
        run.mkdir()
        save_step(run, 1)
        with at_call(number, fail) as calls:
            try:
                save_step(run, 1, version=5)
            except OSError as error:
                failures += 1
                assert "No space left" in str(error)
        if holds(latest(run), 1):
            assert names(run) == PAIR  # nothing half-written is left
        else:
            assert holds(latest(run), 6)
        save_step(run, 1, version=9)
        assert holds(latest(run), 10) and names(run) == PAIR
        if len(calls) < number:
            break
    assert failures > 4


def test_a_disk_that_fills_up_while_writing(tmp_path):
    # The kernel itself refuses the write in its middle: a limit on the size of files.
    save_step(tmp_path, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(OSError, match=r"cannot write .*000002\.safetensors.*free some space"):
            save(tmp_path, 2, {"w": np.zeros(10**6)}, {})
        with pytest.raises(OSError, match=r"cannot write .*x\.png"):
            atomic_write(tmp_path / "x.png", bytes(3_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("place", ["missing", "file", "read-only"])
def test_a_folder_that_cannot_be_written(tmp_path, place):
    folder = tmp_path / place
    if place == "file":
        folder.write_text("not a folder")
    if place == "read-only":
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere")
        folder.mkdir(mode=0o500)
    with pytest.raises(OSError, match=rf"cannot write .*{place}.*checkpoint-000001.*name a folder"):
        save_step(folder, 1)


# The writer


def test_atomic_write(tmp_path):
    path = tmp_path / "a.txt"
    atomic_write(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    atomic_write(str(path), b"\x00")
    assert path.read_bytes() == b"\x00" and names(tmp_path) == {"a.txt"}
    usual = tmp_path / "usual"
    usual.touch()
    assert path.stat().st_mode == usual.stat().st_mode
    path.chmod(0o600)
    atomic_write(path, "a private file stays private")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError, match="cannot write"):
        atomic_write(tmp_path, b"a folder stands there")
    assert names(tmp_path) == {"a.txt", "usual"}


def test_the_disk_has_the_bytes_before_the_name(tmp_path):
    path = tmp_path / "a.txt"
    atomic_write(path, "old")
    with open(path) as reader, at_call(0, None) as calls:
        atomic_write(path, "new")
        assert reader.read() == "old"  # the old file was replaced, not written over
    assert calls[:3] == ["fsync", "replace", "fsync"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    path = tmp_path / "a.txt"
    atomic_write(path, "old")
    with at_call(1, interrupt), pytest.raises(KeyboardInterrupt):
        atomic_write(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == {"a.txt"}
