"""Pictures of images: grids of samples, a data set's sheet, an animation.

Images come as uint8 (N, H, W, C) or (N, H, W), or as floats (N, C, H, W) in [-1, 1]; C is 1 or 3.
Pixels are enlarged to whole blocks, never blurred. Every file is written atomically.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minigan._files import atomic_write
from minigan.data import Dataset, to_uint8

from .curves import FAINT, INK

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""The endings of pictures that are written, and what they stand for."""

ROUNDS = (100, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
"""The generator steps that a strip of samples shows."""


def image_grid(
    images: np.ndarray, columns: int | None = None, scale: int = 1, padding: int = 2, fill: int = 96
) -> np.ndarray:
    """One uint8 picture (height, width, C) of many, row by row; about square by default.

    scale     enlarges each pixel to scale x scale
    padding   pixels of grey level `fill` around and between the (enlarged) images
    """
    images = _as_uint8(images)
    n, h, w, c = images.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else min(columns, n)
    if min(columns, scale) < 1 or padding < 0:
        raise ValueError(
            f"image_grid: columns {columns} and scale {scale} must be at least 1, padding {padding} at least 0"
        )
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    h, w = h * scale, w * scale
    rows = math.ceil(n / columns)
    height, width = rows * (h + padding) + padding, columns * (w + padding) + padding
    grid = np.full((height, width, c), fill, np.uint8)
    for k, image in enumerate(images):
        y, x = padding + k // columns * (h + padding), padding + k % columns * (w + padding)
        grid[y : y + h, x : x + w] = image
    return grid


def save_grid(
    path: str | os.PathLike,
    images: np.ndarray,
    columns: int | None = None,
    scale: int = 1,
    padding: int = 2,
) -> None:
    """Write `image_grid` of the images, in the format of the ending (FORMATS)."""
    _save(path, to_picture(image_grid(images, columns, scale, padding)))


def grid_png(images: np.ndarray, scale: int = 1) -> bytes:
    """The PNG file that `save_grid` would write."""
    return _encoded("PNG", to_picture(image_grid(images, scale=scale)))


def save_grids(path: str | os.PathLike, grids: Mapping[str, np.ndarray], scale: int = 2) -> None:
    """Write grids one below the other, in the format of the ending: title -> images (rows, columns, C, H, W), floats in
    [-1, 1], or (rows, columns, H, W, C), uint8.

    Raises ValueError where there are none.
    """
    from PIL import Image, ImageDraw

    if not grids:
        raise ValueError(f"save_grids: there are no grids for {path}")
    pictures = {
        title: to_picture(image_grid(g.reshape(-1, *g.shape[2:]), g.shape[1], scale)) for title, g in grids.items()
    }
    font, line = _font(13), 22
    width = max(*(p.width for p in pictures.values()), *(math.ceil(font.getlength(t)) + 8 for t in pictures))
    sheet = Image.new("RGB", (width, sum(p.height + line for p in pictures.values())), "white")
    draw, y = ImageDraw.Draw(sheet), 0
    for title, picture in pictures.items():
        draw.text((4, y + 3), title, INK, font)
        sheet.paste(picture, (0, y + line))
        y += picture.height + line
    _save(path, sheet)


def run_frames(folder: str | os.PathLike) -> dict[str, Path]:
    """The sample grids of a run folder in the order of training: caption -> PNG file.

    fakes_init.png comes first ("start"), then fakes000123.png ("step 123") by step.
    """
    folder = Path(folder)
    first = folder / "fakes_init.png"
    matches = [(re.fullmatch(r"fakes(\d+)\.png", path.name), path) for path in folder.iterdir()]
    steps = sorted((int(match[1]), path) for match, path in matches if match)
    return ({"start": first} if first.exists() else {}) | {f"step {n}": p for n, p in steps}


def strip_rows(frames: Mapping[str, Path]) -> dict[str, Path]:
    """The frames of `run_frames` that a strip shows: those nearest, in ratio, to the steps of ROUNDS that the run
    reached, and the last; each once, in order. Without steps, all of them."""
    steps = {int(caption.split()[1]): caption for caption in frames if caption.startswith("step ")}
    if not steps:
        return dict(frames)
    last = max(steps)
    wanted = [min(steps, key=lambda n: abs(math.log(max(n, 1) / k))) for k in ROUNDS if k <= last]
    return {steps[n]: frames[steps[n]] for n in sorted({*wanted, last})}


def grid_cells(path: str | os.PathLike, side: int, scale: int = 2, padding: int = 2) -> np.ndarray:
    """The images (N, side, side, C), uint8, of a grid that `save_grid` wrote with these settings, row by row.

    Raises ValueError where the picture is no such grid, or damaged.
    """
    picture = load_png(path)
    array = np.asarray(picture).reshape(picture.height, picture.width, -1)
    step = side * scale + padding
    rows, columns = ((length - padding) // step for length in array.shape[:2])
    if array.shape[:2] != (rows * step + padding, columns * step + padding) or not rows * columns:
        raise ValueError(
            f"{path} is no grid of {side} x {side} images at {scale} pixels a pixel with {padding} between them: it is"
            f" {array.shape[1]} x {array.shape[0]} pixels"
        )
    cells = array[padding:, padding:].reshape(rows, step, columns, step, -1)[:, : side * scale, :, : side * scale]
    return cells[:, ::scale, :, ::scale].swapaxes(1, 2).reshape(rows * columns, side, side, -1)


def load_png(path: str | os.PathLike) -> Image:
    """The picture of a PNG file of a run. Raises ValueError, naming it, where it is damaged or another kind of file."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.load()
            return picture
    except (OSError, SyntaxError) as error:  # Pillow has both for a damaged file
        if not Path(path).is_file():
            raise
        raise ValueError(f"{path} is no whole PNG picture ({error}): remove it, and the others are shown") from None


def save_gif(
    path: str | os.PathLike,
    frames: Mapping[str, str | os.PathLike] | Sequence[str | os.PathLike | np.ndarray],
    ms: int = 120,
    last_ms: int = 2500,
    most: int = 60,
    width: int = 400,
) -> None:
    """An endless animation that pauses on its last frame.

    frames   PNG files or uint8 pictures (H, W, C), or caption -> file as `run_frames` gives them
    ms       how long a frame stays; the last stays `last_ms`
    most     frames kept: evenly spaced, the first and the last among them
    width    wider frames are shrunk to a whole fraction that fits

    Frames are read one at a time, so a long run needs no memory.
    """
    captions = list(frames) if isinstance(frames, Mapping) else [""] * len(frames)
    sources = list(frames.values()) if isinstance(frames, Mapping) else list(frames)
    if not sources:
        raise ValueError(f"save_gif: there are no frames for {path}")
    keep = np.unique(np.linspace(0, len(sources) - 1, min(most, len(sources))).round().astype(int))
    pictures = (_gif_frame(sources[k], captions[k], width) for k in keep)
    file = io.BytesIO()
    next(pictures).save(
        file,
        "GIF",
        save_all=True,
        append_images=pictures,
        duration=[ms] * (len(keep) - 1) + [last_ms],
        loop=0,
    )
    atomic_write(path, file.getvalue())


def data_sheet(dataset: Dataset, columns: int = 12, scale: int | None = None) -> np.ndarray:
    """A labelled uint8 picture (height, width, 3) of samples of a data set.

    One row for each class; or, where a set has attributes, one row for each attribute: images that
    have it, or (more than two values) images that run through its values. Of a set with neither, some rows.
    """
    from PIL import Image, ImageDraw

    info, font = dataset.info, _font(13)
    h, w, _ = info.shape
    scale = scale or max(1, 56 // h)
    split = f"{len(dataset.train):,} train, {len(dataset.held_out):,} held out"
    facts = f"{info.description}\n{h}x{w}, {split}; {info.licence}"
    strips = {
        _wrapped(name, font, LABEL): image_grid(dataset.images[index], columns, scale, padding=4, fill=255)[4:, 4:]
        for name, index in _sheet_rows(dataset, columns).items()
    }
    left = 24 + max(math.ceil(font.getlength(line)) for label in strips for line in label.split("\n"))
    width = max(left + columns * (w * scale + 4) + 8, NARROWEST)
    texts, y = [], 8
    for text, colour, face in ((info.name, INK, _font(20)), (facts, FAINT, font)):
        texts.append(((12, y), _wrapped(text, face, width - 24), colour, face))
        y += _height(texts[-1][1], face) + 6
    places = []
    for label, strip in strips.items():
        places.append(y)
        y += max(len(strip), _height(label, font) + 4)
    sheet = Image.new("RGB", (width, y + 8), "white")
    draw = ImageDraw.Draw(sheet)
    for text in texts:
        draw.text(*text)
    for top, (label, strip) in zip(places, strips.items(), strict=True):
        draw.text((left - 12, top + max(h * scale, _height(label, font)) / 2), label, INK, font, "rm")
        sheet.paste(to_picture(strip), (left, top))
    return np.asarray(sheet)


def save_data_sheet(path: str | os.PathLike, dataset: Dataset, columns: int = 12, scale: int | None = None) -> None:
    """Write `data_sheet`, in the format of the ending."""
    _save(path, to_picture(data_sheet(dataset, columns, scale)))


def _sheet_rows(dataset: Dataset, columns: int) -> dict[str, np.ndarray]:
    """Row label -> the indices of its images, spread evenly over the file; of very many classes some. Images without
    classes and attributes have no label, and fill several lines."""
    rows, names = {}, dataset.class_names
    if dataset.labels is not None:
        for value in _spread(np.arange(len(names)), SHEET_ROWS):
            name = names[value]
            rows[name] = _spread(np.flatnonzero(dataset.labels == value), columns)
    for column, (name, values) in enumerate((dataset.info.attributes or {}).items()):
        numbers = dataset.attributes[:, column]
        order = [1] * columns if len(values) == 2 else np.arange(columns) * len(values) // columns
        picks = {v: _spread(np.flatnonzero(numbers == v), columns) for v in set(order)}
        rows[name] = np.array([picks[v][k] for k, v in enumerate(order) if k < len(picks[v])])
    rows = {name: index for name, index in rows.items() if len(index)}
    return rows or {"": _spread(np.arange(len(dataset.images)), PLAIN_ROWS * columns)}


SHEET_ROWS, PLAIN_ROWS = 40, 6
"""Most rows on a sheet of a data set: of classes; of images without any."""

LABEL, NARROWEST = 220, 480
"""Pixels of a sheet: its widest label, and the narrowest sheet, so that its heading can be read."""


def _font(size: int) -> FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Pillow's own font has no letter beyond ASCII."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def _wrapped(text: str, font: FreeTypeFont, width: float) -> str:
    """The text in lines at most `width` pixels wide, broken between words, or within a word that is wider."""
    lines = []
    for line in text.split("\n"):
        while font.getlength(line) > width:
            most = max(k for k in range(1, len(line)) if k == 1 or font.getlength(line[:k]) <= width)
            cut = max(line.rfind(" ", 0, most + 1), 0) or most
            lines.append(line[:cut])
            line = line[cut:].lstrip()
        lines.append(line)
    return "\n".join(lines)


def _height(text: str, font: FreeTypeFont) -> int:
    """Pixels of the lines of a text, from the top of the first to the end of the last."""
    from PIL import Image, ImageDraw

    return math.ceil(ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text, font)[3])


def _spread(index: np.ndarray, count: int) -> np.ndarray:
    return index[np.linspace(0, len(index), min(count, len(index)), endpoint=False).astype(int)]


def _as_uint8(images: np.ndarray) -> np.ndarray:
    """Images of either kind as uint8 (N, H, W, C)."""
    images = np.asarray(images)
    if np.issubdtype(images.dtype, np.floating):
        images = to_uint8(images)
    elif images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            "expected images as uint8 (N, H, W, C) or float (N, C, H, W) in [-1, 1] with 1 or 3 "
            f"channels, got {images.dtype} {images.shape}"
        )
    if images.size == 0:
        raise ValueError(f"there are no images to draw (shape {images.shape})")
    return images


def to_picture(array: np.ndarray) -> Image:
    """An array as `image_grid` makes it, as a Pillow image."""
    from PIL import Image

    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def picture_format(path: str | os.PathLike) -> str:
    """The format that the ending of a picture's name stands for. Raises ValueError for an ending not in FORMATS."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{path}: pictures are written as {', '.join(FORMATS)}; give it one of these endings")
    return FORMATS[ending]


def _save(path: str | os.PathLike, picture: Image) -> None:
    atomic_write(path, _encoded(picture_format(path), picture))


def _encoded(kind: str, picture: Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **({"optimize": True} if kind == "PNG" else {"quality": 95}))
    return file.getvalue()


def _gif_frame(source: str | os.PathLike | np.ndarray, caption: str, width: int) -> Image:
    """A picture at most `width` wide, a line of text below it, in the few colours of a GIF."""
    from PIL import ImageDraw, ImageFont, ImageOps

    picture = to_picture(source) if isinstance(source, np.ndarray) else load_png(source)
    picture = picture.reduce(math.ceil(picture.width / width))
    if caption:
        picture = ImageOps.expand(picture, (0, 0, 0, 22), fill="white")
        draw = ImageDraw.Draw(picture)
        draw.text((6, picture.height - 11), caption, "black", ImageFont.load_default(14), "lm")
    return picture.quantize(32 if picture.mode == "L" else 256)
