"""Images: sets by name, folders, archives and downloads; the split, and a loader that resumes at any step."""

from .dataset import (
    ASSETS,
    DATASETS,
    EMBEDDED,
    Dataset,
    Info,
    Loader,
    info,
    load,
    resize,
    shown,
    slug,
    split,
    to_uint8,
    to_unit,
)
from .loader import DataLoader, Subset, TensorDataset, default_collate, random_split

__all__ = [
    "ASSETS",
    "DATASETS",
    "DataLoader",
    "Dataset",
    "EMBEDDED",
    "Info",
    "Loader",
    "Subset",
    "TensorDataset",
    "default_collate",
    "info",
    "load",
    "random_split",
    "resize",
    "shown",
    "slug",
    "split",
    "to_uint8",
    "to_unit",
]
