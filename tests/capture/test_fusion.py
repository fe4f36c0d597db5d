"""What a plan fuses is what the ops say, one by one: each rewrite of `capture/fusion.py`, on operands of one to five
axes, with every reader of the result, in both dtypes, captured against eager.

float64 agrees to 1e-12 and float32 to 1e-4 of the largest number: sums may change their order, nothing else.
"""

import itertools

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import nn
from minigan.capture import capture
from minigan.capture.fusion import Fused
from minigan.kernels.geometry import ConvGeometry
from minigan.ops.act import LeakyReluGrad
from minigan.ops.conv import Conv, ConvInput, ConvWeight
from minigan.ops.norm import BatchNorm, BatchNormGrad
from minigan.ops.shape import permute

TOLERANCE = {"float32": 1e-4, "float64": 1e-12}


class Draws:
    """Tensors of random numbers, the same ones from the same seed."""

    def __init__(self, dtype):
        self.rng, self.dtype = np.random.default_rng(0), dtype

    def __call__(self, *shape):
        return mg.tensor(self.rng.standard_normal(shape).astype(self.dtype))


def is_fused(step):
    """Whether the newest plan of a captured step holds a line that does more than its op."""
    return any(isinstance(getattr(line, "op", None), Fused) for line in step.plans[-1].program)


def agree(function, dtype):
    """Compare function(), a Tensor or a tuple of them, captured and eager, twice; returns the captured one."""
    step = capture(function)
    for _ in range(2):
        eager, replay = function(), step()
        pairs = zip(eager, replay, strict=True) if isinstance(eager, (tuple, list)) else [(eager, replay)]
        for a, b in pairs:
            assert a.shape == b.shape and a.dtype == b.dtype
            a, b = a.detach().numpy(), b.detach().numpy()
            assert np.isfinite(a).all()
            np.testing.assert_allclose(b, a, rtol=0, atol=TOLERANCE[dtype] * max(1.0, np.abs(a).max(initial=0)))
    return step


def slices(tensor):
    """The same numbers, every second row of twice as many: no axis lies inside the other."""
    wide = np.repeat(tensor.numpy(), 2, axis=-1)
    return mg.Tensor(wide[..., ::2])


# (a's shape, b's shape): the axes of matmul, batch axes broadcast from either side, sizes for both kinds of loops.
SHAPES = [
    ((4,), (4,)),
    ((4,), (4, 3)),
    ((5, 4), (4,)),
    ((5, 4), (4, 3)),
    ((40, 36), (36, 32)),
    ((2, 5, 4), (4,)),
    ((2, 5, 4), (4, 3)),
    ((5, 4), (2, 4, 3)),
    ((2, 5, 4), (2, 4, 3)),
    ((1, 5, 4), (2, 4, 3)),
    ((3, 40, 36), (3, 36, 32)),
    ((2, 3, 5, 4), (4, 3)),
    ((2, 3, 5, 4), (3, 4, 3)),
    ((2, 1, 5, 4), (1, 3, 4, 3)),
    ((2, 3, 5, 4), (2, 3, 4, 3)),
    ((2, 3, 40, 36), (2, 3, 36, 32)),
    ((2, 1, 2, 5, 4), (2, 3, 2, 4, 3)),
    ((2, 3, 2, 5, 4), (2, 3, 2, 4, 3)),
    ((0, 5, 4), (0, 4, 3)),
    ((2, 5, 0), (2, 0, 3)),
]
LAYOUTS = {
    "as it is": lambda x: x,
    "transposed": lambda x: mg.Tensor(np.ascontiguousarray(x.numpy().swapaxes(-1, -2)).swapaxes(-1, -2)),
    "batch axes swapped": lambda x: mg.Tensor(np.asfortranarray(x.numpy())),
    "with gaps": slices,
}
# What reads a product p: `draw` gives further tensors, `again()` a second product of the same shape.
READERS = {
    "relu": lambda p, draw, again: F.relu(p),
    "leaky relu": lambda p, draw, again: F.leaky_relu(p, 0.2),
    "leaky relu of negative slope": lambda p, draw, again: F.leaky_relu(p, -0.5),
    "leaky relu of slope 1": lambda p, draw, again: F.leaky_relu(p, 1.0),
    "leaky relu of a permuted view": lambda p, draw, again: F.relu(permute(p, tuple(range(p.ndim))[::-1])),
    "leaky relu of a reshaped view": lambda p, draw, again: F.leaky_relu(p.reshape(-1), 0.2),
    "bias": lambda p, draw, again: p + draw(*p.shape[-1:]),
    "bias first": lambda p, draw, again: draw(*p.shape[-1:]) + p,
    "bias, then leaky relu": lambda p, draw, again: F.leaky_relu(p + draw(*p.shape[-1:]), 0.2),
    "bias of the whole shape": lambda p, draw, again: F.relu(p + draw(*p.shape)),
    "leaky relu, then bias": lambda p, draw, again: F.leaky_relu(p, 0.2) + draw(*p.shape[-1:]),
    "mask": lambda p, draw, again: LeakyReluGrad(0.2)(draw(*p.shape), p),
    "relu's mask": lambda p, draw, again: LeakyReluGrad(0.0)(draw(*p.shape), p),
    "mask of a bias": lambda p, draw, again: LeakyReluGrad(0.2)(draw(*p.shape), p + draw(*p.shape[-1:])),
    "mask of itself": lambda p, draw, again: LeakyReluGrad(0.2)(p, p),
    "two masks": lambda p, draw, again: LeakyReluGrad(0.2)(draw(*p.shape), LeakyReluGrad(0.5)(draw(*p.shape), p)),
    "a second product": lambda p, draw, again: p + again(),
    "a second product first": lambda p, draw, again: again() + p,
    "three products": lambda p, draw, again: p + again() + again(),
    "products, then leaky relu": lambda p, draw, again: F.leaky_relu(p + again(), 0.2),
    "an activated product and a product": lambda p, draw, again: F.leaky_relu(p, 0.2) + again(),
    "a product and an activated product": lambda p, draw, again: again() + F.leaky_relu(p, 0.2),
    "permuted products": lambda p, draw, again: (
        permute(p, tuple(range(p.ndim))[::-1]) + permute(again(), tuple(range(p.ndim))[::-1])
    ),
    "itself twice": lambda p, draw, again: p + p,
    "read twice": lambda p, draw, again: (F.relu(p), p),
    "summed and read": lambda p, draw, again: (p + again(), p),
}


def matmul_case(a_shape, b_shape, layout, reader, dtype):
    draw = Draws(dtype)
    a, b = (LAYOUTS[layout](draw(*shape)) if len(shape) > 1 else draw(*shape) for shape in (a_shape, b_shape))
    others = [(draw(*a_shape), draw(*b_shape)) for _ in range(2)]
    extras = {}

    def step():
        numbers, seconds = itertools.count(), iter(others)

        def further(*shape):
            key = next(numbers), shape
            if key not in extras:
                extras[key] = draw(*shape)
            return extras[key]

        return READERS[reader](a @ b, further, lambda: mg.matmul(*next(seconds)))

    step()  # draws the extras
    return step


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("reader", READERS)
def test_products(reader, dtype):
    first = list(READERS).index(reader)  # each reader meets each shape in one layout, each layout in some shapes
    for number, (a_shape, b_shape) in enumerate(SHAPES):
        layout = list(LAYOUTS)[(number + first) % len(LAYOUTS)]
        if (len(a_shape) == len(b_shape) == 1) and ("view" in reader or "bias" in reader or "permuted" in reader):
            continue  # a product of no axes
        agree(matmul_case(a_shape, b_shape, layout, reader, dtype), dtype)


@pytest.mark.parametrize("reader", ["relu", "mask", "a second product"])
def test_batched_products_are_fused(reader):
    """The rewrites reach products of three axes and more: the tests above are not about plain lines."""
    assert is_fused(agree(matmul_case((2, 5, 4), (2, 4, 3), "as it is", reader, "float32"), "float32"))


GEOMETRIES = [
    ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": (1, 1)}),
    ((2, 4, 7, 6), (6, 2, 3, 2), {"stride": (2, 1), "groups": 2}),
    ((2, 1, 6, 5), (3, 1, 1, 1), {}),
    ((2, 8, 7, 6), (16, 8, 4, 4), {"stride": (2, 2), "padding": (1, 1)}),
    ((2, 8, 8, 8), (16, 8, 3, 3), {"padding": (1, 1)}),
    ((2, 8, 9, 9), (8, 1, 3, 3), {"groups": 8, "dilation": (2, 2)}),
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("number", range(len(GEOMETRIES)))
def test_convolutions(number, dtype):
    """Convolution, its input gradient and its weight gradient, with and without a bias, then every reader."""
    x_shape, w_shape, settings = GEOMETRIES[number]
    draw = Draws(dtype)
    settings = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, **settings}
    geometry = ConvGeometry(x_shape, w_shape, **settings)
    x, w, g = draw(*x_shape), draw(*w_shape), draw(*geometry.y_shape)
    others, biases = [draw(*s) for s in (x_shape, w_shape, geometry.y_shape)], {n: draw(n) for n in range(1, 33)}
    products = {
        "conv": lambda x, w, g: Conv(geometry)(x, w),
        "conv and bias": lambda x, w, g: Conv(geometry)(x, w, biases[w.shape[0]]),
        "input": lambda x, w, g: ConvInput(geometry)(g, w),
        "input and bias": lambda x, w, g: ConvInput(geometry)(g, w, biases[x_shape[1]]),
        "weight": lambda x, w, g: ConvWeight(geometry)(x, g),
    }
    for product in products.values():
        masks = [draw(*product(x, w, g).shape) for _ in range(2)]
        for reader in READERS.values():

            def step(product=product, masks=masks, reader=reader):
                def further(*shape):
                    return masks[0] if shape == masks[0].shape else biases[shape[0]]

                return reader(product(x, w, g), further, lambda: product(*others))

            agree(step, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 2, 5), (3, 2, 2, 3, 2), (64, 16, 4, 4)])
def test_batch_norm(shape, dtype):
    """Batch norm, then leaky-ReLU; leaky-ReLU's gradient, then batch norm's; what lies between read once or twice."""
    draw = Draws(dtype)
    x, g, mask = (draw(*shape) for _ in range(3))
    w, b = draw(shape[1]), draw(shape[1])
    for slope in (0.0, 0.2, -0.5, 1.0):

        def forward():
            y, mean, var = BatchNorm(1e-3)(x, w, b)
            return F.leaky_relu(y, slope), mean, var  # noqa: B023

        def backward():
            return BatchNormGrad(1e-3)(x, w, LeakyReluGrad(slope)(mask, g))  # noqa: B023

        def backward_of_itself():
            return BatchNormGrad(1e-3)(x, w, LeakyReluGrad(slope)(x, g))  # noqa: B023

        def read_twice():
            y = BatchNorm(1e-3)(x, w, b)[0]
            cotangent = LeakyReluGrad(slope)(mask, g)  # noqa: B023
            return F.leaky_relu(y, slope), y, *BatchNormGrad(1e-3)(x, w, cotangent), cotangent  # noqa: B023

        for step in (forward, backward, backward_of_itself, read_twice):
            agree(step, dtype)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_products_of_two_dtypes_add_up_in_the_wider(batch, swapped):
    """A float64 product is not added into float32 memory, nor a float32 one started from a float64 bias."""
    narrow, wide = Draws("float32"), Draws("float64")
    a, b, c, d = narrow(*batch, 5, 4), narrow(*batch, 4, 3), wide(*batch, 5, 4), wide(*batch, 4, 3)
    bias = wide(3)
    agree(lambda: (c @ d) + (a @ b) if swapped else (a @ b) + (c @ d), "float64")
    agree(lambda: (a @ b) + bias, "float32")


def trained(function, *params):
    """A step that returns function() and its gradients in the params."""

    def step():
        loss = function()
        return (loss, *mg.grad(loss, params))

    return step


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gradients_through_batched_products(dtype):
    """The rewrites meet in backward passes: masks before bilinear interpolation, weights used by two products."""
    draw = Draws(dtype)
    x, wide, tall = draw(2, 3, 8, 8), draw(2, 4, 5), draw(2, 3, 4, 5)
    w, v = nn.Parameter(draw(3, 3, 3, 3)), nn.Parameter(draw(2, 5, 4))
    b, u = nn.Parameter(draw(4)), nn.Parameter(draw(2, 3, 5, 4))
    agree(
        trained(lambda: (F.interpolate(F.relu(F.conv2d(x, w)), scale_factor=2, mode="bilinear") ** 2).sum(), w), dtype
    )
    agree(trained(lambda: (wide @ v).sum() + ((wide * 2) @ v).tanh().sum(), v), dtype)
    agree(trained(lambda: (F.relu(wide @ v + b) @ wide).sum() + (wide @ v).sum(), v, b), dtype)
    agree(trained(lambda: (F.leaky_relu(tall @ u, 0.2) @ tall).tanh().sum() + (tall @ u).sum(), u), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (2, 16, 8, 8), (64, 16, 8, 8)])
def test_a_number_for_each_channel(shape, dtype):
    """A scale and a shift, as of batch norm with running statistics, give the bits that the two ops give."""
    draw = Draws(dtype)
    x, scale, shift, whole = draw(*shape), draw(1, shape[1], 1, 1), draw(1, shape[1], 1, 1), draw(*shape)
    nhwc = mg.Tensor(np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    w = draw(shape[1], shape[1], 1, 1)
    fused = {
        "as it lies": lambda slope: x * scale + shift,
        "channels innermost": lambda slope: nhwc * scale + shift,
        "the other way around": lambda slope: shift + scale * nhwc,
        "leaky": lambda slope: F.leaky_relu(F.conv2d(x, w) * scale + shift, slope),
        "of itself": lambda slope: F.leaky_relu(x * scale + scale, slope),
    }
    plain = {
        "read twice": lambda slope: (lambda y: (y, y + shift))(nhwc * scale),
        "no channels": lambda slope: x * whole + shift,
        "one number": lambda slope: F.leaky_relu(x * scale[:, :1] + shift, slope),
        "changed between": None,
    }
    for expected, cases in ((True, fused), (False, plain)):
        for name, case in cases.items():
            for slope in (0.0, 0.2, -0.5, 1.0):

                def step(case=case, slope=slope, name=name):
                    if name == "changed between":
                        y = x * scale
                        x.add_(1)
                        return y + shift
                    return case(slope)

                with mg.no_grad():
                    captured = capture(step)
                    before = x.numpy().copy()
                    result = captured()
                    x.assign(before)
                    again = step()
                    x.assign(before)
                for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (result, again)), strict=True):
                    if name == "leaky":  # its product may be summed in another order
                        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-4)
                    else:
                        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
                ops = [getattr(getattr(line, "op", None), "name", "") for line in captured.plans[-1].program]
                assert ("scale_shift" in ops) == expected, name
