// Chapter 2: three modes to drag, and what three samplers make of the exact predictor.
(() => {
  "use strict";

  const STEPS = 1000, POINTS = 120, WIDTH = 0.12;
  const bars = [];
  for (let t = 0, kept = 1; t < STEPS; t++) bars.push((kept *= 1 - (1e-4 + ((0.02 - 1e-4) * t) / (STEPS - 1))));

  // E[eps | x] for equally weighted round modes, at the noise level `bar`.
  function guess(x, bar, modes, width = WIDTH) {
    const spread = bar * width * width + 1 - bar, root = Math.sqrt(bar);
    const away = modes.map((mode) => [x[0] - root * mode[0], x[1] - root * mode[1]]);
    const logs = away.map(([a, b]) => -(a * a + b * b) / (2 * spread)), top = Math.max(...logs);
    const shares = logs.map((log) => Math.exp(log - top)), sum = shares.reduce((all, one) => all + one, 0);
    return [0, 1].map((axis) => (Math.sqrt(1 - bar) * away.reduce((all, one, k) => all + (shares[k] / sum) * one[axis], 0)) / spread);
  }

  // One stride from the level `bar` to `next`: x, its guessed noise, fresh noise z.
  const samplers = {
    ddim(x, eps, bar, next) {
      return x.map((value, k) => (Math.sqrt(next) * (value - Math.sqrt(1 - bar) * eps[k])) / Math.sqrt(bar) + Math.sqrt(1 - next) * eps[k]);
    },
    ddpm(x, eps, bar, next, z) {
      const alpha = bar / next;
      return x.map((value, k) => (value - ((1 - alpha) / Math.sqrt(1 - bar)) * eps[k]) / Math.sqrt(alpha) + (next < 1 ? Math.sqrt(1 - alpha) * z[k] : 0));
    },
    bare(x, eps, bar, next, z) { // Eq. 7 with one letter for both: the inner root has lost its bar
      const alpha = bar / next;
      return x.map((value, k) => (value - Math.sqrt(1 - alpha) * eps[k]) / Math.sqrt(alpha) + (next < 1 ? Math.sqrt(1 - alpha) * z[k] : 0));
    },
  };

  function dice(seed) {
    const uniform = () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed + 0.5) / 4294967296;
    };
    return () => [0, 1].map(() => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  function levels(strides) {
    const found = Array.from({ length: strides }, (_, k) => bars[Math.round((STEPS - 1) * (1 - k / strides))]);
    return [...found, 1];
  }

  function run(name, { modes, strides, done }) {
    const throwDice = dice(11), at = levels(strides);
    let points = Array.from({ length: POINTS }, throwDice);
    for (let k = 0; k < Math.round(done * strides); k++) {
      points = points.map((x) => samplers[name](x, guess(x, at[k], modes), at[k], at[k + 1], throwDice()));
    }
    return points;
  }

  const NAMES = { ddim: ["blue", "DDIM"], ddpm: ["green", "DDPM"], bare: ["orange", "Eq. 7 without its bar"] };
  const off = (points, modes) =>
    points.reduce((sum, x) => sum + Math.min(...modes.map((mode) => Math.hypot(x[0] - mode[0], x[1] - mode[1]))), 0) / points.length;

  kitLive.add("dice", {
    title: "Three samplers, one exact predictor",
    ask: "Drag the modes, shorten the strides, and stop half-way. Which sampler forgives long strides? What does the lost bar do?",
    axes: [[-3, 3], [-2.2, 2.2]],
    names: ["first coordinate", "second coordinate"],
    compute: { bars, guess, ...samplers, levels },
    start: () => ({ modes: [[-1.6, -0.8], [1.5, -1], [0.2, 1.3]], strides: 20, done: 1 }),
    sliders: [
      { key: "strides", name: "strides", min: 2, max: 60, step: 1 },
      { key: "done", name: "way back", min: 0, max: 1, step: 0.02, shown: (now) => `${Math.round(100 * now.done)} %` },
    ],
    handles: [0, 1, 2].map((k) => ({
      name: `Mode ${k + 1}`, at: (now) => now.modes[k], move: (now, x, y) => (now.modes[k] = [x, y]),
    })),
    draw(pen, now) {
      Object.entries(NAMES).reverse().forEach(([name, [colour, word]], row) => {
        run(name, now).forEach(([x, y]) => pen.dot(Math.max(-3, Math.min(3, x)), Math.max(-2.2, Math.min(2.2, y)), colour, 2.5));
        pen.words(word, -2.9, 1.95 - 0.25 * row, colour);
      });
    },
    say(now) {
      const told = Object.entries(NAMES).map(([name, [, word]]) => `${word} ${off(run(name, now), now.modes).toFixed(2)}`).join(", ");
      return `Strides: ${now.strides}, ${Math.round(100 * now.done)} % of the way back. Mean distance of ${POINTS} points to the nearest mode: ${told}.`;
    },
  });
})();
