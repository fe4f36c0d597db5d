"""Machine room, engine: questions about the GPU, by the names of torch.cuda.

    device = minigan.device("cuda" if minigan.cuda.is_available() else "cpu")

Which GPU it is, is CUDA's choice (CUDA_VISIBLE_DEVICES): minigan works on the first it sees.
"""

from __future__ import annotations

from .backend import DeviceError, Generator, device
from .backend import manual_seed as _manual_seed


def is_available() -> bool:
    """Whether tensors can be made on the device "cuda"; `minigan.device("cuda")` says why not."""
    try:
        device("cuda")
    except DeviceError:
        return False
    return True


def device_count() -> int:
    """How many GPUs minigan uses: one, where there is any."""
    return int(is_available())


def current_device() -> int:
    """The number of the GPU in use. Raises DeviceError where there is none."""
    device("cuda")
    return 0


def get_device_name(device_: int | str | None = None) -> str:
    """The name of the GPU. Raises DeviceError where there is none."""
    device("cuda")
    import cupy

    return cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()


def synchronize(device_: int | str | None = None) -> None:
    """Wait until the GPU has done what it was told; nothing to wait for where there is none."""
    if is_available():
        import cupy

        cupy.cuda.get_current_stream().synchronize()


def empty_cache() -> None:
    """Give memory that no array uses back to the driver."""
    if is_available():
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> Generator:
    """minigan.manual_seed: one generator draws for all devices, and the same numbers."""
    return _manual_seed(seed)


manual_seed_all = manual_seed
