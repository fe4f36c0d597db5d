"""The doctor: each seeded fault gets its name, and what is right gets none."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import worlds
from click.testing import CliRunner
from traces import traced

import minigan as mg
from minigan import nn, optim
from minigan.cli.main import main
from minigan.gan.diagnosis.doctor import diagnose
from minigan.gan.diagnosis.finding import CURES
from minigan.gan.diagnosis.players import _slope_at, directions
from minigan.gan.diagnosis.runs import of_course, of_samples
from minigan.gan.diagnosis.trace import Network, Trace
from minigan.gan.systems import SYSTEMS

sys.path.insert(0, str(Path(worlds.__file__).parent / "faults"))
import seeded

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
QUICK = {
    *("fake is detached in G's loss", "zero_grad is missing for D", "the critic's sign", "no create_graph"),
    *("the norm over the batch", "clipped before the step", "losses are kept with their graphs", "not a number"),
}
"""Run always; the others are slow tests."""
NOTES = {"critic-not-frozen", "fake-not-detached", "same-batch"}


def marks(quick: bool):
    return () if quick else pytest.mark.slow


def torch_or_skip(program: str) -> None:
    if program.startswith("torch"):
        pytest.importorskip("torch")


@pytest.mark.parametrize(
    "program",
    [pytest.param(p, marks=marks(p in ("minimax_mlp", "script_loop"))) for p in seeded.STEPS],
)
def test_a_right_program_has_no_fault(program):
    torch_or_skip(program)
    report = diagnose(f"{seeded.PROGRAMS / program}.py:{seeded.STEPS[program]}")
    assert report.passed and set(report.names) <= NOTES, report.text()


BY_HAND = """
import minigan as mg
from minigan import nn
from minigan.functional import softplus

G, D = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))


def move(loss, net, rate=0.01):
    weights = list(net.parameters())
    slopes = mg.grad(loss, weights)
    with mg.no_grad():
        for p, g in zip(weights, slopes):
            p -= rate * g


def step(rate_g=0.01):
    fake = G(mg.randn(32, 4)).detach()
    move(softplus(-D(mg.randn(32, 2))).mean() + softplus(D(fake)).mean(), D)
    move(softplus(-D(G(mg.randn(32, 4)))).mean(), G, rate_g)


def still():
    step(0.0)
"""


def test_weights_that_are_moved_by_hand_do_change(tmp_path):
    """And those that are not do not."""
    (tmp_path / "by_hand.py").write_text(BY_HAND)
    report = diagnose(f"{tmp_path / 'by_hand.py'}:step")
    assert report.passed and not {"generator-never-trains", "critic-never-trains"} & set(report.names), report.text()
    report = diagnose(f"{tmp_path / 'by_hand.py'}:still")
    assert "generator-never-trains" in report.names and "critic-never-trains" not in report.names, report.text()


@pytest.mark.parametrize("fault", [pytest.param(f, id=f.title, marks=marks(f.title in QUICK)) for f in seeded.FAULTS])
def test_a_seeded_fault_gets_its_name(fault, tmp_path):
    torch_or_skip(fault.program)
    path = tmp_path / f"{fault.program}.py"
    path.write_text(fault.source())
    report = diagnose(f"{path}:{seeded.STEPS[fault.program]}")
    assert set(fault.names) & set(report.names), report.text()


def test_the_faults_are_many_and_have_cures():
    names = {n for f in seeded.FAULTS for n in f.names}
    assert len(seeded.FAULTS) >= 40 and len(names) >= 30 and names <= set(CURES)


def world(system: str, seed: int):
    special = {
        "cyclegan": ({"size": 16, "batch_size": 2}, worlds.WORLD),
        "stargan": ({"attributes": "hat,smile"}, worlds.FACES),
        "text2image": ({"size": 16, "code": 4}, worlds.CAPTIONED),
        "lapgan": ({"size": 16}, worlds.WORLD),
        "nextframe": ({"size": 16}, worlds.WORLD),
        "dvbpr": ({"size": 16}, worlds.WORLD),
        "vqgan": ({"critic_start": 0}, worlds.WORLD),  # by default its critic begins when nobody looks any more
    }
    changes, dataset = special.get(system, ({}, worlds.WORLD))
    return worlds.trainer(system, dataset, seed=seed, **changes)


@pytest.mark.parametrize(
    ("system", "seed"),
    [
        pytest.param(system, seed, marks=marks(system == "wgan-gp" and seed == 5))
        for system in SYSTEMS
        if system != "infogan"
        for seed in (5, 6, 7)
    ],
)
def test_no_system_has_a_fault(system, seed):
    """infogan's first step parts all images, for which this world has too few; its example is looked at instead."""
    report = diagnose(world(system, seed).step, rounds=2)
    assert report.passed, report.text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("03_wgan_gp", "04_dcgan", "60_conditional_gan", "61_acgan", "62_infogan", "65_cyclegan", "66_stargan"),
        *("67_paired_bound", "70_gan_mlp", "71_lsgan", "72_hinge_spectral", "73_ebgan", "74_residual_wgan_gp"),
        *("75_colour_dcgan", "93_lapgan", "94_super_resolution", "95_next_frame"),
    ],
)
def test_no_example_has_a_fault(name):
    report = diagnose(f"minigan.examples.{name}:main", rounds=2)
    assert report.passed, report.text()


def test_the_finding_says_where_and_what_to_do(tmp_path):
    fault = next(f for f in seeded.FAULTS if f.title == "one eps for the batch")
    path = tmp_path / "ring.py"
    path.write_text(fault.source())
    result = CliRunner().invoke(main, ["doctor", str(path), "--rounds", "1", "--json"])
    figures = json.loads(result.output.splitlines()[-1])
    (finding,) = figures["findings"]
    assert result.exit_code == 1 and not figures["passed"] and finding["name"] == "penalty-one-eps"
    assert "for all 16 samples" in finding["evidence"] and "mg.grad(out.sum(), x_hat" in finding["code"]
    assert f"{path}:{finding['line']}" in result.output and "cure: draw one eps for each sample" in result.output


def test_the_doors_are_given_back():
    before = mg.Op.__call__, nn.Module.__call__, optim.Optimizer.step, mg.autograd._propagate
    diagnose(lambda: None, rounds=1)
    with pytest.raises(KeyboardInterrupt):
        diagnose(raise_interrupt, rounds=1)
    assert before == (mg.Op.__call__, nn.Module.__call__, optim.Optimizer.step, mg.autograd._propagate)


def raise_interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.py:step"], "there is no file nowhere.py"),
        (["{folder}/step.py:stap"], "has no stap; it has"),
        (["{folder}/step.py:needs"], "needs asks for batch"),
        (["{folder}/other.py"], "has none of step"),
        (["{folder}"], "is no run"),
        (["{folder}/step.py:Thing"], "Thing is no function"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(words, message, tmp_path):
    (tmp_path / "step.py").write_text(
        "def step():\n    pass\n\n\ndef needs(batch):\n    pass\n\n\nclass Thing:\n    pass\n"
    )
    (tmp_path / "other.py").write_text("x = 1\n")
    result = CliRunner().invoke(main, ["doctor", *(w.format(folder=tmp_path) for w in words)])
    assert result.exit_code == 2 and message in result.output, result.output


def test_a_function_that_trains_nothing_is_not_called_right(tmp_path):
    (tmp_path / "step.py").write_text("def step():\n    pass\n")
    report = diagnose(f"{tmp_path / 'step.py'}:step")
    assert report.names == ["no-training"] and not report.passed
    assert "nothing found wrong" not in report.text() and "in 4 calls" in report.text()


def test_a_gradient_that_fell_is_not_said_to_have_grown():
    norms = [3.9e5, 2e5, 900.0, 90.0, 50.0, 3.9e5, 30.0, 17.7]
    (found,) = (f for f in of_course(rows(**GOOD | {"g_weight_gradient": norms})) if f.name == "exploding")
    assert "grew" not in found.evidence and "3.9e+05 at step 150" in found.evidence
    (found,) = (f for f in of_course(rows(**GOOD | {"g_weight_gradient": norms[::-1]})) if f.name == "exploding")
    assert "grew from 17.7 to 3.9e+05 at step 200" in found.evidence


SWAPPED = """
import minigan as mg
from minigan import nn, optim

G, D = nn.Linear(2, 2), nn.Linear(2, 1)
adam_g, adam_d = optim.Adam(D.parameters(), 1e-3), optim.Adam(D.parameters(), 1e-3)


def step():
    real, fake = mg.randn(8, 2), G(mg.randn(8, 2))
    adam_d.zero_grad()
    (mg.softplus(-D(real)) + mg.softplus(D(fake.detach()))).mean().backward()
    adam_d.step()
    adam_g.zero_grad()
    mg.softplus(-D(G(mg.randn(8, 2)))).mean().backward()
    adam_g.step()
"""


def test_an_optimiser_of_the_wrong_network_is_not_called_a_missing_detach(tmp_path):
    (tmp_path / "swapped.py").write_text(SWAPPED)
    names = diagnose(f"{tmp_path / 'swapped.py'}:step").names
    assert "wrong-parameters" in names and "fake-not-detached" not in names


def rows(**columns):
    return [{"step": 25 * (k + 1), **{name: values[k] for name, values in columns.items()}} for k in range(8)]


GOOD = {"g_weight_gradient": [0.3] * 8, "d_weight_gradient": [0.5] * 8, "d_loss": list(np.linspace(-3, -1, 8))}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, None),
        ({"g_weight_gradient": [0.3] * 4 + [0.0] * 4}, "generator-never-trains"),
        ({"d_weight_gradient": [0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6]}, "exploding"),
        ({"d_real": [0.6] * 2 + [0.999] * 6, "d_fake": [0.4] * 2 + [0.001] * 6}, "critic-saturated"),
        ({"gradient_norm": [1.0] * 3 + [9.0] * 5, "penalty": [0.1] * 3 + [64.0] * 5}, "penalty-not-held"),
        ({"gradient_norm": [1.0] * 8, "penalty": [0.1] * 8, "d_real": [0.6] * 8, "d_fake": [0.4] * 8}, None),
        ({"d_loss": [0.7] * 8}, "standing-still"),
    ],
)
def test_the_course_of_a_run(change, name):
    found = [f.name for f in of_course(rows(**GOOD | change))]
    assert found == ([name] if name else []), found


def test_slopes_that_are_pulled_to_zero_are_not_held_to_one():
    course = rows(gradient_norm=[0.05] * 8, penalty=[0.002] * 8)
    assert [f.name for f in of_course(course)] == ["penalty-not-held"]
    assert not [*of_course(course, "r1+r2")]


def test_samples_that_are_one_image(rng):
    reals = rng.uniform(-1, 1, (20, 1, 4, 4))
    assert not list(of_samples(reals, rng.uniform(-1, 1, (20, 1, 4, 4))))
    assert [f.name for f in of_samples(reals, reals[:1] + 0.01 * rng.standard_normal((20, 1, 4, 4)))] == ["collapsed"]


def test_a_run_folder(tmp_path):
    (tmp_path / "stats.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(**GOOD | {"d_loss": [0.7] * 8})))
    report = diagnose(tmp_path)
    assert report.names == ["standing-still"] and "200 steps" in report.text()
    (tmp_path / "stats.jsonl").write_text("")
    with pytest.raises(ValueError, match="has no figures yet"):
        diagnose(tmp_path)


@pytest.mark.parametrize("options", ["[]", "null", "3", '"x"', "{"])
def test_it_says_what_it_did_not_look_at(tmp_path, options):
    """Options that are none are no options; without a whole checkpoint, or too early, no sample is judged."""
    lines = [json.dumps(row) + "\n" for row in rows(**GOOD | {"d_loss": [0.7] * 8})]
    (tmp_path / "training_options.json").write_text(options)
    (tmp_path / "stats.jsonl").write_text("".join(lines))
    assert any(line.startswith("the samples were not looked at: ") for line in diagnose(str(tmp_path)).about)
    (tmp_path / "stats.jsonl").write_text(lines[0])
    assert any(line.startswith("too early") for line in diagnose(str(tmp_path)).about)


def test_a_slope_is_carried_beyond_the_outputs_only_along_an_exact_line():
    """Least squares' 2 (x - 1) is; -1 / x, near its pole, would turn its sign."""
    near = np.linspace(0.008, 0.012, 9)
    assert _slope_at(near, 2 * (near - 1), 0.34) == pytest.approx(2 * (0.34 - 1))
    assert _slope_at(near, -1 / near, 0.34) == pytest.approx((-1 / near).mean())
    wide = np.linspace(0.2, 0.6, 9)
    assert _slope_at(wide, -1 / wide, 0.3) == pytest.approx(-1 / 0.3, rel=0.15)


def test_the_slopes_of_g_do_not_blur_those_of_d():
    """Minimax's D that is sure of all: its own slopes, -1 and 1, are told apart, though G's are a hundred times
    steeper."""
    trace = Trace("minigan", networks={name: Network(name, None) for name in "GD"})
    trace.events += traced("D", real=np.full((4, 1), -0.25), fake=np.full((4, 1), 0.25))
    trace.events += traced("G", fake=np.full((4, 1), -125.0))
    assert not list(directions(trace))


def test_the_range_of_a_generator_whose_output_is_reshaped():
    """Its last layer is a tanh of vectors, which the step makes images of: reals in [0, 1] are still too narrow."""
    generator = nn.Sequential(nn.Linear(4, 16), nn.Tanh())
    critic = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    moves = {"g": optim.Adam(generator.parameters(), lr=1e-3), "d": optim.Adam(critic.parameters(), lr=1e-3)}
    low = [0.0]

    def step():
        real = mg.tensor(np.random.default_rng(0).uniform(low[0], 1, (8, 1, 4, 4)).astype(np.float32))
        fake = generator(mg.randn(8, 4)).reshape(-1, 1, 4, 4)
        moves["d"].zero_grad()
        (mg.functional.softplus(-critic(real)).mean() + mg.functional.softplus(critic(fake.detach())).mean()).backward()
        moves["d"].step()
        moves["g"].zero_grad()
        mg.functional.softplus(-critic(fake)).mean().backward()
        moves["g"].step()

    assert "data-range" in diagnose(step).names
    low[0] = -1.0
    assert "data-range" not in diagnose(step).names
