"""CycleGAN (Zhu et al. 2017): two domains A and B without pairs, a translator each way, a critic for each domain.

    G: A -> B, F: B -> A, critics D_A, D_B of patches, least squares (section 3 and 4):
    critics:      (D_A(a) - 1)^2 / 2 + D_A(F(b)')^2 / 2   +   the same for B, G(a)'
    translators:  (D_B(G(a)) - 1)^2 / 2 + (D_A(F(b)) - 1)^2 / 2
                  + lambda (|F(G(a)) - a|_1 + |G(F(b)) - b|_1)             (eq. 2)
                  + lambda mu (|g(b) - b|_1 + |f(a) - a|_1)                (identity loss, section 5.2)

|.|_1 is the mean over pixels, images in [-1, 1]. G draws g on its image in a frame, or g = G (networks/frames.py). A
primed image is one of a pool of earlier translations (Shrivastava et al. 2017): each new one is either judged itself,
or takes the place of one of the pool, which is judged instead. The learning rate falls to zero over the second half
(section 4).

The observable: images of the held-out test half, translated, against their TRUE pairs of the other domain, where the
data set has pairs; beside it what scores without having learnt anything (metrics/translations.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from shlex import quote
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, in_place, no_grad
from ...backend import Generator, host
from ...creation import zeros
from ...data import Info, Loader, evenly_spaced, resize
from ...functional import l1_loss
from ...ops.basic import where
from ...ops.index import index_select
from ..metrics.classifier import Classifier, prepared
from ..metrics.judging import Observation, judge_of
from ..metrics.translations import Way, standing
from ..networks.frames import Frame, Painter
from ..networks.translators import PatchCritic, init_
from ..options import NETWORKS, OBJECTIVE, RUN, CommonOptions, option
from .system import Result, System
from .translation import TranslationTrainer, translated


@dataclass(frozen=True)
class CycleOptions(CommonOptions):
    """The options of `cyclegan`."""

    source: str = option(
        "", "Class to translate from, by default the data set's first; or attribute values, as in bold=no.", RUN
    )
    target: str = option(
        "", "Class to translate to, by default the data set's next; or attribute values, as in bold=yes.", RUN
    )
    mirror: bool = option(True, "Mirror half of the images.", RUN)
    blocks: int = option(4, "Residual blocks of a translator.", NETWORKS, 0, 100)
    frame: bool = option(
        False, "One size and place on the page for all images, learnt; the other way it is undone.", NETWORKS
    )
    cycle_weight: float = option(10.0, "Weight lambda of the error of going there and back.", OBJECTIVE, 0)
    identity_weight: float = option(
        0.5, "Weight mu of leaving the target's own images as they are, in cycle weights.", OBJECTIVE, 0
    )
    pool: int = option(
        50, "Earlier translations of each domain that the critics are shown again; 0 for none.", OBJECTIVE, 0, 100_000
    )

    loss: ClassVar[str] = "least-squares"

    def idle(self) -> dict[str, str]:
        return super().idle() | ({} if self.cycle_weight else {"identity_weight": "cycle_weight is 0"})


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
    usage = "minigan translate RUN IMAGE... --to DOMAIN"
    pools = ("pool_a", "pool_b")

    def domains(self) -> tuple[str, str]:
        """(A, B): a class name each, or attribute values as in "bold=no,italic=no". Raises ValueError for a set
        without two classes where none is named, and for names that the set lacks."""
        options, classes, name = self.options, self.info.class_names, self.info.name
        if not (options.source and options.target) and len(classes) < 2:
            raise ValueError(
                f"cyclegan: data set {name!r} has no two classes to translate between; name two groups of images by"
                f" their attributes ({', '.join(self.info.attributes) or 'it has none'}), as in --source hat=no"
                " --target hat=yes"
            )
        a = options.source or next(n for n in classes if n != options.target)
        b = options.target or next(n for n in classes if n != a)
        for domain in (a, b):
            values = _values(domain, self.info)
            for key, value in values.items():
                if value not in self.info.attributes.get(key, ()):
                    known = "; ".join(f"{k}={'|'.join(v)}" for k, v in self.info.attributes.items())
                    raise ValueError(f"cyclegan: {name!r} has no images of {key}={value}; it has: {known or 'classes'}")
            if not values and domain not in classes:
                raise ValueError(f"cyclegan: {name!r} has no class {domain!r}; it has: {', '.join(classes)}")
        if a == b:
            raise ValueError(f"cyclegan: source and target are both {a!r}; name two of: {', '.join(classes)}")
        return a, b

    @property
    def subject(self) -> str:
        return f"{' and '.join(self.domains())} of {self.options.data}"

    def rows(self, domain: str, part: str = "train") -> np.ndarray:
        """The indices of a domain's images in a part of the data set."""
        values = _values(domain, self.info)
        return self.dataset.rows(part, **values) if values else self.dataset.rows(part, label=domain)

    def pairs(self, part: str) -> np.ndarray | None:
        """Rows (P, 2) of the held-out images of a half, or of "all", of A alone and of B alone, that show the same
        thing; None where the set has none."""
        pairs = (self.dataset if part == "all" else self.dataset.half(part)).pairs
        if pairs is None:
            return None
        a, b = (np.isin(pairs, self.rows(domain, "held_out")) for domain in self.domains())
        for i, j in permutations(range(pairs.shape[1]), 2):
            alone = a[:, i] & b[:, j] & ~b[:, i] & ~a[:, j]
            if alone.any():
                return pairs[alone][:, [i, j]]
        return None

    def load(self) -> Unpaired:
        """A batch of each domain's training images at a time."""
        options, data, loaders = self.options, self.dataset, []
        for k, domain in enumerate(self.domains()):
            images = data.images[self.rows(domain)]
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
            self.memory[f"pool_{k}"] = zeros(max(options.pool, self.run_options.batch_size), *shape)
        del self.batch["real"]
        frame = Frame(options.size, self.info.background / 127.5 - 1) if options.frame else None
        settings = {"channels": channels, "size": options.size, "base": options.base, "blocks": options.blocks}
        translators = Both(Painter(**settings, frame=frame, inverse=True), Painter(**settings, frame=frame))
        critics = Both(*(PatchCritic(channels, options.size, 2 * options.base, 3, norm=False) for _ in "ab"))
        for network in (translators.a, translators.b, critics.a, critics.b):
            init_(network, self.random["init"])
        return translators, critics

    def feed(self) -> None:
        """The next images of both domains, half of them mirrored, and which of the pool are judged; the translators
        learn from the same images as the critics."""
        options, whole = self.options, self.run_options.batch_size
        number, part = divmod(self.loader.a.step, self.parts.count)
        entered, own = number * whole, part * options.batch_size + np.arange(options.batch_size)
        for k, images in zip("ab", next(self.loader), strict=True):
            mirrored = host(self.random["flip"].uniform((options.batch_size, 1, 1, 1))) < 0.5 * options.mirror
            self.batch[f"real_{k}"].assign(np.where(mirrored, images[..., ::-1], images))
            coin = host(self.random["pool"].uniform((options.batch_size, 1, 1, 1))) < 0.5
            order = Generator(options.seed, self.streams["pool"])  # one for all parts, which take places of their own
            order.step = self.random["pool"].step
            place = host(order.permutation(len(self.memory[f"pool_{k}"])))[own]
            self.random["pool"].step += 1
            if filling := entered < options.pool:
                place = (entered + own) % len(self.memory[f"pool_{k}"])
            enters = (entered + own if filling else place) < options.pool  # a pool may be smaller than a batch
            enters &= filling | coin.ravel()
            self.batch[f"traded_{k}"].assign((enters & (not filling)).reshape(coin.shape).astype(np.float32))
            self.batch[f"enters_{k}"].assign(enters.reshape(coin.shape).astype(np.float32))
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
            same = l1_loss(to_a.draw(a), a) + l1_loss(to_b.draw(b), b)
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
        """Rows of a grid: held-out images of A, their translations, images of B, the true pairs where there are some,
        and their translations; then the next images."""
        width, names, rows = max(1, int(np.ceil(np.sqrt(count)))), self.domains(), []
        pairs = self.pairs("test")
        columns = [self.rows(name, "held_out") for name in names] if pairs is None else pairs.T
        for start in range(0, count, 4 * width):
            for to, column in zip(names[::-1], columns, strict=True):
                real = self._real(np.resize(column, start + width)[start:])
                rows += [real, self.translate(real, to)]
        return np.concatenate(rows)[:count]

    def _real(self, index: np.ndarray) -> np.ndarray:
        return prepared(self.dataset, index, self.options.size)

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """Of the held-out images of `split`, at most `count` of each domain: the cycle's L1, and L1 to the true pairs
        beside null models, whose sizes are chosen on the other half, where there are pairs. details: a table with the
        looks of all, before the judge of classes where there is one. Images are in [-1, 1]."""
        names, half = self.domains(), self.yardstick.held_out
        pairs, trial = self.pairs(self.split), self.pairs("test" if self.split == "validation" else "validation")
        columns = [np.intersect1d(self.rows(n, "held_out"), half) for n in names] if pairs is None else list(pairs.T)
        index = [evenly_spaced(column, count) for column in columns]
        real, figures, lines = [self._real(rows) for rows in index], {"images": len(index[0])}, []
        model = self._judge() if details and pairs is not None else None
        for k, name in enumerate(names):
            other = names[1 - k]
            there = self.translate(real[k], other)
            scores = {"cycle_l1": _l1(self.translate(there, name), real[k]), "moved_l1": _l1(there, real[k])}
            line = f"{name} to {other}: cycle L1 {scores['cycle_l1']:.4f}"
            if pairs is None or trial is None:
                lines.append(line)
            else:
                way = Way(
                    images=real[k],
                    true=real[1 - k],
                    trial=self._real(trial[:, k]),
                    trial_true=self._real(trial[:, 1 - k]),
                    target=self._real(self.rows(other)),
                    background=self.info.background / 127.5 - 1,
                )
                labels = None if model is None else self._labels(index[k], other)
                more, (text, *table) = standing(there, way, self.options.seed, details, model, labels)
                scores |= more
                lines += [f"{line}, {text}", *table]
            figures[f"{name}_to_{other}"] = scores
        if details and pairs is not None and model is None:
            lines.append(f"no judge of classes is at hand; train one with: minigan classifier {quote(self.info.name)}")
        return Observation(figures, lines)

    def _judge(self) -> Classifier | None:
        """The judge of classes, where there is one."""
        try:
            return judge_of(self.options.data, self.info).model
        except ValueError:
            return None

    def _labels(self, rows: np.ndarray, other: str) -> np.ndarray:
        """The class that each translation to `other` should be of: that one, or its image's own."""
        if other in self.info.class_names:
            return np.full(len(rows), self.info.class_names.index(other))
        return self.dataset.labels[rows]


def _values(domain: str, info: Info) -> dict[str, str]:
    """The attribute values that a domain is named by; none of a class."""
    if domain in info.class_names or "=" not in domain:
        return {}
    return dict(part.split("=", 1) if "=" in part else (part, "") for part in domain.split(","))


def _enter(pool, place, enters, fake) -> None:
    """Each of `fake` that enters takes its place in the pool, whose places are all different."""
    pool[place] = enters * fake + (1 - enters) * pool[place]


def _l1(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(x - y).mean())


def _shows(a: str, b: str, *models: str) -> str:
    """What the results page says of both ways: the share below the identity map's, and beyond null models."""
    ways = []
    for way in (f"{a}_to_{b}", f"{b}_to_{a}"):
        beyond = ", ".join(f"{name} by {{{way}[beyond][{name}]:+.1f}}" for name in models)
        ways.append(
            f"{way.replace('_', ' ')} {{{way}[below_identity]:.1%}} below the identity map's, beyond {beyond} points,"
            f" null models as good: {{{way}[as_good]}}; ink {{{way}[looks][translated][ink]:.1%}} (true"
            f" {{{way}[looks][true pairs][ink]:.1%}}), cycle L1 {{{way}[cycle_l1]:.3f}}"
        )
    return "L1 to the test half's true pairs: " + "; and back, ".join(ways)


PHOTOGRAPHS = {"frame": False, "cycle_weight": 3.0, "identity_weight": 0.1, "average": 0.99, "steps": 8000}
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
        frame=True,
        cycle_weight=1.0,
        identity_weight=1.0,
        average=0.995,
        steps=3000,
    ),
    "two domains without pairs: a translator each way, there and back is the identity",
    "Zhu et al. 2017",
    CycleGAN,
    presets={
        "glyphs": {
            "source": "bold=no",
            "target": "bold=yes",
            "mirror": False,
            "frame": False,
            "cycle_weight": 5.0,
            "identity_weight": 0.5,
            "steps": 2000,
        },
        **dict.fromkeys(("horse2zebra", "apple2orange", "monet2photo"), PHOTOGRAPHS),
    },
    results=(
        Result(_shows("twemoji", "openmoji", "constant", "shrunk")),
        Result(_shows("bold=no", "bold=yes", "thickened"), {"data": "glyphs"}),
    ),
)
