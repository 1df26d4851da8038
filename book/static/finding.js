// Previews of what a link leads to, on pointing and on focus; folded parts that a search found; the glossary's filter.
(() => {
  "use strict";
  const HERE = document.currentScript.src;
  const STATIC = HERE.slice(0, HERE.lastIndexOf("/") + 1);
  const ROOT = STATIC.replace(/_static\/$/, "");
  const DELAY = 250;
  let box, shownFor, timer;

  const loaded = {};
  function load(file) {
    loaded[file] = loaded[file] || new Promise((done) => {
      const script = document.createElement("script");
      script.src = STATIC + file;
      script.onload = script.onerror = done;
      document.head.append(script);
    });
    return loaded[file];
  }

  // The same rules as previews.py, for a place on this page, whose formulas are set already.
  function fromHere(id) {
    const target = document.getElementById(id);
    if (!target) return null;
    const content = document.createElement("div");
    const words = (node) => {
      const copy = node.cloneNode(true);
      copy.querySelectorAll(".headerlink").forEach((mark) => mark.remove());
      copy.querySelectorAll("a").forEach((link) => link.replaceWith(...link.childNodes));
      const p = document.createElement("p");
      p.append(...copy.childNodes);
      return p;
    };
    if (target.matches("dt[id^=term-]")) {
      const p = words(target.nextElementSibling);
      const name = document.createElement("b");
      name.textContent = target.textContent + " ";
      p.prepend(name);
      content.append(p);
    } else if (target.matches("figure") && target.querySelector("img")) {
      const image = target.querySelector("img").cloneNode();
      image.removeAttribute("id");
      image.removeAttribute("style");
      image.alt = "";
      content.append(image);
      const caption = target.querySelector("figcaption");
      if (caption) content.append(words(caption));
    } else if (target.matches(".math")) {
      const copy = target.cloneNode(true);
      copy.querySelectorAll(".eqno").forEach((number) => number.remove());
      content.append(copy);
    } else if (target.matches(".citation")) {
      content.append(words(target.querySelector("p") || target));
    } else {
      const beside = target.closest(".cell_output") || target;
      const follows = (one) => target.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING;
      const caption = [...beside.querySelectorAll("caption, .kit-caption")].find(follows);
      if (!caption) return null;
      content.append(words(caption));
    }
    content.querySelectorAll("[id]").forEach((node) => node.removeAttribute("id"));
    return content;
  }

  async function fromElsewhere(key) {
    await load("previews.js");
    const html = (window.kitPreviews || {})[key];
    if (!html) return null;
    const content = document.createElement("div");
    content.innerHTML = html;
    content.querySelectorAll("img").forEach((image) => (image.src = ROOT + image.getAttribute("src")));
    if (content.querySelector(".math")) {
      if (!(window.MathJax && window.MathJax.typesetPromise)) await load("mathjax/tex-mml-chtml.js");
      if (window.MathJax.startup) await window.MathJax.startup.promise;
      content.querySelectorAll(".math").forEach((node) => node.classList.add("tex2jax_process"));
    }
    return content;
  }

  function contentOf(link) {
    const address = new URL(link.href, location.href);
    const id = decodeURIComponent(address.hash.slice(1));
    if (address.pathname === location.pathname) return fromHere(id);
    const page = address.href.split("#")[0].slice(ROOT.length);
    return fromElsewhere(page + "#" + id);
  }

  function hide() {
    clearTimeout(timer);
    if (!shownFor) return;
    shownFor.removeAttribute("aria-describedby");
    shownFor = null;
    box.hidden = true;
    box.replaceChildren();
  }

  async function show(link) {
    const content = await contentOf(link);
    if (!content || !(link.matches(":hover") || link === document.activeElement)) return;
    hide();
    if (!box) {
      box = document.createElement("div");
      box.className = "kit-preview";
      box.id = "kit-preview";
      box.setAttribute("role", "tooltip");
      box.addEventListener("mouseenter", () => clearTimeout(timer));
      box.addEventListener("mouseleave", () => (timer = setTimeout(hide, DELAY)));
      (document.querySelector(".bd-article") || document.body).append(box);
    }
    box.replaceChildren(content);
    box.hidden = false;
    shownFor = link;
    link.setAttribute("aria-describedby", box.id);
    if (window.MathJax && window.MathJax.typesetPromise && content.querySelector(".tex2jax_process")) {
      await window.MathJax.typesetPromise([content]);
    }
    place(link);
    content.querySelectorAll("img").forEach((image) => image.addEventListener("load", () => place(link)));
  }

  // Under the link, above it where there is more room; never over the edge of the window.
  function place(link) {
    const at = link.getClientRects()[0];
    if (!at || box.hidden) return;
    const width = Math.min(416, document.documentElement.clientWidth - 16);
    box.style.width = width + "px";
    const height = box.offsetHeight;
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8));
    const below = innerHeight - at.bottom > height + 12 || at.top < height + 12;
    box.style.left = left + "px";
    box.style.top = (below ? at.bottom + 6 : at.top - height - 6) + "px";
  }

  const LINKS = ".bd-article a[href*='#']:not(.headerlink, .led-cell, [data-filter], .gloss-letters a)";
  const linkOf = (event) => event.target.closest && event.target.closest(LINKS);
  document.addEventListener("mouseover", (event) => {
    const link = linkOf(event);
    if (!link || link === shownFor) return;
    clearTimeout(timer);
    timer = setTimeout(() => show(link), DELAY);
  });
  document.addEventListener("mouseout", (event) => {
    if (!linkOf(event)) return;
    clearTimeout(timer);
    timer = setTimeout(hide, DELAY);
  });
  document.addEventListener("focusin", (event) => {
    const link = linkOf(event);
    if (link && link.matches(":focus-visible")) show(link);
    else if (!link) hide();
  });
  document.addEventListener("focusout", (event) => linkOf(event) && hide());
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  window.addEventListener("scroll", hide, { passive: true });

  // A search marks its words, also in folded parts: unfold the first that is hidden, and go there if none is to be seen.
  // The stub of an exercise is hidden where its editor stands: that is the place to go to.
  function unfold() {
    const marks = [...document.querySelectorAll(".bd-article span.highlighted")];
    if (!marks.length || location.hash) return;
    const folded = (mark) => mark.closest("details:not([open])");
    if (marks.some((mark) => !folded(mark) && mark.getClientRects().length && !mark.closest("h1"))) return;
    const edited = marks.map((mark) => !folded(mark) && mark.closest(".cell")).find(Boolean);
    if (edited) return edited.scrollIntoView({ block: "center" });
    const first = marks.find(folded);
    if (!first) return;
    for (let fold = first.closest("details:not([open])"); fold; fold = first.closest("details:not([open])")) fold.open = true;
    first.scrollIntoView({ block: "center" });
  }
  window.addEventListener("load", () => setTimeout(unfold, 50));
})();

// "Report a problem" names the cell that the reader last pointed at or reached, and stands beside it.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const whole = document.querySelector("a.kit-report");
  if (!whole) return;
  const link = document.createElement("a");
  link.className = "kit-report-cell";
  link.textContent = "report this cell";
  const follow = (event) => {
    const cell = event.target.closest && event.target.closest("[data-kit-cell]");
    if (!cell || cell.contains(link)) return;
    link.href = whole.href.replace(encodeURIComponent("the whole page"), encodeURIComponent(cell.dataset.kitCell));
    cell.append(link);
  };
  document.addEventListener("mouseover", follow);
  document.addEventListener("focusin", follow);
});
