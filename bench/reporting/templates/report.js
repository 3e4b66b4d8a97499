// Sort a leaderboard by a column, and show the families that are ticked. Without scripts, the page is whole, best row first.
"use strict";

function compare(one, other) {
  const numbers = [Number(one), Number(other)];
  return numbers.some(Number.isNaN) ? one.localeCompare(other) : numbers[0] - numbers[1];
}

// What does not exist stands last in either direction.
function sort(body, column, sign) {
  const key = (row) => row.children[column].dataset.key;
  const rows = [...body.rows].sort((a, b) => (key(a) === "") - (key(b) === "") || sign * compare(key(a), key(b)));
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.leaderboard")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const ascending = header.getAttribute("aria-sort") === "descending";
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(table.tBodies[0], column, ascending ? 1 : -1);
    });
  });
}

for (const filter of document.querySelectorAll("fieldset.filter")) {
  const rows = filter.closest("section").querySelectorAll("table.leaderboard tbody tr");
  filter.hidden = false;
  filter.addEventListener("change", () => {
    const shown = new Set([...filter.querySelectorAll(":checked")].map((box) => box.value));
    rows.forEach((row) => { row.hidden = !shown.has(row.dataset.family); });
  });
}

// Paper has nothing to unfold.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
