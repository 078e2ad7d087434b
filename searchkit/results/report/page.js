// Starts the charts, sorts tables, and opens folded parts for printing.

const DATA = JSON.parse(document.getElementById("data").textContent);

for (const [id, start, data] of [["candidates", drawCandidates, DATA.candidates], ["progress", drawProgress, DATA.progress]]) {
  const chart = document.getElementById(id);
  const draw = chart && data ? start(data, chart) : null;
  if (!draw) continue;
  let width = 0;
  new ResizeObserver(() => {
    if (chart.clientWidth === width) return;
    width = chart.clientWidth;
    draw();
  }).observe(chart);
}

for (const button of document.querySelectorAll(".sortable th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => row.children[column].dataset.value;
    const compare = (a, b) => {
      const [p, q] = [key(a), key(b)];
      if (p !== undefined && q !== undefined) return parse(p) - parse(q);
      return row(a).localeCompare(row(b), "en", { numeric: true });
    };
    const row = (line) => line.children[column].textContent;
    const parse = (text) => ({ inf: Infinity, "-inf": -Infinity })[text] ?? Number(text);
    body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b)));
  });
}

for (const button of document.querySelectorAll(".more")) {
  const table = button.previousElementSibling.querySelector("table");
  table.classList.add("shut");
  button.classList.add("shown");
  button.addEventListener("click", () => {
    table.classList.remove("shut");
    button.remove();
  });
}

let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details.print:not([open])")];
  for (const details of opened) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});
