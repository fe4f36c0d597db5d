"""The op table, losses and lookups: losses, dropout, embedding, one-hot."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import grad
from ..autograd import tensor as make
from ..backend import Generator, device
from ..ops.reduce import sum
from .opcase import POSITIVE, REAL, BadCall, OpCase, Values, call
from .table_activations import EXTREME
from .table_elementwise import ZERO

ONES = np.ones((2, 3), np.float32)
LABELS = np.array([1, 0, 2])
MAP = np.array([[1, 0], [2, -100]])
TARGET = Values(0.05, 0.95)


def _loss(name: str, values, samples, edge=(), kinks=(), errors=()) -> OpCase:
    fn = getattr(F, name)
    return OpCase(
        name,
        fn,
        samples,
        f"nn.functional.{name}",
        values=values,
        edge=edge,
        kinks=kinks,
        error_inputs=(
            BadCall(lambda: fn(make(ONES), make(ONES[:, :2])), ValueError, rf"{name}: target \(2, 2\)"),
            BadCall(
                lambda: fn(make(ONES), make(ONES), reduction="max"),
                ValueError,
                f"{name}: unknown reduction 'max'; known: mean, sum, none",
            ),
            *errors,
        ),
    )


def _reductions(*inputs, **settings):
    return tuple(call(*inputs, reduction=r, **settings) for r in ("mean", "sum", "none"))


LOSSES = (
    _loss("mse_loss", REAL, _reductions((2, 3), (2, 3)), (call((), ()), *_reductions((0, 2), (0, 2))[1:])),
    _loss(
        "l1_loss",
        (Values(-2.0, -0.2), POSITIVE),
        _reductions((2, 3), (2, 3)),
        (call((), ()),),
        (call(ZERO, np.array([0.0, 0.0, 1.0, 2.0])),),
    ),
    _loss(
        "binary_cross_entropy_with_logits",
        (REAL, TARGET),
        (
            *_reductions((2, 3), (2, 3)),
            call((2, 3), (2, 3), pos_weight=np.array([0.5, 2.0, 1.0])),
            call((2, 3), (2, 3), weight=np.array([0.5, 2.0, 1.0]), reduction="sum"),
        ),
        (call((), ()),),
        (call(EXTREME, EXTREME * 0 + 0.5), call(EXTREME, EXTREME * 0 + 1.0)),
    ),
    _loss(
        "binary_cross_entropy",
        (TARGET, TARGET),
        (call((2, 2), (2, 2)), call((2, 3), (2, 3), weight=np.array([0.5, 2.0, 1.0]), reduction="sum")),
        (call((), ()),),
        errors=(
            BadCall(
                lambda: F.binary_cross_entropy(make(ONES * 2), make(ONES)),
                ValueError,
                "binary_cross_entropy: the input must hold probabilities",
            ),
        ),
    ),
    _loss(
        "smooth_l1_loss",
        (Values(-2.0, -0.2), POSITIVE),
        (call((2, 3), (2, 3), beta=1.7), call((3,), (3,), beta=0.0), call((3,), (3,), beta=9.0, reduction="none")),
        (call((), ()),),
        (call(ZERO, np.array([0.0, 0.0, 2.0, 1.0])),),
    ),
    _loss(
        "kl_div",
        (Values(-2.0, -0.2), TARGET),
        (
            *_reductions((2, 3), (2, 3))[1:],
            call((2, 3), (2, 3), log_target=True),
            call((2, 3), (2, 3), reduction="batchmean"),
        ),
        (call((), ()),),
    ),
    OpCase(
        "cosine_similarity",
        F.cosine_similarity,
        (call((1, 3), (1, 3)), call((2, 2), (2,), dim=-1)),
        "nn.functional.cosine_similarity",
        edge=(call((0, 3), (0, 3)), call((1, 1), (1, 1))),
        error_inputs=(
            BadCall(
                lambda: F.cosine_similarity(make(ONES), make(ONES[:, :2])),
                ValueError,
                r"cosine_similarity: the shapes \(2, 3\) and \(2, 2\) do not broadcast",
            ),
        ),
    ),
    _loss(
        "cross_entropy",
        REAL,
        (
            *_reductions((3, 4), target=LABELS),
            *_reductions((3, 4), target=LABELS, label_smoothing=0.1),
            *_reductions((3, 4), target=LABELS, weight=np.array([0.5, 2.0, 1.0, 3.0]), label_smoothing=0.2),
            *_reductions((2, 3, 2), target=MAP),
            call((2, 3), (2, 3)),
            call((2, 3), (2, 3), label_smoothing=0.1, weight=np.array([0.5, 2.0, 1.0])),
            call((2, 3, 2), (2, 3, 2), reduction="sum"),
            call((3, 4), target=np.array([0, 3, 2]), ignore_index=3),
        ),
        (call((1, 1), target=np.array([0])), call((0, 3), target=np.zeros(0, np.int64), reduction="sum")),
        (call(np.array([[900.0, -900.0], [900.0, 900.0]]), target=np.array([1, 0])),),
        (
            BadCall(
                lambda: F.cross_entropy(make([1.0, 2.0]), make(0)),
                ValueError,
                r"cross_entropy: input must be \(N, K, ...\), got shape \(2,\)",
            ),
            BadCall(
                lambda: F.cross_entropy(make(ONES), make([0, 3])),
                IndexError,
                r"cross_entropy: a target is outside 0..2",
            ),
            BadCall(
                lambda: F.cross_entropy(make(ONES), make([0.0, 1.0])),
                TypeError,
                "cross_entropy: class targets must be integers, not float32",
            ),
        ),
    ),
)


def _dropout(x, p=0.5, training=True):
    """What survives is scaled so that the mean stays; at p = 1 nothing does."""
    with device("cpu"):
        mask = (Generator(7).uniform(x.shape) >= p) / (1 - p) if p < 1 else np.zeros(x.shape)
    return x * make(mask.astype(x.dtype)) if training else x


OTHERS = (
    # The mask is drawn afresh from the same seed on every call, so the op is a fixed linear map.
    OpCase(
        "dropout",
        lambda x, **settings: F.dropout(x, generator=Generator(7), **settings),
        (call((3, 4)), call((3, 4), p=0.9), call((3, 4), training=False), call((2, 3), p=1.0)),
        reference=_dropout,
        edge=(call(()), call((0, 2))),
        error_inputs=(
            BadCall(lambda: F.dropout(make(ONES), 1.5), ValueError, r"dropout: p must be in \[0, 1\], got 1.5"),
        ),
    ),
    OpCase(
        "embedding",
        lambda weight, rows: F.embedding(rows, weight),
        (call((4, 2), rows=np.array([1, 3, 1])), call((3, 2), rows=np.array([[0, 0], [2, 1]]))),
        lambda torch, weight, rows: torch.nn.functional.embedding(rows, weight),
        edge=(call((3, 2), rows=np.zeros((0, 2), np.int64)), call((3, 2), rows=np.array(1))),
        error_inputs=(
            BadCall(
                lambda: F.embedding(make([0, 1]), make(ONES), 2),
                IndexError,
                "embedding: padding_idx 2 is outside a table of 2 rows",
            ),
            BadCall(
                lambda: F.embedding(make([0, 5]), make(ONES)),
                IndexError,
                r"embedding: rows 0..5 are outside a table of 2 rows",
            ),
            BadCall(lambda: F.embedding(make([-1]), make(ONES)), IndexError, "embedding: rows -1"),
            BadCall(
                lambda: F.embedding(make([0.5]), make(ONES)),
                TypeError,
                "embedding: the input must hold integers, not float32",
            ),
        ),
    ),
    # The row of padding has no gradient though it has a slope, which finite differences would see.
    OpCase(
        "embedding.padding",
        lambda weight, rows, padding_idx: F.embedding(rows, weight, padding_idx),
        (call((4, 2), rows=np.array([1, 3, 1]), padding_idx=1), call((3, 2), rows=np.array([[0, 2]]), padding_idx=-1)),
        lambda torch, weight, rows, padding_idx: torch.nn.functional.embedding(rows, weight, padding_idx),
        max_order=0,
    ),
    OpCase(
        "one_hot",
        lambda labels, **settings: F.one_hot(labels, **settings),
        (call(labels=LABELS), call(labels=MAP.clip(0), num_classes=4)),
        lambda torch, labels, **settings: torch.nn.functional.one_hot(labels, **settings),
        max_order=0,
        torch_order=0,
        error_inputs=(
            BadCall(lambda: F.one_hot(make([0.5])), ValueError, "one_hot: labels must be integers, none negative"),
            BadCall(lambda: F.one_hot(make([0, 4]), 3), ValueError, "one_hot: label 4 does not fit 3 classes"),
        ),
    ),
    OpCase(
        "grad",
        lambda x: grad(sum(x * x * x), x, create_graph=True)[0],
        (call((2, 3)),),
        lambda torch, x: 3 * x * x,
    ),
)

CASES = (*LOSSES, *OTHERS)
