"""Machine room, layers: Module, a function with parameters, by the names and semantics of torch.nn.Module.

A Module finds its parameters, buffers and sub-modules by their being assigned to attributes. state_dict() gives NumPy
arrays under PyTorch's names, so the same file loads into the equivalent torch.nn model and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .. import _html, _modes
from .._array import new_array, sealed
from ..autograd import Tensor, array_of
from ..backend import FLOATS, device_modules, float32, float64, host, to_device
from ..backend import device as check_device
from . import hooks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


class Parameter(Tensor):
    """A leaf tensor that a Module trains."""

    __slots__ = ()

    def __init__(self, data: Tensor | ArrayLike, requires_grad: bool = True) -> None:
        array: Any = data.data if isinstance(data, Tensor) else data
        super().__init__(array.copy() if type(array) in device_modules else new_array(array))
        sealed(self)
        self.requires_grad = requires_grad


def clear_grads(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget every .grad, or fill it with zeros."""
    for p in parameters:
        if set_to_none:
            p.grad = None
        elif p.grad is not None:
            p.grad.zero_()


class IncompatibleKeys(NamedTuple):
    """Names of a network that a state lacks, and of the state that the network lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """The base of all layers and networks: assign parameters and sub-modules in __init__, define forward."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module]
    _pre_hooks: hooks.Table
    _forward_hooks: hooks.Table
    _backward_hooks: hooks.Table

    def __init__(self) -> None:
        self._own("training", True)
        for table in ("_parameters", "_buffers", "_modules", "_pre_hooks", "_forward_hooks", "_backward_hooks"):
            self._own(table, {})

    def _own(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        tables = self.__dict__
        if "_parameters" not in tables:
            raise TypeError(f"{type(self).__name__}: call super().__init__() before assigning attributes")
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if kind is None and value is None and name in self._parameters:
            kind = "_parameters"
        for table in ("_parameters", "_buffers", "_modules"):
            if table != kind and name in tables[table]:
                if table == "_buffers" and isinstance(value, Tensor):
                    kind = "_buffers"
                else:
                    del tables[table][name]
        if kind:
            tables[kind][name] = value
            tables.pop(name, None)
        else:
            self._own(name, value)

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(table, ()):
                return self.__dict__[table][name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for table in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[table]:
                del self.__dict__[table][name]
                return
        object.__delattr__(self, name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Give the module a parameter, or None for one that is absent. Raises TypeError for anything else."""
        if not (param is None or isinstance(param, Parameter)):
            raise TypeError(f"register_parameter: {name} must be an nn.Parameter or None, got {type(param).__name__}")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Give the module a tensor that is saved with it but not trained, or None. Raises TypeError for anything
        else."""
        if not (tensor is None or isinstance(tensor, Tensor)):
            raise TypeError(f"register_buffer: {name} must be a Tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = tensor

    def add_module(self, name: str, module: Module | None) -> None:
        """Give the module a sub-module, or None for one that is absent. Raises TypeError for anything else."""
        if not (module is None or isinstance(module, Module)):
            raise TypeError(f"add_module: {name} must be an nn.Module or None, got {type(module).__name__}")
        self._modules[name] = module  # type: ignore[assignment]

    register_module = add_module

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.HookHandle:
        """Call hook(module, args) before every forward; what it returns, unless None, are the arguments instead.

        prepend: before the hooks that there are. with_kwargs: hook(module, args, kwargs) returns both. Returns a
        handle, whose `remove()` takes the hook out again.
        """
        return hooks.register(self._pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.HookHandle:
        """Call hook(module, args, output) after every forward; what it returns, unless None, is the output instead."""
        return hooks.register(self._forward_hooks, hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> hooks.HookHandle:
        """Call hook(module, grad_input, grad_output) in a backward pass once the gradients of all arguments of the
        forward call are known: tuples, None for what has no gradient. What it returns, unless None, is grad_input
        instead."""
        return hooks.register(self._backward_hooks, hook, prepend, False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a sub-class defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def run_pre_hooks(self, args: tuple = (), kwargs: dict[str, Any] | None = None) -> tuple[tuple, dict[str, Any]]:
        """The arguments of forward, after what is called before it has seen them."""
        return hooks.before_forward(self, self._pre_hooks, args, kwargs or {})

    def captured_state(self) -> tuple[object, ...]:
        """What a record of `forward` depends on beside tensors: its mode, and in a layer its flags and numbers.

        `minigan.capture` compares it at every call and records anew where it differs (==). Extend it in a module whose
        forward reads a number that may change between two calls: `return (*super().captured_state(), self.scale)`.
        """
        return (self.training,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (recorder := _modes.current_recorder()) is not None:
            recorder.module_called(self)
        if self._pre_hooks:
            args, kwargs = self.run_pre_hooks(args, kwargs)
        if not self._backward_hooks:
            output = self.forward(*args, **kwargs)
        else:
            gates = hooks.BackwardPass(self, self._backward_hooks, args)
            output = gates.leave(self.forward(*gates.enter(args), **kwargs))
        if self._forward_hooks:
            output = hooks.after_forward(self, self._forward_hooks, args, kwargs, output)
        return output

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the direct sub-modules."""
        return ((name, m) for name, m in self._modules.items() if m is not None)

    def children(self) -> Iterator[Module]:
        """The direct sub-modules."""
        return (m for _, m in self.named_children())

    def get_submodule(self, target: str) -> Module:
        """The module that a dotted name leads to, this one for "". Raises AttributeError, as the next two do."""
        module = self
        for name in target.split(".") if target else ():
            if name not in module._modules:
                raise AttributeError(f"{type(module).__name__} has no sub-module {name!r} (in {target!r})")
            module = module._modules[name]
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name."""
        return self._inner("_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name."""
        return self._inner("_buffers", target)

    def _inner(self, table: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in getattr(module, table):
            raise AttributeError(f"{type(module).__name__} has no {table[1:-1]} {name!r} (in {target!r})")
        return getattr(module, table)[name]

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(name, module) of this module and everything inside it, each once."""
        visits, stack = set(), [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in visits:
                continue
            visits.add(id(module))
            yield name, module
            inner = [(f"{name}.{n}" if name else n, m) for n, m in module._modules.items() if m is not None]
            stack.extend(reversed(inner))

    def modules(self) -> Iterator[Module]:
        """This module and everything inside it."""
        return (m for _, m in self.named_modules())

    def _places(self, prefix: str = "", above: tuple[Module, ...] = ()) -> Iterator[tuple[str, dict[str, Any], str]]:
        """(full name, the dict it lies in, its name there) of every parameter and buffer, None among them, in the order
        of definition: a shared one comes once for each of its names, as in PyTorch's state_dict."""
        for table in (self._parameters, self._buffers):
            yield from ((prefix + name, table, name) for name in table)
        for name, module in self._modules.items():
            if module is not None and all(module is not outer for outer in (*above, self)):
                yield from module._places(f"{prefix}{name}.", (*above, self))

    def _named(self, table: str) -> Iterator[tuple[str, Any]]:
        ids = set()
        for prefix, module in self.named_modules():
            for name, t in getattr(module, table).items():
                if t is not None and id(t) not in ids:
                    ids.add(id(t))
                    yield (f"{prefix}.{name}" if prefix else name), t

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter), in the order of definition."""
        return self._named("_parameters")

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, of this module only if not `recurse`."""
        if not recurse:
            return (p for p in self._parameters.values() if p is not None)
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(name, buffer), in the order of definition."""
        return self._named("_buffers")

    def buffers(self) -> Iterator[Tensor]:
        """The buffers."""
        return (b for _, b in self.named_buffers())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, by PyTorch's names and shapes; a shared one under each of its names."""
        tensors = ((full, table[name]) for full, table, name in self._places())
        return {full: t._host_data().copy() for full, t in tensors if t is not None}

    def load_state_dict(self, state_dict: Mapping[str, np.ndarray], strict: bool = True) -> IncompatibleKeys:
        """Copy arrays (or Tensors) into the parameters and buffers of the same names, a shared one's by any of them.
        Returns the names that found none.

        Nothing is changed unless everything fits: raises KeyError for missing or unexpected names (unless strict is
        False), ValueError for a wrong shape, or for different arrays in the place of a shared tensor, and TypeError for
        what is not made of numbers.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict: expected names and arrays, got {type(state_dict).__name__}")
        own = {full: table[name] for full, table, name in self._places() if table[name] is not None}
        reached = {id(own[name]) for name in own.keys() & state_dict.keys()}
        missing = {name for name, t in own.items() if id(t) not in reached}
        unexpected = state_dict.keys() - own.keys()
        if strict and (missing or unexpected):
            raise KeyError(
                f"load_state_dict: missing {sorted(missing)}, unexpected {sorted(unexpected)}"
                " (strict=False ignores them)"
            )
        arrays = {
            k: np.asarray(host(v.data) if isinstance(v, Tensor) else v) for k, v in state_dict.items() if k in own
        }
        for name, array in arrays.items():
            if array.dtype.kind not in "fiub":
                raise TypeError(f"load_state_dict: {name} has dtype {array.dtype}, numbers are expected")
            if array.shape != own[name].shape:
                raise ValueError(
                    f"load_state_dict: {name} has shape {array.shape}, the module expects {own[name].shape}"
                )
        firsts: dict[int, str] = {}
        for name, array in arrays.items():
            first = firsts.setdefault(id(own[name]), name)
            if first != name and not np.array_equal(array, arrays[first], equal_nan=array.dtype.kind == "f"):
                raise ValueError(f"load_state_dict: {first} and {name} are one tensor, and their arrays differ")
        for name in firsts.values():
            own[name].assign(arrays[name])
        return IncompatibleKeys(sorted(missing), sorted(unexpected))

    def train(self, mode: bool = True) -> Self:
        """Set training mode (batch statistics, dropout) here and inside; returns self."""
        for module in self.modules():
            module._own("training", mode)
        return self

    def eval(self) -> Self:
        """Leave training mode here and inside; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or unfreeze all parameters; returns self."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's .grad, or fill it with zeros."""
        clear_grads(self.parameters(), set_to_none)

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call fn on everything inside and on this module; returns self."""
        for module in list(self.modules())[::-1]:
            fn(module)
        return self

    def to(
        self,
        *args: DTypeLike,
        dtype: DTypeLike | None = None,
        device: str | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """Cast all floating parameters and buffers in place, and / or move them to a device; returns self.
        non_blocking changes nothing."""
        for value in args:
            if isinstance(value, bool):
                continue
            if isinstance(value, str):
                device = value
            else:
                dtype = value
        if device is not None:
            check_device(device)
            for t in (*self.parameters(), *self.buffers()):
                if t.device != device:
                    t.data, t.grad = to_device(array_of(t), device), None
        if dtype is not None:
            if np.dtype(dtype) not in FLOATS:
                raise TypeError(f"Module.to: dtype must be float32 or float64, not {np.dtype(dtype)}")
            for t in (*self.parameters(), *self.buffers()):
                if t.dtype in FLOATS and t.dtype != dtype:
                    t.data, t.grad = array_of(t).astype(dtype), None
        return self

    def cpu(self) -> Self:
        """Move to the CPU in place; returns self."""
        return self.to("cpu")

    def cuda(self, device: int | str | None = None) -> Self:
        """Move to the GPU in place; returns self. Raises DeviceError, with the reason, where there is none."""
        return self.to("cuda")

    def float(self) -> Self:
        """Cast to float32 in place; returns self."""
        return self.to(float32)

    def double(self) -> Self:
        """Cast to float64 in place; returns self."""
        return self.to(float64)

    def extra_repr(self) -> str:
        """The settings shown by repr()."""
        return ""

    def __repr__(self) -> str:
        inner = [f"  ({n}): " + repr(m).replace("\n", "\n  ") for n, m in self._modules.items()]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + ("\n" + "\n".join(inner) + "\n)" if inner else ")")

    def _repr_html_(self) -> str:
        """Its layers, their weights and how many numbers they train, as a table for notebooks; `nn.summary.summary`
        shows the shapes of their outputs, too."""
        rows = []
        for name, module in self.named_modules():
            own = {key: p for key, p in module._parameters.items() if p is not None}
            if own or not module._modules:
                shapes = ", ".join(f"{key} {tuple(p.shape)}" for key, p in own.items())
                line = f"{type(module).__name__}({module.extra_repr()})"
                rows.append((name, line, shapes, f"{sum(p.data.size for p in own.values()):,}"))
        total = sum(p.data.size for p in self.parameters())
        note = f"{type(self).__name__}: {total:,} parameters, {'training' if self.training else 'evaluation'} mode"
        return _html.table(("name", "layer", "weights", "parameters"), rows, note)


if TYPE_CHECKING:  # what calling a layer returns, for type checkers alone

    class Layer(Module):
        """A Module that makes one tensor of one tensor."""

        def __call__(self, x: Tensor) -> Tensor: ...

else:
    Layer = Module
