"""Penalties on the slope of a critic, the reason this engine has gradients of gradients.

    lambda E[(||grad_x f(x_hat)||_2 - 1)^2],    x_hat = eps x + (1 - eps) G(z),  one eps per sample

(Gulrajani et al. 2017, eq. 3) and its relatives, in the table PENALTIES: at which points the slope is taken, a function
of (real, fake, eps), and what of it is penalised. The norm runs over ALL axes but the batch. A penalty's gradient with
respect to the critic's weights differentiates grad_x f, itself computed by a backward pass: d/dw of d/dx.

A penalty that pulls towards slope 0 is the sum of squares itself, never the square of a root: the two are equal, but
the root's derivatives at slope 0 are defined as zero, so the square's curvature there would be 0 instead of 2.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from minigan import kernels

from ..autograd import Op, Tensor, array_of, grad, no_grad
from ..backend import on
from ..functional import relu
from ..ops.basic import eq, where
from ..ops.elementary import sqrt, square
from ..ops.index import cat
from ..ops.reduce import mean, safe_norm, sum
from .losses import identity, nearest


def interpolate(real: Tensor, fake: Tensor, eps: Tensor | None, attached: bool = False) -> Tensor:
    """eps x + (1 - eps) G(z), a new leaf that requires a gradient. eps: (N, 1, ...), one number a sample.

    attached, here and below: on the graph of the samples instead, for a G that looks through D's gradient, whose own
    gradient passes through the points, too. Raises ValueError if the shapes differ or eps is not one number per sample.
    """
    if eps is None:
        raise ValueError("a penalty taken at interpolates: give eps of shape (N, 1, ...), one number per sample")
    if real.shape != fake.shape:
        raise ValueError(f"interpolate: real {real.shape} and fake {fake.shape} must have one shape")
    if eps.shape != (real.shape[0],) + (1,) * (real.ndim - 1):
        raise ValueError(
            f"interpolate: eps must have shape {(real.shape[0],) + (1,) * (real.ndim - 1)}, got {eps.shape}"
        )
    with nullcontext() if attached else no_grad():
        return _wanted(Mix()(real, fake, eps))


def _wanted(points: Tensor) -> Tensor:
    """The points, their gradient asked for where no graph asks for it."""
    return points if points.requires_grad else points.requires_grad_()


class Mix(Op):
    """y = fake + eps (x - fake), eps being one number a sample: the penalty's points, in one pass
    dL/dx = eps g
    dL/dfake = (1 - eps) g
    dL/deps = the sum of g (x - fake) over each sample"""

    name = "mix"

    def forward(self, x, fake, eps):
        return kernels.mix.mix(*_alike(x, fake, eps))

    def prepare(self, work, inputs, outputs):
        if len({array.dtype for array in (*inputs, *outputs)}) > 1:
            super().prepare(work, inputs, outputs)
        else:
            kernels.mix.mix(*_alike(*inputs), out=outputs[0], work=work)

    def reference(self, x, fake, eps):
        return fake + eps * (x - fake)


def _alike(x: np.ndarray, fake: np.ndarray, eps: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays in one dtype, eps as a line."""
    dtype = np.result_type(x.dtype, fake.dtype, eps.dtype)
    return tuple(a if a.dtype == dtype else a.astype(dtype) for a in (x, fake, eps.reshape(-1)))


def gradient_norm(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """||grad_x f(x)||_2 per sample, shape (N,), recorded, so that it can be differentiated again. x is a leaf that
    requires a gradient."""
    # learn: gradient-norm begin
    (slope,) = grad(sum(critic(x)), x, create_graph=True)
    if slope is None:  # a critic that ignores its input has slope zero
        return Tensor(on(array_of(x), np.zeros(x.shape[0], x.dtype)))
    return safe_norm(slope, tuple(range(1, x.ndim)))
    # learn: gradient-norm end


def squared_slopes(outputs: Tensor, x: Tensor) -> Tensor:
    """||grad_x f(x)||_2^2 per sample, shape (N,), recorded, for outputs f(x) recorded from x (N, ...)."""
    (slope,) = grad(sum(outputs), x, create_graph=True)
    if slope is None:
        return Tensor(on(array_of(x), np.zeros(x.shape[0], x.dtype)))
    return sum(slope * slope, tuple(range(1, x.ndim)))


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor]:
    """(E[(||grad f(x_hat)|| - 1)^2], E ||grad f(x_hat)||) on the interpolates: the penalty without its weight lambda,
    and the mean norm.

    real, fake: (N, ...) of one shape; eps: (N, 1, ...) uniform on [0, 1).
    """
    # learn: gradient-penalty begin
    norms = gradient_norm(critic, interpolate(real, fake, eps))
    return mean(square(norms - 1)), mean(norms)
    # learn: gradient-penalty end


def at_reals(real: Tensor, fake: Tensor, eps: Tensor | None = None, attached: bool = False) -> Tensor:
    """The reals, a new leaf that requires a gradient."""
    return real.detach().requires_grad_()


def at_fakes(real: Tensor, fake: Tensor, eps: Tensor | None = None, attached: bool = False) -> Tensor:
    """The samples, a new leaf that requires a gradient."""
    return fake if attached and fake.requires_grad else fake.detach().requires_grad_()


def at_both(real: Tensor, fake: Tensor, eps: Tensor | None = None, attached: bool = False) -> Tensor:
    """The reals and the samples behind them (2N, ...), a new leaf that requires a gradient: one batch, one backward."""
    with nullcontext() if attached else no_grad():
        return _wanted(cat([real, fake]))


@dataclass(frozen=True)
class Penalty:
    """One row of PENALTIES.

    points(real, fake, eps, attached): where the slope is taken (N, ...), (2N, ...) at reals and samples both.
    of: what is penalised at each point, given the squared norms of the slopes there. weight: the usual lambda.
    shared: "real", "fake": of which batches the points are the images themselves, in this order, so that the loss's own
        outputs there serve the penalty too (`of_outputs`); none for points between them.
    """

    name: str
    points: Callable[..., Tensor]
    of: Callable[[Tensor], Tensor]
    weight: float
    formula: str
    paper: str
    shared: tuple[str, ...] = ()

    @property
    def target(self) -> float:
        """The slope that it pulls to, or below."""
        return float(self.of in (_from_one, _above_one))

    @property
    def place(self) -> str:
        """Where the slope is taken, in words."""
        return " and ".join(f"at {kind}s" for kind in self.shared) or "between reals and fakes"

    def __call__(
        self,
        critic: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        eps: Tensor | None = None,
        attached: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """(the penalty without its weight, the mean norm of the slope), both scalars.

        real, fake: (N, ...) of one shape; eps: (N, 1, ...) uniform on [0, 1), needed at interpolates only, where its
        absence is a ValueError. The critic is asked about N points at a time, so that it may go by a condition of each.
        """
        x, count = self.points(real, fake, eps, attached), real.shape[0]
        outputs = critic(x) if len(x) == count else cat([critic(x[:count]), critic(x[count:])])
        return self.of_outputs(outputs, x)

    def of_outputs(self, outputs: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same for a critic's outputs recorded from `points` x: a loss that reads those very outputs shares their
        forward pass with the penalty."""
        squares = squared_slopes(outputs, x)
        return mean(self.of(squares)), mean(sqrt(squares.detach()))


def _norm(squares: Tensor) -> Tensor:
    """The root, its derivatives zero at zero, as safe_norm's are."""
    zero = eq(squares, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, squares)))


def _half(squares: Tensor) -> Tensor:
    return squares / 2


def _above_one(squares: Tensor) -> Tensor:
    return square(relu(_norm(squares) - 1))


def _from_one(squares: Tensor) -> Tensor:
    return square(_norm(squares) - 1)


PENALTIES: dict[str, Penalty] = {
    row.name: row
    for row in (
        Penalty(
            "two-sided", interpolate, _from_one, 10.0, "E (||grad f(x_hat)|| - 1)^2", "Gulrajani et al. 2017, eq. 3"
        ),
        Penalty(
            "one-sided", interpolate, _above_one, 10.0, "E max(0, ||grad f(x_hat)|| - 1)^2", "Petzka et al. 2018, eq. 8"
        ),
        Penalty("zero-centred", interpolate, identity, 10.0, "E ||grad f(x_hat)||^2", "Thanh-Tung et al. 2019, eq. 7"),
        Penalty("r1", at_reals, _half, 10.0, "1/2 E ||grad f(x)||^2", "Mescheder et al. 2018, eq. 9", ("real",)),
        Penalty("r2", at_fakes, _half, 10.0, "1/2 E ||grad f(Gz)||^2", "Mescheder et al. 2018, eq. 10", ("fake",)),
        Penalty(  # two halves, each a mean over N, are the mean over all 2N
            "r1+r2",
            at_both,
            identity,
            1.0,
            "1/2 E ||grad f(x)||^2 + 1/2 E ||grad f(Gz)||^2",
            "Huang et al. 2024 (R3GAN), eq. 3 and 4",
            ("real", "fake"),
        ),
    )
}


def penalty(name: str) -> Penalty:
    """The row called `name`. Raises ValueError, with the nearest name, if there is none."""
    if name not in PENALTIES:
        raise nearest("penalty", name, PENALTIES)
    return PENALTIES[name]
