"use strict";
/* Points of one's own: drawn on the picture by hand, typed or pasted as lines "x, y". */

const OwnPoints = (() => {
  const get = (id) => document.getElementById(id);
  const VIEW = { x: -1.5, y: -1.5, side: 3 },
    APART = 0.03; // what the picture shows while one draws; the least distance
  let panel = null,
    acts = null,
    drawing = false,
    drawn = [];

  /* Show or hide the panel. */
  function show(on) {
    panel.panel.hidden = !on;
    if (on) get("set-data").value = "own";
    else if (drawing) draw(false);
  }

  /* Begin to draw, on an empty picture, or end it. */
  function draw(on) {
    drawing = on;
    panel.draw.setAttribute("aria-pressed", String(on));
    panel.draw.textContent = on ? "Drawing: use the points when done" : "Draw on the picture";
    get("plane").classList.toggle("drawing", on);
    if (!on) return acts.repaint();
    acts.pause();
    get("plane").scrollIntoView({ block: "nearest" });
    return paint();
  }

  function paint() {
    const [context, size] = Draw.prepare(get("plane"));
    Draw.dots(
      context,
      Float64Array.from(drawn.flat()),
      Draw.places(VIEW, size),
      3,
      Draw.colour("real"),
      Draw.colour("real-rim"),
    );
  }

  function add(event) {
    const { clientWidth: size } = get("plane"),
      at = (pixels, from) => +((pixels / size) * VIEW.side + from).toFixed(3);
    const point = [at(event.offsetX, VIEW.x), at(size - event.offsetY, VIEW.y)],
      last = drawn.at(-1);
    if (drawn.length >= Data.MOST_POINTS || (last && Math.hypot(last[0] - point[0], last[1] - point[1]) < APART))
      return;
    drawn.push(point);
    const { text } = panel;
    text.value += `${text.value && !text.value.endsWith("\n") ? "\n" : ""}${point.join(", ")}\n`;
    paint();
  }

  function clear() {
    drawn = [];
    panel.text.value = "";
    if (drawing) paint();
  }

  /* outward: {use(text), pause(), repaint()}. */
  function start(form, outward) {
    acts = outward;
    panel = Controls.own(form, { use: acts.use, draw: () => draw(!drawing), clear });
    get("plane").addEventListener("pointerdown", (event) => {
      if (!drawing) return;
      get("plane").setPointerCapture(event.pointerId);
      add(event);
    });
    get("plane").addEventListener("pointermove", (event) => drawing && event.buttons && add(event));
  }

  /* Write points into the text field. */
  const write = (points) => (panel.text.value = points.map((p) => p.join(", ")).join("\n"));

  return {
    start,
    show,
    draw,
    paint,
    write,
    get drawing() {
      return drawing;
    },
  };
})();
