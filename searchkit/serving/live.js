// Keeps a page as its server has it: asks now and then whether something is new, and changes what is, and only that.

const STATUS = (location.pathname === "/" ? "/status" : "/study/status") + location.search;
const SLOWEST = 8; // times the server's interval at most, where nothing changes
const pause = document.getElementById("pause");
const said = document.getElementById("said");
const PATIENCE = 10; // seconds in which a server answers, beyond what a report takes
let factor = 1; // grows while nothing changes
let timer = null;
let asking = null; // the AbortController of what is being asked; another one, or null, where nobody wants its answer
let took = 0; // seconds that the report took the server last
let fetched = performance.now(); // when the report was; it rests for a while, so that making it stays a small part of the time
let lastSeen = new Date();

// What scripts have set on elements, and the user by them; it is not in the page that the server makes.
const OWN = new Set(["open", "tabindex", "aria-sort", "data-shut", "data-shown", "data-known"]);

const resting = () => document.hidden || pause.getAttribute("aria-pressed") === "true";

async function ask() {
  stopAsking();
  if (resting()) return;
  const mine = new AbortController();
  asking = mine;
  const unwanted = () => mine !== asking || resting();
  let again = 4;
  try {
    const status = JSON.parse(await get(STATUS, mine));
    if (unwanted()) return;
    again = status.again;
    took = status.took;
    const changed = status.version !== document.body.dataset.version;
    if (changed && performance.now() >= fetched + 1000 * status.rest) {
      const text = await get(location.pathname + location.search, mine);
      if (unwanted()) return;
      refresh(text);
      fetched = performance.now();
    } else if (changed) {
      match(document.getElementById("told"), parsed(`<div id="told">${status.told}</div>`).getElementById("told"));
    }
    factor = changed ? 1 : Math.min(SLOWEST, factor * 1.25);
    tell("");
    lastSeen = new Date();
  } catch (error) {
    if (unwanted()) return;
    factor = Math.min(SLOWEST, factor * 1.5);
    tell(error instanceof Refused ? error.message : `The server does not answer; what is shown is of ${lastSeen.toLocaleTimeString()}.`);
  }
  asking = null;
  ago();
  timer = setTimeout(ask, 1000 * again * factor);
}

function stopAsking() {
  clearTimeout(timer);
  const before = asking;
  asking = null;
  before?.abort();
}

class Refused extends Error {}

async function get(where, mine) {
  const late = setTimeout(() => mine.abort(), 1000 * (PATIENCE + 3 * took));
  try {
    const answer = await fetch(where, { cache: "no-store", signal: mine.signal });
    if (answer.status === 404) throw new Refused("The server knows nothing of this study.");
    if (!answer.ok && answer.status !== 410) throw new Refused("The server could not make this page; its terminal says why.");
    return await answer.text();
  } finally {
    clearTimeout(late);
  }
}

const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

function refresh(text) {
  const fresh = parsed(text);
  const wasCharted = document.getElementById("data") !== null;
  if (!wasCharted && fresh.getElementById("data") !== null) return void location.reload(); // the charts' script is in that page
  const active = document.activeElement;
  const anchor = anchored();
  match(document.getElementById("told"), fresh.getElementById("told"));
  match(document.querySelector("main"), fresh.querySelector("main"));
  if (wasCharted && fresh.getElementById("data") !== null) {
    drawCharts(JSON.parse(fresh.getElementById("data").textContent));
    shut();
    stop();
    for (const head of document.querySelectorAll(".sortable th[aria-sort]")) sortBy(head, head.getAttribute("aria-sort") === "descending");
  }
  document.title = fresh.title;
  document.body.dataset.version = fresh.body.dataset.version;
  if (active?.isConnected && document.activeElement !== active) active.focus({ preventScroll: true });
  if (anchor) window.scrollBy({ top: anchor.element.getBoundingClientRect().top - anchor.top, behavior: "instant" });
}

// The first element in sight, and where it is.
function anchored() {
  if (window.scrollY === 0) return null;
  for (const element of document.querySelectorAll("main > header, main > section > *, .studies > li")) {
    const { top, bottom } = element.getBoundingClientRect();
    if (bottom > 0) return { element, top };
  }
  return null;
}

const keyOf = (node) => node.id || node.dataset?.key || null;

// Makes one element like another one. What is alike stays, with its focus, what is open in it, and what was sorted.
function match(now, next) {
  if (now.isEqualNode(next)) return;
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.data !== next.data) now.data = next.data;
    return;
  }
  for (const { name } of [...now.attributes]) if (!next.hasAttribute(name) && !OWN.has(name)) now.removeAttribute(name);
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value && !OWN.has(name)) now.setAttribute(name, value);
  if (now.matches(".chart")) return; // its own script draws it
  const wanted = new Set([...next.childNodes].map(keyOf));
  const known = new Map();
  for (const child of [...now.childNodes]) {
    const key = keyOf(child);
    if (key && !wanted.has(key)) child.remove();
    else if (key) known.set(key, child);
  }
  let at = now.firstChild;
  for (const child of [...next.childNodes]) {
    const key = keyOf(child);
    const alike = key ? known.get(key) : at && !keyOf(at) && at.nodeName === child.nodeName ? at : null;
    if (alike && alike.nodeName === child.nodeName) {
      if (alike === at) at = at.nextSibling;
      else now.insertBefore(alike, at);
      match(alike, child);
    } else {
      now.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at) {
    const rest = at;
    at = at.nextSibling;
    rest.remove();
  }
}

function tell(text) {
  if (said.textContent !== text) said.textContent = text;
}

// Times as so long ago; the time itself is in the title.
function ago() {
  for (const time of document.querySelectorAll("time")) {
    const seconds = Math.max(0, Math.round((Date.now() - new Date(time.dateTime)) / 1000));
    const [n, unit] = seconds < 100 ? [seconds, "s"] : seconds < 6000 ? [Math.round(seconds / 60), "min"] : seconds < 172800 ? [Math.round(seconds / 3600), "h"] : [Math.round(seconds / 86400), "days"];
    const text = `${n} ${unit} ago`;
    time.title = new Date(time.dateTime).toLocaleString();
    if (time.textContent !== text) time.textContent = text;
  }
}

pause.hidden = false;
pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  tell(paused ? "This page stays as it is." : "");
  factor = 1;
  ask();
});
document.addEventListener("visibilitychange", () => {
  factor = 1;
  ask();
});
ago();
timer = setTimeout(ask, 1500);
