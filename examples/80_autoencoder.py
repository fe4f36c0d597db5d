"""An autoencoder's random code decodes to nothing: the lecture's three panels, reconstruction, random code, GAN.

    minimise  E mean over pixels of (Dec(Enc(x)) - x)^2          three fully connected layers each way

The error says how codes of images decode, and nothing of any other code: z ~ N(0, I) is a place that no image was sent
to. A GAN trains the same decoder on just these z, so it has no other code to be wrong about.

Run it:  python -m minigan.examples.80_autoencoder --steps 3000 --gan-steps 3000
"""

import click
import numpy as np

import minigan as mg
from minigan import data, nn, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import softplus
from minigan.gan.metrics import classifier
from minigan.gan.metrics.distances import spectral_distance
from minigan.gan.metrics.realism import gradient_energy, realistic
from minigan.gan.networks.mlp import PerceptronCritic, PerceptronGenerator, perceptron_init_

CODE, WIDTH, BATCH, SIZE = 16, 256, 64, 32
PIXELS = SIZE * SIZE


def layers(*widths: int) -> list[nn.Module]:
    """Three fully connected layers, rectifiers between them."""
    a, b, c, d = widths
    return [nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c), nn.ReLU(), nn.Linear(c, d)]


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Steps of the autoencoder.")
@click.option("--gan-steps", default=3000, show_default=True, help="Steps of each network of the GAN.")
@click.option("--out", default="autoencoder.png", show_default=True, help="PNG: the three panels.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, gan_steps: int, out: str, seed: int, device: str) -> None:
    """Train both; print how many of their images look real to a judge that saw real ones only."""
    random, digits = mg.manual_seed(seed), data.load("digits")
    batches = data.Loader(digits, BATCH, seed, size=SIZE)
    x = mg.zeros(BATCH, 1, SIZE, SIZE)

    encoder = perceptron_init_(nn.Sequential(nn.Flatten(), *layers(PIXELS, WIDTH, WIDTH, CODE)), random).to(device)
    decoder = nn.Sequential(*layers(CODE, WIDTH, WIDTH, PIXELS), nn.Tanh(), nn.Unflatten(1, (1, SIZE, SIZE)))
    perceptron_init_(decoder, random).to(device)
    optimiser = optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

    @mg.capture
    def train_autoencoder():
        error = mg.mean(mg.square(decoder(encoder(x)) - x))
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        return error.detach()

    for step in range(1, steps + 1):
        x.assign(next(batches)[0])
        error = train_autoencoder()
        if step % 500 == 0 or step == steps:
            print(f"step {step:4d}   squared error {error.item():.4f}", flush=True)

    g = perceptron_init_(PerceptronGenerator(CODE, 1, SIZE, WIDTH // 8), random).to(device)
    d = perceptron_init_(PerceptronCritic(1, SIZE, 16, rate=0.3, random=random), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (g, d))

    @mg.capture
    def train_d():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, CODE))
        optim_d.zero_grad()
        (softplus(-d(x)).mean() + softplus(d(fake)).mean()).backward()
        optim_d.step()

    @mg.capture
    def train_g():
        loss = softplus(-d(g(mg.randn(BATCH, CODE)))).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss.detach()

    for step in range(1, gan_steps + 1):
        x.assign(next(batches)[0])
        train_d()
        loss = train_g()
        if step % 500 == 0 or step == gan_steps:
            print(f"step {step:4d}   -ln D(G(z)) {loss.item():.3f}", flush=True)

    held_out = classifier.prepared(digits, digits.held_out, SIZE)
    with mg.no_grad():
        codes = encoder(mg.tensor(held_out))
        back, z = decoder(codes).to("cpu").numpy(), mg.randn(len(held_out), CODE)
        random_codes, samples = (network(z).to("cpu").numpy() for network in (decoder, g.eval()))
    judge = classifier.load("digits")[0]
    right = (classifier.classes(judge, back) == digits.labels[digits.held_out]).mean()
    shares = realistic({"random": random_codes, "GAN": samples}, judge, digits)
    viz.save_grids(
        out,
        {
            "held-out digits, and below each what comes back": pairs(held_out[:32], back[:32]),
            "the same decoder on random codes": random_codes[:64].reshape(4, 16, 1, SIZE, SIZE),
            "a GAN of the same decoder": samples[:64].reshape(4, 16, 1, SIZE, SIZE),
        },
    )
    print(f"codes of held-out digits: mean {codes.mean().item():.2f}, deviation {codes.std().item():.2f}")
    print(f"come back as their class: {right:.1%}, squared error {np.square(back - held_out).mean():.4f}")
    print("realistic: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
    print(
        f"blur of the GAN's samples: gradient energy {gradient_energy(samples) / gradient_energy(held_out):.1%} of real"
        f" digits', spectrum {spectral_distance(samples, held_out):.2f} dB away"
    )
    print(f"picture: {out}")


def pairs(first: np.ndarray, second: np.ndarray, columns: int = 16) -> np.ndarray:
    """Rows of images, each with a row of their partners below it: (rows, columns, C, S, S)."""
    rows = [images.reshape(-1, 1, columns, *images.shape[1:]) for images in (first, second)]
    return np.concatenate(rows, 1).reshape(-1, columns, *first.shape[1:])


if __name__ == "__main__":
    main()
