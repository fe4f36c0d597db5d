"""Packing and unrolling against the loss of modes, on the ring.

    packing   D judges m samples together: m equal ones give a collapsed G away            (Lin et al. 2018)
    unrolled  G minimises its loss behind k further steps of D, differentiated through     (Metz et al. 2017)

Run it:  python -m minigan.examples.41_tricks_against_collapse --steps 2000
"""

import click

from minigan.gan import toydata
from minigan.gan.toy import ToyTrainer, options_for
from minigan.gan.toyviz import save_picture


@click.command()
@click.option("--steps", default=2000, show_default=True, help="Generator steps.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", default="tricks.png", show_default=True, help="PNG of the unrolled run's samples.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Train the same GAN three times and compare the modes that each finds."""
    for trick in ("plain", "packing", "unrolled"):
        settings = {"steps": steps, "seed": seed, "device": device, "width": 64, "depth": 2, "batch_size": 128}
        trainer = ToyTrainer(options_for("ring", "non-saturating", trick, **settings))
        for step in trainer.train(max(1, steps // 4)):
            s = toydata.mode_scores(trainer.sample(2500), trainer.points.modes, trainer.points.sigma)
            print(f"{trick:<9} step {step:5d}   {s['modes']} of 8 modes   {s['high_quality']:.1%} high quality")
        print(f"{trick:<9} reverse KL {s['reverse_kl']:.3f}")
    save_picture(out, trainer, trainer.sample(2500), f"ring, unrolled: {s['modes']} of 8 modes")
    print(f"samples and landscape in {out}")


if __name__ == "__main__":
    main()
