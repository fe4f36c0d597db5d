"""Lines that a PyTorch user types: each runs here as it stands, with torch's value, dtype, shape and gradient.

A line of torch_lines.txt is run twice, with `T` minigan and with `T` torch, on the same numbers, and what it leaves in
`out` is compared; so is the gradient of the sum of its squares by the leaves `x` and `w`, where there is one. `out` may
hold tensors, numbers, texts and kinds of exceptions, in tuples, lists and dicts.
"""

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest

import minigan as mg

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], np.float32)
W = np.array([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]], np.float32)


class World:
    """What the lines share: small functions that are the same in both libraries."""

    @staticmethod
    def linear(T):
        layer = T.nn.Linear(3, 2)
        layer.load_state_dict(
            {"weight": T.tensor(np.ascontiguousarray(W.T)), "bias": T.tensor(np.array([0.5, -0.5], np.float32))}
        )
        return layer

    @staticmethod
    def recompute(T):
        if T is mg:
            return mg.recompute
        from torch.utils.checkpoint import checkpoint

        return lambda function, *args: checkpoint(function, *args, use_reentrant=False)

    @staticmethod
    def refused(kind, line):
        try:
            answer = line()
        except kind as error:
            assert str(error), "an error without words"
            return kind
        return answer

    @staticmethod
    def nested(T, mode):
        states = []
        with mode:
            with T.enable_grad():
                with mode:
                    states.append(T.is_grad_enabled())
                states.append(T.is_grad_enabled())
            states.append(T.is_grad_enabled())
        return [*states, T.is_grad_enabled()]

    @staticmethod
    def generator(T, mode):
        @mode
        def states():
            got = yield T.is_grad_enabled()
            while got:
                got = yield T.is_grad_enabled()

        g = states()
        rows = [next(g), T.is_grad_enabled(), g.send(True), T.is_grad_enabled()]
        g.close()
        return [*rows, T.is_grad_enabled()]

    @staticmethod
    def closure(x):
        x.grad = None
        loss = (x * x).sum()
        loss.backward()
        return loss

    @staticmethod
    def steps(T, optimizer, x, w):
        for t in range(5):
            optimizer.zero_grad()
            loss = ((x * (t + 1)).exp() if t % 2 else x * x).sum()
            if w is not None:
                loss = loss + (w**3).sum()
            loss.backward()
            optimizer.step()
        return (x.detach(),) if w is None else (x.detach(), w.detach())

    @staticmethod
    def rates(optimizer, scheduler):
        rates = [optimizer.param_groups[0]["lr"]]
        for _ in range(7):
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr()[0])
        return rates


HELPERS = {name: getattr(World, name) for name in vars(World) if not name.startswith("_")}


def outcome(line, T):
    """(what the line leaves in `out`, the gradients of its sum by x and w), in numbers."""
    env = {**HELPERS, "T": T, "np": np, "copy": copy}
    env["x"], env["w"] = T.tensor(X.copy(), requires_grad=True), T.tensor(W.copy(), requires_grad=True)
    env["y"], env["i"] = T.tensor(X.copy()), T.tensor(np.array([0, 1, 2]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(line, env)
        out = env["out"]
        leaves = [t for t in (env["x"], env["w"]) if t.grad is None and t.requires_grad]
        parts = [t for t in flat(out) if is_tensor(t) and t.requires_grad and not any(t is leaf for leaf in leaves)]
        if parts and leaves:
            total = sum(((t * t).sum() for t in parts if t.shape), sum(t * t for t in parts if not t.shape))
            if T.is_grad_enabled() and total.requires_grad:
                total.backward()
    return plain(out), [plain(t.grad) for t in (env["x"], env["w"])]


def is_tensor(value):
    return hasattr(value, "requires_grad") and hasattr(value, "tolist")


def flat(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [t for part in value for t in flat(part)] if isinstance(value, (tuple, list)) else [value]


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if is_tensor(value):
        array = value.detach()
        return array.numpy().copy()
    dtype = str(value)
    return dtype.removeprefix("torch.") if dtype.startswith("torch.") or isinstance(value, np.dtype) else value


def compare(ours, theirs, where="out"):
    if isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray), (where, ours, theirs)
        assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
        assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6, err_msg=where)
    elif isinstance(theirs, (list, dict)):
        assert len(ours) == len(theirs), (where, ours, theirs)
        for key in theirs if isinstance(theirs, dict) else range(len(theirs)):
            compare(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6), where
    else:
        assert ours == theirs, (where, ours, theirs)


def cases():
    """The lines of torch_lines.txt, under the heading of their section."""
    section = ""
    for line in (Path(__file__).parent / "torch_lines.txt").read_text().splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif line:
            yield pytest.param(line, id=f"{section}: {line[:60]}")


@pytest.mark.parametrize("line", list(cases()))
def test_a_line_does_what_it_does_in_torch(line):
    import torch

    theirs, ours = outcome(line, torch), outcome(line, mg)
    compare(ours[0], theirs[0])
    compare(ours[1], theirs[1], "gradients")


@pytest.mark.parametrize(
    "line",
    [
        "h[0] = 0",
        "h[0] = x[0]",
        "h[h < 0] = 0.0",
        "h[:, 0] *= 3",
        "h.clamp_(-1, 1)",
        "h.mul_(x)",
        "h.zero_()",
        "h.copy_(x)",
        "y.add_(x)",
        "y[0] = x[0]",
    ],
)
def test_what_torch_records_and_minigan_refuses(line):
    """A change in place that has a gradient: the message says how to write it."""
    x, y = mg.tensor(X, requires_grad=True), mg.tensor(X)
    env = {"x": x, "y": y, "h": x * 2}
    before = env["h"].detach().clone()
    with pytest.raises(RuntimeError, match=r"not recorded.*(write|no_grad)"):
        exec(line, env)
    assert (env["h"] == before).numpy().all() and (y.numpy() == X).all()
    (g,) = mg.grad(env["h"].sum(), x)
    assert (g.numpy() == 2).all()
    with mg.no_grad():
        exec(line, env)


def test_an_array_that_is_assigned_to_data_counts_as_a_change():
    """`y.data -= 1` ends with the assignment of y.data; PyTorch would go on with a wrong gradient."""
    x, y = mg.tensor(X, requires_grad=True), mg.tensor(X)
    z = x * y
    y.data -= 1
    with pytest.raises(RuntimeError, match=r"mul: input 1 of shape .* was changed in place"):
        z.sum().backward()
    y.data = y.data[:, :2]
    assert type(y.detach()._data) is np.ndarray and y.shape == (2, 2)
    for t in (mg.Tensor(x.data), mg.Tensor(x.data[0]), mg.tensor(x.data), mg.from_numpy(x.data), x.data.clone()):
        assert type(t._data) is np.ndarray
    for thing in ([1.0], None, 3):
        with pytest.raises(TypeError, match="data: the array of a tensor is a NumPy array"):
            y.data = thing
