"""`minigan graph` and `trace`: boxes, drawings, tables, targets; and what is refused."""

import itertools
import json
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from browser import CONTRAST
from click.testing import CliRunner
from PIL import ImageFont
from worlds import Formula, trainer

import minigan as mg
from minigan import nn
from minigan.cli import main
from minigan.profiler import Tape, draw, table
from minigan.profiler.cost import Roofline
from minigan.profiler.graph import graph
from minigan.profiler.target import differentiate, target

PROGRAM = """
import minigan as mg
from minigan import nn
mg.manual_seed(0)
f = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.2), nn.Linear(3, 1))
x = mg.randn(4, 2)
def loss():
    return f(x).square().mean()
def nothing():
    return None
def needs(a):
    return a
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def critic_tape():
    """The critic's half-step of a small WGAN-GP."""
    t = trainer("wgan-gp")
    t.feed()
    with Tape() as tape:
        t.critic_loss()[0].backward()
    return tape


def run(*words):
    return CliRunner().invoke(main, list(words))


def test_boxes_are_layers_by_orders(critic_tape):
    """The critic's convolutions have a box of each order; the generator, of which no gradient is taken, is one box."""
    drawing = graph(critic_tape)
    boxes = {(box.part, box.order): box for box in drawing.boxes}
    first = next(part for part in drawing.parts if part.endswith("Critic.main.0"))
    assert [row.op for row in boxes[first, 0].rows] == ["conv2d"] * 3
    assert "conv_transpose2d" in [row.op for row in boxes[first, 1].rows]
    assert {"conv2d", "conv_weight"} <= {row.op for row in boxes[first, 2].rows}
    assert {"weight", "bias"} <= set(boxes[first, 1].left_out)
    assert [part for part in drawing.parts if "Generator" in part] == ["DCGANGenerator"]
    assert sum(len(box.rows) for box in drawing.boxes) == len(critic_tape.rows)


def test_edges_follow_the_values(critic_tape):
    """Each edge's shapes are of values that one box computes and the other reads."""
    drawing = graph(critic_tape)
    for edge in drawing.edges:
        source, to = (drawing.boxes[n] for n in (edge.source, edge.target))
        made = {value for row in source.rows for value in row.outputs}
        read = {v: s for row in to.rows for v, s in zip(row.inputs, row.shapes, strict=True) if v in made}
        assert set(edge.shapes) == set(read.values())
    orders = {(drawing.boxes[e.source].order, drawing.boxes[e.target].order) for e in drawing.edges}
    assert (0, 1) in orders and (1, 2) in orders and (1, 0) not in orders


def test_cotangents_are_added_where_they_are_of(program):
    """x * x outside of any layer: the sum of both cotangents stands in the box of the file, with the products."""
    program.write_text(
        "import minigan as mg\nx = mg.ones(3).requires_grad_()\ndef f():\n    return (x * x * x).sum()\n"
    )
    drawing = graph(target(f"{program}:f", 2).tape())
    assert {row.op for box in drawing.boxes for row in box.rows} >= {"mul", "add"}
    assert set(drawing.parts) <= {"mine.py", "the step"}
    homes = {box.part for box in drawing.boxes for row in box.rows if row.op == "add" and row.of is not None}
    assert homes == {"mine.py"}


def test_what_several_boxes_read_is_shared():
    """Of a -> b, a -> c -> d: the output of a is, that of c is not."""
    network = nn.ModuleDict({name: Formula(lambda x: -x) for name in "abcd"})
    x = mg.ones(3).requires_grad_()
    with Tape() as tape:
        tape.module_called(network)
        y = network["a"](x)
        mg.grad((network["b"](y) + network["d"](network["c"](y))).sum(), x)
    drawing = graph(tape)
    inside = [
        (drawing.boxes[e.source], drawing.boxes[e.target], e.shared)
        for e in drawing.edges
        if drawing.boxes[e.source].order == drawing.boxes[e.target].order == 0
    ]
    shared = {(a.part[-1], b.part[-1]): is_shared for a, b, is_shared in inside if a.part[-1] in "ac"}
    assert shared == {("a", "b"): True, ("a", "c"): True, ("c", "d"): False}
    assert draw.svg(drawing, "x").count('stroke-width="2"') == sum(edge.shared for edge in drawing.edges)


def test_where_the_gradient_is_zero_nothing_runs():
    """A reshape's gradient does not depend on what it reshapes: it has no op of order 2, and the picture says so."""
    f = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten())
    x = mg.ones(3, 1, 2, 2).requires_grad_()
    with Tape() as tape:
        (g,) = mg.grad(f(x).sum(), x, create_graph=True)
        (g * g).sum().backward()
    picture = draw.svg(graph(tape), "linear")
    assert picture.count("nothing: None means zero") == 1


def test_drawings_are_well_formed(critic_tape):
    drawing, title = graph(critic_tape), '<b> & "it\'s"'
    root = ET.fromstring(draw.svg(drawing, title))
    boxes = [g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "box"]
    assert len(boxes) == len(drawing.boxes)
    page = draw.page(drawing, title)
    assert "<b>" not in page and page.count("<details") == len(drawing.boxes) == page.count("</details>")
    text = draw.dot(critic_tape, drawing, title)
    assert text.count("{") == text.count("}") and text.count("-> n") >= len(critic_tape.rows) // 2


def test_texts_of_a_drawing_lie_within_it(critic_tape):
    """In DejaVu Sans, the widest of the usual fonts: of a box in the box, of a heading in its column."""
    plain, bold = (
        ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{kind}.ttf", 11) for kind in ("", "-Bold")
    )
    drawing = graph(critic_tape)
    drawing.boxes[0].weights[:] = ["weight 100x128x44x44", "weight 100x128x44x44"]
    assert bold.getlength(draw._tail("m.12345678901234567890" * 3)) <= draw.WIDTH - 18
    root, space, right = ET.fromstring(draw.svg(drawing, "x")), "{http://www.w3.org/2000/svg}", 0.0
    for box in (g for g in root.iter(f"{space}g") if g.get("class") == "box"):
        right = float(box.find(f"{space}rect").get("x")) + draw.WIDTH
        for line in box.iter(f"{space}text"):
            font = bold if line.get("font-weight") else plain
            assert float(line.get("x")) + font.getlength(line.text) <= right, line.text
    for line in root.findall(f"{space}text[@font-weight]")[1:]:  # below the title
        assert float(line.get("y")) < draw.TOP and bold.getlength(line.text) <= draw.WIDTH, line.text


def test_no_box_lies_on_another(critic_tape):
    root = ET.fromstring(draw.svg(graph(critic_tape), "x"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [g.find(f"{space}rect") for g in root.iter(f"{space}g") if g.get("class") == "box"]
    sides = [[float(b.get(k)) for k in ("x", "y", "width", "height")] for b in boxes]
    for i, (x, y, w, h) in enumerate(sides):
        assert x + w <= float(root.get("width")) and y + h <= float(root.get("height"))
        for x2, y2, w2, h2 in sides[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_the_table_names_every_row(critic_tape):
    text = table.text(critic_tape.rows, Roofline(1e11, 1e10), details=True)
    for row in critic_tape.rows:
        assert row.op in text and (not row.equation or row.equation in text)
    assert f"{len(critic_tape.rows)} ops" in text
    assert "order 2:" in text and "not wanted: input" in text


def test_a_chrome_trace_has_each_row_once(critic_tape):
    events = json.loads(json.dumps(table.chrome(critic_tape.rows), allow_nan=False))["traceEvents"]
    rows = [e for e in events if e["ph"] == "X"]
    assert [e["name"] for e in rows] == [row.op for row in critic_tape.rows]
    assert [e["tid"] for e in rows] == [row.order for row in critic_tape.rows]
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-2 for a, b in itertools.pairwise(rows))
    for e, row in zip(rows, critic_tape.rows, strict=True):
        assert e["dur"] == pytest.approx(1e6 * row.seconds, abs=1e-3)


def test_a_plan_as_a_list(program):
    """Each instruction's loops are the plan's, its values lie inside the arena, and a replay gives the same."""
    step = target(f"{program}:loss")
    plan = step.plan()
    before = [np.copy(r) for r in plan.results]
    rows = table.instructions(plan, rounds=2)
    assert len(rows) == len(plan.program) and sum(row["loops"] for row in rows) == len(plan.calls)
    for row in rows:
        assert all(p["at"] == "own memory" or 0 <= p["at"] < plan.arena.nbytes for p in row["writes"] + row["reads"])
    inside = [p for row in rows for p in row["writes"] if p["at"] != "own memory"]
    assert len(inside) > len(rows) // 2 and all(p["at"] % 64 == 0 for p in inside if p["shape"] == [4, 3])
    assert all(np.array_equal(a, b) for a, b in zip(before, plan.results, strict=True))
    assert f"{len(rows)} instructions" in table.plan_text(rows, plan)


def test_a_function_is_differentiated_as_often_as_asked():
    """For f = x^3 / 3: slope x^2, then that of x^4 / 2."""
    x = mg.tensor([2.0], dtype="float64", requires_grad=True)
    for order in range(4):
        with Tape() as tape:
            differentiate((x**3).sum() / 3, order)
        assert max(row.order for row in tape.rows) == order


@pytest.mark.parametrize("ending", ["svg", "html", "dot"])
def test_graph_of_a_file(program, tmp_path, ending):
    out = tmp_path / f"g.{ending}"
    result = run("graph", f"{program}:loss", "-o", str(out), "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output.splitlines()[-1])
    assert list(figures["orders"]) == ["0", "1", "2"] and sum(figures["orders"].values()) == figures["ops"]
    assert "Sequential.0" in out.read_text()


def test_trace_of_a_file(program, tmp_path):
    out = tmp_path / "t.json"
    result = run("trace", f"{program}:loss", "--perfetto", str(out), "--details", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.output.splitlines()[-1])["rows"]
    assert len(json.loads(out.read_text())["traceEvents"]) == len(rows) + 3
    assert any(row["source"].startswith("mine.py:") for row in rows)
    captured = run("trace", f"{program}:loss", "--captured", "--json")
    assert captured.exit_code == 0, captured.output
    assert json.loads(captured.output.splitlines()[-1])["instructions"]


def test_a_step_that_cannot_be_captured_is_one_line(tmp_path):
    path = tmp_path / "reads.py"
    path.write_text("import minigan as mg\nx = mg.ones(2)\n\n\ndef step():\n    return x * (x.sum() * 2).item()\n")
    result = run("trace", f"{path}:step", "--captured")
    assert result.exit_code == 2 and result.output.splitlines()[-1].startswith("Error: ")
    assert "capture: a value is read" in result.output and "Traceback" not in result.output


def test_an_example_up_to_its_first_update():
    tape = target("01_gradients").tape()
    assert tape.rows[0].order == 0
    tape = target("70").tape()
    assert tape.rows[-1].in_place and sum(r.in_place and r.kernels[0].startswith("optim") for r in tape.rows) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("wgan-gb", "did you mean 'wgan-gp'"),
        ("wgan-gp:judge", "the players are critic and generator"),
        ("MINE", "say which function of the file"),
        ("MINE:los", "has no los; it has loss"),
        ("MINE:needs", "can be called without arguments"),
        ("MINE:nothing", "no op of minigan ran"),
        ("absent.py:step", "there is no file absent.py"),
        ("BROKEN:step", "does not run: line 1: SyntaxError"),
    ],
)
def test_what_is_no_target(words, said, program, tmp_path):
    (tmp_path / "broken.py").write_text("def f(:")
    words = words.replace("MINE", str(program)).replace("BROKEN", str(tmp_path / "broken.py"))
    for command in ("graph", "trace"):
        result = run(command, words, *(["-o", str(tmp_path / "g.svg")] if command == "graph" else []))
        assert result.exit_code == 2 and said in result.output
    assert not (tmp_path / "g.svg").exists()


def test_a_graph_has_an_ending_that_is_known(tmp_path):
    result = run("graph", "wgan-gp", "-o", str(tmp_path / "g.gif"))
    assert result.exit_code == 2 and ".svg, .html, .dot" in result.output


def test_the_page_of_a_graph_unfolds_in_a_browser(program, tmp_path, browser):
    """A click on a box opens its ops; both buttons do what they say; text can be read."""
    out = tmp_path / "g.html"
    assert run("graph", f"{program}:loss", "-o", str(out)).exit_code == 0
    browser.console.clear()
    browser.open(out.as_uri())
    count = "document.querySelectorAll('details[open]').length"
    browser.js("document.querySelector('svg .box').dispatchEvent(new MouseEvent('click'))")
    assert browser.js(count) == 1
    browser.js("document.getElementById('unfold').click()")
    assert browser.js(count) == browser.js("document.querySelectorAll('svg .box').length") > 3
    assert browser.call(CONTRAST) == []
    browser.js("document.getElementById('fold').click()")
    assert browser.js(count) == 0 and browser.console == []
