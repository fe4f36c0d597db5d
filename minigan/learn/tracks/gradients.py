"""Gradients by hand: the engine of single numbers, then ops on arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ..checks import as_torch, derivatives, equal, leaf, numbers, only_needed, output_alone
from ..exercise import Exercise
from ..sources import source

track = partial(Exercise, track="gradients")


def scalar_rules(m: Any) -> Iterator[str]:
    x, y = m.Value(0.7), m.Value(-1.3)
    yield from equal("the value of x * y", (x * y).data, -0.91)
    yield from equal("the value of x ** 3", (x**3).data, 0.343)
    yield from equal("the value of tanh y", y.tanh().data, np.tanh(-1.3))
    yield from equal("the gradient of x y", [g.data for g in m.grad(x * y, [x, y])], [-1.3, 0.7], "d(xy)/dx is y")
    yield from equal(
        "the gradient of x^3", [g.data for g in m.grad(x**3, [x])], [1.47], "the slope of x^p is p x^(p-1)"
    )
    yield from equal("the slope of x^1 at 0", [g.data for g in m.grad(m.Value(0.0) ** 1, [x])], [0.0])
    at = m.Value(0.0)
    yield from equal("the slope of x^0 at 0", [g.data for g in m.grad(at**0, [at])], [0.0], "for p = 0 the slope is 0")
    yield from equal("the gradient of tanh y", [g.data for g in m.grad(y.tanh(), [y])], [1 - np.tanh(-1.3) ** 2])
    (g,) = m.grad(x**3 * x.tanh(), [x])
    (h,) = m.grad(g, [x])
    t = np.tanh(0.7)
    second = 6 * 0.7 * t + 6 * 0.49 * (1 - t * t) - 2 * 0.343 * t * (1 - t * t)
    yield from equal(
        "the second derivative of x^3 tanh x", h.data, second, "is each rule written in Values, not in plain numbers?"
    )


def scalar_walk(m: Any) -> Iterator[str]:
    x, y = m.Value(0.5), m.Value(2.0)
    yield from equal(
        "the gradient of x y + x",
        [g.data for g in m.grad(x * y + x, [x, y])],
        [3.0, 0.5],
        "an input used twice gets the sum of both cotangents",
    )
    a = x * y
    b = a * a
    c = b * a + a  # a is reached by ways of several lengths
    yield from equal(
        "the gradient of a^3 + a with a = x y",
        [g.data for g in m.grad(c, [x])],
        [8.0],
        "a value may pass its cotangent on only when all that used it have added theirs: newest first",
    )
    yield from equal("the gradient by a value that was not used", [g.data for g in m.grad(x * x, [y])], [0.0])
    z = x
    for _ in range(3000):
        z = z + y
    yield from equal("the gradient of a chain of 3000 sums", [g.data for g in m.grad(z, [y])], [3000.0])


def sum_to(m: Any) -> Iterator[str]:
    cases = [
        ((2, 3), (4, 2, 3)),
        ((1, 3), (2, 3)),
        ((2, 1), (1, 2, 4)),
        ((2, 1), (5, 2, 4)),
        ((), (2, 2)),
        ((1,), (1,)),
        ((3,), (3,)),
        ((1, 1), (1, 3)),
    ]
    for shape, large in cases:
        x = numbers(*large)
        expected = np.zeros(shape) + 0.0
        lead = len(large) - len(shape)
        expected = x.sum(tuple(range(lead)))
        for i, size in enumerate(shape):
            if size == 1:
                expected = expected.sum(i, keepdims=True)
        yield from equal(
            f"SumTo({shape}) of shape {large}",
            m.SumTo(shape)(leaf(x)),
            expected,
            "which axes of `large` did broadcasting add or stretch?",
        )
    yield from derivatives("SumTo((2, 1))", m.SumTo((2, 1)), numbers(3, 2, 4))


def leaky_relu(m: Any) -> Iterator[str]:
    x = np.array([[-2.0, -0.5, 0.3], [1.5, -0.1, 2.0]])
    yield from derivatives("Leaky(0.2)", m.Leaky(0.2), x, reference=lambda t: F.leaky_relu(t, 0.2))
    yield from derivatives("Leaky(0)", m.Leaky(0.0), x, upto=1)
    zero = leaf([0.0])
    m.Leaky(0.2)(zero).sum().backward()
    yield from equal("the slope at 0", zero.grad, [0.2], "at 0 it is that of the left side, as in PyTorch", 1e-6)


def op_of(name: str, make: Any, reference: Any, *inputs: Any, upto: int = 3, torch: Any = None) -> Any:
    """The grader of an op: values, all orders up to `upto`, and PyTorch's numbers."""

    def grader(m: Any) -> Iterator[str]:
        yield from derivatives(name, make(m), *inputs, upto=upto, reference=reference)
        if len(inputs) > 1:
            yield from only_needed(name, make(m), *inputs)
        if not make(m).saves_input:
            yield from output_alone(name, make(m), *inputs)
        if torch is not None:
            yield from as_torch(name, make(m), torch, *inputs)

    return grader


def _torch_softplus(x: Any) -> Any:
    from torch.nn.functional import softplus

    return softplus(x, 2.0, 3.0)


EXERCISES = [
    track(
        "scalar-rules",
        text="""What is the derivative of a product, of a power, of tanh?

This is the whole of minigan.examples.00_scalar_engine, an autograd of single numbers, without its rules. A rule takes
(y, g), the result and its cotangent g = dL/dy, and returns the cotangents of the inputs, one each:

    y = a b         dL/da = g b,  dL/db = g a
    y = a^p         dL/da = g p a^(p-1), and for p = 0 and 1 the slope is p, also where a = 0
    y = tanh a      dL/da = g (1 - y^2)

Write __mul__, __pow__ and tanh as __add__ is written. A rule is written in Values, so that it can be differentiated
again. The grader looks at values, at gradients, and at the second derivative of x^3 tanh x.""",
        source=source("examples/00_scalar_engine.py", between=("def __mul__", "return Value(math.tanh")),
        hints=(
            "In __mul__, b may be a plain number: value(b) makes a Value of it.",
            "return Value(a.data * b.data, (a, b), lambda y, g: (g * b, g * a)): a tuple, one cotangent an input.",
            "__pow__ has one input, for p is a plain number. Its rule returns (g * p * a ** (p - 1),), and (g * p,)"
            " where p is 0 or 1: a ** (p - 1) cannot be computed, or differentiated, at a = 0 there.",
            "tanh has one input, so its rule returns (g * (1 - y * y),): y is the result, and it is a Value.",
        ),
        grader=scalar_rules,
        mutants=(
            ("the cotangents change places", "(g * b, g * a)", "(g * a, g * b)"),
            ("the factor p is forgotten", "p * a ** (p - 1)", "a ** (p - 1)"),
            ("tanh's slope is of the input", "1 - y * y", "1 - a * a"),
            ("a rule in plain numbers", "g * (1 - y * y)", "g * (1 - y.data * y.data)"),
        ),
    ),
    track(
        "scalar-walk",
        text="""In which order must a graph be walked back?

grad(y, inputs) begins with the cotangent 1 of y and hands cotangents from each value to the values that it was computed
from. Two things make it right:

    a value that was used twice gets the sum of both cotangents;
    a value hands on only when all that used it have had their turn.

Every Value has a number, greater than those of its inputs. Write the walk: collect the past of y without recursion,
then take its values newest first. v.rule(v, g) gives the cotangents of v.inputs. Return a Value for each input, 0 where
y does not depend on it.""",
        source=source("examples/00_scalar_engine.py", between=("past, stack", "return [cotangents")),
        hints=(
            "Two steps: a set with everything that y was computed from; then a dict from value to cotangent.",
            "sorted(past, key=lambda v: -v.number) is an order in which no cotangent comes too late.",
            "cotangents[x] = cotangents[x] + g if x in cotangents else g: a sum of Values is a Value again.",
        ),
        grader=scalar_walk,
        mutants=(
            ("the last cotangent wins", "cotangents[x] + g if x in cotangents else g", "g"),
            ("oldest first", "-v.number", "-v.number if v is y else v.number"),
            ("an input that is not reached is None", "cotangents.get(x, Value(0.0))", "cotangents.get(x)"),
        ),
    ),
    track(
        "sum-to",
        text="""What is the gradient of broadcasting?

x of shape (3,) added to a matrix (4, 3) is used four times, so its cotangent is the sum of four rows. The op SumTo is
the adjoint of broadcasting: it adds up the axes along which `shape` was repeated. These are

    the axes that `shape` does not have at all (they stand in front), and
    those where `shape` has size 1 and x does not.

Write _axes(x), which returns these axes of x as a tuple. The grader sums several shapes, and checks the gradient to
second order.""",
        source=source("ops/basic.py", "SumTo"),
        hints=(
            "NumPy aligns shapes at the right: x.ndim - len(self.shape) axes stand in front.",
            "Axis i of `shape` is axis lead + i of x.",
            "A size of 1 in `shape` against a larger one in x: that axis was repeated.",
        ),
        grader=sum_to,
        mutants=(
            ("the axes in front are forgotten", "(*range(lead), *along)", "(*along,)"),
            ("stretched axes are forgotten", "(*range(lead), *along)", "(*range(lead),)"),
            ("axes are counted from the left", "(lead + i for", "(i for"),
        ),
    ),
    track(
        "matmul",
        text="""What is the gradient of a matrix product?

For y = a b with a (m, k), b (k, n) and a cotangent g (m, n), written out by elements,

    dL/da[i, j] = sum over l of g[i, l] b[j, l],    dL/db[j, l] = sum over i of a[i, j] g[i, l].

Both are matrix products again. Write the vjp: node.inputs are the Tensors a and b, need[i] says whether a gradient is
asked for (return None where it is not). The grader goes to third order.""",
        source='''from minigan import Op


class MatMul(Op):
    """y = a b for a (m, k), b (k, n)."""

    def forward(self, a, b):
        return a @ b

    def vjp(self, node, need, g):
        # learn: matmul begin
        a, b = node.inputs
        return g @ b.transpose(0, 1) if need[0] else None, a.transpose(0, 1) @ g if need[1] else None
        # learn: matmul end
''',
        hints=(
            "The shapes leave one way: (m, k) can only be (m, n) times (n, k).",
            "da = g b^T and db = a^T g; Tensors have transpose(0, 1) and @.",
        ),
        grader=op_of("MatMul", lambda m: m.MatMul(), lambda a, b: a @ b, numbers(1, 3), numbers(3, 2)),
        mutants=(
            ("b is not transposed", "g @ b.transpose(0, 1)", "(b @ g).transpose(0, 1) * 0 + (b @ g).sum()"),
            ("db has the wrong sign", "a.transpose(0, 1) @ g if", "-(a.transpose(0, 1) @ g) if"),
            ("b is a constant to the next order", "g @ b.transpose(0, 1)", "g @ b.detach().transpose(0, 1)"),
        ),
    ),
    track(
        "softplus",
        text="""What is the slope of ln(1 + e^x)?

softplus is what GAN losses are made of: -ln D = softplus(-t) for a logit t. With a sharpness beta and a threshold,

    y = ln(1 + e^(beta x)) / beta,   and y = x where beta x > threshold, as in PyTorch.

The derivative of the first is sigmoid(beta x): work it out on paper. Write the vjp with `where(condition, a, b)` and
`sigmoid`. The grader goes to third order, and asks PyTorch, if it is installed.""",
        source=source("ops/act.py", "Softplus"),
        hints=(
            "d/dx ln(1 + e^(bx)) / b = e^(bx) / (1 + e^(bx)); divide above and below by e^(bx).",
            "Where beta x > threshold y is x, so g passes unchanged.",
            "z = node.inputs[0] * self.beta, and return a tuple of one Tensor.",
        ),
        grader=op_of(
            "Softplus(2, 3)",
            lambda m: m.Softplus(2.0, 3.0),
            lambda x: F.softplus(x, 2.0, 3.0),
            np.array([-2.0, -0.3, 0.0, 0.4, 1.2, 1.8, 4.0]),
            torch=_torch_softplus,
        ),
        mutants=(
            ("beta is forgotten in the slope", "sigmoid(z)", "sigmoid(node.inputs[0])"),
            ("beta once too often", "g * sigmoid(z)", "g * sigmoid(z) * self.beta"),
            ("no threshold", "where(z > self.threshold, g, g * sigmoid(z))", "g * sigmoid(z)"),
            ("the slope is a constant", "g * sigmoid(z)", "g * sigmoid(z).detach()"),
        ),
    ),
    track(
        "leaky-relu",
        text="""What passes through a leaky ReLU on the way back?

    y = x where x > 0, else slope x.

Its derivative is 1 or the slope; at 0 take the slope, as PyTorch does. Write the vjp with where(condition, a, b). The
condition is a Tensor of truth values and has no gradient.""",
        source='''from minigan import Op, where


class Leaky(Op):
    """y = x where x > 0, else slope x."""

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x):
        return x * (self.slope + (1 - self.slope) * (x > 0))

    def vjp(self, node, need, g):
        # learn: leaky-relu begin
        (x,) = node.inputs
        return (where(x > 0, g, g * self.slope),)
        # learn: leaky-relu end
''',
        hints=("g passes whole where x > 0, and times the slope elsewhere.", "return (where(..., g, g * self.slope),)"),
        grader=leaky_relu,
        mutants=(
            ("the slope on both sides", "where(x > 0, g, g * self.slope)", "g * self.slope"),
            ("a plain ReLU", "g * self.slope)", "g * 0.0)"),
            ("the wrong side at 0", "x > 0, g", "x >= 0, g"),
            ("the sides change places", "g, g * self.slope", "g * self.slope, g"),
        ),
    ),
    track(
        "tanh",
        text="""How can a gradient be computed from the output alone?

For y = tanh x the slope is 1 - y^2: the output says all, so x need not be kept. That is what saves_output is for, and
node.output() gives y as a Tensor that remembers where it came from. Write the vjp. The grader goes to third order: a y
that is a plain array would be a constant there.""",
        source='''import numpy as np

from minigan import Op


class Tanh(Op):
    """y = tanh x."""

    saves_input, saves_output = False, True

    def forward(self, x):
        return np.tanh(x)

    def vjp(self, node, need, g):
        # learn: tanh begin
        y = node.output()
        return (g * (1 - y * y),)
        # learn: tanh end
''',
        hints=("(tanh x)' = 1 / cosh^2 x = 1 - tanh^2 x.", "y = node.output(); the answer is a tuple of one Tensor."),
        grader=op_of("Tanh", lambda m: m.Tanh(), lambda x: F.tanh(x), np.array([-1.5, -0.2, 0.0, 0.7])),
        mutants=(
            ("the cotangent is forgotten", "g * (1 - y * y)", "1 - y * y + 0 * g"),
            ("y once", "y * y", "y"),
            ("y is a constant", "y = node.output()", "y = node.output().detach()"),
            ("y is computed again", "y = node.output()", "y = self(node.inputs[0])"),
        ),
    ),
    track(
        "sigmoid",
        text="""What is the slope of a sigmoid, and where does it vanish?

    y = 1 / (1 + e^-x),    dL/dx = g y (1 - y).

It is 1/4 at most, and nearly 0 for large |x|: a generator behind a sure critic learns nothing through it. The forward
is written so that nothing overflows. Write the vjp from the output.""",
        source=source("ops/act.py", "Sigmoid"),
        hints=("As in tanh: node.output() is y.", "g * (y * (1 - y)), in a tuple."),
        grader=op_of("Sigmoid", lambda m: m.Sigmoid(), lambda x: F.sigmoid(x), np.array([-3.0, -0.5, 0.0, 2.0])),
        mutants=(
            ("1 + y", "(1 - y)", "(1 + y)"),
            ("tanh's rule", "y * (1 - y)", "1 - y * y"),
            ("the slope is a constant", "y = node.output()", "y = node.output().detach()"),
            ("y is computed again", "y = node.output()", "y = self(node.inputs[0])"),
        ),
    ),
]
