"""The problem with the clipping parameter: gradients vanish or explode with depth, weights pile up at +-c.

    w <- clip(w, -c, c) after every critic step, against the penalty lambda E (||grad f(x_hat)|| - 1)^2

A layer of n inputs with weights in [-c, c] lengthens a gradient by c n at most; with weights spread evenly over the
interval, and half of the units on, by c sqrt(n / 6). So for n = 24 and 8 layers the first layer's share of the last
one's gradient starts near (2 c)^7 and can never pass c sqrt(24) (24 c)^6. At c = 0.01 that is 1e-12, and 1e-5 at best:
the gradient has vanished before the first step, so nothing moves, and no training could bring it back. At c = 0.1 it
starts vanished too, and training, which drives weights to the bound, brings it back to about 1; at c = 1 it explodes.

Run it:  python -m minigan.examples.21_clipping --steps 200     (Gulrajani et al. 2017, figure 1b)
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss
from minigan.gan.penalties import penalty

DEPTH, WIDTH = 8, 24


def gradient_norms(f: nn.Module, x: mg.Tensor) -> list[float]:
    """||df / d(output)|| of every linear layer, the first one's first."""
    outputs, h = [], x
    for layer in f:
        h = layer(h)
        outputs += [h] if isinstance(layer, nn.Linear) else []
    return [max(float(np.linalg.norm(g.numpy())), 1e-30) for g in mg.grad(h.mean(), outputs)]


@click.command()
@click.option("--steps", default=200, show_default=True, help="Critic steps.")
@device_option
@click.option("--out", default="clipping.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Train a deep critic with c = 0.01, 0.1, 1 and with the penalty; slopes by layer, weights at the bound."""
    figure, (left, right) = panels(2, 5)
    for c in (0.01, 0.1, 1.0, None):
        random = mg.manual_seed(0)
        layers = [nn.Linear(2, WIDTH), nn.ReLU()]
        for _ in range(DEPTH - 2):
            layers += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
        f = nn.Sequential(*layers, nn.Linear(WIDTH, 1)).to(device)
        if c:
            for p in f.parameters():
                p.assign(c * (2 * random.uniform(p.shape) - 1))
        step = optim.RMSprop(f.parameters(), 5e-4) if c else optim.Adam(f.parameters(), 1e-3, (0.0, 0.9))
        weights = [p for name, p in f.named_parameters() if name.endswith("weight")]
        before = gradient_norms(f, mg.randn(64, 2, generator=random))
        for _ in range(max(steps, 1)):
            real, fake = mg.randn(64, 2, generator=random), mg.randn(64, 2, generator=random) * 0.5 + 1
            objective = loss("wasserstein").discriminator(f(real), f(fake))
            if c is None:
                eps = mg.rand(64, 1, generator=random)
                objective = objective + 10 * penalty("two-sided")(lambda x, f=f: f(x)[:, 0], real, fake, eps)[0]
            step.zero_grad()
            objective.backward()
            step.step()
            if c:
                optim.clip_weights_(f.parameters(), c)
        norms = gradient_norms(f, real)
        name = f"clip {c:g}" if c else "penalty"
        flat = np.concatenate([p.detach().numpy().ravel() for p in weights])
        piled = (np.abs(flat) > 0.99 * c).mean() if c else 0.0
        limits = f"starts near {(2 * c) ** 7:.0e}, at most {c * 24**0.5 * (24 * c) ** 6:.0e}" if c else "no limit"
        first, last = before[0] / before[-1], norms[0] / norms[-1]
        print(f"{name:10} gradient of first / last layer {first:.1e} before, {last:.1e} after ({limits});"
              f" weights at the bound {piled:.0%}")  # fmt: skip
        left.semilogy(range(1, DEPTH + 1), norms, "o-", label=name)
        if c in (0.1, None):
            right.hist(flat / (c or np.abs(flat).max()), 40, histtype="step", label=f"{name}, scaled")
    left.set_title("clipped gradients vanish or explode with depth")
    left.set_xlabel("layer")
    left.set_ylabel("‖df / d(the layer's output)‖")
    left.legend()
    right.set_title("clipped weights pile up at the bound")
    right.set_xlabel("weight / bound")
    right.set_ylabel("weights")
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
