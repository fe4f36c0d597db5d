"""Machine room: tensors and plain data in a file. `save(model.state_dict(), "model.npz")`, `load("model.npz")`.

The file is NumPy's .npz: an array for each tensor, and `structure`, the JSON text that says where each belongs. Nothing
is pickled, so nothing in a file can run; every array has its CRC-32, so a damaged file is refused. (The checkpoints of
a run, `minigan.checkpoint`, are another format, with a digest of all bytes.)
"""

from __future__ import annotations

import io
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

from .autograd import Tensor, tensor
from .backend import host
from .checkpoint import atomic_write
from .nn.module import Module, Parameter

STRUCTURE = "structure"
PLAIN = (str, int, float, bool, type(None))


def save(obj: Any, f: str | os.PathLike | IO[bytes]) -> None:
    """Write tensors, arrays, numbers, text, None, and lists, tuples and dicts of them to a file, whole or not at all.

    f: a path, taken as it stands, or a file open for bytes. Raises TypeError, naming the entry, for anything else (save
    a module's or optimiser's `state_dict()`), OSError where the disk refuses.
    """
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_described(obj, arrays, "object", ()))
    buffer = io.BytesIO()
    np.savez(buffer, **{STRUCTURE: np.frombuffer(structure.encode(), np.uint8)}, **arrays)  # type: ignore[arg-type]
    if isinstance(f, (str, os.PathLike)):
        atomic_write(f, buffer.getvalue())
    else:
        f.write(buffer.getvalue())


def load(f: str | os.PathLike | IO[bytes], map_location: str | None = None, weights_only: bool = True) -> Any:
    """What `save` wrote. map_location: the device that tensors go to, the default one if None.

    weights_only=False is refused: there is nothing else in a file. Raises ValueError, naming the file, for one that is
    damaged or that `save` did not write, FileNotFoundError for none.
    """
    if not weights_only:
        raise ValueError("load: files of minigan.save hold data only; leave weights_only=True")
    name = f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", "the file")
    content = Path(f).read_bytes() if isinstance(f, (str, os.PathLike)) else f.read()
    if foreign := _foreign(content):
        raise ValueError(f"load: {os.fspath(name)} is no file of minigan.save, but {foreign}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile) or STRUCTURE not in archive:
                raise ValueError("it has no structure")
            structure = json.loads(archive[STRUCTURE].tobytes())
            return _built(structure, {key: archive[key] for key in archive.files}, map_location)
    except Exception as error:  # a damaged archive raises whatever its parts do
        raise ValueError(f"load: {os.fspath(name)} is damaged, or no file of minigan.save: {error}") from error


def _foreign(content: bytes) -> str:
    """What another program's file is, and who reads it; "" for any other."""
    if (content[:2] == b"PK" and b"/data.pkl" in content[:4096]) or content[:1] == b"\x80":
        return (
            "a pickle, as torch.save writes it: read it with torch.load, and give its state_dict to load_state_dict,"
            " which takes PyTorch's tensors"
        )
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):
        return "safetensors: read it with safetensors.numpy.load_file, and give what it holds to load_state_dict"
    return ""


def _described(value: Any, arrays: dict[str, np.ndarray], path: str, above: tuple[int, ...]) -> Any:
    """`value` in JSON, its arrays put into `arrays`."""
    if isinstance(value, float):
        return ["float", repr(value)]
    if isinstance(value, PLAIN) and type(value) in PLAIN:
        return value
    if id(value) in above:
        raise TypeError(f"save: {path} contains itself")
    above = (*above, id(value))
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        kind = "array"
        array = np.asarray(value) if not isinstance(value, Tensor) else host(value.data)
        if isinstance(value, Tensor):
            kind = "parameter" if isinstance(value, Parameter) else "tensor"
        if array.dtype.kind not in "biufc":
            raise TypeError(f"save: {path} is an array of {array.dtype}; only numbers can be saved")
        key = f"a{len(arrays)}"
        arrays[key] = array
        return [kind, key, isinstance(value, Tensor) and value.requires_grad]
    if type(value) in (list, tuple):
        return [type(value).__name__, [_described(v, arrays, f"{path}[{i}]", above) for i, v in enumerate(value)]]
    if type(value) in (dict, OrderedDict):
        pairs = []
        for key, v in value.items():
            if type(key) not in PLAIN:
                raise TypeError(f"save: {path} has the key {key!r}; keys are text, numbers or None")
            pairs.append([_described(key, arrays, path, above), _described(v, arrays, f"{path}[{key!r}]", above)])
        return ["dict" if type(value) is dict else "ordered", pairs]
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return ["dtype", np.dtype(value).str]
    has_state = isinstance(value, Module) or hasattr(value, "state_dict")
    advice = "; save its state_dict()" if has_state else "; save tensors, numbers, text, lists, tuples and dicts"
    raise TypeError(f"save: {path} is a {type(value).__name__}{advice}")


def _built(value: Any, arrays: dict[str, np.ndarray], device: str | None) -> Any:
    """What `_described` described."""
    if not isinstance(value, list):
        return value
    kind, content, *rest = value
    if kind in ("tensor", "parameter"):
        t = tensor(arrays[content], device=device)
        return Parameter(t, rest[0]) if kind == "parameter" else t.requires_grad_(rest[0])
    if kind in ("list", "tuple"):
        parts = [_built(v, arrays, device) for v in content]
        return parts if kind == "list" else tuple(parts)
    if kind in ("dict", "ordered"):
        pairs = [(_built(k, arrays, device), _built(v, arrays, device)) for k, v in content]
        return dict(pairs) if kind == "dict" else OrderedDict(pairs)
    readers = {"array": arrays.__getitem__, "float": float, "dtype": np.dtype}
    return readers[kind](content)
