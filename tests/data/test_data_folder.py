"""folder:PATH: a user's own images of every kind are read, or skipped or refused with the reason."""

import io
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from minigan import data
from minigan.data import folder as data_folder
from minigan.data import pixels
from minigan.data.picture import read_picture

RNG = np.random.default_rng(5)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


def fill(folder, count: int, side: int = 20, start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(start, start + count):
        Image.fromarray(noise(side, side + 3, 3)).save(folder / f"{k:03}.png")


def test_sub_folders_are_classes(tmp_path):
    """Sorted names; every tenth of each class, at least one, is held out; what is written is what is read."""
    fill(tmp_path / "dog", 20)
    fill(tmp_path / "cat", 5)
    whole = noise(32, 32, 3)
    Image.fromarray(whole).save(tmp_path / "cat" / "whole.png")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.class_names == ("cat", "dog") and dataset.images.shape == (26, 32, 32, 3)
    assert list(np.bincount(dataset.labels[dataset.held_out])) == [1, 2]
    assert sorted([*dataset.train, *dataset.held_out]) == list(range(26))
    assert (dataset.images[5] == whole).all() and dataset.labels[5] == 0
    assert not dataset.notes and dataset.info.count == 26


def test_without_sub_folders_there_are_no_labels(tmp_path):
    fill(tmp_path, 12)
    dataset = data.load(f"folder:{tmp_path},size=16,grey")
    assert dataset.labels is None and dataset.images.shape == (12, 16, 16, 1) and len(dataset.held_out) == 1
    assert data.info(f"folder:{tmp_path},size=16,grey").shape == (16, 16, 1)


def test_flip_mirrors_the_training_images_only(tmp_path):
    fill(tmp_path / "a", 10, 32)
    fill(tmp_path / "b", 10, 32)
    plain, flipped = data.load(f"folder:{tmp_path}"), data.load(f"folder:{tmp_path},flip")
    assert len(flipped.train) == 2 * len(plain.train) and (flipped.held_out == plain.held_out).all()
    mirrored = flipped.images[flipped.train[18:]]
    assert (mirrored == plain.images[plain.train][:, :, ::-1]).all()
    assert (flipped.labels[flipped.train[18:]] == plain.labels[plain.train]).all()


@pytest.mark.parametrize(
    ("fit", "corner", "edge"), [("crop", 10, 10), ("pad", 255, 10), ("stretch", 0, 255)], ids=lambda v: str(v)
)
def test_fits(tmp_path, fit, corner, edge):
    """A wide image, black left and white right of a grey middle: cropped to grey, padded, or squeezed whole."""
    wide = np.full((64, 192, 3), 10, np.uint8)
    wide[:, :64], wide[:, 128:] = 0, 255
    if fit == "pad":
        wide[:] = 10
    for k in range(2):
        Image.fromarray(wide).save(tmp_path / f"{k}.png")
    image = data.load(f"folder:{tmp_path},size=64,fit={fit}").images[0]
    assert image[0, 0, 0] == corner and image[32, 63, 0] == edge


def test_kinds_of_images(tmp_path):
    """16 bits, CMYK, palettes, alpha, animation, rotation by EXIF, names without an ending: right, and said."""
    levels = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    frames = [Image.new("RGB", (32, 32), c) for c in ("lime", "blue", "red")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("P", (32, 32), 3).save(tmp_path / "palette.png")
    turned = Image.fromarray(np.repeat(np.uint8([[[255] * 3] * 32, [[0] * 3] * 32]), 16, axis=0))
    exif = turned.getexif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "turned.webp", lossless=True, exif=exif)
    Image.new("1", (32, 32), 1).save(tmp_path / "bits", "PNG")
    dataset = data.load(f"folder:{tmp_path}")
    names = sorted(p.name for p in tmp_path.iterdir())
    images = dict(zip(names, dataset.images, strict=True))
    expected = np.rint(levels / 257).astype(int)
    assert abs(images["deep.png"][..., 0].astype(int) - expected).max() <= 1
    assert images["print.jpg"][0, 0, 0] > 200 and images["print.jpg"][0, 0, 1] < 60
    assert (images["clear.png"] == 255).all() and (images["bits"] == 255).all()
    assert tuple(images["moving.gif"][0, 0]) == (0, 255, 0)
    assert (images["turned.webp"][0] == 0).all() and (images["turned.webp"][-1] == 255).all()
    notes = "\n".join(dataset.notes)
    assert (
        "deep.png: 16 bits" in notes and "print.jpg: CMYK" in notes and "moving.gif: animated, the first of 3" in notes
    )
    assert len(dataset.notes) == 3


def test_useless_files_are_skipped_by_name(tmp_path, monkeypatch):
    fill(tmp_path, 3)
    whole = (tmp_path / "000.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("hello")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tiff")
    Image.new("1", (700, 700)).save(tmp_path / "huge.png")
    monkeypatch.setattr(pixels, "MOST_PIXELS", 600 * 600)
    dataset = data.load(f"folder:{tmp_path}")
    notes = {n.partition(":")[0]: n for n in dataset.notes}
    assert len(dataset.images) == 3
    reasons = {
        "broken.png": "broken",
        "empty.jpg": "not an image",
        "text.txt": "not an image",
        "dot.png": "1x1 is smaller",
        "float.tiff": "floating-point",
        "huge.png": "700x700 pixels are more",
    }
    assert notes.keys() == reasons.keys()
    assert all(reason in notes[name] and "skipped" in notes[name] for name, reason in reasons.items())
    assert len(list(data.shown(["x"] * 30))) == 11


def test_refused_folders(tmp_path):
    """What leaves nothing to train on is refused, and says what to do."""
    for name, words in {
        "folder:": "names no folder",
        f"folder:{tmp_path}/none": "is not a folder$",
        f"folder:{tmp_path},siz=16": f"'siz=16' is no option of {tmp_path}; known: size=N, fit=.*, grey, flip",
        f"folder:{tmp_path},siz=16,gre,flip": f"'siz=16' is no option of {tmp_path};",
        f"folder:{tmp_path}": "no image that can be used",
        f"folder:{tmp_path},size=48": "halved down to 4 x 4",
        f"folder:{tmp_path},size=x": "halved down to 4 x 4",
        f"folder:{tmp_path},fit=zoom": "crop, pad, stretch",
    }.items():
        with pytest.raises(ValueError, match=words):
            data.load(name)
    fill(tmp_path / "many", 4)
    fill(tmp_path / "single", 1)
    with pytest.raises(ValueError, match=r"class 'single'.*1 image.*add more, or remove it"):
        data.load(f"folder:{tmp_path}")
    fill(tmp_path / "single", 3)
    fill(tmp_path, 2)
    with pytest.raises(ValueError, match="2 images beside sub-folders"):
        data.load(f"folder:{tmp_path}")
    with pytest.raises(ValueError, match="names its own folder"):
        data.load(f"folder:{tmp_path}", path=tmp_path)


def test_a_given_split_is_kept(tmp_path):
    """CycleGAN's four folders, and train and test with classes; a common outer folder does not count."""
    for name, count in {"trainA": 4, "trainB": 5, "testA": 2, "testB": 3}.items():
        fill(tmp_path / "cyc" / "outer" / name, count)
    dataset = data.load(f"folder:{tmp_path / 'cyc'}")
    assert dataset.class_names == ("A", "B")
    assert (len(dataset.rows(label="A")), len(dataset.rows("held_out", label="B"))) == (4, 3)
    for name, count in {"train/x": 3, "train/y": 3, "test/x": 2, "test/y": 1}.items():
        fill(tmp_path / "split" / name, count)
    dataset = data.load(f"folder:{tmp_path / 'split'}")
    assert dataset.class_names == ("x", "y") and len(dataset.held_out) == 3
    shutil.rmtree(tmp_path / "split" / "train" / "x")
    with pytest.raises(ValueError, match=r"'x'.*no image to train on"):
        data.load(f"folder:{tmp_path / 'split'}")
    shutil.rmtree(tmp_path / "split" / "test" / "x")
    fill(tmp_path / "split" / "train" / "x", 3)
    with pytest.raises(ValueError, match=r"'x'.*no image to judge by: none of its 3"):
        data.load(f"folder:{tmp_path / 'split'}")


def test_a_split_in_capitals_is_one(tmp_path):
    for name, count in {"Train/cat": 6, "Train/dog": 6, "Test/cat": 2, "Test/dog": 3}.items():
        fill(tmp_path / "split" / name, count)
    dataset = data.load(f"folder:{tmp_path / 'split'}")
    assert dataset.class_names == ("cat", "dog") and (len(dataset.train), len(dataset.held_out)) == (12, 5)
    for name, count in {"TrainA": 4, "trainB": 5, "TestA": 2, "testb": 1}.items():
        fill(tmp_path / "cyc" / name, count)
    dataset = data.load(f"folder:{tmp_path / 'cyc'}")
    assert dataset.class_names == ("A", "B") and len(dataset.rows("held_out", label="A")) == 2


def test_two_domains_without_test_folders_are_split_as_classes_are(tmp_path):
    for name, count in {"trainA": 4, "trainB": 20}.items():
        fill(tmp_path / name, count)
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.class_names == ("A", "B")
    assert [len(dataset.rows("held_out", label=name)) for name in "AB"] == [1, 2]


def test_names_of_folders(tmp_path):
    """Commas belong to the path unless an option follows; a slug never leaves its folder."""
    spec = data_folder.parse("folder:/a,b,size=64,flip,fit=pad")
    assert str(spec.path) == "/a,b" and spec.size == 64 and spec.flip and spec.fit == "pad" and not spec.grey
    assert data.slug("folder:/x/my pictures!,size=64") == "folder-my_pictures"
    assert data.slug("folder:/") == "folder-images" and data.slug("digits") == "digits"


def test_bytes_and_paths_decode_alike(tmp_path):
    picture = io.BytesIO()
    Image.fromarray(noise(40, 50, 3)).save(picture, "PNG")
    (tmp_path / "x.png").write_bytes(picture.getvalue())
    a, b = pixels.decode(picture.getvalue(), 16), pixels.decode(tmp_path / "x.png", 16)
    assert (a[0] == b[0]).all() and a[1] == b[1] == []


def test_levels_that_lose_their_lower_half_are_said(tmp_path):
    """A PNG of 16 bits a channel in colour, by the PNG specification: signature, IHDR, IDAT, IEND."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for name, colours, channels in (("rgb", 2, 3), ("rgba", 6, 4), ("grey-alpha", 4, 2)):
        rows = b"".join(b"\0" + b"\xab\xcd" * (32 * channels) for _ in range(32))
        header = struct.pack(">IIBBBBB", 32, 32, 16, colours, 0, 0, 0)
        parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
        assert "16 bits a channel, the upper 8 are used" in read_picture(tmp_path / f"{name}.png").remarks
    Image.new("RGB", (32, 32), "red").save(tmp_path / "plain.png")
    assert not read_picture(tmp_path / "plain.png").remarks
    notes = "\n".join(data.load(f"folder:{tmp_path}").notes)
    assert notes.count("16 bits a channel, the upper 8 are used") == 3
