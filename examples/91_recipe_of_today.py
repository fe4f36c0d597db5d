"""R3GAN, the recipe of today, on digits (Huang et al. 2024), and what its two penalties cost.

    D: minimise  E softplus(f(Gz) - f(x)) + gamma/2 E ||grad f(x)||^2 + gamma/2 E ||grad f(Gz)||^2
    G: minimise  E softplus(f(x) - f(Gz))                                     one real image and one sample a pair

No batch norm, no tricks: residual networks, Adam without a first moment, rates that fall along half a cosine.

The loss and both penalties read one forward pass of f. The slope is one more pass backwards; the objective's gradient
then runs through that pass, too. At the end three critic steps are timed in turns on the same weights: without the
penalties, with them, and with a twin that needs no second derivative,

    1/2 E ||grad f(x)||^2 = 1/2 E_v (v . grad f(x))^2 = about 1/2 E_v ((f(x + h v) - f(x - h v)) / 2h)^2,   v ~ N(0, I)

whose gradient is compared with the exact one. It is right on average over v only; and it takes two forward passes more,
and their backward passes, where the exact one takes a pass of each kind: it is dearer, too.

Run it:  python -m minigan.examples.91_recipe_of_today --steps 1500
"""

import math
import time
from statistics import median

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import by_class, samples
from minigan.functional import softplus
from minigan.gan.networks.r3gan import R3Critic, R3Generator, r3gan_init_
from minigan.optim import WeightAverage

LATENT, BATCH, SIZE, BASE, LR, GAMMA, H = 64, 32, 32, 16, 7e-4, 20.0, 0.01


def critic_loss(f, points: mg.Tensor, gamma: mg.Tensor | float, penalty: str = "exact") -> mg.Tensor:
    """What f minimises; points (2N, C, H, W): N real images, then N samples. penalty: "none", "exact" or "twin"."""
    outputs = f(points)
    d_real, d_fake = outputs[:BATCH], outputs[BATCH:]
    loss = softplus(d_fake - d_real).mean()
    if penalty == "none":
        return loss
    if penalty == "twin":
        v = mg.randn(*points.shape)
        along = (f(points + H * v) - f(points - H * v)) / (2 * H)
        return loss + gamma * (along * along).mean()
    (slope,) = mg.grad(outputs.sum(), points, create_graph=True)
    # Half the mean over reals and half that over samples are the mean over all.
    return loss + gamma * (slope * slope).sum((1, 2, 3)).mean()


def weight_gradient(f, points: mg.Tensor, penalty: str) -> np.ndarray:
    """Of the penalty alone, as one line."""
    objective = critic_loss(f, points, 1.0, penalty) - critic_loss(f, points, 1.0, "none")
    gradients = mg.grad(objective, list(f.parameters()))
    return np.concatenate([g.to("cpu").numpy().ravel() for g in gradients])


def prices(f, points: mg.Tensor, rounds: int = 12) -> dict[str, float]:
    """Milliseconds of the gradient of each kind of critic step, recorded and replayed; medians of turns."""
    steps = {}
    for kind in ("none", "exact", "twin"):

        @mg.capture
        def step(kind=kind):
            return mg.grad(critic_loss(f, points, GAMMA, kind), list(f.parameters()))[0].sum()

        steps[kind], _ = step, step().item()
    times = {kind: [] for kind in steps}
    for _ in range(rounds):
        for kind, step in steps.items():
            start = time.perf_counter()
            step().item()
            times[kind].append(1e3 * (time.perf_counter() - start))
    return {kind: median(values) for kind, values in times.items()}


def breakdown(f, points: mg.Tensor) -> str:
    """Where the milliseconds of the exact step go, op by op."""
    now = time.perf_counter
    times, outputs = [now()], f(points)
    times, (slope,) = [*times, now()], mg.grad(outputs.sum(), points, create_graph=True)
    times, penalty = [*times, now()], GAMMA * (slope * slope).sum((1, 2, 3)).mean()
    mg.grad(softplus(outputs[BATCH:] - outputs[:BATCH]).mean() + penalty, list(f.parameters()))
    parts = 1e3 * np.diff([*times, now()])
    return "forward {:.0f} ms, slope {:.0f} ms, backward through both {:.0f} ms (not recorded)".format(*parts)


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of each network.")
@click.option("--out", default="recipe_of_today.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train, draw samples and have them judged; then time the penalties and compare the twin's gradient."""
    random = mg.manual_seed(seed)
    g = r3gan_init_(R3Generator(LATENT, 1, SIZE, BASE), random).to(device)
    f = r3gan_init_(R3Critic(1, SIZE, BASE), random).to(device)
    optim_g, optim_f = (optim.Adam(n.parameters(), lr=LR, betas=(0.0, 0.99)) for n in (g, f))
    average, gamma = WeightAverage(g, 0.999), mg.zeros(1)
    batches, real = data.Loader(data.load("digits"), BATCH, seed, size=SIZE), mg.zeros(BATCH, 1, SIZE, SIZE)

    def both() -> mg.Tensor:
        with mg.no_grad():
            points = mg.cat([real, g(mg.randn(BATCH, LATENT))])
        return points.requires_grad_()

    def improved(network, optimiser, loss: mg.Tensor) -> mg.Tensor:
        optimiser.zero_grad()
        loss.backward(inputs=list(network.parameters()))
        optimiser.step()
        return loss

    @mg.capture
    def train():
        d_loss = improved(f, optim_f, critic_loss(f, both(), gamma).sum())
        d_fake = f(g(mg.randn(BATCH, LATENT)))
        return d_loss, improved(g, optim_g, softplus(f(real).detach() - d_fake).mean())

    for step in range(1, steps + 1):
        fallen = 0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2
        gamma.assign(np.full(1, GAMMA * fallen, np.float32))
        optim_f.param_groups[0]["lr"] = optim_g.param_groups[0]["lr"] = LR * fallen
        real.assign(next(batches)[0])
        losses = train()
        average.update(g)
        if step % 250 == 0 or step == steps:
            print(
                f"step {step:4d}   D {losses[0].item():.3f}   G {losses[1].item():.3f}   (ln 2 = 0.693 each at chance)"
            )

    points = both()
    cost = prices(f, points)
    for kind, value in cost.items():  # of the whole step, in which G's part is the same, it is less
        print(f"D's gradient, penalties {kind:<5}  {value:6.1f} ms, {value / cost['none']:.2f} times that without")
    print(breakdown(f, points))
    exact = weight_gradient(f, points, "exact")
    for count in (1, 16):
        twin = np.mean([weight_gradient(f, points, "twin") for _ in range(count)], 0)
        error = np.linalg.norm(twin - exact) / np.linalg.norm(exact)
        print(f"the twin's gradient over {count:2d} directions is {error:.0%} of the exact one's length away from it")
    images = samples(average.module, LATENT, 1000)
    viz.save_grid(out, images[:64], scale=2)
    print(f"{by_class(images)}; 64 samples in {out}")


if __name__ == "__main__":
    main()
