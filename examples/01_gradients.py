"""A tensor, a gradient, a gradient of a gradient: the engine in one page.

    f(x) = sum x^3,    df/dx = 3 x^2,    d/dx sum(df/dx) = 6 x

Run it:  python -m minigan.examples.01_gradients
"""

import minigan as mg


def main() -> None:
    """Differentiate three times, then take the gradient of a gradient's norm, as WGAN-GP does."""
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)

    y = (x**3).sum()  # applying ops to x records a graph: pow, then sum
    (first,) = mg.grad(y, x, create_graph=True)  # walking it back records another
    (second,) = mg.grad(first.sum(), x, create_graph=True)
    (third,) = mg.grad(second.sum(), x)
    print("f       =", y.item())
    print("f'      =", first.tolist(), "= 3 x^2")
    print("f''     =", second.tolist(), "= 6 x")
    print("f'''    =", third.tolist(), "= 6")

    # A critic f(x) = w . tanh(x), its slope in x, and how the penalty on that slope pulls at w.
    w = mg.tensor([0.5, -1.0, 2.0], requires_grad=True)
    (slope,) = mg.grad((w * x.tanh()).sum(), x, create_graph=True)  # w (1 - tanh^2 x)
    penalty = (slope.norm() - 1) ** 2  # how far the slope's length is from 1
    (pull,) = mg.grad(penalty, w)  # d/dw of a function of d/dx
    print("penalty =", round(penalty.item(), 6), " d penalty / d w =", pull.tolist())


if __name__ == "__main__":
    main()
