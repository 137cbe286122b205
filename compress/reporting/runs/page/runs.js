"use strict";
const chosen = new Set();

// Lines of charts have no place for an attribute: they stand in the order of the runs.
for (const chart of document.querySelectorAll("#curves .chart")) {
  chart.querySelectorAll(":scope > g").forEach((line, run) => line.setAttribute("data-run", run));
}

function choose(run) {
  if (!chosen.delete(run)) chosen.add(run);
  document.body.classList.toggle("choosing", chosen.size > 0);
  for (const part of document.querySelectorAll("[data-run]")) {
    const on = chosen.has(part.dataset.run);
    part.classList.toggle("chosen", on);
    // Above the others' lines, below the strips that tell an epoch's values.
    const strip = on && part.closest("#curves .chart")?.querySelector(".hover");
    if (strip) strip.before(part);
    if (part.hasAttribute("aria-pressed")) part.setAttribute("aria-pressed", on);
    const button = part.querySelector(":scope .choose");
    if (button) button.setAttribute("aria-pressed", on);
  }
}

for (const button of document.querySelectorAll(".choose")) {
  button.addEventListener("click", () => choose(button.closest("[data-run]").dataset.run));
}

for (const input of document.querySelectorAll("input[name=across]")) {
  input.addEventListener("change", () => {
    for (const view of document.querySelectorAll(".view")) view.hidden = view.dataset.key !== input.value;
    document.getElementById("about").textContent = "";
  });
}

const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
for (const chart of document.querySelectorAll(".scatter")) {
  const points = [...chart.querySelectorAll(".point")];
  const go = (place) => {
    points.forEach((point, other) => point.setAttribute("tabindex", other === place ? 0 : -1));
    points[place].focus();
  };
  points.forEach((point, place) => {
    const show = () => { document.getElementById("about").textContent = point.getAttribute("aria-label"); };
    point.addEventListener("mouseenter", show);
    point.addEventListener("focus", show);
    point.addEventListener("click", () => choose(point.dataset.run));
    point.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") choose(point.dataset.run);
      else if (event.key in steps) go((place + steps[event.key] + points.length) % points.length);
      else return;
      event.preventDefault();
    });
  });
}

function key(row, column) {
  const cell = row.cells[column];
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  // Dashes and empty cells are no values, and come last in either order.
  return text === "" || text === "–" ? null : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

for (const table of document.querySelectorAll(".sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return down ? compare(b, a) : compare(a, b);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}
