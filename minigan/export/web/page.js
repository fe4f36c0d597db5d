"use strict";
/* The page of one generator: fields make its inputs, the interpreter makes an image of them. */

const T = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SHEET = 12, MOST_SEED = 2 ** 31 - 1;
const run = Forward.load(T.program);
const fields = T.arguments.flatMap((argument) => argument.fields);
const latents = fields.find((field) => field.kind === "latents");
const state = { seed: 0, moved: new Map() }; // moved: what differs from a field's start, by key

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* What can be moved, as { key, name, low, high, labels, start }: labels of a choice, low and high of a slider. `start`
   is a function of the seed. */
const knobs = fields.flatMap((field, at) => {
  if (field.kind === "choice") return [{ key: word(field.name), name: field.name, labels: field.labels, field, start: () => 0 }];
  if (field.kind === "number") return [{ key: word(field.name), name: field.name, low: field.low, high: field.high, field, start: () => 0 }];
  const [low, high] = field.law === "uniform" ? [0, 1] : [-3, 3];
  return field.sliders.map((k) => ({ key: `z${k}`, name: `latent ${k}`, low, high, field, index: k, start: (seed) => drawn(field, seed)[k] }));
});

function word(name) { return name.replace(/\W+/g, "-"); }

/* The first row of latents of a seed: the numbers that minigan's own generator of random numbers draws. */
function drawn(field, seed) {
  const stream = new Philox.Stream(seed, field.stream);
  return field.law === "uniform" ? stream.uniform(field.count) : stream.normal(field.count);
}

/* The inputs for a seed, and for what was moved. */
function inputs(seed) {
  const valueOf = (knob) => state.moved.get(knob.key) ?? knob.start(seed);
  const numbers = (field) => {
    const own = knobs.filter((knob) => knob.field === field);
    if (field.kind === "choice") return field.rows[valueOf(own[0])];
    if (field.kind === "number") return [valueOf(own[0])];
    const z = Float32Array.from(drawn(field, seed));
    for (const knob of own) z[knob.index] = valueOf(knob);
    const length = Math.hypot(...z);
    return field.law === "spherical" ? z.map((x) => (x * Math.sqrt(z.length)) / length) : z;
  };
  const value = (argument) => Forward.value(Float32Array.from(argument.fields.flatMap((f) => [...numbers(f)])), [1, ...argument.dims]);
  return Object.fromEntries(T.arguments.map((argument) => [argument.name, value(argument)]));
}

function paint(canvas, { data, dims: [, channels, height, width] }) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height), area = width * height;
  for (let k = 0; k < area; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = Math.round((Math.min(1, Math.max(-1, data[(channels > 1 ? c * area : 0) + k])) + 1) * 127.5);
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/* The images that the network is given, where it takes any: an image of three channels, or each channel as one. */
function showGiven() {
  const pictures = [];
  for (const { data, dims } of Object.values(inputs(state.seed))) {
    if (dims.length < 4) continue;
    const [, channels, height, width] = dims, depth = channels === 3 ? 3 : 1;
    for (let c = 0; c + depth <= channels; c += depth)
      pictures.push(Forward.value(data.subarray(c * height * width, (c + depth) * height * width), [1, depth, height, width]));
  }
  if ($("given").childElementCount !== pictures.length)
    $("given").replaceChildren(...pictures.map((_, k) => make("canvas", { role: "img", "aria-label": `Image ${k + 1} that goes in` })));
  pictures.forEach((picture, k) => paint($("given").children[k], picture));
}

let turn = 0;

/* The image at once, the sheet afterwards, one image at a time; a newer call ends an older one's sheet. */
function draw() {
  const own = ++turn;
  const start = performance.now();
  paint($("image"), run(inputs(state.seed))[0]);
  $("told").textContent = `${latents ? `Seed ${state.seed}; m` : "M"}ade in ${Math.max(1, Math.round(performance.now() - start))} ms.`;
  showGiven();
  let next = 0;
  const more = () => {
    if (own !== turn || next === SHEET || $("others").hidden) return;
    const seed = (state.seed + 1 + next) % (MOST_SEED + 1), button = $("sheet").children[next++];
    paint(button.firstChild, run(inputs(seed))[0]);
    button.lastChild.textContent = seed;
    button.setAttribute("aria-label", `Seed ${seed}`);
    button.onclick = () => change(() => (state.seed = seed));
    setTimeout(more);
  };
  setTimeout(more, 60);
}

function show() {
  $("seed").value = state.seed;
  for (const knob of knobs) {
    const value = state.moved.get(knob.key) ?? knob.start(state.seed), field = $(knob.key);
    field.value = value;
    if (!knob.labels) field.nextSibling.textContent = (+value).toFixed(2);
  }
  draw();
}

/* Do something to the state, and let the address and the page follow. */
function change(act) {
  act();
  const words = [...state.moved].map(([key, value]) => `${key}=${Number.isInteger(value) ? value : value.toFixed(3)}`);
  history.replaceState(null, "", "#" + [`seed=${state.seed}`, ...words].join("&"));
  say("");
  show();
}

function say(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

/* The state that the address names. What makes no sense is left out, and said. */
function read() {
  const wrong = [];
  Object.assign(state, { seed: 0, moved: new Map() });
  for (const part of location.hash.slice(1).split("&").filter(Boolean)) {
    const [key, text = ""] = part.split("="), value = text.trim() === "" ? NaN : Number(text), knob = knobs.find((k) => k.key === key);
    if (key === "seed" && Number.isInteger(value) && value >= 0 && value <= MOST_SEED) state.seed = value;
    else if (knob?.labels && Number.isInteger(value) && value >= 0 && value < knob.labels.length) state.moved.set(key, value);
    else if (knob && !knob.labels && value >= knob.low && value <= knob.high) state.moved.set(key, value);
    else if (key === "seed") wrong.push(`seed is a whole number from 0 to ${MOST_SEED}`);
    else if (knob) wrong.push(`${key} is ${knob.labels ? `a whole number from 0 to ${knob.labels.length - 1}` : `a number from ${knob.low} to ${knob.high}`}`);
    else wrong.push(`there is no ${JSON.stringify(key.slice(0, 40))}; there are seed, ${knobs.map((k) => k.key).join(", ")}`);
  }
  say(wrong.length ? `The address was not understood, and that part is left out: ${wrong[0]}.` : "");
  show();
}

function build() {
  $("about").textContent = `${T.about}. This is its ${T.part}.`;
  $("fields").append(...knobs.map((knob) => {
    const field = knob.labels
      ? make("select", { id: knob.key }, ...knob.labels.map((label, k) => make("option", { value: k }, label)))
      : make("input", { id: knob.key, type: "range", min: knob.low, max: knob.high, step: "0.01" });
    field.oninput = () => change(() => state.moved.set(knob.key, +field.value));
    return make("label", knob.labels ? { class: "choice" } : {}, make("span", {}, knob.name), field, ...(knob.labels ? [] : [make("output", { for: knob.key })]));
  }));
  $("hint").textContent = latents
    ? `The generator takes ${latents.count} random numbers. The sliders move those that change the image most; the others follow from the seed.`
    : "This network makes an image of what it is given: below the large image, what goes in.";
  for (const id of ["others", "fresh", "key"]) $(id).hidden = !latents;
  $("seed").parentElement.hidden = !latents;
  $("sheet").append(...Array.from({ length: latents ? SHEET : 0 }, () => make("button", { type: "button", "aria-label": "A sample that is still to be drawn" }, make("canvas"), make("small"))));
  const fresh = () => change(() => {
    state.seed = Math.floor(Math.random() * (MOST_SEED + 1));
    for (const knob of knobs) if (knob.index !== undefined) state.moved.delete(knob.key);
  });
  $("fresh").onclick = fresh;
  $("back").onclick = () => change(() => state.moved.clear());
  $("seed").onchange = () => {
    const seed = Number($("seed").value);
    if ($("seed").value !== "" && Number.isInteger(seed) && seed >= 0 && seed <= MOST_SEED) change(() => (state.seed = seed));
    else say(`The seed is a whole number from 0 to ${MOST_SEED}.`);
  };
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input[type=number], select"), held = event.ctrlKey || event.metaKey || event.altKey;
    if (event.key.toLowerCase() === "n" && latents && !typing && !held) fresh();
  });
  addEventListener("hashchange", read);
}

build();
read();
