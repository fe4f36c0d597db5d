"""Machine room, capture: a plan, which is a recorded step as a list of compiled loops over one block of memory.

From the record, a program (`program.py`), to the loops, in four passes:

1. Dead code. A line whose values nobody reads, and which changes nothing in place, goes.
2. Rewrites (`fusion`): a bias, an activation or a mask joins the product that feeds it; gradients of one weight add up
   where the first one lies.
3. Buffers. Each op is asked which loops it would call (`Op.prepare`), with arrays that have shapes but no numbers. What
   it wants for itself, and the values it computes, become buffers with a first and a last line. Views of other values
   have none. Packed weights and the like are made once for all lines that ask, until the weights change; and once for
   all replays, where the step itself does not change them (`memo.py`).
4. The arena. Two buffers may share memory unless their lives overlap: largest first, each takes the lowest place that
   is free for as long as it lives (Pisarchyk & Lee 2020, "greedy by size"). Then the ops are asked again, with arrays
   in the arena, and the loops they name are the plan. On a GPU, what a stream can capture becomes a CUDA graph
   (`cuda_graph`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from minigan.kernels.work import LINE, aligned, poisoned, poisons

from .. import _errors
from .._array import Seal
from ..autograd import Tensor, array_of
from ..backend import namespace
from .cuda_graph import graphed
from .fusion import fused
from .memo import Constants, Memo
from .program import Effect, Instruction, Value


@dataclass
class Buffer:
    """Bytes that are needed from line `first` of the program to line `last`, at `offset` in the arena."""

    nbytes: int
    first: int
    last: int
    offset: int = 0


class Plan:
    """A recorded step, ready to run. program: what is left of the record; calls: the loops; lines: the line of the
    program that each loop, before any are joined to a graph of the device, belongs to; arena: the memory; arrays: where
    each value lies; results: the arrays that the caller gets copies of; recording: the whole record, where it is wanted
    for a comparison. An exact plan is rewritten only where that keeps every bit."""

    recording = None

    def __init__(
        self,
        record: Sequence[Instruction | Effect],
        results: Sequence[Value],
        rebuild: Callable[[Iterator[np.ndarray]], object],
        entries: Sequence[tuple[Tensor, Tensor | None]],
        grads: Sequence[tuple[Tensor, Value | None]],
        flags: Sequence[tuple[Tensor, bool]],
        fits: Callable[[], bool],
        exact: bool = False,
    ) -> None:
        exits = [*results, *(value for _, value in grads if value is not None)]
        self.fits = fits
        self.program = fused(_alive(record, exits), exits, exact)
        arrays, self.arena, calls, self.lines = _placed(self.program, exits)
        self.arrays = arrays
        self.calls = calls if isinstance(self.arena, np.ndarray) else graphed(calls, namespace(self.arena))
        self._rebuild, self.results = rebuild, [arrays[value] for value in results]
        self._entries = [(t, array_of(before)) for t, before in entries if before is not None]
        self._grads = [(t, None if value is None else Tensor(arrays[value])) for t, value in grads]
        self._flags = flags
        self._versions = [v for line in self.program if isinstance(line, Effect) for v in line.versions]

    def run(self):
        """Run the step; returns what the recorded function returned."""
        for t, array in self._entries:
            gradient = array_of(t._grad)
            if gradient is not array:
                np.copyto(array, gradient)
        try:
            for function, arguments in self.calls:
                function(*arguments)
        except (ValueError, TypeError, IndexError) as error:
            raise self._explained(error, arguments) from error
        for version in self._versions:
            version[0] += 1
        for t, g in self._grads:
            t._grad = g
        for t, flag in self._flags:
            t._leaf_grad = flag
        return self._rebuild(iter(self.results))

    def _explained(self, error: Exception, arguments: tuple) -> Exception:
        """The error of the call with these arguments, with its op's name and shapes, as outside of a replay."""
        lines = [line for (_, others), line in zip(self.calls, self.lines, strict=False) if others is arguments]
        line = self.program[lines[0]] if lines and len(self.calls) == len(self.lines) else None
        if not isinstance(line, Instruction):
            return error
        return _errors.explained(line.op.name, error, [value.shape for value in line.inputs])


def _alive(record: Sequence[Instruction | Effect], results: Sequence[Value]) -> list[Instruction | Effect]:
    """The lines that something depends on: a result, or a change in place."""
    values = set(results)
    alive = []
    for line in reversed(record):
        if isinstance(line, Effect) or line.op.generator is not None or not values.isdisjoint(line.outputs):
            values.update(line.reads)
            alive.append(line)
    return alive[::-1]


class _Requests:
    """The work (see kernels/work.py) of planning: hands out the buffers that ops ask for, and keeps what they call.

    Without an arena the buffers are memory of their own, never touched, so never really there; each becomes a Buffer
    with its life. With the arena the same requests come again in the same order, and get their places.
    """

    def __init__(
        self,
        memory: Callable,
        constants: Constants,
        buffers: list[Buffer] | None = None,
        arena: np.ndarray | None = None,
    ) -> None:
        self.memory, self.constants = memory, constants
        self.buffers, self.arena = [] if buffers is None else buffers, arena
        self.number, self.now, self.calls, self.lines, self.memo, self.alive = 0, 0, [], [], {}, []

    def take(self, nbytes: int, last: int) -> tuple[np.ndarray, Buffer]:
        """(memory for nbytes from the present line to `last`, its Buffer)."""
        if self.arena is None:
            self.buffers.append(Buffer(nbytes, self.now, last))
            memory = self.memory(nbytes, np.uint8)
            self.alive.append(memory)  # or its address would be another's
        else:
            start = self.buffers[self.number].offset
            memory = self.arena[start : start + nbytes]
        self.number += 1
        self.written(memory)
        return memory, self.buffers[self.number - 1]

    def empty(self, shape: int | tuple[int, ...], dtype=np.float32) -> np.ndarray:
        return self._scratch(shape, np.dtype(dtype))[0]

    def _scratch(self, shape, dtype: np.dtype) -> tuple[np.ndarray, Buffer]:
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        memory, buffer = self.take(nbytes, self.now)
        array = memory.view(dtype).reshape(shape)
        self.poison(array)
        return array, buffer

    def poison(self, array: np.ndarray) -> None:
        """At each replay, too, memory that a call is about to write is full of NaN with MINIGAN_POISON=1."""
        if poisons():
            self.call(poisoned, array)

    def call(self, function: Callable, *arguments) -> None:
        self.calls.append((function, arguments))
        self.lines.append(self.now)

    def derived(self, key: Hashable, source: np.ndarray, shape, fill: Callable[[np.ndarray], None]) -> np.ndarray:
        key = key, source.ctypes.data, source.shape, source.strides
        if key not in self.memo:
            array, buffer = self._scratch(shape, np.dtype(np.float32))
            self.memo[key] = array, buffer, source
            with self.constant(self.constants.of_array(source), [buffer]):
                fill(array)
        array, buffer, _ = self.memo[key]
        if self.arena is None:
            buffer.last = max(buffer.last, self.now)
        return array

    @contextmanager
    def constant(self, versions: frozenset[Seal] | None, buffers: Sequence[Buffer]) -> Iterator[None]:
        """What is called within it becomes one call, which skips it while all these versions stand; and the buffers are
        nobody else's. For None, all as ever."""
        if versions is None:
            yield
            return
        calls, lines = self.calls, self.lines
        self.calls, self.lines = [], []
        yield
        memo = Memo(versions, self.calls)
        self.calls, self.lines = calls, lines
        if not (calls and isinstance(calls[-1][0], Memo) and calls[-1][0].joined(memo)):
            self.call(memo)
        for buffer in buffers:
            buffer.first, buffer.last = 0, self.constants.end

    def written(self, array: np.ndarray) -> None:
        """Forget what was derived from memory that now changes."""
        self.memo = {key: entry for key, entry in self.memo.items() if not np.may_share_memory(entry[2], array)}


def _memory(program: Sequence[Instruction | Effect]) -> Callable:
    """Allocates where the program's tensors lie: `aligned` for the CPU, else the device's `empty`."""
    device = (
        v.array for line in program for v in line.reads if v.array is not None and not isinstance(v.array, np.ndarray)
    )
    array = next(device, None)
    return aligned if array is None else namespace(array).empty


def _placed(program: Sequence[Instruction | Effect], results: Sequence[Value]) -> tuple[dict, np.ndarray, list, list]:
    """(value -> array, the arena, the calls, the line of each); the arrays of all values are in the arena or leaves."""
    last: dict[Value, int] = {}
    for now, line in enumerate(program):
        for value in (*line.reads, *line.outputs):
            last[value.root] = now
    for value in results:
        last[value.root] = len(program)
    memory, constants = _memory(program), Constants(program, results)
    dry = _Requests(memory, constants)
    _bind(program, last, dry)
    size = _assign(dry.buffers)
    wet = _Requests(memory, constants, dry.buffers, memory(size, np.uint8))
    arrays = _bind(program, last, wet)
    for value in results:
        arrays.setdefault(value, value.array)
    return arrays, wet.arena, wet.calls, wet.lines


def _bind(program: Sequence[Instruction | Effect], last: dict[Value, int], work: _Requests) -> dict[Value, np.ndarray]:
    """Ask every line for its loops; returns value -> array."""
    arrays: dict[Value, np.ndarray] = {}

    for now, line in enumerate(program):
        work.now = now
        inputs = [arrays.get(value, value.array) for value in line.reads]
        if isinstance(line, Effect):
            work.call(line.kernel, *inputs)
            for array in inputs[: len(line.targets)]:
                work.written(array)
            continue
        if line.is_view:
            views = line.op.forward(*inputs)
            arrays.update(zip(line.outputs, views if type(views) is tuple else (views,), strict=True))
            continue
        buffers = []
        for value in line.outputs:
            if value in arrays or value.array is not None:
                continue
            if line.into is not None:
                arrays[value] = inputs[-1]
            else:
                memory, buffer = work.take(value.nbytes, last[value.root])
                arrays[value] = value.laid_out(memory)
                buffers.append(buffer)
        outputs = [arrays[value] for value in line.outputs]
        with work.constant(work.constants.of_line(line), buffers):
            for _, array in zip(buffers, outputs, strict=False):
                work.poison(array)
            line.op.prepare(work, inputs[: len(line.inputs)], outputs)
    return arrays


def _assign(buffers: Sequence[Buffer]) -> int:
    """Give every buffer its offset; returns the size of the arena in bytes."""
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: -b.nbytes):
        offset = 0
        for other in sorted((b for b in placed if b.first <= buffer.last and buffer.first <= b.last), key=_offset):
            if offset + buffer.nbytes <= other.offset:
                break
            offset = max(offset, -(-(other.offset + other.nbytes) // LINE) * LINE)
        buffer.offset = offset
        placed.append(buffer)
    return max((b.offset + b.nbytes for b in buffers), default=0)


def _offset(buffer: Buffer) -> int:
    return buffer.offset
