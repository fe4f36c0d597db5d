"""Machine room, capture: what a function's code reads by name."""

from __future__ import annotations

import dis
import functools
import operator
import sys
import sysconfig
import types
from pathlib import Path
from typing import NamedTuple

from .refusal import NUMPY, PACKAGE, is_own_code

READS_AS_PYTHON = tuple(PACKAGE / name for name in ("gan", "nn", "optim"))
"""minigan's own code that keeps settings in objects, as a user's does."""
STDLIB, SITE = sysconfig.get_path("stdlib"), "site-packages"
CALLS_BY_BIT = sys.version_info >= (3, 12)
"""Whether the lowest bit of LOAD_ATTR says that the attribute is called; before, it is LOAD_METHOD."""

GETTERS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
NAMELESS = {"getattr", "vars", "__dict__", "asdict"}
"""Names of what reads attributes that the code does not name: then all of an object's count."""


class Names(NamedTuple):
    """What a function's code names. methods: the attributes that it only ever calls."""

    globals: frozenset[str]
    attributes: frozenset[str]
    methods: frozenset[str]


NO_NAMES = Names(frozenset(), frozenset(), frozenset())


@functools.lru_cache(maxsize=8192)
def names_of(code: types.CodeType) -> Names | None:
    """The names that a function's code may read by, or None for code whose reads are known: the engine's, Python's."""
    file = code.co_filename
    if is_own_code(file):
        if not any(Path(file).is_relative_to(place) for place in READS_AS_PYTHON):
            return None
    elif file.startswith("<frozen") or (file.startswith(STDLIB) and SITE not in file) or is_numpy(file):
        return None
    variables, attributes, methods = set(), set(), set()
    for line in dis.get_instructions(code):
        if line.opname.endswith(("_GLOBAL", "_NAME")):
            variables.add(line.argval)
        elif line.opname == "LOAD_METHOD" or (line.opname == "LOAD_ATTR" and CALLS_BY_BIT and line.arg & 1):
            methods.add(line.argval)
        elif line.opname.endswith("_ATTR"):
            attributes.add(line.argval)
        elif line.opname == "LOAD_CONST" and isinstance(line.argval, str) and line.argval.isidentifier():
            attributes.add(line.argval)  # getattr(settings, "rate")
    return Names(frozenset(variables), frozenset(attributes | methods), frozenset(methods - attributes))


def is_numpy(file: str) -> bool:
    return file.startswith("<__array_function__") or Path(file).is_relative_to(NUMPY)


def with_getters(frame: types.FrameType, names: Names) -> Names:
    """The names, with those that the frame's attrgetters, itemgetters and methodcallers read by."""
    values = [*frame.f_locals.values(), *(frame.f_globals.get(name) for name in names.globals)]
    texts = [text for v in values if isinstance(v, GETTERS) for text in v.__reduce__()[1] if isinstance(text, str)]
    if not texts:
        return names
    return names._replace(attributes=names.attributes.union(*(text.split(".") for text in texts)))
