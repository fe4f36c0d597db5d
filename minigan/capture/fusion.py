"""Machine room, capture: rewrites of a recorded program. Fewer passes over memory, fewer calls, the same function.

| in the program                                       | becomes                                                      |
|------------------------------------------------------|--------------------------------------------------------------|
| a product, plus a bias                               | the product started from the bias                            |
| a product, convolution or batch norm, then leaky-ReLU| the activation applied to each number before it is stored    |
| a product or convolution, then leaky-ReLU's gradient | the mask applied before it is stored                         |
| leaky-ReLU's gradient, then batch norm's             | the mask applied as the cotangent is read                    |
| channels times numbers, plus numbers (batch norm of  | one pass over the channels                                   |
| running statistics), then leaky-ReLU                 |                                                              |
| the sum of two gradients of one weight               | the second product added into the first one's memory         |

Each asks that nobody else reads what lies between, and that nothing is changed in place between the two. Sums of
floating-point numbers change their order in the last row only, and only by where rounding happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from minigan import kernels

from ..autograd import Op
from ..ops.act import LeakyRelu, LeakyReluGrad
from ..ops.basic import Add, Mul
from ..ops.conv import Conv, ConvInput, ConvWeight
from ..ops.matmul import MatMul
from ..ops.norm import BatchNorm, BatchNormGrad
from ..ops.shape import Permute
from .program import Effect, Instruction, Value


class Fused(Op):
    """An op with more done before its result is stored. Only ever prepared, never recorded.

    extras: names of the settings of op.prepare that are given as further inputs; settings: the others.
    """

    def __init__(self, op: Op, count: int, extras: tuple[str, ...] = (), **settings) -> None:
        self.op, self.count, self.extras, self.settings = op, count, extras, settings

    name = property(lambda self: self.op.name)

    def prepare(self, work, inputs, outputs):
        extras = dict(zip(self.extras, inputs[self.count :], strict=True))
        self.op.prepare(work, inputs[: self.count], outputs, **extras, **self.settings)

    def has(self, setting: str) -> bool:
        """Whether a setting of op.prepare is taken."""
        return setting in self.extras or setting in self.settings

    def plus(self, extra: str | None = None, **settings) -> Fused:
        """This op with another extra input, or other settings."""
        extras = self.extras if extra is None else (*self.extras, extra)
        return Fused(self.op, self.count, extras, **{**self.settings, **settings})


class ScaleShift(Op):
    """y = x scale + shift, a number of each for every channel, and then leaky-ReLU."""

    name = "scale_shift"

    def prepare(self, work, inputs, outputs, slope=1.0):
        (x, scale, shift), (y,) = inputs, outputs
        if not kernels.bias.scale_shift(x, scale, shift, y, slope, work=work):
            Mul().prepare(work, (x, scale), (y,))
            Add().prepare(work, (y, shift), (y,))
            LeakyRelu(slope).prepare(work, (y,), (y,))


def _extensible(line) -> Fused:
    """The line's op as one that can take more."""
    return line.op if isinstance(line.op, Fused) else Fused(line.op, len(line.inputs))


def _inner(line) -> type | None:
    """The class of the op of a line that is not a change in place."""
    op = getattr(line, "op", None)
    return type(op.op if isinstance(op, Fused) else op)


class _Rewriter:
    """The lines of a program as they are rewritten: which one computes a value, how many read it."""

    def __init__(self, lines: Sequence, results: Sequence) -> None:
        self.lines = list(lines)
        self.readers = Counter(value for line in lines for value in line.reads)
        self.readers.update(results)
        self.producer = {value: i for i, line in enumerate(self.lines) for value in line.outputs}

    def producer_of(self, value, *kinds: type) -> int | None:
        """The line that computes `value`, if it is of one of these kinds and its first result, with one reader."""
        i = self.producer.get(value)
        if i is None or self.readers[value] != 1 or _inner(self.lines[i]) not in kinds:
            return None
        return i if self.lines[i].outputs[0] is value else None

    def quiet(self, first: int, last: int) -> bool:
        """Whether nothing is changed in place between two lines."""
        return not any(isinstance(line, Effect) for line in self.lines[first:last])

    def replace(self, i: int, op: Op, inputs: tuple, outputs: tuple, into=None) -> None:
        """Line i becomes another instruction."""
        self.lines[i] = Instruction(op, inputs, outputs, into)
        for value in outputs:
            self.producer[value] = i


def fused(lines: Sequence, results: Sequence, exact: bool = False) -> list:
    """The lines, rewritten; `results` are the values that the caller reads at the end. exact: only by such rewrites as
    keep every bit."""
    program = _Rewriter(lines, results)
    rewrites = _EXACT if exact else _REWRITES
    for i in range(len(program.lines)):
        rewrite = rewrites.get(_inner(program.lines[i]))
        if rewrite is not None:
            rewrite(program, i)
    return [line for line in program.lines if line is not None]


def _add(program: _Rewriter, i: int) -> None:
    pairs = program.lines[i].inputs, program.lines[i].inputs[::-1]
    rewrites = (_start_from_bias, _scale_and_shift)
    if not any(rewrite(program, i, *pair) for rewrite in rewrites for pair in pairs):
        _accumulate(program, i)


def _scale_and_shift(program: _Rewriter, i: int, product, shift) -> bool:
    first, (y,) = program.producer_of(product, Mul), program.lines[i].outputs
    if first is None or not program.quiet(first, i) or program.producer.get(shift.root, -1) > first:
        return False
    numbers = (1, *y.shape[1:2], 1, 1)
    for x, scale in (program.lines[first].inputs, program.lines[first].inputs[::-1]):
        same = x.dtype == scale.dtype == shift.dtype == y.dtype
        if same and len(y.shape) == 4 and x.shape == y.shape and scale.shape == shift.shape == numbers:
            program.replace(i, ScaleShift(), (x, scale, shift), (y,))
            program.lines[first] = None
            return True
    return False


def _start_from_bias(program: _Rewriter, i: int, product, bias) -> bool:
    first, y = program.producer_of(product, MatMul), program.lines[i].outputs[0]
    fits = product.shape == y.shape and bias.shape == y.shape[-1:] and len(y.shape) == 2 and bias.dtype == product.dtype
    if first is None or not fits or not program.quiet(first, i):
        return False
    producer = program.lines[first]
    if isinstance(producer.op, Fused) or program.producer.get(bias.root, -1) > first:
        return False
    program.replace(i, _extensible(producer).plus("bias"), (*producer.inputs, bias), (y,))
    program.lines[first] = None
    return True


class _Product(NamedTuple):
    """The line that computes a product, its result, and by which axes, in which lines, that is permuted then."""

    line: int
    value: Value
    axes: tuple[int, ...]
    views: tuple[int, ...]


def _product_of(program: _Rewriter, value: Value) -> _Product | None:
    axes, views = tuple(range(len(value.shape))), []
    while (view := program.producer_of(value, Permute)) is not None:
        views.append(view)
        axes = tuple(program.lines[view].op.axes[axis] for axis in axes)
        (value,) = program.lines[view].inputs
    producer = program.producer_of(value, ConvWeight, MatMul)
    return None if producer is None else _Product(producer, value, axes, tuple(views))


def _layout(product: _Product) -> tuple:
    return product.axes, product.value.shape, product.value.order, product.value.dtype


def _accumulate(program: _Rewriter, i: int) -> None:
    """Let the later of two products that line i adds up do the adding, in the memory of the earlier one.

    Both may be read through the same permuted views, as the gradients of a linear layer are.
    """
    line = program.lines[i]
    products = [_product_of(program, value) for value in line.inputs]
    if None in products or products[0].line == products[1].line:
        return
    earlier, later = sorted(products)
    producer = program.lines[later.line]
    same_layout = _layout(earlier) == _layout(later)
    if isinstance(producer.op, Fused) or not same_layout or not program.quiet(later.line, i):
        return
    plain = earlier.axes == tuple(range(len(earlier.axes)))
    y = line.outputs[0] if plain else Value.of(earlier.value)
    y.source = earlier.value
    program.replace(later.line, _extensible(producer).plus(add=True), producer.inputs, (y,), earlier.value)
    if plain:
        program.lines[i] = None
    else:
        program.readers[y] = 1
        line.outputs[0].source = y
        program.replace(i, Permute(earlier.axes), (y,), line.outputs)
    for view in (*earlier.views, *later.views):
        program.lines[view] = None


def _activate(program: _Rewriter, i: int) -> None:
    line = program.lines[i]
    first = program.producer_of(line.inputs[0], Conv, ConvInput, MatMul, BatchNorm, ScaleShift)
    if first is None or not program.quiet(first, i):
        return
    producer = program.lines[first]
    op = _extensible(producer)
    if op.has("slope") or op.has("add"):
        return
    program.replace(i, op.plus(slope=line.op.slope), producer.inputs, (*line.outputs, *producer.outputs[1:]))
    program.lines[first] = None


def _mask(program: _Rewriter, i: int) -> None:
    line = program.lines[i]
    mask, g = line.inputs
    first = program.producer_of(g, ConvInput, MatMul)
    if first is None or not program.quiet(first, i):
        return
    producer = program.lines[first]
    op = _extensible(producer)
    if op.has("slope") or op.has("add") or mask.dtype != g.dtype:
        return
    program.replace(i, op.plus("mask", slope=line.op.slope), (*producer.inputs, mask), line.outputs)
    program.lines[first] = None


def _mask_cotangent(program: _Rewriter, i: int) -> None:
    line = program.lines[i]
    x, w, g = line.inputs
    first = program.producer_of(g, LeakyReluGrad)
    if first is None or not program.quiet(first, i):
        return
    producer = program.lines[first]
    mask, g = producer.inputs
    program.replace(i, _extensible(line).plus("mask", slope=producer.op.slope), (x, w, g, mask), line.outputs)
    program.lines[first] = None


_EXACT: dict[type, Callable[[_Rewriter, int], None]] = {
    LeakyRelu: _activate,
    LeakyReluGrad: _mask,
    BatchNormGrad: _mask_cotangent,
}
_REWRITES = {Add: _add, **_EXACT}
