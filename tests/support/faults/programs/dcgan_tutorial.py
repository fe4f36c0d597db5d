"""DCGAN in the manner of the well-known tutorial: three backward passes, batch norm in both networks."""

import numpy as np

import minigan as mg
from minigan import functional as F
from minigan import nn, optim

mg.manual_seed(0)
nz, batch_size = 8, 12
pictures = np.random.default_rng(0).uniform(-1, 1, (96, 1, 8, 8)).astype(np.float32)
order = np.random.default_rng(5)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, 16, 2, 1, 0, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, 8, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8, 16, 4, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16, 1, 2, 1, 0, bias=False),
        )

    def forward(self, x):
        return self.main(x).reshape(-1)


netG, netD = Generator(), Discriminator()
optimizerD = optim.Adam(netD.parameters(), lr=0.0002, betas=(0.5, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=0.0002, betas=(0.5, 0.999))
real_label, fake_label = 1.0, 0.0
G_losses, D_losses = [], []


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, mg.full((batch_size,), target))


def train_step():
    netD.zero_grad()
    real = mg.tensor(pictures[order.choice(96, batch_size, replace=False)])
    errD_real = bce(netD(real), real_label)
    errD_real.backward()
    noise = mg.randn(batch_size, nz, 1, 1)
    fake = netG(noise)
    errD_fake = bce(netD(fake.detach()), fake_label)
    errD_fake.backward()
    optimizerD.step()
    netG.zero_grad()
    output = netD(fake)
    errG = bce(output, real_label)
    errG.backward()
    optimizerG.step()
    G_losses.append(errG.item())
    D_losses.append(errD_real.item() + errD_fake.item())
    return errD_real.item(), errG.item()
