/* A look inside the generator: what some channels of each layer answer to a face, which can be switched off or made
   stronger, to see what they paint: a toy of Bau et al. 2019, GAN Dissection. */

import { discard, latest } from "./engine.js";
import { button, div, figure, hint, make, messageLine, paint, pickable, t } from "./parts.js";

const FACTORS = { 1: 0, 0: 3, 3: 1 }; // of a channel: what a touch makes of it
const SIGNS = { 0: "off", 3: "more" };
const REST = 120; // milliseconds without a change, before it is drawn what a channel paints

const meaning = { 0: t("switched off"), 1: t("as it is"), 3: t("three times as strong") };

function title(layer, layers, side) {
  const hidden = [t("the first idea"), t("where things go"), t("shapes")][Math.min(layer, 2)];
  const name = layer === layers - 1 ? t("the colours") : layer === layers - 2 && layer ? t("lines and light") : hidden;
  return `${side} × ${side}: ${name}`;
}

/* put(units): gives the generator other factors -> {element, show(face)} */
export function insideStrip(engine, put) {
  let face = null; // that is shown
  let probed = null; // the channel that is looked at
  let [rows, shape, resting] = [[], "", 0];
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
  }, (error) => message.say(error.message));

  /* The face with a channel beside the one without it: what differs. */
  const probe = latest(async ({ units, ...rest }) => {
    const strengths = [1, 0].map((on) => ({ ...units, [probed]: on * (units[probed] || 1) }));
    const [whole, without] = await Promise.all(strengths.map((units) => engine.face({ ...rest, units })));
    return { whole: whole.picture, without: without.picture };
  }, (answer) => {
    paint(painted, answer.whole);
    const context = painted.getContext("2d");
    context.globalCompositeOperation = "difference";
    context.drawImage(answer.without, 0, 0);
    context.globalCompositeOperation = "source-over";
    discard(answer);
  }, () => {});

  /* The rows of another generator. */
  function build(answer) {
    const now = JSON.stringify(answer.map(({ channels }) => channels));
    if (now === shape) return;
    shape = now;
    invitation.textContent = t("The generator paints a face in {n} steps, from coarse to fine. Each small picture is one of its brushes at work on this face. Touch one to switch it off, again to make it stronger, and see what it paints.", { n: answer.length });
    rows = answer.map(({ channels, maps: { width, height } }, i) => {
      const canvas = make("canvas", { width, height });
      const nameOf = (index) => t("Brush {n} of {side} × {side}", { n: index + 1, side: height });
      const picked = (index) => {
        const { [`${i}.${channels[index]}`]: factor = 1, ...others } = face.units;
        const next = FACTORS[factor] ?? 1;
        put(next === 1 ? others : { ...others, [`${i}.${channels[index]}`]: next });
      };
      const grid = pickable(canvas, channels.length, 1, nameOf, picked);
      const cells = [...grid.querySelectorAll(".cell")];
      cells.forEach((cell, index) => {
        cell.onpointerenter = () => lookAt(`${i}.${channels[index]}`);
        cell.addEventListener("focus", cell.onpointerenter);
      });
      const mark = () => cells.forEach((cell, index) => {
        const factor = face.units[`${i}.${channels[index]}`] ?? 1;
        cell.dataset.mark = SIGNS[factor] ?? "";
        cell.setAttribute("aria-label", `${nameOf(index)}, ${meaning[factor] ?? `× ${factor}`}`);
      });
      grid.style.setProperty("--count", channels.length);
      return { element: div("layer", div("caption", title(i, answer.length, height)), grid), canvas, mark };
    });
    layers.replaceChildren(...rows.map((row) => row.element));
    for (const row of rows) row.mark();
  }

  function lookAt(channel) {
    probed = channel;
    clearTimeout(resting);
    resting = setTimeout(() => probe(face), REST);
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
