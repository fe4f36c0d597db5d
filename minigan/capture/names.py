"""Machine room, capture: what a function's code reads by name."""

from __future__ import annotations

import dis
import functools
import operator
import re
import sys
import sysconfig
import types
from pathlib import Path
from typing import NamedTuple

from .refusal import PACKAGE, is_array_code, is_own_code

READS_AS_PYTHON = tuple(PACKAGE / name for name in ("gan", "nn", "optim"))
"""minigan's own code that keeps settings in objects, as a user's does."""
OPTIMISERS, STEPS = PACKAGE / "optim", {"optimizer.py", "optimizers.py"}
"""Where the code of optimisers lies, whose numbers a replay reads itself; that of schedules lies beside it."""
STDLIB, SITE = sysconfig.get_path("stdlib"), "site-packages"
CALLS_BY_BIT = sys.version_info >= (3, 12)
"""Whether the lowest bit of LOAD_ATTR says that the attribute is called; before, it is LOAD_METHOD."""

FIELD = re.compile(r"\.([^\W\d]\w*)")
"""What a text with a brace in it may read as a format: of {0.optimiser.rate} optimiser and rate."""

GETTERS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
NAMELESS = {"getattr", "vars", "__dict__", "asdict"}
"""Names of what reads attributes that the code does not name: then all of an object's count."""


class Names(NamedTuple):
    """What a function's code names. methods: the attributes that it only ever calls. modules: what it imports.
    steps: whether it is an optimiser's own."""

    globals: frozenset[str]
    attributes: frozenset[str]
    methods: frozenset[str]
    modules: frozenset[str] = frozenset()
    steps: bool = False


NO_NAMES = Names(frozenset(), frozenset(), frozenset())


@functools.lru_cache(maxsize=8192)
def names_of(code: types.CodeType) -> Names | None:
    """The names that a function's code may read by, or None for code whose reads are known: the engine's, Python's."""
    file = code.co_filename
    if is_own_code(file):
        if not any(Path(file).is_relative_to(place) for place in READS_AS_PYTHON):
            return None
    elif file.startswith("<frozen") or (file.startswith(STDLIB) and SITE not in file) or is_array_code(file):
        return None
    variables, attributes, methods, modules = set(), set(), set(), set()
    for line in dis.get_instructions(code):
        if line.opname == "IMPORT_NAME":
            modules.update((line.argval.partition(".")[0], line.argval))
        elif line.opname.endswith(("_GLOBAL", "_NAME")):
            variables.add(line.argval)
        elif line.opname == "LOAD_METHOD" or (line.opname == "LOAD_ATTR" and CALLS_BY_BIT and line.arg & 1):
            methods.add(line.argval)
        elif line.opname == "MATCH_CLASS":
            attributes.add("__match_args__")
        elif line.opname.endswith("_ATTR") or line.opname == "IMPORT_FROM":
            attributes.add(line.argval)
        elif line.opname == "LOAD_CONST" and isinstance(line.argval, str):
            attributes.update(_named_in(line.argval))
    for inner in code.co_consts:  # what a comprehension or a lambda names, it may read of this function's objects
        if isinstance(inner, types.CodeType) and inner.co_name.startswith("<"):
            named = names_of(inner)
            variables |= named.globals
            attributes |= named.attributes - named.methods
            methods |= named.methods
            modules |= named.modules
    variables |= attributes if "globals" in variables else set()
    parts = variables, attributes | methods, methods - attributes, modules
    return Names(*map(frozenset, parts), steps=Path(file).parent == OPTIMISERS and Path(file).name in STEPS)


def with_getters(frame: types.FrameType, names: Names) -> Names:
    """The names, with those that the frame's attrgetters, itemgetters, methodcallers and formats read by."""
    values = [*frame.f_locals.values(), *(frame.f_globals.get(name) for name in names.globals)]
    texts = [text for v in values if isinstance(v, GETTERS) for text in v.__reduce__()[1] if isinstance(text, str)]
    more = {name for text in texts for name in text.split(".")}
    more.update(*(FIELD.findall(v) for v in values if isinstance(v, str) and "{" in v))
    return names._replace(attributes=names.attributes | more) if more else names


def _named_in(text: str) -> list[str]:
    """What a text in the code may name: getattr(settings, "rate"), "{0.rate}".format(settings)."""
    return [text] if text.isidentifier() else FIELD.findall(text) if "{" in text else []


@functools.lru_cache(maxsize=8192)
def with_attributes(names: Names, more: tuple[str, ...]) -> Names:
    """The names, with these attributes."""
    return names._replace(attributes=names.attributes.union(more))


def slots_of(kind: type) -> list[str]:
    """The attributes that a class has slots for, by the names that its objects know them by."""
    slots = vars(kind).get("__slots__", ())
    private = f"_{kind.__name__.lstrip('_')}"
    return [
        private + name if name.startswith("__") and not name.endswith("__") else name
        for name in ([slots] if isinstance(slots, str) else slots)
    ]
