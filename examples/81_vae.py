"""A variational autoencoder: random codes decode to digits, and to blurred ones (Kingma & Welling 2014).

    ln p(x) >= E_{z ~ q(z|x)} ln p(x|z) - KL(q(z|x) || N(0, I)),      q(z|x) = N(m, s^2),  z = m + s eps,  eps ~ N(0, I)
    ln p(x|z) = sum over pixels of t ln p + (1 - t) ln (1 - p),        p = sigmoid(a) the decoder's,  t the grey level
    KL = 1/2 sum over the code of (m^2 + s^2 - 1 - 2 ln s)

The second part pulls the codes of all images together until N(0, I) is covered by them; the noise makes neighbours of a
code decode alike. The first part is a sum over pixels, so where the decoder is not sure it says the mean: grey, a blur.

Run it:  python -m minigan.examples.81_vae --steps 3000
"""

import click
import numpy as np

import minigan as mg
from minigan import data, nn, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import sigmoid, softplus
from minigan.gan.metrics import classifier
from minigan.gan.metrics.distances import spectral_distance
from minigan.gan.metrics.realism import gradient_energy, realistic
from minigan.gan.networks.mlp import perceptron_init_

CODE, WIDTH, BATCH, SIZE = 16, 256, 64, 32
PIXELS = SIZE * SIZE


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Steps.")
@click.option("--beta", default=1.0, show_default=True, help="Weight of the divergence; 1 is the bound.")
@click.option("--out", default="vae.png", show_default=True, help="PNG: reconstructions and random codes.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, beta: float, out: str, seed: int, device: str) -> None:
    """Train; print both parts of the bound in nats, and how real and how sharp random codes decode."""
    random, digits = mg.manual_seed(seed), data.load("digits")
    batches = data.Loader(digits, BATCH, seed, size=SIZE)
    x = mg.zeros(BATCH, 1, SIZE, SIZE)
    encoder = nn.Sequential(
        *(nn.Flatten(), nn.Linear(PIXELS, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()),
        nn.Linear(WIDTH, 2 * CODE),
    )
    decoder = nn.Sequential(
        *(nn.Linear(CODE, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()),
        *(nn.Linear(WIDTH, PIXELS), nn.Unflatten(1, (1, SIZE, SIZE))),
    )
    for network in (encoder, decoder):
        perceptron_init_(network, random).to(device)
    optimiser = optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

    def bound(x):
        """(E ln p(x|z) by one draw of z, KL), in nats an image."""
        outputs = encoder(x)
        m, log_s = outputs[:, :CODE], outputs[:, CODE:]
        z = m + mg.exp(log_s) * mg.randn(len(x), CODE)
        a, t = decoder(z), (1 + x) / 2
        fit = mg.sum(t * a - softplus(a), (1, 2, 3))  # t ln sigmoid(a) + (1 - t) ln (1 - sigmoid(a))
        return fit.mean(), 0.5 * mg.sum(mg.square(m) + mg.exp(2 * log_s) - 1 - 2 * log_s, 1).mean()

    @mg.capture
    def train():
        fit, divergence = bound(x)
        optimiser.zero_grad()
        ((beta * divergence - fit) / PIXELS).backward()
        optimiser.step()
        return fit.detach(), divergence.detach()

    for step in range(1, steps + 1):
        x.assign(next(batches)[0])
        fit, divergence = (part.item() for part in train())
        if step % 500 == 0 or step == steps:
            print(
                f"step {step:4d}   ELBO {fit - divergence:8.2f} nats = ln p(x|z) {fit:8.2f} - KL {divergence:6.2f}",
                flush=True,
            )

    held_out = classifier.prepared(digits, digits.held_out, SIZE)
    with mg.no_grad():
        fit, divergence = (part.item() for part in bound(mg.tensor(held_out)))
        codes = encoder(mg.tensor(held_out))[:, :CODE]
        back, samples = (
            (2 * sigmoid(decoder(z)) - 1).to("cpu").numpy() for z in (codes, mg.randn(len(held_out), CODE))
        )
    judge = classifier.load("digits")[0]
    right = (classifier.classes(judge, back) == digits.labels[digits.held_out]).mean()
    shares = realistic({"random codes": samples}, judge, digits)
    viz.save_grids(
        out,
        {
            "held-out digits": held_out[:16].reshape(1, 16, 1, SIZE, SIZE),
            "what comes back through the code": back[:16].reshape(1, 16, 1, SIZE, SIZE),
            "random codes": samples[:64].reshape(4, 16, 1, SIZE, SIZE),
        },
    )
    print(f"held-out digits: ELBO {fit - divergence:.2f} nats = {fit:.2f} - {divergence:.2f}")
    print(f"come back as their class: {right:.1%}, squared error {np.square(back - held_out).mean():.4f}")
    print("realistic: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
    print(
        f"blur of random codes: gradient energy {gradient_energy(samples) / gradient_energy(held_out):.1%} of real"
        f" digits', spectrum {spectral_distance(samples, held_out):.2f} dB away"
    )
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
