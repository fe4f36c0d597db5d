"""Pictures hold the pixels they were given; curves name what they show; files are whole."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from pictures import named_axes
from PIL import Image, ImageDraw

from minigan import data, viz
from minigan.gan.penalties import PENALTIES


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# Grids


@given(
    st.integers(1, 10),
    st.sampled_from([1, 3]),
    st.none() | st.integers(1, 12),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_every_image_stands_in_its_cell(n, channels, columns, scale, padding):
    images = pixels(n, 3, 5, channels)
    grid = viz.image_grid(images, columns, scale, padding, fill=7)
    columns = min(columns or int(np.ceil(np.sqrt(n))), n)
    rows = -(-n // columns)
    step_y, step_x = 3 * scale + padding, 5 * scale + padding
    assert grid.shape == (rows * step_y + padding, columns * step_x + padding, channels)
    for k, image in enumerate(images):
        y, x = padding + k // columns * step_y, padding + k % columns * step_x
        cell = grid[y : y + 3 * scale, x : x + 5 * scale].copy()
        grid[y : y + 3 * scale, x : x + 5 * scale] = 7
        assert np.array_equal(cell, image.repeat(scale, 0).repeat(scale, 1))
    assert (grid == 7).all()


def test_floats_and_bytes_give_the_same_picture():
    images = pixels(5, 4, 4, 1)
    expected = viz.image_grid(images)
    assert np.array_equal(viz.image_grid(data.to_unit(images)), expected)
    assert np.array_equal(viz.image_grid(images[..., 0]), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_lossless(tmp_path, channels):
    images = pixels(6, 5, 4, channels)
    viz.save_grid(tmp_path / "grid.png", images, columns=4, scale=2, padding=1)
    with Image.open(tmp_path / "grid.png") as picture:
        stored = np.asarray(picture).reshape(picture.height, picture.width, -1)
    assert np.array_equal(stored, viz.image_grid(images, 4, 2, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.parametrize(
    "images, options, message",
    [
        (pixels(2, 4, 4, 2), {}, r"1 or 3 channels, got uint8 \(2, 4, 4, 2\)"),
        (np.zeros((2, 4, 4, 1), int), {}, "got int64"),
        (np.zeros((2, 4, 4)), {}, r"float64 \(2, 4, 4\)"),
        (np.full((2, 1, 4, 4), np.nan), {}, "32 of 32 values are not finite"),
        (pixels(0, 4, 4, 1), {}, "no images to draw"),
        (pixels(2, 4, 4, 1), {"columns": 0}, "columns 0"),
        (pixels(2, 4, 4, 1), {"scale": 0}, "scale 0"),
        (pixels(2, 4, 4, 1), {"padding": -1}, "padding -1"),
    ],
)
def test_bad_images(images, options, message):
    with pytest.raises(ValueError, match=message):
        viz.image_grid(images, **options)


def test_unwritable_place_is_named(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*missing.grid\.png"):
        viz.save_grid(tmp_path / "missing" / "grid.png", pixels(1, 2, 2, 1))


# Animations


def grey(level: int, width: int = 40) -> np.ndarray:
    return np.full((20, width, 1), level, np.uint8)


def read_gif(path) -> list[tuple[int, int, tuple[int, int]]]:
    """Grey level of the top left corner, milliseconds, and size of each frame."""
    with Image.open(path) as gif:
        frames = []
        for k in range(gif.n_frames):
            gif.seek(k)
            corner = gif.convert("RGB").getpixel((0, 0))[0]
            frames.append((corner, gif.info["duration"], gif.size))
        assert gif.info["loop"] == 0
    return frames


def test_gif_of_a_run_folder_is_in_the_order_of_training(tmp_path):
    for name, level in {
        "fakes000900.png": 90,
        "fakes_init.png": 10,
        "fakes1000000.png": 200,
        "fakes000050.png": 50,
        "reals.png": 255,
        "fakes.png": 255,
    }.items():
        Image.fromarray(grey(level)[..., 0]).save(tmp_path / name)
    frames = viz.run_frames(tmp_path)
    assert list(frames) == ["start", "step 50", "step 900", "step 1000000"]
    viz.save_gif(tmp_path / "training.gif", frames, ms=100, last_ms=700)
    entries = read_gif(tmp_path / "training.gif")
    assert [level for level, _, _ in entries] == pytest.approx([10, 50, 90, 200], abs=2)
    assert [ms for _, ms, _ in entries] == [100, 100, 100, 700]


def test_gif_keeps_first_and_last_of_many_and_stays_small(tmp_path):
    frames = [grey(level, width=1000) for level in range(0, 250)]
    viz.save_gif(tmp_path / "a.gif", frames, most=25, width=300)
    entries = read_gif(tmp_path / "a.gif")
    levels = [level for level, _, _ in entries]
    assert len(entries) == 25 and levels[0] <= 2 and levels[-1] >= 247
    assert np.diff(levels).min() >= 8 and np.diff(levels).max() <= 13
    assert {size for _, _, size in entries} == {(250, 5)}
    assert (tmp_path / "a.gif").stat().st_size < 20_000


def test_gif_in_colour_and_of_one_frame(tmp_path):
    viz.save_gif(tmp_path / "a.gif", [pixels(8, 8, 3)])
    assert len(read_gif(tmp_path / "a.gif")) == 1
    with pytest.raises(ValueError, match="no frames"):
        viz.save_gif(tmp_path / "b.gif", [])


# Axes


def test_every_picture_names_its_axes(tmp_path):
    """Curves of a run and of points, the plane with its landscape, and the bench's bars."""
    from minigan.bench.report import chart
    from minigan.gan.toy import ToyTrainer, options_for
    from minigan.gan.toy import viz as toyviz

    with named_axes() as figures:
        viz.plot_curves(tmp_path / "curves.png", wgan_rows(9), {"d_loss": "a", "g_loss": "b"}, "a run")
        rows = [{"step": k, "high_quality": 0.5, "mode_share": 0.5, "d_loss": 1.0, "g_loss": 1.0} for k in range(4)]
        toyviz.save_curves(tmp_path / "toy.png", rows, "points", {}, "two-sided")
        for trick in ("plain", "minibatch"):
            trainer = ToyTrainer(options_for("ring", "gan", trick, width=4, depth=1, batch_size=4))
            toyviz.save_picture(tmp_path / f"{trick}.png", trainer, trainer.sample(9), "samples")
        chart(tmp_path / "bench.png", {"step": {"minigan": {"ms": 1.0}, "jax": {"ms": 2.0}}}, "bench")
    assert len(figures) == 5


# Strips


def test_a_strip_shows_the_lecture_s_rounds_and_the_last():
    """100, 1k, 2k, 5k, ...: the nearest picture by ratio, each once, in order, up to where the run went."""
    frames = {"start": "a", **{f"step {n}": str(n) for n in (100, 250, 750, 1000, 1250, 2000, 4750, 5250, 6000)}}
    assert viz.strip_rows(frames) == {f"step {n}": str(n) for n in (100, 1000, 2000, 5250, 6000)}
    assert list(viz.strip_rows({"step 50": "b", "start": "a"})) == ["step 50"]
    assert viz.strip_rows({"start": "a"}) == {"start": "a"} and viz.strip_rows({}) == {}


@pytest.mark.parametrize("channels", [1, 3])
def test_cells_of_a_grid_are_its_images(tmp_path, channels):
    images = pixels(6, 5, 5, channels)
    viz.save_grid(tmp_path / "grid.png", images, columns=3, scale=2)
    assert np.array_equal(viz.grid_cells(tmp_path / "grid.png", 5), images)
    with pytest.raises(
        ValueError, match=r"grid\.png is no grid of 4 x 4 images at 2 pixels a pixel with 2 between them"
    ):
        viz.grid_cells(tmp_path / "grid.png", 4)


@pytest.mark.parametrize("content", [b"", b"no picture", "half", "broken"])
def test_a_damaged_frame_is_named_with_the_way_out(tmp_path, content):
    path = tmp_path / "fakes000020.png"
    viz.save_grid(path, pixels(6, 8, 8, 1))
    whole = path.read_bytes()
    middle = len(whole) // 2
    damage = {"half": whole[:middle], "broken": whole[:middle] + bytes(9) + whole[middle + 9 :]}
    path.write_bytes(damage.get(content, content))
    for read in (lambda: viz.grid_cells(path, 8), lambda: viz.save_gif(tmp_path / "a.gif", [path])):
        with pytest.raises(ValueError, match=r"fakes000020\.png is no whole PNG picture .*: remove it"):
            read()
    with pytest.raises(FileNotFoundError):
        viz.grid_cells(tmp_path / "absent.png", 8)
    assert not (tmp_path / "a.gif").exists()


# Curves


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that are saved, in order."""
    figures = []
    original = Figure.savefig

    def savefig(self, *args, **kwargs):
        figures.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def wgan_rows(count: int) -> list[dict]:
    keys = ("critic_estimate", "gradient_norm", "d_loss", "g_loss")
    return [{"step": k, **{key: k + n for n, key in enumerate(keys)}} for k in range(count)]


def words(axis) -> str:
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    return " | ".join([axis.get_title(loc="left"), axis.get_ylabel(), *legend])


def test_wgan_curves_name_their_signs(tmp_path, drawn):
    formulas = {"d_loss": "E[D(fake)] − E[D(real)]", "g_loss": "−E[D(fake)]"}
    viz.plot_curves(tmp_path / "curves.png", wgan_rows(60), formulas, "wgan-gp on digits")
    (figure,) = drawn
    estimate, norm, losses = figure.axes
    assert "E[D(real)] − E[D(fake)]" in words(estimate) and "Wasserstein" in words(estimate)
    assert "‖∇D‖" in words(norm) and "where the penalty looks" in words(norm)
    assert "D minimises E[D(fake)] − E[D(real)]" in words(losses)
    assert "G minimises −E[D(fake)]" in words(losses)
    assert losses.get_xlabel().startswith("generator step")
    assert figure.get_suptitle() == "wgan-gp on digits"
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width > 800


@pytest.mark.parametrize("extra", [{"penalty": 0.1}, {"d_objective": 3.0}, {"penalty": 0.1, "d_objective": 3.0}])
def test_a_loss_without_its_penalty_is_not_called_what_d_minimises(tmp_path, drawn, extra):
    """Also of a run from before the objective was kept; G's loss, which is whole, is what G minimises."""
    formulas = {"d_loss": "E[D(fake)] − E[D(real)]", "g_loss": "−E[D(fake)]"}
    viz.plot_curves(tmp_path / "curves.png", [row | extra for row in wgan_rows(9)], formulas)
    said = words(drawn[0].axes[-1])
    assert "D, without its further terms: E[D(fake)] − E[D(real)]" in said and "G minimises −E[D(fake)]" in said
    assert ("D minimises in all" in said) == ("d_objective" in extra) and "D minimises E" not in said


def test_only_measured_panels_are_drawn(tmp_path, drawn):
    rows = [{"step": k, "d_real": 0.7, "d_fake": 0.3, "d_loss": 1.0} for k in range(5)]
    viz.plot_curves(tmp_path / "curves.png", rows)
    mean, losses = drawn[0].axes
    assert words(mean).startswith("Mean D ") and "| mean D |" in words(mean)
    assert "probability" not in words(mean) and "σ" not in words(mean)  # least squares has the output itself
    assert "| G" not in words(losses)
    with pytest.raises(ValueError, match="nothing to draw"):
        viz.plot_curves(tmp_path / "b.png", [{"step": 1, "seconds": 2.0}])
    with pytest.raises(ValueError, match="nothing to draw"):
        viz.plot_curves(tmp_path / "b.png", [])


def test_a_long_title_lies_within_its_picture(tmp_path, drawn):
    from minigan.gan.toy import ToyTrainer, options_for
    from minigan.gan.toy.viz import save_picture

    title = "gan on folder:/" + "a long path/" * 20 + "x" * 150
    viz.plot_curves(tmp_path / "curves.png", wgan_rows(2), title=title)
    trainer = ToyTrainer(options_for("ring", "gan", "minibatch", width=4, depth=1, batch_size=4))
    save_picture(tmp_path / "points.png", trainer, trainer.sample(9), title)
    assert len(drawn) == 2 and all(f._suptitle.get_window_extent().x1 <= f.bbox.width for f in drawn)


@pytest.mark.parametrize("count", [1, 2])
def test_a_curve_of_one_row_is_a_point(tmp_path, drawn, count):
    viz.plot_curves(tmp_path / "curves.png", wgan_rows(count))
    assert {axis.get_lines()[1].get_marker() for axis in drawn[0].axes} == {"o" if count == 1 else ""}


def test_lines_are_the_measurements_with_gaps(tmp_path, drawn):
    rows = wgan_rows(50)
    rows[7]["d_loss"] = float("inf")
    del rows[8]["d_loss"]
    viz.plot_curves(tmp_path / "curves.png", rows)
    line = drawn[0].axes[2].get_lines()[0]
    expected = np.arange(50) + 2.0
    expected[7:9] = np.nan
    np.testing.assert_array_equal(line.get_xdata(), np.arange(50))
    np.testing.assert_array_equal(line.get_ydata(), expected)


def test_rows_without_any_finite_value_still_draw(tmp_path, drawn):
    viz.plot_curves(tmp_path / "curves.png", [{"step": 1, "d_loss": float("nan"), "g_loss": 1.0}])
    assert len(drawn[0].axes[0].get_lines()) == 2


@given(st.lists(st.floats(-100, 100) | st.just(np.nan), max_size=30), st.integers(0, 6))
def test_running_mean(values, reach):
    values = np.array(values, float)
    mean = viz.running_mean(values, reach)
    for k, value in enumerate(values):
        near = min(k, reach)
        window = values[k - near : k + near + 1]
        expected = np.nan if np.isnan(value) else np.nanmean(window)
        np.testing.assert_allclose(mean[k], expected, rtol=0, atol=1e-10)


def test_plotting_leaves_no_global_state(tmp_path):
    code = (
        "import sys; from minigan import viz;"
        "assert not {'PIL', 'matplotlib'} & set(sys.modules);"
        "viz.plot_curves(sys.argv[1], [{'step': 1, 'd_loss': 2.0}]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "curves.png"], check=True)


# Data sheets


def test_sheet_of_digits_has_a_row_of_each_class(tmp_path):
    digits = data.load("digits")
    rows = viz.pictures._sheet_rows(digits, 7)
    assert list(rows) == list("0123456789")
    for value, index in enumerate(rows.values()):
        assert len(set(index)) == 7 and (digits.labels[index] == value).all()
    viz.save_data_sheet(tmp_path / "sheet.png", digits, columns=7, scale=1)
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture)
    assert np.array_equal(sheet, viz.data_sheet(digits, columns=7, scale=1))
    # The first image of the second row of ten: a row is 28 pixels and 4 below it, the last ends 8 above the edge.
    image = digits.images[rows["1"][0]].repeat(3, axis=2)
    row = sheet[len(sheet) - 8 - 9 * 32 :][:28]
    assert sum(np.array_equal(row[:, x : x + 28], image) for x in range(row.shape[1] - 28)) == 1


def _sheet_of(folder, names):
    """A sheet of a folder of images of noise, as large as the least that are read, by these names."""
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(noise).save(folder / name)
    dataset = data.load(f"folder:{folder},size=16")
    return dataset, viz.data_sheet(dataset, columns=5, scale=1)


def test_sheet_of_images_without_classes_shows_them(tmp_path):
    dataset, sheet = _sheet_of(tmp_path, [f"{k}.png" for k in range(7)])
    cells = np.lib.stride_tricks.sliding_window_view(sheet, (16, 16, 3))[:, :, 0]
    assert [int((cells == image).all((-1, -2, -3)).sum()) for image in dataset.images] == [1] * 7


def test_curves_end_where_the_run_ends(tmp_path, monkeypatch):
    """Bands of normal runs that go on do not stretch the axis."""
    limits = []
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *_, **__: limits.extend((*a.get_xlim(), *a.get_ylim()) for a in self.axes)
    )
    band = (np.arange(0, 3001, 25), np.zeros(121), np.linspace(1, 100, 121))
    for steps in ((25, 50, 75), (25,)):
        rows = [{"step": step, "d_loss": 1.0, "g_loss": 0.5} for step in steps]
        viz.plot_curves(tmp_path / "curves.png", rows, bands={"d_loss": band})
    assert limits[0][:2] == pytest.approx((24.5, 75.5)) and limits[1][0] < 25 < limits[1][1] < 30
    assert all(top < 5 for *_, top in limits)


def test_a_title_is_no_mathematics(tmp_path):
    """A folder of the user's may have dollars in its name."""
    rows = [{"step": 25, "d_loss": 1.0, "g_loss": 0.5}]
    viz.plot_curves(tmp_path / "curves.png", rows, title="folder:pr$x^$eis, dcgan")
    assert (tmp_path / "curves.png").exists()


def test_few_rows_are_not_smoothed_and_bands_are_named_once(tmp_path, monkeypatch):
    """The bold curve of a short run is what was measured: the verdict on its bands goes by that."""
    axes = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: axes.extend(self.axes))
    rows = [{"step": 25 * k, "d_loss": 1.0 / k, "g_loss": 0.5} for k in range(1, 11)]
    band = ([25, 50], [0.0, 0.0], [1.0, 1.0])
    viz.plot_curves(tmp_path / "curves.png", rows, bands={"d_loss": band, "g_loss": band})
    bold = next(line for line in axes[0].lines if line.get_linewidth() == 1.8)
    np.testing.assert_allclose(bold.get_ydata(), [1 / k for k in range(1, 11)])
    assert [text.get_text() for text in axes[0].get_legend().get_texts()].count("normal runs") == 1


def _boxes(monkeypatch):
    """The boxes in which the texts of a sheet lie, in order, filled as it is drawn."""
    boxes, draw = [], ImageDraw.ImageDraw.text

    def text(self, place, words, fill=None, font=None, anchor=None, **options):
        boxes.append(self.textbbox(place, words, font, anchor))
        draw(self, place, words, fill, font, anchor, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return boxes


def test_texts_of_a_sheet_lie_within_it_and_apart(tmp_path, monkeypatch):
    boxes = _boxes(monkeypatch)
    folder = tmp_path / "a folder by a name of many words " / ("x" * 90)
    _, sheet = _sheet_of(folder, [f"{c * 70}/{k}.png" for c in "abü" for k in range(2)])
    assert len(boxes) == 2 + 3
    assert min(b[0] for b in boxes) >= 0 and max(b[2] for b in boxes) <= sheet.shape[1] and boxes[-1][3] <= len(sheet)
    assert all(below[1] >= above[3] for above, below in itertools.pairwise(boxes))


def test_letters_beyond_ascii_are_drawn():
    font = viz.pictures._font(13)
    box = bytes(font.getmask("\ue000"))  # what stands for a letter that the font lacks
    assert all(bytes(font.getmask(letter)) != box for letter in "äöüßéŁжλ−²")


def test_a_sheet_says_how_many_images_are_held_out(monkeypatch):
    lines = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, place, text, *_, **__: lines.append(text))
    digits = data.load("digits")
    viz.data_sheet(digits, columns=1, scale=1)
    assert any(f"{len(digits.train):,} train, {len(digits.held_out):,} held out" in line for line in lines)


def test_sheet_of_avatars_shows_each_attribute():
    avatars = data.load("avatars")
    rows = viz.pictures._sheet_rows(avatars, 16)
    assert list(rows) == list(avatars.info.attributes)
    for column, (name, index) in enumerate(rows.items()):
        values = avatars.attributes[index, column]
        many = len(avatars.info.attributes[name])
        expected = [1] * 16 if many == 2 else np.arange(16) * many // 16
        assert values.tolist() == list(expected) and len(set(index)) == 16
    assert viz.data_sheet(avatars, columns=16).shape[2] == 3


def test_the_panel_of_slopes_says_where_and_to_what(monkeypatch, tmp_path):
    """By the penalty of the run; the others pull to 0, at the real images or at the samples."""
    legends = []
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *_, **__: legends.extend([t.get_text() for t in a.get_legend().get_texts()] for a in self.axes),
    )
    rows = [{"step": step, "gradient_norm": 0.5} for step in (25, 50)]
    for row in PENALTIES.values():
        panels = viz.with_target(viz.PANELS, "gradient_norm", row.place, row.target)
        viz.plot_curves(tmp_path / "curves.png", rows, panels=panels)
    viz.plot_curves(tmp_path / "curves.png", rows)
    assert legends == [
        ["between reals and fakes", "target 1"],
        ["between reals and fakes", "target 1"],
        ["between reals and fakes", "target 0"],
        ["at reals", "target 0"],
        ["at fakes", "target 0"],
        ["at reals and at fakes", "target 0"],
        ["where the penalty looks"],
    ]
