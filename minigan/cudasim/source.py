"""From CUDA C text to C++ text: includes and macros resolved by g++, then the few things no header can say.

What is rewritten, each within its line so that line numbers stay:

    __shared__ float tile[16][17];      ->  a reference to a place in the block's shared memory
    extern __shared__ float row[];      ->  a pointer to the launch's dynamic shared memory
    #pragma unroll 4                    ->  g++'s own word for it
    extern "C"                          ->  dropped: kernels stand in a namespace, so that one may be called `select`

Everything else that CUDA C adds to C++ is declared in words.h. What is known not to be supported is refused here, by
name and line; what is unknown, g++ refuses, and `refusal` turns its message into one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .assembly import Local


class KernelError(RuntimeError):
    """A kernel did something wrong, or the simulator cannot run its source; one line a finding."""


@dataclass(frozen=True)
class Declaration:
    """One `extern "C" __global__` function as its text says it: name, parameter names, threads it may have."""

    name: str
    names: tuple[str, ...]
    line: int
    file: str
    bounds: str = ""


# What the simulator does not do, and why: pattern, words. Looked for in the text before anything is compiled.
UNSUPPORTED = [
    (r"\bcooperative_groups\b", "cooperative groups: use __syncthreads, __syncwarp and the warp functions"),
    (r"\b(?:tex(?:1D|2D|3D|Cubemap)\w*|texture\s*<|cudaTextureObject_t)", "textures: read from a pointer"),
    (r"\b(?:surf(?:1D|2D|3D|Cubemap)\w*|cudaSurfaceObject_t)", "surfaces: read and write through a pointer"),
    (r"<<<", "dynamic parallelism (a launch from a kernel)"),
    (r"\b(?:__half2?|half2?|__nv_bfloat16\w*)\b", "half precision"),
    (r"\b(?:nvcuda|wmma|mma_sync)\b", "tensor cores (wmma)"),
    (r"\bcuda\s*::", "libcu++ (cuda::)"),
    (r"\b(?:asm|__asm__)\b", "inline PTX (asm)"),
    (r"\b__activemask\b", "__activemask: name the lanes in a mask"),
    (r"\b__match_(?:any|all)_sync\b", "__match_*_sync"),
    (r"\b__reduce_\w+_sync\b", "__reduce_*_sync: use shuffles"),
    (r"\b__pipeline_\w+|\b__nv_\w+|\bcuda_pipeline\b", "asynchronous copies"),
    (r"\b(?:__nanosleep|clock|clock64|__prof_trigger)\b", "clocks and sleep"),
    (r"\b__cluster_dims__\b|\b__grid_constant__\b", "thread block clusters"),
    (r"\b__managed__\b", "managed variables"),
    (r"\b(?:malloc|free|new|delete)\b(?=\s*[\w(\[])", "memory allocation in a kernel"),
    (r"\bvolatile\b", "volatile: say __syncwarp or __syncthreads where threads wait for each other"),
    (r"\basync\b|\b__mbarrier_\w+", "asynchronous barriers"),
    (r"\b__(?:f|d)(?:add|sub|mul|div|ma|maf|sqrt|rcp)_r[uzd]\b", "rounding other than to nearest"),
]

_MARKER = re.compile(r'^# (\d+) "([^"]*)".*$')
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
_KERNEL = re.compile(r"\b__global__\b")
_LINKAGE = re.compile(r'extern\s*"C"\s*(?:static\s*|inline\s*|__launch_bounds__\s*\([^;{}]*\)\s*)*$')
_DYNAMIC = re.compile(
    r"\bextern\s+__shared__\s+(?:__align__\s*\([^)]*\)\s*)?(?P<type>[\w\s:]+?)\s+(?P<name>\w+)\s*\[\s*\]\s*;"
)
_STATIC = re.compile(
    r"(?:\bstatic\s+)?\b__shared__\s+(?:__align__\s*\([^)]*\)\s*)?(?P<type>[\w:][\w\s:]*?(?:<[^;<>]*>)?)\s+"
    r"(?P<names>\w+\s*(?:\[[^;]*?\])*(?:\s*,\s*\w+\s*(?:\[[^;]*?\])*)*)\s*;"
)

_QUALIFIERS = re.compile(
    r"\b((?:(?:static|const|constexpr|__device__|__constant__)\s+)+)(?=[\w:]+(?:\s+[\w:]+)*\s+\w+\s*(\[|=))"
)
"""What a variable of the text is declared with, and whether it is an array."""


def read(path: Path) -> str:
    """The text of a source file. Raises KernelError for one that cannot be read or is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise KernelError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KernelError(f"{path}: not a text in UTF-8 (byte {error.start}); is it a .cu file?") from error


def includes(text: str, name: str, folders: list[Path]) -> list[str]:
    """The texts of all files that `text` includes, in order; KernelError for one that is not in `folders`."""
    includes, visited = [], set()

    def visit(text: str, name: str) -> None:
        text = without_comments(text)
        for match in _INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            quoted, target = match[1] == '"', match[2]
            path = next((f / target for f in folders if quoted and (f / target).is_file()), None)
            if path is None:
                raise KernelError(
                    f"{name}:{line}: cannot include {target}: the simulator, like NVRTC, knows only files beside the "
                    "source and in the folders of -I, written in quotes"
                )
            if path not in visited:
                visited.add(path)
                includes.append(f"{target}\n{read(path)}")
                visit(read(path), path.name)

    visit(text, name)
    return includes


def without_comments(text: str) -> str:
    """The same text with comments blanked, every line where it was."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'

    def blank(match: re.Match) -> str:
        return match[0] if match[0][0] == '"' else "\n" * match[0].count("\n") or " "

    return re.sub(pattern, blank, text, flags=re.S)


class Lines:
    """Says of a position in preprocessed text which line of which file it came from."""

    def __init__(self, text: str) -> None:
        self.text = text

    def at(self, position: int) -> tuple[str, int]:
        name, line = "kernel.cu", 1
        for row in self.text[:position].split("\n")[:-1]:
            marker = _MARKER.match(row)
            name, line = (marker[2], int(marker[1])) if marker else (name, line + 1)
        return name, line


def _closing(text: str, start: int) -> int:
    """The position of the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i
    return len(text)


def _split(text: str) -> list[str]:
    """What stands between the top-level commas."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([{<") - (c in ")]}>")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [p.strip() for p in [*parts, text[start:]] if p.strip()]


def declarations(text: str) -> list[Declaration]:
    """The kernels of preprocessed text, those of templates left out."""
    kernels, lines = [], Lines(text)
    for match in _KERNEL.finditer(text):
        before = text[: match.start()].rstrip()
        if not re.search(
            r'extern\s*"C"\s*(?:static\s*|inline\s*|__launch_bounds__\s*\([^;{}]*\)\s*)*$', before
        ) and not (_in_linkage_block(before)):
            continue
        position, bounds = match.end(), ""
        while True:
            word = re.compile(r"\s*(\w+)\s*(\()?").match(text, position)
            if word is None:
                break
            if word[1] == "__launch_bounds__":
                end = _closing(text, word.end() - 1)
                bounds = _split(text[word.end() : end])[0]
                position = end + 1
            elif word[2]:
                end = _closing(text, word.end() - 1)
                if re.compile(r"\s*;").match(text, end + 1):  # said, and defined elsewhere
                    break
                names = [re.search(r"(\w+)\s*(?:\[\s*\])?$", p) for p in _split(text[word.end() : end]) if p != "void"]
                file, line = lines.at(match.start())
                if any(word[1] == kernel.name for kernel in kernels):
                    raise KernelError(f"{file}:{line}: there is a kernel {word[1]!r} already")
                kernels.append(Declaration(word[1], tuple(n[1] if n else "?" for n in names), line, file, bounds))
                break
            else:
                position = word.end(1)
    return kernels


def _in_linkage_block(before: str) -> bool:
    """Whether the text ends inside an `extern "C" { ... }`."""
    start = max((m.end() for m in re.finditer(r'extern\s*"C"\s*\{', before)), default=None)
    return start is not None and before.count("{", start) == before.count("}", start)


def refuse_unsupported(text: str) -> None:
    """KernelError for the first thing in preprocessed text that the simulator is known not to do, and for braces that
    do not match: the simulator's own text follows."""
    for pattern, words in UNSUPPORTED:
        match = re.search(pattern, text)
        if match:
            name, line = Lines(text).at(match.start())
            raise KernelError(f"{name}:{line}: the simulator does not support {words} (found {match[0].strip()!r})")
    bare = re.sub(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])'", lambda m: "." * len(m[0]), text)
    opened: list[int] = []
    for match in re.finditer(r"[{}]", bare):
        if match[0] == "{":
            opened.append(match.start())
        elif opened:
            opened.pop()
        else:
            opened = [match.start()]
            break
    if opened:
        name, line = Lines(text).at(opened[-1])
        raise KernelError(f"{name}:{line}: this {bare[opened[-1]]} has no other one that belongs to it")


def translate(text: str, unroll: bool) -> str:
    """Preprocessed CUDA C as C++ that words.h can compile."""

    def constant(match: re.Match) -> str:
        """Arrays that a kernel may only read are __constant__, whichever way they say it; of numbers C++ may make
        constant expressions."""
        words, array, lines = match[1].split(), match[2] == "[", "\n" * match[1].count("\n")
        if "constexpr" in words:
            return f"static constexpr {lines}" if "__constant__" in words else match[0]
        if "__constant__" in words or (array and {"__device__", "const"} <= {*words}):
            return f"{'static const' if 'const' in words and not array else '__constant__'} {lines}"
        return match[0]

    def dynamic(match: re.Match) -> str:
        kind = " ".join(match["type"].split())
        return f"{kind}* {match['name']} = cudasim::dynamic_shared<{kind}>();" + "\n" * match[0].count("\n")

    def static(match: re.Match) -> str:
        out = []
        for variable in _split(match["names"]):
            name, dims = re.match(r"(\w+)\s*(.*)", variable, re.S).groups()
            out.append(
                f"typedef {' '.join(match['type'].split())} {name}_shared{' '.join(dims.split())}; "
                f"auto& {name} = cudasim::shared<{name}_shared, __COUNTER__>();"
            )
        return " ".join(out) + "\n" * match[0].count("\n")

    text = _QUALIFIERS.sub(constant, text)
    empty = re.search(r"\b__constant__\b[^;={(]*?(\w+)\s*(?:\[[^;={(]*)?;", text)
    if empty:
        name, line = Lines(text).at(empty.start())
        raise KernelError(
            f"{name}:{line}: __constant__ {empty[1]} has no values: write them, = {{...}}; the simulator has no "
            "cudaMemcpyToSymbol"
        )
    text = re.sub(r'\bextern\s*"C"\s*\{', "inline namespace c_linkage {", text)
    text = re.sub(r'\bextern\s*"C"', "", text)
    text = _DYNAMIC.sub(dynamic, text)
    text = _STATIC.sub(static, text)
    declaration = re.search(r"\b__shared__\b", text)
    if declaration:
        name, line = Lines(text).at(declaration.start())
        raise KernelError(
            f"{name}:{line}: a __shared__ declaration the simulator cannot read; write `__shared__ type name[size];` "
            "without an initial value, inside the kernel"
        )
    return re.sub(
        r"^[ \t]*#[ \t]*pragma[ \t]+unroll[ \t]*\(?[ \t]*(\w*)[ \t]*\)?[ \t]*$",
        lambda m: f"#pragma GCC unroll {m[1] or 16}" if unroll and (m[1].isdigit() or not m[1]) else "",
        text,
        flags=re.M,
    )


def files(text: str) -> list[str]:
    """The names of the files that preprocessed text came from."""
    return sorted({match[2] for row in text.split("\n") if (match := _MARKER.match(row))})


def with_locals_filled(text: str, locals: Iterable[Local]) -> str:
    """C++ text in which words.h's `fill` comes behind the declaration of each of the locals."""
    places = {(local.file, local.line, local.column, local.name) for local in locals}
    rows, name, line = text.split("\n"), "kernel.cu", 1
    for i, row in enumerate(rows):
        marker = _MARKER.match(row)
        for _, _, column, local in sorted((p for p in places if p[:2] == (name, line)), reverse=True):
            end = rows[i].find(";", column - 1) + 1
            in_head = re.search(r"\b(?:for|if|switch)\s*\([^;]*$", rows[i][: column - 1])
            if marker is None and end and not in_head and rows[i].startswith(local, column - 1):
                rows[i] = f"{rows[i][:end]} cudasim::fill({local});{rows[i][end:]}"
        name, line = (marker[2], int(marker[1])) if marker else (name, line + 1)
    return "\n".join(rows)


_PLACE = r"^(\S[^\n]*?):(\d+)(?::\d+)?:"
_ERROR = re.compile(_PLACE + r" (?:fatal )?error: ([^\n]*)", re.M)
_CONTEXT = re.compile(_PLACE + r"(?:   required from| note: in expansion)", re.M)
_OWN = {"shuffle_index": "__shfl_sync", "shuffle_up": "__shfl_up_sync", "shuffle_down": "__shfl_down_sync"}
_OWN |= {"shuffle_xor": "__shfl_xor_sync", "mask_or_all": "__syncwarp", "ballot": "a vote"}
"""Functions of words.h -> the macros that call them."""


def undefined(stderr: str, text: str) -> str:
    """What the linker misses, as one line: a function or variable of preprocessed text that is declared only."""
    match = re.search(r"undefined reference to [`'‘]cudasim_user::([\w:]+)", stderr)
    if match is None:
        return stderr.strip()[:2000]
    place = re.search(rf"\b{match[1].rpartition('::')[2]}\b", text)
    name, line = Lines(text).at(place.start() if place else 0)
    return f"{name}:{line}: {match[1]} is declared, and defined nowhere"


def refusal(stderr: str, own: str) -> str:
    """g++'s first error as one line, at the line of the user's that it is about: an unknown name is said to be unknown
    to the simulator. own: the folder of the simulator's headers, whose lines are nobody's."""
    error = _ERROR.search(stderr)
    if error is None:
        return stderr.strip()[:2000]
    name, line, words = error.groups()
    if name.startswith((own, "/usr/")):
        following = _ERROR.search(stderr, error.end())
        places = _CONTEXT.findall(stderr[: following.start() if following else len(stderr)])
        name, line = next((place for place in places if not place[0].startswith((own, "/usr/"))), ("kernel", "?"))
    unknown = re.search(r"[‘'](\w+)[’'] was not declared|[‘'](\w+)[’'] does not name a type", words)
    if unknown:
        words = f"the simulator does not know {unknown[1] or unknown[2]!r}"
    return f"{name}:{line}: {_users(words)}"


def _users(words: str) -> str:
    """A message in which names are as the user's text has them."""
    words = re.sub(r"\bcudasim_user::|\bcudasim::", "", words)
    words = re.sub(r"'[^']*' \{aka '([^']*)'\}", r"'\1'", words)
    words = re.sub(
        r"no matching function for call to 'shared<(\w+)_shared, \d+>\(\)'", r"the size of \1 is no constant", words
    )
    return re.sub(r"\w+", lambda m: _OWN.get(m[0], m[0]), words)
