"use strict";
// The page of a run: it draws what the table of numbers and pictures holds. Where the table holds the generator, it
// runs it for the sweep of two latents.
const T = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const COLOURS = ["#0b5fa5", "#b3500b", "#117a5d", "#7b3fa0", "#8a6d00", "#5b6770"];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function picture(base64, alt, width) {
  const image = make("img", {class: "pixels", src: "data:image/png;base64," + base64, alt});
  if (width) image.setAttribute("width", width);
  return image;
}

function number(value) { return Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(4)); }

// The ends of an axis and its middle, those that are whole numbers, from left to right.
function wholeTicks(low, high) {
  return [...new Set([Math.ceil(low), Math.round((low + high) / 2), Math.floor(high)])].filter(v => v >= low && v <= high);
}

// A chart of curves: {name: [[x, y], ...]}, with both axes named; behind a curve the band of normal runs,
// {name: [[x, low, high], ...]}, where the curve is. A curve of one point is a dot.
function chart(curves, x, y, bands = {}) {
  const W = Math.max(300, Math.min(680, document.documentElement.clientWidth - 56)); // a phone's text is as large as any
  const H = 210, L = 84, B = 34, points = Object.values(curves).flat();
  if (!points.length) return make("p", {}, "nothing was recorded");
  const xs = points.map(p => p[0]);
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const near = Object.keys(curves).flatMap(name => bands[name] || []).filter(row => row[0] >= x0 && row[0] <= x1);
  const ys = [...points.map(p => p[1]), ...near.flatMap(row => row.slice(1))].filter(Number.isFinite);
  let [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const steps = wholeTicks(x0, x1);
  if (x0 === x1) { x0 -= 1; x1 += 1; }
  if (y0 === y1) { y0 -= 1; y1 += 1; }
  const px = v => L + (W - L - 8) * (v - x0) / (x1 - x0), py = v => 8 + (H - B - 8) * (1 - (v - y0) / (y1 - y0));
  const place = ([a, b]) => px(a).toFixed(1) + "," + py(b).toFixed(1), colour = k => COLOURS[k % COLOURS.length];
  const names = Object.keys(curves);
  const lines = names.map((name, k) => curves[name].length === 1
    ? `<circle fill="${colour(k)}" r="3.5" cx="${px(curves[name][0][0])}" cy="${py(curves[name][0][1])}"/>`
    : `<polyline fill="none" stroke="${colour(k)}" stroke-width="1.6" stroke-dasharray="${k >= COLOURS.length ? "4 3" : ""}" points="${curves[name].map(place).join(" ")}"/>`);
  const inside = v => Math.max(y0, Math.min(y1, v));
  const normal = names.map((name, k) => {
    const rows = (bands[name] || []).filter(row => row[0] >= x0 && row[0] <= x1);
    const ends = rows.map(row => [row[0], inside(row[1]), inside(row[2])]);
    if (!ends.some(row => row[1] < row[2])) return "";
    if (ends.length === 1) return `<rect class="band" fill="${colour(k)}" x="${px(ends[0][0]) - 4}" width="8" y="${py(ends[0][2])}" height="${py(ends[0][1]) - py(ends[0][2])}"/>`;
    const corners = [...ends.map(row => [row[0], row[2]]), ...ends.reverse().map(row => [row[0], row[1]])];
    return `<polygon class="band" fill="${colour(k)}" points="${corners.map(place).join(" ")}"/>`;
  });
  const ticks = [y0, (y0 + y1) / 2, y1].map(v => `<line class="axis" x1="${L}" x2="${W - 8}" y1="${py(v)}" y2="${py(v)}"/><text x="${L - 6}" y="${py(v) + 4}" text-anchor="end">${number(v)}</text>`);
  const below = steps.map(v => `<text x="${px(v)}" y="${H - 18}" text-anchor="${v === x0 ? "start" : v === x1 ? "end" : "middle"}">${v}</text>`);
  const box = make("div", {class: "scroll"});
  box.innerHTML = `<svg viewBox="0 0 ${W} ${H}" width="100%" style="max-width:${W}px" role="img" aria-label="${y} over ${x}">${ticks.join("")}${below.join("")}${normal.join("")}${lines.join("")}<text x="${(L + W) / 2}" y="${H - 3}" text-anchor="middle">${x}</text><text x="12" y="${(H - B) / 2}" transform="rotate(-90 12 ${(H - B) / 2})" text-anchor="middle">${y}</text></svg>`;
  const legend = make("small");
  names.forEach((name, k) => {
    const line = make("span", {style: `border-top: 3px ${k >= COLOURS.length ? "dashed" : "solid"} ${colour(k)}; margin-right: 14px`});
    line.textContent = name;
    legend.append(line);
  });
  box.append(legend);
  return box;
}

function showTime() {
  const slider = $("frame");
  slider.max = Math.max(0, T.frames.length - 1);
  const show = () => {
    const frame = T.frames[slider.value];
    if (!frame) return;
    $("caption").textContent = frame.caption;
    $("sheet").src = "data:image/png;base64," + frame.picture;
    $("sheet").alt = "Samples at " + frame.caption;
  };
  slider.oninput = show;
  slider.value = slider.max;
  show();
  const keys = [...new Set(T.stats.flatMap(row => Object.keys(row)))].filter(k => k !== "step" && k !== "seconds");
  const curve = key => T.stats.filter(row => Number.isFinite(row[key])).map(row => [row.step, row[key]]);
  const label = key => T.formulas[key] ? `${key}: ${T.formulas[key]}` : key;
  const groups = [["loss", /loss|objective/], ["norm of the weights' gradient", /weight_gradient/], ["slope, penalty", /norm|gradient|penalty/], ["value", /./]]
    .map(([y, pattern], k, all) => [y, keys.filter(key => pattern.test(key) && !all.slice(0, k).some(([, earlier]) => earlier.test(key)))]);
  const named = (keys, value) => Object.fromEntries(keys.map(k => [label(k), value(k)]));
  for (const [y, group] of groups)
    if (group.length) $("curves").append(chart(named(group, curve), "generator step", y, named(group.filter(k => T.bands[k]), k => T.bands[k])));
  const shaded = document.querySelector("#curves .band") ? ["Shaded behind the first steps of a curve: where normal runs of this system lie."] : [];
  $("normal").replaceChildren(...[...shaded, ...T.verdict].map(line => make("p", {}, line)));
}

function options(select, names) {
  select.replaceChildren(...names.map((name, k) => make("option", {value: k}, name)));
}

function showWalk() {
  options($("network"), T.networks.map(n => n.name));
  const show = () => {
    const network = T.networks[$("network").value], row = network.walks[$("row").value];
    $("layers").replaceChildren(...row.map(layer => {
      const words = make("div", {}, make("strong", {}, layer.name || network.name));
      words.append(make("small", {}, layer.what), make("small", {}, `${layer.shape.join(" × ") || "1"}, from ${number(layer.low)} to ${number(layer.high)}`));
      const scale = Math.max(1, Math.min(6, Math.floor(620 / layer.width)));
      return make("div", {class: "layer"}, words, make("div", {class: "scroll"}, picture(layer.picture, "Channels of " + (layer.name || network.name), layer.width * scale)));
    }));
  };
  const rows = () => { options($("row"), T.networks[$("network").value].labels); show(); };
  $("network").onchange = rows;
  $("row").onchange = show;
  if (T.networks.length) rows();
}

function card(...children) { return make("div", {class: "card"}, ...children); }

function showGradients() {
  for (const [id, rows, words] of [["sent", T.gradients.to_generator, "length of the slope"], ["between", T.gradients.between, "length"]])
    $(id).replaceChildren(...(rows.length ? rows.map((g, k) => card(picture(g.image, `Image ${k + 1}`), " ", picture(g.slope, `Slope at image ${k + 1}`), make("small", {}, `${words} ${number(g.length)}`))) : [make("p", {}, "This system's loss has no such slope.")]));
}

function showWeights() {
  options($("weight-network"), T.networks.map(n => n.name));
  const show = () => {
    const network = T.networks[$("weight-network").value], root = network.name.split(".")[0], inside = network.name.slice(root.length + 1);
    const curves = {};
    for (const row of T.norms)
      for (const [name, value] of Object.entries(row[root] || {}))
        if (/weight|w$/.test(name) && name.startsWith(inside)) (curves[name] ||= []).push([row.step, value]);
    $("norms").replaceChildren(chart(curves, "generator step", "length of the weight"));
    $("kernels").replaceChildren(...network.weights.map(w => {
      const parts = [make("strong", {}, w.name), make("small", {}, `${w.shape.join(" × ")}, length ${number(w.norm)}`)];
      if (w.picture) parts.push(picture(w.picture, "Kernels of " + w.name, w.width * Math.max(1, Math.min(5, Math.floor(280 / w.width)))));
      const values = Object.fromEntries([["singular values", w.singular.map((s, k) => [k + 1, s])]]);
      const box = chart(values, "number", "singular value");
      box.style.width = "300px";
      return card(...parts, box);
    }));
    const rows = network.statistics.map(s => make("tr", {}, ...[s.name, ...s.mean.map(number), ...s.var.map(number)].map(v => make("td", {}, v))));
    const head = make("tr", {}, ...["batch norm", "mean: least", "middle", "most", "variance: least", "middle", "most"].map(v => make("td", {}, v)));
    $("statistics").replaceChildren(...(rows.length ? [make("h3", {}, "Running statistics"), make("div", {class: "scroll"}, make("table", {}, head, ...rows))] : []));
  };
  $("weight-network").onchange = show;
  if (T.networks.length) show();
}

function showJudge() {
  $("judge-about").textContent = (T.judge ? `A classifier that saw real images only; it is right on ${(100 * T.judge.right).toFixed(1)} % of held-out ones. ` : "There is no judge of classes for this data set. ") + "Beside each image its nearest training image, and how far it is, as the root of the mean squared difference of pixels in [-1, 1].";
  $("judged").replaceChildren(...T.images.map((image, k) => {
    const near = T.neighbours[k];
    const box = card(make("strong", {}, image.kind), make("div", {}, picture(image.picture, image.kind), " ", picture(near.picture, "Nearest training image")), make("small", {}, `nearest training image: ${number(near.distance)} away`));
    if (T.judge) {
      const order = T.judge.probabilities[k].map((p, c) => [p, T.judge.classes[c]]).sort((a, b) => b[0] - a[0]).slice(0, 3);
      for (const [p, name] of order) {
        const line = make("div", {class: "bar"}, make("span", {}, name));
        const holder = make("span");
        holder.append(make("i", {style: `width:${100 * p}%`}));
        line.append(holder, make("span", {}, p.toFixed(2)));
        box.append(line);
      }
    }
    return box;
  }));
}

function showSweep() {
  const S = T.sweep;
  if (!S) { $("sweep").hidden = true; return null; }
  const run = T.generator && Forward.load(T.generator), last = S.side - 1, [a, b] = S.latents;
  $("sweep-about").textContent = `Latents ${a} and ${b}, the two that move the image most, from ${S.values[0]} to ${S.values.at(-1)}; the others stay as in sample 1. Move over the square, or use the arrow keys. ` +
    (run ? "The image is made by the generator itself, in this page." : "The images were made beforehand: one for each cell.");
  const sheet = new Image(), pad = $("pad"), context = pad.getContext("2d"), canvas = $("picture"), out = canvas.getContext("2d");
  let at = [last / 2, last / 2]; // in cells, whole numbers where there is no generator
  const value = k => S.values[0] + (S.values.at(-1) - S.values[0]) * k / last;
  const make = () => { // the image at `at`
    const z = Float32Array.from(S.start), [name] = T.generator.inputs.map(input => input.name);
    [z[a], z[b]] = at.map(value);
    return run({[name]: Forward.value(z, [1, z.length])})[0];
  };
  const paint = ({data, dims: [, channels, height, width]}) => {
    const small = new OffscreenCanvas(width, height), context = small.getContext("2d"), image = context.createImageData(width, height);
    for (let k = 0; k < width * height; k++) {
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = Math.round((Math.min(1, Math.max(-1, data[(channels > 1 ? c * width * height : 0) + k])) + 1) * 127.5);
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    out.drawImage(small, 0, 0, canvas.width, canvas.height);
  };
  const show = () => {
    const size = sheet.width / S.side, cell = pad.width / S.side;
    context.imageSmoothingEnabled = out.imageSmoothingEnabled = false;
    context.drawImage(sheet, 0, 0, pad.width, pad.height);
    context.strokeStyle = "#ff9f1c";
    context.lineWidth = 3;
    context.strokeRect(at[0] * cell + 1, at[1] * cell + 1, cell - 2, cell - 2);
    if (run) paint(make());
    else out.drawImage(sheet, at[0] * size, at[1] * size, size, size, 0, 0, canvas.width, canvas.height);
    $("place").textContent = `latent ${a} = ${value(at[0]).toFixed(2)}, latent ${b} = ${value(at[1]).toFixed(2)}`;
  };
  const clamp = v => Math.max(0, Math.min(last, v));
  pad.onpointermove = event => {
    const box = pad.getBoundingClientRect(), cells = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map(v => S.side * v);
    at = cells.map(v => clamp(run ? v - 0.5 : Math.floor(v)));
    show();
  };
  pad.onkeydown = event => {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key], step = run ? 0.25 : 1;
    if (move) { at = [clamp(at[0] + step * move[0]), clamp(at[1] + step * move[1])]; show(); event.preventDefault(); }
  };
  sheet.onload = show;
  sheet.src = "data:image/png;base64," + S.picture;
  return {make, at: place => { at = place; show(); }};
}

function showOptions() {
  $("about").textContent = `${T.what} (${T.paper}); data ${T.options.data}.`;
  $("table").replaceChildren(...Object.entries(T.options).map(([name, value]) => make("tr", {}, make("td", {}, name), make("td", {}, String(value)))));
}

for (const show of [showOptions, showTime, showWalk, showGradients, showWeights, showJudge]) show();
const sweep = showSweep(); // for tests
