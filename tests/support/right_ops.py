"""Ops, functions and Modules as users write them, without a mistake: what a check must let pass."""

import numpy as np

import minigan as mg
from minigan import functional as F
from minigan import nn
from minigan.ops.basic import sum_to

RIGHT: dict[str, object] = {}


def right(thing):
    """Register under its own name."""
    RIGHT[thing.__name__] = thing
    return thing


@right
class LeakyRelu(mg.Op):
    def forward(self, x):
        return np.where(x > 0, x, 0.2 * x)

    def vjp(self, node, need, g):
        return (mg.where(node.inputs[0] > 0, g, 0.2 * g),)


@right
class Abs(mg.Op):
    def forward(self, x):
        return np.abs(x)

    def vjp(self, node, need, g):
        return (g * mg.sign(node.inputs[0]),)


Abs_inputs = [(np.array([0.0, -1.0, 2.0, 0.0]),), (np.linspace(-2, 2, 12).reshape(3, 4),)]


@right
class RowMax(mg.Op):
    def forward(self, x):
        return x.max(-1)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        mask = (
            x == x.max(-1, keepdim=True)[0] if isinstance(x.max(-1, keepdim=True), tuple) else x == mg.amax(x, -1, True)
        )
        return (g.unsqueeze(-1) * mask.to(g.dtype),)


@right
class Softmax(mg.Op):
    saves_output = True

    def forward(self, x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def vjp(self, node, need, g):
        y = node.output()
        return (y * (g - (g * y).sum(-1, keepdim=True)),)


@right
def norm_at_zero(x):
    """A norm whose slope at 0 is 0."""
    return x.safe_norm((-1,))


norm_at_zero_inputs = [(np.zeros((2, 3)),), (np.linspace(-1, 1, 6).reshape(2, 3),)]


@right
class BatchNorm(mg.Op):
    def forward(self, x, gamma, beta):
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gamma + beta

    def vjp(self, node, need, g):
        x, gamma, _ = node.inputs
        n = x.shape[0]
        centred = x - x.mean(0)
        inv = 1 / ((centred**2).mean(0) + 1e-5).sqrt()
        normed = centred * inv
        d_beta, d_gamma = g.sum(0), (g * normed).sum(0)
        return gamma * inv * (g - d_beta / n - normed * d_gamma / n), d_gamma, d_beta


@right
class NormWithStatistics(nn.Module):
    """Running statistics are buffers: they move in forward, and a training pass does not read them."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.ones(3, np.float32))
        self.register_buffer("running_mean", mg.zeros(3))

    def forward(self, x):
        mean = x.mean((0, 2, 3), keepdim=True)
        with mg.no_grad():
            self.running_mean.assign(0.9 * self.running_mean + 0.1 * mean.detach().reshape(3))
        return (x - mean) * self.weight.reshape(1, 3, 1, 1)


@right
class Block(nn.Module):
    """A small convolutional network in training mode."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, 3, 3, 2, 1), nn.BatchNorm2d(3), nn.LeakyReLU(0.2), nn.Conv2d(3, 1, 2))

    def forward(self, x):
        return self.layers(x)


@right
class WithDropout(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 1))

    def forward(self, x):
        return self.layers(x)


@right
class SeededDropout(mg.Op):
    """The same mask for the same seed, in forward and vjp."""

    def __init__(self, seed=3):
        self.seed = seed

    def mask(self, shape):
        return (np.random.default_rng(self.seed).uniform(size=shape) < 0.7) / 0.7

    def forward(self, x):
        return (x * self.mask(x.shape)).astype(x.dtype)

    def vjp(self, node, need, g):
        return (g * mg.tensor(self.mask(g.shape).astype(g.dtype)),)


@right
class Gather(mg.Op):
    def forward(self, table, index):
        return table[index]

    def vjp(self, node, need, g):
        table, index = node.inputs
        one_hot = np.zeros((index.numel(), table.shape[0]))
        one_hot[np.arange(index.numel()), index.numpy().ravel()] = 1
        return mg.tensor(one_hot.T.astype(g.dtype)) @ g.reshape(index.numel(), -1), None


@right
def embedding_of(table, ids):
    return F.embedding(ids, table).tanh()


embedding_of_inputs = (np.linspace(-1, 1, 12).reshape(4, 3), np.array([1, 3, 3]))


@right
class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.linear = nn.Embedding(5, 4), nn.Linear(4, 2)

    def forward(self, labels):
        return self.linear(self.table(labels)).sigmoid()


@right
class LogSumExp(mg.Op):
    def forward(self, x):
        top = x.max(-1, keepdims=True)
        return (top + np.log(np.exp(x - top).sum(-1, keepdims=True))).squeeze(-1)

    def vjp(self, node, need, g):
        return (g.unsqueeze(-1) * F.softmax(node.inputs[0], -1),)


@right
def einsum_product(x, w):
    return mg.einsum("ij,kj->ik", x, w).tanh()


@right
def composition(x):
    y = (x * x + 1).log() * x.sigmoid()
    return (y - y.mean(-1, keepdim=True)) / (y.var(-1, keepdim=True) + 1.0).sqrt()


@right
class TwoOutputs(mg.Op):
    def forward(self, x):
        return x.mean(-1), (x * x).mean(-1)

    def vjp(self, node, need, g_mean, g_square):
        (x,) = node.inputs
        parts = []
        if g_mean is not None:
            parts.append(g_mean.unsqueeze(-1) * mg.ones_like(x) / x.shape[-1])
        if g_square is not None:
            parts.append(2 * g_square.unsqueeze(-1) * x / x.shape[-1])
        return (sum(parts[1:], parts[0]) if parts else None,)


@right
class Round(mg.Op):
    """Piecewise constant: its gradient is zero, which None says."""

    def forward(self, x):
        return np.round(3 * x) / 3

    def vjp(self, node, need, g):
        return (None,)


@right
class CountAbove(mg.Op):
    """A floating output and an integer one."""

    def forward(self, x):
        return x * x, (x > 0).sum(-1)

    def vjp(self, node, need, g, _):
        return (2 * g * node.inputs[0],)


@right
class Multiply(mg.Op):
    def forward(self, a, b):
        return a * b

    def vjp(self, node, need, g):
        a, b = node.inputs
        return sum_to(g * b, a.shape) if need[0] else None, sum_to(g * a, b.shape) if need[1] else None


@right
class BiasAdd(mg.Op):
    """For a bias of the width of x alone."""

    def forward(self, x, b):
        return x + b

    def vjp(self, node, need, g):
        return g, g.sum(0)


@right
class Matmul(mg.Op):
    def forward(self, a, b):
        return a @ b

    def vjp(self, node, need, g):
        a, b = node.inputs
        return g @ b.T, a.T @ g


@right
class Linear(mg.Op):
    def forward(self, x, w, b):
        return x @ w.T + b

    def vjp(self, node, need, g):
        x, w, _ = node.inputs
        return g @ w, g.T @ x, g.sum(0)


@right
class Log(mg.Op):
    def forward(self, x):
        return np.log(x)

    def vjp(self, node, need, g):
        return (g / node.inputs[0],)


@right
class ArcSine(mg.Op):
    def forward(self, x):
        return np.arcsin(x)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return (g / (1 - x * x).sqrt(),)


@right
class Inverse(mg.Op):
    saves_output = True

    def forward(self, x):
        return np.linalg.inv(x)

    def vjp(self, node, need, g):
        y = node.output()
        return (-(y.mT @ g @ y.mT),)


@right
class CubeByReference(mg.Op):
    def forward(self, x):
        return x**3

    def reference(self, x):
        return x * x * x


@right
def bce(p, label):
    """Cross-entropy of probabilities."""
    return -(label * p.log() + (1 - label) * (1 - p).log()).mean()


bce_inputs = (np.array([0.2, 0.7, 0.9]), np.array([0, 1, 1]))


@right
class Pool(mg.Op):
    """2 x 2 averages of images."""

    def forward(self, x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))

    def vjp(self, node, need, g):
        return (g.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4,)


Pool_inputs = (np.linspace(-1, 1, 32).reshape(1, 2, 4, 4),)


@right
def penalty(x, w):
    """A function that differentiates inside."""
    (slope,) = mg.grad(((x @ w).tanh() ** 2).sum(), x, create_graph=True)
    return ((slope**2).sum(-1).sqrt() - 1) ** 2


penalty_inputs = (np.linspace(-1, 1, 6).reshape(2, 3), np.linspace(0.3, 1.2, 6).reshape(3, 2))


@right
class Clamp(mg.Op):
    def forward(self, x):
        return np.clip(x, -1, 1)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return (g * ((x > -1) & (x < 1)).to(g.dtype),)


@right
class Exp(mg.Op):
    """In place, on a copy."""

    saves_output = True

    def forward(self, x):
        y = x.copy()
        np.exp(y, out=y)
        return y

    def vjp(self, node, need, g):
        return (g * node.output(),)


@right
def quantity(x, alpha):
    return x.clamp(min=0) * alpha + x.clamp(max=0)


@right
class WithSpectralNorm(nn.Module):
    """Its singular vectors follow the weights in training; the gradient takes them for constants."""

    def __init__(self):
        super().__init__()
        self.layer = nn.spectral_norm(nn.Linear(4, 3), generator=mg.Generator(0))

    def forward(self, x):
        return self.layer(x)


WithSpectralNorm_inputs = (np.linspace(-1, 1, 8).reshape(2, 4),)
