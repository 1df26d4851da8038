// The book's networks in the page, loaded on a click: garments drawn, a picture marked, a picture judged. Whatever the
// reader opens stays in the browser.
(() => {
  "use strict";

  const LATE = 120000; // milliseconds for one pass, on a slow phone too
  const LARGEST = 50e6; // pixels of a picture

  function make(tag, about, ...inside) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(about)) {
      if (key in node) node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...inside);
    return node;
  }

  const button = (text, press) => {
    const node = make("button", { type: "button", textContent: text });
    node.addEventListener("click", press);
    return node;
  };

  // -- pictures ---------------------------------------------------------------------------------------------------

  // A file's pixels as the browser shows them, upright, on white: { width, height, data }, four bytes a pixel.
  async function pixels(file) {
    const name = file.name || "The picture";
    let picture;
    try {
      picture = await createImageBitmap(file);
    } catch {
      throw new Error(`${name} is not a picture that this browser can read. Choose a JPEG, PNG or WebP file.`);
    }
    const { width, height } = picture;
    if (width * height > LARGEST) throw new Error(`${name} has ${width} × ${height} pixels; at most 50 million are read here.`);
    const brush = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, width, height);
    brush.drawImage(picture, 0, 0);
    return brush.getImageData(0, 0, width, height);
  }

  const lanczos = (x) => {
    const wave = (z) => (z ? Math.sin(Math.PI * z) / (Math.PI * z) : 1);
    return Math.abs(x) < 3 ? wave(x) * wave(x / 3) : 0;
  };
  const cubic = (x) => {
    x = Math.abs(x);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  };

  // For each of `size` new pixels the first old one that it takes, and the weights, in units of 2^-22 as Pillow has them.
  function taps(length, from, side, size) {
    const scale = side / size, stretch = Math.max(1, scale), [filter, reach] = side > size ? [lanczos, 3] : [cubic, 2];
    return Array.from({ length: size }, (_, k) => {
      const centre = from + (k + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - reach * stretch + 0.5));
      const last = Math.min(length, Math.trunc(centre + reach * stretch + 0.5));
      const weights = Array.from({ length: last - first }, (_, j) => filter((j + first - centre + 0.5) / stretch));
      const sum = weights.reduce((a, b) => a + b, 0);
      return [first, weights.map((one) => Math.trunc((one / sum) * 2 ** 22 + (one < 0 ? -0.5 : 0.5)))];
    });
  }

  // The middle square of a picture, scaled as the kit does it (Pillow: Lanczos down, bicubic up): bytes [3, size, size].
  function square({ width, height, data }, size) {
    const side = Math.min(width, height), left = (width - side) >> 1, top = (height - side) >> 1;
    const out = new Uint8ClampedArray(3 * size * size), cut = (sum) => Math.max(0, Math.min(255, Math.floor(sum / 2 ** 22)));
    const whole = width === size && height === size;
    const one = (length, from) => (whole ? Array.from({ length: size }, (_, k) => [k, [2 ** 22]]) : taps(length, from, side, size));
    const columns = one(width, left), rows = one(height, top);
    const begin = rows[0][0], tall = rows[size - 1][0] + rows[size - 1][1].length - begin;
    for (let channel = 0; channel < 3; channel++) {
      const narrow = new Uint8Array(tall * size);
      for (let y = 0; y < tall; y++)
        columns.forEach(([first, weights], x) => {
          let sum = 2 ** 21, at = 4 * ((y + begin) * width + first) + channel;
          for (const weight of weights) (sum += weight * data[at]), (at += 4);
          narrow[y * size + x] = cut(sum);
        });
      rows.forEach(([first, weights], y) => {
        for (let x = 0; x < size; x++) {
          let sum = 2 ** 21;
          weights.forEach((weight, k) => (sum += weight * narrow[(first - begin + k) * size + x]));
          out[channel * size * size + y * size + x] = cut(sum);
        }
      });
    }
    return out;
  }

  const unit = (bytes) => Float32Array.from(bytes, (value) => value / 255);

  // A canvas of bytes [3, size, size], shown `across` pixels wide.
  function drawn(canvas, bytes, size) {
    canvas.width = canvas.height = size;
    const shown = new ImageData(size, size), area = size * size;
    for (let k = 0; k < area; k++) shown.data.set([bytes[k], bytes[area + k], bytes[2 * area + k], 255], 4 * k);
    canvas.getContext("2d").putImageData(shown, 0, 0);
    return canvas;
  }

  const fromText = (text) => new Blob([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))]);

  const framed = (canvas, caption) => make("figure", {}, canvas, make("figcaption", {}, caption));

  // Asks for a picture: a field for a file, a button for one of the book's own, and the card takes what is dropped on it.
  function chooser(card, name, own, open) {
    const file = make("input", { type: "file", accept: "image/*", id: `kit-net-${name}-file` });
    file.addEventListener("change", () => file.files[0] && open(file.files[0]));
    card.addEventListener("dragover", (event) => event.preventDefault());
    card.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
    });
    return make("div", { className: "kit-buttons" },
      make("label", { htmlFor: file.id }, "Your picture, or drop it here ", file), button("A drawn portrait", () => open(own())));
  }

  // One thing at a time: while it runs, further presses do nothing. What goes wrong is said.
  function alone(say) {
    let busy = false;
    return async (work) => {
      if (busy) return;
      busy = true;
      try {
        await work();
      } catch (error) {
        say(error.message);
      }
      busy = false;
    };
  }

  // -- garments ---------------------------------------------------------------------------------------------------

  const MANY = 4, SIDE = 28;

  // Standard normal numbers that a whole number fixes (mulberry32, Box and Muller).
  function noise(seed, count) {
    const random = () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let z = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
      return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
    };
    return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
  }

  const times = (passes, total) => Array.from({ length: passes }, (_, k) => Math.round(total - (k * total) / passes) - 1);

  // A stride of DDIM from the share `bar` to the share `next`, the estimate cut to [-1, 1]: the new picture, the estimate.
  function ddim(x, guess, bar, next) {
    const clean = x.map((value, k) => Math.max(-1, Math.min(1, (value - Math.sqrt(1 - bar) * guess[k]) / Math.sqrt(bar))));
    const at = x.map((value, k) => {
      const left = (value - Math.sqrt(bar) * clean[k]) / Math.sqrt(1 - bar);
      return Math.sqrt(next) * clean[k] + Math.sqrt(1 - next) * left;
    });
    return [at, clean];
  }

  function garments({ bars }, run, say) {
    const shape = [MANY, 1, SIDE, SIDE];
    const canvas = make("canvas", { role: "img", width: MANY * (SIDE + 2), height: 2 * (SIDE + 2), className: "kit-net-sheet" });
    const passes = make("select", { id: "kit-net-passes" }, ...[5, 10, 20, 50].map((n) => new Option(n, n, n === 20, n === 20)));
    const bar = make("progress", { max: 1, value: 0, "aria-label": "passes done" });
    const now = { seed: 1 };
    const state = { now, step, fresh };

    function show(told) {
      const brush = canvas.getContext("2d"), seen = brush.createImageData(canvas.width, canvas.height);
      [now.x, now.clean].forEach((images, row) => {
        for (let k = 0; k < MANY * SIDE * SIDE; k++) {
          const place = k % (SIDE * SIDE), column = Math.floor(k / (SIDE * SIDE));
          const x = column * (SIDE + 2) + 1 + (place % SIDE), y = row * (SIDE + 2) + 1 + Math.floor(place / SIDE);
          const grey = 127.5 * (1 + Math.max(-1, Math.min(1, images[k])));
          seen.data.set([grey, grey, grey, 255], 4 * (y * canvas.width + x));
        }
      });
      brush.putImageData(seen, 0, 0);
      bar.value = now.at / now.times.length;
      canvas.setAttribute("aria-label", "Four pictures, above as they are and below the clean pictures that the network expects. " + told);
    }

    function fresh() {
      Object.assign(now, { x: noise(now.seed, MANY * SIDE * SIDE), at: 0, times: times(+passes.value, bars.length) });
      now.clean = new Float32Array(now.x.length);
      const told = `Noise number ${now.seed}. No pass yet.`;
      show(told);
      say(told);
    }

    const ready = () => {
      if (now.at === now.times.length || now.times.length !== +passes.value) fresh();
    };

    async function step() {
      const t = now.times[now.at], next = now.times[now.at + 1];
      const { noise: guess } = await run("garments", { x: [now.x, shape], t: [new BigInt64Array(MANY).fill(BigInt(t)), [MANY]] });
      [now.x, now.clean] = ddim(now.x, guess, bars[t], next === undefined ? 1 : bars[next]);
      now.at++;
    }

    const told = () =>
      now.at < now.times.length
        ? `Pass ${now.at} of ${now.times.length}, step t = ${now.times[now.at]}: ${Math.round(100 * Math.sqrt(bars[now.times[now.at]]))}% of the amplitude is picture.`
        : `Finished after ${now.times.length} passes from noise number ${now.seed}.`;

    const once = alone(say);
    const draw = button("Draw", () => {
      if (now.running) return (now.running = false);
      return once(async () => {
        now.running = true;
        draw.textContent = "Stop";
        try {
          ready();
          say("Drawing…");
          while (now.running && now.at < now.times.length) {
            await step();
            show(told());
          }
          say(told());
        } finally {
          now.running = false;
          draw.textContent = "Draw";
        }
      });
    });
    const single = button("One pass", () =>
      once(async () => {
        ready();
        await step();
        show(told());
        say(told());
      }));
    const other = button("Other noise", () => once(async () => (now.seed++, fresh())));
    passes.addEventListener("change", () => ((now.running = false), once(async () => fresh())));
    return {
      state,
      start: fresh,
      parts: [
        framed(canvas, "Above: the pictures now. Below: the clean ones that the network expects."), bar,
        make("div", { className: "kit-buttons" }, make("label", { htmlFor: passes.id }, "Passes"), passes, draw, single, other),
      ],
    };
  }

  // -- a mark -----------------------------------------------------------------------------------------------------

  const bitsOf = (text) => Float32Array.from({ length: 32 }, (_, k) => (text.padEnd(4).charCodeAt(k >> 3) >> (7 - (k % 8))) & 1);
  const textOf = (bits) =>
    [0, 1, 2, 3].map((k) => {
      const code = bits.slice(8 * k, 8 * k + 8).reduce((sum, bit) => 2 * sum + bit, 0);
      return code > 32 && code < 127 ? String.fromCharCode(code) : "·";
    }).join("");

  // A picture of bytes [3, size, size] as a JPEG file.
  const jpeg = (bytes, size, quality) =>
    new Promise((done) => drawn(make("canvas", {}), bytes, size).toBlob(done, "image/jpeg", quality / 100));

  function mark({ side, threshold, least, rate, picture }, run, say, card) {
    const shape = [1, 3, side, side], once = alone(say), now = {};
    const views = ["the picture", "with the letters", "what was added, times 10"].map((caption) => {
      const canvas = make("canvas", { role: "img", "aria-label": caption, width: side, height: side });
      return [canvas, framed(canvas, caption)];
    });
    const letters = make("input", { id: "kit-net-letters", value: "Book", maxLength: 4, size: 6, spellcheck: false, autocomplete: "off" });
    const quality = make("input", { type: "range", id: "kit-net-quality", min: 10, max: 95, step: 5, value: 75 });
    const output = make("output", { htmlFor: quality.id }, "75");
    quality.addEventListener("input", () => (output.textContent = quality.value));
    const rows = make("tbody", {});
    const heads = ["Quality", "Bytes", "Bits right", "Letters read", "Bits right without the mark"];
    const table = make("table", { hidden: true }, make("caption", {}, "What was read, of 32 bits"),
      make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), rows);
    const keep = make("p", { hidden: true });

    function forget() {
      Object.assign(now, { marked: null });
      rows.replaceChildren();
      table.hidden = keep.hidden = true;
      for (const [canvas] of views.slice(1)) canvas.getContext("2d").clearRect(0, 0, side, side);
    }

    async function choose(file) {
      const opened = await pixels(file);
      forget();
      now.bytes = square(opened, side);
      drawn(views[0][0], now.bytes, side);
      say(`The middle square of ${file.name || "a drawn portrait"}, ${side} × ${side} pixels. It stays in this browser.`);
    }

    async function hide() {
      if (!/^[!-~]{1,4}$/.test(letters.value)) throw new Error("Letters to hide: one to four of the Latin letters, digits and signs of a keyboard.");
      forget();
      say("Hiding…");
      now.bits = bitsOf(letters.value);
      const { marked } = await run("mark-put", { images: [unit(now.bytes), shape], bits: [now.bits, [1, 32]] });
      now.marked = Uint8ClampedArray.from(marked, (value) => 255 * value);
      drawn(views[1][0], now.marked, side);
      drawn(views[2][0], Uint8ClampedArray.from(now.marked, (value, k) => 128 + 10 * (value - now.bytes[k])), side);
      const error = now.marked.reduce((sum, value, k) => sum + (value - now.bytes[k]) ** 2, 0) / now.marked.length;
      say(`“${letters.value}” is hidden. PSNR against the picture: ${(10 * Math.log10(255 ** 2 / error)).toFixed(1)} dB.`);
    }

    const scores = async (bytes) => (await run("mark-read", { images: [unit(bytes), shape] })).scores;
    const read = async (bytes) => Array.from(await scores(bytes), (score) => +(score > threshold));

    async function save() {
      if (!now.marked) await hide();
      say("Saving and reading…");
      const at = +quality.value, file = await jpeg(now.marked, side, at);
      const found = await read(square(await pixels(file), side));
      const without = await read(square(await pixels(await jpeg(now.bytes, side, at)), side));
      const right = (bits) => bits.filter((bit, k) => bit === now.bits[k]).length;
      const cells = [at, file.size, right(found), textOf(found), right(without)];
      rows.prepend(make("tr", {}, ...cells.map((cell) => make("td", {}, String(cell)))));
      table.hidden = keep.hidden = false;
      if (now.address) URL.revokeObjectURL(now.address);
      now.address = URL.createObjectURL(file);
      keep.replaceChildren(make("a", { href: now.address, download: "marked.jpg" }, "Keep this file"));
      const told = cells[2] >= least ? "found" : "not found";
      say(`Quality ${at}: ${cells[2]} of 32 bits are right, “${cells[3]}” is read. At ${least} or more a reader says that the mark is there: ` +
        `${told}. A number drawn at random comes so far by chance in at most ${rate * 1000} of 1,000 tries.`);
    }

    return {
      state: { now, choose, hide, save, scores },
      start: () => once(() => choose(fromText(picture))),
      parts: [
        make("div", { className: "kit-net-views" }, ...views.map(([, figure]) => figure)),
        chooser(card, "mark", () => fromText(picture), (file) => once(() => choose(file))),
        make("div", { className: "kit-buttons" },
          make("label", { htmlFor: letters.id }, "Letters to hide"), letters, button("Hide the letters", () => once(hide))),
        make("div", { className: "kit-live-rows" },
          make("label", { htmlFor: quality.id }, make("span", {}, "JPEG quality"), quality, output)),
        make("div", { className: "kit-buttons" }, button("Save as JPEG and read", () => once(save))),
        make("div", { className: "kit-net-table" }, table), keep,
      ],
    };
  }

  // -- a detector -------------------------------------------------------------------------------------------------

  function detector({ side, said, pictures }, run, say, card) {
    const once = alone(say), now = { drawn: 0 };
    const next = () => {
      const number = (now.drawn++ % pictures.length) + 1;
      return new File([fromText(pictures[number - 1])], `Drawn portrait ${number}`);
    };
    const canvas = make("canvas", { role: "img", "aria-label": "no picture yet", width: side, height: side });
    const quality = make("input", { type: "range", id: "kit-net-saved", min: 5, max: 95, step: 5, value: 30 });
    const output = make("output", { htmlFor: quality.id }, "30");
    quality.addEventListener("input", () => (output.textContent = quality.value));

    async function judge(file) {
      const opened = await pixels(file);
      say("Reading…");
      now.bytes = square(opened, side);
      now.name = file.name;
      now.least = Math.min(opened.width, opened.height);
      await tell(now.bytes, now.name);
    }

    async function again() {
      const name = `${now.name}, small and saved as JPEG ${quality.value}`;
      await tell(square(await pixels(await jpeg(now.bytes, side, +quality.value)), side), name);
    }

    async function tell(bytes, name) {
      drawn(canvas, bytes, side);
      const { odds, distance } = await run("detector", { images: [unit(bytes), [1, 3, side, side]] });
      Object.assign(now, { odds: odds[0], distance: distance[0] });
      const why = now.least < side ? `smaller than ${side} pixels`
        : distance[0] <= 1 ? "" : `unlike what it learned from, distance ${distance[0].toFixed(2)} of 1`;
      canvas.setAttribute("aria-label", `${name} as the detector sees it, ${side} by ${side} pixels`);
      say(why ? `${name}: cannot say (${why}).` : `${name}: probability of fake ${(1 / (1 + Math.exp(-odds[0]))).toFixed(3)}.`);
    }

    return {
      state: { now, judge },
      start: () => once(() => judge(next())),
      parts: [
        make("div", { className: "kit-net-views" }, framed(canvas, `what it sees: ${side} × ${side} pixels`)),
        chooser(card, "detector", next, (file) => once(() => judge(file))),
        make("div", { className: "kit-live-rows" },
          make("label", { htmlFor: quality.id }, make("span", {}, "JPEG quality"), quality, output)),
        make("div", { className: "kit-buttons" }, button("Save what it sees as JPEG, judge again", () => once(again))),
      ],
      after: [
        make("p", {}, said + " A low number does not say that a picture is genuine, and a high one accuses nobody."),
      ],
    };
  }

  const KINDS = { garments, mark, detector };
  const WEIGHT = { garments: 11, mark: 8, detector: 6 };

  // -- a box ------------------------------------------------------------------------------------------------------

  async function open(box, row, said) {
    const name = box.dataset.net;
    const say = (text) => (said.textContent = text);
    const desk = window.kitDesk(new URL(box.dataset.nets, location.href).href, {
      name: "the network",
      weight: WEIGHT[name],
      wanted: (part) => !part.includes(".onnx") || part.startsWith(name),
      again: "The next press starts it anew.",
    });
    const ask = (question) => desk(question, LATE, "Stopped after two minutes. The next press starts the network anew.", say);
    const facts = await ask({ facts: name });
    const card = KINDS[name](facts, (net, feeds) => ask({ net, feeds }), say, box);
    row.replaceWith(...card.parts);
    said.after(...(card.after || []));
    say("Ready.");
    box.kitNet = card.state;
    if (card.start) card.start();
    box.querySelector("select, input, button").focus();
  }

  window.kitNets = { open, square, pixels, ddim, noise, times };
})();
