"""Where a step spends its time: a timed step is a step, every loop is counted once, and what is left is outside."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from worlds import WORLD

from minigan.bench import breakdown
from minigan.cli import main
from minigan.gan.systems.table import options_for, trainer_for

now = [0.0]


def work(seconds):
    now[0] += seconds


def rest(seconds):
    now[0] += seconds


def small(capture: bool):
    return trainer_for(options_for("dcgan", size=16, batch_size=4, base=4, latent=4, capture=capture), WORLD)


@pytest.mark.parametrize("capture", [True, False])
def test_a_timed_step_is_a_step(capture):
    """Weights, averages and figures after it are those of a plain step, and its plans are left as they were."""
    plain, timed = small(capture), small(capture)
    for _ in range(2):
        plain.step()
        timed.step()
    times = breakdown._timed_step(timed)
    plain.step()
    assert plain.step() == timed.step()
    assert timed.steps_done == plain.steps_done
    for (name, a), (_, b) in zip(plain.state()[0].items(), timed.state()[0].items(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert {"optimizer.Optimizer._update", "average.WeightAverage._move"} <= set(times)
    assert all(seconds > 0 for seconds in times.values())


def test_every_loop_is_counted(monkeypatch):
    """By a clock that each loop moves on: 1 + 2 seconds of one kernel, 4 of another."""
    monkeypatch.setattr(breakdown.time, "perf_counter", lambda: now[0])
    plan = SimpleNamespace(calls=[(work, (1.0,)), (rest, (4.0,)), (work, (2.0,))])
    before, times = plan.calls, {}
    with breakdown._timed([plan], times):
        for function, arguments in plan.calls:
            function(*arguments)
            work(8.0)  # outside of the plan
    assert sorted(times.values()) == [3.0, 4.0]
    assert plan.calls is before


def test_the_rest_is_outside(monkeypatch):
    """Of a step of 10 seconds whose kernels take 6 and 3, a tenth is outside."""
    now = [0.0]
    trainer = SimpleNamespace(step=lambda: now.__setitem__(0, now[0] + 10.0), half_steps=lambda: [])
    monkeypatch.setattr(breakdown, "trainer_for", lambda *_: trainer)
    monkeypatch.setattr(breakdown.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(breakdown, "_timed_step", lambda _: {"a": 3.0, "b": 6.0})
    figures = breakdown.breakdown("gan", 3)
    assert figures["step"] == 10 and figures["outside"] == pytest.approx(0.1)
    assert list(figures["kernels"].items()) == [("b", 6.0), ("a", 3.0)]
    assert "10.0%  outside of kernels" in breakdown.text(figures)


def test_from_the_terminal():
    result = CliRunner().invoke(main, ["bench", "--system", "ae", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])["ae"]
    assert sum(figures["kernels"].values()) > 0 and figures["captured"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--system", "dcgna"], "dcgan"),
        (["--system", "gan", "--ops"], "leave out"),
        (["critic", "--system", "gan"], "leave out"),
    ],
)
def test_what_does_not_fit(words, message):
    result = CliRunner().invoke(main, ["bench", *words])
    assert result.exit_code == 2 and message in result.output
