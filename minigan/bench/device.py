"""`minigan bench --device cuda`: each kernel's time beside the time that the roofline allows, and PyTorch's.

The roofline (Williams, Waterman & Patterson 2009): a kernel that moves B bytes and does F operations takes at least

    max(B / bandwidth, F / rate),    bandwidth = 2 clock_memory width,    rate = 2 clock multiprocessors cores,

with the clocks and counts that the driver tells of the device. B and F are what the sum needs at least, each array
once; the head of each .cu file derives them. Times are medians of bursts between two events on the stream, each burst
long enough for the events' own resolution of half a microsecond; what Python spends on a launch is hidden as long as
the kernel takes longer.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod

import numpy as np

from .. import kernels
from ..backend import device, module_of
from ..kernels.geometry import ConvGeometry

BURSTS, BURST_MS, WARM = 7, 20.0, 3
CORES = {75: 64, 80: 64, 86: 128, 87: 128, 89: 128, 90: 128, 100: 128, 103: 128, 120: 128, 121: 128}
"""Single-precision units of a multiprocessor, by compute capability (CUDA C++ Programming Guide, arithmetic
instructions)."""

Arrays = tuple
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """One row of the bench: its arrays' shapes (filled with random numbers), the kernel on them, the same in PyTorch.

    traffic: numbers read and written at least; operations: floating-point operations. torch: (torch, *tensors), or None
    where PyTorch has no such function.
    """

    name: str
    shapes: tuple[Shape, ...]
    run: Callable
    traffic: int
    operations: int
    torch: Callable | None = None


def works(scale: int = 1) -> list[Work]:
    """The rows; every size is divided by `scale`."""
    lines, side = (2048 // scale, 4096 // scale), 2048 // scale
    n, images, pixel = prod(lines), (64 // min(scale, 16), 128, 32 // min(scale, 4), 32 // min(scale, 4)), 128
    rows = [
        Work("leaky_relu", (lines,), lambda x: kernels.act.leaky_relu(x, 0.2, x), 2 * n, n,
             lambda torch, x: torch.nn.functional.leaky_relu(x, 0.2, inplace=True)),
        Work("leaky_relu_grad", (lines, lines), lambda x, g: kernels.act.leaky_relu_grad(x, g, 0.2, g), 3 * n, n,
             lambda torch, x, g: torch.ops.aten.leaky_relu_backward(g, x, 0.2, False)),
        Work("tanh", (lines,), lambda x: kernels.act.tanh(x, x), 2 * n, 20 * n, lambda torch, x: torch.tanh_(x)),
        Work("bias_act", (lines, lines[1:]), lambda x, b: kernels.bias.bias_act(x, b, 0.2, x), 2 * n, 2 * n,
             lambda torch, x, b: torch.nn.functional.leaky_relu(x + b, 0.2)),
        Work("mix", (lines, lines, lines[:1]), kernels.mix.mix, 3 * n, 3 * n,
             lambda torch, x, z, e: torch.lerp(z, x, e[:, None])),
        Work("layer norm", (lines,), lambda x: kernels.layernorm.standardise(x, (1,), 1e-5), 2 * n, 6 * n,
             lambda torch, x: torch.nn.functional.layer_norm(x, x.shape[1:])),
        Work("layer norm gradient", (lines, lines), lambda x, g: kernels.layernorm.standardise_grad(x, g, (1,), 1e-5),
             3 * n, 14 * n),
        Work("sum of columns", (lines,), kernels.reduce.channel_sum, n, n, lambda torch, x: x.sum(0)),
        Work("sum of all", (lines,), kernels.reduce.total, n, n, lambda torch, x: x.sum()),
        Work("batch norm", (images,), lambda x: kernels.norm.batch_norm(x, None, None, 1e-5), 3 * prod(images),
             6 * prod(images), lambda torch, x: torch.nn.functional.batch_norm(x, None, None, training=True)),
        Work("batch norm gradient", (images, images), lambda x, g: kernels.norm.batch_norm_grad(x, None, g, 1e-5),
             5 * prod(images), 12 * prod(images)),
        Work("batch norm second derivative", (images,) * 3,
             lambda x, g, a: kernels.norm.batch_norm_grad_grad(x, None, g, a, None, None, 1e-5), 8 * prod(images),
             25 * prod(images)),
        Work("matrix product, cuBLAS", ((side, side),) * 2, kernels.matmul.matmul, 3 * side**2, 2 * side**3,
             lambda torch, a, b: a @ b),
        Work("Adam", ((n,),) * 4, _adam(), 7 * n, 12 * n),
    ]  # fmt: skip
    shape = (images[0], pixel, *images[2:])
    for size, stride in ((4, 2), (3, 1)):
        rows += _convolutions(ConvGeometry(shape, (pixel, pixel, size, size), (stride,) * 2, (1, 1), (1, 1), 1))
    return rows


def _convolutions(g: ConvGeometry) -> list[Work]:
    x, w, y = g.x_shape, g.w_shape, g.y_shape
    traffic, operations = prod(x) + prod(w) + prod(y), 2 * prod(y) * prod(w[1:])
    what = f"{w[2]}x{w[3]} stride {g.stride[0]}"

    def gradient(which: int) -> Callable:
        def run(torch, x, w, y):
            mask = [k == which for k in range(3)]
            back = torch.ops.aten.convolution_backward
            return back(y, x, w, None, g.stride, g.padding, g.dilation, False, [0, 0], g.groups, mask)

        return run

    def forward(torch, x, w, y):
        return torch.nn.functional.conv2d(x, w, None, g.stride, g.padding, g.dilation, g.groups)

    loops = {
        "convolution": (lambda x, w, y: kernels.conv.conv_forward(x, w, g), forward),
        "input gradient": (lambda x, w, y: kernels.conv.conv_input(y, w, g), gradient(0)),
        "weight gradient": (lambda x, w, y: kernels.conv.conv_weight(x, y, g), gradient(1)),
    }
    return [Work(f"{name} {what}", (x, w, y), run, traffic, operations, peer) for name, (run, peer) in loops.items()]


def _adam() -> Callable:
    flats: dict[int, kernels.optim.Flat] = {}

    def run(p, g, m, v):
        flat = flats.setdefault(id(p), kernels.optim.Flat([p], [m], [v]))
        flat.adam([g], 1e-4, 0.9, 0.999, 1e-8, 1, 0.0, False)

    return run


@dataclass(frozen=True)
class Limits:
    """What a device can do: bytes and single-precision operations a second."""

    name: str
    bandwidth: float
    rate: float

    def least_us(self, work: Work) -> float:
        """The time the roofline allows, microseconds."""
        return 1e6 * max(4 * work.traffic / self.bandwidth, work.operations / self.rate)


def limits(where: device, xp) -> Limits | None:
    """The present GPU's, from its driver; None for a simulated one, which has none."""
    if where.simulated:
        return None
    there = xp.cuda.Device()
    properties, capability = there.attributes, int(there.compute_capability)
    name = xp.cuda.runtime.getDeviceProperties(there.id)["name"]
    bandwidth = 2e3 * properties["MemoryClockRate"] * properties["GlobalMemoryBusWidth"] / 8
    rate = 2e3 * properties["ClockRate"] * properties["MultiProcessorCount"] * CORES.get(capability, 128)
    return Limits(name.decode() if isinstance(name, bytes) else str(name), bandwidth, rate)


def time_us(call: Callable[[], object], xp, bursts: int = BURSTS, burst_ms: float = BURST_MS) -> float:
    """The median time of a call on the device, microseconds, between events of the module `xp` (CuPy's names)."""

    def burst(count: int) -> float:
        start, stop = xp.cuda.Event(), xp.cuda.Event()
        start.record()
        for _ in range(count):
            call()
        stop.record()
        stop.synchronize()
        return xp.cuda.get_elapsed_time(start, stop)

    for _ in range(WARM if burst_ms else 1):
        call()
    count = max(1, int(burst_ms / max(burst(1), 1e-3)))
    return 1e3 * statistics.median(burst(count) / count for _ in range(bursts))


def run(name: str, show: Callable[[str], None], quick: bool = False) -> dict:
    """Every row on the device `name`: {"device", "gpu", "torch", "rows": {row: figures}}. show: told what is done.

    Figures: {"us", "bytes", "operations", "least_us", "share", "torch_us"}, the last three None where there is no
    roofline or no PyTorch with CUDA. Raises DeviceError where the device cannot be used.
    """
    xp = module_of(name)
    roofs, torch = limits(device(name), xp), _torch(name)
    length = {"bursts": 1, "burst_ms": 0.0} if quick else {}
    rng, rows = np.random.default_rng(0), {}
    for work in works(16 if quick else 1):
        show(f"{work.name} on {name}")
        arrays = [np.abs(rng.standard_normal(shape)).astype(np.float32) for shape in work.shapes]
        there = [_lying(xp, a) for a in arrays]
        us = time_us(lambda work=work, there=there: work.run(*there), xp, **length)
        least = None if roofs is None else roofs.least_us(work)
        rows[work.name] = {
            "us": us,
            "bytes": 4 * work.traffic,
            "operations": work.operations,
            "least_us": least,
            "share": None if least is None else least / us,
            "torch_us": None if torch is None or work.torch is None else _torch_us(torch, work, arrays, length),
        }
    gpu = None if roofs is None else {"name": roofs.name, "bandwidth": roofs.bandwidth, "rate": roofs.rate}
    return {"device": name, "gpu": gpu, "torch": None if torch is None else torch.__version__, "rows": rows}


def _lying(xp, a: np.ndarray):
    """The array on the device, images in NHWC memory, as the engine keeps them."""
    if a.ndim != 4:
        return xp.asarray(a)
    return xp.asarray(np.ascontiguousarray(a.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)


def _torch(name: str):
    """PyTorch, where it is installed and sees the same kind of device."""
    if name != "cuda" or find_spec("torch") is None:
        return None
    import torch

    return torch if torch.cuda.is_available() else None


def _torch_us(torch, work: Work, arrays, length: dict) -> float:
    tensors = [torch.as_tensor(a, device="cuda") for a in arrays]
    tensors = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in tensors]
    return time_us(lambda: work.torch(torch, *tensors), _TorchEvents(torch), **length)


class _TorchEvents:
    """PyTorch's events by CuPy's names."""

    def __init__(self, torch) -> None:
        self.cuda, self._torch = self, torch

    def Event(self):
        return self._torch.cuda.Event(enable_timing=True)

    def get_elapsed_time(self, start, stop) -> float:
        return start.elapsed_time(stop)


def text(figures: dict) -> str:
    """The table for a person."""
    gpu = figures["gpu"]
    head = f"{figures['device']}: "
    head += (
        f"{gpu['name']}, {gpu['bandwidth'] / 1e12:.2f} TB/s, {gpu['rate'] / 1e12:.1f} TFLOP/s"
        if gpu
        else "simulated on the CPU; its times say nothing about a GPU, only that every row runs"
    )
    lines = [head, f"{'':<30} {'us':>10} {'roofline':>10} {'share':>7} {'PyTorch':>10} {'ratio':>6}"]
    for name, row in figures["rows"].items():
        us, least, peer = row["us"], row["least_us"], row["torch_us"]
        roofline = f"{'-':>10} {'-':>7}" if least is None else f"{least:>10.1f} {least / us:>7.0%}"
        ratio = f"{'-':>10} {'-':>6}" if peer is None else f"{peer:>10.1f} {peer / us:>6.2f}"
        lines.append(f"{name:<30} {us:>10.1f} {roofline} {ratio}")
    if figures["torch"] is None:
        lines.append("PyTorch: not compared; it is not installed, or has no CUDA here")
    return "\n".join(lines)
