"""Seeded faults: right programs (programs/*.py) with one change each, and the name that `minigan doctor` must give it.

`old -> new`, as many pairs as the change needs; several names are good where one change is two faults. `late` faults
were not looked at while the rules were written.
"""
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
STEPS = {
    "wgan_gp_points": "step",
    "dcgan_tutorial": "train_step",
    "lsgan_class": "step",
    "wgan_clip": "iteration",
    "r1_images": "step",
    "minimax_mlp": "step",
    "hinge_conditional": "update",
    "script_loop": "main",
    "torch_dcgan": "step",
    "torch_wgan_gp": "step",
}
"""Program -> the function to look at."""


@dataclass(frozen=True)
class Fault:
    """names: those that are right for it, the first one best."""

    title: str
    program: str
    changes: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    late: bool = False

    def source(self) -> str:
        """The program with the fault in it."""
        text = (PROGRAMS / f"{self.program}.py").read_text()
        for old, new in self.changes:
            assert text.count(old) >= 1, f"{self.title}: {old!r} is not in {self.program}"
            text = text.replace(old, new)
        return text


FAULTS: list[Fault] = []


def fault(title: str, program: str, names: str, *changes: tuple[str, str], late: bool = False) -> None:
    """Register one."""
    FAULTS.append(Fault(title, program, changes, tuple(names.split()), late))


# Players that do not train.
fault(
    "G's optimiser is never called",
    "dcgan_tutorial",
    "generator-never-trains",
    ("    optimizerG.step()\n", ""),
)
fault(
    "the optimiser of D is given to G's step",
    "wgan_gp_points",
    "generator-never-trains wrong-parameters",
    ("opt_G = optim.Adam(G.parameters()", "opt_G = optim.Adam(D.parameters()"),
    ("    D.requires_grad_(False)\n", ""),
)
fault(
    "zero_grad between backward and step",
    "lsgan_class",
    "generator-never-trains",
    ("        self.g_optimizer.step()\n", "        self.g_optimizer.zero_grad()\n        self.g_optimizer.step()\n"),
)
fault(
    "fake is detached in G's loss",
    "dcgan_tutorial",
    "no-gradient-to-generator generator-never-trains",
    ("output = netD(fake)", "output = netD(fake.detach())"),
    late=True,
)
fault(
    "G's images pass through NumPy",
    "wgan_clip",
    "no-gradient-to-generator generator-never-trains",
    ("critic(gen(mg.randn(M, 3))).mean()", "critic(mg.tensor(gen(mg.randn(M, 3)).detach().numpy())).mean()"),
    ("g_loss.backward(inputs=list(gen.parameters()))", "g_loss.backward()"),
)
fault(
    "no_grad around G in G's step",
    "r1_images",
    "no-gradient-to-generator generator-never-trains",
    (
        "    loss = softplus(-disc(generator(mg.randn(BATCH, 5)))).mean()\n    loss.backward(inputs=list(generator.parameters()))",
        "    with mg.no_grad():\n        fake = generator(mg.randn(BATCH, 5))\n    loss = softplus(-disc(fake)).mean()\n    loss.backward()",
    ),
    late=True,
)
fault(
    "images are rounded to grey values",
    "minimax_mlp",
    "no-gradient-to-generator generator-never-trains",
    ("fake = G(mg.rand(n, Z) * 2 - 1)", "fake = (G(mg.rand(n, Z) * 2 - 1) * 255).round() / 255"),
)
fault(
    "a learning rate of nought",
    "hinge_conditional",
    "generator-never-trains",
    ("optim.Adam(g.parameters(), 1e-3, (0.0, 0.9))", "optim.Adam(g.parameters(), 0.0, (0.0, 0.9))"),
    late=True,
)
fault(
    "D stays frozen after the first G step",
    "wgan_gp_points",
    "critic-never-trains",
    ("    D.requires_grad_(True)\n", ""),
)
fault(
    "D's loss is made of numbers",
    "minimax_mlp",
    "critic-never-trains",
    ("D(real), ones)", "D(real).detach(), ones)"),
    ("binary_cross_entropy(D(fake.detach()), zeros)", "binary_cross_entropy(D(fake).detach(), zeros)"),
    ("    d_loss.backward()\n", "    d_loss.requires_grad_().backward()\n"),
    late=True,
)
fault(
    "networks are made again after their optimiser",
    "lsgan_class",
    "generator-never-trains wrong-parameters",
    (
        "        self.rng = np.random.default_rng(seed)\n",
        "        self.rng = np.random.default_rng(seed)\n        self.generator = nn.Sequential(nn.Linear(6, 36), nn.Tanh(),"
        " nn.Unflatten(1, (1, 6, 6)))\n",
    ),
)
fault(
    "D's optimiser takes G's parameters, too",
    "r1_images",
    "wrong-parameters",
    ("d_opt = optim.Adam(disc.parameters()", "d_opt = optim.Adam([*disc.parameters(), *generator.parameters()]"),
    ("generator(mg.randn(BATCH, 5)).detach()", "generator(mg.randn(BATCH, 5))"),
)
fault(
    "one optimiser for both in G's step",
    "wgan_clip",
    "wrong-parameters",
    ("gen_opt = optim.RMSprop(gen.parameters()", "gen_opt = optim.RMSprop([*gen.parameters(), *critic.parameters()]"),
    ("g_loss.backward(inputs=list(gen.parameters()))", "g_loss.backward()"),
    late=True,
)
# Gradients that pile up.
fault(
    "zero_grad is missing for D",
    "lsgan_class",
    "gradients-pile-up",
    ("        self.d_optimizer.zero_grad()\n", ""),
)
fault(
    "zero_grad is missing for G",
    "wgan_gp_points",
    "gradients-pile-up",
    ("    opt_G.zero_grad()\n", ""),
    late=True,
)
fault(
    "G's loss leaves gradients in D",
    "minimax_mlp",
    "gradients-pile-up other-players-gradients",
    ("    g_loss.backward(inputs=list(G.parameters()))\n", "    g_loss.backward()\n"),
    ("    optD.zero_grad()\n", ""),
    ("    optD.step()\n", "    optD.step()\n    optD.zero_grad()\n"),
)
fault(
    "D's loss leaves gradients in G",
    "dcgan_tutorial",
    "other-players-gradients",
    ("errD_fake = bce(netD(fake.detach()), fake_label)", "errD_fake = bce(netD(fake), fake_label)"),
    ("    netG.zero_grad()\n    output", "    fake = netG(noise)\n    output"),
    ("    netD.zero_grad()\n", "    netD.zero_grad()\n    netG.zero_grad()\n"),
)
fault(
    "D's loss trains G, too: fake is not detached and G's optimiser steps",
    "hinge_conditional",
    "other-players-gradients wrong-parameters",
    ("d(fake.detach(), y)", "d(fake, y)"),
    ("    od.step()\n    for", "    od.step()\n    og.step()\n    og.zero_grad()\n    for"),
    ("    og.zero_grad()\n    g_loss.backward()", "    g_loss.backward()"),
    late=True,
)
fault(
    "G's step changes D: D not frozen, its gradients not cleared",
    "lsgan_class",
    "other-players-gradients gradients-pile-up",
    ("g_loss.backward(inputs=list(self.generator.parameters()))", "g_loss.backward()"),
    ("        self.d_optimizer.zero_grad()\n", ""),
    late=True,
)
fault(
    "D is not frozen in G's step",
    "r1_images",
    "critic-not-frozen",
    ("loss.backward(inputs=list(generator.parameters()))", "loss.backward()"),
)
fault(
    "fakes are not detached in D's step",
    "r1_images",
    "fake-not-detached",
    ("generator(mg.randn(BATCH, 5)).detach()", "generator(mg.randn(BATCH, 5))"),
    late=True,
)
# Signs and labels.
fault(
    "the critic's sign",
    "wgan_gp_points",
    "same-direction",
    ("D(fake).mean() - D(real).mean()", "D(real).mean() - D(fake).mean()"),
)
fault("the generator's sign", "wgan_clip", "same-direction", ("g_loss = -critic(gen", "g_loss = critic(gen"), late=True)
fault(
    "D's labels are swapped",
    "dcgan_tutorial",
    "same-direction",
    ("bce(netD(real), real_label)", "bce(netD(real), fake_label)"),
    ("bce(netD(fake.detach()), fake_label)", "bce(netD(fake.detach()), real_label)"),
)
fault(
    "G's label is fake",
    "lsgan_class",
    "same-direction",
    (
        "g_loss = 0.5 * mse_loss(self.discriminator(generated), valid)",
        "g_loss = 0.5 * mse_loss(self.discriminator(generated), invalid)",
    ),
    late=True,
)
fault(
    "both labels of D are one",
    "minimax_mlp",
    "one-label",
    ("binary_cross_entropy(D(fake.detach()), zeros)", "binary_cross_entropy(D(fake.detach()), ones)"),
    ("binary_cross_entropy(D(fake), ones)", "binary_cross_entropy(D(fake), ones)"),
)
fault(
    "a hinge with both signs alike",
    "hinge_conditional",
    "one-label same-direction",
    ("relu(1 + d(fake.detach(), y))", "relu(1 - d(fake.detach(), y))"),
    late=True,
)
# The penalty.
fault("no create_graph", "wgan_gp_points", "penalty-without-graph", (", create_graph=True", ""))
fault("no create_graph in R1", "r1_images", "penalty-without-graph", (", create_graph=True", ""), late=True)
fault(
    "the norm over the batch", "wgan_gp_points", "penalty-over-wrong-axes", ("(grads**2).sum(1)", "(grads**2).sum(0)")
)
fault(
    "the norm over everything",
    "wgan_gp_points",
    "penalty-over-wrong-axes",
    ("(grads**2).sum(1)", "(grads**2).sum()"),
    late=True,
)
fault(
    "the norm over the channels",
    "r1_images",
    "penalty-over-wrong-axes",
    (
        "0.5 * GAMMA * g.square().sum((1, 2, 3)).mean()",
        "GAMMA * ((g.square().sum(1) + 1e-12).sqrt() - 1).square().mean()",
    ),
)
fault("one eps for the batch", "wgan_gp_points", "penalty-one-eps", ("eps = mg.rand(BATCH, 1)", "eps = mg.rand(1, 1)"))
fault(
    "an eps for each coordinate",
    "wgan_gp_points",
    "penalty-at-wrong-points",
    ("eps = mg.rand(BATCH, 1)", "eps = mg.rand(BATCH, 2)"),
    late=True,
)
fault(
    "eps from a normal distribution",
    "wgan_gp_points",
    "penalty-at-wrong-points",
    ("eps = mg.rand(BATCH, 1)", "eps = mg.randn(BATCH, 1)"),
)
fault(
    "target one at the reals",
    "r1_images",
    "penalty-at-wrong-points",
    (
        "0.5 * GAMMA * g.square().sum((1, 2, 3)).mean()",
        "GAMMA * ((g.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square().mean()",
    ),
    late=True,
)
fault(
    "points of noise",
    "wgan_gp_points",
    "penalty-at-wrong-points",
    ("x_hat = (eps * real + (1 - eps) * fake)", "x_hat = mg.randn(BATCH, 2)"),
)
fault("the penalty is subtracted", "wgan_gp_points", "penalty-sign", ("+ LAMBDA * penalty", "- LAMBDA * penalty"))
fault("R1 is subtracted", "r1_images", "penalty-sign", ("mean() + penalty\n", "mean() - penalty\n"), late=True)
fault(
    "the root is forgotten",
    "wgan_gp_points",
    "penalty-form",
    ("((grads**2).sum(1) + 1e-12).sqrt()", "(grads**2).sum(1)"),
)
fault(
    "the square is forgotten",
    "wgan_gp_points",
    "penalty-form",
    ("((norms - 1) ** 2).mean()", "(norms - 1).mean()"),
    late=True,
)
fault(
    "a sigmoid at the end of the critic",
    "wgan_gp_points",
    "penalty-on-sigmoid wasserstein-sigmoid",
    ("nn.Linear(16, 1))", "nn.Linear(16, 1), nn.Sigmoid())"),
)
fault(
    "batch norm in the penalised critic",
    "wgan_gp_points",
    "penalty-with-batch-norm",
    (
        "D = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2)",
        "D = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.LeakyReLU(0.2)",
    ),
)
fault(
    "batch norm in the R1 critic",
    "r1_images",
    "penalty-with-batch-norm",
    (
        "disc = nn.Sequential(conv_block(3, 12), conv",
        "disc = nn.Sequential(conv_block(3, 12), nn.BatchNorm2d(12), conv",
    ),
    late=True,
)
BATCH_NORM = """class HandMade(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(np.ones(n, np.float32))

    def forward(self, x):
        mean, std = x.mean(0).detach(), x.var(0).sqrt().detach()
        return (x - mean) / (std + 1e-5) * self.weight


"""
fault(
    "batch norm by hand, statistics constant",
    "lsgan_class",
    "wrong-derivative",
    ("class LSGAN:", BATCH_NORM + "class LSGAN:"),
    ("nn.Linear(36, 24), nn.LeakyReLU(0.2)", "nn.Linear(36, 24), HandMade(24), nn.LeakyReLU(0.2)"),
)
SWISH = """class Swish(mg.Op):
    def forward(self, x):
        self.s = 1 / (1 + np.exp(-x))
        return x * self.s

    def vjp(self, node, need, g):
        (x,) = node.inputs
        s = mg.tensor(self.s)
        return (g * (s + x * s * (1 - s)),)


class Act(nn.Module):
    def forward(self, x):
        return Swish()(x)


"""
fault(
    "an op whose second derivative is cut",
    "wgan_gp_points",
    "wrong-derivative",
    ("mg.manual_seed(3)\n", SWISH + "mg.manual_seed(3)\n"),
    ("nn.Linear(2, 16), nn.LeakyReLU(0.2)", "nn.Linear(2, 16), Act()"),
    late=True,
)
# Wasserstein.
fault(
    "clipped before the step",
    "wgan_clip",
    "clipped-before-step",
    ("        critic_opt.step()\n        clip(CLIP)\n", "        clip(CLIP)\n        critic_opt.step()\n"),
    ("lr=5e-5)\ngen_opt", "lr=5e-4)\ngen_opt"),
)
fault(
    "neither clipping nor penalty",
    "wgan_clip",
    "wasserstein-unbounded",
    ("        clip(CLIP)\n", ""),
    ("clip(CLIP)\n", ""),
)
fault("no penalty added", "wgan_gp_points", "wasserstein-unbounded", (" + LAMBDA * penalty(real, fake)", ""), late=True)
fault(
    "a sigmoid on the clipped critic",
    "wgan_clip",
    "wasserstein-sigmoid",
    ("nn.Linear(20, 1))\ncritic_opt", "nn.Linear(20, 1), nn.Sigmoid())\ncritic_opt"),
    late=True,
)
# Outputs and data.
fault(
    "two sigmoids",
    "dcgan_tutorial",
    "two-sigmoids",
    (
        "nn.Conv2d(16, 1, 2, 1, 0, bias=False),\n        )",
        "nn.Conv2d(16, 1, 2, 1, 0, bias=False),\n            nn.Sigmoid(),\n        )",
    ),
)
fault("images in [0, 1] against tanh", "dcgan_tutorial", "data-range", ("uniform(-1, 1, (96", "uniform(0, 1, (96"))
fault(
    "grey values against tanh",
    "lsgan_class",
    "data-range",
    (".astype(np.float32) / 127.5 - 1)", ".astype(np.float32))"),
    late=True,
)
fault(
    "a sigmoid against images in [-1, 1]",
    "r1_images",
    "data-range",
    ("nn.Conv2d(12, 3, 1),\n    nn.Tanh()", "nn.Conv2d(12, 3, 1),\n    nn.Sigmoid()"),
)
fault(
    "a ReLU at the end of G",
    "lsgan_class",
    "data-range",
    ("nn.Linear(24, 36), nn.Tanh()", "nn.Linear(24, 36), nn.ReLU()"),
    late=True,
)
# Modes, memory, statistics.
fault(
    "the step in eval mode",
    "dcgan_tutorial",
    "eval-mode",
    ("def train_step():\n", "def train_step():\n    netG.eval()\n"),
)
fault(
    "G stays in eval mode after a preview",
    "lsgan_class",
    "eval-mode",
    (
        '        return {"d"',
        '        self.generator.eval()\n        self.preview = self.generator(self.noise()).detach()\n        return {"d"',
    ),
    late=True,
)
fault(
    "losses are kept with their graphs",
    "wgan_gp_points",
    "loss-kept-alive",
    ("history.append((loss_D.item(), loss_G.item()))", "history.append((loss_D, loss_G))"),
)
fault(
    "a running sum of losses",
    "lsgan_class",
    "loss-kept-alive",
    ("self.latent, self.batch = 6, 10", "self.latent, self.batch, self.total = 6, 10, 0.0"),
    ('        return {"d"', '        self.total = self.total + g_loss\n        return {"d"'),
    late=True,
)
fault("the average is never moved", "r1_images", "average-unused", ("    ema.update(generator)\n", ""))
fault(
    "the average is never sampled",
    "r1_images",
    "average-unused",
    ("ema.module(mg.randn(n, 5))", "generator(mg.randn(n, 5))"),
    late=True,
)
fault(
    "statistics are moved by D's look at interpolates",
    "dcgan_tutorial",
    "penalty-with-batch-norm penalty-moves-statistics",
    (
        "    errD_real.backward()\n",
        "    points = (real + 0.1 * mg.randn(*real.shape)).detach().requires_grad_()\n"
        "    (slope,) = mg.grad(netD(points).sum(), points, create_graph=True)\n"
        "    (errD_real + slope.square().sum((1, 2, 3)).mean()).backward()\n",
    ),
)
# Training that goes wrong in its numbers.
fault(
    "dead ReLUs",
    "wgan_clip",
    "dead-units",
    ("nn.Linear(5, 20), nn.ReLU()", "nn.Linear(5, 20), nn.ReLU()"),
    ("clip(CLIP)\n\n\ndef", "critic[0].bias.data[:] = -8.0\n\n\ndef"),
    ("        clip(CLIP)\n", ""),
)
WARM_UP = """_warm = optim.Adam(D.parameters(), lr=2e-2)
for _ in range(1000):
    _x, _f = mg.tensor(step_inputs()[0]), G(mg.rand(18, Z) * 2 - 1).detach()
    _warm.zero_grad()
    (F.softplus(-D[:-1](_x)).mean() + F.softplus(D[:-1](_f)).mean()).backward()
    _warm.step()


def step(images):"""
fault(
    "a saturated D",
    "minimax_mlp",
    "critic-saturated",
    ("def step(images):", WARM_UP),
    ("from minigan import nn, optim\n", "from minigan import functional as F\nfrom minigan import nn, optim\n"),
)
fault(
    "all samples are one",
    "lsgan_class",
    "collapsed",
    ("return mg.randn(self.batch, self.latent)", "return mg.randn(1, self.latent).expand(self.batch, self.latent)"),
    ("nn.Linear(6, 24), nn.BatchNorm1d(24)", "nn.Linear(6, 24)"),
)
fault(
    "G does not look at its latents",
    "hinge_conditional",
    "collapsed latents-ignored",
    ("[z, self.label(y)]", "[z * 0, self.label(y)]"),
    late=True,
)
fault(
    "the same latents every time",
    "wgan_clip",
    "fixed-latents",
    ("clip(CLIP)\n\n\ndef iteration", "clip(CLIP)\nZ = mg.randn(M, 3)\n\n\ndef iteration"),
    ("gen(mg.randn(M, 3))", "gen(Z)"),
)
fault(
    "weights that explode",
    "minimax_mlp",
    "exploding",
    ("optG = optim.Adam(G.parameters(), lr=1e-3", "optG = optim.Adam(G.parameters(), lr=10.0"),
)
fault(
    "gradients that explode", "wgan_gp_points", "exploding", ("LAMBDA = 16, 4, 10.0", "LAMBDA = 16, 4, 1e7"), late=True
)
fault("not a number", "minimax_mlp", "not-finite", ("D(fake.detach())", "(D(fake.detach()) - 2).sqrt()"), late=True)
fault(
    "rates out of proportion",
    "wgan_gp_points",
    "rates-out-of-proportion",
    ("opt_G = optim.Adam(G.parameters(), lr=1e-4", "opt_G = optim.Adam(G.parameters(), lr=1e-6"),
)
fault(
    "a rate fifty times the other",
    "hinge_conditional",
    "rates-out-of-proportion",
    ("optim.Adam(d.parameters(), 2e-3, (0.0, 0.9))", "optim.Adam(d.parameters(), 2e-5, (0.0, 0.9))"),
    late=True,
)
fault(
    "gradients are clipped after the step",
    "lsgan_class",
    "clipped-after-step",
    (
        "        self.d_optimizer.step()\n",
        "        self.d_optimizer.step()\n        nn.utils.clip_grad_norm_(self.discriminator.parameters(), 1e-3)\n",
    ),
)
fault(
    "no gradient to G in a script",
    "script_loop",
    "no-gradient-to-generator generator-never-trains",
    (
        "        fake = net_g(mg.randn(25, 2))\n        loss_g",
        "        fake = net_g(mg.randn(25, 2)).detach().requires_grad_()\n        loss_g",
    ),
    ("mg.grad(loss_g, g_params)", "mg.grad(loss_g, g_params, materialize_grads=True, allow_unused=True)"),
    late=True,
)
fault(
    "the sign in a script",
    "script_loop",
    "same-direction",
    ("softplus(net_d(fake) - net_d(x))", "softplus(net_d(x) - net_d(fake))"),
)
# PyTorch.
fault(
    "torch: fake detached in G's loss",
    "torch_dcgan",
    "no-gradient-to-generator generator-never-trains",
    ("criterion(netD(fake), torch.ones(n))", "criterion(netD(fake.detach()), torch.ones(n))"),
)
fault(
    "torch: swapped labels",
    "torch_dcgan",
    "same-direction",
    ("criterion(netD(real), torch.ones(n))", "criterion(netD(real), torch.zeros(n))"),
    ("criterion(netD(fake.detach()), torch.zeros(n))", "criterion(netD(fake.detach()), torch.ones(n))"),
    late=True,
)
fault(
    "torch: zero_grad is missing",
    "torch_dcgan",
    "gradients-pile-up other-players-gradients",
    ("    netD.zero_grad()\n", ""),
)
fault(
    "torch: losses are kept",
    "torch_dcgan",
    "loss-kept-alive",
    ("losses.append(errG.item())", "losses.append(errG)"),
    late=True,
)
fault("torch: images in [0, 1]", "torch_dcgan", "data-range", ("8, 8) * 2 - 1", "8, 8)"))
fault("torch: no create_graph", "torch_wgan_gp", "penalty-without-graph", (", create_graph=True", ""), late=True)
fault(
    "torch: the norm over the batch",
    "torch_wgan_gp",
    "penalty-over-wrong-axes",
    ("grads.norm(2, dim=1)", "grads.norm(2, dim=0)"),
)
fault("torch: one eps", "torch_wgan_gp", "penalty-one-eps", ("torch.rand(real.size(0), 1)", "torch.rand(1)"), late=True)
fault(
    "torch: the critic's sign",
    "torch_wgan_gp",
    "same-direction",
    ("D(fake).mean() - D(real).mean()", "D(real).mean() - D(fake).mean()"),
)
fault(
    "torch: a sigmoid under the penalty",
    "torch_wgan_gp",
    "penalty-on-sigmoid wasserstein-sigmoid",
    ("nn.Linear(24, 1))\nopt_g", "nn.Linear(24, 1), nn.Sigmoid())\nopt_g"),
    late=True,
)
fault(
    "torch: batch norm under the penalty",
    "torch_wgan_gp",
    "penalty-with-batch-norm",
    ("nn.Linear(2, 24), nn.LeakyReLU", "nn.Linear(2, 24), nn.BatchNorm1d(24), nn.LeakyReLU"),
)
