"""A GAN inside another model: an autoencoder of discrete codes, whose critic starts late (Esser et al. 2021).

    z = Enc(x),   e = the entry of the codebook nearest to z, place by place,   x' = Dec(z + sg(e - z))
    L_rec = E (x' - x)^2 + |sg(z) - e|^2 + beta |z - sg(e)|^2                           eq. 4; van den Oord et al. 2017
    D: minimise  max(0, 1 - D(x)) + max(0, 1 + D(x'))          G: minimise  L_rec + s w lambda L_adv,    L_adv = -D(x')
    lambda = |grad_last L_fit| / (|grad_last L_adv| + delta)                        eq. 7, L_fit = E (x' - x)^2

sg stops the gradient: x' has the gradient of z where it has the value of e (straight through), the second term moves
the entries to the codes, the third holds the codes near the entries. s is 0 up to step `critic_start`, and 1 then: a
critic that starts with the decoder has nothing to learn but that all is a blur.

lambda makes the adversarial gradient as long as that of the squared error at the decoder's last layer, so that w means
a share; without it (adversarial `fixed`) w is in the units of one loss over the other's.

Option `adversarial`: `none` is the plain autoencoder, `fixed` has lambda = 1, `adaptive` is the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, grad, is_grad_enabled, no_grad
from ...backend import Generator, host
from ...creation import ones, randn
from ...ops.elementary import minimum, sqrt, square
from ...ops.reduce import mean, sum
from ..losses import nearest
from ..metrics.classifier import prepared
from ..metrics.judging import Observation, reader_of
from ..metrics.realism import gradient_energy, realistic
from ..networks.dcgan import dcgan_init_
from ..networks.quantiser import SIDE, QuantisedCodec, quantiser_init_
from ..networks.translators import PatchCritic
from ..options import MANY, NETWORKS, OBJECTIVE, CommonOptions, option
from ..players import HalfStep
from .ae import CodeTrainer
from .system import Result, System

ADVERSARIAL = ("adaptive", "fixed", "none")
DELTA, LARGEST = 1e-6, 1e4


@dataclass(frozen=True)
class QuantisedOptions(CommonOptions):
    """The options of `vqgan`."""

    entries: int = option(64, "Entries of the codebook.", NETWORKS, 2, 65_536)
    width: int = option(8, "Numbers in each entry.", NETWORKS, 1, 4096)
    adversarial: str = option("adaptive", "Weight of the adversarial loss.", OBJECTIVE, choices=ADVERSARIAL)
    weight: float = option(0.8, "The adversarial loss's weight w, times lambda where it is adaptive.", OBJECTIVE, 0)
    commitment: float = option(0.25, "Weight beta of the codes' distance from their entries.", OBJECTIVE, 0)
    critic_start: int = option(300, "Steps before the critic starts.", OBJECTIVE, 0, MANY)

    loss: ClassVar[str] = "hinge"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adversarial not in ADVERSARIAL:
            raise nearest("adversarial", self.adversarial, ADVERSARIAL)

    def idle(self) -> dict[str, str]:
        reason = "adversarial is none, so there is no critic's loss"
        names = ("weight", "critic_start", "n_critic")
        if self.adversarial == "none":
            return super().idle() | dict.fromkeys(names, reason)
        return super().idle() | ({} if self.weight else {"adversarial": "weight is 0"})


class QuantisedTrainer(CodeTrainer):
    """`vqgan`."""

    stochastic: ClassVar[bool] = False
    streams: ClassVar = {"init": 1}

    def build(self) -> tuple[nn.Module, nn.Module]:
        """(encoder, codebook and decoder as one player; a critic of patches, which rests where it has no say)."""
        options, channels, random = self.options, self.info.shape[-1], self.random["init"]
        network = QuantisedCodec(channels, options.size, options.base, options.entries, options.width)
        critic = PatchCritic(channels, options.size, options.base, norm=False)
        self.started = ones(1)
        return quantiser_init_(network, random), dcgan_init_(critic, random)

    def half_steps(self) -> list[HalfStep]:
        """Before the critic starts, and where it has no say, the autoencoder's moves alone."""
        steps = super().half_steps()
        if self.options.adversarial != "none" and self.steps_done >= self.options.critic_start:
            return steps
        first, *others = steps[self.options.n_critic :]
        return [replace(first, feed=self.feed), *others]

    def anneal(self) -> None:
        self.started.assign(np.full(1, float(self.steps_done >= self.options.critic_start), np.float32))

    def inputs(self, count: int, random: Generator) -> Tensor:
        """Random codes (count, 16 D), standard normal: nothing in the objective says which of them are images."""
        return randn(count, SIDE * SIDE * self.options.width, generator=random, dtype=self.dtype)

    def code_of(self, network: QuantisedCodec, x: Tensor, random: Generator | None = None) -> Tensor:
        return network.encode(x)

    def passed_on(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x', z, e) of images x: what comes back, codes and their entries."""
        network = self.generator
        z = network.encode(x)
        e = network.entry(self.constant("chosen", network.chosen(z)))
        return network.decode(z + self.constant("step", e - z)), z, e

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The hinge on patches of images and of what comes back."""
        x = self.batch["real"]
        with no_grad():
            back = self.generator(self.generator.encode(x))
        d_real, d_fake = self.critic(x), self.critic(back)
        objective = self.loss.discriminator(d_real, d_fake)
        return objective, {"d_loss": objective, **self.loss.figures(d_real, d_fake)}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What encoder, codebook and decoder minimise."""
        options, x = self.options, self.batch["real"]
        back, z, e = self.passed_on(x)
        error = mean(square(back - x))
        book = mean(square(self.constant("z", z) - e))
        commitment = mean(square(z - self.constant("e", e)))
        objective = error + book + options.commitment * commitment
        figures = {"error": error, "codebook": book}
        if options.adversarial == "none":
            return objective, {"g_loss": error, **figures}
        adversarial = self.loss.generator(self.critic(back))
        factor = self.constant("balance", self.balance(error, adversarial))
        share = sum(self.started * options.weight) * factor
        return objective + share * adversarial, {"g_loss": adversarial, "balance": factor, **figures}

    def balance(self, error: Tensor, adversarial: Tensor) -> Tensor:
        """lambda: the length of the error's gradient at the decoder's last layer over that of the adversarial loss's,
        at most 10,000; 1 where the weight is fixed, and where nothing is recorded."""
        if self.options.adversarial == "fixed" or not is_grad_enabled():
            return ones((), dtype=error.dtype)
        lengths = [sqrt(sum(square(grad(loss, self.generator.last)[0]))) for loss in (error, adversarial)]
        return minimum(lengths[0] / (lengths[1] + DELTA), ones((), dtype=error.dtype) * LARGEST)

    def formulas(self) -> dict[str, str]:
        return {"d_loss": "max(0, 1 − D(x)) + max(0, 1 + D(x′))", "g_loss": "−D(x′)"}

    def preview(self, count: int) -> np.ndarray:
        """Held-out images, or where the data set is not at hand images of random codes, as they come back."""
        rows = getattr(self.dataset, "held_out", None)
        if rows is None or not len(rows):
            return super().preview(count)
        images = prepared(self.dataset, rows[np.arange(count) % len(rows)], self.options.size)
        return self.reconstruct(images)

    def perplexity(self, images: np.ndarray) -> tuple[float, int]:
        """(exp of the entropy of the entries' shares, entries in use) of images (N, C, S, S)."""
        codes = Tensor(self.encode(images))
        with no_grad():
            shares = host(self.average.module.to("cpu").chosen(codes).data).mean(0).astype(np.float64)
        self.average.module.to(self.options.device)
        return float(np.exp(-(shares * np.log(np.maximum(shares, 1e-300))).sum())), int((shares > 0).sum())

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """What every system with codes shows; how sharp and how real held-out images come back; how much of the
        codebook is in use."""
        observation = super().observe(count, random, details)
        held_out = prepared(self.yardstick, self.yardstick.held_out, self.options.size)
        back = self.reconstruct(held_out)
        sharpness = gradient_energy(back) / gradient_energy(held_out)
        used, entries = self.perplexity(held_out)
        real = realistic({"back": back}, reader_of(self.options.data, self.dataset).model, self.yardstick)
        figures = {"back": {"sharpness": sharpness, "perplexity": used, "entries": entries, "realism": real}}
        lines = [
            f"gradient energy of what comes back {sharpness:.1%} of the images'; realistic {real['back']:.1%} (the"
            f" images {real['held_out']:.1%}, noise {real['noise']:.1%}, mean image {real['mean_image']:.1%})",
            f"codebook: perplexity {used:.1f}, {entries} of {self.options.entries} entries in use",
        ]
        return Observation(observation.figures | figures, [*lines, *observation.lines])


BACK = (
    "comes back with squared error {reconstruction[error]:.4f} (nearest training image"
    " {reconstruction[nearest_error]:.4f}, mean of the class {reconstruction[class_mean_error]:.4f}), as its class in"
    " {reconstruction[agreement][value]:.1%}; gradient energy {back[sharpness]:.1%} of the images'; realistic"
    " {back[realism][back]:.1%} (real {back[realism][held_out]:.1%}, noise {back[realism][noise]:.1%}); codebook"
    " perplexity {back[perplexity]:.1f}, {back[entries]} entries in use"
)
VQGAN = System(
    QuantisedOptions("vqgan", base=16, lr=1e-3, beta1=0.5, n_critic=1, steps=1000),
    "an autoencoder of discrete codes with a critic that starts late",
    "Esser et al. 2021; van den Oord et al. 2017",
    QuantisedTrainer,
    results=(Result(BACK), Result(BACK, {"adversarial": "fixed"}), Result(BACK, {"adversarial": "none"})),
)
