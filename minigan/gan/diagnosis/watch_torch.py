"""Watches code that trains with PyTorch, into the same `Trace`: calls of modules, gradients, steps of optimisers.

PyTorch's own doors are lent as minigan's are (watch.py): `torch.nn.Module.__call__`, the function that both `grad` and
`backward` run, the hooks of optimisers, and a mode that sees every function of tensors, to know what an array was
computed from.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .book import names_in_sight, place
from .look import look
from .observer import Observer
from .trace import Call, Inner, Move, Network, Pass, Trace, share_at_the_bound

ENDS = {"SigmoidBackward0": "sigmoid", "TanhBackward0": "tanh", "ReluBackward0": "relu"}
BENT = {
    "SoftplusBackward0": "softplus", "BinaryCrossEntropyWithLogitsBackward0": "softplus", "SigmoidBackward0": "sigmoid",
    "LogSigmoidBackward0": "softplus", "BinaryCrossEntropyBackward0": "binary_cross_entropy", "LogBackward0": "log",
    "ReluBackward0": "relu", "ClampBackward1": "clip", "ClampMinBackward0": "clip", "MaximumBackward0": "maximum",
    "PowBackward0": "pow", "MseLossBackward0": "pow", "ExpBackward0": "exp", "AbsBackward0": "abs",
    "LeakyReluBackward0": "leaky_relu", "TanhBackward0": "tanh", "LogSigmoidBackward": "softplus",
}  # fmt: skip
PLAIN = (
    "View",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Alias",
    "Transpose",
    "Permute",
    "Flatten",
    "Clone",
    "Slice",
)
KEPT = 60


def observe_torch(function: Callable, make: Callable, rounds: int) -> Trace:
    """Run a step that trains with PyTorch under observation."""
    import torch

    has_graph = lambda x: isinstance(x, torch.Tensor) and x.grad_fn is not None  # noqa: E731
    return look(TorchWatch(function, rounds), function, make, rounds, _graphs, has_graph)


def _graphs() -> int:
    """How many tensors with a graph are alive."""
    import torch

    return sum(type(o) is torch.Tensor and o.grad_fn is not None for o in gc.get_objects())


class TorchWatch(Observer):
    """The observer of PyTorch."""

    def __init__(self, function: Callable | None = None, moves: int | None = None) -> None:
        import torch

        self.torch = torch
        self.begun: dict[int, tuple[Move, dict[str, list], dict[str, list]]] = {}
        super().__init__("torch", function, moves)

    @contextmanager
    def __call__(self) -> Iterator[Trace]:
        """Look on, within `with`."""
        torch, watch = self.torch, self
        from torch.optim import optimizer as optimizers
        from torch.overrides import TorchFunctionMode

        class Tags(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                result = function(*args, **(kwargs or {}))
                if not watch.inside:
                    watch.tagged(args, kwargs, result)
                return result

        doors = torch.nn.Module.__call__, torch.autograd._engine_run_backward
        self.module_call, self.run = doors
        torch.nn.Module.__call__ = lambda module, *args, **kw: watch.called(module, args, kw)
        torch.autograd._engine_run_backward = self.ran
        # Tensor.backward and torch.autograd.grad find the function in this module at each call.
        hooks = [
            optimizers.register_optimizer_step_pre_hook(lambda o, args, kw: watch.before_step(o)),
            optimizers.register_optimizer_step_post_hook(lambda o, args, kw: watch.after_step(o)),
        ]
        try:
            with Tags():
                yield self.trace
        finally:
            self.settle()
            torch.nn.Module.__call__, torch.autograd._engine_run_backward = doors
            for hook in hooks:
                hook.remove()
            self.book.forget()
            self.inner.clear()

    # Networks.

    def discover(self, value: Any) -> None:
        """Note a module that stands in no other."""
        if not isinstance(value, self.torch.nn.Module) or isinstance(value, self.torch.nn.modules.loss._Loss):
            return
        known = list(self.trace.networks.items())
        if any(value is m for _, n in known for m in n.module.modules()):
            return
        inside = {id(m) for m in value.modules()}
        for name in [k for k, n in known if id(n.module) in inside]:
            del self.trace.networks[name]
        name = self.book.name_of(value, type(value).__name__)
        kinds = [(path or type(m).__name__, type(m).__name__) for path, m in value.named_modules()]
        spectral = any("spectral" in key or "parametrizations" in key for key in value.state_dict())
        self.trace.networks[name] = Network(
            name,
            value,
            [path for path, kind in kinds if "BatchNorm" in kind],
            [path for path, kind in kinds if "Dropout" in kind],
            spectral or any(key.endswith("weight_u") for key in value.state_dict()),
        )

    def root_of(self, module: Any) -> tuple[str, str] | None:
        """(the network that a module is or lies in, the path to it inside); None for a loss."""
        for _ in range(2):
            for name, network in self.trace.networks.items():
                for path, inner in network.module.named_modules():
                    if inner is module:
                        return name, path
            for _, value in names_in_sight(self.book.function):
                if isinstance(value, self.torch.nn.Module) and any(m is module for m in value.modules()):
                    self.discover(value)
        return None

    def called(self, module: Any, args: tuple, kwargs: dict) -> Any:
        """Module.__call__."""
        root = None if self.inside or self.depth else self.root_of(module)
        if root is None:
            return self.module_call(module, *args, **kwargs)
        (name, part), torch = root, self.torch
        network = self.trace.networks[name]
        buffers = {key: b.detach().clone() for key, b in network.module.named_buffers()}
        weights = [_array(p) for p in network.module.parameters()]
        bound, number, where = share_at_the_bound(weights), self.book.began(), place()
        self.depth = 1
        try:
            result = self.module_call(module, *args, **kwargs)
        finally:
            self.depth = 0
        values = result if isinstance(result, (tuple, list)) else (result,)
        out = next((t for t in values if isinstance(t, torch.Tensor) and t.is_floating_point()), None)
        inputs = [t for t in [*args, *kwargs.values()] if isinstance(t, torch.Tensor) and t.is_floating_point()]
        if out is None:
            return result
        arrays = [_array(t) for t in inputs]
        tags = frozenset().union(*(self.book.tags(_owner(t)) for t in inputs)) if inputs else frozenset()
        origins = frozenset(t for t in tags if isinstance(t, str))
        makers = self.book.makers(arrays[0]) if arrays else []
        origins |= {m for m in makers if m and m != name}
        rows = np.array([m is not None for m in makers]) if any(makers) else np.full(len(makers), bool(origins))
        moved = tuple(k for k, b in network.module.named_buffers() if k in buffers and not torch.equal(buffers[k], b))
        call = Call(
            number,
            name,
            part,
            where,
            module.training,
            out.requires_grad,
            arrays,
            _array(out),
            rows,
            origins,
            _ending(out.grad_fn),
            moved,
            weights=bound,
        )
        self.book.add(call)
        self.book.tag(_owner(out), frozenset({name}))
        self.book.remember_rows(name, call.output)
        if out.requires_grad:
            self.book.outputs = [*self.book.outputs[-KEPT:], (call, out)]
        return result

    def tagged(self, args: Any, kwargs: Any, result: Any) -> None:
        """Every function of tensors: the result comes from where its arguments come from."""
        torch = self.torch
        tag_sets: list[frozenset] = []
        for x in [*args, *(kwargs or {}).values()]:
            for t in x if isinstance(x, (tuple, list)) else (x,):
                if isinstance(t, torch.Tensor):
                    tag_sets.append(self.book.tags(_owner(t)))
        tags = frozenset().union(*tag_sets) if tag_sets else frozenset()
        if tags:
            for t in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(t, torch.Tensor):
                    self.book.tag(_owner(t), tags)

    # Gradients.

    def ran(self, t_outputs: Sequence, grad_tensors: Sequence, retain_graph: bool, create_graph: bool, inputs: Sequence,
            allow_unreachable: bool = False, accumulate_grad: bool = False, **more: Any) -> Any:  # fmt: skip
        """torch.autograd._engine_run_backward."""
        args = (t_outputs, grad_tensors, retain_graph, create_graph, inputs, allow_unreachable, accumulate_grad)
        if self.inside:
            return self.run(*args, **more)
        self.settle()
        self.remember_parameters()
        self.inside = True
        leaves = list(inputs) or _leaves(t_outputs)
        own = [x for x in leaves if id(x) in self.parameters]
        try:
            with self.torch._C.DisableTorchFunction():
                event = self.pass_of(t_outputs, grad_tensors) if own else self.inner_of(leaves)
            before = {id(x): x.grad for x in own}
            added = {id(x): x.grad is not None and bool(x.grad.any()) for x in own}
            sizes = {k: _array(g).copy() for k, g in before.items() if g is not None and added[k]}
            results = self.run(*args, **more)
        finally:
            self.inside = False
        for i, x in enumerate(leaves):
            g = x.grad if accumulate_grad else results[i] if results else None
            if g is None:
                continue
            if isinstance(event, Pass) and id(x) in self.parameters:
                name, array = self.parameters[id(x)], _array(g)
                array = array - sizes[id(x)] if accumulate_grad and id(x) in sizes else array
                event.reached[name] = float(np.hypot(event.reached.get(name, 0.0), np.linalg.norm(array)))
                if accumulate_grad:
                    self.book.gradients_came(id(x), event.number, added[id(x)])
                else:
                    self.book.tag(_owner(g), frozenset({("pass", event.number)}))
            elif isinstance(event, Inner):
                event.slope, event.create_graph = _array(g), bool(create_graph)
                self.book.tag(_owner(g), frozenset({event.number}))
                if create_graph:
                    self.inner = [*self.inner[-20:], (event, g)]
        if isinstance(event, (Pass, Inner)):
            self.book.add(event)
        return results

    def inner_of(self, leaves: Sequence[Any]) -> Inner | None:
        """An inner gradient, if a network was called on what it is taken by."""
        for call, out in reversed(self.book.outputs):
            for x in leaves:
                if call.inputs and call.inputs[0].shape == tuple(x.shape) and np.array_equal(call.inputs[0], _array(x)):
                    call.points, call.coupled = True, self.is_coupled(out, x)
                    origins = frozenset(t for t in self.book.tags(_owner(x)) if isinstance(t, str))
                    points = _array(x)
                    number = self.book.began()
                    return Inner(number, place(), call.network, call.number, False, points, points, origins)
        return None

    def is_coupled(self, out: Any, x: Any) -> bool:
        """Whether the first sample's output depends on another sample."""
        if out.grad_fn is None or out.ndim == 0 or len(out) < 2 or len(out) != len(x):
            return False
        (g,) = self.torch.autograd.grad(out[0].sum(), x, retain_graph=True, allow_unused=True)
        if g is None:
            return False
        sizes = np.abs(_array(g)).reshape(len(x), -1).max(1)
        return bool(sizes[1:].max() > 1e-6 * max(float(sizes[0]), 1e-30) and sizes[1:].max() > 1e-9)

    def pass_of(self, outputs: Sequence[Any], seeds: Sequence[Any]) -> Pass:
        """A backward pass, and what it says of the networks' outputs and of inner gradients."""
        event = Pass(self.book.began(), place(), float(sum(float(_array(y).sum()) for y in outputs)))
        tags = frozenset().union(*(self.book.tags(_owner(y)) for y in outputs))
        event.tags = frozenset(t for t in tags if isinstance(t, int))
        graph = _graph([y.grad_fn for y in outputs])
        calls = [(c, y) for c, y in self.book.outputs if y.grad_fn in graph]
        slopes = [(i, g) for i, g in self.inner if g.grad_fn in graph]
        tensors = [y for _, y in calls] + [g for _, g in slopes]
        if not tensors:
            return event
        seeds = [self.torch.ones_like(y) if s is None else s for y, s in zip(outputs, seeds, strict=True)]
        gradients = self.torch.autograd.grad(list(outputs), tensors, seeds, retain_graph=True, allow_unused=True)
        for (call, y), g in zip(calls, gradients, strict=False):
            if g is not None:
                event.slopes[call.number] = _array(g)
                event.ops[call.number] = frozenset(BENT.get(n, n) for n in _between(graph, y.grad_fn))
        for (inner, _), g in zip(slopes, gradients[len(calls) :], strict=True):
            if g is not None:
                inner.cotangent, inner.in_pass = _array(g), event.number
        return event

    # Optimisers.

    def before_step(self, optimiser: Any) -> None:
        """Before Optimizer.step."""
        self.begun[id(optimiser)] = self.before_move(optimiser)

    def after_step(self, optimiser: Any) -> None:
        """After Optimizer.step."""
        move, owners, before = self.begun.pop(id(optimiser))
        self.after_move(move, owners, before, [p for own in owners.values() for p in own])

    def weights(self, p: Any) -> np.ndarray:
        """A copy of a parameter's numbers."""
        return _array(p)

    def slope(self, p: Any) -> np.ndarray | None:
        """The numbers of its gradient, if it has one."""
        return None if p.grad is None else _array(p.grad)

    def memory(self, p: Any) -> Any:
        """What stands for the memory of its gradient."""
        return None if p.grad is None else _owner(p.grad)


def _array(t: Any) -> np.ndarray:
    torch = sys.modules["torch"]
    with torch._C.DisableTorchFunction():
        return t.detach().cpu().numpy().copy()


def _owner(t: Any) -> Any:
    """What stands for a tensor's memory, one object for all its views."""
    torch = sys.modules["torch"]
    with torch._C.DisableTorchFunction():
        storage = t.untyped_storage()
    return _Storage.of(storage)


class _Storage:
    """A storage by its address; a tag keeps it, so that the address is not used again."""

    known: dict[int, _Storage] = {}  # noqa: RUF012

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    @classmethod
    def of(cls, storage: Any) -> _Storage:
        """The one object for a storage."""
        key = storage.data_ptr()
        if key not in cls.known:
            if len(cls.known) > 200_000:
                cls.known.clear()
            cls.known[key] = cls(storage)
        return cls.known[key]


def _graph(starts: Sequence[Any]) -> set[Any]:
    """All nodes of a graph."""
    nodes, stack = set(), [n for n in starts if n is not None]
    while stack:
        node = stack.pop()
        if node in nodes:
            continue
        nodes.add(node)
        stack += [n for n, _ in node.next_functions if n is not None]
    return nodes


def _leaves(outputs: Sequence[Any]) -> list[Any]:
    nodes = _graph([y.grad_fn for y in outputs])
    return [node.variable for node in nodes if hasattr(node, "variable") and node.variable is not None]


def _between(graph: set[Any], end: Any) -> set[str]:
    """The names of the nodes that lead to `end`, itself left out."""
    leads: dict[Any, bool] = {end: True}
    order, seen, stack = [], set(), [(n, False) for n in graph]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if node in seen:
            continue
        seen.add(node)
        stack.append((node, True))
        stack += [(n, False) for n, _ in node.next_functions if n is not None and n not in seen]
    for node in order:
        if node is not end:
            leads[node] = any(leads.get(n, False) for n, _ in node.next_functions if n is not None)
    return {node.name() for node, yes in leads.items() if yes and node is not end}


def _ending(node: Any) -> str:
    """The last op that changed numbers."""
    while node is not None and any(node.name().startswith(p) or f"Unsafe{p}" in node.name() for p in PLAIN):
        node = node.next_functions[0][0] if node.next_functions else None
    return ENDS.get(node.name(), node.name()) if node is not None else ""
