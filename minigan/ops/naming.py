"""Machine room, ops: a public op's refusal begins with its name and says which argument is wrong.

An op checks what it alone can know, shapes and settings, in words of its own. All else that a call can get wrong, a
list for a Tensor or text for an axis, goes wrong somewhere inside. `named` puts one handler around the public function,
which costs a call that succeeds nothing but itself, and there, after the fact, compares the arguments with the types
that the function's signature declares.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from functools import cache, wraps

import numpy as np

from ..autograd import Op, Tensor
from ..backend import device_modules

LONGEST = 400
"""Characters of a message."""

WORDS = {
    "Tensor": "a Tensor",
    "int": "an integer",
    "float": "a number",
    "bool": "True or False",
    "str": "a string",
    "None": "None",
    "Sequence[Tensor]": "a list of Tensors",
    "Sequence[int]": "a list of integers",
    "Dim": "an axis, a list of axes or None",
    "Pair": "an integer or a pair of integers",
}


@cache
def named(function: Callable, name: str, module: str) -> Callable:
    """`function` as the public `name` of a module: what it raises names it. An op, which names itself, as it is."""
    if isinstance(function, Op):
        return function

    @wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            answer = refusal(name, function, error, args, kwargs)
            if answer is error:
                raise
            raise answer from error

    call.__name__ = call.__qualname__ = name
    call.__module__ = module  # where pickle finds it
    return call


def refusal(name: str, function: Callable, error: Exception, args: tuple, kwargs: dict) -> Exception:
    """The error to raise for one that a call of `function` raised: itself, its words changed, where that says enough.

    Errors that are not about the arguments stay as they are.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, (TypeError, ValueError, IndexError)) or not text.startswith((f"{name}: ", f"{name}()")):
        if (wrong := wrong_argument(function, error, args, kwargs)) is not None:
            return TypeError(f"{name}: {wrong}")
        head, colon, rest = text.partition(": ")
        text = f"{name}: {rest if colon and head.isidentifier() else text}"
    if isinstance(error, (OverflowError, ZeroDivisionError)):
        return ValueError(text)
    if not isinstance(error, (TypeError, ValueError, IndexError)):
        return error
    text = text if len(text) < LONGEST else f"{text[: LONGEST - 4]} ..."
    if str(error) != text:
        error.args = (text,)
        if str(error) != text:  # an error of NumPy's that words itself
            kind = next(kind for kind in (IndexError, ValueError, TypeError) if isinstance(error, kind))
            return kind(text)
    return error


def wrong_argument(function: Callable, error: Exception, args: tuple, kwargs: dict) -> str | None:
    """What is wrong with the first argument that is not of its declared type; None if each is."""
    try:
        signature = inspect.signature(function)
        arguments = signature.bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return None
    strict = isinstance(error, AttributeError)  # an array or a number did not do for a Tensor
    for name, value in arguments.items():
        parameter = signature.parameters[name]
        values = value if parameter.kind is parameter.VAR_POSITIONAL else (value,)
        forms = parameter.annotation.split(" | ") if isinstance(parameter.annotation, str) else []
        for one in values if forms else ():
            if not any(fits(one, form, strict) for form in forms):
                return f"{name} must be {' or '.join(WORDS.get(f, f) for f in forms)}, got {in_words(one)}"
    return None


def fits(value: object, form: str, strict: bool = False) -> bool:
    """Whether a value is of a type, by the type's name in a signature; True where the name is not known. Arrays and
    numbers stand for Tensors unless `strict`."""
    if form == "Tensor":
        number = isinstance(value, (np.ndarray, numbers.Number, np.generic)) or type(value) in device_modules
        return isinstance(value, Tensor) or (number and not strict)
    if form == "None":
        return value is None
    if form in ("int", "bool"):
        return isinstance(value, (int, np.integer, np.bool_))
    if form == "float":
        return isinstance(value, (numbers.Real, np.generic))
    if form == "str":
        return isinstance(value, str)
    if form in ("Dim", "Pair"):
        return (form == "Dim" and value is None) or any(fits(value, f) for f in ("int", "Sequence[int]"))
    container, _, inner = form.removesuffix("]").partition("[")
    if container in ("Sequence", "tuple"):
        places = [f for place in inner.split(", ") for f in place.split(" | ")]
        return isinstance(value, (list, tuple)) and all(any(fits(v, f, strict) for f in places) for v in value)
    return True


def in_words(value: object) -> str:
    """A value in a few words."""
    if isinstance(value, Tensor):
        return f"a Tensor of shape {value.shape}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    kind = type(value).__name__
    if isinstance(value, (list, tuple)) and any(not isinstance(v, (str, numbers.Number)) for v in value):
        return f"a {kind} of {', '.join(dict.fromkeys(type(v).__name__ for v in value))}"
    text = repr(value)
    short = len(text) <= 40 and isinstance(value, (str, numbers.Number, list, tuple, type(None)))
    return text if short else f"a {kind}"
