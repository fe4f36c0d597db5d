"""Losses: what the critic minimises, what the generator minimises, and what they measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ...autograd import grad
from ...creation import tensor
from ..checks import array, differences, equal, leaf, numbers, true
from ..exercise import Exercise

track = partial(Exercise, track="losses")


def softplus(t: np.ndarray) -> np.ndarray:
    return np.maximum(t, 0) + np.log1p(np.exp(-np.abs(t)))


def pair(discriminator: Callable, generator: Callable, thoughts: tuple[str, str], large: bool = True) -> Callable:
    """The grader of two losses: of D by (real, fake), of G by (fake), beside NumPy's; values, slopes, large logits."""

    def grader(m: Any) -> Iterator[str]:
        real, fake = numbers(6), numbers(6, seed=1)
        for what, fn, expected, points, thought in (
            ("D's loss", m.discriminator, discriminator, (real, fake), thoughts[0]),
            ("D's loss", m.discriminator, discriminator, (fake, real), thoughts[0]),
            ("G's loss", m.generator, generator, (fake,), thoughts[1]),
        ):
            leaves = [leaf(p) for p in points]
            value = fn(*leaves)
            yield from equal(what, value, expected(*points), thought)
            for slope, name, at in zip(
                grad(value, leaves), (("reals'", "fakes'"), ("fakes'",))[len(points) == 1], range(2), strict=False
            ):
                others = list(points)

                def of(a: np.ndarray, at: int = at, others: list = others, f: Any = expected) -> float:
                    return float(f(*others[:at], a, *others[at + 1 :]))

                yield from equal(
                    f"the slope of {what} by the {name} outputs",
                    0 * points[0] if slope is None else slope,
                    differences(of, points[at]),
                    "",
                    1e-6,
                )
            if large:
                far = array(fn(*(tensor([300.0, -300.0]) for _ in points)))
                yield from true(
                    far is not None and np.isfinite(far).all(),
                    f"{what} is {far} for logits of 300 and -300: use softplus, not ln of a sigmoid",
                )

    return grader


def bce(m: Any) -> Iterator[str]:
    z, y = numbers(5), np.array([1.0, 0.0, 1.0, 0.9, 0.0])
    p = 1 / (1 + np.exp(-z))
    expected = float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
    t = leaf(z)
    value = m.binary_cross_entropy(t, tensor(y))
    yield from equal("the loss", value, expected)
    yield from equal("its gradient", grad(value, t)[0], (p - y) / 5, "(sigmoid(z) - y) / N")
    far = array(m.binary_cross_entropy(tensor([800.0, -800.0]), tensor([1.0, 0.0])))
    yield from equal(
        "the loss of two sure and right answers, logits 800 and -800,",
        far,
        0.0,
        "ln of a sigmoid of 800 is no number; softplus is",
    )


def softmax_entropy(m: Any) -> Iterator[str]:
    z, labels = numbers(4, 5), np.array([0, 3, 3, 1])
    yield from equal("the loss", m.cross_entropy(z, labels)[0], _entropy(z, labels))
    yield from equal(
        "the gradient",
        m.cross_entropy(z, labels)[1],
        differences(lambda a: _entropy(a, labels), z),
        "softmax minus the label's row of ones, over N",
        1e-6,
    )
    loss, gradient = m.cross_entropy(z + 1000.0, labels)
    yield from true(
        np.isfinite(loss) and np.isfinite(gradient).all(),
        "for logits near 1000 the loss or its gradient is not finite; take each row's largest logit away before exp",
    )
    far, _ = m.cross_entropy(np.array([[1000.0, -1000.0]]), np.array([0]))
    yield from equal("the loss for logits of 1000 and -1000", far, 0.0, "it is the largest that is taken away")
    yield from equal("the loss for logits near 1000", loss, _entropy(z, labels), tolerance=1e-6)
    apart, _ = m.cross_entropy(np.array([[1000.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    yield from equal("the loss of a row near 1000 and one near 0", apart, np.log1p(np.exp(-1.0)) / 2, "a row by itself")


def _entropy(z: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]))


def smoothing(m: Any) -> Iterator[str]:
    real, fake = numbers(6), numbers(6, seed=1)
    value = m.smoothed(leaf(real), leaf(fake), 0.9)
    expected = (0.9 * softplus(-real) + 0.1 * softplus(real)).mean() + softplus(fake).mean()
    yield from equal("D's loss with labels of 0.9 for reals", value, expected, "the fakes keep their label of 0")
    t = leaf([np.log(9.0)])
    (g,) = grad(m.smoothed(t, leaf([0.0]), 0.9), t)
    yield from equal("the slope at D = 0.9", g, [0.0], "there a real with the label 0.9 asks for nothing more")
    a, b = leaf(real), leaf(fake)
    slopes = grad(m.smoothed(a, b, 0.7), (a, b), allow_unused=True)
    sigmoid = 1 / (1 + np.exp(-np.stack([real, fake])))
    for name, slope, expected in zip(("reals'", "fakes'"), slopes, (sigmoid - [[0.7], [0]]) / 6, strict=True):
        slope = 0 * real if slope is None else slope
        yield from equal(f"the slope of D's loss by the {name} outputs, the label being 0.7,", slope, expected)


def relativistic(m: Any) -> Iterator[str]:
    real, fake = numbers(6), numbers(6, seed=1)
    a, b = leaf(real), leaf(fake)
    slopes = grad(m.discriminator(a, b), (a, b), allow_unused=True)
    share = 1 / (1 + np.exp(real - fake)) / 6
    for name, slope, expected in zip(("reals'", "fakes'"), slopes, (-share, share), strict=True):
        slope = 0 * real if slope is None else slope
        yield from equal(f"the slope of D's loss by the {name} outputs", slope, expected, "D learns from both")
    for far in (m.discriminator(leaf([-400.0]), leaf([400.0])), m.generator(leaf([-400.0]), leaf([400.0]))):
        yield from equal("the loss of a pair 800 apart, on the wrong side,", far, 800.0, "softplus does not overflow")
    yield from equal(
        "D's loss", m.discriminator(leaf(real), leaf(fake)), softplus(fake - real).mean(), "-ln sigmoid(f(x) - f(Gz))"
    )
    yield from equal(
        "G's loss",
        m.generator(leaf(fake), leaf(real)),
        softplus(real - fake).mean(),
        "the same with x and Gz exchanged",
    )
    a = leaf(fake)
    (g,) = grad(m.generator(a, leaf(real)), a)
    yield from true((g.data < 0).all(), "a step down G's loss must raise the fakes' outputs")


HEAD = """from minigan.functional import relu, softplus


"""


def two_losses(name: str, discriminator: str, generator: str) -> str:
    """The program of an exercise with two losses, one line each."""
    return f'''{HEAD}def discriminator(real, fake):
    """What D minimises, by its outputs (N,) on reals and on fakes."""
    # learn: {name} begin
    return {discriminator}
    # learn: {name} end


def generator(fake):
    """What G minimises, by D's outputs on its samples."""
    # learn: {name} begin
    return {generator}
    # learn: {name} end
'''


EXERCISES = [
    track(
        "cross-entropy",
        text="""Why is the gradient of softmax and cross entropy so simple?

For logits z (N, K) and labels (N,), p = softmax(z) along a row,

    L = mean over n of  -ln p[n, label n] = mean of  ln(sum_k e^z[n, k]) - z[n, label n].

Write cross_entropy(z, labels) in NumPy: it returns L and dL/dz (N, K). Logits may be 1000: subtract the largest of each
row first, which changes nothing else.""",
        source='''import numpy as np


def cross_entropy(z, labels):
    """The mean loss, and its gradient by z (N, K)."""
    # learn: cross-entropy begin
    rows = np.arange(len(z))
    z = z - z.max(1, keepdims=True)
    total = np.exp(z).sum(1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - z[rows, labels])
    gradient = np.exp(z) / total
    gradient[rows, labels] -= 1
    return loss, gradient / len(z)
    # learn: cross-entropy end
''',
        hints=(
            "d/dz_k of ln(sum e^z) is e^z_k / sum e^z, which is softmax.",
            "So dL/dz = (softmax - one-hot label) / N.",
            "z[np.arange(N), labels] picks each row's label.",
        ),
        grader=softmax_entropy,
        mutants=(
            ("no mean", "gradient / len(z)", "gradient"),
            ("overflow", "z = z - z.max(1, keepdims=True)", "z = z - 0"),
            ("no label", "gradient[rows, labels] -= 1", "gradient[rows, labels] -= 0"),
        ),
    ),
    track(
        "binary-cross-entropy",
        text="""How is -ln sigmoid(z) computed without overflow?

For logits z (N,) and labels y in [0, 1],

    L = mean of  -y ln D - (1 - y) ln(1 - D),    D = sigmoid(z).

ln D = -softplus(-z) and ln(1 - D) = -softplus(z): nothing overflows, whatever z is. Write it on Tensors; `softplus` is
minigan.functional's, which has no other threshold than PyTorch's. The gradient, by the way, is (D - y) / N.""",
        source='''from minigan.functional import softplus


def binary_cross_entropy(z, y):
    """The mean cross entropy of logits z and labels y, both (N,)."""
    # learn: binary-cross-entropy begin
    return (y * softplus(-z) + (1 - y) * softplus(z)).mean()
    # learn: binary-cross-entropy end
''',
        hints=("-ln D = softplus(-z); -ln(1 - D) = softplus(z).", "Weigh them by y and 1 - y, then .mean()."),
        grader=bce,
        mutants=(
            (
                "the labels change places",
                "y * softplus(-z) + (1 - y) * softplus(z)",
                "y * softplus(z) + (1 - y) * softplus(-z)",
            ),
            ("a sum", ".mean()", ".sum()"),
            (
                "ln of a sigmoid",
                "y * softplus(-z) + (1 - y) * softplus(z)",
                "-y * z.sigmoid().log() - (1 - y) * (1 - z.sigmoid()).log()",
            ),
        ),
    ),
    track(
        "non-saturating",
        text="""Why does the generator not minimise ln(1 - D)?

    D minimises  E -ln D(x) + E -ln(1 - D(Gz)),    G minimises  E -ln D(Gz)

(Goodfellow et al. 2014, section 3). At the start D is sure that samples are fake, D(Gz) is near 0, and ln(1 - D) is
flat there: G would learn nothing. -ln D is steep there. Write both on logits t, where D = sigmoid(t), with softplus, so
that logits of 300 do no harm.""",
        source=two_losses("non-saturating", "softplus(-real).mean() + softplus(fake).mean()", "softplus(-fake).mean()"),
        hints=(
            "-ln sigmoid(t) = softplus(-t).",
            "-ln(1 - sigmoid(t)) = softplus(t).",
            "G wants its samples to be taken for real: softplus(-fake).mean().",
        ),
        grader=pair(
            lambda r, f: softplus(-r).mean() + softplus(f).mean(),
            lambda f: softplus(-f).mean(),
            ("real's label is 1: softplus(-t)", "G minimises -ln D(Gz)"),
        ),
        mutants=(
            ("the saturating loss", "return softplus(-fake).mean()", "return -softplus(fake).mean()"),
            ("labels flipped", "softplus(-real).mean() + softplus(fake)", "softplus(real).mean() + softplus(-fake)"),
            ("G helps D", "return softplus(-fake).mean()", "return softplus(fake).mean()"),
            ("D sees reals only", "softplus(-real).mean() + softplus(fake).mean()", "softplus(-real).mean()"),
        ),
    ),
    track(
        "least-squares",
        text="""What does a squared loss punish that a logarithm does not?

    D minimises  1/2 E (D(x) - 1)^2 + 1/2 E D(Gz)^2,    G minimises  1/2 E (D(Gz) - 1)^2

(Mao et al. 2017, eq. 2 with a = 0, b = c = 1). D's output is a raw number, without a sigmoid. A sample far on the right
side costs, too: so every sample has a slope.""",
        source=two_losses(
            "least-squares", "((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2", "((fake - 1) ** 2).mean() / 2"
        ),
        hints=("Squares of Tensors: (real - 1) ** 2.", "Mind the halves."),
        grader=pair(
            lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
            lambda f: ((f - 1) ** 2).mean() / 2,
            ("", ""),
            False,
        ),
        mutants=(
            ("no halves", "(fake**2).mean() / 2", "(fake**2).mean()"),
            ("G's target is 0", "((fake - 1) ** 2).mean() / 2", "(fake ** 2).mean() / 2"),
            ("real's target is 0", "((real - 1) ** 2)", "(real ** 2)"),
        ),
    ),
    track(
        "hinge",
        text="""When does the hinge loss stop pushing?

    D minimises  E max(0, 1 - f(x)) + E max(0, 1 + f(Gz)),    G minimises  -E f(Gz)

(Lim & Ye 2017; Miyato et al. 2018, eq. 16). A real above 1 and a fake below -1 push no more. relu is at hand.""",
        source=two_losses("hinge", "relu(1 - real).mean() + relu(1 + fake).mean()", "-fake.mean()"),
        hints=("max(0, a) is relu(a).", "G's loss has no hinge."),
        grader=pair(
            lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
            lambda f: -f.mean(),
            ("relu(1 - real), relu(1 + fake)", ""),
            False,
        ),
        mutants=(
            (
                "the sides change places",
                "relu(1 - real).mean() + relu(1 + fake)",
                "relu(1 + real).mean() + relu(1 - fake)",
            ),
            ("no hinge", "relu(1 - real)", "(1 - real)"),
            ("G has a hinge", "-fake.mean()", "relu(1 - fake).mean()"),
            ("G's sign", "return -fake.mean()", "return fake.mean()"),
        ),
    ),
    track(
        "wasserstein",
        text="""What does a Wasserstein critic minimise?

    W(P, Q) = max over f with slope <= 1 of  E f(x) - E f(Gz).

The critic maximises that, so it minimises the negative; G minimises what it can move of it. Raw outputs, no sigmoid, no
logarithm. Minus D's loss is then an estimate of the distance.""",
        source=two_losses("wasserstein", "fake.mean() - real.mean()", "-fake.mean()"),
        hints=(
            "Which of the two means does the critic want high?",
            "D: E f(Gz) - E f(x). G: -E f(Gz).",
        ),
        grader=pair(
            lambda r, f: f.mean() - r.mean(),
            lambda f: -f.mean(),
            ("minus the estimate", "G raises f at its samples"),
            False,
        ),
        mutants=(
            ("D's sign", "fake.mean() - real.mean()", "real.mean() - fake.mean()"),
            ("G's sign", "return -fake.mean()", "return fake.mean()"),
            ("a distance of means has a sign", "fake.mean() - real.mean()", "-(fake.mean() - real.mean()).abs()"),
            ("no reals", "fake.mean() - real.mean()", "fake.mean()"),
        ),
    ),
    track(
        "relativistic",
        text="""What if D only says which of two looks more real?

In relativistic pairs D's outputs are compared, one real with one sample (Jolicoeur-Martineau 2019; Huang et al. 2024):

    D minimises  E -ln sigmoid(f(x) - f(Gz)),    G minimises  E -ln sigmoid(f(Gz) - f(x)).

G's loss reads the reals' outputs, too. Use softplus.""",
        source='''from minigan.functional import softplus


def discriminator(real, fake):
    """What D minimises, by its outputs (N,) on reals and on fakes."""
    # learn: relativistic begin
    return softplus(fake - real).mean()
    # learn: relativistic end


def generator(fake, real):
    """What G minimises."""
    # learn: relativistic begin
    return softplus(real - fake).mean()
    # learn: relativistic end
''',
        hints=(
            "D wants f(x) - f(Gz) high; a loss is low where its player is content.",
            "-ln sigmoid(a) = softplus(-a).",
        ),
        grader=relativistic,
        mutants=(
            ("D's sign", "softplus(fake - real)", "softplus(real - fake)"),
            ("G's sign", "return softplus(real - fake).mean()", "return softplus(fake - real).mean()"),
            ("against the mean", "softplus(fake - real)", "softplus(fake - real.mean())"),
        ),
    ),
    track(
        "smoothing",
        text="""What does a label of 0.9 do?

With the label s in place of 1 for reals only (one-sided smoothing, Salimans et al. 2016), D's loss is

    E  -s ln D(x) - (1 - s) ln(1 - D(x))   +   E -ln(1 - D(Gz)).

D then wants to say s, not 1, and its logits stay small. Fakes keep the label 0: with a smoothed one, b, the best D
is flat at b wherever there are samples and no data, and gives them no reason to leave. Write it on logits with
softplus.""",
        source='''from minigan.functional import softplus


def smoothed(real, fake, s):
    """What D minimises, with the label s for reals; logits (N,)."""
    # learn: smoothing begin
    return (s * softplus(-real) + (1 - s) * softplus(real)).mean() + softplus(fake).mean()
    # learn: smoothing end
''',
        hints=(
            "Write the two labels of a real, s and 1 - s, as weights of two softplus.",
            "It is binary-cross-entropy with y = s on reals, y = 0 on fakes.",
        ),
        grader=smoothing,
        mutants=(
            ("no smoothing", "s * softplus(-real) + (1 - s) * softplus(real)", "softplus(-real)"),
            (
                "fakes are smoothed, too",
                "softplus(fake).mean()",
                "(s * softplus(fake) + (1 - s) * softplus(-fake)).mean()",
            ),
            ("scaled, not smoothed", "+ (1 - s) * softplus(real)", "+ 0 * real"),
        ),
    ),
]
