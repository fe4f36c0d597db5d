"""Machine room, kernels: the geometry of a convolution, every integer that fixes which input meets which weight.

Output (oy, ox) meets input (oy*stride_y - padding_y + ky*dilation_y, ox*stride_x - padding_x +
kx*dilation_x) through weight (ky, kx). The three kernels of `conv.py` share it, the transposed
convolution included: it is the input gradient of a convolution whose input is the larger side.
"""

from dataclasses import dataclass
from functools import cached_property

from minigan.kernels.work import Array

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class ConvGeometry:
    """x (N, C, H, W), w (O, C/groups, KY, KX); stride, padding, dilation as (y, x); groups.

    The input size is part of it: several sizes H give the same output size, and a transposed
    convolution must know which one it makes. That is what its `output_padding` says. Hashable, so
    tables derived from a geometry can be cached by it.
    """

    x_shape: Shape
    w_shape: Shape
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @cached_property
    def y_shape(self) -> Shape:
        """The output's (N, O, OY, OX); OY or OX below 1 means that the kernel does not fit."""
        out_y, out_x = (
            (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, pad, dilation in zip(
                self.x_shape[2:],
                self.w_shape[2:],
                self.stride,
                self.padding,
                self.dilation,
                strict=True,
            )
        )
        return (self.x_shape[0], self.w_shape[0], out_y, out_x)

    def check(self, op: str, *arrays: tuple[str, Array | None, Shape | tuple[int]]) -> None:
        """ValueError unless each (name, array or None, shape) fits: loops trust the geometry with their accesses."""
        for name, array, shape in arrays:
            if array is not None and array.shape != shape:
                raise ValueError(f"{op}: {name} has shape {array.shape}, {self} needs {shape}")
