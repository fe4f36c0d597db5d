"""Numbers of NumPy's beside tensors, dtypes that there are, and what is refused by name."""

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import nn

X = mg.tensor([0.5, 1.0, 1.5])
WHOLE = mg.tensor([0, 1, 2])


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), np.int8(2), np.bool_(True)], ids=repr)
@pytest.mark.parametrize("device", ["cpu", "cudasim"])
def test_a_number_of_numpy_s_is_a_number(number, device):
    """It takes the tensor's dtype and device, on either side, as the same number of Python's does."""
    x, same = X.to(device), number.item()
    for y, expected in ((x * number, x * same), (number * x, same * x), (x + number, x + same), (x**number, x**same)):
        assert y.device == device and y.dtype == np.float32 and y.tolist() == expected.tolist()
    assert x.clamp(0, number).dtype == np.float32


def test_whole_numbers_beside_a_float_are_float32():
    assert (WHOLE * np.float64(0.5)).dtype == (WHOLE * np.float32(0.5)).dtype == np.float32
    y = WHOLE.clamp(0.5, 1.5)
    assert y.dtype == np.float32 and y.tolist() == [0.5, 1, 1.5]
    assert WHOLE.clamp(1, 5).dtype == np.int64
    assert X.norm(np.float64(3)).dtype == np.float32
    assert nn.Parameter([1.0, 2.0]).dtype == np.float32 and nn.Parameter(np.ones(2)).dtype == np.float64


def test_labels_of_eight_bits():
    logits = mg.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    labels = np.array([0, 2, 1, 2])
    losses = [F.cross_entropy(logits, mg.tensor(labels.astype(kind))).item() for kind in (np.int64, np.uint8)]
    assert losses[0] == losses[1]


def test_a_bool_in_the_place_of_dim():
    """Of a variance it is `unbiased`, as in PyTorch; elsewhere it is refused."""
    x = mg.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    assert x.std(False).item() == pytest.approx(x.numpy().std()) and x.var(True).item() == pytest.approx(
        x.numpy().var(ddof=1)
    )
    with pytest.raises(TypeError, match="sum: dim must be an integer, got True"):
        x.sum(True)


def test_draws_are_on_the_device_of_what_they_are_like():
    x = mg.ones(4, 3, device="cudasim")
    drawn = (
        mg.rand_like(x),
        mg.randn_like(x),
        mg.randint_like(x, 3),
        F.dropout(x),
        nn.Dropout()(x),
        x.normal_(),
        x.uniform_(),
    )
    assert {t.device for t in drawn} == {"cudasim"}
    query = mg.randn_like(mg.ones(2, 3, 4, device="cudasim"))
    assert F.scaled_dot_product_attention(query, query, query, dropout_p=0.5).device == "cudasim"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: X.to(np.float16), TypeError, "cast: dtype float16 is not supported; use float32"),
        (lambda: mg.zeros(2, dtype=complex), TypeError, "zeros: dtype complex128 is not supported"),
        (lambda: mg.ones(2, dtype=np.float16), TypeError, "ones: dtype float16"),
        (lambda: mg.full((2,), 1, dtype=object), TypeError, "full: dtype object"),
        (lambda: mg.tensor([1], dtype="flot"), TypeError, "tensor: data type 'flot' not understood"),
        (lambda: mg.tensor(2**70), TypeError, "tensor: a whole number needs more than 64 bits"),
        (lambda: mg.tensor([[1], [1, 2]]), ValueError, "tensor: .* inhomogeneous"),
        (lambda: mg.zeros(-1), ValueError, r"zeros: sizes must not be negative, got \(-1,\)"),
        (lambda: mg.randn(2, -1), ValueError, "randn: sizes must not be negative"),
        (lambda: mg.randint(0, 3, (-1,)), ValueError, "randint: sizes must not be negative"),
        (lambda: mg.ones(2.0), TypeError, r"ones: sizes must be integers, got \(2.0,\)"),
        (lambda: mg.arange(0, 1, 0), ValueError, "arange: the step must not be 0"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"Sequential: expected a module, got \[ReLU\(\)\]"),
        (lambda: nn.Sequential(nn.ReLU(), None), TypeError, "Sequential: expected a module, got None"),
        (lambda: nn.ModuleList([nn.ReLU]), TypeError, "ModuleList: expected a module, got <class"),
        (lambda: nn.ModuleDict({"a": 1}), TypeError, "add_module: a must be an nn.Module or None, got int"),
        (lambda: nn.ReLU().register_buffer("b", np.ones(2)), TypeError, "register_buffer: b must be a Tensor or None"),
        (lambda: nn.ReLU().register_parameter("w", X), TypeError, "register_parameter: w must be an nn.Parameter"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
