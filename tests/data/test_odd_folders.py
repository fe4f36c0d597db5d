"""Folders of images with links in them, and images of more than 8 bits: what counts as white."""

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigan.data import pixels as data_pixels
from minigan.data.folder import Spec, read_folder
from minigan.data.pixels import decode


def images(folder, count=4):
    folder.mkdir(parents=True)
    for k in range(count):
        Image.fromarray(np.full((9, 9, 3), 40 * k, np.uint8)).save(folder / f"{k}.png")


@pytest.fixture
def linked(tmp_path):
    """set/a with four images; elsewhere with four, not in the set."""
    images(tmp_path / "set" / "a")
    images(tmp_path / "elsewhere")
    return tmp_path


def test_a_class_folder_that_is_a_link_is_followed(linked):
    os.symlink(linked / "elsewhere", linked / "set" / "b")
    read = read_folder(Spec(linked / "set"))
    assert (read.classes, len(read.images), read.notes) == (("a", "b"), 8, ())


def test_links_to_files_and_links_in_links_are_followed(linked):
    images(linked / "third")
    os.symlink(linked / "third", linked / "elsewhere" / "more")
    os.symlink(linked / "elsewhere", linked / "set" / "b")
    os.symlink(linked / "third" / "0.png", linked / "set" / "a" / "one.png")
    read = read_folder(Spec(linked / "set"))
    assert (read.classes, len(read.images)) == (("a", "b"), 4 + 1 + 8)


@pytest.mark.parametrize("target", ["set", "set/a", "."])
def test_a_link_back_is_named_and_ends(linked, target):
    os.symlink(linked / target, linked / "set" / "a" / "back")
    read = read_folder(Spec(linked / "set"))
    assert any("back to a folder that it lies in" in note for note in read.notes)


def test_two_links_to_each_other_end(linked):
    images(linked / "set" / "b")
    os.symlink(linked / "set" / "b", linked / "set" / "a" / "over")
    os.symlink(linked / "set" / "a", linked / "set" / "b" / "over")
    read = read_folder(Spec(linked / "set"))
    assert len(read.images) == 16
    assert len(read.notes) == 2


def test_a_link_that_leads_nowhere_is_named(linked):
    os.symlink(linked / "gone", linked / "set" / "b")
    read = read_folder(Spec(linked / "set"))
    assert read.notes == ("b: skipped, a link that leads nowhere",)


def tiff(levels, bits, photometric: int = 1):
    """An uncompressed TIFF of one channel of so many bits (TIFF 6.0, section 2; rows padded to whole bytes)."""
    height, width = levels.shape
    if bits == 12:
        rows = [
            int("".join(f"{v:012b}" for v in row).ljust(-(-12 * width // 8) * 8, "0"), 2).to_bytes(-(-12 * width // 8))
            for row in levels
        ]
        data = b"".join(rows)
    else:
        data = levels.astype(f"<u{bits // 8}").tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 0), (277, 1), (278, height)]
    tags += [(279, len(data)), (339, 1)]
    at = 8 + 2 + 12 * len(tags) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, at if tag == 273 else value) for tag, value in tags]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + b"\0\0\0\0" + data


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (12, 4095), (16, 65535), (32, 255), (32, 65535)])
@pytest.mark.parametrize("width", [16, 17])
def test_white_is_the_brightest_level_of_the_bits(bits, white, width):
    """A ramp from black to white comes out as one, within half a level, whatever the bits it was stored in."""
    ramp = np.linspace(0, 1, 16 * width).reshape(16, width)
    source = tiff(np.rint(ramp * white).astype(np.int64), bits)
    pixels, remarks = decode(source, 16, "stretch", grey=True)
    expected, _ = decode(tiff(np.rint(ramp * 255).astype(np.int64), 8), 16, "stretch", grey=True)
    assert abs(pixels.astype(int) - expected).max() <= 1
    assert pixels.max() == 255
    assert bool(remarks) == (bits > 8)


def test_where_zero_is_white_levels_are_turned_over():
    """As of 8 bits, where Pillow does it; of 12 it reads none of these."""
    ramp = np.rint(np.linspace(0, 65535, 256).reshape(16, 16)).astype(np.int64)
    black_is_zero, white_is_zero = (
        decode(tiff(ramp, 16, photometric), 16, "stretch", grey=True)[0].astype(int) for photometric in (1, 0)
    )
    assert black_is_zero[0, 0] == 0 and white_is_zero[0, 0] == 255
    assert abs(white_is_zero - (255 - black_is_zero)).max() <= 1


@pytest.mark.parametrize("shape", [(4, 400), (400, 4), (4, 256)])
def test_a_thin_image_on_a_page_keeps_a_line(shape):
    path = io.BytesIO()
    Image.fromarray(np.zeros(shape, np.uint8)).save(path, "PNG")
    pixels, _ = decode(path.getvalue(), 32, "pad", grey=True)
    assert (pixels < 128).sum() == 32


def test_pngs_of_16_bits_keep_their_white(tmp_path):
    """A dark one stays dark: 255 of 65535 is nearly black."""
    for white, brightest in ((65535, 255), (255, 1)):
        path = tmp_path / f"{white}.png"
        Image.fromarray(np.full((16, 16), white, np.uint16)).save(path)
        assert decode(path, 16, grey=True)[0].max() == brightest


@pytest.mark.parametrize(
    "error", [ValueError("odd"), KeyError("tag"), ZeroDivisionError(), AttributeError("x"), RecursionError("deep")]
)
def test_whatever_a_decoder_raises_is_a_named_skip(tmp_path, monkeypatch, error):
    """In a folder and in `translate`; a stop by the user is none of its."""
    images(tmp_path / "set")
    original = Image.Image.resize

    def resize(self, *args, **settings):
        if getattr(self, "width", 0) == 11:
            raise error
        return original(self, *args, **settings)

    Image.fromarray(np.zeros((11, 11, 3), np.uint8)).save(tmp_path / "set" / "z.png")
    monkeypatch.setattr(Image.Image, "resize", resize)
    read = read_folder(Spec(tmp_path / "set"))
    assert len(read.images) == 4 and len(read.notes) == 1
    assert read.notes[0].startswith("z.png: skipped, broken: ") and read.notes[0] != "z.png: skipped, broken: "
    from minigan.cli.translate import _read

    usable, _, refusals = _read((tmp_path / "set" / "0.png", tmp_path / "set" / "z.png"), 16, "crop", False)
    assert len(usable) == 1 and list(refusals) == [str(tmp_path / "set" / "z.png")]

    def stop(self, *args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "resize", stop)
    with pytest.raises(KeyboardInterrupt):
        decode(tmp_path / "set" / "0.png", 16)


MODES = {
    "1": lambda a: Image.fromarray(a[..., 0]).convert("1"),
    "L": lambda a: Image.fromarray(a[..., 0]),
    "LA": lambda a: Image.fromarray(a).convert("LA"),
    "P": lambda a: Image.fromarray(a[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE),
    "RGB": lambda a: Image.fromarray(a[..., :3]),
    "RGBA": lambda a: Image.fromarray(a),
    "I;16": lambda a: Image.fromarray(a[..., 0].astype(np.uint16) * 257),
}


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("mode", MODES)
def test_bands_change_nothing(tmp_path, monkeypatch, mode, fit):
    """Pixels are converted a band at a time: of any height, to the same image, turned as its EXIF says."""
    pixels = np.random.default_rng(0).integers(0, 256, (37, 61, 4), np.uint8)
    exif = Image.Exif()
    exif[0x112] = 6
    MODES[mode](pixels).save(tmp_path / "x.png", exif=exif)
    results = []
    for band in (1, 61 * 5, 1 << 20):
        monkeypatch.setattr(data_pixels, "BAND", band)
        results.append([decode(tmp_path / "x.png", 16, fit, grey)[0] for grey in (False, True)])
    assert results[0][0].shape == (16, 16, 3) and results[0][1].shape == (16, 16, 1)
    for other in results[1:]:
        assert all((a == b).all() for a, b in zip(results[0], other, strict=True))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("mode", ["RGBA", "I;16", "L"])
def test_memory_is_a_small_multiple_of_an_image(tmp_path, mode):
    """16 million pixels, in a process of its own: at most three times what they take in Pillow, and 60 MB of bands."""
    side = 4096
    Image.new(mode, (side, side), 7 if mode != "RGBA" else (1, 2, 3, 4)).save(tmp_path / "big.png", compress_level=1)
    code = (
        "import re, sys, pathlib; from minigan.data.pixels import decode; from PIL import Image, ImageOps\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "before = peak(); decode(pathlib.Path(sys.argv[1]), 32); print(peak() - before)"
    )
    root = Path(data_pixels.__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big.png")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    assert float(process.stdout) < 3 * side**2 * {"RGBA": 4, "I;16": 2, "L": 1}[mode] / 2**20 + 60
