"""What check mode needs of a kernel's text and only g++ can tell: its variables, and its locals that may never be set.

The kernel is compiled to assembly first. There each variable of the text (__device__, __constant__, static) has a label
and a size; `with_variables` leaves a gap after each and appends a table of them, which check.h reads. The locals that
may be read before they are set are those whose call of `.DEFERRED_INIT` g++ could not remove: `unset_locals` reads them
from the dump of the optimised functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

GUARD = 512
"""Bytes after a variable that are nobody's; VARIABLE_GUARD in check.h."""

_SIZE = re.compile(r"\t\.size\t(_ZZ?N12cudasim_user\w+), (\d+)$")
_COMMON = re.compile(r"\t\.comm\t(_ZZ?N12cudasim_user\w+),(\d+),(\d+)$")
_SECTION = re.compile(r"\t\.(?:section\t)?(\.?(?:data|bss|text|rodata)[^,]*)")
_DATA = re.compile(r"\t\.(?:zero|long|quad|value|byte|string|ascii|float|double|octa|[x2484]*word|hword|[248]byte)\t")
_FUNCTION = re.compile(r"^;; Function (?:\S* )*?(\S+) \(")
_DEFERRED = re.compile(r'\[([^][]*):(\d+):(\d+)\] \S+ = \.DEFERRED_INIT \(\d+, .*&"(\w+)"')


class Local(NamedTuple):
    """A local variable that may be read before it is set: where it is declared, and the function that it was compiled
    into."""

    name: str
    file: str
    line: int
    column: int
    function: str


def unset_locals(dump: str, files: Sequence[str]) -> list[Local]:
    """Those in g++'s dump (-fdump-tree-optimized-lineno) whose declaration stands in one of the files."""
    locals, function = dict[Local, None](), ""
    for row in dump.splitlines():
        if match := _FUNCTION.match(row):
            function = match[1].rpartition("::")[2]
        elif (match := _DEFERRED.search(row)) and match[1] in files:
            file, line, column, name = match.groups()
            locals[Local(name, file, int(line), int(column), function)] = None
    return list(locals)


def with_variables(assembly: str, locals: Sequence[Local]) -> str:
    """The assembly of a module with a gap after each variable of the kernel's text, and at its end what check.h reads:
    the table of the variables, and the locals that may be read before they are set."""
    variables: list[tuple[str, int, bool]] = []
    out, section, inside = [], ".text", False
    for row in assembly.splitlines():
        if inside and not row.endswith(":") and not _DATA.match(row):  # after the last of its data
            out.append(f"\t.zero\t{GUARD}")
            inside = False
        if match := _SECTION.match(row):
            section = match[1]
        elif match := _SIZE.match(row):
            symbol, size = match[1], int(match[2])
            inside = True
            variables.append((symbol, size, not section.startswith((".rodata", ".data.rel.ro", ".data.constant"))))
        elif match := _COMMON.match(row):
            symbol, size, align = match.groups()
            row = f"\t.comm\t{symbol},{int(size) + GUARD},{align}"
            variables.append((symbol, int(size), True))
        out.append(row)
    if inside:
        out.append(f"\t.zero\t{GUARD}")
    return "\n".join([*out, *_table(sorted(variables)), *_text("cudasim_unset", locals), ""])


def _table(variables: Sequence[tuple[str, int, bool]]) -> list[str]:
    names = [(f".Lcudasim_name{i}", _name(symbol)) for i, (symbol, _, _) in enumerate(variables)]
    rows = [
        f"\t.quad\t{symbol}, {size}, {label}, {int(writable)}"
        for (symbol, size, writable), (label, name) in zip(variables, names, strict=True)
        if not name.startswith("cudasim_")
    ]
    return [
        '\t.section\t.rodata.cudasim,"a"',
        *(f'{label}:\t.string\t"{name}"' for label, name in names),
        '\t.section\t.data.rel.ro.cudasim,"aw"',
        "\t.balign\t8",
        "\t.globl\tcudasim_variables",
        "\t.hidden\tcudasim_variables",
        "cudasim_variables:",
        *rows,
        "\t.quad\t0, 0, 0, 0",
    ]


def _text(symbol: str, locals: Sequence[Local]) -> list[str]:
    """A global symbol at a text of one line a local."""
    return [
        '\t.section\t.rodata.cudasim,"a"',
        f"\t.globl\t{symbol}",
        f"\t.hidden\t{symbol}",
        f"{symbol}:",
        *(f'\t.ascii\t{json.dumps("|".join(map(str, local)))[:-1]}\\n"' for local in locals),
        '\t.string\t""',
    ]


def _name(symbol: str) -> str:
    """The last identifier in a mangled name."""
    for match in reversed(list(re.finditer(r"\d+", symbol))):
        name = symbol[match.end() :][: int(match[0])]
        if len(name) == int(match[0]) and re.fullmatch(r"[A-Za-z_]\w*", name):
            return name
    return symbol
