// Chapter 6: what a wild device does to a plain mean, to a mean of clipped steps and to a median.
(() => {
  "use strict";

  const HONEST = [[1.1, 0.4], [0.7, 0.9], [1.5, 0.7], [0.9, 0.1], [1.3, 1.1], [0.5, 0.5], [1.0, 0.8], [1.6, 0.3], [0.8, 0.6]];
  const length = ([x, y]) => Math.hypot(x, y);

  function mean(steps, weights = steps.map(() => 1)) {
    const total = weights.reduce((sum, one) => sum + one, 0);
    return [0, 1].map((axis) => steps.reduce((sum, step, at) => sum + weights[at] * step[axis], 0) / total);
  }

  const clip = (steps, norm) => steps.map((step) => step.map((value) => value * (norm / Math.max(length(step), norm))));

  function median(steps) {
    return [0, 1].map((axis) => {
      const row = steps.map((step) => step[axis]).sort((a, b) => a - b), middle = row.length >> 1;
      return row.length % 2 ? row[middle] : (row[middle - 1] + row[middle]) / 2;
    });
  }

  const compute = { mean, clip, median };
  const all = (now) => [...HONEST, ...Array.from({ length: now.liars }, () => now.liar)];

  kitLive.add("rules", {
    title: "One wild device",
    ask: "Drag the liars' common step. How far can they take each rule, and how many does it take to move the median past the honest?",
    axes: [[-6, 6], [-4, 4]],
    names: ["step of the first weight", "step of the second weight"],
    compute,
    start: () => ({ liar: [-4, -3], liars: 1, norm: 1.2 }),
    sliders: [
      { key: "liars", name: "liars", min: 0, max: 12, step: 1, shown: (now) => `${now.liars} of ${now.liars + HONEST.length}` },
      { key: "norm", name: "clipped to length", min: 0.1, max: 6, step: 0.1, shown: (now) => now.norm.toFixed(1) },
    ],
    handles: [{ name: "The liars' step", at: (now) => now.liar, move: (now, x, y) => (now.liar = [x, y]) }],
    draw(pen, now) {
      const ring = Array.from({ length: 73 }, (_, k) => [now.norm * Math.cos((k * Math.PI) / 36), now.norm * Math.sin((k * Math.PI) / 36)]);
      pen.line(ring, "quiet", { dash: [4, 5], width: 1 });
      for (const step of HONEST) {
        pen.line([[0, 0], step], "quiet", { width: 1, alpha: 0.6 });
        pen.dot(...step, "quiet", 3);
      }
      if (now.liars) pen.line([[0, 0], now.liar], "text", { width: 1.5, dash: [2, 3] });
      const steps = all(now);
      for (const [name, word, at, way] of [
        ["blue", "mean", mean(steps), 1],
        ["green", "clipped", mean(clip(steps, now.norm)), 2],
        ["orange", "median", median(steps), 3],
      ]) {
        pen.line([[0, 0], at], name, { width: 3 });
        pen.dot(...at, name, 6);
        pen.words(word, -5.7, -2.1 - 0.5 * way, name);
      }
    },
    say(now) {
      const steps = all(now), honest = mean(HONEST);
      const off = (at) => Math.hypot(at[0] - honest[0], at[1] - honest[1]).toFixed(2);
      return `Liars: ${now.liars}, honest devices: ${HONEST.length}. From the honest mean the plain mean lies ${off(mean(steps))} away, ` +
        `the mean of clipped steps ${off(mean(clip(steps, now.norm)))}, the median ${off(median(steps))}.`;
    },
  });
})();
