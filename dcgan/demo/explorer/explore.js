/* Explore: one large face, its neighbours, and sliders for what it is made of.

   value: {checkpoint: name, faces: {seed: address of its picture}, space: owner/name on the Hub or null}; one of the
   faces is the first. */

import { MAX_TRUNCATION, MAX_WALK, link, linkedFace, shareable, writeFace } from "./address.js";
import { discard, latest, ofCheckpoint } from "./engine.js";
import { enlarge } from "./enlarge.js";
import { insideStrip } from "./inside.js";
import { opinionMeter } from "./opinion.js";
import { linkIn, marked, packetOf } from "./provenance.js";
import {
  button, captioned, choice, clamp, cut, div, hint, iconButton, largeFace, make, messageLine, ownSliders, paint,
  prefersStillness, save, seedField, slider, t, thumb,
} from "./parts.js";

const TOP = 10; // raw dimensions that a visitor sees first
const REACH = 3.5; // how far their sliders go: nearly all of a standard normal
const ENLARGED = 512; // side of an enlarged picture, at least
const CALM = 250; // milliseconds without a change, before the neighbours are drawn
const AGAIN = 5000; // milliseconds until a request that the server refused is made again
const MAX_UNDO = 200;
const AT_FIRST = 6; // named sliders in view
const SHOWN_OFF = 3; // of them are moved once by the page itself ...
const SWING = 2200; // milliseconds each ...
const PART = 0.7; // and so far
const TOUCHES = ["pointerdown", "keydown", "wheel"];
const COPIED = 2000; // milliseconds

export async function mount(root, gradio) {
  const { checkpoint, faces } = gradio.value;
  const seeds = Object.keys(faces);
  const seed = seeds[Math.floor(Math.random() * seeds.length)];
  const face = largeFace(t("Generated face"));
  root.replaceChildren(div("explorer", make("section", { className: "portrait" }, face.element)));
  if (faces[seed] && !/\b(face|seed)\b/.test(location.hash)) { // at once, before the generator is here
    const picture = make("img", { src: faces[seed] });
    await picture.decode();
    paint(face.canvas, picture);
    face.show();
  }
  const build = (...all) => explorer(...all, face, seed, gradio.value.space);
  return ofCheckpoint(build)(root, gradio);
}

function explorer(root, engine, checkpoint, _, __, face, firstSeed, space) {
  const { canvas } = face;
  const fresh = (seed, origin = null) =>
    ({ seed, truncation: 1, edits: {}, directions: {}, walk: [], origin, shift: null, moment: null, units: {} });
  const linked = linkedFace(checkpoint.names);
  const seedOf = ({ seeds }) => seeds[Math.floor(Math.random() * seeds.length)] ?? 0;
  let state = { checkpoint: checkpoint.name, ...fresh(Number(firstSeed ?? seedOf(checkpoint))), ...linked };
  let settled = state; // what undo would come back to
  let [past, future] = [[], []];
  let base = []; // the z of seed and walk
  let ranking = null;
  let order = "effect";
  let allShown = false;
  let [remembering, calming] = [0, 0]; // timers
  let [namedRows, dimensionRows, shownOff] = [[], [], []];

  const inside = insideStrip(engine, (units) => step({ units }));
  const message = messageLine();
  const seed = seedField(t("Seed"), state.seed,
    (value) => step({ ...fresh(value), truncation: state.truncation, moment: state.moment }));
  // The time machine: moments of the training whose generators are kept and, at the right end, the finished one.
  const moment = make("output");
  const momentSlider = slider(t("Time machine"), { min: 0, step: 1 },
    (at) => change({ moment: checkpoint.moments[at] ?? null }), settle);
  const timeMachine = captioned(t("Time machine"), moment, momentSlider, "moment");
  const undo = iconButton("undo", t("Undo"), () => travel(-1));
  const redo = iconButton("redo", t("Redo"), () => travel(1));
  const resetAll = button(t("Reset all"), () => step(fresh(state.seed, state.origin)));
  const opinion = opinionMeter(engine, canvas);
  const neighbours = make("div", { className: "strip", role: "group", "aria-label": t("Neighbours") });
  const [named, further, dimensions] = [div("rows named"), div("rows named"), div("rows")];
  const search = make("input", { type: "search", className: "number", placeholder: t("Number"), inputMode: "numeric",
    "aria-label": t("Search dimensions"), oninput: () => fillDimensions() });
  const ordering = choice(t("Order"), [["effect", t("Most effect")], ["number", t("By number")]], order, (value) => {
    order = value;
    fillDimensions();
  });
  const more = button("", () => {
    allShown = !allShown;
    fillDimensions();
  });
  const searching = make("label", { className: "field grow" }, make("span", { className: "caption" }, t("Search")), search);
  const raw = make("details", {},
    make("summary", {}, t("All {n} numbers of this face", { n: checkpoint.nz })), div("bar wrap", ordering, searching), dimensions, more);
  const enlargement = () => Math.ceil(ENLARGED / checkpoint.size);
  const saveNative = button("", () => savePicture(1));
  const saveLarge = button("", () => savePicture(enlargement()));
  const copyLink = button(t("Copy link"), async () => {
    remember("replaceState");
    const address = shareable(space);
    try {
      await navigator.clipboard.writeText(address);
      copyLink.textContent = t("Copied");
      setTimeout(() => (copyLink.textContent = t("Copy link")), COPIED);
    } catch {
      message.say(address); // where a page may not copy, the visitor can
    }
  });
  const enlarging = choice(t("Enlarge"), [["smooth", t("Smooth")], ["pixels", t("Pixels")]], "smooth",
    (kind) => face.element.classList.toggle("pixels", kind === "pixels"));
  const others = make("details", { className: "others" },
    make("summary", {}, t("More")), further, raw, div("bar wrap", enlarging));

  root.replaceChildren(div("explorer",
    make("section", { className: "portrait", "aria-label": t("Face") },
      face.element, message.element, div("bar wrap", copyLink, saveLarge, saveNative),
      div("around", div("caption", t("Neighbours: click to walk there")), neighbours), opinion.element),
    make("section", { className: "sliders", "aria-label": t("What it is made of") },
      make("h2", { className: "lead" }, t("Nobody here exists. Drag.")),
      named,
      div("bar wrap tools", seed.element, timeMachine, div("bar", undo, redo, resetAll)),
      inside.element, others)));

  const showFace = latest(engine.face, (drawn, shown) => {
    paint(canvas, drawn.picture);
    face.show();
    discard(drawn);
    canvas.dataset.shown = link(shown);
    canvas.ariaLabel = shown.origin ? t("Face found for a photo") : t("Generated face, seed {seed}", { seed: shown.seed });
    message.say("");
    opinion.show(shown);
  }, (error) => message.say(error.message));

  const lookAround = latest(engine.around, ({ sheet, numbers }, shown) => {
    if (shown !== state) return sheet.close();
    const focused = [...neighbours.children].indexOf(document.activeElement);
    const walk = (number) => step({ walk: [...state.walk, number].slice(-MAX_WALK) });
    neighbours.replaceChildren(...numbers.map((number, i) =>
      thumb(cut(sheet, numbers.length, i), t("Neighbour {n}", { n: i + 1 }), () => walk(number))));
    if (focused >= 0) neighbours.children[focused].focus();
    return sheet.close();
  }, (error) => message.say(error.message));

  /* A part of the state changes: many times in a drag. */
  function change(part) {
    state = { ...state, ...part };
    showFace(state); // before all else
    inside.show(state);
    if ("seed" in part || "walk" in part || "origin" in part) base = engine.latent(state, checkpoint.nz);
    show();
    clearTimeout(calming);
    calming = setTimeout(() => lookAround(state), CALM);
    remembering ||= setTimeout(() => remember("replaceState"), 400); // browsers allow a page only so many of these
  }

  /* What was changed is one step of undo. */
  function settle() {
    if (link(settled) === link(state)) return;
    past = [...past, settled].slice(-MAX_UNDO);
    future = [];
    settled = state;
    show();
  }

  /* A change that is a step in itself, for the Back button too. */
  function step(part) {
    settle();
    remember("replaceState");
    change(part);
    settle();
    remember("pushState");
  }

  /* Undo goes from the past to the future, redo the other way. */
  function travel(way) {
    settle(); // what has just been changed
    const [from, to] = way < 0 ? [past, future] : [future, past];
    if (!from.length) return;
    to.push(settled);
    settled = from.pop();
    change({ ...settled });
  }

  function remember(how) {
    clearTimeout(remembering);
    remembering = 0;
    writeFace(state, how);
  }

  function show() {
    seed.set(state.origin ? "" : state.seed);
    momentSlider.value = state.moment === null ? checkpoint.moments.length : checkpoint.moments.indexOf(state.moment);
    moment.value = state.moment === null ? t("fully trained") : t("{n} images seen", { n: state.moment.toLocaleString("en") });
    momentSlider.setAttribute("aria-valuetext", moment.value);
    resetAll.disabled = link(state) === link({ checkpoint: state.checkpoint, ...fresh(state.seed, state.origin) });
    undo.disabled = !past.length && link(settled) === link(state);
    redo.disabled = !future.length;
    for (const one of [...namedRows, ...dimensionRows]) one.show();
  }

  /* A slider with its name, value, reset and what its ends mean.
     of: {get() -> its value, put(value), clear(), edited() -> whether the visitor has set it}; rest: where it begins
     -> {element, show(): the state's value, preview(value)} */
  function row(title, name, [low, high], of, ends = [], rest = 0) {
    const label = ends.length ? t("{name}, from {low} to {high}", { name: title, low: ends[0], high: ends[1] }) : title;
    const value = make("output");
    const input = slider(label, { min: low, max: high, step: 0.01 }, of.put, settle);
    const reset = iconButton("reset", t("Reset {name}", { name: title }), () => {
      of.clear();
      settle();
      input.focus();
    }, { className: "reset" });
    const element = div("row", make("span", { className: "name", title: label }, name), input, value, reset);
    const meaning = make("div", { className: "ends", "aria-hidden": "true" }, ...ends.map((end) => make("span", {}, end)));
    if (ends.length) element.append(meaning);
    const mark = (name, z) => input.style.setProperty(name, (clamp(z, low, high) - low) / (high - low));
    mark("--zero", rest);
    let before = null;
    const display = (z = of.get()) => {
      const edited = of.edited();
      if (Number(input.value) !== z) input.value = z;
      if (before === `${z} ${edited}`) return; // in a drag, all but one of many
      before = `${z} ${edited}`;
      value.value = (Math.round(z * 100) / 100 || 0).toFixed(2); // never -0.00
      mark("--from", Math.min(rest, z));
      mark("--to", Math.max(rest, z));
      element.classList.toggle("edited", edited);
      reset.disabled = !edited;
    };
    display();
    return { element, show: () => display(), preview: display };
  }

  /* What a row has to do with `key` of the state's `part`; `unset()` is its value where the visitor has set none. */
  const entry = (part, key, unset = () => 0) => ({
    get: () => state[part][key] ?? unset(),
    put: (z) => change({ [part]: { ...state[part], [key]: z } }),
    clear: () => {
      const { [key]: _, ...others } = state[part];
      change({ [part]: others });
    },
    edited: () => key in state[part],
  });

  /* A slider of one's own: how far the state's shift goes along its vector, which has length 1. */
  function along(vector) {
    const get = () => (state.shift ?? []).reduce((sum, value, i) => sum + value * vector[i], 0);
    const put = (z) => {
      const more = z - get();
      const shift = vector.map((value, i) => Math.round(1000 * ((state.shift?.[i] ?? 0) + more * value)) / 1000);
      change({ shift: shift.some((value) => Math.abs(value) >= 0.005) ? shift : null });
    };
    return { get, put, clear: () => put(0), edited: () => Math.abs(get()) >= 0.02 };
  }

  /* One's own sliders, the named ones, how unusual a face is; what the machine found and nobody has named comes last. */
  function fillNamed() {
    const rowOf = ({ name, kind, low, high, ends }) => {
      const title = kind === "principal" ? t("unnamed {n}", { n: name.split(" ").pop() }) : t(name);
      return { direction: name, high, ...row(title, title, [low, high], entry("directions", name), ends.map((end) => t(end))) };
    };
    const [principal, labelled] = [true, false].map((wanted) =>
      checkpoint.directions.filter(({ kind }) => (kind === "principal") === wanted).map(rowOf));
    const own = ownSliders().filter((one) => one.checkpoint === checkpoint.name && one.vector.length === checkpoint.nz)
      .map(({ name, vector }) => row(name, name, [-3, 3], along(vector)));
    const unusual = { get: () => state.truncation, put: (truncation) => change({ truncation }), clear: () => change({ truncation: 1 }),
      edited: () => state.truncation !== 1 };
    const variety = row(t("variety"), t("variety"), [0, MAX_TRUNCATION], unusual, [t("average"), t("unusual")], 1);
    const all = [...labelled, ...principal];
    const [first, later] = [all.slice(0, AT_FIRST), all.slice(AT_FIRST)];
    namedRows = [...own, ...first, variety, ...later];
    shownOff = first.slice(0, SHOWN_OFF);
    named.replaceChildren(...[...own, ...first, variety].map(({ element }) => element));
    further.replaceChildren(...later.map(({ element }) => element));
    others.open = raw.open = further.hidden = others.firstChild.hidden = !all.length; // all that there is, is in view
  }

  /* Once, until somebody touches it, the page moves a few sliders by itself; the state, its address and undo stay. */
  function showOff() {
    if (linked || prefersStillness() || !root.offsetParent) return;
    const [still, rows, start] = [state, shownOff, performance.now()];
    let touched = false;
    for (const kind of TOUCHES) addEventListener(kind, () => (touched = true), { capture: true, once: true, passive: true });
    requestAnimationFrame(function move(now) {
      for (const one of rows) one.show();
      const turn = Math.max(0, now - start) / SWING;
      const one = rows[Math.floor(turn)];
      if (state !== still) return;
      if (touched || !one) return void showFace(state);
      const z = Math.round(100 * PART * one.high * Math.sin(2 * Math.PI * turn)) / 100;
      one.preview(z);
      showFace({ ...still, directions: { ...still.directions, [one.direction]: z } });
      requestAnimationFrame(move);
    });
  }

  /* All dimensions are a hundred sliders: they are made when someone looks. */
  function fillDimensions() {
    const sorted = order === "effect" && ranking ? ranking : [...Array(checkpoint.nz).keys()];
    const text = search.value.trim();
    const found = sorted.filter((d) => String(d).includes(text));
    dimensionRows = (text || allShown ? found : found.slice(0, TOP)).map((d) =>
      row(t("Dimension {n}", { n: d }), d, [-REACH, REACH], entry("edits", d, () => base[d] * state.truncation)));
    dimensions.replaceChildren(...dimensionRows.map((one) => one.element));
    const none = t("No such dimension: they go from 0 to {last}", { last: checkpoint.nz - 1 });
    if (!found.length) dimensions.append(hint(none));
    more.hidden = Boolean(text) || checkpoint.nz <= TOP;
    more.textContent = allShown ? t("Show fewer") : t("Show all {n}", { n: checkpoint.nz });
  }

  /* Begin with a checkpoint: its sliders, the most effective ones first. */
  function open(summary) {
    checkpoint = summary;
    const other = { checkpoint: summary.name, edits: {}, directions: {}, origin: null, shift: null, units: {} };
    if (state.checkpoint !== summary.name) state = { ...state, ...other };
    state = possible(state);
    timeMachine.hidden = !summary.moments.length;
    opinion.element.hidden = !summary.discriminator;
    momentSlider.max = summary.moments.length;
    [base, ranking, past, future, settled] = [engine.latent(state, summary.nz), null, [], [], state];
    saveNative.textContent = t("Save {n} px", { n: summary.size });
    saveLarge.textContent = t("Save {n} px", { n: summary.size * enlargement() });
    fillNamed();
    fillDimensions();
    change({});
    rank(summary);
  }

  /* The order of the dimensions, which the server may yet have to measure. */
  async function rank(summary) {
    try {
      const found = await engine.ranking(summary.name);
      if (summary !== checkpoint) return;
      ranking = found;
      fillDimensions();
    } catch {
      setTimeout(() => summary === checkpoint && rank(summary), AGAIN);
    }
  }

  /* A link may be older than the checkpoint: what that has not is left out, what goes too far is drawn back. */
  function possible(wanted) {
    const directions = checkpoint.directions
      .filter(({ name }) => Object.hasOwn(wanted.directions, name))
      .map(({ name, low, high }) => [name, clamp(wanted.directions[name], low, high)]);
    const edits = Object.entries(wanted.edits).filter(([dimension]) => dimension < checkpoint.nz);
    const moment = checkpoint.moments.includes(wanted.moment) ? wanted.moment : null;
    const [origin, shift] = [wanted.origin, wanted.shift].map((z) => (z?.length === checkpoint.nz ? z : null));
    return { ...wanted, shift, edits: Object.fromEntries(edits), directions: Object.fromEntries(directions), moment, origin };
  }

  function followLink() {
    const linked = linkedFace(checkpoint.names);
    if (!root.isConnected || !linked || link(linked) === link(state)) return;
    if (linked.checkpoint === checkpoint.name) {
      change(possible(linked));
      settle();
    } else state = linked; // until its checkpoint is opened
  }

  function savePicture(factor) {
    const pixels = make("canvas", { width: canvas.width * factor, height: canvas.height * factor });
    const context = pixels.getContext("2d");
    context.imageSmoothingEnabled = false;
    if (factor === 1 || face.element.classList.contains("pixels")) context.drawImage(canvas, 0, 0, pixels.width, pixels.height);
    else context.putImageData(enlarge(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), factor), 0, 0);
    const [name, made] = [`${state.checkpoint}-${state.origin ? "found" : state.seed}-${pixels.width}px.png`, link(state)];
    pixels.toBlob(async (picture) => save(await marked(picture, packetOf(checkpoint.marks, made)), name));
  }

  /* A picture that was made here says which face it shows. */
  root.ondragover = (event) => event.preventDefault();
  root.ondrop = async (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    const found = file && (await linkIn(file).catch(() => null)); // a folder, say
    if (found) location.hash = found;
    message.say(found && linkedFace(checkpoint.names) ? "" : t("This picture does not say which face of ours it shows."));
  };
  addEventListener("popstate", followLink);
  addEventListener("sliders", fillNamed);
  addEventListener("keydown", (event) => {
    const typing = document.activeElement?.matches("input:not([type=range]):not([type=radio]), textarea");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || typing || !root.offsetParent) return;
    event.preventDefault();
    travel(event.shiftKey ? 1 : -1);
  });
  if (state.checkpoint === checkpoint.name) open(checkpoint); // else a link leads to another, which will be opened
  engine.ready.then(showOff, () => {}); // a server need not draw that
  return open;
}
