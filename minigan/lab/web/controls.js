"use strict";
/* The fields of the settings, made from Settings.TABLE: groups, labels, limits, the tricks' check boxes, own points. */

const Controls = (() => {
  const GROUPS = [
    ["Data", ["data", "seed"]],
    ["Objective", ["loss", "penalty", "weight"]],
    ["Tricks", ["tricks", "clip", "pack", "unroll", "unroll_lr", "gamma", "sigma", "smooth", "flip"]],
    ["Networks", ["latent", "width_g", "depth_g", "width_d", "depth_d"]],
    ["Learning", ["lr_g", "lr_d", "n_critic", "batch", "beta1", "beta2", "average", "fall"]],
  ];
  const GAME = [["The game", ["game", "method", "h", "x", "y"]]];
  const NAMES = {
    "two-sided": "two-sided: slope 1 (WGAN-GP)",
    "one-sided": "one-sided: slope at most 1",
    "zero-centred": "zero-centred: slope 0",
    r1: "R1: slope 0 at reals",
    r2: "R2: slope 0 at samples",
    none: "none",
    own: "own points",
  };

  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  const title = (name, option) => (name === "data" ? Data.SHAPES[option]?.title : null) ?? NAMES[option] ?? option;

  function field(name, changed) {
    const row = Settings.TABLE[name],
      id = `set-${name}`;
    const input =
      row.kind === "choice"
        ? element(
            "select",
            { id },
            ...row.options.map((option) => element("option", { value: option }, title(name, option))),
          )
        : element("input", {
            id,
            type: "number",
            min: row.least,
            max: row.most,
            step: row.whole ? 1 : "any",
            inputmode: "decimal",
          });
    input.addEventListener("change", () => changed(name, input.value, input));
    return element("label", { for: id, "data-name": name }, row.label, input);
  }

  function boxes(name, changed, text = {}) {
    return Settings.TABLE[name].options.map((option) => {
      const id = `set-${name}-${option}`,
        input = element("input", { id, type: "checkbox", value: option });
      input.addEventListener("change", () => {
        const chosen = [...document.querySelectorAll(`input[id^="set-${name}-"]:checked`)].map((box) => box.value);
        changed(name, chosen.join(","), input);
      });
      return element("label", { for: id, title: TABLES.tricks[option] ?? "" }, input, text[option] ?? option);
    });
  }

  /* Fill a form with groups; changed(name, text, input) is told of every change. */
  function build(form, groups, changed) {
    for (const [legend, names] of groups) {
      const rows = element(
        "div",
        { class: "rows" },
        ...names.filter((n) => n !== "tricks").map((n) => field(n, changed)),
      );
      const parts = names.includes("tricks") ? [element("div", { class: "tricks" }, ...boxes("tricks", changed))] : [];
      form.append(element("fieldset", {}, element("legend", {}, legend), ...parts, rows));
    }
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /* The panel of own points; acts: {use(text), draw(button), clear()}. */
  function own(form, acts) {
    const text = element("textarea", {
      id: "own-text",
      "aria-describedby": "own-hint",
      spellcheck: "false",
      placeholder: "0.1, 0.5",
    });
    const button = (label, act) => {
      const node = element("button", { type: "button" }, label);
      node.addEventListener("click", () => act(node));
      return node;
    };
    const draw = button("Draw on the picture", acts.draw);
    draw.id = "own-draw";
    draw.setAttribute("aria-pressed", "false");
    const panel = element(
      "fieldset",
      { id: "own", hidden: "" },
      element("legend", {}, "Own points"),
      element("label", { for: "own-text" }, "Lines of x, y: type, paste a csv, or draw"),
      text,
      element(
        "p",
        { class: "hint", id: "own-hint" },
        "Drawn points land here, too. A first line of names is passed over.",
      ),
      element(
        "div",
        { class: "buttons" },
        button("Use these points", () => acts.use(text.value)),
        draw,
        button("Clear", acts.clear),
      ),
    );
    form.children[0].after(panel);
    return { panel, text, draw };
  }

  /* Show settings in the fields, and hide the fields that mean nothing now. */
  function show(settings) {
    for (const [name, row] of Object.entries(Settings.TABLE)) {
      if (row.kind === "set")
        row.options.forEach((option) => {
          const box = document.getElementById(`set-${name}-${option}`);
          if (box) box.checked = settings[name].includes(option);
        });
      const input = document.getElementById(`set-${name}`);
      if (!input) continue;
      input.value = String(settings[name]);
      input.removeAttribute("aria-invalid");
      input.parentElement.hidden = row.when ? !row.when(settings) : false;
    }
  }

  return { build, boxes, own, show, element, GROUPS, GAME };
})();
