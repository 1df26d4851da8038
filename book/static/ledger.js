// The filters above the ledger: one select a field, and words looked for in the whole row.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const form = document.getElementById("ledger-filter");
  if (!form) return;
  const rows = [...document.querySelectorAll("#ledger-rows tr")];
  const selects = [...form.querySelectorAll("select")];
  const show = () => {
    const words = document.getElementById("filter-words").value.toLowerCase().split(" ").filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(selects.every((select) => !select.value || row.dataset[select.id.slice(7)] === select.value)
        && words.every((word) => text.includes(word)));
      shown += !row.hidden;
    }
    document.getElementById("ledger-count").textContent = shown + " of " + rows.length + " rows";
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
});
