"""A vanilla GAN loses modes of the ring; packing and unrolling keep all eight.

    plain     G learns ten times as fast as D: it runs to where D is highest now, D follows, G runs on
    packing   D judges m samples together: m equal ones give a collapsed G away            (Lin et al. 2018)
    unrolled  G minimises its loss behind k further steps of D, differentiated through     (Metz et al. 2017)

A mode is held if at least 1 % of the samples have it as their nearest one.

Run it:  python -m minigan.examples.41_tricks_against_collapse --steps 2400 --seeds 3
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.toy import ToyTrainer, options_for
from minigan.gan.toy import data as toydata

RATES = {"lr_d": 1e-4, "lr_g": 1e-3, "average": 0.0, "unroll": 5, "unroll_lr": 0.03}
NETS = {"width": 64, "depth": 2, "batch_size": 128, "latent": 16}


def held(samples: np.ndarray, modes: np.ndarray) -> int:
    """Modes that are the nearest one of at least 1 % of the samples."""
    nearest = np.linalg.norm(samples[:, None] - modes, axis=2).argmin(1)
    return int((np.bincount(nearest, minlength=len(modes)) >= len(samples) / 100).sum())


@click.command()
@click.option("--steps", default=2400, show_default=True, help="Generator steps.")
@click.option("--seeds", default=1, show_default=True, help="Runs of each.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", default="tricks.png", show_default=True, help="PNG of the first seed's samples.")
def main(steps: int, seeds: int, device: str, out: str) -> None:
    """Train the same GAN three times a seed and compare the modes held along the last half of training."""
    figure, axes = panels(3, 4)
    for axis, trick in zip(axes, ("plain", "packing", "unrolled"), strict=True):
        for seed in range(seeds):
            settings = {"steps": steps, "seed": seed, "device": device, **RATES, **NETS}
            trainer = ToyTrainer(options_for("ring", "non-saturating", trick, **settings))
            modes, counts = trainer.points.modes, []
            for step in trainer.train(max(1, steps // 8)):
                samples = trainer.sample(toydata.SAMPLES)
                counts.append(held(samples, modes))
                if seed == 0 and step > steps // 2:
                    axis.scatter(*samples[:400].T, s=3, label=f"step {step}")
            last = counts[len(counts) // 2 :]
            distance = toydata.scores(samples, trainer.points)["w1"]
            print(f"{trick:<9} seed {seed}: modes held, of 8, at {len(last)} looks {last}, worst {min(last)};"
                  f" W1 at the end {distance:.3f}", flush=True)  # fmt: skip
        axis.scatter(*modes.T, s=60, facecolors="none", edgecolors="k")
        axis.legend(loc="center", fontsize=8)
        axis.set_title(trick)
    save(figure, out)


if __name__ == "__main__":
    main()
