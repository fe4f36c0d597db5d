"""The engine itself: what is recorded, what is carried back, and every trap that has bitten an engine before."""

import copy
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import minigan as mg
from minigan.autograd import Node, TensorError
from minigan.ops.copy import alias


def leaf(*values, shape=None) -> mg.Tensor:
    return mg.tensor(np.array(values, float) if shape is None else np.ones(shape), requires_grad=True)


class Pair(mg.Op):
    """x -> (x^2, x^3), with a rule for whichever cotangents arrive."""

    seen: list

    def __init__(self) -> None:
        self.seen = []

    def forward(self, x):
        return x * x, x * x * x

    def vjp(self, node, need, g, h):
        self.seen.append((g is not None, h is not None))
        (x,) = node.inputs
        parts = [p for p in (None if g is None else g * 2 * x, None if h is None else h * 3 * x * x) if p is not None]
        return (parts[0] if len(parts) == 1 else parts[0] + parts[1],)


# What grad returns


def test_orders_one_to_five():
    x = leaf(2.0)
    y, expected = x**5, [80.0, 160.0, 240.0, 240.0, 120.0]
    for want in expected:
        (y,) = mg.grad(y.sum(), x, create_graph=True)
        assert y.item() == pytest.approx(want)
    assert mg.grad(y.sum(), x, allow_unused=True) == (None,)  # the fifth derivative does not depend on x


def test_always_a_tuple_and_none_for_what_was_not_reached():
    x, z = leaf(1.0), leaf(1.0)
    made = mg.grad(x * 2, [x, z])
    assert type(made) is tuple and made[0].item() == 2 and made[1] is None
    assert mg.grad([x * 2, x * 3], x)[0].item() == 5


def test_an_input_twice_and_an_output_twice():
    x = leaf(3.0)
    a, b = mg.grad(x * x, [x, x])
    assert a.item() == b.item() == 6
    y = x * x
    assert mg.grad([y, y], x)[0].item() == 12


def test_by_an_intermediate_and_by_the_output_itself():
    x = leaf(2.0)
    h = x * x
    y = h * h
    assert mg.grad(y, h)[0].item() == 8
    assert [g.item() for g in mg.grad(y, [x, h, y])] == [32, 8, 1]
    assert mg.grad(x, x)[0].item() == 1  # a leaf is its own derivative


def test_by_an_intermediate_the_part_below_it_is_not_walked():
    x = leaf(2.0)
    pair = Pair()
    h = pair(x)[0]
    y = h * 3
    mg.grad(y, h)
    assert pair.seen == []


def test_repeated_inputs():
    x = leaf(2.0, 3.0)
    for y, slope in ((x * x, 2 * x.data), (x + x, [2, 2]), (x / x, [0, 0]), (mg.cat([x, x]), None), (x - x, [0, 0])):
        (g,) = mg.grad(y.sum(), x)
        np.testing.assert_allclose(g.data, [2, 2] if slope is None else slope)
    m = leaf(shape=(2, 2))
    np.testing.assert_array_equal(mg.grad((m @ m).sum(), m)[0].data, np.full((2, 2), 4.0))


@pytest.mark.parametrize("kept", [(0,), (1,), (0, 1), (1, 0)])
def test_dropped_outputs(kept):
    """An op's outputs may be used in any number and order; what was not used arrives as None, not as zeros."""
    x, pair = leaf(2.0), Pair()
    outputs = pair(x)
    (g,) = mg.grad([outputs[k] for k in kept], x)
    assert g.item() == sum((4, 12)[k] for k in kept)
    assert pair.seen == [(0 in kept, 1 in kept)]


def test_the_order_of_accumulation_is_the_same_every_time(rng):
    """Many branches of very different size into one leaf: the sum is the same to the last bit."""
    scales = 10.0 ** rng.uniform(-8, 8, 60)

    def run():
        x = mg.tensor(np.linspace(0.1, 1, 7), requires_grad=True)
        total = sum((mg.sin(x * s) * (1 / s) for s in scales), start=x * 0)
        (g,) = mg.grad(total.sum(), x, create_graph=True)
        return g.data.tobytes(), mg.grad((g * g).sum(), x)[0].data.tobytes()

    assert len({run() for _ in range(4)}) == 1


def test_a_graph_can_be_walked_again():
    x = leaf(2.0)
    y = x * x
    assert mg.grad(y, x)[0].item() == mg.grad(y, x)[0].item() == 4


# backward


def test_backward_accumulates_out_of_place():
    x = leaf(2.0)
    (x * x).backward()
    first = x.grad
    (x * x).backward()
    assert first.item() == 4 and x.grad.item() == 8


def test_backward_with_a_cotangent_and_chosen_inputs():
    x, z = leaf(1.0, 2.0), leaf(1.0, 2.0)
    (x * z).backward(mg.tensor(np.array([1.0, 10.0])), inputs=[x])
    np.testing.assert_array_equal(x.grad.data, [1, 20])
    assert z.grad is None


def test_two_leaves_never_share_one_gradient_array():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.tensor(np.array([1.0, 1.0]))
    (a + b).backward(seed)
    arrays = [a.grad.data, b.grad.data, seed.data]
    for i, p in enumerate(arrays):
        for q in arrays[i + 1 :]:
            assert not np.shares_memory(p, q)
    a.grad.data[...] = 0  # clipping does this
    np.testing.assert_array_equal(b.grad.data, [1, 1])


def test_a_gradient_that_is_a_view_becomes_an_array_of_its_own():
    a = leaf(1.0, 2.0)
    a.sum().backward()  # the cotangent is broadcast: one number, stride 0
    assert a.grad.data.flags.writeable and a.grad.data.strides != (0,)
    a.grad.data[0] = 5
    assert a.grad.data[1] == 1


def test_gradients_that_share_memory_become_two_arrays():
    """x and y receive one array, y by a transposed view of it: neither .grad may show the other's change."""
    x, y = leaf([1.0, 2.0], [3.0, 4.0]), leaf([1.0, 2.0], [3.0, 4.0])
    ((x + y.transpose(0, 1)) * x.detach()).sum().backward()
    assert not np.may_share_memory(x.grad.data, y.grad.data)
    assert y.grad.tolist() == [[1.0, 3.0], [2.0, 4.0]]


@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_weights_gradient_lies_as_the_weight_does(bias):
    """So that no optimiser has to turn it around: (out, in), row by row, and no copy of it."""
    layer = mg.nn.Linear(5, 3, bias=bias)
    layer(mg.randn(7, 5)).sum().backward()
    assert layer.weight.grad.data.flags.c_contiguous and layer.weight.grad.shape == (3, 5)


def test_branches_that_share_a_cotangent_do_not_corrupt_it():
    """x's gradient is accumulated from arrays that other nodes still hold."""
    x = leaf(1.0, 2.0)
    left, right = x.reshape(2, 1), x * 1
    y = left.reshape(2) + right + x
    caught = []
    right.register_hook(lambda g: caught.append(g))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, [3, 3])
    np.testing.assert_array_equal(caught[0].data, [1, 1])


def test_a_leaf_that_is_itself_the_output():
    x = leaf(1.0)
    x.backward()
    assert x.grad.item() == 1


# Recording


def test_no_grad_enable_grad_and_detach():
    x = leaf(2.0)
    with mg.no_grad():
        assert not mg.is_grad_enabled() and not (x * 2).requires_grad
        with mg.enable_grad():
            assert (x * 2).requires_grad
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()

    @mg.no_grad()
    def quiet(t):
        return t * 2

    assert not quiet(x).requires_grad and not quiet(x).requires_grad
    d = (x * 3).detach()
    assert not d.requires_grad and d.is_leaf
    assert mg.grad(x * x.detach(), x)[0].item() == 2


def test_recording_is_restored_after_an_exception():
    x = leaf(2.0)
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert mg.is_grad_enabled()

    class Broken(mg.Op):
        def forward(self, x):
            return x * 1

        def vjp(self, node, need, g):
            raise KeyError

    with pytest.raises(KeyError):
        mg.grad(Broken()(x), x)
    assert mg.is_grad_enabled()


def test_a_first_order_gradient_is_not_recorded():
    x = leaf(2.0)
    before = Node(alias, (), ()).number
    y = x * x * x
    (g,) = mg.grad(y, x)
    recorded = Node(alias, (), ()).number - before - 1
    assert g.node is None and recorded == 2  # the two multiplications, nothing of the backward pass


def test_gradients_taken_inside_no_grad_of_a_recorded_graph():
    x = leaf(3.0)
    y = x * x
    with mg.no_grad():
        assert mg.grad(y, x)[0].item() == 6
        (g,) = mg.grad(y, x, create_graph=True)
    assert mg.grad(g, x)[0].item() == 2


def test_threads_have_their_own_recording_state(rng):
    """One thread in no_grad does not stop another from recording, nor do their graphs mix."""
    x = leaf(2.0)
    inside, release = threading.Event(), threading.Event()
    states, results, errors = [], {}, []

    def quiet():
        with mg.no_grad():
            inside.set()
            release.wait(10)
            states.append((x * 2).requires_grad)

    def work(k: int):
        try:
            for _ in range(50):
                z = mg.tensor(np.full(3, float(k)), requires_grad=True)
                (g,) = mg.grad((z * z * z).sum() * x, z, create_graph=True)
                results[k] = mg.grad(g.sum(), [z, x])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=quiet), *(threading.Thread(target=work, args=(k,)) for k in range(1, 5))]
    threads[0].start()
    assert inside.wait(10)
    assert (x * 2).requires_grad
    for t in threads[1:]:
        t.start()
    release.set()
    for t in threads:
        t.join(30)
    assert states == [False] and not errors
    for k in range(1, 5):
        dz, dx = results[k]
        np.testing.assert_allclose(dz.data, np.full(3, 12.0 * k))
        assert dx.item() == pytest.approx(9 * k * k)


# Hooks


def test_a_hook_sees_the_whole_gradient_once():
    x = leaf(2.0)
    h = x * 1
    seen = []
    h.register_hook(lambda g: seen.append(g.item()))
    (h * 2 + h * 3 + h * h).sum().backward()
    assert seen == [9.0]


@pytest.mark.parametrize("on_leaf", [True, False])
def test_what_a_hook_returns_takes_the_gradient_s_place(on_leaf):
    x = leaf(2.0)
    h = x * 3
    (x if on_leaf else h).register_hook(lambda g: g * 10)
    (h * h).sum().backward()
    assert x.grad.item() == pytest.approx(360)


def test_hooks_run_in_order_and_can_be_removed():
    x = leaf(2.0)
    order = []
    first = x.register_hook(lambda g: order.append("first"))
    x.register_hook(lambda g: order.append("second"))
    (x * 2).backward()
    first.remove()
    first.remove()
    (x * 2).backward()
    assert order == ["first", "second", "second"]


def test_a_handle_takes_out_its_own_registration_once():
    x, calls = leaf(2.0), []

    def hook(g):
        calls.append(g)

    first, second = x.register_hook(hook), x.register_hook(hook)
    first.remove()
    first.remove()
    (x * 2).backward()
    assert len(calls) == 1
    second.remove()
    (x * 2).backward()
    assert len(calls) == 1


def test_a_hook_does_not_change_the_dtype():
    x = mg.tensor([1.0], requires_grad=True)
    x.register_hook(lambda g: g.double() * 3)
    (x * 2).sum().backward()
    assert x.grad.dtype == mg.float32 and x.grad.tolist() == [6]


class Reverse(mg.Op):
    """Gradient reversal as users write it."""

    def forward(self, x):
        return x

    def vjp(self, node, need, g):
        return (-g,)


class Turned(mg.Op):
    def forward(self, x):
        return x.T, x[:1]

    def vjp(self, node, need, g, h):
        raise NotImplementedError


def test_a_user_s_op_that_answers_its_input_answers_a_copy():
    """A change of its output is not one of its input."""
    x = mg.ones(2, 2, requires_grad=True)
    w = x * 1
    y, turned = Reverse()(w), Turned()(w.detach())
    loss = (w**2).sum()
    with mg.no_grad():
        y.mul_(10)
        for t in turned:
            t.mul_(10)
    assert mg.grad(loss, x)[0].tolist() == [[2, 2], [2, 2]]
    (g,) = mg.grad(Reverse()(x).sum(), x)
    assert g.tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize("answer", [lambda x: [1.0, 2.0], lambda x: None, lambda x: 1.5, lambda x: (x * 2, None)])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_what_a_forward_answers_is_arrays(answer, requires_grad):
    class Odd(mg.Op):
        def forward(self, x):
            return answer(x)

    with pytest.raises(TypeError, match=r"Odd: forward answered a (list|NoneType|float); it must be an array"):
        Odd()(mg.ones(2, requires_grad=requires_grad))


@pytest.mark.parametrize("answer", [lambda g: g, lambda g: None, lambda g: (g.numpy(),), lambda g: [2.0]])
def test_what_a_vjp_answers_is_a_tuple_of_tensors(answer):
    class Odd(mg.Op):
        def forward(self, x):
            return x * 2

        def vjp(self, node, need, g):
            return answer(g)

    y = Odd()(mg.ones(2, requires_grad=True)).sum()
    with pytest.raises(TypeError, match="Odd: its vjp must return a tuple of a Tensor or None per input, got"):
        y.backward()


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
def test_arrays_of_the_other_byte_order_are_turned_over(dtype):
    """As FITS and IDX files hold them; memory of theirs cannot be shared."""
    array = np.array([0.5, 0.75, -3], dtype)
    x = mg.tensor(array)
    assert x.dtype.isnative and x.tolist() == array.tolist() and x.sum().item() == array.sum()
    assert mg.tensor([1, 2], dtype=dtype).dtype.isnative
    with pytest.raises(ValueError, match=r"byte order of other machines.*minigan\.tensor"):
        mg.from_numpy(array)


def test_a_hook_on_one_of_two_outputs_and_in_a_second_order_pass():
    x = leaf(2.0)
    square, cube = Pair()(x)
    seen = []
    cube.register_hook(lambda g: seen.append(g.item()))
    (g,) = mg.grad(square * 5 + cube * 7, x, create_graph=True)
    assert seen == [7.0]
    assert mg.grad(g, x)[0].item() == pytest.approx(5 * 2 + 7 * 12)


def test_a_hook_s_own_ops_are_part_of_the_second_order():
    x = leaf(2.0)
    h = x * 1
    handle = h.register_hook(lambda g: g * x)
    (g,) = mg.grad(h * h, x, create_graph=True)  # 2 h x = 2 x^2
    handle.remove()  # or it would act on the second pass as well
    assert g.item() == 8 and mg.grad(g, x)[0].item() == 8


def test_names_are_importable_from_where_users_know_them():
    """In a fresh interpreter, `from minigan.autograd import tensor` and the others give the objects of `minigan`."""
    modes = ["no_grad", "enable_grad", "is_grad_enabled", "detect_anomaly"]
    names = ["Tensor", "Node", "Op", "tensor", "as_tensor", "grad", "backward", *modes]
    program = (
        f"from minigan.autograd import {', '.join(names)}\n"
        "import minigan\n"
        f"assert all(getattr(minigan, n) is eval(n) for n in {names})\n"
        "assert as_tensor(2.0).item() == 2 and tensor([1, 2]).dtype == 'int64'\n"
        "print('same')"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout.strip() == "same", answer.stderr


def test_an_op_that_fails_is_explained_once():
    """`__call__` tries the kernel by itself first: the error names the op, and its cause is the kernel's own."""
    with pytest.raises(ValueError, match=r"add: .*shapes") as caught:
        mg.ones(3) + mg.ones(4)
    assert isinstance(caught.value.__cause__, ValueError) and caught.value.__cause__.__context__ is None


def test_a_gradient_of_the_wrong_shape_names_its_input():
    class Wrong(mg.Op):
        def forward(self, a, b):
            return a + b

        def vjp(self, node, need, g):
            return g, g.sum()

    a, b = (mg.ones(3, requires_grad=True) for _ in range(2))
    with pytest.raises(ValueError, match=r"Wrong: .*shape \(\) for input 1 of \(3,\)"):
        mg.grad(Wrong()(a, b).sum(), [a, b])
    with pytest.raises(ValueError, match=r"Wrong: .*shape \(\) for input 1 of \(3,\)"):
        mg.grad(Wrong()(a, b).sum(), a)


def test_backward_takes_any_iterable_of_inputs_and_one_tensor():
    x, w = mg.tensor([1.0], requires_grad=True), mg.tensor([2.0, 3.0], requires_grad=True)
    (x * w).sum().backward(inputs=(t for t in (x, w)))
    assert x.grad.tolist() == [5] and w.grad.tolist() == [1, 1]
    (x * w).sum().backward(inputs=x)
    assert x.grad.tolist() == [10] and w.grad.tolist() == [1, 1]
    (x * w).sum().backward(inputs=w)
    assert x.grad.tolist() == [10] and w.grad.tolist() == [2, 2]
    (x * w).sum().backward(inputs=[])
    assert x.grad.tolist() == [10]
    with pytest.raises(TensorError, match=r"backward: inputs\[1\] does not require a gradient"):
        (x * w).sum().backward(inputs=[x, mg.ones(1)])


def test_what_is_no_tensor_is_named():
    x = mg.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"grad: outputs\[0\] is a float"):
        mg.grad([1.0], [x])
    with pytest.raises(TypeError, match="holds an array, not a list"):
        mg.Tensor([1.0])
    with pytest.raises(TypeError, match="register_hook: expected a function"):
        x.register_hook(3)


@pytest.mark.parametrize("array", [np.array([1j]), np.array([None]), np.array(["1"]), np.ones(1, np.float16)])
def test_no_way_in_for_what_is_not_made_of_numbers(array):
    x = mg.zeros(1)
    for enter in (mg.from_numpy, x.assign, mg.tensor, lambda a: setattr(x, "data", a)):
        with pytest.raises(TypeError, match="is not supported"):
            enter(array)
    assert x.tolist() == [0] and x.dtype == np.float32


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: mg.randn(2, dtype=mg.int64), TypeError, "randn: random numbers are float32 or float64, not int64"),
        (lambda: mg.rand(2, dtype=bool), TypeError, "rand: random"),
        (lambda: mg.randn_like(mg.zeros(2, dtype=mg.int64)), TypeError, "randn_like: random"),
        (lambda: mg.rand_like(mg.zeros(2, dtype=mg.int64)), TypeError, "rand_like: random"),
        (lambda: mg.arange(3, dtype="float16"), TypeError, "arange: dtype float16"),
        (lambda: mg.eye(2, dtype=complex), TypeError, "eye: dtype complex128"),
        (lambda: mg.linspace(0, 1, 2, dtype=complex), TypeError, "linspace: dtype"),
        (lambda: mg.zeros_like(mg.zeros(2), dtype="float16"), TypeError, "full_like: dtype float16"),
        (lambda: mg.full_like(mg.zeros(2, dtype=mg.int64), np.nan), ValueError, "full_like: nan does not fit int64"),
        (lambda: mg.full((2,), 300, dtype=np.uint8), ValueError, "full: 300 does not fit uint8"),
        (lambda: mg.linspace(0, 1, -1), ValueError, "linspace: sizes must not be negative"),
        (lambda: mg.eye(-2), ValueError, "eye: sizes must not be negative"),
        (lambda: mg.arange(np.inf), ValueError, "arange: expected finite numbers"),
    ],
)
def test_tensors_that_cannot_be_made(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_the_slope_of_a_power_at_infinite_exponents():
    """2^x has the slope 2^x ln 2: 0 at -inf, infinite at inf; 1^x has none anywhere."""
    x = mg.tensor([-np.inf, 0.0, np.inf], requires_grad=True)
    np.testing.assert_allclose(mg.grad((2.0**x).sum(), x)[0].numpy(), [0, np.log(2), np.inf], 1e-6)
    assert mg.grad((1.0**x).sum(), x)[0].tolist() == [0, 0, 0]
    (g,) = mg.grad((2.0**x).sum(), x, create_graph=True)
    np.testing.assert_allclose(mg.grad(g.sum(), x)[0].numpy(), [0, np.log(2) ** 2, np.inf], 1e-6)


def test_a_product_of_nothing_has_a_gradient():
    x = mg.zeros(2, 0, requires_grad=True)
    y = x.prod(1)
    assert y.tolist() == [1, 1] and mg.grad(y.sum(), x)[0].shape == (2, 0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_a_copy_has_a_gradient_of_its_own(copied):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert copied(x).grad is None
    (x * x).sum().backward()
    twin = copied(x)
    x.grad.data[:] = 0
    assert twin.grad.tolist() == [2, 4] and twin.requires_grad
