"""The first Wasserstein GAN: weights clipped, RMSProp."""

import numpy as np

import minigan as mg
from minigan import nn, optim

mg.manual_seed(11)
CLIP, N_CRITIC, M = 0.01, 3, 20
samples = np.random.default_rng(2).normal(0.3, 0.2, (400, 5)).astype(np.float32)
picker = np.random.default_rng(3)

gen = nn.Sequential(nn.Linear(3, 20), nn.Tanh(), nn.Linear(20, 5))
critic = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, 1))
critic_opt = optim.RMSprop(critic.parameters(), lr=5e-5)
gen_opt = optim.RMSprop(gen.parameters(), lr=5e-5)


def clip(c):
    with mg.no_grad():
        for p in critic.parameters():
            p.clamp_(-c, c)


clip(CLIP)


def iteration():
    for _ in range(N_CRITIC):
        x = mg.tensor(samples[picker.integers(0, 400, M)])
        critic_opt.zero_grad()
        with mg.no_grad():
            x_tilde = gen(mg.randn(M, 3))
        loss = -(critic(x).mean() - critic(x_tilde).mean())
        loss.backward()
        critic_opt.step()
        clip(CLIP)
    gen_opt.zero_grad()
    g_loss = -critic(gen(mg.randn(M, 3))).mean()
    g_loss.backward(inputs=list(gen.parameters()))
    gen_opt.step()
    return loss.item(), g_loss.item()
