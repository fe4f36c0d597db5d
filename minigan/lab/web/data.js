"use strict";
/* Points in the plane, the shapes of minigan/gan/toy/data.py, and points of one's own.

     ring   8 Gaussians on the circle of radius 1, standard deviation 0.01        (Lin et al. 2018, PacGAN)
     grid   25 Gaussians at {-4, -2, 0, 2, 4}^2, standard deviation 0.05          (the same)
     moons, roll, spiral   two half circles, the swiss roll, two spiral arms
     own    points drawn by hand or pasted as lines "x, y"

   `draw(count, random)` gives count points, x and y in turn, from the stream's next draws in the Python order. */

const Data = (() => {
  const MOST_POINTS = 5000;

  function mixture(modes, sigma) {
    const draw = (count, random) => {
      const which = random.integers(modes.length, count),
        noise = random.normal(2 * count);
      return noise.map((e, i) => modes[which[i >> 1]][i & 1] + sigma * e);
    };
    return { draw, modes, sigma };
  }

  /* A curve with noise: place(i) is point number i. */
  const noisy = (count, random, sigma, place) => {
    const noise = random.normal(2 * count),
      out = new Float64Array(2 * count);
    for (let i = 0; i < count; i++)
      out.set(
        place(i).map((x, k) => x + sigma * noise[2 * i + k]),
        2 * i,
      );
    return out;
  };

  function moons(count, random) {
    const angle = random.uniform(count).map((u) => Math.PI * u),
      lower = random.integers(2, count);
    return noisy(count, random, 0.05, (i) => {
      const x = Math.cos(angle[i]),
        y = Math.sin(angle[i]);
      return lower[i] ? [1 - x, 0.5 - y] : [x, y];
    });
  }

  function roll(count, random) {
    const t = random.uniform(count).map((u) => 1.5 * Math.PI * (1 + 2 * u));
    return noisy(count, random, 0.025, (i) => [(t[i] * Math.cos(t[i])) / 10, (t[i] * Math.sin(t[i])) / 10]);
  }

  function spiral(count, random) {
    const t = random.uniform(count).map((u) => 3 * Math.PI * Math.sqrt(u)),
      arm = random.integers(2, count);
    return noisy(count, random, 0.02, (i) => {
      const turned = t[i] + Math.PI * arm[i],
        radius = t[i] / (3 * Math.PI);
      return [Math.cos(turned) * radius, Math.sin(turned) * radius];
    });
  }

  const circle = Array.from({ length: 8 }, (_, k) => (2 * Math.PI * k) / 8).map((a) => [Math.cos(a), Math.sin(a)]);
  const side = [-4, -2, 0, 2, 4];
  const SHAPES = {
    ring: { title: "ring: 8 spots on a circle", ...mixture(circle, 0.01) },
    grid: {
      title: "grid: 25 spots",
      ...mixture(
        side.flatMap((y) => side.map((x) => [x, y])),
        0.05,
      ),
    },
    moons: { title: "moons: two half circles", draw: moons },
    roll: { title: "roll: a swiss roll", draw: roll },
    spiral: { title: "spiral: two arms", draw: spiral },
  };

  /* The distribution called `name`; `own`, pairs of numbers, for "own". */
  function load(name, own = []) {
    if (name !== "own") return { name, ...SHAPES[name] };
    check(own);
    const draw = (count, random) => {
      const which = random.integers(own.length, count);
      return Float64Array.from({ length: 2 * count }, (_, i) => own[which[i >> 1]][i & 1]);
    };
    return { name, draw };
  }

  /* Throws, saying what to do, for points that no GAN can learn. */
  function check(points) {
    if (points.length < 2) throw Error(`own points: there are ${points.length}; draw or paste at least 2`);
    if (points.length > MOST_POINTS)
      throw Error(`own points: there are ${points.length}; paste at most ${MOST_POINTS}, a random part will do`);
    const [x, y] = points[0];
    if (points.every((p) => p[0] === x && p[1] === y))
      throw Error(`own points: all ${points.length} are equal, so there is nothing to learn; add others`);
  }

  /* Lines "x, y" (or parted by a semicolon, a tab or blanks) as pairs; a first line of names is passed over. Throws
     with the number of the line that is not two finite numbers. */
  function parse(text) {
    const points = [];
    text.split(/\r?\n/).forEach((line, at) => {
      if (!line.trim()) return;
      const cells = line
        .trim()
        .split(/\s*[,;\t]\s*|\s+/)
        .filter((cell) => cell !== "");
      const numbers = cells.map(Number);
      if (
        at === 0 &&
        cells.length === 2 &&
        cells.every((cell) => /^["'A-Za-z_]/.test(cell) && !/^(nan|inf)/i.test(cell))
      )
        return;
      if (numbers.length !== 2 || !numbers.every(Number.isFinite))
        throw Error(`own points, line ${at + 1}: "${line.trim().slice(0, 40)}" is not two finite numbers; write x, y`);
      if (numbers.some((x) => Math.abs(x) > 1e30))
        throw Error(`own points, line ${at + 1}: numbers above 1e30 are too large; rescale the points`);
      points.push(numbers);
    });
    check(points);
    return points;
  }

  /* Of samples (x and y in turn): modes that have a sample within 3 sigma, and the share of samples within 3 sigma of
     any (98.9 % of perfect samples are). null where the data is no mixture. */
  function scores(samples, { modes, sigma }) {
    if (!modes) return null;
    const hits = modes.map(() => 0),
      count = samples.length / 2;
    for (let i = 0; i < count; i++) {
      const far = modes.map(([x, y]) => Math.hypot(samples[2 * i] - x, samples[2 * i + 1] - y));
      const nearest = far.indexOf(Math.min(...far));
      if (far[nearest] <= 3 * sigma) hits[nearest] += 1;
    }
    const good = hits.reduce((a, b) => a + b, 0);
    return { modes: hits.filter(Boolean).length, of: modes.length, quality: good / count };
  }

  return { load, parse, check, scores, SHAPES, MOST_POINTS };
})();
