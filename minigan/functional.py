"""Machine room, layers: functions on Tensors, by the names, argument order and defaults of torch.nn.functional.

    from minigan import functional as F

Losses are composed of differentiable ops, so they have derivatives of any order. `reduction` is "mean", "sum" or
"none".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .autograd import Op, Tensor, array_of
from .backend import Generator, namespace, on
from .creation import rand
from .ops.act import elu, leaky_relu, logsigmoid, maxout, relu, sigmoid, softplus, tanh
from .ops.basic import cast, eq, where
from .ops.conv import conv2d, conv_transpose2d
from .ops.elementary import abs, maximum, square
from .ops.index import ARRAY, Index, gather_within, pad
from .ops.matmul import linear
from .ops.norm import batch_norm, instance_norm, layer_norm
from .ops.reduce import log_softmax, mean, safe_norm, softmax, sum
from .ops.resample import avg_pool2d, interpolate, max_pool2d, pixel_shuffle
from .ops.shape import unsqueeze
from .ops.spelling import spelled

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "instance_norm",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "maxout",
    "mse_loss",
    "normalize",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Tensor:
    """Each element zeroed with probability p and the others divided by 1 - p, in training; the input itself otherwise.

    The mask comes from `generator` (the default one if None). Raises ValueError unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be in [0, 1], got {p}")
    if not training or p == 0:
        return input
    keep = cast(rand(input.shape, generator=generator) >= p, input.dtype)
    return input * (keep / max(1 - p, 1e-30))


class Lookup(Index):
    """y = table[rows], IndexError for a row outside it: to NumPy, row -1 would be the last
    dL/dtable = IndexAdd(g), each row of g added to its row
    dL/drows = 0, they are integers"""

    name = "embedding"

    def forward(self, table: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if rows.size and not 0 <= rows.min() <= rows.max() < len(table):
            raise IndexError(f"embedding: rows {rows.min()}..{rows.max()} are outside a table of {len(table)} rows")
        return super().forward(table, rows)


class OneHot(Op):
    """int64 vectors with a 1 at each label's place; not differentiable."""

    name, differentiable = "one_hot", False

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def forward(self, labels: np.ndarray) -> np.ndarray:
        if labels.size and labels.min() < 0:
            raise ValueError("one_hot: labels must be integers, none negative")
        if labels.size and labels.max() >= self.classes:
            raise ValueError(f"one_hot: label {labels.max()} does not fit {self.classes} classes")
        return (labels[..., None] == namespace(labels).arange(self.classes)).astype(np.int64)


def embedding(input: Tensor | ArrayLike, weight: Tensor) -> Tensor:
    """Row input[...] of weight (rows, features), for integer `input`: shape input.shape + (features,).

    Raises IndexError for a row outside the table.
    """
    rows = input if isinstance(input, Tensor) else Tensor(on(array_of(weight), np.asarray(input)))
    if rows.dtype.kind not in "iu":
        raise TypeError(f"embedding: the input must hold integers, not {rows.dtype}")
    return Lookup(ARRAY)(weight, rows)


def one_hot(tensor: Tensor | ArrayLike, num_classes: int = -1) -> Tensor:
    """int64 vectors with a 1 at each label's place: shape tensor.shape + (num_classes,); -1 takes the largest label +
    1."""
    labels = tensor if isinstance(tensor, Tensor) else Tensor(np.asarray(tensor))
    if labels.dtype.kind not in "iu":
        raise ValueError("one_hot: labels must be integers, none negative")
    return OneHot((int(labels.data.max()) + 1 if labels.data.size else 0) if num_classes == -1 else num_classes)(labels)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(||input||_p, eps) along `dim`. Only p = 2 is offered."""
    if p != 2:
        raise ValueError(f"normalize: only p=2 is supported, got {p}")
    return input / maximum(safe_norm(input, dim, keepdim=True), eps)


def mse_loss(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean") -> Tensor:
    """(input - target)^2."""
    return _reduce("mse_loss", square(_difference("mse_loss", input, target)), reduction)


def l1_loss(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean") -> Tensor:
    """|input - target|, with slope 0 at 0."""
    return _reduce("l1_loss", abs(_difference("l1_loss", input, target)), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor | ArrayLike,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(t ln s + (1 - t) ln(1 - s)) for s = sigmoid(input), from the logits: finite wherever the input is.

    weight multiplies every element's loss, pos_weight the first term.
    """
    op = "binary_cross_entropy_with_logits"
    target = _same_shape(op, input, target)
    # ln s = -softplus(-x) and ln(1 - s) = -softplus(x) = -x + ln s.
    log_s = logsigmoid(input)
    positive = target if pos_weight is None else target * pos_weight
    loss = (1 - target) * (input - log_s) - positive * log_s
    return _reduce(op, loss if weight is None else loss * weight, reduction)


class ClassLabels(Op):
    """Integer labels, IndexError for one outside 0..classes-1; not differentiable."""

    name, differentiable = "cross_entropy", False

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def forward(self, labels: np.ndarray) -> np.ndarray:
        if labels.size and not 0 <= labels.min() <= labels.max() < self.classes:
            raise IndexError(f"cross_entropy: a target is outside 0..{self.classes - 1}")
        return labels


def cross_entropy(
    input: Tensor,
    target: Tensor | ArrayLike,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-ln softmax(input)[target] for logits (N, K, ...) and integer targets (N, ...), or target probabilities (N, K,
    ...).

    weight (K) weighs the classes; "mean" divides by the sum of the weights used. Targets equal to ignore_index do not
    count, whatever their logits are; where no target counts, "mean" is NaN and its gradient 0, as in PyTorch. A class
    of target probability 0 and logit -inf adds 0 (0 ln 0 = 0), where PyTorch answers NaN.
    """
    op = "cross_entropy"
    if input.ndim < 2:
        raise ValueError(f"{op}: input must be (N, K, ...), got shape {input.shape}")
    classes = input.shape[1]
    target = target if isinstance(target, Tensor) else Tensor(on(array_of(input), np.asarray(target)))
    per_class = (1, classes) + (1,) * (input.ndim - 2)
    scale = (
        Tensor(on(array_of(input), np.ones(per_class, input.dtype))) if weight is None else weight.reshape(per_class)
    )
    log_p = log_softmax(input, 1)
    if target.shape == input.shape:
        aim = target * (1 - label_smoothing) + label_smoothing / classes
        impossible = eq(aim, 0) * eq(log_p, -np.inf)
        return _reduce(op, -sum(aim * where(impossible, 0.0, log_p) * scale, 1), reduction, input.data.size // classes)
    if target.shape != input.shape[:1] + input.shape[2:]:
        raise ValueError(f"{op}: target {target.shape} does not fit input {input.shape}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: class targets must be integers, not {target.dtype}")
    valid = target != ignore_index
    at = unsqueeze(ClassLabels(classes)(where(valid, target, 0)), 1)
    mask = unsqueeze(cast(valid, input.dtype), 1)
    weights = gather_within(scale * Tensor(on(array_of(input), np.ones(input.shape, input.dtype))), 1, at) * mask
    loss = -gather_within(log_p, 1, at) * weights
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - (label_smoothing / classes) * sum(log_p * scale, 1, keepdim=True) * mask
    loss = where(valid, loss.reshape(target.shape), 0.0)
    return sum(loss) / sum(weights) if reduction == "mean" else _reduce(op, loss, reduction)


def _reduce(op: str, loss: Tensor, reduction: str, count: int | None = None) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    if reduction == "mean":
        return mean(loss) if count is None else sum(loss) / count
    raise ValueError(f"{op}: unknown reduction {reduction!r}; known: mean, sum, none")


def _same_shape(op: str, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
    target = target if isinstance(target, Tensor) else Tensor(on(array_of(input), np.asarray(target, input.dtype)))
    if target.shape != input.shape:
        raise ValueError(f"{op}: target {target.shape} must have the shape of input {input.shape}")
    return target


def _difference(op: str, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
    return input - _same_shape(op, input, target)


for _name in __all__:  # also with axis= for dim=
    globals()[_name] = spelled(globals()[_name])
