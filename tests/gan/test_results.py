"""The results page: rows trained and judged, small pictures, an interrupted build that goes on."""

import json

import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.gan import results
from minigan.gan.systems import table as systems
from minigan.gan.systems.system import CLASSES


def test_a_page_is_built_and_built_again(tmp_path, monkeypatch):
    """The second call trains nothing anew; the page names command, figures of each seed and paper."""
    monkeypatch.chdir(tmp_path)
    command = ["results", "dcgan", "--steps", "2", "--seeds", "2", "--json"]
    monkeypatch.setitem(results.ROWS, "dcgan", results.Row("dcgan", CLASSES, {"base": 4, "batch_size": 8}))
    outputs = [CliRunner().invoke(main, command) for _ in range(2)]
    assert all(result.exit_code == 0 for result in outputs), outputs[0].output
    first, second = (json.loads(result.stdout.splitlines()[-1])[0] for result in outputs)
    assert first["shown"] == second["shown"] and len(first["shown"]) == 2 and first["figures"][0] != first["figures"][1]
    page = (tmp_path / "RESULTS.md").read_text()
    assert "`minigan train dcgan --base 4 --batch-size 8 --steps 2`" in page and "Radford et al. 2016" in page
    picture = tmp_path / "pictures" / f"{first['name']}.png"
    assert picture.read_bytes()[:4] == b"\x89PNG" and picture.stat().st_size <= results.PICTURE_BYTES
    assert f"pictures/{picture.name}" in page


def test_every_row_is_a_system_with_options_it_takes():
    for row in results.ROWS.values():
        assert systems.options_for(row.system, **row.changes)
        assert row.shows.count("{") >= 1


def test_an_unknown_row_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'dcgan'"):
        results.rows(["dcgn"])
