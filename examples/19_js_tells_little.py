"""A strong D finds JS = ln 2 for a weak and for a strong generator alike; the Wasserstein distance tells them apart.

    JS from a trained D:  ln 2 + V/2,  V = E ln D(x) + E ln(1 - D(Gz))

Run it:  python -m minigan.examples.19_js_tells_little --steps 400
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.functional import softplus
from minigan.gan.theory.divergences import w1


@click.command()
@click.option("--steps", default=400, show_default=True, help="Discriminator steps.")
@device_option
@click.option("--out", default="js_tells_little.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Data on a circle; generators that draw a circle too, off by 0.1, 0.4, 1 and 2: no two overlap."""
    numbers, offsets, rows = np.random.default_rng(0), (0.1, 0.4, 1.0, 2.0), []

    def directions() -> np.ndarray:
        angle = numbers.uniform(0, 2 * np.pi, 256)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    for offset in offsets:
        mg.manual_seed(0)
        layers = nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        d = nn.Sequential(*layers).to(device)
        adam = optim.Adam(d.parameters(), lr=5e-3)
        for _ in range(steps):
            real, fake = (mg.tensor(r * directions(), dtype=mg.float32) for r in (1, 1 + offset))
            loss = softplus(-d(real)).mean() + softplus(d(fake)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        unit = directions()  # the same ones for both: the distance of the circles, not of two draws
        rows.append((np.log(2) - loss.item() / 2, w1(unit, (1 + offset) * unit)))
        print(f"off by {offset:3.1f}: JS by D {rows[-1][0]:.4f} (ln 2 = {np.log(2):.4f})   exact W1 {rows[-1][1]:.4f}")
    figure, (axis,) = panels(1, 6)
    axis.plot(offsets, rows, "o-", label=["JS as a trained D sees it", "exact W1"])
    axis.axhline(np.log(2), color="k", linestyle=":", label="ln 2")
    axis.set_xlabel("how far the generator is from the data")
    axis.set_ylabel("distance")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
