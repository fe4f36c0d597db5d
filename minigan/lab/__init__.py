"""Pages to look at a GAN in a browser: `minigan lab`."""

from .page import MOST_BYTES, engine, page, tables

__all__ = ["MOST_BYTES", "engine", "page", "tables"]
