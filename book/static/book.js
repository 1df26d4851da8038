// What the theme and the widgets leave undone: names for sliders, maths in widgets, boxes that scroll by keyboard.
(() => {
  "use strict";

  // Excerpts under search results are fetched, which browsers refuse to pages opened from the disk.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  // The widgets manager speaks to MathJax 2; answer with MathJax 3.
  function bridgeMathJax() {
    const mathjax = window.MathJax;
    if (!mathjax || mathjax.Hub) return;
    mathjax.Hub = {
      Queue(task) {
        const node = task && task[2];
        if (node && mathjax.startup && mathjax.startup.promise) {
          mathjax.startup.promise = mathjax.startup.promise.then(() => mathjax.typesetPromise([node]));
        }
      },
    };
  }

  // A slider's handle has no name, and says "2.0" where the reader sees "cosine".
  function nameSlider(slider) {
    const box = slider.closest(".widget-slider, .jupyter-widget-slider, .widget-inline-hbox, .jupyter-widgets");
    const label = box && box.querySelector(".widget-label, .jupyter-widget-label");
    const readout = box && box.querySelector(".widget-readout, .jupyter-widget-readout");
    const name = (label && label.textContent.trim()) || "slider";
    slider.querySelectorAll("[role=slider]").forEach((handle) => {
      handle.setAttribute("aria-label", name);
      if (!readout) return;
      const say = () => {
        const text = readout.textContent.trim();
        if (text && handle.getAttribute("aria-valuetext") !== text) handle.setAttribute("aria-valuetext", text);
      };
      new MutationObserver(say).observe(readout, { childList: true, characterData: true, subtree: true });
      new MutationObserver(say).observe(handle, { attributes: true, attributeFilter: ["aria-valuetext"] });
      say();
    });
    if (readout && !readout.hasAttribute("aria-label")) {
      readout.setAttribute("aria-label", name + ", value");
      readout.setAttribute("role", "textbox");
    }
  }

  // What does not fit scrolls inside its own box; a keyboard reaches it.
  function reach(box) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    if (scrolls && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.dataset.kitReach = "";
    } else if (!scrolls && "kitReach" in box.dataset) {
      box.removeAttribute("tabindex");
      delete box.dataset.kitReach;
    }
  }

  // A formula in a sentence that is wider than its line goes on in the next one, after a relation or a sign; one that
  // has none scrolls.
  const ROWS = "mjx-math, mjx-mrow, mjx-texatom, mjx-mstyle";
  function fold(formula) {
    if (formula.scrollWidth <= formula.clientWidth + 1) return;
    const rows = [...formula.querySelectorAll(ROWS)].filter((row) => row.parentElement.closest("mjx-math *, mjx-container").matches(ROWS + ", mjx-container"));
    const places = rows.flatMap((row) => [...row.children]).filter((part) => {
      return part.matches("[space='3'], [space='4']") && part.previousElementSibling && part.previousElementSibling.matches("mjx-mo");
    });
    if (!places.length) return;
    formula.classList.add("kit-folds");
    rows.forEach((row) => row.classList.add("kit-terms"));
    places.forEach((part) => part.before(document.createElement("wbr")));
    unfold(formula);
  }

  // A formula of which a part is too wide for a line, also for a reader who enlarges the text, scrolls instead.
  function unfold(formula) {
    const edge = formula.parentElement.closest("p, li, dd, td, th, div, figcaption").getBoundingClientRect().right + 1;
    if ([...formula.querySelectorAll(".kit-terms > *")].every((part) => part.getBoundingClientRect().right <= edge)) return;
    formula.classList.remove("kit-folds");
  }

  // A displayed formula that is wider than its page goes on in the next line: where its author left a wide space, before
  // a relation or a sign outside of all brackets, and, where that is not enough, before one inside them.
  const CLOSES = { "29": "28", "5D": "5B", "7D": "7B", "27E9": "27E8" };
  const BARS = ["7C", "2016", "2225"];
  const OPENS = Object.values(CLOSES);

  // What a sign does to the brackets that are open: a bar closes the one that was opened last, or opens one.
  function bracket(mo, open) {
    const sign = mo.querySelector("[class*='mjx-c']");
    const code = sign && (/mjx-c([0-9A-F]+)/.exec(sign.getAttribute("class")) || [])[1];
    if (OPENS.includes(code) || (BARS.includes(code) && open[open.length - 1] !== code)) open.push(code);
    else if (BARS.includes(code)) open.pop();
    else if (open.includes(CLOSES[code])) open.length = open.lastIndexOf(CLOSES[code]);
  }

  function part(row, open, line) {
    row.classList.add("kit-run");
    for (const one of [...row.children]) {
      const relation = one.matches("mjx-mo[space='3'], mjx-mo[space='4']") && !one.querySelector(".mjx-c2223"); // | divides nothing
      const wide = one.matches("mjx-mstyle") && one.querySelector(":scope > mjx-mspace") && parseFloat(one.firstElementChild.style.width) >= 1;
      if (line.begun && (relation || wide)) {
        const place = document.createElement(wide ? "br" : "wbr");
        if (open.length) place.className = "kit-inside";
        one.before(place);
      }
      line.begun = line.begun || !one.matches("mjx-mtd");
      if (wide) one.classList.add("kit-gap");
      else if (one.matches("mjx-mo")) bracket(one, open);
      else if (one.matches("mjx-mrow, mjx-texatom, mjx-mstyle, mjx-mtd")) part(one, open, line);
      else if (one.matches("mjx-msub, mjx-msup, mjx-msubsup")) {
        const base = one.querySelector(":scope > mjx-mo, :scope > mjx-texatom:first-child > mjx-mo:only-child");
        if (base) bracket(base, open);
      }
    }
  }

  // The lines that its author made, each of them one row, or the only thing in a cell of a table of lines.
  function lines(node) {
    const [table, ...more] = [...node.children].filter((one) => !one.matches("mjx-tstrut, mjx-assistive-mml"));
    if (!table || more.length || !table.matches("mjx-mtable")) return [node];
    const rows = [...table.querySelectorAll("mjx-mtr")].filter((row) => row.parentElement.closest("mjx-mtable") === table);
    for (const one of [table, ...table.querySelectorAll(":scope > mjx-table, :scope > mjx-table > mjx-itable"), ...rows]) one.classList.add("kit-lines");
    return rows.flatMap((row) => {
      if (row.children.length > 1) return [row]; // cut in two where its lines are aligned
      row.firstElementChild.classList.add("kit-lines");
      return lines(row.firstElementChild);
    });
  }

  function foldShown(box) {
    const shown = box.querySelector("mjx-container > mjx-math");
    if (!shown || shown.parentElement.scrollWidth <= shown.parentElement.clientWidth + 1) return;
    box.classList.add("kit-parted");
    for (const line of lines(shown)) {
      part(line, [], { begun: false });
      line.classList.add("kit-line");
    }
    fit(box);
  }

  // Fold a formula as far as the width asks for, and not where even its parts are too wide: then it scrolls.
  function fit(box) {
    const shown = box.querySelector("mjx-container");
    for (const ways of [[], ["kit-folds"], ["kit-folds", "kit-far"], ["kit-folds", "kit-far", "kit-small"], []]) {
      box.classList.remove("kit-folds", "kit-far", "kit-small");
      box.classList.add(...ways);
      if (shown.scrollWidth <= shown.clientWidth + 1) break;
    }
  }

  // The theme itself sees to code cells and their outputs.
  const BOXES = ".kit-scroll, .pst-scrollable-table-container, div.math, span.math, mjx-container[display=true]";
  const WIDE = BOXES + ", figure a.image-reference, pre";

  // What goes on to the right fades there, until it is scrolled to its end.
  function more(box) {
    box.classList.toggle("kit-onward", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  }

  function mendWidgets(root) {
    root.querySelectorAll(".noUi-target, .ui-slider").forEach((slider) => {
      if (!("kitNamed" in slider.dataset) && slider.querySelector("[role=slider]")) {
        slider.dataset.kitNamed = "";
        nameSlider(slider);
      }
    });
    root.querySelectorAll(".widget-stack, .jupyter-widget-stack").forEach((stack) => stack.setAttribute("aria-live", "polite"));
  }

  function reachAll() {
    document.querySelectorAll("span.math:not(.kit-folds):not(:has(wbr))").forEach(fold);
    document.querySelectorAll("article div.math:not(.kit-parted)").forEach(foldShown);
    document.querySelectorAll(BOXES).forEach(reach);
    document.querySelectorAll(WIDE).forEach(more);
  }

  // The theme hides the page's contents beside a wide element, also on pages that have no contents, and fails there.
  function standIn() {
    if (document.querySelector("div.bd-sidebar-secondary")) return;
    const nothing = document.createElement("div");
    nothing.className = "bd-sidebar-secondary";
    nothing.hidden = true;
    nothing.style.setProperty("display", "none", "important");
    document.body.append(nothing);
  }

  // The theme marks the section that is read when its head passes the upper third of the screen; a jump passes none.
  function followPlace() {
    const places = [...document.querySelectorAll("#pst-page-toc-nav a[href^='#']")].flatMap((link) => {
      const part = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      return part ? [[link, part.querySelector(":is(h1, h2, h3, h4, h5, h6)") || part]] : [];
    });
    if (!places.length) return;
    const top = ([, head]) => head.getBoundingClientRect().top;
    function follow() {
      const marked = places.find(([link]) => link.classList.contains("active"));
      if (marked && top(marked) > 0 && top(marked) < innerHeight) return;
      const here = places.filter((place) => top(place) < innerHeight / 3).pop();
      for (const [link] of places) {
        link.classList.toggle("active", Boolean(here) && link === here[0]);
        link.toggleAttribute("aria-current", false);
      }
      document.querySelectorAll("#pst-page-toc-nav li").forEach((item) => item.classList.toggle("active", Boolean(here) && item.contains(here[0])));
      if (here) here[0].setAttribute("aria-current", "true");
    }
    let due = 0;
    window.addEventListener("scroll", () => {
      clearTimeout(due);
      due = setTimeout(follow, 150);
    }, { passive: true });
  }

  // Whoever follows a link to a mark wants to read it, and paper cannot be clicked.
  function openTarget() {
    const mark = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (mark && mark.matches("details")) mark.open = true;
  }
  window.addEventListener("hashchange", openTarget);
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details.kit-check, details.kit-section").forEach((mark) => (mark.open = true));
  });

  document.addEventListener("DOMContentLoaded", () => {
    bridgeMathJax();
    openTarget();
    standIn();
    followPlace();
    const article = document.querySelector("article, main") || document.body;
    let due = false;
    new MutationObserver(() => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        mendWidgets(article);
        reachAll();
      });
    }).observe(article, { childList: true, subtree: true });
    mendWidgets(article);
    reachAll();
    window.addEventListener("resize", reachAll);
    let before = "";
    new ResizeObserver(() => setTimeout(() => { // not at once: what folds is less high
      const now = article.clientWidth + " " + getComputedStyle(document.documentElement).fontSize;
      if (now === before) return;
      before = now;
      document.querySelectorAll("span.kit-folds").forEach(unfold);
      document.querySelectorAll("div.kit-parted").forEach(fit);
      reachAll();
    })).observe(article);
    article.addEventListener("toggle", ({ target }) => { // what was folded had no width
      target.querySelectorAll(".kit-parted").forEach(fit);
      reachAll();
    }, true);
    article.addEventListener("scroll", ({ target }) => target.matches(WIDE) && more(target), { capture: true, passive: true });
    window.addEventListener("load", reachAll);
    article.addEventListener("load", ({ target }) => target.matches("img") && reachAll(), true); // a picture that came late
  });
})();
