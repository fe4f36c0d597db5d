"""Where a data set is found, by the forms that readers.py knows.

    --path / path=  ->  $MINIGAN_DATA  ->  user cache  ->  system package folders  ->  embedded  ->  download

An explicit path that does not hold the set is an error; the other places are passed over. Published digests are
checked wherever the published bytes can be had, also through an npz.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from . import archives, download
from .folder import Spec, checked_size, read_folder
from .readers import ASSETS, READERS, Raw
from .sets import EMBEDDED, File, Info
from .verify import verify

SYSTEM = (Path("/usr/share/datasets"), Path("/usr/local/share/datasets"), Path("/usr/share"))


class NotFound(ValueError):
    """No place holds the data set, and it is not to be downloaded."""


def cache_folder() -> Path:
    """Where downloads are kept: data/ in $MINIGAN_CACHE, else in $XDG_CACHE_HOME/minigan or ~/.cache/minigan."""
    root = os.environ.get("MINIGAN_CACHE")
    home = Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minigan"
    return home / "data"


def read(row: Info, path: str | os.PathLike | None = None, size: int | None = None, fetch: bool = True) -> Raw:
    """A data set from the first place that holds it.

    size: height and width that photographs are read at; the default is the row's. fetch: download where no place holds
    it. Raises NotFound, DownloadError, ValueError for damaged files and for a path that does not hold the set.
    """
    size = checked_size(size or row.shape[0]) if row.kind in ("cyclegan", "celeba", "flowers") else size
    if path is not None:
        place = Path(path).expanduser()
        raw = _at(row, place, size, own=True)
        if raw is None:
            raise NotFound(f"{place} does not hold data set {row.name!r}: {_expected(row)}")
        return raw
    home = cache_folder() / row.name
    for place in places(row):
        try:
            if place == cache_folder():  # what was downloaded long ago may be damaged since
                for file in row.files:
                    if (home / file.name).is_file():
                        _published(file, home / file.name)
            raw = _at(row, place, size, own=False)
        except ValueError:
            if place == cache_folder() and row.files and fetch:
                break  # a damaged download is fetched again
            raise
        if raw is not None:
            return raw
    if row.name in EMBEDDED:
        return _whole(row, ASSETS, size)
    if row.manual:
        raise NotFound(f"data set {row.name!r} cannot be downloaded by a program: {row.manual}")
    if not fetch:
        folders = ", ".join(str(p) for p in places(row))
        raise NotFound(f"data set {row.name!r} is in none of {folders}; get it with: minigan data {row.name}")
    for file in row.files:
        download.fetch(file.name, file.urls, home, partial(_published, file), most=file.most)
    return _whole(row, home, size)


def _whole(row: Info, folder: Path, size: int | None) -> Raw:
    """The set in a folder that was filled for it. Raises NotFound."""
    raw = _content(row, folder, size, True)
    if raw is None:
        raise NotFound(f"{folder} does not hold data set {row.name!r}: {_expected(row)}")
    return raw


def _content(row: Info, folder: Path, size: int | None, own: bool) -> Raw | None:
    """What the set's reader makes of the folder. Raises ValueError, also where an array is not what it should be."""
    try:
        raw = READERS[row.kind](row, folder, size, own)
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"{folder} holds arrays that do not belong together: {error}") from error
    except ValueError as error:
        raise error if str(folder) in str(error) else ValueError(f"{folder}: {error}") from error
    if raw is not None:
        verify(row, raw)
    return raw


def places(row: Info) -> list[Path]:
    """The folders that are searched, in their order; digits and avatars are only in the package."""
    if row.kind == "embedded":
        return []
    own = [Path(p).expanduser() for p in os.environ.get("MINIGAN_DATA", "").split(os.pathsep) if p]
    return [*own, cache_folder(), *SYSTEM]


def _at(row: Info, place: Path, size: int | None, own: bool) -> Raw | None:
    """The set if `place`, or the sub-folder that is called like the set, holds it.

    own: `place` was named for this very set, so that files which do not say their set (idx, trainA) are taken from it.
    """
    if row.kind == "embedded":
        return None
    if place.is_file():
        raw = _content(row, place.parent, size, True)
        return raw if raw is not None and place in (raw.where, raw.where / place.name) else None
    dashed = row.name.replace("_", "-")
    names = (row.name, dashed, f"dataset-{dashed}", f"{row.name}_t10k", f"{_camel(row.name)}/raw")
    for candidate in (place, *dict.fromkeys(place / n for n in names)):
        mine = own or candidate != place
        if candidate.is_dir() and (raw := _content(row, candidate, size, mine)) is not None:
            return raw
    return None


def _camel(name: str) -> str:
    """torchvision's folder: mnist MNIST, kmnist KMNIST, fashion_mnist FashionMNIST."""
    return name.replace("fashion_", "Fashion").replace("mnist", "MNIST").replace("kMNIST", "KMNIST")


def _expected(row: Info) -> str:
    files = ", ".join(f.name for f in row.files)
    return f"expected its files ({files}) or one of the forms in minigan/data/readers.py" if files else row.description


def _published(file: File, path: Path) -> None:
    """Raises ValueError unless the file has its published digest."""
    if file.md5:
        archives.check_file(path, file.md5, "md5")
    if file.name.endswith(".gz") and not file.name.endswith(".tar.gz"):
        archives.check_digest(path, archives.contents(path, file.most), file.sha256)
    else:
        archives.check_file(path, file.sha256)


def folder_set(spec: Spec, size: int | None = None) -> Raw:
    """The content of a user's folder. Raises ValueError."""
    content = read_folder(spec, size or 32)
    changes = {"class_names": content.classes}
    return Raw(content.images, content.labels, spec.path, None, content.held_out, None, changes, content.notes)


def folder_row(name: str, spec: Spec, size: int | None = None) -> Info:
    """What is known of a user's folder, the data set `name`, before its images are read."""
    side = spec.size or checked_size(size or 32)
    return Info(
        name, f"your images in {spec.path}", "yours", 0, (side, side, 1 if spec.grey else 3), 0, 255, kind="folder"
    )
