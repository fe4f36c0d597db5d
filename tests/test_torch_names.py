"""`minigan.torch_names` tells the truth: its list is PyTorch's, and what it says exists can be used."""

import pytest
from torch_names import PLACE, text

import minigan as mg
from minigan import _torch_names as names

ROWS = {f"{row.place}.{row.name}": row for row in names.names()}


def test_the_list_is_that_of_the_installed_torch():
    pytest.importorskip("torch")
    assert PLACE.read_text() == text(), "PyTorch has other names; run: python tests/support/torch_names.py"


def test_what_exists_can_be_called():
    existing = [row for row in ROWS.values() if row.status in ("same", "differs")]
    assert len(existing) > 300
    for row in existing:
        value = getattr(names.ours(names.PLACES[row.place]), row.name)
        attribute = row.place == "torch.Tensor"  # a property or slot
        assert callable(value) or attribute, f"{row.place}.{row.name} is {value!r}"


@pytest.mark.parametrize("full", sorted({*names.DIFFERS, *names.ELSEWHERE}))
def test_notes_are_about_names_that_there_are(full):
    row = ROWS[full]
    if full in names.DIFFERS:
        assert row.status == "differs", f"{full} has a note and is {row.status}"
    else:
        owner, _, name = names.ELSEWHERE[full].rpartition(".")
        assert row.status != "missing" and hasattr(names.ours(owner), name)


def test_missing_is_missing():
    for row in ROWS.values():
        if row.status == "missing":
            assert not hasattr(names.ours(names.PLACES[row.place]), row.name)


def test_it_prints(capsys):
    mg.torch_names("torch.optim.S")
    out = capsys.readouterr().out
    assert "torch.optim: 1 of" in out and "differs: SGD: without " in out and "missing: " in out
    mg.torch_names("Tensor.clamp_")
    assert "x.clamp(...)` is recorded" in capsys.readouterr().out
