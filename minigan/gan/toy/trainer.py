"""GANs on points in the plane: options, the trainer and its captured steps.

    for each generator step:   n_critic times:  minimise d_loss(D(x), D(Gz)) + lambda penalty    over D
                               once:            minimise g_loss(D(Gz))                           over G

Points are normalised to mean 0 and variance 1 per axis before anything sees them, and samples are scaled back. Both
learning rates fall to zero along half a cosine; samples come from an average of the generator's weights. One trick is a
switch: it changes the critic, its input, its loss or the generator's loss, and nothing else.

    plain           nothing
    gp              the gradient penalty of WGAN-GP between reals and fakes        (Gulrajani et al. 2017)
    spectral-norm   every critic weight divided by its largest singular value      (Miyato et al. 2018)
    packing         m samples judged as one input                                  (Lin et al. 2018)
    unrolled        G's loss behind k more steps of D, differentiated through      (Metz et al. 2017)
    minibatch       each sample's nearness to its batch-mates joined to its features  (Salimans et al. 2016)

With the Wasserstein loss and no trick that bounds the critic's slope, its weights are clipped to [-c, c].
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from math import cos, pi

import numpy as np

from ... import nn, optim
from ...autograd import Tensor, grad, no_grad
from ...backend import Generator, device
from ...capture import capture
from ...creation import rand, randn, zeros
from ...ops.index import cat
from .._state import TrainingState
from ..losses import LOSSES, loss
from ..options import check_kinds
from ..penalties import gradient_penalty
from ..steps import field, set_gradients, unroll
from ..train import TrainingError
from ..tricks import check, pack
from . import data as toydata
from . import networks as toynets

TRICKS = ("plain", "gp", "spectral-norm", "packing", "unrolled", "minibatch")
NAMES = {"plain": (), "gp": ("two-sided",), "spectral-norm": ("spectral",)}
"""Tricks by their names in gan/tricks.py, where they differ."""

STREAMS = {"init": 1, "latent_d": 2, "latent_g": 3, "eps": 4}
SAMPLE_STREAM, POOL = 6, 100_000


@dataclass(frozen=True)
class ToyOptions:
    """What a run is made of. Raises ValueError for values that make no sense.

    steps: generator steps. turns: alternating, or simultaneous, both players from one batch. lr_d, lr_g: Adam's rates. average: decay of the average of G's weights, 0 for none. falling:
    the rates fall to zero along half a cosine. nets: relu or published (networks.py). normalised: whether points
    are scaled to mean 0 and variance 1 per axis. pack: samples judged together by trick packing. unroll, unroll_lr: D's steps that trick unrolled looks through, by plain gradient descent; at a
    rate of 0.03 they run past D's optimum and G, led by a critic that never comes, ends in no mode.
    """

    data: str = "ring"
    loss: str = "wasserstein"
    trick: str = "gp"
    steps: int = 8_000
    batch_size: int = 256
    seed: int = 0
    device: str = "cpu"
    lr_d: float = 1e-3
    lr_g: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.9
    n_critic: int = 2
    gp_weight: float = 0.1
    clip: float = 0.05
    pack: int = 2
    unroll: int = 5
    unroll_lr: float = 2e-3
    latent: int = 2
    nets: str = "relu"
    width: int = 128
    depth: int = 4
    average: float = 0.99
    falling: bool = True
    turns: str = "alternating"
    normalised: bool = True

    def __post_init__(self) -> None:
        check_kinds(self, "toy: ")
        limits = {
            "steps": (1, 10**9),
            "batch_size": (2, 1 << 20),
            "seed": (0, 2**64 - 1),
            "n_critic": (1, 10_000),
            "latent": (1, 65_536),
            "width": (1, 65_536),
            "depth": (1, 1000),
            "pack": (1, 1000),
            "unroll": (1, 1000),
        }
        for name, (low, high) in limits.items():
            if not getattr(self, name) >= low:
                raise ValueError(f"toy: {name} must be at least {low}, got {getattr(self, name)}")
            if not getattr(self, name) <= high:
                raise ValueError(f"toy: {name} must be at most {high:,}, got {getattr(self, name)!r:.40}")
        for name in ("lr_d", "lr_g", "unroll_lr", "clip"):
            if not 0 < getattr(self, name) < 1e300:
                raise ValueError(f"toy: {name} must be positive and finite, got {getattr(self, name)}")
        if not 0 <= self.gp_weight < 1e300:
            raise ValueError(f"toy: gp_weight must not be negative, got {self.gp_weight}")
        _known("trick", self.trick, TRICKS)
        _known("nets", self.nets, ("relu", "published"))
        _known("turns", self.turns, ("alternating", "simultaneous"))
        if self.turns == "simultaneous" and self.n_critic != 1:
            raise ValueError(f"toy: players that step together do so once each; take n_critic 1, not {self.n_critic}")
        if self.trick == "packing" and (self.pack < 2 or self.batch_size % self.pack):
            raise ValueError(
                f"toy: packing needs at least 2 samples a pack and a batch that they divide, got pack {self.pack} and"
                f" batch_size {self.batch_size}"
            )
        device(self.device)
        loss(self.loss)
        check(self.loss, [*NAMES.get(self.trick, (self.trick,)), *(["clip"] if self.clipped else [])])

    @property
    def clipped(self) -> bool:
        """Whether the critic's weights are clipped: the Wasserstein loss needs a bound, where no trick gives one."""
        return loss(self.loss).lipschitz and self.trick not in ("gp", "spectral-norm")


ALIASES = {"wgan-gp": ("wasserstein", "gp"), "wgan": ("wasserstein", "plain"), "gan": ("non-saturating", "plain")}
"""Systems by their usual names: (loss, trick)."""

PUBLISHED = {
    "nets": "published",
    "batch_size": 100,
    "lr_d": 1e-4,
    "lr_g": 1e-4,
    "beta1": 0.8,
    "beta2": 0.999,
    "n_critic": 1,
    "average": 0.0,
    "falling": False,
    "turns": "simultaneous",
    "normalised": False,
}
"""The published protocol's settings (Lin et al. 2018, section 4.1, and the authors' code, github.com/fjxmlzn/PacGAN)."""


def published(pack: int = 1) -> dict:
    """The published settings for a critic that judges `pack` points together: a batch is 100 of its inputs."""
    return PUBLISHED | {"batch_size": PUBLISHED["batch_size"] * pack, "pack": pack}


def options_for(data: str, system: str, trick: str | None = None, **changes) -> ToyOptions:
    """The defaults for a data set and a loss or alias, with the given changes; trick None is what the system implies.

    Losses other than Wasserstein train D once a step with Adam's beta1 0.5, as their papers do. Raises ValueError for
    an unknown loss, trick or option, naming the nearest, and for an impossible pair.
    """
    _known("loss", system, (*ALIASES, *LOSSES))
    name, implied = ALIASES.get(system, (system, "plain"))
    unknown = changes.keys() - {f.name for f in fields(ToyOptions)}
    if unknown:
        raise ValueError(f"toy: unknown options {sorted(unknown)}")
    if system in ("wgan-gp", "wgan") and trick not in (None, implied):
        raise ValueError(f"toy: {system} is the loss {name} with trick {implied}; for {trick} take --loss {name}")
    defaults = {} if loss(name).lipschitz else {"n_critic": 1, "beta1": 0.5, "beta2": 0.999, "lr_d": 5e-4, "lr_g": 5e-4}
    return ToyOptions(**{"data": data, "loss": name, "trick": trick or implied, **defaults, **changes})


def _known(what: str, value: str, names) -> None:
    if value not in names:
        near = difflib.get_close_matches(str(value), names, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"toy: unknown {what} {value!r}{hint} (known: {', '.join(names)})")


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
        self.loss = loss(options.loss)
        self.random = {name: Generator(options.seed, stream) for name, stream in STREAMS.items()}
        pool = self.points.draw(POOL, np.random.default_rng((options.seed, 1)))
        self.centre, spread = pool.mean(0), pool.std(0)
        self.spread = np.where(spread > 0, spread, 1.0)
        if not options.normalised:
            self.centre, self.spread = np.zeros(2), np.ones(2)
        self.pool = ((pool - self.centre) / self.spread).astype(np.float32)
        self.rows = np.random.default_rng((options.seed, 2))
        self.pack = options.pack if options.trick == "packing" else 1
        self.generator, self.critic = (network.to(options.device) for network in self._networks())
        self.real = zeros(options.batch_size, 2, device=options.device)
        betas = (options.beta1, options.beta2)
        self.optim_d = optim.Adam(self.critic.parameters(), options.lr_d, betas)
        self.optim_g = optim.Adam(self.generator.parameters(), options.lr_g, betas)
        self.average = optim.WeightAverage(self.generator, options.average)
        self._critic_step, self._generator_step = capture(self.critic_step), capture(self.generator_step)
        self._joint_step = capture(self.joint_step)

    def _networks(self):
        options, start = self.options, self.random["init"]
        joint, spectral = options.trick == "minibatch", options.trick == "spectral-norm"
        if options.nets == "published":
            generator = toynets.published_generator(start, options.latent)
            return generator, toynets.published_critic(self.pack, start, joint=joint, spectral=spectral)
        generator = toynets.generator(options.latent, options.width, options.depth, start)
        return generator, toynets.critic(self.pack, options.width, options.depth, start, joint, spectral)

    def latent(self, random: Generator) -> Tensor:
        """A batch of standard normal latents (batch_size, latent)."""
        with device(self.options.device):
            return randn(self.options.batch_size, self.options.latent, generator=random)

    def packed(self, x: Tensor) -> Tensor:
        """Points (N, 2) as the critic's inputs (N / pack, 2 pack)."""
        return pack(x, self.pack)

    def judged(self, x: Tensor) -> Tensor:
        """Packed points (N, 2 pack) as outputs (N, 1) that the loss takes."""
        return self.loss.head(self.critic(x))

    def critic_step(self) -> dict[str, Tensor]:
        """D's loss on the batch in `real` and fresh fakes, its gradient and an optimiser step."""
        with no_grad():
            fake = self.generator(self.latent(self.random["latent_d"]))
        real, fake = self.packed(self.real), self.packed(fake)
        objective, figures = self._critic_objective(real, fake, self.judged(real), self.judged(fake))
        self.optim_d.zero_grad()
        objective.backward()
        self._move_critic()
        return figures

    def _critic_objective(
        self, real: Tensor, fake: Tensor, d_real: Tensor, d_fake: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(what D minimises for packed points and their outputs, its figures)."""
        options, objective = self.options, self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": objective, "d_real": d_real.detach().mean(), "d_fake": d_fake.detach().mean()}
        if options.trick == "gp":
            with device(options.device):
                eps = rand(real.shape[0], 1, generator=self.random["eps"])
            penalty, figures["gradient_norm"] = gradient_penalty(self.judged, real, fake, eps)
            figures["d_objective"] = objective = objective + options.gp_weight * penalty
        return objective, figures

    def _move_critic(self) -> None:
        self.optim_d.step()
        if self.options.clipped:
            optim.clip_weights_(self.critic.parameters(), self.options.clip)

    def generator_step(self) -> dict[str, Tensor]:
        """G's loss on fresh latents, its gradient, an optimiser step, and the average's step."""
        fake = self.packed(self.generator(self.latent(self.random["latent_g"])))
        if self.options.trick == "unrolled":
            objective = self._unrolled(fake)
        else:
            self.critic.requires_grad_(False)
            objective = self._adversarial(self.judged, fake)
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
        real, fake = self.packed(self.real), self.packed(self.generator(self.latent(self.random["latent_g"])))
        d_real, d_fake = self.judged(real), self.judged(fake)
        d_objective, figures = self._critic_objective(real, fake, d_real, d_fake)
        if self.options.trick == "unrolled":
            g_objective = self._unrolled(fake)
        else:
            g_objective = self.loss.generator(d_fake, d_real if self.loss.relativistic else None)
        players = [list(self.critic.parameters()), list(self.generator.parameters())]
        set_gradients(players, field([d_objective, g_objective], players))
        norm = optim.grad_norm([p.grad for p in players[1]])
        self._move_critic()
        self.optim_g.step()
        self.average.update(self.generator)
        return figures | {"g_loss": g_objective, "g_weight_gradient": norm}

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
        d_real = outputs_of(self.packed(self.real)) if self.loss.relativistic else None
        return self.loss.generator(outputs_of(fake), d_real)

    @np.errstate(over="ignore", invalid="ignore")
    def step(self) -> dict[str, Tensor]:
        """One generator step with its critic steps; the last ones' figures, as tensors.

        Numbers that overflow are left to `train`, which looks for them, so NumPy's warnings of them are off here.
        """
        options = self.options
        if options.falling:
            left = (1 + cos(pi * self.steps_done / options.steps)) / 2
            self.optim_d.param_groups[0]["lr"] = options.lr_d * left
            self.optim_g.param_groups[0]["lr"] = options.lr_g * left
        for _ in range(options.n_critic):
            self.real.assign(self.pool[self.rows.integers(len(self.pool), size=options.batch_size)])
            figures = self._joint_step() if options.turns == "simultaneous" else self._critic_step()
        if options.turns == "alternating":
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
            points = network(randn(count, self.options.latent, generator=Generator(seed, SAMPLE_STREAM))).data
        network.train(was_training)
        return points * self.spread + self.centre

    def _on_cpu(self, network: nn.Module) -> nn.Module:
        return network if device(self.options.device).is_host else copy.deepcopy(network).to("cpu")

    def landscape(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D(x), its gradient) at points (N, 2) in the data's own units: (N,) and (N, 2), with the sign that is higher
        on reals. A packing critic is asked for a pack of equal points.

        Raises ValueError for trick minibatch, whose critic has no value at a single point.
        """
        if self.options.trick == "minibatch":
            raise ValueError("landscape: a critic with minibatch discrimination judges a whole batch, not a point")
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
