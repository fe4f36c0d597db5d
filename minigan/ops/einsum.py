"""Machine room, ops: Einstein summation, sums of products named by letters.

    einsum("bik,bkj->bij", a, b)    y[b, i, j] = sum over k of a[b, i, k] b[b, k, j]

A letter names an axis, the same one wherever it stands; what is not in the result is summed over. Three extensions of
the notation are put back to that: an ellipsis stands for axes without letters, which broadcast; a letter that stands
twice in a term reads the diagonal; without an arrow, the result has the ellipsis and the letters that stand once, in
alphabetical order.
"""

from __future__ import annotations

from string import ascii_letters

from ..autograd import Op, Tensor
from ..backend import namespace
from .arrange import diagonal
from .basic import broadcast_to
from .matmul import same_dtype
from .reduce import sum
from .shape import permute, reshape


class Einsum(Op):
    """y = the sum of products of xs in Einstein's notation, no letter twice in one term
    dL/dxs = the same kind of sum, of g and the other operands, over the letters that this operand lacks"""

    name = "einsum"

    def __init__(self, terms: tuple[str, ...], result: str) -> None:
        self.terms, self.result = terms, result

    def forward(self, *xs):
        return namespace(xs[0]).asarray(namespace(xs[0]).einsum(",".join(self.terms) + "->" + self.result, *xs))

    def vjp(self, node, need, g):
        return tuple(self._gradient(i, node.inputs, g) if n else None for i, n in enumerate(need))

    def _gradient(self, i: int, xs: tuple[Tensor, ...], g: Tensor) -> Tensor:
        rest = [(t, x) for j, (t, x) in enumerate(zip(self.terms, xs, strict=True)) if j != i]
        terms, operands = (self.result, *(t for t, _ in rest)), (g, *(x for _, x in rest))
        # A letter that stands in this operand alone was summed over: its gradient is the same all along that axis.
        present = "".join(c for c in self.terms[i] if any(c in t for t in terms))
        y = Einsum(terms, present)(*operands)
        shape = xs[i].shape
        y = reshape(y, tuple(s if c in present else 1 for c, s in zip(self.terms[i], shape, strict=True)))
        return broadcast_to(y, shape)


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Einstein summation, e.g. einsum("bik,bkj->bij", a, b) or einsum("...ii->...i", a).

    Axes of one letter, or under the ellipsis, have one size, or size 1. More than two operands are summed two by two,
    from the left. Raises ValueError when the equation does not fit the operands, TypeError when their dtypes differ.
    """
    terms, result = _parsed(equation, operands)
    sizes = _sizes(equation, terms, operands)
    if len({x.dtype for x in operands}) > 1:
        same_dtype("einsum", **{f"operand {i}": x for i, x in enumerate(operands)})
    plain = [_plain(term, x, sizes) for term, x in zip(terms, operands, strict=True)]
    term, y = plain[0]
    for i in range(1, len(plain)):
        rest = result + "".join(t for t, _ in plain[i + 1 :])
        keep = "".join(c for c in dict.fromkeys(term + plain[i][0]) if c in rest)
        final = i == len(plain) - 1
        term, y = keep, Einsum((term, plain[i][0]), result if final else keep)(y, plain[i][1])
    if len(plain) > 1:
        return y
    y = sum(y, tuple(i for i, c in enumerate(term) if c not in result)) if set(term) - set(result) else y
    order = [c for c in term if c in result]
    return permute(y, tuple(order.index(c) for c in result))


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
    covered = [x.ndim - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True)]
    for term, x, axes in zip(terms, operands, covered, strict=True):
        letters = term.replace("...", "", 1)
        if (letters and not (letters.isascii() and letters.isalpha())) or axes < 0 or (axes and "..." not in term):
            raise ValueError(
                f"einsum: term {term!r} does not fit shape {x.shape} (a letter an axis, or ... for the others)"
            )
    spare = [c for c in reversed(ascii_letters) if c not in equation]
    names = spare[: max((n for term, n in zip(terms, covered, strict=True) if "..." in term), default=0)]
    if len(names) < max(covered):
        raise ValueError(f"einsum: {equation!r} names more axes than there are letters")
    if not arrow:
        result = "..." + "".join(c for c in sorted(set(left) - {",", "."}) if left.count(c) == 1)
    letters = result.replace("...", "", 1)
    if lacking := next((c for c in letters if c not in left or letters.count(c) > 1 or c in ".,"), None):
        raise ValueError(f"einsum: {equation!r} does not fit {len(operands)} operands: {lacking!r} in the result must"
                         " stand there once, and in a term")  # fmt: skip
    ellipses = ["".join(names[len(names) - n :]) for n in covered]
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
