"""The table of layers: one row for each that works, in order, with its shape and its own parameters."""

import contextlib

import minigan as mg
from minigan import nn
from minigan.nn.summary import summary


class Branches(nn.Module):
    """A parameter beside layers, a layer used twice, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(mg.ones(1))
        self.twice, self.idle, self.head = nn.Linear(3, 3), nn.Linear(3, 9), nn.Sequential(nn.Linear(3, 2), nn.Tanh())

    def forward(self, x):
        return self.head(self.twice(self.twice(x)) * self.scale)


def test_rows():
    network = Branches()
    rows = summary(network, lambda: network(mg.zeros(5, 3)))
    assert [(r.name, r.shape, r.parameters) for r in rows] == [
        ("twice", (5, 3), 12), ("head.0", (5, 2), 8), ("head.1", (5, 2), 0), ("", (5, 2), 1),
    ]  # fmt: skip
    assert rows[0].layer == repr(network.twice) and rows[-1].layer == "Branches"


def test_the_network_is_as_it_was():
    """Also where the call fails."""
    network = Branches()
    for call in (lambda: network(mg.zeros(5, 3)), lambda: network(mg.zeros(5, 4))):
        with contextlib.suppress(ValueError):
            summary(network, call)
        assert not any("forward" in vars(module) for module in network.modules())
