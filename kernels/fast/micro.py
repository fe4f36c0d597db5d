"""Machine room, fast kernels: the micro-kernel, one tile of a matrix product in vector registers, as LLVM IR.

    C[r, j] = start[j] + sum over steps k of  A[r, k] * B[k, j]        r < rows, j < lanes * vectors

It is IR because a loop in Python cannot tell Numba to keep a block of C in registers over the whole sum. Each step
loads `vectors` pieces of B and `rows` numbers of A and does rows * vectors multiply-adds, so that arithmetic and not
memory sets the pace. Tiles that fill the registers (32 of AVX-512, 16 of AVX2) and do not spill:

    lanes 16: 6 rows x 4 vectors, 6 x 3, 12 x 2          lanes 8: 6 rows x 2 vectors, 12 x 1

Where the operands lie (addresses and offsets in bytes):

- C[r] at c + row_c[r]. Rows may repeat: the last tile of a matrix names the last row as often as it must.
- start is the address of the bias, or ZERO; or HELD to add to what C holds, where a long sum is cut into blocks.

`stepped_tile` reads a list of its steps, pairs of int32 (in A, in B): A[r, k] at a + row_a[r] + in A, and the row of B
at b + in B * step_b. Of C and of the bias it reads and writes the first `columns` floats of a row only; where that is
all of them, as in nearly every tile, it stores whole vectors, since a masked store is slow on a processor with AVX2.
With a table of rows and a list of steps a convolution is a matrix product without copying a window: a row is an output
pixel, a step one input channel of one tap; and taps that meet no input are left out. Its slope and gate say what is
stored: v where m > 0 and slope v elsewhere. m is v itself where gate is 0, and the number `gate` bytes after the place
of v in C otherwise. So leaky-ReLU and its gradient cost no pass over memory of their own. For slope 0, 0 is stored
where m <= 0, and v elsewhere; for slope 1, v.

`tile` reads no list: its steps come in runs, A[r, t, k] at a + row_a[r] + run_a[t] + k * step_a for k < run_length[t],
and B is packed: lanes * vectors floats a step, all steps of all runs one after the other from b on. Its rows of C are
whole vectors, and it has no bias.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

HELD, ZERO = 0, -1
"""Values of `start` that are no addresses."""

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

    def beside(self, pointer: ir.Value, offset: ir.Value) -> ir.Value:
        return self.ir.gep(pointer, [offset], source_etype=_BYTE)

    def load(self, pointer: ir.Value, mask: ir.Value) -> ir.Value:
        """The floats of a vector that the mask names, zeros for the others."""
        return self.ir.call(self.masked_load, [pointer, _ALIGN, mask, self.zero])

    def is_zero(self, slope: ir.Value) -> ir.Value:
        return self.ir.fcmp_ordered("==", slope, ir.Constant(_FLOAT, 0.0))

    def gated(self, value: ir.Value, gate: ir.Value, slope: ir.Value | None) -> ir.Value:
        """value where gate > 0, slope * value elsewhere; for None, a slope of 0, 0 where gate <= 0."""
        if slope is None:
            return self.ir.select(self.ir.fcmp_unordered(">", gate, self.zero), value, self.zero)
        scaled = self.ir.fmul(value, self.splat(slope, self.vector))
        return self.ir.select(self.ir.fcmp_ordered(">", gate, self.zero), value, scaled)

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


class _Tile:
    """What the tiles have in common: where their rows lie, how their sums start, and how they are stored.

    columns: how many floats of a row of C there are; None where all of them are there.
    """

    def __init__(self, builder, lanes, vectors, rows, a, row_a, c, row_c, columns=None) -> None:
        self.ir, self.make, self.lanes, self.columns = builder, _Builder(builder, lanes), lanes, columns
        self.rows, self.pieces = range(rows), range(vectors)
        self.a_rows = [builder.add(a, self.make.entry(row_a, _int(r))) for r in self.rows]
        self.c_rows = [builder.add(c, self.make.entry(row_c, _int(r))) for r in self.rows]

    def cell(self, r: int, j: int) -> ir.Value:
        return self.make.at(self.c_rows[r], 4 * self.lanes * j)

    def phis(self) -> list[list[ir.PhiInstr]]:
        return [[self.ir.phi(self.make.vector) for _ in self.pieces] for _ in self.rows]

    @staticmethod
    def incoming(phis, values, block) -> None:
        for phi_row, value_row in zip(phis, values, strict=True):
            for phi, value in zip(phi_row, value_row, strict=True):
                phi.add_incoming(value, block)

    def masks(self) -> list[ir.Value]:
        """Which lanes of each piece of a row are columns of C."""
        return [self.make.below(self.columns, j) for j in self.pieces]

    def whole(self) -> ir.Value:
        """Whether all are."""
        return self.ir.icmp_signed(">=", self.columns, _int(self.lanes * len(self.pieces)))

    def begin_whole(self, start: ir.Value, then: ir.Block) -> list[tuple[ir.Block, list]]:
        """As `begin`, for whole rows of C and a start that is ZERO or HELD."""
        builder, make = self.ir, self.make
        from_zero, from_c = builder.block, builder.append_basic_block("start_from_c")
        builder.cbranch(builder.icmp_signed("==", start, _int(HELD)), from_c, then)
        builder.position_at_end(from_c)
        sums = [[builder.load(self.cell(r, j), typ=make.vector, align=4) for j in self.pieces] for r in self.rows]
        builder.branch(then)
        return [(from_zero, [[make.zero for _ in self.pieces] for _ in self.rows]), (from_c, sums)]

    def begin(self, start: ir.Value, then: ir.Block) -> list[tuple[ir.Block, list]]:
        """Goes on to block `then`; returns the blocks it comes from with the first sums there."""
        builder, make = self.ir, self.make
        from_bias, from_c = map(builder.append_basic_block, ("start_from_bias", "start_from_c"))
        builder.cbranch(builder.icmp_signed("==", start, _int(HELD)), from_c, from_bias)
        builder.position_at_end(from_bias)
        # Nothing is loaded for ZERO, but from a real address: hiding the fault of another takes hundreds of cycles.
        none = builder.icmp_signed("==", start, _int(ZERO))
        filled, place = builder.select(none, _int(0), self.columns), builder.select(none, self.c_rows[0], start)
        bias = [make.load(make.at(place, 4 * self.lanes * j), make.below(filled, j)) for j in self.pieces]
        builder.branch(then)
        builder.position_at_end(from_c)
        masks = self.masks()
        sums = [[make.load(self.cell(r, j), masks[j]) for j in self.pieces] for r in self.rows]
        builder.branch(then)
        return [(from_bias, [bias for _ in self.rows]), (from_c, sums)]

    def add_products(self, pointers: list[ir.Value], b_row: list[ir.Value], sums: list) -> list:
        """The sums after one more step: the number at each row's pointer times the row of B."""
        new = []
        for r in self.rows:
            scalar = self.make.splat(self.ir.load(pointers[r], typ=_FLOAT, align=4), self.make.vector)
            new.append([self.ir.call(self.make.fma, [scalar, b_row[j], sums[r][j]]) for j in self.pieces])
        return new

    def store(self, sums: list) -> None:
        for j in self.pieces:
            for r in self.rows:
                self.ir.store(sums[r][j], self.cell(r, j), align=4)

    def finish(self, sums: list, slope: ir.Value, gate: ir.Value) -> None:
        """Stores what slope and gate make of the sums."""
        builder, make = self.ir, self.make
        plain, (ready, every, some, end) = (
            builder.block,
            map(builder.append_basic_block, ("ready", "all", "some", "end")),
        )
        kinds = [builder.append_basic_block("gated") for _ in range(4)]
        choose = builder.append_basic_block("choose")
        builder.cbranch(builder.fcmp_ordered("==", slope, ir.Constant(_FLOAT, 1.0)), ready, choose)
        builder.position_at_end(choose)
        masked, zero = builder.icmp_signed("!=", gate, _int(0)), make.is_zero(slope)
        kind = builder.add(builder.shl(builder.zext(masked, _INT64), _int(1)), builder.zext(zero, _INT64))
        switch = builder.switch(kind, kinds[0])
        candidates = [(plain, sums)]
        for number, block in enumerate(kinds):
            if number:
                switch.add_case(_int(number), block)
            builder.position_at_end(block)
            by = None if number % 2 else slope
            gates, masks = sums, self.masks()
            if number >= 2:
                gates = [
                    [make.load(make.beside(self.cell(r, j), gate), masks[j]) for j in self.pieces] for r in self.rows
                ]
            candidates.append(
                (block, [[make.gated(sums[r][j], gates[r][j], by) for j in self.pieces] for r in self.rows])
            )
            builder.branch(ready)
        builder.position_at_end(ready)
        values = self.phis()
        for block, numbers in candidates:
            self.incoming(values, numbers, block)
        builder.cbranch(self.whole(), every, some)
        builder.position_at_end(every)
        self.store(values)
        builder.branch(end)
        builder.position_at_end(some)
        masks = self.masks()
        for j in self.pieces:
            for r in self.rows:
                builder.call(make.masked_store, [values[r][j], self.cell(r, j), _ALIGN, masks[j]])
        builder.branch(end)
        builder.position_at_end(end)


@intrinsic(prefer_literal=True)
def tile(typing, lanes, vectors, rows, a, row_a, run_a, run_length, runs, step_a, b, c, row_c, start):
    """One tile of a product whose rows of A are runs. The first three arguments are compile-time integers; the others
    int64: addresses, counts, byte steps.

    There is at least one run, and each has at least one step.
    """
    width, count, height = lanes.literal_value, vectors.literal_value, rows.literal_value
    signature = types.void(lanes, vectors, rows, *[types.int64] * 10)

    def codegen(context, builder, signature, arguments):
        a, row_a, run_a, run_length, runs, step_a, b, c, row_c, start = arguments[3:]
        this = _Tile(builder, width, count, height, a, row_a, c, row_c)
        make = this.make
        run, step, run_end, store = map(builder.append_basic_block, ("run", "step", "run_end", "store"))
        before = this.begin_whole(start, run)

        builder.position_at_end(run)
        t, run_b, run_sums = builder.phi(_INT64), builder.phi(_INT64), this.phis()
        for block, sums in before:
            t.add_incoming(_int(0), block)
            run_b.add_incoming(b, block)
            this.incoming(run_sums, sums, block)
        run_offset = make.entry(run_a, t)
        b_bytes = 4 * width * count
        b_end = builder.add(run_b, builder.mul(make.entry(run_length, t), _int(b_bytes)))
        builder.branch(step)

        builder.position_at_end(step)
        offset, step_b, sums = builder.phi(_INT64), builder.phi(_INT64), this.phis()
        offset.add_incoming(run_offset, run)
        step_b.add_incoming(run_b, run)
        this.incoming(sums, run_sums, run)
        pointers = [make.beside(make.at(row), offset) for row in this.a_rows]
        new_sums = this.add_products(pointers, make.vectors(step_b, count), sums)
        next_offset, next_b = builder.add(offset, step_a), builder.add(step_b, _int(b_bytes))
        offset.add_incoming(next_offset, step)
        step_b.add_incoming(next_b, step)
        this.incoming(sums, new_sums, step)
        builder.cbranch(builder.icmp_signed("!=", next_b, b_end), step, run_end)

        builder.position_at_end(run_end)
        next_t = builder.add(t, _int(1))
        t.add_incoming(next_t, run_end)
        run_b.add_incoming(next_b, run_end)
        this.incoming(run_sums, new_sums, run_end)
        builder.cbranch(builder.icmp_signed("<", next_t, runs), run, store)

        builder.position_at_end(store)
        this.store(new_sums)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def stepped_tile(typing, lanes, vectors, rows, a, row_a, steps, end, b, step_b, c, row_c, columns, start, slope, gate):
    """One tile of a product whose steps are listed, from address `steps` to `end`: none at all is allowed.

    The first three arguments are compile-time integers; slope is float32; the others int64: addresses, counts, bytes.
    """
    width, count, height = lanes.literal_value, vectors.literal_value, rows.literal_value
    signature = types.void(lanes, vectors, rows, *[types.int64] * 10, types.float32, types.int64)

    def codegen(context, builder, signature, arguments):
        a, row_a, steps, end, b, step_b, c, row_c, columns, start, slope, gate = arguments[3:]
        this = _Tile(builder, width, count, height, a, row_a, c, row_c, columns)
        make = this.make
        ready, step, store = map(builder.append_basic_block, ("ready", "step", "store"))
        before = this.begin(start, ready)

        builder.position_at_end(ready)
        first = this.phis()
        for block, sums in before:
            this.incoming(first, sums, block)
        builder.cbranch(builder.icmp_signed("<", steps, end), step, store)

        builder.position_at_end(step)
        at, sums = builder.phi(_INT64), this.phis()
        at.add_incoming(steps, ready)
        this.incoming(sums, first, ready)
        in_a, in_b = (builder.sext(builder.load(make.at(at, i), typ=_INT32, align=4), _INT64) for i in (0, 4))
        pointers = [make.beside(make.at(row), in_a) for row in this.a_rows]
        b_row = make.vectors(builder.add(b, builder.mul(in_b, step_b)), count)
        new_sums = this.add_products(pointers, b_row, sums)
        next_at = builder.add(at, _int(8))
        at.add_incoming(next_at, step)
        this.incoming(sums, new_sums, step)
        builder.cbranch(builder.icmp_signed("<", next_at, end), step, store)

        builder.position_at_end(store)
        total = this.phis()
        this.incoming(total, first, ready)
        this.incoming(total, new_sums, step)
        this.finish(total, slope, gate)
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


@intrinsic(prefer_literal=True)
def transpose(typing, lanes, source, source_step, target, target_step, order):
    """Turns a block of lanes x lanes (compile-time) floats: column i of the source, whose rows lie source_step bytes
    apart, becomes a row of the target, at target + order[i] * target_step. `order` is the address of int64 numbers that
    lie 16 bytes apart.

    In log2(lanes) rounds, each of which exchanges the off-diagonal halves of ever smaller blocks between two rows.
    """
    width = lanes.literal_value
    signature = types.void(lanes, *[types.int64] * 5)

    def codegen(context, builder, signature, arguments):
        source, source_step, target, target_step, order = arguments[1:]
        make = _Builder(builder, width)
        rows = [make.vectors(builder.add(source, builder.mul(source_step, _int(i))), 1)[0] for i in range(width)]
        half = width // 2
        while half:
            own = [i if not i & half else i + width - half for i in range(width)]
            exchange = [i + half if not i & half else i + width for i in range(width)]
            masks = [ir.Constant(ir.VectorType(_INT32, width), places) for places in (own, exchange)]
            for i in range(width):
                if not i & half:
                    pair = rows[i], rows[i + half]
                    rows[i], rows[i + half] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            half //= 2
        for i, row in enumerate(rows):
            place = builder.mul(make.entry(order, _int(2 * i)), target_step)
            builder.store(row, make.at(builder.add(target, place)), align=4)
        return context.get_dummy_value()

    return signature, codegen
