/* Explore: one large face, its neighbours, and sliders for what it is made of.

   value: {checkpoint: name, faces: {seed: address of its picture}, space: owner/name on the Hub or null}; one of the
   faces is the first. */

import { MAX_TRUNCATION, MAX_WALK, PLAIN, link, linkedFace, shareable, writeFace } from "./address.js";
import { discard, latest, ofCheckpoint } from "./engine.js";
import { enlarge } from "./enlarge.js";
import { insideStrip } from "./inside.js";
import { NEIGHBOURS, walkedLatent } from "./latents.js";
import { opinionMeter } from "./opinion.js";
import { ownSliders } from "./own_sliders.js";
import { linkIn, marked, packetOf } from "./provenance.js";
import {
  button, calmed, captionedSlider, choice, clamp, cut, div, iconButton, largeFace, make, messageLine, paint, prefersStillness, save,
  seedField, t, thumb,
} from "./parts.js";
import { numberSliders, sliderRow } from "./sliders.js";

const REACH = 3.5; // how far sliders of numbers go: nearly all of a standard normal
const ENLARGED = 512; // side of an enlarged picture, at least
const CALM = 250; // milliseconds without a change, before the neighbours are drawn
const MAX_UNDO = 200;
const AT_FIRST = 6; // named sliders in view
const SHOWN_OFF = 3; // of them are moved once by the page itself ...
const SWING = 2200; // milliseconds each ...
const PART = 0.7; // and so far
const TOUCHES = ["pointerdown", "keydown", "wheel"];
const COPIED = 2000; // milliseconds

export async function mount(root, gradio) {
  const { faces, space } = gradio.value;
  const seeds = Object.keys(faces);
  const seed = seeds[Math.floor(Math.random() * seeds.length)];
  const face = largeFace(t("Generated face"));
  root.replaceChildren(div("explorer", make("section", { className: "portrait" }, face.element)));
  if (!/\b(face|seed)\b/.test(location.hash)) { // at once, before the generator is here
    const picture = make("img", { src: faces[seed] });
    await picture.decode();
    paint(face.canvas, picture);
    face.show();
  }
  const build = (root, engine, checkpoint) => explorer(root, engine, checkpoint, face, Number(seed), space);
  return ofCheckpoint(build)(root, gradio);
}

function explorer(root, engine, checkpoint, face, firstSeed, space) {
  const { canvas } = face;
  const fresh = (seed, origin = null) => ({ ...PLAIN, seed, origin });
  const linked = linkedFace(checkpoint.names);
  let state = { checkpoint: checkpoint.name, ...fresh(firstSeed), ...linked };
  let settled = state; // what undo would come back to
  let [past, future] = [[], []];
  let base = []; // the z of seed and walk
  let remembering = 0; // a timer
  let [namedRows, shownOff] = [[], []];

  const inside = insideStrip(engine, (units) => step({ units }));
  const message = messageLine();
  const seed = seedField(t("Seed"), state.seed,
    (value) => step({ ...fresh(value), truncation: state.truncation, moment: state.moment }));
  // Moments of the training whose generators are kept and, at the right end, the finished one.
  const timeMachine = captionedSlider(t("Time machine"), { min: 0, step: 1 },
    (at) => change({ moment: checkpoint.moments[at] ?? null }), settle);
  const undo = iconButton("undo", t("Undo"), () => travel(past, future));
  const redo = iconButton("redo", t("Redo"), () => travel(future, past));
  const resetAll = button(t("Reset all"), () => step(fresh(state.seed, state.origin)));
  const opinion = opinionMeter(engine, canvas);
  const neighbours = make("div", { className: "strip", role: "group", "aria-label": t("Neighbours") });
  const [named, further] = [div("rows named"), div("rows named")];
  const numbers = numberSliders((d) =>
    sliderRow(t("Dimension {n}", { n: d }), [-REACH, REACH], entry("edits", d, () => base[d] * state.truncation), settle, { name: d }));
  const saving = div("bar wrap");
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
    make("summary", {}, t("More")), further, numbers.element, div("bar wrap", enlarging));

  root.replaceChildren(div("explorer",
    make("section", { className: "portrait", "aria-label": t("Face") },
      face.element, message.element, saving,
      div("around", div("caption", t("Neighbours: click to walk there")), neighbours), opinion.element),
    make("section", { className: "sliders", "aria-label": t("What it is made of") },
      make("h2", { className: "lead" }, t("Nobody here exists. Drag.")),
      named,
      div("bar wrap tools", seed.element, timeMachine.element, div("bar", undo, redo, resetAll)),
      inside.element, others)));

  const showFace = latest(engine.face, (drawn, shown) => {
    paint(canvas, drawn.picture);
    face.show();
    discard(drawn);
    canvas.dataset.shown = link(shown);
    canvas.ariaLabel = shown.origin ? t("Face found for a photo") : t("Generated face, seed {seed}", { seed: shown.seed });
    message.say("");
    opinion.show(shown);
  }, message.fail);

  const lookAround = latest(async (face) => {
    const walks = Array.from({ length: NEIGHBOURS }, (_, i) => [...face.walk, NEIGHBOURS * face.walk.length + i].slice(-MAX_WALK));
    return { walks, sheet: await engine.sheet(face.checkpoint, walks.map((walk) => ({ ...face, walk })), NEIGHBOURS) };
  }, ({ walks, sheet }, shown) => {
    if (shown === state) {
      const focused = [...neighbours.children].indexOf(document.activeElement);
      neighbours.replaceChildren(...walks.map((walk, i) =>
        thumb(cut(sheet, NEIGHBOURS, i), t("Neighbour {n}", { n: i + 1 }), () => step({ walk }))));
      neighbours.children[focused]?.focus();
    }
    sheet.close();
  }, message.fail);

  const lookAroundSoon = calmed(CALM, () => lookAround(state));

  /* The order of the dimensions, which the server may yet have to measure. */
  const rank = latest(({ name }) => engine.ranking(name), (ranking, summary) => summary === checkpoint && numbers.rank(ranking), () => {});

  /* A part of the state changes: many times in a drag. */
  function change(part) {
    state = { ...state, ...part };
    showFace(state); // before all else
    inside.show(state);
    if ("seed" in part || "walk" in part || "origin" in part) base = walkedLatent(state, checkpoint.nz);
    show();
    lookAroundSoon();
    remembering ||= setTimeout(() => remember("replaceState"), 400); // browsers allow a page only so many of these
  }

  /* What was changed is one step of undo. */
  function settle() {
    if (link(settled) === link(state)) return;
    past.push(settled);
    if (past.length > MAX_UNDO) past.shift();
    future.length = 0;
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
  function travel(from, to) {
    settle(); // what has just been changed
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
    const { moment } = state;
    const { moments } = checkpoint;
    seed.set(state.origin ? "" : state.seed);
    if (moment === null) timeMachine.set(moments.length, t("fully trained"));
    else timeMachine.set(moments.indexOf(moment), t("{n} images seen", { n: moment.toLocaleString("en") }));
    resetAll.disabled = link(state) === link({ ...fresh(state.seed, state.origin), checkpoint: state.checkpoint });
    undo.disabled = !past.length && link(settled) === link(state);
    redo.disabled = !future.length;
    for (const row of namedRows) row.show();
    numbers.show();
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

  const unusual = {
    get: () => state.truncation,
    put: (truncation) => change({ truncation }),
    clear: () => change({ truncation: 1 }),
    edited: () => state.truncation !== 1,
  };

  /* One's own sliders, the named ones, how unusual a face is; what the machine found and nobody has named comes last. */
  function fillNamed() {
    const rowOf = ({ name, kind, low, high, ends }) => {
      const title = kind === "principal" ? t("unnamed {n}", { n: name.split(" ").pop() }) : t(name);
      const row = sliderRow(title, [low, high], entry("directions", name), settle, { ends: ends.map((end) => t(end)) });
      return { ...row, direction: name, high };
    };
    const isPrincipal = ({ kind }) => kind === "principal";
    const all = [...checkpoint.directions].sort((a, b) => isPrincipal(a) - isPrincipal(b)).map(rowOf);
    const own = ownSliders(checkpoint.name).filter(({ vector }) => vector.length === checkpoint.nz)
      .map(({ name, vector }) => sliderRow(name, [-3, 3], along(vector), settle));
    const variety = sliderRow(t("variety"), [0, MAX_TRUNCATION], unusual, settle, { ends: [t("average"), t("unusual")], rest: 1 });
    const [first, later] = [all.slice(0, AT_FIRST), all.slice(AT_FIRST)];
    namedRows = [...own, ...first, variety, ...later];
    shownOff = first.slice(0, SHOWN_OFF);
    named.replaceChildren(...[...own, ...first, variety].map(({ element }) => element));
    further.replaceChildren(...later.map(({ element }) => element));
    others.open = numbers.element.open = further.hidden = others.firstChild.hidden = !all.length; // all that there is, is in view
  }

  /* Once, until somebody touches it, the page moves a few sliders by itself; the state, its address and undo stay. */
  function showOff() {
    if (linked || prefersStillness() || !root.offsetParent) return;
    const [still, rows, start] = [state, shownOff, performance.now()];
    let touched = false;
    for (const kind of TOUCHES) addEventListener(kind, () => (touched = true), { capture: true, once: true, passive: true });
    requestAnimationFrame(function move(now) {
      for (const row of rows) row.show();
      const turn = Math.max(0, now - start) / SWING;
      const row = rows[Math.floor(turn)];
      if (state !== still) return;
      if (touched || !row) return void showFace(state);
      const z = Math.round(100 * PART * row.high * Math.sin(2 * Math.PI * turn)) / 100;
      row.show(z);
      showFace({ ...still, directions: { ...still.directions, [row.direction]: z } });
      requestAnimationFrame(move);
    });
  }

  /* Begin with a checkpoint. */
  function open(summary) {
    checkpoint = summary;
    const other = { checkpoint: summary.name, edits: {}, directions: {}, origin: null, shift: null, units: {} };
    if (state.checkpoint !== summary.name) state = { ...state, ...other };
    state = possible(state);
    timeMachine.element.hidden = !summary.moments.length;
    timeMachine.input.max = summary.moments.length;
    opinion.element.hidden = !summary.discriminator;
    [base, past, future, settled] = [walkedLatent(state, summary.nz), [], [], state];
    saving.replaceChildren(copyLink, ...[Math.ceil(ENLARGED / summary.size), 1].map((factor) =>
      button(t("Save {n} px", { n: factor * summary.size }), () => savePicture(factor))));
    fillNamed();
    numbers.open(summary.nz);
    change({});
    rank(summary);
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
    if (event.shiftKey) travel(future, past);
    else travel(past, future);
  });
  if (state.checkpoint === checkpoint.name) open(checkpoint); // else a link leads to another, which will be opened
  engine.ready.then(showOff, () => {}); // a server need not draw that
  return open;
}
