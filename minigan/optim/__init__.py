"""Machine room, training: optimisers and learning rates, by the names and formulas of torch.optim; clipping; an average
of the weights."""

from ..nn.utils import SquaredSum, clip_grad_norm_, clip_grad_value_, clip_weights_, grad_norm
from . import lr_scheduler
from .average import WeightAverage
from .optimizer import Optimizer
from .optimizers import SGD, Adam, AdamW, RMSprop

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "SquaredSum",
    "WeightAverage",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_weights_",
    "grad_norm",
    "lr_scheduler",
]
