"use strict";
/* Reverse-mode automatic differentiation of any order, on matrices of float64.

   An operation computes its value and states, for each input, the product of a cotangent with its derivative (vjp).
   A vjp is written in the same operations, so the gradient of a gradient is just another graph: what the penalties on
   the critic's slope need. It is minigan/autograd.py over again, in a hundred lines:

     - a Tensor knows the operation's vjps and inputs; ids grow, so descending ids are a topological order;
     - `grad` walks from the output down, and only along nodes that lead to a wanted input;
     - null means zero: what no gradient reached is never a matrix of zeros.

   Operations on (rows, cols) broadcast an axis of length 1; a cotangent is summed back to the shape of its input. */

const Engine = (() => {
  let count = 0,
    recording = true;

  class Tensor {
    constructor(data, rows, cols) {
      Object.assign(this, { data, rows, cols, id: count++, vjps: null, inputs: [], tracked: false });
    }

    /* The only number of a (1, 1) tensor. */
    get item() {
      return this.data[0];
    }
  }

  /* A constant: a number, or an array with its shape. */
  function tensor(values, rows = 1, cols = 1) {
    if (values instanceof Tensor) return values;
    const data = typeof values === "number" ? Float64Array.of(values) : Float64Array.from(values);
    if (data.length !== rows * cols) throw Error(`tensor: ${data.length} numbers for the shape (${rows}, ${cols})`);
    return new Tensor(data, rows, cols);
  }

  /* A leaf that gradients are taken with respect to. */
  function leaf(values, rows, cols) {
    return Object.assign(tensor(values, rows, cols), { tracked: true });
  }

  /* The same numbers, without history. */
  const detach = (x) => new Tensor(x.data, x.rows, x.cols);

  /* The tensor that an operation returns; it keeps its history only where a gradient may be asked for. */
  function record(data, rows, cols, inputs, vjps) {
    const y = new Tensor(data, rows, cols);
    if (recording && inputs.some((x) => x.tracked)) Object.assign(y, { inputs, vjps, tracked: true });
    return y;
  }

  function withRecording(on, work) {
    const before = recording;
    recording = on;
    try {
      return work();
    } finally {
      recording = before;
    }
  }

  const noGrad = (work) => withRecording(false, work);

  /* Gradients of a (1, 1) output with respect to the inputs, null for those that it does not depend on. With `create`
     the gradients have a history of their own. */
  function grad(output, inputs, create = false) {
    const seen = new Set([output]);
    for (const node of seen) for (const input of node.inputs) seen.add(input); // a Set is walked while it grows
    const nodes = [...seen].sort((a, b) => a.id - b.id);
    const leads = new Set(inputs);
    for (const node of nodes) if (node.inputs.some((x) => leads.has(x))) leads.add(node);
    const cotangents = new Map([[output, tensor(1)]]);
    withRecording(create, () => {
      for (const node of nodes.reverse()) {
        const g = cotangents.get(node);
        if (!g || !leads.has(node)) continue;
        node.inputs.forEach((input, i) => {
          if (!leads.has(input)) return;
          const part = sumTo(node.vjps[i](g, node, ...node.inputs), input.rows, input.cols);
          cotangents.set(input, cotangents.has(input) ? add(cotangents.get(input), part) : part);
        });
      }
    });
    return inputs.map((x) => cotangents.get(x) ?? null);
  }

  /* --- elementwise; a vjp is (g, y, x) => dL/dx or (g, y, a, b) => dL/da */

  function unary(f, ...vjps) {
    return (x) => {
      const data = new Float64Array(x.data.length),
        from = x.data;
      for (let i = 0; i < data.length; i++) data[i] = f(from[i]);
      return record(data, x.rows, x.cols, vjps.length ? [x] : [], vjps);
    };
  }

  function binary(name, f, ...vjps) {
    return (a, b) => {
      [a, b] = [tensor(a), tensor(b)];
      const rows = Math.max(a.rows, b.rows),
        cols = Math.max(a.cols, b.cols);
      for (const x of [a, b])
        if ((x.rows !== rows && x.rows !== 1) || (x.cols !== cols && x.cols !== 1))
          throw Error(`${name}: shapes (${a.rows}, ${a.cols}) and (${b.rows}, ${b.cols}) do not broadcast`);
      const data = new Float64Array(rows * cols);
      if (a.data.length === data.length && b.data.length === data.length) {
        for (let i = 0; i < data.length; i++) data[i] = f(a.data[i], b.data[i]);
        return record(data, rows, cols, [a, b], vjps);
      }
      const aRow = a.rows === 1 ? 0 : a.cols,
        aCol = a.cols === 1 ? 0 : 1;
      const bRow = b.rows === 1 ? 0 : b.cols,
        bCol = b.cols === 1 ? 0 : 1;
      for (let r = 0, i = 0; r < rows; r++)
        for (let c = 0; c < cols; c++, i++) data[i] = f(a.data[r * aRow + c * aCol], b.data[r * bRow + c * bCol]);
      return record(data, rows, cols, [a, b], vjps);
    };
  }

  const add = binary(
    "add",
    (a, b) => a + b,
    (g) => g,
    (g) => g,
  );
  const sub = binary(
    "sub",
    (a, b) => a - b,
    (g) => g,
    (g) => neg(g),
  );
  const mul = binary(
    "mul",
    (a, b) => a * b,
    (g, y, a, b) => mul(g, b),
    (g, y, a) => mul(g, a),
  );
  const div = binary(
    "div",
    (a, b) => a / b,
    (g, y, a, b) => div(g, b),
    (g, y, a, b) => neg(div(mul(g, y), b)),
  );

  const neg = unary(
    (x) => -x,
    (g) => neg(g),
  );
  const exp = unary(Math.exp, (g, y) => mul(g, y));
  const square = unary(
    (x) => x * x,
    (g, y, x) => mul(g, mul(2, x)),
  );
  const tanh = unary(Math.tanh, (g, y) => mul(g, sub(1, square(y))));
  const sigmoid = unary(
    (x) => 1 / (1 + Math.exp(-x)),
    (g, y) => mul(g, mul(y, sub(1, y))),
  );
  const softplus = unary(
    (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    (g, y, x) => mul(g, sigmoid(x)),
  );
  const step = unary((x) => (x > 0 ? 1 : 0)); // without a vjp: its slope is zero
  const relu = unary(
    (x) => (x <= 0 ? 0 : x),
    (g, y, x) => mul(g, step(x)),
  );
  const sign = unary(Math.sign);
  const abs = unary(Math.abs, (g, y, x) => mul(g, sign(x)));
  /* 1 / x, and 0 at 0: with it the slope of the root at 0 is 0, to every order. */
  const inverse = unary(
    (x) => (x === 0 ? 0 : 1 / x),
    (g, y) => neg(mul(g, square(y))),
  );
  const sqrt = unary(Math.sqrt, (g, y) => mul(g, mul(0.5, inverse(y))));
  /* min(x, limit) */
  const atMost = (x, limit) => sub(limit, relu(sub(limit, x)));
  /* a where `mask` is 1, b where it is 0. */
  const where = (mask, a, b) => add(mul(mask, a), mul(sub(1, mask), b));

  /* --- shapes */

  function sumTo(x, rows, cols) {
    if (x.rows === rows && x.cols === cols) return x;
    if ((x.rows !== rows && rows !== 1) || (x.cols !== cols && cols !== 1)) return broadcast(x, rows, cols);
    const data = new Float64Array(rows * cols);
    for (let r = 0, i = 0; r < x.rows; r++)
      for (let c = 0; c < x.cols; c++, i++) data[(rows === 1 ? 0 : r * cols) + (cols === 1 ? 0 : c)] += x.data[i];
    return record(data, rows, cols, [x], [(g, y, x) => broadcast(g, x.rows, x.cols)]);
  }

  function broadcast(x, rows, cols) {
    if (x.rows === rows && x.cols === cols) return x;
    const data = new Float64Array(rows * cols);
    for (let r = 0, i = 0; r < rows; r++)
      for (let c = 0; c < cols; c++, i++) data[i] = x.data[(x.rows === 1 ? 0 : r * x.cols) + (x.cols === 1 ? 0 : c)];
    return record(data, rows, cols, [x], [(g, y, x) => sumTo(g, x.rows, x.cols)]);
  }

  const sum = (x) => sumTo(x, 1, 1);
  const mean = (x) => mul(sum(x), 1 / x.data.length);
  const meanOfRows = (x) => mul(sumTo(x, 1, x.cols), 1 / x.rows);
  /* ||row||_2, (rows, 1). */
  const norms = (x) => sqrt(sumTo(square(x), x.rows, 1));

  function reshape(x, rows, cols) {
    return record(x.data, rows, cols, [x], [(g, y, x) => reshape(g, x.rows, x.cols)]);
  }

  /* Columns `from` .. `from` + `cols` - 1, and its adjoint: such columns among `total`, zeros elsewhere. */
  function slice(x, from, cols) {
    const data = new Float64Array(x.rows * cols);
    for (let r = 0; r < x.rows; r++) data.set(x.data.subarray(r * x.cols + from, r * x.cols + from + cols), r * cols);
    return record(data, x.rows, cols, [x], [(g, y, x) => embed(g, from, x.cols)]);
  }

  function embed(x, from, total) {
    const data = new Float64Array(x.rows * total);
    for (let r = 0; r < x.rows; r++) data.set(x.data.subarray(r * x.cols, (r + 1) * x.cols), r * total + from);
    return record(data, x.rows, total, [x], [(g, y, x) => slice(g, from, x.cols)]);
  }

  /* Tensors side by side. */
  function cat(...parts) {
    const total = parts.reduce((cols, x) => cols + x.cols, 0);
    let from = 0;
    return parts.map((x) => embed(x, (from += x.cols) - x.cols, total)).reduce(add);
  }

  /* Row index[i] of x as row i, and its adjoint: row i added to row index[i] of `rows`. */
  function gather(x, index) {
    const data = new Float64Array(index.length * x.cols);
    index.forEach((row, i) => data.set(x.data.subarray(row * x.cols, (row + 1) * x.cols), i * x.cols));
    return record(data, index.length, x.cols, [x], [(g, y, x) => scatter(g, index, x.rows)]);
  }

  function scatter(x, index, rows) {
    const data = new Float64Array(rows * x.cols);
    index.forEach((row, i) => {
      for (let c = 0; c < x.cols; c++) data[row * x.cols + c] += x.data[i * x.cols + c];
    });
    return record(data, rows, x.cols, [x], [(g) => gather(g, index)]);
  }

  function transposed(data, rows, cols) {
    const out = new Float64Array(rows * cols);
    for (let r = 0, i = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = data[i++];
    return out;
  }

  /* Dot products of the rows of A (rows, inner) and of B (cols, inner), four rows of B at a time. */
  function dots(A, B, rows, inner, cols) {
    const out = new Float64Array(rows * cols);
    for (let r = 0; r < rows; r++) {
      const from = r * inner;
      let c = 0;
      for (; c + 4 <= cols; c += 4) {
        let s0 = 0,
          s1 = 0,
          s2 = 0,
          s3 = 0,
          j = c * inner;
        for (let k = 0; k < inner; k++, j++) {
          const x = A[from + k];
          s0 += x * B[j];
          s1 += x * B[j + inner];
          s2 += x * B[j + 2 * inner];
          s3 += x * B[j + 3 * inner];
        }
        const at = r * cols + c;
        out[at] = s0;
        out[at + 1] = s1;
        out[at + 2] = s2;
        out[at + 3] = s3;
      }
      for (; c < cols; c++) {
        let s = 0;
        for (let k = 0, j = c * inner; k < inner; k++) s += A[from + k] * B[j++];
        out[r * cols + c] = s;
      }
    }
    return out;
  }

  /* A B, A = a or its transpose, B = b or its transpose.  dA = g B^T, dB = A^T g. */
  function matmul(a, b, ta = false, tb = false) {
    const [rows, inner] = ta ? [a.cols, a.rows] : [a.rows, a.cols];
    const [depth, cols] = tb ? [b.cols, b.rows] : [b.rows, b.cols];
    if (inner !== depth) throw Error(`matmul: inner lengths ${inner} and ${depth} differ`);
    const A = ta ? transposed(a.data, a.rows, a.cols) : a.data,
      B = tb ? b.data : transposed(b.data, b.rows, b.cols);
    return record(
      dots(A, B, rows, inner, cols),
      rows,
      cols,
      [a, b],
      [
        (g, y, a, b) => (ta ? matmul(b, g, tb, true) : matmul(g, b, false, !tb)),
        (g, y, a, b) => (tb ? matmul(g, a, true, ta) : matmul(a, g, !ta, false)),
      ],
    );
  }

  return {
    Tensor,
    tensor,
    leaf,
    detach,
    grad,
    noGrad,
    add,
    sub,
    mul,
    div,
    neg,
    exp,
    square,
    tanh,
    sigmoid,
    softplus,
    relu,
    abs,
    inverse,
    sqrt,
    atMost,
    where,
    sum,
    sumTo,
    mean,
    meanOfRows,
    norms,
    reshape,
    slice,
    cat,
    gather,
    scatter,
    matmul,
  };
})();
