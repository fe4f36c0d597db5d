"""Data sets in the wheel, their one fixed split, and a shuffled loader that resumes at any step.

A `Dataset` keeps its images as they are stored: uint8, (N, H, W, C). A `Loader` hands out what a
network eats: float32 in [-1, 1], (N, C, H, W) as a view of NHWC memory. Batch t is a pure function
of (seed, t): epoch = t // batches per epoch, and the order of an epoch is the counter-based
permutation of (seed, SHUFFLE_STREAM, epoch). Nothing has to be replayed to resume in mid-epoch.
"""

from __future__ import annotations

import difflib
import operator
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minigan import kernels

ASSETS = Path(__file__).parent / "assets"
SHUFFLE_STREAM = 0x64617461  # "data": the random stream of the loader's shuffles


@dataclass(frozen=True)
class Info:
    """What is known of a data set before it is read; one row of the table `DATASETS`.

    `class_names` names the values of `labels`; `attributes` maps the columns of the attribute
    matrix to the names of their values. A set has either, or both. `background` is the grey level
    that pads a smaller image to a larger size. `held_out` images are kept from training.
    """

    name: str
    description: str
    licence: str
    count: int
    shape: tuple[int, int, int]
    held_out: int
    background: int
    class_names: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_NO_YES = ("no", "yes")
_SKIN = "#ffdbac #f5cfa0 #eac393 #e0b687 #cb9e6e #b68655 #a26d3d #8d5524"
_HAIR = "#009bbd #28150a #603015 #603a14 #611c17 #612616 #83623b #91cb15 #a78961 #bd1700 #cab188"

DATASETS: dict[str, Info] = {
    info.name: info
    for info in (
        Info(
            name="digits",
            description="handwritten digits: the 10,000 images of the MNIST test split",
            licence="CC BY-SA 3.0, Yann LeCun and Corinna Cortes",
            count=10_000,
            shape=(28, 28, 1),
            held_out=1_000,
            background=0,
            class_names=tuple("0123456789"),
        ),
        Info(
            name="avatars",
            description="pixel-art faces drawn by DiceBear, with exact attributes",
            licence="CC0 1.0",
            count=9_000,
            shape=(16, 16, 3),
            held_out=1_000,
            background=255,
            attributes={
                "glasses": _NO_YES,
                "beard": _NO_YES,
                "hat": _NO_YES,
                "long_hair": _NO_YES,
                "smile": _NO_YES,
                "skin": tuple(_SKIN.split()),
                "hair": tuple(_HAIR.split()),
            },
        ),
    )
}


@dataclass(frozen=True)
class Dataset:
    """Images and what is known of each.

    images (N, H, W, C) uint8; labels (N,) int64 or None; attributes (N, A) int64 or None, one
    column for each entry of `info.attributes`; train and held_out: sorted int64 indices that
    together name every image once.
    """

    info: Info
    images: np.ndarray
    labels: np.ndarray | None
    attributes: np.ndarray | None
    train: np.ndarray
    held_out: np.ndarray

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


def info(name: str) -> Info:
    """The table row of a data set; ValueError names the known sets and the nearest match."""
    if name in DATASETS:
        return DATASETS[name]
    near = difflib.get_close_matches(str(name), DATASETS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown data set {name!r}{hint} (known sets: {', '.join(DATASETS)})")


def load(name: str) -> Dataset:
    """Read a data set by name. Its split is the same for every user, GAN or classifier."""
    row = info(name)
    path = ASSETS / f"{row.name}.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        images = arrays["images"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"data set {name!r}: cannot read {path} ({error}); reinstall minigan") from error
    labels = arrays["labels"].astype(np.int64) if "labels" in arrays else None
    attributes = arrays["attributes"].astype(np.int64) if "attributes" in arrays else None
    train, held_out = split(len(images), row.held_out, labels)
    return Dataset(row, images, labels, attributes, train, held_out)


def split(count: int, held_out: int, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Hold out every k-th image, k = count // held_out, counted class by class.

    Stratified without a random number: each class gives its share to within one image, and early
    and late images of the file give alike. Returns sorted (train, held_out) indices.
    """
    order = np.arange(count) if labels is None else np.argsort(labels, kind="stable")
    every = count // held_out
    kept = np.sort(order[every - 1 :: every][:held_out])
    return np.setdiff1d(np.arange(count), kept), kept


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
        raise ValueError(f"resize: images {h}x{w} are larger than size {size}; choose size >= {max(h, w)}")
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
        self.background = 0
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
            raise ValueError(f"Loader: batch size {batch_size} must be at least 1 and at most the {count} images")
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
