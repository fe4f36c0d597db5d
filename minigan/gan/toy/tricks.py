"""The tricks that `minigan toy` knows, a line each: what of a run each one changes.

A trick is one switch: everything that it leaves out stays as in a plain run, so that the two can be compared
(`compare.py`). The functions themselves are in gan/tricks.py, gan/penalties.py and gan/steps.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...backend import Generator
from ..losses import Loss
from ..tricks import noisy, smoothed, soft


@dataclass(frozen=True)
class Trick:
    """what: in words, with the source. names: in gan/tricks.py, for what goes together. penalty: a row of PENALTIES.
    objective: what G minimises in place of its loss. latents: a row of LATENTS. critic, generator: arguments of the
    networks. rates: factors of D's and G's learning rates. moves: how the players step. labels: whether both are told a
    point's mode. noise: whether D sees points through noise that fades. row: the loss, changed."""

    what: str
    names: tuple[str, ...] = ()
    penalty: str = ""
    objective: str = ""
    latents: str = "normal"
    critic: dict = field(default_factory=dict)
    generator: dict = field(default_factory=dict)
    rates: tuple[float, float] = (1.0, 1.0)
    moves: str = ""
    labels: bool = False
    noise: bool = False
    row: Callable[[Loss, Generator], Loss] | None = None

    @property
    def bounded(self) -> bool:
        """Whether the critic's slope has a bound, so that a Wasserstein critic needs no clipping."""
        return self.penalty in ("two-sided", "one-sided") or self.critic.get("norm") == "spectral"

    @property
    def pointless(self) -> str:
        """Why D has no value at a single point, where it has none."""
        if self.labels:
            return "the critic judges a point with its mode"
        return "the critic judges a whole batch" if "joint" in self.critic else ""


TRICKS = {
    "plain": Trick("nothing"),
    "gp": Trick("slope 1 between reals and fakes (Gulrajani et al. 2017)", ("two-sided",), penalty="two-sided"),
    "spectral-norm": Trick(
        "every critic weight over its largest singular value (Miyato et al. 2018)",
        ("spectral",),
        critic={"norm": "spectral"},
    ),
    "packing": Trick("m points judged as one (Lin et al. 2018)", ("packing",)),
    "unrolled": Trick("G's loss behind k more steps of D (Metz et al. 2017)", ("unrolled",), moves="unrolled"),
    "minibatch": Trick(
        "nearness to batch-mates joined to D's features (Salimans et al. 2016)",
        ("minibatch",),
        critic={"joint": "minibatch"},
    ),
    "pairwise": Trick(
        "mean L2 distance to batch-mates joined to D's features", ("minibatch",), critic={"joint": "pairwise"}
    ),
    "feature-matching": Trick(
        "G matches the means of D's features (Salimans et al. 2016)", ("feature-matching",), objective="means"
    ),
    "feature-covariance": Trick(
        "G matches the means and covariances of D's features", ("feature-matching",), objective="covariances"
    ),
    "smoothing": Trick(
        "reals are labelled 0.9 (Salimans et al. 2016)", ("smoothing",), row=lambda row, random: smoothed(row)
    ),
    "soft-labels": Trick("reals are labelled 0.7 to 1, fakes 0 to 0.3", ("smoothing",), row=soft),
    "noisy-labels": Trick(
        "labels are wrong in 5 of 100", ("noisy-labels",), row=lambda row, random: noisy(row, 0.05, random)
    ),
    "instance-noise": Trick(
        "D sees points through noise that fades (Sønderby et al. 2017)", ("instance-noise",), noise=True
    ),
    "batch-norm": Trick("batch norm in D", ("batch-norm",), critic={"norm": "batch"}),
    "virtual-batch-norm": Trick(
        "D normalised by a reference batch (Salimans et al. 2016)",
        ("virtual-batch-norm",),
        critic={"norm": "virtual"},
    ),
    "leaky": Trick("leaky ReLU in both, no sparse gradients", critic={"slope": 0.2}, generator={"slope": 0.2}),
    "spherical": Trick("latents on a sphere (White 2016)", ("spherical",), latents="spherical"),
    "uniform": Trick("latents uniform in [0, 1]", latents="uniform"),
    "two-rates": Trick("D learns four times as fast (Heusel et al. 2017)", ("two-time-scale",), rates=(4.0, 1.0)),
    "low-rates": Trick("both learn a quarter as fast", rates=(0.25, 0.25)),
    "simultaneous": Trick("both players step at once", moves="simultaneous"),
    "lookahead": Trick("extragradient: both look one step ahead", ("lookahead",), moves="lookahead"),
    "consensus": Trick("both descend the field's norm, too (Mescheder et al. 2017)", ("consensus",), moves="consensus"),
    "one-sided": Trick("slope at most 1 between reals and fakes", ("one-sided",), penalty="one-sided"),
    "zero-centred": Trick("slope 0 between reals and fakes", ("zero-centred",), penalty="zero-centred"),
    "r1": Trick("slope 0 at reals (Mescheder et al. 2018)", ("r1",), penalty="r1"),
    "r2": Trick("slope 0 at fakes", ("r2",), penalty="r2"),
    "labels": Trick("both are told a point's mode (Mirza and Osindero 2014)", labels=True),
    "nearest": Trick("no critic: G's samples go to the nearest real", objective="nearest"),
}
