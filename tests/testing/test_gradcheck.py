"""The checker and the strategies as a user meets them: what they accept, what they find, what they say."""

import json

import numpy as np
import pytest
import pytorch
from hypothesis import given, settings

import minigan as mg
from minigan.gan.losses import LOSSES
from minigan.gan.networks.table import PAIRS
from minigan.gan.penalties import PENALTIES
from minigan.gan.systems import table as systems
from minigan.ops import act as ops_act
from minigan.testing import certificate, gradcheck, objectives, opcase, strategies
from minigan.testing.gradcheck import GradcheckError, check_order, compare_with_torch, gradgradcheck, order_errors
from minigan.testing.opdb import TABLE, BadCall, OpCase, call


def leaf(*values) -> mg.Tensor:
    return mg.tensor(np.array(values), requires_grad=True)


class Swish(mg.Op):
    """x sigmoid(x), by rule or wrongly."""

    def __init__(self, mistake: str = "") -> None:
        self.mistake = mistake

    def forward(self, x):
        return x / (1 + np.exp(-x))

    def vjp(self, node, need, g):
        (x,) = node.inputs
        s = x.detach().sigmoid() if self.mistake == "constant" else x.sigmoid()
        if self.mistake == "cotangent":
            g = g.detach()
        if self.mistake == "product rule":
            return (g * s,)
        if self.mistake == "zero":
            return (None,)
        return (g * (s + x * s * (1 - s)),)


@pytest.mark.parametrize(
    ("mistake", "order", "advice"),
    [
        ("product rule", 1, "look at vjp first"),
        ("constant", 2, "takes for a constant"),
        ("cotangent", 2, "takes for a constant"),
    ],
)
def test_a_check_of_all_orders_stops_at_the_lowest_wrong_one(mistake, order, advice):
    with pytest.raises(GradcheckError, match=advice) as caught:
        gradcheck.check(Swish(mistake), [leaf(0.3, -1.2, 0.8)], upto=3)
    assert caught.value.order == order


def test_a_rule_times_minus_seven_fails_the_whole_check():
    """Each order is right beside the one before it, so a check of order 3 alone lets it pass."""

    class Wrong(Swish):
        def vjp(self, node, need, g):
            return (-7 * super().vjp(node, need, g)[0],)

    check_order(Wrong(), [leaf(0.3, -1.2)], 3)
    with pytest.raises(GradcheckError, match="order-1 derivative"):
        gradcheck.check(Wrong(), [leaf(0.3, -1.2)], upto=3)


def test_values_are_compared_with_the_reference():
    """Of the op itself, or a function that is named; a wrong value is order 0, a wrong shape too."""

    class Shifted(Swish):
        def reference(self, x):
            return x * x.sigmoid() + 1e-6

    with pytest.raises(GradcheckError, match=r"value of output 0 .* the reference says .*forward first") as caught:
        gradcheck.check(Shifted(), [leaf(0.3, -1.2)], upto=1)
    assert caught.value.order == 0
    errors = gradcheck.check(Swish(), [leaf(0.3, -1.2)], upto=2, reference=lambda x: x * x.sigmoid())
    assert len(errors) == 3 and max(errors) < 1e-6
    assert gradcheck.check(Swish(), [leaf(0.3)], upto=1)[0] is None
    with pytest.raises(GradcheckError, match="the reference has"):
        gradcheck.check(Swish(), [leaf(0.3, -1.2)], upto=1, reference=lambda x: x.sum())
    with pytest.raises(ValueError, match="at least 1, got 0"):
        gradcheck.check(Swish(), [leaf(0.3)], upto=0)


@pytest.mark.parametrize(
    ("name", "fn", "x"),
    [("log", mg.log, 1e-4), ("sqrt", mg.sqrt, 1e-4), ("reciprocal", lambda x: 1 / x, 1e-2)],
)
def test_small_arguments_are_no_false_alarm(name, fn, x):
    """There the function bends within the step of 1e-5; a smaller one tells its derivative from one 0.1 % off."""
    for order in (1, 2):
        check_order(fn, [leaf(x, 2 * x)], order)

    class Wrong(mg.Op):
        def forward(self, a):
            return fn(mg.tensor(a)).numpy()

        def vjp(self, node, need, g):
            (a,) = node.inputs
            return (1.001 * g * slope(a),)

    slope = {"log": lambda a: 1 / a, "sqrt": lambda a: 0.5 / mg.sqrt(a), "reciprocal": lambda a: -1 / (a * a)}[name]
    with pytest.raises(GradcheckError):
        check_order(Wrong(), [leaf(x, 2 * x)], 1)


def test_one_tensor_may_stand_alone():
    x = mg.tensor(np.linspace(1, 2, 6).reshape(2, 3), requires_grad=True)
    assert check_order(lambda t: t * t, x) < 1e-8 and gradgradcheck(lambda t: t**3, x) < 1e-6


def test_an_op_that_is_wrong_in_strided_memory_alone():
    class Strided(mg.Op):
        def forward(self, x):
            return np.lib.stride_tricks.as_strided(x, x.shape, np.empty(x.shape).strides) ** 2

        def vjp(self, node, need, g):
            return (g * 2 * node.inputs[0],)

    x = mg.Tensor(np.linspace(1, 2, 12).reshape(2, 6)[:, ::2]).requires_grad_()
    with pytest.raises(GradcheckError, match="in memory without gaps it is"):
        check_order(Strided(), [x])


@given(x=strategies.tensors(), layout=strategies.layouts())
@settings(max_examples=10)
def test_a_right_op_passes_at_every_order_and_in_every_layout(x, layout):
    x = mg.from_numpy(layout(x.data)).requires_grad_()
    for order in (1, 2, 3):
        assert check_order(Swish(), [x], order) < 1e-6


@pytest.mark.parametrize(
    ("mistake", "order", "by"), [("product rule", 1, 0), ("zero", 1, 0), ("constant", 2, 0), ("cotangent", 2, (1, 0))]
)
def test_each_mistake_is_found_at_its_order(mistake, order, by):
    x = leaf(0.3, -1.2, 0.8)
    for lower in range(1, order):
        check_order(Swish(mistake), [x], lower)
    with pytest.raises(GradcheckError, match="Swish: order-") as caught:
        check_order(Swish(mistake), [x], order)
    assert (caught.value.order, caught.value.input) == (order, by)


def test_several_inputs_outputs_and_constants():
    """Only what requires a gradient is differentiated; integer inputs and outputs are left alone."""

    def fn(a, index, b, c):
        return mg.stack([a[index], b]), mg.argmax(a), (a * c).sum()

    a, b = leaf(1.0, 2.0, 3.0), leaf(0.5, 0.25)
    index, c = mg.tensor([2, 0]), mg.tensor(np.array([1.0, 10.0, 100.0]))
    errors = order_errors(fn, [a, index, b, c], 1)
    assert set(errors) == {0, 2} and max(errors.values()) < 1e-6
    assert gradgradcheck(fn, [a, index, b, c]) < 1e-6


def test_the_inputs_stay_as_they_were():
    x = leaf(0.3, -1.2)
    gradgradcheck(Swish(), [x])
    np.testing.assert_array_equal(x.data, [0.3, -1.2])
    assert x.grad is None


def test_it_works_inside_no_grad():
    with mg.no_grad():
        gradgradcheck(Swish(), [leaf(0.5)])
        assert not mg.is_grad_enabled()


def test_what_it_cannot_check_is_refused():
    x = leaf(0.5)
    with pytest.raises(TypeError, match="Swish: input 0 is float32; finite differences need float64"):
        check_order(Swish(), [mg.tensor([0.5], requires_grad=True)])
    with pytest.raises(ValueError, match="Swish: none of the inputs requires a gradient"):
        check_order(Swish(), [x.detach()])
    with pytest.raises(ValueError, match="Swish: the order to check must be at least 1, got 0"):
        check_order(Swish(), [x], 0)
    noise = mg.Generator(1)
    with pytest.raises(GradcheckError, match="two calls on the same inputs differ"):
        check_order(lambda x: x * mg.randn(1, generator=noise, dtype="float64"), [x])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_is_refused():
    with pytest.raises(GradcheckError, match=r"log: output 0 of shape \(1,\) is not finite"):
        check_order(mg.log, [leaf(0.0)])
    with pytest.raises(GradcheckError, match=r"sqrt: order-1 derivative, input 0 of shape .* is not finite"):
        check_order(mg.sqrt, [leaf(0.0)], 2)


def test_against_torch(torch):
    errors = compare_with_torch(Swish(), torch.nn.functional.silu, [leaf(0.3, -1.2)])
    assert len(errors) == 3 and max(errors) < 1e-12
    with pytest.raises(GradcheckError, match=r"Swish: order-1 derivative by input 0 at element .* PyTorch says"):
        compare_with_torch(Swish("product rule"), torch.nn.functional.silu, [leaf(0.3)])
    with pytest.raises(GradcheckError, match=r"Swish: shape \(2,\) at order 0, PyTorch has \(1, 2\)"):
        compare_with_torch(Swish(), lambda x: x[None], [leaf(0.3, 1.0)])


def test_derivatives_are_those_of_calculus():
    """phi_n of x^4 under cotangents u: each order multiplies by its own."""
    x = leaf(2.0)
    scale = 1.0
    for order, value in ((0, 16.0), (1, 32.0), (2, 48.0), (3, 48.0), (4, 24.0)):
        if order:
            scale *= gradcheck.cotangent(0, order, 0, (1,)).item()
        assert gradcheck.derivatives(lambda x: x**4, [x], order)[0].item() == pytest.approx(value * scale)
    assert gradcheck.derivatives(lambda x: x**4, [x], 5) == [None]


# Values, strategies


def test_values_keep_their_distance():
    rng = np.random.default_rng(0)
    (x,) = opcase.Values(avoid=(0.0, 1.0), gap=0.1).draw(((1000,),), rng)
    assert min(np.abs(x).min(), np.abs(x - 1).min()) >= 0.1
    a, b = opcase.DISTINCT.draw(((5, 4), (30,)), rng)
    together = np.sort(np.concatenate([a.ravel(), b]))
    assert np.diff(together).min() >= 4 / 50 / 2 - 1e-12


def test_the_same_sample_gives_the_same_arrays():
    case = TABLE["conv2d"]
    for a, b in zip(case.arrays(case.samples[0]), case.arrays(case.samples[0]), strict=True):
        assert a.tobytes() == b.tobytes()


@given(shapes=strategies.broadcastable(3))
def test_broadcastable_shapes_broadcast(shapes):
    np.broadcast_shapes(*shapes)


@given(sample=strategies.conv2d())
def test_convolution_calls_fit(sample):
    """The output has the size that was drawn, 1 to 3, and H differs from W."""
    (n, _, h, w), (outputs, *_) = sample.inputs[:2]
    y = TABLE["conv2d"].bound(sample)(*TABLE["conv2d"].tensors(sample))
    assert y.shape[:2] == (n, outputs) and max(y.shape[2:]) <= 3 and h != w


def test_every_leftover_is_drawn():
    """Input rows that no output reads: each number below the stride occurs; so does output_padding of a stride or
    more."""
    leftovers, extras = set(), set()

    @given(conv=strategies.conv2d(), transposed=strategies.conv_transpose2d())
    @settings(max_examples=400, derandomize=True, database=None)
    def draw(conv, transposed):
        s, d, p = (conv.settings[k][0] for k in ("stride", "dilation", "padding"))
        h, k = conv.inputs[0][2], conv.inputs[1][2]
        leftovers.add((s, (h + 2 * p - d * (k - 1) - 1) % s))
        extras.add(transposed.settings["output_padding"][0] >= transposed.settings["stride"][0])

    draw()
    assert leftovers == {(s, r) for s in (1, 2, 3) for r in range(s)} and extras == {True, False}


# The certificate


def test_a_certificate_of_some_ops():
    lines = []
    result = certificate.certify(["tanh", "batch_norm.eval", "argmax"], show=lines.append)
    assert result.passed and [r.name for r in result.rows] == ["tanh", "batch_norm", "argmax"]
    assert len(lines) == 4 and lines[1].endswith("pass")
    assert set(result.rows[0].differences) == {1, 2, 3} and not result.rows[2].differences
    if pytorch.compared():
        assert set(result.rows[0].torch) == {0, 1, 2} and set(result.rows[2].torch) == {0}
        assert result.text().startswith("3 of 3 pass; ")
    assert json.loads(json.dumps(result.as_dict()))["rows"][0]["name"] == "tanh"
    with pytest.raises(ValueError, match="unknown op 'tangent'"):
        certificate.certify(["tangent"])


def test_a_certificate_says_what_failed(monkeypatch):
    monkeypatch.setitem(TABLE, "swish", OpCase("swish", Swish("product rule"), (call((3,)),)))
    result = certificate.certify(["swish"])
    assert not result.passed and "FAIL  swish((3,)): order-1 derivative by input 0" in result.text()
    assert result.text().splitlines()[-1].startswith("0 of 1 pass")


def test_a_failing_row_shows_the_errors_of_the_case_that_failed(monkeypatch):
    """Cases before and after the failing one pass with errors of their own, which the row does not mix in."""
    right, wrong = Swish(), Swish("product rule")
    fn = lambda x: wrong(x) if x.shape == (2,) else right(x)  # noqa: E731
    monkeypatch.setitem(TABLE, "swish", OpCase("swish", fn, (call((3,)), call((2,)), call((4,)))))
    (row,) = certificate.certify(["swish"]).rows
    alone = certificate._case_row(TABLE["swish"], call((2,)), 0)
    assert row.cases == 3 and row.verdict == "FAIL" and row.differences == alone.differences
    assert row.differences[1] > 1e-2 and "swish((2,))" in row.failure


def test_what_an_op_raises_is_a_failure_of_its_row(monkeypatch):
    class Broken(Swish):
        def vjp(self, node, need, g):
            raise ZeroDivisionError("no luck")

    monkeypatch.setitem(TABLE, "swish", OpCase("swish", Broken(), (call((3,)),)))
    result = certificate.certify(["swish", "tanh"])
    assert not result.passed and result.rows[1].verdict == "pass"
    assert result.rows[0].failure == "swish((3,)): ZeroDivisionError: no luck"


def test_without_torch_it_says_so(monkeypatch):
    """An op without a derivative has nothing then that it could be compared with, and does not pass."""
    monkeypatch.setattr(certificate, "find_spec", lambda name: None)
    result = certificate.certify(["tanh", "argmax"])
    assert result.passed and result.torch is None and not result.rows[0].torch
    assert "PyTorch not installed" in result.text() and "not checked  no derivative" in result.text()
    assert [row["verdict"] for row in result.as_dict()["rows"]] == ["pass", "not checked"]
    assert result.text().splitlines()[-1].startswith("1 of 2 pass, 1 not checked; ")
    nothing = certificate.certify(["argmax"])
    assert not nothing.passed and nothing.rows[0].cases == 0


def test_parameters_that_were_not_reached_are_not_checked():
    """A loss that breaks down on the way: the row at fault fails, no other one passes for it."""

    def fn(a, b):
        if a.data[0] > 1.0:  # the first difference by a reaches here
            raise ArithmeticError("beyond its domain")
        return (a * b).sum()

    arrays = (np.ones(2), np.ones(2))
    rows = certificate._rows(objectives.Objective("loss", ("a", "b"), arrays, fn), seed=0, upto=3)
    assert [row.verdict for row in rows] == ["FAIL", "not checked"]
    assert rows[0].failure == "loss: ArithmeticError: beyond its domain" and rows[1].cases == 0
    assert rows[1].unchecked == "order 1 against differences stopped at loss a"


def test_every_wrong_parameter_fails():
    """Not only the first; what is right beside them passes."""

    class Wrong(Swish):
        def vjp(self, node, need, g):
            return tuple(1.01 * d for d in super().vjp(node, need, g))

    arrays = (np.ones(2), np.ones(3), np.ones(4))
    fn = lambda a, b, c: Wrong()(a).sum() + Swish()(b).sum() + Wrong()(c).sum()  # noqa: E731
    rows = certificate._rows(objectives.Objective("loss", ("a", "b", "c"), arrays, fn), seed=0, upto=1)
    assert [row.verdict for row in rows] == ["FAIL", "pass", "FAIL"]
    assert rows[0].differences[1] > 1e-3 and rows[1].differences[1] < 1e-9


ORDERS = [pytest.param(2), pytest.param(3, marks=pytest.mark.slow)]


@pytest.mark.parametrize("upto", ORDERS)
def test_a_certificate_of_a_whole_step(upto):
    """Every parameter of WGAN-GP's critic, the gradient penalty included, and of its generator, through the critic;
    and against PyTorch."""
    before = mg.backend.default_generator.state_dict()
    result = certificate.certify_model("wgan-gp", upto=upto)
    assert mg.backend.default_generator.state_dict() == before
    assert result.passed and [row.name.split()[0] for row in result.rows] == ["critic"] * 6 + ["generator"] * 8
    for row in result.rows:
        assert max(row.differences.values()) < 1e-7 and set(row.differences) == set(range(1, upto + 1))
        if pytorch.compared():
            assert max(row.torch.values()) < 1e-12 and set(row.torch) == {0, 1, 2}


def test_a_wrong_kernel_fails_the_critic_s_certificate(monkeypatch):
    from minigan import kernels

    original = kernels.conv.conv_weight
    monkeypatch.setattr(kernels.conv, "conv_weight", lambda x, g, geometry, **k: original(x, g, geometry, **k) * 1.0001)
    result = certificate.certify_model("wgan-gp", upto=1)
    assert not result.passed and "FAIL" in result.text()


@pytest.mark.slow
def test_a_certificate_of_dcgan():
    result = certificate.certify_model("dcgan", seed=1)
    assert result.passed and {r.name.split()[0] for r in result.rows} == {"critic", "generator"}


SYSTEMS = [
    pytest.param(name, marks=() if name == "stargan" else pytest.mark.slow)
    for name in systems.SYSTEMS
    if name not in objectives.WITH_TORCH
]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_certificate_of_any_system(name):
    """Every weight of both players, to second order; and it can fail: not with a wrong second derivative in it."""
    result = certificate.certify_model(name)
    assert result.passed, result.text()
    players = {"critic", "generator"} if systems.options_for(name).loss else {"generator"}
    assert {r.name.split()[0] for r in result.rows} == players
    assert all(r.differences.keys() == {1, 2} for r in result.rows)


def test_a_wrong_derivative_fails_any_system_s_certificate(monkeypatch):
    right = ops_act.LeakyReluGrad.vjp
    monkeypatch.setattr(
        ops_act.LeakyReluGrad, "vjp", lambda *args: tuple(g if g is None else 1.01 * g for g in right(*args))
    )
    result = certificate.certify_model("stargan")
    assert not result.passed and "order-2" in result.text()


def ops_of(objective) -> set[type[mg.Op]]:
    """The ops that a loss is computed by."""
    y = objective.fn(*(mg.Tensor(p).requires_grad_() for p in objective.parameters))
    nodes, queue = set(), [y.node]
    while queue:
        node = queue.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            queue.extend(x.node for x in node.inputs)
    return {type(node.op) for node in nodes}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "gan" else pytest.mark.slow) for name in systems.SYSTEMS]
)
def test_a_wrong_derivative_in_an_op_of_the_generator_alone(name, monkeypatch):
    """Each op in the generator's loss that is not in the critic's, its rule off by 1 %: rows of the generator fail."""
    *critic, generator = map(ops_of, objectives.objectives(name, 0))
    alone = generator.difference(*critic)
    assert alone
    for op in alone:
        right = op.vjp
        with monkeypatch.context() as patch:
            patch.setattr(op, "vjp", lambda *a, right=right: tuple(g if g is None else 1.01 * g for g in right(*a)))
            result = certificate.certify_model(name, upto=1)
        assert not result.passed, op
        assert any(row.verdict == "FAIL" and row.name.startswith("generator") for row in result.rows), op


FLAT = {"stylegan": {"layers.4.style.weight (1, 2)", "layers.4.style.bias (1,)"}}
"""Weights that no loss feels, beside biases: the style of a layer of one channel, which is divided out again."""


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_a_certificate_says_something_of_every_weight(name):
    """A derivative that is 0 whatever the weight is would pass whatever its rule says. Biases may be so: that of a
    critic whose loss takes differences of its outputs, and one in front of a norm."""
    flat = set()
    for objective in objectives.objectives(name, 0):
        parameters = [mg.Tensor(p).requires_grad_() for p in objective.parameters]
        slopes = mg.grad(objective.fn(*parameters), parameters)
        flat |= {n for n, g in zip(objective.names, slopes, strict=True) if abs(g.numpy()).max() < 1e-9}
    assert not {n for n in flat if ".bias" not in n and n not in FLAT.get(name, ())}


CHANGES = [
    *({"loss": name, "gp_weight": 0.0} for name in LOSSES if name not in ("ebgan", "wasserstein")),
    *({"loss": "wasserstein", "gp_weight": 10.0, "penalty": name, "critic_norm": False} for name in PENALTIES),
    *({"network": name, "critic_norm": False} for name in PAIRS),
]
QUICK = [{"loss": "relativistic", "gp_weight": 0.0}, {"network": "mlp", "critic_norm": False}]


@pytest.mark.parametrize(
    "changes",
    [pytest.param(c, id=" ".join(map(str, c.values())), marks=() if c in QUICK else pytest.mark.slow) for c in CHANGES],
)
def test_a_certificate_of_any_loss_penalty_and_network(changes):
    """Both players' first and second derivatives in a plain system, whatever it plays."""
    result = certificate.certify_model("dcgan", **changes)
    assert result.passed, result.text()
    assert {r.name.split()[0] for r in result.rows} == {"critic", "generator"}


def test_an_unknown_model():
    with pytest.raises(ValueError, match="unknown system 'biggan'"):
        certificate.certify_model("biggan")


def test_rows_print_themselves():
    assert str(TABLE["conv2d"]) == "conv2d" and TABLE["batch_norm.eval"].op == "batch_norm"
    assert str(call((2, 3), np.zeros(2), dim=1)) == "(2, 3), array(2,), dim=1"
    assert BadCall(print, ValueError, "x").match == "x"
