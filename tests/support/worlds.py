"""The smallest world that a system can live in: twelve images of 8 x 8 pixels in three classes, float64, no capture."""

from dataclasses import replace

import numpy as np

import minigan as mg
from minigan import nn
from minigan.backend import Generator
from minigan.data import DATASETS, Dataset, Info, captions
from minigan.gan.systems import SYSTEMS, options_for, trainer_for

INFO = Info(
    name="world",
    description="noise in three shades",
    licence="none",
    count=12,
    shape=(8, 8, 1),
    held_out=6,
    background=0,
    class_names=("dark", "grey", "light"),
)
WORLD = Dataset(
    info=INFO,
    images=np.random.default_rng(0).integers(0, 80, (12, 8, 8, 1)).astype(np.uint8)
    + (80 * (np.arange(12) % 3)).astype(np.uint8)[:, None, None, None],
    labels=np.arange(12) % 3,
    attributes=None,
    train=np.arange(6),
    held_out=np.arange(6, 12),
)
FACES = replace(
    WORLD,
    info=replace(
        INFO, name="faces", class_names=(), attributes=dict.fromkeys(("hat", "smile", "beard"), ("no", "yes"))
    ),
    labels=None,
    attributes=np.array([[k % 2, k // 2 % 2, k // 4 % 2] for k in range(12)]),
)
"""The same images as faces with three attributes."""


def face(facts: dict[str, str]) -> tuple[np.ndarray, list[int]]:
    """(an image (16, 16, 3), its attributes) with these facts of data/captions.py: a page, skin, and bars of colour
    where hats, glasses and hair are; where they say nothing: no, short brown hair, pale skin."""
    facts = {"glasses": "no", "beard": "no", "hat": "no", "length": "short", "smile": "no", "skin": "pale"} | facts
    hair = facts.get("hair", "brown")
    image = np.full((16, 16, 3), 255, np.uint8)
    image[5:13, 3:13] = list(bytes.fromhex("ffdeb4"))
    image[9:14, :2] = list(bytes.fromhex(captions.HAIR[hair][-1]))
    if facts["length"] == "bald":
        image[10:14, :2] = 255
    for thing, colours, rows in (("hat", captions.HAT, slice(0, 4)), ("glasses", captions.GLASSES, slice(6, 7))):
        if facts[thing] == "yes":
            image[rows, 4:12] = list(bytes.fromhex(colours[facts.get(f"{thing}_colour", "black")][0]))
    table = DATASETS["avatars"].attributes
    values = facts | {"long_hair": "yes" if facts["length"] == "long" else "no"}
    values |= {"skin": f"#{captions.SKIN[facts['skin']][0]}", "hair": f"#{captions.HAIR[hair][-1]}"}
    return image, [table[name].index(values[name]) for name in table]


FACTS = (
    {"smile": "yes", "hat": "yes", "hat_colour": "red", "length": "long"},
    {"glasses": "yes", "glasses_colour": "blue", "length": "bald"},
    {"hair": "red", "length": "long", "skin": "dark"},
    {"beard": "yes", "glasses": "yes", "hair": "green"},
    {"hat": "yes", "hat_colour": "pink", "hair": "blue", "smile": "yes"},
    {"hair": "black", "skin": "tan"},
    {"hat": "yes", "glasses": "yes", "smile": "yes", "hat_colour": "grey"},
    {"length": "long", "beard": "yes", "glasses": "yes", "glasses_colour": "green"},
    {"hair": "brown", "length": "long", "skin": "dark"},
)
"""Nine faces; the last three are of the combinations that captions.HELD_OUT names."""
_IMAGES, _VALUES = zip(*map(face, FACTS * 2), strict=True)
CAPTIONED = Dataset(
    info=replace(DATASETS["avatars"], name="captioned", count=18, held_out=9),
    images=np.stack(_IMAGES),
    labels=None,
    attributes=np.array(_VALUES),
    train=np.arange(9),
    held_out=np.arange(9, 18),
)
"""Each of them once to train on, and once held out."""

SMALL = {"size": 8, "base": 1, "batch_size": 3, "latent": 2, "capture": False, "seed": 5, "steps": 4, "average": 0.5}


def trainer(system: str, dataset: Dataset = WORLD, **changes):
    """A system's trainer on the world, in float64."""
    settings = {name: value for name, value in SMALL.items() if name in SYSTEMS[system].takes}
    return trainer_for(options_for(system, **(settings | changes)), dataset).double()


class Formula(nn.Module):
    """A network that is a formula of its inputs."""

    def __init__(self, formula) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, *inputs: mg.Tensor):
        """formula(*inputs)."""
        return self.formula(*inputs)


def stream(t, number: int) -> Generator:
    """The random numbers that a trainer's stream `number` begins with."""
    return Generator(t.options.seed, number)


def close(a: mg.Tensor, b: mg.Tensor) -> None:
    """Equal to 1e-10 of the larger one."""
    a, b = (x.detach().numpy() for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * max(1.0, np.abs(b).max()))


def gradient_of(objective: mg.Tensor, network) -> mg.Tensor | None:
    """The gradient by all of a network's parameters as one line, or None where it reaches none."""
    gradients = mg.grad(objective, list(network.parameters())) if objective.requires_grad else []
    lines = [g.reshape(-1) for g in gradients if g is not None]
    return mg.cat(lines) if lines else None


def penalty_by_hand(name: str, critic, real: mg.Tensor, fake: mg.Tensor, eps: mg.Tensor) -> mg.Tensor:
    """E (|grad D| - 1)^2 at eps x + (1 - eps) G(z), or E |grad D|^2 / 2 at x."""
    points = real if name == "r1" else eps * real + (1 - eps) * fake
    points = points.detach().requires_grad_()
    (slope,) = mg.grad(critic(points).sum(), points, create_graph=True)
    squares = mg.square(slope).sum((1, 2, 3))
    return mg.mean(squares) / 2 if name == "r1" else mg.mean(mg.square(mg.sqrt(squares) - 1))
