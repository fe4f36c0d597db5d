"""The f-GAN table: one Gaussian for a mixture of two, fitted by five divergences, each judged by all five.

    max_T E_P T(x) - E_Q f*(T(Gz)) <= D_f(P || Q);   G(z) = mu + sigma z minimises it

Run it:  python -m minigan.examples.20_fgan_table --steps 600
"""

import click

from minigan.examples._figure import device_option, panels, save
from minigan.gan.theory import fgan
from minigan.gan.theory.divergences import normal


@click.command()
@click.option("--steps", default=600, show_default=True, help="Generator steps of each row; 0 for exact optima only.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="fgan_table.png", show_default=True)
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Print the table with exact optima, then with trained ones, and draw the five Gaussians."""
    figure, (axis,) = panels(1, 7)
    axis.plot(fgan.GRID, fgan.mixture(fgan.GRID), "k", label="the mixture")
    print(f"{'exact':12} {'mu':>7} {'sigma':>7}   " + " ".join(f"{n:>10}" for n in fgan.NAMES))
    for name in fgan.NAMES:
        mu, sigma, _ = fgan.exact(name)
        row = [fgan.divergence(column, mu, sigma) for column in fgan.NAMES]
        print(f"{name:12} {mu:7.4f} {sigma:7.4f}   " + " ".join(f"{v:10.4f}" for v in row))
        axis.plot(fgan.GRID, normal(fgan.GRID, mu, sigma), label=name)
    if steps:
        print("trained")
        for name in fgan.NAMES:
            fit = fgan.train(name, seed, steps)
            print(f"{name:12} {fit.mu:7.4f} {fit.sigma:7.4f}   " + " ".join(f"{v:10.4f}" for v in fit.row.values()))
    axis.set_xlim(-5, 7)
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
