"""The training steps in TensorFlow: tf.function, nested GradientTape, NHWC, the fused kernels of batch norm and Adam.

Batch norm's running averages are left out, which can only help TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from .workloads import ADAM, GP_WEIGHT, SLOPE, Layer, Workload, channels_last, start


def set_num_threads(n: int) -> None:
    """The threads within one op, and the ops at a time; to be called before anything is computed."""
    tf.config.threading.set_intra_op_parallelism_threads(n)
    tf.config.threading.set_inter_op_parallelism_threads(n)


def build(work: Workload, variant: str) -> Callable[[], list]:
    """A function that does one training step and returns its losses. variant: function."""
    arrays = start(work)
    critic, generator = (
        {name: tf.Variable(a) for name, a in channels_last(values, weights=True).items()}
        for values in (arrays.critic, arrays.generator)
    )
    batch = {name: tf.constant(a) for name, a in channels_last(arrays.batch, weights=False).items()}
    optim_d, optim_g = Adam(critic.values(), *ADAM[work.loss]), Adam(generator.values(), *ADAM[work.loss])
    critic_loss, generator_loss = LOSSES[work.loss]

    def generate(z):
        return apply(work.generator, generator, z)

    def score(x):
        return apply(work.critic, critic, x)

    # The batch is an argument: what a tf.function closes over is a constant, and constants are folded.
    @tf.function
    def step(batch):
        fake = generate(batch["z_critic"]) if work.latent else batch["fake"]
        with tf.GradientTape() as tape:
            loss_d = critic_loss(score, batch["real"], fake, batch.get("eps"))
        optim_d.step(tape.gradient(loss_d, list(critic.values())))
        if not work.latent:
            return [loss_d]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(generator.values()))
            loss_g = generator_loss(score(generate(batch["z_generator"])))
        optim_g.step(tape.gradient(loss_g, list(generator.values())))
        return [loss_d, loss_g]

    return lambda: step(batch)


class Adam:
    """Adam by TensorFlow's fused kernel, one call a variable."""

    def __init__(self, variables, lr: float, betas: tuple[float, float]) -> None:
        self.variables, self.lr, self.betas = list(variables), lr, betas
        self.averages = [(tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v))) for v in self.variables]
        self.powers = [tf.Variable(1.0), tf.Variable(1.0)]

    def step(self, gradients) -> None:
        """Move every variable."""
        powers = [p.assign(p * beta) for p, beta in zip(self.powers, self.betas, strict=True)]
        for v, (m, s), g in zip(self.variables, self.averages, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=v.handle,
                m=m.handle,
                v=s.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=self.lr,
                beta1=self.betas[0],
                beta2=self.betas[1],
                epsilon=1e-8,
                grad=g,
            )


def apply(layers: list[Layer], weights: dict, x: tf.Tensor) -> tf.Tensor:
    """The network on x, (N, H, W, C) or (N, features)."""
    for i, layer in enumerate(layers):
        weight, bias = weights.get(f"{i}.weight"), weights.get(f"{i}.bias")
        if layer.kind == "batch_norm":
            x = tf.compat.v1.nn.fused_batch_norm(x, weight, bias, epsilon=1e-5)[0]
            continue
        if layer.kind in ACTIVATIONS:
            x = ACTIVATIONS[layer.kind](x)
            continue
        padding = "SAME" if layer.padding else "VALID"
        if layer.kind == "linear":
            x = tf.matmul(x, weight)
        elif layer.kind == "conv":
            x = tf.nn.conv2d(x, weight, layer.stride, padding)
        else:
            size = x.shape[1] * 2 if layer.padding else x.shape[1] + 3
            x = tf.nn.conv2d_transpose(x, weight, (x.shape[0], size, size, layer.outputs), layer.stride, padding)
        x = x if bias is None else tf.nn.bias_add(x, bias)
    return x


ACTIVATIONS = {"leaky_relu": lambda x: tf.nn.leaky_relu(x, SLOPE), "relu": tf.nn.relu, "tanh": tf.tanh}


def wgan_gp(critic, real, fake, eps):
    """E f(G z) - E f(x) + lambda E (||grad f(x_hat)|| - 1)^2."""
    points = fake + eps * (real - fake)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(points)
        score = tf.reduce_sum(critic(points))
    slope = tape.gradient(score, points)
    norms = tf.sqrt(tf.reduce_sum(slope**2, axis=list(range(1, len(slope.shape)))))
    penalty = tf.reduce_mean((norms - 1) ** 2)
    return tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(real)) + GP_WEIGHT * penalty


def non_saturating(critic, real, fake, _):
    """-E ln D(x) - E ln(1 - D(G z)), from logits."""
    return tf.reduce_mean(tf.nn.softplus(-critic(real))) + tf.reduce_mean(tf.nn.softplus(critic(fake)))


LOSSES = {
    "wgan-gp": (wgan_gp, lambda scores: -tf.reduce_mean(scores)),
    "non-saturating": (non_saturating, lambda scores: tf.reduce_mean(tf.nn.softplus(-scores))),
}
