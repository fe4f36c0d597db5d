"""The recurrent cell: its formula, PyTorch's numbers, its derivatives to second order, and what it refuses."""

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.testing.gradcheck import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)


def cell(inputs: int = 3, hidden: int = 2, **changes) -> nn.GRUCell:
    return nn.GRUCell(inputs, hidden, **changes).double()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("bias", [True, False])
def test_the_formula(bias):
    gru, x, h = cell(bias=bias), RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
    rows = {name: p.detach().numpy() for name, p in gru.named_parameters()}
    of_x = x @ rows["weight_ih"].T + rows.get("bias_ih", 0)
    of_h = h @ rows["weight_hh"].T + rows.get("bias_hh", 0)
    reset, update = sigmoid(of_x[:, :2] + of_h[:, :2]), sigmoid(of_x[:, 2:4] + of_h[:, 2:4])
    candidate = np.tanh(of_x[:, 4:] + reset * of_h[:, 4:])
    y = gru(mg.Tensor(x), mg.Tensor(h)).detach().numpy()
    np.testing.assert_allclose(y, (1 - update) * candidate + update * h, rtol=1e-12)
    zeros = mg.zeros(4, 2, dtype=mg.float64)
    np.testing.assert_array_equal(gru(mg.Tensor(x)).detach().numpy(), gru(mg.Tensor(x), zeros).detach().numpy())


def test_pytorch_has_the_same_cell():
    torch = pytest.importorskip("torch")
    theirs, ours = torch.nn.GRUCell(3, 2).double(), cell()
    assert [(n, tuple(p.shape)) for n, p in theirs.named_parameters()] == [
        (n, p.shape) for n, p in ours.named_parameters()
    ]
    assert repr(ours) == "GRUCell(3, 2, bias=True)"
    ours.load_state_dict({n: p.detach().numpy() for n, p in theirs.named_parameters()})
    x, h = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
    np.testing.assert_allclose(
        ours(mg.Tensor(x), mg.Tensor(h)).detach().numpy(),
        theirs(torch.tensor(x), torch.tensor(h)).detach().numpy(),
        rtol=1e-12,
    )


def test_derivatives_to_second_order():
    """Of a sequence of two, by differences, in the inputs, the state and the weights."""
    gru = cell(2, 2)
    names, weights = zip(*gru.named_parameters(), strict=True)
    sequence, h = RNG.standard_normal((2, 2, 2)), RNG.standard_normal((2, 2))

    def last(a, b, state, *rows):
        tensors = dict(zip(names, rows, strict=True))
        return nn.functional_call(gru, tensors, (b, nn.functional_call(gru, tensors, (a, state))))

    inputs = [mg.Tensor(x).requires_grad_() for x in (*sequence, h, *(w.detach().numpy() for w in weights))]
    gradcheck(last, inputs)
    gradgradcheck(last, inputs)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"GRUCell: needs an input \(N, 3\) and a state \(N, 2\), got \(4, 2\)"):
        cell()(mg.zeros(4, 2, dtype=mg.float64))
    with pytest.raises(ValueError, match=r"got \(4, 3\) and \(4, 3\)"):
        cell()(mg.zeros(4, 3, dtype=mg.float64), mg.zeros(4, 3, dtype=mg.float64))
