"""Every kernel of kernels/*.cu in check mode, through the tests of test_cuda_kernels and test_cuda_edges, with threads
and blocks in forward, reverse and random order: the results are right, and nothing is reported (a report is a
KernelError). Random order and float32 by default, all of it with -m slow."""

import inspect
from collections.abc import Callable
from types import FunctionType

import numpy as np
import pytest
import test_cuda_edges
import test_cuda_kernels

from minigan import cudasim
from minigan.backend import device_kernels, device_modules, open_device
from minigan.cudasim.standin import StandIn
from minigan.kernels.cuda import load

pytestmark = [
    pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none"),
    pytest.mark.usefixtures("few_blocks"),
]
SLOW = pytest.mark.slow
DTYPES = pytest.mark.parametrize(
    "dtype", [np.float32, pytest.param(np.float64, marks=SLOW)], ids=["float32", "float64"]
)
SOURCES = (test_cuda_kernels, test_cuda_edges)


@pytest.fixture(
    scope="module", params=["random", pytest.param("forward", marks=SLOW), pytest.param("reverse", marks=SLOW)]
)
def xp(request):
    """A stand-in for CuPy of its own, whose kernels run checked and in this order."""
    module = StandIn(check=True, order=request.param)
    open_device(module)
    yield module
    del device_modules[module.ndarray], device_kernels[module.ndarray]


def again(test: Callable) -> Callable:
    """The same test, to be collected here, where it gets the `xp` and the DTYPES above."""
    copy = FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    marks = getattr(test, "pytestmark", [])
    copy.pytestmark = [DTYPES.mark if mark == test_cuda_kernels.DTYPES.mark else mark for mark in marks]
    return copy


OF_KERNELS = {
    name: again(test)
    for source in SOURCES
    for name, test in vars(source).items()
    if name.startswith("test_") and "xp" in inspect.signature(test).parameters
}
globals().update(OF_KERNELS)


def test_every_kernel_is_run():
    """The launchers and tests above name every kernel there is, so that a new one is not forgotten."""
    kernels = {name for path in load.HERE.glob("*.cu") for name in load.signatures(path.stem)}
    launchers = [p.read_text() for p in (load.HERE / "cuda").glob("*.py")]
    text = "\n".join([*launchers, *(inspect.getsource(s) for s in SOURCES)])
    assert {k for k in kernels if f'"{k}"' not in text} == set()
    assert len(kernels) > 25 and len(OF_KERNELS) > 10
