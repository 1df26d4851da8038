// An exercise's cell becomes an editor that answers: Python in a worker, loaded from the book's own folder on a click.
(() => {
  "use strict";

  const LIMIT = 10000; // milliseconds for one check
  const memory = {
    get(key) {
      try { return localStorage.getItem(key); } catch { return null; } // a page from the disk may have none
    },
    set(key, value) {
      try {
        if (value === null) localStorage.removeItem(key);
        else localStorage.setItem(key, value);
      } catch { /* forgotten when the page closes */ }
    },
  };

  const desks = {}; // one for the page

  function check(folder, number, code, say) {
    desks[folder] = desks[folder] || window.kitDesk(folder, { name: "Python", weight: 12, again: "The next check starts it anew." });
    const late = "Stopped after 10 seconds. Is there a loop that never ends? The next check starts Python anew.";
    return desks[folder]({ number, code }, LIMIT, late, say);
  }

  function make(tag, about, ...inside) {
    const node = Object.assign(document.createElement(tag), about);
    node.append(...inside);
    return node;
  }

  // Enter keeps the indentation and deepens it after a colon. Tab stays what it is everywhere: the way out.
  function indent(area) {
    const before = area.value.slice(0, area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const deep = line.match(/^ */)[0] + (/:\s*$/.test(line) ? "    " : "");
    area.setRangeText("\n" + deep, area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input"));
  }

  function shorten(area) {
    const at = area.selectionStart;
    const line = area.value.slice(area.value.lastIndexOf("\n", at - 1) + 1, at);
    if (at !== area.selectionEnd || !line || line.trim() || line.length % 4) return false;
    area.setRangeText("", at - 4, at, "end");
    area.dispatchEvent(new Event("input"));
    return true;
  }

  // A telephone has no such keys.
  const KEYS = window.matchMedia("(hover: none)").matches ? "" : "Ctrl+Enter checks. ";

  function open(box) {
    const number = box.dataset.exercise;
    const cell = box.closest(".cell").previousElementSibling;
    const shown = cell && cell.querySelector("pre");
    if (!shown) return;
    const stub = shown.textContent.replace(/\s+$/, "");
    const key = "kit-exercise:" + number;
    const name = "kit-exercise-" + number.replace(".", "-");
    const area = make("textarea", { id: name, value: memory.get(key) || stub, spellcheck: false, autocapitalize: "off" });
    area.setAttribute("autocorrect", "off");
    area.setAttribute("wrap", "off");
    area.setAttribute("aria-describedby", name + "-keys");
    const fit = () => (area.rows = Math.max(4, area.value.split("\n").length + 1));
    const run = make("button", { type: "button", className: "kit-check", textContent: "Check" });
    const reset = make("button", { type: "button", textContent: "Reset" });
    const said = make("pre", { className: "kit-said" });
    const answer = make("div", {}, said);
    answer.setAttribute("role", "status");
    said.tabIndex = -1;
    const say = (text, verdict = "") => {
      said.textContent = text;
      said.dataset.verdict = verdict;
    };
    const go = async () => {
      if (run.getAttribute("aria-disabled") === "true") return;
      run.setAttribute("aria-disabled", "true");
      say("Checking…");
      try {
        const found = await check(new URL(box.dataset.python, location.href).href, number, area.value, say);
        say(found.said, found.verdict);
      } catch (error) {
        say(error.message, "wrong");
      }
      run.removeAttribute("aria-disabled");
    };
    area.addEventListener("input", () => {
      memory.set(key, area.value === stub ? null : area.value);
      fit();
    });
    area.addEventListener("keydown", (event) => {
      const plain = !event.altKey && !event.isComposing;
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) go();
      else if (event.key === "Enter" && plain) indent(area);
      else if (!(event.key === "Backspace" && plain && shorten(area))) return;
      event.preventDefault();
    });
    run.addEventListener("click", go);
    reset.addEventListener("click", () => {
      area.value = stub;
      area.dispatchEvent(new Event("input"));
      say("");
      area.focus();
    });
    fit();
    const hint = box.querySelector(".kit-hint");
    const fold = box.closest(".cell").nextElementSibling;
    const solution = fold && fold.querySelector("details.hide");
    const row = make("div", { className: "kit-buttons" }, run, reset);
    for (const [word, details] of [["Hint", hint], ["Solution", solution]]) {
      if (!details) continue;
      const button = make("button", { type: "button", textContent: word });
      const tell = () => button.setAttribute("aria-expanded", String(details.open));
      button.addEventListener("click", () => {
        details.open = !details.open;
        tell(); // at once: the toggle is told later
      });
      details.addEventListener("toggle", tell);
      tell();
      row.append(button);
    }
    box.querySelector(".kit-elsewhere").remove();
    box.prepend(
      make("label", { htmlFor: name, className: "led-said", textContent: "Your answer to exercise " + number }),
      area,
      make("p", { id: name + "-keys", className: "kit-keys", textContent: KEYS + "Your text stays in this browser." }),
      row,
      answer,
    );
    box.classList.add("kit-open");
    cell.hidden = true;
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".kit-exercise[data-python]").forEach(open);
  });
})();
