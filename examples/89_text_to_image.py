"""Text to image: a generator that draws pixel faces of captions such as "smiling, red hat" (Reed et al. 2016).

    h_t = GRU(e(w_t), h_(t-1)),  code(w) = h_L                                   a caption w is read word by word
    F = G(z, code_G(w)),   f(x | w) = s(x) + code_D(w) . v(x)                    each player has a reader of its own

    critic:     softplus(f(F | w) - f(x | w)) + softplus(f(x' | w) - f(x | w)) + gamma/2 |grad_x f(x | w)|^2
    generator:  softplus(f(x | w) - f(F | w))

x is a real face, w a caption of it, x' another face of which w is wrong. The middle term is the matching-aware critic:
a real face with a wrong caption is a third kind beside real and generated ones. Leave it out (--no-wrong) and the
critic only learns what faces look like: nothing makes the generator read.

Run it:  python -m minigan.examples.89_text_to_image --steps 600     (minutes; `minigan train text2image` does it
properly)
"""

from dataclasses import replace

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.backend import Generator
from minigan.data import captions
from minigan.examples._figure import device_option
from minigan.functional import softplus
from minigan.gan.metrics import attributes, claims
from minigan.gan.networks.captioned import CaptionCritic, CaptionEncoder, CaptionPainter, start_
from minigan.gan.penalties import penalty
from minigan.gan.systems.text2image import SHOWN, wrong_partners

BATCH, LATENT, CODE, GAMMA = 32, 16, 32, 1.0


def gradients_of(loss: mg.Tensor, optimiser: optim.Adam) -> None:
    """Only the weights of this optimiser: the other player stands still."""
    weights = optimiser.param_groups[0]["params"]
    for weight, slope in zip(weights, mg.grad(loss, weights), strict=True):
        weight.grad = slope


@click.command()
@click.option("--steps", default=600, show_default=True, help="Steps of the generator.")
@click.option("--base", default=8, show_default=True, help="Width of the networks.")
@click.option("--wrong/--no-wrong", default=True, show_default=True, help="Real faces with wrong captions, too.")
@click.option("--encoder", default="gru", show_default=True, type=click.Choice(["gru", "bag"]))
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default="text_to_image.png", show_default=True, help="PNG of faces, a row a caption.")
@device_option
def main(steps: int, base: int, wrong: bool, encoder: str, seed: int, out: str, device: str) -> None:
    """Train, print how many claims of captions an independent judge finds, and draw faces."""
    avatars = data.load("avatars").half("test")
    facts = captions.facts(avatars.images, avatars.attributes, avatars.info)
    trained = avatars.train[captions.unseen(facts[avatars.train]) == captions.UNKNOWN]
    batches = data.Loader(replace(avatars, labels=None, attributes=facts, train=trained), BATCH, seed)
    draw, rng = Generator(seed, 1), np.random.default_rng(seed)
    of_g, of_d = (CaptionEncoder(len(captions.WORDS), CODE, encoder) for _ in range(2))
    generator = start_(CaptionPainter(of_g, LATENT, 3, 16, base), draw).to(device)
    critic = start_(CaptionCritic(of_d, 3, 16, 2 * base), draw).to(device)
    optim_g = optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    optim_d = optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.99))
    real, other = (mg.zeros(BATCH, 3, 16, 16) for _ in range(2))
    words = mg.zeros(BATCH, captions.LENGTH)
    mg.manual_seed(seed)

    def painted() -> mg.Tensor:
        return generator(mg.cat([mg.randn(BATCH, LATENT), words], 1))

    @mg.capture
    def critic_step():
        with mg.no_grad():
            fake = painted()
        code = of_d(words)

        def f(x: mg.Tensor) -> mg.Tensor:
            return critic.matched(x, code)

        told_apart, mismatch = softplus(f(fake) - f(real)).mean(), softplus(f(other) - f(real)).mean()
        slope, _ = penalty("r1")(f, real, fake, None)
        gradients_of(told_apart + (mismatch if wrong else 0) + GAMMA * slope, optim_d)
        return told_apart, mismatch

    @mg.capture
    def generator_step():
        fooled = softplus(critic(real, words) - critic(painted(), words)).mean()
        gradients_of(fooled, optim_g)
        return fooled

    for step in range(1, steps + 1):
        images, seen = next(batches)
        texts = [captions.write(row, rng.random(captions.DRAWS)) for row in seen]
        real.assign(images)
        other.assign(images[wrong_partners(texts, seen, rng.permutation(BATCH))])
        words.assign(captions.numbered(texts))
        told_apart, mismatch = critic_step()
        optim_d.step()
        fooled = generator_step()
        optim_g.step()
        if step % 50 == 0 or step == steps:
            print(
                f"step {step:4d}   critic {told_apart.item():.3f}   wrong captions {mismatch.item():.3f}   generator"
                f" {fooled.item():.3f}"
            )

    def drawn(texts: list[str]) -> np.ndarray:
        z = np.random.default_rng(seed).standard_normal((len(texts), LATENT)).astype(np.float32)
        inputs = np.concatenate([z, captions.numbered(texts)], 1).astype(np.float32)
        with mg.no_grad():
            return generator(mg.Tensor(inputs).to(device)).to("cpu").numpy()

    swapped = ["red hat, blue glasses", "blue hat, red glasses"]
    codes = of_g(mg.Tensor(captions.numbered(swapped).astype(np.float32)).to(device)).detach().to("cpu").numpy()
    apart = np.abs(codes[0] - codes[1]).max()
    print(f"{swapped[0]!r} and {swapped[1]!r} are of the same words; their codes are {apart:.1e} apart")
    judge, _ = attributes.load_for(avatars)
    yardstick = claims.Yardstick(judge, avatars, 16)
    for kind in ("seen in training", "held out of training"):
        asked = yardstick.asked(200, rng.random((200, captions.DRAWS)), unseen=kind.startswith("held"))
        rows = yardstick.beside(drawn, asked, seed)
        print(f"captions of combinations {kind}:\n{claims.HEADING}")
        print("\n".join(row.line(name) for name, row in rows.items()))
    viz.save_grid(out, np.concatenate([drawn([text] * 8) for text in SHOWN]), columns=8, scale=4)
    print("rows of the picture: " + " | ".join(SHOWN))
    print(f"faces: {out}")


if __name__ == "__main__":
    main()
