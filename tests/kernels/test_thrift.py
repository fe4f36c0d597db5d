"""What Numba is spared at a compilation: two libraries between a kernel and the body of its loop are only linked."""

import gc

import numpy as np
import pytest
from numba import prange
from numba.core.codegen import JITCodeLibrary

from minigan.kernels import load, thrift


def test_only_a_kernel_and_the_body_of_its_loop_are_optimised_and_translated(monkeypatch):
    optimised, translated = [], []

    def watched(name, names):
        original = getattr(JITCodeLibrary, name)
        monkeypatch.setattr(JITCodeLibrary, name, lambda self: (names.append(self.name), original(self))[1])

    watched("_optimize_final_module", optimised)
    watched("_finalize_final_module", translated)

    @load.njit(parallel=True)
    def halves(x, out):
        for i in prange(x.size):
            out[i] = x[i] / 2

    halves.threaded._cache = load.numba.core.caching.NullCache()
    x, out = np.arange(1000, dtype=np.float32), np.empty(1000, np.float32)
    halves(x, out)
    assert (out == x / 2).all()
    for names in (optimised, translated):
        bodies = [name for name in names if "parfor_gufunc" in name]
        assert len(bodies) == 1 and [name for name in names if "halves" in name and name not in bodies]
        assert not [name for name in names if "gufuncwrapper" in name.lower()]
    assert not thrift._saving and gc.isenabled()


def test_what_cannot_be_compiled_leaves_everything_as_it_was():
    @load.njit
    def wrong(x):
        return x.no_such_thing

    with pytest.raises(load.numba.TypingError):
        wrong(np.zeros(3))
    assert not thrift._saving and gc.isenabled()


def test_collection_stays_off_where_it_was(monkeypatch):
    gc.disable()
    try:
        thrift.begin()
        thrift.end()
        assert not gc.isenabled()
    finally:
        gc.enable()
