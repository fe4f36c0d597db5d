"""InfoGAN: a GAN that finds the classes of unlabelled images by keeping a code readable (Chen et al. 2016).

    min_{G,Q} max_D  V(D, G) - lambda L_I(G, Q),    L_I = E log Q(c | G(z, c)) + H(c) <= I(c; G(z, c))       (eq. 5, 6)

The code c is one categorical variable, uniform on K values, and C continuous ones, uniform on [-1, 1]. Q shares the
critic's body (gan/heads.py). For the categorical code -log Q is a cross-entropy. For a continuous one Q is a normal
density of fixed width about its mean, so that -log Q is a squared error up to constants. The generator takes z, the
one-hot category and the continuous codes, in this order. Both players minimise Q's losses, as in the authors' code.
"""

from __future__ import annotations

import math

import numpy as np

from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import Generator
from ..creation import rand, randint, randn, zeros
from ..functional import cross_entropy, mse_loss, one_hot
from ..ops_basic import cast
from ..ops_shape import cat
from . import classifier, networks
from .distances import share_interval
from .heads import CodeCritic
from .train import Observed, Trainer


class InfoTrainer(Trainer):
    """`infogan`."""

    def build(self) -> tuple[nn.Module, nn.Module]:
        options, channels = self.options, self.info.shape[-1]
        width = options.latent + options.categories + options.continuous
        generator = networks.DCGANGenerator(width, channels, options.size, options.base)
        critic = CodeCritic(
            channels, options.categories, options.continuous, options.size, options.base, options.critic_norm
        )
        return tuple(networks.dcgan_init_(network, self.random["init"]) for network in (generator, critic))

    def inputs(self, count: int, random: Generator) -> Tensor:
        """Latents, categories in turn, continuous codes: (count, latent + categories + continuous)."""
        category = np.eye(self.options.categories)[self.categories(count)]
        return self.join(count, zeros(*category.shape, dtype=self.dtype).assign(category), random)[0]

    def categories(self, count: int) -> np.ndarray:
        """The categories (count,) that `inputs` takes."""
        return np.arange(count) % self.options.categories

    def join(self, count: int, category: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
        """(inputs for the one-hot categories, their continuous codes), the rest of them drawn."""
        options = self.options
        z = randn(count, options.latent, generator=random, dtype=self.dtype)
        continuous = 2 * rand(count, options.continuous, generator=random, dtype=self.dtype) - 1
        return cat([z, category, continuous], 1), continuous

    def coded(self, stream: str) -> tuple[Tensor, Tensor, Tensor]:
        """A batch of (images, their one-hot categories, their continuous codes), all drawn."""
        options, random = self.options, self.random[stream]
        drawn = randint(0, options.categories, (options.batch_size,), random)
        category = cast(one_hot(drawn, options.categories), self.dtype)
        inputs, continuous = self.join(options.batch_size, category, random)
        return self.generator(inputs), category, continuous

    def code_loss(self, logits: Tensor, means: Tensor, category: Tensor, continuous: Tensor) -> tuple[Tensor, dict]:
        """(the weighted losses of Q, the figures): the bound in nats and the mean squared error."""
        options = self.options
        entropy, error = cross_entropy(logits, category), mse_loss(means, continuous)
        figures = {"bound": math.log(options.categories) - entropy.detach(), "code_error": error.detach()}
        return options.category_weight * entropy + options.continuous_weight * error, figures

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        with no_grad():
            fake, category, continuous = self.coded("latent_d")
        d_real, d_fake = self.critic(self.batch["real"]), self.critic(fake)
        scores = self.loss.head(d_real[0]), self.loss.head(d_fake[0])
        adversarial = self.loss.discriminator(*scores)
        codes, figures = self.code_loss(*d_fake[1:], category, continuous)
        return adversarial + codes, {"d_loss": adversarial, **figures, **self.critic_figures(*scores)}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        fake, category, continuous = self.coded("latent_g")
        score, logits, means = self.critic(fake)
        adversarial = self.loss.generator(self.loss.head(score))
        codes, _ = self.code_loss(logits, means, category, continuous)
        return adversarial + codes, {"g_loss": adversarial, "code_loss": codes}

    def read(self, images: np.ndarray, batch: int = 250) -> tuple[np.ndarray, np.ndarray]:
        """What Q says of images (N, C, size, size): (log probabilities (N, categories), means (N, continuous))."""
        was_training, found = self.critic.training, []
        self.critic.eval()
        with no_grad():
            for i in range(0, len(images), batch):
                part = zeros(*images[i : i + batch].shape, dtype=self.dtype).assign(images[i : i + batch])
                _, logits, means = self.critic(part)
                found.append((logits.log_softmax(1).numpy(), means.numpy()))
        self.critic.train(was_training)
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))

    def observe(self, count: int, random: Generator, details: bool = False) -> Observed:
        """The plain figures; what the independent classifier sees for each category; what Q reads from the samples."""
        inputs = self.inputs(count, random)
        images = self.sample(inputs)
        seen = self.scores(images, details)
        category = self.categories(count)
        found = classifier.classes(classifier.load(self.options.data)[0], images)
        table = np.zeros((self.options.categories, len(self.info.class_names)), np.int64)
        np.add.at(table, (category, found), 1)
        pure, matched = purity(table), matching(table)
        log_q, means = self.read(images)
        entropy = math.log(self.options.categories)
        bound = entropy + float(log_q[np.arange(count), category].mean())
        share = share_interval(int(table.max(1).sum()), count)
        seen.lines[:0] = [
            f"purity {pure:.1%} [{share.low:.1%}, {share.high:.1%}] over {count} samples, one class to one category"
            f" {matched:.1%}; the judge is right on {seen.figures['held_out_accuracy']:.1%} of held-out images",
            f"E log Q(c|x) + H(c) = {bound:.3f}, H(c) = log {self.options.categories} = {entropy:.3f}",
            "category -> class: "
            + ", ".join(f"{k} -> {self.info.class_names[c]}" for k, c in enumerate(table.argmax(1))),
        ]
        seen.figures |= {"purity": pure, "matched": matched, "bound": bound, "table": table.tolist()}
        if self.options.continuous:
            asked = inputs.numpy()[:, -self.options.continuous :]
            fits = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(asked.T, means.T, strict=True)]
            seen.lines.insert(2, "correlation of each continuous code with Q's mean: " + ", ".join(f"{r:.3f}" for r in fits))
            seen.figures["correlation"] = fits
        return seen


def purity(table: np.ndarray) -> float:
    """The share of samples in their category's largest class, for counts (categories, classes)."""
    return float(table.max(1).sum() / table.sum())


def matching(table: np.ndarray) -> float:
    """The same where each class may be given to one category only, the best way (the Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    return float(table[linear_sum_assignment(-table)].sum() / table.sum())
