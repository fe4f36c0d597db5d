"""Networks to export: a small one of each system, and formulas as a network may have them between its layers."""

import numpy as np

import minigan as mg
from minigan import functional as F
from minigan.data import load
from minigan.gan.systems import SYSTEMS, options_for, trainer_for

COUNT = 100


def trainer(system):
    """A small one, in float32, of random weights that are not at their start."""
    options = options_for(system)
    settings = {"base": 2, "batch_size": 4, "seed": 5, "blocks": 1, "capture": False}
    settings = {name: value for name, value in settings.items() if name in SYSTEMS[system].takes}
    options = options_for(system, **settings)
    t = trainer_for(options, load(options.data, size=options.size))
    rng = np.random.default_rng(0)
    for network in t.networks().values():
        for p in network.parameters():
            p.data += rng.uniform(-0.1, 0.1, p.shape).astype(p.dtype)
    return t


def draw(part):
    """COUNT rows for each argument of a part."""
    rng = np.random.default_rng(1)
    return [rng.uniform(-1, 1, (COUNT, *x.shape[1:])).astype(np.float32) for x in part.inputs]


def own(network, arrays):
    with mg.no_grad():
        result = network(*map(mg.Tensor, arrays))
    return [y.numpy() for y in (result if isinstance(result, (tuple, list)) else (result,))]


QUICK = {"infogan", "gan", "hinge", "r3gan", "stargan", "text2image"}
"""Between them they have every kind of layer and of op."""


FORMULAS = {
    "log_softmax": lambda x: x.log_softmax(1),
    "extremes": lambda x: x.amax(1) - x.amin((1,)),
    "a mean and a sum": lambda x: x.mean(1, keepdim=True) + x.sum((1,), keepdim=True),
    "powers": lambda x: (x.abs() + 1) ** 0.5 + x**2 + x**3,
    "clip": lambda x: x.clamp(-0.5, 0.25),
    "slices": lambda x: mg.cat([x[:, 1:], x[:, :1], x[:, 2:3]], 1),
    "one column": lambda x: x[:, -1],
    "where": lambda x: mg.where(x > 0, x, -2 * x),
    "a constant of each row": lambda x: x + mg.full((len(x), 1), 3.0),
    "a mean over rows": lambda x: x - x.mean(0, keepdim=True) / mg.tensor(float(len(x))),
    "two new axes": lambda x: x.reshape(-1, 2, 3).permute(0, 2, 1) @ mg.ones(2, 4),
    "rsqrt, exp, log": lambda x: (x.exp() + 1).rsqrt() + (x.abs() + 1).log(),
    "softplus, sigmoid, tanh": lambda x: mg.functional.softplus(x) * x.sigmoid() + x.tanh(),
    "the largest as one hot": lambda x: mg.functional.one_hot(x.argmax(1), 6).to(x.dtype) * x,
    "expand": lambda x: x.reshape(-1, 1, 6).expand(-1, 2, 6),
    "an index array": lambda x: x[:, np.array([5, -1, 0])],
    "an index array of one": lambda x: x[:, np.array([-2])],
    "an index array before a slice": lambda x: x.reshape(-1, 2, 3)[:, np.array([[1, 0]]), :],
    "two index arrays": lambda x: x.reshape(-1, 2, 3)[:, np.array([[1], [-1], [0]]), np.array([2, -1])],
    "numbers of several types": lambda x: (x > 0) * x + x.argmax(1, keepdim=True) + (x.argmin(1) == 2).reshape(-1, 1),
    "and, or, not": lambda x: ((x > 0) & (x < 1)) * x + (~((x > 0) | (x < -1))).float() + ((x > 0) ^ (x > 1)) * 2.0,
    "pixels twice": lambda x: F.interpolate(x.reshape(-1, 1, 2, 3), scale_factor=2),
}
