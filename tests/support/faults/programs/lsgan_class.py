"""Least squares, in a class of its own, on images of 6 x 6."""

import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.functional import mse_loss


class LSGAN:
    def __init__(self, seed=1):
        mg.manual_seed(seed)
        self.latent, self.batch = 6, 10
        self.generator = nn.Sequential(
            nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 36), nn.Tanh(), nn.Unflatten(1, (1, 6, 6))
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(), nn.Linear(36, 24), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Linear(24, 1)
        )
        self.g_optimizer = optim.Adam(self.generator.parameters(), lr=2e-4)
        self.d_optimizer = optim.Adam(self.discriminator.parameters(), lr=4e-4)
        self.rng = np.random.default_rng(seed)
        self.images = self.rng.integers(0, 256, (60, 1, 6, 6)).astype(np.uint8)

    def batch_of_images(self):
        rows = self.rng.integers(0, len(self.images), self.batch)
        return mg.tensor(self.images[rows].astype(np.float32) / 127.5 - 1)

    def noise(self):
        return mg.randn(self.batch, self.latent)

    def train_step(self):
        valid, invalid = mg.ones(self.batch, 1), mg.zeros(self.batch, 1)
        real_images = self.batch_of_images()
        self.d_optimizer.zero_grad()
        with mg.no_grad():
            fake_images = self.generator(self.noise())
        d_loss = 0.5 * mse_loss(self.discriminator(real_images), valid)
        d_loss = d_loss + 0.5 * mse_loss(self.discriminator(fake_images), invalid)
        d_loss.backward()
        self.d_optimizer.step()
        self.g_optimizer.zero_grad()
        generated = self.generator(self.noise())
        g_loss = 0.5 * mse_loss(self.discriminator(generated), valid)
        g_loss.backward(inputs=list(self.generator.parameters()))
        self.g_optimizer.step()
        return {"d": d_loss.item(), "g": g_loss.item()}


gan = LSGAN()
step = gan.train_step
