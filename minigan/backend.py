"""Devices: which array module and which kernels an array belongs to, and where random numbers come from.

Nothing else in minigan knows what a device is. An op asks `namespace(x)` for NumPy's or CuPy's
functions and calls `minigan.kernels`, which takes the arrays of either. This version computes on the
CPU; the CUDA device is refused with the reason.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

float32, float64 = np.dtype("float32"), np.dtype("float64")
int64, bool_ = np.dtype("int64"), np.dtype("bool")
FLOATS = (float32, float64)


class DeviceError(RuntimeError):
    """A device that exists in principle cannot be used here; the message says why."""


class device(str):
    """A device name: `device("cpu")`. Raises ValueError for a name it does not know and DeviceError,
    with the reason, for one that cannot be used here."""

    def __new__(cls, name: str = "cpu") -> device:
        if name == "cpu":
            return super().__new__(cls, name)
        if str(name).split(":")[0] in ("cuda", "cudasim"):
            raise DeviceError(
                f"device {str(name)!r} cannot be used: this version of minigan has kernels for the CPU only; use 'cpu'"
            )
        raise ValueError(f"unknown device {name!r}; known devices: 'cpu'")


CPU = device("cpu")


def device_of(array: np.ndarray) -> device:
    """The device that holds `array`."""
    if isinstance(array, np.ndarray):
        return CPU
    raise TypeError(f"expected a NumPy array, got {type(array).__name__}")


def namespace(array: np.ndarray) -> ModuleType:
    """The array module (NumPy) whose functions take `array`."""
    if isinstance(array, np.ndarray):
        return np
    raise TypeError(f"expected a NumPy array, got {type(array).__name__}")


def set_num_threads(n: int) -> None:
    """Kernels called from this thread run on n threads from now on; ValueError where n < 1. Results do not depend on
    it."""
    from minigan.kernels import load

    load.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that kernels called from this thread run on."""
    from minigan.kernels import load

    return load.get_num_threads()


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

    def uniform(self, shape: tuple[int, ...], dtype=float32) -> np.ndarray:
        """An array of the given shape, uniform on [0, 1) in steps of 2**-24."""
        return self._draw("uniform", shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype=float32) -> np.ndarray:
        """An array of the given shape, standard normal."""
        return self._draw("normal", shape, dtype)

    def permutation(self, n: int) -> np.ndarray:
        """A random order of 0..n-1, int64."""
        from minigan import kernels

        self.step += 1
        return kernels.random.permutation(n, self.seed, self.stream, self.step - 1)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """int64 uniform on low..high-1. Raises ValueError when the range is empty or wider than 2**24."""
        if not 0 < high - low <= 2**24:
            raise ValueError(f"randint: need 0 < high - low <= 2**24, got low={low}, high={high}")
        return low + (self.uniform(shape, float64) * (high - low)).astype(np.int64)

    def _draw(self, kind: str, shape: tuple[int, ...], dtype) -> np.ndarray:
        from minigan import kernels

        draw = getattr(kernels.random, kind)
        count = int(np.prod(shape, dtype=np.int64))
        self.step += 1
        return draw(count, self.seed, self.stream, self.step - 1, np.dtype(dtype)).reshape(shape)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, which dropout, initialisers and `randn` draw from."""
    return default_generator.manual_seed(seed)
