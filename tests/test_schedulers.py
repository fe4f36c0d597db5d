"""Learning-rate schedulers: torch's numbers, groups and resuming; captured steps follow them."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan import optim
from minigan.optim import lr_scheduler

SCHEDULERS = {
    "step": lambda S, o: S.StepLR(o, 3, 0.5),
    "milestones": lambda S, o: S.MultiStepLR(o, [5, 2, 5], 0.3),
    "exponential": lambda S, o: S.ExponentialLR(o, 0.9),
    "cosine": lambda S, o: S.CosineAnnealingLR(o, 5, 0.001),
    "linear": lambda S, o: S.LinearLR(o, 0.25, 0.75, 4),
    "linear, the default": lambda S, o: S.LinearLR(o),
    "constant": lambda S, o: S.ConstantLR(o, 0.5, 3),
    "polynomial": lambda S, o: S.PolynomialLR(o, 6, 2.0),
    "one function": lambda S, o: S.LambdaLR(o, lambda t: 1 / (1 + t)),
    "a function each": lambda S, o: S.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1.0]),
    "sequence": lambda S, o: S.SequentialLR(o, [S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.8)], [4]),
    "plateau": lambda S, o: S.ReduceLROnPlateau(o, "min", 0.5, patience=1, cooldown=1, min_lr=[0.01, 0.01][0]),
}
FIGURES = [3.0, 2.0, 2.5, 2.4, 2.3, 2.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def two_groups(T, S, make):
    x, y = T.zeros(2, requires_grad=True), T.zeros(3, requires_grad=True)
    optimizer = T.optim.SGD([{"params": [x]}, {"params": [y], "lr": 0.02}], lr=0.1)
    return optimizer, make(S, optimizer)


def advance(optimizer, scheduler, steps, start=0):
    rates = [[g["lr"] for g in optimizer.param_groups]]
    for t in range(start, start + steps):
        optimizer.step()
        scheduler.step(*([FIGURES[t]] if "Plateau" in type(scheduler).__name__ else []))
        rates.append([g["lr"] for g in optimizer.param_groups])
    return rates


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_rates_are_torchs(name):
    torch = pytest.importorskip("torch")
    ours = advance(*two_groups(mg, optim.lr_scheduler, SCHEDULERS[name]), 12)
    theirs = advance(*two_groups(torch, torch.optim.lr_scheduler, SCHEDULERS[name]), 12)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_resumed_run_has_the_rates_of_an_uninterrupted_one(name):
    whole = advance(*two_groups(mg, optim.lr_scheduler, SCHEDULERS[name]), 12)
    optimizer, scheduler = two_groups(mg, optim.lr_scheduler, SCHEDULERS[name])
    first = advance(optimizer, scheduler, 5)
    again, later = two_groups(mg, optim.lr_scheduler, SCHEDULERS[name])
    again.load_state_dict(optimizer.state_dict())
    later.load_state_dict(scheduler.state_dict())
    assert first[:-1] + advance(again, later, 7, start=5) == whole


def test_a_captured_step_follows_the_scheduler():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    @mg.capture
    def step():
        optimizer.zero_grad()
        x.sum().backward()
        optimizer.step()

    for _ in range(4):
        step()
        scheduler.step()
    assert x.tolist() == [1 - 1.875, 2 - 1.875] and len(step.plans) == 1


def test_bad_settings_are_refused():
    optimizer = optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    S = optim.lr_scheduler
    for call, words in (
        (lambda: S.LinearLR(optimizer, 0.0), "LinearLR: factors"),
        (lambda: S.LambdaLR(optimizer, [abs, abs]), "2 functions for 1 parameter groups"),
        (lambda: S.SequentialLR(optimizer, [S.ExponentialLR(optimizer, 1)], [1]), "1 schedulers have 0 milestones"),
        (lambda: S.ReduceLROnPlateau(optimizer, "least"), "mode is min or max"),
        (lambda: S.StepLR(optimizer, 0), "StepLR: step_size must be a number of steps above 0, got 0"),
        (lambda: S.CosineAnnealingLR(optimizer, -1), "CosineAnnealingLR: T_max must be"),
        (lambda: S.LinearLR(optimizer, total_iters=0), "LinearLR: total_iters must be"),
        (lambda: S.PolynomialLR(optimizer, total_iters="5"), "PolynomialLR: total_iters must be .* got '5'"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_a_rate_set_by_hand_and_a_second_scheduler_multiply():
    """As in PyTorch: 0.01 / 2, and 0.5^4 / 10^2; a function of t sets the rate, whatever it was."""
    weights = [mg.nn.Parameter(np.ones(1))]
    optimiser = optim.SGD(weights, lr=1.0)
    scheduler = lr_scheduler.ExponentialLR(optimiser, 0.5)
    optimiser.param_groups[0]["lr"] = 0.01
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.005)
    optimiser = optim.SGD(weights, lr=1.0)
    halves, tenths = lr_scheduler.ExponentialLR(optimiser, 0.5), lr_scheduler.StepLR(optimiser, 2, 0.1)
    for _ in range(4):
        halves.step()
        tenths.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.5**4 * 0.1**2)
    optimiser = optim.SGD(weights, lr=1.0)
    scheduler = lr_scheduler.LambdaLR(optimiser, lambda t: 1 / (1 + t))
    optimiser.param_groups[0]["lr"] = 9.0
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] == 0.5
    optimiser = optim.SGD(weights, lr=1.0)
    scheduler = lr_scheduler.PolynomialLR(optimiser, total_iters=2)
    for _ in range(4):
        scheduler.step()
    assert optimiser.param_groups[0]["lr"] == 0


def test_a_plateau_is_not_left_by_nan():
    optimiser = optim.SGD([mg.nn.Parameter(np.ones(1))], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimiser, patience=1)
    for figure in (math.nan, 1.0, 0.9, 0.8, 0.7):
        scheduler.step(figure)
    assert scheduler.get_last_lr() == [1.0] and scheduler.best == 0.7
    for figure in (math.nan, math.nan):
        scheduler.step(figure)
    assert scheduler.get_last_lr() == [0.1]


def test_milestones_of_torchs_state(torch):
    """PyTorch saves how often each milestone is there."""
    theirs = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD([torch.ones(1)], lr=1.0), [2, 4, 4])
    ours = lr_scheduler.MultiStepLR(optim.SGD([mg.ones(1)], lr=1.0), [1])
    ours.load_state_dict(theirs.state_dict())
    rates = []
    for _ in range(5):
        ours.step()
        rates += ours.get_last_lr()
    np.testing.assert_allclose(rates, [1, 0.1, 0.1, 1e-3, 1e-3])
