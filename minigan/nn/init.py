"""Machine room, layers: initial values of parameters, by the names and formulas of torch.nn.init.

Each function fills a tensor in place and returns it. It may also be a tensor's array, as in
`normal_(layer.weight.data, 0, 0.02)`.

Fans of a weight (out, in, *kernel): fan_in = in * prod(kernel), fan_out = out * prod(kernel). Random ones draw from
`generator`, the default one if None. DCGAN (Radford et al. 2016) starts from normal_(w, 0, 0.02); Kaiming keeps the
variance of a rectifier's activations (He et al. 2015), Xavier that of a linear layer's (Glorot & Bengio 2010).
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Tensor
from ..backend import Generator, default_generator


def fill(tensor: Tensor, values: np.ndarray) -> Tensor:
    """Overwrite a tensor, or an array, with values of its shape."""
    if isinstance(tensor, Tensor):
        return tensor.assign(values)
    tensor[...] = values
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers."""
    return fill(tensor, mean + std * (generator or default_generator).normal(tensor.shape))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with numbers uniform on [a, b)."""
    return fill(tensor, a + (b - a) * (generator or default_generator).uniform(tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return fill(tensor, np.full(tensor.shape, val))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out). Raises ValueError below two axes."""
    if tensor.ndim < 2:
        raise ValueError(f"fan_in and fan_out need a tensor with at least 2 axes, got shape {tensor.shape}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The standard deviation by which a nonlinearity shrinks a unit normal: the factor an initialiser makes up for."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    gains = {
        "linear": 1.0,
        "conv2d": 1.0,
        "sigmoid": 1.0,
        "conv_transpose2d": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "selu": 0.75,
    }
    if nonlinearity not in gains:
        raise ValueError(f"unknown nonlinearity {nonlinearity!r}; known: leaky_relu, {', '.join(gains)}")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with standard deviation gain sqrt(2 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with standard deviation gain / sqrt(fan)."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows or columns (whichever are fewer) of the weight flattened to (out, rest), times gain (Saxe et al.
    2014)."""
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    fans(tensor)
    normal = (generator or default_generator).normal((max(rows, columns), min(rows, columns))).astype(np.float64)
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))
    return fill(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"unknown mode {mode!r}; known: fan_in, fan_out")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor)[mode == "fan_out"])
