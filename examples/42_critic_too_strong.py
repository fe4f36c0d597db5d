"""A discriminator that is too strong: the better it is, the smaller minimax's gradient for G beside other losses'.

    minimax G: ln(1 - D(Gz)),  d/dt = -D(Gz) -> 0 with D(Gz);   non-saturating G: -ln D(Gz),  d/dt = D(Gz) - 1 -> -1
    Wasserstein with gradient penalty: the slope of f is held near 1, however long f trains

G stands still while D trains on; after each spell the norm of G's weight gradient is measured (Arjovsky & Bottou 2017).

Run it:  python -m minigan.examples.42_critic_too_strong --steps 500
"""

import click

from minigan.gan.toy import ToyTrainer, options_for
from minigan.gan.toy.viz import save_picture


@click.command()
@click.option("--steps", default=500, show_default=True, help="Critic steps.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", default="too_strong.png", show_default=True, help="PNG of the last critic's landscape.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Print the generator's gradient against the number of critic steps, for three losses."""
    for system in ("minimax", "non-saturating", "wgan-gp"):
        settings = {"lr_g": 1e-30, "lr_d": 1e-3, "seed": seed, "device": device, "width": 64, "depth": 2}
        trainer = ToyTrainer(options_for("ring", system, **settings))
        norms = []
        for k in range(steps + 1):
            if k % max(1, steps // 4) == 0:
                norms.append(trainer.generator_step()["g_weight_gradient"].item())
            trainer.real.assign(trainer.pool[k * 256 % 90_000 :][:256])
            trainer.critic_step()
        print(
            f"{system:<15} |dL_G/dw| {'  '.join(f'{n:9.2e}' for n in norms)}   last / first {norms[-1] / norms[0]:.2g}"
        )
    save_picture(out, trainer, trainer.sample(1000), "a generator that stood still, and the critic's advice")
    print(f"landscape in {out}")


if __name__ == "__main__":
    main()
