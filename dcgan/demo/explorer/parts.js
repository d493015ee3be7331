/* Small parts that the components share. KOREAN, the translations, comes from the page. */

const words = navigator.language.startsWith("ko") ? KOREAN : {};

/* A text in the visitor's language. values take the place of {names}. */
const t = (text, values = {}) => (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);

/* What the server has to say, in the visitor's language. sentences: [[text, {gap: value}]] */
function spelled(sentences) {
  const millions = new Intl.NumberFormat(words === KOREAN ? "ko" : "en", { notation: "compact", compactDisplay: "long", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const rounded = (value) => (typeof value !== "number" ? words[value] ?? value : value < 1e6 ? value.toLocaleString("en") : millions.format(value));
  const said = ([text, gaps]) => t(text, Object.fromEntries(Object.entries(gaps).map(([gap, value]) => [gap, rounded(value)])));
  return sentences.map(said).join(" ");
}

/* An element: tag, properties (aria-* and data-* as attributes), children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function button(label, onclick, properties = {}) {
  return make("button", { type: "button", className: "button", onclick, ...properties }, label);
}

/* Icons are drawn here: not every device has a font that knows them. */
const ICONS = {
  dice: "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2ZM8 8h.01M16 8h.01M12 12h.01M8 16h.01M16 16h.01",
  play: "M7 4.5v15l12-7.5Z",
  pause: "M8 5v14M16 5v14",
  reset: "M4 5v5h5M4.5 10a8 8 0 1 1-.4 4",
  undo: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "m15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  close: "M6 6l12 12M18 6 6 18",
};

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const icon = (name) => svg("svg", { class: `icon ${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

const MAX_SEED = 2 ** 32 - 1;
const MAX_TRUNCATION = 1.5;
const MAX_WALK = 50;
const KEYS_REST = 700; // milliseconds
const randomSeed = () => Math.floor(Math.random() * 1e6);

/* A seed with its dice. `onchange(seed)` hears of every new one. */
function seedField(label, seed, onchange) {
  const input = make("input", {
    type: "number", min: 0, max: MAX_SEED, step: 1, value: seed, inputMode: "numeric", className: "number",
  });
  let last = seed;
  const set = (value) => {
    input.value = last = value;
  };
  input.onchange = () => {
    if (!input.value.trim()) return set(last); // emptied: as it was
    const value = Math.min(MAX_SEED, Math.max(0, Math.floor(Number(input.value) || 0)));
    set(value);
    return onchange(value);
  };
  const dice = button(icon("dice"), () => {
    set(randomSeed());
    onchange(Number(input.value));
  }, { className: "button square", "aria-label": `${t("Random seed")}${label === t("Seed") ? "" : `: ${label}`}`, title: t("Random seed") });
  return { element: make("div", { className: "field" }, make("label", {}, label, input), dice), set };
}

/* A choice of a few, shown side by side. choices: [[value, label]] */
function choice(legend, choices, value, onchange) {
  const group = make("fieldset", { className: "choice" }, make("legend", {}, legend));
  const name = `choice-${Math.random().toString(36).slice(2)}`;
  for (const [key, label] of choices) {
    const input = make("input", { type: "radio", name, value: key, checked: key === value });
    input.onchange = () => onchange(key);
    group.append(make("label", {}, input, make("span", {}, label)));
  }
  return group;
}

/* A slider. oninput(value) hears of each change, onrelease() when it comes to rest: keys pressed in a row are one move. */
function slider(label, range, oninput, onrelease = () => {}) {
  const input = make("input", { type: "range", className: "range", "aria-label": label, ...range });
  let before = null;
  let resting = 0;
  let keyed = false;
  input.oninput = () => oninput(Number(input.value));
  input.onchange = () => {
    clearTimeout(resting);
    if (keyed) resting = setTimeout(onrelease, KEYS_REST);
    else onrelease();
  };
  input.addEventListener("keydown", () => (keyed = true));
  input.onpointerdown = () => {
    keyed = false;
    before = input.value;
  };
  // A finger that scrolls the page began on it.
  input.onpointercancel = () => {
    input.value = before;
    oninput(Number(before));
    onrelease();
  };
  return input;
}

/* A picture of columns x rows faces, each of which can be picked, with the arrow keys as well.
   nameOf(index) -> what a screen reader says of it. */
function pickable(picture, columns, rows, nameOf, onpick) {
  const cells = Array.from({ length: columns * rows }, (_, index) => {
    const cell = make("button", { type: "button", className: "cell", tabIndex: index ? -1 : 0, "aria-label": nameOf(index) });
    cell.onclick = () => {
      cells.forEach((other) => other.removeAttribute("aria-current"));
      cell.setAttribute("aria-current", "true");
      focusCell(index, false);
      onpick(index);
    };
    return cell;
  });
  const focusCell = (index, move = true) => {
    cells.forEach((cell, i) => (cell.tabIndex = i === index ? 0 : -1));
    if (move) cells[index].focus();
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const overlay = make("div", { className: "cells", role: "group" }, ...cells);
  overlay.style.setProperty("--columns", columns);
  overlay.onkeydown = (event) => {
    const next = cells.indexOf(document.activeElement) + (steps[event.key] ?? NaN);
    if (!cells[next]) return;
    event.preventDefault();
    focusCell(next);
  };
  return make("div", { className: "pickable" }, picture, overlay);
}

/* A small canvas that shows one cell of a sheet. */
function cut(sheet, columns, index, size) {
  const small = make("canvas", { width: size, height: size });
  small.getContext("2d").drawImage(sheet, (index % columns) * size, Math.floor(index / columns) * size, size, size, 0, 0, size, size);
  return small;
}

/* Play and pause. `step(seconds since the last one)` is called for every frame while playing and visible. */
function player(step) {
  let playing = false;
  let before = 0;
  const toggle = button(icon("play"), () => set(!playing), { className: "button square play", "aria-label": t("Play") });
  function tick(now) {
    if (!playing || !toggle.isConnected) return;
    if (toggle.offsetParent) step(Math.min(0.1, (now - before) / 1000));
    before = now;
    requestAnimationFrame(tick);
  }
  function set(on) {
    if (on === playing) return;
    playing = on;
    toggle.replaceChildren(icon(on ? "pause" : "play"));
    toggle.setAttribute("aria-label", t(on ? "Pause" : "Play"));
    before = performance.now();
    if (on) requestAnimationFrame(tick);
  }
  return { button: toggle, set };
}

const prefersStillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/* A line for errors, read aloud when it changes. */
function messageLine() {
  const line = make("p", { className: "message", role: "status" });
  return { element: line, say: (text) => (line.textContent = words[text] ?? text), clear: () => line.textContent && (line.textContent = "") };
}

/* Everything that a face is made of, as part of an address, and back (null where it is no face of `names`). */
function link({ checkpoint, seed, truncation, edits, directions, walk, origin, shift, moment }) {
  const pairs = (values) => Object.entries(values).map(([key, value]) => `${key}:${value}`).join(",");
  const short = (values) => (values ?? []).map((value) => Math.round(value * 100)).join("."); // a hundred numbers in a short address
  const rest = { z: pairs(edits), d: pairs(directions), w: walk.join("."), o: short(origin), s: short(shift), t: String(moment ?? "") };
  return new URLSearchParams({ face: checkpoint, seed, truncation, ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value)) }).toString();
}

function readLink(names) {
  const values = new URLSearchParams(location.hash.slice(1));
  const checkpoint = values.get("face") ?? (values.has("seed") ? names[0] : null);
  if (!names.includes(checkpoint)) return null;
  const within = (text, low, high, otherwise) => {
    const number = Number.parseFloat(text);
    return number >= low && number <= high ? number : otherwise;
  };
  const pairs = (text, pattern) => {
    const found = {};
    for (const pair of (text ?? "").split(",")) {
      const [, key, value] = /^(.+):([^:]+)$/.exec(pair) ?? [];
      if (pattern.test(key) && Number.isFinite(Number(value))) found[key] = within(value, -20, 20, 0);
    }
    return found;
  };
  const edits = pairs(values.get("z"), /^\d{1,4}$/);
  const latent = (text) => {
    const found = (text ?? "").split(".").filter((value) => /^-?\d{1,3}$/.test(value)).map((value) => within(value, -600, 600, 0) / 100);
    return found.length ? found : null;
  };
  for (const key of Object.keys(edits)) edits[key] = Math.max(-6, Math.min(6, edits[key]));
  return {
    checkpoint,
    seed: Math.floor(within(values.get("seed"), 0, MAX_SEED, 0)),
    truncation: Math.min(MAX_TRUNCATION, within(values.get("truncation"), 0, 2, 1)),
    edits,
    directions: pairs(values.get("d"), /^[^,:]+$/),
    walk: (values.get("w") ?? "").split(".").filter((step) => /^\d{1,9}$/.test(step)).slice(0, MAX_WALK).map(Number),
    origin: latent(values.get("o")),
    shift: latent(values.get("s")),
    moment: /^\d{1,12}$/.test(values.get("t") ?? "") ? Number(values.get("t")) : null,
  };
}

/* Sliders of one's own, made in the Lab: [{name, checkpoint, vector}], kept as long as the browser's tab. */
function ownSliders() {
  try {
    return JSON.parse(sessionStorage.getItem("sliders") ?? "[]");
  } catch {
    return [];
  }
}

function keepSliders(sliders) {
  try {
    sessionStorage.setItem("sliders", JSON.stringify(sliders));
  } catch {
    // A browser that keeps nothing: they are gone with the page.
  }
  dispatchEvent(new Event("sliders"));
}

function openInExplore(face) {
  location.hash = link({ seed: 0, truncation: 1, edits: {}, directions: {}, walk: [], ...face });
  document.getElementById("tab-explore").click();
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/* Calls `start` when the element is first seen: a tab that nobody opens costs nothing. */
function whenSeen(element, start) {
  const observer = new ResizeObserver(() => {
    if (!element.offsetParent) return;
    observer.disconnect();
    start();
  });
  observer.observe(element);
}
