"use strict";
/* Experiments for a newcomer, in order: what one sees, what to try. `set` is what differs from the defaults. */

const PRESETS = [
  {
    title: "A first GAN",
    see:
      "Orange points are the data. A generator G turns random numbers into blue points and wants them to look like" +
      " orange ones. A critic D looks at points and says how real they are: the lighter the ground, the more real. Each" +
      " blue point climbs the ground along its arrow, and the ground changes under it.",
    todo: "Press Run. Then pause, and take D's and G's half-steps in turn: D repaints the ground, G moves the points.",
    set: { data: "moons", speed: 6 },
  },
  {
    title: "In slow motion",
    see:
      "One half-step at a time. D's half-step changes only the ground: light where orange points are, dark where blue" +
      " ones are. G's half-step changes only the blue points: they go uphill.",
    todo: "Press Run and watch the line above the picture. The green lines are G's grid: how G bends its plane of random numbers.",
    set: {
      data: "moons",
      speed: 0,
      show: ["landscape", "reals", "samples", "arrows", "manifold"],
      lr_d: 4e-3,
      lr_g: 4e-3,
    },
  },
  {
    title: "Mode collapse",
    see:
      "Twenty-five spots of data, but G is paid for convincing points, not for variety. All its samples gather in one" +
      " place; D learns to distrust that place, and they move on together to another.",
    todo: "Run, and read the number of modes: it stays near 1, and never at the same spot. Try other seeds.",
    set: {
      data: "grid",
      lr_d: 2e-3,
      lr_g: 6e-3,
      beta1: 0.8,
      speed: 8,
      show: ["landscape", "reals", "samples", "arrows"],
    },
  },
  {
    title: "The pull that vanishes",
    see:
      "The first GAN's formula, with a D that learns much faster than G. As soon as D is sure that blue is fake, it lets" +
      " go of the blue points: their arrows shrink to nothing, and G stands still, far from the data.",
    todo: "Run, and watch the third chart fall by powers of ten. Then set the loss to non-saturating: the pull is back at once.",
    set: {
      data: "ring",
      loss: "minimax",
      n_critic: 5,
      lr_d: 4e-3,
      lr_g: 1e-4,
      width_d: 48,
      speed: 5,
      show: ["landscape", "reals", "samples", "arrows"],
    },
  },
  {
    title: "Wasserstein with clipped weights",
    see:
      "Another question for D: not real or fake, but how much higher can you be on reals than on samples? It means" +
      " something only if D's slope is bounded. The oldest bound clips D's weights to a small box.",
    todo: "The ground becomes a smooth hill; the pull is weak but never gone (third chart). Raise the bound to 0.2, lower it to 0.02.",
    set: {
      data: "ring",
      loss: "wasserstein",
      tricks: ["clip"],
      clip: 0.1,
      n_critic: 3,
      beta1: 0,
      beta2: 0.9,
      lr_d: 2e-3,
      lr_g: 2e-3,
      speed: 8,
    },
  },
  {
    title: "WGAN-GP: a penalty instead",
    see:
      "The same question, but D pays for a slope that differs from 1 on the way between reals and samples. To train D one" +
      " needs the gradient of a gradient. The pull on a sample stays near 1 however sure D is, and all spots are found.",
    todo: "Compare the third chart with experiment 4. Set the penalty to none and see what the bound was for.",
    set: {
      data: "ring",
      loss: "wasserstein",
      penalty: "two-sided",
      weight: 1,
      n_critic: 3,
      beta1: 0,
      beta2: 0.9,
      lr_d: 3e-3,
      lr_g: 3e-3,
      width_g: 48,
      width_d: 48,
      average: 0.98,
      speed: 8,
    },
  },
  {
    title: "A critic that sees several at once",
    see:
      "Experiment 3 again, but D judges four points as one: packing. Four points in one place are suspicious, so a G" +
      " without variety is found out, and its samples stay apart.",
    todo: "Compare the number of modes with experiment 3. Switch packing off and on while it runs.",
    set: {
      data: "grid",
      tricks: ["packing"],
      pack: 4,
      lr_d: 2e-3,
      lr_g: 6e-3,
      beta1: 0.8,
      speed: 8,
      show: ["landscape", "reals", "samples", "arrows"],
    },
  },
  {
    title: "One number draws a curve",
    see:
      "G gets a single random number. Whatever it does, its samples lie on one curve, the green line. It has to fold that" +
      " curve through the spiral's arms.",
    todo: "Run with patience, then give G two numbers (Latent numbers) while it runs.",
    set: {
      data: "spiral",
      latent: 1,
      loss: "wasserstein",
      penalty: "two-sided",
      weight: 0.3,
      n_critic: 3,
      beta1: 0,
      beta2: 0.9,
      lr_d: 3e-3,
      lr_g: 3e-3,
      width_g: 48,
      width_d: 48,
      depth_g: 3,
      average: 0.98,
      speed: 8,
      show: ["landscape", "reals", "samples", "manifold"],
    },
  },
  {
    title: "A game that turns in circles",
    see:
      "The smallest GAN: the data is the point 0, G has one number x, D is a line with slope y. When x is right of 0, D" +
      " tilts; then G moves left; then D tilts back. Nobody is wrong, and nobody arrives.",
    todo: "Run. Each simultaneous step leads a little further out. Set the method to alternating, then to optimistic.",
    set: { view: "games", game: "wgan", method: "simultaneous", h: 0.2 },
  },
  {
    title: "What stops the turning",
    see:
      "A zero-centred penalty pulls D's slope to 0, and the circle becomes a spiral inwards. The eigenvalues say so: both" +
      " lie inside the unit circle.",
    todo: "Make the step h larger until they leave the circle. Then try wgan-gp: it pulls the slope to 1, and never rests.",
    set: { view: "games", game: "gp", method: "simultaneous", h: 0.5 },
  },
];
