"""Machine room, kernels: what Numba does at each compilation and none of these kernels needs, left out.

Numba makes four libraries of one kernel with threads, and links each into the next: the body of its loop, that as a
gufunc, that as a job of the pool, and the kernel. Each of the four is optimised as a whole and turned into machine
code, though only the last is ever called, and all code of the others stands in it once more. Between `begin` and `end`,

- the second and the third are optimised function by function only, and do not become machine code: nobody asks for an
  address in them;
- Python's search for cycles among a compiler's millions of small objects waits.

The bits of all results are the same, and so is the speed. (Without the body's own optimisation kernels compile another
tenth faster, and training steps take 1.5 % longer.)
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
    """A library of Numba's that knows from its name whether it is the second or the third."""

    @property
    def _between(self) -> bool:
        return _saving and "gufuncwrapper" in self.name.lower()

    def _optimize_final_module(self) -> None:
        if not self._between:
            super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        if self._between:
            self._finalize_dynamic_globals()
            self._finalized = True
        else:
            super()._finalize_final_module()


# A Numba that names them otherwise compiles as it always does.
_NEEDED = ("_optimize_final_module", "_finalize_final_module", "_finalize_dynamic_globals")
if all(hasattr(JITCodeLibrary, name) for name in _NEEDED):
    cpu_target.target_context.codegen()._library_class = _Library
