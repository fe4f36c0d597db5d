"""Reverse-mode differentiation, to any order: the whole engine.

An `Op` turns arrays into arrays. Applying it to Tensors records a `Node`: the op, its input Tensors, nothing else.
A Tensor is an array plus the node (and output number) it came from, so the graph is a chain of inputs and dies by
reference counting as soon as nobody holds its end.

`grad` walks that graph from the outputs back. For y = op(x) it is given the cotangent g = dL/dy and asks the op for
its vector-Jacobian product  dL/dx = g (dy/dx),  written in Tensor ops. So the gradient is computed by recording ops,
and with `create_graph=True` it is a graph like any other: differentiate it again, as often as you like (Pearlmutter
1994; Maclaurin, Duvenaud & Adams 2015).

Four rules keep that right, and fast:
  1. A vjp uses its node's inputs and outputs as Tensors, never an array kept aside: what is kept aside is a constant
     to the next order.
  2. None means zero. No zero cotangent is ever materialised, no branch that carries only zeros is walked.
  3. `need` says which inputs' gradients are wanted; the others are not computed.
  4. Nodes are numbered as they are recorded, and going down those numbers is a topological order: no recursion, and
     the same sums in the same order on every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from .backend import FLOATS, default_device, device_of, float32, host, moved, namespace, on, opened, together
from .backend import device as check_device

if TYPE_CHECKING:
    from ._typing import Methods
else:
    Methods = object  # methods.py and the ops attach them
_property: Any = property  # so that the type that stands beside the name counts

_recording: ContextVar[bool] = ContextVar("minigan_recording", default=True)
_anomaly: ContextVar[bool] = ContextVar("minigan_anomaly", default=False)
recorder: ContextVar = ContextVar("minigan_recorder", default=None)
"""What notes every op of this thread while `capture` records a step, else None."""

watchers = 0
"""How many anomaly contexts and recordings are open, in all threads: while it is 0, ops need not ask."""
_node_numbers = itertools.count()


@contextmanager
def _set(variable: ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def no_grad():
    """Context manager (and decorator) in which nothing is recorded."""
    return _set(_recording, False)


def enable_grad():
    """Context manager (and decorator) in which ops are recorded, also inside `no_grad`."""
    return _set(_recording, True)


def is_grad_enabled() -> bool:
    """Whether ops are being recorded."""
    return _recording.get()


def detect_anomaly():
    """Context manager in which every op checks its result; the first that makes a NaN or an infinity raises
    FloatingPointError with its name, its shapes and whether its inputs were still finite."""
    return _detecting()


@contextmanager
def _detecting() -> Iterator[None]:
    global watchers
    token = _anomaly.set(True)
    watchers += 1
    try:
        yield
    finally:
        watchers -= 1
        _anomaly.reset(token)


def is_anomaly_detected() -> bool:
    """Whether results are being checked."""
    return _anomaly.get()


class Tensor(Methods):
    """An array and where it came from.

    data: the NumPy array. node, index: the recorded op and which of its outputs this is (None, 0 for a leaf).
    grad: what `backward` accumulated, a Tensor without history, or None. version: a one-element list, shared with
    views, that counts in-place changes.
    """

    __slots__ = ("__weakref__", "_leaf_grad", "data", "grad", "hooks", "index", "node", "version")
    __array_priority__ = 100

    def __init__(self, data: np.ndarray, node: Node | None = None, index: int = 0) -> None:
        self.data, self.node, self.index = data, node, index
        self._leaf_grad, self.grad, self.hooks, self.version = False, None, None, [0]

    shape: tuple[int, ...] = _property(attrgetter("data.shape"), doc="The sizes of its axes, a tuple.")
    dtype: np.dtype = _property(attrgetter("data.dtype"), doc="The NumPy dtype of its elements.")
    ndim: int = _property(attrgetter("data.ndim"), doc="The number of its axes.")
    device: str = _property(lambda self: device_of(array_of(self)), doc="The device that holds its array.")
    is_leaf: bool = _property(lambda self: self.node is None, doc="Whether no recorded op made it.")

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through it."""
        return self._leaf_grad or self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.node is not None:
            raise ValueError("requires_grad can only be set on a leaf; use detach() to leave the graph")
        if value and self.data.dtype not in FLOATS:
            raise TypeError(f"only float32 and float64 tensors can require a gradient, not {self.data.dtype}")
        self._leaf_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set requires_grad on this leaf and return it."""
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The same array outside the graph."""
        out = Tensor(array_of(self))
        out.version = self.version
        return out

    def backward(self, gradient: Tensor | None = None, inputs: Sequence[Tensor] | None = None) -> None:
        """Accumulate the gradient of this tensor into `.grad` of every leaf (or of `inputs`); see `backward`."""
        backward((self,), None if gradient is None else (gradient,), inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call hook(gradient) once this tensor's whole gradient is known; what it returns, unless None, takes its
        place. Returns a handle: call it (or its `.remove()`) to remove the hook."""
        if not self.requires_grad:
            raise ValueError("register_hook: this tensor does not require a gradient, so its hook would never run")
        if self.node is None:
            self.hooks = hooks = self.hooks or []
        else:
            self.node.hooks = self.node.hooks or {}
            hooks = self.node.hooks.setdefault(self.index, [])
        hooks.append(hook)
        return _HookHandle(hooks, hook)

    def assign(self, values: Tensor | np.ndarray) -> Tensor:
        """Overwrite this leaf's values in place, unrecorded, and count it. Raises ValueError on another shape."""
        values = values if isinstance(values, Tensor) else tensor_of(values)
        if opened and type(array_of(values)) is not type(array_of(self)):
            values = Tensor(moved(array_of(values), self.device))
        if values.shape != self.shape:
            raise ValueError(
                f"assign: cannot write an array of shape {values.shape} into a tensor of shape {self.shape}"
            )
        in_place(overwrite, [self], [values])
        return self

    def changed(self) -> Tensor:
        """Say that `data` was changed in place: a backward pass through what was recorded before will refuse."""
        self.version[0] += 1
        return self

    def numpy(self) -> np.ndarray:
        """Its array, on the CPU not copied. Raises ValueError on one that requires a gradient: detach() first."""
        if self.requires_grad:
            raise ValueError("numpy: this tensor requires a gradient; use .detach().numpy()")
        return host(self.data) if type(self.data) in opened else self.data

    def item(self) -> float | int | bool:
        """The value of a one-element tensor as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item: only a one-element tensor has an item, this one has shape {self.shape}")
        return self.data.item()

    def tolist(self):
        """Its values as nested Python lists."""
        return self.data.tolist()

    def __deepcopy__(self, memo: dict) -> Tensor:
        copied = type(self)(self.data.copy())
        copied._leaf_grad = self._leaf_grad
        return copied

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        data = host(self.data) if type(self.data) in opened else self.data
        values = np.array2string(data, separator=", ", prefix="tensor(", precision=4)
        made_by = f", made by {self.node.op.name}" if self.node else ", requires_grad=True" if self._leaf_grad else ""
        return f"tensor({values}, dtype={self.dtype}{made_by})"


array_of = Tensor.data.__get__
"""A tensor's array, also while a step is recorded and `data` shows only its shape."""


def in_place(kernel: Callable, targets: Sequence[Tensor], sources: Sequence[Tensor] = ()) -> None:
    """kernel(*arrays of targets, *arrays of sources), which overwrites the targets: the one door for changes in place.

    Nothing is recorded for the gradient; each target counts the change. While `capture` records a step the change is
    noted instead, and made by the plan.
    """
    noted = recorder.get() if watchers else None
    if noted is None:
        kernel(*map(array_of, targets), *map(array_of, sources))
    else:
        noted.in_place(kernel, targets, sources)
    for t in targets:
        t.changed()


def overwrite(target: np.ndarray, source: np.ndarray) -> None:
    """A kernel for `in_place`: the target takes the source's values."""
    target[...] = source


class _HookHandle:
    def __init__(self, hooks: list, hook: Callable) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Remove the hook; a second time does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    __call__ = remove


class Node:
    """One recorded application of an op. `inputs` are Tensors; `outputs` the arrays it made (kept only for an op with
    saves_output), so a node never points at a Tensor that points back at it."""

    __slots__ = ("hooks", "inputs", "number", "op", "output_versions", "outputs", "shapes", "versions")

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], outputs: tuple[np.ndarray, ...]) -> None:
        self.op, self.inputs, self.number, self.hooks = op, inputs, next(_node_numbers), None
        self.outputs = outputs if op.saves_output else None
        self.shapes = (outputs[0].shape,) if len(outputs) == 1 else tuple(y.shape for y in outputs)
        self.versions = [x.version[0] for x in inputs] if op.saves_input else ()
        self.output_versions: Sequence[list[int]] = ()

    def output(self, index: int = 0) -> Tensor:
        """Output number `index` as a Tensor on the graph: what a vjp that uses its output must use."""
        y = Tensor(self.outputs[index], self, index)
        y.version = self.output_versions[index]
        return y

    def stale(self) -> RuntimeError:
        """The error for an input or output that the vjp reads and that was changed in place since it was recorded."""
        changed = [
            f"input {i} of shape {x.shape}"
            for i, (x, v) in enumerate(zip(self.inputs, self.versions, strict=False))
            if x.version[0] != v
        ]
        changed += [f"output {i} of shape {self.shapes[i]}" for i, v in enumerate(self.output_versions) if v[0]]
        return RuntimeError(
            f"{self.op.name}: {changed[0]} was changed in place (by an optimiser step, say) after this op used it, so"
            " its gradient would be wrong; call backward before the step, or run the forward pass again"
        )


class Op:
    """One differentiable operation. Subclass it with `forward` and either `vjp` or `reference`.

    forward(*arrays) -> array or tuple of arrays: the kernel; it must not change its inputs.
    vjp(node, need, *cotangents) -> a Tensor or None per input, written in Tensor ops. A cotangent may be None (zero);
        need[i] says whether input i's gradient is wanted. node.inputs are the input Tensors, node.output(i) the
        outputs.
    reference(*tensors) -> the same function composed of other ops: explanation, test oracle, and the default vjp.
    saves_input: the vjp reads the inputs' values (not only their shapes). saves_output: it reads the outputs' values.
    alias: the output shares the first input's memory. differentiable: False for comparisons and the like.
    generator: the `Generator` that forward draws from, if any.
    """

    saves_input, saves_output, alias, differentiable, generator = True, False, False, True, None

    @property
    def name(self) -> str:
        """The name in messages: the class's."""
        return type(self).__name__

    def forward(self, *arrays: np.ndarray):
        """The kernel: arrays in, an array or a tuple of arrays out."""
        raise NotImplementedError(f"{self.name} has no forward")

    def prepare(self, work, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Issue, by `work` (see kernels/work.py), the loops that make the output arrays from the input arrays.

        No number may be read here. An op without kernels of its own runs `forward` and copies what it makes.
        """
        work.call(self._fill, inputs, outputs)

    def _fill(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        for out, y in zip(outputs, _several(self.forward(*inputs)), strict=True):
            np.copyto(out, y)

    def reference(self, *tensors: Tensor):
        """The same function as a composite of other ops."""
        raise NotImplementedError(f"{self.name} has neither a vjp nor a reference, so it cannot be differentiated")

    def vjp(self, node: Node, need: Sequence[bool], *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """The derivative of `reference`, for an op that states no rule of its own."""
        onward = is_grad_enabled()  # is this pass itself being recorded?
        with enable_grad():
            # The wanted inputs become end points of a small graph of their own, still tied to the outer one when that
            # is recorded.
            inputs = tuple(
                (identity(x) if onward else x.detach().requires_grad_()) if n else (x if onward else x.detach())
                for x, n in zip(node.inputs, need, strict=True)
            )
            outputs = _sequence(self.reference(*inputs))
        reached = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if g is not None and y.requires_grad]
        wanted = [x for x, n in zip(inputs, need, strict=True) if n]
        grads = iter(grad([y for y, _ in reached], wanted, [g for _, g in reached], create_graph=onward))
        return tuple(next(grads) if n else None for n in need)

    def __call__(self, *inputs) -> Any:
        """Apply the op to Tensors (NumPy arrays and Python numbers are taken as constants) and record it. Returns a
        Tensor, or a tuple of them for an op with several outputs."""
        if watchers and (noted := recorder.get()) is not None:
            return noted.apply(self, _lift(inputs))
        try:
            arrays, tracked = [x.data for x in inputs], False
            for x in inputs:
                if x.node is not None or x._leaf_grad:
                    tracked = True
        except AttributeError:  # an array or a number among them
            return self(*_lift(inputs))
        made = self.run(inputs, arrays)
        tracked = tracked and self.differentiable and _recording.get()
        if tracked or self.alias or type(made) is tuple:
            return self.wrap(inputs, made, tracked)
        return Tensor(made)

    def run(self, inputs: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> np.ndarray | tuple[np.ndarray, ...]:
        """`forward` on the inputs' arrays, its errors explained and its results real arrays."""
        try:
            if opened:
                together(self.name, arrays)
            made = self.forward(*arrays)
        except (ValueError, TypeError, IndexError) as error:
            raise self._explained(error, inputs) from error
        if isinstance(made, np.generic):  # NumPy returns scalars, not arrays, from 0-d arithmetic
            made = np.asarray(made)
        if watchers and _anomaly.get():
            self._check_finite(inputs, arrays, made)
        return made

    def wrap(self, inputs: tuple[Tensor, ...], made, tracked: bool) -> Tensor | tuple[Tensor, ...]:
        """What this op made of the inputs, as Tensors; if `tracked`, the op is recorded for the gradient."""
        if type(made) is not tuple and not self.alias:  # nearly every op: the rest of this function, for one output
            node = Node(self, inputs, (made,)) if tracked else None
            y = Tensor(made, node)
            if tracked and self.saves_output:
                node.output_versions = (y.version,)
            return y
        arrays = made if type(made) is tuple else (made,)
        node = Node(self, inputs, arrays) if tracked else None
        outputs = [Tensor(y, node, i) for i, y in enumerate(arrays)]
        if tracked and self.saves_output:
            node.output_versions = [y.version for y in outputs]
        if self.alias:
            outputs[0].version = inputs[0].version
        return tuple(outputs) if type(made) is tuple else outputs[0]

    def _explained(self, error: Exception, inputs: Sequence[Tensor]) -> Exception:
        message = str(error)
        if message.startswith(f"{self.name}: "):
            return error
        shapes = ", ".join(str(x.shape) for x in inputs)
        if "broadcast" in message:
            message = (
                "the shapes do not broadcast; from the last axis on, sizes must be equal or 1 (reshape one of them)"
            )
        return type(error)(f"{self.name}: {message} (input shapes {shapes})")

    def _check_finite(self, inputs: Sequence[Tensor], arrays: Sequence[np.ndarray], made) -> None:
        for y in _several(made):
            if y.dtype in FLOATS and not namespace(y).isfinite(y).all():
                kind = "NaN" if namespace(y).isnan(y).any() else "an infinity"
                finite = all(namespace(x).isfinite(x).all() for x in arrays)
                raise FloatingPointError(
                    f"{self.name} made {kind} (output {y.shape}, inputs {', '.join(str(x.shape) for x in inputs)}"
                    f" {'all finite' if finite else 'not all finite'})"
                )


class Identity(Op):
    """y = x: a new name for the same array."""

    name, alias, saves_input = "identity", True, False

    def forward(self, x):
        return x[...]

    def vjp(self, node, need, g):
        return (g,)


class Cast(Op):
    """The same values in another floating dtype; the cotangent is cast back."""

    name, saves_input = "cast", False

    def __init__(self, dtype) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x):
        return x.astype(self.dtype)

    def vjp(self, node, need, g):
        return (Cast(node.inputs[0].dtype)(g),)


class Copy(Op):
    """y = x, in memory of its own."""

    name, saves_input = "clone", False

    def forward(self, x):
        return x.copy(order="K")

    def vjp(self, node, need, g):
        return (g,)


identity, copied = Identity(), Copy()


def grad(outputs, inputs, grad_outputs=None, create_graph: bool = False) -> tuple[Tensor | None, ...]:
    """The gradient of sum(outputs * grad_outputs) with respect to each of `inputs`.

    outputs, inputs: a Tensor or a sequence of them. grad_outputs: the cotangents, likewise, each of its output's shape;
    it may be left out (or an entry None) for an output with one element, and is then 1. create_graph: record this pass,
    so that what it returns can be differentiated again. Returns a tuple, one entry per input: a Tensor of its shape, or
    None if no output depends on it. Raises ValueError for a cotangent that is missing or of the wrong shape, or an
    input that requires no gradient.
    """
    outputs, inputs = _sequence(outputs), _sequence(inputs)
    for position, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            raise ValueError(
                f"grad: inputs[{position}] does not require a gradient; call requires_grad_() on it before it is used"
            )
    seeds = _seeds(outputs, grad_outputs)
    table = _propagate(outputs, seeds, {_slot(x) for x in inputs}, _walk(outputs, inputs), create_graph)
    found = (table.get(_slot(x)) for x in inputs)
    return tuple(g if g is None or create_graph or g.node is None else g.detach() for g in found)


def backward(outputs, grad_outputs=None, inputs: Sequence[Tensor] | None = None) -> None:
    """Accumulate the gradient of sum(outputs * grad_outputs) into `.grad` of every leaf that requires one, or of
    `inputs`.

    `.grad` never carries history (use `grad(..., create_graph=True)` for higher orders). Raises ValueError if no output
    requires a gradient.
    """
    outputs = _sequence(outputs)
    if not any(y.requires_grad for y in outputs):
        raise ValueError("backward: the output depends on nothing that requires a gradient")
    seeds = _seeds(outputs, grad_outputs)
    nodes = _walk(outputs, inputs or ())
    if inputs is None:
        leaves = {id(x): x for n in nodes for x in n.inputs if x._leaf_grad and x.node is None}
        inputs = [
            *leaves.values(),
            *{id(y): y for y in outputs if y.node is None and y._leaf_grad and id(y) not in leaves}.values(),
        ]
    table = _propagate(outputs, seeds, {_slot(x) for x in inputs}, nodes, create_graph=False)
    handed_out = {id(_owner(array_of(g))) for g in seeds if g is not None}
    for x in inputs:
        g = table.get(_slot(x))
        if g is None:
            continue
        with no_grad():
            if x.grad is not None:
                x.grad = x.grad + g
                continue
            # Two leaves may receive one array (both ends of an addition do): each .grad must be its own, and whole.
            array = array_of(g)
            owner = _owner(array)
            apart = owner.nbytes <= 2 * array.nbytes and 0 not in array.strides and id(owner) not in handed_out
            x.grad = g.detach() if apart else copied(g)
            handed_out.add(id(owner))


def _owner(array: np.ndarray) -> np.ndarray:
    """The array that a view is a view of, or the array itself."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _slot(t: Tensor):
    """What a cotangent belongs to: one output of a node, or a leaf."""
    return (t.node, t.index) if t.node is not None else id(t)


def _walk(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Node]:
    """The nodes that `outputs` depend on, oldest first, leaving out those too old to depend on any of `inputs`."""
    floor = min((-1 if x.node is None else x.node.number for x in inputs), default=-1)
    stack = [y.node for y in outputs if y.node is not None and y.node.number >= floor]
    seen = set(stack)
    while stack:
        for x in stack.pop().inputs:
            node = x.node
            if node is not None and node not in seen and node.number >= floor:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=_number)


_number = attrgetter("number")


def _needs(nodes: Sequence[Node], wanted: set) -> dict[Node, tuple[bool, ...]]:
    """For each node on the way to a wanted slot: which of its inputs are wanted or lead to one."""
    needs: dict[Node, tuple[bool, ...]] = {}
    for node in nodes:
        leads = tuple(
            [id(x) in wanted if x.node is None else x.node in needs or (x.node, x.index) in wanted for x in node.inputs]
        )
        if True in leads:
            needs[node] = leads
    return needs


def _propagate(outputs, seeds, wanted: set, nodes: list[Node], create_graph: bool) -> dict:
    """Carry the cotangents back from `outputs`; returns slot -> cotangent for the slots in `wanted`."""
    needs = _needs(nodes, wanted)
    found: dict = {}  # the cotangents of wanted slots, complete once their node has had its turn
    waiting: dict[Node, list[Tensor | None]] = {}  # those of the outputs of nodes that have not
    leaf_hooks: dict = {}

    inner = {slot[0] for slot in wanted if type(slot) is tuple}  # nodes with an output that is wanted itself

    def give(x: Tensor, g: Tensor) -> None:
        dtype = x.data.dtype
        if g.data.dtype is not dtype and g.data.dtype != dtype:
            g = Cast(dtype)(g)
        node = x.node
        if node is None:
            slot = id(x)
            before = found.get(slot)
            found[slot] = g if before is None else before + g  # out of place: a cotangent may be shared
            if x.hooks:
                leaf_hooks[slot] = x.hooks
            return
        held = waiting.get(node)
        if held is None:
            waiting[node] = held = [None] * len(node.shapes)
        before = held[x.index]
        held[x.index] = g if before is None else before + g

    token = _recording.set(create_graph)
    try:
        for y, g in zip(outputs, seeds, strict=True):
            if g is not None and (_slot(y) in wanted or y.node in needs):
                give(y, g)
        for node in reversed(nodes):
            cotangents = waiting.pop(node, None)
            if cotangents is None:
                continue
            if node.hooks:
                for index, hooks in node.hooks.items():
                    if cotangents[index] is not None:
                        cotangents[index] = _apply_hooks(hooks, cotangents[index])
            if node in inner:
                for index, g in enumerate(cotangents):
                    if (node, index) in wanted:
                        found[node, index] = g
            need = needs.get(node)
            if need is None:
                continue
            for x, version in zip(node.inputs, node.versions, strict=False):
                if x.version[0] != version:
                    raise node.stale()
            for version in node.output_versions:
                if version[0]:
                    raise node.stale()
            for x, g, n in zip(node.inputs, _vjp(node, need, cotangents), need, strict=True):
                if n and g is not None:
                    give(x, g)
        for slot, hooks in leaf_hooks.items():
            found[slot] = _apply_hooks(hooks, found[slot])
    finally:
        _recording.reset(token)
    return found


def _vjp(node: Node, need: tuple[bool, ...], cotangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """The op's vjp, its answer checked."""
    try:
        grads = node.op.vjp(node, need, *cotangents)
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}, in the gradient of {node.op.name}") from None
    if len(grads) != len(node.inputs):
        raise ValueError(f"{node.op.name}: its vjp returned {len(grads)} gradients for {len(node.inputs)} inputs")
    for position, (x, g) in enumerate(zip(node.inputs, grads, strict=True)):
        if g is not None and g.data.shape != x.data.shape:
            raise ValueError(
                f"{node.op.name}: its vjp returned a gradient of shape {g.shape} for input {position} of {x.shape}"
                " (after broadcasting, sum it back with sum_to)"
            )
    return grads


def _apply_hooks(hooks: Sequence[Callable], g: Tensor) -> Tensor:
    for hook in tuple(hooks):
        replaced = hook(g)
        g = g if replaced is None else replaced
    return g


def _seeds(outputs: Sequence[Tensor], grad_outputs) -> list[Tensor]:
    """The cotangents of the outputs, as Tensors of their shapes."""
    given = (None,) * len(outputs) if grad_outputs is None else _sequence(grad_outputs)
    if len(given) != len(outputs):
        raise ValueError(f"grad: {len(given)} grad_outputs for {len(outputs)} outputs")
    seeds = []
    for y, g in zip(outputs, given, strict=True):
        if g is None and y.data.size != 1:
            raise ValueError(
                f"grad: an output of shape {y.shape} needs a cotangent in grad_outputs; only one-element outputs do not"
            )
        g = Tensor(namespace(array_of(y)).ones(y.shape, y.dtype)) if g is None else as_tensor(g, like=array_of(y))
        if g.shape != y.shape:
            raise ValueError(f"grad: a cotangent of shape {g.shape} for an output of shape {y.shape}")
        seeds.append(g)
    return seeds


def _sequence(value) -> tuple[Tensor, ...]:
    return (value,) if isinstance(value, Tensor) or value is None else tuple(value)


def _several(made) -> tuple:
    return made if type(made) is tuple else (made,)


def _lift(inputs: Sequence) -> tuple[Tensor, ...]:
    like = next((array_of(x) for x in inputs if isinstance(x, Tensor)), None)
    return tuple([x if isinstance(x, Tensor) else as_tensor(x, like) for x in inputs])


def as_tensor(value, like: np.ndarray | None = None) -> Tensor:
    """`value` as a Tensor, itself if it is one. A Python number takes the dtype of the array `like`, so that it does
    not promote float32."""
    if isinstance(value, Tensor):
        return value
    if like is not None and isinstance(value, (bool, int, float)):
        key = value, type(value), like.dtype, type(like)
        if value and key in _constants:
            return _constants[key]
        dtype = (
            like.dtype
            if like.dtype in FLOATS
            else float32
            if isinstance(value, float)
            else np.result_type(like.dtype, value)
        )
        constant = Tensor(on(like, np.asarray(value, dtype)))
        if value and len(_constants) < CONSTANTS:  # 0.0 and -0.0 are one key, but not one number
            _constants[key] = constant
        return constant
    return tensor(value)


CONSTANTS = 1024
_constants: dict[tuple, Tensor] = {}
"""Numbers that have been operands, as Tensors: most programs use the same few again and again."""


def tensor_of(array) -> Tensor:
    """A Tensor around what np.asarray makes of it, not copied if it is an array."""
    _check_constant(array)
    return Tensor(array if type(array) in opened else np.asarray(array))


def _check_constant(data) -> None:
    """While a step is recorded, refuse a caller's array: it would be the same at every replay."""
    if (
        watchers
        and (isinstance(data, np.ndarray) or type(data) in opened)
        and data.size > 1
        and (noted := recorder.get()) is not None
    ):
        raise noted.constant()


def tensor(data, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """A new leaf holding a copy of `data`.

    A NumPy array keeps its dtype; Python floats become float32, ints int64. Raises TypeError for what is not made of
    numbers.
    """
    if isinstance(data, Tensor):
        data = host(data.data)
    _check_constant(data)
    array = np.array(data, dtype=dtype)
    if dtype is None and array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        array = array.astype(float32)
    if array.dtype.kind not in "fiub" or array.dtype == np.float16 or array.dtype.itemsize > 8:
        raise TypeError(f"tensor: dtype {array.dtype} is not supported; use float32, float64, an integer type or bool")
    where = default_device() if device is None else check_device(device)
    return Tensor(array if where == "cpu" else moved(array, where)).requires_grad_(requires_grad)
