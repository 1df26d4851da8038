// What explorables share: a card with sliders, a canvas with points to drag, a sentence that says what is seen.
(() => {
  "use strict";

  const known = {};
  const WIDTH = 560, HEIGHT = 380, LEFT = 62, RIGHT = 14, TOP = 14, BOTTOM = 48;

  function make(tag, about, ...inside) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(about)) {
      if (key in node) node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...inside);
    return node;
  }

  // Round numbers between two ends, at most seven: 1, 2 or 5 times a power of ten apart.
  function rounds(low, high) {
    const least = (high - low) / 6.01, ten = 10 ** Math.floor(Math.log10(least));
    const step = ten * [1, 2, 5, 10].find((one) => one * ten >= least);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return found;
  }

  // Everything is drawn in the units of the axes; colours are those of the page, by day and by night.
  function pen(canvas, axes) {
    const brush = canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const dark = document.documentElement.dataset.theme === "dark";
    const ink = {
      text: style.getPropertyValue("--pst-color-text-base").trim() || "#222",
      quiet: style.getPropertyValue("--pst-color-text-muted").trim() || "#555",
      blue: dark ? "86,180,233" : "0,114,178",
      orange: dark ? "240,160,60" : "190,80,0",
      green: dark ? "79,209,165" : "0,122,90",
    };
    const [[x0, x1], [y0, y1]] = axes;
    const X = (x) => LEFT + ((x - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
    const Y = (y) => HEIGHT - BOTTOM - ((y - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
    const colour = (name, alpha = 1) => (ink[name].includes(",") ? `rgba(${ink[name]},${alpha})` : ink[name]);
    const inside = (draw) => {
      brush.save();
      brush.beginPath();
      brush.rect(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
      brush.clip();
      draw();
      brush.restore();
    };
    return {
      X, Y,
      x: (at) => x0 + ((at - LEFT) / (WIDTH - LEFT - RIGHT)) * (x1 - x0),
      y: (at) => y0 + ((HEIGHT - BOTTOM - at) / (HEIGHT - TOP - BOTTOM)) * (y1 - y0),
      clear() {
        const sharp = Math.min(3, window.devicePixelRatio || 1);
        canvas.width = WIDTH * sharp;
        canvas.height = HEIGHT * sharp;
        brush.setTransform(sharp, 0, 0, sharp, 0, 0);
        brush.font = `${Math.round(Math.min(19, (12 * WIDTH) / (canvas.clientWidth || WIDTH)))}px sans-serif`;
      },
      line(points, name, { dash = [], width = 2, alpha = 1 } = {}) {
        inside(() => {
          brush.beginPath();
          points.forEach(([x, y], at) => (at ? brush.lineTo(X(x), Y(y)) : brush.moveTo(X(x), Y(y))));
          brush.setLineDash(dash);
          brush.lineWidth = width;
          brush.strokeStyle = colour(name, alpha);
          brush.stroke();
          brush.setLineDash([]);
        });
      },
      dot(x, y, name, size = 5, hollow = false) {
        brush.beginPath();
        brush.arc(X(x), Y(y), size, 0, 7);
        brush.lineWidth = 2;
        brush[hollow ? "strokeStyle" : "fillStyle"] = colour(name);
        if (hollow) brush.stroke();
        else brush.fill();
      },
      box(x, y, x2, y2, name, alpha) {
        const left = Math.round(X(Math.max(x0, x))), top = Math.round(Y(Math.min(y1, y2))); // far quicker than to clip
        brush.fillStyle = colour(name, alpha);
        brush.fillRect(left, top, Math.round(X(Math.min(x1, x2))) - left, Math.round(Y(Math.max(y0, y))) - top);
      },
      words(text, x, y, name = "text", align = "left") {
        brush.fillStyle = colour(name);
        brush.textAlign = align;
        brush.fillText(text, X(x), Y(y));
      },
      frame([nameX, nameY]) {
        brush.strokeStyle = colour("quiet");
        brush.lineWidth = 1;
        brush.strokeRect(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        brush.fillStyle = colour("text");
        const number = (value) => String(+value.toPrecision(6)).replace("-", "−");
        brush.textAlign = "right";
        for (const y of rounds(y0, y1)) brush.fillText(number(y), LEFT - 6, Y(y) + 4);
        brush.textAlign = "center";
        for (const x of rounds(x0, x1)) brush.fillText(number(x), X(x), HEIGHT - BOTTOM + 18);
        brush.fillText(nameX, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
        brush.save();
        brush.translate(14, (HEIGHT - BOTTOM + TOP) / 2);
        brush.rotate(-Math.PI / 2);
        brush.fillText(nameY, 0, 0);
        brush.restore();
      },
    };
  }

  function show(name, after, script) {
    const about = known[name];
    if (about.show) return about.show(after, { make, script }); // a card of its own kind
    const state = about.start();
    const canvas = make("canvas", { role: "img" });
    const stage = make("div", { className: "kit-stage" }, canvas);
    const said = make("p", { role: "status", className: "kit-told" });
    const outputs = {};
    let tool, waiting = false;
    const handles = about.handles.map((one) => {
      const knob = make("button", { type: "button", className: "kit-knob", "aria-label": one.name });
      const move = (x, y) => {
        const [[x0, x1], [y0, y1]] = about.axes;
        one.move(state, Math.min(x1, Math.max(x0, x)), Math.min(y1, Math.max(y0, y)));
        later();
      };
      knob.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (!way) return;
        event.preventDefault();
        const [[x0, x1], [y0, y1]] = about.axes, step = event.shiftKey ? 0.1 : 0.02, [x, y] = one.at(state);
        move(x + way[0] * step * (x1 - x0), y + way[1] * step * (y1 - y0));
      });
      knob.addEventListener("pointerdown", (event) => knob.setPointerCapture(event.pointerId));
      knob.addEventListener("pointermove", (event) => {
        if (!knob.hasPointerCapture(event.pointerId)) return;
        const box = canvas.getBoundingClientRect(), scale = WIDTH / box.width;
        move(tool.x((event.clientX - box.left) * scale), tool.y((event.clientY - box.top) * scale));
      });
      stage.append(knob);
      return { ...one, knob };
    });
    const rows = about.sliders.map((one) => {
      const id = `kit-live-${name}-${one.key}`;
      const input = make("input", { type: "range", id, min: one.min, max: one.max, step: one.step });
      outputs[one.key] = [input, make("output", { htmlFor: id }), one];
      input.addEventListener("input", () => {
        (one.set || ((now, value) => (now[one.key] = value)))(state, +input.value);
        later();
      });
      return make("label", { htmlFor: id }, make("span", {}, one.name), input, outputs[one.key][1]);
    });
    const buttons = (about.buttons || []).map((one) => {
      const button = make("button", { type: "button", textContent: one.name });
      button.addEventListener("click", () => {
        one.press(state);
        later();
      });
      return button;
    });

    let running = false, frames = 0;
    if (about.tick) {
      const button = make("button", { type: "button", textContent: "Run" });
      const frame = () => {
        if (!running) return;
        about.tick(state);
        draw();
        requestAnimationFrame(frame);
      };
      button.addEventListener("click", () => {
        running = !running;
        button.textContent = running ? "Stop" : "Run";
        said.setAttribute("aria-live", running ? "off" : "polite"); // no sixty sentences a second
        requestAnimationFrame(running ? frame : draw);
      });
      buttons.unshift(button);
    }

    function draw() {
      tool = pen(canvas, about.axes);
      tool.clear();
      about.draw(tool, state);
      tool.frame(about.names);
      for (const one of handles) {
        const [x, y] = one.at(state);
        one.knob.style.left = (100 * tool.X(x)) / WIDTH + "%";
        one.knob.style.top = (100 * tool.Y(y)) / HEIGHT + "%";
      }
      for (const [input, output, one] of Object.values(outputs)) {
        const value = one.get ? one.get(state) : state[one.key];
        input.value = value;
        output.textContent = one.shown ? one.shown(state) : String(value);
        input.setAttribute("aria-valuetext", output.textContent);
      }
      if (running && frames++ % 12) return;
      const text = about.say(state);
      if (said.textContent !== text) said.textContent = text;
      canvas.setAttribute("aria-label", about.title + ". " + text);
    }

    function later() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    }

    const card = make("section", { className: "kit-live", id: "live-" + name, "aria-label": about.title },
      make("p", { className: "kit-live-title" }, make("strong", {}, about.title + ". "), about.ask),
      stage, make("div", { className: "kit-live-rows" }, ...rows),
      ...(buttons.length ? [make("div", { className: "kit-buttons" }, ...buttons)] : []), said);
    after.after(card);
    new ResizeObserver(later).observe(canvas);
    new MutationObserver(later).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    card.kitDraw = draw;
    draw();
  }

  // Chances of 0..n successes out of n, each with the same chance.
  function binomial(n, p) {
    if (p === 0 || p === 1) return Array.from({ length: n + 1 }, (_, k) => +(k === (p ? n : 0)));
    let log = n * Math.log1p(-p);
    const row = [Math.exp(log)];
    for (let k = 1; k <= n; k++) {
      log += Math.log(((n - k + 1) / k) * (p / (1 - p)));
      row.push(Math.exp(log));
    }
    return row;
  }

  window.kitLive = { add: (name, about) => (known[name] = about), show, known, binomial, rounds };
})();
