"""What type checkers and editors read: minigan/_typing.pyi declares just what the package attaches to Tensor.

`mypy` checks this file with the public face (pyproject.toml says what that is), so `assert_type` holds there too. A
mistake that it must report has a `type: ignore` beside it: mypy says so where one is not needed.
"""

import ast
import inspect
from typing import assert_type

import numpy as np
from tensor_methods import PLACE, text

import minigan as mg
from minigan import autograd, data, methods, nn, optim
from minigan import functional as F
from minigan.gan import losses


def class_names(path: str, name: str) -> set[str]:
    """What the class statement `name` of a file defines."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name).body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    names |= {t.id for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)}
    return names | {
        node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_the_file_is_what_the_signatures_say() -> None:
    assert PLACE.read_text() == text(), "minigan/_typing.pyi is old; run: python tests/support/tensor_methods.py"


def test_every_method_is_declared() -> None:
    """What Tensor has beyond its class statement is what `Methods` declares."""
    own = class_names(inspect.getfile(autograd), "Tensor") | set(autograd.Tensor.__slots__)
    attached = set(vars(autograd.Tensor)) - own - {"__module__", "__doc__", "__annotations__", "__slotnames__"}
    assert attached == class_names(str(PLACE), "Methods")


def test_a_users_program() -> None:
    """Operators, methods, functions, gradients and layers have their types; mypy fails here where one is lost."""
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x**3 - 2 / x).sum()
    assert_type(y, mg.Tensor)
    (g,) = mg.grad(y, x, create_graph=True)
    assert g is not None
    assert_type(g, mg.Tensor)
    assert_type(g.shape, tuple[int, ...])
    assert_type(mg.exp(x) @ x, mg.Tensor)
    assert_type(F.tanh(x[0]).mean(), mg.Tensor)
    assert_type(x.detach().numpy(), np.ndarray)
    assert set(methods.PUBLIC) <= set(dir(mg))


def test_arrays_of_nothing() -> None:
    """Constants, random numbers, modes and devices."""
    assert_type(mg.zeros(2, 3, dtype=mg.float64), mg.Tensor)
    assert_type(mg.randn((2, 3), generator=mg.Generator(1)), mg.Tensor)
    assert_type(mg.as_tensor(np.ones(2)).to("cpu", mg.float32), mg.Tensor)

    @mg.no_grad()
    def double(x: mg.Tensor) -> mg.Tensor:
        return 2 * x

    with mg.enable_grad(), mg.device("cpu") as device:
        assert_type(device, mg.device)
        assert_type(double(mg.ones(2)), mg.Tensor)


def test_a_step_of_a_network() -> None:
    """Layers keep their class through a chain of calls; layers, functions, losses and clipping give a Tensor."""
    images, labels = mg.randn(2, 3, 4, 4), np.array([0, 1])
    layer = nn.Conv2d(3, 4, (3, 3), padding="same").train()
    assert_type(layer, nn.Conv2d)
    assert_type(layer.weight, nn.Parameter)
    assert_type(layer.bias, nn.Parameter | None)
    assert_type(nn.LeakyReLU(negative_slope=0.2)(layer(images)), mg.Tensor)
    assert_type(F.conv2d(images, layer.weight, stride=2, padding=(1, 1)), mg.Tensor)
    net = nn.Sequential(layer, nn.Upsample(scale_factor=2.0), nn.Flatten(), nn.Linear(256, 2)).double().float()
    assert_type(net, nn.Sequential)
    assert_type(net[0], nn.Module)
    assert_type(net[:2], nn.Sequential)
    assert_type(net.state_dict(), dict[str, np.ndarray])
    logits: mg.Tensor = net(images)
    for optimizer in (
        optim.Adam(net.parameters(), betas=(0.0, 0.9)),
        optim.SGD([{"params": [layer.weight], "lr": 0.1}]),
    ):
        optimizer.zero_grad()
        F.cross_entropy(logits, labels).backward()
        assert_type(layer.weight.grad, mg.Tensor | None)
        assert_type(optim.clip_grad_norm_(net.parameters(), 1.0), mg.Tensor)
        optimizer.step()
        logits = net(images)
    assert_type(losses.loss("hinge").discriminator(logits, logits), mg.Tensor)


def test_data() -> None:
    """A data set's arrays, and a loader's batches."""
    digits = data.load("digits")
    assert_type(digits.labels, np.ndarray | None)
    assert_type(next(data.Loader(digits, 4, seed=0)), tuple[np.ndarray, np.ndarray | None])


def mistakes(x: mg.Tensor, net: nn.Module) -> None:
    """Never called: what a type checker reports before the program runs."""
    mg.grad(1.0, x)  # type: ignore[arg-type]
    mg.grad(x, "x")  # type: ignore[arg-type]
    mg.zeros("2")  # type: ignore[arg-type]
    mg.tensor([1.0], dtype=1)  # type: ignore[arg-type]
    x.reshape("2")  # type: ignore[arg-type]
    x.sum(over=0)  # type: ignore[call-arg]
    F.conv2d(x, net)  # type: ignore[arg-type]
    F.cross_entropy(x, x, reduction=None)  # type: ignore[arg-type]
    nn.Linear(2)  # type: ignore[call-arg]
    nn.LeakyReLU(slope=0.2)  # type: ignore[call-arg]
    nn.Tanh()(net)  # type: ignore[arg-type]
    optim.Adam(1.0)  # type: ignore[arg-type]
    optim.SGD([x], lr="fast")  # type: ignore[arg-type]
    data.load("digits", size="big")  # type: ignore[arg-type]
    data.Loader(x, 4, seed=0)  # type: ignore[arg-type]


def test_help_shows_what_can_be_passed() -> None:
    """No public function hides its arguments behind *args or **kwargs, but those that take any number of sizes or
    axes."""
    sizes = {"size", "sizes", "shape", "dims", "args", "inputs", "operands", "tensors"}
    owners = (mg.Tensor, mg, F, nn.Module, nn.init, nn.utils, optim, optim.lr_scheduler, data)
    for owner in owners:
        for name in (n for n in dir(owner) if not n.startswith("_")):
            value = getattr(owner, name)
            ours = getattr(value, "__module__", "").startswith("minigan") and callable(value)
            if not ours or (inspect.isclass(value) and issubclass(value, Exception)):
                continue
            hidden = [
                p.name
                for p in inspect.signature(value).parameters.values()
                if p.kind is p.VAR_KEYWORD or (p.kind is p.VAR_POSITIONAL and p.name not in sizes)
            ]
            assert not hidden or name in {"forward", "TensorDataset"}, f"{owner.__name__}.{name} hides {hidden}"


def test_both_spellings() -> None:
    """axis= is dim=, in functions and methods."""
    x = mg.ones(2, 3)
    assert_type(x.sum(axis=0), mg.Tensor)
    assert_type(mg.mean(x, axis=1, keepdims=True), mg.Tensor)
    assert_type(x.softmax(axis=1), mg.Tensor)
    assert_type(F.normalize(x), mg.Tensor)
