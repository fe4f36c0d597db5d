"""Two-player games with an exact answer: the bilinear game, the Dirac-GAN, and the Jacobian of any small GAN.

Player 1 owns x and minimises L_1(x, y), player 2 owns y and minimises L_2. The field v = (dL_1/dx, dL_2/dy) comes from
the autograd; every method is a map w -> w' of the point w = (x, y), built from v alone (gan/steps.py has the same ones
for networks). Whether a method converges is the spectral radius of that map's Jacobian at the equilibrium: below 1 it
does, above 1 it spirals outwards.

The Dirac-GAN (Mescheder et al. 2018, section 2): real data at 0, the generator puts all mass at theta, D(x) = psi x,
    L(theta, psi) = f(psi theta) + f(0),    f(t) = -ln(1 + exp(-t)),    G minimises L and D maximises it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...autograd import Tensor, grad
from ...backend import host
from ...functional import softplus
from ...ops.elementary import abs, square
from ...ops.index import cat
from ...ops.reduce import sum
from .. import steps
from ..losses import nearest

Losses = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Game:
    """losses(x, y) -> (L_1, L_2) for scalars x, y. bound: y is clipped to [-bound, bound] after each step, or None.
    consensus: gamma, both losses then include gamma/2 ||v||^2."""

    name: str
    losses: Losses
    formula: str
    start: tuple[float, float] = (1.0, 1.0)
    bound: float | None = None
    consensus: float = 0.0

    def field(self, w: Sequence[float], create_graph: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        """(the two coordinates as leaf tensors, v at w as two tensors)."""
        x, y = (Tensor(np.asarray(float(value))).requires_grad_() for value in w)
        losses = self.losses(x, y)
        if self.consensus:
            extra = self.consensus * steps.consensus(losses, [[x], [y]])
            losses = tuple(one + extra for one in losses)
        ((vx,), (vy,)) = steps.field(losses, [[x], [y]], create_graph)
        return [x, y], [vx, vy]

    def v(self, w: Sequence[float]) -> np.ndarray:
        """v at w, float64 (2,)."""
        return np.array([g.item() for g in self.field(w)[1]])

    def jacobian(self, w: Sequence[float]) -> np.ndarray:
        """The Jacobian of v at w, float64 (2, 2), by differentiating the field."""
        point, field = self.field(w, create_graph=True)
        return jacobian_of(field, point)

    def limited(self, w: np.ndarray) -> np.ndarray:
        """w with y clipped to the bound."""
        return w if self.bound is None else np.array([w[0], np.clip(w[1], -self.bound, self.bound)])


def jacobian_of(field: Sequence[Tensor], params: Sequence[Tensor]) -> np.ndarray:
    """d field / d params, float64 (n, n) for n numbers in all: one backward pass per row.

    field: recorded (create_graph) gradients, each of the shape of its parameter.
    """
    flat = cat([g.reshape(-1) for g in field])
    rows = []
    for i in range(flat.shape[0]):
        if not flat.requires_grad:
            rows.append(np.zeros(np.sum([p.data.size for p in params])))
            continue
        row = grad(flat[i], list(params))
        parts = [np.zeros(p.data.size) if g is None else host(g.data).ravel() for g, p in zip(row, params, strict=True)]
        rows.append(np.concatenate(parts).astype(np.float64))
    return np.stack(rows)


def gan_jacobian(losses: Sequence[Tensor], players: Sequence[Sequence[Tensor]]) -> np.ndarray:
    """The Jacobian of the simultaneous gradient field of any small GAN, (n, n) for n parameters in all.

    losses: what each player minimises, computed from `players`, its parameters. Gradient descent near an equilibrium is
    stable for small steps if every eigenvalue has a positive real part; a step h is if |1 - h lambda| < 1 for all.
    """
    field = steps.field(losses, players, create_graph=True)
    return jacobian_of([g for slopes in field for g in slopes], [p for params in players for p in params])


def _simultaneous(game: Game, w: np.ndarray, h: float, past: np.ndarray | None) -> tuple:
    return w - h * game.v(w), None


def _alternating(game: Game, w: np.ndarray, h: float, past: np.ndarray | None) -> tuple:
    half = np.array([w[0] - h * game.v(w)[0], w[1]])
    return np.array([half[0], half[1] - h * game.v(half)[1]]), None


def _lookahead(game: Game, w: np.ndarray, h: float, past: np.ndarray | None) -> tuple:
    return w - h * game.v(game.limited(w - h * game.v(w))), None


def _optimistic(game: Game, w: np.ndarray, h: float, past: np.ndarray | None) -> tuple:
    v = game.v(w)
    return w - h * (2 * v - (v if past is None else past)), v


METHODS: dict[str, Callable] = {
    "simultaneous": _simultaneous,
    "alternating": _alternating,
    "lookahead": _lookahead,
    "optimistic": _optimistic,
}


def trajectory(game: Game, method: str = "simultaneous", h: float = 0.2, count: int = 500) -> np.ndarray:
    """The points from game.start on, (count + 1, 2). Alternating moves x first. Raises ValueError for an unknown
    method or a step that is not positive."""
    if method not in METHODS:
        raise nearest("method", method, METHODS)
    if not h > 0:
        raise ValueError(f"trajectory: the step h must be positive, got {h}")
    points, past = [np.array(game.start, float)], None
    for _ in range(count):
        w, past = METHODS[method](game, points[-1], h, past)
        points.append(game.limited(w))
    return np.stack(points)


def update_eigenvalues(game: Game, method: str, h: float, at: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """The eigenvalues of the method's map linearised at the equilibrium `at`: from the Jacobian J of the field.

    simultaneous I - hJ;  alternating: the product of the two halves;  lookahead I - hJ + h^2 J^2;
    optimistic [[I - 2hJ, hJ], [I, 0]] on (w_t, w_{t-1}).
    """
    if method not in METHODS:
        raise nearest("method", method, METHODS)
    jac, one = h * game.jacobian(at), np.eye(2)
    if method == "alternating":
        first, second = one.copy(), one.copy()
        first[0] -= jac[0]
        second[1] -= jac[1]
        return np.linalg.eigvals(second @ first)
    if method == "optimistic":
        return np.linalg.eigvals(np.block([[one - 2 * jac, jac], [one, 0 * one]]))
    return np.linalg.eigvals(one - jac + (jac @ jac if method == "lookahead" else 0))


def radius(eigenvalues: np.ndarray) -> float:
    """The spectral radius: the largest absolute value."""
    return float(np.abs(eigenvalues).max())


BILINEAR = Game("bilinear", lambda x, y: (x * y, -(x * y)), "min_x max_y xy", (1.0, 0.0))

# The bilinear game's radius for a step eta, by hand: v = (y, -x) turns by a right angle.
BILINEAR_THEORY: dict[str, Callable[[float], float]] = {
    "simultaneous": lambda eta: np.sqrt(1 + eta**2),
    "alternating": lambda eta: 1.0,
    "lookahead": lambda eta: np.sqrt(1 - eta**2 + eta**4),
    "optimistic": lambda eta: np.abs(np.roots([1, -(1 - 2j * eta), -1j * eta])).max(),
}


def _f(t: Tensor) -> Tensor:
    return -softplus(-t)


def _zero_sum(value: Tensor, extra: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    return value, extra - value


# Gauss-Hermite nodes: the expectation over N(0, 1) of smooth functions, exact to float64 here.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def _noisy(theta: Tensor, psi: Tensor, noise: tuple[np.ndarray, np.ndarray], weight: Tensor | float) -> tuple:
    on_fake, on_real = map(Tensor, noise)
    return _zero_sum(sum(weight * (_f(psi * (theta + on_fake)) + _f(-psi * on_real))))


def sampled_noise(sigma: float, count: int = 1000, seed: int = 0) -> Game:
    """The instance-noise game with `count` drawn noises a step in place of the exact expectation: it stays at the
    distance from the equilibrium that the drawing allows."""
    random = np.random.default_rng(seed)

    def losses(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        return _noisy(theta, psi, tuple(sigma * random.standard_normal((2, count))), 1 / count)

    return Game("instance-noise", losses, f"f averaged over {count} draws of x + {sigma:g} N(0, 1)")


def dirac(gp: float = 0.3, consensus: float = 1.0, noise: float = 0.7, wgan_gp: float = 0.7) -> dict[str, Game]:
    """Every Dirac game by name, at given strengths: gp of the zero-centred penalty gp/2 psi^2, consensus of gamma,
    noise of the instance noise's deviation, wgan_gp of the penalty wgan_gp/2 (|psi| - 1)^2."""
    games = (
        Game("gan", lambda a, b: _zero_sum(_f(b * a)), "G: f(psi theta);  D: -f(psi theta)"),
        Game("ns-gan", lambda a, b: (-_f(-b * a), -_f(b * a)), "G: -f(-psi theta);  D: -f(psi theta)"),
        Game("wgan", lambda a, b: _zero_sum(b * a), "G: psi theta;  D: -psi theta"),
        Game("wgan-clip", lambda a, b: _zero_sum(b * a), "G: psi theta;  D: -psi theta, |psi| <= 1", bound=1.0),
        Game(
            "wgan-gp",
            lambda a, b: _zero_sum(b * a, wgan_gp / 2 * square(abs(b) - 1)),
            f"G: psi theta;  D: -psi theta + {wgan_gp:g}/2 (|psi| - 1)^2",
        ),
        Game(
            "instance-noise",
            lambda a, b: _noisy(a, b, (noise * _NODES,) * 2, Tensor(_WEIGHTS)),
            f"f averaged over x + {noise:g} N(0, 1)",
        ),
        Game(
            "gp",
            lambda a, b: _zero_sum(_f(b * a), gp / 2 * square(b)),
            f"G: f(psi theta);  D: -f(psi theta) + {gp:g}/2 psi^2",
        ),
        Game(
            "consensus",
            lambda a, b: _zero_sum(_f(b * a)),
            f"GAN, both + {consensus:g}/2 ||v||^2",
            consensus=consensus,
        ),
    )
    return {game.name: game for game in games}


def gp_eigenvalues(g: float) -> np.ndarray:
    """-g/2 +- sqrt(g^2/4 - f'(0)^2), f'(0) = 1/2: the eigenvalues of -J of the Dirac-GAN with the zero-centred penalty
    (Mescheder et al. 2018, lemma 4.1). From g = 1 on they are real: no more rotation."""
    root = np.sqrt(complex(g * g / 4 - 1 / 4))
    return np.array([-g / 2 + root, -g / 2 - root])
