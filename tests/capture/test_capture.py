"""A captured step does what the eager one does: the same numbers, the same side effects, or a refusal with its line."""

import gc
import os
import threading

import numpy as np
import pytest

import minigan as mg
from minigan import capture, data, nn, optim
from minigan import functional as F
from minigan.capture import CaptureError
from minigan.data import Dataset
from minigan.gan import penalties
from minigan.gan.networks import dcgan as networks
from minigan.gan.systems import options_for
from minigan.gan.train import Trainer

RNG = np.random.default_rng(0)


def mlp(inputs, outputs, dtype):
    layers = [nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, outputs)]
    return nn.Sequential(*layers).to(dtype)


def dcgan_critic(dtype, norm):
    return networks.DCGANCritic(1, 16, 8, norm).to(dtype)


def wgan_gp(critic, generator, image, dtype):
    """One critic and one generator step, the ways a user would write them: grad and .grad, backward, frozen critic."""
    d = optim.Adam(critic.parameters(), 1e-3, (0.0, 0.9))
    g = optim.RMSprop(generator.parameters(), 1e-3, momentum=0.5)
    draws, batch = mg.Generator(3), 6
    real = mg.tensor(RNG.standard_normal((batch, *image)).astype(dtype))

    def step():
        with mg.no_grad():
            fake = generator(mg.randn(batch, 5, generator=draws, dtype=dtype))
        eps = mg.rand(batch, *(1 for _ in image), generator=draws, dtype=dtype)
        penalty, _ = penalties.gradient_penalty(critic, real, fake, eps)
        loss = critic(fake).mean() - critic(real).mean() + 10.0 * penalty
        d.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(critic.parameters(), 5.0)
        d.step()
        critic.requires_grad_(False)
        g.zero_grad()
        score = -critic(generator(mg.randn(batch, 5, generator=draws, dtype=dtype))).mean()
        score.backward()
        g.step()
        critic.requires_grad_(True)
        return {"loss": loss, "score": score, "penalty": penalty}

    return step, [critic, generator]


def non_saturating(critic, generator, image, dtype):
    """The logistic losses, with two batches in one step, AdamW and SGD, and an average of the weights."""
    d = optim.AdamW(critic.parameters(), 1e-3)
    g = optim.SGD(generator.parameters(), 1e-2, momentum=0.9, nesterov=True)
    average = optim.WeightAverage(generator, 0.9)
    draws, batch = mg.Generator(4), 4
    real = mg.tensor(RNG.standard_normal((batch, *image)).astype(dtype))

    def step():
        z = mg.randn(batch, 5, generator=draws, dtype=dtype)
        fake = generator(z)
        loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
        for p, gradient in zip(critic.parameters(), mg.grad(loss, list(critic.parameters())), strict=True):
            p.grad = gradient
        d.step()
        score = F.softplus(-critic(fake)).mean()
        for p, gradient in zip(generator.parameters(), mg.grad(score, list(generator.parameters())), strict=True):
            p.grad = gradient
        g.step()
        average.update(generator)
        return loss, [score, F.dropout(real, 0.5, generator=draws).sum()]

    return step, [critic, generator, average.module]


class Images(nn.Module):
    """A generator of (N, C, H, W) images from latents, for the networks under test."""

    def __init__(self, dtype):
        super().__init__()
        self.inner = networks.DCGANGenerator(5, 1, 16, 8).to(dtype)

    def forward(self, z):
        return self.inner(z)


STEPS = {
    "wgan-gp mlp": lambda dtype: wgan_gp(mlp(2, 1, dtype), mlp(5, 2, dtype), (2,), dtype),
    "wgan-gp dcgan": lambda dtype: wgan_gp(dcgan_critic(dtype, False), Images(dtype), (1, 16, 16), dtype),
    "wgan-gp dcgan with batch norm": lambda dtype: wgan_gp(
        dcgan_critic(dtype, True), Images(dtype), (1, 16, 16), dtype
    ),
    "non-saturating mlp": lambda dtype: non_saturating(mlp(2, 1, dtype), mlp(5, 2, dtype), (2,), dtype),
    "non-saturating dcgan": lambda dtype: non_saturating(dcgan_critic(dtype, True), Images(dtype), (1, 16, 16), dtype),
}


def flat(result):
    if isinstance(result, mg.Tensor):
        return [result.item()]
    return [x for part in (result.values() if isinstance(result, dict) else result) for x in flat(part)]


def build(name, dtype, captured):
    global RNG
    RNG = np.random.default_rng(0)
    mg.manual_seed(0)
    step, modules = STEPS[name](dtype)
    return (capture(step) if captured else step), modules


@pytest.mark.parametrize("name", STEPS)
def test_captured_equals_eager(name):
    """Ten steps in float64: every result, weight and running statistic to 1e-6 relative. Sums of one weight's gradients
    may change their order, so not by bits."""
    (eager, ours), (replayed, theirs) = (build(name, np.float64, captured) for captured in (False, True))
    for _ in range(10):
        np.testing.assert_allclose(flat(replayed()), flat(eager()), rtol=1e-6, atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        for (key, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert np.abs(x - y).max() <= 1e-6 * max(np.abs(x).max(), 1e-3), key
    assert len(replayed.plans) == 1


@pytest.mark.parametrize("name", STEPS)
def test_a_plan_made_anew_repeats_the_same_bits(name):
    """Recording in the middle of a run leaves no trace: the plan runs the step it was recorded at, too."""
    (once, ours), (again, theirs) = (build(name, np.float32, captured=True) for _ in range(2))
    for k in range(4):
        if k == 2:
            again.plans.clear()
        assert flat(once()) == flat(again())
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert x.tobytes() == y.tobytes()


def test_new_data_learning_rates_and_shapes():
    """Data is copied in, settings of an optimiser are read at every call, a new shape is recorded anew."""
    w, x = nn.Parameter(np.ones(3)), mg.tensor(np.arange(3.0))
    sgd = optim.SGD([w], lr=1.0)

    @capture
    def step():
        sgd.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        sgd.step()
        return loss

    assert step().item() == 3 and w.tolist() == [1, 0, -1]
    x.assign(np.array([1.0, 1.0, 1.0]))
    sgd.param_groups[0]["lr"] = 0.5
    assert step().item() == 0 and w.tolist() == [0.5, -0.5, -1.5]
    assert w.grad.tolist() == [1, 1, 1] and len(step.plans) == 1
    x.data = np.array([2.0])
    assert step().item() == -3 and w.tolist() == [-0.5, -1.5, -2.5]
    assert len(step.plans) == 2


def test_a_tensor_of_another_name_is_noticed():
    x = mg.tensor([1.0])
    step = capture(lambda: x * 2)
    assert step().item() == 2
    x = mg.tensor([5.0])
    assert step().item() == 10


def test_modes_and_flags_are_noticed():
    layer, x = nn.BatchNorm1d(2), mg.tensor(np.random.default_rng(0).standard_normal((8, 2)), dtype="float32")
    step = capture(lambda: layer(x).sum())
    step()
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    step()
    assert layer.num_batches_tracked.item() == 1 and len(step.plans) == 2
    layer.train()
    step()
    assert layer.num_batches_tracked.item() == 2 and len(step.plans) == 2
    w = nn.Parameter(np.ones(2))
    both = capture(lambda: mg.grad((w * w).sum(), w)[0] if w.requires_grad else w.sum())
    assert both().tolist() == [2, 2]
    w.requires_grad_(False)
    assert both().item() == 2


def test_gradients_accumulate_as_eagerly():
    w = nn.Parameter(np.ones(2))
    step = capture(lambda: (w * 3).sum().backward())
    for k in range(1, 6):
        step()
        assert w.grad.tolist() == [3 * k, 3 * k]
    assert len(step.plans) == 2


def test_gradients_of_a_layer_used_three_times_add_up_in_place():
    """A linear layer applied to three batches, one through its input gradient: no sum of weight-sized arrays is left in
    the plan, and the gradient is the eager one to float64's rounding."""
    layer = nn.Linear(6, 4, bias=False).to(mg.float64)
    head = nn.Linear(4, 1, bias=False).to(mg.float64)
    real, fake = (mg.tensor(RNG.standard_normal((5, 6))) for _ in range(2))
    mixed = mg.tensor(RNG.standard_normal((5, 6)), requires_grad=True)

    def step():
        layer.zero_grad()
        (slope,) = mg.grad(head(layer(mixed).relu()).sum(), mixed, create_graph=True)
        loss = head(layer(fake).relu()).mean() - head(layer(real).relu()).mean() + (slope**2).sum()
        loss.backward(inputs=[layer.weight])
        return loss

    step()
    eager = layer.weight.grad.numpy().copy()
    captured = capture(step)
    captured()
    np.testing.assert_allclose(layer.weight.grad.numpy(), eager, rtol=1e-12, atol=1e-14)
    left = [s for s in captured.plans[0].program if s.outputs and s.outputs[0].shape in {(4, 6), (6, 4)}]
    assert "add" not in {s.op.name for s in left} and "matmul" in {s.op.name for s in left}


def test_random_numbers_are_drawn_anew_and_continue_the_stream():
    draws, same = mg.Generator(7), mg.Generator(7)
    step = capture(lambda: mg.randn(4, generator=draws))
    for _ in range(3):
        assert step().tolist() == mg.randn(4, generator=same).tolist()
    assert draws.state_dict() == same.state_dict()


def test_results_are_their_own():
    x = mg.tensor([1.0])
    step = capture(lambda: {"twice": x * 2, "rest": (x, None, 3, [x + 1])})
    first = step()
    x.assign(np.array([4.0], np.float32))
    second = step()
    assert first["twice"].item() == 2 and second["twice"].item() == 8 and first["rest"][3][0].item() == 2
    assert second["rest"][:3] == (x, None, 3) and not first["twice"].requires_grad


INFO = data.Info("noise", "random images", "none", 64, (32, 32, 1), 0, 0)
LOSS = nn.Parameter(np.ones(2))
REFUSED = {
    "branch": lambda: LOSS * 2 if LOSS.sum() > 1 else LOSS,
    "item": lambda: LOSS.sum().item(),
    "float": lambda: float((LOSS * 2).sum()),
    "data": lambda: mg.tensor(1.0) * float(LOSS.data.max()),
    "numpy": lambda: np.abs((LOSS.detach() * 2).numpy()),
    "array": lambda: LOSS * mg.tensor(np.random.rand(2)),
    "leaf": lambda: LOSS * mg.Tensor(np.ones(2)),
    "assign": lambda: LOSS.assign(np.zeros(2)),
    "print": lambda: repr(LOSS * 2),
    "index": lambda: [1, 2, 3][mg.argmax(LOSS).item()],
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_line(name):
    """What a replay could not repeat is an error that quotes its line, and nothing has changed."""
    before = LOSS.data.copy()
    with pytest.raises(CaptureError, match=rf'test_capture.py:\d+: "{name}": lambda') as caught:
        capture(REFUSED[name])()
    assert "capture: " in str(caught.value)
    assert LOSS.tolist() == before.tolist() and LOSS.grad is None
    assert isinstance(LOSS.data, np.ndarray) and (LOSS * 2).sum().item() == 4


def test_an_error_in_a_step_leaves_everything_as_it_was():
    w, draws = nn.Parameter(np.ones(2)), mg.Generator(1)
    sgd = optim.SGD([w], lr=1.0)

    def step():
        w.requires_grad_(False)
        w.requires_grad_(True)
        mg.randn(3, generator=draws)
        (w * 2).sum().backward()
        sgd.step()
        return w @ mg.tensor([1.0, 2.0, 3.0], dtype="float64")

    with pytest.raises(ValueError, match="matmul"):
        capture(step)()
    assert w.tolist() == [1, 1] and w.grad is None and w.requires_grad and draws.step == 0
    with pytest.raises(TypeError, match="capture"):
        capture(3)


def test_two_threads_share_one_step():
    w = nn.Parameter(np.zeros(1))
    sgd = optim.SGD([w], lr=1.0)

    def count():
        sgd.zero_grad()
        (w * -1.0).sum().backward()
        sgd.step()

    step = capture(count)
    threads = [threading.Thread(target=lambda: [step() for _ in range(50)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert w.item() == 200


def test_another_thread_is_eager_while_one_records():
    seen = []

    def step():
        other = threading.Thread(target=lambda: seen.append((mg.tensor([1.0]) * 2).item()))
        other.start()
        other.join()
        return mg.tensor([2.0]) * 2

    assert capture(step)().item() == 4 and seen == [2.0]


def test_nothing_is_left_behind():
    """A captured step that is dropped gives its arena back without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        x = mg.tensor(np.ones((4, 4)))
        step = capture(lambda: (x @ x).sum())
        step()
        before = len([t for t in gc.get_objects() if isinstance(t, mg.Tensor)])
        for _ in range(3):
            step()
        assert len([t for t in gc.get_objects() if isinstance(t, mg.Tensor)]) == before
    finally:
        gc.enable()


def test_training_captured_and_eager_agree(tmp_path):
    """The trainer's figures over three steps, captured and eager: float32, so to 1e-3."""
    images = RNG.integers(0, 255, (64, 32, 32, 1)).astype(np.uint8)
    rows = []
    for captured in (True, False):
        options = options_for("wgan-gp", batch_size=8, base=8, n_critic=2, capture=captured)
        trainer = Trainer(options, Dataset(INFO, images, None, None, np.arange(64), np.arange(0)))
        rows.append([list(trainer.step().values()) for _ in range(3)])
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_replays(tmp_path):
    x = mg.tensor(np.ones((64, 64)), dtype="float32")
    step = capture(lambda: (x @ x).sum())
    expected = step().item()
    child = os.fork()
    if child == 0:
        os._exit(0 if step().item() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("name", ["wgan-gp", "dcgan"])
def test_a_trainer_records_each_player_once(name):
    """What a trainer counts beside its steps (steps, batches, draws) is no reason to record anew."""
    images = RNG.integers(0, 255, (64, 32, 32, 1)).astype(np.uint8)
    options = options_for(name, batch_size=4, base=4)
    trainer = Trainer(options, Dataset(INFO, images, None, None, np.arange(64), np.arange(0)))
    for _ in range(3):
        trainer.step()
    assert [len(player.gradients.plans) for player in trainer.players.values()] == [1, 1]


def test_an_error_in_a_replay_names_the_op_and_its_shapes():
    """As outside of one; the next replay goes on."""
    table = mg.tensor(np.arange(15.0, dtype=np.float32).reshape(5, 3)).requires_grad_()
    rows = mg.tensor(np.array([0, 1, 2]))

    @mg.capture
    def step():
        return mg.grad((mg.tanh(table)[rows] ** 2).sum(), [table])[0]

    expected = step().numpy().copy()
    rows.assign(np.array([0, 1, 9]))
    for run in (step, step, lambda: table[rows]):
        with pytest.raises(IndexError, match=r"^index: index 9 is out of bounds .*\(input shapes \(5, 3\), \(3,\)\)$"):
            run()
    rows.assign(np.array([0, 1, 2]))
    np.testing.assert_array_equal(step().numpy(), expected)
