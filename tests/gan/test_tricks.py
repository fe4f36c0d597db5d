"""Penalties, steps and tricks: each against its definition or PyTorch, composed with every loss it goes with, and
refused, with the reason, where it does not."""

import itertools
from fnmatch import fnmatch

import numpy as np
import pytest

import minigan as mg
from minigan import data, nn, optim
from minigan.backend import Generator
from minigan.gan import steps, tricks
from minigan.gan.losses import LOSSES, loss
from minigan.gan.options import Options
from minigan.gan.penalties import PENALTIES, penalty
from minigan.gan.systems import options_for
from minigan.gan.train import Trainer


def double(rng, *shape, grad=False):
    return mg.tensor(rng.standard_normal(shape), requires_grad=grad)


def mlp(rng, *widths) -> nn.Module:
    """A tanh network in float64 with drawn weights."""
    layers = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.Tanh()]
    net = nn.Sequential(*layers[:-1]).double()
    for p in net.parameters():
        p.assign(0.7 * rng.standard_normal(p.shape))
    return net


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_of_a_quadratic_critic(name, rng):
    """f(x) = a/2 ||x||^2 has slope a x: every penalty and its derivative in a by hand."""
    a = mg.tensor(1.3, dtype="float64", requires_grad=True)
    real, fake, eps = double(rng, 6, 2, 2), double(rng, 6, 2, 2), mg.tensor(rng.random((6, 1, 1)))
    row = penalty(name)
    value, norm = row(lambda x: (x * x).sum((1, 2)) * a / 2, real, fake, eps)
    mixed = eps.data * real.data + (1 - eps.data) * fake.data
    both = np.concatenate([real.data, fake.data])
    at = {"r1": real.data, "r2": fake.data, "r1+r2": both}.get(name, mixed)
    n = np.linalg.norm(at.reshape(len(at), -1), axis=1)
    s = 1.3 * n
    value_by_hand, slope = {
        "two-sided": ((s - 1) ** 2, 2 * (s - 1) * n),
        "one-sided": (np.maximum(s - 1, 0) ** 2, 2 * np.maximum(s - 1, 0) * n),
        "zero-centred": (s**2, 2 * s * n),
        "r1": (s**2 / 2, s * n),
        "r2": (s**2 / 2, s * n),
        "r1+r2": (s**2, 2 * s * n),  # half the mean over reals and half that over samples are the mean over both
    }[name]
    assert norm.item() == pytest.approx(s.mean(), rel=1e-12)
    assert value.item() == pytest.approx(value_by_hand.mean(), rel=1e-12)
    assert mg.grad(value, a)[0].item() == pytest.approx(slope.mean(), rel=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_of_a_network_equal_torch(name, rng, torch):
    """Value and weight gradients, through torch's double backward."""
    ours = mlp(rng, 2, 5, 1)
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    real, fake, eps = rng.standard_normal((7, 2)), rng.standard_normal((7, 2)), rng.random((7, 1))
    row = penalty(name)
    value, _ = row(lambda x: ours(x)[:, 0], mg.tensor(real), mg.tensor(fake), mg.tensor(eps))
    both = np.concatenate([real, fake])
    at = {"r1": real, "r2": fake, "r1+r2": both}.get(name, eps * real + (1 - eps) * fake)
    x = torch.tensor(at, requires_grad=True)
    (g,) = torch.autograd.grad(theirs(x).sum(), x, create_graph=True)
    n = g.norm(dim=1)
    one = torch.clamp(n - 1, min=0)
    expected = {
        "two-sided": (n - 1) ** 2, "one-sided": one**2, "zero-centred": n**2, "r1": n**2 / 2, "r2": n**2 / 2,
        "r1+r2": n**2,
    }[name].mean()  # fmt: skip
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    weights = [p for n, p in ours.named_parameters() if not n.endswith("2.bias")]
    wanted = torch.autograd.grad(expected, [p for n, p in theirs.named_parameters() if n != "2.bias"])
    for g, e in zip(mg.grad(value, weights), wanted, strict=True):
        np.testing.assert_allclose(g.data, e.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_trains_the_image_critic(name):
    small = {"steps": 1, "batch_size": 4, "n_critic": 1, "base": 4, "latent": 8}
    trainer = Trainer(options_for("wgan-gp", penalty=name, loss="non-saturating", **small), data.load("digits"))
    figures = trainer.step()
    assert np.isfinite(list(figures.values())).all() and figures["gradient_norm"] > 0
    assert trainer.step()["gradient_norm"] != figures["gradient_norm"]


def test_penalty_errors():
    with pytest.raises(ValueError, match="unknown penalty 'two-sidd'; did you mean 'two-sided'"):
        Options(penalty="two-sidd")
    with pytest.raises(ValueError, match="taken at interpolates: give eps"):
        penalty("two-sided")(lambda x: x.sum(1), mg.ones(2, 2), mg.ones(2, 2))


def bilinear():
    x, y = (mg.tensor(v, dtype="float64", requires_grad=True) for v in ([1.0], [0.0]))
    return x, y, lambda: steps.set_gradients([[x], [y]], steps.field([(x * y).sum(), -(x * y).sum()], [[x], [y]]))


def test_lookahead_on_the_bilinear_game():
    """The radius shrinks by sqrt(1 - eta^2 + eta^4) = 0.99504 a step at eta = 0.1."""
    x, y, gradients = bilinear()
    optimisers = [optim.SGD([x], lr=0.1), optim.SGD([y], lr=0.1)]
    for _ in range(100):
        steps.lookahead_step(optimisers, gradients, (0.1, 0.1))
    rho = np.hypot(x.item(), y.item()) ** 0.01
    assert rho == pytest.approx(np.sqrt(1 - 0.01 + 0.0001), abs=1e-12) and round(rho, 5) == 0.99504


def test_optimistic_on_the_bilinear_game():
    """w' = w - eta (2 v_t - v_{t-1}) by hand, and it converges where plain descent spirals outwards."""
    x, y, gradients = bilinear()
    optimisers, past = [optim.SGD([x], lr=0.1), optim.SGD([y], lr=0.1)], steps.Optimistic([x, y])
    by_hand, before = np.array([1.0, 0.0]), None
    for _ in range(300):
        gradients()
        past.apply()
        for o in optimisers:
            o.step()
        v = np.array([by_hand[1], -by_hand[0]])
        by_hand, before = by_hand - 0.1 * (v if before is None else 2 * v - before), v
    assert [x.item(), y.item()] == pytest.approx(by_hand, abs=1e-14)
    assert np.hypot(x.item(), y.item()) < 0.3
    with pytest.raises(ValueError, match="have no gradient; call it after the backward pass"):
        steps.Optimistic([mg.ones(1)]).apply()


def test_consensus_is_half_the_squared_field(rng):
    """For quadratic losses 1/2 ||v||^2 and its gradient J^T v, by hand."""
    a, b = rng.standard_normal((2, 2)), rng.standard_normal((2, 2))
    x, y = double(rng, 2, grad=True), double(rng, 2, grad=True)
    one = (x * (mg.tensor(a) @ y)).sum() + (x * x).sum()
    two = (y * (mg.tensor(b) @ x)).sum()
    value = steps.consensus([one, two], [[x], [y]])
    v = np.concatenate([a @ y.data + 2 * x.data, b @ x.data])
    jacobian = np.block([[2 * np.eye(2), a], [b, np.zeros((2, 2))]])
    assert value.item() == pytest.approx((v**2).sum() / 2)
    found = np.concatenate([g.data for g in mg.grad(value, [x, y])])
    np.testing.assert_allclose(found, jacobian.T @ v, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_unrolling_passes_through_the_critic_s_steps(name, rng):
    """The generator's gradient through 3 critic steps, against central differences, for every loss."""
    row, critic = loss(name), mlp(rng, 2, 4, 1)
    shift = mg.tensor([0.3, -0.2], dtype="float64", requires_grad=True)
    real, z = double(rng, 8, 2), double(rng, 8, 2)
    params = dict(critic.named_parameters())

    def looked_ahead(shift):
        def out(p, x):
            return row.head(nn.functional_call(critic, p, x)[:, 0])

        late = steps.unroll(params, lambda p: row.discriminator(out(p, real), out(p, z + shift)), 3, 0.1)
        return row.generator(out(late, z + shift), out(late, real))

    (g,) = mg.grad(looked_ahead(shift), shift)
    h = 1e-5
    for i in range(2):
        step = mg.tensor(h * np.eye(2)[i])
        numeric = (looked_ahead(shift + step).item() - looked_ahead(shift - step).item()) / (2 * h)
        assert g.data[i] == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_unrolled_steps_descend():
    """On w^2 / 2 each step at rate eta multiplies w by 1 - eta, and so its derivative by the start."""
    start = mg.tensor([2.0], dtype="float64", requires_grad=True)
    ahead = steps.unroll({"w": start}, lambda p: (p["w"] * p["w"]).sum() / 2, 3, 0.25)["w"]
    assert ahead.item() == pytest.approx(2 * 0.75**3) and mg.grad(ahead, start)[0].item() == pytest.approx(0.75**3)


def test_unrolled_zero_steps_is_the_plain_loss_and_bad_steps_are_refused():
    p = {"w": mg.ones(1, requires_grad=True)}
    assert steps.unroll(p, lambda p: p["w"].sum(), 0, 0.1) == p
    with pytest.raises(ValueError, match="steps >= 0 and lr > 0, got steps -1"):
        steps.unroll(p, lambda p: p["w"].sum(), -1, 0.1)


def test_two_time_scale_rates():
    """Adam's first step is the rate itself, so each player moves by its own."""
    g, d = mg.ones(1, requires_grad=True), mg.ones(1, requires_grad=True)
    optimisers = steps.two_time_scale([g], [d], 1e-3, 4e-3)
    g.grad, d.grad = mg.ones(1), mg.ones(1)
    for o in optimisers:
        o.step()
    assert (1 - g.item(), 1 - d.item()) == pytest.approx((1e-3, 4e-3), rel=1e-3)


def test_feature_matching(rng):
    real, fake = double(rng, 9, 3), double(rng, 5, 3, grad=True)
    apart = ((real.data.mean(0) - fake.data.mean(0)) ** 2).sum()
    assert tricks.feature_matching(real, fake).item() == pytest.approx(apart)
    gap = np.cov(real.data.T, bias=True) - np.cov(fake.data.T, bias=True)
    assert tricks.feature_matching(real, fake, True).item() == pytest.approx(apart + (gap**2).sum())
    (g,) = mg.grad(tricks.feature_matching(real, fake), fake)
    expected = np.tile(-2 * (real.data.mean(0) - fake.data.mean(0)) / 5, (5, 1))
    np.testing.assert_allclose(g.data, expected, rtol=1e-12)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_minibatch_discrimination(distance, rng):
    """Against the double loop; a collapsed batch scores kernels * (N - 1)."""
    layer = tricks.MinibatchDiscrimination(4, 3, 2, distance, Generator(1)).double()
    x = double(rng, 5, 4)
    m = (x.data @ layer.weight.data).reshape(5, 3, 2)
    wanted = np.zeros((5, 3))
    for i in range(5):
        for j in set(range(5)) - {i}:
            wanted[i] += np.exp(-np.linalg.norm(m[i] - m[j], ord=int(distance[1]), axis=1))
    made = layer(x)
    np.testing.assert_allclose(made.data, np.hstack([x.data, wanted]), rtol=1e-12)
    np.testing.assert_allclose(layer(mg.ones(5, 4, dtype="float64")).data[:, 4:], 4)
    with pytest.raises(ValueError, match="unknown distance 'l3'"):
        tricks.MinibatchDiscrimination(4, distance="l3")


def test_pairwise_distance(rng):
    x = double(rng, 6, 2, 2)
    flat = x.data.reshape(6, 4)
    gaps = np.linalg.norm(flat[:, None] - flat[None], axis=2).sum(1) / 5
    np.testing.assert_allclose(tricks.pairwise_distance(x).data[:, 0], gaps, rtol=1e-12)
    with pytest.raises(ValueError, match="at least 2 samples"):
        tricks.pairwise_distance(mg.ones(1, 2))


@pytest.mark.parametrize("inner", [(), (3, 3)])
def test_virtual_batch_norm_knows_no_batch_mates(inner, rng):
    """A sample's output is the same alone and among others, and is normalised by the reference and itself."""
    layer = tricks.VirtualBatchNorm(4).double()
    reference, x = double(rng, 10, 4, *inner), double(rng, 3, 4, *inner)
    net = tricks.VirtualReference(nn.Sequential(layer), reference)
    together = net(x).data
    for i in range(3):
        np.testing.assert_allclose(net(mg.tensor(x.data[i : i + 1])).data[0], together[i], rtol=1e-12)
    both = np.concatenate([reference.data, x.data[1:2]])
    axes = (0, *range(2, both.ndim))
    normal = (x.data[1:2] - both.mean(axes, keepdims=True)) / np.sqrt(both.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(together[1:2], normal, rtol=1e-10)
    with pytest.raises(RuntimeError, match="no reference batch yet"):
        tricks.VirtualBatchNorm(4)(mg.ones(2, 4))


def test_the_reference_batch_of_virtual_batch_norm_goes_by_its_own_statistics(rng):
    """By hand, through two layers: the second's statistics are of what the first makes of the reference alone."""
    reference, x, w = rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    first, second, linear = tricks.VirtualBatchNorm(3).double(), tricks.VirtualBatchNorm(3).double(), nn.Linear(3, 3)
    linear.double().load_state_dict({"weight": w.T, "bias": np.zeros(3)})
    net = tricks.VirtualReference(nn.Sequential(first, linear, nn.Tanh(), second), mg.tensor(reference))

    def normal(rows, among):
        return (rows - among.mean(0)) / np.sqrt(among.var(0) + 1e-5)

    inner = np.tanh(normal(reference, reference) @ w)
    for row, seen in zip(x, net(mg.tensor(x)).detach().numpy(), strict=True):
        hidden = np.tanh(normal(row, np.stack([*reference, row])) @ w)
        np.testing.assert_allclose(seen, normal(hidden, np.stack([*inner, hidden])), rtol=1e-10)


@pytest.mark.parametrize("inner", [(), (3, 3)])
@pytest.mark.parametrize("centre", [1e2, 1e4])
def test_virtual_batch_norm_far_from_zero(centre, inner, rng):
    """float32 numbers with a spread of a thousandth of their mean: as exact as float64 on the same numbers."""
    arrays = [(centre * (1 + 1e-3 * rng.normal(size=(n, 4, *inner)))).astype("f") for n in (10, 3)]
    results = []
    for dtype in ("float32", "float64"):
        reference, x = (mg.tensor(a.astype(dtype)) for a in arrays)
        net = tricks.VirtualReference(nn.Sequential(tricks.VirtualBatchNorm(4)), reference)
        results.append((net.double() if dtype == "float64" else net)(x).detach().numpy())
    np.testing.assert_allclose(*results, atol=2e-3)


def test_a_penalty_goes_through_virtual_batch_norm(rng):
    """Each sample's slope is its own: penalising the batch is the mean of penalising each sample, unlike batch norm."""

    def gap(layer, wrap):
        mg.manual_seed(3)
        net = nn.Sequential(nn.Linear(2, 4), layer, nn.Tanh(), nn.Linear(4, 1)).double()
        f = tricks.VirtualReference(net, double(rng, 6, 2)) if wrap else net
        real = double(rng, 4, 2)
        whole = penalty("r1")(f, real, real)[0].item()
        parts = [penalty("r1")(f, real[[i, i]], real[[i, i]])[0].item() for i in range(4)]
        return abs(whole - np.mean(parts))

    assert gap(tricks.VirtualBatchNorm(4), True) < 1e-12
    assert gap(nn.BatchNorm1d(4), False) > 1e-3


def test_spectral_norm_bounds_every_layer():
    net = tricks.spectral_norm_(nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)))
    for _ in range(50):
        net(mg.randn(2, 5))
    for i in (0, 2):
        assert np.linalg.svd(net[i].weight.data, compute_uv=False)[0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["minimax", "non-saturating"])
def test_label_smoothing_from_logits(name):
    """-(y ln D + (1-y) ln(1-D)) with y = 0.9 / 0.1; the best D(x) is then the label, not 1."""
    t = mg.tensor([-1.0, 2.0], dtype="float64", requires_grad=True)
    s = 1 / (1 + np.exp(-t.data))
    for fake in (0.0, 0.1):
        row = tricks.smoothed(loss(name), 0.9, fake)
        wanted = (
            -(0.9 * np.log(s) + 0.1 * np.log(1 - s)).mean() - (fake * np.log(s) + (1 - fake) * np.log(1 - s)).mean()
        )
        assert row.discriminator(t, t).item() == pytest.approx(wanted)
        assert row.generator(t).item() == loss(name).generator(t).item()
    at = mg.tensor([np.log(9.0)], requires_grad=True)
    assert abs(mg.grad(tricks.smoothed(loss(name)).discriminator(at, mg.zeros(1)), at)[0].item()) < 1e-7
    assert tricks.smoothed(loss("least-squares"), 0.9, 0.1).discriminator(
        mg.ones(1), mg.ones(1)
    ).item() == pytest.approx(0.01 / 2 + 0.81 / 2)
    with pytest.raises(ValueError, match="0 <= fake < real <= 1"):
        tricks.smoothed(loss(name), 0.1, 0.9)


def test_noisy_labels():
    """The share of flipped pairs is the rate, and the loss is the mean over both kinds."""
    row = tricks.noisy(loss("least-squares"), 0.25, Generator(3))
    value = row.discriminator(mg.ones(40000), mg.zeros(40000)).item()  # 0 for a right pair, 1 for a wrong one
    assert value == pytest.approx(0.25, abs=0.01)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 0.5\)"):
        tricks.noisy(loss("hinge"), 0.5)


def test_instance_noise_decays():
    x = mg.zeros(20000, 2)
    assert tricks.instance_noise(x, 0.5, Generator(1)).data.std() == pytest.approx(0.5, rel=0.02)
    assert tricks.instance_noise(x, 0) is x
    assert [tricks.decayed(0.4, k, 10) for k in (0, 5, 10, 20)] == pytest.approx([0.4, 0.2, 0, 0])


def test_spherical_and_slerp(rng):
    z = tricks.spherical(mg.randn(50, 8))
    np.testing.assert_allclose(np.linalg.norm(z.data, axis=1), np.sqrt(8), rtol=1e-6)
    a, b = z.data[0].astype(float), z.data[1].astype(float)
    for t in (0, 0.3, 1):
        assert np.linalg.norm(tricks.slerp(a, b, t)) == pytest.approx(np.sqrt(8), rel=1e-6)
    np.testing.assert_allclose(tricks.slerp(a, b, 0), a)
    np.testing.assert_allclose(tricks.slerp(a, a, 0.4), a)
    np.testing.assert_allclose(tricks.slerp(a, -3 * a, 0.25), 0 * a, atol=1e-12)


def test_pack():
    x = mg.arange(12).reshape(6, 2)
    assert tricks.pack(x, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    images = mg.randn(4, 3, 2, 2)
    packed = tricks.pack(images, 2)
    assert packed.shape == (2, 6, 2, 2) and (packed.data[1, 3:] == images.data[3]).all()
    with pytest.raises(ValueError, match="m must divide the batch, got m 4 for a batch of 6"):
        tricks.pack(x, 4)


def test_every_impossible_pair_is_refused_with_its_reason():
    for trick, other, reason in tricks.INCOMPATIBLE:
        names = [n for n in (*LOSSES, *tricks.TRICKS) if fnmatch(n, other)]
        assert names, f"{other} names nothing"
        for name in names:
            row, used = (
                (name, [trick]) if name in LOSSES else ("hinge" if trick != "smoothing" else "minimax", [trick, name])
            )
            with pytest.raises(ValueError) as e:
                tricks.check(row, used)
            assert reason in str(e.value) and f"{trick} does not go with {name}" in str(e.value)
    with pytest.raises(ValueError, match="unknown trick 'packin'; did you mean 'packing'"):
        tricks.check("hinge", ["packin"])


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_composes_with_what_is_not_refused(name, rng):
    """Each penalty, smoothing, noise, packing, feature matching and consensus: finite loss, finite gradients."""
    row, critic = loss(name), mlp(rng, 4, 6, 1)
    weights = list(critic.parameters())
    real, fake = double(rng, 8, 2), double(rng, 8, 2, grad=True)

    def out(x):
        return row.head(critic(x)[:, 0])

    a, b = tricks.pack(real, 2), tricks.pack(fake, 2)
    losses = {"packing": row.discriminator(out(a), out(b))}
    for p in PENALTIES.values():
        losses[p.name] = losses["packing"] + p(out, a, b, mg.tensor(rng.random((4, 1))))[0]
    losses["instance-noise"] = row.discriminator(out(tricks.instance_noise(a, 0.1)), out(tricks.instance_noise(b, 0.1)))
    losses["consensus"] = steps.consensus([row.generator(out(b), out(a)), losses["packing"]], [[fake], weights])
    for trick, change in (("smoothing", tricks.smoothed), ("noisy-labels", lambda r: tricks.noisy(r, 0.2))):
        try:
            tricks.check(name, [trick])
        except ValueError:
            with pytest.raises(ValueError, match="does not go with"):
                change(row)
            continue
        losses[trick] = change(row).discriminator(out(a), out(b))
    for trick, value in losses.items():
        tricks.check(name, [trick])
        found = [g for g in mg.grad(value, weights) if g is not None]
        assert found and all(np.isfinite(g.data).all() for g in found), trick
        assert any((g.data != 0).any() for g in found), trick
