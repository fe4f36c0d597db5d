"""LAPGAN (Denton et al. 2015): a Laplacian pyramid of conditional GANs, an image drawn coarse to fine, 8 -> 16 -> 32.

    coarsest    V(D_0, G_0) on x_0, as any GAN
    level k     l = u(d(x_k)),  real: x_k = l + h_k,  sample: l + G_k(z_k, l)
                D_k minimises the loss of D_k(x_k, l) against D_k(l + G_k(z_k, l), l)       (section 3.2)
                G_k minimises its part on D_k(l + G_k(z_k, l), l)
    drawing     x~_0 = G_0(z_0),  x~_k = u(x~_{k-1}) + G_k(z_k, u(x~_{k-1}))                (eq. 4)

In training every level sees the enlarged coarse image l of a *real* one, so no level waits for another: the objectives
of all levels add up, no weight is in two of them, and one step trains them all. Only drawing chains them. d, u and the
networks are in networks/pyramid.py. With option `condition` all networks are told the class (section 3.3): it is
one-hot behind the latents, and a learnt plane beside the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...creation import randn, zeros
from ...ops.index import cat
from ..losses import nearest
from ..metrics.judging import Observation
from ..networks.dcgan import dcgan_init_
from ..networks.pyramid import PyramidCritic, PyramidGenerator, analysis, sizes_of, up
from ..options import NETWORKS, Options, option
from ..train import PREVIEW_STREAM, on_device
from ..tricks import spectral_norm_
from .conditional import ClassOptions, ConditionalTrainer, squared
from .plain import DCGAN
from .system import AGREEMENT, CLASSES, Result, System

CONDITIONS = ("none", "class")


@dataclass(frozen=True)
class PyramidOptions(ClassOptions):
    """The options of `lapgan`."""

    condition: str = option("none", "What all networks are told.", NETWORKS, choices=CONDITIONS, bare="class")

    loss: ClassVar[str] = "non-saturating"
    penalty: ClassVar[str] = "two-sided"
    gp_weight: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.condition not in CONDITIONS:
            raise nearest("condition", self.condition, CONDITIONS)


class PyramidTrainer(ConditionalTrainer):
    """`lapgan`: told the class or not."""

    def build(self) -> tuple[nn.Module, nn.Module]:
        options, channels = self.options, self.info.shape[-1]
        self.classes = len(self.info.class_names) if options.condition == "class" else 0
        if options.condition == "class":
            self.require_classes()
            self.batch["labels"] = zeros(options.batch_size, self.classes)
        self.sizes = sizes_of(options.size, "lapgan")
        generator = PyramidGenerator(options.latent, channels, options.size, options.base, self.classes)
        critic = PyramidCritic(channels, options.size, options.base, self.classes, options.critic_norm)
        random = self.random["init"]
        for network in (generator, critic):
            dcgan_init_(network, random)
        return generator, spectral_norm_(critic, random) if options.spectral else critic

    def feed(self) -> None:
        images, labels = next(self.loader)
        self.batch["real"].assign(images)
        if self.classes:
            self.batch["labels"].assign(np.eye(self.classes)[labels])

    def inputs(self, count: int, random: Generator) -> Tensor:
        """Latents, noise of each finer level and, where the class is told, one-hot labels in turn: (count, width)."""
        noise = randn(count, self.generator.noise, generator=random, dtype=self.dtype)
        if not self.classes:
            return noise
        labels = zeros(count, self.classes, dtype=self.dtype).assign(np.eye(self.classes)[self.labels(count)])
        return cat([noise, labels], 1)

    def reals(self) -> tuple[list[Tensor], list[Tensor]]:
        """(the batch at every size, coarse to fine; of all but the coarsest, what it is the sharpening of: l)."""
        with no_grad():
            coarsest, residuals = analysis(self.batch["real"], len(self.sizes) - 1)
            images, lows = [coarsest], []
            for residual in residuals:
                lows.append(up(images[-1]))
                images.append(lows[-1] + residual)
        return images, lows

    def fakes(self, lows: list[Tensor], stream: str) -> list[Tensor]:
        """A sample of every level: of the coarsest from noise, of the others the sharpening of a real image's l."""
        noise = randn(self.options.batch_size, self.generator.noise, generator=self.random[stream], dtype=self.dtype)
        inputs = cat([noise, self.batch["labels"]], 1) if self.classes else noise
        z, planes, y = self.generator.parts(inputs)
        finer = (self.generator.sharpened(low, plane, y) for low, plane in zip(lows, planes, strict=True))
        return [self.generator.level_8(z), *finer]

    def judged(self, images: list[Tensor], lows: list[Tensor]) -> list[Tensor]:
        """What each level's critic says (N,) of its images beside their l."""
        beside = [[], *([low] for low in lows)]
        labels = [self.batch["labels"]] if self.classes else []
        return [self.critic(image, *low, *labels) for image, low in zip(images, beside, strict=True)]

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of all levels' critics' losses."""
        reals, lows = self.reals()
        with no_grad():
            fakes = self.fakes(lows, "latent_d")
        pairs = zip(self.judged(reals, lows), self.judged(fakes, lows), strict=True)
        return self._summed("d", [self.loss.discriminator(d_real, d_fake) for d_real, d_fake in pairs])

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of all levels' generators' losses."""
        _, lows = self.reals()
        judged = self.judged(self.fakes(lows, "latent_g"), lows)
        return self._summed("g", [self.loss.generator(d_fake) for d_fake in judged])

    def _summed(self, player: str, losses: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        objective = losses[0]
        for value in losses[1:]:
            objective = objective + value
        each = {f"{player}_loss_{size}": value for size, value in zip(self.sizes, losses, strict=True)}
        return objective, {f"{player}_loss": objective, **each}

    def formulas(self) -> dict[str, str]:
        """Loss -> its formula, of all levels together."""
        return {name: f"sum over levels: {text}" for name, text in super().formulas().items()}

    @on_device
    def stages(self, inputs: Tensor, batch: int = 100) -> list[np.ndarray]:
        """Images of every level, coarse to fine (N, C, s, s), by the averaged generator in evaluation mode."""
        network, parts = self.average.module, []
        was_training = network.training
        network.eval()
        with no_grad():
            for i in range(0, len(inputs), batch):
                parts.append([host(x.data) for x in network.stages(inputs[i : i + batch])])
        network.train(was_training)
        return [np.concatenate(level) for level in zip(*parts, strict=True)]

    @on_device
    def preview(self, count: int) -> np.ndarray:
        """A square of some `count` images, whose columns are in turn every level's, coarse to fine, of one sample."""
        levels = len(self.sizes)
        total = squared(count, levels)
        inputs = self.inputs(-(-total // levels), Generator(self.options.seed, PREVIEW_STREAM))
        stages = [
            x.repeat(self.options.size // x.shape[2], 2).repeat(self.options.size // x.shape[2], 3)
            for x in self.stages(inputs)
        ]
        return np.stack(stages, 1).reshape(-1, *stages[-1].shape[1:])[:total]

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """What every system shows; and where the class is told, how often the judge sees it."""
        if self.classes:
            return super().observe(count, random, details)
        return super(ConditionalTrainer, self).observe(count, random, details)


LAPGAN = System(
    PyramidOptions(
        "lapgan",
        base=16,
        lr=5e-4,
        latent=32,
        steps=1800,
        batch_size=32,
        **{key: getattr(DCGAN.options, key) for key in ("beta1", "beta2", "n_critic", "critic_norm")},
    ),
    "a Laplacian pyramid of conditional GANs: coarse to fine, each level sharpens the one before",
    "Denton et al. 2015; pyramid: Burt & Adelson 1983",
    PyramidTrainer,
    results=(Result(CLASSES), Result(AGREEMENT, {"condition": "class"})),
)
