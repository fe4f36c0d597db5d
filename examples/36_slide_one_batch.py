"""The slide's code: one real batch for all critic steps. The computation says: the critic then overfits it.

    algorithm 1 samples x inside the inner loop; outside it, 5 steps see m reals in place of 5 m

Run it:  python -m minigan.examples.36_slide_one_batch --steps 40
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss


@click.command()
@click.option("--steps", default=40, show_default=True, help="Critic steps.")
@device_option
@click.option("--out", default="slide_one_batch.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Claim, computation, verdict."""
    figure, (axis,) = panels(1, 6)
    for kind in ("one batch for all steps", "a fresh batch each step"):
        gaps = []
        for seed in range(5):
            mg.manual_seed(seed)
            f = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)).to(device)
            adam, real, held_out, path = optim.Adam(f.parameters(), 1e-2), mg.randn(16, 2), mg.randn(512, 2), []
            for _ in range(steps):
                real = mg.randn(16, 2) if kind.startswith("a fresh") else real
                value = loss("hinge").discriminator(f(real), f(mg.randn(512, 2)))  # fakes of the same distribution
                adam.zero_grad()
                value.backward()
                adam.step()
                with mg.no_grad():
                    path.append(f(real).mean().item() - f(held_out).mean().item())
            gaps.append(path)
        gap = np.mean(gaps, axis=0)
        print(f"{kind}: f on its reals minus f on unseen reals after {steps} steps {gap[-1]:+.3f} (5 seeds)")
        axis.plot(gap, label=kind)
    print("verdict: draw a new real batch for every critic step, as algorithm 1 does; the code on the slide does not")
    axis.set_title("f(its reals) − f(unseen reals): 0 is honest")
    axis.set_xlabel("critic step")
    axis.set_ylabel("difference of means")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
