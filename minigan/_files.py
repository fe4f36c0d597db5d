"""Files: written whole or not at all, to regular files only, with errors that name the way out; JSON as it may come."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
MAY_PASS = {
    *(errno.ENOSPC, errno.EDQUOT),  # a full disk, a full share of it
    *(errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO),  # a disk that fails, is read-only since, or was taken out
    *(errno.ENOENT, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENOLCK),  # a network folder that went away
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNREFUSED),
    *(errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENOMEM, errno.EMFILE, errno.ENFILE),  # a machine that has too much
}
"""Reasons why a disk refuses that may be gone in a while. Others stay until a person acts: no permission, no regular
file, a file too large for its disk or for a limit."""
SPACE = "free some space, or name another folder"
FOLDER = "name a folder that exists and can be written"


def destination(path: str | os.PathLike) -> Path:
    """The file that a write to `path` changes: links are followed, never replaced.

    OSError where something stands there that is no regular file, or where there is no folder for it.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise _failure(path, OSError(errno.ENOENT, "there is no such folder")) from None
        return target
    except OSError as error:
        raise _failure(path, error) from error
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "a link that leads nowhere")
        raise _failure(path, f"{target} is {kind}", "name a regular file, or one that does not exist yet")
    return target


def atomic_write(path: str | os.PathLike, data: bytes | str) -> None:
    """Write a file so that its name shows the old content or the whole new one, never a part.

    The bytes go to a temporary name in the same folder, are flushed to the disk, and are renamed. A link is followed.
    OSError names the file, the reason (full disk, no permission, no such folder, no regular file) and the way out.
    """
    target = destination(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # a file of one's own stays that
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where there is none. Raises OSError, naming it and the way out."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failure(folder, error) from error


def append_line(path: str | os.PathLike, line: str) -> None:
    """Add a line to a text file, which may not exist yet, or leave it as it was. A line that a killed process cut off
    is ended first. OSError as `atomic_write` raises it."""
    target = destination(path)
    try:
        with open(target, "ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            cut = False
            if size:
                file.seek(size - 1)
                cut = file.read(1) != b"\n"
            rest = memoryview(("\n" * cut + line + "\n").encode())
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                with suppress(OSError):
                    os.truncate(target, size)
                raise
    except OSError as error:
        raise _failure(path, error) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of `atomic_write` that killed processes left in a folder, and of this one where the
    disk refused to remove them."""
    for path in folder.glob(".*.tmp"):
        number = path.name.split(".")[-2]
        if number.isdecimal() and (int(number) == os.getpid() or not runs(int(number))):
            path.unlink(missing_ok=True)


def runs(number: int) -> bool:
    """Whether there is a process of that number which has not ended."""
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    with suppress(OSError, IndexError):  # one that has ended, and was not waited for
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether this process alone has claimed the folder within it; its end, also by a crash, gives the folder free.
    Where the system or the disk knows no such locks, everyone has."""
    try:
        import fcntl

        number = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield True
        return
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except OSError as error:
            alone = error.errno not in (errno.EAGAIN, errno.EACCES)
        yield alone
    finally:
        os.close(number)


def may_pass(error: OSError) -> bool:
    """Whether the reason of an error, of this module or of the system, may be gone in a while."""
    return error.errno in MAY_PASS


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text; ValueError for whatever is wrong with it, nesting without end too."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable; only POSIX can open a folder to do so."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _failure(path: str | os.PathLike, reason: OSError | str, way: str = "") -> OSError:
    """The error for what cannot be written; `way` is the way out, else it follows from the reason."""
    number = None
    if isinstance(reason, OSError):
        number = reason.errno
        way = SPACE if reason.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else FOLDER
        reason = reason.strerror or str(reason)
    error = OSError(f"cannot write {path}: {reason}; {way}")
    error.errno = number
    return error
