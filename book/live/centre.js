// Chapter 7: the single-center loss of sixty points, its slopes, and where a descent takes them.
(() => {
  "use strict";

  const N = 60;

  function fresh() {
    let seed = 7;
    const uniform = () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed + 0.5) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const middles = [[1, 0.2], [-0.6, 0.9], [-0.3, -1]];
    const points = Array.from({ length: N }, (_, k) => {
      const [x, y] = k < N / 2 ? [0, 0] : middles[k % 3];
      return [x + normal() / 2, y + normal() / 2];
    });
    return { points, fake: points.map((_, k) => k >= N / 2), centre: [0.6, -0.5], margin: 0.8, picked: 1, steps: 0 };
  }

  // The loss, and its derivatives by each point and by the centre; at the centre itself a distance has slope 0.
  function loss({ points, fake, centre, margin }) {
    const counts = [0, 0], far = [0, 0];
    const unit = points.map(([x, y], k) => {
      const dx = x - centre[0], dy = y - centre[1], length = Math.hypot(dx, dy), kind = +fake[k];
      counts[kind]++;
      far[kind] += length;
      return length ? [dx / length, dy / length] : [0, 0];
    });
    const [real, fakes] = far.map((sum, kind) => sum / counts[kind]);
    const inside = real - fakes + margin * Math.SQRT2, active = +(inside > 0);
    const slopes = unit.map(([x, y], k) => {
      const weight = fake[k] ? -active / counts[1] : (1 + active) / counts[0];
      return [weight * x, weight * y];
    });
    const ofCentre = [0, 1].map((axis) => -slopes.reduce((sum, slope) => sum + slope[axis], 0));
    return { value: real + Math.max(inside, 0), real, fakes, active, slopes, ofCentre };
  }

  function descend(now, times) {
    for (let k = 0; k < times; k++) {
      const { slopes, ofCentre } = loss(now);
      now.points = now.points.map(([x, y], at) => [x - slopes[at][0], y - slopes[at][1]]);
      now.centre = now.centre.map((value, axis) => value - ofCentre[axis] / 10);
    }
    now.steps += times;
  }

  kitLive.add("centre", {
    title: "Pulled to one centre",
    ask: "Drag the centre or a point; the lines show where the loss sends each. Descend, and look at single fakes: does the loss mind each of them?",
    axes: [[-3.6, 3.6], [-2.4, 2.4]],
    names: ["first feature", "second feature"],
    compute: { loss, fresh, descend },
    start: fresh,
    sliders: [
      { key: "margin", name: "margin m", min: 0, max: 2, step: 0.02, shown: (now) => now.margin.toFixed(2) },
      { key: "picked", name: "point in hand", min: 1, max: N, step: 1, shown: (now) => `${now.picked}, ${now.fake[now.picked - 1] ? "fake" : "real"}` },
    ],
    handles: [
      { name: "The centre", at: (now) => now.centre, move: (now, x, y) => (now.centre = [x, y]) },
      { name: "The point in hand", at: (now) => now.points[now.picked - 1], move: (now, x, y) => (now.points[now.picked - 1] = [x, y]) },
    ],
    buttons: [
      { name: "1 step down", press: (now) => descend(now, 1) },
      { name: "50 steps down", press: (now) => descend(now, 50) },
      { name: "Again", press: (now) => Object.assign(now, fresh()) },
    ],
    draw(pen, now) {
      const { slopes } = loss(now), [cx, cy] = now.centre, reach = now.margin * Math.SQRT2;
      const ring = Array.from({ length: 73 }, (_, k) => [cx + reach * Math.cos((k * Math.PI) / 36), cy + reach * Math.sin((k * Math.PI) / 36)]);
      pen.line(ring, "quiet", { dash: [5, 5], width: 1 });
      now.points.forEach(([x, y], k) => {
        const name = now.fake[k] ? "orange" : "blue";
        pen.line([[x, y], [x - 5 * slopes[k][0], y - 5 * slopes[k][1]]], name, { width: 1.5, alpha: 0.8 });
        pen.dot(x, y, name, 4, now.fake[k]);
      });
    },
    say(now) {
      const { value, real, fakes, active } = loss(now), two = (x) => x.toFixed(2);
      return `Loss ${two(value)} after ${now.steps} steps. Real points (full) lie ${two(real)} from the centre on average, fakes (rings) ` +
        `${two(fakes)}. ${active ? "The margin is not reached, so fakes are pushed out." : "The margin is reached on average: no fake is pushed, wherever it lies."}`;
    },
  });
})();
