"""The page's engine computes what the Python engine computes, from the same seed by the same streams of random numbers:
every loss at each of 50 steps and every weight after 1, 10, 25 and 50 of them, to 1e-5, both in float64.

In float64 both sums differ by rounding alone, some 1e-16 a step. Adam divides a gradient by its own size, so a gradient
that is zero but for rounding (a bias before batch norm, a shift that a relativistic loss cancels) moves a weight by
rate * 1e-16 / 1e-8 a step, far below 1e-5. The browser draws everything itself: points, batches, first weights,
latents, noise.
"""

import numpy as np
import pytest
from lab_reference import Tricks, Wide

from minigan.backend import Generator
from minigan.gan.losses import LOSSES
from minigan.gan.penalties import PENALTIES
from minigan.gan.theory import games
from minigan.gan.toy import ToyOptions
from minigan.gan.toy import data as toydata
from minigan.gan.tricks import ImpossiblePair, check

STEPS, LOOKS = 50, (1, 10, 25, 50)
TOLERANCE = 1e-5
SIZE, BATCH, SEED, WEIGHT = 8, 16, 3, 0.5
NUMBERS = {"weight": WEIGHT, "clip": 0.05, "gamma": 0.1, "sigma": 0.2, "smooth": 0.9, "flip": 0.1}
RATES = {"lr_d": 1e-3, "lr_g": 2e-3, "beta1": 0.5, "beta2": 0.99, "n_critic": 1, "average": 0.9}
TOY = {"spectral": "spectral-norm", "packing": "packing", "unrolled": "unrolled", "minibatch": "minibatch"}
"""The page's tricks that the toy trainer has, by its names."""

CASES = [
    *((name, "two-sided", (), data) for name, data in zip(LOSSES, [*toydata.BUILDERS] * 4, strict=False)),
    ("wasserstein", "none", ("clip",), "ring"),
    ("least-squares", "none", (), "moons"),
    *(("relativistic", "none", (trick,), "grid") for trick in TOY),
    ("minimax", "r1", ("smoothing", "spherical"), "ring"),
    ("hinge", "r2", ("noisy-labels", "instance-noise"), "ring"),
    ("relativistic-average", "one-sided", ("optimistic", "instance-noise"), "roll"),
    ("f-kl", "zero-centred", ("feature-matching",), "ring"),
    ("non-saturating", "r1", ("consensus",), "grid"),
    ("relativistic", "none", ("lookahead", "batch-norm"), "ring"),
    ("relativistic", "r1+r2", (), "ring"),
    ("least-squares", "two-sided", ("virtual-batch-norm",), "spiral"),
]


def every_pair() -> list[tuple]:
    """Every loss with every penalty, and with every trick that goes with it."""
    names = ("clip", "spectral", "batch-norm", "virtual-batch-norm", "minibatch", "packing", "unrolled", "lookahead")
    names += ("optimistic", "consensus", "feature-matching", "smoothing", "noisy-labels", "instance-noise", "spherical")
    pairs = [(loss, penalty, (), "ring") for loss in LOSSES for penalty in PENALTIES]
    for loss in LOSSES:
        for trick in names:
            try:
                check(loss, [trick])
            except ImpossiblePair:
                continue
            pairs.append((loss, "none", (trick,), "grid"))
    return pairs


def depth(tricks=()) -> int:
    """Hidden layers: fewer where the Python side runs op by op."""
    return 1 if tricks else 2


def python_trainer(loss, penalty, tricks, data):
    """The Python side of a case: the toy trainer itself where it has the trick, else the one with all tricks."""
    common = {"data": data, "loss": loss, "batch_size": BATCH, "seed": SEED, "width": SIZE}
    common |= {"depth": depth(tricks)}
    common |= {"steps": STEPS, "gp_weight": WEIGHT, "unroll": 2, "unroll_lr": 0.01, **RATES}
    if not tricks and penalty == "two-sided":
        return Wide(ToyOptions(trick="gp", **common))
    if penalty == "none" and len(tricks) < 2 and (not tricks or tricks[0] in TOY):
        wanted = TOY[tricks[0]] if tricks else "plain"
        if not (LOSSES[loss].lipschitz and wanted != "spectral-norm"):  # it clips then, which is a trick of the page
            return Wide(ToyOptions(trick=wanted, **common))
    if loss == "wasserstein" and (penalty, tricks) == ("none", ("clip",)):
        return Wide(ToyOptions(trick="plain", clip=NUMBERS["clip"], **common))
    if not {"packing", "spectral", "unrolled", "minibatch"} & set(tricks):
        plain = ToyOptions(trick="gp" if LOSSES[loss].lipschitz else "plain", **common)
        return Tricks(plain, tricks, penalty, **NUMBERS)
    return None


def python_run(trainer) -> tuple[np.ndarray, list[np.ndarray]]:
    losses, weights = [], []
    for step in range(1, STEPS + 1):
        figures = trainer.step()
        critic = figures.get("d_objective", figures.get("d_loss"))
        losses.append([critic.item(), figures["g_loss"].item()])
        if step in LOOKS:
            weights.append(np.concatenate([a.ravel() for a in trainer.weights()]))
    return np.array(losses), weights


RUN = """(settings, steps, looks) => {
  const trainer = new Training.Trainer({ ...Settings.initial(), ...settings }, Data.load(settings.data));
  const losses = [], weights = [];
  for (let step = 1; step <= steps; step++) {
    const figures = trainer.step();
    losses.push([figures.d_objective ?? figures.d_loss, figures.g_loss]);
    const all = [...trainer.generator.parameters(), ...trainer.critic.parameters()];
    if (looks.includes(step)) weights.push(all.flatMap((p) => [...p.data]));
  }
  return [losses, weights];
}"""


def page_run(browser, loss, penalty, tricks, data):
    settings = {"data": data, "loss": loss, "penalty": penalty, "tricks": tricks, "batch": BATCH, "seed": SEED}
    settings |= {"width_g": SIZE, "width_d": SIZE, "depth_g": depth(tricks), "depth_d": depth(tricks), "fall": STEPS}
    settings |= {"pack": 2, "unroll": 2, "unroll_lr": 0.01, **RATES, **NUMBERS}
    return browser.call(RUN, settings, STEPS, LOOKS)


@pytest.fixture(scope="module")
def engine(browser, address):
    browser.open(address)
    return browser


def agree(engine, case) -> float:
    """The largest difference of any loss and weight, as a share of 1 + its size; fails where it is above the
    tolerance."""
    losses, weights = python_run(python_trainer(*case))
    page_losses, page_weights = page_run(engine, *case)
    assert np.isfinite(losses).all() and len(weights) == len(LOOKS)
    np.testing.assert_allclose(page_losses, losses, rtol=TOLERANCE, atol=TOLERANCE, err_msg="losses")
    for step, ours, theirs in zip(LOOKS, page_weights, weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"weights after step {step}")
    pairs = [(page_losses, losses), *zip(page_weights, weights, strict=True)]
    return max(np.max(np.abs(a - b) / (1 + np.abs(b))) for a, b in pairs)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join([c[0], c[1], *c[2]]))
def test_fifty_steps_agree(engine, case):
    agree(engine, case)


@pytest.mark.slow
def test_every_pair_agrees(engine):
    """All losses x all penalties, all losses x all tricks; prints the largest difference."""
    cases = [case for case in every_pair() if python_trainer(*case) is not None]
    gaps = {case: agree(engine, case) for case in cases}
    worst = max(gaps, key=gaps.get)
    print(f"{len(cases)} cases, largest difference {gaps[worst]:.1e} of 1 + size, at {worst}")


def test_the_cases_cover_the_tables():
    assert {case[0] for case in CASES} == set(LOSSES) and {case[1] for case in CASES} == {"none", *PENALTIES}
    assert {case[3] for case in CASES} == set(toydata.BUILDERS)
    page_tricks = {trick for case in every_pair() for trick in case[2]}
    assert {trick for case in CASES for trick in case[2]} == page_tricks


def test_random_numbers_are_the_same_to_the_bit(engine):
    """Words, uniforms and normals of several seeds, streams and draws, an odd count and a seed above 32 bits too."""
    code = """(seed, stream, count) => {
      const s = new Philox.Stream(seed, stream);
      return [[...s.normal(count)], [...s.uniform(count)], [...s.normal(count)], [...s.integers(7, count)]];
    }"""
    for seed, stream, count in ((0, 0, 1), (1, 6, 501), (2**40 + 17, 3, 64), (4294967295, 2**31 + 5, 10)):
        draws = engine.call(code, seed, stream, count)
        random = Generator(seed, stream)
        expected = [
            random.normal((count,)),
            random.uniform((count,)),
            random.normal((count,)),
            random.integers(0, 7, (count,)),
        ]
        for ours, theirs in zip(draws, expected, strict=True):
            assert ours == theirs.astype(float).tolist()


def test_looking_agrees(engine):
    """Samples of the average, the critic's landscape with its slopes: the toy trainer's, and no number of the training
    is drawn for them."""
    case = ("non-saturating", "two-sided", (), "grid")
    trainer = python_trainer(*case)
    for _ in range(5):
        trainer.step()
    places = np.random.default_rng(0).normal(size=(7, 2)) * 3
    settings = {"data": "grid", "penalty": "two-sided", "batch": BATCH, "seed": SEED, "fall": STEPS, **RATES, **NUMBERS}
    settings |= {"width_g": SIZE, "width_d": SIZE, "depth_g": depth(), "depth_d": depth()}
    samples, value, slope, pull = engine.call(
        """(settings, places) => {
          const t = new Training.Trainer({ ...Settings.initial(), ...settings }, Data.load(settings.data));
          for (let k = 0; k < 5; k++) { t.sample(9); t.landscape(places); t.pull(places); t.step(); }
          return [t.sample(9), ...t.landscape(places), t.pull(places)].map((a) => [...a]);
        }""",
        settings,
        places.ravel().tolist(),
    )
    for network in (trainer.average.module, trainer.critic):  # looking is float32 there
        network.to(dtype=np.float32)
    np.testing.assert_allclose(np.reshape(samples, (9, 2)), trainer.sample(9), atol=1e-5)
    values, slopes = trainer.landscape(places)
    np.testing.assert_allclose(value, values, atol=1e-4)
    np.testing.assert_allclose(np.reshape(slope, (7, 2)), slopes, atol=1e-4)
    # G's loss is mean softplus(-D): minus its gradient, times the number of samples, is sigmoid(-D) D's slope.
    expected = (slopes * trainer.spread) / (1 + np.exp(values))[:, None]
    np.testing.assert_allclose(np.reshape(pull, (7, 2)), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["bilinear", *games.dirac()])
def test_games_agree(engine, name):
    """Trajectories of every method and the eigenvalues of its map; eigenvalues have no order, so they are sorted."""
    game = games.BILINEAR if name == "bilinear" else games.dirac()[name]
    code = """(name, start) => Object.fromEntries(Games.METHODS.map((method) => {
      let w = start, past = null;
      for (let k = 0; k < 20; k++) [w, past] = Games.stepOf(name, method, 0.2, w, past);
      return [method, [w, Games.updateEigenvalues(name, method, 0.2)]];
    }))"""
    results = engine.call(code, name, game.start)
    assert list(results) == list(games.METHODS)
    for method, (end, eigenvalues) in results.items():
        np.testing.assert_allclose(end, games.trajectory(game, method, 0.2, 20)[-1], atol=1e-9)
        ours = np.sort_complex(np.round([complex(*z) for z in eigenvalues], 6))
        theirs = np.sort_complex(np.round(games.update_eigenvalues(game, method, 0.2).astype(complex), 6))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_running_statistics_agree(engine):
    """Those of a critic's batch norm, which the landscape reads: mean and unbiased variance, momentum 0.1."""
    trainer = python_trainer("non-saturating", "none", ("batch-norm",), "ring")
    for _ in range(3):
        trainer.step()
    settings = {"data": "ring", "tricks": ["batch-norm"], "batch": BATCH, "seed": SEED, "fall": STEPS, **RATES}
    settings |= {"width_g": SIZE, "width_d": SIZE, "depth_g": 1, "depth_d": 1}
    mean, variance = engine.call(
        """(settings) => {
          const t = new Training.Trainer({ ...Settings.initial(), ...settings }, Data.load("ring"));
          for (let k = 0; k < 3; k++) t.step();
          return [t.critic.layers[0].centre, t.critic.layers[0].variance].map((a) => [...a]);
        }""",
        settings,
    )
    np.testing.assert_allclose(mean, trainer.critic[1].running_mean.data, atol=TOLERANCE)
    np.testing.assert_allclose(variance, trainer.critic[1].running_var.data, atol=TOLERANCE)


def test_resizing_keeps_the_function(engine):
    """Wider and deeper networks of plain or spectral form give the outputs of before; a smaller one is finite."""
    gaps = engine.js(
        """[[], ["packing"]].flatMap((tricks) => {
          const s = { ...Settings.initial(), tricks };
          const t = new Training.Trainer(s, Data.load("ring"));
          for (let k = 0; k < 3; k++) t.step();
          const places = Draw.lattice({ x: -1, y: -1, side: 2 }, 5), z = t.sample(20);
          const values = t.landscape(places)[0];
          t.change({ ...s, width_g: 40, depth_g: 4, width_d: 50, depth_d: 3 });
          const gap = (a, b) => Math.max(...a.map((x, i) => Math.abs(x - b[i])));
          const gaps = [gap(z, t.sample(20)), gap(values, t.landscape(places)[0])];
          t.change({ ...s, width_g: 5, depth_g: 1, width_d: 6, depth_d: 1 });
          t.step();
          return [...gaps, t.sample(5).every(Number.isFinite) ? 0 : 1];
        })"""
    )
    assert max(gaps) < 1e-9
