"use strict";
/* Curves over steps, the phase plane of a tiny game, and eigenvalues beside the unit circle. */

const Charts = (() => {
  const MOST = 500;
  const short = (v) =>
    v === 0 ? "0" : Math.abs(v) >= 1e4 || Math.abs(v) < 1e-3 ? v.toExponential(0) : String(+v.toPrecision(3));

  /* Rows {step, name: value}; when there are too many, every second one is left out and fewer are taken. */
  class History {
    constructor() {
      Object.assign(this, { rows: [], every: 1 });
    }

    add(row) {
      if (this.rows.length && row.step - this.rows.at(-1).step < this.every) return;
      this.rows.push({ ...row });
      if (this.rows.length > MOST) {
        this.rows = this.rows.filter((_, i) => i % 2 === 0);
        this.every *= 2;
      }
    }
  }

  /* The range of values: all of them, but for the largest and smallest hundredth. */
  function range(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (!sorted.length) return [0, 1];
    const cut = Math.floor(sorted.length / 100),
      low = sorted[cut],
      high = sorted[sorted.length - 1 - cut];
    const pad = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    return [low - pad, high + pad];
  }

  function ticks(low, high, count = 4) {
    const rough = (high - low) / count,
      power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((k) => k * power >= rough);
    const first = Math.ceil(low / step) * step;
    return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, k) => +(first + k * step).toPrecision(10));
  }

  /* Exponents of marks on a logarithmic axis: powers of ten, and 2 and 5 times them where there are few. */
  function decades(low, high) {
    const all = [];
    const step = Math.max(1, Math.ceil((high - low) / 4));
    for (let k = Math.floor(low); k <= high; k++)
      for (const times of high - low < 2.5 ? [1, 2, 5] : [1]) if (k % step === 0) all.push(k + Math.log10(times));
    return all.filter((v) => v >= low && v <= high);
  }

  /* Text on a patch of the ground's colour. */
  function label(context, text, x, y) {
    const { width } = context.measureText(text),
      left = context.textAlign === "right" ? x - width : x;
    context.fillStyle = Draw.colour("card");
    context.fillRect(left - 4, y - 14, width + 8, 19);
    context.fillStyle = Draw.colour("ink");
    context.fillText(text, x, y);
  }

  /* series: [[name, label, colour variable], ...]; log: decades on the y axis. Labels stand at the curves' ends. */
  function curves(canvas, history, series, { log = false, empty = "press Run" } = {}) {
    const [context, width, height] = Draw.prepare(canvas),
      { rows } = history;
    const left = 44,
      right = 76,
      top = 8,
      bottom = 20;
    const value = (row, name) => (log ? Math.log10(Math.max(row[name], 1e-30)) : row[name]);
    const shown = series.filter(([name]) => rows.some((row) => Number.isFinite(value(row, name))));
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = Draw.colour("muted");
    if (!shown.length) {
      context.textAlign = "center";
      context.fillText(empty, width / 2, height / 2);
      return;
    }
    let [low, high] = range(rows.flatMap((row) => shown.map(([name]) => value(row, name))));
    if (log && high - low < 1) [low, high] = [(low + high - 1) / 2, (low + high + 1) / 2];
    const last = Math.max(rows.at(-1).step, 1);
    const x = (step) => left + (step / last) * (width - left - right);
    const y = (v) => top + (1 - (v - low) / (high - low)) * (height - top - bottom);
    context.strokeStyle = Draw.colour("line");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const marks = log ? decades(low, high) : ticks(low, high);
    for (const v of marks) {
      context.beginPath();
      context.moveTo(left, y(v));
      context.lineTo(width - right, y(v));
      context.stroke();
      context.fillText(log ? short(10 ** v) : short(v), left - 6, y(v));
    }
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillText("step 0", left, height - 4);
    context.textAlign = "right";
    context.fillText(last.toLocaleString("en"), width - right, height - 4);
    const ends = [];
    for (const [name, text, tint] of shown) {
      context.strokeStyle = context.fillStyle = Draw.colour(tint);
      context.lineWidth = 1.8;
      context.beginPath();
      let end = null;
      for (const row of rows) {
        const v = value(row, name);
        if (!Number.isFinite(v)) continue;
        const py = Math.min(height - bottom, Math.max(top, y(v)));
        end ? context.lineTo(x(row.step), py) : context.moveTo(x(row.step), py);
        end = py;
      }
      context.stroke();
      ends.push([end, text, tint]);
    }
    context.textAlign = "left";
    context.textBaseline = "middle";
    ends.sort((a, b) => a[0] - b[0]);
    ends.forEach((one, i) => (one[0] = Math.max(one[0], i ? ends[i - 1][0] + 14 : top + 4)));
    for (const [py, text, tint] of ends) {
      context.fillStyle = Draw.colour(`${tint}-text`) || Draw.colour(tint);
      context.fillText(text, width - right + 6, py);
    }
  }

  /* The game's field, its way so far, and the equilibrium. */
  function phase(canvas, game, points, reach) {
    const [context, size] = Draw.prepare(canvas),
      view = { x: -reach, y: -reach, side: 2 * reach };
    const at = Draw.places(view, size),
      N = 15;
    context.fillStyle = Draw.colour("card");
    context.fillRect(0, 0, size, size);
    context.strokeStyle = Draw.colour("line");
    for (const [a, b] of [
      [at(-reach, 0), at(reach, 0)],
      [at(0, -reach), at(0, reach)],
    ]) {
      context.beginPath();
      context.moveTo(...a);
      context.lineTo(...b);
      context.stroke();
    }
    if (game.bound !== null) {
      context.fillStyle = Draw.colour("line");
      context.globalAlpha = 0.45;
      for (const [y0, y1] of [
        [reach, game.bound],
        [-game.bound, -reach],
      ]) {
        const [, top] = at(0, y0),
          [, low] = at(0, y1);
        if (low > top) context.fillRect(0, top, size, low - top);
      }
      context.globalAlpha = 1;
    }
    const where = Draw.lattice(view, N),
      vectors = new Float64Array(where.length);
    let most = 1e-30;
    for (let i = 0; i < where.length; i += 2) {
      const v = Games.v(game, [where[i], where[i + 1]]);
      vectors.set([-v[0], -v[1]], i);
      most = Math.max(most, Math.hypot(...v));
    }
    context.strokeStyle = Draw.colour("field");
    context.lineWidth = 1;
    Draw.arrows(context, where, vectors, at, size / 20 / most);
    context.strokeStyle = Draw.colour("fake");
    context.lineWidth = 1.8;
    context.beginPath();
    points.forEach(([px, py], i) => (i ? context.lineTo(...at(px, py)) : context.moveTo(...at(px, py))));
    context.stroke();
    Draw.dots(context, Float64Array.from(points.slice(-150).flat()), at, 2.2, Draw.colour("fake"), "");
    Draw.dots(context, Float64Array.from(points.at(-1)), at, 6, Draw.colour("pull"), Draw.colour("rim"));
    context.strokeStyle = Draw.colour("ink");
    context.lineWidth = 2;
    const [ox, oy] = at(0, 0);
    for (const d of [-1, 1]) {
      context.beginPath();
      context.moveTo(ox - 6, oy - 6 * d);
      context.lineTo(ox + 6, oy + 6 * d);
      context.stroke();
    }
    context.font = "13px system-ui, sans-serif";
    context.textAlign = "right";
    label(context, "x: where G puts its point", size - 8, size - 10);
    context.textAlign = "left";
    label(context, "y: D's slope", 10, 20);
    context.strokeStyle = Draw.colour("line");
    context.strokeRect(0.5, 0.5, size - 1, size - 1);
  }

  /* Complex numbers [re, im] and the unit circle: inside, a step leads nearer. */
  function eigen(canvas, values) {
    const [context, width, height] = Draw.prepare(canvas);
    const reach = Math.max(1.25, ...values.map(([a, b]) => 1.12 * Math.hypot(a, b))),
      unit = Math.min(width, height) / 2 / reach;
    const at = (re, im) => [width / 2 + re * unit, height / 2 - im * unit];
    context.strokeStyle = Draw.colour("line");
    context.lineWidth = 1;
    for (const [a, b] of [
      [
        [0, height / 2],
        [width, height / 2],
      ],
      [
        [width / 2, 0],
        [width / 2, height],
      ],
    ]) {
      context.beginPath();
      context.moveTo(...a);
      context.lineTo(...b);
      context.stroke();
    }
    context.strokeStyle = Draw.colour("muted");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(...at(0, 0), unit, 0, 7);
    context.stroke();
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = Draw.colour("muted");
    context.fillText("1", at(1, 0)[0] + 5, at(1, 0)[1] - 5);
    context.fillText("real part", width - 56, height / 2 + 15);
    context.fillText("imaginary", width / 2 + 5, 13);
    for (const value of values) {
      const out = Math.hypot(...value) > 1 + 1e-9;
      Draw.dots(
        context,
        Float64Array.from(at(...value)),
        (x, y) => [x, y],
        6,
        Draw.colour(out ? "pull" : "g"),
        Draw.colour("rim"),
      );
    }
  }

  return { History, curves, phase, eigen, short };
})();
