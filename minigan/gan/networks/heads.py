"""Critics that know of labels or codes: DCGAN's body (gan/networks/dcgan.py) with other inputs or more than one head.

With phi(x) the body's features (N, W, 4, 4), y one-hot labels (N, K), and h(x) their sum over the 4 x 4 places:

    concatenation   f(x, y) = f([x, planes of y])                 Mirza & Osindero 2014; the planes Radford et al.'s way
    projection      f(x, y) = psi(phi(x)) + y^T V h(x)            Miyato & Koyama 2018, eq. 8
    auxiliary       x -> a score and K class logits               Odena et al. 2017, section 4
    codes           x -> a score, and through Q: K logits and the means of C continuous codes
                                                                  Chen et al. 2016, section 6 and appendix C

Q has a hidden layer of its own above the body that it shares with the score, so it costs next to nothing.
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...creation import ones
from ...functional import leaky_relu
from ...ops.index import cat
from ...ops.reduce import sum
from ..tricks import spectral_norm_
from .dcgan import DCGANCritic, dcgan_init_


def body(channels: int, size: int, base: int, norm: bool) -> tuple[nn.Sequential, int]:
    """(DCGAN's critic without its last layer, W): images (N, channels, size, size) to features (N, W, 4, 4)."""
    whole = DCGANCritic(channels, size, base, norm).main
    return whole[:-1], whole[-1].in_channels


def started(generator: nn.Module, critic: nn.Module, spectral: bool, random: Generator) -> tuple[nn.Module, nn.Module]:
    """Both with DCGAN's start drawn from `random`; under spectral norm every layer of the critic if `spectral`."""
    for network in (generator, critic):
        dcgan_init_(network, random)
    return generator, spectral_norm_(critic, random) if spectral else critic


def check_labels(what: str, y: Tensor, x: Tensor, classes: int) -> None:
    """Raises ValueError, naming `what`, unless y is a row of `classes` numbers for each image of x."""
    if y.shape != (x.shape[0], classes):
        raise ValueError(f"{what}: labels must be one-hot ({x.shape[0]}, {classes}), got {y.shape}")


def planes(y: Tensor, x: Tensor) -> Tensor:
    """Labels y (N, K) as K constant planes of the height and width of x (N, C, H, W)."""
    return y.reshape(*y.shape, 1, 1) * ones(1, 1, *x.shape[2:], dtype=y.dtype)


class ConcatCritic(nn.Module):
    """Images (N, channels, size, size) and one-hot labels (N, classes) to one number each (N,): the label joins the
    image as `classes` constant planes."""

    def __init__(self, channels: int, classes: int, size: int = 32, base: int = 64, norm: bool = False) -> None:
        super().__init__()
        self.classes = classes
        self.critic = DCGANCritic(channels + classes, size, base, norm)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """One number per pair of an image and a label."""
        check_labels("ConcatCritic", y, x, self.classes)
        return self.critic(cat([x, planes(y, x)], 1))


class ProjectionCritic(nn.Module):
    """The same by projection: psi(phi(x)) is DCGAN's score, V (W, classes) a row of features for each class."""

    def __init__(self, channels: int, classes: int, size: int = 32, base: int = 64, norm: bool = False) -> None:
        super().__init__()
        self.classes = classes
        self.body, width = body(channels, size, base, norm)
        self.score = nn.Conv2d(width, 1, 4)
        self.project = nn.Linear(width, classes, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """One number per pair of an image and a label."""
        check_labels("ProjectionCritic", y, x, self.classes)
        phi = self.body(x)
        return self.score(phi).reshape(x.shape[0]) + sum(y * self.project(sum(phi, (2, 3))), 1)


class AuxiliaryCritic(nn.Module):
    """Images to (a number each (N,), class logits (N, classes)), both from the same features."""

    def __init__(self, channels: int, classes: int, size: int = 32, base: int = 64, norm: bool = False) -> None:
        super().__init__()
        self.body, width = body(channels, size, base, norm)
        self.score, self.classify = nn.Conv2d(width, 1, 4), nn.Conv2d(width, classes, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score and logits."""
        phi = self.body(x)
        return self.score(phi).reshape(x.shape[0]), self.classify(phi).reshape(x.shape[0], -1)


class CodeCritic(nn.Module):
    """Images to (a number each (N,), logits of the categorical code (N, classes), means of the continuous ones (N,
    continuous)); the last two are Q. finer: clusters of a second, finer reading of the same features, 0 for none."""

    def __init__(
        self,
        channels: int,
        classes: int,
        continuous: int,
        size: int = 32,
        base: int = 64,
        norm: bool = False,
        finer: int = 0,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.classes, self.continuous = classes, continuous
        self.body, width = body(channels, size, base, norm)
        self.score = nn.Conv2d(width, 1, 4)
        self.hidden, self.norm = nn.Conv2d(width, hidden, 4, bias=not norm), nn.BatchNorm2d(hidden) if norm else None
        self.codes = nn.Linear(hidden, classes + continuous)
        self.finer = nn.Linear(hidden, finer) if finer else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score, logits and means."""
        phi = self.body(x)
        codes = self.codes(self.features(phi))
        return self.score(phi).reshape(x.shape[0]), codes[:, : self.classes], codes[:, self.classes :]

    def features(self, phi: Tensor) -> Tensor:
        """What Q reads the codes from (N, hidden), for the body's features."""
        hidden = self.hidden(phi).reshape(phi.shape[0], -1)
        return leaky_relu(hidden if self.norm is None else self.norm(hidden), 0.2)

    def clusters(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the categorical code and of the finer clusters. Raises ValueError where there are none."""
        if self.finer is None:
            raise ValueError("CodeCritic: made without finer clusters")
        features = self.features(self.body(x))
        return self.codes(features)[:, : self.classes], self.finer(features)
