"""`minigan gradcheck file.py:Name`: every kind of mistake is found in ops as users write them, and right ops pass."""

import json
from pathlib import Path

import numpy as np
import pytest
import right_ops
import wrong_ops
from click.testing import CliRunner

import minigan as mg
from minigan import nn
from minigan.cli.main import main
from minigan.testing.directional import wrong_derivative
from minigan.testing.examine import examine
from minigan.testing.subject import problem, subject

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
SUPPORT = Path(wrong_ops.__file__).parent
KINDS = (
    *("missing factor", "wrong axis", "forgotten sum", "constant second order", "stale statistics"),
    *("one wrong element", "wrong branch", "non-deterministic", "changes its input", "wrong for strided input"),
)
QUICK = {
    *("HalfMse", "Softmax", "Scale", "CotangentDetached", "FirstBatch", "Diagonal", "Huber", "EveryThirdCall"),
    *("SortsItsInput", "StridedCotangent", "Abs", "BatchNorm", "BiasAdd", "WithDropout", "TwoOutputs", "penalty"),
}
"""Run always; the others are slow tests."""


def names(table):
    return [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in table]


def test_every_kind_has_its_ops():
    kinds = [thing.mistake for thing in wrong_ops.WRONG.values()]
    assert set(kinds) == set(KINDS) and min(map(kinds.count, KINDS)) >= 3
    assert len(kinds) >= 30 and len(right_ops.RIGHT) >= 20


@pytest.mark.parametrize("name", names(wrong_ops.WRONG))
def test_a_wrong_op_is_found(name):
    report = examine(f"{SUPPORT / 'wrong_ops.py'}:{name}", upto=2)
    assert not report.passed and report.faults, report.text()


@pytest.mark.parametrize("name", names(right_ops.RIGHT))
def test_a_right_op_passes(name):
    report = examine(f"{SUPPORT / 'right_ops.py'}:{name}", upto=2)
    assert report.passed, report.text()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Square", ["order-1", "input 0 at element", "0.5 times the right one", "look at vjp"]),
        ("Swish", ["order-2", "look at what vjp takes for a constant"]),
        ("CubeByReference", ["the reference says", "look at forward"]),
        ("Add", ["gradient of shape", "sum the gradient back"]),
        ("LastElement", ["wrong at 1 of 12 elements", "(2, 3)"]),
        ("InPlaceRelu", ["forward changes input 0", "in place"]),
        ("ByBuffer", ["memory", "ravel"]),
        ("CutModule", ["by first.", "zero at all", "detach()"]),
    ],
)
def test_the_report_says_where(name, words):
    text = examine(getattr(wrong_ops, name), upto=2).text()
    assert all(word in text for word in words), text


def test_orders_up_to_four_and_float32():
    report = examine(lambda x: (x * x).sigmoid(), inputs=(np.linspace(-1, 1, 5),), upto=4)
    (call,) = report.calls
    assert report.passed and set(call.errors) == {1, 2, 3, 4} and max(call.errors.values()) < 1e-7
    assert set(call.ulps) == {0, 1, 2} and max(call.ulps.values()) < 50
    with pytest.raises(ValueError, match="order is 1 to 4, got 5"):
        examine(mg.tanh, upto=5)


def test_a_fault_of_the_fourth_order_only():
    """The rule of the rule of the rule is a constant."""

    class Fourth(mg.Op):
        def __init__(self, level=0):
            self.level = level

        def forward(self, x):
            return np.exp(x)

        def vjp(self, node, need, g):
            (x,) = node.inputs
            return (g * (Fourth(self.level + 1)(x) if self.level < 2 else mg.tensor(np.exp(x.detach().numpy()))),)

    x = (np.array([0.3, -0.7]),)
    assert examine(Fourth(), inputs=x, upto=3).passed
    report = examine(Fourth(), inputs=x, upto=4)
    assert not report.passed and "order-4" in report.text()


class Product(mg.Op):
    def forward(self, x, y):
        return x * y

    def vjp(self, node, need, g):
        x, y = node.inputs
        return (g * y, None) if x is y else (g * y, g * x)


class Kept(mg.Op):
    """Its output is one buffer, call after call."""

    def __init__(self):
        self.buffer = {}

    def forward(self, x):
        return np.multiply(x, x, out=self.buffer.setdefault(x.shape, np.empty_like(x)))

    def vjp(self, node, need, g):
        return (g * 2 * node.inputs[0],)


class Unsaved(mg.Op):
    saves_input = False

    def forward(self, x):
        return x * x

    def vjp(self, node, need, g):
        return (g * 2 * node.inputs[0],)


class UnsavedOutput(mg.Op):
    saves_input = False

    def forward(self, x):
        return np.exp(x)

    def vjp(self, node, need, g):
        return (g * node.output(),)


@pytest.mark.parametrize(
    ("op", "arguments", "words"),
    [
        (Kept, 1, "forward answers memory that it keeps"),
        (Unsaved, 1, "vjp reads the values of its input, though saves_input is False"),
        (UnsavedOutput, 1, "its vjp reads its output, so it must say saves_output = True"),
        (Product, 2, "the gradient of one tensor as input 0 and input 1 is not the sum of both"),
    ],
)
def test_memory_that_changes_and_one_tensor_in_two_places(op, arguments, words):
    report = examine(op(), inputs=tuple(np.linspace(1, 2 + k, 6).reshape(2, 3) for k in range(arguments)), upto=2)
    assert not report.passed and words in report.text(), report.text()


def test_a_whole_module_is_checked_by_its_weights():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(2, 1))
    before = {name: array.copy() for name, array in net.state_dict().items()}
    case = problem(subject(net), (np.random.default_rng(0).standard_normal((4, 1, 3, 3)),))
    assert case.names[0] == "input 0" and "0.weight" in case.names and "1.bias" in case.names
    assert wrong_derivative(case, 1)[1] is None and wrong_derivative(case, 2)[1] is None
    assert all(np.array_equal(before[name], array) for name, array in net.state_dict().items())


def test_random_numbers_of_the_user_are_left_alone():
    mg.manual_seed(7)
    expected = mg.rand(3).numpy()
    mg.manual_seed(7)
    examine(right_ops.WithDropout, upto=1)
    np.testing.assert_array_equal(mg.rand(3).numpy(), expected)


def test_the_command(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import minigan as mg\nimport numpy as np\n\nclass Double(mg.Op):\n    def forward(self, x):\n"
        "        return 2 * x\n\n    def vjp(self, node, need, g):\n        return (g,)\n\n\n"
        "def cube(x):\n    return x**3\n"
    )
    run = lambda *words: CliRunner().invoke(main, ["gradcheck", *words])  # noqa: E731
    right = run(f"{tmp_path / 'mine.py'}:cube", "--order", "4", "--shape", "2,3", "--json")
    assert right.exit_code == 0, right.output
    figures = json.loads(right.output.splitlines()[-1])["examinations"][0]
    assert figures["order"] == 4 and figures["calls"][0]["inputs"].startswith("(2, 3)")
    wrong = run(f"{tmp_path / 'mine.py'}:Double")
    assert wrong.exit_code == 1 and "Double(): WRONG" in wrong.output and "0.5 times the right one" in wrong.output
    for words, message in [
        ([f"{tmp_path / 'mine.py'}:Triple"], "has no Triple; it has"),
        ([f"{tmp_path / 'none.py'}:Double"], "there is no file"),
        ([f"{tmp_path / 'mine.py'}:np"], "np is module"),
        ([f"{tmp_path / 'mine.py'}:cube", "--shape", "a"], "--shape"),
        ([f"{tmp_path / 'mine.py'}:cube", "tanh"], "by itself"),
        (["tanh", "--order", "2"], "--order and --shape are for code of your own"),
        ([f"{tmp_path / 'mine.py'}:cube", "--shape", "2", "--shape", "3"], "refuses inputs"),
    ]:
        result = run(*words)
        assert result.exit_code == 2 and message in result.output, result.output


def test_code_that_does_not_run_is_named_by_its_line(tmp_path):
    (tmp_path / "broken.py").write_text("import minigan\n\nboom = 1 / 0\n")
    with pytest.raises(ValueError, match=r"broken.py does not run: line 3: ZeroDivisionError"):
        examine(f"{tmp_path / 'broken.py'}:Name")


def test_on_the_simulated_device():
    """An op written with tensor ops runs there; one that calls NumPy on arrays says so."""
    right = examine(right_ops.composition, inputs=(np.linspace(-1, 1, 6).reshape(2, 3),), upto=1, device="cudasim")
    assert right.passed and right.device == "cudasim", right.text()
    numpy_only = examine(wrong_ops.Square, inputs=(np.ones(3),), upto=1, device="cudasim")
    assert not numpy_only.passed


@pytest.mark.parametrize("kind", ["bool", "int64"])
def test_an_answer_without_a_derivative_is_named(kind):
    """Truth values and integers have none, whatever the inputs."""
    answer = {"bool": lambda x: x > 0, "int64": lambda x: x.argmax()}[kind]
    report = examine(answer)
    assert not report.passed and f"answers numbers of type {kind}, which have no derivative" in report.text()


class Average(mg.Op):
    """The mean, whose gradient was not spread over the input."""

    def forward(self, x):
        return np.asarray(x.mean())

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return (g / x.numel(),)


class Cube(mg.Op):
    """x^3, whose gradient was summed."""

    def forward(self, x):
        return x**3

    def vjp(self, node, need, g):
        (x,) = node.inputs
        return ((g * 3 * x**2).sum(),)


class Vjp(mg.Op):
    """No forward."""

    def vjp(self, node, need, g):
        return (g,)


@pytest.mark.parametrize("op", [Average, Cube])
def test_a_gradient_of_another_shape_is_wrong_also_where_one_number_passes(op):
    report = examine(op())
    assert not report.passed and "WRONG" in report.text() and "gradient of shape ()" in report.text()


def test_what_is_missing_is_said():
    with pytest.raises(
        ValueError, match=r"none of the usual inputs fits, it refuses .*Vjp has no forward; name shapes"
    ):
        examine(Vjp())
