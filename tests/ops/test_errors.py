"""Bad input: every call in the table that must be refused raises one clear error, and changes nothing."""

import numpy as np
import pytest

import minigan as mg
from minigan.testing.opdb import TABLE

BAD = [(case.name, i, bad) for case in TABLE.values() for i, bad in enumerate(case.error_inputs)]


@pytest.mark.parametrize("bad", [b for _, _, b in BAD], ids=[f"{name}-{i}" for name, i, _ in BAD])
def test_refused(bad):
    with pytest.raises(bad.exception, match=bad.match) as caught:
        bad.call()
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_every_op_with_shapes_or_settings_names_one_it_refuses():
    """All ops but the plain operators and casts have at least one refused call in the table."""
    spared = {"T", "detach", "clone", "float", "double", "long", "grad", "ravel", "type_as", "isinf", "logical_not"}
    spared |= {
        "index_add",
        "unmirror",
        "spread",
        "conv_weight",
        "conv_input",
    }  # the adjoints of others, called by their rules
    with_errors = {c.op for c in TABLE.values() if c.error_inputs}
    without = {c.op for c in TABLE.values()} - with_errors - spared
    assert {op for op in without if not op.startswith("__") and not op.endswith(("_grad", "_slope"))} == set()


@pytest.mark.parametrize(
    ("call", "exception", "match"),
    [
        (lambda: mg.tensor([[1.0], [1.0, 2.0]]), ValueError, "inhomogeneous"),
        (lambda: mg.tensor("three"), TypeError, "tensor: dtype .* is not supported"),
        (lambda: mg.tensor(None), TypeError, "tensor: dtype object is not supported"),
        (lambda: mg.tensor([1.0], device="tpu"), ValueError, "unknown device 'tpu'; known devices: 'cpu', 'cuda'"),
        (lambda: mg.tensor([1.0], device="tpu"), ValueError, "unknown device 'tpu'; known devices: 'cpu'"),
        (lambda: mg.zeros(2, device="cuda:0"), ValueError, "unknown device 'cuda:0'; known devices: 'cpu', 'cuda'"),
        (
            lambda: mg.tensor([1.0, 2.0]).item(),
            ValueError,
            r"item: only a one-element tensor has an item, this one has shape \(2,\)",
        ),
        (
            lambda: bool(mg.tensor([1.0, 2.0])),
            ValueError,
            r"bool: whether a tensor of shape \(2,\) is true is ambiguous",
        ),
        (lambda: len(mg.tensor(1.0)), TypeError, r"len\(\) of a 0-d tensor"),
        (lambda: mg.tensor([1.0], requires_grad=True).numpy(), ValueError, r"use \.detach\(\)\.numpy\(\)"),
        (
            lambda: mg.tensor([1.0]).backward(),
            ValueError,
            "backward: the output depends on nothing that requires a gradient",
        ),
        (
            lambda: mg.tensor([1.0]).register_hook(print),
            ValueError,
            "register_hook: this tensor does not require a gradient",
        ),
        (
            lambda: mg.tensor([1.0, 2.0]).assign(np.ones(3)),
            ValueError,
            r"assign: cannot write an array of shape \(3,\) into a tensor of shape \(2,\)",
        ),
        (lambda: mg.from_numpy([1.0]), TypeError, "from_numpy: expected a NumPy array, got list"),
        (lambda: mg.manual_seed(-1), ValueError, r"seed must be an integer in \[0, 2\*\*64\), got -1"),
        (lambda: mg.randint(3, 3, (2,)), ValueError, "randint: need 0 < high - low"),
        (
            lambda: mg.grad(mg.tensor([1.0]), mg.tensor([1.0])),
            ValueError,
            r"grad: inputs\[0\] does not require a gradient; call requires_grad_\(\)",
        ),
    ],
)
def test_tensors(call, exception, match):
    with pytest.raises(exception, match=match):
        call()


def test_grad_names_the_shapes():
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=r"grad: an output of shape \(2, 3\) needs a cotangent in grad_outputs"):
        mg.grad(x * 2, x)
    with pytest.raises(ValueError, match=r"grad: a cotangent of shape \(3,\) for an output of shape \(2, 3\)"):
        mg.grad(x * 2, x, mg.ones(3))
    with pytest.raises(ValueError, match="grad: 2 grad_outputs for 1 outputs"):
        mg.grad(x * 2, x, [mg.ones(2, 3)] * 2)


def test_requires_grad_of_a_result_cannot_be_set():
    x = mg.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"requires_grad can only be set on a leaf; use detach\(\)"):
        (x * 2).requires_grad_(False)


def test_anomaly_detection_names_the_op_and_its_shapes():
    x = mg.tensor(np.array([1.0, 0.0]), requires_grad=True)
    with mg.detect_anomaly(), np.errstate(all="ignore"):
        with pytest.raises(
            FloatingPointError, match=r"log made an infinity \(output \(2,\), inputs \(2,\) all finite\)"
        ):
            mg.log(x)
        with pytest.raises(FloatingPointError, match=r"div made (NaN|an infinity) .* in the gradient of sqrt"):
            mg.sqrt(x).sum().backward()
        with pytest.raises(FloatingPointError, match="not all finite"):
            mg.tensor(np.array([np.nan])) * 2
    with np.errstate(all="ignore"):
        assert np.isinf(mg.log(x).data).any()  # outside it, nothing is checked


def test_a_failed_call_records_nothing_and_changes_nothing():
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ValueError):
        x + mg.ones(4)
    assert x.grad is None and x.node is None and np.array_equal(x.data, np.ones((2, 3)))
    assert mg.is_grad_enabled()
