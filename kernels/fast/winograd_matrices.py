"""Machine room, fast kernels: the matrices of Winograd's minimal filtering, exact.

They make m outputs of an r-tap filter from m + r - 1 multiplications:

    F(m, r):    y = A^T ((G w) * (B^T x)),    y_i = sum over k of w_k x_{i+k}        x (n), w (r), y (m), n = m + r - 1

where * goes element by element. It is polynomial multiplication read backwards. The product of a polynomial of degree
m - 1 and one of degree r - 1 is fixed by its values at n points p_j, one of which may be infinity (the leading
coefficient): evaluate both (A g and G w), multiply value by value, interpolate (B). That map is bilinear,

    <y, g> = sum over j of (A g)_j (G w)_j (B^T x)_j        A_ji = p_j^i,  G_jk = p_j^k / N_j,  N_j = prod (p_j - p_q),
                                                            (B^T)_jl = coefficient l of prod (t - p_q),  q other than j

and with g, w or x left open it is the filter's output, its weight gradient or its input gradient. For infinity the rows
of A and G are the last unit vectors, and that of B^T has the coefficients of the product over all finite points. In
two dimensions each matrix is applied along y and along x: y = A^T ((G w G^T) * (B^T x B)) A.

Source: S. Winograd, Arithmetic Complexity of Computations (1980), ch. III-IV; A. Lavin and S. Gray, Fast Algorithms for
Convolutional Neural Networks (2016), section 4. Rounding errors depend on the points alone, and grow fast with their
number (Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution, 2020): the sets in POINTS
are the best of those made of 0, 1, 2, 1/2 and their negatives.
"""

from fractions import Fraction
from functools import cache
from math import prod
from typing import NamedTuple

HALF = Fraction(1, 2)
POINTS = {(2, 2): (HALF, -HALF), (4, 2): (0, -1, 2, HALF), (2, 3): (0, 1, -1), (4, 3): (0, 2, -2, HALF, -HALF)}
"""The finite points of each F(m, r)."""

Matrix = tuple[tuple[Fraction, ...], ...]


class Matrices(NamedTuple):
    """a (n, m), g (n, r), b (n, n): row j belongs to point j, the last row to infinity. b is B^T."""

    a: Matrix
    g: Matrix
    b: Matrix


def _product_of_roots(roots: list[Fraction], size: int) -> list[Fraction]:
    """The coefficients of prod (t - root), lowest first, filled up with zeros."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*(-root * c for c in coefficients), Fraction(0)]
        coefficients = [s + c for s, c in zip(shifted, scaled, strict=True)]
    return coefficients + [Fraction(0)] * (size - len(coefficients))


@cache
def matrices(m: int, r: int) -> Matrices:
    """A, G and B^T of F(m, r)."""
    points = [Fraction(p) for p in POINTS[m, r]]
    n = m + r - 1
    a, g, b = [], [], []
    for j, p in enumerate(points):
        others = points[:j] + points[j + 1 :]
        scale = prod(p - q for q in others)
        a.append(tuple(p**i for i in range(m)))
        g.append(tuple(p**k / scale for k in range(r)))
        b.append(tuple(_product_of_roots(others, n)))
    a.append(tuple(Fraction(int(i == m - 1)) for i in range(m)))
    g.append(tuple(Fraction(int(k == r - 1)) for k in range(r)))
    b.append(tuple(_product_of_roots(points, n)))
    return Matrices(tuple(a), tuple(g), tuple(b))
