"""Machine room, layers: functions on Tensors, by the names, argument order and defaults of torch.nn.functional.

    from minigan import functional as F

Most are ops of minigan/ops; here are those that draw random numbers or read tables, and attention. What is composed of
differentiable ops has derivatives of any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .autograd import Op, Tensor, array_of
from .backend import Generator, float32, namespace, on
from .creation import rand_like
from .methods import PUBLIC
from .ops.act import elu, gelu, leaky_relu, logsigmoid, maxout, prelu, relu, sigmoid, silu, softplus, tanh
from .ops.basic import cast, where
from .ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from .ops.elementary import maximum
from .ops.index import ARRAY, Index, pad
from .ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_similarity,
    cross_entropy,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from .ops.matmul import linear, matmul
from .ops.modulate import modulated_conv2d
from .ops.naming import named
from .ops.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from .ops.reduce import amax, log_softmax, safe_norm, softmax
from .ops.resample import (
    adaptive_avg_pool2d,
    avg_pool2d,
    interpolate,
    max_pool2d,
    pixel_shuffle,
    pixel_unshuffle,
)
from .ops.shape import transpose, unsqueeze
from .ops.spelling import spelled
from .ops.unfold import fold, unfold
from .ops.warp import affine_grid, grid_sample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "adaptive_avg_pool2d",
    "affine_grid",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gelu",
    "grid_sample",
    "group_norm",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "maxout",
    "modulated_conv2d",
    "mse_loss",
    "normalize",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    generator: Generator | None = None,
    inplace: bool = False,
) -> Tensor:
    """Each element zeroed with probability p and the others divided by 1 - p, in training; the input itself otherwise.

    The mask comes from `generator` (the default one if None); `inplace` changes nothing. Raises ValueError unless
    0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be in [0, 1], got {p}")
    if not training or p == 0:
        return input
    keep = cast(rand_like(input, generator, float32) >= p, input.dtype)
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


def embedding(input: Tensor | ArrayLike, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Row input[...] of weight (rows, features), for integer `input`: shape input.shape + (features,).

    Row padding_idx, counted from the end if negative, gets no gradient. Raises IndexError for a row outside the table.
    """
    rows = input if isinstance(input, Tensor) else Tensor(on(array_of(weight), np.asarray(input)))
    if rows.dtype.kind not in "iu":
        raise TypeError(f"embedding: the input must hold integers, not {rows.dtype}")
    y = Lookup(ARRAY)(weight, rows)
    if padding_idx is None:
        return y
    count = weight.shape[0]
    if not -count <= padding_idx < count:
        raise IndexError(f"embedding: padding_idx {padding_idx} is outside a table of {count} rows")
    return where(unsqueeze(rows == padding_idx % count, -1), y.detach(), y)


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


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """softmax(scale q k^T + mask) v for q (..., L, E), k (..., S, E), v (..., S, V): (..., L, V) (Vaswani et al. 2017).

    attn_mask: bool, True where a query may look, or numbers that are added; is_causal: query i looks at keys 0..i.
    scale: 1 / sqrt(E) if None. A query that may look nowhere gets 0. dropout_p: of the softmax, always, the mask from
    `generator`. Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    """
    op = "scaled_dot_product_attention"
    if (
        min(query.ndim, key.ndim, value.ndim) < 2
        or query.shape[-1] != key.shape[-1]
        or key.shape[-2] != value.shape[-2]
    ):
        raise ValueError(
            f"{op}: query {query.shape}, key {key.shape} and value {value.shape} do not fit; expected (..., L, E),"
            " (..., S, E) and (..., S, V)"
        )
    if is_causal and attn_mask is not None:
        raise ValueError(f"{op}: give attn_mask or is_causal, not both")
    scale = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    scores = matmul(query * scale, transpose(key, -1, -2))
    if is_causal:
        attn_mask = Tensor(on(array_of(query), np.tri(query.shape[-2], key.shape[-2], dtype=bool)))
    if attn_mask is not None:
        scores = where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    if attn_mask is None or not key.shape[-2]:
        weights = softmax(scores, -1)
    else:
        blind = amax(scores, -1, keepdim=True).detach() == -np.inf
        weights = where(blind, 0.0, softmax(where(blind, 0.0, scores), -1))
    return matmul(dropout(weights, dropout_p, generator=generator), value)


for _name in __all__:
    globals()[_name] = PUBLIC.get(_name) or named(spelled(globals()[_name]), _name, __name__)
