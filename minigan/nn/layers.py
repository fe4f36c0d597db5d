"""Machine room, layers: the layers, by the names, arguments and defaults of torch.nn. `Module` itself is in module.py.

A layer's `captured_state` lists the numbers that its forward reads and that a user may change.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .. import functional as F
from ..autograd import Tensor
from ..backend import Generator
from ..creation import empty, full
from ..ops.shape import flatten, reshape
from . import init
from .module import Layer, Module, Parameter


class Linear(Layer):
    """x W^T + b, with W (out_features, in_features); both start uniform on +-1/sqrt(in_features)."""

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        weight_and_bias(self, (out_features, in_features), out_features, bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class PReLU(Layer):
    """x where x > 0, else a trained weight times x: one for all, or one a channel (He et al. 2015)."""

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.weight = Parameter(full(num_parameters, init))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={len(self.weight)}"


class Embedding(Layer):
    """A table of num_embeddings rows of embedding_dim features, read by integer; rows start standard normal.

    Row padding_idx, if any, starts at zero and gets no gradient.
    """

    weight: Parameter

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx {padding_idx} is outside {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        rows = init.normal_(empty(num_embeddings, embedding_dim))
        if padding_idx is not None:
            rows.data[padding_idx] = 0
        self.weight = Parameter(rows)

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(x, self.weight, self.padding_idx)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode and padding row."""
        return self.training, self.padding_idx

    def extra_repr(self) -> str:
        rows, features = self.weight.shape
        return f"{rows}, {features}" + ("" if self.padding_idx is None else f", padding_idx={self.padding_idx}")


class Dropout(Layer):
    """Zeroes elements with probability p in training."""

    def __init__(self, p: float = 0.5, inplace: bool = False, generator: Generator | None = None) -> None:
        super().__init__()
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, generator=self.generator)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode, p and generator."""
        return self.training, self.p, self.generator

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Layer):
    """Axes start_dim..end_dim joined into one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return flatten(x, self.start_dim, self.end_dim)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode and axes."""
        return self.training, self.start_dim, self.end_dim

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Layer):
    """Axis `dim` split into the sizes `unflattened_size`."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        dim = self.dim % x.ndim
        return reshape(x, (*x.shape[:dim], *self.unflattened_size, *x.shape[dim + 1 :]))

    def captured_state(self) -> tuple[object, ...]:
        """Its mode, axis and sizes."""
        return self.training, self.dim, self.unflattened_size

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class _Function(Layer):
    """A layer without parameters: one function and the keyword settings it is called with.

    torch's `inplace` is accepted where torch has it, so that code carries over; nothing is ever overwritten.
    """

    function: Callable[..., Tensor]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()
        names = list(self.defaults)
        if len(args) > len(names) or not kwargs.keys() <= self.defaults.keys():
            raise TypeError(f"{type(self).__name__} takes the arguments {names}")
        self.settings = {**self.defaults, **dict(zip(names, args, strict=False)), **kwargs}
        self.settings.pop("inplace", None)

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x, **self.settings)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode and settings."""
        return self.training, *self.settings.values()

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in self.settings.items())


def _layer(name: str, function: Callable[..., Tensor], **defaults: object) -> type[_Function]:
    """A layer class named `name` around a function; its docstring is the function's, its settings its signature."""

    def __init__(self: Any, *args: object, **kwargs: object) -> None:
        _Function.__init__(self, *args, **kwargs)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    settings = [inspect.Parameter(setting, kind, default=value) for setting, value in defaults.items()]
    __init__.__signature__ = inspect.Signature([inspect.Parameter("self", kind), *settings])  # type: ignore[attr-defined]
    body = {
        "__init__": __init__,
        "function": staticmethod(function),
        "defaults": defaults,
        "__doc__": function.__doc__,
        "__module__": __name__,
    }
    return type(name, (_Function,), body)


if TYPE_CHECKING:  # the same, with the settings of each in its signature
    from .._typing import (
        ELU,
        GELU,
        AdaptiveAvgPool2d,
        AvgPool2d,
        Fold,
        Identity,
        LeakyReLU,
        LogSigmoid,
        LogSoftmax,
        Maxout,
        MaxPool2d,
        PixelShuffle,
        PixelUnshuffle,
        ReflectionPad2d,
        ReLU,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        Tanh,
        Unfold,
        Upsample,
        ZeroPad2d,
    )
else:
    Identity = _layer("Identity", lambda x: x)
    ReLU = _layer("ReLU", F.relu, inplace=False)
    LeakyReLU = _layer("LeakyReLU", F.leaky_relu, negative_slope=0.01, inplace=False)
    ELU = _layer("ELU", F.elu, alpha=1.0, inplace=False)
    SiLU = _layer("SiLU", F.silu, inplace=False)
    GELU = _layer("GELU", F.gelu, approximate="none")
    Tanh = _layer("Tanh", F.tanh)
    Sigmoid = _layer("Sigmoid", F.sigmoid)
    LogSigmoid = _layer("LogSigmoid", F.logsigmoid)
    Softplus = _layer("Softplus", F.softplus, beta=1.0, threshold=20.0)
    Softmax = _layer("Softmax", F.softmax, dim=-1)
    LogSoftmax = _layer("LogSoftmax", F.log_softmax, dim=-1)
    Maxout = _layer("Maxout", F.maxout, pieces=2, dim=1)
    AvgPool2d = _layer("AvgPool2d", F.avg_pool2d, kernel_size=2, stride=None, padding=0)
    MaxPool2d = _layer("MaxPool2d", F.max_pool2d, kernel_size=2, stride=None, padding=0, dilation=1)
    AdaptiveAvgPool2d = _layer("AdaptiveAvgPool2d", F.adaptive_avg_pool2d, output_size=1)
    Unfold = _layer("Unfold", F.unfold, kernel_size=2, dilation=1, padding=0, stride=1)
    Fold = _layer("Fold", F.fold, output_size=2, kernel_size=2, dilation=1, padding=0, stride=1)
    Upsample = _layer("Upsample", F.interpolate, size=None, scale_factor=None, mode="nearest", align_corners=None)
    PixelShuffle = _layer("PixelShuffle", F.pixel_shuffle, upscale_factor=2)
    PixelUnshuffle = _layer("PixelUnshuffle", F.pixel_unshuffle, downscale_factor=2)
    ReflectionPad2d = _layer("ReflectionPad2d", lambda x, padding: F.pad(x, _four(padding), "reflect"), padding=1)
    ZeroPad2d = _layer("ZeroPad2d", lambda x, padding: F.pad(x, _four(padding)), padding=1)


def _four(padding: int | Sequence[int]) -> tuple[int, ...]:
    return (padding,) * 4 if isinstance(padding, int) else tuple(padding)


def weight_and_bias(module: Module, shape: tuple[int, ...], outputs: int, bias: bool) -> None:
    """A layer's parameters, both uniform on +-1 / sqrt(fan_in): torch's default, kaiming_uniform_ with a = sqrt(5)."""
    if min(shape) < 1:
        raise ValueError(f"{type(module).__name__}: every size must be positive, the weight would be {shape}")
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    module.weight = Parameter(init.uniform_(empty(shape), -bound, bound))
    module.register_parameter("bias", Parameter(init.uniform_(empty(outputs), -bound, bound)) if bias else None)
