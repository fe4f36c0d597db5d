"""Memory that NCCL writes: who may use it, and when."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from .nccl_calls import Call, Entry

if TYPE_CHECKING:
    from .nccl import World


@dataclass(eq=False)
class Writing:
    """Memory that an entry writes. stream: of the entry; seen: streams that have waited for it."""

    world: World
    entry: Entry
    call: Call
    owner: weakref.ref
    bounds: tuple[int, int]
    stream: int
    seen: set = field(default_factory=set)


def touched(xp: ModuleType, memory: np.ndarray) -> None:
    """Memory is used in the current stream: wait until it has been written there. Raises CollectiveError where that is
    another stream's doing."""
    start, end = np.lib.array_utils.byte_bounds(memory)
    for writing in list(xp.writing):
        if writing.owner() is None:
            if writing.entry.done and writing in xp.writing:
                xp.writing.remove(writing)
        elif writing.bounds[0] < end and start < writing.bounds[1]:
            stream, world = xp.cuda.get_current_stream().ptr, writing.world
            if not any(entry is writing.entry for entry in world.queues[writing.call.rank]) and not writing.entry.done:
                world.fail(f"{writing.call} is in a group that has not ended: groupEnd comes before its use")
            if stream != writing.stream and stream not in writing.seen:
                world.fail(
                    f"{writing.call} writes in stream {writing.stream}, and what it writes is used in stream {stream},"
                    " which has not waited for it: record an event and wait_event, or synchronize"
                )
            world.wait(writing.call.rank, writing.entry)


def settled(xp: ModuleType, stream: int | None = None) -> None:
    """The host waits for a stream, or for all: what this thread's ranks write there is there."""
    for writing in list(xp.writing):
        mine = writing.world.threads[writing.call.rank] is threading.current_thread()
        if mine and stream in (None, writing.stream):
            if (
                writing.entry.calls
                and not writing.entry.done
                and not any(entry is writing.entry for entry in writing.world.queues[writing.call.rank])
            ):
                writing.world.fail(f"{writing.call} is in a group that has not ended: groupEnd comes before waiting")
            writing.world.wait(writing.call.rank, writing.entry)
            if writing in xp.writing:
                xp.writing.remove(writing)
