"""Broken engine parts: checks left out, states shared, cotangents mixed up, history kept."""

import numpy as np
import test_autograd
import test_custom_ops
import test_dtypes
import test_versions
from mutants import mutant

from minigan import _array, _hooks, _modes, autograd
from minigan.autograd import Op, Tensor, grad
from minigan.ops import shape as ops_shape

WALK, VJP, PROPAGATE, WRAP, CALL = autograd._walk, autograd._vjp, autograd._propagate, Op.wrap, Op.__call__


def stale(change):
    return lambda: test_versions.test_a_stale_value_is_refused(change, test_versions.VIEWS[0])


@mutant("stale values not noticed", Tensor, "changed", stale(test_versions.change_directly))
def _(self):
    return self


@mutant("a detached tensor has a version of its own", Tensor, "detach", stale(test_versions.change_by_detach))
def _(self):
    return Tensor(self.data)


mutant(
    "a view has a version of its own",
    ops_shape.Reshape,
    "alias",
    test_versions.test_the_view_of_a_changed_base_is_stale_too,
)(False)


@mutant("outputs of one node share a cotangent", Op, "wrap", lambda: test_autograd.test_dropped_outputs((0, 1)))
def _(self, inputs, result, tracked):
    outputs = WRAP(self, inputs, result, tracked)
    for y in outputs if isinstance(outputs, tuple) else ():
        y.index = 0
    return outputs


@mutant("a dropped output gets zeros for None", autograd, "_vjp", lambda: test_autograd.test_dropped_outputs((0,)))
def _(node, need, cotangents):
    filled = [
        Tensor(np.zeros(shape)) if g is None else g for g, shape in zip(cotangents, node.shapes, strict=True)
    ]  # fmt: skip
    return VJP(node, need, filled)


@mutant("everything is needed", autograd, "_vjp", "need_is_honoured", "conv2d")
def _(node, need, cotangents):
    return VJP(node, (True,) * len(need), cotangents)


@mutant(
    "a vjp's answer is not checked",
    autograd,
    "_vjp",
    lambda: test_custom_ops.test_a_vjp_s_answer_is_checked(lambda g: (g, g), "2 gradients for 1 inputs"),
)
def _(node, need, cotangents):
    return node.op.vjp(node, need, *cotangents)


@mutant(
    "what a hook returns is ignored",
    _hooks,
    "apply_hooks",
    lambda: test_autograd.test_what_a_hook_returns_takes_the_gradient_s_place(False),
)
def _(hooks, g):
    for hook in hooks:
        hook(g)
    return g


@mutant(
    "cotangents are added in place",
    Tensor,
    "__add__",
    test_autograd.test_branches_that_share_a_cotangent_do_not_corrupt_it,
)
def _(self, other):
    self.data += other.data
    return self


@mutant(
    "the first-order pass is recorded",
    autograd,
    "_propagate",
    test_autograd.test_a_first_order_gradient_is_not_recorded,
)
def _(outputs, seeds, slots, nodes, create_graph):
    return PROPAGATE(outputs, seeds, slots, nodes, True)


@mutant("the second-order pass is not recorded", autograd, "_propagate", "higher_orders", "pow.cube")
def _(outputs, seeds, slots, nodes, create_graph):
    return PROPAGATE(outputs, seeds, slots, nodes, False)


@mutant("the newest node is left out of the walk", autograd, "_walk", "gradient", "softmax", "mean")
def _(outputs, inputs):
    return WALK(outputs, inputs)[:-1]


def _backward(keep):
    def backward(outputs, grad_outputs=None, inputs=None):
        leaves = {id(x): x for n in WALK(outputs, ()) for x in n.inputs if x._leaf_grad}
        for x, g in zip(leaves.values(), grad(outputs, list(leaves.values()), grad_outputs), strict=True):
            keep(x, g)

    return backward


@mutant(
    "two leaves share one gradient array",
    autograd,
    "backward",
    test_autograd.test_two_leaves_never_share_one_gradient_array,
)
@_backward
def _(x, g):
    x.grad = g


@mutant(
    "backward replaces instead of accumulating",
    autograd,
    "backward",
    test_autograd.test_backward_accumulates_out_of_place,
)
@_backward
def _(x, g):
    x.grad = Tensor(g.data.copy())


@mutant("backward accumulates in place", autograd, "backward", test_autograd.test_backward_accumulates_out_of_place)
@_backward
def _(x, g):
    if x.grad is None:
        x.grad = Tensor(g.data.copy())
    else:
        x.grad.data += g.data


class Shared:
    """A recording flag that all threads see."""

    def __init__(self, value=True):
        self.value = value

    def get(self):
        return self.value

    def set(self, value):
        before, self.value = self.value, value
        return before

    def reset(self, token):
        self.value = token


mutant(
    "threads share the recording flag",
    _modes,
    "grad_enabled",
    lambda: test_autograd.test_threads_have_their_own_recording_state(None),
)(Shared())


@mutant(
    "a Python number is float64",
    _array,
    "operand",
    lambda: test_dtypes.test_numbers_inside_a_float32_graph(np.random.default_rng(0)),
)
def _(kind, value, like):
    return autograd.tensor(np.asarray(value))


@mutant("a node keeps its output Tensors", Op, "__call__", "freed", "exp")
def _(self, *inputs):
    y = CALL(self, *inputs)
    if not isinstance(y, tuple) and y.node is not None:
        y.node.versions = Kept(y.node.versions)
        y.node.versions.tensor = y
    return y


class Kept(list):
    """A list that can hold one more thing."""
