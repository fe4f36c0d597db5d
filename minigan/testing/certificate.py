"""The certificate that `minigan gradcheck` prints: every op's derivatives, or a whole training step's, measured.

For each op of the table, or each parameter of a model's loss: the worst error at orders 1, 2 and 3 against finite
differences, and at orders 0, 1 and 2 against PyTorch where that is installed. See `gradcheck` for what is compared and
why the tolerances are what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

import numpy as np

from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import default_device, default_generator, device, to_device
from ..data import Dataset, info
from ..gan.losses import loss
from ..gan.networks.dcgan import DCGANCritic, DCGANGenerator
from ..gan.penalties import gradient_penalty
from ..gan.systems.table import options_for, system, trainer_for
from ..gan.train import Trainer
from .gradcheck import GradcheckError, check_order, order_errors, torch_errors
from .opdb import OpCase, cases

ORDERS, TORCH_ORDERS = (1, 2, 3), (0, 1, 2)


@dataclass
class Row:
    """One op or parameter: how many cases were tried, the worst error by order, and what failed first."""

    name: str
    cases: int = 0
    differences: dict[int, float] = field(default_factory=dict)
    torch: dict[int, float] = field(default_factory=dict)
    failure: str | None = None

    def text(self) -> str:
        """One line of the table."""
        columns = [(self.differences, ORDERS), (self.torch, TORCH_ORDERS)]
        numbers = [f"{e[k]:>6.0e}" if e.get(k) else f"{'0' if k in e else '-':>6}" for e, at in columns for k in at]
        verdict = "pass" if self.failure is None else f"FAIL  {self.failure}"
        return f"{self.name:<36} {self.cases:>5}  {' '.join(numbers)}   {verdict}"


HEADER = f"{'':<36} {'':>5}  {'finite differences':<20} {'PyTorch':<20}\n" + (
    f"{'op or parameter':<36} {'cases':>5}  {' '.join(f'{k:>6}' for k in (*ORDERS, *TORCH_ORDERS))}"
)


@dataclass
class Certificate:
    """All rows. `shown`: whether they were shown as they came, so that `text` need not repeat them."""

    rows: list[Row]
    seed: int
    torch: str | None
    shown: bool = False

    @property
    def passed(self) -> bool:
        """Whether every row did."""
        return all(row.failure is None for row in self.rows)

    def text(self) -> str:
        """The table (unless it was shown already) and a closing line."""
        failures = sum(row.failure is not None for row in self.rows)
        worst = max((e for row in self.rows for e in row.differences.values()), default=0.0)
        against = f"PyTorch {self.torch}" if self.torch else "PyTorch not installed, so not compared with it"
        table = [] if self.shown else [HEADER, *(row.text() for row in self.rows)]
        cases = sum(row.cases for row in self.rows)
        verdict = f"{len(self.rows) - failures} of {len(self.rows)} pass"
        return "\n".join([*table, f"{verdict}; {cases} cases, worst error against differences {worst:.0e}; {against}"])

    def as_dict(self) -> dict:
        """The same as JSON can hold it."""
        rows = [
            {"name": r.name, "cases": r.cases, "differences": r.differences, "torch": r.torch, "failure": r.failure}
            for r in self.rows
        ]
        return {"passed": self.passed, "seed": self.seed, "torch": self.torch, "rows": rows}


def certify(
    ops: Sequence[str] | None = None, seed: int = 0, show: Callable[[str], object] | None = None
) -> Certificate:
    """Check the named ops (all if None) on the default device. show: called with each line of the table as it is ready.

    Raises ValueError for a name that is not in the table.
    """
    by_op: dict[str, dict[str, OpCase]] = {}
    for name in ops or (None,):
        for case in cases(name):
            by_op.setdefault(case.op, {})[case.name] = case
    return _collect((_op_row(op, group.values(), seed) for op, group in by_op.items()), seed, show)


def certify_model(name: str, seed: int = 0, show: Callable[[str], object] | None = None) -> Certificate:
    """Check every parameter's gradient in each loss of a whole step of the system `name`, in float64 on a small
    network, run on the default device.

    Raises ValueError, naming the facts ones, for an unknown system.
    """
    system(name)
    state = default_generator.state_dict()  # building layers draws weights, which are then overwritten
    where = default_device()
    with device("cpu"):  # drawn there, then moved: the same numbers on every device
        steps = WITH_TORCH[name](seed, where) if name in WITH_TORCH else _steps_of(name, seed, where)
    default_generator.load_state_dict(state)
    return _collect((row for step in steps for row in _step_rows(step, seed)), seed, show)


def _collect(rows: Iterator[Row], seed: int, show) -> Certificate:
    certificate = Certificate([], seed, _torch_version(), show is not None)
    if show:
        show(HEADER)
    for row in rows:
        certificate.rows.append(row)
        if show:
            show(row.text())
    return certificate


def _keep(worst: dict[int, float], order: int, error: float) -> None:
    worst[order] = max(worst.get(order, 0.0), error)


def _torch_version() -> str | None:
    if find_spec("torch") is None:
        return None
    import torch

    return torch.__version__


def _op_row(op: str, group: Iterable[OpCase], seed: int) -> Row:
    """All samples of all rows of one op; values drawn from `seed`."""
    row = Row(op)
    with_torch = find_spec("torch") is not None
    for case in group:
        for sample in (replace(s, seed=seed) for s in case.samples):
            fn, inputs, what = case.bound(sample), case.tensors(sample), f"{case}({sample})"
            row.cases += 1
            try:
                for order in range(1, case.max_order + 1):
                    _keep(row.differences, order, check_order(fn, inputs, order, seed=seed, name=what))
                if with_torch and case.torch_fn is not None:
                    for order in range(case.torch_order + 1):
                        errors = torch_errors(fn, case.bound_torch(sample), inputs, order, seed=seed, name=what)
                        _keep(row.torch, order, max(errors, default=0.0))
            except (GradcheckError, ValueError, TypeError, IndexError) as error:
                row.failure = row.failure or str(error)
    return row


@dataclass(frozen=True)
class Step:
    """One loss of a training step as a function of its parameters: fn(*tensors), torch_fn(*torch tensors).

    orders: those checked against differences.
    """

    label: str
    names: tuple[str, ...]
    parameters: tuple[np.ndarray, ...]
    fn: Callable[..., Tensor]
    torch_fn: Callable | None = None
    orders: tuple[int, ...] = ORDERS


def _step_rows(step: Step, seed: int) -> list[Row]:
    """One row per parameter; all are differentiated together, so that mixed derivatives count too."""
    rows = [Row(f"{step.label} {name}", 1) for name in step.names]
    inputs = [Tensor(to_device(p, default_device())).requires_grad_() for p in step.parameters]
    try:
        for order in step.orders:
            errors = order_errors(step.fn, inputs, order, seed=seed, name=step.label)
            for i, row in enumerate(rows):
                _keep(row.differences, order, errors[i])
        if step.torch_fn is not None and find_spec("torch") is not None:
            for order in TORCH_ORDERS:
                errors = torch_errors(step.fn, step.torch_fn, inputs, order, seed=seed, name=step.label)
                for row, error in zip(rows, errors if order else errors * len(rows), strict=True):
                    _keep(row.torch, order, error)
    except GradcheckError as error:
        rows[error.input if error.order and isinstance(error.input, int) else 0].failure = str(error)
    return rows


# The systems. Each entry makes the losses of one training step from a seed.

COUNT, ATTEMPTS = 12, 1000
COMPARED = frozenset({"minimum", "maximum"})
KINKED = COMPARED | {"leaky_relu", "relu", "abs"}
MARGIN = 1e-3
"""Networks and data are drawn until every input of a rectifier is this far from its kink; the differences' steps of
1e-5 then never cross one, where a gradient penalty jumps."""


def _wgan_gp(seed: int, where: str) -> list[Step]:
    """The critic's step: E f(fake) - E f(real) + 10 times the gradient penalty."""
    for rng in _draws(seed):
        critic = _drawn(DCGANCritic(1, 16, 2), rng)
        real, fake = (Tensor(rng.uniform(-1, 1, (2, 1, 16, 16))) for _ in range(2))
        eps = Tensor(rng.random((2, 1, 1, 1)))
        points = Tensor(fake.data + eps.data * (real.data - fake.data))
        if all(_margin(critic.main, x) > MARGIN for x in (real, fake, points)):
            break
    names, parameters = _parameters(critic)
    critic.to(where)
    x, z, at = (t.to(where) for t in (real, fake, eps))

    def step(*tensors):
        def f(x):
            return nn.functional_call(critic, dict(zip(names, tensors, strict=True)), x)

        penalty, _ = gradient_penalty(f, x, z, at)
        return loss("wasserstein").discriminator(f(x), f(z)) + 10 * penalty

    def torch_step(*tensors):
        import torch

        def f(x):
            return _torch_forward(critic.main, dict(zip(names, tensors, strict=True)), x).reshape(-1)

        x = torch.tensor(points.data, requires_grad=True)
        (slope,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        return f(torch.tensor(fake.data)).mean() - f(torch.tensor(real.data)).mean() + 10 * penalty

    return [Step("critic", _shown(names, parameters), parameters, step, torch_step)]


def _dcgan(seed: int, where: str) -> list[Step]:
    """Both players' steps with batch norm and the non-saturating loss."""
    for rng in _draws(seed):
        generator, critic = _drawn(DCGANGenerator(2, 1, 16, 2), rng), _drawn(DCGANCritic(1, 16, 2, norm=True), rng)
        z, real = Tensor(rng.standard_normal((3, 2, 1, 1))), Tensor(rng.uniform(-1, 1, (3, 1, 16, 16)))
        fake = Tensor(generator.main(z).data)
        if min(_margin(generator.main, z), _margin(critic.main, real), _margin(critic.main, fake)) > MARGIN:
            break
    row = loss("non-saturating")
    d_names, d_parameters = _parameters(critic)
    g_names, g_parameters = _parameters(generator)
    generator.to(where), critic.to(where)
    reals, fakes, latents = (t.to(where) for t in (real, fake, z))

    def d_step(*tensors):
        own = dict(zip(d_names, tensors, strict=True))
        return row.discriminator(nn.functional_call(critic, own, reals), nn.functional_call(critic, own, fakes))

    def g_step(*tensors):
        images = nn.functional_call(generator.main, _inner(g_names, tensors), latents)
        return row.generator(critic(images))

    def torch_d_step(*tensors):
        import torch

        own = dict(zip(d_names, tensors, strict=True))
        on_real, on_fake = (_torch_forward(critic.main, own, torch.tensor(x.data)) for x in (real, fake))
        return torch.nn.functional.softplus(-on_real).mean() + torch.nn.functional.softplus(on_fake).mean()

    def torch_g_step(*tensors):
        import torch

        images = _torch_forward(generator.main, dict(zip(g_names, tensors, strict=True)), torch.tensor(z.data))
        frozen = {name: torch.tensor(p) for name, p in zip(d_names, d_parameters, strict=True)}
        return torch.nn.functional.softplus(-_torch_forward(critic.main, frozen, images)).mean()

    return [
        Step("critic", _shown(d_names, d_parameters), d_parameters, d_step, torch_d_step),
        Step("generator", _shown(g_names, g_parameters), g_parameters, g_step, torch_g_step),
    ]


# Systems whose steps were written down for PyTorch too.
WITH_TORCH: dict[str, Callable[[int, str], list[Step]]] = {"wgan-gp": _wgan_gp, "dcgan": _dcgan}


def _steps_of(name: str, seed: int, where: str) -> list[Step]:
    """Both players' losses of any system, by a small trainer of it on random images, to second order.

    A step is a function of one number for each parameter p: how far p is moved along a random direction of length 1. So
    a network of thousands of weights takes two evaluations a parameter, and each derivative has all its weights in it.
    """
    for attempt in range(ATTEMPTS):
        trainer = _tiny(name, seed, attempt)
        begin = {stream: random.state_dict() for stream, random in trainer.random.items()}
        losses = {"critic": trainer.critic_loss, "generator": trainer.generator_loss}
        rngs = (np.random.default_rng((seed, attempt, i)) for i in range(2))
        steps = [_step_along(trainer, *of, begin, rng) for of, rng in zip(losses.items(), rngs, strict=True)]
        if all(_kink_distance(s.fn(*(Tensor(p).requires_grad_() for p in s.parameters))) > MARGIN / 10 for s in steps):
            break
    else:
        raise RuntimeError(f"{name}: no weights found in {ATTEMPTS} draws with all rectifiers away from their kinks")
    for module in (trainer.generator, trainer.critic):
        module.to(where)
    for table in (trainer.batch, trainer.memory):
        table.update({key: t.to(where) for key, t in table.items()})
    return steps


def _step_along(trainer: Trainer, player: str, loss_of: Callable, begin: dict, rng: np.random.Generator) -> Step:
    """A player's objective as a function of how far each of its parameters is moved along a random direction; each call
    draws the same random numbers."""
    module = getattr(trainer, player)
    names, parameters = _parameters(module)
    directions = [rng.standard_normal(p.shape) for p in parameters]
    directions = [d / np.linalg.norm(d) for d in directions]

    def objective(*lengths):
        for stream, state in begin.items():
            trainer.random[stream].load_state_dict(state)
        moved_to = {
            name: Tensor(to_device(p, default_device())) + t * Tensor(to_device(d, default_device()))
            for name, p, d, t in zip(names, parameters, directions, lengths, strict=True)
        }
        with nn.substituted(module, moved_to):
            return loss_of()[0]

    return Step(player, _shown(names, parameters), tuple(np.zeros(()) for _ in names), objective, orders=(1, 2))


def _tiny(name: str, seed: int, attempt: int) -> Trainer:
    """A small float64 trainer of a system, its batch filled with noise, its weights drawn so that activations are near
    1."""
    row = system(name)
    small = {"size": 16, "base": 2, "batch_size": 3, "latent": 2, "n_critic": 1, "blocks": 1, "ramp": 0, "seed": seed}
    options = options_for(name, capture=False, **{key: value for key, value in small.items() if key in row.takes})
    facts = info(options.data)
    rng = np.random.default_rng((seed, attempt))
    images = rng.integers(0, 256, (COUNT, options.size, options.size, facts.shape[-1])).astype(np.uint8)
    labels = np.arange(COUNT) % len(facts.class_names) if facts.class_names else None
    values = [rng.integers(0, len(values), COUNT) for values in facts.attributes.values()]
    dataset = Dataset(
        replace(facts, count=COUNT, shape=images.shape[1:], held_out=0),
        images,
        labels,
        np.stack(values, 1) if values else None,
        np.arange(COUNT),
        np.arange(0),
    )
    trainer = trainer_for(options, dataset)
    for module in (trainer.generator, trainer.critic):
        _drawn(module, rng)
    trainer.double()
    trainer.anneal()
    trainer.feed()
    for layer in (*trainer.generator.modules(), *trainer.critic.modules()):
        if isinstance(getattr(layer, "weight_u", None), Tensor):  # spectral norm: its vectors converge and stand still
            with no_grad():
                for _ in range(100):
                    layer.run_pre_hooks()
            layer.eval()
    return trainer


def _kink_distance(y: Tensor) -> float:
    """How near any op that y was made by comes to a kink: the smallest |x| of a rectifier's or absolute value's input,
    the smallest gap of two compared numbers."""
    least, visited, queue = np.inf, set(), [y.node]
    while queue:
        node = queue.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        queue.extend(x.node for x in node.inputs)
        if node.op.name in KINKED:
            gap = node.inputs[0].data if node.op.name not in COMPARED else node.inputs[0].data - node.inputs[1].data
            least = min(least, float(np.abs(gap).min(initial=np.inf)))
    return least


def _draws(seed: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng((seed, attempt)) for attempt in range(1000))


def _drawn(network: nn.Module, rng: np.random.Generator) -> nn.Module:
    """The network in float64, its weights normal, with the spread that keeps activations near 1."""
    network.double().requires_grad_(False)
    for p in network.parameters():
        fan = max(1, int(np.prod(p.shape[1:])))
        p.assign(rng.standard_normal(p.shape) / np.sqrt(fan) + (1.0 if p.ndim == 1 else 0.0))
    return network


def _parameters(network: nn.Module) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    names, tensors = zip(*network.named_parameters(), strict=True)
    return names, tuple(t.data for t in tensors)


def _shown(names: Sequence[str], parameters: Sequence[np.ndarray]) -> tuple[str, ...]:
    """Parameters as rows of the table name them."""
    return tuple(f"{name} {p.shape}" for name, p in zip(names, parameters, strict=True))


def _inner(names: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """Parameters by their names inside `main`."""
    return {name.removeprefix("main."): t for name, t in zip(names, tensors, strict=True)}


def _margin(layers: nn.Sequential, x: Tensor) -> float:
    """The smallest distance of a rectifier's input from zero."""
    least = np.inf
    for layer in layers:
        if isinstance(layer, (nn.ReLU, nn.LeakyReLU)):
            least = min(least, float(np.abs(x.data).min()))
        x = layer(x)
    return least


def _torch_forward(layers: nn.Sequential, parameters: dict, x):
    """What `layers` compute, in PyTorch, with the given parameters (by their names under `main.`)."""
    from torch.nn import functional as F

    for i, layer in enumerate(layers):
        weight, bias = (parameters.get(f"main.{i}.{name}") for name in ("weight", "bias"))
        if isinstance(layer, nn.Conv2d):
            x = F.conv2d(x, weight, bias, layer.stride, layer.padding)
        elif isinstance(layer, nn.ConvTranspose2d):
            x = F.conv_transpose2d(x, weight, bias, layer.stride, layer.padding)
        elif isinstance(layer, nn.BatchNorm2d):
            x = F.batch_norm(x, None, None, weight, bias, True, eps=layer.eps)
        elif isinstance(layer, nn.LeakyReLU):
            x = F.leaky_relu(x, layer.settings["negative_slope"])
        else:
            x = {nn.ReLU: F.relu, nn.Tanh: F.tanh}[type(layer)](x)
    return x
