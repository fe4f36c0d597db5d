"""Evolution must be smooth: along the same steps of G towards the data, W1 falls evenly, JS hardly until the end.

    G is N(theta, s^2), the data N(0, s^2), s = 0.1:   W1 = theta, with slope 1;   JS = ln 2, no slope, until they meet

A generator that is better, but not yet good, must be told so. G_k, k = 0, ..., 10, steps evenly from theta = 2 to 0;
then theta descends each distance by itself: theta <- theta - eta d/dtheta, with the slope by the engine.

Run it:  python -m minigan.examples.46_smooth_evolution --steps 400
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import panels, save

S, START, RATE = 0.1, 2.0, 0.05
X = np.linspace(-1.5, 3.5, 5001)
DX = X[1] - X[0]


def density(theta) -> mg.Tensor:
    """N(theta, s^2) on the grid."""
    return (-0.5 * ((mg.tensor(X) - theta) / S) ** 2).exp() / (S * np.sqrt(2 * np.pi))


def js(theta) -> mg.Tensor:
    """JS of N(theta, s^2) and the data; 1e-300 stands for densities that are 0 in float64."""
    p, q = density(0.0) + 1e-300, density(theta) + 1e-300
    return ((p * (2 * p / (p + q)).log()).sum() + (q * (2 * q / (p + q)).log()).sum()) * DX / 2


def w1(theta) -> mg.Tensor:
    """The integral of |F_P - F_Q|."""
    return (((density(theta) - density(0.0)) * DX).cumsum(0).abs()).sum() * DX


def at(distance, theta: float) -> tuple[float, float]:
    """(the distance, its slope) at theta."""
    point = mg.tensor(theta, dtype=mg.float64, requires_grad=True)
    value = distance(point)
    return value.item(), mg.grad(value, point)[0].item()


@click.command()
@click.option("--steps", default=400, show_default=True, help="Steps of descent.")
@click.option("--out", default="smooth_evolution.png", show_default=True)
def main(steps: int, out: str) -> None:
    """The two distances along the even path, and two descents."""
    figure, (left, right) = panels(2)
    thetas, falls = np.linspace(START, 0, 11), {}
    rows = {"W1": [at(w1, t) for t in thetas], "JS": [at(js, t) for t in thetas]}
    for k, theta in enumerate(thetas):
        print(f"G_{k}: theta {theta:.1f}   " + "   ".join(
            f"{name} {values[k][0]:.4f}, slope {values[k][1] + 0:.4f}" for name, values in rows.items()))  # fmt: skip
    for name, distance in (("W1", w1), ("JS", js)):
        values = np.array(rows[name])[:, 0]
        falls[name] = -np.diff(values) / values[0]
        left.plot(values / values[0], "o-", label=f"{name} / its start")
        path = [START]
        for _ in range(steps):
            path.append(path[-1] - RATE * at(distance, path[-1])[1])
            if abs(path[-1]) < RATE / 2:
                break
        right.plot(path, label=f"descent of {name}")
        print(f"{name}: of its whole fall the first step takes {falls[name][0]:.1%}, the last {falls[name][-1]:.1%};"
              f" descent is at theta {path[-1]:.4f} after {len(path) - 1} steps")  # fmt: skip
    left.set_title("equal steps of G: only W1 says each is better")
    left.set_xlabel("k of G_k")
    left.set_ylabel("distance / the first one")
    right.set_title("so only W1 leads G to the data")
    right.set_xlabel("step")
    right.set_ylabel("θ")
    left.legend()
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
