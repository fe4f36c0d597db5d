"""Einsum's notation: drawn equations, with ellipses, repeated letters, sizes of 1 and up to four operands, are
PyTorch's in value and in gradients of orders 1 and 2."""

import numpy as np
import pytest

import minigan as mg
from minigan.testing import gradcheck

LETTERS = "abcdXY"


def random_equation(rng) -> tuple[str, list[np.ndarray]]:
    """(an equation, operands that fit it)."""
    sizes = {c: int(rng.integers(1, 4)) for c in LETTERS}
    ellipsis = rng.integers(1, 4, rng.integers(0, 3)).tolist() if rng.random() < 0.5 else None
    terms, operands = [], []
    for _ in range(rng.integers(1, 5)):
        letters = list(rng.choice(list(LETTERS), rng.integers(0, 4)))
        shape = [1 if letters.count(c) == 1 and rng.random() < 0.1 else sizes[c] for c in letters]
        if ellipsis is not None and rng.random() < 0.7:
            at, n = rng.integers(0, len(letters) + 1), rng.integers(0, len(ellipsis) + 1)
            shape[at:at] = [1 if rng.random() < 0.2 else size for size in ellipsis[len(ellipsis) - n :]]
            letters.insert(at, "...")
        terms.append("".join(letters))
        operands.append(rng.standard_normal(shape))
    equation = ",".join(terms)
    if rng.random() < 0.7:
        result = [c for c in sorted({*equation} - {".", ","}) if rng.random() < 0.5]
        rng.shuffle(result)
        if "..." in equation and rng.random() < 0.9:
            result.insert(rng.integers(0, len(result) + 1), "...")
        equation += "->" + "".join(result)
    return equation, operands


def equals_torch(torch, seeds) -> None:
    for seed in seeds:
        equation, operands = random_equation(np.random.default_rng(seed))
        arguments = [mg.tensor(x, requires_grad=True) for x in operands]
        value = mg.einsum(equation, *arguments).detach().numpy()
        expected = torch.einsum(equation, *map(torch.tensor, operands)).numpy()
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12, err_msg=equation)
        gradcheck.compare_with_torch(
            lambda *x, e=equation: mg.einsum(e, *x), lambda *x, e=equation: torch.einsum(e, *x), arguments, 2
        )


def test_drawn_equations(torch):
    equals_torch(torch, range(40))


@pytest.mark.slow
def test_many_drawn_equations(torch):
    equals_torch(torch, range(40, 2000))


@pytest.mark.parametrize(
    ("equation", "shapes", "words"),
    [
        ("i.j->ij", [(2, 2)], "term 'i.j' does not fit"),
        ("......->", [(2, 2)], "term '......' does not fit"),
        ("i1->i", [(2, 2)], "term 'i1' does not fit"),
        ("...ij->ij", [(2,)], "term '...ij' does not fit"),
        ("ij->ii", [(2, 2)], "'i' in the result must stand there once"),
        ("ij->ik", [(2, 2)], "'k' in the result must stand there once, and in a term"),
        ("ij->i......", [(2, 2)], "in the result must stand there once"),
        ("...i,...i->...", [(2, 3), (4, 3)], "an axis of ... has size 2 in one operand and 4 in another"),
        ("ii", [(2, 3)], "axis 'i' has size 2 in one operand and 3 in another"),
        ("ij,jk", [(2, 2)], "does not fit 1 operands"),
    ],
)
def test_what_does_not_fit_is_refused(equation, shapes, words):
    with pytest.raises(ValueError, match=r"^einsum: ") as caught:
        mg.einsum(equation, *(mg.ones(s) for s in shapes))
    assert words in str(caught.value)


def test_operands_share_a_dtype():
    with pytest.raises(TypeError, match="einsum: operands must share one floating dtype"):
        mg.einsum("i,i", mg.ones(2), mg.ones(2, dtype=mg.float64))
    assert mg.einsum("i,i", mg.tensor([1, 2]), mg.tensor([3, 4])).item() == 11
