"use strict";
/* The plane on a canvas: the critic's landscape in bands, its gradient field, reals, samples with their pull, the grid
   that G makes of the latent plane. Colours are the page's CSS variables. */

const Draw = (() => {
  const BANDS = 14,
    PIXELS = 240;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

  /* The canvas at the screen's resolution: [context, width, height] in CSS pixels. */
  function prepare(canvas) {
    const ratio = window.devicePixelRatio || 1,
      { clientWidth: width, clientHeight: height } = canvas;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return [context, width, height];
  }

  /* A square around points (x and y in turn) with a margin: {x, y, side}, (x, y) its lower left corner. */
  function window_(points, margin = 0.22) {
    let low = [Infinity, Infinity],
      high = [-Infinity, -Infinity];
    points.forEach((v, i) => {
      low[i & 1] = Math.min(low[i & 1], v);
      high[i & 1] = Math.max(high[i & 1], v);
    });
    const side = Math.max(high[0] - low[0], high[1] - low[1], 1e-9) * (1 + 2 * margin);
    return { x: (low[0] + high[0] - side) / 2, y: (low[1] + high[1] - side) / 2, side };
  }

  /* Points of a square lattice in a window, row by row from below. */
  function lattice({ x, y, side }, count) {
    const at = (k) => ((k + 0.5) / count) * side,
      out = new Float64Array(2 * count * count);
    for (let r = 0, i = 0; r < count; r++)
      for (let c = 0; c < count; c++, i += 2) [out[i], out[i + 1]] = [x + at(c), y + at(r)];
    return out;
  }

  const places = (view, size) => (px, py) => [
    ((px - view.x) / view.side) * size,
    size - ((py - view.y) / view.side) * size,
  ];

  /* A picture of values on a lattice (count, count), in bands between their extremes. */
  function bands(values, count) {
    const low = rgb(colour("low")),
      high = rgb(colour("high"));
    let [least, most] = [Infinity, -Infinity];
    for (const v of values) [least, most] = [Math.min(least, v), Math.max(most, v)];
    const image = new ImageData(PIXELS, PIXELS),
      span = most - least || 1;
    const clamp = (k) => Math.min(count - 1, Math.max(0, k));
    for (let r = 0, i = 0; r < PIXELS; r++) {
      const fy = ((PIXELS - r - 0.5) / PIXELS) * count - 0.5,
        y0 = clamp(Math.floor(fy)),
        y1 = clamp(y0 + 1),
        ty = Math.max(0, fy - y0);
      for (let c = 0; c < PIXELS; c++, i += 4) {
        const fx = ((c + 0.5) / PIXELS) * count - 0.5,
          x0 = clamp(Math.floor(fx)),
          x1 = clamp(x0 + 1),
          tx = Math.max(0, fx - x0);
        const below = values[y0 * count + x0] * (1 - tx) + values[y0 * count + x1] * tx;
        const above = values[y1 * count + x0] * (1 - tx) + values[y1 * count + x1] * tx;
        const share = (below * (1 - ty) + above * ty - least) / span;
        const band = Math.min(BANDS - 1, Math.floor(share * BANDS)) / (BANDS - 1);
        for (let k = 0; k < 3; k++) image.data[i + k] = low[k] + (high[k] - low[k]) * band;
        image.data[i + 3] = 255;
      }
    }
    const canvas = new OffscreenCanvas(PIXELS, PIXELS);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  function dots(context, points, at, radius, fill, rim) {
    context.fillStyle = fill;
    context.strokeStyle = rim;
    context.lineWidth = 0.7;
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = at(points[i], points[i + 1]);
      if (!Number.isFinite(x + y)) continue;
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
      if (rim) context.stroke();
    }
  }

  /* An arrow from a place by (dx, dy) pixels, y downwards. */
  function arrow(context, x, y, dx, dy) {
    const length = Math.hypot(dx, dy);
    if (!(length > 0.7)) return;
    const head = Math.min(5, length * 0.45),
      [ux, uy] = [dx / length, dy / length];
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + dx, y + dy);
    context.moveTo(x + dx - head * (ux + 0.6 * uy), y + dy - head * (uy - 0.6 * ux));
    context.lineTo(x + dx, y + dy);
    context.lineTo(x + dx - head * (ux - 0.6 * uy), y + dy - head * (uy + 0.6 * ux));
    context.stroke();
  }

  /* Arrows of vectors (x and y in turn, y upwards) at points, `scale` pixels a unit, at most `longest` pixels long. */
  function arrows(context, points, vectors, at, scale, longest = Infinity) {
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = at(points[i], points[i + 1]),
        length = Math.hypot(vectors[i], vectors[i + 1]) * scale;
      if (!Number.isFinite(x + y + length)) continue;
      const k = length > longest ? (longest / length) * scale : scale;
      arrow(context, x, y, k * vectors[i], -k * vectors[i + 1]);
    }
  }

  /* Lines that G makes of lines of the latent plane, at quantiles of its normal numbers; one curve for one number. */
  function manifold(context, trainer, at) {
    const LINES = 13,
      FINE = 40,
      { latent } = trainer.settings;
    const quantile = (p) => 4.91 * (p ** 0.14 - (1 - p) ** 0.14); // the normal's, within 0.02
    const paths = [];
    if (latent === 1) paths.push(Array.from({ length: 400 }, (_, i) => [quantile((i + 0.5) / 400)]));
    else
      for (const turned of [false, true])
        for (let k = 0; k < LINES; k++) {
          const fixed = quantile((k + 0.5) / LINES);
          const pair = (t) => (turned ? [t, fixed] : [fixed, t]);
          paths.push(Array.from({ length: FINE }, (_, i) => pair(quantile((i + 0.5) / FINE))));
        }
    const z = new Float64Array(paths.reduce((n, path) => n + path.length, 0) * latent);
    paths.flat().forEach((place, i) => z.set(place, i * latent));
    const points = trainer.generate(z);
    let i = 0;
    for (const path of paths) {
      context.beginPath();
      for (let k = 0; k < path.length; k++, i += 2) {
        const [x, y] = at(points[i], points[i + 1]);
        if (Number.isFinite(x + y)) k ? context.lineTo(x, y) : context.moveTo(x, y);
      }
      context.stroke();
    }
  }

  /* The whole plane. look: {view, reals, samples, pull, ground} as page.js keeps them; ground: {values, count, field}. */
  function plane(canvas, trainer, look, layers) {
    const [context, size] = prepare(canvas),
      at = places(look.view, size),
      dot = size > 420 ? 1 : 0.8,
      on = (name) => layers.includes(name);
    context.fillStyle = colour("card");
    context.fillRect(0, 0, size, size);
    context.save();
    context.beginPath();
    context.roundRect(0, 0, size, size, 6);
    context.clip();
    if (on("landscape") && look.ground?.values)
      context.drawImage(bands(look.ground.values, look.ground.count), 0, 0, size, size);
    if (on("field") && look.ground?.slopes) {
      const { slopes, places: where } = look.ground;
      let most = 1e-30;
      for (let i = 0; i < slopes.length; i += 2) most = Math.max(most, Math.hypot(slopes[i], slopes[i + 1]));
      context.strokeStyle = colour("field");
      context.globalAlpha = 0.75;
      context.lineWidth = 1;
      arrows(context, where, slopes, at, size / 27 / most);
      context.globalAlpha = 1;
    }
    if (on("reals")) dots(context, look.reals, at, 2.3 * dot, colour("real"), colour("real-rim"));
    if (on("manifold")) {
      context.strokeStyle = colour("g");
      context.lineWidth = trainer.settings.latent === 1 ? 2 : 1;
      context.globalAlpha = 0.8;
      manifold(context, trainer, at);
      context.globalAlpha = 1;
    }
    if (on("arrows") && look.pull) {
      context.strokeStyle = colour("pull");
      context.lineWidth = 1.3;
      arrows(context, look.samples.subarray(0, look.pull.length), look.pull, at, size / 22, size / 18);
    }
    if (on("samples")) dots(context, look.samples, at, 2.7 * dot, colour("fake"), colour("rim"));
    context.restore();
    context.strokeStyle = colour("line");
    context.strokeRect(0.5, 0.5, size - 1, size - 1);
  }

  return { plane, prepare, colour, window: window_, lattice, places, dots, arrow, arrows };
})();
