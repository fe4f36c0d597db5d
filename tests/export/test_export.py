"""Networks as ONNX and as PyTorch: every part of every system, by onnxruntime and by torch; and what is refused."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from exports import FORMULAS, QUICK, draw, own, trainer
from worlds import Formula

import minigan as mg
from minigan import nn
from minigan.cli import main
from minigan.export import onnx as graphs
from minigan.export import torch as lines
from minigan.export.forward import forward, resolved
from minigan.export.parts import parts
from minigan.gan.systems import SYSTEMS


@pytest.mark.parametrize("system", [s if s in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in SYSTEMS])
def test_every_part_agrees_with_other_tools(system):
    """In PyTorch, rebuilt from the printed lines, to 1e-5 of the largest output. In onnxruntime to 1e-6, or where
    float32 itself rounds by more, to twice that: the network's own distance from its float64 twin."""
    torch, _ = pytest.importorskip("torch"), pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    t = trainer(system)
    table = parts(t)
    assert {name.split(".")[0] for name in table} >= {"generator", *(["critic"] if t.critic is not None else [])}
    for name, part in table.items():
        arrays = draw(part)
        model = graphs.exported(part.network, part.inputs, part.names, name)
        assert [slot.name for slot in model.graph.input] == list(part.names)
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "rows"
        own_rounding = graphs.rounding(part.network, arrays)
        assert graphs.difference(model, part.network, arrays) < max(1e-6, 2 * own_rounding), name
        assert own_rounding < 2e-5, name
        result = lines.rebuilt(part.network, part.inputs, part.names)
        space: dict = {}
        exec(result.code, space)
        network = space["Network"]()
        network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in result.weights.items()})
        with torch.no_grad():
            answer = network.eval()(*map(torch.from_numpy, arrays))
        answers = answer if isinstance(answer, tuple) else (answer,)
        for a, b in zip(own(part.network, arrays), answers, strict=True):
            np.testing.assert_allclose(b.numpy(), a, rtol=0, atol=1e-5 * np.abs(a).max(), err_msg=name)


class ReLU(nn.Module):
    """A user's own, of a name that PyTorch has."""

    def forward(self, x):
        return mg.relu(x) * 1.5


class LeakyReLU(nn.LeakyReLU):
    """The same, by inheritance."""

    def forward(self, x):
        return super().forward(x) * 1.5


class Linear(nn.Linear):
    """With weights."""

    def forward(self, x):
        return super().forward(x) * 2


class Of(nn.Module):
    """A network of a function of its parts."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function = function
        for name, part in zip("ab", parts, strict=False):
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def _shared():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer)


NETWORKS = {
    "a layer twice in a row": lambda: Of(lambda n, x: n.a(n.a(x)), nn.Linear(4, 4)),
    "thrice": lambda: Of(lambda n, x: n.a(n.a(n.a(x))), nn.LeakyReLU(0.2)),
    "batch norm twice": lambda: Of(lambda n, x: n.a(n.a(x)), nn.BatchNorm1d(4)),
    "a user's ReLU": lambda: Of(lambda n, x: n.b(n.a(x)), nn.Linear(4, 4), ReLU()),
    "a user's LeakyReLU": lambda: Of(lambda n, x: n.b(n.a(x)), nn.Linear(4, 4), LeakyReLU(0.2)),
    "a user's Linear": lambda: Of(lambda n, x: n.a(x), Linear(4, 4)),
    "one layer": lambda: nn.Linear(4, 3),
    "one part by two names": _shared,
    "two names": lambda: Of(lambda n, x: n.b(n.a(x)), *([nn.Linear(4, 4)] * 2)),
    "a size that is asked for": lambda: Of(
        lambda n, x: n.a(x.reshape(-1, 1, 2, 2), output_size=(4, 4)), nn.ConvTranspose2d(1, 2, 3, 2, 1)
    ),
    "the usual size": lambda: Of(lambda n, x: n.a(x.reshape(-1, 1, 2, 2)), nn.ConvTranspose2d(1, 2, 3, 2, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_a_user(name):
    """Calls are told apart, and classes by what they are, not by their names."""
    torch = pytest.importorskip("torch")
    mg.manual_seed(0)
    network = NETWORKS[name]().eval()
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    result, space = lines.rebuilt(network, [x], ["x"]), {}
    exec(result.code, space)
    twin = space["Network"]()
    twin.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in result.weights.items()})
    with torch.no_grad():
        answer = twin.eval()(torch.from_numpy(x)).numpy()
    expected = network(mg.tensor(x)).detach().numpy()
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name):
    """What a network may do between its layers."""
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    x = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)
    network = Formula(FORMULAS[name])
    model = graphs.exported(network, [x], ["x"])
    assert graphs.difference(model, network, [x]) < 1e-6
    assert graphs.difference(model, network, [x[:1]]) < 1e-6


@pytest.mark.parametrize("name", [name for name in FORMULAS if "index" in name or "pixels" in name])
def test_indices_in_pytorch(name):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)
    network = Formula(FORMULAS[name])
    result, space = lines.rebuilt(network, [x], ["x"]), {}
    exec(result.code, space)
    copy = space["Network"]()
    copy.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in result.weights.items()})
    np.testing.assert_array_equal(copy(torch.from_numpy(x)).numpy(), own(network, [x])[0])


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: mg.functional.softplus(x, beta=2),
        lambda x: mg.functional.softplus(x, beta=0.5, threshold=0.1),
        lambda x: mg.functional.softplus(x, threshold=float("inf")),
        lambda x: mg.functional.pad(x.reshape(-1, 1, 2, 3), (-1, 0)),
        lambda x: x[: len(x), 1:],
        lambda x: x[..., 1:-1],
        lambda x: mg.functional.normalize(x, dim=1),
    ],
)
def test_settings_and_slices_in_both(formula):
    """Of more rows than the two that the lines are made of."""
    torch, _ = pytest.importorskip("torch"), pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    x = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)
    network = Formula(formula)
    assert graphs.difference(graphs.exported(network, [x], ["x"]), network, [x]) < 1e-6
    space = {}
    exec(lines.rebuilt(network, [x], ["x"]).code, space)
    np.testing.assert_allclose(space["Network"]()(torch.from_numpy(x)).numpy(), own(network, [x])[0], atol=1e-6)


@pytest.mark.parametrize("formula", [lambda x: x[:-1], lambda x: x[:2], lambda x: x[:, ::-1]])
def test_slices_without_a_line_are_named(formula):
    with pytest.raises(ValueError, match=r"rows depends on how many there are|backward slice"):
        lines.rebuilt(Formula(formula), [np.ones((3, 6), np.float32)], ["x"])


def test_a_mean_over_rows_in_pytorch():
    """A count of rows, and one row that all others get, follow the number of rows that come."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)
    network = Formula(lambda x: mg.cat([x, mg.broadcast_to((x * x).mean(0, keepdim=True), x.shape)], 1))
    result, space = lines.rebuilt(network, [x], ["x"]), {}
    exec(result.code, space)
    for rows in (1, 7):
        answer = space["Network"]()(torch.from_numpy(x[:rows]))
        np.testing.assert_allclose(answer.numpy(), own(network, [x[:rows]])[0], rtol=1e-6)


@pytest.mark.parametrize("geometry", [(4, 2, 1, 1, 1, 0), (3, 1, 0, 2, 1, 0), (3, 2, 1, 1, 2, 1), (5, 3, 2, 1, 1, 2)])
def test_convolutions(geometry):
    """Strides, padding, dilation, groups, output_padding, sides of different length."""
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    kernel, stride, padding, dilation, groups, extra = geometry
    layers = nn.Sequential(
        nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups),
        nn.ConvTranspose2d(4, 2, kernel, stride, padding, extra, groups, dilation=dilation),
    )
    x = np.random.default_rng(0).standard_normal((3, 2, 13, 16)).astype(np.float32)
    model = graphs.exported(layers, [x], ["images"])
    assert graphs.difference(model, layers, [x]) < 1e-6


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (lambda x: x.cumsum(1), "cumsum in Formula cannot be expressed: there is no rule"),
        (lambda x: x[1:], "index in Formula cannot be expressed: an index along the rows"),
        (lambda x: x.reshape(-1, 2, 3)[:, np.array([1, 0]), 0], "an index array beside other indices"),
        (lambda x: x * mg.arange(len(x)).reshape(-1, 1), "a constant of it depends on the number of rows"),
        (lambda x: x * float(len(x) ** 2), "a constant of it depends on the number of rows"),
        (lambda x: mg.cat([x, x[:1]], 0), "neither fixed nor the rows'|an index along the rows"),
        (lambda x: x + 1 if len(x) == 2 else x * 2, "other ops for another number of rows"),
    ],
)
def test_what_cannot_be_expressed_is_named(formula, said):
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match=said):
        graphs.exported(Formula(formula), [np.ones((3, 6), np.float32)], ["x"])


def test_the_rows_are_found_by_two_runs():
    passed = forward(Formula(lambda x: (x * 2).sum(1)), [np.ones((3, 2), np.float32)])
    assert [c.op.name for c in passed.calls] == ["mul", "sum"]
    assert [resolved(2, 3), resolved(4, 4), resolved(8, 12)] == [-1, 4, -4]
    with pytest.raises(ValueError, match="neither fixed nor the rows"):
        resolved(3, 4)


def test_export_by_command(tmp_path, monkeypatch):
    """A run's generator in its folder; another part, and one that is none."""
    monkeypatch.chdir(tmp_path)
    torch = pytest.importorskip("torch")
    run = CliRunner().invoke
    assert (
        run(main, ["train", "wgan-gp", "--steps", "0", "--base", "2", "--batch-size", "4", "--out", "r"]).exit_code == 0
    )
    result = run(main, ["export", "weights", "r", "--json"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "r" / "generator.safetensors").is_file()
    space: dict = {}
    exec(result.output[: result.output.index('{"out"')], space)
    with torch.no_grad():
        assert space["network"](torch.zeros(2, 100)).shape == (2, 1, 32, 32)
    result = run(main, ["export", "page", "r", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output.splitlines()[-1])["bytes"] == (tmp_path / "r" / "generator.html").stat().st_size
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    result = run(main, ["export", "onnx", "r", "--part", "critic", "-o", "c.onnx", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output.splitlines()[-1])["difference"] < 1e-5 and (tmp_path / "c.onnx").is_file()
    result = run(main, ["export", "onnx", "r", "--part", "encoder"])
    assert result.exit_code == 2 and "no part 'encoder'; it has generator, critic, classifier" in result.output


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["export", "onnx", "latest"])
    assert result.exit_code == 1 and 'pip install "minigan[onnx]"' in result.output
