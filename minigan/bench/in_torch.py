"""The training steps in PyTorch: eager, channels_last (with the fused Adam), and compiled (on top of both).

torch.compile cannot differentiate a compiled function twice. WGAN-GP's critic loss and all its gradients are therefore
compiled as one function by torch.func, in which batch norm's running averages are left out (they cannot be changed).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call, grad, grad_and_value, replace_all_batch_norm_modules_
from torch.nn import functional as F

from .workloads import ADAM, GP_WEIGHT, Workload, sequential, start

set_num_threads = torch.set_num_threads


def build(work: Workload, variant: str, where: str = "cpu") -> Callable[[], list]:
    """A function that does one training step and returns its losses. variant: eager, channels_last or compile. where:
    the device of PyTorch's that holds the networks and the batch."""
    arrays = start(work)
    layout = torch.channels_last if variant != "eager" and len(work.shape) > 1 else torch.preserve_format
    critic, generator = (
        sequential(nn, layers).to(where, memory_format=layout) for layers in (work.critic, work.generator)
    )
    for network, values in ((critic, arrays.critic), (generator, arrays.generator)):
        network.load_state_dict({name: torch.from_numpy(a) for name, a in values.items()}, strict=False)
    batch = {name: torch.from_numpy(a).to(where, memory_format=layout) for name, a in arrays.batch.items()}
    lr, betas = ADAM[work.loss]
    fused = True if variant != "eager" else None
    critic_loss, generator_loss = LOSSES[work.loss]
    critic_weights = list(critic.parameters())
    optim_d = torch.optim.Adam(critic_weights, lr, betas, fused=fused)
    optim_g = torch.optim.Adam(generator.parameters(), lr, betas, fused=fused) if work.latent else None
    backward = None
    if variant == "compile":
        backward = compiled_wgan_gp(critic) if work.loss == "wgan-gp" else None
        critic, generator = torch.compile(critic), torch.compile(generator)

    def critic_step():
        if work.latent:
            with torch.no_grad():
                fake = generator(batch["z_critic"])
        else:
            fake = batch["fake"]
        optim_d.zero_grad()
        if backward:
            loss = backward(batch["real"], fake, batch["eps"])
        else:
            loss = critic_loss(critic, batch["real"], fake, batch.get("eps"))
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
    return lambda: [step().detach() for step in steps]


def wgan_gp(critic, real, fake, eps):
    """E f(G z) - E f(x) + lambda E (||grad f(x_hat)|| - 1)^2."""
    points = (fake + eps * (real - fake)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    norms = slope.flatten(1).norm(2, dim=1)
    return critic(fake).mean() - critic(real).mean() + GP_WEIGHT * ((norms - 1) ** 2).mean()


def compiled_wgan_gp(critic: nn.Module) -> Callable:
    """A function of (real, fake, eps) that returns the same loss and leaves the gradients in .grad."""
    replace_all_batch_norm_modules_(critic)
    weights = dict(critic.named_parameters())

    def loss(weights, real, fake, eps):
        def score(x):
            return functional_call(critic, weights, (x,))

        slope = grad(lambda x: score(x).sum())(fake + eps * (real - fake))
        norms = slope.flatten(1).norm(2, dim=1)
        return score(fake).mean() - score(real).mean() + GP_WEIGHT * ((norms - 1) ** 2).mean()

    compiled = torch.compile(grad_and_value(loss))

    def backward(real, fake, eps):
        gradients, value = compiled(weights, real, fake, eps)
        for name, p in weights.items():
            p.grad = gradients[name]
        return value

    return backward


def non_saturating(critic, real, fake, _):
    """-E ln D(x) - E ln(1 - D(G z)), from logits."""
    return F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()


LOSSES = {
    "wgan-gp": (wgan_gp, lambda scores: -scores.mean()),
    "non-saturating": (non_saturating, lambda scores: F.softplus(-scores).mean()),
}
