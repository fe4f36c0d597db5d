"""Every public op is in the table, every Op class is exercised by it, and names, order and defaults of arguments are
PyTorch's."""

import importlib
import inspect

import pytest

from minigan import functional, methods
from minigan.autograd import Op, Tensor
from minigan.ops import table
from minigan.testing import strategies
from minigan.testing.opdb import TABLE, cases

OPS = {c.op for c in TABLE.values()}
ARITHMETIC = ["add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "rpow", "neg", "abs"]
OPERATORS = [*ARITHMETIC, "matmul", "rmatmul", "eq", "ne", "lt", "le", "gt", "ge", "getitem"]
OPERATORS += ["and", "rand", "or", "ror", "xor", "rxor", "invert", "floordiv", "rfloordiv", "mod", "rmod", "pos"]
# Methods of Tensor that are no ops: the engine's own surface.
CONVERSIONS = {"item", "numpy", "tolist", "type", "bool", "int", "short", "cpu", "cuda", "contiguous"}
QUESTIONS = {
    "allclose",
    "equal",
    "numel",
    "nelement",
    "size",
    "dim",
    "ndimension",
    "element_size",
    "is_contiguous",
    "is_floating_point",
    "stride",
}
SURFACE = CONVERSIONS | QUESTIONS | {"assign", "backward", "changed", "register_hook", "retain_grad"}


def op_classes() -> set[type]:
    """Every op of autograd.py and of the ops' own files."""
    return {c for c in table.classes() if c.__module__.startswith(("minigan.ops.", "minigan.autograd"))}


def test_names_are_unique_and_every_row_can_fail():
    parts = (
        "elementwise",
        "shape",
        "views",
        "select",
        "reduce",
        "values",
        "conv",
        "image",
        "activations",
        "norm",
        "losses",
    )
    names = [c.name for part in parts for c in importlib.import_module(f"minigan.testing.table_{part}").CASES]
    assert len(names) == len(set(names)) == len(TABLE)
    for case in TABLE.values():
        assert case.samples, f"{case} has no samples"
        assert case.torch_fn or case.max_order, f"{case} is compared with nothing"
        if case.strategy:
            assert callable(getattr(strategies, case.strategy))


@pytest.mark.parametrize("name", sorted({*methods.PUBLIC, *functional.__all__}))
def test_every_public_op_is_in_the_table(name):
    function = methods.PUBLIC.get(name) or getattr(functional, name)
    aliases = {n for n, f in methods.PUBLIC.items() if inspect.unwrap(f) is inspect.unwrap(function)} | {name}
    assert aliases & OPS, f"{name} has no row in the op table"


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_in_the_table(name):
    assert hasattr(Tensor, f"__{name}__") and f"__{name}__" in OPS


def test_no_method_or_operator_of_tensor_is_forgotten():
    ours = {n for n in vars(Tensor) if callable(getattr(Tensor, n)) and not n.startswith("_")}
    # Changes in place, and new tensors like this one: tests/habits.
    ours = {n for n in ours if not n.endswith("_") and not n.startswith("new_")}
    in_table = {inspect.unwrap(methods.PUBLIC[name]) for name in OPS & methods.PUBLIC.keys()}
    assert ours - OPS - SURFACE - {n for n, f in methods.PUBLIC.items() if inspect.unwrap(f) in in_table} == set()
    python = {*("init", "repr", "len", "bool", "float", "int", "hash", "deepcopy", "class", "new", "doc", "module")}
    python |= {
        "divmod",
        "rdivmod",
        "array",
        "array_ufunc",
        "array_function",
        "contains",
        "setitem",
        *(f"i{n}" for n in OPERATORS),
    }
    dunders = {n.strip("_") for n in vars(Tensor) if n.startswith("__") and callable(getattr(Tensor, n))}
    assert dunders - set(OPERATORS) - python == set()


@pytest.mark.parametrize("name", [n for names in methods.METHODS.values() for n in names.split()])
def test_a_method_is_the_function(name):
    """x.name(...) gives what minigan.name(x, ...) gives."""
    case = next((c for c in TABLE.values() if c.fn is inspect.unwrap(methods.PUBLIC[name])), None)
    if case is None:
        assert getattr(Tensor, name).__doc__ == methods.PUBLIC[name].__doc__
        return
    sample = case.samples[0]
    tensors = case.tensors(sample)
    a = case.bound(sample)(*tensors)
    b = case.bound(sample, getattr(Tensor, name))(*tensors)
    for x, y in zip(a if isinstance(a, tuple) else [a], b if isinstance(b, tuple) else [b], strict=True):
        assert x.data.tobytes() == y.data.tobytes() and x.shape == y.shape


def test_every_op_class_is_run_and_differentiated(table_calls):
    """Running all rows to order 2 applies every Op there is, and calls every vjp of every differentiable one."""
    classes = op_classes()
    assert len(classes) > 40
    assert classes - table_calls.arities.keys() == set()
    assert {c for c in classes if c.differentiable} - table_calls.differentiated == set()


def torch_signature(torch, name: str):
    for owner in (torch.nn.functional, torch):
        function = getattr(owner, name, None)
        try:
            return inspect.signature(function)
        except (TypeError, ValueError):
            continue
    return None


# Written in C, so that Python cannot see their signatures: from the documentation.
DOCUMENTED = {
    "conv2d": "input weight bias=None stride=1 padding=0 dilation=1 groups=1",
    "conv_transpose2d": "input weight bias=None stride=1 padding=0 output_padding=0 groups=1 dilation=1",
    "avg_pool2d": "input kernel_size stride=None padding=0 ceil_mode=False count_include_pad=True",
    "max_pool2d": "input kernel_size stride=None padding=0 dilation=1 ceil_mode=False",
    "linear": "input weight bias=None",
    "sigmoid": "input",
    "pixel_shuffle": "input upscale_factor",
    "softplus": "input beta=1 threshold=20",
    "logsigmoid": "input",
    "one_hot": "tensor num_classes=-1",
    "clip": "input min=None max=None",
    "clamp": "input min=None max=None",
    "flatten": "input start_dim=0 end_dim=-1",
    "transpose": "input dim0 dim1",
    "unsqueeze": "input dim",
    "gather": "input dim index",
    "index_select": "input dim index",
    "flip": "input dims",
    "chunk": "input chunks dim=0",
    "cat": "tensors dim=0",
    "stack": "tensors dim=0",
    "where": "condition input=None other=None",
    "sum": "input dim=None keepdim=False",
    "mean": "input dim=None keepdim=False",
    "amax": "input dim=None keepdim=False",
    "amin": "input dim=None keepdim=False",
    "argmax": "input dim=None keepdim=False",
    "logsumexp": "input dim keepdim=False",
    "matmul": "input other",
    "pow": "input exponent",
    "conv1d": "input weight bias=None stride=1 padding=0 dilation=1 groups=1",
    "conv_transpose1d": "input weight bias=None stride=1 padding=0 output_padding=0 groups=1 dilation=1",
    "cosine_similarity": "x1 x2 dim=1 eps=1e-08",
    "gelu": "input approximate=none",
    "pixel_unshuffle": "input downscale_factor",
    "prelu": "input weight",
    "scaled_dot_product_attention": "query key value attn_mask=None dropout_p=0 is_causal=False scale=None"
    " generator=None",
    "any": "input dim=None keepdim=False",
    "all": "input dim=None keepdim=False",
    "argmin": "input dim=None keepdim=False",
    "max": "input dim=None keepdim=False",
    "min": "input dim=None keepdim=False",
    "prod": "input dim=None keepdim=False",
    "cumsum": "input dim",
    "cumprod": "input dim",
    "median": "input dim=None keepdim=False",
    "quantile": "input q dim=None keepdim=False interpolation=linear",
    "nonzero": "input as_tuple=False",
    "bincount": "input weights=None minlength=0",
    "unique": "input sorted=True return_inverse=False return_counts=False dim=None",
    "repeat_interleave": "input repeats dim=None output_size=None",
    "unflatten": "input dim sizes",
    "trace": "input",
    "reciprocal": "input",
    "clamp_min": "input min",
    "clamp_max": "input max",
    "count_nonzero": "input dim=None",
    "hstack": "tensors",
    "vstack": "tensors",
    "dstack": "tensors",
    "sort": "input dim=-1 descending=False stable=False",
    "argsort": "input dim=-1 descending=False stable=False",
    "topk": "input k dim=-1 largest=True sorted=True",
    "scatter": "input dim index src",
    "scatter_add": "input dim index src",
    "index_add": "input dim index source alpha=1",
    "masked_fill": "input mask value",
    "roll": "input shifts dims=None",
    "tril": "input diagonal=0",
    "triu": "input diagonal=0",
    "diag": "input diagonal=0",
    "diagonal": "input offset=0 dim1=0 dim2=1",
    "bmm": "input mat2",
    "outer": "input vec2",
    "lerp": "input end weight",
    "round": "input decimals=0",
}


def parameters_of(function) -> list[inspect.Parameter]:
    """Its parameters without the second spellings of their names."""
    names = getattr(function, "spellings", ())
    return [p for p in inspect.signature(function).parameters.values() if p.name not in names]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_signatures(name):
    function = methods.PUBLIC.get(name) or getattr(functional, name)
    parameters = []
    if not isinstance(function, Op):
        for p in parameters_of(function):
            default = (
                "" if p.default is p.empty else f"={p.default:g}" if isinstance(p.default, float) else f"={p.default}"
            )
            parameters.append(p.name + default)
        assert " ".join(parameters) == DOCUMENTED[name]


# PyTorch's arguments that are deprecated there, or say what minigan has no use for.
DROPPED = {
    "batch_norm": set(),
    "softmax": {"_stacklevel", "dtype"},
    "log_softmax": {"_stacklevel", "dtype"},
    "embedding": {"max_norm", "norm_type", "scale_grad_by_freq", "sparse"},
    "normalize": {"out"},
    "max_pool2d": {"return_indices"},
    "interpolate": {"recompute_scale_factor", "antialias"},
    "cross_entropy": {"size_average", "reduce"},
    "binary_cross_entropy_with_logits": {"size_average", "reduce"},
    "mse_loss": {"size_average", "reduce", "weight"},
    "l1_loss": {"size_average", "reduce", "weight"},
    "smooth_l1_loss": {"size_average", "reduce", "weight"},
    "kl_div": {"size_average", "reduce"},
    "binary_cross_entropy": {"size_average", "reduce"},
}
ADDED = {"generator"}
OWN = {"maxout", "modulated_conv2d"}
"""Functions that torch has not."""


@pytest.mark.parametrize("name", sorted(n for n in functional.__all__ if n not in DOCUMENTED and n not in OWN))
def test_signatures_follow_torch(name, torch):
    """The same names in the same order with the same defaults; only what is listed above is left out."""
    theirs = torch_signature(torch, name)
    ours = parameters_of(getattr(functional, name))
    dropped = DROPPED.get(name, set())
    expected = [p for p in theirs.parameters.values() if p.name not in dropped]
    public = [p for p in ours if p.name not in ADDED]
    assert [p.name for p in public] == [p.name for p in expected]
    for a, b in zip(public, expected, strict=True):
        if name in ("softmax", "log_softmax") and a.name == "dim":
            continue  # torch's None warns and guesses the axis
        assert a.default == b.default, f"{name}: {a.name}"


def test_cases_finds_rows_by_op_and_by_name():
    assert {c.name for c in cases("batch_norm")} == {"batch_norm.train", "batch_norm.eval", "batch_norm.frozen"}
    assert [c.name for c in cases("pow.cube")] == ["pow.cube"]
    assert len(cases()) == len(TABLE)
    with pytest.raises(ValueError, match="unknown op 'con2d'; the nearest is 'conv2d'"):
        cases("con2d")
