"""Mutation of kernels: how many small mistakes, put into a .cu file one at a time, does a set of tests notice?

    python -m minigan.cudasim.mutate kernels/reduce.cu --tests tests/test_x.py --limit 40 --out result.json

Works in a copy of the checkout: each mutant takes the file's place there, and pytest runs the selection, which is to
fail. A mutant that g++ cannot compile is not counted. From Python, `survey` takes any callable in place of pytest.
"""

from __future__ import annotations

import argparse
import json
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
    """A copy of the checkout in which one .cu file is replaced and pytest is run."""

    def __init__(self, root: Path, file: Path, tests: list[str], timeout: float) -> None:
        self.tests, self.timeout = tests, timeout
        self.folder = Path(tempfile.mkdtemp(prefix="minigan-mutants-"))
        for part in ("kernels", "minigan", "tests", "examples"):
            shutil.copytree(root / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "pyproject.toml", self.folder)
        self.file = self.folder / file.resolve().relative_to(root.resolve())
        self.original = self.file.read_text()

    def check(self, mutant: Mutant | None) -> str | None:
        """What pytest complains about with this mutant in place (None: the file as it is), or None."""
        self.file.write_text(mutant.text if mutant else self.original)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *self.tests]
        try:
            done = subprocess.run(
                command, cwd=self.folder, capture_output=True, text=True, timeout=self.timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return "no end within the time given"
        if done.returncode == 0:
            return None
        errors = [row for row in done.stdout.splitlines() if row.startswith(("E  ", "FAILED", "ERROR"))]
        return errors[0].removeprefix("E").strip() if errors else f"exit status {done.returncode}"

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


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
        record = {"tests": options.tests, "seed": options.seed, "killed_share": share, **counts}
        rows = ",\n".join(f"  {json.dumps(asdict(o))}" for o in outcomes)
        options.out.write_text(f'{json.dumps(record, indent=1)[:-2]},\n "mutants": [\n{rows}\n ]\n}}\n')
    return share < options.aim


if __name__ == "__main__":
    sys.exit(main())
