"""Mutation of kernels: how many small mistakes, put into a .cu file one at a time, does a set of tests notice?

    python -m minigan.cudasim.mutate kernels/act.cu --tests tests/test_cuda_kernels.py --limit 40

Works in a copy of the checkout: each mutant takes the file's place there, and pytest runs the selection in check mode;
it is to fail. A mutant that g++ cannot compile is not counted. From Python, `survey` takes any callable in place of
pytest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .module import Module
from .source import KernelError, without_comments

# What is looked for in the code, and what takes its place. Binary operators are those with blanks around them.
RULES = [
    ("barrier left out", r"__syncthreads\(\);", "(void)0;"),
    ("warp barrier left out", r"__syncwarp\([^)]*\);", "(void)0;"),
    ("< to <=", r" < ", " <= "),
    ("<= to <", r" <= ", " < "),
    ("> to >=", r" > ", " >= "),
    (">= to >", r" >= ", " > "),
    ("== to !=", r" == ", " != "),
    ("!= to ==", r" != ", " == "),
    ("&& to ||", r" && ", " || "),
    ("|| to &&", r" \|\| ", " && "),
    ("+ to -", r" \+ ", " - "),
    ("- to +", r" - ", " + "),
    ("* to +", r"(?<=[\w\])]) \* (?=[\w(])", " + "),
    ("/ to *", r" / ", " * "),
    ("% to /", r" % ", " / "),
    ("+= to -=", r" \+= ", " -= "),
    ("+= to =", r" \+= ", " = "),
    ("0 to 1", r"(?<== )0(?=[;,])", "1"),
    ("1 to 2", r"(?<=[+-] )1\b", "2"),
    ("x to y", r"\b(threadIdx|blockIdx|blockDim|gridDim)\.x\b", r"\1.y"),
    ("y to x", r"\b(threadIdx|blockIdx|blockDim|gridDim)\.y\b", r"\1.x"),
    ("full mask to half", r"\bFULL\b(?=,)", "0x0000ffffu"),
    ("atomic to plain", r"atomicAdd\(&([^;]*?), ([^,;]*)\);", r"\1 += \2;"),
    ("min to max", r"\b(f?)min(f?)\(", r"\1max\2("),
    ("max to min", r"\b(f?)max(f?)\(", r"\1min\2("),
]


@dataclass(frozen=True)
class Mutant:
    """One mistake: where, which rule, the line before and after, the whole text."""

    file: str
    line: int
    rule: str
    before: str
    after: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: killed, survived, or stillborn (it does not compile); the last line that was said."""

    file: str
    line: int
    rule: str
    before: str
    after: str
    fate: str
    words: str


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a file, in the order of its lines."""
    text = path.read_text()
    code = without_comments(text).split("\n")
    rows, found = text.split("\n"), []
    for number, (line, row) in enumerate(zip(code, rows, strict=True), 1):
        if line.lstrip().startswith(("#", "template")) or not row.startswith(line.rstrip()):
            continue
        for rule, pattern, replacement in RULES:
            for match in re.finditer(pattern, line):
                new = row[: match.start()] + match.expand(replacement) + row[match.end() :]
                whole = "\n".join([*rows[: number - 1], new, *rows[number:]])
                found.append(Mutant(path.name, number, rule, row.strip(), new.strip(), whole))
    return found


def compiles(mutant: Mutant, folder: Path, options: Iterable[str] = ()) -> bool:
    """Whether the simulator takes the mutant; `folder` holds what it includes."""
    try:
        Module(mutant.text, [f"-I{folder}", *options])
    except KernelError:
        return False
    return True


def survey(
    path: Path,
    check: Callable[[Mutant], str | None],
    limit: int | None = None,
    seed: int = 0,
    show: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Tries a file's mutants, all or `limit` of them drawn by `seed`. `check` returns what it noticed, or None."""
    tried = mutants(path)
    if limit is not None and len(tried) > limit:
        tried = [tried[i] for i in sorted(random.Random(seed).sample(range(len(tried)), limit))]
    outcomes = []
    for i, m in enumerate(tried, 1):
        if not compiles(m, path.resolve().parent):
            fate, words = "stillborn", ""
        else:
            noticed = check(m)
            fate, words = ("killed", noticed) if noticed else ("survived", "")
        outcomes.append(Outcome(m.file, m.line, m.rule, m.before, m.after, fate, words))
        show(f"{i}/{len(tried)} {m.file}:{m.line} {m.rule}: {fate} {words[:100]}")
    return outcomes


class Checkout:
    """A copy of the checkout in which one .cu file is replaced and pytest is run, each time in a new process.

    The processes are forked from one that has imported what takes long, and has not run anything.
    """

    def __init__(self, root: Path, file: Path, tests: list[str], timeout: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="minigan-mutants-"))
        for part in ("kernels", "minigan", "tests", "examples"):
            shutil.copytree(root / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "pyproject.toml", self.folder)
        self.file = self.folder / file.resolve().relative_to(root.resolve())
        self.original = self.file.read_text()
        server = f"from minigan.cudasim.mutate import serve; serve({tests!r}, {timeout})"
        self.server = subprocess.Popen(
            [sys.executable, "-c", server],
            cwd=self.folder,
            env={**os.environ, "MINIGAN_CUDASIM": "check", "PYTHONPATH": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def check(self, mutant: Mutant | None) -> str | None:
        """What pytest complains about with this mutant in place (None: the file as it is), or None."""
        self.file.write_text(mutant.text if mutant else self.original)
        self.server.stdin.write("run\n")
        self.server.stdin.flush()
        answer = self.server.stdout.readline()
        if not answer:
            raise RuntimeError("mutate: the process that runs the tests has ended")
        return json.loads(answer)

    def remove(self) -> None:
        self.server.stdin.close()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def serve(tests: list[str], timeout: float) -> None:
    """For each line read, forks a process that runs pytest, and answers with a line of JSON: what failed, or null."""
    import numba  # noqa: F401
    import pytest
    import torch  # noqa: F401

    import minigan.kernels.load  # noqa: F401

    for _ in sys.stdin:
        log = Path("log.txt")
        child = os.fork()
        if child == 0:
            with log.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--timeout", str(timeout), *tests]))
        _, status = os.waitpid(child, 0)
        errors = [row for row in log.read_text(errors="replace").splitlines() if re.match(r"E  |FAILED|ERROR", row)]
        said = errors[0].removeprefix("E").strip() if errors else f"exit status {os.waitstatus_to_exitcode(status)}"
        print(json.dumps(said if status else None), flush=True)


def main() -> int:
    """The command; the exit status is 1 where fewer than --aim of the mutants were killed."""
    parser = argparse.ArgumentParser(description="Put small mistakes into kernels and see whether tests notice.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tests", nargs="+", required=True, help="what pytest is to run")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    parser.add_argument("--limit", type=int, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one mutant")
    parser.add_argument("--aim", type=float, default=0.94)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    for file in options.files:
        checkout = Checkout(options.root, file, options.tests, options.timeout)
        try:
            sane = checkout.check(None)
            if sane:
                print(f"{file}: the tests fail without any mistake: {sane}", file=sys.stderr)
                return 2
            outcomes += survey(file, checkout.check, options.limit, options.seed, lambda row: print(row, flush=True))
        finally:
            checkout.remove()
    counts = {fate: sum(o.fate == fate for o in outcomes) for fate in ("killed", "survived", "stillborn")}
    share = counts["killed"] / max(1, counts["killed"] + counts["survived"])
    print(f"{counts['killed']} of {counts['killed'] + counts['survived']} killed ({share:.1%})")
    if options.out:
        hashes = {f.name: hashlib.sha256(f.read_bytes()).hexdigest()[:16] for f in options.files}
        record = {"sha256": hashes, "tests": options.tests, "seed": options.seed, "killed_share": share, **counts}
        rows = ",\n".join(f"  {json.dumps(asdict(o))}" for o in outcomes)
        options.out.write_text(f'{json.dumps(record, indent=1)[:-2]},\n "mutants": [\n{rows}\n ]\n}}\n')
    return share < options.aim


if __name__ == "__main__":
    sys.exit(main())
