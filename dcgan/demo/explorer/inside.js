/* A look inside the generator: what some channels of each layer answer to a face, which can be switched off or made
   stronger, to see what they paint: a toy of Bau et al. 2019, GAN Dissection. */

import { latest } from "./engine.js";
import { button, calmed, cell, cut, div, figure, hint, make, messageLine, pickable, t } from "./parts.js";

const REST = 120; // milliseconds without a change, before it is drawn what a channel paints
const FACTORS = { // of a channel
  1: { sign: "", meaning: t("as it is"), next: 0 },
  0: { sign: "×0", meaning: t("switched off"), next: 3 },
  3: { sign: "×3", meaning: t("three times as strong"), next: 1 },
};
const factorOf = (factor) => FACTORS[factor] ?? { sign: "", meaning: `× ${factor}`, next: 1 }; // any, in a link

function title(layer, layers, side) {
  const hidden = [t("the first idea"), t("where things go"), t("shapes")][Math.min(layer, 2)];
  const name = layer === layers - 1 ? t("the colours") : layer === layers - 2 && layer ? t("lines and light") : hidden;
  return `${side} × ${side}: ${name}`;
}

/* put(units): gives the generator other factors -> {element, show(face)} */
export function insideStrip(engine, put) {
  let face = null; // that is shown
  let probed = null; // the channel that is looked at
  let [rows, shape] = [[], ""];
  const layers = div("layers");
  const reset = button(t("As it was"), () => put({}));
  const painted = figure("painted", t("What it paints"));
  const invitation = hint("");
  const message = messageLine();
  const element = make("details", { className: "others" },
    make("summary", {}, t("Look inside the generator")), invitation, message.element,
    div("inside", layers, div("probe", make("figure", {}, painted, make("figcaption", { className: "hint" }, t("What it paints"))), reset)));

  const look = latest(engine.inside, (answer, shown) => {
    build(answer);
    answer.forEach(({ maps }, i) => rows[i].canvas.getContext("2d").putImageData(maps, 0, 0));
    layers.dataset.shown = JSON.stringify(shown.units);
    message.say("");
  }, message.fail);

  /* The face with a channel beside the one without it: what differs. */
  const probe = latest(async ({ units, ...rest }) => {
    const both = [1, 0].map((on) => ({ ...rest, units: { ...units, [probed]: on * (units[probed] || 1) } }));
    return { sheet: await engine.sheet(rest.checkpoint, both, 2) };
  }, ({ sheet }) => {
    const context = cut(sheet, 2, 0, painted).getContext("2d");
    context.globalCompositeOperation = "difference";
    context.drawImage(...cell(sheet, 2, 1), 0, 0, painted.width, painted.height);
    sheet.close();
  }, () => {});

  /* The rows of another generator. */
  function build(answer) {
    const now = JSON.stringify(answer.map(({ channels }) => channels));
    if (now === shape) return;
    shape = now;
    invitation.textContent = t("The generator paints a face in {n} steps, from coarse to fine. Each small picture is one of its brushes at work on this face. Touch one to switch it off, again to make it stronger, and see what it paints.", { n: answer.length });
    rows = answer.map(({ channels, maps: { width, height } }, i) => {
      const units = channels.map((channel) => `${i}.${channel}`);
      const canvas = make("canvas", { width, height });
      const nameOf = (index) => t("Brush {n} of {side} × {side}", { n: index + 1, side: height });
      const grid = pickable(canvas, channels.length, 1, nameOf, (index) => {
        const { [units[index]]: factor = 1, ...others } = face.units;
        const { next } = factorOf(factor);
        put(next === 1 ? others : { ...others, [units[index]]: next });
      });
      grid.cells.forEach((one, index) => {
        one.onpointerenter = () => lookAt(units[index]);
        one.addEventListener("focus", one.onpointerenter);
      });
      const mark = () => grid.mark((index) => factorOf(face.units[units[index]] ?? 1));
      grid.element.style.setProperty("--count", channels.length);
      return { element: div("layer", div("caption", title(i, answer.length, height)), grid.element), canvas, mark };
    });
    layers.replaceChildren(...rows.map((row) => row.element));
    for (const row of rows) row.mark();
  }

  const probeSoon = calmed(REST, () => probe(face));

  function lookAt(channel) {
    probed = channel;
    probeSoon();
  }

  function show(now) {
    face = now;
    reset.disabled = !Object.keys(face.units).length;
    if (!element.open) return;
    look(face);
    for (const row of rows) row.mark();
    if (probed) lookAt(probed);
  }

  element.ontoggle = () => face && show(face);
  return { element, show };
}
