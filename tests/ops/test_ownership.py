"""A result that is no view has memory of its own, also where there was nothing to do; positions that a key picks one by
one are copies, and those that it names twice get both gradients."""

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import no_grad
from minigan.autograd import Tensor

NOTHING = np.zeros(0, np.int64)
ON_ANY = (
    *("sum()", "sum(())", "sum(0)", "mean()", "prod()", "prod(0)", "cumsum(0)", "cumprod(0)", "sort()", "max(0)"),
    *("min(0)", "amax(0)", "roll(0)", "roll(0, 0)", "tile((1,))", "tile(())", "repeat(1)", "repeat(1, 1)"),
    *("repeat_interleave(1)", "flip(0)", "clamp(-9, 9)", "pow(1)", "logsumexp(0)", "topk(1, 0)", "mul(1)"),
)
ON_IMAGES = {
    "interpolate": lambda x: F.interpolate(x, scale_factor=1),
    "interpolate to a size": lambda x: F.interpolate(x, size=x.shape[2:]),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 1),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 1),
    **{
        f"pad {mode}": lambda x, mode=mode: F.pad(x, (0, 0, 0, 0), mode)
        for mode in ("replicate", "reflect", "circular")
    },
    "scatter": lambda x: x.scatter(0, mg.tensor(np.zeros((0, 1, 2, 2), np.int64)), 0.0),
}
SHAPES = ((), (1,), (3,), (2, 3))


def tensors(result) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [t for t in result if isinstance(t, Tensor)]


def require_own_memory(x, function):
    before = x.numpy().copy()
    for y in tensors(function(x)):
        y.fill_(7)
        assert np.array_equal(x.numpy(), before)


@pytest.mark.parametrize(
    ("call", "shape"), [(call, shape) for call in ON_ANY for shape in SHAPES if call != "repeat(1)" or len(shape) < 2]
)
def test_writing_into_a_result_leaves_its_input(call, shape):
    for dtype in (
        (np.float64, np.int64) if call in ("sum()", "sum(0)", "max(0)", "prod()", "cumsum(0)") else (np.float64,)
    ):
        x = mg.tensor(np.arange(1, 1 + int(np.prod(shape))).reshape(shape).astype(dtype))
        require_own_memory(x, lambda x: eval(f"x.{call}", {"x": x}))


@pytest.mark.parametrize("function", ON_IMAGES.values(), ids=ON_IMAGES)
def test_writing_into_an_image_that_nothing_was_done_to(function):
    require_own_memory(mg.tensor(np.arange(8.0).reshape(1, 2, 2, 2)), function)


def test_a_total_of_one_number_can_be_changed():
    """The graph of h keeps 6."""
    x = mg.tensor(3.0, requires_grad=True)
    h = x * 2
    total, y = h.sum(), h * h
    with no_grad():
        total.mul_(10)
    assert h.item() == 6 and mg.grad(y, x)[0].item() == 24


KEYS = (
    *((slice(None), (0, 0)), ((0, 0, 1),), (0, (1, 1)), ((0, 0), (1, 1)), (range(2), range(2)), (..., (0, 0))),
    *(([],), (slice(None), []), (None, [0, 0], [1, 1]), ([0, 0], None, [1, 1]), ([0, 0], [1, 1], None), (True, 0)),
)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_positions_of_any_sequence_get_all_their_gradients(key):
    """Counted by NumPy: how often each element was read."""
    data = np.arange(6.0).reshape(2, 3)
    x = mg.tensor(data, requires_grad=True)
    arrays = tuple(np.array(k, int) if isinstance(k, (tuple, list, range)) else k for k in key)
    y = x[key]
    assert np.array_equal(y.detach().numpy(), data[arrays])
    counts = np.zeros((2, 3))
    np.add.at(counts, arrays, 1)
    assert np.array_equal(mg.grad((y * y).sum(), x)[0].numpy(), 2 * data * counts)
    plain = mg.tensor(data)
    plain[key].fill_(9)
    assert np.array_equal(plain.numpy(), data)


def test_writing_by_a_tuple_of_positions():
    x = mg.zeros(2, 3)
    x[:, (0, 2)] = mg.ones(2, 2)
    assert x.tolist() == [[1, 0, 1], [1, 0, 1]]
