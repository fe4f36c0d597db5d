"""Every kernel of kernels/*.cu in check mode, through the tests of test_cuda_kernels and test_cuda_edges, with threads
and blocks in forward, reverse and random order: the results are right, and nothing is reported (a report is a
KernelError)."""

import inspect

import pytest
import test_cuda_edges
import test_cuda_kernels

from minigan import cudasim
from minigan.cudasim.standin import StandIn
from minigan.kernels.cuda import load

pytestmark = [
    pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none"),
    pytest.mark.usefixtures("few_blocks"),
]


@pytest.fixture(
    scope="module", params=[pytest.param(o, marks=pytest.mark.slow) for o in ("forward", "reverse", "random")]
)
def xp(request):
    """A stand-in for CuPy of its own, whose kernels run checked and in this order."""
    module = StandIn(check=True, order=request.param)
    load.modules[module.ndarray] = module
    yield module
    del load.modules[module.ndarray]


# The same functions, collected once more here, where they get the `xp` above.
globals().update(
    {
        name: test
        for module in (test_cuda_kernels, test_cuda_edges)
        for name, test in vars(module).items()
        if name.startswith("test_") and "xp" in inspect.signature(test).parameters
    }
)
