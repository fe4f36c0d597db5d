"""The op table, images: convolution in its three forms and modulated, pooling, resampling."""

from __future__ import annotations

import numpy as np

from minigan.kernels.geometry import ConvGeometry

from ..autograd import tensor as make
from ..ops import conv as ops_conv
from ..ops import modulate as ops_modulate
from ..ops import reduce as ops_reduce
from ..ops import resample as ops_resample
from .opcase import DISTINCT, BadCall, OpCase, call

IMAGE = np.ones((1, 3, 4, 5), np.float32)
FILTER = np.ones((2, 3, 3, 2), np.float32)


def _image(*shape, dtype=np.float32):
    return make(np.ones(shape, dtype))


def _same(op: str, fn) -> tuple[BadCall, ...]:
    """What conv2d and conv_transpose2d refuse alike."""
    return (
        BadCall(
            lambda: fn(_image(3, 4, 5), make(FILTER)),
            ValueError,
            rf"{op}: input must be \(N, C, H, W\), got shape \(3, 4, 5\)",
        ),
        BadCall(
            lambda: fn(make(IMAGE), _image(3, 2, 2)),
            ValueError,
            rf"{op}: weight must have 4 axes, got shape \(3, 2, 2\)",
        ),
        BadCall(
            lambda: fn(_image(1, 3, 4, 5, dtype=np.float64), _image(3, 3, 2, 2)),
            TypeError,
            rf"{op}: operands must share one floating dtype",
        ),
        BadCall(
            lambda: fn(make(IMAGE), _image(3, 3, 2, 2), stride=0),
            ValueError,
            rf"{op}: stride must be an integer or a pair of integers, at least 1, got 0",
        ),
        BadCall(
            lambda: fn(make(IMAGE), _image(3, 3, 2, 2), padding=-1),
            ValueError,
            rf"{op}: padding must be .* at least 0, got -1",
        ),
        BadCall(
            lambda: fn(make(IMAGE), _image(3, 3, 2, 2), dilation=(1, 2, 3)), ValueError, rf"{op}: dilation must be"
        ),
        BadCall(lambda: fn(make(IMAGE), _image(3, 3, 2, 2), groups=2), ValueError, rf"{op}: groups 2 does not divide"),
        BadCall(
            lambda: fn(make(IMAGE), _image(3, 3, 2, 2), _image(5)),
            ValueError,
            rf"{op}: bias has shape \(5,\), expected \(3,\)",
        ),
    )


def _geometry(x: tuple, w: tuple, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1) -> ConvGeometry:
    return ConvGeometry(x, w, stride, padding, dilation, groups)


def _torch_slot(torch, geometry, g, x=None, w=None):
    """The slot x or w of the trilinear form <x, w, g> that is left open, by PyTorch's autograd, itself
    differentiable."""
    with torch.enable_grad():
        # The form is linear in the open slot, so any value will do there.
        slot = torch.zeros(geometry.x_shape if x is None else geometry.w_shape, dtype=g.dtype, requires_grad=True)
        x, w = (slot, w) if x is None else (x, slot)
        y = torch.nn.functional.conv2d(
            x, w, None, geometry.stride, geometry.padding, geometry.dilation, geometry.groups
        )
        return torch.autograd.grad(y, slot, g, create_graph=True)[0]


CONVOLUTIONS = (
    OpCase(
        "conv2d",
        ops_conv.conv2d,
        (
            call((2, 2, 4, 5), (3, 2, 3, 2), (3,)),
            call((1, 2, 5, 6), (2, 2, 3, 3), stride=2, padding=1),
            call((1, 2, 6, 4), (2, 2, 2, 3), (2,), stride=(2, 1), padding=(1, 2), dilation=(3, 1)),
            call((1, 1, 7, 5), (2, 1, 3, 2), stride=(3, 2)),
            call((1, 4, 4, 3), (6, 2, 2, 1), (6,), groups=2),
            call((2, 3, 3, 4), (3, 1, 3, 3), padding=1, groups=3, stride=(1, 3)),
            call((1, 1, 4, 5), (1, 1, 3, 3), padding="same"),
            call((1, 1, 4, 5), (2, 1, 2, 4), padding="same", dilation=(1, 1)),
            call((1, 1, 4, 5), (1, 1, 3, 3), padding="valid"),
            call((1, 2, 8, 8), (1, 2, 4, 4), stride=2, padding=1),
        ),
        "nn.functional.conv2d",
        edge=(
            call((0, 2, 3, 4), (3, 2, 2, 2), (3,)),
            call((1, 1, 1, 2), (1, 1, 1, 1)),
            call((1, 2, 1, 1), (1, 2, 3, 3), padding=1),
        ),
        strategy="conv2d",
        error_inputs=(
            *_same("conv2d", ops_conv.conv2d),
            BadCall(
                lambda: ops_conv.conv2d(make(IMAGE), _image(2, 4, 3, 3)),
                ValueError,
                r"conv2d: input has 3 channels, weight expects 4 \(input \(1, 3, 4, 5\), weight \(2, 4, 3, 3\)",
            ),
            BadCall(
                lambda: ops_conv.conv2d(make(IMAGE), _image(2, 3, 5, 5)),
                ValueError,
                r"conv2d: the kernel \(5, 5\) .* is larger than the padded input",
            ),
            BadCall(
                lambda: ops_conv.conv2d(make(IMAGE), make(FILTER), stride=2, padding="same"),
                ValueError,
                'conv2d: padding="same" needs stride 1',
            ),
            BadCall(
                lambda: ops_conv.conv2d(make(IMAGE), make(FILTER), padding="full"),
                ValueError,
                "conv2d: padding must be",
            ),
        ),
    ),
    OpCase(
        "conv_transpose2d",
        ops_conv.conv_transpose2d,
        (
            call((2, 2, 2, 3), (2, 3, 3, 2), (3,)),
            call((1, 2, 3, 2), (2, 2, 3, 3), stride=2, padding=1, output_padding=1),
            call((1, 2, 2, 3), (2, 1, 2, 3), (1,), stride=(3, 1), padding=(0, 1), output_padding=(2, 0)),
            call((1, 4, 2, 3), (4, 3, 2, 1), (6,), groups=2, stride=2),
            call((1, 1, 2, 3), (1, 2, 2, 2), (2,), dilation=3, output_padding=2),
            call((1, 1, 2, 3), (1, 1, 3, 2), stride=2, dilation=(1, 3), output_padding=(1, 2)),
            call((1, 2, 3, 3), (2, 1, 4, 4), stride=2, padding=1),
        ),
        "nn.functional.conv_transpose2d",
        edge=(
            call((0, 2, 2, 3), (2, 1, 2, 2), (1,)),
            call((1, 1, 1, 1), (1, 1, 1, 1)),
            call((1, 3, 1, 1), (3, 2, 2, 3)),
        ),
        strategy="conv_transpose2d",
        error_inputs=(
            *_same("conv_transpose2d", ops_conv.conv_transpose2d),
            BadCall(
                lambda: ops_conv.conv_transpose2d(make(IMAGE), _image(4, 2, 3, 3)),
                ValueError,
                r"conv_transpose2d: input has 3 channels, weight expects 4",
            ),
            BadCall(
                lambda: ops_conv.conv_transpose2d(make(IMAGE), _image(3, 2, 3, 3), output_padding=1),
                ValueError,
                r"conv_transpose2d: output_padding \(1, 1\) must be smaller than stride \(1, 1\) or dilation",
            ),
            BadCall(
                lambda: ops_conv.conv_transpose2d(make(IMAGE), _image(3, 2, 1, 1), padding=4),
                ValueError,
                r"conv_transpose2d: the output would have size \(-4, -3\)",
            ),
        ),
    ),
    OpCase(
        "conv_weight",
        lambda x, g, geometry: ops_conv.ConvWeight(geometry)(x, g),
        (
            call((2, 2, 4, 5), (2, 3, 2, 4), geometry=_geometry((2, 2, 4, 5), (3, 2, 3, 2))),
            call((1, 4, 5, 4), (1, 2, 3, 2), geometry=_geometry((1, 4, 5, 4), (2, 2, 2, 3), (2, 1), (1, 0), (1, 1), 2)),
            call((1, 1, 6, 5), (1, 2, 1, 3), geometry=_geometry((1, 1, 6, 5), (2, 1, 3, 2), (2, 2), (0, 1), (2, 1))),
        ),
        lambda torch, x, g, geometry: _torch_slot(torch, geometry, x=x, g=g),
        edge=(call((0, 1, 3, 4), (0, 2, 2, 3), geometry=_geometry((0, 1, 3, 4), (2, 1, 2, 2))),),
    ),
    OpCase(
        "conv_input",
        lambda g, w, geometry: ops_conv.ConvInput(geometry)(g, w),
        (
            call((2, 3, 2, 4), (3, 2, 3, 2), geometry=_geometry((2, 2, 4, 5), (3, 2, 3, 2))),
            call((1, 2, 4, 2), (2, 2, 2, 3), geometry=_geometry((1, 4, 6, 4), (2, 2, 2, 3), (2, 1), (1, 0), (1, 1), 2)),
        ),
        lambda torch, g, w, geometry: _torch_slot(torch, geometry, w=w, g=g),
        edge=(call((0, 2, 2, 3), (2, 1, 2, 2), geometry=_geometry((0, 1, 3, 4), (2, 1, 2, 2))),),
    ),
)


def _filters_of_samples(x, weight, style, bias=None, stride=1, padding=0, demodulate=True, eps=1e-8):
    """`modulated_conv2d` as its paper states it: every sample is a group of one convolution with filters of its own."""
    (n, c, height, width), outs = x.shape, weight.shape[0]
    filters = weight.reshape(1, *weight.shape) * style.reshape(n, 1, c, 1, 1)
    if demodulate:
        filters = filters / (ops_reduce.sum(filters * filters, (2, 3, 4), keepdim=True) + eps).sqrt()
    filters = filters.reshape(n * outs, c, *weight.shape[2:])
    y = ops_conv.conv2d(x.reshape(1, n * c, height, width), filters, None, stride, padding, groups=n)
    y = y.reshape(n, outs, *y.shape[2:])
    return y if bias is None else y + bias.reshape(1, outs, 1, 1)


def _torch_filters_of_samples(torch, x, weight, style, bias=None, stride=1, padding=0, demodulate=True, eps=1e-8):
    """The same in PyTorch, a sample at a time."""
    filters = weight[None] * style[:, None, :, None, None]
    if demodulate:
        filters = filters / (filters.pow(2).sum((2, 3, 4), keepdim=True) + eps).sqrt()
    each = [torch.nn.functional.conv2d(x[i : i + 1], filters[i], bias, stride, padding) for i in range(len(x))]
    return torch.cat(each) if each else torch.nn.functional.conv2d(x, weight, bias, stride, padding)


def _refused(message: str, *arguments, exception: type[Exception] = ValueError, **settings) -> BadCall:
    return BadCall(
        lambda: ops_modulate.modulated_conv2d(*arguments, **settings), exception, f"modulated_conv2d: {message}"
    )


MODULATION = (
    OpCase(
        "modulated_conv2d",
        ops_modulate.modulated_conv2d,
        (
            call((2, 2, 3, 4), (3, 2, 3, 2), (2, 2), (3,), padding=1),
            call((3, 2, 4, 4), (2, 2, 1, 1), (3, 2), demodulate=False),
            call((2, 3, 5, 4), (2, 3, 3, 3), (2, 3), stride=2, padding=(1, 0), eps=0.5),
            call((1, 1, 3, 3), (1, 1, 3, 3), (1, 1), padding=1),
        ),
        _torch_filters_of_samples,
        _filters_of_samples,
        edge=(
            call((0, 2, 3, 4), (3, 2, 2, 2), (0, 2), (3,)),
            call((1, 1, 1, 1), (1, 1, 1, 1), (1, 1)),
        ),
        error_inputs=(
            _refused(r"input must be \(N, C, H, W\)", _image(3, 4, 5), make(FILTER), _image(1, 3)),
            _refused(r"input has 3 channels, weight expects 4 \(input", make(IMAGE), _image(2, 4, 3, 3), _image(1, 3)),
            _refused(r"style has shape \(1, 2\), expected \(1, 3\) for input", make(IMAGE), make(FILTER), _image(1, 2)),
            _refused(r"bias has shape \(3,\), expected \(2,\)", make(IMAGE), make(FILTER), _image(1, 3), _image(3)),
            _refused("eps must not be negative, got -1", make(IMAGE), make(FILTER), _image(1, 3), eps=-1.0),
            _refused(
                "operands must share one floating dtype",
                make(IMAGE),
                make(FILTER),
                _image(1, 3, dtype=np.float64),
                exception=TypeError,
            ),
            _refused("stride must be an integer", make(IMAGE), make(FILTER), _image(1, 3), stride=0),
            _refused(r"the kernel \(3, 2\)", _image(1, 3, 2, 2), make(FILTER), _image(1, 3)),
        ),
    ),
)


def _no_ceil(op: str) -> BadCall:
    return BadCall(
        lambda: getattr(ops_resample, op)(make(IMAGE), 2, ceil_mode=True),
        ValueError,
        f"{op}: ceil_mode=True is not supported",
    )


POOLING = (
    OpCase(
        "avg_pool2d",
        ops_resample.avg_pool2d,
        (
            call((1, 2, 4, 6), kernel_size=2),
            call((1, 1, 5, 4), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0)),
            call((1, 2, 4, 5), kernel_size=3, stride=2, padding=1, count_include_pad=False),
        ),
        "nn.functional.avg_pool2d",
        edge=(call((0, 2, 3, 4), kernel_size=2), call((1, 1, 1, 1), kernel_size=1)),
        strategy="pool2d",
        error_inputs=(
            _no_ceil("avg_pool2d"),
            BadCall(
                lambda: ops_resample.avg_pool2d(_image(3, 4, 5), 2),
                ValueError,
                r"avg_pool2d: input must be \(N, C, H, W\)",
            ),
            BadCall(
                lambda: ops_resample.avg_pool2d(make(IMAGE), 2, padding=2),
                ValueError,
                r"avg_pool2d: padding \(2, 2\) must be at most half of kernel_size \(2, 2\)",
            ),
            BadCall(
                lambda: ops_resample.avg_pool2d(make(IMAGE), 9),
                ValueError,
                r"avg_pool2d: .*larger than the padded input",
            ),
        ),
    ),
    OpCase(
        "max_pool2d",
        ops_resample.max_pool2d,
        (
            call((1, 2, 4, 6), kernel_size=2),
            call((1, 1, 5, 4), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0)),
            call((1, 1, 6, 7), kernel_size=2, stride=1, dilation=(2, 3)),
        ),
        "nn.functional.max_pool2d",
        values=DISTINCT,
        edge=(call((0, 2, 3, 4), kernel_size=2), call((1, 1, 1, 1), kernel_size=1)),
        kinks=(call(np.array([[[[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]]), kernel_size=2, stride=1),),
        strategy="pool2d",
        error_inputs=(
            _no_ceil("max_pool2d"),
            BadCall(
                lambda: ops_resample.max_pool2d(_image(3, 4, 5), 2),
                ValueError,
                r"max_pool2d: input must be \(N, C, H, W\)",
            ),
            BadCall(
                lambda: ops_resample.max_pool2d(make(IMAGE), 9),
                ValueError,
                r"max_pool2d: window \(9, 9\) .* is larger than the padded input",
            ),
            BadCall(lambda: ops_resample.max_pool2d(make(IMAGE), 0), ValueError, "max_pool2d: kernel_size must be"),
        ),
    ),
)

RESAMPLING = (
    OpCase(
        "interpolate",
        ops_resample.interpolate,
        (
            call((1, 2, 2, 3), scale_factor=2),
            call((1, 1, 4, 5), size=(3, 7)),
            call((1, 1, 4, 3), scale_factor=(1.5, 0.7)),
            call((1, 1, 2, 3), size=5),
            call((1, 2, 2, 3), scale_factor=2, mode="bilinear"),
            call((1, 1, 4, 5), size=(3, 7), mode="bilinear", align_corners=False),
            call((1, 1, 4, 3), scale_factor=(1.5, 0.7), mode="bilinear"),
            call((1, 1, 3, 4), size=(5, 2), mode="bilinear", align_corners=True),
            call((1, 1, 3, 4), size=(1, 1), mode="bilinear", align_corners=True),
        ),
        "nn.functional.interpolate",
        edge=(
            call((1, 1, 1, 1), scale_factor=2),
            call((1, 1, 1, 1), scale_factor=2, mode="bilinear"),
            call((0, 1, 2, 3), scale_factor=2),
        ),
        strategy="interpolate",
        error_inputs=(
            BadCall(
                lambda: ops_resample.interpolate(make(IMAGE)),
                ValueError,
                "interpolate: give either size or scale_factor",
            ),
            BadCall(
                lambda: ops_resample.interpolate(make(IMAGE), 2, 2),
                ValueError,
                "interpolate: give either size or scale_factor",
            ),
            BadCall(
                lambda: ops_resample.interpolate(make(IMAGE), 8, mode="cubic"),
                ValueError,
                "interpolate: unknown mode 'cubic'; known modes: nearest, bilinear",
            ),
            BadCall(
                lambda: ops_resample.interpolate(make(IMAGE), scale_factor=0.1),
                ValueError,
                r"interpolate: the output would have size \(0, 0\)",
            ),
        ),
    ),
    OpCase(
        "pixel_shuffle",
        ops_resample.pixel_shuffle,
        (
            call((1, 8, 2, 3), upscale_factor=2),
            call((2, 9, 1, 2), upscale_factor=3),
            call((1, 2, 2, 3), upscale_factor=1),
        ),
        "nn.functional.pixel_shuffle",
        edge=(call((0, 4, 2, 3), upscale_factor=2), call((1, 4, 1, 1), upscale_factor=2)),
        error_inputs=(
            BadCall(
                lambda: ops_resample.pixel_shuffle(make(IMAGE), 2),
                ValueError,
                r"pixel_shuffle: 3 channels are not a multiple of 2\^2",
            ),
        ),
    ),
)

CASES = (*CONVOLUTIONS, *MODULATION, *POOLING, *RESAMPLING)
