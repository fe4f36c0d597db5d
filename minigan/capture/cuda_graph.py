"""Machine room, capture: CUDA graphs, the stretches of a plan's calls that a stream can capture, each launched as one.

A plan (`plan.py`) on a GPU is a list of launches, and each costs the CPU some microseconds; a small network's kernels
take less. A CUDA graph holds many launches and is launched once. What can be captured: kernels of `kernels/*.cu`,
copies between arrays and elementwise functions into arrays, all with the arguments that they were recorded with. What
cannot, and is called between the graphs as before: random draws and optimiser steps, whose arguments change; products
by cuBLAS, which keeps a workspace of its own; ops that allocate.

A stretch runs call by call at first, so that everything is compiled, is captured at its second run, and launched from
then on. Where the capture fails, it runs call by call for good, and `failure` says why. MINIGAN_CUDA_GRAPHS=0 in the
environment leaves graphs out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from types import ModuleType

import numpy as np

SHORTEST = 2
"""Calls that are worth a graph."""

Calls = Sequence[tuple[Callable, tuple]]


class Stretch:
    """Calls in a row that a stream can capture; calling it runs them all."""

    def __init__(self, xp: ModuleType, calls: Calls) -> None:
        self.xp, self.calls, self.graph, self.failure = xp, list(calls), None, None
        self._run = self._first

    def __call__(self) -> None:
        self._run()

    def one_by_one(self) -> None:
        """The calls, without a graph."""
        for function, arguments in self.calls:
            function(*arguments)

    def _first(self) -> None:
        self.one_by_one()
        self._run = self._capture

    def _capture(self) -> None:
        try:
            with self.xp.cuda.Stream(non_blocking=True) as stream:
                stream.begin_capture()
                try:
                    self.one_by_one()
                finally:
                    graph = stream.end_capture()
        except Exception as error:  # whatever CuPy, the driver or a call has against it: the calls still stand
            self.failure, self._run = error, self.one_by_one
        else:
            self.graph, self._run = graph, graph.launch
        self._run()


def graphed(calls: Calls, xp: ModuleType) -> list[tuple[Callable, tuple]]:
    """The calls of a plan on a device, with what can be captured drawn together."""
    if os.environ.get("MINIGAN_CUDA_GRAPHS") == "0":
        return list(calls)
    stretches: list[tuple[Callable, tuple]] = []
    for fits, group in groupby(calls, partial(_fits, xp)):
        stretch = list(group)
        stretches += [(Stretch(xp, stretch), ())] if fits and len(stretch) >= SHORTEST else stretch
    return stretches


def _fits(xp: ModuleType, call: tuple[Callable, tuple]) -> bool:
    """Whether a stream can capture the call: a kernel, a copy, or a ufunc from device arrays into one."""
    function, arguments = call
    if function is xp.copyto:
        return all(isinstance(a, xp.ndarray) and a.dtype == arguments[0].dtype for a in arguments)
    if isinstance(function, partial) and isinstance(function.func, np.ufunc):
        return all(isinstance(a, xp.ndarray) for a in (*function.args, *function.keywords.values()))
    return isinstance(function, xp.RawKernel)
