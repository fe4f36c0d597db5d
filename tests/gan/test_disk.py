"""What a run says that its folder will hold, and how fast it goes."""

from types import SimpleNamespace

import pytest

from minigan.gan import disk, status
from minigan.gan.records import OPTIONS


@pytest.mark.parametrize(
    ("count", "words"), [(999, "999 B"), (1000, "1.0 kB"), (12_345, "12 kB"), (1.5e6, "1.5 MB"), (2e9, "2.0 GB")]
)
def test_sizes_are_in_powers_of_a_thousand(count, words):
    assert disk.size(count) == words


def test_a_checkpoint_more_than_stay_is_on_the_disk(tmp_path, monkeypatch):
    """While the next one is written: two of 1 GB that stay are three."""
    trainer = SimpleNamespace(run_options=SimpleNamespace(keep=2), options=SimpleNamespace(size=8))
    monkeypatch.setattr(disk, "checkpoint_bytes", lambda trainer: 10**9)
    monkeypatch.setattr(disk, "free", lambda folder: None)
    line = disk.foretold(tmp_path, trainer, (8, 8, 1), images=4, snaps=9, rows=4)
    assert line.startswith("the folder will hold 3.0 GB at most: 2 checkpoints of 1.0 GB, 11 sheets of samples")


def test_the_pace_is_that_of_late(tmp_path, monkeypatch):
    """Ten steps in ten seconds, then ten in twenty: 2 s a step."""
    now = iter((100.0, 200.0, 300.0))
    monkeypatch.setattr(status.time, "monotonic", lambda: next(now))
    (tmp_path / OPTIONS).write_text("{}")
    heart = status.Heartbeat(tmp_path)
    for step, seconds in ((10, 10.0), (20, 30.0)):
        heart.beat("training", "", step, 40, seconds, 0)
    assert status.read_status(tmp_path).seconds_per_step == 2.0
