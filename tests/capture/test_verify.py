"""MINIGAN_CAPTURE=verify: a sound step is replayed as ever; one whose reads capture cannot see is caught, and the first
op that differs is named."""

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import nn, optim
from minigan.capture import CaptureError, capture
from minigan.ops.act import LeakyRelu


@pytest.fixture(autouse=True)
def verifying(monkeypatch):
    monkeypatch.setenv("MINIGAN_CAPTURE", "verify:2")


def training(wrap):
    mg.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
    real, adam, draws = mg.tensor(np.ones((4, 3)), dtype="float32"), optim.Adam(net.parameters(), 1e-2), mg.Generator(3)

    @wrap
    def step():
        adam.zero_grad()
        loss = ((net(real + mg.randn(4, 3, generator=draws)) - real.mean()) ** 2).mean()
        loss.backward()
        adam.step()
        return {"loss": loss, "after": net(real).mean()}

    return step, real, draws


def test_a_sound_step_is_the_same_to_the_bit(monkeypatch):
    """Comparing draws nothing, moves nothing, and lets new data through."""

    def run():
        step, real, draws = training(capture)
        losses = []
        for k in range(7):
            real.assign(np.full((4, 3), k, np.float32))
            losses.append({name: t.item() for name, t in step().items()})
        return losses, draws.step, len(step.plans)

    verified = run()
    monkeypatch.delenv("MINIGAN_CAPTURE")
    assert verified == run() and verified[-1] == 1


HIDDEN = {"slope": 0.2, "op": "tanh", "more": False}


CASES = {
    "a setting": (lambda x: F.leaky_relu(x * 2, HIDDEN["slope"]), {"slope": 0.7}, "leaky_relu"),
    "an op": (lambda x: getattr(F, HIDDEN["op"])(x * 2), {"op": "sigmoid"}, "op 2 is sigmoid now and was tanh"),
    "a further op": (lambda x: x * 2 + 1 if HIDDEN["more"] else x * 2, {"more": True}, "2 ops now and had 1"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_guard_cannot_see_is_caught(name):
    function, change, message = CASES[name]
    x, before = mg.tensor([-1.0, 1.0]), dict(HIDDEN)
    step = capture(lambda: function(x))
    step()
    try:
        step.plans[0].fits = lambda: True  # a guard that sees nothing
        HIDDEN.update(change)
        with pytest.raises(CaptureError, match=message):
            for _ in range(2):
                step()
    finally:
        HIDDEN.update(before)


def test_a_plan_that_computes_something_else_is_caught(monkeypatch):
    monkeypatch.setattr(
        LeakyRelu, "prepare", lambda self, work, inputs, outputs: work.call(np.copyto, *outputs, *inputs)
    )
    x = mg.tensor([-1.0, 1.0])
    step = capture(lambda: F.relu(x))
    with pytest.raises(CaptureError, match="leaky_relu"):
        for _ in range(3):
            step()


def test_the_setting_is_checked(monkeypatch):
    monkeypatch.setenv("MINIGAN_CAPTURE", "often")
    with pytest.raises(ValueError, match="MINIGAN_CAPTURE"):
        capture(lambda: None)
