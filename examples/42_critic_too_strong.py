"""A discriminator that is too strong: where it is sure of every sample, minimax's gradient for G is gone.

    minimax G: ln(1 - D(Gz)),  d/dt = -D(Gz) -> 0 with D(Gz);   non-saturating G: -ln D(Gz),  d/dt = D(Gz) - 1 -> -1
    Wasserstein with gradient penalty: the slope of f is held near 1, however long f trains

D is the sigmoid of t, and G's gradient is (d/dt) times dt/dw, which grows as D trains. Apart from the data (a line that
no sample reaches) D(Gz) falls faster than dt/dw grows: the gradient rises at first, while t's slope is made, and
vanishes then. Among the data (the modes of a ring, samples all round them) D is never sure of the samples that lie
between its reals: a few of them carry a gradient that does not vanish. G stands still all the time.
(Arjovsky & Bottou 2017, theorem 2.4 and figure 2.)

Run it:  python -m minigan.examples.42_critic_too_strong --steps 400
"""

import itertools

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss
from minigan.gan.penalties import gradient_penalty

BATCH, LOOKS = 256, 8
CENTRES = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])


def reals(data: str, random: np.random.Generator) -> mg.Tensor:
    """A batch (256, 2) of the ring's 8 modes, or of the line x = 2."""
    ring = CENTRES[random.integers(8, size=BATCH)] + 0.01 * random.standard_normal((BATCH, 2))
    line = np.stack([np.full(BATCH, 2.0), random.uniform(-1, 1, BATCH)], 1)
    return mg.tensor(ring if data == "ring" else line, dtype=mg.float32)


def network(*widths: int) -> nn.Module:
    """Linear layers of these widths, leaky ReLU between them."""
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-1])


@click.command()
@click.option("--steps", default=400, show_default=True, help="Critic steps.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="too_strong.png", show_default=True)
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Print and draw the norm of G's gradient against D's steps, for two data sets and three losses."""
    figure, axes = panels(2)
    for axis, data in zip(axes, ("line", "ring"), strict=True):
        for name in ("minimax", "non-saturating", "wasserstein"):
            mg.manual_seed(seed)
            draws, row = np.random.default_rng(seed), loss(name)
            g, d = network(2, 32, 2).to(device), network(2, 64, 64, 1).to(device)
            adam, z, norms = optim.Adam(d.parameters(), 2e-3, (0.5, 0.9)), mg.randn(BATCH, 2), []
            fake = g(z).detach()
            for k in range(steps + 1):
                if k % max(1, steps // LOOKS) == 0:
                    slopes = mg.grad(row.generator(d(g(z))), list(g.parameters()))
                    norms.append(optim.grad_norm(slopes).item())
                real = reals(data, draws)
                objective = row.discriminator(d(real), d(fake))
                if name == "wasserstein":
                    objective = (
                        objective + 10 * gradient_penalty(lambda x, d=d: d(x)[:, 0], real, fake, mg.rand(BATCH, 1))[0]
                    )
                adam.zero_grad()
                objective.backward()
                adam.step()
            print(f"{data}  {name:<15} |dL_G/dw| first {norms[0]:.1e}  largest {max(norms):.1e}  last {norms[-1]:.1e}")
            axis.semilogy(np.arange(len(norms)) * max(1, steps // LOOKS), norms, "o-", label=name)
        axis.set_title("apart from the data: minimax vanishes" if data == "line" else "among the data: it does not")
        axis.set_xlabel("D's steps, G stands still")
        axis.set_ylabel("‖dL_G/dw‖")
        axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
