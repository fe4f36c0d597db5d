"""The readers: arrays of images from the files that a data set is published in, or that other packages keep.

A place holds a set in any of the forms below, in the folder itself or in a sub-folder called like the set:
    idx        the four idx files, plain or .gz (also torchvision's MNIST/raw), or NAME.npz with x_train, y_train,
               x_test, y_test (Keras's mnist.npz), or NAME_t10k.npz with x, y
    cifar10    cifar-10-batches-py/ or cifar-10-python.tar.gz         flowers   flowers32.npz, flower_photos/ or .tgz
    emoji      emoji32.npz, emoji64_noto_twemoji.npz                  glyphs    glyphs32.npz
    cyclegan   NAME/ with trainA, trainB, testA, testB, or NAME.zip   celeba    a folder of images
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import archives
from .folder import Spec, read_folder, read_images
from .sets import IDX_NAMES, Info
from .verify import whole_numbers

ASSETS = Path(__file__).parents[1] / "assets"

VENDORS = {
    "noto": "noto: Apache-2.0, Google",
    "twemoji": "twemoji: CC BY 4.0, Twitter and contributors",
    "openmoji": "openmoji: CC BY-SA 4.0, openmoji.org",
    "fluent3d": "fluent3d: MIT, Microsoft",
}


@dataclass(frozen=True)
class Raw:
    """The arrays of a data set: images (N, H, W, C) uint8; labels (N,), attributes (N, A), pairs (P, K) int64 or None.

    held_out (N,) bool is the published split, None where minigan splits. `changes` are what differs from the set's row
    of the table. notes: a line for each image that was skipped or changed. where: the place it was read from.
    """

    images: np.ndarray
    labels: np.ndarray | None
    where: Path
    attributes: np.ndarray | None = None
    held_out: np.ndarray | None = None
    pairs: np.ndarray | None = None
    changes: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def load_npz(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of an npz, among them `names`; never a pickle. Raises ValueError that names the file."""
    hint = "; reinstall minigan" if path.parent == ASSETS else ""
    try:
        arrays = archives.arrays(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path} ({error}){hint}") from error
    absent = [k for k in names if k not in arrays]
    if absent:
        raise ValueError(f"cannot read {path} (it has no array {absent[0]!r}, but {', '.join(arrays)}){hint}")
    return arrays


def _embedded(row: Info, folder: Path, size: int | None, own: bool) -> Raw:
    """digits, avatars: images with labels or attributes, as the package holds them."""
    path = folder / f"{row.name}.npz"
    arrays = load_npz(path, "images")
    columns = {k: whole_numbers(arrays[k]) if k in arrays else None for k in ("labels", "attributes")}
    return Raw(arrays["images"], columns["labels"], path, columns["attributes"])


def _idx(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    """MNIST and its kin."""
    whole, part = folder / f"{row.name}.npz", folder / f"{row.name}_t10k.npz"
    candidates = (next((p for p in (folder / f"{n}.gz", folder / n) if p.is_file()), None) for n in IDX_NAMES)
    paths = [p for p in candidates if p is not None]
    if own and len(paths) == len(IDX_NAMES):
        raw = [archives.contents(p, f.most) for p, f in zip(paths, row.files, strict=True)]
        for path, data, file in zip(paths, raw, row.files, strict=True):
            archives.check_digest(path, data, file.sha256)
        parts = [archives.idx(p, data) for p, data in zip(paths, raw, strict=True)]
    elif whole.is_file():
        paths = [whole] * 4
        arrays = load_npz(whole, *(keys := ("x_train", "y_train", "x_test", "y_test")))
        parts = [arrays[k] for k in keys]
        for array, key, file in zip(parts, keys, row.files, strict=True):
            archives.check_digest(f"{whole}, {key}", archives.idx_bytes(array), file.sha256)
    elif part.is_file():
        arrays = load_npz(part, "x", "y")
        for key, file in zip(("x", "y"), row.files[2:], strict=True):
            archives.check_digest(f"{part}, {key}", archives.idx_bytes(arrays[key]), file.sha256)
        changes = {"description": row.description.split(";")[0] + ": the images of the published test split"}
        return Raw(arrays["x"][..., None], whole_numbers(arrays["y"]), part, changes=changes)
    else:
        return None
    train, train_labels, test, test_labels = parts
    for images, labels, path in ((train, train_labels, paths[0]), (test, test_labels, paths[2])):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(f"{path}: images {images.shape} and labels {labels.shape} do not belong together")
    images = np.concatenate([train, test])[..., None]
    labels = whole_numbers(np.concatenate([train_labels, test_labels]))
    where = folder if paths[0] != paths[1] else whole
    return Raw(images, labels, where, held_out=np.arange(len(images)) >= len(train))


def _cifar10(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    """Six batches, from the archive or unpacked."""
    batches = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    archive, where = folder / row.files[0].name, folder
    if archive.is_file():
        where = archive
        contents = {name.rpartition("/")[2]: data for name, data in archives.members(archive, row.files[0].most)}
    else:
        folders = [f for f in (folder / "cifar-10-batches-py", folder) if (f / "test_batch").is_file()]
        if not folders:
            return None
        where = folders[0]
        contents = {n: archives.contents(where / n, row.files[0].most) for n in batches if (where / n).is_file()}
    absent = [n for n in batches if n not in contents]
    if absent:
        raise ValueError(f"{where} lacks {', '.join(absent)}")
    images, labels = zip(*(archives.cifar_batch(f"{where}, {n}", contents[n]) for n in batches), strict=True)
    held_out = np.repeat([False] * 5 + [True], [len(i) for i in images])
    return Raw(np.concatenate(images), np.concatenate(labels), where, held_out=held_out)


def _emoji(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    """Vendors are classes; every fifth emoji, with all its skin tones, is held out in every vendor as a true pair."""
    large = folder / "emoji64_noto_twemoji.npz"
    names = [large.name] if size is not None and size >= 64 else []
    path = _first(folder, *names, "emoji32.npz", *(["emoji.npz"] if folder == ASSETS else []))
    if path is None:
        return None
    arrays = load_npz(path, "category", "categories", "tone", "base")
    vendors = tuple(k for k, v in arrays.items() if v.ndim == 4)
    if not vendors:
        raise ValueError(f"cannot read {path} (it has no images, but {', '.join(arrays)})")
    images = np.concatenate([arrays[v] for v in vendors])
    kinds, tones = whole_numbers(arrays["category"]), whole_numbers(arrays["tone"])
    attributes = {"category": tuple(str(c) for c in arrays["categories"])}
    columns = [kinds]
    if tones.any():
        attributes["tone"] = ("none", "light", "medium light", "medium", "medium dark", "dark")
        columns.append(tones)
    licences = [VENDORS.get(v, f"{v}: unknown") for v in vendors]
    held_out = _every_fifth(arrays["base"])
    count = len(held_out)
    pairs = np.flatnonzero(held_out)[:, None] + count * np.arange(len(vendors))
    return Raw(
        images,
        np.repeat(np.arange(len(vendors)), count),
        path,
        np.tile(np.stack(columns, 1), (len(vendors), 1)),
        np.tile(held_out, len(vendors)),
        pairs,
        {
            "class_names": vendors,
            "pair_names": vendors,
            "attributes": attributes,
            "licence": "; ".join(licences),
            "description": f"{count} emoji, each drawn by {len(vendors)} vendors; true pairs are held out",
        },
    )


def _glyphs(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    """Characters are classes; every fifth font family is held out, with its pairs of regular and bold."""
    path = _first(folder, "glyphs32.npz", *(["glyphs.npz"] if folder == ASSETS else []))
    if path is None:
        return None
    arrays = load_npz(path, "x", "char", "chars", "font", "font_family", "font_style", "font_bold", "font_italic")
    char, font = whole_numbers(arrays["char"]), whole_numbers(arrays["font"])
    style, bold, italic = (whole_numbers(arrays[f"font_{k}"])[font] for k in ("style", "bold", "italic"))
    families = arrays["font_family"]
    held_out = _every_fifth(families)[font]
    keys = (font, char, bold, italic)
    place = {(str(families[f]), c, b): n for n, (f, c, b, i) in enumerate(zip(*keys, strict=True)) if not i}
    pairs = [(place[f, c, 0], n) for (f, c, b), n in place.items() if b and (f, c, 0) in place and held_out[n]]
    characters = np.unique(char)
    return Raw(
        arrays["x"][..., None],
        np.searchsorted(characters, char),
        path,
        np.stack([style, bold, italic], 1),
        held_out,
        np.array(pairs, np.int64),
        {
            "class_names": tuple(str(arrays["chars"][c]) for c in characters),
            "description": f"{len(characters)} characters in {len(np.unique(font))} fonts, white on black; true pairs"
            " regular to bold are held out",
        },
    )


def _every_fifth(keys: np.ndarray) -> np.ndarray:
    """Which rows belong to every fifth of the distinct keys, counted by first appearance."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse] % 5 == 4


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / n for n in names if (folder / n).is_file()), None)


def _flowers(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    """Five classes from the photographs, or from flowers32.npz at 32 and below."""
    size, prepared = size or row.shape[0], folder / "flowers32.npz"
    photographs = _photographs(row, folder, ("flower_photos", *(f.name for f in row.files)), size, row.class_names)
    if photographs is None and prepared.is_file() and size <= 32:
        arrays = load_npz(prepared, "x", "y", "classes")
        if size == 32:
            return Raw(
                arrays["x"],
                whole_numbers(arrays["y"]),
                prepared,
                changes={"class_names": tuple(map(str, arrays["classes"]))},
            )
        raise ValueError(f"{prepared} holds images of 32x32, not {size}x{size}")
    if photographs is None and (pair := folder / "flowers64_daisy_sunflowers.npz").is_file() and size == 64:
        arrays = load_npz(pair, "x", "y", "classes")
        present, labels = np.unique(arrays["y"], return_inverse=True)
        names = tuple(str(arrays["classes"][k]) for k in present)
        changes = {"class_names": names, "description": f"photographs of {' and '.join(names)}"}
        return Raw(arrays["x"], whole_numbers(labels), pair, changes=changes)
    return photographs


def _cyclegan(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    """Two unpaired domains, A and B, with the published split."""
    split = own and all((folder / n).is_dir() for n in ("trainA", "trainB"))
    return _photographs(row, folder, (".",) if split else (f"{row.name}.zip",), size, ("A", "B"))


def _celeba(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    return _photographs(row, folder, ("img_align_celeba", "."), size, ()) if own else None


def _photographs(
    row: Info, folder: Path, names: tuple[str, ...], size: int | None, classes: tuple[str, ...]
) -> Raw | None:
    """The first of `names` in `folder` that is a folder or an archive of images in these classes."""
    path = next((folder / n for n in names if (folder / n).exists()), None)
    if path is None:
        return None
    spec = Spec(path, size or row.shape[0])
    if path.is_dir():
        content = read_folder(spec)
    else:
        most = next(f.most for f in row.files if f.name == path.name)
        files = ((n, d) for n, d in archives.members(path, most) if not n.endswith(".txt"))
        content = read_images(_in_order(files), spec, row.shape[0], path)
    if content.classes != classes:
        raise ValueError(f"{path} holds the folders {content.classes}, expected {classes}")
    held_out = content.held_out if row.kind == "cyclegan" else None
    return Raw(content.images, content.labels, path, held_out=held_out, notes=content.notes)


def _in_order(files: Iterator[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Sorted by name, as a folder is, so that an archive and its unpacked folder are the same data set."""
    return sorted(files)


Reader = Callable[[Info, Path, int | None, bool], Raw | None]
READERS: dict[str, Reader] = {
    "embedded": _embedded,
    "idx": _idx,
    "cifar10": _cifar10,
    "emoji": _emoji,
    "glyphs": _glyphs,
    "cyclegan": _cyclegan,
    "flowers": _flowers,
    "celeba": _celeba,
}
