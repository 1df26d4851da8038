// Chapter 11: a game of two rows whose entries can be dragged; each detector is a line over the forger's mixed strategy.
(() => {
  "use strict";

  // The rows' player pays A. Simplex: maximise the sum of p subject to p B <= 1, B being A lifted above zero; Bland's rule.
  function minimax(A) {
    const m = A.length, n = A[0].length, lift = 1 - Math.min(...A.flat());
    const rows = A[0].map((_, j) => [...A.map((row) => row[j] + lift), ...A[0].map((_, k) => +(k === j)), 1]);
    const goal = Array.from({ length: m + n + 1 }, (_, k) => (k < m ? -1 : 0));
    const base = rows.map((_, j) => m + j);
    for (;;) {
      const enter = goal.findIndex((cost, k) => k < m + n && cost < -1e-11);
      if (enter < 0) break;
      let leave = -1, least = Infinity;
      rows.forEach((row, i) => {
        const ratio = row[enter] > 1e-11 ? row[m + n] / row[enter] : Infinity;
        if (ratio < least - 1e-12 || (ratio < least + 1e-12 && leave >= 0 && base[i] < base[leave])) [leave, least] = [i, ratio];
      });
      const by = rows[leave][enter];
      rows[leave] = rows[leave].map((value) => value / by);
      for (const row of [...rows, goal]) {
        const times = row[enter];
        if (row !== rows[leave] && times) rows[leave].forEach((value, k) => (row[k] -= times * value));
      }
      base[leave] = enter;
    }
    const total = goal[m + n], x = Array(m).fill(0);
    base.forEach((k, i) => k < m && (x[k] = Math.max(0, rows[i][m + n] / total)));
    return { value: 1 / total - lift, x, y: goal.slice(m, m + n).map((price) => Math.max(0, price / total)) };
  }

  const WHO = ["neither", "the forger", "the detector", "both"];
  const NAMES = [["blue", "traces"], ["green", "content"], ["orange", "traces, trained on platforms"], ["quiet", "a guess"]];
  const allowed = (who) => ({ rows: who % 2 ? [0, 1] : [0], columns: who > 1 ? [0, 1, 2, 3] : [0, 1, 3] });

  // The game in which only `who` may answer: value, and both strategies over all rows and columns.
  function solve(A, who) {
    const { rows, columns } = allowed(who), { value, x, y } = minimax(rows.map((i) => columns.map((j) => A[i][j])));
    const whole = (part, at, size) => Array.from({ length: size }, (_, k) => (at.includes(k) ? part[at.indexOf(k)] : 0));
    return { value, x: whole(x, rows, 2), y: whole(y, columns, 4) };
  }
  const matrix = ({ entries }) => entries.map((row) => [...row, 0.5]);
  const fresh = () => ({ entries: [[0.97, 0.62, 0.78], [0.52, 0.62, 0.88]], share: 0.5, who: 3 });
  const lot = ({ who, share }) => (who % 2 ? share : 0);
  const post = (now, share) => Object.assign(now, { share, who: now.who | 1 }); // who posts has answered
  const paid = (A, share, j) => (1 - share) * A[0][j] + share * A[1][j];

  kitLive.add("mixed", {
    title: "A game of two rows",
    ask: "Each line is a detector; its ends are its AUC on fakes as made and on fakes that were posted. Choose what share the forger posts. " +
      "Where is the best detector against him worst? Drag the ends, and change who may answer.",
    axes: [[0, 1], [0.4, 1]],
    names: ["share of fakes that the forger posts", "AUC"],
    compute: { minimax, solve },
    start: fresh,
    sliders: [
      { key: "who", name: "who may answer", min: 0, max: 3, step: 1, shown: (now) => WHO[now.who] },
      { key: "share", name: "share posted", min: 0, max: 1, step: 0.01, get: lot, set: post, shown: (now) => `${Math.round(100 * lot(now))}%` },
    ],
    handles: [
      { name: "The share that is posted", at: (now) => [lot(now), 0.43], move: post },
      ...NAMES.slice(0, 3).flatMap(([, name], j) => ["as made", "posted"].map((row, i) => ({
        name: `AUC of ${name} on fakes ${row}`, at: (now) => [i, now.entries[i][j]], move: (now, x, y) => (now.entries[i][j] = y),
      }))),
    ],
    buttons: [
      { name: "The forger's minimax strategy", press: (now) => (now.share = solve(matrix(now), now.who).x[1]) },
      { name: "Again", press: (now) => Object.assign(now, fresh()) },
    ],
    draw(pen, now) {
      const A = matrix(now), { columns } = allowed(now.who), { value, x, y } = solve(A, now.who), share = lot(now);
      const places = [...Array.from({ length: 101 }, (_, k) => k / 100), x[1]].sort((a, b) => a - b);
      const best = (at) => Math.max(...columns.map((j) => paid(A, at, j)));
      pen.line(places.map((at) => [at, best(at)]), "text", { width: 7, alpha: 0.3 });
      NAMES.forEach(([colour, name], j) => {
        const may = columns.includes(j);
        pen.line([[0, A[0][j]], [1, A[1][j]]], colour, may ? { width: 2.5 } : { width: 1.5, dash: [2, 5] });
        if (j < 3) pen.words(name + (may ? "" : ": not yet"), 0.3, 0.965 - 0.04 * j, colour);
      });
      pen.words("a guess", 0.97, 0.506, "quiet", "right");
      pen.line(A.map((row, i) => [i, row.reduce((sum, entry, j) => sum + y[j] * entry, 0)]), "text", { width: 1.5, dash: [7, 5] });
      pen.line([[share, 0.4], [share, best(share)]], "quiet", { width: 1.5 });
      pen.dot(share, best(share), "text", 6);
      pen.dot(x[1], value, "text", 9, true);
    },
    say(now) {
      const A = matrix(now), { columns } = allowed(now.who), { value, x, y } = solve(A, now.who), two = (at) => at.toFixed(2);
      const share = lot(now), best = Math.max(...columns.map((j) => paid(A, share, j)));
      const lots = NAMES.map(([, name], j) => [name, Math.round(100 * y[j])]).filter(([, part]) => part).map(([name, part]) => `${name} ${part}%`);
      return `If ${Math.round(100 * share)}% are posted, the best detector against that has AUC ${two(best)}; the value of the game (ring) is ${two(value)}, ` +
        `at ${Math.round(100 * x[1])}%. The detector's mixed strategy (dashed): ${lots.join(", ")}. Value if neither may answer ${two(solve(A, 0).value)}, ` +
        `if only the forger may ${two(solve(A, 1).value)}, only the detector ${two(solve(A, 2).value)}, both ${two(solve(A, 3).value)}.`;
    },
  });
})();
