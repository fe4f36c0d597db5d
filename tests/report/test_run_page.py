"""The page of a run: what is computed for it, by networks with known answers, and the page as a whole."""

import base64
import importlib
import io
import json
import re
from types import SimpleNamespace

import exports
import numpy as np
import pytest
from browser import CONTRAST, OUTSIDE
from click.testing import CliRunner
from PIL import Image
from worlds import WORLD, Formula

import minigan as mg
from minigan import nn, viz
from minigan.cli import main
from minigan.export.parts import parts
from minigan.gan import bands
from minigan.gan.records import norms_of, read_norms
from minigan.gan.run import load_trainer
from minigan.gan.systems.table import SYSTEMS, options_for, trainer_for
from minigan.report import page as page_of
from minigan.report import walk
from minigan.report.collect import _samples, _sweep

collect = importlib.import_module("minigan.report.collect")


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_tiles_keep_every_channel():
    channels = np.arange(5 * 2 * 3, dtype=float).reshape(5, 2, 3)
    sheet = walk.tiles(channels)
    assert sheet.shape == (2 * 3 - 1, 3 * 4 - 1)
    np.testing.assert_array_equal(sheet[:2, 4:7], channels[1])
    np.testing.assert_array_equal(sheet[3:, :3], channels[3])
    assert np.isnan(sheet[2]).all() and np.nansum(sheet) == channels.sum()
    assert walk.tiles(np.arange(40.0)).shape == (2, 32)


def test_colours():
    """Grey from the smallest to the largest; gradients white at zero, blue below, orange above, alike on both sides."""
    np.testing.assert_array_equal(walk.grey(np.array([[0.0, 2.0]]), 0, 2)[0, :, 0], [0, 255])
    blue, white, orange = walk.signed(np.array([[-3.0, 0.0, 3.0]]))[0]
    assert tuple(white) == (255, 255, 255) and blue[2] > blue[0] and orange[0] > orange[2]


def test_layers_are_what_they_compute():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = np.array([[1.0, -2.0], [0.5, 0.25]], np.float32)
    rows = walk.activations(network, [x])
    with mg.no_grad():
        first = network[0](mg.Tensor(x)).numpy()
    assert [layer.name for layer in rows[1]] == ["0", "1"] and len(rows) == 2
    assert rows[1][0].low == pytest.approx(first[1].min()) and rows[1][1].low >= 0
    assert rows[0][1].high == pytest.approx(max(first[0].max(), 0))


def test_weights_have_their_singular_values():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.assign(np.array([[3.0, 0.0], [0.0, -4.0]], np.float32))
    (weight,) = walk.weights(layer)
    assert weight.norm == 5 and weight.singular == (4, 3)


def test_the_slope_between_images_is_the_critics():
    """Of f(x) = sum of w x: w everywhere, halfway between the two."""
    w = np.random.default_rng(0).standard_normal((1, 4, 4)).astype(np.float32)
    critic = Formula(lambda x: (x * mg.Tensor(w)).sum((1, 2, 3)))
    fake, real = np.zeros((2, 1, 4, 4), np.float32), np.ones((2, 1, 4, 4), np.float32)
    points, slope, lengths = walk.slopes_between(critic, [], fake, real)
    np.testing.assert_allclose(points, 0.5)
    np.testing.assert_allclose(slope, [w, w], rtol=1e-6)
    np.testing.assert_allclose(lengths, np.linalg.norm(w), rtol=1e-6)


def test_the_generators_slope_is_its_losss():
    """For the loss -mean of the pixels' sum: -1 / N at every pixel."""
    generator = nn.Sequential(nn.Linear(2, 4), Formula(lambda x: x.reshape(-1, 1, 2, 2)))
    trainer = SimpleNamespace(
        generator=generator,
        info=SimpleNamespace(shape=(2, 2, 1)),
        generator_loss=lambda: (-generator(mg.ones(5, 2)).sum() / 5, {}),
    )
    images, slopes = walk.gradients_of_images(trainer)
    assert images.shape == (5, 1, 2, 2)
    np.testing.assert_allclose(slopes, -0.2, rtol=1e-6)


def test_a_norms_middle_is_its_median():
    norm = nn.BatchNorm2d(3)
    norm.running_mean.assign(np.array([0.0, 1.0, 5.0], np.float32))
    assert walk.statistics(nn.Sequential(norm)) == [{"name": "0", "mean": [0.0, 1.0, 5.0], "var": [1.0, 1.0, 1.0]}]


def test_reals_are_held_out_and_neighbours_training_images(monkeypatch):
    """An image of level 0.3 is nearest to the training image of level 0.5, at 0.2 a pixel."""
    images = np.array([-1.0, 0.5, 0.7], np.float32)[:, None, None, None] * np.ones((1, 1, 8, 8), np.float32)
    dataset = SimpleNamespace(train=[2, 2], held_out=np.array([2, 2]))  # it was shown a share of its images
    trainer = SimpleNamespace(
        dataset=dataset, trained_on=SimpleNamespace(train=[0, 1]), options=SimpleNamespace(size=8)
    )
    monkeypatch.setattr(collect.classifier, "prepared", lambda dataset, rows, size: images[rows])
    np.testing.assert_array_equal(collect._reals(trainer, 1), images[2:])
    (near,) = collect._neighbours(trainer, 0.6 * images[1:2])
    assert near["distance"] == pytest.approx(0.2, rel=1e-5) and decoded(near["picture"]).mean() == 191


def test_of_frames_that_do_not_fit_the_last_stays(monkeypatch, tmp_path):
    for step in (10, 20):
        (tmp_path / f"fakes{step:06}.png").write_bytes(b"%8d" % step)
    assert [frame["caption"] for frame in collect._frames(tmp_path)] == ["step 10", "step 20"]
    monkeypatch.setattr(collect, "FRAME_BYTES", 10)
    assert [frame["caption"] for frame in collect._frames(tmp_path)] == ["step 20"]


def test_norms_are_kept_by_step(tmp_path):
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.assign(np.array([[3.0, 4.0]], np.float32))
    row = norms_of({"critic": layer, "average": layer})
    assert row == {"critic": {"weight": 5.0}}
    lines = [{"step": 2, "critic": {"weight": 1}}, {"step": 1, **row}, {"step": 2, "critic": {"weight": 2}}]
    (tmp_path / "norms.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 3, "cr')
    assert [(r["step"], r["critic"]["weight"]) for r in read_norms(tmp_path)] == [(1, 5.0), (2, 2)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with runs of two systems and an image of one's own."""
    folder = tmp_path_factory.mktemp("report")
    for system, words in (("wgan-gp", []), ("stargan", ["--blocks", "1"])):
        words = [
            "train",
            system,
            "--steps",
            "2",
            "--base",
            "2",
            "--batch-size",
            "6",
            *words,
            "--out",
            str(folder / system),
        ]
        assert CliRunner().invoke(main, words).exit_code == 0
    Image.fromarray(np.full((40, 40), 200, np.uint8)).save(folder / "mine.png")
    return folder


def table(path) -> dict:
    text = path.read_text()
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1])


def test_the_page_of_a_run(run):
    result = CliRunner().invoke(main, ["report", str(run / "wgan-gp"), "--image", str(run / "mine.png"), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output.splitlines()[-1])
    page = run / "wgan-gp" / "report.html"
    assert figures["bytes"] == page.stat().st_size < 8 * 2**20 and figures["seconds"] < 20
    assert not re.search(r'(src|href)="(https?:)?//', page.read_text()) and "{{" not in page.read_text()
    t = table(page)
    assert [image["kind"] for image in t["images"]] == [f"{k} {n}" for k in ("sample", "real") for n in range(1, 7)] + [
        "yours 1"
    ]
    generator, critic = t["networks"]
    assert (generator["name"], critic["name"]) == ("generator", "critic")
    assert len(critic["walks"]) == len(critic["labels"]) == 13 and len(generator["walks"]) == 6
    assert generator["walks"][0][-1]["shape"] == [1, 32, 32]
    assert [row["step"] for row in t["norms"]] == [2] and set(t["norms"][0]) == {"step", "generator", "critic"}
    assert t["sweep"]["side"] == 9 and decoded(t["sweep"]["picture"]).shape == (9 * 64, 9 * 64)
    assert len(t["judge"]["probabilities"]) == len(t["neighbours"]) == 13
    assert all(abs(sum(p) - 1) < 1e-3 for p in t["judge"]["probabilities"])
    assert len(t["gradients"]["between"]) == 3 and all(g["length"] > 0 for g in t["gradients"]["to_generator"])
    assert decoded(t["frames"][-1]["picture"]).size


def test_bands_of_normal_runs_lie_behind_the_curves(run, browser):
    """At the height of the values they hold, all of them in the chart, to the end of the run; and the page says what
    left."""
    CliRunner().invoke(main, ["report", str(run / "wgan-gp"), "-o", str(run / "bands.html")])
    t = table(run / "bands.html")
    shipped = bands.shipped()["wgan-gp"]
    low, high = shipped["curves"]["d_loss"]
    assert t["bands"]["d_loss"] == [list(row) for row in zip(shipped["steps"], low, high, strict=True)]
    assert t["verdict"] == []  # no step of the bands was reached
    t["stats"] = [{"step": step, "d_loss": value} for step, value in ((0, 0.0), (50, 1.0), (100, 4.0))]
    t |= {"bands": {"d_loss": [[0, -5, 1], [50, 1, 2], [100, 3, 9], [150, 0, 1]]}, "verdict": ["d_loss left"]}
    (run / "bands.html").write_text(page_of(t))
    browser.open((run / "bands.html").as_uri())
    points = "[...document.querySelector('#curves {}').points].map(p => [p.x, p.y])"
    (zero, one, four), band = browser.js(points.format("polyline")), browser.js(points.format("polygon"))
    height = lambda value: zero[1] + (four[1] - zero[1]) * value / 4  # noqa: E731
    corners = [(zero, 1), (one, 2), (four, 9), (four, 3), (one, 1), (zero, -5)]
    np.testing.assert_allclose(band, [(point[0], height(value)) for point, value in corners], atol=0.3)
    assert browser.js("document.getElementById('normal').lastChild.textContent") == "d_loss left"


def test_charts_of_few_rows(run, browser):
    """A row alone is a dot; a number below the axis stands where it says, once; of a band one row is shaded, and none
    is spoken of where nothing is shaded; no texts of a chart overlap."""
    CliRunner().invoke(main, ["report", str(run / "wgan-gp"), "-o", str(run / "few.html")])
    t = table(run / "few.html")
    for steps, ticks in (([25], ["25"]), ([25, 30], ["25", "28", "30"]), ([1, 2], ["1", "2"])):
        t["stats"] = [{"step": step, "d_weight_gradient": 1.2345e-7 * step, "g_weight_gradient": 0.0} for step in steps]
        for row, shaded in ((steps[0], True), (steps[-1] + 2, False)):
            t["bands"] = {"d_weight_gradient": [[row, 0, 1.2345e-7 * steps[0]]]}
            (run / "few.html").write_text(page_of(t))
            browser.open((run / "few.html").as_uri())
            chart = browser.js(CHART)
            assert chart["texts"][3:-2] == ticks and chart["texts"][-1] == "norm of the weights' gradient"
            assert chart["dots"] == (2 if len(steps) == 1 else 0)
            assert (chart["apart"], chart["bands"], chart["shaded"]) == (True, int(shaded), shaded)
            if len(ticks) == 3:
                left, right = chart["line"]
                assert chart["middles"][4] == pytest.approx(left + (right - left) * 3 / 5, abs=1)


CHART = """(() => {
  const svg = document.querySelector("#curves svg"), texts = [...svg.querySelectorAll("text")];
  const boxes = texts.map(t => t.getBoundingClientRect()), line = svg.querySelector("polyline");
  const over = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return {
    texts: texts.map(t => t.textContent), middles: boxes.map(b => (b.left + b.right) / 2),
    line: line && [line.getBoundingClientRect().left, line.getBoundingClientRect().right],
    dots: svg.querySelectorAll("circle").length, bands: document.querySelectorAll("#curves .band").length,
    apart: !boxes.some((a, k) => boxes.slice(0, k).some(b => over(a, b))),
    shaded: document.getElementById("normal").textContent.includes("Shaded"),
  };
})()"""


def test_the_page_of_a_translator(run):
    result = CliRunner().invoke(main, ["report", str(run / "stargan"), "-o", str(run / "s.html")])
    assert result.exit_code == 0, result.output
    t = table(run / "s.html")
    assert t["sweep"] is None and t["judge"] is None and t["networks"][0]["takes"] == ["images", "condition"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_has_parts_and_images_to_show(system):
    """What a run's page and its exports begin with; the images are as large as the run's."""
    t = exports.trainer(system)
    table = parts(t)
    assert {name.split(".")[0] for name in table} >= {"generator", *(["critic"] if t.critic is not None else [])}
    images = _samples(t, table)["images"]
    assert images.shape[1:] == (t.info.shape[-1], t.options.size, t.options.size) and len(images) > 1


@pytest.mark.parametrize("system", ["dcgan", "stylegan", "infogan", "cgan"])
def test_the_sweep_moves_latents_of_a_sample(system):
    """Of every shape that a network takes its latents in: two latents move, from the others of the first sample."""
    t = trainer_for(options_for(system, size=16, base=1, batch_size=3, latent=3), WORLD)
    samples = _samples(t, parts(t))
    sweep = _sweep(t, samples)
    first, second = sweep["latents"]
    assert first != second and max(first, second) < 3 and sweep["start"] == samples["inputs"][0][0].tolist()
    points = np.repeat(samples["inputs"][0][:1], 2, 0)
    points[:, first], points[:, second] = (-2, 2), (-2, -2)
    images = t.sample(mg.tensor(points))
    sheet = decoded(sweep["picture"])[::2, ::2]
    for k, image in enumerate(images):
        corner = sheet[:16, 16 * 8 * k :][:, :16]
        assert np.abs(corner - viz.image_grid(image[None], columns=1, padding=0)[..., 0]).max() <= 1


def test_what_a_report_refuses(run, tmp_path):
    result = CliRunner().invoke(main, ["report", str(run / "wgan-gp"), "--image", "absent.png"])
    assert result.exit_code == 2 and "absent.png: no such file" in result.output
    (tmp_path / "notes.txt").write_text("no image")
    result = CliRunner().invoke(main, ["report", str(run / "wgan-gp"), "--image", str(tmp_path / "notes.txt")])
    assert result.exit_code == 2 and "notes.txt: not an image that is read" in result.output
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 1 and str(tmp_path) in result.output


def test_a_page_that_would_be_too_large_is_refused(monkeypatch):
    module = __import__("minigan.report.page", fromlist=["page"])
    monkeypatch.setattr(module, "LIMIT", 1000)
    with pytest.raises(ValueError, match="too large to be walked through"):
        page_of({"system": "x", "step": 1, "run": "</script>"})


def test_text_of_a_run_cannot_end_the_table():
    text = page_of({"system": "x", "step": 1, "run": "</script><b>"})
    assert text.count("</script>") == 2 and "&lt;/script&gt;&lt;b&gt;" in text


def test_a_generator_that_does_not_fit_is_left_out(monkeypatch):
    module = __import__("minigan.report.page", fromlist=["page"])
    t = {"system": "x", "step": 1, "run": "r", "generator": {"floats": "A" * 50_000}}
    assert "AAAA" in page_of(t)
    monkeypatch.setattr(module, "LIMIT", len(page_of(t)) - 1)
    assert "AAAA" not in page_of(t) and '"generator":null' in page_of(t)


def test_between_the_points_of_the_grid(run, browser):
    """The page's generator is the run's own, to 1e-4, and goes by quarters of a cell; without it, by whole cells."""
    CliRunner().invoke(main, ["report", str(run / "wgan-gp"), "-o", str(run / "sweep.html")])
    browser.open((run / "sweep.html").as_uri())
    browser.js("sweep.at([3.25, 7.5])")
    t = table(run / "sweep.html")
    z = np.array([t["sweep"]["start"]], np.float32)
    z[0, t["sweep"]["latents"]] = -2 + 3.25 / 2, -2 + 7.5 / 2
    trainer, _ = load_trainer(str(run / "wgan-gp"))
    image = np.array(browser.js("[...sweep.make().data]")).reshape(1, 32, 32)
    np.testing.assert_allclose(image, trainer.sample(mg.Tensor(z))[0], rtol=0, atol=1e-4)
    assert "made by the generator itself" in browser.js("document.getElementById('sweep-about').textContent")
    (run / "grid.html").write_text(page_of({**t, "generator": None}))
    browser.open((run / "grid.html").as_uri())
    browser.js("document.getElementById('pad').focus()")
    browser.key("ArrowRight")
    assert "= 0.50, latent" in browser.js("document.getElementById('place').textContent")


@pytest.mark.parametrize("width", [360, 1440])
def test_in_a_browser(run, browser, width):
    """Light and dark: nothing is wider than the window, text can be read, the console is silent; each network and image
    can be chosen, the sweep goes where the keys say."""
    CliRunner().invoke(main, ["report", str(run / "wgan-gp")])
    for dark in (False, True):
        browser.size(width, 900, dark)
        browser.console.clear()
        browser.open((run / "wgan-gp" / "report.html").as_uri())
        assert browser.js("document.documentElement.scrollWidth") <= width
        assert browser.call(OUTSIDE) == [] and browser.call(CONTRAST) == []
    for network, count in enumerate((6, 12)):
        layers = browser.call(
            """(network) => {
              const choose = (id, value) => {
                const field = document.getElementById(id);
                field.value = value;
                field.dispatchEvent(new Event("change"));
              };
              choose("network", network);
              choose("row", document.getElementById("row").options.length - 1);
              choose("weight-network", network);
              return [document.getElementById("row").options.length, document.querySelectorAll(".layer").length,
                      document.querySelectorAll("#kernels .card").length];
            }""",
            network,
        )
        assert layers[0] == count and layers[1] > 3 and layers[2] > 3
    before = browser.js("document.getElementById('place').textContent")
    browser.js("document.getElementById('pad').focus()")
    browser.key("ArrowRight")
    assert browser.js("document.getElementById('place').textContent") != before
    assert browser.console == [] and all(url.startswith(("file:", "data:", "about:")) for url in browser.requests)
    browser.size(1440, 900)


def test_singular_values_of_a_transposed_convolution_are_of_outputs_by_inputs():
    layer = nn.ConvTranspose2d(3, 2, 2, 2, bias=False)
    layer.weight.assign(np.arange(24).reshape(3, 2, 2, 2))
    (weight,) = walk.weights(layer)
    expected = np.linalg.svd(layer.weight.data.transpose(1, 0, 2, 3).reshape(2, -1).astype(float), compute_uv=False)
    np.testing.assert_allclose(weight.singular, expected)
    inside = walk.weights(nn.Sequential(nn.Conv2d(1, 3, 1), layer))
    np.testing.assert_allclose(inside[1].singular, expected)


def test_the_sweep_of_uniform_latents_stays_in_their_cube():
    t = trainer_for(options_for("dcgan", size=16, base=1, batch_size=3, latent=3, latents="uniform"), WORLD)
    sweep = _sweep(t, _samples(t, parts(t)))
    assert (min(sweep["values"]), max(sweep["values"])) == (0, 1)
