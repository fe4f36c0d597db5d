"""One function's code with one piece of its text changed, in place: every reference to the function then runs it.

A mutant of a system is a mistake that one would make in writing it, so it is written as one: old text, new text.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType


@dataclass(frozen=True)
class SourceMutant:
    """where: "package.module:Class.function". old, new: a piece of its source, which must be there exactly once.
    killed_by: "folder/file::test", which must fail with it."""

    where: str
    old: str
    new: str
    what: str
    killed_by: str

    def __str__(self) -> str:
        return self.what


def function_at(where: str) -> FunctionType:
    """The function that `where` names, without what decorates it."""
    module, _, path = where.partition(":")
    owner = importlib.import_module(module)
    for name in path.split("."):
        owner = inspect.getattr_static(owner, name)
        owner = owner.fget if isinstance(owner, property) else getattr(owner, "__func__", owner)
    return inspect.unwrap(owner)


@contextmanager
def applied(mutant: SourceMutant) -> Iterator[None]:
    """The function with the mistake in it, and as it was afterwards. Raises ValueError where the text is not there."""
    function = function_at(mutant.where)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.where}: {mutant.old!r} stands {source.count(mutant.old)} times in\n{source}")
    source = source[source.index("def ") :].replace(mutant.old, mutant.new)  # without decorators
    # A function that says super() looks for its class in a variable of this name around it.
    free = function.__code__.co_freevars
    text = f"def around({', '.join(free)}):\n{textwrap.indent(source, ' ')}\n return {function.__name__}"
    names: dict = {}
    exec(compile(text, inspect.getsourcefile(function), "exec"), function.__globals__ | {}, names)
    before, after = function.__code__, _inner(names["around"].__code__, function.__name__)
    if after.co_freevars != free:
        raise ValueError(f"{mutant.where}: the mutant reaches other variables, {after.co_freevars}, than {free}")
    function.__code__ = after
    forget(mutant)
    try:
        yield
    finally:
        function.__code__ = before
        forget(mutant)


def forget(mutant: SourceMutant) -> None:
    """Empty the caches of the functions in the mutant's module: what they hold is another code's."""
    module = importlib.import_module(mutant.where.partition(":")[0])
    for function in vars(module).values():
        if hasattr(function, "cache_clear") and function.__module__ == module.__name__:
            function.cache_clear()


def _inner(code: CodeType, name: str) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
