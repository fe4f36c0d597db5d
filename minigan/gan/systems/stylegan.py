"""StyleGAN, small: a latent becomes a style, and the style scales every convolution (Karras et al. 2019; 2020).

    D: minimise  -ln D(x) - ln(1 - D(G(z))) + R         G: minimise  -ln D(G(z)) + P
    R = gp_weight/2 E ||grad D(x)||^2                   P = path_weight E (||J^T y|| - a)^2,   y ~ N(0, I)

Networks are those of gan/networks/style.py. Beside them:

    mixing      a share `mixing` of the samples has the styles of one latent up to a random layer and of another one
                after it, so that neighbouring layers cannot rely on each other          (2019, section 3.1)
    lazy        R and P are taken in every k-th step only, k = `lazy`, and count k times there, which leaves their mean
                as it is and costs a k-th                                                  (2020, appendix B)
    P           J = dG/dw, of the styles. ||J^T y|| is the length by which a step in w moves the image, a its running
                mean: an equal step in w shall be an equal change. J^T y is a gradient, so P's is a second derivative
                of G's own                                                                 (2020, section 3.2)
    truncation  w <- centre + psi (w - centre): images are more alike and more typical     (2019, appendix B)

The centre is the mean of the averaged generator's styles of 4,096 latents that are the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, grad, no_grad
from ...backend import Generator
from ...creation import rand, randn, zeros
from ...ops.basic import broadcast_to
from ...ops.elementary import sqrt, square
from ...ops.reduce import mean, sum
from ...ops.shape import unsqueeze
from ..networks.style import StyleCritic, StyleGenerator, Truncated, crossed, style_init_
from ..options import NETWORKS, OBJECTIVE, Options, option
from ..players import HalfStep
from ..train import STREAMS, Trainer, generate, on_device
from .system import NEIGHBOURS, Result, System

CENTRE, FORGETTING = 4096, 0.01
"""Latents whose mean style is the centre; how fast the mean path length moves (Karras et al. 2020, code)."""
LAZY_FIGURES = ("penalty", "gradient_norm", "path_penalty", "path_length")
"""What only a regularised step measures; the others report it as it was."""


@dataclass(frozen=True)
class StyleOptions(Options):
    """The options of `stylegan`."""

    mapping: int = option(3, "Layers from a latent to its style.", NETWORKS, 1, 64)
    mixing: float = option(0.5, "Share of the samples whose styles come from two latents.", OBJECTIVE, 0, 1)
    lazy: int = option(8, "Steps from one penalty to the next, which counts as many times.", OBJECTIVE, 1, 10_000)
    path_weight: float = option(0.0, "Weight of the path length's penalty on the generator.", OBJECTIVE, 0)

    network: ClassVar[str] = "style"
    critic_base: ClassVar[int] = 0
    optimizer: ClassVar[str] = "adam"
    critic_norm: ClassVar[bool] = False
    clip: ClassVar[float] = 0.0
    spectral: ClassVar[bool] = False
    dropout: ClassVar[float] = 0.0

    def idle(self) -> dict[str, str]:
        none = not (self.gp_weight or self.path_weight)
        return super().idle() | ({"lazy": "gp_weight and path_weight are 0"} if none else {})


class StyleTrainer(Trainer):
    """`stylegan`. truncation: psi of the samples that it draws, 1 for none."""

    streams: ClassVar = {**STREAMS, "noise": 8, "mixing": 9, "path": 11}
    centre_stream: ClassVar[int] = 12
    truncation: float = 1.0

    @on_device
    def _assemble(self) -> None:
        super()._assemble()
        critic = self._player(self.optim_d, lambda: self.plain_critic_loss()[:2], "d_weight_gradient")
        generator = self._player(self.optim_g, lambda: self.plain_generator_loss(), "g_weight_gradient")
        self.plain = {"critic": critic, "generator": generator}

    def build(self) -> tuple[nn.Module, nn.Module]:
        options, channels = self.options, self.info.shape[-1]
        sizes = channels, options.size, options.base
        generator = StyleGenerator(options.latent, *sizes, options.mapping, self.random["noise"])
        penalised = LAZY_FIGURES[:2] * (options.gp_weight > 0) + LAZY_FIGURES[2:] * (options.path_weight > 0)
        self.memory |= {name: zeros(1) for name in penalised}
        random = self.random["init"]
        return style_init_(generator, random), style_init_(StyleCritic(*sizes), random)

    # Training.

    def half_steps(self) -> list[HalfStep]:
        """The schedule of one step; every `lazy`-th step's players minimise their penalties, too."""
        steps, plain = super().half_steps(), self.plain
        if self.steps_done % self.options.lazy == 0:
            return steps
        of = {id(player): plain[name] for name, player in self.players.items()}
        return [replace(half_step, player=of[id(half_step.player)]) for half_step in steps]

    @on_device
    def step(self) -> dict[str, float]:
        """As every system's; the mean path length moves, and a step without penalties reports the last ones, and that
        mean."""
        figures = super().step()
        for name, last in self.memory.items():
            if name not in figures:
                figures[name] = float(last.numpy()[0])
            elif name == "path_length":
                before = float(last.numpy()[0])
                last.assign(np.array([before + FORGETTING * (figures[name] - before)]))
            else:
                last.assign(np.array([figures[name]]))
        if "penalty" in self.memory:
            figures.setdefault("d_objective", figures["d_loss"])
        if "path_length" in self.memory:
            figures.setdefault("g_objective", figures["g_loss"])
        return figures

    def mixed(self, stream: str) -> Tensor:
        """A batch of latents of the stream (batch_size, layers, latent), a share of them crossed with others; (N,
        latent) without mixing."""
        options, random = self.options, self.random["mixing"]
        z = self.inputs(options.batch_size, self.random[stream])
        if not options.mixing:
            return z
        other = self.inputs(options.batch_size, random)
        at = rand(options.batch_size, generator=random, dtype=self.dtype)
        return crossed(z, other, at, len(self.generator.layers), options.mixing)

    def plain_critic_loss(self) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """What the critic minimises without a penalty, figures, and the samples that it saw."""
        with no_grad():
            fake = self.generator(self.mixed("latent_d"))
        d_real, d_fake = (self.loss.head(self.critic(images)) for images in (self.batch["real"], fake))
        objective = self.loss.discriminator(d_real, d_fake)
        return objective, {"d_loss": objective, **self.loss.figures(d_real, d_fake)}, fake

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The same with the penalty, `lazy` times."""
        objective, figures, fake = self.plain_critic_loss()
        _, figures = self.with_penalty(objective, figures, self.critic, self.batch["real"], fake)
        if self.options.gp_weight:
            objective = objective + self.options.lazy * self.options.gp_weight * figures["penalty"]
        return objective, figures

    def plain_generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the generator minimises without a penalty, and figures."""
        fake = self.generator(self.mixed("latent_g"))
        objective = self.adversarial(self.critic(fake), self.critic)
        return objective, {"g_loss": objective}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The same with the path length's penalty, `lazy` times."""
        objective, figures = self.plain_generator_loss()
        if not self.options.path_weight:
            return objective, figures
        lengths = self.path_lengths(self.generator.mapping(self.inputs(self.options.batch_size, self.random["path"])))
        penalty = mean(square(lengths - self.memory["path_length"]))
        figures |= {"path_penalty": penalty, "path_length": mean(lengths)}
        return objective + self.options.lazy * self.options.path_weight * penalty, figures

    def path_lengths(self, w: Tensor) -> Tensor:
        """||J^T y|| (N,) at styles w (N, width), one draw of y an image; the square root of a mean over layers."""
        layers = len(self.generator.layers)
        styles = broadcast_to(unsqueeze(w, 1), (w.shape[0], layers, w.shape[1]))
        images = self.generator.synthesis(styles)
        y = randn(*images.shape, generator=self.random["path"], dtype=self.dtype) / self.options.size
        (slope,) = grad(sum(images * y), styles, create_graph=True)
        return sqrt(mean(sum(square(slope), 2), 1) + 1e-8)

    # Samples.

    @on_device
    def centre(self) -> Tensor:
        """The mean style (width,) of the averaged generator."""
        z = self.inputs(CENTRE, Generator(self.options.seed, self.centre_stream))
        with no_grad():
            return mean(self.average.module.mapping(z), 0)

    @on_device
    def sample(self, z: Tensor, batch: int = 100) -> np.ndarray:
        """Images (N, C, H, W) in (-1, 1) for latents (N, latent), or (N, layers, latent) with one a layer, by the
        averaged generator in evaluation mode, truncated."""
        if self.truncation == 1:
            return super().sample(z, batch)
        return generate(Truncated(self.average.module, self.centre(), self.truncation), z, batch)


STYLEGAN = System(
    StyleOptions(
        "stylegan",
        data="avatars",
        loss="non-saturating",
        penalty="r1",
        gp_weight=1.0,
        n_critic=1,
        latent=64,
        batch_size=32,
        lr=1e-3,
        beta1=0.0,
        beta2=0.99,
        average=0.999,
        steps=2000,
    ),
    "a latent becomes a style, which scales every convolution; noise for what is left to chance",
    "Karras et al. 2019, 2020",
    StyleTrainer,
    results=(Result(NEIGHBOURS),),
)
