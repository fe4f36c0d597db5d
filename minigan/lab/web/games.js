"use strict";
/* Two-player games of one number each, as in minigan/gan/theory/games.py: the field v = (dL_1/dx, dL_2/dy), the ways to
   step along it, and the eigenvalues that say whether a way ends at the equilibrium (0, 0) or turns around it for ever.

   The Dirac-GAN (Mescheder et al. 2018): real data at 0, the generator puts all its mass at x, the critic is D(t) = y t;
   f(t) = -ln(1 + exp(-t)). Derivatives come from the engine: the Jacobian of v is a second derivative of the losses. */

const Games = (() => {
  const { add, sub, mul, neg, square, abs, softplus, leaf, tensor, grad, sum } = Engine;
  const CONSENSUS = 1,
    NOISE = 0.7,
    PENALTY = 0.3,
    WGAN_PENALTY = 0.7;

  const f = (t) => neg(softplus(neg(t)));
  const zeroSum = (value, extra = 0) => [value, sub(extra, value)];

  /* Gauss-Hermite nodes and weights for an expectation over N(0, 1): roots of the Hermite polynomial by Newton. */
  function hermite(count) {
    const value = (x) => {
      let [p0, p1] = [0, Math.PI ** -0.25]; // orthonormal, weight exp(-x^2)
      for (let k = 1; k <= count; k++) [p0, p1] = [p1, x * Math.sqrt(2 / k) * p1 - Math.sqrt((k - 1) / k) * p0];
      return [p1, Math.sqrt(2 * count) * p0];
    };
    const roots = [];
    const grid = 4000,
      edge = Math.sqrt(2 * count + 2);
    for (let i = 0; i < grid; i++) {
      const [a, b] = [i, i + 1].map((k) => -edge + (2 * edge * k) / grid);
      if (value(a)[0] * value(b)[0] > 0) continue;
      let x = (a + b) / 2;
      for (let k = 0; k < 20; k++) x -= value(x)[0] / value(x)[1];
      roots.push(x);
    }
    const weights = roots.map((x) => 2 / value(x)[1] ** 2),
      total = weights.reduce((a, b) => a + b, 0);
    return [roots.map((x) => x * Math.SQRT2), weights.map((w) => w / total)];
  }

  const [nodes, weights] = hermite(40);
  const noise = tensor(
      nodes.map((x) => NOISE * x),
      1,
      nodes.length,
    ),
    weight = tensor(weights, 1, nodes.length);
  const smeared = (x, y) => zeroSum(sum(mul(weight, add(f(mul(y, add(x, noise))), f(neg(mul(y, noise)))))));

  /* name -> losses(x, y) of the two players, a formula, a bound on |y| or null, consensus' gamma or 0. */
  const game = (losses, formula, text, more = {}) => ({ losses, formula, text, bound: null, consensus: 0, ...more });
  const GAMES = {
    bilinear: game((x, y) => zeroSum(mul(x, y)), "min over x, max over y of xy", "the smallest game that turns"),
    gan: game((x, y) => zeroSum(f(mul(y, x))), "G: f(yx);  D: -f(yx)", "Dirac-GAN, minimax"),
    "ns-gan": game(
      (x, y) => [neg(f(neg(mul(y, x)))), neg(f(mul(y, x)))],
      "G: -f(-yx);  D: -f(yx)",
      "Dirac-GAN, non-saturating",
    ),
    wgan: game((x, y) => zeroSum(mul(y, x)), "G: yx;  D: -yx", "Dirac-GAN, Wasserstein"),
    "wgan-clip": game((x, y) => zeroSum(mul(y, x)), "G: yx;  D: -yx, |y| at most 1", "with weight clipping", {
      bound: 1,
    }),
    "wgan-gp": game(
      (x, y) => zeroSum(mul(y, x), mul(WGAN_PENALTY / 2, square(sub(abs(y), 1)))),
      `G: yx;  D: -yx + ${WGAN_PENALTY}/2 (|y| - 1)²`,
      "the slope is pulled to 1, so it never rests at 0",
    ),
    "instance-noise": game(smeared, `f averaged over x + ${NOISE} N(0, 1)`, "noise on reals and samples"),
    gp: game(
      (x, y) => zeroSum(f(mul(y, x)), mul(PENALTY / 2, square(y))),
      `G: f(yx);  D: -f(yx) + ${PENALTY}/2 y²`,
      "zero-centred penalty (R1): the slope is pulled to 0",
    ),
    consensus: game(
      (x, y) => zeroSum(f(mul(y, x))),
      `GAN, both + ${CONSENSUS}/2 ||v||²`,
      "both players also make v short",
      {
        consensus: CONSENSUS,
      },
    ),
  };

  /* [[x, y] as leaves, [v_x, v_y]] at a point. */
  function field(game, [x, y], create = false) {
    const point = [leaf(x), leaf(y)];
    let losses = game.losses(...point);
    if (game.consensus) {
      const extra = mul(
        game.consensus,
        Losses.consensus(
          losses,
          point.map((p) => [p]),
        ),
      );
      losses = losses.map((one) => add(one, extra));
    }
    return [point, losses.map((one, k) => grad(one, [point[k]], create)[0] ?? tensor(0))];
  }

  const v = (game, w) => field(game, w)[1].map((g) => g.item);

  /* dv/d(x, y), rows v_x and v_y. */
  function jacobian(game, w) {
    const [point, slopes] = field(game, w, true);
    return slopes.map((g) => grad(g, point).map((d) => d?.item ?? 0));
  }

  const limited = (game, [x, y]) => [x, game.bound === null ? y : Math.min(game.bound, Math.max(-game.bound, y))];
  const along = ([x, y], h, [a, b]) => [x - h * a, y - h * b];

  /* One step: (game, w, h, v of the step before or null) -> [the next point, what the next step gets]. */
  const METHODS = {
    simultaneous: (game, w, h) => [along(w, h, v(game, w)), null],
    alternating: (game, w, h) => {
      const half = [w[0] - h * v(game, w)[0], w[1]];
      return [[half[0], half[1] - h * v(game, half)[1]], null];
    },
    lookahead: (game, w, h) => [along(w, h, v(game, limited(game, along(w, h, v(game, w))))), null],
    optimistic: (game, w, h, past) => {
      const now = v(game, w),
        before = past ?? now;
      return [
        along(
          w,
          h,
          now.map((a, k) => 2 * a - before[k]),
        ),
        now,
      ];
    },
  };

  /* [the next point, what the step after it gets]; y within the game's bound. */
  function stepOf(name, method, h, w, past) {
    const [next, kept] = METHODS[method](GAMES[name], w, h, past);
    return [limited(GAMES[name], next), kept];
  }

  /* --- complex numbers [re, im] */

  const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
  const plus = (...all) => all.reduce(([a, b], [c, d]) => [a + c, b + d]);
  const scale = (k, [a, b]) => [k * a, k * b];

  function root([a, b]) {
    const r = Math.hypot(a, b),
      re = Math.sqrt((r + a) / 2);
    return [re, (b < 0 ? -1 : 1) * Math.sqrt(Math.max(0, (r - a) / 2))];
  }

  /* Roots of z^2 + b z + c. */
  function quadratic(b, c) {
    const half = scale(-0.5, b),
      away = root(plus(times(half, half), scale(-1, c)));
    return [plus(half, away), plus(half, scale(-1, away))];
  }

  const eigenvalues = ([[a, b], [c, d]]) => quadratic([-(a + d), 0], [a * d - b * c, 0]);

  /* Of a method's map at the equilibrium, from the eigenvalues l of hJ:  simultaneous 1 - l;  lookahead 1 - l + l^2;
     optimistic both roots of z^2 - (1 - 2l) z - l;  alternating those of the product of the two halves. */
  function updateEigenvalues(name, method, h, at = [0, 0]) {
    const J = jacobian(GAMES[name], at).map((row) => row.map((a) => h * a)),
      own = eigenvalues(J);
    if (method === "alternating") {
      const [[a, b], [c, d]] = J;
      return eigenvalues([
        [1 - a, -b],
        [-c * (1 - a), 1 - d + c * b],
      ]);
    }
    if (method === "optimistic") return own.flatMap((l) => quadratic(plus([-1, 0], scale(2, l)), scale(-1, l)));
    return own.map((l) => plus([1, 0], scale(-1, l), method === "lookahead" ? times(l, l) : [0, 0]));
  }

  const radius = (values) => Math.max(...values.map(([a, b]) => Math.hypot(a, b)));

  return {
    GAMES,
    NAMES: Object.keys(GAMES),
    METHODS: Object.keys(METHODS),
    v,
    jacobian,
    stepOf,
    updateEigenvalues,
    radius,
  };
})();
