// The ledger: filter, search and sort its rows, go through them by keyboard; the address keeps what was chosen.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const form = document.getElementById("ledger-filter");
  const list = document.getElementById("ledger-list");
  if (!form || !list) return;
  const words = document.getElementById("filter-words");
  const sort = document.getElementById("ledger-sort");
  const unfold = document.getElementById("ledger-unfold");
  const count = document.getElementById("ledger-count");
  const none = document.getElementById("ledger-none");
  const selects = [...form.querySelectorAll("select[id^=filter-]")];
  const rows = [...list.children];
  // Formulas change their text when they are set, so what the search looks through is read once, before.
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const place = new Map(rows.map((row, index) => [row, index]));
  const details = (row) => row.firstElementChild;
  const shown = () => [...list.children].filter((row) => !row.hidden);
  const RANK = { verdict: 0, evidence: 1, kind: 2 };
  form.hidden = false;
  document.querySelectorAll(".led-keys").forEach((hint) => (hint.hidden = false));

  function chosen() {
    const state = new URLSearchParams();
    for (const select of selects) if (select.value) state.set(select.id.slice(7), select.value);
    if (words.value.trim()) state.set("words", words.value.trim());
    if (sort.selectedIndex > 0) state.set("sort", sort.value);
    return state;
  }

  function set(state) {
    for (const select of selects) {
      select.value = state.get(select.id.slice(7)) || "";
      if (select.selectedIndex < 0) select.value = "";
    }
    words.value = state.get("words") || "";
    sort.value = state.get("sort") || sort.options[0].value;
    if (sort.selectedIndex < 0) sort.selectedIndex = 0;
  }

  function show(remember) {
    const wanted = words.value.toLowerCase().split(" ").filter(Boolean);
    let found = 0;
    for (const row of rows) {
      const text = texts.get(row);
      row.hidden = !(selects.every((select) => !select.value || row.dataset[select.id.slice(7)] === select.value)
        && wanted.every((word) => text.includes(word)));
      found += !row.hidden;
    }
    count.textContent = found + " of " + rows.length + " rows";
    none.hidden = found > 0;
    const key = (row) => (sort.value in RANK ? Number(row.dataset.rank.split(" ")[RANK[sort.value]])
      : sort.value === "chapter" ? row.dataset.chapter || "~" : 0);
    const order = rows.slice().sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return x < y ? -1 : x > y ? 1 : place.get(a) - place.get(b);
    });
    if (order.some((row, index) => list.children[index] !== row)) list.append(...order);
    if (remember) {
      const state = chosen().toString();
      history.replaceState(null, "", location.pathname + location.search + (state ? "#" + state : "#ledger-list"));
    }
  }

  // An address names either a row (#ledger-...) or a choice (#verdict=contradicted&words=...).
  function follow() {
    const hash = decodeURIComponent(location.hash.slice(1));
    const row = hash && document.getElementById(hash);
    if (row && list.contains(row)) {
      if (row.parentElement.hidden) {
        set(new URLSearchParams());
        show(false);
      }
      row.open = true;
      row.scrollIntoView({ block: "center" });
    } else if (hash.includes("=")) {
      set(new URLSearchParams(location.hash.slice(1)));
      show(false);
    }
  }

  function focus(row) {
    if (row) details(row).querySelector("summary").focus();
  }

  form.addEventListener("input", () => show(true));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => show(true)));
  unfold.addEventListener("click", () => {
    const open = shown().some((row) => !details(row).open);
    for (const row of shown()) details(row).open = open;
    unfold.textContent = open ? "fold all" : "unfold all";
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-filter]");
    if (!link) return;
    event.preventDefault();
    set(new URLSearchParams(link.dataset.filter));
    show(true);
    form.scrollIntoView({ block: "start" });
    focus(shown()[0]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      words.focus();
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && event.target === words && step > 0) {
      event.preventDefault();
      focus(shown()[0]);
    } else if (event.target.matches("#ledger-list summary")) {
      const here = event.target.closest("li");
      const visible = shown();
      const next = event.key === "Home" ? visible[0] : event.key === "End" ? visible[visible.length - 1]
        : step ? visible[visible.indexOf(here) + step] : null;
      if (next) {
        event.preventDefault();
        focus(next);
      } else if (step === -1) {
        event.preventDefault();
        words.focus();
      }
    }
  });
  window.addEventListener("hashchange", follow);
  show(false);
  follow();
});
