"""Losses as modules, weight normalisation, sizes of transposed convolutions and rows of padding, against torch.nn."""

import numpy as np
import pytest

import minigan as mg
from minigan import nn

RNG = np.random.default_rng(0)
P, Q = RNG.uniform(0.1, 0.9, (2, 4, 3))
LOGITS = RNG.standard_normal((4, 3))
WEIGHT = np.array([0.5, 2.0, 1.5])

LOSSES = [
    *(("MSELoss", {"reduction": r}, LOGITS, Q) for r in ("mean", "sum", "none")),
    ("L1Loss", {}, LOGITS, Q),
    ("SmoothL1Loss", {"beta": 0.3}, LOGITS, Q),
    ("BCELoss", {}, P, Q),
    ("BCELoss", {"weight": WEIGHT, "reduction": "sum"}, P, Q),
    ("BCEWithLogitsLoss", {}, LOGITS, Q),
    ("BCEWithLogitsLoss", {"weight": WEIGHT, "pos_weight": WEIGHT, "reduction": "none"}, LOGITS, Q),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.1}, LOGITS, np.array([0, 2, 1, 1])),
    ("CrossEntropyLoss", {"ignore_index": 1, "reduction": "sum"}, LOGITS, np.array([0, 2, 1, 1])),
    ("KLDivLoss", {"reduction": "batchmean"}, np.log(P), Q),
    ("KLDivLoss", {"log_target": True}, np.log(P), np.log(Q)),
]


@pytest.mark.parametrize(("name", "settings", "x", "target"), LOSSES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_loss_equals_torch(name, settings, x, target, torch):
    """Value and gradient, and the same signature, without what is deprecated there."""

    def build(module, convert):
        arguments = {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
        return getattr(module, name)(**arguments)

    ours, theirs = build(nn, mg.tensor), build(torch.nn, torch.tensor)
    a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a, mg.tensor(target)), theirs(b, torch.tensor(target))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-11, atol=1e-14)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_a_loss_is_recorded_anew_when_its_reduction_changes():
    loss, x, target = nn.MSELoss(), mg.tensor(LOGITS), mg.tensor(Q)
    step = mg.capture(lambda: loss(x, target))
    mean = step().item()
    loss.reduction = "sum"
    assert step().item() == pytest.approx(mean * x.numel())


def test_probabilities_at_the_ends_have_torch_s_gradients(torch):
    """There the logarithm is held at -100, and the slope at 1e12."""
    p, t = np.array([0.0, 0.0, 1.0, 1.0, 0.5]), np.array([0.0, 1.0, 0.0, 1.0, 0.25])
    a, b = mg.tensor(p, requires_grad=True), torch.tensor(p, requires_grad=True)
    y, z = nn.BCELoss()(a, mg.tensor(t)), torch.nn.BCELoss()(b, torch.tensor(t))
    y.backward()
    z.backward()
    assert y.item() == pytest.approx(z.item(), rel=1e-12)
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8)  # its 1e-12 is a float32


@pytest.mark.parametrize("size", [7, 8, (7, 8), (2, 3, 8, 7)])
def test_a_transposed_convolution_of_a_given_size(size, torch):
    ours = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    theirs = torch.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x = RNG.standard_normal((2, 2, 4, 4)).astype(np.float32)
    whole = (size, size) if isinstance(size, int) else size
    y, z = ours(mg.tensor(x), size), theirs(torch.tensor(x), output_size=list(whole))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("size", [6, 9, (7, 9), (8,), (1, 8, 8)])
def test_a_size_that_no_padding_gives_is_refused(size):
    with pytest.raises(ValueError, match="ConvTranspose2d: output_size"):
        nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)(mg.ones(2, 2, 4, 4), output_size=size)


def test_unknown_padding_modes_are_refused():
    with pytest.raises(ValueError, match="Conv2d: unknown padding_mode 'mirror'; known modes: zeros, reflect"):
        nn.Conv2d(1, 1, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match=r"ConvTranspose2d: unknown padding_mode 'reflect'; known modes: zeros$"):
        nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")


@pytest.mark.parametrize("row", [0, 2, -1])
def test_the_row_of_padding_is_zero_and_stays(row):
    """It has no gradient, so a step of training leaves it; the others move."""
    table = nn.Embedding(4, 2, padding_idx=row)
    before = table.weight.data.copy()
    assert not before[row].any()
    table(mg.tensor([0, 1, 2, 3, 3])).sum().backward()
    assert not table.weight.grad.numpy()[row].any() and table.weight.grad.numpy().sum() == 2 * (4 - (row == -1))
    with pytest.raises(ValueError, match="Embedding: padding_idx 4 is outside 4 rows"):
        nn.Embedding(4, 2, padding_idx=4)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_equals_torch(dim, torch):
    """The output, and the gradients of length and direction, by the names of torch.nn.utils.weight_norm."""
    ours, theirs = nn.Linear(3, 4), torch.nn.Linear(3, 4)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    nn.weight_norm(ours, dim=dim)
    with pytest.warns(FutureWarning):
        torch.nn.utils.weight_norm(theirs, dim=dim)
    x = RNG.standard_normal((5, 3)).astype(np.float32)
    for _ in range(2):
        ours.zero_grad()
        theirs.zero_grad()
        y, z = ours(mg.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-6)
        (y * y).sum().backward()
        (z * z).sum().backward()
        for (name, p), (other, q) in zip(
            sorted(ours.named_parameters()), sorted(theirs.named_parameters()), strict=True
        ):
            assert name == other and p.shape == tuple(q.shape)
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-5)
        with mg.no_grad():
            ours.weight_g.assign(ours.weight_g.data * 1.5)
        with torch.no_grad():
            theirs.weight_g *= 1.5


def test_weight_norm_names_what_is_missing():
    with pytest.raises(ValueError, match="weight_norm: Linear has no parameter 'kernel'"):
        nn.weight_norm(nn.Linear(2, 2), "kernel")
    with pytest.raises(IndexError, match="weight_norm: dimension 2 is out of range"):
        nn.weight_norm(nn.Linear(2, 2), dim=2)
