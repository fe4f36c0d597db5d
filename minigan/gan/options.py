"""What a run is made of: a family of systems has its record of options, which `training_options.json` holds.

`CommonOptions` are every system's, `Options` those of a plain GAN. Another family (gan/systems/) extends one of them,
beside its trainer; an option that it does not offer is a class constant there, at the value that it has. An option's
help text, group and choices are in its metadata; `minigan train SYSTEM --help` is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import ClassVar

from ..backend import DEVICES, require_known
from .losses import LOSSES, loss, nearest
from .networks.table import PAIRS, pair
from .penalties import PENALTIES, penalty
from .tricks import check

OPTIMIZERS = ("adam", "rmsprop")
RUN, NETWORKS, OBJECTIVE, OPTIMISATION = "Run", "Networks", "Objective", "Optimisation"
GROUPS = (RUN, NETWORKS, OBJECTIVE, OPTIMISATION)
"""The groups of options, in the order in which they are shown."""


MANY = 10**9
KINDS = {"int": Integral, "float": Real, "bool": bool, "str": str}
"""What the value of an option is, by the annotation of its field."""


def check_kinds(options: object, prefix: str = "") -> None:
    """Raises ValueError for a field of a record of options whose value is not of the type that is annotated."""
    for row in fields(options):
        value = getattr(options, row.name)
        if not isinstance(value, KINDS[row.type]) or (isinstance(value, bool) and row.type != "bool"):
            raise ValueError(f"{prefix}{row.name} must be of type {row.type}, got {value!r:.40}")


def option(
    default,
    text: str,
    group: str,
    least: int | None = None,
    most: int | None = None,
    choices: Sequence[str] = (),
    bare: str | None = None,
):
    """A field with its help text, its group, its least and greatest value, the values it can have where they are few,
    and the value that it has on the command line where none is written behind it."""
    limits = {"least": least, "most": most, "choices": tuple(choices), "bare": bare}
    return field(default=default, metadata={"help": text, "group": group, **limits})


@dataclass(frozen=True)
class CommonOptions:
    """What every system is told. Raises ValueError for values that make no sense."""

    system: str = "wgan-gp"
    data: str = option("digits", "Data set (see: minigan data list).", RUN)
    steps: int = option(1000, "Total number of generator steps, also with --resume.", RUN, 0, MANY)
    batch_size: int = option(64, "Images per step.", RUN, 1, 1 << 20)
    parts: int = option(
        1, "Parts of a batch whose gradients are computed apart and added in order; ranks share them.", RUN, 1, 4096
    )
    keep: int = option(3, "Newest checkpoints that stay, also with --resume; 0 for all.", RUN, 0, MANY)
    sync_norm: bool = option(False, "Batch norm by the statistics of all parts of a batch, not of each.", RUN)
    seed: int = option(0, "The same seed gives the same run, bit for bit.", RUN, 0, 2**64 - 1)
    device: str = option("cpu", "Where to compute.", RUN, choices=DEVICES)
    capture: bool = option(True, "Replay recorded steps, or run them op by op.", RUN)
    base: int = option(32, "Channels of the widest feature maps; deeper ones have multiples.", NETWORKS, 1, 4096)
    size: int = option(32, "Height and width of the images, a power of two.", NETWORKS, most=4096)
    lr: float = option(2e-4, "Learning rate of both players.", OPTIMISATION)
    beta1: float = option(0.0, "Adam's decay of the average gradient.", OPTIMISATION)
    beta2: float = option(0.9, "Adam's decay of the average squared gradient.", OPTIMISATION)
    n_critic: int = option(5, "Critic steps per generator step.", OPTIMISATION, 1, 10_000)
    n_generator: int = option(1, "Generator steps after them, on latents of their own.", OPTIMISATION, 1, 10_000)
    average: float = option(
        0.99, "Decay of the average of the generator's weights, which samples are drawn from.", OPTIMISATION
    )

    loss: ClassVar[str] = ""  # what two players minimise; one alone has an objective of its own
    optimizer: ClassVar[str] = "adam"
    clip: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        check_kinds(self)
        for row in fields(self):
            value, least, most = getattr(self, row.name), row.metadata.get("least"), row.metadata.get("most")
            if least is not None and not value >= least:
                raise ValueError(f"{row.name} must be at least {least}, got {value}")
            if most is not None and not value <= most:
                raise ValueError(f"{row.name} must be at most {most:,}, got {value!r:.40}")
        if self.batch_size % self.parts:
            raise ValueError(f"a batch of {self.batch_size} has no {self.parts} equal parts; take parts that divide it")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be positive and finite, got {self.lr}")
        for row in fields(self):
            if row.type == "float" and not abs(getattr(self, row.name)) < 1e300:
                raise ValueError(f"{row.name} must be finite, got {getattr(self, row.name)!r:.40}")
        require_known(self.device)  # a record may be of a GPU that is not here

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The options that a user can set."""
        return tuple(row.name for row in fields(cls) if "help" in row.metadata)

    def idle(self) -> dict[str, str]:
        """Options that another's value makes idle, with the reason."""
        return {"sync_norm": "parts is 1"} if self.parts == 1 else {}


@dataclass(frozen=True)
class Options(CommonOptions):
    """The options of a plain GAN: one generator, one critic, a loss of the table."""

    loss: str = option("wasserstein", "What both players minimise.", OBJECTIVE, choices=LOSSES)
    optimizer: str = option("adam", "The optimiser of both players.", OPTIMISATION, choices=OPTIMIZERS)
    gp_weight: float = option(10.0, "Weight lambda of the gradient penalty; 0 for none.", OBJECTIVE, 0)
    penalty: str = option("two-sided", "Which slope the gradient penalty pulls at.", OBJECTIVE, choices=PENALTIES)
    critic_norm: bool = option(False, "Batch norm in the critic.", NETWORKS)
    latent: int = option(100, "Size of the latent vector.", NETWORKS, 1, 65_536)
    network: str = option(
        "dcgan",
        "Both networks: convolutions, with max pooling in D, residual blocks, or perceptrons.",
        NETWORKS,
        choices=PAIRS,
    )
    clip: float = option(
        0.0, "Bound on every weight of the critic, applied after each of its steps; 0 for none.", OBJECTIVE, 0
    )
    spectral: bool = option(False, "Spectral norm on every layer of the critic.", OBJECTIVE)
    critic_base: int = option(0, "The same of the critic alone; 0 for as many as base.", NETWORKS, 0, 4096)
    dropout: float = option(0.0, "Share of its inputs and units that an mlp critic drops in training.", NETWORKS, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        loss(self.loss)
        penalty(self.penalty)
        if self.critic_norm and self.gp_weight:
            raise ValueError(
                "a critic with batch norm has no gradient per sample to penalise; use gp_weight 0 or critic_norm False"
            )
        if self.optimizer not in OPTIMIZERS:
            raise nearest("optimizer", self.optimizer, OPTIMIZERS)
        if not self.dropout < 1:
            raise ValueError(f"dropout must be below 1, got {self.dropout}")
        if self.dropout and not pair(self.network).dropout:
            raise ValueError(f"network {self.network!r} has no dropout; leave dropout 0, or take network mlp")
        check(self.loss, self.active())

    def active(self) -> list[str]:
        """The names in gan/tricks.py of what is on."""
        tricks = {self.penalty: self.gp_weight, "clip": self.clip, "spectral": self.spectral}
        return [trick for trick, on in (tricks | {"batch-norm": self.critic_norm}).items() if on]

    def idle(self) -> dict[str, str]:
        reasons = super().idle() | ({} if self.gp_weight else {"penalty": "gp_weight is 0"})
        if self.optimizer != "adam":
            reasons |= dict.fromkeys(("beta1", "beta2"), "it is Adam's, and optimizer is not adam")
        return reasons
