"""The training steps in JAX: one jitted function from state to state, grad of grad, NHWC, Adam written out.

Batch norm's running averages are left out, which can only help JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from .workloads import ADAM, GP_WEIGHT, SLOPE, Layer, Workload, channels_last, start

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def set_num_threads(n: int) -> None:
    """Nothing: XLA's pool has as many threads as the process may use cores, which the worker has set."""


def build(work: Workload, variant: str) -> Callable[[], list]:
    """A function that does one training step and returns its losses. variant: jit."""
    arrays = start(work)
    critic, generator = (
        {name: jnp.asarray(a) for name, a in channels_last(values, weights=True).items()}
        for values in (arrays.critic, arrays.generator)
    )
    batch = {name: jnp.asarray(a) for name, a in channels_last(arrays.batch, weights=False).items()}
    critic_loss, generator_loss = LOSSES[work.loss]
    score, generate = partial(apply, work.critic), partial(apply, work.generator)
    update = partial(adam, *ADAM[work.loss])

    @partial(jax.jit, donate_argnums=0)
    def step(state, batch):
        t, critic, generator = state
        t = t + 1
        fake = generate(generator[0], batch["z_critic"]) if work.latent else batch["fake"]
        loss_d, slope = jax.value_and_grad(
            lambda weights: critic_loss(partial(score, weights), batch["real"], fake, batch.get("eps"))
        )(critic[0])
        critic = update(t, critic, slope)
        if not work.latent:
            return (t, critic, generator), [loss_d]
        loss_g, slope = jax.value_and_grad(
            lambda weights: generator_loss(score(critic[0], generate(weights, batch["z_generator"])))
        )(generator[0])
        return (t, critic, update(t, generator, slope)), [loss_d, loss_g]

    state = (jnp.zeros(()), _with_averages(critic), _with_averages(generator))

    def run():
        nonlocal state
        state, losses = step(state, batch)
        return losses

    return run


def _with_averages(weights: dict) -> tuple[dict, dict, dict]:
    return (weights, *({name: jnp.zeros_like(w) for name, w in weights.items()} for _ in range(2)))


def adam(lr: float, betas: tuple[float, float], t, state: tuple[dict, dict, dict], gradients: dict):
    """(weights, averages of g, averages of g^2) after step number t (Kingma & Ba 2015)."""
    first, second = betas
    weights, m, s = state
    m = {name: first * m[name] + (1 - first) * g for name, g in gradients.items()}
    s = {name: second * s[name] + (1 - second) * g**2 for name, g in gradients.items()}
    scale = {name: jnp.sqrt(s[name] / (1 - second**t)) + 1e-8 for name in weights}
    return {name: w - lr * m[name] / (1 - first**t) / scale[name] for name, w in weights.items()}, m, s


def apply(layers: list[Layer], weights: dict, x: jax.Array) -> jax.Array:
    """The network on x, (N, H, W, C) or (N, features)."""
    for i, layer in enumerate(layers):
        weight, bias = weights.get(f"{i}.weight"), weights.get(f"{i}.bias")
        if layer.kind == "batch_norm":
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            x = (x - mean) * (weight * lax.rsqrt(variance + 1e-5)) + bias
            continue
        if layer.kind in ACTIVATIONS:
            x = ACTIVATIONS[layer.kind](x)
            continue
        strides = (layer.stride,) * 2
        if layer.kind == "linear":
            x = x @ weight
        elif layer.kind == "conv":
            padding = [(layer.padding,) * 2] * 2
            x = lax.conv_general_dilated(x, weight, strides, padding, dimension_numbers=DIMENSIONS)
        else:
            padding = [(3 - layer.padding,) * 2] * 2
            x = lax.conv_transpose(x, weight, strides, padding, dimension_numbers=DIMENSIONS, transpose_kernel=True)
        x = x if bias is None else x + bias
    return x


ACTIVATIONS = {"leaky_relu": partial(jax.nn.leaky_relu, negative_slope=SLOPE), "relu": jax.nn.relu, "tanh": jnp.tanh}


def wgan_gp(critic, real, fake, eps):
    """E f(G z) - E f(x) + lambda E (||grad f(x_hat)|| - 1)^2."""
    slope = jax.grad(lambda x: critic(x).sum())(fake + eps * (real - fake))
    norms = jnp.sqrt((slope**2).sum(range(1, slope.ndim)))
    return critic(fake).mean() - critic(real).mean() + GP_WEIGHT * ((norms - 1) ** 2).mean()


def non_saturating(critic, real, fake, _):
    """-E ln D(x) - E ln(1 - D(G z)), from logits."""
    return jax.nn.softplus(-critic(real)).mean() + jax.nn.softplus(critic(fake)).mean()


LOSSES = {
    "wgan-gp": (wgan_gp, lambda scores: -scores.mean()),
    "non-saturating": (non_saturating, lambda scores: jax.nn.softplus(-scores).mean()),
}
