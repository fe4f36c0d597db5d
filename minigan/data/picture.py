"""A picture of any size, in any format that minigan reads, as it goes through a network and comes back: its colours,
and its transparency beside them.

    8 bits a channel: a palette is read, 16 bits are scaled down, CMYK becomes RGB; the camera's turn is applied
    grey stays grey; alpha, where there is some, is kept apart and the colours are those under it
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .pixels import Unusable, cut_levels, eight_bit, ends_of, formats, require_size


@dataclass(frozen=True)
class Picture:
    """colours (H, W, 1 or 3) uint8, alpha (H, W) uint8 or None; remarks: what was changed in reading."""

    colours: np.ndarray
    alpha: np.ndarray | None = None
    remarks: tuple[str, ...] = ()

    def encoded(self, kind: str) -> bytes:
        """A file of the picture, kind being Pillow's name of a format; JPEG has no transparency, so there it lies on
        white."""
        from PIL import Image

        image = Image.fromarray(self.colours[..., 0] if self.colours.shape[2] == 1 else self.colours)
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
            if kind == "JPEG":
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        file = io.BytesIO()
        image.save(file, kind)
        return file.getvalue()


def read_picture(path: Path) -> Picture:
    """The picture of a file. Raises ValueError, naming it, for a file that is none, OSError where it cannot be read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not path.is_file():
        raise ValueError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=formats()) as file:
                require_size(file, path.stat().st_size)
                frames, mode, cut = getattr(file, "n_frames", 1), file.mode, cut_levels(file)
                file.load()
                scale = ends_of(file)
                ImageOps.exif_transpose(file, in_place=True)
                alpha = None
                image: Image.Image = file
                if file.has_transparency_data:
                    whole = file.convert("RGBA")
                    alpha = np.asarray(whole.getchannel("A"), np.uint8)
                    image, mode = (
                        (whole.convert("L"), "L") if mode in ("1", "L", "LA") else (whole.convert("RGB"), "RGB")
                    )
                eight, remarks = eight_bit(image, mode, scale, False)
                remarks += cut
                colours = np.asarray(eight.convert("L" if eight.mode == "L" else "RGB"), np.uint8)
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image that is read ({', '.join(formats())})") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: too large to decode: {error}") from error
    except Unusable as error:
        raise ValueError(f"{path}: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path}: broken: {error}") from error
    except Exception as error:  # a decoder may raise anything at all
        raise ValueError(f"{path}: broken: {str(error) or type(error).__name__}") from error
    if frames > 1:
        remarks.append(f"animated, the first of {frames} frames is used")
    return Picture(colours.reshape(*colours.shape[:2], -1), alpha, tuple(remarks))
