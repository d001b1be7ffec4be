"use strict";
(() => {
  const box = document.getElementById("find");
  if (!box) return;
  const told = document.getElementById("found");
  const rows = Array.from(document.querySelectorAll("#needs tbody tr"), (row) => ({
    row,
    text: row.textContent.toLowerCase().replace(/\s+/g, " "),
  }));
  const narrow = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    told.textContent = words.length ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : "";
  };
  box.addEventListener("input", narrow);
  box.closest("[hidden]").hidden = false;
})();
