"""What the compiler makes of a tile of the micro-kernel, for processors that are not at hand: no Numba, no run.

`Code.of(tile, shape, target)` builds the tile's IR, compiles it by LLVM for the target, and counts.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from types import SimpleNamespace

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

TARGETS = {
    "AVX2": ("x86_64-unknown-linux-gnu", "x86-64-v3"),
    "AVX-512": ("x86_64-unknown-linux-gnu", "x86-64-v4"),
    "NEON": ("aarch64-unknown-linux-gnu", "generic"),
}
LABEL = re.compile(r"^(\.?[\w$.]+):")
MULTIPLY_ADD = ("vfmadd", "fmla")
STACK = re.compile(r"\(%rsp|\[sp")
MASKED_STORE = re.compile(r"vmaskmovp\w\s+%[xyz]mm\d+, %[xyz]mm\d+, |vmovup\w\s+%zmm\d+, .*\{%k\d\}$")
WHOLE_STORE = re.compile(r"vmovup\w\s+%[yz]mm\d+, [^{]*\([^{]*$|str\s+q|stp\s+q|stur\s+q|st1")
CONTEXT = SimpleNamespace(get_dummy_value=lambda: None)


@dataclass
class Code:
    """The instructions of a tile, and those of its innermost loop."""

    all: list[str]
    loop: list[str]

    @classmethod
    def of(cls, tile, shape: tuple[int, int, int], target: str) -> Code:
        """tile: an intrinsic of `fast.micro`; shape: (lanes, vectors, rows)."""
        blocks = _blocks(_assembly(_module(tile, shape), *TARGETS[target]))
        loops = []
        for label, lines in blocks:
            back = [n for n, line in enumerate(lines) if re.search(rf"\s{re.escape(label)}$", line)]
            if back:
                loops.append(lines[: back[0] + 1])
        return cls([line for _, lines in blocks for line in lines], max(loops, key=_multiply_adds))

    @property
    def multiply_adds(self) -> int:
        """Of one turn of the loop."""
        return _multiply_adds(self.loop)

    @property
    def spills(self) -> int:
        """Instructions of the loop that touch the stack."""
        return sum(STACK.search(line) is not None for line in self.loop)

    @property
    def branches(self) -> int:
        return sum(line.startswith(("j", "b.", "cbz", "cbnz", "tbz", "tbnz")) for line in self.all)

    def count(self, pattern: re.Pattern) -> int:
        """The instructions that the pattern finds."""
        return sum(pattern.match(line) is not None for line in self.all)


def _multiply_adds(lines: list[str]) -> int:
    return sum(line.startswith(MULTIPLY_ADD) for line in lines)


def _module(tile, shape: tuple[int, ...]) -> str:
    names = list(inspect.signature(tile._defn).parameters)[1 + len(shape) :]
    signature, codegen = tile._defn(None, *map(types.literal, shape), *[types.int64] * len(names))
    kinds = [ir.FloatType() if kind == types.float32 else ir.IntType(64) for kind in signature.args[len(shape) :]]
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    codegen(CONTEXT, builder, signature, [*shape, *function.args])
    builder.ret_void()
    return str(module)


def _assembly(text: str, triple: str, processor: str) -> str:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(text)
    module.triple = triple
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return machine.emit_assembly(module)


def _blocks(assembly: str) -> list[tuple[str, list[str]]]:
    blocks: list[tuple[str, list[str]]] = []
    for line in assembly.splitlines():
        line = re.split(r"\s*(?:#|//)", line)[0]
        if label := LABEL.match(line):
            blocks.append((label[1], []))
        elif re.match(r"\t[a-z]", line) and blocks:
            blocks[-1][1].append(line.strip())
    return blocks
