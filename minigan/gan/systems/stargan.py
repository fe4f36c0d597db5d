"""StarGAN (Choi et al. 2018): one translator that sets several attributes of an image, one critic that also names them.

    x a real image, c its attributes, c' those of another image of the batch; f critic, p its class head, G translator
    critic:      E f(G(x, c')) - E f(x) + lambda_gp (||grad f|| - 1)^2
                 + lambda_cls (BCE(p(x), c) + mu BCE(p(G(x, c')), c))                                   (eq. 5, 8, 2)
    translator:  -E f(G(x, c')) + lambda_cls BCE(p(G(x, c')), c') + lambda_rec |G(G(x, c'), c) - x|_1   (eq. 6, 3, 4)
                 + lambda_change |G(x, c') - x|_1

BCE is summed over the attributes, |.|_1 is the mean over pixels, c and c' reach G as constant planes and through its
norms. The learning rate falls to zero over the second half (section 4).

The term with mu is not in the paper; mu = 0 leaves it out. In it the class head also learns to find out what a
translation was made of (the discriminative classifier of Hou et al. 2022). Without it, at this size, the translator
learns to paint what the head takes for a hat and nobody else does: the head is satisfied and the judge sees no hat.

Nor are the term with lambda_change (Shen & Liu 2017) and the mask by which the translator says how much of each
pixel it changes (Pumarola et al. 2018). A face may turn pale there and dark again on the way back, at no cost: without
the two, skin was kept in 65 to 75 % of faces.

The observable: one attribute of each held-out image is turned over; a judge of its own (metrics/attributes.py), trained
on real images only, says how often the new value is there and the others are what they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...creation import zeros
from ...data import Loader
from ...functional import binary_cross_entropy_with_logits, l1_loss
from ..metrics import attributes
from ..metrics.classifier import SIZE, prepared, shrunk
from ..metrics.judging import Observation
from ..networks.translators import AttributeCritic, Translator, init_
from ..options import NETWORKS, OBJECTIVE, RUN, CommonOptions, option
from ..penalties import PENALTIES, penalty
from .system import Result, System
from .translation import TranslationTrainer, translated

NO_YES = ("no", "yes")


@dataclass(frozen=True)
class StarOptions(CommonOptions):
    """The options of `stargan`."""

    attributes: str = option("", "Attributes to set, parted by commas: yes/no ones of the data set.", RUN)
    blocks: int = option(4, "Residual blocks of the translator.", NETWORKS, 0, 100)
    class_weight: float = option(1.0, "Weight lambda_cls of the critic's classification.", OBJECTIVE, 0)
    source_weight: float = option(
        1.0, "Weight mu of finding out what a translation was made of, in class weights.", OBJECTIVE, 0
    )
    cycle_weight: float = option(10.0, "Weight lambda_rec of the error of going there and back.", OBJECTIVE, 0)
    change_weight: float = option(
        0.0, "Weight lambda_change of what an image is changed by, as the mean over its pixels.", OBJECTIVE, 0
    )
    gp_weight: float = option(10.0, "Weight lambda_gp of the gradient penalty; 0 for none.", OBJECTIVE, 0)
    penalty: str = option("two-sided", "Which slope the gradient penalty pulls at.", OBJECTIVE, choices=PENALTIES)

    loss: ClassVar[str] = "wasserstein"

    def __post_init__(self) -> None:
        super().__post_init__()
        penalty(self.penalty)

    def idle(self) -> dict[str, str]:
        return {} if self.gp_weight else {"penalty": "gp_weight is 0"}


class StarGAN(TranslationTrainer):
    """`stargan`."""

    streams: ClassVar = {"init": 1, "eps": 4, "target": 8}
    usage = "RUN IMAGE... --set attribute=value"

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

    def build(self) -> tuple[Translator, AttributeCritic]:
        """(translator, critic); the buffers of the attributes."""
        options, channels, count = self.options, self.info.shape[-1], len(self.columns())
        for name in ("source", "target"):
            self.batch[name] = zeros(options.batch_size, count)
        halvings = 2 if options.size >= 32 else 1
        translator = Translator(channels, options.size, options.base, options.blocks, halvings, count, mask=True)
        critic = AttributeCritic(count, channels, options.size, 2 * options.base, halvings + 1)
        return tuple(init_(network, self.random["init"]) for network in (translator, critic))

    def feed(self) -> None:
        """The next images, their attributes, and those of others of the batch; the translator learns from the images
        of the last critic step."""
        images, values = next(self.loader)
        has = values[:, list(self.columns().values())].astype(np.float32)
        order = host(self.random["target"].permutation(len(has)))
        for name, array in {"real": images, "source": has, "target": has[order]}.items():
            self.batch[name].assign(array)

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Wasserstein with the gradient penalty, and the classification of real images."""
        options, real = self.options, self.batch["real"]
        with no_grad():
            fake = self.generator(real, self.batch["target"])
        (d_real, logits), (d_fake, fake_logits) = self.critic(real), self.critic(fake)
        d_loss = self.loss.discriminator(d_real, d_fake)
        class_loss = self._class_loss(logits, self.batch["source"])
        figures = {"d_loss": d_loss, **self.loss.figures(d_real, d_fake), "class_loss": class_loss}
        objective = d_loss + options.class_weight * class_loss
        if options.source_weight:
            source_loss = self._class_loss(fake_logits, self.batch["source"])
            objective = objective + options.class_weight * options.source_weight * source_loss
            figures["source_loss"] = source_loss
        return self.with_penalty(objective, figures, lambda x: self.critic(x)[0], real, fake)

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The translator's adversarial, class, reconstruction and change losses."""
        options, real = self.options, self.batch["real"]
        fake = self.generator(real, self.batch["target"])
        scores, logits = self.critic(fake)
        g_loss, class_loss = self.loss.generator(scores), self._class_loss(logits, self.batch["target"])
        back = l1_loss(self.generator(fake, self.batch["source"]), real)
        change = l1_loss(fake, real)
        objective = g_loss + options.class_weight * class_loss + options.cycle_weight * back
        objective = objective + options.change_weight * change
        return objective, {"g_loss": g_loss, "fake_class_loss": class_loss, "reconstruction": back, "change": change}

    def _class_loss(self, logits: Tensor, values: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logits, values) * logits.shape[1]

    def translate(self, images: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Images (N, C, S, S) with the attributes `values` (N, K) of 0 and 1, in the order of `columns`, in [-1, 1], by
        the averaged translator."""
        return translated(self.average.module, images, np.asarray(values, np.float32))

    def translate_as(self, images: np.ndarray, to: str | None, settings: dict[str, str]) -> tuple[np.ndarray, str]:
        """(translated images, what was done) for the options of `minigan translate`; attributes that are not set stay
        as the critic sees them in each image. Raises ValueError."""
        names = list(self.columns())
        if to is not None or not settings:
            raise ValueError(f"a run of stargan takes --set ATTRIBUTE=yes or no, not --to; it knows {', '.join(names)}")
        home = next(self.critic.parameters()).device
        with no_grad():
            values = (host(self.critic(Tensor(images).to(home))[1].data) > 0).astype(np.float32)
        for name, value in settings.items():
            if name not in names or value not in NO_YES:
                raise ValueError(f"--set {name}={value}: set one of {', '.join(names)} to yes or no")
            values[:, names.index(name)] = NO_YES.index(value)
        return self.translate(images, values), "with " + ", ".join(f"{k} {v}" for k, v in settings.items())

    def preview(self, count: int) -> np.ndarray:
        """Rows of a grid: held-out images, then the same with the first attribute turned over, the second, ...; then
        the next images."""
        width, changes = max(1, int(np.ceil(np.sqrt(count)))), 1 + len(self.columns())
        rows = []
        for start in range(0, count, width * changes):
            group = np.resize(self.dataset.held_out, start + width)[start:]
            real, values = self._held_out(group)
            rows += [real, *(self.translate(real, _flipped(values, k)) for k in range(changes - 1))]
        return np.concatenate(rows)[:count]

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """For each attribute, turned over on held-out images (at most `count`): the share where the judge finds the new
        value, and the share of each other attribute of the set that it finds as it was. Where one hides another, as a
        hat does the hair, that share is low also for a perfect translator."""
        judge, record = attributes.load_for(self.dataset)
        rows, accuracy = self.dataset.held_out[:count], record["held_out_accuracy"]
        truth = self.dataset.attributes[rows]
        real, values = self._held_out(rows)
        figures, lines, errors = {"images": len(rows), "judge": accuracy, "attributes": {}}, [], []
        for k, (name, column) in enumerate(self.columns().items()):
            target = _flipped(values, k)
            translations = self.translate(real, target)
            errors.append(np.abs(self.translate(translations, values) - real).mean())
            labels = attributes.judge(judge, _at_judge(translations), self.dataset)
            right, on = labels[:, column] == target[:, k], target[:, k] == 1
            others = {
                other: float((labels[:, j] == truth[:, j]).mean())
                for j, other in enumerate(self.info.attributes)
                if j != column
            }
            shares = {
                "present": float(right.mean()),
                "added": float(right[on].mean()) if on.any() else None,
                "removed": float(right[~on].mean()) if not on.all() else None,
                "kept": others,
            }
            figures["attributes"][name] = shares
            text = ", ".join(f"{other} {share:.1%}" for other, share in others.items())
            lines.append(
                f"{name}: turned over in {shares['present']:.1%} (added {_share(shares['added'])}, removed"
                f" {_share(shares['removed'])}); kept: {text}"
            )
        figures["reconstruction_l1"] = float(np.mean(errors))
        turned = figures["attributes"]
        least = min(row["present"] for row in turned.values())
        figures["kept"] = {
            other: min(row["kept"][other] for name, row in turned.items() if name != other)
            for other in self.info.attributes
            if set(turned) != {other}
        }
        mine = [figures["kept"][name] for name in self.columns() if name in figures["kept"]]
        figures |= {"least_present": least, "least_kept": min(mine, default=None)}
        lines.insert(
            0,
            f"every attribute turned over in at least {least:.1%} of {len(rows)} held-out images, the others of"
            f" {', '.join(self.columns())} kept in at least {_share(figures['least_kept'])}; reconstruction L1"
            f" {figures['reconstruction_l1']:.4f}",
        )
        right = ", ".join(f"{name} {share:.1%}" for name, share in accuracy.items())
        lines.append(f"the judge is right on held-out images in: {right}")
        return Observation(figures, lines)

    def _held_out(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(images as networks see them, the attributes of `columns`)."""
        values = self.dataset.attributes[rows][:, list(self.columns().values())]
        return prepared(self.dataset, rows, self.options.size), values.astype(np.float32)


def _flipped(values: np.ndarray, k: int) -> np.ndarray:
    target = values.copy()
    target[:, k] = 1 - target[:, k]
    return target


def _at_judge(images: np.ndarray) -> np.ndarray:
    """Images (N, C, S, S) at the judge's 32 x 32: pixels doubled, or averaged over blocks. Raises ValueError for a size
    that neither divides it nor is a multiple of it."""
    size = images.shape[-1]
    if SIZE % size == 0:
        return images.repeat(SIZE // size, 2).repeat(SIZE // size, 3)
    return shrunk(images)


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


STARGAN = System(
    StarOptions(
        "stargan",
        data="avatars",
        attributes="glasses,hat,long_hair,smile",
        batch_size=16,
        lr=5e-4,
        beta1=0.5,
        beta2=0.999,
        n_critic=2,
        base=16,
        blocks=2,
        class_weight=6.0,
        cycle_weight=10.0,
        change_weight=10.0,
        size=16,
        steps=1500,
    ),
    "one translator sets several attributes, one critic also names them",
    "Choi et al. 2018",
    StarGAN,
    results=(
        Result(
            "each of four attributes turned over in at least {least_present:.1%}, the other three kept in at least"
            " {least_kept:.1%}; of those not set, skin kept in at least {kept[skin]:.1%} (judge right on real ones in"
            " {judge[skin]:.1%}), beard {kept[beard]:.1%} ({judge[beard]:.1%}), hair, which hats hide,"
            " {kept[hair]:.1%} ({judge[hair]:.1%}); reconstruction L1 {reconstruction_l1:.4f}"
        ),
    ),
)
