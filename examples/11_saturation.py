"""Saturating or not: what each generator loss and its slope are when D is sure that a sample is fake.

    minimax  ln(1 - D), slope -D      non-saturating  -ln D, slope -(1 - D)      least squares  (t - 1)^2 / 2

Run it:  python -m minigan.examples.11_saturation
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import panels, save
from minigan.gan.losses import loss


@click.command()
@click.option("--out", default="saturation.png", show_default=True)
def main(out: str) -> None:
    """Print values and slopes at D = 0.01 and draw them over all outputs."""
    figure, (left, right) = panels(2)
    for name in ("minimax", "non-saturating", "least-squares", "hinge"):
        at = mg.tensor([np.log(0.01 / 0.99)], requires_grad=True)
        value = loss(name).generator(at)
        print(f"{name:15} at D = 0.01: loss {value.item():8.5f}, slope {mg.grad(value, at)[0].item():8.4f}")
        t = mg.tensor(np.linspace(-8, 4, 200), requires_grad=True)
        values = [loss(name).generator(mg.tensor([v])).item() for v in t.data]
        left.plot(t.data, values, label=name)
        right.plot(t.data, 200 * mg.grad(loss(name).generator(t), t)[0].data, label=name)
    left.set_title("generator's loss against D's output t")
    right.set_title("its slope: what drives the generator")
    for axis, what in ((left, "loss"), (right, "slope")):
        axis.set_xlabel("D's output t, a logit")
        axis.set_ylabel(what)
    left.set_ylim(-5, 12)
    right.set_ylim(-6, 3)
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
