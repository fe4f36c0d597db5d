"""Predict, then run: the shape, the number, the picture. A wrong prediction is told where it is wrong, not what is
right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..exercise import Exercise

track = partial(Exercise, track="reading")


def predicted(name: str, truth: Callable[[Any], Any], thought: str, tolerance: float = 0.0) -> Callable:
    """The grader of names.NAME beside what the program itself says; the right answer is not shown."""

    def grader(m: Any) -> Iterator[str]:
        value, right = getattr(m, name), truth(m)
        numbers = not any(isinstance(r, str | bool) for r in right) if isinstance(right, list) else True
        try:
            a, b = (np.asarray(v, float if numbers else object) for v in (value, right))
        except (TypeError, ValueError):
            yield f"{name}: {value!r} is not made of numbers in rows of one length; {thought}"
            return
        if a.shape != b.shape:
            yield f"{name}: you give {a.size} answers in shape {a.shape}; the program gives {b.size} in {b.shape}"
            return
        with np.errstate(invalid="ignore"):
            right_at = np.abs(a - b) <= tolerance * np.abs(b) + 1e-12 if numbers else a == b
        for at in np.argwhere(~np.asarray(right_at, bool))[:1]:
            place = f"[{', '.join(map(str, at))}]" if len(at) else ""
            yield f"{name}{place}: you say {a[tuple(at)]}, and the program does not; {thought}"

    return grader


def program(name: str, code: str, answer: str) -> str:
    """The program, with the prediction at its end."""
    return f"{code.strip()}\n\n# learn: {name} begin\n{answer}\n# learn: {name} end\n"


def overlaps(m: Any) -> Any:
    return m.picture_of(m.mg.ones(1, 1, 3, 3))


EXERCISES = [
    track(
        "conv-shape",
        text="""Which shape leaves a convolution?

Along each axis of n pixels, with kernel k, stride s and padding p, a convolution gives floor((n + 2 p - k) / s) + 1.
Predict the shapes of a, b and c, as a list of three tuples, by paper and pencil:

    shapes = [(...), (...), (...)]

Then run `minigan learn`.""",
        source=program(
            "conv-shape",
            """
import minigan as mg
from minigan import nn


def shapes_of(x):
    a = nn.Conv2d(3, 16, 4, 2, 1)(x)
    b = nn.Conv2d(16, 8, 3, 1, 0)(a)
    c = nn.Conv2d(8, 1, 5, 3, 2)(b)
    return [a.shape, b.shape, c.shape]


x = mg.zeros(10, 3, 28, 28)
""",
            "shapes = [(10, 16, 14, 14), (10, 8, 12, 12), (10, 1, 4, 4)]",
        ),
        hints=(
            "Kernel 4, stride 2, padding 1 halves an even size.",
            "The channels are the layer's second number; the batch stays.",
        ),
        grader=predicted(
            "shapes", lambda m: m.shapes_of(m.x), "floor((n + 2 p - k) / s) + 1, and the channels of each layer"
        ),
        mutants=(
            ("15", "14, 14", "15, 15"),
            ("the channels stay", "(10, 8, 12", "(10, 16, 12"),
            ("rounded up", "1, 4, 4", "1, 5, 5"),
        ),
    ),
    track(
        "deconv-shape",
        text="""How large does a transposed convolution make an image?

It turns the formula of conv-shape round: n pixels become (n - 1) s - 2 p + k. Predict the size (H = W) after each of
the four layers of this generator, beginning from a latent seen as 1 x 1:

    sizes = [..., ..., ..., ...]""",
        source=program(
            "deconv-shape",
            """
import minigan as mg
from minigan import nn


def sizes_of(z):
    sizes = []
    for layer in (
        nn.ConvTranspose2d(8, 8, 4, 1, 0),
        nn.ConvTranspose2d(8, 8, 4, 2, 1),
        nn.ConvTranspose2d(8, 8, 3, 2, 1),
        nn.ConvTranspose2d(8, 1, 5, 3, 0),
    ):
        z = layer(z)
        sizes.append(z.shape[2])
    return sizes
""",
            "sizes = [4, 8, 15, 47]",
        ),
        hints=(
            "1 pixel, kernel 4, stride 1: (1 - 1) 1 - 0 + 4.",
            "Kernel 4, stride 2, padding 1 doubles; kernel 3 does not quite.",
        ),
        grader=predicted("sizes", lambda m: m.sizes_of(m.mg.zeros(1, 8, 1, 1)), "(n - 1) s - 2 p + k"),
        mutants=(("doubled", "15, 47", "16, 50"), ("the last one", "47", "45"), ("the first one", "[4, 8", "[1, 8")),
    ),
    track(
        "broadcast-shape",
        text="""What do NumPy's rules make of these shapes?

Shapes are aligned at the right; a size of 1, or an axis that is not there, is stretched. A sum over axis 0 takes the
first axis away. Predict the three shapes as a list of tuples, shapes = [...].""",
        source=program(
            "broadcast-shape",
            """
import minigan as mg


def shapes_of():
    a, b, c = mg.zeros(4, 1, 3), mg.zeros(5, 1), mg.zeros(3)
    return [(a + b).shape, (b * c).shape, ((a + b).sum(0) * c).shape]
""",
            "shapes = [(4, 5, 3), (5, 3), (5, 3)]",
        ),
        hints=("(4, 1, 3) against (5, 1): write them one below the other, right sides aligned.",),
        grader=predicted("shapes", lambda m: m.shapes_of(), "align the shapes at the right"),
        mutants=(
            ("aligned at the left", "[(4, 5, 3)", "[(5, 1, 3)"),
            ("the sum keeps its axis", "(5, 3)]", "(1, 5, 3)]"),
            ("turned", "(5, 3), (5", "(3, 5), (5"),
        ),
    ),
    track(
        "weight-count",
        text="""How many weights has this critic?

A convolution from C to O channels with a k x k kernel has O C k k weights, and O for its bias. Batch norm has two a
channel. A linear layer from n to m has m n, and m for its bias. Predict the number: count = ...""",
        source=program(
            "weight-count",
            """
from minigan import nn


def critic():
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 2, 3, 1, 1),
        nn.Flatten(),
        nn.Linear(2 * 4 * 4, 1),
    )
""",
            "count = 384 + 16 + 146 + 33",
        ),
        hints=("8 3 4 4, no bias; 2 8; 2 8 3 3 + 2; 32 + 1.",),
        grader=predicted(
            "count",
            lambda m: sum(p.data.size for p in m.critic().parameters()),
            "running statistics are no weights, a leaky ReLU has none",
        ),
        mutants=(
            ("a bias too many", "384", "392"),
            ("no biases", "146 + 33", "144 + 32"),
            ("running statistics", "+ 16", "+ 32"),
        ),
    ),
    track(
        "receptive-field",
        text="""How much of the image does one output see?

The gradient of one output in the middle is not 0 at the pixels that it sees. Each layer adds (k - 1) times the product
of all strides before it to the width. Predict the width, in pixels, of the square that is seen: width = ...""",
        source=program(
            "receptive-field",
            """
import minigan as mg
from minigan import nn


def width_seen():
    mg.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.Conv2d(4, 4, 4, 2, 1), nn.Conv2d(4, 1, 3, 1, 1))
    x = mg.randn(1, 1, 64, 64, requires_grad=True)
    (slope,) = mg.grad(net(x)[0, 0, 8, 8], x)
    return int((slope.data[0, 0] != 0).any(0).sum())
""",
            "width = 1 + 3 * 1 + 3 * 2 + 2 * 4",
        ),
        hints=(
            "Begin with 1 and go through the layers: + (k - 1) x (strides before).",
            "4 x 4 at stride 1 of the image, 4 x 4 at stride 2, 3 x 3 at stride 4.",
        ),
        grader=predicted("width", lambda m: m.width_seen(), "strides of earlier layers multiply"),
        mutants=(
            ("strides are forgotten", "3 * 1 + 3 * 2 + 2 * 4", "3 + 3 + 2"),
            ("no 1 at the start", "1 + 3", "0 + 3"),
            ("own strides count", "3 * 1 + 3 * 2 + 2 * 4", "3 * 2 + 3 * 4 + 2 * 4"),
        ),
    ),
    track(
        "loss-at-chance",
        text="""What is the loss when D cannot tell?

D's outputs are 0 for every image. Predict four numbers to three digits, at_chance = [...]: D's and G's non-saturating
loss, D's hinge loss, and D's least-squares loss (whose targets are 1 and 0).""",
        source=program(
            "loss-at-chance",
            """
import minigan as mg
from minigan.gan.losses import loss


def losses_at_zero():
    t = mg.zeros(16)
    plain, hinge, squares = loss("non-saturating"), loss("hinge"), loss("least-squares")
    values = plain.discriminator(t, t), plain.generator(t), hinge.discriminator(t, t), squares.discriminator(t, t)
    return [v.item() for v in values]
""",
            "at_chance = [1.386, 0.693, 2.0, 0.5]",
        ),
        hints=(
            "softplus(0) = ln 2.",
            "D's output 0 is a probability of 1/2 for a sigmoid, and the label 0 for least squares.",
        ),
        grader=predicted("at_chance", lambda m: m.losses_at_zero(), "put 0 into each formula", 2e-3),
        mutants=(
            ("one half of D's loss", "1.386", "0.693"),
            ("the hinge", "2.0", "1.0"),
            ("at an output of 1/2", "0.5]", "0.25]"),
        ),
    ),
    track(
        "penalty-of-a-plane",
        text="""What does the penalty say of a plane?

The critic is f(x) = 3 x_0 - 4 x_1 + 7, the penalty E (||grad f|| - 1)^2. Predict it for reals and fakes anywhere, and
its gradient by (3, -4): p = ..., by_weights = [..., ...]. dP/dw = 2 (|w| - 1) w / |w|.""",
        source=program(
            "penalty-of-a-plane",
            """
import minigan as mg
from minigan.gan.penalties import gradient_penalty


def run():
    w = mg.tensor([3.0, -4.0], requires_grad=True)
    value, _ = gradient_penalty(lambda x: (x * w).sum(1) + 7, mg.randn(8, 2), mg.randn(8, 2), mg.rand(8, 1))
    (slope,) = mg.grad(value, w)
    return [value.item(), *slope.numpy().tolist()]
""",
            "p = 16.0\nby_weights = [4.8, -6.4]\nprediction = [p, *by_weights]",
        ),
        hints=("The slope is (3, -4) everywhere.", "Its length is 5."),
        grader=predicted(
            "prediction", lambda m: m.run(), "prediction = [p, *by_weights]: keep that line; the 7 has no slope", 1e-4
        ),
        mutants=(
            ("the length", "p = 16.0", "p = 5.0"),
            ("no factor 2", "[4.8, -6.4]", "[2.4, -3.2]"),
            ("the sign", "-6.4", "6.4"),
        ),
    ),
    track(
        "saturation",
        text="""How much does a generator learn from a sure critic?

D's logit for a sample is -5. Predict the size of the slope of G's loss by this logit, to two digits, for the minimax
loss ln(1 - D) and for the non-saturating loss -ln D: slopes = [..., ...]. sigmoid(5) is 0.9933.""",
        source=program(
            "saturation",
            """
import minigan as mg
from minigan.gan.losses import loss


def run():
    sizes = []
    for name in ("minimax", "non-saturating"):
        t = mg.tensor([-5.0], requires_grad=True)
        (slope,) = mg.grad(loss(name).generator(t), t)
        sizes.append(abs(slope.item()))
    return sizes
""",
            "slopes = [0.0067, 0.9933]",
        ),
        hints=("d/dt of -softplus(t) is -sigmoid(t).", "d/dt of softplus(-t) is -sigmoid(-t)."),
        grader=predicted("slopes", lambda m: m.run(), "sigmoid(-5) and sigmoid(5)", 2e-2),
        mutants=(
            ("exchanged", "[0.0067, 0.9933]", "[0.9933, 0.0067]"),
            ("one slope for both", "0.9933", "0.0067"),
            ("a product", "0.0067,", "0.25,"),
        ),
    ),
    track(
        "first-step",
        text="""How far does Adam move in its first step?

Three weights with the gradients 100, 0.001 and 0; lr 0.01, betas (0.9, 0.999). Predict by how much each weight changes,
changes = [..., ..., ...].""",
        source=program(
            "first-step",
            """
import minigan as mg
from minigan import optim


def run():
    p = mg.tensor([1.0, 1.0, 1.0], requires_grad=True)
    p.grad = mg.tensor([100.0, 0.001, 0.0])
    optim.Adam([p], lr=0.01, betas=(0.9, 0.999)).step()
    return [round(float(c), 5) for c in p.data - 1]
""",
            "changes = [-0.01, -0.01, 0.0]",
        ),
        hints=("m' = g and v' = g^2 in the first step.", "g / sqrt(g^2) is a sign."),
        grader=predicted("changes", lambda m: m.run(), "the first step goes by the gradient's sign", 1e-3),
        mutants=(
            ("by the gradient", "[-0.01, -0.01", "[-1.0, -0.00001"),
            ("uphill", "[-0.01", "[0.01"),
            ("no gradient moves, too", "0.0]", "-0.01]"),
        ),
    ),
    track(
        "checkerboard",
        text="""Which picture does a transposed convolution draw of a flat image?

All weights are 1, kernel 3, stride 2: each pixel of a 3 x 3 image of ones is stamped as a 3 x 3 square, two pixels
apart, and stamps overlap. Predict the 7 x 7 picture, row by row, as a list of lists: picture = [[...], ...]. It is why
some GANs' images show a fine grid.""",
        source=program(
            "checkerboard",
            """
import minigan as mg
from minigan.functional import conv_transpose2d


def picture_of(x):
    return conv_transpose2d(x, mg.ones(1, 1, 3, 3), stride=2).numpy()[0, 0]


def row(once):
    \"\"\"once where stamps of one row of pixels do not overlap along x, twice that where they do.\"\"\"
    return [once, once, 2 * once, once, 2 * once, once, once]
""",
            "picture = [row(k) for k in (1, 1, 2, 1, 2, 1, 1)]",
        ),
        hints=(
            "Along one axis the stamps 0-2, 2-4, 4-6 overlap at 2 and at 4.",
            "In the plane the counts of both axes multiply.",
        ),
        grader=predicted("picture", overlaps, "along one axis: 1 1 2 1 2 1 1"),
        mutants=(
            ("flat", "row(k) for k in (1, 1, 2, 1, 2, 1, 1)", "[1] * 7 for k in range(7)"),
            ("lines", "row(k) for", "row(1) for"),
            ("every second", "(1, 1, 2, 1, 2, 1, 1)", "(1, 2, 1, 2, 1, 2, 1)"),
        ),
    ),
    track(
        "circles",
        text="""In, out or round?

Two players on x y, one going down and one going up, 100 steps of 0.1 from (1, 1). Predict for each way of stepping
whether the distance from (0, 0) at the end is "smaller" (below 0.9 of the start), "larger" (above 1.1) or "same":
answers = [together, in turn, extragradient].""",
        source=program(
            "circles",
            """
def run():
    answers = []
    for way in ("together", "in turn", "extragradient"):
        x, y = 1.0, 1.0
        for _ in range(100):
            if way == "together":
                x, y = x - 0.1 * y, y + 0.1 * x
            elif way == "in turn":
                x = x - 0.1 * y
                y = y + 0.1 * x
            else:
                a, b = x - 0.1 * y, y + 0.1 * x
                x, y = x - 0.1 * b, y + 0.1 * a
        ratio = ((x * x + y * y) / 2) ** 0.5
        answers.append("smaller" if ratio < 0.9 else "larger" if ratio > 1.1 else "same")
    return answers
""",
            'answers = ["larger", "same", "smaller"]',
        ),
        hints=("The exercise eigenvalues says how the distance grows a step: (1.005)^100 is 1.65.",),
        grader=predicted("answers", lambda m: m.run(), "think of the eigenvalues' sizes"),
        mutants=(
            ("together", '"larger", "same"', '"same", "same"'),
            ("in turn", '"same", "smaller"', '"smaller", "smaller"'),
            ("all circle", '"smaller"]', '"same"]'),
        ),
    ),
    track(
        "who-gets-a-gradient",
        text="""Which weights does a penalty pull at?

f(x) = v . leaky(W x + b), with the WGAN-GP penalty alone as the loss. Predict for W, b, v and for x whether a gradient
reaches it, as True or False: reached = [W, b, v, x]. The slope of f is W^T (d v), d the slopes of leaky-ReLU.""",
        source=program(
            "who-gets-a-gradient",
            """
import minigan as mg
from minigan.functional import leaky_relu


def run():
    mg.manual_seed(0)
    W, b, v = (mg.randn(*shape, requires_grad=True) for shape in ((5, 3), (5,), (5,)))
    x = mg.randn(2, 3, requires_grad=True)
    f = (leaky_relu(x @ W.transpose(0, 1) + b, 0.2) * v).sum()
    (slope,) = mg.grad(f, x, create_graph=True)
    penalty = ((slope.safe_norm(1) - 1) ** 2).mean()
    return [g is not None for g in mg.grad(penalty, [W, b, v, x], allow_unused=True)]
""",
            "reached = [True, False, True, False]",
        ),
        hints=("Moving b moves no slope, until a unit changes sides.", "The same holds for x."),
        grader=predicted(
            "reached", lambda m: m.run(), "does the slope W^T (d v) change with it, without a unit changing sides?"
        ),
        mutants=(
            ("the bias, too", "[True, False, True", "[True, True, True"),
            ("x, too", "True, False]", "True, True]"),
            ("not W", "[True,", "[False,"),
        ),
    ),
]
