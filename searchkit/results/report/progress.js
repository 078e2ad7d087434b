// The progress of the search and of other orders, over evaluations or seconds.

function drawProgress(data, chart) {
  let { curves } = data;
  const state = { across: "evaluations" };
  const controls = element("div", { class: "controls" });
  const svg = element("svg", { role: "img", "aria-label": data.measure });
  const legend = element("div", { class: "legend" });
  const tip = element("div", { class: "tip", hidden: "" });
  chart.append(controls, svg, tip, legend);
  controls.append(chosen("against", [["evaluations", "evaluations"], ["seconds", "seconds"]], state.across, (value) => {
    state.across = value;
    draw();
  }));
  // Several other searches differ by their dashes.
  const dashes = ["", "9 3", "2 3", "9 3 2 3"];
  const style = (curve) => {
    const beside = curves.filter((one) => one.kind === "other");
    return beside.includes(curve) ? `stroke-dasharray:${dashes[beside.indexOf(curve) % 4]}` : null;
  };
  explain();

  function explain() {
    legend.replaceChildren(...curves.map((curve) => {
      const key = element("span");
      const picture = element("svg", { viewBox: "0 0 22 14", "aria-hidden": "true" });
      picture.append(element("path", { class: `curve ${curve.kind}`, d: "M1 7H21", style: style(curve) }));
      key.append(picture, curve.label);
      return key;
    }));
  }

  // Draws other data of the same study; the axis that was chosen and the values pointed at stay.
  function update(given) {
    const at = pointed;
    data = given;
    ({ curves } = data);
    svg.setAttribute("aria-label", data.measure);
    explain();
    draw();
    if (at !== null) show(Math.min(at, axes.x.high));
  }

  let axes = null;
  let pointed = null; // evaluations, or seconds, whose values are shown

  function draw() {
    const width = Math.max(300, chart.clientWidth);
    const height = Math.round(Math.min(360, Math.max(260, width * 0.36)));
    const box = { left: 56, right: width - 12, top: 26, bottom: height - 42, end: height - 42 };
    const [, last] = ends(curves.filter((c) => c.kind !== "other").flatMap((curve) => curve[state.across]));
    const x = scale(0, last || 1, box.left, box.right, false);
    // Values of the first twentieth are often far off, and may be outside the chart.
    const settled = curves.flatMap((curve) => curve.values.filter((_, i) => curve[state.across][i] >= last / 20));
    const values = settled.length ? settled : curves.flatMap((curve) => curve.values);
    values.push(...curves[0].values.slice(-1));
    const [low, high] = padded(values, false);
    const y = scale(data.share ? 0 : low, data.share ? Math.max(103, high) : high, box.bottom, box.top, false);
    frame(svg, width, height, x, y, state.across, data.measure, box, state.across === "evaluations");
    const clip = element("clipPath", { id: "inside" });
    clip.append(element("rect", { x: box.left, y: box.top - 4, width: box.right - box.left, height: box.bottom - box.top + 8 }));
    const drawn = element("g", { "clip-path": "url(#inside)" });
    for (const curve of [...curves].reverse()) {
      const d = line(curve, x, y, last);
      drawn.append(element("path", { class: `curve ${curve.kind}`, d, style: style(curve) }));
    }
    svg.hair = element("line", { class: "hair", y1: box.top, y2: box.bottom, visibility: "hidden" });
    svg.append(clip, drawn, svg.hair);
    axes = { x, box, last };
    leave();
  }

  function line(curve, x, y, last) {
    let d = "";
    curve[state.across].forEach((at, i) => {
      const [px, py] = [x.at(at).toFixed(1), y.at(curve.values[i]).toFixed(1)];
      d += !i ? `M${px} ${py}` : curve.steps ? `H${px}V${py}` : `L${px} ${py}`;
    });
    return curve.steps ? `${d}H${x.at(last).toFixed(1)}` : d;
  }

  function valueAt(curve, at) {
    let found = null;
    curve[state.across].forEach((when, i) => { if (when <= at) found = curve.values[i]; });
    return found;
  }

  svg.addEventListener("pointermove", (event) => {
    const bounds = svg.getBoundingClientRect();
    const factor = svg.viewBox.baseVal.width / bounds.width;
    const px = (event.clientX - bounds.left) * factor;
    const { x, box, last } = axes;
    if (px < box.left || px > box.right) return;
    const at = ((px - box.left) / (box.right - box.left)) * (x.high - x.low);
    show(state.across === "evaluations" ? Math.max(1, Math.round(at)) : Math.min(at, last));
  });

  function show(at) {
    const { x, box } = axes;
    const factor = svg.viewBox.baseVal.width / svg.getBoundingClientRect().width;
    pointed = at;
    svg.hair.setAttribute("x1", x.at(at));
    svg.hair.setAttribute("x2", x.at(at));
    svg.hair.setAttribute("visibility", "visible");
    const values = element("dl");
    for (const curve of curves) values.append(element("dt", {}, curve.label), element("dd", {}, shown(valueAt(curve, at))));
    const told = state.across === "seconds" ? `after ${shown(at)} seconds` : `after ${shown(at)} evaluation${at > 1 ? "s" : ""}`;
    tip.replaceChildren(element("b", {}, told), values);
    place(tip, chart, svg, x.at(at) / factor, (box.top + 60) / factor);
  }

  function leave() {
    pointed = null;
    tip.hidden = true;
    svg.hair.setAttribute("visibility", "hidden");
  }

  svg.addEventListener("pointerleave", leave);
  return { draw, update };
}
