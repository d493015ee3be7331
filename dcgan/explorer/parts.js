/* Small parts that the components share. */

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
};

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const icon = (name) => svg("svg", { class: `icon ${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

const MAX_SEED = 2 ** 32 - 1;
const randomSeed = () => Math.floor(Math.random() * 1e6);

/* A seed with its dice. `onchange(seed)` hears of every new one. */
function seedField(label, seed, onchange) {
  const input = make("input", {
    type: "number", min: 0, max: MAX_SEED, step: 1, value: seed, inputMode: "numeric", className: "number",
  });
  const set = (value) => {
    input.value = value;
  };
  input.onchange = () => {
    const value = Math.min(MAX_SEED, Math.max(0, Math.floor(Number(input.value) || 0)));
    set(value);
    onchange(value);
  };
  const dice = button(icon("dice"), () => {
    set(randomSeed());
    onchange(Number(input.value));
  }, { className: "button square", "aria-label": `Random ${label.toLowerCase()}`, title: "Random" });
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

function slider(label, range, oninput) {
  const input = make("input", { type: "range", className: "range", "aria-label": label, ...range });
  input.oninput = () => oninput(Number(input.value));
  return input;
}

/* Play and pause. `step(seconds since the last one)` is called for every frame while playing and visible. */
function player(step) {
  let playing = false;
  let before = 0;
  const toggle = button(icon("play"), () => set(!playing), { className: "button square play", "aria-label": "Play" });
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
    toggle.setAttribute("aria-label", on ? "Pause" : "Play");
    before = performance.now();
    if (on) requestAnimationFrame(tick);
  }
  return { button: toggle, set };
}

const prefersStillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/* A line for errors, read aloud when it changes. */
function messageLine() {
  const line = make("p", { className: "message", role: "status" });
  return { element: line, say: (text) => (line.textContent = text), clear: () => line.textContent && (line.textContent = "") };
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
