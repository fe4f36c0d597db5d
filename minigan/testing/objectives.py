"""The objectives of one training step of a system: what `minigan gradcheck --model` certifies.

Each is a loss as a function of the parameters it is differentiated by, on a small float64 network and drawn data that
stay away from the kinks of rectifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import default_device, default_generator, device, to_device
from ..data import Dataset, info
from ..gan.losses import loss
from ..gan.networks.dcgan import DCGANCritic, DCGANGenerator
from ..gan.networks.frames import Frame
from ..gan.penalties import gradient_penalty
from ..gan.systems.table import options_for, system, trainer_for
from ..gan.train import Trainer

COUNT, ATTEMPTS = 12, 1000
COMPARED = frozenset({"minimum", "maximum"})
KINKED = COMPARED | {"leaky_relu", "relu", "abs"}
MARGIN = 1e-3
"""Networks and data are drawn until every input of a rectifier is this far from its kink; the differences' steps of
1e-5 then never cross one, where a gradient penalty jumps."""


@dataclass(frozen=True)
class Objective:
    """One loss of a training step as a function of its parameters: fn(*tensors), torch_fn(*torch tensors).

    orders: those checked against differences.
    """

    label: str
    names: tuple[str, ...]
    parameters: tuple[np.ndarray, ...]
    fn: Callable[..., Tensor]
    torch_fn: Callable | None = None
    orders: tuple[int, ...] = (1, 2, 3)


def objectives(name: str, seed: int, **changes) -> list[Objective]:
    """Of a whole step of the system `name`, on the default device; its weights, data and directions drawn from `seed`.
    changes: options other than the system's defaults: loss, penalty, network, ...

    Raises ValueError, naming the known ones, for an unknown system or option.
    """
    system(name)
    state = default_generator.state_dict()  # building layers draws weights, which are then overwritten
    where = default_device()
    with device("cpu"):  # drawn there, then moved: the same numbers on every device
        if name in WITH_TORCH and not changes:
            rows = _of_dcgan_networks(name, seed, where)
        else:
            rows = _of_any_system(name, seed, where, changes)
    default_generator.load_state_dict(state)
    return rows


def _of_dcgan_networks(name: str, seed: int, where: str) -> list[Objective]:
    """Both players' losses, by the loss, the penalty and the critic's norm of the system, for PyTorch too."""
    options = options_for(name)
    for rng in _draws(seed):
        generator = _drawn(DCGANGenerator(2, 1, 16, 2), rng)
        critic = _drawn(DCGANCritic(1, 16, 2, options.critic_norm), rng)
        z, real = Tensor(rng.standard_normal((3, 2, 1, 1))), Tensor(rng.uniform(-1, 1, (3, 1, 16, 16)))
        fake, eps = Tensor(generator.main(z).data), Tensor(rng.random((3, 1, 1, 1)))
        points = Tensor(fake.data + eps.data * (real.data - fake.data))
        seen = (real, fake, points) if options.gp_weight else (real, fake)
        if min(_margin(generator.main, z), *(_margin(critic.main, x) for x in seen)) > MARGIN:
            break
    row, torch_d_loss, torch_g_loss = loss(options.loss), *TORCH_LOSSES[options.loss]
    d_names, d_parameters = _parameters(critic)
    g_names, g_parameters = _parameters(generator)
    generator.to(where), critic.to(where)
    reals, fakes, latents, at = (t.to(where) for t in (real, fake, z, eps))

    def d_step(*tensors):
        def f(x):
            return nn.functional_call(critic, dict(zip(d_names, tensors, strict=True)), x)

        objective = row.discriminator(f(reals), f(fakes))
        if not options.gp_weight:
            return objective
        return objective + options.gp_weight * gradient_penalty(f, reals, fakes, at)[0]

    def g_step(*tensors):
        images = nn.functional_call(generator.main, _inner(g_names, tensors), latents)
        return row.generator(critic(images))

    def torch_d_step(*tensors):
        import torch

        def f(x):
            return _torch_forward(critic.main, dict(zip(d_names, tensors, strict=True)), x).reshape(-1)

        objective = torch_d_loss(f(torch.tensor(real.data)), f(torch.tensor(fake.data)))
        if not options.gp_weight:
            return objective
        x = torch.tensor(points.data, requires_grad=True)
        (slope,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
        return objective + options.gp_weight * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()

    def torch_g_step(*tensors):
        import torch

        images = _torch_forward(generator.main, dict(zip(g_names, tensors, strict=True)), torch.tensor(z.data))
        frozen = {name: torch.tensor(p) for name, p in zip(d_names, d_parameters, strict=True)}
        return torch_g_loss(_torch_forward(critic.main, frozen, images))

    return [
        Objective("critic", _shown(d_names, d_parameters), d_parameters, d_step, torch_d_step),
        Objective("generator", _shown(g_names, g_parameters), g_parameters, g_step, torch_g_step),
    ]


def _softplus(x):
    from torch.nn import functional as F

    return F.softplus(x)


WITH_TORCH = ("wgan-gp", "dcgan")
"""Systems whose steps are written down for PyTorch too."""
TORCH_LOSSES: dict[str, tuple[Callable, Callable]] = {
    "wasserstein": (lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
    "non-saturating": (
        lambda real, fake: _softplus(-real).mean() + _softplus(fake).mean(),
        lambda fake: _softplus(-fake).mean(),
    ),
}
"""Their losses in PyTorch, the critic's and the generator's."""


def _of_any_system(name: str, seed: int, where: str, changes: dict) -> list[Objective]:
    """Both players' losses of any system, by a small trainer of it on random images, to second order.

    An objective is a function of one number for each parameter p: how far p is moved along a random direction of length
    1. So a network of thousands of weights takes two evaluations a parameter, and each derivative has all its weights
    in it.
    """
    for attempt in range(ATTEMPTS):
        trainer = _tiny(name, seed, attempt, changes)
        begin = {stream: random.state_dict() for stream, random in trainer.random.items()}
        losses = {"generator": trainer.generator_loss}
        losses = losses if trainer.critic is None else {"critic": trainer.critic_loss, **losses}
        rngs = (np.random.default_rng((seed, attempt, i)) for i in range(len(losses)))
        rows = [_along_directions(trainer, *of, begin, rng) for of, rng in zip(losses.items(), rngs, strict=True)]
        if all(_kink_distance(r.fn(*(Tensor(p).requires_grad_() for p in r.parameters))) > MARGIN / 10 for r in rows):
            break
    else:
        raise RuntimeError(f"{name}: no weights found in {ATTEMPTS} draws with all rectifiers away from their kinks")
    for module in trainer.trained().values():
        module.to(where)
    for table in (trainer.batch, trainer.memory):
        table.update({key: t.to(where) for key, t in table.items()})
    return rows


def _along_directions(
    trainer: Trainer, player: str, loss_of: Callable, begin: dict, rng: np.random.Generator
) -> Objective:
    """A player's objective as a function of how far each of its parameters is moved along a random direction; each call
    draws the same random numbers."""
    module = getattr(trainer, player)
    names, parameters = _parameters(module)
    directions = [rng.standard_normal(p.shape) for p in parameters]
    directions = [d / np.linalg.norm(d) for d in directions]

    def objective(*lengths):
        for stream, state in begin.items():
            trainer.random[stream].load_state_dict(state)
        moved_to = {
            name: Tensor(to_device(p, default_device())) + t * Tensor(to_device(d, default_device()))
            for name, p, d, t in zip(names, parameters, directions, lengths, strict=True)
        }
        with nn.substituted(module, moved_to):
            return loss_of()[0]

    return Objective(player, _shown(names, parameters), tuple(np.zeros(()) for _ in names), objective, orders=(1, 2))


def _tiny(name: str, seed: int, attempt: int, changes: dict) -> Trainer:
    """A small float64 trainer of a system, its batch filled with noise, its weights drawn so that activations are near
    1."""
    row = system(name)
    small = {"size": 16, "base": 2, "batch_size": 3, "latent": 2, "n_critic": 1, "blocks": 1, "ramp": 0, "seed": seed}
    small = {key: value for key, value in small.items() if key in row.takes}
    options = options_for(name, capture=False, **{**small, **changes})
    facts = info(options.data)
    rng = np.random.default_rng((seed, attempt))
    images = rng.integers(0, 256, (COUNT, options.size, options.size, facts.shape[-1])).astype(np.uint8)
    labels = np.arange(COUNT) % len(facts.class_names) if facts.class_names else None
    values = [rng.integers(0, len(values), COUNT) for values in facts.attributes.values()]
    dataset = Dataset(
        replace(facts, count=COUNT, shape=images.shape[1:], held_out=0),
        images,
        labels,
        np.stack(values, 1) if values else None,
        np.arange(COUNT),
        np.arange(0),
    )
    trainer = trainer_for(options, dataset)
    for module in trainer.trained().values():
        _drawn(module, rng)
    trainer.double()
    trainer.constants = {}
    trainer.steps_done = 3 * options.steps // 4  # by then every term has joined, and none has faded
    trainer.anneal()
    trainer.feed()
    for layer in (layer for network in trainer.trained().values() for layer in network.modules()):
        if isinstance(getattr(layer, "weight_u", None), Tensor):  # spectral norm: its vectors converge and stand still
            with no_grad():
                for _ in range(100):
                    layer.run_pre_hooks()
            layer.eval()
    return trainer


def _kink_distance(y: Tensor) -> float:
    """How near any op that y was made by comes to a kink: the smallest |x| of a rectifier's or absolute value's input,
    the smallest gap of two compared numbers."""
    least, visited, queue = np.inf, set(), [y.node]
    while queue:
        node = queue.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        queue.extend(x.node for x in node.inputs)
        if node.op.name in KINKED:
            gap = node.inputs[0].data if node.op.name not in COMPARED else node.inputs[0].data - node.inputs[1].data
            least = min(least, float(np.abs(gap).min(initial=np.inf)))
    return least


def _draws(seed: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng((seed, attempt)) for attempt in range(1000))


def _drawn(network: nn.Module, rng: np.random.Generator) -> nn.Module:
    """The network in float64, its weights normal, with the spread that keeps activations near 1."""
    network.double().requires_grad_(False)
    for p in network.parameters():
        fan = max(1, int(np.prod(p.shape[1:])))
        p.assign(rng.standard_normal(p.shape) / np.sqrt(fan) + (1.0 if p.ndim == 1 else 0.0))
    for frame in (module for module in network.modules() if isinstance(module, Frame)):
        for p in frame.parameters():  # of 1 it would show an image 20,000 times as large, of which no slope is left
            p.assign(0.02 * rng.standard_normal(p.shape))
    return network


def _parameters(network: nn.Module) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    names, tensors = zip(*network.named_parameters(), strict=True)
    return names, tuple(t.data for t in tensors)


def _shown(names: Sequence[str], parameters: Sequence[np.ndarray]) -> tuple[str, ...]:
    """Parameters as rows of the table name them."""
    return tuple(f"{name} {p.shape}" for name, p in zip(names, parameters, strict=True))


def _inner(names: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """Parameters by their names inside `main`."""
    return {name.removeprefix("main."): t for name, t in zip(names, tensors, strict=True)}


def _margin(layers: nn.Sequential, x: Tensor) -> float:
    """The smallest distance of a rectifier's input from zero."""
    least = np.inf
    for layer in layers:
        if isinstance(layer, (nn.ReLU, nn.LeakyReLU)):
            least = min(least, float(np.abs(x.data).min()))
        x = layer(x)
    return least


def _torch_forward(layers: nn.Sequential, parameters: dict, x):
    """What `layers` compute, in PyTorch, with the given parameters (by their names under `main.`)."""
    from torch.nn import functional as F

    for i, layer in enumerate(layers):
        weight, bias = (parameters.get(f"main.{i}.{name}") for name in ("weight", "bias"))
        if isinstance(layer, nn.Conv2d):
            x = F.conv2d(x, weight, bias, layer.stride, layer.padding)
        elif isinstance(layer, nn.ConvTranspose2d):
            x = F.conv_transpose2d(x, weight, bias, layer.stride, layer.padding)
        elif isinstance(layer, nn.BatchNorm2d):
            x = F.batch_norm(x, None, None, weight, bias, True, eps=layer.eps)
        elif isinstance(layer, nn.LeakyReLU):
            x = F.leaky_relu(x, layer.settings["negative_slope"])
        else:
            x = {nn.ReLU: F.relu, nn.Tanh: F.tanh}[type(layer)](x)
    return x
