"""The next frame of a moving digit: the squared error draws the mean of all futures, a GAN one of them.

    past: two frames.  G(past, z) says for each pixel where in the last frame it comes from.
    D: minimise  -ln D(past, next) - ln(1 - D(past, G(past, z)))
    G: minimise  mean (G(past, z) - next)^2 - w ln D(past, G(past, z))                  Mathieu et al. 2016

While a digit moves straight on, two frames say where it will be. Where it bounces, its new direction is drawn at
random, and the best answer in squared error is a smear over all places where it could be. D has never seen a smear.

Run it:  python -m minigan.examples.95_next_frame --steps 2400
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.data.moving import Clip, MovingLoader, clip
from minigan.examples._figure import device_option
from minigan.functional import mse_loss, softplus
from minigan.gan.metrics import classifier
from minigan.gan.metrics.futures import NULL_MODELS, bounces, figures
from minigan.gan.networks.dcgan import DCGANCritic, glorot_init_
from minigan.gan.networks.motion import NOISE, Transporter
from minigan.gan.tricks import spectral_norm_

BATCH, SIZE, ADVERSARIAL, RATE, BACKGROUND = 32, 32, 0.03, 1e-3, -1.0


def halved(images: np.ndarray) -> np.ndarray:
    """Digits (N, 1, 16, 16) that move over a page of 32 x 32: the mean of blocks of 2 x 2."""
    return images.reshape(len(images), 1, 16, 2, 16, 2).mean((3, 5)).astype(np.float32)


def train(adversarial: bool, digits: np.ndarray, steps: int, seed: int, device: str):
    """G trained by both terms, or by the squared error alone."""
    random = mg.manual_seed(seed)
    g = glorot_init_(Transporter(1, 2, SIZE, 16), random).to(device)
    d = spectral_norm_(glorot_init_(DCGANCritic(3, SIZE, 16), random), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=RATE, betas=(0.5, 0.999)) for n in (g, d))
    clips = MovingLoader(digits, BATCH, seed)
    past, following, weight = mg.zeros(BATCH, 2, SIZE, SIZE), mg.zeros(BATCH, 1, SIZE, SIZE), mg.zeros(1)

    @mg.capture  # recorded once, then replayed
    def critic_step():
        with mg.no_grad():
            fake = g(past, mg.randn(BATCH, NOISE))
        d_real, d_fake = d(mg.cat([past, following], 1)), d(mg.cat([past, fake], 1))
        optim_d.zero_grad()
        (softplus(-d_real).mean() + softplus(d_fake).mean()).backward()
        optim_d.step()

    @mg.capture
    def generator_step():
        fake = g(past, mg.randn(BATCH, NOISE))
        error = loss = mse_loss(fake, following)
        if adversarial:
            loss = error + weight * softplus(-d(mg.cat([past, fake], 1))).mean()
        optim_g.zero_grad()
        loss.sum().backward(inputs=list(g.parameters()))
        optim_g.step()
        return error.detach()

    for step in range(1, steps + 1):
        for optimiser in (optim_g, optim_d):  # the rate falls over the second half
            optimiser.param_groups[0]["lr"] = RATE * min(1, 2 - 2 * (step - 1) / steps)
        weight.assign(np.full(1, ADVERSARIAL * (3 * step > steps), np.float32))  # first learn how digits move
        frames = next(clips).frames
        past.assign(frames[:, :2, 0])
        following.assign(frames[:, 2])
        if adversarial:
            critic_step()
        error = generator_step()
        if step % 400 == 0 or step == steps:
            print(f"step {step:5d}   mean (G(past, z) - next)^2 {error.item():.4f}", flush=True)
    return g.eval()


@click.command()
@click.option("--steps", default=2400, show_default=True, help="Steps of both networks.")
@device_option
@click.option("--out", default="next_frame.png", show_default=True, help="PNG: a prediction a row.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Train both; print how near their frames are to the nearest possible future, how sharp, and whose mean they
    are."""
    digits = data.load("digits").half("test")
    train_images, images = (halved(classifier.prepared(digits, rows, 32)) for rows in (digits.train, digits.held_out))
    networks = {name: train(name == "GAN", train_images, steps, seed, device) for name in ("GAN", "squared error")}
    clips = clip(images, 500, 3, seed + 1000, 0)
    before = clips.frames[:, :2]
    sets = {name: model(before, BACKGROUND) for name, model in NULL_MODELS.items()}
    with mg.no_grad():
        inputs = mg.tensor(before[:, :, 0]), mg.randn(500, NOISE)
        sets |= {name: g(*inputs).to("cpu").numpy() for name, g in networks.items()}
    uncertain, judge = bounces(clips, 2, SIZE // 2), classifier.load("digits")[0]
    labels = digits.labels[digits.held_out]

    def named(crops, index):
        return float((classifier.classes(judge, crops) == labels[index]).mean())

    for what, mask in (("straight on", ~uncertain), ("at a bounce", uncertain)):
        some = Clip(clips.frames[mask], clips.index[mask], clips.places[mask], clips.velocities[mask])
        for name, predicted in sets.items():
            row = figures(predicted[mask], images, some, 2, BACKGROUND, named)
            print(
                f"{what}, {name:<13} {row['pixels']:.2f} pixels and {row['error']:.4f} from the nearest future"
                f"   gradient energy {row['sharpness']:6.1%}   {row['to_mean']:.4f} from the mean of all futures"
                f"   named rightly {row['identity']:.1%}"
            )
    at = np.flatnonzero(uncertain)[:12]
    rows = {"two frames": before[at, 0], "": before[at, 1], "what came, at a bounce": clips.frames[at, 2]}
    rows |= {name: sets[name][at] for name in ("squared error", "GAN")}
    viz.save_grids(out, {name: frames[None] for name, frames in rows.items()}, scale=2)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
