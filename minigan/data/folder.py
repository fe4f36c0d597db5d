"""A user's own images: `folder:PATH`, in one of the formats of pixels.py, sub-folders as classes.

    folder:PATH[,size=64][,fit=crop|pad|stretch][,grey][,flip]

Each image becomes size x size by Lanczos: `crop` cuts the middle square, `pad` adds a border of the background,
`stretch` ignores the proportions. `flip` adds the mirror image of each training image. Sub-folders called trainA,
trainB, testA, testB (CycleGAN) or train and test hold the published split; otherwise every tenth image of a class, at
least one, is held out. What cannot be used is skipped, with its name and the reason in `Images.notes`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from .._terminal import printable
from .pixels import decode

SIZES = (8, 16, 32, 64, 128, 256, 512)
FITS = ("crop", "pad", "stretch")
SPLITS = {"train": False, "test": True, "val": True, "valid": True, "validation": True}


@dataclass(frozen=True)
class Spec:
    """How the images of a folder are read; `size` None leaves the choice to the caller."""

    path: Path
    size: int | None = None
    fit: str = "crop"
    grey: bool = False
    flip: bool = False


@dataclass(frozen=True)
class Images:
    """images (N, S, S, C) uint8; class names; labels (N,) or None; held_out (N,) bool; notes, a line each."""

    images: np.ndarray
    classes: tuple[str, ...]
    labels: np.ndarray | None
    held_out: np.ndarray
    notes: tuple[str, ...] = field(default=())


PREFIX = "folder:"


def parse(name: str) -> Spec | None:
    """The Spec that folder:PATH,... stands for; None for the name of a data set. Raises ValueError."""
    if not name.startswith(PREFIX):
        return None
    rest, texts = _parts(name)
    options: dict[str, Any] = {}
    for text in reversed(texts):
        key, _, value = text.partition("=")
        options.setdefault("grey" if key == "gray" else key, value or True)
    if not rest:
        raise ValueError("folder: names no folder; write folder:PATH, for example folder:~/pictures,size=64")
    if "size" in options:
        options["size"] = checked_size(options["size"])
    if options.get("fit", "crop") not in FITS:
        raise ValueError(f"folder: fit={options['fit']} is not one of {', '.join(FITS)}")
    return Spec(Path(rest).expanduser(), **options)


def _parts(name: str) -> tuple[str, list[str]]:
    """(PATH, its options as they are written) of folder:PATH,..."""
    rest, texts = name.removeprefix(PREFIX), list[str]()
    while option := re.fullmatch(r"(.*),(size=[^,]*|fit=[^,]*|grey|gray|flip)", rest, re.DOTALL):
        rest = option[1]
        texts.insert(0, option[2])
    return rest, texts


def absolute(name: str) -> str:
    """The name of a data set that means the same from every folder: folder:PATH with an absolute PATH."""
    return name if parse(name) is None else moved(name, _parts(name)[0])


def moved(name: str, to: str | os.PathLike) -> str:
    """folder:PATH,... with the same options and the PATH that lies at `to` now, a path or folder:PATH. Raises
    ValueError where `name` is no folder, or `to` has options of its own."""
    if parse(name) is None:
        raise ValueError(f"the run was trained on {name}; data can only say where the folder of a run lies now")
    options = _parts(name)[1]
    path, others = _parts(os.fspath(to))
    if others and others != options:
        raise ValueError(f"the run was trained on {name}; name only the folder, without {','.join(others)}")
    return ",".join([PREFIX + os.path.abspath(Path(path).expanduser()), *options])


def checked_size(size: int | str) -> int:
    """The size as a number. Raises ValueError unless networks can halve it down to 4."""
    if str(size) not in map(str, SIZES):
        raise ValueError(
            f"size {size} cannot be halved down to 4 x 4, as the networks do; choose one of"
            f" {', '.join(map(str, SIZES))}"
        )
    return int(size)


def read_folder(spec: Spec, default: int = 32) -> Images:
    """The images of a folder. Raises ValueError where there is nothing to train on, naming what was skipped."""
    if not spec.path.is_dir():
        raise ValueError(f"folder: {spec.path} is not a folder{_misspelt(spec.path)}")
    paths, notes = _walk(spec.path)
    files = ((p.relative_to(spec.path).as_posix(), p) for p in paths)
    return read_images(files, spec, default, spec.path, notes)


def _misspelt(path: Path) -> str:
    """More to say of PATH,OPTION that is no folder, where PATH is one: which option is none, and those there are."""
    folder, comma, option = str(path).rpartition(",")
    while comma and not Path(folder).is_dir():
        folder, comma, option = folder.rpartition(",")
    return (
        f", and {option!r} is no option of {folder}; known: size=N, fit={'|'.join(FITS)}, grey, flip" if comma else ""
    )


def _walk(root: Path) -> tuple[list[Path], list[str]]:
    """(all files below root, sorted, also those behind links; a note for each link that leads nowhere or back)."""
    paths, notes = [], []
    for place, folders, names in os.walk(root, followlinks=True):
        folder = Path(place)
        above = {p.resolve() for p in (folder, *folder.parents) if p.is_relative_to(root)}
        for name in (*folders, *names):
            path = folder / name
            title = printable(path.relative_to(root).as_posix())
            if path.is_file():
                paths.append(path)
            elif path.is_symlink() and not path.exists():
                notes.append(f"{title}: skipped, a link that leads nowhere")
            elif path.is_symlink() and path.resolve() in above:
                folders.remove(name)
                notes.append(f"{title}: skipped, a link back to a folder that it lies in")
    return sorted(paths), sorted(notes)


def read_images(
    files: Iterable[tuple[str, Path | bytes]], spec: Spec, default: int, where: object, notes: Iterable[str] = ()
) -> Images:
    """The same for (relative name, path or bytes) pairs, in their order, with notes that there are already. Hidden
    files are left out without a note."""
    size = spec.size or checked_size(default)
    images, places, notes = [], [], list(notes)
    for name, source in files:
        if any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts):
            continue
        try:
            image, remarks = decode(source, size, spec.fit, spec.grey)
        except ValueError as error:
            notes.append(f"{printable(name)}: skipped, {printable(error)}")
            continue
        images.append(image)
        places.append(PurePosixPath(name).parts[:-1])
        notes += [f"{printable(name)}: {remark}" for remark in remarks]
    if not images:
        reasons = "; ".join(notes[:3]) or "it holds no files"
        raise ValueError(f"{where} has no image that can be used ({reasons})")
    classes, labels, held_out = _classes(places, where)
    pixels = np.stack(images)
    if spec.flip:
        train = ~held_out
        pixels = np.concatenate([pixels, pixels[train][:, :, ::-1]])
        labels = None if labels is None else np.concatenate([labels, labels[train]])
        held_out = np.concatenate([held_out, held_out[train]])
    return Images(pixels, classes, labels, held_out, tuple(notes))


def _classes(places: list[tuple[str, ...]], where: object) -> tuple[tuple[str, ...], np.ndarray | None, np.ndarray]:
    """(class names, labels or None, held out) from the folders in which the images lie. Raises ValueError."""
    places = _without_common(places)
    held_out, published = np.zeros(len(places), bool), False
    firsts = {p[0].lower() if p else "" for p in places}
    if firsts <= {"traina", "trainb", "testa", "testb"}:
        held_out = np.array([p[0].lower().startswith("test") for p in places])
        published = bool(held_out.any())
        places = [(p[0][-1].upper(),) for p in places]
    elif firsts <= set(SPLITS) and "train" in firsts and len(firsts) > 1:
        held_out, published = np.array([SPLITS[p[0].lower()] for p in places]), True
        places = [p[1:] for p in places]
    names = sorted({p[0] for p in places if p})
    if names and not all(places):
        loose = sum(not p for p in places)
        raise ValueError(
            f"{where} holds {loose} images beside sub-folders of images ({', '.join(names[:3])}); sub-folders are"
            " classes, so put every image into one, or none"
        )
    labels = np.array([names.index(p[0]) for p in places], np.int64) if names else None
    groups = np.zeros(len(places), np.int64) if labels is None else labels
    for k in range(max(len(names), 1)):
        rows = np.flatnonzero(groups == k)
        title = f"class {names[k]!r} of {where}" if names else str(where)
        if len(rows) < 2:
            raise ValueError(
                f"{title} has 1 image that can be used; one is trained on and one held out, so add more, or remove it"
            )
        if not published:
            share = max(1, len(rows) // 10)
            every = len(rows) // share
            held_out[rows[every - 1 :: every][:share]] = True
        elif held_out[rows].all():
            raise ValueError(f"{title} has no image to train on: all {len(rows)} lie in the test folder")
        elif not held_out[rows].any():
            raise ValueError(f"{title} has no image to judge by: none of its {len(rows)} lies in the test folder")
    return tuple(names), labels, held_out


def _without_common(places: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The folders without the one that all lie in, as archives have it."""
    while all(places) and len({p[0] for p in places}) == 1 and all(len(p) > 1 for p in places):
        places = [p[1:] for p in places]
    return places


def shown(notes: Iterable[str], most: int = 10, where: str = "") -> Iterator[str]:
    """The notes for a person: the first `most`, and how many more. where: all of them are."""
    notes = list(notes)
    yield from notes[:most]
    if len(notes) > most:
        yield f"... and {len(notes) - most} more{where and f', all {where}'}"
