"""Whatever a public op is called with, it answers, or refuses: a TypeError, ValueError or IndexError that names it.

The calls are made: of every op one call that is right, and in each of its arguments one wrong value after another.
"""

import operator
import warnings
from itertools import product

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import methods
from minigan.autograd import Op

RNG = np.random.default_rng(0)


def floats(*shape: int, low: float = 0.1) -> mg.Tensor:
    return mg.tensor(RNG.uniform(low, 0.9, shape).astype(np.float32), requires_grad=True)


X, Y, VECTOR, SQUARE = floats(2, 3), floats(2, 3), floats(3), floats(3, 3)
IMAGE, KERNEL, LINE, ROW = floats(1, 4, 4, 6), floats(4, 4, 3, 3), floats(2, 4, 6), floats(4, 4, 3)
INDEX, MASK = mg.tensor([[0, 1, 0], [1, 0, 1]]), mg.tensor(np.array([[True, False, True], [False, True, True]]))
LABELS = mg.tensor([0, 2])

PAIRWISE = "add sub mul div maximum minimum pow atan2 eq ne lt le gt ge"
UNARY = "abs neg cos sin erf exp expm1 log log1p rsqrt sqrt sign square floor ceil trunc isfinite isnan logsigmoid relu"
UNARY += " acos asin atan cosh nonzero reciprocal sinh tan"
REDUCTIONS = "amax amin sum mean argmax argmin any all max min prod safe_norm"

CALLS = {
    **dict.fromkeys(PAIRWISE.split(), (X, Y)), **dict.fromkeys((*UNARY.split(), "sigmoid", "silu", "tanh"), (X,)),
    **dict.fromkeys(REDUCTIONS.split(), (X, 1, True)),
    **dict.fromkeys(("softmax", "log_softmax", "logsumexp", "cumsum", "cumprod", "count_nonzero"), (X, 1)),
    **dict.fromkeys(("mse_loss", "l1_loss"), (X, Y, "mean")),
    "broadcast_to": (VECTOR, (2, 3)), "sum_to": (X, (1, 3)), "clamp": (X, 0.2, 0.8), "clip": (X, 0.2, 0.8),
    "lerp": (X, Y, 0.5), "round": (X, 1), "elu": (X, 0.5), "leaky_relu": (X, 0.2), "softplus": (X, 1.0, 20.0),
    "maxout": (X, 3, 1), "gelu": (X, "none"), "prelu": (X, VECTOR), "norm": (X, 2, 1, True), "std": (X, 1, 1, True),
    "var": (X, 1, 1, True), "sort": (X, 1, True), "argsort": (X, 1, True), "topk": (X, 2, 1), "flatten": (X, 0, 1),
    "permute": (X, (1, 0)), "reshape": (X, (3, 2)), "view": (X, (3, 2)), "squeeze": (X, 1), "unsqueeze": (X, 1),
    "transpose": (X, 0, 1), "chunk": (X, 2, 1), "split": (X, 2, 1), "flip": (X, (0, 1)), "gather": (X, 1, INDEX),
    "index_select": (X, 1, LABELS), "index_add": (X, 1, LABELS, X[:, :2], 2.0), "scatter": (X, 1, INDEX, Y),
    "scatter_add": (X, 1, INDEX, Y), "masked_fill": (X, MASK, 0.5), "roll": (X, 1, 0), "tile": (X, (2, 1)),
    "clamp_min": (X, 0.2), "clamp_max": (X, 0.8), "median": (X, 1, True), "quantile": (X, 0.5, 1, True),
    "repeat_interleave": (X, 2, 1), "trace": (SQUARE,), "unflatten": (X, 1, (3, 1)), "meshgrid": (VECTOR, VECTOR),
    **dict.fromkeys(("hstack", "vstack", "dstack"), ([X, Y],)), "bincount": (LABELS, floats(2), 3),
    "unique": (X, True, True, True, 1), **dict.fromkeys(("var_mean", "std_mean"), (X, 1, 1, True)),
    "tril": (SQUARE, 0), "triu": (SQUARE, 0), "diag": (SQUARE, 0), "diagonal": (SQUARE, 0, 0, 1),
    "matmul": (X, SQUARE), "outer": (VECTOR, VECTOR), "bmm": (LINE, LINE.permute(0, 2, 1)), "where": (MASK, X, Y),
    "cat": ([X, Y], 1), "concat": ([X, Y], 1), "stack": ([X, Y], 1), "pad": (X, (1, 1), "constant", 0.0),
    "einsum": ("ij,jk->ik", X, SQUARE),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (INDEX, INDEX)), "bitwise_not": (INDEX,),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "floor_divide", "remainder"), (X, Y)),
    **dict.fromkeys(("logical_not", "isinf", "ravel", "t"), (X,)), "isclose": (X, Y, 1e-5, 1e-8, False),
    "addcdiv": (X, X, Y), "addcmul": (X, X, Y), "addmm": (X, X, SQUARE), "mm": (X, SQUARE), "mv": (X, VECTOR),
    "dot": (VECTOR, VECTOR), "concatenate": ([X, Y], 1), "expand": (X, (4, 2, 3)), "unbind": (X, 1),
    **dict.fromkeys(("expand_as", "reshape_as", "view_as", "type_as"), (X, Y)), "narrow": (X, 1, 0, 2),
    **dict.fromkeys(("moveaxis", "movedim", "swapaxes", "swapdims"), (X, 0, 1)), "select": (X, 1, 0),
    "conv2d": (IMAGE, KERNEL, floats(4), 1, 1, 1, 1), "conv_transpose2d": (IMAGE, KERNEL, floats(4), 1, 1, 0, 1, 1),
    "conv1d": (LINE, ROW, floats(4), 1, 1, 1, 1), "conv_transpose1d": (LINE, ROW, floats(4), 1, 1, 0, 1, 1),
    "modulated_conv2d": (IMAGE, KERNEL, floats(1, 4), floats(4), 1, 1, True, 1e-8),
    "linear": (X, SQUARE, VECTOR), "avg_pool2d": (IMAGE, 2, 2, 0), "max_pool2d": (IMAGE, 2, 2, 0, 1),
    "adaptive_avg_pool2d": (IMAGE, (2, 3)), "interpolate": (IMAGE, (3, 5), None, "bilinear", False),
    "pixel_shuffle": (IMAGE, 2), "pixel_unshuffle": (IMAGE, 2), "unfold": (IMAGE, 2, 1, 0, 1),
    "fold": (floats(1, 4, 6), (3, 4), 2, 1, 0, 1),
    "grid_sample": (IMAGE, floats(1, 2, 3, 2), "bilinear", "zeros", False),
    "affine_grid": (floats(1, 2, 3), (1, 1, 2, 3), False),
    "batch_norm": (X, None, None, VECTOR, VECTOR, True, 0.1, 1e-5),
    "instance_norm": (IMAGE, None, None, floats(4), floats(4), True, 0.1, 1e-5),
    "layer_norm": (X, (3,), VECTOR, VECTOR, 1e-5),
    "group_norm": (IMAGE, 2, floats(4), floats(4), 1e-5),
    "rms_norm": (X, (3,), VECTOR, 1e-5), "normalize": (X, 2.0, 1, 1e-12),
    "scaled_dot_product_attention": (X, Y, Y, floats(2, 2), 0.0, False, 0.5), "dropout": (X, 0.5, True),
    "embedding": (LABELS, SQUARE, 1), "one_hot": (LABELS, 3), "cosine_similarity": (X, Y, 1, 1e-8),
    "binary_cross_entropy": (X, Y, VECTOR, "mean"), "binary_cross_entropy_with_logits": (X, Y, VECTOR, "mean", VECTOR),
    "smooth_l1_loss": (X, Y, "mean", 1.0), "kl_div": (X, Y, "mean", False),
    "cross_entropy": (X, LABELS, VECTOR, -100, "mean", 0.1),
}  # fmt: skip
"""A right call of every op, all its arguments by position."""

WRONG = {
    "None": None, "a list": [1.0, 2.0], "a nested list": [[1.0], [2.0, 3.0]], "an empty list": [], "a string": "text",
    "a number": 7.5, "an object": object(), "a dict": {}, "text in an array": np.array(["a", "b"]),
    "NumPy, other axes": np.ones((2, 2, 2, 2, 2)), "0-d": mg.tensor(0.5), "1-d of 5": floats(5), "2-d": floats(5, 7),
    "4-d": floats(2, 1, 5, 3), "empty": mg.tensor(np.zeros((0, 3), np.float32)), "float64": mg.tensor(np.ones((2, 3))),
    "integers": mg.tensor([[1, 2, 9], [-4, 5, 6]]), "bool": mg.tensor([True, False]), "an axis outside": 9,
    "a negative axis": -9, "axes outside": (0, 9), "an axis twice": (0, 0), "NaN": float("nan"),
}  # fmt: skip
"""What one argument is replaced by."""

OPERATORS = {
    **{"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "pow": operator.pow},
    **{"matmul": operator.matmul, "lt": operator.lt, "ge": operator.ge, "index": operator.getitem},
}
PUBLIC = {**methods.PUBLIC, **{name: getattr(F, name) for name in F.__all__}}


def calls(name):
    """(what is wrong, the call) for all wrong calls of an op: as a function, and as a method where it is one."""
    right = CALLS[name]
    doors = [PUBLIC[name]]
    if isinstance(right[0], mg.Tensor) and hasattr(mg.Tensor, name) and name in methods.PUBLIC:
        doors.append(lambda self, *rest: getattr(self, name)(*rest) if isinstance(self, mg.Tensor) else doors[0](self))
    for way, (i, (what, value)) in product(doors, product(range(len(right)), WRONG.items())):
        arguments = (*right[:i], value, *right[i + 1 :])
        yield f"argument {i}, {what}", lambda way=way, arguments=arguments: way(*arguments)
    for way, count in product(doors[:1], range(len(right))):
        yield f"only {count} arguments", lambda way=way, count=count: way(*right[:count])
    yield "one argument too many", lambda: doors[0](*right, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    if not isinstance(doors[0], Op):  # Python itself refuses a keyword that an op's __call__ has not
        yield "an argument that it has not", lambda: doors[0](*right, colour=1)
    for pair in (((X,), 1), ([X, None], 1)) if isinstance(right[0], list) else ():
        yield "a list of others", lambda pair=pair: doors[0](*pair)


def fault(name, call) -> str | None:
    """What is wrong with how the op refuses, if it does."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            call()
    except (TypeError, ValueError, IndexError) as error:
        text = str(error)
        names = {name, f"{name}()"}
        if not any(text.startswith((f"{n}: ", f"{n}()", f"{n} ")) for n in names):
            return f"does not name the op: {type(error).__name__}: {text[:150]}"
        if "\n" in text or len(text) > 400:
            return f"is long: {text[:600]}"
    except Exception as error:
        return f"is a {type(error).__name__}: {str(error)[:150]}"
    return None


def test_every_public_op_has_a_call():
    assert set(CALLS) == set(PUBLIC)
    for name, right in CALLS.items():
        PUBLIC[name](*right)


@pytest.mark.parametrize("name", CALLS)
def test_a_refusal_names_the_op(name):
    faults = [f"{name}, {what}: the refusal {words}" for what, call in calls(name) if (words := fault(name, call))]
    assert not faults, "\n".join([f"{len(faults)} faults", *faults[:10]])


@pytest.mark.parametrize("name", OPERATORS)
def test_a_refusal_of_an_operator_names_it(name):
    """Or it is Python's own, of two types that have no such operator together."""
    for what, value in WRONG.items():
        if name == "mul" and isinstance(value, (str, list, tuple)):
            continue  # Python would repeat it
        words = fault(name, lambda value=value: OPERATORS[name](X, value))
        assert words is None or "unsupported operand type" in words or "not supported between" in words, what
