"""Property 11: the harness can fail. Every deliberately broken rule, kernel or engine part is rejected by the property,
or the test, that is named beside it, and the unbroken op is not.

    PYTHONPATH=tests:tests/support python tests/ops/test_mutants.py     lists every mutant and the message that kills it
"""

import functools

import mutants_engine
import mutants_kernels
import mutants_rules
import properties
import pytest
import pytorch
from mutants import MUTANTS, Mutant
from test_completeness import op_classes

from minigan import autograd, tensor
from minigan import functional as F
from minigan.ops.elementary import Step
from minigan.testing import gradcheck
from minigan.testing.opdb import TABLE

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


# A property that is run on other calls than the samples: (property, calls).
ELSEWHERE = {"kink": ("kink", "kinks"), "edge": ("values", "edge")}
# What counts as a rejection. A NameError, say, would be a mistake of the harness.
REJECTED = (AssertionError, ValueError, TypeError, IndexError, RuntimeError, pytest.fail.Exception)


def run(mutant: Mutant) -> None:
    """The property on its rows, or the test."""
    if callable(mutant.killed_by):
        mutant.killed_by()
        return
    check, calls = ELSEWHERE.get(mutant.killed_by, (mutant.killed_by, "samples"))
    for row in mutant.rows:
        for sample in getattr(TABLE[row], calls):
            getattr(properties, check)(TABLE[row], sample)


def apply(mutant: Mutant, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mutant.owner, mutant.attribute, mutant.broken)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_killed(mutant, monkeypatch):
    run(mutant)
    apply(mutant, monkeypatch)
    try:
        run(mutant)
    except REJECTED:
        return
    pytorch.skip_if_left_out()
    pytest.fail(f"{mutant.name}: not noticed by {mutant.killed_by}")


SWEEPS = {
    "scaled by 1.001": lambda d: d * 1.001,
    "held constant": lambda d: d.detach(),
    "dropped": lambda d: None,
}


@functools.cache
def rows_of() -> dict[type, list[str]]:
    """Op class -> rows whose gradient calls its vjp."""
    rows: dict[type, list[str]] = {}
    vjp = autograd._vjp
    with pytest.MonkeyPatch.context() as patch:
        for case in (c for c in TABLE.values() if c.max_order or c.torch_order):
            ops: set[type] = set()
            patch.setattr(autograd, "_vjp", lambda node, *rest, ops=ops: ops.add(type(node.op)) or vjp(node, *rest))
            for sample in case.samples:
                gradcheck.derivatives(case.bound(sample), case.tensors(sample), 1)
            for op in ops:
                rows.setdefault(op, []).append(case.name)
    return rows


@pytest.mark.parametrize("sweep", SWEEPS)
@pytest.mark.parametrize(
    "op",
    sorted((c for c in op_classes() if c.differentiable and not issubclass(c, Step)), key=lambda c: c.__name__),
    ids=lambda c: c.__name__,
)
def test_no_rule_of_any_op_can_be_wrong_unseen(op, sweep, monkeypatch):
    """Every op's every gradient, made a thousandth too large, cut from the graph, or left out, is rejected."""
    original = op.vjp

    def broken(self, node, need, *cotangents):
        grads = original(self, node, need, *cotangents)
        return tuple(None if d is None else SWEEPS[sweep](d) for d in grads)

    monkeypatch.setattr(op, "vjp", broken)
    for row in rows_of()[op]:
        for sample in TABLE[row].samples:
            try:
                properties.gradient(TABLE[row], sample)
                properties.higher_orders(TABLE[row], sample)
                properties.torch_orders(TABLE[row], sample)
            except gradcheck.GradcheckError:
                return
    pytorch.skip_if_left_out()
    pytest.fail(f"{op.__name__}: gradients {sweep} were not noticed in {rows_of()[op]}")


def test_there_are_enough_and_each_is_another():
    assert len(MUTANTS) >= 60
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    assert {m.__name__ for m in (mutants_rules, mutants_kernels, mutants_engine)} == {
        m.broken.__module__ for m in MUTANTS if hasattr(m.broken, "__module__") and m.broken.__module__ != "mutants"
    }


def test_a_cotangent_of_ones_is_blind():
    """Why cotangents are random: under ones, the input gradient of batch norm is zero, so doubling it goes unseen."""
    (twice,) = [m for m in MUTANTS if "zero under a cotangent of ones" in m.name]
    case = TABLE["batch_norm.train"]
    sample = case.samples[0]

    def total(x, w, b):
        return case.bound(sample)(x, w, b).sum()

    with pytest.MonkeyPatch.context() as patch:
        apply(twice, patch)
        x, w, b = case.tensors(sample)
        gradcheck.gradcheck(total, [x, w, b])  # nothing is noticed
        with pytest.raises(
            gradcheck.GradcheckError, match=r"batch_norm\.train.* order-1 derivative by input 0 at element"
        ):
            properties.gradient(case, sample)


def test_the_message_says_where():
    """Function, order, input, element and both values."""

    class Half(type(F.sigmoid)):
        name = "half"

        def vjp(self, node, need, g):
            return (super().vjp(node, need, g)[0] * 0.5,)

    x = tensor([[0.0, 1.0]], dtype="float64", requires_grad=True)
    with pytest.raises(gradcheck.GradcheckError) as caught:
        gradcheck.gradcheck(Half(), [x], full=0)
    error = caught.value
    assert (error.order, error.input, error.element) == (1, 0, error.element) and error.element in ((0, 0), (0, 1))
    assert error.analytic == pytest.approx(error.numeric / 2)
    assert str(error).startswith(f"half: order-1 derivative by input 0 at element {error.element} is ")


if __name__ == "__main__":
    for m in MUTANTS:
        with pytest.MonkeyPatch.context() as patch:
            apply(m, patch)
            try:
                run(m)
                verdict = "SURVIVED"
            except REJECTED as error:
                verdict = f"{type(error).__name__}: {' '.join(str(error).split())[:110]}"
        by = m.killed_by if isinstance(m.killed_by, str) else getattr(m.killed_by, "__name__", "a test")
        print(f"{m.name}\n    {by}: {verdict}")
