// Chapter 2: three modes to drag, and what three samplers make of the exact predictor.
(() => {
  "use strict";

  const STEPS = 1000, POINTS = 80, WIDTH = 0.12;
  const bars = [];
  for (let t = 0, kept = 1; t < STEPS; t++) bars.push((kept *= 1 - (1e-4 + ((0.02 - 1e-4) * t) / (STEPS - 1))));

  // E[eps | x] for equally weighted round modes, at the noise level `bar`.
  function guess(x, bar, modes, width = WIDTH) {
    const spread = bar * width * width + 1 - bar, root = Math.sqrt(bar);
    let top = -Infinity, sum = 0, first = 0, second = 0;
    for (const mode of modes) top = Math.max(top, -((x[0] - root * mode[0]) ** 2 + (x[1] - root * mode[1]) ** 2));
    for (const mode of modes) {
      const a = x[0] - root * mode[0], b = x[1] - root * mode[1];
      const share = Math.exp((-(a * a + b * b) - top) / (2 * spread));
      sum += share;
      first += share * a;
      second += share * b;
    }
    const scale = Math.sqrt(1 - bar) / (spread * sum);
    return [scale * first, scale * second];
  }

  // One stride from the level `bar` to `next`: x, its guessed noise, fresh noise z.
  const samplers = {
    ddim(x, eps, bar, next) {
      const a = Math.sqrt(next / bar), b = Math.sqrt(1 - next) - a * Math.sqrt(1 - bar);
      return [a * x[0] + b * eps[0], a * x[1] + b * eps[1]];
    },
    ddpm: (x, eps, bar, next, z) => eq7(x, eps, bar, next, z, bar),
    bare: (x, eps, bar, next, z) => eq7(x, eps, bar, next, z, bar / next), // the inner root has lost its bar
  };

  function eq7(x, eps, bar, next, z, inner) {
    const alpha = bar / next, root = Math.sqrt(alpha);
    const b = -(1 - alpha) / (Math.sqrt(1 - inner) * root), c = next < 1 ? Math.sqrt(1 - alpha) : 0;
    return [x[0] / root + b * eps[0] + c * z[0], x[1] / root + b * eps[1] + c * z[1]];
  }

  function dice(seed) {
    const uniform = () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed + 0.5) / 4294967296;
    };
    return () => {
      const far = Math.sqrt(-2 * Math.log(uniform())), turn = 2 * Math.PI * uniform();
      return [far * Math.cos(turn), far * Math.sin(turn)];
    };
  }

  function levels(strides) {
    const found = Array.from({ length: strides }, (_, k) => bars[Math.round((STEPS - 1) * (1 - k / strides))]);
    return [...found, 1];
  }

  function run(name, { modes, strides, done }) {
    const throwDice = dice(11), at = levels(strides);
    let points = Array.from({ length: POINTS }, throwDice); // every sampler meets the same start and the same dice
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
      { key: "strides", name: "strides", min: 2, max: 100, step: 1 },
      { key: "done", name: "way back", min: 0, max: 1, step: 0.02, shown: (now) => `${Math.round(100 * now.done)}%` },
    ],
    handles: [0, 1, 2].map((k) => ({
      name: `Mode ${k + 1}`, at: (now) => now.modes[k], move: (now, x, y) => (now.modes[k] = [x, y]),
    })),
    draw(pen, now) {
      now.found = {};
      Object.entries(NAMES).reverse().forEach(([name, [colour, word]], row) => {
        now.found[name] = run(name, now);
        now.found[name].forEach(([x, y]) => pen.dot(Math.max(-3, Math.min(3, x)), Math.max(-2.2, Math.min(2.2, y)), colour, 2.5));
        pen.words(word, -2.9, 1.95 - 0.25 * row, colour);
      });
    },
    say(now) {
      const told = Object.entries(NAMES).map(([name, [, word]]) => `${word} ${off(now.found[name], now.modes).toFixed(2)}`).join(", ");
      return `Strides: ${now.strides}, ${Math.round(100 * now.done)}% of the way back. Mean distance of ${POINTS} points to the nearest mode: ${told}; of the data ` +
        `${(WIDTH * Math.sqrt(Math.PI / 2)).toFixed(2)}.`;
    },
  });
})();
