"""What stylegan minimises, by hand: penalties every few steps, crossed styles, path lengths; truncated samples."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from worlds import FACES, SMALL, close, stream, trainer

import minigan as mg
from minigan.backend import Generator
from minigan.cli import main
from minigan.gan import latents
from minigan.gan.networks.style import crossed
from minigan.gan.penalties import at_reals, gradient_norm
from minigan.gan.run import Run
from minigan.gan.systems import options_for, trainer_for
from minigan.gan.systems.stylegan import CENTRE
from minigan.gan.train import STREAMS

LAYERS = 3  # of 8 pixels


def values(t):
    return t.detach().numpy()


def small(**changes):
    return trainer("stylegan", FACES, **changes)


def mixed(t, number: int) -> mg.Tensor:
    """The latents of the batch that a trainer draws first from its stream `number`."""
    z = mg.randn(3, 2, generator=stream(t, number), dtype=mg.float64)
    random = stream(t, 9)
    other = mg.randn(3, 2, generator=random, dtype=mg.float64)
    at = mg.rand(3, generator=random, dtype=mg.float64)
    return crossed(z, other, at, LAYERS, t.options.mixing) if t.options.mixing else z


@pytest.mark.parametrize("mixing", [0.9, 0.0])
def test_the_critic_s_objective(mixing):
    """Non-saturating on samples of crossed styles, and lazy times the weighted penalty; the plain one without it."""
    t = small(gp_weight=2.0, lazy=5, mixing=mixing)
    t.feed()
    real = t.batch["real"]
    fake = t.generator(mixed(t, STREAMS["latent_d"])).detach()
    t.random["noise"].step = 0
    plain = mg.mean(mg.functional.softplus(-t.critic(real))) + mg.mean(mg.functional.softplus(t.critic(fake)))
    norms = gradient_norm(t.critic, at_reals(real, fake))
    objective, figures = t.critic_loss()
    close(objective, plain + 5 * 2 * mg.mean(norms * norms) / 2)
    close(figures["d_loss"], plain)
    assert not fake.requires_grad
    for generator in t.random.values():
        generator.step = 0
    close(t.plain_critic_loss()[0], plain)


def test_the_generator_s_objective():
    """Non-saturating on fresh latents; with a weight, lazy times the path length's penalty around the running mean."""
    t = small(path_weight=0.5, lazy=4, gp_weight=0.0)
    t.memory["path_length"].assign(np.array([0.3]))
    fake = t.generator(mixed(t, STREAMS["latent_g"]))
    plain = mg.mean(mg.functional.softplus(-t.critic(fake)))
    random = stream(t, 11)
    lengths = lengths_by_hand(t, mg.randn(3, 2, generator=random, dtype=mg.float64), random)
    t.random["noise"].step = 0
    objective, figures = t.generator_loss()
    close(objective, plain + 4 * 0.5 * mg.mean((lengths - 0.3) ** 2))
    close(figures["path_length"], mg.mean(lengths))


def lengths_by_hand(t, z, random):
    """||J^T y||, a mean square over layers, with J by columns."""
    w = t.generator.mapping(z)
    styles = mg.stack([w] * LAYERS, 1).detach().requires_grad_()
    images = t.generator.synthesis(styles)
    y = mg.randn(*images.shape, generator=random, dtype=mg.float64) / 8
    (slope,) = mg.grad(mg.sum(images * y), styles)
    return mg.sqrt(mg.mean(mg.sum(slope * slope, 2), 1) + 1e-8)


def test_the_path_length_of_a_linear_generator():
    """Of G(w) = sum over layers of A w_l it is |A^T y| for every image, whatever w is."""
    t = small(path_weight=1.0)
    a = np.random.default_rng(0).standard_normal((64, 2))
    t.generator = SimpleNamespace(
        layers=range(LAYERS),
        synthesis=lambda w: mg.matmul(mg.sum(w, 1), mg.tensor(a.T)).reshape(-1, 1, 8, 8),
    )
    y = values(mg.randn(3, 1, 8, 8, generator=stream(t, 11), dtype=mg.float64)).reshape(3, 64) / 8
    lengths = t.path_lengths(mg.randn(3, 2, dtype=mg.float64).requires_grad_())
    np.testing.assert_allclose(values(lengths), np.linalg.norm(y @ a, axis=1), rtol=1e-6)


def test_penalties_come_every_lazy_steps():
    """In steps 0, 3, 6, ...; a step between them has the plain players, and reports the last penalty."""
    t = small(lazy=3, gp_weight=1.0, path_weight=1.0)
    full = list(t.players.values())
    rows, shares = [], []
    for _ in range(5):
        players = [half_step.player for half_step in t.half_steps()]
        shares.append(all(any(p is q for q in full) for p in players))
        rows.append(t.step())
    assert shares == [True, False, False, True, False]
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert (
        rows[1]["penalty"] == pytest.approx(rows[0]["penalty"], rel=1e-6) and rows[3]["penalty"] != rows[0]["penalty"]
    )
    assert rows[0]["d_objective"] == pytest.approx(rows[0]["d_loss"] + 3 * rows[0]["penalty"])
    assert rows[1]["d_objective"] == rows[1]["d_loss"]


def test_the_running_mean_of_path_lengths_moves_by_a_hundredth():
    t = small(lazy=1, path_weight=1.0)
    first = t.step()["path_length"]
    assert values(t.memory["path_length"]) == pytest.approx(0.01 * first)
    second = t.step()["path_length"]
    assert values(t.memory["path_length"]) == pytest.approx(0.0099 * first + 0.01 * second)


def after_two_steps(cut: bool = False, **changes) -> dict[str, np.ndarray]:
    """Weights, moments and memory; cut: a new trainer goes on after the first step."""
    settings = {**SMALL, "lazy": 2, "path_weight": 1.0, "gp_weight": 1.0} | changes
    t = trainer_for(options_for("stylegan", **settings), FACES).double()
    t.step()
    if cut:
        saved = t.state()
        t = trainer_for(t.options, FACES).double()
        t.restore(*saved)
    t.step()
    return t.state()[0]


def test_recorded_or_resumed_or_on_a_device_it_is_the_same_run():
    """A step with both penalties and one without: resumed between them, bit for bit; recorded, and recorded on a
    simulated device, to rounding."""
    eager = after_two_steps()
    assert all(a.tobytes() == eager[name].tobytes() for name, a in after_two_steps(cut=True).items())
    for changes in ({}, {"device": "cudasim"}) if shutil.which("g++") else ({},):
        for name, a in after_two_steps(capture=True, **changes).items():
            np.testing.assert_allclose(a, eager[name], rtol=1e-7, atol=1e-8, err_msg=name)


def test_the_centre_is_the_mean_style_of_the_averaged_generator():
    t = small()
    t.step()
    z = mg.randn(CENTRE, 2, generator=Generator(t.options.seed, 12), dtype=mg.float64)
    close(t.centre(), mg.mean(t.average.module.mapping(z), 0))
    assert np.abs(values(t.centre())).max() > 1e-3


def test_truncated_samples_come_nearer_to_each_other():
    """At 0 all are one image, that of the mean style; at 1 they are the plain samples."""
    t, random = small(), Generator(0, 0)
    z = t.inputs(6, random)
    plain = t.sample(z)
    spread = []
    for psi in (0.0, 0.5, 1.0):
        t.truncation = psi
        spread.append(float(t.sample(z).std(0).mean()))
    assert spread[0] < 1e-12 and spread[1] < spread[2]
    np.testing.assert_array_equal(t.sample(z), plain)


def test_a_crossover_grid():
    """Rows give the layers up to the cut, columns those above it, the diagonal both."""
    t = small(size=16)
    grids = latents.walks(t, 3, 2, Generator(0, 0))
    z = t.inputs(3, Generator(0, 0)).numpy()
    assert [g.title[:36] for g in grids] == [
        "each row's styles up to 4 pixels wit",
        "each row's styles up to 8 pixels wit",
    ]
    for cut, grid in zip((1, 3), grids, strict=True):
        assert grid.inputs.shape == (6, 5, 2) and grid.columns == 2
        for row in range(3):
            for column in range(2):
                expected = np.concatenate([z[[row] * cut], z[[column] * (5 - cut)]])
                np.testing.assert_array_equal(grid.inputs[2 * row + column], expected)


def test_the_command_truncates_and_refuses(tmp_path, monkeypatch):
    """`sample --truncation 0` draws one image many times; a system without styles says which have them."""
    monkeypatch.chdir(tmp_path)
    for name in ("stylegan", "dcgan"):
        Run.create(options_for(name, steps=0, data="avatars", base=1, size=16, latent=4), name)._snapshot()
    result = CliRunner().invoke(
        main, ["sample", "stylegan", "-n", "4", "--scale", "1", "--truncation", "0", "-o", "a.png"]
    )
    assert result.exit_code == 0, result.output
    from PIL import Image

    sheet = np.asarray(Image.open("a.png").convert("RGB"))
    cells = [sheet[2:18, 2 + 18 * k : 18 + 18 * k] for k in range(sheet.shape[1] // 18)]
    assert len(cells) > 1 and all(np.array_equal(cell, cells[0]) for cell in cells)
    for command in ("sample", "eval"):
        result = CliRunner().invoke(main, [command, "dcgan", "--truncation", "0.5"])
        assert result.exit_code == 2
        assert "dcgan has no styles; leave out --truncation, which is for: stylegan" in result.output
    result = CliRunner().invoke(main, ["sample", "stylegan", "--truncation", "1.5"])
    assert result.exit_code == 2 and "0<=x<=1" in result.output


def test_idle_options_are_refused():
    with pytest.raises(ValueError, match="'lazy' means nothing here: gp_weight and path_weight are 0"):
        options_for("stylegan", gp_weight=0.0, lazy=4)
    assert options_for("stylegan", gp_weight=0.0, path_weight=2.0, lazy=4).lazy == 4
    with pytest.raises(ValueError, match="stylegan has no option 'critic_base'"):
        options_for("stylegan", critic_base=8)
    with pytest.raises(ValueError, match=r"mixing must be at most 1, got 1\.5"):
        options_for("stylegan", mixing=1.5)
