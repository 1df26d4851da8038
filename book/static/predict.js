// A question before a figure: the written choices, or a number to guess, become a form that answers. Without it: text and a fold.
(() => {
  "use strict";

  function form(box, place) {
    const fold = box.querySelector("details");
    const choices = box.querySelector(":scope > ol");
    const question = box.querySelector(":scope > p");
    const replies = fold ? Array.from(fold.querySelectorAll(":scope > ol > li")) : [];
    if (!choices || !question || choices.children.length !== replies.length) return;
    const set = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.append(...question.childNodes);
    const said = document.createElement("div");
    said.className = "kit-reply";
    said.setAttribute("role", "status");
    const rows = Array.from(choices.children, (choice, at) => {
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "kit-predict-" + place });
      const label = document.createElement("label");
      const words = document.createElement("span");
      words.append(...(choice.querySelector(":scope > p") || choice).childNodes);
      label.append(input, words);
      input.addEventListener("change", () => {
        said.dataset.verdict = /^\s*Right\./.test(replies[at].textContent) ? "right" : "wrong";
        said.replaceChildren(...(replies[at].querySelector(":scope > p") || replies[at]).cloneNode(true).childNodes);
      });
      return label;
    });
    set.append(legend, ...rows, said);
    box.replaceChildren(set, fold);
    fold.hidden = true; // it keeps the replies
  }

  const make = (tag, about, ...inside) => {
    const node = Object.assign(document.createElement(tag), about);
    node.append(...inside);
    return node;
  };
  const three = (value) => String(+value.toPrecision(3));

  // The reader types a number or moves the slider; the answer says how far off it is. The true one is the run's.
  function number(box, place) {
    const told = box.querySelector(".kit-number"), fold = box.querySelector("details"), [question, bounds] = box.querySelectorAll(":scope > p");
    if (!fold || !bounds) return;
    const { unit } = told.dataset, [truth, low, high, near] = ["true", "low", "high", "near"].map((name) => +told.dataset[name]);
    const replies = Object.fromEntries(Array.from(fold.querySelectorAll("li"), (item) => {
      const text = item.querySelector(":scope > p") || item;
      return [text.querySelector("strong").textContent, text];
    }));
    const spoken = (value) => three(value) + (unit && (unit === "%" ? "%" : `\u00a0${unit}`)), id = `kit-number-${place}`;
    const field = make("input", { type: "text", inputMode: "decimal", id, autocomplete: "off" });
    const slider = make("input", { type: "range", min: low, max: high, step: (high - low) / 200, value: (low + high) / 2 });
    slider.setAttribute("aria-label", "The same with a slider" + (unit && `, in ${unit}`));
    const said = make("div", { className: "kit-reply" });
    said.setAttribute("role", "status");
    slider.addEventListener("input", () => {
      field.value = three(+slider.value);
      slider.setAttribute("aria-valuetext", spoken(+slider.value));
    });
    field.addEventListener("input", () => (slider.value = field.value.replace(",", ".")));
    function compare() {
      const text = field.value.trim().replace(",", ".").replace(/\s*%$/, ""), value = text === "" ? NaN : +text;
      const valid = value >= low && value <= high;
      field.setAttribute("aria-invalid", !valid);
      if (!valid) {
        said.dataset.verdict = "wrong";
        said.textContent = `Type a number from ${low} to ${high}.`;
        return;
      }
      const off = value - truth, close = Math.abs(off) <= near, kind = close ? "Close." : off < 0 ? "Too low." : "Too high.";
      const gap = three(Math.abs(off)) + (unit === "%" ? " points" : unit && ` ${unit}`);
      said.dataset.verdict = close ? "right" : "wrong";
      const reply = replies[kind].cloneNode(true);
      reply.querySelector("strong").after(` You said ${spoken(value)}, this run has ${spoken(truth)}: ` +
        (off ? `${gap} too ${off < 0 ? "low" : "high"}.` : "the very number."));
      said.replaceChildren(...reply.childNodes);
    }
    const form = make("form", { noValidate: true },
      make("fieldset", {}, make("legend", {}, ...question.childNodes), make("p", { className: "kit-bounds" }, ...bounds.childNodes),
        make("div", { className: "kit-row" }, make("label", { htmlFor: id }, "Your number" + (unit && `, in ${unit}`)), field, slider,
          make("button", { type: "submit" }, "Compare")), said));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      compare();
    });
    box.replaceChildren(form, fold);
    fold.hidden = true;
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".kit-predict").forEach((box, place) => (box.querySelector(".kit-number") ? number : form)(box, place));
  });
})();
