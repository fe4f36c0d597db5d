"""A strict model of NCCL for the stand-in, by the names of cupyx.distributed: N devices are N threads of one process.

    world = World(xp, 4)             # what a unique id joins
    comm = world.backend(rank)       # in the thread of each rank: what cupyx.distributed.NCCLBackend(4, rank) gives
    comm.all_reduce(x, y)            # returns at once; y is being written on the current stream

As on a GPU a call is only put into its stream, and runs when the calls of the other ranks that it needs are there. NCCL
does not look whether these fit: where they do not, a job hangs or has wrong numbers. Here that is an error,
CollectiveError, which names both sides:

- a collective meets another one, another size, dtype, op or root; a message another size or dtype than is waited for
- all ranks wait, each for a call that none will make: sends that face each other without a group, a rank that has ended
- a group that was never ended, or ended twice; two ranks' calls from one thread without a group
- what is being written is used in another stream, or by the host, before that stream has waited (`wait_event`,
  `synchronize`)
- arrays that are not contiguous, of the wrong size, of an unknown dtype, that overlap, or not this module's
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from .nccl_calls import COLLECTIVES, DTYPES, OPS, Call, CollectiveError, Entry

PATIENCE = 60.0
"""Seconds after which a rank that waits says for whom; a deadlock is seen at once."""


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


class World:
    """The communicators of `size` ranks on the stand-in `xp`."""

    def __init__(self, xp: ModuleType, size: int) -> None:
        self.xp, self.size = xp, size
        self.queues: list[deque[Entry]] = [deque() for _ in range(size)]
        self.counts = [0] * size
        self.threads: list[threading.Thread | None] = [None] * size
        self.waiting: dict[int, Entry] = {}
        self.condition = threading.Condition(threading.RLock())
        self.error: CollectiveError | None = None

    def backend(self, rank: int) -> NCCLBackend:
        """The communicator of a rank, in whose thread this is called. Raises ValueError for no rank."""
        if not 0 <= rank < self.size:
            raise ValueError(f"Invalid number of rank {rank} {self.size}")
        self.threads[rank] = threading.current_thread()
        return NCCLBackend(self, rank)

    def issue(self, entry: Entry) -> None:
        """Put an entry into its rank's stream, and run what can run."""
        with self.condition:
            self.check()
            entry.thread = threading.get_ident()
            for k, queue in enumerate(self.queues):
                if k != entry.rank and queue and queue[-1].thread == entry.thread:
                    self.fail(
                        f"{entry.calls[0]} comes from the thread in which {queue[-1].calls[0]} still waits: calls of"
                        " several ranks from one thread stand between groupStart and groupEnd"
                    )
            self.queues[entry.rank].append(entry)
            self.advance()

    def advance(self) -> None:
        """Run all calls at the heads of the streams that have what they need."""
        moved = True
        while moved:
            heads = {k: queue[0] for k, queue in enumerate(self.queues) if queue}
            moved = self.collectives(heads) or self.messages(heads)
            for queue in self.queues:
                while queue and queue[0].done:
                    queue.popleft()
                    moved = True
        self.condition.notify_all()

    def collectives(self, heads: dict[int, Entry]) -> bool:
        """Run the collective at all heads, if there is one. Raises CollectiveError where two do not fit."""
        calls = [call for entry in heads.values() if (call := entry.next_collective()) is not None]
        for call in calls[1:]:
            if (call.name, call.shape) != (calls[0].name, calls[0].shape):
                self.fail(f"{calls[0]} meets {call}")
        if len(calls) < self.size:
            return False
        calls.sort(key=lambda call: call.rank)
        results = COLLECTIVES[calls[0].name](calls)
        for call, result in zip(calls, results, strict=True):
            if result is not None:
                call.target[...] = result.reshape(call.target.shape)
            call.done, call.source, call.target = True, None, None
        return True

    def messages(self, heads: dict[int, Entry]) -> bool:
        """Deliver messages between heads. Raises CollectiveError where two do not fit."""
        moved = False
        for entry in heads.values():
            for send in entry.calls:
                if send.name != "send" or send.done or send.peer not in heads:
                    continue
                others = heads[send.peer].calls
                receive = next((c for c in others if c.name == "recv" and c.peer == entry.rank and not c.done), None)
                if receive is None:
                    continue
                if send.shape != receive.shape:
                    self.fail(f"{send} meets {receive}")
                receive.target[...] = send.source.reshape(receive.target.shape)
                send.done = receive.done = moved = True
                send.source = receive.target = None
        return moved

    def wait(self, rank: int, entry: Entry) -> None:
        """Until an entry has run. Raises CollectiveError where it never will."""
        with self.condition:
            self.waiting[rank] = entry
            try:
                passed = 0.0
                while not entry.done:
                    self.check()
                    ended = {k for k, t in enumerate(self.threads) if t is not None and not t.is_alive()}
                    stuck = {k for k, other in self.waiting.items() if not other.done}
                    if len(stuck | ended) == self.size:
                        self.deadlock(ended)
                    if not self.condition.wait(0.05):
                        passed += 0.05
                    if passed > PATIENCE:
                        self.deadlock(ended)
            finally:
                del self.waiting[rank]

    def deadlock(self, ended: set[int]) -> None:
        """Raise what each rank waits for."""
        lines, messages = [], 0
        for k, queue in enumerate(self.queues):
            if k in ended and not queue:
                lines.append(f"rank {k} has ended after {self.counts[k]} calls")
            elif queue:
                call = next(c for c in queue[0].calls if not c.done)
                messages += call.name == "send" and len(queue[0].calls) == 1
                lines.append(str(call))
            else:
                lines.append(f"rank {k} made no further call after {self.counts[k]}")
        advice = "; put messages that cross between groupStart and groupEnd" if messages > 1 else ""
        self.fail("all ranks wait for one another: " + "; ".join(lines) + advice)

    def fail(self, message: str) -> None:
        """Raise an error here, and in every rank that waits or calls later."""
        with self.condition:
            self.error = CollectiveError(message)
            self.condition.notify_all()
        raise self.error

    def check(self) -> None:
        if self.error is not None:
            raise CollectiveError(str(self.error))


class NCCLBackend:
    """What cupyx.distributed.NCCLBackend gives: the communicator of one rank."""

    def __init__(self, world: World, rank: int) -> None:
        self._world, self.rank, self._n_devices = world, rank, world.size
        self._group: Entry | None = None

    def all_reduce(self, in_array, out_array, op="sum", stream=None) -> None:
        """out_array = the sum (prod, max, min) of all ranks' in_array."""
        self._op("all_reduce", op)
        self._sizes("all_reduce", in_array, out_array, self._size(in_array))
        self._call("all_reduce", (self._size(in_array), op), in_array, out_array, stream)

    def reduce(self, in_array, out_array, root=0, op="sum", stream=None) -> None:
        """The same on rank `root` alone."""
        self._op("reduce", op)
        self._root("reduce", root)
        target = out_array if self.rank == root else None
        if target is not None:
            self._sizes("reduce", in_array, out_array, self._size(in_array))
        self._call("reduce", (self._size(in_array), op, root), in_array, target, stream)

    def broadcast(self, in_out_array, root=0, stream=None) -> None:
        """in_out_array of rank `root` on all."""
        self._root("broadcast", root)
        self._call("broadcast", (self._size(in_out_array), root), in_out_array, in_out_array, stream)

    def reduce_scatter(self, in_array, out_array, count, op="sum", stream=None) -> None:
        """out_array = the rank's slice, of `count` numbers, of the sum of in_array."""
        self._op("reduce_scatter", op)
        self._sizes("reduce_scatter", in_array, out_array, count, self._n_devices * count)
        self._call("reduce_scatter", (count, op), in_array, out_array, stream)

    def all_gather(self, in_array, out_array, count, stream=None) -> None:
        """out_array = all ranks' in_array, of `count` numbers, one behind the other."""
        self._sizes("all_gather", in_array, out_array, self._n_devices * count, count)
        self._call("all_gather", (count,), in_array, out_array, stream)

    def send(self, array, peer, stream=None) -> None:
        """A message to rank `peer`, which waits for it."""
        self._root("send", peer)
        self._call("send", (self._size(array),), array, None, stream, peer)

    def recv(self, out_array, peer, stream=None) -> None:
        """A message from rank `peer`."""
        self._root("recv", peer)
        self._call("recv", (self._size(out_array),), None, out_array, stream, peer)

    def send_recv(self, in_array, out_array, peer, stream=None) -> None:
        """Both at once."""
        with self.group():
            self.send(in_array, peer, stream)
            self.recv(out_array, peer, stream)

    def all_to_all(self, in_array, out_array, stream=None) -> None:
        """out_array[k] = in_array[rank] of rank k; both (ranks, ...)."""
        for name, array in (("in_array", in_array), ("out_array", out_array)):
            self._mine("all_to_all", array)
            if not array.ndim or array.shape[0] != self._n_devices:
                raise RuntimeError(
                    f"all_to_all requires {name} to have {self._n_devices} elements in its first dimension, found"
                    f" {array.shape}"
                )
        self._sizes("all_to_all", in_array, out_array, self._size(in_array))
        with self.group():
            for k in range(self._n_devices):
                self.send(in_array[k], k, stream)
                self.recv(out_array[k], k, stream)

    def barrier(self) -> None:
        """All ranks come here, on the host, before any goes on."""
        entry = Entry(self.rank, [self._new("barrier", ())])
        self._world.issue(entry)
        self._world.wait(self.rank, entry)

    def stop(self) -> None:
        """The rank ends. Raises CollectiveError where calls of its are left."""
        if self._group is not None:
            self._world.fail(f"rank {self.rank} ends in a group: groupEnd is missing")
        for entry in list(self._world.queues[self.rank]):
            self._world.wait(self.rank, entry)

    def group_start(self) -> None:
        """What nccl.groupStart does for this rank's calls."""
        if self._group is not None:
            self._world.fail(f"rank {self.rank}: groupStart in a group that has not ended")
        self._group = Entry(self.rank)

    def group_end(self) -> None:
        """What nccl.groupEnd does: the calls since group_start go into the stream as one."""
        if self._group is None:
            self._world.fail(f"rank {self.rank}: groupEnd without groupStart")
        entry, self._group = self._group, None
        if entry.calls:
            self._world.issue(entry)

    @contextmanager
    def group(self) -> Iterator[None]:
        """The calls within it as one, or as part of the group around it."""
        if self._group is not None:
            yield
            return
        self.group_start()
        yield
        self.group_end()

    def _call(self, name, shape, source, target, stream, peer=None) -> None:
        world, xp = self._world, self._world.xp
        xp.not_capturing(f"nccl's {name}")
        for array in (source, target):
            if array is not None:
                self._mine(name, array)
        array = target if source is None else source
        call = self._new(name, (shape[0], array.dtype.name, *shape[1:]), peer)
        call.source = None if source is None else source._a.copy()
        alone = self._group is None
        entry = Entry(self.rank) if alone else self._group
        entry.calls.append(call)
        if target is not None:
            call.target = target._memory
            number = (xp.cuda.get_current_stream() if stream is None else stream).ptr
            owner = call.target
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            bounds = np.lib.array_utils.byte_bounds(call.target)
            with world.condition:
                xp.writing.append(Writing(world, entry, call, weakref.ref(owner), bounds, number))
        if alone:
            world.issue(entry)

    def _new(self, name: str, shape: tuple, peer: int | None = None) -> Call:
        self._world.counts[self.rank] += 1
        return Call(self.rank, self._world.counts[self.rank], name, shape, peer)

    def _mine(self, name: str, array) -> None:
        if type(array) is not self._world.xp.ndarray:
            raise TypeError(f"{name}: a device array is needed, got {type(array).__name__}")
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            raise RuntimeError("NCCL requires arrays to be either c- or f-contiguous")
        if array.dtype.char not in DTYPES:
            raise TypeError(f"Unknown dtype {array.dtype} for NCCL")

    def _size(self, array) -> int:
        self._mine("nccl", array)
        return array.size

    def _sizes(self, name: str, in_array, out_array, out_size: int, in_size: int | None = None) -> None:
        for array in (in_array, out_array):
            self._mine(name, array)
        if in_array.dtype != out_array.dtype:
            raise CollectiveError(f"{name}: in_array is {in_array.dtype}, out_array {out_array.dtype}")
        for which, array, size in (("in", in_array, in_size), ("out", out_array, out_size)):
            if size is not None and array.size != size:
                raise CollectiveError(f"{name}: {which}_array has {array.size} numbers, {size} are needed")
        if in_array is not out_array and np.may_share_memory(in_array._memory, out_array._memory):
            raise CollectiveError(f"{name}: in_array and out_array overlap")

    def _op(self, name: str, op: str) -> None:
        if op not in OPS:
            raise RuntimeError(f"Unknown op {op} for NCCL")

    def _root(self, name: str, rank: int) -> None:
        if not 0 <= rank < self._n_devices:
            raise CollectiveError(f"{name}: there is no rank {rank} of {self._n_devices}")


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
