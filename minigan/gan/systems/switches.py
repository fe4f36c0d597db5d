"""Tricks of a plain system that its option `trick` names, one or several by commas, some with a number: what D judges,
what G minimises, and how the two step.

    minigan train dcgan --trick packing=4,feature-matching

The functions are in gan/tricks.py and gan/steps.py, and what does not go together is in gan/tricks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from ... import nn, optim
from ...autograd import Tensor
from ...capture import capture
from ...data import Dataset, Info
from ..losses import nearest
from ..networks.joint import JointCritic
from ..networks.table import Pair
from ..options import OBJECTIVE, Options, option
from ..players import Both, HalfStep
from ..steps import Optimistic, consensus, field, look_ahead, set_gradients, unroll
from ..train import Trainer, on_device
from ..tricks import (
    ImpossiblePair,
    VirtualBatchNorm,
    VirtualReference,
    check,
    feature_matching,
    pack,
)


@dataclass(frozen=True)
class Switch:
    """what: in words, with the source. subject: of which a run has one. names: in gan/tricks.py, for what goes
    together. number: what may stand behind =, at its default; None where nothing may. least: of it. whole: whether it
    counts something."""

    what: str
    subject: str
    names: tuple[str, ...] = ()
    number: float | None = None
    least: float = 0.0
    whole: bool = False


BATCH, OBJECTIVES, MOVES = "a layer over the batch", "an objective of G", "a way to step"
SWITCHES = {
    "packing": Switch("m images judged as one (Lin et al. 2018)", "packs", ("packing",), 2, 2, True),
    "minibatch": Switch("nearness to batch-mates joined to D's features (Salimans et al. 2016)", BATCH, ("minibatch",)),
    "pairwise": Switch("mean L2 distance to batch-mates joined to D's features", BATCH, ("minibatch",)),
    "virtual-batch-norm": Switch(
        "D normalised by a reference batch (Salimans et al. 2016)", "a norm", ("virtual-batch-norm",)
    ),
    "leaky": Switch("leaky ReLU in G, too: no sparse gradients", "G's slopes"),
    "unscaled": Switch("D sees grey levels from 0 to 255 in place of -1 to 1", "D's scale"),
    "feature-matching": Switch(
        "G matches the means of D's features (Salimans et al. 2016)", OBJECTIVES, ("feature-matching",)
    ),
    "feature-covariance": Switch(
        "G matches the means and covariances of D's features", OBJECTIVES, ("feature-matching",)
    ),
    "unrolled": Switch("G's loss behind k more steps of D (Metz et al. 2017)", OBJECTIVES, ("unrolled",), 5, 1, True),
    "simultaneous": Switch("both players step at once", MOVES),
    "lookahead": Switch("extragradient: both look one step of this rate ahead", MOVES, ("lookahead",), 1e-3),
    "optimistic": Switch("2 g_t - g_{t-1} (Daskalakis et al. 2018)", "a correction", ("optimistic",)),
    "consensus": Switch(
        "both descend the field's norm, too, with this weight (Mescheder et al. 2017)", MOVES, ("consensus",), 0.1
    ),
}
UNROLL_RATE = 2e-3
"""Of the plain gradient steps that trick unrolled looks through."""


def switches(text: str) -> dict[str, float | None]:
    """Name -> number of the tricks in `text`, as "packing=4,leaky". Raises ValueError for an unknown name, with the
    nearest, and for a number that the trick does not take; ImpossiblePair for two of one subject."""
    table: dict[str, float | None] = {}
    for part in filter(None, (word.strip() for word in text.split(","))):
        name, _, number = part.partition("=")
        if name not in SWITCHES:
            raise nearest("trick", name, SWITCHES)
        if name in table:
            raise ValueError(f"trick {name} is named twice in {text!r}")
        table[name] = _number(name, number) if "=" in part else SWITCHES[name].number
    for one, other in combinations(table, 2):
        if SWITCHES[one].subject == SWITCHES[other].subject:
            raise ImpossiblePair(f"{other} does not go with {one}: each is {SWITCHES[one].subject}; choose one")
    return table


def _number(name: str, text: str) -> float:
    row = SWITCHES[name]
    if row.number is None:
        raise ValueError(f"trick {name} takes no number, got {name}={text}")
    try:
        number = float(int(text)) if row.whole else float(text)
    except ValueError:
        number = np.nan
    if not (number >= row.least and 0 < number < 1e6):
        kind = f"a whole number from {row.least:g} on" if row.whole else "a number above 0"
        raise ValueError(f"trick {name} takes {kind}, as in {name}={row.number:g}, got {name}={text}")
    return number


@dataclass(frozen=True)
class SwitchOptions(Options):
    """The options of a plain GAN, and its tricks by name."""

    trick: str = option("", "Further tricks, by commas, as packing=4,leaky.", OBJECTIVE, choices=tuple(SWITCHES))

    def __post_init__(self) -> None:
        super().__post_init__()
        tricks = switches(self.trick)
        check(self.loss, [*self.active(), *(name for trick in tricks for name in SWITCHES[trick].names)])
        each = self.batch_size // self.parts
        if each % self.pack:
            parts = f" in {self.parts} parts" if self.parts > 1 else ""
            raise ValueError(
                f"packing={self.pack} needs a batch that it divides, got batch_size {self.batch_size}{parts}; take"
                f" {-(-each // self.pack) * self.pack * self.parts}"
            )
        if each // self.pack < 2 and {"minibatch", "pairwise"} & tricks.keys():
            raise ValueError(f"trick {self.trick}: D looks at the others of its batch, and there are none")
        if self.together and (self.n_critic, self.n_generator) != (1, 1):
            raise ValueError(
                f"trick {self.trick}: players that step together do so once each; take n_critic 1 and n_generator 1,"
                f" got {self.n_critic} and {self.n_generator}"
            )

    @property
    def pack(self) -> int:
        """How many images D judges as one."""
        return int(switches(self.trick).get("packing") or 1)

    @property
    def together(self) -> bool:
        """Whether both players' gradients are taken at the same weights."""
        return any(SWITCHES[name].subject == MOVES for name in switches(self.trick))


class SwitchTrainer(Trainer):
    """A plain GAN with the tricks that its options name."""

    def __init__(self, options: SwitchOptions, dataset: Dataset | Info) -> None:
        self.tricks = switches(options.trick)
        self.attached = bool({"unrolled", "consensus"} & self.tricks.keys())  # G looks through D's gradient
        super().__init__(options, dataset)
        self._tied()

    @on_device
    def _tied(self) -> None:
        """What ties the two players together, or a step to the one before."""
        players = [self.players["critic"], self.players["generator"]]
        if self.options.together:
            both = capture(self.joint_gradients) if self.options.capture else self.joint_gradients
            self._both = Both(tuple(players), both)
        if "optimistic" in self.tricks:
            for name, network in self.trained().items():
                params = list(network.parameters())
                self._optimistic[id(params[0])] = Optimistic(params, self.memory, name)

    def build(self) -> tuple[nn.Module, nn.Module]:
        self._optimistic: dict[int, Optimistic] = {}
        generator, critic = super().build()
        network, size = self.options.network, self.options.size
        if "leaky" in self.tricks and not _replace_(generator, nn.ReLU, lambda layer: nn.LeakyReLU(0.2)):
            raise ValueError(f"trick leaky stands where a ReLU would, and a generator of network {network} has none")
        if "virtual-batch-norm" in self.tricks:
            if not _replace_(critic, nn.BatchNorm2d, _virtual):
                raise ValueError(
                    f"trick virtual-batch-norm stands where batch norm would, and a critic of network {network} and"
                    f" size {size} has no place for it"
                )
            critic = VirtualReference(critic, self.reference())
        return generator, critic

    def new_critic(self, row: Pair, **extra: Any) -> nn.Module:
        """The critic, for as many images as it judges at once, with what looks at the whole batch."""
        options, tricks = self.options, self.tricks
        norm = options.critic_norm or ("virtual-batch-norm" in tricks and row.norm)
        width = options.critic_base or options.base
        critic = row.critic(self.info.shape[-1] * options.pack, options.size, width, norm, **extra)
        joint = {"minibatch", "pairwise"} & tricks.keys()
        return JointCritic(critic, "pairwise" in joint, self.random["init"]) if joint else critic

    def reference(self) -> Tensor:
        """The reals (N, C, S, S) whose statistics virtual batch norm goes by: those of the first batch, as D sees
        them; zeros where there are no images, until a checkpoint's are read."""
        real = self.batch["real"]
        return self.shown(real if self.loader is None else Tensor(self.loader.batch(0)[0]))

    def seen(self, images: Tensor) -> Tensor:
        """Images as the critic is shown them."""
        return self.shown(images)

    def shown(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) in the critic's scale, packed (N / m, m C, S, S)."""
        if "unscaled" in self.tricks:
            images = 127.5 * (images + 1)
        return self.packs(images)

    def packs(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) as D judges them together (N / m, m C, S, S)."""
        return pack(images, self.options.pack) if self.options.pack > 1 else images

    # What G minimises.

    def generator_objective(self, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if "unrolled" in self.tricks:
            objective = self._unrolled(self.seen(fake))
        elif self._matches:
            features = self.critic.features
            real = features(self.seen(self.batch["real"]))
            objective = feature_matching(real, features(self.seen(fake)), "feature-covariance" in self.tricks)
        else:
            return super().generator_objective(fake)
        return objective, {"g_loss": objective}

    @property
    def _matches(self) -> bool:
        return bool({"feature-matching", "feature-covariance"} & self.tricks.keys())

    def _unrolled(self, fake: Tensor) -> Tensor:
        """G's loss under the critic that k gradient steps on D's objective would lead to; they stay in the graph. A
        penalty's slopes are taken at the images as D sees them."""
        real = self.seen(self.batch["real"])

        def judged(weights: dict[str, Tensor], images: Tensor) -> Tensor:
            return nn.functional_call(self.critic, weights, images)

        def objective(weights: dict[str, Tensor]) -> Tensor:
            critic = partial(judged, weights)
            value = self.loss.discriminator(*(self.loss.head(critic(images)) for images in (real, fake)))
            return self.with_penalty(value, {}, critic, real, fake)[0]

        present = {  # one who froze D wants no gradient of its weights, which these steps need
            name: p if p.requires_grad else p.detach().requires_grad_() for name, p in self.critic.named_parameters()
        }
        critic = partial(judged, unroll(present, objective, int(self.tricks["unrolled"] or 0), UNROLL_RATE))
        return self.adversarial(critic(fake), critic)

    def formulas(self) -> dict[str, str]:
        formulas = super().formulas()
        if self._matches:
            more = " + ||Cov f(x) - Cov f(Gz)||^2" if "feature-covariance" in self.tricks else ""
            formulas["g_loss"] = f"||E f(x) - E f(Gz)||^2{more}"
        return formulas

    # How the two step.

    def half_steps(self) -> list[HalfStep]:
        """The schedule of one step; one move of both players where they step together."""
        return [HalfStep("joint step", self._both, self.feed)] if self.options.together else super().half_steps()

    def joint_gradients(self) -> dict[str, Tensor]:
        """Both players' gradients at the same weights, on the same reals and latents, and their figures. Where a trick
        asks for them twice, eps, noise and dropout are drawn anew."""
        z = self.inputs(self.options.batch_size, self.random["latent_g"])
        players = [list(network.parameters()) for network in (self.critic, self.generator)]

        def gradients() -> dict[str, Tensor]:
            fake = self.generator(z)
            (d, figures), (g, more) = self.critic_objective(fake), self.generator_objective(fake)
            figures, objectives = {"objective": d + g, **figures, **more}, [d, g]
            if "consensus" in self.tricks:
                figures["field"] = consensus(objectives, players)
                objectives = [value + self.tricks["consensus"] * figures["field"] for value in objectives]
            slopes = field(objectives, players)
            set_gradients(players, slopes)
            norms = zip(("d_weight_gradient", "g_weight_gradient"), map(optim.grad_norm, slopes), strict=True)
            return figures | dict(norms)

        rate = self.tricks.get("lookahead")
        figures = look_ahead(players, gradients, [rate] * 2) if rate else gradients()
        if self.run_options.parts == 1:
            for params in players:
                self.correct(params)
        return figures

    def correct(self, params: Sequence[nn.Parameter]) -> None:
        if self._optimistic:
            self._optimistic[id(params[0])].apply()


def _replace_(network: nn.Module, kind: type[nn.Module], layer_for: Callable[[Any], nn.Module]) -> int:
    """Put layer_for(layer) in the place of every layer of a kind; how many there were."""
    pairs = [(module, name, child) for module in network.modules() for name, child in module.named_children()]
    pairs = [(module, name, child) for module, name, child in pairs if type(child) is kind]
    for module, name, child in pairs:
        module.add_module(name, layer_for(child))
    return len(pairs)


def _virtual(norm: nn.BatchNorm2d) -> VirtualBatchNorm:
    """Virtual batch norm with a batch norm's weights."""
    layer = VirtualBatchNorm(norm.weight.data.size, norm.eps)
    layer.weight, layer.bias = norm.weight, norm.bias
    return layer
