"""Machine room, fast kernels: the transforms of a Winograd convolution, one loop to the points and one back.

A tile of an image is a square of pixels; `winograd_matrices` has the matrices M that turn it into the values at n * n
points, M tile M^T, and those that turn values back into a tile. All images are C-contiguous (N, H, W, C). With stride s
the image is taken apart into s * s phases: phase (a, b) has the pixels (s * q_y + a - padding, s * q_x + b - padding)
at its positions (q_y, q_x), and pixels outside the image are zero. Tile (t_y, t_x) of a phase starts at position
(step * t_y, step * t_x).

    gather    x -> B^T x B      g -> A g A^T      w -> G w G^T          reads each tile, zeros around the image
    scatter   y <- A^T M A      dx <- B U B^T     dw <- G^T V G         adds tiles up where they overlap, writes once

The values at point p of tile t begin at float p * point_step of a flat array; tables (`lines`) say where each vector of
channels goes from there. The arithmetic of a tile is straight-line code made from the matrix, for one vector of
channels at a time (`sandwich`).
"""

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from minigan.kernels.fast.micro import _Builder, transpose
from minigan.kernels.fast.winograd_matrices import matrices
from minigan.kernels.load import njit, variants

TRANSFORMS = 6
FROM_X, FROM_G, FROM_W, TO_Y, TO_X, TO_W = range(TRANSFORMS)


def matrix(m: int, r: int, transform: int) -> tuple[tuple[float, ...], ...]:
    """M of `transform` in F(m, r)."""
    a, g, b = matrices(m, r)
    rows = {FROM_X: b, FROM_G: a, FROM_W: g, TO_Y: a, TO_X: b, TO_W: g}[transform]
    if transform in (TO_Y, TO_X, TO_W):
        rows = zip(*rows, strict=True)
    return tuple(tuple(float(entry) for entry in row) for row in rows)


@intrinsic(prefer_literal=True)
def sandwich(typing, lanes, r, adding, m, transform, sources, offset, filled, target, row_step, column_step):
    """target = M source M^T, for FROM_..., or target += where `adding` (0 or 1), for TO_...: a vector for each entry.

    The first three arguments are compile-time integers, the others int64: m and the transform; the address of a table
    of the addresses of the source's entries, line by line; bytes to add to each of those; how many lanes are read, the
    others being zero; the address of target and its steps in bytes.
    """
    width, taps, adds = lanes.literal_value, r.literal_value, adding.literal_value
    signature = types.void(lanes, r, adding, *[types.int64] * 8)

    def codegen(context, builder, signature, arguments):
        m, transform, sources, offset, filled, target, row_step, column_step = arguments[3:]
        make = _Builder(builder, width)
        mask = make.below(filled, 0)

        def number(value):
            return ir.Constant(ir.IntType(64), value)

        def combined(row, vectors):
            """The sum of row[k] * vectors[k]."""
            total = None
            for factor, vector in zip(row, vectors, strict=True):
                if factor == 0:
                    continue
                constant = ir.Constant(make.vector, [factor] * width)
                if total is None:
                    total = vector if factor == 1 else builder.fmul(vector, constant)
                elif factor == 1:
                    total = builder.fadd(total, vector)
                elif factor == -1:
                    total = builder.fsub(total, vector)
                else:
                    total = builder.call(make.fma, [vector, constant, total])
            return total

        def apply(rows):
            size = range(len(rows[0]))
            columns = []
            for j in size:
                places = [make.entry(sources, number(i * len(size) + j)) for i in size]
                column = [make.load(make.at(builder.add(place, offset)), mask) for place in places]
                columns.append([combined(row, column) for row in rows])
            line = target
            for i in range(len(rows)):
                place = line
                for row in rows:
                    value = combined(row, [column[i] for column in columns])
                    if adds:
                        value = builder.fadd(value, make.vectors(place, 1)[0])
                    builder.store(value, make.at(place), align=4)
                    place = builder.add(place, column_step)
                line = builder.add(line, row_step)

        end = builder.append_basic_block("end")
        choice = builder.switch(builder.add(builder.mul(m, number(TRANSFORMS)), transform), end)
        for tile in (2, 4):
            for kind in (TO_Y, TO_X, TO_W) if adds else (FROM_X, FROM_G, FROM_W):
                block = builder.append_basic_block("apply")
                choice.add_case(number(tile * TRANSFORMS + kind), block)
                builder.position_at_end(block)
                apply(matrix(tile, taps, kind))
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def deliver(typing, lanes, source, bias, biased, slope, gate, filled, target):
    """target = gated(source + bias): the first `filled` floats of a vector of `lanes` (compile-time).

    slope and gate as `micro.last_tile` has them; the bias is left out where `biased` is 0.
    """
    width = lanes.literal_value
    signature = types.void(lanes, types.int64, types.int64, types.int64, types.float32, *[types.int64] * 3)

    def codegen(context, builder, signature, arguments):
        source, bias, biased, slope, gate, filled, target = arguments[1:]
        make, zero = _Builder(builder, width), ir.Constant(ir.IntType(64), 0)
        start = make.load(
            make.at(bias), make.below(builder.select(builder.icmp_signed("==", biased, zero), zero, filled), 0)
        )
        total = builder.fadd(make.vectors(source, 1)[0], start)
        mask, place, itself = make.below(filled, 0), make.at(target), builder.icmp_signed("==", gate, zero)
        beside = make.load(make.beside(place, gate), mask)
        by = builder.select(itself, total, beside)
        value = make.gated(total, by, slope)
        value = builder.select(make.is_zero(slope), make.gated(total, by, None), value)
        with builder.if_else(builder.icmp_signed(">=", filled, ir.Constant(ir.IntType(64), width))) as (every, some):
            with every:
                builder.store(value, place, align=4)
            with some:
                builder.call(make.masked_store, [value, place, ir.Constant(ir.IntType(32), 4), mask])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def prefetch(typing, address, to_write):
    """Asks for the cache line at an address (int64), to read it, or to write it where `to_write` (0 or 1) is 1.

    The loops ask for the next tile: its points lie in too many places for the hardware to foresee. An address past the
    end of an array does no harm.
    """

    def codegen(context, builder, signature, arguments):
        pointer, number = ir.PointerType(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.inttoptr(arguments[0], pointer)
        flag = 1 if signature.args[1].literal_value else 0
        builder.call(ask, [place, ir.Constant(number, flag), ir.Constant(number, 2), ir.Constant(number, 1)])
        return context.get_dummy_value()

    return types.void(types.int64, to_write), codegen


@variants
def gather(r: int, lanes: int):
    """The loop from an image to its points, for one r and vector width.

    image (N, H, W, C) -> points; `lines` has a row for each vector of channels of each phase: its first channel, its
    number of channels, the float where it goes at tile 0, and the floats from there to the next tile. A tile has
    size * size positions. `zeros` has C zeros. A task has one row of tiles.
    """

    @njit(parallel=True)
    def loop(m, transform, image, zeros, lines, size, step, stride, padding, tiles, points, point_step):
        batch, height, width, channels = image.shape
        image_at, zeros_at, points_at = image.ctypes.data, zeros.ctypes.data, points.ctypes.data
        n, vectors = m + r - 1, lines.shape[0] // stride**2
        to_row, to_column = 4 * n * point_step, 4 * point_step
        for task in prange(batch * tiles[0]):
            places = np.empty(size * size, np.int64)
            places_at = places.ctypes.data
            for phase in range(stride**2):
                first_y = stride * step * (task % tiles[0]) + phase // stride - padding[0]
                for t_x in range(tiles[1]):
                    first_x = stride * step * t_x + phase % stride - padding[1]
                    for i in range(size):
                        y = first_y + stride * i
                        row = (task // tiles[0] * height + y) * width
                        for j in range(size):
                            x = first_x + stride * j
                            inside = 0 <= y < height and 0 <= x < width
                            places[i * size + j] = image_at + 4 * channels * (row + x) if inside else zeros_at
                    tile = task * tiles[1] + t_x
                    for v in range(phase * vectors, (phase + 1) * vectors):
                        for i in range(n * n):
                            prefetch(points_at + 4 * (lines[v, 2] + (tile + 1) * lines[v, 3] + i * point_step), 1)
                    for v in range(phase * vectors, (phase + 1) * vectors):
                        offset, filled = 4 * lines[v, 0], lines[v, 1]
                        target = points_at + 4 * (lines[v, 2] + tile * lines[v, 3])
                        sandwich(lanes, r, 0, m, transform, places_at, offset, filled, target, to_row, to_column)

    return loop


@njit
def _scatter_image(
    lanes, r, number, group, m, transform, points, point_step, size, step, stride, padding, tiles, bias, gate, slope,
    image,
):  # fmt: skip
    """The channels of `group`, a row of `lines`, in image `number`, from its first row to its last.

    A band of the image stays in cache. Tiles are added to it; then its first `step` rows are complete and leave, and
    the others are the beginning of the next band.
    """
    _, height, width, depth = image.shape
    phase, first, channels, vectors, source, tile_step = group
    n, source_at, bias_at = m + r - 1, points.ctypes.data + 4 * source, bias.ctypes.data
    places = np.empty(n * n, np.int64)
    for i in range(n * n):
        places[i] = source_at + 4 * i * point_step
    places_at = places.ctypes.data
    first_y, first_x = phase // stride - padding[0], phase % stride - padding[1]
    across = max(step * (tiles[1] - 1) + size, (width - 1 - first_x) // stride + 1)
    to_column, to_row = 4 * vectors * lanes, 4 * vectors * lanes * across
    band = np.empty((size, across * vectors * lanes), np.float32)
    band_at = band.ctypes.data
    _advance(band, size)
    for t_y in range(max(tiles[0], (height - 1 - first_y) // (stride * step) + 1)):
        for t_x in range(tiles[1] if t_y < tiles[0] else 0):
            offset = 4 * ((number * tiles[0] + t_y) * tiles[1] + t_x) * tile_step
            for i in range(n * n):
                for v in range(0, vectors * lanes, 16):
                    prefetch(places[i] + offset + 4 * (tile_step + v), 0)
            for v in range(vectors):
                offset_v, target = offset + 4 * lanes * v, band_at + to_column * step * t_x + 4 * lanes * v
                sandwich(lanes, r, 1, m, transform, places_at, offset_v, lanes, target, to_row, to_column)
        for i in range(min(step, size)):
            y = first_y + stride * (step * t_y + i)
            for j in range(across if 0 <= y < height else 0):
                x = first_x + stride * j
                if 0 <= x < width:
                    pixel = image.ctypes.data + 4 * (((number * height + y) * width + x) * depth + first)
                    for v in range(vectors):
                        at = 4 * lanes * v
                        deliver(
                            lanes, band_at + to_row * i + to_column * j + at, bias_at + 4 * first + at, bias.size,
                            slope, gate, channels - lanes * v, pixel + at,
                        )  # fmt: skip
        _advance(band, step)


@njit
def _advance(band, step):
    """The rows of band from `step` on become its first ones, zeros come after them."""
    size, length = band.shape
    for i in range(size):
        for c in range(length):
            band[i, c] = band[i + step, c] if i + step < size else np.float32(0)


@variants
def scatter(r: int, lanes: int):
    """The loop from points back to an image, for one r and vector width.

    points -> image (N, H, W, C) = gated(bias + sum of the tiles). `lines` has a row for each group of channels: phase,
    first channel, number of channels, number of vectors, the float where the first one begins at tile 0, and the
    floats from there to the next tile. bias (C) may be empty; slope and gate are those of `deliver`.
    """

    @njit(parallel=True)
    def loop(m, transform, points, point_step, lines, size, step, stride, padding, tiles, bias, gate, slope, image):
        for task in prange(image.shape[0] * lines.shape[0]):
            g = task % lines.shape[0]
            group = (lines[g, 0], lines[g, 1], lines[g, 2], lines[g, 3], lines[g, 4], lines[g, 5])
            _scatter_image(
                lanes, r, task // lines.shape[0], group, m, transform, points, point_step, size, step, stride,
                padding, tiles, bias, gate, slope, image,
            )  # fmt: skip

    return loop


@variants
def turn(lanes: int):
    """The loop target (B, columns, rows) = source (B, rows, columns), each matrix transposed; with add, target +=.

    Blocks of lanes x lanes are turned in registers, what is left over one by one.
    """

    @njit(parallel=True)
    def loop(source, target, add):
        batch, rows, columns = source.shape
        bands = (columns + lanes - 1) // lanes
        for task in prange(batch * bands):
            b, first = task // bands, task % bands * lanes
            right = min(columns, first + lanes)
            block = np.empty((lanes, lanes), np.float32)
            order = np.empty((lanes, 2), np.int64)
            for i in range(lanes):
                order[i, 0] = i
            for top in range(0, rows, lanes):
                bottom = min(rows, top + lanes)
                at = source.ctypes.data + 4 * ((b * rows + top) * columns + first)
                if right - first < lanes or bottom - top < lanes:
                    for j in range(first, right):
                        for i in range(top, bottom):
                            target[b, j, i] = source[b, i, j] + (target[b, j, i] if add else np.float32(0))
                else:
                    to, step = target.ctypes.data + 4 * ((b * columns + first) * rows + top), rows
                    if add:
                        to, step = block.ctypes.data, lanes
                    transpose(lanes, at, 4 * columns, to, 4 * step, order.ctypes.data)
                    if add:
                        for j in range(lanes):
                            for i in range(lanes):
                                target[b, first + j, top + i] += block[j, i]

    return loop
