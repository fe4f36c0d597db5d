"""Whole steps on a device: every contestant computes the CPU's losses, waits where the clock is read, takes its turn
and leaves the settings as they were."""

import os
from contextlib import contextmanager
from functools import partial

import pytest

import minigan as mg
from minigan.backend import module_of
from minigan.bench import device, device_steps, in_minigan
from minigan.bench.device_steps import OWN, PEERS, Contestant, contestants, difference, in_graphs, small, take_turns
from minigan.bench.worker import read
from minigan.bench.workloads import WORKLOADS, workload

ROUNDING = 2e-5  # float32, sums in another order; see tests/kernels/cuda/test_cuda_train.py


def on_the_cpu(name: str) -> list[float]:
    return read(in_minigan.build(small(workload(name)), "eager")())


@pytest.mark.parametrize("name", device_steps.DEFAULT)
def test_every_contestant_computes_the_losses_of_the_cpu(device, name):
    figures = device_steps.run(device, [name], lambda line: None, module_of(device), quick=True, rounds=1)
    assert figures["failures"] == {name: {}} and set(figures["steps"][name]) == set(OWN)
    for losses in figures["losses"][name].values():
        assert losses == pytest.approx(on_the_cpu(name), rel=ROUNDING)
    assert all(ms > 0 for ms in figures["steps"][name].values())
    graphs = figures["graphs"][name]
    assert 0 < graphs["in_graphs"] < graphs["calls"] and not graphs["failures"]
    assert figures["loss_difference"] == {name: None}


def test_graphs_where_they_are_meant_and_nowhere_else(device, monkeypatch):
    """What the environment says otherwise counts for neither, and is there again afterwards."""
    for before in ("0", None):
        if before is None:
            monkeypatch.delenv("MINIGAN_CUDA_GRAPHS")
        else:
            monkeypatch.setenv("MINIGAN_CUDA_GRAPHS", before)
        entrants = contestants(small(workload("toy-4x128")), device, module_of(device))
        _, failures, ready = take_turns(entrants, 1, 0.0, lambda line: None)
        assert not failures and os.environ.get("MINIGAN_CUDA_GRAPHS") == before
        assert in_graphs(ready["minigan-captured"].step)["in_graphs"] == 0
        assert in_graphs(ready["minigan-graphs"].step)["in_graphs"] > 20
        assert not hasattr(ready["minigan-eager"].step, "plans")
        assert mg.zeros(1).device.type == "cpu"


def test_graphs_that_cannot_be_captured_are_not_counted(monkeypatch):
    """The step runs launch by launch; the table says why, beside the time."""

    def fail(stream, mode=None):
        raise RuntimeError("cudaErrorStreamCaptureInvalidated")

    xp, name = module_of("cudasim"), "toy-4x128"
    monkeypatch.setattr(type(xp.cuda.Stream()), "begin_capture", fail)
    figures = device_steps.run("cudasim", [name], lambda line: None, xp, rounds=1, quick=True)
    graphs = figures["graphs"][name]
    assert graphs["in_graphs"] == 0 < graphs["calls"] and not figures["failures"][name]
    lines = device_steps.lines(figures | {"torch": None})
    assert lines[-1] == f"{name}: not in a CUDA graph: cudaErrorStreamCaptureInvalidated"


def test_pytorch_beside_it(device, torch, monkeypatch):
    """Its CPU in place of its GPU: float32 twice and TF32 once, the same arrays; the table shows the difference."""
    from minigan.bench import in_torch

    flags, waits = [], []

    def build(work, variant, where):
        assert where == "cuda"
        step = original(work, variant, "cpu")

        def noted():
            flags.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
            return step()

        return noted

    original = in_torch.build
    monkeypatch.setattr(in_torch, "build", build)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(len(flags)))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    name, before = "dcgan-32", torch.backends.cudnn.allow_tf32
    figures = device_steps.run(device, [name], lambda line: None, module_of(device), torch, rounds=2, quick=True)
    assert not figures["failures"][name] and list(figures["steps"][name]) == [*OWN, *PEERS]
    assert flags.count((False, False)) == 2 * flags.count((True, True)) == 2 * len(flags) / 3
    assert len(waits) == 2 * 3 * (1 + 2) and torch.backends.cudnn.allow_tf32 == before
    assert 0 < figures["loss_difference"][name] < ROUNDING
    text = "\n".join(device_steps.lines(figures | {"torch": torch.__version__}))
    assert f"{figures['loss_difference'][name]:.1e}" in text and "PyTorch, channels_last, TF32" in text


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
def test_pytorch_moves_all_arrays(torch):
    """To a device of another kind, on which an array that stayed behind would be an error."""
    from minigan.bench import in_torch

    for name in device_steps.DEFAULT:
        losses = in_torch.build(small(workload(name)), "eager", "meta")()
        assert losses and {loss.device.type for loss in losses} == {"meta"}


class Track:
    """A clock that only steps move; what happens in which order."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.events = 0.0, []
        monkeypatch.setattr(device_steps.time, "perf_counter", lambda: self.now)

    def contestant(self, name: str, seconds, fails_at: int = -1) -> Contestant:
        """Each step is issued at once; the device has done it when it is waited for. seconds: of one, by its number."""
        steps, pending = [], []

        def step():
            if len(steps) == fails_at:
                raise MemoryError("out of memory\nmore words")
            steps.append(seconds(len(steps)))
            pending.append(steps[-1])
            self.events.append(name)
            return [1.5]

        def wait():
            self.now += sum(pending)
            pending.clear()

        @contextmanager
        def around():
            self.events.append(f"{name} in")
            yield
            self.events.append(f"{name} out")

        return Contestant(lambda: step, around, wait)


def test_contestants_take_turns(monkeypatch):
    """Two bursts in a row are two contestants'; each has its settings around it, and as many steps as fill a burst."""
    track = Track(monkeypatch)
    entrants = {"a": track.contestant("a", lambda k: 0.125), "b": track.contestant("b", lambda k: 0.25)}
    times, failures, ready = take_turns(entrants, 3, 0.5, lambda line: None)
    assert times == {"a": 125, "b": 250} and not failures and ready["a"].losses == [1.5]
    assert (ready["a"].count, ready["b"].count) == (4, 2)
    warm = len([e for e in track.events if e == "a"]) - 3 * 4
    order = [e for e in track.events if e.endswith(" in")]
    assert order == [f"{name} in" for name in ("a", "b", "a", "b", "b", "a", "a", "b")]
    assert track.events[: warm + 2] == ["a in", *["a"] * warm, "a out"] and warm > 5
    assert track.events[-4:] == ["b in", "b", "b", "b out"]


def test_a_figure_is_the_median_of_bursts_after_the_device_is_done(monkeypatch):
    """One slow burst of three does not count; the steps before the first burst are waited for outside of it."""
    track = Track(monkeypatch)
    warm = device_steps.WARM + 1
    entrant = track.contestant("a", lambda k: 7.0 if k < warm - 1 else 9.0 if k == warm + 1 else 1.0)
    times, _, _ = take_turns({"a": entrant}, 3, 0.0, lambda line: None)
    assert times == {"a": 1000}


@pytest.mark.parametrize("fails_at", [0, 7])
def test_a_contestant_that_fails_says_why_and_the_others_go_on(monkeypatch, fails_at):
    track = Track(monkeypatch)
    entrants = {"a": track.contestant("a", lambda k: 0.1, fails_at), "b": track.contestant("b", lambda k: 0.1)}
    times, failures, ready = take_turns(entrants, 3, 0.0, lambda line: None)
    assert times["a"] is None and times["b"] == pytest.approx(100)
    assert failures == {"a": "MemoryError: out of memory"} and list(ready) == ["b"]
    figures = {"steps": {"toy": times}, "failures": {"toy": failures}, "graphs": {}, "torch": None}
    figures["loss_difference"] = {"toy": None}
    figures["steps"]["toy"] = {"minigan-eager": None, "torch": 100.0}
    text = "\n".join(device_steps.lines(figures))
    assert "failed" in text and "toy, a: MemoryError: out of memory" in text


def test_the_difference_of_losses():
    """The largest share, over variants and players; TF32, and one's own variants, do not count."""
    losses = {"minigan-eager": [1.0, -2.0], "minigan-graphs": [1.0, -2.0], "torch": [1.0, -2.002]}
    losses |= {"torch-channels-last": [1.0, -1.99], "torch-channels-last-tf32": [7.0, 7.0]}
    assert difference(losses) == pytest.approx(0.005)
    assert difference({"minigan-eager": [1.0], "minigan-graphs": [2.0]}) is None
    assert difference({"minigan-eager": [0.0], "torch": [0.0]}) == 0


def test_small_steps_are_the_same_steps():
    """The layers are of the same kinds, but for those of larger images."""
    for work in WORKLOADS.values():
        kinds, tiny = ([layer.kind for layer in w.critic] for w in (work, small(work)))
        assert set(kinds) == set(tiny) and small(work).loss == work.loss
        assert bool(small(work).generator) == bool(work.generator)


def test_rows_and_steps_as_they_are_asked_for(monkeypatch):
    """The figures hold those alone, and the text the tables of those."""
    monkeypatch.setattr(device, "works", lambda scale: [])
    run = partial(device.run, "cudasim", lambda line: None, quick=True)
    steps = run(rows=False, workloads=["toy-4x128"])
    assert not steps["rows"] and list(steps["steps"]) == ["toy-4x128"]
    assert "roofline" not in device.text(steps) and "a training step" in device.text(steps)
    assert "a training step" not in device.text(run())
    with pytest.raises(ValueError, match="unknown workload"):
        run(workloads=["toys"])
