"""Watches code that trains with minigan: the engine's own doors are lent to an observer for as long as it looks on.

Ops, calls of modules, the walk of a gradient, steps of optimisers and averages pass through the `Watch` and do what
they did before. Captured steps run their function, so that nothing is hidden in a replay.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ... import autograd
from ..._array import owner
from ...autograd import Node, Op, Tensor
from ...backend import FLOATS, host
from ...capture.record import Captured
from ...nn.module import Module
from ...optim.average import WeightAverage
from ...optim.optimizer import Optimizer
from .book import is_users, names_in_sight, place
from .look import look
from .observer import Observer
from .trace import Call, Inner, Network, Pass, Trace, share_at_the_bound

SHAPES = {
    "reshape",
    "squeeze",
    "unsqueeze",
    "flatten",
    "permute",
    "transpose",
    "broadcast_to",
    "copy",
    "slice",
    "index",
}
"""Ops that move numbers and leave them as they are."""
KEPT = 60
"""Outputs of networks that are kept to ask later passes for their slopes."""


def observe(function: Callable, make: Callable[[], tuple[tuple, dict]], rounds: int) -> Trace:
    """Run a step that trains with minigan under observation. make(): the arguments of each call."""
    has_graph = lambda x: isinstance(x, Tensor) and x.node is not None  # noqa: E731
    return look(Watch(function, rounds), function, make, rounds, _nodes, has_graph)


def _nodes() -> int:
    return sum(type(o) is Node for o in gc.get_objects())


class Watch(Observer):
    """The observer of minigan."""

    def __init__(self, function: Callable | None = None, moves: int | None = None) -> None:
        self.relus, self.current = 0, ""
        self.walk, self.op_call = autograd._propagate, Op.__call__
        self.module_call, self.step, self.update = Module.__call__, Optimizer.step, WeightAverage.update
        super().__init__("minigan", function, moves)

    @contextmanager
    def __call__(self) -> Iterator[Trace]:
        """Look on, within `with`."""
        watch, doors = self, (autograd._propagate, Op.__call__, Module.__call__, Optimizer.step, WeightAverage.update)
        captured = Captured.__call__
        autograd._propagate = self.propagated
        Op.__call__ = lambda op, *inputs: watch.op_called(op, inputs)  # type: ignore[method-assign]
        Module.__call__ = lambda module, *args, **kw: watch.called(module, args, kw)  # type: ignore[method-assign]
        Optimizer.step = lambda optimiser, closure=None: watch.stepped(optimiser, closure)  # type: ignore[method-assign]
        WeightAverage.update = lambda average, source: watch.averaged(average, source)  # type: ignore[method-assign]
        Captured.__call__ = lambda recorded: recorded.function()  # type: ignore[method-assign]
        try:
            yield self.trace
        finally:
            self.settle()
            (autograd._propagate, Op.__call__, Module.__call__, Optimizer.step, WeightAverage.update) = doors
            Captured.__call__ = captured  # type: ignore[method-assign]
            self.book.forget()
            self.inner.clear()

    # Networks.

    def discover(self, value: Any) -> None:
        """Note a module that stands in no other, an optimiser's parameters, an average."""
        if isinstance(value, WeightAverage):
            name = self.book.name_of(value, "average")
            self.trace.averages.setdefault(name, (value.updates, False))
            return
        if not isinstance(value, Module) or any(value is n.module for n in self.trace.networks.values()):
            return
        inside = {id(m) for m in value.modules()}
        if any(id(value) in {id(m) for m in n.module.modules()} for n in self.trace.networks.values()):
            return
        for name in [k for k, n in self.trace.networks.items() if id(n.module) in inside]:
            del self.trace.networks[name]
        name = self.book.name_of(value, type(value).__name__)
        self.trace.networks[name] = _network(name, value)
        for p in value.parameters():
            self.parameters[id(p)] = name

    def root_of(self, module: Module) -> tuple[str, str]:
        """(the network that a module is or lies in, the path to it inside)."""
        for name, network in self.trace.networks.items():
            for path, inner in network.module.named_modules():
                if inner is module:
                    return name, path
        for _, value in names_in_sight(self.book.function):
            if isinstance(value, Module) and any(m is module for m in value.modules()):
                self.discover(value)
                return self.root_of(module)
        self.discover(module)
        return self.root_of(module)

    # Calls and ops.

    def called(self, module: Module, args: tuple, kwargs: dict) -> Any:
        """Module.__call__."""
        if self.inside or self.depth:
            return self.module_call(module, *args, **kwargs)
        name, part = self.root_of(module)
        network = self.trace.networks[name]
        buffers = {key: host(b.data).copy() for key, b in network.module.named_buffers()}
        weights = [host(p.data) for p in network.module.parameters()]
        bound = share_at_the_bound(weights)
        self.trace.start.setdefault(name, float(np.sqrt(sum(float((w**2).sum()) for w in weights))))
        number, where = self.book.began(), place()
        self.depth, self.relus, self.current = 1, 0, name
        try:
            result = self.module_call(module, *args, **kwargs)
        finally:
            self.depth = 0
        out = _first(result)
        inputs = [t for t in [*args, *kwargs.values()] if isinstance(t, Tensor) and t.dtype in FLOATS]
        if out is None or (not inputs and not args):
            return result
        arrays = [host(t.data).copy() for t in inputs]
        tags = frozenset().union(*(self.book.tags(owner(t._data)) for t in inputs)) if inputs else frozenset()
        origins = frozenset(t for t in tags if isinstance(t, str))
        makers = self.book.makers(arrays[0]) if arrays else []
        origins |= {m for m in makers if m and m != name}
        call = Call(
            number,
            name,
            part,
            where,
            network.module.training if not part else module.training,
            out.requires_grad,
            arrays,
            host(out.data).copy(),
            np.array([m is not None for m in makers]) if any(makers) else np.full(len(makers), bool(origins)),
            origins,
            _ending(out),
            tuple(k for k, b in network.module.named_buffers() if not np.array_equal(buffers.get(k), host(b.data))),
            weights=bound,
        )
        self.book.add(call)
        self.book.tag(owner(out._data), frozenset({name}))
        self.book.remember_rows(name, call.output)
        if out.requires_grad:
            self.book.outputs = [*self.book.outputs[-KEPT:], (call, out)]
        return result

    def op_called(self, op: Op, inputs: tuple) -> Any:
        """Op.__call__."""
        result = self.op_call(op, *inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        if not self.inside:
            tags = frozenset().union(*(self.book.tags(owner(x._data)) for x in inputs if isinstance(x, Tensor)))
            for y in outputs:
                self.book.tag(owner(y._data), tags)
            if self.depth and op.name == "leaky_relu" and not getattr(op, "slope", 1):
                self.relu(outputs[0])
        if self.trace.not_finite is None and not self.inside:
            for y in outputs:
                finite = y.dtype not in FLOATS or np.isfinite(host(y.data)).all()
                if not finite and all(np.isfinite(_numbers(x)).all() for x in inputs):
                    self.trace.not_finite = (op.name, place())
        return result

    def relu(self, y: Tensor) -> None:
        """Count the units of a rectifier that are zero for the whole batch."""
        a = host(y.data)
        if a.ndim < 2:
            return
        key, alive = (self.current, self.relus), (a > 0).any(tuple(k for k in range(a.ndim) if k != 1))
        self.relus += 1
        before = self._alive.get(key)
        self._alive[key] = alive if before is None or before.shape != alive.shape else before | alive
        self.trace.dead[key] = (int((~self._alive[key]).sum()), alive.size, place())

    @property
    def _alive(self) -> dict[tuple[str, int], np.ndarray]:
        return self.__dict__.setdefault("alive", {})

    # Gradients.

    def propagated(self, outputs: Sequence[Tensor], seeds: Sequence, targets: set, nodes: Sequence, create_graph: bool):
        """autograd._propagate: the walk of a gradient."""
        if self.inside:
            return self.walk(outputs, seeds, targets, nodes, create_graph)
        caller = sys._getframe(1)
        if caller.f_code.co_name not in ("grad", "backward") or not _asked_by_user(caller):
            return self.walk(outputs, seeds, targets, nodes, create_graph)
        self.settle()
        leaves = list(caller.f_locals["inputs"] or ())
        self.remember_parameters()
        own = [x for x in leaves if id(x) in self.parameters]
        self.inside = True
        try:
            event = self.inner_of(outputs, leaves) if not own else self.pass_of(outputs, seeds, create_graph)
        finally:
            self.inside = False
        by_backward = caller.f_code.co_name == "backward"
        self.inside = True
        try:
            table = self.walk(outputs, seeds, targets, nodes, create_graph)
        finally:
            self.inside = False
        for x in leaves:
            g = table.get(autograd._slot(x))
            if g is None:
                continue
            if isinstance(event, Pass) and id(x) in self.parameters:
                name = self.parameters[id(x)]
                event.reached[name] = float(np.hypot(event.reached.get(name, 0.0), np.linalg.norm(host(g.data))))
                if by_backward:
                    before = x._grad
                    added = before is not None and bool(host(before.data).any())
                    self.book.gradients_came(id(x), event.number, added)
                else:
                    self.book.tag(owner(g._data), frozenset({("pass", event.number)}))
            elif isinstance(event, Inner):
                event.slope, event.create_graph = host(g.data).copy(), create_graph
                self.book.tag(owner(g._data), frozenset({event.number}))
                if create_graph:
                    self.inner = [*self.inner[-20:], (event, g)]
        if isinstance(event, (Pass, Inner)):
            self.book.add(event)
        return table

    def inner_of(self, outputs: Sequence[Tensor], leaves: Sequence[Tensor]) -> Inner | None:
        """An inner gradient, if a network was called on what it is taken by."""
        for call, out in reversed(self.book.outputs):
            for x in leaves:
                if call.inputs and any(a.shape == x.shape and np.array_equal(a, host(x.data)) for a in call.inputs[:1]):
                    call.points, call.coupled = True, self.is_coupled(out, x)
                    tags = self.book.tags(owner(x._data))
                    origins = frozenset(t for t in tags if isinstance(t, str))
                    points = host(x.data).copy()
                    number = self.book.began()
                    return Inner(number, place(), call.network, call.number, False, points, points, origins)
        return None

    def is_coupled(self, out: Tensor, x: Tensor) -> bool:
        """Whether the first sample's output depends on another sample."""
        if out.node is None or out.ndim == 0 or len(out) < 2 or len(out) != len(x):
            return False
        first = np.zeros(out.shape, out.dtype)
        first[0] = 1
        seed, nodes = Tensor(first), autograd._walk([out], [x])
        g = self.walk([out], [seed], {autograd._slot(x)}, nodes, False).get(autograd._slot(x))
        if g is None:
            return False
        sizes = np.abs(host(g.data)).reshape(len(x), -1).max(1)
        return bool(sizes[1:].max() > 1e-6 * max(float(sizes[0]), 1e-30) and sizes[1:].max() > 1e-9)

    def pass_of(self, outputs: Sequence[Tensor], seeds: Sequence, create_graph: bool) -> Pass:
        """A backward pass to parameters, and what it says of the networks' outputs and of inner gradients."""
        value = float(sum(float(host(y.data).sum()) for y in outputs if y is not None))
        event = Pass(self.book.began(), place(), value)
        tags = frozenset().union(*(self.book.tags(owner(y._data)) for y in outputs if y is not None))
        event.tags = frozenset(t for t in tags if isinstance(t, int))
        nodes = autograd._walk(outputs, ())
        present = set(nodes)
        calls = [(c, y) for c, y in self.book.outputs if y.node in present]
        slopes = [(i, g) for i, g in self.inner if g.node in present]
        slots = {autograd._slot(y) for _, y in calls} | {autograd._slot(g) for _, g in slopes}
        if not slots:
            return event
        table = self.walk(outputs, seeds, slots, nodes, False)
        for call, y in calls:
            g = table.get(autograd._slot(y))
            if g is not None:
                event.slopes[call.number] = host(g.data).copy()
                between = autograd._needs(nodes, {autograd._slot(y)})
                event.ops[call.number] = frozenset(_op_name(n) for n in between)
        for inner, t in slopes:
            g = table.get(autograd._slot(t))
            if g is not None:
                inner.cotangent, inner.in_pass = host(g.data).copy(), event.number
                between = autograd._needs(nodes, {autograd._slot(t)})
                inner.roots = tuple(int(np.prod(n.shapes[0], dtype=int)) for n in between if _is_root(n.op))
        return event

    # Optimisers.

    def stepped(self, optimiser: Optimizer, closure: Callable | None) -> Any:
        """Optimizer.step."""
        if self.inside:
            return self.step(optimiser, closure)
        move, owners, before = self.before_move(optimiser)
        with np.errstate(all="ignore"):
            result = self.step(optimiser, closure)
        self.after_move(move, owners, before, [p for group in optimiser.param_groups for p in group["params"]])
        return result

    def weights(self, p: Tensor) -> np.ndarray:
        """A copy of a parameter's numbers."""
        return host(p.data).copy()

    def slope(self, p: Tensor) -> np.ndarray | None:
        """The numbers of its gradient, if it has one."""
        return None if p._grad is None else host(p._grad.data)

    def memory(self, p: Tensor) -> Any:
        """What stands for the memory of its gradient."""
        return None if p._grad is None else owner(p._grad._data)

    def averaged(self, average: WeightAverage, source: Module) -> None:
        """WeightAverage.update."""
        self.update(average, source)
        name = self.book.name_of(average, "average")
        self.trace.averages[name] = (average.updates, True)


def _network(name: str, module: Module) -> Network:
    kinds = [(path or type(m).__name__, type(m)) for path, m in module.named_modules()]
    norms = [path for path, kind in kinds if "BatchNorm" in kind.__name__]
    random = [path for path, kind in kinds if "Dropout" in kind.__name__]
    buffers = [key for key, _ in module.named_buffers()]
    own = any(not kind.__module__.startswith("minigan.") for _, kind in kinds)
    before = [host(p.data).copy() for p in module.parameters()]
    return Network(name, module, norms, random, any(key.endswith("weight_u") for key in buffers), own, before)


def _first(result: Any) -> Tensor | None:
    """The first floating tensor of a result."""
    values = result if isinstance(result, (tuple, list)) else result.values() if isinstance(result, dict) else (result,)
    return next((t for t in values if isinstance(t, Tensor) and t.dtype in FLOATS), None)


def _numbers(x: Any) -> np.ndarray:
    array = host(x.data) if isinstance(x, Tensor) else np.asarray(x)
    return array if array.dtype.kind == "f" else np.zeros(1)


def _op_name(node: Node) -> str:
    if node.op.name == "leaky_relu" and not getattr(node.op, "slope", 1):
        return "relu"
    return node.op.name


def _ending(out: Tensor) -> str:
    """The last op that changed numbers."""
    node = out.node
    while node is not None and (node.op.alias or _op_name(node) in SHAPES) and node.inputs:
        node = node.inputs[0].node
    return _op_name(node) if node is not None else ""


def _is_root(op: Op) -> bool:
    return op.name == "sqrt" or (op.name == "pow" and getattr(op, "exponent", 0) == 0.5)


def _asked_by_user(caller: Any) -> bool:
    """Whether a gradient was asked for by code that trains, and not inside an op's own rule."""
    frame = caller.f_back
    while frame is not None and frame.f_code.co_filename == autograd.__file__:
        if frame.f_code.co_name in ("_vjp", "vjp"):
            return False
        frame = frame.f_back
    return frame is not None and (is_users(frame.f_code.co_filename) or "ops" not in frame.f_code.co_filename)
