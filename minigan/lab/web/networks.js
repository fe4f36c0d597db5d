"use strict";
/* Perceptrons of points and the optimiser, as in minigan/gan/toy/networks.py and minigan/optim.

     G: z (N, latent) -> depth x [width, ReLU] -> 2        D: (N, 2 pack) -> depth x [width, ReLU] -> 1

   Kaiming's normal start, biases zero. Options of a critic: spectral norm on every layer (Miyato et al. 2018), batch
   norm or virtual batch norm before each ReLU, minibatch discrimination before the last layer (Salimans et al. 2016). */

const Networks = (() => {
  const { add, sub, mul, div, neg, exp, square, relu, abs, sqrt, sumTo, meanOfRows, cat, gather, scatter, matmul } =
    Engine;
  const { leaf, tensor, reshape } = Engine;
  const KERNELS = 16,
    DIMS = 4,
    EPS = 1e-5,
    MOMENTUM = 0.1;

  /* Numbers of a deviation `std`, rounded to float32 as the Python engine holds them. */
  const normal = (random, rows, cols, std) => random.normal(rows * cols).map((x) => Math.fround(std * x));
  const start = (random, rows, cols) => normal(random, rows, cols, Math.fround(Math.sqrt(2) / Math.sqrt(cols)));

  function unit(vector) {
    const length = Math.max(Math.hypot(...vector), 1e-12);
    return vector.map((x) => x / length);
  }

  class Perceptron {
    /* options: inputs, width, depth, outputs; of a critic joint, spectral, norm ("" | "batch" | "virtual"), too. */
    constructor(options, random) {
      Object.assign(this, { joint: false, spectral: false, norm: "", reference: null }, options);
      this.layers = [];
      for (let k = 0; k < this.depth; k++)
        this.layers.push(this.layer(k ? this.width : this.inputs, this.width, random));
      this.mates = this.joint
        ? leaf(normal(random, this.width, KERNELS * DIMS, 1 / Math.sqrt(this.width)), this.width, KERNELS * DIMS)
        : null;
      this.layers.push(this.layer(this.width + (this.joint ? KERNELS : 0), this.outputs, random, true));
      if (this.spectral) this.layers.forEach((layer) => this.startPowerIteration(layer, random));
    }

    layer(inputs, outputs, random, last = false) {
      const layer = {
        weight: leaf(start(random, outputs, inputs), outputs, inputs),
        bias: leaf(new Float64Array(outputs), 1, outputs),
      };
      if (this.norm && !last) {
        layer.gain = leaf(new Float64Array(outputs).fill(1), 1, outputs);
        layer.shift = leaf(new Float64Array(outputs), 1, outputs);
        layer.centre = new Float64Array(outputs);
        layer.variance = new Float64Array(outputs).fill(1);
      }
      return layer;
    }

    startPowerIteration(layer, random) {
      layer.u = unit(random.normal(layer.weight.rows));
      layer.v = unit(random.normal(layer.weight.cols));
      this.powerIteration(layer);
    }

    /* One step towards the leading singular vectors: v = W^T u / |W^T u|, u = W v / |W v|. */
    powerIteration(layer) {
      const { rows, cols, data } = layer.weight;
      const v = new Float64Array(cols),
        u = new Float64Array(rows);
      for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) v[c] += data[r * cols + c] * layer.u[r];
      layer.v = unit(v);
      for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) u[r] += data[r * cols + c] * layer.v[c];
      layer.u = unit(u);
    }

    /* What is trained, in a fixed order. */
    parameters() {
      const all = this.layers.flatMap(({ weight, bias, gain, shift }) => [weight, bias, gain, shift]);
      return [...all, this.mates].filter(Boolean);
    }

    /* Outputs (N, outputs). training: statistics move, and batch norm uses the batch's. weights: a Map from parameters
       to what stands in for them (the unrolled critic). */
    forward(x, { training = true, weights = null } = {}) {
      return this.last(this.features(x, { training, weights }), { training, weights });
    }

    last(features, { training = true, weights = null } = {}) {
      return this.linear(this.layers.at(-1), features, training, weights);
    }

    /* What the last layer sees. */
    features(x, { training = true, weights = null } = {}) {
      const own = (p) => weights?.get(p) ?? p;
      let reference = this.norm === "virtual" ? this.reference : null;
      for (const layer of this.layers.slice(0, -1)) {
        x = this.linear(layer, x, training, weights);
        if (this.norm === "batch") x = this.batchNorm(layer, x, training, own);
        if (reference) {
          reference = this.linear(layer, reference, training, weights);
          const moments = [meanOfRows(reference), meanOfRows(square(reference)), reference.rows];
          x = relu(this.virtualNorm(layer, x, moments, own));
          reference = relu(this.virtualNorm(layer, reference, moments, own));
        } else x = relu(x);
      }
      return this.mates ? this.beside(x, own(this.mates)) : x;
    }

    linear(layer, x, training, weights) {
      let weight = weights?.get(layer.weight) ?? layer.weight;
      if (this.spectral) {
        if (training) this.powerIteration(layer);
        const u = tensor(layer.u, 1, weight.rows),
          v = tensor(layer.v, weight.cols, 1);
        weight = div(weight, matmul(matmul(u, weight), v));
      }
      return add(matmul(x, weight, false, true), weights?.get(layer.bias) ?? layer.bias);
    }

    batchNorm(layer, x, training, own) {
      let centre = tensor(layer.centre, 1, x.cols),
        variance = tensor(layer.variance, 1, x.cols);
      if (training) {
        centre = meanOfRows(x);
        variance = meanOfRows(square(sub(x, centre)));
        const unbiased = x.rows / (x.rows - 1);
        layer.centre = layer.centre.map((old, c) => old + MOMENTUM * (centre.data[c] - old));
        layer.variance = layer.variance.map((old, c) => old + MOMENTUM * (unbiased * variance.data[c] - old));
      }
      const scale = div(own(layer.gain), sqrt(add(variance, EPS)));
      return add(mul(sub(x, centre), scale), own(layer.shift));
    }

    /* Statistics of the reference batch and the sample itself. */
    virtualNorm(layer, x, [mean, second, n], own) {
      const centre = mul(add(mul(mean, n), x), 1 / (n + 1));
      const moment = mul(add(mul(second, n), square(x)), 1 / (n + 1));
      const scale = div(own(layer.gain), sqrt(add(sub(moment, square(centre)), EPS)));
      return add(mul(sub(x, centre), scale), own(layer.shift));
    }

    /* Minibatch discrimination: o_k(x_i) = sum over j != i of exp(-||M_ik - M_jk||_1), M = x T, beside the features. */
    beside(x, weight) {
      const n = x.rows,
        m = matmul(x, weight);
      const one = Int32Array.from({ length: n * n }, (_, i) => Math.floor(i / n));
      const other = Int32Array.from({ length: n * n }, (_, i) => i % n);
      const gaps = abs(sub(gather(m, one), gather(m, other)));
      const far = reshape(sumTo(reshape(gaps, n * n * KERNELS, DIMS), n * n * KERNELS, 1), n * n, KERNELS);
      return cat(x, sub(scatter(exp(neg(far)), one, n), 1));
    }

    /* Change the size, keeping the function where it grows: new inputs of a unit weigh nothing, a new layer passes
       on what it gets (activations are not negative, so a ReLU of the identity is the identity). A critic with norms
       or minibatch discrimination begins anew instead; true if so. */
    resize({ inputs = this.inputs, width = this.width, depth = this.depth }, random) {
      if (this.norm || this.joint) {
        const { outputs, joint, spectral, norm, reference } = this;
        Object.assign(
          this,
          new Perceptron({ inputs, width, depth, outputs, joint, spectral, norm, reference }, random),
        );
        return true;
      }
      const hidden = this.layers.slice(0, -1),
        last = this.layers.at(-1);
      while (hidden.length > depth) hidden.pop();
      while (hidden.length < depth) {
        const w = hidden.at(-1).weight.rows,
          layer = this.layer(w, w, random);
        layer.weight.data.forEach((_, i, data) => (data[i] = i % (w + 1) === 0 ? 1 : 0));
        hidden.push(layer);
      }
      const fit = (layer, rows, cols) => {
        const { weight, bias } = layer,
          fresh = start(random, rows, cols);
        const old = (r, c) => weight.data[r * weight.cols + c];
        const value = (r, c) => (r >= weight.rows ? fresh[r * cols + c] : c >= weight.cols ? 0 : old(r, c));
        const data = Float64Array.from({ length: rows * cols }, (_, i) => value(Math.floor(i / cols), i % cols));
        const shifts = Float64Array.from({ length: rows }, (_, r) => (r < weight.rows ? bias.data[r] : 0));
        return { weight: leaf(data, rows, cols), bias: leaf(shifts, 1, rows) };
      };
      this.layers = hidden.map((layer, k) => fit(layer, width, k ? width : inputs));
      this.layers.push(fit(last, this.outputs, width));
      Object.assign(this, { inputs, width, depth });
      if (this.spectral) this.layers.forEach((layer) => this.startPowerIteration(layer, random));
      return false;
    }
  }

  /* p -= lr m' / (sqrt(v') + eps), m' and v' the bias-corrected averages of g and g^2 (Kingma and Ba 2015). */
  class Adam {
    constructor(params) {
      this.params = params;
      this.steps = 0;
      this.m = params.map((p) => new Float64Array(p.data.length));
      this.v = params.map((p) => new Float64Array(p.data.length));
    }

    /* gradients: one a parameter; null leaves it alone. */
    step(gradients, lr, beta1, beta2, eps = 1e-8) {
      this.steps += 1;
      const rate = lr / (1 - beta1 ** this.steps),
        scale = 1 / Math.sqrt(1 - beta2 ** this.steps);
      this.params.forEach((p, k) => {
        if (!gradients[k]) return;
        const g = gradients[k].data,
          m = this.m[k],
          v = this.v[k];
        for (let i = 0; i < g.length; i++) {
          m[i] += (1 - beta1) * (g[i] - m[i]);
          v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
          p.data[i] -= (rate * m[i]) / (scale * Math.sqrt(v[i]) + eps);
        }
      });
    }
  }

  /* An average of a network's weights: update number t moves it by 1 - min(decay, (1 + t) / (10 + t)). */
  class Average {
    constructor(params) {
      this.updates = 0;
      this.values = params.map((p) => Float64Array.from(p.data));
    }

    update(params, decay) {
      this.updates += 1;
      const rest = 1 - Math.min(decay, (1 + this.updates) / (10 + this.updates));
      params.forEach((p, k) => this.values[k].forEach((x, i, all) => (all[i] = x + (p.data[i] - x) * rest)));
    }

    /* The averages in place of the parameters, for `forward`. */
    weights(params) {
      return new Map(params.map((p, k) => [p, tensor(this.values[k], p.rows, p.cols)]));
    }
  }

  return { Perceptron, Adam, Average };
})();
