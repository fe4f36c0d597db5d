"""InfoGAN finds the ten digits without being told: codes that G must keep readable (Chen et al. 2016).

    min_{G,Q} max_D  V(D, G) - lambda (E ln Q(c | G(z, c)) + H(c)),   c = (one of 10 categories, 2 numbers in [-1, 1])

Nothing in this says which ten parts the category shall name. Here Q learns it from pairs of moved real images: it is to
say the same of both while it uses all categories alike: their mutual information (Ji et al. 2019;
gan/systems/alike.py). After 800 steps G begins to write what Q reads as c; the two numbers both learn, as in the paper.

Run it:  python -m minigan.examples.62_infogan --steps 2000
"""

import math

import click
import numpy as np

import minigan as mg
from minigan import data, nn, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import cross_entropy, mse_loss, one_hot, softplus
from minigan.gan.metrics import classifier
from minigan.gan.networks import DCGANGenerator, dcgan_init_
from minigan.gan.networks.heads import CodeCritic
from minigan.gan.systems import alike
from minigan.gan.systems.infogan import purity

LATENT, BATCH, BASE, SIZE, K = 16, 64, 16, 32, 10


def join(z, category, continuous) -> mg.Tensor:
    """What G takes."""
    return mg.cat([z, category, continuous], 1)


@click.command()
@click.option("--steps", default=2000, show_default=True, help="Steps of each network.")
@device_option
@click.option("--out", default="infogan.png", show_default=True, help="PNG: a category a column.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Train; print the bound on the information and which digit an independent classifier sees for each category."""
    random = mg.manual_seed(seed)
    digits = data.load("digits")
    g = dcgan_init_(DCGANGenerator(LATENT + K + 2, 1, SIZE, BASE), random).to(device)
    d = dcgan_init_(CodeCritic(1, K, 2, SIZE, BASE, norm=True, finer=3 * K), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=1e-3, betas=(0.5, 0.999)) for n in (g, d))
    average = optim.WeightAverage(g, 0.99)
    batches = data.Loader(digits, BATCH, seed, size=SIZE)
    x, first, second = (mg.zeros(BATCH, 1, SIZE, SIZE) for _ in range(3))
    share = mg.zeros(1)  # of lambda: 0 while there are but blobs to tell apart, then rising

    def coded():
        c = one_hot(mg.randint(0, K, (BATCH,)), K).to(mg.float32)
        u = 2 * mg.rand(BATCH, 2) - 1
        return g(join(mg.randn(BATCH, LATENT), c, u)), c, u

    @mg.capture  # recorded once, then replayed
    def critic_step():
        with mg.no_grad():
            images, _, u = coded()
        (t_real, *_), (t_fake, _, means) = d(x), d(images)
        numbers = share.sum() * 0.5 * mse_loss(means, u)
        both = zip(d.clusters(first), d.clusters(second), strict=True)
        coarse, finer = (alike.mutual_information(a.softmax(1), b.softmax(1)) for a, b in both)
        optim_d.zero_grad()
        (softplus(-t_real).mean() + softplus(t_fake).mean() + numbers - coarse - finer).backward()
        optim_d.step()
        return coarse.detach()

    @mg.capture
    def generator_step():
        images, c, u = coded()
        t, logits, means = d(images)
        class_loss = cross_entropy(logits, c)  # -E ln Q(c | G(z, c))
        optim_g.zero_grad()
        (softplus(-t).mean() + share.sum() * (class_loss + 0.5 * mse_loss(means, u))).backward(
            inputs=list(g.parameters())
        )
        optim_g.step()
        return math.log(K) - class_loss.detach()

    for step in range(1, steps + 1):
        images, _ = next(batches)  # the labels stay unseen
        x.assign(images)
        first.assign(alike.moved(images, random))
        second.assign(alike.moved(images, random))
        share.assign(np.clip(np.array([step / 400 - 2]), 0, 1))
        reals, codes = critic_step(), generator_step()
        average.update(g)
        if step % 100 == 0 or step == steps:
            print(f"step {step:5d}   E ln Q + H {codes.item():.3f}   of pairs of reals {reals.item():.3f}", flush=True)

    g, c = average.module.eval(), np.arange(1000) % K
    z, u = mg.randn(1000, LATENT), 2 * mg.rand(1000, 2) - 1
    inputs = join(z, mg.tensor(np.eye(K, dtype=np.float32)[c]), u)
    with mg.no_grad(), nn.frozen_statistics(d):
        samples = mg.cat([g(inputs[i : i + 100]) for i in range(0, 1000, 100)])
        bound = math.log(K) - cross_entropy(d(samples)[1], mg.tensor(c)).item()
    table, judge = np.zeros((K, 10), int), classifier.load("digits")[0]
    np.add.at(table, (c, classifier.classes(judge, samples.to("cpu").numpy())), 1)
    viz.save_grid(out, samples.numpy()[:100], columns=K, scale=2)
    print(f"bound {bound:.3f} of log 10 = {math.log(K):.3f}; digits of the categories: {table.argmax(1)}")
    print(f"purity {purity(table):.1%} of 1000 samples; picture: {out}")


if __name__ == "__main__":
    main()
