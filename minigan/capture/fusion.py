"""Rewrites of a recorded step: fewer passes over memory, fewer calls, the same function.

| found                                                | becomes                                                      |
|------------------------------------------------------|--------------------------------------------------------------|
| a product, plus a bias                               | the product started from the bias                            |
| a product, convolution or batch norm, then leaky-ReLU| the activation applied to each number before it is stored    |
| a product or convolution, then leaky-ReLU's gradient | the mask applied before it is stored                         |
| leaky-ReLU's gradient, then batch norm's             | the mask applied as the cotangent is read                    |
| the sum of two gradients of one weight               | the second product added into the first one's memory         |

Each asks that nobody else reads what lies between, and that nothing is changed in place between the two steps. Sums of
floating-point numbers change their order in the last row only, and only by where rounding happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..autograd import Op
from ..ops.act import LeakyRelu, LeakyReluGrad
from ..ops.basic import Add
from ..ops.conv import Conv, ConvInput, ConvWeight
from ..ops.matmul import MatMul
from ..ops.norm import BatchNorm, BatchNormGrad
from ..ops.shape import Permute
from .program import Effect, Step, Value


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


def _opened(step) -> Fused:
    """The step's op as one that can take more."""
    return step.op if isinstance(step.op, Fused) else Fused(step.op, len(step.inputs))


def _inner(step) -> type | None:
    """The class of the op of a step that is not a change in place."""
    op = getattr(step, "op", None)
    return type(op.op if isinstance(op, Fused) else op)


class _Rewriter:
    """The steps as they are rewritten: who makes a value, how many read it."""

    def __init__(self, steps: Sequence, kept: Sequence) -> None:
        self.steps = list(steps)
        self.readers = Counter(value for step in steps for value in step.reads)
        self.readers.update(kept)
        self.maker = {value: i for i, step in enumerate(self.steps) for value in step.outputs}

    def maker_of(self, value, *kinds: type) -> int | None:
        """The step that makes `value`, if it is of one of these kinds and its first result, with one reader."""
        i = self.maker.get(value)
        if i is None or self.readers[value] != 1 or _inner(self.steps[i]) not in kinds:
            return None
        return i if self.steps[i].outputs[0] is value else None

    def quiet(self, first: int, last: int) -> bool:
        """Whether nothing is changed in place between two steps."""
        return not any(isinstance(step, Effect) for step in self.steps[first:last])

    def replace(self, i: int, op: Op, inputs: tuple, outputs: tuple, into=None) -> None:
        """Step i becomes another."""
        self.steps[i] = Step(op, inputs, outputs, into)
        for value in outputs:
            self.maker[value] = i


def fused(steps: Sequence, kept: Sequence) -> list:
    """The steps, rewritten; `kept` are the values that the caller reads at the end."""
    program = _Rewriter(steps, kept)
    for i in range(len(program.steps)):
        rewrite = _REWRITES.get(_inner(program.steps[i]))
        if rewrite is not None:
            rewrite(program, i)
    return [step for step in program.steps if step is not None]


def _add(program: _Rewriter, i: int) -> None:
    step = program.steps[i]
    if not (_start_from_bias(program, i, *step.inputs) or _start_from_bias(program, i, *step.inputs[::-1])):
        _accumulate(program, i)


def _start_from_bias(program: _Rewriter, i: int, product, bias) -> bool:
    first, y = program.maker_of(product, MatMul), program.steps[i].outputs[0]
    fits = product.shape == y.shape and bias.shape == y.shape[-1:] and len(y.shape) == 2 and bias.dtype == product.dtype
    if first is None or not fits or not program.quiet(first, i):
        return False
    maker = program.steps[first]
    if isinstance(maker.op, Fused) or program.maker.get(bias.root, -1) > first:
        return False
    program.replace(i, _opened(maker).plus("bias"), (*maker.inputs, bias), (y,))
    program.steps[first] = None
    return True


class _Product(NamedTuple):
    """The step that computes a product, what it makes, and by which axes, in which steps, that is permuted then."""

    step: int
    value: Value
    axes: tuple[int, ...]
    views: tuple[int, ...]


def _product_of(program: _Rewriter, value: Value) -> _Product | None:
    axes, views = tuple(range(len(value.shape))), []
    while (view := program.maker_of(value, Permute)) is not None:
        views.append(view)
        axes = tuple(program.steps[view].op.axes[axis] for axis in axes)
        (value,) = program.steps[view].inputs
    maker = program.maker_of(value, ConvWeight, MatMul)
    return None if maker is None else _Product(maker, value, axes, tuple(views))


def _accumulate(program: _Rewriter, i: int) -> None:
    """Let the later of two products that step i adds up do the adding, in the memory of the earlier one.

    Both may be read through the same permuted views, as the gradients of a linear layer are.
    """
    step = program.steps[i]
    found = [_product_of(program, value) for value in step.inputs]
    if None in found or found[0].step == found[1].step:
        return
    held, added = sorted(found)
    maker = program.steps[added.step]
    alike = (held.axes, held.value.shape, held.value.order) == (added.axes, added.value.shape, added.value.order)
    if isinstance(maker.op, Fused) or not alike or not program.quiet(added.step, i):
        return
    plain = held.axes == tuple(range(len(held.axes)))
    y = step.outputs[0] if plain else Value.of(held.value)
    y.source = held.value
    program.replace(added.step, _opened(maker).plus(add=True), maker.inputs, (y,), held.value)
    if plain:
        program.steps[i] = None
    else:
        program.readers[y] = 1
        step.outputs[0].source = y
        program.replace(i, Permute(held.axes), (y,), step.outputs)
    for view in (*held.views, *added.views):
        program.steps[view] = None


def _activate(program: _Rewriter, i: int) -> None:
    step = program.steps[i]
    first = program.maker_of(step.inputs[0], Conv, ConvInput, MatMul, BatchNorm)
    if first is None or not program.quiet(first, i):
        return
    maker = program.steps[first]
    op = _opened(maker)
    if op.has("slope") or op.has("add"):
        return
    program.replace(i, op.plus(slope=step.op.slope), maker.inputs, (*step.outputs, *maker.outputs[1:]))
    program.steps[first] = None


def _mask(program: _Rewriter, i: int) -> None:
    step = program.steps[i]
    mask, g = step.inputs
    first = program.maker_of(g, ConvInput, MatMul)
    if first is None or not program.quiet(first, i):
        return
    maker = program.steps[first]
    op = _opened(maker)
    if op.has("slope") or op.has("add") or mask.dtype != g.dtype:
        return
    program.replace(i, op.plus("mask", slope=step.op.slope), (*maker.inputs, mask), step.outputs)
    program.steps[first] = None


def _mask_cotangent(program: _Rewriter, i: int) -> None:
    step = program.steps[i]
    x, w, g = step.inputs
    first = program.maker_of(g, LeakyReluGrad)
    if first is None or not program.quiet(first, i):
        return
    maker = program.steps[first]
    mask, g = maker.inputs
    program.replace(i, _opened(step).plus("mask", slope=maker.op.slope), (x, w, g, mask), step.outputs)
    program.steps[first] = None


_REWRITES: dict[type, Callable[[_Rewriter, int], None]] = {
    Add: _add,
    LeakyRelu: _activate,
    LeakyReluGrad: _mask,
    BatchNormGrad: _mask_cotangent,
}
