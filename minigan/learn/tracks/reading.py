"""Predict the number, then run: losses, slopes, steps."""

from __future__ import annotations

from functools import partial

from ..exercise import Exercise
from ..predictions import predicted, program

track = partial(Exercise, track="reading")


EXERCISES = [
    track(
        "loss-at-chance",
        text="""What is the loss when D cannot tell?

D's outputs are 0 for every image. Predict four numbers to three digits, at_chance = [...]: D's and G's non-saturating
loss, D's hinge loss, and D's least-squares loss, 1/2 E (D(x) - 1)^2 + 1/2 E D(Gz)^2.""",
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
        grader=predicted("at_chance", lambda m: m.losses_at_zero(), "put 0 into each formula", 5e-3),
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
its gradient dP/dw = 2 (|w| - 1) w / |w| at w = (3, -4): prediction = [P, dP/dw_0, dP/dw_1].""",
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
            "prediction = [16.0, 4.8, -6.4]",
        ),
        hints=("The slope is (3, -4) everywhere.", "Its length is 5."),
        grader=predicted("prediction", lambda m: m.run(), "the 7 has no slope", 1e-4),
        mutants=(
            ("the length", "16.0", "5.0"),
            ("no factor 2", "4.8, -6.4", "2.4, -3.2"),
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
        hints=(
            "Multiply the distance's growth of a step by itself a hundred times.",
            "The exercise eigenvalues says how the distance grows a step: (1.005)^100 is 1.65.",
        ),
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
