"""A captured step's stretches become CUDA graphs: the same numbers, what a graph cannot hold stays outside, and where a
capture fails the recorded launches go on. On the stand-in, whose streams note work as CuPy's do."""

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import nn, optim
from minigan.backend import module_of
from minigan.capture.cuda_graph import Stretch


def step_on(device):
    """A step with convolutions, noise of its own, a second derivative's sums and Adam; its data, its weights."""
    with mg.device(device):
        generator = mg.Generator(3)
        net = nn.Sequential(
            nn.Conv2d(2, 5, 3, 2, 1), nn.BatchNorm2d(5), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(80, 1)
        )
        for i, p in enumerate(net.parameters()):
            p.assign(np.random.default_rng(i).standard_normal(p.shape).astype(np.float32) * 0.3)
        net.to(device)
        x = mg.zeros(4, 2, 8, 8)
    adam = optim.Adam(net.parameters(), lr=1e-2)

    def step():
        adam.zero_grad()
        with mg.device(device):
            noise = mg.randn(4, 2, 8, 8, generator=generator)
        loss = F.softplus(net(x + 0.1 * noise)).mean()
        loss.backward()
        adam.step()
        return loss

    return step, x, net


def losses(step, x, count=5):
    found = []
    for k in range(count):
        x.assign(np.random.default_rng(k).standard_normal(x.shape).astype(np.float32))
        found.append(step().item())
    return found


def stretches(captured):
    return [call for call, _ in captured.plans[-1].calls if isinstance(call, Stretch)]


def test_graphs_give_what_the_recorded_launches_give(device, monkeypatch):
    """Five runs, bit for bit: call by call, captured, launched three times; new data, noise and Adam's counts each."""
    step, x, net = step_on(device)
    with_graphs = mg.capture(step)
    found = losses(with_graphs, x)
    made = stretches(with_graphs)
    assert made and all(s.graph is not None and s.failure is None for s in made)
    assert sum(len(s.calls) for s in made) > len(with_graphs.plans[-1].calls)  # most of the step
    monkeypatch.setenv("MINIGAN_CUDA_GRAPHS", "0")
    step, x, other = step_on(device)
    without = mg.capture(step)
    assert found == losses(without, x) and not stretches(without)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    step, x, _ = step_on("cpu")
    assert found == pytest.approx(losses(mg.capture(step), x), rel=2e-5)


@pytest.mark.parametrize("fault", ["begin_capture", "end_capture"])
def test_where_a_capture_fails_the_launches_go_on(device, monkeypatch, fault):
    xp = module_of(device)
    step, x, _ = step_on(device)
    expected = losses(step, x)

    def fail(self, *args):
        if fault == "end_capture":
            original(self)
        raise RuntimeError("cudaErrorStreamCaptureInvalidated")

    original = getattr(type(xp.cuda.Stream()), fault)
    if not hasattr(xp, "syncs"):
        pytest.skip("CuPy's streams cannot be made to fail")
    monkeypatch.setattr(type(xp.cuda.Stream()), fault, fail)
    step, x, _ = step_on(device)
    captured = mg.capture(step)
    assert losses(captured, x) == pytest.approx(expected, rel=2e-5)
    made = stretches(captured)
    assert made and all(s.graph is None for s in made)


def test_a_function_that_a_stream_cannot_capture_stays_outside(device):
    """Draws, optimiser steps and matrix products are called between the graphs."""
    step, x, _ = step_on(device)
    captured = mg.capture(step)
    losses(captured, x, 2)
    outside = [function for function, _ in captured.plans[-1].calls if not isinstance(function, Stretch)]
    names = {getattr(f, "__name__", type(f).__name__) for f in outside}
    assert "_product" in names and "fill" in names and len(outside) < 40


REFUSED = {
    "waiting": lambda xp, x: x.get(),
    "an allocation": lambda xp, x: xp.empty(3),
    "a copy from the host": lambda xp, x: xp.asarray(np.ones(3)),
    "a new array": lambda xp, x: x + 1,
    "a ufunc without out": lambda xp, x: xp.exp(x),
    "a reduction": lambda xp, x: x.sum(),
    "a conversion": lambda xp, x: x.astype(np.float32),
    "an assignment": lambda xp, x: x.__setitem__(0, 1.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_stand_in_refuses_in_a_capture(name):
    xp = module_of("cudasim")
    x = xp.zeros(3)
    with xp.cuda.Stream() as stream:
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="StreamCaptureUnsupported"):
            REFUSED[name](xp, x)
        xp.add(x, x, out=x)
        xp.copyto(x, x)
        graph = stream.end_capture()
    x[...] = 1.0
    graph.launch()
    graph.launch()
    assert x.get().tolist() == [4.0] * 3
