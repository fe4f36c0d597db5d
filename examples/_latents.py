"""What the examples of latents share: a generator, of a run or trained in some ten seconds, and its judges."""

from __future__ import annotations

import click

from minigan import data
from minigan.gan.latents import Reader
from minigan.gan.run import load_trainer
from minigan.gan.systems import options_for, trainer_for


def run_options(command):
    """The options --run, --steps and --seed."""
    command = click.option("--seed", default=0, show_default=True, help="Of the training and of the latents.")(command)
    command = click.option("--steps", default=2000, show_default=True, help="Steps of training, without a run.")(
        command
    )
    return click.option("--run", help="A run of avatars to take instead: a folder, or latest.")(command)


def generator_of(run: str | None, steps: int, seed: int):
    """(trainer, reader): the system of a run, or a VAE of 16 x 16 avatars after so many steps, and who reads images."""
    if run:
        trainer, _ = load_trainer(run)
    else:
        avatars = data.load("avatars")
        trainer = trainer_for(options_for("vae", data="avatars", size=16, steps=steps, seed=seed), avatars)
        for _ in range(steps):
            trainer.step()
    return trainer, Reader(trainer.dataset.half("test"), trainer.options.data)
