"""The examples run as their first lines say, and what they show is so."""

import ast
import importlib.util
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from example import example
from PIL import Image

from minigan import cudasim

FOLDER = Path(importlib.util.find_spec("minigan.examples").origin).parent
EXAMPLES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
# What an example must print in its quick setting; it also runs whole and draws its picture.
SHOWS = {
    "40_ring": "of 8 modes, .* of high quality",
    "41_tricks_against_collapse": "packing, seed 11 (.|\n)*N\\(0, 0.3\\^2\\)  +0.0  +0.0  +0.000  +0.000  +infinite",
    "27_tricks_measured": "packing (.|\n)*a blob of their spread holds 0 at 0.4%",
    "42_critic_too_strong": "last / first",
    "43_mode_collapse": "spread",
    "44_diverging_rates": "diverged: ",
    "10_optimal_discriminator": "^max V = -0.559018   -2 ln 2 \\+ 2 JS = -0.559018\n",
    "11_saturation": "minimax .* -0.01005, slope  -0.0100\nnon-saturating .* 4.60517, slope  -0.9900",
    "12_bilinear_game": "lookahead     spectral radius 0.99504   theory 0.99504",
    "13_dirac_gan": "gan                     1.96          1.4",
    "15_earth_mover": "plan 5   dual 5   closed form 5",
    "16_divergences": "KL inf, JS 0.6931; after noise: KL 2.6500",
    "17_parallel_lines": "theta  0.50   tv 1.0000   kl inf   reverse_kl inf   js 0.6931   w 0.5000",
    "18_iterated_optimal_d": "falling at every step: True",
    "20_fgan_table": "pearson       0.5733  1.9276 .* 0.6457",
    "22_mixture_by_likelihood": "never falling: True(.|\n)*never falling: True",
    "25_label_smoothing": "labels 0.9, 0.1: .*D far in the fakes 0.100",
    "30_slide_bilinear": "verdict: the slide's steps 2 and 3 are slips",
    "31_slide_js_half": "without the halves 1.3863, with them 0.6931",
    "32_slide_margin": "unbounded f 42%, bounded f 0%",
    "33_slide_critic_sign": "minimise: E_r f - E_g f ends at \\+2.042; W is 2.042",
    "34_slide_clip_gradients": "clip weights  : slope of f after 100 steps 0.0100",
    "35_slide_loop_count": ": 6 steps",
    "65_cyclegan": "openmoji to twemoji: L1 to 204 true pairs .*, identity map 0.4830",
    "66_stargan": "hat: turned over in .*, the other attributes kept in .* judge is right on 99.9%",
    "67_paired_bound": "openmoji to twemoji, trained on 816 pairs: L1 to 204 held-out pairs .*, identity map 0.4830",
    "37_slide_one_sided": "labels 0.9, 0.1: .* on fakes alone 0.10",
    "60_conditional_gan": "% of 1000 samples agree with their label, by a classifier that is right on 98.8%",
    "61_acgan": "% of 1000 samples agree with their label, .* D itself says",
    "62_infogan": "bound .* of log 10 = 2.303; digits of the categories: (.|\n)*purity .*% of 1000 samples",
}

INFINITE = {"16_divergences", "17_parallel_lines"}
"""Examples that print a divergence which is infinite in theory."""


def test_the_scalar_engine(tmp_path):
    """Example 00: three derivatives and a penalty's five: the engine, differences and minigan print the same numbers,
    and they are those of the formulas."""
    shown = example("00_scalar_engine", cwd=tmp_path)
    names = re.findall(r"^(\S+) ", shown, re.MULTILINE)
    assert names == ["df/dx", "df'/dx", "df''/dx", *(f"dP/d{x}" for x in ("x0", "x1", "w0", "w1", "v"))]
    here, differences, there = figures(rf"{N} +differences *{N} +minigan *{N}\n", shown).T
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
    by_hand = [*curve, *(pull * by_x), *(pull * by_w), pull * d * length]
    assert (here == there).all() and here == pytest.approx(by_hand, abs=1e-6)
    assert differences == pytest.approx(here, abs=2e-6)


def test_the_scalar_engine_s_rules():
    """Each operation's derivatives, to order 3, are minigan's; a long chain is no trouble; what is not reached is 0."""
    import minigan as mg

    module = runpy.run_module("minigan.examples.00_scalar_engine")
    value, grad = module["Value"], module["grad"]

    def leaky(x):
        return x.leaky_relu(0.2) if isinstance(x, value) else mg.functional.leaky_relu(x, 0.2)

    for f in (
        lambda x: (2 - x) * (x - 3) / (5 + -x) + (1 + x * x) ** -1,
        lambda x: (x**3 - x**0.5).tanh() + x**0 + x**1,
        lambda x: leaky(x * x - 9) * x + leaky(x) ** 2,
    ):
        x, t = value(1.3), mg.tensor(1.3, dtype=mg.float64, requires_grad=True)
        y, other = f(x), f(t)
        for _ in range(3):
            (y,), (other,) = grad(y, [x]), mg.grad(other, t, create_graph=True)
            assert y.data == pytest.approx(other.item(), rel=1e-12)
    x, zero = value(2.0), value(0.0)
    y = x
    for _ in range(100_000):
        y = y + x
    assert grad(y, [x, zero])[0].data == 100_001 and grad(y, [zero])[0].data == 0
    third = zero**2
    for expected in (0, 2, 0):  # no division by zero on the way
        (third,) = grad(third, [zero])
        assert third.data == expected


def test_gradients(tmp_path):
    """The derivatives of x^3 at 1, 2, 3; by `python -m`, and the same in this process, where the other examples run."""
    command = [sys.executable, "-m", "minigan.examples.01_gradients"]
    out = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert out == example("01_gradients", cwd=tmp_path)
    assert "[3.0, 12.0, 27.0]" in out and "[6.0, 12.0, 18.0]" in out and "[6.0, 6.0, 6.0]" in out


def test_your_own_op(tmp_path):
    """The right op passes at three orders; the wrong one is found out."""
    out = example("02_your_own_op", cwd=tmp_path)
    assert out.count("worst error") == 4 and "WrongSwish is found out" in out and "look at vjp first" in out


@pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
def test_race(tmp_path):
    """The race is caught in every order of threads, unchecked runs go by luck, the fixed sum passes."""
    out = example("50_cudasim_race", cwd=tmp_path)
    assert "Verdict: the race is caught in every order, and gone when fixed." in out
    assert out.count("with it, ") == 6 and out.count("checked: nothing found") == 3 and "WRONG" in out


@pytest.mark.parametrize(("name", "picture"), [("03_wgan_gp", "wgan_gp.png"), ("04_dcgan", "dcgan.png")])
def test_gans(name, picture, tmp_path):
    """A few steps run and draw a sheet."""
    out = example(name, "--steps", "2", cwd=tmp_path)
    assert "step    2" in out
    with Image.open(tmp_path / picture) as image:
        assert image.size[0] > 200


def test_the_penalty_of_the_example_is_the_library_s():
    """The gradient penalty written out in the example equals minigan.gan.penalties on the same numbers."""
    import minigan as mg
    from minigan.gan.penalties import gradient_penalty

    module = runpy.run_module("minigan.examples.03_wgan_gp")
    mg.manual_seed(0)
    f, real, fake = module["critic"](), mg.randn(64, 1, 32, 32), mg.randn(64, 1, 32, 32)
    mg.manual_seed(1)
    ours = module["gradient_penalty"](f, real, fake)
    mg.manual_seed(1)
    theirs, _ = gradient_penalty(lambda x: f(x)[:, 0], real, fake, mg.rand(64, 1, 1, 1))
    assert abs(ours.item() - theirs.item()) < 1e-5


@pytest.mark.parametrize("name", [n for n in EXAMPLES if "10" <= n < "50" or "60" <= n < "70"])
def test_every_example_runs_and_draws(name, tmp_path):
    """In a quick setting, with `--device cpu` where it trains: a picture that is not blank, and what SHOWS names. Those
    from 70 on are run by test_examples_plain.py."""
    source = (FOLDER / f"{name}.py").read_text()
    quick = {"13": "100", "18": "60", "20": "0", "25": "60", "33": "40", "34": "100"}
    steps = (quick | dict.fromkeys(("60", "61", "62"), "40")).get(name[:2], "3")
    args = ["--steps", steps] if '"--steps"' in source else []
    args += ["--seeds", "1"] if '"--seeds"' in source else []
    args += ["--device", "cpu"] if '"--device"' in source or "@device_option" in source else []
    output = example(name, *args, cwd=tmp_path)
    assert re.search(SHOWS.get(name, "."), output), output
    assert not re.search(r"\bnan\b", output) and (name in INFINITE or not re.search(r"\binf\b", output)), output
    pictures = list(tmp_path.glob("*.png"))
    assert pictures, f"{name} drew nothing"
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.size[0] > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 5


def figures(pattern: str, output: str) -> np.ndarray:
    """The numbers that the pattern's groups find, a row a match."""
    return np.array([[float(n.rstrip("%")) for n in row] for row in map(re.Match.groups, re.finditer(pattern, output))])


N = r"([-+.\de]+%?)"
"""A printed number, as a group."""


def test_a_penalty_damps_the_rotation(tmp_path):
    """Example 14: without R1 eigenvalues of -J lie beside the imaginary axis, with it the turning ones are damped."""
    output = example("14_gan_eigenvalues", "--steps", "100", cwd=tmp_path)
    plain, damped = figures(f"imaginary part {N}, most damped {N}, largest real part {N}", output)
    assert damped[1] < plain[1] - 0.1 and damped[2] <= plain[2] + 1e-6 and plain[0] > 0


def test_js_saturates_where_w_does_not(tmp_path):
    """Example 19: whatever the distance, a trained D sees ln 2 within 5 %; W1 grows with it, tenfold and more."""
    output = example("19_js_tells_little", "--steps", "200", cwd=tmp_path)
    offset, divergence, distance = figures(f"off by +{N}: JS by D {N} .* exact W1 {N}", output).T
    assert (abs(divergence / np.log(2) - 1) < 0.05).all() and (np.diff(distance) > 0).all()
    assert len(divergence) == 4 and distance == pytest.approx(offset, abs=1e-4) and distance[-1] > 10 * distance[0]


def test_clipping_vanishes_or_explodes_and_piles_up(tmp_path):
    """Example 21: with c the slope at the first of 8 layers goes from nothing to too much, and weights end at +-c; the
    penalty does neither."""
    output = example("21_clipping", "--steps", "60", cwd=tmp_path)
    ratio, piled = figures(f"first / last layer +{N} +weights at the bound {N}", output).T
    assert len(ratio) == 4 and ratio[0] < 1e-4 and ratio[0] < ratio[1] < ratio[2] and ratio[2] > 1e2
    assert 0.02 < ratio[3] < 50 and piled[1] > 20 and piled[3] == 0  # of evenly spread weights 1 % lie there


def test_failures_on_purpose(tmp_path):
    """Example 23: a stronger D leaves minimax next to no gradient, a D that stands still loses modes, eta 1 doubles the
    squared radius at every step."""
    output = example("23_failures", cwd=tmp_path)
    ((loss, last, share, rest),) = figures(f"loss {N} -> {N}; .* is {N} of the non-saturating one, then {N}", output)
    assert last < loss / 2 and rest < share / 5
    ((modes,),) = figures(f"keeps {N} of 8 modes", output)
    assert modes <= 4
    ((radius,),) = figures(f"the radius is {N} after 40 steps", output)
    assert radius == pytest.approx(2**20, rel=5e-3)  # three digits are printed


def test_diversity_is_seen(tmp_path):
    """Example 24: with more modes in the batch samples lie further apart, and fewer of them close together."""
    output = example("24_seeing_diversity", cwd=tmp_path)
    distance, closeness, equal = figures(f"mean distance {N} +closeness {N} +equal pairs {N}", output).T
    assert len(distance) == 8 and distance[0] < 0.05 < 0.9 < distance[-1] and closeness[0] > 3 * closeness[-1]
    assert equal[0] == 100 and equal[-1] < 40


def test_latents_on_a_sphere(tmp_path):
    """Example 26: |z| is sqrt(d) +- 0.7; half way a straight line is at sqrt(d/2), the great circle at sqrt(d)."""
    output = example("26_sphere", cwd=tmp_path)
    mean, spread, root, sphere = figures(rf"\|z\| {N} \+- {N}, sqrt\(d\) {N}, on the sphere {N}", output).T
    assert mean[1:] == pytest.approx(root[1:], rel=0.03) and (abs(spread - 0.7) < 0.06).all() and (sphere < 1e-5).all()
    ((straight, half, circle),) = figures(rf"straight {N} \(sqrt\(d/2\) = {N}\), great circle {N}", output)
    assert straight == pytest.approx(half, rel=0.15) and circle == pytest.approx(10, rel=1e-3)


def test_one_batch_is_learnt_by_heart(tmp_path):
    """Example 36: a critic that sees one real batch 40 times tells it from other reals; with fresh ones it does not."""
    output = example("36_slide_one_batch", cwd=tmp_path)
    (one,), (fresh,) = figures(f"after 40 steps {N} ", output)
    assert one > 0.1 and abs(fresh) < one / 3


def test_a_gan_has_no_blobs(tmp_path):
    """Example 22: most samples of 3 Gaussians lie off the ring; the small GAN's are nearer to it, by share and by
    W1."""
    output = example("22_mixture_by_likelihood", "--steps", "50", cwd=tmp_path)
    (few, few_w1), (many, _), (gan, gan_w1) = figures(f"off the ring {N}, W1 {N}", output)
    assert few > 60 and gan < many < few and gan_w1 < few_w1


@pytest.mark.slow
def test_packing_finds_every_mode(tmp_path):
    """Example 41, three seeds: packing finds all eight modes, plain leaves some out."""
    output = example("41_tricks_against_collapse", "--seeds", "3", cwd=tmp_path)
    found = {name: figures(f"{name}, seed 1[123] +{N}", output)[:, 0] for name in ("plain", "packing")}
    assert (found["packing"] == 8).all() and found["plain"].sum() < 24, output


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_one_page(name):
    """At most 120 lines; its first line says what it shows, and it says how it is run."""
    source = (FOLDER / f"{name}.py").read_text()
    doc = ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= 120 and len(doc.splitlines()[0]) > 20
    assert f"python -m minigan.examples.{name}" in doc
    if "optim." in source and name > "10":
        assert '"--steps"' in source and ("device_option" in source or '"--device"' in source)


def test_the_examples_are_listed():
    """`minigan examples` names every one, with its first line."""
    process = subprocess.run(
        [sys.executable, "-m", "minigan", "examples", "--json"], capture_output=True, text=True, check=True
    )
    rows = json.loads(process.stdout.splitlines()[-1])
    listing = rows if isinstance(rows, list) else rows["examples"]
    assert [row["name"] for row in listing] == EXAMPLES and len(EXAMPLES) >= 20
    assert all(row["about"] and row["name"] in process.stdout for row in listing)
