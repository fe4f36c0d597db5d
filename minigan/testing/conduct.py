"""How an op behaves from call to call: properties that an op of any formula has, each a function that answers what is
wrong in one sentence, or None.

    twice       two calls on the same inputs, and two backward passes of one graph, agree bit by bit
    unchanged   neither inputs, nor weights, nor cotangents are changed, by forward or backward
    history     what was called before, or between forward and backward, makes no difference
    layouts     transposed, sliced, reversed and repeated memory gives what contiguous memory gives
    need        each gradient alone is the one that is computed with all others
    saved       an input that an op says its vjp does not read is not read
    shared      one tensor in two places gets the sum of what two equal ones get
    outputs     of several outputs, each may be the only one that is used
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..autograd import Tensor, enable_grad
from ..backend import FLOATS, default_device, host, to_device
from .derivatives import backward, cotangent
from .layouts import LAYOUTS
from .subject import Problem, Subject

Arrays = list[np.ndarray | None]
CLOSE = 1e-9
ALIGNED = [name for name in LAYOUTS if name != "unaligned"]


class Pass:
    """A forward pass on copies of arrays, and backward passes of its graph. same: two places with one leaf in both."""

    def __init__(
        self,
        problem: Problem,
        arrays: Sequence[np.ndarray],
        wanted: Sequence[int] | None = None,
        same: tuple[int, int] | None = None,
    ) -> None:
        self.wanted = list(range(len(arrays))) if wanted is None else list(wanted)
        self.arrays = [to_device(a, default_device()) for a in arrays]
        self.before = [host(a).copy() for a in self.arrays]
        self.leaves = [Tensor(a).requires_grad_(i in self.wanted) for i, a in enumerate(self.arrays)]
        if same:
            self.leaves[same[1]] = self.leaves[same[0]]
        with enable_grad():
            self.outputs = list(problem.fn(*self.leaves))
        self.values = [host(y.data).copy() for y in self.outputs]

    def cotangents(self, order: int = 1) -> Arrays:
        """Random ones of the floating outputs."""
        outputs = enumerate(self.outputs)
        return [cotangent(0, order, i, y.shape).astype(y.dtype) if y.dtype in FLOATS else None for i, y in outputs]

    def gradients(self, rows: Arrays | None = None, create_graph: bool = False) -> list[Tensor | None]:
        """By the wanted leaves."""
        leaves = [self.leaves[i] for i in self.wanted]
        with enable_grad():
            return backward(self.outputs, leaves, self.cotangents() if rows is None else rows, create_graph)

    def second(self) -> list[Tensor | None]:
        """The gradients of a random combination of the gradients."""
        first = self.gradients(create_graph=True)
        rows = [None if g is None else cotangent(0, 2, i, g.shape).astype(g.dtype) for i, g in enumerate(first)]
        with enable_grad():
            return backward(first, [self.leaves[i] for i in self.wanted], rows, create_graph=False)


def twice(subject: Subject, problem: Problem) -> str | None:
    """Bit by bit, at orders 0, 1 and 2."""
    one, other = Pass(problem, _copies(problem)), Pass(problem, _copies(problem))
    if not _same(one.values, other.values):
        return f"two calls on the same inputs differ, {_where(one.values, other.values)}: forward is not deterministic"
    with np.errstate(all="ignore"):
        Pass(problem, [_other(a) for a in problem.arrays])
    if not _same(one.values, [host(y.data) for y in one.outputs]):
        return "a later call changes the output of an earlier one: forward answers memory that it keeps"
    first, again = _arrays(one.gradients()), _arrays(one.gradients())
    if not _same(first, again):
        return (
            f"two backward passes of one graph differ, {_where(first, again)}: vjp is not deterministic, or keeps state"
        )
    if not _same(first, _arrays(other.gradients())):
        return "the gradients of two equal calls differ: vjp is not deterministic, or keeps state"
    if not _same(_arrays(one.second()), _arrays(other.second())):
        return "the second derivatives of two equal calls differ: vjp is not deterministic, or keeps state"
    return None


def saved(subject: Subject, problem: Problem) -> str | None:
    """Inputs that an op says its vjp does not read may be overwritten before it runs. (Outputs: `Node.output`.)"""
    op = subject.fresh()
    if subject.kind != "op" or op.saves_input or op.alias:
        return None
    expected, run = _arrays(Pass(problem, _copies(problem)).gradients()), Pass(problem, _copies(problem))
    for array in run.arrays:
        if array.dtype in FLOATS:
            array[...] = np.nan
    if not _near(expected, _arrays(run.gradients())):
        return "vjp reads the values of its input, though saves_input is False: they may have changed by then"
    return None


def shared(subject: Subject, problem: Problem) -> str | None:
    """One tensor in two places gets the sum of what two equal ones get."""
    arrays, places = _copies(problem), problem.inputs
    pairs = [(i, j) for i in places for j in places if i < j and arrays[i].shape == arrays[j].shape]
    pairs = [(i, j) for i, j in pairs if arrays[i].dtype == arrays[j].dtype]
    if subject.kind != "op" or not pairs:
        return None
    i, j = pairs[0]
    arrays[j] = arrays[i].copy()
    two = _zeros(problem, range(len(arrays)), _arrays(Pass(problem, arrays).gradients()))
    one = Pass(problem, arrays, same=(i, j))
    total = _zeros(problem, [i], [_arrays(one.gradients())[one.wanted.index(i)]])
    with np.errstate(all="ignore"):
        right = two[i] + two[j]
    if np.isfinite(right).all() and not _near([right], total):
        return f"the gradient of one tensor as {problem.names[i]} and {problem.names[j]} is not the sum of both"
    return None


def unchanged(subject: Subject, problem: Problem) -> str | None:
    """Inputs, weights, cotangents, after forward, backward and the backward of that."""
    try:
        run = Pass(problem, _copies(problem))
    except ValueError as error:
        if "read-only" in str(error):
            return "forward writes into its input, which may be read-only"
        raise
    rows = run.cotangents()
    cotangents = [None if u is None else u.copy() for u in rows]
    for stage, act in (("forward", None), ("vjp", lambda: run.gradients(rows)), ("vjp, at order 2,", run.second)):
        if act:
            act()
        for name, before, after in zip(problem.names, run.before, run.arrays, strict=True):
            if not _equal(before, host(after)):
                at = np.argwhere(before != host(after))
                return f"{stage} changes {name}, {len(at)} of its {before.size} elements"
        if not _same(cotangents, rows):
            return f"{stage} changes its cotangent in place, which other branches of the graph use, too"
        if not _same(run.values, [host(y.data) for y in run.outputs]):
            return f"{stage} changes the output in place"
    return None


def history(subject: Subject, problem: Problem, fresh: Callable[[], Problem]) -> str | None:
    """Other calls come first, or between forward and backward. fresh: the same call of a subject without a past."""
    arrays, others = _copies(problem), [_other(a) for a in problem.arrays]
    clean = Pass(fresh(), _copies(problem))
    expected, gradients = clean.values, _arrays(clean.gradients())
    later = fresh()
    with np.errstate(all="ignore"):
        Pass(later, others).gradients()
    run = Pass(later, arrays)
    if not _near(expected, run.values):
        return (
            f"its value depends on earlier calls, {_where(expected, run.values)}: it keeps numbers of another call"
            " (statistics, a cache)"
        )
    with np.errstate(all="ignore"):
        Pass(later, others)
    if not _near(gradients, _arrays(run.gradients())):
        return (
            "the gradient is another one if the op is called again before backward: vjp reads what forward kept aside"
            " (self.x, statistics) instead of node.inputs"
        )
    return None


def layouts(subject: Subject, problem: Problem) -> str | None:
    """Inputs and cotangents together, then each input alone."""
    own = [i for i in problem.inputs if problem.arrays[i].ndim]
    if not own:
        return None
    plain = Pass(problem, _copies(problem))
    gradients = _arrays(plain.gradients())
    groups = [own] if len(own) == 1 else [own, *([i] for i in own)]
    for name in ALIGNED:
        layout = LAYOUTS[name]
        for group in groups:
            arrays = [layout(a) if i in group else a for i, a in enumerate(_copies(problem))]
            values, expected = plain.values, gradients
            if name == "stride_0":
                reference = Pass(problem, [np.array(a) for a in arrays])
                if not all(np.isfinite(v).all() for v in reference.values):
                    continue
                values, expected = reference.values, _arrays(reference.gradients())
            what = f"{name} memory ({', '.join(problem.names[i] for i in group)})"
            try:
                run = Pass(problem, arrays)
                rows = [u if u is None else layout(u) for u in run.cotangents()]
                if name == "stride_0":
                    rows = run.cotangents()
                answers = _arrays(run.gradients(rows))
            except Exception as error:
                return f"fails for {what}: {type(error).__name__}: {error}"
            if not _near(values, run.values):
                return f"forward is wrong for {what}, {_where(values, run.values)}"
            if not _near(expected, answers):
                return f"the gradient is wrong for {what}, {_where(expected, answers)}"
    return None


def need(subject: Subject, problem: Problem) -> str | None:
    """One leaf at a time requires a gradient."""
    if len(problem.arrays) < 2 or subject.kind == "function":  # which may differentiate inside
        return None
    full = _arrays(Pass(problem, _copies(problem)).gradients())
    for i, name in enumerate(problem.names):
        alone = _arrays(Pass(problem, _copies(problem), [i]).gradients())
        if not _near(_zeros(problem, [i], [full[i]]), _zeros(problem, [i], alone)):
            return (
                f"the gradient by {name} alone is not the one computed with the others: see what vjp does with `need`"
            )
    return None


def outputs(subject: Subject, problem: Problem) -> str | None:
    """All cotangents None but one."""
    run = Pass(problem, _copies(problem))
    rows = run.cotangents()
    if sum(u is not None for u in rows) < 2:
        return None
    every = range(len(problem.arrays))
    for i, u in enumerate(rows):
        if u is None:
            continue
        zeros = [None if r is None else (r if k == i else np.zeros_like(r)) for k, r in enumerate(rows)]
        expected = _zeros(problem, every, _arrays(run.gradients(zeros)))
        try:
            answers = _arrays(run.gradients([r if k == i else None for k, r in enumerate(rows)]))
        except Exception as error:
            return (
                f"vjp fails where only output {i} is used, the other cotangents None: {type(error).__name__}: {error}"
            )
        if not _near(expected, _zeros(problem, every, answers)):
            return f"the gradient is wrong where only output {i} is used: a cotangent of None means zero"
    return None


def _copies(problem: Problem) -> list[np.ndarray]:
    return [a.copy() for a in problem.arrays]


def _other(a: np.ndarray) -> np.ndarray:
    """Other values of nearly the same range, with another mean."""
    return np.asarray(a.ravel()[::-1].reshape(a.shape) * 0.95)


def _arrays(tensors: Sequence[Tensor | None]) -> Arrays:
    return [None if t is None else host(t.data).copy() for t in tensors]


def _zeros(problem: Problem, positions: Sequence[int], arrays: Arrays) -> Arrays:
    """Zeros for None."""
    return [np.zeros_like(problem.arrays[i]) if a is None else a for i, a in zip(positions, arrays, strict=True)]


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _same(one: Arrays, other: Arrays) -> bool:
    pairs = zip(one, other, strict=True)
    return all((a is None) == (b is None) and (a is None or b is None or _equal(a, b)) for a, b in pairs)


def _near(one: Arrays, other: Arrays) -> bool:
    for a, b in zip(one, other, strict=True):
        if (a is None) != (b is None):
            return False
        if a is None or b is None:
            continue
        size = max(1e-12, float(np.abs(a).max(initial=0.0)))
        if a.shape != b.shape or not np.allclose(a, b, rtol=CLOSE, atol=CLOSE * size, equal_nan=True):
            return False
    return True


def _where(one: Arrays, other: Arrays) -> str:
    """The first place where two lists of arrays differ most."""
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        if a is None or b is None or a.shape != b.shape or _equal(a, b):
            continue
        gap = np.nan_to_num(np.abs(a.astype(np.float64) - b), nan=np.inf)
        at = tuple(int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
        return f"number {i} at element {at}: {a[at]:.8g} and {b[at]:.8g}"
    return "in shape"


PROPERTIES: dict[str, tuple[Callable, str]] = {
    "unchanged": (unchanged, "inputs, weights and cotangents are left as they were"),
    "twice": (twice, "two equal calls agree bit by bit"),
    "layouts": (layouts, "transposed, sliced, reversed and repeated memory"),
    "need": (need, "each gradient alone"),
    "saved": (saved, "inputs that vjp does not read, overwritten"),
    "shared": (shared, "one tensor in two places"),
    "outputs": (outputs, "each output alone"),
}
"""Those that need the subject and one call; `history` needs a fresh subject besides."""
