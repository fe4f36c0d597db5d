"""The certificate that `minigan gradcheck` prints: every op's derivatives, or a whole training step's, measured.

For each op of the table, or each parameter of a model's loss: the worst error at orders 1, 2 and 3 against finite
differences, and at orders 0, 1 and 2 against PyTorch where that is installed. See `gradcheck` for what is compared and
why the tolerances are what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec

from ..autograd import Tensor
from ..backend import default_device, to_device
from .derivatives import Comparison, GradcheckError
from .gradcheck import order_comparisons
from .in_torch import torch_comparisons
from .objectives import Objective, objectives
from .opcase import Sample
from .opdb import OpCase, cases

ORDERS, TORCH_ORDERS = (1, 2, 3), (0, 1, 2)


@dataclass
class Row:
    """One op or parameter: how many cases were compared, the worst error by order (of the first case that failed, where
    one did), what failed first, and why nothing, or not every order, was compared."""

    name: str
    cases: int = 0
    differences: dict[int, float] = field(default_factory=dict)
    torch: dict[int, float] = field(default_factory=dict)
    failure: str | None = None
    unchecked: str | None = None

    @property
    def verdict(self) -> str:
        """pass, FAIL or not checked."""
        return "FAIL" if self.failure else "not checked" if self.unchecked else "pass"

    def text(self) -> str:
        """One line of the table."""
        columns = [(self.differences, ORDERS), (self.torch, TORCH_ORDERS)]
        numbers = [f"{e[k]:>6.0e}" if e.get(k) else f"{'0' if k in e else '-':>6}" for e, at in columns for k in at]
        verdict = "  ".join(filter(None, (self.verdict, self.failure or self.unchecked)))
        return f"{self.name:<36} {self.cases:>5}  {' '.join(numbers)}   {verdict}"

    def keep(self, worst: dict[int, float], order: int, comparison: Comparison) -> None:
        """Take a comparison into `worst`, one of the row's two tables of errors, and its failure, if it is the
        first."""
        worst[order] = max(worst.get(order, 0.0), comparison.error)
        if comparison.failure and not self.failure:
            self.failure = str(comparison.failure)

    def add(self, case: Row) -> None:
        """Take in one more case of this op. After a failure the row stays as the case that failed."""
        self.cases += case.cases
        if self.failure:
            return
        self.failure = case.failure
        for worst, errors in ((self.differences, case.differences), (self.torch, case.torch)):
            if case.failure:
                worst.clear()
            for order, error in errors.items():
                worst[order] = max(worst.get(order, 0.0), error)


HEADER = f"{'':<36} {'':>5}  {'finite differences':<20} {'PyTorch':<20}\n" + (
    f"{'op or parameter':<36} {'cases':>5}  {' '.join(f'{k:>6}' for k in (*ORDERS, *TORCH_ORDERS))}"
)


@dataclass
class Certificate:
    """All rows. `shown`: whether they were shown as they came, so that `text` need not repeat them."""

    rows: list[Row]
    seed: int
    torch: str | None
    shown: bool = False

    @property
    def passed(self) -> bool:
        """Whether no row failed, and something was compared."""
        return all(row.failure is None for row in self.rows) and any(row.verdict == "pass" for row in self.rows)

    def text(self) -> str:
        """The table (unless it was shown already) and a closing line."""
        counts = {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in ("pass", "not checked")}
        worst = max((e for row in self.rows for e in row.differences.values()), default=0.0)
        against = f"PyTorch {self.torch}" if self.torch else "PyTorch not installed, so not compared with it"
        if self.torch and not any(row.torch for row in self.rows):
            against = "not compared with PyTorch"
        table = [] if self.shown else [HEADER, *(row.text() for row in self.rows)]
        cases = sum(row.cases for row in self.rows)
        verdict = f"{counts['pass']} of {len(self.rows)} pass"
        if counts["not checked"]:
            verdict += f", {counts['not checked']} not checked"
        return "\n".join([*table, f"{verdict}; {cases} cases, worst error against differences {worst:.0e}; {against}"])

    def as_dict(self) -> dict:
        """The same as JSON can hold it."""
        rows = [asdict(row) | {"verdict": row.verdict} for row in self.rows]
        return {"passed": self.passed, "seed": self.seed, "torch": self.torch, "rows": rows}


def certify(
    ops: Sequence[str] | None = None, seed: int = 0, show: Callable[[str], object] | None = None
) -> Certificate:
    """Check the named ops (all if None) on the default device. show: called with each line of the table as it is ready.

    Raises ValueError for a name that is not in the table.
    """
    by_op: dict[str, dict[str, OpCase]] = {}
    for name in ops or (None,):
        for case in cases(name):
            by_op.setdefault(case.op, {})[case.name] = case
    return _collect((_op_row(op, group.values(), seed) for op, group in by_op.items()), seed, show)


def certify_model(
    name: str, seed: int = 0, show: Callable[[str], object] | None = None, upto: int = ORDERS[-1], **changes
) -> Certificate:
    """Check every parameter's gradient in each loss of a whole step of the system `name`, in float64 on a small
    network, run on the default device; derivatives up to the order `upto`. changes: options other than the system's
    defaults: loss, penalty, network, ...

    Raises ValueError, naming the known ones, for an unknown system or option.
    """
    return _collect(
        (row for objective in objectives(name, seed, **changes) for row in _rows(objective, seed, upto)), seed, show
    )


def _collect(rows: Iterator[Row], seed: int, show) -> Certificate:
    certificate = Certificate([], seed, _torch_version(), show is not None)
    if show:
        show(HEADER)
    for row in rows:
        certificate.rows.append(row)
        if show:
            show(row.text())
    return certificate


def _torch_version() -> str | None:
    if not _torch():
        return None
    import torch

    return torch.__version__


def _op_row(op: str, group: Iterable[OpCase], seed: int) -> Row:
    """All samples of all rows of one op; values drawn from `seed`."""
    row = Row(op)
    for case in group:
        for sample in (replace(s, seed=seed) for s in case.samples):
            row.add(_case_row(case, sample, seed))
    if not row.cases:
        row.unchecked = f"no derivative, and {'nothing of PyTorch to compare with' if _torch() else 'no PyTorch here'}"
    return row


def _case_row(case: OpCase, sample: Sample, seed: int) -> Row:
    """One sample: 1 case if anything of it was compared, or failed."""
    fn, inputs, what = case.bound(sample), case.tensors(sample), f"{case}({sample})"
    row = Row(what)
    try:
        for order in range(1, case.max_order + 1):
            for pair in order_comparisons(fn, inputs, order, seed=seed, name=what).values():
                row.keep(row.differences, order, pair)
        if _torch() and case.torch_fn is not None:
            for order in range(case.torch_order + 1):
                for pair in torch_comparisons(fn, case.bound_torch(sample), inputs, order, seed=seed, name=what):
                    row.keep(row.torch, order, pair)
    except Exception as error:  # whatever an op raises is its failure
        row.failure = row.failure or _words(what, error)
    row.cases = int(bool(row.differences or row.torch or row.failure))
    return row


def _rows(objective: Objective, seed: int, upto: int) -> list[Row]:
    """One row per parameter; all are differentiated together, so that mixed derivatives count too. A derivative by a
    cotangent stands with the parameter whose cotangent it is, by the loss's own with the first."""
    rows = [Row(f"{objective.label} {name}", 1) for name in objective.names]
    inputs = [Tensor(to_device(p, default_device())).requires_grad_() for p in objective.parameters]
    label, order, against = objective.label, 0, "differences"
    try:
        for order in (order for order in objective.orders if order <= upto):
            comparisons = order_comparisons(objective.fn, inputs, order, seed=seed, name=label)
            for key, pair in comparisons.items():
                row = rows[key if isinstance(key, int) else key[1]]
                row.keep(row.differences, order, pair)
        if objective.torch_fn is not None and _torch():
            against = "PyTorch"
            for order in TORCH_ORDERS:
                pairs = torch_comparisons(objective.fn, objective.torch_fn, inputs, order, seed=seed, name=label)
                for row, pair in zip(rows, pairs if order else pairs * len(rows), strict=True):
                    row.keep(row.torch, order, pair)
    except Exception as error:  # whatever a loss raises is its failure
        at = error.input if isinstance(error, GradcheckError) and error.order and isinstance(error.input, int) else 0
        culprit = rows[at if at < len(rows) else 0]
        culprit.failure = culprit.failure or _words(label, error)
        for row in rows:
            row.cases = int(bool(row.differences or row.failure))
            row.unchecked = f"order {order} against {against} stopped at {culprit.name}"
    return rows


def _torch() -> bool:
    return find_spec("torch") is not None


def _words(what: str, error: Exception) -> str:
    return str(error) if isinstance(error, GradcheckError) else f"{what}: {type(error).__name__}: {error}"
