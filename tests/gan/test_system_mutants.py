"""Every mistake of support/mutants_systems.py is noticed by the test that is named beside it.

The tests are run here by hand, for each of their parameters, with the mistake in the running code.
"""

import importlib.util
import inspect
import itertools
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from mutants_systems import MUTANTS
from source_mutants import applied

NOTICED = (AssertionError, ValueError, TypeError, RuntimeError, AttributeError, IndexError, pytest.fail.Exception)


@cache
def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mutated_{Path(path).name}", Path(__file__).parent / f"{path}.py")
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    return tests


def calls(test) -> list[dict]:
    """The arguments of each of a test's parametrisations."""
    sets = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            names = [n.strip() for n in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
            rows = [(row,) if len(names) == 1 else row for row in mark.args[1]]
            sets.append([dict(zip(names, row, strict=True)) for row in rows])
    return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*sets)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_noticed(mutant, request):
    path, _, name = mutant.killed_by.partition("::")
    test = getattr(module(path), name)
    fixtures = {
        name: request.getfixturevalue(name)
        for name in inspect.signature(test).parameters
        if not any(name in call for call in calls(test))
    }
    with applied(mutant):
        for call in calls(test):
            try:
                test(**call, **fixtures)
            except NOTICED:
                return
    pytest.fail(f"{mutant.where}: {mutant.what}: not noticed by {mutant.killed_by}")
