"""The training loop of a GAN: n_critic critic steps, one generator step (Goodfellow et al. 2014, algorithm 1).

    for each step:
        n_critic times:     minimise d_loss (+ lambda * gradient penalty) over the critic's weights
        n_generator times:  minimise g_loss over the generator's weights; no gradient of the critic's is computed; once
                            by default

`Trainer` is the plain system, and the base of all others (gan/systems/): they override what they change of `build`,
`begin`, `anneal`, `feed`, `inputs`, `critic_loss`, `generator_loss`, `preview` and `observe`. One without a critic
(gan/systems/ae.py) has one player, the generator. What must survive a restart is in _state.py, judging in
metrics/judging.py; folders, terminals and clocks are run.py's.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import wraps
from typing import Any, ClassVar

import numpy as np

from .. import nn, optim
from ..autograd import Tensor, grad, no_grad
from ..backend import Generator, device, float32, float64, host
from ..capture import capture
from ..creation import rand, randn, zeros
from ..data import Dataset, Info, Loader
from ._state import TrainingState, count_of
from .lockstep import Lockstep, side_by_side
from .losses import loss
from .metrics.judging import Observation, observe_samples
from .networks.dcgan import glorot_init_
from .networks.table import Pair, pair
from .options import CommonOptions
from .parts import Parts, RankFailure, numbers
from .penalties import penalty
from .players import HalfStep, Player
from .tricks import spectral_norm_

STREAMS: Mapping[str, int] = {"init": 1, "latent_d": 2, "latent_g": 3, "eps": 4}
"""The random streams of training, a number each, so that how often one is drawn from leaves the others as they were."""

PREVIEW_STREAM, SAMPLE_STREAM, METRIC_STREAM, TRAVERSE_STREAM = 5, 6, 7, 10
"""The streams of looking at a system. All other numbers are free for a system's own (`Trainer.streams`)."""


class TrainingError(RuntimeError):
    """Training cannot go on: a loss or gradient is no longer finite. The message names the step and the op."""


class Stopped(Exception):
    """A signal ended a run, after a checkpoint. `code` is the exit status: 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number


def on_device(method: Callable) -> Callable:
    """A trainer's method, its tensors made on the device of its options."""

    @wraps(method)
    def run(self: Trainer, *args: Any, **settings: Any) -> Any:
        with device(self.options.device):
            return method(self, *args, **settings)

    return run


class Trainer:
    """A generator, a critic, their optimisers, data and random numbers; `step()` trains, `state()` and `restore()`
    carry it over.

    dataset: what to train on. With only what is known of it (`data.info`), the trainer can sample but not train.

    batch: the tensors that `feed` fills and the losses read. memory: tensors that a system keeps between steps, saved
        with the weights. pools: names of those that a half-step changes, each part of a batch in rows of its own.
        dtype: of the random numbers. split: the held-out images that `observe` compares with. attached: whether a
        penalty's points stay on the graph of the samples.
    """

    streams: ClassVar[Mapping[str, int]] = STREAMS
    dropout_stream: ClassVar[int] = 8
    split: str = "all"
    attached: bool = False
    constants: dict[str, Tensor] | None = None
    pools: tuple[str, ...] = ()
    lockstep: Lockstep | None = None

    def __init__(self, options: CommonOptions, dataset: Dataset | Info) -> None:
        self.run_options = options
        self.options: Any = replace(options, batch_size=options.batch_size // options.parts, parts=1)  # of one part
        self.parts = Parts(options.parts, synchronised=options.sync_norm)
        self.dataset: Any = dataset
        self.steps_done = 0
        self.dtype: np.dtype = float32
        self.info = dataset.info if isinstance(dataset, Dataset) else dataset
        self._assemble()

    @on_device
    def _assemble(self) -> None:
        options = self.options
        self.loss: Any = loss(options.loss) if options.loss else None
        self.random = {name: Generator(options.seed, stream) for name, stream in self.streams.items()}
        self.loader: Any = self.load() if isinstance(self.dataset, Dataset) else None
        self.batch = {"real": zeros(options.batch_size, self.info.shape[-1], options.size, options.size)}
        self.memory: dict[str, Tensor] = {}
        networks: Any = self.build()
        self.generator, self.critic = networks
        self.generator.to(options.device)
        self.optim_g = self.optimiser_of(self.generator.parameters())
        self.players = {"generator": self._player(self.optim_g, lambda: self.generator_loss(), "g_weight_gradient")}
        optimisers = {"optim_g": self.optim_g}
        if self.critic is not None:
            self.critic.to(options.device)
            self.optim_d = optimisers["optim_d"] = self.optimiser_of(self.critic.parameters())
            norm = "d_weight_gradient"
            self.players["critic"] = self._player(self.optim_d, lambda: self.critic_loss(), norm, options.clip)
        self.average = optim.WeightAverage(self.generator, options.average)
        if self.parts.synchronised:
            layers = [layer for network in self.trained().values() for layer in network.modules()]
            norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
            if not norms:
                raise ValueError(f"{options.system}: these networks have no batch norm to synchronise; leave it out")
            for layer in norms:
                layer.group = self.parts.group
        self._state = TrainingState(
            networks=self.trained(),
            optimisers=optimisers,
            average=self.average,
            random=self.random,
            memory=self.memory,
            loader=self.loader,
        )

    def _player(self, optimiser: optim.Optimizer, objective_of: Callable, norm: str, bound: float = 0.0) -> Player:
        """A player who minimises what `objective_of()` returns first; the figures take in the norm of its gradient and,
        where it is more than the player's adversarial loss, what it minimises."""
        params, whole = optimiser.param_groups[0]["params"], self.parts.count == 1

        def gradients() -> dict[str, Tensor]:
            objective, figures = objective_of()
            slopes = grad(objective, params)
            for p, g in zip(params, slopes, strict=True):
                p.grad = g
            if whole:  # else when the parts' gradients are added
                self.correct(params)
            if figures.get(f"{norm[0]}_loss", objective) is not objective:  # there are further terms
                figures = {**figures, f"{norm[0]}_objective": objective}
            return {"objective": objective, **figures, norm: optim.grad_norm(slopes)}

        return Player(optimiser, capture(gradients) if self.options.capture else gradients, bound)

    # The loop.

    @on_device
    @side_by_side
    def step(self) -> dict[str, float]:
        """One generator step with its critic steps; returns the last critic step's figures and the generator's.

        Raises TrainingError, with no weight moved by the half-step at fault, when a loss or a gradient is not finite.
        """
        if not self.steps_done:
            self.begin()
        self.anneal()
        mark = self._state.mark(weights=self.parts.ranks.size > 1)
        one_by_one = self.parts.count > 1 or device(self.options.device).is_host
        try:
            figures = self._look_after_each() if one_by_one else self._look_once()
        except RankFailure:  # in the middle of a step, of which nothing may stay
            self._state.roll_back(mark)
            raise
        self.average.update(self.generator)
        self.steps_done += 1
        return figures

    def half_steps(self) -> list[HalfStep]:
        """The schedule of one step: n_critic times the critic, then n_generator times the generator. One player alone
        is fed before its own move."""
        count, more, generator = self.options.n_critic, self.options.n_generator, self.players["generator"]
        if self.critic is None:
            return [HalfStep("generator step", generator, self.feed)]
        critic = self.players["critic"]
        critic_steps = [HalfStep(f"critic step {k + 1} of {count}", critic, self.feed) for k in range(count)]
        names = [f"generator step {k + 1} of {more}" for k in range(more)] if more > 1 else ["generator step"]
        return [*critic_steps, *(HalfStep(name, generator, lambda: None) for name in names)]

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is looked for here, and an error
    def _look_after_each(self) -> dict[str, float]:
        """The half-steps, each one's figures looked at before its optimiser acts."""
        figures: dict[str, float] = {}
        for half_step in self.half_steps():
            mark = self._state.mark()
            values = self.parts.gradients(self, half_step)
            if not np.isfinite(list(values.values())).all():
                self._state.roll_back(mark)
                culprit = self.parts.culprit(self, half_step)  # draws the half-step's random numbers again
                self._state.roll_back(mark)
                raise TrainingError(f"step {self.steps_done + 1}, {half_step.name}: {culprit}")
            half_step.player.move()
            figures |= {name: value for name, value in values.items() if name != "objective"}
        return figures

    def _look_once(self) -> dict[str, float]:
        """All half-steps, then one look at all their figures, for which a device is waited for.

        Where one is not finite, everything is rolled back to where the step began, and the half-steps are taken one by
        one: the same numbers come again, up to the half-step at fault.
        """
        mark, tensors = self._state.mark(weights=True), dict[tuple[int, str], Tensor]()
        for number, half_step in enumerate(self.half_steps()):
            half_step.feed()
            tensors |= {(number, name): value for name, value in half_step.player.gradients().items()}
            half_step.player.move()
        values = numbers(tensors)
        if np.isfinite(list(values.values())).all():
            return {name: value for (_, name), value in values.items() if name != "objective"}
        self._state.roll_back(mark)
        return self._look_after_each()

    # What a system is made of.

    def load(self) -> Loader:
        """The batches of real images."""
        return Loader(self.dataset, self.options.batch_size, self.options.seed, size=self.options.size)

    def build(self) -> tuple[nn.Module, nn.Module | None]:
        """(generator, critic), their weights drawn; adds what the system needs to `batch` and `memory`. The critic is
        None where one player trains alone."""
        options, channels = self.options, self.info.shape[-1]
        row, extra = pair(options.network), {}
        if options.dropout:
            self.random["dropout"] = Generator(options.seed, self.dropout_stream)
            extra = {"rate": options.dropout, "random": self.random["dropout"]}
        generator = row.generator(options.latent, channels, options.size, options.base)
        critic = self.new_critic(row, **extra)
        random = self.random["init"]
        row.init_(generator, random)
        if options.spectral:
            return generator, spectral_norm_(glorot_init_(critic, random), random)
        return generator, row.init_(critic, random)

    def new_critic(self, row: Pair, **extra: Any) -> nn.Module:
        """The critic of a pair of networks, its weights not yet drawn. extra: rate and random of its dropout."""
        options = self.options
        width = options.critic_base or options.base
        return row.critic(self.info.shape[-1], options.size, width, options.critic_norm, **extra)

    def optimiser_of(self, params: Iterable[nn.Parameter]) -> optim.Optimizer:
        """The optimiser that the options name."""
        options = self.options
        if options.optimizer == "rmsprop":
            return optim.RMSprop(params, options.lr)
        return optim.Adam(params, options.lr, (options.beta1, options.beta2))

    def begin(self) -> None:
        """What comes before the first step of a new run, once; nothing by default."""

    def anneal(self) -> None:
        """What changes with the number of steps, before each: rates, weights; nothing by default."""

    def correct(self, params: Sequence[nn.Parameter]) -> None:
        """Change the .grad of a player's parameters before its optimiser reads it; nothing by default."""

    def feed(self) -> None:
        """Put the next real images into `batch`, before each critic step."""
        self.batch["real"].assign(next(self.loader)[0])

    def inputs(self, count: int, random: Generator) -> Tensor:
        """What the generator takes for `count` samples (count, width), drawn from `random`: standard normal latents."""
        return randn(count, self.options.latent, generator=random, dtype=self.dtype)

    def seen(self, images: Tensor) -> Tensor:
        """Images as the critic is shown them: as they are."""
        return images

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the critic minimises on the batch in `real`, and figures to report."""
        with no_grad():
            fake = self.generator(self.inputs(self.options.batch_size, self.random["latent_d"]))
        return self.critic_objective(fake)

    def critic_objective(self, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The same for samples (N, C, S, S), and as many reals in the batch."""
        real, fake = self.seen(self.batch["real"]), self.seen(fake)
        d_real, d_fake = (self.loss.head(self.critic(images)) for images in (real, fake))
        objective = self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": objective, **self.loss.figures(d_real, d_fake)}
        return self.with_penalty(objective, figures, self.critic, real, fake)

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the generator minimises on fresh latents, and figures to report."""
        return self.generator_objective(self.generator(self.inputs(self.options.batch_size, self.random["latent_g"])))

    def generator_objective(self, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The same for samples (N, C, S, S)."""
        objective = self.adversarial(self.critic(self.seen(fake)), self.critic)
        return objective, {"g_loss": objective}

    def adversarial(self, d_fake: Tensor, critic: Callable[[Tensor], Tensor]) -> Tensor:
        """The generator's part of the loss on the critic's outputs (N,) for samples; `critic` is asked about the reals,
        too, where the loss reads them."""
        if not self.loss.relativistic:
            return self.loss.generator(self.loss.head(d_fake))
        with no_grad():
            d_real = critic(self.seen(self.batch["real"]))
        return self.loss.generator(self.loss.head(d_fake), self.loss.head(d_real))

    def with_penalty(
        self,
        objective: Tensor,
        figures: dict[str, Tensor],
        critic: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and the figures with the gradient penalty, where the options ask for one; its points are drawn
        from the stream "eps"."""
        options = self.options
        if not options.gp_weight:
            return objective, figures
        eps = rand(real.shape[0], 1, 1, 1, generator=self.random["eps"], dtype=self.dtype)
        value, norm = penalty(options.penalty)(critic, real, fake, eps, self.attached)
        return objective + options.gp_weight * value, figures | {"penalty": value, "gradient_norm": norm}

    def constant(self, name: str, value: Tensor) -> Tensor:
        """A value that no gradient passes: as it is, or, where `constants` is a table, as it was when first asked for.

        A loss that stops gradients has for its derivative that of the loss with the stopped values held. The
        certificate, which moves weights and looks at the loss, holds them in that table.
        """
        if self.constants is None:
            return value.detach()
        return self.constants.setdefault(name, value.detach())

    def formulas(self) -> dict[str, str]:
        """Loss -> its formula, for the curves of a run."""
        parts = (part.partition(":")[2].strip() for part in self.loss.formula.split(";"))
        return dict(zip(("d_loss", "g_loss"), parts, strict=True))

    # What it shows.

    @on_device
    def sample(self, z: Tensor, batch: int = 100) -> np.ndarray:
        """Images (N, C, H, W) in (-1, 1) for what `inputs` gives (N, width), by the averaged generator in evaluation
        mode."""
        return generate(self.average.module, z, batch)

    @on_device
    def draw(self, count: int, random: Generator) -> np.ndarray:
        """`count` images (count, C, H, W) for inputs drawn from `random`."""
        return self.sample(self.inputs(count, random))

    def preview(self, count: int) -> np.ndarray:
        """Images for the same `count` latents every time: what the grids of a run show."""
        return self.draw(count, Generator(self.options.seed, PREVIEW_STREAM))

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """What `count` samples for inputs drawn from `random` show, by judges that were trained on real images only;
        with all their distances if `details`. Raises ValueError where there is no judge for the data set."""
        options, seen = self.options, self.trained_on.train
        return observe_samples(self.draw(count, random), options.data, self.yardstick, options.seed, details, seen)

    def observe_on(self, split: str, count: int, random: Generator, details: bool = True) -> Observation:
        """`observe` with a part of the held-out images for real ones: "validation", "test" or "all"."""
        before, self.split = self.split, split
        try:
            observation = self.observe(count, random, details)
        finally:
            self.split = before
        observation.figures["split"] = split
        return observation

    @property
    def yardstick(self) -> Dataset:
        """The data set with the held-out images that `observe` compares with: all of them, or those of the half
        `split`."""
        return self.dataset if self.split == "all" else self.dataset.half(self.split)

    @property
    def follows_total(self) -> bool:
        """Whether rates or weights hang on the total number of steps, so that another total is another run."""
        return False

    @property
    def subject(self) -> str:
        """What the first line of a run says it is trained on."""
        return self.options.data

    @property
    def trained_on(self) -> Dataset:
        """The data set with the training images that the networks are shown."""
        return self.dataset

    def double(self) -> Trainer:
        """Weights, data and random numbers in float64 from here on, for comparisons; returns self."""
        self.dtype, self.lockstep = float64, None
        for module in self.networks().values():
            module.double()
        for table in (self.batch, self.memory):
            table.update({name: t.to(float64) for name, t in table.items() if t.dtype == float32})
        return self

    # What a restart needs.

    def counters(self) -> dict:
        """Where the random streams and the data stand."""
        return self._state.counters()

    def set_counters(self, counters: Mapping) -> None:
        """Put the random streams and the data where `counters` says."""
        self._state.set_counters(counters)

    def trained(self) -> dict[str, nn.Module]:
        """The generator and, where there is one, the critic."""
        return {"generator": self.generator} | ({} if self.critic is None else {"critic": self.critic})

    def networks(self) -> dict[str, nn.Module]:
        """The same, and the average of the generator."""
        return self.trained() | {"average": self.average.module}

    def state(self) -> tuple[dict[str, np.ndarray], dict]:
        """(arrays, JSON-able rest): everything `restore` needs."""
        arrays, rest = self._state.save()
        return arrays, {"options": asdict(self.run_options), "steps_done": self.steps_done, **rest}

    def restore(self, arrays: dict[str, np.ndarray], rest: dict) -> None:
        """Continue from `state()`. Raises an ordinary exception, ValueError or KeyError most often, if it belongs to
        other networks or is nothing that `state` gives."""
        self.lockstep = None
        self._state.restore(arrays, rest)
        self.steps_done = count_of(rest, "steps_done")


def generate(generator: nn.Module, z: Tensor, batch: int = 100) -> np.ndarray:
    """Images (N, C, H, W) for latents z (N, latent) by a generator in evaluation mode, `batch` at a time, nothing
    recorded."""
    was_training = generator.training
    if (home := next((p.device for p in generator.parameters()), z.device)) != z.device:
        z = z.detach().to(home)
    generator.eval()
    with no_grad():
        images = [host(generator(Tensor(z.data[i : i + batch])).data) for i in range(0, len(z), batch)]
    generator.train(was_training)
    return np.concatenate(images)
