"""The house stands on its own floors: a module imports only what stands above it in this list."""

import ast
from pathlib import Path

import pytest

import minigan

ROOT = Path(minigan.__file__).parent
CHECKOUT = ROOT.parent

LAYERS = [
    "kernels",
    "cudasim.source",
    "cudasim.build",
    "cudasim.parameter",
    "cudasim.checked",
    "cudasim.module",
    "cudasim.cupy_names",
    "cudasim.standin_array",
    "cudasim.standin",
    "cudasim.nvrtc",
    "cudasim.gate",
    "cudasim.trial",
    "cudasim.mutate",
    "cudasim.launch_time",
    "cudasim.spec",
    "backend",
    "autograd",
    "ops_basic",
    "ops_shape",
    "ops_reduce",
    "ops_matmul",
    "ops_conv",
    "ops_norm",
    "ops_act",
    "methods",
    "creation",
    "functional",
    "init",
    "module",
    "program",
    "fusion",
    "graph",
    "plan",
    "capture",
    "nn",
    "optim",
    "data_sets",
    "archives",
    "download",
    "data_folder",
    "data_sources",
    "data",
    "checkpoint",
    "viz",
    "gradcheck",
    "opcase",
    "optable_elementwise",
    "optable_shape",
    "optable_reduce",
    "optable_conv",
    "optable_nn",
    "optable_losses",
    "opdb",
    "strategies",
    "gan.losses",
    "gan.penalties",
    "gan.steps",
    "gan.tricks",
    "gan.divergences",
    "gan.games",
    "gan.fgan",
    "gan.networks",
    "gan.resnets",
    "gan.perceptrons",
    "gan.heads",
    "gan.pairs",
    "gan.alike",
    "gan.translators",
    "gan.toydata",
    "gan.toynets",
    "gan.classifier",
    "gan.attributes",
    "gan.distances",
    "gan.metrics",
    "gan.options",
    "gan.train",
    "gan.ebgan",
    "gan.conditional",
    "gan.partition",
    "gan.infogan",
    "gan.cyclegan",
    "gan.stargan",
    "gan.systems",
    "gan.run",
    "gan.traverse",
    "gan.results",
    "gan.paths",
    "gan.toy",
    "gan.toyviz",
    "gan.toyrun",
    "gan.scoreboard",
    "certificate",
    "bench.workloads",
    "bench.in_minigan",
    "bench.in_torch",
    "bench.in_tensorflow",
    "bench.in_jax",
    "bench.ops",
    "bench.device",
    "bench.worker",
    "bench.run",
    "bench.accuracy",
    "bench.rules",
    "bench.report",
    "cli_data",
    "cli_docs",
    "cli_interpolate",
    "cli_traverse",
    "cli_translate",
    "cli",
    "__main__",
]
# The face of the package re-exports; it may name any floor. `gan` is the package of the rooms gan.*, assets holds data
# only.
FACES = {"__init__", "gan.__init__", "bench.__init__", "cudasim.__init__"}

# Loaded when first needed, so that `import minigan` stays quick and runs without them.
LAZY = {"numba", "scipy", "matplotlib", "PIL", "click", "tqdm", "safetensors", "torch", "hypothesis"}
HEAVY_ALLOWED = {
    "cli": {"click"},
    "cli_data": {"click"},
    "cli_docs": {"click"},
    "cli_interpolate": {"click"},
    "cli_translate": {"click"},
    "cli_traverse": {"click"},
    "strategies": {"hypothesis"},
    "bench.in_torch": {"torch"},
}


def modules() -> dict[str, Path]:
    """Dotted name inside the package -> file. The pages' hooks.py is a part of mkdocs's configuration."""
    found = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in ROOT.rglob("*.py")}
    return {name: p for name, p in found.items() if not name.startswith(("kernels", "examples", "docs"))}


def imports(path: Path, name: str) -> set[str]:
    """Modules of the package that a file imports, anywhere in it, by dotted name inside the package; others with a
    leading '/'."""
    package = name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - (node.level - 1)]
                prefix = ".".join(["minigan", *base, *([node.module] if node.module else [])])
            else:
                prefix = node.module
            targets = [(prefix, alias.name) for alias in node.names]
        else:
            continue
        for module, member in targets:
            if module.split(".")[0] != "minigan":
                found.add("/" + module.split(".")[0])
                continue
            inner = module.removeprefix("minigan").lstrip(".")
            deeper = f"{inner}.{member}".lstrip(".") if member else inner
            found.add(floor(deeper) or floor(inner) or "__init__")
    return found


def floor(dotted: str) -> str | None:
    """The entry of the list that a dotted name lies in."""
    parts = dotted.split(".")
    return next((c for n in range(len(parts), 0, -1) if (c := ".".join(parts[:n])) in LAYERS), None)


def test_the_list_is_complete():
    assert set(LAYERS) | FACES == set(modules()) | {"kernels"}
    assert len(set(LAYERS)) == len(LAYERS)


@pytest.mark.parametrize("name", sorted(set(modules()) - FACES))
def test_imports_go_up_only(name):
    below = set(LAYERS[LAYERS.index(name) :])
    made = imports(modules()[name], name)
    assert not made & below, f"{name} imports {made & below}, which stand on its own floor or below"
    if name not in ("cli", "__main__") and not name.startswith("bench."):  # the bench uses minigan as a user does
        assert "__init__" not in made, f"{name} imports the package's face; import the room instead"


def test_kernels_import_nothing_of_the_engine():
    folder = CHECKOUT / "kernels" if (CHECKOUT / "kernels").is_dir() else ROOT / "kernels"
    files = list(folder.rglob("*.py"))
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert not node.level or node.module, f"{path}: import by full name"
                names = [node.module]
            for n in names:
                top = n.split(".")
                assert top[0] != "kernels", f"{path} imports a second copy of the kernels"
                assert top[0] != "minigan" or top[1:2] == ["kernels"], f"{path} imports {n}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_heavy_packages_are_imported_inside_functions(name):
    tree = ast.parse(modules()[name].read_text())
    top = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    found = {(a.name if isinstance(n, ast.Import) else n.module or "").split(".")[0] for n in top for a in n.names}
    assert not found & LAZY - HEAVY_ALLOWED.get(name, set())


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("from .nn import Linear", "ops_basic", {"nn"}),
        ("from . import nn, optim", "ops_basic", {"nn", "optim"}),
        ("def f():\n    from ..cli import main", "gan.losses", {"cli"}),
        ("import minigan.gan.train", "data", {"gan.train"}),
        ("from minigan import kernels", "ops_act", {"kernels"}),
        ("from minigan.kernels.geometry import ConvGeometry", "ops_conv", {"kernels"}),
        ("import minigan as mg", "data", {"__init__"}),
        ("from . import __version__", "cli", {"__init__"}),
        ("import numpy as np", "data", {"/numpy"}),
    ],
)  # fmt: skip
def test_the_rule_can_see_each_way_of_importing(tmp_path, source, name, expected):
    path = tmp_path / "module.py"
    path.write_text(source)
    assert imports(path, name) == expected
