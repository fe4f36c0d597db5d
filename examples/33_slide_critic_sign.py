"""One slide maximises E_g f - E_r f, another minimises it. The computation says: only minimising makes f high on reals.

    minimise E f(Gz) - E f(x):  f rises on reals, and minus the loss estimates W >= 0

Run it:  python -m minigan.examples.33_slide_critic_sign --steps 40
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss


@click.command()
@click.option("--steps", default=40, show_default=True, help="Critic steps.")
@device_option
@click.option("--out", default="slide_critic_sign.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Claim, computation, verdict."""
    random = np.random.default_rng(0)
    real, fake = (mg.tensor(random.standard_normal(500) + c) for c in (1, -1))
    distance = (real.mean() - fake.mean()).item()
    figure, (axis,) = panels(1, 6)
    for sign, name in ((1, "minimise"), (-1, "maximise")):
        w, path = mg.tensor(0.0, dtype=mg.float64, requires_grad=True), []
        for _ in range(steps):  # f(x) = w x with |w| <= 1: the critic of two piles of one shape
            value = loss("wasserstein").discriminator(w * real, w * fake)
            w.assign(np.clip(w.item() - sign * 0.1 * mg.grad(value, w)[0].item(), -1, 1))
            path.append(w.item() * distance)
        print(f"{name}: E_r f - E_g f ends at {path[-1]:+.3f}; W is {distance:.3f}")
        axis.plot(path, label=name)
    print("verdict: the critic minimises E_g f - E_r f; the other sign turns G away from the data")
    axis.set_title("only minimising E_g f − E_r f finds W")
    axis.set_xlabel("critic step")
    axis.set_ylabel("E_r f − E_g f")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
