// A chapter's page: all code at once, cells that stay as the reader left them, marks that close again.
(() => {
  "use strict";

  const FOLDS = "div.cell:not(.tag_solution) details.hide";
  const memory = {
    get(key) {
      try { return localStorage.getItem(key); } catch { return null; } // a page from the disk may have none
    },
    set(key, value) {
      try { localStorage.setItem(key, value); } catch { /* forgotten when the page closes */ }
    },
  };

  // One button for the page, remembered for all pages; a cell's own state is remembered for its page.
  function code() {
    const folds = Array.from(document.querySelectorAll(FOLDS));
    const button = document.getElementById("kit-code");
    const here = "kit-code:" + location.pathname.split("/").pop();
    const all = memory.get("kit-code") === "all";
    const own = new Set((memory.get(here) || "").split(",").filter(Boolean).map(Number));
    folds.forEach((fold, place) => (fold.open = all || own.has(place)));
    folds.forEach((fold, place) => {
      fold.querySelector("summary").addEventListener("click", () => {
        if (fold.open) own.delete(place); // it closes after this
        else own.add(place);
        memory.set(here, Array.from(own).join(","));
      });
    });
    if (!button || !folds.length) return;
    const say = (shown) => {
      button.setAttribute("aria-pressed", String(shown));
      button.textContent = shown ? "Hide all code" : "Show all code";
    };
    button.hidden = false;
    say(all);
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      folds.forEach((fold) => (fold.open = shown));
      own.clear();
      memory.set(here, "");
      memory.set("kit-code", shown ? "all" : "");
      say(shown);
    });
  }

  // A mark opens by focus alone, also without this script. Here: it closes on a second click and on Escape.
  function marks() {
    document.querySelectorAll(".kit-mark > button").forEach((button) => {
      const mark = button.parentElement;
      let was = false;
      button.addEventListener("pointerdown", () => (was = mark.matches(":focus-within, .open")));
      button.addEventListener("click", (event) => {
        const close = event.detail ? was : mark.classList.contains("open"); // by Enter it has the focus already
        mark.classList.toggle("open", !close);
        if (close) button.blur();
        else button.focus(); // Safari gives a button that is clicked no focus
      });
      mark.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        mark.classList.remove("open");
        button.blur();
      });
    });
    document.addEventListener("pointerdown", (event) => {
      document.querySelectorAll(".kit-mark.open").forEach((mark) => {
        if (!mark.contains(event.target)) mark.classList.remove("open");
      });
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    code();
    marks();
  });
})();
