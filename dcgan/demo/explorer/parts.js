/* Small parts that the components share: words, elements, buttons, sliders. */

import { enlarge } from "./enlarge.js";

const fetched = async () => (await fetch(new URL("ko.json", import.meta.url))).json();
const korean = navigator.language.startsWith("ko") ? await fetched().catch(() => null) : null; // English without it
const words = korean ?? {};
export const language = korean ? "ko" : "en";

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

export const div = (className, ...children) => make("div", { className }, ...children);
export const hint = (text, properties = {}) => make("p", { className: "hint", ...properties }, text);

/* A canvas that a screen reader takes for a picture with this name. */
export const figure = (className, label, properties = {}) =>
  make("canvas", { className, role: "img", "aria-label": label, ...properties });

/* A large face: a canvas with its own pixels and, above it, one that shows them enlarged; show() follows the first. */
export function largeFace(label) {
  const canvas = figure("face", label);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const above = make("canvas", { className: "enlarged", "aria-hidden": "true" });
  const show = () => {
    const image = enlarge(context.getImageData(0, 0, canvas.width, canvas.height));
    if (above.width !== image.width) above.width = above.height = image.width;
    above.getContext("2d").putImageData(image, 0, 0);
  };
  return { element: div("large", canvas, above), canvas, above, show };
}

export const button = (label, onclick, properties = {}) =>
  make("button", { type: "button", className: "button", onclick, ...properties }, label);

export const iconButton = (name, label, onclick, properties = {}) =>
  button(icon(name), onclick, { className: "button square", "aria-label": label, title: label, ...properties });

/* A picture that is a button. */
export const thumb = (picture, label, onclick) => button(picture, onclick, { className: "thumb", "aria-label": label });

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

const icon = (name) =>
  svg("svg", { class: `icon ${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

export const MAX_SEED = 2 ** 32 - 1;
const KEYS_REST = 700; // milliseconds
export const randomSeed = () => Math.floor(Math.random() * 1e6);

/* `count` seeds: of the given ones, in any order, and random ones after them. */
export const someSeeds = (count, first = []) => {
  const mixed = [...first].sort(() => Math.random() - 0.5);
  return Array.from({ length: count }, (_, i) => mixed[i] ?? randomSeed());
};
export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/* A number field for a seed, with dice. `onchange(seed)` hears of every new one. */
export function seedField(label, seed, onchange) {
  const input = make("input", { type: "number", className: "number", min: 0, max: MAX_SEED, value: seed, inputMode: "numeric" });
  let last = seed;
  const set = (value) => (input.value = last = value);
  input.onchange = () => {
    if (!input.value) return set(last); // emptied
    set(clamp(Math.floor(input.value), 0, MAX_SEED));
    return onchange(last);
  };
  const dice = iconButton("dice", t("Random seed"), () => onchange(set(randomSeed())));
  if (label !== t("Seed")) dice.setAttribute("aria-label", `${t("Random seed")}: ${label}`);
  return { element: div("field", make("label", {}, label, input), dice), set };
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
  const releaseSoon = calmed(KEYS_REST, onrelease);
  let [before, keyed] = [null, false];
  input.oninput = () => oninput(Number(input.value));
  input.onchange = () => (keyed ? releaseSoon() : onrelease());
  input.addEventListener("keydown", () => (keyed = true));
  input.onpointerdown = () => ([before, keyed] = [input.value, false]);
  input.onpointercancel = () => { // the finger scrolls the page
    input.value = before;
    input.oninput();
    onrelease();
  };
  return input;
}

/* A slider under its name and what it stands at; set(value, text): that, and how it is said. */
export function captionedSlider(title, range, oninput, onrelease) {
  const output = make("output");
  const input = slider(title, range, oninput, onrelease);
  const set = (value, text) => {
    [input.value, output.value] = [value, text];
    input.setAttribute("aria-valuetext", text);
  };
  return { element: div("field captioned", div("caption", title, output), input), input, set };
}

/* A picture of columns x rows faces, each of which can be picked, with the arrow keys as well. nameOf(index) -> what a
   screen reader says of it -> {element, cells, mark(of)}; of(index) -> {sign: what a cell is marked with, meaning} */
export function pickable(picture, columns, rows, nameOf, onpick) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const cells = Array.from({ length: columns * rows }, (_, index) => {
    const cell = button("", pick, { className: "cell", tabIndex: index ? -1 : 0, "aria-label": nameOf(index) });
    function pick() {
      cells.forEach((other) => other.setAttribute("aria-current", other === cell));
      onpick(index);
    }
    cell.onfocus = () => cells.forEach((other) => (other.tabIndex = other === cell ? 0 : -1));
    cell.onkeydown = (event) => {
      const next = cells[index + steps[event.key]];
      if (!next) return;
      event.preventDefault();
      next.focus();
    };
    return cell;
  });
  const overlay = make("div", { className: "cells", role: "group" }, ...cells);
  overlay.style.setProperty("--columns", columns);
  const mark = (of) => cells.forEach((cell, index) => {
    const { sign, meaning } = of(index);
    cell.dataset.mark = sign;
    cell.setAttribute("aria-label", `${nameOf(index)}, ${meaning}`);
  });
  return { element: div("pickable", picture, overlay), cells, mark };
}

/* The picture at an address. */
export const bitmap = async (address) => createImageBitmap(await (await fetch(address)).blob());

/* Show a picture in a canvas, which takes its size. */
export function paint(canvas, picture) {
  if (canvas.width !== picture.width) [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/* One square cell of a sheet as drawImage takes it: the sheet, x, y, width and height. */
export function cell(sheet, columns, index) {
  const size = sheet.width / columns;
  return [sheet, (index % columns) * size, Math.floor(index / columns) * size, size, size];
}

/* A canvas that shows one cell of a sheet. */
export function cut(sheet, columns, index, canvas = make("canvas")) {
  const size = (canvas.width = canvas.height = sheet.width / columns);
  canvas.getContext("2d").drawImage(...cell(sheet, columns, index), 0, 0, size, size);
  return canvas;
}

/* Play and pause. `step(seconds since the last one)` is called for every frame while playing and visible. */
export function player(step) {
  let [playing, before] = [false, 0];
  const toggle = button(icon("play"), () => set(!playing), { className: "button square", "aria-label": t("Play") });
  function tick(now) {
    if (!playing || !toggle.isConnected) return;
    if (toggle.offsetParent) step(clamp((now - before) / 1000, 0, 0.1)); // a frame may have begun before the click
    before = now;
    requestAnimationFrame(tick);
  }
  function set(on) {
    if (on === playing) return;
    [playing, before] = [on, performance.now()];
    toggle.replaceChildren(icon(on ? "pause" : "play"));
    toggle.setAttribute("aria-label", t(on ? "Pause" : "Play"));
    if (on) requestAnimationFrame(tick);
  }
  return { button: toggle, set };
}

/* A function that has act() called when it has not been called itself for so many milliseconds. */
export function calmed(milliseconds, act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
}

export const prefersStillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/* A line that is read aloud when it changes: say("") empties it, fail(error) and attempt(work) say what went wrong. */
export function messageLine(className = "message") {
  const element = make("p", { className, role: "status" });
  const say = (text) => element.textContent !== text && (element.textContent = text);
  const fail = (error) => say(error.message);
  const attempt = (work) => work().then(() => say(""), fail);
  return { element, say, fail, attempt };
}

export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
