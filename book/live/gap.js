// Chapter 8: the gap that a test shows between groups whose true error is one and the same.
(() => {
  "use strict";

  const { binomial } = kitLive;

  // Means of the largest and the smallest share among independent groups, exactly.
  function ends(groups, each, rate) {
    let below = 0, most = 0, least = 0;
    for (const chance of binomial(each, rate).slice(0, -1)) {
      below = Math.min(1, below + chance);
      most += 1 - below ** groups;
      least += (1 - below) ** groups;
    }
    return [least / each, most / each];
  }

  kitLive.add("gap", {
    title: "A gap where there is none",
    ask: "Every group has the same true rate. How large must a group be before the gap that chance makes falls under five points?",
    axes: [[0, 1], [0, 1]],
    names: ["share accused in a group", "chance, the likeliest as 1"],
    compute: { ends, binomial },
    start: () => ({ groups: 14, each: 30, rate: 0.2 }),
    sliders: [
      { key: "groups", name: "groups", min: 2, max: 30, step: 1 },
      { key: "each", name: "pictures a group", min: 1, max: 3, step: 0.01, get: (now) => Math.log10(now.each),
        set: (now, value) => (now.each = Math.round(10 ** value)), shown: (now) => String(now.each) },
      { key: "rate", name: "true rate", min: 0, max: 1, step: 0.01, shown: (now) => now.rate.toFixed(2) },
    ],
    handles: [
      { name: "The true rate", at: (now) => [now.rate, 0.5], move: (now, x) => (now.rate = Math.round(100 * x) / 100) },
    ],
    draw(pen, { groups, each, rate }) {
      const row = binomial(each, rate), top = Math.max(...row), [least, most] = ends(groups, each, rate);
      pen.box(least, 0, most, 1, "orange", 0.25);
      row.forEach((chance, k) => pen.box((k - 0.4) / each, 0, (k + 0.4) / each, chance / top, "blue", 0.85));
      for (const at of [least, most]) pen.line([[at, 0], [at, 1]], "orange", { width: 2 });
      pen.line([[rate, 0], [rate, 1]], "text", { dash: [4, 4], width: 1.5 });
    },
    say({ groups, each, rate }) {
      const [least, most] = ends(groups, each, rate), points = (x) => (100 * x).toFixed(1);
      return `${groups} groups of ${each}, all accused at ${points(rate)}%: the lowest is seen at ${points(least)}% on average, the highest at ` +
        `${points(most)}%, a gap of ${points(most - least)} points that means nothing.`;
    },
  });
})();
