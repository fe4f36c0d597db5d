"use strict";
/* What is drawn of a trainer at every frame: the plane, the curves, the line above them, the formulas. */

const Pictures = (() => {
  const get = (id) => document.getElementById(id);
  const SAMPLES = 300,
    PULLS = 110,
    GROUND = 44,
    PAUSE = 90; // points, points, a lattice's side, ms
  const look = { view: null, reals: null, samples: null, pull: null, ground: null };
  let painted = 0;

  /* A new trainer: its reals, and the window around them. */
  function begin(trainer) {
    look.reals = trainer.scaled(Float64Array.from(trainer.values.subarray(0, 1000)));
    look.view = Draw.window(look.reals);
    look.ground = null;
  }

  /* The length of the pull on a typical sample, the median. */
  function typicalPull(trainer) {
    const count = 64 - (64 % trainer.pack);
    if (!trainer.pointwise) return NaN;
    const pull = trainer.pull(trainer.sample(count, 1)),
      lengths = [];
    for (let i = 0; i < pull.length; i += 2) lengths.push(Math.hypot(pull[i], pull[i + 1]));
    return lengths.sort((a, b) => a - b)[count >> 1];
  }

  /* The critic's landscape and its gradient field, computed anew when the last ones are old or `force` says so. */
  function ground(trainer, force) {
    const now = performance.now();
    if (!trainer.pointwise) return (look.ground = null);
    if (!force && look.ground && now - look.ground.time < PAUSE) return look.ground;
    const side = Math.min(17, Math.max(9, Math.round(get("plane").clientWidth / 36)));
    const where = Draw.lattice(look.view, side),
      [values] = trainer.landscape(Draw.lattice(look.view, GROUND), false);
    look.ground = { values, count: GROUND, places: where, slopes: trainer.landscape(where)[1], time: now };
    return look.ground;
  }

  /* Everything that moves. state: page.js's. */
  function paint(state, force = true) {
    const { trainer, history: rows } = state,
      layers = state.settings.show;
    look.samples = trainer.sample(SAMPLES);
    look.pull = trainer.pointwise ? trainer.pull(look.samples.subarray(0, 2 * (PULLS - (PULLS % trainer.pack)))) : null;
    ground(trainer, force);
    Draw.plane(get("plane"), trainer, look, layers);
    if (force || performance.now() - painted > PAUSE) {
      painted = performance.now();
      const empty = rows.rows.length ? "" : "press Run";
      Charts.curves(
        get("losses"),
        rows,
        [
          ["d_loss", "D's loss", "d"],
          ["g_loss", "G's loss", "g"],
        ],
        { empty },
      );
      Charts.curves(
        get("outputs"),
        rows,
        [
          ["d_real", "on reals", "real"],
          ["d_fake", "on samples", "fake"],
        ],
        { empty },
      );
      Charts.curves(get("pulls"), rows, [["pull", "pull", "pull"]], {
        log: true,
        empty: trainer.pointwise ? empty : "D judges a whole batch, not a point",
      });
      counter(state);
    }
  }

  /* The line above the picture, and what the canvases say to those who do not see them. */
  function counter({ trainer, history: rows, move }) {
    const scores = Data.scores(trainer.sample(1000, 1), trainer.points),
      { figures } = trainer;
    const parts = [`step ${trainer.steps.toLocaleString("en")}`];
    if (scores)
      parts.push(`${scores.modes} of ${scores.of} modes`, `${Math.round(100 * scores.quality)} % of samples on target`);
    if (figures.gradient_norm !== undefined && trainer.settings.penalty !== "none")
      parts.push(`slope ${figures.gradient_norm.toFixed(2)}`);
    get("counter").textContent = parts.join(" · ");
    const chip = move ? [Controls.element("span", { class: `chip ${move[0]}` }, move[1]), ` ${move[2]}`] : [];
    get("moved").replaceChildren(...chip);
    get("plane").setAttribute("aria-label", `The plane: ${trainer.points.name}, ${parts.join(", ")}`);
    for (const [id, names] of [
      ["losses", ["d_loss", "g_loss"]],
      ["outputs", ["d_real", "d_fake"]],
    ])
      get(id).setAttribute("aria-label", names.map((n) => `${n} ${Charts.short(figures[n] ?? NaN)}`).join(", "));
    get("pulls").setAttribute("aria-label", `pull on a typical sample ${Charts.short(rows.rows.at(-1)?.pull ?? NaN)}`);
  }

  /* The formulas of the loss, the penalty and the tricks. */
  function formulas({ loss, penalty, tricks }) {
    const row = TABLES.losses[loss],
      [d, g] = row.formula.split(";  ");
    const lines = [
      ["D makes small", d.replace(/^D: /, "")],
      ["G makes small", g.replace(/^G: /, "")],
      ["How to read it", row.convention],
    ];
    if (penalty !== "none") lines.push(["Penalty", TABLES.penalties[penalty].formula]);
    for (const trick of tricks) lines.push([trick, TABLES.tricks[trick]]);
    lines.push(["Source", row.paper]);
    get("formulas").replaceChildren(
      ...lines.flatMap(([a, b]) => [Controls.element("dt", {}, a), Controls.element("dd", {}, b)]),
    );
  }

  return { begin, paint, formulas, typicalPull };
})();
