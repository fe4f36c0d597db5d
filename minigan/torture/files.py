"""Hostile files, damaged or lying: images, archives, arrays, tables and records, for all that reads them."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..checkpoint import CheckpointError
from ..checkpoint import load as load_checkpoint
from ..data import archives
from ..data.pixels import decode
from ..gan.records import list_runs, read_looks, read_norms, read_stats
from ..gan.status import read_status
from ..gan.toy import data as toydata
from .damage import damaged
from .lines import Case, line, one_line, require

MOST_SECONDS, MOST_MB = 10.0, 400


def png(width: int, height: int, raw: bytes, depth: int = 8, kind: int = 6) -> bytes:
    """A PNG file of this claim whose pixels are `raw`, whatever their number."""
    parts = {"IHDR": struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0), "IDAT": zlib.compress(raw)}
    chunks = [(name.encode(), data) for name, data in (parts | {"IEND": b""}).items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )


def zip_of(path: Path, name: str, data: bytes, method: int, size: int | None = None) -> None:
    """A zip of one entry, whose size is announced as `size`."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, data)
    if size is not None:
        raw = path.read_bytes()
        path.write_bytes(raw.replace(struct.pack("<I", len(data)), struct.pack("<I", size)))


def npy(shape: object, dtype: str = "<f8", data: bytes = b"", fortran: bool = False) -> bytes:
    """An .npy file of this claim, whatever its data."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def _image(rng: np.random.Generator) -> tuple[str, bytes]:
    """A picture in a format of Pillow's, or a PNG whose claim is another than its content."""
    from PIL import Image

    side = int(rng.integers(1, 40))
    if rng.integers(4) == 0:
        claim = int(rng.choice([0, 1, side, 5000, 30_000, 2**31 - 1]))
        depth, kind = int(rng.choice([1, 2, 4, 8, 16])), int(rng.choice([0, 2, 3, 4, 6, 7]))
        return ".png", png(claim, side, rng.bytes(side * side), depth, kind)
    ending = str(rng.choice([".png", ".jpg", ".gif", ".bmp", ".webp", ".tiff"]))
    file = io.BytesIO()
    picture = Image.fromarray(rng.integers(0, 256, (side, side + 3, 3), np.uint8))
    picture.save(file, {".jpg": "JPEG", ".tiff": "TIFF"}.get(ending, ending[1:].upper()))
    return ending, file.getvalue()


def _archive(rng: np.random.Generator) -> tuple[str, bytes]:
    file = io.BytesIO()
    method = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    names = ["a.npy", "b.npy", "../up.npy", "/root.npy", "C:\\x.npy", "a.npy", "deep/" * 50 + "x.npy", "x\x00.npy"]
    with zipfile.ZipFile(file, "w", method) as archive:
        for _ in range(int(rng.integers(0, 4))):
            archive.writestr(str(rng.choice(names)) or "x", _array(rng))
    return ".zip", file.getvalue()


def _array(rng: np.random.Generator) -> bytes:
    shape = str(rng.choice(["(3, 2)", "(6,)", "(-1, 2)", "()", "(1e9,)", f"({2**40},)", "(3, 2), 'x': 1", "[3, 2]"]))
    dtype = str(rng.choice(["<f8", "<f4", "|u1", "<i8", "|O", "<U4", "<c16", "V3", "[('a', '<f8')]", "nonsense"]))
    return npy(shape, dtype, rng.bytes(int(rng.choice([0, 6, 48, 49, 4096]))))


def _points(rng: np.random.Generator) -> tuple[str, bytes]:
    file = io.BytesIO()
    np.savez(file, points=rng.normal(size=(int(rng.integers(1, 40)), int(rng.integers(1, 4)))))
    return ".npz", file.getvalue()


def _table(rng: np.random.Generator) -> tuple[str, bytes]:
    cells = [
        "1",
        "-2.5",
        "1e400",
        "nan",
        "inf",
        "",
        " ",
        "x",
        '"',
        '"1',
        "\ufeff1",
        "1,000",
        "0x10",
        "٣",
        "1_0",
        "\x00",
    ]
    width = int(rng.integers(1, 4))
    rows = [
        ",".join(rng.choice(cells, width, p=[0.6, 0.386, *([0.001] * 14)])) for _ in range(int(rng.integers(0, 30)))
    ]
    return ".csv", str(rng.choice(["\n", "\r\n", "\r"])).join(rows).encode()


def _record(rng: np.random.Generator) -> tuple[str, bytes]:
    values = [None, True, "x", -1, 1.5, float("nan"), 10**400, [], [[1]], {}, {"a": {}}, "\ud800", 3, 25, 0.5]
    names = [
        "step",
        "seconds",
        "d_loss",
        "system",
        "data",
        "steps",
        "size",
        "turn",
        "pid",
        "phase",
        "frechet",
        "g",
        "d",
    ]

    def row() -> dict:
        return {str(n): values[int(rng.integers(len(values)))] for n in rng.choice(names, int(rng.integers(1, 8)))}

    lines = [json.dumps(row()) for _ in range(int(rng.integers(1, 6)))]
    return ".json", "\n".join(lines).encode()


def _read_image(path: Path) -> None:
    decode(path, 32)


def _read_archive(path: Path) -> None:
    list(archives.members(path, 1_000_000))
    archives.arrays(path, 1_000_000)


def _read_run(path: Path) -> None:
    """All files of records that a run's folder has, with this content."""
    folder = path.parent / "runs" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    names = ("training_options.json", "stats.jsonl", "norms.jsonl", "held_out.jsonl", "status.json")
    for name in (*names, "metric-classifier.jsonl", "checkpoint-000001.json"):
        (folder / name).write_bytes(path.read_bytes())
    list_runs(folder.parent)
    for read in (read_stats, read_norms, read_looks, read_status):
        read(folder)
    load_checkpoint(folder / "checkpoint-000001.json")


KINDS: dict[str, tuple[Callable, Callable]] = {
    "images": (_image, _read_image),
    "archives": (_archive, _read_archive),
    "npz": (_points, toydata.scatter),
    "csv": (_table, toydata.scatter),
    "json": (_record, _read_run),
}


def _memory() -> float:
    """MB that this process has held at most; 0 where the system does not say."""
    status = Path("/proc/self/status")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024 if status.exists() else 0.0


@line("hostile-files", 1000, "a hostile file is read or refused in one line, in bounded time and memory")
def hostile_files(folder: Path) -> Iterator[Case]:
    """Each kind in turn; three in four damaged besides."""
    first = _memory()

    def case(k, rng) -> str:
        kind = list(KINDS)[k % len(KINDS)]
        make, read = KINDS[kind]
        ending, content = make(rng)
        if rng.integers(4) and content:
            content = damaged(content, rng)[1]
        path = folder / f"file{ending}"
        path.write_bytes(content)
        start, what = time.monotonic(), "read"
        try:
            read(path)
        except Exception as error:
            one_line(error, (ValueError, CheckpointError, OSError))
            what = "refused"
        seconds = time.monotonic() - start
        require(seconds < MOST_SECONDS, f"{kind}: {seconds:.0f} s")
        require(_memory() - first < MOST_MB, f"{kind}: {_memory() - first:.0f} MB more than at the beginning")
        return f"{kind} {what}"

    yield case
