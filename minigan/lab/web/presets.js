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
    todo: "Press Run and watch the line above the picture. Switch on G's grid to see how G bends the plane.",
    set: { data: "moons", speed: 0, show: ["landscape", "reals", "samples", "arrows", "manifold"], lr_d: 0.01, lr_g: 0.01 },
  },
  {
    title: "Mode collapse",
    see:
      "Eight spots of data, but G is paid for one convincing point, not for variety. Its samples gather in few spots;" +
      " D learns to distrust those, and the samples move on together to others.",
    todo: "Run for a thousand steps and read the number of modes. Try other seeds: which spots are found is chance.",
    set: { data: "ring", loss: "non-saturating", lr_d: 2e-3, lr_g: 2e-3, width_g: 24, width_d: 24, speed: 8, show: ["landscape", "reals", "samples", "arrows"] },
  },
  {
    title: "The pull that vanishes",
    see:
      "The first GAN's formula, with a D that learns fast. As soon as D is sure that blue is fake, its curve is flat where" +
      " the blue points are: the arrows shrink to nothing and G stands still, far from the data.",
    todo: "Run, and watch the third chart fall by powers of ten. Then set the loss to non-saturating: the pull is back.",
    set: { data: "grid", loss: "minimax", n_critic: 8, lr_d: 4e-3, lr_g: 5e-4, width_d: 48, speed: 7 },
  },
  {
    title: "Wasserstein with clipped weights",
    see:
      "Another question for D: not real or fake, but how much higher can you be on reals than on samples? It means" +
      " something only if D's slope is bounded. The oldest bound clips D's weights to a small box.",
    todo: "The ground becomes one smooth ramp: D uses its steepest slope everywhere. Raise the bound to 0.2, lower it to 0.02.",
    set: { data: "ring", loss: "wasserstein", tricks: ["clip"], clip: 0.1, n_critic: 3, beta1: 0, beta2: 0.9, lr_d: 2e-3, lr_g: 2e-3, speed: 8 },
  },
  {
    title: "WGAN-GP: a penalty instead",
    see:
      "The same question, but D pays for a slope that differs from 1 on the way between reals and samples. To train D one" +
      " needs the gradient of a gradient. The pull on a sample stays near 1 however sure D is.",
    todo: "Compare the third chart with experiment 4. Set the penalty to none and see what the bound was for.",
    set: { data: "ring", loss: "wasserstein", penalty: "two-sided", weight: 0.1, n_critic: 3, beta1: 0, beta2: 0.9, lr_d: 3e-3, lr_g: 3e-3, width_g: 48, width_d: 48, average: 0.98, speed: 8 },
  },
  {
    title: "A critic that sees pairs",
    see:
      "With packing, D judges two points at once. A pair of equal points is suspicious, so a G without variety is found" +
      " out at once.",
    todo: "Switch packing off and on while it runs, or take minibatch discrimination or unrolled steps instead.",
    set: { data: "ring", tricks: ["packing"], batch: 128, lr_d: 2e-3, lr_g: 2e-3, width_g: 32, width_d: 48, speed: 8 },
  },
  {
    title: "One number draws a curve",
    see:
      "G gets a single random number. Whatever it does, its samples lie on one curve, the green line. It has to fold that" +
      " curve through the spiral's arms.",
    todo: "Run with patience, then give G two numbers (Latent numbers) while it runs.",
    set: {
      data: "spiral", latent: 1, loss: "wasserstein", penalty: "two-sided", weight: 0.1, n_critic: 3, beta1: 0, beta2: 0.9,
      lr_d: 3e-3, lr_g: 3e-3, width_g: 48, width_d: 48, depth_g: 3, average: 0.98, speed: 8, show: ["landscape", "reals", "samples", "manifold"],
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
