"""What each rule brings: tables by name, contestants that differ in one thing, and nothing left changed afterwards."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from minigan import kernels
from minigan.bench import rules
from minigan.cli import main
from minigan.kernels import fast
from minigan.kernels.fast import gemm, micro
from tests.support.machine_code import MASKED_STORE, WHOLE_STORE, Code

FACTS = {"processor": "Chip", "instructions": "AVX2", "cores": 2, "threads": 2, "versions": {}, "load": []}


@pytest.mark.skipif(not fast.lanes(), reason="no micro-kernel here")
def test_masked_stores_are_masked():
    """Within, the tile of the last columns is every tile; afterwards all is as before."""
    before = micro._Tile.whole, gemm._driver
    with rules.masked_stores():
        masked = Code.of(micro.stepped_tile, (8, 2, 6), "AVX2")
        assert gemm._driver(fast.lanes(), True) is not before[1](fast.lanes(), True)
    assert (micro._Tile.whole, gemm._driver) == before
    plain = Code.of(micro.stepped_tile, (8, 2, 6), "AVX2")
    assert masked.count(WHOLE_STORE) < plain.count(WHOLE_STORE) and masked.count(MASKED_STORE) >= 12


def test_a_prepared_product_packs_its_weights_once():
    """Where B is the weights, the packing is not among the calls; where it is not, it is."""
    a, b = (np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32) for _ in range(2))
    c = np.empty_like(a)
    once, each = rules.Prepared(b), rules.Prepared(np.empty(0, np.float32))
    for prepared in (once, each):
        kernels.matmul.matmul(a, b, c, work=prepared)
        c[:] = 0
        prepared()
        np.testing.assert_allclose(c, a @ b, atol=1e-3)
    if fast.lanes():
        assert len(each.calls) == len(once.calls) + 1


def test_the_command(tmp_path, monkeypatch):
    """Every table under its title, in a file too, with the load after each."""
    monkeypatch.setattr(rules, "TABLES", {"roof": lambda n: {"peak": 100.0 * n}, "step, ms": lambda n: {"eager": 7.5}})
    monkeypatch.setattr(rules, "machine", lambda names, threads: {**FACTS, "load": []})
    result = CliRunner().invoke(main, ["bench", "rules", "--threads", "3", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "peak" in result.output and "300" in result.output and "step, ms" in result.output
    figures = json.loads((tmp_path / "out" / "bench-rules.json").read_text())
    assert figures["step, ms"] == {"eager": 7.5} and len(figures["machine"]["load"]) == 2
