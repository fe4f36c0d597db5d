"""The house stands on its own floors: a package or file imports only what stands before it in `FLOORS`.

A package is one entry, so a new file in a package needs none. Inside a package there is no order to keep, but no
circle either.
"""

import ast
from pathlib import Path

import pytest

import minigan

ROOT = Path(minigan.__file__).parent
CHECKOUT = ROOT.parent

FLOORS = [
    *(
        "kernels",
        "_terminal",
        "_html",
        "_user_code",
        "cudasim",
        "backend",
        "_cuda",
        "_modes",
        "_array",
        "_errors",
        "_hooks",
        "autograd",
    ),
    *("ops", "methods", "creation", "_inplace", "_numpy", "functional", "_linalg"),
    *("_derivatives", "_recompute", "nn", "optim"),
    "capture",
    *("_files", "data", "checkpoint", "_storage", "_torch_names", "viz"),
    *("gan.losses", "gan.penalties", "gan.steps", "gan.tricks", "gan.augment", "gan.stopping"),
    *("gan.theory", "gan.networks", "gan.metrics"),
    *("gan.options", "gan._state", "gan.players", "gan.parts", "gan.lockstep"),
    *("gan.train", "gan.systems", "gan._dry_run"),
    *("gan.records", "gan.bands", "gan.restart", "gan._stopper", "gan.status", "gan.writing", "gan.disk"),
    *("gan.listener", "gan.run"),
    *("parallel", "scaling", "gan.latents"),
    *("gan.tables", "gan.results", "gan.toy", "gan.compare", "lab"),
    *("profiler", "export", "report", "watch", "testing", "gan.diagnosis", "learn", "torture", "bench", "docs", "cli"),
]
FACES = {"", "gan", "assets", "_doors", "_starting", "__main__"}
"""What may import from any floor, or imports nothing: the faces of the packages, data, old names, declarations for
type checkers, `python -m`."""

# Loaded when first needed, so that `import minigan` stays quick and runs without them.
LAZY = {"numba", "scipy", "matplotlib", "PIL", "click", "tqdm", "safetensors", "torch", "hypothesis"}
LAZY |= {"onnx", "onnxruntime", "tensorboardX", "mpi4py", "markdown"}
HEAVY_ALLOWED = {"cli": {"click"}, "testing.strategies": {"hypothesis"}, "bench.in_torch": {"torch"}}
HEAVY_ALLOWED |= {"bench.recipe_torch": {"torch"}, "bench.roof": {"numba"}}


def modules() -> dict[str, Path]:
    """Dotted name inside the package -> file; a package goes by its own name."""
    files = [p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0] not in ("kernels", "examples")]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip("."): p for p in files}


MODULES = modules()


def imports(path: Path, name: str) -> set[str]:
    """Modules of the package that a file imports, anywhere in it, by dotted name inside the package ("" the face);
    others with a leading '/'."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    targets = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            members = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = node.module or ""
            if node.level:
                base = [p for p in package if p][: len(package) - (node.level - 1)]
                prefix = ".".join(["minigan", *base, *([node.module] if node.module else [])])
            members = [(prefix, alias.name) for alias in node.names]
        else:
            continue
        for module, member in members:
            if module.split(".")[0] != "minigan":
                targets.add("/" + module.split(".")[0])
                continue
            inner = module.removeprefix("minigan").lstrip(".")
            deeper = f"{inner}.{member}".lstrip(".") if member else inner
            targets.add(deeper if deeper in MODULES or deeper.split(".")[0] == "kernels" else inner)
    return targets


def floor(dotted: str) -> str | None:
    """The entry of FLOORS that a dotted name lies in."""
    parts = dotted.split(".")
    return next((c for n in range(len(parts), 0, -1) if (c := ".".join(parts[:n])) in FLOORS), None)


def test_every_file_has_a_floor():
    lost = sorted(name for name in MODULES if name not in FACES and floor(name) is None)
    assert not lost, (
        f"{', '.join(lost)}: in no entry of FLOORS (tests/test_layers_order.py). Put the file into the package of its"
        " subject (docs/adding.md says which); only a new package gets an entry, after all that it imports"
    )
    gone = sorted(entry for entry in FLOORS if entry != "kernels" and entry not in MODULES)
    assert not gone, f"{', '.join(gone)}: in FLOORS, but not in the package; take it out"


@pytest.mark.parametrize("name", sorted(set(MODULES) - FACES))
def test_imports_go_up_only(name):
    own = floor(name)
    later = FLOORS[FLOORS.index(own) + 1 :]
    targets = imports(MODULES[name], name)
    wrong = sorted(t for t in targets if floor(t) in later)
    assert not wrong, (
        f"{name} imports {', '.join(wrong)}, which stand on a later floor than {own}. Move what both need to an earlier"
        " floor, or pass it in as an argument"
    )
    if own not in ("cli", "bench"):  # the bench uses minigan as a user does, the command says its version
        assert "" not in targets, f"{name} imports the package's face; import the room instead"


def test_no_circle_inside_a_package():
    """Nor between a package's face and its files: a file imports its neighbours by their own names."""
    arrows = {
        name: {t for t in imports(path, name) if t in MODULES and t != name and floor(t) == floor(name)}
        for name, path in MODULES.items()
        if name not in FACES
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle of imports: {' -> '.join((*way[way.index(name) :], name))}"
        if name not in done:
            for target in sorted(arrows.get(name, ())):
                visit(target, (*way, name))
            done.add(name)

    for name in arrows:
        visit(name, ())


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


@pytest.mark.parametrize("name", sorted(MODULES))
def test_heavy_packages_are_imported_inside_functions(name):
    tree = ast.parse(MODULES[name].read_text())
    top = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    packages = {(a.name if isinstance(n, ast.Import) else n.module or "").split(".")[0] for n in top for a in n.names}
    allowed = HEAVY_ALLOWED.get(name, set()) | HEAVY_ALLOWED.get(name.split(".")[0], set())
    assert not packages & LAZY - allowed


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("from ..nn import Linear", "ops.basic", {"nn"}),
        ("from .. import nn, optim", "ops.basic", {"nn", "optim"}),
        ("def f():\n    from ..cli import main", "gan.losses", {"cli.main"}),
        ("from .shape import cat", "ops.basic", {"ops.shape"}),
        ("from ...ops.shape import cat", "gan.systems.table", {"ops.shape"}),
        ("import minigan.gan.train", "data.sets", {"gan.train"}),
        ("from minigan import kernels", "ops.act", {"kernels"}),
        ("from minigan.kernels.geometry import ConvGeometry", "ops.conv", {"kernels.geometry.ConvGeometry"}),
        ("import minigan as mg", "data.sets", {""}),
        ("from .. import __version__", "cli.main", {""}),
        ("import numpy as np", "data.sets", {"/numpy"}),
    ],
)  # fmt: skip
def test_the_rule_can_see_each_way_of_importing(tmp_path, source, name, expected):
    path = tmp_path / "module.py"
    path.write_text(source)
    assert imports(path, name) == expected
