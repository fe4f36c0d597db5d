"""Data sets by name, their one fixed split, and a shuffled loader that resumes at any step.

A `Dataset` keeps its images as they are stored: uint8, (N, H, W, C). A `Loader` hands out what a
network eats: float32 in [-1, 1], (N, C, H, W) as a view of NHWC memory. Batch t is a pure function
of (seed, t): epoch = t // batches per epoch, and the order of an epoch is the counter-based
permutation of (seed, SHUFFLE_STREAM, epoch). Nothing has to be replayed to resume in mid-epoch.
"""

from __future__ import annotations

import hashlib
import operator
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minigan import kernels

from .._terminal import printable
from . import sources
from .folder import Spec, absolute, moved, parse, shown
from .sets import DATASETS, EMBEDDED, Info, unknown
from .sources import ASSETS
from .stacked import stacks

__all__ = ["ASSETS", "DATASETS", "EMBEDDED", "Dataset", "Info", "Loader"]
__all__ += ["absolute", "info", "load", "moved", "shown", "slug", "split"]
SHUFFLE_STREAM = 0x64617461  # "data": the random stream of the loader's shuffles


@dataclass(frozen=True)
class Dataset:
    """Images and what is known of each.

    images (N, H, W, C) uint8; labels (N,) int64 or None; attributes (N, A) int64 or None, one
    column for each entry of `info.attributes`; train and held_out: sorted int64 indices that
    together name every image once. pairs (P, K) int64 or None: rows of held-out images that show
    the same thing in the K ways of `info.pair_names`. notes: what was skipped or changed, a line
    each. where: the file or folder it was read from.
    """

    info: Info
    images: np.ndarray
    labels: np.ndarray | None
    attributes: np.ndarray | None
    train: np.ndarray
    held_out: np.ndarray
    pairs: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    where: Path | None = None

    def __repr__(self) -> str:
        _, height, width, channels = self.images.shape
        return (
            f"<Dataset {printable(self.name)}: {len(self.images)} images {height}x{width}x{channels},"
            f" {len(self.train)} to train on, {len(self.held_out)} held out>"
        )

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.info.class_names

    @property
    def targets(self) -> np.ndarray | None:
        """What a loader yields beside the images: the labels, or else the attributes."""
        return self.attributes if self.labels is None else self.labels

    def digest(self) -> str:
        """SHA-256 of the images, of what is known of each and of the split: equal only for the same data set."""
        total = hashlib.sha256()
        for name in ("images", "labels", "attributes", "train", "held_out", "pairs"):
            array = getattr(self, name)
            if array is not None:
                total.update(f"{name} {array.dtype} {array.shape}\n".encode())
                total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def half(self, part: str) -> Dataset:
        """The set with one half of its held-out images: "validation", on which settings are chosen, or "test", on
        which figures are reported. Images of one pair are in the same half; pairs, and the other images, are dealt in
        turn, class by class. Raises ValueError for another part."""
        if part not in ("validation", "test"):
            raise ValueError(f"half: part {part!r} is not validation or test")
        pairs = np.empty((0, 1), np.int64) if self.pairs is None else self.pairs
        alone = np.setdiff1d(self.held_out, pairs)
        own, others = (rows[self._dealt(rows[:, 0], part == "test")] for rows in (pairs, alone[:, None]))
        rows = np.sort(np.concatenate([own.ravel(), others.ravel()]))
        return replace(self, held_out=rows, pairs=None if self.pairs is None else own)

    def _dealt(self, rows: np.ndarray, odd: bool) -> np.ndarray:
        """Every other place of `rows`, from the second on if `odd`, counted class by class."""
        order = np.arange(len(rows)) if self.labels is None else np.argsort(self.labels[rows], kind="stable")
        return np.sort(order[odd::2])

    def rows(self, part: str = "train", label: str | None = None, **attributes: str) -> np.ndarray:
        """Indices of the images of a part ("train" or "held_out") with a class name and attribute values.

        So rows(label="twemoji") is one domain of an unpaired translation, rows(bold="yes") another.
        Raises ValueError for names that the set does not know.
        """
        if part not in ("train", "held_out"):
            raise ValueError(f"rows: part {part!r} is not train or held_out")
        index = getattr(self, part)
        if label is not None:
            number = _place(label, self.class_names, f"classes of {self.name!r}")
            assert self.labels is not None  # there are class names
            index = index[self.labels[index] == number]
        for key, value in attributes.items():
            column = _place(key, tuple(self.info.attributes), f"attributes of {self.name!r}")
            number = _place(value, self.info.attributes[key], f"values of {key}")
            assert self.attributes is not None
            index = index[self.attributes[index, column] == number]
        return index


def _place(name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        raise ValueError(f"rows: {name!r} is not among the {what}: {', '.join(names) or 'there are none'}")
    return names.index(name)


def info(name: str, size: int | None = None) -> Info:
    """What is known of a data set before it is read; ValueError names the known sets and the nearest match."""
    return _info(name, parse(str(name)), size)


def _info(name: str, folder: Spec | None, size: int | None) -> Info:
    if folder is not None:
        return sources.folder_row(name, folder, size)
    if name in DATASETS:
        return DATASETS[name]
    raise unknown(name)


def slug(name: str) -> str:
    """The name as a part of file names: folder:PATH becomes folder- and PATH's last part."""
    folder = parse(name)
    if folder is None:
        return name
    last = folder.path.resolve().name
    return "folder-" + (re.sub(r"[^A-Za-z0-9._-]+", "_", last).strip("._") or "images")


def load(name: str, path: str | os.PathLike | None = None, size: int | None = None, fetch: bool = True) -> Dataset:
    """Read a data set by name, or folder:PATH. Its split is the same for every user, GAN or classifier.

    path: where it lies; by default $MINIGAN_DATA, the cache, system folders and the package are searched in this order,
    and it is downloaded otherwise if `fetch`. size: height and width that photographs are read at. Raises ValueError,
    sources.NotFound (a ValueError) and download.DownloadError (an OSError).
    """
    folder = parse(name)
    row = _info(name, folder, size)
    if row.kind == "stacked":
        if path is not None:
            raise ValueError(f"data set {name!r} is made of the digits in the package; leave out path {path}")
        return _stacked(row, load("digits"))
    if folder is not None:
        if path is not None:
            raise ValueError(f"data set {name!r} names its own folder; leave out path {path}")
        raw = sources.folder_set(folder, size)
    else:
        try:
            raw = sources.read(row, path, size, fetch)
        except sources.NotFound:
            raise
        except ValueError as error:
            raise ValueError(f"data set {name!r}: {error}") from error
    images, count = raw.images, len(raw.images)
    if raw.held_out is None:
        share = row.held_out if count == row.count else max(1, count // 10)
        train, held_out = split(count, share, raw.labels)
    else:
        train, held_out = np.flatnonzero(~raw.held_out), np.flatnonzero(raw.held_out)
    row = replace(row, count=count, shape=images.shape[1:], held_out=len(held_out), **(raw.changes or {}))
    return Dataset(row, images, raw.labels, raw.attributes, train, held_out, raw.pairs, raw.notes, raw.where)


def _stacked(row: Info, digits: Dataset) -> Dataset:
    """Stacks of digits (stacked.py), those of training digits first: no image of a held-out digit is trained on."""
    train, held_out = (stacks(rows, k) for k, rows in enumerate((digits.train, digits.held_out)))
    places, count = np.concatenate([train, held_out]), len(train)
    images = np.concatenate([digits.images[channel] for channel in places.T], axis=3)
    assert digits.labels is not None  # digits have classes
    labels = digits.labels[places] @ np.array([100, 10, 1])
    parts = np.arange(count), np.arange(count, len(places))
    row = replace(row, count=len(places), held_out=len(held_out))
    return Dataset(row, images, labels, None, *parts, where=digits.where)


def split(count: int, held_out: int, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Hold out every k-th image, k = count // held_out, counted class by class.

    Stratified without a random number: each class gives its share to within one image, and early
    and late images of the file give alike. Returns sorted (train, held_out) indices. Raises ValueError unless 1 to
    `count` are held out.
    """
    if not 1 <= held_out <= count:
        raise ValueError(f"split: of {count} images, 1 to {count} can be held out, got {held_out}")
    order = np.arange(count) if labels is None else np.argsort(labels, kind="stable")
    indices = np.sort(order[(np.arange(held_out) + 1) * count // held_out - 1])
    return np.setdiff1d(np.arange(count), indices), indices


def evenly_spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the rows, evenly from first to last: of a file in the order of its classes, some of each."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def to_unit(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C) in 0..255 to float32 (N, C, H, W) in [-1, 1], a view of NHWC memory."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"to_unit: expects uint8 images (N, H, W, C), got {images.dtype} {images.shape}")
    scaled = images.astype(np.float32, order="C")
    scaled /= np.float32(127.5)
    scaled -= np.float32(1)
    return scaled.transpose(0, 3, 1, 2)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Floats (N, C, H, W) to uint8 (N, H, W, C): -1 is 0, 1 is 255, rounded, clipped outside."""
    images = np.asarray(images)
    if not np.issubdtype(images.dtype, np.floating) or images.ndim != 4:
        raise ValueError(f"to_uint8: expects float images (N, C, H, W), got {images.dtype} {images.shape}")
    _require_finite("to_uint8", images)
    levels = np.rint((images + 1) * 127.5).clip(0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(0, 2, 3, 1))


def resize(images: np.ndarray, size: int, background: float = 0) -> np.ndarray:
    """(N, H, W, C) to (N, size, size, C) without inventing a grey level.

    Every pixel becomes a block of f x f, f = size // max(H, W) (nearest neighbour); what is still
    missing is a centred border of `background`. So 16 -> 32 doubles and 28 -> 32 pads by two.
    """
    n, h, w, c = images.shape
    factor = size // max(h, w)
    if factor < 1:
        side = max(h, w)
        raise ValueError(
            f"resize: images {h}x{w} are larger than size {size}; choose size >= {side}, of which networks take"
            f" {1 << (side - 1).bit_length()}"
        )
    if factor > 1:
        images = images.repeat(factor, axis=1).repeat(factor, axis=2)
        h, w = h * factor, w * factor
    if h == w == size:
        return images
    y, x = (size - h) // 2, (size - w) // 2
    framed = np.full((n, size, size, c), background, images.dtype)
    framed[:, y : y + h, x : x + w] = images
    return framed


class Loader:
    """Shuffled batches without end: `batch(t)` for any t, or `next(loader)` in order.

    Each batch is a pair: float32 images (B, C, H, W) in [-1, 1] (a view of NHWC memory), and the
    targets of those images, or None where there are none.

    data        a Dataset (its training split is used), an array of images, or (images, targets);
                images are uint8 (N, H, W, C) or (N, H, W), or floats (N, C, H, W) in [-1, 1]
    seed        names the order; the same seed gives the same batches on any machine
    size        height and width of the images handed out (see `resize`); None leaves them
    drop_last   leave out the N mod batch_size last images of each epoch's order, so that all
                batches are of one size
    """

    def __init__(
        self,
        data: Dataset | np.ndarray | tuple[np.ndarray, np.ndarray | None],
        batch_size: int,
        seed: int,
        size: int | None = None,
        drop_last: bool = True,
    ) -> None:
        self.background: float = 0
        if isinstance(data, Dataset):
            self.background = data.info.background
            targets = data.targets
            data = (data.images[data.train], None if targets is None else targets[data.train])
        images, targets = data if isinstance(data, tuple) else (data, None)
        self.images, self.targets = _checked(images, targets)
        if self.images.dtype == np.float32:
            self.background = self.background / 127.5 - 1
        count = len(self.images)
        self.batch_size = operator.index(batch_size)
        self.seed = operator.index(seed)
        self.size = None if size is None else operator.index(size)
        self.step = 0
        if not 1 <= self.batch_size <= count:
            raise ValueError(
                f"Loader: batch size {batch_size} must be at least 1 and at most the {count} images to train on; take"
                f" --batch-size {count} or less"
            )
        self.steps_per_epoch = count // self.batch_size
        if not drop_last and count % self.batch_size:
            self.steps_per_epoch += 1
        self._epoch, self._order = -1, np.empty(0, np.int64)
        if self.size is not None:  # a size that cannot be met fails here, not in training
            resize(self.images[:1], self.size)

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Batch `step` (0, 1, ...): the same for the same seed, whatever was asked before."""
        if step < 0:
            raise ValueError(f"Loader: step {step} is negative")
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = kernels.random.permutation(len(self.images), self.seed, SHUFFLE_STREAM, epoch)
            self._epoch = epoch
        index = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        images = self.images[index]
        if self.size is not None:
            images = resize(images, self.size, self.background)
        images = to_unit(images) if images.dtype == np.uint8 else images.transpose(0, 3, 1, 2)
        return images, None if self.targets is None else self.targets[index]

    def __iter__(self) -> Loader:
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray | None]:
        batch = self.batch(self.step)
        self.step += 1
        return batch

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands, and what its order depends on: small integers, fit for JSON."""
        return {
            "step": self.step,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps_per_epoch,
            "count": len(self.images),
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state` stood; ValueError where this loader's order would be another."""
        mine = self.state_dict()
        if set(state) != set(mine):
            raise ValueError(f"Loader: state has keys {sorted(state)}, expected {sorted(mine)}")
        for key in mine.keys() - {"step"}:
            if state[key] != mine[key]:
                raise ValueError(
                    f"Loader: the saved loader had {key} {state[key]}, this one has {mine[key]}; "
                    "resume with the same data, seed and batch size"
                )
        self.step = operator.index(state["step"])


def _checked(images: np.ndarray, targets: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Images as uint8 or float32 (N, H, W, C), targets as an array of as many rows."""
    images = np.asarray(images)
    if images.dtype == np.uint8 and images.ndim == 3:
        images = images[..., None]
    floating = np.issubdtype(images.dtype, np.floating)
    if images.ndim != 4 or not (floating or images.dtype == np.uint8):
        raise ValueError(
            "Loader: expects images as uint8 (N, H, W, C) or float (N, C, H, W) in [-1, 1], got "
            f"{images.dtype} {images.shape}"
        )
    if images.dtype == np.uint8 and images.shape[3] > 4 >= images.shape[1]:
        raise ValueError(
            f"Loader: uint8 images are (N, H, W, C), got {images.shape}, which has its channels first; pass"
            " images.transpose(0, 2, 3, 1)"
        )
    if images.size == 0:
        raise ValueError(f"Loader: there are no images (shape {images.shape})")
    if floating:
        _require_finite("Loader", images)
        low, high = images.min(), images.max()
        if low < -1 or high > 1:
            raise ValueError(
                f"Loader: float images lie in [{low:g}, {high:g}], expected [-1, 1]; scale them, or pass uint8"
            )
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1), np.float32)
    if targets is not None:
        targets = np.asarray(targets)
        if targets.ndim < 1 or len(targets) != len(images):
            raise ValueError(f"Loader: {len(images)} images but targets of shape {targets.shape}")
    return images, targets


def _require_finite(where: str, images: np.ndarray) -> None:
    finite = np.isfinite(images)
    if not finite.all():
        raise ValueError(f"{where}: {finite.size - finite.sum()} of {finite.size} values are not finite")
