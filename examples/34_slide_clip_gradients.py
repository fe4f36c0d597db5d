"""The slide says: "we clip the gradients". The computation says: clipped gradients bound nothing, clipped weights do.

    WGAN: w <- clip(w, -c, c). And the penalty is SQUARED, at x_hat between real and fake, not unsquared at real x

Run it:  python -m minigan.examples.34_slide_clip_gradients --steps 100
"""

import click
import numpy as np

import minigan as mg
from minigan import optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.penalties import penalty


@click.command()
@click.option("--steps", default=100, show_default=True, help="Critic steps.")
@device_option
@click.option("--out", default="slide_clip_gradients.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Claim, computation, verdict."""
    real, fake = mg.ones(64, 1), -mg.ones(64, 1)
    figure, (left, right) = panels(2)
    for clip in ("gradients", "weights"):
        w, path = mg.zeros(1, 1, requires_grad=True), []
        sgd = optim.SGD([w], lr=0.05)
        for _ in range(steps):
            w.grad = mg.grad((fake @ w).mean() - (real @ w).mean(), w)[0]
            if clip == "gradients":
                optim.clip_grad_value_([w], 0.01)
            sgd.step()
            if clip == "weights":
                optim.clip_weights_([w], 0.01)
            path.append(abs(w.item()))
        print(f"clip {clip:9}: slope of f after {steps} steps {path[-1]:.4f}")
        left.semilogy(path, label=f"clip {clip}")
    left.set_title("slope of f(x) = w x")
    left.set_xlabel("critic step")
    left.set_ylabel("|slope|")
    left.legend()
    # A critic with slope 1 at the reals and 3 in between: only the penalty in between sees it.
    x = np.linspace(-1, 1, 200)
    f = lambda t: (t + 2 * (0.25 - t * t).relu()).sum(1)  # noqa: E731
    at_real = abs(penalty("r1")(f, real, fake)[1].item() - 1)
    between = penalty("two-sided")(f, real, fake, mg.rand(64, 1))[0].item()
    print(f"unsquared at real x: {at_real:.4f};  squared between real and fake: {between:.4f}")
    print("verdict: weights are clipped; and a penalty at reals alone misses slopes where the fakes have to travel")
    right.plot(x, f(mg.tensor(x[:, None])).numpy())
    right.set_title("a critic that is steep only in between")
    right.set_xticks([-1, -0.5, 0, 0.5, 1])
    right.set_xlabel("x: fakes at −1, reals at 1")
    right.set_ylabel("f(x)")
    save(figure, out)


if __name__ == "__main__":
    main()
