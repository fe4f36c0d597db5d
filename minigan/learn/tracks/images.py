"""Find the bug: a GAN of small images with batch norm, from the pixels to the sheet, told by what its user sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...autograd import Tensor, grad
from ...creation import ones, randn, tensor
from ..checks import equal, leaf, numbers, true
from ..exercise import Exercise

PROGRAM = '''import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.functional import softplus

LATENT = 6


def generator():
    """z (N, LATENT) -> images (N, 1, 8, 8) in [-1, 1]."""
    return nn.Sequential(
        nn.Unflatten(1, (LATENT, 1, 1)),
        nn.ConvTranspose2d(LATENT, 16, 4, 1, 0, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1),
        nn.Tanh(),
    )


def discriminator():
    """Images -> logits (N, 1)."""
    return nn.Sequential(nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 1, 4), nn.Flatten())


def to_tensor(pixels):
    """uint8 (N, H, W), 0 to 255 -> (N, 1, H, W) in [-1, 1], the range of tanh."""
    return mg.tensor(pixels[:, None].astype(np.float32) / 127.5 - 1)


def to_pixels(images):
    """The way back, for a sheet."""
    return np.rint((images.detach().numpy()[:, 0] + 1) * 127.5).clip(0, 255).astype(np.uint8)


def batches(pixels, size, rng):
    """Batches of images for ever; a new order in each epoch."""
    while True:
        order = rng.permutation(len(pixels))
        for start in range(0, len(pixels) - size + 1, size):
            yield to_tensor(pixels[order[start : start + size]])


def d_loss(d, real, fake):
    return softplus(-d(real)).mean() + softplus(d(fake)).mean()


def g_loss(d, fake):
    return softplus(-d(fake)).mean()


class Trainer:
    def __init__(self, pixels, size=8, seed=0):
        self.g, self.d = generator(), discriminator()
        self.size, self.batches = size, batches(pixels, size, np.random.default_rng(seed))
        self.opt_g = optim.Adam(self.g.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.opt_d = optim.Adam(self.d.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(self):
        """One step of each player; both losses."""
        fake = self.g(mg.randn(self.size, LATENT))
        loss_d = d_loss(self.d, next(self.batches), fake.detach())
        self.opt_d.zero_grad()
        loss_d.backward()
        self.opt_d.step()
        loss_g = g_loss(self.d, fake)
        self.opt_g.zero_grad()
        loss_g.backward()
        self.opt_g.step()
        return loss_d.item(), loss_g.item()

    def sheet(self, z):
        """The images of latents z, one by one the same whatever stands beside them."""
        self.g.eval()
        with mg.no_grad():
            pixels = to_pixels(self.g(z))
        self.g.train()
        return pixels
'''


def whole(m: Any) -> Iterator[str]:
    """Everything that the program must do, from the pixels to the sheet."""
    yield from pixels(m)
    yield from losses(m)
    yield from networks(m)
    yield from training(m)
    yield from sheets(m)


def pixels(m: Any) -> Iterator[str]:
    grey = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    images = m.to_tensor(grey)
    yield from equal("the shape of four images", images.shape, (4, 1, 8, 8))
    yield from equal(
        "the range of images made of pixels 0 to 255", [images.data.min(), images.data.max()], [-1, 1], "", 1e-6
    )
    back = m.to_pixels(images)
    apart = np.abs(back.astype(int) - grey)
    at = tuple(int(i) for i in np.unravel_index(apart.argmax(), apart.shape))
    yield from true(apart.max() <= 1, f"pixel {grey[at]} turned into an image and back is {back[at]}")
    yield from equal(
        "the pixels of an image of -1, 1, -1, ...", m.to_pixels(tensor([[[[-1.0, 1.0, -1.0]]]])), [[[0, 255, 0]]]
    )
    marked = np.zeros((10, 8, 8), np.uint8) + 20 * np.arange(10, dtype=np.uint8)[:, None, None]
    stream = m.batches(marked, 3, np.random.default_rng(0))
    epochs = [[round(i / 20) for _ in range(3) for i in m.to_pixels(next(stream))[:, 0, 0]] for _ in range(2)]
    for number, epoch in enumerate(epochs, 1):
        yield from true(
            len(set(epoch)) == 9,
            f"epoch {number} of 10 images in threes shows the images {epoch}; expected nine different ones",
        )
    yield from true(epochs[0] != epochs[1], "two epochs show the images in one order")


def losses(m: Any) -> Iterator[str]:
    real, fake = numbers(8, 1), numbers(8, 1, seed=1)

    def softplus(t: np.ndarray) -> np.ndarray:
        return np.log1p(np.exp(t))

    yield from equal(
        "D's loss for known logits",
        m.d_loss(lambda x: x, leaf(real), leaf(fake)),
        softplus(-real).mean() + softplus(fake).mean(),
    )
    t = leaf(fake)
    loss = m.g_loss(lambda x: x, t)
    yield from equal("G's loss for known logits", loss, softplus(-fake).mean())
    yield from equal("the slope of G's loss by those logits", grad(loss, t)[0], -1 / (1 + np.exp(fake)) / 8)


def networks(m: Any) -> Iterator[str]:
    g, d = m.generator(), m.discriminator()
    images = g(randn(5, 6))
    yield from equal("the shape of G's images", images.shape, (5, 1, 8, 8))
    logits = d(ones(3, 1, 8, 8) * 2e5)
    yield from equal("the shape of D's outputs", logits.shape, (3, 1))
    yield from true(
        np.abs(logits.data).max() > 1,
        f"D's outputs for images of 200,000 lie within 1 ({logits.data.ravel()}): a logit may be any number",
    )


def training(m: Any) -> Iterator[str]:
    rng = np.random.default_rng(1)
    t = m.Trainer(rng.integers(0, 256, (16, 8, 8), dtype=np.uint8))
    seen: dict[str, list] = {"latents": [], "detached": [], "D": [], "G": []}
    inner = t.g.forward

    def forward(z: Tensor) -> Tensor:
        seen["latents"].append(z.data.copy())
        return inner(z)

    t.g.forward = forward
    real_d, real_g = m.d_loss, m.g_loss

    def d_loss(d: Any, real: Tensor, fake: Tensor) -> Tensor:
        seen["detached"].append(not fake.requires_grad)
        return real_d(d, real, fake)

    m.d_loss = d_loss
    try:
        for _ in range(2):
            before = [[p.data.copy() for p in n.parameters()] for n in (t.d, t.g)]
            mean = t.g[2].running_mean.data.copy()
            t.step()
            for name, module, old in zip("DG", (t.d, t.g), before, strict=True):
                same = [
                    i
                    for i, (p, q) in enumerate(zip(module.parameters(), old, strict=True))
                    if np.array_equal(p.data, q)
                ]
                yield from true(not same, f"in a step {name}'s weights {same} (counted from 0) do not move")
            yield from true(
                not np.array_equal(mean, t.g[2].running_mean.data), "batch norm's running mean does not move in a step"
            )
    finally:
        m.d_loss, m.g_loss = real_d, real_g
    yield from true(
        not np.array_equal(seen["latents"][0], seen["latents"][-1]), "both steps train G on the same latents"
    )
    yield from true(all(seen["detached"]), "D's loss reaches back into G")


def sheets(m: Any) -> Iterator[str]:
    t = m.Trainer(np.random.default_rng(1).integers(0, 256, (16, 8, 8), dtype=np.uint8))
    z = randn(6, 6)
    together = t.sheet(z)
    alone = np.concatenate([t.sheet(z[i : i + 1]) for i in range(6)])
    yield from equal("six images drawn one by one, beside the same six drawn together", alone, together)
    mean = t.g[2].running_mean.data.copy()
    t.sheet(z + 3)
    yield from equal("batch norm's running mean after a sheet", t.g[2].running_mean, mean)
    t.step()
    yield from true(
        not np.array_equal(mean, t.g[2].running_mean.data),
        "in a step after a sheet batch norm's running mean does not move",
    )


FAULTS = {
    "grey": ("images in [0, 1]", "/ 127.5 - 1)", "/ 255)"),
    "neighbours": ("G is not put into eval mode", "        self.g.eval()\n", ""),
    "after-the-sheet": ("G stays in eval mode", "        self.g.train()\n", ""),
    "white-is-black": (
        "256 wraps around",
        "np.rint((images.detach().numpy()[:, 0] + 1) * 127.5).clip(0, 255)",
        "((images.detach().numpy()[:, 0] + 1) * 128)",
    ),
    "stuck-loss": (
        "a sigmoid too many",
        "nn.Conv2d(16, 1, 4), nn.Flatten())",
        "nn.Conv2d(16, 1, 4), nn.Flatten(), nn.Sigmoid())",
    ),
    "by-heart": (
        "latents are drawn once",
        "        self.size, self.batches",
        "        self.z = mg.randn(size, LATENT)\n        self.size, self.batches",
    ),
    "vanished": (
        "the saturating loss",
        "    return softplus(-d(fake)).mean()\n",
        "    return -softplus(d(fake)).mean()\n",
    ),
    "forgotten": (
        "one order, and the first batch only",
        "        order = rng.permutation(len(pixels))\n        for start in range(0, len(pixels) - size + 1, size):\n",
        "        order = rng.permutation(size)\n        for start in range(0, size, size):\n",
    ),
    "": (
        "labels flipped",
        "softplus(-d(real)).mean() + softplus(d(fake))",
        "softplus(d(real)).mean() + softplus(-d(fake))",
    ),
    " ": ("D's gradient is not cleared, and G's is twice", "self.opt_g.step()", "self.opt_d.step()"),
}
"""By exercise: what is wrong, the right text, the wrong text. Those without a name are mutants only."""
MORE = {"by-heart": (("fake = self.g(mg.randn(self.size, LATENT))", "fake = self.g(self.z)"),)}
"""Further changes of a fault."""


def bug(name: str, symptoms: str, *hints: str) -> Exercise:
    """The exercise of a fault. Its mutants are the other faults: a repair must not break what was right."""
    title, _, rest = symptoms.partition("\n\n")
    text = f"{title}\n\n{rest.strip()}\n\n{ASK}"
    _, right, wrong = FAULTS[name]
    others = tuple(row for other, row in FAULTS.items() if other not in (name, *MORE))
    return Exercise(name, "images", text, PROGRAM, hints, whole, others, ((right, wrong), *MORE.get(name, ())))


ASK = """The program below is a whole GAN of images of 8 x 8. Find the one mistake and repair it; nothing else needs to
change. The grader looks at every part: pixels, batches, losses, networks, a step, sheets."""

EXERCISES = [
    bug(
        "grey",
        """My samples are never darker than mid grey. Where has the black gone?

"G ends with tanh. I look at the numbers of its samples after a long training: between 0 and 1, though tanh reaches -1.
Half of the latent space seems to be wasted at the start, and D wins the first thousand steps without effort." """,
        "What range do D's real images have?",
        "G can make any number in [-1, 1]; D soon knows that a real one is never below 0.",
    ),
    bug(
        "neighbours",
        """The same latent draws another image when it stands on another sheet. Is G random?

"I draw z alone and beside 63 others: two images. The larger the sheet, the more alike they become." """,
        "Which layer of G looks at other samples?",
        "Outside training it should use what it has kept.",
    ),
    bug(
        "after-the-sheet",
        """Until the first sheet the training is as always. What does drawing change?

"If I never draw, all is well. After the first sheet batch norm's running mean stays as it is for ever, and the losses
take another course. I draw under no_grad!" """,
        "no_grad is not the only mode that a network has.",
        "Who puts it back?",
    ),
    bug(
        "white-is-black",
        """Black specks stand in the white parts of my sheets. Is D blind?

"Where an image is whitest, at exactly 1, the sheet is black. D seems not to mind. On another machine the specks are
white." """,
        "D never sees the sheet: look at the way from [-1, 1] to bytes.",
        "(1 + 1) * 128 is 256.",
    ),
    bug(
        "stuck-loss",
        """D's loss never falls below 1. Why can it not win against a beginner?

"At chance D's loss is 2 ln 2 = 1.386. Mine starts at 1.4 and sinks to about 1.0, never lower, though G draws noise and
any child could tell. softplus of a logit should go to 0!" """,
        "1.0065 = softplus(-1) + softplus(0). Which outputs are these?",
        "The loss has a sigmoid inside, in softplus. How many are there?",
    ),
    bug(
        "by-heart",
        """On my preview G draws fine images, and on new latents mush. What has it learnt?

"I use 8 images a batch. G knows eight images by heart, D cannot tell them from real ones. Any other latent gives a
mixture of the eight." """,
        "Which latents does G see in training?",
        "Something that belongs into each step is done once, in __init__.",
    ),
    bug(
        "vanished",
        """When D has become good, G's gradient is 1e-6. Who took it?

"At the start D is sure that G's images are fake, its logits for them are near -14. G's loss is then nearly 0 and nearly
flat. If I hold D back, G learns a little." """,
        "How steep is G's loss at a logit of -14? How steep should it be?",
        "minimise -ln D(Gz), not ln(1 - D(Gz)).",
    ),
    bug(
        "forgotten",
        """I have 60,000 images, and G draws variations of eight. Has it collapsed?

"More capacity, other latents, minibatch discrimination: nothing helps. D takes eight of my images for real,
and calls every other one a fake." """,
        "Which images has D ever seen?",
        "In each epoch an order of ALL images is drawn, and cut into batches to its end.",
    ),
]
