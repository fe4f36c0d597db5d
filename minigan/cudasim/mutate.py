"""Mutation of kernels: how many small mistakes, put into a .cu file one at a time, does a set of tests notice?

    python -m minigan.cudasim.mutate kernels/*.cu --plan tests/kernels/cuda/mutation.toml --limit 25 --out out.jsonl
    python -m minigan.cudasim.mutate kernels/act.cu --tests tests/kernels/cuda/test_cuda_kernels.py --limit 40

Each mutant takes the file's place in a copy of the checkout, and the tests run in check mode (`trial`); one of them is
to fail. A mutant that g++ cannot compile is not counted. From Python, `survey` takes any callable in place of pytest.

The plan, a TOML file, says which tests matter to which file, and why a mutant that survives is no mistake:

    options = ["-DWIDE_LOADS"]                          # with which the tests compile their first library
    [tests]
    act = ["tests/kernels/cuda/test_cuda_kernels.py::test_activations"]
    [[equivalent]]
    mutants = ["act.cu: out[i] = x[i] >= 0 ? x[i] : 0;"]    # the line as the mistake makes it
    why = "0 either way at 0"

Every outcome is written to --out at once, and read again by the next run: what was killed stays so as long as the file
is the same, and what survived is tried again. The exit status is 1 where fewer than --aim were killed, or a survivor is
not explained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .module import Module
from .source import KernelError, without_comments
from .trial import Checkout

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
    ("neighbour", r"\[(\w)\](?!\[| =|;)", r"[\1 + 1]"),
    ("sign dropped", r"(?<=[:(,=?] )-(?=[A-Za-z(])", ""),
    ("branches swapped", r" \? ([\w\[\].]+) : (-?[\w\[\].]+)", r" ? \2 : \1"),
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

    @property
    def key(self) -> str:
        """A hash of the whole text, by which a later run knows the mutant again."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: killed, survived, or stillborn (it does not compile); the last line that was said."""

    key: str
    file: str
    line: int
    rule: str
    before: str
    after: str
    fate: str
    words: str = ""

    @property
    def name(self) -> str:
        """How a plan names it: by the line that the mistake makes."""
        return f"{self.file}: {self.after}"


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a file, in the order of its lines."""
    text = path.read_text()
    code = without_comments(text).split("\n")
    rows, mistakes = text.split("\n"), []
    for number, (line, row) in enumerate(zip(code, rows, strict=True), 1):
        if line.lstrip().startswith(("#", "template")) or not row.startswith(line.rstrip()):
            continue
        for rule, pattern, replacement in RULES:
            for match in re.finditer(pattern, line):
                new = row[: match.start()] + match.expand(replacement) + row[match.end() :]
                whole = "\n".join([*rows[: number - 1], new, *rows[number:]])
                mistakes.append(Mutant(path.name, number, rule, row.strip(), new.strip(), whole))
    return mistakes


def compiles(mutant: Mutant, folder: Path, options: Iterable[str] = ()) -> bool:
    """Whether the simulator takes the mutant in check mode; `folder` holds what it includes."""
    try:
        Module(f'#line 1 "{mutant.file}"\n{mutant.text}', [f"-I{folder}", *options], check=True)
    except KernelError:
        return False
    return True


def survey(
    path: Path,
    check: Callable[[str], str | None],
    limit: int | None = None,
    seed: int = 0,
    options: Iterable[str] = (),
    record: Mapping[str, Outcome] | None = None,
    notify: Callable[[Outcome, int, int], None] = lambda *_: None,
) -> list[Outcome]:
    """Tries a file's mutants, all or `limit` of them drawn by `seed`.

    check    gets a mutant's text, and returns what it noticed, or None
    options  with which a mutant is to compile
    record   outcomes of an earlier run by key: those that did not survive are taken as they are
    notify   is told each new outcome, its number and of how many
    """
    sample, options, record = mutants(path), tuple(options), record or {}
    if limit is not None and len(sample) > limit:
        sample = [sample[i] for i in sorted(random.Random(seed).sample(range(len(sample)), limit))]
    outcomes = []
    for i, m in enumerate(sample, 1):
        if m.key in record and record[m.key].fate != "survived":
            outcomes.append(record[m.key])
            continue
        if not compiles(m, path.resolve().parent, options):
            fate, words = "stillborn", ""
        else:
            noticed = check(m.text)
            fate, words = ("killed", noticed[:160]) if noticed else ("survived", "")
        outcomes.append(Outcome(m.key, m.file, m.line, m.rule, m.before, m.after, fate, words))
        notify(outcomes[-1], i, len(sample))
    return outcomes


@dataclass(frozen=True)
class Plan:
    """Which tests matter to which file (by its name without .cu), and why a survivor is no mistake, by its name."""

    tests: dict[str, list[str]]
    options: list[str]
    equivalent: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Plan:
        """ValueError for a file that is no plan, OSError for one that is not there."""
        try:
            data = tomllib.loads(path.read_text())
            why = {name: row["why"] for row in data.get("equivalent", []) for name in row["mutants"]}
            return cls(data["tests"], data.get("options", []), why)
        except (tomllib.TOMLDecodeError, KeyError) as error:
            raise ValueError(f"mutate: {path} is no plan: {type(error).__name__} {error}") from error

    def of(self, file: Path) -> list[str]:
        """The tests of a file; ValueError where there are none."""
        if file.stem not in self.tests:
            raise ValueError(f"mutate: the plan has no tests for {file.name}; it has some for {', '.join(self.tests)}")
        return self.tests[file.stem]


def recorded(path: Path | None) -> dict[str, Outcome]:
    """The outcomes in a file of JSON lines, by key; the last of each counts."""
    if path is None or not path.exists():
        return {}
    return {o.key: o for o in (Outcome(**json.loads(row)) for row in path.read_text().splitlines())}


def _survey_all(files: list[Path], plan: Plan, options: argparse.Namespace) -> list[Outcome]:
    """Surveys the files one after the other; ValueError for tests that fail without any mistake."""
    record, outcomes = recorded(options.out), []

    def notify(outcome: Outcome, i: int, of: int) -> None:
        print(
            f"{i}/{of} {outcome.file}:{outcome.line} {outcome.rule}: {outcome.fate} {outcome.words[:100]}", flush=True
        )
        if options.out:
            with options.out.open("a") as file:
                file.write(f"{json.dumps(asdict(outcome))}\n")

    for file in files:
        checkout = Checkout(options.root, file, options.tests or plan.of(file), options.seconds)
        try:
            wrong = checkout.check(None)
            if wrong:
                raise ValueError(f"{file}: the tests fail without any mistake: {wrong}")
            outcomes += survey(file, checkout.check, options.limit, options.seed, plan.options, record, notify)
        finally:
            checkout.remove()
    if options.out:
        others = [o for o in record.values() if o.file not in {f.name for f in files}]
        options.out.write_text("".join(f"{json.dumps(asdict(o))}\n" for o in [*others, *outcomes]))
    return outcomes


def report(outcomes: list[Outcome], plan: Plan) -> tuple[list[str], float, int]:
    """Lines for people: counts by file, and the survivors with their explanations; the share that was killed; how many
    survivors are not explained."""
    lines, unexplained = [], 0
    for name in [*dict.fromkeys(o.file for o in outcomes), "all"]:
        fates = [o.fate for o in outcomes if name in (o.file, "all")]
        killed, survived, still = (fates.count(f) for f in ("killed", "survived", "stillborn"))
        share = killed / max(1, killed + survived)
        lines.append(f"{name:<12} {killed:>4} of {killed + survived:>4} killed, {share:.1%} ({still} did not compile)")
    for o in (o for o in outcomes if o.fate == "survived"):
        unexplained += o.name not in plan.equivalent
        lines += [f"{o.file}:{o.line} {o.rule}: {o.after}", f"    {plan.equivalent.get(o.name, 'NOT EXPLAINED')}"]
    return lines, share, unexplained


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Put small mistakes into kernels and see whether tests notice.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--plan", type=Path, help="TOML: tests by file, and what is known of survivors")
    parser.add_argument("--tests", nargs="+", help="what pytest is to run, in place of the plan's")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    parser.add_argument("--limit", type=int, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=120, help="of processor time for one mutant")
    parser.add_argument("--aim", type=float, default=0.94)
    parser.add_argument("--out", type=Path, help="outcomes, a line of JSON each; read again by the next run")
    options = parser.parse_args(argv)
    if not options.plan and not options.tests:
        parser.error("--plan or --tests says what pytest is to run")
    try:
        plan = Plan.read(options.plan) if options.plan else Plan({}, [], {})
        outcomes = _survey_all(options.files, plan, options)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    lines, share, unexplained = report(outcomes, plan)
    print("\n".join(lines))
    return int(share < options.aim or unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
