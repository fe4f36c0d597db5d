"""`minigan lab`: a page on which a GAN of points trains live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import Destination, echo


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "lab", "Write a web page that trains a GAN of points live.")(lab)


@click.option("-o", "--out", type=Destination(), default="lab.html", show_default=True, help="Page to write: .html.")
def lab(out: Path) -> dict:
    """Write one HTML file, to open in a browser: a GAN of points that trains live, with every loss, penalty and trick,
    by half-steps if one likes, and the tiny games with their eigenvalues. It needs no network and no server."""
    from .. import __version__
    from .._files import atomic_write
    from ..lab import page

    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{out}: the page is written as .html, not as {out.suffix or 'a file without suffix'}")
    text = page(__version__).encode()
    atomic_write(out, text)
    echo(f"{out}: {len(text) / 1024:.0f} KiB; open it in a browser")
    return {"out": str(out), "bytes": len(text)}
