"""The table of layers: one row for each that works, in order, with its shape and its own parameters."""

import contextlib
import json

from click.testing import CliRunner

import minigan as mg
from minigan import nn
from minigan.cli import main
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


def test_a_summary_prints_a_table():
    rows = summary(network := Branches(), lambda: network(mg.zeros(5, 3)))
    lines = str(rows).splitlines()
    assert len(lines) == 5 and lines[1].split()[:1] == ["head.0"] and lines[-1] == "21 parameters"
    assert "<th>output</th>" in rows._repr_html_() and "<td>(5, 2)</td>" in rows._repr_html_()


OWN = """
import minigan as mg
from minigan import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Conv2d(1, 4, 3)

    def forward(self, x, image):
        return self.a(x), self.b(image)

net = Net()
number = 3

def wrong(size):
    return net

def none():
    return 3
"""


def test_the_command_on_a_network_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    call = CliRunner().invoke
    for name in ("Net", "net"):
        result = call(main, ["summary", f"own.py:{name}", "--input", "5,3", "--input", "2x1x8x8", "--json"])
        assert result.exit_code == 0, result.output
        layers = json.loads(result.output.splitlines()[-1])[name]["layers"]
        assert [(row["name"], row["shape"], row["parameters"]) for row in layers] == [
            ("a", [5, 2], 8),
            ("b", [2, 4, 6, 6], 40),
        ]
    for words, said in {
        ("own.py:Net",): "say what goes in, as in --input 64,1,28,28",
        ("own.py:wrong", "--input", "1"): "neither a Module nor makes one",
        ("own.py:number", "--input", "1"): "neither a Module nor makes one",
        ("own.py:none", "--input", "1"): "it makes a int, and no Module",
        ("own.py:Net", "--input", "5,3"): "missing 1 required positional argument",
        ("own.py:Net", "--input", "5,x"): "is no shape",
        ("own.py:Net", "--input", "5,0"): "is no shape",
        ("own.py:Other", "--input", "1"): "has no Other",
        ("wgan-gp", "--input", "1"): "a system and a run say themselves",
        ("nowhere",): "nowhere",
    }.items():
        result = call(main, ["summary", *words])
        assert result.exit_code in (1, 2) and said in result.output.splitlines()[-1], (words, result.output)
        assert "Traceback" not in result.output
