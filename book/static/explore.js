// Explorables that compute: loaded on the pages that hold the figure they stand beside, from the book's own folder.
(() => {
  "use strict";

  const BESIDE = {
    "fig-01-one-d": "duel",
    "fig-02-paths": "dice",
    "exp-03-guidance": "guide",
    "exp-04-surfaces": "price",
    "exp-05-steal": "deposit",
    "tab-06-faults-by-defence": "rules",
    "exp-07-margin": "centre",
    "tab-08-chance": "gap",
    "fig-09-tables": "batch",
    "check-10-linear-optimum": "cube",
    "tab-11-answers": "mixed",
    "fig-12-alarms": "alarm",
  };
  const folder = new URL("live/", document.currentScript.src);

  function script(name) {
    return new Promise((done, failed) => {
      const tag = Object.assign(document.createElement("script"), { src: new URL(name + ".js", folder).href });
      tag.onload = done;
      tag.onerror = failed;
      document.head.append(tag);
    });
  }

  // A network waits for a click.
  function offer(box) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Load the network" });
    const row = Object.assign(document.createElement("div"), { className: "kit-buttons" });
    const said = Object.assign(document.createElement("p"), { className: "kit-told" });
    said.setAttribute("role", "status");
    row.append(button);
    box.querySelector(".kit-elsewhere").replaceWith(row, said);
    button.addEventListener("click", async () => {
      if (button.getAttribute("aria-disabled") === "true") return;
      button.setAttribute("aria-disabled", "true");
      try {
        if (!window.kitNets) await script("nets");
        await window.kitNets.open(box, row, said);
      } catch (error) {
        said.textContent = (error.message || "A part is missing.") + " Press the button to try again.";
        button.removeAttribute("aria-disabled");
      }
    });
  }

  document.addEventListener("DOMContentLoaded", async () => {
    document.querySelectorAll(".kit-net[data-nets]").forEach(offer);
    for (const [anchor, name] of Object.entries(BESIDE)) {
      const figure = document.getElementById(anchor);
      if (!figure) continue;
      if (!window.kitLive) await script("frame");
      await script(name);
      window.kitLive.show(name, figure.closest(".cell, p") || figure, script);
    }
  });
})();
