"""Eight Gaussians by WGAN-GP, the whole loop in sight (Gulrajani et al. 2017; PacGAN's ring, Lin et al. 2018).

    critic:     minimise  E f(G(z)) - E f(x) + lambda E[(||grad f(x_hat)||_2 - 1)^2]
    generator:  minimise  -E f(G(z))

`minigan toy ring` does it properly. Run it:  python -m minigan.examples.40_ring --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim, viz
from minigan.examples._figure import device_option
from minigan.gan.penalties import gradient_penalty
from minigan.gan.toy import data as toydata

BATCH, N_CRITIC, LAMBDA = 256, 2, 0.1


def network(inputs: int, outputs: int, width: int = 128) -> nn.Module:
    """Three hidden layers."""
    layers = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(width, outputs))


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Generator steps.")
@device_option
@click.option("--out", default="ring.png", show_default=True, help="PNG of samples as they move.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Train, and print how many of the modes are found and how many samples lie on one."""
    mg.manual_seed(seed)
    points = toydata.load("ring")
    data = points.sample(50_000, seed)  # the ring has mean 0; dividing by its spread makes the variance 1
    spread, rng = data.std(), np.random.default_rng(seed)
    g, f, real = network(2, 2).to(device), network(2, 1).to(device), mg.zeros(BATCH, 2)
    optim_g, optim_f = (optim.Adam(n.parameters(), lr=1e-3, betas=(0.0, 0.9)) for n in (g, f))

    @mg.capture  # recorded once, then replayed
    def critic_step():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, 2))
        penalty, _ = gradient_penalty(f, real, fake, mg.rand(BATCH, 1))
        estimate = f(real).mean() - f(fake).mean()
        optim_f.zero_grad()
        (-estimate + LAMBDA * penalty).backward()
        optim_f.step()
        return estimate

    @mg.capture
    def generator_step():
        f.requires_grad_(False)
        optim_g.zero_grad()
        loss = -f(g(mg.randn(BATCH, 2))).mean()
        loss.backward()
        optim_g.step()
        f.requires_grad_(True)
        return loss

    frames = []
    for step in range(1, steps + 1):
        for group in (*optim_g.param_groups, *optim_f.param_groups):
            group["lr"] = 1e-3 * (1 - (step - 1) / steps)
        for _ in range(N_CRITIC):
            real.assign(data[rng.integers(len(data), size=BATCH)] / spread)
            estimate = critic_step()
        generator_step()
        if step % max(1, steps // 10) == 0 or step == steps:
            with mg.no_grad():
                samples = g(mg.randn(2500, 2)).numpy() * spread
            s = toydata.mode_scores(samples, points.modes, points.sigma)
            print(f"step {step:5d}   W {estimate.item():6.3f}   {s['modes']} of 8 modes   {s['high_quality']:.1%}")
            frames.append(scatter(samples))
    viz.save_grid(out, np.stack(frames), columns=5)
    print(f"{s['modes']} of 8 modes, {s['high_quality']:.1%} of high quality (perfect: {toydata.CEILING:.1%}); {out}")


def scatter(samples: np.ndarray, side: int = 160) -> np.ndarray:
    """A picture (side, side, 3), the darker the more samples lie in a pixel."""
    counts, _, _ = np.histogram2d(samples[:, 1], samples[:, 0], side, [[-1.3, 1.3]] * 2)
    shade = np.exp(-counts[::-1, :, None] / [2.0, 4.0, 8.0])
    return (255 * shade).astype(np.uint8)


if __name__ == "__main__":
    main()
