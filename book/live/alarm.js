// Chapter 12: how many bits must agree before a reader may speak, and how often a worn mark is still found then.
(() => {
  "use strict";

  const { binomial } = kitLive;

  const reached = (least, n, p) => binomial(n, p).slice(least).reduceRight((sum, chance) => sum + chance, 0);

  // Least number of agreements that at most this share of strangers reaches; n + 1 where even all of them are too few.
  function smallest(rate, n) {
    const row = binomial(n, 0.5);
    let least = n + 1, sum = 0;
    while (least > 0 && (sum += row[least - 1]) <= rate * (1 + 1e-9)) least--;
    return least;
  }

  function power(value) {
    if (value >= 0.01) return value.toFixed(2);
    const [times, down] = value.toExponential(0).split("e-");
    return `${times === "1" ? "" : times + " · "}10⁻${[...down].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`;
  }

  kitLive.add("alarm", {
    title: "A threshold for a mark",
    ask: "When may a reader speak? Bits wear off on the way. How worn may a mark be and still be found? Then look for a million numbers at once.",
    axes: [[0, 1], [0, 1]],
    names: ["share of bits that agree", "chance, the likeliest as 1"],
    compute: { smallest, reached },
    start: () => ({ bits: 32, rate: 1e-6, numbers: 1, right: 0.9 }),
    sliders: [
      { key: "right", name: "bits read rightly", min: 0.5, max: 1, step: 0.005, shown: (now) => `${(100 * now.right).toFixed(1)}%` },
      { key: "rate", name: "false alarms allowed", min: -9, max: -1, step: 0.5, get: (now) => Math.log10(now.rate),
        set: (now, value) => (now.rate = 10 ** value), shown: (now) => power(now.rate) },
      { key: "numbers", name: "numbers looked for", min: 0, max: 9, step: 1, get: (now) => Math.log10(now.numbers),
        set: (now, value) => (now.numbers = Math.round(10 ** value)), shown: (now) => now.numbers.toLocaleString("en") },
      { key: "bits", name: "bits of a number", min: 8, max: 96, step: 8 },
    ],
    handles: [
      { name: "Share of bits that are read rightly", at: (now) => [now.right, 0.5],
        move: (now, x) => (now.right = Math.min(1, Math.max(0.5, Math.round(200 * x) / 200))) },
    ],
    draw(pen, { bits, rate, numbers, right }) {
      const least = smallest(rate / numbers, bits);
      for (const [name, p] of [["blue", 0.5], ["orange", right]]) {
        const row = binomial(bits, p), top = Math.max(...row);
        row.forEach((chance, k) => pen.box((k - 0.45) / bits, 0, (k + 0.45) / bits, chance / top, name, 0.7));
      }
      if (least <= bits) pen.line([[(least - 0.5) / bits, 0], [(least - 0.5) / bits, 1]], "text", { width: 2, dash: [6, 4] });
      pen.words("no mark", 0.02, 0.93, "blue");
      pen.words("marked, worn", 0.02, 0.85, "orange");
      pen.words("dashed: threshold", 0.02, 0.77, "text");
    },
    say({ bits, rate, numbers, right }) {
      const least = smallest(rate / numbers, bits), many = numbers > 1 ? `${numbers.toLocaleString("en")} numbers at once` : "one number";
      const start = `For false alarms on ${power(rate)} of unmarked pictures, looking for ${many}, `;
      return least > bits
        ? start + `even ${bits} of ${bits} agreements come up too often by chance: such a reader may never speak.`
        : start + `${least} of ${bits} bits must agree. A mark whose bits are right in ${(100 * right).toFixed(1)}% is then found on ` +
          `${(100 * reached(least, bits, right)).toFixed(1)}% of the pictures.`;
    },
  });
})();
