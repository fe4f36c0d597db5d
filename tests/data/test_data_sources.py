"""Every set is found in each of its places and forms, its digests are checked, and hostile archives are refused."""

import gzip
import hashlib
import io
import os
import pickle
import shutil
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from minigan import data
from minigan.data import archives, download
from minigan.data import sources as data_sources
from minigan.data.sets import DATASETS, IDX_NAMES, File
from minigan.torture.web import Server

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No place at hand holds anything, and the cache is a new folder."""
    monkeypatch.setattr(data_sources, "cache_folder", lambda: tmp_path / "cache/data")
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setattr(data_sources, "SYSTEM", (tmp_path / "system",))


@pytest.fixture
def parts() -> list[bytes]:
    """The four idx files of a small set of 40 + 20 images."""
    arrays = []
    for count in (40, 20):
        arrays += [RNG.integers(0, 256, (count, 28, 28), np.uint8), (np.arange(count) % 10).astype(np.uint8)]
    return [archives.idx_bytes(a) for a in arrays]


@pytest.fixture
def small(parts, monkeypatch) -> tuple[File, ...]:
    """mnist, with the digests of the small set."""
    files = tuple(
        replace(f, sha256=hashlib.sha256(p).hexdigest()) for f, p in zip(DATASETS["mnist"].files, parts, strict=True)
    )
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], files=files))
    return files


def write_idx(folder, parts, compress: bool = True) -> None:
    folder.mkdir(parents=True)
    for name, part in zip(IDX_NAMES, parts, strict=True):
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(part, 1) if compress else part)


def check_small(dataset, parts) -> None:
    assert dataset.images.shape == (60, 28, 28, 1) and list(dataset.held_out) == list(range(40, 60))
    assert dataset.images.tobytes() == parts[0][16:] + parts[2][16:]
    assert (dataset.labels == np.r_[np.arange(40) % 10, np.arange(20) % 10]).all()


def test_the_order_of_places(tmp_path, monkeypatch, small, parts):
    """path, then $MINIGAN_DATA, the cache, a system folder; each is used once those before it are gone."""
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "own"))
    homes = [tmp_path / "own/mnist", tmp_path / "cache/data/mnist", tmp_path / "system/mnist"]
    for k, home in enumerate(homes):
        write_idx(home, parts, compress=k != 1)
    write_idx(tmp_path / "given", parts)
    check_small(data.load("mnist", tmp_path / "given"), parts)
    for home in homes:
        dataset = data.load("mnist", fetch=False)
        assert dataset.where == home
        check_small(dataset, parts)
        shutil.rmtree(home)
    with pytest.raises(data_sources.NotFound, match="minigan data mnist"):
        data.load("mnist", fetch=False)
    with pytest.raises(data_sources.NotFound, match="does not hold data set 'mnist'"):
        data.load("mnist", tmp_path)


def test_forms_of_mnist(tmp_path, small, parts):
    """Keras's npz and torchvision's folder hold the same set; a wrong byte in any form is found."""
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), (archives.idx("", p) for p in parts), strict=True))
    np.savez(tmp_path / "mnist.npz", **arrays)
    write_idx(tmp_path / "torch/MNIST/raw", parts, compress=False)
    check_small(data.load("mnist", tmp_path), parts)
    check_small(data.load("mnist", tmp_path / "mnist.npz"), parts)
    check_small(data.load("mnist", tmp_path / "torch"), parts)
    arrays["x_test"] = 255 - arrays["x_test"]
    np.savez(tmp_path / "mnist.npz", **arrays)
    with pytest.raises(ValueError, match="x_test has sha256"):
        data.load("mnist", tmp_path)
    np.savez(tmp_path / "mnist.npz", np.array([{}], object))
    with pytest.raises(ValueError, match=r"cannot read .*never pickles"):
        data.load("mnist", tmp_path)


def test_idx_files_are_not_taken_for_a_kindred_set(tmp_path, monkeypatch, small, parts):
    """Idx files do not say their set: those lying in $MINIGAN_DATA itself belong to none."""
    write_idx(tmp_path / "own", parts)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "own"))
    with pytest.raises(data_sources.NotFound):
        data.load("mnist", fetch=False)


def test_download_into_the_cache(tmp_path, monkeypatch, small, parts):
    """Four files from the second mirror, verified after decompression; then from the cache; a damaged one again."""
    server = Server()
    try:
        files = []
        for file, part in zip(small, parts, strict=True):
            right, wrong = gzip.compress(part, 1), gzip.compress(part[:-1] + b"?", 1)
            bad = server.url(f"bad-{file.name}", lambda h, p=wrong: h.reply(p))
            files.append(replace(file, urls=(bad, server.url(file.name, lambda h, p=right: h.reply(p)))))
        monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], files=tuple(files)))
        check_small(data.load("mnist"), parts)
        requests = len(server.requests)
        check_small(data.load("mnist"), parts)
        assert requests == len(server.requests) == 8
        (tmp_path / "cache/data/mnist/train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
        check_small(data.load("mnist"), parts)
        assert len(server.requests) == 10
        server.answers.clear()
        server.answers.update(
            dict.fromkeys([f"/{p}{f.name}" for p in ("", "bad-") for f in files], lambda h: h.send_error(404))
        )
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(download.DownloadError, match=r"cannot download train-images.*HTTP 404.*MINIGAN_DATA"):
            data.load("mnist")
    finally:
        server.shutdown()
        server.server_close()


def tar_of(path, files: dict[str, bytes], mode: str = "w:gz", **change) -> None:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in change.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(content))


def batch(count: int, **more) -> bytes:
    rows = {b"data": RNG.integers(0, 256, (count, 3072), np.uint8), b"labels": [int(k) % 10 for k in range(count)]}
    return pickle.dumps(rows | more, protocol=2)


def test_cifar10(tmp_path):
    """From the archive and unpacked: images channel by channel, five batches to train on, one held out."""
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    files = {f"cifar-10-batches-py/{n}": batch(10) for n in names}
    tar_of(tmp_path / "cifar-10-python.tar.gz", files)
    dataset = data.load("cifar10", tmp_path)
    first = pickle.loads(files["cifar-10-batches-py/data_batch_1"])[b"data"]
    assert (dataset.images[:10] == first.reshape(10, 3, 32, 32).transpose(0, 2, 3, 1)).all()
    assert len(dataset.train) == 50 and list(dataset.held_out) == list(range(50, 60))
    (tmp_path / "b/cifar-10-batches-py").mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "b" / name).write_bytes(content)
    again = data.load("cifar10", tmp_path / "b")
    assert (again.images == dataset.images).all() and (again.labels == dataset.labels).all()
    (tmp_path / "b/cifar-10-batches-py/data_batch_3").unlink()
    with pytest.raises(ValueError, match="lacks data_batch_3"):
        data.load("cifar10", tmp_path / "b")


class Evil:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("content", ["evil", "array of objects", "label", "count", "text", "shape"])
def test_hostile_pickles_do_nothing(tmp_path, content):
    pickles = {
        "evil": pickle.dumps({b"data": Evil(tmp_path / "made"), b"labels": []}),
        "array of objects": pickle.dumps({b"data": np.array([Evil(tmp_path / "made")]), b"labels": [0]}),
        "label": batch(2, **{"labels": [0, 77]}),
        "count": batch(3, **{"labels": [0]}),
        "text": b"hello",
        "shape": pickle.dumps({b"data": np.zeros((2, 9), np.uint8), b"labels": [0, 0]}, protocol=2),
    }[content]
    with pytest.raises(archives.ArchiveError, match="not a batch of CIFAR-10"):
        archives.cifar_batch("it", pickles)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:\\x", "..\\x"])
def test_names_that_leave_the_archive(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fine", b"1")
        archive.writestr(name, b"2")
    tar_of(tmp_path / "a.tgz", {name: b"2"})
    for path in ("a.zip", "a.tgz"):
        with pytest.raises(archives.ArchiveError, match="leads out of the archive"):
            list(archives.members(tmp_path / path, 1000))


def test_links_bombs_and_damage(tmp_path):
    """Links are refused; sizes are judged before a byte is decompressed, headers included; damage is named."""
    tar_of(tmp_path / "link.tar", {"x": b""}, "w", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        entry = zipfile.ZipInfo("x")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    for path in ("link.tar", "link.zip"):
        with pytest.raises(archives.ArchiveError, match="is a link"):
            list(archives.members(tmp_path / path, 1000))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(5_000_000))
    tar_of(tmp_path / "bomb.tgz", {"x": bytes(5_000_000)})
    tar_of(tmp_path / "head.tgz", {"x": b""}, pax_headers={"comment": "0" * 5_000_000}, type=tarfile.REGTYPE)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(5_000_000)))
    assert sum(p.stat().st_size for p in tmp_path.glob("bomb*")) < 60_000
    for path in ("bomb.zip", "bomb.tgz", "head.tgz"):
        with pytest.raises(archives.ArchiveError, match="not read"):
            list(archives.members(tmp_path / path, 1_000_000))
    with pytest.raises(archives.ArchiveError, match="not decompressed"):
        archives.contents(tmp_path / "bomb.gz", 1_000_000)
    whole = (tmp_path / "bomb.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "half.tgz").write_bytes((tmp_path / "bomb.tgz").read_bytes()[:2000])
    for path in ("half.zip", "half.tgz"):
        with pytest.raises(archives.ArchiveError, match="damaged"):
            list(archives.members(tmp_path / path, 10_000_000))


@pytest.mark.parametrize("data_", [b"", b"\0\0\x08", b"\0\0\x0d\1\0\0\0\1x", b"\0\0\x08\1\0\0\0\2x", b"\0\0\x08\3\0\0"])
def test_damaged_idx(data_):
    with pytest.raises(archives.ArchiveError, match="file"):
        archives.idx("file", data_)


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 40), (value, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_cyclegan_and_flowers(tmp_path, monkeypatch):
    """A zip and its unpacked folder are the same data set, with the published split and the domains' names."""
    files = {f"horse2zebra/{p}/{k}.png": png(10 * k) for p in ("trainA", "trainB", "testA", "testB") for k in range(3)}
    with zipfile.ZipFile(tmp_path / "horse2zebra.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
            path = tmp_path / "unpacked" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    zipped = data.load("horse2zebra", tmp_path, size=16)
    folder = data.load("horse2zebra", tmp_path / "unpacked", size=16)
    assert (zipped.images == folder.images).all() and (zipped.labels == folder.labels).all()
    assert zipped.class_names == ("horse", "zebra") and len(zipped.held_out) == 6
    assert (zipped.images[zipped.rows("held_out", label="zebra")][:, 0, 0, 0] == [0, 10, 20]).all()
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "unpacked/horse2zebra"))
    with pytest.raises(data_sources.NotFound):  # trainA does not say of which set it is
        data.load("apple2orange", fetch=False)
    with pytest.raises(ValueError, match="halved"):
        data.load("horse2zebra", tmp_path, size=40)
    photos = {f"flower_photos/{c}/{k}.jpg": png(k) for c in DATASETS["flowers"].class_names for k in range(4)}
    tar_of(tmp_path / "flower_photos.tgz", photos | {"flower_photos/LICENSE.txt": b"CC BY"})
    flowers = data.load("flowers", tmp_path, size=16)
    assert flowers.images.shape == (20, 16, 16, 3) and len(flowers.class_names) == 5 and not flowers.notes


def test_celeba_says_what_to_do(tmp_path):
    with pytest.raises(data_sources.NotFound, match=r"img_align_celeba\.zip.*--path FOLDER"):
        data.load("celeba")
    for k in range(12):
        (tmp_path / f"{k}.jpg").write_bytes(png(k))
    assert data.load("celeba", tmp_path, size=16).images.shape == (12, 16, 16, 3)


def test_emoji_pairs_are_true_and_held_out():
    """A pair is the same emoji in both vendors; no emoji of a pair is trained on in any of them."""
    dataset = data.load("emoji")
    count = len(dataset.images) // 2
    assert dataset.pairs.shape == (204, 2) and (dataset.pairs[:, 1] - dataset.pairs[:, 0] == count).all()
    assert not set(dataset.pairs.ravel()) & set(dataset.train)
    assert not set(dataset.pairs[:, 0]) & set(dataset.train % count)
    a, b = (dataset.images[dataset.pairs[:, k]].astype(float) for k in (0, 1))
    true = abs(a - b).mean()
    assert true < 0.93 * abs(a - np.roll(b, 1, axis=0)).mean()  # pairs resemble each other more than others do
    assert sorted(dataset.rows(label="twemoji")) == [n for n in dataset.train if n < count]


def test_an_emoji_file_may_hold_any_vendors_but_not_none(tmp_path):
    rows = {k: np.zeros(10, np.uint8) for k in ("category", "tone")}
    rows |= {"base": np.arange(10).astype(str), "categories": np.array(["Objects"])}
    pixels = np.arange(10 * 32 * 32 * 3).reshape(10, 32, 32, 3).astype(np.uint8)
    np.savez(tmp_path / "emoji32.npz", mine=pixels, yours=255 - pixels, **rows)
    assert data.load("emoji", tmp_path).info.pair_names == ("mine", "yours")
    np.savez(tmp_path / "emoji32.npz", **rows)
    with pytest.raises(ValueError, match=r"emoji32\.npz \(it has no images, but category, tone, base, categories\)"):
        data.load("emoji", tmp_path)


def test_glyph_pairs_are_regular_and_bold():
    dataset = data.load("glyphs")
    regular, bold = dataset.pairs.T
    assert (dataset.labels[regular] == dataset.labels[bold]).all()
    assert (dataset.attributes[regular, 1] == 0).all() and (dataset.attributes[bold, 1] == 1).all()
    assert not dataset.attributes[dataset.pairs, 2].any()
    assert set(dataset.pairs.ravel()) <= set(dataset.held_out)
    ink = dataset.images.astype(float).mean((1, 2, 3))
    assert (ink[bold] > ink[regular]).mean() > 0.95
    with pytest.raises(ValueError, match="'heavy' is not among the values of bold: no, yes"):
        dataset.rows(bold="heavy")


@pytest.mark.skipif(
    "MINIGAN_DATA_CHECK" not in os.environ, reason="set MINIGAN_DATA_CHECK to a folder of the full sets"
)
def test_embedded_sets_are_parts_of_the_full_ones(monkeypatch):
    """Every embedded emoji and glyph is, byte for byte, one of the full set."""
    monkeypatch.setenv("MINIGAN_DATA", os.environ["MINIGAN_DATA_CHECK"])
    for name in ("emoji", "glyphs"):
        full = {i.tobytes() for i in data.load(name).images}
        monkeypatch.setattr(data_sources, "places", lambda row: [])
        assert all(i.tobytes() in full for i in data.load(name).images)
        monkeypatch.undo()
        monkeypatch.setenv("MINIGAN_DATA", os.environ["MINIGAN_DATA_CHECK"])
