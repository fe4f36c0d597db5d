"""In-place changes are noticed: a value that an op read, changed since, directly or through a view, is refused by
backward."""

import numpy as np
import pytest

import minigan as mg
from minigan import optim


def leaf(*values, shape=None) -> mg.Tensor:
    return mg.tensor(np.array(values, float) if shape is None else np.ones(shape), requires_grad=True)


def change_directly(w, view):
    w.assign(np.zeros(w.shape))


def change_by_detach(w, view):
    w.detach().assign(np.zeros(w.shape))


def change_by_view(w, view):
    view.detach().assign(np.zeros(view.shape))


def change_by_optimiser(w, view):
    w.grad = mg.ones_like(w)
    optim.SGD([w], lr=0.1).step()


CHANGES = [change_directly, change_by_detach, change_by_view, change_by_optimiser]
VIEWS = [lambda w: w.reshape(4), lambda w: w.T, lambda w: w[0], lambda w: w[:, ::-1], lambda w: w.permute(1, 0)[1:]]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_stale_value_is_refused(change, view):
    """What an op read, then was changed in place, directly or through any view: backward refuses and says which op."""
    w = leaf(shape=(2, 2))
    v = view(w)
    y = (w * w).sum() + (v * v).sum()
    change(w, v)
    with pytest.raises(RuntimeError, match=r"mul: input 0 .*was changed in place .* call backward before the step"):
        y.backward()


def test_the_view_of_a_changed_base_is_stale_too():
    w = leaf(shape=(2, 2))
    y = (w.reshape(4).detach().requires_grad_() * w.reshape(4)).sum()
    w.assign(np.zeros((2, 2)))
    with pytest.raises(RuntimeError, match="changed in place"):
        mg.grad(y, w)


def test_an_output_changed_in_place_is_refused():
    """exp's derivative reads its output."""
    x = leaf(1.0, 2.0)
    y = x.exp()
    y.detach().assign(np.zeros(2))
    with pytest.raises(RuntimeError, match=r"exp: output 0 .*was changed in place"):
        y.sum().backward()


def test_an_op_that_reads_no_values_does_not_mind():
    w = leaf(1.0, 2.0)
    y = (w + 1).sum()
    w.assign(np.zeros(2))
    y.backward()
    np.testing.assert_array_equal(w.grad.data, [1, 1])


def test_the_next_forward_pass_is_fresh():
    w = leaf(1.0, 2.0)
    for _ in range(3):
        w.grad = None
        (w * w).sum().backward()
        optim.SGD([w], lr=0.1).step()
    np.testing.assert_allclose(w.data, [0.512, 1.024])


def test_a_copy_is_not_a_view():
    w = leaf(1.0, 2.0)
    copies = [w.clone(), w[np.array([0, 1])], w * 1]
    ys = [(c * c).sum() for c in copies[1:]]
    assert not any(np.shares_memory(c.data, w.data) for c in copies)
    w.assign(np.zeros(2))
    mg.grad(ys[0], w)
