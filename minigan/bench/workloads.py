"""What is timed: the training steps as data, and the arrays that every framework starts from.

    wgan-gp          minimise  E f(G z) - E f(x) + 10 E (||grad f(x_hat)|| - 1)^2      (Gulrajani et al. 2017, eq. 3)
    non-saturating   minimise  -E ln D(x) - E ln(1 - D(G z)),  then  -E ln D(G z)      (Goodfellow et al. 2014)

A step is one critic step of Adam and, where there is a generator, one generator step after it; without one the fake
samples are given like the real ones. Weights and batches come from one seeded NumPy generator, in PyTorch's layouts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

GP_WEIGHT, SLOPE = 10.0, 0.2
ADAM = {"wgan-gp": (1e-4, (0.0, 0.9)), "non-saturating": (2e-4, (0.5, 0.999))}


class Layer(NamedTuple):
    """One layer: kind is linear, conv, conv_transpose (both 4x4), batch_norm, leaky_relu, relu or tanh."""

    kind: str
    inputs: int = 0
    outputs: int = 0
    stride: int = 1
    bias: bool = True

    @property
    def padding(self) -> int:
        """Stride 2 halves (or doubles) the image; stride 1 is the 4x4 layer next to the latent or the score."""
        return 1 if self.stride == 2 else 0


@dataclass(frozen=True)
class Workload:
    """One training step.

    shape: of one sample, (C, H, W) or (features,). base: channels of the layers next to the image, doubled at every
    halving. hidden: widths of the inner layers instead, for an MLP. latent: 0 if there is no generator. norm: batch
    norm after the critic's inner convolutions.
    """

    name: str
    what: str
    loss: str
    batch: int
    shape: tuple[int, ...]
    base: int = 64
    hidden: tuple[int, ...] = ()
    latent: int = 0
    norm: bool = False

    @property
    def widths(self) -> list[int]:
        """Channels from the image to the 4x4 layer."""
        halvings = self.shape[1].bit_length() - 3
        return [self.shape[0], *(self.base << i for i in range(halvings))]

    @property
    def critic(self) -> list[Layer]:
        """Samples (N, *shape) to scores, (N, 1, 1, 1) or (N, 1)."""
        if self.hidden:
            return _mlp(self.shape[0], *self.hidden, 1)
        layers, widths = [], self.widths
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            norm = self.norm and i > 0
            layers += [Layer("conv", inputs, outputs, 2, not norm)]
            layers += [Layer("batch_norm", outputs, outputs)] * norm + [Layer("leaky_relu")]
        return [*layers, Layer("conv", widths[-1], 1)]

    @property
    def generator(self) -> list[Layer]:
        """Latents, (N, latent, 1, 1) or (N, latent), to samples; no layers where the fake samples are given."""
        if self.hidden or not self.latent:
            return _mlp(self.latent, *self.hidden, *self.shape) if self.latent else []
        layers, widths = [], [self.latent, *self.widths[:0:-1]]
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            layers += [Layer("conv_transpose", inputs, outputs, 2 if i else 1, False)]
            layers += [Layer("batch_norm", outputs, outputs), Layer("relu")]
        return [*layers, Layer("conv_transpose", widths[-1], self.shape[0], 2), Layer("tanh")]


def _mlp(*widths: int) -> list[Layer]:
    layers = [Layer("linear", *pair) for pair in pairwise(widths)]
    return [part for layer in layers for part in (layer, Layer("relu"))][:-1]


WORKLOADS = {
    w.name: w
    for w in (
        Workload("wgan-gp", "WGAN-GP critic step, 3x32x32, 64-128-256", "wgan-gp", 64, (3, 32, 32)),
        Workload("wgan-gp-norm", "the same with batch norm", "wgan-gp", 64, (3, 32, 32), norm=True),
        Workload("dcgan-32", "DCGAN D and G step, 1x32x32", "non-saturating", 64, (1, 32, 32), latent=100, norm=True),
        Workload("dcgan-64", "DCGAN D and G step, 3x64x64", "non-saturating", 32, (3, 64, 64), latent=100, norm=True),
        Workload("toy-3x512", "WGAN-GP D and G step, MLPs 3x512", "wgan-gp", 256, (2,), hidden=(512,) * 3, latent=2),
        Workload("toy-4x128", "WGAN-GP D and G step, MLPs 4x128", "wgan-gp", 256, (2,), hidden=(128,) * 4, latent=2),
    )
}

SCALING = ("wgan-gp:8", "wgan-gp:16", "wgan-gp:32", "wgan-gp:128", "wgan-gp:256", "wgan-gp:16x16", "wgan-gp:64x64")


def workload(name: str) -> Workload:
    """The workload called `name`; wgan-gp:256 is the one with another batch, wgan-gp:64x64 with other images.

    Raises ValueError for a name that is none, a batch below 1, and image sizes that are no power of two from 8 on.
    """
    base, _, change = name.partition(":")
    size, _, again = change.partition("x")
    if base not in WORKLOADS or (change and not (size.isdecimal() and change in (size, f"{size}x{size}"))):
        raise ValueError(f"unknown workload {name!r}; known workloads: {', '.join(WORKLOADS)}")
    work = WORKLOADS[base]
    if again:
        if work.hidden:
            raise ValueError(f"workload {name!r}: {base} has no images")
        if int(size) < 8 or int(size).bit_count() > 1:
            raise ValueError(f"workload {name!r}: the image size must be a power of two, at least 8")
        return replace(work, name=name, shape=(work.shape[0], int(size), int(size)))
    if change and int(size) < 1:
        raise ValueError(f"workload {name!r}: the batch must be at least 1")
    return replace(work, name=name, batch=int(size)) if change else work


class Start(NamedTuple):
    """Where a step starts: the two networks' arrays by PyTorch's names ("3.weight"), and the batch by name."""

    critic: dict[str, np.ndarray]
    generator: dict[str, np.ndarray]
    batch: dict[str, np.ndarray]


def start(work: Workload, seed: int = 0) -> Start:
    """The same arrays for every framework. The batch holds `real`, then either `fake` or the latents `z_critic` and
    `z_generator`, and for WGAN-GP `eps` (N, 1, ...)."""
    random = np.random.default_rng(seed)
    networks = [_parameters(layers, random) for layers in (work.critic, work.generator)]
    samples = (work.batch, *work.shape)
    latents = (work.batch, work.latent, *(1 for _ in work.shape[1:]))
    batch = {"real": random.uniform(-1, 1, samples)}
    if work.latent:
        batch |= {name: random.standard_normal(latents) for name in ("z_critic", "z_generator")}
    else:
        batch["fake"] = random.uniform(-1, 1, samples)
    if work.loss == "wgan-gp":
        batch["eps"] = random.uniform(size=(work.batch, *(1 for _ in work.shape)))
    return Start(*networks, {name: array.astype(np.float32) for name, array in batch.items()})


def _parameters(layers: list[Layer], random: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights and biases uniform on +-1 / sqrt(fan-in), as torch.nn starts them; batch norm starts at 1 and 0."""
    arrays = {}
    for i, layer in enumerate(layers):
        if layer.kind == "batch_norm":
            arrays |= {f"{i}.weight": np.ones(layer.outputs), f"{i}.bias": np.zeros(layer.outputs)}
        elif layer.outputs:
            ends = (layer.inputs, layer.outputs) if layer.kind == "conv_transpose" else (layer.outputs, layer.inputs)
            shape = ends if layer.kind == "linear" else (*ends, 4, 4)
            bound = np.prod(shape[1:]) ** -0.5
            arrays[f"{i}.weight"] = random.uniform(-bound, bound, shape)
            if layer.bias:
                arrays[f"{i}.bias"] = random.uniform(-bound, bound, layer.outputs)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def sequential(nn, layers: list[Layer]):
    """The network in the layers of `nn`, which is minigan.nn or torch.nn: the names and arguments are the same."""
    make = {
        "linear": lambda of: nn.Linear(of.inputs, of.outputs, bias=of.bias),
        "conv": lambda of: nn.Conv2d(of.inputs, of.outputs, 4, of.stride, of.padding, bias=of.bias),
        "conv_transpose": lambda of: nn.ConvTranspose2d(of.inputs, of.outputs, 4, of.stride, of.padding, bias=of.bias),
        "batch_norm": lambda of: nn.BatchNorm2d(of.outputs),
        "leaky_relu": lambda of: nn.LeakyReLU(SLOPE),
        "relu": lambda of: nn.ReLU(),
        "tanh": lambda of: nn.Tanh(),
    }
    return nn.Sequential(*(make[layer.kind](layer) for layer in layers))


def channels_last(arrays: dict[str, np.ndarray], weights: bool) -> dict[str, np.ndarray]:
    """Arrays as TensorFlow and JAX want them: images (N, H, W, C), kernels (KY, KX, inputs, outputs), matrices (inputs,
    outputs). A transposed convolution has the kernel of the convolution that it transposes, as in PyTorch."""
    axes = {4: (2, 3, 1, 0), 2: (1, 0)} if weights else {4: (0, 2, 3, 1)}
    return {name: np.ascontiguousarray(a.transpose(axes.get(a.ndim, range(a.ndim)))) for name, a in arrays.items()}
