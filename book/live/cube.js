// Chapter 10: protection of a picture of two pixels against a linear editor: a square, a slope, a corner.
(() => {
  "use strict";

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  // The editor stretches along one direction and nowhere else.
  function matrix(angle, stretch) {
    const c = Math.cos(angle), s = Math.sin(angle);
    return [[stretch * c, stretch * s], [-s, c]];
  }
  const times = (A, v) => A.map(([a, b]) => a * v[0] + b * v[1]);
  const minus = (z, x) => [z[0] - x[0], z[1] - x[1]];
  const harm = (A, z, x) => times(A, minus(z, x)).reduce((sum, value) => sum + value * value, 0);
  function slope(A, z, x) {
    const [u, v] = times(A, minus(z, x));
    return [2 * (A[0][0] * u + A[1][0] * v), 2 * (A[0][1] * u + A[1][1] * v)];
  }
  const project = (z, x, bound) => z.map((value, k) => clamp(clamp(value, x[k] - bound, x[k] + bound), 0, 1));
  function step(A, z, x, bound, stride) {
    const way = slope(A, z, x);
    return project(z.map((value, k) => value + stride * Math.sign(way[k])), x, bound);
  }
  function strongest(A, x, bound) {
    const corners = [[-1, -1], [-1, 1], [1, -1], [1, 1]].map((sign) => project(x.map((value, k) => value + bound * sign[k]), x, bound));
    return corners.reduce((best, corner) => (harm(A, corner, x) > harm(A, best, x) ? corner : best));
  }

  kitLive.add("cube", {
    title: "A picture of two pixels",
    ask: "Where in the square does the edit suffer most? Drag the protected picture, or let signed steps take it; start on both sides of the picture.",
    axes: [[-0.261, 1.261], [0, 1]], // as long a unit across as up
    names: ["first pixel", "second pixel"],
    compute: { matrix, harm, slope, project, step, strongest },
    start: () => ({ x: [0.45, 0.55], z: [0.47, 0.5], bound: 0.2, angle: 0.5, stretch: 3 }),
    sliders: [
      { key: "bound", name: "bound ε", min: 0.02, max: 0.4, step: 0.01, shown: (now) => now.bound.toFixed(2) },
      { key: "angle", name: "editor's direction", min: 0, max: 3.14, step: 0.02, shown: (now) => `${Math.round((180 * now.angle) / Math.PI)}°` },
      { key: "stretch", name: "editor's stretch", min: 1, max: 6, step: 0.1, shown: (now) => now.stretch.toFixed(1) },
    ],
    handles: [
      { name: "The picture", at: (now) => now.x, move: (now, a, b) => (now.x = [clamp(a, 0, 1), b]) },
      { name: "The protected picture", at: (now) => project(now.z, now.x, now.bound), move: (now, a, b) => (now.z = [a, b]) },
    ],
    buttons: [
      { name: "1 signed step", press: (now) => (now.z = step(matrix(now.angle, now.stretch), project(now.z, now.x, now.bound), now.x, now.bound, 0.02)) },
      { name: "Mirror the start", press: (now) => (now.z = now.x.map((value, k) => 2 * value - now.z[k])) },
    ],
    draw(pen, now) {
      const A = matrix(now.angle, now.stretch), z = project(now.z, now.x, now.bound), best = strongest(A, now.x, now.bound);
      const [low, high] = [project([-9, -9], now.x, now.bound), project([9, 9], now.x, now.bound)], most = harm(A, best, now.x), n = 36;
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const at = (k, of) => low[k] + (of / n) * (high[k] - low[k]);
          const middle = [at(0, i + 0.5), at(1, j + 0.5)];
          pen.box(at(0, i), at(1, j), at(0, i + 1), at(1, j + 1), "orange", 0.8 * (harm(A, middle, now.x) / most));
        }
      }
      pen.line([low, [low[0], high[1]], high, [high[0], low[1]], low], "text", { width: 1.5 });
      for (const edge of [0, 1]) pen.line([[edge, 0], [edge, 1]], "quiet", { dash: [4, 4], width: 1 });
      const way = slope(A, z, now.x), size = Math.hypot(...way) || 1;
      pen.line([z, [z[0] + (0.1 * way[0]) / size, z[1] + (0.1 * way[1]) / size]], "blue", { width: 3 });
      pen.dot(...best, "green", 7, true);
      pen.dot(2 * now.x[0] - best[0], 2 * now.x[1] - best[1], "green", 4, true);
    },
    say(now) {
      const A = matrix(now.angle, now.stretch), z = project(now.z, now.x, now.bound);
      const here = harm(A, z, now.x), most = harm(A, strongest(A, now.x, now.bound), now.x);
      return `The edit has moved by a square of ${here.toFixed(4)}, ${Math.round((100 * here) / (most || 1))}% of what the strongest corner ` +
        `(green) does, ${most.toFixed(4)}. Blue: the way uphill; a signed step takes its signs alone.`;
    },
  });
})();
