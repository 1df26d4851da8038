// Chapter 1: a GAN of two coordinates that trains in the page: two networks of two hidden layers, Adam, either loss.
(() => {
  "use strict";

  const BATCH = 64, SHOWN = 200, HIDDEN = 16;

  function dice(seed) {
    const uniform = () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed + 0.5) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normals: (count) => Float64Array.from({ length: count }, normal) };
  }

  // A network is a list of layers, w [out, in] row by row, b [out], with tanh between them; points lie row by row too.
  function network(sizes, random) {
    return sizes.slice(1).map((out, k) => ({
      w: random.normals(out * sizes[k]).map((value) => value / Math.sqrt(sizes[k])), b: new Float64Array(out),
    }));
  }

  function forward(layers, points) {
    const seen = [points];
    layers.forEach(({ w, b }, k) => {
      const x = seen[k], out = b.length, into = w.length / out, n = x.length / into, y = new Float64Array(n * out);
      for (let i = 0; i < n; i++) {
        for (let o = 0; o < out; o++) {
          let sum = b[o];
          for (let j = 0; j < into; j++) sum += w[o * into + j] * x[i * into + j];
          y[i * out + o] = k < layers.length - 1 ? Math.tanh(sum) : sum;
        }
      }
      seen.push(y);
    });
    return seen;
  }

  // From the slopes at the outputs: those of each weight, and those at the inputs.
  function backward(layers, seen, slopes) {
    const grads = [];
    for (let k = layers.length - 1; k >= 0; k--) {
      const { w, b } = layers[k], x = seen[k], out = b.length, into = w.length / out, n = x.length / into;
      const grad = { w: new Float64Array(w.length), b: new Float64Array(out) }, before = new Float64Array(x.length);
      for (let i = 0; i < n; i++) {
        for (let o = 0; o < out; o++) {
          const slope = slopes[i * out + o];
          grad.b[o] += slope;
          for (let j = 0; j < into; j++) {
            grad.w[o * into + j] += slope * x[i * into + j];
            before[i * into + j] += slope * w[o * into + j];
          }
        }
      }
      slopes = k ? before.map((value, at) => value * (1 - x[at] * x[at])) : before;
      grads.unshift(grad);
    }
    return { grads, inputs: slopes };
  }

  function adam(player, grads, rate) {
    const [one, two] = [0.5, 0.999];
    player.steps++;
    player.layers.forEach((layer, k) => ["w", "b"].forEach((name) => {
      const { first, second } = player.memory[k][name], slope = grads[k][name];
      for (let i = 0; i < slope.length; i++) {
        first[i] = one * first[i] + (1 - one) * slope[i];
        second[i] = two * second[i] + (1 - two) * slope[i] * slope[i];
        const size = Math.sqrt(second[i] / (1 - two ** player.steps)) + 1e-8;
        layer[name][i] -= (rate * first[i]) / (1 - one ** player.steps) / size;
      }
    }));
  }

  function player(layers) {
    const zeros = (values) => ({ first: new Float64Array(values.length), second: new Float64Array(values.length) });
    return { layers, steps: 0, memory: layers.map(({ w, b }) => ({ w: zeros(w), b: zeros(b) })) };
  }

  const sure = (logit) => 1 / (1 + Math.exp(-logit));

  // One step of the discriminator, one of the generator. Returns the slope that reached the generator, a mean of sizes.
  function step(game, real, codes, more, saturating, rate) {
    const { judge, forger } = game, n = real.length / 2;
    const fake = forward(forger.layers, codes).at(-1);
    const both = forward(judge.layers, Float64Array.from([...real, ...fake]));
    const slopes = both.at(-1).map((logit, k) => (k < n ? -sure(-logit) : sure(logit)) / n);
    adam(judge, backward(judge.layers, both, slopes).grads, rate);
    const made = forward(forger.layers, more), judged = forward(judge.layers, made.at(-1));
    const pull = judged.at(-1).map((logit) => -sure(saturating ? logit : -logit) / n);
    adam(forger, backward(forger.layers, made, backward(judge.layers, judged, pull).inputs).grads, rate);
    return pull.reduce((sum, value) => sum - value, 0);
  }

  function data({ modes, width }, random, count) {
    const spread = random.normals(2 * count);
    for (let i = 0; i < count; i++) {
      const mode = modes[Math.floor(random.uniform() * modes.length)];
      for (const axis of [0, 1]) spread[2 * i + axis] = mode[axis] + width * spread[2 * i + axis];
    }
    return spread;
  }

  function fresh(seed = 1) {
    const random = dice(seed);
    const game = { forger: player(network([2, HIDDEN, HIDDEN, 2], random)), judge: player(network([2, HIDDEN, HIDDEN, 1], random)) };
    return { seed, random, game, steps: 0, pull: null, codes: dice(99).normals(2 * SHOWN) };
  }

  function train(now, times) {
    for (let k = 0; k < times; k++) {
      const codes = now.random.normals(2 * BATCH), more = now.random.normals(2 * BATCH);
      now.pull = step(now.game, data(now, now.random, BATCH), codes, more, now.kind, now.rate);
    }
    now.steps += times;
  }

  const chunks = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
  const nearest = (point, modes) => modes.reduce(([far, at], mode, k) => {
    const d = Math.hypot(point[0] - mode[0], point[1] - mode[1]);
    return d < far ? [d, k] : [far, at];
  }, [Infinity, 0]);
  const LOSSES = ["−log D", "log(1−D)"];

  kitLive.add("duel", {
    title: "A GAN that trains while you look",
    ask: "Run it. Does the generator find all three modes? Start again with the other loss or another rate; drag a mode while it runs.",
    axes: [[-3, 3], [-2.2, 2.2]],
    names: ["first coordinate", "second coordinate"],
    compute: { network, forward, player, step, fresh, train, dice },
    start: () => ({ modes: [[-1.5, -0.8], [1.5, -0.8], [0, 1.3]], width: 0.15, rate: 0.003, kind: 0, ...fresh() }),
    sliders: [
      { key: "kind", name: "generator descends", min: 0, max: 1, step: 1, shown: (now) => LOSSES[now.kind] },
      { key: "rate", name: "learning rate", min: -4, max: -1.5, step: 0.1, get: (now) => Math.log10(now.rate),
        set: (now, value) => (now.rate = 10 ** value), shown: (now) => now.rate.toPrecision(2) },
      { key: "width", name: "width of a mode", min: 0.05, max: 0.6, step: 0.01, shown: (now) => now.width.toFixed(2) },
    ],
    handles: [0, 1, 2].map((k) => ({
      name: `Mode ${k + 1} of the data`, at: (now) => now.modes[k], move: (now, x, y) => (now.modes[k] = [x, y]),
    })),
    tick: (now) => train(now, 4),
    buttons: [
      { name: "100 steps", press: (now) => train(now, 100) },
      { name: "Start again", press: (now) => Object.assign(now, fresh(now.seed)) },
      { name: "Other weights", press: (now) => Object.assign(now, fresh(now.seed + 1)) },
    ],
    draw(pen, now) {
      const [nx, ny] = [30, 20], at = (i, n, half) => half * ((2 * i) / n - 1), middles = [];
      for (let i = 0; i < nx; i++) for (let j = 0; j < ny; j++) middles.push(at(i + 0.5, nx, 3), at(j + 0.5, ny, 2.2));
      forward(now.game.judge.layers, Float64Array.from(middles)).at(-1).forEach((logit, k) => {
        const i = Math.floor(k / ny), j = k % ny, lean = 2 * sure(logit) - 1;
        pen.box(at(i, nx, 3), at(j, ny, 2.2), at(i + 1, nx, 3), at(j + 1, ny, 2.2), lean > 0 ? "blue" : "orange", 0.45 * Math.abs(lean));
      });
      chunks(data(now, dice(5), SHOWN)).forEach(([x, y]) => pen.dot(x, y, "blue", 2));
      now.made = chunks(forward(now.game.forger.layers, now.codes).at(-1));
      now.made.forEach(([x, y]) => pen.dot(Math.max(-3, Math.min(3, x)), Math.max(-2.2, Math.min(2.2, y)), "orange", 2.5));
    },
    say(now) {
      const found = now.made.map((point) => nearest(point, now.modes)), percent = (share) => `${Math.round(100 * share)}%`;
      const shares = now.modes.map((_, k) => percent(found.filter(([d, at]) => at === k && d < 3 * now.width).length / SHOWN));
      const logits = (points) => Array.from(forward(now.game.judge.layers, Float64Array.from(points)).at(-1));
      const right = [...logits(data(now, dice(6), SHOWN)).map((x) => x > 0), ...logits(now.made.flat()).map((x) => x <= 0)];
      return `Step ${now.steps}, ${LOSSES[now.kind]}. Of ${SHOWN} samples (orange) ${shares.join(", ")} lie within three widths of modes 1 to 3 (blue), ` +
        `all of them ${(found.reduce((sum, [d]) => sum + d, 0) / SHOWN).toFixed(3)} from the nearest mode on average. ` +
        `The discriminator (the ground's colour) is right on ${percent(right.filter(Boolean).length / right.length)} of data and samples` +
        (now.pull === null ? "." : `; at its last step a slope of ${now.pull.toFixed(3)} in the logit reached the generator.`);
    },
  });
})();
