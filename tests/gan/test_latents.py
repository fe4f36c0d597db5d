"""Paths between latents: ends, norms, held codes; the command on systems with latents, and without."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from worlds import trainer

from minigan import data
from minigan.backend import Generator
from minigan.cli import main
from minigan.gan import latents as paths
from minigan.gan.run import Run
from minigan.gan.systems import SYSTEMS, options_for

RNG = np.random.default_rng(8)


def test_uniform_latents_stay_in_their_cube():
    """Straight lines between them: the generator has seen no others. In a walk each row ends at a latent of its own."""
    pairs = np.concatenate([RNG.random((40, 6)), RNG.standard_normal((40, 2))], 1)
    made = paths.between(pairs, 6, 5, "uniform").reshape(20, 5, 8)
    assert made[..., :6].min() >= 0 and made[..., :6].max() <= 1
    np.testing.assert_allclose(made[:, 2, :6], (pairs[::2, :6] + pairs[1::2, :6]) / 2)
    t = trainer("dcgan", latent=5, base=1, latents="uniform")
    (walk,) = paths.walks(t, 3, 4, Generator(0, 10))
    grid = walk.inputs.reshape(3, 4, 5)
    assert grid.min() >= 0 and grid.max() <= 1 and "straight" in walk.title
    assert (grid[:, 0] == grid[0, 0]).all() and len(np.unique(grid[:, -1], axis=0)) == 3


def test_paths_begin_and_end_at_the_pair_and_keep_their_norm():
    """Ends as given; for ends of one norm every point has it, and neighbours are at equal angles; codes stay."""
    pairs = RNG.standard_normal((6, 9))
    pairs[:, :6] /= np.linalg.norm(pairs[:, :6], axis=1, keepdims=True)
    made = paths.between(pairs, 6, 5).reshape(3, 5, 9)
    np.testing.assert_allclose(made[:, 0], pairs[::2], atol=1e-12)
    np.testing.assert_allclose(made[:, -1, :6], pairs[1::2, :6], atol=1e-12)
    assert (made[:, :, 6:] == pairs[::2, None, 6:]).all()
    np.testing.assert_allclose(np.linalg.norm(made[..., :6], axis=2), 1, rtol=1e-12)
    cosines = (made[:, 1:, :6] * made[:, :-1, :6]).sum(2)
    np.testing.assert_allclose(cosines, cosines[:, :1].repeat(4, 1), rtol=1e-9)


def test_one_latent_number_goes_straight():
    """With a single latent number the ends may point opposite ways; the path is the line between them."""
    made = paths.between(np.array([[-1.0, 5], [3.0, 7]]), 1, 3)
    np.testing.assert_allclose(made, [[-1, 5], [1, 5], [3, 5]])


def test_largest_step():
    ramp = np.arange(5.0).reshape(5, 1, 1, 1) * np.ones((1, 3, 2, 2))
    jump = (np.arange(5) > 2).reshape(5, 1, 1, 1) * np.ones((1, 3, 2, 2))
    np.testing.assert_allclose(paths.largest_step(np.concatenate([ramp, jump, 0 * jump]), 5), [0.25, 1, 0])


@pytest.mark.parametrize(
    ("shape", "latent", "columns", "told"),
    [
        ((3, 4), 2, 3, r"in pairs \(2 R, width\), got \(3, 4\)"),
        ((0, 4), 2, 3, "in pairs"),
        ((4, 4), 2, 1, "at least its 2 ends"),
        ((4, 4), 5, 3, "5 latent numbers do not fit into inputs of width 4"),
    ],
)
def test_bad_input_is_named(shape, latent, columns, told):
    with pytest.raises(ValueError, match=told):
        paths.between(np.zeros(shape), latent, columns)


@pytest.mark.parametrize(
    "name", [n for n, row in SYSTEMS.items() if "latent" in row.takes and not hasattr(row.trainer, "translate_as")]
)
def test_interpolate_draws_every_system_with_latents(name, tmp_path, monkeypatch):
    """After one step: a row a pair; the same seed gives the same picture, another seed another."""
    monkeypatch.chdir(tmp_path)
    base = 64 if name == "dvbpr" else 2  # narrow, its eight layers of weights near 0 give grey at the start
    small = {"steps": 0, "batch_size": 4, "base": base, "latent": 4}
    run = Run.create(options_for(name, **small))
    run._snapshot()
    made = []
    for seed in ("3", "3", "4"):
        args = ["interpolate", "latest", "-o", "way.png", "--rows", "2", "--columns", "3", "--seed", seed, "--json"]
        result = CliRunner().invoke(main, args)
        assert result.exit_code == 0, result.output
        figures = json.loads(result.stdout.splitlines()[-1])
        assert len(figures["largest_step"]) == 2 and figures["step"] == 0
        with Image.open("way.png") as image:
            size = 2 * run.options.size
            assert image.size == (3 * (size + 2) + 2, 2 * (size + 2) + 2)
            made.append(image.tobytes())
    assert made[0] == made[1] != made[2]
    assert data.info(run.options.data).shape[-1] in (1, 3)


@pytest.mark.parametrize("name", [n for n, row in SYSTEMS.items() if "latent" not in row.takes])
def test_interpolate_refuses_systems_without_latents(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.create(options_for(name, steps=0, base=2))
    run._snapshot()
    result = CliRunner().invoke(main, ["interpolate", "latest"])
    assert result.exit_code == 2 and "has no latents" in result.output
