"""Property 7: zero-size, 0-d and one-element inputs behave as in PyTorch, to order 2, and are differentiated to order
3."""

import numpy as np
import properties
import pytest

import minigan as mg
from minigan.testing.opdb import TABLE

# PyTorch itself fails (IndexError and the like) in the backward pass of these when there are no elements.
TORCH_FAILS = ("pixel_shuffle", "batch_norm.train", "instance_norm")

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def _zero_size(sample) -> bool:
    return any(0 in np.shape(x) if isinstance(x, np.ndarray) else 0 in x for x in sample.inputs)


@pytest.mark.parametrize("case", [c for c in TABLE.values() if c.edge], ids=str)
def test_edges(case):
    for sample in case.edge:
        if not (case.name in TORCH_FAILS and _zero_size(sample)):
            properties.values(case, sample)
            properties.torch_orders(case, sample)
        if case.max_order and np.isfinite(properties.value(case, sample) if case.op in ("var", "std") else 0).all():
            properties.gradient(case, sample)
            properties.higher_orders(case, sample)
        properties.need(case, sample)
        properties.pure(case, sample)
        properties.freed(case, sample)


@pytest.mark.parametrize("name", TORCH_FAILS)
def test_no_samples_where_torch_fails(name):
    case = TABLE[name]
    for sample in filter(_zero_size, case.edge):
        tensors = case.tensors(sample)
        y = case.bound(sample)(*tensors)
        assert 0 in y.shape
        for t, g in zip(tensors, mg.grad(y.sum(), tensors), strict=True):
            assert g.shape == t.shape and not g.data.any()


def test_an_empty_batch_through_a_whole_critic():
    """The weights' gradient over no samples is zero, not missing and not NaN."""
    from minigan import nn

    net = nn.Sequential(nn.Conv2d(1, 2, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(8, 1))
    net(mg.zeros(0, 1, 4, 4)).sum().backward()
    for p in net.parameters():
        np.testing.assert_array_equal(p.grad.data, np.zeros(p.shape))


def test_reducing_nothing():
    x = mg.tensor(np.zeros((0, 3)))
    np.testing.assert_array_equal(mg.sum(x, 0).data, np.zeros(3))
    np.testing.assert_array_equal(mg.logsumexp(x, 0).data, np.full(3, -np.inf))
    for op in (mg.mean, mg.var, mg.amax, mg.amin):
        with pytest.raises(ValueError, match="nothing to reduce"):
            op(x, 0)
