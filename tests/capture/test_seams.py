"""How a recorder listens: per thread, by hooks that stand in the engine's code; and what it takes for minigan's own."""

import threading
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import _array, _modes, capture, nn, optim
from minigan.autograd import Op, Tensor
from minigan.capture import CaptureError, refusal

WAIT = 30
"""Seconds after which a thread that waits for another gives up."""


def in_thread(function):
    """Start function() in a thread; returns a function that waits for its result, or raises its error."""
    results = []

    def run():
        try:
            results.append((function(), None))
        except BaseException as error:
            results.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join():
        thread.join(WAIT)
        result, error = results[0]
        if error is not None:
            raise error
        return result

    return join


def test_recording_changes_no_class():
    """What Tensor and the others are made of is the same, object for object, before, while and after a step is
    recorded, and an instance of one thread's step is of the same class."""
    kinds = (Tensor, _array.ArrayHolder, Op, nn.Module, nn.Parameter, nn.Linear)

    def members():
        return [dict(vars(kind)) for kind in kinds]

    layer, x, during = nn.Linear(2, 2), mg.tensor([[1.0, 2.0]]), []

    def step():
        during.append(members())
        return layer(x).sum()

    before = members()
    capture(step)()
    assert len(during) == 1
    for one, other in zip(before, during[0], strict=True):
        assert one.keys() == other.keys() and all(one[name] is other[name] for name in one)
    assert members() == before


def test_while_nothing_records_nobody_is_asked():
    assert _modes.watchers == 0 and _modes.current_recorder() is None
    inside = []
    capture(lambda: inside.append((_modes.watchers, _modes.current_recorder())) or mg.tensor(1.0) * 2)()
    assert inside[0][0] == 1 and inside[0][1] is not None
    assert _modes.watchers == 0 and _modes.current_recorder() is None
    with pytest.raises(CaptureError):
        capture(lambda: mg.tensor(1.0).item())()
    assert _modes.watchers == 0


def eager_work():
    """What a recorder would refuse or note, with its answers: values read, arrays made tensors, steps, flags."""
    layer = nn.Linear(2, 1)
    layer.weight.assign(np.array([[1.0, -1.0]]))
    layer.bias.assign(np.zeros(1))
    sgd = optim.SGD(layer.parameters(), lr=1.0)
    x = mg.Tensor(np.array([[1.0, 3.0]], np.float32))
    y = layer(x * np.ones((1, 2), np.float32))
    y.sum().backward()
    before = layer.weight.grad.tolist()
    sgd.step()
    layer.requires_grad_(False)
    return [float(y), before, layer.weight.data.tolist(), layer.weight.requires_grad, str(y.data)]


def test_one_thread_computes_while_another_records():
    """A step is recorded up to its middle; another thread then does everything that a recorder listens to; the step is
    recorded to its end. Both have the answers that they have alone."""
    alone = eager_work()
    w, begun, done = nn.Parameter(np.array([1.0, 2.0])), threading.Event(), threading.Event()
    sgd = optim.SGD([w], lr=0.5)
    records = 0

    def step():
        nonlocal records
        records += 1
        sgd.zero_grad()
        loss = (w * w).sum()
        begun.set()
        assert done.wait(WAIT)
        loss.backward()
        sgd.step()
        return loss

    recorded = in_thread(capture(step))
    assert begun.wait(WAIT)
    try:
        assert _modes.watchers == 1
        assert [eager_work(), w.data.tolist(), w.grad] == [alone, [1.0, 2.0], None]
    finally:
        done.set()
    assert recorded().item() == 5 and records == 1
    assert w.tolist() == [0, 0] and w.grad.tolist() == [2, 4]


def test_two_threads_record_at_once():
    """Each waits inside its step until the other is inside its own, so neither can finish alone."""
    both = threading.Barrier(2)
    most = []

    def task(factor):
        w = nn.Parameter(np.array([factor, 1.0]))
        layer, x = nn.Dropout(0.5, generator=mg.Generator(int(factor))), mg.tensor(np.ones(2))
        adam = optim.Adam([w], lr=0.1)

        def step():
            if capturing:
                both.wait(WAIT)
                most.append(_modes.watchers)
            adam.zero_grad()
            loss = (layer(w * x) ** 2).sum()
            if capturing:
                both.wait(WAIT)
            loss.backward()
            adam.step()
            return loss

        return w, step

    def run(factor, wrap):
        w, step = task(factor)
        step = wrap(step)
        return [step().item() for _ in range(3)], w.tolist()

    capturing = False
    expected = [run(factor, lambda step: step) for factor in (2.0, 3.0)]
    capturing = True
    joins = [in_thread(lambda factor=factor: run(factor, capture)) for factor in (2.0, 3.0)]
    for join, (losses, weights) in zip(joins, expected, strict=True):
        ours, final = join()
        np.testing.assert_allclose(ours, losses, rtol=1e-12)
        np.testing.assert_allclose(final, weights, rtol=1e-12)
    assert max(most) == 2 and _modes.watchers == 0


class Scaled(nn.Module):
    """A user's module whose forward reads a number, which it declares."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x * self.scale

    def captured_state(self):
        return (*super().captured_state(), self.scale)


def attribute(name, value):
    return lambda layer: setattr(layer, name, value)


def setting(name, value):
    return lambda layer: layer.settings.__setitem__(name, value)


CHANGES = {
    "dropout p": (lambda: nn.Dropout(0.5, generator=mg.Generator(5)), attribute("p", 0.25)),
    "dropout generator": (
        lambda: nn.Dropout(0.5, generator=mg.Generator(5)),
        lambda layer: setattr(layer, "generator", mg.Generator(6)),
    ),
    "negative slope": (lambda: nn.LeakyReLU(0.2), setting("negative_slope", 0.7)),
    "alpha": (nn.ELU, setting("alpha", 2.0)),
    "batch norm eps": (lambda: nn.BatchNorm2d(2), attribute("eps", 0.5)),
    "batch norm momentum": (lambda: nn.BatchNorm2d(2), attribute("momentum", 0.9)),
    "frozen statistics": (lambda: nn.BatchNorm2d(2), attribute("moves_statistics", False)),
    "mode": (lambda: nn.BatchNorm2d(2), lambda layer: layer.eval()),
    "instance norm eps": (lambda: nn.InstanceNorm2d(2), attribute("eps", 0.5)),
    "layer norm eps": (lambda: nn.LayerNorm((2, 4, 4)), attribute("eps", 0.5)),
    "stride": (lambda: nn.Conv2d(2, 1, 2), attribute("stride", (2, 2))),
    "dilation": (lambda: nn.Conv2d(2, 1, 2), attribute("dilation", (2, 2))),
    "output padding": (lambda: nn.ConvTranspose2d(2, 1, 2, 2), attribute("output_padding", (1, 1))),
    "flatten": (nn.Flatten, attribute("start_dim", 2)),
    "unflatten": (lambda: nn.Unflatten(1, (1, 2)), attribute("unflattened_size", (2, 1))),
    "a user's number": (lambda: Scaled(2.0), attribute("scale", 3.0)),
    "inside a container": (
        lambda: nn.Sequential(nn.Flatten(), nn.LeakyReLU(0.2)),
        lambda layer: setting("negative_slope", 0.7)(layer[1]),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_number_changed_between_two_calls_is_noticed(name):
    """The captured layer gives the eager one's outputs and buffers before and after, from a second record."""
    build, change = CHANGES[name]
    x = mg.tensor(np.random.default_rng(0).standard_normal((3, 2, 4, 4)))

    def run(wrap):
        mg.manual_seed(0)
        layer = build().double()
        step = wrap(lambda: layer(x))
        outputs = [step().numpy(), step().numpy()]
        change(layer)
        outputs += [step().numpy(), step().numpy()]
        return outputs, layer.state_dict(), step

    with mg.no_grad():
        eager, state, _ = run(lambda step: step)
        ours, our_state, step = run(capture)
    for a, b in zip(eager, ours, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)
    for key, value in state.items():
        np.testing.assert_allclose(our_state[key], value, rtol=1e-12, err_msg=key)
    assert len(step.plans) == 2


def test_every_layer_declares_its_numbers():
    """A layer that keeps a number, a flag or sizes as an attribute names it in captured_state."""
    layers = [build() for build, _ in CHANGES.values()]
    layers += [nn.Linear(2, 2), nn.Embedding(3, 2), nn.BatchNorm1d(2), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)]
    fixed = {"in_features", "out_features", "in_channels", "out_channels", "num_features", "kernel_size"}
    fixed |= {"affine", "track_running_stats"}  # what the weights' shapes say already
    for layer in layers:
        numbers = {k: v for k, v in vars(layer).items() if not k.startswith("_") and k not in fixed and k != "settings"}
        for key, value in {**numbers, **vars(layer).get("settings", {})}.items():
            assert any(value is entry for entry in layer.captured_state()), (type(layer).__name__, key)


PACKAGE = Path(mg.__file__).parent
KERNELS = Path(mg.kernels.__file__).parent


@pytest.mark.parametrize(
    ("file", "own"),
    [
        (f"{PACKAGE}/ops/basic.py", True),
        (f"{PACKAGE}/gan/toy/trainer.py", True),
        (f"{KERNELS}/conv.py", True),
        (f"{KERNELS}/cuda/conv.py", True),
        (f"{PACKAGE}_demo.py", False),
        (f"{PACKAGE}-experiments/train.py", False),
        (f"{PACKAGE.parent}/kernels_of_mine.py", False),
        (f"{PACKAGE}/examples/03_wgan_gp.py", False),
        (f"{PACKAGE.parent}/examples/03_wgan_gp.py", False),
        (f"{PACKAGE.parent}/train.py", False),
        ("<stdin>", False),
    ],
)
def test_minigan_s_own_code_is_what_lies_in_its_folders(file, own):
    assert refusal.is_own_code(file) is own


STEPS = {
    "an array becomes a tensor": "step = lambda: w * mg.Tensor(np.random.rand(2))",
    "a value is read": "step = lambda: w * float(w.sum())",
}


@pytest.mark.parametrize("reason", STEPS)
@pytest.mark.parametrize("file", [f"{PACKAGE}_demo.py", f"{PACKAGE}/examples/demo.py", f"{refusal.NUMPY}_demo.py"])
def test_a_script_beside_the_package_is_a_user_s(file, reason):
    """Its arrays are refused, not replayed stale, and the error names its line."""
    names = {"w": nn.Parameter(np.ones(2)), "mg": mg, "np": np}
    exec(compile(STEPS[reason], file, "exec"), names)
    with pytest.raises(CaptureError, match=f"{reason}.* at {file}:1: "):
        capture(names["step"])()
