"""Machine room, engine: devices. Which array module and which kernels an array has; where random numbers come from.

This is the one place that chooses. `open_device` enters the arrays of a device, by their type, in two tables: the
module whose functions take them, which an op gets by `namespace(x)`, and the package of kernels, to which a kernel of
`minigan.kernels` hands over what is not NumPy's. The devices:

    cpu               NumPy and Numba
    cuda              CuPy, imported on first use, and the kernels of kernels/*.cu
    cudasim           the same .cu text on the CPU (`minigan.cudasim`), behind a stand-in for CuPy
    cudasim:check     the same, every load and store checked

As in the kernels, the type np.ndarray beside a name stands for an array of any device.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar, Token
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from minigan import kernels
from minigan.kernels import cuda as cuda_kernels
from minigan.kernels.cuda.load import modules as device_modules
from minigan.kernels.work import packages as device_kernels

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

float32, float64 = np.dtype("float32"), np.dtype("float64")
int64, bool_ = np.dtype("int64"), np.dtype("bool")
FLOATS = (float32, float64)


class DeviceError(RuntimeError):
    """A device that exists in principle cannot be used here; the message says why."""


def require_known(name: str) -> None:
    """ValueError for what is no device's name, whether or not that device can be used here."""
    if name not in DEVICES:
        raise ValueError(f"unknown device {name!r}; known devices: {', '.join(map(repr, DEVICES))}")


class device(str):
    """A device name: `device("cuda")`. As a context manager, the device on which tensors are made.

    Raises ValueError for a name it does not know and DeviceError, with the reason, for one that cannot be used here.
    """

    _tokens: list[Token[device]]

    def __new__(cls, name: str = "cpu") -> device:
        require_known(name)
        if name != "cpu":
            module_of(name)
        place = super().__new__(cls, name)
        place._tokens = []
        return place

    @property
    def type(self) -> str:
        """Its name, as torch.device has it."""
        return str(self)

    @property
    def is_host(self) -> bool:
        """Whether it is the CPU itself: NumPy's arrays, and nothing to wait for."""
        return str(self) == "cpu"

    @property
    def simulated(self) -> bool:
        """Whether the CPU stands in for it, thread by thread: right, and slow."""
        return self.startswith("cudasim")

    def __getnewargs__(self) -> tuple[str]:
        return (str(self),)

    def __enter__(self) -> device:
        self._tokens.append(_default.set(self))
        return self

    def __exit__(self, *error: object) -> None:
        _default.reset(self._tokens.pop())


DEVICES = ("cpu", "cuda", "cudasim", "cudasim:check")
CPU = device("cpu")
_default: ContextVar[device] = ContextVar("minigan_device", default=CPU)
_modules: dict[str, ModuleType] = {"cpu": np}


def default_device() -> device:
    """The device on which tensors are made where none is named: the innermost `with device(...)`, else the CPU."""
    return _default.get()


def module_of(name: str) -> ModuleType:
    """The array module of a device, opened on first use; DeviceError says why it cannot be."""
    if name not in _modules:
        _modules[name] = module = _cupy() if name == "cuda" else _simulator(name)
        open_device(module)
    return _modules[name]


def open_device(module: ModuleType) -> None:
    """From now on arrays of `module`, CuPy or a stand-in, are known, and run the CUDA kernels."""
    device_modules[module.ndarray] = module
    device_kernels[module.ndarray] = cuda_kernels


def _simulator(name: str) -> ModuleType:
    from .cudasim.build import available

    if not available():
        raise DeviceError(f"device {name!r} cannot be used: it compiles the kernels with g++, which is not installed")
    from .cudasim.standin import StandIn

    return StandIn(check=name.endswith(":check"))


def _cupy() -> ModuleType:
    advice = "pip install 'cupy-cuda13x[ctk]' (or the cupy of your CUDA version), or use device 'cudasim' or 'cpu'"
    try:
        import cupy
    except ImportError as error:
        raise DeviceError(f"device 'cuda' cannot be used: CuPy cannot be imported ({error}); {advice}") from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise DeviceError(
            f"device 'cuda' cannot be used: the driver says {str(error)!r}; install NVIDIA's driver, or use device"
            " 'cudasim' or 'cpu'"
        ) from error
    if count == 0:
        raise DeviceError("device 'cuda' cannot be used: the driver finds no GPU; use device 'cudasim' or 'cpu'")
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except Exception as error:
        raise DeviceError(f"device 'cuda' cannot be used: NVRTC is missing ({error}); {advice}") from error
    return cupy


def device_of(array: np.ndarray) -> device:
    """The device that holds `array`."""
    if isinstance(array, np.ndarray):
        return CPU
    module = namespace(array)
    return device(next(name for name, other in _modules.items() if other is module))


def namespace(array: np.ndarray) -> ModuleType:
    """The array module (NumPy, CuPy or its stand-in) whose functions take `array`."""
    if isinstance(array, np.ndarray):
        return np
    try:
        return device_modules[type(array)]
    except KeyError:
        raise TypeError(f"expected an array of NumPy or of an open device, got {type(array).__name__}") from None


def together(op: str, arrays: Iterable[np.ndarray]) -> None:
    """TypeError, naming both devices, unless all arrays lie on one."""
    if len({type(array) for array in arrays}) > 1:
        first, second = sorted({str(device_of(array)) for array in arrays})[:2]
        raise TypeError(
            f"{op}: one operand is on device {first!r}, another on {second!r}; move one of them with .to({first!r})"
        )


def on(like: np.ndarray, array: np.ndarray) -> np.ndarray:
    """A NumPy array on the device of the array `like`."""
    return array if isinstance(like, np.ndarray) else namespace(like).asarray(array)


def to_device(array: np.ndarray, name: str) -> np.ndarray:
    """`array` on the device `name`, itself if it is there. From a device to the CPU, the host waits."""
    module, here = module_of(name), namespace(array)
    if module is here:
        return array
    return module.asarray(array if here is np else here.asnumpy(array))


def special(array: np.ndarray) -> ModuleType:
    """The module with erf for `array`: SciPy's, CuPy's or the stand-in's."""
    if isinstance(array, np.ndarray):
        import scipy.special

        return scipy.special
    module = namespace(array)
    return module.special if device_of(array).simulated else import_module("cupyx.scipy.special")


def host(array: np.ndarray) -> np.ndarray:
    """`array` on the CPU."""
    return array if isinstance(array, np.ndarray) else namespace(array).asnumpy(array)


def set_num_threads(n: int) -> None:
    """Kernels called from this thread run on n threads from now on; ValueError where n < 1. Results do not depend on
    it."""
    kernels.load.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that kernels called from this thread run on."""
    return kernels.load.get_num_threads()


class Generator:
    """A stream of counter-based random numbers (Philox4x32-10): draw number `step` of stream `stream` under `seed`.

    The three integers are the whole state, so a run resumes by restoring them, and a draw's values depend on
    neither the machine nor the number of threads (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
    """

    def __init__(self, seed: int = 0, stream: int = 0) -> None:
        self.manual_seed(seed)
        self.stream = int(stream)

    def manual_seed(self, seed: int) -> Generator:
        """Start over under another seed, an integer in [0, 2**64)."""
        if not 0 <= int(seed) < 2**64:
            raise ValueError(f"seed must be an integer in [0, 2**64), got {seed}")
        self.seed, self.step = int(seed), 0
        return self

    def state_dict(self) -> dict[str, int]:
        """{"seed", "stream", "step"}: all there is to know."""
        return {"seed": self.seed, "stream": self.stream, "step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue where `state` was taken."""
        self.seed, self.stream, self.step = (int(state[k]) for k in ("seed", "stream", "step"))

    def __reduce__(self) -> tuple:
        return _restored, (self.state_dict(),)

    def uniform(self, shape: tuple[int, ...], dtype: DTypeLike = float32) -> np.ndarray:
        """An array of the given shape, uniform on [0, 1) in steps of 2**-24."""
        return self._draw("uniform", shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: DTypeLike = float32) -> np.ndarray:
        """An array of the given shape, standard normal."""
        return self._draw("normal", shape, dtype)

    def permutation(self, n: int) -> np.ndarray:
        """A random order of 0..n-1, int64."""
        self.step += 1
        order = kernels.random.permutation(n, self.seed, self.stream, self.step - 1)
        return to_device(order, _default.get())

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """int64 uniform on low..high-1. Raises ValueError when the range is empty or wider than 2**24."""
        if not 0 < high - low <= 2**24:
            raise ValueError(f"randint: need 0 < high - low <= 2**24, got low={low}, high={high}")
        return low + (self.uniform(shape, float64) * (high - low)).astype(np.int64)

    def _draw(self, kind: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64))
        self.step += 1
        numbers = (count, self.seed, self.stream, self.step - 1, np.dtype(dtype))
        if (where := _default.get()) == "cpu":
            return getattr(kernels.random, kind)(*numbers).reshape(shape)
        return getattr(cuda_kernels.random, kind)(module_of(where), *numbers).reshape(shape)


def _restored(state: dict[str, int]) -> Generator:
    generator = Generator()
    generator.load_state_dict(state)
    return generator


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, which dropout, initialisers and `randn` draw from."""
    return default_generator.manual_seed(seed)
