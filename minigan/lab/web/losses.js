"use strict";
/* What the two players minimise, and the penalties on the critic's slope: the tables of minigan/gan/losses.py and
   minigan/gan/penalties.py. Names, formulas and papers come from those tables (TABLES, written by lab/page.py); here
   stand the functions.

   discriminator(real, fake) and generator(fake, real) take critic outputs (N, 1) and return a scalar. With
   D = sigmoid(t):  ln D = -softplus(-t)  and  ln(1 - D) = -softplus(t), finite for every t. */

const Losses = (() => {
  const { add, sub, mul, neg, exp, square, tanh, softplus, relu, sqrt, atMost, mean, sum, norms } = Engine;
  const { detach, leaf, tensor, grad } = Engine;
  const LN2 = Math.log(2),
    EXP_LIMIT = 30;
  const identity = (t) => t;

  /* exp(v) up to the limit and its tangent beyond: a finite value with a slope that never vanishes. */
  function boundedExp(v) {
    const capped = atMost(v, EXP_LIMIT);
    return mul(exp(capped), sub(add(1, v), capped));
  }

  /* name -> [activation g(v), conjugate f*(g(v))] of the f-GANs (Nowozin et al. 2016, table 2 and 6). */
  const CONJUGATES = {
    kl: [identity, (v) => boundedExp(sub(v, 1))],
    "reverse-kl": [(v) => neg(boundedExp(neg(v))), (v) => sub(v, 1)],
    js: [(v) => sub(LN2, softplus(neg(v))), (v) => sub(softplus(v), LN2)],
    jeffreys: [(v) => sub(add(v, 1), boundedExp(neg(v))), (v) => sub(add(boundedExp(v), v), 1)],
    pearson: [identity, (v) => add(mul(square(v), 0.25), v)],
    "total-variation": [(v) => mul(tanh(v), 0.5), (v) => mul(tanh(v), 0.5)],
    hellinger: [(v) => sub(1, boundedExp(neg(v))), (v) => sub(boundedExp(v), 1)],
  };

  const half = (x) => mul(x, 0.5);
  const logistic = (real, fake) => add(mean(softplus(neg(real))), mean(softplus(fake)));
  const minusMean = (fake) => neg(mean(fake));

  const ROWS = {
    minimax: { discriminator: logistic, generator: (fake) => neg(mean(softplus(fake))) },
    "non-saturating": { discriminator: logistic, generator: (fake) => mean(softplus(neg(fake))) },
    "least-squares": {
      discriminator: (real, fake) => add(half(mean(square(sub(real, 1)))), half(mean(square(fake)))),
      generator: (fake) => half(mean(square(sub(fake, 1)))),
    },
    hinge: {
      discriminator: (real, fake) => add(mean(relu(sub(1, real))), mean(relu(add(1, fake)))),
      generator: minusMean,
    },
    margin: {
      discriminator: (real, fake) => add(mean(relu(add(1, real))), mean(relu(sub(1, fake)))),
      generator: mean,
    },
    ebgan: {
      discriminator: (real, fake) => add(mean(real), mean(relu(sub(1, fake)))),
      generator: mean,
      head: softplus,
    },
    wasserstein: { discriminator: (real, fake) => sub(mean(fake), mean(real)), generator: minusMean },
    relativistic: {
      discriminator: (real, fake) => mean(softplus(sub(fake, real))),
      generator: (fake, real) => mean(softplus(sub(real, fake))),
    },
    "relativistic-average": {
      discriminator: (real, fake) => add(mean(softplus(sub(mean(fake), real))), mean(softplus(sub(fake, mean(real))))),
      generator: (fake, real) => add(mean(softplus(sub(mean(real), fake))), mean(softplus(sub(real, mean(fake))))),
    },
    ...Object.fromEntries(
      Object.entries(CONJUGATES).map(([name, [activation, conjugate]]) => [
        `f-${name}`,
        {
          discriminator: (real, fake) => sub(mean(conjugate(fake)), mean(activation(real))),
          generator: (fake) => neg(mean(conjugate(fake))),
        },
      ]),
    ),
  };

  /* The row of a loss: its functions, with what the table of the Python engine says of it. */
  function loss(name) {
    return { head: identity, ...TABLES.losses[name], ...ROWS[name] };
  }

  /* The loss with label `real` in place of 1 for its discriminator (one-sided smoothing, Salimans et al. 2016). */
  function smoothed(row, real) {
    if (row.output === "logit")
      return {
        ...row,
        discriminator: (r, f) => add(mean(sub(softplus(r), mul(real, r))), mean(softplus(f))),
      };
    return { ...row, discriminator: (r, f) => add(half(mean(square(sub(r, real)))), half(mean(square(f)))) };
  }

  /* The loss with wrong labels: real and fake of a pair change places where `draw(N)`, drawn anew at each call, is 1. */
  function noisy(row, draw) {
    const { where } = Engine;
    return {
      ...row,
      discriminator: (r, f) => {
        const wrong = draw(r.rows);
        return row.discriminator(where(wrong, f, r), where(wrong, r, f));
      },
    };
  }

  /* The points of a penalty, a new leaf: between reals and fakes (eps (N, 1), one a pair), at reals, at fakes, at both. */
  const at = (x) => leaf(x.data, x.rows, x.cols);
  const stacked = (a, b) => tensor(Float64Array.of(...a.data, ...b.data), a.rows + b.rows, a.cols);
  const between = (real, fake, eps) => at(Engine.noGrad(() => add(fake, mul(eps, sub(real, fake)))));

  const squaredNorms = (x) => Engine.sumTo(square(x), x.rows, 1);
  /* Of the squared norms of the slopes: where the slope is pulled to 0, no root is taken, whose derivatives end at 0. */
  const fromOne = (s) => square(sub(sqrt(s), 1));
  const PENALTIES = {
    "two-sided": { points: between, of: fromOne },
    "one-sided": { points: between, of: (s) => square(relu(sub(sqrt(s), 1))) },
    "zero-centred": { points: between, of: identity },
    r1: { points: (real) => at(real), of: half },
    r2: { points: (real, fake) => at(fake), of: half },
    "r1+r2": { points: (real, fake) => at(stacked(real, fake)), of: identity },
  };

  /* [penalty without its weight, mean norm of the slope]. Its gradient in the critic's weights differentiates the
     slope, itself a gradient: d/dw of d/dx. */
  function penalty(name, judged, real, fake, eps) {
    const { points, of } = PENALTIES[name];
    const x = points(detach(real), detach(fake), eps);
    const [slope] = grad(sum(judged(x)), [x], true);
    const s = slope ? squaredNorms(slope) : tensor(new Float64Array(x.rows), x.rows, 1);
    return [mean(of(s)), mean(sqrt(detach(s)))];
  }

  /* ||E f(x) - E f(Gz)||^2 over features (N, F) (Salimans et al. 2016, eq. 1); reals give no gradient. */
  function featureMatching(real, fake) {
    return sum(square(sub(Engine.meanOfRows(detach(real)), Engine.meanOfRows(fake))));
  }

  /* 1/2 ||v||^2, v the gradients of each player's loss in its own weights (Mescheder et al. 2017). */
  function consensus(losses, players) {
    const parts = losses.flatMap((objective, i) => grad(objective, players[i], true));
    return half(
      parts
        .filter(Boolean)
        .map((g) => sum(square(g)))
        .reduce(add),
    );
  }

  /* Latents moved to the sphere of radius sqrt(d). */
  const spherical = (z) => mul(z, mul(Math.sqrt(z.cols), Engine.inverse(norms(z))));

  return { loss, smoothed, noisy, penalty, featureMatching, consensus, spherical, ROWS, PENALTIES };
})();
