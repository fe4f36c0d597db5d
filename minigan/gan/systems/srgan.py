"""Super-resolution (Ledig et al. 2017): a small image enlarged by what is likely, not by the mean of what is possible.

    small   y = the mean of each scale x scale block of x                          size -> size / scale
    G       x~ = G(y), fully convolutional, pixel shuffle                          networks/upscaler.py
    D minimises the non-saturating loss of D(x) against D(x~)
    G minimises  mean (x~ - x)^2  +  content  mean (phi(x~) - phi(x))^2  +  adversarial  E -ln sigmoid(D(x~))
                 (the paper's eq. 3 to 6; its content loss is on VGG's features)

phi are the first two convolutions of minigan's own classifier of the data set (metrics/classifier.py), which the game
does not train. They stand among the run's tensors, so that a resumed run compares by the same features.

The squared error alone (option objective = mse) is least at the mean of all x that y can be of, a blur: it has the best
PSNR that there is. Detail has to be guessed, and a guess is never right in every pixel: the adversarial network pays in
PSNR for looking like an image (Blau & Michaeli 2018). `observe` shows both sides beside what has learnt nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...creation import zeros
from ...data import Dataset, evenly_spaced, to_uint8, to_unit
from ...data.picture import Picture
from ...functional import avg_pool2d, conv2d, leaky_relu, mse_loss
from ..losses import nearest
from ..metrics import attributes, classifier
from ..metrics.classifier import prepared
from ..metrics.judging import Observation
from ..metrics.realism import realistic
from ..metrics.restoration import KERNELS, enlarged, figures
from ..networks.dcgan import DCGANCritic, dcgan_init_
from ..networks.upscaler import Upscaler, doublings_of, upscaler_init_
from ..options import NETWORKS, OBJECTIVE, RUN, CommonOptions, option
from ..train import on_device
from .system import Result, System
from .translation import TranslationTrainer, translated

OBJECTIVES = ("perceptual", "mse")
FEATURES = ((16, 0), (32, 2))
"""Channels of the features, and the number of their convolution in the classifier."""
TILE = 64
"""Small pixels along a tile's side, when an image of any size is enlarged."""


@dataclass(frozen=True)
class UpscaleOptions(CommonOptions):
    """The options of `srgan`."""

    scale: int = option(4, "From small to large, a power of two: size 32 from 8, size 64 from 16.", RUN, 2, 64)
    objective: str = option(
        "perceptual", "What G minimises; mse is the squared error alone.", OBJECTIVE, choices=OBJECTIVES
    )
    content: float = option(1.0, "Weight of the content loss on a classifier's features; 0 for none.", OBJECTIVE, 0)
    adversarial: float = option(0.05, "Weight of the adversarial loss; 0 for no critic.", OBJECTIVE, 0)
    blocks: int = option(4, "Residual blocks of the generator.", NETWORKS, 0, 100)

    loss: ClassVar[str] = "non-saturating"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise nearest("objective", self.objective, OBJECTIVES)
        doublings_of(self.scale, "srgan")
        if self.size % self.scale or self.size // self.scale < 2:
            raise ValueError(
                f"srgan: images of size {self.size} are {self.size / self.scale:g} pixels wide at scale {self.scale};"
                " take a smaller --scale or a larger --size"
            )

    @property
    def critic(self) -> bool:
        """Whether there is one."""
        return self.objective == "perceptual" and self.adversarial > 0

    def idle(self) -> dict[str, str]:
        reasons = {} if self.critic else dict.fromkeys(("n_critic", "n_generator"), "there is no critic")
        if self.objective == "mse":
            reasons |= dict.fromkeys(("content", "adversarial"), "the objective is the squared error alone")
        return super().idle() | reasons


class UpscaleTrainer(TranslationTrainer):
    """`srgan`."""

    streams: ClassVar = {"init": 1}
    usage = "minigan upscale RUN IMAGE"

    def build(self) -> tuple[nn.Module, nn.Module | None]:
        """(the network that enlarges, the critic or None); the features of the content loss among the memory."""
        options, channels, random = self.options, self.info.shape[-1], self.random["init"]
        own = 1 << (max(self.info.shape[:2]) - 1).bit_length()
        if options.size // options.scale >= own:
            raise ValueError(
                f"srgan: the images of {self.info.name!r} are no larger than {own} pixels, so that at size"
                f" {options.size} and scale {options.scale} nothing is lost that could come back; take --size {own}"
            )
        if options.objective == "perceptual" and options.content:
            self.memory |= self._features(channels)
        generator = upscaler_init_(Upscaler(channels, options.scale, options.base, options.blocks), random)
        if not options.critic:
            return generator, None
        return generator, dcgan_init_(DCGANCritic(channels, options.size, options.base, norm=True), random)

    def _features(self, channels: int) -> dict[str, Tensor]:
        """Weight and bias of each convolution of the features: a judge's, which saw real images only. Raises ValueError
        where there is none."""
        table, width = {}, channels
        judge = self.judge() if isinstance(self.dataset, Dataset) else None  # else a checkpoint brings them
        for k, (count, place) in enumerate(FEATURES):
            table[f"weight_{k}"], table[f"bias_{k}"] = zeros(count, width, 4, 4), zeros(count)
            if judge is not None:
                table[f"weight_{k}"].assign(host(judge.conv[place].weight.data))
                table[f"bias_{k}"].assign(host(judge.conv[place].bias.data))
            width = count
        return table

    def judge(self) -> nn.Module:
        """The judge of the data set's classes, or of its attributes. Raises ValueError where there is none."""
        try:
            if self.info.attributes and not self.info.class_names:
                return attributes.load_for(self.dataset)[0]
            return classifier.load(self.options.data)[0]
        except ValueError as error:
            raise ValueError(f"srgan: {error}; --content 0 leaves the content loss out") from error

    def features(self, x: Tensor) -> list[Tensor]:
        """phi(x): (N, 16, S / 2, S / 2) and (N, 32, S / 4, S / 4)."""
        layers = []
        for k in range(len(FEATURES)):
            x = leaky_relu(conv2d(x, self.memory[f"weight_{k}"], self.memory[f"bias_{k}"], 2, 1), 0.1)
            layers.append(x)
        return layers

    def small(self, x: Tensor) -> Tensor:
        """Images (N, C, S, S) as the network is given them: (N, C, S / scale, S / scale), the mean of each block."""
        return avg_pool2d(x, self.options.scale)

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        real = self.batch["real"]
        with no_grad():
            fake = self.generator(self.small(real))
        d_real, d_fake = self.critic(real), self.critic(fake)
        objective = self.loss.discriminator(d_real, d_fake)
        return objective, {"d_loss": objective, **self.loss.figures(d_real, d_fake)}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The squared error, the content loss on frozen features and the adversarial loss, of the batch that the critic
        was shown."""
        options, real = self.options, self.batch["real"]
        with no_grad():
            small = self.small(real)
        fake = self.generator(small)
        objective = mse_loss(fake, real)
        if options.objective == "mse":
            return objective, {"g_loss": objective}
        figures = {"pixels": objective}
        if options.content:
            with no_grad():
                target = self.features(real)
            first, *deeper = (mse_loss(a, b) for a, b in zip(self.features(fake), target, strict=True))
            for value in deeper:
                first = first + value
            figures["content"] = first / len(FEATURES)
            objective = objective + options.content * figures["content"]
        if options.critic:
            figures["adversarial"] = self.loss.generator(self.critic(fake))
            objective = objective + options.adversarial * figures["adversarial"]
        return objective, {"g_loss": objective, **figures}

    def formulas(self) -> dict[str, str]:
        terms = ["mean (G(y) - x)²"]
        if self.options.objective == "perceptual":
            terms += ["content mean (φ(G(y)) - φ(x))²"] * bool(self.options.content)
            terms += ["adversarial E -ln D(G(y))"] * self.options.critic
        return {"g_loss": " + ".join(terms)} | ({"d_loss": super().formulas()["d_loss"]} if self.options.critic else {})

    # What it shows.

    @on_device
    def upscale(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, h, w) in [-1, 1], of any size, `scale` times as large: by the averaged network, a tile at a
        time, each with as much around it as its pixels depend on, so that no seam is left."""
        network, scale = self.average.module, self.options.scale
        n, c, height, width = images.shape
        large, margin = np.empty((n, c, scale * height, scale * width), np.float32), network.reach
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                y, x = max(top - margin, 0), max(left - margin, 0)
                part = translated(
                    network, images[:, :, y : top + TILE + margin, x : left + TILE + margin].astype(self.dtype)
                )
                rows, columns = min(TILE, height - top), min(TILE, width - left)
                part = part[:, :, scale * (top - y) :, scale * (left - x) :][:, :, : scale * rows, : scale * columns]
                large[:, :, scale * top : scale * (top + rows), scale * left : scale * (left + columns)] = part
        return large

    def pairs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(small images, true large ones) of rows of the data set."""
        true = prepared(self.dataset, rows, self.options.size)
        n, c, side, _ = true.shape
        block = self.options.scale
        return true.reshape(n, c, side // block, block, side // block, block).mean((3, 5)).astype(np.float32), true

    def preview(self, count: int) -> np.ndarray:
        """Columns in turn: nearest, bicubic, the network, the true image; of held-out images."""
        small, true = self.pairs(self.yardstick.held_out[: max(1, count // 4)])
        columns = [*(enlarged(small, self.options.scale, k) for k in ("nearest", "bicubic")), self.upscale(small), true]
        return np.stack(columns, 1).reshape(-1, *true.shape[1:])

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """Held-out images of `split`, at most `count`, made small and large again: distances to the true ones and
        looks, beside the null models; with a judge's precision, and how often it sees the true image's class, if
        `details`."""
        rows = evenly_spaced(self.yardstick.held_out, count)
        small, true = self.pairs(rows)
        sets = {"network": self.upscale(small), **{k: enlarged(small, self.options.scale, k) for k in KERNELS}}
        table = {name: figures(images, true) for name, images in sets.items()}
        real = self._judged(table, sets, rows) if details and self.info.class_names else {}
        ours = table.pop("network")
        winners = [
            k
            for k, row in table.items()
            if row["psnr"] >= ours["psnr"] or row["ssim"] >= ours["ssim"] or row["spectral"] <= ours["spectral"]
        ]
        lines = [
            f"{len(rows)} held-out images, {small.shape[3]} -> {true.shape[3]} pixels: {_line(ours)}",
            *(f"{name}: {_line(row)}" for name, row in table.items()),
        ]
        if details:
            lines.append(f"red: no better than {', '.join(winners)}" if winners else "better than every null model")
        return Observation({"images": len(rows), **ours, "real": real, "null_models": table, "winners": winners}, lines)

    def _judged(self, table: dict[str, dict], sets: dict[str, np.ndarray], rows: np.ndarray) -> dict:
        """Adds precision, and the share that is named as the true image is labelled, to the table; those of the true
        images themselves. Nothing where there is no judge, or where images are too few for a share."""
        try:
            model = classifier.load(self.options.data)[0]
            shares = realistic(sets, model, self.yardstick)
        except ValueError:
            return {}
        labels = self.dataset.labels[rows]
        for name, images in sets.items():
            table[name]["precision"] = shares[name]
            table[name]["agreement"] = float((classifier.classes(model, images.astype(np.float32)) == labels).mean())
        right = float((classifier.classes(model, prepared(self.dataset, rows)) == labels).mean())
        return {"precision": shares["held_out"], "agreement": right}


def enlarged_picture(trainer: UpscaleTrainer, picture: Picture) -> Picture:
    """A picture of any size, `scale` times as large. A network of grey images takes each colour by itself, one of
    colours takes grey as three equal ones; transparency is enlarged by bicubic interpolation."""
    x = to_unit(picture.colours[None])
    grey, colours = trainer.info.shape[-1] == 1, x.shape[1]
    if grey:
        large = trainer.upscale(x.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3)
    else:
        large = trainer.upscale(x if colours == 3 else x.repeat(3, 1))
        large = large if colours == 3 else large.mean(1, keepdims=True)
    alpha = picture.alpha
    if alpha is not None:
        alpha = to_uint8(enlarged(to_unit(alpha[None, ..., None]), trainer.options.scale, "bicubic"))[0, ..., 0]
    return Picture(to_uint8(large)[0], alpha)


def _line(row: dict[str, float]) -> str:
    judged = "" if "precision" not in row else f", precision {row['precision']:.1%}, right class {row['agreement']:.1%}"
    return (
        f"PSNR {row['psnr']:.2f} dB, SSIM {row['ssim']:.3f}; gradient energy {row['sharpness']:.1%} of the true"
        f" images', spectrum {row['spectral']:.2f} dB away{judged}"
    )


SHOWN = (
    "PSNR ↑ {psnr:.2f} dB (bicubic {null_models[bicubic][psnr]:.2f}, Lanczos {null_models[lanczos][psnr]:.2f}, nearest"
    " {null_models[nearest][psnr]:.2f}), SSIM ↑ {ssim:.3f} ({null_models[bicubic][ssim]:.3f},"
    " {null_models[lanczos][ssim]:.3f}, {null_models[nearest][ssim]:.3f}); gradient energy → 100% {sharpness:.1%}"
    " ({null_models[bicubic][sharpness]:.1%}), spectrum ↓ {spectral:.2f} dB ({null_models[bicubic][spectral]:.2f},"
    " {null_models[lanczos][spectral]:.2f}, {null_models[nearest][spectral]:.2f}); precision ↑ {precision:.1%} (real"
    " {real[precision]:.1%}, bicubic {null_models[bicubic][precision]:.1%}), named rightly ↑ {agreement:.1%} (real"
    " {real[agreement]:.1%}, bicubic {null_models[bicubic][agreement]:.1%})"
)
SRGAN = System(
    UpscaleOptions(
        "srgan",
        base=24,
        batch_size=32,
        lr=1e-3,
        beta1=0.5,
        beta2=0.999,
        n_critic=1,
        steps=1500,
        average=0.995,
    ),
    "a small image enlarged by what is likely: pixels, features of a classifier, and a critic",
    "Ledig et al. 2017; pixel shuffle: Shi et al. 2016",
    UpscaleTrainer,
    results=(Result(SHOWN), Result(SHOWN, {"objective": "mse"})),
)
