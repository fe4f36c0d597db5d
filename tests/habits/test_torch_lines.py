"""Lines that a PyTorch user types: each runs here as it stands, with torch's value, dtype, shape and gradient.

A line is run twice, with `T` minigan and with `T` torch, on the same numbers, and what it leaves in `out` is compared;
so is the gradient of sum(out) by the leaves `x` and `w`, where there is one. `out` may hold tensors, numbers, texts and
exceptions' kinds, in tuples, lists and dicts.
"""

import copy
import warnings

import numpy as np
import pytest

import minigan as mg

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], np.float32)
W = np.array([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]], np.float32)

# fmt: off
LINES = {
    "in place, nothing recorded": r"""
with T.no_grad(): x += 1.0; out = x
with T.no_grad(): x -= 0.1 * y; out = x
with T.no_grad(): x *= y; out = x
with T.no_grad(): x /= 2; out = x
y += 1; y *= y; y -= 3; y /= 2; out = y
z = y; z += 1; out = y
v = y[0]; v += 10; out = y
v = y.view(-1); v *= 2; out = y
d = x.detach(); d += 1; out = (x, d)
y[0] = 5.0; out = y
y[:, 1] = T.tensor([7.0, 8.0]); out = y
y[y > 0] = 0.0; out = y
y[T.tensor([0, 1]), T.tensor([2, 0])] = T.tensor([9.0, 8.0]); out = y
y[..., -1] += 2; out = y
y[0, 1] = y[1, 0]; out = y
with T.no_grad(): x[0] = 0; out = x
with T.no_grad(): x[1] -= 0.5 * y[1]; out = x
i[0] = 3; out = i
y.zero_(); out = y
y.fill_(2.5); out = y
out = y.add_(1).mul_(2).sub_(0.5).div_(4)
out = y.add_(y, alpha=0.5)
out = y.sub_(T.ones(2, 3), alpha=2)
out = y.clamp_(-0.5, 0.5)
out = y.clamp_(min=0)
out = y.copy_(x.detach())
out = y.neg_(), y.abs_()
out = y.exp_()
out = y.abs_().sqrt_()
out = y.pow_(2)
out = y.tanh_(), y.sigmoid_(), y.relu_()
with T.no_grad(): x.zero_(); out = x
with T.no_grad(): x.copy_(T.zeros(2, 3)); out = x
with T.no_grad(): [p.clamp_(-0.1, 0.1) for p in (x, w)]; out = x, w
x.sum().backward(); x.data -= 0.1 * x.grad; x.grad = None; out = x
x.data = y.data; out = x
x.sum().backward(); x.grad.zero_(); out = x.grad
h = x * 2; h += 1; out = h
h = x * 2; h *= y; out = h * h
total = T.zeros(()); total += x.sum(); total += (x * x).sum(); out = total
total = 0; total += x.sum(); out = total
""",
    "what is refused": r"""
out = refused(RuntimeError, lambda: x.add_(1))
out = refused(RuntimeError, lambda: x.__iadd__(1))
out = refused(RuntimeError, lambda: x.__setitem__(0, 1.0))
h = x.exp(); d = h.detach(); d += 1; out = refused(RuntimeError, lambda: h.sum().backward())
z = y * x; y.zero_(); out = refused(RuntimeError, lambda: z.sum().backward())
out = refused(RuntimeError, lambda: i.add_(0.5))
out = refused(RuntimeError, lambda: y[0].add_(y))
out = refused(RuntimeError, lambda: y.sum().backward())
out = refused(RuntimeError, lambda: T.autograd.grad(y.sum(), x))
(g,) = T.autograd.grad((x ** 3).sum(), x); out = refused(RuntimeError, lambda: T.autograd.grad(g.sum(), x))
(g,) = T.autograd.grad((x ** 3).sum(), x); out = refused(RuntimeError, lambda: g.sum().backward())
out = refused(RuntimeError, lambda: (x * 2).backward())
out = refused(RuntimeError, lambda: x.numpy())
out = refused(RuntimeError, lambda: np.asarray(x))
out = refused(RuntimeError, lambda: bool(y))
out = refused(TypeError, lambda: len(T.tensor(1.0)))
out = refused(TypeError, lambda: iter(T.tensor(1.0)))
out = refused(RuntimeError, lambda: T.autograd.grad(x.sum(), (x, w), allow_unused=False))
""",
    "comparisons, hashing, text": r"""
out = y == None, y != None, None in [y], y in ("a",), [y, None].count(None)
out = y == "a", y != "a", y == {}, y == object
out = y == y, y != 0, (y > 0) & (y < 1), (y > 0) | (y < -1), ~(y > 0), (y > 0) ^ (y < 1)
m = y > 0; m &= y < 1; out = m
m = y > 0; m |= y < -0.9; out = m
out = i & 1, i | 4, i ^ 3, ~i, 1 & i
out = T.logical_and(y > 0, y < 1), T.logical_or(y > 0, y < 1), T.logical_not(y > 0), T.logical_xor(y > 0, y < 1)
out = len({y, y, x}), y in {y}, hash(y) == hash(y), {y: 1}[y]
loss = (x * x).mean(); out = f"{loss:.3f}", f"{loss.item():.2e}", "%.3f" % loss, "{:8.4f}".format(loss.detach())
out = f"{T.tensor(3)}", f"{T.tensor(3):05d}", f"{T.tensor(True)}"
out = float(y[0, 0]), int(y[0, 2]), bool(y[0, 0]), round(float(y[0, 1]), 2), complex(y[0, 0])
out = [10, 20, 30][T.tensor(1)], list(range(T.tensor(3)))
out = len(y), list(y), y.tolist(), [r.shape for r in y]
a, b = y; out = a - b
out = 0.5 in y, 99.0 in y
out = y.shape == (2, 3), y.ndim, y.dim(), y.size(0), y.size(-1), y.numel(), y.nelement(), y.element_size()
out = y.is_floating_point(), i.is_floating_point(), T.is_tensor(y), T.is_tensor(3), y.is_contiguous()
""",
    "axes": r"""
out = x.sum(axis=0), x.sum(axis=(0, 1)), x.mean(axis=1), x.mean(1, keepdims=True), x.sum(dim=0, keepdims=True)
out = T.sum(x, axis=1), T.mean(x, axis=0), T.std(x, axis=1), T.var(x, axis=0, keepdims=True)
out = x.std(dim=0), x.std(axis=0), x.var(1, keepdim=True)
out = x.amax(axis=1), x.amin(axis=0, keepdims=True), x.argmax(axis=1)
out = T.softmax(x, axis=1), x.softmax(axis=0), T.log_softmax(x, axis=1), x.logsumexp(axis=0)
out = T.cat([x, x], axis=1), T.stack([x, x], axis=0), T.concatenate([x, x], axis=0), T.concat((x, x), 1)
out = x.unsqueeze(0).squeeze(axis=0), T.unsqueeze(x, axis=1), T.squeeze(x.unsqueeze(1), axis=1)
out = T.norm(x, dim=1), x.norm(dim=0, keepdim=True), x.norm()
out = x.t(), x.T, x.mT, x.transpose(0, 1), x.permute(1, 0), x.swapaxes(0, 1), x.movedim(0, 1)
out = x.reshape(3, 2), x.view(-1), x.view(6), x.flatten(), x.ravel(), x.reshape((1, 6)), x.view_as(T.zeros(3, 2)), x.reshape_as(T.ones(6))
out = x.unbind(0), T.unbind(x, dim=1), x.narrow(1, 0, 2), x.select(0, 1)
out = x.index_select(axis=0, index=T.tensor([1, 0])), T.gather(x, 1, T.tensor([[0], [2]])), x.flip(dims=(1,))
out = x.expand(2, 2, 3), x[0].expand_as(x), x.broadcast_to((2, 2, 3))
""",
    "grad mode": r"""
m = T.no_grad(); k = []; [k.append((m.__enter__(), T.is_grad_enabled(), m.__exit__(None, None, None))[1]) for _ in range(2)]; out = k, T.is_grad_enabled()
f = T.no_grad()(lambda: T.is_grad_enabled()); out = f(), f(), T.is_grad_enabled()
f = T.no_grad(lambda: T.is_grad_enabled()); out = f(), T.is_grad_enabled()
f = T.inference_mode()(lambda: (x * 2).requires_grad); out = f(), (x * 2).requires_grad
m = T.no_grad(); out = nested(T, m)
out = generator(T, T.no_grad())
with T.set_grad_enabled(False): out = (x * 2).requires_grad, T.is_grad_enabled()
T.set_grad_enabled(False); a = T.is_grad_enabled(); T.set_grad_enabled(True); out = a, T.is_grad_enabled()
with T.no_grad(), T.enable_grad(): out = (x * 2).requires_grad
with T.autograd.no_grad(): out = (x * 2).requires_grad
with T.autograd.detect_anomaly(): out = x * 2
""",
    "backward and its keywords": r"""
l = (x * x).sum(); l.backward(retain_graph=True); l.backward(); out = x.grad
(g,) = T.autograd.grad((x ** 3).sum(), x, create_graph=True, retain_graph=True, only_inputs=True); out = (g * g)
g = T.autograd.grad((x ** 3).sum(), [x, w], allow_unused=True); out = g[0], g[1]
g = T.autograd.grad((x ** 3).sum(), [x, w], allow_unused=True, materialize_grads=True); out = g[0], g[1]
g = T.autograd.grad(x ** 2, x, grad_outputs=T.ones_like(x))[0]; out = g
g = T.autograd.grad(outputs=x @ w, inputs=x, grad_outputs=T.ones(2, 2), create_graph=True, retain_graph=True)[0]; out = ((g.norm(2, dim=1) - 1) ** 2).mean()
T.autograd.backward((x * x).sum()); out = x.grad
(x * x).backward(gradient=T.ones_like(x)); out = x.grad
h = x * 2; h.retain_grad(); (h * h).sum().backward(); out = h.grad, x.grad
k = []; h = x * 2; h.register_hook(lambda g: k.append(g)); h.sum().backward(); out = k
h = x.register_hook(lambda g: g * 2); (x * x).sum().backward(); h.remove(); out = x.grad
d = x.detach_(); out = refused(RuntimeError, lambda: x.sum().backward())
out = x.is_leaf, x.requires_grad, (x * 2).is_leaf, x.grad_fn is None, (x * 2).grad_fn is not None, x.grad
""",
    "modules": r"""
k = []; l = linear(T); h = l.register_forward_hook(lambda m, i, o: k.append((i[0].shape, o.shape))); l(x); h.remove(); l(x); out = k
l = linear(T); l.register_forward_hook(lambda m, i, o: o * 2); out = l(x)
l = linear(T); h = l.register_forward_pre_hook(lambda m, i: (i[0] * 3,)); out = l(x)
l = linear(T); l.register_forward_pre_hook(lambda m, i: i[0] + 1); out = l(x)
k = []; l = linear(T); l.register_full_backward_hook(lambda m, gi, go: k.append((gi, go))); l(x).sum().backward(); out = k
l = linear(T); l.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,)); l(x).sum().backward(); out = x.grad, l.weight.grad
k = []; l = linear(T); l.register_full_backward_hook(lambda m, gi, go: k.append((gi, go))); l(y).sum().backward(); out = k
l = linear(T); out = sorted(l.state_dict()), [n for n, _ in l.named_parameters()], l.training, l.weight.requires_grad
l = linear(T); l.zero_grad(set_to_none=True); out = l.weight.grad
l = T.nn.Sequential(linear(T), T.nn.Tanh()); out = [n for n, _ in l.named_children()], len(list(l.children())), l(x)
l = T.nn.Sequential(linear(T), T.nn.Tanh()); l.append(T.nn.ReLU()); out = l(x), len(l)
l = linear(T); l.register_buffer("scale", T.ones(2)); out = l.scale, sorted(l.state_dict()), [n for n, _ in l.named_buffers()]
l = T.nn.ModuleDict({"a": linear(T)}); out = l["a"](x), list(l.keys()), "a" in l, len(l)
l = T.nn.ParameterList([T.nn.Parameter(y), T.nn.Parameter(y)]); out = len(l), l[1], len(list(l.parameters()))
l = linear(T); T.nn.init.constant_(l.weight.data, 0.25); T.nn.init.zeros_(l.bias); out = l(x)
l = linear(T); k = copy.deepcopy(l); out = k(x)
l = linear(T); l.requires_grad_(False); out = [p.requires_grad for p in l.parameters()]
l = linear(T); out = l.get_parameter("weight"), l.get_submodule("").__class__.__name__
l = linear(T); l.add_module("inner", T.nn.Tanh()); out = l.inner(x)
l = linear(T); T.nn.init.normal_(l.weight.data, 3.0, 0.0); out = l(x)
l = linear(T); T.nn.init.normal_(l.weight, 3.0, 0.0); out = l(x)
p = T.nn.Parameter(T.zeros(3)); out = p.requires_grad, isinstance(p, T.Tensor)
""",
    "optimisers": r"""
o = T.optim.SGD([x], lr=0.1); out = steps(T, o, x, None)
o = T.optim.Adam([x], lr=0.1, amsgrad=True); out = steps(T, o, x, None)
o = T.optim.AdamW([x], lr=0.1, amsgrad=True, weight_decay=0.1); out = steps(T, o, x, None)
o = T.optim.Adam([x], lr=0.1); o.add_param_group({"params": [w], "lr": 0.01}); out = steps(T, o, x, w), [g["lr"] for g in o.param_groups]
o = T.optim.SGD([x], lr=0.1); o.zero_grad(set_to_none=True); out = x.grad
o = T.optim.SGD([x], lr=0.1); (x * x).sum().backward(); o.zero_grad(set_to_none=False); out = x.grad
o = T.optim.SGD([x], lr=0.1); out = o.step(lambda: closure(x)).detach(), x.detach()
o = T.optim.SGD([("a", x), ("b", w)], lr=0.1); out = steps(T, o, x, w)
o = T.optim.RMSprop([x], lr=0.1, centered=True); out = steps(T, o, x, None)
o = T.optim.SGD([x], lr=0.01, maximize=True); out = steps(T, o, x, None)
(x * x).sum().backward(); n = T.nn.utils.clip_grad_norm_([x], 0.5); out = n.item(), x.grad
(x * x).sum().backward(); n = T.nn.utils.clip_grad_norm_(x, 0.5, norm_type=1); out = n.item(), x.grad
(x * x).sum().backward(); n = T.nn.utils.clip_grad_norm_([x], 0.5, norm_type=float("inf")); out = n.item(), x.grad
(x * x).sum().backward(); T.nn.utils.clip_grad_value_([x], 0.25); out = x.grad
out = T.nn.utils.parameters_to_vector([x, w])
o = T.optim.SGD([x], lr=0.5); s = T.optim.lr_scheduler.StepLR(o, 2, gamma=0.1); out = rates(o, s)
o = T.optim.SGD([x], lr=0.5); s = T.optim.lr_scheduler.MultiStepLR(o, [1, 3], 0.3); out = rates(o, s)
o = T.optim.SGD([x], lr=0.5); s = T.optim.lr_scheduler.ExponentialLR(o, 0.9); out = rates(o, s)
o = T.optim.SGD([x], lr=0.5); s = T.optim.lr_scheduler.CosineAnnealingLR(o, 4, eta_min=0.01); out = rates(o, s)
o = T.optim.SGD([x], lr=0.5); s = T.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 4); out = rates(o, s)
o = T.optim.SGD([x], lr=0.5); s = T.optim.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)); out = rates(o, s)
o = T.optim.SGD([x], lr=0.5); s = T.optim.lr_scheduler.ConstantLR(o, 0.5, 2); out = rates(o, s)
""",
    "making tensors": r"""
out = T.zeros_like(x, dtype=T.float64), T.ones_like(i), T.full_like(x, 3.0), T.empty_like(x).shape
out = T.rand_like(x).shape, T.randn_like(x).dtype, T.randint_like(i, 0, 5).dtype
out = x.new_zeros(2), x.new_ones((1, 2)), x.new_full((2,), 5.0), x.new_tensor([1, 2])
out = T.as_tensor([1, 2]), T.tensor([1.0, 2.0], dtype=T.float64), T.from_numpy(np.ones(2)), T.asarray([1.0])
out = T.zeros((2, 3)), T.zeros([2]), T.arange(1, 7, 2), T.linspace(0, 1, 5), T.eye(2), T.full((2,), 1.5)
out = y.to(T.float64), y.double(), y.long(), y.int(), y.bool(), y.type(T.float64), y.to(y), y.to("cpu", non_blocking=True)
out = y.cpu(), y.contiguous(), y.clone(), y.detach(), y.detach().cpu().numpy(), y.numpy()
out = copy.deepcopy(y), copy.copy(y)
""",
    "derivatives of functions": r"""
out = T.autograd.functional.jacobian(lambda a: a.exp() * 2, y)
out = T.autograd.functional.jacobian(lambda a, b: a @ b, (y, w.detach()))
out = T.autograd.functional.hessian(lambda a: (a ** 3).sum(), y)
out = T.autograd.functional.vjp(lambda a: a ** 2, y, y)
out = T.autograd.functional.jvp(lambda a: a ** 2, y, y)
out = T.autograd.functional.hvp(lambda a: (a ** 3).sum(), y, y)
out = recompute(T)(lambda a: (a @ w).tanh(), x)
out = recompute(T)(lambda a, b: (a * b, a.exp() @ w), x, y)
l = linear(T); out = recompute(T)(l, x)
""",
}
# fmt: on


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


CASES = [
    pytest.param(line, id=f"{kind}: {line[:60]}") for kind, lines in LINES.items() for line in lines.strip().split("\n")
]


@pytest.mark.parametrize("line", CASES)
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
        exec(line, env)  # noqa: S102
    assert (env["h"] == before).numpy().all() and (y.numpy() == X).all()
    (g,) = mg.grad(env["h"].sum(), x)
    assert (g.numpy() == 2).all()
    with mg.no_grad():
        exec(line, env)  # noqa: S102
