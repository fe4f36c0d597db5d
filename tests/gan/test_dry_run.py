"""What `minigan train -n` says a run takes: a step without its compiling, durations in their own unit, milliseconds."""

from types import SimpleNamespace

import pytest

from minigan.gan import _dry_run
from minigan.gan.systems.table import options_for


def test_the_step_that_compiles_does_not_count(monkeypatch):
    """By a clock on which the first of three steps takes 1 s, the others 3 and 2."""
    now, seconds = [0.0], iter((1.0, 3.0, 2.0))

    def feed():
        now[0] += next(seconds)

    gradients = {"objective": SimpleNamespace(item=lambda: 0.0)}
    player = SimpleNamespace(gradients=lambda: gradients, move=lambda: None)
    trainer = SimpleNamespace(half_steps=lambda: [SimpleNamespace(feed=feed, player=player)])
    monkeypatch.setattr(_dry_run.time, "perf_counter", lambda: now[0])
    assert _dry_run._seconds(trainer) == 2.0


@pytest.mark.parametrize(
    ("seconds", "words"), [(89, "89 s"), (90, "2 min"), (900, "15 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_a_duration_is_in_its_own_unit(seconds, words):
    assert _dry_run._duration(seconds) == words


def test_a_run_s_time_is_that_of_its_steps():
    figures = {"networks": {}, "parameters": {}, "seconds_per_step": 0.25, "peak_memory_mib": 2048.0}
    lines = _dry_run.text(options_for("dcgan", steps=400), figures)
    assert "about 2 min here for 400 steps of 250 ms; peak memory of this process 2,048 MiB" in lines
