"""The certificate that `minigan gradcheck` prints: every op's derivatives, or a whole training step's, measured.

For each op of the table, or each parameter of a model's loss: the worst error at orders 1, 2 and 3 against finite
differences, and at orders 0, 1 and 2 against PyTorch where that is installed. See `gradcheck` for what is compared and
why the tolerances are what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

from ..autograd import Tensor
from ..backend import default_device, to_device
from .gradcheck import GradcheckError, check_order, order_errors, torch_errors
from .objectives import Objective, objectives
from .opdb import OpCase, cases

ORDERS, TORCH_ORDERS = (1, 2, 3), (0, 1, 2)


@dataclass
class Row:
    """One op or parameter: how many cases were tried, the worst error by order, and what failed first."""

    name: str
    cases: int = 0
    differences: dict[int, float] = field(default_factory=dict)
    torch: dict[int, float] = field(default_factory=dict)
    failure: str | None = None

    def text(self) -> str:
        """One line of the table."""
        columns = [(self.differences, ORDERS), (self.torch, TORCH_ORDERS)]
        numbers = [f"{e[k]:>6.0e}" if e.get(k) else f"{'0' if k in e else '-':>6}" for e, at in columns for k in at]
        verdict = "pass" if self.failure is None else f"FAIL  {self.failure}"
        return f"{self.name:<36} {self.cases:>5}  {' '.join(numbers)}   {verdict}"


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
        """Whether every row did."""
        return all(row.failure is None for row in self.rows)

    def text(self) -> str:
        """The table (unless it was shown already) and a closing line."""
        failures = sum(row.failure is not None for row in self.rows)
        worst = max((e for row in self.rows for e in row.differences.values()), default=0.0)
        against = f"PyTorch {self.torch}" if self.torch else "PyTorch not installed, so not compared with it"
        table = [] if self.shown else [HEADER, *(row.text() for row in self.rows)]
        cases = sum(row.cases for row in self.rows)
        verdict = f"{len(self.rows) - failures} of {len(self.rows)} pass"
        return "\n".join([*table, f"{verdict}; {cases} cases, worst error against differences {worst:.0e}; {against}"])

    def as_dict(self) -> dict:
        """The same as JSON can hold it."""
        rows = [
            {"name": r.name, "cases": r.cases, "differences": r.differences, "torch": r.torch, "failure": r.failure}
            for r in self.rows
        ]
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


def certify_model(name: str, seed: int = 0, show: Callable[[str], object] | None = None) -> Certificate:
    """Check every parameter's gradient in each loss of a whole step of the system `name`, in float64 on a small
    network, run on the default device.

    Raises ValueError, naming the known ones, for an unknown system.
    """
    return _collect((row for objective in objectives(name, seed) for row in _rows(objective, seed)), seed, show)


def _collect(rows: Iterator[Row], seed: int, show) -> Certificate:
    certificate = Certificate([], seed, _torch_version(), show is not None)
    if show:
        show(HEADER)
    for row in rows:
        certificate.rows.append(row)
        if show:
            show(row.text())
    return certificate


def _keep(worst: dict[int, float], order: int, error: float) -> None:
    worst[order] = max(worst.get(order, 0.0), error)


def _torch_version() -> str | None:
    if find_spec("torch") is None:
        return None
    import torch

    return torch.__version__


def _op_row(op: str, group: Iterable[OpCase], seed: int) -> Row:
    """All samples of all rows of one op; values drawn from `seed`."""
    row = Row(op)
    with_torch = find_spec("torch") is not None
    for case in group:
        for sample in (replace(s, seed=seed) for s in case.samples):
            fn, inputs, what = case.bound(sample), case.tensors(sample), f"{case}({sample})"
            row.cases += 1
            try:
                for order in range(1, case.max_order + 1):
                    _keep(row.differences, order, check_order(fn, inputs, order, seed=seed, name=what))
                if with_torch and case.torch_fn is not None:
                    for order in range(case.torch_order + 1):
                        errors = torch_errors(fn, case.bound_torch(sample), inputs, order, seed=seed, name=what)
                        _keep(row.torch, order, max(errors, default=0.0))
            except (GradcheckError, ValueError, TypeError, IndexError) as error:
                row.failure = row.failure or str(error)
    return row


def _rows(objective: Objective, seed: int) -> list[Row]:
    """One row per parameter; all are differentiated together, so that mixed derivatives count too."""
    rows = [Row(f"{objective.label} {name}", 1) for name in objective.names]
    inputs = [Tensor(to_device(p, default_device())).requires_grad_() for p in objective.parameters]
    try:
        for order in objective.orders:
            errors = order_errors(objective.fn, inputs, order, seed=seed, name=objective.label)
            for i, row in enumerate(rows):
                _keep(row.differences, order, errors[i])
        if objective.torch_fn is not None and find_spec("torch") is not None:
            for order in TORCH_ORDERS:
                errors = torch_errors(objective.fn, objective.torch_fn, inputs, order, seed=seed, name=objective.label)
                for row, error in zip(rows, errors if order else errors * len(rows), strict=True):
                    _keep(row.torch, order, error)
    except GradcheckError as error:
        rows[error.input if error.order and isinstance(error.input, int) else 0].failure = str(error)
    return rows
