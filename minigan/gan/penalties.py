"""The gradient penalty of WGAN-GP, the reason this engine has gradients of gradients.

    lambda E[(||grad_x f(x_hat)||_2 - 1)^2],    x_hat = eps x + (1 - eps) G(z),  one eps per sample

(Gulrajani et al. 2017, eq. 3). The norm runs over ALL axes but the batch. Its gradient with respect to the critic's
weights differentiates grad_x f, itself computed by a backward pass: d/dw of d/dx.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..autograd import Tensor, array_of, grad, no_grad
from ..backend import on
from ..ops_basic import square
from ..ops_reduce import mean, safe_norm, sum


def interpolate(real: Tensor, fake: Tensor, eps: Tensor) -> Tensor:
    """eps x + (1 - eps) G(z), a new leaf that requires a gradient. eps: (N, 1, ...), one number a sample.

    Raises ValueError if the shapes differ or eps is not one number per sample.
    """
    if real.shape != fake.shape:
        raise ValueError(f"interpolate: real {real.shape} and fake {fake.shape} must have one shape")
    if eps.shape != (real.shape[0],) + (1,) * (real.ndim - 1):
        raise ValueError(
            f"interpolate: eps must have shape {(real.shape[0],) + (1,) * (real.ndim - 1)}, got {eps.shape}"
        )
    with no_grad():
        mixed = fake + eps * (real - fake)
    return mixed.requires_grad_()


def gradient_norm(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """||grad_x f(x)||_2 per sample, shape (N,), recorded, so that it can be differentiated again. x is a leaf that
    requires a gradient."""
    (slope,) = grad(sum(critic(x)), x, create_graph=True)
    if slope is None:  # a critic that ignores its input has slope zero
        return Tensor(on(array_of(x), np.zeros(x.shape[0], x.dtype)))
    return safe_norm(slope, tuple(range(1, x.ndim)))


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor]:
    """(E[(||grad f(x_hat)|| - 1)^2], E ||grad f(x_hat)||) on the interpolates: the penalty without its weight lambda,
    and the mean norm.

    real, fake: (N, ...) of one shape; eps: (N, 1, ...) uniform on [0, 1).
    """
    norms = gradient_norm(critic, interpolate(real, fake, eps))
    return mean(square(norms - 1)), mean(norms)
