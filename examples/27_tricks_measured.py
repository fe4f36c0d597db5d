"""Tricks measured: one trick at a time against the plain GAN, at a budget at which the plain one has learnt the ring.

    smoothing  -0.9 ln D(x) - 0.1 ln(1 - D(x)) - ln(1 - D(Gz))      r1     + gamma/2 E ||grad D(x)||^2
    packing    D judges two points at once                         uniform   z ~ U[0, 1]^2 in place of N(0, I)

Means say little of three runs: the verdict is by Welch's 95 % interval of the difference in coverage, the share of the
ring's mass that has good samples. All of the tricks:  minigan scoreboard --tricks

Run it:  python -m minigan.examples.27_tricks_measured --steps 3000
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.toy import ToyTrainer, compare
from minigan.gan.toy import data as toydata
from minigan.gan.toy.cells import difference

TRICKS = ("plain", "smoothing", "packing", "r1", "uniform")


def run(trick: str, steps: int, seed: int, device: str) -> tuple[np.ndarray, dict]:
    """2,500 samples of the trained generator, in the ring's units, and their scores."""
    trainer = ToyTrainer(compare.options(trick, seed, steps=steps, device=device))
    for _ in range(steps):
        trainer.step()  # D:  row.discriminator(D(x), D(Gz)), + penalty;   G:  row.generator(D(Gz));   Adam
    samples = trainer.sample(toydata.SAMPLES)
    return samples, toydata.scores(samples, trainer.points, floor=False)


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Updates of each player.")
@click.option("--seeds", default=3, show_default=True, help="Runs of each trick, from seed 11 on.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", default="tricks_measured.png", show_default=True)
def main(steps: int, seeds: int, device: str, out: str) -> None:
    """Print each trick's figures, mean over seeds, and its verdict; draw the first seed's samples."""
    figure, axes = panels(len(TRICKS), 2.6, 2.9)
    modes, plain = toydata.load("ring").modes, np.empty(0)
    print(f"{steps} updates, mean of {seeds} seeds; of 8 modes, up is better but in W1")
    print(f"{'':<12}    held   high quality   coverage      W1   coverage against plain")
    for axis, trick in zip(axes, TRICKS, strict=True):
        runs = [run(trick, steps, seed, device) for seed in range(11, 11 + seeds)]
        hold, quality, coverage, distance = (
            np.array([scores[key] for _, scores in runs], float) for key in ("held", "high_quality", "coverage", "w1")
        )
        words = ""
        if trick == "plain":
            plain = coverage
        elif seeds > 1:
            ends = difference(coverage, plain)
            words = f"{compare.verdict(ends, 1)} ({ends[0]:+.3f} to {ends[1]:+.3f})"
        print(f"{trick:<12} {hold.mean():7.1f} {quality.mean():14.1%} {coverage.mean():10.3f} {distance.mean():7.3f}   "
              f"{words}", flush=True)  # fmt: skip
        axis.scatter(*modes.T, s=30, color="#d9721e")
        axis.scatter(*runs[0][0].T, s=1)
        axis.set(title=f"{trick}: coverage {runs[0][1]['coverage']:.2f}", xlabel="x", ylabel="y")
        axis.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4))
    print("real points hold 8 at 98.9% high quality, coverage 0.98; a blob of their spread holds 0 at 0.4%")
    save(figure, out)


if __name__ == "__main__":
    main()
