"""Predict the shape, then run: layers, weights, what an output sees, a picture."""

from __future__ import annotations

from functools import partial

from ..exercise import Exercise
from ..predictions import predicted, program

track = partial(Exercise, track="shapes")


EXERCISES = [
    track(
        "conv-shape",
        text="""What shape does a convolution give?

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
        hints=(
            "Missing axes are added in front.",
            "(4, 1, 3) against (5, 1): write them one below the other, right sides aligned.",
        ),
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
        hints=(
            "Go layer by layer; activations have none.",
            "8 3 4 4, no bias; 2 8; 2 8 3 3 + 2; 32 + 1.",
        ),
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
        grader=predicted("picture", lambda m: m.picture_of(m.mg.ones(1, 1, 3, 3)), "along one axis: 1 1 2 1 2 1 1"),
        mutants=(
            ("flat", "row(k) for k in (1, 1, 2, 1, 2, 1, 1)", "[1] * 7 for k in range(7)"),
            ("lines", "row(k) for", "row(1) for"),
            ("every second", "(1, 1, 2, 1, 2, 1, 1)", "(1, 2, 1, 2, 1, 2, 1)"),
        ),
    ),
]
