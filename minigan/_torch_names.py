"""Machine room: which of PyTorch's names exist here. `minigan.torch_names("conv")` prints those with "conv" in them.

Whether a name exists is looked up when asked, on both sides: PyTorch's names, and their arguments where Python can see
them, are a file of the package (assets/torch_names.txt); minigan's are what `hasattr` says. Written by hand is only how
something differs, and where it is if it has another name.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources

from .autograd import Op

PLACES = {
    "torch": "minigan",
    "torch.Tensor": "minigan.Tensor",
    "torch.linalg": "minigan.linalg",
    "torch.nn": "minigan.nn",
    "torch.nn.functional": "minigan.functional",
    "torch.nn.init": "minigan.nn.init",
    "torch.nn.utils": "minigan.nn.utils",
    "torch.optim": "minigan.optim",
    "torch.optim.lr_scheduler": "minigan.optim.lr_scheduler",
    "torch.cuda": "minigan.cuda",
    "torch.autograd": "minigan.autograd",
    "torch.autograd.functional": "minigan.autograd.functional",
    "torch.utils.data": "minigan.data",
    "torch.utils.checkpoint": "minigan._recompute",
}
"""Where PyTorch's names are -> where ours are."""

STATUSES = ("same", "differs", "elsewhere", "missing")

ELSEWHERE = {
    "torch.compile": "minigan.capture",
    "torch.autograd.set_detect_anomaly": "minigan.detect_anomaly",
    "torch.utils.checkpoint.checkpoint": "minigan.recompute",
    "torch.nn.functional.tanh": "minigan.tanh",
    "torch.nn.functional.sigmoid": "minigan.sigmoid",
    "torch.nn.utils.spectral_norm": "minigan.nn.spectral_norm",
    "torch.Tensor.share_memory_": "minigan.from_numpy",
}
"""PyTorch's name -> ours that does the same, where the two differ."""

NO_GRAPH = "never recorded: refused where a gradient would have to know of it; `x = x.{}(...)` is recorded"
OTHER_NUMBERS = "other numbers for the same seed: Philox, the same on the CPU and a GPU"
A_COPY = "a copy, into which nothing is written back"
NO_COPY = "also where the memory lies otherwise: it is reshape, which copies where it must"

DIFFERS = {
    "torch.Tensor": "takes an array; a list is minigan.tensor's",
    "torch.nn.utils.clip_grad_norm_": "the norm is float64",
    "torch.Tensor.data": "a NumPy array that has a Tensor's methods too; what is computed of it is an array, and its"
    " size is a number",
    "torch.Tensor.backward": ".grad never has a graph, and create_graph=True is refused: that is minigan.grad's",
    "torch.diagonal": A_COPY,
    "torch.Tensor.diagonal": A_COPY,
    "torch.Tensor.unfold": A_COPY,
    "torch.Tensor.view": NO_COPY,
    "torch.Tensor.view_as": NO_COPY,
    "torch.Tensor.detach_": "of a leaf only",
    "torch.Tensor.dtype": "NumPy's dtype",
    "torch.Tensor.device": 'a text, "cpu" or "cuda"',
    "torch.Tensor.type": "the dtype's name: 'float32'",
    "torch.Tensor.grad_fn": "the Node, whose op and inputs can be read",
    "torch.autograd.grad": "create_graph is the fourth argument; an input that was not reached gets None, unless"
    " allow_unused=False refuses it",
    "torch.autograd.backward": ".grad never has a graph, and create_graph=True is refused: that is minigan.grad's",
    "torch.Generator": "Philox: a seed and a counter, `state_dict()` of two numbers",
    "torch.save": "tensors and plain data, as .npz without pickles; of a module its state_dict()",
    "torch.load": "files of minigan.save only",
    "torch.manual_seed": OTHER_NUMBERS,
    "torch.set_num_threads": "of the kernels",
    **{f"torch.{name}": OTHER_NUMBERS for name in ("rand", "randn", "randint", "randperm", "rand_like", "randn_like")},
    "torch.utils.data.DataLoader": "samples are read in this process, whatever num_workers says",
    **{f"torch.nn.{name}": "inplace=True is accepted and changes nothing" for name in ("ReLU", "LeakyReLU", "ELU")},
}
"""PyTorch's name -> how ours of that name differs."""
# What is recorded nowhere, and named like what PyTorch records.
NOT_IN_PLACE = {"requires_grad_", "detach_", "share_memory_"}


@dataclass(frozen=True)
class Name:
    """One of PyTorch's names. place: where it is there; status: of STATUSES; note: how it differs, or where it is."""

    place: str
    name: str
    status: str
    note: str = ""


@cache
def theirs() -> dict[str, dict[str, list[str]]]:
    """PyTorch's names: place -> name -> its arguments, as far as Python can see them."""
    text = resources.files("minigan").joinpath("assets/torch_names.txt").read_text(encoding="utf-8")
    table: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("["):
            names = table.setdefault(line.strip("[]"), {})
        elif line:
            name, *arguments = line.split()
            names[name] = arguments
    return table


def names(search: str = "") -> Iterator[Name]:
    """A row for each of PyTorch's names with `search` in it."""
    for place, table in theirs().items():
        for name, arguments in table.items():
            if search in f"{place}.{name}":
                yield _row(place, name, arguments)


def _row(place: str, name: str, arguments: list[str]) -> Name:
    full, owner = f"{place}.{name}", ours(PLACES[place])
    if hasattr(owner, name):
        note = DIFFERS.get(full, "")
        if not note and place == "torch.Tensor" and name.endswith("_") and name not in NOT_IN_PLACE:
            note = NO_GRAPH.format(name[:-1])
        lacking = _lacking(getattr(owner, name), arguments)
        note = "; ".join(filter(None, (note, f"without {', '.join(lacking)}" if lacking else "")))
        return Name(place, name, "differs" if note else "same", note)
    if full in ELSEWHERE:
        return Name(place, name, "elsewhere", ELSEWHERE[full])
    for other in dict.fromkeys(PLACES.values()):
        if (
            other != PLACES[place]
            and hasattr(ours(other), name)
            and other in ("minigan", "minigan.functional", "minigan.nn")
        ):
            return Name(place, name, "elsewhere", f"{other}.{name}")
    return Name(place, name, "missing")


@cache
def ours(place: str) -> object:
    """The module, or the class, of that dotted name."""
    try:
        return import_module(place)
    except ImportError:
        owner, _, name = place.rpartition(".")
        return getattr(ours(owner), name)


def _lacking(value: object, arguments: list[str]) -> list[str]:
    """Those of the arguments that ours does not take."""
    if not arguments or isinstance(value, Op):
        return []
    try:
        parameters = inspect.signature(value).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    return [a for a in arguments if a not in parameters]


def torch_names(search: str = "") -> None:
    """Print which of PyTorch's names with `search` in them exist here, which differ and how, and which are missing."""
    for place in PLACES:
        rows = [row for row in names(search) if row.place == place]
        if not rows:
            continue
        here = sum(row.status in ("same", "differs") for row in rows)
        print(f"{place}: {here} of {len(rows)} in {PLACES[place]}")
        for status in STATUSES:
            some = [row for row in rows if row.status == status]
            if some and status in ("same", "missing"):
                _print(f"  {status}: ", " ".join(row.name for row in some))
            for row in some if status in ("differs", "elsewhere") else ():
                _print(f"  {status}: ", f"{row.name}: {row.note}")


def _print(head: str, text: str) -> None:
    print(textwrap.fill(text, 100, initial_indent=head, subsequent_indent=" " * 8, break_long_words=False))
