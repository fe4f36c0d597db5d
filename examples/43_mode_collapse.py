"""Mode collapse on purpose: a generator that learns much faster than its discriminator runs after it, mode by mode.

    lr_G = 20 lr_D: for a D that hardly moves, the best G puts all samples where D is highest

Run it:  python -m minigan.examples.43_mode_collapse --steps 1500
"""

import click

from minigan.gan.toy import ToyTrainer, options_for
from minigan.gan.toy import data as toydata
from minigan.gan.toy.viz import save_picture


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Generator steps.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", default="collapse.png", show_default=True, help="PNG of samples and landscape.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Print where the samples are and how far they spread; the ring's spread is 0.71."""
    settings = {"steps": steps, "seed": seed, "device": device, "width": 64, "depth": 2, "batch_size": 128}
    rates = {"lr_d": 2e-4, "lr_g": 4e-3, "falling": False}
    trainer = ToyTrainer(options_for("ring", "non-saturating", **settings, **rates))
    for step in trainer.train(max(1, steps // 12)):
        samples = trainer.sample(2500, average=False)
        (x, y), s = samples.mean(0), toydata.mode_scores(samples, trainer.points.modes, trainer.points.sigma)
        print(
            f"step {step:5d}   centre ({x:5.2f}, {y:5.2f})  spread {samples.std(0).mean():.3f}  {s['modes']} of 8 modes"
        )
    save_picture(out, trainer, samples, f"collapse: {s['modes']} of 8 modes")
    print(f"samples and landscape in {out}")


if __name__ == "__main__":
    main()
