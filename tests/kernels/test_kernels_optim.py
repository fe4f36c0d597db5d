"""The optimisers' kernels: PyTorch's trajectories, in every layout, alike on all threads, many at once."""

import copy
import pickle
import weakref

import numpy as np
import pytest
from kernel_testing import DTYPES, normal, on_threads, same_bits

from minigan import kernels
from minigan.kernels.optim import Flat

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
            views[:] = last
        g = np.ascontiguousarray(g[::-1])[::-1]
        before = g.copy()
        update(views[0], g, views[1:], step)
        assert np.array_equal(g, before)
        p[...] = views[0]

    views: list = []
    assert np.array_equal(trajectory(scattered, shape, np.float32, states), expected)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_optimiser_of_one_number_and_of_none(name, shape):
    update, states, *_ = OPTIMISERS[name]
    assert trajectory(update, shape, np.float32, states).shape == shape


SHAPES = [(3, 7), (), (0, 4), (130, 257), (1,), (2, 5, 3, 3)]

STEPS_OF = {
    "sgd": (0, lambda flat, grads, step: flat.sgd(grads, 0.1, 0.0, 0.0, 0.1, False, step == 1)),
    "momentum": (1, lambda flat, grads, step: flat.sgd(grads, 0.1, 0.9, 0.3, 0.1, False, step == 1)),
    "rmsprop": (1, lambda flat, grads, step: flat.rmsprop(grads, 0.01, 0.9, 1e-8, 0.1, 0.0)),
    "rmsprop with momentum": (2, lambda flat, grads, step: flat.rmsprop(grads, 0.01, 0.9, 1e-8, 0.1, 0.9)),
    "adam": (2, lambda flat, grads, step: flat.adam(grads, 0.01, 0.5, 0.9, 1e-8, step, 0.1, False)),
    "adamw": (2, lambda flat, grads, step: flat.adam(grads, 0.01, 0.5, 0.9, 1e-8, step, 0.1, True)),
}


@pytest.fixture(params=STEPS_OF)
def flat_case(request):
    return STEPS_OF[request.param]


def many(dtype, states, shapes=SHAPES):
    """Parameters, two sets of gradients (arrays also for no axes) and zeroed states."""
    params = [np.asarray(normal(shape, i, dtype)) for i, shape in enumerate(shapes)]
    grads = [[np.asarray(normal(p.shape, 9 * k + i, dtype)) for i, p in enumerate(params)] for k in (1, 2)]
    return params, grads, [[np.zeros_like(p) for p in params] for _ in range(states)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", [SHAPES, SHAPES[:3]])
def test_many_parameters_at_once_are_each_by_itself(flat_case, dtype, shapes):
    """By bits, over four steps, with the same gradient arrays again, with their values changed, and with others."""
    states, step = flat_case
    params, grads, memory = many(dtype, states, shapes)
    alone = [Flat([p.copy()], *([m[i].copy()] for m in memory)) for i, p in enumerate(params)]
    together = Flat(params, *memory)
    for number, k in enumerate((0, 0, 1, 0), 1):
        grads[k][0] *= 1.5
        step(together, grads[k], number)
        for i, flat in enumerate(alone):
            step(flat, [grads[k][i]], number)
    for i, flat in enumerate(alone):
        same_bits([(params[i], *(m[i] for m in memory)), (flat.params[0], *(m[0] for m in flat.states))])


def test_many_parameters_on_any_number_of_threads(flat_case):
    states, step = flat_case

    def result():
        params, grads, memory = many(np.float32, states)
        step(Flat(params, *memory), grads[0], 1)
        return params

    same_bits(on_threads(result))


def test_gradients_that_lie_otherwise_than_their_parameters(flat_case):
    """They are read afresh at every step, and not written to."""
    states, step = flat_case
    params, grads, memory = many(np.float32, states)
    others = [p.copy() for p in params], [[s.copy() for s in m] for m in memory]
    plain, turned = Flat(params, *memory), Flat(others[0], *others[1])
    fortran = [np.array(g, order="F") for g in grads[0]]
    for number in (1, 2):
        for g, f in zip(grads[0], fortran, strict=True):
            g *= 2
            f *= 2
        step(plain, grads[0], number)
        step(turned, fortran, number)
    same_bits([params, others[0]])
    same_bits([grads[0], fortran])


def test_a_permuted_parameter_among_others(flat_case):
    states, step = flat_case
    params, grads, memory = many(np.float32, states)
    turned = [np.array(p, order="F") for p in params], [[np.array(s, order="F") for s in m] for m in memory]
    step(Flat(params, *memory), grads[0], 1)
    step(Flat(turned[0], *turned[1]), grads[0], 1)
    same_bits([params, turned[0]])


def test_a_copy_of_many_parameters_updates_itself_only():
    params, grads, memory = many(np.float32, 2)
    flat = Flat(params, *memory)
    flat.adam(grads[0], 0.01, 0.5, 0.9, 1e-8, 1, 0.0, False)
    before = [p.copy() for p in params]
    for twin in (copy.deepcopy(flat), pickle.loads(pickle.dumps(flat))):
        twin.adam(grads[0], 0.01, 0.5, 0.9, 1e-8, 2, 0.0, False)
        same_bits([params, before])
        assert not np.array_equal(twin.params[0], before[0])


def test_gradients_are_not_kept_alive():
    """And another array at the address of one that is gone is not mistaken for it."""
    p = np.zeros(1000, np.float32)
    flat = Flat([p])
    for value in range(1, 6):
        g = np.full(1000, value, np.float32)
        reference = weakref.ref(g)
        flat.sgd([g], 1.0, 0.0, 0.0, 0.0, False, False)
        del g
        assert reference() is None
    assert np.array_equal(p, np.full(1000, -15))


def test_many_parameters_say_what_does_not_fit():
    p = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="differ in dtype: float32 and float64"):
        Flat([p, p.astype(np.float64)])
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        Flat([p], [p.T])
    with pytest.raises(ValueError, match="zip"):
        Flat([p], [])
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        Flat([p]).sgd([p.T], 0.1, 0, 0, 0, False, True)
    Flat([]).sgd([], 0.1, 0, 0, 0, False, True)


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
