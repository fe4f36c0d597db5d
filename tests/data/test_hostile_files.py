"""Files that lie about their size, or are not what their name says: one clear error, in bounded memory.

The memory cases run in one child, which compares the peak of its resident memory before and after.
"""

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigan.data import archives
from minigan.data.pixels import FORMATS, decode
from minigan.gan.toy import data as toydata
from minigan.torture.files import npy, png, zip_of

MIB = 1 << 20
CLAIMED = 96 * MIB


@pytest.fixture
def bombs(tmp_path):
    for name, method in (("deflate", zipfile.ZIP_DEFLATED), ("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)):
        zip_of(tmp_path / f"{name}.zip", "x.npy", bytes(CLAIMED if name == "deflate" else MIB), method, size=10)
    zip_of(tmp_path / "whole.npz", "x.npy", npy((12 * MIB,), data=bytes(CLAIMED)), zipfile.ZIP_DEFLATED)
    zip_of(tmp_path / "header.npz", "x.npy", npy((1 << 40,)), zipfile.ZIP_DEFLATED)
    (tmp_path / "claim.png").write_bytes(png(11585, 11585, bytes(4 * 11585 + 1)))
    (tmp_path / "field.csv").write_text("1,2\n" + "3" * 200_000 + ",4\n")
    return tmp_path


PEAK = """
import sys
from pathlib import Path
from PIL import Image
from minigan.data import archives
from minigan.data.pixels import decode
from minigan.gan.toy import data as toydata
import csv, io
Image.init()
folder = Path(sys.argv[1])
def peak():  # of this process: getrusage takes in the one that it was forked from
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
for name in ("deflate", "bzip2", "lzma"):
    for read in (lambda p: list(archives.members(p, 1_000_000)), lambda p: archives.arrays(p, 1_000_000)):
        try:
            read(folder / f"{name}.zip")
            sys.exit(f"{name} was read")
        except archives.ArchiveError as error:
            print(error)
for path, read in (
    ("whole.npz", lambda p: archives.arrays(p, 1_000_000)), ("header.npz", archives.arrays),
    ("claim.png", lambda p: decode(p, 32)), ("field.csv", toydata.scatter),
):
    try:
        read(folder / path)
        sys.exit(f"{path} was read")
    except ValueError as error:
        print(error)
print("MiB", (peak() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_sizes_that_lie_cost_no_memory(bombs):
    """48 MiB: zipfile decompresses at least 4096 bytes of lzma at a time, which can be 28 MiB."""
    process = subprocess.run([sys.executable, "-c", PEAK, str(bombs)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    *lines, last = process.stdout.splitlines()
    assert len(lines) == 10
    assert int(last.split()[1]) < 48, process.stdout


SQUARE = np.arange(12.0).reshape(6, 2)
MEMBERS = {
    "object array": ("points.npy", npy((1,), "|O", b"\x80\4N."), "never pickles"),
    "no array": ("points.txt", b"1,2", "no array that np.savez writes"),
    "a path": ("../points.npy", npy((6, 2), data=SQUARE.tobytes()), "no array that np.savez writes"),
    "a folder": ("points/", b"", "no array that np.savez writes"),
    "short": (
        "points.npy",
        npy((6, 2), data=SQUARE.tobytes()[:-1]),
        r"announces \(6, 2\) of float64 and holds 95 bytes",
    ),
    "long": ("points.npy", npy((6, 2), data=SQUARE.tobytes() + b"x"), "holds 97 bytes"),
    "negative": ("points.npy", npy((-6, -2), data=SQUARE.tobytes()), "announces"),
    "no tuple": ("points.npy", npy("12", data=SQUARE.tobytes()), "no header of an .npy file"),
    "code": ("points.npy", npy("__import__('os')"), "no header of an .npy file"),
    "nested": ("points.npy", npy("[" * 60 + "]" * 60), "no header of an .npy file"),
    "not finite": ("points.npy", npy((float("inf"),)), "no header of an .npy file"),
    "structured": ("points.npy", npy((6,), [("a", "<f8")]), "is of dtype"),
    "complex": ("points.npy", npy((6, 2), "<c16", bytes(192)), "is of dtype complex128"),
    "empty": ("points.npy", b"", "no header of an .npy file"),
    "magic only": ("points.npy", b"\x93NUMPY\1\0", "no header of an .npy file"),
    "version 9": ("points.npy", b"\x93NUMPY\x09\0" + npy((6, 2))[8:], "no header of an .npy file"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_odd_members_of_an_npz(name, tmp_path):
    member, data, reason = MEMBERS[name]
    zip_of(tmp_path / "x.npz", member, data, zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match=reason) as error:
        toydata.scatter(tmp_path / "x.npz")
    assert "x.npz" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_they_were_written(save, fortran, tmp_path, rng):
    parts = {
        "x": rng.standard_normal((3, 4, 5)),
        "names": np.array(["a", "bcd"]),
        "n": np.array(3),
        "none": np.zeros((0, 2), np.uint8),
    }
    save(tmp_path / "x.npz", **{k: np.asfortranarray(v) if fortran else v for k, v in parts.items()})
    read = archives.arrays(tmp_path / "x.npz")
    assert list(read) == list(parts)
    for name, array in parts.items():
        assert read[name].dtype == array.dtype and read[name].flags.writeable
        np.testing.assert_array_equal(read[name], array)


def test_formats_that_are_not_named_are_not_opened(monkeypatch):
    """EPS and its kin would start Ghostscript; stubs and others know how to read what nobody trains on."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    for data in (
        eps,
        eps.replace(b"%!PS", b"%!PS"),
        b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(eps)) + bytes(20) + eps,
    ):
        with pytest.raises(ValueError, match="not an image that is read"):
            decode(data, 32)
    Image.init()
    assert "EPS" not in FORMATS
    for name in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"):
        file = io.BytesIO()
        Image.fromarray(np.full((9, 9, 3), 7, np.uint8)).save(file, name)
        assert decode(file.getvalue(), 8)[0].shape == (8, 8, 3), name


def test_a_large_image_of_few_bytes_is_refused_and_a_small_one_is_not():
    with pytest.raises(ValueError, match=r"claims 11585x11585 pixels in \d+ bytes"):
        decode(png(11585, 11585, bytes(4 * 11585 + 1)), 32)
    file = io.BytesIO()
    Image.new("1", (1000, 1000), 1).save(file, "PNG")
    assert decode(file.getvalue(), 8)[0].min() == 255


def test_an_error_does_not_quote_a_whole_name(tmp_path):
    """Of a member: up to 65,535 characters, which the library repeats in its own words."""
    path = tmp_path / "long.npz"
    name = "x" * 60_000
    zip_of(path, f"{name}.npy", npy((2,), data=bytes(16)), zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"PK\3\4", b"PK\3\5", 1))
    for read in (lambda: list(archives.members(path, 1 << 20)), lambda: toydata.scatter(path)):
        with pytest.raises(archives.ArchiveError) as told:
            read()
        assert len(str(told.value)) < 500
    zip_of(path, f"{name}.npy", npy((2,), data=bytes(16)), zipfile.ZIP_STORED)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.npy", npy((2,), data=bytes(16)))
    with pytest.raises(ValueError, match="keep one") as told:
        toydata.scatter(path)
    assert len(str(told.value)) < 500
