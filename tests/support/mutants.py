"""What a mutant is: one attribute of minigan replaced by something wrong, and the property that must notice.

Every mutant is a decorated function in mutants_rules.py or mutants_kernels.py; test_mutants.py runs them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigan.ops.basic import sum_to

MUTANTS: list["Mutant"] = []


@dataclass(frozen=True)
class Mutant:
    """owner.attribute becomes `broken`. killed_by: the property (a name in properties.py) that must reject it on one of
    `rows`, or a test that must fail."""

    name: str
    owner: Any
    attribute: str
    broken: Any
    killed_by: str | Callable[[], object]
    rows: tuple[str, ...]


def mutant(name: str, owner, attribute: str, killed_by: str | Callable[[], object], *rows: str):
    """Register the decorated function as a broken owner.attribute."""

    def register(broken):
        MUTANTS.append(Mutant(name, owner, attribute, broken, killed_by, rows))
        return broken

    return register


def rule(name: str, op: type, killed_by: str, *rows: str):
    """Register the decorated rule(node, *cotangents) -> gradients, in the shape of the broadcast result, as the op's
    vjp."""

    def register(broken):
        def vjp(self, node, need, *cotangents):
            grads = broken(node, *cotangents)
            grads = grads if isinstance(grads, tuple) else (grads,)
            return tuple(
                sum_to(d, x.shape) if n and d is not None else None
                for d, x, n in zip(grads, node.inputs, need, strict=True)
            )

        MUTANTS.append(Mutant(name, op, "vjp", vjp, killed_by, rows))
        return broken

    return register
