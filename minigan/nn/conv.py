"""Machine room, layers: the convolutions, of rows (1d) and of images (2d), by torch's names, arguments and defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from .. import functional as F
from ..autograd import Tensor
from ..ops.shape import Pair
from .layers import weight_and_bias
from .module import Layer, Parameter


class _ConvNd(Layer):
    """What all of them share: their settings, one number an axis, and their parameters."""

    weight: Parameter
    bias: Parameter | None
    padding: str | tuple[int, ...]
    axes: ClassVar[int] = 2
    convolution: ClassVar[Callable[..., Tensor]]

    def _configure(
        self,
        channels: tuple[int, int],
        kernel_size: Pair,
        stride: Pair,
        padding: Pair | str,
        dilation: Pair,
        groups: int,
        bias: bool,
        padding_mode: str,
        transposed: bool,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.in_channels, self.out_channels = channels
        if groups < 1 or channels[0] % groups or channels[1] % groups:
            raise ValueError(
                f"{name}: groups {groups} must divide in_channels {channels[0]} and out_channels {channels[1]}"
            )
        modes = ("zeros",) if transposed else ("zeros", "reflect", "replicate", "circular")
        if padding_mode not in modes:
            raise ValueError(f"{name}: unknown padding_mode {padding_mode!r}; known modes: {', '.join(modes)}")
        self.kernel_size = self._sizes("kernel_size", kernel_size, 1)
        self.stride, self.dilation = self._sizes("stride", stride, 1), self._sizes("dilation", dilation, 1)
        self.padding = padding if isinstance(padding, str) else self._sizes("padding", padding, 0)
        self.groups, self.padding_mode = groups, padding_mode
        outer, inner = channels if transposed else channels[::-1]
        weight_and_bias(self, (outer, inner // groups, *self.kernel_size), channels[1], bias)

    def _sizes(self, what: str, value: Pair, least: int) -> tuple[int, ...]:
        return sizes_of(type(self).__name__, what, value, least, self.axes)

    def _border(self) -> list[int]:
        """The widths that `functional.pad` adds where padding_mode is not zeros: (low, high) from the last axis on."""
        if self.padding == "valid":
            return [0] * (2 * self.axes)
        if isinstance(self.padding, tuple):
            return [p for p in reversed(self.padding) for _ in range(2)]
        spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return [width for span in reversed(spans) for width in (span // 2, span - span // 2)]

    def captured_state(self) -> tuple[object, ...]:
        """Its mode and geometry."""
        return self.training, self.stride, self.padding, self.dilation, self.groups, self.padding_mode

    def extra_repr(self) -> str:
        names = ["kernel_size", "stride", "padding"]
        names += [name for name in ("output_padding",) if any(getattr(self, name, ()))]
        names += ["dilation"] if max(self.dilation) > 1 else []
        names += ["groups", *(["padding_mode"] if self.padding_mode != "zeros" else [])]
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.in_channels}, {self.out_channels}, {settings}, bias={self.bias is not None}"


def sizes_of(op: str, what: str, value: Pair, least: int, axes: int) -> tuple[int, ...]:
    """`value` for each of the axes, given once or for each. Raises ValueError that names op and argument."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(sizes) != axes or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in sizes):
        form = "an integer or a pair of integers" if axes == 2 else "an integer"
        raise ValueError(f"{op}: {what} must be {form}, at least {least}, got {value!r}")
    return sizes


class Conv2d(_ConvNd):
    """2-D convolution; see `functional.conv2d`. Weight (out, in / groups, KY, KX).

    padding_mode: what the border holds, "zeros", "reflect", "replicate" or "circular", as in `functional.pad`.
    """

    convolution: ClassVar[Callable[..., Tensor]] = staticmethod(F.conv2d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        channels = (in_channels, out_channels)
        self._configure(channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, transposed=False)

    def forward(self, x: Tensor) -> Tensor:
        padding: object = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._border(), self.padding_mode), 0
        return self.convolution(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(Conv2d):
    """1-D convolution of (N, C, L); see `functional.conv1d`. Weight (out, in / groups, K)."""

    axes, convolution = 1, staticmethod(F.conv1d)


class ConvTranspose2d(_ConvNd):
    """2-D transposed convolution; see `functional.conv_transpose2d`. Weight (in, out / groups, KY, KX)."""

    padding: tuple[int, ...]
    convolution: ClassVar[Callable[..., Tensor]] = staticmethod(F.conv_transpose2d)

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, output_size: int | Sequence[int] | None = None) -> Tensor: ...

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        output_padding: Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Pair = 1,
        padding_mode: str = "zeros",
    ) -> None:
        channels = (in_channels, out_channels)
        self._configure(channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, transposed=True)
        self.output_padding = self._sizes("output_padding", output_padding, 0)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode and geometry."""
        return (*super().captured_state(), self.output_padding)

    def forward(self, x: Tensor, output_size: int | Sequence[int] | None = None) -> Tensor:
        """output_size: the size of the output's last axes, or its whole shape; output_padding is then chosen for it,
        and may be less than the stride. Raises ValueError for a size that no output_padding gives."""
        extra = self.output_padding if output_size is None else self._padding_for(x, output_size)
        return self.convolution(x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _padding_for(self, x: Tensor, output_size: int | Sequence[int]) -> tuple[int, ...]:
        name, axes = type(self).__name__, self.axes
        size = (output_size,) * axes if isinstance(output_size, int) else tuple(output_size)
        if len(size) not in (axes, axes + 2) or x.ndim != axes + 2:
            raise ValueError(f"{name}: output_size {size} does not fit input {x.shape}; give the last {axes} sizes")
        settings = (self.stride, self.padding, self.dilation, self.kernel_size)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in zip(x.shape[2:], *settings, strict=True)]
        extra = tuple(n - low for n, low in zip(size[-axes:], least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
            raise ValueError(f"{name}: output_size {size} is not between {tuple(least)} and {most} (input {x.shape})")
        return extra


class ConvTranspose1d(ConvTranspose2d):
    """1-D transposed convolution of (N, C, L); see `functional.conv_transpose1d`. Weight (in, out / groups, K)."""

    axes, convolution = 1, staticmethod(F.conv_transpose1d)
