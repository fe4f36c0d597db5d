"""`minigan.linalg` has torch.linalg's norms: values, gradients and gradients of gradients."""

import numpy as np
import pytest

import minigan as mg

X = np.random.default_rng(0).normal(size=(3, 2, 4))
INF = float("inf")
CALLS = [
    *(("norm", 3, {"dim": dim, "keepdim": keepdim}) for dim in (None, 1, (0, 2)) for keepdim in (False, True)),
    *(("norm", 1, {"ord": ord}) for ord in (1, 3, INF, 0, -1)),
    *(("norm", 2, {"ord": ord}) for ord in ("fro", 1, -1, INF, -INF)),
    *(("norm", 3, {"ord": ord, "dim": (2, 0)}) for ord in ("fro", 1, INF)),
    ("norm", 3, {"ord": 3, "dim": -1, "keepdim": True}),
    *(("vector_norm", 3, {"ord": ord, "dim": dim}) for ord in (2, 1, 2.5, -INF) for dim in (None, 0, (0, 1))),
    *(("matrix_norm", 3, {"ord": ord, "keepdim": keepdim}) for ord in ("fro", 1, -INF) for keepdim in (False, True)),
    ("matrix_norm", 3, {"ord": -1, "dim": (2, 0)}),
]


@pytest.mark.parametrize(("name", "ndim", "settings"), CALLS, ids=str)
def test_a_norm_is_torchs(name, ndim, settings, torch):
    array = X[(0,) * (3 - ndim)]
    x, t = mg.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    ours, theirs = getattr(mg.linalg, name)(x, **settings), getattr(torch.linalg, name)(t, **settings)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12)
    if settings.get("ord") == 0:
        return
    (g,) = mg.grad((ours**3).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad((theirs**3).sum(), t, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), rtol=1e-10, atol=1e-12)
    (gg,), (hh,) = mg.grad((g**2).sum(), x), torch.autograd.grad((h**2).sum(), t)
    np.testing.assert_allclose(gg.numpy(), hh.numpy(), rtol=1e-9, atol=1e-10)
    plan = mg.capture(lambda: getattr(mg.linalg, name)(x, **settings))
    assert all(plan().detach().numpy().tobytes() == ours.detach().numpy().tobytes() for _ in range(3))


def test_other_spellings_and_dtypes():
    x = mg.tensor(X[0].astype(np.float32))
    assert mg.linalg.norm(x, axis=0, keepdims=True).shape == (1, 4)
    assert mg.linalg.norm(x, dtype=mg.float64).dtype == mg.float64


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: mg.linalg.norm(x, "nuc"), ValueError, "norm: ord must be 'fro', 1, -1, inf or -inf, got 'nuc'"),
        (lambda x: mg.linalg.norm(x, 2), ValueError, "norm: ord must be .*nn.spectral_norm"),
        (lambda x: mg.linalg.norm(x[None], 1), ValueError, "norm: with ord 1, name the axes"),
        (lambda x: mg.linalg.norm(x[0], "fro"), ValueError, "norm: ord 'fro' is of matrices"),
        (lambda x: mg.linalg.matrix_norm(x[0]), IndexError, "matrix_norm: dimension -2 is out of range"),
        (lambda x: mg.linalg.vector_norm(x.long()), TypeError, "vector_norm: expected a floating dtype"),
        (lambda x: mg.linalg.norm([1.0]), TypeError, "norm: input must be a Tensor"),
        (lambda x: mg.linalg.svd(x), AttributeError, r"not 'svd'; without a gradient, np.linalg.svd\(x.detach\(\)\)"),
        (lambda x: mg.linalg.diagonal(x), AttributeError, "not 'diagonal'; minigan.diagonal is its function"),
    ],
)
def test_what_it_refuses(call, kind, message):
    with pytest.raises(kind, match=message):
        call(mg.tensor(X[0]))
