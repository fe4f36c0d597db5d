"""The op table on a device: values and gradients, to the second order, are the CPU's."""

import numpy as np
import pytest

import minigan as mg
from minigan.autograd import Tensor, grad
from minigan.backend import host, to_device
from minigan.testing.opdb import TABLE

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-10}


def derivatives(case, sample, dtype, device, order):
    """The outputs, the gradients of a random sum of them, those of a random sum of these, and so on: arrays or None."""
    with mg.device(device):
        leaves = [Tensor(to_device(a, device)) for a in case.arrays(sample, dtype)]
        inputs = [x.requires_grad_() for x in leaves if x.dtype in (np.float32, np.float64)]
        fn = case.bound(sample)
        if sample.settings:
            settings = {k: moved_setting(v, dtype, device) for k, v in sample.settings.items()}
            values = case.fn(*leaves, **settings)
        else:
            values = fn(*leaves)
        values = list(values) if isinstance(values, (tuple, list)) else [values]
        orders, rng = [values], np.random.default_rng(1)
        for _ in range(order):
            rows = [None if y is None else rng.standard_normal(y.shape) for y in values]
            pairs = [
                (y, mg.tensor(np.asarray(u, y.dtype), device=device))
                for y, u in zip(values, rows, strict=True)
                if y is not None and y.requires_grad
            ]
            if not pairs or not inputs:
                break
            values = list(grad([y for y, _ in pairs], inputs, [u for _, u in pairs], create_graph=True))
            orders.append(values)
    return [None if y is None else y.data for level in orders for y in level]


def moved_setting(value, dtype, device):
    if not isinstance(value, np.ndarray):
        return value
    return Tensor(to_device(value.astype(dtype) if value.dtype == np.float64 else value, device))


@pytest.mark.parametrize("case", TABLE.values(), ids=str)
def test_op_on_the_device(case, device):
    for sample in (*case.samples, *case.edge):
        for dtype in (d for d in TOLERANCE if np.dtype(d) in case.dtypes):
            order = min(2, case.max_order)
            largest = [np.abs(x).max(initial=0) for x in case.arrays(sample, dtype) if x.dtype == dtype]
            size_of_inputs = min(1.0, max(largest, default=0.0))
            ours = derivatives(case, sample, dtype, "cpu", order)
            theirs = derivatives(case, sample, dtype, device, order)
            for a, b in zip(ours, theirs, strict=True):
                assert (a is None) == (b is None)
                if a is None:
                    continue
                assert not isinstance(b, np.ndarray), "the result left the device"
                b = host(b)
                assert a.shape == b.shape and a.dtype == b.dtype
                if a.dtype.kind != "f":
                    assert (a == b).all()
                    continue
                assert (np.isfinite(a) == np.isfinite(b)).all()
                # A result may be what is left of its inputs' size (batch norm of two values): rounding is of those.
                size = max(np.abs(a[np.isfinite(a)]).max(initial=0), size_of_inputs)
                np.testing.assert_allclose(b, a, rtol=0, atol=TOLERANCE[dtype] * size, err_msg=str(sample))
