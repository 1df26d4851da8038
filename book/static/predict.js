// A question before a figure: the written choices become a form that answers each of them. Without it: text and a fold.
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

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".kit-predict").forEach(form));
})();
