"""The Python engine at what the page of `minigan lab` computes: the toy trainer in float64, every penalty and trick.

The page draws its data and batches from Philox streams, too, so `Philox` stands in for NumPy's generator there. A plain
`Wide` is the toy trainer itself; `Tricks` puts the functions of minigan/gan/{tricks,penalties,steps}.py into its steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigan import nn, optim
from minigan.autograd import Tensor, grad, no_grad
from minigan.backend import Generator
from minigan.creation import rand, tensor, zeros
from minigan.gan import penalties, steps, tricks
from minigan.gan.losses import loss
from minigan.gan.toy import ToyOptions, ToyTrainer
from minigan.gan.toy import data as toydata
from minigan.ops.basic import cast

STREAMS = {"pool": 11, "rows": 12, "noise": 13, "labels": 14}


class Philox:
    """The methods of numpy.random.Generator that data and batches use, over a stream of the engine's numbers."""

    def __init__(self, seed: int, stream: int) -> None:
        self.generator = Generator(seed, stream)

    def integers(self, high: int, size: int) -> np.ndarray:
        return self.generator.integers(0, high, (size,))

    def random(self, size: int) -> np.ndarray:
        return self.generator.uniform((size,), np.float64)

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.generator.normal(shape, np.float64)


class Wide(ToyTrainer):
    """The toy trainer in float64, on data and batches of the page's streams."""

    def __init__(self, options: ToyOptions) -> None:
        shape = toydata.load(options.data)
        points = toydata.Points(shape.name, lambda n, _: shape.draw(n, Philox(options.seed, STREAMS["pool"])))
        super().__init__(options, points)
        self.rows = Philox(options.seed, STREAMS["rows"])
        self.real = zeros(options.batch_size, 2, dtype=np.float64)

    def _networks(self):
        return tuple(network.to(dtype=np.float64) for network in super()._networks())

    def latent(self, random: Generator, *where) -> Tensor:
        latents = super().latent(random, *where)
        return latents if where else cast(latents, np.float64)  # looking is float32

    def weights(self) -> list[np.ndarray]:
        """G's and D's parameters in the page's order: a layer's weight, its bias; minibatch discrimination last."""
        return [a for network in (self.generator, self.critic) for a in ordered(network)]


def ordered(network: nn.Module) -> list[np.ndarray]:
    named = dict(network.named_parameters())
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, p in named.items():
        place, _, which = name.rpartition(".")
        layers.setdefault(place, {})[which.removesuffix("_orig")] = p.data
    mates = [row for row in layers.values() if len(row) == 1]
    rest = [row for row in layers.values() if len(row) == 2]
    return [row[which] for row in rest for which in ("weight", "bias")] + [row["weight"] for row in mates]


class Still:
    """In the place of an optimiser: a player that looks ahead and stays."""

    def __init__(self, params) -> None:
        self.param_groups = [{"params": list(params)}]

    def step(self) -> None:
        pass


class Tricks(Wide):
    """The toy trainer's two half-steps with the page's settings: `names` of tricks, a penalty or "none", numbers."""

    def __init__(self, options: ToyOptions, names=(), penalty="none", **numbers) -> None:
        self.names, self.numbers = set(names), numbers
        self.penalty = None if penalty == "none" else penalties.penalty(penalty)
        super().__init__(options)
        seed = options.seed
        self.noise, self.labels = Generator(seed, STREAMS["noise"]), Generator(seed, STREAMS["labels"])
        row = loss(options.loss)
        row = tricks.smoothed(row, numbers["smooth"]) if "smoothing" in self.names else row
        self.loss = tricks.noisy(row, numbers["flip"], self.labels) if "noisy-labels" in self.names else row
        self.players = [list(self.critic.parameters()), list(self.generator.parameters())]
        self.optimistic = [steps.Optimistic(params) for params in self.players]
        self._critic_step, self._generator_step = self.critic_step, self.generator_step

    def _networks(self):
        generator, critic = super()._networks()
        norm = {"batch-norm": nn.BatchNorm1d, "virtual-batch-norm": tricks.VirtualBatchNorm}
        for name in self.names & norm.keys():
            width, layers = self.options.width, list(critic)
            pairs = [[layer, norm[name](width)] if isinstance(layer, nn.Linear) else [layer] for layer in layers[:-1]]
            critic = nn.Sequential(*[layer for pair in pairs for layer in pair], layers[-1]).to(dtype=np.float64)
            if name == "virtual-batch-norm":
                critic = tricks.VirtualReference(
                    critic, tensor(self.pool[: self.options.batch_size].astype(np.float64))
                )
        return generator, critic

    def latent(self, random: Generator) -> Tensor:
        z = super().latent(random)
        return tricks.spherical(z) if "spherical" in self.names else z

    def seen(self, x: Tensor) -> Tensor:
        return tricks.instance_noise(x, self.numbers["sigma"], self.noise) if "instance-noise" in self.names else x

    def critic_loss(self, real: Tensor, fake: Tensor, eps: Tensor | None) -> Tensor:
        objective = self.loss.discriminator(self.judged(real), self.judged(fake))
        if self.penalty:
            objective = objective + self.numbers["weight"] * self.penalty(self.judged, real, fake, eps)[0]
        return objective

    def generator_loss(self, fake: Tensor) -> Tensor:
        if "feature-matching" in self.names:
            features = nn.Sequential(*list(self.critic)[:-1])
            return tricks.feature_matching(features(self.seen(self.real)), features(fake))
        d_real = self.judged(self.seen(self.real)) if self.loss.relativistic else None
        return self.loss.generator(self.judged(fake), d_real)

    def eps(self) -> Tensor | None:
        return rand(self.options.batch_size, 1, generator=self.random["eps"]) if self.penalty else None

    def half_step(self, mine: int, losses: Callable[[], list[Tensor | None]], moves: optim.Optimizer) -> Tensor:
        """Move player `mine` (0 the critic, 1 the generator) on losses() of both, None where it is not needed; its
        loss."""
        values: list[Tensor] = []

        def gradients() -> None:
            both = losses()
            values[:] = [both[mine]]
            if "consensus" in self.names:
                extra = self.numbers["gamma"] * steps.consensus(both, self.players)
                both = [one + extra for one in both]
            for params, one in zip(self.players, both, strict=True):
                for p, g in zip(params, grad(one, params) if one is not None else (), strict=False):
                    p.grad = g

        if "lookahead" in self.names:
            others = [Still(params) for params in self.players]
            others[mine] = moves
            rates = [optimizer.param_groups[0]["lr"] for optimizer in (self.optim_d, self.optim_g)]
            steps.lookahead_step(others, gradients, rates)
        else:
            gradients()
            if "optimistic" in self.names:
                self.optimistic[mine].apply()
            moves.step()
        return values[0]

    def critic_step(self) -> dict[str, Tensor]:
        z = self.latent(self.random["latent_d"])
        together = {"lookahead", "consensus"} & self.names
        if together:
            eps = self.eps()

            def losses() -> list[Tensor]:
                fake = self.seen(self.generator(z))
                return [self.critic_loss(self.seen(self.real), fake, eps), self.generator_loss(fake)]

            value = self.half_step(0, losses, self.optim_d)
        else:
            with no_grad():
                fake = self.generator(z)
            real, fake = self.seen(self.real), self.seen(fake)
            eps = self.eps()
            value = self.half_step(0, lambda: [self.critic_loss(real, fake, eps), None], self.optim_d)
        if "clip" in self.names:
            optim.clip_weights_(self.critic.parameters(), self.numbers["clip"])
        return {"d_objective": value}

    def generator_step(self) -> dict[str, Tensor]:
        z = self.latent(self.random["latent_g"])
        together = {"lookahead", "consensus"} & self.names
        eps = self.eps() if together else None

        def losses() -> list[Tensor]:
            fake = self.seen(self.generator(z))
            d = self.critic_loss(self.seen(self.real), fake, eps) if together else None
            return [d, self.generator_loss(fake)]

        value = self.half_step(1, losses, self.optim_g)
        self.average.update(self.generator)
        return {"g_loss": value}
