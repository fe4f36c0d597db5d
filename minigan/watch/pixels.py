"""Pictures in a terminal, in the best way that it knows.

kitty        PNG bytes in base64, in escape sequences of at most 4,096 characters each (the kitty graphics protocol)
sixel        columns of six pixels, a colour of a palette after the other (DEC VT340)
blocks       "upper half block" in two colours of 24 bits: two pixels a character
characters   two pixels, one above the other, as one of ten characters from dark to bright
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Mapping
from itertools import groupby

import numpy as np

WAYS = ("kitty", "sixel", "blocks", "characters", "none")
SHADES = " .:-=+*#%@"
ASK, ANSWER_BY = "\x1b[c", 0.3
"""Primary device attributes: a terminal that answers with attribute 4 draws sixels; seconds to wait for its answer."""


def graphics(environment: Mapping[str, str] = os.environ) -> str:
    """The way in which this process's terminal shows pictures, one of WAYS. What is no terminal gets characters."""
    if not sys.stdout.isatty():
        return "characters"
    names = " ".join(environment.get(key, "") for key in ("TERM", "TERM_PROGRAM")).lower()
    if "KITTY_WINDOW_ID" in environment or any(name in names for name in ("kitty", "ghostty", "wezterm")):
        return "kitty"
    if sys.stdin.isatty() and "4" in _attributes():
        return "sixel"
    if environment.get("COLORTERM") in ("truecolor", "24bit") and not environment.get("NO_COLOR"):
        return "blocks"
    return "characters"


def picture(image: np.ndarray, way: str, width: int) -> str:
    """The text that shows a picture (H, W) or (H, W, 1 or 3), uint8, at most `width` characters wide where characters
    show it. Raises ValueError for another shape or way."""
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or image.dtype != np.uint8:
        raise ValueError(f"picture: expects uint8 (H, W), (H, W, 1) or (H, W, 3), got {image.dtype} {image.shape}")
    if way not in WAYS:
        raise ValueError(f"picture: no way {way!r} to show one; there are {', '.join(WAYS)}")
    if way in ("kitty", "sixel"):
        return {"kitty": _kitty, "sixel": _sixel}[way](np.broadcast_to(image, (*image.shape[:2], 3)))
    if way == "none":
        return ""
    image = _reduced(image, width)
    return _blocks(image) if way == "blocks" else _characters(image)


def _attributes() -> set[str]:
    """What the terminal says it can, by DEC's numbers; nothing where it does not answer in time."""
    import select
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    answer = ""
    try:
        tty.setcbreak(number, termios.TCSADRAIN)  # what was typed meanwhile is kept
        sys.stdout.write(ASK)
        sys.stdout.flush()
        while not answer.endswith("c") and select.select([number], [], [], ANSWER_BY)[0]:
            if not (some := os.read(number, 64)):
                break  # the terminal is gone
            answer += some.decode("ascii", "replace")
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
    return set(answer.removeprefix("\x1b[?").removesuffix("c").split(";"))


def _kitty(image: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    parts = [text[i : i + 4096] for i in range(0, len(text), 4096)]
    last = len(parts) - 1
    return "".join(
        f"\x1b_G{'a=T,f=100,' if k == 0 else ''}m={int(k < last)};{part}\x1b\\" for k, part in enumerate(parts)
    )


def _sixel(image: np.ndarray) -> str:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image)).quantize(64)
    palette = np.array(picture.getpalette()[: 3 * 64]).reshape(-1, 3) * 100 // 255
    index = np.asarray(picture)
    height, width = index.shape
    text = ["\x1bPq", f'"1;1;{width};{height}']
    text += [f"#{k};2;{r};{g};{b}" for k, (r, g, b) in enumerate(palette.tolist()) if (index == k).any()]
    for top in range(0, height, 6):
        band = index[top : top + 6]
        bits = 1 << np.arange(len(band))[:, None]
        for k in np.unique(band):
            columns = ((band == k) * bits).sum(0)
            runs = ((value, len(list(same))) for value, same in groupby(columns.tolist()))
            text.append(f"#{k}" + "".join(f"!{n}{chr(63 + v)}" if n > 3 else chr(63 + v) * n for v, n in runs) + "$")
        text.append("-")
    return "".join(text) + "\x1b\\"


def _reduced(image: np.ndarray, width: int) -> np.ndarray:
    """The picture at most `width` pixels wide, with an even number of rows."""
    from PIL import Image

    height = image.shape[0] * min(1, width / image.shape[1])
    size = (min(width, image.shape[1]), max(2, 2 * round(height / 2)))
    if size == (image.shape[1], image.shape[0]):
        return image
    whole = Image.fromarray(np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))))
    return np.asarray(whole.resize(size, Image.Resampling.BOX))[..., : image.shape[-1]]


def _blocks(image: np.ndarray) -> str:
    image = np.broadcast_to(image, (*image.shape[:2], 3)).tolist()
    rows = zip(image[::2], image[1::2], strict=True)
    return "\n".join(
        "".join(
            "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m▀".format(*upper, *lower)
            for upper, lower in zip(above, below, strict=True)
        )
        + "\x1b[0m"
        for above, below in rows
    )


def _characters(image: np.ndarray) -> str:
    grey = image.mean(-1).reshape(len(image) // 2, 2, -1).mean(1)
    return "\n".join("".join(SHADES[round(v)] for v in row) for row in grey / 255 * (len(SHADES) - 1))
