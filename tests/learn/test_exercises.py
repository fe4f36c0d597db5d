"""Every exercise: its solution passes, its skeleton does not, and every mistake that its row lists is rejected.

In this process, without a compiler where one is slow: loops in Numba are run by Python, watched, which is what rejects
their mistakes; of the kernels in CUDA C the slow tests grade all, the quick ones two.
"""

import re

import pytest

from minigan.learn import table, watched
from minigan.learn.exercise import GAP, Exercise
from minigan.learn.grading import grade
from minigan.learn.sources import PACKAGE, Source

EXERCISES = table.exercises()
CUDA = [name for name, e in EXERCISES.items() if e.is_cuda]
LOOPS = [name for name, e in EXERCISES.items() if e.track in ("loops", "nests")]
QUICK = [name for name in EXERCISES if name not in CUDA]
ROWS = [(name, i) for name in QUICK for i in range(len(EXERCISES[name].mutants))]


@pytest.fixture
def uncompiled(monkeypatch):
    monkeypatch.setattr(watched, "compiles", False)


def graded(exercise: Exercise, program: str) -> list[str]:
    return grade(exercise, exercise.file(program))


def unfilled(exercise: Exercise) -> str:
    """The skeleton as one would leave it who only deletes the line that says what is missing."""
    return exercise.skeleton.replace(f"  # {GAP}", "").replace(f"// {GAP}", "")


def test_the_table_is_as_large_as_it_says():
    assert len(EXERCISES) >= 60
    assert all(len(table.track(name)) >= 4 for name in table.TRACKS)
    files = [(e.track, e.file_name) for e in EXERCISES.values()]
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_row_is_whole(name):
    """A question first, lines that fit a terminal, several hints, three mistakes at least, an answer."""
    e = EXERCISES[name]
    assert name == e.name and e.track in table.TRACKS
    assert e.title.endswith("?"), e.title
    assert max(map(len, e.text.splitlines())) <= 120
    assert len(e.hints) >= 2 and len(set(e.hints)) == len(e.hints)
    assert len(e.mutants) >= 3
    assert e.answer.strip() and e.answer not in e.text
    assert bool(e.marks) != bool(e.fault)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_skeleton_is_its_solution_without_the_learner_s_lines(name):
    e = EXERCISES[name]
    skeleton = e.skeleton
    if e.fault:
        assert all(e.solution.count(right) == 1 for right, _ in e.fault) and skeleton != e.solution
        return
    assert e.solution.count(e.marks[0]) == e.solution.count(e.marks[1]) == skeleton.count(GAP) >= 1
    begin, end = e.marks
    lines, inside = [], False
    for line in e.solution.splitlines():
        inside = inside and line.strip() != end
        if not inside:
            lines.append(line)
        inside = inside or line.strip() == begin
    assert [line for line in skeleton.splitlines() if GAP not in line] == lines


@pytest.mark.parametrize("name", [n for n, e in EXERCISES.items() if isinstance(e.source, Source)])
def test_a_solution_that_the_project_has_is_the_project_s_text(name):
    """Line by line, in order, but for the imports; and the file's own marks are two lines an exercise, of no other."""
    e = EXERCISES[name]
    text = (PACKAGE / e.source.path).read_text()
    own = [line for line in text.splitlines() if f"learn: {name} " in line]
    assert len(own) == (0 if e.source.between else 2)
    rest = iter(text.splitlines())
    for line in e.solution.splitlines():
        if line.startswith(("from ", "import ")) or (e.source.between and "learn:" in line):
            continue
        assert line in rest, line


def test_every_mark_in_the_project_is_of_an_exercise():
    marked = set()
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "learn":
            lines = [line.split() for line in path.read_text().splitlines() if line.strip().startswith("# learn:")]
            marked |= {words[2] for words in lines}
    expected = {n for n, e in EXERCISES.items() if isinstance(e.source, Source) and not e.source.between}
    assert marked == expected and len(marked) >= 12


@pytest.mark.parametrize("name", QUICK)
def test_the_solution_passes_and_the_skeleton_does_not(name, uncompiled):
    e = EXERCISES[name]
    assert graded(e, e.solution) == []
    assert graded(e, e.skeleton)
    assert graded(e, unfilled(e)), "what is not there passes, too"


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{n}-{EXERCISES[n].mutants[i][0]}" for n, i in ROWS])
def test_a_mistake_is_rejected(name, row, uncompiled):
    e = EXERCISES[name]
    findings = graded(e, e.mutant(row))
    assert findings and all("\n" not in line for line in findings), e.mutants[row][0]


@pytest.mark.parametrize("name", ["index-guard", "block-sum"])
def test_a_kernel_is_graded_by_the_simulator(name):
    e = EXERCISES[name]
    assert graded(e, e.solution) == []
    assert e.file_name in graded(e, e.mutant(0))[0]


def test_what_does_not_compile_gets_no_advice():
    """A kernel that lacks a semicolon is told so, and not which threads have nothing to do."""
    e = EXERCISES["index-guard"]
    (finding,) = graded(e, e.solution.replace("threadIdx.x;", "threadIdx.x"))
    assert "expected" in finding and "which have nothing to do" not in finding
    assert "which have nothing to do" in graded(e, e.mutant(0))[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", CUDA)
def test_every_kernel_in_cuda(name):
    e = EXERCISES[name]
    assert graded(e, e.solution) == []
    assert graded(e, e.skeleton) and graded(e, unfilled(e))
    for row, (title, *_) in enumerate(e.mutants):
        assert graded(e, e.mutant(row)), title


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_is_compiled(name):
    e = EXERCISES[name]
    assert graded(e, e.solution) == []


OTHER_WAYS = {
    "critic-step": ("with no_grad():\n        fake = g(z)", "fake = g(z).detach()"),
    "generator-step": ("    loss.backward()", "    loss.backward(inputs=list(g.parameters()))"),
    "sum-to": ("size == 1 and x.shape[lead + i] != 1", "size == 1"),
    "cross-entropy": ("np.log(total[:, 0]) - z[rows, labels]", "-np.log(np.exp(z) / total)[rows, labels]"),
    "batch-norm": ("x.var(0)", "((x - x.mean(0)) ** 2).mean(0)"),
    "r1": ("(slope**2).sum() / (2 * len(real))", "slope.flatten(1).square().sum(1).mean() / 2"),
    "warp-sum": ("k > 0; k /= 2", "k > 0; k >>= 1"),
    "silence": (
        "        for _ in range(N_CRITIC):",
        "        self.f.requires_grad_(True)\n        for _ in range(N_CRITIC):",
    ),
    "swings": ("self.opt_f.zero_grad()", "self.f.zero_grad()"),
    "batch-size": ("slope.safe_norm(1)", "(slope * slope).sum(1).sqrt()"),
    "after-the-sheet": ('        """One step of each player; both losses."""', "        self.g.train()"),
    "white-is-black": (
        "np.rint((images.detach().numpy()[:, 0] + 1) * 127.5).clip",
        "((images.detach().numpy()[:, 0] + 1) * 127.5).clip",
    ),
}
"""Exercise -> a change of its solution that is right as well. "silence" and "after-the-sheet" repair elsewhere, too."""
LEFT_OUT = {
    "silence": "        self.f.requires_grad_(True)\n        self.average",
    "after-the-sheet": "        self.g.train()\n        return pix",
}


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_another_right_way_passes(name):
    e, (old, new) = EXERCISES[name], OTHER_WAYS[name]
    assert old in e.solution
    program = e.solution.replace(old, new)
    if name in LEFT_OUT:
        line, _, rest = LEFT_OUT[name].partition("\n")
        program = program.replace(LEFT_OUT[name], rest)
        assert program.count(line.strip()) == e.solution.count(line.strip())
    assert program != e.solution and graded(e, program) == []


def test_the_page_says_what_the_grader_says():
    """Its number of exercises, its tracks, and the two findings that it shows."""
    page = (PACKAGE / "docs" / "learn.md").read_text()
    assert f"There are {len(EXERCISES)} exercises" in page
    assert set(
        re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `")))
    ) == set(table.TRACKS)
    words = " ".join(page.split())
    for name, mistake in (("tanh", "y is a constant"), ("block-sum", "no barrier for the last warp")):
        e = EXERCISES[name]
        (row,) = [i for i, (title, *_) in enumerate(e.mutants) if title == mistake]
        assert graded(e, e.mutant(row))[0].partition(" (the")[0] in words
