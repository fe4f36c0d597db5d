"""The table of systems that `minigan train` knows: each one's options, trainer and paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace

from ...data import Dataset, Info
from ..losses import nearest
from ..options import Options
from ..train import Trainer
from .conditional import AuxiliaryTrainer, ConditionalTrainer
from .cyclegan import CycleGAN
from .ebgan import EnergyTrainer
from .infogan import InfoTrainer
from .stargan import StarGAN

COMMON = frozenset(
    ["data", "steps", "batch_size", "seed", "device", "lr", "beta1", "beta2", "base", "size", "average", "capture"]
)
SHAPED = frozenset(["n_critic", "latent", "network", "optimizer"])
PLAIN = COMMON | SHAPED | frozenset(["loss", "gp_weight", "penalty", "critic_norm", "clip", "spectral", "dropout"])
ENERGY = COMMON | SHAPED | frozenset(["margin", "pull", "code"])
# An option that another's value makes idle: giving it is refused.
IDLE: tuple[tuple[str, Callable[[Options], bool], str], ...] = (
    ("penalty", lambda o: not o.gp_weight, "gp_weight is 0"),
    ("beta1", lambda o: o.optimizer != "adam", "it is Adam's, and optimizer is not adam"),
    ("beta2", lambda o: o.optimizer != "adam", "it is Adam's, and optimizer is not adam"),
    ("settle", lambda o: not o.real_weight, "real_weight is 0"),
)


@dataclass(frozen=True)
class System:
    """One row of SYSTEMS. options: the defaults, tuned for the data set they name. takes: the options it reads, all
    others being refused. presets: data set -> what is other than the defaults where it was tuned for that set too."""

    options: Options
    what: str
    paper: str
    trainer: type[Trainer] = Trainer
    takes: frozenset[str] = PLAIN
    presets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.options.system


DCGAN = Options(
    "dcgan", loss="non-saturating", beta1=0.5, beta2=0.999, n_critic=1, gp_weight=0.0, critic_norm=True, steps=3000
)
TOLD = PLAIN - {"network", "dropout"}
CODES = frozenset(["categories", "continuous", "category_weight", "continuous_weight"])
ALIKE = frozenset(["real_weight", "neighbours", "settle", "ramp"])
INFO = (TOLD | CODES | ALIKE) - {"gp_weight", "penalty"}

SYSTEMS: dict[str, System] = {
    row.name: row
    for row in (
        System(
            Options("wgan-gp", steps=2000, batch_size=32, lr=3e-4),
            "Wasserstein distance by a critic of slope 1, held there by a gradient penalty",
            "Gulrajani et al. 2017",
        ),
        System(
            DCGAN,
            "strided convolutions with batch norm in both networks",
            "Radford et al. 2016",
            presets={"avatars": {"size": 16, "base": 64, "lr": 5e-4, "average": 0.999, "steps": 4000}},
        ),
        System(
            replace(DCGAN, system="cgan", base=16, lr=4e-4, latent=16, steps=3000),
            "asked for a class, which both networks see",
            "Mirza & Osindero 2014; projection: Miyato & Koyama 2018",
            ConditionalTrainer,
            TOLD | {"condition"},
        ),
        System(
            replace(DCGAN, system="acgan", base=16, lr=4e-4, latent=16, steps=3000),
            "asked for a class, which the critic names",
            "Odena et al. 2017",
            AuxiliaryTrainer,
            TOLD | {"class_weight"},
        ),
        System(
            replace(DCGAN, system="infogan", base=16, lr=1e-3, latent=16, steps=2500),
            "finds classes and continuous factors of unlabelled images by codes that stay readable",
            "Chen et al. 2016",
            InfoTrainer,
            INFO,
        ),
        System(
            Options(
                "gan",
                loss="non-saturating",
                network="mlp",
                beta1=0.5,
                beta2=0.999,
                n_critic=1,
                gp_weight=0.0,
                dropout=0.3,
                steps=6000,
            ),
            "the first: perceptrons, a maxout critic with dropout",
            "Goodfellow et al. 2014",
        ),
        System(
            Options(
                "wgan", gp_weight=0.0, clip=0.01, optimizer="rmsprop", lr=2e-4, base=16, critic_norm=True, steps=2000
            ),
            "Wasserstein distance by a critic of bounded weights",
            "Arjovsky et al. 2017",
        ),
        System(
            Options(
                "lsgan",
                loss="least-squares",
                lr=5e-4,
                base=16,
                beta1=0.5,
                beta2=0.999,
                n_critic=1,
                gp_weight=0.0,
                critic_norm=True,
                steps=3000,
            ),
            "targets 1 and 0 for the critic's output, met in least squares",
            "Mao et al. 2017",
        ),
        System(
            Options(
                "hinge", loss="hinge", lr=1e-3, base=16, beta1=0.5, n_critic=2, gp_weight=0.0, spectral=True, steps=3000
            ),
            "margins of the hinge, a critic under spectral norm",
            "Miyato et al. 2018",
        ),
        System(
            Options(
                "ebgan", loss="ebgan", beta1=0.5, beta2=0.999, n_critic=1, gp_weight=0.0, steps=3000, lr=5e-4, base=16
            ),
            "the critic is an autoencoder, its error the energy",
            "Zhao et al. 2017",
            EnergyTrainer,
            ENERGY,
        ),
        System(
            Options(
                "cyclegan",
                data="emoji",
                loss="least-squares",
                batch_size=4,
                lr=1e-3,
                beta1=0.5,
                beta2=0.999,
                n_critic=1,
                gp_weight=0.0,
                base=16,
                blocks=3,
                cycle_weight=3.0,
                identity_weight=0.1,
                steps=8000,
            ),
            "two domains without pairs: a translator each way, there and back is the identity",
            "Zhu et al. 2017",
            CycleGAN,
            COMMON | frozenset(["source", "target", "blocks", "cycle_weight", "identity_weight", "pool", "n_critic"]),
        ),
        System(
            Options(
                "stargan",
                data="avatars",
                attributes="glasses,hat,long_hair,smile",
                batch_size=16,
                lr=5e-4,
                beta1=0.5,
                beta2=0.999,
                n_critic=2,
                base=16,
                blocks=2,
                class_weight=6.0,
                cycle_weight=10.0,
                change_weight=10.0,
                size=16,
                steps=1500,
            ),
            "one translator sets several attributes, one critic also names them",
            "Choi et al. 2018",
            StarGAN,
            COMMON
            | frozenset(
                [
                    "attributes",
                    "blocks",
                    "class_weight",
                    "source_weight",
                    "cycle_weight",
                    "change_weight",
                    "gp_weight",
                    "n_critic",
                    "penalty",
                ]
            ),
        ),
    )
}


def system(name: str) -> System:
    """The row called `name`. Raises ValueError, with the nearest name, if there is none."""
    if name not in SYSTEMS:
        raise nearest("system", name, SYSTEMS)
    return SYSTEMS[name]


def options_for(name: str, **changes) -> Options:
    """The defaults of a system, tuned for the data set that `changes` may name, with the given changes.

    Raises ValueError for an unknown system or option, and for one that the system does not read, or that the others'
    values make idle.
    """
    row = system(name)
    for key in changes:
        if key not in {f.name for f in fields(Options)}:
            raise nearest("option", key, sorted(row.takes))
        if key not in row.takes:
            raise ValueError(f"{name} has no option {key!r}; it takes: {', '.join(sorted(row.takes))}")
    options = replace(row.options, **{**row.presets.get(changes.get("data"), {}), **changes})
    for key, idle, reason in IDLE:
        if key in changes and idle(options):
            raise ValueError(f"option {key!r} means nothing here: {reason}")
    return options


def trainer_for(options: Options, dataset: Dataset | Info) -> Trainer:
    """The trainer of the system that `options` names."""
    return system(options.system).trainer(options, dataset)
