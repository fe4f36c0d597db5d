"""Machine room, ops: Einstein summation, sums of products named by letters.

    einsum("bik,bkj->bij", a, b)    y[b, i, j] = sum over k of a[b, i, k] b[b, k, j]

A letter names an axis, the same one wherever it stands; what is not in the result is summed over. Three extensions of
the notation are put back to that: an ellipsis stands for axes without letters, which broadcast; a letter that stands
twice in a term reads the diagonal; without an arrow, the result has the ellipsis and the letters that stand once, in
alphabetical order.
"""

from __future__ import annotations

import math
from string import ascii_letters

from ..autograd import Tensor
from .arrange import diagonal
from .basic import broadcast_to
from .matmul import matmul, same_dtype
from .reduce import sum
from .shape import permute, reshape


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Einstein summation, e.g. einsum("bik,bkj->bij", a, b) or einsum("...ii->...i", a).

    Axes of one letter, or under the ellipsis, have one size, or size 1. More than two operands are summed two by two,
    from the left. Raises ValueError when the equation does not fit the operands, TypeError when their dtypes differ.
    """
    terms, result = _parsed(equation, operands)
    sizes = _sizes(equation, terms, operands)
    if len({x.dtype for x in operands}) > 1:
        same_dtype("einsum", **{f"operand {i}": x for i, x in enumerate(operands)})
    (term, y), *others = (_plain(term, x, sizes) for term, x in zip(terms, operands, strict=True))
    for i, (other, x) in enumerate(others):
        later = result + "".join(t for t, _ in others[i + 1 :])
        term, y = _product(term, y, other, x, later)
    term, y = _summed(term, y, result)
    return permute(y, tuple(term.index(c) for c in result))


def _summed(term: str, x: Tensor, keep: str) -> tuple[str, Tensor]:
    """x summed over the letters of its term that are not in `keep`, and its term."""
    axes = tuple(i for i, c in enumerate(term) if c not in keep)
    return ("".join(c for c in term if c in keep), sum(x, axes)) if axes else (term, x)


def _product(term: str, a: Tensor, other: str, b: Tensor, keep: str) -> tuple[str, Tensor]:
    """The products of two operands, summed over the letters that are not in `keep`, and the term of the result.

    What is summed over and stands in one operand alone is summed first; what stands in both, and is kept, counts
    matrices. So the rest is a stack of matrix products.
    """
    term, a = _summed(term, a, keep + other)
    other, b = _summed(other, b, keep + term)
    stack = "".join(c for c in term if c in other and c in keep)
    inner = "".join(c for c in term if c in other and c not in keep)
    left, right = ("".join(c for c in t if c not in stack + inner) for t in (term, other))
    sizes = dict(zip(term + other, a.shape + b.shape, strict=True))

    def block(t: str, x: Tensor, *groups: str) -> Tensor:
        """x as an array of as many axes as there are groups of letters."""
        x = permute(x, tuple(t.index(c) for group in groups for c in group))
        return reshape(x, tuple(math.prod(sizes[c] for c in group) for group in groups))

    if inner and a.dtype.kind == "f":
        y = matmul(block(term, a, stack, left, inner), block(other, b, stack, inner, right))
    else:
        y = block(term, a, stack, left, "", inner) * block(other, b, stack, "", right, inner)
        y = sum(y, -1)
    return stack + left + right, reshape(y, tuple(sizes[c] for c in stack + left + right))


def _parsed(equation: str, operands: tuple[Tensor, ...]) -> tuple[list[str], str]:
    """(the operands' terms, the result's), the axes under an ellipsis named by letters that the equation lacks."""
    if not isinstance(equation, str):
        raise TypeError(
            f"einsum: the equation comes first, a string such as 'ij,jk->ik', not {type(equation).__name__}"
        )
    for i, x in enumerate(operands):
        if not isinstance(x, Tensor):
            raise TypeError(f"einsum: operand {i} must be a Tensor, got {type(x).__name__}")
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {equation!r} does not fit {len(operands)} operands")
    spans = [x.ndim - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True)]
    for term, x, axes in zip(terms, operands, spans, strict=True):
        letters = term.replace("...", "", 1)
        if (letters and not (letters.isascii() and letters.isalpha())) or axes < 0 or (axes and "..." not in term):
            raise ValueError(
                f"einsum: term {term!r} does not fit shape {x.shape} (a letter an axis, or ... for the others)"
            )
    spare = [c for c in reversed(ascii_letters) if c not in equation]
    names = spare[: max((n for term, n in zip(terms, spans, strict=True) if "..." in term), default=0)]
    if len(names) < max(spans):
        raise ValueError(f"einsum: {equation!r} names more axes than there are letters")
    if not arrow:
        result = "..." + "".join(c for c in sorted(set(left) - {",", "."}) if left.count(c) == 1)
    letters = result.replace("...", "", 1)
    if lacking := next((c for c in letters if c not in left or letters.count(c) > 1 or c in ".,"), None):
        raise ValueError(f"einsum: {equation!r} does not fit {len(operands)} operands: {lacking!r} in the result must"
                         " stand there once, and in a term")  # fmt: skip
    ellipses = ["".join(names[len(names) - n :]) for n in spans]
    terms = [term.replace("...", axes) for term, axes in zip(terms, ellipses, strict=True)]
    return terms, result.replace("...", "".join(names))


def _sizes(equation: str, terms: list[str], operands: tuple[Tensor, ...]) -> dict[str, int]:
    """The size of each letter's axis."""
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for c, size in zip(term, x.shape, strict=True):
            if size != sizes.setdefault(c, size) and size != 1:
                if sizes[c] != 1:
                    name = f"axis {c!r}" if c in equation else "an axis of ..."
                    raise ValueError(
                        f"einsum: {name} has size {sizes[c]} in one operand and {size} in another ({equation!r})"
                    )
                sizes[c] = size
    return sizes


def _plain(term: str, x: Tensor, sizes: dict[str, int]) -> tuple[str, Tensor]:
    """The operand with every axis at its full size and no letter twice, and its term."""
    x = broadcast_to(x, tuple(sizes[c] for c in term))
    while c := next((c for c in term if term.count(c) > 1), None):
        first = term.index(c)
        second = term.index(c, first + 1)
        x = diagonal(x, 0, first, second)
        term = term[:first] + term[first + 1 : second] + term[second + 1 :] + c
    return term, x
