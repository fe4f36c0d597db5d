"use strict";
/* Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011), the streams of kernels/random.py.

   A value depends on (seed, stream, step, place) and nothing else, so this page and the Python engine draw the same
   numbers. Uniforms are multiples of 2^-24 in [0, 1); normals come from Box and Muller's pairs, with polynomials for
   log, sin and cos in which every float32 operation is rounded on its own (`round`), as IEEE 754 has it. */

const Philox = (() => {
  const round = Math.fround;
  const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
  const WEYL = [0x9e3779b9, 0xbb67ae85];

  /* The upper 32 bits of the product of two 32-bit words, by halves of 16 bits. */
  function high(a, b) {
    const a0 = a & 0xffff,
      a1 = a >>> 16,
      b0 = b & 0xffff,
      b1 = b >>> 16;
    const middle = a1 * b0 + ((a0 * b0) >>> 16);
    const carry = (middle & 0xffff) + a0 * b1;
    return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
  }

  /* The first `count` words of draw number `step` of a stream of a seed. Seed and step below 2^53. */
  function words(count, seed, stream, step) {
    const out = new Uint32Array(4 * Math.ceil(count / 4));
    const stepHigh = Math.floor(step / 2 ** 32) >>> 0,
      seedHigh = Math.floor(seed / 2 ** 32) >>> 0;
    for (let block = 0; 4 * block < out.length; block++) {
      let c0 = block >>> 0,
        c1 = step >>> 0,
        c2 = stepHigh,
        c3 = stream >>> 0;
      let k0 = seed >>> 0,
        k1 = seedHigh;
      for (let turn = 0; turn < 10; turn++) {
        const high0 = high(MULTIPLIERS[0], c0),
          low0 = Math.imul(MULTIPLIERS[0], c0);
        const high1 = high(MULTIPLIERS[1], c2),
          low1 = Math.imul(MULTIPLIERS[1], c2);
        c0 = (high1 ^ c1 ^ k0) >>> 0;
        c1 = low1 >>> 0;
        c2 = (high0 ^ c3 ^ k1) >>> 0;
        c3 = low0 >>> 0;
        k0 = (k0 + WEYL[0]) >>> 0;
        k1 = (k1 + WEYL[1]) >>> 0;
      }
      out.set([c0, c1, c2, c3], 4 * block);
    }
    return out;
  }

  // log(1 + x) = x - x^2/2 + x^3 P(x);  sin x = x + x^3 S(x^2);  cos x = 1 - x^2/2 + x^4 C(x^2)  (Cephes)
  const P = [
    7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
  ].map(round);
  const S = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(round);
  const C = [2.4433157118e-5, -1.3887316255e-3, 4.1666645683e-2].map(round);
  const LOG2 = [0.693359375, -2.1219444e-4].map(round);
  const SQRT_HALF_BITS = 0x3f3504f3,
    ANGLE = round((2 * Math.PI) / 2 ** 24);

  const float = new Float32Array(1),
    bits = new Int32Array(float.buffer);

  function polynomial(coefficients, x) {
    let value = coefficients[0];
    for (let i = 1; i < coefficients.length; i++) value = round(round(value * x) + coefficients[i]);
    return value;
  }

  /* sqrt(-2 log u), u = (place + 1) 2^-24 = m 2^e with m in [sqrt(1/2), sqrt(2)). */
  function radius(place) {
    float[0] = (place + 1) * 2 ** -24;
    const e = (bits[0] - SQRT_HALF_BITS) >> 23;
    bits[0] -= e << 23;
    const x = round(float[0] - 1),
      z = round(x * x);
    let tail = round(round(polynomial(P, x) * x) * z);
    tail = round(round(tail + round(e * LOG2[1])) - round(0.5 * z));
    const log = round(round(x + tail) + round(e * LOG2[0]));
    return round(Math.sqrt(round(-2 * log)));
  }

  /* [cos, sin] of `turn` 2^-24 turns: whole quarters, and an angle in [-pi/4, pi/4]. */
  function circle(turn) {
    const quarter = (turn + (1 << 21)) >> 22;
    const x = round((turn - (quarter << 22)) * ANGLE),
      z = round(x * x);
    let sin = round(round(round(polynomial(S, z) * z) * x) + x);
    let cos = round(round(round(round(polynomial(C, z) * z) * z) - round(0.5 * z)) + 1);
    if (quarter & 1) [sin, cos] = [cos, sin];
    return [(quarter + 1) & 2 ? -cos : cos, quarter & 2 ? -sin : sin];
  }

  /* One stream of a seed; each call is the next draw. */
  class Stream {
    constructor(seed, stream) {
      Object.assign(this, { seed, stream, step: 0 });
    }

    words(count) {
      return words(count, this.seed, this.stream, this.step++);
    }

    /* Uniform on [0, 1). */
    uniform(count) {
      return Float64Array.from(this.words(count).subarray(0, count), (word) => (word >>> 8) * 2 ** -24);
    }

    /* Mean 0, variance 1. */
    normal(count) {
      const source = this.words(count + (count % 2)),
        out = new Float64Array(source.length);
      for (let i = 0; i < count; i += 2) {
        const r = radius(source[i] >>> 8),
          [cos, sin] = circle(source[i + 1] >>> 8);
        out[i] = round(r * cos);
        out[i + 1] = round(r * sin);
      }
      return out.subarray(0, count);
    }

    /* Whole numbers 0 .. below - 1, each as likely. */
    integers(below, count) {
      return this.uniform(count).map((u) => Math.floor(u * below));
    }
  }

  return { Stream, words };
})();
