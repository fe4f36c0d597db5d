"""Text to image: a generator that draws what a caption says, and a critic that reads it, too (Reed et al. 2016).

    x a real image, w a caption of it; x' another image, of which w is wrong; z noise;  F = G(z, w)
    f(x | w) = s(x) + code(w) . v(x)                                        networks/captioned.py

    critic:     E softplus(f(F | w) - f(x | w)) + mu E softplus(f(x' | w) - f(x | w)) + gamma/2 E |grad_x f(x | w)|^2
    generator:  E softplus(f(x | w) - f(F | w))

The matching-aware critic has three kinds of pairs: a real image with its caption, a generated one with that caption,
and a real image with a caption that is wrong (Reed et al. 2016, algorithm 1). Without the third kind nothing tells the
critic that a face without a hat is a bad answer to "red hat": it only learns whether faces look real. The losses are
relativistic, as StarGAN's here are: each answer is set against a real image of the same caption.

Captions say some of what is to be seen, in drawn words and order (data/captions.py). Faces of the combinations that
captions.HELD_OUT names are left out of training. The learning rate falls to zero over the second half of the steps.

The observable: captions are written of held-out images, and the guarded judge of attributes says how many of their
claims the generated images meet, for captions of seen and of unseen combinations (gan/metrics/claims.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...creation import randn, zeros
from ...data import Loader, captions
from ...nn import Module
from ...ops.index import cat
from ..losses import LOSSES, loss
from ..metrics import attributes, claims
from ..metrics.judging import Observation
from ..networks.captioned import ENCODERS, CaptionCritic, CaptionEncoder, CaptionPainter, start_
from ..options import NETWORKS, OBJECTIVE, CommonOptions, option
from ..penalties import PENALTIES, penalty
from ..train import PREVIEW_STREAM, Trainer, on_device
from .system import Result, System

SHOWN = (
    "smiling, red hat, long hair",
    "bald, blue glasses",
    "serious, long blonde hair, dark skin",
    "bearded, short brown hair, black glasses",
    "pink cap, happy, pale skin",
    "blue hair, no glasses, smiling",
    "red glasses, green hair, no smile",
    "smiling, purple hat, glasses",
)
"""What the grids of a run ask for, a row each; the last is of a combination that is held out."""


@dataclass(frozen=True)
class TextOptions(CommonOptions):
    """The options of `text2image`."""

    encoder: str = option("gru", "How a caption is read: in order, or as a bag of words.", NETWORKS, choices=ENCODERS)
    code: int = option(64, "Size of the code of a caption.", NETWORKS, 2, 4096)
    latent: int = option(16, "Size of the latent vector.", NETWORKS, 1, 65_536)
    colours: int = option(16, "Colours that the pixels of an image are mixed of.", NETWORKS, 2, 1000)
    loss: str = option("relativistic", "What both players minimise.", OBJECTIVE, choices=LOSSES)
    mismatch_weight: float = option(
        1.0, "Weight mu of telling real images with a right caption from those with a wrong one.", OBJECTIVE, 0
    )
    gp_weight: float = option(1.0, "Weight of the gradient penalty; 0 for none.", OBJECTIVE, 0)
    penalty: str = option("r1", "Which slope the gradient penalty pulls at.", OBJECTIVE, choices=PENALTIES)

    def __post_init__(self) -> None:
        super().__post_init__()
        loss(self.loss)
        penalty(self.penalty)

    def idle(self) -> dict[str, str]:
        return super().idle() | ({} if self.gp_weight else {"penalty": "gp_weight is 0"})


class TextTrainer(Trainer):
    """`text2image`. Raises ValueError for a data set that has no captions."""

    streams: ClassVar = {"init": 1, "latent_d": 2, "latent_g": 3, "eps": 4, "caption": 8, "partner": 9}
    split = "test"

    def load(self) -> Loader:
        """Batches of the images whose combination of facts is not held out, with their facts."""
        captions.check(self.info)
        dataset, options = self.dataset, self.options
        facts = captions.facts(dataset.images, dataset.attributes, dataset.info)
        rows = dataset.train[captions.unseen(facts[dataset.train]) == captions.UNKNOWN]
        shown = replace(dataset, labels=None, attributes=facts, train=rows)
        return Loader(shown, options.batch_size, options.seed, size=options.size)

    def build(self) -> tuple[Module, Module]:
        """(generator, critic), each with an encoder of its own; the buffers of the captions and the other images."""
        captions.check(self.info)
        options, channels, random = self.options, self.info.shape[-1], self.random["init"]
        self.batch["wrong"] = zeros(*self.batch["real"].shape)
        self.batch["words"] = zeros(options.batch_size, captions.LENGTH)
        of_g, of_d = (CaptionEncoder(len(captions.WORDS), options.code, options.encoder) for _ in range(2))
        generator = CaptionPainter(of_g, options.latent, channels, options.size, options.base, options.colours)
        critic = CaptionCritic(of_d, channels, options.size, 2 * options.base)
        return start_(generator, random), start_(critic, random)

    @property
    def follows_total(self) -> bool:
        return True

    def anneal(self) -> None:
        left = 1 - self.steps_done / max(self.options.steps, 1)
        for optimiser in (self.optim_g, self.optim_d):
            optimiser.param_groups[0]["lr"] = self.options.lr * max(min(1, 2 * left), 0)

    def feed(self) -> None:
        """The next images x with a caption of each, and for each caption another image of the batch that it is wrong
        of."""
        images, facts = next(self.loader)
        texts = self.described(facts, self.random["caption"])
        wrong = wrong_partners(texts, facts, host(self.random["partner"].permutation(len(facts))))
        for name, array in {"real": images, "wrong": images[wrong], "words": captions.numbered(texts)}.items():
            self.batch[name].assign(array)

    def described(self, facts: np.ndarray, random: Generator) -> list[str]:
        """A caption of each row of facts (N, F)."""
        draws = host(random.uniform((len(facts), captions.DRAWS)))
        return [captions.write(*row) for row in zip(facts, draws, strict=True)]

    def inputs(self, count: int, random: Generator) -> Tensor:
        """Latents with the words of captions of imagined faces behind them (count, latent + LENGTH)."""
        facts = captions.imagined(host(random.uniform((count, len(captions.FACTS)))))
        return self.asking(self.described(facts, random), random)

    def asking(self, texts: Sequence[str], random: Generator) -> Tensor:
        """What the generator takes for captions: latents from `random` with the words behind them."""
        words = zeros(len(texts), captions.LENGTH, dtype=self.dtype).assign(captions.numbered(texts))
        return cat([randn(len(texts), self.options.latent, generator=random, dtype=self.dtype), words], 1)

    @on_device
    def draw_captions(self, texts: Sequence[str], random: Generator) -> np.ndarray:
        """An image (C, S, S) for each caption, by latents from `random`."""
        return self.sample(self.asking(texts, random))

    def fake(self, stream: str) -> Tensor:
        """Images for the captions of the batch."""
        options, words = self.options, self.batch["words"]
        z = randn(options.batch_size, options.latent, generator=self.random[stream], dtype=self.dtype)
        return self.generator(cat([z, words], 1))

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Generated images against real ones of their caption, real images of other captions against the same, and the
        penalty."""
        options, (real, wrong) = self.options, (self.batch[name] for name in ("real", "wrong"))
        with no_grad():
            fake = self.fake("latent_d")
        code = self.critic.encoder(self.batch["words"])
        d_real, d_fake, d_wrong = (self.loss.head(self.critic.matched(x, code)) for x in (real, fake, wrong))
        d_loss = objective = self.loss.discriminator(d_real, d_fake)
        figures = {"d_loss": d_loss, **self.loss.figures(d_real, d_fake)}
        if options.mismatch_weight:
            figures["mismatch"] = self.loss.discriminator(d_real, d_wrong)
            objective = objective + options.mismatch_weight * figures["mismatch"]
        return self.with_penalty(objective, figures, lambda x: self.critic.matched(x, code), real, fake)

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        with no_grad():
            code = self.critic.encoder(self.batch["words"])
        objective = self.adversarial(
            self.critic.matched(self.fake("latent_g"), code), lambda x: self.critic.matched(x, code)
        )
        return objective, {"g_loss": objective}

    def preview(self, count: int) -> np.ndarray:
        """Rows of a grid, a caption each, of latents that are the same for all rows."""
        width = max(1, int(np.ceil(np.sqrt(count))))
        texts = [SHOWN[k // width % len(SHOWN)] for k in range(count)]
        inputs = host(self.asking(texts, Generator(self.options.seed, PREVIEW_STREAM)).data)
        inputs[:, : self.options.latent] = np.resize(
            inputs[:width, : self.options.latent], (count, self.options.latent)
        )
        return self.sample(Tensor(inputs))

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """How many claims of captions of held-out images the samples meet by the judge, and whether they look real, for
        captions of seen and of unseen combinations, beside real images and null models. Raises ValueError where there
        is no judge, where no held-out image is of an unseen combination, and for fewer than 10 samples."""
        if count < 10:
            raise ValueError(f"{count} samples are too few to judge: take 10 or more")
        model, record = attributes.load_for(self.dataset)
        yardstick = claims.Yardstick(model, self.yardstick, self.options.size)
        tables, lines = {}, []
        for kind, most in (("seen", claims.SEEN), ("unseen", claims.UNSEEN)):
            number = min(count, most)
            asked = yardstick.asked(number, host(random.uniform((number, captions.DRAWS))), kind == "unseen")
            draw = partial(self.draw_captions, random=random)
            tables[kind] = yardstick.beside(draw, asked, self.options.seed)
            lines += [f"captions of {kind} combinations, {number}:", claims.HEADING]
            lines += [row.line(name) for name, row in tables[kind].items()]
        figures = claims.summary(**tables) | {"judge": record["held_out_accuracy"]}
        facts = tables["seen"][claims.OURS].facts
        lines[:0] = [
            f"{figures['claims']:.1%} of claims met, {figures['captions']:.1%} of captions met whole, precision"
            f" {figures['precision']:.3f}; of unseen combinations {figures['unseen_claims']:.1%} of claims, all parts"
            f" together in {figures['unseen_together']:.1%}",
            "met: " + ", ".join(f"{name} {share:.1%}" for name, share in facts.items()),
        ]
        return Observation(figures, lines)


def wrong_partners(texts: list[str], facts: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each caption the row (N,) of an image that it is wrong of, the next in `order` from its own place on; any
    other row where it is right of all."""
    asked = captions.claimed(texts)[:, None]
    wrong = ((asked != captions.UNKNOWN) & (asked != facts)).any(2)[:, order]  # (captions, places in the order)
    count, each = len(texts), np.arange(len(texts))
    places = (np.argsort(order)[:, None] + 1 + each[None]) % count
    first = np.take_along_axis(wrong, places, 1).argmax(1)
    return order[places[each, first]]


TEXT2IMAGE = System(
    TextOptions(
        "text2image",
        data="avatars",
        batch_size=32,
        lr=1e-3,
        beta1=0.5,
        beta2=0.99,
        n_critic=1,
        base=16,
        average=0.998,
        size=16,
        steps=6000,
    ),
    "draws what a caption says; the critic knows right images with wrong captions",
    "Reed et al. 2016",
    TextTrainer,
    results=(
        Result(
            "{claims:.1%} of claims met ↑ (real images {seen[real images][claims]:.1%}, any training image"
            " {seen[any training image][claims]:.1%}, another caption's sample"
            " {seen[sample of another caption][claims]:.1%}), precision {precision:.3f} ↑ (training images"
            " {seen[any training image][precision]:.3f}); of combinations that no training image has"
            " {unseen_claims:.1%} of claims, all parts together in {unseen_together:.1%} ↑ (real images"
            " {unseen[real images][together]:.1%}, training image that meets the most"
            " {unseen[training image of most][together]:.1%}), precision {unseen_precision:.3f}"
        ),
    ),
)
