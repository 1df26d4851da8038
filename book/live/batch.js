// Chapter 9: what F1 and AUC become when they are averaged over batches.
(() => {
  "use strict";

  const LONGEST = 32;

  function binomial(n, p) {
    if (p === 0 || p === 1) return Array.from({ length: n + 1 }, (_, k) => +(k === (p ? n : 0)));
    const row = [(1 - p) ** n];
    for (let k = 1; k <= n; k++) row.push((row[k - 1] * (n - k + 1) * p) / (k * (1 - p)));
    return row;
  }

  const compute = {
    f1(recall, accused, share, batch) {
      const positives = binomial(batch, share);
      let sum = 0;
      for (let k = 1; k <= batch; k++) {
        const right = binomial(k, recall), wrong = binomial(batch - k, accused);
        for (let a = 1; a <= k; a++) {
          for (let b = 0; b <= batch - k; b++) sum += (positives[k] * right[a] * wrong[b] * 2 * a) / (a + b + k);
        }
      }
      return sum;
    },
    auc: (auc, share, batch) => auc * (1 - share ** batch - (1 - share) ** batch),
    whole: (recall, accused, share) => (recall ? (2 * share * recall) / (share * recall + (1 - share) * accused + share) : 0),
  };
  const part = (key, name) => ({ key, name, min: 0, max: 1, step: 0.01, shown: (now) => now[key].toFixed(2) });

  kitLive.add("batch", {
    title: "Averaged over batches",
    ask: "Make the detector perfect. Which batch size still prints less than 1, and why?",
    axes: [[1, LONGEST], [0, 1]],
    names: ["pictures a batch", "mean over batches"],
    compute,
    start: () => ({ recall: 0.95, accused: 0.05, auc: 0.98, share: 0.47, batch: 4 }),
    sliders: [
      part("recall", "positives found"), part("accused", "negatives accused"), part("auc", "true AUC"), part("share", "share of positives"),
      { key: "batch", name: "pictures a batch", min: 1, max: LONGEST, step: 1 },
    ],
    handles: [
      { name: "Pictures a batch", at: (now) => [now.batch, 0.5],
        move: (now, x) => (now.batch = x > now.batch ? Math.ceil(x - 0.499) : Math.floor(x + 0.499)) },
    ],
    draw(pen, { recall, accused, auc, share, batch }) {
      const sizes = Array.from({ length: LONGEST }, (_, k) => k + 1);
      pen.line([[batch, 0], [batch, 1]], "quiet", { width: 1 });
      for (const [name, whole, of, at, x] of [
        ["blue", compute.whole(recall, accused, share), (n) => compute.f1(recall, accused, share, n), "F1", 20],
        ["orange", auc, (n) => compute.auc(auc, share, n), "AUC", LONGEST - 0.5],
      ]) {
        pen.line([[1, whole], [LONGEST, whole]], name, { dash: [6, 5], width: 1.5 });
        pen.line(sizes.map((n) => [n, of(n)]), name, { width: 2.5 });
        pen.dot(batch, of(batch), name, 6);
        pen.words(at, x, of(LONGEST) - 0.08, name, "right");
      }
    },
    say({ recall, accused, auc, share, batch }) {
      const three = (value) => value.toFixed(3);
      return `Averaged over batches of ${batch}: F1 ${three(compute.f1(recall, accused, share, batch))}, over the whole set ` +
        `${three(compute.whole(recall, accused, share))} (dashed); AUC ${three(compute.auc(auc, share, batch))} for a true ${three(auc)}.`;
    },
  });
})();
