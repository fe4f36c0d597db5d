"""A run in the terminal: its curves, its pictures in every way to show them, what it says of itself; runs compared."""

import base64
import io
import json
import os
import pty
import struct
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan import viz
from minigan.cli import main
from minigan.gan.status import Status
from minigan.report import compare
from minigan.watch import graphics, pixels, screen, snapshot
from minigan.watch.chart import chart


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def run_folder(folder, rows, steps=100, figures=None, **options):
    """A run's folder as the rows of its figures make it, with one grid of samples."""
    folder.mkdir(parents=True)
    record = {"system": "lsgan", "data": "digits", "steps": steps, "size": 8, "seed": 0, **options}
    (folder / "training_options.json").write_text(json.dumps(record))
    (folder / "stats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), np.uint8)
    viz.save_grid(folder / "fakes000050.png", images, scale=2)
    if figures:
        (folder / "metric-classifier.jsonl").write_text(json.dumps({"step": steps, "results": figures}) + "\n")
    return folder


def rows(count=4, every=25, slope=-0.01):
    return [{"step": every * k, "seconds": k / 2, "d_loss": 1 + slope * k, "g_loss": k**2} for k in range(1, count + 1)]


def dots(lines):
    """The dots of a chart, (rows, columns), from its characters; the scale at the left is blank."""
    places = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]  # of Unicode's dots 1 to 8
    array = np.zeros((4 * len(lines), 2 * len(lines[0])), bool)
    for y, line in enumerate(lines):
        for x, character in enumerate(line):
            code = ord(character) - 0x2800 if ord(character) >= 0x2800 else 0
            for number, (row, column) in enumerate(places):
                array[4 * y + row, 2 * x + column] = bool(code >> number & 1)
    return array


def test_a_rising_line_is_a_diagonal():
    """From the lower left to the upper right; the scale says from where to where."""
    lines = chart(np.arange(8), np.arange(8), 18, 2)
    assert [line[:2] for line in lines] == ["7 ", "0 "] and {len(line) for line in lines} == {18}
    set_dots = np.argwhere(dots([line[2:] for line in lines]))
    assert set(map(tuple, set_dots[[np.argmin(set_dots[:, 1]), np.argmax(set_dots[:, 1])]])) == {(7, 0), (0, 31)}
    column_means = [set_dots[set_dots[:, 1] == c, 0].mean() for c in range(32)]
    assert np.all(np.diff(column_means) <= 0)


def test_every_column_of_a_curve_has_a_dot_and_a_peak_is_joined():
    """A jump between neighbours is drawn as an upright line; steps without a row are bridged."""
    values = np.tile([0.0, 1.0], 20)
    array = dots([line[2:] for line in chart(np.arange(40), values, 22, 3)])
    assert array.all(0).sum() >= 30
    sparse = dots([line[2:] for line in chart([0, 100], [0, 1], 40, 3)])
    assert sparse.any(0).all()


@pytest.mark.parametrize("values", [[np.nan, 1.0, np.inf, 2.0], [3.0] * 4, [np.nan] * 4, [1e300, -1e300, 0, 1]])
def test_no_value_breaks_a_chart(values):
    lines = chart([1, 2, 3, 4], values, 30, 4)
    assert len(lines) == 4 and {len(line) for line in lines} == {30}


def test_the_first_steps_do_not_flatten_the_rest():
    """One value a hundred times as high as all others lies at the edge, outside the scale."""
    values = np.concatenate([[100.0], np.linspace(0, 1, 99)])
    assert 0.9 < float(chart(np.arange(100), values, 40, 4)[0].split()[0]) <= 1


def test_a_chart_of_wrong_sizes_is_refused():
    with pytest.raises(ValueError, match="differ"):
        chart([1, 2], [1], 30, 4)
    with pytest.raises(ValueError, match="too few"):
        chart([1], [1], 3, 4)


COLOURED = np.random.default_rng(1).integers(0, 256, (13, 10, 3), np.uint8)


def test_kitty_gets_the_picture_whole():
    """The parts of its text, put together, are a PNG of the same pixels; all but the last say that more comes."""
    image = np.random.default_rng(1).integers(0, 256, (80, 90, 3), np.uint8)
    text = pixels.picture(image, "kitty", 80)
    parts = [part.removeprefix("\x1b_G").split(";", 1) for part in text.split("\x1b\\")[:-1]]
    assert len(parts) > 1 and all(len(body) <= 4096 for _, body in parts)
    assert [head[-1] for head, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
    file = io.BytesIO(base64.b64decode("".join(body for _, body in parts)))
    assert np.array_equal(np.asarray(Image.open(file)), image)


def painted(text, height, width):
    """The pixels (H, W) that a sixel text sets, as numbers of its colours, and the colours in hundredths."""
    body = text.removeprefix("\x1bPq").removesuffix("\x1b\\")
    array, palette, at, x, y, k = np.full((height, width), -1), {}, 0, 0, 0, 0
    while at < len(body):
        c = body[at]
        at += 1
        numbers = ""
        if c in '"#!':
            while body[at] in "0123456789;":
                numbers += body[at]
                at += 1
        if c == "#":
            values = list(map(int, numbers.split(";")))
            k = values[0]
            if len(values) == 5:
                palette[k] = values[2:]
        elif c == "$":
            x = 0
        elif c == "-":
            x, y = 0, y + 6
        elif c != '"':
            count = int(numbers or 1)
            if c == "!":
                c, at = body[at], at + 1
            for row in range(6):
                if (ord(c) - 63) >> row & 1:
                    array[y + row, x : x + count] = k
            x += count
    return array, palette


def test_sixels_paint_every_pixel_in_its_colour():
    """Drawn again by the rules of the terminal: no pixel is left out, none is farther than the palette's rounding."""
    few = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [40, 40, 40]], np.uint8)[
        np.random.default_rng(2).integers(0, 4, (13, 10))
    ]
    array, palette = painted(pixels.picture(few, "sixel", 80), 13, 10)
    assert (array >= 0).all()
    colours = np.array([palette[k] for k in array.ravel()]).reshape(13, 10, 3)
    assert np.abs(colours / 100 - few / 255).max() < 0.02


def test_blocks_hold_two_pixels_each():
    """Upper pixel in front, lower one behind."""
    image = np.array([[[1, 2, 3]], [[4, 5, 6]]], np.uint8)
    assert pixels.picture(image, "blocks", 10) == "\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀\x1b[0m"
    assert pixels.picture(COLOURED, "blocks", 80).count("\n") == 5


def test_characters_go_from_dark_to_bright():
    image = np.repeat(np.linspace(0, 255, 10).astype(np.uint8)[None], 2, 0)
    assert pixels.picture(image, "characters", 80) == pixels.SHADES
    assert len(pixels.picture(image, "characters", 5)) == 5


def test_other_pictures_are_refused():
    with pytest.raises(ValueError, match=r"expects uint8 .* got float64 \(2, 2, 1\)"):
        pixels.picture(np.zeros((2, 2)), "blocks", 8)
    with pytest.raises(ValueError, match="no way 'paint'"):
        pixels.picture(COLOURED, "paint", 8)


@pytest.mark.parametrize(
    ("environment", "answer", "way"),
    [
        ({"TERM": "xterm-kitty"}, None, "kitty"),
        ({"TERM_PROGRAM": "WezTerm"}, None, "kitty"),
        ({"TERM": "xterm"}, b"\x1b[?62;4;6c", "sixel"),
        ({"COLORTERM": "truecolor"}, b"\x1b[?62;22c", "blocks"),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, b"\x1b[?62c", "characters"),
        ({"TERM": "xterm"}, None, "characters"),
    ],
)
def test_the_terminal_is_asked_what_it_can(environment, answer, way, monkeypatch):
    """By its name, or by the attributes that it answers with; one that is silent is waited for only a moment."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "r+b", buffering=0) as raw, io.TextIOWrapper(io.FileIO(os.dup(slave), "w")) as out:
        monkeypatch.setattr("sys.stdin", raw)
        monkeypatch.setattr("sys.stdout", out)
        terminal = threading.Thread(target=lambda: os.read(master, 9) == b"\x1b[c" and os.write(master, answer))
        if answer:
            terminal.start()
        assert graphics(environment) == way
        if answer:
            terminal.join()
    os.close(master)


def test_what_is_no_terminal_gets_characters():
    assert graphics({"TERM": "xterm-kitty"}) == "characters"


def test_a_screen_says_how_far_the_run_is(tmp_path):
    """Time a step from the last rows, and what is left by it."""
    folder = run_folder(tmp_path / "run", rows(2))
    text = screen(snapshot(folder), 100, 40, "characters")
    assert "step 50 of 100, 1 s, 20.0 ms a step, about 1 s left" in text
    assert "D's loss: 0.98" in text and "samples, step 50" in text and "done" not in text
    assert "stopped?" not in text
    os.utime(folder / "stats.jsonl", (time.time() - 90, time.time() - 90))
    assert "silent for 1 min 30 s: stopped?" in screen(snapshot(folder), 100, 40, "none")
    assert "samples" not in screen(snapshot(folder), 100, 40, "none")


def test_the_time_of_a_step_is_that_of_the_last_rows(tmp_path):
    """Ten rows of 25 steps a second, after one of a hundred seconds."""
    lines = [{"step": 25 * k, "seconds": 100.0 + k, "d_loss": 1.0} for k in range(1, 12)]
    folder = run_folder(tmp_path / "run", [{"step": 1, "seconds": 0.0, "d_loss": 1.0}, *lines], steps=400)
    assert "40.0 ms a step, about 5 s left" in screen(snapshot(folder), 100, 40, "none")


def test_a_quick_run_may_be_silent_for_ten_seconds(tmp_path):
    """At 20 ms a step it is silent for half a second between two rows."""
    folder = run_folder(tmp_path / "run", rows(2))
    for seconds, silent in ((6, False), (12, True)):
        os.utime(folder / "stats.jsonl", (time.time() - seconds, time.time() - seconds))
        assert ("stopped?" in screen(snapshot(folder), 100, 40, "none")) == silent


def test_a_run_is_as_far_as_the_newer_of_its_rows_and_its_status(tmp_path):
    look = snapshot(run_folder(tmp_path / "run", rows(2)))
    numbers = {"seconds": 1.0, "seconds_per_step": 0.0, "checkpoint": 0, "pid": 1, "clock": 0.0, "when": 0.0, "turn": 1}
    for step, newer in ((40, 50), (60, 60)):
        status = Status("training", step, 100, trouble="", host="other", boot="", **numbers)
        assert replace(look, status=status).step == newer


def test_a_run_that_has_ended_is_done(tmp_path):
    text = screen(snapshot(run_folder(tmp_path / "run", rows(4))), 100, 40, "none")
    assert ", done" in text and "left" not in text


def test_a_run_that_its_stop_rule_ended_has_ended(tmp_path):
    """Before the last of its steps: two looks in a row without a smaller held-out distance."""
    folder = run_folder(tmp_path / "run", rows(3), stop_when=2)
    for number, distance in enumerate((9.0, 4.0, 5.0, 4.5)):
        assert not snapshot(folder).ended
        with open(folder / "held_out.jsonl", "a") as file:
            file.write(json.dumps({"step": 25 * number, "frechet": distance}) + "\n")
    assert snapshot(folder).ended and "ended by its stop rule" in screen(snapshot(folder), 100, 40, "none")


def test_what_strangers_wrote_gives_the_terminal_no_commands(tmp_path):
    """A run's folder may come from anywhere."""
    folder = run_folder(tmp_path / "run", rows(1), system="\x1b[2Jwgan")
    assert "\x1b" not in screen(snapshot(folder), 100, 40, "characters")


@pytest.mark.parametrize("size", [(20, 10), (60, 24), (100, 40), (300, 100)])
def test_a_screen_fits(size, tmp_path):
    """Into the terminal's width and height, pictures of characters and all."""
    folder = run_folder(tmp_path / "run", rows(4))
    lines = screen(snapshot(folder), *size, "characters").splitlines()
    assert max(map(len, lines)) <= size[0] and len(lines) <= max(size[1], 24)


def test_a_run_without_rows_and_with_half_written_ones(tmp_path):
    """Just begun; and a row of which only a part is written yet."""
    folder = run_folder(tmp_path / "run", [])
    assert "no row of figures yet" in screen(snapshot(folder), 80, 24, "none")
    with open(folder / "stats.jsonl", "a") as file:
        file.write(json.dumps(rows(1)[0]) + '\n{"step": 50, "sec')
    assert snapshot(folder).step == 25


def test_watch_once_where_the_output_is_no_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "runs" / "00000-a", rows(1))
    newest = run_folder(tmp_path / "runs" / "00001-b", rows(2))
    for path in (tmp_path / "runs" / "00000-a").iterdir():
        os.utime(path, (1, 1))
    result = call("watch", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["run"] == f"runs/{newest.name}" and figures["step"] == 50 and not figures["done"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["watch", "nowhere"], "nowhere is no run folder"),
        (["watch"], "no run in runs"),
        (["watch", "bad"], "is damaged"),
        (["compare", "one"], "at least two run folders"),
        (["compare", "one", "./one"], "at least two run folders"),
        (["compare", "one", "empty"], None),
        (["compare", "empty", "other"], "no run has a figure yet"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "one", rows(2))
    run_folder(tmp_path / "empty", [])
    run_folder(tmp_path / "other", [])
    (run_folder(tmp_path / "bad", []) / "training_options.json").write_text('{"steps": -3}')
    result = call(*words)
    assert (result.exit_code == 0) == (says is None), result.output
    assert says is None or says in result.output.splitlines()[-1]


def test_compared_runs_are_told_apart(tmp_path, monkeypatch):
    """What differs in the options, and the figures of each; what is the same is left out, a figure one has not is a
    dash."""
    monkeypatch.chdir(tmp_path)
    a = run_folder(tmp_path / "a", rows(2), figures={"frechet": 3.25, "confident": 0.5}, lr=1e-3, beta1=0.5)
    b = run_folder(tmp_path / "b", rows(4), figures={"frechet": 14.0}, lr=2e-4, beta1=0.5, seed=3)
    table = {name: values for name, *values in compare.table([a, b])}
    assert table["lr"] == ["0.001", "0.0002"] and table["seed"] == ["0", "3"] and "beta1" not in table
    assert table["steps done"] == ["50", "100"] and table["frechet"] == ["3.25", "14"]
    assert table["confident"] == ["0.5", "-"]
    result = call("compare", a, b)
    assert result.exit_code == 0 and Image.open("compare.png").format == "PNG"
    assert call("compare", a, b, "-o", "c.jpg").exit_code == 0 and Image.open("c.jpg").format == "JPEG"


def test_compared_runs_whose_folders_have_one_name(tmp_path, monkeypatch):
    """They are told apart by their paths; the current folder and one named twice are runs like others."""
    monkeypatch.chdir(tmp_path)
    folders = [run_folder(tmp_path / name / "run", rows(2)).relative_to(tmp_path) for name in "ab"]
    assert compare.table(folders)[0] == ("run", "a/run", "b/run")
    monkeypatch.chdir(folders[0])
    other = run_folder(tmp_path / "c", rows(2))
    result = call("compare", ".", other, other, "--json")
    assert json.loads(result.output.splitlines()[-1])["rows"][0] == ["run", "run", "c"]


@pytest.mark.parametrize("name", ["$x^$", "x"])
def test_a_comparison_takes_any_name_and_a_damaged_picture(name, tmp_path):
    """A name is no formula; a picture that cannot be read is left out, the curves stay."""
    a, b = (run_folder(tmp_path / word, rows(2)) for word in ("a", name))
    path = b / "fakes000050.png"
    path.write_bytes(path.read_bytes()[:-200])
    result = call("compare", a, b, "-o", tmp_path / "c.png")
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "c.png").format == "PNG"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--resume", "r", "--dry-run"], "leave out: dry_run"),
        (["--resume", "r", "--fast-dev-run"], "leave out: fast_dev_run"),
        (["--fast-sum", "--steps", "1"], "add --ranks"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words, says):
    """Above all --dry-run, which promises that nothing is trained."""
    result = call("train", *words)
    assert result.exit_code == 2 and says in result.output


def test_many_rows_are_read_in_linear_time(tmp_path):
    """Rows that go back to an earlier step replace what came after it; 30,000 are read within seconds."""
    folder = run_folder(
        tmp_path / "run", [{"step": k, "seconds": k / 9} for k in (*range(30_000), *range(20_000, 25_000))]
    )
    start = time.perf_counter()
    assert [row["step"] for row in snapshot(folder).rows] == list(range(25_000))
    assert time.perf_counter() - start < 10


def events(folder):
    """(tag, step) of all values in the event files, and the steps that are withdrawn: length, check sum, body, check
    sum, again and again."""
    event = pytest.importorskip("tensorboardX.proto.event_pb2").Event
    found = []
    for path in sorted(folder.glob("events*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            one = event.FromString(data[12 : 12 + length])
            found += [(value.tag, one.step, value) for value in one.summary.value]
            if one.WhichOneof("what") == "session_log":
                found.append(("withdrawn from", one.step, None))
            data = data[16 + length :]
    return found


def test_tensorboard_gets_what_the_folder_gets(tmp_path, monkeypatch):
    """Each figure of each row, the pictures; a run that goes on withdraws what came after its checkpoint."""
    pytest.importorskip("tensorboardX")
    monkeypatch.chdir(tmp_path)
    small = ["--batch-size", "4", "--base", "2", "--latent", "4", "--data", "avatars", "--size", "16"]
    assert call("train", "lsgan", "--steps", "2", "--out", "r", "--log", "tensorboard", *small).exit_code == 0
    row = json.loads((tmp_path / "r" / "stats.jsonl").read_text().splitlines()[-1])
    told = {(tag, step): value for tag, step, value in events(tmp_path / "r" / "tensorboard")}
    for name, value in row.items():
        if name != "step":
            assert told[f"training/{name}", 2].simple_value == pytest.approx(value, rel=1e-6)
    assert ("samples", 0) in told and ("samples", 2) in told
    assert call("train", "--resume", "r", "--steps", "3", "--log", "tensorboard").exit_code == 0
    assert ("withdrawn from", 3) in [(tag, step) for tag, step, _ in events(tmp_path / "r" / "tensorboard")]


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minigan.cli.train.find_spec", lambda name: None)
    result = call("train", "--steps", "2", "--log", "tensorboard")
    assert result.exit_code == 1 and 'pip install "minigan[tensorboard]"' in result.output
    assert not (tmp_path / "runs").exists()
