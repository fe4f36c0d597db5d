"use strict";
/* Runs a network forward: a list of ONNX's kinds of nodes (minigan/export/graph.py) on arrays of float32.

   A value is { data, dims }: numbers in C order and their shape. Each kind of node is one function of NODES, from an
   array of its inputs and its settings to a value. Sums are taken in float64, as every number of JavaScript is one, and rounded when
   they are stored. Most that moves numbers about (a slice, a border, a transposition) is `pick`: for each axis of the
   result, where its index k lies in the source. */

const Forward = (() => {
  const volume = (dims) => dims.reduce((product, n) => product * n, 1);
  const value = (data, dims) => ({ data, dims });
  const like = (x, length) => new x.data.constructor(length);
  const range = (n) => Array.from({ length: n }, (_, k) => k);
  const positive = (axis, x) => (axis < 0 ? axis + x.dims.length : axis);
  const TYPES = { float32: Float32Array, float64: Float32Array, int64: Int32Array, int32: Int32Array, bool: Uint8Array };

  function strides(dims) {
    const out = new Array(dims.length);
    for (let k = dims.length - 1, n = 1; k >= 0; n *= dims[k--]) out[k] = n;
    return out;
  }

  /* The array whose element (i, j, ...) is x.data[axes[0][i] + axes[1][j] + ...], or `fill` where that is -Infinity. */
  function pick(x, axes, fill = 0) {
    const dims = axes.map((axis) => axis.length), data = like(x, volume(dims));
    let place = 0;
    const walk = (k, from) => {
      if (k === axes.length) data[place++] = from < 0 ? fill : x.data[from];
      else if (k === axes.length - 1) for (const step of axes[k]) data[place++] = from + step < 0 ? fill : x.data[from + step];
      else for (const step of axes[k]) walk(k + 1, from + step);
    };
    walk(0, 0);
    return value(data, dims);
  }

  /* The offsets of an axis; `places`, where its indices lie. */
  const offsets = (x, axis, places = range(x.dims[axis])) => places.map((k) => k * strides(x.dims)[axis]);
  const everything = (x) => x.dims.map((_, axis) => offsets(x, axis));
  const transpose = (x, perm) => pick(x, perm.map((axis) => offsets(x, axis)));

  function expand(x, dims) {
    if (x.dims.length === dims.length && x.dims.every((n, k) => n === dims[k])) return x;
    const lead = dims.length - x.dims.length;
    return pick(x, dims.map((n, k) => (k < lead || x.dims[k - lead] === 1 ? new Array(n).fill(0) : offsets(x, k - lead))));
  }

  function common(...values) {
    const rank = Math.max(...values.map((x) => x.dims.length)), at = (x, k) => x.dims[x.dims.length - rank + k] ?? 1;
    return range(rank).map((k) => values.map((x) => at(x, k)).reduce((a, b) => (a === 1 ? b : a)));
  }

  const each = (f, type) => (inputs) => {
    const dims = common(...inputs), [a, b, c] = inputs.map((x) => expand(x, dims).data);
    const data = type ? new type(volume(dims)) : like(inputs.at(-1), volume(dims));
    for (let k = 0; k < data.length; k++) data[k] = f(a[k], b?.[k], c?.[k]);
    return value(data, dims);
  };
  const truth = (f) => each((a, b) => (f(a, b) ? 1 : 0), Uint8Array);

  /* The axes `taken` last, each of their rows handed to f(row, out, place): what reductions are made of. */
  function rows(x, taken) {
    const kept = range(x.dims.length).filter((axis) => !taken.includes(axis));
    const { data } = transpose(x, [...kept, ...taken]), length = volume(taken.map((axis) => x.dims[axis]));
    return { kept, each: range(length ? data.length / length : 0).map((k) => data.subarray(k * length, (k + 1) * length)) };
  }

  const reduce = (f, type) => (x, axes, keep) => {
    const taken = Array.from(axes, (axis) => positive(axis, x)), { each: all } = rows(x, taken);
    const dims = keep ? x.dims.map((n, k) => (taken.includes(k) ? 1 : n)) : x.dims.filter((_, k) => !taken.includes(k));
    return value((type ?? x.data.constructor).from(all, f), dims);
  };
  const total = (row) => row.reduce((sum, x) => sum + x, 0);
  const greatest = (row) => row.reduce((a, b) => Math.max(a, b));
  const least = (row) => row.reduce((a, b) => Math.min(a, b));
  const reduction = (f) => ([x, axes], { keepdims }) => reduce(f)(x, axes.data, keepdims);
  const place = (extreme) => reduce((row) => row.indexOf(extreme(row)), Int32Array);

  /* A function of the rows along one axis, of which each gives a row as long. */
  const along = (f) => ([x], { axis }) => {
    const at = positive(axis, x), { kept, each: all } = rows(x, [at]), data = like(x, x.data.length);
    all.forEach((row, k) => data.set(f(row), k * row.length));
    const order = [...kept, at];
    return transpose(value(data, order.map((k) => x.dims[k])), range(order.length).map((k) => order.indexOf(k)));
  };
  const shares = (row) => {
    const top = greatest(row), powers = Array.from(row, (x) => Math.exp(x - top)), sum = total(powers);
    return powers.map((p) => p / sum);
  };
  const logarithms = (row) => {
    const top = greatest(row), sum = Math.log(total(Array.from(row, (x) => Math.exp(x - top))));
    return Array.from(row, (x) => x - top - sum);
  };

  /* (..., n, k) times (..., k, m), the leading axes broadcast. */
  function product([a, b]) {
    const [n, inner, m] = [a.dims.at(-2), a.dims.at(-1), b.dims.at(-1)];
    const lead = common(value(null, a.dims.slice(0, -2)), value(null, b.dims.slice(0, -2)));
    const x = expand(a, [...lead, n, inner]).data, y = expand(b, [...lead, inner, m]).data;
    const data = new Float32Array(volume(lead) * n * m), row = new Float64Array(m);
    for (let r = 0; r < volume(lead) * n; r++) {
      const from = Math.floor(r / n) * inner * m;
      row.fill(0);
      for (let k = 0; k < inner; k++) {
        const factor = x[r * inner + k];
        for (let c = 0; c < m; c++) row[c] += factor * y[from + k * m + c];
      }
      data.set(row, r * m);
    }
    return value(data, [...lead, n, m]);
  }

  /* A convolution, or with `back` its transposed form: the same five loops, from the large image to the small one or
     from the small to the large. x (N, C, H, W); weight (O, C / groups, KY, KX), transposed (C, O / groups, KY, KX). */
  function convolution([x, weight, bias], { strides: s, dilations: d, pads, group, output_padding: extra }, back) {
    const [count, channels, height, width] = x.dims, [, , ky, kx] = weight.dims;
    const kernel = [ky, kx], before = [height, width];
    const after = before.map((n, k) =>
      back
        ? s[k] * (n - 1) + d[k] * (kernel[k] - 1) + 1 - pads[k] - pads[k + 2] + (extra?.[k] ?? 0)
        : Math.floor((n + pads[k] + pads[k + 2] - d[k] * (kernel[k] - 1) - 1) / s[k]) + 1,
    );
    const outs = back ? weight.dims[1] * group : weight.dims[0], inside = channels / group, outside = outs / group;
    const small = back ? before : after, large = back ? after : before, area = after[0] * after[1];
    const data = new Float32Array(count * outs * area), plane = new Float64Array(area);
    for (let n = 0; n < count; n++)
      for (let o = 0; o < outs; o++) {
        plane.fill(bias ? bias.data[o] : 0);
        const first = Math.floor(o / outside) * inside;
        for (let c = first; c < first + inside; c++) {
          const from = (n * channels + c) * height * width;
          const filter = (back ? c * outside + (o % outside) : o * inside + (c - first)) * ky * kx;
          for (let v = 0; v < ky; v++)
            for (let u = 0; u < kx; u++) {
              const factor = weight.data[filter + v * kx + u], shift = u * d[1] - pads[1];
              const start = Math.max(0, Math.ceil(-shift / s[1]));
              const end = Math.min(small[1], Math.floor((large[1] - 1 - shift) / s[1]) + 1);
              for (let y = 0; y < small[0]; y++) {
                const Y = y * s[0] + v * d[0] - pads[0];
                if (Y < 0 || Y >= large[0]) continue;
                const narrow = y * small[1], wide = Y * large[1] + shift;
                if (back) for (let k = start; k < end; k++) plane[wide + k * s[1]] += factor * x.data[from + narrow + k];
                else for (let k = start; k < end; k++) plane[narrow + k] += factor * x.data[from + wide + k * s[1]];
              }
            }
        }
        data.set(plane, (n * outs + o) * area);
      }
    return value(data, [count, outs, ...after]);
  }

  function reshape([x, shape]) {
    const dims = Array.from(shape.data), known = volume(dims.filter((n) => n >= 0));
    return value(x.data, dims.map((n) => (n < 0 ? x.data.length / known : n)));
  }

  function slice(x, [start], [end], [axis], [step]) {
    const axes = everything(x);
    axes[axis] = axes[axis].slice(start, end).filter((_, k) => k % step === 0);
    return pick(x, axes);
  }

  function border(x, widths, fill, mirror) {
    const rank = x.dims.length;
    const at = (k, n) => (k >= 0 && k < n ? k : !mirror ? -Infinity : k < 0 ? -k : 2 * (n - 1) - k);
    const places = (n, axis) => range(n + widths[axis] + widths[axis + rank]).map((k) => at(k - widths[axis], n));
    return pick(x, x.dims.map((n, axis) => offsets(x, axis, places(n, axis))), fill);
  }

  function gather(x, index, axis) {
    const size = x.dims[axis], axes = everything(x);
    axes[axis] = offsets(x, axis, Array.from(index.data, (k) => (k < 0 ? k + size : k)));
    return value(pick(x, axes).data, [...x.dims.slice(0, axis), ...index.dims, ...x.dims.slice(axis + 1)]);
  }

  function join(parts, axis) {
    const first = positive(axis, parts[0]), lead = volume(parts[0].dims.slice(0, first));
    const dims = [...parts[0].dims], lengths = parts.map((x) => (lead ? x.data.length / lead : 0));
    dims[first] = total(parts.map((x) => x.dims[first]));
    const data = like(parts[0], volume(dims));
    for (let r = 0, to = 0; r < lead; r++)
      parts.forEach((x, k) => {
        data.set(x.data.subarray(r * lengths[k], (r + 1) * lengths[k]), to);
        to += lengths[k];
      });
    return value(data, dims);
  }

  function even(x) {
    const near = Math.round(x);
    return near - x === 0.5 && near % 2 ? near - 1 : near;
  }

  /* Abramowitz and Stegun's series 7.1.6 near 0, their continued fraction 7.1.14 beyond. */
  function erf(x) {
    const z = Math.abs(x);
    let sum = z, term = z, rest = 0;
    if (z < 3) for (let n = 0; n < 60; n++) sum += term *= (2 * z * z) / (2 * n + 3);
    else for (let n = 60; n > 0; n--) rest = n / 2 / (z + rest);
    const tail = Math.exp(-z * z) / Math.sqrt(Math.PI);
    return Math.sign(x) * (z < 3 ? 2 * tail * sum : 1 - tail / (z + rest));
  }

  const NODES = {
    Add: each((a, b) => a + b),
    Sub: each((a, b) => a - b),
    Mul: each((a, b) => a * b),
    Div: each((a, b) => a / b),
    Pow: each(Math.pow),
    Max: each((a, b) => Math.max(a, b)),
    Min: each((a, b) => Math.min(a, b)),
    Neg: each((a) => -a),
    Exp: each(Math.exp),
    Log: each(Math.log),
    Sqrt: each(Math.sqrt),
    Reciprocal: each((a) => 1 / a),
    Abs: each(Math.abs),
    Tanh: each(Math.tanh),
    Sigmoid: each((a) => 1 / (1 + Math.exp(-a))),
    Softplus: each((a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)))),
    Erf: each(erf),
    Sin: each(Math.sin),
    Cos: each(Math.cos),
    Sign: each(Math.sign),
    Floor: each(Math.floor),
    Ceil: each(Math.ceil),
    Round: each(even),
    Relu: each((a) => (a > 0 ? a : 0)),
    LeakyRelu: ([x], { alpha }) => each((a) => (a > 0 ? a : alpha * a))([x]),
    Clip: ([x, low, high]) => each((a) => Math.min(Math.max(a, low?.data[0] ?? -Infinity), high?.data[0] ?? Infinity))([x]),
    Where: each((mask, a, b) => (mask ? a : b)),
    And: truth((a, b) => a && b),
    Or: truth((a, b) => a || b),
    Xor: truth((a, b) => a !== b),
    Not: truth((a) => !a),
    Equal: truth((a, b) => a === b),
    Less: truth((a, b) => a < b),
    LessOrEqual: truth((a, b) => a <= b),
    Greater: truth((a, b) => a > b),
    GreaterOrEqual: truth((a, b) => a >= b),
    Identity: ([x]) => x,
    Cast: ([x], { to }) => value(TYPES[to].from(x.data), x.dims),
    Shape: ([x], { start, end }) => value(Int32Array.from(x.dims.slice(start, end)), [end - start]),
    Reshape: reshape,
    Squeeze: ([x, axes]) => value(x.data, x.dims.filter((_, k) => !axes.data.includes(k))),
    Expand: ([x, shape]) => expand(x, common(x, value(null, Array.from(shape.data)))),
    Transpose: ([x], { perm }) => transpose(x, perm),
    Slice: ([x, ...bounds]) => slice(x, ...bounds.map((b) => b.data)),
    Concat: (parts, { axis }) => join(parts, axis),
    Gather: ([x, index], { axis }) => gather(x, index, axis),
    Pad: ([x, widths, fill], { mode }) => border(x, widths.data, fill?.data[0] ?? 0, mode === "reflect"),
    MatMul: product,
    Conv: (inputs, settings) => convolution(inputs, settings, false),
    ConvTranspose: (inputs, settings) => convolution(inputs, settings, true),
    Softmax: along(shares),
    LogSoftmax: along(logarithms),
    ArgMax: ([x], { axis, keepdims }) => place(greatest)(x, [axis], keepdims),
    ArgMin: ([x], { axis, keepdims }) => place(least)(x, [axis], keepdims),
    ReduceSum: reduction(total),
    ReduceMean: reduction((row) => total(row) / row.length),
    ReduceMax: reduction(greatest),
    ReduceMin: reduction(least),
    OneHot: ([x, { data: [depth] }, { data: [off, on] }]) => {
      const at = (k) => (k % depth === x.data[Math.floor(k / depth)] ? on : off);
      return value(Float32Array.from({ length: x.data.length * depth }, (_, k) => at(k)), [...x.dims, depth]);
    },
  };

  /* The constants of a program: floats from one string of base64, others as they are. */
  function constants(program) {
    const bytes = Uint8Array.from(atob(program.floats), (letter) => letter.charCodeAt(0)), floats = new Float32Array(bytes.buffer);
    const read = ({ dims, type, at, data }) =>
      value(data ? TYPES[type].from(data) : floats.subarray(at, at + volume(dims)), dims);
    return new Map(Object.entries(program.constants).map(([name, row]) => [name, read(row)]));
  }

  /* A function from values by name to the values that the program's outputs have. */
  function load(program) {
    const fixed = constants(program);
    return (inputs) => {
      const values = new Map([...fixed, ...Object.entries(inputs)]);
      for (const { kind, inputs: names, output, settings } of program.nodes) {
        values.set(output, NODES[kind](names.map((name) => values.get(name)), settings)); // "", left out, has no value
      }
      return program.outputs.map((name) => values.get(name));
    };
  }

  return { load, value, NODES };
})();
