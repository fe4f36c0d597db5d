"""A loop in main, as scripts have it: relativistic, with gradients taken by mg.grad."""

import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.functional import softplus


def main(epochs=50):
    mg.manual_seed(2)
    rng = np.random.default_rng(7)
    xs = rng.normal(size=(200, 2)).astype(np.float32) @ np.array([[1.0, 0.4], [0.0, 0.6]], np.float32)
    net_g = nn.Sequential(nn.Linear(2, 24), nn.SiLU(), nn.Linear(24, 2))
    net_d = nn.Sequential(nn.Linear(2, 24), nn.SiLU(), nn.Linear(24, 1))
    g_params, d_params = list(net_g.parameters()), list(net_d.parameters())
    g_optim, d_optim = optim.Adam(g_params, 5e-4), optim.Adam(d_params, 5e-4)
    for epoch in range(epochs):
        x = mg.tensor(xs[rng.integers(0, 200, 25)])
        with mg.no_grad():
            fake = net_g(mg.randn(25, 2))
        loss_d = softplus(net_d(fake) - net_d(x)).mean()
        for p, grad in zip(d_params, mg.grad(loss_d, d_params), strict=True):
            p.grad = grad
        d_optim.step()
        fake = net_g(mg.randn(25, 2))
        loss_g = softplus(net_d(x).detach() - net_d(fake)).mean()
        for p, grad in zip(g_params, mg.grad(loss_g, g_params), strict=True):
            p.grad = grad
        g_optim.step()
        if epoch % 10 == 0:
            print(epoch, loss_d.item(), loss_g.item())


if __name__ == "__main__":
    main()
