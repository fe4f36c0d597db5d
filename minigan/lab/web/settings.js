"use strict";
/* The settings of the page: their kinds, limits and defaults, and their text in the address after `#`.

   A link holds what differs from the defaults, `#loss=wasserstein&tricks=clip`, and under `do` what was done since the
   start, so that opening it does the same again: `120!d!lr_d~0.01`: 120 whole steps, half a step of D (or g), a setting
   that was changed. */

const Settings = (() => {
  const number = (initial, least, most, label, more = {}) => ({ kind: "number", initial, least, most, label, ...more });
  const whole = (initial, least, most, label, more = {}) =>
    number(initial, least, most, label, { whole: true, ...more });
  const choice = (initial, options, label, more = {}) => ({ kind: "choice", initial, options, label, ...more });
  const VIEWS = { points: "a GAN of points", games: "tiny games" };
  const LAYERS = {
    landscape: "critic's landscape",
    field: "gradient field",
    reals: "reals",
    samples: "samples",
    arrows: "each sample's gradient",
    manifold: "generator's grid",
  };
  const TRICKS = [
    "clip",
    "spectral",
    "batch-norm",
    "virtual-batch-norm",
    "minibatch",
    "packing",
    "unrolled",
    "lookahead",
    "optimistic",
    "consensus",
    "feature-matching",
    "smoothing",
    "noisy-labels",
    "instance-noise",
    "spherical",
  ];
  const with_ = (trick) => (s) => s.tricks.includes(trick);

  const TABLE = {
    data: choice("ring", [...Object.keys(Data.SHAPES), "own"], "Data"),
    loss: choice("non-saturating", Object.keys(Losses.ROWS), "Loss"),
    penalty: choice("none", ["none", ...Object.keys(Losses.PENALTIES)], "Penalty on the critic's slope"),
    weight: number(1, 0, 1e4, "Penalty's weight", { when: (s) => s.penalty !== "none" }),
    tricks: { kind: "set", initial: [], options: TRICKS, label: "Tricks" },
    clip: number(0.05, 1e-4, 100, "Clip weights to ±", { when: with_("clip") }),
    pack: whole(2, 2, 8, "Samples in a pack", { when: with_("packing") }),
    unroll: whole(5, 1, 10, "Unrolled critic steps", { when: with_("unrolled") }),
    unroll_lr: number(2e-3, 1e-6, 10, "Rate of unrolled steps", { when: with_("unrolled") }),
    gamma: number(0.1, 0, 1e3, "Consensus weight γ", { when: with_("consensus") }),
    sigma: number(0.2, 0, 10, "Instance noise σ", { when: with_("instance-noise") }),
    smooth: number(0.9, 0.5, 1, "Label of reals", { when: with_("smoothing") }),
    flip: number(0.1, 0, 0.49, "Share of wrong labels", { when: with_("noisy-labels") }),
    latent: whole(2, 1, 16, "Latent numbers"),
    width_g: whole(32, 1, 128, "Width of G"),
    depth_g: whole(2, 1, 6, "Hidden layers of G"),
    width_d: whole(32, 1, 128, "Width of D"),
    depth_d: whole(2, 1, 6, "Hidden layers of D"),
    lr_g: number(1e-3, 1e-7, 10, "Rate of G"),
    lr_d: number(1e-3, 1e-7, 10, "Rate of D"),
    n_critic: whole(1, 1, 50, "D's half-steps a step"),
    batch: whole(64, 2, 512, "Batch"),
    beta1: number(0.5, 0, 0.999, "Adam's β1"),
    beta2: number(0.999, 0, 0.9999, "Adam's β2"),
    average: number(0, 0, 0.9999, "Average of G's weights"),
    fall: whole(0, 0, 1e6, "Rates reach 0 at step"),
    seed: whole(0, 0, 2 ** 32 - 1, "Seed"),
    show: {
      kind: "set",
      initial: ["landscape", "field", "reals", "samples", "arrows"],
      options: Object.keys(LAYERS),
      label: "Show",
    },
    speed: whole(6, 0, 9, "Speed"),
    view: choice("points", Object.keys(VIEWS), "View"),
    game: choice("wgan", Games.NAMES, "Game"),
    method: choice("simultaneous", Games.METHODS, "Method"),
    h: number(0.2, 1e-3, 1.5, "Step size h"),
    x: number(1, -3, 3, "Start x"),
    y: number(0, -3, 3, "Start y"),
  };
  const LOOKS = ["show", "speed", "view", "game", "method", "h", "x", "y"]; // change nothing of the training
  const RESTART = ["data", "seed"];
  const REBUILD = ["tricks", "pack", "latent", "width_g", "depth_g", "width_d", "depth_d"];
  const LARGEST = 1.2e8; // multiplications a step: about a tenth of a second

  const MOST_STEPS = 100000;

  const initial = () =>
    Object.fromEntries(Object.entries(TABLE).map(([name, row]) => [name, structuredClone(row.initial)]));

  function nearest(name, known) {
    const distance = (a, b) => {
      let row = Array.from({ length: b.length + 1 }, (_, j) => j);
      for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++)
          next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1])));
        row = next;
      }
      return row[b.length];
    };
    const best = known.map((k) => [distance(name.toLowerCase(), k), k]).sort((a, b) => a[0] - b[0])[0];
    return best[0] < name.length && best[0] <= Math.max(2, name.length / 3)
      ? `; did you mean ${best[1]}?`
      : `; known: ${known.slice(0, 20).join(", ")}`;
  }

  /* The value of a setting from its text. Throws with one line that says what to do. */
  function read(name, text) {
    const row = Object.hasOwn(TABLE, name) ? TABLE[name] : null;
    if (!row) throw Error(`unknown setting "${name.slice(0, 30)}"${nearest(name, Object.keys(TABLE))}`);
    if (row.kind === "set") {
      const parts = text.split(",").filter(Boolean);
      for (const part of parts)
        if (!row.options.includes(part))
          throw Error(`${name}: unknown "${part.slice(0, 30)}"${nearest(part, row.options)}`);
      return row.options.filter((option) => parts.includes(option));
    }
    if (row.kind === "choice") {
      if (!row.options.includes(text))
        throw Error(`${name}: unknown "${text.slice(0, 30)}"${nearest(text, row.options)}`);
      return text;
    }
    const value = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(value) || (row.whole && !Number.isInteger(value)))
      throw Error(`${row.label}: "${text.slice(0, 30)}" is not a ${row.whole ? "whole " : ""}number`);
    if (value < row.least || value > row.most) {
      const way = /^(width|depth)/.test(name) ? "; a larger network is for minigan toy" : "";
      throw Error(`${row.label}: ${value} is outside ${row.least} to ${row.most}${way}`);
    }
    return value;
  }

  const write = (name, value) => (TABLE[name].kind === "set" ? value.join(",") : String(value));

  /* Multiplications of a step of both players, roughly: three passes a network, seven with a penalty. */
  function work(s) {
    const size = (inputs, width, depth) => inputs * width + (depth - 1) * width * width + width;
    const g = size(s.latent, s.width_g, s.depth_g),
      d = size(2, s.width_d, s.depth_d);
    const passes = s.penalty === "none" ? 6 : 13,
      extra = s.tricks.includes("consensus") || s.tricks.includes("lookahead") ? 3 : 1;
    const mates = s.tricks.includes("minibatch") ? 40 * 64 * s.batch : 0;
    const ahead = s.tricks.includes("unrolled") ? 15 * s.unroll * d : 0;
    return s.batch * (extra * (s.n_critic * (passes * d + g + mates) + 3 * g + 3 * d + mates) + ahead);
  }

  /* Throws, with one line that says what to do, for settings that do not go together. */
  function check(s) {
    const names = [s.loss, s.penalty, ...s.tricks];
    const match = (pattern, name) => (pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern);
    for (const [trick, other, reason] of TABLES.incompatible) {
      const found = names.find((name) => name !== trick && match(other, name));
      if (names.includes(trick) && found)
        throw Error(`${trick} does not go with ${found}: ${reason}; turn one of them off`);
    }
    if (s.tricks.includes("packing") && s.batch % s.pack)
      throw Error(`packing: ${s.pack} samples a pack do not divide a batch of ${s.batch}; take another batch`);
    if (s.tricks.includes("unrolled") && s.tricks.includes("feature-matching"))
      throw Error(
        "unrolled does not go with feature-matching: both replace the generator's loss; turn one of them off",
      );
    if (work(s) > LARGEST)
      throw Error(
        `this needs ${(work(s) / 1e6).toFixed(0)} million multiplications a step, too many for a page; take a smaller` +
          " width, depth or batch, or train it by minigan toy",
      );
    return s;
  }

  /* [settings, script, own points] of an address. Throws as `read` and `check` do. */
  function fromHash(hash) {
    const settings = initial();
    let script = "",
      own = [];
    for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
      if (name === "do") script = text;
      else if (name === "own") own = Data.parse(text.replaceAll(";", "\n").replaceAll("_", ","));
      else settings[name] = read(name, text);
    }
    if (settings.data === "own") Data.check(own);
    return [check(settings), parseScript(script), own];
  }

  function toHash(settings, script, own) {
    const parts = Object.keys(TABLE)
      .map((name) => [name, write(name, settings[name])])
      .filter(([name, text]) => text !== write(name, TABLE[name].initial));
    if (own.length && settings.data === "own") parts.push(["own", own.map((p) => p.join("_")).join(";")]);
    if (script.length && stepsOf(script) <= MOST_STEPS) parts.push(["do", script.join("!")]);
    const encoded = (text) => encodeURIComponent(text).replaceAll("%2C", ",").replaceAll("%3B", ";");
    return `#${parts.map(([name, text]) => `${name}=${encoded(text)}`).join("&")}`;
  }

  /* The tokens of a script: numbers of steps, "d", "g" and "name~value". */
  function parseScript(text) {
    const tokens = text.split("!").filter(Boolean);
    for (const token of tokens) {
      const [name, value] = token.split("~");
      if (value !== undefined) {
        read(name, value);
        if ([...RESTART, ...LOOKS].includes(name))
          throw Error(`do: ${name} does not change on the way; put ${name}=${value} before`);
      } else if (!/^(\d+|d|g)$/.test(token))
        throw Error(`do: "${token.slice(0, 30)}" is none of: a number of steps, d, g, setting~value`);
    }
    const steps = stepsOf(tokens);
    if (steps > MOST_STEPS) throw Error(`do: ${steps} steps are too many to do again; at most ${MOST_STEPS}`);
    return tokens;
  }

  const stepsOf = (script) => script.reduce((n, token) => n + (/^\d+$/.test(token) ? Number(token) : 0), 0);

  /* The script with one more token; whole steps in a row are one number, and of changes of one setting in a row the
     last one counts, but for those that draw weights each time. */
  function extend(script, token) {
    const last = script.at(-1),
      name = String(token).split("~")[0];
    if (token === 1 && /^\d+$/.test(last ?? "")) script[script.length - 1] = String(Number(last) + 1);
    else if (
      typeof token === "string" &&
      token.includes("~") &&
      last?.includes("~") &&
      last.split("~")[0] === name &&
      !REBUILD.includes(name)
    )
      script[script.length - 1] = token;
    else script.push(String(token));
    return script;
  }

  return { TABLE, LOOKS, RESTART, LAYERS, VIEWS, TRICKS, initial, read, write, check, work, fromHash, toHash, extend };
})();
