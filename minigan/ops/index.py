"""Machine room, ops: reading parts of an array and putting parts together, by index, cat, split, pad and flip.

Every one of these is linear, and its vjp is its adjoint, an op of this file again: reading positions out of an array
(`Index`) and adding values into those positions (`IndexAdd`) undo each other, so gradients of any order come from two
kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigan.kernels import layout
from minigan.kernels.work import poisoned

from ..autograd import Op, Tensor, array_of, as_tensor
from ..backend import int64, namespace, on
from .basic import alike
from .copy import owned
from .shape import Linear, axis_index, integer, reshape, unsqueeze

ARRAY = object()
"""Stands in a key where an index array goes; the arrays are inputs of the op, in this order."""


class Index(Linear):
    """y = x[key], a view when the key has no arrays
    dL/dx = IndexAdd(g): zeros, with g added in at [key]
    dL/darrays = 0

    The arrays of the key are inputs of the op.
    """

    def __init__(self, key) -> None:
        self.key = key
        self.alias = ARRAY not in (key if isinstance(key, tuple) else (key,))

    def forward(self, x, *arrays):
        return namespace(x).asarray(x[filled(self.key, arrays)])

    def vjp(self, node, need, g):
        x, *arrays = node.inputs
        return (IndexAdd(self.key, x.shape)(g, *arrays), *(None for _ in arrays))


class IndexAdd(Linear):
    """y = zeros of a shape, with x added in at [key]; a position named twice receives both
    dL/dx = Index(g): g[key]
    dL/darrays = 0"""

    def __init__(self, key, shape: tuple[int, ...]) -> None:
        self.key, self.shape = key, shape

    def forward(self, x, *arrays):
        xp = namespace(x)
        y = xp.zeros(self.shape, x.dtype)
        alone = arrays and all(k is ARRAY for k in (self.key if isinstance(self.key, tuple) else (self.key,)))
        if xp is np and alone and len(arrays) == y.ndim and all(array.dtype.kind in "iu" for array in arrays):
            places = np.ravel_multi_index(arrays, y.shape, mode="wrap")  # along one axis NumPy adds twice as fast
            np.add.at(y.reshape(-1), places.reshape(-1), np.broadcast_to(x, places.shape).reshape(-1))
        elif arrays:
            xp.add.at(y, filled(self.key, arrays), x)
        else:
            y[self.key] = x
        return y

    def vjp(self, node, need, g):
        arrays = node.inputs[1:]
        return (Index(self.key)(g, *arrays), *(None for _ in arrays))


def filled(key, arrays: Sequence[np.ndarray]):
    """`key` with its ARRAYs replaced by `arrays`."""
    items = iter(arrays)
    if not isinstance(key, tuple):
        return next(items) if key is ARRAY else key
    return tuple(next(items) if k is ARRAY else k for k in key)


class Within(Op):
    """y = x, whole numbers that lie in 0..size-1; IndexError for one that does not: to NumPy, -1 would be the last"""

    name, differentiable = "index", False

    def __init__(self, name: str, axis: int, size: int) -> None:
        self.name, self.axis, self.size = name, axis, size

    def forward(self, x):
        if x.size and not 0 <= x.min() <= x.max() < self.size:
            raise IndexError(
                f"{self.name}: indices {x.min()}..{x.max()} are outside axis {self.axis} of size {self.size}"
            )
        return x


class Concat(Op):
    """y = the arrays xs joined along one axis
    dL/dxs = the slice of g that each array fills"""

    name, saves_input = "cat", False

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs):
        return namespace(xs[0]).concatenate(alike(*xs), self.axis)

    def vjp(self, node, need, g):
        ends = np.cumsum([x.shape[self.axis] for x in node.inputs]).tolist()
        lead = (slice(None),) * self.axis
        return tuple(
            Index((*lead, slice(start, end)))(g) if n else None
            for start, end, n in zip([0, *ends], ends, need, strict=False)
        )


class Pad(Linear):
    """y = x with a border of one value
    dL/dx = g without the border"""

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths, self.value = widths, value

    def forward(self, x):
        return namespace(x).pad(x, self.widths, constant_values=self.value)

    def vjp(self, node, need, g):
        inner = tuple(slice(low, low + size) for (low, _), size in zip(self.widths, node.inputs[0].shape, strict=True))
        return (Index(inner)(g),)


class Mirror(Linear):
    """y = x with a border mirrored about the edge, which is not repeated: 2 1 | 0 1 2 3 | 2 1
    dL/dx = Unmirror(g)

    widths: (low, high) of each axis. Slices only, axis by axis: what lies in a corner is mirrored twice.
    """

    def __init__(self, widths: tuple[tuple[int, int], ...]) -> None:
        self.widths = widths

    def forward(self, x):
        xp, order = namespace(x), layout.memory_order(x)
        shape = [low + size + high for (low, high), size in zip(self.widths, x.shape, strict=True)]
        block = poisoned(xp.empty([shape[axis] for axis in order], x.dtype))
        y = block.transpose([order.index(a) for a in range(x.ndim)])
        self._into(y, x)
        return y

    def prepare(self, work, inputs, outputs):
        work.call(self._into, outputs[0], inputs[0])

    def _into(self, y, x) -> None:
        y[tuple(slice(low, low + size) for (low, _), size in zip(self.widths, x.shape, strict=True))] = x
        for border, inner in self.folds(x.shape):
            y[border] = y[inner]

    def folds(self, shape: Sequence[int]) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """(the border, what it is the mirror image of), keys of the padded array, in the order they are filled."""
        folds = []
        for axis, ((low, high), size) in enumerate(zip(self.widths, shape, strict=True)):
            lead, end = (slice(None),) * axis, low + size
            if low:
                folds.append(((*lead, slice(0, low)), (*lead, slice(2 * low, low, -1))))
            if high:
                stop = end - 2 - high
                inner = slice(end - 2, stop if stop >= 0 else None, -1)
                folds.append(((*lead, slice(end, end + high)), (*lead, inner)))
        # Where an axis is filled, the borders of later ones are not yet: each sees the whole of those before it.
        return folds

    def vjp(self, node, need, g):
        return (Unmirror(self.widths)(g),)


class Unmirror(Linear):
    """y = g without its border, each value of the border added to what it mirrored
    dL/dg = Mirror(h)"""

    def __init__(self, widths: tuple[tuple[int, int], ...]) -> None:
        self.widths = widths

    def forward(self, g):
        shape = [size - low - high for size, (low, high) in zip(g.shape, self.widths, strict=True)]
        y = g.copy(order="K")
        for border, inner in reversed(Mirror(self.widths).folds(shape)):
            y[inner] += y[border]
        return y[tuple(slice(low, low + size) for (low, _), size in zip(self.widths, shape, strict=True))]

    def vjp(self, node, need, g):
        return (Mirror(self.widths)(g),)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along an existing axis."""
    tensors = tuple(as_tensor(t) for t in tensors)
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    axis = axis_index(dim, tensors[0].ndim, "cat")
    rest = {t.shape[:axis] + t.shape[axis + 1 :] for t in tensors}
    if len(rest) > 1 or len({t.ndim for t in tensors}) > 1:
        raise ValueError(f"cat: shapes {', '.join(str(t.shape) for t in tensors)} differ outside axis {axis}")
    return Concat(axis)(*tensors)


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    tensors = tuple(as_tensor(t) for t in tensors)
    if len({t.shape for t in tensors}) != 1:
        raise ValueError(f"stack: expected tensors of one shape, got {[t.shape for t in tensors]}")
    return cat([unsqueeze(t, dim) for t in tensors], axis_index(dim, tensors[0].ndim + 1, "stack"))


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the given size (the last may be smaller), or of the given sizes, along an axis; views."""
    axis = axis_index(dim, tensor.ndim, "split")
    size = tensor.shape[axis]
    if isinstance(split_size_or_sections, int):
        if split_size_or_sections <= 0:
            raise ValueError(f"split: the size of a piece must be positive, got {split_size_or_sections}")
        starts = range(0, max(size, 1), split_size_or_sections)
        sections = [min(split_size_or_sections, size - start) for start in starts]
    else:
        sections = list(split_size_or_sections)
    if sum(sections) != size or min(sections, default=0) < 0:
        raise ValueError(f"split: sections {sections} do not add up to the size {size} of axis {axis}")
    ends = np.cumsum(sections).tolist()
    lead = (slice(None),) * axis
    return tuple(Index((*lead, slice(end - length, end)))(tensor) for end, length in zip(ends, sections, strict=True))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size (the last may be smaller) along an axis; of an empty axis, all of them."""
    if integer("chunk", "chunks", chunks) <= 0:
        raise ValueError(f"chunk: the number of chunks must be positive, got {chunks}")
    size = input.shape[axis_index(dim, input.ndim, "chunk")]
    if size == 0:
        return split(input, [0] * chunks, dim)
    return split(input, max(1, -(-size // chunks)), dim)


def _is_array(key) -> bool:
    """Whether part of a key picks positions one by one: all but whole numbers, slices, None and `...` does."""
    if key is None or key is Ellipsis or isinstance(key, slice):
        return False
    return isinstance(key, (Tensor, np.ndarray, bool, np.bool_)) or not hasattr(key, "__index__")


def _positions(input: Tensor, key) -> Tensor:
    """Part of a key, which picks positions, as a Tensor beside `input`; no positions are whole numbers, too."""
    if isinstance(key, Tensor):
        return key
    array = np.asarray(key)
    if not array.size and not isinstance(key, np.ndarray):
        array = array.astype(int64)
    return Tensor(on(array_of(input), array))


def array_keys(input: Tensor, key) -> tuple[object, list[Tensor]]:
    """(`key` of input[key] with its arrays replaced by ARRAY, those arrays as Tensors)."""
    keys = key if isinstance(key, tuple) else (key,)
    plain = tuple(ARRAY if _is_array(k) else k for k in keys)
    arrays = [_positions(input, k) for k in keys if _is_array(k)]
    return (plain if isinstance(key, tuple) else plain[0]), arrays


def getitem(input: Tensor, key) -> Tensor:
    """input[key] with NumPy's rules; index Tensors are taken as arrays."""
    plain, arrays = array_keys(input, key)
    return Index(plain)(input, *arrays)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of `input` along axis `dim` that the 1-d integer `index` names.

    Raises IndexError for an index that is negative or not below the axis's size.
    """
    index = indices_of(index, "index_select", input)
    if index.ndim != 1:
        raise ValueError(f"index_select: the index must have one axis, got shape {index.shape}")
    axis = axis_index(dim, input.ndim, "index_select")
    index = Within("index_select", axis, input.shape[axis])(index)
    return Index((slice(None),) * axis + (ARRAY,))(input, index)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """y[i][j][k] = input[i][index[i][j][k]][k] for dim = 1; `index` has as many axes as `input`, none longer outside
    `dim`. A single number counts as one axis of size 1.

    Raises IndexError for an index that is negative or not below the size of axis `dim`.
    """
    if input.ndim == 0:
        index = indices_of(index, "gather", input)
        return reshape(gather(reshape(input, (1,)), dim, reshape(index, index.shape or (1,))), index.shape)
    index, axis = indices_of(index, "gather", input), axis_index(dim, input.ndim, "gather")
    return gather_within(input, axis, Within("gather", axis, input.shape[axis])(index))


def gather_within(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """`gather` for an index that is known to lie within the axis, which is not looked at, then."""
    index, dim = indices_of(index, "gather", input), axis_index(dim, input.ndim, "gather")
    grid = places_along(input, dim, index, "gather")
    return Index((ARRAY,) * len(grid))(input, *grid)


def places_along(input: Tensor, axis: int, index: Tensor, op: str) -> list[Tensor]:
    """The index arrays, one an axis, that read element [i][index[i][j][k]][k] of `input`, for axis = 1.

    Raises ValueError, naming the op, unless the index has as many axes, none longer outside `axis`.
    """
    if index.ndim != input.ndim or any(
        i > s for d, (i, s) in enumerate(zip(index.shape, input.shape, strict=True)) if d != axis
    ):
        raise ValueError(
            f"{op}: an index of shape {index.shape} does not fit an input of shape {input.shape} along axis {axis}"
        )
    grid = [Tensor(on(array_of(input), line)) for line in np.ogrid[tuple(slice(n) for n in index.shape)]]
    grid[axis] = index
    return grid


def indices_of(index, op: str, like: Tensor) -> Tensor:
    index = index if isinstance(index, Tensor) else Tensor(on(array_of(like), np.asarray(index)))
    if index.dtype.kind not in "iu":
        raise TypeError(f"{op}: the index must hold integers, not {index.dtype}")
    return index


@owned
def flip(input: Tensor, dims: int | Sequence[int]) -> Tensor:
    """In reverse order along the axes `dims`, a copy, as in PyTorch."""
    drop = {axis_index(d, input.ndim, "flip") for d in ((dims,) if isinstance(dims, int) else dims)}
    return Index(tuple(slice(None, None, -1) if i in drop else slice(None) for i in range(input.ndim)))(input)


@owned
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """A border around `input`: `pad` is (left, right) of the last axis, then of the one before, and so on.

    mode: "constant" (filled with `value`, 0 by default; negative widths crop), "reflect" (mirrored, without the edge),
    "replicate" (the edge repeated) or "circular". Raises ValueError for widths that do not fit.
    """
    pad = tuple(integer("pad", "a width", p) for p in pad)
    if len(pad) % 2 or len(pad) // 2 > input.ndim:
        raise ValueError(
            f"pad: {len(pad)} widths for a tensor of {input.ndim} axes; give (left, right) pairs from the last axis"
        )
    widths = [(0, 0)] * (input.ndim - len(pad) // 2) + [pad[i : i + 2] for i in range(0, len(pad), 2)][::-1]
    if mode == "constant":
        if not isinstance(value, (int, float, np.number, type(None))):
            raise TypeError(f"pad: the value must be a number, got {value!r:.60}")
        crop = tuple(
            slice(max(-low, 0), size - max(-high, 0)) for (low, high), size in zip(widths, input.shape, strict=True)
        )
        if any(w < 0 for w in pad):
            input = Index(crop)(input)
        return Pad(tuple((max(low, 0), max(high, 0)) for low, high in widths), value or 0)(input)
    numpy_mode = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}.get(mode)
    if numpy_mode is None:
        raise ValueError(f"pad: unknown mode {mode!r}; known modes: constant, reflect, replicate, circular")
    for axis, (low, high) in enumerate(widths):
        size = input.shape[axis]
        if min(low, high) < 0 or (mode != "replicate" and max(low, high) > size - (mode == "reflect")):
            raise ValueError(f"pad: widths {(low, high)} do not fit axis {axis} of size {size} in mode {mode!r}")
        if (low or high) and mode != "reflect":
            source = np.pad(np.arange(size), (low, high), numpy_mode)
            input = Index((slice(None),) * axis + (ARRAY,))(input, Tensor(on(array_of(input), source)))
    return Mirror(tuple(widths))(input) if mode == "reflect" and any(pad) else input


Tensor.__getitem__ = getitem
