"""Tricks on samples, labels, latents and layers, and the table of which do not go together.

Steps of the two players are in gan/steps.py, penalties on slopes in gan/penalties.py; TRICKS names them all. A trick
composes with every loss but for the pairs in INCOMPATIBLE, which `check` refuses with the reason given there.

Shapes: samples (N, F) or (N, C, H, W), critic outputs (N,), latents (N, latent).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fnmatch import fnmatch

import numpy as np

from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import Generator
from ..creation import empty, ones, rand, randn, zeros
from ..functional import softplus
from ..nn.init import normal_
from ..ops.basic import cast, where
from ..ops.elementary import abs, exp, sqrt, square
from ..ops.index import cat
from ..ops.matmul import matmul
from ..ops.reduce import amin, mean, safe_norm, sum
from .losses import Loss, Output, loss, nearest

TRICKS = {
    "two-sided": "gradient penalty, norm 1 at interpolates (gan.penalties)",
    "one-sided": "gradient penalty, norm at most 1 at interpolates (gan.penalties)",
    "zero-centred": "gradient penalty, norm 0 at interpolates (gan.penalties)",
    "r1": "gradient penalty, norm 0 at reals (gan.penalties)",
    "r2": "gradient penalty, norm 0 at fakes (gan.penalties)",
    "r1+r2": "gradient penalty, norm 0 at reals and at fakes (gan.penalties)",
    "clip": "weight clipping (optim.clip_weights_)",
    "spectral": "spectral norm of every layer of the critic",
    "batch-norm": "batch norm in the critic",
    "virtual-batch-norm": "statistics of a reference batch and the sample itself",
    "consensus": "both losses + gamma/2 ||v||^2 (gan.steps)",
    "unrolled": "the generator looks k critic steps ahead (gan.steps)",
    "lookahead": "extragradient (gan.steps)",
    "optimistic": "2 g_t - g_{t-1} (gan.steps)",
    "two-time-scale": "one learning rate per player (gan.steps)",
    "feature-matching": "the generator matches means (and covariances) of the critic's features",
    "minibatch": "minibatch discrimination",
    "smoothing": "labels other than 0 and 1, fixed or drawn",
    "noisy-labels": "each label wrong with some probability",
    "instance-noise": "decaying noise on everything the critic sees",
    "spherical": "latents on a sphere",
    "packing": "the critic judges m samples as one",
}


class ImpossiblePair(ValueError):
    """A trick and a loss, or two tricks, that do not go together; the message says why."""


SLOPES = ("two-sided", "one-sided", "zero-centred", "r1", "r2", "r1+r2")
_TIED = "ties the samples of a batch together, so there is no slope per sample to penalise"
_LABEL = "has no label to change: it takes scores, not probabilities"
_BOUND = "bounds a divergence from reals to fakes; with samples swapped it bounds that of two mixtures instead"
INCOMPATIBLE: tuple[tuple[str, str, str], ...] = (
    # (a trick, another trick or a loss as a pattern, why not)
    *((slope, "batch-norm", f"batch norm {_TIED} (Gulrajani et al. 2017, section 4)") for slope in SLOPES),
    *((slope, "minibatch", f"minibatch discrimination {_TIED}") for slope in SLOPES),
    *(
        (slope, "clip", "weights within +-c cannot reach slope 1: the penalty would pull at the bounds for ever")
        for slope in ("two-sided",)
    ),
    ("clip", "spectral", "spectral norm rescales the weights, so a bound on the unscaled ones does nothing"),
    ("clip", "ebgan", "an autoencoder with weights within +-c cannot reconstruct, so energies tell nothing"),
    ("clip", "unrolled", "unrolled steps are not clipped: the generator would look ahead at critics that cannot occur"),
    ("lookahead", "optimistic", "both correct the same rotation; optimistic is lookahead with the past gradient"),
    ("lookahead", "unrolled", "both look at the opponent's next step; choose one"),
    ("batch-norm", "virtual-batch-norm", "two normalisations of the same activations; choose one"),
    *(
        ("smoothing", loss, f"{loss} {_LABEL}")
        for loss in ("hinge", "margin", "wasserstein", "ebgan", "f-*", "relativistic*")
    ),
    (
        "noisy-labels",
        "wasserstein",
        "swapping samples with probability p only scales the estimate by 1 - 2p, which the critic's own scale undoes",
    ),
    ("noisy-labels", "ebgan", "the critic is an autoencoder of the reals; labels flipped would teach it the fakes"),
    ("noisy-labels", "f-*", f"f-GAN {_BOUND}"),
)


def check(loss: str, tricks: Iterable[str]) -> None:
    """Raises ValueError for an unknown trick, ImpossiblePair, with the reason, for a pair in INCOMPATIBLE."""
    tricks = list(tricks)
    for name in tricks:
        if name not in TRICKS:
            raise nearest("trick", name, TRICKS)
    for trick, other, reason in INCOMPATIBLE:
        others = [name for name in (loss, *tricks) if fnmatch(name, other)]
        if trick in tricks and others:
            raise ImpossiblePair(f"{trick} does not go with {others[0]}: {reason}")


def feature_matching(real: Tensor, fake: Tensor, covariance: bool = False) -> Tensor:
    """||E f(x) - E f(Gz)||^2 over features (N, F) (Salimans et al. 2016, eq. 1), plus the squared Frobenius distance of
    their covariances if `covariance`. The generator minimises it in place of its loss; reals give no gradient."""
    real = real.detach()
    centre_real, centre_fake = mean(real, 0, keepdim=True), mean(fake, 0, keepdim=True)
    apart = sum(square(centre_real - centre_fake))
    if not covariance:
        return apart
    a, b = real - centre_real, fake - centre_fake
    gap = matmul(a.transpose(0, 1), a) / a.shape[0] - matmul(b.transpose(0, 1), b) / b.shape[0]
    return apart + sum(square(gap))


def pairwise_distance(features: Tensor) -> Tensor:
    """Each sample's mean L2 distance to the others of its batch, (N, F) -> (N, 1): the lecture's diversity feature.

    Raises ValueError for a batch of one.
    """
    n = features.shape[0]
    if n < 2:
        raise ValueError("pairwise_distance: needs at least 2 samples in the batch, got 1")
    gaps = features.reshape(n, 1, -1) - features.reshape(1, n, -1)
    return sum(safe_norm(gaps, 2), 1, keepdim=True) / (n - 1)


class MinibatchDiscrimination(nn.Module):
    """Appends to features (N, F) how close each sample is to its batch-mates in `kernels` learnt projections: (N, F +
    kernels).

    o_k(x_i) = sum_{j != i} exp(-||M_ik - M_jk||_1), M = x T, T (F, kernels * dim) (Salimans et al. 2016, section 3.2).
    distance: "l1", or "l2" for the lecture's L2 norm.
    """

    def __init__(
        self, features: int, kernels: int = 16, dim: int = 8, distance: str = "l1", generator: Generator | None = None
    ) -> None:
        super().__init__()
        if distance not in ("l1", "l2"):
            raise nearest("distance", distance, ("l1", "l2"))
        self.kernels, self.dim, self.distance = kernels, dim, distance
        self.weight = nn.Parameter(empty(features, kernels * dim))
        normal_(self.weight, 0.0, 1 / np.sqrt(features), generator)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, F) -> (N, F + kernels)."""
        n = x.shape[0]
        m = matmul(x, self.weight)
        gaps = m.reshape(n, 1, self.kernels, self.dim) - m.reshape(1, n, self.kernels, self.dim)
        far = sum(abs(gaps), 3) if self.distance == "l1" else safe_norm(gaps, 3)
        return cat([x, sum(exp(-far), 1) - 1], 1)


class PairwiseDistance(nn.Module):
    """Appends to features (N, F) each sample's mean L2 distance to its batch-mates: (N, F + 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, F) -> (N, F + 1)."""
        return cat([x, pairwise_distance(x)], 1)


class VirtualBatchNorm(nn.Module):
    """Normalisation by the statistics of a reference batch together with the sample itself, and of the reference batch
    by its own (Salimans et al. 2016, section 3.4), so that a sample's output does not depend on its batch-mates.

    Per channel of (N, C) or (N, C, H, W). Lives inside a `VirtualReference`, which shows it the reference batch.
    """

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps, self.reference = eps, None
        self.collecting = False
        self.weight = nn.Parameter(ones(features))
        self.bias = nn.Parameter(zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised x. Raises RuntimeError if no reference batch has been shown."""
        inner = tuple(range(2, x.ndim))
        own = mean(x, inner, keepdim=True) if inner else x
        if self.collecting:
            mean_r = mean(own, 0, keepdim=True)
            self.reference = (mean_r, mean(square(x - mean_r), (0, *inner), keepdim=True), x.shape[0])
        if self.reference is None:
            raise RuntimeError("VirtualBatchNorm: no reference batch yet; wrap the network in VirtualReference")
        mean_r, variance_r, n = self.reference
        shape = (1, -1) + (1,) * len(inner)
        weight, bias = self.weight.reshape(shape), self.bias.reshape(shape)
        if self.collecting:
            return (x - mean_r) * (weight / sqrt(variance_r + self.eps)) + bias
        apart = own - mean_r
        # Of both together: the variance inside each, and between their means. Differences of squares would cancel.
        variance = variance_r * (n / (n + 1)) + square(apart) * (n / (n + 1) ** 2)
        if inner:
            variance = variance + mean(square(x - own), inner, keepdim=True) / (n + 1)
        return (x - mean_r - apart / (n + 1)) * (weight / sqrt(variance + self.eps)) + bias


class VirtualReference(nn.Module):
    """A network whose VirtualBatchNorm layers see `reference` (R, ...) before every batch, with the weights of the
    moment; the reference stays fixed."""

    def __init__(self, network: nn.Module, reference: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("reference", reference.detach())

    def forward(self, x: Tensor) -> Tensor:
        """The network's output for x."""
        return self._referred(self.network, x)

    def features(self, x: Tensor) -> Tensor:
        """The features of a critic for x, as its own method of that name gives them."""
        return self._referred(self.network.features, x)

    def _referred(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        layers = [m for m in self.network.modules() if isinstance(m, VirtualBatchNorm)]
        for layer in layers:
            layer.collecting = True
        function(self.reference)
        for layer in layers:
            layer.collecting = False
        outputs = function(x)
        for layer in layers:
            layer.reference = None
        return outputs


def spectral_norm_(network: nn.Module, generator: Generator | None = None) -> nn.Module:
    """Spectral norm on every linear and convolutional layer (Miyato et al. 2018): each weight, as a matrix of outputs
    by inputs, stretches nothing. So a linear layer's Lipschitz constant is at most 1; a convolution's may be larger, by
    the root of how many windows an input stands in at most (4 x 4 with stride 2: by 2), which bounds the critic's slope
    all the same. The power iterations start from `generator`'s numbers. Returns the network."""
    for layer in list(network.modules()):
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.spectral_norm(layer, generator=generator)
    return network


def smoothed(row: Loss, real: float = 0.9, fake: float = 0.0) -> Loss:
    """The loss with labels `real` and `fake` for its discriminator: one-sided smoothing by default, two-sided with fake
    > 0 (Salimans et al. 2016, section 3.3, advise against). The generator's loss stays.

    Raises ValueError for a loss without labels, or labels that are not 0 <= fake < real <= 1.
    """
    check(row.name, ["smoothing"])
    if not 0 <= fake < real <= 1:
        raise ValueError(f"smoothed: needs 0 <= fake < real <= 1, got real {real}, fake {fake}")
    return _labelled(row, lambda r, f: (real, fake), f"labels {real:g} and {fake:g}")


def soft(row: Loss, random: Generator | None = None, width: float = 0.3) -> Loss:
    """The loss with a label of its own for every sample: reals uniform in [1 - width, 1], fakes in [0, width].

    Raises ValueError for a loss without labels, or a width outside [0, 1/2).
    """
    check(row.name, ["smoothing"])
    if not 0 <= width < 0.5:
        raise ValueError(f"soft: the width must be in [0, 0.5), got {width}")

    def labels(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        draws = (cast(rand(*x.shape, generator=random), x.dtype) for x in (real, fake))
        return 1 - width * next(draws), width * next(draws)

    return _labelled(row, labels, f"labels within {width:g} of 1 and 0")


def _labelled(row: Loss, labels: Callable, words: str) -> Loss:
    """The loss whose discriminator is told labels(real outputs, fake outputs), a pair of numbers or tensors."""

    def logits(r: Tensor, f: Tensor) -> Tensor:  # -(y ln D + (1 - y) ln(1 - D)) = softplus(t) - y t
        real, fake = labels(r, f)
        return mean(softplus(r) - real * r) + mean(softplus(f) - fake * f)

    def squares(r: Tensor, f: Tensor) -> Tensor:
        real, fake = labels(r, f)
        return mean(square(r - real)) / 2 + mean(square(f - fake)) / 2

    discriminator = logits if row.output is Output.LOGIT else squares
    return replace(row, discriminator=discriminator, convention=f"{row.convention}; {words}")


def noisy(row: Loss, rate: float, random: Generator | None = None) -> Loss:
    """The loss with wrong labels: in each pair of outputs real and fake change places with probability `rate`.

    Raises ValueError for a loss this means nothing to, or a rate outside [0, 1/2).
    """
    check(row.name, ["noisy-labels"])
    if not 0 <= rate < 0.5:
        raise ValueError(f"noisy: the rate must be in [0, 0.5), got {rate}")

    def discriminator(real: Tensor, fake: Tensor) -> Tensor:
        wrong = rand(*real.shape, generator=random) < rate
        return row.discriminator(where(wrong, fake, real), where(wrong, real, fake))

    return replace(row, discriminator=discriminator, convention=f"{row.convention}; labels wrong with chance {rate:g}")


LABELS = ("exact", "smooth", "soft", "noisy")


def labelled(kind: str, name: str, random: Generator | None = None) -> Loss:
    """The loss called `name` with labels of a kind: exact, smooth (reals 0.9), soft (drawn), noisy (5 of 100 wrong).
    ImpossiblePair where the loss has no such labels."""
    row = loss(name)
    return {"exact": lambda: row, "smooth": lambda: smoothed(row), "soft": lambda: soft(row, random),
            "noisy": lambda: noisy(row, 0.05, random)}[kind]()  # fmt: skip


def instance_noise(x: Tensor, sigma: float, random: Generator | None = None) -> Tensor:
    """x + sigma N(0, I), for reals and fakes alike (Sønderby et al. 2017)."""
    return x if sigma == 0 else x + sigma * cast(randn(*x.shape, generator=random), x.dtype)


def decayed(start: float, step: int, steps: int) -> float:
    """`start` falling linearly to 0 at `steps`, and 0 from there on. Raises ValueError for steps < 1."""
    if steps < 1:
        raise ValueError(f"decayed: steps must be at least 1, got {steps}")
    return start * max(0.0, 1 - step / steps)


def spherical(z: Tensor) -> Tensor:
    """Latents (N, d) moved to the sphere of radius sqrt(d), where most of a normal distribution's mass lies anyway."""
    with no_grad():
        return z * (np.sqrt(z.shape[1]) / safe_norm(z, 1, keepdim=True))


def nearest_real(fake: Tensor, reals: Tensor) -> Tensor:
    """E min over the reals of ||x - G(z)||^2, for (N, F) and (R, F): a generator's loss without a critic. What it
    minimises is to copy."""
    gaps = fake.reshape(fake.shape[0], 1, -1) - reals.detach().reshape(1, reals.shape[0], -1)
    return mean(amin(sum(square(gaps), 2), 1))


LATENTS: dict[str, Callable[..., Tensor]] = {
    "normal": randn,
    "uniform": rand,
    "spherical": lambda *shape, **settings: spherical(randn(*shape, **settings)),
}
"""Distributions of latents: a function of (N, d) and the keywords of `randn` each."""


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """The point at t in [0, 1] on the great circle from a to b (both (d,)): the way between spherical latents (White
    2016). On the line from a to b where they point the same way, or opposite ways and no circle is named."""
    cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if min(angle, np.pi - angle) < 1e-7:
        return (1 - t) * a + t * b
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def pack(x: Tensor, m: int) -> Tensor:
    """m samples as one: (N, F) -> (N/m, m F), (N, C, H, W) -> (N/m, m C, H, W) (Lin et al. 2018).

    Raises ValueError if m does not divide N.
    """
    n = x.shape[0]
    if m < 1 or n % m:
        raise ValueError(f"pack: m must divide the batch, got m {m} for a batch of {n}")
    return x.reshape(n // m, m * x.shape[1], *x.shape[2:])
