/* Real vs fake: a grid of real images beside one of fakes, the training images nearest to a fake, and a quiz.

   value: {checkpoint: name}, or {own: {picture: {path}, count} or null} when the visitor's own photos have come or gone,
   or {reading: whether they are being read}. gradio.server, where there is one:
     reals({checkpoint, shuffle}) -> {picture, count, checkpoint: whose fakes belong beside them, note: sentences}
     quiz({checkpoint}) -> the same, 20 images that the discriminator has never seen, where there are as many
     nearest({checkpoint, seed}) -> {picture, distances, closer_than}
   Pictures have eight images in a row. Without a server the real images are those that engine.reals has, if any, or the
   visitor's own, which then do not leave the browser. */

import { engineOf, latest } from "./engine.js";
import { ownPhotos } from "./own_photos.js";
import {
  bitmap, button, cell, clamp, cut, div, figure, hint, make, messageLine, pickable, prefersStillness, someSeeds, spelled, t,
} from "./parts.js";
import { PAIRS, playQuiz, quizPairs } from "./quiz.js";
import { asking } from "./server.js";

const SIDE = 8; // a grid is SIDE x SIDE images
const CELLS = SIDE * SIDE;
const MAX_SHUFFLE = 999_999;

const range = (count) => Array.from({ length: count }, (_, i) => i);

export async function mount(root, { value, server: functions }) {
  const engine = engineOf(functions);
  const server = asking(functions);
  const { size, ...summary } = await engine.open(value.checkpoint);
  let checkpoint = summary.name;
  let own = null; // the visitor's photos: {sheet, count, note}
  let shown = null; // {number, reals: as realsFor() returns them, fakes: a sheet}
  let picked = null; // the seed whose nearest images are shown

  const message = messageLine();
  const note = hint("");
  const shuffle = make("input", { type: "number", className: "number", min: 0, max: MAX_SHUFFLE, value: 0 });
  shuffle.onchange = () => show(clamp(Math.floor(shuffle.value), 0, MAX_SHUFFLE));
  const again = button(t("Shuffle"), () => show(Math.floor(Math.random() * (MAX_SHUFFLE + 1))));
  const play = button(t("Spot the fake"), startQuiz, { className: "button primary" });
  const real = figure("faces", t("64 real images in a grid"));
  const fake = figure("faces", t("64 generated faces in a grid"));
  const nameOf = (index) => t("Fake {n}: its nearest training images", { n: index + 1 });
  const fakes = server.nearest ? pickable(fake, SIDE, SIDE, nameOf, pick).element : fake;
  const invitation = make("span", { className: "hint", hidden: !server.nearest }, t("Click one for its nearest training images"));
  const closest = make("section", { className: "closest", "aria-label": t("Nearest training images"), "aria-live": "polite" });
  const captioned = (title, picture, ...more) =>
    make("figure", {}, make("figcaption", {}, make("h2", {}, title), ...more), picture);
  const photographs = captioned(t("Real"), real);
  const board = make("section", { className: "quiz", "aria-label": t("Spot the fake"), hidden: true });
  const challenge = div("hero",
    div("", make("h2", {}, t("Can you tell a real face from a made-up one?")),
      hint(t("{n} pairs, you against the discriminator.", { n: PAIRS }))), play);
  const all = div("choices", challenge,
    div("bar wrap", note, div("field", make("label", {}, t("Shuffle number"), shuffle)), again),
    div("pair", photographs, captioned(t("Fake"), fakes, invitation)), closest);
  if (!server.reals) all.prepend(ownPhotos(size, open, message));
  root.replaceChildren(div("explorer single", message.element, all, board));

  /* Real images for a shuffle number, or, without one, for the quiz: {sheet, cells: where in it, checkpoint, note}. */
  async function realsFor(number) {
    const quiz = number === undefined;
    if (server.reals && !own) {
      const found = await (quiz ? server.quiz({ checkpoint }) : server.reals({ checkpoint, shuffle: number }));
      return { ...found, sheet: found.count ? await bitmap(found.picture) : null, cells: range(found.count) };
    }
    const none = { sheet: null, count: 0, note: "There are no photographs on this page: here are fakes alone." };
    const { sheet, count, note } = own ?? (await engine.reals(checkpoint)) ?? none;
    const most = Math.min(count, CELLS);
    const cells = quiz ? someSeeds(most, range(count)) : range(most).map((i) => (i + number * CELLS) % count);
    return { sheet, cells, checkpoint, note: [[note, { count }], ["Fake: made up by {name}.", { name: checkpoint }]] };
  }

  const load = latest(async ({ number }) => {
    const reals = await realsFor(number);
    const seeds = range(CELLS).map((i) => number * CELLS + i);
    return { number, reals, fakes: await engine.sheet(reals.checkpoint, seeds, SIDE) };
  }, (loaded) => {
    shown = loaded;
    message.say("");
    showGrids();
  }, message.fail);

  function show(number) {
    shuffle.value = number;
    picked = null;
    closest.replaceChildren();
    if (!shown) note.textContent = t("Fetching real images …");
    load({ number });
  }

  function showGrids() {
    const { number, reals } = shown;
    [all.hidden, board.hidden] = [false, true];
    note.textContent = spelled(reals.note);
    photographs.hidden = challenge.hidden = !reals.sheet;
    fake.width = fake.height = real.width = real.height = shown.fakes.width;
    fake.getContext("2d").drawImage(shown.fakes, 0, 0);
    const side = real.width / SIDE; // of a cell, also where there are too few images to fill the grid
    reals.cells.forEach((from, i) => {
      const to = [(i % SIDE) * side, Math.floor(i / SIDE) * side, side, side];
      real.getContext("2d").drawImage(...cell(reals.sheet, SIDE, from), ...to);
    });
    root.dataset.shown = `${reals.checkpoint} ${number} ${reals.cells.length}`;
  }

  async function pick(index) {
    const seed = shown.number * CELLS + index;
    const likeness = (sheet, i, caption) => make("figure", {}, cut(sheet, SIDE, i), make("figcaption", {}, caption));
    picked = seed;
    closest.replaceChildren(hint(t("Looking …")));
    try {
      const found = await server.nearest({ checkpoint: shown.reals.checkpoint, seed });
      const sheet = await bitmap(found.picture);
      if (picked !== seed) return;
      const nearest = found.distances.map((d, i) => likeness(sheet, i, t("Real, {d} levels apart", { d: d.toFixed(1) })));
      closest.replaceChildren(
        make("p", { className: "verdict" }, verdict(found.closer_than)),
        div("likenesses", likeness(shown.fakes, index, t("Fake, seed {seed}", { seed })), ...nearest));
      closest.scrollIntoView({ block: "nearest", behavior: prefersStillness() ? "auto" : "smooth" });
    } catch (error) {
      if (picked === seed) closest.replaceChildren(hint(error.message));
    }
  }

  function verdict(share) {
    if (share === null) return t("Too few images are held out to say how close that is.");
    const percent = Math.min(99, Math.floor(100 * share));
    return share >= 0.99 ? t("Closer than {percent}% of unseen photos are: copied.", { percent })
      : share >= 0.9 ? t("Closer than {percent}% of unseen photos are: suspiciously alike.", { percent })
      : t("Closer than {percent}% of unseen photos are: no closer than a stranger.", { percent });
  }

  async function startQuiz() {
    play.disabled = true;
    await message.attempt(async () => {
      const reals = await realsFor();
      const pairs = await quizPairs(engine, reals);
      note.textContent = spelled(reals.note);
      [all.hidden, board.hidden] = [true, false];
      playQuiz(board, pairs, showGrids, startQuiz);
    });
    play.disabled = false;
  }

  async function open(value) {
    if (value.reading !== undefined) {
      note.textContent = value.reading ? t("Reading your photos …") : spelled(shown?.reals.note ?? []);
      return;
    }
    if (value.checkpoint !== undefined) checkpoint = value.checkpoint;
    if (value.own) {
      const [demo] = import.meta.url.split("/gradio_api/");
      const { count, sheet = await bitmap(`${demo}/gradio_api/file=${value.own.picture.path}`) } = value.own;
      own = { sheet, count, note: "Real: your own photos ({count})." };
    } else if (value.own === null) own = null;
    show(own && value.own ? 0 : Number(shuffle.value));
  }

  show(0);
  return { open };
}
