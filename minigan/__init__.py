"""minigan: what really happens inside a GAN, down to every gradient and every kernel.

    import minigan as mg
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    g, = mg.grad((x ** 3).sum(), x, create_graph=True)      # 3 x^2
    h, = mg.grad(g.sum(), x)                                # 6 x

Layers are in `minigan.nn`, functions by torch's names in `minigan.functional`, optimisers in `minigan.optim`, GANs in
`minigan.gan`.
"""

import os as _os
from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import _starting

if _starting.is_command():
    _starting.begin()

import numpy as _np

# In a checkout, kernels/ and examples/ lie beside this package, and links in it lead there (editors follow them);
# installed, they lie inside it. Where a checkout has no links, as on Windows, the folder above is searched.
if not (_Path(__file__).parent / "kernels").is_dir():
    __path__.append(str(_Path(__file__).parent.parent))

from . import _cuda as cuda
from . import _derivatives as _derivatives
from . import _inplace as _inplace
from . import _linalg as linalg
from . import _numpy as _numpy
from . import autograd, creation, functional, methods
from ._array import TensorError
from ._derivatives import hessian, hvp, jacobian, jvp, vjp
from ._doors import open_doors as _open_doors
from ._modes import inference_mode, set_grad_enabled
from ._recompute import recompute
from ._storage import load, save
from ._torch_names import torch_names
from .autograd import (
    Node,
    Op,
    Tensor,
    as_tensor,
    backward,
    detect_anomaly,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    tensor,
)
from .backend import Generator, bool_, device, float32, float64, get_num_threads, int64, manual_seed, set_num_threads
from .capture import CaptureError, auto_capture, capture
from .creation import *  # noqa: F403
from .methods import is_floating_point, is_tensor, numel
from .ops.logic import allclose, equal

if _TYPE_CHECKING:
    from ._typing import *  # noqa: F403
else:
    globals().update(methods.PUBLIC)
_open_doors(__name__)
autograd.functional = _derivatives  # as torch.autograd.functional


# PyTorch's names of dtypes. Those that are Python's own stay out of `from minigan import *`.
_DTYPES = {
    **{"bool": bool_, "float": float32, "double": float64, "int": _np.dtype("int32"), "long": int64},
    **{name: _np.dtype(name) for name in ("int8", "int16", "int32", "uint8")},
}


def __getattr__(name: str) -> object:
    """Rooms that are loaded when somebody first names them, `minigan.optim`, and dtypes, `minigan.long`."""
    if name in {"autograd", "data", "gan", "nn", "optim", "profiler", "utils", "viz"}:
        return _import_module(f"{__name__}.{name}")
    if name in _DTYPES:
        return _DTYPES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.2.0"
__all__ = [
    "CaptureError",
    "Generator",
    "Node",
    "Op",
    "Tensor",
    "TensorError",
    "allclose",
    "as_tensor",
    "auto_capture",
    "backward",
    "bool_",
    "capture",
    "cuda",
    "detect_anomaly",
    "device",
    "enable_grad",
    "equal",
    "float32",
    "float64",
    "functional",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "inference_mode",
    "int64",
    "is_floating_point",
    "is_grad_enabled",
    "is_tensor",
    "jacobian",
    "jvp",
    "linalg",
    "load",
    "manual_seed",
    "no_grad",
    "numel",
    "recompute",
    "save",
    "set_grad_enabled",
    "set_num_threads",
    "tensor",
    "torch_names",
    "vjp",
    *creation.__all__,
]
__all__.extend(methods.PUBLIC)

if _os.environ.get("MINIGAN_DEBUG", "0") != "0":
    _import_module(f"{__name__}.profiler.debug").from_environment()
