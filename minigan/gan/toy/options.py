"""What a GAN of points is made of: its record of options, systems by their usual names, the published settings."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields

from ...backend import device, require_known
from ..losses import LOSSES, loss
from ..options import check_kinds
from ..tricks import check
from .tricks import TRICKS


@dataclass(frozen=True)
class ToyOptions:
    """What a run is made of. Raises ValueError for values that make no sense.

    steps: generator steps. turns: alternating, or simultaneous, both players from one batch. lr_d, lr_g: Adam's rates.
    average: decay of the average of G's weights, 0 for none. falling: the rates fall to zero along half a cosine. nets:
    relu or published (networks.py). normalised: whether points are scaled to mean 0 and variance 1 per axis.

    What a trick of that name reads: pack, samples judged together. unroll, unroll_lr: D's steps that G looks through,
    by plain gradient descent; at a rate of 0.03 they run past D's optimum and G, led by a critic that never comes, ends
    in no mode. noise: the standard deviation, in normalised units, from which instance-noise falls to 0. ahead: the
    plain step, falling as the rates do, to the point at which lookahead takes both gradients. consensus: the weight of
    the field's norm.
    """

    data: str = "ring"
    loss: str = "wasserstein"
    trick: str = "gp"
    steps: int = 8_000
    batch_size: int = 256
    seed: int = 0
    device: str = "cpu"
    lr_d: float = 1e-3
    lr_g: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.9
    n_critic: int = 2
    gp_weight: float = 0.1
    noise: float = 0.1
    ahead: float = 1e-3
    consensus: float = 0.1
    clip: float = 0.05
    pack: int = 2
    unroll: int = 5
    unroll_lr: float = 2e-3
    latent: int = 2
    nets: str = "relu"
    width: int = 128
    depth: int = 4
    average: float = 0.99
    falling: bool = True
    turns: str = "alternating"
    normalised: bool = True

    def __post_init__(self) -> None:
        check_kinds(self, "toy: ")
        limits = {
            "steps": (1, 10**9),
            "batch_size": (2, 1 << 20),
            "seed": (0, 2**64 - 1),
            "n_critic": (1, 10_000),
            "latent": (1, 65_536),
            "width": (1, 65_536),
            "depth": (1, 1000),
            "pack": (1, 1000),
            "unroll": (1, 1000),
        }
        for name, (low, high) in limits.items():
            if not getattr(self, name) >= low:
                raise ValueError(f"toy: {name} must be at least {low}, got {getattr(self, name)}")
            if not getattr(self, name) <= high:
                raise ValueError(f"toy: {name} must be at most {high:,}, got {getattr(self, name)!r:.40}")
        for name in ("lr_d", "lr_g", "unroll_lr", "clip", "ahead"):
            if not 0 < getattr(self, name) < 1e300:
                raise ValueError(f"toy: {name} must be positive and finite, got {getattr(self, name)}")
        for name in ("gp_weight", "noise", "consensus"):
            if not 0 <= getattr(self, name) < 1e300:
                raise ValueError(f"toy: {name} must not be negative, got {getattr(self, name)}")
        _known("trick", self.trick, TRICKS)
        _known("nets", self.nets, ("relu", "published"))
        _known("turns", self.turns, ("alternating", "simultaneous"))
        if self.together and self.n_critic != 1:
            raise ValueError(f"toy: players that step together do so once each; take n_critic 1, not {self.n_critic}")
        if self.trick == "packing" and (self.pack < 2 or self.batch_size % self.pack):
            raise ValueError(
                f"toy: packing needs at least 2 samples a pack and a batch that they divide, got pack {self.pack} and"
                f" batch_size {self.batch_size}"
            )
        require_known(self.device)  # a record may be of a GPU that is not here
        loss(self.loss)
        check(self.loss, [*TRICKS[self.trick].names, *(["clip"] if self.clipped else [])])

    @property
    def together(self) -> bool:
        """Whether both players' gradients are taken at the same weights."""
        return self.turns == "simultaneous" or TRICKS[self.trick].moves in ("simultaneous", "lookahead", "consensus")

    @property
    def clipped(self) -> bool:
        """Whether the critic's weights are clipped: the Wasserstein loss needs a bound, where no trick gives one."""
        return loss(self.loss).lipschitz and not TRICKS[self.trick].bounded


ALIASES = {"wgan-gp": ("wasserstein", "gp"), "wgan": ("wasserstein", "plain"), "gan": ("non-saturating", "plain")}
"""Systems by their usual names: (loss, trick)."""

PUBLISHED = {
    "nets": "published",
    "batch_size": 100,
    "lr_d": 1e-4,
    "lr_g": 1e-4,
    "beta1": 0.8,
    "beta2": 0.999,
    "n_critic": 1,
    "average": 0.0,
    "falling": False,
    "turns": "simultaneous",
    "normalised": False,
}
"""The settings of the published protocol (Lin et al. 2018, section 4.1, and github.com/fjxmlzn/PacGAN)."""


def published(pack: int = 1) -> dict:
    """The published settings for a critic that judges `pack` points together: a batch is 100 of its inputs."""
    return PUBLISHED | {"batch_size": PUBLISHED["batch_size"] * pack, "pack": pack}


def options_for(data: str, system: str, trick: str | None = None, **changes) -> ToyOptions:
    """The defaults for a data set and a loss or alias, with the given changes; trick None is what the system implies.

    Losses other than Wasserstein train D once a step with Adam's beta1 0.5, as their papers do. Raises ValueError for
    an unknown loss, trick or option, naming the nearest, and for an impossible pair; DeviceError for a device that
    cannot be used here.
    """
    _known("loss", system, (*ALIASES, *LOSSES))
    if trick is not None:
        _known("trick", trick, TRICKS)
    name, implied = ALIASES.get(system, (system, "plain"))
    unknown = changes.keys() - {f.name for f in fields(ToyOptions)}
    if unknown:
        raise ValueError(f"toy: unknown options {sorted(unknown)}")
    if system in ("wgan-gp", "wgan") and trick not in (None, implied):
        raise ValueError(f"toy: {system} is the loss {name} with trick {implied}; for {trick} take --loss {name}")
    defaults = {} if loss(name).lipschitz else {"n_critic": 1, "beta1": 0.5, "beta2": 0.999, "lr_d": 5e-4, "lr_g": 5e-4}
    options = ToyOptions(**{"data": data, "loss": name, "trick": trick or implied, **defaults, **changes})
    device(options.device)
    return options


def require_read(options: ToyOptions, names: Iterable[str]) -> None:
    """Raises ValueError for the name of an option that the trick does not read."""
    trick = TRICKS[options.trick]
    idle = {
        "pack": "" if options.trick == "packing" else "packing alone reads it",
        "unroll": "" if trick.moves == "unrolled" else "unrolled alone reads it",
        "gp_weight": "" if trick.penalty else "it has no gradient penalty",
    }
    for name in names:
        if reason := idle.get(name):
            raise ValueError(f"toy: option {name!r} means nothing with trick {options.trick!r}: {reason}")


def _known(what: str, value: str, names) -> None:
    if value not in names:
        near = difflib.get_close_matches(str(value), names, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"toy: unknown {what} {value!r}{hint} (known: {', '.join(names)})")
