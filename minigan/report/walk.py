"""A walk through the networks: what each layer makes of an image, its kernels, and the gradients that images get.

Pictures are arrays (H, W) or (H, W, 3) of uint8: activations in grey, from their smallest value to their largest;
gradients and kernels in blue below zero, white at zero, orange above.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from .. import nn
from ..autograd import Tensor, array_of, grad, no_grad
from ..backend import host
from ..gan.train import Trainer
from ..ops.reduce import sum

MOST = 64
"""Channels, or kernels, of a picture."""

BELOW, ABOVE = np.array([11, 95, 165.0]), np.array([201, 92, 10.0])


@dataclass(frozen=True)
class Layer:
    """What one layer made of one row of a batch. shape: without the row. picture: its channels side by side."""

    name: str
    what: str
    shape: tuple[int, ...]
    low: float
    high: float
    picture: np.ndarray


@dataclass(frozen=True)
class Weight:
    """norm: its length. singular: its singular values as a matrix of outputs by inputs, the largest first. picture: its
    kernels, None for what has none."""

    name: str
    shape: tuple[int, ...]
    norm: float
    singular: tuple[float, ...]
    picture: np.ndarray | None


def activations(network: nn.Module, inputs: Sequence[np.ndarray]) -> list[list[Layer]]:
    """For each row of the inputs, what the layers of a network make of it, in the order in which they run."""
    outputs: list[tuple[str, str, np.ndarray]] = []
    with ExitStack() as stack, no_grad():
        for name, module in network.named_modules():
            if name and not list(module.children()):
                stack.callback(module.register_forward_hook(_noting(outputs, name)).remove)
        result = network(*map(Tensor, inputs))
    if not outputs:
        first = result[0] if isinstance(result, (tuple, list)) else result
        outputs.append(("", type(network).__name__, host(array_of(first))))
    return [[_layer(name, what, array[row]) for name, what, array in outputs] for row in range(len(inputs[0]))]


def _noting(outputs: list, name: str):
    def note(module: nn.Module, arguments: object, output: object) -> None:
        if isinstance(output, Tensor):
            outputs.append((name, repr(module), host(array_of(output)).copy()))

    return note


def _layer(name: str, what: str, array: np.ndarray) -> Layer:
    finite = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (float(f(finite)) for f in (np.min, np.max)) if array.size else (0.0, 0.0)
    return Layer(name, what, array.shape, low, high, grey(tiles(finite), low, high))


def tiles(array: np.ndarray) -> np.ndarray:
    """The channels (C, H, W) side by side, at most MOST of them, NaN between; a vector in rows of 32."""
    if array.ndim == 3:
        channels = array[:MOST]
    elif array.ndim == 2:
        channels = array[None]
    else:
        flat = array.ravel()[: 32 * MOST]
        width = min(32, max(1, flat.size))
        rows = -(-flat.size // width)
        channels = np.full((1, rows, width), np.nan)
        channels.reshape(-1)[: flat.size] = flat
    count, height, width = channels.shape
    columns = int(np.ceil(np.sqrt(count)))
    sheet = np.full((-(-count // columns) * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for k, channel in enumerate(channels):
        y, x = divmod(k, columns)
        sheet[y * (height + 1) :, x * (width + 1) :][:height, :width] = channel
    return sheet


def grey(sheet: np.ndarray, low: float, high: float) -> np.ndarray:
    """Numbers as grey, black for `low`, white for `high`; NaN as a middle blue-grey."""
    shade = np.clip((np.nan_to_num(sheet) - low) / max(high - low, 1e-12), 0, 1)
    picture = np.repeat((255 * shade)[..., None], 3, 2)
    picture[np.isnan(sheet)] = (70, 84, 104)
    return picture.round().astype(np.uint8)


def signed(sheet: np.ndarray, reach: float = 0.0) -> np.ndarray:
    """Numbers in blue below zero, white at zero, orange above; `reach` is the full colour, by default the largest."""
    reach = reach or float(np.nanmax(np.abs(sheet), initial=0.0)) or 1.0
    share = np.clip(np.nan_to_num(sheet) / reach, -1, 1)[..., None]
    ends = np.where(share < 0, BELOW, ABOVE)
    picture = 255 + (ends - 255) * np.abs(share)
    picture[np.isnan(sheet)] = (70, 84, 104)
    return picture.round().astype(np.uint8)


def weights(network: nn.Module) -> list[Weight]:
    """The weights of a network that have at least two axes."""
    turned = {f"{path}.weight".lstrip(".") for path, m in network.named_modules() if isinstance(m, nn.ConvTranspose2d)}
    rows = [(name, host(array_of(p))) for name, p in network.named_parameters() if p.ndim >= 2]
    return [_weight(name, array, name in turned) for name, array in rows]


def _weight(name: str, array: np.ndarray, inputs_first: bool) -> Weight:
    outputs_first = array.swapaxes(0, 1) if inputs_first else array
    matrix = outputs_first.reshape(len(outputs_first), -1).astype(np.float64)
    singular = np.linalg.svd(matrix, compute_uv=False)
    kernels = array.reshape(-1, *array.shape[2:])[:MOST] if array.ndim == 4 and min(array.shape[2:]) > 1 else None
    picture = None if kernels is None else signed(tiles(kernels))
    return Weight(name, array.shape, float(np.linalg.norm(array)), tuple(map(float, singular)), picture)


def statistics(network: nn.Module) -> list[dict]:
    """The running statistics of a network's batch norms: the smallest, middle and largest mean and variance."""
    rows = []
    for name, module in network.named_modules():
        buffers = dict(module.named_buffers())
        if {"running_mean", "running_var"} <= buffers.keys():
            values = {key: host(array_of(buffers[f"running_{key}"])) for key in ("mean", "var")}
            spans = {key: [float(f(v)) for f in (np.min, np.median, np.max)] for key, v in values.items()}
            rows.append({"name": name, **spans})
    return rows


def gradients_of_images(trainer: Trainer) -> tuple[np.ndarray, np.ndarray] | None:
    """(images, dL_G/dimages), both (N, C, S, S), of what the generator makes on the next batch; None where the loss
    reaches no image. L_G is what the generator minimises."""
    images: list[Tensor] = []
    with ExitStack() as stack:
        for module in (trainer.generator, *trainer.generator.children()):
            stack.callback(module.register_forward_hook(lambda m, a, y: images.append(y)).remove)
        objective, _ = trainer.generator_loss()
    pictures = [y for y in images if isinstance(y, Tensor) and y.ndim == 4 and y.shape[1] == trainer.info.shape[-1]]
    for image in reversed(pictures):
        (slope,) = grad(objective, image, allow_unused=True)
        if slope is not None:
            return host(array_of(image)), host(array_of(slope))
    return None


def slopes_between(critic: nn.Module, others: Sequence[np.ndarray], fake: np.ndarray, real: np.ndarray):
    """(points, slope of the critic's first output there, its lengths (N,)): what a gradient penalty looks at, halfway
    between real images and fakes. others: the critic's further arguments."""
    points = Tensor(((fake + real) / 2).astype(np.float32)).requires_grad_()
    result = critic(points, *map(Tensor, others))
    score = result[0] if isinstance(result, (tuple, list)) else result
    (slope,) = grad(sum(score), points)
    array = host(array_of(slope))
    return host(array_of(points)), array, np.sqrt(np.square(array).reshape(len(array), -1).sum(1))
