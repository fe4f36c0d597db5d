"use strict";
/* The view of tiny games: the phase plane, a step at a time, and the eigenvalues that say where it leads. */

const GamesView = (() => {
  const MOST_POINTS = 4000,
    RATE = 12; // steps a second
  const get = (id) => document.getElementById(id);
  let settings = null,
    points = [],
    past = null,
    running = false,
    due = 0;

  const game = () => Games.GAMES[settings.game];
  const reach = () => Math.max(1.6, 1.25 * Math.max(...points.slice(0, 1).flat().map(Math.abs)));

  function reset() {
    points = [[settings.x, settings.y]];
    past = null;
    draw();
  }

  function step() {
    const [next, kept] = Games.stepOf(settings.game, settings.method, settings.h, points.at(-1), past);
    past = kept;
    points.push(next);
    if (points.length > MOST_POINTS || !next.every((v) => Math.abs(v) < 1e3)) run(false);
  }

  function run(on) {
    running = on;
    due = 0;
    get("game-run").textContent = on ? "Pause" : "Run";
  }

  function verdict(radius) {
    const size = `The largest eigenvalue has size ${radius.toFixed(4)}`;
    if (settings.game === "wgan-gp")
      return `${size}, at a point where nobody rests: the penalty pulls |y| to 1. Read the picture instead.`;
    if (Math.abs(radius - 1) < 1e-6) return `${size}: the steps go round the equilibrium for ever.`;
    return radius < 1
      ? `${size}, below 1: the steps lead to the equilibrium.`
      : `${size}, above 1: the steps lead away.`;
  }

  function draw() {
    if (settings.view !== "games") return;
    Charts.phase(get("phase"), game(), points, reach());
    const values = Games.updateEigenvalues(settings.game, settings.method, settings.h);
    Charts.eigen(get("eigen"), values);
    const [x, y] = points.at(-1),
      far = Math.hypot(x, y);
    get("game-counter").textContent =
      `step ${points.length - 1} · x ${x.toFixed(3)}, y ${y.toFixed(3)} · distance ${far.toFixed(3)}`;
    get("verdict").textContent = verdict(Games.radius(values));
    const complex = ([a, b]) => `${a.toFixed(4)} ${b < 0 ? "-" : "+"} ${Math.abs(b).toFixed(4)}i`;
    const J = Games.jacobian(game(), [0, 0]).map((row) => `(${row.map((v) => v.toFixed(3)).join(", ")})`);
    const rows = [
      ["Losses", `${game().formula} (${game().text})`],
      ["Jacobian of the field at the equilibrium, rows of x and y", J.join(" ")],
      ["Eigenvalues of one step", values.map(complex).join(",  ")],
    ];
    get("game-formulas").replaceChildren(
      ...rows.flatMap(([a, b]) => [Controls.element("dt", {}, a), Controls.element("dd", {}, b)]),
    );
    get("phase").setAttribute(
      "aria-label",
      `The plane of the game ${settings.game}: ${get("game-counter").textContent}`,
    );
    get("eigen").setAttribute("aria-label", `Eigenvalues ${values.map(complex).join(", ")}`);
  }

  /* Called at every frame with the seconds since the last. */
  function frame(seconds) {
    if (!running || settings.view !== "games") return;
    due = Math.min(due + seconds * RATE, 5);
    if (due < 1) return;
    for (; due >= 1 && running; due--) step();
    draw();
  }

  /* settings: the page's, read at every drawing; restart(x, y): the plane was clicked there. */
  function start(shared, restart) {
    settings = shared;
    reset();
    get("game-run").addEventListener("click", () => run(!running));
    get("game-step").addEventListener("click", () => (run(false), step(), draw()));
    get("game-reset").addEventListener("click", () => (run(false), reset()));
    get("phase").addEventListener("click", (event) => {
      const r = reach(),
        scale = (2 * r) / event.target.clientWidth;
      restart(+(event.offsetX * scale - r).toFixed(2), +(r - event.offsetY * scale).toFixed(2));
    });
  }

  const update = (shared) => (settings = shared);
  return {
    start,
    update,
    reset,
    frame,
    draw,
    run,
    get points() {
      return points;
    },
    get running() {
      return running;
    },
  };
})();
