"""GANs on points in the plane: the trainer and its captured steps.

    for each generator step:   n_critic times:  minimise d_loss(D(x), D(Gz)) + lambda penalty    over D
                               once:            minimise g_loss(D(Gz))                           over G

or, where the players step together, both gradients at the same weights and on the same points, then both steps.

Points are normalised to mean 0 and variance 1 per axis before anything sees them, and samples are scaled back. Both
learning rates fall to zero along half a cosine; samples come from an average of the generator's weights. One trick is a
switch (tricks.py): it changes what the table says, and nothing else.

With the Wasserstein loss and no trick that bounds the critic's slope, its weights are clipped to [-c, c].
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from math import cos, pi

import numpy as np

from ... import nn, optim
from ...autograd import Tensor, grad, no_grad
from ...backend import Generator, device
from ...capture import capture
from ...creation import arange, rand, randn, zeros
from ...ops.basic import cast, eq
from ...ops.elementary import floor
from ...ops.index import cat
from .._state import TrainingState
from ..losses import loss
from ..penalties import penalty
from ..steps import consensus, field, lookahead_step, set_gradients, unroll
from ..train import TrainingError
from ..tricks import LATENTS, decayed, feature_matching, nearest_real, pack
from . import data as toydata
from . import networks as toynets
from .options import ToyOptions
from .tricks import TRICKS

STREAMS = {"init": 1, "latent_d": 2, "latent_g": 3, "eps": 4, "trick": 5}
SAMPLE_STREAM, POOL, REFERENCE = 6, 100_000, 1000


class _Rows:
    """The generator of a batch's rows, as a checkpoint saves it."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def state_dict(self) -> dict:
        return {"rows": self.random.bit_generator.state}

    def load_state_dict(self, state: dict) -> None:
        self.random.bit_generator.state = state["rows"]


class ToyTrainer:
    """A generator and a critic of points, their optimisers and random numbers. Networks, batches and latents lie on the
    options' device; samples and landscapes are computed on the CPU from a copy."""

    def __init__(self, options: ToyOptions, points: toydata.Points | None = None) -> None:
        self.options, self.steps_done = options, 0
        self.points = points or toydata.load(options.data)
        self.trick = TRICKS[options.trick]
        self.random = {name: Generator(options.seed, stream) for name, stream in STREAMS.items()}
        row = loss(options.loss)
        self.loss = self.trick.row(row, self.random["trick"]) if self.trick.row else row
        pool = self.points.draw(POOL, np.random.default_rng((options.seed, 1)))
        self.centre, spread = pool.mean(0), pool.std(0)
        self.spread = np.where(spread > 0, spread, 1.0)
        if not options.normalised:
            self.centre, self.spread = np.zeros(2), np.ones(2)
        self.pool = ((pool - self.centre) / self.spread).astype(np.float32)
        self.classes = self._classes() if self.trick.labels else 0
        self.rows = np.random.default_rng((options.seed, 2))
        self.pack = options.pack if options.trick == "packing" else 1
        self.generator, self.critic = (network.to(options.device) for network in self._networks())
        self.real = zeros(options.batch_size, 2 + self.classes, device=options.device)
        self.sigma, self.ahead = zeros(1, device=options.device), zeros((), device=options.device)
        self.reals = Tensor(self.pool[:REFERENCE]).to(options.device)
        betas = (options.beta1, options.beta2)
        self.rates = options.lr_d * self.trick.rates[0], options.lr_g * self.trick.rates[1]
        self.optim_d = optim.Adam(self.critic.parameters(), self.rates[0], betas)
        self.optim_g = optim.Adam(self.generator.parameters(), self.rates[1], betas)
        self.average = optim.WeightAverage(self.generator, options.average)
        self._critic_step, self._generator_step = capture(self.critic_step), capture(self.generator_step)
        self._joint_step = capture(self.joint_step)

    def _networks(self) -> tuple[nn.Module, nn.Module]:
        options, start, trick = self.options, self.random["init"], self.trick
        latent, inputs = options.latent + self.classes, (2 + self.classes) * self.pack
        if options.nets == "published":
            generator = toynets.published_generator(start, latent, **trick.generator)
            critic = toynets.published_critic(inputs, start, **trick.critic)
        else:
            generator = toynets.generator(latent, options.width, options.depth, start, **trick.generator)
            critic = toynets.critic(inputs, options.width, options.depth, start, **trick.critic)
        return generator, toynets.referred(critic, Tensor(self.pool[: options.batch_size]))

    def _classes(self) -> int:
        """The number of modes, each point's own joined to it in `pool`, one column a mode."""
        if self.points.modes is None:
            raise ValueError(f"toy: trick labels tells the players a point's mode, and {self.points.name} has none")
        modes = (self.points.modes - self.centre) / self.spread
        nearest = np.square(self.pool[:, None] - modes).sum(2).argmin(1)
        self.pool = np.concatenate([self.pool, np.eye(len(modes), dtype=np.float32)[nearest]], 1)
        return len(modes)

    def latent(self, random: Generator, count: int | None = None, where: str | None = None) -> Tensor:
        """Latents (batch_size or count, latent), with a random mode's columns where there are labels. where: a device,
        the options' by default."""
        options, count = self.options, count or self.options.batch_size
        with device(where or options.device):
            z = LATENTS[self.trick.latents](count, options.latent, generator=random)
            if not self.classes:
                return z
            mode = floor(self.classes * rand(count, 1, generator=random))
            return cat([z, cast(eq(mode, arange(self.classes, dtype=np.float32)), z.dtype)], 1)

    def fakes(self, z: Tensor) -> Tensor:
        """Generated points (N, 2), the columns of their modes after them where there are labels."""
        x = self.generator(z)
        return cat([x, z[:, self.options.latent :]], 1) if self.classes else x

    def packed(self, x: Tensor) -> Tensor:
        """Points (N, F) as the critic's inputs (N / pack, F pack)."""
        return pack(x, self.pack)

    def judged(self, x: Tensor) -> Tensor:
        """Packed points as outputs (N, 1) that the loss takes."""
        return self.loss.head(self.critic(x))

    def seen(self, x: Tensor) -> Tensor:
        """Packed points as the critic is shown them: through noise, where the trick says so."""
        if not self.trick.noise:
            return x
        with device(self.options.device):
            return x + self.sigma * randn(*x.shape, generator=self.random["trick"])

    def critic_step(self) -> dict[str, Tensor]:
        """D's loss on the batch in `real` and fresh fakes, its gradient and an optimiser step."""
        with no_grad():
            fake = self.fakes(self.latent(self.random["latent_d"]))
        real, fake = self.seen(self.packed(self.real)), self.seen(self.packed(fake))
        objective, figures = self._critic_objective(real, fake, self.judged(real), self.judged(fake))
        self.optim_d.zero_grad()
        objective.backward()
        self.optim_d.step()
        self._clip()
        return figures

    def _critic_objective(
        self, real: Tensor, fake: Tensor, d_real: Tensor, d_fake: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(what D minimises for packed points and their outputs, its figures)."""
        options, objective = self.options, self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": objective, "d_real": d_real.detach().mean(), "d_fake": d_fake.detach().mean()}
        if self.trick.penalty:
            with device(options.device):
                eps = rand(real.shape[0], 1, generator=self.random["eps"])
            value, figures["gradient_norm"] = penalty(self.trick.penalty)(self.judged, real, fake, eps)
            figures["d_objective"] = objective = objective + options.gp_weight * value
        return objective, figures

    def _clip(self) -> None:
        if self.options.clipped:
            optim.clip_weights_(self.critic.parameters(), self.options.clip)

    def generator_step(self) -> dict[str, Tensor]:
        """G's loss on fresh latents, its gradient, an optimiser step, and the average's step."""
        fake = self.seen(self.packed(self.fakes(self.latent(self.random["latent_g"]))))
        if self.trick.moves == "unrolled":
            objective = self._unrolled(fake)
        else:
            self.critic.requires_grad_(False)
            objective = self._matched(fake) if self.trick.objective else self._adversarial(self.judged, fake)
        params = list(self.generator.parameters())
        for p, g in zip(params, grad(objective, params), strict=True):
            p.grad = g
        norm = optim.grad_norm([p.grad for p in params])
        self.critic.requires_grad_(True)
        self.optim_g.step()
        self.average.update(self.generator)
        return {"g_loss": objective, "g_weight_gradient": norm}

    def joint_step(self) -> dict[str, Tensor]:
        """Both players' gradients at the same weights, on the same reals and fakes, and then both steps."""
        z = self.latent(self.random["latent_g"])
        players = [list(self.critic.parameters()), list(self.generator.parameters())]

        def gradients() -> dict[str, Tensor]:
            real, fake = self.seen(self.packed(self.real)), self.seen(self.packed(self.fakes(z)))
            d_real, d_fake = self.judged(real), self.judged(fake)
            d_objective, figures = self._critic_objective(real, fake, d_real, d_fake)
            if self.trick.moves == "unrolled":
                g_objective = self._unrolled(fake)
            elif self.trick.objective:
                g_objective = self._matched(fake)
            else:
                g_objective = self.loss.generator(d_fake, d_real if self.loss.relativistic else None)
            figures["g_loss"] = g_objective
            if self.trick.moves == "consensus":
                far = self.options.consensus * consensus([d_objective, g_objective], players)
                d_objective, g_objective = d_objective + far, g_objective + far
            set_gradients(players, field([d_objective, g_objective], players))
            return figures

        if self.trick.moves == "lookahead":
            figures = lookahead_step([self.optim_d, self.optim_g], gradients, [self.ahead] * 2)
        else:
            figures = gradients()
            self.optim_d.step()
            self.optim_g.step()
        self._clip()
        self.average.update(self.generator)
        return {**figures, "g_weight_gradient": optim.grad_norm([p.grad for p in players[1]])}

    def _matched(self, fake: Tensor) -> Tensor:
        """What G minimises in place of its loss: how far its samples' features, or its samples, are from the reals'."""
        if self.trick.objective == "nearest":
            return nearest_real(fake, self.reals)
        features = nn.Sequential(*list(self.critic)[:-1])
        covariance = self.trick.objective == "covariances"
        return feature_matching(features(self.packed(self.real)), features(fake), covariance)

    def _unrolled(self, fake: Tensor) -> Tensor:
        """G's loss under the critic that k gradient steps on D's loss would lead to; the steps stay in the graph."""
        real, options = self.packed(self.real), self.options

        def judged(weights, x):
            return self.loss.head(nn.functional_call(self.critic, weights, x))

        def objective(weights):
            return self.loss.discriminator(judged(weights, real), judged(weights, fake))

        ahead = unroll(dict(self.critic.named_parameters()), objective, options.unroll, options.unroll_lr)
        return self._adversarial(partial(judged, ahead), fake)

    def _adversarial(self, outputs_of: Callable[[Tensor], Tensor], fake: Tensor) -> Tensor:
        """The generator's part of the loss; the critic judges the reals, too, where the loss reads them."""
        d_real = outputs_of(self.seen(self.packed(self.real))) if self.loss.relativistic else None
        return self.loss.generator(outputs_of(fake), d_real)

    @np.errstate(over="ignore", invalid="ignore")
    def step(self) -> dict[str, Tensor]:
        """One generator step with its critic steps; the last ones' figures, as tensors.

        Numbers that overflow are left to `train`, which looks for them, so NumPy's warnings of them are off here.
        """
        options = self.options
        left = (1 + cos(pi * self.steps_done / options.steps)) / 2 if options.falling else 1.0
        if self.trick.moves == "lookahead":
            self.ahead.assign(np.float32(options.ahead * left))
        if options.falling:
            for optimiser, rate in zip((self.optim_d, self.optim_g), self.rates, strict=True):
                optimiser.param_groups[0]["lr"] = rate * left
        if self.trick.noise:
            self.sigma.assign(np.full(1, decayed(options.noise, self.steps_done, options.steps), np.float32))
        for _ in range(options.n_critic):
            self.real.assign(self.pool[self.rows.integers(len(self.pool), size=options.batch_size)])
            figures = self._joint_step() if options.together else self._critic_step()
        if not options.together:
            figures = figures | self._generator_step()
        self.steps_done += 1
        return figures

    def train(self, every: int, report: Callable[[int, dict[str, float]], None] = lambda *_: None) -> Iterator[int]:
        """Train to the end; `report(step, figures)` and a yield every so many steps.

        Raises TrainingError at the first look at which a loss is not finite.
        """
        while self.steps_done < self.options.steps:
            figures = self.step()
            if self.steps_done % every == 0 or self.steps_done == self.options.steps:
                values = {name: t.item() for name, t in figures.items()}
                bad = [name for name, value in values.items() if not np.isfinite(value)]
                if bad:
                    raise TrainingError(f"step {self.steps_done}: {', '.join(bad)} no longer finite; lower the rates")
                report(self.steps_done, values)
                yield self.steps_done

    def state(self) -> TrainingState:
        """What a checkpoint holds beside `steps_done`."""
        networks = {"generator": self.generator, "critic": self.critic}
        optimisers = {"optim_d": self.optim_d, "optim_g": self.optim_g}
        return TrainingState(networks, optimisers, self.average, self.random, {}, _Rows(self.rows))

    @np.errstate(over="ignore", invalid="ignore")
    def sample(self, count: int, seed: int = 0, average: bool = True) -> np.ndarray:
        """`count` generated points (count, 2) in the data's own units, by the averaged generator in evaluation mode."""
        network = self._on_cpu(self.average.module if average else self.generator)
        was_training = network.training
        network.eval()
        with no_grad(), device("cpu"):
            points = network(self.latent(Generator(seed, SAMPLE_STREAM), count, "cpu")).data
        network.train(was_training)
        return points * self.spread + self.centre

    def _on_cpu(self, network: nn.Module) -> nn.Module:
        return network if device(self.options.device).is_host else copy.deepcopy(network).to("cpu")

    def landscape(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D(x), its gradient) at points (N, 2) in the data's own units: (N,) and (N, 2), with the sign that is higher
        on reals. A packing critic is asked for a pack of equal points.

        Raises ValueError for a trick whose critic has no value at a single point.
        """
        if self.trick.pointless:
            raise ValueError(f"landscape: {self.trick.pointless}: it has no value at a point")
        x = Tensor(((points - self.centre) / self.spread).astype(np.float32)).requires_grad_()
        critic = self._on_cpu(self.critic)
        was_training = critic.training
        critic.eval()
        value = self.loss.head(critic(cat([x] * self.pack, 1)))
        (slope,) = grad(value.sum(), x)
        critic.train(was_training)
        return self.loss.sign * value.data[:, 0], self.loss.sign * slope.data / self.spread

    def figures(self, seed: int = 0) -> dict:
        """The protocol's scores of 2,500 samples (gan/toy/data.py)."""
        return toydata.scores(self.sample(toydata.SAMPLES, seed), self.points, seed)
