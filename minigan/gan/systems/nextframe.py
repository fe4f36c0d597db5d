"""Next-frame prediction (Mathieu et al. 2016): a GAN against the squared error on moving images.

    past      the last two frames of a clip; next: the frame after them            data/moving.py
    G         p = G(past, z), z noise: each pixel of the last frame moved         networks/motion.py
    D minimises the non-saturating loss of D(past, next) against D(past, p)
    G minimises  mean (p - next)^2  +  w  E -ln sigmoid(D(past, p)),     w = adversarial, 0 for the first third of the
    steps

Where an image bounces, its new direction is drawn at random, and the squared error alone (option objective = mse) is
least at the mean of all futures: a blur over every place where it could be. D has never seen a blur, so the adversarial
network picks one future, which z chooses. What it picks is seldom the one that was drawn; it is right if it is one of
those that could have been. `observe` therefore compares with the nearest of all futures (metrics/futures.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...creation import randn, zeros
from ...data.moving import Clip, MovingLoader, clip
from ...functional import mse_loss
from ...ops.index import cat
from ..losses import nearest
from ..metrics import classifier
from ..metrics.classifier import prepared
from ..metrics.futures import NULL_MODELS, bounces, figures
from ..metrics.judging import Observation
from ..metrics.standing import FEW
from ..networks.dcgan import DCGANCritic, glorot_init_
from ..networks.motion import NOISE, Transporter
from ..options import OBJECTIVE, RUN, CommonOptions, option
from ..train import PREVIEW_STREAM, STREAMS, on_device
from ..tricks import spectral_norm_
from .system import Result, System
from .translation import TranslationTrainer, translated

OBJECTIVES = ("adversarial", "mse")
PAST, CLIPS, FRESH = 2, 1000, 1 << 32
"""Frames that are given; clips that `observe` looks at; added to a seed, that of clips no training has seen."""


@dataclass(frozen=True)
class FrameOptions(CommonOptions):
    """The options of `nextframe`."""

    objects: int = option(1, "Images that move over a page.", RUN, 1, 2)
    objective: str = option(
        "adversarial", "What G minimises; mse is the squared error alone.", OBJECTIVE, choices=OBJECTIVES
    )
    adversarial: float = option(0.1, "Weight of the adversarial loss, from a third of the steps on.", OBJECTIVE, 0)

    loss: ClassVar[str] = "non-saturating"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise nearest("objective", self.objective, OBJECTIVES)

    def idle(self) -> dict[str, str]:
        if self.objective == "adversarial":
            return super().idle()
        alone = dict.fromkeys(("n_critic", "n_generator"), "there is no critic")
        return super().idle() | alone | {"adversarial": "the objective is the squared error alone"}


class FrameTrainer(TranslationTrainer):
    """`nextframe`."""

    streams: ClassVar = STREAMS
    usage = "minigan film RUN"

    def load(self) -> MovingLoader:
        """Clips of the training images."""
        options = self.options
        return MovingLoader(
            self.images(self.dataset.train),
            options.batch_size,
            options.seed,
            PAST + 1,
            options.objects,
            self.background,
        )

    @property
    def background(self) -> float:
        """Of the page, in [-1, 1]."""
        return self.info.background / 127.5 - 1

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the data set as they move: (N, C, size / 2, size / 2) in [-1, 1], by the mean of blocks or by
        repeating pixels."""
        own, side = 1 << (max(self.info.shape[:2]) - 1).bit_length(), self.options.size // 2
        x = prepared(self.dataset, rows, max(own, side))
        block = x.shape[2] // side
        n, c = x.shape[:2]
        return x.reshape(n, c, side, block, side, block).mean((3, 5)).astype(np.float32)

    def build(self) -> tuple[nn.Module, nn.Module | None]:
        """(the network that moves pixels, the critic of three frames or None); the buffer of the past."""
        options, channels, random = self.options, self.info.shape[-1], self.random["init"]
        self.batch["past"] = zeros(options.batch_size, PAST * channels, options.size, options.size)
        generator = glorot_init_(Transporter(channels, PAST, options.size, options.base, self.background), random)
        if options.objective == "mse":
            return generator, None
        self.batch["weight"] = zeros(())
        critic = glorot_init_(DCGANCritic((PAST + 1) * channels, options.size, options.base), random)
        return generator, spectral_norm_(critic, random)

    def anneal(self) -> None:
        """The falling rate; the adversarial loss joins when the network knows how images move."""
        super().anneal()
        if self.critic is not None:
            joined = 3 * self.steps_done >= self.options.steps
            self.batch["weight"].assign(np.full((), self.options.adversarial * joined, np.float32))

    def feed(self) -> None:
        frames = next(self.loader).frames
        self.batch["past"].assign(stacked(frames[:, :PAST]))
        self.batch["real"].assign(frames[:, PAST])

    def predicted(self, stream: str) -> Tensor:
        """The next frame of the batch."""
        noise = randn(self.options.batch_size, NOISE, generator=self.random[stream], dtype=self.dtype)
        return self.generator(self.batch["past"], noise)

    def judged(self, frame: Tensor) -> Tensor:
        """What the critic says (N,) of a frame after the past of the batch."""
        return self.critic(cat([self.batch["past"], frame], 1))

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        with no_grad():
            fake = self.predicted("latent_d")
        d_real, d_fake = self.judged(self.batch["real"]), self.judged(fake)
        objective = self.loss.discriminator(d_real, d_fake)
        return objective, {"d_loss": objective, **self.loss.figures(d_real, d_fake)}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        fake = self.predicted("latent_g")
        error = mse_loss(fake, self.batch["real"])
        if self.critic is None:
            return error, {"g_loss": error}
        adversarial = self.loss.generator(self.judged(fake))
        objective = error + self.batch["weight"] * adversarial
        return objective, {"g_loss": objective, "pixels": error, "adversarial": adversarial}

    def formulas(self) -> dict[str, str]:
        if self.critic is None:
            return {"g_loss": "mean (G(past, z) - next)²"}
        return super().formulas() | {"g_loss": "mean (G(past, z) - next)² + w E -ln D(past, G(past, z))"}

    # What it shows.

    @on_device
    def predict(self, past: np.ndarray, random: Generator) -> np.ndarray:
        """The next frames (N, C, S, S) of past ones (N, 2, C, S, S), oldest first, by the averaged network."""
        noise = host(random.normal((len(past), NOISE))).astype(self.dtype)
        return translated(self.average.module, stacked(past).astype(self.dtype), noise)

    def clips(self, rows: np.ndarray, count: int, frames: int = PAST + 1, step: int = 0) -> tuple[np.ndarray, Clip]:
        """(the moving images, `count` clips of rows of the data set), whose motion no training has seen."""
        images, options = self.images(rows), self.options
        seed = (options.seed + FRESH) % 2**64
        return images, clip(images, count, frames, seed, step, options.objects, self.background)

    def preview(self, count: int) -> np.ndarray:
        """Columns in turn: the two frames that are given, the true next, the predicted one; of held-out images, the
        first half of the rows at a bounce, where there are enough."""
        rows = max(1, count // 4)
        _, clips = self.clips(self.yardstick.held_out, 8 * rows)
        order = np.argsort(~bounces(clips, PAST, self.options.size // 2), kind="stable")
        chosen = np.concatenate([order[: rows - rows // 2], order[len(order) - rows // 2 :]])
        frames = clips.frames[chosen]
        next_ = self.predict(frames[:, :PAST], Generator(self.options.seed, PREVIEW_STREAM))
        return np.concatenate([frames, next_[:, None]], 1).reshape(-1, *next_.shape[1:])

    def film(self, count: int, frames: int, random: Generator) -> tuple[np.ndarray, np.ndarray]:
        """(true clips, the network's own) of held-out images, (count, frames, C, S, S) both: it is given the first two
        frames, and then its own predictions."""
        _, clips = self.clips(self.yardstick.held_out, count, frames, step=1)
        own = list(clips.frames[:, :PAST].swapaxes(0, 1))
        while len(own) < frames:
            own.append(self.predict(np.stack(own[-PAST:], 1), random))
        return clips.frames, np.stack(own, 1)

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """Predictions for clips of held-out images of `split` beside the null models: where the future is certain, and
        where it is not."""
        rows = self.yardstick.held_out
        images, clips = self.clips(rows, min(count, CLIPS))
        past, room, named = clips.frames[:, :PAST], self.options.size // 2, self._named(rows)
        sets = {"network": self.predict(past, random)}
        sets |= {name: model(past, self.background) for name, model in NULL_MODELS.items()}
        if named is not None:
            sets["real"] = clips.frames[:, PAST]
        uncertain = bounces(clips, PAST, room)
        table: dict[str, dict[str, dict]] = {}
        for part, mask in (("all", np.ones_like(uncertain)), ("certain", ~uncertain), ("bounce", uncertain)):
            if mask.any():
                some = Clip(clips.frames[mask], clips.index[mask], clips.places[mask], clips.velocities[mask])
                table[part] = {k: figures(x[mask], images, some, PAST, self.background, named) for k, x in sets.items()}
        at = table.get("bounce", table["all"])
        judged = at["network"]["clips"]
        winners = None if judged < FEW else [name for name in NULL_MODELS if _as_good(at[name], at["network"])]
        lines = [
            f"{part}, {t['network']['clips']} clips, {k}: {_line(r)}" for part, t in table.items() for k, r in t.items()
        ]
        if details and winners is None:
            lines.append(f"{judged} clips at a bounce are too few for a verdict: take {FEW} or more of them")
        elif details:
            lines.append(f"red: no better than {', '.join(winners)}" if winners else "better than every null model")
        return Observation({**table, "winners": winners}, lines)

    def _named(self, rows: np.ndarray):
        """crops, index -> the share that the judge names rightly; None where there is no judge of classes."""
        if not self.info.class_names:
            return None
        try:
            model = classifier.load(self.options.data)[0]
        except ValueError:
            return None
        labels = self.dataset.labels[rows]
        return lambda crops, index: float((classifier.classes(model, crops) == labels[index]).mean())


def stacked(frames: np.ndarray) -> np.ndarray:
    """Frames (N, P, C, S, S) as channels (N, P C, S, S), oldest first."""
    n, p, c, height, width = frames.shape
    return frames.reshape(n, p * c, height, width)


def _as_good(null: dict[str, float], ours: dict[str, float]) -> bool:
    """Whether a null model's bounces are as near to a possible future, by squared error or by place."""
    return null["error"] <= ours["error"] or null["pixels"] <= ours["pixels"]


def _line(row: dict[str, float]) -> str:
    named = "" if "identity" not in row else f", named rightly {row['identity']:.1%}"
    return (
        f"{row['pixels']:.2f} pixels and squared error {row['error']:.4f} from the nearest possible future, gradient"
        f" energy {row['sharpness']:.1%} of its, squared error {row['to_mean']:.4f} from the mean of all{named}"
    )


SHOWN = (
    "at a bounce ({bounce[network][clips]} clips) {bounce[network][pixels]:.2f} pixels ↓ from the nearest possible"
    " future (linear motion {bounce[linear][pixels]:.2f}, last frame {bounce[copy][pixels]:.2f}), squared error ↓"
    " {bounce[network][error]:.4f} ({bounce[linear][error]:.4f}, {bounce[copy][error]:.4f}, smeared"
    " {bounce[smear][error]:.4f}), gradient energy → 100%"
    " {bounce[network][sharpness]:.1%}, named rightly ↑ {bounce[network][identity]:.1%} (real"
    " {bounce[real][identity]:.1%}); squared error from the mean of all futures {bounce[network][to_mean]:.4f}; where"
    " the future is certain {certain[network][pixels]:.2f} pixels (linear motion {certain[linear][pixels]:.2f}, last"
    " frame {certain[copy][pixels]:.2f}), gradient energy {certain[network][sharpness]:.1%}"
)
NEXTFRAME = System(
    FrameOptions(
        "nextframe",
        base=16,
        batch_size=32,
        lr=1e-3,
        beta1=0.5,
        beta2=0.999,
        n_critic=1,
        steps=2400,
        average=0.995,
    ),
    "the next frame of moving images: one of the possible ones, where the squared error draws their mean",
    "Mathieu et al. 2016; moved pixels: Vondrick & Torralba 2017",
    FrameTrainer,
    results=(Result(SHOWN), Result(SHOWN, {"objective": "mse"})),
)
