"""Single ops, as a GAN uses them: the kernels at the shapes of the 32x32 critic and generator, one optimiser step, and
a chain of ops so small that only the engine's own work is seen.

minigan has PyTorch's names, so one text serves both. Images lie in memory as each contestant prefers: NHWC for minigan
and for channels_last, NCHW for plain PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

BATCH, CHAIN = 64, 100


class Library(NamedTuple):
    """What the ops need of minigan or PyTorch: image(array) and weight(array) make leaves that require a gradient."""

    image: Callable[[np.ndarray], Any]
    weight: Callable[[np.ndarray], Any]
    grad: Callable
    no_grad: Callable
    F: Any
    optim: Any


def _minigan(variant: str) -> Library:
    import minigan as mg
    from minigan import functional, optim

    def weight(array):
        return mg.Tensor(array).requires_grad_()

    def image(array):
        return weight(np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))

    return Library(image, weight, mg.grad, mg.no_grad, functional, optim)


def _torch(variant: str) -> Library:
    import torch

    def leaf(array):
        layout = torch.channels_last if variant == "channels_last" and array.ndim == 4 else torch.contiguous_format
        return torch.from_numpy(array).contiguous(memory_format=layout).requires_grad_()

    grad = partial(torch.autograd.grad, retain_graph=True)
    return Library(leaf, leaf, grad, torch.no_grad, torch.nn.functional, torch.optim)


LIBRARIES = {"in_minigan": _minigan, "in_torch": _torch}


def _normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _conv(lib: Library, inputs: int, outputs: int, size: int, transposed: bool = False) -> tuple:
    """A layer's function and its leaves: x (64, inputs, size, size) and a 4x4 weight."""
    stride, padding = (1, 0) if size == (1 if transposed else 4) else (2, 1)
    function = lib.F.conv_transpose2d if transposed else lib.F.conv2d
    ends = (inputs, outputs) if transposed else (outputs, inputs)
    leaves = [lib.image(_normal(BATCH, inputs, size, size)), lib.weight(_normal(*ends, 4, 4))]
    return lambda x, w: function(x, w, None, stride, padding), leaves


def _norm(lib: Library) -> tuple:
    leaves = [lib.image(_normal(BATCH, 128, 8, 8)), lib.weight(_normal(128)), lib.weight(_normal(128))]
    return lambda x, weight, bias: lib.F.batch_norm(x, None, None, weight, bias, True), leaves


def _linear(lib: Library) -> tuple:
    return lib.F.linear, [lib.weight(_normal(*shape)) for shape in ((256, 512), (512, 512), (512,))]


def forward(make: Callable, lib: Library) -> Callable:
    """The op's value, nothing recorded."""
    function, leaves = make(lib)

    def step():
        with lib.no_grad():
            return function(*leaves)

    return step


def backward(make: Callable, which: slice, lib: Library) -> Callable:
    """The gradients of some of its leaves, by the graph recorded once."""
    function, leaves = make(lib)
    y = function(*leaves)
    cotangent = (lib.image if y.ndim == 4 else lib.weight)(_normal(*y.shape, seed=1)).detach()
    return lambda: lib.grad(y, leaves[which], cotangent)


def adam(lib: Library) -> Callable:
    """One step on the weights of the 3-64-128-256-1 critic."""
    leaves = [lib.weight(_normal(*shape, 4, 4)) for shape in ((64, 3), (128, 64), (256, 128), (1, 256))]
    for leaf in leaves:
        leaf.grad = leaf.detach() * 1
    optimiser = lib.optim.Adam(leaves, 1e-4)

    def step():
        optimiser.step()
        return leaves[0]

    return step


def chain(order: int, lib: Library) -> Callable:
    """y = y x + x, fifty times, for four numbers x; then d/dx and d2/dx2 where `order` is 1 and 2."""
    x = lib.weight(np.linspace(0.1, 0.9, 4, dtype=np.float32))

    def step():
        y = x
        for _ in range(CHAIN // 2):
            y = y * x + x
        for k in range(order):
            (y,) = lib.grad(y.sum(), x, create_graph=k + 1 < order)
        return y

    return step


LAYERS = {
    "conv 3-64 32x32": partial(_conv, inputs=3, outputs=64, size=32),
    "conv 64-128 16x16": partial(_conv, inputs=64, outputs=128, size=16),
    "conv 128-256 8x8": partial(_conv, inputs=128, outputs=256, size=8),
    "conv 256-1 4x4": partial(_conv, inputs=256, outputs=1, size=4),
    "conv_transpose 100-256 1x1": partial(_conv, inputs=100, outputs=256, size=1, transposed=True),
    "conv_transpose 128-64 8x8": partial(_conv, inputs=128, outputs=64, size=8, transposed=True),
    "batch_norm 128 8x8": _norm,
    "linear 512-512": _linear,
}
OPS: dict[str, Callable[[Library], Callable]] = {}
for _name, _make in LAYERS.items():
    OPS[f"{_name}, forward"] = partial(forward, _make)
    OPS[f"{_name}, input gradient"] = partial(backward, _make, slice(0, 1))
    OPS[f"{_name}, weight gradient"] = partial(backward, _make, slice(1, None))
OPS["Adam, 660,000 weights"] = adam
OPS |= {f"{CHAIN} tiny ops{what}": partial(chain, n) for n, what in enumerate(("", ", gradient", ", second gradient"))}


def build(module: str, name: str, variant: str) -> Callable:
    """The op called `name` as a function without arguments, in in_minigan or in_torch."""
    step = OPS[name](LIBRARIES[module](variant))
    if variant == "captured":
        from minigan import capture

        step = capture(step)
    return step
