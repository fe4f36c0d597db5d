"""Machine room, ops: matrix products by the number of their operands' axes, which `matmul` does not insist on."""

from __future__ import annotations

from ..autograd import Tensor
from .matmul import matmul
from .reduce import sum


def _require(name: str, a: Tensor, b: Tensor, ndims: tuple[int, int]) -> None:
    if (a.ndim, b.ndim) != ndims:
        raise ValueError(f"{name}: expected {ndims[0]} and {ndims[1]} axes, got shapes {a.shape} and {b.shape}")


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices (n, k) and (k, m)."""
    _require("mm", input, mat2, (2, 2))
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix (n, k) and a vector (k)."""
    _require("mv", input, vec, (2, 1))
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements."""
    _require("dot", input, tensor, (1, 1))
    if input.shape != tensor.shape:
        raise ValueError(f"dot: vectors of {input.shape[0]} and {tensor.shape[0]} elements")
    return sum(input * tensor)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha mat1 mat2."""
    product = mm(mat1, mat2)
    return input * beta + product * alpha


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value tensor1 tensor2, elementwise."""
    return input + value * (tensor1 * tensor2)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value tensor1 / tensor2, elementwise."""
    return input + value * (tensor1 / tensor2)
