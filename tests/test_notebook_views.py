"""What a notebook shows of tensors, networks, graphs and runs: HTML in which nothing of a user's can be a tag, and that
stays small however large the thing is."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.gan.records import RunFolder
from minigan.profiler import Tape, graph

EVIL = "<script>alert(1)</script>"
VOID = {"img", "rect", "path"}


class Tags(HTMLParser):
    """The names of the tags; those that are open must be closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag


def rows(html: str) -> list[list[str]]:
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]


def test_a_tensor():
    x = mg.tensor([[1.0, -2.5, 3.0]], requires_grad=True)
    html = x._repr_html_()
    assert Tags(html).seen == {"div", "table", "tr", "td"} and rows(html) == [["1", "-2.5", "3"]]
    assert "tensor of shape (1, 3), float32, requires grad, from -2.5 to 3" in html
    assert "made by mul" in (x * 2)._repr_html_()


def test_a_huge_tensor_is_its_corners():
    x = mg.arange(1000 * 2000).reshape(1000, 2000)
    html = x._repr_html_()
    assert len(html) < 5000 and len(rows(html)) == 13 and rows(html)[0][:2] == ["0", "1"]
    assert rows(html)[-1][-1] == "1999999" and rows(html)[6] == ["…"] * 13
    assert "below, [0, 0]" in mg.zeros(2, 3, 4, 5)._repr_html_() and len(rows(mg.zeros(2, 3, 4, 5)._repr_html_())) == 4


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((0, 3), np.float32), "no elements"),
        (np.float32(2.5), "2.5"),
        (np.array([True, False]), "False"),
        (np.array([np.nan, np.inf, 1], np.float32), "2 not finite"),
        (np.array([np.nan, np.nan], np.float32), "2 not finite"),
    ],
)
def test_odd_tensors(array, said):
    html = mg.tensor(array)._repr_html_()
    assert said in html and Tags(html)


def test_a_network():
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1, bias=False)).eval()
    html = network._repr_html_()
    assert "Sequential: 10 parameters, evaluation mode" in html
    assert [row[0] for row in rows(html)] == ["name", "0", "1", "2"] and rows(html)[1][2:] == [
        "weight (2, 3), bias (2,)",
        "8",
    ]
    assert rows(nn.Tanh()._repr_html_())[1][1] == "Tanh()"


def test_a_network_of_a_users_names():
    class Own(nn.Module):
        def extra_repr(self):
            return EVIL

    network = nn.Module()
    network.add_module("<b>", Own())
    html = network._repr_html_()
    assert EVIL not in html and "<b>" not in html and Tags(html).seen <= {"div", "table", "tr", "td", "th"}
    deep = nn.Sequential(*(nn.Tanh() for _ in range(1000)))
    assert "and 800 more" in deep._repr_html_() and len(deep._repr_html_()) < 30_000


def test_a_graph():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with Tape() as tape:
        (g,) = mg.grad((x**3).sum(), x, create_graph=True)
        mg.grad(g.sum(), x)
    html = graph(tape)._repr_html_()
    assert html.startswith("<svg") and "order 2" in html and Tags(html)


def test_a_run(tmp_path):
    folder = tmp_path / EVIL.replace("/", "")
    folder.mkdir()
    options = {"system": "gan", "data": EVIL, "steps": 100}
    (folder / "training_options.json").write_text(json.dumps(options))
    (folder / "stats.jsonl").write_text('{"step": 25, "d_loss": 1.5}\n')
    html = RunFolder(folder)._repr_html_()
    assert "<script>" not in html and ["d_loss", "1.5"] in rows(html) and ["steps", "100"] in rows(html)
    picture = mg.viz.to_picture(np.zeros((2, 2, 1), np.uint8))
    picture.save(folder / "fakes000025.png")
    html = RunFolder(folder)._repr_html_()
    assert "samples at step 25" in html and 'src="data:image/png;base64,' in html and Tags(html)
    (folder / "training_options.json").write_text("{")
    assert "is damaged" in RunFolder(folder)._repr_html_()
    with pytest.raises(ValueError, match="is no run folder"):
        RunFolder(tmp_path)
