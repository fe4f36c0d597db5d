"""What was added is known everywhere: each test names the place that was forgotten (minigan/docs/adding.md)."""

import json
import re
from pathlib import Path

import pytest

import minigan
from minigan import data, functional, methods
from minigan.autograd import Tensor
from minigan.gan.losses import LOSSES
from minigan.gan.penalties import PENALTIES
from minigan.gan.results import ROWS
from minigan.gan.systems import SYSTEMS
from minigan.testing.opdb import TABLE

ROOT = Path(minigan.__file__).resolve().parent.parent
DOCS = ROOT / "minigan" / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def names_in_code(text: str) -> set[str]:
    """The words in backticks, each apart."""
    return {word for code in re.findall(r"`([^`]+)`", text) for word in re.split(r"[\s,]+", code)}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_an_example_a_page_and_a_result(name):
    line = next((line for line in page("systems").splitlines() if line.startswith("|") and f"`{name}`" in line), None)
    assert line, f"system {name!r}: no row of the table in minigan/docs/systems.md names it"
    numbers = re.findall(r"\b\d\d\b", line.rsplit("|", 2)[1])
    files = [path for n in numbers for path in (ROOT / "examples").glob(f"{n}_*.py")]
    assert files and len(files) == len(numbers), (
        f"system {name!r}: its row in systems.md names no example, or one that is not"
    )
    assert any(row.system == name for row in ROWS.values()), f"system {name!r}: `results` of its System is empty"


@pytest.mark.parametrize("name", ROWS)
def test_a_result_is_on_the_page_of_results(name):
    text = (ROOT / "examples" / "RESULTS.md").read_text()
    assert f"pictures/{name}.png" in text, f"result {name!r} is not in examples/RESULTS.md: run  minigan results {name}"
    assert (ROOT / "examples" / "pictures" / f"{name}.png").exists(), f"result {name!r}: its picture is missing"


def test_every_file_of_systems_is_in_the_table():
    """A trainer that no row trains was forgotten in systems/table.py."""
    from minigan.gan.train import Trainer

    def leaves(kind):
        return [kind] if not kind.__subclasses__() else [leaf for k in kind.__subclasses__() for leaf in leaves(k)]

    for path in (ROOT / "minigan" / "gan" / "systems").glob("*.py"):
        __import__(f"minigan.gan.systems.{path.stem}")
    used = {row.trainer for row in SYSTEMS.values()}
    lost = [k.__qualname__ for k in leaves(Trainer) if k.__module__.startswith("minigan.") and k not in used]
    assert not lost, f"{lost}: no row of SYSTEMS trains it; list its System in minigan/gan/systems/table.py"


@pytest.mark.parametrize("name", [*LOSSES, *PENALTIES])
def test_a_loss_is_on_its_page(name):
    words = names_in_code(page("losses-and-games")) | set(re.findall(r"[\w+-]+", page("losses-and-games")))
    assert name in words, f"{name!r} is not on minigan/docs/losses-and-games.md"


@pytest.mark.parametrize("name", data.DATASETS)
def test_a_data_set_is_on_its_page(name):
    assert re.search(rf"\b{name}\b", page("data")), f"data set {name!r} is not on minigan/docs/data.md"


@pytest.mark.parametrize("op", sorted({case.op for case in TABLE.values()}))
def test_a_row_of_the_op_table_is_public(op):
    """That every public op has a row is tests/ops/test_completeness.py's."""
    assert op in {*methods.PUBLIC, *functional.__all__, *INTERNAL, *COMPOSED} or hasattr(Tensor, op), (
        f"op {op!r} is in the op table and in no face: name it in minigan/methods.py or minigan/functional.py, or in"
        " INTERNAL here where only derivatives use it"
    )


INTERNAL = {
    "spread",
    *("batch_norm_grad", "batch_norm_grad_grad", "conv_input", "conv_weight", "index_add"),
    *("leaky_relu_grad", "pow_slope", "standardise_grad", "tanh_grad", "unmirror"),
}
"""Ops that only other ops' derivatives use."""
COMPOSED = {"augment", "batch_norm_across"}
"""Rows of functions that are composed of ops, and whose derivatives of any order a system needs: gan/augment.py,
ops/across.py."""


FAMILIES = {"conv_tiles": "conv"}
"""Files of further kernels for a family's functions."""


@pytest.mark.parametrize("path", sorted((ROOT / "kernels").glob("*.cu")), ids=lambda p: p.stem)
def test_a_cuda_kernel_has_its_twin_its_launcher_and_its_figures(path):
    family = FAMILIES.get(path.stem, path.stem)
    for other, what in (
        (path.with_name(f"{family}.py"), "Numba twin"),
        (path.parent / "cuda" / f"{family}.py", "launcher"),
    ):
        assert other.exists(), f"{path.name}: its {what} {other.relative_to(ROOT)} is missing"
    expected = json.loads((ROOT / "tests" / "kernels" / "cuda" / "expected.json").read_text())
    kernels = re.findall(r"__global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)", path.read_text())
    text = json.dumps(expected)
    lost = [name for name in kernels if name not in text]
    assert kernels and not lost, f"{path.name}: {lost} not in expected.json: python -m minigan.cudasim.gate --write"
