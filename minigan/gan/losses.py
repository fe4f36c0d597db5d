"""GAN losses: what the critic minimises and what the generator minimises, on the critic's raw outputs.

Both players always minimise; each row of LOSSES names its sign convention, its paper and what the network puts out.
Where D is a probability, D(x) = sigmoid(t) for a logit t, so every formula stays finite for any logit:

    ln D = -softplus(-t),    ln(1 - D) = -softplus(t).

The f-GAN rows (Nowozin et al. 2016, table 2 and 6) bound a divergence D_f(P || Q) = E_Q f(p/q), P real, Q generated,
from below by E_P T(x) - E_Q f*(T(x)), with f* the convex conjugate of f. The network's output v passes through an
activation T = g(v) onto the domain of f*. The critic minimises minus the bound, the generator the bound itself. As
f*(g(v)) is simplified by hand, no row takes the logarithm of anything.

A generator's loss may also see the critic's outputs on reals: the relativistic rows ask how much more real a sample
looks than a real image does.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from ..autograd import Tensor
from ..functional import relu, sigmoid, softplus, tanh
from ..ops.elementary import exp, minimum, square
from ..ops.reduce import mean

# exp(v) is continued by its tangent from here on, so that float32 holds it, its square and its slope at any logit.
EXP_LIMIT = 30.0
LN2 = math.log(2)


class Output(StrEnum):
    """What a critic puts out."""

    LOGIT, RAW, ENERGY = "logit", "raw", "energy"


def identity(t: Tensor) -> Tensor:
    """t itself."""
    return t


@dataclass(frozen=True)
class Loss:
    """One row of the table.

    discriminator(real, fake) and generator(fake, real) take critic outputs (N, ...) and return the scalar each
        minimises; the generator's reals may be left out where relativistic is False.
    sign: +1 where the critic is trained to be higher on reals than on fakes, -1 where lower.
    formula: "D: ...;  G: ...", the two halves parted by ";  ".
    output: what the network puts out: a logit, a raw number or an energy.
    activation: what the formula makes of an output: D or T or E as a function of it, elementwise.
    head: what a plain network's one number a sample must pass through before the losses take it: softplus for
        energies, which are never negative, and nothing for all others.
    probability: the output as the probability of "real", or None where it means no such thing.
    relativistic: whether the generator's loss reads the reals' outputs.
    lipschitz: whether the loss means something only where the critic's slope is bounded, by a penalty, by clipping or
        by spectral norm; minus D's loss then estimates a distance.
    """

    name: str
    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[..., Tensor]
    formula: str
    convention: str
    paper: str
    sign: int = 1
    output: Output = Output.RAW
    activation: Callable[[Tensor], Tensor] = identity
    head: Callable[[Tensor], Tensor] = identity
    probability: Callable[[Tensor], Tensor] | None = None
    relativistic: bool = False
    lipschitz: bool = False

    def figures(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What critic outputs (N, ...) mean, as far as this loss says: mean probabilities of "real", mean energies, or
        the estimate of a distance. Scalars, without gradients."""
        real, fake = real.detach(), fake.detach()
        if self.probability is not None:
            return {"d_real": mean(self.probability(real)), "d_fake": mean(self.probability(fake))}
        if self.output is Output.ENERGY:
            return {"energy_real": mean(real), "energy_fake": mean(fake)}
        if self.lipschitz:
            return {"critic_estimate": mean(real) - mean(fake)}
        return {}


@dataclass(frozen=True)
class Conjugate:
    """A divergence D_f as f-GAN trains it. activation is g(v), conjugate is f*(g(v)), both elementwise on Tensors.

    f: the generating function, as text. divergence: what D_f is in the usual names. threshold: f'(1), the value of T
    at which the critic cannot tell.
    """

    name: str
    f: str
    divergence: str
    activation: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    threshold: float
    text: str


def bounded_exp(v: Tensor) -> Tensor:
    """exp(v) up to EXP_LIMIT and its tangent there beyond: finite in float32, with a slope that never vanishes.

    The tangent lies below exp, so a bound computed where v is beyond the limit is no longer one; no converged critic is
    there.
    """
    capped = minimum(v, EXP_LIMIT)
    return exp(capped) * (1 + v - capped)


CONJUGATES: dict[str, Conjugate] = {
    row.name: row
    for row in (
        Conjugate(
            "kl", "u ln u", "KL(P||Q)", identity, lambda v: bounded_exp(v - 1), 1.0, "T = v;  f*(T) = exp(v - 1)"
        ),
        Conjugate(
            "reverse-kl",
            "-ln u",
            "KL(Q||P)",
            lambda v: -bounded_exp(-v),
            lambda v: v - 1,
            -1.0,
            "T = -exp(-v);  f*(T) = -1 - ln(-T) = v - 1",
        ),
        Conjugate(
            "js",
            "u ln u - (u + 1) ln((u + 1) / 2)",
            "2 JS(P, Q)",
            lambda v: LN2 - softplus(-v),
            lambda v: softplus(v) - LN2,
            0.0,
            "T = ln 2 - ln(1 + exp(-v));  f*(T) = -ln(2 - exp T) = ln(1 + exp v) - ln 2",
        ),
        # Nowozin et al. take T = v and a Lambert W in f*. With v = ln u the same T has a closed form.
        Conjugate(
            "jeffreys",
            "(u - 1) ln u",
            "KL(P||Q) + KL(Q||P)",
            lambda v: v + 1 - bounded_exp(-v),
            lambda v: bounded_exp(v) + v - 1,
            0.0,
            "T = v + 1 - exp(-v);  f*(T) = W + 1/W + T - 2 with W = W(exp(1 - T)), which is exp(v) + v - 1",
        ),
        Conjugate(
            "pearson",
            "(u - 1)^2",
            "E_Q (p/q - 1)^2",
            identity,
            lambda v: square(v) / 4 + v,
            0.0,
            "T = v;  f*(T) = T^2 / 4 + T",
        ),
        Conjugate(
            "total-variation",
            "|u - 1| / 2",
            "TV(P, Q)",
            lambda v: tanh(v) / 2,
            lambda v: tanh(v) / 2,
            0.0,
            "T = tanh(v) / 2;  f*(T) = T",
        ),
        Conjugate(
            "hellinger",
            "(sqrt u - 1)^2",
            "integral of (sqrt p - sqrt q)^2",
            lambda v: 1 - bounded_exp(-v),
            lambda v: bounded_exp(v) - 1,
            0.0,
            "T = 1 - exp(-v);  f*(T) = T / (1 - T) = exp(v) - 1",
        ),
    )
}


def _logistic(real: Tensor, fake: Tensor) -> Tensor:
    return mean(softplus(-real)) + mean(softplus(fake))


def _reals(name: str, real: Tensor | None) -> Tensor:
    if real is None:
        raise ValueError(f"loss {name!r}: the generator's loss reads the reals' outputs, too: generator(fake, real)")
    return real


def _pairs(a: Tensor, b: Tensor) -> Tensor:
    """a - b, pair by pair. Raises ValueError for outputs of unlike shape, which would be paired all with all."""
    if a.shape != b.shape:
        raise ValueError(f"loss 'relativistic': one real and one sample a pair, got outputs {a.shape} and {b.shape}")
    return a - b


def _f_gan(row: Conjugate) -> Loss:
    return Loss(
        f"f-{row.name}",
        lambda real, fake: mean(row.conjugate(fake)) - mean(row.activation(real)),
        lambda fake, real=None: -mean(row.conjugate(fake)),
        "D: E f*(T(Gz)) - E T(x);  G: -E f*(T(Gz))",
        f"minus D's loss is a lower bound of {row.divergence}; T above {row.threshold:g} means real; {row.text}",
        "Nowozin et al. 2016, tables 2 and 6",
        activation=row.activation,
        probability=sigmoid if row.name == "js" else None,
    )


def ebgan(margin: float) -> Loss:
    """EBGAN's row for a margin m > 0 on the energy. The energy is the reconstruction error of an autoencoder critic."""
    if not margin > 0:
        raise ValueError(f"ebgan: the margin must be positive, got {margin}")
    return Loss(
        "ebgan",
        lambda real, fake: mean(real) + mean(relu(margin - fake)),
        lambda fake, real=None: mean(fake),
        f"D: E(x) + max(0, {margin:g} - E(Gz));  G: E(Gz)",
        "energies, so lower means real; D's loss is between 0 and m at its best, m where it cannot tell",
        "Zhao et al. 2017, eq. 1 and 2",
        sign=-1,
        output=Output.ENERGY,
        head=softplus,
    )


LOSSES: dict[str, Loss] = {
    row.name: row
    for row in (
        Loss(
            "minimax",
            _logistic,
            lambda fake, real=None: -mean(softplus(fake)),
            "D: -ln D(x) - ln(1 - D(Gz));  G: ln(1 - D(Gz))",
            "D's loss is 2 ln 2 at chance; G's falls below -ln 2 as it fools D",
            "Goodfellow et al. 2014, eq. 1",
            output=Output.LOGIT,
            activation=sigmoid,
            probability=sigmoid,
        ),
        Loss(
            "non-saturating",
            _logistic,
            lambda fake, real=None: mean(softplus(-fake)),
            "D: -ln D(x) - ln(1 - D(Gz));  G: -ln D(Gz)",
            "D's loss is 2 ln 2 and G's ln 2 at chance; both are positive, lower is better for its player",
            "Goodfellow et al. 2014, section 3",
            output=Output.LOGIT,
            activation=sigmoid,
            probability=sigmoid,
        ),
        Loss(
            "least-squares",
            lambda real, fake: mean(square(real - 1)) / 2 + mean(square(fake)) / 2,
            lambda fake, real=None: mean(square(fake - 1)) / 2,
            "D: (D(x) - 1)^2 / 2 + D(Gz)^2 / 2;  G: (D(Gz) - 1)^2 / 2",
            "D's best output is p_r / (p_r + p_g), so its loss is 1/4 and G's 1/8 at chance",
            "Mao et al. 2017, eq. 2 with a = 0, b = c = 1",
            probability=identity,
        ),
        Loss(
            "hinge",
            lambda real, fake: mean(relu(1 - real)) + mean(relu(1 + fake)),
            lambda fake, real=None: -mean(fake),
            "D: max(0, 1 - f(x)) + max(0, 1 + f(Gz));  G: -f(Gz)",
            "D's loss is 2 at chance and 0 when every sample is outside the margin; G's loss alone means nothing",
            "Lim & Ye 2017, section 3; Miyato et al. 2018, eq. 16",
        ),
        Loss(
            "margin",
            lambda real, fake: mean(relu(1 + real)) + mean(relu(1 - fake)),
            lambda fake, real=None: mean(fake),
            "D: max(0, 1 + f(x)) + max(0, 1 - f(Gz));  G: f(Gz)",
            "labels flipped: fake is +1 and real -1, so f is lower on reals; otherwise the hinge",
            "the lecture's margin form, after Lim & Ye 2017",
            sign=-1,
        ),
        ebgan(1.0),
        Loss(
            "wasserstein",
            lambda real, fake: mean(fake) - mean(real),
            lambda fake, real=None: -mean(fake),
            "D: E f(Gz) - E f(x);  G: -E f(Gz)",
            "minus D's loss estimates the Wasserstein distance, lower is closer; G's loss alone means nothing",
            "Arjovsky et al. 2017, algorithm 1",
            lipschitz=True,
        ),
        Loss(
            "relativistic",
            lambda real, fake: mean(softplus(_pairs(fake, real))),
            lambda fake, real=None: mean(softplus(_pairs(_reals("relativistic", real), fake))),
            "D: -ln sigmoid(f(x) - f(Gz));  G: -ln sigmoid(f(Gz) - f(x))",
            "one real and one sample a pair; both losses are ln 2 at chance, lower is better for its player",
            "Jolicoeur-Martineau 2019, the standard GAN in relativistic pairs; Huang et al. 2024 (R3GAN)",
            relativistic=True,
        ),
        Loss(
            "relativistic-average",
            lambda real, fake: mean(softplus(mean(fake) - real)) + mean(softplus(fake - mean(real))),
            lambda fake, real=None: (
                mean(softplus(mean(_reals("relativistic-average", real)) - fake)) + mean(softplus(real - mean(fake)))
            ),
            "D: -ln sigmoid(f(x) - E f(Gz)) - ln sigmoid(E f(x) - f(Gz));  G: the same with x and Gz exchanged",
            "each output against the other side's mean; both losses are 2 ln 2 at chance",
            "Jolicoeur-Martineau 2019, the relativistic average GAN",
            relativistic=True,
        ),
        *map(_f_gan, CONJUGATES.values()),
    )
}


def nearest(what: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for an unknown `name`: says what is known, the nearest first."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1, 0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return ValueError(f"unknown {what} {name!r}; {hint}known: {', '.join(known)}")


def loss(name: str, *, margin: float | None = None) -> Loss:
    """The row called `name`; `margin` is EBGAN's m. Raises ValueError, with the nearest name, if there is none."""
    if name not in LOSSES:
        raise nearest("loss", name, LOSSES)
    if margin is None:
        return LOSSES[name]
    if name != "ebgan":
        raise ValueError(f"loss {name!r} has no margin to set; only ebgan has")
    return ebgan(margin)


def alternative(row: Loss) -> Loss:
    """f-GAN's practical generator (Nowozin et al. 2016, section 3.2): minimise -E T(Gz) instead of -E f*(T(Gz)).

    For JS it is to the bound what non-saturating is to minimax. Raises ValueError for a row that is no f-GAN.
    """
    if not row.name.startswith("f-"):
        raise ValueError(f"alternative: {row.name} is not of the f-GAN family; choose one of f-...")
    return replace(row, generator=lambda fake, real=None: -mean(row.activation(fake)))
