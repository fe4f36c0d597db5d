"""What the image examples share: samples of a generator, and what an independent classifier says of them."""

from __future__ import annotations

import numpy as np

import minigan as mg
from minigan import data
from minigan.gan.metrics import attributes, classifier
from minigan.gan.metrics import report as metrics


def samples(g, latent: int, count: int, batch: int = 100) -> np.ndarray:
    """`count` images (count, C, S, S) of a generator in evaluation mode, for fresh latents."""
    g.eval()
    with mg.no_grad():
        images = [g(mg.randn(min(batch, count - i), latent)).to("cpu").numpy() for i in range(0, count, batch)]
    g.train()
    return np.concatenate(images)


def by_class(images: np.ndarray, name: str = "digits") -> str:
    """One line: classes present, confident samples, Frechet distance, by the classifier of a set with classes."""
    model, record = classifier.load(name)
    report = metrics.evaluate(images, model, data.load(name))
    return f"judged by a classifier right on {record['held_out_accuracy']:.1%} of held-out images: {report.line()}"


def by_attributes(images: np.ndarray, name: str = "avatars") -> str:
    """Precision and recall on the features of the classifier of a set's attributes."""
    dataset = data.load(name)
    model, record = attributes.load_for(dataset)
    right = np.mean(list(record["held_out_accuracy"].values()))
    report = metrics.examine(images, model, dataset, groups=attributes.groups(dataset).values())
    return f"judged by a classifier right on {right:.1%} of held-out images' attributes: {report.line()}"
