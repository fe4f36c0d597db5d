"""Machine room, capture: what a step may ask of the world and a replay would not ask again: clocks, files, the system,
queues, and iterators that stand somewhere else after each step."""

from __future__ import annotations

import datetime
import io
import os
import queue
import sys
import time
import types
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

from .refusal import CUPY

CLOCKS = {time.time, time.time_ns, time.perf_counter, time.perf_counter_ns, time.monotonic, time.process_time}
SYSTEM = {os.urandom, os.stat, os.getcwd, os.listdir, os.scandir}
AUDITED = {"open", "os.listdir", "os.scandir", "socket.connect", "subprocess.Popen"}
QUIET = {"importlib", "linecache", "warnings", "traceback", "logging", "tokenize", "inspect", *CUPY}
"""What reads files to load code, or to say where something happened: Python's own modules, and CuPy, which keeps on the
disk what it compiles at first use."""


def asked(function: object, frame: types.FrameType, is_user_code: bool) -> str | None:
    """What of the world a compiled function reads, called from a frame; None for nothing."""
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if is_user_code:
        if function in CLOCKS:
            return f"{name}()"
        if isinstance(owner, type) and issubclass(owner, datetime.date) and name in ("now", "utcnow", "today"):
            return f"{owner.__name__}.{name}()"
        if isinstance(owner, ContextVar) and name == "get":
            return f"the context variable {owner.name}"
        if isinstance(owner, io.IOBase) and name == "getvalue":
            return "a buffer of text"
        if isinstance(owner, queue.SimpleQueue) and name.startswith("get"):
            return "a queue"
    is_file = isinstance(owner, io.IOBase) and name.startswith("read")
    if (is_file or function in SYSTEM) and not is_quiet(frame):
        return "an open file" if is_file else f"{name}()"
    return None


def is_quiet(frame: types.FrameType | None) -> bool:
    """Whether one of QUIET asks."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0].lstrip("_") in QUIET:
            return True
        frame = frame.f_back
    return False


def audited(event: str, args: tuple) -> str | None:
    """What of the world an event of Python's audit reads (`sys.addaudithook`); None for nothing, and for writing."""
    if event not in AUDITED or is_quiet(sys._getframe(1)):
        return None
    if event != "open":
        return event.replace("os.", "the folder by ") if event.startswith("os.") else event
    path, mode, flags = args
    writes = any(letter in mode for letter in "wax+") if mode else (flags or 0) & os.O_ACCMODE != os.O_RDONLY
    return None if writes or isinstance(path, int) else f"the file {os.fsdecode(path)}"


def is_iterator(value: object) -> bool:
    """Whether a value is one of Python's own iterators, an open file included."""
    return isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools", "_io")


def position(iterator: object) -> object:
    """Where an iterator stands, as something to compare: what its pickle would say, and those it iterates over.

    A generator's cannot be told; its frame is returned, None once it is exhausted.
    """
    if isinstance(iterator, types.GeneratorType):
        return iterator.gi_frame
    if isinstance(iterator, io.IOBase):
        return iterator.tell() if not iterator.closed and iterator.seekable() else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated for itertools, and gone where they are
            parts = iterator.__reduce__()
    except (TypeError, AttributeError):
        return None
    return _flat(parts)


def _flat(part: object) -> object:
    if isinstance(part, tuple):
        return tuple(map(_flat, part))
    if is_iterator(part):
        return position(part)
    return part if isinstance(part, (int, float, str)) else id(part)
