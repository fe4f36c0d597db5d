"""A generator in a browser: the page's interpreter against the engine, node by node and network by network, and the
page as a whole: what its address says, its keys, its widths."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from browser import CONTRAST, OUTSIDE
from click.testing import CliRunner
from exports import FORMULAS, QUICK, draw, own, trainer
from worlds import Formula

import minigan as mg
from minigan import nn
from minigan.backend import Generator
from minigan.cli import main
from minigan.export import controls, graph, page, program
from minigan.export.parts import parts
from minigan.gan.systems import SYSTEMS
from minigan.gan.train import PREVIEW_STREAM

RUN = """(program, inputs) => {
  const value = ({ data, dims }) => Forward.value(Float32Array.from(data), dims);
  const given = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, value(x)]));
  return Forward.load(program)(given).map((y) => ({ dims: y.dims, data: [...y.data] }));
}"""


@pytest.fixture
def interpreter(browser):
    """A function that runs a network in the browser: (network, arrays, names) -> arrays."""
    browser.js(f"globalThis.Forward = (() => {{ {program.script()}\nreturn Forward; }})(); 1")

    def run(network, arrays, names, start=None):
        table = json.loads(json.dumps(program.program(network, start or arrays, names)))
        given = {n: {"data": x.ravel().tolist(), "dims": x.shape} for n, x in zip(names, arrays, strict=True)}
        return [np.array(y["data"]).reshape(y["dims"]) for y in browser.call(RUN, table, given)]

    return run


def agree(results, network, arrays, tolerance=1e-5):
    for a, b in zip(own(network, arrays), results, strict=True):
        assert np.isfinite(b).all()
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * max(np.abs(a).max(), 1e-30))


MORE = {
    "rounds to even": lambda x: ((8 * x).floor() / 2).round() + x.floor() + x.ceil() + x.sign(),
    "erf, sin, cos": lambda x: mg.functional.gelu(3 * x) + x.sin() * x.cos(),
    "least and largest": lambda x: mg.maximum(x, -x) + mg.minimum(x, x * x) + x.argmin(1, keepdim=True),
    "softmax in the middle": lambda x: x.reshape(-1, 2, 3).softmax(1),
    "comparisons": lambda x: mg.where(x <= 0, x, x * 0) + mg.where(x == x, x, -x) + mg.where(x >= 0.5, x, -x),
    "a border": lambda x: mg.functional.pad(x.reshape(-1, 1, 2, 3), (1, 2, 0, 1), value=0.5),
    "a mirror": lambda x: mg.functional.pad(x.reshape(-1, 1, 2, 3), (2, 1, 1, 0), mode="reflect"),
    "products of stacks": lambda x: x.reshape(-1, 2, 3) @ x.reshape(-1, 3, 2),
}


@pytest.mark.parametrize("name", [*FORMULAS, *MORE])
def test_formulas_in_the_browser(interpreter, name):
    x = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)
    network = Formula({**FORMULAS, **MORE}[name])
    agree(interpreter(network, [x], ["x"]), network, [x], 1e-6)
    agree(interpreter(network, [x[:1]], ["x"], [x]), network, [x[:1]], 1e-6)


@pytest.mark.parametrize("geometry", [(4, 2, 1, 1, 1, 0), (3, 1, 0, 2, 1, 0), (3, 2, 1, 1, 2, 1), (5, 3, 2, 1, 1, 2)])
def test_convolutions_in_the_browser(interpreter, geometry):
    """Strides, padding, dilation, groups, output_padding, sides of different length."""
    kernel, stride, padding, dilation, groups, extra = geometry
    layers = nn.Sequential(
        nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups),
        nn.ConvTranspose2d(4, 2, kernel, stride, padding, extra, groups, dilation=dilation),
    )
    x = np.random.default_rng(0).standard_normal((3, 2, 13, 16)).astype(np.float32)
    agree(interpreter(layers, [x], ["images"]), layers, [x], 1e-6)


def test_every_kind_of_node_has_its_function(interpreter, browser):
    source = (program.WEB.parent / "graph.py").read_text(encoding="utf-8")
    kinds = {*graph.SAME.values(), *re.findall(r'(?:node|Node|_axis|_extreme|_place_of)\(\s*"(\w+)"', source)}
    assert {"Conv", "Softmax", "ReduceMax", "ArgMin", "Shape", "Add"} <= kinds
    assert kinds <= set(browser.js("Object.keys(Forward.NODES)"))


@pytest.mark.parametrize("system", [s if s in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in SYSTEMS])
def test_every_part_agrees_in_the_browser(interpreter, system):
    for name, part in parts(trainer(system)).items():
        if name != "classifier":
            arrays = [x[:3] for x in draw(part)]
            agree(interpreter(part.network, arrays, part.names, part.inputs), part.network, arrays)


def test_what_can_be_moved():
    """The latents, by strength, and the codes behind them, so that the fields together are as wide as the input."""
    rows = {}
    for system in ("cgan", "infogan", "text2image", "stargan"):
        t = trainer(system)
        _, part = controls.generator_of(t)
        rows[system] = controls.controls(t, part)
        for argument, x in zip(rows[system], part.inputs, strict=True):
            width = {"latents": lambda f: f["count"], "number": lambda f: 1, "choice": lambda f: len(f["rows"][0])}
            assert sum(width[f["kind"]](f) for f in argument["fields"]) == np.prod(x.shape[1:])
    kinds = {system: [f["kind"] for a in arguments for f in a["fields"]] for system, arguments in rows.items()}
    assert kinds["cgan"] == kinds["text2image"] == ["latents", "choice"]
    assert kinds["infogan"] == ["latents", "choice", "number", "number"] and kinds["stargan"] == ["choice", "choice"]
    assert rows["cgan"][0]["fields"][1]["labels"] == [str(k) for k in range(10)]


def test_the_sliders_move_what_moves_the_image():
    network = Formula(
        lambda z: mg.broadcast_to((z * mg.tensor([0.0, 3.0, 1.0])).sum(1).reshape(-1, 1, 1, 1), (len(z), 1, 8, 8))
    )
    assert controls.strongest(network, np.zeros((1, 3), np.float32), 3, 2) == [1, 2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The page of a small infogan, whose inputs have every kind of field."""
    t = trainer("infogan")
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page.page(t, *controls.generator_of(t), "a run</script>"), encoding="utf-8")
    return SimpleNamespace(file=file, trainer=t)


STATE = """(hash) => new Promise((done) => {
  const seen = () => done([[...run(inputs(state.seed))[0].data], $("notice").textContent]);
  addEventListener("hashchange", seen, { once: true });
  location.hash = hash;
})"""


def test_the_page_is_one_file(run):
    text = run.file.read_text(encoding="utf-8")
    assert run.file.stat().st_size < page.LIMIT
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)|@import|url\((?!data:)|https?://""", text)
    assert "{{" not in text and text.lower().count("</script>") == 2


def test_a_seed_is_pythons_sample(run, browser):
    """The latents are those of minigan's own generator of random numbers, and so is the image, to 1e-4."""
    browser.open(run.file.as_uri())
    t = run.trainer
    for seed in (0, 12, 2**31 - 1):
        z = t.inputs(1, Generator(seed, PREVIEW_STREAM)).numpy()
        z[:, 16:] = [[0, 0, 0, 1, *[0] * 6, 0.5, -0.25]]
        data, notice = browser.call(STATE, f"seed={seed}&category=3&code-1=0.5&code-2=-0.25")
        assert notice == ""
        np.testing.assert_allclose(np.array(data).reshape(1, 32, 32), t.sample(mg.Tensor(z))[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("seed=-1", "seed is a whole number"),
        ("seed=1e99", "seed is a whole number"),
        ("seed=", "seed is a whole number"),
        ("category=10", "category is a whole number from 0 to 9"),
        ("category=NaN", "category is a whole number"),
        ("code-1=7", "code-1 is a number from -1 to 1"),
        ("code-1=Infinity&seed=3", "code-1 is a number"),
        ("<img src=x onerror=alert(1)>", "there is no"),
        ("__proto__=1", "there is no"),
        ("seed=3&" + "x" * 5000, "there is no"),
        ("%E0%A4%A=1", "there is no"),
    ],
)
def test_a_wrong_address_is_one_line(run, browser, address, said):
    browser.console.clear()
    browser.open(run.file.as_uri())
    data, notice = browser.call(STATE, address)
    assert said in notice and "\n" not in notice and len(notice) < 400
    assert (
        np.isfinite(data).all() and browser.console == [] and browser.js("document.querySelectorAll('img').length") == 0
    )


def test_keys_and_fields(run, browser):
    """N draws a new sample and keeps the code that was chosen; a slider changes the image and the address."""
    browser.console.clear()
    browser.open(run.file.as_uri() + "#category=2")
    before = browser.js("location.hash")
    browser.js("document.body.focus()")
    browser.key("n", "n")
    after = browser.js("location.hash")
    assert re.fullmatch(r"#seed=\d+&category=2", after) and after != before
    move = """([id, value]) => {
      $(id).value = value;
      $(id).oninput();
      return [location.hash, [...inputs(state.seed).latents.data]];
    }"""
    slider = browser.js("document.querySelector('input[type=range]').id")
    first = browser.js("[...inputs(state.seed).latents.data]")
    hash_, second = browser.call(move, [slider, 1.5])
    changed = [k for k, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    assert f"{slider}=1.5" in hash_ and changed == [int(slider[1:])] and second[changed[0]] == 1.5
    browser.js("$('seed').value = 1.5; $('seed').onchange()")
    assert "whole number" in browser.js("$('notice').textContent")
    browser.js("$('back').click()")
    assert re.fullmatch(r"#seed=\d+", browser.js("location.hash"))
    drawn = "$('sheet').lastChild.onclick"
    browser.js(f"new Promise((done) => {{ const look = () => ({drawn} ? done(1) : setTimeout(look, 20)); look(); }})")
    browser.js("$('sheet').lastChild.click()")
    assert browser.js("location.hash") != after and browser.console == []


@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_fits(run, browser, width):
    for dark in (False, True):
        browser.size(width, 800, dark)
        browser.open(run.file.as_uri() + ("#nothing=1" if dark else ""))
        assert browser.js("document.documentElement.scrollWidth") <= width
        assert browser.call(OUTSIDE) == [] and browser.call(CONTRAST) == []
    browser.size(1440, 900)


def test_what_a_page_refuses(run, monkeypatch):
    with pytest.raises(ValueError, match="'critic' makes no images; those that do: generator"):
        controls.generator_of(run.trainer, "critic")
    result = CliRunner().invoke(main, ["export", "page", "latest", "-o", "x.txt"])
    assert result.exit_code == 2 and "written as .html" in result.output
    monkeypatch.setattr(page, "LIMIT", 1000)
    with pytest.raises(ValueError, match="more than 0: the network is too large"):
        page.page(run.trainer, *controls.generator_of(run.trainer), "x")


@pytest.mark.parametrize("system", ["vae", "ae", "stylegan", "lapgan"])
def test_a_page_draws_what_the_run_draws(system):
    """From latents as the run draws them: not what stands before the last tanh, nor the mixed styles of training."""
    t = trainer(system)
    name, part = controls.generator_of(t)
    inputs = t.inputs(5, Generator(0, 6)).numpy()
    assert name == "generator" and part.inputs[0].shape[1:] == inputs.shape[1:]
    np.testing.assert_allclose(own(part.network, [inputs])[0], t.sample(mg.tensor(inputs)), atol=1e-5)
    kinds = [field["kind"] for row in controls.controls(t, part) for field in row["fields"]]
    assert kinds[0] == "latents"
