/* Lab: a slider of one's own from a few marked faces, and the sums of faces that the DCGAN paper began with. */

import { linkedFace, openInExplore } from "./address.js";
import { engineOf } from "./engine.js";
import { button, cut, icon, keepSliders, make, messageLine, ownSliders, pickable, randomSeed, save, t } from "./parts.js";
import { whenAnswering } from "./server.js";

const SHEET = 24;
const COLUMNS = 6;
const MARKS = ["", "has", "lacks"];

/* value: {checkpoint: name} */
export async function mount(root, gradio) {
  const engine = engineOf(gradio.server);
  return lab(root, engine, await engine.open(gradio.value.checkpoint));
}

function lab(root, engine, checkpoint) {
  let seeds = [];
  let marks = new Map(); // seed: "has" or "lacks"; they stay when other faces are shown
  let terms = { start: [], minus: [], plus: [] };
  let made = null; // the slider just made

  const message = messageLine();
  const attempt = async (work) => {
    message.clear();
    try {
      await work();
    } catch (error) {
      message.say(error.message);
    }
  };

  /* The same, again where the server was gone: what it shows is not the visitor's to repeat. */
  const lasting = async (work) => {
    let done = false;
    await attempt(async () => {
      await work();
      done = true;
    });
    const mine = checkpoint;
    if (!done) whenAnswering(() => mine === checkpoint && lasting(work));
  };

  // A slider of one's own

  const canvas = make("canvas", { className: "faces sheet", role: "img", "aria-label": t("Faces to mark") });
  const name = make("input", { type: "text", className: "number", maxLength: 30, value: t("my slider"), "aria-label": t("Name of the slider") });
  const count = make("p", { className: "hint", role: "status" });
  const fit = button(t("Make the slider"), () => attempt(makeSlider), { className: "button primary" });
  const trial = make("canvas", { className: "sheet", role: "img", hidden: true, "aria-label": t("A face along the slider") });
  const mine = make("ul", { className: "mine" });
  const marked = (kind) => [...marks].filter(([, mark]) => mark === kind).map(([seed]) => seed);
  const grid = pickable(canvas, COLUMNS, SHEET / COLUMNS, (index) => t("Mark face {n}", { n: index + 1 }), (index) => {
    const next = MARKS[(MARKS.indexOf(marks.get(seeds[index]) ?? "") + 1) % MARKS.length];
    if (next) marks.set(seeds[index], next);
    else marks.delete(seeds[index]);
    showMarks();
  });
  const cells = [...grid.querySelectorAll(".cell")];
  const load = make("input", { type: "file", accept: ".json", className: "hidden", "aria-label": t("Load a slider") });
  load.onchange = () => attempt(loadSlider);

  function showMarks() {
    cells.forEach((cell, i) => {
      const mark = marks.get(seeds[i]) ?? "";
      cell.dataset.mark = mark;
      const said = { "": t("not marked"), has: t("has it"), lacks: t("lacks it") }[mark];
      cell.setAttribute("aria-label", `${t("Mark face {n}", { n: i + 1 })}, ${said}`);
    });
    count.textContent = t("{has} have it, {lacks} lack it", { has: marked("has").length, lacks: marked("lacks").length });
    fit.disabled = marked("has").length < 2 || marked("lacks").length < 2;
  }

  const draw = (target, sheet) => {
    target.width = sheet.width;
    target.height = sheet.height;
    target.getContext("2d").drawImage(sheet, 0, 0);
    sheet.close();
  };

  const otherFaces = () => lasting(async () => {
    const mine = checkpoint;
    const wanted = Array.from({ length: SHEET }, randomSeed);
    const sheet = await engine.sheet(mine.name, wanted, COLUMNS);
    if (mine !== checkpoint) return;
    seeds = wanted;
    draw(canvas, sheet);
    canvas.dataset.shown = `${checkpoint.name} ${seeds.join(" ")}`;
    showMarks();
  });

  const same = (one, other) => one.name === other.name && one.checkpoint === other.checkpoint;

  async function makeSlider() {
    const about = { name: name.value.trim() || t("my slider"), checkpoint: checkpoint.name };
    const found = { ...about, vector: await engine.slider(checkpoint.name, marked("has"), marked("lacks")) };
    keepSliders([...ownSliders().filter((one) => !same(one, found)), found]);
    if (found.checkpoint !== checkpoint.name) return; // another one has been chosen meanwhile
    made = found;
    await showTrial();
  }

  /* The first face that lacks the trait, and what the slider makes of it. */
  async function showTrial() {
    const seed = marked("lacks")[0] ?? seeds[0];
    const steps = [-3, -2, -1, 0, 1, 2, 3].map((step) => ({ seed, shift: made.vector.map((value) => Math.round(1000 * step * value) / 1000) }));
    draw(trial, await engine.sheet(checkpoint.name, steps, steps.length));
    trial.hidden = false;
    trial.dataset.shown = made.name;
  }

  async function loadSlider() {
    const [file] = load.files;
    load.value = "";
    let found = null;
    try {
      found = JSON.parse(await file.text());
    } catch {
      // told below
    }
    const numbers = Array.isArray(found?.vector) && found.vector.every((value) => typeof value === "number");
    const good = numbers && Math.abs(Math.hypot(...found.vector) - 1) < 0.1 && typeof found.name === "string" && found.name.trim();
    if (!good) throw new Error(t("This file holds no slider: it is a JSON that Download made."));
    if (found.checkpoint !== checkpoint.name || found.vector.length !== checkpoint.nz) {
      throw new Error(t("This slider belongs to the checkpoint {name}.", { name: found.checkpoint }));
    }
    const slider = { name: found.name.trim().slice(0, 30), checkpoint: found.checkpoint, vector: found.vector };
    keepSliders([...ownSliders().filter((one) => !same(one, slider)), slider]);
  }

  function showMine() {
    const own = ownSliders().filter((one) => one.checkpoint === checkpoint.name);
    mine.replaceChildren(...own.map((one) => make("li", { className: "bar" },
      make("span", { className: "grow" }, one.name),
      button(t("Try it in Explore"), () => openInExplore({ ...linkedFace(checkpoint.names), checkpoint: checkpoint.name })),
      button(t("Download"), () => save(new Blob([JSON.stringify(one)], { type: "application/json" }), `${one.name}.json`)),
      button(icon("close"), () => keepSliders(ownSliders().filter((other) => !same(one, other))),
        { className: "button square", "aria-label": t("Remove {name}", { name: one.name }), title: t("Remove") }))));
  }

  // Arithmetic

  const result = make("canvas", { className: "sheet", role: "img", "aria-label": t("The sum, with its neighbours") });
  const parts = { start: t("Mean of"), minus: t("less the mean of"), plus: t("and the mean of") };
  const boards = Object.fromEntries(Object.keys(parts).map((part) => [part, make("div", { className: "trio" })]));
  const sums = pickable(result, 3, 3, (index) => (index === 4 ? t("Open the sum in Explore") : t("Open neighbour {n} in Explore", { n: index + 1 })), (index) => sums.open?.(index));

  /* Three faces for a part; a click takes another. */
  async function fillBoard(part) {
    const asked = String(terms[part]);
    const sheet = await engine.sheet(checkpoint.name, terms[part], 3);
    if (asked !== String(terms[part])) return; // others were asked for meanwhile
    boards[part].replaceChildren(...terms[part].map((seed, i) => {
      const one = button("", () => attempt(async () => {
        terms[part][i] = randomSeed();
        await fillBoard(part);
        await addUp();
      }), { className: "button thumb", "aria-label": t("{part} face {n}: take another", { part: parts[part], n: i + 1 }) });
      one.append(cut(sheet, 3, i, sheet.height));
      return one;
    }));
    sheet.close();
  }

  async function addUp() {
    const now = () => Object.values(terms).flat().join(" ");
    const asked = now();
    const origin = await engine.arithmetic(checkpoint.name, terms.start, terms.minus, terms.plus);
    const around = [1, 2, 3, 4, 0, 5, 6, 7, 8].map((step) => ({ origin, walk: step ? [step] : [] }));
    const sum = await engine.sheet(checkpoint.name, around, 3);
    if (asked !== now()) return;
    draw(result, sum);
    result.dataset.shown = `${checkpoint.name} ${asked}`;
    sums.open = (index) => openInExplore({ checkpoint: checkpoint.name, ...around[index] });
  }

  const otherTerms = () => lasting(async () => {
    terms = Object.fromEntries(Object.keys(terms).map((part) => [part, [randomSeed(), randomSeed(), randomSeed()]]));
    await Promise.all(Object.keys(terms).map(fillBoard));
    await addUp();
  });

  root.replaceChildren(make("div", { className: "explorer single lab" },
    message.element,
    make("section", { "aria-label": t("Make your own slider") },
      make("h2", {}, t("Make your own slider")),
      make("p", { className: "hint" }, t("Click a face once if it has what you look for (a smile, dark hair), twice if it lacks it. A few of each are enough; more are better.")),
      grid,
      make("div", { className: "bar wrap" }, button(t("Other faces"), otherFaces), make("label", { className: "field" }, name), fit, make("label", { className: "button load" }, t("Load a slider"), load)),
      count, trial, mine),
    make("section", { "aria-label": t("Arithmetic") },
      make("h2", {}, t("Arithmetic")),
      make("p", { className: "hint" }, t("Faces can be added and taken away, as numbers can: smiling woman - woman + man. Click a face to take another in its place; the sum stands in the middle of its neighbours.")),
      make("div", { className: "sum" }, ...Object.keys(parts).map((part) => make("figure", {}, make("figcaption", {}, parts[part]), boards[part])),
        make("figure", {}, make("figcaption", {}, t("is")), sums)),
      make("div", { className: "bar" }, button(t("Other faces"), otherTerms)))));

  function open(summary) {
    checkpoint = summary;
    marks = new Map();
    trial.hidden = true;
    showMine();
    otherFaces();
    otherTerms();
  }

  addEventListener("sliders", showMine);
  open(checkpoint);
  return { open: async ({ checkpoint: name }) => open(await engine.open(name)) };
}
