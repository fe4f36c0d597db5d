"""How far float32 gradients of whole networks are from float64 ones: direct sums, Winograd, and PyTorch side by side.

    rms = ||g - g64|| / ||g64||      over all weights of a network, g64 computed in float64

An activation near zero may fall on either side of it in float32, and its gradient then differs by a finite amount, in
every framework. So the float64 run's choices (which side of zero each input of a leaky-ReLU is on) are kept, and the
float32 runs are held to them: what remains is rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import minigan as mg
from minigan import nn
from minigan.kernels.fast import winograd

from . import in_minigan
from .workloads import SLOPE, WORKLOADS, Workload, sequential, start

NETWORKS = ("wgan-gp", "wgan-gp-norm", "dcgan-32")
"""The workloads whose networks are looked at; those of dcgan-64 are of the same kind as those of dcgan-32."""


@dataclass
class Row:
    """One network: the median over the seeds of each contestant's rms."""

    network: str
    rms: dict[str, float]

    @property
    def ratios(self) -> dict[str, float]:
        """Each contestant's rms in PyTorch's."""
        return {name: value / self.rms["PyTorch"] for name, value in self.rms.items() if name != "PyTorch"}


def compare(names: tuple[str, ...] = NETWORKS, seeds: int = 10) -> Iterator[Row]:
    """A row for the critic's gradient of each workload, and for the generator's where there is one."""
    for name in names:
        work = WORKLOADS[name]
        for network in ("critic", "generator") if work.latent else ("critic",):
            runs = [_one(work, network, seed) for seed in range(seeds)]
            yield Row(f"{name} {network}", {key: float(np.median([r[key] for r in runs])) for key in runs[0]})


def _one(work: Workload, network: str, seed: int) -> dict[str, float]:
    choices: list[np.ndarray] = []
    exact = _gradient(work, network, seed, np.float64, _choosing(choices))
    gradients = {}
    with winograd.disabled():
        gradients["direct"] = _gradient(work, network, seed, np.float32, _slopes(choices, mg.Tensor))
    gradients["Winograd"] = _gradient(work, network, seed, np.float32, _slopes(choices, mg.Tensor))
    gradients["PyTorch"] = _torch_gradient(work, network, seed, choices)
    size = np.sqrt(sum(np.square(g).sum() for g in exact))
    return {
        key: float(np.sqrt(sum(np.square(g - e).sum() for g, e in zip(gradient, exact, strict=True))) / size)
        for key, gradient in gradients.items()
    }


def _choosing(choices: list[np.ndarray]) -> Callable:
    """The activation of the float64 run: keeps the slope it takes at every element."""

    def activate(x, slope):
        choices.append(np.where(x.data > 0, 1.0, slope))
        return x * mg.Tensor(choices[-1])

    return activate


def _slopes(choices: list[np.ndarray], tensor: Callable) -> Callable:
    """The activation of a float32 run, which takes the same slopes in the same order."""
    slopes = iter(choices)
    return lambda x, slope: x * tensor(next(slopes).astype(np.float32))


class _Network:
    """Layers one after the other, with `activate` in the place of (leaky) ReLU."""

    def __init__(self, layers, modules, activate: Callable) -> None:
        self.layers, self.modules, self.activate = layers, modules, activate

    def __call__(self, x):
        for layer, module in zip(self.layers, self.modules, strict=True):
            slope = {"relu": 0.0, "leaky_relu": SLOPE}.get(layer.kind)
            x = module(x) if slope is None else self.activate(x, slope)
        return x


def _objective(work: Workload, losses, networks, batch, no_grad, network: str):
    """What the step of `network` minimises."""
    critic, generator = networks
    critic_loss, generator_loss = losses
    if network == "generator":
        return generator_loss(critic(generator(batch["z_generator"])))
    with no_grad():
        fake = generator(batch["z_critic"]) if work.latent else batch["fake"]
    return critic_loss(critic, batch["real"], fake, batch.get("eps"))


def _gradient(work: Workload, network: str, seed: int, dtype, activate: Callable) -> list[np.ndarray]:
    arrays = start(work, seed)
    modules = {"critic": sequential(nn, work.critic), "generator": sequential(nn, work.generator)}
    for name, module in modules.items():
        module.load_state_dict(getattr(arrays, name), strict=False)
        module.to(dtype)
    layers = {"critic": work.critic, "generator": work.generator}
    networks = [_Network(layers[name], list(module), activate) for name, module in modules.items()]
    batch = {name: mg.tensor(a, dtype=dtype) for name, a in arrays.batch.items()}
    loss = _objective(work, in_minigan.LOSSES[work.loss], networks, batch, mg.no_grad, network)
    return [g.data.astype(np.float64) for g in mg.grad(loss, list(modules[network].parameters())) if g is not None]


def _torch_gradient(work: Workload, network: str, seed: int, choices: list[np.ndarray]) -> list[np.ndarray]:
    import torch

    from . import in_torch

    arrays = start(work, seed)
    modules = {"critic": sequential(torch.nn, work.critic), "generator": sequential(torch.nn, work.generator)}
    for name, module in modules.items():
        module.load_state_dict({k: torch.from_numpy(a) for k, a in getattr(arrays, name).items()}, strict=False)
    layers = {"critic": work.critic, "generator": work.generator}
    activate = _slopes(choices, torch.from_numpy)
    networks = [_Network(layers[name], list(module), activate) for name, module in modules.items()]
    batch = {name: torch.from_numpy(a) for name, a in arrays.batch.items()}
    loss = _objective(work, in_torch.LOSSES[work.loss], networks, batch, torch.no_grad, network)
    grads = torch.autograd.grad(loss, list(modules[network].parameters()), allow_unused=True)
    return [g.numpy().astype(np.float64) for g in grads if g is not None]


if __name__ == "__main__":
    print(f"{'network':<24} {'direct':>9} {'Winograd':>9} {'PyTorch':>9}   ratios to PyTorch")
    for row in compare():
        figures = " ".join(f"{row.rms[name]:9.1e}" for name in ("direct", "Winograd", "PyTorch"))
        print(f"{row.network:<24} {figures}   {row.ratios['direct']:.2f}, {row.ratios['Winograd']:.2f}", flush=True)
