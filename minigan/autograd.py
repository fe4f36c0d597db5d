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
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _array, _errors, _hooks, _modes
from ._array import ArrayHolder, TensorError, Values, array_of, of_any_arguments
from ._array import in_place as in_place
from ._modes import detect_anomaly as detect_anomaly
from ._modes import enable_grad, is_grad_enabled, no_grad
from .backend import FLOATS, Generator, device_modules, namespace, together

if TYPE_CHECKING:
    from ._typing import ArrayLike, DTypeLike, Hook, Methods, Now, Operand, Slot, T
else:
    Methods = object  # methods.py and the ops attach them


class Tensor(ArrayHolder, Methods):
    """An array and where it came from.

    data: the NumPy array (`ArrayHolder`). node, index: the recorded op and which of its outputs this is (None, 0 for a
    leaf). grad: what `backward` accumulated, a Tensor without history, or None.
    """

    __slots__ = ("_grad", "_leaf_grad", "hooks", "index", "node")
    _grad: Tensor | None
    hooks: list[Hook] | None

    def __init__(self, data: np.ndarray, node: Node | None = None, index: int = 0) -> None:
        self._data, self.node, self.index = data if type(data) is np.ndarray else _array.plain(data), node, index
        self._leaf_grad, self._grad = False, None
        self.hooks, self.version = None, [0]
        if _modes.watchers and (recorder := _modes.recorder.get()) is not None:
            recorder.tensor_created(self, data)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made it."""
        return self.node is None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through it."""
        return self._leaf_grad or self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.node is not None:
            raise ValueError("requires_grad can only be set on a leaf; use detach() to leave the graph")
        if value and self.dtype not in FLOATS:
            raise TypeError(f"only float32 and float64 tensors can require a gradient, not {self.dtype}")
        if (recorder := _modes.current_recorder()) is not None:
            recorder.requires_grad_written(self)
        self._leaf_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set requires_grad on this leaf and return it."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        """What `backward` accumulated."""
        if (recorder := _modes.current_recorder()) is not None:
            recorder.grad_read(self)
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if (recorder := _modes.current_recorder()) is not None:
            recorder.grad_written(self)
        if gradient is not None and (not isinstance(gradient, Tensor) or gradient._data.shape != self._data.shape):
            raise _errors.unfit("grad", gradient, f"a tensor of shape {self.shape}", ", or None")
        self._grad = gradient

    def detach(self) -> Tensor:
        """The same array outside the graph."""
        out = Tensor(self._data)
        out.version = self.version
        return out

    def backward(
        self,
        gradient: Tensor | None = None,
        inputs: Tensor | Iterable[Tensor] | None = None,
        *,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Accumulate the gradient of this tensor into `.grad` of every leaf (or of `inputs`); see `backward`."""
        backward((self,), None if gradient is None else (gradient,), inputs, create_graph=create_graph)

    register_hook = _hooks.register_hook
    retain_grad = _hooks.retain_grad

    __hash__ = object.__hash__


def _result(data: np.ndarray) -> Tensor:
    """Tensor(data) for an op's result while nobody records the step: three times as fast."""
    y = _new(Tensor)
    y._data, y.node, y.index, y._leaf_grad, y._grad, y.hooks, y.version = data, None, 0, False, None, None, [0]
    return y


_new, Values.tensor = object.__new__, Tensor
_numbers = itertools.count()


class Node:
    """One recorded application of an op. `inputs` are Tensors; `outputs` its output arrays (None unless the op says
    saves_output), so a node never points at a Tensor that points back at it."""

    __slots__ = ("hooks", "inputs", "number", "op", "output_versions", "outputs", "shapes", "versions")
    hooks: dict[int, list[Hook]] | None

    def set(self, op: Op, inputs: tuple[Tensor, ...], outputs: tuple[np.ndarray, ...]) -> None:
        """What `Node(op, inputs, outputs)` is."""
        self.op, self.inputs = op, inputs
        self.number, self.hooks = next(_numbers), None
        self.outputs = outputs if op.saves_output else None
        self.shapes = (outputs[0].shape,) if len(outputs) == 1 else tuple(y.shape for y in outputs)
        self.versions: Sequence[int] = ()
        if op.saves_input:
            self.versions = versions = []
            for x in inputs:  # a comprehension is a call, and this is every op's
                versions.append(x.version[0])
        self.output_versions: Sequence[list[int]] = ()

    __init__ = set

    def output(self, index: int = 0) -> Tensor:
        """Output number `index` as a Tensor on the graph: what a vjp that uses its output must use."""
        if self.outputs is None:
            raise TypeError(f"{self.op.name}: its vjp reads its output, so it must say saves_output = True")
        y = Tensor(self.outputs[index], self, index)
        y.version = self.output_versions[index]
        return y


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

    saves_input, saves_output, alias, differentiable = True, False, False, True
    generator: Generator | None = None

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "forward" in vars(cls) and not cls.__module__.startswith("minigan."):
            cls.forward = _array.apart(cls.forward)  # type: ignore[method-assign]

    @property
    def name(self) -> str:
        """The name in messages: the class's."""
        return type(self).__name__

    @of_any_arguments
    def forward(self, *arrays: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        """The kernel: arrays in, an array or a tuple of arrays out."""
        raise NotImplementedError(f"{self.name} has no forward")

    def prepare(self, work: Now, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Issue, by `work` (see kernels/work.py), the loops that make the output arrays from the input arrays.

        No number may be read here. An op without kernels of its own runs `forward` and copies what it makes.
        """
        work.call(_array.fill, outputs, self.forward, inputs)

    @of_any_arguments
    def reference(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The same function as a composite of other ops."""
        raise NotImplementedError(f"{self.name} has neither a vjp nor a reference, so it cannot be differentiated")

    @of_any_arguments
    def vjp(self, node: Node, need: Sequence[bool], *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """The derivative of `reference`, for an op that states no rule of its own."""
        onward = is_grad_enabled()  # is this pass itself being recorded?
        with enable_grad():
            # The needed inputs become end points of a small graph of their own, still tied to the outer one when that
            # is recorded.
            inputs = tuple(
                (x._alias() if onward else x.detach().requires_grad_()) if n else (x if onward else x.detach())
                for x, n in zip(node.inputs, need, strict=True)
            )
            outputs = _sequence(self.reference(*inputs))
        seeds = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if g is not None and y.requires_grad]
        targets = [x for x, n in zip(inputs, need, strict=True) if n]
        grads = iter(grad([y for y, _ in seeds], targets, [g for _, g in seeds], create_graph=onward))
        return tuple(next(grads) if n else None for n in need)

    def __call__(self, *inputs: Operand) -> Any:
        """Apply the op to Tensors (NumPy arrays and Python numbers are taken as constants) and record it. Returns a
        Tensor, or a tuple of them for an op with several outputs."""
        watched = _modes.watchers
        if watched and (recorder := _modes.recorder.get()) is not None:
            return recorder.op_called(self, _lift(self, inputs))
        x: Any  # a Tensor, if it has what a Tensor has
        try:
            arrays, tracked = [], False
            for x in inputs:
                arrays.append(x._data)
                if x.node is not None or x._leaf_grad:
                    tracked = True
        except AttributeError:  # an array or a number among them
            return self(*_lift(self, inputs))
        outputs: Any = None
        if not device_modules and not watched:  # nearly always
            try:
                # Not for two arguments: a call with a star takes three times as long.
                outputs = self.forward(arrays[0], arrays[1]) if len(arrays) == 2 else self.forward(*arrays)
            except (ValueError, TypeError, IndexError):
                outputs = None  # `run` will explain it
        if type(outputs) is not np.ndarray:
            outputs = self.run(inputs, arrays) if outputs is None else _real(self.name, outputs)  # type: ignore[arg-type]
        tracked = tracked and self.differentiable and _modes.grad_enabled.get()
        if self.alias or type(outputs) is tuple:
            return self.wrap(inputs, outputs, tracked)  # type: ignore[arg-type]  # by now all inputs are Tensors
        y = Tensor(outputs) if watched else _result(outputs)
        if tracked:
            y.node = node = _new(Node)
            node.set(self, inputs, (outputs,))
            if self.saves_output:
                node.output_versions = (y.version,)
        return y

    def run(self, inputs: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> np.ndarray | tuple[np.ndarray, ...]:
        """`forward` on the inputs' arrays, its errors explained and its results real arrays."""
        outputs: Any
        try:
            if device_modules:
                together(self.name, arrays)
            outputs = self.forward(*arrays)
        except (ValueError, TypeError, IndexError) as error:
            raise _errors.explained(self.name, error, [x.shape for x in inputs]) from error
        outputs = _real(self.name, outputs)
        if _modes.watchers and _modes.anomaly.get():
            _modes.check_finite(self.name, arrays, outputs if type(outputs) is tuple else (outputs,))
        return outputs

    def wrap(self, inputs: tuple[Tensor, ...], outputs: Any, tracked: bool) -> Tensor | tuple[Tensor, ...]:
        """The output arrays of this op as Tensors; if `tracked`, the op is recorded for the gradient."""
        arrays = outputs if type(outputs) is tuple else (outputs,)
        node = Node(self, inputs, arrays) if tracked else None
        tensors = [Tensor(y, node, i) for i, y in enumerate(arrays)]
        if node is not None and self.saves_output:
            node.output_versions = [y.version for y in tensors]
        if self.alias:
            tensors[0].version = inputs[0].version
        return tuple(tensors) if type(outputs) is tuple else tensors[0]


def _real(name: str, outputs: Any) -> Any:
    """The outputs of an op as arrays: NumPy returns scalars from arithmetic of 0-d arrays. Raises TypeError for what
    is none."""
    if isinstance(outputs, np.generic):
        return np.asarray(outputs)
    for y in outputs if type(outputs) is tuple else (outputs,):
        if not isinstance(y, np.ndarray) and type(y) not in device_modules:
            raise TypeError(f"{name}: forward answered a {type(y).__name__}; it must be an array or a tuple of arrays")
    return outputs


def grad(
    outputs: Tensor | Iterable[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Tensor | Iterable[Tensor | None] | None = None,
    create_graph: bool = False,
    *,
    retain_graph: bool | None = None,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of sum(outputs * grad_outputs) with respect to each of `inputs`.

    outputs, inputs: a Tensor or a sequence of them. grad_outputs: the cotangents, likewise, each of its output's shape;
    it may be left out (or an entry None) for an output with one element, and is then 1. create_graph: record this pass,
    so that what it returns can be differentiated again. Returns a tuple, one entry per input: a Tensor of its shape, or
    None if no output depends on it.

    allow_unused: False refuses an input that no output depends on, True answers None also where no output depends on
    anything that requires a gradient. materialize_grads: zeros for None. retain_graph and only_inputs change nothing: a
    graph lives while something refers to it. Raises TensorError (a ValueError and a RuntimeError) where nothing is to
    be differentiated, ValueError for a cotangent that is missing or of the wrong shape.
    """
    outputs, inputs = _outputs("grad", outputs), _inputs("grad", inputs)
    if not (allow_unused or materialize_grads or _any_graph(outputs)):
        raise _errors.graphless("grad")
    seeds = _seeds(outputs, grad_outputs)
    table = _propagate(outputs, seeds, {_slot(x) for x in inputs}, _walk(outputs, inputs), create_graph)
    gradients: list[Tensor | None] = [table.get(_slot(x)) for x in inputs]
    for i, (x, g) in enumerate(zip(inputs, gradients, strict=True)):
        if g is None and materialize_grads:
            gradients[i] = Tensor(namespace(array_of(x)).zeros(x.shape, x.dtype))
        elif g is None and allow_unused is False:
            raise TensorError(f"grad: no output depends on inputs[{i}]; allow_unused=True answers None for it")
        elif g is not None and not create_graph and g.node is not None:
            gradients[i] = g.detach()
    return tuple(gradients)


def backward(
    outputs: Tensor | Iterable[Tensor],
    grad_outputs: Tensor | Iterable[Tensor | None] | None = None,
    inputs: Tensor | Iterable[Tensor] | None = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Accumulate the gradient of sum(outputs * grad_outputs) into `.grad` of every leaf that requires one, or of
    `inputs`.

    `.grad` never carries history, so create_graph is refused: `grad(..., create_graph=True)` is for higher orders.
    retain_graph changes nothing: a graph lives while something refers to it. Raises TensorError (a ValueError and a
    RuntimeError) if no output requires a gradient.
    """
    if create_graph:
        raise TensorError(
            "backward: .grad never carries history (x -> x.grad -> graph -> x would be a leak); use"
            " minigan.grad(output, inputs, create_graph=True)"
        )
    outputs = _outputs("backward", outputs)
    if not _any_graph(outputs):
        raise _errors.graphless("backward")
    seeds = _seeds(outputs, grad_outputs)
    if inputs is not None:
        inputs = _inputs("backward", inputs)
    nodes = _walk(outputs, inputs or ())
    if inputs is None:
        tensors = (*(x for node in nodes for x in node.inputs), *outputs)
        inputs = tuple({id(x): x for x in tensors if x._leaf_grad and x.node is None}.values())
    table = _propagate(outputs, seeds, {_slot(x) for x in inputs}, nodes, create_graph=False)
    owners = {id(_array.owner(array_of(g))) for g in seeds if g is not None}
    for x in inputs:
        g = table.get(_slot(x))
        if g is None:
            continue
        with no_grad():
            if x.grad is not None:
                x.grad = x.grad + g
            else:  # two leaves may receive one array (both ends of an addition do): each .grad must be its own
                x.grad = g.detach() if _array.claim(array_of(g), owners) else g._copy()


def _outputs(name: str, outputs: Tensor | Iterable[Tensor]) -> tuple[Tensor, ...]:
    """What is differentiated. Raises TypeError, naming the function, for what is no Tensor."""
    outputs = _sequence(outputs)
    for position, y in enumerate(outputs):
        if y is not None and not isinstance(y, Tensor):
            raise TypeError(f"{name}: outputs[{position}] is a {type(y).__name__}, not a Tensor")
    return outputs


def _inputs(name: str, inputs: Tensor | Iterable[Tensor]) -> tuple[Tensor, ...]:
    """What the gradient is taken by. Raises TensorError, naming the function, for what requires none."""
    inputs = _sequence(inputs)
    for position, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            raise TensorError(
                f"{name}: inputs[{position}] does not require a gradient; call requires_grad_() on it before it is used"
            )
    return inputs


def _any_graph(outputs: Sequence[Tensor]) -> bool:
    """Whether some output has a graph to differentiate, or there is none at all."""
    return not outputs or any(y is not None and y.requires_grad for y in outputs)


def _slot(t: Tensor) -> Slot:
    """What a cotangent belongs to: one output of a node, or a leaf."""
    return (t.node, t.index) if t.node is not None else id(t)


def _walk(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Node]:
    """The nodes that `outputs` depend on, oldest first, leaving out those too old to depend on any of `inputs`."""
    floor = min((-1 if x.node is None else x.node.number for x in inputs), default=-1)
    stack = [y.node for y in outputs if y.node is not None and y.node.number >= floor]
    nodes = set(stack)
    while stack:
        for x in stack.pop().inputs:
            node = x.node
            if node is not None and node not in nodes and node.number >= floor:
                nodes.add(node)
                stack.append(node)
    return sorted(nodes, key=_number)


_number = attrgetter("number")


def _needs(nodes: Sequence[Node], targets: set[Slot]) -> dict[Node, tuple[bool, ...]]:
    """For each node on the way to a target slot: which of its inputs are targets or lead to one."""
    needs: dict[Node, tuple[bool, ...]] = {}
    for node in nodes:
        leads = []
        for x in node.inputs:
            y = x.node
            leads.append(id(x) in targets if y is None else y in needs or (y, x.index) in targets)
        if True in leads:
            needs[node] = tuple(leads)
    return needs


def _propagate(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor | None],
    targets: set[Slot],
    nodes: Sequence[Node],
    create_graph: bool,
) -> dict[Slot, Tensor]:
    """Carry the cotangents back from `outputs`; returns slot -> cotangent for the slots in `targets`."""
    needs = _needs(nodes, targets)
    gradients: dict[Slot, Tensor] = {}  # the cotangents of target slots, complete once their node has had its turn
    pending: dict[Node, list[Tensor | None]] = {}  # those of the outputs of nodes that have not
    leaf_hooks: dict[int, list[Hook]] = {}
    inner = {slot[0] for slot in targets if type(slot) is tuple}  # nodes with an output that is a target itself

    def accumulate(x: Tensor, g: Tensor) -> None:
        dtype = x._data.dtype
        if g._data.dtype is not dtype and g._data.dtype != dtype:
            g = g._cast(dtype)
        node = x.node
        if node is None:
            slot = id(x)
            before = gradients.get(slot)
            gradients[slot] = g if before is None else before + g  # out of place: a cotangent may be shared
            if x.hooks:
                leaf_hooks[slot] = x.hooks
            return
        cotangents = pending.get(node)
        if cotangents is None:
            pending[node] = cotangents = [None] * len(node.shapes)
        before = cotangents[x.index]
        cotangents[x.index] = g if before is None else before + g

    token = _modes.grad_enabled.set(create_graph)
    try:
        for y, g in zip(outputs, seeds, strict=True):
            if g is not None and (_slot(y) in targets or y.node in needs):
                accumulate(y, g)
        for node in reversed(nodes):
            cotangents = pending.pop(node, None)
            if cotangents is None:
                continue
            if node.hooks:
                for index, hooks in node.hooks.items():
                    if (g := cotangents[index]) is not None:
                        cotangents[index] = _hooks.apply_hooks(hooks, g)
            if inner and node in inner:
                for index, g in enumerate(cotangents):
                    if g is not None and (node, index) in targets:
                        gradients[node, index] = g
            need = needs.get(node)
            if need is None:
                continue
            inputs = node.inputs
            for x, version in zip(inputs, node.versions):  # noqa: B905  # a keyword takes longer than the loop
                if x.version[0] != version:
                    raise _errors.stale(node)
            for changes in node.output_versions:
                if changes[0]:
                    raise _errors.stale(node)
            grads = _vjp(node, need, cotangents)
            for x, g, n in zip(inputs, grads, need):  # noqa: B905  # as many as inputs: `_vjp` has counted them
                if g is not None:
                    if g._data.shape != x._data.shape:
                        raise _errors.misfit(node, grads)
                    if n:
                        accumulate(x, g)
        for slot, hooks in leaf_hooks.items():
            gradients[slot] = _hooks.apply_hooks(hooks, gradients[slot])
    finally:
        _modes.grad_enabled.reset(token)
    return gradients


def _vjp(node: Node, need: tuple[bool, ...], cotangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """The op's vjp, its answers counted."""
    try:
        grads = node.op.vjp(node, need, *cotangents) if len(cotangents) > 1 else node.op.vjp(node, need, cotangents[0])
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}, in the gradient of {node.op.name}") from None
    if not isinstance(grads, (tuple, list)) or not all(g is None or isinstance(g, Tensor) for g in grads):
        kinds = [type(g).__name__ for g in grads] if isinstance(grads, (tuple, list)) else type(grads).__name__
        raise TypeError(f"{node.op.name}: its vjp must return a tuple of a Tensor or None per input, got {kinds}")
    if len(grads) != len(node.inputs):
        raise ValueError(f"{node.op.name}: its vjp returned {len(grads)} gradients for {len(node.inputs)} inputs")
    return grads


def _seeds(outputs: Sequence[Tensor], grad_outputs: Tensor | Iterable[Tensor | None] | None) -> list[Tensor]:
    """The cotangents of the outputs, as Tensors of their shapes."""
    cotangents = (None,) * len(outputs) if grad_outputs is None else _sequence(grad_outputs)
    if len(cotangents) != len(outputs):
        raise ValueError(f"grad: {len(cotangents)} grad_outputs for {len(outputs)} outputs")
    seeds = []
    for y, g in zip(outputs, cotangents, strict=True):
        array = array_of(y)
        if g is None and array.size != 1:
            raise TensorError(
                f"grad: an output of shape {y.shape} needs a cotangent in grad_outputs; only one-element outputs do not"
            )
        g = Tensor(namespace(array).ones(y.shape, y.dtype)) if g is None else as_tensor(g, like=array)
        if g.shape != y.shape:
            raise ValueError(f"grad: a cotangent of shape {g.shape} for an output of shape {y.shape}")
        seeds.append(g)
    return seeds


def _sequence(value: Tensor | Iterable[T]) -> tuple[Tensor | T, ...]:
    return (value,) if isinstance(value, Tensor) or value is None else tuple(value)


def _lift(op: Op, inputs: Sequence[Operand]) -> tuple[Tensor, ...]:
    like = next((x._data for x in inputs if isinstance(x, Tensor)), None)
    return tuple([x if isinstance(x, Tensor) else _array.operand(Tensor, x, like, op.name) for x in inputs])


def as_tensor(value: Tensor | ArrayLike, like: np.ndarray | None = None) -> Tensor:
    """`value` as a Tensor, itself if it is one. A Python number takes the dtype of the array `like`, so that it does
    not promote float32."""
    return value if isinstance(value, Tensor) else _array.operand(Tensor, value, like)


def tensor(
    data: Tensor | ArrayLike, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf holding a copy of `data`.

    A NumPy array keeps its dtype; Python floats become float32, ints int64. Raises TypeError for what is not made of
    numbers.
    """
    return Tensor(_array.new_array(data, dtype, device)).requires_grad_(requires_grad)
