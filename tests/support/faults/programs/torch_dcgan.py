"""The tutorial's DCGAN step in PyTorch."""

import torch
from torch import nn

torch.manual_seed(0)
nz, n = 6, 10
data = torch.rand(80, 1, 8, 8) * 2 - 1
netG = nn.Sequential(
    nn.ConvTranspose2d(nz, 12, 2), nn.BatchNorm2d(12), nn.ReLU(), nn.ConvTranspose2d(12, 8, 4, 2, 1), nn.ReLU(),
    nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh(),
)  # fmt: skip
netD = nn.Sequential(
    nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 12, 4, 2, 1), nn.BatchNorm2d(12), nn.LeakyReLU(0.2),
    nn.Conv2d(12, 1, 2), nn.Flatten(0),
)  # fmt: skip
criterion = nn.BCEWithLogitsLoss()
optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
losses = []


def step():
    netD.zero_grad()
    real = data[torch.randint(0, 80, (n,))]
    fake = netG(torch.randn(n, nz, 1, 1))
    errD = criterion(netD(real), torch.ones(n))
    errD.backward()
    errD_fake = criterion(netD(fake.detach()), torch.zeros(n))
    errD_fake.backward()
    optimizerD.step()
    netG.zero_grad()
    errG = criterion(netD(fake), torch.ones(n))
    errG.backward()
    optimizerG.step()
    losses.append(errG.item())
