/* Lab: a slider of one's own from a few marked faces, and the sums of faces that the DCGAN paper began with.

   value: {checkpoint: name} */

import { linkedFace, openInExplore } from "./address.js";
import { latest, ofCheckpoint } from "./engine.js";
import { latentSum, traitDirection } from "./latents.js";
import { addSlider, ownSliders, removeSlider } from "./own_sliders.js";
import {
  button, cut, div, figure, hint, iconButton, make, messageLine, paint, pickable, randomSeed, save, someSeeds, t, thumb,
} from "./parts.js";

const SHEET = 24;
const COLUMNS = 6;
const MAX_NAME = 30; // letters
const MARKS = { // of a face
  "": { sign: "", meaning: t("not marked"), next: "+" },
  "+": { sign: "+", meaning: t("has it"), next: "-" },
  "-": { sign: "-", meaning: t("lacks it"), next: "" },
};

export const mount = ofCheckpoint((root, engine, checkpoint) => {
  const message = messageLine();
  const sections = [ownSlider, arithmetic].map((build) => build(engine, message));
  root.replaceChildren(div("explorer single lab", message.element, ...sections.map(({ element }) => element)));
  const open = (summary) => sections.forEach((section) => section.open(summary));
  open(checkpoint);
  return open;
});

function draw(canvas, sheet, ...shown) {
  paint(canvas, sheet);
  canvas.dataset.shown = shown.join(" ");
  sheet.close();
}

function ownSlider(engine, message) {
  let checkpoint = null;
  let seeds = []; // of the faces to mark
  let marks = new Map(); // of seeds; they stay when other faces are shown

  const canvas = figure("sheet", t("Faces to mark"));
  const name = make("input", { className: "number", maxLength: MAX_NAME, value: t("my slider"), ariaLabel: t("Name of the slider") });
  const count = hint("", { role: "status" });
  const fit = button(t("Make the slider"), () => message.attempt(makeSlider), { className: "button primary", disabled: true });
  const trial = figure("sheet", t("A face along the slider"), { hidden: true });
  const mine = make("ul", { className: "mine" });
  const load = make("input", { type: "file", accept: ".json", "aria-label": t("Load a slider") });
  load.onchange = () => message.attempt(loadSlider);
  const grid = pickable(canvas, COLUMNS, SHEET / COLUMNS, (index) => t("Mark face {n}", { n: index + 1 }), (index) => {
    marks.set(seeds[index], markOf(index).next);
    showMarks();
  });

  const showFaces = latest(async (wanted) => ({ sheet: await engine.sheet(wanted.name, wanted.seeds, COLUMNS) }),
    ({ sheet }, wanted) => {
      seeds = wanted.seeds;
      draw(canvas, sheet, wanted.name, ...seeds);
      showMarks();
      message.say("");
    }, message.fail);
  const otherFaces = (first) => showFaces({ name: checkpoint.name, seeds: someSeeds(SHEET, first) });

  const markOf = (index) => MARKS[marks.get(seeds[index]) ?? ""];
  const marked = (wanted) => [...marks].filter(([, mark]) => mark === wanted).map(([seed]) => seed);

  function showMarks() {
    grid.mark(markOf);
    const [has, lacks] = [marked("+").length, marked("-").length];
    count.textContent = t("{has} have it, {lacks} lack it", { has, lacks });
    fit.disabled = has < 2 || lacks < 2;
  }

  async function makeSlider() {
    const of = checkpoint.name;
    const [having, lacking] = [marked("+"), marked("-")];
    const examples = await Promise.all([having, lacking].map((faces) => engine.latents(of, faces)));
    const vector = traitDirection(...examples, await engine.signal(of));
    const made = { name: name.value.trim() || t("my slider"), checkpoint: of, vector };
    addSlider(made);
    // The first face that lacks the trait, and what the slider makes of it.
    const at = (step) => ({ seed: lacking[0], shift: vector.map((value) => Math.round(1000 * step * value) / 1000) });
    const sheet = await engine.sheet(of, [-3, -2, -1, 0, 1, 2, 3].map(at), 7);
    if (of !== checkpoint.name) return;
    trial.hidden = false;
    draw(trial, sheet, made.name);
  }

  async function loadSlider() {
    const [file] = load.files;
    load.value = "";
    const { name, checkpoint: of, vector } = (await file.text().then(JSON.parse).catch(() => null)) ?? {};
    const numbers = Array.isArray(vector) && vector.every((value) => typeof value === "number");
    const unit = numbers && Math.abs(Math.hypot(...vector) - 1) < 0.1;
    if (!unit || typeof name !== "string" || !name.trim()) {
      throw new Error(t("This file holds no slider: it is a JSON that Download made."));
    }
    if (of !== checkpoint.name || vector.length !== checkpoint.nz) {
      throw new Error(t("This slider belongs to the checkpoint {name}.", { name: of }));
    }
    addSlider({ name: name.trim().slice(0, MAX_NAME), checkpoint: of, vector });
  }

  function showMine() {
    const { name: of, names } = checkpoint;
    const file = (one) => new Blob([JSON.stringify(one)], { type: "application/json" });
    mine.replaceChildren(...ownSliders(of).map((one) => make("li", { className: "bar" },
      make("span", { className: "grow" }, one.name),
      button(t("Try it in Explore"), () => openInExplore({ ...linkedFace(names), checkpoint: of })),
      button(t("Download"), () => save(file(one), `${one.name}.json`)),
      iconButton("close", t("Remove {name}", { name: one.name }), () => removeSlider(one)))));
  }

  addEventListener("sliders", showMine);
  return {
    element: make("section", { "aria-label": t("Make your own slider") },
      make("h2", {}, t("Make your own slider")),
      hint(t("Click a face once if it has what you look for (a smile, dark hair), twice if it lacks it. A few of each are enough; more are better.")),
      grid.element,
      div("bar wrap", button(t("Other faces"), () => otherFaces()), make("label", { className: "field" }, name), fit,
        make("label", { className: "button load" }, t("Load a slider"), load)),
      count, trial, mine),
    open: (summary) => {
      checkpoint = summary;
      marks = new Map();
      trial.hidden = true;
      showMine();
      otherFaces(summary.seeds);
    },
  };
}

function arithmetic(engine, message) {
  let checkpoint = null;
  let terms = []; // nine seeds: of three means, three each
  let sums = []; // the faces of the result

  const result = figure("sheet", t("The sum, with its neighbours"));
  const cellName = (index) => (index === 4 ? t("Open the sum in Explore") : t("Open neighbour {n} in Explore", { n: index + 1 }));
  const { element: grid } = pickable(result, 3, 3, cellName, (index) => openInExplore(sums[index]));
  grid.inert = true; // until there are faces to open
  const parts = [t("Mean of"), t("less the mean of"), t("and the mean of")];
  const nameOf = (index) => t("{part} face {n}: take another", { part: parts[Math.floor(index / 3)], n: 1 + (index % 3) });
  const pictures = Array.from({ length: 9 }, () => make("canvas", { width: 1, height: 1 }));
  const thumbs = pictures.map((picture, i) => thumb(picture, nameOf(i), () => change(terms.with(i, randomSeed()))));

  const add = latest(async ({ name, seeds }) => {
    const sheet = await engine.sheet(name, seeds, 9);
    const latents = await engine.latents(name, seeds);
    const origin = latentSum(...[0, 3, 6].map((first) => latents.slice(first, first + 3)));
    const faces = [1, 2, 3, 4, 0, 5, 6, 7, 8].map((step) => ({ checkpoint: name, origin, walk: step ? [step] : [] }));
    return { sheet, faces, sum: await engine.sheet(name, faces, 3) };
  }, ({ sheet, faces, sum }, { name, seeds }) => {
    pictures.forEach((picture, i) => cut(sheet, 9, i, picture));
    sheet.close();
    sums = faces;
    grid.inert = false;
    draw(result, sum, name, ...seeds);
    message.say("");
  }, message.fail);

  function change(seeds) {
    terms = seeds;
    add({ name: checkpoint.name, seeds });
  }

  const captioned = (caption, picture) => make("figure", {}, make("figcaption", {}, caption), picture);
  return {
    element: make("section", { "aria-label": t("Arithmetic") },
      make("h2", {}, t("Arithmetic")),
      hint(t("Faces can be added and taken away, as numbers can: smiling woman - woman + man. Click a face to take another in its place; the sum stands in the middle of its neighbours.")),
      div("sum", ...parts.map((part, i) => captioned(part, div("trio", ...thumbs.slice(3 * i, 3 * i + 3)))),
        captioned(t("is"), grid)),
      div("bar", button(t("Other faces"), () => change(someSeeds(9))))),
    open: (summary) => {
      checkpoint = summary;
      change(someSeeds(9, summary.seeds));
    },
  };
}
