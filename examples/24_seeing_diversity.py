"""Minibatch features: one number tells a collapsed batch from a diverse one, where single samples look right.

    o_k(x_i) = sum_j exp(-||M_ik - M_jk||);   the lecture: the mean L2 distance of a sample to the rest of its batch

Run it:  python -m minigan.examples.24_seeing_diversity
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import panels, save
from minigan.gan.tricks import MinibatchDiscrimination, pack, pairwise_distance


@click.command()
@click.option("--out", default="seeing_diversity.png", show_default=True)
def main(out: str) -> None:
    """Batches that hold 1 to 8 modes of a ring; every sample in them is a perfect one."""
    mg.manual_seed(0)
    numbers, layer, rows = np.random.default_rng(0), MinibatchDiscrimination(2, 8, 4), []
    for modes in range(1, 9):
        angle = 2 * np.pi * numbers.integers(modes, size=64) / 8
        ring = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.01 * numbers.standard_normal((64, 2))
        x = mg.tensor(ring, dtype=mg.float32)
        pairs = pack(x, 2).numpy()  # PacGAN's critic sees two at once: equal halves give a collapse away
        equal = (np.linalg.norm(pairs[:, :2] - pairs[:, 2:], axis=1) < 0.1).mean()
        rows.append((modes, pairwise_distance(x).mean().item(), layer(x)[:, 2:].mean().item() / 63, equal))
        print(f"{modes} modes: mean distance {rows[-1][1]:.3f}   closeness {rows[-1][2]:.3f}   equal pairs {equal:.0%}")
    figure, (axis,) = panels(1, 6)
    modes, *curves = np.array(rows).T
    for name, curve in zip(("mean L2 distance", "minibatch closeness", "equal pairs (packing)"), curves, strict=True):
        axis.plot(modes, curve, "o-", label=name)
    axis.set_xlabel("modes in the batch")
    axis.set_ylabel("mean over the batch")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
