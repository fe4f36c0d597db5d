"""What reaches a terminal: bars of progress, and what strangers wrote: a name, a server's words, the text of a file."""

from __future__ import annotations

import time
from typing import Any


def progress_bar(**settings: Any) -> Any:
    """A bar of tqdm's with these settings, by a clock that nobody sets: the wall clock may jump."""
    from tqdm import tqdm

    bar = tqdm(**settings)
    bar._time = time.monotonic
    bar.start_t = bar.last_print_t = time.monotonic()
    return bar


def printable(text: object) -> str:
    """The text in one line, with escapes in place of what a terminal would act on: control characters, line ends, marks
    that turn the direction of writing, bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
