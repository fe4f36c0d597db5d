"""Autoencoder: an encoder and a decoder, one player, no critic (Hinton & Salakhutdinov 2006).

    minimise  E mean over pixels of (Dec(Enc(x)) - x)^2

By default each way has three fully connected layers, and the decoder is the generator of `gan`. Images come back well.
A random code does not: nothing in the objective says where the codes lie, so a draw from N(0, I) is a place that no
image was ever sent to. `observe` shows both: reconstructions of held-out images, and what random codes decode to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...functional import tanh
from ...ops.elementary import square
from ...ops.reduce import mean
from ..losses import nearest
from ..metrics.classifier import prepared
from ..metrics.judging import Observation, observe_samples, reader_of
from ..metrics.realism import gradient_energy, realistic
from ..metrics.reconstructions import compare, prior_test
from ..networks.encoders import CODECS, Codec, codec, reparametrised
from ..options import NETWORKS, CommonOptions, option
from ..train import Trainer, on_device
from .system import Result, System


@dataclass(frozen=True)
class CodeOptions(CommonOptions):
    """The options of `ae`, and what those of every system with an encoder begin with."""

    latent: int = option(16, "Numbers in the code of an image.", NETWORKS, 1, 65_536)
    network: str = option(
        "mlp", "Decoder, and the encoder that mirrors it: perceptrons or convolutions.", NETWORKS, choices=CODECS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network not in CODECS:
            raise nearest("network with an encoder", self.network, CODECS)


LEAST = 4
"""Held-out images, below which neither the test of the codes nor realism has an answer."""


@dataclass(frozen=True)
class AutoencoderOptions(CodeOptions):
    """One player: no critic and none of its steps."""

    n_critic: ClassVar[int] = 0
    n_generator: ClassVar[int] = 1


class CodeTrainer(Trainer):
    """A system whose generator is a `Codec`: images have codes."""

    stochastic: ClassVar[bool] = True

    def codec(self) -> Codec:
        """The encoder and the decoder, their weights drawn."""
        options = self.options
        shape = options.latent, self.info.shape[-1], options.size, options.base
        return codec(options.network, *shape, self.random["init"], self.stochastic)

    def code_of(self, network: Codec, x: Tensor, random: Generator | None = None) -> Tensor:
        """The codes (N, latent) of images x: of a stochastic encoder the means, or draws from `random`."""
        if not self.stochastic:
            return network.encoder(x)
        means, log_sigma = network.posterior(x)
        return means if random is None else reparametrised(means, log_sigma, random)

    @on_device
    def encode(self, images: np.ndarray, random: Generator | None = None, batch: int = 250) -> np.ndarray:
        """The codes (N, latent) of images (N, C, S, S) in [-1, 1], by the averaged encoder in evaluation mode."""
        network, parts = self.average.module, []
        was_training = network.training
        network.eval()
        with no_grad():
            for i in range(0, len(images), batch):
                x = Tensor(images[i : i + batch].astype(self.dtype)).to(self.options.device)
                parts.append(host(self.code_of(network, x, random).data))
        network.train(was_training)
        return np.concatenate(parts)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The images (N, C, S, S) of codes (N, latent)."""
        return self.sample(Tensor(codes.astype(self.dtype)))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, S, S) as they come back through their codes."""
        return self.decode(self.encode(images))

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """What random codes decode to; how held-out images come back, beside null models; whether their codes are
        drawn from the prior. Raises ValueError where there is no judge for the data set."""
        options, dataset = self.options, self.yardstick
        if len(dataset.held_out) < LEAST:
            raise ValueError(
                f"{options.system}: is judged by at least {LEAST} held-out images, got {len(dataset.held_out)}; take"
                " more images"
            )
        judge = reader_of(options.data, dataset)
        images = self.draw(count, random)
        samples = observe_samples(images, options.data, dataset, options.seed, details)
        held_out, train = (prepared(dataset, rows, options.size) for rows in (dataset.held_out, dataset.train))
        labels = judge.labels[dataset.held_out], judge.labels[dataset.train]
        back = compare(self.reconstruct(held_out), held_out, train, labels, judge.read)
        codes = self.encode(held_out, random)
        prior = prior_test(codes, random)
        fitted = self.decode(fitted_codes(self.encode(train), count, random))
        real = realistic({"random": images, "fitted": fitted}, judge.model, dataset)
        sharpness = gradient_energy(images) / gradient_energy(held_out)
        figures = {"reconstruction": back.as_dict(), "prior": vars(prior), "realism": real, "sharpness": sharpness}
        lines = [
            f"realistic: {real['random']:.1%} of random codes' images, {real['fitted']:.1%} of those of a normal"
            f" distribution fitted to the images' codes; {real['held_out']:.1%} of held-out images, {real['noise']:.1%}"
            f" of noise of their spectrum, {real['mean_image']:.1%} for the mean image",
            f"gradient energy of samples {sharpness:.1%} of held-out images'",
            *back.lines(),
            f"codes of held-out images against the prior: {prior}",
        ]
        return Observation(samples.figures | figures, [*lines, *samples.lines])


class AutoencoderTrainer(CodeTrainer):
    """`ae`."""

    stochastic: ClassVar[bool] = False
    streams: ClassVar = {"init": 1}

    def build(self) -> tuple[nn.Module, None]:
        """(the encoder and the decoder, no critic)."""
        return self.codec(), None

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean squared error of the batch as it comes back."""
        x, network = self.batch["real"], self.generator
        error = mean(square(tanh(network.decoder(network.encoder(x))) - x))
        return error, {"g_loss": error}

    def formulas(self) -> dict[str, str]:
        return {"g_loss": "mean (Dec(Enc(x)) - x)²"}


def fitted_codes(codes: np.ndarray, count: int, random: Generator) -> np.ndarray:
    """`count` codes from the normal distribution of the mean and covariance of codes (N, latent)."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes, rowvar=False)))
    noise = host(random.normal((count, codes.shape[1])))
    return codes.mean(0) + (noise * np.sqrt(np.maximum(values, 0))) @ vectors.T


SHOWN = (
    "held-out images come back as their class in {reconstruction[agreement][value]:.1%} (nearest training image"
    " {reconstruction[nearest_agreement]:.1%}), squared error {reconstruction[error]:.4f} (nearest training image"
    " {reconstruction[nearest_error]:.4f}, mean of the class {reconstruction[class_mean_error]:.4f})"
)
RANDOM = "realistic {realism[random]:.1%} of random codes (real {realism[held_out]:.1%}, noise {realism[noise]:.1%})"
AE = System(
    AutoencoderOptions("ae", beta1=0.9, beta2=0.999, lr=1e-3, steps=3000),
    "an encoder and a decoder; images come back, random codes decode to nothing",
    "Hinton & Salakhutdinov 2006",
    AutoencoderTrainer,
    results=(Result(f"{RANDOM}; {SHOWN}"),),
)
