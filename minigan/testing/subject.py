"""What is checked: a user's op, function or Module, and one call of it as a function of its leaves.

    Subject     an op or function of Tensors, or a Module, which can be made anew as it was before its first call
    Problem     one call of it: (leaves) -> outputs, the leaves being its floating inputs and a Module's weights

A Module's buffers and its random numbers are set back before every evaluation, so that a call depends on its leaves
alone; so are those of a `Generator` that an op keeps. What else it remembers from call to call is a fault.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .. import _user_code
from ..autograd import Op, Tensor, no_grad
from ..backend import FLOATS, Generator, default_device, default_generator, float64, host, to_device
from ..nn.module import Module
from ..nn.stateless import substituted
from . import calls
from .opcase import Values


@dataclass
class Subject:
    """name: in messages. fresh(): the op, function or Module, as it was before its first call. anew(): the same, its
    file loaded again, so that globals are as they were, too. inputs: the calls that its file offers, each a tuple of
    arrays and numbers, or None."""

    name: str
    fresh: Callable[[], Any]
    anew: Callable[[], Any]
    inputs: list[tuple] | None = None
    built: str = ""

    @property
    def kind(self) -> str:
        """op, function or Module."""
        value = self.fresh()
        return "op" if isinstance(value, Op) else "Module" if isinstance(value, Module) else "function"


@dataclass
class Problem:
    """One call. fn: Tensors, one for each leaf, to a Tensor or several. names: the leaves', in messages. restore():
    set back what the call may move. values: the range that its inputs were drawn from."""

    subject: Subject
    label: str
    arrays: list[np.ndarray]
    names: list[str]
    fn: Callable
    restore: Callable[[], None]
    shapes: tuple = ()
    constants: dict[int, Any] = field(default_factory=dict)
    values: str = ""
    automatic: bool = False
    random: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> list[int]:
        """Positions of the leaves that are inputs of the call, not weights."""
        return [i for i, name in enumerate(self.names) if name.startswith("input ")]


def subject(target: Any, inputs: Any = None) -> Subject:
    """The subject for `file.py:Name`, `module:Name`, an op, a class of ops or Modules, a function or a Module.

    inputs: a call, or a list of calls; by default those that stand beside the name in its file: `NAME_inputs` or
    `inputs`, a call, a list of calls, or a function that returns either. A call is a tuple of arrays, Tensors, numbers.
    Raises ValueError where the name leads nowhere, or to what is none of these.
    """
    if isinstance(target, str):
        module, name, value = _user_code.load(target)
        if inputs is None:
            inputs = getattr(module, f"{name}_inputs", getattr(value, "inputs", None))
            inputs = getattr(module, "inputs", None) if inputs is None else inputs
    else:
        name = getattr(target, "name", None) if isinstance(target, Op) else getattr(target, "__name__", None)
        name, value = name or type(target).__name__, target
    make, built = _builder(name, value)

    def build(value: Any) -> Any:
        return _held(make(value))

    original = build(value)
    state = original.state_dict() if isinstance(original, Module) else None

    def fresh() -> Any:
        return _copy(original) if state is not None or not isinstance(value, type) else build(value)

    def anew() -> Any:
        if not isinstance(target, str) or not target.rpartition(":")[0].endswith(".py"):
            return fresh()
        copy_of = build(_user_code.load(target)[2])
        if state is not None:
            copy_of.load_state_dict(state)
        return copy_of

    return Subject(name, fresh, anew, None if inputs is None else _calls(name, inputs), built)


def _held(value: Any) -> Any:
    """The value; the singular vectors of its layers under spectral norm stay as they are, since in training they follow
    the weights from call to call, and the gradient takes them for constants."""
    if isinstance(value, Module):
        for layer in value.modules():
            if "weight_orig" in layer._parameters and "weight_u" in layer._buffers:
                layer.training = False
    return value


def _copy(value: Any) -> Any:
    if isinstance(value, (Op, Module)):
        try:
            return copy.deepcopy(value)
        except Exception:  # what holds a lock, a file: then it is what it is
            return value
    return value


def _builder(name: str, value: Any) -> tuple[Callable[[Any], Any], str]:
    """How to make the subject of the named object, and how that reads: a class is called, with small numbers where it
    asks for arguments."""
    if not isinstance(value, type):
        if not callable(value):
            raise ValueError(f"{name} is {type(value).__name__}: name an op, a function of Tensors, or a Module")
        return (lambda v: v), name
    if not issubclass(value, (Op, Module)):
        raise ValueError(f"{name} is a class, but no Op and no Module; name one of these, or a function of Tensors")
    required = [
        p.name
        for p in inspect.signature(value).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    errors = []
    for number in (4, 3, 0.3, 1) if required else (0,):
        arguments = tuple(calls.NUMBERS.get(n, 0.3 if n in calls.FRACTIONS else number) for n in required)
        try:
            value(*arguments)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
        else:
            return partial(_called, arguments), f"{name}({', '.join(map(str, arguments))})"
    raise ValueError(
        f"{name}({', '.join(required)}) could not be made ({errors[0]}); put an instance into the file,"
        f" my_{name.lower()} = {name}(...), and check file.py:my_{name.lower()}"
    )


def _called(arguments: tuple, value: Callable) -> Any:
    return value(*arguments)


def _calls(name: str, inputs: Any) -> list[tuple]:
    """A list of calls, whatever form it was offered in."""
    inputs = inputs() if callable(inputs) else inputs
    if isinstance(inputs, dict):
        inputs = inputs.get(name, inputs)
    plain = (np.ndarray, Tensor, int, float, np.generic)
    if isinstance(inputs, plain):
        inputs = [(inputs,)]
    elif isinstance(inputs, (tuple, list)) and any(isinstance(x, plain) for x in inputs):
        inputs = [tuple(inputs)]
    if not isinstance(inputs, (tuple, list)) or not all(isinstance(c, (tuple, list)) for c in inputs):
        raise ValueError(f"{name}: its inputs must be a call, a tuple of arrays and numbers, or a list of calls")
    return [tuple(_array(x) for x in call) for call in inputs]


def _array(x: Any) -> Any:
    """Floating arrays in float64, others as they are."""
    if isinstance(x, Tensor):
        x = host(x.data)
    if isinstance(x, np.ndarray):
        return x.astype(float64) if x.dtype.kind == "f" else x
    if isinstance(x, (list, tuple)) and x and not isinstance(x[0], str):
        array = np.asarray(x)
        return array.astype(float64) if array.dtype.kind == "f" else array
    return x


def problem(subject: Subject, inputs: Sequence[Any], label: str = "", dtype=float64, anew: bool = False) -> Problem:
    """One call of a fresh subject, on the default device. anew: of one whose file is loaded again."""
    value = subject.anew() if anew else subject.fresh()
    floating = [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    arrays, names = [inputs[i].astype(dtype, copy=False) for i in floating], [f"input {i}" for i in floating]
    settled = {i: x for i, x in enumerate(inputs) if i not in floating}
    constants = {
        i: Tensor(to_device(x, default_device())) if isinstance(x, np.ndarray) else x for i, x in settled.items()
    }
    weights: list[str] = []
    if isinstance(value, Module):
        value = value.to(dtype).to(str(default_device()))
        weights = [n for n, p in value.named_parameters() if p.requires_grad]
        parameters = dict(value.named_parameters())
        arrays += [host(parameters[n].data).copy() for n in weights]
        names += weights
        for n in weights:
            parameters[n].requires_grad_(False)
    restore, random = _restorer(value)

    def fn(*leaves: Tensor):
        restore()
        own = dict(zip(floating, leaves, strict=False))
        arguments = [own[i] if i in own else constants[i] for i in range(len(inputs))]
        if weights:
            with substituted(value, dict(zip(weights, leaves[len(floating) :], strict=True))):
                return _outputs(subject.name, value(*arguments))
        return _outputs(subject.name, value(*arguments))

    shapes = tuple(np.shape(x) for x in inputs)
    return Problem(subject, label, arrays, names, fn, restore, shapes, settled, random=random)


def _outputs(name: str, value: Any) -> tuple[Tensor, ...]:
    if isinstance(value, dict):
        value = tuple(value.values())
    outputs = (value,) if isinstance(value, Tensor) or not isinstance(value, (tuple, list)) else tuple(value)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise CutGraph(
                f"{name} answers {type(y).__name__}, not a Tensor: the graph is cut there, and no gradient passes"
            )
    return outputs


class CutGraph(TypeError):
    """An answer that no gradient can pass: no Tensor, or one of integers or truth values."""


def _restorer(value: Any) -> tuple[Callable[[], None], list[str]]:
    """A function that sets a Module's buffers and its random numbers back, or the `Generator`s that an op keeps."""
    modules = list(value.modules()) if isinstance(value, Module) else []
    holders = modules or ([value] if isinstance(value, Op) else [])
    generators = [g for h in holders for g in vars(h).values() if isinstance(g, Generator)]
    if isinstance(value, Op) and isinstance(value.generator, Generator):
        generators.append(value.generator)
    states = [(g, g.state_dict()) for g in generators]
    if modules:
        states.append((default_generator, Generator().state_dict()))
    buffers = [(b, host(b.data).copy()) for b in value.buffers()] if modules else []

    def restore() -> None:
        for g, state in states:
            g.load_state_dict(state)
        with no_grad():
            for b, array in buffers:
                if not np.array_equal(host(b.data), array):
                    b.assign(to_device(array, default_device()))

    return restore, [type(h).__name__ for h in holders if any(isinstance(g, Generator) for g in vars(h).values())]


def problems(subject: Subject, seed: int = 0, shapes: Sequence[tuple] | None = None) -> Iterator[Problem]:
    """The calls to check: those offered, or of the settled shapes, or those of calls.py that the subject accepts."""
    if subject.inputs is not None:
        for inputs in subject.inputs:
            yield problem(subject, inputs, _label(inputs))
        return
    if shapes:
        accepted = [_drawn(subject, *pair, automatic=False) for pair in _accepted(subject, shapes, seed, wide=True)]
        if not accepted:
            raise ValueError(f"{subject.name}: {_refusal(subject, shapes, seed)}")
        yield from accepted
        return
    count = 0
    for candidate in _automatic(subject, seed):
        count += 1
        yield candidate
    if not count:
        raise ValueError(
            f"{subject.name}: none of the usual inputs fits, it {_refusal(subject, [(3, 4)], seed)}; name shapes,"
            f" --shape 4,3 for each input, or put {subject.name}_inputs = lambda: (array, ...) beside it"
        )


def _automatic(subject: Subject, seed: int) -> Iterator[Problem]:
    value = subject.fresh()
    if isinstance(value, Module):
        accepted = 0
        for shape in calls.for_module(value):
            for pair in _accepted(subject, shape, seed):
                accepted += 1
                yield _drawn(subject, *pair)
            if accepted == 2:
                return
        return
    for group in calls.for_function(value.forward if isinstance(value, Op) else value):
        accepted, elementwise = 0, True
        for position, shape in enumerate(group):
            if (shape in calls.BROADCAST or (len(shape) > 1 and shape in calls.EQUAL)) and not elementwise:
                continue
            wide = position == 0 or shape == ((6, 11),)
            before = accepted
            for inputs, values, outputs in _accepted(subject, shape, seed + position, wide):
                accepted += 1
                if position == 0 and len(shape) > 1:
                    elementwise = outputs[0].shape == shape[0] or outputs[0].shape == ()
                yield _drawn(subject, inputs, values, outputs)
            if position == 0 and before == accepted:
                elementwise = False
        if accepted:
            return


def _accepted(
    subject: Subject, shape: Sequence[Any], seed: int, wide: bool = False
) -> Iterator[tuple[list[Any], str, tuple[Tensor, ...]]]:
    """Inputs of a call, drawn from the first range that the subject accepts, and from the wide one if it does; the
    range's name, and the outputs."""
    for name, values in calls.RANGES.items():
        inputs = calls.draw(tuple(shape), values, seed)
        outputs = _answers(subject, inputs)
        if outputs:
            yield inputs, name, outputs
            break
    else:
        return
    if wide and name == "[-2, 2]":
        inputs = calls.draw(tuple(shape), calls.WIDE, seed)
        outputs = _answers(subject, inputs)
        if outputs:
            yield inputs, calls.WIDE, outputs


def _drawn(subject: Subject, inputs: Sequence[Any], values: str, _: Any, automatic: bool = True) -> Problem:
    candidate = problem(subject, inputs, f"{_label(inputs)} in {values}")
    candidate.values, candidate.automatic = values, automatic
    return candidate


def _label(inputs: Sequence[Any]) -> str:
    words = [
        f"{'ints' if x.dtype.kind != 'f' else ''}{x.shape}" if isinstance(x, np.ndarray) else str(x) for x in inputs
    ]
    return ", ".join(words)


def _answers(subject: Subject, inputs: Sequence[Any]) -> tuple[Tensor, ...] | None:
    """The outputs, where the subject accepts the inputs and answers finite numbers, some of them floating."""
    for differentiable in (True, False):  # a function may take gradients inside, or refuse tensors that ask for them
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                case = problem(subject, [x.copy() if isinstance(x, np.ndarray) else x for x in inputs])
                arrays = [to_device(a, default_device()) for a in case.arrays]
                outputs = case.fn(*(Tensor(a).requires_grad_(differentiable) for a in arrays))
                floating = [host(y.data) for y in outputs if y.dtype in FLOATS]
        except CutGraph:
            raise
        except Exception:
            continue
        if case.arrays and outputs and not floating:
            kinds = ", ".join(dict.fromkeys(str(y.dtype) for y in outputs))
            raise CutGraph(f"{subject.name} answers numbers of type {kinds}, which have no derivative")
        if case.arrays and any(y.size for y in floating) and all(np.isfinite(y).all() for y in floating):
            return outputs
    return None


def _refusal(subject: Subject, shapes: Sequence[tuple], seed: int) -> str:
    """Why a call of the settled shapes is not accepted."""
    inputs = calls.draw(tuple(shapes), Values(-2.0, 2.0), seed)
    try:
        case = problem(subject, inputs)
        case.fn(*(Tensor(to_device(a, default_device())) for a in case.arrays))
    except Exception as error:
        return f"refuses inputs of shapes {', '.join(map(str, shapes))}: {type(error).__name__}: {error}"
    return f"answers numbers that are not finite for inputs of shapes {', '.join(map(str, shapes))}"
