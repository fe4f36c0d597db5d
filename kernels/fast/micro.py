"""The micro-kernel: one tile of a matrix product held in vector registers, written as LLVM IR.

    C[r, j] = start[j] + sum over runs t, steps k of  A[r, t, k] * B[t, k, j]        r < rows, j < lanes * vectors

It is IR because a loop in Python cannot tell Numba to keep a block of C in registers over the whole sum. Each step
loads `vectors` pieces of B and `rows` numbers of A and does rows * vectors multiply-adds, so that arithmetic and not
memory sets the pace. Tiles that fill the registers (32 of AVX-512, 16 of AVX2) and do not spill:

    lanes 16: 6 rows x 4 vectors, 12 x 2, 12 x 1          lanes 8: 6 rows x 2 vectors, 12 x 1

Where the operands lie (addresses and offsets in bytes):

- A[r, t, k] at a + row_a[r] + run_a[t] + k * step_a, for k < run_length[t]. With tables of row and run offsets a
  convolution is a matrix product without copying a window: a row is an output pixel, a run a stretch of its window.
- B is packed: lanes * vectors floats a step, all steps of all runs one after the other from b on.
- C[r] at c + row_c[r], of which only the first `columns` floats are written. Rows may repeat: the last tile of a matrix
  names the last row as often as it must.
- start is the address of the bias, or 0 to add to what C holds, where a long sum is cut into blocks.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTE, _INT32, _INT64, _FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_POINTER = ir.PointerType()
_ALIGN = ir.Constant(_INT32, 4)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_INT64, value)


class _Builder:
    """The few phrases of IR that the tile is made of, for one vector width."""

    def __init__(self, builder: ir.IRBuilder, lanes: int) -> None:
        self.ir, self.lanes = builder, lanes
        self.vector = ir.VectorType(_FLOAT, lanes)
        self.zero = ir.Constant(self.vector, [0.0] * lanes)
        mask = ir.VectorType(ir.IntType(1), lanes)

        def function(name, result, *arguments):
            return cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(result, arguments), f"llvm.{name}.v{lanes}f32"
            )

        self.fma = function("fma", self.vector, *[self.vector] * 3)
        self.masked_load = function("masked.load", self.vector, _POINTER, _INT32, mask, self.vector)
        self.masked_store = function("masked.store", ir.VoidType(), self.vector, _POINTER, _INT32, mask)

    def at(self, address: ir.Value, offset: int = 0) -> ir.Value:
        return self.ir.inttoptr(self.ir.add(address, _int(offset)), _POINTER)

    def entry(self, table: ir.Value, index: ir.Value) -> ir.Value:
        """table[index] of an int64 table."""
        address = self.ir.add(table, self.ir.shl(index, _int(3)))
        return self.ir.load(self.at(address), typ=_INT64, align=8)

    def vectors(self, address: ir.Value, count: int) -> list[ir.Value]:
        size = 4 * self.lanes
        return [self.ir.load(self.at(address, size * j), typ=self.vector, align=4) for j in range(count)]

    def splat(self, scalar: ir.Value, kind: ir.VectorType) -> ir.Value:
        hole = ir.Constant(kind, ir.Undefined)
        first = self.ir.insert_element(hole, scalar, ir.Constant(_INT32, 0))
        return self.ir.shuffle_vector(first, hole, ir.Constant(ir.VectorType(_INT32, self.lanes), [0] * self.lanes))

    def below(self, columns: ir.Value, vector: int) -> ir.Value:
        """The mask of the lanes of piece `vector` of a row that are columns of C."""
        kind = ir.VectorType(_INT32, self.lanes)
        first = vector * self.lanes
        lane = ir.Constant(kind, list(range(first, first + self.lanes)))
        return self.ir.icmp_signed("<", lane, self.splat(self.ir.trunc(columns, _INT32), kind))


@intrinsic(prefer_literal=True)
def tile(
    typing,
    lanes,
    vectors,
    rows,
    a,
    row_a,
    run_a,
    run_length,
    runs,
    step_a,
    b,
    c,
    row_c,
    columns,
    start,
):
    """One tile. The first three arguments are compile-time integers; the others int64: addresses, counts, byte steps.

    There is at least one run, and each has at least one step.
    """
    width, count, height = lanes.literal_value, vectors.literal_value, rows.literal_value
    signature = types.void(lanes, vectors, rows, *[types.int64] * 11)

    def codegen(context, builder, signature, arguments):
        a, row_a, run_a, run_length, runs, step_a, b, c, row_c, columns, start = arguments[3:]
        make = _Builder(builder, width)
        tile_rows, pieces = range(height), range(count)
        names = ("start_bias", "start_c", "run", "step", "run_end", "store")
        start_bias, start_c, run, step, run_end, store = map(builder.append_basic_block, names)

        def cell(r, j):
            return make.at(c_rows[r], 4 * width * j)

        def block_of_phis():
            return [[builder.phi(make.vector) for _ in pieces] for _ in tile_rows]

        def incoming(phis, values, block):
            for phi_row, value_row in zip(phis, values, strict=True):
                for phi, value in zip(phi_row, value_row, strict=True):
                    phi.add_incoming(value, block)

        a_rows = [builder.add(a, make.entry(row_a, _int(r))) for r in tile_rows]
        c_rows = [builder.add(c, make.entry(row_c, _int(r))) for r in tile_rows]
        builder.cbranch(builder.icmp_signed("!=", start, _int(0)), start_bias, start_c)

        builder.position_at_end(start_bias)
        bias = [make.vectors(start, count)] * height
        builder.branch(run)

        builder.position_at_end(start_c)
        masks = [make.below(columns, j) for j in pieces]
        held = [
            [builder.call(make.masked_load, [cell(r, j), _ALIGN, masks[j], make.zero]) for j in pieces]
            for r in tile_rows
        ]
        builder.branch(run)

        builder.position_at_end(run)
        t, run_b, run_sums = builder.phi(_INT64), builder.phi(_INT64), block_of_phis()
        for before, sums in ((start_bias, bias), (start_c, held)):
            t.add_incoming(_int(0), before)
            run_b.add_incoming(b, before)
            incoming(run_sums, sums, before)
        run_offset = make.entry(run_a, t)
        b_bytes = 4 * width * count
        b_end = builder.add(run_b, builder.mul(make.entry(run_length, t), _int(b_bytes)))
        builder.branch(step)

        builder.position_at_end(step)
        offset, step_b, sums = builder.phi(_INT64), builder.phi(_INT64), block_of_phis()
        offset.add_incoming(run_offset, run)
        step_b.add_incoming(run_b, run)
        incoming(sums, run_sums, run)
        b_row = make.vectors(step_b, count)
        new_sums = []
        for r in tile_rows:
            pointer = builder.gep(builder.inttoptr(a_rows[r], _POINTER), [offset], source_etype=_BYTE)
            scalar = make.splat(builder.load(pointer, typ=_FLOAT, align=4), make.vector)
            new_sums.append([builder.call(make.fma, [scalar, b_row[j], sums[r][j]]) for j in pieces])
        next_offset, next_b = builder.add(offset, step_a), builder.add(step_b, _int(b_bytes))
        offset.add_incoming(next_offset, step)
        step_b.add_incoming(next_b, step)
        incoming(sums, new_sums, step)
        builder.cbranch(builder.icmp_signed("!=", next_b, b_end), step, run_end)

        builder.position_at_end(run_end)
        next_t = builder.add(t, _int(1))
        t.add_incoming(next_t, run_end)
        run_b.add_incoming(next_b, run_end)
        incoming(run_sums, new_sums, run_end)
        builder.cbranch(builder.icmp_signed("<", next_t, runs), run, store)

        builder.position_at_end(store)
        for j in pieces:
            mask = make.below(columns, j)
            for r in tile_rows:
                builder.call(make.masked_store, [new_sums[r][j], cell(r, j), _ALIGN, mask])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def move(typing, lanes, source, target):
    """Copies one vector of `lanes` (compile-time) floats from one address to another."""
    width = lanes.literal_value
    signature = types.void(lanes, types.int64, types.int64)

    def codegen(context, builder, signature, arguments):
        make = _Builder(builder, width)
        (vector,) = make.vectors(arguments[1], 1)
        builder.store(vector, make.at(arguments[2]), align=4)
        return context.get_dummy_value()

    return signature, codegen
