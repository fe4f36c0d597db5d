"""What a run is made of: the options of every system, in one flat record that `training_options.json` holds.

Each field's help text is in its metadata; `minigan train` makes its own options from them. Which of them mean something
to which system is in gan/systems/table.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..backend import device
from .losses import loss, nearest
from .networks.table import pair
from .penalties import penalty
from .tricks import check

OPTIMIZERS = ("adam", "rmsprop")


def _option(default, text: str, least: int | None = None):
    """A field with its help text and its least value."""
    return field(default=default, metadata={"help": text, "least": least})


@dataclass(frozen=True)
class Options:
    """Raises ValueError for values that make no sense."""

    system: str = "wgan-gp"
    data: str = _option("digits", "Data set (see: minigan data list).")
    steps: int = _option(1000, "Total number of generator steps, also with --resume.", 0)
    batch_size: int = _option(64, "Images per step.", 1)
    seed: int = _option(0, "The same seed gives the same run, bit for bit.")
    device: str = _option("cpu", "Where to compute: cpu, cuda, cudasim or cudasim:check.")
    loss: str = _option("wasserstein", "A row of the table of losses (minigan.gan.losses), such as hinge.")
    lr: float = _option(2e-4, "Learning rate of both Adams.")
    beta1: float = _option(0.0, "Adam's decay of the average gradient.")
    beta2: float = _option(0.9, "Adam's decay of the average squared gradient.")
    n_critic: int = _option(5, "Critic steps per generator step.", 1)
    gp_weight: float = _option(10.0, "Weight lambda of the gradient penalty; 0 for none.", 0)
    critic_norm: bool = _option(False, "Batch norm in the critic.")
    latent: int = _option(100, "Size of the latent vector.", 1)
    base: int = _option(32, "Channels of the widest feature maps; deeper ones have multiples.", 1)
    size: int = _option(32, "Height and width of the images, a power of two.")
    average: float = _option(0.99, "Decay of the average of the generator's weights, which samples are drawn from.")
    capture: bool = _option(True, "Replay recorded steps (the default), or run them op by op.")
    source: str = _option("", "Class to translate from; by default the data set's first.")
    target: str = _option("", "Class to translate to; by default the data set's next.")
    attributes: str = _option("", "Attributes to set, parted by commas: yes/no ones of the data set.")
    blocks: int = _option(4, "Residual blocks of a translator.", 0)
    cycle_weight: float = _option(10.0, "Weight of the error of going there and back.", 0)
    change_weight: float = _option(0.0, "Weight of what an image is changed by, as the mean over its pixels.", 0)
    identity_weight: float = _option(0.5, "Weight of leaving the target's own images as they are, in cycle weights.", 0)
    class_weight: float = _option(1.0, "Weight of the critic's classification.", 0)
    source_weight: float = _option(1.0, "Weight of finding out what a translation was made of, in class weights.", 0)
    pool: int = _option(50, "Earlier translations of each domain that the critics are shown again; 0 for none.", 0)
    penalty: str = _option("two-sided", "Which slope the gradient penalty pulls at (minigan.gan.penalties).")
    network: str = _option("dcgan", "Both networks: dcgan, resnet (residual blocks) or mlp (perceptrons).")
    optimizer: str = _option("adam", "adam or rmsprop, of both players.")
    clip: float = _option(0.0, "Bound on every weight of the critic, applied after each of its steps; 0 for none.", 0)
    spectral: bool = _option(False, "Spectral norm on every layer of the critic.")
    dropout: float = _option(0.0, "Share of its inputs and units that an mlp critic drops in training.", 0)
    margin: float = _option(0.2, "Energy below which EBGAN's critic pushes samples up.")
    pull: float = _option(0.1, "Weight of EBGAN's pulling-away term.", 0)
    code: int = _option(64, "Numbers in the code of EBGAN's autoencoder.", 1)
    condition: str = _option("concat", "How the critic is told the class: concat or projection.")
    categories: int = _option(10, "Values of the categorical code.", 2)
    continuous: int = _option(2, "Number of continuous codes.", 0)
    category_weight: float = _option(1.0, "Weight of the categorical code's information.", 0)
    continuous_weight: float = _option(0.5, "Weight of the continuous codes' information.", 0)
    real_weight: float = _option(1.0, "Weight of what the category tells of pairs of alike reals; 0 for none.", 0)
    neighbours: int = _option(0, "Nearest images that an image is paired with besides itself.", 0)
    settle: int = _option(300, "Steps that Q learns a partition of the reals before the first step; 0 for none.", 0)
    ramp: int = _option(800, "Steps until the weight of the codes begins to rise.", 0)

    def __post_init__(self) -> None:
        for name, row in self.__dataclass_fields__.items():
            least = row.metadata.get("least")
            if least is not None and not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be positive and finite, got {self.lr}")
        loss(self.loss)
        penalty(self.penalty)
        if self.critic_norm and self.gp_weight:
            raise ValueError(
                "a critic with batch norm has no gradient per sample to penalise; use gp_weight 0 or critic_norm False"
            )
        if self.optimizer not in OPTIMIZERS:
            raise nearest("optimizer", self.optimizer, OPTIMIZERS)
        if not self.dropout < 1:
            raise ValueError(f"dropout must be below 1, got {self.dropout}")
        if not 0 < self.margin < float("inf"):
            raise ValueError(f"margin must be positive and finite, got {self.margin}")
        if self.dropout and not pair(self.network).dropout:
            raise ValueError(f"network {self.network!r} has no dropout; leave dropout 0, or take network mlp")
        used = {self.penalty: self.gp_weight, "clip": self.clip, "spectral": self.spectral}
        check(self.loss, [trick for trick, on in used.items() if on])
        device(self.device)
