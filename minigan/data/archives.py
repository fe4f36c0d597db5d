"""Reading files that strangers made: idx, zip and tar archives, CIFAR-10's batches. Nothing is unpacked to disk or run.

bounded_gunzip, sha256_of    decompressed bytes, never more than expected
idx                          the format of MNIST: 0 0 8 ndim, ndim big-endian int32, then uint8
members                      (name, bytes) of an archive's files, after its names and sizes were judged
arrays                       the arrays of an .npz file, after their headers were judged
cifar_batch                  a pickle of one dictionary, by an unpickler that can build nothing else
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import math
import pickle
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import numpy as np

from .._terminal import printable

MOST_MEMBERS = 100_000
MOST_ARRAYS = 512 << 20  # bytes of all arrays of an .npz file
LONGEST_HEADER = 1 << 17  # of an .npy file that is read
CHUNK = 4096  # bytes read at a time: of lzma, zipfile decompresses all of a chunk at once, up to 7,000 times as much
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
"""What the standard library raises for damaged archives (RuntimeError: encrypted, or packed by an unknown method)."""


class ArchiveError(ValueError):
    """An archive is damaged, too large once decompressed, or names places outside itself."""


def contents(path: Path, most: int) -> bytes:
    """The bytes of a file, decompressed where it begins like a gzip file, whatever its name.

    Raises ArchiveError for damage and above `most` bytes.
    """
    try:
        with open(path, "rb") as raw:
            is_gzip = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            data = (gzip.GzipFile(fileobj=raw) if is_gzip else raw).read(most + 1)
    except DAMAGE as error:
        raise ArchiveError(f"{path} is damaged: {_reason(error)}") from error
    if len(data) > most:
        raise ArchiveError(f"{path} holds more than the {most:,} bytes expected at most; it is not decompressed")
    return data


def _reason(error: Exception) -> str:
    """What a library says, which may quote a whole header, in a part of a line."""
    return printable(error)[:200]


def check_digest(what: object, data: bytes | memoryview, expected: str, algorithm: str = "sha256") -> None:
    """Raises ArchiveError unless `data` has the digest; an empty `expected` accepts everything."""
    digest = hashlib.new(algorithm, data).hexdigest()
    if expected and digest != expected:
        raise ArchiveError(f"{what} has {algorithm} {digest}, expected {expected}: damaged, or another file")


def check_file(path: Path, expected: str, algorithm: str = "sha256") -> None:
    """The same for a file as it lies there."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    if expected and digest != expected:
        raise ArchiveError(f"{path} has {algorithm} {digest}, expected {expected}: damaged, or another file")


def idx(what: object, data: bytes) -> np.ndarray:
    """The uint8 array in the bytes of an idx file. Raises ArchiveError."""
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4:
        raise ArchiveError(f"{what} is no idx file of bytes (it begins with {data[:4].hex(' ')!r})")
    head = 4 + 4 * data[3]
    if len(data) < head:
        raise ArchiveError(f"{what} ends within its header")
    shape = struct.unpack(f">{data[3]}I", data[4:head])
    size = int(np.prod([int(n) for n in shape], dtype=object))
    if len(data) - head != size:
        raise ArchiveError(f"{what} announces {shape}, {size:,} bytes, and holds {len(data) - head:,}")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def idx_bytes(array: np.ndarray) -> bytes:
    """The idx file of a uint8 array: what its published digest is of."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + np.ascontiguousarray(array).tobytes()


def members(path: Path, most: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each regular file in a .zip, .tar, .tar.gz or .tgz, in its order.

    Raises ArchiveError for a name that leaves the archive (absolute, "..", a drive, a link), for more than `most`
    bytes in all or MOST_MEMBERS files, for encryption and for damage. Nothing is written to disk.
    """
    try:
        yield from (_of_zip if zipfile.is_zipfile(path) else _of_tar)(path, most)
    except ArchiveError:
        raise
    except DAMAGE as error:
        raise ArchiveError(f"{path} is damaged or no archive: {_reason(error)}") from error


def _of_zip(path: Path, most: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _judge_size(path, sum(e.file_size for e in entries), len(entries), most)
        for entry in entries:
            _judge_name(path, entry.orig_filename)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise ArchiveError(f"{path}: {entry.filename!r:.80} is a link; the archive is not read")
        for entry in entries:
            if not entry.is_dir():
                yield entry.filename, bytes(_entry(path, archive, entry))


def _entry(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytearray:
    """The bytes of one entry, a chunk at a time: a size that lies costs no memory."""
    if entry.compress_type not in PACKED:  # a chunk of bzip2 can hold a gigabyte
        method = entry.compress_type
        raise ArchiveError(
            f"{path}: {entry.filename!r:.80} is packed by method {method}; only deflate and lzma are read"
        )
    data = bytearray()
    with archive.open(entry) as file:
        while chunk := file.read(min(CHUNK, entry.file_size + 1 - len(data))):
            data += chunk
    if len(data) != entry.file_size:
        raise ArchiveError(f"{path}: {entry.filename!r:.80} holds {len(data):,} bytes, not {entry.file_size:,}")
    return data


def arrays(path: Path, most: int = MOST_ARRAYS) -> dict[str, np.ndarray]:
    """Name -> array of each member of an .npz file, which np.savez or np.savez_compressed wrote; never a pickle.

    Raises ArchiveError for what is no .npz file, for members that are no arrays of plain numbers or text, and above
    `most` bytes in all.
    """
    content = {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _judge_size(path, sum(e.file_size for e in entries), len(entries), most)
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name == entry.filename or name in content or set(name) & set("/\\"):
                    raise ArchiveError(f"{path}: its member {entry.filename!r:.80} is no array that np.savez writes")
                content[name] = _array(f"{path}: its array {name!r}", _entry(path, archive, entry))
    except ArchiveError:
        raise
    except DAMAGE as error:
        raise ArchiveError(f"{path} is damaged or not an .npz file of plain arrays: {_reason(error)}") from error
    return content


def _array(what: str, data: bytearray) -> np.ndarray:
    """The array in the bytes of an .npy file, whose header is compared with their number before memory is asked for."""
    file = io.BytesIO(memoryview(data)[:LONGEST_HEADER])
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is Python text, and a hostile one can raise anything
        raise ArchiveError(f"{what} has no header of an .npy file: {_reason(error)}") from error
    if dtype.kind not in "biufSU" or dtype.itemsize == 0:
        raise ArchiveError(f"{what} is of dtype {dtype}; only plain arrays of numbers and text are read, never pickles")
    left = len(data) - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != left:
        raise ArchiveError(f"{what} announces {shape} of {dtype} and holds {left:,} bytes")
    flat = np.frombuffer(data, dtype, offset=file.tell())  # the bytes themselves: no second copy in memory
    return np.require(flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape), requirements=["C", "A"])


def _of_tar(path: Path, most: int) -> Iterator[tuple[str, bytes]]:
    with open(path, "rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        source = _Capped(gzip.GzipFile(fileobj=raw) if is_gzip else raw, path, most + most // 4 + (1 << 20))
        with tarfile.open(fileobj=source, mode="r|") as archive:
            size = 0
            for count, entry in enumerate(archive, 1):
                size += entry.size
                _judge_size(path, size, count, most)
                _judge_name(path, entry.name)
                if entry.isdir():
                    continue
                if not entry.isreg():
                    raise ArchiveError(f"{path}: {entry.name!r:.80} is a link or a device; the archive is not read")
                file = archive.extractfile(entry)
                assert file is not None  # of a regular file it never is
                yield entry.name, file.read()


class _Capped(io.RawIOBase):
    """A stream that gives at most `most` bytes: headers, which tarfile reads whole, cannot be bombs either."""

    def __init__(self, source: BinaryIO | gzip.GzipFile, path: Path, most: int) -> None:
        self.source, self.path, self.left = source, path, most

    def read(self, size: int = -1) -> bytes:
        data = self.source.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise ArchiveError(f"{self.path} decompresses to more than expected; it is not read further")
        return data


def _judge_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or PureWindowsPath(name).drive or "\0" in name:
        raise ArchiveError(f"{path}: the name {name!r:.80} leads out of the archive; the archive is not read")


def _judge_size(path: Path, size: int, count: int, most: int) -> None:
    if size > most or count > MOST_MEMBERS:
        raise ArchiveError(
            f"{path} would decompress to {size:,} bytes in {count:,} files, more than the {most:,} bytes in"
            f" {MOST_MEMBERS:,} files expected at most; it is not read"
        )


class _Dtype:
    """Stands in for numpy.dtype: remembers its name, does nothing."""

    def __init__(self, name: str = "", *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Stands in for numpy.ndarray: remembers its (shape, dtype, Fortran order, bytes)."""

    state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    """An unpickler whose only names are the stand-ins that an array of numbers needs."""

    NAMES = {  # noqa: RUF012 (never changed)
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): lambda text, *_: text.encode("latin-1"),
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def cifar_batch(what: object, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 (N, 32, 32, 3), labels (N,)) of one batch of CIFAR-10's Python version. Raises ArchiveError.

    The file is a pickle, which could run anything; this reader knows no names but stand-ins for an array, and takes
    from the dictionary only rows of 3072 bytes and as many labels from 0 to 9.
    """
    try:
        content = _Reader(io.BytesIO(data), encoding="bytes").load()
        content = {k.encode() if isinstance(k, str) else k: v for k, v in content.items()}
        rows, labels = content[b"data"], content[b"labels"]
        _, shape, dtype, fortran, raw = rows.state
        if dtype.name not in ("u1", b"u1") or fortran or len(shape) != 2 or shape[1] != 3072:
            raise ValueError(f"its data are {dtype.name!r} {shape}")
        images = np.frombuffer(bytes(raw), np.uint8).reshape(shape)
        labels = np.array([int(n) for n in labels], np.int64)
        if len(labels) != len(images) or (labels.size and not 0 <= labels.min() <= labels.max() <= 9):
            raise ValueError(f"{len(labels)} labels for {len(images)} images")
    except Exception as error:  # a hostile pickle can raise anything
        raise ArchiveError(f"{what} is not a batch of CIFAR-10: {_reason(error)}") from error
    return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels
