"""A kernel's parameters as its C signature has them, and memory that may be passed for one."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    name      as in the source
    dtype     NumPy's dtype of the scalar, or of what the pointer points to; None for void*
    pointer   whether it is one
    const     whether the kernel promises not to write through it
    """

    name: str
    dtype: np.dtype | None
    pointer: bool
    const: bool


@dataclass(frozen=True)
class Pointer:
    """Memory for a `T*` parameter. Any object with these attributes will do, and may be passed for it.

    address    of the first element that the kernel is given
    nbytes     how many bytes from there on belong to it
    dtype      of the elements
    writable   whether a kernel may write there
    """

    address: int
    nbytes: int
    dtype: np.dtype
    writable: bool = True
