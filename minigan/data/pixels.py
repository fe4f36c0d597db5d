"""The pixels of an image file, by Pillow: 8 bits a channel, grey or in colour, with remarks on what was changed.

    8 bits a channel: a palette is read, 16 bits are scaled down, CMYK becomes RGB; the camera's turn is applied
    what lies behind transparency is white; of an animation the first frame is taken

What a file claims is checked before its pixels are decoded, and a band of rows is converted at a time.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST_SIDE = 4
FORMATS = (
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PCX",
    "PNG",
    "PPM",
    "QOI",
    "SGI",
    "TGA",
    "TIFF",
    "WEBP",
)
"""What is opened, by Pillow's names. Never others: for some of them Pillow starts other programs (EPS: Ghostscript)."""

MOST_PIXELS = 1 << 27  # 134 million: an image beyond is taken for a decompression bomb
PIXELS_A_BYTE = (
    10_000  # of a file; a PNG holds 8,256 at most. An image beyond, and of FEW_PIXELS, is a lie or one colour
)
FEW_PIXELS = 1 << 20
BAND = 1 << 20  # pixels that are converted at a time
BITS_PER_SAMPLE, PHOTOMETRIC_INTERPRETATION, WHITE_IS_ZERO = 258, 262, 0  # two tags of TIFF, a value of the second


def decode(source: Path | bytes, size: int, fit: str = "crop", grey: bool = False) -> tuple[np.ndarray, list[str]]:
    """(uint8 (size, size, C), remarks) of one image file, in some two times the memory of its pixels. Raises ValueError
    with the reason why it is of no use."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own remark on large images: the limit here is ours
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats()) as file:
                require_size(file, len(source) if isinstance(source, bytes) else source.stat().st_size)
                frames, mode, cut = getattr(file, "n_frames", 1), file.mode, cut_levels(file)
                file.load()
                scale = ends_of(file)
                ImageOps.exif_transpose(file, in_place=True)
                image, remarks = eight_bit(file, mode, scale, grey)
                remarks += cut
            if fit == "crop":
                image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
            elif fit == "pad":
                thin = -(-max(image.size) // size)  # what becomes a pixel; less than half of it would vanish
                if 2 * size * min(image.size) <= max(image.size):
                    image = image.resize((max(image.width, thin), max(image.height, thin)))
                image = ImageOps.pad(image, (size, size), Image.Resampling.LANCZOS, color="white")
            else:
                image = image.resize((size, size), Image.Resampling.LANCZOS)
            pixels = np.asarray(image.convert("L" if grey else "RGB"), np.uint8)
    except UnidentifiedImageError:
        raise ValueError(f"not an image that is read ({', '.join(formats())})") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"too large to decode: {error}") from error
    except Unusable:
        raise
    except Exception as error:  # a decoder may raise anything at all
        raise ValueError(f"broken: {str(error) or type(error).__name__}") from error
    if frames > 1:
        remarks.append(f"animated, the first of {frames} frames is used")
    return pixels.reshape(size, size, 1 if grey else 3), remarks


class Unusable(ValueError):
    """An image that is whole, and of no use."""


def require_size(file: Image, length: int) -> None:
    """Raises Unusable for an image of too few or too many pixels, `length` being the bytes of its file."""
    width, height = file.size
    if width * height > max(FEW_PIXELS, PIXELS_A_BYTE * length):
        raise Unusable(f"it claims {width}x{height} pixels in {length:,} bytes")
    if width * height > MOST_PIXELS:
        raise Unusable(f"{width}x{height} pixels are more than the {MOST_PIXELS:,} that are decoded")
    if min(width, height) < SMALLEST_SIDE:
        raise Unusable(f"{width}x{height} is smaller than {SMALLEST_SIDE}x{SMALLEST_SIDE}")


@cache
def formats() -> tuple[str, ...]:
    """Those of FORMATS that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def cut_levels(file: Image) -> list[str]:
    """A remark where Pillow will keep but the upper half of each level, which is so for 16 bits a channel in colour or
    with transparency; to be asked before the pixels are read."""
    deep = file.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in getattr(file, "tile", ()))
    return ["16 bits a channel, the upper 8 are used"] if deep else []


def ends_of(file: Image) -> tuple[int, int] | None:
    """The levels that are black and white in an image of one channel of more than 8 bits; None where its file does not
    say."""
    if file.format != "TIFF":
        return 0, 65535  # Pillow scales all others to it
    tags: Any = getattr(file, "tag_v2", {})
    bits = int(tags.get(BITS_PER_SAMPLE, (1,))[0])
    if bits > 16:
        return None
    return (2**bits - 1, 0) if tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO else (0, 2**bits - 1)


def eight_bit(image: Image, mode: str, scale: tuple[int, int] | None, grey: bool) -> tuple[Image, list[str]]:
    """(image of 8 bits a channel, L or RGB, without transparency; remarks); L if it is to be grey, or holds no colours.
    Raises Unusable for numbers without a scale."""
    target = "L" if grey or mode in ("1", "L") else "RGB"
    if mode.startswith("I;16") or mode == "I":
        extremes = [(levels.min(), levels.max()) for levels in map(np.asarray, _bands(image))]
        low, high = min(a for a, _ in extremes), max(b for _, b in extremes)
        if low < 0 or high > 65535:
            raise Unusable("32-bit integers outside 0..65535 have no known white")
        if scale is None:
            scale = 0, 255 if high <= 255 else 65535
            remark = f"32-bit integers, {scale[1]} taken for white"
        else:
            remark = f"{max(scale).bit_length()} bits a pixel, scaled to 8"
        return _by_bands(image, "L", partial(_scaled, *scale)), [remark]
    if mode == "F":
        raise Unusable("floating-point pixels have no known white")
    if mode == "CMYK":
        remark = "CMYK, converted to RGB without its colour profile"
        return _by_bands(image, target, lambda band: band.convert("RGB").convert(target)), [remark]
    if image.has_transparency_data:
        return _by_bands(image, target, lambda band: _on_white(band).convert(target)), []
    if image.mode == target:
        return image, []
    return _by_bands(image, target, lambda band: band.convert(target)), []


def _scaled(black: int, white: int, image: Image) -> Image:
    from PIL.Image import fromarray

    span, levels = abs(white - black), np.abs(np.asarray(image).astype(np.int64) - black)
    return fromarray(((levels * 255 + span // 2) // span).astype(np.uint8))


def _on_white(image: Image) -> Image:
    from PIL.Image import alpha_composite, new

    image = image.convert("RGBA")
    return alpha_composite(new("RGBA", image.size, "white"), image).convert("RGB")


def _bands(image: Image) -> Iterator[Image]:
    """The rows of an image, some at a time."""
    rows = max(1, BAND // image.width)
    return (image.crop((0, top, image.width, min(top + rows, image.height))) for top in range(0, image.height, rows))


def _by_bands(image: Image, mode: str, change: Callable[[Image], Image]) -> Image:
    """The image after a change of each pixel alone, made a band at a time: the rest is held once before and after."""
    from PIL.Image import new

    whole, top = new(mode, image.size), 0
    for band in _bands(image):
        whole.paste(change(band), (0, top))
        top += band.height
    return whole
