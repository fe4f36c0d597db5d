"""Ways for two players to step: simultaneous, alternating, looking ahead, optimistic, unrolled, by consensus.

Player i owns parameters theta_i and minimises L_i(theta_1, theta_2). The simultaneous gradient field is
v = (grad_1 L_1, grad_2 L_2); plain descent moves along -v, and where v rotates, as in min_x max_y xy, it
spirals outwards.

    lookahead / extragradient   w' = w - eta v(w - eta v(w))       Korpelevich 1976; the lecture's predictive step
    optimistic                  w' = w - eta (2 v(w_t) - v(w_{t-1}))   Daskalakis et al. 2018
    consensus                   both losses + gamma/2 ||v||^2             Mescheder et al. 2017
    unrolled                    G minimises L_G(theta, psi_k(theta)), psi_k = k steps of D   Metz et al. 2017
    two-time-scale              one learning rate per player              Heusel et al. 2017
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TypeVar

from ..autograd import Tensor, grad, no_grad
from ..creation import ones_like, zeros, zeros_like
from ..ops.elementary import square
from ..ops.reduce import sum
from ..optim import Adam, Optimizer

Params = Mapping[str, Tensor]
T = TypeVar("T")


def field(
    losses: Sequence[Tensor], players: Sequence[Sequence[Tensor]], create_graph: bool = False
) -> list[list[Tensor]]:
    """v: for each player the gradient of its own loss in its own parameters, zeros where a loss does not depend on one.

    losses: one scalar a player. players: one list of leaf tensors a player.
    """
    fields = []
    for loss, params in zip(losses, players, strict=True):
        gradients = grad(loss, list(params), create_graph=create_graph)
        fields.append([zeros_like(p) if g is None else g for g, p in zip(gradients, params, strict=True)])
    return fields


def set_gradients(players: Sequence[Sequence[Tensor]], gradients: Sequence[Sequence[Tensor]]) -> None:
    """Put the field into the parameters' .grad, where optimisers look for it."""
    for params, slopes in zip(players, gradients, strict=True):
        for p, g in zip(params, slopes, strict=True):
            p.grad = g.detach()


def by_way_of_samples(loss: Callable[[Tensor], Tensor], samples: Tensor, params: Sequence[Tensor]) -> tuple:
    """d loss(samples) / d params in two passes: dL/dx at the samples, then through the generator that made them.

    For a game of sum zero, minus the critic's own loss is the generator's: its gradient needs no frozen critic, only
    minus dL_D/dx, times 2 where L_D is written with halves. samples: recorded, from params. Returns grad's tuple.
    """
    x = samples.detach().requires_grad_()
    (slope,) = grad(loss(x), x)
    return grad(samples, list(params), grad_outputs=slope)


def consensus(losses: Sequence[Tensor], players: Sequence[Sequence[Tensor]]) -> Tensor:
    """1/2 ||v||^2 over all players, recorded: each player adds gamma times it to its own loss.

    It differentiates every loss twice in every parameter, so piecewise linear critics give it little to hold.
    """
    gradients = field(losses, players, create_graph=True)
    total = None
    for g in (g for slopes in gradients for g in slopes):
        total = sum(square(g)) if total is None else total + sum(square(g))
    return total / 2


def look_ahead(players: Sequence[Sequence[Tensor]], gradients: Callable[[], T], rates: Sequence[float | Tensor]) -> T:
    """Put the gradient at a predicted point into every .grad, and leave the parameters as they were: extragradient
    without its step. Returns what the second call of `gradients` returns.

    gradients: computes all players' .grad at the present parameters; it is called twice and must use the same samples
    both times. rates: of the step against its own gradient that leads each player to the predicted point.
    """
    gradients()
    with no_grad():
        old = [[p.clone() for p in params] for params in players]
        for params, rate in zip(players, rates, strict=True):
            for p in params:
                if p.grad is not None:
                    p.assign(p - rate * p.grad)
    figures = gradients()
    for params, values in zip(players, old, strict=True):
        for p, value in zip(params, values, strict=True):
            p.assign(value)
    return figures


def lookahead_step(optimisers: Sequence[Optimizer], gradients: Callable[[], T], rates: Sequence[float | Tensor]) -> T:
    """One extragradient step: the gradient is taken where `look_ahead` leads, and each optimiser then steps along it
    from the old point. Returns what the second call of `gradients` returns."""
    figures = look_ahead(
        [[p for group in o.param_groups for p in group["params"]] for o in optimisers], gradients, rates
    )
    for optimiser in optimisers:
        optimiser.step()
    return figures


class Optimistic:
    """Turns the gradients in .grad into 2 g_t - g_{t-1}; call `apply` before each of any optimiser's steps.

    The first step has no past and uses g_t. memory: where the past is kept, tensors by name: each gradient under
    `name` and its number, and under `name` whether there is one. A captured step can change them, and a checkpoint
    holds them.
    """

    def __init__(
        self, params: Sequence[Tensor], memory: MutableMapping[str, Tensor] | None = None, name: str = "past"
    ) -> None:
        self.params, self.name = list(params), name
        self.memory: MutableMapping[str, Tensor] = {} if memory is None else memory
        self.memory[name] = zeros(1, dtype=self.params[0].dtype)
        for k, p in enumerate(self.params):
            self.memory[f"{name}.{k}"] = zeros_like(p).detach()

    def apply(self) -> None:
        """Replace every .grad. Raises ValueError if a parameter has none."""
        missing = [i for i, p in enumerate(self.params) if p.grad is None]
        if missing:
            raise ValueError(f"Optimistic: parameters {missing} have no gradient; call it after the backward pass")
        known = self.memory[self.name]
        with no_grad():
            for k, p in enumerate(self.params):
                past, g = self.memory[f"{self.name}.{k}"], p.grad
                p.grad = g + known * (g - past)
                past.assign(g)
            known.assign(ones_like(known))


def unroll(params: Params, objective: Callable[[Params], Tensor], steps: int, lr: float) -> dict[str, Tensor]:
    """The discriminator's parameters after `steps` steps of gradient descent, as a differentiable function of all that
    `objective` depends on: the generator's gradient then passes through every step.

    params: name -> parameter that requires a gradient. objective: the discriminator's loss for such parameters, by
    nn.functional_call. Raises ValueError for a negative number of steps or a rate that is not positive.
    """
    if steps < 0 or not lr > 0:
        raise ValueError(f"unroll: needs steps >= 0 and lr > 0, got steps {steps}, lr {lr}")
    present = dict(params)
    for _ in range(steps):
        (gradients,) = field([objective(present)], [list(present.values())], create_graph=True)
        present = {name: p - lr * g for (name, p), g in zip(present.items(), gradients, strict=True)}
    return present


def two_time_scale(
    generator: Sequence[Tensor],
    critic: Sequence[Tensor],
    lr_g: float = 1e-4,
    lr_d: float = 4e-4,
    betas: tuple[float, float] = (0.0, 0.9),
) -> tuple[Adam, Adam]:
    """One Adam a player, the critic's the faster, in place of several critic steps (Heusel et al. 2017; the default
    rates are Zhang et al.'s, 2019)."""
    return Adam(generator, lr_g, betas), Adam(critic, lr_d, betas)
