"""InfoGAN: a GAN that finds the classes of unlabelled images by keeping a code readable (Chen et al. 2016).

    min_{G,Q} max_D  V(D, G) - lambda L_I(G, Q),    L_I = E log Q(c | G(z, c)) + H(c) <= I(c; G(z, c))       (eq. 5, 6)

The code c is one categorical variable, uniform on K values, and C continuous ones, uniform on [-1, 1]. Q shares the
critic's body (networks/heads.py). For the categorical code -log Q is a cross-entropy. For a continuous one Q is a
normal density of fixed width about its mean, so that -log Q is a squared error up to constants. The generator takes z,
the one-hot category and the continuous codes, in this order. Both players minimise Q's losses, as in the authors' code.

Nothing in this says which partition of the images the category is to be, and a quick Q settles with G on a chance one
while the images are still blobs. Three changes, each of which an option takes back, bind it to the classes:
    real_weight   Q's category tells of pairs of alike reals (alike.py), and so does a finer clustering of the same
                  features (overclustering: Ji et al. 2019, section 3.3); 0 for none
    settle        before the first step Q learns, for so many steps, a partition of the reals that the spectrum of their
                  graph of neighbours gives (partition.py), and keeps the pairs as above; 0 for none
    ramp          for R steps Q reads reals only; then the codes' weight rises within R/2, for the generator first, and
                  from step 2 R on for the category that Q reads from fakes too, lest it read them by their faults;
                  0 for the whole weight from the start. real_weight and ramp 0 is Chen et al.'s InfoGAN

By pairs alone Q's clustering of the reals has local optima, two classes in one category and one in two; a run in one
shows it by less `real_information`. The partition starts it in a better one, which the pairs then refine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn, optim
from ...autograd import Tensor, grad, no_grad
from ...backend import Generator
from ...capture import capture
from ...creation import ones, rand, randint, randn, zeros
from ...functional import cross_entropy, mse_loss, one_hot, softmax
from ...ops.basic import cast
from ...ops.index import cat
from ...ops.reduce import sum
from ..metrics import classifier
from ..metrics.distances import share_interval
from ..metrics.judging import Observation, judge_of, observe_samples
from ..metrics.realism import realistic_class
from ..networks.dcgan import DCGANGenerator
from ..networks.heads import CodeCritic, started
from ..options import NETWORKS, OBJECTIVE, option
from ..train import STREAMS, Trainer, on_device
from . import alike
from .conditional import DEFAULTS, ClassOptions, squared
from .partition import partition
from .system import ASKED, STANDING, Result, System

SHUFFLES = 100
FINER = 3
"""Finer clusters for each value of the categorical code."""


@dataclass(frozen=True)
class InfoOptions(ClassOptions):
    """The options of `infogan`."""

    categories: int = option(10, "Values of the categorical code.", NETWORKS, 2, 10_000)
    continuous: int = option(2, "Number of continuous codes.", NETWORKS, 0, 10_000)
    category_weight: float = option(1.0, "Weight of the categorical code's information.", OBJECTIVE, 0)
    continuous_weight: float = option(0.5, "Weight of the continuous codes' information.", OBJECTIVE, 0)
    real_weight: float = option(
        1.0, "Weight of what the category tells of pairs of alike reals; 0 for none.", OBJECTIVE, 0
    )
    neighbours: int = option(0, "Nearest images that an image is paired with besides itself.", OBJECTIVE, 0, 1000)
    settle: int = option(
        300, "Steps that Q learns a partition of the reals before the first step; 0 for none.", OBJECTIVE, 0, 10**9
    )
    ramp: int = option(800, "Steps until the weight of the codes begins to rise.", OBJECTIVE, 0, 10**9)

    gp_weight: ClassVar[float] = 0.0
    penalty: ClassVar[str] = "two-sided"

    def idle(self) -> dict[str, str]:
        reasons = {} if self.real_weight else dict.fromkeys(("settle", "neighbours"), "real_weight is 0")
        if not self.continuous:
            reasons["continuous_weight"] = "continuous is 0"
        if not self.category_weight and not (self.continuous and self.continuous_weight):
            reasons["ramp"] = "the codes have no weight"
        return super().idle() | reasons


class InfoTrainer(Trainer):
    """`infogan`."""

    streams: ClassVar = {**STREAMS, "pairs": 9}

    def build(self) -> tuple[nn.Module, nn.Module]:
        options, channels = self.options, self.info.shape[-1]
        width = options.latent + options.categories + options.continuous
        generator = DCGANGenerator(width, channels, options.size, options.base)
        shape = channels, options.categories, options.continuous, options.size, options.base, options.critic_norm
        critic = CodeCritic(*shape, finer=FINER * options.categories if options.real_weight else 0)
        self.batch |= {"share": ones(1), "share_q": ones(1)}
        if options.real_weight:
            images = zeros(options.batch_size, channels, options.size, options.size)
            self.batch |= {"first": images, "second": images.clone()}
            self.alike: np.ndarray | None = None
        return started(generator, critic, options.spectral, self.random["init"])

    def begin(self) -> None:
        """Teach Q the partition: cross-entropy on both of a pair, and the information of pairs. Moves no other head."""
        options, random = self.options, self.random["pairs"]
        if not (options.real_weight and options.settle):
            return
        label, _ = partition(self.real_images(self.dataset.train), options.categories, random)
        target = zeros(options.batch_size, options.categories, dtype=self.dtype)
        params = [p for name, p in self.critic.named_parameters() if not name.startswith("score.")]
        optimiser = self.optimiser_of(params)

        def gradients() -> Tensor:
            (first, second), information = self.alike_read()
            cross_entropies = cross_entropy(first, target) + cross_entropy(second, target)
            objective = cross_entropies - options.real_weight * information
            for p, g in zip(params, grad(objective, params), strict=True):
                p.grad = g
            return objective

        learn = capture(gradients) if options.capture else gradients
        for _ in range(options.settle):
            target.assign(np.eye(options.categories)[label[self.feed_pairs()]])
            learn()
            optimiser.step()
            if options.clip:
                optim.clip_weights_(params, options.clip)

    def anneal(self) -> None:
        """The shares of the codes' weight, of the generator's and of Q's."""
        if self.options.ramp:
            for k, name in enumerate(("share", "share_q"), 1):
                share = np.clip(2 * (self.steps_done / self.options.ramp - k), 0, 1)
                self.batch[name].assign(np.array([share]))

    def feed(self) -> None:
        super().feed()
        if self.options.real_weight:
            self.feed_pairs()

    def feed_pairs(self) -> np.ndarray:
        """Put two moved images that are the same or neighbours into each row of `first` and `second`; the places of the
        first ones among the training images (batch_size,)."""
        random, train = self.random["pairs"], self.dataset.train
        if self.alike is None:
            self.alike = alike.neighbours(self.real_images(train), min(self.options.neighbours, len(train) - 1))
        picked = (random.uniform(self.options.batch_size) * len(train)).astype(np.int64)
        column = (random.uniform(self.options.batch_size) * self.alike.shape[1]).astype(np.int64)
        for name, rows in (("first", picked), ("second", self.alike[picked, column])):
            self.batch[name].assign(alike.moved(self.real_images(train[rows]), random))
        return picked

    def real_images(self, rows: np.ndarray) -> np.ndarray:
        """Images of the data set as the critic sees them."""
        return classifier.prepared(self.dataset, rows, self.options.size)

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
        category_index = randint(0, options.categories, (options.batch_size,), random)
        category = cast(one_hot(category_index, options.categories), self.dtype)
        inputs, continuous = self.join(options.batch_size, category, random)
        return self.generator(inputs), category, continuous

    def code_loss(self, read: tuple[Tensor, Tensor], codes: tuple[Tensor, Tensor], share: str) -> tuple[Tensor, dict]:
        """(the weighted losses of Q, the figures: the bound in nats and the mean squared error).

        read: Q's logits and means. codes: one-hot categories and continuous codes. share: which share of the weight the
        category has.
        """
        options, shares = self.options, self.batch
        entropy = cross_entropy(read[0], codes[0])
        objective = sum(shares[share]) * options.category_weight * entropy
        figures = {"bound": math.log(options.categories) - entropy.detach()}
        if options.continuous:
            error = mse_loss(read[1], codes[1])
            objective = objective + sum(shares["share"]) * options.continuous_weight * error
            figures["code_error"] = error.detach()
        return objective, figures

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        with no_grad():
            fake, *codes_in = self.coded("latent_d")
        d_real, d_fake = self.critic(self.batch["real"]), self.critic(fake)
        scores = self.loss.head(d_real[0]), self.loss.head(d_fake[0])
        adversarial = self.loss.discriminator(*scores)
        codes, figures = self.code_loss(d_fake[1:], codes_in, "share_q")
        figures = {"d_loss": adversarial, **figures, **self.loss.figures(*scores)}
        objective = adversarial + codes
        if not self.options.real_weight:
            return objective, figures
        _, information = self.alike_read(figures)
        return objective - self.options.real_weight * information, figures

    def alike_read(self, figures: dict | None = None) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """(the category's logits of both of the pairs, what one tells of the other, in categories and finer clusters);
        the first of the two is put into `figures`."""
        first, second = (self.critic.clusters(self.batch[name]) for name in ("first", "second"))
        information, finer = (
            alike.mutual_information(softmax(a, 1), softmax(b, 1)) for a, b in zip(first, second, strict=True)
        )
        if figures is not None:
            figures["real_information"] = information.detach()
        return (first[0], second[0]), information + finer

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        fake, *codes_in = self.coded("latent_g")
        score, *read = self.critic(fake)
        adversarial = self.adversarial(score, lambda x: self.critic(x)[0])
        codes, _ = self.code_loss(read, codes_in, "share")
        return adversarial + codes, {"g_loss": adversarial, "code_loss": codes}

    @on_device
    def draw_coded(self, count: int, random: Generator) -> tuple[np.ndarray, np.ndarray]:
        """(what the generator takes, its images) for `count` samples."""
        inputs = self.inputs(count, random)
        return inputs.numpy(), self.sample(inputs)

    @on_device
    def read(self, images: np.ndarray, batch: int = 250) -> tuple[np.ndarray, np.ndarray]:
        """What Q says of images (N, C, size, size): (log probabilities (N, categories), means (N, continuous)).

        Batch norm takes each batch's own statistics, as in training: Q never read a mixture of fakes and reals.
        """
        parts = []
        with no_grad(), nn.frozen_statistics(self.critic):
            for i in range(0, len(images), batch):
                part = zeros(*images[i : i + batch].shape, dtype=self.dtype).assign(images[i : i + batch])
                _, logits, means = self.critic(part)
                parts.append((logits.log_softmax(1).numpy(), means.numpy()))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def preview(self, count: int) -> np.ndarray:
        """A square of images, one category a column; about `count` of them if the categories allow."""
        return super().preview(squared(count, self.options.categories))

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """The plain figures; what Q reads from the samples; where the data set has classes, what the independent
        classifier sees for each category, and how often a sample looks like a real image of its category's largest
        class."""
        inputs, images = self.draw_coded(count, random)
        observation = observe_samples(images, self.options.data, self.yardstick, self.options.seed, details)
        log_q, means = self.read(images)
        entropy = math.log(self.options.categories)
        bound = entropy + float(log_q[np.arange(count), self.categories(count)].mean())
        lines = [f"E log Q(c|x) + H(c) = {bound:.3f}, H(c) = log {self.options.categories} = {entropy:.3f}"]
        figures = {"bound": bound, "entropy": entropy}
        if self.options.continuous:
            codes = inputs[:, -self.options.continuous :]
            fits = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(codes.T, means.T, strict=True)]
            lines.append("correlation of each continuous code with Q's mean: " + ", ".join(f"{r:.3f}" for r in fits))
            figures["correlation"] = fits
        if self.info.class_names:
            partition = self._beside_classes(images)
            lines = partition.lines[:-1] + lines + partition.lines[-1:]
            figures |= partition.figures
        return Observation(observation.figures | figures, lines + observation.lines)

    def _beside_classes(self, images: np.ndarray) -> Observation:
        """How the categories of images (N, C, S, S), which have them in turn, agree with classes."""
        judge, count = judge_of(self.options.data, self.info), len(images)
        category = self.categories(count)
        table = np.zeros((self.options.categories, len(self.info.class_names)), np.int64)
        classes = classifier.classes(judge.model, images)
        np.add.at(table, (category, classes), 1)
        pure, matched = purity(table), matching(table)
        chance = by_chance(category, classes, table.shape, self.options.seed)
        share = share_interval(int(table.max(1).sum()), count)
        lines = [
            f"purity {pure:.1%} [{share.low:.1%}, {share.high:.1%}] over {count} samples (↑, by chance"
            f" {chance['purity']:.1%}), one class to one category {matched:.1%} (↑, by chance {chance['matched']:.1%});"
            f" the judge is right on {judge.accuracy:.1%} of held-out images",
            "category -> class: "
            + ", ".join(f"{k} -> {self.info.class_names[c]}" for k, c in enumerate(table.argmax(1)) if table[k].any()),
        ]
        figures = {"purity": pure, "matched": matched, "table": table.tolist(), "chance": chance}
        realism = realistic_class(images, table.argmax(1)[category], judge.model, self.yardstick)
        if realism:
            figures["asked"] = realism.as_dict()
            lines.insert(1, realism.line())
        return Observation(figures, lines)


def by_chance(category: np.ndarray, classes: np.ndarray, shape: tuple[int, int], seed: int) -> dict[str, float]:
    """ "purity" and "matched" where categories (N,) and classes (N,) have nothing to do with each other: means over
    SHUFFLES orders of the classes. Each category's largest class is then larger than its share, by luck alone."""
    random, values = np.random.default_rng(seed), []
    for _ in range(SHUFFLES):
        table = np.zeros(shape, np.int64)
        np.add.at(table, (category, random.permutation(classes)), 1)
        values.append((purity(table), matching(table)))
    pure, matched = np.mean(values, 0)
    return {"purity": float(pure), "matched": float(matched)}


def purity(table: np.ndarray) -> float:
    """The share of samples in their category's largest class, for counts (categories, classes)."""
    return float(table.max(1).sum() / table.sum())


def matching(table: np.ndarray) -> float:
    """The same where each class may be given to one category only, the best way (the Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    return float(table[linear_sum_assignment(-table)].sum() / table.sum())


INFOGAN = System(
    InfoOptions("infogan", base=16, lr=1e-3, latent=16, steps=2500, **DEFAULTS),
    "finds classes and continuous factors of unlabelled images by codes that stay readable",
    "Chen et al. 2016; partition: Ng et al. 2001, Ji et al. 2019",
    InfoTrainer,
    results=(
        Result(
            "purity ↑ {purity:.1%} (by chance {chance[purity]:.1%}), one to one ↑ {matched:.1%} (by chance"
            " {chance[matched]:.1%}); bound {bound:.3f} of {entropy:.3f}; "
            + f"{ASKED}; {STANDING}; judge right on "
            + "{held_out_accuracy:.1%}"
        ),
    ),
)
