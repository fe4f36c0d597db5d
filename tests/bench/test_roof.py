"""The roof is one: its loop does nothing but multiply-adds, the best round counts, and it is held to the clock."""

import threading
import time

import numpy as np
import pytest

from minigan.bench import roof
from tests.support.machine_code import Code

LIMIT = roof.Roof(
    2, "AVX-512", 16, 2.5e9, 320e9, {"copy": 20e9, "triad": 24e9, "sum": 30e9}, {1 << 16: 200e9, 1 << 28: 24e9}
)


@pytest.mark.parametrize(("target", "lanes"), [("AVX2", 8), ("AVX-512", 16), ("NEON", 4)])
def test_the_loop_is_nothing_but_multiply_adds(target, lanes):
    """One instruction each, in registers; a count and a jump beside them."""
    count = roof.count_of(lanes)
    code = Code.of(roof.chains, (lanes, count), target)
    assert code.multiply_adds % count == 0 < code.multiply_adds
    assert code.spills == 0
    assert len(code.loop) <= code.multiply_adds + 3, code.loop


def test_enough_chains_wait_for_none():
    """Two units of four cycles each have eight vectors under way."""
    assert all(roof.count_of(lanes) >= 8 for lanes in (4, 8, 16))


class Clock:
    """A thousand turns take a second, and the calls of `slow` ten times as long."""

    def __init__(self, *slow: int) -> None:
        self.now, self.calls, self.slow = 0.0, 0, slow

    def run(self, turns: int) -> None:
        self.now += turns / 1000 * (10 if self.calls in self.slow else 1)
        self.calls += 1


@pytest.mark.parametrize("slow", [(), (1, 2, 3), range(1, 40, 2)])
def test_the_best_round_counts(slow, monkeypatch):
    """Whoever disturbs some of the rounds changes nothing."""
    clock = Clock(*slow)
    monkeypatch.setattr(roof.time, "thread_time", lambda: clock.now)
    assert roof._fastest([clock.run]) == pytest.approx(1000)


def test_threads_add_up(monkeypatch):
    """Two threads do twice the turns, in the time of the one that needs longer."""
    clocks = threading.local()

    def run(turns):
        clocks.now = getattr(clocks, "now", 0.0) + turns / 1000

    monkeypatch.setattr(roof.time, "thread_time", lambda: getattr(clocks, "now", 0.0))
    assert roof._fastest([run, run]) == pytest.approx(2000)


def test_rounds_are_long_enough(monkeypatch):
    """What beginning takes, a tenth of a millisecond, is lost in them, however short a turn."""
    now = [0.0]

    def run(turns):
        now[0] += 1e-4 + turns * 1e-7

    monkeypatch.setattr(roof.time, "thread_time", lambda: now[0])
    assert roof._fastest([run]) == pytest.approx(1e7, rel=0.05)


def test_a_roof_has_two_sides():
    """Seconds are those of the arithmetic or of the memory, whichever takes longer; small arrays lie in caches."""
    assert LIMIT.bandwidth == 24e9
    assert LIMIT.units == pytest.approx(320 / 2 / (2 * 16 * 2.5))
    assert LIMIT.seconds(320e9, 2 * (1 << 28)) == pytest.approx(1)
    assert LIMIT.seconds(1e9, 2 * (1 << 28)) == pytest.approx(2 * (1 << 28) / 24e9)
    assert LIMIT.moved(2 << 16) == 200e9 and LIMIT.moved(1) == 200e9
    assert LIMIT.moved(2 << 22) == pytest.approx(112e9)  # half-way between, of the logarithms of the sizes
    assert LIMIT.as_dict()["units"] == LIMIT.units


def test_the_passes_do_what_they_say():
    """copy, triad and sum on small arrays."""
    a, b, c = (np.full(64, value, np.float32) for value in (1, 2, 3))
    roof._sum(2, a, b, c)
    assert c[0] == 64
    roof._triad(1, a, b, c)
    assert (c == 2).all()
    roof._copy(1, a, b, c)
    assert (b == 1).all()


def test_a_turn_counts_all_that_it_does(monkeypatch):
    """Ten turns a second: a triad of 1,200 bytes reads and writes them all, vectors of 8 lanes are multiplied and added
    in 12 chains, and the chain of the clock has two operations."""
    monkeypatch.setattr(roof, "_fastest", lambda runs: 10.0)
    monkeypatch.setattr(roof, "lanes", lambda: 8)
    monkeypatch.setattr(roof, "_multiplying", lambda width: None)
    assert roof.stream("triad", 1200, 2) == roof.stream("copy", 1200, 2) == 12_000
    assert roof.multiply_adds(2) == 2 * 8 * 12 * 10 and roof.clock() == 20


@pytest.mark.slow
def test_the_measured_roof_is_plausible():
    """A whole number of vectors a cycle, near enough, and no product of BLAS above it."""
    rate, beat = roof.multiply_adds(1), roof.clock()
    units = rate / (2 * roof.lanes() * beat)
    assert 0.7 < units < 4.4
    a = np.ones((1024, 1024), np.float32)
    best = np.inf
    for _ in range(5):
        since = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - since)
    assert 2 * 1024**3 / best < 1.1 * roof.multiply_adds(2)
