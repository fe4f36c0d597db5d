"""The page of `minigan lab` in a browser: one file, a silent console, both widths and colour schemes, the keyboard,
links that reproduce, one line for what is wrong."""

import json
import re

import numpy as np
import pytest
from browser import CONTRAST, OUTSIDE
from click.testing import CliRunner

from minigan import __version__
from minigan.cli import main
from minigan.gan.losses import LOSSES
from minigan.gan.penalties import PENALTIES
from minigan.gan.tricks import INCOMPATIBLE, TRICKS
from minigan.lab import MOST_BYTES, page, tables

WEIGHTS = """[...Lab.state.trainer.generator.parameters(), ...Lab.state.trainer.critic.parameters()]
    .flatMap((p) => [...p.data])"""
NOTICE = "document.getElementById('notice').textContent"
SET = """(id, value) => {
  const field = document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new Event("change"));
}"""
TITLE = "document.getElementById('tour-title').textContent"
CLICK = "(id) => document.getElementById(id).click()"
GO = "(hash) => new Promise((done) => { addEventListener('hashchange', done, { once: true }); location.hash = hash; })"
PLACE = "(id) => (({ x, y, width }) => [x, y, width])(document.getElementById(id).getBoundingClientRect())"


def until(condition: str) -> str:
    """A promise that is kept once a condition holds."""
    return f"new Promise((done) => {{ const look = () => ({condition} ? done(1) : setTimeout(look, 20)); look(); }})"


def test_the_command_writes_one_small_file(tmp_path):
    path = tmp_path / "lab.html"
    result = CliRunner().invoke(main, ["lab", "-o", str(path), "--json"])
    figures = json.loads(result.output.splitlines()[-1])
    text = path.read_text(encoding="utf-8")
    assert text == page(__version__) and __version__ in text
    assert figures == {"out": str(path), "bytes": path.stat().st_size} and figures["bytes"] < MOST_BYTES
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)|@import|url\((?!data:)|https?://""", text)
    assert "<!--" not in text and "/*STYLE" not in text


@pytest.mark.parametrize(("name", "words"), [("lab.txt", "written as .html"), ("no/folder/lab.html", "no")])
def test_the_command_refuses_in_one_line(tmp_path, name, words):
    result = CliRunner().invoke(main, ["lab", "-o", str(tmp_path / name)])
    assert result.exit_code in (1, 2) and words in result.output.splitlines()[-1]


def test_the_tables_are_those_of_the_python_engine(lab):
    """Each loss and penalty has its functions in JavaScript; what is said of them comes from Python."""
    browser = lab()
    assert browser.js("Object.keys(Losses.ROWS)") == list(LOSSES) == list(tables()["losses"])
    assert browser.js("Object.keys(Losses.PENALTIES)") == list(PENALTIES)
    assert browser.js("TABLES.incompatible") == [list(row) for row in INCOMPATIBLE]
    tricks = browser.js("Settings.TRICKS")
    assert set(tricks) == TRICKS.keys() - PENALTIES.keys() - {"two-time-scale"}  # that is Rate of D and Rate of G
    assert browser.requests[-1].startswith("file:") and all(not url.startswith("http") for url in browser.requests)


def test_every_experiment_runs(lab):
    """The tour's settings are valid, and three steps of each leave finite figures and a drawing."""
    browser = lab()
    titles = browser.js("PRESETS.map((preset) => preset.title)")
    for i in range(len(titles)):
        browser.call(SET, "tour-choice", str(i))
        assert browser.js(NOTICE) == "" and browser.js(TITLE) == titles[i]
        if browser.js("Lab.state.settings.view") == "games":
            browser.call(CLICK, "game-step")
            assert browser.js("GamesView.points.length") == 2
        else:
            browser.call(CLICK, "step")
            assert browser.js("Object.values(Lab.state.trainer.figures).every(Number.isFinite)")
            assert browser.js("Lab.state.trainer.steps") == 1


@pytest.mark.parametrize("width", [360, 1440])
def test_layout_and_contrast(lab, width):
    """Nothing is wider than the window, and text has a contrast of 4.5 to its ground, in light and dark, in both views,
    with a warning, with half a step's line."""
    for dark in (False, True):
        lab().size(width, 800, dark)
        for hash_ in ("#do=1!d&tricks=clip", "#view=games", "#los=hinge"):
            browser = lab(hash_)
            browser.js(until("!Lab.replaying"))
            assert browser.js("document.documentElement.dataset.theme") == ("dark" if dark else "light")
            assert browser.js("document.documentElement.scrollWidth") <= width
            assert browser.call(OUTSIDE) == [] and browser.call(CONTRAST) == []
    browser.size(1440, 900)


def colours() -> list[dict[str, str]]:
    css = re.search(r"<style>(.*?)</style>", page(), re.DOTALL)[1]
    return [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in css.split("}")[:2]]


SEEN = {
    "all": np.eye(3),
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
}
"""Linear RGB as it is seen, of the commonest kinds of colour blindness (Machado et al. 2009, severity 1)."""


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab_colour(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB (CIE 1976)."""
    matrix = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    xyz = np.array(matrix) @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.0888]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), (903.3 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", SEEN)
def test_colours_that_stand_together_differ(kind):
    """Reals beside samples, D's curve beside G's: at least 20 apart in CIELAB (2 is just visible). Labels of curves
    have a contrast of 4.5 on a card."""
    for scheme in colours():
        for a, b in (("real", "fake"), ("d", "g"), ("real-text", "fake"), ("fake", "pull")):
            seen = [lab_colour(np.array(SEEN[kind]) @ linear(scheme[name])) for name in (a, b)]
            assert np.linalg.norm(seen[0] - seen[1]) >= 20, (kind, a, b)
        light = {name: linear(c) @ [0.2126, 0.7152, 0.0722] + 0.05 for name, c in scheme.items()}
        for name in ("d", "g", "real-text", "fake", "pull", "muted"):
            ratio = light[name] / light["card"]
            assert max(ratio, 1 / ratio) >= 4.5, name


def test_the_keyboard_reaches_everything(lab):
    """Tab visits every visible control, each has a name, and Enter and Space act on what has the focus."""
    browser = lab("#penalty=r1")
    visible = """[...document.querySelectorAll("button, select, input, textarea")]
        .filter((e) => e.getClientRects().length).map((e) => e.id || e.textContent)"""
    controls = browser.js(visible)
    nameless = browser.js("""[...document.querySelectorAll("select, input, textarea")]
        .filter((e) => !e.labels.length && !e.ariaLabel).map((e) => e.id)""")
    assert nameless == [] and len(controls) > 40
    visited = []
    for _ in controls:
        browser.key("Tab")
        visited.append(browser.js("document.activeElement.id || document.activeElement.textContent"))
    assert visited == controls
    browser.js("document.getElementById('step-d').focus()")
    assert browser.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.key("Enter")
    assert browser.js("Lab.state.script") == ["d"]
    browser.js("document.getElementById('set-tricks-spherical').focus()")
    browser.key(" ")
    assert browser.js("Lab.state.settings.tricks") == ["spherical"]
    browser.js("document.getElementById('speed').focus()")
    browser.key("ArrowRight")
    assert browser.js("Lab.state.settings.speed") == 7


def test_run_and_pause(lab):
    """Run trains by itself, slowly by half-steps in turn, and pause stops it; the address holds what was done."""
    browser = lab("#data=moons&speed=1&n_critic=2&batch=8&width_g=4&width_d=4")
    browser.call(CLICK, "run")
    browser.js(until("Lab.state.script.length > 1"))
    browser.call(CLICK, "run")
    script = browser.js("Lab.state.script")
    assert script[:2] == ["d", "d"] and not browser.js("Lab.running")
    browser.call(SET, "speed", "9")
    browser.js("document.getElementById('speed').dispatchEvent(new Event('input'))")
    browser.call(CLICK, "run")
    browser.js(until("Lab.state.trainer.steps > 3"))
    browser.call(CLICK, "run")
    assert "do=d!d!" in browser.js("location.hash") and browser.js("Lab.state.settings.speed") == 9


def test_a_link_reproduces(lab):
    """Half-steps, settings changed while it runs, other sizes of networks, a trick that rebuilds the critic, own
    points: the address brings back every weight to the bit."""
    browser = lab("#data=own&own=0_0;1_1.5;-0.3333333333333333_2&penalty=two-sided&batch=16&width_g=6&width_d=6")
    browser.js("for (const token of [1, 1, 'd', 'g', 1, 'd']) Lab.act(token)")
    for field, value in (("lr_d", "0.01"), ("width_g", "9"), ("latent", "3"), ("batch", "32"), ("loss", "hinge")):
        browser.call(SET, f"set-{field}", value)
        browser.js("Lab.act(1)")
    browser.call(CLICK, "set-tricks-spectral")
    browser.call(CLICK, "step")
    address, weights = browser.js("location.hash"), browser.js(WEIGHTS)
    assert browser.js("Lab.state.trainer.steps") == 10
    browser = lab(address)
    browser.js(until("!Lab.replaying"))
    assert browser.js(WEIGHTS) == weights and browser.js("location.hash") == address
    browser.call(CLICK, "reset")
    assert browser.js("Lab.state.trainer.steps") == 0 and "do=" not in browser.js("location.hash")


def test_a_link_holds_no_more_than_can_be_done_again(lab):
    """Beyond 100,000 steps the address holds the settings alone, so it opens."""
    browser = lab("#loss=hinge")
    browser.js("(Lab.act(1), Lab.state.script[0] = '100000', Lab.change('speed', '1'))")
    assert "do=100000" in browser.js("location.hash")
    browser.js("(Lab.act(1), Lab.change('speed', '2'))")
    assert browser.js("Lab.state.script") == ["100001"] and browser.js("location.hash") == "#loss=hinge&speed=2"


WRONG = {
    "#loss=wasserstien": "did you mean wasserstein?",
    "#los=hinge": "did you mean loss?",
    "#lr_d=fast": "not a number",
    "#width_d=100000": "outside 1 to 128; a larger network is for minigan toy",
    "#batch=512&width_d=128&width_g=128&depth_d=6&penalty=r1": "take a smaller width, depth or batch",
    "#data=own&own=1_2;NaN_3": "line 2",
    "#data=own": "draw or paste at least 2",
    "#tricks=clip,spectral": "turn one of them off",
    "#tricks=minibatch&penalty=r1": "turn one of them off",
    "#tricks=packing&pack=3": "take another batch",
    "#do=12!jump": "none of",
    "#do=999999999": "at most",
    "#do=5!seed~3": "put seed=3 before",
    "#%E0%A4%A=1": "unknown setting",
    "#__proto__=1": "unknown setting",
    "#constructor=2": "unknown setting",
    "#a=b": "known: data",
}


def test_what_is_wrong_in_the_address_is_one_line(lab):
    """... that says what to do, and the page works on with its first experiment."""
    browser = lab()
    for hash_, words in WRONG.items():
        browser.js("Lab.act('d')")
        browser.call(GO, hash_)
        notice = browser.js(NOTICE)
        assert words in notice and notice.startswith("The address:") and "\n" not in notice and len(notice) < 400, (
            notice
        )
        assert browser.js("Lab.state.settings.data === PRESETS[0].set.data && Lab.state.script.length === 0"), hash_
        assert browser.js(TITLE) == browser.js("PRESETS[0].title")


def test_the_heading_is_of_what_is_shown(lab):
    """A link's settings stand under the experiment that starts from them, or under none."""
    browser = lab("#loss=hinge")
    assert browser.js(TITLE) == "From a link" and not browser.js("document.querySelector('.tour-text').hidden")
    browser.call(CLICK, "tour-next")
    assert browser.js(TITLE) == browser.js("PRESETS[0].title")
    for index in range(browser.js("PRESETS.length")):
        browser.call(SET, "tour-choice", str(index))
        browser.js("Lab.change('speed', '1')")
        title, address = browser.js(TITLE), browser.js("location.hash")
        browser.call(GO, "#loss=hinge&seed=5")
        assert browser.js(TITLE) == "From a link"
        browser.call(GO, address)
        assert browser.js(TITLE) == title == browser.js(f"PRESETS[{index}].title")


def test_what_is_wrong_in_a_field_is_one_line(lab):
    browser = lab()
    for field, value, words in (
        ("width_g", "1e9", "outside 1 to 128"),
        ("batch", "8.5", "whole number"),
        ("lr_g", "", "not a"),
    ):
        before = browser.js("Lab.state.settings")
        browser.call(SET, f"set-{field}", value)
        assert words in browser.js(NOTICE) and browser.js("Lab.state.settings") == before
        assert browser.js(f"document.getElementById('set-{field}').getAttribute('aria-invalid')") == "true"
        browser.call(SET, f"set-{field}", str(before[field]))
        assert browser.js(NOTICE) == ""
    browser.call(SET, "set-loss", "wasserstein")
    assert "choose a penalty, clip or spectral" in browser.js(NOTICE)
    browser.call(SET, "set-penalty", "two-sided")
    assert browser.js(NOTICE) == ""


def test_divergence_is_one_line(lab):
    """A weight that is no number, in a layer with a ReLU behind it, stops the run and is named."""
    browser = lab()
    browser.js("Lab.state.trainer.critic.layers[0].weight.data.fill(NaN)")
    assert browser.js("Lab.act(1)") is False and not browser.js("Lab.running")
    assert "it diverged. Lower the rates" in browser.js(NOTICE)


def test_own_points(lab):
    """Drawn by the mouse or pasted; a bad line is named; the points are what the trainer draws from."""
    browser = lab()
    browser.call(SET, "set-data", "own")
    assert "Draw points" in browser.js(NOTICE)
    browser.call(CLICK, "own-draw")
    left, top, side = browser.call(PLACE, "plane")
    browser.mouse("mousePressed", left + side / 2, top + side / 2)
    for k in range(1, 6):
        browser.mouse("mouseMoved", left + side / 2 + 30 * k, top + side / 2)
    browser.mouse("mouseReleased", left + side / 2, top + side / 2)
    drawn = [line.split(", ") for line in browser.js("document.getElementById('own-text').value").split("\n") if line]
    assert len(drawn) == 6 and np.allclose(np.array(drawn, float)[0], 0, atol=0.02)
    use = "[...document.querySelectorAll('#own button')].find((b) => b.textContent.startsWith('Use')).click()"
    browser.js(use)
    assert browser.js("Lab.state.trainer.points.name") == "own" and browser.js("Lab.state.own.length") == 6
    bad = {
        "1,2\n3,NaN": "line 2",
        "1,2,3\n1,2": "line 1",
        "x,y\n1,2": "at least 2",
        "1,1\n1,1": "all 2 are equal",
        "1e31,1\n2,3": "rescale",
    }
    for text, words in bad.items():
        browser.js(f"document.getElementById('own-text').value = {json.dumps(text)}; {use}")
        assert words in browser.js(NOTICE) and browser.js("Lab.state.own.length") == 6
    browser.js(f"document.getElementById('own-text').value = 'x,y\\n0.5;1\\n2\\t3\\n-1 4\\n'; {use}")
    assert browser.js("Lab.state.own") == [[0.5, 1], [2, 3], [-1, 4]]
    reals = np.reshape(
        browser.js("[...Lab.state.trainer.scaled(Float64Array.from(Lab.state.trainer.values.subarray(0, 60)))]"),
        (30, 2),
    )
    nearest = np.abs(reals[:, None] - np.array([[0.5, 1], [2, 3], [-1, 4]])).max(2).min(1)
    assert nearest.max() < 1e-6


def test_a_game_is_started_by_a_click(lab):
    browser = lab("#view=games&game=gp")
    browser.js("document.getElementById('phase').scrollIntoView()")
    left, top, side = browser.call(PLACE, "phase")
    browser.mouse("mousePressed", left + side / 4, top + side / 4)
    browser.mouse("mouseReleased", left + side / 4, top + side / 4)
    x, y = browser.js("GamesView.points[0]")
    assert x == pytest.approx(-0.8, abs=0.03) and y == pytest.approx(0.8, abs=0.03)
    assert browser.js("Lab.state.settings.x") == x
    browser.call(SET, "set-method", "optimistic")
    browser.call(CLICK, "game-step")
    assert "below 1: the steps lead to the equilibrium" in browser.js("document.getElementById('verdict').textContent")


def test_an_address_keeps_every_change_that_draws_weights(lab):
    """Of changes of a rate in a row the last one counts; another form of a network is drawn anew each time."""
    browser = lab()
    script = "[['10'], ['lr_g~0.01', 'lr_g~0.02'], ['width_g~48', 'width_g~64'], ['tricks~packing', 'tricks~']].flat()"
    tokens = browser.js(f"{script}.reduce((done, token) => Settings.extend(done, token), [])")
    assert tokens == ["10", "lr_g~0.02", "width_g~48", "width_g~64", "tricks~packing", "tricks~"]
    assert browser.js("['10', 1, 1, 'd'].reduce((done, token) => Settings.extend(done, token), [])") == ["12", "d"]


@pytest.mark.parametrize("changes", [("width_g", [48, 64]), ("depth_d", [1, 2]), ("tricks", [["packing"], []])])
def test_an_address_shows_the_same_weights_again(lab, changes):
    """Of a trainer that was changed twice, and of one that does what the script says."""
    browser, (name, values) = lab(), changes
    twice = f"""(() => {{
      const start = {{ ...Settings.initial(), batch: 8 }}, script = [];
      const t = new Training.Trainer(start, Data.load(start.data));
      const change = (t, v) => t.change({{ ...t.settings, {name}: v }});
      for (const v of {json.dumps(values)}) {{
        change(t, v);
        Settings.extend(script, `{name}~${{Settings.write("{name}", v)}}`);
      }}
      const again = new Training.Trainer(start, Data.load(start.data));
      for (const token of script) change(again, Settings.read("{name}", token.split("~")[1]));
      const sum = t => [...t.critic.parameters(), ...t.generator.parameters()].map(p => [...p.data]).flat();
      return String(sum(t)) === String(sum(again));
    }})()"""
    assert browser.js(twice)
