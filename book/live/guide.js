// Chapter 3: what the guidance weight does to samples, where both predictions are exact.
(() => {
  "use strict";

  const STEPS = 1000, POINTS = 80, STRIDES = 25, SHARES = [0.25, 0.25, 0.5]; // two modes of the caption, one of all else
  const bars = [];
  for (let t = 0, kept = 1; t < STEPS; t++) bars.push((kept *= 1 - (1e-4 + ((0.02 - 1e-4) * t) / (STEPS - 1))));

  // How likely each mode is behind x at the noise level `bar`, by Bayes' rule.
  function behind(x, bar, { modes, width }, shares) {
    const spread = bar * width * width + 1 - bar, root = Math.sqrt(bar);
    const far = modes.map((mode, k) => (shares[k] ? (x[0] - root * mode[0]) ** 2 + (x[1] - root * mode[1]) ** 2 : Infinity));
    const near = Math.min(...far), weights = far.map((d, k) => shares[k] * Math.exp((near - d) / (2 * spread)));
    const sum = weights.reduce((all, one) => all + one, 0);
    return weights.map((one) => one / sum);
  }

  // E[noise | x] under a mixture of round modes.
  function guess(x, bar, about, shares) {
    const spread = bar * about.width ** 2 + 1 - bar, root = Math.sqrt(bar), found = [0, 0];
    behind(x, bar, about, shares).forEach((share, k) => {
      for (const axis of [0, 1]) found[axis] += share * (x[axis] - root * about.modes[k][axis]);
    });
    return found.map((value) => (Math.sqrt(1 - bar) * value) / spread);
  }

  function guided(x, bar, about) {
    const deaf = guess(x, bar, about, SHARES), told = guess(x, bar, about, [0.5, 0.5, 0]);
    return deaf.map((value, axis) => value + about.weight * (told[axis] - value));
  }

  // Deterministic strides of DDIM from pure noise, as far as `done` says.
  function run(about, points) {
    const levels = Array.from({ length: STRIDES }, (_, k) => bars[Math.round((STEPS - 1) * (1 - k / STRIDES))]);
    levels.push(1);
    for (let k = 0; k < Math.round(about.done * STRIDES); k++) {
      const a = Math.sqrt(levels[k + 1] / levels[k]), b = Math.sqrt(1 - levels[k + 1]) - a * Math.sqrt(1 - levels[k]);
      points = points.map((x) => guided(x, levels[k], about).map((noise, axis) => a * x[axis] + b * noise));
    }
    return points;
  }

  function start() {
    let seed = 3;
    const uniform = () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed + 0.5) / 4294967296;
    };
    return Array.from({ length: POINTS }, () => {
      const far = Math.sqrt(-2 * Math.log(uniform())), turn = 2 * Math.PI * uniform();
      return [far * Math.cos(turn), far * Math.sin(turn)];
    });
  }

  // Share that Bayes' rule reads as asked, root mean square distance from the mean, share beside the first mode.
  function measured(points, about) {
    const mean = [0, 1].map((axis) => points.reduce((sum, x) => sum + x[axis], 0) / points.length);
    const square = points.reduce((sum, x) => sum + (x[0] - mean[0]) ** 2 + (x[1] - mean[1]) ** 2, 0) / points.length;
    const read = points.map((x) => behind(x, 1, about, SHARES));
    const part = (of) => read.reduce((sum, one) => sum + of(one), 0) / points.length;
    return { agreement: part((one) => 1 - one[2]), variety: Math.sqrt(square), first: part((one) => one[0] / (one[0] + one[1] || 1)) };
  }

  const noise = start();
  const NAMES = ["Mode 1 of the caption", "Mode 2 of the caption", "All other pictures"];

  kitLive.add("guide", {
    title: "Agreement for variety",
    ask: "The caption has two modes, one of them close to all other pictures. Raise w from 0. Which samples vanish first? Which number pays for which?",
    axes: [[-3.6, 3.6], [-2.6, 2.6]],
    names: ["first coordinate", "second coordinate"],
    compute: { bars, guess, guided, run, measured, noise, STRIDES },
    start: () => ({ modes: [[1.7, 0.9], [-0.1, -1.1], [-1.3, -0.1]], weight: 1, width: 0.6, done: 1 }),
    sliders: [
      { key: "weight", name: "guidance w", min: 0, max: 8, step: 0.1, shown: (now) => now.weight.toFixed(1) },
      { key: "width", name: "width of a mode", min: 0.1, max: 1, step: 0.02, shown: (now) => now.width.toFixed(2) },
      { key: "done", name: "way back", min: 0, max: 1, step: 0.025, shown: (now) => `${Math.round(100 * now.done)}%` },
    ],
    handles: NAMES.map((name, k) => ({ name, at: (now) => now.modes[k], move: (now, x, y) => (now.modes[k] = [x, y]) })),
    draw(pen, now) {
      now.modes.forEach(([x, y], k) => {
        const ring = Array.from({ length: 49 }, (_, i) => [x + 2 * now.width * Math.cos((i * Math.PI) / 24), y + 2 * now.width * Math.sin((i * Math.PI) / 24)]);
        pen.line(ring, k < 2 ? "blue" : "quiet", { width: 1.5, dash: k < 2 ? [] : [5, 5] });
      });
      now.found = run(now, noise);
      now.plain = run({ ...now, weight: 1 }, noise);
      const inside = ([x, y]) => [Math.max(-3.6, Math.min(3.6, x)), Math.max(-2.6, Math.min(2.6, y))];
      now.plain.forEach((point) => pen.dot(...inside(point), "blue", 2));
      now.found.forEach((point) => pen.dot(...inside(point), "orange", 3));
      pen.words("w = 1", -3.45, 2.25, "blue");
      pen.words(`w = ${now.weight.toFixed(1)}`, -3.45, 1.9, "orange");
      pen.words("dashed: all other pictures", -3.45, -2.4, "text");
    },
    say(now) {
      const { agreement, variety, first } = measured(now.found, now), plain = measured(now.plain, now);
      const percent = (share) => `${Math.round(100 * share)}%`;
      return `w = ${now.weight.toFixed(1)}: agreement ${percent(agreement)}, variety ${variety.toFixed(2)}, ${percent(first)} at mode 1. ` +
        `At w = 1: ${percent(plain.agreement)}, ${plain.variety.toFixed(2)}, ${percent(plain.first)}.`;
    },
  });
})();
