"""The training loop of a GAN: k critic steps, one generator step, and everything that must survive a restart.

    for each generator step:                                 (Goodfellow et al. 2014, algorithm 1)
        n_critic times:  minimise d_loss (+ lambda * gradient penalty) over the critic's weights
        once:            minimise g_loss over the generator's weights; no gradient of the critic's weights is computed

`Trainer` is the plain system, and the base of all others: they override what they change of `build`, `begin`, `feed`,
`inputs`, `critic_loss`, `generator_loss`, `preview` and `observe`. It knows nothing of folders, terminals or clocks
(gan/run.py does). Its state is arrays and small integers, so a run that is stopped and resumed equals an uninterrupted
one bit for bit: every random number is a function of (seed, stream, draw number).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial, wraps
from typing import ClassVar

import numpy as np

from .. import nn, optim
from ..autograd import Tensor, detect_anomaly, grad, no_grad
from ..backend import Generator, device, float32, float64, host
from ..capture import capture
from ..creation import rand, randn, zeros
from ..data import Dataset, Info, Loader
from ..ops.basic import cast
from ..ops.index import stack
from ..ops.reduce import mean
from .losses import loss
from .metrics import attributes, classifier
from .metrics import report as metrics
from .networks.dcgan import glorot_init_
from .networks.table import pair
from .options import Options
from .penalties import penalty
from .tricks import spectral_norm_

PREVIEW_STREAM, DROPOUT_STREAM = 5, 8


class TrainingError(RuntimeError):
    """Training cannot go on: a loss or gradient is no longer finite. The message names the step and the op."""


@dataclass(frozen=True)
class Observed:
    """What a trained system shows: figures ready for JSON, and lines for a person, the most telling first."""

    figures: dict
    lines: list[str]


def on_device(method: Callable) -> Callable:
    """A trainer's method, its tensors made on the device of its options (given to __init__ as the first argument)."""

    @wraps(method)
    def run(self, *args, **settings):
        with device((args[0] if method.__name__ == "__init__" else self.options).device):
            return method(self, *args, **settings)

    return run


class Trainer:
    """A generator, a critic, their optimisers, data and random numbers; `step()` trains, `state()` and `restore()`
    carry it over.

    dataset: what to train on. With only what is known of it (`data.info`), the trainer can sample but not train.

    batch: the tensors that `feed` fills and the losses read. memory: tensors that a system keeps between steps, saved
        with the weights. dtype: of the random numbers.
    """

    # One random stream for each use, so that changing how often one is drawn from leaves the others as they were.
    streams: ClassVar[Mapping[str, int]] = {"init": 1, "latent_d": 2, "latent_g": 3, "eps": 4}

    @on_device
    def __init__(self, options: Options, dataset: Dataset | Info) -> None:
        self.options, self.dataset, self.steps_done, self.dtype = options, dataset, 0, float32
        self.info = dataset.info if isinstance(dataset, Dataset) else dataset
        self.loss = loss(options.loss)
        self.random = {name: Generator(options.seed, stream) for name, stream in self.streams.items()}
        self.loader = self.load() if isinstance(dataset, Dataset) else None
        self.batch = {"real": zeros(options.batch_size, self.info.shape[-1], options.size, options.size)}
        self.memory: dict[str, Tensor] = {}
        self.generator, self.critic = (module.to(options.device) for module in self.build())
        self.optim_g, self.optim_d = (self._optimiser_of(m.parameters()) for m in (self.generator, self.critic))
        self.average = optim.WeightAverage(self.generator, options.average)
        plan = capture if options.capture else lambda step: step
        self.gradients = {
            "critic": plan(partial(self._gradients, self.critic_loss, self.optim_d)),
            "generator": plan(partial(self._gradients, self.generator_loss, self.optim_g)),
        }

    # What a system is made of.

    def load(self) -> Loader:
        """The batches of real images."""
        return Loader(self.dataset, self.options.batch_size, self.options.seed, size=self.options.size)

    def build(self) -> tuple[nn.Module, nn.Module]:
        """(generator, critic), their weights drawn; adds what the system needs to `batch` and `memory`."""
        options, channels = self.options, self.info.shape[-1]
        row, extra = pair(options.network), {}
        if options.dropout:
            self.random["dropout"] = Generator(options.seed, DROPOUT_STREAM)
            extra = {"rate": options.dropout, "random": self.random["dropout"]}
        generator = row.generator(options.latent, channels, options.size, options.base)
        critic = row.critic(channels, options.size, options.base, options.critic_norm, **extra)
        random = self.random["init"]
        row.init_(generator, random)
        if options.spectral:
            return generator, spectral_norm_(glorot_init_(critic, random), random)
        return generator, row.init_(critic, random)

    def begin(self) -> None:
        """What comes before the first step of a new run, once; nothing by default."""

    def schedule(self) -> Iterator[tuple[str, str]]:
        """The half-steps of one step: what an error calls it, and whose it is ("critic" or "generator")."""
        for k in range(self.options.n_critic):
            yield f"critic step {k + 1} of {self.options.n_critic}", "critic"
        yield "generator step", "generator"

    def feed(self, player: str) -> None:
        """Put what the next half-step of `player` reads into `batch`."""
        if player == "critic":
            self.batch["real"].assign(next(self.loader)[0])

    def move(self, player: str) -> None:
        """Change the weights of `player` by its gradients; the critic's stay within the bound, where there is one."""
        self._optimiser(player).step()
        if player == "critic" and self.options.clip:
            optim.clip_weights_(self.critic.parameters(), self.options.clip)

    def inputs(self, count: int, random: Generator) -> Tensor:
        """What the generator takes for `count` samples (count, width), drawn from `random`: standard normal latents."""
        return randn(count, self.options.latent, generator=random, dtype=self.dtype)

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the critic minimises on the batch in `real`, and figures to report."""
        batch, real = self.options.batch_size, self.batch["real"]
        with no_grad():
            fake = self.generator(self.inputs(batch, self.random["latent_d"]))
        d_real, d_fake = (self.loss.head(self.critic(images)) for images in (real, fake))
        objective = self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": objective, **self.critic_figures(d_real, d_fake)}
        if self.options.gp_weight:
            value, norm = self.slope(self.critic, real, fake)
            figures |= {"penalty": value, "gradient_norm": norm}
            objective = objective + self.options.gp_weight * value
        return objective, figures

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the generator minimises on fresh latents, and figures to report."""
        fake = self.generator(self.inputs(self.options.batch_size, self.random["latent_g"]))
        objective = self.loss.generator(self.loss.head(self.critic(fake)))
        return objective, {"g_loss": objective}

    def critic_figures(self, d_real: Tensor, d_fake: Tensor) -> dict[str, Tensor]:
        """What the critic's outputs (N,) mean, as far as the loss says."""
        if self.loss.probability is not None:
            means = (mean(self.loss.probability(d.detach())) for d in (d_real, d_fake))
            return dict(zip(("d_real", "d_fake"), means, strict=True))
        if self.loss.name == "wasserstein":
            return {"critic_estimate": mean(d_real.detach()) - mean(d_fake.detach())}
        return {}

    def slope(self, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """(the gradient penalty without its weight, the mean norm), at points drawn from the stream "eps"."""
        eps = rand(real.shape[0], 1, 1, 1, generator=self.random["eps"], dtype=self.dtype)
        return penalty(self.options.penalty)(critic, real, fake, eps)

    def formulas(self) -> dict[str, str]:
        """Loss -> its formula, for the curves of a run."""
        parts = (part.partition(":")[2].strip() for part in self.loss.formula.split(";"))
        return dict(zip(("d_loss", "g_loss"), parts, strict=True))

    # What it does.

    @on_device
    def step(self) -> dict[str, float]:
        """One generator step with its critic steps; returns the last critic step's figures and the generator's.

        Raises TrainingError, with no weight moved by the half-step at fault, when a loss or a gradient is not finite.
        """
        if not self.steps_done:
            self.begin()
        figures = self._one_by_one() if self.options.device == "cpu" else self._at_once()
        self.average.update(self.generator)
        self.steps_done += 1
        return figures

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is looked for here, and an error
    def _one_by_one(self) -> dict[str, float]:
        """The half-steps, each one's figures looked at before its optimiser acts."""
        figures: dict[str, float] = {}
        for what, player in self.schedule():
            before = self._place()
            self.feed(player)
            found = self.gradients[player]()
            values = _numbers(found)
            if not np.isfinite(list(values.values())).all():
                self._go_back(before)
                raise TrainingError(f"step {self.steps_done + 1}, {what}: {self._culprit(self.gradients[player])}")
            self.move(player)
            figures |= {name: values[name] for name in found if name != "objective"}
        return figures

    def _at_once(self) -> dict[str, float]:
        """All half-steps, then one look at all their figures, for which a device is waited for.

        Where one is not finite, everything goes back to where the step began, and the half-steps are taken one by one:
        the same numbers come again, up to the half-step at fault.
        """
        tensors = [t for module in (self.generator, self.critic) for t in (*module.parameters(), *module.buffers())]
        arrays, states = [t.data.copy() for t in tensors], [o.remember() for o in self._optimisers().values()]
        before, found = self._place(), {}
        for number, (_, player) in enumerate(self.schedule()):
            self.feed(player)
            found |= {(number, name): value for name, value in self.gradients[player]().items()}
            self.move(player)
        values = _numbers(found)
        if np.isfinite(list(values.values())).all():
            return {name: value for (_, name), value in values.items() if name != "objective"}
        for t, array in zip(tensors, arrays, strict=True):
            t.assign(Tensor(array))
        for optimiser, state in zip(self._optimisers().values(), states, strict=True):
            optimiser.go_back(state)
        self._go_back(before)
        return self._one_by_one()

    def _gradients(self, compute: Callable, optimiser: optim.Optimizer) -> dict[str, Tensor]:
        """Put the gradient of what `compute` minimises into the parameters' .grad; the figures, "objective" first."""
        objective, figures = compute()
        params = optimiser.param_groups[0]["params"]
        gradients = grad(objective, params)
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        norm = "d_weight_gradient" if optimiser is self.optim_d else "g_weight_gradient"
        return {"objective": objective, **figures, norm: optim.grad_norm(gradients)}

    def _culprit(self, gradients: Callable) -> str:
        """Run a half-step again, op by op, on the unchanged weights, random numbers and data: the first op that leaves
        the finite numbers."""
        try:
            with detect_anomaly():
                gradients()
        except FloatingPointError as error:
            return str(error)
        return "the loss or a gradient is not finite, but every op is when run again"

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

    def observe(self, count: int, random: Generator, details: bool = False) -> Observed:
        """What `count` samples for inputs drawn from `random` show, by judges that were trained on real images only;
        with all their distances if `details`. Raises ValueError where there is no judge for the data set."""
        if self.dataset.labels is None and self.dataset.attributes is not None:
            return self._by_attributes(self.draw(count, random))
        judge = self.judge()
        return self.scores(self.draw(count, random), *judge, details)

    def judge(self) -> tuple[classifier.Classifier, float]:
        """(the classifier of the data set, its accuracy on held-out images). Raises ValueError where there is none."""
        model, made = classifier.load(self.options.data)
        if list(self.info.class_names) != made["classes"]:
            raise ValueError(
                f"the classifier knows {made['classes']}, {self.options.data!r} has {list(self.info.class_names)} now"
            )
        return model, made["held_out_accuracy"]

    def scores(
        self, images: np.ndarray, model: classifier.Classifier, accuracy: float, details: bool = False
    ) -> Observed:
        """How the judge finds images (N, C, size, size)."""
        report = metrics.evaluate(images, model, self.dataset)
        seen = Observed(
            {"held_out_accuracy": accuracy, **report.as_dict()},
            [f"{report.line()}; the judge is right on {accuracy:.1%} of the held-out images"],
        )
        if details:
            shares = zip(self.info.class_names, report.histogram, strict=True)
            seen.lines.append("shares: " + "  ".join(f"{name} {share:.1%}" for name, share in shares))
        if details and len(images) >= 10:
            found = metrics.examine(images, model, self.dataset, self.options.seed)
            seen.lines.extend(found.lines())
            seen.figures["details"] = found.as_dict()
        return seen

    def _by_attributes(self, images: np.ndarray) -> Observed:
        """All distances, on the features of a classifier of attributes."""
        model, made = attributes.load_for(self.dataset)
        groups = attributes.groups(self.dataset).values()
        found = metrics.examine(images, model, self.dataset, self.options.seed, groups)
        right = float(np.mean(list(made["held_out_accuracy"].values())))
        line = f"{found.line()}; the judge is right on {right:.1%} of the held-out images' attributes"
        scores = {"held_out_accuracy": right, "precision": found.precision, "recall": found.recall}
        return Observed({**scores, "details": found.as_dict()}, [line, *found.lines()])

    def twin(self, device: str) -> Trainer:
        """The same system in the same state on another device."""
        other = type(self)(replace(self.options, device=device), self.dataset)
        other.restore(*self.state())
        return other

    def double(self) -> Trainer:
        """Weights, data and random numbers in float64 from here on, for comparisons; returns self."""
        self.dtype = float64
        for module in self.networks().values():
            module.double()
        for table in (self.batch, self.memory):
            table.update({name: t.to(float64) for name, t in table.items() if t.dtype == float32})
        return self

    # What a restart needs.

    def state(self) -> tuple[dict[str, np.ndarray], dict]:
        """(arrays, JSON-able rest): everything `restore` needs."""
        arrays, optimisers = {}, {}
        for name, module in self.networks().items():
            arrays |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
        arrays |= {f"memory.{name}": host(t.data) for name, t in self.memory.items()}
        for name, optimiser in self._optimisers().items():
            saved = optimiser.state_dict()
            for i, entry in saved["state"].items():
                arrays |= {f"{name}.{i}.{k}": host(v) for k, v in entry.items() if not isinstance(v, int)}
            counts = {str(i): {k: v for k, v in e.items() if isinstance(v, int)} for i, e in saved["state"].items()}
            optimisers[name] = counts
        rest = {
            "options": asdict(self.options),
            "steps_done": self.steps_done,
            "counters": self._counters(),
            "optimisers": optimisers,
            "average_updates": self.average.updates,
        }
        return arrays, rest

    def restore(self, arrays: dict[str, np.ndarray], rest: dict) -> None:
        """Continue from `state()`. Raises ValueError or KeyError if it belongs to other networks."""
        for name, module in self.networks().items():
            module.load_state_dict(_under(arrays, name))
        for name, t in self.memory.items():
            t.assign(arrays[f"memory.{name}"])
        for name, optimiser in self._optimisers().items():
            state = {int(i): dict(counts) for i, counts in rest["optimisers"][name].items()}
            for key, array in _under(arrays, name).items():
                i, _, k = key.partition(".")
                state.setdefault(int(i), {})[k] = array
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        self.steps_done, self.average.updates = rest["steps_done"], rest["average_updates"]
        self._set_counters(rest["counters"])

    def networks(self) -> dict:
        """The generator, the critic, and the average of the generator."""
        return {"generator": self.generator, "critic": self.critic, "average": self.average.module}

    def _optimiser_of(self, params: Iterable[nn.Parameter]) -> optim.Optimizer:
        options = self.options
        if options.optimizer == "rmsprop":
            return optim.RMSprop(params, options.lr)
        return optim.Adam(params, options.lr, (options.beta1, options.beta2))

    def _optimisers(self) -> dict:
        return {"optim_g": self.optim_g, "optim_d": self.optim_d}

    def _optimiser(self, player: str) -> optim.Optimizer:
        return self.optim_d if player == "critic" else self.optim_g

    def _counters(self) -> dict:
        """The random streams and the loader."""
        streams = {name: stream.state_dict() for name, stream in self.random.items()}
        return streams if self.loader is None else {"loader": self.loader.state_dict(), **streams}

    def _set_counters(self, counters: dict) -> None:
        if self.loader is not None:
            self.loader.load_state_dict(counters["loader"])
        for name, stream in self.random.items():
            stream.load_state_dict(counters[name])

    def _place(self) -> tuple[dict, dict]:
        """All that moves besides the weights: what `_go_back` takes."""
        return self._counters(), {name: t.data.copy() for name, t in self.memory.items()}

    def _go_back(self, place: tuple[dict, dict]) -> None:
        counters, memory = place
        self._set_counters(counters)
        for name, array in memory.items():
            self.memory[name].assign(Tensor(array))


def generate(generator, z: Tensor, batch: int = 100) -> np.ndarray:
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


def _numbers(tensors: dict[Hashable, Tensor]) -> dict[Hashable, float]:
    """The values of tensors of no axes, fetched as one array: a device is waited for once."""
    with no_grad():
        values = host(stack([cast(t, float64) for t in tensors.values()]).data)
    return dict(zip(tensors, values.tolist(), strict=True))


def _under(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix + "."): v for k, v in arrays.items() if k.startswith(prefix + ".")}
