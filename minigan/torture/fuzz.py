"""Calls of every op with changed arguments, and command lines of random words: an answer, or one clear error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from .. import functional, methods
from ..autograd import Tensor, grad
from ..creation import tensor
from ..gan.run import Run
from ..testing.opcase import OpCase, Sample
from ..testing.opdb import TABLE
from .lines import Case, Fault, line, one_line, require
from .world import command as root
from .world import ended, forked, short_runs, tiny

REFUSALS = (ValueError, TypeError, IndexError)
"""What an op may raise: TensorError and DeviceError are of these kinds."""
NUMBERS = (0, 1, -1, 2, 3, 7, -9, 10**6, 2**31, 2**63, -(2**70), 0.5, -0.0, 1e-300, 1e308, float("nan"), float("inf"))
OTHERS = (None, True, "", "mean", "nonsense", "\x1b[2J", [], [1], [[1.0], [2.0, 3.0]], (), (0, 0), (0, 9), {}, object())
SHAPES = (
    (),
    (0,),
    (1,),
    (3,),
    (2, 3),
    (3, 2),
    (0, 3),
    (1, 1, 1),
    (2, 3, 4),
    (2, 3, 5, 5),
    (1, 0, 4, 4),
    (2, 2, 2, 2, 2),
)
DTYPES = ("f4", "f8", "f2", "i8", "i4", "u1", "?", "c8", "U2", "O")
ODD = (np.nan, np.inf, -np.inf, 0.0, 1e38, -1e38, 1e-45)


def _array(rng: np.random.Generator) -> object:
    """An array, or a tensor, of any shape and dtype, with odd values."""
    values = rng.integers(-3, 4, SHAPES[int(rng.integers(len(SHAPES)))])
    array = values.astype(DTYPES[int(rng.integers(len(DTYPES)))])
    if array.dtype.kind == "f" and array.size and rng.integers(3) == 0:
        with np.errstate(over="ignore"):
            array.flat[int(rng.integers(array.size))] = ODD[int(rng.integers(len(ODD)))]
    if rng.integers(4) == 0:
        return array
    with suppress(*REFUSALS):
        return tensor(array)
    return array


def _thing(rng: np.random.Generator, old: object) -> object:
    """In place of an argument, another."""
    if isinstance(old, int) and not isinstance(old, bool) and rng.integers(2):
        return old + int(rng.integers(-3, 4))
    kind = int(rng.integers(4))
    if kind == 0:
        return NUMBERS[int(rng.integers(len(NUMBERS)))]
    if kind == 1:
        return OTHERS[int(rng.integers(len(OTHERS)))]
    if kind == 2:
        return tuple(NUMBERS[i] for i in rng.integers(0, 7, int(rng.integers(0, 4))).tolist())
    return _array(rng)


def _call(case: OpCase, sample: Sample, rng: np.random.Generator) -> tuple[list, dict]:
    """The arguments of a right call, some of which are changed."""
    dtype = np.dtype(str(rng.choice(["f4", "f8"])))
    inputs: list = [Tensor(a).requires_grad_() for a in case.arrays(sample, dtype)]
    settings = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in sample.settings.items()}
    for _ in range(int(rng.integers(0, 3))):
        place = int(rng.integers(0, len(inputs) + len(settings) + 1))
        if place < len(inputs):
            inputs[place] = _thing(rng, inputs[place])
        elif place < len(inputs) + len(settings):
            key = list(settings)[place - len(inputs)]
            settings[key] = _thing(rng, settings[key])
        elif inputs:
            inputs = inputs[:-1] if rng.integers(2) else [*inputs, _thing(rng, None)]
    return inputs, settings


def _same(row: OpCase, op: object) -> bool:
    """Whether the public function takes the arguments of a row's first sample."""
    sample = row.samples[0]
    settings = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in sample.settings.items()}
    try:
        op(*(Tensor(a) for a in row.arrays(sample)), **settings)  # type: ignore[operator]
    except REFUSALS:
        return False
    return True


def _too_large(values: list) -> bool:
    """Whether a number among them asks for more memory than a test should take."""
    flat = [v for value in values for v in (value if isinstance(value, tuple | list) else [value])]
    return any(isinstance(v, int | float) and not isinstance(v, bool) and 1000 < abs(v) < 2**62 for v in flat)


@line(
    "op-calls",
    100_000,
    "an op answers, or refuses in one line, in bounded memory; its gradient likewise; its inputs are as before",
)
def op_calls(folder: Path) -> Iterator[Case]:
    """Rows of the op table by turns. Numbers that only ask for very large arrays are left out."""
    with _memory(3 << 30):
        yield _op_calls()


@contextmanager
def _memory(more: int) -> Iterator[None]:
    """At most so many bytes more than this process has now."""
    import resource

    statm = Path("/proc/self/statm")
    if not statm.exists():
        yield
        return
    now = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _op_calls() -> Case:
    public = {**methods.PUBLIC, **{name: getattr(functional, name) for name in functional.__all__}}
    rows = [row for row in TABLE.values() if row.samples and _same(row, public.get(row.op))]
    require(len(rows) > len(TABLE) // 2, "the table's ops cannot be called by their public names")

    def case(k, rng) -> str:
        row = rows[k % len(rows)]
        op = public[row.op]
        samples = row.samples + row.edge
        inputs, settings = _call(row, samples[int(rng.integers(len(samples)))], rng)
        if _too_large([*inputs, *settings.values()]):
            return "left out"
        before = [x.data.tobytes() if isinstance(x, Tensor) else None for x in inputs]
        what = "answered"
        try:
            with np.errstate(all="ignore"):
                result = op(*inputs, **settings)
                first = result[0] if isinstance(result, tuple | list) and result else result
                if isinstance(first, Tensor) and first.requires_grad and first.size:
                    leaves = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
                    grad(first.sum(), leaves, allow_unused=True)
                    what = "answered, with its gradient"
        except Exception as error:
            try:
                one_line(error, REFUSALS)
            except Fault as fault:
                raise Fault(f"{row.name}({_text(inputs, settings)}): {fault}") from error
            what = "refused in one line"
        after = [x.data.tobytes() if isinstance(x, Tensor) else None for x in inputs]
        require(before == after, f"{row.name}({_text(inputs, settings)}): an input is another than before")
        return what

    return case


def _text(inputs: list, settings: dict) -> str:
    def short(x: object) -> str:
        return f"{type(x).__name__} {x.dtype} {x.shape}" if hasattr(x, "shape") else repr(x)[:40]

    return ", ".join([short(x) for x in inputs] + [f"{k}={short(v)}" for k, v in settings.items()])


SECONDS = 5
"""Until a command that goes on is stopped: it has taken its words."""
TEXT = """latest digits emoji nowhere . .. / /dev/null - -- 0 1 -1 1e9 nan inf 99999999999999999999 0x10 1,2 a=b hat=yes
class=7 run run/checkpoint-000003.json folder:nowhere folder:,size=0 a.png a.txt ../up.png --help --json * wgan-gp dcgan
cpu cuda cudasim ring --steps --seed -n -o True None \x1b[2J \u00e9 \u0663 \U0001f600"""
WORDS = [*TEXT.split(), "", " ", "x" * 5000]
LEFT_OUT = {"nightly", "torture", "bench", "scoreboard", "grid", "modes", "bands", "results", "watch"}
"""Commands that start processes of their own, or wait."""


@line("command-lines", 2000, "a command line of random words ends with a status of 0, 1 or 2 and no traceback")
def command_lines(folder: Path) -> Iterator[Case]:
    """Every command by turns, with its own options and values that have no sense, in a folder with one small run, in a
    process of its own."""
    import click

    def commands(group: click.Group, path: tuple[str, ...] = ()):
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))
            elif not LEFT_OUT & {name, *path}:
                yield (*path, name), command

    main = root()
    table, here = list(commands(main)), Path.cwd()

    def words(command: click.Command, rng) -> list[str]:
        line_ = []
        options = [p for p in command.params if isinstance(p, click.Option)]
        for _ in range(int(rng.integers(0, 5))):
            if options and rng.integers(3):
                option = options[int(rng.integers(len(options)))]
                line_.append(str(rng.choice(option.opts)))
                if option.is_flag or rng.integers(8) == 0:
                    continue
            line_.append(WORDS[int(rng.integers(len(WORDS)))])
        return line_

    def case(k, rng) -> str:
        path, command = table[k % len(table)]
        line_, errors = [*path, *words(command, rng)], folder / "errors.txt"
        code = ended(forked(lambda: main(line_, prog_name="minigan"), errors), SECONDS)
        if code is None:
            return "took its words"
        shown, text = " ".join(w[:40] for w in line_), errors.read_text(errors="replace")
        require(code in (0, 1, 2), f"minigan {shown}: status {code}: {text.strip()[-200:]}")
        require("Traceback" not in text, f"minigan {shown}: a traceback: {text.strip()[-200:]}")
        return {0: "done", 1: "failed in one line", 2: "refused in one line"}[code]

    os.chdir(folder)
    try:
        with short_runs():
            Run.create(tiny(), folder / "run").train()
            yield case
    finally:
        os.chdir(here)
