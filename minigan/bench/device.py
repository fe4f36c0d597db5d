"""`minigan bench --device cuda`: each kernel's time beside the time that the roofline allows, and PyTorch's.

The roofline (Williams, Waterman & Patterson 2009): a kernel that moves B bytes and does F operations takes at least

    max(B / bandwidth, F / rate),    bandwidth = 2 clock_memory width,    rate = 2 clock multiprocessors cores,

with the clocks and counts that the driver tells of the device. B and F are what the sum needs at least, each array
once; the head of each .cu file derives them. Times are medians of bursts between two events on the stream, each burst
long enough for the events' own resolution of half a microsecond; what Python spends on a launch is hidden as long as
the kernel takes longer.

A GPU's L2 may hold all the arrays of a row, and then a second call on them measures the L2. So a row has several sets
of its arrays, which take turns: between two uses of a set lie others of `APART` times the L2. The result of a call is
kept until its set's next turn, so that results, too, lie in different memory. PyTorch takes the same turns. It computes
in float32, as minigan does; what TF32 makes of its products stands in a column of its own (`device_torch.py`). Whole
training steps are in `device_steps.py`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from math import ceil, prod

import numpy as np

from .. import kernels
from ..backend import device, module_of
from ..kernels.geometry import ConvGeometry
from . import device_steps
from .device_torch import Events, give_memory_back, precision, torch_on

BURSTS, BURST_MS, WARM = 7, 20.0, 3
APART = 3
"""What lies between two uses of a set of arrays, in sizes of the L2."""
SHARE_OF_MEMORY = 1 / 4
"""Of what is free: at most so much do the sets of a row and their results take."""
CORES = {75: 64, 80: 64, 86: 128, 87: 128, 89: 128, 90: 128, 100: 128, 103: 128, 120: 128, 121: 128}
"""Single-precision units of a multiprocessor, by compute capability (CUDA C++ Programming Guide, arithmetic
instructions)."""

Arrays = tuple
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """One row of the bench: its arrays' shapes (filled with random numbers), the kernel on them, the same in PyTorch.

    traffic: numbers read and written at least; operations: floating-point operations. torch: (torch, *tensors), or None
    where PyTorch has no such function. product: a convolution or a matrix product, which PyTorch may do in TF32. state:
    of a set of arrays, what the kernel keeps with them and is handed after them.
    """

    name: str
    shapes: tuple[Shape, ...]
    run: Callable
    traffic: int
    operations: int
    torch: Callable | None = None
    product: bool = False
    state: Callable | None = None

    @property
    def nbytes(self) -> int:
        """Of one set of the arrays."""
        return 4 * sum(map(prod, self.shapes))


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
             lambda torch, a, b: a @ b, product=True),
        Work("Adam", ((n,),) * 4, lambda p, g, m, v, flat: flat.adam([g], 1e-4, 0.9, 0.999, 1e-8, 1, 0.0, False),
             7 * n, 12 * n, state=lambda p, g, m, v: kernels.optim.Flat([p], [m], [v])),
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
    return [
        Work(f"{name} {what}", (x, w, y), run, traffic, operations, peer, True) for name, (run, peer) in loops.items()
    ]


@dataclass(frozen=True)
class Limits:
    """What a device can do: bytes and single-precision operations a second; and the bytes of its L2, 0 if unknown."""

    name: str
    bandwidth: float
    rate: float
    cache: int = 0

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
    return Limits(name.decode() if isinstance(name, bytes) else str(name), bandwidth, rate, cache_of(xp))


def cache_of(xp) -> int:
    """Bytes of the device's L2; 0 where it tells none, as a simulated one."""
    return int(getattr(xp.cuda.Device(), "attributes", {}).get("L2CacheSize", 0))


def count_of_sets(work: Work, xp) -> int:
    """How many sets of its arrays a row takes turns with: enough to lie `APART` times the L2 apart, two at least, but
    no more than fit into `SHARE_OF_MEMORY` of the free memory; one where the device tells of no L2."""
    cache = cache_of(xp)
    if not cache:
        return 1
    room = SHARE_OF_MEMORY * xp.cuda.runtime.memGetInfo()[0]
    enough = max(2, 1 + ceil(APART * cache / work.nbytes))
    return max(1, min(enough, int(room // (work.nbytes + 4 * work.traffic))))


def in_turn(call: Callable, sets: Sequence[Sequence]) -> Callable[[], None]:
    """A function that does `call` on the next set of arguments at each call of its own, and keeps its result until that
    set's next turn is over: the pool of memory cannot give the next result the same place."""
    results, turns = [None] * len(sets), cycle(range(len(sets)))

    def run() -> None:
        turn = next(turns)
        results[turn] = call(*sets[turn])

    return run


def time_us(
    call: Callable[[], object], xp, bursts: int = BURSTS, burst_ms: float = BURST_MS, warm: int = WARM
) -> float:
    """The median time of a call on the device after `warm` others, microseconds, between events of the module `xp`
    (CuPy's names)."""

    def burst(count: int) -> float:
        start, stop = xp.cuda.Event(), xp.cuda.Event()
        start.record()
        for _ in range(count):
            call()
        stop.record()
        stop.synchronize()
        return xp.cuda.get_elapsed_time(start, stop)

    for _ in range(warm):
        call()
    count = max(1, int(burst_ms / max(burst(1), 1e-3)))
    return 1e3 * statistics.median(burst(count) / count for _ in range(bursts))


def run(
    name: str,
    show: Callable[[str], None],
    quick: bool = False,
    rounds: int = BURSTS,
    rows: bool = True,
    workloads: Sequence[str] = (),
) -> dict:
    """The kernels' rows, and the steps of the workloads, on the device `name`: {"device", "quick", "gpu", "torch",
    "rows": {row: figures}, "steps" and more of `device_steps.run`}. show: told what is done. rounds: bursts of each.

    A row's figures: {"us", "bytes", "operations", "sets", "least_us", "share", "torch_us", "torch_tf32_us"}. The last
    four are None where there is no roofline, or no PyTorch with CUDA; the last also where nothing is multiplied by
    matrices. Raises DeviceError where the device cannot be used.
    """
    xp, torch = module_of(name), torch_on(name)
    roofs = limits(device(name), xp)
    figures = {"device": str(name), "quick": quick, "gpu": None if roofs is None else asdict(roofs)}
    figures |= {"torch": None if torch is None else torch.__version__, "rows": {}}
    length = {"bursts": 1, "burst_ms": 0.0, "warm": 1} if quick else {"bursts": rounds}
    for work in works(16 if quick else 1) if rows else ():
        show(f"{work.name} on {name}")
        figures["rows"][work.name] = row(work, xp, torch, roofs, length)
    return figures | device_steps.run(name, workloads, show, xp, torch, 1 if quick else rounds, quick)


def row(work: Work, xp, torch, roofs: Limits | None, length: dict) -> dict:
    """The figures of one row; length: arguments of `time_us`."""
    rng = np.random.default_rng(0)
    arrays = [np.abs(rng.standard_normal(shape)).astype(np.float32) for shape in work.shapes]
    give_memory_back(xp, torch)
    sets = count_of_sets(work, xp)
    us = _own_us(xp, work, arrays, sets, length)
    give_memory_back(xp, torch)
    least = None if roofs is None else roofs.least_us(work)
    with_torch = torch is not None and work.torch is not None
    return {
        "us": us,
        "bytes": 4 * work.traffic,
        "operations": work.operations,
        "sets": sets,
        "least_us": least,
        "share": None if least is None else least / us,
        "torch_us": _torch_us(torch, work, arrays, sets, length, False) if with_torch else None,
        "torch_tf32_us": _torch_us(torch, work, arrays, sets, length, True) if with_torch and work.product else None,
    }


def _own_us(xp, work: Work, arrays: Sequence[np.ndarray], sets: int, length: dict) -> float:
    lying = [tuple(_lying(xp, a) for a in arrays) for _ in range(sets)]
    if work.state is not None:
        lying = [(*there, work.state(*there)) for there in lying]
    return _time_in_turn(work.run, lying, xp, length)


def _torch_us(torch, work: Work, arrays: Sequence[np.ndarray], sets: int, length: dict, tf32: bool) -> float:
    def lying(a: np.ndarray):
        there = torch.as_tensor(a, device="cuda")
        return there.contiguous(memory_format=torch.channels_last) if a.ndim == 4 else there

    tensors = [(torch, *map(lying, arrays)) for _ in range(sets)]
    with precision(torch, tf32):
        return _time_in_turn(work.torch, tensors, Events(torch), length)


def _time_in_turn(call: Callable, sets: Sequence[Sequence], xp, length: dict) -> float:
    """Of a call, when every set has had its turn before."""
    return time_us(in_turn(call, sets), xp, **length | {"warm": max(length.get("warm", WARM), len(sets))})


def _lying(xp, a: np.ndarray):
    """The array on the device, images in NHWC memory, as the engine keeps them."""
    if a.ndim != 4:
        return xp.asarray(a)
    return xp.asarray(np.ascontiguousarray(a.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)


def text(figures: dict) -> str:
    """The tables for a person."""
    gpu, torch = figures["gpu"], figures["torch"]
    head = f"{figures['device']}: "
    head += (
        f"{gpu['name']}, {gpu['bandwidth'] / 1e12:.2f} TB/s, {gpu['rate'] / 1e12:.1f} TFLOP/s,"
        f" {gpu['cache'] / 2**20:.0f} MiB of L2"
        if gpu
        else "simulated on the CPU; its times say nothing about a GPU, only that every row and every step runs"
    )
    lines = [head] + ["quick: small arrays, one burst each; times say little"] * bool(gpu and figures["quick"])
    if figures["rows"]:
        lines += _table(figures["rows"], gpu is not None, torch is not None)
    if figures["steps"]:
        lines += ["", *device_steps.lines(figures)]
    if torch is None:
        lines.append("PyTorch: not compared; it is not installed, or has no CUDA here")
    return "\n".join(lines)


def _table(rows: dict, with_gpu: bool, with_torch: bool) -> list[str]:
    titles = f"{'':<30} {'us':>10} {'roofline':>10} {'share':>7} {'PyTorch':>10} {'ratio':>6} {'TF32':>10} {'sets':>5}"
    lines = [titles]
    for name, figures in rows.items():
        us, least, peer, tf32 = (figures[key] for key in ("us", "least_us", "torch_us", "torch_tf32_us"))
        roofline = f"{'-':>10} {'-':>7}" if least is None else f"{least:>10.1f} {least / us:>7.0%}"
        ratio = f"{'-':>10} {'-':>6}" if peer is None else f"{peer:>10.1f} {peer / us:>6.2f}"
        faster = f"{'-':>10}" if tf32 is None else f"{tf32:>10.1f}"
        lines.append(f"{name:<30} {us:>10.1f} {roofline} {ratio} {faster} {figures['sets']:>5}")
    if with_gpu:
        lines.append(
            "sets: copies of a row's arrays that take turns, so that the L2 does not hold them from call to call (1: no"
            " memory for more)"
        )
    if with_torch:
        lines += [
            "PyTorch: in float32, as minigan; ratio: its time / minigan's",
            "TF32: PyTorch's time where its products round their factors to 10 bits of mantissa (float32 has 23), on"
            " tensor cores",
        ]
    return lines
