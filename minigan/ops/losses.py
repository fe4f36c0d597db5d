"""Machine room, ops: losses, each between an input and a target, by torch's names.

They are composed of differentiable ops, so they have derivatives of any order; binary_cross_entropy of probabilities is
an op of its own, because its logarithms are held at -100. `reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..autograd import Op, Tensor, array_of
from ..backend import int64, namespace, on
from .act import logsigmoid
from .basic import broadcast_to, cast, eq, where
from .elementary import abs, exp, log, maximum, square
from .index import gather_within
from .matmul import same_dtype
from .reduce import axes_of, log_softmax, mean, safe_norm, sum
from .shape import unsqueeze

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mse_loss(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean") -> Tensor:
    """(input - target)^2."""
    return _reduce("mse_loss", square(_difference("mse_loss", input, target)), reduction)


def l1_loss(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean") -> Tensor:
    """|input - target|, with slope 0 at 0."""
    return _reduce("l1_loss", abs(_difference("l1_loss", input, target)), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2 (Girshick 2015). Raises ValueError for a
    negative beta."""
    op = "smooth_l1_loss"
    if beta < 0:
        raise ValueError(f"{op}: beta must not be negative, got {beta}")
    off = _difference(op, input, target)
    size = abs(off)
    if beta == 0:
        return _reduce(op, size, reduction)
    near = size < beta
    return _reduce(op, where(near, square(where(near, off, 0.0)) * (0.5 / beta), size - 0.5 * beta), reduction)


def kl_div(input: Tensor, target: Tensor | ArrayLike, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (ln t - input) for logarithms of probabilities `input` and probabilities t, 0 where t is; log_target: target is
    ln t.

    The divergence of distributions is their sum: reduction "sum", or "batchmean", which divides it by the first axis.
    """
    op = "kl_div"
    target = _same_shape(op, input, target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        zero = eq(target, 0)
        loss = where(zero, 0.0, target * log(where(zero, 1.0, target))) - target * input
    if reduction == "batchmean":
        return sum(loss) / max(input.shape[0] if input.ndim else 1, 1)
    return _reduce(op, loss, reduction, also=", batchmean")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 x2 / (max(||x1||, eps) max(||x2||, eps)) along axis `dim`; the two broadcast."""
    op = "cosine_similarity"
    same_dtype(op, x1=x1, x2=x2)
    axes = axes_of(dim, max(x1.ndim, x2.ndim), op)
    try:
        shape = np.broadcast_shapes(x1.shape, x2.shape)
    except ValueError:
        raise ValueError(f"{op}: the shapes {x1.shape} and {x2.shape} do not broadcast") from None
    first, second = (broadcast_to(x, shape) for x in (x1, x2))
    first, second = (x / maximum(safe_norm(x, axes, True), eps) for x in (first, second))
    return sum(first * second, axes)


class BinaryCrossEntropy(Op):
    """y = -(t max(ln p, -100) + (1 - t) max(ln(1 - p), -100)); ValueError for a p outside 0..1
    dL/dp = g (p - t) / max(p (1 - p), 1e-12)
    dL/dt = g (ln(1 - p) - ln p)"""

    name = "binary_cross_entropy"

    def forward(self, p, t):
        if p.size and not 0 <= p.min() <= p.max() <= 1:
            raise ValueError(f"{self.name}: the input must hold probabilities, in 0..1; for logits there is {self.name}"
                             "_with_logits")  # fmt: skip
        xp = namespace(p)
        with np.errstate(divide="ignore"):
            yes, no = (xp.maximum(xp.log(q), -100.0) for q in (p, 1 - p))
        return -(t * yes + (1 - t) * no)

    def vjp(self, node, need, g):
        p, t = node.inputs
        dp = g * (p - t) / maximum(p * (1 - p), 1e-12) if need[0] else None
        return dp, g * (log(1 - p) - log(p)) if need[1] else None


def binary_cross_entropy(
    input: Tensor, target: Tensor | ArrayLike, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t ln p + (1 - t) ln(1 - p)) for probabilities p = input, logarithms held at -100, as in PyTorch.

    Prefer `binary_cross_entropy_with_logits`: from logits nothing has to be held. Raises ValueError for an input
    outside 0..1.
    """
    op = "binary_cross_entropy"
    target = _same_shape(op, input, target)
    same_dtype(op, input=input, target=target)
    loss = BinaryCrossEntropy()(input, target)
    return _reduce(op, loss if weight is None else loss * weight, reduction)


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
    """y = the labels, whole numbers; IndexError for one outside 0..classes-1"""

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
    scale = None if weight is None else weight.reshape((1, classes) + (1,) * (input.ndim - 2))
    log_p = log_softmax(input, 1)
    if target.shape == input.shape:
        aim = target * (1 - label_smoothing) + label_smoothing / classes
        impossible = eq(aim, 0) * eq(log_p, -np.inf)
        loss = aim * where(impossible, 0.0, log_p)
        loss = -sum(loss if scale is None else loss * scale, 1)
        return _reduce(op, loss, reduction, input.data.size // classes)
    if target.shape != input.shape[:1] + input.shape[2:]:
        raise ValueError(f"{op}: target {target.shape} does not fit input {input.shape}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: class targets must be integers, not {target.dtype}")
    target = cast(target, int64)  # -100 is no uint8
    valid = target != ignore_index
    at = unsqueeze(ClassLabels(classes)(where(valid, target, 0)), 1)
    mask = unsqueeze(cast(valid, input.dtype), 1)
    weights = mask if weight is None else weight[at] * mask
    loss = -gather_within(log_p, 1, at) * weights
    if label_smoothing:
        all_p = sum(log_p if scale is None else log_p * scale, 1, keepdim=True)
        loss = (1 - label_smoothing) * loss - (label_smoothing / classes) * all_p * mask
    loss = where(valid, loss.reshape(target.shape), 0.0)
    return sum(loss) / sum(weights) if reduction == "mean" else _reduce(op, loss, reduction)


def _reduce(op: str, loss: Tensor, reduction: str, count: int | None = None, also: str = "") -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    if reduction == "mean":
        return mean(loss) if count is None else sum(loss) / count
    raise ValueError(f"{op}: unknown reduction {reduction!r}; known: mean, sum, none{also}")


def _same_shape(op: str, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
    target = target if isinstance(target, Tensor) else Tensor(on(array_of(input), np.asarray(target, input.dtype)))
    if target.shape != input.shape:
        raise ValueError(f"{op}: target {target.shape} must have the shape of input {input.shape}")
    return target


def _difference(op: str, input: Tensor, target: Tensor | ArrayLike) -> Tensor:
    return input - _same_shape(op, input, target)
