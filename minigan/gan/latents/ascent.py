"""Gradient ascent in the latents (DVBPR, Kang et al. 2017, section 3.3; Nguyen et al. 2016).

    maximise over z   S(G(z)) + w ln p(z)          z <- Adam's step along  dS/dG dG/dz + w d ln p / dz

S is any score of images that tensors carry a gradient of: ln p(hat | x) of a judge, or a user's own function. p is the
prior of the latents (space.py): without it z leaves the places that the generator was trained on. Null model: random
search, the best of as many draws from the prior. `study` spends half of its evaluations on draws to begin from: another
judge then reads what was asked for in twice as many images, since the way is short and fools the first judge less.

An edit by hand is the same ascent: its score is how near the image comes to the colours that were painted (edit.py).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...autograd import Tensor, grad, no_grad
from ...backend import Generator
from ...nn import Parameter
from ...ops.reduce import sum
from ...optim import Adam
from ..train import SAMPLE_STREAM, Trainer
from .space import Space, draws, space_of
from .standing import Scale, Study
from .targets import Target

Score = Callable[[Tensor], Tensor]


def ascend(
    space: Space,
    inputs: np.ndarray,
    score: Score,
    steps: int = 100,
    rate: float = 0.05,
    weight: float = 1.0,
    watch: Callable[[int, np.ndarray], None] = lambda step, z: None,
) -> np.ndarray:
    """Inputs (N, width) whose images have a higher score, from inputs (N, width); each row goes its own way.

    score: images (N, C, S, S) to (N,). weight: w, of the prior. watch(step, z) is told each z (N, d) after its step.
    Raises ValueError where the score has another shape, is not finite, or has no gradient.
    """
    z = Parameter(inputs[:, : space.latent])
    optimiser = Adam([z], rate)
    for step in range(steps):
        (prior,) = grad(sum(space.log_density(z)), [z])
        z.grad = -(slope_of(space, z, inputs, score) + weight * prior)
        optimiser.step()
        z.data[...] = space.project(z.data)
        watch(step + 1, z.data)
    return np.concatenate([z.data, inputs[:, space.latent :]], 1)


def slope_of(space: Space, z: Tensor, inputs: np.ndarray, score: Score) -> Tensor:
    """dS(G(z)) / dz (N, d) at z (N, d), which requires a gradient. Raises ValueError as `ascend` does."""
    scores = checked(score(space.images(z, inputs)), len(inputs))
    slope = grad(sum(scores), [z])[0] if scores.requires_grad else None
    if slope is None:
        raise ValueError(
            "the score has no gradient to the images; compute it from them by tensor operations alone, without detach,"
            " .data or NumPy"
        )
    return slope


def checked(scores: object, count: int) -> Tensor:
    """The scores as they are. Raises ValueError, TypeError unless they are a finite tensor (count,)."""
    if not isinstance(scores, Tensor):
        raise TypeError(f"the score of images must be a tensor ({count},), got {type(scores).__name__}")
    if scores.shape != (count,):
        raise ValueError(f"the score must be one number an image, ({count},), got {scores.shape}")
    if not np.isfinite(scores.data).all():
        raise ValueError("the score of an image is not a finite number")
    return scores


def random_search(
    space: Space, inputs: np.ndarray, score: Score, fresh: Callable[[int], np.ndarray], tries: int
) -> np.ndarray:
    """The null model: of `tries` draws for each row, the inputs (N, width) of the highest score, codes as they were.

    fresh(N): inputs (N, width) as the system draws them.
    """
    best, highest = inputs.copy(), np.full(len(inputs), -np.inf)
    for _ in range(tries):
        others = fresh(len(inputs))
        others[:, space.latent :] = inputs[:, space.latent :]
        with no_grad():
            scores = checked(score(space.generator(Tensor(others))), len(inputs)).data
        better = scores > highest
        best[better], highest[better] = others[better], scores[better]
    return best


def study(
    trainer: Trainer,
    aim: Target,
    count: int = 100,
    steps: int = 100,
    rate: float = 0.05,
    weight: float = 1.0,
    seed: int = 0,
    scale: Scale | None = None,
    show: int = 10,
) -> Study:
    """`count` ascents in a trained system, each from the best of steps / 2 draws and for the other half of the steps,
    beside random search with as many evaluations, draws of any kind, and real images.

    scale: the judge of the rows, by default the target's own. show: images of a picture's row.
    """
    space, random = space_of(trainer), Generator(seed, SAMPLE_STREAM)
    scale = scale or Scale(aim, trainer.options.size)
    start = draws(trainer, count, random)

    def best_of(tries: int) -> np.ndarray:
        return random_search(space, start, aim.score, lambda n: draws(trainer, n, random), tries)

    half = steps // 2
    inputs = {
        "ascent": ascend(space, best_of(half) if half else start, aim.score, steps - half, rate, weight),
        "random search": best_of(steps),
        "any draws": start,
    }
    images = {name: trainer.sample(Tensor(x)) for name, x in inputs.items()}
    rows = {name: scale.row(images[name], x[:, : space.latent]) for name, x in inputs.items()}
    if (real := scale.real(count)) is not None:
        rows["real images"] = scale.row(real)
    titles = {
        "any draws": "any draws",
        "ascent": f"the best of {half} draws, and {steps - half} steps towards {aim.text}",
        "random search": f"the best of {steps} draws",
    }
    return Study(rows, {title: images[name][None, :show] for name, title in titles.items()}, (scale.line,))
