// The candidates as points: axes can be chosen, marks show the outcome, and a card has values and choices.

function drawCandidates(data, chart) {
  if (!data.trials.fate.length) return null;
  let metrics, trials, fates, choices, byName, order, front, tested;
  read(data);
  const axis = (name) => byName.get(name) ?? order;
  const state = { x: data.x ?? order.name, y: data.y, colour: data.colour ?? "", logX: false, logY: false, all: false };
  const [smallest, largest] = ends(axis(state.x).values.filter((value) => value !== null));
  state.logX = state.x !== order.name && smallest > 0 && largest / smallest > 40;
  const hidden = new Set();
  let spots = [];
  let held = null; // the candidate whose card is shown
  let keyed = false; // by the arrow keys: a pointer that only lies there, while the page moves under it, changes nothing

  const controls = element("div", { class: "controls" });
  const svg = element("svg", {
    tabindex: 0, role: "application", "aria-roledescription": "chart",
    "aria-label": "All candidates; the arrow keys step along the front",
  });
  const legend = element("div", { class: "legend" });
  const hint = element("p", { class: "hint" });
  const tip = element("div", { class: "tip", hidden: "" });
  chart.append(controls, svg, tip, legend, hint);

  const labels = () => metrics.map((metric) => [metric.name, metric.label]);
  const axes = () => [...labels(), [order.name, order.label]];
  const colours = () => [["", "none"], ...labels()];
  const toggle = (label, key, why) => {
    const box = element("label", { title: why });
    const input = element("input", { type: "checkbox" });
    input.checked = state[key];
    input.addEventListener("change", () => { state[key] = input.checked; draw(); });
    box.append(input, label);
    return box;
  };
  const logX = toggle("log x", "logX", "logarithmic");
  const logY = toggle("log y", "logY", "logarithmic");
  const everything = toggle("all of it", "all", "do not leave out what is far off");
  const across = chosen("across", axes(), state.x, (value) => { state.x = value; draw(); });
  const up = chosen("up", axes(), state.y, (value) => { state.y = value; draw(); });
  const colour = chosen("colour of the front", colours(), state.colour, (value) => { state.colour = value; draw(); });
  controls.append(across, up);
  if (data.objectives.length > 2) controls.append(colour);
  controls.append(logX, logY, everything);

  const keys = fates.map((fate, i) => {
    const button = element("button", { type: "button", "aria-pressed": "true", hidden: "" });
    const picture = element("svg", { viewBox: "0 0 22 14", "aria-hidden": "true" });
    picture.append(i === front ? element("circle", { class: "point", cx: 11, cy: 7, r: 5.5 }) : marks(fate.name, [[11, 7]]));
    const text = document.createTextNode("");
    button.append(picture, text);
    button.addEventListener("click", () => {
      hidden.has(i) ? hidden.delete(i) : hidden.add(i);
      button.setAttribute("aria-pressed", String(!hidden.has(i)));
      draw();
    });
    return { button, text };
  });
  const testKey = element("span", { hidden: "" });
  const testPicture = element("svg", { viewBox: "0 0 22 14", "aria-hidden": "true" });
  testPicture.append(element("path", { class: "tested", d: diamond(11, 7, 5) }));
  testKey.append(testPicture, "the front on the test part");
  legend.append(...keys.map((key) => key.button), testKey);
  count();

  function read(given) {
    data = given;
    ({ metrics, trials, fates, choices } = data);
    byName = new Map(metrics.map((metric) => [metric.name, metric]));
    order = { name: " order", label: "evaluation", direction: null, values: trials.fate.map((_, i) => i) };
    front = fates.findIndex((fate) => fate.name === "front");
    tested = byName.get(data.tested);
  }

  function count() {
    fates.forEach((fate, i) => {
      keys[i].button.hidden = !fate.count;
      keys[i].text.data = `${fate.count.toLocaleString("en-US")} ${fate.label}`;
    });
  }

  // Draws other data of the same study; what was chosen, hidden and pointed at stays.
  function update(given) {
    const shownNow = held;
    read(given);
    count();
    offer(across, axes(), state.x, (value) => { state.x = value; });
    offer(up, axes(), state.y, (value) => { state.y = value; });
    offer(colour, colours(), state.colour, (value) => { state.colour = value; });
    draw();
    show(spots.find((spot) => spot.i === shownNow));
  }

  function draw() {
    const width = Math.max(300, chart.clientWidth);
    const height = Math.round(Math.min(460, Math.max(300, width * 0.46)));
    const [xs, ys] = [axis(state.x).values, axis(state.y).values];
    const visible = trials.fate.map((fate, i) => i).filter((i) => !hidden.has(trials.fate[i]));
    const both = visible.filter((i) => xs[i] !== null && ys[i] !== null);
    const halves = visible.filter((i) => xs[i] !== null && ys[i] === null);
    const positive = (values, rows) => rows.length > 0 && rows.every((i) => values[i] > 0);
    const canX = positive(xs, [...both, ...halves]);
    const canY = positive(ys, both);
    logX.hidden = !canX || state.x === order.name;
    logY.hidden = !canY || state.y === order.name;
    const showsTest = tested && data.tested === `test_${state.y}` && !hidden.has(front);
    testKey.hidden = !showsTest;
    const lane = halves.length ? 30 : 0;
    const box = { left: 56, right: width - 12, top: 26, bottom: height - 42 - lane, end: height - 42 };
    const [lowX, highX] = padded([...both, ...halves].map((i) => xs[i]), canX && state.logX);
    const extra = showsTest ? both.filter((i) => tested.values[i] !== null).map((i) => tested.values[i]) : [];
    const middle = state.all ? both.map((i) => ys[i]) : near(both, ys).concat(extra);
    const [lowY, highY] = padded(state.all ? middle.concat(extra) : middle, canY && state.logY);
    const x = scale(lowX, highX, box.left, box.right, canX && state.logX);
    const y = scale(lowY, highY, box.bottom, box.top, canY && state.logY);
    frame(svg, width, height, x, y, axis(state.x).label, axis(state.y).label, box, state.x === order.name);
    const inside = both.filter((i) => ys[i] >= y.low && ys[i] <= y.high);
    const place = (i) => [x.at(xs[i]), ys[i] === null ? box.bottom + 20 : y.at(ys[i])];
    spots = [...inside, ...halves].map((i) => ({ i, at: place(i) }));
    everything.hidden = inside.length === both.length && !state.all;
    if (lane) {
      svg.append(element("line", { class: "grid", x1: box.left, x2: box.right, y1: box.bottom + 6, y2: box.bottom + 6 }));
      svg.append(element("text", { x: box.left - 8, y: box.bottom + 24, "text-anchor": "end" }, "without"));
    }
    fates.forEach((fate, f) => {
      const here = spots.filter((spot) => trials.fate[spot.i] === f && f !== front).map((spot) => spot.at);
      if (here.length) svg.append(marks(fate.name, here));
    });
    const best = spots.filter((spot) => trials.fate[spot.i] === front);
    svg.append(stairs(best, x, y, box));
    whiskers(best, x, y);
    if (showsTest) {
      for (const { i, at } of best) {
        const value = tested.values[i];
        if (value === null || value < y.low || value > y.high) continue;
        svg.append(element("line", { class: "drop", x1: at[0], x2: at[0], y1: at[1], y2: y.at(value) }));
        svg.append(element("path", { class: "tested", d: diamond(at[0], y.at(value), 5) }));
      }
    }
    const paint = painter(best.map((spot) => spot.i));
    for (const { i, at } of best) {
      svg.append(element("circle", { class: "point", cx: at[0], cy: at[1], r: width < 600 ? 5 : 6.5, style: paint ? `fill:${paint(i)}` : null }));
    }
    const ring = element("circle", { class: "ring", r: 9, visibility: "hidden" });
    svg.append(ring);
    svg.ring = ring;
    show(null);
    said(both.length - inside.length, halves.length, visible.length - both.length - halves.length, paint, best);
  }

  function said(outside, halfway, neither, paint, best) {
    const parts = [];
    if (outside) parts.push(`${outside.toLocaleString("en-US")} outside the plot.`);
    if (halfway) parts.push(`Marks in the strip below have no ${axis(state.y).label}.`);
    if (neither) parts.push(`${neither.toLocaleString("en-US")} have no ${axis(state.x).label} and are not drawn.`);
    if (paint) parts.push(`The lighter a point of the front, the larger its ${axis(state.colour).label}.`);
    if (best.length > 1) parts.push("Point at a candidate for its choices.");
    hint.textContent = parts.join(" ");
  }

  // The front of two objectives as steps: what is attainable at each x.
  function stairs(best, x, y, box) {
    const pair = [state.x, state.y];
    const two = data.objectives.length === 2 && data.objectives.every((name) => pair.includes(name));
    if (!two || !best.length) return element("g");
    const sorted = best.map((spot) => spot.at).sort((a, b) => a[0] - b[0]);
    if (axis(state.x).direction === "max") sorted.reverse();
    const end = axis(state.x).direction === "max" ? box.left : box.right;
    let d = "";
    sorted.forEach(([px, py], k) => { d += k ? `H${px.toFixed(1)}V${py.toFixed(1)}` : `M${px.toFixed(1)} ${py.toFixed(1)}`; });
    return element("path", { class: "stair", d: `${d}H${end}` });
  }

  // Half the interquartile range to either side, for metrics with a spread.
  function whiskers(best, x, y) {
    for (const { i, at } of best) {
      const [wide, high] = [axis(state.x), axis(state.y)].map((metric) => {
        const spread = metric.spread?.[i];
        return spread ? [metric.values[i] * (1 - spread / 2), metric.values[i] * (1 + spread / 2)] : null;
      });
      if (wide) svg.append(element("line", { class: "whisker", x1: x.at(wide[0]), x2: x.at(wide[1]), y1: at[1], y2: at[1] }));
      if (high) svg.append(element("line", { class: "whisker", x1: at[0], x2: at[0], y1: y.at(high[0]), y2: y.at(high[1]) }));
    }
  }

  function painter(rows) {
    const values = byName.get(state.colour)?.values;
    const known = values ? rows.map((i) => values[i]).filter((value) => value !== null) : [];
    if (!known.length) return null;
    const [low, high] = ends(known);
    return (i) => {
      const share = values[i] === null || low === high ? 0 : (values[i] - low) / (high - low);
      return `hsl(${Math.round(262 - 214 * share)} 72% calc(var(--dimmest) + ${Math.round(20 * share)}%))`; // brighter on a dark page
    };
  }

  // The axis shows the front and nine in ten candidates; outliers that learned nothing would flatten the front.
  function near(rows, values) {
    if (rows.length < 10) return rows.map((i) => values[i]);
    const sorted = rows.map((i) => values[i]).sort((a, b) => a - b);
    const [low, high] = [0.1, 0.9].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
    const best = rows.filter((i) => trials.fate[i] === front).map((i) => values[i]);
    return [low, high, ...best];
  }

  function card(i) {
    const fate = fates[trials.fate[i]];
    const values = element("dl");
    for (const metric of metrics) {
      if (metric.values[i] === null) continue;
      const spread = metric.spread?.[i];
      const more = spread ? ` ± ${Number((50 * spread).toPrecision(2))} %` : "";
      values.append(element("dt", {}, metric.label), element("dd", {}, shown(metric.values[i]) + more));
    }
    const picked = element("dl", choices.length > 12 ? { class: "many" } : {});
    choices.forEach((choice, j) => {
      picked.append(element("dt", {}, `${choice.name} `), element("dd", {}, choice.options[trials.code[i][j]]));
    });
    tip.replaceChildren(element("b", {}, `candidate ${i} · ${fate.label}`), values, picked);
    if (trials.reason[i]) tip.append(element("p", {}, trials.reason[i]));
  }

  function show(spot) {
    held = spot ? spot.i : null;
    if (!spot) {
      tip.hidden = true;
      svg.ring.setAttribute("visibility", "hidden");
      return;
    }
    card(spot.i);
    svg.ring.setAttribute("cx", spot.at[0]);
    svg.ring.setAttribute("cy", spot.at[1]);
    svg.ring.setAttribute("visibility", "visible");
    const factor = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    place(tip, chart, svg, spot.at[0] * factor, spot.at[1] * factor);
  }

  function nearest(event) {
    const bounds = svg.getBoundingClientRect();
    const factor = svg.viewBox.baseVal.width / bounds.width;
    const [px, py] = [(event.clientX - bounds.left) * factor, (event.clientY - bounds.top) * factor];
    let best = null;
    let least = event.pointerType === "touch" ? 900 : 400;
    for (const spot of spots) {
      const far = (spot.at[0] - px) ** 2 + (spot.at[1] - py) ** 2 + (trials.fate[spot.i] === front ? 0 : 12);
      if (far < least) [best, least] = [spot, far];
    }
    return best;
  }

  svg.addEventListener("pointermove", (event) => {
    if (keyed && !event.movementX && !event.movementY) return;
    keyed = false;
    tip.removeAttribute("role"); // a card that follows the pointer is not read out
    show(nearest(event));
  });
  svg.addEventListener("pointerdown", (event) => show(nearest(event)));
  svg.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch" && !keyed) show(null); });
  svg.addEventListener("blur", () => show(null));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const along = spots.filter((spot) => trials.fate[spot.i] === front).sort((a, b) => a.at[0] - b.at[0]);
    if (!step || !along.length) return;
    event.preventDefault();
    keyed = true;
    tip.setAttribute("role", "status"); // is read out
    const now = along.findIndex((spot) => spot.i === held);
    show(along[now < 0 ? (step > 0 ? 0 : along.length - 1) : Math.min(along.length - 1, Math.max(0, now + step))]);
  });
  return { draw, update };
}

function padded(values, log) {
  if (!values.length) return log ? [1, 10] : [0, 1];
  const [low, high] = ends(values);
  if (low === high) return [low, high];
  if (log) return [low / (high / low) ** 0.05, high * (high / low) ** 0.05];
  const margin = 0.05 * (high - low);
  return [low - margin, high + margin];
}

function diamond(x, y, r) {
  return `M${x - r} ${y}L${x} ${y - r}L${x + r} ${y}L${x} ${y + r}z`;
}

// Many marks as one path: thousands are drawn as quickly as one.
function marks(kind, places) {
  const shapes = {
    other: (x, y) => `M${x} ${y}h0`,
    bound: (x, y) => `M${x - 3.5} ${y - 3.5}l7 7M${x + 3.5} ${y - 3.5}l-7 7`,
    failed: (x, y) => `M${x} ${y - 5}l4.5 8h-9z`,
    dropped: (x, y) => diamond(x, y, 4),
    open: (x, y) => `M${x - 4} ${y}h8M${x} ${y - 4}v8`,
  };
  const d = places.map(([x, y]) => shapes[kind](Number(x.toFixed(1)), Number(y.toFixed(1)))).join("");
  return element("path", { class: `mark ${kind}`, d });
}
