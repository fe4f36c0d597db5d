"""Machine room, kernels: what Numba does at each compilation and none of these kernels needs, left out.

Numba makes four libraries of one kernel with threads, and links each into the next: the body of its loop, that as a
gufunc, that as a job of the pool, and the kernel. Each of the four is optimised as a whole and turned into machine
code, though only the last is ever called, and all code of the others stands in it once more. Between `begin` and `end`,

- the first three are optimised function by function only; the last is, as a whole, when all are part of it;
- Python's search for cycles among a compiler's millions of small objects waits.

And always, machine code is generated for a library when an address in it is asked for.
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
    """A library of Numba's that is turned into machine code late."""

    def _optimize_final_module(self) -> None:
        if not (_saving and "gufunc" in self.name.lower()):  # the names of the first three
            super()._optimize_final_module()

    def _finalize_specific(self) -> None:
        self._codegen._scan_and_fix_unresolved_refs(self._final_module)

    def _get_compiled_object(self) -> bytes:
        if self._object_caching_enabled and not self._compiled:  # nobody has asked for an address
            self._codegen._engine.finalize_object()
        return super()._get_compiled_object()


cpu_target.target_context.codegen()._library_class = _Library
