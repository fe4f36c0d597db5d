"""The op table, layers: normalisation."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import tensor as make
from ..ops import norm as ops_norm
from ..ops.across import Group, batch_norm_across
from ..ops.reduce import sum
from .opcase import BadCall, OpCase, Values, call
from .table_activations import ONES


def _mean(x, axes):
    return sum(x, axes, True) / float(np.prod([x.shape[a] for a in axes]))


def _normalised(x, axes, eps):
    centred = x - _mean(x, axes)
    return centred / (_mean(centred * centred, axes) + eps) ** 0.5


def _batch_norm_reference(x, w=None, b=None, eps=1e-5, momentum=0.1):
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    y = _normalised(x, (0, *range(2, x.ndim)), eps)
    y = y if w is None else y * w.reshape(per_channel)
    return y if b is None else y + b.reshape(per_channel)


ALL = (True, True, True)


def _batch_norm_grad(x, w, g, eps=1e-5, present=ALL):
    return tuple(y for y, here in zip(ops_norm.BatchNormGrad(eps)(x, w, g), present, strict=True) if here)


def _torch_batch_norm_grad(torch, x, w, g, eps=1e-5, present=ALL):
    """By PyTorch's autograd of the formula: its own fused kernel has no third derivative."""
    with torch.enable_grad():
        x, w, g = (t if t.requires_grad else t.requires_grad_() for t in (x, w, g))
        b = torch.zeros_like(w).requires_grad_()
        axes, per_channel = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
        centred = x - x.mean(axes, keepdim=True)
        h = centred * ((centred * centred).mean(axes, keepdim=True) + eps) ** -0.5
        y = h * w.reshape(per_channel) + b.reshape(per_channel)
        grads = torch.autograd.grad(y, (x, w, b), g, create_graph=True)
    return tuple(y for y, here in zip(grads, present, strict=True) if here)


def _batch_norm_grad_grad(x, w, g, *cotangents, eps=1e-5, present=ALL, which=ALL):
    return ops_norm.BatchNormGradGrad(eps, present, which)(x, w, g, *cotangents)


def _torch_batch_norm_grad_grad(torch, x, w, g, *cotangents, eps=1e-5, present=ALL, which=ALL):
    with torch.enable_grad():
        x, w, g = (t if t.requires_grad else t.requires_grad_() for t in (x, w, g))
        outputs = _torch_batch_norm_grad(torch, x, w, g, eps, present)
        by = [t for t, m in zip((x, w, g), which, strict=True) if m]
        return torch.autograd.grad(outputs, by, cotangents, create_graph=True)


def _standardise_grad(x, g, axes=(1,), eps=1e-5):
    return ops_norm.StandardiseGrad(axes, eps)(x, g)


def _torch_standardise_grad(torch, x, g, axes=(1,), eps=1e-5):
    with torch.enable_grad():
        x = x if x.requires_grad else x.requires_grad_()
        centred = x - x.mean(axes, keepdim=True)
        h = centred * ((centred * centred).mean(axes, keepdim=True) + eps) ** -0.5
        return torch.autograd.grad(h, x, g, create_graph=True)[0]


STATISTICS = {"running_mean": np.array([0.5, -0.25]), "running_var": np.array([0.75, 1.5])}
SPREAD = Values(-2.0, 2.0, distinct=True)


def _frozen(x, w, b, running_mean, running_var):
    """Batch statistics used, running ones not moved."""
    y = F.batch_norm(x, None, None, w, b, True)
    if not (
        np.array_equal(running_mean.numpy(), STATISTICS["running_mean"])
        and np.array_equal(running_var.numpy(), STATISTICS["running_var"])
    ):
        raise ValueError("batch_norm: frozen statistics were moved")
    return y


def _across(x, w=None, b=None, eps=1e-5):
    """Over two parts that are equal, whose statistics are those of one."""
    return batch_norm_across(x, (None, None), w, b, 0.1, eps, Group(2, lambda vector: vector + vector))


CASES = (
    OpCase(
        "batch_norm_across",
        _across,
        (call((4, 2), (2,), (2,)), call((2, 2, 2, 3), (2,)), call((2, 3, 2))),
        lambda torch, x, w=None, b=None, eps=1e-5: torch.nn.functional.batch_norm(x, None, None, w, b, True, 0.1, eps),
        _batch_norm_reference,
        SPREAD,
        error_inputs=(BadCall(lambda: _across(make(np.ones((0, 3)))), ValueError, "more than one value per channel"),),
    ),
    OpCase(
        "batch_norm.train",
        lambda x, w=None, b=None, eps=1e-5, momentum=0.1: F.batch_norm(x, None, None, w, b, True, momentum, eps),
        (
            call((4, 2), (2,), (2,)),
            call((2, 2, 2, 3), (2,), (2,)),
            call((2, 3, 2, 2)),
            call((3, 2, 2), (2,), eps=0.1),
            call((5, 1), (1,), (1,)),
        ),
        lambda torch, x, w=None, b=None, eps=1e-5, momentum=0.1: torch.nn.functional.batch_norm(
            x, None, None, w, b, True, momentum, eps
        ),
        _batch_norm_reference,
        SPREAD,
        edge=(call((1, 2, 1, 2), (2,), (2,)), call((2, 0), (0,), (0,)), call((2, 0, 3, 2), (0,), (0,))),
        strategy="batch_norm",
        error_inputs=(
            BadCall(
                lambda: F.batch_norm(make([1.0]), None, None, training=True),
                ValueError,
                r"batch_norm: input must be \(N, C, ...\), got shape \(1,\)",
            ),
            BadCall(
                lambda: F.batch_norm(make(ONES[:1]), None, None, training=True),
                ValueError,
                "batch_norm: training needs more than one value per channel",
            ),
            BadCall(
                lambda: F.batch_norm(make(ONES), None, None),
                ValueError,
                "batch_norm: training=False needs running_mean and running_var",
            ),
            BadCall(
                lambda: F.batch_norm(make(ONES), None, None, make([1.0]), training=True),
                ValueError,
                r"batch_norm: weight has shape \(1,\), expected \(3,\)",
            ),
            BadCall(
                lambda: F.batch_norm(make(ONES), None, None, make(np.ones(3)), training=True),
                TypeError,
                "batch_norm: operands must share one floating dtype",
            ),
            BadCall(
                lambda: F.batch_norm(make(np.ones((0, 3))), None, None, training=True),
                ValueError,
                "batch_norm: training needs more than one value",
            ),
        ),
    ),
    OpCase(
        "batch_norm.eval",
        lambda x, w=None, b=None, **statistics: F.batch_norm(
            x, statistics["running_mean"], statistics["running_var"], w, b
        ),
        (call((3, 2), (2,), (2,), **STATISTICS), call((1, 2, 2, 3), **STATISTICS), call((1, 2), (2,), **STATISTICS)),
        lambda torch, x, w=None, b=None, **statistics: torch.nn.functional.batch_norm(
            x, statistics["running_mean"], statistics["running_var"], w, b
        ),
        edge=(call((0, 2), (2,), (2,), **STATISTICS), call((1, 2), **STATISTICS)),
    ),
    OpCase(
        "batch_norm.frozen",
        _frozen,
        (call((4, 2), (2,), (2,), **STATISTICS), call((2, 2, 2, 3), (2,), (2,), **STATISTICS)),
        lambda torch, x, w, b, **_: torch.nn.functional.batch_norm(x, None, None, w, b, True),
        values=SPREAD,
    ),
    OpCase(
        "batch_norm_grad",
        _batch_norm_grad,
        (
            call((4, 2), (2,), (4, 2)),
            call((2, 2, 2, 3), (2,), (2, 2, 2, 3)),
            *(
                call((4, 2), (2,), (4, 2), present=p)
                for p in ((True, False, False), (False, True, False), (False, False, True), (False, True, True))
            ),
        ),
        _torch_batch_norm_grad,
        values=SPREAD,
        edge=(call((1, 2, 1, 2), (2,), (1, 2, 1, 2)),),
    ),
    OpCase(
        "standardise_grad",
        _standardise_grad,
        (call((3, 4), (3, 4)), call((2, 2, 2, 3), (2, 2, 2, 3), axes=(2, 3)), call((2, 3, 2), (2, 3, 2), axes=(1, 2))),
        _torch_standardise_grad,
        values=SPREAD,
    ),
    OpCase(
        "batch_norm_grad_grad",
        _batch_norm_grad_grad,
        (
            call((4, 2), (2,), (4, 2), (4, 2), (2,), (2,)),
            call((2, 2, 1, 2), (2,), (2, 2, 1, 2), (2, 2, 1, 2), (2,), (2,)),
            call((4, 2), (2,), (4, 2), (4, 2), present=(True, False, False)),
            call((4, 2), (2,), (4, 2), (2,), present=(False, True, False), which=(True, False, True)),
            call((4, 2), (2,), (4, 2), (2,), present=(False, False, True), which=(False, False, True)),
            call((4, 2), (2,), (4, 2), (4, 2), (2,), present=(True, False, True)),
            call((4, 2), (2,), (4, 2), (4, 2), (2,), (2,), which=(False, False, True)),
            call((4, 2), (2,), (4, 2), (4, 2), (2,), (2,), which=(True, True, False)),
        ),
        _torch_batch_norm_grad_grad,
        values=SPREAD,
    ),
    OpCase(
        "instance_norm",
        lambda x, w=None, b=None, eps=1e-5: F.instance_norm(x, weight=w, bias=b, eps=eps),
        (call((2, 2, 2, 3), (2,), (2,)), call((1, 3, 4)), call((1, 2, 2, 2), (2,), eps=0.1)),
        lambda torch, x, w=None, b=None, eps=1e-5: torch.nn.functional.instance_norm(x, weight=w, bias=b, eps=eps),
        values=SPREAD,
        edge=(call((0, 2, 2, 3), (2,), (2,)), call((1, 1, 1, 2))),
        error_inputs=(
            BadCall(
                lambda: F.instance_norm(make(ONES)),
                ValueError,
                r"instance_norm: input must be \(N, C, ...\), got shape \(2, 3\)",
            ),
            BadCall(
                lambda: F.instance_norm(make(np.ones((2, 3, 4))), make([0.0])),
                ValueError,
                "instance_norm: running statistics are not supported",
            ),
            BadCall(
                lambda: F.instance_norm(make(np.ones((2, 3, 1)))),
                ValueError,
                "instance_norm: needs more than one value per sample and channel",
            ),
        ),
    ),
    OpCase(
        "layer_norm",
        lambda x, w=None, b=None, normalized_shape=(3,), eps=1e-5: F.layer_norm(x, normalized_shape, w, b, eps),
        (call((2, 3), (3,), (3,)), call((2, 2, 3), (2, 3), (2, 3), normalized_shape=(2, 3)), call((4, 3), eps=0.1)),
        lambda torch, x, w=None, b=None, normalized_shape=(3,), eps=1e-5: torch.nn.functional.layer_norm(
            x, normalized_shape, w, b, eps
        ),
        values=SPREAD,
        edge=(call((0, 3), (3,), (3,)), call((2, 1), normalized_shape=(1,))),
        error_inputs=(
            BadCall(
                lambda: F.layer_norm(make(ONES), (2,)),
                ValueError,
                r"layer_norm: the last axes of input \(2, 3\) are not \(2,\)",
            ),
            BadCall(
                lambda: F.layer_norm(make(ONES), (3,), make(np.ones(2, np.float32))),
                ValueError,
                r"layer_norm: weight has shape \(2,\), expected \(3,\)",
            ),
        ),
    ),
    OpCase(
        "group_norm",
        lambda x, w=None, b=None, num_groups=2, eps=1e-5: F.group_norm(x, num_groups, w, b, eps),
        (call((1, 4), (4,), (4,)), call((1, 2, 1, 3), (2,), (2,)), call((1, 3, 2), (3,), num_groups=1, eps=0.1)),
        lambda torch, x, w=None, b=None, num_groups=2, eps=1e-5: torch.nn.functional.group_norm(
            x, num_groups, w, b, eps
        ),
        values=SPREAD,
        edge=(call((0, 4, 3), (4,), (4,)), call((1, 2, 1, 2))),
        error_inputs=(
            BadCall(
                lambda: F.group_norm(make(ONES), 2),
                ValueError,
                r"group_norm: num_groups 2 does not divide the 3 channels of \(2, 3\)",
            ),
            BadCall(
                lambda: F.group_norm(make(ONES), 3),
                ValueError,
                "group_norm: needs more than one value per sample and group",
            ),
        ),
    ),
    OpCase(
        "rms_norm",
        lambda x, w=None, normalized_shape=(3,), eps=None: F.rms_norm(x, normalized_shape, w, eps),
        (call((2, 3), (3,)), call((1, 2, 2), (2, 2), normalized_shape=(2, 2)), call((2, 3), eps=0.1)),
        lambda torch, x, w=None, normalized_shape=(3,), eps=None: torch.nn.functional.rms_norm(
            x, normalized_shape, w, eps
        ),
        values=SPREAD,
        edge=(call((0, 3), (3,)), call((2, 1), normalized_shape=(1,))),
        error_inputs=(
            BadCall(
                lambda: F.rms_norm(make(ONES), (2,)),
                ValueError,
                r"rms_norm: the last axes of input \(2, 3\) are not \(2,\)",
            ),
        ),
    ),
    OpCase(
        "scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        (
            call((1, 2), (3, 2), (3, 1), scale=0.7),
            call((2, 2, 1), (2, 2, 1), (2, 2, 1), is_causal=True),
            call((2, 1), (3, 1), (3, 1), attn_mask=np.array([[True, False, True], [False, False, False]])),
            call((2, 1), (3, 1), (3, 1), attn_mask=np.array([[0.5, -1.0, 0.0], [0.25, 2.0, -0.5]])),
        ),
        "nn.functional.scaled_dot_product_attention",
        edge=(call((1, 1), (1, 1), (1, 1)),),
        torch_order=1,  # PyTorch's fused kernel has no second derivative
        error_inputs=(
            BadCall(
                lambda: F.scaled_dot_product_attention(make(ONES), make(ONES[:, :2]), make(ONES)),
                ValueError,
                r"scaled_dot_product_attention: query \(2, 3\), key \(2, 2\) and value \(2, 3\) do not fit",
            ),
        ),
    ),
    OpCase(
        "normalize",
        F.normalize,
        (call((2, 3)), call((2, 3, 2), dim=-1)),
        "nn.functional.normalize",
        edge=(call((0, 3)), call((1, 1))),
        kinks=(call(np.zeros((2, 3))),),
        error_inputs=(
            BadCall(lambda: F.normalize(make(ONES), 1.0), ValueError, "normalize: only p=2 is supported, got 1.0"),
        ),
    ),
)
