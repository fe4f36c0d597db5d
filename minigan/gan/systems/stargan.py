"""StarGAN (Choi et al. 2018): one translator that sets several attributes of an image, one critic that is told them.

    x a real image, c its attributes; x' another of the batch, c' its attributes; z noise
    F = G(x, c' - c, z)  the translation, told what is to change (RelGAN, Wu et al. 2019)
    f(x), v(x)  the critic's raw number and its number for each attribute
    f(x | c) = f(x) + (2 c - 1) . v(x)                                   projection (Miyato & Koyama 2018, eq. 8)

    critic:      E softplus(f(F | c') - f(x' | c')) + mu E softplus(f(x | c') - f(x' | c'))
                 + gamma/2 E |grad f(x' | c')|^2
    translator:  E softplus(f(x' | c') - f(F | c')) + lambda_change |F - x|_1

The pair (x', F) is of one set of attributes: a relativistic loss compares a translation with a real image of what was
asked for (Jolicoeur-Martineau 2019; Huang et al. 2024). With mu the critic also learns, from real images alone, that
x does not have the attributes c' (Reed et al. 2016).

The paper's objective is there by options (`PAPER` below):
    critic:      E f(F) - E f(x) + lambda_gp (||grad f|| - 1)^2 + lambda_cls BCE(v(x), c)            (eq. 5, 8, 2)
    translator:  -E f(F) + lambda_cls BCE(v(F), c') + lambda_rec |G(F, c) - x|_1,  F = G(x, c')      (eq. 6, 3, 4)
Its critic asks whether F is a face, and whether v takes it for one with a hat, but never whether it is a face with a
hat; and the way back wants the hair under the hat again. So hats were coloured noise that v likes, and that remembers
the hair.

BCE is summed over the attributes, |.|_1 is the mean over pixels. The translator paints with a few colours
(networks/palette.py); it takes c' - c and z as constant planes and through its norms. The learning rate falls
to zero over the second half (section 4).

The observable: one attribute of each image of the held-out test half is turned over. A guarded judge of its own
(metrics/attributes.py) says how often the new value is there and the others are what they were, and how much the
translations are like real images that have it (metrics/attribute_edits.py), beside null models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...creation import randn, zeros
from ...data import Loader, evenly_spaced
from ...functional import binary_cross_entropy_with_logits, l1_loss
from ...nn import Module
from ...ops.index import cat
from ...ops.reduce import sum
from ..losses import LOSSES, loss
from ..metrics import attribute_edits, attributes
from ..metrics.classifier import prepared
from ..metrics.judging import Observation
from ..networks.palette import PaletteCritic, PaletteTranslator, few_colours, start_
from ..networks.translators import AttributeCritic, Translator, init_
from ..options import NETWORKS, OBJECTIVE, RUN, CommonOptions, option
from ..penalties import PENALTIES, penalty
from ..train import PREVIEW_STREAM
from .system import Result, System
from .translation import TranslationTrainer, translated

NO_YES = ("no", "yes")


@dataclass(frozen=True)
class StarOptions(CommonOptions):
    """The options of `stargan`."""

    attributes: str = option("", "Attributes to set, parted by commas: yes/no ones of the data set.", RUN)
    blocks: int = option(2, "Residual blocks of the translator.", NETWORKS, 0, 100)
    colours: int = option(
        4, "New colours an image; 0: every pixel is painted by itself, under a mask.", NETWORKS, 0, 1000
    )
    own: int = option(4, "Colours of the image itself that it may be painted with.", NETWORKS, 0, 1000)
    latent: int = option(4, "Size of the noise that the translator takes beside the attributes.", NETWORKS, 0, 65_536)
    relative: bool = option(True, "The translator is told what is to change, c' - c, not what is to be, c'.", NETWORKS)
    projection: bool = option(True, "The critic is told which attributes it should see.", NETWORKS)
    loss: str = option("relativistic", "What both players minimise.", OBJECTIVE, choices=LOSSES)
    mismatch_weight: float = option(
        1.0, "Weight mu of telling real images with the attributes from those without.", OBJECTIVE, 0
    )
    class_weight: float = option(0.0, "Weight lambda_cls of naming attributes.", OBJECTIVE, 0)
    cycle_weight: float = option(0.0, "Weight lambda_rec of the error of going there and back.", OBJECTIVE, 0)
    change_weight: float = option(
        0.3, "Weight lambda_change of what an image is changed by, as the mean over its pixels.", OBJECTIVE, 0
    )
    gp_weight: float = option(1.0, "Weight of the gradient penalty; 0 for none.", OBJECTIVE, 0)
    penalty: str = option("r1", "Which slope the gradient penalty pulls at.", OBJECTIVE, choices=PENALTIES)

    def __post_init__(self) -> None:
        super().__post_init__()
        loss(self.loss)
        penalty(self.penalty)

    def idle(self) -> dict[str, str]:
        reasons = {} if self.gp_weight else {"penalty": "gp_weight is 0"}
        if not self.projection:
            reasons["mismatch_weight"] = "the critic is told no attributes (projection is off)"
        if not self.colours:
            reasons["own"] = "colours is 0"
        return super().idle() | reasons


class StarGAN(TranslationTrainer):
    """`stargan`."""

    streams: ClassVar = {"init": 1, "latent_d": 2, "latent_g": 3, "eps": 4, "target": 8}
    usage = "minigan translate RUN IMAGE... --set attribute=value"

    def columns(self) -> dict[str, int]:
        """Attribute -> its column in the data set, in the order of the condition. Raises ValueError for a set without
        yes/no attributes, and for names that are none."""
        columns = {name: k for k, (name, values) in enumerate(self.info.attributes.items()) if values == NO_YES}
        if not columns:
            raise ValueError(f"stargan: data set {self.info.name!r} has no yes/no attributes to set")
        names = [n.strip() for n in self.options.attributes.split(",") if n.strip()] or list(columns)
        for name in names:
            if name not in columns or names.count(name) > 1:
                raise ValueError(
                    f"stargan: {name!r} is not, or not once, among the yes/no attributes of {self.info.name!r}:"
                    f" {', '.join(columns)}"
                )
        return {name: columns[name] for name in names}

    def load(self) -> Loader:
        """Batches of images with their attributes, also where the set has classes."""
        return Loader(
            replace(self.dataset, labels=None), self.options.batch_size, self.options.seed, size=self.options.size
        )

    def build(self) -> tuple[Module, Module]:
        """(translator, critic); the buffers of the attributes and of the images that have the ones asked for."""
        options, channels, count = self.options, self.info.shape[-1], len(self.columns())
        self.batch["partner"] = zeros(*self.batch["real"].shape)
        for name in ("source", "target"):
            self.batch[name] = zeros(options.batch_size, count)
        halvings, conditions = 2 if options.size >= 32 else 1, count + options.latent
        if options.colours:
            translator = PaletteTranslator(
                channels, options.size, options.base, options.blocks, conditions, options.colours, options.own
            )
            critic = PaletteCritic(count, channels, options.size, 2 * options.base)
            return tuple(start_(network, self.random["init"]) for network in (translator, critic))
        translator = Translator(channels, options.size, options.base, options.blocks, halvings, conditions, mask=True)
        critic = AttributeCritic(count, channels, options.size, 2 * options.base, halvings + 1)
        return tuple(init_(network, self.random["init"]) for network in (translator, critic))

    def feed(self) -> None:
        """The next images x with their attributes c, and others x' of the batch with theirs, c'; the translator learns
        from the images of the last critic step."""
        images, values = next(self.loader)
        has = values[:, list(self.columns().values())].astype(np.float32)
        order = host(self.random["target"].permutation(len(has)))
        arrays = {"real": images, "partner": images[order], "source": has, "target": has[order]}
        for name, array in arrays.items():
            self.batch[name].assign(array)

    def fake(self, images: Tensor, values: Tensor, before: Tensor, random: Generator) -> Tensor:
        """Images of the attributes `before` (N, K) with the attributes `values` instead, by noise from `random`."""
        condition = values - before if self.options.relative else values
        if self.options.latent:
            z = randn(len(images), self.options.latent, generator=random, dtype=self.dtype)
            condition = cat([condition, z], 1)
        return self.generator(images, condition)

    def judged(self, images: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """(f(x | c), v(x)): the critic's numbers (N,) for images that should have the attributes `values`, f(x) where
        it is not told, and its numbers (N, K) for each attribute."""
        scores, logits = self.critic(images)
        if self.options.projection:
            scores = scores + sum((2 * values - 1) * logits, 1)
        return self.loss.head(scores), logits

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Translations against real images of their attributes; real images of others against the same; the penalty;
        the classification of real images."""
        options, (real, partner, target) = self.options, (self.batch[name] for name in ("real", "partner", "target"))
        with no_grad():
            fake = self.fake(real, target, self.batch["source"], self.random["latent_d"])
        (d_real, logits), (d_fake, _) = self.judged(partner, target), self.judged(fake, target)
        d_loss = objective = self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": d_loss, **self.loss.figures(d_real, d_fake)}
        if options.projection and options.mismatch_weight:
            figures["mismatch"] = self.loss.discriminator(d_real, self.judged(real, target)[0])
            objective = objective + options.mismatch_weight * figures["mismatch"]
        if options.class_weight:
            figures["class_loss"] = self._class_loss(logits, target)
            objective = objective + options.class_weight * figures["class_loss"]
        return self.with_penalty(objective, figures, lambda x: self.judged(x, target)[0], partner, fake)

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The translator's adversarial and change losses, and those of the classes and of the way back where they have
        a weight."""
        options, (real, source, target) = self.options, (self.batch[name] for name in ("real", "source", "target"))
        fake = self.fake(real, target, source, self.random["latent_g"])
        d_fake, logits = self.judged(fake, target)
        with no_grad():
            d_real, _ = self.judged(self.batch["partner"], target)
        figures = {"g_loss": self.loss.generator(d_fake, d_real), "change": l1_loss(fake, real)}
        objective = figures["g_loss"] + options.change_weight * figures["change"]
        if options.class_weight:
            figures["fake_class_loss"] = self._class_loss(logits, target)
            objective = objective + options.class_weight * figures["fake_class_loss"]
        if options.cycle_weight:
            figures["reconstruction"] = l1_loss(self.fake(fake, source, target, self.random["latent_g"]), real)
            objective = objective + options.cycle_weight * figures["reconstruction"]
        return objective, figures

    def _class_loss(self, logits: Tensor, values: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logits, values) * logits.shape[1]

    def translate(self, images: np.ndarray, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Images (N, C, S, S) of the attributes `before` with `values` (N, K) in their place, 0 or 1, in the order of
        `columns`, in [-1, 1], by the averaged translator; the n-th image by the same noise every time."""
        condition = np.asarray(values - before if self.options.relative else values, np.float32)
        if self.options.latent:
            noise = randn(len(images), self.options.latent, generator=Generator(self.options.seed, PREVIEW_STREAM))
            condition = np.concatenate([condition, host(noise.data)], 1)
        translations = translated(self.average.module.eval(), images, condition)
        return few_colours(images, translations) if self.options.colours else translations

    def translate_as(self, images: np.ndarray, to: str | None, settings: dict[str, str]) -> tuple[np.ndarray, str]:
        """(translated images, what was done) for the options of `minigan translate`; attributes that are not set stay
        as the critic sees them in each image. Raises ValueError."""
        names = list(self.columns())
        if to is not None or not settings:
            raise ValueError(f"a run of stargan takes --set ATTRIBUTE=yes or no, not --to; it knows {', '.join(names)}")
        home = next(self.critic.parameters()).device
        with no_grad():
            before = (host(self.critic(Tensor(images).to(home))[1].data) > 0).astype(np.float32)
        values = before.copy()
        for name, value in settings.items():
            if name not in names or value not in NO_YES:
                raise ValueError(f"--set {name}={value}: set one of {', '.join(names)} to yes or no")
            values[:, names.index(name)] = NO_YES.index(value)
        return self.translate(images, values, before), "with " + ", ".join(f"{k} {v}" for k, v in settings.items())

    def preview(self, count: int) -> np.ndarray:
        """Rows of a grid: held-out images, then the same with the first attribute turned over, the second, ...; then
        the next images."""
        width, changes = max(1, int(np.ceil(np.sqrt(count)))), 1 + len(self.columns())
        rows = []
        for start in range(0, count, width * changes):
            group = np.resize(self.dataset.held_out, start + width)[start:]
            real, values = self._held_out(group)
            rows += [real, *(self.translate(real, _flipped(values, k), values) for k in range(changes - 1))]
        return np.concatenate(rows)[:count]

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """For each attribute and value, turned over on held-out images of `split` (at most `count`): how often a
        judge reads the new value and the others as they were, and how much the translations look like real images of
        that value, beside real images and null models. Where one attribute hides another, as a hat does the hair, the
        share kept is low also for a perfect translator."""
        judge, record = attributes.load_for(self.dataset)
        dataset, mine, accuracy = self.yardstick, list(self.columns()), record["held_out_accuracy"]
        rows = evenly_spaced(dataset.held_out, count)
        truth, (images, values) = dataset.attributes[rows], self._held_out(rows)
        yardstick = attribute_edits.Yardstick(judge, dataset, mine, self.options.size)
        figures, lines, errors = {"images": len(rows), "judge": accuracy, "attributes": {}}, [], []
        tables: list[str] = []
        for k, name in enumerate(mine):
            target = _flipped(values, k)
            translations = self.translate(images, target, values)
            errors.append(np.abs(self.translate(translations, values, target) - images).mean())
            sets = {}
            for value, word in enumerate(NO_YES):
                those = target[:, k] == value
                if those.any():
                    seed = self.options.seed
                    sets[word] = yardstick.beside(images[those], translations[those], name, value, truth[those], seed)
                    tables += [f"{name} {word}, asked of {those.sum()} images:", attribute_edits.HEADING]
                    tables += [standing.line(which) for which, standing in sets[word].items()]
            figures["attributes"][name] = row = attribute_edits.summary(sets)
            lines.append(f"{name}: {_told(row)}")
        turned = figures["attributes"]
        figures["reconstruction_l1"] = float(np.mean(errors))
        figures["kept"] = {
            other: min(row["kept"][other] for name, row in turned.items() if name != other)
            for other in self.info.attributes
            if set(turned) != {other}
        }
        shares = [figures["kept"][name] for name in mine if name in figures["kept"]]
        figures |= {
            "least_present": min(row["present"] for row in turned.values()),
            "least_kept": min(shares, default=None),
            "least_precision": min(row["least_precision"] or 0.0 for row in turned.values()),
        }
        lines.insert(
            0,
            f"every attribute turned over in at least {figures['least_present']:.1%} of {len(rows)} held-out images,"
            f" the others of {', '.join(mine)} kept in at least {_share(figures['least_kept'])}, precision among real"
            f" images of the new value at least {figures['least_precision']:.3f}",
        )
        right = ", ".join(f"{name} {share:.1%}" for name, share in accuracy.items())
        lines.append(f"the judge is right on held-out images in: {right}")
        return Observation(figures, lines + tables if details else lines)

    def _held_out(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(images as networks see them, the attributes of `columns`)."""
        values = self.dataset.attributes[rows][:, list(self.columns().values())]
        return prepared(self.dataset, rows, self.options.size), values.astype(np.float32)


def _flipped(values: np.ndarray, k: int) -> np.ndarray:
    target = values.copy()
    target[:, k] = 1 - target[:, k]
    return target


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _told(row: dict) -> str:
    """One attribute's figures for a person."""
    text = (
        f"turned over in {row['present']:.1%} (added {_share(row['added'])}, removed {_share(row['removed'])}); kept: "
        + ", ".join(f"{other} {share:.1%}" for other, share in row["kept"].items())
        + "; "
        + ", ".join(
            f"{what} {row[what]:.{digits}f} (real {row['real'][what]:.{digits}f})"
            for what, digits in (("precision", 3), ("density", 2), ("frechet", 1), ("colours", 1))
            if row[what] is not None
        )
    )
    names = sorted({name for won in row["winners"].values() for name in won})
    return text + (f"; as good without having learnt anything: {', '.join(names)}" if names else "")


PAPER = {
    "colours": 0,
    "latent": 0,
    "relative": False,
    "projection": False,
    "loss": "wasserstein",
    "class_weight": 1.0,
    "cycle_weight": 10.0,
    "change_weight": 0.0,
    "gp_weight": 10.0,
    "penalty": "two-sided",
    "n_critic": 5,
    "lr": 1e-4,
    "beta1": 0.5,
    "beta2": 0.999,
}
"""The options by which `stargan` minimises the paper's objective; its translator has the mask all the same."""

STARGAN = System(
    StarOptions(
        "stargan",
        data="avatars",
        attributes="glasses,hat,long_hair,smile",
        batch_size=32,
        lr=1e-3,
        beta1=0.5,
        beta2=0.99,
        n_critic=1,
        base=16,
        average=0.998,
        size=16,
        steps=8000,
    ),
    "one translator sets several attributes, one critic is told them",
    "Choi et al. 2018",
    StarGAN,
    results=(
        Result(
            "each of four attributes turned over in at least {least_present:.1%}, with precision among real images of"
            " the new value at least {least_precision:.3f}; the other three kept in at least {least_kept:.1%}; of those"
            " not set, skin kept in at least {kept[skin]:.1%} (judge right on real ones in {judge[skin]:.1%}), beard"
            " {kept[beard]:.1%} ({judge[beard]:.1%}), hair, which hats hide, {kept[hair]:.1%} ({judge[hair]:.1%})"
        ),
    ),
)
