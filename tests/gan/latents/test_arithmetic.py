"""Arithmetic on latents: what an expression means, the vector it comes to, and how often it comes true."""

import numpy as np
import pytest
from latent_worlds import Signs, world
from worlds import FACES, WORLD

from minigan.gan.latents import Reader, expression
from minigan.gan.latents.arithmetic import Groups, asked, members, of_images, shift, study
from minigan.gan.latents.targets import target

SIGNS = Signs(FACES)


def words(text):
    return [(term.sign, [c.text for c in term.conditions]) for term in expression(text, SIGNS)]


def test_expressions():
    """Signs, names of attributes, values, plain, several words to a term; a first term may be taken away."""
    assert words("hat - plain + smile,beard=no") == [
        (1, ["hat=yes"]),
        (-1, ["hat=no", "smile=no", "beard=no"]),
        (1, ["smile=yes", "beard=no"]),
    ]
    assert words("- hat=no + hat") == words(" - hat=no   +   hat") == [(-1, ["hat=no"]), (1, ["hat=yes"])]
    terms = expression("light - dark + grey - light", Reader(WORLD))
    assert [(t.sign, t.conditions[0].text) for t in terms] == [
        (1, "class=light"), (-1, "class=dark"), (1, "class=grey"), (-1, "class=light"),
    ]  # fmt: skip
    assert asked(terms) == ("class=grey",)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hat - plain + smile", ("hat=yes", "smile=yes")),
        ("hat,smile - hat + hat=no", ("hat=no", "smile=yes")),
        ("- hat=no + hat", ("hat=yes",)),
    ],
)
def test_what_is_asked_for(text, wanted):
    assert asked(expression(text, SIGNS)) == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hats - plain", "unknown word 'hats'; did you mean 'hat'"),
        ("hat-plain", "unknown word 'hat-plain'"),
        ("hat=maybe + smile", "unknown value of hat 'maybe'"),
        ("hat", "one group alone"),
        ("", "write terms"),
        ("hat +  - smile", "write terms|unknown word"),
        ("hat - hat", "take away as much"),
        ("hat + hat=no", "hat=yes and hat=no cannot both be"),
        ("yes - no", "is a value of hat and of smile"),
    ],
)
def test_expressions_that_do_not_fit_are_named(text, told):
    with pytest.raises(ValueError, match=told):
        asked(expression(text, SIGNS))


def test_the_shift_is_the_signed_sum_of_means():
    """On a linear generator the result is exact: six latents, two groups, by hand; codes play no part."""
    inputs = np.array([[1.0, 0, 7], [2, 0, 7], [3, 3, 7], [-1, 5, 7], [-2, 6, 7], [-3, 7, 7]])
    inputs = np.concatenate([inputs, inputs], 0)
    labels = {"hat": (inputs[:, 0] > 0).astype(int), "smile": (inputs[:, 1] > 4).astype(int)}
    groups = Groups(inputs, labels, 2)
    np.testing.assert_allclose(shift(expression("smile - hat=no + hat", SIGNS), groups), [4, -5])
    np.testing.assert_allclose(shift(expression("- hat=no + hat", SIGNS), groups), [4, -5])
    few = Groups(inputs[:6], {k: v[:6] for k, v in labels.items()}, 2)
    with pytest.raises(ValueError, match="'hat': 3 of 6 latents show it, and a mean takes 5"):
        few.mean(expression("- smile + hat", SIGNS)[1])


def test_members_lack_what_is_asked_for():
    """Of smiles without a hat only; of any kind where the first term is taken away; none is an error."""
    inputs = np.arange(8.0)[:, None]
    groups = Groups(inputs, {"hat": np.arange(8) % 2, "smile": np.arange(8) // 4}, 1)
    t, signs = world()
    aim = target(["hat=yes"], t, signs)
    (smile, *_), (less, *_) = (expression(text, signs) for text in ("smile - plain + hat", "- hat=no + hat"))
    assert members(smile, aim, iter([groups]), 9)[:, 0].tolist() == [4, 6]
    assert members(smile, aim, iter([groups, groups]), 3)[:, 0].tolist() == [4, 6, 4]
    assert members(less, aim, iter([groups]), 9)[:, 0].tolist() == [0, 2, 4, 6]
    with pytest.raises(ValueError, match="none of 8 latents shows 'hat' without hat=yes already"):
        members(expression("hat + smile", signs)[0], aim, iter([groups]), 9)


def test_a_study_reaches_what_a_random_vector_does_not():
    """Where the first number is the hat, adding E[z | z > 0] - E[z | z < 0] = 1.6 puts one on 89 % of those without."""
    t, signs = world()
    result = study(t, "smile - hat=no + hat", count=400, own=signs)
    shares = {name: row.reached.value for name, row in result.rows.items()}
    assert shares["arithmetic"] == pytest.approx(0.89, abs=0.05)
    assert shares["random vector"] < 0.5 and shares["where it began"] == 0
    assert result.figures["length"] == pytest.approx(1.6, abs=0.1)
    assert result.figures["kept"]["arithmetic"]["beard"] > 0.95
    twice = study(t, "smile - hat=no + hat", count=400, own=signs, strength=2.0)
    assert twice.figures["length"] == pytest.approx(2 * result.figures["length"])


def test_groups_of_images_need_an_encoder():
    t, signs = world()
    with pytest.raises(ValueError, match="dcgan has no encoder"):
        of_images(t, signs, {"hat"}, FACES.train)
    t.encode = lambda images: images[:, 0, 0, :3]
    groups = of_images(t, signs, {"hat"}, FACES.train)
    assert groups.inputs.shape == (6, 3) and groups.labels["hat"].tolist() == FACES.attributes[FACES.train, 0].tolist()
