"""One run over the whole op table, for the tests that ask which ops it applies and differentiates."""

from collections import defaultdict
from dataclasses import dataclass, field

import pytest

import minigan as mg
from minigan.autograd import Op
from minigan.testing import gradcheck
from minigan.testing.opdb import TABLE


@dataclass
class Calls:
    """arities: Op class -> the numbers of inputs it was applied to. differentiated: classes whose vjp was called."""

    arities: dict[type, set[int]] = field(default_factory=lambda: defaultdict(set))
    differentiated: set[type] = field(default_factory=set)


@pytest.fixture(scope="session")
def table_calls() -> Calls:
    """What all rows of the op table call, to order 2."""
    calls = Calls()
    kernel_call, vjp = Op.__call__, mg.autograd._vjp

    def call(self, *inputs):
        calls.arities[type(self)].add(len(inputs))
        return kernel_call(self, *inputs)

    def noted_vjp(node, *rest):
        calls.differentiated.add(type(node.op))
        return vjp(node, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Op, "__call__", call)
        patch.setattr(mg.autograd, "_vjp", noted_vjp)
        for case in TABLE.values():
            for sample in case.samples:
                for order in range(max(case.max_order, case.torch_order) + 1)[:3]:
                    gradcheck.derivatives(case.bound(sample), case.tensors(sample), order)
    return calls
