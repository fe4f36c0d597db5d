"use strict";
/* The training of a GAN of points, step for step minigan/gan/toy/trainer.py, from the same random numbers:

     for each generator step:   n_critic times:  minimise d_loss(D(x), D(Gz)) + weight * penalty    over D
                                once:            minimise g_loss(D(Gz))                             over G

   A half-step moves one player. Points are normalised to mean 0 and variance 1 per axis before anything sees them, and
   samples are scaled back. Any number of tricks may be on; TABLES.incompatible says which do not go together. */

const Training = (() => {
  const { add, sub, mul, tensor, leaf, detach, grad, noGrad, mean, sum, reshape, cat } = Engine;
  const { Perceptron, Adam, Average } = Networks;
  const { Stream } = Philox;
  const POOL = 100000;
  const STREAMS = { init: 1, latent_d: 2, latent_g: 3, eps: 4, rows: 12, noise: 13, labels: 14 };
  const SAMPLE_STREAM = 6,
    POOL_STREAM = 11;

  const pools = new Map(); // the last pool, since a reset keeps data and seed

  /* POOL points of a distribution, normalised, rounded to float32 as the Python engine holds them. */
  function pool(points, seed) {
    const key = `${points.name} ${seed}`;
    if (points.name !== "own" && pools.has(key)) return pools.get(key);
    const drawn = points.draw(POOL, new Stream(seed, POOL_STREAM)),
      centre = [0, 0],
      spread = [0, 0];
    drawn.forEach((x, i) => (centre[i & 1] += x / POOL));
    drawn.forEach((x, i) => (spread[i & 1] += (x - centre[i & 1]) ** 2 / POOL));
    for (const k of [0, 1]) spread[k] = Math.sqrt(spread[k]) || 1;
    const values = Float32Array.from(drawn, (x, i) => (x - centre[i & 1]) / spread[i & 1]);
    pools.clear();
    pools.set(key, { values, centre, spread });
    return pools.get(key);
  }

  class Trainer {
    /* settings: those of settings.js; points: of data.js. */
    constructor(settings, points) {
      Object.assign(this, { settings: { ...settings }, points, steps: 0, figures: {} });
      this.random = {};
      for (const [name, number] of Object.entries(STREAMS)) this.random[name] = new Stream(settings.seed, number);
      Object.assign(this, pool(points, settings.seed));
      this.generator = new Perceptron(this.generatorSize(), this.random.init);
      this.average = new Average(this.generator.parameters());
      this.optimG = new Adam(this.generator.parameters());
      this.newCritic();
    }

    has(trick) {
      return this.settings.tricks.includes(trick);
    }

    get pack() {
      return this.has("packing") ? this.settings.pack : 1;
    }

    generatorSize() {
      const { latent, width_g, depth_g } = this.settings;
      return { inputs: latent, width: width_g, depth: depth_g, outputs: 2 };
    }

    newCritic() {
      const { width_d, depth_d, batch } = this.settings;
      const norm = this.has("batch-norm") ? "batch" : this.has("virtual-batch-norm") ? "virtual" : "";
      this.critic = new Perceptron(
        {
          inputs: 2 * this.pack,
          width: width_d,
          depth: depth_d,
          outputs: 1,
          norm,
          joint: this.has("minibatch"),
          spectral: this.has("spectral"),
          reference: this.packed(tensor(this.values.subarray(0, 2 * batch), batch, 2)),
        },
        this.random.init,
      );
      this.optimD = new Adam(this.critic.parameters());
      this.past = { critic: null, generator: null };
    }

    /* New settings while it runs; what changed of the networks, in words, or "". Another seed, data or own points
       need another trainer. */
    change(settings) {
      const before = this.settings,
        news = [];
      const differs = (...names) => names.some((name) => String(before[name]) !== String(settings[name]));
      this.settings = { ...settings };
      const rebuilt = ["spectral", "packing", "minibatch", "batch-norm", "virtual-batch-norm"];
      if (rebuilt.some((t) => before.tricks.includes(t) !== this.has(t)) || (this.has("packing") && differs("pack"))) {
        this.newCritic();
        news.push("the critic has another form and begins anew");
      } else if (differs("width_d", "depth_d")) {
        const { width_d: width, depth_d: depth } = settings;
        const anew = this.critic.resize({ width, depth }, this.random.init);
        this.optimD = new Adam(this.critic.parameters());
        this.past.critic = null;
        news.push(anew ? "the critic begins anew at its new size" : "the critic keeps what it knows at its new size");
      }
      if (differs("width_g", "depth_g", "latent")) {
        const { width_g: width, depth_g: depth, latent: inputs } = settings;
        this.generator.resize({ inputs, width, depth }, this.random.init);
        this.optimG = new Adam(this.generator.parameters());
        this.average = new Average(this.generator.parameters());
        this.past.generator = null;
        news.push("the generator keeps what it knows at its new size");
      }
      return news.join("; ");
    }

    /* The loss with its tricks on labels. */
    loss() {
      const { loss, smooth, flip } = this.settings;
      let row = Losses.loss(loss);
      if (this.has("smoothing")) row = Losses.smoothed(row, smooth);
      if (this.has("noisy-labels"))
        row = Losses.noisy(row, (n) =>
          tensor(
            this.random.labels.uniform(n).map((u) => +(u < flip)),
            n,
            1,
          ),
        );
      return row;
    }

    /* A batch of latents (batch, latent). */
    latent(name) {
      const { batch, latent } = this.settings,
        z = tensor(this.random[name].normal(batch * latent), batch, latent);
      return this.has("spherical") ? Losses.spherical(z) : z;
    }

    /* The next batch of reals (batch, 2). */
    nextReals() {
      const { batch } = this.settings,
        rows = this.random.rows.integers(POOL, batch);
      this.real = tensor(
        Float64Array.from({ length: 2 * batch }, (_, i) => this.values[2 * rows[i >> 1] + (i & 1)]),
        batch,
        2,
      );
    }

    packed(x) {
      return this.pack === 1 ? x : reshape(x, x.rows / this.pack, x.cols * this.pack);
    }

    /* Points (N, 2) as the critic gets them: with instance noise, packed. */
    seen(x) {
      if (this.has("instance-noise"))
        x = add(x, mul(this.settings.sigma, tensor(this.random.noise.normal(2 * x.rows), x.rows, 2)));
      return this.packed(x);
    }

    judged(x, row, weights = null) {
      return row.head(this.critic.forward(x, { weights }));
    }

    /* D's objective on reals and fakes that it has seen: the loss and the penalty. */
    criticObjective(real, fake, row, eps) {
      const dReal = this.judged(real, row),
        dFake = this.judged(fake, row);
      let objective = row.discriminator(dReal, dFake);
      const figures = { d_loss: objective.item, d_real: mean(dReal).item, d_fake: mean(dFake).item };
      if (eps) {
        const [penalty, norm] = Losses.penalty(this.settings.penalty, (x) => this.judged(x, row), real, fake, eps);
        figures.gradient_norm = norm.item;
        objective = add(objective, mul(this.settings.weight, penalty));
        figures.d_objective = objective.item;
      }
      return [objective, figures];
    }

    /* G's objective on fakes that the critic has seen. */
    generatorObjective(fake, row) {
      if (this.has("unrolled")) return this.unrolled(fake, row);
      if (this.has("feature-matching"))
        return Losses.featureMatching(this.critic.features(this.seen(this.real)), this.critic.features(fake));
      const real = row.relativistic ? this.judged(this.seen(this.real), row) : null;
      return row.generator(this.judged(fake, row), real);
    }

    /* G's loss under the critic that `unroll` steps of gradient descent on D's loss lead to; the steps stay in the
       graph (Metz et al. 2017). */
    unrolled(fake, row) {
      const real = this.seen(this.real),
        params = this.critic.parameters(),
        { unroll, unroll_lr } = this.settings;
      let present = params;
      const judged = (x) => this.judged(x, row, new Map(params.map((p, i) => [p, present[i]])));
      for (let k = 0; k < unroll; k++) {
        const gradients = grad(row.discriminator(judged(real), judged(fake)), present, true);
        present = present.map((p, i) => (gradients[i] ? sub(p, mul(unroll_lr, gradients[i])) : p));
      }
      return row.generator(judged(fake), row.relativistic ? judged(real) : null);
    }

    eps() {
      const count = this.settings.batch / this.pack;
      return this.settings.penalty === "none" ? null : tensor(this.random.eps.uniform(count), count, 1);
    }

    /* The learning rates of the moment: with `fall` they go to zero along half a cosine. */
    rate(name) {
      const { fall } = this.settings;
      return this.settings[name] * (fall ? (1 + Math.cos((Math.PI * Math.min(this.steps, fall)) / fall)) / 2 : 1);
    }

    /* Move a player along its gradients. */
    move(player, gradients) {
      const { beta1, beta2 } = this.settings,
        [optim, lr] = player === "critic" ? [this.optimD, "lr_d"] : [this.optimG, "lr_g"];
      let used = gradients;
      if (this.has("optimistic")) {
        const past = this.past[player];
        if (past) used = gradients.map((g, i) => g && past[i] && sub(mul(2, g), past[i]));
        this.past[player] = gradients;
      }
      optim.step(used, this.rate(lr), beta1, beta2);
    }

    /* Half a step: D sees fresh reals and fakes and moves. */
    criticStep() {
      const row = this.loss(),
        { settings } = this;
      this.nextReals();
      const z = this.latent("latent_d");
      let figures, gradients;
      if (this.has("lookahead") || this.has("consensus")) [gradients, figures] = this.together(z, row, "critic");
      else {
        const fake = noGrad(() => this.generator.forward(z));
        const [real, seen] = [this.seen(this.real), this.seen(fake)];
        const [objective, f] = this.criticObjective(real, seen, row, this.eps());
        [figures, gradients] = [f, grad(objective, this.critic.parameters())];
      }
      this.move("critic", gradients);
      if (this.has("clip"))
        for (const { data } of this.critic.parameters())
          data.forEach((x, i) => (data[i] = Math.min(settings.clip, Math.max(-settings.clip, x))));
      return Object.assign(this.figures, figures);
    }

    /* Half a step: G sees how the critic judges fresh samples, and moves. */
    generatorStep() {
      const row = this.loss();
      if (!this.real || this.real.rows !== this.settings.batch) this.nextReals();
      const z = this.latent("latent_g");
      let objective, gradients;
      if (this.has("lookahead") || this.has("consensus")) {
        const [g, , value] = this.together(z, row, "generator");
        [gradients, objective] = [g, value];
      } else {
        const value = this.generatorObjective(this.seen(this.generator.forward(z)), row);
        [gradients, objective] = [grad(value, this.generator.parameters()), value.item];
      }
      this.move("generator", gradients);
      this.average.update(this.generator.parameters(), this.settings.average);
      this.steps += 1;
      const norm = Math.sqrt(gradients.reduce((total, g) => total + (g?.data.reduce((s, x) => s + x * x, 0) ?? 0), 0));
      return Object.assign(this.figures, { g_loss: objective, g_weight_gradient: norm });
    }

    /* [gradients of `player`, D's figures, G's loss] where both losses on the same samples are needed: consensus adds
       gamma/2 ||v||^2 to both, lookahead takes the gradient where a plain step of both players leads. */
    together(z, row, player) {
      const players = { critic: this.critic.parameters(), generator: this.generator.parameters() };
      const eps = this.eps();
      const field = (names) => {
        const fake = this.seen(this.generator.forward(z));
        const [d, figures] = this.criticObjective(this.seen(this.real), fake, row, eps);
        const g = this.generatorObjective(fake, row),
          objectives = { critic: d, generator: g };
        const extra = this.has("consensus")
          ? mul(this.settings.gamma, Losses.consensus([d, g], [players.critic, players.generator]))
          : 0;
        return [names.map((name) => grad(add(objectives[name], extra), players[name])), figures, g.item];
      };
      if (!this.has("lookahead")) {
        const [[gradients], figures, value] = field([player]);
        return [gradients, figures, value];
      }
      const names = ["critic", "generator"],
        [gradients] = field(names);
      const old = names.map((name) => players[name].map((p) => Float64Array.from(p.data)));
      names.forEach((name, k) => {
        const rate = this.rate(k ? "lr_g" : "lr_d");
        players[name].forEach((p, i) => gradients[k][i]?.data.forEach((g, j) => (p.data[j] -= rate * g)));
      });
      const [[ahead], figures, value] = field([player]);
      names.forEach((name, k) => players[name].forEach((p, i) => p.data.set(old[k][i])));
      return [ahead, figures, value];
    }

    /* A whole step. */
    step() {
      for (let k = 0; k < this.settings.n_critic; k++) this.criticStep();
      return this.generatorStep();
    }

    /* --- looking, which draws no number of the training's and moves nothing */

    /* Points (count, 2), x and y in turn, in the data's units, as normalised tensors' data. */
    scaled(values) {
      return values.map((x, i) => x * this.spread[i & 1] + this.centre[i & 1]);
    }

    normalised(points) {
      return Float64Array.from(points, (x, i) => (x - this.centre[i & 1]) / this.spread[i & 1]);
    }

    /* Samples of latents (count, latent), by the average of the generator's weights. */
    generate(latents) {
      const { latent } = this.settings,
        weights = this.average.weights(this.generator.parameters());
      let z = tensor(latents, latents.length / latent, latent);
      if (this.has("spherical")) z = Losses.spherical(z);
      return this.scaled(noGrad(() => this.generator.forward(z, { training: false, weights })).data);
    }

    sample(count, seed = 0) {
      return this.generate(new Stream(seed, SAMPLE_STREAM).normal(count * this.settings.latent));
    }

    /* Whether D has a value at a single point: minibatch discrimination judges a whole batch. */
    get pointwise() {
      return !this.has("minibatch");
    }

    /* [D(x), its gradient] at points in the data's units, higher on reals: sizes count and 2 count. A packing critic
       is asked for a pack of equal points. */
    landscape(points, withSlope = true) {
      const row = Losses.loss(this.settings.loss),
        x = leaf(this.normalised(points), points.length / 2, 2);
      const value = () => row.head(this.critic.forward(cat(...Array(this.pack).fill(x)), { training: false }));
      if (!withSlope) return [noGrad(value).data.map((v) => row.sign * v), null];
      const y = value(),
        [slope] = grad(sum(y), [x]);
      const slopes = slope ? slope.data : new Float64Array(points.length);
      return [y.data.map((v) => row.sign * v), slopes.map((s, i) => (row.sign * s) / this.spread[i & 1])];
    }

    /* Minus the gradient of G's loss in each of the samples, times their number: where each wants to go, in normalised
       units. The plain loss's, whatever the tricks. */
    pull(points) {
      const row = Losses.loss(this.settings.loss),
        n = points.length / 2;
      const look = (x) => row.head(this.critic.forward(this.packed(x), { training: false }));
      const x = leaf(this.normalised(points), n, 2);
      const real = row.relativistic ? detach(look(tensor(this.values.subarray(0, 2 * n), n, 2))) : null;
      const [slope] = grad(row.generator(look(x), real), [x]);
      return slope ? slope.data.map((s) => (-n * s) / this.pack) : new Float64Array(points.length);
    }
  }

  return { Trainer, POOL, STREAMS, POOL_STREAM };
})();
