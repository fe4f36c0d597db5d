"""The table of systems that `minigan train` knows; each stands in its own file beside its trainer and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...backend import device
from ...data import Dataset, Info
from ...data.folder import parse
from ..losses import nearest
from ..options import CommonOptions
from ..train import Trainer
from . import (
    ae,
    ali,
    conditional,
    cyclegan,
    dvbpr,
    ebgan,
    infogan,
    lapgan,
    nextframe,
    plain,
    r3gan,
    srgan,
    stargan,
    stylegan,
    text2image,
    vae,
    vqgan,
)
from .system import System

SYSTEMS: dict[str, System] = {
    row.name: row
    for row in (
        plain.WGAN_GP,
        plain.DCGAN,
        conditional.CGAN,
        conditional.ACGAN,
        dvbpr.DVBPR,
        infogan.INFOGAN,
        plain.GAN,
        plain.WGAN,
        plain.LSGAN,
        plain.HINGE,
        ebgan.EBGAN,
        cyclegan.CYCLEGAN,
        stargan.STARGAN,
        ae.AE,
        vae.VAE,
        ali.ALI,
        r3gan.R3GAN,
        text2image.TEXT2IMAGE,
        lapgan.LAPGAN,
        srgan.SRGAN,
        nextframe.NEXTFRAME,
        vqgan.VQGAN,
        stylegan.STYLEGAN,
    )
}


def system(name: str) -> System:
    """The row called `name`. Raises ValueError, with the nearest name, if there is none."""
    if name not in SYSTEMS:
        raise nearest("system", name, SYSTEMS)
    return SYSTEMS[name]


def option_names() -> frozenset[str]:
    """The options of all systems together."""
    return frozenset().union(*(row.takes for row in SYSTEMS.values()))


def options_for(name: str, **changes) -> CommonOptions:
    """The defaults of a system, tuned for the data set that `changes` may name, with the given changes.

    Raises ValueError for an unknown system or option, for one that the system does not read, or that the others' values
    make idle, for two sizes of one folder, and for a learning rate above 1; DeviceError for a device that cannot be
    used here.
    """
    row = system(name)
    for key in changes:
        if key not in option_names():
            raise nearest("option", key, sorted(row.takes))
        if key not in row.takes:
            raise ValueError(f"{name} has no option {key!r}; it takes: {', '.join(sorted(row.takes))}")
    folder = parse(str(changes.get("data")))
    if folder is not None and folder.size is not None and changes.setdefault("size", folder.size) != folder.size:
        raise ValueError(f"{changes['data']} says size={folder.size}, and size is {changes['size']}; give it once")
    options = replace(row.options, **{**row.presets.get(str(changes.get("data")), {}), **changes})
    if options.lr > 1:
        raise ValueError(f"lr {options.lr:g}: a step would move every weight by about as much; take one of at most 1")
    for key, reason in options.idle().items():
        if key in changes:
            raise ValueError(f"option {key!r} means nothing here: {reason}")
    device(options.device)
    return options


def options_from(record: Mapping[str, object]) -> CommonOptions:
    """The options that `training_options.json` and a checkpoint hold.

    A record of a version that kept all systems' options in one is taken, too: what its system does not read is left
    out. Raises ValueError for an unknown system or option.
    """
    row = system(record["system"])
    names = option_names() | {"system"}
    for key in record:
        if key not in names:
            raise nearest("option", key, sorted(names))
    return replace(row.options, **{key: value for key, value in record.items() if key in row.takes})


def trainer_for(options: CommonOptions, dataset: Dataset | Info) -> Trainer:
    """The trainer of the system that `options` names."""
    return system(options.system).trainer(options, dataset)
