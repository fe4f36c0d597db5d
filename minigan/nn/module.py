"""Machine room, layers: Module, a function with parameters, by the names and semantics of torch.nn.Module.

A Module finds its parameters, buffers and sub-modules by their being assigned to attributes. state_dict() gives NumPy
arrays under PyTorch's names, so the same file loads into the equivalent torch.nn model and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self, overload

import numpy as np

from .. import _modes
from ..autograd import Tensor
from ..backend import FLOATS, device_modules, float32, float64, host, to_device
from ..backend import device as check_device

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


class Parameter(Tensor):
    """A leaf tensor that a Module trains."""

    __slots__ = ()

    def __init__(self, data: Tensor | ArrayLike, requires_grad: bool = True) -> None:
        array: Any = data.data if isinstance(data, Tensor) else data
        super().__init__(array.copy() if type(array) in device_modules else np.array(array))
        self.requires_grad = requires_grad


class Module:
    """The base of all layers and networks: assign parameters and sub-modules in __init__, define forward."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module]
    _pre_hooks: dict[int, Callable[[Module], None]]

    def __init__(self) -> None:
        self._own("training", True)
        for table in ("_parameters", "_buffers", "_modules", "_pre_hooks"):
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
        """Give the module a parameter, or None for one that is absent."""
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Give the module a tensor that is saved with it but not trained."""
        self._buffers[name] = tensor

    def register_forward_pre_hook(self, hook: Callable[[Module], None]) -> Callable[[], object]:
        """Call hook(module) before every forward; returns a function that removes it."""
        self._pre_hooks[id(hook)] = hook
        return lambda: self._pre_hooks.pop(id(hook), None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a sub-class defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def run_pre_hooks(self) -> None:
        """What is called before every forward."""
        for hook in tuple(self._pre_hooks.values()):
            hook(self)

    def captured_state(self) -> tuple[object, ...]:
        """What a record of `forward` depends on beside tensors: its mode, and in a layer its flags and numbers.

        `minigan.capture` compares it at every call and records anew where it differs (==). Extend it in a module whose
        forward reads a number that may change between two calls: `return (*super().captured_state(), self.scale)`.
        """
        return (self.training,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (recorder := _modes.current_recorder()) is not None:
            recorder.module_called(self)
        self.run_pre_hooks()
        return self.forward(*args, **kwargs)

    def children(self) -> Iterator[Module]:
        """The direct sub-modules."""
        return (m for m in self._modules.values() if m is not None)

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

    def parameters(self) -> Iterator[Parameter]:
        """The parameters."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(name, buffer), in the order of definition."""
        return self._named("_buffers")

    def buffers(self) -> Iterator[Tensor]:
        """The buffers."""
        return (b for _, b in self.named_buffers())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, by PyTorch's names and shapes."""
        state = {}
        for prefix, module in self.named_modules():
            for table in (module._parameters, module._buffers):
                for name, t in table.items():
                    if t is not None:
                        state[f"{prefix}.{name}" if prefix else name] = host(t.data).copy()
        return state

    def load_state_dict(self, state_dict: Mapping[str, np.ndarray], strict: bool = True) -> None:
        """Copy arrays (or Tensors) into the parameters and buffers of the same names.

        Nothing is changed unless everything fits: raises KeyError for missing or unexpected names (unless strict is
        False) and ValueError for a wrong shape.
        """
        own = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        missing, unexpected = own.keys() - state_dict.keys(), state_dict.keys() - own.keys()
        if strict and (missing or unexpected):
            raise KeyError(
                f"load_state_dict: missing {sorted(missing)}, unexpected {sorted(unexpected)}"
                " (strict=False ignores them)"
            )
        arrays = {
            k: np.asarray(host(v.data) if isinstance(v, Tensor) else v) for k, v in state_dict.items() if k in own
        }
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                raise ValueError(
                    f"load_state_dict: {name} has shape {array.shape}, the module expects {own[name].shape}"
                )
        for name, array in arrays.items():
            own[name].assign(array)

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

    def zero_grad(self) -> None:
        """Forget every parameter's .grad."""
        for p in self.parameters():
            p.grad = None

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call fn on everything inside and on this module; returns self."""
        for module in list(self.modules())[::-1]:
            fn(module)
        return self

    def to(self, *args: DTypeLike, dtype: DTypeLike | None = None, device: str | None = None) -> Self:
        """Cast all floating parameters and buffers in place, and / or move them to a device; returns self."""
        for value in args:
            if isinstance(value, str):
                device = value
            else:
                dtype = value
        if device is not None:
            check_device(device)
            for t in (*self.parameters(), *self.buffers()):
                t.data, t.grad = to_device(t.data, device), None
                t.changed()
        if dtype is not None:
            if np.dtype(dtype) not in FLOATS:
                raise TypeError(f"Module.to: dtype must be float32 or float64, not {np.dtype(dtype)}")
            for t in (*self.parameters(), *self.buffers()):
                if t.dtype in FLOATS:
                    t.data, t.grad = t.data.astype(dtype), None
                    t.changed()
        return self

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


if TYPE_CHECKING:  # what calling a layer returns, for type checkers alone

    class Layer(Module):
        """A Module that makes one tensor of one tensor."""

        def __call__(self, x: Tensor) -> Tensor: ...

else:
    Layer = Module


class Sequential(Module):
    """Modules applied one after the other."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def forward(self, x: Any) -> Any:
        for module in self._modules.values():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self._modules.values())[index]
        return Sequential(*modules) if isinstance(modules, list) else modules

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class ModuleList(Sequential):
    """Modules in a list, applied by whoever holds it."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(*modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        setattr(self, str(len(self)), module)
        return self

    def forward(self, *args: Any) -> NoReturn:
        raise NotImplementedError("ModuleList has no forward; call its modules one by one")


@contextmanager
def substituted(module: Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Within it, the named parameters and buffers of the module are the given tensors. Raises KeyError for a name it
    does not have."""
    places: dict[str, tuple[dict[str, Any], str]] = {}
    for prefix, inner in module.named_modules():
        for table in (inner._parameters, inner._buffers):
            places.update({f"{prefix}.{n}" if prefix else n: (table, n) for n in table})
    unknown = tensors.keys() - places.keys()
    if unknown:
        raise KeyError(f"{type(module).__name__} has no parameter or buffer {sorted(unknown)}")
    originals = {name: places[name][0][places[name][1]] for name in tensors}
    try:
        for name, t in tensors.items():
            places[name][0][places[name][1]] = t
        yield
    finally:
        for name, t in originals.items():
            places[name][0][places[name][1]] = t


def functional_call(
    module: Module, parameters: Mapping[str, Tensor], args: tuple | Tensor = (), kwargs: Mapping[str, Any] | None = None
) -> Any:
    """module(*args, **kwargs) with the named parameters and buffers replaced by the given tensors for this one call.

    The tensors may carry a graph, so a gradient can flow through an optimiser step. Raises KeyError for a name it does
    not have.
    """
    with substituted(module, parameters):
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
