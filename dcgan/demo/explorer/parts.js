/* Small parts that the components share: words, elements, buttons, sliders. */

const isKorean = navigator.language.startsWith("ko");
const words = isKorean ? await (await fetch(new URL("ko.json", import.meta.url))).json() : {};
export const language = isKorean ? "ko" : "en";

/* A text in the visitor's language. values take the place of {names}. */
export const t = (text, values = {}) => (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);

/* What the server has to say, in the visitor's language. sentences: [[text, {gap: value}]] */
export function spelled(sentences) {
  const one = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  const millions = new Intl.NumberFormat(language, { notation: "compact", compactDisplay: "long", ...one });
  const rounded = (value) => {
    if (typeof value !== "number") return words[value] ?? value;
    return value < 1e6 ? value.toLocaleString("en") : millions.format(value);
  };
  const said = ([text, gaps]) => t(text, Object.fromEntries(Object.entries(gaps).map(([gap, value]) => [gap, rounded(value)])));
  return sentences.map(said).join(" ");
}

/* An element: tag, properties (aria-* and data-* as attributes), children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function button(label, onclick, properties = {}) {
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

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const icon = (name) => svg("svg", { class: `icon ${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

export const MAX_SEED = 2 ** 32 - 1;
const KEYS_REST = 700; // milliseconds
export const randomSeed = () => Math.floor(Math.random() * 1e6);

/* A seed with its dice. `onchange(seed)` hears of every new one. */
export function seedField(label, seed, onchange) {
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
export function choice(legend, choices, value, onchange) {
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
export function slider(label, range, oninput, onrelease = () => {}) {
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
export function pickable(picture, columns, rows, nameOf, onpick) {
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
export function cut(sheet, columns, index, size) {
  const small = make("canvas", { width: size, height: size });
  small.getContext("2d").drawImage(sheet, (index % columns) * size, Math.floor(index / columns) * size, size, size, 0, 0, size, size);
  return small;
}

/* Play and pause. `step(seconds since the last one)` is called for every frame while playing and visible. */
export function player(step) {
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

export const prefersStillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/* A line for errors, read aloud when it changes. */
export function messageLine() {
  const element = make("p", { className: "message", role: "status" });
  const say = (text) => element.textContent !== text && (element.textContent = text);
  return { element, say, clear: () => say("") };
}

export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/* Sliders of one's own, made in the Lab: [{name, checkpoint, vector}], kept as long as the browser's tab. */
export function ownSliders() {
  try {
    return JSON.parse(sessionStorage.getItem("sliders") ?? "[]");
  } catch {
    return [];
  }
}

export function keepSliders(sliders) {
  try {
    sessionStorage.setItem("sliders", JSON.stringify(sliders));
  } catch {
    // A browser that keeps nothing: they are gone with the page.
  }
  dispatchEvent(new Event("sliders"));
}
