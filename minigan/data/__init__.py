"""Images: sets by name, folders, archives and downloads; the split, and a loader that resumes at any step."""

from .dataset import (
    ASSETS,
    DATASETS,
    EMBEDDED,
    Dataset,
    Info,
    Loader,
    absolute,
    info,
    load,
    moved,
    resize,
    shown,
    slug,
    split,
    to_uint8,
    to_unit,
)

__all__ = [
    "ASSETS",
    "DATASETS",
    "Dataset",
    "EMBEDDED",
    "Info",
    "Loader",
    "absolute",
    "info",
    "load",
    "moved",
    "resize",
    "shown",
    "slug",
    "split",
    "to_uint8",
    "to_unit",
]
