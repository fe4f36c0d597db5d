"""A finding of the doctor, and the cures: what each fault is called, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .trace import NOWHERE, Place

FAULT, NOTE = "fault", "note"


@dataclass(frozen=True)
class Finding:
    """name: of the fault, a key of CURES. evidence: the numbers. place: the line of the user's code. level: a fault, or
    a note where training works all the same."""

    name: str
    evidence: str
    place: Place = NOWHERE
    level: str = FAULT

    @property
    def cure(self) -> str:
        """What to do."""
        return CURES[self.name]

    def text(self) -> str:
        """Evidence, line and cure, a line each."""
        lines = [f"{self.name}: {self.evidence}" if self.level == FAULT else f"note, {self.name}: {self.evidence}"]
        if self.place.file:
            lines.append(f"    {self.place}   {self.place.text}")
        return "\n".join([*lines, f"    cure: {self.cure}"])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "level": self.level,
            "evidence": self.evidence,
            "file": self.place.file,
            "line": self.place.line,
            "code": self.place.text,
            "cure": self.cure,
        }


CURES = {
    "no-training": "name the function that makes one training step: it calls the networks (Modules) and steps their"
    " optimisers, and only those can be looked at",
    "generator-never-trains": "backward() must reach G's parameters, and their optimiser must step after it, before"
    " zero_grad()",
    "critic-never-trains": "backward() must reach D's parameters (unfreeze them after G's step), and their optimiser"
    " must step after it",
    "no-gradient-to-generator": "let G's loss pass through D to G's own output: no detach(), no no_grad(), no NumPy, no"
    " rounding on the way",
    "wrong-parameters": "give each optimiser the parameters of its own network, after that network has been made",
    "gradients-pile-up": "call zero_grad() before each backward() whose gradients are to be used alone",
    "other-players-gradients": "clear a network's gradients before its own backward(), or keep the other player's loss"
    " from it: fake.detach() in D's loss, backward(inputs=...) in G's",
    "critic-not-frozen": "backward(inputs=list(G.parameters())), or D.requires_grad_(False) during G's step: D's weight"
    " gradients are not computed then",
    "fake-not-detached": "make D's fakes under no_grad(), or detach() them: the pass through G is not made then",
    "same-direction": "D must push real and fake apart and G must push its fakes towards the reals: turn one sign, or"
    " one label, over",
    "one-label": "the loss of D needs two sides: one label, or one sign, for reals, the other for fakes",
    "penalty-without-graph": "mg.grad(..., create_graph=True): without it the penalty is a number that no weight feels",
    "penalty-over-wrong-axes": "take the norm over all axes but the batch: one norm a sample, (N,)",
    "penalty-one-eps": "draw one eps for each sample: eps of shape (N, 1, ...)",
    "penalty-at-wrong-points": "take the slope at eps x + (1 - eps) G(z), eps uniform on [0, 1), one for each sample; a"
    " target of 1 belongs to these points, a target of 0 (R1, R2) to reals or fakes",
    "penalty-sign": "add the penalty to what D minimises",
    "penalty-form": "the penalty is (||grad||_2 - 1)^2: a square root inside, a square outside",
    "penalty-on-sigmoid": "take the slope of D's raw output, before any sigmoid: where it saturates, the slope is 0"
    " whatever the weights are",
    "penalty-with-batch-norm": "no batch norm in a penalised critic: the slope of one sample then holds its"
    " batch-mates; use layer norm, or none",
    "penalty-moves-statistics": "keep the running statistics still in the penalty's pass: nn.frozen_statistics(D)",
    "wrong-derivative": "see  minigan gradcheck FILE.py:NAME  for the network: what is detached, or kept in NumPy, is a"
    " constant to the next derivative",
    "wasserstein-sigmoid": "a Wasserstein critic ends in a plain number: take the sigmoid out",
    "wasserstein-unbounded": "a Wasserstein critic needs a bound on its slope: a gradient penalty, clipped weights, or"
    " spectral norm",
    "clipped-before-step": "clip the weights after each optimiser step, not before it",
    "clipped-after-step": "clip gradients between backward() and step(); afterwards nobody reads them",
    "two-sigmoids": "leave the sigmoid out of D where the loss has one (with_logits, softplus)",
    "data-range": "scale the images to the range of G's last layer: [-1, 1] for tanh, [0, 1] for a sigmoid",
    "eval-mode": "call train() before the step: in eval mode batch norm uses its running statistics, and dropout"
    " nothing",
    "loss-kept-alive": "keep numbers, not tensors: loss.item(); a tensor keeps its whole graph",
    "average-unused": "call average.update(G) after each step of G, and sample from average.module",
    "dead-units": "smaller steps, smaller or zero biases, or leaky rectifiers: a unit that is 0 for every sample has no"
    " gradient",
    "critic-saturated": "the non-saturating loss, a penalty on D, or fewer or smaller steps of D: its sigmoid passes no"
    " gradient on",
    "collapsed": "draw a latent for each sample; if the latents differ, see whether G is too far behind D (penalty,"
    " rates, minibatch features)",
    "latents-ignored": "feed z to G's first layer, and let it matter: its output does not change with z",
    "fixed-latents": "draw new latents for every step; keep fixed ones for pictures only",
    "exploding": "a smaller learning rate or penalty weight, and look at the size of the weights at the start",
    "not-finite": "the named operation makes the first number that is none: give it what it is defined for (logits"
    " instead of log, + eps under a root)",
    "rates-out-of-proportion": "start from equal rates, or up to a factor of 5 between the players",
    "same-batch": "draw a new batch of reals for every step of D",
    "stopped": "the step itself fails; mend that first",
    "critic-far-ahead": "fewer steps or a smaller rate for D, or a penalty on its slope",
    "penalty-not-held": "more critic steps, a larger penalty weight or a smaller rate: the slopes stay away from 1",
    "standing-still": "look at the gradients: the losses do not change any more",
}
"""Name -> what to do."""
