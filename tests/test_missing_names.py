"""A module that loads its parts by name has no others: `hasattr` says no, and nothing else is raised. pickle asks every
module that is loaded for the name of a function whose own module it does not know; torch.compile pickles so."""

import importlib
import pickle
import pkgutil
import sys

import pytest

import minigan

LAZY = ["minigan", "minigan.kernels", "minigan.kernels.cuda", "minigan.linalg"]


@pytest.mark.parametrize("name", LAZY)
def test_an_unknown_name_is_an_attribute_error(name):
    for missing in ("torch", "nowhere", "__wrapped__"):
        module = importlib.import_module(name) if name != "minigan.linalg" else minigan.linalg
        with pytest.raises(AttributeError):
            getattr(module, missing)


def test_all_lazy_modules_are_listed():
    rooms = [m.name for m in pkgutil.walk_packages(minigan.__path__, "minigan.") if not m.name.endswith("__main__")]
    loaded = [sys.modules.get(name) for name in rooms]
    lazy = {module.__name__ for module in loaded if module is not None and "__getattr__" in vars(module)}
    assert len(rooms) > 100 and lazy <= {*LAZY, "minigan._linalg"}


def _of_no_module(x):
    return x


def test_a_function_of_no_module_is_looked_for_everywhere(monkeypatch):
    for name in LAZY[:3]:
        importlib.import_module(name)
    monkeypatch.setattr(_of_no_module, "__module__", None)
    assert pickle.loads(pickle.dumps(_of_no_module)) is _of_no_module
