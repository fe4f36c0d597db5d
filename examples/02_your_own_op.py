"""An op of your own, with its derivative, checked to third order by finite differences.

    y = x sigmoid(x)  ("swish"),    dy/dx = s + x s (1 - s),    s = sigmoid(x)

The vjp is written in Tensor ops, so its own derivative, and the next, come for free; and a wrong one is found by
differences.

Run it:  python -m minigan.examples.02_your_own_op
"""

import numpy as np

import minigan as mg
from minigan.testing.gradcheck import GradcheckError, check


class Swish(mg.Op):
    """x sigmoid(x)."""

    def forward(self, x):
        return x / (1 + np.exp(-x))

    def vjp(self, node, need, g):
        (x,) = node.inputs
        s = x.sigmoid()
        return (g * (s + x * s * (1 - s)),)


class WrongSwish(Swish):
    """The same with half of the product rule forgotten."""

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return (g * x.sigmoid(),)


def main() -> None:
    """Check the right op to third order, and watch the wrong one fail."""
    x = mg.tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
    for order, error in enumerate(check(Swish(), [x], upto=3, reference=lambda x: x * x.sigmoid())):
        against = f"finite differences of order {order - 1}" if order else "the same in other ops"
        print(f"Swish, order {order}: worst error against {against} {error:.1e}")
    try:
        check(WrongSwish(), [x], upto=3)
    except GradcheckError as error:
        print(f"WrongSwish is found out: {error}")


if __name__ == "__main__":
    main()
