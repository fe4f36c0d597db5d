"""ALI / BiGAN: a critic of pairs, so that the generator gets an inverse (Dumoulin et al. 2017; Donahue et al. 2017).

    min_{G, E} max_D  E ln D(x, E(x)) + E ln (1 - D(G(z), z))                                  ALI eq. 4, BiGAN eq. 2
    E(x) = mean + sigma eps, a draw of q(z|x),  z ~ N(0, I)

The critic sees an image and a code; where it cannot tell the pairs apart, q(x) q(z|x) = p(z) p(x|z): E inverts G, and
the codes of images are distributed as the prior. Both players take the non-saturating form: G and E minimise
-ln D(G(z), z) - ln (1 - D(x, E(x))).

That point is rarely reached: of plain ALI's reconstructions many are another digit, since only the critic holds image
and code together, and any conditional with the right marginals is nearly as good (Li et al. 2017, section 3.1). ALICE
(ibid., eq. 8) adds what a code must give back:

    cycle    w E mean over pixels of (G(E(x)) - x)^2            x comes back          (option cycle_weight)
    code     v E mean over numbers of (mean of q(.|G(z)) - z)^2     z comes back          (option code_weight)

Beside the pair's number the critic has one of the image alone and one of the code alone, each in the same loss (option
unary; BigBiGAN, Donahue & Simonyan 2019, section 2): the distribution of codes is matched at once, not by way of pairs.
With both weights 0 and unary False it is plain ALI. The critic is under spectral norm: without a bound on its slope it
tells the pairs apart for good within a hundred steps, since the codes of images begin far from the prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ... import nn
from ...autograd import Tensor, no_grad
from ...functional import mse_loss
from ..networks.dcgan import glorot_init_
from ..networks.encoders import PairCritic, reparametrised
from ..options import OBJECTIVE, option
from ..train import STREAMS
from ..tricks import spectral_norm_
from .ae import SHOWN, CodeOptions, CodeTrainer
from .system import Result, System


@dataclass(frozen=True)
class InferenceOptions(CodeOptions):
    """The options of `ali`."""

    cycle_weight: float = option(10.0, "Weight of images that come back through their codes; 0 for ALI.", OBJECTIVE, 0)
    unary: bool = option(True, "The critic also judges image and code each alone; False for ALI.", OBJECTIVE)
    code_weight: float = option(1.0, "Weight of codes that come back through their images; 0 for ALI.", OBJECTIVE, 0)

    loss: ClassVar[str] = "non-saturating"


class InferenceTrainer(CodeTrainer):
    """`ali`."""

    streams: ClassVar = {**STREAMS, "noise_d": 8, "noise_g": 9}

    def build(self) -> tuple[nn.Module, nn.Module]:
        """(the encoder and the generator as one player, the critic of pairs under spectral norm)."""
        options, random = self.options, self.random["init"]
        critic = PairCritic(self.info.shape[-1], options.latent, options.size, options.base, options.unary)
        return self.codec(), spectral_norm_(glorot_init_(critic, random), random)

    def critic_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What the critic minimises on (x, E(x)), which it is to call real, and (G(z), z)."""
        x = self.batch["real"]
        with no_grad():
            code = reparametrised(*self.generator.posterior(x), self.random["noise_d"])
            z = self.inputs(len(x), self.random["latent_d"])
            fake = self.generator(z)
        d_real, d_fake = self.critic(x, code), self.critic(fake, z)
        objective = self.loss.discriminator(d_real, d_fake)
        return objective, {"d_loss": objective, **self.loss.figures(d_real, d_fake)}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What generator and encoder minimise: each pair to be taken for the other kind, and what must come back."""
        options, network, x = self.options, self.generator, self.batch["real"]
        means, log_sigma = network.posterior(x)
        code = reparametrised(means, log_sigma, self.random["noise_g"])
        z = self.inputs(len(x), self.random["latent_g"])
        fake = network(z)
        adversarial = self.loss.generator(self.critic(fake, z)) + self.loss.generator(-self.critic(x, code))
        objective, figures = adversarial, {"g_loss": adversarial}
        if options.cycle_weight:
            figures["cycle"] = mse_loss(network(code), x)
            objective = objective + options.cycle_weight * figures["cycle"]
        if options.code_weight:
            figures["code"] = mse_loss(network.posterior(fake)[0], z)
            objective = objective + options.code_weight * figures["code"]
        return objective, figures

    def formulas(self) -> dict[str, str]:
        return {
            "d_loss": "−ln D(x, E(x)) − ln (1 − D(G(z), z))",
            "g_loss": "−ln D(G(z), z) − ln (1 − D(x, E(x)))",
        }


ALI = System(
    InferenceOptions(
        "ali",
        network="dcgan",
        latent=10,
        base=16,
        beta1=0.5,
        beta2=0.999,
        lr=5e-4,
        n_critic=1,
        steps=1800,
        average=0.995,
    ),
    "a critic of pairs of image and code: the generator gets an inverse",
    "Dumoulin et al. 2017; Donahue et al. 2017; cycle: Li et al. 2017",
    InferenceTrainer,
    results=(
        Result(
            f"{SHOWN}; codes of held-out images against the prior p = {{prior[p]:.3f}};"
            " {confident:.1%} confident (real {real_confident:.1%}), Frechet {frechet:.1f} (real {real_frechet:.1f})"
        ),
    ),
)
