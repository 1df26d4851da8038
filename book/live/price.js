// Chapter 4: both utilities over price and quality, the node's answer, and the equilibrium for any cost.
(() => {
  "use strict";

  const SLOPE = 1 / Math.LN2;
  const compute = {
    node: (quality, price, cost) => quality * price - quality * quality * cost,
    provider: (quality, price) => Math.log2(1 + quality) - quality * price,
    answer: (price, cost) => Math.min(1, price / (2 * cost)),
    equilibrium(cost) {
      const quality = Math.min(1, SLOPE / 2 / (cost + Math.sqrt(cost) * Math.sqrt(cost + SLOPE)));
      return [2 * cost * quality, quality];
    },
  };

  kitLive.add("price", {
    title: "Price, quality, cost",
    ask: "Drag the offer. Can you find a point that both prefer to the star? Would the node stay there?",
    axes: [[0, 1], [0, 1]],
    names: ["price p", "quality q"],
    compute,
    start: () => ({ price: 0.3, quality: 0.9, cost: 0.3 }),
    sliders: [
      { key: "cost", name: "cost C", min: -2, max: 0.3, step: 0.01, get: (now) => Math.log10(now.cost),
        set: (now, value) => (now.cost = 10 ** value), shown: (now) => now.cost.toFixed(3) },
      { key: "price", name: "price p", min: 0, max: 1, step: 0.005, shown: (now) => now.price.toFixed(3) },
      { key: "quality", name: "quality q", min: 0, max: 1, step: 0.005, shown: (now) => now.quality.toFixed(3) },
    ],
    handles: [
      { name: "The offer: price and quality", at: (now) => [now.price, now.quality],
        move: (now, x, y) => Object.assign(now, { price: x, quality: y }) },
    ],
    draw(pen, { price, quality, cost }) {
      const n = 40, best = compute.equilibrium(cost);
      const at = [compute.node(best[1], best[0], cost), compute.provider(best[1], best[0])];
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const p = (i + 0.5) / n, q = (j + 0.5) / n;
          const worth = compute.provider(q, p);
          pen.box(i / n, j / n, (i + 1) / n, (j + 1) / n, worth < 0 ? "orange" : "blue", 0.55 * Math.abs(worth));
          if (worth > at[1] && compute.node(q, p, cost) > at[0]) pen.box(i / n, j / n, (i + 1) / n, (j + 1) / n, "green", 0.6);
        }
      }
      const answer = Array.from({ length: 101 }, (_, k) => [k / 100, compute.answer(k / 100, cost)]);
      pen.line(answer, "text", { width: 3 });
      pen.line([[price, quality], [price, compute.answer(price, cost)]], "text", { dash: [4, 4], width: 1.5 });
      pen.dot(price, compute.answer(price, cost), "text", 5, true);
      pen.words("★", best[0], best[1] - 0.015, "text", "center");
    },
    say({ price, quality, cost }) {
      const answer = compute.answer(price, cost), [p, q] = compute.equilibrium(cost);
      const two = (value) => value.toFixed(2);
      return `Here the node has ${two(compute.node(quality, price, cost))} and the provider ${two(compute.provider(quality, price))}. ` +
        `At this price the node would deliver ${two(answer)} and have ${two(compute.node(answer, price, cost))}, ` +
        `the provider then ${two(compute.provider(answer, price))}. Equilibrium: price ${two(p)}, quality ${two(q)}, ` +
        `worth ${two(compute.node(q, p, cost))} and ${two(compute.provider(q, p))}. Green: where both would have more.`;
    },
  });
})();
