"""Winograd convolutions: the three faces agree with the plain kernels, for every tile, ragged edge and vector width.

The oracle is the plain kernels in float64. Where every coefficient is a dyadic fraction, F(2, 2) and F(2, 3), small
integers go through without rounding, so the results must be equal. F(4, r) rounds. A sum of n rounded terms is off by
about u sqrt(n) of its size (rms, u half a unit in the last place); the transforms multiply that by a factor that
depends on the points alone, and add a few roundings of their own: hence the limit AMPLIFIED * u * sqrt(n + 16), with
AMPLIFIED three times what was measured.
"""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_testing import on_threads, same_bits

from minigan.kernels import conv
from minigan.kernels.fast import winograd
from minigan.kernels.fast.winograd_matrices import POINTS, matrices
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.work import NOW, Now

KINDS = sorted(POINTS)
AMPLIFIED = {(2, 2): 1.25, (4, 2): 4.0, (2, 3): 1.7, (4, 3): 7.0}
UNIT = 2.0**-24
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)

each_tile = pytest.mark.parametrize(("m", "r"), KINDS)
each_width = pytest.mark.parametrize("lanes", [8, 16])


def geometry(r, batch, channels, size, outs, padding):
    """The 4 x 4 convolution of stride 2 (r = 2), or the 3 x 3 of stride 1 (r = 3)."""
    kernel, stride = (4, 2) if r == 2 else (3, 1)
    pairs = [(value, value) for value in (stride, padding, 1)]
    return ConvGeometry((batch, channels, *size), (outs, channels, kernel, kernel), *pairs, 1)


@st.composite
def geometries(draw, r):
    padding = draw(st.integers(0, 3))
    size = tuple(draw(st.integers(max(1, (4 if r == 2 else 3) - 2 * padding), 14)) for _ in "yx")
    channels, outs = (draw(st.sampled_from([1, 3, 8, 16, 17, 33, 64, 70, 100])) for _ in "co")
    return geometry(r, draw(st.integers(1, 3)), channels, size, outs, padding)


def tensors(geometry, integers=False, seed=0):
    """x, w, g and the biases of y and x as blocks: normal numbers, or integers from -3 to 3."""
    rng = np.random.default_rng(seed)
    batch, channels, height, width = geometry.x_shape
    _, outs, out_y, out_x = geometry.y_shape
    shapes = [(batch, height, width, channels), geometry.w_shape, (batch, out_y, out_x, outs), (outs,), (channels,)]
    draw = (lambda shape: rng.integers(-3, 4, shape)) if integers else rng.standard_normal
    return [np.asarray(draw(shape), np.float32) for shape in shapes]


def plain(geometry, x, w, g, y_bias, x_bias):
    """y, dx and dw by the plain kernels in float64."""
    x, w, g, y_bias, x_bias = (np.asarray(a, np.float64) for a in (x, w, g, y_bias, x_bias))
    x, g = x.transpose(TO_NCHW), g.transpose(TO_NCHW)
    y = conv.conv_forward(x, w, geometry, y_bias).transpose(TO_NHWC)
    dx = conv.conv_input(g, w, geometry, x_bias).transpose(TO_NHWC)
    return y, dx, conv.conv_weight(x, g, geometry)


def fast(geometry, x, w, g, y_bias, x_bias, m, lanes, work=NOW):
    """y, dx and dw by tiles of m, into arrays full of NaN."""
    y, dx, dw = (np.full_like(a, np.nan) for a in (g, x, w))
    with mock.patch.object(winograd, "tile_size", lambda geometry: m):
        winograd.conv_forward(x, w, geometry, y_bias, y, lanes, work)
        winograd.conv_input(g, w, geometry, x_bias, dx, lanes, work)
        winograd.conv_weight(x, g, geometry, dw, lanes, work)
    return y, dx, dw


def within(geometry, actual, expected, m, r):
    """The rms errors of y, dx and dw are below the limit that the head of this file states, for normal operands."""
    outs, channels = geometry.w_shape[:2]
    phases, pixels = geometry.stride[0] ** 2, geometry.y_shape[0] * geometry.y_shape[2] * geometry.y_shape[3]
    for a, e, terms in zip(actual, expected, (phases * channels, outs, pixels), strict=True):
        assert np.isfinite(a).all()
        error, size = np.sqrt(np.mean((a - e) ** 2)), np.sqrt(terms * r * r)
        assert error <= AMPLIFIED[m, r] * UNIT * np.sqrt(terms + 16) * size


@each_tile
def test_the_matrices_are_a_convolution_exactly(m, r):
    a, g, b = matrices(m, r)
    for i in range(m):
        for k in range(r):
            for place in range(m + r - 1):
                total = sum(x[i] * y[k] * z[place] for x, y, z in zip(a, g, b, strict=True))
                assert total == (place == i + k)


@each_width
@each_tile
def test_all_three_faces_agree_with_the_plain_kernels(m, r, lanes):
    @given(geometries(r), st.integers(0, 99))
    def agree(geometry, seed):
        blocks = tensors(geometry, integers=m == 2, seed=seed)
        expected, actual = plain(geometry, *blocks), fast(geometry, *blocks, m, lanes)
        if m == 2:
            for a, e in zip(actual, expected, strict=True):
                assert np.array_equal(a, e)
        else:
            within(geometry, actual, expected, m, r)

    agree()


@each_width
@each_tile
def test_errors_of_a_layer(m, r, lanes):
    layer = geometry(r, 8, 64, (16, 16), 64, 1)
    blocks = tensors(layer, seed=1)
    within(layer, fast(layer, *blocks, m, lanes), plain(layer, *blocks), m, r)


@each_width
@each_tile
def test_bits_do_not_depend_on_the_number_of_threads(m, r, lanes):
    layer = geometry(r, 3, 40, (13, 10), 72, 1)
    blocks = tensors(layer)
    same_bits(on_threads(lambda: fast(layer, *blocks, m, lanes)))


@each_width
@each_tile
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_epilogues_are_the_activation_of_the_same_sums(m, r, lanes, slope):
    layer = geometry(r, 2, 20, (9, 11), 37, 1)
    blocks = x, w, g, y_bias, x_bias = tensors(layer)
    y, dx, _ = fast(layer, *blocks, m, lanes)
    mask = np.random.default_rng(2).standard_normal(x.shape).astype(np.float32)
    mask[0, 0, 0, :3] = 0.0, -0.0, np.nan
    active, masked, own = np.full_like(y, np.nan), np.full_like(dx, np.nan), np.full_like(dx, np.nan)
    with mock.patch.object(winograd, "tile_size", lambda geometry: m):
        winograd.conv_forward(x, w, layer, y_bias, active, lanes, NOW, slope)
        winograd.conv_input(g, w, layer, x_bias, masked, lanes, NOW, mask, slope)
        winograd.conv_input(g, w, layer, x_bias, own, lanes, NOW, None, slope)

    def gated(value, gate):
        if slope == 0:
            return np.where(gate <= 0, np.float32(0), value)
        return np.where(gate > 0, value, np.float32(slope) * value)

    for actual, expected in ((active, gated(y, y)), (masked, gated(dx, mask)), (own, gated(dx, dx))):
        assert np.array_equal(actual, expected)


@each_width
def test_relu_keeps_nan(lanes):
    layer = geometry(2, 1, 16, (8, 8), 16, 1)
    x, w, _, bias, _ = tensors(layer)
    bias[3] = np.nan
    y = np.empty((1, 4, 4, 16), np.float32)
    winograd.conv_forward(x, w, layer, bias, y, lanes, NOW, 0.0)
    assert np.isnan(y[..., 3]).all()
    assert np.isfinite(np.delete(y, 3, axis=-1)).all()


@each_width
@each_tile
def test_a_weight_gradient_adds_to_what_is_there(m, r, lanes):
    layer = geometry(r, 2, 17, (8, 9), 33, 1)
    x, w, g, *_ = blocks = tensors(layer)
    dw, total = fast(layer, *blocks, m, lanes)[2], w.copy()
    with mock.patch.object(winograd, "tile_size", lambda geometry: m):
        winograd.conv_weight(x, g, layer, total, lanes, NOW, add=True)
    assert np.array_equal(total, w + dw)


@each_tile
def test_without_a_bias_the_sums_begin_at_zero(m, r):
    layer = geometry(r, 2, 16, (7, 8), 24, 1)
    x, w, g, y_bias, x_bias = tensors(layer)
    bare = fast(layer, x, w, g, None, None, m, 16)
    same_bits([bare, fast(layer, x, w, g, 0 * y_bias, 0 * x_bias, m, 16)])


class Shared(Now):
    """Makes each derived array once, and says which were asked for."""

    def __init__(self):
        self.made, self.asked = {}, []

    def derived(self, key, source, shape, fill):
        name = (key, source.ctypes.data)
        self.asked.append(name)
        if name not in self.made:
            self.made[name] = super().derived(key, source, shape, fill)
        return self.made[name]


@each_tile
def test_faces_share_the_transforms_of_x_and_of_g(m, r):
    layer = geometry(r, 2, 32, (8, 8), 48, 1)
    blocks, work = tensors(layer), Shared()
    same_bits([fast(layer, *blocks, m, 16), fast(layer, *blocks, m, 16, work)])
    assert len(work.asked) == 6
    assert len(work.made) == 4  # of x, of g, and of w both ways


def test_suits_known_layers():
    critic = [((64, 64, 16, 16), 128, 4), ((32, 64, 32, 32), 128, 4), ((64, 128, 8, 8), 256, 2)]
    for (batch, channels, *size), outs, m in critic:
        layer = geometry(2, batch, channels, size, outs, 1)
        assert winograd.tile_size(layer) == m
        assert winograd.suits(layer, 16)
        assert winograd.suits(layer, 8)
        assert not winograd.suits(layer, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"x_shape": (64, 3, 32, 32), "w_shape": (64, 3, 4, 4)},  # an image
        {"x_shape": (64, 64, 32, 32), "w_shape": (1, 64, 4, 4)},  # a verdict
        {"x_shape": (2, 64, 8, 8)},  # few tiles
        {"x_shape": (512, 64, 6, 6)},  # tiles mostly outside the image
        {"w_shape": (128, 32, 4, 4), "groups": 2},
        {"dilation": (2, 2)},
        {"stride": (1, 1)},
        {"stride": (2, 1)},
        {"w_shape": (128, 64, 5, 5)},
    ],
)
def test_does_not_suit(changes):
    layer = geometry(2, 64, 64, (16, 16), 128, 1)
    assert winograd.suits(layer, 16)
    assert not winograd.suits(replace(layer, **changes), 16)


def test_the_switch():
    before = winograd.enabled()
    try:
        winograd.set_enabled(True)
        with winograd.disabled():
            assert not winograd.enabled()
            with winograd.disabled():
                pass
            assert not winograd.enabled()
            elsewhere = []
            thread = threading.Thread(target=lambda: elsewhere.append(winograd.enabled()))
            thread.start()
            thread.join()
            assert elsewhere == [True]
        assert winograd.enabled()
        winograd.set_enabled(False)
        assert not winograd.enabled()
    finally:
        winograd.set_enabled(before)


@pytest.mark.parametrize(("value", "expected"), [("0", "False"), ("1", "True")])
def test_the_environment_decides_at_first(value, expected):
    code = "from minigan.kernels.fast import winograd; print(winograd.enabled())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MINIGAN_WINOGRAD": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == expected
