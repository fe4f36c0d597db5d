"""CycleGAN (Zhu et al. 2017): two domains A and B without pairs, a translator each way, a critic for each domain.

    G: A -> B, F: B -> A, critics D_A, D_B of patches, least squares (section 3 and 4):
    critics:      (D_A(a) - 1)^2 / 2 + D_A(F(b)')^2 / 2   +   the same for B, G(a)'
    translators:  (D_B(G(a)) - 1)^2 / 2 + (D_A(F(b)) - 1)^2 / 2
                  + lambda (|F(G(a)) - a|_1 + |G(F(b)) - b|_1)             (eq. 2)
                  + lambda mu (|G(b) - b|_1 + |F(a) - a|_1)                (identity loss, section 5.2)

|.|_1 is the mean over pixels, images in [-1, 1]. A primed image is one of a pool of earlier translations (Shrivastava
et al. 2017): each new one is either judged itself, or takes the place of one of the pool, which is judged instead. The
learning rate falls to zero over the second half (section 4).

The observable: held-out images of one domain, translated, against their TRUE pairs of the other, where the data set has
pairs; beside it what leaving the image as it is would score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, in_place, no_grad
from ...backend import Generator, host
from ...creation import zeros
from ...data import Loader, resize
from ...functional import l1_loss
from ...ops.basic import where
from ...ops.index import index_select
from ..metrics.classifier import prepared
from ..metrics.judging import Observation
from ..networks.translators import PatchCritic, Translator, init_
from ..options import NETWORKS, OBJECTIVE, RUN, CommonOptions, option
from .system import Result, System
from .translation import TranslationTrainer, translated


@dataclass(frozen=True)
class CycleOptions(CommonOptions):
    """The options of `cyclegan`."""

    source: str = option("", "Class to translate from; by default the data set's first.", RUN)
    target: str = option("", "Class to translate to; by default the data set's next.", RUN)
    blocks: int = option(4, "Residual blocks of a translator.", NETWORKS, 0, 100)
    cycle_weight: float = option(10.0, "Weight lambda of the error of going there and back.", OBJECTIVE, 0)
    identity_weight: float = option(
        0.5, "Weight mu of leaving the target's own images as they are, in cycle weights.", OBJECTIVE, 0
    )
    pool: int = option(
        50, "Earlier translations of each domain that the critics are shown again; 0 for none.", OBJECTIVE, 0, 100_000
    )

    loss: ClassVar[str] = "least-squares"


class Both(nn.Module):
    """Two networks as one player: `a` makes or judges domain A, `b` domain B."""

    def __init__(self, a: nn.Module, b: nn.Module) -> None:
        super().__init__()
        self.a, self.b = a, b


class Unpaired:
    """The loaders of two domains as one: each shuffles by itself, so that no pair is ever seen."""

    def __init__(self, a: Loader, b: Loader) -> None:
        self.a, self.b = a, b

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        return next(self.a)[0], next(self.b)[0]

    def state_dict(self) -> dict:
        """Where both stand."""
        return {"a": self.a.state_dict(), "b": self.b.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was taken."""
        self.a.load_state_dict(state["a"])
        self.b.load_state_dict(state["b"])


class CycleGAN(TranslationTrainer):
    """`cyclegan`: both translators are one player, both critics the other."""

    streams: ClassVar = {"init": 1, "pool": 8, "flip": 9}
    usage = "RUN IMAGE... --to DOMAIN"

    def domains(self) -> tuple[str, str]:
        """The class names (A, B). Raises ValueError for a set without two classes, and for names that it lacks."""
        names = self.info.class_names
        if len(names) < 2:
            raise ValueError(f"cyclegan: data set {self.info.name!r} has no two classes to translate between")
        a = self.options.source or next(n for n in names if n != self.options.target)
        b = self.options.target or next(n for n in names if n != a)
        for name in (a, b):
            if name not in names:
                raise ValueError(f"cyclegan: {self.info.name!r} has no class {name!r}; it has: {', '.join(names)}")
        if a == b:
            raise ValueError(f"cyclegan: source and target are both {a!r}; name two of: {', '.join(names)}")
        return a, b

    def load(self) -> Unpaired:
        """A batch of each domain's training images at a time."""
        options, data, loaders = self.options, self.dataset, []
        for k, name in enumerate(self.domains()):
            images = data.images[data.rows(label=name)]
            if options.size < images.shape[1]:
                raise ValueError(
                    f"cyclegan: size {options.size} is smaller than the images of {data.name!r}, {images.shape[1]}"
                )
            images = resize(images, options.size, data.info.background)
            loaders.append(Loader(images, options.batch_size, 2 * options.seed + k))
        return Unpaired(*loaders)

    def build(self) -> tuple[Both, Both]:
        """(both translators, both critics); the buffers of the batch and the pools."""
        options, channels = self.options, self.info.shape[-1]
        self.domains()
        shape = (channels, options.size, options.size)
        for k in "ab":
            self.batch[f"real_{k}"] = zeros(options.batch_size, *shape)
            self.batch[f"traded_{k}"] = zeros(options.batch_size, 1, 1, 1)
            self.batch[f"enters_{k}"] = zeros(options.batch_size, 1, 1, 1)
            self.batch[f"place_{k}"] = Tensor(np.zeros(options.batch_size, np.int64)).to(options.device)
            self.memory[f"pool_{k}"] = zeros(max(options.pool, options.batch_size), *shape)
        del self.batch["real"]
        settings = {"channels": channels, "size": options.size, "base": options.base, "blocks": options.blocks}
        translators = Both(*(Translator(**settings, halvings=1, coordinates=True) for _ in "ab"))
        critics = Both(*(PatchCritic(channels, options.size, 2 * options.base, 3, norm=False) for _ in "ab"))
        for network in (translators.a, translators.b, critics.a, critics.b):
            init_(network, self.random["init"])
        return translators, critics

    def feed(self) -> None:
        """The next images of both domains, half of them mirrored, and which of the pool are judged; the translators
        learn from the same images as the critics."""
        options, entered = self.options, self.loader.a.step * self.options.batch_size
        for k, images in zip("ab", next(self.loader), strict=True):
            mirrored = host(self.random["flip"].uniform((options.batch_size, 1, 1, 1))) < 0.5
            self.batch[f"real_{k}"].assign(np.where(mirrored, images[..., ::-1], images))
            coin = host(self.random["pool"].uniform((options.batch_size, 1, 1, 1))) < 0.5
            place = host(self.random["pool"].permutation(len(self.memory[f"pool_{k}"])))[: options.batch_size]
            filling = entered + options.batch_size <= options.pool
            if filling:
                place = entered + np.arange(options.batch_size)
            self.batch[f"traded_{k}"].assign((coin & (not filling and options.pool > 0)).astype(np.float32))
            self.batch[f"enters_{k}"].assign((coin & (options.pool > 0) | filling).astype(np.float32))
            self.batch[f"place_{k}"].assign(place)

    def pooled(self, k: str, fake: Tensor) -> Tensor:
        """What the critic of domain k is shown instead of `fake`: that, or what the pool held at its place, which it
        then takes."""
        pool, place = self.memory[f"pool_{k}"], self.batch[f"place_{k}"]
        judged_images = where(self.batch[f"traded_{k}"] > 0.5, index_select(pool, 0, place), fake)
        in_place(_enter, [pool], [place, self.batch[f"enters_{k}"], fake])
        return judged_images

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Both critics' least squares on the batch and on (pooled) translations of it."""
        a, b = self.batch["real_a"], self.batch["real_b"]
        with no_grad():
            fakes = self.pooled("a", self.generator.a(b)), self.pooled("b", self.generator.b(a))
        d_a = self.loss.discriminator(self.critic.a(a), self.critic.a(fakes[0]))
        d_b = self.loss.discriminator(self.critic.b(b), self.critic.b(fakes[1]))
        objective = d_a + d_b
        return objective, {"d_loss": objective, "d_loss_a": d_a, "d_loss_b": d_b}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Both translators' adversarial, cycle and identity losses."""
        options, to_a, to_b = self.options, self.generator.a, self.generator.b
        a, b = self.batch["real_a"], self.batch["real_b"]
        fake_a, fake_b = to_a(b), to_b(a)
        fooled = self.loss.generator(self.critic.a(fake_a)) + self.loss.generator(self.critic.b(fake_b))
        cycle = l1_loss(to_a(fake_b), a) + l1_loss(to_b(fake_a), b)
        objective = fooled + options.cycle_weight * cycle
        figures = {"g_loss": fooled, "cycle": cycle / 2}
        if options.identity_weight:
            same = l1_loss(to_a(a), a) + l1_loss(to_b(b), b)
            objective = objective + options.cycle_weight * options.identity_weight * same
            figures["identity"] = same / 2
        return objective, figures

    def formulas(self) -> dict[str, str]:
        """Loss -> its formula, of both domains together."""
        return {name: f"sum over A, B: {text}" for name, text in super().formulas().items()}

    def translate(self, images: np.ndarray, to: str) -> np.ndarray:
        """Images (N, C, S, S) of one domain as the other, `to`, in [-1, 1], by the averaged translators. Raises
        ValueError for a name that is neither domain."""
        if to not in self.domains():
            raise ValueError(f"cyclegan: translates to {' or '.join(self.domains())}, not to {to!r}")
        network = self.average.module.a if to == self.domains()[0] else self.average.module.b
        return translated(network, images)

    def translate_as(self, images: np.ndarray, to: str | None, settings: dict[str, str]) -> tuple[np.ndarray, str]:
        """(translated images, what was done) for the options of `minigan translate`. Raises ValueError."""
        if settings:
            raise ValueError(f"a run of cyclegan has no attributes to set; use --to {' or --to '.join(self.domains())}")
        to = to or self.domains()[1]
        return self.translate(images, to), f"translated to {to}"

    def preview(self, count: int) -> np.ndarray:
        """Rows of a grid: held-out images of A, their translations, images of B, theirs; then the next images."""
        width, names, rows = max(1, int(np.ceil(np.sqrt(count)))), self.domains(), []
        for start in range(0, count, 4 * width):
            for name, to in (names, names[::-1]):
                index = np.resize(self.dataset.rows("held_out", label=name), start + width)[start:]
                real = prepared(self.dataset, index, self.options.size)
                rows += [real, self.translate(real, to)]
        return np.concatenate(rows)[:count]

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """L1 to the true pairs (at most `count`) in both directions beside the identity map's, and the cycle's L1, all
        on held-out images in [-1, 1]; without pairs the cycle's alone."""
        names, data = self.domains(), self.dataset
        rows = [data.rows("held_out", label=name)[:count] for name in names]
        paired = data.pairs is not None and set(names) <= set(data.info.pair_names)
        if paired:
            rows = [data.pairs[:count, data.info.pair_names.index(name)] for name in names]
        real = [prepared(data, index, self.options.size) for index in rows]
        figures, lines = {"images": len(real[0])}, []
        for k, name in enumerate(names):
            other = names[1 - k]
            there = self.translate(real[k], other)
            back = self.translate(there, name)
            scores = {"cycle_l1": _l1(back, real[k]), "moved_l1": _l1(there, real[k])}
            line = f"{name} to {other}: cycle L1 {scores['cycle_l1']:.4f}"
            if paired:
                scores |= {"pair_l1": _l1(there, real[1 - k]), "identity_l1": _l1(real[k], real[1 - k])}
                scores["below_identity"] = 1 - scores["pair_l1"] / scores["identity_l1"]
                side = "below" if scores["below_identity"] >= 0 else "above"
                line += (
                    f", L1 to the {len(real[k])} true pairs {scores['pair_l1']:.4f},"
                    f" {abs(scores['below_identity']):.1%} {side} the identity map's {scores['identity_l1']:.4f}"
                )
            figures[f"{name}_to_{other}"] = scores
            lines.append(line)
        return Observation(figures, lines)


def _enter(pool, place, enters, fake) -> None:
    """Each of `fake` that enters takes its place in the pool, whose places are all different."""
    pool[place] = enters * fake + (1 - enters) * pool[place]


def _l1(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(x - y).mean())


CYCLEGAN = System(
    CycleOptions(
        "cyclegan",
        data="emoji",
        batch_size=4,
        lr=1e-3,
        beta1=0.5,
        beta2=0.999,
        n_critic=1,
        base=16,
        blocks=3,
        cycle_weight=3.0,
        identity_weight=0.1,
        steps=8000,
    ),
    "two domains without pairs: a translator each way, there and back is the identity",
    "Zhu et al. 2017",
    CycleGAN,
    results=(
        Result(
            "L1 to held-out true pairs below the identity map's by {twemoji_to_openmoji[below_identity]:.1%} (twemoji"
            " to openmoji) and {openmoji_to_twemoji[below_identity]:.1%} (back); cycle L1"
            " {twemoji_to_openmoji[cycle_l1]:.4f} and {openmoji_to_twemoji[cycle_l1]:.4f}"
        ),
    ),
)
