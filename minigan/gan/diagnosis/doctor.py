"""The doctor: runs a training step a few times under observation and says what is wrong, where, and what to do.

    from minigan.gan.diagnosis.doctor import diagnose
    report = diagnose("train.py:step")          # or a function, a bound method, the folder of a run
    print(report.text())

A step is a function that moves both players once or more. It needs no form: its networks and optimisers are found in
what it names and calls. A function that loops, such as `main`, is ended after a few steps. The weights move, as in
training: give the doctor a step that was just made.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ... import _user_code
from . import numbers, players, slopes
from .book import names_in_sight
from .derivative import derivatives
from .finding import FAULT, Finding
from .source import unused_averages
from .trace import Call, Move, Trace
from .watch import observe

ROUNDS = 4
NAMES = ("step", "train_step", "training_step", "update", "iteration", "train_one_step", "one_step", "train", "main")
ORDER = ("stopped", "not-finite", "no-gradient-to-generator", "wrong-parameters")
"""Findings that explain others come first."""


@dataclass
class Report:
    """What the doctor found. looked_at: the step, in words."""

    looked_at: str
    findings: list[Finding] = field(default_factory=list)
    about: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[Finding]:
        """Those that are no notes."""
        return [f for f in self.findings if f.level == FAULT]

    @property
    def passed(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    @property
    def names(self) -> list[str]:
        """Of all findings, notes too."""
        return [f.name for f in self.findings]

    def text(self) -> str:
        """What was looked at, the findings, a closing line."""
        count = len(self.faults)
        verdict = "nothing found wrong" if not count else f"{count} fault{'s' * (count != 1)}"
        return "\n".join([self.looked_at, *self.about, *(f.text() for f in self.findings), verdict])

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        findings = [f.as_dict() for f in self.findings]
        return {"passed": self.passed, "looked_at": self.looked_at, "about": self.about, "findings": findings}


def diagnose(target: Any, *args: Any, rounds: int = ROUNDS, **kwargs: Any) -> Report:
    """Look at a training step: `file.py:function`, `file.py`, a module's name, a function or bound method; or at a run.

    args, kwargs: for the function; where it needs some and none are given, the file's `NAME_inputs` (a tuple, or a
    function that makes one for each call). rounds: how many steps to observe.

    Raises ValueError where the name leads nowhere, or the function asks for arguments that nobody gives.
    """
    if isinstance(target, (str, os.PathLike)) and (folder := _run_folder(str(target))):
        from .runs import diagnose_run

        return Report(f"run {folder}", *diagnose_run(folder))
    if rounds < 1:
        raise ValueError(f"doctor: at least one step is needed, got rounds {rounds}")
    module, name, function = _function(target)
    make = _arguments(module, name, function, args, kwargs)
    if _uses_torch(module, function):
        from .watch_torch import observe_torch

        trace = observe_torch(function, make, rounds)
    else:
        trace = observe(function, make, rounds)
    report = Report(name if module is None else f"{name} of {getattr(module, '__file__', None) or module.__name__}")
    report.findings = judged(trace)
    if trace.engine == "minigan" and not trace.error:
        report.findings += list(derivatives(trace))
        report.findings += [f for f in unused_averages(module, trace) if f.name not in report.names]
    report.about = _about(trace)
    if not report.about and not trace.error:
        evidence = f"no network was called and no optimiser stepped in {trace.rounds} calls"
        report.findings.append(Finding("no-training", evidence))
    return report


def judged(trace: Trace) -> list[Finding]:
    """The findings of all rules on a trace."""
    findings: list[Finding] = []
    if trace.error:
        message, place = trace.error
        findings.append(Finding("stopped", message, place))
        if trace.not_finite:
            op, place = trace.not_finite
            findings.append(Finding("not-finite", f"{op} makes the first number that is not finite", place))
        if not trace.rounds:  # nothing can be said of who trains
            return findings
    with np.errstate(all="ignore"):
        for rule in (*numbers.RULES, *players.RULES, *slopes.RULES):
            findings += list(rule(trace))
    if any(f.name == "not-finite" for f in findings):  # what follows from it is no news
        findings = [f for f in findings if f.name in ("stopped", "not-finite", "data-range")]
    if any(f.name == "wrong-parameters" for f in findings):  # whose passes are of use is told by it
        findings = [f for f in findings if f.name != "fake-not-detached"]
    return sorted(findings, key=lambda f: (f.level != FAULT, ORDER.index(f.name) if f.name in ORDER else len(ORDER)))


def _about(trace: Trace) -> list[str]:
    """A line on what was seen: players, optimisers, how many steps; none where there was nothing to see."""
    roles = trace.roles
    words = [f"{role} {', '.join(names)}" for role in ("generator", "critic") if (names := trace.named(role))]
    rest = [n for n in trace.networks if not roles[n] and any(c.network == n for c in trace.of(Call))]
    moves = dict.fromkeys(m.optimiser for m in trace.of(Move))
    if not words and not rest and not moves:
        return []
    return [f"{trace.rounds} steps: {'; '.join([*words, *rest])}; optimisers {', '.join(moves) or 'none'}"]


# What to look at.


def _run_folder(text: str) -> Path | None:
    path = Path(text)
    if (path / "training_options.json").is_file() or (path / "stats.jsonl").is_file():
        return path
    if text == "latest":
        folders = sorted(p.parent for p in Path("runs").glob("*/training_options.json"))
        if not folders:
            raise ValueError("doctor: there is no run in runs/; name a run's folder, or file.py:function")
        return folders[-1]
    if path.is_dir():
        raise ValueError(f"doctor: {path} is no run: it has no training_options.json and no stats.jsonl")
    return None


def _function(target: Any) -> tuple[Any, str, Callable]:
    """(module, name, function) of what is to be looked at."""
    if not isinstance(target, (str, os.PathLike)):
        if not callable(target):
            raise ValueError(f"doctor: {target!r} cannot be called; give a function that makes one training step")
        name = getattr(target, "__qualname__", None) or getattr(target, "name", None) or type(target).__name__
        return sys.modules.get(getattr(target, "__module__", "") or ""), name, target
    text = str(target)
    if _user_code.is_name(text):
        module, name, value = _user_code.load(text)
    else:
        module = _user_code.load_module(text)
        name = next((n for n in NAMES if callable(getattr(module, n, None))), "")
        if not name:
            raise ValueError(f"doctor: {text} has none of {', '.join(NAMES)}; write {text}:function")
        value = getattr(module, name)
    if isinstance(value, type) or not callable(value):
        raise ValueError(f"doctor: {name} is no function; name one that makes a training step")
    return module, name, value


def _arguments(
    module: Any, name: str, function: Callable, args: tuple, kwargs: dict
) -> Callable[[], tuple[tuple, dict]]:
    """The arguments for each call."""
    import inspect

    inputs = getattr(module, f"{name}_inputs", None)
    if args or kwargs:
        return lambda: (args, kwargs)
    if inputs is not None:
        return lambda: (tuple(inputs() if callable(inputs) else inputs), {})
    if hasattr(function, "callback"):
        return lambda: ((), {})
    parameters = inspect.signature(function).parameters.values()
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in plain]
    missing = [n for n in needed if not hasattr(module, n)]
    if missing:
        raise ValueError(
            f"doctor: {name} asks for {', '.join(missing)}; put {name}_inputs = lambda: (...) beside it, a tuple of its"
            " arguments"
        )
    return lambda: (tuple(getattr(module, n) for n in needed), {})


def _uses_torch(module: Any, function: Callable) -> bool:
    """Whether the step's own modules are PyTorch's."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    values: Iterable[Any] = [v for _, v in names_in_sight(function)] + list(vars(module).values() if module else [])
    return any(isinstance(v, (torch.nn.Module, torch.optim.Optimizer)) for v in values) or any(
        v is torch for v in values
    )
