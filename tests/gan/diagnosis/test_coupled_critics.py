"""The doctor on critics whose output for one sample depends on the others of its batch, and on frozen networks."""

import pytest
from source_mutants import SourceMutant, applied

import minigan as mg
from minigan import nn, optim
from minigan.functional import leaky_relu, mse_loss, softplus
from minigan.gan.diagnosis.doctor import diagnose


class Coupled(nn.Module):
    """Two layers, and between them batch norm, or how much the batch varies as one more feature."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.last = nn.Linear(2, 8), nn.Linear(8 if kind == "norm" else 9, 1)
        self.norm = nn.BatchNorm1d(8) if kind == "norm" else None

    def forward(self, x):
        h = leaky_relu(self.first(x), 0.2)
        if self.norm is not None:
            return self.last(self.norm(h))
        spread = ((h - h.mean(0, keepdim=True)) ** 2).mean() ** 0.5
        return self.last(mg.cat([h, mg.ones(len(h), 1) * spread], 1))


def penalised(kind, target):
    """A step of both players; the penalty asks for the slope `target` at the reals, or between reals and fakes."""
    random = mg.manual_seed(0)
    g, d = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)), Coupled(kind)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=1e-3) for n in (g, d))

    def step():
        x = mg.randn(8, 2, generator=random) * 2
        fake = g(mg.randn(8, 2, generator=random)).detach()
        eps = mg.rand(8, 1, generator=random) if target else mg.ones(8, 1)
        points = (eps * x + (1 - eps) * fake).detach().requires_grad_()
        (slope,) = mg.grad(d(points).sum(), [points], create_graph=True)
        square = (slope**2).sum(1)
        penalty = ((square + 1e-12) ** 0.5 - target) ** 2 if target else square
        optim_d.zero_grad()
        (softplus(-d(x)).mean() + softplus(d(fake)).mean() + penalty.mean()).backward()
        optim_d.step()
        optim_g.zero_grad()
        softplus(-d(g(mg.randn(8, 2, generator=random)))).mean().backward(inputs=list(g.parameters()))
        optim_g.step()

    return step


def findings(step):
    return {finding.name: finding.level for finding in diagnose(step, rounds=2).findings}


CASES = [("spread", 0.0, "note"), ("spread", 1.0, "fault"), ("norm", 0.0, "fault"), ("norm", 1.0, "fault")]


@pytest.mark.parametrize(("kind", "target", "level"), CASES)
def test_r1_beside_a_deviation_over_the_minibatch_is_customary(kind, target, level):
    """As StyleGAN's; batch norm is a fault with every penalty, and any coupling with a slope of 1."""
    assert findings(penalised(kind, target)).get("penalty-with-batch-norm") == level


def featured(trains_features):
    """G minimises a distance of features; whose network is frozen, or is one that nobody remembered to train."""
    mg.manual_seed(0)
    g = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    d = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    phi = nn.Sequential(nn.Linear(2, 8), nn.Tanh()).requires_grad_(trains_features)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=1e-3) for n in (g, d))

    def step():
        x, z = mg.randn(8, 2), mg.randn(8, 2)
        optim_d.zero_grad()
        (softplus(-d(x)).mean() + softplus(d(g(z).detach())).mean()).backward()
        optim_d.step()
        optim_g.zero_grad()
        fake = g(z)
        (mse_loss(phi(fake), phi(x)) + softplus(-d(fake)).mean()).backward(inputs=list(g.parameters()))
        optim_g.step()

    return step


@pytest.mark.parametrize("trains_features", [False, True])
def test_a_frozen_network_is_no_player(trains_features):
    assert ("critic-never-trains" in findings(featured(trains_features))) == trains_features


R1, FROZEN = test_r1_beside_a_deviation_over_the_minibatch_is_customary, test_a_frozen_network_is_no_player
MUTANTS = [
    ("slopes:_of_one", "not network.norms and ", "", "batch norm, too", R1, ("norm", 0.0, "fault")),
    ("slopes:_of_one", "_pulls_to_zero(inner)", "True", "with any penalty", R1, ("spread", 1.0, "fault")),
    ("slopes:_of_one", "NOTE if customary else FAULT", "FAULT", "never", R1, ("spread", 0.0, "note")),
    (
        "players:training",
        "if not moves and (_is_frozen(trace, network) or _is_moved_by_hand(trace, network)):",
        "if not moves:",
        "any idle one",
        FROZEN,
        (True,),
    ),
    (
        "players:training",
        "if not moves and (_is_frozen(trace, network) or _is_moved_by_hand(trace, network)):",
        "if False:",
        "frozen too",
        FROZEN,
        (False,),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[3])
def test_the_cases_notice(mutant):
    where, *texts, name, test, arguments = mutant
    with (
        applied(SourceMutant(f"minigan.gan.diagnosis.{where}", *texts, name, test.__name__)),
        pytest.raises(AssertionError),
    ):
        test(*arguments)
