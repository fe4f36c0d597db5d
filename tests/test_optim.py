"""Optimisers follow torch.optim's trajectories; their state survives a round trip; clipping; the average of the
weights."""

import copy
import pickle

import numpy as np
import pytest

import minigan as mg
from minigan import kernels, nn, optim

RNG = np.random.default_rng(1)

OPTIMISERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.2}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"lr": 5e-3}),
    ("RMSprop", {"lr": 5e-3, "momentum": 0.5, "weight_decay": 0.1, "alpha": 0.9}),
    ("Adam", {"lr": 1e-2}),
    ("Adam", {"lr": 1e-2, "betas": (0.0, 0.9), "weight_decay": 0.1}),
    ("AdamW", {"lr": 1e-2}),
]


@pytest.mark.parametrize(("name", "settings"), OPTIMISERS, ids=lambda v: v if isinstance(v, str) else ",".join(v))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trajectory_equals_torch(name, settings, dtype, torch):
    """Thirty steps on the same quadratic; the tolerance is the dtype's rounding, thirty times."""
    start, target = RNG.standard_normal((6, 5)).astype(dtype), RNG.standard_normal((6, 5)).astype(dtype)
    p, t = nn.Parameter(start), torch.nn.Parameter(torch.tensor(start))
    ours, theirs = getattr(optim, name)([p], **settings), getattr(torch.optim, name)([t], **settings)
    for _ in range(30):
        ours.zero_grad(), theirs.zero_grad()
        ((p - mg.tensor(target)) ** 2).sum().backward()
        ((t - torch.tensor(target)) ** 2).sum().backward()
        ours.step(), theirs.step()
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "settings"), OPTIMISERS, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_state_round_trip_is_exact(name, settings):
    """Ten steps equal five, a state dict carried to a new optimiser, and five more, bit for bit."""

    def run(p, optimiser, steps):
        for step in steps:
            p.grad = mg.tensor(np.random.default_rng(step).standard_normal(p.shape).astype("f"))
            optimiser.step()

    start = RNG.standard_normal((4, 3)).astype("f")
    p = nn.Parameter(start)
    run(p, getattr(optim, name)([p], **settings), range(10))
    q = nn.Parameter(start)
    first = getattr(optim, name)([q], **settings)
    run(q, first, range(5))
    second = getattr(optim, name)([q], lr=123.0)
    second.load_state_dict(first.state_dict())
    run(q, second, range(5, 10))
    assert (p.data == q.data).all()


def test_parameter_groups_and_missing_gradients():
    """Groups override the defaults; a parameter without a gradient is left alone, its state too."""
    a, b, c = (nn.Parameter(np.ones(3)) for _ in range(3))
    sgd = optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b, c]}], lr=0.1)
    a.grad = b.grad = mg.tensor(np.ones(3))
    sgd.step()
    assert (a.data[0], b.data[0], c.data[0]) == pytest.approx((0.0, 0.9, 1.0))
    assert len(sgd.state_dict()["state"]) == 2


def test_clip_grad_norm_is_torch_s(torch):
    """It scales all gradients by one factor and returns their norm."""
    params = [nn.Parameter(RNG.standard_normal(s)) for s in ((3, 2), (5,))]
    theirs = [torch.nn.Parameter(torch.tensor(p.data)) for p in params]
    for p, t in zip(params, theirs, strict=True):
        g = RNG.standard_normal(p.shape) * 3
        p.grad, t.grad = mg.tensor(g), torch.tensor(g)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.5)
    assert float(optim.clip_grad_norm_(params, 1.5)) == pytest.approx(float(expected))
    for p, t in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.grad.data, t.grad.numpy(), rtol=1e-12)


def test_clipping():
    """clip_grad_norm_ shortens the vector of all gradients; the others limit element by element."""
    params = [nn.Parameter(RNG.standard_normal(s)) for s in ((3, 2), (5,))]
    grads = [RNG.standard_normal(p.shape) * 3 for p in params]
    for p, g in zip(params, grads, strict=True):
        p.grad = mg.tensor(g)
    norm = np.sqrt(sum(np.square(g).sum() for g in grads))
    assert float(optim.clip_grad_norm_(params, 1.5)) == pytest.approx(norm)
    for p, g in zip(params, grads, strict=True):
        np.testing.assert_allclose(p.grad.data, g * 1.5 / norm, rtol=1e-6)
    optim.clip_grad_value_(params, 0.1)
    assert max(np.abs(p.grad.data).max() for p in params) == 0.1
    optim.clip_weights_(params, 0.01)
    assert max(np.abs(p.data).max() for p in params) == 0.01
    with pytest.raises(ValueError, match="must be positive"):
        optim.clip_weights_(params, 0)


def test_a_step_outdates_what_was_recorded():
    """Backward through a graph recorded before the step is refused, naming the op; through views as well."""
    p = nn.Parameter(np.ones((2, 2)))
    sgd = optim.SGD([p], lr=0.1)
    direct, view = (p * p).sum(), (p.reshape(4)[1:] ** 3).sum()
    p.grad = mg.tensor(np.ones((2, 2)))
    sgd.step()
    for stale, op in ((direct, "mul"), (view, "pow")):
        with pytest.raises(RuntimeError, match=f"{op}: input 0 .* was changed in place"):
            stale.backward()
    assert optim.clip_weights_([p], 0.5) is None
    (p * p).sum().backward()


def test_weight_average():
    """The average follows (1 + t) / (10 + t) up to its decay, copies the buffers, and is never trained."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2))
    average = optim.WeightAverage(net, 0.9)
    expected = net[0].weight.data.copy()
    for t in range(1, 200):
        net[0].weight.assign(RNG.standard_normal((2, 2)))
        factor = min(0.9, (1 + t) / (10 + t))
        expected += (net[0].weight.data - expected) * np.float32(1 - factor)
        net(mg.tensor(RNG.standard_normal((4, 2)).astype("f")))
        average.update(net)
        np.testing.assert_allclose(average.module[0].weight.data, expected, rtol=1e-4, atol=1e-6)
    assert (average.module[1].running_mean.data == net[1].running_mean.data).all()
    assert not any(p.requires_grad for p in average.module.parameters())


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda things: pickle.loads(pickle.dumps(things))}


@pytest.mark.parametrize("twin_of", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize(("name", "settings"), OPTIMISERS, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_copies_of_a_network_and_its_optimiser_train_on_alike(name, settings, twin_of):
    """Copied together, with an average of the weights, they go on as the originals do, to the bit, and apart from
    them."""
    mg.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    average, optimiser = optim.WeightAverage(net, 0.9), getattr(optim, name)(net.parameters(), **settings)
    x = mg.tensor(RNG.standard_normal((5, 3)).astype("f"))

    def train(net, optimiser, average):
        for _ in range(3):
            optimiser.zero_grad()
            (net(x) ** 2).mean().backward()
            optimiser.step()
            average.update(net)

    def weights(net, optimiser, average):
        return [p.data.copy() for p in (*net.parameters(), *average.module.parameters())]

    ours = net, optimiser, average
    train(*ours)
    before = weights(*ours)
    twins = twin_of(ours)
    train(*twins)
    assert all((a == b).all() for a, b in zip(weights(*ours), before, strict=True))
    train(*ours)
    assert all((a == b).all() for a, b in zip(weights(*ours), weights(*twins), strict=True))
    assert len(twins[1].state) == len(optimiser.state)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda p: optim.SGD([p], lr=-1), ValueError, "must not be negative"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda p: optim.Adam([p, p]), ValueError, "twice"),
        (lambda p: optim.Adam([p * 2]), ValueError, "leaf"),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    """Settings that cannot work are refused when the optimiser is made."""
    with pytest.raises(error, match=match):
        make(nn.Parameter(np.ones(3)))


RULES = {
    "sgd maximize": lambda o, p: o.SGD(p, 0.05, momentum=0.9, weight_decay=0.1, maximize=True),
    "adam amsgrad": lambda o, p: o.Adam(p, 0.05, amsgrad=True, weight_decay=0.1),
    "adamw amsgrad": lambda o, p: o.AdamW(p, 0.05, (0.5, 0.9), amsgrad=True),
    "rmsprop centered": lambda o, p: o.RMSprop(p, 0.01, centered=True, weight_decay=0.1),
    "rmsprop centered, momentum": lambda o, p: o.RMSprop(p, 0.01, centered=True, momentum=0.5),
}


def _slopes(t):
    """Gradients that grow and shrink again, so that the largest square is not the newest."""
    return np.random.default_rng(t).normal(size=(3, 4)) * (5.0 if t == 3 else 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_further_rules_are_torchs_and_resume(name, dtype, torch):
    start = np.random.default_rng(9).normal(size=(3, 4)).astype(dtype)
    x, y = mg.tensor(start, requires_grad=True), torch.tensor(start.copy(), requires_grad=True)
    ours, theirs = RULES[name](optim, [x]), RULES[name](torch.optim, [y])
    for t in range(8):
        x.grad, y.grad = mg.tensor(_slopes(t).astype(dtype)), torch.tensor(_slopes(t).astype(dtype))
        ours.step()
        theirs.step()
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-5 if dtype == np.float32 else 1e-12)
        if t == 4:  # go on with another optimiser
            state, ours = ours.state_dict(), RULES[name](optim, [x])
            ours.load_state_dict(state)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_a_run_goes_on_from_the_state_of_torchs(name, torch):
    start = np.random.default_rng(9).normal(size=(3, 4))
    x, y = mg.tensor(start, requires_grad=True), torch.tensor(start.copy(), requires_grad=True)
    settings = {"lr": 0.01} | ({"momentum": 0.9} if name in ("SGD", "RMSprop") else {})
    theirs, ours = getattr(torch.optim, name)([y], **settings), getattr(optim, name)([x], **settings)
    for t in range(6):
        y.grad = torch.tensor(_slopes(t))
        theirs.step()
        if t == 2:
            x.assign(y.detach().numpy())
            ours.load_state_dict(theirs.state_dict())
        elif t > 2:
            x.grad = mg.tensor(_slopes(t))
            ours.step()
            np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-12)
    assert ours.state_dict()["state"][0].keys() <= theirs.state_dict()["state"][0].keys()


LAYOUTS = {
    "Fortran": lambda a: np.asfortranarray(a),
    "permuted": lambda a: np.ascontiguousarray(a.transpose(2, 0, 3, 1)).transpose(1, 3, 0, 2),
    "sliced": lambda a: np.repeat(a, 2, 1)[:, ::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, :, ::-1])[::-1, :, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "rule",
    [
        lambda p: optim.SGD(p, 0.1, momentum=0.9),
        lambda p: optim.RMSprop(p, 0.1, momentum=0.5),
        lambda p: optim.Adam(p, 0.1),
        lambda p: optim.Adam(p, 0.1, amsgrad=True),
    ],
    ids=["sgd", "rmsprop", "adam", "amsgrad"],
)
def test_a_parameter_may_lie_in_memory_in_any_order(rule, layout):
    rng = np.random.default_rng(0)
    values, slopes = (rng.normal(size=(2, 3, 4, 5)).astype(np.float32) for _ in range(2))
    plain, other = mg.tensor(values, requires_grad=True), mg.Tensor(LAYOUTS[layout](values)).requires_grad_()
    steps = [rule([plain]), rule([other])]
    for t in range(4):
        for p, optimizer in zip((plain, other), steps, strict=True):
            p.grad = mg.tensor(slopes if p is plain or t % 2 else np.asfortranarray(slopes))
            optimizer.step()
        if t == 1:
            state = steps[1].state_dict()
            steps[1] = rule([other])
            steps[1].load_state_dict(state)
    assert (plain.data == other.data).all()
    optim.clip_weights_([plain, other], 0.2)
    assert (plain.data == other.data).all() and abs(other.data).max() == np.float32(0.2)


def test_groups_names_and_closures():
    x, w = mg.tensor([1.0], requires_grad=True), mg.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([("x", x)], lr=0.5, momentum=0.9)
    optimizer.add_param_group({"params": w, "lr": 0.25})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.25] and optimizer.param_groups[1]["momentum"] == 0.9

    def closure():
        optimizer.zero_grad()
        loss = (x * w).sum()
        loss.backward()
        return loss

    with mg.no_grad():
        assert optimizer.step(closure).item() == 2.0
    assert x.tolist() == [0.0] and w.tolist() == [1.75]
    with pytest.raises(ValueError, match="SGD: a parameter is given twice"):
        optimizer.add_param_group({"params": [x]})
    with pytest.raises(ValueError, match="can only optimise leaf tensors"):
        optimizer.add_param_group({"params": [x * 2]})
    assert len(optimizer.param_groups) == 2
    with pytest.raises(TypeError, match=r"SGD: params are tensors in a list, not one tensor; write \[x\]"):
        optim.SGD(x, lr=0.1)
    with pytest.raises(ValueError, match=r"repeats its numbers in memory; clone\(\) it"):
        optim.SGD([mg.zeros(1).expand(3).requires_grad_()], lr=0.1)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop])
def test_one_number_can_be_maximised(kind):
    p = nn.Parameter(np.float32(1))
    optimiser = kind([p], lr=0.1, maximize=True)
    for _ in range(2):
        optimiser.zero_grad()
        (p * p).backward()
        optimiser.step()
    assert p.item() > 1 and p.shape == ()


def test_a_state_is_loaded_in_its_parameter_s_dtype():
    """Of float64 into float32, as in PyTorch; the next step goes on."""
    wide, narrow = (nn.Parameter(np.ones((2, 3), dtype)) for dtype in (np.float64, np.float32))
    optimisers = [optim.Adam([p]) for p in (wide, narrow)]
    (wide * wide).sum().backward()
    optimisers[0].step()
    optimisers[1].load_state_dict(optimisers[0].state_dict())
    (narrow * narrow).sum().backward()
    optimisers[1].step()
    state = optimisers[1].state_dict()["state"][0]
    assert state["exp_avg"].dtype == np.float32 and state["step"] == 2


@pytest.mark.parametrize("amsgrad", [False, True])
def test_a_state_of_torchs_says_how_weights_decay(amsgrad, torch):
    """Its Adam has a setting for what AdamW does; the state carries it over."""
    start = np.random.default_rng(9).normal(size=(3, 4))
    x, y = mg.tensor(start, requires_grad=True), torch.tensor(start.copy(), requires_grad=True)
    settings = {"lr": 0.1, "weight_decay": 0.5, "amsgrad": amsgrad}
    theirs, ours = torch.optim.Adam([y], decoupled_weight_decay=True, **settings), optim.Adam([x], lr=0.2)
    for t in range(5):
        y.grad = torch.tensor(_slopes(t))
        theirs.step()
        if t == 1:
            x.assign(y.detach().numpy())
            ours.load_state_dict(theirs.state_dict())
        elif t > 1:
            x.grad = mg.tensor(_slopes(t))
            ours.step()
    np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-12)


def test_a_module_is_no_list_of_parameters():
    with pytest.raises(TypeError, match=r"Adam: params are tensors, not a Module; write module.parameters\(\)"):
        optim.Adam(nn.Linear(2, 2))


@pytest.mark.parametrize(("rule", "name"), [("Adam", "eps"), ("AdamW", "weight_decay"), ("SGD", "momentum")])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_negative_settings_are_refused(rule, name, value):
    with pytest.raises(ValueError, match=f"{rule}: {name} must not be negative, got {value}"):
        getattr(optim, rule)([mg.zeros(2, requires_grad=True)], **{name: value})


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_a_state_of_torchs_of_a_single_number(name, torch):
    """A moment of a 0-d parameter is no step: it stays what it is."""
    settings = {"lr": 0.1} | ({"momentum": 0.9} if name in ("SGD", "RMSprop") else {})
    y = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    theirs = getattr(torch.optim, name)([y], **settings)
    y.grad = torch.tensor(0.3, dtype=torch.float64)
    theirs.step()
    x = mg.tensor(np.float64(y.item()), requires_grad=True)
    ours = getattr(optim, name)([x], **settings)
    ours.load_state_dict(theirs.state_dict())
    x.grad, y.grad = mg.tensor(np.float64(0.5)), torch.tensor(0.5, dtype=torch.float64)
    ours.step()
    theirs.step()
    assert x.item() == pytest.approx(y.item(), rel=1e-12)


def _saved(kind, **entry):
    return {"state": {0: entry}, "param_groups": [{**kind([mg.ones(2)], lr=0.1).param_groups[0], "params": [0]}]}


TWO = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("kind", "saved", "match"),
    [
        (optim.Adam, _saved(optim.Adam, step=3), "has no exp_avg, exp_avg_sq"),
        (optim.Adam, _saved(optim.Adam, momentum_buffer=TWO), "has no step"),
        (optim.Adam, _saved(optim.Adam, step=3, exp_avg=TWO, exp_avg_sq=TWO, grad_avg=TWO), "is not Adam's"),
        (optim.Adam, _saved(optim.Adam, step=3, exp_avg=TWO[0], exp_avg_sq=TWO), r"exp_avg \(\) does not fit"),
        (optim.RMSprop, _saved(optim.RMSprop, momentum_buffer=TWO), "has no square_avg"),
        (optim.SGD, {}, "no param_groups and no state"),
        (optim.SGD, _saved(optim.SGD) | {"state": {1: {}}}, "parameter 1, there are 1"),
    ],
)
def test_a_state_that_is_not_whole_is_refused(kind, saved, match):
    p = mg.ones(2, requires_grad=True)
    rule = kind([p], lr=0.1)
    p.grad = mg.ones(2)
    rule.step()
    before = rule.state_dict()
    with pytest.raises(ValueError, match=match):
        rule.load_state_dict(saved)
    assert repr(rule.state_dict()) == repr(before)


def test_what_a_state_leaves_out_is_left_out():
    p = mg.ones(2, requires_grad=True)
    rule = optim.SGD([p], lr=0.5, momentum=0.5)
    rule.load_state_dict(_saved(optim.SGD, momentum_buffer=None))
    rule.param_groups[0]["momentum"] = 0.5
    for _ in range(2):
        p.grad = mg.ones(2)
        rule.step()
    np.testing.assert_allclose(p.detach().numpy(), 1 - 0.1 - 0.15, 1e-6)


@pytest.mark.parametrize("centered", [False, True])
def test_momentum_may_begin_later(centered):
    """RMSprop whose momentum is set after some steps has a buffer of zeros from there on."""
    p = mg.ones(4, requires_grad=True)
    rule = optim.RMSprop([p], lr=0.1, centered=centered)
    value, square, mean, buffer = 1.0, 0.0, 0.0, 0.0
    for i in range(6):
        if i == 3:
            rule.param_groups[0]["momentum"] = 0.9
        g = np.float32(0.1 * (i + 1))
        p.grad = mg.full((4,), float(g))
        rule.step()
        square, mean = 0.99 * square + 0.01 * g * g, 0.99 * mean + 0.01 * g
        move = g / (np.sqrt(square - mean * mean * centered) + 1e-8)
        buffer = 0.9 * buffer * (i > 2) + move
        value -= 0.1 * (buffer if i > 2 else move)
        np.testing.assert_allclose(p.detach().numpy(), value, 1e-4)
        buffer *= i > 2


@pytest.mark.parametrize(
    ("name", "settings"), [("sgd", (0.1, 0.9, 0, 0, False, True)), ("adam", (0.1,) * 4 + (1, 0, False))]
)
def test_a_step_counts_the_states_that_it_reads(name, settings):
    flat = kernels.optim.Flat([np.ones(2, np.float32)])
    with pytest.raises(ValueError, match=f"{name} reads . states of each parameter, there are 0"):
        getattr(flat, name)([np.ones(2, np.float32)], *settings)
