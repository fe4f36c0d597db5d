"""What examples print that have a closed form: the engine, divergences, games, the slides' mistakes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from law import Law, js_of, normal, pytest_approx
from printed import Figures, Row, between, near

LN2 = np.log(2)


def scalar_engine() -> Law:
    x, t = 0.7, np.tanh(0.7)
    d = 1 - t**2
    curve = [
        3 * x**2 * t + x**3 * d,
        6 * x * t + 6 * x**2 * d - 2 * x**3 * t * d,
        6 * t + 18 * x * d - 18 * x**2 * t * d + x**3 * d * (4 * t**2 - 2 * d),
    ]
    x, w, v = np.array([0.5, -1.0]), np.array([0.8, 0.3]), 2.0
    t, length = np.tanh(w @ x), np.hypot(*w)
    d = 1 - t**2  # the slope is v d w, its length v d |w|
    pull = 2 * (v * d * length - 1)
    by_x, by_w = -2 * t * d * v * length * w, v * (d * w / length - 2 * t * d * length * x)
    values = [*curve, *(pull * by_x), *(pull * by_w), pull * d * length]
    names = ["df/dx", "df'/dx", "df''/dx", *(f"dP/d{x}" for x in ("x0", "x1", "w0", "w1", "v"))]
    rows = [
        (f"{n} {{}} differences {{}} minigan {{}}", v, near(v, 2e-6), v) for n, v in zip(names, values, strict=True)
    ]
    return Law(rows)


def gradients() -> Law:
    x, w = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    d = 1 - np.tanh(x) ** 2
    length = np.linalg.norm(w * d)
    pull = 2 * (length - 1) / length * w * d * d
    rows = [
        ("f = {}", 36),
        *((f"f{'’' * 0}{mark} = [{{}}, {{}}, {{}}]{formula}", *values) for mark, values, formula in (
            ("'", (3, 12, 27), " = 3 x^2"), ("''", (6, 12, 18), " = 6 x"), ("'''", (6, 6, 6), " = 6"))),
        ("penalty = {} d penalty / d w = [{}, {}, {}]", (length - 1) ** 2, *(near(p, 1e-6) for p in pull)),
    ]  # fmt: skip
    return Law(rows)


def own_op() -> Law:
    def law(f: Figures) -> None:
        """The wrong op leaves x s (1 - s) out: its derivative is s / (s + x s (1 - s)) of the right one."""
        x = np.random.default_rng(0).standard_normal((3, 4))[int(f["row"][0]), int(f["column"][0])]
        s = 1 / (1 + np.exp(-x))
        assert f["wrong"] / f["right"] == [pytest_approx(s / (s + x * s * (1 - s)), 1e-6)]

    tiny = between(0, 1e-9)
    return Law(
        [
            ("Swish, order 0: worst error against the same in other ops {}", tiny),
            *((f"Swish, order {k}: worst error against finite differences of order {k - 1} {{}}", tiny)
              for k in (1, 2, 3)),
            ("WrongSwish is found out: WrongSwish: order-1 derivative by input 0 at element ({}, {}) is {},"
             " finite differences say {}; look at vjp first", "row", "column", "wrong", "right"),
        ],
        law,
    )  # fmt: skip


def saturation() -> Law:
    t = np.log(0.01 / 0.99)
    values = {
        "minimax": (np.log(0.99), -0.01),
        "non-saturating": (-np.log(0.01), -0.99),
        "least-squares": ((t - 1) ** 2 / 2, t - 1),
        "hinge": (-t, -1),
    }
    return Law([(f"{name} at D = 0.01: loss {{}}, slope {{}}", *pair) for name, pair in values.items()])


def bilinear_game() -> Law:
    eta = 0.1
    optimistic = abs((1 - 2j * eta + np.sqrt(1 - 4 * eta**2)) / 2)
    radii = {
        "simultaneous": np.hypot(1, eta),
        "alternating": 1,
        "lookahead": np.sqrt(1 - eta**2 + eta**4),
        "optimistic": optimistic,
    }
    return Law([(f"{name} spectral radius {{}} theory {{}}", r, r) for name, r in radii.items()])


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def dirac_fields() -> dict[str, Callable]:
    """v(theta, psi) of every Dirac game, by hand; f'(t) = sigmoid(-t)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights, noise = weights / weights.sum(), 0.7 * nodes

    def gan(a, b):
        return np.array([sigmoid(-a * b) * b, -sigmoid(-a * b) * a])

    def noisy(a, b):
        shifted = a + noise
        return np.array(
            [
                weights @ (sigmoid(-b * shifted) * b),
                -weights @ (sigmoid(-b * shifted) * shifted - sigmoid(b * noise) * noise),
            ]
        )

    def consensus(a, b):  # v + J^T v, J the Jacobian of gan's field
        s, v = sigmoid(-a * b), gan(a, b)
        slope = -s * (1 - s)
        jacobian = np.array([[slope * b * b, s + slope * a * b], [-s - slope * a * b, -slope * a * a]])
        return v + jacobian.T @ v

    return {
        "gan": gan,
        "ns-gan": lambda a, b: np.array([sigmoid(a * b) * b, -sigmoid(-a * b) * a]),
        "wgan": lambda a, b: np.array([b, -a]),
        "wgan-clip": lambda a, b: np.array([b, -a]),
        "wgan-gp": lambda a, b: np.array([b, -a + 0.7 * (abs(b) - 1) * np.sign(b)]),
        "instance-noise": noisy,
        "gp": lambda a, b: gan(a, b) + np.array([0, 0.3 * b]),
        "consensus": consensus,
    }


DIRAC_EIGENVALUES = {
    "gan": (0, 1 / 2),
    "ns-gan": (0, 1 / 2),
    "wgan": (0, 1),
    "wgan-clip": (0, 1),
    "instance-noise": (-(0.7**2) / 4, np.sqrt(1 / 4 - (0.7**2 / 4) ** 2)),
    "gp": (-0.15, np.sqrt(1 / 4 - 0.15**2)),
    "consensus": (-1 / 4, 1 / 2),
}


def dirac_gan(steps: int, slow: bool) -> Law:
    rows: list[Row] = [("game simultaneous alternating eigenvalues at (0, 0)",)]
    for name, v in dirac_fields().items():
        radii = []
        for alternating in (False, True):
            a = b = 1.0
            for _ in range(steps):
                step = a - 0.2 * v(a, b)[0]
                b -= 0.2 * v(step if alternating else a, b)[1]
                a, b = step, np.clip(b, -1, 1) if name == "wgan-clip" else b
            radii.append(near(np.hypot(a, b), 0.006 * np.hypot(a, b)))  # three digits are printed
        if name == "wgan-gp":
            rows.append((f"{name} {{}} {{}} the penalty has a kink there", *radii))
        else:
            rows.append((f"{name} {{}} {{}} {{}} +- {{}} i", *radii, *DIRAC_EIGENVALUES[name]))
    return Law(rows, args=("--steps", str(steps)), slow=slow)


def gan_eigenvalues() -> Law:
    def law(f: Figures) -> None:
        """The pair's sum and product, w |a|^2 and (|a| |h| / 2)^2, are those of the Dirac-GAN, whatever the weights;
        the step's matrix says where G is after 60 of them."""
        one, other = f["real"] + 1j * f["turn"], f["other real"] + 1j * f["other turn"]
        products, sums = (one * other).real, -(one + other).real
        assert np.allclose(products, products[0], rtol=1e-3) and np.allclose(sums, [0, sums[1], 3 * sums[1]], atol=1e-3)
        assert sums[1] ** 2 == pytest_approx(products[0], 1e-3)  # at half of |h| / |a| damping is half of the frequency
        assert (f["turn"][0] > 1) and f["turn"][2] == f["other turn"][2] == 0  # a circle; no rotation any more
        assert (np.abs(f["measured"] - f["linear"]) < 1e-3).all() and (f["wrong by"] < 1e-10).all()
        assert abs(f["measured"][0]) > 3 * np.abs(f["measured"][1:]).max()

    rows = [
        (f"R1 {share:g} |h|/|a|: eigenvalues {{}}{{}}j and {{}}{{}}j, formula off by {{}}; after 60 steps"
         " G's point is at {} of the push, linear theory {}",
         "real", "turn", "other real", "other turn", "wrong by", "measured", "linear") for share in (0, 0.5, 1.5)
    ]  # fmt: skip
    return Law(rows, law, ("--steps", "60"))


def earth_mover() -> Law:
    rows = [
        ("plan {} dual {} closed form {}", 5, 5, 5),
        ("slopes between the piles [{} {} {}], on every coupled way [{}]", -1, -1, 1, 1),
        ("the plane, 12 coupled pairs: slope of f along the way at the real point {} to {}, half way {} to {},"
         " at the fake point {} to {}",
         *[between(-1.001, 1.001)] * 2, *[near(1, 2e-3)] * 2, *[between(-1, 0.9)] * 2),
    ]  # fmt: skip
    return Law(rows)


def divergences() -> Law:
    rows = [
        ("cross entropy - entropy - KL = {}; likelihood's Gaussian: {}, {}", near(0, 1e-12), 0, np.sqrt(4 + 0.6**2)),
        ("disjoint: KL {}, JS {}; after noise: KL {}", np.inf, LN2, 0.9 * np.log(0.95 / 0.05)),
    ]
    return Law(rows)


def parallel_lines() -> Law:
    text = "theta {} tv {} kl {} reverse_kl {} js {} w {}"
    return Law([(text, t, *((1, np.inf, np.inf, LN2, abs(t)) if t else (0,) * 5)) for t in (-1, 0, 0.5)])


def iterated_optimal_d() -> Law:
    start = js_of(normal, partial(normal, mu=3))
    return Law([("JS {} -> {}, falling at every step: True", start, 0.0)])


def smooth_evolution() -> Law:
    s = 0.1

    def js(theta: float) -> float:
        return js_of(partial(normal, sigma=s), partial(normal, mu=theta, sigma=s))

    rows: list[Row] = []
    for k, theta in enumerate(np.linspace(2, 0, 11)):
        slope = (js(theta + 1e-4) - js(theta - 1e-4)) / 2e-4
        w, steep = (near(theta, 1e-4), near(1, 1e-4)) if theta else (near(0, 1e-4), near(0, 1e-4))
        text = f"G_{k}: theta {theta:.1f} W1 {{}}, slope {{}} JS {{}}, slope {{}}"
        rows.append((text, w, steep, near(js(theta), 1e-4), near(slope, 1e-3)))
    text = "of its whole fall the first step takes {}, the last {}; descent is at theta {} after {} steps"
    rows.append((f"W1: {text}", 10, 10, near(0, 1e-3), 40))
    rows.append((f"JS: {text}", 0, near(100 * js(0.2) / js(2), 0.06), 2, 100))
    return Law(rows, args=("--steps", "100"))


def seeing_diversity() -> Law:
    def law(f: Figures) -> None:
        """Of k equally likely modes two draws are equal in 1 / k; the mean distance of two is that of the ring's
        chords; four deviations of 32 pairs, and of 64 samples."""
        k = np.arange(1, 9)
        assert (np.abs(f["equal"] / 100 - 1 / k) < 4 * np.sqrt(1 / k * (1 - 1 / k) / 32) + 1e-9).all()
        chords = [np.mean([2 * np.sin(np.pi * abs(i - j) / 8) for i in range(n) for j in range(n)]) for n in k]
        assert (np.abs(f["distance"] - chords) < 0.15).all() and (np.diff(f["closeness"]) < 0).all()
        assert f["closeness"][0] > 0.9

    text = "{} modes: mean distance {{}} closeness {{}} equal pairs {{}}"
    return Law([(text.format(k), "distance", "closeness", "equal") for k in range(1, 9)], law)


def label_smoothing() -> Law:
    p, q = normal(6.0), normal(6.0, 3, 0.7)
    rows = []
    for a, b in ((1, 0), (0.9, 0), (0.9, 0.1)):
        far = (a * p + b * q) / (p + q)
        rows.append(
            (f"labels {a:g}, {b:g}: largest |D - formula| {{}}; D far in the fakes {{}}", between(0, 1e-5), far)
        )
    return Law(rows, args=("--steps", "60"))


def sphere() -> Law:
    from math import gamma

    rows: list[Row] = []
    for d in (2, 10, 100):
        mean = np.sqrt(2) * (gamma((d + 1) / 2) / gamma(d / 2))
        spread = np.sqrt(d - mean**2)
        rows.append(
            (f"d {d}: |z| {{}} +- {{}}, sqrt(d) {{}}, spread on the sphere {{}}",
             near(mean, 4 * spread / 4000**0.5), near(spread, 0.04), np.sqrt(d), between(0, 1e-5))
        )  # fmt: skip
    middle = near(np.sqrt(50), 1.2)  # a . b has a deviation of 10: three of them
    rows.append(("middle: straight {} (sqrt(d/2) = {}), great circle {}", middle, np.sqrt(50), 10))
    return Law(rows)


def slide_bilinear() -> Law:
    e = 0.1
    two, three = (1 - e**2, 2 * e), (1 - 3 * e**2, 3 * e - e**3)
    pair = "[{} {}]"
    rows = [
        (f"step 2: claim {pair}, steps {pair}, matrix {pair}", 1 - e**2, e * (1 + e), *two, *two),
        (f"step 3: claim {pair}, steps {pair}, matrix {pair}", 1 - 2 * e**2 - e, 2 * e + e**3, *three, *three),
        ("|lambda| = {} > 1 for every eta > 0", np.hypot(1, e)),
        ("verdict: the slide's steps 2 and 3 are slips, and the spiral never closes into a circle",),
    ]
    return Law(rows)


def slide_js_half() -> Law:
    rows = [
        ("claim: {}; computation without the halves {}, with them {}", LN2, 2 * LN2, LN2),
        ("verdict: the halves are missing on the slide; its log 2 is right with them",),
    ]
    return Law(rows)


def slide_margin() -> Law:
    rows = [
        ("claim: a hinge; for f = 2D - 1 the largest |max(0, 1 + f) - (1 + f)| is {}", between(0, 1e-6)),
        ("of the outputs clipped to 0: unbounded f {}, bounded f {}", 100 * 51 / 121, 0),
        ("verdict: with f = 2D - 1 the loss is linear in D; take f as the raw output for a hinge",),
    ]
    return Law(rows)


def slide_critic_sign() -> Law:
    random = np.random.default_rng(0)
    real, fake = (random.standard_normal(500) + c for c in (1, -1))
    w = real.mean() - fake.mean()
    rows = [
        ("minimise: E_r f - E_g f ends at {}; W is {}", w, w),
        ("maximise: E_r f - E_g f ends at {}; W is {}", -w, w),
        ("verdict: the critic minimises E_g f - E_r f; the other sign turns G away from the data",),
    ]
    return Law(rows, args=("--steps", "40"))


def slide_clip_gradients() -> Law:
    rows = [
        ("clip gradients: slope of f after 100 steps {}", 100 * 0.05 * 0.01),
        ("clip weights : slope of f after 100 steps {}", 0.01),
        # E over t uniform in (-1, 1) of (|1 - 4 t| - 1)^2 where |t| < 1/2: 5 / 12; 64 draws
        ("unsquared at real x: {}; squared between real and fake: {}", 0, near(5 / 12, 0.3)),
        ("verdict: weights are clipped; and a penalty at reals alone misses slopes where the fakes have to travel",),
    ]
    return Law(rows, args=("--steps", "100"))


def slide_loop_count() -> Law:
    rows = [
        ("claim: 5 critic steps a generator step; read literally t runs over [0, 1, 2, 3, 4, 5]: 6 steps",),
        ("share of critic updates: {} instead of {}", 6 / 7, 5 / 6),
        ("verdict: an off-by-one in the pseudocode; the paper's experiments take n_critic steps",),
    ]
    return Law(rows)


def slide_one_sided() -> Law:
    text = "labels {:g}, {:g}: best D on data {{}}, on both {{}}, on fakes alone {{}}"
    rows = [(text.format(a, b), a, (a + b) / 2, b) for a, b in ((1, 0), (0.9, 0), (0.9, 0.1))]
    last = "verdict: 0.9 / 0.1 smooths both sides; one-sided is 0.9 / 0, which leaves D = 0 on fakes alone"
    return Law([*rows, (last,)])
