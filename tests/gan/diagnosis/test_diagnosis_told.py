"""The sentences of the doctor, with numbers of G and D, reals and fakes, that all differ."""

from types import SimpleNamespace

import numpy as np
import pytest
from traces import traced

from minigan.gan.diagnosis import numbers, players, slopes
from minigan.gan.diagnosis.observer import Observer
from minigan.gan.diagnosis.runs import of_samples
from minigan.gan.diagnosis.trace import NOWHERE, Call, Inner, Move, Network, Pass, Trace


def test_a_penalty_of_the_wrong_sign_is_said_with_its_weight():
    """-10 E (|s| - 1)^2 over 6 samples: its slope by s is -20 / 6 (1 - 1 / |s|) s."""
    s = np.random.default_rng(0).standard_normal((6, 3))
    norms = np.linalg.norm(s, axis=1, keepdims=True)
    cotangent = -20 / 6 * (1 - 1 / norms) * s
    inner = Inner(0, NOWHERE, "D", 0, True, s, s, frozenset(), cotangent, (6,))
    (finding,) = slopes._form(inner)
    assert finding.name == "penalty-sign" and finding.evidence.endswith("its weight in the loss is -10")


def test_a_step_is_told_by_its_length_beside_the_weights():
    class Own(Observer):
        def __init__(self):
            self.pending, self.book = [], SimpleNamespace(add=lambda event: None, enough=lambda: None)

        def weights(self, p):
            return p

    move, before = Move(0, NOWHERE, "opt", "SGD", 0.1, {"G": 1.0}, 0), np.array([3.0, 4.0])
    Own().after_move(move, {"G": [1.2 * before]}, {"G": [before]}, [])
    assert move.moved["G"] == pytest.approx(0.2)


def sure_critic():
    trace = Trace("minigan", networks={name: Network(name, None) for name in "GD"})
    outputs = np.array([[0.998], [0.998], [0.002], [0.002]])
    call = Call(
        0, "D", "", NOWHERE, True, True, [], outputs, np.array([False, False, True, True]), frozenset(), "sigmoid"
    )
    trace.events += [call, Pass(1, NOWHERE, 0.0, slopes={0: np.ones((4, 1))}, ops={0: frozenset()})]
    return trace


def test_what_a_saturated_critic_says_to_whom():
    (finding,) = numbers.saturation(sure_critic())
    assert "says 0.9980 to the median real and 0.002 to the median fake" in finding.evidence


def test_graphs_that_stay_are_counted_by_the_step():
    (finding,) = numbers.memory(Trace("minigan", growth=[10, 13, 16]))
    assert finding.evidence.startswith("each step leaves 3 more recorded operations")


def test_how_far_samples_and_training_images_lie_apart():
    """Stripes of -1 and 1 lie 2 apart in root mean square, samples a hundredth of that."""
    reals = np.ones((4, 1, 2, 2)) * np.array([1, -1, 1, -1])[:, None, None, None]
    (finding,) = of_samples(reals, 0.01 * reals)
    assert finding.evidence == "two samples lie 0.02 apart, two training images 2 (means)"


def test_whose_rate_is_whose():
    trace = Trace("minigan", networks={name: Network(name, None) for name in "GD"})
    rates = {"G": 0.01, "D": 1e-4}
    trace.events += [
        Move(k, NOWHERE, f"opt{n}", "Adam", rate, {n: 1.0}, 0) for k, (n, rate) in enumerate(rates.items())
    ]
    (finding,) = players.rates(trace)
    assert finding.evidence == "G's Adam has a rate of 0.01, D's of 0.0001: a factor of 100"


def test_where_both_players_push_a_fake():
    """Both losses rise with the output on a fake, so both push it down."""
    trace = Trace("minigan", networks={name: Network(name, None) for name in "GD"})
    trace.events += traced("D", real=np.full((4, 1), -0.25), fake=np.full((4, 1), 0.25))
    trace.events += traced("G", fake=np.full((4, 1), 0.25))
    (finding,) = players.directions(trace)
    assert finding.name == "same-direction" and finding.evidence.endswith("both players push it down")
