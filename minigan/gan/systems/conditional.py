"""GANs that are told the class: `cgan`, whose critic sees the label, and `acgan`, whose critic names it.

    conditional GAN   V(D, G) with D(x, y) and G(z, y)                                   Mirza & Osindero 2014, eq. 2
                      D by concatenation or by projection (gan/networks/heads.py)
    AC-GAN            L_S = E log P(real | x) + E log P(fake | Gz)                       Odena et al. 2017, eq. 2 and 3
                      L_C = E log P(y | x) + E log P(y | G(z, y))
                      D maximises L_C + L_S, G maximises L_C - L_S

The generator takes z with the one-hot label behind it. Labels of fakes in a step are those of the batch of reals, so
the two differ in nothing but the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator
from ...creation import randn, zeros
from ...functional import cross_entropy
from ...ops.index import cat
from ..losses import nearest
from ..metrics import classifier
from ..metrics.distances import share_interval
from ..metrics.judging import Observation, judge_of, observe_samples
from ..metrics.realism import realistic_class
from ..networks import heads
from ..networks.dcgan import DCGANGenerator
from ..networks.heads import started
from ..options import NETWORKS, OBJECTIVE, Options, option
from ..train import Trainer
from .plain import DCGAN
from .system import AGREEMENT, Result, System

CRITICS: dict[str, type[nn.Module]] = {"concat": heads.ConcatCritic, "projection": heads.ProjectionCritic}
"""Ways for the critic to know the label; the option `condition` names one."""


@dataclass(frozen=True)
class ClassOptions(Options):
    """A plain GAN's options, on DCGAN's networks."""

    network: ClassVar[str] = "dcgan"
    critic_base: ClassVar[int] = 0
    dropout: ClassVar[float] = 0.0


@dataclass(frozen=True)
class ConditionalOptions(ClassOptions):
    """The options of `cgan`."""

    condition: str = option("concat", "How the critic is told the class.", NETWORKS, choices=CRITICS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.condition not in CRITICS:
            raise nearest("condition", self.condition, CRITICS)


@dataclass(frozen=True)
class AuxiliaryOptions(ClassOptions):
    """The options of `acgan`."""

    class_weight: float = option(1.0, "Weight of the critic's classification.", OBJECTIVE, 0)


def squared(count: int, classes: int) -> int:
    """How many images near `count` make a square in which each of `classes` in turn has columns of its own; `count`
    where that would be more than four times as many."""
    side = classes * max(1, round(math.sqrt(count) / classes))
    return side * side if side * side <= 4 * count else count


class ConditionalTrainer(Trainer):
    """`cgan`. Raises ValueError for a data set without classes."""

    def build(self) -> tuple[nn.Module, nn.Module]:
        options, self.classes = self.options, len(self.info.class_names)
        self.require_classes()
        self.batch["labels"] = zeros(options.batch_size, self.classes)
        return started(self.make_generator(), self.make_critic(), options.spectral, self.random["init"])

    def make_generator(self) -> nn.Module:
        """The generator of latents and labels, its weights not yet drawn."""
        options = self.options
        return DCGANGenerator(options.latent + self.classes, self.info.shape[-1], options.size, options.base)

    def require_classes(self) -> None:
        """Raises ValueError for a data set without classes."""
        if self.classes < 2:
            raise ValueError(
                f"{self.options.system}: data set {self.info.name!r} has no classes to tell apart; take one that has"
                " (see: minigan data list), or a folder with a sub-folder for each class"
            )

    def make_critic(self) -> nn.Module:
        """The critic, its weights not yet drawn."""
        options = self.options
        return CRITICS[options.condition](
            self.info.shape[-1], self.classes, options.size, options.base, options.critic_norm
        )

    def feed(self) -> None:
        images, labels = next(self.loader)
        self.batch["real"].assign(images)
        self.batch["labels"].assign(np.eye(self.classes)[labels])

    def inputs(self, count: int, random: Generator) -> Tensor:
        """Latents with one-hot labels behind them (count, latent + classes), the classes in turn."""
        labels = zeros(count, self.classes, dtype=self.dtype).assign(np.eye(self.classes)[self.labels(count)])
        return cat([super().inputs(count, random), labels], 1)

    def labels(self, count: int) -> np.ndarray:
        """The classes (count,) that `inputs` asks for."""
        return np.arange(count) % self.classes

    def fake(self, stream: str) -> Tensor:
        """Images for the labels of the batch."""
        options = self.options
        z = randn(options.batch_size, options.latent, generator=self.random[stream], dtype=self.dtype)
        return self.generator(cat([z, self.batch["labels"]], 1))

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        with no_grad():
            fake = self.fake("latent_d")
        real, labels = self.batch["real"], self.batch["labels"]
        d_real, d_fake = (self.loss.head(self.critic(images, labels)) for images in (real, fake))
        objective = self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": objective, **self.loss.figures(d_real, d_fake)}
        return self.with_penalty(objective, figures, lambda x: self.critic(x, labels), real, fake)

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        labels = self.batch["labels"]
        objective = self.adversarial(self.critic(self.fake("latent_g"), labels), lambda x: self.critic(x, labels))
        return objective, {"g_loss": objective}

    def preview(self, count: int) -> np.ndarray:
        """A square of images, one class a column; about `count` of them if the classes allow."""
        return super().preview(squared(count, self.classes))

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """The plain figures, how often the independent classifier sees the class that was asked for, and how often a
        sample looks like a real image of it."""
        judge = judge_of(self.options.data, self.info)
        images = self.draw(count, random)
        observation = observe_samples(images, self.options.data, self.yardstick, self.options.seed, details)
        labels = self.labels(count)
        hits = labels == classifier.classes(judge.model, images)
        share = share_interval(int(hits.sum()), count)
        each = {name: float(hits[labels == k].mean()) for k, name in enumerate(self.info.class_names[:count])}
        line = (
            f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}] of {count} samples agree with their label by the"
            f" judge, which agrees with {judge.accuracy:.1%} of the held-out images' labels"
        )
        worst = min(each, key=each.get)
        realism = realistic_class(images, labels, judge.model, self.yardstick)
        observation.lines[:0] = [line, *([realism.line()] if realism else []), f"least for {worst}: {each[worst]:.1%}"]
        observation.figures.update(
            {"agreement": share._asdict(), "agreement_by_class": each, "chance": 1 / self.classes}
        )
        if realism:
            observation.figures["asked"] = realism.as_dict()
        return observation


class AuxiliaryTrainer(ConditionalTrainer):
    """`acgan`: the critic names the class of reals and fakes, and does not see the label."""

    def make_critic(self) -> nn.Module:
        options = self.options
        return heads.AuxiliaryCritic(self.info.shape[-1], self.classes, options.size, options.base, options.critic_norm)

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        with no_grad():
            fake = self.fake("latent_d")
        (d_real, c_real), (d_fake, c_fake) = (self.critic(images) for images in (self.batch["real"], fake))
        d_real, d_fake = self.loss.head(d_real), self.loss.head(d_fake)
        adversarial = self.loss.discriminator(d_real, d_fake)
        on_real, on_fake = (cross_entropy(logits, self.batch["labels"]) for logits in (c_real, c_fake))
        objective = adversarial + self.options.class_weight * (on_real + on_fake)
        figures = {"d_loss": adversarial, "class_real": on_real, "class_fake": on_fake}
        figures |= self.loss.figures(d_real, d_fake)
        return self.with_penalty(objective, figures, lambda x: self.critic(x)[0], self.batch["real"], fake)

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        score, logits = self.critic(self.fake("latent_g"))
        adversarial = self.adversarial(score, lambda x: self.critic(x)[0])
        class_loss = cross_entropy(logits, self.batch["labels"])
        return adversarial + self.options.class_weight * class_loss, {"g_loss": adversarial, "class_g": class_loss}


DEFAULTS = {key: getattr(DCGAN.options, key) for key in ("loss", "beta1", "beta2", "n_critic", "critic_norm")}
"""What all three systems that know of classes or codes take from DCGAN."""

CGAN = System(
    ConditionalOptions("cgan", base=16, lr=4e-4, latent=16, steps=3000, gp_weight=0.0, **DEFAULTS),
    "asked for a class, which both networks see",
    "Mirza & Osindero 2014; projection: Miyato & Koyama 2018",
    ConditionalTrainer,
    results=(Result(AGREEMENT), Result(AGREEMENT, {"condition": "projection"})),
)
ACGAN = System(
    AuxiliaryOptions("acgan", base=16, lr=4e-4, latent=16, steps=3000, gp_weight=0.0, **DEFAULTS),
    "asked for a class, which the critic names",
    "Odena et al. 2017",
    AuxiliaryTrainer,
    results=(Result(AGREEMENT),),
)
