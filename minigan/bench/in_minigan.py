"""The training steps in minigan, captured (each step replays a recorded plan) or eager."""

from __future__ import annotations

from collections.abc import Callable

import minigan as mg
from minigan import functional as F
from minigan import nn, optim
from minigan.kernels.load import set_num_threads

from .workloads import ADAM, GP_WEIGHT, Workload, sequential, start

__all__ = ["build", "set_num_threads"]


def build(work: Workload, variant: str) -> Callable[[], list]:
    """A function that does one training step and returns its losses. variant: captured or eager."""
    arrays = start(work)
    critic, generator = sequential(nn, work.critic), sequential(nn, work.generator)
    critic.load_state_dict(arrays.critic, strict=False)
    generator.load_state_dict(arrays.generator, strict=False)
    batch = {name: mg.tensor(array) for name, array in arrays.batch.items()}
    lr, betas = ADAM[work.loss]
    critic_loss, generator_loss = LOSSES[work.loss]
    critic_weights = list(critic.parameters())
    optim_d = optim.Adam(critic_weights, lr, betas)
    optim_g = optim.Adam(generator.parameters(), lr, betas) if work.latent else None

    def critic_step():
        if work.latent:
            with mg.no_grad():
                fake = generator(batch["z_critic"])
        else:
            fake = batch["fake"]
        loss = critic_loss(critic, batch["real"], fake, batch.get("eps"))
        optim_d.zero_grad()
        loss.backward(inputs=critic_weights)
        optim_d.step()
        return loss

    def generator_step():
        critic.requires_grad_(False)
        loss = generator_loss(critic(generator(batch["z_generator"])))
        optim_g.zero_grad()
        loss.backward()
        optim_g.step()
        critic.requires_grad_(True)
        return loss

    steps = [critic_step, generator_step] if work.latent else [critic_step]

    def step():
        return [part() for part in steps]

    return mg.capture(step) if variant == "captured" else step


def wgan_gp(critic, real, fake, eps):
    """E f(G z) - E f(x) + lambda E (||grad f(x_hat)|| - 1)^2."""
    points = (fake + eps * (real - fake)).requires_grad_()
    (slope,) = mg.grad(critic(points).sum(), points, create_graph=True)
    norms = slope.safe_norm(tuple(range(1, slope.ndim)))
    return critic(fake).mean() - critic(real).mean() + GP_WEIGHT * ((norms - 1) ** 2).mean()


def non_saturating(critic, real, fake, _):
    """-E ln D(x) - E ln(1 - D(G z)), from logits."""
    return F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()


LOSSES = {
    "wgan-gp": (wgan_gp, lambda scores: -scores.mean()),
    "non-saturating": (non_saturating, lambda scores: F.softplus(-scores).mean()),
}
