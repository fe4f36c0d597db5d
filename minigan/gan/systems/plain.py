"""The plain systems: one generator, one critic, a loss of the table. What differs is options.

Beside those of every plain GAN (gan/options.py) they have tricks on what both players are shown (gan/tricks.py), all
off by default: the distribution of the latents, labels, noise on the critic's inputs, a rate of its own for the critic,
augmentation of all that the critic sees (gan/augment.py). A share of the training images can stand for all of them.
Further tricks go by name (systems/switches.py).

Where the penalty's slopes are taken at the images themselves (R1, R2, or both), the loss and the penalty read the same
outputs: one forward pass of the critic serves both, and the slope is that at the image before it is augmented. Players
that step together share no pass: there D's loss may depend on G by the samples. A lazy penalty acts in one critic step
of k, with k times its weight (Karras et al. 2020b, appendix B).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ... import nn, optim
from ...autograd import Tensor
from ...backend import Generator
from ...creation import randn, zeros
from ...data import Dataset, Loader
from ..augment import AUGMENTATIONS, augmentations, augmented
from ..losses import nearest
from ..metrics.classifier import features, prepared
from ..metrics.distances import frechet_distance
from ..metrics.judging import reader_of
from ..metrics.memorisation import memorisation
from ..options import NETWORKS, OBJECTIVE, OPTIMISATION, RUN, option
from ..penalties import penalty
from ..train import METRIC_STREAM
from ..tricks import LABELS, LATENTS, decayed, labelled
from .switches import SwitchOptions, SwitchTrainer
from .system import CLASSES, NEIGHBOURS, Result, System


@dataclass(frozen=True)
class TrickOptions(SwitchOptions):
    """The options of a plain system."""

    latents: str = option("normal", "Distribution of the latents.", NETWORKS, choices=tuple(LATENTS))
    labels: str = option("exact", "What D is told of reals and samples.", OBJECTIVE, choices=LABELS)
    noise: float = option(0.0, "Noise on D's inputs at the first step, falling to 0 after the last.", OBJECTIVE, 0)
    rate_ratio: float = option(1.0, "D's learning rate as a multiple of G's.", OPTIMISATION)
    augment: str = option(
        "", f"Augmentations of all that D sees, parted by commas, of: {', '.join(AUGMENTATIONS)}.", OBJECTIVE
    )
    penalty_every: int = option(
        1, "Critic steps per step with the gradient penalty, which then weighs as much more.", OBJECTIVE, 1, 10_000
    )
    share: float = option(1.0, "Share of the training images to train on, every class alike.", RUN, 0, 1)
    stop_when: int = option(
        0,
        "Looks every 250 steps without a smaller held-out distance, to stop after; 0 for never.",
        RUN,
        0,
        10_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for value, names in ((self.latents, LATENTS), (self.labels, LABELS)):
            if value not in names:
                raise nearest("choice", value, names)
        labelled(self.labels, self.loss)
        if not 0 < self.rate_ratio <= 1000:
            raise ValueError(f"rate_ratio must be above 0 and at most 1000, got {self.rate_ratio}")
        augmentations(self.augment)
        if not self.share:
            raise ValueError("share must be above 0: there is nothing to train on")

    def idle(self) -> dict[str, str]:
        return super().idle() | ({} if self.gp_weight else {"penalty_every": "gp_weight is 0"})


def some_of(dataset: Dataset, share: float) -> Dataset:
    """The data set with a share of its training images, at least one: evenly spaced, counted class by class."""
    rows = dataset.train
    order = rows if dataset.labels is None else rows[np.argsort(dataset.labels[rows], kind="stable")]
    count = max(1, round(share * len(rows)))
    return replace(dataset, train=np.sort(order[np.arange(count) * len(rows) // count]))


class TrickTrainer(SwitchTrainer):
    """A plain GAN with the tricks of its options."""

    trick_stream: ClassVar[int] = 9
    augment_stream: ClassVar[int] = 11
    penalised: bool = True

    def load(self) -> Loader:
        """The batches of real images. Raises ValueError where a stop rule has no judge to go by."""
        options = self.options
        if options.stop_when:
            self.require_judge()
        return Loader(self.trained_on, options.batch_size, options.seed, size=options.size)

    def require_judge(self) -> None:
        """Raises ValueError where `look` would find no judge, or too few images."""
        few = len(self.dataset.half("validation").held_out)
        if few < 2:
            raise ValueError(
                f"stop_when: needs at least 2 images in the validation half of those held out, and {self.options.data}"
                f" has {few}; take more images, or no stop rule"
            )
        try:
            reader_of(self.options.data, self.dataset)
        except ValueError as error:
            raise ValueError(f"stop_when: {error}") from error

    @property
    def trained_on(self) -> Dataset:
        """The data set with its share of the training images."""
        share = self.options.share
        return self.dataset if share == 1 else some_of(self.dataset, share)

    def look(self, count: int = 1000) -> dict[str, float]:
        """For a stop rule (gan/stopping.py): the Frechet distance of `count` samples to the validation half of the
        held-out images, and the share of samples that are nearer to a training image than to one of these. Raises
        ValueError where there is no judge for the data set."""
        images = self.draw(count, Generator(self.options.seed, METRIC_STREAM))
        half, part, size = self.dataset.half("validation"), self.trained_on, self.options.size
        model = reader_of(self.options.data, self.dataset).model
        sets = (features(model, x) for x in (images, prepared(half, half.held_out)))
        near = memorisation(images, prepared(part, part.train, size), prepared(half, half.held_out, size))
        return {"frechet": frechet_distance(*sets), "memorised": near.share}

    def build(self) -> tuple[nn.Module, nn.Module]:
        options = self.options
        if options.noise or options.labels != "exact":
            self.random["trick"] = Generator(options.seed, self.trick_stream)
        self.rows = augmentations(options.augment)
        if self.rows:
            self.random["augment"] = Generator(options.seed, self.augment_stream)
        self.loss = labelled(options.labels, options.loss, self.random.get("trick"))
        self.sigma = zeros(1)
        return super().build()

    def optimiser_of(self, params: Iterable[nn.Parameter]) -> optim.Optimizer:
        """The optimiser that the options name; the critic's with its own rate."""
        params = list(params)
        optimiser = super().optimiser_of(params)
        if params[0] is next(self.critic.parameters()):
            optimiser.param_groups[0]["lr"] *= self.options.rate_ratio
        return optimiser

    @property
    def follows_total(self) -> bool:
        return self.options.noise > 0

    def anneal(self) -> None:
        if self.options.noise:
            level = decayed(self.options.noise, self.steps_done, max(self.options.steps, 1))
            self.sigma.assign(np.full(1, level, np.float32))

    def inputs(self, count: int, random: Generator) -> Tensor:
        return LATENTS[self.options.latents](count, self.options.latent, generator=random, dtype=self.dtype)

    def seen(self, images: Tensor) -> Tensor:
        """Images as the critic is shown them."""
        if self.rows:
            images = augmented(images, self.rows, self.random["augment"])
        if self.options.noise:
            images = images + self.sigma * randn(*images.shape, generator=self.random["trick"], dtype=self.dtype)
        return super().seen(images)

    def feed(self) -> None:
        super().feed()
        number = (self.loader.step - 1) // self.parts.count  # of the critic step: the same in all parts of a batch
        self.penalised = number % self.options.penalty_every == 0

    def weight(self) -> float | Tensor:
        """The penalty's weight lambda."""
        return self.options.gp_weight

    def critic_objective(self, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        options, row = self.options, penalty(self.options.penalty)
        if not (options.gp_weight and self.penalised and row.shared):
            return super().critic_objective(fake)
        batches = {"real": self.batch["real"], "fake": fake}
        points = row.points(self.packs(batches["real"]), self.packs(fake), attached=self.attached)
        at_points = self.critic(self.seen(points.reshape(-1, *fake.shape[1:])))
        count = at_points.shape[0] // len(row.shared)
        shared = () if options.together else row.shared  # whose loss may be differentiated by way of the samples
        outputs = {name: at_points[i * count : (i + 1) * count] for i, name in enumerate(shared)}
        outputs |= {name: self.critic(self.seen(x)) for name, x in batches.items() if name not in outputs}
        d_real, d_fake = self.loss.head(outputs["real"]), self.loss.head(outputs["fake"])
        objective = self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": objective, **self.loss.figures(d_real, d_fake)}
        value, norm = row.of_outputs(at_points, points)
        return self.penalty_added(objective, value), figures | {"penalty": value, "gradient_norm": norm}

    def with_penalty(
        self,
        objective: Tensor,
        figures: dict[str, Tensor],
        critic: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.penalised:
            return objective, figures
        _, more = super().with_penalty(objective, figures, critic, real, fake)
        return (self.penalty_added(objective, more["penalty"]) if "penalty" in more else objective), more

    def penalty_added(self, objective: Tensor, value: Tensor) -> Tensor:
        """The objective with the penalty by its weight, times the critic steps that it stands for."""
        return objective + self.weight() * self.options.penalty_every * value


ADAM = {"beta1": 0.5, "beta2": 0.999}
"""DCGAN's, which all but the Wasserstein systems take (Radford et al. 2016, section 4)."""

WGAN_GP = System(
    TrickOptions("wgan-gp", steps=2000, batch_size=32, lr=3e-4),
    "Wasserstein distance by a critic of slope 1, held there by a gradient penalty",
    "Gulrajani et al. 2017",
    TrickTrainer,
)
DCGAN = System(
    TrickOptions("dcgan", loss="non-saturating", n_critic=1, gp_weight=0.0, critic_norm=True, steps=3000, **ADAM),
    "strided convolutions with batch norm in both networks",
    "Radford et al. 2016",
    TrickTrainer,
    presets={"avatars": {"size": 16, "base": 64, "lr": 5e-4, "average": 0.999, "steps": 4000}},
    results=(Result(CLASSES), Result(NEIGHBOURS, {"data": "avatars"})),
)
GAN = System(
    TrickOptions(
        "gan", loss="non-saturating", network="mlp", n_critic=1, gp_weight=0.0, dropout=0.3, steps=6000, **ADAM
    ),
    "the first: perceptrons, a maxout critic with dropout",
    "Goodfellow et al. 2014",
    TrickTrainer,
)
WGAN = System(
    TrickOptions("wgan", gp_weight=0.0, clip=0.01, optimizer="rmsprop", lr=2e-4, base=16, critic_norm=True, steps=2000),
    "Wasserstein distance by a critic of bounded weights",
    "Arjovsky et al. 2017",
    TrickTrainer,
)
LSGAN = System(
    TrickOptions(
        "lsgan",
        loss="least-squares",
        lr=5e-4,
        base=16,
        n_critic=1,
        gp_weight=0.0,
        critic_norm=True,
        steps=3000,
        **ADAM,
    ),
    "targets 1 and 0 for the critic's output, met in least squares",
    "Mao et al. 2017",
    TrickTrainer,
)
HINGE = System(
    TrickOptions(
        "hinge", loss="hinge", lr=1e-3, base=16, beta1=0.5, n_critic=2, gp_weight=0.0, spectral=True, steps=3000
    ),
    "margins of the hinge, a critic under spectral norm",
    "Miyato et al. 2018",
    TrickTrainer,
)
