"""Import names that lead elsewhere, to the same object: `import minigan.init`, from before it had its present place, is
`minigan.nn.init`; and torch's, as `import minigan.linalg`.

`DOORS` is the whole list. `open_doors` puts one finder at the end of Python's search, so that nothing is loaded before
somebody asks for it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

DOORS = {
    "init": "nn.init",
    "nn.functional": "functional",
    "module": "nn.module",
    "cuda": "_cuda",
    "linalg": "_linalg",
    "gradcheck": "testing.gradcheck",
    "strategies": "testing.strategies",
    "opcase": "testing.opcase",
    "opdb": "testing.opdb",
    "certificate": "testing.certificate",
    "archives": "data.archives",
    "download": "data.download",
    "gan.games": "gan.theory.games",
    "gan.divergences": "gan.theory.divergences",
    "gan.fgan": "gan.theory.fgan",
    "gan.classifier": "gan.metrics.classifier",
    "gan.attributes": "gan.metrics.attributes",
    "gan.distances": "gan.metrics.distances",
    "gan.resnets": "gan.networks.resnet",
    "gan.perceptrons": "gan.networks.mlp",
    "gan.heads": "gan.networks.heads",
    "gan.translators": "gan.networks.translators",
    "gan.conditional": "gan.systems.conditional",
    "gan.ebgan": "gan.systems.ebgan",
    "gan.infogan": "gan.systems.infogan",
    "gan.cyclegan": "gan.systems.cyclegan",
    "gan.stargan": "gan.systems.stargan",
    "gan.toydata": "gan.toy.data",
    "gan.toynets": "gan.toy.networks",
    "gan.scoreboard": "gan.toy.scoreboard",
    "gan.paths": "gan.latents",
    "gan.traverse": "gan.latents",
}
"""Name inside minigan -> where it is now."""


class _Doors(MetaPathFinder, Loader):
    def __init__(self, package: str) -> None:
        self.targets = {f"{package}.{name}": f"{package}.{place}" for name, place in DOORS.items()}

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self.targets else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.targets[spec.name])
        self._own = module.__spec__  # the import system is about to write `spec` there
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


def open_doors(package: str) -> None:
    """From now on the names of DOORS can be imported."""
    if not any(isinstance(finder, _Doors) for finder in sys.meta_path):
        sys.meta_path.append(_Doors(package))
