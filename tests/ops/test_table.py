"""The table of ops (`minigan ops`) says of every op what it computes, its derivatives and where it stands: and truly.

An op's docstring is where that is written, so the docstrings are held to the code here: a formula, one derivative for
each input that `forward` takes, by its name and in its order.
"""

import ast
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import minigan
from minigan import optim  # noqa: F401
from minigan.autograd import Op
from minigan.cli import main
from minigan.cli.ops import WIDTH, block
from minigan.gan import penalties  # noqa: F401
from minigan.ops import table
from minigan.ops.act import LeakyReluGrad, Tanh
from minigan.ops.basic import Neg
from minigan.ops.conv import Conv
from minigan.ops.norm import BatchNorm, Standardise
from minigan.ops.reduce import Sum

ROOT = Path(minigan.__file__).parent
CLASSES = {cls.__name__: cls for cls in table.classes()}
UNARY = {"Neg", "Abs"}
"""Ops of one input whose `forward`, shared with those of two, has a second argument."""


@pytest.mark.parametrize("name", sorted(n for n, cls in CLASSES.items() if cls.differentiable))
def test_a_differentiable_op_states_a_formula_and_a_derivative_for_each_input(name):
    formula, derivatives, _ = table.statement(CLASSES[name])
    left, equals, right = formula.partition(" = ")
    assert left and equals and right, f"{name}: the docstring's first line must be a formula, such as `y = tanh x`"
    inputs = table.inputs_of(CLASSES[name])[: 1 if name in UNARY else None]
    assert list(derivatives) == inputs, f"{name}: state one line `dL/d<input> = ...` for each of {', '.join(inputs)}"
    assert all(derivatives.values())


@pytest.mark.parametrize("name", sorted(n for n, cls in CLASSES.items() if not cls.differentiable))
def test_an_op_without_a_derivative_states_none(name):
    formula, derivatives, _ = table.statement(CLASSES[name])
    assert formula and not derivatives
    if CLASSES[name].__module__.startswith("minigan.ops"):
        assert " = " in formula


def test_the_number_of_inputs_is_that_of_the_calls(table_calls):
    """A class that `forward`'s arguments misdescribe would state too many derivatives, or too few."""
    for cls, counts in table_calls.arities.items():
        _, derivatives, _ = table.statement(cls)
        if not cls.differentiable:
            continue
        last = list(derivatives)[-1]
        if last.endswith("s"):  # as many as there are
            assert min(counts) >= len(derivatives) - 1
        else:
            assert max(counts) == len(derivatives), f"{cls.__name__} was called with {counts} inputs"


@pytest.mark.parametrize("row", table.rows(), ids=lambda row: row.cls)
def test_the_place_is_where_the_class_is(row):
    text = (ROOT.parent / row.file).read_text().splitlines()[row.line - 1]
    assert text.startswith(f"class {row.cls}(")


def test_every_op_of_the_package_is_a_row():
    """By reading all files: a class derived from an op, with a forward of its own or inherited."""
    bases: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                own = bases.setdefault(node.name, set())
                own |= {b.id for b in node.bases if isinstance(b, ast.Name)}
    ops = {"Op"}
    while more := {name for name, own in bases.items() if own & ops} - ops:
        ops |= more
    shared = {"Op", "Columns", "ConvOp", "Comparison", "Elementwise", "Extreme", "Extremum", "Floating", "Linear"}
    shared |= {"Bitwise", "Counted", "Curve", "Place", "Shares", "Step", "Whether"}
    prepared = {"Fused", "Recompute", "ScaleShift"}  # of a captured plan, and a whole function: they have no forward
    assert set(CLASSES) == ops - shared - prepared


def test_which_orders_have_kernels():
    def kernels(cls):
        row = table.row(cls)
        return row.kernels, row.rest

    forward, gradients = ("conv.conv_forward",), ("conv.conv_input", "conv.conv_weight")
    assert kernels(Conv) == ((forward, gradients, (*forward, *gradients)), "the same")
    assert kernels(Tanh) == ((("act.tanh",), ("act.tanh_grad",)), "the same")
    assert kernels(LeakyReluGrad) == ((("act.leaky_relu_grad",),), "the same")
    norms = (("norm.batch_norm",), ("norm.batch_norm_grad",), ("norm.batch_norm_grad_grad",))
    assert kernels(BatchNorm) == (norms, "reference")
    assert kernels(Standardise) == ((("layernorm.standardise",), ("layernorm.standardise_grad",)), "reference")
    assert kernels(Sum) == ((("along.sum_along", "reduce.channel_sum", "reduce.row_sum", "reduce.total"),), "composite")
    assert kernels(Neg) == ((), "composite")


def test_every_kernel_named_is_one():
    for row in table.rows():
        for names in row.kernels:
            for name in names:
                file, function = name.split(".")
                assert callable(getattr(getattr(minigan.kernels, file), function))


def test_a_docstring_is_read_line_by_line():
    class Affine(Op):
        """y = a x
            + b
        dL/da = g x
        dL/dx = g a,
            of the shape of x

        Words, y = 2 among them.
        """

        def forward(self, a, x):
            return a * x

    expected = ("y = a x + b", {"a": "g x", "x": "g a, of the shape of x"}, "Words, y = 2 among them.")
    assert table.statement(Affine) == expected
    assert Affine not in table.classes()  # a user's own


def run(*arguments):
    return CliRunner().invoke(main, ["ops", *arguments])


def test_the_command_prints_every_op_within_its_width():
    result = run()
    assert result.exit_code == 0
    for row in table.rows():
        assert block(row) in result.output
    assert max(map(len, result.output.splitlines())) <= WIDTH


def test_the_command_shows_one_op_and_its_figures():
    result = run("conv2d", "--json")
    assert "dL/dw = ConvWeight(x, g)" in result.output
    (row,) = json.loads(result.output.splitlines()[-1])
    assert (row["cls"], row["file"]) == ("Conv", "minigan/ops/conv.py")
    assert run("Conv").output == run("conv2d").output


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("leaky_rely", "unknown op 'leaky_rely'; the nearest is 'leaky_relu'"),
        ("mean", r"mean is composed of other ops and has no class of its own; read minigan/ops/reduce.py:"),
    ],
)
def test_a_name_that_is_no_op(name, message):
    result = run(name)
    assert result.exit_code == 2
    assert message in result.output
