/* Lab: a slider of one's own from a few marked faces, and the sums of faces that the DCGAN paper began with.

   value: {checkpoint: name} */

import { linkedFace, openInExplore } from "./address.js";
import { ofCheckpoint } from "./engine.js";
import {
  button, cut, div, figure, hint, iconButton, keepSliders, make, messageLine, ownSliders, paint, pickable, randomSeed, save,
  someSeeds, t, thumb,
} from "./parts.js";
import { whenAnswering } from "./server.js";

const SHEET = 24;
const COLUMNS = 6;
const MAX_NAME = 30; // letters
const MARKS = ["", "has", "lacks"];

export const mount = ofCheckpoint((root, engine, checkpoint) => {
  const message = messageLine();
  const slider = ownSlider(engine, attempt, () => checkpoint);
  const sum = arithmetic(engine, attempt, () => checkpoint);
  root.replaceChildren(div("explorer single lab", message.element, slider.element, sum.element));

  /* Work whose failure is said; `again`: and which is done again when a server that was gone is back. */
  async function attempt(work, again = false) {
    const mine = checkpoint;
    message.say("");
    try {
      await work(mine);
    } catch (error) {
      message.say(error.message);
      if (again) whenAnswering(() => mine === checkpoint && attempt(work, again));
    }
  }

  function open(summary) {
    checkpoint = summary;
    slider.open();
    sum.open();
  }

  open(checkpoint);
  return open;
});

function draw(canvas, sheet, shown) {
  paint(canvas, sheet);
  canvas.dataset.shown = shown;
  sheet.close();
}

function ownSlider(engine, attempt, now) {
  let seeds = [];
  let marks = new Map(); // seed: "has" or "lacks"; they stay when other faces are shown

  const canvas = figure("sheet", t("Faces to mark"));
  const name = make("input", { className: "number", maxLength: MAX_NAME, value: t("my slider"), ariaLabel: t("Name of the slider") });
  const count = make("p", { className: "hint", role: "status" });
  const fit = button(t("Make the slider"), () => attempt(makeSlider), { className: "button primary" });
  const trial = figure("sheet", t("A face along the slider"), { hidden: true });
  const mine = make("ul", { className: "mine" });
  const marked = (kind) => [...marks].filter(([, mark]) => mark === kind).map(([seed]) => seed);
  const grid = pickable(canvas, COLUMNS, SHEET / COLUMNS, (index) => t("Mark face {n}", { n: index + 1 }), (index) => {
    const next = MARKS[(MARKS.indexOf(marks.get(seeds[index]) ?? "") + 1) % MARKS.length];
    if (next) marks.set(seeds[index], next);
    else marks.delete(seeds[index]);
    showMarks();
  });
  const cells = [...grid.querySelectorAll(".cell")];
  const load = make("input", { type: "file", accept: ".json", "aria-label": t("Load a slider") });
  load.onchange = () => attempt(loadSlider);
  const otherFaces = (first) => attempt(async (checkpoint) => {
    const wanted = someSeeds(SHEET, first ? checkpoint.seeds : []);
    const sheet = await engine.sheet(checkpoint.name, wanted, COLUMNS);
    if (checkpoint !== now()) return;
    seeds = wanted;
    draw(canvas, sheet, `${checkpoint.name} ${seeds.join(" ")}`);
    showMarks();
  }, true);

  function showMarks() {
    const meanings = { "": t("not marked"), has: t("has it"), lacks: t("lacks it") };
    cells.forEach((cell, i) => {
      cell.dataset.mark = marks.get(seeds[i]) ?? "";
      cell.setAttribute("aria-label", `${t("Mark face {n}", { n: i + 1 })}, ${meanings[cell.dataset.mark]}`);
    });
    count.textContent = t("{has} have it, {lacks} lack it", { has: marked("has").length, lacks: marked("lacks").length });
    fit.disabled = marked("has").length < 2 || marked("lacks").length < 2;
  }

  const same = (one, other) => one.name === other.name && one.checkpoint === other.checkpoint;
  const without = (slider) => ownSliders().filter((one) => !same(one, slider));
  const keep = (slider) => keepSliders([...without(slider), slider]);

  async function makeSlider(checkpoint) {
    const vector = await engine.slider(checkpoint.name, marked("has"), marked("lacks"));
    const made = { name: name.value.trim() || t("my slider"), checkpoint: checkpoint.name, vector };
    keep(made);
    // The first face that lacks the trait, and what the slider makes of it.
    const at = (step) => ({ seed: marked("lacks")[0], shift: vector.map((value) => Math.round(1000 * step * value) / 1000) });
    const sheet = await engine.sheet(checkpoint.name, [-3, -2, -1, 0, 1, 2, 3].map(at), 7);
    if (checkpoint !== now()) return;
    trial.hidden = false;
    draw(trial, sheet, made.name);
  }

  async function loadSlider(checkpoint) {
    const [file] = load.files;
    load.value = "";
    const found = await file.text().then(JSON.parse).catch(() => null);
    const numbers = Array.isArray(found?.vector) && found.vector.every((value) => typeof value === "number");
    const unit = numbers && Math.abs(Math.hypot(...found.vector) - 1) < 0.1;
    if (!unit || typeof found.name !== "string" || !found.name.trim()) {
      throw new Error(t("This file holds no slider: it is a JSON that Download made."));
    }
    if (found.checkpoint !== checkpoint.name || found.vector.length !== checkpoint.nz) {
      throw new Error(t("This slider belongs to the checkpoint {name}.", { name: found.checkpoint }));
    }
    keep({ name: found.name.trim().slice(0, MAX_NAME), checkpoint: found.checkpoint, vector: found.vector });
  }

  function showMine() {
    const { name: checkpoint, names } = now();
    const file = (one) => new Blob([JSON.stringify(one)], { type: "application/json" });
    const here = ownSliders().filter((one) => one.checkpoint === checkpoint);
    mine.replaceChildren(...here.map((one) => make("li", { className: "bar" },
      make("span", { className: "grow" }, one.name),
      button(t("Try it in Explore"), () => openInExplore({ ...linkedFace(names), checkpoint })),
      button(t("Download"), () => save(file(one), `${one.name}.json`)),
      iconButton("close", t("Remove {name}", { name: one.name }), () => keepSliders(without(one))))));
  }

  addEventListener("sliders", showMine);
  return {
    element: make("section", { "aria-label": t("Make your own slider") },
      make("h2", {}, t("Make your own slider")),
      hint(t("Click a face once if it has what you look for (a smile, dark hair), twice if it lacks it. A few of each are enough; more are better.")),
      grid,
      div("bar wrap", button(t("Other faces"), () => otherFaces(false)), make("label", { className: "field" }, name), fit,
        make("label", { className: "button load" }, t("Load a slider"), load)),
      count, trial, mine),
    open: () => {
      marks = new Map();
      trial.hidden = true;
      showMine();
      otherFaces(true);
    },
  };
}

function arithmetic(engine, attempt, now) {
  const parts = { start: t("Mean of"), minus: t("less the mean of"), plus: t("and the mean of") };
  let terms = {}; // {part: three seeds}

  const result = figure("sheet", t("The sum, with its neighbours"));
  const boards = Object.fromEntries(Object.keys(parts).map((part) => [part, div("trio")]));
  let faces = []; // of the result
  const cellName = (index) => (index === 4 ? t("Open the sum in Explore") : t("Open neighbour {n} in Explore", { n: index + 1 }));
  const sums = pickable(result, 3, 3, cellName, (index) => openInExplore({ checkpoint: now().name, ...faces[index] }));
  sums.inert = true; // until there are faces to open
  const otherTerms = (first) => attempt(async (checkpoint) => {
    const seeds = someSeeds(9, first ? checkpoint.seeds : []);
    terms = { start: seeds.slice(0, 3), minus: seeds.slice(3, 6), plus: seeds.slice(6) };
    await show(checkpoint);
  }, true);

  /* Three faces for each part, of which a click takes another, and what they add up to. */
  async function show(checkpoint) {
    const shown = terms;
    for (const [part, board] of Object.entries(boards)) {
      const sheet = await engine.sheet(checkpoint.name, shown[part], 3);
      if (shown !== terms || checkpoint !== now()) return;
      board.replaceChildren(...shown[part].map((_, i) => {
        const another = shown[part].map((seed, j) => (i === j ? randomSeed() : seed));
        const name = t("{part} face {n}: take another", { part: parts[part], n: i + 1 });
        return thumb(cut(sheet, 3, i), name, () => attempt((checkpoint) => {
          terms = { ...terms, [part]: another };
          return show(checkpoint);
        }));
      }));
      sheet.close();
    }
    const origin = await engine.arithmetic(checkpoint.name, shown.start, shown.minus, shown.plus);
    const around = [1, 2, 3, 4, 0, 5, 6, 7, 8].map((step) => ({ origin, walk: step ? [step] : [] }));
    const sheet = await engine.sheet(checkpoint.name, around, 3);
    if (shown !== terms || checkpoint !== now()) return;
    faces = around;
    sums.inert = false;
    draw(result, sheet, `${checkpoint.name} ${Object.values(shown).flat().join(" ")}`);
  }

  return {
    element: make("section", { "aria-label": t("Arithmetic") },
      make("h2", {}, t("Arithmetic")),
      hint(t("Faces can be added and taken away, as numbers can: smiling woman - woman + man. Click a face to take another in its place; the sum stands in the middle of its neighbours.")),
      div("sum", ...Object.keys(parts).map((part) => make("figure", {}, make("figcaption", {}, parts[part]), boards[part])),
        make("figure", {}, make("figcaption", {}, t("is")), sums)),
      div("bar", button(t("Other faces"), () => otherTerms(false)))),
    open: () => otherTerms(true),
  };
}
