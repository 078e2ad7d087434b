// Starts the charts, sorts tables, and opens folded parts for printing. All of it may be called again for other content.

const charts = new Map(); // element -> its chart

function drawCharts(data) {
  for (const [id, start, given] of [["candidates", drawCandidates, data.candidates], ["progress", drawProgress, data.progress]]) {
    const place = document.getElementById(id);
    if (!place || !given) continue;
    if (charts.has(place)) {
      charts.get(place).update(given);
      continue;
    }
    const chart = start(given, place);
    if (!chart) continue;
    charts.set(place, chart);
    let width = 0;
    new ResizeObserver(() => {
      if (place.clientWidth === width || !place.clientWidth) return;
      width = place.clientWidth;
      chart.draw();
    }).observe(place);
  }
}

// Sorts the table of a column's head by that column.
function sortBy(head, down) {
  const column = [...head.parentNode.children].indexOf(head);
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = head.closest("table").tBodies[0];
  const key = (line) => line.children[column].dataset.value;
  const parse = (text) => ({ inf: Infinity, "-inf": -Infinity })[text] ?? Number(text);
  const words = (line) => line.children[column].textContent;
  const compare = (a, b) => {
    const [p, q] = [key(a), key(b)];
    if (p !== undefined && q !== undefined) return parse(p) - parse(q);
    return words(a).localeCompare(words(b), "en", { numeric: true });
  };
  body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b)));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".sortable th button");
  const head = button?.closest("th");
  if (head) sortBy(head, head.getAttribute("aria-sort") === "ascending");
});

// Shuts long tables, each once; the button below opens it.
function shut() {
  for (const button of document.querySelectorAll(".more:not([data-known])")) {
    const table = button.previousElementSibling.querySelector("table");
    button.dataset.known = table.dataset.shut = button.dataset.shown = "";
    button.addEventListener("click", () => {
      table.removeAttribute("data-shut");
      button.removeAttribute("data-shown");
    });
  }
}

// Stops of the Tab key are what scrolls, and not what fits.
const stops = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    const scrolls = target.scrollWidth > target.clientWidth + 1 || target.scrollHeight > target.clientHeight + 1;
    if (scrolls || target === document.activeElement) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

function stop() {
  stops.disconnect();
  for (const element of document.querySelectorAll(".wide, pre")) stops.observe(element);
}

drawCharts(JSON.parse(document.getElementById("data").textContent));
shut();
stop();

let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details.print:not([open])")];
  for (const details of opened) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});
