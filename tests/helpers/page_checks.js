// What is wrong with a page as it is: it overflows, a control or a picture has no name, text is too faint. In words.
(within) => {
  const found = [];
  const seen = (element) => element.checkVisibility({ checkVisibilityCSS: true }) && element.getClientRects().length > 0;
  const told = (element) => `${element.outerHTML.slice(0, 120)}`;
  const byId = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  const name = (element) => [
    element.getAttribute("aria-label"), byId(element.getAttribute("aria-labelledby") ?? ""),
    ...[...(element.labels ?? [])].map((label) => [...label.childNodes].filter((node) => node !== element).map((node) => node.textContent).join("")),
    element.matches("input, select") ? "" : element.textContent, element.getAttribute("alt"), element.title,
    ...[...element.querySelectorAll("img[alt]")].map((image) => image.alt),
  ].map((text) => (text ?? "").trim()).find((text) => text) ?? "";

  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(within)].flatMap((part) => [...part.querySelectorAll(selector)]);
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.body.querySelectorAll("*")].filter((e) => seen(e) && e.getBoundingClientRect().right > root.clientWidth + 1);
    found.push(`the document is ${root.scrollWidth} wide: ${wide.slice(0, 3).map(told).join(" | ")}`);
  }
  for (const element of all("button, input, select, textarea, a[href], summary, [tabindex='0']")) {
    if (seen(element) && !name(element)) found.push(`without a name: ${told(element)}`);
  }
  for (const element of all("[tabindex='0']")) {
    if (!element.matches("button, input, select, a, summary, [role]")) found.push(`reached by Tab, and without a role: ${told(element)}`);
  }
  for (const image of all("img, svg")) {
    const hidden = image.closest("[aria-hidden='true'], [role='img'], [role='application']");
    const inControl = image.closest("button, a, label, summary");
    if (seen(image) && !hidden && !name(image) && !image.hasAttribute("alt") && !(inControl && name(inControl))) found.push(`a picture without words: ${told(image)}`);
  }
  for (const image of all("svg[role='img'], svg[role='application']")) {
    if (seen(image) && !image.getAttribute("aria-label") && !byId(image.getAttribute("aria-labelledby") ?? "").trim()) found.push(`a picture without words: ${told(image)}`);
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(colour(getComputedStyle(at).backgroundColor));
    const page = colour(getComputedStyle(root).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#ffffff");
    return layers.reverse().reduce((below, layer) => over(layer, below), page);
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const texts = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("script, style, noscript, [aria-pressed='false'], option") || !seen(element)) continue;
    const style = getComputedStyle(element);
    const back = behind(element.closest("svg") ? element.closest("svg").parentElement : element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    if (!opacity || !element.closest(within)) continue;
    const ink = colour(element instanceof SVGElement ? style.fill : style.color);
    ink[3] *= opacity;
    // text on a filled box of a drawing is looked at by eye: what is behind it is not in the styles
    const [a, b] = [light(over(ink, back)), light(back)].sort((p, q) => q - p);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) texts.set(`${element.className?.baseVal ?? element.className} ${element.nodeName}`, `contrast ${ratio.toFixed(2)} of ${JSON.stringify(walker.currentNode.data.trim().slice(0, 40))} in ${told(element)}`);
  }
  return [...found, ...texts.values()];
}
