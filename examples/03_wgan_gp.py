"""The whole of WGAN-GP on handwritten digits (Gulrajani et al. 2017, algorithm 1).

    critic:     minimise  E f(G(z)) - E f(x) + lambda E[(||grad f(x_hat)||_2 - 1)^2],   x_hat = eps x + (1 - eps) G(z)
    generator:  minimise  -E f(G(z))

Run it:  python -m minigan.examples.03_wgan_gp --steps 300      (a minute or two; `minigan train` does it properly)
"""

import click

import minigan as mg
from minigan import data, nn, optim, viz

LATENT, BATCH, N_CRITIC, LAMBDA = 64, 64, 5, 10.0


def generator() -> nn.Module:
    """z (N, 64, 1, 1) -> 128 x 4 x 4 -> 64 x 8 x 8 -> 32 x 16 x 16 -> 1 x 32 x 32."""
    return nn.Sequential(
        nn.ConvTranspose2d(LATENT, 128, 4, 1, 0, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1),
        nn.Tanh(),
    )


def critic() -> nn.Module:
    """1 x 32 x 32 -> 32 x 16 x 16 -> 64 x 8 x 8 -> 128 x 4 x 4 -> 1; no batch norm, the penalty is per sample."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 1, 4),
        nn.Flatten(),
    )


def gradient_penalty(f: nn.Module, real: mg.Tensor, fake: mg.Tensor) -> mg.Tensor:
    """E[(||grad f(x_hat)||_2 - 1)^2]: create_graph records the inner gradient, so that the outer one can pass through
    it."""
    eps = mg.rand(BATCH, 1, 1, 1)  # one number a sample, not one a batch
    x_hat = (eps * real + (1 - eps) * fake).detach().requires_grad_()
    (slope,) = mg.grad(f(x_hat).sum(), x_hat, create_graph=True)
    norm = slope.safe_norm((1, 2, 3))  # over all axes but the batch
    return ((norm - 1) ** 2).mean()


@click.command()
@click.option("--steps", default=300, show_default=True, help="Generator steps.")
@click.option("--out", default="wgan_gp.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, out: str, seed: int) -> None:
    """Train, print the critic's estimate of the Wasserstein distance, and draw samples."""
    mg.manual_seed(seed)
    g, f = generator(), critic()
    optim_g = optim.Adam(g.parameters(), lr=2e-4, betas=(0.0, 0.9))
    optim_f = optim.Adam(f.parameters(), lr=2e-4, betas=(0.0, 0.9))
    batches = data.Loader(data.load("digits"), BATCH, seed, size=32)

    for step in range(1, steps + 1):
        for _ in range(N_CRITIC):
            real = mg.Tensor(next(batches)[0])
            with mg.no_grad():  # the generator is not trained here
                fake = g(mg.randn(BATCH, LATENT, 1, 1))
            estimate = f(real).mean() - f(fake).mean()
            loss = -estimate + LAMBDA * gradient_penalty(f, real, fake)
            optim_f.zero_grad()
            loss.backward()
            optim_f.step()

        f.requires_grad_(False)  # the critic is not trained here: no gradient of its weights is computed
        loss_g = -f(g(mg.randn(BATCH, LATENT, 1, 1))).mean()
        optim_g.zero_grad()
        loss_g.backward()
        optim_g.step()
        f.requires_grad_(True)

        if step % 25 == 0 or step == steps:
            print(f"step {step:4d}   W estimate {estimate.item():7.3f}   G loss {loss_g.item():7.3f}")

    g.eval()
    with mg.no_grad():
        viz.save_grid(out, g(mg.randn(64, LATENT, 1, 1)).numpy(), scale=2)
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main()
