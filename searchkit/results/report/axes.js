// Scales, ticks and elements for both charts. Strings are always inserted as text, never as markup.

function element(name, attributes = {}, text = null) {
  const inSvg = ["svg", "g", "path", "line", "text", "circle", "rect", "clipPath", "defs"].includes(name);
  const made = inSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

function shown(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (Number.isInteger(value) || Math.abs(value) >= 1e4) {
    return Math.abs(value) < 1e15 ? Math.round(value).toLocaleString("en-US") : value.toExponential(2);
  }
  return Math.abs(value) < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// The smallest and the largest of any number of values.
function ends(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}

// A scale from data to pixels; equal ends become an interval around them.
function scale(low, high, start, end, log) {
  if (low === high) {
    const around = log ? null : Math.abs(low) * 0.1 || 1;
    [low, high] = log ? [low / 1.5, high * 1.5] : [low - around, high + around];
  }
  const [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  const at = (value) => start + (((log ? Math.log10(value) : value) - a) / (b - a)) * (end - start);
  return { low, high, log, at };
}

function ticks(axis, most, whole = false) {
  if (axis.log && axis.high / axis.low >= 10) {
    const factors = axis.high / axis.low > 10 ** (most / 2) ? [1] : axis.high / axis.low > 60 ? [1, 3] : [1, 2, 5];
    const found = [];
    for (let e = Math.floor(Math.log10(axis.low)); e <= Math.log10(axis.high); e++) {
      for (const factor of factors) found.push(Number((factor * 10 ** e).toPrecision(3)));
    }
    return found.filter((value) => value >= axis.low && value <= axis.high);
  }
  const rough = (axis.high - axis.low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const wanted = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const step = whole ? Math.max(1, Math.round(wanted)) : wanted;
  const found = [];
  for (let i = Math.ceil(axis.low / step); i * step <= axis.high; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function tickText(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))} M`;
  return size >= 1e4 ? `${Number((value / 1e3).toPrecision(4))} k` : shown(value);
}

// The frame of a chart: its size, grid, ticks and titles; with `whole`, ticks of the x axis are whole numbers.
function frame(svg, width, height, x, y, xTitle, yTitle, box, whole) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.replaceChildren();
  const grid = element("g");
  for (const value of ticks(y, 6)) {
    const at = y.at(value);
    grid.append(element("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }));
    grid.append(element("text", { x: box.left - 8, y: at + 4, "text-anchor": "end" }, tickText(value)));
  }
  for (const value of ticks(x, Math.max(3, Math.floor((box.right - box.left) / 95)), whole)) {
    const at = x.at(value);
    grid.append(element("line", { class: "grid", x1: at, x2: at, y1: box.top, y2: box.bottom }));
    grid.append(element("text", { x: at, y: box.end + 18, "text-anchor": "middle" }, tickText(value)));
  }
  grid.append(element("text", { class: "title", x: 0, y: 13 }, yTitle));
  grid.append(element("text", { class: "title", x: box.right, y: height - 4, "text-anchor": "end" }, xTitle));
  svg.append(grid);
}

// Puts the card beside a point of the chart, inside the page; on a narrow page, below the chart.
function place(tip, chart, svg, x, y) {
  const narrow = window.matchMedia("(max-width: 720px)").matches;
  tip.classList.toggle("below", narrow);
  tip.hidden = false;
  if (narrow) return;
  const top = svg.getBoundingClientRect().top - chart.getBoundingClientRect().top;
  const left = x + 16 + tip.offsetWidth > chart.clientWidth ? x - 16 - tip.offsetWidth : x + 16;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.max(0, top + y - Math.min(tip.offsetHeight / 2, y))}px`;
}

function chosen(label, options, picked, changed) {
  const box = element("label", {}, label);
  const list = element("select");
  box.append(list);
  offer(box, options, picked, changed);
  list.addEventListener("change", () => changed(list.value));
  return box;
}

// Gives a list other options, where they are others; what was picked stays, or the first takes the place of what is gone.
function offer(box, options, picked, changed) {
  const list = box.querySelector("select");
  const same = options.length === list.options.length && options.every(([value, text], i) => list.options[i].value === value && list.options[i].text === text);
  if (!same) list.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  const there = options.some(([value]) => value === picked) ? picked : options[0][0];
  if (list.value !== there) list.value = there;
  if (there !== picked) changed(there);
}
