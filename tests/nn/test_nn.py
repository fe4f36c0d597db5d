"""Layers and modules: every layer equals torch.nn's with the same state dict, in training and evaluation; Module's
bookkeeping."""

import copy

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim
from minigan.gan.networks import DCGANCritic, DCGANGenerator

RNG = np.random.default_rng(0)
IMAGE, ROWS, LINE = (3, 4, 7, 6), (5, 4), (3, 4, 9)

# name of the layer in both libraries, arguments, keywords, input shape
LAYERS = [
    ("Linear", (4, 3), {}, ROWS),
    ("Linear", (4, 3), {"bias": False}, (2, 3, 4)),
    ("Conv2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, IMAGE),
    ("Conv2d", (4, 5, (3, 2)), {"padding": "same", "bias": False}, IMAGE),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, IMAGE),
    ("ConvTranspose2d", (4, 2, (3, 4)), {"dilation": 2, "bias": False}, IMAGE),
    ("BatchNorm2d", (4,), {}, IMAGE),
    ("BatchNorm2d", (4,), {"affine": False, "momentum": 0.3}, IMAGE),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGE),
    ("BatchNorm1d", (4,), {"eps": 1e-3}, ROWS),
    ("BatchNorm2d", (4,), {"momentum": None}, IMAGE),
    ("InstanceNorm2d", (4,), {"affine": True}, IMAGE),
    ("LayerNorm", ((7, 6),), {}, IMAGE),
    ("LeakyReLU", (0.2,), {}, IMAGE),
    ("ReLU", (), {}, IMAGE),
    ("ELU", (0.7,), {}, IMAGE),
    ("Tanh", (), {}, IMAGE),
    ("Sigmoid", (), {}, IMAGE),
    ("LogSigmoid", (), {}, IMAGE),
    ("Softplus", (), {"beta": 2.0}, IMAGE),
    ("Softmax", (), {"dim": 1}, ROWS),
    ("LogSoftmax", (), {"dim": 1}, ROWS),
    ("AvgPool2d", (2,), {}, IMAGE),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, IMAGE),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear"}, IMAGE),
    ("PixelShuffle", (2,), {}, IMAGE),
    ("ReflectionPad2d", (2,), {}, IMAGE),
    ("ZeroPad2d", ((1, 2, 0, 3),), {}, IMAGE),
    ("Flatten", (), {}, IMAGE),
    ("Unflatten", (1, (2, 2)), {}, IMAGE),
    ("Identity", (), {}, IMAGE),
    *(
        ("Conv2d", (4, 2, 3), {"padding": (2, 1), "stride": (1, 2), "padding_mode": mode}, IMAGE)
        for mode in ("reflect", "replicate", "circular")
    ),
    ("Conv2d", (4, 2, (2, 3)), {"padding": "same", "padding_mode": "circular", "dilation": (3, 1)}, IMAGE),
    ("Conv2d", (4, 2, 3), {"padding": "valid", "padding_mode": "reflect"}, IMAGE),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, LINE),
    ("Conv1d", (4, 2, 4), {"padding": "same", "padding_mode": "replicate", "bias": False}, LINE),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, LINE),
    ("GroupNorm", (2, 4), {}, IMAGE),
    ("GroupNorm", (1, 4), {"eps": 1e-3, "affine": False}, LINE),
    ("RMSNorm", (4,), {}, ROWS),
    ("RMSNorm", ((7, 6),), {"eps": 0.1}, IMAGE),
    ("PReLU", (), {}, IMAGE),
    ("PReLU", (4,), {"init": 0.1}, IMAGE),
    ("SiLU", (), {}, IMAGE),
    ("GELU", (), {}, IMAGE),
    ("GELU", (), {"approximate": "tanh"}, IMAGE),
    ("AdaptiveAvgPool2d", ((3, 2),), {}, IMAGE),
    ("PixelUnshuffle", (2,), {}, (2, 3, 4, 6)),
    ("Unfold", (3,), {"padding": 1, "stride": 2}, IMAGE),
    ("Fold", ((7, 6), 2), {}, (3, 4, 30)),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS, ids=lambda v: v if isinstance(v, str) else "")
def test_layer_equals_torch(name, args, kwargs, shape, torch):
    """Same state dict in, same outputs, input and weight gradients, and same state dict (running statistics included)
    out."""
    ours, theirs = getattr(nn, name)(*args, **kwargs).double(), getattr(torch.nn, name)(*args, **kwargs).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        value, cotangent = RNG.standard_normal(shape), None
        x, t = mg.tensor(value, requires_grad=True), torch.tensor(value, requires_grad=True)
        y, u = ours(x), theirs(t)
        cotangent = RNG.standard_normal(y.shape)
        grads = mg.grad(y, [x, *ours.parameters()], mg.tensor(cotangent))
        expected = torch.autograd.grad(u, [t, *theirs.parameters()], torch.tensor(cotangent))
        np.testing.assert_allclose(y.data, u.detach().numpy(), rtol=1e-10, atol=1e-12)
        for g, e in zip(grads, expected, strict=True):
            np.testing.assert_allclose(g.data, e.numpy(), rtol=1e-8, atol=1e-10)
    for key, array in ours.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[key].numpy(), rtol=1e-10, atol=1e-12, err_msg=key)


def test_embedding_and_maxout():
    """Embedding reads rows and adds gradients of repeated ones; maxout takes the largest of neighbours."""
    table = nn.Embedding(5, 3).double()
    rows = mg.tensor([[1, 1], [4, 0]])
    (g,) = mg.grad(table(rows).sum(), table.weight)
    assert table(rows).shape == (2, 2, 3)
    assert g.data[:, 0].tolist() == [1, 2, 0, 0, 1]
    y = nn.Maxout(2)(mg.tensor(np.arange(8.0).reshape(2, 4)))
    assert y.tolist() == [[1, 3], [5, 7]]


def test_dropout_keeps_the_mean_and_is_seeded():
    """In training the kept elements are scaled; in evaluation nothing happens; the same seed gives the same mask."""
    layer = nn.Dropout(0.25, generator=mg.Generator(3))
    x = mg.ones(200, 200)
    y = layer(x).data
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 4 * np.sqrt(0.25 / 0.75 / y.size)
    assert (nn.Dropout(0.25, generator=mg.Generator(3))(x).data == y).all()
    assert layer.eval()(x) is x


@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "ConvTranspose2d"])
def test_spectral_norm_equals_torch(kind, torch):
    """Five training passes from the same vectors: same weights, vectors and gradients; evaluation moves nothing."""
    args = (4, 6) if kind == "Linear" else (4, 6, 3)
    shape = ROWS if kind == "Linear" else IMAGE
    ours = nn.spectral_norm(getattr(nn, kind)(*args).double())
    theirs = torch.nn.utils.spectral_norm(getattr(torch.nn, kind)(*args).double())
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert ours.state_dict().keys() == state.keys()
    ours.load_state_dict(state)
    value = RNG.standard_normal(shape)
    for training in (True,) * 5 + (False,):
        ours.train(training), theirs.train(training)
        y, u = ours(mg.tensor(value)), theirs(torch.tensor(value))
        np.testing.assert_allclose(y.data, u.detach().numpy(), rtol=1e-9, atol=1e-11)
        (g,) = mg.grad((y * y).sum(), ours.weight_orig)
        (e,) = torch.autograd.grad((u * u).sum(), theirs.weight_orig)
        np.testing.assert_allclose(g.data, e.numpy(), rtol=1e-8, atol=1e-9)


def test_spectral_norm_reaches_one():
    """After enough iterations the largest singular value of the effective weight is 1."""
    layer = nn.spectral_norm(nn.Linear(20, 30), n_power_iterations=200)
    layer(mg.zeros(1, 20))
    assert abs(np.linalg.svd(layer.weight.data, compute_uv=False)[0] - 1) < 1e-4


def test_frozen_statistics_leave_the_buffers_alone():
    """Within it training mode still normalises by the batch, and the running statistics stand still."""
    layer = nn.BatchNorm2d(4)
    x = mg.tensor(RNG.standard_normal(IMAGE).astype("f"))
    before = layer.state_dict()
    with nn.frozen_statistics(nn.Sequential(layer)):
        frozen = layer(x).data
    assert all((before[k] == v).all() for k, v in layer.state_dict().items())
    assert (layer(x).data == frozen).all()
    assert layer.num_batches_tracked.item() == 1


def test_running_statistics_do_not_move_in_gradients():
    """Second order through a batch norm in training moves the running statistics once, by the forward alone."""
    layer = nn.BatchNorm2d(4).double()
    x = mg.tensor(RNG.standard_normal(IMAGE), requires_grad=True)
    y = layer(x)
    once = layer.state_dict()
    (g,) = mg.grad((y * y * y).sum(), x, create_graph=True)
    (g2,) = mg.grad((g * g * g).sum(), x, create_graph=True)
    mg.grad((g2 * g2).sum(), x)
    assert all((once[k] == v).all() for k, v in layer.state_dict().items())


def test_functional_call_differentiates_through_an_optimiser_step():
    """d/dw of the loss after a step of gradient descent equals finite differences; the module is left as it was."""
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x = mg.tensor(RNG.standard_normal(ROWS))
    before = net.state_dict()

    def after_step(flat: np.ndarray, record: bool):
        names, shapes = zip(*((n, p.shape) for n, p in net.named_parameters()), strict=True)
        cuts = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])
        params = {
            n: mg.tensor(flat[a:b].reshape(s), requires_grad=True)
            for n, s, a, b in zip(names, shapes, cuts, cuts[1:], strict=False)
        }
        loss = (nn.functional_call(net, params, (x,)) ** 2).mean()
        grads = mg.grad(loss, list(params.values()), create_graph=True)
        stepped = {n: p - 0.3 * g for (n, p), g in zip(params.items(), grads, strict=True)}
        value = (nn.functional_call(net, stepped, (x,)) ** 2).mean()
        return value, list(params.values())

    flat = np.concatenate([v.ravel() for v in before.values()])
    value, leaves = after_step(flat, True)
    analytic = np.concatenate([g.data.ravel() for g in mg.grad(value, leaves)])
    direction = RNG.standard_normal(flat.size)
    ahead, behind = (after_step(flat + h * direction, False)[0].item() for h in (1e-6, -1e-6))
    assert analytic @ direction == pytest.approx((ahead - behind) / 2e-6, rel=1e-6)
    assert all((before[k] == v).all() for k, v in net.state_dict().items())
    with pytest.raises(KeyError, match="nothing"):
        nn.functional_call(net, {"nothing": x}, (x,))


def _tied(nn):
    """A module of either nn: a weight in two layers, a layer in three places, one of them deeper."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = (nn.Linear(2, 2, bias=False) for _ in range(2))
            self.b.weight = self.a.weight
            self.c, self.d = self.a, nn.Sequential(nn.Tanh(), self.a)

        def forward(self, x):
            return self.d(self.c(self.b(self.a(x))))

    return Net()


def test_shared_weights_have_all_names_of_pytorch_both_ways():
    torch = pytest.importorskip("torch")
    ours, theirs = _tied(nn), _tied(torch.nn)
    x = RNG.standard_normal((3, 2)).astype("f")
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state) == ["a.weight", "b.weight", "c.weight", "d.1.weight"]
    ours.load_state_dict({name: value.numpy() for name, value in state.items()})
    np.testing.assert_allclose(ours(mg.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach(), rtol=1e-5)
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})


def test_a_shared_weight_is_loaded_by_any_of_its_names_and_by_one_array_alone():
    net = _tied(nn)
    net.load_state_dict({"c.weight": np.eye(2)})
    assert all(np.array_equal(value, np.eye(2)) for value in net.state_dict().values())
    with pytest.raises(ValueError, match=r"a\.weight and b\.weight are one tensor, and their arrays differ"):
        net.load_state_dict(net.state_dict() | {"b.weight": np.zeros((2, 2))})
    assert np.array_equal(net.b.weight.detach().numpy(), np.eye(2))
    with pytest.raises(KeyError, match=r"missing \['a.weight', 'b.weight', 'c.weight', 'd.1.weight'\]"):
        net.load_state_dict({})


def test_functional_call_replaces_a_shared_weight_wherever_it_lies():
    """The result and its gradient are those of four uses; the module is left as it was."""
    net, x = _tied(nn).double(), RNG.standard_normal((3, 2))
    weight = mg.tensor(RNG.standard_normal((2, 2)), requires_grad=True)
    before = net.a.weight
    for name in ("a.weight", "b.weight", "c.weight", "d.1.weight"):
        y = nn.functional_call(net, {name: weight}, (mg.tensor(x),))
        expected = (mg.tensor(x) @ weight.T @ weight.T @ weight.T).tanh() @ weight.T
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy())
        for ours, by_hand in zip(mg.grad(y.sum(), [weight]), mg.grad(expected.sum(), [weight]), strict=True):
            np.testing.assert_allclose(ours.numpy(), by_hand.numpy())
        assert net.a.weight is net.b.weight is net.d[1].weight is before
    nn.functional_call(net, {"a.weight": weight, "b.weight": weight}, (mg.tensor(x),))
    with pytest.raises(ValueError, match=r"a\.weight and d\.1\.weight are one tensor, and two were given"):
        nn.functional_call(net, {"a.weight": weight, "d.1.weight": weight * 2}, (mg.tensor(x),))


def test_a_module_inside_itself_has_a_finite_state():
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].above = net
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    net.load_state_dict(net.state_dict())


def test_state_dict_is_all_or_nothing():
    """A state dict that does not fit changes nothing and names what is wrong; strict=False takes what fits."""
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
    before = net.state_dict()
    good = {k: v + 1 for k, v in before.items()}
    for wrong, error, match in (
        ({k: v for k, v in good.items() if k != "1.running_mean"}, KeyError, "1.running_mean"),
        ({**good, "extra": np.zeros(1)}, KeyError, "extra"),
        ({**good, "0.weight": np.zeros((5, 3))}, ValueError, r"0.weight has shape \(5, 3\)"),
    ):
        with pytest.raises(error, match=match):
            net.load_state_dict(wrong)
        assert all((before[k] == v).all() for k, v in net.state_dict().items())
    net.load_state_dict({"0.bias": good["0.bias"], "extra": np.zeros(1)}, strict=False)
    assert (net[0].bias.data == good["0.bias"]).all()


def test_module_bookkeeping():
    """Names, casting, freezing, deep copies, replacing attributes, shared parameters, modes."""
    net = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.BatchNorm1d(5), nn.LeakyReLU(0.2)))
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.0.weight", "1.0.bias"]
    assert [n for n, _ in net.named_modules()] == ["", "0", "1", "1.0", "1.1"]
    assert {p.dtype for p in net.double().parameters()} == {mg.float64}
    assert net.state_dict()["1.0.num_batches_tracked"].dtype == np.int64
    twin = copy.deepcopy(net)
    twin[0].weight.assign(np.zeros((5, 4)))
    assert net[0].weight.data.any() and isinstance(twin[0].weight, nn.Parameter)
    assert not net.eval()[1][0].training and net.train()[1][0].training
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net[0].bias = None
    assert "0.bias" not in net.state_dict()
    x = mg.tensor([-1.0, 2.0])
    assert nn.ReLU(True)(x).tolist() == [0.0, 2.0] and x.tolist() == [-1.0, 2.0]
    shared = nn.Linear(4, 4)
    assert len(list(nn.Sequential(shared, shared).parameters())) == 2
    assert "LeakyReLU(negative_slope=0.2)" in repr(net)
    with pytest.raises(AttributeError, match="Linear has no attribute 'wieght'"):
        _ = shared.wieght
    with pytest.raises(TypeError, match="LeakyReLU takes the arguments"):
        nn.LeakyReLU(slope=0.2)


@pytest.mark.parametrize("norm", [False, True])
def test_dcgan_pair_equals_torch(norm, torch):
    """The networks of `minigan train` load into plain torch.nn.Sequential models under the same names, and agree."""
    g, d = DCGANGenerator(8, 3, 16, 4), DCGANCritic(3, 16, 4, norm)
    torch_g = torch.nn.Sequential(
        *(getattr(torch.nn, type(m).__name__)(*_settings(m)) for m in g.main),
    )
    torch_d = torch.nn.Sequential(*(getattr(torch.nn, type(m).__name__)(*_settings(m)) for m in d.main))
    for ours, theirs in ((g.main, torch_g), (d.main, torch_d)):
        theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    z = RNG.standard_normal((4, 8)).astype("f")
    image, their_image = g(mg.tensor(z)), torch_g(torch.tensor(z)[:, :, None, None])
    np.testing.assert_allclose(image.data, their_image.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d(image).data, torch_d(their_image).detach().numpy().ravel(), rtol=1e-3, atol=1e-5)


def _settings(m) -> tuple:
    if isinstance(m, nn.ConvTranspose2d):
        return m.in_channels, m.out_channels, m.kernel_size, m.stride, m.padding, 0, 1, m.bias is not None
    if isinstance(m, nn.Conv2d):
        return m.in_channels, m.out_channels, m.kernel_size, m.stride, m.padding, 1, 1, m.bias is not None
    if isinstance(m, nn.BatchNorm2d):
        return (m.num_features,)
    return tuple(getattr(m, "settings", {}).values())


def test_bad_sizes_are_refused():
    """Layers that cannot exist say so when they are made."""
    for make, match in (
        (lambda: nn.Linear(0, 3), "every size must be positive"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "groups 4 must divide"),
        (lambda: nn.Conv2d(4, 6, 0), "kernel_size"),
        (lambda: DCGANCritic(size=20), "power of two"),
        (lambda: nn.spectral_norm(nn.ReLU()), "no parameter"),
        (lambda: optim.Adam([]), "no parameters"),
    ):
        with pytest.raises(ValueError, match=match):
            make()


LAYER_LINES = [
    *("Linear(3, 4, bias=False)", "Conv2d(2, 4, 3, padding='same', padding_mode='reflect')", "GroupNorm(2, 4)"),
    *("Conv2d(2, 4, 3, dilation=2, groups=2)", "ConvTranspose2d(2, 4, 3, 2, 1, 1, dilation=2)", "GELU('tanh')"),
    *("BatchNorm2d(3, affine=False)", "BatchNorm2d(3, track_running_stats=False, momentum=None)", "Flatten(2)"),
    *("LayerNorm((3, 4), 1e-3)", "LayerNorm(4, elementwise_affine=False)", "RMSNorm(4)", "Dropout(0.25)"),
    *("InstanceNorm2d(4, affine=True)", "Embedding(4, 3, padding_idx=1)", "PReLU(3)", "Unflatten(1, (2, 3))"),
    *("Softplus(2.0)", "LeakyReLU(0.3)", "PixelShuffle(2)", "GRUCell(3, 4, bias=False)", "Conv1d(2, 4, 3, 2)"),
]


@pytest.mark.parametrize("line", LAYER_LINES)
def test_what_a_layer_prints_builds_it_again(line):
    """Here, and in PyTorch with the same names and shapes of weights."""
    torch = pytest.importorskip("torch")
    layer = eval(f"nn.{line}")
    assert repr(eval(f"nn.{layer!r}")) == repr(layer)
    other = eval(f"nn.{layer!r}", {"nn": torch.nn}).state_dict()
    assert {k: v.shape for k, v in layer.state_dict().items()} == {k: tuple(v.shape) for k, v in other.items()}
    assert vars(eval(f"nn.{layer!r}")).keys() == vars(layer).keys()


def test_names_that_found_no_place_are_returned():
    """As in PyTorch, where not strict: a state whose names all begin with "module." loads nothing."""
    net = nn.Linear(2, 2)
    found = net.load_state_dict({f"module.{name}": value for name, value in net.state_dict().items()}, strict=False)
    assert found == (["bias", "weight"], ["module.bias", "module.weight"])
    assert net.load_state_dict(net.state_dict()).missing_keys == []


@pytest.mark.parametrize("array", [np.array([[None]]), np.array([[1j]]), np.array([["1.5"]])])
def test_what_is_not_made_of_numbers_is_not_loaded(array):
    layer = nn.Linear(1, 1)
    before = layer.state_dict()
    with pytest.raises(TypeError, match="load_state_dict: weight has dtype"):
        layer.load_state_dict({"weight": array, "bias": np.zeros(1)})
    with pytest.raises(TypeError, match="expected names and arrays, got list"):
        layer.load_state_dict([1])
    assert all(np.array_equal(value, before[name]) for name, value in layer.state_dict().items())
