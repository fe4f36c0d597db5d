"""The training loop of a GAN: k critic steps, one generator step, and everything that must survive a restart.

    for each generator step:                                 (Goodfellow et al. 2014, algorithm 1)
        n_critic times:  minimise d_loss (+ lambda * gradient penalty) over the critic's weights
        once:            minimise g_loss over the generator's weights; no gradient of the critic's weights is computed

`Trainer` knows nothing of folders, terminals or clocks (gan/run.py does). Its state is arrays and small integers, so a
run that is stopped and resumed equals an uninterrupted one bit for bit: every random number is a function of (seed,
stream, draw number).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import partial, wraps

import numpy as np

from .. import optim
from ..autograd import Tensor, detect_anomaly, grad, no_grad
from ..backend import Generator, device, float64, host
from ..capture import capture
from ..creation import rand, randn, zeros
from ..data import Dataset, Loader
from ..ops_basic import cast
from ..ops_reduce import mean
from ..ops_shape import stack
from . import networks
from .losses import loss
from .penalties import penalty

# One random stream for each use, so that changing how often one is drawn from leaves the others as they were.
STREAMS = {"init": 1, "latent_d": 2, "latent_g": 3, "eps": 4}
PREVIEW_STREAM = 5


class TrainingError(RuntimeError):
    """Training cannot go on: a loss or gradient is no longer finite. The message names the step and the op."""


@dataclass(frozen=True)
class Options:
    """What a run is made of; `training_options.json` holds it. Raises ValueError for values that make no sense.

    steps: the total number of generator steps. base: channels of the first level. gp_weight: lambda of the gradient
        penalty, 0 for none.
    penalty: which slope it pulls at (a row of gan/penalties.py). critic_norm: batch norm in the critic.
    average: decay of the average of the generator's weights, which samples are drawn from. capture: replay each
        half-step from a plan (`minigan.capture`) instead of op by op.
    """

    system: str = "wgan-gp"
    data: str = "digits"
    steps: int = 1000
    batch_size: int = 64
    seed: int = 0
    device: str = "cpu"
    loss: str = "wasserstein"
    lr: float = 2e-4
    beta1: float = 0.0
    beta2: float = 0.9
    n_critic: int = 5
    gp_weight: float = 10.0
    critic_norm: bool = False
    latent: int = 100
    base: int = 32
    size: int = 32
    average: float = 0.99
    capture: bool = True
    penalty: str = "two-sided"

    def __post_init__(self) -> None:
        for name, low in {"steps": 0, "batch_size": 1, "n_critic": 1, "latent": 1, "base": 1, "gp_weight": 0}.items():
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be positive and finite, got {self.lr}")
        if self.critic_norm and self.gp_weight:
            raise ValueError(
                "a critic with batch norm has no gradient per sample to penalise; use gp_weight 0 or critic_norm False"
            )
        device(self.device)
        loss(self.loss)
        penalty(self.penalty)


SYSTEMS: dict[str, Options] = {
    "wgan-gp": Options(steps=2000, batch_size=32, lr=3e-4),
    "dcgan": Options(
        "dcgan", loss="non-saturating", beta1=0.5, beta2=0.999, n_critic=1, gp_weight=0.0, critic_norm=True, steps=3000
    ),
}


def options_for(system: str, **changes) -> Options:
    """The defaults of a system with the given changes. Raises ValueError for an unknown system or option."""
    if system not in SYSTEMS:
        raise ValueError(f"unknown system {system!r}; known systems: {', '.join(SYSTEMS)}")
    unknown = changes.keys() - {f.name for f in fields(Options)}
    if unknown:
        raise ValueError(f"unknown options {sorted(unknown)}")
    return replace(SYSTEMS[system], **changes)


def on_device(method: Callable) -> Callable:
    """A trainer's method, its tensors made on the device of its options (given to __init__ as the first argument)."""

    @wraps(method)
    def run(self, *args, **settings):
        with device((args[0] if method.__name__ == "__init__" else self.options).device):
            return method(self, *args, **settings)

    return run


class Trainer:
    """A generator, a critic, their optimisers, data and random numbers; `step()` trains, `state()` and `restore()`
    carry it over."""

    @on_device
    def __init__(self, options: Options, dataset: Dataset) -> None:
        self.options, self.steps_done = options, 0
        where = options.device
        self.loss = loss(options.loss)
        self.random = {name: Generator(options.seed, stream) for name, stream in STREAMS.items()}
        self.loader = Loader(dataset, options.batch_size, options.seed, size=options.size)
        channels = dataset.images.shape[-1]
        self.real = zeros(options.batch_size, channels, options.size, options.size)
        self.generator = networks.DCGANGenerator(options.latent, channels, options.size, options.base).to(where)
        self.critic = networks.DCGANCritic(channels, options.size, options.base, options.critic_norm).to(where)
        networks.dcgan_init_(self.generator, self.random["init"])
        networks.dcgan_init_(self.critic, self.random["init"])
        betas = (options.beta1, options.beta2)
        self.optim_g = optim.Adam(self.generator.parameters(), options.lr, betas)
        self.optim_d = optim.Adam(self.critic.parameters(), options.lr, betas)
        self.average = optim.WeightAverage(self.generator, options.average)
        plan = capture if options.capture else lambda step: step
        self._critic_gradients = plan(partial(self._gradients, self.critic_loss, self.optim_d))
        self._generator_gradients = plan(partial(self._gradients, self.generator_loss, self.optim_g))

    @on_device
    def step(self) -> dict[str, float]:
        """One generator step with its critic steps; returns the last critic step's figures and the generator's.

        Raises TrainingError, with no weight moved by the half-step at fault, when a loss or a gradient is not finite.
        """
        figures = self._one_by_one() if self.options.device == "cpu" else self._at_once()
        self.average.update(self.generator)
        self.steps_done += 1
        return figures

    def _half_steps(self) -> Iterator[tuple[str, dict, Callable, optim.Adam]]:
        """Each half-step, its data in `real`: its name, the counters before it, its gradients, its optimiser."""
        for k in range(self.options.n_critic):
            before = self._counters()
            self.real.assign(next(self.loader)[0])
            yield f"critic step {k + 1} of {self.options.n_critic}", before, self._critic_gradients, self.optim_d
        yield "generator step", self._counters(), self._generator_gradients, self.optim_g

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is looked for here, and an error
    def _one_by_one(self) -> dict[str, float]:
        """The half-steps, each one's figures looked at before its optimiser acts."""
        figures: dict[str, float] = {}
        for what, before, gradients, optimiser in self._half_steps():
            found = gradients()
            values = _numbers(found)
            if not np.isfinite(list(values.values())).all():
                self._set_counters(before)
                raise TrainingError(f"step {self.steps_done + 1}, {what}: {self._culprit(gradients)}")
            optimiser.step()
            figures |= {name: values[name] for name in found if name != "objective"}
        return figures

    def _at_once(self) -> dict[str, float]:
        """All half-steps, then one look at all their figures, for which a device is waited for.

        Where one is not finite, everything goes back to where the step began, and the half-steps are taken one by one:
        the same numbers come again, up to the half-step at fault.
        """
        tensors = [t for module in (self.generator, self.critic) for t in (*module.parameters(), *module.buffers())]
        arrays, states = [t.data.copy() for t in tensors], [o.remember() for o in self._optimisers().values()]
        counters, found = self._counters(), {}
        for number, (_, _, gradients, optimiser) in enumerate(self._half_steps()):
            found |= {(number, name): value for name, value in gradients().items()}
            optimiser.step()
        values = _numbers(found)
        if np.isfinite(list(values.values())).all():
            return {name: value for (_, name), value in values.items() if name != "objective"}
        for t, array in zip(tensors, arrays, strict=True):
            t.assign(Tensor(array))
        for optimiser, state in zip(self._optimisers().values(), states, strict=True):
            optimiser.go_back(state)
        self._set_counters(counters)
        return self._one_by_one()

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the critic minimises on the batch in `real`, and figures to report."""
        batch = self.options.batch_size
        with no_grad():
            fake = self.generator(self.latent(batch, self.random["latent_d"]))
        d_real, d_fake = (self.loss.head(self.critic(images)) for images in (self.real, fake))
        objective = self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": objective}
        if self.loss.probability is not None:
            means = (mean(self.loss.probability(d.detach())) for d in (d_real, d_fake))
            figures |= dict(zip(("d_real", "d_fake"), means, strict=True))
        elif self.loss.name == "wasserstein":
            figures["critic_estimate"] = mean(d_real.detach()) - mean(d_fake.detach())
        if self.options.gp_weight:
            eps = rand(batch, 1, 1, 1, generator=self.random["eps"])
            value, norm = penalty(self.options.penalty)(self.critic, self.real, fake, eps)
            figures |= {"penalty": value, "gradient_norm": norm}
            objective = objective + self.options.gp_weight * value
        return objective, figures

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the generator minimises on fresh latents, and figures to report."""
        fake = self.generator(self.latent(self.options.batch_size, self.random["latent_g"]))
        objective = self.loss.generator(self.loss.head(self.critic(fake)))
        return objective, {"g_loss": objective}

    def _gradients(self, compute: Callable, optimiser: optim.Adam) -> dict[str, Tensor]:
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

    def latent(self, count: int, random: Generator) -> Tensor:
        """`count` standard normal latent vectors (count, latent) from one of the random streams."""
        return randn(count, self.options.latent, generator=random)

    def sample(self, z: Tensor, batch: int = 100) -> np.ndarray:
        """Images (N, C, H, W) in (-1, 1) for latents z (N, latent), by the averaged generator in evaluation mode."""
        if not self.options.device.startswith("cudasim"):
            return generate(self.average.module, z, batch)
        with device("cpu"):  # the simulator takes minutes for the images of an evaluation
            return generate(copy.deepcopy(self.average.module).to("cpu"), z.to("cpu"), batch)

    @on_device
    def preview(self, count: int) -> np.ndarray:
        """Images for the same `count` latents every time: what the grids of a run show."""
        return self.sample(self.latent(count, Generator(self.options.seed, PREVIEW_STREAM)))

    def state(self) -> tuple[dict[str, np.ndarray], dict]:
        """(arrays, JSON-able rest): everything `restore` needs."""
        arrays, optimisers = {}, {}
        for name, module in self.networks().items():
            arrays |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
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

    def _optimisers(self) -> dict:
        return {"optim_g": self.optim_g, "optim_d": self.optim_d}

    def _counters(self) -> dict:
        """The random streams and the loader: all that moves besides the weights."""
        return {"loader": self.loader.state_dict(), **{name: g.state_dict() for name, g in self.random.items()}}

    def _set_counters(self, counters: dict) -> None:
        self.loader.load_state_dict(counters["loader"])
        for name, stream in self.random.items():
            stream.load_state_dict(counters[name])


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
