"""The stand-in for CuPy is strict: what would go wrong in silence on a GPU, or not run on CuPy, is refused; its names
and arguments are the real module's."""

import numpy as np
import pytest

import minigan as mg
from minigan import cudasim, nn
from minigan.backend import DeviceError, module_of
from minigan.cudasim import standin
from minigan.kernels.cuda import load

pytestmark = pytest.mark.skipif(
    not cudasim.available(), reason="the simulator compiles kernels with g++: not installed"
)
SOURCE = """
extern "C" __global__ void scale(const float* x, float by, float* out, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = by * x[i];
}
"""


@pytest.fixture(scope="module")
def xp():
    return module_of("cudasim")


@pytest.fixture(scope="module")
def scale(xp):
    return xp.RawModule(code=SOURCE).get_function("scale")


def run(scale, xp, **changes):
    """A right launch, with some of it changed."""
    x = xp.asarray(np.arange(8, dtype=np.float32))
    right = {"grid": (1,), "block": (8,), "x": x, "by": np.float32(2), "out": xp.zeros(8, np.float32), "n": np.int32(8)}
    values = right | {k: v(xp) if callable(v) else v for k, v in changes.items()}
    grid, block, out = values.pop("grid"), values.pop("block"), values["out"]
    args = values.pop("args", tuple(values[k] for k in ("x", "by", "out", "n")))
    scale(grid, block, args)
    return out


def test_a_right_launch(scale, xp):
    assert run(scale, xp).get().tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


LAUNCHES = {
    "a NumPy array": ({"x": np.zeros(8, np.float32)}, TypeError, "device array"),
    "a list": ({"x": [0.0] * 8}, TypeError, "device array"),
    "None": ({"x": None}, TypeError, "device array"),
    "a Python float": ({"by": 2.0}, TypeError, "by"),
    "a Python int": ({"n": 8}, TypeError, "n is a"),
    "a float64 scalar": ({"by": np.float64(2)}, TypeError, "by"),
    "an int64 scalar": ({"n": np.int64(8)}, TypeError, "n is a"),
    "a float64 array": ({"x": lambda xp: xp.zeros(8)}, TypeError, "float64"),
    "an int32 result": ({"out": lambda xp: xp.zeros(8, np.int32)}, TypeError, "int32"),
    "every other element": ({"x": lambda xp: xp.zeros(16, np.float32)[::2]}, ValueError, "contiguous"),
    "a transposed array": ({"x": lambda xp: xp.zeros((2, 4), np.float32).T}, ValueError, "contiguous"),
    "an empty grid": ({"grid": (0,)}, ValueError, "empty"),
    "too large a block": ({"block": (2048,)}, ValueError, "threads"),
    "a grid that is a number": ({"grid": 1}, TypeError, "tuples"),
    "too few arguments": ({"args": ()}, TypeError, "0 arguments for 4"),
    "another device's array": ({"x": lambda _: module_of("cudasim:check").zeros(8, np.float32)}, TypeError, "device"),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_wrong_launch_is_refused(scale, xp, name):
    changes, error, match = LAUNCHES[name]
    with pytest.raises(error, match=match):
        run(scale, xp, **changes)


USES = {
    "adding a NumPy array": lambda xp, x: x + np.ones(3),
    "a NumPy array first": lambda xp, x: np.ones(3) + x,
    "a NumPy array in a function": lambda xp, x: xp.where(x > 0, x, np.zeros(3)),
    "a NumPy array as index": lambda xp, x: x[np.array([0, 1])],
    "a NumPy array stored": lambda xp, x: x.__setitem__(slice(None), np.ones(3)),
    "np.asarray": lambda xp, x: np.asarray(x),
    "a function CuPy lacks": lambda xp, x: np.polyfit(x, x, 1),
    "an argument CuPy lacks": lambda xp, x: x.max(initial=0.0),
    "a list to concatenate": lambda xp, x: xp.concatenate([x, np.ones(3)]),
    "a list of options": lambda xp, x: xp.RawModule(code=SOURCE, options=["-Dn=1"]),
    "set from another dtype": lambda xp, x: x.set(np.ones(3, np.float32)),
}


@pytest.mark.parametrize("name", USES)
def test_a_wrong_use_is_refused(xp, name):
    with pytest.raises((TypeError, ValueError)):
        USES[name](xp, xp.asarray(np.arange(3.0)))


WAITS = {
    "float": float,
    "int": int,
    "bool": bool,
    "item": lambda x: x.item(),
    "get": lambda x: x.get(),
    "tolist": lambda x: x.tolist(),
    "asnumpy": lambda x: module_of("cudasim").asnumpy(x),
    "if": lambda x: 1 if x > 0 else 0,
}


@pytest.mark.parametrize("name", WAITS)
def test_every_wait_is_counted(xp, name):
    x, before = xp.ones(()), xp.syncs
    WAITS[name](x)
    assert xp.syncs == before + 1


def test_empty_is_poisoned(xp):
    assert np.isnan(xp.empty(3, np.float32).get()).all()
    assert xp.empty(3, np.int32).get().tolist() == [2**31 - 1] * 3
    assert np.isnan(xp.empty_like(xp.zeros(3, np.float32)).get()).all()
    assert xp.empty_like(xp.zeros(3, np.int64)).get().tolist() == [2**63 - 1] * 3


def test_ufuncs_answer_in_c_order(xp):
    x = xp.zeros((2, 3)).T
    assert not x.flags.c_contiguous and (x + 1).flags.c_contiguous and xp.exp(x).flags.c_contiguous


def test_flags_are_cupys(xp):
    with pytest.raises(AttributeError):
        _ = xp.zeros(2).flags.writeable


def test_a_launch_of_nothing_is_left_out(xp):
    before, empty = xp.launches, xp.zeros(0, np.float32)
    load.launch(xp, "act", "tanh_kernel", np.float32, 0, empty, empty, 0)
    assert xp.launches == before


def test_names_and_arguments_are_those_of_cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    assert standin.differences(cupy) == []


def test_mixing_devices_names_both():
    x, y = mg.ones(2, device="cpu"), mg.ones(2, device="cudasim")
    with pytest.raises(TypeError, match=r"add: .*'cpu'.*'cudasim'.*\.to"):
        x + y


def test_to_and_back_with_gradient():
    x = mg.tensor([1.0, 2.0], device="cpu", requires_grad=True)
    y = x.to("cudasim")
    assert y.device == "cudasim" and x.device == "cpu"
    (g,) = mg.grad((y * y).sum(), x)
    assert g.device == "cpu" and g.tolist() == [2.0, 4.0]
    assert y.to("cpu").tolist() == [1.0, 2.0] and y.detach().numpy().tolist() == [1.0, 2.0]
    assert nn.Linear(2, 1).to("cudasim").weight.device == "cudasim"


def test_tensors_are_made_where_the_context_says():
    with mg.device("cudasim"):
        assert mg.zeros(2).device == mg.tensor([1.0]).device == mg.arange(3).device == "cudasim"
        assert mg.rand(2).device == "cudasim"
        with mg.device("cpu"):
            assert mg.rand(2).device == "cpu"
    generators = (mg.Generator(3), mg.Generator(3))
    with mg.device("cudasim"):
        ours = mg.randn(7, generator=generators[0])
    with mg.device("cpu"):
        assert ours.tolist() == mg.randn(7, generator=generators[1]).tolist()


def test_cuda_without_a_gpu_says_why():
    try:
        mg.device("cuda")
    except DeviceError as error:
        assert "cannot be used" in str(error) and ("cupy-cuda13x[ctk]" in str(error) or "driver" in str(error))
    else:
        pytest.skip("there is a GPU")


@pytest.mark.parametrize(("fault", "says"), [("count", "CUDA driver version is insufficient"), ("none", "no GPU")])
def test_what_the_driver_says_is_in_the_error(monkeypatch, fault, says):
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    from minigan import backend

    def count():
        if fault == "count":
            raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
        return 0

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", count)
    with pytest.raises(DeviceError, match=says):
        backend._cupy()


def test_cuda_without_cupy_says_what_to_install(monkeypatch):
    import sys

    from minigan import backend

    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"CuPy cannot be imported.*cupy-cuda13x\[ctk\]"):
        backend._cupy()
