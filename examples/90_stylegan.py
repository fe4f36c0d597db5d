"""StyleGAN, small: each latent becomes a style, and styles scale every convolution (Karras et al. 2019, 2020).

    w = f(z),   layer l:  x <- leaky(d (W * (s x)) + noise + bias),  s = A_l w,  d = 1 / length of each filter s W
    D: minimise  -ln D(x) - ln(1 - D(G(z))) + gamma/2 E ||grad D(x)||^2        G: minimise  -ln D(G(z))

The penalty comes in every eighth step, and counts eight times there. Half of the samples that D sees have the styles of
two latents, one up to a random layer and another after it, so that layers learn to be independent of each other. Then

    crossing     coarse layers of a face A with the fine ones of a face B: whose hat is it, whose smile?
    truncation   w <- mean w + psi (w - mean w): more typical faces (precision), fewer kinds of them (recall)

Run it:  python -m minigan.examples.90_stylegan --steps 2000
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import softplus
from minigan.gan.metrics import attributes
from minigan.gan.metrics import report as metrics
from minigan.gan.networks.style import StyleCritic, StyleGenerator, Truncated, crossed, style_init_
from minigan.gan.train import generate

LATENT, BATCH, SIZE, BASE = 64, 32, 32, 32
LAZY, GAMMA, MIXING = 8, 1.0, 0.5


@click.command()
@click.option("--steps", default=2000, show_default=True, help="Steps of each network.")
@click.option("--pairs", default=500, show_default=True, help="Faces A and B that are judged.")
@click.option("--out", default="stylegan.png", show_default=True, help="PNG: samples, crossed and truncated faces.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, pairs: int, out: str, seed: int, device: str) -> None:
    """Train; print whose attributes a crossed face has, and what truncation trades."""
    random, faces = mg.manual_seed(seed), data.load("avatars")
    g = style_init_(StyleGenerator(LATENT, 3, SIZE, BASE), random).to(device)
    d = style_init_(StyleCritic(3, SIZE, BASE), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=1e-3, betas=(0.0, 0.99)) for n in (g, d))
    average = optim.WeightAverage(g, 0.999)
    batches, real = data.Loader(faces, BATCH, seed, size=SIZE), mg.zeros(BATCH, 3, SIZE, SIZE)

    def samples():
        z, other = mg.randn(BATCH, LATENT), mg.randn(BATCH, LATENT)
        return g(crossed(z, other, mg.rand(BATCH), len(g.layers), MIXING))

    def d_step(penalised: bool):
        @mg.capture
        def step():
            with mg.no_grad():
                fake = samples()
            loss = objective = softplus(-d(real)).mean() + softplus(d(fake)).mean()
            if penalised:
                x = real.detach().requires_grad_()
                (slope,) = mg.grad(d(x).sum(), x, create_graph=True)
                objective = loss + LAZY * GAMMA / 2 * (slope * slope).sum((1, 2, 3)).mean()
            optim_d.zero_grad()
            objective.backward(inputs=list(d.parameters()))
            optim_d.step()
            return loss.detach()

        return step

    train_d = [d_step(penalised=k == 0) for k in (0, 1)]

    @mg.capture
    def train_g():
        loss = softplus(-d(samples())).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss.detach()

    for step in range(steps):
        real.assign(next(batches)[0])
        d_loss, g_loss = train_d[step % LAZY > 0](), train_g()
        average.update(g)
        if (step + 1) % 250 == 0 or step + 1 == steps:
            print(f"step {step + 1:4d}   D {d_loss.item():.3f}   G {g_loss.item():.3f}", flush=True)

    best, judge, layers = average.module, attributes.load_for(faces)[0], len(g.layers)

    def faces_of(cut: int, a: mg.Tensor, b: mg.Tensor) -> np.ndarray:
        """Coarse layers by latents of A, those from number `cut` on by latents of B."""
        return generate(best, mg.stack([a] * cut + [b] * (layers - cut), 1))

    a, b = mg.randn(pairs, LATENT), mg.randn(pairs, LATENT)
    of_a, of_b = (attributes.judge(judge, generate(best, z), faces) for z in (a, b))
    grids = {"samples": generate(best, a[:20]).reshape(2, 10, 3, SIZE, SIZE)}
    rows, columns = (mg.arange(40) // 10, mg.arange(40) % 10)
    for cut in (1, 3, 5):
        mixed, shares = attributes.judge(judge, faces_of(cut, a, b), faces), []
        for k, name in enumerate(faces.info.attributes):
            readable = np.minimum(np.minimum(of_a, of_b), mixed)[:, k] >= 0
            both = readable & (of_a[:, k] != of_b[:, k])
            shares.append(f"{name} {np.mean(mixed[both, k] == of_a[both, k]):.0%}" if both.any() else f"{name} -")
        print(f"styles up to {4 << cut // 2} pixels of A, the others of B: as A in {', '.join(shares)}")
        title = f"rows: styles up to {4 << cut // 2} pixels; columns: the others"
        grids[title] = faces_of(cut, a[rows], b[columns]).reshape(4, 10, 3, SIZE, SIZE)
    with mg.no_grad():
        centre = best.mapping(mg.randn(4096, LATENT)).mean(0)
    for psi in (1.0, 0.7, 0.5, 0.0):
        images = generate(Truncated(best, centre, psi), a)
        figures = metrics.examine(images, judge, faces, groups=attributes.groups(faces).values()).samples
        three = (figures.precision.value, figures.recall.value, figures.coverage.value)
        print("psi {}: precision {:.3f}, recall {:.3f}, coverage {:.3f}".format(psi, *three))
        grids[f"truncation, psi {psi}"] = images[None, :10]
    viz.save_grids(out, grids, scale=2)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
