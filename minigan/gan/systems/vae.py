"""Variational autoencoder: a decoder with a prior over its codes (Kingma & Welling 2014; beta: Higgins et al. 2017).

    ln p(x) >= ELBO(x) = E_{z ~ q(z|x)} ln p(x|z) - KL(q(z|x) || N(0, I))                                    eq. 3
    q(z|x) = N(mean, sigma^2), both the encoder's,  z = mean + sigma eps,  eps ~ N(0, I)                section 2.4
    KL = 1/2 sum (mean^2 + sigma^2 - 1 - 2 ln sigma)                                                     appendix B
    minimise  E (-ln p(x|z) + beta KL) / pixels          beta = 1: the bound itself

The two parts are in nats an image. With a the decoder's output before its tanh, the decoder is one of

    bernoulli   ln p(x|z) = sum t ln s + (1 - t) ln (1 - s),   s = sigmoid(2 a) = (1 + tanh a) / 2,   t = (1 + x) / 2
    gaussian    ln p(x|z) = sum -(x - tanh a)^2 / (2 s^2) - ln s - 1/2 ln 2 pi,                s = option `sigma`

sums over pixels. Of grey levels t the Bernoulli is no density (they are taken as probabilities of black and white, as
the paper does), so only the Gaussian's bound is one on a density, and bounds of the two do not compare. The paper's
objective is divided by the number of pixels, which leaves its minimum alone, so that one learning rate suits all sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...functional import softplus, tanh
from ...ops.elementary import exp, square
from ...ops.reduce import mean, sum
from ..losses import nearest
from ..metrics.classifier import prepared
from ..metrics.distances import spectral_distance
from ..metrics.judging import Observation
from ..networks.encoders import Codec, reparametrised
from ..options import OBJECTIVE, option
from ..train import on_device
from .ae import RANDOM, SHOWN, AutoencoderOptions, CodeTrainer
from .system import Result, System

PIXELS = (1, 2, 3)


def kl_to_prior(means: Tensor, log_sigma: Tensor) -> Tensor:
    """KL(N(mean, sigma^2) || N(0, I)) in nats (N,), of means and ln sigma (N, F)."""
    return 0.5 * sum(square(means) + exp(2 * log_sigma) - 1 - 2 * log_sigma, 1)


def bernoulli(a: Tensor, x: Tensor) -> Tensor:
    """ln p(x|z) in nats (N,) of images x (N, C, S, S) in [-1, 1], for the decoder's outputs a before the tanh."""
    return sum((1 + x) * a - softplus(2 * a), PIXELS)


def gaussian(mean_image: Tensor, x: Tensor, sigma: float) -> Tensor:
    """ln N(x; mean image, sigma^2) in nats (N,) of images x (N, C, S, S)."""
    constant = math.log(sigma) + 0.5 * math.log(2 * math.pi)
    return sum(-square((x - mean_image) / sigma) / 2 - constant, PIXELS)


LIKELIHOODS = ("bernoulli", "gaussian")


@dataclass(frozen=True)
class VariationalOptions(AutoencoderOptions):
    """The options of `vae`."""

    likelihood: str = option("bernoulli", "What the decoder says of a pixel.", OBJECTIVE, choices=LIKELIHOODS)
    sigma: float = option(
        0.3, "Standard deviation of a gaussian decoder's pixels, of 2 from black to white.", OBJECTIVE
    )
    beta: float = option(1.0, "Weight of the divergence from the prior; 1 is the bound.", OBJECTIVE, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.likelihood not in LIKELIHOODS:
            raise nearest("likelihood", self.likelihood, LIKELIHOODS)
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")

    def idle(self) -> dict[str, str]:
        return super().idle() | ({} if self.likelihood == "gaussian" else {"sigma": "the likelihood is bernoulli"})


class VariationalTrainer(CodeTrainer):
    """`vae`."""

    streams: ClassVar = {"init": 1, "noise": 8}

    def build(self) -> tuple[nn.Module, None]:
        """(the stochastic encoder and the decoder, no critic)."""
        return self.codec(), None

    def bound(self, network: Codec, x: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
        """(ln p(x|z) for one draw of z, KL) of images x, in nats (N,) each; the ELBO is their difference."""
        means, log_sigma = network.posterior(x)
        a = network.decoder(reparametrised(means, log_sigma, random))
        fits = bernoulli(a, x) if self.options.likelihood == "bernoulli" else gaussian(tanh(a), x, self.options.sigma)
        return fits, kl_to_prior(means, log_sigma)

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """-ELBO a pixel, its divergence weighted by beta; the parts in nats an image."""
        x = self.batch["real"]
        fits, divergence = (mean(part) for part in self.bound(self.generator, x, self.random["noise"]))
        objective = (self.options.beta * divergence - fits) / math.prod(x.shape[1:])
        return objective, {"g_loss": objective, "log_likelihood": fits, "divergence": divergence}

    def formulas(self) -> dict[str, str]:
        return {"g_loss": "(−E ln p(x|z) + β KL(q‖N(0, I))) a pixel"}

    @on_device
    def nats(self, images: np.ndarray, random: Generator, batch: int = 250) -> tuple[float, float]:
        """(mean ln p(x|z), mean KL) of images (N, C, S, S) by the averaged networks, one draw of z an image."""
        network, parts = self.average.module.eval(), []
        with no_grad():
            for i in range(0, len(images), batch):
                x = Tensor(images[i : i + batch].astype(self.dtype)).to(self.options.device)
                parts.append([host(part.data) for part in self.bound(network, x, random)])
        network.train()
        return tuple(float(np.concatenate(part).mean()) for part in zip(*parts, strict=True))

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """What every system with codes shows; the bound on held-out images, beside a decoder that knows their mean and
        nothing of z; and how blurred samples are."""
        observation = super().observe(count, random, details)
        dataset, size = self.yardstick, self.options.size
        held_out, train = (prepared(dataset, rows, size) for rows in (dataset.held_out, dataset.train))
        fits, divergence = self.nats(held_out, random)
        blind = self.blind(held_out, train.mean(0, keepdims=True))
        spectral = spectral_distance(self.draw(len(held_out), random), held_out)
        figures = {
            "elbo": fits - divergence,
            "log_likelihood": fits,
            "divergence": divergence,
            "blind_elbo": blind,
            "spectral": spectral,
        }
        lines = [
            f"ELBO of held-out images {fits - divergence:.1f} nats: ln p(x|z) {fits:.1f} - KL {divergence:.1f}; of a"
            f" decoder that always says the mean image {blind:.1f}",
            f"spectrum of samples {spectral:.2f} dB from held-out images'",
        ]
        return Observation(observation.figures | figures, [*lines, *observation.lines])

    def blind(self, images: np.ndarray, mean_image: np.ndarray) -> float:
        """Mean ln p(x) of images under a decoder that always says the mean image, in nats."""
        x, m = Tensor(images.astype(np.float64)), Tensor(np.clip(mean_image.astype(np.float64), -0.998, 0.998))
        if self.options.likelihood == "gaussian":
            return float(mean(gaussian(m, x, self.options.sigma)).item())
        return float(mean(bernoulli(Tensor(np.arctanh(m.data)), x)).item())


VAE = System(
    VariationalOptions("vae", beta1=0.9, beta2=0.999, lr=1e-3, steps=3000),
    "an autoencoder whose codes are drawn from a prior, by a bound on the likelihood",
    "Kingma & Welling 2014; beta: Higgins et al. 2017",
    VariationalTrainer,
    results=(
        Result(
            "{confident:.1%} confident (real {real_confident:.1%}), {present} of {classes} classes; ELBO {elbo:.1f}"
            " nats: {log_likelihood:.1f} - {divergence:.1f} (mean image {blind_elbo:.1f}); gradient energy"
            f" {{sharpness:.1%}} of real images'; {RANDOM}; {SHOWN}"
        ),
    ),
)
