"""Writes minigan/assets/torch_names.txt, PyTorch's public names and the arguments that Python can see of them:

python tests/support/torch_names.py

tests/test_torch_names.py holds the file to the PyTorch that is installed.
"""

import importlib
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "minigan" / "assets" / "torch_names.txt"
BACKENDS = ("_", "cudnn_", "fake_quantize", "fbgemm_", "miopen_", "mkldnn_", "q_", "quantize", "sym_")
DROPPED = {"device", "out", "self", "cls"}


def public(name: str) -> list[str]:
    """The names of functions and classes (of torch.Tensor also properties) that a module, or class, offers."""
    owner = owner_of(name)
    if name == "torch":  # dir(torch) has its helpers too
        names = {n for n in torch_documented(owner) if callable(getattr(owner, n, None))}
    elif inspect.isclass(owner):
        names = set(dir(owner))
    else:
        names = {n for n in dir(owner) if callable(getattr(owner, n)) and _belongs(getattr(owner, n))}
    return sorted(n for n in names if not n.startswith(BACKENDS))


def torch_documented(torch) -> set[str]:
    """What `torch.__all__` lists, and the functions written in C that have a docstring."""
    functions = {n for n in dir(torch._C._VariableFunctions) if (getattr(torch, n, None) is not None)}
    documented = {n for n in functions if (getattr(torch, n).__doc__ or "").strip()}
    classes = {n for n in torch.__all__ if inspect.isclass(getattr(torch, n, None)) and n not in KEPT}
    return (set(torch.__all__) | documented) - classes


KEPT = {"Tensor", "Generator", "enable_grad", "inference_mode", "no_grad", "set_grad_enabled"}


def _belongs(value) -> bool:
    return (getattr(value, "__module__", "") or "").startswith(("torch", "builtins"))


def owner_of(name: str):
    """The module, or the class, of that name."""
    if name == "torch.Tensor":
        return importlib.import_module("torch").Tensor
    return importlib.import_module(name)


def arguments(function) -> list[str]:
    """The names of a Python function's or class's arguments, [] where they cannot be seen."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.kind not in kinds and not p.name.startswith("_") and p.name not in DROPPED]


def text() -> str:
    """The whole file."""
    import torch

    from minigan._torch_names import PLACES

    lines = [f"torch {torch.__version__.partition('+')[0]}"]
    for place in PLACES:
        lines.append(f"\n[{place}]")
        owner = owner_of(place)
        for name in public(place):
            seen = arguments(getattr(owner, name)) if place not in ("torch", "torch.Tensor") else []
            lines.append(" ".join([name, *seen]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PLACE.write_text(text())
