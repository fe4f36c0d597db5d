"""Values at the edge: indices outside, gradients of another shape, NaN and infinity, against PyTorch where it answers.

Where PyTorch and mathematics differ, the test says which it follows.
"""

import itertools
from functools import partial

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F

NAN, INF = np.nan, np.inf
ODD = [NAN, -INF, INF, -1.0, -0.0, 0.0, 1.0, 2.0]
SHAPES = [(), (1,), (3,), (3, 1), (1, 3), (2, 3), (3, 2), (2, 3, 1)]


@pytest.mark.parametrize(("shape", "other"), [p for p in itertools.product(SHAPES, SHAPES) if p[0] != p[1]])
def test_a_gradient_of_another_shape_is_refused(shape, other):
    """By the assignment, and by name where a hook of a leaf or of an inner tensor returns it."""
    x, g = mg.ones(shape, requires_grad=True), mg.ones(other)
    with pytest.raises(ValueError, match=r"^grad: a tensor of shape .* cannot be the gradient"):
        x.grad = g
    assert x.grad is None
    for inner in (False, True):
        x = mg.ones(shape, requires_grad=True)
        y = x * 2 if inner else x
        y.register_hook(lambda _: g)
        with pytest.raises(ValueError, match=r"^register_hook: a tensor of shape"):
            (y * y).sum().backward()


@pytest.mark.parametrize("value", [5.0, "text", np.ones(3), [1.0, 2.0, 3.0]], ids=lambda value: type(value).__name__)
def test_what_is_no_tensor_is_no_gradient(value):
    x = mg.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"^grad: the gradient of"):
        x.grad = value
    x.register_hook(lambda _: value)
    with pytest.raises(TypeError, match=r"^register_hook: the gradient of"):
        x.sum().backward()


@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 1, 2)])
def test_indices_outside_are_refused_and_those_within_are_not(shape):
    """gather and index_select along every axis, eager and replayed by a plan: 0..size-1, and nothing else."""
    x = mg.tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    for axis, size in enumerate(shape):
        for index in range(-size - 1, size + 2):
            whole, line = mg.tensor(np.full(shape, index)), mg.tensor(np.array([0, index]))
            calls = {
                "gather": partial(mg.gather, x, axis, whole),
                "index_select": partial(mg.index_select, x, axis, line),
            }
            for name, call in calls.items():
                for run in (call, mg.capture(call)):
                    if 0 <= index < size:
                        assert (run().numpy().take(-1, axis) == x.numpy().take(index, axis)).all()
                    else:
                        with pytest.raises(IndexError, match=f"{name}: indices .* are outside axis {axis} of"):
                            run()


def test_gather_from_a_single_number(torch):
    """It counts as one axis of size 1."""
    for index in (0, [0], [0, 0, 0], [], 1, -1, [0, 7]):
        at = np.array(index, np.int64)
        for dim in (0, -1):
            try:
                expected = torch.gather(torch.tensor(5.0), dim, torch.tensor(at)).numpy()
            except RuntimeError:
                with pytest.raises(IndexError, match="gather: indices"):
                    mg.gather(mg.tensor(5.0), dim, mg.tensor(at))
                continue
            ours = mg.gather(mg.tensor(5.0), dim, mg.tensor(at))
            assert ours.shape == expected.shape
            assert (ours.numpy() == expected).all()


@pytest.mark.parametrize("size", range(8))
@pytest.mark.parametrize("chunks", range(1, 9))
def test_chunks(size, chunks, torch):
    for dim, shape in ((0, (size, 2)), (1, (2, size)), (-1, (0, size))):
        ours = [piece.shape for piece in mg.chunk(mg.ones(shape), chunks, dim)]
        assert ours == [tuple(piece.shape) for piece in torch.chunk(torch.ones(shape), chunks, dim)]


def gradients(torch, ours, theirs, *arrays):
    """(value, gradients) here and in PyTorch, of the sum of what a function returns."""
    a = [mg.tensor(array, requires_grad=True) for array in arrays]
    b = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, z = ours(*a), theirs(*b)
    with np.errstate(all="ignore"):
        found, expected = mg.grad(y.sum(), a), torch.autograd.grad(z.sum(), b)
    return [y.detach(), *found], [z.detach(), *expected]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["maximum", "minimum", "amax", "amin", "elu", "relu", "leaky_relu", "clip"])
def test_gradients_at_odd_values(name, torch):
    """All pairs of odd values, or rows of three of them: PyTorch's gradients, whose conventions these are."""
    if name in ("maximum", "minimum"):
        arrays = np.array(list(itertools.product(ODD, ODD)), np.float32).T.copy()
        pair = getattr(mg, name), getattr(torch, name)
    elif name in ("amax", "amin"):
        arrays = [np.array(list(itertools.product(ODD, repeat=3)), np.float32)]
        pair = (lambda x: getattr(x, name)(1),) * 2
    elif name == "clip":
        arrays, pair = [np.array(ODD, np.float32)], (lambda x: mg.clip(x, -0.5, 1.5), lambda x: x.clip(-0.5, 1.5))
    else:
        arrays, pair = [np.array(ODD, np.float32)], (getattr(F, name), getattr(torch.nn.functional, name))
    for ours, theirs in zip(*gradients(torch, *pair, *arrays), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def weighted(x, torch):
    """The sum of the values of a selection, each with a weight of its own, so that their order counts."""
    weights = [1.0, 2.0, 5.0][: x.shape[-1]]
    return x * (mg.tensor(np.array(weights)) if isinstance(x, mg.Tensor) else torch.tensor(weights, dtype=x.dtype))


PICKED = {
    "max": lambda x, torch: x.max(1)[0],
    "min": lambda x, torch: x.min(1)[0],
    "sort": lambda x, torch: weighted(x.sort(dim=1, stable=True)[0], torch),
    "sort falling": lambda x, torch: weighted(x.sort(dim=1, descending=True, stable=True)[0], torch),
    "topk": lambda x, torch: weighted(x.topk(2, 1)[0], torch),
    "prod": lambda x, torch: x.prod(1),
    "cumsum": lambda x, torch: x.cumsum(1),
    "tril": lambda x, torch: x.tril(),
    "masked_fill": lambda x, torch: x.masked_fill(x > 0, 0.5),
    "roll": lambda x, torch: weighted(x.roll(1, 1), torch),
}
PLACES = {
    "max": lambda x: x.max(1)[1],
    "min": lambda x: x.min(1)[1],
    "argmin": lambda x: x.argmin(1),
    "sort": lambda x: x.sort(dim=1, stable=True)[1],
    "sort falling": lambda x: x.sort(dim=1, descending=True, stable=True)[1],
    "any": lambda x: x.any(1),
    "all": lambda x: x.all(1),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PICKED)
def test_picked_elements_and_their_gradients_at_odd_values(name, torch):
    """Rows of three odd values, equal ones and NaN among them: the element that PyTorch picks gets the gradient."""
    rows = np.array(list(itertools.product(ODD, repeat=3)))
    pick = partial(PICKED[name], torch=torch)
    pair = gradients(torch, pick, pick, rows)
    for ours, theirs in zip(*pair, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", PLACES)
def test_places_at_odd_values(name, torch):
    """The first of equal ones, and NaN as the largest and the smallest."""
    rows = np.array(list(itertools.product(ODD, repeat=3)))
    np.testing.assert_array_equal(PLACES[name](mg.tensor(rows)).numpy(), PLACES[name](torch.tensor(rows)).numpy())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["silu", "gelu", "smooth_l1_loss", "atan2", "floor", "round", "lerp"])
def test_functions_at_odd_values(name, torch):
    arrays = [np.array(ODD)]
    if name in ("smooth_l1_loss", "atan2", "lerp"):
        arrays = np.array(list(itertools.product(ODD, ODD))).T.copy()
    ours, theirs = (
        getattr(F, name, None) or getattr(mg, name), getattr(torch.nn.functional, name, None) or getattr(torch, name)
    )  # fmt: skip
    settings = {"weight": 0.25} if name == "lerp" else {}
    for a, b in zip(*gradients(torch, partial(ours, **settings), partial(theirs, **settings), *arrays), strict=True):
        mine = np.zeros(b.shape) if a is None else a.numpy()
        np.testing.assert_allclose(mine, b.numpy(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_odd_logits_and_labels(reduction, smoothing, weighted, torch):
    """Rows with an impossible class (-inf) or NaN, any of them ignored, or all: PyTorch's values and gradients."""
    rows = np.array([[0.5, -INF, 1.0], [NAN, 0.0, 1.0], [1.0, 2.0, -1.0]], np.float32)
    weight = np.array([0.5, 2.0, 1.5], np.float32) if weighted else None
    for labels in itertools.product([-100, 0, 2], repeat=3):
        at = np.array(labels)
        settings = {"reduction": reduction, "label_smoothing": smoothing}
        ours = partial(F.cross_entropy, target=at, weight=None if weight is None else mg.tensor(weight), **settings)
        theirs = partial(
            torch.nn.functional.cross_entropy,
            target=torch.tensor(at),
            weight=None if weight is None else torch.tensor(weight),
            **settings,
        )
        pair = gradients(torch, ours, theirs, rows)
        for mine, torchs in zip(*pair, strict=True):
            np.testing.assert_allclose(mine.numpy(), torchs.numpy(), rtol=1e-5, atol=1e-6, err_msg=str(labels))


@pytest.mark.parametrize("target", [[0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
def test_an_impossible_class_that_is_not_aimed_at_adds_nothing(target):
    """0 ln 0 = 0: the loss is that without the class, and finite, where PyTorch answers NaN. Gradients are those of the
    smaller problem, too."""
    x = mg.tensor(np.array([[-INF, 0.3, -0.5]]), requires_grad=True)
    small = mg.tensor(np.array([[0.3, -0.5]]), requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor(np.array([target])))
    expected = F.cross_entropy(small, mg.tensor(np.array([target[1:]])))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    (g,), (wanted,) = mg.grad(loss, x), mg.grad(expected, small)
    np.testing.assert_allclose(g.numpy(), [[0.0, *wanted.numpy()[0]]], rtol=1e-12)
    aimed = F.cross_entropy(x, mg.tensor(np.array([[0.5, 0.5, 0.0]])))
    assert aimed.item() == INF


def test_a_branch_that_is_not_taken():
    """Its cotangent is 0, which an infinite slope makes NaN, in PyTorch too; not with the argument in the domain."""
    x = mg.tensor([-1.0, 4.0], requires_grad=True)
    (naive,) = mg.grad(mg.where(x > 0, x.sqrt(), x).sum(), x)
    assert np.isnan(naive.numpy()[0]) and naive.numpy()[1] == 0.25
    (safe,) = mg.grad(mg.where(x > 0, mg.where(x > 0, x, 1.0).sqrt(), x).sum(), x)
    assert safe.tolist() == [1.0, 0.25]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [2, 3, 4, 5, 3.0, 4.0, -1, -3, 0.5])
def test_powers(exponent, dtype):
    """Beside NumPy's in float64, to three roundings, derivatives to the second too; ends of the range included."""
    x = np.array([-np.inf, -2.5, -1, -0.0, 0, 1e-3, 0.7, 1, 3, 1e6, np.inf, np.nan], dtype)
    wide, t = x.astype(np.float64), mg.tensor(x).requires_grad_()
    y = t**exponent
    (first,) = mg.grad(y.sum(), t, create_graph=True)
    (second,) = mg.grad(first.sum(), t)
    with np.errstate(all="ignore"):
        slopes = exponent * wide ** (exponent - 1.0), exponent * (exponent - 1) * wide ** (exponent - 2.0)
    for values, exact in zip((y, first, second), (wide**exponent, *slopes), strict=True):
        np.testing.assert_allclose(values.data, exact.astype(dtype), rtol=3 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
@pytest.mark.parametrize(
    ("shape", "key"),
    [
        ((4, 5), ([0, -1, -1, 3], [2, 2, -5, 2])),
        ((6,), ([[0, 0], [5, -6]],)),
        ((3, 4, 2), ([[0], [1]], [3, -1], 1)),
        ((3, 4), ([0, -1, -1],)),
    ],
    ids=str,
)
def test_gradients_at_places_named_twice_and_from_the_end(shape, key, dtype):
    """Every place gets what is read from it, as NumPy's add.at has it, along all axes and along some."""
    ends = zip(key, shape, strict=False)
    key = tuple((np.array(places) % n if dtype is np.uint8 else np.array(places)).astype(dtype) for places, n in ends)
    x = mg.tensor(np.arange(np.prod(shape), dtype=np.float64).reshape(shape)).requires_grad_()
    y = x[key]
    weight = np.random.default_rng(0).standard_normal(y.shape)
    (g,) = mg.grad(y, x, mg.tensor(weight))
    expected = np.zeros(shape)
    np.add.at(expected, key, weight)
    np.testing.assert_array_equal(g.data, expected)
