"""`minigan gradcheck file.py:Name`: one op, function or Module of a user's own, examined on calls that fit it.

    from minigan.testing.examine import examine
    report = examine(MyOp, upto=4)             # or examine("mine.py:MyOp"), or examine(net, inputs=(x,))
    assert report.passed, report.text()

For each call: how it behaves (conduct.py), its derivatives of every order in float64 beside differences
(directional.py), and what float32 gives, in units of the last place of the float64 result. The first fault of a call
ends it; the report says which side is wrong, at which order, in which element, and what was expected.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Op, Tensor, no_grad
from ..backend import default_device, float32, host, to_device
from . import conduct
from .calls import WIDE
from .directional import NotFinite, ulps, wrong_derivative
from .subject import CutGraph, Problem, Subject, problem, problems, subject

ORDERS = 4
THOROUGH = 2
"""Calls that go up to the highest order; the others stop at 1, those of wide values at 2."""
FLOAT32 = 3
"""Calls that are computed in float32, too."""
ULPS = 2.0**13
"""Units of the last place: 1e-3 of the result's largest element."""
SEEDS = (0, 1)
"""A float32 result is wrong only if it is for both."""


@dataclass
class Call:
    """One call: the worst relative error by order, the worst float32 error by order in units of the last place, the
    fault, and why it was left out."""

    label: str
    errors: dict[int, float] = field(default_factory=dict)
    ulps: dict[int, float] = field(default_factory=dict)
    fault: str | None = None
    side: str | None = None
    left_out: str | None = None

    def text(self, upto: int) -> str:
        """One line."""
        errors = [f"{self.errors[k]:>6.0e}" if k in self.errors else f"{'-':>6}" for k in range(1, upto + 1)]
        units = [f"{self.ulps[k]:>6.1f}" if k in self.ulps else f"{'-':>6}" for k in (0, 1, 2)]
        verdict = "FAIL" if self.fault else "left out" if self.left_out else "pass"
        return f"{self.label:<40} {' '.join(errors)}   {' '.join(units)}   {verdict}"


@dataclass
class Examination:
    """What was found about one subject. notes: what is no fault, but worth knowing."""

    name: str
    kind: str
    device: str
    upto: int
    calls: list[Call]
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[Call]:
        """The calls with a fault."""
        return [call for call in self.calls if call.fault]

    @property
    def passed(self) -> bool:
        """Whether some call was checked, and none has a fault."""
        return not self.faults and any(call.errors for call in self.calls)

    def text(self) -> str:
        """The table, and below it the faults, one for each place to look at."""
        orders = " ".join(f"{k:>6}" for k in range(1, self.upto + 1))
        lines = [
            f"{self.kind} {self.name} on {self.device}",
            f"{'':<40} {'orders, float64':<{7 * self.upto - 1}}   float32, in ulp",
            f"{'inputs':<40} {orders}   {'value':>6} {'1':>6} {'2':>6}",
            *(call.text(self.upto) for call in self.calls),
        ]
        first = {call.side: call for call in reversed(self.faults)}
        for call in reversed(first.values()):
            lines += [f"wrong for {call.label}: {call.fault}", f"    look at {call.side}"]
        lines += [f"note: {note}" for note in self.notes]
        for call in self.calls:
            if call.left_out:
                lines.append(f"left out {call.label}: {call.left_out}")
        checked = sum(bool(call.errors) for call in self.calls)
        verdict = "right" if self.passed else "WRONG" if self.faults else "not checked"
        highest = max((k for call in self.calls for k in call.errors), default=0)
        lines.append(f"{self.name}: {verdict}; {checked} of {len(self.calls)} calls checked, to order {highest}")
        return "\n".join(lines)

    def as_dict(self) -> dict:
        """The same as JSON can hold it."""
        rows = [
            {
                "inputs": c.label,
                "errors": c.errors,
                "ulps": c.ulps,
                "fault": c.fault,
                "look_at": c.side,
                "left_out": c.left_out,
            }
            for c in self.calls
        ]
        return {
            "passed": self.passed,
            "name": self.name,
            "kind": self.kind,
            "device": self.device,
            "order": self.upto,
            "calls": rows,
            "notes": self.notes,
        }


class _Fault(Exception):
    """What is wrong, and where to look."""

    def __init__(self, fault: str, side: str) -> None:
        super().__init__(fault)
        self.side = side


def examine(
    target: Any,
    inputs: Any = None,
    *,
    shapes: Sequence[tuple[int, ...]] | None = None,
    upto: int = 3,
    seed: int = 0,
    device: str | None = None,
) -> Examination:
    """Check a user's op, function of Tensors, or Module: `file.py:Name`, `module:Name`, or the thing itself.

    inputs: a call, a tuple of arrays and numbers, or a list of calls; by default `Name_inputs` or `inputs` of the file,
    or calls that fit. shapes: instead, one shape for each input. upto: the highest order, 1 to 4. device: where it
    runs; the default device if None.

    Raises ValueError where the name leads nowhere, the order is out of range, or no call is accepted.
    """
    if not 1 <= upto <= ORDERS:
        raise ValueError(f"gradcheck: the order is 1 to {ORDERS}, got {upto}")
    state = backend.default_generator.state_dict()
    with backend.device(device or str(default_device())), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        backend.default_generator.manual_seed(seed)
        what = subject(target, inputs)
        report = Examination(what.built or what.name, what.kind, str(default_device()), upto, [])
        try:
            cases = list(problems(what, seed, shapes))
        except CutGraph as error:
            report.calls.append(Call("any", fault=str(error), side="what it returns"))
            return report
        for number, case in enumerate(cases):
            report.calls.append(_call(what, case, number, upto, seed))
        _leave_out(report.calls, cases)
        report.notes += _notes(what, cases)
    backend.default_generator.load_state_dict(state)
    return report


def _call(what: Subject, case: Problem, number: int, upto: int, seed: int) -> Call:
    """Everything about one call, up to its first fault."""
    call = Call(case.label)
    try:
        for name, (check, _) in conduct.PROPERTIES.items():
            if number < FLOAT32 or name in ("unchanged", "layouts"):
                _state(check(what, case), name)
        if number < FLOAT32:
            _state(conduct.history(what, case, lambda: _again(what, case)), "history")
        _values(what, case)
        for order in range(1, (upto if number < THOROUGH else min(upto, 2 if case.values == WIDE else 1)) + 1):
            call.errors[order], wrong = wrong_derivative(case, order, seed)
            if wrong:
                raise _Fault(str(wrong), _side(what, wrong.order))
        if number < FLOAT32 and case.values != WIDE:
            _float32(what, case, call, min(upto, 2), seed)
    except _Fault as fault:
        call.fault, call.side = str(fault), fault.side
    except NotFinite as error:
        call.fault, call.side = str(error), "vjp, where it divides, or takes a root or a logarithm"
    except Exception as error:
        call.fault, call.side = f"{type(error).__name__}: {error}", "vjp, and the shapes that it answers"
    return call


LOOK = {
    "unchanged": "the assignments in place: forward and vjp must answer new arrays",
    "twice": "random numbers and counters: take a Generator that the op keeps as self.generator",
    "layouts": "what is read by memory order: ravel(order='K'), reshape of a view, raw pointers, strides",
    "need": "vjp, and how it uses `need`",
    "saved": "saves_input, and what vjp reads of node.inputs",
    "shared": "vjp, for two inputs that are one",
    "outputs": "vjp, for a cotangent that is None",
    "history": "what is kept on self or in globals between forward and vjp",
}


def _state(finding: str | None, name: str) -> None:
    if finding:
        raise _Fault(finding, LOOK[name])


def _values(what: Subject, case: Problem) -> None:
    """forward beside the op's own reference."""
    value = what.fresh()
    if not isinstance(value, Op) or type(value).reference is Op.reference or len(case.inputs) < len(case.shapes):
        return
    leaves = [Tensor(to_device(a.copy(), default_device())) for a in case.arrays]
    with no_grad():
        answer, expected = value(*leaves), value.reference(*leaves)
    pairs = [(y if isinstance(y, tuple) else (y,)) for y in (answer, expected)]
    for i, (a, b) in enumerate(zip(*pairs, strict=True)):
        a, b = host(a.data), host(b.data)
        if a.shape != b.shape:
            raise _Fault(f"output {i} has shape {a.shape}, the reference's {b.shape}", "forward, beside reference")
        gap = np.abs(a - b)
        if gap.size and gap.max() > 1e-9 * max(1.0, np.abs(b).max()):
            at = tuple(int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
            message = f"value of output {i} at element {at} is {a[at]:.8g}, the reference says {b[at]:.8g}"
            raise _Fault(message, "forward, beside reference")


def _side(what: Subject, order: int) -> str:
    """Where a derivative of this order goes wrong."""
    value = what.fresh()
    if order > 1:
        return "what vjp takes for a constant: NumPy arrays, .data, detach(), numbers kept on self, the cotangent"
    if not isinstance(value, Op):
        return "where the graph is cut or bent: detach(), .data, .numpy(), no_grad, and the vjp of ops of your own"
    own_rule, reference = type(value).vjp is not Op.vjp, type(value).reference is not Op.reference
    if own_rule and reference:
        return "vjp: forward agrees with the reference"
    if reference:
        return "forward and reference, which are not one function"
    return "vjp (or forward, if its values are not what you mean; a `reference` would tell)"


def _float32(what: Subject, case: Problem, call: Call, upto: int, seed: int) -> None:
    single = problem(what, _inputs(case, np.float32), case.label, float32)

    def twin(arrays: Sequence[np.ndarray]) -> Problem:
        double = problem(what, _inputs(case, np.float64), case.label)
        double.arrays = list(arrays)
        return double

    call.ulps = ulps(single, twin, range(upto + 1), seed)
    for order, error in call.ulps.items():
        if error > ULPS and min(ulps(single, twin, [order], s)[order] for s in SEEDS) > ULPS:
            result = "value" if order == 0 else f"derivative of order {order}"
            raise _Fault(
                f"in float32 the {result} is off by {error:.0f} units of the last place of the float64 result",
                "casts, branches on the dtype, differences of large numbers",
            )


def _again(what: Subject, case: Problem) -> Problem:
    """The same call of a fresh subject."""
    return problem(what, _inputs(case, np.float64), case.label, anew=True)


def _inputs(case: Problem, dtype) -> list[Any]:
    """The inputs of the call, floating ones in dtype."""
    floating = iter([case.arrays[i].astype(dtype) for i in case.inputs])
    return [case.constants[i] if i in case.constants else next(floating) for i in range(len(case.shapes))]


def _leave_out(calls: list[Call], cases: Sequence[Problem]) -> None:
    """Calls that the author did not mean: drawn by us, refused by vjp, where others pass, and not of single numbers
    alone. A gradient of another shape than the only input, an array, is no such thing, since forward took it; nor is
    one that is larger than its input: a sum over what was broadcast is forgotten."""
    fair = [case for call, case in zip(calls, cases, strict=True) if call.fault is None]
    if not any(np.prod(shape) > 1 for case in fair for shape in case.shapes):
        return
    for call, case in zip(calls, cases, strict=True):
        if not (case.automatic and call.fault and call.side == "vjp, and the shapes that it answers"):
            continue
        shapes = [tuple(map(int, re.findall(r"\d+", s))) for s in re.findall(r"\(([\d, ]*)\)", call.fault)[:2]]
        if "gradient of shape" in call.fault:
            if len(shapes) == 2 and shapes[0] == _broadcast(case.shapes) != shapes[1]:
                call.side = "vjp: after broadcasting, sum the gradient back to the input's shape (sum_to)"
                continue
            if len(case.shapes) == 1 and case.shapes[0]:
                continue
        call.left_out, call.fault = f"vjp does not take these shapes ({call.fault})", None


def _broadcast(shapes: Sequence[tuple]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _notes(what: Subject, cases: Sequence[Problem]) -> list[str]:
    notes = [f"random numbers of {', '.join(c.random)} were held fixed" for c in cases[:1] if c.random]
    if what.inputs is None and cases and cases[0].automatic:
        notes.append(f"inputs were chosen for you; name your own with {what.name}_inputs or --shape")
    return notes
