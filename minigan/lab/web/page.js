"use strict";
/* The page: one trainer, the settings at its start, what was done since, and the pictures that follow. */

const Lab = (() => {
  const get = (id) => document.getElementById(id);
  // A level of speed: half-steps a second, or whole steps a second, and its name.
  const SPEEDS = [
    [0.8, true, "slow motion"],
    [2, true, "half-steps"],
    [2, false, "2 steps/s"],
    [5, false, "5 steps/s"],
    [15, false, "15 steps/s"],
    [30, false, "30 steps/s"],
    [60, false, "60 steps/s"],
    [120, false, "120 steps/s"],
    [300, false, "300 steps/s"],
    [1e9, false, "all it can"],
  ];
  const BUDGET = 24,
    SAVE_PAUSE = 2000; // ms of a frame for steps, between two addresses
  const state = {
    settings: Settings.initial(),
    start: null,
    script: [],
    own: [],
    trainer: null,
    history: null,
    running: false,
    move: null,
  };
  let due = 0,
    halves = 0,
    before = 0,
    saved = 0,
    replaying = null;

  /* One line for the reader: what is wrong and what to do, or with `news` what happened. */
  function say(text, news = false) {
    get("notice").hidden = !text;
    get("notice").textContent = text;
    get("notice").className = news ? "news" : "";
  }

  function guarded(work) {
    try {
      return work();
    } catch (error) {
      say(error.message);
      return undefined;
    }
  }

  /* --- the trainer */

  function begin() {
    state.trainer = new Training.Trainer(state.settings, Data.load(state.settings.data, state.own));
    state.start = structuredClone(state.settings);
    state.script = [];
    state.history = new Charts.History();
    state.move = null;
    [due, halves] = [0, 0];
    Pictures.begin(state.trainer);
  }

  /* Do one thing and remember it: "d", "g", 1 (a whole step). */
  function act(token) {
    const { trainer, script } = state,
      { n_critic } = trainer.settings,
      before = { ...trainer.figures };
    if (token === "d") trainer.criticStep();
    else if (token === "g") trainer.generatorStep();
    else trainer.step();
    const tail = script.slice(-n_critic);
    if (token === "g" && tail.length === n_critic && tail.every((t) => t === "d")) {
      script.length -= n_critic;
      Settings.extend(script, 1);
    } else Settings.extend(script, token);
    state.move = token === 1 ? null : moveText(token, before, trainer.figures);
    halves = token === "d" ? halves + 1 : 0;
    const { figures } = trainer,
      bad = Object.entries(figures).find(([, value]) => !Number.isFinite(value));
    if (bad) {
      run(false);
      const way = "Lower the rates or bound the slope, then press Reset.";
      say(`step ${trainer.steps}: ${bad[0]} is no longer a number: it diverged. ${way}`);
    }
    if (token !== "d") state.history.add({ step: trainer.steps, ...figures, pull: Pictures.typicalPull(trainer) });
    return !bad;
  }

  /* [player, who moved, what that did] of a half-step, given the figures before and after. */
  function moveText(token, before, after) {
    const name = token === "d" ? "d_loss" : "g_loss",
      [a, b] = [before[name], after[name]];
    const value = Number.isFinite(a) ? `${Charts.short(a)} before, now ${Charts.short(b)}` : Charts.short(b);
    if (token === "d") return ["d", "D moved", `it repaints the ground; its loss: ${value}`];
    return ["g", "G moved", `its points go uphill; its loss: ${value}`];
  }

  function run(on) {
    state.running = on;
    due = 0;
    get("run").textContent = on ? "Pause" : "Run";
    if (!on) remember();
  }

  const remember = () => {
    if (!state.start) return;
    const settings = { ...state.start, ...Object.fromEntries(Settings.LOOKS.map((n) => [n, state.settings[n]])) };
    history.replaceState(null, "", Settings.toHash(settings, state.script, state.own));
  };

  /* --- changes of settings */

  function change(name, text, input) {
    const next = { ...state.settings };
    try {
      if (name === "data" && text === "own" && !state.own.length) {
        OwnPoints.show(true);
        return say("Draw points on the picture or paste them, then press Use these points.", true);
      }
      next[name] = Settings.read(name, text);
      Settings.check(next);
    } catch (error) {
      Controls.show(state.settings);
      if (input?.type === "number") {
        input.value = text;
        input.setAttribute("aria-invalid", "true");
      }
      return say(error.message);
    }
    apply(name, next);
    return undefined;
  }

  function apply(name, next) {
    const same = Settings.write(name, next[name]) === Settings.write(name, state.settings[name]);
    state.settings = next;
    let news = "";
    if (!same && Settings.RESTART.includes(name)) begin();
    else if (!same && !Settings.LOOKS.includes(name)) {
      news = state.trainer.change(next);
      if (state.script.length) Settings.extend(state.script, `${name}~${Settings.write(name, next[name])}`);
      else begin(); // nothing was done yet, so these are the settings at the start
    }
    OwnPoints.show(next.data === "own");
    say(news ? `${news}.` : advice(next), true);
    GamesView.update(next);
    if (["game", "method", "h", "x", "y"].includes(name)) GamesView.reset();
    refresh();
  }

  function advice(s) {
    const bounded = s.penalty !== "none" || s.tricks.includes("clip") || s.tricks.includes("spectral");
    if (TABLES.losses[s.loss].lipschitz && !bounded)
      return `The ${s.loss} loss means something only where D's slope is bounded: choose a penalty, clip or spectral.`;
    return "";
  }

  /* All settings at once: from a preset or an address. */
  function load(settings, script = [], own = []) {
    run(false);
    Object.assign(state, { settings, own });
    begin();
    GamesView.update(settings);
    GamesView.run(false);
    GamesView.reset();
    say(advice(settings), true);
    OwnPoints.show(settings.data === "own");
    if (own.length) OwnPoints.write(own);
    replaying = script.length ? replay(script) : null;
    refresh();
  }

  /* Do again what an address says, a little at every frame. */
  function* replay(script) {
    const total = script.reduce((n, token) => n + (/^\d+$/.test(token) ? Number(token) : 1), 0);
    let count = 0;
    for (const token of script) {
      const [name, text] = token.split("~");
      if (text !== undefined) {
        const next = { ...state.settings, [name]: Settings.read(name, text) };
        state.settings = Settings.check(next);
        state.trainer.change(next);
        Settings.extend(state.script, token);
        count++;
        continue;
      }
      for (let k = /^\d+$/.test(token) ? Number(token) : 1; k > 0; k--) {
        if (!act(/^\d+$/.test(token) ? 1 : token)) return;
        yield ++count / total;
      }
    }
  }

  function useOwn(text) {
    guarded(() => {
      state.own = Data.parse(text);
      OwnPoints.draw(false);
      run(false);
      state.settings = { ...state.settings, data: "own" };
      begin();
      say(`${state.own.length} points of your own. Press Run.`, true);
      refresh();
    });
  }

  function paint(force = true) {
    if (state.trainer && !OwnPoints.drawing && state.settings.view === "points") Pictures.paint(state, force);
  }

  /* Everything on the page after a change of settings. */
  function refresh() {
    const { settings } = state;
    Controls.show(settings);
    for (const view of Object.keys(Settings.VIEWS)) get(view).hidden = settings.view !== view;
    const preset = PRESETS[get("tour-choice").selectedIndex];
    document.querySelector(".tour-text").hidden = preset && (preset.set.view ?? "points") !== settings.view;
    for (const button of document.querySelectorAll("[data-view]"))
      button.setAttribute("aria-pressed", String(button.dataset.view === settings.view));
    get("speed").value = settings.speed;
    get("speed-text").textContent = SPEEDS[settings.speed][2];
    get("speed").setAttribute("aria-valuetext", SPEEDS[settings.speed][2]);
    Pictures.formulas(settings);
    paint();
    GamesView.draw();
    remember();
  }

  function frame(now) {
    requestAnimationFrame(frame);
    const seconds = Math.min(0.25, (now - before) / 1000),
      end = performance.now() + BUDGET;
    before = now;
    GamesView.frame(seconds);
    if (replaying) {
      let progress = { done: false, value: 0 };
      const fine = guarded(() => {
        while (!progress.done && performance.now() < end) progress = replaying.next();
        return true;
      });
      if (fine && !progress.done) say(`Doing again what the link says: ${Math.round(100 * progress.value)} %`, true);
      else replaying = null;
      if (fine && progress.done) (say(advice(state.settings), true), refresh());
      return;
    }
    if (!state.running || state.settings.view !== "points") return;
    const [rate, half] = SPEEDS[state.settings.speed];
    due += seconds * rate;
    let moved = false;
    while (state.running && due >= 1 && performance.now() < end) {
      const { n_critic } = state.trainer.settings;
      act(half ? (halves < n_critic ? "d" : "g") : 1);
      due -= 1;
      moved = true;
    }
    due = Math.min(due, 1);
    if (moved) paint(half);
    if (now - saved > SAVE_PAUSE) {
      saved = now;
      remember();
    }
  }

  /* --- the tour and the buttons */

  const LINK = {
    title: "From a link",
    see: "These settings are those of a link, not of one of the experiments.",
    todo: "Press Run, or choose an experiment.",
  };
  const ofPreset = (preset) => ({ ...Settings.initial(), ...structuredClone(preset.set) });

  /* The text of an experiment, or of a link where the index is -1. */
  function heading(index) {
    const { title, see, todo } = PRESETS[index] ?? LINK;
    get("tour-choice").selectedIndex = index;
    get("tour-title").textContent = title;
    get("tour-see").textContent = see;
    get("tour-do").replaceChildren(Controls.element("b", {}, "Try: "), todo);
  }

  function tour(index) {
    heading(index);
    load(ofPreset(PRESETS[index]));
  }

  /* Which experiment starts from these settings, looks aside; -1 for none. */
  function experimentOf(settings) {
    const telling = settings.view === "games" ? ["view", "game"] : Object.keys(Settings.TABLE);
    const names = telling.filter((name) => name === "view" || name === "game" || !Settings.LOOKS.includes(name));
    const start = (s) => names.map((name) => Settings.write(name, s[name])).join();
    return PRESETS.findIndex((preset) => start(ofPreset(preset)) === start(settings));
  }

  function buttons() {
    const on = (id, work, event = "click") => get(id).addEventListener(event, work);
    const once = (token) => () => (run(false), act(token), paint(), remember());
    on("run", () => (OwnPoints.drawing && OwnPoints.draw(false), run(!state.running)));
    on("step", once(1));
    on("step-d", once("d"));
    on("step-g", once("g"));
    on("reset", () => (run(false), begin(), say(advice(state.settings), true), refresh()));
    on("speed", () => change("speed", get("speed").value), "input");
    for (const button of document.querySelectorAll("[data-view]"))
      button.addEventListener("click", () => (run(false), GamesView.run(false), change("view", button.dataset.view)));
    PRESETS.forEach((preset, i) =>
      get("tour-choice").append(Controls.element("option", { value: i }, `${i + 1}. ${preset.title}`)),
    );
    const move = (by) => () => {
      const at = get("tour-choice").selectedIndex;
      tour(at < 0 ? 0 : (at + by + PRESETS.length) % PRESETS.length);
    };
    on("tour-back", move(-1));
    on("tour-next", move(1));
    on("tour-choice", () => tour(get("tour-choice").selectedIndex), "change");
    on("theme", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
    window.addEventListener("resize", () => (OwnPoints.drawing ? OwnPoints.paint() : paint(), GamesView.draw()));
    window.addEventListener("hashchange", () => address());
  }

  function theme(name) {
    document.documentElement.dataset.theme = name;
    get("theme").textContent = name === "dark" ? "Light" : "Dark";
    if (!state.trainer) return;
    paint();
    GamesView.draw();
  }

  function address() {
    try {
      const [settings, script, own] = Settings.fromHash(location.hash);
      heading(experimentOf(settings));
      load(settings, script, own);
    } catch (error) {
      tour(0);
      say(`The address: ${error.message.replace(/[^?]$/, "$&.")} The page starts with its first experiment.`);
    }
  }

  function start() {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
    theme(dark.matches ? "dark" : "light");
    Controls.build(get("controls"), Controls.GROUPS, change);
    Controls.build(get("game-controls"), Controls.GAME, change);
    OwnPoints.start(get("controls"), { use: useOwn, pause: () => run(false), repaint: paint });
    get("show").append(...Controls.boxes("show", change, Settings.LAYERS));
    GamesView.start(state.settings, (x, y) => (change("x", String(x)), change("y", String(y))));
    buttons();
    if (location.hash.length > 1) address();
    else tour(0);
    requestAnimationFrame(frame);
  }

  start();
  return {
    state,
    act,
    run,
    load,
    change,
    get replaying() {
      return replaying !== null;
    },
    get running() {
      return state.running;
    },
  };
})();
