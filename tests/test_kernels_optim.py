"""The optimisers' kernels: PyTorch's trajectories, in every layout, alike on all threads."""

import numpy as np
import pytest
from kernel_testing import DTYPES, normal, on_threads, same_bits

from minigan import kernels

STEPS = 20


def trajectory(update, shape, dtype, states):
    """p after STEPS times update(p, g, states, step), g being the gradient of a fixed quadratic."""
    p, scale = normal(shape, 0, dtype), normal(shape, 1, dtype) ** 2
    memory = [np.zeros_like(p) for _ in range(states)]
    for step in range(1, STEPS + 1):
        update(p, scale * p, memory, step)
    return p


def torch_trajectory(optimiser, shape, dtype, **options):
    torch = pytest.importorskip("torch")
    p = torch.nn.Parameter(torch.from_numpy(normal(shape, 0, dtype)))
    scale = torch.from_numpy(normal(shape, 1, dtype) ** 2)
    optimiser = getattr(torch.optim, optimiser)([p], foreach=False, **options)
    for _ in range(STEPS):
        p.grad = (scale * p).detach()
        optimiser.step()
    return p.detach().numpy()


def sgd(momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    def update(p, g, memory, step):
        buf = memory[0] if memory else None
        kernels.optim.sgd(p, g, buf, 0.1, momentum, dampening, weight_decay, nesterov, step == 1)

    options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
    return update, int(momentum > 0), "SGD", {"lr": 0.1, "weight_decay": weight_decay, **options}


def rmsprop(momentum=0.0, weight_decay=0.0):
    def update(p, g, memory, step):
        sq, buf = (*memory, None)[:2]
        kernels.optim.rmsprop(p, g, sq, 0.01, 0.9, 1e-8, weight_decay, buf, momentum)

    options = {"lr": 0.01, "alpha": 0.9, "weight_decay": weight_decay, "momentum": momentum}
    return update, 1 + (momentum > 0), "RMSprop", options


def adam(name="Adam", betas=(0.9, 0.999), weight_decay=0.0):
    def update(p, g, memory, step):
        kernels.optim.adam(p, g, *memory, 0.01, *betas, 1e-8, step, weight_decay, name == "AdamW")

    return update, 2, name, {"lr": 0.01, "betas": betas, "weight_decay": weight_decay}


OPTIMISERS = {
    "sgd": sgd(),
    "sgd with decay": sgd(weight_decay=0.1),
    "momentum": sgd(momentum=0.9),
    "momentum, dampened": sgd(momentum=0.9, dampening=0.3, weight_decay=0.1),
    "nesterov": sgd(momentum=0.9, weight_decay=0.1, nesterov=True),
    "rmsprop": rmsprop(),
    "rmsprop with momentum": rmsprop(momentum=0.9, weight_decay=0.1),
    "adam": adam(),
    "adam of a critic": adam(betas=(0.0, 0.9), weight_decay=0.1),
    "adamw": adam("AdamW", weight_decay=0.1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser_follows_torch(name, dtype):
    """Twenty steps; the difference is the rounding of another order of operations, accumulated."""
    update, states, torch_name, options = OPTIMISERS[name]
    ours = trajectory(update, (7, 5, 3, 3), dtype, states)
    theirs = torch_trajectory(torch_name, (7, 5, 3, 3), dtype, **options)
    assert np.isfinite(ours).all()
    assert abs(ours - theirs).max() < {np.float32: 1e-6, np.float64: 1e-12}[dtype]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser_has_the_same_bits_on_any_number_of_threads_and_in_any_layout(name):
    update, states, *_ = OPTIMISERS[name]
    shape = (30, 20, 10, 9)
    expected = trajectory(update, shape, np.float32, states)
    same_bits(on_threads(lambda: (trajectory(update, shape, np.float32, states),)))

    def scattered(p, g, memory, step):
        """The same update with the parameter channels last and the gradient reversed in memory."""
        if step == 1:
            last = [np.moveaxis(np.ascontiguousarray(np.moveaxis(v, 1, -1)), -1, 1) for v in (p, *memory)]
            held[:] = last
        g = np.ascontiguousarray(g[::-1])[::-1]
        before = g.copy()
        update(held[0], g, held[1:], step)
        assert np.array_equal(g, before)
        p[...] = held[0]

    held: list = []
    assert np.array_equal(trajectory(scattered, shape, np.float32, states), expected)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_optimiser_of_one_number_and_of_none(name, shape):
    update, states, *_ = OPTIMISERS[name]
    assert trajectory(update, shape, np.float32, states).shape == shape


def test_first_momentum_step_does_not_read_the_buffer():
    p, g = np.ones(3), np.full(3, 2.0)
    buf = np.full(3, np.nan)
    kernels.optim.sgd(p, g, buf, 0.5, 0.9, 0.3, 0.0, False, True)
    assert np.array_equal(buf, g)
    assert np.array_equal(p, np.zeros(3))


def test_optimiser_says_what_does_not_fit():
    p = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"optim: parameter float32 \(2, 3\), .* float64 \(2, 3\)"):
        kernels.optim.sgd(p, np.zeros((2, 3)), None, 0.1, 0, 0, 0, False, True)
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        kernels.optim.rmsprop(p, p.copy(), np.zeros((3, 2), np.float32), 0.1, 0.9, 1e-8, 0, None, 0)
    with pytest.raises(ValueError, match="cannot write into"):
        kernels.optim.sgd(np.zeros((2, 6), np.float32)[:, ::2], p, None, 0.1, 0, 0, 0, False, True)
