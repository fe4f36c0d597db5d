"""The op table, images and rows of them: 1-d convolutions, windows as columns, adaptive pooling, warping."""

from __future__ import annotations

import numpy as np

from ..autograd import tensor as make
from ..gan import augment
from ..ops import conv as ops_conv
from ..ops import resample as ops_resample
from ..ops import unfold as ops_unfold
from ..ops import warp as ops_warp
from .opcase import BadCall, OpCase, call

ONES = np.ones((2, 3), np.float32)
IMAGE = np.ones((1, 2, 4, 5), np.float32)
LINE = np.ones((1, 3, 4), np.float32)

ROWS = (
    OpCase(
        "conv1d",
        ops_conv.conv1d,
        (
            call((2, 2, 3), (3, 2, 2), (3,)),
            call((1, 1, 5), (2, 1, 3), stride=2, padding=1),
            call((1, 2, 5), (2, 1, 2), (2,), stride=(3,), padding=(2,), dilation=(2,), groups=2),
            call((1, 1, 5), (1, 1, 4), padding="same"),
            call((1, 1, 5), (1, 1, 3), padding="valid"),
        ),
        "nn.functional.conv1d",
        edge=(call((0, 2, 3), (3, 2, 2), (3,)), call((1, 1, 1), (1, 1, 1))),
        error_inputs=(
            BadCall(
                lambda: ops_conv.conv1d(make(LINE), make(np.ones((2, 4, 3), np.float32))),
                ValueError,
                r"conv1d: input has 3 channels, weight expects 4 \(input \(1, 3, 4\), weight \(2, 4, 3\)",
            ),
            BadCall(
                lambda: ops_conv.conv1d(make(LINE), make(np.ones((2, 3, 5), np.float32))),
                ValueError,
                "conv1d: the kernel 5 .* is longer than the padded input",
            ),
            BadCall(lambda: ops_conv.conv1d(make(ONES), make(LINE)), ValueError, r"conv1d: input \(2, 3\) must be"),
            BadCall(
                lambda: ops_conv.conv1d(make(LINE), make(LINE), stride=(1, 2)),
                ValueError,
                r"conv1d: stride must be an integer, at least 1, got \(1, 2\)",
            ),
        ),
    ),
    OpCase(
        "conv_transpose1d",
        ops_conv.conv_transpose1d,
        (
            call((1, 2, 3), (2, 1, 3), stride=2, padding=1, output_padding=1),
            call((1, 2, 2), (2, 1, 2), (2,), groups=2, dilation=(3,), output_padding=2),
        ),
        "nn.functional.conv_transpose1d",
        edge=(call((0, 2, 3), (2, 1, 2), (1,)), call((1, 1, 1), (1, 1, 1))),
        error_inputs=(
            BadCall(
                lambda: ops_conv.conv_transpose1d(make(LINE), make(LINE)),
                ValueError,
                "conv_transpose1d: input has 3 channels, weight expects 1",
            ),
            BadCall(
                lambda: ops_conv.conv_transpose1d(make(LINE), make(np.ones((3, 1, 2), np.float32)), output_padding=1),
                ValueError,
                "conv_transpose1d: output_padding 1 must be smaller than stride 1 or dilation 1",
            ),
        ),
    ),
)

WINDOWS = (
    OpCase(
        "unfold",
        ops_unfold.unfold,
        (
            call((2, 2, 2, 3), kernel_size=(2, 1)),
            call((1, 1, 4, 5), kernel_size=3, padding=1, stride=2),
            call((1, 1, 5, 3), kernel_size=(2, 2), dilation=(3, 1), padding=(0, 2), stride=(2, 1)),
        ),
        "nn.functional.unfold",
        edge=(call((1, 1, 1, 1), kernel_size=1), call((1, 1, 1, 2), kernel_size=3, padding=1)),
        error_inputs=(
            BadCall(lambda: ops_unfold.unfold(make(ONES), 2), ValueError, r"unfold: input must be \(N, C, H, W\)"),
            BadCall(
                lambda: ops_unfold.unfold(make(IMAGE), 5),
                ValueError,
                r"unfold: the window \(5, 5\) .* is larger than the padded image",
            ),
        ),
    ),
    OpCase(
        "fold",
        ops_unfold.fold,
        (
            call((2, 4, 3), output_size=(2, 3), kernel_size=(2, 1)),
            call((1, 9, 4), output_size=(3, 4), kernel_size=3, padding=1, stride=2),
        ),
        "nn.functional.fold",
        edge=(call((1, 1, 1), output_size=1, kernel_size=1),),
        error_inputs=(
            BadCall(
                lambda: ops_unfold.fold(make(np.ones((1, 3, 4))), 4, 2),
                ValueError,
                r"fold: input must be \(N, C KY KX, OY OX\) with 4 = KY KX, got shape \(1, 3, 4\)",
            ),
            BadCall(
                lambda: ops_unfold.fold(make(np.ones((1, 4, 4))), 4, 2),
                ValueError,
                r"fold: input \(1, 4, 4\) does not fit; images \(1, 1, 4, 4\) have columns \(1, 4, 9\)",
            ),
        ),
    ),
    OpCase(
        "adaptive_avg_pool2d",
        ops_resample.adaptive_avg_pool2d,
        (
            call((1, 2, 2, 4), output_size=2),
            call((1, 1, 5, 3), output_size=(3, 2)),
            call((1, 1, 2, 3), output_size=(None, 4)),
        ),
        "nn.functional.adaptive_avg_pool2d",
        edge=(call((1, 1, 1, 1), output_size=1), call((1, 1, 1, 1), output_size=3)),
        error_inputs=(
            BadCall(
                lambda: ops_resample.adaptive_avg_pool2d(make(IMAGE), 0),
                ValueError,
                "adaptive_avg_pool2d: output_size must be an integer",
            ),
        ),
    ),
    OpCase(
        "pixel_unshuffle",
        ops_resample.pixel_unshuffle,
        (call((1, 2, 4, 6), downscale_factor=2), call((2, 1, 3, 6), downscale_factor=3)),
        "nn.functional.pixel_unshuffle",
        edge=(call((1, 1, 1, 1), downscale_factor=1),),
        error_inputs=(
            BadCall(
                lambda: ops_resample.pixel_unshuffle(make(IMAGE), 2),
                ValueError,
                r"pixel_unshuffle: 2 does not divide the sizes \(4, 5\)",
            ),
        ),
    ),
)


def _at(*pixels: float, size: int, align_corners: bool) -> np.ndarray:
    """Grid places of pixel numbers."""
    p = np.array(pixels)
    return 2 * p / (size - 1) - 1 if align_corners else (2 * p + 1) / size - 1


def _grid(align_corners: bool) -> np.ndarray:
    """Points between the pixels of a 2 x 3 image, and beyond its edges on every side: (1, 2, 2, 2)."""
    x = _at(-0.3, 0.4, 1.8, 4.3, size=3, align_corners=align_corners)
    y = _at(0.6, -1.7, 0.3, 1.4, size=2, align_corners=align_corners)
    return np.stack([x, y], -1).reshape(1, 2, 2, 2)


WARPS = (
    OpCase(
        "grid_sample",
        ops_warp.grid_sample,
        tuple(
            call((1, 1, 2, 3), _grid(corners), mode=mode, padding_mode=padding, align_corners=corners)
            for mode, padding, corners in (
                *(("bilinear", "zeros", True), ("bilinear", "border", False), ("bilinear", "reflection", False)),
                ("nearest", "zeros", True),
            )
        ),
        "nn.functional.grid_sample",
        edge=(call((1, 1, 1, 1), (1, 1, 2, 2), align_corners=True),),
        kinks=tuple(
            call((1, 2, 2, 3), np.array([[[[-1.0, 1.0], [1.0, -1.0]], [[0.0, 0.0], [2.0, -2.0]]]]), **settings)
            for padding in ("zeros", "border", "reflection")
            for corners in (False, True)
            for settings in [{"padding_mode": padding, "align_corners": corners}]
        ),
        torch_order=1,  # PyTorch has no second derivative
        error_inputs=(
            BadCall(
                lambda: ops_warp.grid_sample(make(IMAGE), make(IMAGE)),
                ValueError,
                r"grid_sample: grid \(1, 2, 4, 5\) must be \(N, OY, OX, 2\) for input \(1, 2, 4, 5\)",
            ),
            BadCall(
                lambda: ops_warp.grid_sample(make(IMAGE), make(IMAGE[..., :2]), "cubic"),
                ValueError,
                "grid_sample: unknown mode 'cubic'; known modes: bilinear, nearest",
            ),
            BadCall(
                lambda: ops_warp.grid_sample(make(IMAGE), make(IMAGE[..., :2]), padding_mode="mirror"),
                ValueError,
                "grid_sample: unknown padding_mode 'mirror'",
            ),
        ),
    ),
    OpCase(
        "affine_grid",
        ops_warp.affine_grid,
        (
            call((2, 2, 3), size=(2, 1, 3, 4)),
            call((1, 2, 3), size=(1, 3, 2, 5), align_corners=True),
            call((1, 2, 3), size=(1, 1, 1, 2), align_corners=True),
        ),
        "nn.functional.affine_grid",
        error_inputs=(
            BadCall(
                lambda: ops_warp.affine_grid(make(LINE), (1, 1, 2, 2)),
                ValueError,
                r"affine_grid: theta \(1, 3, 4\) and size \(1, 1, 2, 2\) do not fit \(N, 2, 3\) and \(N, C, H, W\)",
            ),
        ),
    ),
    OpCase(
        "interpolate.bicubic",
        ops_resample.interpolate,
        tuple(
            call((1, 1, 3, 4), mode="bicubic", **settings)
            for settings in ({"size": (3, 7), "align_corners": True}, {"scale_factor": (1.5, 0.7)})
        ),
        "nn.functional.interpolate",
    ),
)

ROUND = np.array([[[0.3, 1.6], [2.2, -0.4]]])
"""Points (1, 2, 2) between the pixels, one outside."""


def _spread(torch, g, py, px, size):
    n, c, h, w = g.shape
    x = torch.zeros(n, c, *size, dtype=g.dtype)
    y0, x0 = py.detach().floor().long(), px.detach().floor().long()
    for dy in (0, 1):
        for dx in (0, 1):
            y, column = y0 + dy, x0 + dx
            weight = (1 - (py - y).abs()) * (1 - (px - column).abs())
            inside = (y >= 0) & (y < size[0]) & (column >= 0) & (column < size[1])
            place = (y.clamp(0, size[0] - 1) * size[1] + column.clamp(0, size[1] - 1)).reshape(n, 1, -1)
            add = torch.where(inside, weight, torch.zeros((), dtype=g.dtype))[:, None] * g
            x = x.reshape(n, c, -1).scatter_add(2, place.expand(n, c, -1), add.reshape(n, c, -1)).reshape(n, c, *size)
    return x


NUMBERS = np.array([[0.13, 0.72, 0.41], [0.88, 0.35, 0.57]])


def _colour(torch, x, numbers):
    brightness, saturation, contrast = numbers.reshape(-1, 3, 1, 1, 1).unbind(1)
    x = x + brightness - 0.5
    if x.shape[1] > 1:
        x = (x - x.mean(1, keepdim=True)) * 2 * saturation + x.mean(1, keepdim=True)
    middle = x.mean((1, 2, 3), keepdim=True)
    return (x - middle) * (contrast + 0.5) + middle


def _translation(torch, x, numbers):
    shift = ((numbers - 0.5) / 2).reshape(-1, 2, 1)
    theta = torch.cat([torch.eye(2, dtype=x.dtype).expand(len(x), 2, 2), shift], 2)
    grid = torch.nn.functional.affine_grid(theta, x.shape, align_corners=False)
    return torch.nn.functional.grid_sample(x, grid, align_corners=False)


def _cutout(torch, x, numbers):
    sizes = zip(x.shape[2:], numbers.T, strict=True)
    rows, columns = (((torch.arange(n) + 0.5) / n - u[:, None]).abs() < 0.25 for n, u in sizes)
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


AUGMENTATIONS = (
    OpCase(
        "augment.colour",
        augment.colour,
        (call((2, 3, 2, 3), (2, 3)), call((2, 1, 2, 2), numbers=NUMBERS)),
        _colour,
    ),
    OpCase(
        "augment.translation",
        augment.translation,
        (call((2, 2, 5, 4), numbers=NUMBERS[:, :2]), call((2, 1, 8, 8), NUMBERS[:, 1:])),
        _translation,
        torch_order=1,  # PyTorch has no second derivative of grid_sample
    ),
    OpCase(
        "augment.cutout",
        augment.cutout,
        (call((2, 2, 5, 4), numbers=NUMBERS[:, :2]),),
        _cutout,
        error_inputs=(BadCall(lambda: augment.augmentations("color"), ValueError, "unknown augmentation 'color'"),),
    ),
)
"""What D is shown (gan/augment.py): to third order, so that a penalty on the slope at the images passes through."""

ADJOINT = (
    OpCase(
        "spread",
        lambda g, py, px, size: ops_warp.Spread(size)(g, py, px),
        (call((1, 2, 2, 2), ROUND, ROUND.transpose(0, 2, 1) + 0.25, size=(3, 4)),),
        _spread,
    ),
)
"""The adjoint of reading between pixels, which grid_sample's rules call."""

CASES = (*ROWS, *WINDOWS, *WARPS, *AUGMENTATIONS, *ADJOINT)
