"""Learning rates from too small to diverging, the same GAN and the same number of steps.

Too small a rate leaves samples where they started, too large a one throws them about or out of the finite numbers.

Run it:  python -m minigan.examples.44_diverging_rates --steps 400
"""

import click
import numpy as np

from minigan.gan.toy import ToyTrainer, options_for
from minigan.gan.toy import data as toydata
from minigan.gan.toy.viz import save_picture
from minigan.gan.train import TrainingError


@click.command()
@click.option("--steps", default=400, show_default=True, help="Generator steps.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", default="rates.png", show_default=True, help="PNG of the best run.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Print the exact Wasserstein distance that each rate reaches."""
    best = (np.inf, None)
    for lr in (1e-6, 1e-4, 1e-3, 1e-1, 1e18):
        settings = {"steps": steps, "seed": seed, "device": device, "width": 64, "depth": 2, "batch_size": 128}
        trainer = ToyTrainer(options_for("ring", "wgan-gp", **settings, lr_d=lr, lr_g=lr, falling=False))
        try:
            list(trainer.train(max(1, steps // 20)))
        except TrainingError as error:
            print(f"rate {lr:7.0e}   diverged: {error}")
            continue
        s = toydata.scores(trainer.sample(2500), trainer.points)
        print(f"rate {lr:7.0e}   W1 {s['w1']:10.4f}   {s['modes']} of 8 modes")
        best = min(best, (s["w1"], trainer), key=lambda pair: pair[0])
    save_picture(out, best[1], best[1].sample(2500), f"the best rate: W1 {best[0]:.3f}")
    print(f"the best run in {out}")


if __name__ == "__main__":
    main()
