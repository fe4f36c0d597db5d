"""Ops, functions and Modules as users write them, each with one mistake: the kind stands in `WRONG`."""

import numpy as np

import minigan as mg
from minigan import nn
from minigan.ops.basic import sum_to

WRONG: dict[str, object] = {}


def wrong(kind: str):
    """Register under its own name; `kind` is the mistake."""

    def register(thing):
        thing.mistake = kind
        WRONG[thing.__name__] = thing
        return thing

    return register


class Rule(mg.Op):
    """An op of one input whose vjp is g times `slope(x)`."""

    def vjp(self, node, need, g):
        return (g * self.slope(node.inputs[0]),)


@wrong("missing factor")
class Square(Rule):
    def forward(self, x):
        return x * x

    def slope(self, x):
        return x


@wrong("missing factor")
class Gelu(Rule):
    def forward(self, x):
        return x / (1 + np.exp(-1.702 * x))

    def slope(self, x):
        s = (1.702 * x).sigmoid()
        return s + x * s * (1 - s)


@wrong("missing factor")
class Mean(mg.Op):
    def forward(self, x):
        return x.mean(-1)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return (g.unsqueeze(-1) * mg.ones_like(x),)


@wrong("missing factor")
class HalfMse(mg.Op):
    """Two inputs, the second one's sign forgotten."""

    def forward(self, x, y):
        return ((x - y) ** 2).sum()

    def vjp(self, node, need, g):
        x, y = node.inputs
        return g * 2 * (x - y), g * 2 * (x - y)


@wrong("missing factor")
class CubeByReference(mg.Op):
    def forward(self, x):
        return x**3

    def reference(self, x):
        return x * x * x * 0.999


@wrong("wrong axis")
class Softmax(mg.Op):
    saves_output = True

    def forward(self, x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def vjp(self, node, need, g):
        y = node.output()
        return (y * (g - (g * y).sum(0, keepdim=True)),)


@wrong("wrong axis")
class Center(mg.Op):
    def forward(self, x):
        return x - x.mean(0)

    def vjp(self, node, need, g):
        return (g - g.mean(-1, keepdim=True),)


@wrong("wrong axis")
class RowNorm(mg.Op):
    def forward(self, x):
        return np.sqrt((x * x).sum(1) + 1e-6)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return (g.unsqueeze(1) * x / (x * x).sum(0, keepdim=True).sqrt(),)


@wrong("wrong axis")
class Flip(mg.Op):
    def forward(self, x):
        return x[..., ::-1].copy()

    def vjp(self, node, need, g):
        return (mg.flip(g, [0]),)


@wrong("forgotten sum")
class Add(mg.Op):
    def forward(self, a, b):
        return a + b

    def vjp(self, node, need, g):
        return g, g


@wrong("forgotten sum")
class Multiply(mg.Op):
    def forward(self, a, b):
        return a * b

    def vjp(self, node, need, g):
        a, b = node.inputs
        return sum_to(g * b, a.shape), g * a


@wrong("forgotten sum")
class Scale(mg.Op):
    """x s, s of one element: the first element of the gradient instead of the sum."""

    def forward(self, x, scale):
        return x * scale

    def vjp(self, node, need, g):
        x, s = node.inputs
        product = g * x
        return sum_to(g * s, x.shape), product if product.shape == s.shape else product.reshape(-1)[
            : s.numel()
        ].reshape(s.shape)


Scale_inputs = (np.linspace(-1, 1, 12).reshape(3, 4), np.array([0.7]))


@wrong("forgotten sum")
class LinearOp(mg.Op):
    def forward(self, x, w, b):
        return x @ w + b

    def vjp(self, node, need, g):
        x, w, _ = node.inputs
        return g @ w.T, x.T @ g, g[0]


@wrong("constant second order")
class Sigmoid(mg.Op):
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def vjp(self, node, need, g):
        return (g * mg.tensor(self.y * (1 - self.y)),)


@wrong("constant second order")
class Swish(Rule):
    def forward(self, x):
        return x / (1 + np.exp(-x))

    def slope(self, x):
        s = x.sigmoid().detach()
        return s + x * s * (1 - s)


@wrong("constant second order")
class Log(mg.Op):
    def forward(self, x):
        return np.log(x)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return (mg.Tensor(g.numpy() / x.numpy()),)


@wrong("constant second order")
class CotangentDetached(Rule):
    def forward(self, x):
        return np.sin(x)

    def vjp(self, node, need, g):
        return (g.detach() * node.inputs[0].cos(),)


@wrong("constant second order")
class BatchNormConstant(mg.Op):
    """DeZero's: the statistics are held constant in the second derivative."""

    def forward(self, x, gamma, beta):
        mean, var = x.mean(0), x.var(0)
        self.inv = 1 / np.sqrt(var + 1e-5)
        self.normed = (x - mean) * self.inv
        return self.normed * gamma + beta

    def vjp(self, node, need, g):
        x, gamma, _ = node.inputs
        n, normed, inv = x.shape[0], mg.tensor(self.normed), mg.tensor(self.inv)
        d_beta, d_gamma = g.sum(0), (g * normed).sum(0)
        return gamma * inv * (g - d_beta / n - normed * d_gamma / n), d_gamma, d_beta


BatchNormConstant_inputs = lambda: (np.random.default_rng(0).normal(size=(5, 3)), np.ones(3), np.zeros(3))  # noqa: E731


@wrong("constant second order")
def normalised(x):
    """A function: the norm is detached."""
    return x / (x.detach() ** 2).sum(-1, keepdim=True).sqrt()


@wrong("stale statistics")
class RunningNorm(mg.Op):
    """Divides by a running deviation that every call moves."""

    def __init__(self):
        self.running = 1.0

    def forward(self, x):
        self.running = 0.9 * self.running + 0.1 * float(x.std())
        return x / self.running

    def vjp(self, node, need, g):
        return (g / self.running,)


@wrong("stale statistics")
class FirstBatch(mg.Op):
    """The mean of the first call, for ever."""

    def __init__(self):
        self.mean = None

    def forward(self, x):
        if self.mean is None:
            self.mean = float(x.mean())
        return x - self.mean

    def vjp(self, node, need, g):
        return (g,)


@wrong("stale statistics")
class LastInput(mg.Op):
    """Right, unless the op is called again before backward."""

    def forward(self, x):
        self.x = mg.Tensor(x.copy())
        return x**3

    def vjp(self, node, need, g):
        return (g * 3 * node.inputs[0] ** 2 * (self.x / node.inputs[0]),)


@wrong("stale statistics")
class VjpMoves(mg.Op):
    """The running mean moves in vjp."""

    def __init__(self):
        self.scale = 1.0

    def forward(self, x):
        return np.tanh(x)

    def vjp(self, node, need, g):
        self.scale *= 0.999
        return (g * (1 - node.inputs[0].tanh() ** 2) * self.scale,)


@wrong("stale statistics")
class StaleModule(nn.Module):
    """Normalises by attributes that are no buffers."""

    def __init__(self, width=4):
        super().__init__()
        self.linear = nn.Linear(width, 3)
        self.mean = 0.0

    def forward(self, x):
        y = self.linear(x)
        self.mean = 0.5 * self.mean + 0.5 * float(y.detach().numpy().mean())
        return y - self.mean


@wrong("one wrong element")
class LastElement(mg.Op):
    def forward(self, x):
        return np.exp(x)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        mask = np.ones(x.shape)
        mask.flat[-1] = 0.99
        return (g * x.exp() * mg.tensor(mask, dtype=x.dtype),)


@wrong("one wrong element")
class Diagonal(mg.Op):
    def forward(self, x):
        return np.trace(x)

    def vjp(self, node, need, g):
        (x,) = node.inputs
        eye = np.eye(x.shape[0])
        eye[1, 1] = 0.5
        return (g * mg.tensor(eye, dtype=x.dtype),)


@wrong("one wrong element")
class CumulativeSum(mg.Op):
    """Off by one: exclusive instead of inclusive."""

    def forward(self, x):
        return np.cumsum(x, -1)

    def vjp(self, node, need, g):
        reverse = mg.flip(mg.cumsum(mg.flip(g, [-1]), -1), [-1])
        return (mg.cat([reverse[..., :-1], 0.9 * reverse[..., -1:]], -1),)


@wrong("one wrong element")
class ZeroEdge(nn.Module):
    """A Module: one weight gets no gradient."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.linspace(0.5, 1.5, 12).reshape(4, 3).astype(np.float32))

    def forward(self, x):
        mask = np.zeros((4, 3))
        mask[2, 1] = 1
        mask = mg.tensor(mask, dtype=x.dtype)
        return (x @ (self.weight * (1 - mask) + self.weight.detach() * mask)).tanh()


@wrong("wrong branch")
class LeakyRelu(Rule):
    def forward(self, x):
        return np.where(x > 0, x, 0.2 * x)

    def slope(self, x):
        return mg.where(x > 0.5, mg.ones_like(x), 0.2 * mg.ones_like(x))


@wrong("wrong branch")
class Huber(Rule):
    def forward(self, x):
        return np.where(np.abs(x) < 1, 0.5 * x * x, np.abs(x) - 0.5)

    def slope(self, x):
        return mg.where(x < 1, x, mg.ones_like(x))


@wrong("wrong branch")
class Softplus(Rule):
    """Wrong only beyond its threshold."""

    def forward(self, x):
        return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20))))

    def slope(self, x):
        return mg.where(x > 10, 0.5 * x.sigmoid(), x.sigmoid())


@wrong("wrong branch")
class Maximum(mg.Op):
    def forward(self, a, b):
        return np.maximum(a, b)

    def vjp(self, node, need, g):
        a, b = node.inputs
        first = (a < b).to(g.dtype) if hasattr(a, "to") else a < b
        return sum_to(g * first, a.shape), sum_to(g * (1 - first), b.shape)


@wrong("wrong branch")
class InSinglePrecision(Rule):
    """Another formula for float32."""

    def forward(self, x):
        return np.tanh(x) if x.dtype == np.float64 else np.tanh(x) * np.float32(0.98)

    def slope(self, x):
        return 1 - x.tanh() ** 2


@wrong("non-deterministic")
class Noisy(mg.Op):
    def forward(self, x):
        return x + 1e-9 * np.random.standard_normal(x.shape)

    def vjp(self, node, need, g):
        return (g,)


@wrong("non-deterministic")
def with_default_noise(x):
    return x * (1 + 0.1 * mg.randn(*x.shape, dtype=x.dtype))


@wrong("non-deterministic")
class RandomMask(mg.Op):
    """A new mask in vjp."""

    def forward(self, x):
        return x * 0.5

    def vjp(self, node, need, g):
        mask = np.random.uniform(size=g.shape) < 0.5
        return (g * mg.tensor(mask.astype(g.dtype)),)


@wrong("non-deterministic")
class EveryThirdCall(mg.Op):
    def __init__(self):
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * (1.0 if self.calls % 3 else 1.001)

    def vjp(self, node, need, g):
        return (g,)


@wrong("changes its input")
class InPlaceRelu(mg.Op):
    saves_output = True

    def forward(self, x):
        x *= x > 0
        return x.copy()

    def vjp(self, node, need, g):
        return (g * (node.output() > 0).to(g.dtype),)


@wrong("changes its input")
class SortsItsInput(mg.Op):
    def forward(self, x):
        x.sort(-1)
        return x.sum(-1)

    def vjp(self, node, need, g):
        return (g.unsqueeze(-1) * mg.ones_like(node.inputs[0]),)


@wrong("changes its input")
class ScalesCotangent(mg.Op):
    def forward(self, x):
        return 2 * x

    def vjp(self, node, need, g):
        g.data[...] *= 2
        return (g * 1,)


@wrong("changes its input")
def centred_in_place(x):
    with mg.no_grad():
        x.assign(x - x.mean())
    return x * 1


@wrong("wrong for strided input")
class RavelInMemoryOrder(mg.Op):
    def forward(self, x):
        return np.exp(x.ravel(order="K")).reshape(x.shape)

    def vjp(self, node, need, g):
        return (g * node.inputs[0].exp(),)


@wrong("wrong for strided input")
class ByBuffer(mg.Op):
    """Reads the buffer under a view."""

    def forward(self, x):
        owner = x if x.base is None or x.base.dtype != x.dtype else x.base
        return np.sin(owner.ravel()[: x.size].reshape(x.shape))

    def vjp(self, node, need, g):
        return (g * node.inputs[0].cos(),)


@wrong("wrong for strided input")
class PositiveStrides(mg.Op):
    def forward(self, x):
        if any(s < 0 for s in x.strides):
            x = x[..., ::-1]
        return x * x

    def vjp(self, node, need, g):
        return (2 * g * node.inputs[0],)


@wrong("wrong for strided input")
class StridedCotangent(mg.Op):
    """vjp reads the cotangent in memory order."""

    def forward(self, x):
        return x * 3.0

    def vjp(self, node, need, g):
        array = g.data
        return (g * 3.0 if array.flags.c_contiguous else mg.Tensor(3.0 * array.ravel(order="K").reshape(array.shape)),)


@wrong("missing factor")
class TwoOutputs(mg.Op):
    """Mean and deviation; the deviation's part is off."""

    def forward(self, x):
        return x.mean(-1), x.std(-1)

    def vjp(self, node, need, g_mean, g_std):
        (x,) = node.inputs
        total, n = None, x.shape[-1]
        centred = x - x.mean(-1, keepdim=True)
        if g_mean is not None:
            total = g_mean.unsqueeze(-1) * mg.ones_like(x) / n
        if g_std is not None:
            std = (centred**2).mean(-1, keepdim=True).sqrt()
            part = g_std.unsqueeze(-1) * centred / std / (n - 1)
            total = part if total is None else total + part
        return (total,)


@wrong("missing factor")
class NoneForAnInput(mg.Op):
    def forward(self, a, b):
        return a * b

    def vjp(self, node, need, g):
        _, b = node.inputs
        return sum_to(g * b, node.inputs[0].shape), None


@wrong("missing factor")
def through_numpy(x):
    """The graph is cut: the result is a constant."""
    return mg.tensor(np.tanh(x.numpy())) + 0 * x


@wrong("missing factor")
class CutModule(nn.Module):
    """A Module whose first layer gets no gradient."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.second(self.first(x).tanh().detach())


@wrong("wrong axis")
class Gather(mg.Op):
    """Rows of a table; two uses of one row are not added."""

    def forward(self, table, index):
        return table[index]

    def vjp(self, node, need, g):
        table, index = node.inputs
        rows = np.zeros((index.shape[0], table.shape[0]))
        for k, i in enumerate(index.numpy()):
            rows[:, i] = 0
            rows[k, i] = 1
        return mg.tensor(rows.T, dtype=g.dtype) @ g, None


Gather_inputs = (np.linspace(-1, 1, 12).reshape(4, 3), np.array([0, 2, 2, 1]))


@wrong("constant second order")
def einsum_detached(x, w):
    return mg.einsum("ij,jk->ik", x, w) * mg.einsum("ij,jk->ik", x.detach(), w)
