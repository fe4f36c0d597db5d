"""Machine room, kernels: what Numba does at each compilation and none of these kernels needs, left out.

Numba makes four libraries of one kernel with threads, and links each into the next: the body of its loop, that as a
gufunc, that as a job of the pool, and the kernel. Each of the four is optimised as a whole and turned into machine
code, though only the last is ever called, and all code of the others stands in it once more. Between `begin` and `end`,

- the first three are optimised function by function only; the last is, as a whole, when all are part of it;
- the second and the third, which nobody asks for an address, do not become machine code;
- Python's search for cycles among a compiler's millions of small objects waits.
"""

from __future__ import annotations

import gc

from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target

_saving = False
_collects = True


def begin() -> None:
    """What is compiled until `end` is compiled by the rules above. Numba's compiler lock must be held."""
    global _saving, _collects
    _saving, _collects = True, gc.isenabled()
    gc.disable()


def end() -> None:
    """Everything is as it was before `begin`."""
    global _saving
    _saving = False
    if _collects:
        gc.enable()


class _Library(JITCodeLibrary):
    """A library of Numba's that knows from its name which of the four it is."""

    def _optimize_final_module(self) -> None:
        if not (_saving and "gufunc" in self.name.lower()):
            super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        if _saving and "gufuncwrapper" in self.name.lower():
            self._finalize_dynamic_globals()
            self._finalized = True
        else:
            super()._finalize_final_module()


cpu_target.target_context.codegen()._library_class = _Library
