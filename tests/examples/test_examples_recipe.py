"""The examples of the recipe of today (91) and of little data (92) run in a quick setting, and what they show is so."""

import re

import pytest
from example import example
from PIL import Image

N = r"([-+]?\d[\d.]*)"
SHOWS = {
    "91_recipe_of_today": r"penalties exact .* times that without(.|\n)*twin .* times(.|\n)*16 directions is \d+%",
    "92_little_data": r"by nothing: Frechet .* nearer to a training image(.|\n)*by colour,translation,cutout: ",
}


@pytest.mark.parametrize("name", SHOWS)
def test_runs_and_draws(name, tmp_path):
    """Three steps: a sheet that is not blank, and the observable's words."""
    output = example(name, "--steps", "3", "--device", "cpu", cwd=tmp_path)
    assert re.search(SHOWS[name], output), output
    assert not re.search(r"\b(nan|inf)\b", output), output
    (picture,) = tmp_path.glob("*.png")
    with Image.open(picture) as image:
        assert image.size[0] > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_penalties_cost_less_than_the_twin(tmp_path):
    """Example 91: D's gradient with both penalties takes at most 2.3 times as long as without, and less than by finite
    differences, whose error falls with the directions and is still that of noise."""
    output = example("91_recipe_of_today", "--steps", "250", cwd=tmp_path)
    exact, twin = (float(re.search(rf"penalties {kind} .* ms, {N} times", output)[1]) for kind in ("exact", "twin "))
    one, sixteen = (float(x) for x in re.findall(rf"directions is {N}%", output))
    assert exact <= 2.3 and exact < twin and sixteen < one / 2, output
